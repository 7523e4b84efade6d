//! What is behind an address, without downloading it.
//!
//! Owns the short look: the head of the answer, and for a stream its playlists. Never writes anything. Invariant: no
//! more of a file's body is read than its first bytes.

use std::time::Duration;

use url::Url;
use weir_media::filename;
use weir_media::hls::Playlist;
use weir_media::variants::Variant;

use crate::net::{Lane, Net};
use crate::source::Method;
use crate::{EngineError, Job, Kind, Source, answer, hls, resolve, site};

/// What a short look found.
#[derive(Debug, Clone, PartialEq)]
pub struct Probe {
    /// How it would be downloaded.
    pub kind: Kind,
    /// Name the file would get, safe.
    pub filename: String,
    /// `Content-Type`, without parameters.
    pub content_type: Option<String>,
    /// Size of the file, when the server says.
    pub total_bytes: Option<u64>,
    /// An interrupted download can go on where it stopped.
    pub resumable: bool,
    /// Length of the media.
    pub duration: Option<Duration>,
    /// Still going on.
    pub live: bool,
    /// Qualities, best first; empty when there is no choice.
    pub variants: Vec<Variant>,
    /// What the page calls it.
    pub title: Option<String>,
    /// Address of a picture of it.
    pub thumbnail: Option<Url>,
}

impl Probe {
    /// Size a variant will have, from its bit rate and the duration.
    #[must_use]
    pub fn estimated_bytes(&self, variant: &Variant) -> Option<u64> {
        let bits = variant.average_bandwidth.or(variant.bandwidth)?;
        Some((bits as f64 / 8.0 * self.duration?.as_secs_f64()) as u64)
    }
}

/// See [`crate::Engine::probe`].
pub(crate) async fn probe(net: &Net, source: &Source) -> Result<Probe, EngineError> {
    let mut answer = net.ask(source, &source.url, None, Lane::Own).await?;
    if let Some(error) = answer.refusal().or_else(|| answer.unasked_part()) {
        return Err(error);
    }
    // Only its name rules are used: nothing is written.
    let job = Job::new(source.clone(), std::path::PathBuf::new());
    let name = resolve::file_name(&answer, &job);
    let content_type = answer::content_type(&answer.headers);
    let kind = resolve::kind(&mut answer, None).await?;
    if kind == Kind::File && resolve::is_site(&mut answer, &job).await? {
        drop(answer);
        return site::probe(net, source).await;
    }
    if kind == Kind::File {
        let identity = answer::coding(&answer.headers) == answer::Coding::Identity;
        let total_bytes = answer::content_length(&answer.headers).filter(|_| identity);
        return Ok(Probe {
            kind: Kind::File,
            filename: name,
            content_type,
            total_bytes,
            resumable: answer::offers_ranges(&answer.headers)
                && total_bytes.is_some()
                && source.method == Method::Get,
            duration: None,
            live: false,
            variants: Vec::new(),
            title: None,
            thumbnail: None,
        });
    }
    let playlist = hls::read_playlist(&mut answer).await?;
    let (variants, media) = match playlist {
        Playlist::Media(media) => (Vec::new(), media),
        Playlist::Multivariant(multivariant) => {
            if let Some(drm) = multivariant.drm {
                return Err(EngineError::Drm { system: drm.system });
            }
            let Some(first) = multivariant.variants.first() else {
                return Err(EngineError::BadPlaylist(weir_media::hls::PlaylistError::Empty));
            };
            let media = hls::media_playlist(net, source, &first.url, &first.backups).await?;
            (multivariant.variants, media)
        }
    };
    if let Some(drm) = media.drm {
        return Err(EngineError::Drm { system: drm.system });
    }
    Ok(Probe {
        kind: Kind::Hls,
        filename: filename::with_extension(&name, "mp4"),
        content_type,
        total_bytes: None,
        resumable: true,
        duration: (!media.is_live()).then(|| media.duration()),
        live: media.is_live(),
        variants,
        title: None,
        thumbnail: None,
    })
}
