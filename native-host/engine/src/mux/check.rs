//! Whether the finished file is what was planned.
//!
//! Owns reading it once more and comparing. Never repairs. Invariant: every track of the result is compared with the
//! working file it came from, so a whole one never hides another that is cut; what bytes alone cannot settle is told.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use weir_media::codec::CodecKind;

use super::arguments::Selected;
use super::container::{Container, Output};
use super::holes;
use super::listing::List;
use super::meter::Track;
use super::source::Source;
use super::timeline::{Shift, Stretch};
use super::{Halt, Input, Plan, Timing, ffmpeg};
use crate::{EngineError, mp4};

/// Slack for rounding in playlists and for the last frame, in seconds.
const MIN_TOLERANCE_S: f64 = 0.5;

/// What went into the result.
pub(super) struct Film<'a> {
    pub(super) plan: &'a Plan<'a>,
    pub(super) media: &'a [&'a Input],
    pub(super) sources: &'a [Source],
    pub(super) stretches: &'a [Vec<Stretch>],
    pub(super) shifts: &'a [Vec<Shift>],
    /// The moment of the common clock at which it begins.
    pub(super) zero_us: i64,
    pub(super) selected: &'a [Selected],
    /// Tracks of text inside.
    pub(super) texts: usize,
    pub(super) output: Output,
}

/// What one track of the result has to be.
#[derive(Debug, Clone)]
pub(super) struct Expected {
    pub(super) kind: CodecKind,
    pub(super) timing: Timing,
    /// Time in which its source has no such stream, as silent advertisements.
    pub(super) quiet: Duration,
    /// A segment of its source may be cut and still be read, as packets of transport streams are one by one.
    pub(super) cuttable: bool,
    /// Picture and sound do not come in the same segments.
    pub(super) own: bool,
    /// Where its clock may begin anew, from the beginning of the film.
    pub(super) borders: Vec<Duration>,
}

/// What the comparison says of a result that may be kept.
#[derive(Debug, Default)]
pub(super) struct Verdict {
    /// Of its longest track.
    pub(super) duration: Duration,
    /// What is to be known of it, a clause each in plain words.
    pub(super) notes: Vec<String>,
}

impl Verdict {
    pub(super) fn note(&mut self, note: String) {
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// What is wrong is an error; to who takes what there is, as of a recording, which cannot be made again, it is told.
    pub(super) fn wrong(
        &mut self,
        forgiving: bool,
        note: impl FnOnce() -> String,
        error: EngineError,
    ) -> Result<(), EngineError> {
        if !forgiving {
            return Err(error);
        }
        self.note(note());
        Ok(())
    }
}

/// Reads the result and compares it.
pub(super) async fn run(film: &Film<'_>, halt: &Halt) -> Result<Verdict, EngineError> {
    let plan = film.plan;
    let found = match film.output {
        Output::Mp4 | Output::M4a => {
            let path = plan.output.to_owned();
            super::blocking(halt, move |_| tracks_of_mp4(&path)).await?
        }
        Output::Mp3 | Output::WebM | Output::Mkv | Output::Ts => tracks_by_ffmpeg(plan, film.output).await?,
    };
    let expected: Vec<Expected> = film.selected.iter().map(|one| film.expected(one)).collect();
    let picture = film.selected.iter().any(|one| one.kind == CodecKind::Video);
    let mut verdict = Verdict::default();
    let forgiving = film.media.iter().any(|input| input.timing.forgiving);
    if plan.has_picture && !picture {
        let error = mismatch(&film.media[0].timing, 0.0);
        verdict.wrong(forgiving, || "there is no picture".to_owned(), error)?;
    }
    compare(&found, &expected, &mut verdict)?;
    if found.iter().filter(|track| track.kind == CodecKind::Text).count() != film.texts {
        let reason = "subtitles are missing in the result".to_owned();
        verdict.wrong(forgiving, || reason.clone(), EngineError::MuxFailed { reason: reason.clone() })?;
    }
    verdict.duration = found.iter().map(end).max().unwrap_or_default();
    Ok(verdict)
}

impl Film<'_> {
    fn expected(&self, one: &Selected) -> Expected {
        let shares = |other: &Selected| other.input == one.input && other.kind != one.kind;
        Expected {
            kind: one.kind,
            timing: self.media[one.input].timing,
            quiet: one.quiet,
            cuttable: self.sources[one.input].container == Container::Ts,
            own: !self.selected.iter().any(shares),
            borders: self.borders(one),
        }
    }

