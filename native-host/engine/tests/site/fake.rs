//! A program in yt-dlp's place that does what the test says.

use std::path::{Path, PathBuf};

/// What it says of a page when nothing else is wanted: one file of unknown size.
pub(super) const TALK: &str =
    r#"echo '{"id": "1", "title": "Talk", "url": "http://127.0.0.1:9/x", "format_id": "0", "ext": "mp4"}'"#;

/// Makes it: `look` is what it does when asked about a page, `work` when it shall download. Both find the folder for files
/// in `$home`, the options file in `$options`, the address in `$address` and the file of links in `$links`.
pub(super) fn program(dir: &Path, look: &str, work: &str) -> PathBuf {
    use std::os::unix::fs::PermissionsExt as _;
    let path = dir.join("yt-dlp");
    let text = format!(
        r#"#!/bin/sh
here='{here}'
echo "$*" >> "$here/arguments"
before=
for argument; do
    case "$before" in
        --config-locations) options=$argument ;;
        --batch-file) address=$(cat "$argument") ;;
        --load-info-json) links=$argument ;;
        -P) case "$argument" in home:*) home=${{argument#home:}} ;; esac ;;
    esac
    before=$argument
done
case " $* " in
*" --dump-single-json "*)
{look}
;;
*)
{work}
;;
esac
"#,
        here = dir.display()
    );
    // Written under another name first: what is open for writing cannot be started.
    let draft = dir.join("draft");
    std::fs::write(&draft, text).unwrap();
    std::fs::set_permissions(&draft, std::fs::Permissions::from_mode(0o700)).unwrap();
    std::fs::rename(draft, &path).unwrap();
    path
}

/// What it was called with, one line a call.
pub(super) fn calls(dir: &Path) -> Vec<String> {
    let text = std::fs::read_to_string(dir.join("arguments")).unwrap_or_default();
    text.lines().map(str::to_owned).collect()
}
