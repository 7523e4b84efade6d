//! Subtitles: from the working file of a track to cues on the clock of the film, and where these go.
//!
//! Owns telling what a track of text is and what its times mean. Never drops a track it cannot read: that is an error with
//! its name. Invariant: whatever form they came in, times written are those of the finished film.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use weir_media::codec::{self, Codec};
use weir_media::fragment;
use weir_media::subtitle::{self, Cue, boxed, ttml, webvtt};
use weir_media::ts::CLOCK;

use super::source::{self, unsupported};
use super::timeline::{Clock, Shift, Stretch, turned};
use super::{Input, Sidecar};
use crate::{EngineError, SubtitleForm};

/// Largest track of text that is read; hours of it are a few hundred kilobytes.
const MAX_TEXT: u64 = 16 * 1024 * 1024;
/// Most samples of one fragment.
const MAX_SAMPLES: usize = 100_000;
/// How far cues may be from where the manifest has their section and still belong there.
const SLACK_US: i64 = 10_000_000;

/// Cues of a section, each with what its time is counted from.
#[derive(Debug, Default)]
struct Written {
    /// In the text's own time.
    cues: Vec<Cue>,
    /// The same on the clock of the media, when the text says what its own time is there.
    mapped: Vec<Option<i64>>,
    /// The text's own time is that of the media.
    is_media_time: bool,
}

/// The clock of the film, as far as text needs it.
pub(super) struct Film<'a> {
    pub(super) main: &'a [Stretch],
    pub(super) main_shifts: &'a [Shift],
    /// The moment on the common clock at which the film begins.
    pub(super) zero_us: i64,
}

/// Reads a track of text. `stretches` and `shifts` are its sections as the timeline has them. Blocks.
pub(super) fn read(
    input: &Input,
    stretches: &[Stretch],
    shifts: &[Shift],
    film: &Film<'_>,
    halt: &AtomicBool,
) -> Result<Vec<Cue>, EngineError> {
    let mut file = source::reopen(&input.path)?;
    let mut tracks = Vec::new();
    let mut cues = Vec::new();
    for (section, (stretch, shift)) in input.sections.iter().zip(stretches.iter().zip(shifts)) {
        let size = section.bytes.end.saturating_sub(section.bytes.start);
        if size > MAX_TEXT {
            return Err(cannot(input, "they are too large"));
        }
        let start = source::read_at(&mut file, section.bytes.start, 12).map_err(EngineError::disk)?;
        let boxes = start
            .get(4..8)
            .is_some_and(|kind| matches!(kind, b"ftyp" | b"styp" | b"moof" | b"moov" | b"sidx"));
        let written = if boxes {
            from_boxes(&mut file, input, section, &mut tracks, halt)?
        } else {
            let bytes = source::read_at(&mut file, section.bytes.start, size).map_err(EngineError::disk)?;
            from_text(input, &String::from_utf8_lossy(&bytes))?
        };
        cues.extend(on_film(written, stretch, shift, film));
    }
    cues.retain(|cue| cue.end_us > 0);
    for cue in &mut cues {
        cue.start_us = cue.start_us.max(0);
    }
    Ok(subtitle::merged(cues))
}

fn cannot(input: &Input, reason: &str) -> EngineError {
    let which = input.language.as_deref().or(input.name.as_deref()).unwrap_or("of the stream");
    unsupported(format!("the subtitles {which} cannot be read: {reason}"))
}

fn from_text(input: &Input, text: &str) -> Result<Written, EngineError> {
    let trimmed = text.trim_start_matches('\u{feff}').trim_start();
    if trimmed.is_empty() {
        return Ok(Written::default());
    }
    if ttml::is_ttml(trimmed) {
        let mut written = Written::default();
        for document in ttml::documents(trimmed) {
            add_document(input, document, None, &mut written)?;
        }
        return Ok(written);
    }
    if !webvtt::is_webvtt(trimmed) && !trimmed.contains("-->") {
        return Err(cannot(input, "they are neither WebVTT nor TTML"));
    }
    let mut written = Written::default();
    for document in webvtt::documents(trimmed) {
        for cue in document.cues {
            let mapped = document.map.map(|(local, media)| cue.start_us - local + media * 1_000_000 / CLOCK);
            written.mapped.push(mapped);
            written.cues.push(cue);
        }
    }
    Ok(written)
}

