//! The queue's one task: holds every unfinished row and every running job, and takes one thing at a time.
//!
//! Owns the rows in memory and the one way they change. Invariant: whatever happens is handled to its end before the
//! next thing is looked at.

mod clock;
mod commands;
mod jobs;

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use weir_engine::{Engine, Phase, RateLimit, Snapshot};
use weir_protocol::{Download, DownloadId, DownloadStatus, Event};

use super::job::{Job, Report};
use super::transition;
use super::{Command, Limits, QueueError};
use crate::bus::Bus;
use crate::store::{Record, Store, percent};
pub(crate) use clock::{moment, now};

/// How many finished rows a snapshot carries besides all unfinished ones.
const SNAPSHOT_HISTORY: u32 = 500;

/// How often the figures of running rows reach the store. The engine's own journal is what resuming goes by; this
/// only keeps the list honest after a crash.
const SAVE_EVERY: Duration = Duration::from_secs(2);

pub(super) struct Actor {
    store: Store,
    engine: Engine,
    limits: Limits,
    bus: Bus,
    /// Every row that is neither completed nor cancelled.
    rows: BTreeMap<DownloadId, Record>,
    /// Running jobs, and those that are ending after a pause or cancel.
    jobs: HashMap<DownloadId, Job>,
    reports: mpsc::UnboundedSender<Report>,
    inbox: mpsc::UnboundedReceiver<Report>,
    last_saved: tokio::time::Instant,
    /// Changes the store has refused so far, a full disk most likely; tried again at every tick.
    unsaved: BTreeMap<DownloadId, Record>,
    /// Above the limits of single downloads.
    global_limit: Arc<RateLimit>,
    /// Rows whose job was cut off before it could tell its name: what it left is looked for by its address.
    orphaned: HashSet<DownloadId>,
    /// Quiet hours say that nothing runs.
    held: bool,
    /// Servers to which no way led, and when that was seen; what comes from there waits.
    cut_off: HashMap<String, tokio::time::Instant>,
}

