//! What a person at a terminal is told about a download of `weir get` that failed, and what to do. Pure.
//!
//! Owns the words that only fit the command line: its flags, and the command that may be given again. Never judges whether
//! a failure is one. Invariant: "the same command again" is said only where that may help.

use weir_engine::{EngineError, Source};

use crate::failure;

/// Fact and advice in one line, without an address.
pub(super) fn of(error: &EngineError, source: &Source) -> String {
    // Whoever reads this is the caller.
    let message = failure::describe(error).message.replace("stated by the caller", "checksum you gave");
    match what_to_do(error, source) {
        "" => message,
        advice => format!("{message} {advice}"),
    }
}

fn what_to_do(error: &EngineError, source: &Source) -> &'static str {
    use EngineError as E;
    const AGAIN: &str = "Run the same command again.";
    const FRESH: &str = "Open the page it comes from for a fresh address, or pass --referer and --cookies.";
    match error {
        E::ChecksumMismatch { stated_by: "the caller", .. } => "Check the checksum you gave.",
        E::ChecksumUnavailable { .. } => "Leave --checksum away or give another.",
        E::LoginRequired { .. } if source.login.is_none() => {
            "Open the page it comes from for a fresh address, or pass --referer and --cookies, or a login with --user or \
             --netrc."
        }
        E::LoginRequired { .. } | E::Gone { .. } | E::BadPlaylist(_) | E::BadManifest { .. } => FRESH,
        E::SegmentMissing { status: Some(400..=499), .. } => {
            "Open the page it comes from for a fresh address, or take what there is with --keep-partial."
        }
        E::SegmentMissing { .. } | E::SiteSegmentMissing { .. } | E::DurationMismatch { .. } => {
            "Run the same command again, or take what there is with --keep-partial."
        }
        E::YtDlpMissing => "Run `weir tools install yt-dlp`, then the same command again.",
        E::ProxyFailed { refused: true, reason, .. } if reason.contains("password") => {
            "Give it in --proxy http://NAME:PASSWORD@HOST."
        }
        E::FolderUnwritable(_) | E::FilenameTaken { .. } => "Choose another with --directory.",
        E::DiskFull => "Make room, then run the same command again: it goes on.",
        E::FfmpegMissing => {
            "Install it (on Debian: apt-get install ffmpeg), then run the same command again."
        }
        E::TooManyRedirects => "Some servers do that to whom they do not know: pass --cookies.",
        E::FileBusy { .. } => "Wait for it, or choose another name with --output.",
        E::LoginRefused { .. } => "Check what --user, --password-file or --netrc give.",
        E::Busy { .. } => "Run the same command again after that.",
        // What the server itself says of its bytes is judged anew, as is everything that passes.
        E::ContentChanged | E::ChecksumMismatch { .. } | E::Internal(_) => AGAIN,
        error if error.is_transient() => AGAIN,
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use url::Url;
    use weir_engine::Login;

    use super::*;

    fn source() -> Source {
        Source::get(Url::parse("http://h/").unwrap())
    }

    #[test]
    fn the_same_command_again_is_advised_only_where_it_may_help() {
        let mismatch = |stated_by| EngineError::ChecksumMismatch { algorithm: "SHA-256", stated_by };
        let proxy = |reason: &str, refused| EngineError::ProxyFailed {
            host: "p:1".into(),
            reason: reason.into(),
            refused,
        };
        let segment = |status| EngineError::SegmentMissing {
            index: 0,
            number: 1,
            count: 2,
            reason: "r".into(),
            status,
        };
        for (error, again) in [
            (EngineError::Unreachable { host: "h".into() }, true),
            (EngineError::Timeout { host: "h".into() }, true),
            (EngineError::BrokenTransfer { reason: "cut".into() }, true),
            (EngineError::HttpStatus { status: 503 }, true),
            (EngineError::ContentChanged, true),
            (EngineError::DiskFull, true),
            (mismatch("the server"), true),
            (proxy("no connection to it can be made", false), true),
            (segment(Some(503)), true),
            (segment(None), true),
            (EngineError::DurationMismatch { expected_s: 2.0, actual_s: 1.0, segment: None }, true),
            (mismatch("the caller"), false),
            (proxy("it wants a name and a password, or others", true), false),
            (segment(Some(404)), false),
            (EngineError::TooManyRedirects, false),
            (EngineError::ChecksumUnavailable { reason: "r".into() }, false),
            (EngineError::Tls { host: "h".into(), reason: "its certificate has expired".into() }, false),
            (EngineError::HttpStatus { status: 400 }, false),
            (EngineError::LoginRequired { status: 401 }, false),
            (EngineError::LoginRefused { status: 401 }, false),
            (EngineError::Busy { status: 429, wait: std::time::Duration::from_secs(3600) }, true),
            (EngineError::Gone { status: 404 }, false),
            (EngineError::OwnAddress, false),
        ] {
            let said = of(&error, &source());
            assert_eq!(said.contains("same command again"), again, "{said}");
        }
    }

    #[test]
    fn advice_names_the_flags_that_may_help() {
        let mismatch = EngineError::ChecksumMismatch { algorithm: "SHA-256", stated_by: "the caller" };
        assert_eq!(
            of(&mismatch, &source()),
            "The downloaded bytes do not match the SHA-256 checksum you gave. Check the checksum you gave."
        );
        let proxy = EngineError::ProxyFailed {
            host: "p:1".into(),
            reason: "it wants a name and a password, or others".into(),
            refused: true,
        };
        assert!(of(&proxy, &source()).ends_with("Give it in --proxy http://NAME:PASSWORD@HOST."));
        let login = EngineError::LoginRequired { status: 401 };
        let said = of(&login, &source());
        assert!(said.contains("--user") && said.contains("--netrc") && said.contains("--cookies"), "{said}");
        let with_login = Source { login: Some(Login::new("me", "secret")), ..source() };
        assert!(!of(&login, &with_login).contains("--user"));
    }
}
