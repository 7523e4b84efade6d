//! One HTTP resource over one or several connections.
//!
//! Owns the connections' life: slow start, ranges, stealing, retries, and the retreat to one connection. Never merges
//! two states of a resource: whenever it cannot be shown that new bytes belong to the old ones, everything is fetched
//! anew. Invariant: bytes reach the disk only through the range map.

use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;
use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;

use crate::answer::{self, Agreement, Coding, Validators, Verdict};
use crate::digest::{self, Stated};
use crate::journal::{self, FileState, FinishedState, State};
use crate::monitor::{ConnectionGuard, Monitor, Phase};
use crate::net::{Answer, Lane, Net};
use crate::part::{Names, Part};
use crate::ranges::{RangeMap, Span};
use crate::source::Method;
use crate::writer::{Facts, SharedMap, Writer, WriterGone, lock};
use crate::{EngineError, Finished, Job, Kind};

/// Files smaller than this are not worth a second connection.
const MIN_PARALLEL: u64 = 2 * 1024 * 1024;
/// Smallest and largest range asked for at once.
const MIN_RANGE: u64 = 1024 * 1024;
const MAX_RANGE: u64 = 16 * 1024 * 1024;
/// Bytes collected before they go to the disk.
const BATCH: usize = 512 * 1024;
/// Oldest bytes may be before they go to the disk all the same.
const BATCH_AGE: Duration = Duration::from_millis(100);
/// Bytes read again to see whether old and new content agree.
const OVERLAP: u64 = 64 * 1024;
/// Times everything is fetched anew before the server is called unusable.
const MAX_RESTARTS: u32 = 4;
/// Longest pause between two tries.
const MAX_BACKOFF: Duration = Duration::from_secs(15);
/// Bytes let through at once while a speed limit holds.
const LIMITED_STEP: usize = 32 * 1024;
/// Compressed bytes are unpacked in steps of this, so that a bomb fills the disk at worst, never the memory.
const UNPACK_STEP: usize = 4096;

/// An answer whose body is about to be used.
pub(crate) struct Opening {
    pub(crate) answer: Answer,
    /// Bytes that must come first because they are already on disk.
    check: Vec<u8>,
    /// The body is the whole resource, so its end is the resource's.
    whole: bool,
    /// The body goes on past the claim, so adjacent free bytes come without asking again.
    extends: bool,
}

/// How a file begins.
pub(crate) enum Start {
    /// An un-ranged answer: everything anew.
    Whole(Box<Answer>),
    /// Some bytes are there; the answer continues at the first hole.
    Resume { state: FileState, done: Vec<Span>, opening: Box<Opening>, at: u64 },
    /// Every byte is there, only the end is missing.
    Complete { state: FileState, done: Vec<Span> },
}

/// Looks at what a journal and its file are worth, and asks the server to go on. `None` means that the partial is no
/// use and everything has to be asked for anew.
pub(crate) async fn reopen(
    net: &Net,
    job: &Job,
    names: &Names,
    boot: &str,
    state: FileState,
) -> Result<Option<Start>, EngineError> {
    let Some(total) = state.total.filter(|total| *total > 0 && job.source.method == Method::Get) else {
        return Ok(None);
    };
    let trusted = if journal::same_boot(boot) { &state.written } else { &state.synced };
    let Ok(file) = Part::open(&names.part()) else { return Ok(None) };
    let on_disk = file.metadata().map_or(0, |metadata| metadata.len());
    let map = RangeMap::new(
        Some(total),
        crate::ranges::Spans::from_untrusted(trusted, on_disk).as_slice(),
    );
    let done = map.done().as_slice().to_vec();
    if done.is_empty() {
        return Ok(None);
    }
    let Some(hole) = map.first_hole() else { return Ok(Some(Start::Complete { state, done })) };
    let end = done.iter().map(|span| span.0).find(|start| *start > hole).unwrap_or(total);
    let before = hole.min(OVERLAP);
    let span = (hole - before, end);
    let mut answer = ask_patiently(net, job, Some(span)).await?;
    if let Some(error) = answer.refusal().filter(|_| answer.status != 416) {
        return Err(error);
    }
    if answer.status != 206 {
        // An answer to another question than the one asked is believed only when it says how long it is.
        if answer.status != 200 || answer::content_length(&answer.headers).is_none() {
            return Ok(None);
        }
        // A page instead of the file must not cost what is there.
        crate::resolve::refuse_page(&mut answer, &names.filename).await?;
        return Ok(Some(Start::Whole(Box::new(answer))));
    }
    match answer::judge(&answer.headers, span, total, &state.validators) {
        Verdict::Fits { span: got, agreement } => {
            let mut check = vec![0; before as usize];
            // Nothing to compare and no validator: it cannot be shown to be the same.
            if (agreement == Agreement::Unknown && before == 0)
                || got.1 <= hole
                || file.read_exact_at(&mut check, span.0).is_err()
            {
                return Ok(None);
            }
            Ok(Some(Start::Resume {
                state,
                done,
                opening: Box::new(Opening { answer, check, whole: false, extends: true }),
                at: hole,
            }))
        }
        Verdict::Refused(_) | Verdict::Changed => Ok(None),
    }
}

