//! One HTTP resource, from a partial or from nothing to the finished file.
//!
//! Owns the decision what an old partial is worth and when everything is fetched anew. Never merges two states of a
//! resource: whenever it cannot be shown that new bytes belong to the old ones, the old ones go. Invariant: bytes reach
//! the disk only through the range map.

mod origin;
mod pace;
mod receive;
mod reopen;
mod small;
mod transfer;
mod worker;

use std::collections::VecDeque;
use std::fs::File;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use url::Url;

use crate::answer::{self, Coding, Validators};
use crate::digest::{self, Expected, Stated};
use crate::journal::{FileState, FinishedState, State};
use crate::monitor::{Monitor, Phase};
use crate::net::{Answer, Lane, Net};
use crate::part::{Names, Part};
use crate::ranges::{RangeMap, Span};
use crate::source::{Method, Source};
use crate::writer::{Facts, SharedMap, Writer, lock};
use crate::{Algorithm, Checksum, EngineError, Finished, Job, Kind, sums};

pub(crate) use reopen::reopen;
pub(crate) use small::{Place, is_small, run as run_small};
use transfer::Transfer;

/// Bytes read again to see whether old and new content agree.
const OVERLAP: u64 = 64 * 1024;
/// Times everything is fetched anew before the server is called unusable.
const MAX_RESTARTS: u32 = 4;
/// Longest pause a server may ask for; after that somebody else shall decide when to go on.
pub(crate) const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Longest wait for one of them to end.
const LONGEST_TURN: Duration = Duration::from_secs(10);
/// Times a download lets connections of others end, without that counting as a failure.
const MAX_TURNS: u32 = 16;
/// Longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(15);

/// An answer whose body is about to be used.
pub(crate) struct Opening {
    pub(crate) answer: Answer,
    /// Bytes that must come first because they are already on disk.
    check: Vec<u8>,
    /// Where the bytes after those go.
    at: u64,
    /// The body is the whole resource, so its end is the resource's.
    whole: bool,
    /// The body goes on past the claim, so adjacent free bytes come without asking again.
    extends: bool,
}

/// How a file begins.
pub(crate) enum Start {
    /// An un-ranged answer of the place `asked`: everything anew.
    Whole { answer: Box<Answer>, asked: Url },
    /// Some bytes are there; the answer of the place `asked` continues at the first hole.
    /// `proven` when a strong validator speaks for every byte, not only those compared.
    Resume { state: FileState, done: Vec<Span>, opening: Box<Opening>, asked: Url, proven: bool },
    /// Every byte is there, only the end is missing.
    Complete { state: FileState, done: Vec<Span> },
}

/// Asks for the job's resource until a server sends it, and says which address that was: the job's or, when that
/// fails, a mirror.
pub(crate) async fn ask_patiently(
    net: &Net,
    job: &Job,
    range: Option<Span>,
    if_range: Option<&str>,
) -> Result<(Answer, Url), EngineError> {
    let places = std::iter::once(&job.source.url).chain(&job.mirrors).cloned().collect();
    ask_places(net, &job.source, places, range, if_range).await
}

