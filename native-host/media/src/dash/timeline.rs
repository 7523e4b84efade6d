//! The segments of one representation in one period, at a moment (sections 5.3.9.2 to 5.3.9.6 of the standard).
//!
//! Never looks at other periods. Invariant: segments are in order of time, each begins where it says on the presentation's
//! line, and together they are as long as what they cover.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::address::resolve;
use super::model::{Addressing, Entry, Period, Representation, Scheme, Source};
use super::protection::Protection;
use super::run::{EMPTY, Run, to_u64};
use super::template::{Place, Template};
use super::track::{Media, Timed};
use super::{Indexed, MAX_SEGMENTS, MpdError};
use crate::segment::{ByteRange, Key, Map, Segment};

/// A computed segment shorter than this is a rounding error of the period's length, in microseconds: half a picture.
const SLACK_US: i128 = 10_000;
/// How many segments a live presentation without window reaches back.
const MAX_LIVE: u64 = 50_000;
/// As good as endless, and small enough to be multiplied by any length.
const MANY: u64 = u64::MAX / 4;
const NO_TIME: &str = "a time in it cannot be";

/// What is there by now of a presentation that goes on.
#[derive(Debug, Clone, Copy)]
pub(super) struct Now {
    /// The moment, on the presentation's line of time; none when the manifest does not say when that began.
    pub(super) at_us: Option<i64>,
    /// How far back segments are kept.
    pub(super) depth_us: Option<i64>,
}

/// The media of a representation in its period; `now` is none when all of it is there.
pub(super) fn media(
    period: &Period,
    representation: &Representation,
    now: Option<Now>,
) -> Result<Media, MpdError> {
    let Some(base) = representation.bases.first() else { return Err(no_address()) };
    let key = match &representation.protection {
        Protection::Clear(key) => Some(Arc::clone(key)),
        _ => None,
    };
    let stretch = Stretch { period, base: &base.url, now, key };
    let early = |scheme: &Scheme| {
        let own = if scheme.early_is_partial { 0 } else { scheme.availability_offset_us.unwrap_or(0) };
        own.saturating_add(base.availability_offset_us)
    };
    match &representation.addressing {
        Addressing::Template(scheme) => match &scheme.media {
            Some(media) => {
                let id = &representation.is;
                let template = |text: &str| Template::new(text, &id.id, id.bandwidth);
                let media = template(media)?;
                // Packagers write templates into the element too.
                let element = scheme.initialization.as_ref().filter(|source| source.range.is_none());
                let element = element.and_then(|source| source.url.as_deref());
                let initialization = scheme.initialization_template.as_deref().or(element);
                let initialization = initialization.map(template).transpose()?;
                stretch.templated(scheme, &media, initialization.as_ref(), early(scheme))
            }
            None => stretch.file(Some(scheme)),
        },
        Addressing::List(scheme) => stretch.listed(scheme, early(scheme)),
        Addressing::Base(scheme) => {
            let backups = representation.bases.iter().skip(1).map(|base| base.url.clone()).collect();
            stretch.indexed(scheme, backups, representation.subtype.as_deref() == Some("webm"))
        }
        Addressing::File => stretch.file(None),
    }
}

fn no_address() -> MpdError {
    MpdError::malformed("a representation has no address")
}

/// A representation's place.
struct Stretch<'a> {
    period: &'a Period,
    base: &'a Url,
    now: Option<Now>,
    key: Option<Arc<Key>>,
}

