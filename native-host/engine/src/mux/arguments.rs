//! What goes into the result, and how ffmpeg is told.
//!
//! Pure but for the date of the day. Invariant: every input is named with its format and every stream by its number; what a
//! server sent chooses nothing.

use std::ffi::OsString;
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use weir_media::codec::{Codec, CodecKind};
use weir_media::language;

use super::container::{Container, Output};
use super::join::Ready;
use super::source::{Stream, unsupported};
use super::timeline::{Shift, Stretch};
use super::{Input, Plan, TrackKind, ffmpeg};
use crate::EngineError;

/// How far ffmpeg looks for what a stream is: sound may begin late.
const PROBED: [&str; 4] = ["-probesize", FAR, "-analyzeduration", "60M"];
const FAR: &str = "64M";
/// How far while a film comes. Of a transport stream ffmpeg keeps as much in memory before it begins, whatever it has found.
const NEAR: &str = "8M";

/// A stream of the result.
#[derive(Debug, Clone)]
pub(super) struct Selected {
    /// Which input, sound and pictures counted only.
    pub(super) input: usize,
    pub(super) stream: Stream,
    pub(super) kind: CodecKind,
    pub(super) sound_changes: bool,
    /// Time in which its source has no such stream.
    pub(super) quiet: Duration,
}

/// The picture of the main track, and the sound of every track of sound, or that of the main one.
pub(super) fn select(
    plan: &Plan<'_>,
    media: &[&Input],
    stretches: &[Vec<Stretch>],
    ready: &[Ready],
) -> Result<Vec<Selected>, EngineError> {
    let first_of = |input: usize, kind: CodecKind| {
        let file = ready.get(input)?;
        let stream = file.streams.iter().find(|stream| stream.codec.kind() == kind)?.clone();
        let sound_changes = kind == CodecKind::Audio && file.sound_changes;
        let without = |stretch: &&Stretch| {
            let beats = &stretch.clock.beats;
            !beats.is_empty() && !beats.iter().any(|beat| beat.kind == kind)
        };
        let quiet_us: i64 = stretches.get(input)?.iter().filter(without).map(|stretch| stretch.span_us).sum();
        let quiet = Duration::from_micros(u64::try_from(quiet_us).unwrap_or_default());
        Some(Selected { input, stream, kind, sound_changes, quiet })
    };
    let mut selected: Vec<Selected> = Vec::new();
    if !plan.audio_only {
        selected.extend(first_of(0, CodecKind::Video));
    }
    let mut own = false;
    for (input, _) in media.iter().enumerate().filter(|(_, input)| input.kind == TrackKind::Audio) {
        let sound =
            first_of(input, CodecKind::Audio).ok_or_else(|| unsupported("a track of sound holds none"))?;
        own = true;
        selected.push(sound);
    }
    if !own {
        selected.extend(first_of(0, CodecKind::Audio));
    }
    if selected.is_empty() {
        return Err(unsupported("its segments hold neither sound nor pictures"));
    }
    Ok(selected)
}

/// The moment on the common clock at which the film begins: the earliest time in it, which ffmpeg moves to zero.
pub(super) fn zero(selected: &[Selected], stretches: &[Vec<Stretch>], shifts: &[Vec<Shift>]) -> i64 {
    let begins = selected.iter().filter_map(|one| {
        let (stretch, shift) = (stretches.get(one.input)?.first()?, shifts.get(one.input)?.first()?);
        let beats = &stretch.clock.beats;
        let beat = beats.iter().find(|beat| beat.id == one.stream.id).or(beats.first());
        // What says no time begins at zero, and is moved as a whole.
        Some(beat.map_or(shift.base_us, |beat| beat.first_us + shift.of(beat.id)))
    });
    begins.min().unwrap_or_default()
}

/// A track of text for the result.
#[derive(Debug)]
pub(super) struct Text<'a> {
    pub(super) input: &'a Input,
    /// WebVTT, its times those of the film.
    pub(super) path: std::path::PathBuf,
    /// Microseconds from zero of the inputs' clock to the beginning of the film.
    pub(super) zero_us: i64,
}

