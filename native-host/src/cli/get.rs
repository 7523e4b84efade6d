//! `weir get`: downloads in the foreground, without the daemon.
//!
//! Owns the running of many downloads in one command and what is said when they end. Invariant: the exit status is that
//! of the worst, and every address that did not become a file is named. The same command again goes on where an
//! interrupted one stopped.

use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::Context as _;
use clap::Args;
use futures_util::FutureExt as _;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{
    Engine, EngineError, EngineOptions, Finished, Hosts, Job, Kind, Monitor, Partial, RateLimit,
};
use weir_protocol::{Download, DownloadId, DownloadStatus, ErrorInfo};

use super::addresses::{AddressArgs, Wanted};
use super::board::{Board, Ended};
use super::manage::rate_or_off;
use super::request::{Request, RequestArgs};
use super::{Usage, advice, lanes, output, sums, unfinished};
use crate::config::Config;
use crate::confine;
use crate::endpoint::hex;
use crate::failure;
use crate::home::Home;
use crate::queue;
use crate::store::Record;
use crate::tools;

/// Connections for each address when nobody says otherwise.
const CONNECTIONS: u32 = 8;
/// Failed addresses that are listed at the end; `--save-failed` has them all.
const MOST_LISTED: usize = 20;

/// `weir get`.
#[derive(Args)]
pub(super) struct GetArgs {
    #[command(flatten)]
    addresses: AddressArgs,
    /// Folder for the files.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    directory: PathBuf,
    #[command(flatten)]
    request: RequestArgs,
    /// Downloads at the same time.
    #[arg(short, long, default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=64))]
    jobs: u16,
    /// Bytes per second of all downloads together [default: rate_limit of the settings].
    #[arg(long, value_name = "RATE|off", value_parser = rate_or_off)]
    limit_total: Option<u64>,
    /// Write NAME.sha256 beside each finished file.
    #[arg(long)]
    write_sha256: bool,
    /// Fetch nothing: print what would be fetched as JSON, a line for each address: tracks, segments, keys.
    #[arg(long, conflicts_with_all = ["write_sha256", "save_failed"])]
    dry_run: bool,
    /// Write the addresses that failed to a list that --input-file reads. It is readable by you only.
    #[arg(long, value_name = "FILE")]
    save_failed: Option<PathBuf>,
}

/// What all downloads of a command share.
struct Run {
    engine: Engine,
    board: Board,
    stop: CancellationToken,
    /// Ends recordings, which become files of what is there.
    finish: CancellationToken,
    wanted: Vec<Wanted>,
    /// One for each of `wanted`.
    folders: Vec<PathBuf>,
    request: Request,
    total: Arc<RateLimit>,
    write_sha256: bool,
    /// A file is whole, but its hash could not be written beside it.
    sum_missing: AtomicBool,
    /// Nothing is fetched, only planned.
    dry_run: bool,
}

