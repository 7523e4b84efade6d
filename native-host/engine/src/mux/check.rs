//! Whether the finished file is what was planned.
//!
//! Owns reading it once more and comparing. Never repairs. Invariant: every track of the result is compared with the
//! working file it came from, so a whole one never hides another that is cut.

use std::fs::File;
use std::path::Path;
use std::time::Duration;

use weir_media::codec::CodecKind;

use super::arguments::Selected;
use super::container::Output;
use super::meter::{Meter, Track};
use super::{Halt, Input, Plan, Timing, ffmpeg};
use crate::{EngineError, mp4};

/// Slack for rounding in playlists and for the last frame, in seconds.
const MIN_TOLERANCE_S: f64 = 0.5;
/// Most tracks of a file that is read by ffmpeg.
const MAX_TRACKS: usize = 256;

/// What one track of the result has to be.
#[derive(Debug, Clone, Copy)]
struct Expected {
    kind: CodecKind,
    timing: Timing,
    /// Time in which its source has no such stream, as silent advertisements.
    quiet: Duration,
}

/// Reads the result and compares it. Says how long its longest track is.
pub(super) async fn run(
    plan: &Plan<'_>,
    media: &[&Input],
    selected: &[Selected],
    texts: usize,
    output: Output,
    halt: &Halt,
) -> Result<Duration, EngineError> {
    let found = match output {
        Output::Mp4 | Output::M4a => {
            let path = plan.output.to_owned();
            super::blocking(halt, move |_| tracks_of_mp4(&path)).await?
        }
        Output::Mp3 | Output::WebM | Output::Mkv | Output::Ts => tracks_by_ffmpeg(plan, output).await?,
    };
    let expected: Vec<Expected> = selected
        .iter()
        .map(|one| Expected { kind: one.kind, timing: media[one.input].timing, quiet: one.quiet })
        .collect();
    let picture = selected.iter().any(|one| one.kind == CodecKind::Video);
    if plan.has_picture && !picture {
        return Err(mismatch(&media[0].timing, 0.0));
    }
    compare(&found, &expected)?;
    if found.iter().filter(|track| track.kind == CodecKind::Text).count() != texts {
        return Err(EngineError::MuxFailed { reason: "subtitles are missing in the result".to_owned() });
    }
    Ok(found.iter().map(|track| track.start + track.duration).max().unwrap_or_default())
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

/// A list of packets (ffmpeg's `framecrc`): `#tb N: 1/1000` and `#media_type N: video` for every track, then lines of
/// track, decoding time, time shown, duration, size, checksum, and flags for what cannot be decoded by itself.
#[derive(Default)]
struct List {
    tracks: Vec<Listed>,
}

#[derive(Default)]
struct Listed {
    kind: Option<CodecKind>,
    timescale: u32,
    meter: Meter,
    first: Option<i64>,
    /// Decoding time, duration and whether it stands alone, of the packet whose length is not known yet.
    open: Option<(i64, i64, bool)>,
}

impl List {
    fn track(&mut self, number: usize) -> Option<&mut Listed> {
        if number >= MAX_TRACKS {
            return None;
        }
        while self.tracks.len() <= number {
            self.tracks.push(Listed::default());
        }
        self.tracks.get_mut(number)
    }

    fn line(&mut self, line: &str) {
        // Not understood is not there, which the comparison tells.
        let _ = self.read(line);
    }

    fn read(&mut self, line: &str) -> Option<()> {
        if let Some(base) = line.strip_prefix("#tb ") {
            let (number, base) = base.split_once(':')?;
            let (one, scale) = base.trim().split_once('/')?;
            let (one, scale): (u32, u32) = (one.parse().ok()?, scale.parse().ok()?);
            let track = self.track(number.trim().parse().ok()?)?;
            track.timescale = scale / one.max(1);
            track.meter = Meter::new(track.timescale);
        } else if let Some(kind) = line.strip_prefix("#media_type ") {
            let (number, kind) = kind.split_once(':')?;
            self.track(number.trim().parse().ok()?)?.kind = Some(match kind.trim() {
                "video" => CodecKind::Video,
                "audio" => CodecKind::Audio,
                "subtitle" => CodecKind::Text,
                _ => CodecKind::Data,
            });
        } else if !line.starts_with('#') {
            let mut fields = line.split(',').map(str::trim);
            let track = self.track(fields.next()?.parse().ok()?)?;
            let (dts, pts): (i64, i64) = (fields.next()?.parse().ok()?, fields.next()?.parse().ok()?);
            let length: i64 = fields.next()?.parse().ok()?;
            // `F=0x1` is said when it is anything else than a plain packet that stands alone.
            let flags = fields.find_map(|field| u32::from_str_radix(field.strip_prefix("F=0x")?, 16).ok());
            track.packet(dts, pts, length, flags.is_none_or(|flags| flags & 1 == 1));
        }
        Some(())
    }

    fn finish(self) -> Vec<Track> {
        self.tracks.into_iter().filter_map(Listed::finish).collect()
    }
}

impl Listed {
    fn packet(&mut self, dts: i64, pts: i64, length: i64, sync: bool) {
        self.first = Some(self.first.map_or(pts, |first| first.min(pts)));
        if let Some((before, _, sync)) = self.open.take() {
            self.meter.add(1, u64::try_from(dts - before).unwrap_or_default(), sync);
        }
        self.open = Some((dts, length, sync));
    }

    fn finish(mut self) -> Option<Track> {
        let kind = self.kind?;
        if let Some((_, length, sync)) = self.open.take() {
            self.meter.add(1, u64::try_from(length).unwrap_or_default(), sync);
        }
        let first = u64::try_from(self.first.unwrap_or_default()).unwrap_or_default();
        let start = Duration::try_from_secs_f64(first as f64 / f64::from(self.timescale.max(1)));
        Some(self.meter.finish(kind, start.unwrap_or_default()))
    }
}

/// Compares the sound and pictures found with what was planned, kind by kind in their order.
fn compare(found: &[Track], expected: &[Expected]) -> Result<(), EngineError> {
    let mut starts: Option<(Duration, Duration)> = None;
    for kind in [CodecKind::Video, CodecKind::Audio] {
        let mut there = found.iter().filter(|track| track.kind == kind && track.samples > 0);
        for expected in expected.iter().filter(|expected| expected.kind == kind) {
            // Nothing to play is as short as it gets.
            let track = there.next().ok_or_else(|| mismatch(&expected.timing, 0.0))?;
            check_track(track, expected)?;
            let (start, longest) = (track.start, expected.timing.longest_segment);
            let (first, slack) = *starts.get_or_insert((start, longest));
            let apart = start.abs_diff(first);
            let known = expected.timing.lost + expected.quiet;
            if apart > slack.max(longest) + Duration::from_secs_f64(MIN_TOLERANCE_S) + known {
                let reason = format!("picture and sound would begin {:.1} s apart", apart.as_secs_f64());
                return Err(EngineError::MuxFailed { reason });
            }
        }
    }
    Ok(())
}

fn check_track(track: &Track, expected: &Expected) -> Result<(), EngineError> {
    let timing = &expected.timing;
    let actual_s = track.duration.as_secs_f64();
    let planned_s = timing.planned.as_secs_f64();
    let missing_s = (timing.lost + expected.quiet).as_secs_f64();
    let stills = track.kind == CodecKind::Video && !moves(track);
    // How long the last sample lasts is made up, which matters when samples are long.
    let last = if stills { track.longest_sample.max(timing.longest_segment).as_secs_f64() } else { 0.0 };
    let tolerance = tolerance(timing);
    if actual_s > planned_s + tolerance || actual_s < planned_s - missing_s - tolerance - last {
        return Err(mismatch(timing, actual_s));
    }
    if stills {
        return Ok(());
    }
    // The sum can be right although a piece is missing in the middle: then one sample lasts as long as the hole.
    let holes: f64 = track
        .long
        .iter()
        .filter(|long| is_hole(track, long, timing))
        .map(|long| long.length.as_secs_f64())
        .sum();
    let known = if missing_s > 0.0 { missing_s + tolerance } else { 0.0 };
    if holes > known {
        return Err(mismatch(timing, planned_s - holes));
    }
    // Times that went back: something is there twice, and its place is empty.
    if track.squeezed.as_secs_f64() > tolerance.max(1.0) {
        return Err(mismatch(timing, planned_s + track.squeezed.as_secs_f64()));
    }
    Ok(())
}

/// Whether a long sample is one because what should follow it is not there.
fn is_hole(track: &Track, long: &super::meter::Long, timing: &Timing) -> bool {
    let half = (timing.longest_segment / 2).max(Duration::from_secs(1));
    if track.kind != CodecKind::Video || !track.depends {
        return long.length > half;
    }
    // A picture may stay for as long as nothing moves, but every segment begins with one that can be decoded by itself: one
    // that cannot never stays over the whole of the next segment.
    let usual = timing.planned / u32::try_from(timing.segments.max(1)).unwrap_or(u32::MAX);
    !long.sync && long.length > half.min(timing.longest_segment) && long.length >= usual.mul_f64(0.9)
}

/// A film and not a row of slides: it moves at least three quarters of the time, holes aside.
fn moves(track: &Track) -> bool {
    let holes: Duration = track.long.iter().filter(|long| !long.sync).map(|long| long.length).sum();
    track.moving > Duration::ZERO && track.moving >= track.duration.saturating_sub(holes) * 3 / 4
}

/// How far the finished file's length may be from the playlist's sum, in seconds.
fn tolerance(timing: &Timing) -> f64 {
    // Old playlists round every segment to whole seconds, so their sum drifts by up to half a second each.
    let drift = if timing.whole_seconds {
        (0.5 * timing.segments as f64).min(timing.planned.as_secs_f64() * 0.1)
    } else {
        0.0
    };
    // Half a segment: a whole one must never go missing unnoticed.
    (timing.longest_segment.as_secs_f64() / 2.0).max(MIN_TOLERANCE_S).max(drift)
}

fn mismatch(timing: &Timing, actual_s: f64) -> EngineError {
    EngineError::DurationMismatch { expected_s: timing.planned.as_secs_f64(), actual_s }
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
            whole_seconds: true,
            ..Timing::default()
        }
    }

    fn expected(kind: CodecKind) -> Expected {
        Expected { kind, timing: timing(10), quiet: Duration::ZERO }
    }

    /// A track of samples of `each` seconds, and one that lasts as long as a hole.
    fn track(kind: CodecKind, length: f64, each: f64, hole: f64) -> Track {
        let seconds = Duration::from_secs_f64;
        Track {
            kind,
            start: Duration::ZERO,
            duration: seconds(length),
            samples: ((length - hole) / each) as u64 + 1,
            long: if hole > 0.0 { vec![Long { length: seconds(hole), sync: kind == Audio }] } else { vec![] },
            longest_sample: seconds(each.max(hole)),
            moving: if each < 0.25 { seconds(length - hole) } else { Duration::ZERO },
            squeezed: Duration::ZERO,
            depends: kind == Video,
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
                        long: vec![Long { length: Duration::from_secs(6), sync: true }],
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
            assert_eq!(compare(&found, expected).is_ok(), whole, "{found:?}");
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
            assert_eq!(compare(std::slice::from_ref(&found), &[lost]).is_ok(), whole, "{found:?}");
        }
    }

    #[test]
    fn a_list_of_packets_is_read() {
        let mut list = List::default();
        for line in [
            "#software: Lavf59.27.100",
            "#tb 0: 1/1000",
            "#media_type 0: video",
            "#codec_id 0: vp9",
            "#tb 1: 1/48000",
            "#media_type 1: audio",
            "0,        100,        100,       40,     1000, 0x0000abcd",
            "0,        140,        140,       40,     1000, 0x0000abcd, F=0x0",
            "1,          0,          0,      960,       10, 0x00000001",
            "0,       3140,       3140,       40,     1000, 0x0000abcd, F=0x0, S=1",
            "1,        960,        960,      960,       10, 0x00000001",
            "nonsense",
        ] {
            list.line(line);
        }
        let tracks = list.finish();
        let [video, audio] = tracks.as_slice() else { panic!("{tracks:?}") };
        let millis = Duration::from_millis;
        assert_eq!((video.kind, video.start, video.duration), (Video, millis(100), millis(3080)));
        assert_eq!(video.long, [Long { length: millis(3000), sync: false }]);
        assert_eq!((audio.kind, audio.samples, audio.duration), (Audio, 2, millis(40)));
    }
}
