//! HLS playlists as values (RFC 8216 and its successor draft).
//!
//! Owns the meaning of a playlist: qualities, segments, keys, what stands in the way of downloading it. Never
//! fetches anything. Invariant: [`parse`] is total, and a playlist it accepts has at least one segment or variant
//! with an absolute address each.

mod drm;
mod line;
mod parse;
mod quality;

use std::sync::Arc;
use std::time::Duration;

use url::Url;

pub use drm::Drm;
pub use parse::parse;
pub use quality::NoSuchQuality;

/// An absolute address, as whoever reads the playlist keeps it. The daemon uses [`Url`]; in the extension the browser's own
/// parser does, which saves the worker the tables of international domain names.
pub trait Address: Clone + PartialEq {
    /// The address `reference` has when it stands in a document at this one (RFC 3986 section 5); none when it is no
    /// reference.
    fn resolve(&self, reference: &str) -> Option<Self>;
}

impl Address for Url {
    fn resolve(&self, reference: &str) -> Option<Self> {
        self.join(reference).ok()
    }
}

/// Why text is not a usable playlist. Line numbers count from 1.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PlaylistError {
    /// The text does not begin with `#EXTM3U`.
    #[error("{}", if *.html { "the server sent a web page instead of a playlist" } else { "this is not a playlist" })]
    NotAPlaylist {
        /// It looks like a web page, as error and login pages do.
        html: bool,
    },
    /// Neither segments nor variants.
    #[error("the playlist is empty")]
    Empty,
    /// The text ends in the middle.
    #[error("the playlist is cut off at line {line}")]
    Cut {
        /// Last line there is.
        line: usize,
    },
    /// A line that cannot be understood and cannot be skipped without making the result wrong.
    #[error("line {line} of the playlist is malformed: {reason}")]
    Malformed {
        /// Where.
        line: usize,
        /// One clause in plain words.
        reason: &'static str,
    },
}

/// Either kind of playlist.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist<A = Url> {
    /// A list of qualities.
    Multivariant(Multivariant<A>),
    /// A list of segments.
    Media(MediaPlaylist<A>),
}

/// A list of qualities and renditions (section 4.4.6 of the draft).
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant<A = Url> {
    /// Best first. I-frame variants are not among them, they are no video.
    pub variants: Vec<Variant<A>>,
    /// Alternative audio, subtitles and so on, in the playlist's order.
    pub renditions: Vec<Rendition<A>>,
    /// Every session key belongs to a DRM system.
    pub drm: Option<Drm>,
}

/// One quality.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant<A = Url> {
    /// Stable for the same playlist: made of the label and the bit rate, not of the address.
    pub id: String,
    /// What a person reads: `1080p`, `720p60`, `Audio 128 kb/s`.
    pub label: String,
    /// Its media playlist.
    pub url: A,
    /// The same content elsewhere, in the playlist's order.
    pub backups: Vec<A>,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Bits per second, peak.
    pub bandwidth: Option<u64>,
    /// Bits per second, average.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381 codecs string.
    pub codecs: Option<String>,
    /// `GROUP-ID` of its audio renditions.
    pub audio_group: Option<String>,
    /// Sound without a picture.
    pub audio_only: bool,
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenditionKind {
    /// Sound.
    Audio,
    /// Another camera.
    Video,
    /// Timed text as its own playlist.
    Subtitles,
    /// Timed text inside the video.
    ClosedCaptions,
}

/// Alternative content for a group (`EXT-X-MEDIA`).
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition<A = Url> {
    /// What it carries.
    pub kind: RenditionKind,
    /// `GROUP-ID`, named by variants.
    pub group: String,
    /// Human name.
    pub name: String,
    /// RFC 5646 language.
    pub language: Option<String>,
    /// To be played unless the user chose otherwise.
    pub default: bool,
    /// May be chosen by the system's language.
    pub autoselect: bool,
    /// Its media playlist; none when it is inside the variant's own segments.
    pub url: Option<A>,
}

