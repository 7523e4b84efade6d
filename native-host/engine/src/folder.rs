//! Where a file goes when that depends on what it is.
//!
//! Owns the moment of the question: after the server has said what comes, before the first byte is on disk. Never judges
//! the answer: that the folder is a proper one is the caller's to see to. Invariant: a download is asked for at most once,
//! and one that goes on with a partial stays where that is.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;

/// What is known of a file before its first byte is on disk.
#[derive(Debug, Clone, Copy)]
pub struct Arrival<'a> {
    /// Name it will have, unless that is taken.
    pub filename: &'a str,
    /// `Content-Type` without parameters; none for a stream, whose answer is a playlist.
    pub content_type: Option<&'a str>,
    /// The address that answered, after redirects.
    pub url: &'a Url,
}

type Choose = dyn Fn(&Arrival<'_>) -> Option<PathBuf> + Send + Sync;

/// Chooses a folder; none is the job's.
#[derive(Clone)]
pub struct Folder(Arc<Choose>);

impl Folder {
    /// A rule, called on a thread that must not block for long.
    #[must_use]
    pub fn new(choose: impl Fn(&Arrival<'_>) -> Option<PathBuf> + Send + Sync + 'static) -> Self {
        Self(Arc::new(choose))
    }

    pub(crate) fn choose(&self, arrival: &Arrival<'_>) -> Option<PathBuf> {
        (self.0)(arrival)
    }
}

impl std::fmt::Debug for Folder {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Folder")
    }
}
