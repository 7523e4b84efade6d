//! What a failure means for the next attempt: whether there is one, and when. Pure.
//!
//! The engine has tried several times within seconds before it gives a download up. What is here is the longer breath:
//! a server that is down, a line that is gone. Invariant: a failure that trying again cannot mend is never tried again
//! by itself.

use std::time::Duration;

use weir_engine::EngineError;

/// Pauses before the attempts; the last one stands for all that follow.
const PAUSES: [Duration; 4] = [
    Duration::from_secs(15),
    Duration::from_secs(60),
    Duration::from_secs(5 * 60),
    Duration::from_secs(15 * 60),
];

/// Longest pause that is kept because a server asked for it.
const LONGEST: Duration = Duration::from_secs(24 * 60 * 60);

/// What becomes of a row whose job failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It is tried again after this pause.
    Again(Duration),
    /// It is tried again once there is a network; that costs no attempt.
    Offline,
    /// Somebody has to do something.
    Final,
}

/// Judges `error` after `attempts` of at most `allowed` were made in vain. `connected` says whether the network leads to
/// the server at all; it is asked only when that matters.
pub(super) fn judge(
    error: &EngineError,
    attempts: u32,
    allowed: u32,
    connected: impl FnOnce() -> bool,
) -> Verdict {
    if !may_pass(error) {
        return Verdict::Final;
    }
    let is_line = matches!(error, EngineError::Unreachable { .. } | EngineError::Timeout { .. });
    if is_line && !connected() {
        return Verdict::Offline;
    }
    if attempts >= allowed {
        return Verdict::Final;
    }
    let last = PAUSES[PAUSES.len() - 1];
    let pause = usize::try_from(attempts).ok().and_then(|n| PAUSES.get(n)).copied().unwrap_or(last);
    Verdict::Again(match error {
        // It has said when to come back; earlier would be in vain, and impolite.
        EngineError::Busy { wait, .. } => pause.max((*wait).min(LONGEST)),
        _ => pause,
    })
}

fn may_pass(error: &EngineError) -> bool {
    match error {
        // A server that is overloaded in the middle of a stream, not one that has lost a piece of it.
        EngineError::SegmentMissing { status: Some(status), .. } => {
            EngineError::HttpStatus { status: *status }.is_transient()
        }
        error => error.is_transient(),
    }
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::*;

    fn segment(status: Option<u16>) -> EngineError {
        EngineError::SegmentMissing { index: 0, number: 1, count: 2, reason: "r".into(), status }
    }

    fn site(transient: bool) -> EngineError {
        EngineError::SiteFailed { reason: "r".into(), transient }
    }

    fn transient() -> [EngineError; 4] {
        [
            EngineError::Unreachable { host: "h".into() },
            EngineError::Timeout { host: "h".into() },
            EngineError::BrokenTransfer { reason: "cut".into() },
            EngineError::HttpStatus { status: 503 },
        ]
    }

    #[test]
    fn pauses_grow_and_end() {
        for error in transient() {
            let pauses: Vec<Verdict> = (0..6).map(|n| judge(&error, n, 5, || true)).collect();
            let seconds = |n| Verdict::Again(Duration::from_secs(n));
            let expected =
                [seconds(15), seconds(60), seconds(300), seconds(900), seconds(900), Verdict::Final];
            assert_eq!(pauses, expected, "{error}");
            assert_eq!(judge(&error, 0, 0, || true), Verdict::Final, "{error}");
        }
    }

    #[test]
    fn a_server_that_asks_for_a_pause_gets_it() {
        let busy = |seconds| EngineError::Busy { status: 429, wait: Duration::from_secs(seconds) };
        let judged = |seconds, attempts| judge(&busy(seconds), attempts, 4, || panic!("not asked"));
        assert_eq!(judged(3600, 0), Verdict::Again(Duration::from_secs(3600)));
        assert_eq!(judged(40, 2), Verdict::Again(PAUSES[2]), "its own pause is longer");
        assert_eq!(judged(u64::MAX, 0), Verdict::Again(LONGEST));
        assert_eq!(judged(3600, 4), Verdict::Final);
    }

    #[test]
    fn without_a_network_nothing_is_used_up() {
        let [unreachable, timeout, broken, status] = transient();
        for error in [unreachable, timeout] {
            assert_eq!(judge(&error, 99, 0, || false), Verdict::Offline, "{error}");
        }
        assert_eq!(judge(&site(true), 0, 1, || panic!("not asked")), Verdict::Again(PAUSES[0]));
        assert_eq!(judge(&segment(Some(503)), 0, 1, || panic!("not asked")), Verdict::Again(PAUSES[0]));
        // A server that answered is there.
        for error in [broken, status] {
            assert_eq!(judge(&error, 0, 1, || panic!("not asked")), Verdict::Again(PAUSES[0]), "{error}");
        }
    }

    #[test]
    fn what_trying_again_cannot_mend_is_final() {
        for error in [
            EngineError::Gone { status: 404 },
            EngineError::LoginRequired { status: 401 },
            EngineError::HttpStatus { status: 400 },
            EngineError::DiskFull,
            EngineError::FolderUnwritable(io::ErrorKind::PermissionDenied.into()),
            EngineError::ContentChanged,
            EngineError::FfmpegMissing,
            EngineError::NothingRecorded,
            EngineError::BadManifest { reason: "r".into() },
            EngineError::YtDlpMissing,
            site(false),
            EngineError::OwnAddress,
            segment(Some(404)),
            segment(None),
            EngineError::Stopped,
        ] {
            assert_eq!(judge(&error, 0, 9, || panic!("not asked")), Verdict::Final, "{error}");
        }
    }
}
