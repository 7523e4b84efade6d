//! Keeps folders named by clients inside the download folder.
//!
//! Invariant: a path this module returns lies, with every symlink followed, below the root it was asked about.

use std::io;
use std::path::{Component, Path, PathBuf};

use weir_protocol::Category;

/// Why a folder is not taken.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ConfineError {
    #[error("the folder must lie inside the download folder")]
    Outside,
    #[error("the folder has a name that cannot be used")]
    BadName,
    #[error("the folder cannot be looked at: {0}")]
    Io(#[from] io::Error),
}

/// The folder `wanted` (relative to `root`, or absolute below it). It need not exist.
///
/// # Errors
/// When it leads out of `root`, by its parts or by a symlink, or has a name no file system takes.
pub(crate) fn folder(root: &Path, wanted: &Path) -> Result<PathBuf, ConfineError> {
    let relative = if wanted.is_absolute() {
        wanted.strip_prefix(root).map_err(|_| ConfineError::Outside)?
    } else {
        wanted
    };
    let mut path = root.to_owned();
    for component in relative.components() {
        match component {
            Component::Normal(name) => {
                let name = name.to_str().ok_or(ConfineError::BadName)?;
                if weir_media::filename::safe(name) != name {
                    return Err(ConfineError::BadName);
                }
                path.push(name);
            }
            Component::CurDir => {}
            Component::ParentDir | Component::RootDir | Component::Prefix(_) => {
                return Err(ConfineError::Outside);
            }
        }
    }
    // What exists of it must really be inside; what does not exist yet cannot lead anywhere.
    let existing = path.ancestors().find(|part| part.symlink_metadata().is_ok());
    let Some(existing) = existing.filter(|part| part.starts_with(root)) else { return Ok(path) };
    if existing.canonicalize()?.starts_with(root.canonicalize()?) {
        Ok(path)
    } else {
        Err(ConfineError::Outside)
    }
}

/// Where files of a category go; one without a folder of its own, or that the settings do not know, goes to the root.
///
/// # Errors
/// See [`folder`].
pub(crate) fn folder_of(root: &Path, category: Option<&Category>) -> Result<PathBuf, ConfineError> {
    match category.and_then(|category| category.directory.as_deref()) {
        Some(directory) => folder(root, Path::new(directory)),
        None => Ok(root.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn folders_stay_inside() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir(&root).unwrap();
        assert_eq!(folder(&root, Path::new("a/b")).unwrap(), root.join("a/b"));
        assert_eq!(folder(&root, &root.join("a")).unwrap(), root.join("a"));
        assert_eq!(folder(&root, Path::new(".")).unwrap(), root);
        for out in ["..", "a/../..", "/etc", "a/../../b", "a\0b", "CON", "a/ b./"] {
            assert!(folder(&root, Path::new(out)).is_err(), "{out}");
        }
        let sibling = dir.path().join("root-other");
        assert!(folder(&root, &sibling).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn symlinks_do_not_lead_out() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("root");
        std::fs::create_dir_all(root.join("inside")).unwrap();
        std::os::unix::fs::symlink(dir.path(), root.join("out")).unwrap();
        std::os::unix::fs::symlink(root.join("inside"), root.join("in")).unwrap();
        std::os::unix::fs::symlink("/nowhere/at/all", root.join("dangling")).unwrap();
        assert!(folder(&root, Path::new("out")).is_err());
        assert!(folder(&root, Path::new("out/deeper")).is_err());
        assert!(folder(&root, Path::new("dangling")).is_err());
        assert!(folder(&root, Path::new("in/deeper")).is_ok());
    }
}
