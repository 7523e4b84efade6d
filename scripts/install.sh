#!/usr/bin/env bash
# Builds Weir for everyday use: the program into ~/.local/bin (or $WEIR_BIN_DIR), native messaging registered with the
# browsers found, and the extension ready to be loaded.
set -euo pipefail
source "$(dirname "$0")/setup.sh"
setup rust npm

cargo xtask build
cargo build --release --package weir

bin_dir=${WEIR_BIN_DIR:-$HOME/.local/bin}
mkdir -p "$bin_dir"
# By rename: a daemon that runs keeps the file it was started from.
install -m 755 "$(target_dir)/release/weir" "$bin_dir/.weir.new"
mv "$bin_dir/.weir.new" "$bin_dir/weir"
say "Installed $bin_dir/weir"
"$bin_dir/weir" install

case ":$PATH:" in
  *":$bin_dir:"*) ;;
  *) say "$bin_dir is not in your PATH: add it, or call the program by its full name." ;;
esac
command -v ffmpeg >/dev/null || say "ffmpeg is missing: plain files work without it, streams do not (apt-get install ffmpeg)."
cat <<TEXT

Load the extension:
  1. open chrome://extensions in Chromium or Chrome and switch on "Developer mode"
  2. "Load unpacked" and choose
       $ROOT/dist/extension
  3. pin Weir to the toolbar

Remove everything again: $bin_dir/weir uninstall && rm $bin_dir/weir
TEXT
