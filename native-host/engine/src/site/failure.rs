//! What yt-dlp says when it fails, as the fact it is.
//!
//! Pure. Looks for few words in its error lines, which are all it gives; what is not recognised is told as it was said.
//! Invariant: no message carries a query string or a path.

use std::collections::VecDeque;

use url::Url;

use crate::{EngineError, without_query};

/// Lines of its errors that are kept, the last ones.
const MAX_LINES: usize = 20;
/// Characters of a reason.
const MAX_REASON: usize = 300;

/// Its error lines while it runs.
#[derive(Debug, Default)]
pub(super) struct Errors(VecDeque<String>);

impl Errors {
    /// Keeps a line if it is of an error.
    pub(super) fn keep(&mut self, line: &str) {
        let line = line.trim();
        let of_options = line.contains("error: ") && !line.starts_with("WARNING");
        if !(line.starts_with("ERROR:") || of_options || line.contains("No space left on device")) {
            return;
        }
        if self.0.len() == MAX_LINES {
            self.0.pop_front();
        }
        self.0.push_back(line.chars().take(4 * MAX_REASON).collect());
    }

    /// The fact behind them. `paths` are not to be told.
    pub(super) fn fact(&self, paths: &[String]) -> EngineError {
        let Some(last) = self.0.back() else {
            return failed("it ended without saying why".to_owned(), true);
        };
        let said: Vec<String> = self.0.iter().map(|line| line.to_lowercase()).collect();
        let says = |words: &[&str]| said.iter().any(|line| words.iter().any(|word| line.contains(word)));
        if says(&["no space left on device"]) {
            return EngineError::DiskFull;
        }
        if says(&["unsupported url"]) {
            return failed(
                "nothing to download was found on it (`--kind file` saves the page itself)".to_owned(),
                false,
            );
        }
        if says(&["drm protected", "drm-protected", "drm protection", "uses drm", "has drm"]) {
            return EngineError::Drm { system: "DRM".to_owned() };
        }
        if says(&[
            "ffmpeg not found",
            "ffprobe not found",
            "ffmpeg is not installed",
            "ffprobe and ffmpeg not",
        ]) {
            return EngineError::FfmpegMissing;
        }
        if says(&["no such option"]) {
            return failed(
                "this yt-dlp is too old; `weir tools install yt-dlp` brings one that works".to_owned(),
                false,
            );
        }
        match said.iter().rev().find_map(|line| status(line)) {
            Some(status @ (401 | 403)) => return EngineError::LoginRequired { status },
            Some(status @ (404 | 410)) => return EngineError::Gone { status },
            Some(status) => return EngineError::HttpStatus { status },
            None => {}
        }
        let transient = says(&[
            "timed out",
            "timeout",
            "connection reset",
            "connection refused",
            "connection aborted",
            "remote end closed",
            "name resolution",
            "name or service not known",
            "failed to resolve",
            "network is unreachable",
            "no route to host",
            "incompleteread",
            "bytes read",
            "unable to download",
            "giving up after",
            "unavailable fragment",
            "fragment not found",
        ]);
        failed(reason(last, paths), transient)
    }

    /// No format fits what was wished for.
    pub(super) fn says_no_such_format(&self) -> bool {
        self.0.iter().any(|line| line.to_lowercase().contains("requested format is not available"))
    }
}

pub(super) fn failed(reason: String, transient: bool) -> EngineError {
    EngineError::SiteFailed { reason, transient }
}

/// `HTTP Error 403: Forbidden`.
fn status(line: &str) -> Option<u16> {
    let digits = line.split("http error ").nth(1)?.get(..3)?;
    digits.parse().ok().filter(|status| (400..600).contains(status))
}

/// One clause of an error line: without its class, advice for authors, queries and paths.
fn reason(line: &str, paths: &[String]) -> String {
    let mut text = line.trim_start_matches("ERROR:").trim();
    // `[site] id: words`
    if text.starts_with('[')
        && let Some((_, rest)) = text.split_once(": ")
    {
        text = rest;
    }
    for advice in [
        "; please report",
        ". Please report",
        " (caused by",
        "; see ",
        ". See ",
        ". Use --",
        " Confirm you are",
    ] {
        text = text.split(advice).next().unwrap_or(text);
    }
    let mut out = String::new();
    for word in text.split_whitespace() {
        if !out.is_empty() {
            out.push(' ');
        }
        let at = ["http://", "https://"].iter().filter_map(|scheme| word.find(scheme)).min();
        match at.and_then(|at| Some((at, Url::parse(&word[at..]).ok()?))) {
            Some((at, url)) => {
                out.push_str(&word[..at]);
                out.push_str(&without_query(&url));
            }
            None => out.push_str(word),
        }
    }
    for path in paths.iter().filter(|path| path.len() > 1) {
        out = out.replace(path.as_str(), "…");
    }
    let out: String = out.chars().filter(|c| !c.is_control()).take(MAX_REASON).collect();
    let out = out.trim_end_matches(['.', ' ']);
    if out.is_empty() { "it gave no reason".to_owned() } else { out.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fact(lines: &[&str]) -> EngineError {
        let mut errors = Errors::default();
        lines.iter().for_each(|line| errors.keep(line));
        errors.fact(&["/home/u/dl/x.part.work".to_owned()])
    }

    #[test]
    fn each_fact_is_told_from_its_words() {
        let unsupported =
            fact(&["WARNING: [generic] Falling back", "ERROR: Unsupported URL: http://h/x?token=S"]);
        assert!(
            unsupported.to_string().contains("--kind file") && !unsupported.is_transient(),
            "{unsupported}"
        );
        for (line, wanted) in [
            ("ERROR: [x] 1: This video is DRM protected", "protected by DRM"),
            ("ERROR: ffprobe and ffmpeg not found. Please install", "ffmpeg is needed"),
            ("ERROR: unable to write data: [Errno 28] No space left on device", "disk is full"),
            ("yt-dlp: error: no such option: --js-runtimes", "too old"),
            ("ERROR: [generic] a: Unable to download webpage: HTTP Error 404: Not Found", "status 404"),
            (
                "ERROR: [generic] Unable to download webpage: HTTP Error 403: Forbidden (caused by x)",
                "status 403",
            ),
            ("ERROR: unable to download video data: HTTP Error 503: Busy", "status 503"),
        ] {
            let told = fact(&[line]).to_string();
            assert!(told.contains(wanted), "{line} → {told}");
        }
        assert!(fact(&["ERROR: unable to download video data: HTTP Error 503: Busy"]).is_transient());
        assert!(fact(&["ERROR: [generic] Unable to download webpage: timed out"]).is_transient());
        assert!(fact(&[]).is_transient());
        assert!(
            !fact(&["ERROR: [yt] id: Private video. Sign in if you've been granted access"]).is_transient()
        );
    }

    #[test]
    fn a_reason_tells_neither_queries_nor_paths() {
        let EngineError::SiteFailed { reason, .. } = fact(&[
            "ERROR: [site] abc: Odd \x1b[31manswer of https://u:p@h.example/x?sig=S3CRET in /home/u/dl/x.part.work/media.mp4; please report this issue on https://github.example",
        ]) else {
            panic!("another fact")
        };
        assert_eq!(reason, "Odd [31manswer of https://h.example/x in …/media.mp4");
        let EngineError::SiteFailed { reason, .. } = fact(&[&format!("ERROR: {}", "x".repeat(9999))]) else {
            panic!("another fact")
        };
        assert!(reason.len() <= MAX_REASON);
    }
}
