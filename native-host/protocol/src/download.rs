//! A download as every client sees it, and what a client may ask of one.
//!
//! Invariant: request headers, cookies, logins, proxies and mirrors travel only towards the daemon; [`Download`] has
//! no field for them, and `{:?}` of what carries them shows none.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::nullable::nullable;
use crate::{Action, ErrorInfo};

/// Row number in the store, unique for ever on this machine.
pub type DownloadId = i64;

/// How a download is fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DownloadKind {
    /// One HTTP(S) resource.
    File,
    /// An HLS playlist and its segments (RFC 8216).
    Hls,
    /// An MPD and its segments (ISO/IEC 23009-1).
    Dash,
    /// What yt-dlp finds on a page.
    Site,
}

impl DownloadKind {
    /// The name on the wire, in the store and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Hls => "hls",
            Self::Dash => "dash",
            Self::Site => "site",
        }
    }

    /// It comes in segments, of which one may be lost without the others.
    #[must_use]
    pub const fn is_segmented(self) -> bool {
        matches!(self, Self::Hls | Self::Dash)
    }

    /// The kind with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        [Self::File, Self::Hls, Self::Dash, Self::Site].into_iter().find(|kind| kind.as_str() == name)
    }
}

/// Where a download stands. Only the daemon's queue changes it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum DownloadStatus {
    /// Waiting for its turn.
    Queued,
    /// Asking the server what is there.
    Resolving,
    /// Bytes are arriving.
    Downloading,
    /// All bytes are here: muxing, checking, renaming.
    Finishing,
    /// Whole, verified and under its final name.
    Completed,
    /// Stopped by the user; partial files are kept.
    Paused,
    /// Stopped by a failure, told in `error`; partial files are kept.
    Error,
    /// Given up by the user; partial files are gone.
    Cancelled,
}

impl DownloadStatus {
    /// Every status, in the order of a download's life.
    pub const ALL: [Self; 8] = [
        Self::Queued,
        Self::Resolving,
        Self::Downloading,
        Self::Finishing,
        Self::Completed,
        Self::Paused,
        Self::Error,
        Self::Cancelled,
    ];

    /// The name on the wire, in the store and on the command line.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Queued => "queued",
            Self::Resolving => "resolving",
            Self::Downloading => "downloading",
            Self::Finishing => "finishing",
            Self::Completed => "completed",
            Self::Paused => "paused",
            Self::Error => "error",
            Self::Cancelled => "cancelled",
        }
    }

    /// The status with this wire name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|status| status.as_str() == name)
    }

    /// A job works on it right now.
    #[must_use]
    pub const fn is_running(self) -> bool {
        matches!(self, Self::Resolving | Self::Downloading | Self::Finishing)
    }

    /// It runs, or will run without anybody doing anything.
    #[must_use]
    pub const fn is_active(self) -> bool {
        matches!(self, Self::Queued) || self.is_running()
    }

    /// `pause` is a legal command.
    #[must_use]
    pub const fn can_pause(self) -> bool {
        matches!(self, Self::Queued | Self::Resolving | Self::Downloading)
    }

    /// `resume` is a legal command.
    #[must_use]
    pub const fn can_resume(self) -> bool {
        matches!(self, Self::Paused)
    }

    /// `cancel` is a legal command.
    #[must_use]
    pub const fn can_cancel(self) -> bool {
        self.is_active() || matches!(self, Self::Paused | Self::Error)
    }

    /// `retry` is a legal command.
    #[must_use]
    pub const fn can_retry(self) -> bool {
        matches!(self, Self::Error | Self::Cancelled)
    }
}

/// What [`Download::finish`] would come to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Finish {
    /// A recording that runs ends, and what is there becomes the file.
    EndRecording,
    /// One that does not run is begun once more: everything that can be had is fetched, the rest is left out.
    KeepPartial,
}

