//! How long a track lasts and whether something is missing in its middle, from the decoding times of its samples.
//!
//! Pure and of bounded memory. Invariant: runs of equal samples count like the samples one by one.

use std::collections::BTreeMap;
use std::time::Duration;

use weir_media::codec::CodecKind;

/// A sample that stays longer than this is remembered.
const LONG: Duration = Duration::from_millis(300);
/// A picture that stays longer than this is a still.
const STILL: Duration = Duration::from_millis(250);
/// Samples that follow each other closer than this have been pushed together: their times went back.
const SQUEEZED: Duration = Duration::from_micros(200);
/// Fewer samples than this say nothing of how they follow each other.
const FEW: u64 = 40;
/// Most different lengths that are remembered.
const MAX_REMEMBERED: usize = 4096;
/// Most long samples, and most that can be decoded by themselves, that are.
const MAX_PLACES: usize = 1 << 16;

/// One track of a finished file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    pub(crate) kind: CodecKind,
    /// When it begins to be shown or heard.
    pub(crate) start: Duration,
    /// Sum of its samples.
    pub(crate) duration: Duration,
    /// Number of samples.
    pub(crate) samples: u64,
    /// Samples longer than 0.3 s, the last one aside: a hole in the stream looks like that.
    pub(crate) long: Vec<Long>,
    /// Where samples are that can be decoded by themselves, when others cannot; from the beginning of the track.
    pub(crate) syncs: Vec<Duration>,
    /// All samples that are not `long` follow each other evenly, and there are enough to tell.
    pub(crate) even: bool,
    /// Longest single sample, the last one aside.
    pub(crate) longest_sample: Duration,
    /// Part of `duration` in samples that are no stills.
    pub(crate) moving: Duration,
    /// Time that samples would take whose times went back and were pushed together.
    pub(crate) squeezed: Duration,
    /// Only some of its samples can be decoded by themselves.
    pub(crate) depends: bool,
}

/// A sample that stays for long.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Long {
    /// From the beginning of the track.
    pub(crate) at: Duration,
    pub(crate) length: Duration,
    /// It can be decoded by itself, as the first of a segment can.
    pub(crate) sync: bool,
    /// So can the one after it.
    pub(crate) then_sync: bool,
}

/// Adds up samples.
#[derive(Debug, Default)]
pub(crate) struct Meter {
    units: u64,
    /// Of those that are not the last.
    booked: u64,
    samples: u64,
    /// Places, lengths, and whether they stand alone.
    long: Vec<(u64, u64, bool)>,
    syncs: Vec<u64>,
    longest: u64,
    moving: u64,
    squeezed: u64,
    lengths: BTreeMap<u64, u64>,
    depends: bool,
    last: Option<(u64, bool)>,
    timescale: u64,
}

impl Meter {
    /// Of a track whose times are in units of 1/`timescale` s.
    pub(crate) fn new(timescale: u32) -> Self {
        Self { timescale: u64::from(timescale.max(1)), ..Self::default() }
    }

    fn duration(&self, units: u64) -> Duration {
        Duration::try_from_secs_f64(units as f64 / self.timescale as f64).unwrap_or(Duration::MAX)
    }

    /// `count` samples of `length` units follow. `sync` tells of the last of them.
    pub(crate) fn add(&mut self, count: u64, length: u64, sync: bool) {
        if count == 0 {
            return;
        }
        self.depends |= !sync;
        if let Some((length, sync)) = self.last.take() {
            self.book(1, length, sync);
        }
        self.book(count - 1, length, sync);
        self.last = Some((length, sync));
        self.units = self.units.saturating_add(count.saturating_mul(length));
        self.samples += count;
    }

