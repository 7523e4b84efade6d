//! Whether something is missing in the middle of a track.
//!
//! Pure. Owns what tells a hole from a picture that stays. Invariant: what cannot be honest is an error; what may be either
//! is told.

use std::time::Duration;

use weir_media::codec::CodecKind;

use super::Timing;
use super::check::{Expected, Verdict, clock, mismatch, name, tolerance};
use super::meter::{Long, Track};
use crate::EngineError;

/// A picture that stays no longer than this is none of interest.
const STAYS: Duration = Duration::from_secs(1);
/// Sound of one segment begins within this of its picture, and of the border of a section.
const TOGETHER: Duration = Duration::from_millis(500);

/// What a sample that lasts for long is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Pause {
    Honest,
    Doubtful,
    Hole,
}

/// Looks for holes. `picture` is the one that is shown with a track of sound.
pub(super) fn check(
    track: &Track,
    expected: &Expected,
    picture: Option<&Track>,
    verdict: &mut Verdict,
) -> Result<(), EngineError> {
    if is_stills(track) {
        return Ok(());
    }
    let timing = &expected.timing;
    let missing = (timing.lost + expected.quiet).as_secs_f64();
    // How much a recording lost is an estimate.
    let guessed = timing.live && timing.lost > Duration::ZERO;
    let known = if missing > 0.0 { missing + tolerance(timing) } else { 0.0 };
    let pauses: Vec<(&Long, Pause)> = track
        .long
        .iter()
        .map(|long| (long, judge(track, long, expected, picture)))
        .filter(|(_, pause)| *pause != Pause::Honest)
        .collect();
    let sum =
        |pauses: &[(&Long, Pause)]| pauses.iter().map(|(long, _)| long.length.as_secs_f64()).sum::<f64>();
    let holes: Vec<(&Long, Pause)> =
        pauses.iter().copied().filter(|(_, pause)| *pause == Pause::Hole).collect();
    let said = || {
        let stops = if track.kind == CodecKind::Video { "stands still" } else { "stops" };
        let first = pauses.first().map_or(Duration::ZERO, |(long, _)| track.start + long.at);
        let at = if pauses.len() == 1 { "at" } else { "the first time at" };
        let seconds = sum(&pauses);
        format!(
            "the {} {stops} for {seconds:.1} s, {at} {}, where something may be missing",
            name(track.kind),
            clock(first)
        )
    };
    if !guessed && sum(&holes) > known {
        let error = mismatch(timing, timing.planned.as_secs_f64() - sum(&holes));
        verdict.wrong(timing.forgiving, said, error)?;
    } else if !guessed && sum(&pauses) > known {
        verdict.note(said());
    }
    // Times that went back: something is there twice, and its place is empty.
    let squeezed = track.squeezed.as_secs_f64();
    if squeezed > tolerance(timing).max(1.0) {
        let error = mismatch(timing, timing.planned.as_secs_f64() + squeezed);
        let note = || format!("{squeezed:.1} s of the {} are there twice", name(track.kind));
        verdict.wrong(timing.forgiving, note, error)?;
    }
    Ok(())
}

fn judge(track: &Track, long: &Long, expected: &Expected, picture: Option<&Track>) -> Pause {
    if is_hole(track, long, &expected.timing) {
        return Pause::Hole;
    }
    // Segments in boxes cannot be cut and still be read.
    if !expected.cuttable {
        return Pause::Honest;
    }
    if track.kind == CodecKind::Video {
        // Its sound tells. Without any a film whose pictures come evenly, and stop only where one follows that stands alone as
        // the first of a segment does, may have stopped there or may be cut.
        let cut = |long: &Long| !long.sync && long.then_sync;
        let stops = expected.own && track.depends && track.even && track.long.iter().all(cut);
        return if stops { Pause::Doubtful } else { Pause::Honest };
    }
    // Sound never pauses, but where another clock begins.
    let end = track.start + long.at + long.length;
    if expected.borders.iter().any(|border| border.abs_diff(end) <= TOGETHER) {
        return Pause::Honest;
    }
    // Where a segment is cut or gone, the next begins: with a picture that stands alone.
    let with_segment = picture.filter(|_| !expected.own).is_none_or(|picture| {
        let near = |sync: &Duration| (picture.start + *sync).abs_diff(end) <= TOGETHER;
        !picture.depends || picture.syncs.iter().any(near)
    });
    if with_segment { Pause::Hole } else { Pause::Doubtful }
}

/// Whether a long sample is one because what should follow it is not there, whatever it came in.
fn is_hole(track: &Track, long: &Long, timing: &Timing) -> bool {
    let half = (timing.longest_segment / 2).max(STAYS);
    if track.kind != CodecKind::Video || !track.depends {
        return long.length > half;
    }
    // A picture may stay for as long as nothing moves, but every segment begins with one that can be decoded by itself: one
    // that cannot never stays over the whole of the next segment.
    let usual = timing.planned / u32::try_from(timing.segments.max(1)).unwrap_or(u32::MAX);
    let least = half.min(timing.longest_segment).max(STAYS);
    !long.sync && long.length > least && long.length >= usual.mul_f64(0.9)
}

/// A row of slides and not a film: it does not move at least three quarters of the time, holes aside.
pub(super) fn is_stills(track: &Track) -> bool {
    let stays = |long: &&Long| !long.sync && long.length > STAYS;
    let holes: Duration = track.long.iter().filter(stays).map(|long| long.length).sum();
    let moves = track.moving > Duration::ZERO && track.moving >= track.duration.saturating_sub(holes) * 3 / 4;
    track.kind == CodecKind::Video && !moves
}
