//! Muxing: the working files of a stream into one checked file, nothing re-encoded.
//!
//! Owns the order of things: look at what came, give it one clock, choose a container, let ffmpeg write it, check it.
//! Never lets ffmpeg reach the network or guess a format: what a server sent could otherwise be a playlist that makes
//! ffmpeg read other files. Invariant: no ffmpeg outlives its job, and a result that is not what was planned is an error.

mod ahead;
mod arguments;
mod check;
mod container;
mod faststart;
mod ffmpeg;
mod flaws;
mod holes;
mod join;
mod listing;
mod meter;
mod sample_aes;
mod segments;
mod source;
mod subtitles;
mod thumbnail;
mod timeline;

use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

pub(crate) use ahead::Ahead;
pub(crate) use container::{is_media, is_packed};
pub(crate) use ffmpeg::find;
pub(crate) use flaws::Flaw;
pub(crate) use meter::{Meter, Track};
pub(crate) use sample_aes::decrypt_samples;
pub(crate) use segments::{Segment, flaws, is_packed as is_packed_input};
use serde::{Deserialize, Serialize};
pub(crate) use thumbnail::thumbnail;
use weir_media::codec::{Codec, CodecKind};
use weir_media::subtitle::Cue;

use crate::{EngineError, SubtitleForm};

use arguments::{Selected, Text};
use container::Output;
use source::Source;
use timeline::{Clock, Shift, Stretch};

/// What a track of a stream is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum TrackKind {
    /// The picture, and perhaps its sound with it.
    Video,
    /// Sound of its own.
    Audio,
    /// Text.
    Subtitles,
}

/// One working file.
#[derive(Debug, Clone)]
pub(crate) struct Input {
    pub(crate) kind: TrackKind,
    pub(crate) path: PathBuf,
    /// RFC 5646.
    pub(crate) language: Option<String>,
    /// For people.
    pub(crate) name: Option<String>,
    pub(crate) default: bool,
    pub(crate) forced: bool,
    /// In order, covering the file.
    pub(crate) sections: Vec<Section>,
    pub(crate) timing: Timing,
}

/// A run of segments with one initialisation section and one clock. A new one begins at a discontinuity, at another
/// initialisation section, and with a period.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Section {
    /// Where it is in the working file. It begins with its initialisation section when the format has one; without, the one
    /// before holds.
    pub(crate) bytes: Range<u64>,
    /// Its place by the manifest.
    pub(crate) start: Duration,
    /// How long it is by the manifest, holes in it included.
    pub(crate) duration: Duration,
    /// Microseconds to add to the timestamps inside; only DASH says.
    pub(crate) shift_us: Option<i64>,
    /// Timestamps may begin anew here. Without it the clock of the section before goes on.
    pub(crate) new_clock: bool,
}

/// How long a track is to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct Timing {
    /// By the manifest, lost segments included.
    pub(crate) planned: Duration,
    pub(crate) longest_segment: Duration,
    /// Number of segments, lost ones included.
    pub(crate) segments: usize,
    /// Every segment is said to last whole seconds, as old playlists do by rounding.
    pub(crate) whole_seconds: bool,
    /// Length of the segments that are known, and reported, not to be there.
    pub(crate) lost: Duration,
    /// It was recorded while it went on.
    pub(crate) live: bool,
    /// What is not as planned is told, not refused: it was live, or the user takes what there is.
    pub(crate) forgiving: bool,
}

/// What to put together.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) ffmpeg: &'a Path,
    /// The main track first: picture with or without sound, or sound. Sound of its own replaces that of the main track.
    pub(crate) inputs: &'a [Input],
    /// An existing folder, private to this job, for what is needed on the way.
    pub(crate) work: &'a Path,
    pub(crate) output: &'a Path,
    pub(crate) title: Option<&'a str>,
    /// Page or address it came from, without secrets.
    pub(crate) source_url: Option<&'a str>,
    /// The main track is sound, or nothing else is wanted of it.
    pub(crate) audio_only: bool,
    /// A result without a picture is not whole.
    pub(crate) has_picture: bool,
    pub(crate) subtitle_form: SubtitleForm,
    /// Granted when the codecs allow: `mkv`, `webm`, `mp4`.
    pub(crate) extension_wish: Option<String>,
}

/// A checked file.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Muxed {
    /// Settled by its codecs: `mp4`, `m4a`, `mp3`, `webm`, `mkv` or `ts`.
    pub(crate) extension: &'static str,
    /// Of its longest track.
    pub(crate) duration: Duration,
    /// What goes beside it, in the work folder until then.
    pub(crate) sidecars: Vec<Sidecar>,
    /// What it lacks, or may lack, that nobody knew before; a clause each in plain words.
    pub(crate) notes: Vec<String>,
}

/// A file that goes beside the result.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Sidecar {
    pub(crate) path: PathBuf,
    /// What its name has in place of the result's extension: `.en.vtt`.
    pub(crate) suffix: String,
}