/// Asks until the server answers with something other than a passing failure.
pub(crate) async fn ask_patiently(net: &Net, job: &Job, range: Option<Span>) -> Result<Answer, EngineError> {
    let mut failures = 0;
    loop {
        let (error, wait) = match net.ask(&job.source, &job.source.url, range, Lane::Own).await {
            Ok(answer) => match answer.refusal().filter(EngineError::is_transient) {
                None => return Ok(answer),
                Some(error) => (error, answer::retry_after(&answer.headers)),
            },
            Err(error) if error.is_transient() => (error, None),
            Err(error) => return Err(error),
        };
        failures += 1;
        // A second POST may order twice: only the caller can know.
        if failures > net.options().retries || job.source.method == Method::Post {
            return Err(error);
        }
        tokio::time::sleep(wait.unwrap_or_else(|| backoff(net, failures))).await;
    }
}

pub(crate) fn backoff(net: &Net, failures: u32) -> Duration {
    net.options().backoff.saturating_mul(1 << failures.saturating_sub(1).min(6)).min(MAX_BACKOFF)
}

/// Why a try at the whole file ended.
enum Setback {
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
            Start::Whole(answer) => (facts_of(answer), Vec::new()),
            Start::Resume { state, done, .. } | Start::Complete { state, done } => (
                Facts {
                    total: state.total,
                    validators: state.validators.clone(),
                    stated: state.stated.clone(),
                },
                done.clone(),
            ),
        };
        let file = Part::open(&part.names.part()).map_err(EngineError::disk)?;
        if done.is_empty() {
            file.set_len(0).map_err(EngineError::disk)?;
        }
        if let Some(total) = facts.total {
            check_room(&part.names, total.saturating_sub(done.iter().map(|span| span.1 - span.0).sum()))?;
            file.set_len(total).map_err(EngineError::disk)?;
        }
        let map: SharedMap = Arc::new(Mutex::new(RangeMap::new(facts.total, &done)));
        monitor.set_total(facts.total);
        monitor.set_received(lock(&map).done().len());
        let writer = Writer::start(part, file, facts.clone(), Arc::clone(&map), Arc::clone(monitor));
        let outcome = {
            // After a setback nothing is risked: whatever one answer brings is of one piece.
            let transfer = Transfer::new(net, job, monitor, &writer, &map, facts, &start, restart == 0);
            tokio::select! {
                biased;
                () = stop.cancelled() => Err(Setback::Fail(EngineError::Stopped)),
                () = writer.failed.cancelled() => Err(Setback::Fail(EngineError::Internal("the disk writer ended".to_owned()))),
                outcome = transfer.supervise(start) => outcome,
            }
        };
        let written = writer.close().await?;
        // The disk's own words come before what followed from them.
        if let Some(error) = written.error {
            return Err(error);
        }
        match outcome {
            Ok(()) => {
                monitor.set_phase(Phase::Finishing);
                return finish(written, job.sha256).await;
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
                    answer = async { tokio::time::sleep(pause).await; ask_patiently(net, job, None).await } => {
                        let mut answer = answer?;
                        if let Some(error) = answer.refusal().or_else(|| answer.unasked_part()) {
                            return Err(error);
                        }
                        crate::resolve::refuse_page(&mut answer, &part.names.filename).await?;
                        Start::Whole(Box::new(answer))
                    }
                };
            }
        }
    }
    Err(EngineError::ContentChanged)
}

