//! The state machine of a download: which command is legal when, and where it leads. Pure.
//!
//! ```text
//! queued → resolving → downloading → finishing → completed
//!    └──────────┴────────────┴──── pause ⇄ resume (→ queued)
//! any of these but completed ── cancel → cancelled ── retry → queued
//! a job that fails → error ── retry → queued
//! a recording that runs ── finish → finishing; a stream that does not ── finish → queued, to be had without what is lost
//!                  └→ queued, when it is tried again by itself ── retry, resume → queued, at once
//! ```

use weir_engine::Phase;
use weir_protocol::{Download, DownloadStatus, Finish};

/// What a person can ask of a download.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Act {
    Pause,
    Resume,
    Cancel,
    Retry,
    Finish,
}

impl Act {
    pub(crate) const fn as_str(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume => "resume",
            Self::Cancel => "cancel",
            Self::Retry => "retry",
            Self::Finish => "finish",
        }
    }
}

/// What a download does, or what became of it, as the end of a sentence: `a download that …`.
pub(crate) const fn in_words(status: DownloadStatus) -> &'static str {
    match status {
        DownloadStatus::Queued => "waits in the queue",
        DownloadStatus::Resolving => "is being looked at",
        DownloadStatus::Downloading => "is downloading",
        DownloadStatus::Finishing => "is being finished",
        DownloadStatus::Completed => "is completed",
        DownloadStatus::Paused => "is paused",
        DownloadStatus::Error => "has failed",
        DownloadStatus::Cancelled => "was cancelled",
    }
}

/// The status after `act`, or none when it is not legal now.
pub(crate) fn after(row: &Download, act: Act) -> Option<DownloadStatus> {
    let (status, waits) = (row.status, row.waits());
    let (legal, next) = match act {
        Act::Pause => (status.can_pause(), DownloadStatus::Paused),
        Act::Resume => (waits || status.can_resume(), DownloadStatus::Queued),
        Act::Cancel => (status.can_cancel(), DownloadStatus::Cancelled),
        Act::Retry => (waits || status.can_retry(), DownloadStatus::Queued),
        Act::Finish => match row.finish() {
            // Its job goes on to put together what is there.
            Some(Finish::EndRecording) => (true, status),
            Some(Finish::KeepPartial) => (true, DownloadStatus::Queued),
            None => (false, status),
        },
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
    use std::path::Path;

    use weir_protocol::DownloadKind;

    use super::*;
    use crate::store::Record;

    fn row(status: DownloadStatus) -> Download {
        let record =
            Record::new("http://h/", DownloadKind::Hls, "f", Path::new("/d"), "2026-11-21T10:00:00Z");
        Download { status, ..record.download }
    }

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
                    after(&row(status), act),
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
        let start_at = Some("2026-11-22T10:00:00Z".to_owned());
        let waiting =
            |act| after(&Download { start_at: start_at.clone(), ..row(DownloadStatus::Queued) }, act);
        assert_eq!(waiting(Act::Resume), Some(DownloadStatus::Queued));
        assert_eq!(waiting(Act::Retry), Some(DownloadStatus::Queued));
        assert_eq!(waiting(Act::Pause), Some(DownloadStatus::Paused));
        assert_eq!(waiting(Act::Cancel), Some(DownloadStatus::Cancelled));
    }

    #[test]
    fn a_recording_that_is_finished_runs_on_and_a_stopped_stream_begins_again() {
        let live = |status| Download { live: true, ..row(status) };
        let finished = |row: &Download| after(row, Act::Finish);
        assert_eq!(finished(&live(DownloadStatus::Downloading)), Some(DownloadStatus::Downloading));
        assert_eq!(finished(&live(DownloadStatus::Error)), Some(DownloadStatus::Queued));
        assert_eq!(finished(&row(DownloadStatus::Paused)), Some(DownloadStatus::Queued));
        for status in [DownloadStatus::Downloading, DownloadStatus::Completed, DownloadStatus::Error] {
            assert_eq!(finished(&row(status)), None, "{status:?}");
        }
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
