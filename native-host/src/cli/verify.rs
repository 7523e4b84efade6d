//! `weir verify`: are finished files still what they were?
//!
//! Owns the comparison of files on disk with the hashes recorded in the history, beside them, or on the command line.
//! Never changes anything, and starts no daemon: without one the history is read from the store. Invariant: a file is
//! called whole only when all its bytes were read now and match.

use std::fs::File;
use std::io::{IsTerminal as _, Read as _};
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256, Sha512};
use weir_engine::{Algorithm, Checksum, Phase};
use weir_protocol::{Download, DownloadId, DownloadStatus};

use super::bars::{self, Look};
use super::manage::{say, say_json};
use super::{Usage, board, output, sums};
use crate::endpoint::hex;
use crate::home::Home;
use crate::queue::SpeedMeter;
use crate::remote::Remote;
use crate::store::{ListQuery, Sort, Store};

/// Piece read at once.
const READ: usize = 1024 * 1024;
/// How often a bar is drawn.
const TICK: Duration = Duration::from_millis(250);
/// Rows asked for at once.
const PAGE: u64 = 1000;

/// `weir verify`.
#[derive(Args)]
pub(super) struct VerifyArgs {
    /// Numbers of downloads, as `weir list` shows them, or files with NAME.sha256 beside them.
    #[arg(required_unless_present = "all", value_name = "ID|FILE")]
    what: Vec<String>,
    /// Every finished download of the history.
    #[arg(long)]
    all: bool,
    /// sha256:HEX (or sha512, sha1, md5) the file must have; only with one file.
    #[arg(long, value_name = "CHECKSUM", value_parser = Checksum::parse)]
    checksum: Option<Checksum>,
}

/// A file to look at and what it should be.
struct Check {
    id: Option<DownloadId>,
    path: PathBuf,
    /// Algorithm and lower-case hex; none when nobody recorded any.
    expected: Option<(Algorithm, String)>,
    /// Its size when it was finished.
    bytes: Option<u64>,
}

/// What became of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Verdict {
    Whole,
    Changed,
    Missing,
    NotRecorded,
    Unreadable,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Whole => "whole",
            Self::Changed => "changed",
            Self::Missing => "missing",
            Self::NotRecorded => "not_recorded",
            Self::Unreadable => "unreadable",
        }
    }
}

