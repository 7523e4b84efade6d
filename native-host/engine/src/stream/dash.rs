//! From an MPD to tracks (ISO/IEC 23009-1).
//!
//! Owns the reading of indexes and of the server's clock. Never fetches media. Invariant: a track is told through all
//! periods, and time that the manifest leaves out is a gap.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use futures_util::future::try_join_all;
use weir_media::dash::{
    Clock, ContentKind, IndexError, Indexed, Media, Moment, Mpd, MpdError, Part, RepresentationId, Timed,
};
use weir_media::segment::{ByteRange, Segment};
use weir_media::variants::{Rendition, Variant};

use super::choose::{Wanted, choose};
use super::live::Broadcast;
use super::manifest;
use super::plan::{Origin, Track};
use super::{Live, Ready};
use crate::mux::TrackKind;
use crate::net::{Lane, Net};
use crate::{EngineError, Job, Kind, Source};

/// Where an index is looked for first when the manifest does not say how long it is.
const INDEX_GUESS: u64 = 64 * 1024;
/// Largest index that is read.
const MAX_INDEX: u64 = 16 * 1024 * 1024;
/// Shortest time without a segment that is told as a gap.
const SHORTEST_HOLE: Duration = Duration::from_millis(500);
/// A server whose clock is off by less is taken to have ours.
const SAME_CLOCK_MS: i64 = 1_500;
/// Largest answer to the question what time it is.
const MAX_TIME: usize = 4096;

pub(super) async fn prepare(
    net: &Net,
    job: &Job,
    visitor: &Source,
    url: url::Url,
    dated: Option<i64>,
    mpd: Mpd,
) -> Result<Ready, EngineError> {
    if let Some(drm) = &mpd.drm {
        return Err(EngineError::Drm { system: drm.system.clone() });
    }
    if let Some(reason) = &mpd.unsupported {
        return Err(EngineError::UnsupportedMedia { reason: reason.clone() });
    }
    let offset_ms = if mpd.live { clock_offset(net, visitor, &mpd, dated).await } else { 0 };
    let moment = moment(offset_ms);
    let wish = job.quality.as_deref().unwrap_or("best");
    let offer = mpd.offer();
    let choice = choose(&offer, wish, &job.wishes)?;
    let is_live = mpd.live && !mpd.is_over(moment);
    let read = choice.tracks.iter().map(|wanted| track(net, visitor, &mpd, wanted, moment));
    let tracks = try_join_all(read).await?;
    let title = mpd.title.clone();
    let live = is_live.then(|| {
        let url = mpd.locations.first().unwrap_or(&url).clone();
        Live::Dash(Box::new(Broadcast { mpd, offset_ms, url, from_start: job.wishes.live_from_start }))
    });
    Ok(Ready {
        kind: Kind::Dash,
        tracks,
        quality: choice.label,
        variants: offer.variants.into_iter().map(Variant::placeless).collect(),
        renditions: offer.renditions.into_iter().map(Rendition::placeless).collect(),
        title,
        audio_only: choice.audio_only,
        has_picture: choice.has_picture,
        codecs: choice.codecs,
        unmet: choice.unmet,
        visitor: visitor.clone(),
        live,
        ffmpeg: std::path::PathBuf::new(),
    })
}

/// What can be fetched of a representation at some moment.
async fn track(
    net: &Net,
    visitor: &Source,
    mpd: &Mpd,
    wanted: &Wanted<RepresentationId>,
    moment: Moment,
) -> Result<Track, EngineError> {
    let found = mpd.track(&wanted.place, moment).map_err(refused)?;
    let mut segments = Vec::new();
    let mut elsewhere = Vec::new();
    let mut doubtful = false;
    let mut quiet = Vec::new();
    // Of periods that have nothing of the kind; told with the address of the segment behind them.
    let mut silences = Vec::new();
    for mut part in found.parts {
        let holes = part.holes(SHORTEST_HOLE);
        if matches!(part.media, Media::Absent) {
            silences.extend(holes);
            continue;
        }
        let mut holes = holes.iter().peekable();
        let timed = match std::mem::replace(&mut part.media, Media::Absent) {
            Media::Segments(timed) => timed,
            Media::Indexed(indexed) => by_index(net, visitor, &indexed).await?,
            Media::Absent => Vec::new(),
        };
        for timed in timed {
            for silence in silences.drain(..) {
                if wanted.place.kind() != ContentKind::Video {
                    quiet.push(milliseconds(silence.start_us));
                }
                segments.push(gap(&timed.segment, silence.start_us, silence.length));
            }
            while let Some(hole) = holes.next_if(|hole| hole.start_us < timed.start_us) {
                segments.push(gap(&timed.segment, hole.start_us, hole.length));
            }
            doubtful = timed.doubtful;
            segments.push(placed(timed));
        }
        elsewhere.push(part);
    }
    if segments.is_empty() && !mpd.live {
        return Err(EngineError::BadManifest { reason: "it lists no segments".to_owned() });
    }
    Ok(Track {
        kind: match wanted.place.kind() {
            ContentKind::Video => TrackKind::Video,
            ContentKind::Audio => TrackKind::Audio,
            ContentKind::Text => TrackKind::Subtitles,
        },
        language: wanted.language.clone(),
        name: wanted.name.clone(),
        default: wanted.default,
        forced: wanted.forced,
        origin: Origin::Dash(wanted.place.clone()),
        segments,
        doubtful,
        quiet,
        rounded: false,
        elsewhere,
    })
}

