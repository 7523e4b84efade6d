//! How figures look on a terminal, and the one way to stderr.

use std::io::Write as _;

use weir_protocol::{Download, DownloadStatus};

/// A line for people on stderr. Whether anybody reads it changes nothing: a log that was closed stops no download and is
/// no reason for another exit status.
pub(super) fn note(line: impl std::fmt::Display) {
    let _ = writeln!(std::io::stderr().lock(), "{line}");
}

/// `1.5 MB`; powers of 1000, as disks and networks are sold.
pub(super) fn bytes(count: u64) -> String {
    const UNITS: [&str; 5] = ["kB", "MB", "GB", "TB", "PB"];
    if count < 1000 {
        return format!("{count} B");
    }
    #[allow(clippy::cast_precision_loss)]
    let mut value = count as f64 / 1000.0;
    let mut unit = 0;
    while value >= 999.95 && unit + 1 < UNITS.len() {
        value /= 1000.0;
        unit += 1;
    }
    format!("{value:.1} {}", UNITS[unit])
}

/// `1:02:03`, `2:03`.
pub(super) fn duration(seconds: u64) -> String {
    let (hours, minutes, seconds) = (seconds / 3600, seconds / 60 % 60, seconds % 60);
    if hours > 0 { format!("{hours}:{minutes:02}:{seconds:02}") } else { format!("{minutes}:{seconds:02}") }
}

/// A name or message from outside, without what a terminal would obey.
pub(super) fn plain(text: &str) -> String {
    text.chars().map(|c| if c.is_control() { '\u{fffd}' } else { c }).collect()
}

/// One line of `weir list`.
pub(super) fn line(row: &Download) -> String {
    let amount = match (row.status, row.total_bytes) {
        (DownloadStatus::Completed, _) => bytes(row.received_bytes),
        // Nothing of it is left.
        (DownloadStatus::Cancelled, _) => String::new(),
        _ if row.live => format!("{} {}", duration(row.recorded_s.unwrap_or(0)), bytes(row.received_bytes)),
        (_, Some(total)) => format!("{:.0} % of {}", row.progress, bytes(total)),
        (_, None) if row.progress > 0.0 => format!("{:.0} %", row.progress),
        (_, None) => bytes(row.received_bytes),
    };
    let mut text =
        format!("{:>5}  {:<11}  {:>16}  {}", row.id, row.status.as_str(), amount, plain(&row.filename));
    if row.live && row.status.is_running() {
        text += "  live";
    }
    if row.status.is_running() && row.speed > 0 {
        text += &format!("  {}/s", bytes(row.speed));
        if let Some(eta) = row.eta {
            text += &format!("  {} left", duration(eta));
        }
    }
    if let (DownloadStatus::Queued, Some(at)) = (row.status, &row.start_at) {
        text += &format!("  not before {}", plain(at));
    }
    if let Some(rate) = row.rate_limit.filter(|_| row.status.is_active()) {
        text += &format!("  at most {}/s", bytes(rate));
    }
    if let Some(error) = &row.error {
        text += &format!("\n       {}", plain(&error.message));
    }
    if let Some(lacks) = &row.lacks {
        text += &format!("\n       Not whole: {}", plain(lacks));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_times_read_well() {
        assert_eq!(bytes(0), "0 B");
        assert_eq!(bytes(999), "999 B");
        assert_eq!(bytes(1500), "1.5 kB");
        assert_eq!(bytes(999_999), "1.0 MB");
        assert_eq!(bytes(u64::MAX), "18446.7 PB");
        assert_eq!(duration(59), "0:59");
        assert_eq!(duration(3723), "1:02:03");
    }

    #[test]
    fn terminals_get_no_orders_from_file_names() {
        assert_eq!(plain("a\x1b[31mb\r\n"), "a\u{fffd}[31mb\u{fffd}\u{fffd}");
    }
}
