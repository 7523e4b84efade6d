//! The end of a stream: its tracks become one checked file under its final name.
//!
//! Owns what is said of a result that lacks something. Never fetches. Invariant: what is not whole is called partial in its
//! name, and `lacks` says what is missing.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_media::filename;

use super::ahead::Ahead;
use super::recorder::Recorder;
use super::{Ready, flaws};
use crate::digest::{self, Expected, Stated};
use crate::journal::{FinishedState, Lost, State, StreamState, TrackState};
use crate::mux::{self, Input, Muxed, Section, Timing, TrackKind};
use crate::net::Net;
use crate::part;
use crate::{EngineError, Finished, Job, sums, without_query};

/// Muxes, checks, hashes, syncs and renames.
pub(super) async fn run(
    net: &Net,
    job: &Job,
    ready: Ready,
    recorder: Arc<Recorder>,
    note: Option<String>,
    ahead: Option<Ahead>,
    stop: &CancellationToken,
) -> Result<Finished, EngineError> {
    let state = recorder.state();
    if state.tracks.first().is_none_or(|main| main.written.bytes == 0) {
        let nothing = if state.live { EngineError::NothingRecorded } else { nothing_left(&state) };
        return Err(nothing);
    }
    let lacks = lacks(&state, note);
    let (result, filename) = (recorder.result(), recorder.filename());
    let (ahead, work) = match ahead {
        Some(ahead) => (Some(ahead.film), ahead.work),
        None => (None, recorder.work()?),
    };
    let mut film = Film::of(job, &ready, &recorder, work);
    let output = film.output.clone();
    // Only up to here: what follows ends in a rename, and a job that said it stopped must not finish later.
    let muxed = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(EngineError::Stopped),
        muxed = async {
            let wanted = sums::expected(net, job, &filename).await?;
            make(job, &ready, &recorder, &mut film, ahead).await.map(|muxed| (muxed, wanted))
        } => muxed,
    };
    let (mut muxed, wanted) = match muxed {
        Ok(done) => done,
        Err(error) => {
            forget_if_worthless(&recorder, &error, state.live);
            return Err(error);
        }
    };
    let notes: Vec<String> = lacks.into_iter().chain(std::mem::take(&mut muxed.notes)).collect();
    let lacks = (!notes.is_empty()).then(|| notes.join("; "));
    let concluded = tokio::task::spawn_blocking(move || {
        // Where a job that finds this half done looks.
        std::fs::rename(&output, &result).map_err(EngineError::disk)?;
        conclude(recorder, &result, &ready, &muxed, wanted.as_ref(), lacks)
    });
    concluded.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

/// Makes the checked file. Who takes what there is gets it without the segments that cannot be read, and is told which
/// are not what their playlist says.
async fn make(
    job: &Job,
    ready: &Ready,
    recorder: &Recorder,
    film: &mut Film,
    ahead: Option<mux::Ahead>,
) -> Result<Muxed, EngineError> {
    let forgiving = film.inputs.iter().any(|input| input.timing.forgiving);
    let packed = flaws::look(film, recorder, true).await?;
    if let Some(first) = packed.first().filter(|_| !forgiving) {
        return Err(first.error(film));
    }
    flaws::set_apart(film, &packed);
    let cause = match mux::run(&film.plan(job, ready), ahead).await {
        Ok(muxed) if muxed.notes.is_empty() => return Ok(told(muxed, flaws::in_words(&packed, false))),
        Ok(muxed) => {
            let found = flaws::look(film, recorder, false).await?;
            let swallowing: Vec<&flaws::Found> = found.iter().filter(|found| found.swallows()).collect();
            if swallowing.is_empty() || !flaws::leave_out(film, &swallowing) {
                return Ok(told(muxed, flaws::in_words(&found, false)));
            }
            let muxed = mux::run(&film.plan(job, ready), None).await?;
            return Ok(told(muxed, flaws::in_words(&found, true)));
        }
        Err(cause) => cause,
    };
    let is_of_media = matches!(
        cause,
        EngineError::DurationMismatch { .. }
            | EngineError::MuxFailed { .. }
            | EngineError::UnsupportedMedia { .. }
    );
    if !is_of_media {
        return Err(cause);
    }
    let mut found = flaws::look(film, recorder, false).await?;
    if matches!(cause, EngineError::UnsupportedMedia { .. }) {
        found.retain(flaws::Found::is_torn);
    }
    let Some(first) = found.first() else { return Err(cause) };
    let error = first.error(film);
    if !forgiving || !flaws::leave_out(film, &found.iter().collect::<Vec<_>>()) {
        return Err(error);
    }
    let muxed = mux::run(&film.plan(job, ready), None).await?;
    Ok(told(muxed, flaws::in_words(&found, true)))
}

