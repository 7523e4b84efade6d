//! HLS streams: from the playlist to one file.
//!
//! Owns the order of things: choose, refuse, fetch the tracks, mux, check, finish. Never guesses over a hole: a segment
//! that cannot be had ends the job with its number. Invariant: what DRM protects, what is live and what is not
//! understood is refused before the first segment is asked for.

mod cipher;
mod plan;
mod playlist;
mod segment;
mod track;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_media::filename;
use weir_media::hls::{MediaPlaylist, Playlist};
use weir_media::segment::Segment;

use crate::digest::{self, Expected, Stated};
use crate::journal::{self, FinishedState, HlsState, State, TrackState};
use crate::monitor::{Monitor, Phase};
use crate::net::{Answer, Net};
use crate::part::Part;
use crate::{EngineError, Finished, Job, Kind, mux, resolve, sums};

pub(crate) use playlist::{media_playlist, read_playlist};

/// Names that say what a playlist is and not what it plays.
const GENERIC_NAMES: &[&str] =
    &["index", "master", "playlist", "manifest", "main", "stream", "chunklist", "prog_index", "video", "hls"];

/// What will be fetched, decided before anything is.
pub(crate) struct Ready {
    /// Picture with or without sound, then sound of its own.
    tracks: Vec<MediaPlaylist>,
    quality: Option<String>,
    audio_only: bool,
    /// The result must have a picture. False when the playlist does not say so: then it may have one.
    has_picture: bool,
    ffmpeg: PathBuf,
}

/// Reads the playlists and refuses what cannot be done.
pub(crate) async fn prepare(net: &Net, job: &Job, answer: &mut Answer) -> Result<Ready, EngineError> {
    let visitor = job.source.visiting();
    let ready = match read_playlist(answer).await? {
        Playlist::Media(media) => Ready {
            tracks: vec![media],
            quality: None,
            audio_only: is_audio_wish(job),
            has_picture: false,
            ffmpeg: PathBuf::new(),
        },
        Playlist::Multivariant(multivariant) => {
            if let Some(drm) = multivariant.drm {
                return Err(EngineError::Drm { system: drm.system });
            }
            let wish = job.quality.as_deref().unwrap_or("best");
            let choice = plan::choose(&multivariant, wish)?;
            let audio_only = choice.video.is_none() || is_audio_wish(job);
            let mut tracks = Vec::new();
            if let Some((url, backups)) = &choice.video {
                tracks.push(media_playlist(net, &visitor, url, backups).await?);
            }
            if let Some(url) = &choice.audio {
                tracks.push(media_playlist(net, &visitor, url, &[]).await?);
            }
            Ready {
                tracks,
                quality: choice.label,
                audio_only,
                has_picture: choice.has_picture && !audio_only,
                ffmpeg: PathBuf::new(),
            }
        }
    };
    ready.tracks.iter().try_for_each(plan::check)?;
    // Better now than after the last segment.
    Ok(Ready { ffmpeg: mux::find(net.options().ffmpeg.as_deref())?, ..ready })
}

fn is_audio_wish(job: &Job) -> bool {
    job.quality.as_deref().is_some_and(|wish| wish.trim().eq_ignore_ascii_case("audio"))
}

/// Name of the finished file: what the caller wants, else the title, else the address.
pub(crate) fn file_name(job: &Job, answer: &Answer, ready: &Ready) -> String {
    let extension = if ready.audio_only { "m4a" } else { "mp4" };
    let name = match (&job.filename, &job.title) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(title)) if !title.trim().is_empty() => Some(title.clone()),
        _ => name_in_path(&answer.url).or_else(|| resolve::url_name(&answer.url, &job.source.url)),
    };
    filename::with_extension(&filename::safe(&name.unwrap_or_default()), extension)
}

/// The last part of the path that says something.
fn name_in_path(url: &url::Url) -> Option<String> {
    let segments: Vec<&str> = url.path_segments()?.filter(|segment| !segment.is_empty()).collect();
    let telling = segments.iter().rev().find(|segment| {
        let stem = segment.split('.').next().unwrap_or_default().to_ascii_lowercase();
        !GENERIC_NAMES.contains(&stem.as_str())
    })?;
    Some(percent_encoding::percent_decode_str(telling).decode_utf8_lossy().into_owned())
}

