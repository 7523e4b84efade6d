//! What a row offers: the closed list of commands, when each is legal, what its button says.
//!
//! Pure. Invariant: the accessible name of every button is the contract's (`Pause NAME` and the like), and a
//! command is offered only where the daemon allows it.

use weir_protocol::{Action, Download, DownloadStatus, Finish};

/// One button of a row.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Command {
    /// Stop; keep what is there.
    Pause,
    /// Go on.
    Resume,
    /// Wait no longer for the time to begin, or to try again.
    Start,
    /// Try again.
    Retry,
    /// Give up; partial files go.
    Cancel,
    /// End a recording and keep it.
    Finish,
    /// Take what can be had, and leave out what is lost.
    Keep,
    /// Open the finished file with the desktop's program for it.
    Open,
    /// Open its folder.
    Show,
}

impl Command {
    /// In the order of a row's buttons.
    pub const ALL: [Self; 9] = [
        Self::Finish,
        Self::Pause,
        Self::Resume,
        Self::Start,
        Self::Retry,
        Self::Keep,
        Self::Open,
        Self::Show,
        Self::Cancel,
    ];

    /// Last part of the route.
    #[must_use]
    pub const fn path(self) -> &'static str {
        match self {
            Self::Pause => "pause",
            Self::Resume | Self::Start => "resume",
            Self::Retry => "retry",
            Self::Cancel => "cancel",
            Self::Finish | Self::Keep => "finish",
            Self::Open => "open",
            Self::Show => "show",
        }
    }

    /// What the button says without the name.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::Pause => "Pause",
            Self::Resume => "Resume",
            Self::Start => "Start now",
            Self::Retry => "Retry",
            Self::Cancel => "Cancel",
            Self::Finish => "Stop and keep",
            Self::Keep => "Keep what is there",
            Self::Open => "Open",
            Self::Show => "Show in folder",
        }
    }

    /// Accessible name of the button for this file.
    #[must_use]
    pub fn name(self, file: &str) -> String {
        match self {
            Self::Show => format!("Show {file} in folder"),
            Self::Start => format!("Start {file} now"),
            Self::Keep => format!("Keep what is there of {file}"),
            other => format!("{} {file}", other.label()),
        }
    }

    /// Whether the button is there. A row that waits for a time offers to start now, in place of a pause.
    #[must_use]
    pub fn is_offered(self, row: &Download) -> bool {
        let (status, waits) = (row.status, row.waits());
        match self {
            Self::Pause => status.can_pause() && !waits,
            Self::Resume => status.can_resume(),
            Self::Start => waits,
            Self::Retry => status.can_retry() && !is_final(row),
            Self::Cancel => status.can_cancel() && !is_final(row),
            Self::Finish => row.finish() == Some(Finish::EndRecording),
            // A pause is not yet a wish to do without the rest.
            Self::Keep => {
                let lost = row.error.as_ref().is_some_and(|error| error.action == Some(Action::KeepPartial));
                row.finish() == Some(Finish::KeepPartial) && (row.live || lost)
            }
            Self::Open => matches!(status, DownloadStatus::Completed) && row.openable,
            Self::Show => matches!(status, DownloadStatus::Completed),
        }
    }
}