/// Adds a document, shown only from a moment on when it is a sample.
fn add_document(
    input: &Input,
    document: &str,
    shown: Option<(i64, i64)>,
    written: &mut Written,
) -> Result<(), EngineError> {
    let text = ttml::parse(document).map_err(|error| cannot(input, &error.to_string()))?;
    if text.has_pictures && text.cues.is_empty() {
        return Err(cannot(input, "they are pictures"));
    }
    for mut cue in text.cues {
        if let Some((start, end)) = shown {
            // Times are those of the track (ISO/IEC 14496-30 section 5.3); some count from the sample instead.
            if cue.end_us <= start && cue.start_us < end - start {
                cue.start_us += start;
                cue.end_us += start;
            }
            cue.start_us = cue.start_us.max(start);
            cue.end_us = cue.end_us.min(end.max(cue.start_us));
        }
        written.mapped.push(None);
        written.cues.push(cue);
    }
    Ok(())
}

/// Text in fragments of MP4.
fn from_boxes(
    file: &mut File,
    input: &Input,
    section: &super::Section,
    tracks: &mut Vec<codec::Track>,
    halt: &AtomicBool,
) -> Result<Written, EngineError> {
    let mut written = Written { is_media_time: true, ..Written::default() };
    let mut pending: Option<(u64, Vec<fragment::Sample>)> = None;
    source::top_boxes(file, &section.bytes, halt, |file, kind, place, head| {
        match &kind {
            b"moov" => {
                let moov = source::whole_box(file, &place)?;
                *tracks = codec::tracks(moov.get(head as usize..).unwrap_or_default());
            }
            b"moof" => {
                let moof = source::whole_box(file, &place)?;
                let samples =
                    fragment::samples(moof.get(head as usize..).unwrap_or_default(), tracks, MAX_SAMPLES);
                pending = Some((place.start, samples));
            }
            b"mdat" => {
                if let Some((moof_at, samples)) = pending.take() {
                    let data = source::whole_box(file, &place)?;
                    add_samples(input, tracks, &samples, &data, place.start - moof_at, head, &mut written)?;
                }
            }
            _ => {}
        }
        Ok(true)
    })?;
    Ok(written)
}

/// `data` is the whole `mdat` box, which begins `at` bytes behind the fragment.
fn add_samples(
    input: &Input,
    tracks: &[codec::Track],
    samples: &[fragment::Sample],
    data: &[u8],
    at: u64,
    head: u64,
    written: &mut Written,
) -> Result<(), EngineError> {
    let mut next = head as usize;
    for sample in samples {
        if let Some(offset) = sample.offset {
            next = usize::try_from(offset - i64::try_from(at).unwrap_or_default()).unwrap_or(usize::MAX);
        }
        let end = next.saturating_add(sample.size as usize);
        let bytes = data.get(next..end).ok_or_else(|| cannot(input, "a segment is cut"))?;
        next = end;
        let Some(track) = tracks.iter().find(|track| track.id == sample.track) else { continue };
        let us = |units: i64| {
            i64::try_from(i128::from(units) * 1_000_000 / i128::from(track.timescale)).unwrap_or_default()
        };
        let start = us(sample.start - track.skipped);
        let stop = us(sample.start - track.skipped + i64::try_from(sample.length).unwrap_or_default());
        match &track.codec {
            Codec::WebVtt => {
                let cues = boxed::cues(bytes, start, stop);
                written.mapped.extend(cues.iter().map(|_| None));
                written.cues.extend(cues);
            }
            Codec::Ttml if bytes.iter().any(|byte| !byte.is_ascii_whitespace()) => {
                add_document(input, &String::from_utf8_lossy(bytes), Some((start, stop)), written)?;
            }
            Codec::Ttml => {}
            other => return Err(cannot(input, &format!("{} is no text that is known", other.name()))),
        }
    }
    Ok(())
}

