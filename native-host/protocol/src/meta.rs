//! What is behind an address, before anybody downloads it: `POST /meta`.

use std::collections::BTreeMap;
use std::fmt;

use serde::{Deserialize, Serialize};

use crate::DownloadKind;

/// Body of `POST /meta`; the address may stand in the query (`/meta?url=…`) instead.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct MetaRequest {
    /// `http` or `https` address.
    #[cfg_attr(feature = "openapi", schema(required))]
    pub url: String,
    /// Skips the guess from the server's answer, as in [`crate::NewDownload`]; may stand in the query too.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<DownloadKind>,
    /// Request headers as the browser sent them.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub headers: BTreeMap<String, String>,
    /// Value of the `Cookie` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cookies: Option<String>,
    /// Value of the `Referer` header.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub referer: Option<String>,
}

/// The address, headers and cookies may hold secrets, and are left out.
impl fmt::Debug for MetaRequest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MetaRequest").field("kind", &self.kind).finish_non_exhaustive()
    }
}

/// Answer of `POST /meta`.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Meta {
    /// The address asked about.
    pub url: String,
    /// How it would be downloaded.
    pub kind: DownloadKind,
    /// Human name.
    pub title: Option<String>,
    /// Name the file would get.
    pub filename: String,
    /// Length of the media.
    pub duration_ms: Option<u64>,
    /// Picture to show, when the media names one.
    pub thumbnail: Option<String>,
    /// Size of the file, when the server says.
    pub total_bytes: Option<u64>,
    /// `Content-Type` of the answer, without parameters.
    pub content_type: Option<String>,
    /// An interrupted download can go on where it stopped.
    pub resumable: bool,
    /// Still going on.
    pub live: bool,
    /// Qualities to choose from, best first; empty when there is no choice.
    pub variants: Vec<Variant>,
    /// Sound to choose from by `audio_languages`; empty when there is no choice.
    #[serde(default)]
    pub audio: Vec<Rendition>,
    /// What `subtitles` can bring along.
    #[serde(default)]
    pub subtitles: Vec<Rendition>,
}

/// Other sound, or subtitles, of a stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Rendition {
    /// Stable for the same playlist.
    pub id: String,
    /// RFC 5646, as the stream says it.
    pub language: Option<String>,
    /// What a person reads: `Deutsch`, `Director's commentary`.
    pub name: String,
    /// Played when nobody chooses.
    pub default: bool,
    /// Subtitles for what is not understood without them, signs and foreign words.
    pub forced: bool,
    /// RFC 6381 codecs string.
    pub codecs: Option<String>,
}

/// One quality of a stream.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Variant {
    /// Value for `quality` in `POST /download`; stable for the same playlist.
    pub id: String,
    /// What a person reads: `1080p`, `720p60`, `Audio 128 kb/s`.
    pub label: String,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Bits per second, peak.
    pub bandwidth: Option<u64>,
    /// RFC 6381 codecs string.
    pub codecs: Option<String>,
    /// Estimate from bandwidth and duration.
    pub estimated_bytes: Option<u64>,
}