/// Fetches, muxes, checks and finishes. `before` is what an earlier run left, with its boot.
pub(crate) async fn run(
    net: &Net,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
    part: Part,
    ready: Ready,
    before: Option<(String, HlsState)>,
) -> Result<Finished, EngineError> {
    monitor.set_quality(ready.quality.as_deref());
    monitor.set_phase(Phase::Downloading);
    let paths = [part.names.track(0), part.names.track(1)];
    part.names.make_work().map_err(EngineError::disk)?;
    let mut recorder = recorder(part, &ready, before, Arc::clone(monitor))?;
    let connections = job.connections.clamp(1, 64) as usize;
    for (number, media) in ready.tracks.iter().enumerate() {
        let shared = Arc::new(segment::Shared::new(
            net.clone(),
            job.source.visiting(),
            Arc::clone(&job.limit),
            Arc::clone(monitor),
            media.segments.len(),
            connections,
        ));
        let (back, outcome) =
            track::run(shared, media, number, &paths[number], connections, recorder, stop).await;
        recorder = back;
        outcome?;
    }
    monitor.set_phase(Phase::Finishing);
    finish(net, job, ready, recorder, &paths, stop).await
}

/// Takes up what an earlier run left, if it is of the same stream and really on the disk.
fn recorder(
    part: Part,
    ready: &Ready,
    before: Option<(String, HlsState)>,
    monitor: Arc<Monitor>,
) -> Result<track::Recorder, EngineError> {
    let fingerprint = plan::fingerprint(&ready.tracks);
    let mut written = vec![TrackState::default(); ready.tracks.len()];
    if let Some((boot, state)) = before.filter(|(_, state)| state.fingerprint == fingerprint) {
        let trusted = if journal::same_boot(&boot) { state.written } else { state.synced };
        let paths = [part.names.track(0), part.names.track(1)];
        for ((slot, track), (path, media)) in
            written.iter_mut().zip(trusted).zip(paths.iter().zip(&ready.tracks))
        {
            let on_disk = std::fs::metadata(path).map_or(0, |metadata| metadata.len());
            if track.segments <= media.segments.len() && track.bytes <= on_disk {
                *slot = track;
            }
        }
    }
    let done = ready
        .tracks
        .iter()
        .zip(&written)
        .flat_map(|(media, track)| media.segments.iter().take(track.segments))
        .map(|s| s.duration)
        .sum();
    monitor.set_received(written.iter().map(|track| track.bytes).sum());
    let total: Duration = ready.tracks.iter().map(MediaPlaylist::duration).sum();
    monitor.set_fraction(if total.is_zero() {
        0.0
    } else {
        Duration::as_secs_f64(&done) / total.as_secs_f64()
    });
    let state = HlsState { fingerprint, quality: ready.quality.clone(), synced: written.clone(), written };
    let mut recorder =
        track::Recorder { part, state, monitor, starts: vec![Vec::new(); ready.tracks.len()], total, done };
    // Recognisable from the first moment on.
    recorder.journal().map_err(EngineError::disk)?;
    Ok(recorder)
}

async fn finish(
    net: &Net,
    job: &Job,
    ready: Ready,
    mut recorder: track::Recorder,
    paths: &[PathBuf; 2],
    stop: &CancellationToken,
) -> Result<Finished, EngineError> {
    let output = recorder.part.names.result();
    let work = recorder.part.names.work();
    let inputs = inputs(&ready, &recorder, paths);
    let plan = mux::Plan {
        ffmpeg: &ready.ffmpeg,
        inputs: &inputs,
        work: &work,
        output: &output,
        title: job.title.as_deref(),
        source_url: None,
        audio_only: ready.audio_only,
        has_picture: ready.has_picture,
        subtitle_form: job.wishes.subtitle_form,
        extension_wish: None,
    };
    // Only up to here: what follows ends in a rename, and a job that said it stopped must not finish later.
    let wanted = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(EngineError::Stopped),
        muxed = async {
            let wanted = sums::expected(net, job, &recorder.part.names.filename).await?;
            mux::run(&plan).await.map(|_| wanted)
        } => muxed,
    };
    let wanted = match wanted {
        Ok(wanted) => wanted,
        Err(error) => {
            forget_if_worthless(&mut recorder, &error);
            return Err(error);
        }
    };
    let concluded = tokio::task::spawn_blocking(move || conclude(recorder, &output, ready, wanted.as_ref()));
    concluded.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

