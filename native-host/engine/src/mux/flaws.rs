//! Which segments of a track are not what their playlist says.
//!
//! Pure. Owns what tells a segment that is cut from one that was always as long. Invariant: what encoders round, in tags, in
//! playlists and between two segments, is no flaw.

use std::time::Duration;

use super::Segment;
use super::timeline::turned_to;

/// Shortest time missing behind a segment that is a flaw, where its clock and that of the next tell.
const LEAST: Duration = Duration::from_millis(150);
/// The same of pictures, which stay for as long as nothing moves.
const LEAST_PICTURE: Duration = Duration::from_millis(500);
/// The same where only the playlist tells how long it should be.
const LEAST_BY_LIST: Duration = Duration::from_millis(600);
/// The same where the playlist tells it in whole seconds.
const LEAST_BY_SECONDS: Duration = Duration::from_millis(1100);
/// A segment that begins earlier than the one before it ended, by no more than this, has a time that was rounded.
const ROUNDED: Duration = Duration::from_millis(700);

/// What a segment holds by itself, whatever the playlist says of it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub(super) struct Measured {
    /// It ends in the middle of something.
    pub(super) torn: bool,
    /// What it ends in says how long it is, so that the next is taken for a part of it.
    pub(super) swallows: bool,
    /// When it begins by its own clock, in microseconds; none where nothing says so.
    pub(super) first_us: Option<i64>,
    /// How long it lasts, in microseconds.
    pub(super) length_us: i64,
    /// Where only pictures tell.
    pub(super) picture: bool,
    /// Its clock turns after 33 bits.
    pub(super) turns: bool,
    /// Bytes at its beginning that what follows it needs too.
    pub(super) init: u64,
    /// Bytes of it up to the end of its last whole frame of packed sound.
    pub(super) whole: u64,
}

/// One segment that is not what its playlist says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Flaw {
    /// Which of the segments that were looked at.
    pub(crate) at: usize,
    /// How much of it is missing; none for another one in its place.
    pub(crate) missing: Option<Duration>,
    /// It ends in the middle of something, which may not be readable.
    pub(crate) torn: bool,
    /// What follows it is taken for a part of it.
    pub(crate) swallows: bool,
    /// Bytes at its beginning that what follows it needs too.
    pub(crate) init: u64,
    /// Bytes of it up to the end of its last whole frame of packed sound.
    pub(crate) whole: u64,
}

/// Compares segments with each other and with the playlist. `whole_seconds` says that their lengths in it were rounded.
pub(super) fn judge(segments: &[Segment], measured: &[Measured], whole_seconds: bool) -> Vec<Flaw> {
    let mut gaps: Vec<Option<i64>> = (0..measured.len()).map(|at| gap_us(segments, measured, at)).collect();
    let known = gaps.iter().flatten().count();
    let back = |(gap, segment): &(&Option<i64>, &Segment)| gap.is_some_and(|gap| goes_back(gap, segment));
    // A clock that stands still, or goes back more often than on, is none.
    if gaps.iter().zip(segments).filter(back).count() > known / 2 {
        gaps.fill(None);
    }
    // Times that were rounded are too early as often as too late.
    let jitter = gaps.iter().flatten().map(|gap| -gap).filter(|early| *early <= us(ROUNDED)).max();
    let jitter = jitter.unwrap_or_default().max(0);
    let by_list = if whole_seconds { LEAST_BY_SECONDS } else { LEAST_BY_LIST };
    let mut flaws: Vec<Flaw> = Vec::new();
    for (at, (segment, own)) in segments.iter().zip(measured).enumerate() {
        if segment.lost || flaws.last().is_some_and(|flaw| flaw.at == at) {
            continue;
        }
        let flaw = |at: usize, missing: Option<i64>| Flaw {
            at,
            missing: missing.map(|us| Duration::from_micros(us.max(0).unsigned_abs())),
            torn: measured[at].torn,
            swallows: measured[at].swallows,
            init: measured[at].init,
            whole: measured[at].whole,
        };
        let short = us(segment.duration) - own.length_us;
        let least = us(if own.picture { LEAST_PICTURE } else { LEAST });
        match gaps[at] {
            Some(gap) if gap > least + 2 * jitter => {
                if own.torn || short >= gap / 2 {
                    flaws.push(flaw(at, Some(gap)));
                } else if is_foreign(segments, measured, &gaps, at + 1) {
                    // It is as long as it should be, so what follows it is not what should.
                    flaws.push(flaw(at + 1, None));
                }
            }
            Some(gap) if goes_back(gap, segment) => {
                if is_foreign(segments, measured, &gaps, at + 1) {
                    flaws.push(flaw(at + 1, None));
                }
            }
            Some(_) if own.torn => flaws.push(flaw(at, Some(short))),
            Some(_) => {}
            None if own.torn || own.length_us == 0 => flaws.push(flaw(at, Some(short))),
            None => {
                // What one has less may be more in the next: where a playlist cuts is a matter of taste.
                let next = segments.get(at + 1).zip(measured.get(at + 1)).filter(|(next, _)| !next.lost);
                let made_up = next.map_or(0, |(next, other)| (other.length_us - us(next.duration)).max(0));
                let least =
                    us(by_list).max(if own.first_us.is_some() { us(segment.duration) / 4 } else { 0 });
                if short - made_up > least {
                    flaws.push(flaw(at, Some(short)));
                }
            }
        }
    }
    flaws.retain(|flaw| flaw.at < segments.len());
    flaws
}

