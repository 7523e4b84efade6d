//! HLS and DASH streams: from the manifest to one file.
//!
//! Owns the order of things: read, choose, refuse, fetch the tracks, mux, check, finish. Never guesses over a hole: a segment
//! that cannot be had ends the job with its number, unless holes are wished for or the stream is live, and then the result
//! says what it lacks. Invariant: what DRM protects and what is not understood is refused before the first segment is kept.

mod ahead;
mod choose;
mod cipher;
mod dash;
mod disguise;
mod dry_run;
mod feeds;
mod fetch;
mod finish;
mod flaws;
mod live;
mod look;
mod manifest;
mod pace;
mod plan;
mod progress;
mod recorded;
mod recorder;
mod segments;
mod track;

use std::path::PathBuf;
use std::sync::Arc;

use futures_util::future::try_join_all;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_media::filename;
use weir_media::hls::{Context, MediaPlaylist, Playlist, Variables};
use weir_media::variants::{Rendition, Variant};

use crate::journal::{Seen, StreamState, TrackState};
use crate::monitor::{Monitor, Phase};
use crate::mux::{self, TrackKind};
use crate::net::Net;
use crate::part::Part;
use crate::{EngineError, Finished, Job, Kind, Source, resolve};

use choose::{Choice, Wanted, choose, fits_the_only_one, is_audio_wish};
pub(crate) use dry_run::dry_run;
pub use dry_run::{DryRun, PlannedKey, PlannedMap, PlannedSegment, PlannedTrack};
use feeds::feeds;
pub(crate) use look::probe;
use manifest::Content;
pub(crate) use manifest::{Manifest, read};
use plan::{Origin, Track, micros};
pub(crate) use recorded::keep;
use recorder::Recorder;
use track::{Feed, Task};

/// Names that say what a manifest is and not what it plays.
const GENERIC_NAMES: &[&str] = &[
    "index",
    "master",
    "playlist",
    "manifest",
    "main",
    "stream",
    "chunklist",
    "prog_index",
    "video",
    "hls",
    "dash",
    "live",
];

/// What will be fetched, decided before anything is.
pub(crate) struct Ready {
    kind: Kind,
    tracks: Vec<Track>,
    quality: Option<String>,
    /// By the manifest.
    title: Option<String>,
    audio_only: bool,
    /// The result must have a picture. False when the manifest does not say so: then it may have one.
    has_picture: bool,
    codecs: Option<String>,
    /// Wishes that it does not meet, a clause each.
    unmet: Vec<String>,
    /// Who asks for the segments.
    visitor: Source,
    /// What there is to choose from; empty when there is no choice.
    variants: Vec<Variant<()>>,
    renditions: Vec<Rendition<()>>,
    /// How it goes on; none when everything is known.
    live: Option<Live>,
    ffmpeg: PathBuf,
}

/// What is needed to follow a stream.
enum Live {
    /// Each track's playlist as it was read first.
    Hls {
        playlists: Vec<MediaPlaylist>,
        variables: Variables,
    },
    Dash(Box<live::Broadcast>),
}

/// Reads the manifests and refuses what cannot be done.
pub(crate) async fn prepare(net: &Net, job: &Job, manifest: Manifest) -> Result<Ready, EngineError> {
    let ready = look(net, job, manifest).await?;
    // Better now than after the last segment.
    Ok(Ready { ffmpeg: mux::find(net.options().ffmpeg.as_deref())?, ..ready })
}

/// The same without asking whether it could be put together here.
async fn look(net: &Net, job: &Job, manifest: Manifest) -> Result<Ready, EngineError> {
    let Manifest { url, dated, cookies, content } = manifest;
    let visitor = job.source.visiting().given(&url, cookies.iter().map(String::as_str));
    let mut ready = match content {
        Content::Hls(playlist) => hls(net, job, &visitor, url, *playlist).await?,
        Content::Dash(mpd) => dash::prepare(net, job, &visitor, url, dated, *mpd).await?,
    };
    let holes = job.wishes.holes || ready.live.is_some();
    ready.tracks.iter().try_for_each(|track| plan::check(track, holes))?;
    ready.visitor = visitor;
    Ok(ready)
}

