//! One try at a whole file: how many connections work on it, and on what.
//!
//! Owns slow start, the replacement of connections that fail or are not worth keeping, learned caps, mirrors, and the
//! retreat to one connection. Never asks (see [`super::worker`]) and never writes (see [`super::receive`]). Invariant:
//! as long as a byte is missing there is a connection at work on it, or the try has ended with a reason.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use futures_util::StreamExt;
use futures_util::stream::FuturesUnordered;
use tokio::sync::Notify;

use super::origin::Origins;
use super::pace::{Fault, Pace, Sample};
use super::worker::{MIN_RANGE, Trouble, Worker};
use super::{LONGEST_WAIT, MAX_TURNS, Opening, Setback, Start, ask_patiently, backoff, is_cap, reopen};
use crate::answer::{self, Validators, Verdict};
use crate::monitor::Monitor;
use crate::net::Net;
use crate::ranges::{RangeMap, Span};
use crate::source::Method;
use crate::writer::{Facts, SharedMap, Writer, lock};
use crate::{EngineError, Job};

/// Bytes per second beyond which another connection is not worth its cost.
const FAST_ENOUGH: f64 = 200e6;
/// How often it is considered whether another connection would pay, at first and later.
const GROWTH_EVERY: Duration = Duration::from_millis(2);
const CARE_EVERY: Duration = Duration::from_millis(50);
/// How long a file is young.
const YOUTH: Duration = Duration::from_millis(300);
/// Up to this many connections are taken without proof that they pay; what proof takes would cost more.
const CHEAP: usize = 8;
/// More than those only when the last ones raised the speed this much, seen over so long.
const PAYS: f64 = 1.1;
const PROOF: Duration = Duration::from_millis(300);
/// Under a speed limit another connection has to prove that it is needed: for so long the limit did not hold anybody.
const UNHELD: Duration = Duration::from_millis(500);
/// Wait before a server that refused a connection is asked for another.
const REFUSED_AGAIN: Duration = Duration::from_secs(3);
/// Files smaller than this are not worth a second connection.
const MIN_PARALLEL: u64 = 2 * 1024 * 1024;
/// Wait before the place of a connection that broke after it had worked is filled again.
const QUICKLY: Duration = Duration::from_millis(20);

/// One try at the whole file.
pub(super) struct Transfer<'a> {
    pub(super) net: &'a Net,
    pub(super) job: &'a Job,
    pub(super) monitor: &'a Monitor,
    pub(super) writer: &'a Writer,
    pub(super) map: &'a Mutex<RangeMap>,
    pub(super) facts: Facts,
    pub(super) origins: Origins,
    /// The file in the making, to compare what servers send with what is there.
    pub(super) file: File,
    began: Instant,
    /// Usual time until the head of an answer, in microseconds.
    delay: AtomicU64,
    /// When the speed limit last held a connection back, in milliseconds.
    held_at: AtomicU64,
    pub(super) handed: AtomicU64,
    /// A connection has brought its first bytes.
    pub(super) news: Notify,
    /// More than one connection has brought something.
    pub(super) shared: AtomicBool,
    /// The first answer, which has no end, still flows: whatever it brings is of one piece.
    pub(super) open_flows: AtomicBool,
    pub(super) parallel: bool,
}

/// How many connections there are and may be.
struct Growth {
    most: usize,
    /// What the caller allows; tried again after a refusal, at this time.
    allowed: usize,
    again: Option<Duration>,
    /// Connections beyond those that work that were refused.
    refusals: u32,
    /// Times the only connection gave way to those of other downloads.
    turns: u32,
    /// When and at which speed connections were added last.
    last: Option<(Duration, f64)>,
}