/// Checks every file; 0 only when all are whole.
pub(super) fn run(args: &VerifyArgs, json: bool) -> anyhow::Result<ExitCode> {
    let stated = match &args.checksum {
        Some(Checksum::Stated { algorithm, hex }) => Some((*algorithm, hex.clone())),
        Some(_) => {
            return Err(
                Usage("--checksum is sha256:, sha512:, sha1: or md5: and a hash here".to_owned()).into()
            );
        }
        None => None,
    };
    if stated.is_some() && (args.all || args.what.len() != 1) {
        return Err(Usage("--checksum belongs to one file".to_owned()).into());
    }
    let (mut checks, unknown) = collect(args)?;
    if let (Some(stated), [check]) = (stated, &mut checks[..]) {
        check.expected = Some(stated);
        check.bytes = None;
    }
    if checks.is_empty() && !unknown && !json {
        say("No download of the history is finished.")?;
    }
    let mut all_whole = !unknown;
    for check in &checks {
        let (verdict, detail) = judge(check, json);
        all_whole &= verdict == Verdict::Whole;
        // A reader that has gone changes no verdict.
        let _ = tell(check, verdict, detail.as_deref(), json);
    }
    Ok(if all_whole { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn tell(check: &Check, verdict: Verdict, detail: Option<&str>, json: bool) -> anyhow::Result<()> {
    if json {
        let expected = check.expected.as_ref();
        let value: Value = json!({
            "id": check.id,
            "path": check.path.to_string_lossy(),
            "result": verdict.as_str(),
            "algorithm": expected.map(|(algorithm, _)| algorithm.name()),
            "expected": expected.map(|(_, hex)| hex),
            "detail": detail,
        });
        return say_json(&value);
    }
    let path = output::plain(&check.path.display().to_string());
    let detail = detail.map_or(String::new(), |detail| format!("  ({})", output::plain(detail)));
    say(&format!("{:<12}  {path}{detail}", verdict.as_str().replace('_', " ")))
}

/// What is to be looked at, in the order it was named, and whether a number named nothing.
fn collect(args: &VerifyArgs) -> anyhow::Result<(Vec<Check>, bool)> {
    let mut history = History::default();
    let mut unknown = false;
    let mut checks = Vec::new();
    if args.all {
        for row in history.finished()? {
            checks.push(of_row(row));
        }
    }
    for what in &args.what {
        match what.parse::<DownloadId>() {
            Ok(id) => match history.finished()?.iter().find(|row| row.id == id) {
                Some(row) => checks.push(of_row(row)),
                None => {
                    output::note(format_args!(
                        "weir: {id}: the history has no finished download of this number"
                    ));
                    unknown = true;
                }
            },
            Err(_) => {
                checks.push(of_file(&std::path::absolute(what)?, &mut history, args.checksum.is_some())?);
            }
        }
    }
    Ok((checks, unknown))
}

fn of_row(row: &Download) -> Check {
    Check {
        id: Some(row.id),
        path: PathBuf::from(&row.path),
        expected: row.sha256.clone().map(|hex| (Algorithm::Sha256, hex)),
        bytes: row.total_bytes,
    }
}

/// A file's hash is the one beside it, or the one of the last download that went there. `stated` needs neither.
fn of_file(path: &Path, history: &mut History, stated: bool) -> anyhow::Result<Check> {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let mut check = Check { id: None, path: path.to_owned(), expected: None, bytes: None };
    if stated {
        return Ok(check);
    }
    if let Ok(Some(hex)) = sums::read(&sums::beside(path), &name) {
        check.expected = Some((Algorithm::Sha256, hex));
        return Ok(check);
    }
    let text = path.to_string_lossy();
    // Newest first.
    Ok(history.finished()?.iter().find(|row| row.path == text).map_or(check, of_row))
}

/// Finished rows, read once and only when needed.
#[derive(Default)]
struct History {
    rows: Option<Vec<Download>>,
}

impl History {
    /// Newest first.
    fn finished(&mut self) -> anyhow::Result<&[Download]> {
        if self.rows.is_none() {
            self.rows = Some(read_history()?);
        }
        Ok(self.rows.as_deref().unwrap_or_default())
    }
}

fn read_history() -> anyhow::Result<Vec<Download>> {
    let Some(home) = Home::existing() else { return Ok(Vec::new()) };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let remote = Remote::find(&home).await;
        let store = match &remote {
            None if home.database().exists() => Some(Store::open(&home.database())?),
            _ => None,
        };
        let mut rows: Vec<Download> = Vec::new();
        loop {
            let offset = rows.len() as u64;
            let (page, total) = if let Some(remote) = &remote {
                let query = [
                    ("status", DownloadStatus::Completed.as_str().to_owned()),
                    // Oldest first, so that what is added meanwhile moves nothing from page to page.
                    ("sort", "created_at".to_owned()),
                    ("limit", PAGE.to_string()),
                    ("offset", offset.to_string()),
                ];
                remote.get_counted::<Vec<Download>>("/list", &query).await?
            } else if let Some(store) = &store {
                let statuses = vec![DownloadStatus::Completed];
                let mut query = ListQuery { statuses, offset, limit: PAGE, ..ListQuery::default() };
                query.sort = Sort::parse("created_at").unwrap_or(query.sort);
                store.list(query).await?
            } else {
                (Vec::new(), 0)
            };
            let last = page.is_empty();
            rows.extend(page);
            if last || rows.len() as u64 >= total {
                break;
            }
        }
        rows.reverse();
        Ok(rows)
    })
}

fn judge(check: &Check, json: bool) -> (Verdict, Option<String>) {
    let unreadable = |error: std::io::Error| (Verdict::Unreadable, Some(error.to_string()));
    let metadata = match std::fs::metadata(&check.path) {
        Ok(metadata) if metadata.is_file() => metadata,
        Ok(_) => return (Verdict::Unreadable, Some("not a file".to_owned())),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return (Verdict::Missing, None),
        Err(error) => return unreadable(error),
    };
    let Some((algorithm, expected)) = &check.expected else { return (Verdict::NotRecorded, None) };
    if let Some(bytes) = check.bytes.filter(|bytes| *bytes != metadata.len()) {
        let sizes = format!("{} instead of {} bytes", metadata.len(), bytes);
        return (Verdict::Changed, Some(sizes));
    }
    match hash(&check.path, *algorithm, metadata.len(), json) {
        Ok(Some(found)) if found == *expected => (Verdict::Whole, None),
        Ok(Some(_)) => (Verdict::Changed, None),
        Ok(None) => (Verdict::Unreadable, Some(format!("{} cannot be computed here", algorithm.name()))),
        Err(error) => unreadable(error),
    }
}

/// The hash of a file, with a bar while it takes long. None for an algorithm this does not know.
fn hash(path: &Path, algorithm: Algorithm, total: u64, json: bool) -> std::io::Result<Option<String>> {
    let mut hasher = match algorithm {
        Algorithm::Sha256 => Hasher::Sha256(Sha256::new()),
        Algorithm::Sha512 => Hasher::Sha512(Sha512::new()),
        Algorithm::Sha1 => Hasher::Sha1(sha1::Sha1::new()),
        Algorithm::Md5 => Hasher::Md5(md5::Md5::new()),
        _ => return Ok(None),
    };
    let mut file = File::open(path)?;
    let mut piece = vec![0; READ];
    let mut bar = Bar::new(path, total, json);
    let mut read = 0;
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok(Some(hasher.finish()));
        }
        hasher.update(&piece[..n]);
        read += n as u64;
        bar.show(read);
    }
}