/// Asks one place after the other, as `visitor`, and all of them again as long as their failures may pass.
pub(crate) async fn ask_places(
    net: &Net,
    visitor: &Source,
    mut places: VecDeque<Url>,
    range: Option<Span>,
    if_range: Option<&str>,
) -> Result<(Answer, Url), EngineError> {
    // What the first place said is what the caller knows it by.
    let mut first_error = None;
    // Of this round.
    let mut untried = places.len();
    let (mut failures, mut turns) = (0, 0);
    while let Some(place) = places.pop_front() {
        let (error, wait) = match net.ask_if(visitor, &place, range, if_range, Lane::Own).await {
            Ok(answer) => match answer.refusal() {
                None => return Ok((answer, place)),
                // The file became shorter than what is there of it: a fact, not a failure.
                Some(_) if answer.status == 416 && range.is_some() => return Ok((answer, place)),
                Some(error) => {
                    // Busy with our own connections: it takes one more when one of those ends, not when time passes.
                    let crowded = matches!(error, EngineError::HttpStatus { status: 429 | 503 });
                    let wait = answer::retry_after(&answer.headers);
                    drop(answer);
                    let longest = net.options().patience.min(LONGEST_TURN);
                    let longest = wait.map_or(longest, |wait| wait.min(longest));
                    if crowded && turns < MAX_TURNS && net.options().hosts.turn(&place, longest).await {
                        turns += 1;
                        places.push_front(place);
                        continue;
                    }
                    (error, wait)
                }
            },
            Err(error) => (error, None),
        };
        let transient = error.is_transient();
        let status = if let EngineError::HttpStatus { status } = &error { Some(*status) } else { None };
        first_error.get_or_insert(error);
        if transient {
            places.push_back(place);
        }
        untried = untried.saturating_sub(1);
        if untried > 0 || places.is_empty() {
            continue;
        }
        untried = places.len();
        failures += 1;
        // Also when nothing is left to try with: then the caller knows when it may.
        let long = wait.filter(|wait| *wait > LONGEST_WAIT);
        if let (Some(wait), Some(status), true) = (long, status, transient) {
            return Err(EngineError::Busy { status, wait });
        }
        // A second POST may order twice: only the caller can know.
        if failures > net.options().retries || visitor.method == Method::Post {
            break;
        }
        let pause = wait.filter(|wait| *wait <= LONGEST_WAIT);
        tokio::time::sleep(pause.unwrap_or_else(|| backoff(net, failures))).await;
    }
    Err(first_error.unwrap_or_else(|| EngineError::broken("no answer")))
}

/// How servers say that they bear no more connections.
fn is_cap(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::HttpStatus { status: 429 | 503 } | EngineError::LoginRequired { status: 403 }
    )
}

pub(crate) fn backoff(net: &Net, failures: u32) -> Duration {
    net.options().backoff.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(MAX_BACKOFF)
}

/// Why a try at the whole file ended.
pub(crate) enum Setback {
    Fail(EngineError),
    /// What has been fetched cannot be continued.
    Anew(EngineError),
}

/// Fetches, verifies and finishes.
pub(crate) async fn run(
    net: &Net,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
    mut part: Part,
    mut start: Start,
) -> Result<Finished, EngineError> {
    monitor.set_phase(Phase::Downloading);
    for restart in 0_u32.. {
        let (facts, done) = match &start {
            Start::Whole { answer, .. } => (facts_of(answer, job), Vec::new()),
            Start::Resume { state, done, .. } | Start::Complete { state, done } => (
                Facts {
                    total: state.total,
                    validators: state.validators.clone(),
                    stated: state.stated.clone(),
                    wanted: wanted_of(job),
                },
                done.clone(),
            ),
        };
        if done.is_empty() {
            monitor.begin_anew();
        }
        let file = match make_room(&part.names, facts.total, &done) {
            Ok(file) => file,
            Err(error) => {
                // Nothing is in it, and no record says whose it is.
                if done.is_empty() {
                    part.abandon();
                }
                return Err(error);
            }
        };
        let map: SharedMap = Arc::new(Mutex::new(RangeMap::new(facts.total, &done)));
        monitor.set_map(&map);
        monitor.set_total(facts.total);
        monitor.set_received(lock(&map).done().len());
        let filename = part.names.filename.clone();
        let readable = file.try_clone().map_err(EngineError::disk)?;
        let writer = Writer::start(part, file, facts.clone(), Arc::clone(&map), Arc::clone(monitor));
        let outcome = {
            // After a setback nothing is risked: whatever one answer brings is of one piece.
            let transfer =
                Transfer::new((net, job, monitor), (&writer, readable), &map, facts, &start, restart == 0);
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(Setback::Fail(EngineError::Stopped)),
                () = writer.failed.cancelled() => Err(Setback::Fail(EngineError::Internal("the disk writer ended".to_owned()))),
                // Beside the transfer, so that a checksum that cannot be had is known before everything was fetched.
                outcome = async {
                    let published = async { sums::expected(net, job, &filename).await.map_err(Setback::Fail) };
                    let fetched = async { transfer.supervise(start).await?; transfer.confirm().await };
                    tokio::try_join!(fetched, published).map(|((), wanted)| wanted)
                } => outcome,
            }
        };
        let written = writer.close().await?;
        // The disk's own words come before what followed from them.
        if let Some(error) = written.error {
            return Err(error);
        }
        match outcome {
            Ok(wanted) => {
                monitor.set_phase(Phase::Finishing);
                return finish(written, wanted).await;
            }
            Err(Setback::Fail(error)) => return Err(error),
            Err(Setback::Anew(error)) if restart >= MAX_RESTARTS || job.source.method == Method::Post => {
                return Err(error);
            }
            Err(Setback::Anew(reason)) => {
                tracing::debug!(%reason, "fetching everything anew");
                part = written.part;
                let pause = backoff(net, restart + 1);
                start = tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(EngineError::Stopped),
                    answer = async { tokio::time::sleep(pause).await; ask_patiently(net, job, None, None).await } => {
                        let (mut answer, asked) = answer?;
                        if let Some(error) = answer.unasked_part() {
                            return Err(error);
                        }
                        crate::resolve::refuse_page(&mut answer, &part.names.filename).await?;
                        Start::Whole { answer: Box::new(answer), asked }
                    }
                };
            }
        }
    }
    Err(EngineError::ContentChanged)
}

