//! The one place where facts of the engine become `{code, message, action}` for people.

use weir_engine::EngineError;
use weir_protocol::{Action, ErrorInfo, code};

/// What a person is told about a failed download.
pub(crate) fn describe(error: &EngineError) -> ErrorInfo {
    let (code, action) = classify(error);
    let mut message = match error {
        // The status was a success; what came was not the file.
        EngineError::LoginRequired { status: 200..=299 } => {
            "the server sent a login page instead of the file; the page may need a login or a fresh link"
                .to_owned()
        }
        _ => error.to_string(),
    };
    if message.is_char_boundary(1) && !message.is_empty() && !message.starts_with("yt-dlp") {
        // Library errors begin in lower case because they are joined; a sentence for people does not, but for a name
        // that is never written otherwise.
        message = message[..1].to_uppercase() + &message[1..];
    }
    if !message.ends_with(['.', '!', '?']) {
        message.push('.');
    }
    ErrorInfo { code: code.to_owned(), message, action }
}

/// A job ended by a bug of ours.
pub(crate) fn panicked() -> ErrorInfo {
    ErrorInfo {
        code: code::INTERNAL.to_owned(),
        message: "Weir made a mistake while downloading this; what has arrived is kept.".to_owned(),
        action: Some(Action::Retry),
    }
}

fn classify(error: &EngineError) -> (&'static str, Option<Action>) {
    use EngineError as E;
    match error {
        E::BadUrl { .. } => (code::BAD_URL, Some(Action::EditInput)),
        E::Unreachable { .. } => (code::UNREACHABLE, Some(Action::Retry)),
        E::Timeout { .. } | E::Stopped => (code::TIMEOUT, Some(Action::Retry)),
        E::Tls { .. } => (code::TLS, Some(Action::Retry)),
        E::ProxyFailed { .. } => (code::PROXY_FAILED, Some(Action::Retry)),
        E::LoginRequired { .. } => (code::LOGIN_REQUIRED, Some(Action::OpenPage)),
        E::LoginRefused { .. } => (code::LOGIN_REQUIRED, Some(Action::OpenPage)),
        E::Busy { .. } => (code::HTTP_STATUS, Some(Action::Retry)),
        E::Gone { .. } => (code::GONE, Some(Action::OpenPage)),
        E::HttpStatus { .. } | E::TooManyRedirects => (code::HTTP_STATUS, Some(Action::Retry)),
        E::BrokenTransfer { .. } => (code::BROKEN_TRANSFER, Some(Action::Retry)),
        E::ContentChanged => (code::CONTENT_CHANGED, Some(Action::StartOver)),
        E::ChecksumMismatch { .. } => (code::CHECKSUM_MISMATCH, Some(Action::StartOver)),
        E::ChecksumUnavailable { .. } => (code::CHECKSUM_UNAVAILABLE, Some(Action::Retry)),
        E::BadPlaylist(_) => (code::BAD_PLAYLIST, Some(Action::OpenPage)),
        E::NoSuchQuality { .. } | E::NoSuchLanguage { .. } => (code::BAD_REQUEST, Some(Action::EditInput)),
        E::SegmentMissing { .. } | E::SiteSegmentMissing { .. } => {
            (code::SEGMENT_MISSING, Some(Action::KeepPartial))
        }
        E::BadManifest { .. } => (code::BAD_MANIFEST, Some(Action::OpenPage)),
        E::NothingRecorded => (code::NOTHING_RECORDED, Some(Action::Retry)),
        E::YtDlpMissing => (code::YT_DLP_MISSING, Some(Action::InstallYtDlp)),
        E::SiteFailed { .. } => (code::SITE_FAILED, Some(Action::Retry)),
        E::Drm { .. } => (code::DRM_PROTECTED, None),
        E::UnsupportedMedia { .. } => (code::UNSUPPORTED_MEDIA, None),
        E::FfmpegMissing => (code::FFMPEG_MISSING, Some(Action::InstallFfmpeg)),
        E::MuxFailed { .. } => (code::MUX_FAILED, Some(Action::Retry)),
        E::DurationMismatch { .. } => (code::DURATION_MISMATCH, Some(Action::KeepPartial)),
        E::DiskFull => (code::DISK_FULL, Some(Action::FreeSpace)),
        E::FolderUnwritable(_) | E::FilenameTaken { .. } => {
            (code::FOLDER_UNWRITABLE, Some(Action::CheckFolder))
        }
        E::FileBusy { .. } => (code::FILE_BUSY, Some(Action::Retry)),
        E::OwnAddress => (code::OWN_ADDRESS, None),
        // `EngineError` may grow; until it is named above a new fact is ours to explain.
        _ => (code::INTERNAL, Some(Action::Retry)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_read_sentences() {
        let info = describe(&EngineError::FfmpegMissing);
        assert_eq!(info.code, "ffmpeg_missing");
        assert_eq!(info.action, Some(Action::InstallFfmpeg));
        assert!(info.message.starts_with("Ffmpeg is needed") && info.message.ends_with('.'));
    }

    #[test]
    fn a_name_is_written_as_it_is() {
        let info = describe(&EngineError::YtDlpMissing);
        assert_eq!(info.action, Some(Action::InstallYtDlp));
        assert!(info.message.starts_with("yt-dlp "), "{}", info.message);
    }

    #[test]
    fn names_from_outside_may_begin_with_any_letter() {
        let error = EngineError::FileBusy { filename: "ärger.zip".into() };
        assert!(describe(&error).message.contains("ärger.zip"));
    }
}
