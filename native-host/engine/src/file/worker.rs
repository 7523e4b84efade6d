//! One connection's life: claim a range, ask for it, take it in, and again.
//!
//! Owns what is asked of which place and how the head of an answer is judged. Never decides how many connections there
//! are: see [`super::transfer`]. Invariant: a connection takes a share from the first answer only after a place has
//! served a range of this very content, because what has been taken from that answer cannot be given back.

use std::ops::ControlFlow;
use std::os::unix::fs::FileExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;

use super::origin::Origin;
use super::pace::Sample;
use super::transfer::Transfer;
use super::{OVERLAP, Opening};
use crate::EngineError;
use crate::answer::{self, Agreement, Validators, Verdict};
use crate::monitor::ConnectionGuard;
use crate::net::{Answer, Lane};
use crate::ranges::{Able, Span};
use crate::writer::{WriterGone, lock};

/// Smallest and largest range asked for at once.
pub(super) const MIN_RANGE: u64 = 1024 * 1024;
pub(super) const MAX_RANGE: u64 = 16 * 1024 * 1024;
/// Seconds a range is meant to last: shorter ones lose the time until each answer, longer ones leave more to be hashed
/// at the end, because hashing goes by the order of the file.
const RANGE_TIME: f64 = 1.5;
/// How often a connection with nothing to do looks whether there is something.
const LOOK_AGAIN: Duration = Duration::from_millis(20);