/// All arguments but the common ones.
pub(super) fn of(
    plan: &Plan<'_>,
    media: &[&Input],
    ready: &[Ready],
    selected: &[Selected],
    texts: &[Text<'_>],
    output: Output,
) -> Vec<OsString> {
    // The clocks of the inputs are one already: kept as they are, and moved to zero together in the end.
    let mut out: Vec<OsString> = vec!["-copyts".into()];
    for file in ready {
        if file.offset_us != 0 {
            out.extend(["-itsoffset".into(), seconds(file.offset_us).into()]);
        }
        out.extend(PROBED.map(Into::into));
        if file.in_order {
            // As through a pipe: the same comes out, whether it is made while it comes or in the end.
            out.extend(["-seekable", "0"].map(Into::into));
        }
        out.extend(["-protocol_whitelist", "file", "-f", file.container.demuxer(), "-i"].map(Into::into));
        out.push(ffmpeg::file(&file.path));
    }
    for text in texts {
        out.extend(["-itsoffset".into(), seconds(text.zero_us).into()]);
        out.extend(["-protocol_whitelist", "file", "-f", "webvtt", "-i"].map(Into::into));
        out.push(ffmpeg::file(&text.path));
    }
    for one in selected {
        out.extend(["-map".into(), specifier(one, &ready[one.input]).into()]);
    }
    for number in 0..texts.len() {
        out.extend(["-map".into(), format!("{}:s:0", ready.len() + number).into()]);
    }
    out.extend(["-c", "copy", "-dn", "-map_metadata", "-1", "-map_chapters", "-1"].map(Into::into));
    if let Some(codec) = output.subtitle_codec().filter(|_| !texts.is_empty()) {
        out.extend(["-c:s", codec].map(Into::into));
    }
    describe(plan, media, selected, texts, &mut out);
    let picture = selected.iter().find(|one| one.kind == CodecKind::Video);
    if let Some(picture) = picture.filter(|one| output.is_mp4() && one.stream.codec == Codec::Hevc) {
        // The name says whether decoders find all they must know at the beginning; players of Apple want it there.
        let tag = if ready[picture.input].changes { "hev1" } else { "hvc1" };
        out.extend(["-tag:v", tag].map(Into::into));
    }
    // FLAC and Opus in MP4 were experiments once.
    out.extend(["-strict", "-2", "-avoid_negative_ts", "make_zero"].map(Into::into));
    out.extend(["-f", output.muxer()].map(Into::into));
    out.push(ffmpeg::file(plan.output));
    out
}

/// The same for a film that still comes: its inputs from pipes of these numbers, in their order, and another result. Should
/// a stream begin too late to be found, the film is made in the end.
pub(super) fn ahead(arguments: &[OsString], inputs: &[&Path], output: &Path, other: &Path) -> Vec<OsString> {
    let inputs: Vec<OsString> = inputs.iter().map(|path| ffmpeg::file(path)).collect();
    let output = ffmpeg::file(output);
    let mut out = Vec::new();
    let mut rest = arguments.iter();
    while let Some(one) = rest.next() {
        out.push(match one.to_str() {
            // No pipe is.
            Some("-seekable") => {
                rest.next();
                continue;
            }
            Some(FAR) => NEAR.into(),
            Some("file") => "pipe".into(),
            _ if *one == output => ffmpeg::file(other),
            _ => match inputs.iter().position(|input| input == one) {
                Some(number) => format!("pipe:{number}").into(),
                None => one.clone(),
            },
        });
    }
    out
}

fn specifier(one: &Selected, file: &Ready) -> String {
    match (file.container, one.kind) {
        (Container::Ts | Container::Mp4, _) => format!("{}:i:{}", one.input, one.stream.id),
        (_, CodecKind::Video) => format!("{}:v:0", one.input),
        _ => format!("{}:a:0", one.input),
    }
}

fn describe(
    plan: &Plan<'_>,
    media: &[&Input],
    selected: &[Selected],
    texts: &[Text<'_>],
    out: &mut Vec<OsString>,
) {
    let mut say = |option: String, value: String| out.extend([option.into(), value.replace('\0', "").into()]);
    let today = SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs() / 86_400);
    for (name, value) in
        [("title", plan.title), ("comment", plan.source_url), ("date", Some(civil(today).as_str()))]
    {
        if let Some(value) = value {
            say("-metadata".to_owned(), format!("{name}={value}"));
        }
    }
    let sounds = selected.iter().filter(|one| one.kind == CodecKind::Audio);
    let sounds: Vec<(char, &Input)> = sounds.map(|one| ('a', media[one.input])).collect();
    let texts: Vec<(char, &Input)> = texts.iter().map(|text| ('s', text.input)).collect();
    for tracks in [sounds, texts] {
        // A player takes one of them by itself; among sounds there is always one.
        let default = tracks.iter().position(|(_, input)| input.default);
        for (number, (kind, input)) in tracks.iter().enumerate() {
            if let Some(language) = input.language.as_deref().and_then(language::three_letters) {
                say(format!("-metadata:s:{kind}:{number}"), format!("language={language}"));
            }
            if let Some(name) = input.name.as_deref().filter(|name| !name.trim().is_empty()) {
                say(format!("-metadata:s:{kind}:{number}"), format!("title={name}"));
                say(format!("-metadata:s:{kind}:{number}"), format!("handler_name={name}"));
            }
            let is_default =
                if *kind == 'a' { default.unwrap_or(0) == number } else { default == Some(number) };
            let words: Vec<&str> = [(is_default, "default"), (input.forced, "forced")]
                .into_iter()
                .filter_map(|(holds, word)| holds.then_some(word))
                .collect();
            let words = if words.is_empty() { "0".to_owned() } else { words.join("+") };
            say(format!("-disposition:{kind}:{number}"), words);
        }
    }
}

/// Microseconds as ffmpeg takes a time.
fn seconds(us: i64) -> String {
    let sign = if us < 0 { "-" } else { "" };
    format!("{sign}{}.{:06}", us.unsigned_abs() / 1_000_000, us.unsigned_abs() % 1_000_000)
}

/// The date of a day counted from 1970-01-01.
fn civil(day: u64) -> String {
    let mut left = day;
    let mut year = 1970_u64;
    let is_leap =
        |year: u64| year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    loop {
        let length = if is_leap(year) { 366 } else { 365 };
        if left < length {
            break;
        }
        left -= length;
        year += 1;
    }
    let february = if is_leap(year) { 29 } else { 28 };
    let mut month = 1;
    for length in [31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] {
        if left < length {
            break;
        }
        left -= length;
        month += 1;
    }
    format!("{year:04}-{month:02}-{:02}", left + 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_have_dates() {
        for (day, date) in [
            (0, "1970-01-01"),
            (58, "1970-02-28"),
            (11_016, "2000-02-29"),
            (20_778, "2026-11-21"),
            (20_818, "2026-12-31"),
        ] {
            assert_eq!(civil(day), date);
        }
    }

    #[test]
    fn times_are_exact() {
        assert_eq!(
            (seconds(1_000_001), seconds(-20_000), seconds(0)),
            ("1.000001".to_owned(), "-0.020000".to_owned(), "0.000000".to_owned())
        );
    }
}
