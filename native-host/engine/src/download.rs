//! One job from its first request to its finished file.
//!
//! Owns the order of things: find a partial, ask, name, fetch, finish. Never moves bytes itself. Invariant: every
//! way out leaves either a finished file or a journaled partial, and the lock on it released.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::journal::{Record, State};
use crate::monitor::{Monitor, Phase};
use crate::net::{Answer, Net};
use crate::part::{self, Part};
use crate::{EngineError, Finished, Job, Kind, Partial, digest, file, resolve};

/// What the first answers led to.
enum Plan {
    Done(Finished),
    File(Part, file::Start),
}

/// Runs a job; see [`crate::Engine::download`].
pub(crate) async fn run(
    net: &Net,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
) -> Result<Finished, EngineError> {
    monitor.set_phase(Phase::Resolving);
    let plan = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(EngineError::Stopped),
        plan = plan(net, job, monitor) => plan?,
    };
    match plan {
        Plan::Done(finished) => Ok(finished),
        Plan::File(part, start) => file::run(net, job, monitor, stop, part, start).await,
    }
}

async fn plan(net: &Net, job: &Job, monitor: &Monitor) -> Result<Plan, EngineError> {
    part::prepare_directory(&job.directory)?;
    let key = part::key_of(&job.source);
    let adopted = Part::adopt(&job.directory, job.filename.as_deref(), &job.partial, &key)?;
    // The name of a partial that is gone is still the name the caller knows the download by.
    let wanted = match &job.partial {
        Partial::Named(name) => Some(name.clone()),
        _ => None,
    };
    let mut kept = None;
    if let Some((part, Record { boot, state, .. })) = adopted {
        monitor.set_filename(&part.names.filename);
        match state {
            State::Finished(finished) => {
                let path = job.directory.join(&finished.filename);
                let whole = std::fs::metadata(&path)
                    .is_ok_and(|metadata| metadata.is_file() && metadata.len() == finished.bytes);
                let renamed = std::fs::symlink_metadata(part.names.part()).is_err()
                    && std::fs::symlink_metadata(part.names.mux()).is_err();
                if let (true, true, Some(sha256)) = (whole, renamed, digest::unhex(&finished.sha256)) {
                    part.clear();
                    return Ok(Plan::Done(Finished {
                        path,
                        filename: finished.filename,
                        kind: finished.kind,
                        bytes: finished.bytes,
                        sha256,
                        quality: finished.quality,
                        duration: finished.duration_ms.map(Duration::from_millis),
                    }));
                }
                // Not renamed yet, or taken away since: what is in the partial is no longer described.
                kept = Some(part);
            }
            State::File(state) if job.kind != Some(Kind::Hls) => {
                monitor.set_kind(Kind::File);
                let names = part.names.clone();
                match file::reopen(net, job, &names, &boot, state).await? {
                    Some(start) => return Ok(Plan::File(part, start)),
                    None => kept = Some(part),
                }
            }
            State::File(_) | State::Hls(_) => kept = Some(part),
        }
    }
    let mut answer = file::ask_patiently(net, job, None).await?;
    if let Some(error) = answer.refusal() {
        return Err(error);
    }
    let kind = resolve::kind(&mut answer, job.kind).await?;
    monitor.set_kind(kind);
    match kind {
        Kind::File => plan_file(job, monitor, answer, kept, wanted, &key).await,
        Kind::Hls => Err(EngineError::UnsupportedMedia { reason: "streams are not built in yet".to_owned() }),
    }
}

async fn plan_file(
    job: &Job,
    monitor: &Monitor,
    mut answer: Answer,
    kept: Option<Part>,
    wanted: Option<String>,
    key: &str,
) -> Result<Plan, EngineError> {
    let name = wanted.unwrap_or_else(|| resolve::file_name(&answer, job));
    // What the caller or the address promised counts, not what the page calls itself.
    let promised =
        job.filename.clone().or_else(|| resolve::url_name(&answer.url, &job.source.url)).unwrap_or_default();
    for expected in [&promised, &resolve::url_name(&job.source.url, &job.source.url).unwrap_or_default()] {
        resolve::refuse_page(&mut answer, expected).await?;
    }
    let part = match kept {
        Some(part) => part,
        None => Part::create(&job.directory, &name, key)?,
    };
    monitor.set_filename(&part.names.filename);
    Ok(Plan::File(part, file::Start::Whole(answer)))
}