/// The extension that a stream with these codecs (RFC 6381) will most likely get; for naming it before it is there.
pub(crate) fn likely_extension(codecs: Option<&str>, audio_only: bool) -> &'static str {
    let codecs: Vec<Codec> =
        codecs.unwrap_or_default().split(',').filter_map(|one| named(one.trim())).collect();
    let of_interest: Vec<Codec> =
        codecs.into_iter().filter(|codec| !audio_only || codec.kind() == CodecKind::Audio).collect();
    match (of_interest.is_empty(), audio_only) {
        (true, false) => "mp4",
        (true, true) => "m4a",
        (false, _) => Output::choose(&of_interest, None).extension(),
    }
}

fn named(codec: &str) -> Option<Codec> {
    let letters: [u8; 4] = codec.split('.').next()?.as_bytes().try_into().ok()?;
    if &letters == b"mp4a" {
        return Some(if matches!(codec, "mp4a.69" | "mp4a.6B" | "mp4a.6b" | "mp4a.40.34") {
            Codec::Mp3
        } else {
            Codec::Aac
        });
    }
    let letters = match &letters {
        b"flac" => *b"fLaC",
        b"opus" => *b"Opus",
        letters => *letters,
    };
    let known = Codec::of_sample_entry(letters, &[], [0; 4]);
    matches!(known.kind(), CodecKind::Video | CodecKind::Audio).then_some(known)
}

/// The inputs of a plan, looked at and placed on one clock.
struct Looked<'a> {
    /// Sound and pictures.
    media: Vec<&'a Input>,
    texts: Vec<&'a Input>,
    /// Of `media`.
    sources: Vec<Source>,
    /// Of `media`, and then of `texts`.
    stretches: Vec<Vec<Stretch>>,
    shifts: Vec<Vec<Shift>>,
}

async fn look<'a>(plan: &Plan<'a>, halt: &Halt) -> Result<Looked<'a>, EngineError> {
    let is_text = |input: &&Input| input.kind == TrackKind::Subtitles;
    let texts: Vec<&Input> = plan.inputs.iter().filter(is_text).collect();
    let media: Vec<&Input> = plan.inputs.iter().filter(|input| !is_text(input)).collect();
    let mut sources = Vec::new();
    for input in &media {
        let input = (*input).clone();
        sources.push(blocking(halt, move |halt| source::open(&input, halt)).await?);
    }
    let live = media.iter().any(|input| input.timing.live);
    let of_media = media.iter().zip(&sources).map(|(input, source)| stretches(input, &source.clocks));
    // Text has no clock of its own: it is placed by the manifest, and then by what is written in it.
    let of_text = texts.iter().map(|input| stretches(input, &vec![Clock::default(); input.sections.len()]));
    let stretches: Vec<Vec<Stretch>> = of_media.chain(of_text).collect();
    let shifts = timeline::place(&stretches, live);
    Ok(Looked { media, texts, sources, stretches, shifts })
}

impl Looked<'_> {
    /// What it takes to bring an input of sound or pictures to the one clock.
    fn task(&self, plan: &Plan<'_>, number: usize) -> join::Task {
        join::Task {
            input: self.media[number].clone(),
            source: self.sources[number].clone(),
            stretches: self.stretches[number].clone(),
            shifts: self.shifts[number].clone(),
            stem: plan.work.join(format!("joined{number}")),
        }
    }

    /// How ffmpeg is told when everything can be taken as it comes; none when it cannot.
    fn as_it_comes(&self, plan: &Plan<'_>) -> Result<Option<Vec<std::ffi::OsString>>, EngineError> {
        let mut ready = Vec::new();
        for (number, source) in self.sources.iter().enumerate() {
            if join::way(source, &self.stretches[number])? != join::Way::AsIs || !source.is_in_order() {
                return Ok(None);
            }
            ready.push(self.task(plan, number).as_is());
        }
        // Text is read as a whole.
        if !self.texts.is_empty() {
            return Ok(None);
        }
        let selected = arguments::select(plan, &self.media, &self.stretches, &ready)?;
        let output = output_for(plan, &selected);
        Ok(Some(arguments::of(plan, &self.media, &ready, &selected, &[], output)))
    }
}

