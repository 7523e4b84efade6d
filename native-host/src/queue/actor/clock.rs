//! What in the queue depends on the time: rows that wait for theirs, quiet hours, and the network that may come back.
//!
//! Owns the question when to look again. Invariant: nothing waits for the clock when no row does, and whatever the clock
//! does, what waits is looked at once a minute.

use std::time::Duration;

use jiff::{Timestamp, Zoned};
use weir_protocol::{DownloadStatus, ErrorInfo, code};

use super::Actor;
use crate::config::quiet::Pace;
use crate::queue::network;

/// Longest time without a look: the clock on the wall may be set, and a sleeping machine's own stands still.
const LOOK_AGAIN: Duration = Duration::from_secs(60);
/// How often the way out is looked for while there is none.
const LOOK_FOR_NETWORK: Duration = Duration::from_secs(5);
/// A moment that is due but not reached by rounding must not be asked for in a circle.
const LEAST: Duration = Duration::from_millis(20);

impl Actor {
    /// How long until something may have to be done that no command and no job calls for. None when nothing waits.
    pub(super) fn alarm(&self) -> Option<Duration> {
        let waiting = || {
            let rows = self.rows.values().map(|record| &record.download);
            rows.filter(|row| row.status == DownloadStatus::Queued)
        };
        let idle = self.jobs.is_empty() && waiting().next().is_none();
        if idle {
            return None;
        }
        let clock = Timestamp::now();
        let until =
            |moment: Timestamp| Duration::try_from(moment.duration_since(clock)).unwrap_or(Duration::ZERO);
        let quiet = (!self.limits.hours.is_empty()).then(|| {
            let change = self.limits.hours.at(&Zoned::now()).until;
            change.map_or(LOOK_AGAIN, until)
        });
        // Those that are due already wait for their turn, not for the clock.
        let text = now();
        let first =
            waiting().filter_map(|row| row.start_at.as_deref()).filter(|at| *at > text.as_str()).min();
        let first = first.map(|first| first.parse::<Timestamp>().map_or(LOOK_AGAIN, until));
        let network = (self.offline && waiting().next().is_some()).then_some(LOOK_FOR_NETWORK);
        let next = [quiet, first, network].into_iter().flatten().min()?;
        Some(next.clamp(LEAST, LOOK_AGAIN))
    }

    /// Lets the quiet hours of this moment hold: the limit of all downloads, or none running.
    pub(super) async fn keep_hours(&mut self) {
        let pace = if self.limits.hours.is_empty() { None } else { self.limits.hours.at(&Zoned::now()).pace };
        let limit = match pace {
            Some(Pace::Limit(limit)) => limit,
            None | Some(Pace::Paused) => self.limits.rate_limit,
        };
        if self.global_limit.get() != limit {
            tracing::info!(limit, "the limit of all downloads changes");
            self.global_limit.set(limit);
        }
        self.held = pace == Some(Pace::Paused);
        if self.held {
            self.hold().await;
        }
    }

    /// Puts what runs back into the queue, as far as it can still be stopped.
    async fn hold(&mut self) {
        let running: Vec<_> = self
            .rows
            .values()
            .filter(|record| record.download.status.can_pause() && record.download.status.is_running())
            .cloned()
            .collect();
        for mut record in running {
            self.absorb_live(&mut record.download);
            record.download.status = DownloadStatus::Queued;
            if let Some(job) = self.jobs.get(&record.download.id) {
                job.stop.cancel();
            }
            self.record_fact(record).await;
        }
    }

    /// Looks whether the network is back.
    pub(super) fn look_for_network(&mut self) {
        if self.offline && network::leads_anywhere() {
            tracing::info!("the network is back");
            self.offline = false;
        }
    }
}

/// What a row says that waits for the network.
pub(super) fn offline() -> ErrorInfo {
    ErrorInfo {
        code: code::OFFLINE.to_owned(),
        message: "This computer is offline; the download goes on once it is connected again.".to_owned(),
        action: None,
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
