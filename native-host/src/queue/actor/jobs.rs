//! The jobs of the queue: which start, what they find out, how they end.
//!
//! Invariant: a row whose job failed is stored either with a time to try again or as an error, never as running.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use weir_engine::{EngineError, Finished, Phase, RateLimit};
use weir_protocol::{DownloadId, DownloadStatus, ErrorInfo, Event, Progress};

use super::clock::{moment, now, offline};
use super::{Actor, SAVE_EVERY, apply_figures, eta};
use crate::endpoint::hex;
use crate::failure;
use crate::queue::job::{self, JobError, Report};
use crate::queue::retry::{self, Verdict};
use crate::queue::{network, transition};
use crate::store::{Record, RequestContext};

/// How long a stop waits for jobs to write their journals.
const STOP_PATIENCE: Duration = Duration::from_secs(5);

impl Actor {
    /// Starts queued rows while there is room, in the order of the queue. A server that is busy, a time that has not come
    /// or a network that is gone holds up nobody else.
    pub(super) async fn schedule(&mut self) {
        self.keep_hours().await;
        self.look_for_network();
        while let Some(mut record) = self.next() {
            let id = record.download.id;
            record.download.status = DownloadStatus::Resolving;
            record.download.start_at = None;
            record.download.error = None;
            self.record_fact(record.clone()).await;
            let limit = Arc::new(RateLimit::with_parent(
                record.download.rate_limit.unwrap_or(0),
                Arc::clone(&self.global_limit),
            ));
            let orphaned = self.orphaned.remove(&id);
            let groups = &self.limits.groups;
            let job = job::start(&self.engine, &record, orphaned, groups, limit, self.reports.clone());
            self.jobs.insert(id, job);
        }
    }

    /// The row whose turn it is.
    fn next(&self) -> Option<Record> {
        if self.held {
            return None;
        }
        let mut running = 0;
        let mut busy: HashMap<&str, usize> = HashMap::new();
        for record in self.rows.values().filter(|record| record.download.status.is_running()) {
            running += 1;
            *busy.entry(network::authority(&record.download.url)).or_default() += 1;
        }
        if running >= self.limits.max_active {
            return None;
        }
        let now = now();
        let is_free = |record: &&Record| {
            let row = &record.download;
            if row.status != DownloadStatus::Queued || self.jobs.contains_key(&row.id) {
                return false;
            }
            let server = network::authority(&row.url);
            row.start_at.as_deref().is_none_or(|at| at <= now.as_str())
                && busy.get(server).is_none_or(|count| *count < self.limits.max_per_host)
                && !self.cut_off.contains_key(server)
        };
        let order = |record: &&Record| {
            let row = &record.download;
            (std::cmp::Reverse(row.priority), row.position, row.id)
        };
        self.rows.values().filter(is_free).min_by_key(order).cloned()
    }

