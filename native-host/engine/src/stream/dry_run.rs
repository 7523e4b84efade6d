//! What a job would do, without doing it.
//!
//! Never fetches a segment. Invariant: it is the plan the job itself would follow.

use serde::Serialize;
use weir_media::segment::{ByteRange, Encryption, Segment};

use super::{look, manifest, plan::Track};
use crate::mux::TrackKind;
use crate::net::{Answer, Net};
use crate::{EngineError, Job, Kind, without_query};

/// The plan of a job.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct DryRun {
    /// `file`, `hls`, `dash` or `site`.
    pub kind: &'static str,
    /// Label of the quality chosen, for streams that offer several.
    pub quality: Option<String>,
    /// It still goes on.
    pub live: bool,
    /// Of a stream's first track, or of a page's media; none when that is not known.
    pub duration_s: Option<f64>,
    /// Size of the whole, when the server or the page says.
    pub total_bytes: Option<u64>,
    /// What would be fetched; a file has none.
    pub tracks: Vec<PlannedTrack>,
}

/// One track.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedTrack {
    /// `video` (perhaps with its sound), `audio` or `subtitles`.
    pub kind: &'static str,
    /// RFC 5646.
    pub language: Option<String>,
    /// RFC 6381 codecs string, where a page says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub codecs: Option<String>,
    /// Its size, where a page says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub total_bytes: Option<u64>,
    /// In order; none of a page, whose segments only yt-dlp knows.
    pub segments: Vec<PlannedSegment>,
}

/// One segment.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedSegment {
    /// Where it is, its query included: that is part of what is asked for.
    pub url: String,
    /// How long it plays.
    pub duration_s: f64,
    /// First byte and number of bytes.
    pub byte_range: Option<[u64; 2]>,
    /// Its key; the key itself is not fetched.
    pub key: Option<PlannedKey>,
    /// Its initialisation section.
    pub map: Option<PlannedMap>,
    /// Timestamps or encoding may begin anew here.
    pub discontinuity: bool,
    /// The server says that it does not exist.
    pub gap: bool,
    /// Media sequence number.
    pub sequence: u64,
}

/// How a segment is encrypted.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedKey {
    /// `AES-128`, `AES-256` or `SAMPLE-AES`.
    pub method: &'static str,
    /// Where the key is.
    pub url: String,
    /// Initialisation vector, hexadecimal.
    pub iv: String,
}

/// An initialisation section.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlannedMap {
    /// Where it is.
    pub url: String,
    /// First byte and number of bytes.
    pub byte_range: Option<[u64; 2]>,
}

/// The plan of a stream whose manifest has been asked for.
pub(crate) async fn dry_run(
    net: &Net,
    job: &Job,
    kind: Kind,
    answer: &mut Answer,
) -> Result<DryRun, EngineError> {
    let manifest = manifest::read(kind, answer).await?;
    let ready = look(net, job, manifest).await?;
    let duration_s = ready.tracks.first().map(|track| track.duration().as_secs_f64());
    Ok(DryRun {
        kind: if kind == Kind::Dash { "dash" } else { "hls" },
        quality: ready.quality,
        live: ready.live.is_some(),
        duration_s,
        total_bytes: None,
        tracks: ready.tracks.into_iter().map(planned).collect(),
    })
}

fn planned(track: Track) -> PlannedTrack {
    PlannedTrack {
        kind: match track.kind {
            TrackKind::Video => "video",
            TrackKind::Audio => "audio",
            TrackKind::Subtitles => "subtitles",
        },
        language: track.language,
        codecs: None,
        total_bytes: None,
        segments: track.segments.iter().map(planned_segment).collect(),
    }
}

/// An address without who asks for it.
fn shown(url: &url::Url) -> String {
    let mut url = url.clone();
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn planned_segment(segment: &Segment) -> PlannedSegment {
    let range = |range: ByteRange| [range.offset, range.length];
    PlannedSegment {
        url: shown(&segment.url),
        duration_s: segment.duration.as_secs_f64(),
        byte_range: segment.byte_range.map(range),
        key: segment.key.as_ref().map(|key| PlannedKey {
            method: match key.encryption {
                Encryption::Aes128 => "AES-128",
                Encryption::Aes256 => "AES-256",
                Encryption::SampleAes => "SAMPLE-AES",
            },
            url: without_query(&key.url),
            iv: crate::digest::hex(&key.iv_for(segment.sequence)),
        }),
        map: segment
            .map
            .as_ref()
            .map(|map| PlannedMap { url: shown(&map.url), byte_range: map.byte_range.map(range) }),
        discontinuity: segment.discontinuity,
        gap: segment.gap,
        sequence: segment.sequence,
    }
}