/// Whether what follows a segment begins so much before its end that no rounding explains it.
fn goes_back(gap_us: i64, segment: &Segment) -> bool {
    gap_us < -us(ROUNDED).max(us(segment.duration) / 2)
}

/// Whether a segment of another time is out of place: its time is that of another one, and the next is back where the clock
/// was, or, when there is none, it has been there before. A clock that jumps and goes on from there is none of the segments'
/// fault, and a time that is nobody's is a wrong time.
fn is_foreign(segments: &[Segment], measured: &[Measured], gaps: &[Option<i64>], at: usize) -> bool {
    let Some((there, before)) = at.checked_sub(1).and_then(|before| gaps[before]).zip(segments.get(at))
    else {
        return false;
    };
    let is_there = |other: &Segment| {
        let apart = us(other.start).saturating_sub(us(before.start));
        apart != 0 && (apart - there).abs() < us(LEAST) * 2
    };
    if !segments.iter().any(is_there) {
        return false;
    }
    match gaps.get(at).copied().flatten() {
        Some(back) => (there + back).abs() < there.abs() / 2,
        None => measured[..at].iter().any(|other| other.first_us == measured[at].first_us),
    }
}

/// Time between the end of a segment and the beginning of the next by the clock they share, in microseconds; less than 0
/// where they overlap. None where nothing tells.
fn gap_us(segments: &[Segment], measured: &[Measured], at: usize) -> Option<i64> {
    let (next, after) = (segments.get(at + 1)?, measured.get(at + 1)?);
    if next.fresh || next.lost || segments[at].lost {
        return None;
    }
    let end = measured[at].first_us?.saturating_add(measured[at].length_us);
    let begin = after.first_us?;
    let begin = if measured[at].turns { turned_to(begin, end) } else { begin };
    Some(begin.saturating_sub(end))
}

fn us(duration: Duration) -> i64 {
    i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4)
}

#[cfg(test)]
mod tests {
    use super::*;

    const S: i64 = 1_000_000;

    fn listed(lengths: &[f64]) -> Vec<Segment> {
        let mut start = Duration::ZERO;
        let segments = lengths.iter().map(|length| {
            let duration = Duration::from_secs_f64(*length);
            let segment = Segment { bytes: 0..1, start, duration, lost: false, fresh: start.is_zero() };
            start += duration;
            segment
        });
        segments.collect()
    }

    /// Segments that begin at these seconds and last so long.
    fn found(places: &[(f64, f64)]) -> Vec<Measured> {
        let us = |seconds: f64| (seconds * 1e6).round() as i64;
        let of = |(first, length): &(f64, f64)| Measured {
            first_us: Some(us(*first)),
            length_us: us(*length),
            turns: true,
            ..Measured::default()
        };
        places.iter().map(of).collect()
    }

    fn told(segments: &[Segment], measured: &[Measured]) -> Vec<(usize, Option<u64>)> {
        let flaws = judge(segments, measured, false).into_iter();
        flaws.map(|flaw| (flaw.at, flaw.missing.map(|missing| missing.as_millis() as u64))).collect()
    }

    #[test]
    fn a_segment_that_ends_before_the_next_begins_is_cut() {
        let list = listed(&[4.0; 4]);
        let honest = [(10.0, 4.0), (14.0, 4.0), (18.0, 4.0), (22.0, 4.0)];
        assert_eq!(told(&list, &found(&honest)), []);
        for length in [3.8, 2.4, 0.5] {
            let mut cut = honest;
            cut[1].1 = length;
            let missing = ((4.0 - length) * 1000.0_f64).round() as u64;
            assert_eq!(told(&list, &found(&cut)), [(1, Some(missing))]);
        }
        // The last has none after it: its playlist tells, less exactly.
        let mut cut = honest;
        cut[3].1 = 2.4;
        assert_eq!(told(&list, &found(&cut)), [(3, Some(1600))]);
        // So it is where a clock begins anew, and where the next is known to be lost.
        let (mut fresh, mut lost) = (list.clone(), list);
        (fresh[2].fresh, lost[2].lost) = (true, true);
        let mut cut = honest;
        cut[1].1 = 2.4;
        assert_eq!(told(&fresh, &found(&cut)), [(1, Some(1600))]);
        assert_eq!(told(&lost, &found(&cut)), [(1, Some(1600))]);
        cut[1].1 = 3.5;
        assert_eq!(told(&fresh, &found(&cut)), []);
    }