    fn borders(&self, one: &Selected) -> Vec<Duration> {
        let sections = self.stretches[one.input].iter().zip(&self.shifts[one.input]).skip(1);
        let begins = sections.filter(|(stretch, _)| stretch.new_clock).filter_map(|(stretch, shift)| {
            let beat = stretch.clock.beats.iter().find(|beat| beat.kind == one.kind)?;
            u64::try_from(beat.first_us.saturating_add(shift.of(beat.id)).saturating_sub(self.zero_us)).ok()
        });
        begins.map(Duration::from_micros).collect()
    }
}

fn tracks_of_mp4(path: &Path) -> Result<Vec<Track>, EngineError> {
    let mut file = File::open(path).map_err(EngineError::disk)?;
    mp4::tracks(&mut file)
        .map_err(|error| EngineError::MuxFailed { reason: format!("the result cannot be read: {error}") })
}

/// The tracks by their packets, as ffmpeg lists them.
async fn tracks_by_ffmpeg(plan: &Plan<'_>, output: Output) -> Result<Vec<Track>, EngineError> {
    let mut arguments: Vec<std::ffi::OsString> =
        ["-copyts", "-protocol_whitelist", "file", "-f", output.demuxer(), "-i"].map(Into::into).into();
    arguments.push(ffmpeg::file(plan.output));
    let listing = ["-map", "0", "-c", "copy", "-copyts", "-f", "framecrc", "pipe:1"];
    arguments.extend(listing.map(Into::into));
    let mut list = List::default();
    ffmpeg::read_lines(plan.ffmpeg, &arguments, plan.work, |line| list.line(line)).await?;
    Ok(list.finish())
}

fn end(track: &Track) -> Duration {
    track.start + track.duration
}

/// Compares the sound and pictures found with what was planned, kind by kind in their order.
fn compare(found: &[Track], expected: &[Expected], verdict: &mut Verdict) -> Result<(), EngineError> {
    let mut there: Vec<(&Track, &Expected)> = Vec::new();
    for kind in [CodecKind::Video, CodecKind::Audio] {
        let mut of_kind = found.iter().filter(|track| track.kind == kind && track.samples > 0);
        for expected in expected.iter().filter(|expected| expected.kind == kind) {
            let Some(track) = of_kind.next() else {
                // Nothing to play is as short as it gets.
                let error = mismatch(&expected.timing, 0.0);
                let note = || format!("there is no {}", name(kind));
                verdict.wrong(expected.timing.forgiving, note, error)?;
                continue;
            };
            there.push((track, expected));
        }
    }
    let picture = there.iter().map(|(track, _)| *track).find(|track| track.kind == CodecKind::Video);
    for (track, expected) in &there {
        check_length(track, expected, picture, verdict)?;
        holes::check(track, expected, picture, verdict)?;
    }
    if let Some(((first, of_first), others)) = there.split_first() {
        for (track, expected) in others {
            check_together((*first, *of_first), (*track, *expected), verdict)?;
        }
    }
    Ok(())
}

/// Tracks of one film begin together, and end together.
fn check_together(
    (first, of_first): (&Track, &Expected),
    (track, expected): (&Track, &Expected),
    verdict: &mut Verdict,
) -> Result<(), EngineError> {
    let timing = &expected.timing;
    let slack = timing.longest_segment.max(of_first.timing.longest_segment);
    let slack = slack + Duration::from_secs_f64(MIN_TOLERANCE_S);
    let apart = track.start.abs_diff(first.start);
    // How much a recording lost is an estimate, and its tracks lost it together.
    let lost = if timing.live { Duration::ZERO } else { timing.lost };
    if apart > slack + lost + expected.quiet {
        let reason = format!("picture and sound would begin {:.1} s apart", apart.as_secs_f64());
        let note = || format!("the {} begins at {}", name(track.kind), clock(track.start.max(first.start)));
        verdict.wrong(timing.forgiving, note, EngineError::MuxFailed { reason })?;
    }
    let lost = if timing.live { Duration::ZERO } else { timing.lost.max(of_first.timing.lost) };
    let still = if holes::is_stills(first) { first.longest_sample } else { Duration::ZERO };
    let slack = slack + lost + expected.quiet.max(of_first.quiet) + still;
    if end(track).abs_diff(end(first)) > slack {
        let (one, other) = (name(track.kind), name(first.kind));
        let other = if one == other { "other sound" } else { other };
        verdict.note(format!(
            "the {one} ends at {}, the {other} at {}",
            clock(end(track)),
            clock(end(first))
        ));
    }
    Ok(())
}