    pub(super) async fn heed(&mut self, report: Report) {
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
        if let Some(directory) = &snapshot.directory {
            job.directory.clone_from(directory);
        }
        let category = job.category.as_ref().and_then(|found| found.get()).cloned();
        let Some(record) = self.rows.get(&id).filter(|record| record.download.status.is_running()) else {
            return;
        };
        let before = record.clone();
        let mut record = before.clone();
        record.download.status = transition::during(snapshot.phase);
        if let Some(directory) = &snapshot.directory {
            record.set_directory(directory);
        }
        if let Some(filename) = &snapshot.filename {
            record.set_filename(filename);
            record.settled = true;
        }
        // Whatever the user says later wins.
        if category.is_some() && !record.request.in_category {
            record.download.category = category;
        }
        if let Some(kind) = snapshot.kind {
            record.download.kind = job::wire_kind(kind);
        }
        if snapshot.quality.is_some() || snapshot.kind == Some(weir_engine::Kind::File) {
            // A plain file has none, whatever was wished for.
            record.download.quality.clone_from(&snapshot.quality);
        }
        if self.jobs.contains_key(&id) {
            apply_figures(&mut record.download, &snapshot);
        }
        let settled = |record: &Record| {
            let row = &record.download;
            let names = (row.filename.clone(), row.kind, row.quality.clone());
            (row.status, names, row.total_bytes, row.live, record.settled)
        };
        let row = record.download.clone();
        if settled(&before) != settled(&record) {
            self.record_fact(record).await;
        }
        if let Some(job) = self.jobs.get_mut(&id)
            && row.status == DownloadStatus::Downloading
            && row.received_bytes > 0
            && !std::mem::replace(&mut job.moving, true)
        {
            // The first bytes are told at once: whoever has just clicked waits for them.
            let progress = row.progress;
            let received_bytes = Some(row.received_bytes);
            self.bus.send(&Event::Progress(Progress { id, progress, received_bytes, ..Progress::default() }));
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
        if !record.settled
            && let Some(filename) = &job.filename
        {
            // It was stopped in the moment in which it got its name: what it made is to be found again.
            record.set_directory(&job.directory);
            record.set_filename(filename);
            record.settled = true;
        }
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
                row.start_at = None;
                row.finished_at = Some(now());
                row.live = false;
                if row.recorded_s.is_some() {
                    row.recorded_s = finished.duration.map(|duration| duration.as_secs());
                }
                row.lacks.clone_from(&finished.lacks);
                if finished.quality.is_some() {
                    row.quality.clone_from(&finished.quality);
                }
                record.set_filename(&finished.filename);
                record.attempts = 0;
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
                // What got further than the last time has not been tried in vain.
                if record.download.received_bytes > job.received_before {
                    record.attempts = 0;
                }
                match error {
                    JobError::Engine(error) => self.judge(record, &error).await,
                    JobError::Panicked => self.fail(record, failure::panicked()).await,
                }
            }
            // A failure after a pause is for the next attempt to meet.
            Err(_) => self.record_fact(record).await,
        }
    }

    /// Decides whether a failed row is tried again by itself.
    async fn judge(&mut self, mut record: Record, error: &EngineError) {
        let server = network::authority(&record.download.url);
        let verdict =
            retry::judge(error, record.attempts, self.limits.auto_retries, || network::leads_to(server));
        let id = record.download.id;
        match verdict {
            Verdict::Final => return self.fail(record, failure::describe(error)).await,
            Verdict::Offline => {
                tracing::info!(id, "a download waits for the network");
                self.cut_off.insert(server.to_owned(), tokio::time::Instant::now());
                record.download.error = Some(offline());
            }
            Verdict::Again(pause) => {
                record.attempts += 1;
                let info = failure::describe(error);
                tracing::info!(id, code = info.code, ?pause, "a download failed and is tried again");
                let pause = SignedDuration::try_from(pause).unwrap_or(SignedDuration::MAX);
                record.download.start_at = Timestamp::now().checked_add(pause).ok().map(moment);
                record.download.error = Some(info);
            }
        }
        record.download.status = DownloadStatus::Queued;
        self.record_fact(record).await;
    }

    async fn fail(&mut self, mut record: Record, info: ErrorInfo) {
        let id = record.download.id;
        tracing::info!(id, code = info.code, "a download failed");
        record.download.status = DownloadStatus::Error;
        record.download.error = Some(info.clone());
        record.download.finished_at = Some(now());
        self.record_fact(record).await;
        self.bus.send(&Event::Error { id, error: info.message, code: info.code, action: info.action });
    }

    pub(super) async fn tick(&mut self) {
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
                    progress: row.progress,
                    speed: Some(job.meter.speed()),
                    eta: eta(job, &snapshot),
                    received_bytes: Some(snapshot.received),
                    recorded_s: row.recorded_s.filter(|_| row.live),
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

    /// Rows keep their running status in the store, which is what the next start goes by.
    pub(super) async fn stop(&mut self) {
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

pub(super) async fn discard(directory: std::path::PathBuf, filename: String) {
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