    #[test]
    fn times_that_were_rounded_are_no_flaw() {
        let list = listed(&[2.0; 6]);
        // To hundredths, to halves, and to the whole second.
        let begins = [0.0, 1.98, 3.97, 6.01, 8.0, 9.96];
        for unit in [0.01, 0.25, 0.5, 1.0] {
            let mut places = Vec::new();
            for (nth, begin) in begins.iter().enumerate() {
                let end: f64 = begins.get(nth + 1).copied().unwrap_or(12.0);
                places.push((((begin + 0.3) / unit).round() * unit, end - begin));
            }
            assert_eq!(told(&list, &found(&places)), [], "{unit}");
        }
        let jitter = [(0.0, 2.0), (2.2, 2.0), (4.0, 2.0), (6.2, 2.0), (8.0, 2.0), (10.0, 2.0)];
        assert_eq!(told(&list, &found(&jitter)), []);
    }

    #[test]
    fn a_clock_that_turns_in_the_middle_goes_on() {
        let turn = (1_i64 << 33) as f64 / 90_000.0;
        let places = [(turn - 2.0, 2.0), (0.0, 2.0), (2.0, 0.9), (4.0, 2.0)];
        assert_eq!(told(&listed(&[2.0; 4]), &found(&places)), [(2, Some(1100))]);
    }

    #[test]
    fn another_segment_in_its_place_is_told() {
        let list = listed(&[2.0; 5]);
        // The one before instead; the next instead.
        let before = [(0.0, 2.0), (2.0, 2.0), (2.0, 2.0), (6.0, 2.0), (8.0, 2.0)];
        assert_eq!(told(&list, &found(&before)).first(), Some(&(2, None)));
        let next = [(0.0, 2.0), (2.0, 2.0), (6.0, 2.0), (6.0, 2.0), (8.0, 2.0)];
        assert_eq!(told(&list, &found(&next)).first(), Some(&(2, None)));
        let again = [(0.0, 2.0), (2.0, 2.0), (4.0, 2.0), (6.0, 2.0), (0.0, 2.0)];
        assert_eq!(told(&list, &found(&again)), [(4, None)]);
        // A time that is nobody's, over a segment that is as long as it should be.
        for off in [1.2, -1.2] {
            let odd = [(0.0, 2.0), (2.0, 2.0), (4.0 + off, 2.0), (6.0, 2.0), (8.0, 2.0)];
            assert_eq!(told(&list, &found(&odd)), [], "{off}");
        }
        // A clock that stands still tells nothing; the playlist does.
        let still = [(7.0, 2.0); 5];
        assert_eq!(told(&list, &found(&still)), []);
        let mut cut = still;
        cut[1].1 = 0.9;
        assert_eq!(told(&list, &found(&cut)), [(1, Some(1100))]);
        // A clock that was set anew, without a word of it in the playlist.
        for jump in [50.0, -3.5] {
            let set = [(4.0, 2.0), (6.0, 2.0), (8.0 + jump, 2.0), (10.0 + jump, 2.0), (12.0 + jump, 2.0)];
            assert_eq!(told(&list, &found(&set)), [], "{jump}");
        }
    }

    #[test]
    fn without_clocks_the_playlist_tells() {
        let bare = |lengths: &[f64]| -> Vec<Measured> {
            let of = |length: &f64| Measured { length_us: (length * 1e6) as i64, ..Measured::default() };
            lengths.iter().map(of).collect()
        };
        assert_eq!(told(&listed(&[4.0; 4]), &bare(&[4.0, 2.4, 4.0, 4.0])), [(1, Some(1600))]);
        // Cut elsewhere than the playlist says, or all of them a little shorter.
        assert_eq!(told(&listed(&[4.0; 4]), &bare(&[3.2, 4.8, 4.0, 4.0])), []);
        assert_eq!(told(&listed(&[10.0; 3]), &bare(&[9.5, 9.5, 9.5])), []);
        let rounded = judge(&listed(&[10.0; 3]), &bare(&[9.1, 9.1, 9.1]), true);
        assert_eq!(rounded, []);
        assert_eq!(judge(&listed(&[10.0; 2]), &bare(&[10.0, 7.0]), true).len(), 1);
    }

    #[test]
    fn what_ends_in_the_middle_of_something_is_torn() {
        let mut measured = found(&[(0.0, 2.0), (2.0, 1.9), (4.0, 2.0)]);
        measured[1].torn = true;
        let flaws = judge(&listed(&[2.0; 3]), &measured, false);
        assert_eq!(flaws.iter().map(|flaw| (flaw.at, flaw.torn)).collect::<Vec<_>>(), [(1, true)]);
        let empty = Measured::default();
        assert_eq!(
            told(&listed(&[2.0; 2]), &[empty, found(&[(2.0, 2.0)]).remove(0)]),
            [(0, Some(2 * S as u64 / 1000))]
        );
    }
}