/// One row of the queue and of the history.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Download {
    /// Row number.
    pub id: DownloadId,
    /// How it is fetched.
    pub kind: DownloadKind,
    /// What is fetched: the file, or the playlist.
    pub url: String,
    /// The page it was found on; `http` or `https` only.
    pub page_url: Option<String>,
    /// Human name, from the page or the media.
    pub title: Option<String>,
    /// Name of the file, safe on every system; settled once the server has answered.
    pub filename: String,
    /// Absolute path the finished file has or will have.
    pub path: String,
    /// Where it stands.
    pub status: DownloadStatus,
    /// Percent, 0–100; 0 while the size is unknown.
    pub progress: f64,
    /// Bytes on disk so far.
    pub received_bytes: u64,
    /// Size of the whole, when known.
    pub total_bytes: Option<u64>,
    /// Bytes per second over the last seconds; 0 when nothing runs.
    pub speed: u64,
    /// Seconds left, when it can be told.
    pub eta: Option<u64>,
    /// Connections open now.
    pub connections: u32,
    /// Quality asked for or found: `best`, `1080p`, …; none for plain files.
    pub quality: Option<String>,
    /// Higher runs first.
    pub priority: i32,
    /// Place among rows of the same priority: lower runs first. Only the order means something.
    pub position: i64,
    /// RFC 3339, UTC, whole seconds: a queued row does not start before. Wished for by the user, or when a failed one
    /// is tried again by itself.
    pub start_at: Option<String>,
    /// Bytes per second this download may use; none is unlimited.
    pub rate_limit: Option<u64>,
    /// Group given by the user's rules, or named in the request.
    pub category: Option<String>,
    /// A stream that still goes on: there is no knowing how much is to come. `finish` ends it.
    #[serde(default)]
    pub live: bool,
    /// Seconds of a live stream that were recorded so far; none for anything else.
    #[serde(default)]
    pub recorded_s: Option<u64>,
    /// What a finished stream lacks, one sentence; none when it is whole.
    #[serde(default)]
    pub lacks: Option<String>,
    /// Hash of the finished file, lower-case hex.
    pub sha256: Option<String>,
    /// The desktop's program for it may open the finished file. By its type: what a desktop could run, and what may
    /// carry programs, is only shown in its folder.
    pub openable: bool,
    /// Why `status` is `error`, or why a queued row waits to be tried again.
    pub error: Option<ErrorInfo>,
    /// RFC 3339, UTC.
    pub created_at: String,
    /// RFC 3339, UTC; when it was completed, or failed.
    pub finished_at: Option<String>,
}

impl Download {
    /// Queued, but not for its turn alone: it has a time to start at, or failed and is tried again by itself. `resume`
    /// and `retry` start it at once.
    #[must_use]
    pub const fn waits(&self) -> bool {
        matches!(self.status, DownloadStatus::Queued) && (self.start_at.is_some() || self.error.is_some())
    }

    /// What the command `finish` does to it now; none when it is not legal.
    #[must_use]
    pub fn finish(&self) -> Option<Finish> {
        let stopped = self.waits() || matches!(self.status, DownloadStatus::Paused | DownloadStatus::Error);
        let lost = || self.error.as_ref().is_some_and(|error| error.action == Some(Action::KeepPartial));
        let partly = || self.live || lost() || matches!(self.status, DownloadStatus::Paused);
        match self.status {
            DownloadStatus::Resolving | DownloadStatus::Downloading if self.live => {
                Some(Finish::EndRecording)
            }
            _ if self.kind.is_segmented() && stopped && partly() => Some(Finish::KeepPartial),
            // Whether a page comes in segments is known once one of them was lost.
            _ if self.kind == DownloadKind::Site && stopped && lost() => Some(Finish::KeepPartial),
            _ => None,
        }
    }
}