async fn hls(
    net: &Net,
    job: &Job,
    visitor: &Source,
    url: Url,
    playlist: Playlist,
) -> Result<Ready, EngineError> {
    let wish = job.quality.as_deref().unwrap_or("best");
    let (mut variants, mut renditions, mut title) = (Vec::new(), Vec::new(), None);
    let (choice, playlists, variables) = match playlist {
        Playlist::Media(media) => {
            if let Some(wanted) = job.wishes.subtitles.iter().find(|wish| *wish != "all") {
                let wanted = wanted.clone();
                return Err(EngineError::NoSuchLanguage { what: "subtitles", wanted, offered: Vec::new() });
            }
            if !fits_the_only_one(wish) {
                let wanted = wish.chars().take(64).collect();
                return Err(EngineError::NoSuchQuality { wanted, offered: vec!["one only".to_owned()] });
            }
            let whole = manifest::whole_address(url.clone());
            let media = if media.skipped > 0 && whole != url {
                manifest::media_playlist(net, visitor, &whole, &[], &Context::default()).await?
            } else {
                media
            };
            let choice = Choice {
                label: None,
                tracks: vec![Wanted {
                    kind: TrackKind::Video,
                    place: whole,
                    backups: Vec::new(),
                    language: None,
                    name: None,
                    default: true,
                    forced: false,
                }],
                audio_only: is_audio_wish(wish),
                has_picture: false,
                codecs: None,
                unmet: choose::unsaid(&job.wishes).into_iter().collect(),
            };
            (choice, vec![media], Variables::default())
        }
        Playlist::Multivariant(offer) => {
            if let Some(drm) = offer.drm {
                return Err(EngineError::Drm { system: drm.system });
            }
            let choice = choose(&offer, wish, &job.wishes)?;
            let variables = offer.variables;
            let context = Context { variables: Some(&variables), earlier: None };
            let read = choice.tracks.iter().map(|wanted| {
                manifest::media_playlist(net, visitor, &wanted.place, &wanted.backups, &context)
            });
            let playlists = try_join_all(read).await?;
            title = offer.title;
            variants = offer.variants.into_iter().map(Variant::placeless).collect();
            renditions = offer.renditions.into_iter().map(Rendition::placeless).collect();
            (choice, playlists, variables)
        }
    };
    for media in &playlists {
        refuse(media)?;
    }
    let is_live = playlists.first().is_some_and(MediaPlaylist::is_live);
    let mut playlists = playlists;
    // A live one is asked again what it listed; of all others the lists may be long, and are kept once.
    let listed = |media: &mut MediaPlaylist| {
        if is_live { media.segments.clone() } else { std::mem::take(&mut media.segments) }
    };
    let tracks = choice.tracks.iter().zip(&mut playlists).map(|(wanted, media)| Track {
        language: wanted.language.clone(),
        name: wanted.name.clone(),
        default: wanted.default,
        forced: wanted.forced,
        rounded: media.rounded,
        ..Track::new(
            wanted.kind,
            Origin::Hls { url: wanted.place.clone(), backups: wanted.backups.clone() },
            listed(media),
        )
    });
    let tracks = tracks.collect();
    Ok(Ready {
        kind: Kind::Hls,
        tracks,
        quality: choice.label,
        variants,
        renditions,
        title,
        audio_only: choice.audio_only,
        has_picture: choice.has_picture,
        codecs: choice.codecs,
        unmet: choice.unmet,
        visitor: visitor.clone(),
        live: is_live.then_some(Live::Hls { playlists, variables }),
        ffmpeg: PathBuf::new(),
    })
}

fn refuse(media: &MediaPlaylist) -> Result<(), EngineError> {
    if let Some(drm) = &media.drm {
        return Err(EngineError::Drm { system: drm.system.clone() });
    }
    if let Some(reason) = &media.unsupported {
        return Err(EngineError::UnsupportedMedia { reason: reason.clone() });
    }
    Ok(())
}

/// Name of the finished file: what the caller wants, else the title, else the address.
pub(crate) fn file_name(job: &Job, url: &Url, ready: &Ready) -> String {
    let extension = mux::likely_extension(ready.codecs.as_deref(), ready.audio_only);
    let title = || [&job.title, &ready.title].into_iter().flatten().find(|title| !title.trim().is_empty());
    let name = match (&job.filename, title()) {
        (Some(name), _) => Some(name.clone()),
        (None, Some(title)) => Some(title.clone()),
        _ => name_in_path(url).or_else(|| resolve::url_name(url, &job.source.url)),
    };
    filename::with_extension(&filename::safe(&name.unwrap_or_default()), extension)
}