/// Fetches every address.
pub(super) fn run(args: GetArgs, json: bool) -> anyhow::Result<ExitCode> {
    let wanted = args.addresses.collect()?;
    let root = std::path::absolute(&args.directory)?;
    let folders = wanted.iter().map(|wanted| folder(&root, wanted)).collect::<Result<Vec<_>, _>>()?;
    let settings = settings()?;
    let limit_total = args.limit_total.or(settings.rate_limit).unwrap_or(0);
    let request = args.request.resolve(&args.addresses, &wanted)?;
    let options = engine_options(&request, &settings);
    let started = Instant::now();
    let (json, dry_run) = (json || args.dry_run, args.dry_run);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build()?;
    let (run, outcomes) = runtime.block_on(async {
        let run = Arc::new(Run {
            engine: Engine::new(options)?,
            board: Board::new(json, wanted.len()),
            stop: CancellationToken::new(),
            finish: CancellationToken::new(),
            wanted,
            folders,
            request,
            total: Arc::new(RateLimit::new(limit_total)),
            write_sha256: args.write_sha256,
            sum_missing: AtomicBool::new(false),
            dry_run,
        });
        tokio::spawn(heed_signals(Arc::clone(&run)));
        let each = Arc::clone(&run);
        let work = lanes::run(run.wanted.len(), args.jobs.into(), Ended::Failed, move |n| {
            let run = Arc::clone(&each);
            async move { guarded(&run, n).await }
        });
        let outcomes = tokio::select! {
            outcomes = work => outcomes,
            never = run.board.watch() => match never {},
        };
        run.board.close();
        Ok::<_, anyhow::Error>((run, outcomes))
    })?;
    runtime.shutdown_timeout(Duration::from_secs(1));
    let missing: Vec<&Wanted> = run
        .wanted
        .iter()
        .zip(&outcomes)
        .filter(|(_, ended)| ended.bytes().is_none())
        .map(|(wanted, _)| wanted)
        .collect();
    if run.wanted.len() > 1 && !run.dry_run {
        conclude(&outcomes, &missing, args.save_failed.is_some(), started.elapsed());
    }
    if let Some(path) = &args.save_failed {
        unfinished::save(path, &missing, &run.request)
            .with_context(|| format!("cannot write {}", path.display()))?;
    }
    if run.stop.is_cancelled() && !missing.is_empty() {
        output::note(format_args!("weir: interrupted; the same command again goes on"));
    }
    let least = u8::from(run.sum_missing.load(Ordering::Relaxed));
    Ok(ExitCode::from(outcomes.iter().map(Ended::status).fold(least, u8::max)))
}

/// Where a file of a list goes: inside `root`, because lists come from anybody.
fn folder(root: &Path, wanted: &Wanted) -> Result<PathBuf, Usage> {
    let Some(directory) = &wanted.entry.directory else { return Ok(root.to_owned()) };
    confine::folder(root, Path::new(directory)).map_err(|_| {
        Usage(format!(
            "{}`dir` leaves {} or has a name that cannot be used; --directory names where it may lead",
            wanted.place,
            root.display()
        ))
    })
}

/// `config.toml` and the environment. A lone command leaves no folder behind, so there may be none to read from.
fn settings() -> Result<Config, Usage> {
    let file = Home::existing().map(|home| home.config());
    Config::for_get(file.as_deref()).map_err(|error| Usage(format!("{error:#}")))
}

fn engine_options(request: &Request, settings: &Config) -> EngineOptions {
    let args = request.args();
    let mut options = EngineOptions {
        proxy: settings.proxy.clone(),
        retries: args.retries.unwrap_or(settings.retries),
        netrc: request.netrc().map(Path::to_owned).or_else(|| settings.netrc.clone()),
        yt_dlp: tools::yt_dlp_for_engine(Home::existing().as_ref(), settings),
        ..EngineOptions::default()
    };
    if let Some(seconds) = args.timeout {
        options.patience = Duration::from_secs(seconds);
        options.connect_timeout = options.connect_timeout.min(options.patience);
    }
    // What the daemon learned about servers holds here too, but a lone command leaves no folder behind.
    if let Some(home) = Home::existing() {
        options.hosts = Arc::new(Hosts::load(&home.hosts()));
    }
    options
}

fn plan(run: &Run, wanted: &Wanted, folder: &Path) -> Job {
    let args = run.request.args();
    Job {
        mirrors: wanted.mirrors.clone(),
        filename: wanted.entry.name.clone().or_else(|| args.name.clone()),
        exact_name: true,
        kind: args.streams.kind(),
        quality: args.streams.quality.clone(),
        wishes: args.streams.wishes(),
        finish: run.finish.clone(),
        connections: args.connections.unwrap_or(CONNECTIONS),
        spread: args.connections.is_none(),
        checksum: run.request.checksum(wanted),
        partial: Partial::SameUrl,
        remember: false,
        limit: Arc::new(RateLimit::with_parent(args.limit.unwrap_or(0), Arc::clone(&run.total))),
        ..Job::new(run.request.source(wanted), folder.to_owned())
    }
}