impl Actor {
    pub(super) async fn load(
        store: Store,
        engine: Engine,
        limits: Limits,
        bus: Bus,
    ) -> Result<Self, QueueError> {
        let (reports, inbox) = mpsc::unbounded_channel();
        let mut rows = BTreeMap::new();
        let mut orphaned = HashSet::new();
        for mut record in store.unfinished().await? {
            let status = transition::at_start(record.download.status);
            if record.download.status.is_running() && !record.settled {
                orphaned.insert(record.download.id);
            }
            if status != record.download.status {
                record.download.status = status;
                store.update(record.clone()).await?;
            }
            rows.insert(record.download.id, record);
        }
        orphaned.retain(|id| !may_be_anothers(&rows, *id));
        Ok(Self {
            store,
            engine,
            bus,
            rows,
            jobs: HashMap::new(),
            reports,
            inbox,
            last_saved: tokio::time::Instant::now(),
            unsaved: BTreeMap::new(),
            global_limit: Arc::new(RateLimit::new(limits.rate_limit)),
            limits,
            orphaned,
            held: false,
            cut_off: HashMap::new(),
        })
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = ticks(self.limits.progress_hz);
        self.schedule().await;
        loop {
            let alarm = self.alarm();
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop(reply)) => {
                        self.stop().await;
                        let _ = reply.send(Ok(()));
                        return;
                    }
                    Some(Command::Configure(limits, engine, reply)) => {
                        tick = ticks(limits.progress_hz);
                        (self.limits, self.engine) = (*limits, engine);
                        self.schedule().await;
                        let _ = reply.send(Ok(()));
                    }
                    Some(command) => self.obey(command).await,
                    None => return self.stop().await,
                },
                Some(report) = self.inbox.recv() => self.heed(report).await,
                // Nothing runs, nothing ticks: an idle daemon uses no CPU.
                _ = tick_when(&mut tick, !self.jobs.is_empty() || !self.unsaved.is_empty()) => self.tick().await,
                () = sleep_when(alarm) => self.schedule().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // A client that has gone does not need its answer.
        match command {
            Command::Add(record, reply) => drop(reply.send(self.add(*record).await)),
            Command::Act(id, act, reply) => drop(reply.send(self.act(id, act).await)),
            Command::Patch { id, patch, folder, reply } => {
                drop(reply.send(self.patch(id, *patch, folder).await));
            }
            Command::Move(id, target, reply) => drop(reply.send(self.relocate(id, target).await)),
            Command::Ranges(id, reply) => drop(reply.send(self.ranges(id).await)),
            Command::Delete { id, files, reply } => drop(reply.send(self.delete(id, files).await)),
            Command::Get(id, reply) => drop(reply.send(self.get(id).await)),
            Command::Growing(id, reply) => drop(reply.send(Ok(self.growing(id)))),
            Command::Refresh(rows, reply) => {
                let rows = rows.into_iter().map(|row| self.live(row)).collect();
                drop(reply.send(Ok(rows)));
            }
            Command::Subscribe(reply) => {
                let rows = self.snapshot().await;
                drop(reply.send(rows.map(|rows| self.bus.subscribe(rows))));
            }
            Command::Stop(_) | Command::Configure(..) => unreachable!("handled by run"),
        }
        self.schedule().await;
    }

    /// The row, from memory when it is unfinished, else from the store.
    async fn record(&self, id: DownloadId) -> Result<Record, QueueError> {
        match self.unsaved.get(&id).or_else(|| self.rows.get(&id)) {
            Some(record) => Ok(record.clone()),
            None => self.store.get(id).await?.ok_or(QueueError::NotFound(id)),
        }
    }

    async fn snapshot(&self) -> Result<Vec<Download>, QueueError> {
        let mut rows: Vec<Download> =
            self.rows.values().map(|record| self.live(record.download.clone())).collect();
        rows.extend(self.store.newest_finished(SNAPSHOT_HISTORY).await?);
        rows.sort_by_key(|row| std::cmp::Reverse(row.id));
        Ok(rows)
    }

    /// Store, memory, event: the one way a row changes. A command that cannot be stored is not carried out.
    async fn commit(&mut self, record: Record) -> Result<Download, QueueError> {
        self.store.update(record.clone()).await?;
        self.unsaved.remove(&record.download.id);
        Ok(self.apply(record))
    }

    /// Memory, then event.
    fn apply(&mut self, record: Record) -> Download {
        let download = record.download.clone();
        if matches!(download.status, DownloadStatus::Completed | DownloadStatus::Cancelled) {
            self.rows.remove(&download.id);
        } else {
            self.rows.insert(download.id, record);
        }
        self.announce(&download);
        download
    }

    /// The same for what has happened already: it holds whether or not the store takes it now.
    async fn record_fact(&mut self, record: Record) {
        let id = record.download.id;
        match self.store.update(record.clone()).await {
            Ok(()) => drop(self.unsaved.remove(&id)),
            Err(error) => {
                tracing::error!(id, %error, "a change could not be stored and is tried again");
                self.unsaved.insert(id, record.clone());
            }
        }
        self.apply(record);
    }

    async fn save_unsaved(&mut self) {
        for (id, record) in self.unsaved.clone() {
            if self.store.update(record).await.is_err() {
                return;
            }
            self.unsaved.remove(&id);
        }
    }

    fn announce(&self, download: &Download) {
        self.bus.send(&Event::Download { download: Box::new(self.live(download.clone())) });
    }

    /// A row with the figures of its job, when one runs.
    fn live(&self, mut download: Download) -> Download {
        if download.status.is_running()
            && let Some(job) = self.jobs.get(&download.id)
        {
            let snapshot = job.monitor.snapshot();
            apply_figures(&mut download, &snapshot);
            download.speed = job.meter.speed();
            download.eta = eta(job, &snapshot);
            download.connections = snapshot.connections;
        }
        download
    }

    /// Keeps the last figures of a job in the row before it leaves the running state.
    fn absorb_live(&self, download: &mut Download) {
        if download.status.is_running()
            && let Some(job) = self.jobs.get(&download.id)
        {
            apply_figures(download, &job.monitor.snapshot());
        }
    }
}

/// Another row of the same address and folder knows its partial by name: what is found by the address may be that one's.
fn may_be_anothers(rows: &BTreeMap<DownloadId, Record>, id: DownloadId) -> bool {
    let Some(row) = rows.get(&id) else { return true };
    rows.values().any(|other| {
        other.settled && other.download.url == row.download.url && other.directory == row.directory
    })
}

fn ticks(hz: f64) -> Interval {
    let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / hz));
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tick
}

/// After this time, or never.
async fn sleep_when(alarm: Option<Duration>) {
    match alarm {
        Some(alarm) => tokio::time::sleep(alarm).await,
        None => std::future::pending().await,
    }
}

/// The next tick, or never.
async fn tick_when(tick: &mut Interval, wanted: bool) {
    if wanted {
        tick.tick().await;
    } else {
        std::future::pending::<()>().await;
    }
}

/// Seconds left; of what goes on nobody knows.
fn eta(job: &Job, snapshot: &Snapshot) -> Option<u64> {
    if snapshot.live { None } else { job.meter.eta(snapshot.received, snapshot.total, snapshot.fraction) }
}

fn apply_figures(download: &mut Download, snapshot: &Snapshot) {
    download.received_bytes = snapshot.received;
    // What it was before holds until the server has answered.
    if snapshot.phase != Phase::Resolving {
        download.live = snapshot.live;
    }
    if snapshot.live {
        download.recorded_s = Some(snapshot.recorded.as_secs());
        download.progress = 0.0;
        return;
    }
    if snapshot.total.is_some() {
        download.total_bytes = snapshot.total;
    }
    download.progress = percent(snapshot.fraction);
}