impl Stretch<'_> {
    fn templated(
        &self,
        scheme: &Scheme,
        media: &Template,
        initialization: Option<&Template>,
        early_us: i64,
    ) -> Result<Media, MpdError> {
        let runs = match (&scheme.timeline, scheme.duration) {
            (Some(timeline), _) => self.timeline_runs(scheme, timeline, early_us)?,
            (None, Some(duration)) => self.computed_run(scheme, duration, early_us)?,
            (None, None) => vec![self.single_run(scheme)?],
        };
        let count: u64 = runs.iter().map(|run| run.count).fold(0, u64::saturating_add);
        if count > 1 && !media.is_numbered() {
            return Err(MpdError::malformed("all its segments have the same address"));
        }
        let map = match initialization {
            Some(template) => {
                let url = resolve(self.base, &template.fill_initialization())?;
                Some(Arc::new(Map { url, byte_range: None, key: None, sequence: 0 }))
            }
            None => self.map(scheme)?,
        };
        let source = |place: Place, _: u64| Ok((resolve(self.base, &media.fill(place))?, None));
        self.segments(scheme, &runs, media.has_sub_number(), map.as_ref(), source)
    }

    fn listed(&self, scheme: &Scheme, early_us: i64) -> Result<Media, MpdError> {
        let urls: &[Source] = scheme.urls.as_deref().map_or(&[], Vec::as_slice);
        if urls.is_empty() {
            return if self.now.is_some() {
                Ok(Media::Segments(Vec::new()))
            } else {
                self.file(Some(scheme))
            };
        }
        let count = urls.len() as u64;
        let runs = match (&scheme.timeline, scheme.duration) {
            (Some(timeline), _) => {
                let runs = self.timeline_runs(scheme, timeline, early_us)?;
                if runs.last().is_some_and(|run| run.index.saturating_add(run.count) > count) {
                    return Err(MpdError::malformed("its list has fewer addresses than segments"));
                }
                runs
            }
            (None, Some(duration)) => {
                // As the list of a live presentation moves on, so do its numbers.
                let number = scheme.first_number();
                let before = if self.now.is_some() { number.saturating_sub(1).min(MANY) } else { 0 };
                let time = i128::from(scheme.offset()) + i128::from(duration) * i128::from(before);
                let run = Run {
                    time,
                    duration,
                    count,
                    last_duration: duration,
                    number,
                    index: 0,
                    parts: 1,
                    doubtful: false,
                };
                // One too many is a period stated too short; more are not meant.
                let room = self
                    .room(scheme, duration)
                    .filter(|room| self.now.is_none() && count > room.saturating_add(1));
                vec![self.clipped(scheme, run.first(room.unwrap_or(count)))]
            }
            (None, None) => vec![self.shared_run(scheme, count)?],
        };
        let map = self.map(scheme)?;
        let source = |_: Place, index: u64| {
            let source =
                usize::try_from(index).ok().and_then(|index| urls.get(index)).ok_or_else(no_address)?;
            self.source(source)
        };
        self.segments(scheme, &runs, false, map.as_ref(), source)
    }

    fn indexed(&self, scheme: &Scheme, backups: Vec<Url>, is_webm: bool) -> Result<Media, MpdError> {
        if self.base.path().ends_with('/') {
            return Err(no_address());
        }
        if self.key.is_some() {
            let reason =
                "its segments are encrypted one by one in one file, which this version does not undo";
            return Err(MpdError::Unsupported { reason: reason.to_owned() });
        }
        Ok(Media::Indexed(Indexed {
            url: self.base.clone(),
            backups,
            index: scheme.index_range,
            map: self.map(scheme)?,
            discontinuity: false,
            shift_us: self.shift_us(scheme)?,
            from_us: self.period.start_us,
            // What is stated too short cuts nothing off at the very end.
            to_us: self.period.cut_us,
            duration: self.period.duration_us.map(micros).unwrap_or_default(),
            is_webm,
        }))
    }

    fn file(&self, scheme: Option<&Scheme>) -> Result<Media, MpdError> {
        if self.base.path().ends_with('/') {
            return Err(no_address());
        }
        let none = Scheme::default();
        let scheme = scheme.unwrap_or(&none);
        let map = self.map(scheme)?;
        // It may be of any length then; the end tells.
        let run = self.single_run(scheme).unwrap_or(Run { duration: 0, last_duration: 0, ..EMPTY });
        self.segments(scheme, &[run], false, map.as_ref(), |_, _| Ok((self.base.clone(), None)))
    }

    /// One segment for the whole period.
    fn single_run(&self, scheme: &Scheme) -> Result<Run, MpdError> {
        self.shared_run(scheme, 1)
    }

    /// Equal shares of the period, where nothing says how long segments are.
    fn shared_run(&self, scheme: &Scheme, count: u64) -> Result<Run, MpdError> {
        let length =
            self.period.duration_us.ok_or(MpdError::malformed("a period does not say how long it is"))?;
        let ticks = to_u64(i128::from(length) * i128::from(scheme.timescale()) / 1_000_000);
        let duration = ticks / count.max(1);
        let last_duration = ticks - duration * (count - 1);
        let (time, number) = (i128::from(scheme.offset()), scheme.first_number());
        Ok(Run { time, duration, count, last_duration, number, index: 0, parts: 1, doubtful: false })
    }

    /// Segments of equal length, as many as the period has room for.
    fn computed_run(&self, scheme: &Scheme, duration: u64, early_us: i64) -> Result<Vec<Run>, MpdError> {
        let time = i128::from(scheme.offset());
        let number = scheme.first_number();
        let numbered = scheme.end_number.map(|end| end.saturating_add(1).saturating_sub(number).min(MANY));
        let fits = self.room(scheme, duration);
        let count = match (numbered, fits, self.now) {
            (Some(count), ..) | (None, Some(count), _) => count,
            (None, None, Some(_)) => MANY,
            (None, None, None) => return Err(MpdError::malformed("a period does not say how long it is")),
        };
        let run = Run {
            time,
            duration,
            count,
            last_duration: duration,
            number,
            index: 0,
            parts: 1,
            doubtful: false,
        };
        let run = self.clipped(scheme, run);
        // Real segments are a little longer or shorter than their stated length, and sound and picture end apart: whether
        // there is one more for the rest, nobody says. A whole one that is missing shows in the length of the result.
        let doubtful = numbered.is_none() && run.count > 1;
        let run = Run { doubtful, ..run };
        let Some(now) = self.now else { return Ok(vec![run]) };
        let Some(at) = now.at_us else {
            return Err(MpdError::malformed("it is live and does not say when it began"));
        };
        // Computed segments are there when they are whole.
        let available = self.ticks_at(at.saturating_add(early_us), scheme);
        let run = run.first(to_u64((available - time) / i128::from(duration)));
        let run = run.without_first(run.count.saturating_sub(MAX_LIVE));
        let from = now.depth_us.map(|depth| self.ticks_at(at.saturating_sub(depth), scheme));
        Ok(run.between(from, None).into_iter().collect())
    }

    /// How many segments of this length the period has room for, at least one.
    fn room(&self, scheme: &Scheme, duration: u64) -> Option<u64> {
        let length = self.end(scheme)? - i128::from(scheme.offset()) - ticks(SLACK_US, scheme);
        Some(to_u64((length + i128::from(duration) - 1) / i128::from(duration)).max(1))
    }

    /// What a `SegmentTimeline` lists.
    fn timeline_runs(&self, scheme: &Scheme, entries: &[Entry], early_us: i64) -> Result<Vec<Run>, MpdError> {
        let mut runs: Vec<Run> = Vec::with_capacity(entries.len());
        let (mut time, mut number, mut index) = (0_i128, scheme.first_number(), 0_u64);
        let now = self.now.and_then(|now| now.at_us);
        for (at, entry) in entries.iter().enumerate() {
            time = entry.time.map_or(time, i128::from);
            number = entry.number.unwrap_or(number);
            let count = match entry.repeat {
                Some(repeat) => repeat.saturating_add(1).min(MANY),
                None => {
                    let next = entries.get(at + 1).map(|next| next.time.map(i128::from));
                    let duration = i128::from(entry.duration);
                    let until = |end: i128| to_u64((end - time - duration / 50 + duration - 1) / duration);
                    match (next, self.end(scheme), now) {
                        (Some(Some(next)), ..) => until(next),
                        (Some(None), ..) | (None, None, None) => {
                            return Err(MpdError::malformed("a segment is repeated without end"));
                        }
                        (None, end, now) => {
                            let room = end.map_or(MANY, until);
                            let early = |now: i64| self.ticks_at(now.saturating_add(early_us), scheme);
                            room.min(now.map_or(MANY, |now| to_u64((early(now) - time) / duration)))
                        }
                    }
                }
            };
            let (duration, parts) = (entry.duration, entry.parts);
            let run =
                Run { time, duration, count, last_duration: duration, number, index, parts, doubtful: false };
            if let Some(before) = runs.last_mut().filter(|before| before.count > 0 && before.end() > time) {
                // A little of an overlap is rounding; whole segments are not.
                if time <= before.last_start() {
                    return Err(MpdError::malformed("its segments go back in time"));
                }
                before.last_duration = to_u64(time - before.last_start());
            }
            time = run.end();
            if run.count == 0 {
                continue;
            }
            index = index.saturating_add(count);
            number = number.saturating_add(count);
            if number < count || time > i128::from(u64::MAX) {
                return Err(MpdError::malformed(NO_TIME));
            }
            runs.push(run);
        }
        if let Some(end) = scheme.end_number {
            runs.retain(|run| run.number <= end);
            if let Some(last) = runs.last_mut() {
                *last = last.first((end - last.number).saturating_add(1));
            }
        }
        match self.now {
            Some(now) => Ok(self.begun(scheme, &runs, now, early_us)),
            None => {
                let from = i128::from(scheme.offset());
                let inside: Vec<Run> =
                    runs.iter().filter_map(|run| run.between(Some(from), self.cut(scheme))).collect();
                // A clock that has nothing to do with the period's: the segments are still those listed.
                Ok(if inside.is_empty() { runs } else { inside })
            }
        }
    }

    /// What of a live presentation has begun. What is listed before it is whole is fetched all the same: its server
    /// knows better than a clock that may be wrong.
    fn begun(&self, scheme: &Scheme, runs: &[Run], now: Now, early_us: i64) -> Vec<Run> {
        let begun = now.at_us.map(|at| self.ticks_at(at.saturating_add(early_us.max(0)), scheme) + 1);
        let to = match (begun, self.cut(scheme)) {
            (Some(begun), Some(cut)) => Some(begun.min(cut)),
            (begun, cut) => begun.or(cut),
        };
        let between = |from| runs.iter().filter_map(|run| run.between(from, to)).collect::<Vec<Run>>();
        let inside = between(Some(i128::from(scheme.offset())));
        if inside.is_empty() { between(None) } else { inside }
    }

    /// The run without what lies beyond the period, and its last segment as long as the period has room for.
    fn clipped(&self, scheme: &Scheme, run: Run) -> Run {
        let run = run.between(None, self.cut(scheme)).unwrap_or(Run { count: 0, ..run });
        match self.end(scheme) {
            Some(end) if run.count > 0 && run.end() > end && run.last_start() < end => {
                Run { last_duration: to_u64(end - run.last_start()), ..run }
            }
            // One more than there is room for is most often what the lengths of the others were rounded away from, seldom
            // a whole one: either is within half a segment of this, or nearly.
            Some(end) if run.count > 1 && run.last_start() == end => {
                Run { last_duration: (run.last_duration / 3).max(1), ..run }
            }
            _ => run,
        }
    }

    /// Where the period ends.
    fn end(&self, scheme: &Scheme) -> Option<i128> {
        let length = self.period.duration_us?;
        Some(i128::from(scheme.offset()) + ticks(i128::from(length), scheme))
    }

    /// Where listed segments are no longer meant.
    fn cut(&self, scheme: &Scheme) -> Option<i128> {
        self.period.cut_us.map(|cut| self.ticks_at(cut, scheme))
    }

    /// A moment of the presentation in the scheme's units.
    fn ticks_at(&self, at_us: i64, scheme: &Scheme) -> i128 {
        i128::from(scheme.offset()) + ticks(i128::from(at_us) - i128::from(self.period.start_us), scheme)
    }

    fn shift_us(&self, scheme: &Scheme) -> Result<i64, MpdError> {
        let offset = i128::from(scheme.offset()) * 1_000_000 / i128::from(scheme.timescale());
        i64::try_from(i128::from(self.period.start_us) - offset).map_err(|_| MpdError::malformed(NO_TIME))
    }

    fn map(&self, scheme: &Scheme) -> Result<Option<Arc<Map>>, MpdError> {
        let Some(source) = &scheme.initialization else { return Ok(None) };
        let (url, byte_range) = self.source(source)?;
        Ok(Some(Arc::new(Map { url, byte_range, key: None, sequence: 0 })))
    }

    fn source(&self, source: &Source) -> Result<(Url, Option<ByteRange>), MpdError> {
        let url = match &source.url {
            Some(reference) => resolve(self.base, reference)?,
            None => self.base.clone(),
        };
        Ok((url, source.range))
    }

    fn segments(
        &self,
        scheme: &Scheme,
        runs: &[Run],
        in_parts: bool,
        map: Option<&Arc<Map>>,
        source: impl Fn(Place, u64) -> Result<(Url, Option<ByteRange>), MpdError>,
    ) -> Result<Media, MpdError> {
        let shift_us = self.shift_us(scheme)?;
        let place_us = |time: i128| {
            let since = time - i128::from(scheme.offset());
            let us = since.checked_mul(1_000_000).ok_or(MpdError::malformed(NO_TIME))?;
            let us = us.div_euclid(i128::from(scheme.timescale())) + i128::from(self.period.start_us);
            i64::try_from(us).map_err(|_| MpdError::malformed(NO_TIME))
        };
        let parts = |run: &Run| if in_parts { run.parts } else { 1 };
        let total = runs.iter().map(|run| run.count.saturating_mul(parts(run))).fold(0, u64::saturating_add);
        if total > MAX_SEGMENTS as u64 {
            return Err(MpdError::malformed("it has more than a million segments"));
        }
        let mut segments = Vec::with_capacity(usize::try_from(total).unwrap_or_default());
        for run in runs {
            let parts = parts(run);
            for nth in 0..run.count {
                let time = run.time + i128::from(run.duration) * i128::from(nth);
                let length = if nth + 1 == run.count { run.last_duration } else { run.duration };
                let (number, index) = (run.number.saturating_add(nth), run.index.saturating_add(nth));
                for part in 0..parts {
                    let at = |part: u64| time + i128::from(length) * i128::from(part) / i128::from(parts);
                    let (start_us, end_us) = (place_us(at(part))?, place_us(at(part + 1))?);
                    let place = Place { number, time: to_u64(time), sub_number: part + 1 };
                    let (url, byte_range) = source(place, index)?;
                    let length = u64::try_from(end_us.saturating_sub(start_us)).unwrap_or_default();
                    segments.push(Timed {
                        start_us,
                        doubtful: run.doubtful && nth + 1 == run.count,
                        segment: Segment {
                            url,
                            duration: Duration::from_micros(length),
                            sequence: number,
                            byte_range,
                            key: self.key.clone(),
                            map: map.cloned(),
                            discontinuity: false,
                            gap: false,
                            date_ms: None,
                            shift_us: Some(shift_us),
                        },
                    });
                }
            }
        }
        Ok(Media::Segments(segments))
    }
}

fn micros(us: i64) -> Duration {
    Duration::from_micros(u64::try_from(us).unwrap_or_default())
}

/// Microseconds in the scheme's units.
fn ticks(us: i128, scheme: &Scheme) -> i128 {
    us * i128::from(scheme.timescale()) / 1_000_000
}