fn facts_of(answer: &Answer, job: &Job) -> Facts {
    let identity = answer::coding(&answer.headers) == Coding::Identity;
    Facts {
        // Of a compressed body neither size nor hash is that of the file.
        total: answer::content_length(&answer.headers).filter(|_| identity),
        validators: Validators::read(&answer.headers),
        stated: if identity {
            Stated::read(&answer.headers, answer.status == 200)
        } else {
            Stated::default()
        },
        wanted: wanted_of(job),
    }
}

/// The hash the caller knows; one that is published somewhere is fetched beside the file.
fn wanted_of(job: &Job) -> Option<Algorithm> {
    match job.checksum {
        Some(Checksum::Stated { algorithm, .. }) => Some(algorithm),
        _ => None,
    }
}

/// The file in the making, as long as the whole will be, with nothing in it but `done`.
fn make_room(names: &Names, total: Option<u64>, done: &[Span]) -> Result<File, EngineError> {
    let file = Part::open(&names.part()).map_err(EngineError::disk)?;
    if done.is_empty() {
        file.set_len(0).map_err(EngineError::disk)?;
    }
    if let Some(total) = total {
        check_room(names, total.saturating_sub(done.iter().map(|span| span.1 - span.0).sum()))?;
        file.set_len(total).map_err(EngineError::disk)?;
    }
    Ok(file)
}

fn check_room(names: &Names, needed: u64) -> Result<(), EngineError> {
    // A file system that does not tell is asked by writing.
    match rustix::fs::statvfs(&names.directory) {
        Ok(stat) if stat.f_blocks > 0 && stat.f_bavail.saturating_mul(stat.f_frsize) < needed => {
            Err(EngineError::DiskFull)
        }
        _ => Ok(()),
    }
}

async fn finish(written: crate::writer::Written, wanted: Option<Expected>) -> Result<Finished, EngineError> {
    let finishing = tokio::task::spawn_blocking(move || {
        let bytes = written.size();
        let (part, digests) = written.verify(wanted.as_ref())?;
        let (working, journal) = (part.names.part(), part.names.journal());
        let path = part.finish(&working, |filename| {
            State::Finished(FinishedState {
                filename: filename.to_owned(),
                bytes,
                sha256: digest::hex(&digests.sha256),
                kind: Kind::File,
                quality: None,
                duration_ms: None,
                lacks: None,
            })
        })?;
        let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
        Ok(Finished {
            path,
            filename,
            kind: Kind::File,
            bytes,
            sha256: digests.sha256,
            quality: None,
            duration: None,
            unmet: Vec::new(),
            lacks: None,
            journal: Some(journal),
        })
    });
    finishing.await.map_err(|error| EngineError::Internal(error.to_string()))?
}