/// One download, and an honest word when it ends by a mistake of ours.
async fn guarded(run: &Run, n: usize) -> Ended {
    let (Some(wanted), Some(folder)) = (run.wanted.get(n), run.folders.get(n)) else { return Ended::Failed };
    if run.stop.is_cancelled() {
        return Ended::Stopped;
    }
    let id = DownloadId::try_from(n).unwrap_or(DownloadId::MAX - 1) + 1;
    match AssertUnwindSafe(one(run, id, wanted, folder)).catch_unwind().await {
        Ok(ended) => ended,
        Err(_) => {
            run.board.leave(id, Ended::Failed);
            let mistake = failure::panicked();
            let said = format!("{} Run the same command again.", mistake.message);
            fail(&run.board, id, &wanted.url, &mistake, &said);
            Ended::Failed
        }
    }
}

async fn one(run: &Run, id: DownloadId, wanted: &Wanted, folder: &Path) -> Ended {
    let url = &wanted.url;
    let job = plan(run, wanted, folder);
    let (quality, named) = (job.quality.is_some(), job.filename.clone());
    let source = job.source.clone();
    if run.dry_run {
        return planned(run, id, url, &job).await;
    }
    let monitor = Arc::new(Monitor::default());
    let started = Instant::now();
    let name = url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default();
    run.board.enter(id, name, &monitor);
    let result = run.engine.download(job, monitor, run.stop.clone()).await;
    let ended = match &result {
        Ok(Finished { lacks: Some(_), bytes, .. }) => {
            Ended::Partial { bytes: *bytes, wished: run.request.args().streams.keep_partial }
        }
        Ok(finished) => Ended::Whole(finished.bytes),
        Err(EngineError::Stopped) => Ended::Stopped,
        Err(_) => Ended::Failed,
    };
    run.board.leave(id, ended);
    match result {
        Ok(finished) => {
            if run.write_sha256 && !write_sum(&run.board, &finished) {
                run.sum_missing.store(true, Ordering::Relaxed);
            }
            if quality && finished.kind == Kind::File {
                let name = output::plain(&finished.filename);
                run.board.say(&format!("weir: {name} is a plain file, which has no --quality to choose"));
            }
            if let Some(name) = &named
                && *name != finished.filename
            {
                let (name, became) = (output::plain(name), output::plain(&finished.filename));
                run.board.say(&format!("weir: `{name}` became {became}"));
            }
            tell(&run.board, &finished, started.elapsed());
            for unmet in &finished.unmet {
                let name = output::plain(&finished.filename);
                run.board.say(&format!("weir: {name}: {}", output::plain(unmet)));
            }
            if let Some(lacks) = &finished.lacks {
                let name = output::plain(&finished.filename);
                run.board.say(&format!("weir: {name} is not whole: {}", output::plain(lacks)));
            }
            run.board.json(&row(id, url, folder, finished.clone()));
            // Told first: whoever kills this before finds the same file with the same command.
            if let Err(error) = finished.settle() {
                run.board.say(&format!("weir: a journal could not be removed: {error}"));
            }
        }
        Err(EngineError::Stopped) => {}
        Err(error) => {
            fail(&run.board, id, url, &failure::describe(&error), &advice::of(&error, &source));
        }
    }
    ended
}

/// What a download would fetch, as a line of JSON. Addresses stand in it as they would be asked for.
async fn planned(run: &Run, id: DownloadId, url: &Url, job: &Job) -> Ended {
    let plan = tokio::select! {
        plan = run.engine.dry_run(job) => plan,
        () = run.stop.cancelled() => return Ended::Stopped,
    };
    match plan {
        Ok(plan) => {
            run.board.json(&plan);
            Ended::Whole(0)
        }
        Err(error) => {
            fail(&run.board, id, url, &failure::describe(&error), &advice::of(&error, &job.source));
            Ended::Failed
        }
    }
}

/// `said` is for people, `error` for programs.
fn fail(board: &Board, id: DownloadId, url: &Url, error: &ErrorInfo, said: &str) {
    let address = output::plain(&weir_engine::without_query(url));
    board.say(&format!("weir: {address}: {}", output::plain(said)));
    board.json(&serde_json::json!({ "id": id, "url": shown(url), "error": error }));
}

