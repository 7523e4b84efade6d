//! Checksums that a server publishes beside its files.
//!
//! Owns fetching them. Never judges a file (see [`crate::digest`]). Invariant: what was asked for and cannot be had is
//! an error, never "nothing to compare".

use url::Url;

use crate::checksum::{self, Checksum};
use crate::digest::Expected;
use crate::net::Net;
use crate::{EngineError, Job, file};

/// Largest list that is read.
const MAX_LIST: usize = 8 * 1024 * 1024;

/// What the finished file named `filename` must be, by the caller's word or by what the server publishes.
///
/// # Errors
/// [`EngineError::ChecksumUnavailable`] when it is not where the caller said.
pub(crate) async fn expected(net: &Net, job: &Job, filename: &str) -> Result<Option<Expected>, EngineError> {
    let (url, stated_by) = match &job.checksum {
        None => return Ok(None),
        Some(Checksum::Stated { algorithm, hex }) => {
            let (algorithm, hex) = (*algorithm, hex.clone());
            return Ok(Some(Expected { algorithm, hex, stated_by: "the caller" }));
        }
        Some(Checksum::Sidecar) => (checksum::sidecar_of(&job.source.url), "the .sha256 beside it"),
        Some(Checksum::List(url)) => (url.clone(), "the list of checksums"),
    };
    let unavailable =
        |reason: &str| EngineError::ChecksumUnavailable { reason: format!("{stated_by} {reason}") };
    let text = match fetch(net, job, &url).await {
        Ok(text) => text,
        Err(error @ (EngineError::Stopped | EngineError::OwnAddress)) => return Err(error),
        Err(error) => return Err(unavailable(&format!("could not be fetched, because {error}"))),
    };
    let in_url = weir_media::filename::from_url(&job.source.url);
    let path = percent_encoding::percent_decode_str(job.source.url.path()).decode_utf8_lossy().into_owned();
    let names: Vec<&str> = in_url.as_deref().into_iter().chain([filename]).collect();
    let (algorithm, hex) =
        checksum::find(&text, &path, &names).ok_or_else(|| unavailable("has no line for this file"))?;
    Ok(Some(Expected { algorithm, hex, stated_by }))
}

async fn fetch(net: &Net, job: &Job, url: &Url) -> Result<String, EngineError> {
    let places = [url.clone()].into();
    let (mut answer, _) = file::ask_places(net, &job.source.visiting(), places, None, None).await?;
    if let Some(error) = answer.unasked_part() {
        return Err(error);
    }
    let bytes = answer.whole(MAX_LIST).await?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
