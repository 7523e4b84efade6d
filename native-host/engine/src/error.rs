//! What can go wrong while bytes come home: one variant for each fact.
//!
//! Never decides what a person should do about it (the daemon translates). Invariant: no message carries a query
//! string, a header value or a path outside the download folder.

use std::io;

use weir_media::hls::PlaylistError;

/// A segment that is there and not what its playlist says.
#[derive(Debug, Clone, PartialEq)]
pub struct FlawedSegment {
    /// Counted from 1, for people.
    pub number: usize,
    /// Segments of its track.
    pub count: usize,
    /// It belongs to a track of sound beside the picture.
    pub of_sound: bool,
    /// Its place by the playlist, in seconds.
    pub at_s: f64,
    /// How much of it is missing, in seconds; none when it is another one than should be there.
    pub missing_s: Option<f64>,
}

impl FlawedSegment {
    /// What is wrong with it, as a clause in plain words.
    #[must_use]
    pub fn in_words(&self) -> String {
        let Self { number, count, .. } = self;
        let track = if self.of_sound { " of the sound" } else { "" };
        let is = match self.missing_s {
            Some(missing_s) if missing_s >= 0.05 => {
                format!("is {missing_s:.1} s shorter than its playlist says")
            }
            Some(_) => "is cut".to_owned(),
            None => "is another one than its playlist says".to_owned(),
        };
        let at = self.at_s.max(0.0) as u64;
        let (hours, minutes, seconds) = (at / 3600, at / 60 % 60, at % 60);
        format!("segment {number} of {count}{track}, at {hours}:{minutes:02}:{seconds:02}, {is}")
    }
}

fn lengths_in_words(expected_s: f64, actual_s: f64, segment: Option<&FlawedSegment>) -> String {
    match segment {
        Some(segment) => segment.in_words(),
        None => {
            format!("the finished file lasts {actual_s:.1} s, the playlist says {expected_s:.1} s")
        }
    }
}