fn told(mut muxed: Muxed, words: Option<String>) -> Muxed {
    muxed.notes.splice(0..0, words);
    muxed
}

/// What a stream becomes.
pub(super) struct Film {
    pub(super) inputs: Vec<Input>,
    /// Which track each of them is.
    pub(super) numbers: Vec<usize>,
    /// For what is made on the way.
    pub(super) work: PathBuf,
    output: PathBuf,
    source_url: String,
}

impl Film {
    /// Of what is there of its tracks, made in a folder of its own.
    pub(super) fn of(job: &Job, ready: &Ready, recorder: &Recorder, work: PathBuf) -> Self {
        let page = job.source.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("referer"));
        let source_url = page.and_then(|(_, page)| url::Url::parse(page).ok());
        let (numbers, inputs) =
            inputs(ready, &recorder.state(), recorder, job.wishes.holes).into_iter().unzip();
        Self {
            inputs,
            numbers,
            output: work.join("result"),
            work,
            source_url: without_query(source_url.as_ref().unwrap_or(&job.source.url)),
        }
    }

    pub(super) fn plan<'a>(&'a self, job: &'a Job, ready: &'a Ready) -> mux::Plan<'a> {
        mux::Plan {
            ffmpeg: &ready.ffmpeg,
            inputs: &self.inputs,
            work: &self.work,
            output: &self.output,
            title: job.title.as_deref().or(ready.title.as_deref()),
            source_url: Some(&self.source_url),
            audio_only: ready.audio_only,
            has_picture: ready.has_picture,
            subtitle_form: job.wishes.subtitle_form,
            // Of the name that was asked for: that of the partial is a guess.
            extension_wish: job
                .filename
                .as_deref()
                .and_then(filename::extension)
                .as_deref()
                .map(str::to_owned),
        }
    }
}

fn nothing_left(state: &StreamState) -> EngineError {
    let count = state.tracks.first().map_or(0, |main| main.written.segments);
    super::plan::missing(0, count, "and neither can any other".to_owned(), None)
}

/// The tracks as they lie on the disk. Subtitles of which nothing came are left out: a film without a word is whole.
fn inputs(ready: &Ready, state: &StreamState, recorder: &Recorder, holes: bool) -> Vec<(usize, Input)> {
    let mut inputs = Vec::new();
    let live = state.live;
    for (number, (track, state)) in ready.tracks.iter().zip(&state.tracks).enumerate() {
        if track.kind == TrackKind::Subtitles && state.written.bytes == 0 {
            continue;
        }
        let input = Input {
            kind: track.kind,
            path: recorder.path(number),
            language: track.language.clone(),
            name: track.name.clone(),
            default: track.default,
            forced: track.forced,
            sections: sections(state),
            timing: Timing {
                live,
                forgiving: live || holes,
                whole_seconds: track.rounded && !state.written.fractions,
                ..timing(state)
            },
        };
        inputs.push((number, input));
    }
    inputs
}