/// The tracks as they lie on the disk.
fn inputs(ready: &Ready, recorder: &track::Recorder, paths: &[PathBuf; 2]) -> Vec<mux::Input> {
    let tracks = ready.tracks.iter().zip(&recorder.state.written).zip(paths).enumerate();
    tracks
        .map(|(number, ((media, written), path))| mux::Input {
            kind: if number == 0 { mux::TrackKind::Video } else { mux::TrackKind::Audio },
            path: path.clone(),
            language: None,
            name: None,
            default: number > 0,
            forced: false,
            sections: sections(media, &recorder.starts[number], written.bytes),
            timing: mux::Timing {
                planned: media.duration(),
                longest_segment: media.longest_segment(),
                segments: media.segments.len(),
                whole_seconds: media.segments.iter().all(|segment| segment.duration.subsec_nanos() == 0),
                ..mux::Timing::default()
            },
        })
        .collect()
}

/// A run begins with the track and with every discontinuity.
fn sections(media: &MediaPlaylist, starts: &[(usize, u64)], bytes: u64) -> Vec<mux::Section> {
    let breaks = starts.iter().filter(|(index, _)| *index > 0 && media.segments[*index].discontinuity);
    let bounds: Vec<(usize, u64)> =
        std::iter::once((0, 0)).chain(breaks.copied()).chain([(media.segments.len(), bytes)]).collect();
    let sum = |segments: &[Segment]| segments.iter().map(|segment| segment.duration).sum::<Duration>();
    let runs = bounds.windows(2).map(|pair| mux::Section {
        bytes: pair[0].1..pair[1].1,
        start: sum(&media.segments[..pair[0].0]),
        duration: sum(&media.segments[pair[0].0..pair[1].0]),
        shift_us: None,
        new_clock: true,
    });
    runs.collect()
}

/// Segments that make no whole film would make none the next time either: then they are fetched anew, from a server
/// that may have been repaired.
fn forget_if_worthless(recorder: &mut track::Recorder, error: &EngineError) {
    let worthless = matches!(
        error,
        EngineError::DurationMismatch { .. }
            | EngineError::MuxFailed { .. }
            | EngineError::UnsupportedMedia { .. }
            | EngineError::ChecksumMismatch { .. }
    );
    if worthless && let Err(error) = recorder.forget() {
        tracing::warn!(%error, "segments of no use could not be forgotten");
    }
}

/// Checks, hashes, syncs and renames. Blocks.
fn conclude(
    mut recorder: track::Recorder,
    output: &Path,
    ready: Ready,
    wanted: Option<&Expected>,
) -> Result<Finished, EngineError> {
    let (bytes, sha256) = match verify(output, wanted) {
        Ok(verified) => verified,
        Err(error) => {
            forget_if_worthless(&mut recorder, &error);
            return Err(error);
        }
    };
    let (part, quality) = (recorder.part, ready.quality);
    let duration = ready.tracks.first().map(MediaPlaylist::duration);
    let state = |filename: &str| {
        State::Finished(FinishedState {
            filename: filename.to_owned(),
            bytes,
            sha256: digest::hex(&sha256),
            kind: Kind::Hls,
            quality: quality.clone(),
            duration_ms: duration.map(|duration| duration.as_millis() as u64),
        })
    };
    let journal = part.names.journal();
    let path = part.finish(output, state)?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Finished {
        path,
        filename,
        kind: Kind::Hls,
        bytes,
        sha256,
        quality,
        duration,
        lacks: None,
        journal: Some(journal),
    })
}

/// Size and hash of a result that is what was promised, and on the disk for good.
fn verify(output: &Path, wanted: Option<&Expected>) -> Result<(u64, [u8; 32]), EngineError> {
    let mut file = File::open(output).map_err(EngineError::disk)?;
    let algorithm = wanted.map(|wanted| wanted.algorithm);
    let (bytes, digests) = digest::of_file(&mut file, algorithm).map_err(EngineError::disk)?;
    digests.check(&Stated::default(), wanted)?;
    file.sync_all().map_err(EngineError::disk)?;
    Ok((bytes, digests.sha256))
}