/// Why there is no finished file.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EngineError {
    /// Stopped on request; what is on disk is kept and journaled.
    #[error("stopped")]
    Stopped,
    /// Not an absolute `http` or `https` address, or one a redirect or playlist led to.
    #[error("{address} is not an address that can be downloaded")]
    BadUrl {
        /// Without its query.
        address: String,
    },
    /// No such host, nobody listening, or an answer that is no HTTP.
    #[error("the server {host} cannot be reached")]
    Unreachable {
        /// Host asked.
        host: String,
    },
    /// The server fell silent, and stayed silent on every retry.
    #[error("the server {host} stopped answering")]
    Timeout {
        /// Host asked.
        host: String,
    },
    /// The secure connection could not be made.
    #[error("the secure connection to {host} failed: {reason}")]
    Tls {
        /// Host asked.
        host: String,
        /// As told by the TLS library.
        reason: String,
    },
    /// The proxy cannot be reached, refuses, or wants to know who is asking (407).
    #[error("the proxy {host} cannot be used: {reason}")]
    ProxyFailed {
        /// Host and port of the proxy.
        host: String,
        /// One clause in plain words.
        reason: String,
        /// It answered and will answer the same the next time.
        refused: bool,
    },
    /// 401, 403, or a login page where a file was expected.
    #[error("the server refuses access (status {status}); the page may need a login or a fresh link")]
    LoginRequired {
        /// HTTP status; 200 for a login page.
        status: u16,
    },
    /// A name or password was given and not taken.
    #[error("the server did not take the name or password")]
    LoginRefused {
        /// HTTP status.
        status: u16,
    },
    /// The server wants to be left alone for longer than a download waits by itself; asking again after that may help.
    #[error("the server is busy (status {status}) and asks to come back in {}", in_words(*wait))]
    Busy {
        /// HTTP status, 429 or 503 most likely.
        status: u16,
        /// As the server said.
        wait: std::time::Duration,
    },
    /// 404 or 410.
    #[error("the server no longer has this file (status {status})")]
    Gone {
        /// HTTP status.
        status: u16,
    },
    /// Any other status that is not a success.
    #[error("the server answered with status {status}")]
    HttpStatus {
        /// HTTP status.
        status: u16,
    },
    /// The redirects do not end.
    #[error("the server redirects in circles")]
    TooManyRedirects,
    /// Less, more or other bytes than announced.
    #[error("the transfer is broken: {reason}")]
    BrokenTransfer {
        /// One clause in plain words.
        reason: String,
    },
    /// The content changed again and again while it was fetched.
    #[error("the file on the server changed while it was downloaded")]
    ContentChanged,
    /// The finished bytes do not have the stated hash.
    #[error("the downloaded bytes do not match the {algorithm} stated by {stated_by}")]
    ChecksumMismatch {
        /// `SHA-256`, `SHA-512`, `SHA-1` or `MD5`.
        algorithm: &'static str,
        /// `the server`, `the caller`, or the file the hash was published in.
        stated_by: &'static str,
    },
    /// The hash the caller wants compared is not where it should be; what has arrived is kept.
    #[error("the checksum of the file cannot be had: {reason}")]
    ChecksumUnavailable {
        /// One clause in plain words.
        reason: String,
    },
    /// No playlist, an empty one, or one that cannot be understood.
    #[error("the playlist cannot be used: {0}")]
    BadPlaylist(#[from] PlaylistError),
    /// The wanted quality does not exist.
    #[error("the stream has no quality named {wanted}{}", offered_in_words(offered))]
    NoSuchQuality {
        /// As asked for.
        wanted: String,
        /// Those there are, best first; empty when that is not known.
        offered: Vec<String>,
    },
    /// None of the wanted languages exists.
    #[error("the stream has no {what} in {wanted}{}", offered_in_words(offered))]
    NoSuchLanguage {
        /// `sound` or `subtitles`.
        what: &'static str,
        /// As asked for.
        wanted: String,
        /// Those there are.
        offered: Vec<String>,
    },
    /// A segment cannot be had, so the file would have a hole.
    #[error("segment {number} of {count} cannot be downloaded: {reason}")]
    SegmentMissing {
        /// Counted from 0.
        index: usize,
        /// Counted from 1, for people.
        number: usize,
        /// Segments of the track.
        count: usize,
        /// One clause in plain words.
        reason: String,
        /// HTTP status of the last answer, when there was one.
        status: Option<u16>,
    },
    /// No MPD, an empty one, or one that cannot be understood.
    #[error("the manifest cannot be used: {reason}")]
    BadManifest {
        /// One clause in plain words.
        reason: String,
    },
    /// A live stream ended, or was ended, before anything of it was there.
    #[error("nothing of the live stream was recorded")]
    NothingRecorded,
    /// No yt-dlp where it was configured, installed or in `PATH`.
    #[error("yt-dlp is needed for this page and was not found")]
    YtDlpMissing,
    /// yt-dlp could not do it.
    #[error("yt-dlp could not download this page: {reason}")]
    SiteFailed {
        /// What it said, without paths and addresses' queries.
        reason: String,
        /// Asking again may help.
        transient: bool,
    },
    /// yt-dlp could not have a segment of the page's media, so the file would have a hole.
    #[error("a segment of what the page plays cannot be downloaded: {reason}")]
    SiteSegmentMissing {
        /// One clause in plain words.
        reason: String,
        /// Asking again may help.
        transient: bool,
    },
    /// Protected by DRM, which is not touched.
    #[error("the stream is protected by {system}")]
    Drm {
        /// Name of the system.
        system: String,
    },
    /// An encryption method or a feature this version does not know.
    #[error("the stream cannot be downloaded by this version: {reason}")]
    UnsupportedMedia {
        /// One clause in plain words.
        reason: String,
    },
    /// No ffmpeg where it was configured, or none in `PATH`.
    #[error("ffmpeg is needed to put the stream together and was not found")]
    FfmpegMissing,
    /// ffmpeg could not put the streams together.
    #[error("ffmpeg could not put the stream together: {reason}")]
    MuxFailed {
        /// Last line ffmpeg said.
        reason: String,
    },
    /// The finished media is not as long as its playlist says.
    #[error("{}", lengths_in_words(*expected_s, *actual_s, segment.as_ref()))]
    DurationMismatch {
        /// Seconds by the playlist.
        expected_s: f64,
        /// Seconds in the file.
        actual_s: f64,
        /// The first segment that is not what its playlist says; none when nothing tells which it is.
        segment: Option<FlawedSegment>,
    },
    /// No room on the disk.
    #[error("the disk is full")]
    DiskFull,
    /// The folder cannot be written, is none, or has gone.
    #[error("the download folder cannot be written: {0}")]
    FolderUnwritable(#[source] io::Error),
    /// Somebody else works on the same partial file.
    #[error("another download is working on {filename}")]
    FileBusy {
        /// Name of the finished file.
        filename: String,
    },
    /// The address, or one it led to, is the daemon's own door.
    #[error("this address belongs to Weir itself")]
    OwnAddress,
    /// So many files of this name exist that no numbered one is free.
    #[error("too many files are named like {filename}")]
    FilenameTaken {
        /// Name wanted.
        filename: String,
    },
    /// The engine's own fault.
    #[error("internal error: {0}")]
    Internal(String),
}

impl EngineError {
    /// A failure of the disk as the fact it is.
    #[must_use]
    pub fn disk(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => Self::DiskFull,
            _ => Self::FolderUnwritable(error),
        }
    }

    pub(crate) fn broken(reason: impl Into<String>) -> Self {
        Self::BrokenTransfer { reason: reason.into() }
    }

    /// Asking again may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Timeout { .. }
            | Self::BrokenTransfer { .. }
            | Self::Busy { .. } => true,
            Self::ProxyFailed { refused, .. } => !refused,
            Self::SiteFailed { transient, .. } | Self::SiteSegmentMissing { transient, .. } => *transient,
            Self::HttpStatus { status } => matches!(status, 202 | 408 | 425 | 429 | 500..=599),
            _ => false,
        }
    }
}

fn offered_in_words(offered: &[String]) -> String {
    if offered.is_empty() { String::new() } else { format!("; it has {}", offered.join(", ")) }
}

/// A wait as people say it.
fn in_words(wait: std::time::Duration) -> String {
    let seconds = wait.as_secs();
    match seconds {
        0..=119 => format!("{seconds} seconds"),
        120..=7199 => format!("{} minutes", seconds.div_ceil(60)),
        _ => format!("{} hours", seconds.div_ceil(3600)),
    }
}
