#!/usr/bin/env bash
# Measures Weir beside its peers, in the same run on the same machine: only the ratios mean something.
#
#   scripts/bench.sh http [--rounds N] [--mib N]    one large file from a local nginx: weir get, aria2c, curl
#   scripts/bench.sh daemon [--rounds N]            start to listening, memory and CPU when idle
#
# Each suite is scripts/bench/NAME.mjs. No figure here ever fails a test.
set -euo pipefail
source "$(dirname "$0")/setup.sh"

suite=${1:-}
if [ -z "$suite" ] || [ ! -f "scripts/bench/$suite.mjs" ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$ROOT/scripts/$(basename "$0")"
  exit 2
fi
shift
setup rust npm bench
[ -d dist/page/wasm ] || cargo xtask build
cargo build --release --package weir
WEIR="$(target_dir)/release/weir" exec node "scripts/bench/$suite.mjs" "$@"