/// A failure that would only repeat itself: nothing can be done about it, or nothing here. All such a row offers is to
/// be removed.
#[must_use]
pub fn is_final(row: &Download) -> bool {
    use weir_protocol::code::{BAD_REQUEST, BAD_URL, DRM_PROTECTED, OWN_ADDRESS};
    let final_ = [DRM_PROTECTED, OWN_ADDRESS, BAD_URL, BAD_REQUEST];
    let error = row.error.as_ref().filter(|_| row.status == DownloadStatus::Error);
    error.is_some_and(|error| final_.contains(&error.code.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::tests::download;

    fn offered_by(row: &Download) -> Vec<Command> {
        Command::ALL.into_iter().filter(|command| command.is_offered(row)).collect()
    }

    fn offered(status: DownloadStatus) -> Vec<Command> {
        offered_by(&download(1, status))
    }

    #[test]
    fn names_are_the_contract() {
        let names: Vec<String> = Command::ALL.into_iter().map(|command| command.name("a.mp4")).collect();
        let contract = [
            "Stop and keep a.mp4",
            "Pause a.mp4",
            "Resume a.mp4",
            "Start a.mp4 now",
            "Retry a.mp4",
            "Keep what is there of a.mp4",
            "Open a.mp4",
            "Show a.mp4 in folder",
            "Cancel a.mp4",
        ];
        assert_eq!(names, contract);
    }

    #[test]
    fn a_recording_can_be_stopped_and_a_stream_with_a_loss_kept() {
        use Command::{Cancel, Finish, Keep, Pause, Resume, Retry};
        let stream = |status| Download { kind: weir_protocol::DownloadKind::Hls, ..download(1, status) };
        let live = |status| Download { live: true, ..stream(status) };
        assert_eq!(offered_by(&live(DownloadStatus::Downloading)), [Finish, Pause, Cancel]);
        assert_eq!(offered_by(&live(DownloadStatus::Paused)), [Resume, Keep, Cancel]);
        assert_eq!(offered_by(&stream(DownloadStatus::Paused)), [Resume, Cancel]);
        let mut failed = stream(DownloadStatus::Error);
        assert_eq!(offered_by(&failed), [Retry, Cancel]);
        failed.error = Some(weir_protocol::ErrorInfo {
            code: "segment_missing".into(),
            message: "m".into(),
            action: Some(Action::KeepPartial),
        });
        assert_eq!(offered_by(&failed), [Retry, Keep, Cancel]);
    }

    #[test]
    fn what_would_only_fail_again_offers_no_retry() {
        use Command::{Cancel, Keep, Retry};
        let offers = |code: &str, action| {
            let error = Some(weir_protocol::ErrorInfo { code: code.into(), message: "m".into(), action });
            let kind = weir_protocol::DownloadKind::Hls;
            let row = Download { error, kind, ..download(1, DownloadStatus::Error) };
            (offered_by(&row), is_final(&row))
        };
        use weir_protocol::code;
        let table: [(&str, Option<Action>); 4] = [
            (code::DRM_PROTECTED, None),
            (code::OWN_ADDRESS, None),
            (code::BAD_URL, Some(Action::EditInput)),
            (code::BAD_REQUEST, Some(Action::EditInput)),
        ];
        for (code, action) in table {
            assert_eq!(offers(code, action), (vec![], true), "{code}");
        }
        let others = [
            Action::Retry,
            Action::StartOver,
            Action::InstallFfmpeg,
            Action::InstallYtDlp,
            Action::FreeSpace,
            Action::CheckFolder,
            Action::OpenPage,
            Action::Unknown,
        ];
        // What a server sent by mistake it may send right the next time.
        assert_eq!(offers(code::UNSUPPORTED_MEDIA, None), (vec![Retry, Cancel], false));
        for action in others {
            assert_eq!(offers("any", Some(action)), (vec![Retry, Cancel], false), "{action:?}");
        }
        assert_eq!(offers("any", Some(Action::KeepPartial)), (vec![Retry, Keep, Cancel], false));
        // One that waits to be tried again has not failed for good.
        let waits = weir_protocol::ErrorInfo { code: "any".into(), message: "m".into(), action: None };
        assert!(!is_final(&Download { error: Some(waits), ..download(1, DownloadStatus::Queued) }));
    }

    #[test]
    fn a_row_offers_what_the_daemon_allows() {
        use Command::{Cancel, Open, Pause, Resume, Retry, Show, Start};
        assert_eq!(offered(DownloadStatus::Queued), [Pause, Cancel]);
        assert_eq!(offered(DownloadStatus::Downloading), [Pause, Cancel]);
        assert_eq!(offered(DownloadStatus::Finishing), [Cancel]);
        assert_eq!(offered(DownloadStatus::Paused), [Resume, Cancel]);
        assert_eq!(offered(DownloadStatus::Error), [Retry, Cancel]);
        assert_eq!(offered(DownloadStatus::Cancelled), [Retry]);
        assert_eq!(offered(DownloadStatus::Completed), [Open, Show]);
        let mut row = download(1, DownloadStatus::Completed);
        row.openable = false;
        assert_eq!(offered_by(&row), [Show]);
        let mut row = download(1, DownloadStatus::Queued);
        row.start_at = Some("2999-01-01T00:00:00Z".to_owned());
        assert_eq!(offered_by(&row), [Start, Cancel]);
        row.error =
            Some(weir_protocol::ErrorInfo { code: "timeout".into(), message: "m".into(), action: None });
        assert_eq!(offered_by(&row), [Start, Cancel]);
        row.status = DownloadStatus::Downloading;
        assert_eq!(offered_by(&row), [Pause, Cancel], "what runs waits for nothing");
    }
}