fn check_length(
    track: &Track,
    expected: &Expected,
    picture: Option<&Track>,
    verdict: &mut Verdict,
) -> Result<(), EngineError> {
    let timing = &expected.timing;
    // What the server left out of a recording is guessed at.
    if timing.live && timing.lost > Duration::ZERO {
        return Ok(());
    }
    let actual_s = track.duration.as_secs_f64();
    let planned_s = timing.planned.as_secs_f64();
    let missing_s = (timing.lost + expected.quiet).as_secs_f64();
    // How long the last sample lasts is made up, which matters when samples are long.
    let last_s = if holes::is_stills(track) {
        track.longest_sample.max(timing.longest_segment).as_secs_f64()
    } else {
        0.0
    };
    let least_s = planned_s - missing_s - last_s;
    let (exact, drifted) = (tolerance(timing), tolerance(timing).max(drift(timing)));
    let said = || {
        let (is, told) = (clock(track.duration), clock(timing.planned));
        format!("the {} lasts {is}, the playlist says {told}", name(track.kind))
    };
    if actual_s > planned_s + drifted || actual_s < least_s - drifted {
        return verdict.wrong(timing.forgiving, said, mismatch(timing, actual_s));
    }
    if actual_s >= least_s - exact || missing_s > 0.0 {
        return Ok(());
    }
    // Durations were rounded, and it is shorter than they say: by the drift of their sum, or because its end is missing.
    match by_key_frames(track, timing) {
        Some(whole_s) if actual_s < whole_s - last_s - exact - 0.1 => {
            verdict.wrong(timing.forgiving, said, mismatch(timing, actual_s))
        }
        Some(_) => Ok(()),
        // The sound is compared with the picture's end.
        None if track.kind == CodecKind::Audio && picture.is_some() => Ok(()),
        None => {
            if least_s - actual_s > 0.9 * planned_s / timing.segments.max(1) as f64 {
                verdict.note(format!("{} in whole seconds: its end may be missing", said()));
            }
            Ok(())
        }
    }
}

/// How long a track is by its key frames, in seconds, when its playlist rounds: where all segments but the last are said to
/// last equally long and key frames come evenly, every segment lasts a whole number of their distances.
fn by_key_frames(track: &Track, timing: &Timing) -> Option<f64> {
    let (longest, planned) = (timing.longest_segment.as_secs_f64(), timing.planned.as_secs_f64());
    let before_last = timing.segments.checked_sub(1).filter(|before| *before > 0)? as f64;
    let last = planned - before_last * longest;
    if last < 0.001 || track.syncs.len() < timing.segments / 2 {
        return None;
    }
    let mut distances: Vec<f64> =
        track.syncs.windows(2).map(|pair| (pair[1].saturating_sub(pair[0])).as_secs_f64()).collect();
    distances.sort_by(f64::total_cmp);
    let usual = *distances.get(distances.len() / 2)?;
    let even = distances.iter().filter(|distance| (**distance - usual).abs() < 0.02 + usual * 0.02).count();
    if usual < 0.1 || even * 5 < distances.len() * 4 {
        return None;
    }
    let fewest = ((longest - 0.5) / usual).ceil().max(1.0);
    // More than one number of them would be rounded to the same.
    let sure = fewest * usual <= longest + 0.5 && (fewest + 1.0) * usual > longest + 0.5;
    sure.then_some(before_last * fewest * usual + last)
}

pub(super) const fn name(kind: CodecKind) -> &'static str {
    if matches!(kind, CodecKind::Video) { "picture" } else { "sound" }
}