/// Body of `POST /download`. Only `url` is needed.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct NewDownload {
    /// `http` or `https` address of the file or the playlist.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub url: String,
    /// Wanted name; made safe, and settled by the server's answer when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// `best` (default), `worst`, `720p` or the nearest below, or a variant id from `/meta`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub quality: Option<String>,
    /// Languages of a stream's sound (RFC 5646), most wanted first; empty takes the stream's default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub audio_languages: Vec<String>,
    /// Languages of subtitles to bring along, or `all`; empty takes none.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub subtitles: Vec<String>,
    /// `embedded` (default), `vtt` or `srt`: in the file, or beside it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub subtitle_form: Option<String>,
    /// Codecs by their common names, most wanted first: `av1`, `hevc`, `h264`, `vp9`, `opus`, `aac`, ….
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub codecs: Vec<String>,
    /// Most seconds of a live stream.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub live_limit_s: Option<u64>,
    /// A live stream begins with the oldest the server still has instead of with now.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub live_from_start: bool,
    /// Segments that cannot be had are left out; `lacks` then says so.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub holes: bool,
    /// Skips the guess from the server's answer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DownloadKind>,
    /// Human name, pinned when the stream was detected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub title: Option<String>,
    /// Request headers as the browser sent them. Hop-by-hop and range headers are ignored.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Value of the `Cookie` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies: Option<String>,
    /// Value of the `Referer` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
    /// The page it was found on; anything but `http(s)` is dropped.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub page_url: Option<String>,
    /// `GET` (default) or `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub method: Option<String>,
    /// Text sent with `POST`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub body: Option<String>,
    /// Other `http` or `https` addresses of the same file, used beside `url` and instead of it when it fails.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub mirrors: Vec<String>,
    /// Proxy for this download: an `http`, `https`, `socks5` or `socks5h` address, user info allowed; `direct` uses none
    /// even where one is set.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub proxy: Option<String>,
    /// Name for a server that asks for a login (Basic or Digest). Never sent to another host.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
    /// Goes with `username`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password: Option<String>,
    /// Absolute path of a netrc file on the daemon's machine, used for this download instead of that of the settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub netrc: Option<String>,
    /// Attempts in a row without a byte of progress before it fails, 0–1000; those of the settings when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// Seconds of silence before a connection is given up, 1–3600; 30 when absent.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
    /// What the finished file must match: `sha256:<hex>`, `sha512:<hex>`, `sha1:<hex>`, `md5:<hex>`, `sidecar` (the
    /// server's own `NAME.sha256` beside the file), or the address of a list of sums.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checksum: Option<String>,
    /// Folder inside the download root; relative, or absolute below it. Wins over that of the category.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub directory: Option<String>,
    /// Group; wins over the user's rules. One of the settings brings its folder along.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// Parallel connections, 1–32.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub connections: Option<u32>,
    /// Bytes per second.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
    /// Higher runs first; default 0.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// RFC 3339; not before. A moment that has passed means now.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub start_at: Option<String>,
    /// Enter the list as `paused`.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub paused: bool,
}

// Written by hand: addresses carry tokens, and most of the rest are credentials.
impl fmt::Debug for NewDownload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NewDownload")
            .field("kind", &self.kind)
            .field("filename", &self.filename)
            .field("category", &self.category)
            .field("start_at", &self.start_at)
            .finish_non_exhaustive()
    }
}

/// Answer of `POST /download` and `GET /download/{id}`: the row, and how its server is asked as far as that is no
/// secret. Lists and events have the row alone.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct DownloadDetail {
    /// The row.
    #[serde(flatten)]
    pub download: Download,
    /// As wished for; none goes by the settings, and a finished download has forgotten it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retries: Option<u32>,
    /// As wished for; see `retries`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub timeout_s: Option<u64>,
}

/// Body of `PATCH /download/{id}`. Absent fields stay as they are.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct DownloadPatch {
    /// New address of the same content, for links that expired. Not while it runs.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub url: Option<String>,
    /// Bytes per second; 0 removes the limit.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rate_limit: Option<u64>,
    /// Higher runs first.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// New name. Not while it runs and not once it is completed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub filename: Option<String>,
    /// RFC 3339; the row does not start before, and a paused one is queued for then. `null` lets it start at its turn.
    /// Only of rows that are queued or paused.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub start_at: Option<Option<String>>,
    /// Another group; `null` is none. The folder of the file changes with it only before anything has arrived.
    #[serde(skip_serializing_if = "Option::is_none", deserialize_with = "nullable")]
    #[cfg_attr(feature = "openapi", schema(value_type = Option<String>))]
    pub category: Option<Option<String>>,
}

