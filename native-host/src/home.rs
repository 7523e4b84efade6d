//! Weir's own folder: where everything it remembers lives.
//!
//! Owns the paths and their modes; never their contents. Invariant: the folder is 0700 and every file made
//! through [`Home::write_private`] is 0600 and appears whole or not at all.

use std::fs;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The folder named by `WEIR_HOME`, or the platform's place for application data.
#[derive(Debug, Clone)]
pub(crate) struct Home {
    root: PathBuf,
}

impl Home {
    /// Finds the folder and makes it when it is not there yet.
    ///
    /// # Errors
    /// When no home directory is known, or the folder cannot be made or made private.
    pub(crate) fn open() -> io::Result<Self> {
        let root = match std::env::var_os("WEIR_HOME") {
            Some(path) if !path.is_empty() => std::path::absolute(PathBuf::from(path))?,
            _ => default_root()?,
        };
        Self::at(root.clone()).map_err(|error| {
            io::Error::new(error.kind(), format!("Weir's folder {} cannot be used: {error}", root.display()))
        })
    }

    /// The same when it is there already; nothing is made.
    pub(crate) fn existing() -> Option<Self> {
        let root = match std::env::var_os("WEIR_HOME") {
            Some(path) if !path.is_empty() => std::path::absolute(PathBuf::from(path)).ok()?,
            _ => default_root().ok()?,
        };
        root.is_dir().then_some(Self { root })
    }

    fn at(root: PathBuf) -> io::Result<Self> {
        fs::create_dir_all(&root)?;
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&root)?.permissions().mode() & 0o777;
            if mode != 0o700 {
                fs::set_permissions(&root, fs::Permissions::from_mode(0o700))?;
            }
        }
        Ok(Self { root })
    }

    #[cfg(test)]
    pub(crate) fn at_for_test(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    pub(crate) fn root(&self) -> &Path {
        &self.root
    }

    pub(crate) fn config(&self) -> PathBuf {
        self.root.join("config.toml")
    }

    pub(crate) fn database(&self) -> PathBuf {
        self.root.join("weir.db")
    }

    pub(crate) fn endpoint(&self) -> PathBuf {
        self.root.join("endpoint.json")
    }

    pub(crate) fn token(&self) -> PathBuf {
        self.root.join("token")
    }

    pub(crate) fn lock(&self) -> PathBuf {
        self.root.join("weir.lock")
    }

    /// What was learned about servers.
    pub(crate) fn hosts(&self) -> PathBuf {
        self.root.join("hosts.json")
    }

    /// A daemon of this home lives, whether or not its door is open yet.
    pub(crate) fn is_locked(&self) -> bool {
        let file = fs::File::open(self.lock());
        file.is_ok_and(|file| matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)))
    }

    pub(crate) fn log(&self) -> PathBuf {
        self.root.join("weir.log")
    }

    /// Writes a file only its owner can read, by way of a temporary one beside it.
    ///
    /// # Errors
    /// When the folder cannot be written.
    pub(crate) fn write_private(path: &Path, content: &[u8]) -> io::Result<()> {
        let temporary = path.with_extension(format!("tmp-{}", std::process::id()));
        let written = private_file(&temporary).and_then(|mut file| {
            file.write_all(content)?;
            file.sync_all()
        });
        written.and_then(|()| fs::rename(&temporary, path)).inspect_err(|_| {
            let _ = fs::remove_file(&temporary);
        })
    }
}

/// Opens a file for writing that only its owner can read.
pub(crate) fn private_file(path: &Path) -> io::Result<fs::File> {
    let mut options = fs::OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

fn default_root() -> io::Result<PathBuf> {
    let home = std::env::home_dir()
        .filter(|path| path.is_absolute())
        .ok_or_else(|| io::Error::new(io::ErrorKind::NotFound, "no home directory; set WEIR_HOME"))?;
    if cfg!(target_os = "macos") {
        return Ok(home.join("Library/Application Support/Weir"));
    }
    if cfg!(windows) {
        return Ok(std::env::var_os("LOCALAPPDATA").map_or(home, PathBuf::from).join("Weir"));
    }
    // The XDG base directory specification asks to ignore values that are not absolute.
    let data = std::env::var_os("XDG_DATA_HOME").map(PathBuf::from).filter(|path| path.is_absolute());
    Ok(data.unwrap_or_else(|| home.join(".local/share")).join("weir"))
}

#[cfg(all(test, unix))]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    #[test]
    fn folder_and_files_are_private_even_when_they_were_not() {
        let dir = tempfile::tempdir().unwrap();
        let root = dir.path().join("home");
        fs::create_dir(&root).unwrap();
        fs::set_permissions(&root, fs::Permissions::from_mode(0o755)).unwrap();
        let home = Home::at(root.clone()).unwrap();
        assert_eq!(fs::metadata(&root).unwrap().permissions().mode() & 0o777, 0o700);

        Home::write_private(&home.token(), b"first").unwrap();
        Home::write_private(&home.token(), b"second").unwrap();
        assert_eq!(fs::read(home.token()).unwrap(), b"second");
        assert_eq!(fs::metadata(home.token()).unwrap().permissions().mode() & 0o777, 0o600);
        assert_eq!(fs::read_dir(&root).unwrap().count(), 1, "no temporary file is left");
    }
}
