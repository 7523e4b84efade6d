#!/usr/bin/env bash
# Measures Weir beside its peers, in the same run on the same machine: only the ratios mean something.
#
#   scripts/bench.sh http [SCENARIO…] [--rounds N] [--mib N] [--seed N] [--verbose]
#       downloads beside aria2c, aria2-next and curl, tuned and as they come; without names every scenario:
#       A       eight connections at 2 MB/s each: time ÷ ideal
#       B       the same with one of them slow, silent, or reset
#       C       one file of 1 GiB (--mib) at full speed: to memory, with TLS, to disk; time, CPU, memory
#       E       2,000 files of 16 KiB in one command, to memory and to disk
#       G       kill -9 at 50 random moments (--seed): what each costs
#       limit   1 MB/s for one file and for three: error in %
#       first   20 GB begin: from the server's first byte to the first byte in the file
#       --verbose prints each answer the paced server gave (A, B)
#   scripts/bench.sh media [SCENARIO…] [--rounds N]
#       streams beside yt-dlp, ffmpeg and streamlink; without names every scenario:
#       short   120 segments of 280 KB, 50 ms before each answer
#       many    2,000 segments of 100 KB, 20 ms
#       large   20 segments of 20 MB, beside one file of the same size
#       long    10,000 small segments: memory
#   scripts/bench.sh daemon [--rounds N]
#       start to listening, memory and CPU when idle
#   scripts/bench.sh page [--rounds N] [--rows N]
#       popup and page in Chromium: first paint, live data, and a list of 10,000 rows (--rows)
#
# Each suite is scripts/bench/NAME.mjs. WEIR=PROGRAM measures that program and builds nothing. A wrong file ends a suite;
# no figure here ever fails a test.
set -euo pipefail
source "$(dirname "$0")/setup.sh"

suite=${1:-}
if [ -z "$suite" ] || [ ! -f "scripts/bench/$suite.mjs" ]; then
  sed -n '2,/^set/{/^set/d;s/^# \{0,1\}//;p}' "$ROOT/scripts/$(basename "$0")"
  exit 2
fi
shift
setup bench
[ "$suite" != media ] || setup rivals
[ "$suite" != page ] || setup npm media browser
if [ -z "${WEIR:-}" ]; then
  setup rust npm
  [ -d dist/page/wasm ] || cargo xtask build
  cargo build --release --package weir
  WEIR="$(target_dir)/release/weir"
fi
export WEIR
exec node "scripts/bench/$suite.mjs" "$@"
