#!/usr/bin/env bash
# The quick loop while working: format, lints for both targets, unit tests. ./scripts/test.sh runs everything.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
setup rust npm nextest media

cargo fmt --all --check
cargo clippy --workspace --all-targets -- -D warnings
cargo clippy --package weir-extension --package weir-web --target wasm32-unknown-unknown -- -D warnings
cargo nextest run --workspace