    /// Samples that are not the last.
    fn book(&mut self, count: u64, length: u64, sync: bool) {
        if count == 0 {
            return;
        }
        let lasts = self.duration(length);
        self.longest = self.longest.max(length);
        let places = |taken: usize| {
            let room = MAX_PLACES.saturating_sub(taken) as u64;
            (0..count.min(room)).map(|nth| self.booked.saturating_add(length.saturating_mul(nth)))
        };
        if lasts > LONG {
            self.long.extend(places(self.long.len()).map(|at| (at, length, sync)));
        }
        if sync {
            self.syncs.extend(places(self.syncs.len()));
        }
        if lasts < SQUEEZED {
            self.squeezed += count;
        }
        if self.lengths.len() < MAX_REMEMBERED || self.lengths.contains_key(&length) {
            *self.lengths.entry(length).or_default() += count;
        }
        let all = count.saturating_mul(length);
        self.moving = self.moving.saturating_add(if lasts <= STILL { all } else { 0 });
        self.booked = self.booked.saturating_add(all);
    }

    /// The track, once all samples are there. The length of the last one is often made up.
    pub(crate) fn finish(self, kind: CodecKind, start: Duration) -> Track {
        let last = self.last.map_or(0, |(length, _)| length);
        let last_moves = self.duration(last) <= STILL;
        let usual = self.usual();
        let syncs = if self.depends { self.syncs.as_slice() } else { &[] };
        let last_sync = self.last.filter(|(_, sync)| *sync).map(|_| self.booked);
        let begins = |at: u64| !self.depends || syncs.binary_search(&at).is_ok() || last_sync == Some(at);
        Track {
            kind,
            start,
            duration: self.duration(self.units),
            samples: self.samples,
            long: self
                .long
                .iter()
                .map(|(at, length, sync)| Long {
                    at: self.duration(*at),
                    length: self.duration(*length),
                    sync: *sync,
                    then_sync: begins(at.saturating_add(*length)),
                })
                .collect(),
            syncs: syncs.iter().map(|at| self.duration(*at)).collect(),
            even: self.is_even(usual),
            longest_sample: self.duration(self.longest),
            moving: self.duration(self.moving + if last_moves { last } else { 0 }),
            squeezed: self.duration(usual.saturating_mul(self.squeezed)),
            depends: self.depends,
        }
    }

    /// Whether nothing but long samples lasts longer than usual.
    fn is_even(&self, usual: u64) -> bool {
        let uneven = self.lengths.range(usual.saturating_add(usual / 2).saturating_add(1)..);
        let even = uneven.take_while(|(length, _)| self.duration(**length) <= LONG).next().is_none();
        even && self.samples >= FEW && self.lengths.len() < MAX_REMEMBERED
    }

    /// The length most samples have or stay below.
    fn usual(&self) -> u64 {
        let half = self.lengths.values().sum::<u64>() / 2;
        let mut seen = 0;
        let median = self.lengths.iter().find(|(_, count)| {
            seen += **count;
            seen > half
        });
        median.map_or(0, |(length, _)| *length)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_count_like_single_samples() {
        let (mut runs, mut singles) = (Meter::new(1000), Meter::new(1000));
        for (count, length, sync) in
            [(1, 40, true), (10, 40, false), (1, 6000, false), (9, 0, false), (1, 5000, true)]
        {
            runs.add(count, length, sync);
            (0..count).for_each(|_| singles.add(1, length, sync));
        }
        let track = runs.finish(CodecKind::Video, Duration::ZERO);
        assert_eq!(track, singles.finish(CodecKind::Video, Duration::ZERO));
        let millis = Duration::from_millis;
        assert_eq!((track.duration, track.samples), (millis(440 + 6000 + 5000), 22));
        let long = Long { at: millis(440), length: millis(6000), sync: false, then_sync: true };
        assert_eq!((track.long, track.syncs), (vec![long], vec![millis(0)]));
        assert_eq!((track.longest_sample, track.moving), (millis(6000), millis(440)));
        // Nine samples have no time of their own; usually one takes 40 ms.
        assert_eq!((track.squeezed, track.depends), (millis(9 * 40), true));
    }
}
