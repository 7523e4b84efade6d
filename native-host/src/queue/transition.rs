//! The state machine of a download: which command is legal when, and where it leads. Pure.
//!
//! ```text
//! queued → resolving → downloading → finishing → completed
//!    └──────────┴────────────┴──── pause ⇄ resume (→ queued)
//! any of these but completed ── cancel → cancelled ── retry → queued
//! a job that fails → error ── retry → queued
//!                  └→ queued, when it is tried again by itself ── retry, resume → queued, at once
//! ```

use weir_engine::Phase;
use weir_protocol::DownloadStatus;

/// What a person can ask of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Pause,
    Resume,
    Cancel,
    Retry,
}

impl Act {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
        }
    }
}

/// The status after `act`, or none when it is not legal now. `waits`: see [`weir_protocol::Download::waits`].
pub(crate) fn after(status: DownloadStatus, waits: bool, act: Act) -> Option<DownloadStatus> {
    let (legal, next) = match act {
        Act::Pause => (status.can_pause(), DownloadStatus::Paused),
        Act::Resume => (waits || status.can_resume(), DownloadStatus::Queued),
        Act::Cancel => (status.can_cancel(), DownloadStatus::Cancelled),
        Act::Retry => (waits || status.can_retry(), DownloadStatus::Queued),
    };
    legal.then_some(next)
}

/// The status of a row whose job is in `phase`.
pub(crate) const fn during(phase: Phase) -> DownloadStatus {
    match phase {
        Phase::Resolving => DownloadStatus::Resolving,
        Phase::Downloading => DownloadStatus::Downloading,
        Phase::Finishing => DownloadStatus::Finishing,
    }
}

/// The status a row takes up when the daemon starts: what ran goes on, the rest stays.
pub(crate) const fn at_start(status: DownloadStatus) -> DownloadStatus {
    if status.is_active() { DownloadStatus::Queued } else { status }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_table() {
        use DownloadStatus as S;
        let acts = [Act::Pause, Act::Resume, Act::Cancel, Act::Retry];
        let table = [
            (S::Queued, [Some(S::Paused), None, Some(S::Cancelled), None]),
            (S::Resolving, [Some(S::Paused), None, Some(S::Cancelled), None]),
            (S::Downloading, [Some(S::Paused), None, Some(S::Cancelled), None]),
            (S::Finishing, [None, None, Some(S::Cancelled), None]),
            (S::Completed, [None, None, None, None]),
            (S::Paused, [None, Some(S::Queued), Some(S::Cancelled), None]),
            (S::Error, [None, None, Some(S::Cancelled), Some(S::Queued)]),
            (S::Cancelled, [None, None, None, Some(S::Queued)]),
        ];
        assert_eq!(table.len(), S::ALL.len());
        for (status, expected) in table {
            for (act, next) in acts.into_iter().zip(expected) {
                assert_eq!(
                    after(status, false, act),
                    next,
                    "{} of a {} download",
                    act.as_str(),
                    status.as_str()
                );
            }
        }
    }

    #[test]
    fn what_waits_for_its_time_can_be_started_at_once() {
        let waiting = |act| after(DownloadStatus::Queued, true, act);
        assert_eq!(waiting(Act::Resume), Some(DownloadStatus::Queued));
        assert_eq!(waiting(Act::Retry), Some(DownloadStatus::Queued));
        assert_eq!(waiting(Act::Pause), Some(DownloadStatus::Paused));
        assert_eq!(waiting(Act::Cancel), Some(DownloadStatus::Cancelled));
    }

    #[test]
    fn a_start_continues_what_ran_and_nothing_else() {
        for status in DownloadStatus::ALL {
            let next = at_start(status);
            assert_eq!(next == DownloadStatus::Queued, status.is_active());
            assert!(next == status || status.is_active());
        }
    }
}
