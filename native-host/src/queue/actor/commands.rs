//! What clients ask of the queue: new rows, commands, changes, moves, removal, and looks at one row.
//!
//! Invariant: a command that the store refuses has not happened.

use std::path::PathBuf;
use std::sync::Arc;

use url::Url;
use weir_engine::{Kind, Phase};
use weir_protocol::{
    Action, Download, DownloadDetail, DownloadId, DownloadKind, DownloadPatch, DownloadStatus, Event, Ranges,
};

use super::Actor;
use super::jobs::discard;
use crate::queue::network;
use crate::queue::order::{self, Place, Target};
use crate::queue::transition::{self, Act};
use crate::queue::{Growing, QueueError};
use crate::store::Record;

impl Actor {
    pub(super) async fn add(&mut self, mut record: Record) -> Result<Download, QueueError> {
        record.download.position = self.last_position();
        let record = self.store.insert(record).await?;
        let download = record.download.clone();
        self.rows.insert(download.id, record);
        self.announce(&download);
        Ok(download)
    }

    /// Behind every unfinished row.
    fn last_position(&self) -> i64 {
        let last = self.rows.values().map(|record| record.download.position).max();
        last.unwrap_or(0).saturating_add(order::GAP)
    }

    pub(super) async fn act(&mut self, id: DownloadId, act: Act) -> Result<Download, QueueError> {
        let mut record = self.record(id).await?;
        let status = record.download.status;
        let Some(next) = transition::after(&record.download, act) else {
            return Err(QueueError::Illegal { act: act.as_str(), status });
        };
        self.absorb_live(&mut record.download);
        record.download.status = next;
        // When it failed, if it had.
        record.download.finished_at = None;
        match act {
            // A time to start at outlives the pause, unless the queue had set it to try again.
            Act::Pause => {
                if record.download.error.take().is_some() {
                    record.download.start_at = None;
                }
            }
            Act::Cancel => {
                record.download.error = None;
                record.download.start_at = None;
                record.request.finish = false;
                forget_progress(&mut record);
            }
            Act::Finish if status.is_running() => record.request.finish = true,
            Act::Resume | Act::Retry | Act::Finish => {
                record.request.finish |= act == Act::Finish;
                record.attempts = 0;
                record.download.start_at = None;
                // Whoever asks may know better than the routing table.
                self.cut_off.remove(network::authority(&record.download.url));
                let error = record.download.error.take();
                let worthless = error.is_some_and(|error| error.action == Some(Action::StartOver));
                if worthless && record.settled {
                    discard(record.directory.clone(), record.download.filename.clone()).await;
                }
                if worthless || status == DownloadStatus::Cancelled {
                    // The partial files are gone, so nothing of what was settled holds any more.
                    record.settled = false;
                    forget_progress(&mut record);
                    record.download.total_bytes = None;
                }
                if status == DownloadStatus::Cancelled {
                    record.download.position = self.last_position();
                }
            }
        }
        let download = self.commit(record).await?;
        if act == Act::Finish
            && status.is_running()
            && let Some(job) = self.jobs.get(&id)
        {
            job.finish.cancel();
        }
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

    /// `folder` is that of the category in the patch.
    pub(super) async fn patch(
        &mut self,
        id: DownloadId,
        patch: DownloadPatch,
        folder: Option<PathBuf>,
    ) -> Result<Download, QueueError> {
        let mut record = self.record(id).await?;
        let status = record.download.status;
        let busy = status.is_running() || self.jobs.contains_key(&id) || status == DownloadStatus::Completed;
        if let Some(url) = patch.url {
            if busy {
                return Err(QueueError::Illegal { act: "change the address of", status });
            }
            move_to(&mut record, &url);
        }
        if let Some(filename) = patch.filename {
            if busy || record.settled {
                return Err(QueueError::Illegal { act: "rename", status });
            }
            record.set_filename(&weir_media::filename::safe(&filename));
            record.request.filename = Some(record.download.filename.clone());
        }
        if let Some(start_at) = patch.start_at {
            if !matches!(status, DownloadStatus::Queued | DownloadStatus::Paused) {
                return Err(QueueError::Illegal { act: "set the start of", status });
            }
            if start_at.is_some() {
                record.download.status = DownloadStatus::Queued;
            }
            record.download.start_at = start_at;
        }
        if let Some(category) = patch.category {
            record.request.in_category = category.is_some();
            record.download.category = category;
            if let Some(folder) = folder.filter(|_| !busy && !record.settled && !record.request.in_directory)
            {
                record.set_directory(&folder);
            }
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

    pub(super) async fn relocate(&mut self, id: DownloadId, target: Target) -> Result<Download, QueueError> {
        let record = self.record(id).await?;
        let place = |record: &Record| Place {
            id: record.download.id,
            priority: record.download.priority,
            position: record.download.position,
            waits: record.download.status == DownloadStatus::Queued,
        };
        let places = self.rows.values().map(place).collect();
        let Some(changes) = order::moved(places, id, target) else {
            return Err(match target {
                Target::Before(other) if self.rows.contains_key(&id) => {
                    let status = self.record(other).await?.download.status;
                    QueueError::Illegal { act: "move something before", status }
                }
                _ => QueueError::Illegal { act: "move", status: record.download.status },
            });
        };
        let mut changed = Vec::new();
        for place in changes {
            let mut record = self.record(place.id).await?;
            record.download.priority = place.priority;
            record.download.position = place.position;
            changed.push(record);
        }
        // All or none: half of a new order is no order.
        self.store.update_all(changed.clone()).await?;
        for record in changed {
            self.unsaved.remove(&record.download.id);
            self.apply(record);
        }
        Ok(self.get(id).await?.download)
    }

    pub(super) async fn delete(&mut self, id: DownloadId, files: bool) -> Result<(), QueueError> {
        let record = self.record(id).await?;
        // What the store refuses does not happen.
        self.store.delete(id).await?;
        if let Some(job) = self.jobs.get_mut(&id) {
            job.stop.cancel();
            job.discard = true;
        } else if !matches!(record.download.status, DownloadStatus::Completed | DownloadStatus::Cancelled)
            && record.settled
        {
            // Those of a cancelled one are gone; what has their name now is another's.
            discard(record.directory.clone(), record.download.filename.clone()).await;
        }
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

    pub(super) async fn get(&self, id: DownloadId) -> Result<DownloadDetail, QueueError> {
        let record = self.record(id).await?;
        Ok(record.detail(self.live(record.download.clone())))
    }

    pub(super) fn growing(&self, id: DownloadId) -> Option<Growing> {
        let job = self.jobs.get(&id)?;
        let snapshot = job.monitor.snapshot();
        let filename = snapshot.filename?;
        let total = match snapshot.kind? {
            Kind::File => Some(snapshot.total?),
            // Its first track, which has picture and sound unless they come apart, grows in order.
            Kind::Hls | Kind::Dash if snapshot.phase == Phase::Downloading => None,
            Kind::Hls | Kind::Dash | Kind::Site => return None,
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

    /// Which bytes of the file are there, as far as anybody knows.
    pub(super) async fn ranges(&self, id: DownloadId) -> Result<Ranges, QueueError> {
        let row = self.get(id).await?.download;
        if let Some(ranges) = self.jobs.get(&id).and_then(|job| job.monitor.ranges()) {
            return Ok(wire(ranges));
        }
        let record = self.record(id).await?;
        if record.settled && row.kind == DownloadKind::File && row.status != DownloadStatus::Completed {
            // Whatever job there is has not begun or has let go; its journal is at most a second behind.
            let (directory, filename) = (record.directory, record.download.filename);
            let look = move || weir_engine::saved_ranges(&directory, &filename);
            if let Ok(Some(ranges)) = tokio::task::spawn_blocking(look).await {
                return Ok(wire(ranges));
            }
        }
        let whole = matches!(row.status, DownloadStatus::Completed | DownloadStatus::Finishing);
        let done = row.total_bytes.filter(|total| whole && *total > 0 && row.kind == DownloadKind::File);
        Ok(Ranges {
            total_bytes: row.total_bytes,
            done: done.map(|total| [0, total]).into_iter().collect(),
            active: Vec::new(),
        })
    }

    async fn remove_partial(&self, id: DownloadId) {
        // A cancelled row has left memory by now, so the store is asked.
        if let Ok(record) = self.record(id).await
            && record.settled
        {
            discard(record.directory, record.download.filename).await;
        }
    }
}

/// There are no partial files any more.
fn forget_progress(record: &mut Record) {
    record.download.received_bytes = 0;
    record.download.progress = 0.0;
    record.download.live = false;
    record.download.recorded_s = None;
}

fn wire(ranges: weir_engine::Ranges) -> Ranges {
    let spans = |spans: Vec<(u64, u64)>| spans.into_iter().map(|(from, to)| [from, to]).collect();
    Ranges { total_bytes: ranges.total, done: spans(ranges.done), active: spans(ranges.active) }
}

/// Gives a row another address. Name and password in it go where no list shows them, and what was meant for another
/// server stays away from this one.
fn move_to(record: &mut Record, address: &str) {
    let (old, new) = (Url::parse(&record.download.url), Url::parse(address));
    let (Ok(old), Ok(mut new)) = (old, new) else { return };
    let request = &mut record.request;
    if !weir_engine::same_place(&old, &new) {
        request.cookies = None;
        request.headers.retain(|name, _| !weir_engine::is_credential(name));
        (request.username, request.password) = (None, None);
    }
    if !new.username().is_empty() || new.password().is_some() {
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        request.username = Some(decoded(new.username()));
        request.password = new.password().map(decoded);
        let _ = new.set_username("");
        let _ = new.set_password(None);
    }
    record.download.url = new.into();
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;

    fn row() -> Record {
        let mut record = Record::new(
            "https://a.example/f",
            DownloadKind::File,
            "f",
            Path::new("/d"),
            "2026-11-21T10:00:00Z",
        );
        record.request.cookies = Some("c=1".to_owned());
        for (name, value) in [("X-Api-Key", "k"), ("Accept-Language", "de")] {
            record.request.headers.insert(name.to_owned(), value.to_owned());
        }
        (record.request.username, record.request.password) = (Some("me".to_owned()), Some("p".to_owned()));
        record
    }

    #[test]
    fn a_new_address_of_the_same_server_keeps_what_lets_one_in() {
        let mut record = row();
        let before = record.request.clone();
        move_to(&mut record, "https://a.example/g?fresh=1");
        assert_eq!(record.download.url, "https://a.example/g?fresh=1");
        assert_eq!(record.request, before);
    }

    #[test]
    fn another_server_learns_nothing_meant_for_the_first() {
        for address in ["https://b.example/f", "https://a.example:8443/f", "http://a.example/f"] {
            let mut record = row();
            move_to(&mut record, address);
            assert_eq!(record.download.url, address);
            assert_eq!((record.request.cookies, record.request.username), (None, None));
            assert_eq!(record.request.password, None);
            assert_eq!(record.request.headers.into_keys().collect::<Vec<_>>(), ["Accept-Language"]);
        }
    }

    #[test]
    fn a_login_in_the_address_is_kept_out_of_every_list() {
        let mut record = row();
        move_to(&mut record, "https://u:p%40ss@b.example/f");
        assert_eq!(record.download.url, "https://b.example/f");
        assert_eq!(record.request.username.as_deref(), Some("u"));
        assert_eq!(record.request.password.as_deref(), Some("p@ss"));
    }
}
