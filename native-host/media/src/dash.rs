//! MPEG-DASH manifests as values (ISO/IEC 23009-1, called the standard below).
//!
//! Owns the meaning of an MPD: what it offers, and which segments a choice is made of, through all its periods and at a
//! given moment. Never fetches anything: indexes of files and times of servers are asked for by the caller. Invariant:
//! every function is total, [`parse`] accepts only what has at least one representation, and a [`Track`] holds no more
//! than [`MAX_SEGMENTS`] segments.

mod address;
mod cues;
mod indexed;
mod model;
mod offer;
mod period;
mod protection;
mod read;
mod run;
mod shape;
mod template;
mod timeline;
mod track;
mod values;
mod xml;

use std::time::Duration;

use url::Url;

use crate::drm::Drm;

pub use indexed::{IndexError, Indexed};
pub use model::{ContentKind, RepresentationId};
pub use read::parse;
pub use track::{Hole, Media, Part, Timed, Track};
pub use values::unix_ms;
pub use xml::text;

/// Most segments of a track.
pub const MAX_SEGMENTS: usize = 1_000_000;

/// Why text is not a usable MPD, or a part of it not to be had.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum MpdError {
    /// The first element is another, or it is no XML at all.
    #[error("{}", if *.html { "the server sent a web page instead of a DASH manifest" } else { "this is not a DASH manifest" })]
    NotAnMpd {
        /// It looks like a web page, as error and login pages do.
        html: bool,
    },
    /// No text, no period, or nothing in it.
    #[error("the DASH manifest is empty")]
    Empty,
    /// The text ends in the middle.
    #[error("the DASH manifest is cut off")]
    Cut,
    /// Something that cannot be understood and cannot be skipped without making the result wrong.
    #[error("the DASH manifest is malformed: {reason}")]
    Malformed {
        /// One clause in plain words.
        reason: &'static str,
    },
    /// This version cannot download it.
    #[error("the DASH manifest cannot be used: {reason}")]
    Unsupported {
        /// One clause in plain words.
        reason: String,
    },
    /// What was chosen is protected in a part of the presentation.
    #[error("it is protected by {}", .0.system)]
    Protected(Drm),
    /// No representation is called so, nor is any like it.
    #[error("the DASH manifest has no representation like {wanted}")]
    NoSuchRepresentation {
        /// Its `@id`.
        wanted: String,
    },
}

impl MpdError {
    pub(crate) const fn malformed(reason: &'static str) -> Self {
        Self::Malformed { reason }
    }
}

/// A manifest.
#[derive(Debug, Clone, PartialEq)]
pub struct Mpd {
    /// It may change (`type="dynamic"`). Whether anything is still to come at some moment, [`Mpd::is_over`] tells.
    pub live: bool,
    /// Length of the whole presentation, when it is known.
    pub duration: Option<Duration>,
    /// How long what it says is good for: zero means that each segment may bring news, none that it never changes. See
    /// [`Mpd::refresh_after`].
    pub minimum_update_period: Option<Duration>,
    /// How far back segments are kept.
    pub time_shift_buffer_depth: Option<Duration>,
    /// When the presentation began, in milliseconds since 1970.
    pub availability_start_time: Option<i64>,
    /// When this manifest was written, in milliseconds since 1970.
    pub publish_time: Option<i64>,
    /// How far from the live edge players stay.
    pub suggested_presentation_delay: Option<Duration>,
    /// Longest segment, as the manifest states it.
    pub max_segment_duration: Option<Duration>,
    /// Where to ask what time it is, in the order of preference.
    pub clocks: Vec<Clock>,
    /// Where to ask for the manifest from now on; the first is the preferred one.
    pub locations: Vec<Url>,
    /// What it is called.
    pub title: Option<String>,
    /// Set when there is a part whose picture, or whose sound, can be had only through a DRM system.
    pub drm: Option<Drm>,
    /// Set when something else stands in the way of picture or sound; one clause in plain words.
    pub unsupported: Option<String>,
    periods: Vec<model::Period>,
}

/// A way to learn the time the server goes by (`UTCTiming`, section 5.8.4.11).
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Clock {
    /// The `Date` header of the answer to a HEAD request.
    HttpHead(Url),
    /// The body of the answer is a date, to be read by [`unix_ms`].
    HttpIso(Url),
    /// Milliseconds since 1970, when the manifest was sent.
    Direct(i64),
}

/// A moment, by the server's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Moment {
    /// Milliseconds since 1970.
    pub now_unix_ms: i64,
}

impl Mpd {
    /// Nothing is still to come: the manifest is static, or what it announced has all been shown by now.
    #[must_use]
    pub fn is_over(&self, at: Moment) -> bool {
        if !self.live {
            return true;
        }
        let end = self.availability_start_time.zip(self.duration).map(|(start, duration)| {
            i128::from(start) + i128::try_from(duration.as_millis()).unwrap_or(i128::MAX / 2)
        });
        end.is_some_and(|end| i128::from(at.now_unix_ms) >= end)
    }

    /// How long after it was fetched the manifest should be fetched again; `newest_segment` is the length of the newest
    /// segment. None when it will not change.
    #[must_use]
    pub fn refresh_after(&self, newest_segment: Duration) -> Option<Duration> {
        let period = self.minimum_update_period.filter(|_| self.live)?;
        // Zero says that only the segments themselves announce changes: with each of them there may be one more.
        Some(if period.is_zero() { newest_segment.max(Duration::from_millis(500)) } else { period })
    }
}

#[cfg(test)]
mod tests;
