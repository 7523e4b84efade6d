//! What is behind an address, without downloading it.
//!
//! Owns the short look: the head of the answer, and for a stream its playlists. Never writes anything. Invariant: no
//! more of a file's body is read than its first bytes.

use std::time::Duration;

use url::Url;
use weir_media::variants::{Rendition, Variant};

use crate::net::{Answer, Lane, Net};
use crate::source::Method;
use crate::{DryRun, EngineError, Job, Kind, Source, answer, resolve, site, stream};

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
    pub variants: Vec<Variant<()>>,
    /// Sounds and subtitles of a stream.
    pub renditions: Vec<Rendition<()>>,
    /// What the manifest or the page calls it.
    pub title: Option<String>,
    /// A picture of it.
    pub thumbnail: Option<Thumbnail>,
}

/// A picture to show.
#[derive(Debug, Clone, PartialEq)]
pub enum Thumbnail {
    /// Where it is.
    Address(Url),
    /// A frame, as JPEG.
    Jpeg(Vec<u8>),
}

impl Probe {
    /// Size a variant will have, from its bit rate and the duration.
    #[must_use]
    pub fn estimated_bytes(&self, variant: &Variant<()>) -> Option<u64> {
        let bits = variant.average_bandwidth.or(variant.bandwidth)?;
        Some((bits as f64 / 8.0 * self.duration?.as_secs_f64()) as u64)
    }
}

/// The first answer of a short look.
async fn asked(net: &Net, source: &Source) -> Result<Answer, EngineError> {
    let answer = net.ask(source, &source.url, None, Lane::Own).await?;
    match answer.refusal().or_else(|| answer.unasked_part()) {
        Some(error) => Err(error),
        None => Ok(answer),
    }
}

/// See [`crate::Engine::dry_run`].
pub(crate) async fn dry_run(net: &Net, job: &Job) -> Result<DryRun, EngineError> {
    if job.kind == Some(Kind::Site) {
        return site::dry_run(net, job).await;
    }
    let mut answer = asked(net, &job.source).await?;
    match resolve::kind(&mut answer, job.kind).await? {
        Kind::File if job.kind.is_none() && resolve::is_site(&mut answer, job).await? => {
            drop(answer);
            site::dry_run(net, job).await
        }
        kind @ (Kind::Hls | Kind::Dash) => stream::dry_run(net, job, kind, &mut answer).await,
        kind => {
            let identity = answer::coding(&answer.headers) == answer::Coding::Identity;
            Ok(DryRun {
                kind: if kind == Kind::Site { "site" } else { "file" },
                quality: None,
                live: false,
                duration_s: None,
                total_bytes: answer::content_length(&answer.headers).filter(|_| identity),
                tracks: Vec::new(),
            })
        }
    }
}

/// See [`crate::Engine::probe_as`].
pub(crate) async fn probe(net: &Net, source: &Source, wanted: Option<Kind>) -> Result<Probe, EngineError> {
    if wanted == Some(Kind::Site) {
        return site::probe(net, source).await;
    }
    let mut answer = asked(net, source).await?;
    // Only its name rules are used: nothing is written.
    let job = Job::new(source.clone(), std::path::PathBuf::new());
    let content_type = answer::content_type(&answer.headers);
    let kind = resolve::kind(&mut answer, wanted).await?;
    if kind == Kind::File && wanted.is_none() && resolve::is_site(&mut answer, &job).await? {
        drop(answer);
        return site::probe(net, source).await;
    }
    if kind == Kind::File {
        let identity = answer::coding(&answer.headers) == answer::Coding::Identity;
        let total_bytes = answer::content_length(&answer.headers).filter(|_| identity);
        return Ok(Probe {
            kind,
            filename: resolve::file_name(&answer, &job),
            content_type,
            total_bytes,
            resumable: answer::offers_ranges(&answer.headers)
                && total_bytes.is_some()
                && source.method == Method::Get,
            duration: None,
            live: false,
            variants: Vec::new(),
            renditions: Vec::new(),
            title: None,
            thumbnail: None,
        });
    }
    let look = stream::probe(net, &job, kind, &mut answer).await?;
    Ok(Probe {
        kind,
        filename: look.filename,
        content_type,
        total_bytes: None,
        resumable: !look.live,
        duration: look.duration,
        live: look.live,
        variants: look.variants,
        renditions: look.renditions,
        title: look.title,
        thumbnail: look.thumbnail.map(Thumbnail::Jpeg),
    })
}
