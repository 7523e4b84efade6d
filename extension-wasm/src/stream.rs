//! What was found in a tab, as the worker stores it and the popup shows it.
//!
//! Invariant: a [`Stream`] carries all a download needs (address, headers, cookies, page), pinned when it was
//! detected, so nothing has to be asked of the tab later, which may be elsewhere by then.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use weir_protocol::{DownloadKind, Variant};

/// Everything found in one tab since its last navigation. Stored in `storage.session` under [`tab_key`].
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct TabStreams {
    /// Address of the page.
    pub page_url: String,
    /// Title of the page, when the tab has told it.
    pub page_title: Option<String>,
    /// One for each card, in the order they were found.
    pub streams: Vec<Stream>,
}

/// One card: a file, or a playlist with its variants folded in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Stream {
    /// Stable within the tab.
    pub id: String,
    /// How the daemon would fetch it.
    pub kind: DownloadKind,
    /// Address as the page asked for it, before redirects.
    pub url: String,
    /// What the card says: the name in `Content-Disposition`, the page title for playlists, or the URL's file name.
    pub name: String,
    /// The page it was found on.
    pub page_url: String,
    /// Title of that page when it was found.
    pub title: Option<String>,
    /// `Referer` as the browser sent it.
    pub referer: Option<String>,
    /// `Cookie` as the browser sent it.
    pub cookies: Option<String>,
    /// Other request headers as the browser sent them, hop-by-hop and range headers left out.
    pub headers: BTreeMap<String, String>,
    /// `Content-Type` of the answer, without parameters, lower case.
    pub content_type: Option<String>,
    /// Size of the file, when the server said.
    pub total_bytes: Option<u64>,
    /// Length of the media, when the playlist said.
    pub duration_ms: Option<u64>,
    /// A playlist without end.
    pub live: bool,
    /// Protected by DRM: shown, never offered.
    pub protected: bool,
    /// Qualities, best first; empty when there is no choice or the playlist could not be read.
    pub variants: Vec<Variant>,
}

/// Key of a tab's [`TabStreams`] in `storage.session`.
#[must_use]
pub fn tab_key(tab_id: i32) -> String {
    format!("tab:{tab_id}")
}

/// Key of the last [`crate::messages::HostState`] in `storage.session`.
pub const HOST_KEY: &str = "host";

/// Key of the last known downloads (`Vec<Download>`, unfinished ones and a few of the newest) in `storage.session`:
/// what the popup paints before it has heard from the daemon.
pub const DOWNLOADS_KEY: &str = "downloads";
