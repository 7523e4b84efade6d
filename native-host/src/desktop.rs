//! Opening finished files, folders and pages with the desktop's own programs.
//!
//! Invariant: nothing that was downloaded is ever run. Only types that no desktop executes are opened; arguments go to the
//! opener directly, never through a shell.

use std::path::Path;
use std::process::{Command, Stdio};

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("Weir opens only media, pictures, documents and archives; show the file in its folder instead")]
    Runnable,
    #[error("this desktop has no program to open files with ({0})")]
    NoOpener(&'static str),
}

/// Name endings that are opened: media, pictures, plain documents, books and archives. Everything else, programs, disk images,
/// pages with scripts and documents with macros among them, can only be shown in its folder.
const OPENED: &[&str] = &[
    "7z", "aac", "avi", "avif", "bmp", "bz2", "csv", "docx", "epub", "flac", "flv", "gif", "gz", "heic",
    "jpeg", "jpg", "json", "m4a", "m4b", "m4v", "md", "mka", "mkv", "mobi", "mov", "mp3", "mp4", "mpeg",
    "mpg", "odp", "ods", "odt", "oga", "ogg", "ogv", "opus", "pdf", "png", "pptx", "rar", "rtf", "srt",
    "tar", "tgz", "tif", "tiff", "ts", "txt", "vtt", "wav", "webm", "webp", "wma", "wmv", "xlsx", "xz",
    "zip", "zst",
];

/// Opens a file with the program the desktop has for its type.
///
/// # Errors
/// When the type is not one of those that are safe to open, or there is no opener.
pub(crate) fn open_file(path: &Path) -> Result<(), OpenError> {
    if may_run(path) {
        return Err(OpenError::Runnable);
    }
    launch(path.as_os_str())
}

/// Opens a folder.
///
/// # Errors
/// When there is no opener.
pub(crate) fn open_folder(path: &Path) -> Result<(), OpenError> {
    launch(path.as_os_str())
}

/// Opens an address in the default browser.
///
/// # Errors
/// When there is no opener.
pub(crate) fn open_url(url: &str) -> Result<(), OpenError> {
    launch(std::ffi::OsStr::new(url))
}

/// A file of this name is of a type that is opened.
pub(crate) fn opens(filename: &str) -> bool {
    let ending = Path::new(filename).extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    OPENED.binary_search(&ending.to_ascii_lowercase().as_str()).is_ok()
}

fn may_run(path: &Path) -> bool {
    if !path.file_name().and_then(|name| name.to_str()).is_some_and(opens) {
        return true;
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        path.metadata().is_ok_and(|file| file.is_file() && file.permissions().mode() & 0o111 != 0)
    }
    #[cfg(not(unix))]
    false
}

fn launch(target: &std::ffi::OsStr) -> Result<(), OpenError> {
    let opener = if cfg!(target_os = "macos") {
        "open"
    } else if cfg!(windows) {
        "explorer"
    } else {
        "xdg-open"
    };
    let spawned = Command::new(opener)
        .arg(target)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    let mut child = spawned.map_err(|_| OpenError::NoOpener(opener))?;
    // Openers live for as long as the program they start may; a thread waits so that no zombie is left.
    std::thread::spawn(move || child.wait());
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn programs_are_not_opened() {
        for name in [
            "a.exe",
            "a.SH",
            "a.desktop",
            "a.AppImage",
            "setup.msi",
            "a.jar",
            "a.html",
            "a.svg",
            "a.iso",
            "a.docm",
            "none",
        ] {
            assert!(matches!(open_file(Path::new(name)), Err(OpenError::Runnable)), "{name}");
        }
        assert!(!may_run(Path::new("talk.mp4")));
        assert!(OPENED.is_sorted());
    }
}
