//! A short look at a stream: what it offers, how long it is, a frame of it.
//!
//! Never downloads more than manifests, and of the media what a picture takes. Invariant: what stands in the way of
//! downloading is told here with the same error.

use std::time::Duration;

use url::Url;
use weir_media::segment::{ByteRange, Segment};
use weir_media::variants::{Rendition, Variant};

use super::plan::Track;
use super::{file_name, look, manifest};
use crate::net::{Answer, Lane, Net};
use crate::{EngineError, Job, Kind, Source, mux};

/// Most bytes that are fetched for a picture.
const MAX_PICTURE: usize = 4 * 1024 * 1024;
/// Longest time it may take.
const PATIENCE: Duration = Duration::from_secs(4);

/// What a short look found.
pub(crate) struct Look {
    /// Name the file would get.
    pub(crate) filename: String,
    pub(crate) duration: Option<Duration>,
    pub(crate) live: bool,
    pub(crate) variants: Vec<Variant<()>>,
    pub(crate) renditions: Vec<Rendition<()>>,
    pub(crate) title: Option<String>,
    /// JPEG.
    pub(crate) thumbnail: Option<Vec<u8>>,
}

/// See [`crate::Engine::probe`]. The lowest quality stands for all: they last equally long, and its picture costs least.
pub(crate) async fn probe(
    net: &Net,
    job: &Job,
    kind: Kind,
    answer: &mut Answer,
) -> Result<Look, EngineError> {
    let lowest = Job { quality: Some("worst".to_owned()), ..job.clone() };
    let manifest = manifest::read(kind, answer).await?;
    let url = manifest.url.clone();
    let ready = look(net, &lowest, manifest).await?;
    let live = ready.live.is_some();
    let picture = ready
        .tracks
        .first()
        .and_then(|track| track.segments.last().filter(|_| live).or(track.segments.first()));
    let thumbnail = match picture.filter(|_| !ready.audio_only) {
        Some(segment) => {
            let visitor = job.source.visiting();
            tokio::time::timeout(PATIENCE, frame(net, &visitor, segment)).await.ok().flatten()
        }
        None => None,
    };
    Ok(Look {
        filename: file_name(job, &url, &ready),
        duration: ready.tracks.first().filter(|_| !live).map(Track::duration),
        live,
        variants: ready.variants,
        renditions: ready.renditions,
        title: ready.title,
        thumbnail,
    })
}

/// A frame of a segment. A stream can do without: no failure is told.
async fn frame(net: &Net, visitor: &Source, segment: &Segment) -> Option<Vec<u8>> {
    if segment.key.is_some() || segment.gap {
        return None;
    }
    let mut bytes = match segment.map.as_deref() {
        Some(map) => part(net, visitor, &map.url, map.byte_range).await?,
        None => Vec::new(),
    };
    bytes.extend(part(net, visitor, &segment.url, segment.byte_range).await?);
    let ffmpeg = mux::find(net.options().ffmpeg.as_deref()).ok()?;
    mux::thumbnail(&ffmpeg, &bytes, &std::env::temp_dir()).await.ok()
}

async fn part(net: &Net, visitor: &Source, url: &Url, range: Option<ByteRange>) -> Option<Vec<u8>> {
    let wanted = range.map(|range| (range.offset, range.end()));
    let mut answer = net.ask(visitor, url, wanted, Lane::Shared).await.ok()?;
    if answer.refusal().is_some() || (wanted.is_some() && answer.status != 206) {
        return None;
    }
    answer.whole(MAX_PICTURE).await.ok()
}
