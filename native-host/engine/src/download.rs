//! One job from its first request to its finished file.
//!
//! Owns the order of things: find a partial, ask, name, fetch, finish. Never moves bytes itself. Invariant: every
//! way out leaves a journal, of a finished file or of a partial, and the lock on it released.

use std::fs::File;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use crate::journal::{FinishedState, Record, SiteState, State, StreamState};
use crate::monitor::{Monitor, Phase};
use crate::net::{Answer, Net};
use crate::part::{self, Part, Scans};
use crate::{
    Arrival, EngineError, Finished, Job, Kind, Method, Partial, answer, digest, file, resolve, site, stream,
};

/// What the first answers led to.
enum Plan {
    File(Box<(Part, file::Start)>),
    Small(Box<(file::Place, Answer)>),
    Stream(Box<Stream>),
    Recorded(Box<(Part, (String, StreamState))>),
    Site(Box<SitePage>),
}

/// The media of a page about to be fetched; `before` is what an earlier run left, with its boot.
struct SitePage {
    part: Part,
    ready: site::Ready,
    before: Option<(String, SiteState)>,
}

/// A stream about to be fetched; `before` is what an earlier run left, with its boot.
struct Stream {
    part: Part,
    ready: stream::Ready,
    before: Option<(String, StreamState)>,
}

/// Runs a job; see [`crate::Engine::download`].
pub(crate) async fn run(
    net: &Net,
    scans: &Scans,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
) -> Result<Finished, EngineError> {
    monitor.set_phase(Phase::Resolving);
    if stop.is_cancelled() {
        return Err(EngineError::Stopped);
    }
    part::prepare_directory(&job.directory)?;
    let key = part::key_of(&job.source);
    let mut adopted = Part::adopt(scans, &job.directory, job.filename.as_deref(), &job.partial, &key)?;
    if let Some((part, Record { boot, state: State::Finished(state), key })) = adopted {
        monitor.set_filename(&part.names.filename);
        let again = state.clone();
        // Not to be stopped: a job that said it stopped must not finish later.
        let concluded = tokio::task::spawn_blocking(move || conclude(part, &again));
        match concluded.await.map_err(|error| EngineError::Internal(error.to_string()))?? {
            Ok(finished) => return Ok(finished),
            Err(part) => adopted = Some((part, Record { key, boot, state: State::Finished(state) })),
        }
    }
    let plan = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(EngineError::Stopped),
        plan = plan(net, job, monitor, adopted, &key) => plan?,
    };
    match plan {
        Plan::File(plan) => {
            let (part, start) = *plan;
            file::run(net, job, monitor, stop, part, start).await
        }
        Plan::Small(plan) => {
            let (place, answer) = *plan;
            file::run_small(net, job, monitor, stop, place, answer).await
        }
        Plan::Recorded(plan) => {
            let (part, before) = *plan;
            stream::keep(net, job, monitor, stop, part, before).await
        }
        Plan::Stream(plan) => {
            let Stream { part, ready, before } = *plan;
            stream::run(net, job, monitor, stop, part, ready, before).await
        }
        Plan::Site(plan) => {
            let SitePage { part, ready, before } = *plan;
            site::run(net, job, monitor, stop, part, ready, before).await
        }
    }
}