/// A list of segments (sections 4.4.3 and 4.4.4 of the draft).
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist<A = Url> {
    /// In playing order.
    pub segments: Vec<Segment<A>>,
    /// Longest segment, rounded, as the playlist states it.
    pub target_duration: Duration,
    /// `EXT-X-ENDLIST` is there.
    pub ended: bool,
    /// `EXT-X-PLAYLIST-TYPE:VOD`.
    pub vod: bool,
    /// Only single pictures, for scrubbing.
    pub i_frames_only: bool,
    /// A segment is protected by DRM.
    pub drm: Option<Drm>,
    /// Something in it cannot be downloaded by this version; one clause in plain words.
    pub unsupported: Option<String>,
}

/// One piece of media.
#[derive(Debug, Clone, PartialEq)]
pub struct Segment<A = Url> {
    /// Where it is.
    pub url: A,
    /// How long it plays.
    pub duration: Duration,
    /// Media sequence number; the implicit IV of AES-128.
    pub sequence: u64,
    /// The part of `url` it is; none for the whole.
    pub byte_range: Option<ByteRange>,
    /// How to decrypt it; none when it is in the clear.
    pub key: Option<Arc<Key<A>>>,
    /// What must come before it in the output.
    pub map: Option<Arc<Map<A>>>,
    /// Timestamps or encoding may begin anew here.
    pub discontinuity: bool,
    /// The server says this segment does not exist.
    pub gap: bool,
}

/// A part of a resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ByteRange {
    /// First byte.
    pub offset: u64,
    /// Number of bytes, at least 1.
    pub length: u64,
}

impl ByteRange {
    /// One past the last byte.
    #[must_use]
    pub const fn end(&self) -> u64 {
        // Checked when the playlist was read.
        self.offset.saturating_add(self.length)
    }
}

/// An AES-128 key handed over in the clear (`METHOD=AES-128`, `KEYFORMAT=identity`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Key<A = Url> {
    /// Where its 16 bytes are.
    pub url: A,
    /// Initialisation vector; none means the media sequence number of the segment, big endian.
    pub iv: Option<[u8; 16]>,
}

impl<A> Key<A> {
    /// The vector for a segment (section 5.2 of the draft).
    #[must_use]
    pub fn iv_for(&self, sequence: u64) -> [u8; 16] {
        self.iv.unwrap_or_else(|| u128::from(sequence).to_be_bytes())
    }
}

/// Initialisation section (`EXT-X-MAP`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map<A = Url> {
    /// Where it is.
    pub url: A,
    /// The part of `url` it is; none for the whole.
    pub byte_range: Option<ByteRange>,
    /// How to decrypt it.
    pub key: Option<Arc<Key<A>>>,
    /// Sequence number of the first segment it stands before, for an implicit IV.
    pub sequence: u64,
}

impl<A> Multivariant<A> {
    /// The audio rendition that goes with a variant: the default of its group, else one that may be chosen
    /// automatically, else the first. None when the variant names no group.
    #[must_use]
    pub fn audio_for(&self, variant: &Variant<A>) -> Option<&Rendition<A>> {
        let group = variant.audio_group.as_deref()?;
        self.renditions
            .iter()
            .filter(|rendition| rendition.kind == RenditionKind::Audio && rendition.group == group)
            // The first of equals wins: `max_by_key` would take the last.
            .min_by_key(|rendition| (!rendition.default, !rendition.autoselect))
    }
}

impl<A> MediaPlaylist<A> {
    /// Sum of all segments.
    #[must_use]
    pub fn duration(&self) -> Duration {
        self.segments.iter().fold(Duration::ZERO, |sum, segment| sum.saturating_add(segment.duration))
    }

    /// Segments may still be added.
    #[must_use]
    pub fn is_live(&self) -> bool {
        !self.ended && !self.vod
    }

    /// Longest segment there really is.
    #[must_use]
    pub fn longest_segment(&self) -> Duration {
        self.segments.iter().map(|segment| segment.duration).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
