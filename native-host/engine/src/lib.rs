//! Bytes to disk: files over parallel ranges, streams over playlists, partial files that survive a crash.
//!
//! Owns fetching, checking and the files in the making. Never keeps a list of downloads, never speaks to clients and
//! never asks for another directory than the job names or chooses. Invariant: a file appears under its final name only when it is
//! whole and verified, and never in place of another.

mod answer;
mod auth;
mod checksum;
mod digest;
mod download;
mod error;
mod file;
mod folder;
mod hosts;
mod journal;
mod login;
mod monitor;
mod mp4;
mod mux;
mod net;
mod netrc;
mod part;
mod probe;
mod proxy;
mod ranges;
mod rate;
mod resolve;
mod site;
mod source;
mod stream;
mod sums;
mod wishes;
mod writer;

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio_util::sync::CancellationToken;
use url::Url;

pub use checksum::{Algorithm, Checksum, ChecksumError};
pub use error::{EngineError, FlawedSegment};
pub use folder::{Arrival, Folder};
pub use hosts::Hosts;
pub use login::Login;
pub use monitor::{Monitor, Phase, Ranges, Snapshot};
pub use part::{partial_path, remove_partial, saved_ranges};
pub use probe::{Probe, Thumbnail};
pub use proxy::{Proxy, ProxyError};
pub use rate::RateLimit;
pub use resolve::media_type;

pub use source::{Method, Source, is_credential, same_place, without_query};
pub use stream::{DryRun, PlannedKey, PlannedMap, PlannedSegment, PlannedTrack};
pub use wishes::{SubtitleForm, Wishes};

/// How something is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Kind {
    /// One HTTP resource.
    File,
    /// An HLS playlist and its segments.
    Hls,
    /// An MPD and its segments.
    Dash,
    /// Whatever yt-dlp finds on a page.
    Site,
}

/// What happens to a partial file that is already there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Partial {
    /// Never adopt one.
    Fresh,
    /// Go on with one whose journal has the same address, unless somebody works on it.
    SameUrl,
    /// Go on with the one of this file name; begin anew if it has gone.
    Named(String),
}

/// Decides whether an address must not be fetched.
pub type Deny = Arc<dyn Fn(&Url) -> bool + Send + Sync>;

/// What all downloads of an engine share.
#[derive(Clone)]
pub struct EngineOptions {
    /// `User-Agent` when the caller's headers have none.
    pub user_agent: String,
    /// None is whatever `PATH` has when it is needed.
    pub ffmpeg: Option<PathBuf>,
    /// Where yt-dlp is looked for before `PATH`.
    pub yt_dlp: Option<PathBuf>,
    /// Addresses that are refused with [`EngineError::OwnAddress`]; asked for redirects and segments too.
    pub deny: Option<Deny>,
    /// Where connections go through when a source names no proxy itself. None is what the environment says
    /// (`HTTP_PROXY`, `HTTPS_PROXY`, `ALL_PROXY`, `NO_PROXY`).
    pub proxy: Option<Proxy>,
    /// A file of logins, as `~/.netrc`, each for its own host; read when a login is looked for. None reads none.
    pub netrc: Option<PathBuf>,
    /// Certificates trusted besides the system's, PEM.
    pub certificates: Option<PathBuf>,
    /// Longest time to make a connection.
    pub connect_timeout: Duration,
    /// Longest silence of a server before a connection is given up.
    pub patience: Duration,
    /// Attempts in a row without a byte of progress before a download fails.
    pub retries: u32,
    /// Wait before the first retry; doubles up to 15 s.
    pub backoff: Duration,
    /// What was learned about servers, here and by others who share it.
    pub hosts: Arc<Hosts>,
}