async fn plan(
    net: &Net,
    job: &Job,
    monitor: &Monitor,
    adopted: Option<(Part, Record)>,
    key: &str,
) -> Result<Plan, EngineError> {
    // The name of a partial that is gone is still the name the caller knows the download by.
    let wanted = match &job.partial {
        Partial::Named(name) => Some(name.clone()),
        _ => None,
    };
    let mut kept = None;
    let mut before = None;
    let mut site_before = None;
    if let Some((part, Record { boot, state, .. })) = adopted {
        monitor.set_filename(&part.names.filename);
        match state {
            State::File(state) if matches!(job.kind, None | Some(Kind::File)) => {
                monitor.set_kind(Kind::File);
                let names = part.names.clone();
                match file::reopen(net, job, &names, &boot, state).await? {
                    Some(start) => return Ok(Plan::File(Box::new((part, start)))),
                    None => kept = Some(part),
                }
            }
            // Enough of it is there, says the user: no server is asked.
            State::Stream(state) if state.live && job.finish.is_cancelled() => {
                return Ok(Plan::Recorded(Box::new((part, (boot, state)))));
            }
            State::Stream(state) if matches!(job.kind, None | Some(Kind::Hls | Kind::Dash)) => {
                before = Some((boot, state));
                kept = Some(part);
            }
            State::Site(state) if matches!(job.kind, None | Some(Kind::Site)) => {
                site_before = Some((boot, state));
                kept = Some(part);
            }
            // One that says finished and is not is of no more use than one of another kind.
            State::File(_) | State::Stream(_) | State::Site(_) | State::Finished(_) => kept = Some(part),
        }
    }
    if job.kind == Some(Kind::Site) {
        return plan_site(net, job, monitor, (kept, site_before), wanted, key).await;
    }
    let (answer, asked, kind) = first_answer(net, job).await?;
    monitor.set_kind(kind);
    match kind {
        Kind::Site => {
            drop(answer);
            plan_site(net, job, monitor, (kept, site_before), wanted, key).await
        }
        Kind::File => plan_file(job, monitor, (answer, asked), kept, wanted, key).await,
        Kind::Hls | Kind::Dash => {
            let manifest = read_manifest(net, job, kind, answer).await?;
            let url = manifest.url.clone();
            let ready = stream::prepare(net, job, manifest).await?;
            let name = wanted.unwrap_or_else(|| stream::file_name(job, &url, &ready));
            let arrival = Arrival { filename: &name, content_type: None, url: &url };
            let part = reserve(job, monitor, kept, &arrival, key)?;
            Ok(Plan::Stream(Box::new(Stream { part, ready, before })))
        }
    }
}

/// Reads the manifest; one that broke off is asked for again.
async fn read_manifest(
    net: &Net,
    job: &Job,
    kind: Kind,
    mut answer: Answer,
) -> Result<stream::Manifest, EngineError> {
    let mut failures = 0;
    loop {
        match stream::read(kind, &mut answer).await {
            Ok(manifest) => return Ok(manifest),
            Err(error) => {
                failures += 1;
                let again = error.is_transient() && job.source.method == Method::Get;
                if !again || failures > net.options().retries {
                    return Err(error);
                }
            }
        }
        tokio::time::sleep(file::backoff(net, failures)).await;
        (answer, _) = file::ask_patiently(net, job, None, None).await?;
    }
}

/// A page, whose media yt-dlp knows.
async fn plan_site(
    net: &Net,
    job: &Job,
    monitor: &Monitor,
    (kept, before): (Option<Part>, Option<(String, SiteState)>),
    wanted: Option<String>,
    key: &str,
) -> Result<Plan, EngineError> {
    monitor.set_kind(Kind::Site);
    let ready = site::prepare(net, &job.source, job.quality.as_deref(), &job.wishes).await?;
    let name = wanted.unwrap_or_else(|| ready.file_name(job));
    let arrival = Arrival { filename: &name, content_type: None, url: &job.source.url };
    let part = reserve(job, monitor, kept, &arrival, key)?;
    Ok(Plan::Site(Box::new(SitePage { part, ready, before })))
}

/// Asks for the whole until its first bytes are there: an answer that breaks off before them says nothing yet.
async fn first_answer(net: &Net, job: &Job) -> Result<(Answer, Url, Kind), EngineError> {
    let mut failures = 0;
    loop {
        let (mut answer, asked) = file::ask_patiently(net, job, None, None).await?;
        if let Some(error) = answer.unasked_part() {
            return Err(error);
        }
        let kind = match resolve::kind(&mut answer, job.kind).await {
            Ok(Kind::File) if job.kind.is_none() => resolve::is_site(&mut answer, job)
                .await
                .map(|site| if site { Kind::Site } else { Kind::File }),
            kind => kind,
        };
        match kind {
            Ok(kind) => return Ok((answer, asked, kind)),
            Err(error) => {
                failures += 1;
                // A second POST may order twice.
                let again = error.is_transient() && job.source.method == Method::Get;
                if !again || failures > net.options().retries {
                    return Err(error);
                }
            }
        }
        // The connection is let go of before the next is asked for.
        drop(answer);
        tokio::time::sleep(file::backoff(net, failures)).await;
    }
}