fn facts_of(answer: &Answer) -> Facts {
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
    }
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

async fn finish(written: crate::writer::Written, wanted: Option<[u8; 32]>) -> Result<Finished, EngineError> {
    let finishing = tokio::task::spawn_blocking(move || {
        let bytes = written.size();
        let (part, digests) = written.verify(wanted)?;
        let working = part.names.part();
        let path = part.finish(&working, |filename| {
            State::Finished(FinishedState {
                filename: filename.to_owned(),
                bytes,
                sha256: digest::hex(&digests.sha256),
                kind: Kind::File,
                quality: None,
                duration_ms: None,
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
        })
    });
    finishing.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

/// What ended a connection's work.
enum Trouble {
    /// The server does not do ranges, or not this one.
    Refused(&'static str),
    /// The content is no longer the same.
    Changed,
    Failed {
        error: EngineError,
        wait: Option<Duration>,
    },
    /// The disk thread has ended and says why itself.
    WriterGone,
}

impl From<EngineError> for Trouble {
    fn from(error: EngineError) -> Self {
        Self::Failed { error, wait: None }
    }
}

impl From<WriterGone> for Trouble {
    fn from(_: WriterGone) -> Self {
        Self::WriterGone
    }
}

/// One try at the whole file.
struct Transfer<'a> {
    net: &'a Net,
    job: &'a Job,
    monitor: &'a Monitor,
    writer: &'a Writer,
    map: &'a Mutex<RangeMap>,
    facts: Facts,
    /// Where ranges are asked: the end of the redirects as long as it answers.
    url: Mutex<Url>,
    began: Instant,
    handed: AtomicU64,
    /// The first answer, which has no end, still flows: whatever it brings is of one piece.
    open_flows: AtomicBool,
    productive: mpsc::UnboundedSender<()>,
    productivity: Mutex<Option<mpsc::UnboundedReceiver<()>>>,
    parallel: bool,
    /// The server has served a range of this very content.
    proven: AtomicBool,
}

impl<'a> Transfer<'a> {
    fn new(
        net: &'a Net,
        job: &'a Job,
        monitor: &'a Monitor,
        writer: &'a Writer,
        map: &'a SharedMap,
        facts: Facts,
        start: &Start,
        may_share: bool,
    ) -> Self {
        let (productive, productivity) = mpsc::unbounded_channel();
        let answer = match start {
            Start::Whole(answer) => Some(answer),
            Start::Resume { opening, .. } => Some(&opening.answer),
            Start::Complete { .. } => None,
        };
        let parallel = may_share
            && job.source.method == Method::Get
            && facts.total.is_some_and(|total| total >= MIN_PARALLEL)
            && answer.is_some_and(|answer| !answer::refuses_ranges(&answer.headers));
        Self {
            net,
            job,
            monitor,
            writer,
            map,
            facts,
            url: Mutex::new(answer.map_or_else(|| job.source.url.clone(), |answer| answer.url.clone())),
            began: Instant::now(),
            handed: AtomicU64::new(0),
            open_flows: AtomicBool::new(false),
            productive,
            productivity: Mutex::new(Some(productivity)),
            parallel,
            proven: AtomicBool::new(matches!(start, Start::Resume { .. })),
        }
    }

    fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Where to ask for ranges now.
    fn url(&self) -> Url {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The redirected address expired; the original may lead to a fresh one. False when it has been tried.
    fn forget_redirect(&self) -> bool {
        let mut url = self.url.lock().unwrap_or_else(PoisonError::into_inner);
        let was_other = *url != self.job.source.url;
        *url = self.job.source.url.clone();
        was_other
    }

    /// Starts connections while they pay, replaces those that fail, and decides when it is over.
    async fn supervise(&self, start: Start) -> Result<(), Setback> {
        let opening = match start {
            Start::Complete { .. } => return Ok(()),
            Start::Whole(answer) => {
                lock(self.map).claim_open(0, self.now());
                Opening { answer: *answer, check: Vec::new(), whole: true, extends: true }
            }
            Start::Resume { opening, at, .. } => {
                let mut map = lock(self.map);
                // The first hole: `at` is where the answer continues.
                let claim = map.claim_open(0, self.now());
                debug_assert_eq!(claim.map(|span| span.0), Some(at));
                drop(map);
                *opening
            }
        };
        let Some(mut productivity) = self.productivity.lock().unwrap_or_else(PoisonError::into_inner).take()
        else {
            return Err(Setback::Fail(EngineError::Internal("a transfer began twice".to_owned())));
        };
        let mut connections = if self.parallel { self.job.connections.clamp(1, 64) as usize } else { 1 };
        let mut workers = FuturesUnordered::new();
        workers.push(self.work(0, Some(opening), Duration::ZERO));
        let mut next_id = 1;
        let (mut failures, mut mark) = (0_u32, 0_u64);
        loop {
            let trouble = tokio::select! {
                Some(outcome) = workers.next() => match outcome {
                    Ok(()) if lock(self.map).is_handed_over() => return Ok(()),
                    Ok(()) => continue,
                    Err(trouble) => trouble,
                },
                Some(()) = productivity.recv() => {
                    // Each productive connection brings one more: 1, 2, 4, 8.
                    if workers.len() < connections && lock(self.map).unclaimed() >= MIN_RANGE {
                        workers.push(self.work(next_id, None, Duration::ZERO));
                        next_id += 1;
                    }
                    continue;
                }
            };
            let handed = self.handed.load(Ordering::Relaxed);
            failures = if handed > mark { 1 } else { failures + 1 };
            mark = handed;
            let alone = workers.is_empty();
            let mut pause = None;
            match trouble {
                Trouble::WriterGone => {
                    return Err(Setback::Fail(EngineError::Internal("the disk writer ended".to_owned())));
                }
                Trouble::Failed {
                    error: error @ (EngineError::OwnAddress | EngineError::Internal(_)),
                    ..
                } => {
                    return Err(Setback::Fail(error));
                }
                Trouble::Refused(reason) => {
                    tracing::debug!(reason, "a range was refused");
                    connections = workers.len();
                    if alone {
                        return Err(Setback::Anew(EngineError::broken(format!("the server sent {reason}"))));
                    }
                }
                Trouble::Changed => {
                    connections = workers.len();
                    if !self.open_flows.load(Ordering::Relaxed) {
                        return Err(Setback::Anew(EngineError::ContentChanged));
                    }
                }
                Trouble::Failed { error, wait } => {
                    let retry = error.is_transient() || (is_expiry(&error) && self.forget_redirect());
                    let crowded =
                        matches!(error, EngineError::LoginRequired { .. } | EngineError::HttpStatus { .. });
                    if alone {
                        // Without ranges the next try starts at zero, which is another kind of try.
                        if retry && failures <= self.net.options().retries && !self.can_continue() {
                            return Err(Setback::Anew(error));
                        }
                        if !retry || failures > self.net.options().retries {
                            return Err(Setback::Fail(error));
                        }
                        pause = Some(wait.unwrap_or_else(|| backoff(self.net, failures)));
                    } else if crowded || !retry || failures > self.net.options().retries {
                        // The others work: this server wants fewer connections.
                        connections = workers.len().max(1);
                    } else {
                        pause = Some(wait.unwrap_or_else(|| backoff(self.net, failures)));
                    }
                }
            }
            if let Some(pause) = pause {
                workers.push(self.work(next_id, None, pause));
                next_id += 1;
            }
        }
    }

    /// A broken answer can be continued by a range.
    fn can_continue(&self) -> bool {
        self.job.source.method == Method::Get && self.facts.total.is_some()
    }

    /// Fetches range after range until none is left.
    async fn work(&self, id: u32, mut opening: Option<Opening>, pause: Duration) -> Result<(), Trouble> {
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        loop {
            let result = match opening.take() {
                Some(opening) => self.receive(id, opening).await,
                None => match self.open_next(id).await {
                    Ok(Some(opening)) => self.receive(id, opening).await,
                    Ok(None) => return Ok(()),
                    Err(trouble) => Err(trouble),
                },
            };
            lock(self.map).release(id);
            result?;
        }
    }

    /// Claims or steals a range and asks for it. `None` when everything is handed over.
    async fn open_next(&self, id: u32) -> Result<Option<Opening>, Trouble> {
        if lock(self.map).is_handed_over() {
            return Ok(None);
        }
        if !self.proven.load(Ordering::Relaxed) {
            self.prove().await?;
        }
        let mut rate = 0.0;
        let span = loop {
            {
                let mut map = lock(self.map);
                if map.is_handed_over() {
                    return Ok(None);
                }
                let share = map.unclaimed() / (2 * u64::from(self.job.connections.max(1)));
                let want = share.clamp(MIN_RANGE, MAX_RANGE);
                let now = self.now();
                if let Some(span) = map.claim(id, want, now).or_else(|| map.steal(id, rate, now)) {
                    break span;
                }
                rate = f64::max(rate, map.rate(id));
            }
            tokio::time::sleep(Duration::from_millis(100)).await;
        };
        let answer = self.ask(span).await?;
        Ok(Some(Opening { answer, check: Vec::new(), whole: false, extends: false }))
    }

    /// Asks for the last byte alone. Only a server that serves it right may take a share from the first answer: what
    /// has been taken from that one cannot be given back.
    async fn prove(&self) -> Result<(), Trouble> {
        let Some(total) = self.facts.total else { return Err(Trouble::Refused("a range of unknown size")) };
        let mut answer = self.ask((total - 1, total)).await?;
        self.proven.store(true, Ordering::Relaxed);
        // Reading to the end lets the connection serve the next range.
        while let Ok(ControlFlow::Continue(Some(_))) = answer.poll().await {}
        Ok(())
    }

    /// Asks for a range and judges the head of the answer.
    async fn ask(&self, span: Span) -> Result<Answer, Trouble> {
        let _open = ConnectionGuard::new(self.monitor);
        let Some(total) = self.facts.total else { return Err(Trouble::Refused("a range of unknown size")) };
        let answer = self.net.ask(&self.job.source, &self.url(), Some(span), Lane::Own).await?;
        match answer.status {
            206 => match answer::judge(&answer.headers, span, total, &self.facts.validators) {
                Verdict::Fits { .. } => Ok(answer),
                Verdict::Refused(reason) => Err(Trouble::Refused(reason)),
                Verdict::Changed => Err(Trouble::Changed),
            },
            416 => Err(Trouble::Refused("no such range")),
            200..=299 => Err(Trouble::Refused("the whole file instead of a range")),
            _ => {
                let wait = answer::retry_after(&answer.headers);
                Err(Trouble::Failed {
                    error: answer.refusal().unwrap_or_else(|| EngineError::broken("no answer")),
                    wait,
                })
            }
        }
    }

    /// Takes a body in and hands it over, as long as its bytes are still this worker's.
    async fn receive(
        &self,
        id: u32,
        Opening { mut answer, mut check, whole, extends }: Opening,
    ) -> Result<(), Trouble> {
        let _open = ConnectionGuard::new(self.monitor);
        let _flows = whole.then(|| Flowing::new(&self.open_flows));
        let announced = answer::content_length(&answer.headers);
        let mut received = 0;
        let mut unpack = match (whole, answer::coding(&answer.headers)) {
            (_, Coding::Identity) => None,
            (true, Coding::Gzip) => Some(MultiGzDecoder::new(Vec::new())),
            _ => return Err(EngineError::broken("the server compressed the file in an unknown way").into()),
        };
        let mut batch = BatchUp::default();
        let mut heard = Instant::now();
        let mut productive = !self.parallel;
        let ended = loop {
            let chunk = match answer.poll().await {
                Ok(ControlFlow::Break(())) => break Ok(true),
                Ok(ControlFlow::Continue(chunk)) => chunk,
                Err(error) => break Err(error),
            };
            if let Some(mut chunk) = chunk {
                heard = Instant::now();
                received += chunk.len() as u64;
                if !check.is_empty() {
                    let n = check.len().min(chunk.len());
                    if check[..n] != chunk[..n] {
                        return Err(Trouble::Changed);
                    }
                    check.drain(..n);
                    bytes::Buf::advance(&mut chunk, n);
                }
                if !std::mem::replace(&mut productive, true) {
                    // The receiver lives as long as the transfer.
                    let _ = self.productive.send(());
                }
                match &mut unpack {
                    None if !self.job.limit.is_limited() => batch.push(chunk),
                    None => {
                        // In small steps, each to the disk at once: waiting must not hold back what has been paid for.
                        while !chunk.is_empty() {
                            let step = chunk.split_to(chunk.len().min(LIMITED_STEP));
                            self.job.limit.take(step.len()).await;
                            batch.push(step);
                            self.hand_over(id, &mut batch).await?;
                        }
                    }
                    Some(decoder) => {
                        for step in chunk.chunks(UNPACK_STEP) {
                            self.job.limit.take(step.len()).await;
                            std::io::Write::write_all(decoder, step)
                                .map_err(|_| EngineError::broken("the compressed file is damaged"))?;
                            batch.push(Bytes::from(std::mem::take(decoder.get_mut())));
                            if batch.len >= BATCH {
                                self.hand_over(id, &mut batch).await?;
                            }
                        }
                    }
                }
            } else if heard.elapsed() >= self.net.options().patience {
                break Err(answer.silence());
            }
            let left = lock(self.map).left(id);
            if batch.len >= BATCH || batch.age() >= BATCH_AGE || batch.len as u64 >= left {
                self.hand_over(id, &mut batch).await?;
                // Nothing left: go on where this answer goes on, if nobody else has that.
                if lock(self.map).left(id) == 0 && !(extends && lock(self.map).extend(id, MAX_RANGE)) {
                    break Ok(false);
                }
            }
        };
        if let Some(mut decoder) = unpack.filter(|_| matches!(ended, Ok(true))) {
            decoder.try_finish().map_err(|_| EngineError::broken("the compressed file is damaged"))?;
            batch.push(Bytes::from(std::mem::take(decoder.get_mut())));
        }
        self.hand_over(id, &mut batch).await?;
        match ended {
            Err(error) => Err(error.into()),
            Ok(false) => {
                // All bytes came but the end was not seen yet; reading it lets the connection serve the next range.
                if announced == Some(received) {
                    let _ = answer.poll().await;
                }
                Ok(())
            }
            Ok(true) if whole => self.ended(id),
            // Shorter than asked is legal for a range; the rest is claimed again.
            Ok(true) => Ok(()),
        }
    }

    /// The whole answer ended by itself: that is the size, or the transfer is broken.
    fn ended(&self, id: u32) -> Result<(), Trouble> {
        let mut map = lock(self.map);
        if map.total().is_none() {
            let at = self.handed.load(Ordering::Relaxed);
            map.close_at(at);
            drop(map);
            self.monitor.set_total(Some(at));
            return Ok(());
        }
        if map.left(id) > 0 {
            return Err(EngineError::broken("the server sent less than it announced").into());
        }
        Ok(())
    }

    async fn hand_over(&self, id: u32, batch: &mut BatchUp) -> Result<(), Trouble> {
        let chunks = std::mem::take(batch);
        if chunks.len == 0 {
            return Ok(());
        }
        // Room first: what is reserved must reach the disk, so nobody may be waiting in between.
        let room = self.writer.room(chunks.len).await?;
        let span = lock(self.map).reserve(id, chunks.len as u64, self.now());
        let Some(span) = span.filter(|span| span.0 < span.1) else { return Ok(()) };
        let granted = (span.1 - span.0) as usize;
        self.writer.write(span, chunks.first(granted), room)?;
        self.handed.fetch_add(granted as u64, Ordering::Relaxed);
        Ok(())
    }
}

/// A redirected address that stopped working may have expired while the original still leads somewhere.
fn is_expiry(error: &EngineError) -> bool {
    matches!(error, EngineError::LoginRequired { .. } | EngineError::Gone { .. })
}

/// Marks that the answer without an end flows.
struct Flowing<'a>(&'a AtomicBool);

impl<'a> Flowing<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Flowing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Bytes collected for one write.
#[derive(Default)]
struct BatchUp {
    chunks: Vec<Bytes>,
    len: usize,
    since: Option<Instant>,
}

impl BatchUp {
    fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        self.len += chunk.len();
        self.chunks.push(chunk);
    }

    fn age(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The first `n` bytes; the rest belongs to somebody else by now.
    fn first(self, n: usize) -> Vec<Bytes> {
        let mut left = n;
        let mut out = Vec::with_capacity(self.chunks.len());
        for mut chunk in self.chunks {
            chunk.truncate(left);
            left -= chunk.len();
            if !chunk.is_empty() {
                out.push(chunk);
            }
        }
        out
    }
}