/// One line for a file.
fn tell(board: &Board, finished: &Finished, took: Duration) {
    if board.names_each() {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let speed = (finished.bytes as f64 / took.as_secs_f64().max(0.001)) as u64;
        board.say(&format!(
            "{}: {}, {}/s, {}",
            output::plain(&finished.path.display().to_string()),
            output::bytes(finished.bytes),
            output::bytes(speed),
            if finished.lacks.is_some() { "partial" } else { "whole" }
        ));
    }
}

/// False when it could not be written.
fn write_sum(board: &Board, finished: &Finished) -> bool {
    let written = sums::write(&finished.path, &finished.filename, &hex(&finished.sha256));
    if let Err(error) = &written {
        let path = output::plain(&sums::beside(&finished.path).display().to_string());
        let reason = match error.kind() {
            std::io::ErrorKind::AlreadyExists => "it is there already and states another hash".to_owned(),
            _ => error.to_string(),
        };
        board.say(&format!("weir: {path} was not written: {reason}"));
    }
    written.is_ok()
}

/// How many became files, and which did not.
fn conclude(outcomes: &[Ended], missing: &[&Wanted], saved: bool, took: Duration) {
    let partial = outcomes.iter().filter(|ended| matches!(ended, Ended::Partial { .. })).count();
    let whole = outcomes.len() - missing.len() - partial;
    let failed = outcomes.iter().filter(|ended| matches!(ended, Ended::Failed)).count();
    let bytes = outcomes.iter().filter_map(Ended::bytes).sum();
    let mut text = format!("{whole} of {} whole, {}", outcomes.len(), output::bytes(bytes));
    text += &format!(" in {:.1} s", took.as_secs_f64());
    if partial > 0 {
        text += &format!("; {partial} partial");
    }
    if failed > 0 {
        text += &format!("; {failed} failed");
    }
    if missing.len() > failed {
        text += &format!("; {} not finished", missing.len() - failed);
    }
    output::note(format_args!("{text}{}", if missing.is_empty() { "" } else { ":" }));
    for wanted in missing.iter().take(MOST_LISTED) {
        output::note(format_args!("{}", output::plain(&weir_engine::without_query(&wanted.url))));
    }
    if missing.len() > MOST_LISTED {
        output::note(format_args!("… and {} more", missing.len() - MOST_LISTED));
    }
    if !missing.is_empty() && !saved {
        output::note(format_args!("--save-failed FILE writes them as a list for --input-file"));
    }
}

/// An address as it is told to whoever gave it: without the password in it.
fn shown(url: &Url) -> String {
    let mut url = url.clone();
    // Fails only for addresses that cannot have any.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url.into()
}

fn row(id: DownloadId, url: &Url, directory: &Path, finished: Finished) -> Download {
    let kind = queue::wire_kind(finished.kind);
    let mut row = Record::new(&shown(url), kind, &finished.filename, directory, &queue::now()).download;
    row.id = id;
    row.path = finished.path.display().to_string();
    row.status = DownloadStatus::Completed;
    row.progress = 100.0;
    row.received_bytes = finished.bytes;
    row.total_bytes = Some(finished.bytes);
    row.quality = finished.quality;
    row.sha256 = Some(hex(&finished.sha256));
    row.finished_at = Some(queue::now());
    row.lacks = finished.lacks;
    row
}

/// Ctrl-C ends recordings and keeps them; without any, or the second time, it interrupts everything, as SIGTERM does
/// at once.
async fn heed_signals(run: Arc<Run>) {
    #[cfg(unix)]
    let mut terminate = {
        use tokio::signal::unix::{SignalKind, signal};
        let Ok(terminate) = signal(SignalKind::terminate()) else { return };
        terminate
    };
    loop {
        #[cfg(unix)]
        let interrupted = tokio::select! {
            _ = tokio::signal::ctrl_c() => true,
            _ = terminate.recv() => false,
        };
        #[cfg(not(unix))]
        let interrupted = tokio::signal::ctrl_c().await.is_ok();
        if !interrupted || run.finish.is_cancelled() || !run.board.records() {
            return run.stop.cancel();
        }
        run.finish.cancel();
        run.board.say("weir: the recording ends and is kept; Ctrl-C again interrupts");
    }
}