/// `0:08`, `1:00:08`.
pub(super) fn clock(time: Duration) -> String {
    let seconds = time.as_secs_f64().round() as u64;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// How far the sum of a playlist whose segments were rounded to whole seconds may be off: half a second each.
fn drift(timing: &Timing) -> f64 {
    let most = (0.5 * timing.segments as f64).min(timing.planned.as_secs_f64() * 0.1);
    if timing.whole_seconds { most } else { 0.0 }
}

/// How far the finished file's length may be from the playlist's sum, in seconds: half a segment, so that a whole one
/// never goes missing unnoticed.
pub(super) fn tolerance(timing: &Timing) -> f64 {
    (timing.longest_segment.as_secs_f64() / 2.0).max(MIN_TOLERANCE_S)
}

pub(super) fn mismatch(timing: &Timing, actual_s: f64) -> EngineError {
    EngineError::DurationMismatch { expected_s: timing.planned.as_secs_f64(), actual_s, segment: None }
}

#[cfg(test)]
mod tests {
    use super::super::meter::Long;
    use super::*;
    use CodecKind::{Audio, Video};

    fn timing(segments: usize) -> Timing {
        Timing {
            planned: Duration::from_secs(6 * segments as u64),
            longest_segment: Duration::from_secs(6),
            segments,
            ..Timing::default()
        }
    }

    fn expected(kind: CodecKind) -> Expected {
        Expected {
            kind,
            timing: timing(10),
            quiet: Duration::ZERO,
            cuttable: true,
            own: false,
            borders: Vec::new(),
        }
    }

    /// A track of samples of `each` seconds, and one that lasts as long as a hole.
    fn track(kind: CodecKind, length: f64, each: f64, hole: f64) -> Track {
        let seconds = Duration::from_secs_f64;
        let at = seconds((length - hole) / 2.0);
        let sync = kind == Audio;
        let long = Long { at, length: seconds(hole), sync, then_sync: sync };
        Track {
            kind,
            start: Duration::ZERO,
            duration: seconds(length),
            samples: ((length - hole) / each) as u64 + 1,
            long: if hole > 0.0 { vec![long] } else { vec![] },
            longest_sample: seconds(each.max(hole)),
            moving: if each < 0.25 { seconds(length - hole) } else { Duration::ZERO },
            squeezed: Duration::ZERO,
            depends: kind == Video,
            syncs: Vec::new(),
            even: true,
        }
    }

    #[test]
    fn every_track_must_be_as_long_as_its_playlist() {
        let both = [expected(Video), expected(Audio)];
        let (film, sound) = (track(Video, 60.0, 0.04, 0.0), track(Audio, 59.5, 0.023, 0.0));
        for (found, expected, whole) in [
            (vec![film.clone(), sound.clone()], &both[..], true),
            (vec![film.clone()], &both[..1], true),
            (vec![sound.clone()], &both[1..], true),
            (vec![track(CodecKind::Data, 60.0, 1.0, 0.0)], &both[..1], false),
            (vec![], &both[..1], false),
            // The picture or the sound has gone altogether.
            (vec![sound.clone()], &both, false),
            (vec![film.clone()], &both, false),
            // Cut at the end, or in the middle, while the other track is whole.
            (vec![track(Video, 54.0, 0.04, 0.0), sound.clone()], &both, false),
            (vec![film.clone(), track(Audio, 54.0, 0.023, 0.0)], &both, false),
            (vec![track(Video, 60.0, 0.04, 6.04), sound.clone()], &both, false),
            (vec![film.clone(), track(Audio, 60.0, 0.023, 6.02)], &both, false),
            (vec![track(Video, 66.5, 0.04, 0.0), sound.clone()], &both, false),
            // Slides: one picture a segment, and nobody knows how long the last one stays.
            (vec![track(Video, 54.1, 6.0, 0.0), sound.clone()], &both, true),
            (vec![track(Video, 42.1, 6.0, 0.0), sound.clone()], &both, false),
            // A picture that stays for a while is no hole, nor is one that begins a segment and stays all through it.
            (vec![track(Video, 60.0, 0.04, 4.0), sound.clone()], &both, true),
            (
                vec![
                    Track {
                        long: vec![Long {
                            at: Duration::from_secs(12),
                            length: Duration::from_secs(6),
                            sync: true,
                            then_sync: true,
                        }],
                        ..track(Video, 60.0, 0.04, 6.0)
                    },
                    sound.clone(),
                ],
                &both,
                true,
            ),
            // Out of sync from the beginning; times that went back.
            (vec![film.clone(), Track { start: Duration::from_secs(7), ..sound.clone() }], &both, false),
            (vec![Track { squeezed: Duration::from_secs(6), ..film }, sound], &both, false),
        ] {
            assert_eq!(compare(&found, expected, &mut Verdict::default()).is_ok(), whole, "{found:?}");
        }
    }

    #[test]
    fn what_is_known_to_be_lost_is_no_surprise() {
        let lost =
            Expected { timing: Timing { lost: Duration::from_secs(12), ..timing(10) }, ..expected(Video) };
        for (found, whole) in [
            (track(Video, 60.0, 0.04, 12.04), true),
            (track(Video, 48.0, 0.04, 0.0), true),
            (track(Video, 60.0, 0.04, 20.0), false),
            (track(Video, 40.0, 0.04, 0.0), false),
        ] {
            let outcome = told(std::slice::from_ref(&found), std::slice::from_ref(&lost));
            assert_eq!(outcome.is_some(), whole, "{found:?}");
        }
    }

    /// What is told of a result, when it is kept.
    fn told(found: &[Track], expected: &[Expected]) -> Option<Vec<String>> {
        let mut verdict = Verdict::default();
        compare(found, expected, &mut verdict).ok().map(|()| verdict.notes)
    }

    fn seconds(of: &[u64]) -> Vec<Duration> {
        of.iter().copied().map(Duration::from_secs).collect()
    }

    #[test]
    fn sound_does_not_pause() {
        let film = Track { syncs: seconds(&[0, 6, 12]), ..track(Video, 60.0, 0.04, 0.0) };
        let pause = |at: f64, length: f64| Track {
            long: vec![Long {
                at: Duration::from_secs_f64(at),
                length: Duration::from_secs_f64(length),
                sync: true,
                then_sync: true,
            }],
            ..track(Audio, 60.0, 0.023, 0.0)
        };
        let muxed = expected(Audio);
        let own = Expected { own: true, ..expected(Audio) };
        let boxes = Expected { cuttable: false, ..expected(Audio) };
        let border = Expected { borders: seconds(&[12]), ..expected(Audio) };
        let lost =
            Expected { timing: Timing { lost: Duration::from_secs(2), ..timing(10) }, ..expected(Audio) };
        let doubt = "the sound stops for 1.6 s, at 0:08, where something may be missing";
        for (at, length, expected, notes) in [
            // Up to where a segment begins: what was before it is missing.
            (10.4, 1.6, &muxed, None),
            (11.6, 0.4, &muxed, None),
            (10.8, 1.6, &muxed, None),
            // It goes on while the picture does.
            (7.6, 1.6, &muxed, Some(vec![doubt.to_owned()])),
            (7.6, 3.1, &muxed, None),
            (7.6, 1.6, &own, None),
            (7.6, 1.6, &boxes, Some(vec![])),
            (10.4, 1.6, &border, Some(vec![])),
            (10.4, 1.6, &lost, Some(vec![])),
        ] {
            let found = [film.clone(), pause(at, length)];
            let all = [super::tests::expected(Video), expected.clone()];
            assert_eq!(told(&found, &all), notes, "{length} s at {at} s");
        }
    }

    #[test]
    fn a_silent_picture_that_stops_before_a_segment_is_told() {
        let expected = Expected { own: true, ..expected(Video) };
        let stops = |length: f64, then_sync: bool, even: bool| {
            let film = track(Video, 60.0, 0.04, length);
            Track { long: vec![Long { then_sync, ..film.long[0] }], even, ..film }
        };
        for (film, doubtful) in [
            (stops(1.6, true, true), true),
            // As a screen that is recorded: it waits for something to move.
            (stops(1.6, false, true), false),
            (stops(1.6, true, false), false),
        ] {
            let notes = told(std::slice::from_ref(&film), std::slice::from_ref(&expected)).unwrap();
            assert_eq!(!notes.is_empty(), doubtful, "{notes:?}");
        }
    }

    #[test]
    fn only_rounded_playlists_drift_and_never_by_their_last_segment() {
        let list = |segments: usize, each: f64, whole_seconds: bool| Expected {
            timing: Timing {
                planned: Duration::from_secs_f64(each * segments as f64),
                longest_segment: Duration::from_secs_f64(each),
                segments,
                whole_seconds,
                ..Timing::default()
            },
            ..expected(Video)
        };
        let film = |length: f64, each: f64| Track {
            syncs: (0..)
                .map(|n| Duration::from_secs_f64(f64::from(n) * each))
                .take_while(|at| at.as_secs_f64() < length)
                .collect(),
            ..track(Video, length, 0.04, 0.0)
        };
        for (expected, found, whole) in [
            (list(14, 1.0, false), film(14.0, 1.0), true),
            (list(14, 1.0, false), film(13.0, 1.0), false),
            (list(14, 1.0, true), film(13.0, 1.0), false),
            // 9.6 s each, said to be 10.
            (list(100, 10.0, true), film(960.0, 3.2), true),
            (list(100, 10.0, true), film(950.4, 3.2), false),
            (list(100, 10.0, false), film(960.0, 3.2), false),
            (list(100, 10.0, true), film(890.0, 3.2), false),
        ] {
            let notes = told(std::slice::from_ref(&found), std::slice::from_ref(&expected));
            assert_eq!(notes, whole.then(Vec::new), "{:?} of {:?}", found.duration, expected.timing);
        }
        // Without key frames to count by, a whole segment may be missing or none.
        let sound = Expected { kind: Audio, own: true, ..list(100, 10.0, true) };
        let notes = told(&[track(Audio, 960.0, 0.023, 0.0)], std::slice::from_ref(&sound)).unwrap();
        assert_eq!(
            notes,
            ["the sound lasts 16:00, the playlist says 16:40 in whole seconds: its end may be missing"]
        );
        assert_eq!(told(&[track(Audio, 992.0, 0.023, 0.0)], &[sound]), Some(vec![]));
    }

    #[test]
    fn a_recording_is_never_refused() {
        let live = |lost: u64, kind: CodecKind| Expected {
            timing: Timing { live: true, forgiving: true, lost: Duration::from_secs(lost), ..timing(10) },
            ..expected(kind)
        };
        let film = |length: f64| track(Video, length, 0.04, 0.0);
        let sound = |length: f64| track(Audio, length, 0.023, 0.0);
        for (lost, found, notes) in [
            (0, vec![film(60.0), sound(60.0)], vec![]),
            // How much was missed is a guess, and said elsewhere.
            (24, vec![film(14.0), sound(14.0)], vec![]),
            (6, vec![film(90.0), sound(90.0)], vec![]),
            (6, vec![film(90.0), sound(60.0)], vec!["the sound ends at 1:00, the picture at 1:30"]),
            (
                0,
                vec![film(90.0), sound(90.0)],
                vec![
                    "the picture lasts 1:30, the playlist says 1:00",
                    "the sound lasts 1:30, the playlist says 1:00",
                ],
            ),
            (0, vec![film(60.0)], vec!["there is no sound"]),
            (
                6,
                vec![film(60.0), Track { start: Duration::from_secs(8), ..sound(52.0) }],
                vec!["the sound begins at 0:08"],
            ),
        ] {
            assert_eq!(told(&found, &[live(lost, Video), live(lost, Audio)]).unwrap(), notes);
        }
    }

    #[test]
    fn tracks_of_different_lengths_are_told() {
        let of = |kind: CodecKind, segments: usize| Expected { timing: timing(segments), ..expected(kind) };
        let (film, sound) = (track(Video, 60.0, 0.04, 0.0), track(Audio, 30.0, 0.023, 0.0));
        let notes = told(&[film.clone(), sound], &[of(Video, 10), of(Audio, 5)]).unwrap();
        assert_eq!(notes, ["the sound ends at 0:30, the picture at 1:00"]);
        let sound = track(Audio, 54.0, 0.023, 0.0);
        assert_eq!(told(&[film, sound], &[of(Video, 10), of(Audio, 9)]), Some(vec![]));
    }
}
