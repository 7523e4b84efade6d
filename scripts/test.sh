#!/usr/bin/env bash
# Everything that can fail, from a bare clone: format, lints, unit and integration tests, Wasm tests, documentation,
# size budgets, and the whole journey in real Chromium. CI runs exactly this.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
setup rust npm nextest media sites streams browser

started=$SECONDS
step() { say "[$((SECONDS - started)) s] $*"; }

step "format"
cargo fmt --all --check

# Before the lints: the release Wasm is what the daemon embeds and the browser tests load.
step "extension and page, with their size budgets"
cargo xtask build

step "lints, native"
cargo clippy --workspace --all-targets --all-features -- -D warnings

step "lints, wasm32"
cargo clippy --package weir-extension --package weir-web --target wasm32-unknown-unknown -- -D warnings

step "unit and integration tests"
cargo nextest run --workspace

step "tests in Wasm, under Node"
cargo test --package weir-extension --package weir-web --target wasm32-unknown-unknown --tests

step "documentation"
RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --all-features --quiet

# The licence rule is held by the tidy test above; advisories need the tool and its database, which a bare machine
# does not have.
if cargo deny --version >/dev/null 2>&1; then
  step "dependencies"
  if cargo deny fetch >/dev/null 2>&1; then cargo deny check; else cargo deny check licenses bans sources; fi
else
  say "cargo-deny is not installed: advisories were not looked at"
fi

step "real Chromium, real extension, real daemon"
# The debug program was built for the integration tests above; building it by itself would choose other features for
# its dependencies and compile them a second time.
WEIR="$(target_dir)/debug/weir"
export WEIR
# A browser, a daemon and a media server on two cores meet a time-out now and then. A file that fails is run once more and
# said so; what fails twice fails.
for file in scripts/e2e/*.test.mjs; do
  node --test --test-reporter=spec "$file" || {
    say "$file failed: once more, to tell a slow machine from a fault"
    node --test --test-reporter=spec "$file"
  }
done

step "all of it passed"
