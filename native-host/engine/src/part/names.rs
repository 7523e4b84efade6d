//! What the working files of a download are called, and the folders among them.
//!
//! Never touches files of another name. Invariant: a folder from here is private to its owner and no link to another.

use std::io;
use std::os::unix::fs::DirBuilderExt as _;
use std::path::{Path, PathBuf};

use super::remove_if_there;

/// Paths of the working files of `filename`.
#[derive(Debug, Clone)]
pub(crate) struct Names {
    pub(crate) directory: PathBuf,
    pub(crate) filename: String,
}

impl Names {
    pub(crate) fn new(directory: &Path, filename: &str) -> Self {
        Self { directory: directory.to_owned(), filename: filename.to_owned() }
    }

    pub(crate) fn target(&self) -> PathBuf {
        self.directory.join(&self.filename)
    }

    fn with(&self, suffix: &str) -> PathBuf {
        self.directory.join(format!("{}{suffix}", self.filename))
    }

    /// The bytes so far; the first track of a stream.
    pub(crate) fn part(&self) -> PathBuf {
        self.with(".part")
    }

    pub(crate) fn journal(&self) -> PathBuf {
        self.with(".part.weir")
    }

    /// Folder of everything else that a stream needs on its way: its other tracks, and what ffmpeg or yt-dlp writes.
    pub(crate) fn work(&self) -> PathBuf {
        self.with(".part.work")
    }

    /// The bytes of a track of a stream: the first is [`Names::part`], so that it can be watched while it grows.
    pub(crate) fn track(&self, number: usize) -> PathBuf {
        if number == 0 { self.part() } else { self.work().join(format!("track{number}")) }
    }

    /// Where the segments of a track lie in it.
    pub(crate) fn segments(&self, number: usize) -> PathBuf {
        self.work().join(format!("track{number}.segments"))
    }

    /// The result of a stream, until it gets its final name. Its extension is settled by its codecs.
    pub(crate) fn result(&self) -> PathBuf {
        self.work().join("result")
    }

    /// All but the journal: a file and a folder.
    pub(super) fn working(&self) -> [PathBuf; 2] {
        [self.part(), self.work()]
    }

    /// Makes a fresh folder in [`Names::work`] and takes those of earlier runs away.
    pub(crate) fn make_run(&self) -> io::Result<PathBuf> {
        self.make_work()?;
        for entry in std::fs::read_dir(self.work())? {
            let entry = entry?;
            if entry.file_name().to_string_lossy().starts_with("run-") {
                remove_if_there(&entry.path())?;
            }
        }
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(io::Error::other)?;
        let run = self.work().join(format!("run-{:016x}", u64::from_ne_bytes(number)));
        std::fs::DirBuilder::new().mode(0o700).create(&run)?;
        Ok(run)
    }

    /// Makes the folder of [`Names::work`], readable by its owner only.
    pub(crate) fn make_work(&self) -> io::Result<()> {
        match std::fs::DirBuilder::new().mode(0o700).create(self.work()) {
            // A link there would lead everything elsewhere.
            Err(error)
                if error.kind() == io::ErrorKind::AlreadyExists
                    && std::fs::symlink_metadata(self.work()).is_ok_and(|there| there.is_dir()) =>
            {
                Ok(())
            }
            made => made,
        }
    }
}