impl Default for EngineOptions {
    fn default() -> Self {
        Self {
            user_agent: concat!("Weir/", env!("CARGO_PKG_VERSION")).to_owned(),
            ffmpeg: None,
            yt_dlp: None,
            deny: None,
            proxy: None,
            netrc: None,
            certificates: None,
            connect_timeout: Duration::from_secs(15),
            patience: Duration::from_secs(30),
            retries: 5,
            backoff: Duration::from_millis(500),
            hosts: Arc::default(),
        }
    }
}

impl std::fmt::Debug for EngineOptions {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EngineOptions")
            .field("user_agent", &self.user_agent)
            .field("ffmpeg", &self.ffmpeg)
            .field("yt_dlp", &self.yt_dlp)
            .field("deny", &self.deny.is_some())
            .field("proxy", &self.proxy)
            .field("netrc", &self.netrc)
            .finish_non_exhaustive()
    }
}

/// What one download wants otherwise than its engine; what is none stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tuning {
    /// See [`EngineOptions::retries`].
    pub retries: Option<u32>,
    /// See [`EngineOptions::patience`]; a connection is not waited for any longer either.
    pub patience: Option<Duration>,
    /// See [`EngineOptions::netrc`].
    pub netrc: Option<PathBuf>,
}

/// One thing to bring home.
#[derive(Clone)]
pub struct Job {
    /// Where it is.
    pub source: Source,
    /// Other places of the very same file, used beside the first and instead of it. Credentials stay with the first.
    pub mirrors: Vec<Url>,
    /// Where it goes; created when missing.
    pub directory: PathBuf,
    /// Chooses another folder once it is known what comes; [`Snapshot::directory`] tells.
    pub folder: Option<Folder>,
    /// Wanted name; made safe. None takes the server's.
    pub filename: Option<String>,
    /// `filename` is meant as it is: an extension it lacks is not added. Streams get that of their container all the same.
    pub exact_name: bool,
    /// None finds out from the answer.
    pub kind: Option<Kind>,
    /// Human name; names a stream's file when `filename` is none.
    pub title: Option<String>,
    /// Wish for a stream: see [`weir_media::variants::Multivariant::choose`]. None is `best`.
    pub quality: Option<String>,
    /// What is wanted of a stream beside its quality.
    pub wishes: Wishes,
    /// Cancelling it ends a live recording: what is there becomes the file. Of no effect on anything else.
    pub finish: CancellationToken,
    /// Most connections at a time, at least 1.
    pub connections: u32,
    /// A stream of many small segments may use twice as many while that pays.
    pub spread: bool,
    /// What the finished file must be.
    pub checksum: Option<Checksum>,
    /// What happens to a partial file that is already there.
    pub partial: Partial,
    /// Until [`Finished::settle`] the same job again, also after a crash, ends with the file that is there. Without it
    /// that holds for large files only, and small ones cost the disk less.
    pub remember: bool,
    /// Changeable while the job runs.
    pub limit: Arc<RateLimit>,
}

// Written by hand: addresses of mirrors and lists carry secrets too.
impl std::fmt::Debug for Job {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Job")
            .field("source", &self.source)
            .field("mirrors", &self.mirrors.iter().map(without_query).collect::<Vec<_>>())
            .field("directory", &self.directory)
            .field("filename", &self.filename)
            .field("kind", &self.kind)
            .field("connections", &self.connections)
            .field("partial", &self.partial)
            .finish_non_exhaustive()
    }
}

impl Job {
    /// A plain download of `source` into `directory`: 8 connections, no mirrors, nothing adopted, no limit.
    #[must_use]
    pub fn new(source: Source, directory: PathBuf) -> Self {
        Self {
            source,
            mirrors: Vec::new(),
            directory,
            folder: None,
            filename: None,
            exact_name: false,
            kind: None,
            title: None,
            quality: None,
            wishes: Wishes::default(),
            finish: CancellationToken::new(),
            connections: 8,
            spread: true,
            checksum: None,
            partial: Partial::Fresh,
            remember: true,
            limit: Arc::new(RateLimit::default()),
        }
    }
}

