//! Numbers as a person reads them: sizes, rates, times, and the sentence of a progress bar.
//!
//! Pure; never touches the DOM. Invariant: what is said is never more than what is known: an unknown size
//! gives no percentage, and no figure reaches "100 %" before the download is completed.

use weir_protocol::{Download, DownloadKind, DownloadStatus, Rendition, Variant};

const UNITS: [&str; 5] = ["B", "kB", "MB", "GB", "TB"];

/// A number of bytes in SI units: `640 kB`, `3.1 MB`, `124 MB`.
#[must_use]
pub fn bytes(count: u64) -> String {
    // As f64 on purpose: three digits are shown, so the rounding above 2^53 cannot be seen.
    let mut value = count as f64;
    let mut unit = 0;
    // 999.5 would be shown as 1000: it belongs to the next unit already.
    while value >= 999.5 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    let name = UNITS.get(unit).copied().unwrap_or("TB");
    // Below a megabyte a decimal says nothing useful; above, it keeps a live figure from looking frozen.
    if unit < 2 || value >= 99.95 { format!("{value:.0} {name}") } else { format!("{value:.1} {name}") }
}

/// A rate: `3.1 MB/s`.
#[must_use]
pub fn speed(bytes_per_second: u64) -> String {
    format!("{}/s", bytes(bytes_per_second))
}

/// A limit of a rate: `3.1 MB/s`, `no limit`.
#[must_use]
pub fn limit(bytes_per_second: Option<u64>) -> String {
    bytes_per_second.map_or_else(|| "no limit".to_owned(), speed)
}

/// Time left, coarser the longer it takes: `45 s left`, `2 min left`, `1 h 5 min left`, `3 d left`.
#[must_use]
pub fn time_left(seconds: u64) -> String {
    format!("{} left", span(seconds))
}

fn span(seconds: u64) -> String {
    match seconds {
        0..=59 => format!("{} s", seconds.max(1)),
        60..=3569 => format!("{} min", (seconds + 30) / 60),
        3570..=86_399 => {
            let minutes = (seconds + 30) / 60;
            match minutes % 60 {
                0 => format!("{} h", minutes / 60),
                rest => format!("{} h {rest} min", minutes / 60),
            }
        }
        _ => format!("{} d", (seconds + 43_200) / 86_400),
    }
}

/// Times less far away than this are counted down, seconds; others are told by the clock.
pub const COUNTED: f64 = 3600.0;

/// When a row that waits for its time begins: `Starts at 23:00`, `Tries again in 50 s`. None for a row that waits for
/// nothing but its turn. `seconds` are left until then, none when there is no such time; `at` is the moment as this
/// place writes it.
#[must_use]
pub fn waiting(download: &Download, seconds: Option<f64>, at: impl FnOnce() -> String) -> Option<String> {
    if !download.waits() {
        return None;
    }
    let (begins, verb) =
        if download.error.is_some() { ("Tries again", "try again") } else { ("Starts", "start") };
    Some(match seconds.filter(|seconds| seconds.is_finite()) {
        // A wait that ends on its own terms, as when there is no network.
        None => format!("Waits to {verb}"),
        Some(seconds) if seconds <= 0.0 => format!("{begins} as soon as it can"),
        Some(seconds) if seconds < COUNTED => format!("{begins} in {}", span(seconds.ceil() as u64)),
        Some(_) => format!("{begins} at {}", at()),
    })
}

