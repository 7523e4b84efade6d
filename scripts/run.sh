#!/usr/bin/env bash
# From a bare clone to a stream on the disk: sets up what is missing, builds, registers native messaging for the
# browsers found, and shows the main job on a demo site. Rust and Node are assumed, nothing else.
#
#   scripts/run.sh [--headless] [--port N]
#
# With a display it opens Chromium and says what to click. Without one, or with --headless, it does the clicking
# itself, prints each step and ends with 0 when every step held. The demo has a home, a browser profile and a download
# folder of its own below ~/.cache/weir-demo; N is its daemon's port (8765, or any free one when that is taken).
set -euo pipefail
source "$(dirname "$0")/setup.sh"

args=("$@")
for arg in "$@"; do
  case "$arg" in
    --headless | --port) ;;
    -h | --help) sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$ROOT/scripts/$(basename "$0")"; exit 0 ;;
    [0-9]*) ;;
    *)
      say "run.sh does not know $arg (try --help)"
      exit 2
      ;;
  esac
done
if [ -z "${DISPLAY:-}${WAYLAND_DISPLAY:-}" ]; then args+=(--headless); fi

setup rust npm media browser

say "Building the extension and the page"
cargo xtask build
say "Building the native host"
cargo build --release --package weir
WEIR="$(target_dir)/release/weir"
export WEIR

say "Registering native messaging for the browsers found"
"$WEIR" install --keep || say "  (none was registered; the demo registers its own profile)"

exec node scripts/e2e/demo.mjs "${args[@]}"