/// A segment whose number is its place in time, which is the same at every refresh and in every period.
pub(super) fn placed(timed: Timed) -> Segment {
    Segment { sequence: milliseconds(timed.start_us), ..timed.segment }
}

/// Time without a segment. `like` is the one behind it.
pub(super) fn gap(like: &Segment, start_us: i64, length: Duration) -> Segment {
    Segment {
        gap: true,
        duration: length,
        discontinuity: false,
        sequence: milliseconds(start_us),
        ..like.clone()
    }
}

pub(super) fn milliseconds(us: i64) -> u64 {
    u64::try_from(us / 1000).unwrap_or(0)
}

pub(super) fn refused(error: MpdError) -> EngineError {
    match error {
        MpdError::Protected(drm) => EngineError::Drm { system: drm.system },
        MpdError::Unsupported { reason } => EngineError::UnsupportedMedia { reason },
        error => EngineError::BadManifest { reason: error.to_string() },
    }
}

/// The segments of one file by its index.
async fn by_index(net: &Net, visitor: &Source, indexed: &Indexed) -> Result<Vec<Timed>, EngineError> {
    let mut wanted = indexed.head(INDEX_GUESS);
    loop {
        let bytes = manifest::patiently(net, || part_of(net, visitor, indexed, wanted)).await?;
        match indexed.segments(&bytes, wanted.offset) {
            Ok(segments) => return Ok(segments),
            // The whole file is one segment.
            Err(IndexError::Absent) => {
                return indexed.whole().map(|whole| vec![whole]).ok_or_else(|| {
                    let reason = "a period shows a part of a file without an index".to_owned();
                    EngineError::UnsupportedMedia { reason }
                });
            }
            Err(IndexError::Cut { end }) => {
                let length = end.saturating_sub(wanted.offset).max(wanted.length.saturating_mul(2));
                // A file that ends here has no more of an index.
                if (bytes.len() as u64) < wanted.length || length > MAX_INDEX {
                    return Err(EngineError::BadManifest {
                        reason: "the index of a file is cut off".to_owned(),
                    });
                }
                wanted = ByteRange { offset: wanted.offset, length };
            }
            Err(error) => return Err(EngineError::BadManifest { reason: error.to_string() }),
        }
    }
}

/// Bytes of a file; fewer when it ends before.
async fn part_of(
    net: &Net,
    visitor: &Source,
    indexed: &Indexed,
    wanted: ByteRange,
) -> Result<Vec<u8>, EngineError> {
    let mut answer =
        net.ask(visitor, &indexed.url, Some((wanted.offset, wanted.end())), Lane::Shared).await?;
    if let Some(error) = answer.refusal() {
        return Err(error);
    }
    let skip = if answer.status == 206 { 0 } else { wanted.offset };
    let (mut out, mut passed) = (Vec::new(), 0_u64);
    let length = usize::try_from(wanted.length.min(MAX_INDEX)).unwrap_or_default();
    while out.len() < length {
        let Some(bytes) = answer.chunk().await? else { break };
        let skipped = skip.saturating_sub(passed).min(bytes.len() as u64) as usize;
        passed += bytes.len() as u64;
        let rest = &bytes[skipped..];
        out.extend_from_slice(&rest[..rest.len().min(length - out.len())]);
    }
    Ok(out)
}

/// Now, by the server's clock.
pub(super) fn moment(offset_ms: i64) -> Moment {
    Moment { now_unix_ms: now_ms().saturating_add(offset_ms) }
}

fn now_ms() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// Milliseconds to add to our clock to get the server's.
async fn clock_offset(net: &Net, visitor: &Source, mpd: &Mpd, dated: Option<i64>) -> i64 {
    for clock in &mpd.clocks {
        let time = match clock {
            Clock::Direct(ms) => Some(*ms),
            Clock::HttpIso(url) => match manifest::fetch(net, visitor, url).await {
                Ok(mut answer) => answer
                    .whole(MAX_TIME)
                    .await
                    .ok()
                    .and_then(|body| weir_media::dash::unix_ms(String::from_utf8_lossy(&body).trim())),
                Err(_) => None,
            },
            Clock::HttpHead(url) => manifest::fetch(net, visitor, url)
                .await
                .ok()
                .and_then(|answer| manifest::server_date(&answer)),
            _ => None,
        };
        if let Some(time) = time {
            return time.saturating_sub(now_ms());
        }
    }
    // Whole seconds, and perhaps of a cache: good enough for a clock that is far off, and only for that.
    dated.map(|time| time.saturating_sub(now_ms())).filter(|offset| offset.abs() > SAME_CLOCK_MS).unwrap_or(0)
}

/// Other addresses of what is at `url`.
pub(super) fn backups(elsewhere: &[Part], url: &url::Url) -> Vec<url::Url> {
    elsewhere.iter().map(|part| part.backups(url)).find(|backups| !backups.is_empty()).unwrap_or_default()
}
