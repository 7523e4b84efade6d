//! One representation and its continuations, through all the periods.
//!
//! Never chooses between qualities: a continuation is the like of what was chosen. Invariant: parts are in order of time, and
//! a period that has nothing of the kind is among them, as absent.

use std::time::Duration;

use url::Url;

use super::model::{ContentKind, Period, Representation, RepresentationId};
use super::protection::Protection;
use super::timeline::{self, Now};
use super::{Indexed, MAX_SEGMENTS, Moment, Mpd, MpdError};
use crate::segment::{Map, Segment};

/// What has to be fetched for a representation.
#[derive(Debug, Clone, PartialEq)]
pub struct Track {
    /// One for each period that has begun and is not gone, in order of time.
    pub parts: Vec<Part>,
    /// Nothing is still to come.
    pub over: bool,
}

/// A track in one period.
#[derive(Debug, Clone, PartialEq)]
pub struct Part {
    /// `@id` of the period, or its place in time; the same at every refresh.
    pub period: String,
    /// `@id` of the representation; empty when there is none.
    pub representation: String,
    /// Where the period begins, in microseconds on the presentation's line of time.
    pub start_us: i64,
    /// How long it is; none as long as it goes on.
    pub duration: Option<Duration>,
    /// Bits per second.
    pub bandwidth: Option<u64>,
    /// What is to be fetched.
    pub media: Media,
    /// Base addresses: the one used, and those of the same content elsewhere.
    bases: Vec<Url>,
}

/// How the bytes of a part are found.
#[derive(Debug, Clone, PartialEq)]
pub enum Media {
    /// Piece by piece; in a live presentation there may be none yet.
    Segments(Vec<Timed>),
    /// By the index of one file.
    Indexed(Indexed),
    /// Nothing of this kind exists in the period.
    Absent,
}

/// A segment and its place. `(Part::period, start_us)` is its identity, the same at every refresh.
#[derive(Debug, Clone, PartialEq)]
pub struct Timed {
    /// Where it begins, in microseconds on the presentation's line of time.
    pub start_us: i64,
    /// The manifest only says that the presentation lasts longer than the segments before; a server that does not have
    /// this last and short one loses nothing.
    pub doubtful: bool,
    /// What to fetch. Its `sequence` is `$Number$`, or its place in the list: unique in its period only.
    pub segment: Segment,
}

impl Timed {
    /// Where it ends, in microseconds on the presentation's line of time.
    #[must_use]
    pub fn end_us(&self) -> i64 {
        self.start_us.saturating_add(i64::try_from(self.segment.duration.as_micros()).unwrap_or(i64::MAX))
    }
}

/// Time that the manifest itself leaves out.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hole {
    /// Where it begins, in microseconds on the presentation's line of time.
    pub start_us: i64,
    /// How long it is.
    pub length: Duration,
}

impl Part {
    /// The other addresses of something that is at `url`, most wanted first.
    #[must_use]
    pub fn backups(&self, url: &Url) -> Vec<Url> {
        let Some((used, others)) = self.bases.split_first() else { return Vec::new() };
        let Some(relative) = used.make_relative(url) else { return Vec::new() };
        let elsewhere = others.iter().filter_map(|base| base.join(&relative).ok());
        elsewhere.filter(|backup| backup != url).collect()
    }

    /// Time between its segments that no segment covers, from `least` on; all of it when nothing of its kind exists.
    #[must_use]
    pub fn holes(&self, least: Duration) -> Vec<Hole> {
        let segments = match &self.media {
            Media::Segments(segments) => segments,
            Media::Indexed(_) => return Vec::new(),
            Media::Absent => {
                let length = self.duration.filter(|length| *length >= least && !length.is_zero());
                return length.map(|length| Hole { start_us: self.start_us, length }).into_iter().collect();
            }
        };
        let between = segments.iter().zip(segments.iter().skip(1));
        between
            .filter_map(|(before, after)| {
                let start_us = before.end_us();
                let length = u64::try_from(after.start_us.saturating_sub(start_us)).ok()?;
                let length = Duration::from_micros(length);
                (length >= least && !length.is_zero()).then_some(Hole { start_us, length })
            })
            .collect()
    }
}

impl Track {
    /// One past the newest microsecond there is: the live edge. None when there is nothing, or only the index of a file
    /// tells.
    #[must_use]
    pub fn edge_us(&self) -> Option<i64> {
        self.parts.iter().rev().find_map(|part| match &part.media {
            Media::Segments(segments) => segments.last().map(Timed::end_us),
            Media::Indexed(_) | Media::Absent => None,
        })
    }

    /// Leaves out what slid out of the window. It hangs from the newest segment there is, so that a clock that is ahead
    /// does not empty it.
    fn forget(&mut self, now: Now) {
        if let (Some(depth), Some(newest)) = (now.depth_us, self.edge_us()) {
            let from = now.at_us.map_or(newest, |at| at.min(newest)).saturating_sub(depth);
            for part in &mut self.parts {
                if let Media::Segments(segments) = &mut part.media {
                    segments.retain(|timed| timed.end_us() > from);
                }
            }
        }
        // Of a period without segments there is nothing to say, but that of the newest that they are to come.
        let mut left = self.parts.len();
        self.parts.retain(|part| {
            left -= 1;
            left == 0 || !matches!(&part.media, Media::Segments(segments) if segments.is_empty())
        });
    }

