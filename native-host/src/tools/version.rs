//! Asking a program for its version.
//!
//! Never waits longer than [`PATIENCE`] and never reads more than a page. Invariant: a program that hangs or babbles is one
//! without a version, not a hanging command.

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use jiff::civil::Date;
use tokio::io::AsyncReadExt as _;
use tokio::process::Command;

/// How long a program may take to say who it is. Python needs half a second, and more on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
/// Oldest Node.js that runs what sites want to be computed.
pub(crate) const LEAST_NODE: u32 = 20;
/// Oldest Deno that does.
pub(crate) const LEAST_DENO: u32 = 2;

/// The first line a program says when asked with `argument`.
pub(crate) async fn ask(program: &Path, argument: &str) -> Option<String> {
    let mut child = Command::new(program)
        .arg(argument)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .kill_on_drop(true)
        .spawn()
        .ok()?;
    let said = async {
        let mut text = Vec::new();
        let mut stdout = child.stdout.take()?.take(4096);
        stdout.read_to_end(&mut text).await.ok()?;
        // One that says more would wait for us for ever.
        drop(stdout);
        child.wait().await.ok()?;
        Some(String::from_utf8_lossy(&text).lines().next()?.trim().to_owned())
    };
    tokio::time::timeout(PATIENCE, said).await.ok()?.filter(|line| !line.is_empty())
}

/// Version of ffmpeg or ffprobe: the third word of what they say.
pub(crate) async fn of_ffmpeg(program: &Path) -> Option<String> {
    let line = ask(program, "-version").await?;
    line.split_whitespace().nth(2).filter(|_| line.contains(" version ")).map(str::to_owned)
}

/// Version of yt-dlp: a date, with more behind it for nightly ones.
pub(crate) async fn of_yt_dlp(program: &Path) -> Option<String> {
    ask(program, "--version").await.filter(|version| is_version(version))
}

/// A JavaScript runtime that yt-dlp can use: its name and version.
pub(crate) async fn javascript(beside: Option<&Path>) -> Option<(&'static str, String)> {
    let own = beside
        .and_then(Path::parent)
        .map(|folder| folder.join("deno"))
        .filter(|path| super::is_program(path));
    for (name, program, least) in [
        ("node", super::in_path("node"), LEAST_NODE),
        ("deno", own.or_else(|| super::in_path("deno")), LEAST_DENO),
    ] {
        let Some(program) = program else { continue };
        // `v20.20.2`, `deno 2.9.8 (stable, …)`
        let Some(line) = ask(&program, "--version").await else { continue };
        let number =
            line.trim_start_matches("deno ").trim_start_matches('v').split(' ').next().unwrap_or_default();
        let major = number.split('.').next().and_then(|major| major.parse::<u32>().ok());
        if major.is_some_and(|major| major >= least) {
            return Some((name, number.to_owned()));
        }
    }
    None
}

/// Digits, letters and dots, beginning with a digit: nothing that could be an option or a path.
pub(crate) fn is_version(text: &str) -> bool {
    (1..=40).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        && !text.contains("..")
}

/// The day a version of yt-dlp names.
pub(crate) fn day_of(version: &str) -> Option<Date> {
    let mut parts = version.split('.');
    let mut next = || parts.next()?.parse::<i16>().ok();
    let (year, month, day) = (next()?, next()?, next()?);
    Date::new(year, i8::try_from(month).ok()?, i8::try_from(day).ok()?).ok()
}

/// pip writes `2026.8.19` where yt-dlp says `2026.08.19`.
pub(crate) fn is_same(one: &str, other: &str) -> bool {
    let parts = |text: &str| -> Vec<String> {
        text.split('.').map(|part| part.trim_start_matches('0').to_ascii_lowercase()).collect()
    };
    parts(one) == parts(other)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_dates_and_leading_zeros_do_not_matter() {
        assert_eq!(day_of("2026.08.19"), Date::new(2026, 8, 19).ok());
        assert_eq!(day_of("2026.10.26.232815"), Date::new(2026, 10, 26).ok());
        assert_eq!(day_of("2026.13.1"), None);
        assert_eq!(day_of("nightly"), None);
        assert!(is_same("2026.8.19", "2026.08.19") && is_same("2026.08.19.dev0", "2026.8.19.DEV0"));
        assert!(!is_same("2026.8.19", "2026.8.2"));
        for good in ["2026.10.26", "2026.10.26.232815.dev0"] {
            assert!(is_version(good), "{good}");
        }
        for bad in ["", "-1", "--help", "../x", "1/2", "1..2", "latest", "1 2", "1\n"] {
            assert!(!is_version(bad), "{bad}");
        }
    }

    #[tokio::test]
    async fn a_program_that_says_nothing_or_too_much_has_no_version() {
        assert_eq!(ask(Path::new("/nowhere"), "-v").await, None);
        assert_eq!(ask(Path::new("/bin/true"), "-v").await, None);
        // `yes` never ends by itself.
        assert_eq!(ask(Path::new("/usr/bin/yes"), "again").await.as_deref(), Some("again"));
        assert_eq!(of_ffmpeg(Path::new("/bin/echo")).await, None);
    }
}