/// An earlier run had everything and was about to rename, or had renamed and was not settled. Gives the partial
/// back when neither can be shown to be true any more. Blocks.
fn conclude(part: Part, state: &FinishedState) -> Result<Result<Finished, Part>, EngineError> {
    let Some(sha256) = digest::unhex(&state.sha256) else { return Ok(Err(part)) };
    let working = match state.kind {
        Kind::File => part.names.part(),
        Kind::Hls | Kind::Dash | Kind::Site => part.names.result(),
    };
    let journal = part.names.journal();
    let finished = |path: PathBuf| Finished {
        filename: path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default(),
        path,
        kind: state.kind,
        bytes: state.bytes,
        sha256,
        quality: state.quality.clone(),
        unmet: Vec::new(),
        lacks: state.lacks.clone(),
        duration: state.duration_ms.map(Duration::from_millis),
        journal: Some(journal),
    };
    if let Ok(mut file) = File::open(&working) {
        let same = digest::of_file(&mut file, None)
            .is_ok_and(|(bytes, found)| (bytes, found.sha256) == (state.bytes, sha256));
        if !same {
            return Ok(Err(part));
        }
        let name = match state.kind {
            // Its extension was settled last, and whether it is whole.
            Kind::Hls | Kind::Dash | Kind::Site
                if weir_media::filename::safe(&state.filename) == state.filename =>
            {
                state.filename.clone()
            }
            _ => part.names.filename.clone(),
        };
        let path = part.finish_as(&working, &name, |name| {
            State::Finished(FinishedState { filename: name.to_owned(), ..state.clone() })
        })?;
        return Ok(Ok(finished(path)));
    }
    // A name that is not one of ours comes from somewhere else.
    if weir_media::filename::safe(&state.filename) != state.filename {
        return Ok(Err(part));
    }
    let path = part.names.directory.join(&state.filename);
    if std::fs::symlink_metadata(&path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.len() == state.bytes)
    {
        part.tidy();
        return Ok(Ok(finished(path)));
    }
    Ok(Err(part))
}

/// The kept partial, or a new name nobody uses.
fn reserve(
    job: &Job,
    monitor: &Monitor,
    kept: Option<Part>,
    arrival: &Arrival<'_>,
    key: &str,
) -> Result<Part, EngineError> {
    let part = match kept {
        Some(part) => part,
        None => match job.folder.as_ref().and_then(|folder| folder.choose(arrival)) {
            Some(directory) if directory != job.directory => {
                part::prepare_directory(&directory)?;
                monitor.set_directory(&directory);
                Part::create(&directory, arrival.filename, key)?
            }
            _ => Part::create(&job.directory, arrival.filename, key)?,
        },
    };
    monitor.set_filename(&part.names.filename);
    Ok(part)
}

async fn plan_file(
    job: &Job,
    monitor: &Monitor,
    (mut answer, asked): (Answer, Url),
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
    let content_type = answer::content_type(&answer.headers);
    let url = answer.url.clone();
    let arrival = Arrival { filename: &name, content_type: content_type.as_deref(), url: &url };
    if kept.is_none() && file::is_small(job, &answer) {
        // A folder that is still to be chosen is chosen by reserving the name there.
        let place = if job.remember || job.folder.is_some() {
            file::Place::Reserved(reserve(job, monitor, kept, &arrival, key)?)
        } else {
            file::Place::Free(name)
        };
        return Ok(Plan::Small(Box::new((place, answer))));
    }
    let part = reserve(job, monitor, kept, &arrival, key)?;
    Ok(Plan::File(Box::new((part, file::Start::Whole { answer: Box::new(answer), asked }))))
}