/// Brings a section's cues to the clock of the film.
fn on_film(written: Written, stretch: &Stretch, shift: &Shift, film: &Film<'_>) -> Vec<Cue> {
    let Written { cues, mapped, is_media_time } = written;
    if stretch.given_us.is_some() {
        return moved(&cues, |cue, _| cue.start_us + shift.base_us - film.zero_us);
    }
    let at = super::timeline::partner(stretch, film.main);
    let (main, main_shift) = match at {
        Some(at) => (&film.main[at], &film.main_shifts[at]),
        None => return moved(&cues, |cue, _| cue.start_us),
    };
    // Where the manifest has this section in the film.
    let section = shift.base_us - film.zero_us;
    let range = section - SLACK_US..section + stretch.span_us + SLACK_US;
    let clock = Clock { beats: Vec::new(), turns: main.clock.turns };
    let by_clock = |media: i64| {
        let near = section + stretch.span_us / 2 + film.zero_us;
        media + turned(&clock, media, main_shift.base_us, near) - film.zero_us
    };
    let says = mapped.iter().any(Option::is_some) || is_media_time;
    let candidates: [Vec<Cue>; 3] = [
        // By the map; without one the text's own time is that of the media (RFC 8216 section 3.5).
        moved(&cues, |cue, number| by_clock(mapped.get(number).copied().flatten().unwrap_or(cue.start_us))),
        // Servers also count from the beginning of the film, or of the section.
        moved(&cues, |cue, _| cue.start_us - film_origin(film)),
        moved(&cues, |cue, _| cue.start_us + section),
    ];
    let score = |cues: &[Cue]| cues.iter().filter(|cue| range.contains(&cue.start_us)).count();
    let [by_map, of_film, of_section] = candidates;
    let (first, second, third) =
        if says { (by_map, of_film, of_section) } else { (of_film, by_map, of_section) };
    // The first that is not plainly wrong.
    let wanted = cues.len().div_ceil(2);
    if score(&first) >= wanted {
        return first;
    }
    let (second_score, third_score) = (score(&second), score(&third));
    if second_score >= wanted {
        second
    } else if third_score >= wanted {
        third
    } else {
        first
    }
}

/// The beginning of the film in the time of a text that counts from there.
fn film_origin(film: &Film<'_>) -> i64 {
    film.main.first().map_or(0, |stretch| stretch.start_us)
}

fn moved(cues: &[Cue], start: impl Fn(&Cue, usize) -> i64) -> Vec<Cue> {
    let all = cues.iter().enumerate().map(|(number, cue)| {
        let start_us = start(cue, number);
        Cue { start_us, end_us: start_us.saturating_add(cue.end_us - cue.start_us), ..cue.clone() }
    });
    all.collect()
}

/// Writes cues as WebVTT for ffmpeg to read.
pub(super) fn write_for_ffmpeg(cues: &[Cue], path: &Path) -> Result<(), EngineError> {
    std::fs::write(path, subtitle::to_webvtt(cues)).map_err(EngineError::disk)
}

/// Writes the tracks as files of their own, to be put beside the film.
pub(super) fn write_sidecars(
    tracks: &[(&Input, Vec<Cue>)],
    form: SubtitleForm,
    work: &Path,
) -> Result<Vec<Sidecar>, EngineError> {
    let mut sidecars: Vec<Sidecar> = Vec::new();
    for (number, (input, cues)) in tracks.iter().enumerate() {
        let (text, extension) = match form {
            SubtitleForm::Srt => (subtitle::to_srt(cues), "srt"),
            SubtitleForm::Vtt | SubtitleForm::Embedded => (subtitle::to_webvtt(cues), "vtt"),
        };
        let path: PathBuf = work.join(format!("subtitles{number}.{extension}"));
        std::fs::write(&path, text).map_err(EngineError::disk)?;
        let language = input.language.as_deref().map(word).filter(|word| !word.is_empty());
        let forced = if input.forced { ".forced" } else { "" };
        let stem = format!("{}{forced}", language.map(|language| format!(".{language}")).unwrap_or_default());
        let names = std::iter::once(format!("{stem}.{extension}"))
            .chain((2..).map(|number| format!("{stem}.{number}.{extension}")));
        // Never ends: there are fewer sidecars than numbers.
        let suffix = names.into_iter().find(|name| sidecars.iter().all(|sidecar| sidecar.suffix != *name));
        sidecars.push(Sidecar { path, suffix: suffix.unwrap_or_default() });
    }
    Ok(sidecars)
}

/// A language as part of a file name: nothing from outside makes a path of it.
fn word(language: &str) -> String {
    language.chars().filter(|c| c.is_ascii_alphanumeric() || *c == '-').take(32).collect()
}