/// Length of a piece of media: `4:07`, `1:02:03`.
#[must_use]
pub fn duration(milliseconds: u64) -> String {
    let seconds = (milliseconds + 500) / 1000;
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// How long a live stream has been recorded: `0:12:30`, so that it is no time of day and no time left.
#[must_use]
pub fn recorded(seconds: u64) -> String {
    format!("{}:{:02}:{:02}", seconds / 3600, seconds / 60 % 60, seconds % 60)
}

/// Whole percent, 0–100, rounded down: 99.9 is not yet 100.
#[must_use]
pub fn percent(progress: f64) -> u8 {
    if progress.is_finite() { progress.clamp(0.0, 100.0) as u8 } else { 0 }
}

/// What a progress bar may claim: a percentage, or none while the whole is unknown.
#[must_use]
pub fn bar_value(download: &Download) -> Option<u8> {
    let unknown = match download.status {
        DownloadStatus::Resolving => download.progress <= 0.0,
        DownloadStatus::Downloading => download.progress <= 0.0 && download.total_bytes.is_none(),
        _ => false,
    };
    (!unknown).then(|| percent(download.progress))
}

/// Name of a status, for a person.
#[must_use]
pub const fn status(status: DownloadStatus) -> &'static str {
    match status {
        DownloadStatus::Queued => "Waiting",
        DownloadStatus::Resolving => "Asking the server",
        DownloadStatus::Downloading => "Downloading",
        DownloadStatus::Finishing => "Finishing",
        DownloadStatus::Completed => "Completed",
        DownloadStatus::Paused => "Paused",
        DownloadStatus::Error => "Failed",
        DownloadStatus::Cancelled => "Cancelled",
    }
}

/// Name of a kind, for a person.
#[must_use]
pub const fn kind(kind: DownloadKind) -> &'static str {
    match kind {
        DownloadKind::File => "File",
        DownloadKind::Hls => "HLS stream",
        DownloadKind::Dash => "DASH stream",
        DownloadKind::Site => "Page, by yt-dlp",
    }
}

/// Name of where a download stands, for a person.
#[must_use]
pub const fn state(download: &Download) -> &'static str {
    match download.status {
        DownloadStatus::Downloading if download.live => "Recording",
        other => status(other),
    }
}

/// What a screen reader says of a bar: `42 %, 3.1 MB/s, 2 min left`.
#[must_use]
pub fn bar_text(download: &Download) -> String {
    let mut parts = Vec::with_capacity(3);
    match download.status {
        DownloadStatus::Downloading => match bar_value(download) {
            Some(value) => parts.push(format!("{value} %")),
            None => parts.push(format!("{} so far", bytes(download.received_bytes))),
        },
        DownloadStatus::Paused | DownloadStatus::Error => {
            parts.push(format!("{} %", percent(download.progress)));
            parts.push(status(download.status).to_lowercase());
        }
        other => parts.push(status(other).to_lowercase()),
    }
    if download.status == DownloadStatus::Downloading {
        parts.push(speed(download.speed));
        parts.extend(download.eta.map(time_left));
    }
    parts.join(", ")
}

/// The line of figures under a name, in the order of interest; `brief` where there is room for one short line.
#[must_use]
pub fn facts(download: &Download, brief: bool) -> Vec<String> {
    let mut facts = Vec::with_capacity(4);
    match download.status {
        DownloadStatus::Downloading if download.live => {
            facts.push(format!("Recording {}", recorded(download.recorded_s.unwrap_or(0))));
            facts.push(bytes(download.received_bytes));
            facts.push(speed(download.speed));
        }
        DownloadStatus::Downloading => {
            let share = bar_value(download).map(|value| format!("{value} %"));
            let known = share.is_some();
            facts.extend(share);
            if !(brief && known) {
                facts.push(amount(download));
            }
            facts.push(speed(download.speed));
            facts.extend(download.eta.map(time_left));
        }
        DownloadStatus::Completed => {
            facts.extend(download.lacks.as_ref().map(|_| "Partial".to_owned()));
            facts.push(bytes(download.total_bytes.unwrap_or(download.received_bytes)));
        }
        DownloadStatus::Paused | DownloadStatus::Error | DownloadStatus::Finishing => {
            facts.push(status(download.status).to_owned());
            if download.live {
                facts.extend(download.recorded_s.map(|seconds| format!("{} recorded", recorded(seconds))));
            }
            if download.received_bytes > 0 {
                facts.push(amount(download));
            }
        }
        other => facts.push(status(other).to_owned()),
    }
    facts
}

