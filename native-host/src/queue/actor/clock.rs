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
        let mut moments = Vec::new();
        let is_quiet = !self.limits.hours.is_empty();
        if is_quiet {
            moments.extend(self.limits.hours.at(&Zoned::now()).until);
        }
        // Those that are due already wait for their turn, not for the clock. Texts of moments sort by time.
        let text = now();
        let first =
            waiting().filter_map(|row| row.start_at.as_deref()).filter(|at| *at > text.as_str()).min();
        let waits = first.is_some();
        moments.extend(first.and_then(|first| first.parse::<Timestamp>().ok()));
        let offline = !self.cut_off.is_empty() && waiting().next().is_some();
        (is_quiet || waits || offline).then(|| look_in(Timestamp::now(), &moments, offline))
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

    /// Puts what runs back into the queue, as far as it can still be stopped. A recording goes on: what it misses cannot
    /// be had later.
    async fn hold(&mut self) {
        let running: Vec<_> = self
            .rows
            .values()
            .filter(|record| record.download.status.can_pause() && record.download.status.is_running())
            .filter(|record| !record.download.live)
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

    /// Looks whether the network is back. After a minute a server is asked in any case: a network without a way out
    /// may still have servers of its own.
    pub(super) fn look_for_network(&mut self) {
        if self.cut_off.is_empty() {
            return;
        }
        if network::leads_anywhere() {
            tracing::info!("the network is back");
            self.cut_off.clear();
        }
        self.cut_off.retain(|server, seen| seen.elapsed() < LOOK_AGAIN && !network::leads_to(server));
    }
}

/// How long until the next look, when the first of `moments` counts.
fn look_in(clock: Timestamp, moments: &[Timestamp], offline: bool) -> Duration {
    let most = if offline { LOOK_FOR_NETWORK } else { LOOK_AGAIN };
    let first = moments.iter().min().map(|moment| moment.duration_since(clock));
    let first = first.map(|wait| Duration::try_from(wait).unwrap_or(Duration::ZERO));
    first.unwrap_or(most).clamp(LEAST, most)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_the_clock_does_a_minute_is_the_longest_wait() {
        let clock: Timestamp = "2026-11-21T10:00:00Z".parse().unwrap();
        let at = |text: &str| text.parse::<Timestamp>().unwrap();
        assert_eq!(look_in(clock, &[at("2026-11-21T10:00:07.5Z")], false), Duration::from_millis(7500));
        let both = [at("2026-11-21T11:00:00Z"), at("2026-11-21T10:00:30Z")];
        assert_eq!(look_in(clock, &both, false), Duration::from_secs(30));
        assert_eq!(look_in(clock, &both, true), LOOK_FOR_NETWORK);
        // Years ahead, because the clock was set back, say.
        assert_eq!(look_in(clock, &[at("2999-01-01T00:00:00Z")], false), LOOK_AGAIN);
        assert_eq!(look_in(clock, &[Timestamp::MAX], false), LOOK_AGAIN);
        assert_eq!(look_in(Timestamp::MIN, &[Timestamp::MAX], false), LOOK_AGAIN);
        // Passed meanwhile: at once, but never in a circle.
        assert_eq!(look_in(clock, &[at("2001-01-01T00:00:00Z")], false), LEAST);
        assert_eq!(look_in(clock, &[], false), LOOK_AGAIN);
    }

    #[test]
    fn moments_are_never_told_too_early() {
        for (moment, told) in [
            ("2026-11-21T10:00:00Z", "2026-11-21T10:00:00Z"),
            ("2026-11-21T10:00:00.000000001Z", "2026-11-21T10:00:01Z"),
            ("2026-11-21T23:59:59.5Z", "2026-11-22T00:00:00Z"),
        ] {
            assert_eq!(super::moment(moment.parse().unwrap()), told);
        }
        assert!(super::moment(Timestamp::MAX).starts_with("9999-12-30T"));
    }
}
