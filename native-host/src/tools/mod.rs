//! Programs that Weir uses and does not contain: where they are, and which version.
//!
//! Owns the folder `tools` of Weir's home and the order in which programs are looked for. Never changes what the system has
//! installed. Invariant: `tools/yt-dlp` leads to a whole, checked installation or does not exist.

pub(crate) mod install;
mod pip;
pub(crate) mod version;

use std::path::{Path, PathBuf};

use crate::config::Config;
use crate::home::Home;

/// Version of yt-dlp that Weir is tested with, and what `weir tools install yt-dlp` brings.
pub(crate) const YT_DLP_VERSION: &str = "2026.10.26";

/// What came from where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Origin {
    /// Named in the settings.
    Settings,
    /// Installed by `weir tools install`.
    Managed,
    /// Found in `PATH`.
    System,
}

impl Origin {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Settings => "settings",
            Self::Managed => "weir",
            Self::System => "system",
        }
    }
}

/// Folder of everything that is installed by us.
pub(crate) fn folder(home: &Home) -> PathBuf {
    home.root().join("tools")
}

/// The link to the installation that is used.
pub(crate) fn current(home: &Home) -> PathBuf {
    folder(home).join("yt-dlp")
}

/// Where the engine looks for yt-dlp before `PATH`: what the settings name, else ours, which may appear while a daemon
/// runs.
pub(crate) fn yt_dlp_for_engine(home: Option<&Home>, config: &Config) -> Option<PathBuf> {
    config.yt_dlp.clone().or_else(|| home.map(|home| current(home).join("bin/yt-dlp")))
}

/// The yt-dlp that is used.
pub(crate) fn yt_dlp(home: Option<&Home>, named: Option<&Path>) -> Option<(PathBuf, Origin)> {
    if let Some(path) = named.filter(|path| is_program(path)) {
        return Some((path.to_owned(), Origin::Settings));
    }
    let managed =
        home.map(|home| current(home).join("bin/yt-dlp")).filter(|path| named.is_none() && is_program(path));
    managed.map(|path| (path, Origin::Managed)).or_else(|| Some((in_path("yt-dlp")?, Origin::System)))
}

/// A program of this name in `PATH`.
pub(crate) fn in_path(name: &str) -> Option<PathBuf> {
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join(name))
        .find(|path| is_program(path))
}

pub(crate) fn is_program(path: &Path) -> bool {
    let Ok(metadata) = std::fs::metadata(path) else { return false };
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        metadata.is_file() && metadata.permissions().mode() & 0o111 != 0
    }
    #[cfg(not(unix))]
    metadata.is_file()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_settings_name_comes_first_and_ours_before_the_systems() {
        use std::os::unix::fs::PermissionsExt as _;
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at_for_test(dir.path());
        let make = |path: &Path| {
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
            std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).unwrap();
        };
        let (named, managed) = (dir.path().join("mine"), current(&home).join("bin/yt-dlp"));
        make(&managed);
        assert_eq!(yt_dlp(Some(&home), None).unwrap(), (managed, Origin::Managed));
        // One that is named and has gone is not replaced by ours: the system's is what the engine falls back to.
        assert_ne!(yt_dlp(Some(&home), Some(&named)).map(|(_, origin)| origin), Some(Origin::Managed));
        make(&named);
        assert_eq!(yt_dlp(Some(&home), Some(&named)).unwrap(), (named, Origin::Settings));
    }
}
