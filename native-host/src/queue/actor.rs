//! The queue's one task: holds every unfinished row and every running job, and takes one thing at a time.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::{Interval, MissedTickBehavior};
use weir_engine::{Engine, EngineError, Finished, Kind, Phase, RateLimit, Snapshot};
use weir_protocol::{
    Action, Download, DownloadId, DownloadPatch, DownloadStatus, ErrorInfo, Event, Progress,
};

use super::job::{self, Job, JobError, Report};
use super::transition::{self, Act};
use super::{Command, Growing, Limits, QueueError};
use crate::bus::Bus;
use crate::endpoint::hex;
use crate::failure;
use crate::store::{Record, RequestContext, Store};

/// How many finished rows a snapshot carries besides all unfinished ones.
const SNAPSHOT_HISTORY: u32 = 500;

/// How often the figures of running rows reach the store. The engine's own journal is what resuming goes by; this
/// only keeps the list honest after a crash.
const SAVE_EVERY: Duration = Duration::from_secs(2);

/// How long a stop waits for jobs to write their journals.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

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
        for mut record in store.unfinished().await? {
            let status = transition::at_start(record.download.status);
            if status != record.download.status {
                record.download.status = status;
                store.update(record.clone()).await?;
            }
            rows.insert(record.download.id, record);
        }
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
        })
    }

    pub(super) async fn run(mut self, mut commands: mpsc::Receiver<Command>) {
        let mut tick = tokio::time::interval(Duration::from_secs_f64(1.0 / self.limits.progress_hz));
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        self.schedule().await;
        loop {
            tokio::select! {
                command = commands.recv() => match command {
                    Some(Command::Stop(reply)) => {
                        self.stop().await;
                        let _ = reply.send(Ok(()));
                        return;
                    }
                    Some(command) => self.obey(command).await,
                    None => return self.stop().await,
                },
                Some(report) = self.inbox.recv() => self.heed(report).await,
                // Nothing runs, nothing ticks: an idle daemon uses no CPU.
                _ = tick_when(&mut tick, !self.jobs.is_empty() || !self.unsaved.is_empty()) => self.tick().await,
            }
        }
    }

    async fn obey(&mut self, command: Command) {
        // A client that has gone does not need its answer.
        match command {
            Command::Add(record, reply) => drop(reply.send(self.add(*record).await)),
            Command::Act(id, act, reply) => drop(reply.send(self.act(id, act).await)),
            Command::Patch(id, patch, reply) => drop(reply.send(self.patch(id, *patch).await)),
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
            Command::Stop(_) => unreachable!("handled by run"),
        }
        self.schedule().await;
    }

    async fn add(&mut self, record: Record) -> Result<Download, QueueError> {
        let record = self.store.insert(record).await?;
        let download = record.download.clone();
        self.rows.insert(download.id, record);
        self.announce(&download);
        Ok(download)
    }

    async fn act(&mut self, id: DownloadId, act: Act) -> Result<Download, QueueError> {
        let mut record = self.record(id).await?;
        let status = record.download.status;
        let Some(next) = transition::after(status, act) else {
            return Err(QueueError::Illegal { act: act.as_str(), status });
        };
        self.absorb_live(&mut record.download);
        record.download.status = next;
        match act {
            Act::Pause | Act::Resume => {}
            Act::Cancel => record.download.error = None,
            Act::Retry => {
                let error = record.download.error.take();
                let worthless = error.is_some_and(|error| error.action == Some(Action::StartOver));
                if worthless && record.settled {
                    discard(record.directory.clone(), record.download.filename.clone()).await;
                }
                if worthless || status == DownloadStatus::Cancelled {
                    // The partial files are gone, so nothing of what was settled holds any more.
                    record.settled = false;
                    record.download.received_bytes = 0;
                    record.download.progress = 0.0;
                    record.download.total_bytes = None;
                }
            }
        }
        let download = self.commit(record).await?;
        if let Some(job) = self.jobs.get_mut(&id)
            && matches!(act, Act::Pause | Act::Cancel)
        {
            job.stop.cancel();
            job.discard |= act == Act::Cancel;
        } else if act == Act::Cancel {
            self.remove_partial(id).await;
        }
        Ok(self.live(download))
    }

    async fn patch(&mut self, id: DownloadId, patch: DownloadPatch) -> Result<Download, QueueError> {
        let mut record = self.record(id).await?;
        let status = record.download.status;
        let busy = status.is_running() || self.jobs.contains_key(&id) || status == DownloadStatus::Completed;
        if let Some(url) = patch.url {
            if busy {
                return Err(QueueError::Illegal { act: "change the address of", status });
            }
            record.download.url = url;
        }
        if let Some(filename) = patch.filename {
            if busy || record.settled {
                return Err(QueueError::Illegal { act: "rename", status });
            }
            record.set_filename(&weir_media::filename::safe(&filename));
            record.request.filename = Some(record.download.filename.clone());
        }
        if let Some(start_at) = patch.start_at {
            if busy {
                return Err(QueueError::Illegal { act: "set the start of", status });
            }
            record.download.start_at = start_at;
        }
        if let Some(category) = patch.category {
            record.download.category = category;
        }
        if let Some(priority) = patch.priority {
            record.download.priority = priority;
        }
        if let Some(limit) = patch.rate_limit {
            record.download.rate_limit = (limit > 0).then_some(limit);
            if let Some(job) = self.jobs.get(&id) {
                job.limit.set(limit);
            }
        }
        let download = self.commit(record).await?;
        Ok(self.live(download))
    }

    async fn delete(&mut self, id: DownloadId, files: bool) -> Result<(), QueueError> {
        let record = self.record(id).await?;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stop.cancel();
            job.discard = true;
        } else if !matches!(record.download.status, DownloadStatus::Completed | DownloadStatus::Cancelled) {
            // Those of a cancelled one are gone; what has their name now is another's.
            self.remove_partial(id).await;
        }
        self.store.delete(id).await?;
        self.unsaved.remove(&id);
        self.rows.remove(&id);
        if files && record.download.status == DownloadStatus::Completed {
            let path = record.directory.join(&record.download.filename);
            if let Err(error) = tokio::fs::remove_file(&path).await
                && error.kind() != std::io::ErrorKind::NotFound
            {
                tracing::warn!(id, %error, "the file of a deleted row could not be removed");
            }
        }
        self.bus.send(&Event::Removed { id });
        Ok(())
    }

    async fn get(&self, id: DownloadId) -> Result<Download, QueueError> {
        Ok(self.live(self.record(id).await?.download))
    }

    fn growing(&self, id: DownloadId) -> Option<Growing> {
        let job = self.jobs.get(&id)?;
        let snapshot = job.monitor.snapshot();
        // A stream is put together only at its end.
        let (Some(Kind::File), Some(filename), Some(total)) =
            (snapshot.kind, snapshot.filename, snapshot.total)
        else {
            return None;
        };
        let path = weir_engine::partial_path(&job.directory, &filename);
        let epoch = snapshot.epoch;
        Some(Growing {
            path,
            filename,
            total,
            epoch,
            monitor: Arc::clone(&job.monitor),
            ended: job.ended.clone(),
        })
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
            download.eta = job.meter.eta(snapshot.received, snapshot.total, snapshot.fraction);
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

    /// Starts queued rows while there is room: higher priority first, then the older.
    async fn schedule(&mut self) {
        loop {
            let running = self.rows.values().filter(|record| record.download.status.is_running()).count();
            if running >= self.limits.max_active {
                return;
            }
            let next = self
                .rows
                .values()
                .filter(|record| {
                    record.download.status == DownloadStatus::Queued
                        && !self.jobs.contains_key(&record.download.id)
                })
                .min_by_key(|record| (std::cmp::Reverse(record.download.priority), record.download.id))
                .cloned();
            let Some(mut record) = next else { return };
            record.download.status = DownloadStatus::Resolving;
            self.record_fact(record.clone()).await;
            let limit = Arc::new(RateLimit::with_parent(
                record.download.rate_limit.unwrap_or(0),
                Arc::clone(&self.global_limit),
            ));
            let job = job::start(&self.engine, &record, limit, self.reports.clone());
            self.jobs.insert(record.download.id, job);
        }
    }

    async fn heed(&mut self, report: Report) {
        match report {
            Report::Changed(id) => self.observe(id).await,
            Report::Done(id, outcome) => {
                self.observe(id).await;
                self.conclude(id, *outcome).await;
                self.schedule().await;
            }
        }
    }

    /// Takes over what the engine has found out: phase, name, kind, size, quality.
    async fn observe(&mut self, id: DownloadId) {
        let Some(job) = self.jobs.get_mut(&id) else { return };
        let snapshot = job.monitor.snapshot();
        if snapshot.filename.is_some() {
            job.filename.clone_from(&snapshot.filename);
        }
        let Some(record) = self.rows.get(&id).filter(|record| record.download.status.is_running()) else {
            return;
        };
        let before = record.clone();
        let mut record = before.clone();
        record.download.status = transition::during(snapshot.phase);
        if let Some(filename) = &snapshot.filename {
            record.set_filename(filename);
            record.settled = true;
        }
        if let Some(kind) = snapshot.kind {
            record.download.kind = job::wire_kind(kind);
        }
        if snapshot.quality.is_some() {
            record.download.quality.clone_from(&snapshot.quality);
        }
        apply_figures(&mut record.download, &snapshot);
        let settled = |record: &Record| {
            let row = &record.download;
            (row.status, row.filename.clone(), row.kind, row.quality.clone(), row.total_bytes, record.settled)
        };
        if settled(&before) != settled(&record) {
            self.record_fact(record).await;
        }
    }

    async fn conclude(&mut self, id: DownloadId, outcome: Result<Finished, JobError>) {
        let Some(job) = self.jobs.remove(&id) else { return };
        job.ended.cancel();
        if job.discard {
            // Cancelled or deleted while it ended: whatever it made goes.
            if let Ok(finished) = &outcome {
                let _ = tokio::fs::remove_file(&finished.path).await;
                settle(finished.clone()).await;
            } else if let Some(filename) = job.filename {
                discard(job.directory, filename).await;
            }
            return;
        }
        let Some(mut record) = self.rows.get(&id).cloned() else { return };
        apply_figures(&mut record.download, &job.monitor.snapshot());
        match outcome {
            // Also when it was paused in its last moment: the file is there.
            Ok(finished) => {
                let row = &mut record.download;
                row.status = DownloadStatus::Completed;
                row.progress = 100.0;
                row.received_bytes = finished.bytes;
                row.total_bytes = Some(finished.bytes);
                row.sha256 = Some(hex(&finished.sha256));
                row.kind = job::wire_kind(finished.kind);
                row.error = None;
                row.finished_at = Some(now());
                if finished.quality.is_some() {
                    row.quality.clone_from(&finished.quality);
                }
                record.set_filename(&finished.filename);
                // Needed for resuming only, and secrets: a finished download has no more use for them.
                record.request = RequestContext::default();
                self.record_fact(record).await;
                // Not before the store has it: after a crash the journal is what says that the file is there.
                if !self.unsaved.contains_key(&id) {
                    settle(finished).await;
                }
                self.bus.send(&Event::Progress(Progress {
                    id,
                    progress: 100.0,
                    done: true,
                    ..Progress::default()
                }));
            }
            // Paused, or resumed again before it had ended, or the daemon stops.
            Err(JobError::Engine(EngineError::Stopped)) if job.stop.is_cancelled() => {
                self.record_fact(record).await;
            }
            Err(error) if record.download.status.is_running() => {
                let info = match error {
                    JobError::Engine(error) => failure::describe(&error),
                    JobError::Panicked => failure::panicked(),
                };
                self.fail(record, info).await;
            }
            // A failure after a pause is for the next attempt to meet.
            Err(_) => self.record_fact(record).await,
        }
    }

    async fn fail(&mut self, mut record: Record, info: ErrorInfo) {
        let id = record.download.id;
        tracing::info!(id, code = info.code, "a download failed");
        record.download.status = DownloadStatus::Error;
        record.download.error = Some(info.clone());
        self.record_fact(record).await;
        self.bus.send(&Event::Error { id, error: info.message, code: info.code, action: info.action });
    }

    async fn tick(&mut self) {
        let mut figures = Vec::new();
        for (id, job) in &mut self.jobs {
            let Some(record) = self.rows.get(id).filter(|record| record.download.status.is_running()) else {
                continue;
            };
            let snapshot = job.monitor.snapshot();
            // What an earlier attempt brought counts as there, not as fast.
            if snapshot.phase != Phase::Resolving {
                job.meter.sample(job.started.elapsed(), snapshot.received);
            }
            let mut row = record.download.clone();
            apply_figures(&mut row, &snapshot);
            if record.download.status == DownloadStatus::Downloading {
                self.bus.send(&Event::Progress(Progress {
                    id: *id,
                    progress: (row.progress * 10.0).round() / 10.0,
                    speed: Some(job.meter.speed()),
                    eta: job.meter.eta(snapshot.received, snapshot.total, snapshot.fraction),
                    received_bytes: Some(snapshot.received),
                    done: false,
                }));
            }
            figures.push((*id, row.received_bytes, row.progress));
        }
        if self.last_saved.elapsed() >= SAVE_EVERY {
            self.save_unsaved().await;
        }
        if self.last_saved.elapsed() >= SAVE_EVERY && !figures.is_empty() {
            self.last_saved = tokio::time::Instant::now();
            if let Err(error) = self.store.save_progress(figures).await {
                tracing::warn!(%error, "progress could not be stored");
            }
        }
    }

    async fn remove_partial(&self, id: DownloadId) {
        // A cancelled row has left memory by now, so the store is asked.
        if let Ok(record) = self.record(id).await
            && record.settled
        {
            discard(record.directory, record.download.filename).await;
        }
    }

    /// Rows keep their running status in the store, which is what the next start goes by.
    async fn stop(&mut self) {
        for job in self.jobs.values() {
            job.stop.cancel();
        }
        let all_ended = async {
            while !self.jobs.is_empty() {
                let Some(report) = self.inbox.recv().await else { return };
                if let Report::Done(id, outcome) = report {
                    self.observe(id).await;
                    self.conclude(id, *outcome).await;
                }
            }
        };
        if tokio::time::timeout(STOP_PATIENCE, all_ended).await.is_err() {
            tracing::warn!("some downloads did not end in time; their journals are at most a second behind");
        }
        self.save_unsaved().await;
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

fn apply_figures(download: &mut Download, snapshot: &Snapshot) {
    download.received_bytes = snapshot.received;
    if snapshot.total.is_some() {
        download.total_bytes = snapshot.total;
    }
    download.progress = (snapshot.fraction * 100.0).clamp(0.0, 100.0);
}

async fn discard(directory: std::path::PathBuf, filename: String) {
    let outcome =
        tokio::task::spawn_blocking(move || weir_engine::remove_partial(&directory, &filename)).await;
    if let Ok(Err(error)) = outcome {
        tracing::warn!(%error, "partial files could not be removed");
    }
}

async fn settle(finished: Finished) {
    let outcome = tokio::task::spawn_blocking(move || finished.settle()).await;
    if let Ok(Err(error)) = outcome {
        tracing::warn!(%error, "a journal could not be removed");
    }
}

/// RFC 3339, UTC, whole seconds.
pub(crate) fn now() -> String {
    jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// RFC 3339, UTC, whole seconds, never before the moment itself: such texts sort by time.
pub(crate) fn moment(timestamp: jiff::Timestamp) -> String {
    let part = timestamp.subsec_nanosecond() > 0;
    let whole = timestamp.checked_add(jiff::SignedDuration::from_secs(i64::from(part))).unwrap_or(timestamp);
    whole.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}