/// A finished file.
#[derive(Debug, Clone, PartialEq)]
pub struct Finished {
    /// Where it is.
    pub path: PathBuf,
    /// Last component of `path`.
    pub filename: String,
    /// How it was fetched.
    pub kind: Kind,
    /// Its size.
    pub bytes: u64,
    /// Its hash.
    pub sha256: [u8; 32],
    /// Label of the quality chosen, for streams.
    pub quality: Option<String>,
    /// By the playlist, for streams.
    pub duration: Option<Duration>,
    /// What a stream lacks, in words; none when it is whole. Only when holes were wished for, or a live stream lost some.
    pub lacks: Option<String>,
    /// What was wished for and the stream does not have, a clause each in plain words. It is whole all the same.
    pub unmet: Vec<String>,
    /// Still there, so that a crash before [`Finished::settle`] is understood; none when nothing was left.
    journal: Option<PathBuf>,
}

impl Finished {
    /// Takes away the last trace of the download in the making. Until then the same job again, also after a crash,
    /// ends with this file instead of another: call it once it has been recorded that the file is there. Does nothing
    /// the second time. Blocks.
    ///
    /// # Errors
    /// The journal exists and cannot be removed.
    pub fn settle(&self) -> std::io::Result<()> {
        self.journal.as_deref().map_or(Ok(()), |journal| part::settle(journal, &self.filename))
    }
}

/// Downloads things. Cheap to clone; all clones share their connections.
#[derive(Debug, Clone)]
pub struct Engine {
    net: net::Net,
    scans: Arc<part::Scans>,
}

impl Engine {
    /// An engine with its own connections.
    ///
    /// # Errors
    /// The TLS library cannot be set up.
    pub fn new(options: EngineOptions) -> Result<Self, EngineError> {
        Ok(Self { net: net::Net::new(Arc::new(options))?, scans: Arc::default() })
    }

    /// This engine for a download that wants something otherwise. They share what was learned about servers and, unless
    /// `tuning` names a patience, connections.
    ///
    /// # Errors
    /// As [`Self::new`].
    pub fn tuned(&self, tuning: &Tuning) -> Result<Self, EngineError> {
        Ok(Self { net: self.net.tuned(tuning)?, scans: Arc::clone(&self.scans) })
    }

    /// Brings `job` home; [`Finished::settle`] ends it. Progress is told through `monitor`. Cancelling `stop` ends it with
    /// [`EngineError::Stopped`], the partial kept and journaled so that a later job can go on.
    ///
    /// # Errors
    /// See [`EngineError`]; the partial is kept unless it is worthless.
    pub async fn download(
        &self,
        job: Job,
        monitor: Arc<Monitor>,
        stop: CancellationToken,
    ) -> Result<Finished, EngineError> {
        let outcome = download::run(&self.net, &self.scans, &job, &monitor, &stop).await;
        if outcome.as_ref().map_or(true, |finished| finished.journal.is_some()) {
            // It left, or may have left, something that the next job is to find.
            self.scans.forget(&job.directory);
        }
        outcome
    }

    /// What a job would do: its tracks and segments. Nothing is written and no segment is fetched.
    ///
    /// # Errors
    /// See [`EngineError`].
    pub async fn dry_run(&self, job: &Job) -> Result<DryRun, EngineError> {
        probe::dry_run(&self.net, job).await
    }

    /// Looks what is behind an address: kind, name, size, qualities.
    ///
    /// # Errors
    /// See [`EngineError`]; a stream under DRM is [`EngineError::Drm`].
    pub async fn probe(&self, source: &Source) -> Result<Probe, EngineError> {
        self.probe_as(source, None).await
    }

    /// The same of what the caller says it is, as [`Job::kind`] does; none finds out from the answer.
    ///
    /// # Errors
    /// As [`Self::probe`].
    pub async fn probe_as(&self, source: &Source, kind: Option<Kind>) -> Result<Probe, EngineError> {
        probe::probe(&self.net, source, kind).await
    }
}
