//! One try at a whole file: its connections' life.
//!
//! Owns slow start, ranges, stealing, retries, and the retreat to one connection. Never writes: see [`super::receive`].
//! Invariant: a connection takes a share from the first answer only after the server has served a range of this very
//! content, because what has been taken from that answer cannot be given back.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::time::MissedTickBehavior;
use url::Url;

use super::{Opening, Setback, Start, backoff};
use crate::answer::{self, Verdict};
use crate::monitor::{ConnectionGuard, Monitor};
use crate::net::{Answer, Lane, Net};
use crate::ranges::{RangeMap, Span};
use crate::source::Method;
use crate::writer::{Facts, SharedMap, Writer, WriterGone, lock};
use crate::{EngineError, Job};

/// Bytes per second beyond which another connection is not worth its cost.
const FAST_ENOUGH: f64 = 200e6;
/// How often it is considered whether another connection would pay.
const GROWTH_EVERY: Duration = Duration::from_millis(20);
/// Files smaller than this are not worth a second connection.
const MIN_PARALLEL: u64 = 2 * 1024 * 1024;
/// Smallest and largest range asked for at once.
const MIN_RANGE: u64 = 1024 * 1024;
pub(super) const MAX_RANGE: u64 = 16 * 1024 * 1024;

/// What ended a connection's work.
pub(super) enum Trouble {
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
pub(super) struct Transfer<'a> {
    pub(super) net: &'a Net,
    pub(super) job: &'a Job,
    pub(super) monitor: &'a Monitor,
    pub(super) writer: &'a Writer,
    pub(super) map: &'a Mutex<RangeMap>,
    facts: Facts,
    /// Where ranges are asked: the end of the redirects as long as it answers.
    url: Mutex<Url>,
    began: Instant,
    pub(super) handed: AtomicU64,
    /// The first answer, which has no end, still flows: whatever it brings is of one piece.
    pub(super) open_flows: AtomicBool,
    /// Answers that brought something and have not yet been followed by another connection.
    pub(super) productive: AtomicUsize,
    pub(super) parallel: bool,
    /// The server has served a range of this very content.
    proven: AtomicBool,
}

impl<'a> Transfer<'a> {
    /// `may_share` allows more than one connection.
    pub(super) fn new(
        (net, job, monitor): (&'a Net, &'a Job, &'a Monitor),
        writer: &'a Writer,
        map: &'a SharedMap,
        facts: Facts,
        start: &Start,
        may_share: bool,
    ) -> Self {
        let answer = match start {
            Start::Whole(answer) => Some(&**answer),
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
            productive: AtomicUsize::new(0),
            parallel,
            proven: AtomicBool::new(matches!(start, Start::Resume { .. })),
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Where to ask for ranges now.
    fn url(&self) -> Url {
        self.url.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// The redirected address expired; the original may lead to a fresh one.
    fn forget_redirect(&self) {
        *self.url.lock().unwrap_or_else(PoisonError::into_inner) = self.job.source.url.clone();
    }

    /// Starts connections while they pay, replaces those that fail, and decides when it is over.
    pub(super) async fn supervise(&self, start: Start) -> Result<(), Setback> {
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
        let mut connections = if self.parallel { self.job.connections.clamp(1, 64) as usize } else { 1 };
        let mut workers = FuturesUnordered::new();
        workers.push(self.work(0, Some(opening), Duration::ZERO));
        let mut next_id = 1;
        let (mut failures, mut mark) = (0_u32, 0_u64);
        let first = tokio::time::Instant::now() + GROWTH_EVERY;
        let mut growth = tokio::time::interval_at(first, GROWTH_EVERY);
        growth.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            let trouble = tokio::select! {
                Some(outcome) = workers.next() => match outcome {
                    Ok(()) if lock(self.map).is_handed_over() => return Ok(()),
                    Ok(()) => continue,
                    Err(trouble) => trouble,
                },
                _ = growth.tick(), if workers.len() < connections => {
                    for _ in 0..self.growth(workers.len(), connections) {
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
                    let retry = error.is_transient();
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

    /// How many connections to add: one for each that is productive, so 1, 2, 4, 8; none while the disk cannot keep up
    /// or the speed is beyond what networks limit. Then this machine is the bottleneck, and bytes that arrive in order
    /// are hashed from memory instead of being read again.
    fn growth(&self, now: usize, most: usize) -> usize {
        let rate = self.handed.load(Ordering::Relaxed) as f64 / self.began.elapsed().as_secs_f64();
        if self.writer.was_saturated() || rate > FAST_ENOUGH || lock(self.map).unclaimed() < MIN_RANGE {
            return 0;
        }
        let more = self.productive.load(Ordering::Relaxed).min(most.saturating_sub(now));
        self.productive.fetch_sub(more, Ordering::Relaxed);
        more
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
        let asked = self.url();
        let mut answer = self.net.ask(&self.job.source, &asked, Some(span), Lane::Own).await?;
        // Decided here, where it is known which address refused: several connections may meet it at once.
        if asked != self.job.source.url && answer.refusal().as_ref().is_some_and(is_expiry) {
            self.forget_redirect();
            answer = self.net.ask(&self.job.source, &self.job.source.url, Some(span), Lane::Own).await?;
        }
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
}

/// A redirected address that stopped working may have expired while the original still leads somewhere.
fn is_expiry(error: &EngineError) -> bool {
    matches!(error, EngineError::LoginRequired { .. } | EngineError::Gone { .. })
}
