//! `weir get`: downloads in the foreground, without the daemon.
//!
//! The same command again goes on where an interrupted one stopped.

use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use futures_util::{StreamExt as _, stream};
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{
    Checksum, Engine, EngineError, EngineOptions, Finished, Job, Monitor, Partial, RateLimit, Source,
};
use weir_protocol::{Action, Download, DownloadKind, DownloadStatus, Event, Progress};

use super::bars::Bars;
use super::cookies;
use super::output;
use crate::endpoint::hex;
use crate::failure;
use crate::queue::{self, SpeedMeter};
use crate::store::Record;

/// Addresses fetched at the same time.
const PARALLEL: usize = 4;

/// How often figures are printed.
const TICK: Duration = Duration::from_millis(250);

/// `weir get`.
#[derive(Debug, Args)]
pub(super) struct GetArgs {
    /// Files or HLS playlists.
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Folder for the files.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    /// Name of the file; only with one address.
    #[arg(short = 'o', long = "output", value_name = "NAME")]
    name: Option<String>,
    /// Parallel connections for each address.
    #[arg(short = 'x', long, default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=32))]
    connections: u32,
    /// Bytes per second for each address: 500k, 2M (powers of 1000).
    #[arg(long, value_name = "RATE", value_parser = rate)]
    limit: Option<u64>,
    /// Another request header; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = header)]
    headers: Vec<(String, String)>,
    /// Referer header.
    #[arg(long)]
    referer: Option<String>,
    /// Cookies in the Netscape format, as browsers' export tools and curl write them.
    #[arg(long, value_name = "FILE")]
    cookies: Option<PathBuf>,
    /// sha256:HEX (or sha512, sha1, md5) the file must have, `sidecar` for the one in URL.sha256, or the address of a
    /// list as SHA256SUMS; only with one address.
    #[arg(long, value_name = "CHECKSUM", value_parser = Checksum::parse)]
    checksum: Option<Checksum>,
    /// best, worst, 720p or the nearest below, audio, or a variant id.
    #[arg(long)]
    quality: Option<String>,
}

/// `NAME: VALUE`.
pub(super) fn header(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once(':').ok_or("give NAME: VALUE")?;
    let (name, value) = (name.trim(), value.trim());
    let valid =
        axum::http::HeaderName::try_from(name).is_ok() && axum::http::HeaderValue::from_str(value).is_ok();
    if valid { Ok((name.to_owned(), value.to_owned())) } else { Err("not a header".to_owned()) }
}

/// `500k`, `2M`, `1.5G`, or plain bytes per second.
fn rate(text: &str) -> Result<u64, String> {
    let text = text.trim().trim_end_matches("/s").trim_end_matches(['b', 'B']);
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match &text[digits.len()..] {
        "" => 1.0,
        "k" | "K" => 1e3,
        "m" | "M" => 1e6,
        "g" | "G" => 1e9,
        _ => return Err("give a number with k, M or G".to_owned()),
    };
    let value: f64 = digits.trim().parse().map_err(|_| "give a number with k, M or G".to_owned())?;
    let bytes = value * factor;
    if !(1.0..=1e15).contains(&bytes) {
        return Err("must be at least 1 byte per second".to_owned());
    }
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    Ok(bytes as u64)
}

