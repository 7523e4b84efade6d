//! Frames of `/ws`, one JSON object each.
//!
//! Invariant: a client that applies frames in order, starting with a snapshot, is never wrong; after a lag
//! the daemon sends a fresh snapshot, so no client reconciles.

use serde::{Deserialize, Serialize};

use crate::{Action, Download, DownloadId};

/// Server to client.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Event {
    /// Everything unfinished and the newest of the history. Replaces what the client knew. A long one comes
    /// as several frames: all but the last have `more`, and all but the first add to the one before.
    Snapshot {
        /// Newest first.
        downloads: Vec<Download>,
        /// Version of the daemon.
        version: String,
        /// Another frame of the same snapshot follows.
        #[serde(default, skip_serializing_if = "std::ops::Not::not")]
        more: bool,
    },
    /// A download is new, or something other than its progress changed.
    Download {
        /// The whole row.
        download: Box<Download>,
    },
    /// Bytes arrived. At most `progress_hz` a second for each download.
    Progress(Progress),
    /// A download failed. A `download` frame with the same facts comes before it.
    Error {
        /// Which one.
        id: DownloadId,
        /// One sentence in the user's words.
        error: String,
        /// See [`crate::code`].
        code: String,
        /// What to do about it.
        action: Option<Action>,
    },
    /// A row left the list.
    Removed {
        /// Which one.
        id: DownloadId,
    },
}

/// The part of a download that changes all the time.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Progress {
    /// Which download.
    pub id: DownloadId,
    /// Percent, 0–100.
    pub progress: f64,
    /// Bytes per second.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub speed: Option<u64>,
    /// Seconds left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub eta: Option<u64>,
    /// Bytes on disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub received_bytes: Option<u64>,
    /// Seconds of a live stream recorded so far.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recorded_s: Option<u64>,
    /// The last frame of a download that completed.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub done: bool,
}

/// Client to server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(tag = "action", rename_all = "snake_case", deny_unknown_fields)]
pub enum ClientMessage {
    /// Asks for these topics and nothing else; answered with a snapshot. Without it a client gets them all.
    Subscribe {
        /// What to send from now on.
        topics: Vec<Topic>,
    },
}

/// A family of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(rename_all = "snake_case")]
pub enum Topic {
    /// Every download event.
    Downloads,
    /// A topic this version does not serve.
    #[serde(other)]
    Unknown,
}