enum Hasher {
    Sha256(Sha256),
    Sha512(Sha512),
    Sha1(sha1::Sha1),
    Md5(md5::Md5),
}

impl Hasher {
    fn update(&mut self, bytes: &[u8]) {
        match self {
            Self::Sha256(hasher) => hasher.update(bytes),
            Self::Sha512(hasher) => hasher.update(bytes),
            Self::Sha1(hasher) => hasher.update(bytes),
            Self::Md5(hasher) => hasher.update(bytes),
        }
    }

    fn finish(self) -> String {
        match self {
            Self::Sha256(hasher) => hex(&hasher.finalize()),
            Self::Sha512(hasher) => hex(&hasher.finalize()),
            Self::Sha1(hasher) => hex(&hasher.finalize()),
            Self::Md5(hasher) => hex(&hasher.finalize()),
        }
    }
}

/// A bar that appears only when a file takes longer than a moment, and only on a terminal.
struct Bar {
    bar: Option<ProgressBar>,
    name: String,
    total: u64,
    started: Instant,
    drawn: Duration,
    meter: SpeedMeter,
}

impl Bar {
    fn new(path: &Path, total: u64, json: bool) -> Self {
        let shown = !json && std::io::stderr().is_terminal();
        let bar = shown.then(ProgressBar::new_spinner).inspect(|bar| {
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
        });
        let name = output::plain(&path.file_name().unwrap_or_default().to_string_lossy());
        Self {
            bar,
            name,
            total,
            started: Instant::now(),
            drawn: Duration::ZERO,
            meter: SpeedMeter::default(),
        }
    }

    fn show(&mut self, read: u64) {
        let Some(bar) = &self.bar else { return };
        let now = self.started.elapsed();
        if now - self.drawn < TICK {
            return;
        }
        self.drawn = now;
        self.meter.sample(now, read);
        #[allow(clippy::cast_precision_loss)]
        let fraction = read as f64 / self.total.max(1) as f64;
        let look = Look {
            name: self.name.clone(),
            phase: Phase::Downloading,
            fraction: Some(fraction.min(1.0)),
            received: read,
            total: Some(self.total),
            speed: self.meter.speed(),
            eta: self.meter.eta(read, Some(self.total), fraction),
            connections: 0,
            recorded_s: None,
        };
        bar.set_message(bars::line(&look, board::size().0));
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_way_a_file_can_be_is_told_apart() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.bin");
        std::fs::write(&path, b"hello").unwrap();
        let right = "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824";
        let check = |expected: Option<(Algorithm, &str)>, bytes| Check {
            id: None,
            path: path.clone(),
            expected: expected.map(|(algorithm, hex)| (algorithm, hex.to_owned())),
            bytes,
        };
        for (check, verdict) in [
            (check(Some((Algorithm::Sha256, right)), Some(5)), Verdict::Whole),
            (
                check(Some((Algorithm::Sha1, "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d")), None),
                Verdict::Whole,
            ),
            (check(Some((Algorithm::Md5, "5d41402abc4b2a76b9719d911017c592")), None), Verdict::Whole),
            (check(Some((Algorithm::Md5, "5d41402abc4b2a76b9719d911017c593")), None), Verdict::Changed),
            (check(Some((Algorithm::Sha256, right)), Some(6)), Verdict::Changed),
            (check(None, None), Verdict::NotRecorded),
            (Check { path: dir.path().join("b"), ..check(None, None) }, Verdict::Missing),
            (Check { path: dir.path().to_owned(), ..check(None, None) }, Verdict::Unreadable),
        ] {
            assert_eq!(judge(&check, true).0, verdict, "{}", check.path.display());
        }
        let sha512 = hash(&path, Algorithm::Sha512, 5, true).unwrap().unwrap();
        assert!(sha512.starts_with("9b71d224bd62f3785d96d46ad3ea3d73") && sha512.len() == 128);
    }
}
