//! HLS playlists as values (RFC 8216 and its successor draft).
//!
//! Owns the meaning of a playlist: qualities, segments, keys, what stands in the way of downloading it. Never
//! fetches anything. Invariant: [`parse`] is total, and a playlist it accepts has at least one segment or variant
//! with an absolute address each.

mod keys;
pub(crate) mod line;
mod media;
mod multivariant;
mod parse;
mod value;
mod variables;

use std::time::Duration;

use url::Url;

use crate::drm::Drm;
use crate::segment::Segment;
use crate::variants::Multivariant;

pub use parse::{parse, parse_with};
pub use variables::Variables;

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

/// What is known before a playlist is read.
#[derive(Debug)]
pub struct Context<'a, A = Url> {
    /// Variables of the list of qualities that named it, for those it imports.
    pub variables: Option<&'a Variables>,
    /// The same playlist as read before, for what a server leaves out of a live one.
    pub earlier: Option<&'a MediaPlaylist<A>>,
}

impl<A> Default for Context<'_, A> {
    fn default() -> Self {
        Self { variables: None, earlier: None }
    }
}

/// Either kind of playlist.
#[derive(Debug, Clone, PartialEq)]
pub enum Playlist<A = Url> {
    /// A list of qualities.
    Multivariant(Multivariant<A>),
    /// A list of segments.
    Media(MediaPlaylist<A>),
}

/// A list of segments (sections 4.4.3 and 4.4.4 of the draft).
#[derive(Debug, Clone, PartialEq)]
pub struct MediaPlaylist<A = Url> {
    /// In playing order.
    pub segments: Vec<Segment<A>>,
    /// Longest segment, rounded, as the playlist states it.
    pub target_duration: Duration,
    /// How many discontinuities lie before the first segment: see [`Self::clocks`].
    pub discontinuity_sequence: u64,
    /// Segments before the first that the server left out because whoever asked should know them (`EXT-X-SKIP`), and that
    /// [`Context::earlier`] did not have. When it did not have the last of them either, `unsupported` says so: which key
    /// and which initialisation section hold is not known then, and the playlist must be asked for again, whole.
    pub skipped: u64,
    /// `EXT-X-ENDLIST` is there.
    pub ended: bool,
    /// `EXT-X-PLAYLIST-TYPE:VOD`: nothing changes.
    pub vod: bool,
    /// `EXT-X-PLAYLIST-TYPE:EVENT`: segments are added and none is removed.
    pub event: bool,
    /// Only single pictures, for scrubbing.
    pub i_frames_only: bool,
    /// No segment's duration has a decimal point: they may be rounded to whole seconds, as all were before version 3, and
    /// then their sum drifts.
    pub rounded: bool,
    /// A segment is protected by DRM.
    pub drm: Option<Drm>,
    /// Something in it cannot be downloaded by this version; one clause in plain words.
    pub unsupported: Option<String>,
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

    /// For each segment the number of its clock (`EXT-X-DISCONTINUITY-SEQUENCE`): the same in every playlist of a stream,
    /// and timestamps of the same number are of the same clock.
    pub fn clocks(&self) -> impl Iterator<Item = u64> + '_ {
        self.segments.iter().scan(self.discontinuity_sequence, |clock, segment| {
            *clock = clock.saturating_add(u64::from(segment.discontinuity));
            Some(*clock)
        })
    }

    /// Longest segment there really is.
    #[must_use]
    pub fn longest_segment(&self) -> Duration {
        self.segments.iter().map(|segment| segment.duration).max().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests;