/// `12.4 MB of 30.0 MB`, or what is there while the whole is unknown.
fn amount(download: &Download) -> String {
    match (download.total_bytes, estimated_total(download)) {
        (Some(total), _) => format!("{} of {}", bytes(download.received_bytes), bytes(total)),
        (None, Some(total)) => format!("{} of about {}", bytes(download.received_bytes), bytes(total)),
        (None, None) => bytes(download.received_bytes),
    }
}

/// What a stream will come to if the rest is like what is there; none before that can be told.
fn estimated_total(download: &Download) -> Option<u64> {
    const ENOUGH: f64 = 5.0;
    let known = download.kind.is_segmented() && !download.live && download.progress >= ENOUGH;
    (known && download.progress < 100.0)
        .then(|| (download.received_bytes as f64 * 100.0 / download.progress) as u64)
}

/// One entry of a quality list: `1080p · about 640 MB`.
#[must_use]
pub fn variant(variant: &Variant) -> String {
    match variant.estimated_bytes {
        Some(size) => format!("{} · about {}", variant.label, bytes(size)),
        None => variant.label.clone(),
    }
}

/// Languages to choose from, as the value that chooses each and what a person reads, each once; `nothing` is what no
/// choice is called. What names no language cannot be asked for by one.
#[must_use]
pub fn languages(renditions: &[Rendition], nothing: &str) -> Vec<(String, String)> {
    let mut choices = vec![(String::new(), nothing.to_owned())];
    for rendition in renditions {
        let Some(language) = rendition.language.as_ref().filter(|language| !language.is_empty()) else {
            continue;
        };
        if choices.iter().any(|(known, _)| known.eq_ignore_ascii_case(language)) {
            continue;
        }
        let named = !rendition.name.is_empty() && !rendition.name.eq_ignore_ascii_case(language);
        let text = if named { format!("{} ({language})", rendition.name) } else { language.clone() };
        choices.push((language.clone(), text));
    }
    choices
}

/// Host of an address, for a line of its own; none when it has no host.
#[must_use]
pub fn host(url: &str) -> Option<&str> {
    let (_, rest) = url.split_once("://")?;
    let authority = rest.split(['/', '?', '#']).next()?;
    let host = authority.rsplit_once('@').map_or(authority, |(_, host)| host);
    (!host.is_empty()).then_some(host)
}

/// An address without what may be secret in it: user info, query and fragment.
#[must_use]
pub fn bare_address(url: &str) -> String {
    let bare = url.split(['?', '#']).next().unwrap_or_default();
    match (bare.split_once("://"), host(bare)) {
        (Some((scheme, rest)), Some(host)) => {
            let path = rest.find('/').and_then(|start| rest.get(start..)).unwrap_or_default();
            format!("{scheme}://{host}{path}")
        }
        _ => bare.to_owned(),
    }
}

/// The folder of a path, of either kind of system.
#[must_use]
pub fn folder(path: &str) -> &str {
    path.rfind(['/', '\\']).and_then(|end| path.get(..end.max(1))).unwrap_or(path)
}

