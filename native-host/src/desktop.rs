//! Opening finished files, folders and pages with the desktop's own programs.
//!
//! Invariant: nothing that was downloaded is ever run. Types a desktop might execute are refused; arguments go to the
//! opener directly, never through a shell.

use std::path::Path;
use std::process::{Command, Stdio};

/// Why nothing was opened.
#[derive(Debug, thiserror::Error)]
pub(crate) enum OpenError {
    #[error("Weir does not open programs and scripts; show the file in its folder instead")]
    Runnable,
    #[error("this desktop has no program to open files with ({0})")]
    NoOpener(&'static str),
}

/// Name endings that some desktop runs, mounts or installs when they are opened.
const RUNNABLE: &[&str] = &[
    "apk", "app", "appimage", "bash", "bat", "bin", "cmd", "com", "command", "cpl", "deb", "desktop", "dmg",
    "elf", "exe", "gadget", "hta", "inf", "jar", "js", "jse", "lnk", "msc", "msi", "msp", "osx", "out",
    "pif", "pkg", "pl", "ps1", "py", "rb", "reg", "rpm", "run", "scpt", "scr", "service", "sh", "url", "vb",
    "vbe", "vbs", "webloc", "workflow", "ws", "wsf", "wsh", "zsh",
];

/// Opens a file with the program the desktop has for its type.
///
/// # Errors
/// When the type can be run, or there is no opener.
pub(crate) fn open_file(path: &Path) -> Result<(), OpenError> {
    if is_runnable(path) {
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

fn is_runnable(path: &Path) -> bool {
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default().to_ascii_lowercase();
    if RUNNABLE.contains(&ending.as_str()) {
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
        for name in ["a.exe", "a.SH", "a.desktop", "a.AppImage", "setup.msi", "a.jar"] {
            assert!(matches!(open_file(Path::new(name)), Err(OpenError::Runnable)), "{name}");
        }
        assert!(!is_runnable(Path::new("talk.mp4")));
        assert!(RUNNABLE.is_sorted());
    }
}