fn sections(track: &TrackState) -> Vec<Section> {
    let ends = track.breaks.iter().skip(1).map(|next| (next.byte, next.us));
    let ends = ends.chain([(track.written.bytes, track.written.us)]);
    let runs = track.breaks.iter().zip(ends).filter(|(begin, (end, _))| begin.byte < *end);
    runs.map(|(begin, (byte, us))| Section {
        bytes: begin.byte..byte,
        start: Duration::from_micros(begin.us),
        duration: Duration::from_micros(us.saturating_sub(begin.us)),
        shift_us: begin.shift_us,
        new_clock: begin.clock,
    })
    .collect()
}

fn timing(track: &TrackState) -> Timing {
    let mark = &track.written;
    Timing {
        planned: Duration::from_micros(mark.us),
        longest_segment: Duration::from_micros(mark.longest_us),
        segments: mark.segments,
        whole_seconds: false,
        lost: Duration::from_micros(track.lost.iter().map(|lost| lost.length_us).sum()),
        live: false,
        forgiving: false,
    }
}

/// What is missing, in words. Tracks lose the same moments together: the one that lost most speaks for all.
fn lacks(state: &StreamState, note: Option<String>) -> Option<String> {
    let most =
        state.tracks.iter().max_by_key(|track| track.lost.iter().map(|lost| lost.length_us).sum::<u64>());
    let lost: &[Lost] = most.map_or(&[], |track| &track.lost);
    let count: u64 = lost.iter().map(|lost| lost.count).sum();
    let length_us: u64 = lost.iter().map(|lost| lost.length_us).sum();
    let missing = lost.first().map(|first| {
        let (segments, are) = if count == 1 { ("segment", "is") } else { ("segments", "are") };
        let from = if lost.len() == 1 { "at" } else { "the first at" };
        let seconds = length_us as f64 / 1e6;
        format!("{count} {segments} ({seconds:.1} s) {are} missing, {from} {}", clock(first.us))
    });
    match (missing, note) {
        (Some(missing), Some(note)) => Some(format!("{missing}; {note}")),
        (missing, note) => missing.or(note),
    }
}