    /// Marks where decoders have to begin anew: between parts of another initialisation section or clock.
    fn mark(&mut self) {
        let mut before = None;
        for part in &mut self.parts {
            let clock = part.media.clock();
            if clock.is_some() {
                if before.is_some() && before != clock {
                    part.media.begin_anew();
                }
                before = clock;
            }
        }
    }

    /// Sum of its segments; those that only an index tells count as long as their period. None when one of these goes on.
    #[must_use]
    pub fn duration(&self) -> Option<Duration> {
        self.parts.iter().try_fold(Duration::ZERO, |sum, part| {
            let length = match &part.media {
                Media::Segments(segments) => segments
                    .iter()
                    .fold(Duration::ZERO, |sum, timed| sum.saturating_add(timed.segment.duration)),
                Media::Indexed(_) => part.duration?,
                Media::Absent => Duration::ZERO,
            };
            Some(sum.saturating_add(length))
        })
    }
}

impl Mpd {
    /// What has to be fetched for a representation, and for its like in the periods that do not have it.
    ///
    /// # Errors
    /// None is like it; it is protected in some period; or its addresses are malformed, see [`MpdError`].
    pub fn track(&self, wanted: &RepresentationId, at: Moment) -> Result<Track, MpdError> {
        let now = self.live.then(|| Now {
            at_us: self.availability_start_time.map(|start| {
                let since = (i128::from(at.now_unix_ms) - i128::from(start)) * 1000;
                let limit = i128::from(i64::MAX / 4);
                i64::try_from(since.clamp(-limit, limit)).unwrap_or_default()
            }),
            depth_us: self.time_shift_buffer_depth.and_then(|depth| i64::try_from(depth.as_micros()).ok()),
        });
        let mut parts: Vec<Part> = Vec::new();
        let mut count = 0;
        let mut known = false;
        for period in &self.periods {
            let ahead = now.and_then(|now| now.at_us).is_some_and(|at| period.start_us > at);
            let like = like(period, wanted)?;
            known |= like.is_some();
            if ahead || (like.is_none() && (period.duration_us == Some(0) || now.is_some())) {
                continue;
            }
            let media = match like {
                Some(representation) => timeline::media(period, representation, now)?,
                None => Media::Absent,
            };
            count += match &media {
                Media::Segments(segments) => segments.len(),
                Media::Indexed(_) | Media::Absent => 0,
            };
            if count > MAX_SEGMENTS {
                return Err(MpdError::malformed("it has more than a million segments"));
            }
            parts.push(Part {
                period: period.name.clone(),
                representation: like.map(|like| like.is.id.clone()).unwrap_or_default(),
                start_us: period.start_us,
                duration: period.duration_us.map(|us| Duration::from_micros(u64::try_from(us).unwrap_or(0))),
                bandwidth: like.and_then(|like| like.is.bandwidth),
                media,
                bases: like
                    .map(|like| like.bases.iter().map(|base| base.url.clone()).collect())
                    .unwrap_or_default(),
            });
        }
        if !known {
            return Err(MpdError::NoSuchRepresentation { wanted: wanted.id.clone() });
        }
        let mut track = Track { parts, over: self.is_over(at) };
        if let Some(now) = now {
            track.forget(now);
        }
        track.mark();
        Ok(track)
    }
}

impl Media {
    /// What a decoder has to know to go on: the initialisation section and the clock.
    fn clock(&self) -> Option<(Option<Map>, Option<i64>)> {
        let (map, shift_us) = match self {
            Self::Segments(segments) => {
                let first = &segments.first()?.segment;
                (first.map.as_deref(), first.shift_us)
            }
            Self::Indexed(indexed) => (indexed.map.as_deref(), Some(indexed.shift_us)),
            Self::Absent => return None,
        };
        Some((map.cloned(), shift_us))
    }

    fn begin_anew(&mut self) {
        match self {
            Self::Segments(segments) => {
                if let Some(first) = segments.first_mut() {
                    first.segment.discontinuity = true;
                }
            }
            Self::Indexed(indexed) => indexed.discontinuity = true,
            Self::Absent => {}
        }
    }
}

/// The representation of a period that is, or continues, what is wanted.
fn like<'a>(period: &'a Period, wanted: &RepresentationId) -> Result<Option<&'a Representation>, MpdError> {
    let apart = |a: Option<u64>, b: Option<u64>| match (a, b) {
        (Some(a), Some(b)) => a.abs_diff(b),
        (None, None) => 0,
        _ => u64::MAX,
    };
    let best = period
        .representations
        .iter()
        .filter(|found| found.is.kind == wanted.kind)
        // The wrong words are worse than none.
        .filter(|found| wanted.kind != ContentKind::Text || found.is.language == wanted.language)
        .min_by_key(|found| {
            let is = &found.is;
            let same_language = is.language == wanted.language;
            // Advertisements are often without language: their names are as good as their place.
            let compatible = same_language || is.language.is_none() || wanted.language.is_none();
            (
                !found.protection.is_open(),
                !(is.id == wanted.id && compatible && is.role == wanted.role),
                !same_language,
                is.role != wanted.role,
                is.codec != wanted.codec,
                apart(is.lines, wanted.lines),
                apart(is.channels, wanted.channels),
                apart(is.bandwidth, wanted.bandwidth),
            )
        });
    match best.map(|best| (best, &best.protection)) {
        None => Ok(None),
        Some((best, Protection::None | Protection::Clear(_))) => Ok(Some(best)),
        Some((_, Protection::Drm(system))) => Err(MpdError::Protected(system.clone())),
        Some((_, Protection::Unsupported(reason))) => Err(MpdError::Unsupported { reason: reason.clone() }),
    }
}