/// Fetches every address; the exit status is that of the worst.
pub(super) fn run(args: &GetArgs, json: bool) -> anyhow::Result<ExitCode> {
    if args.urls.len() > 1 && (args.name.is_some() || args.checksum.is_some()) {
        eprintln!("weir: --output and --checksum name one file, and there are {} addresses", args.urls.len());
        return Ok(ExitCode::from(2));
    }
    let mut urls = Vec::new();
    for text in &args.urls {
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => urls.push(url),
            _ => {
                eprintln!("weir: `{text}` is not an http or https address");
                return Ok(ExitCode::from(2));
            }
        }
    }
    let jar = match &args.cookies {
        Some(path) => {
            std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))?
        }
        None => String::new(),
    };
    let directory = std::path::absolute(&args.directory)?;
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let outcomes = runtime.block_on(async {
        let engine = Engine::new(EngineOptions::default())?;
        let stop = stop_on_signal();
        let bars = Bars::new(json);
        let jobs = urls.iter().enumerate().map(|(n, url)| {
            let job = plan(args, url, &directory, cookies::header(&jar, url));
            one(&engine, job, n, json, &bars, stop.clone())
        });
        Ok::<Vec<u8>, anyhow::Error>(stream::iter(jobs).buffer_unordered(PARALLEL).collect().await)
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    Ok(ExitCode::from(outcomes.into_iter().max().unwrap_or(0)))
}

fn plan(args: &GetArgs, url: &Url, directory: &std::path::Path, cookies: Option<String>) -> Job {
    let mut headers = args.headers.clone();
    headers.extend(args.referer.clone().map(|referer| ("Referer".to_owned(), referer)));
    Job {
        source: Source { headers, cookies, ..Source::get(url.clone()) },
        mirrors: Vec::new(),
        directory: directory.to_owned(),
        filename: args.name.clone(),
        kind: None,
        title: None,
        quality: args.quality.clone(),
        connections: args.connections,
        checksum: args.checksum.clone(),
        partial: Partial::SameUrl,
        limit: Arc::new(RateLimit::new(args.limit.unwrap_or(0))),
    }
}

/// 0, 1 or 130.
async fn one(engine: &Engine, job: Job, n: usize, json: bool, bars: &Bars, stop: CancellationToken) -> u8 {
    let url = job.source.url.clone();
    let directory = job.directory.clone();
    let monitor = Arc::new(Monitor::default());
    let work = engine.download(job, Arc::clone(&monitor), stop);
    let mut work = std::pin::pin!(work);
    let started = Instant::now();
    let mut meter = SpeedMeter::default();
    let mut bar = bars.add(&url);
    let mut tick = tokio::time::interval(TICK);
    let result = loop {
        tokio::select! {
            result = work.as_mut() => break result,
            _ = tick.tick() => {
                let snapshot = monitor.snapshot();
                // What an earlier run brought counts as there, not as fast.
                if snapshot.phase != weir_engine::Phase::Resolving {
                    meter.sample(started.elapsed(), snapshot.received);
                }
                let eta = meter.eta(snapshot.received, snapshot.total, snapshot.fraction);
                if json {
                    print_json(&Event::Progress(Progress {
                        id: i64::try_from(n).unwrap_or(0) + 1,
                        progress: (snapshot.fraction * 1000.0).round() / 10.0,
                        speed: Some(meter.speed()),
                        eta,
                        received_bytes: Some(snapshot.received),
                        done: false,
                    }));
                } else {
                    bar.show(&snapshot, meter.speed(), eta);
                }
            }
        }
    };
    match result {
        Ok(finished) => {
            if json {
                print_json(&row(n, &url, &directory, finished.clone()));
            } else {
                bar.finish(&finished, started.elapsed());
            }
            // Told first: whoever kills this before finds the same file with the same command.
            if let Err(error) = finished.settle() {
                eprintln!("weir: a journal could not be removed: {error}");
            }
            0
        }
        Err(EngineError::Stopped) => {
            bar.abandon();
            eprintln!("weir: interrupted; the same command again goes on");
            130
        }
        Err(error) => {
            bar.abandon();
            let info = failure::describe(&error);
            let address = output::plain(&weir_engine::without_query(&url));
            eprintln!("weir: {address}: {}{}", output::plain(&info.message), advice(info.action));
            if json {
                print_json(&serde_json::json!({ "id": n + 1, "url": url.as_str(), "error": info }));
            }
            1
        }
    }
}

/// What to do about a failure, for a person at a terminal.
fn advice(action: Option<Action>) -> &'static str {
    match action {
        Some(Action::Retry | Action::StartOver) => " Run the same command again.",
        Some(Action::InstallFfmpeg) => {
            " Install it (on Debian: apt-get install ffmpeg), then run the same command again."
        }
        Some(Action::FreeSpace) => " Make room, then run the same command again: it goes on.",
        Some(Action::CheckFolder) => " Choose another with --directory.",
        Some(Action::OpenPage) => {
            " Open the page it comes from for a fresh address, or pass --referer and --cookies."
        }
        _ => "",
    }
}

fn row(n: usize, url: &Url, directory: &std::path::Path, finished: Finished) -> Download {
    let kind: DownloadKind = queue::wire_kind(finished.kind);
    let mut row = Record::new(url.as_str(), kind, &finished.filename, directory, &queue::now()).download;
    row.id = i64::try_from(n).unwrap_or(0) + 1;
    row.path = finished.path.display().to_string();
    row.status = DownloadStatus::Completed;
    row.progress = 100.0;
    row.received_bytes = finished.bytes;
    row.total_bytes = Some(finished.bytes);
    row.quality = finished.quality;
    row.sha256 = Some(hex(&finished.sha256));
    row.finished_at = Some(queue::now());
    row
}

fn print_json(value: &impl serde::Serialize) {
    use std::io::Write as _;
    if let Ok(text) = serde_json::to_string(value) {
        // A reader that has gone does not stop a download.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

fn stop_on_signal() -> CancellationToken {
    let stop = CancellationToken::new();
    let signalled = stop.clone();
    tokio::spawn(async move {
        #[cfg(unix)]
        {
            use tokio::signal::unix::{SignalKind, signal};
            let Ok(mut terminate) = signal(SignalKind::terminate()) else { return };
            tokio::select! {
                _ = tokio::signal::ctrl_c() => {}
                _ = terminate.recv() => {}
            }
        }
        #[cfg(not(unix))]
        let _ = tokio::signal::ctrl_c().await;
        signalled.cancel();
    });
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_as_people_write_them() {
        for (text, expected) in
            [("500k", 500_000), ("2M", 2_000_000), ("1.5MB/s", 1_500_000), ("7", 7), ("1g", 1_000_000_000)]
        {
            assert_eq!(rate(text), Ok(expected), "{text}");
        }
        for text in ["", "k", "-1", "0", "nan", "2x", "1e99G"] {
            assert!(rate(text).is_err(), "{text}");
        }
    }

    #[test]
    fn headers_are_checked_before_anything_is_sent() {
        assert_eq!(header("X-A: b: c"), Ok(("X-A".into(), "b: c".into())));
        for text in ["X-A", ": b", "X A: b", "X: a\nb: c"] {
            assert!(header(text).is_err(), "{text}");
        }
    }
}