/// `0:12:30`.
fn clock(us: u64) -> String {
    let seconds = us / 1_000_000;
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Segments that make no whole film would make none the next time either: then they are fetched anew, from a server
/// that may have been repaired. What was live cannot be fetched again and stays.
fn forget_if_worthless(recorder: &Recorder, error: &EngineError, live: bool) {
    let worthless = matches!(
        error,
        EngineError::DurationMismatch { .. }
            | EngineError::MuxFailed { .. }
            | EngineError::UnsupportedMedia { .. }
            | EngineError::ChecksumMismatch { .. }
    );
    if worthless
        && !live
        && let Err(error) = recorder.forget()
    {
        tracing::warn!(%error, "segments of no use could not be forgotten");
    }
}

/// Hashes, syncs and renames. Blocks.
fn conclude(
    recorder: Arc<Recorder>,
    output: &Path,
    ready: &Ready,
    muxed: &Muxed,
    wanted: Option<&Expected>,
    lacks: Option<String>,
) -> Result<Finished, EngineError> {
    let live = recorder.state().live;
    let (bytes, sha256) = match hashed(output, wanted) {
        Ok(hashed) => hashed,
        Err(error) => {
            forget_if_worthless(&recorder, &error, live);
            return Err(error);
        }
    };
    let Some(recorder) = Arc::into_inner(recorder) else {
        return Err(EngineError::Internal("a track is still being written".to_owned()));
    };
    let part = recorder.into_part();
    let name = final_name(&part.names.filename, muxed.extension, lacks.is_some());
    let duration = Some(muxed.duration);
    let (kind, quality) = (ready.kind, ready.quality.clone());
    let state = |filename: &str| {
        State::Finished(FinishedState {
            filename: filename.to_owned(),
            bytes,
            sha256: digest::hex(&sha256),
            kind,
            quality: quality.clone(),
            duration_ms: duration.map(|duration| duration.as_millis() as u64),
            lacks: lacks.clone(),
        })
    };
    let journal = part.names.journal();
    let directory = part.names.directory.clone();
    for sidecar in &muxed.sidecars {
        beside(&directory, &name, &sidecar.path, &sidecar.suffix)?;
    }
    let path = part.finish_as(output, &name, state)?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let unmet = ready.unmet.clone();
    Ok(Finished {
        path,
        filename,
        kind,
        bytes,
        sha256,
        quality,
        duration,
        lacks,
        unmet,
        journal: Some(journal),
    })
}

/// The extension its codecs settled, and the word that it is not whole.
fn final_name(name: &str, extension: &str, partial: bool) -> String {
    let known = ["mp4", "m4a", "mkv", "mka", "webm", "mp3", "ts"];
    let stem = match filename::extension(name) {
        Some(own) if known.contains(&own.as_str()) => &name[..name.len() - own.len() - 1],
        _ => name,
    };
    let stem = if partial { format!("{stem} (partial)") } else { stem.to_owned() };
    filename::with_extension(&filename::safe(&stem), extension)
}

/// Puts a finished companion beside the file, never in place of another.
fn beside(directory: &Path, name: &str, from: &Path, suffix: &str) -> Result<PathBuf, EngineError> {
    let stem = filename::extension(name).map_or(name, |own| &name[..name.len() - own.len() - 1]);
    part::place(directory, &format!("{stem}{suffix}"), from)
}

/// Size and hash of a result that is what was promised, and on the disk for good.
fn hashed(output: &Path, wanted: Option<&Expected>) -> Result<(u64, [u8; 32]), EngineError> {
    let mut file = File::open(output).map_err(EngineError::disk)?;
    let algorithm = wanted.map(|wanted| wanted.algorithm);
    let (bytes, digests) = digest::of_file(&mut file, algorithm).map_err(EngineError::disk)?;
    digests.check(&Stated::default(), wanted)?;
    file.sync_all().map_err(EngineError::disk)?;
    Ok((bytes, digests.sha256))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{Break, Mark};

    #[test]
    fn runs_cover_the_file_and_lost_ones_are_none() {
        let at = |byte, us, clock| Break { byte, us, shift_us: None, clock };
        let track = TrackState {
            written: Mark { bytes: 100, us: 30_000_000, ..Mark::default() },
            breaks: vec![at(0, 0, true), at(40, 10_000_000, true), at(40, 12_000_000, false)],
            ..TrackState::default()
        };
        let sections = sections(&track);
        let spans: Vec<_> =
            sections.iter().map(|s| (s.bytes.clone(), s.start.as_secs(), s.duration.as_secs())).collect();
        assert_eq!(spans, [(0..40, 0, 10), (40..100, 12, 18)]);
    }

    #[test]
    fn what_is_missing_is_said() {
        let lost = |us, count| Lost { us, length_us: 6_000_000 * count, count };
        let with = |lost: Vec<Lost>| StreamState {
            tracks: vec![TrackState { lost, ..TrackState::default() }, TrackState::default()],
            ..StreamState::default()
        };
        assert_eq!(lacks(&with(vec![]), None), None);
        let one = lacks(&with(vec![lost(750_000_000, 1)]), None).unwrap();
        assert_eq!(one, "1 segment (6.0 s) is missing, at 0:12:30");
        let two =
            lacks(&with(vec![lost(0, 2), lost(60_000_000, 1)]), Some("the server went".to_owned())).unwrap();
        assert_eq!(two, "3 segments (18.0 s) are missing, the first at 0:00:00; the server went");
    }

    #[test]
    fn names_end_as_their_codecs_demand() {
        assert_eq!(final_name("A talk.mp4", "mp4", false), "A talk.mp4");
        assert_eq!(final_name("A talk.mp4", "webm", true), "A talk (partial).webm");
        assert_eq!(final_name("Version 2.0", "mkv", false), "Version 2.0.mkv");
    }
}