/// Muxes and checks; `ahead` may have done the first already. Dropping the future ends everything it started.
pub(crate) async fn run(plan: &Plan<'_>, ahead: Option<Ahead>) -> Result<Muxed, EngineError> {
    let halt = Halt::default();
    let looked = look(plan, &halt).await?;
    let mut ready = Vec::new();
    for (number, source) in looked.sources.iter().enumerate() {
        let task = looked.task(plan, number);
        ready.push(match join::way(source, &task.stretches)? {
            join::Way::Converted => task.convert(plan.ffmpeg, &halt).await?,
            way => blocking(&halt, move |halt| task.join(way, halt)).await?,
        });
    }
    let Looked { media, texts, sources, stretches, shifts } = looked;
    let selected = arguments::select(plan, &media, &stretches, &ready)?;
    let output = output_for(plan, &selected);
    let zero_us = arguments::zero(&selected, &stretches, &shifts);
    let mut cues = Vec::new();
    for (number, input) in texts.iter().enumerate() {
        let at = media.len() + number;
        let (input, stretches, shifts) = ((*input).clone(), stretches.clone(), shifts.clone());
        let read = blocking(&halt, move |halt| {
            let film = subtitles::Film { main: &stretches[0], main_shifts: &shifts[0], zero_us };
            subtitles::read(&input, &stretches[at], &shifts[at], &film, halt)
        });
        cues.push(read.await?);
    }
    // A track without a word is none.
    let tracks = texts.into_iter().zip(cues).filter(|(_, cues)| !cues.is_empty()).collect();
    let (embedded, sidecars) = text_files(plan, tracks, output, zero_us)?;
    let arguments = arguments::of(plan, &media, &ready, &selected, &embedded, output);
    let film = check::Film {
        plan,
        media: &media,
        sources: &sources,
        stretches: &stretches,
        shifts: &shifts,
        zero_us,
        selected: &selected,
        texts: embedded.len(),
        output,
    };
    let done = |check::Verdict { duration, notes }, sidecars| {
        Ok(Muxed { extension: output.extension(), duration, sidecars, notes })
    };
    if let Some(ahead) = ahead
        && ahead.end(&arguments, plan.output).await
    {
        match checked(&film, &halt).await {
            Ok(verdict) => return done(verdict, sidecars),
            Err(EngineError::Stopped) => return Err(EngineError::Stopped),
            Err(error) => tracing::debug!(%error, "a film that was made ahead is made anew"),
        }
    }
    let outcome = ffmpeg::run(plan.ffmpeg, &arguments, plan.output.parent().unwrap_or(plan.work)).await;
    let made = ready.iter().filter(|file| file.made).map(|file| &file.path);
    for path in made.chain(embedded.iter().map(|text| &text.path)) {
        let _ = std::fs::remove_file(path);
    }
    outcome?;
    done(checked(&film, &halt).await?, sidecars)
}

/// Brings the result into the order of a finished file and compares it with what was planned.
async fn checked(film: &check::Film<'_>, halt: &Halt) -> Result<check::Verdict, EngineError> {
    if film.output.is_mp4() {
        let path = film.plan.output.to_owned();
        blocking(halt, move |halt| faststart::apply(&path, halt)).await?;
    }
    check::run(film, halt).await
}

fn output_for(plan: &Plan<'_>, selected: &[Selected]) -> Output {
    if selected.iter().any(|one| one.sound_changes) {
        return Output::Ts;
    }
    let codecs: Vec<Codec> = selected.iter().map(|one| one.stream.codec.clone()).collect();
    Output::choose(&codecs, plan.extension_wish.as_deref())
}

/// Writes text where it goes: for ffmpeg to read, or beside the film, also when the container has no room for it.
fn text_files<'a>(
    plan: &Plan<'_>,
    tracks: Vec<(&'a Input, Vec<Cue>)>,
    output: Output,
    zero_us: i64,
) -> Result<(Vec<Text<'a>>, Vec<Sidecar>), EngineError> {
    if plan.subtitle_form != SubtitleForm::Embedded || output.subtitle_codec().is_none() {
        let sidecars = subtitles::write_sidecars(&tracks, plan.subtitle_form, plan.work)?;
        return Ok((Vec::new(), sidecars));
    }
    let mut embedded = Vec::new();
    for (number, (input, cues)) in tracks.into_iter().enumerate() {
        let path = plan.work.join(format!("text{number}.vtt"));
        subtitles::write_for_ffmpeg(&cues, &path)?;
        embedded.push(Text { input, path, zero_us });
    }
    Ok((embedded, Vec::new()))
}

fn stretches(input: &Input, clocks: &[Clock]) -> Vec<Stretch> {
    let us = |duration: Duration| i64::try_from(duration.as_micros()).unwrap_or(i64::MAX / 4);
    let stretches = input.sections.iter().zip(clocks).map(|(section, clock)| Stretch {
        start_us: us(section.start),
        span_us: us(section.duration),
        new_clock: section.new_clock,
        given_us: section.shift_us,
        clock: clock.clone(),
    });
    stretches.collect()
}

/// Tells blocking work that nobody waits for it any more.
#[derive(Debug, Default)]
struct Halt(Arc<AtomicBool>);

impl Drop for Halt {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Runs what reads and writes files where it holds nobody up.
async fn blocking<T: Send + 'static>(
    halt: &Halt,
    work: impl FnOnce(&AtomicBool) -> Result<T, EngineError> + Send + 'static,
) -> Result<T, EngineError> {
    let flag = Arc::clone(&halt.0);
    let done = tokio::task::spawn_blocking(move || work(&flag)).await;
    done.map_err(|error| EngineError::Internal(error.to_string()))?
}

#[cfg(test)]
mod tests;