/// What ended a connection's work.
pub(super) enum Trouble {
    /// The server does not do ranges, or not this one.
    Refused(&'static str),
    /// The content is no longer, or was never, the same.
    Changed,
    Failed {
        error: EngineError,
        wait: Option<Duration>,
    },
    /// Dropped for not being worth keeping.
    Replaced,
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

/// One connection, seen from the outside.
#[derive(Debug)]
pub(super) struct Worker {
    pub(super) id: u32,
    /// Which of the origins it asks.
    pub(super) origin: usize,
    /// It is to make room for another.
    pub(super) dropped: CancellationToken,
    pub(super) received: AtomicU64,
    busy: AtomicBool,
    asked: AtomicU64,
}

impl Worker {
    pub(super) fn new(id: u32, origin: usize) -> Arc<Self> {
        Arc::new(Self {
            id,
            origin,
            dropped: CancellationToken::new(),
            received: AtomicU64::new(0),
            busy: AtomicBool::new(false),
            asked: AtomicU64::new(0),
        })
    }

    pub(super) fn sample(&self, left: u64) -> Sample {
        Sample {
            id: self.id,
            busy: self.busy.load(Ordering::Relaxed),
            asked: self.asked.load(Ordering::Relaxed),
            received: self.received.load(Ordering::Relaxed),
            left,
        }
    }

    pub(super) fn begins(&self) {
        self.asked.fetch_add(1, Ordering::Relaxed);
        self.busy.store(true, Ordering::Relaxed);
    }

    fn rests(&self) {
        self.busy.store(false, Ordering::Relaxed);
    }
}

impl Transfer<'_> {
    /// Fetches range after range until none is left.
    pub(super) async fn work(
        &self,
        worker: Arc<Worker>,
        mut opening: Option<Opening>,
        pause: Duration,
    ) -> (Arc<Worker>, Result<(), Trouble>) {
        self.origins.enter(worker.origin);
        let result = loop {
            let result = match opening.take() {
                Some(opening) => self.receive(&worker, opening).await,
                None => {
                    let next = tokio::select! {
                        biased;
                        () = worker.dropped.cancelled() => Err(Trouble::Replaced),
                        next = self.open_next(&worker, pause) => next,
                    };
                    match next {
                        Ok(Some(opening)) => self.receive(&worker, opening).await,
                        Ok(None) => break Ok(()),
                        Err(trouble) => Err(trouble),
                    }
                }
            };
            worker.rests();
            lock(self.map).release(worker.id);
            if result.is_err() {
                break result;
            }
        };
        worker.rests();
        lock(self.map).release(worker.id);
        self.origins.leave(worker.origin);
        (worker, result)
    }

    /// Claims, steals or doubles a range and asks for it. `None` when everything is handed over.
    async fn open_next(&self, worker: &Worker, pause: Duration) -> Result<Option<Opening>, Trouble> {
        if worker.asked.load(Ordering::Relaxed) == 0 && !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
        if lock(self.map).is_handed_over() {
            return Ok(None);
        }
        let origin = self.origins.get(worker.origin);
        if origin.validators().is_none() {
            self.prove(worker, origin).await?;
        }
        let id = worker.id;
        let span = loop {
            {
                let mut map = lock(self.map);
                if map.is_handed_over() {
                    return Ok(None);
                }
                let share = map.unclaimed() / u64::from(self.job.connections.max(1));
                let some_time = (map.rate(id) * RANGE_TIME) as u64;
                let want = some_time.clamp(2 * MIN_RANGE, MAX_RANGE).min(share.max(MIN_RANGE));
                let now = self.now();
                let able = Able { rate: map.rate(id), delay: self.delay().as_secs_f64() };
                let next = map.claim(id, want, now);
                let next = if next.is_none() && !self.held_back() {
                    map.steal(id, able, now).or_else(|| map.hedge(id, able, now))
                } else {
                    next
                };
                if let Some(span) = next {
                    break span;
                }
            }
            worker.rests();
            tokio::time::sleep(LOOK_AGAIN).await;
        };
        worker.begins();
        let began = Instant::now();
        let answer = self.ask(origin, span, origin.validators().unwrap_or_default()).await?;
        self.note_delay(began.elapsed());
        Ok(Some(Opening { answer, check: Vec::new(), at: span.0, whole: false, extends: false }))
    }

    /// Shows that a place serves ranges of this very content. Only then may it take a share from the first answer: what
    /// has been taken from that one cannot be given back.
    async fn prove(&self, worker: &Worker, origin: &Origin) -> Result<(), Trouble> {
        let Some(total) = self.facts.total else { return Err(Trouble::Refused("a range of unknown size")) };
        if worker.origin == 0 && self.facts.validators.are_strong() {
            // The place of the first answer: a strong tag speaks for every byte, so the last one alone shows it.
            worker.begins();
            let validators = self.facts.validators.clone();
            let mut answer = self.ask(origin, (total - 1, total), validators.clone()).await?;
            origin.prove(validators);
            // Reading to the end lets the connection serve the next range.
            while let Ok(ControlFlow::Continue(Some(_))) = answer.poll().await {}
            return Ok(());
        }
        let (span, known) = self.known_bytes(total).await?;
        worker.begins();
        let validators =
            if worker.origin == 0 { self.facts.validators.clone() } else { Validators::default() };
        let mut answer = self.ask(origin, span, validators).await?;
        let mut at = 0;
        while at < known.len() {
            let Some(chunk) = answer.chunk().await? else { break };
            let n = chunk.len().min(known.len() - at);
            if chunk[..n] != known[at..at + n] {
                return Err(Trouble::Changed);
            }
            at += n;
        }
        if at < known.len() {
            return Err(EngineError::broken("the server sent less than was asked").into());
        }
        origin.prove(match worker.origin {
            0 => self.facts.validators.clone(),
            _ => Validators::read(&answer.headers),
        });
        let _ = answer.poll().await;
        Ok(())
    }

    /// Some bytes that are on disk, to compare another place's with; waits until there are some.
    async fn known_bytes(&self, total: u64) -> Result<(Span, Vec<u8>), Trouble> {
        loop {
            let spans = lock(self.map).done().as_slice().to_vec();
            let largest = spans.into_iter().max_by_key(|span| (span.1 - span.0).min(OVERLAP));
            if let Some((start, end)) = largest.filter(|(start, end)| end - start >= OVERLAP.min(total)) {
                let mut bytes = vec![0; (end - start).min(OVERLAP) as usize];
                self.file.read_exact_at(&mut bytes, start).map_err(EngineError::disk)?;
                return Ok(((start, start + bytes.len() as u64), bytes));
            }
            if lock(self.map).is_handed_over() {
                return Err(Trouble::Refused("nothing is left to fetch"));
            }
            tokio::time::sleep(LOOK_AGAIN).await;
        }
    }

    /// Asks a place for a range and judges the head of the answer.
    async fn ask(&self, origin: &Origin, span: Span, known: Validators) -> Result<Answer, Trouble> {
        let _open = ConnectionGuard::new(self.monitor);
        let Some(total) = self.facts.total else { return Err(Trouble::Refused("a range of unknown size")) };
        let asked = origin.url();
        let mut answer = self.net.ask(&self.job.source, &asked, Some(span), Lane::Own).await?;
        // Decided here, where it is known which address refused: several connections may meet it at once.
        if asked != origin.asked && answer.refusal().as_ref().is_some_and(is_expiry) {
            drop(answer);
            origin.forget_redirect();
            answer = self.net.ask(&self.job.source, &origin.asked, Some(span), Lane::Own).await?;
        }
        match answer.status {
            206 => match answer::judge(&answer.headers, span, total, &known) {
                // The first answer said what tells one state from another, and this one says nothing comparable.
                Verdict::Fits { agreement: Agreement::Unknown, .. } if !known.are_missing() => {
                    Err(Trouble::Changed)
                }
                Verdict::Fits { .. } => {
                    origin.reached(&answer.url);
                    Ok(answer)
                }
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
}

/// A redirected address that stopped working may have expired while the original still leads somewhere.
fn is_expiry(error: &EngineError) -> bool {
    matches!(
        error,
        EngineError::LoginRequired { .. } | EngineError::LoginRefused { .. } | EngineError::Gone { .. }
    )
}