impl<'a> Transfer<'a> {
    /// `may_share` allows more than one connection. `file` is what the writer writes.
    pub(super) fn new(
        (net, job, monitor): (&'a Net, &'a Job, &'a Monitor),
        (writer, file): (&'a Writer, File),
        map: &'a SharedMap,
        facts: Facts,
        start: &Start,
        may_share: bool,
    ) -> Self {
        let (answer, first) = match start {
            Start::Whole { answer, asked } => (Some(&**answer), asked.clone()),
            Start::Resume { opening, asked, .. } => (Some(&opening.answer), asked.clone()),
            Start::Complete { .. } => (None, job.source.url.clone()),
        };
        let parallel = may_share
            && job.source.method == Method::Get
            && facts.total.is_some_and(|total| total >= MIN_PARALLEL)
            && answer.is_some_and(|answer| !answer::refuses_ranges(&answer.headers));
        let reached = answer.map_or_else(|| first.clone(), |answer| answer.url.clone());
        let proven = matches!(start, Start::Resume { proven: true, .. }).then(|| facts.validators.clone());
        let others: Vec<_> = std::iter::once(job.source.url.clone()).chain(job.mirrors.clone()).collect();
        Self {
            net,
            job,
            monitor,
            writer,
            map,
            facts,
            origins: Origins::new(first, reached, proven, if parallel { &others } else { &[] }),
            file,
            began: Instant::now(),
            delay: AtomicU64::new(0),
            held_at: AtomicU64::new(0),
            handed: AtomicU64::new(0),
            news: Notify::new(),
            shared: AtomicBool::new(false),
            open_flows: AtomicBool::new(false),
            parallel,
        }
    }

    pub(super) fn now(&self) -> Duration {
        self.began.elapsed()
    }

    /// Usual time until the head of an answer.
    pub(super) fn delay(&self) -> Duration {
        Duration::from_micros(self.delay.load(Ordering::Relaxed))
    }

    pub(super) fn note_delay(&self, took: Duration) {
        let took = took.as_micros() as u64;
        let before = self.delay.load(Ordering::Relaxed);
        self.delay.store(if before == 0 { took } else { (before * 3 + took) / 4 }, Ordering::Relaxed);
    }

    /// Starts connections while they pay, replaces those that fail, and decides when it is over.
    pub(super) async fn supervise(&self, start: Start) -> Result<(), Setback> {
        let opening = match start {
            Start::Complete { .. } => return Ok(()),
            Start::Whole { answer, .. } => {
                lock(self.map).claim_open(0, self.now());
                Opening { answer: *answer, check: Vec::new(), at: 0, whole: true, extends: true }
            }
            Start::Resume { opening, .. } => {
                // The first hole: where the answer continues.
                let claim = lock(self.map).claim_open(0, self.now());
                debug_assert_eq!(claim.map(|span| span.0), Some(opening.at));
                *opening
            }
        };
        let most = if self.parallel { self.job.connections.clamp(1, 64) as usize } else { 1 };
        let mut growth = Growth { most, allowed: most, again: None, refusals: 0, turns: 0, last: None };
        let mut pace = Pace::default();
        let first = Worker::new(0, 0);
        first.begins();
        let mut alive = vec![Arc::clone(&first)];
        let mut workers = FuturesUnordered::new();
        workers.push(self.work(first, Some(opening), Duration::ZERO));
        let mut next_id = 1;
        let (mut failures, mut mark) = (0_u32, 0_u64);
        let mut tick = tokio::time::Instant::now() + GROWTH_EVERY;
        loop {
            // Who is to be started after this round, and after which pause.
            let mut hired = Vec::new();
            tokio::select! {
                Some((worker, outcome)) = workers.next() => {
                    alive.retain(|other| other.id != worker.id);
                    match outcome {
                        Ok(()) if lock(self.map).is_handed_over() => return Ok(()),
                        Ok(()) => {}
                        Err(trouble) => {
                            let handed = self.handed.load(Ordering::Relaxed);
                            // Several that break at the same moment have all worked.
                            let progress = handed > mark || worker.received.load(Ordering::Relaxed) > 0;
                            failures = if progress { 1 } else { failures + 1 };
                            mark = handed;
                            hired.extend(self.replace(&worker, trouble, alive.len(), failures, &mut growth)?);
                        }
                    }
                }
                // The newest have shown that they work. The very first is watched for a moment: it may be fast enough.
                () = self.news.notified(), if self.parallel && alive.len() > 1 => tick = tokio::time::Instant::now(),
                () = tokio::time::sleep_until(tick), if self.parallel => {
                    let now = self.now();
                    let samples: Vec<Sample> = {
                        let map = lock(self.map);
                        alive.iter().map(|worker| worker.sample(map.left(worker.id))).collect()
                    };
                    pace.note(now, &samples);
                    if self.may_judge()
                        && let Some((id, fault)) = pace.judge(now, &samples)
                        && let Some(worker) = alive.iter().find(|worker| worker.id == id)
                    {
                        tracing::debug!(id, ?fault, "a connection is not worth keeping");
                        self.origins.get(worker.origin).strike();
                        worker.dropped.cancel();
                        if fault == Fault::Mute {
                            // More connections than the server cares to serve.
                            growth.most = alive.len().saturating_sub(1).max(1);
                        } else {
                            pace.replaces(next_id);
                            hired.push(Duration::ZERO);
                        }
                    }
                    // As many again as there are, once all of them have brought something: 1, 2, 4, 8. Not before the
                    // speed is known: it may be all that this machine can take.
                    if pace.knows_rate() && samples.iter().all(|sample| sample.received > 0) {
                        hired.extend(vec![Duration::ZERO; self.growth(alive.len(), &mut growth, pace.rate())]);
                    }
                    let young = now < YOUTH && alive.len() < growth.most;
                    tick = tokio::time::Instant::now() + if young { GROWTH_EVERY } else { CARE_EVERY };
                }
            }
            for pause in hired {
                // A mirror is of use only once there is something to compare it with.
                let comparable = lock(self.map).done().len() > 0;
                let Some(origin) = self.origins.choose(|index| index == 0 || comparable) else {
                    if alive.is_empty() {
                        return Err(Setback::Anew(EngineError::broken("no server sends the rest")));
                    }
                    continue;
                };
                let worker = Worker::new(next_id, origin);
                next_id += 1;
                alive.push(Arc::clone(&worker));
                workers.push(self.work(worker, None, pause));
            }
        }
    }

    /// The speed limit, not the network, decides how fast the connections are: none of them is slow by itself, and what
    /// is dropped or taken from one has often been sent already.
    pub(super) fn held_back(&self) -> bool {
        if !self.job.limit.is_limited() {
            return false;
        }
        let now = self.now().as_millis() as u64;
        if self.job.limit.holds() {
            self.held_at.store(now, Ordering::Relaxed);
        }
        now.saturating_sub(self.held_at.load(Ordering::Relaxed)) < UNHELD.as_millis() as u64
    }

    /// Dropping a connection is right only when another can go on where it was, and when it is not this machine that
    /// holds it back.
    fn may_judge(&self) -> bool {
        self.origins.get(0).validators().is_some() && !self.held_back() && !self.writer.is_saturated()
    }

    /// How many connections to add: as many as there are, but beyond [`CHEAP`] only while they pay; none while the disk
    /// cannot keep up or the speed is beyond what networks limit. Then this machine is the bottleneck, and bytes that
    /// arrive in order are hashed from memory instead of being read again.
    fn growth(&self, count: usize, growth: &mut Growth, rate: f64) -> usize {
        if growth.again.is_some_and(|again| again <= self.now()) {
            growth.again = None;
            growth.most = growth.allowed;
        }
        if count >= growth.most
            || rate > FAST_ENOUGH
            || self.writer.was_saturated()
            || lock(self.map).unclaimed() < MIN_RANGE
            || self.held_back()
            || !self.net.options().hosts.has_room(&self.origins.get(0).url())
        {
            return 0;
        }
        let now = self.now();
        if count >= CHEAP
            && let Some((at, before)) = growth.last
            && (now.saturating_sub(at) < PROOF || rate < PAYS * before)
        {
            return 0;
        }
        let most = if count < CHEAP { growth.most.min(CHEAP) } else { growth.most };
        let more = count.min(most - count);
        if more > 0 {
            growth.last = Some((now, rate));
        }
        more
    }

    /// What follows from a connection's end: how long to wait before another takes its place, or none when it needs no
    /// successor. `others` are still at work.
    fn replace(
        &self,
        worker: &Worker,
        trouble: Trouble,
        others: usize,
        failures: u32,
        growth: &mut Growth,
    ) -> Result<Option<Duration>, Setback> {
        let alone = others == 0;
        let origin = self.origins.get(worker.origin);
        let elsewhere = self.origins.has_other(worker.origin);
        let retries = self.net.options().retries;
        match trouble {
            Trouble::WriterGone => {
                Err(Setback::Fail(EngineError::Internal("the disk writer ended".to_owned())))
            }
            Trouble::Failed { error: error @ EngineError::Internal(_), .. } => Err(Setback::Fail(error)),
            Trouble::Failed { error: error @ EngineError::OwnAddress, .. } if !elsewhere => {
                Err(Setback::Fail(error))
            }
            // Hired for already, or one too many.
            Trouble::Replaced => Ok(alone.then_some(Duration::ZERO)),
            Trouble::Refused(reason) => {
                tracing::debug!(reason, "a range was refused");
                if elsewhere {
                    origin.bury();
                    return Ok(Some(Duration::ZERO));
                }
                growth.most = others.max(1);
                if alone {
                    return Err(Setback::Anew(EngineError::broken(format!("the server sent {reason}"))));
                }
                Ok(None)
            }
            Trouble::Changed => {
                if worker.origin != 0 {
                    // A mirror of something else.
                    tracing::debug!("a mirror has other content");
                    origin.bury();
                    return Ok(Some(Duration::ZERO));
                }
                growth.most = others.max(1);
                if !self.open_flows.load(Ordering::Relaxed) {
                    return Err(Setback::Anew(EngineError::ContentChanged));
                }
                Ok(None)
            }
            Trouble::Failed { error, wait } => {
                // Where a range was served before, a refusal is more often about their number than about who asks.
                let transient = error.is_transient() || (is_cap(&error) && origin.validators().is_some());
                let exhausted = failures > retries;
                if elsewhere {
                    origin.strike();
                    if !transient || exhausted {
                        origin.bury();
                    }
                    return Ok(Some(if failures > 1 { backoff(self.net, failures) } else { Duration::ZERO }));
                }
                let had_worked = worker.received.load(Ordering::Relaxed) > 0;
                let soon = || if failures == 1 && had_worked { QUICKLY } else { backoff(self.net, failures) };
                let hosts = &self.net.options().hosts;
                if alone && is_cap(&error) && hosts.serves_us(&origin.url()) && growth.turns < MAX_TURNS {
                    // Other downloads have the connections it bears: this one takes its turn.
                    growth.turns += 1;
                    if growth.turns > 1 {
                        hosts.refused(&origin.url());
                    }
                    let pause = wait.filter(|wait| *wait <= LONGEST_WAIT);
                    return Ok(Some(pause.unwrap_or_else(|| backoff(self.net, growth.turns))));
                }
                if alone {
                    // Without ranges the next try starts at zero, which is another kind of try.
                    if transient && !exhausted && !self.can_continue() {
                        return Err(Setback::Anew(error));
                    }
                    let long = wait.filter(|wait| *wait > LONGEST_WAIT);
                    if let (Some(wait), EngineError::HttpStatus { status }, true) = (long, &error, transient)
                    {
                        return Err(Setback::Fail(EngineError::Busy { status: *status, wait }));
                    }
                    if !transient || exhausted {
                        return Err(Setback::Fail(error));
                    }
                    return Ok(Some(wait.filter(|wait| *wait <= LONGEST_WAIT).unwrap_or_else(soon)));
                }
                if is_cap(&error) || !transient || exhausted {
                    // The others work: this server wants fewer connections, for now.
                    growth.most = others.max(1);
                    growth.refusals += 1;
                    growth.again = Some(self.now() + REFUSED_AGAIN * growth.refusals);
                    // Once may be chance. Then it is known, and not only here.
                    if is_cap(&error) && growth.refusals > 1 {
                        growth.again = None;
                        let cap = self.net.options().hosts.refused(&origin.url());
                        growth.most = growth.most.min(cap as usize);
                    }
                    return Ok(None);
                }
                Ok(Some(soon()))
            }
        }
    }

    /// Fetches some of what is on disk again when nothing else vouches for its being of one piece: it came from several
    /// places, or over several connections from a server that says nothing that tells one state from another.
    pub(super) async fn confirm(&self) -> Result<(), Setback> {
        let served = self.origins.served();
        let vague =
            self.parallel && self.facts.validators.are_missing() && self.shared.load(Ordering::Relaxed);
        let is_known = self.job.checksum.is_some() || self.facts.stated.is_some();
        if is_known || (served.len() < 2 && !vague) {
            return Ok(());
        }
        let spots: Vec<Span> = served.iter().flat_map(|spans| reopen::sample_spans(spans)).collect();
        while !lock(self.map).is_complete() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        for span in spots {
            let (mut answer, _) =
                ask_patiently(self.net, self.job, Some(span), None).await.map_err(Setback::Fail)?;
            let mut there = vec![0; (span.1 - span.0) as usize];
            self.file
                .read_exact_at(&mut there, span.0)
                .map_err(|error| Setback::Fail(EngineError::disk(error)))?;
            let same = answer.status == 206
                && self.facts.total.is_some_and(|total| {
                    let verdict = answer::judge(&answer.headers, span, total, &Validators::default());
                    matches!(verdict, Verdict::Fits { span: got, .. } if got == span)
                })
                && answer.whole(there.len()).await.map_err(Setback::Fail)? == there;
            if !same {
                return Err(Setback::Anew(EngineError::ContentChanged));
            }
        }
        Ok(())
    }

    /// A broken answer can be continued by a range.
    pub(super) fn can_continue(&self) -> bool {
        self.job.source.method == Method::Get && self.facts.total.is_some()
    }
}