/// The last part of the path that says something.
fn name_in_path(url: &Url) -> Option<String> {
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
    mut ready: Ready,
    before: Option<(String, StreamState)>,
) -> Result<Finished, EngineError> {
    let is_live = ready.live.is_some();
    monitor.set_quality(ready.quality.as_deref());
    monitor.set_live(is_live);
    monitor.set_phase(Phase::Downloading);
    part.names.make_work().map_err(EngineError::disk)?;
    let fresh = StreamState {
        fingerprint: plan::fingerprint(&ready.tracks, ready.quality.as_deref(), is_live),
        quality: ready.quality.clone(),
        live: is_live,
        said: ready.said(),
        tracks: vec![TrackState::default(); ready.tracks.len()],
    };
    // A recording whose stream has ended meanwhile is known by how it was followed.
    let before = before.filter(|(_, before)| before.live == is_live || takes_up_ended(before, &ready));
    let fresh = match &before {
        Some((_, before)) if before.live => {
            StreamState { fingerprint: before.fingerprint.clone(), live: true, ..fresh }
        }
        _ => fresh,
    };
    let was_live = fresh.live;
    let recorder = Arc::new(Recorder::new(part, fresh, before)?);
    if !was_live && is_another(net, &ready, &recorder).await {
        recorder.begin_anew()?;
    }
    let marks: Vec<_> = (0..ready.tracks.len()).map(|number| recorder.mark(number)).collect();
    monitor.set_received(marks.iter().map(|mark| mark.bytes).sum());
    let total_us = if was_live { 0 } else { ready.tracks.iter().map(|track| micros(track.duration())).sum() };
    let done_us = marks.iter().map(|mark| mark.us).sum();
    let progress = progress::Progress::new(Arc::clone(monitor), total_us, done_us);
    let finish = was_live.then(|| job.finish.clone());
    let visitor = ready.visitor.clone();
    let notes: Arc<live::Notes> = Arc::default();
    let told = Arc::clone(&notes);
    let shared = fetch::Shared::new(net.clone(), visitor, job, progress, Arc::clone(monitor), told, finish);
    let shared = Arc::new(shared);
    let counts: Vec<usize> = ready.tracks.iter().map(|track| track.segments.len()).collect();
    let (feeds, _followers) = feeds(net, job, &mut ready, &marks, was_live, &notes);
    let feeds = counts.into_iter().zip(feeds).collect();
    let growth = recorder.follow();
    let fetching = async {
        let outcome = fetch_all(&shared, &ready, feeds, &recorder, stop).await;
        recorder.settled();
        outcome
    };
    let (fetched, ahead) = tokio::join!(fetching, ahead::run(job, &ready, &recorder, growth));
    fetched?;
    monitor.set_live(false);
    monitor.set_phase(Phase::Finishing);
    finish::run(net, job, ready, recorder, notes.take(), ahead, stop).await
}

/// Whether the segment written last is another one by now, under the same address. Whoever does not answer says nothing.
async fn is_another(net: &Net, ready: &Ready, recorder: &Recorder) -> bool {
    for (number, track) in ready.tracks.iter().enumerate() {
        let mark = recorder.mark(number);
        let last = mark.segments.checked_sub(1).and_then(|last| track.segments.get(last));
        let Some(last) = last.filter(|last| !last.gap && mark.seen != Seen::default()) else { continue };
        let range = last.byte_range.map(|range| (range.offset, range.end()));
        let asked = net.ask(&ready.visitor, &last.url, range, crate::net::Lane::Shared).await;
        if asked.is_ok_and(|answer| answer.refusal().is_none() && mark.seen.differs(&Seen::of(&answer))) {
            return true;
        }
    }
    false
}

/// A recording was interrupted, and its stream is no longer live: what came after is listed now.
fn takes_up_ended(before: &StreamState, ready: &Ready) -> bool {
    before.live
        && ready.live.is_none()
        && before.fingerprint == plan::fingerprint(&ready.tracks, ready.quality.as_deref(), true)
}

/// All tracks at the same time; the first that fails ends the others.
async fn fetch_all(
    shared: &Arc<fetch::Shared>,
    ready: &Ready,
    feeds: Vec<(usize, Feed)>,
    recorder: &Arc<Recorder>,
    stop: &CancellationToken,
) -> Result<(), EngineError> {
    let halt = stop.child_token();
    let tracks = ready.tracks.iter().zip(feeds).enumerate().map(|(number, (track, (count, feed)))| {
        let task = Task {
            number,
            kind: track.kind,
            count,
            doubtful: track.doubtful.then(|| count.saturating_sub(1)),
            quiet: Arc::new(track.quiet.clone()),
            elsewhere: Arc::new(track.elsewhere.clone()),
            feed,
        };
        let run = track::run(Arc::clone(shared), task, Arc::clone(recorder), &halt);
        let halt = &halt;
        async move {
            let outcome = run.await;
            if outcome.is_err() {
                halt.cancel();
            }
            outcome
        }
    });
    // Every track ends by itself, with its part of the record written.
    let outcomes = futures_util::future::join_all(tracks).await;
    if stop.is_cancelled() {
        return Err(EngineError::Stopped);
    }
    let mut errors: Vec<EngineError> = outcomes.into_iter().filter_map(Result::err).collect();
    let cause = errors.iter().position(|error| !matches!(error, EngineError::Stopped)).unwrap_or(0);
    if errors.is_empty() { Ok(()) } else { Err(errors.swap_remove(cause)) }
}