/// Whether an address from outside may become a link.
#[must_use]
pub fn is_web(url: &str) -> bool {
    url.get(..8).is_some_and(|start| {
        let start = start.to_ascii_lowercase();
        start.starts_with("https://") || start.starts_with("http://")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::tests::download;

    #[test]
    fn sizes_have_three_digits_and_the_right_unit() {
        let rows = [
            (0, "0 B"),
            (999, "999 B"),
            (1_000, "1 kB"),
            (640_400, "640 kB"),
            (999_499, "999 kB"),
            (999_500, "1.0 MB"),
            (3_140_000, "3.1 MB"),
            (99_949_999, "99.9 MB"),
            (99_960_000, "100 MB"),
            (999_600_000, "1.0 GB"),
            (5_000_000_000_000_000, "5000 TB"),
        ];
        for (count, text) in rows {
            assert_eq!(bytes(count), text, "{count}");
        }
    }

    #[test]
    fn time_left_never_says_sixty() {
        let rows = [
            (0, "1 s left"),
            (59, "59 s left"),
            (60, "1 min left"),
            (89, "1 min left"),
            (90, "2 min left"),
            (3569, "59 min left"),
            (3570, "1 h left"),
            (3900, "1 h 5 min left"),
            (7170, "2 h left"),
            (86_400, "1 d left"),
            (300_000, "3 d left"),
        ];
        for (seconds, text) in rows {
            assert_eq!(time_left(seconds), text, "{seconds}");
        }
    }

    #[test]
    fn a_row_that_waits_for_its_time_says_when() {
        let mut row = download(1, DownloadStatus::Queued);
        assert_eq!(waiting(&row, Some(50.0), String::new), None, "its turn is not a time");
        row.start_at = Some("2026-11-21T23:00:00Z".to_owned());
        let says = |row: &Download, seconds| waiting(row, seconds, || "23:00".to_owned()).unwrap_or_default();
        assert_eq!(says(&row, Some(7_200.0)), "Starts at 23:00");
        assert_eq!(says(&row, Some(49.2)), "Starts in 50 s");
        assert_eq!(says(&row, Some(-3.0)), "Starts as soon as it can");
        row.error =
            Some(weir_protocol::ErrorInfo { code: "timeout".into(), message: "m".into(), action: None });
        assert_eq!(says(&row, Some(90.0)), "Tries again in 2 min");
        assert_eq!(says(&row, Some(f64::NAN)), "Waits to try again");
        row.start_at = None;
        assert_eq!(says(&row, None), "Waits to try again");
        row.status = DownloadStatus::Downloading;
        assert_eq!(waiting(&row, None, String::new), None);
    }

    #[test]
    fn what_was_given_up_claims_no_share() {
        let mut row = download(1, DownloadStatus::Cancelled);
        (row.progress, row.received_bytes, row.total_bytes) = (42.0, 42, Some(100));
        for brief in [true, false] {
            assert_eq!(facts(&row, brief), ["Cancelled"]);
        }
        assert_eq!(bar_text(&row), "cancelled");
    }

    #[test]
    fn a_bare_address_has_no_secrets_in_it() {
        let bare = bare_address("https://me:pass@example.org:8443/a/b.iso?token=abc#part");
        assert_eq!(bare, "https://example.org:8443/a/b.iso");
        assert_eq!(bare_address("https://example.org?token=abc"), "https://example.org");
        assert_eq!(bare_address("https://example.org/a?x=@/y"), "https://example.org/a");
        assert_eq!(bare_address("nonsense?x"), "nonsense");
    }

    #[test]
    fn a_folder_is_what_is_before_the_name() {
        assert_eq!(folder("/home/me/Downloads/a.bin"), "/home/me/Downloads");
        assert_eq!(folder("C:\\Users\\me\\a.bin"), "C:\\Users\\me");
        assert_eq!(folder("/a.bin"), "/");
    }

    #[test]
    fn durations_are_clocks() {
        assert_eq!(duration(0), "0:00");
        assert_eq!(duration(247_400), "4:07");
        assert_eq!(duration(59_600), "1:00");
        assert_eq!(duration(3_723_000), "1:02:03");
    }

    #[test]
    fn percent_is_never_early_and_never_out_of_range() {
        assert_eq!(percent(99.99), 99);
        assert_eq!(percent(100.0), 100);
        assert_eq!(percent(-3.0), 0);
        assert_eq!(percent(250.0), 100);
        assert_eq!(percent(f64::NAN), 0);
    }

    #[test]
    fn a_bar_says_what_is_known() {
        let mut row = download(1, DownloadStatus::Downloading);
        row.progress = 42.7;
        row.speed = 3_100_000;
        row.eta = Some(120);
        row.received_bytes = 4_270_000;
        row.total_bytes = Some(10_000_000);
        assert_eq!(bar_text(&row), "42 %, 3.1 MB/s, 2 min left");
        assert_eq!(facts(&row, false), ["42 %", "4.3 MB of 10.0 MB", "3.1 MB/s", "2 min left"]);
        assert_eq!(facts(&row, true), ["42 %", "3.1 MB/s", "2 min left"]);
        assert_eq!(bar_value(&row), Some(42));

        row.total_bytes = None;
        row.progress = 0.0;
        row.eta = None;
        assert_eq!(bar_text(&row), "4.3 MB so far, 3.1 MB/s");
        assert_eq!(bar_value(&row), None);
        assert_eq!(facts(&row, true), ["4.3 MB", "3.1 MB/s"]);

        // A playlist knows how far it is without knowing its size.
        row.progress = 10.0;
        assert_eq!(bar_value(&row), Some(10));

        row.status = DownloadStatus::Paused;
        assert_eq!(bar_text(&row), "10 %, paused");
    }

    #[test]
    fn every_language_is_offered_once_under_its_name() {
        let rendition = |language: &str, name: &str| Rendition {
            id: String::new(),
            language: Some(language.to_owned()).filter(|language| !language.is_empty()),
            name: name.to_owned(),
            default: false,
            forced: false,
            codecs: None,
        };
        let all = [
            rendition("de", "Deutsch"),
            rendition("DE", "Audiodeskription"),
            rendition("", "?"),
            rendition("en", "en"),
        ];
        let choices = languages(&all, "None");
        let shown: Vec<(&str, &str)> =
            choices.iter().map(|(value, text)| (value.as_str(), text.as_str())).collect();
        assert_eq!(shown, [("", "None"), ("de", "Deutsch (de)"), ("en", "en")]);
    }

    #[test]
    fn a_recording_claims_no_share_and_a_stream_no_more_than_a_guess() {
        let mut row = download(1, DownloadStatus::Downloading);
        row.kind = DownloadKind::Hls;
        (row.total_bytes, row.progress, row.received_bytes, row.speed) = (None, 25.0, 10_000_000, 1_000_000);
        assert_eq!(facts(&row, false), ["25 %", "10.0 MB of about 40.0 MB", "1.0 MB/s"]);
        row.progress = 2.0;
        assert_eq!(facts(&row, false), ["2 %", "10.0 MB", "1.0 MB/s"]);
        (row.live, row.recorded_s, row.progress) = (true, Some(750), 0.0);
        for brief in [true, false] {
            assert_eq!(facts(&row, brief), ["Recording 0:12:30", "10.0 MB", "1.0 MB/s"]);
        }
        assert_eq!(state(&row), "Recording");
        row.status = DownloadStatus::Paused;
        assert_eq!(facts(&row, true), ["Paused", "0:12:30 recorded", "10.0 MB"]);
        row.status = DownloadStatus::Completed;
        (row.live, row.lacks) = (false, Some("2 of 9 segments.".to_owned()));
        assert_eq!(facts(&row, true), ["Partial", "10.0 MB"]);
    }

    #[test]
    fn hosts_are_found_without_the_credentials_before_them() {
        assert_eq!(host("https://me:secret@example.org:8443/a?b#c"), Some("example.org:8443"));
        assert_eq!(host("https://example.org"), Some("example.org"));
        assert_eq!(host("nonsense"), None);
    }

    #[test]
    fn only_web_addresses_become_links() {
        assert!(is_web("HTTPS://example.org"));
        assert!(is_web("http://a"));
        assert!(!is_web("javascript:alert(1)"));
        assert!(!is_web("http:/a"));
        assert!(!is_web(""));
    }
}