// Written by hand: a fresh link carries a token.
impl fmt::Debug for DownloadPatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("DownloadPatch")
            .field("url", &self.url.as_ref().map(|_| "…"))
            .field("rate_limit", &self.rate_limit)
            .field("priority", &self.priority)
            .field("filename", &self.filename)
            .field("start_at", &self.start_at)
            .field("category", &self.category)
            .finish()
    }
}

/// Body of `POST /download/{id}/move`: one of the two. A row that passes others of another priority takes on theirs, so
/// that it does run where it was put.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MoveDownload {
    /// Relative to the rows that wait for their turn.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub to: Option<MoveTo>,
    /// Right before this unfinished row.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub before: Option<DownloadId>,
}

/// Where a row goes in the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum MoveTo {
    /// Before all others.
    First,
    /// Behind all others.
    Last,
    /// One place earlier.
    Up,
    /// One place later.
    Down,
}

/// Answer of `GET /download/{id}/ranges`: which bytes of one file are there. Spans are `[from, to)` in bytes, in order,
/// and do not touch.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ranges {
    /// Size of the whole, when known.
    pub total_bytes: Option<u64>,
    /// On disk.
    pub done: Vec<[u64; 2]>,
    /// Being fetched now, one for each connection.
    pub active: Vec<[u64; 2]>,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(kind: DownloadKind, status: DownloadStatus) -> Download {
        let row = serde_json::json!({
            "id": 1, "kind": kind, "url": "u", "page_url": null, "title": null, "filename": "f", "path": "/f",
            "status": status, "progress": 0.0, "received_bytes": 0, "total_bytes": null, "speed": 0, "eta": null,
            "connections": 0, "quality": null, "priority": 0, "position": 0, "start_at": null, "rate_limit": null,
            "category": null, "sha256": null, "openable": false, "error": null, "created_at": "", "finished_at": null,
        });
        serde_json::from_value(row).unwrap()
    }

    fn lost() -> Option<ErrorInfo> {
        Some(ErrorInfo {
            code: "segment_missing".into(),
            message: "m".into(),
            action: Some(Action::KeepPartial),
        })
    }

    #[test]
    fn a_recording_ends_and_what_lost_a_segment_is_kept() {
        use DownloadStatus as S;
        for status in S::ALL {
            let live = Download { live: true, ..row(DownloadKind::Hls, status) };
            let expected = match status {
                S::Resolving | S::Downloading => Some(Finish::EndRecording),
                S::Paused | S::Error => Some(Finish::KeepPartial),
                _ => None,
            };
            assert_eq!(live.finish(), expected, "live {status:?}");
            for kind in [DownloadKind::Hls, DownloadKind::Dash] {
                let expected = (status == S::Paused).then_some(Finish::KeepPartial);
                assert_eq!(row(kind, status).finish(), expected, "{kind:?} {status:?}");
            }
            let file = Download { error: lost(), ..row(DownloadKind::File, status) };
            assert_eq!(file.finish(), None, "a file has no segments to lose, {status:?}");
            assert_eq!(row(DownloadKind::Site, status).finish(), None, "{status:?}");
        }
        for kind in [DownloadKind::Dash, DownloadKind::Site] {
            let failed = Download { error: lost(), ..row(kind, S::Error) };
            assert_eq!(failed.finish(), Some(Finish::KeepPartial), "{kind:?}");
        }
        let waits = Download { error: lost(), ..row(DownloadKind::Hls, S::Queued) };
        assert_eq!(waits.finish(), Some(Finish::KeepPartial), "it would be tried again by itself");
    }
}
