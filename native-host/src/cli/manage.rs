//! Commands that talk to the daemon, or about it.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use weir_protocol::{Download, DownloadId, NewDownload, Ticket};

use super::output;
use crate::config::Config;
use crate::desktop;
use crate::endpoint::{self, Token};
use crate::home::Home;
use crate::install::{self, Target};
use crate::remote::Remote;
use crate::shim;

/// `weir add`.
#[derive(Debug, Args)]
pub(super) struct AddArgs {
    #[arg(required = true, value_name = "URL")]
    urls: Vec<String>,
    /// Name of the file; only with one address.
    #[arg(short = 'o', long = "output", value_name = "NAME")]
    name: Option<String>,
    /// Folder inside the download folder.
    #[arg(short, long, value_name = "DIR")]
    directory: Option<String>,
    /// best, worst, 720p or the nearest below, or a variant id.
    #[arg(long)]
    quality: Option<String>,
    /// Referer header.
    #[arg(long)]
    referer: Option<String>,
    /// Another request header; may be repeated.
    #[arg(long = "header", value_name = "NAME: VALUE", value_parser = super::get::header)]
    headers: Vec<(String, String)>,
    /// sha256:HEX the file must have.
    #[arg(long)]
    checksum: Option<String>,
    /// Higher runs first.
    #[arg(long, allow_negative_numbers = true)]
    priority: Option<i32>,
    /// Enter the list without starting.
    #[arg(long)]
    paused: bool,
}

/// `weir list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only these: queued, downloading, paused, error, completed, …
    #[arg(long, value_name = "STATUS[,STATUS]")]
    status: Option<String>,
    /// Only what has this text in name, title, address or page.
    #[arg(short = 'q', long = "search", value_name = "TEXT")]
    text: Option<String>,
    /// How many.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    serde_json::to_writer(&mut out, value)?;
    writeln!(out)?;
    Ok(())
}

fn say(line: &str) -> anyhow::Result<()> {
    Ok(writeln!(std::io::stdout().lock(), "{line}")?)
}

pub(super) async fn add(home: &Home, args: AddArgs, json: bool) -> anyhow::Result<ExitCode> {
    if args.name.is_some() && args.urls.len() > 1 {
        eprintln!("weir: --output names one file, and there are {} addresses", args.urls.len());
        return Ok(ExitCode::from(2));
    }
    let remote = Remote::find_or_start(home).await?;
    for url in args.urls {
        let new = NewDownload {
            url,
            filename: args.name.clone(),
            quality: args.quality.clone(),
            headers: args.headers.iter().cloned().collect(),
            referer: args.referer.clone(),
            checksum: args.checksum.clone(),
            directory: args.directory.clone(),
            priority: args.priority,
            paused: args.paused,
            ..NewDownload::default()
        };
        let row: Download = remote.post_json("/download", &new).await?;
        if json { say_json(&row)? } else { say(&output::line(&row))? }
    }
    Ok(ExitCode::SUCCESS)
}

pub(super) async fn list(home: &Home, args: &ListArgs, json: bool) -> anyhow::Result<()> {
    let remote = Remote::find_or_start(home).await?;
    let mut query = vec![("limit", args.limit.to_string())];
    query.extend(args.status.clone().map(|status| ("status", status)));
    query.extend(args.text.clone().map(|text| ("q", text)));
    let (rows, total): (Vec<Download>, u64) = remote.get_counted("/list", &query).await?;
    if json {
        return say_json(&rows);
    }
    if rows.is_empty() {
        return say("Nothing here yet. `weir add URL` starts a download.");
    }
    rows.iter().try_for_each(|row| say(&output::line(row)))?;
    if total > rows.len() as u64 {
        eprintln!("{} of {total}; -n shows more, --search finds", rows.len());
    }
    Ok(())
}

/// Does the same to every row, and goes on after one that refuses.
pub(super) async fn act(home: &Home, ids: &[DownloadId], act: &str, json: bool) -> anyhow::Result<ExitCode> {
    let remote = Remote::find_or_start(home).await?;
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        match remote.post::<Download>(&format!("/download/{id}/{act}")).await {
            Ok(row) if json => say_json(&row)?,
            Ok(row) => say(&output::line(&row))?,
            Err(error) => {
                eprintln!("weir: {id}: {error:#}");
                code = ExitCode::FAILURE;
            }
        }
    }
    Ok(code)
}

pub(super) async fn remove(home: &Home, ids: &[DownloadId], files: bool) -> anyhow::Result<ExitCode> {
    let remote = Remote::find_or_start(home).await?;
    let mut code = ExitCode::SUCCESS;
    for id in ids {
        if let Err(error) = remote.delete(&format!("/download/{id}"), &[("files", files.to_string())]).await {
            eprintln!("weir: {id}: {error:#}");
            code = ExitCode::FAILURE;
        }
    }
    Ok(code)
}

pub(super) async fn watch(home: &Home) -> anyhow::Result<()> {
    let (mut lines, relay) = shim::events(home.clone());
    while let Some(line) = lines.recv().await {
        say(&line)?;
    }
    relay.await?;
    Ok(())
}

pub(super) async fn open(home: &Home, print: bool, json: bool) -> anyhow::Result<()> {
    let remote = Remote::find_or_start(home).await?;
    let ticket: Ticket = remote.post("/session/ticket").await?;
    if json {
        return say_json(&json!({ "url": ticket.url, "expires_in_s": ticket.expires_in_s }));
    }
    if !print && desktop::open_url(&ticket.url).is_ok() {
        return say(&format!("Opened {}", remote.endpoint.url));
    }
    say(&ticket.url)
}

/// 0 when the daemon runs, 1 when not.
pub(super) async fn status(home: &Home, json: bool) -> anyhow::Result<ExitCode> {
    let running = Remote::find(home).await;
    let manifests = install::registered();
    if json {
        let browsers: Vec<Value> = manifests
            .iter()
            .map(|(found, ours)| json!({ "browser": found.browser, "manifest": found.manifest, "points_here": ours }))
            .collect();
        let daemon = running.as_ref().map(|remote| {
            let endpoint = &remote.endpoint;
            json!({ "url": endpoint.url, "port": endpoint.port, "pid": endpoint.pid, "version": endpoint.version })
        });
        say_json(&json!({ "home": home.root(), "daemon": daemon, "browsers": browsers }))?;
    } else {
        match &running {
            Some(remote) => {
                say(&format!("running   {} (process {})", remote.endpoint.url, remote.endpoint.pid))?;
            }
            None => say("stopped   it starts by itself when the extension or a command needs it")?,
        }
        say(&format!("home      {}", home.root().display()))?;
        for (found, ours) in &manifests {
            let note = if *ours { "" } else { "  (points at another program: run `weir install`)" };
            say(&format!("browser   {}  {}{note}", found.browser, found.manifest.display()))?;
        }
        if manifests.is_empty() {
            say("browser   none registered: run `weir install`")?;
        }
    }
    Ok(if running.is_some() { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

pub(super) fn token(rotate: bool, json: bool) -> anyhow::Result<()> {
    let home = Home::open()?;
    let token = if rotate {
        let token = Token::rotate(&home)?;
        // The running daemon still holds the old one.
        if stop_daemon(&home)? {
            eprintln!("The daemon was stopped; it starts by itself with the new token.");
        }
        token
    } else {
        Token::load_or_create(&home)?
    };
    if json { say_json(&json!({ "token": token.as_str() })) } else { say(token.as_str()) }
}

pub(super) fn stop(json: bool) -> anyhow::Result<ExitCode> {
    let stopped = stop_daemon(&Home::open()?)?;
    if json {
        say_json(&json!({ "stopped": stopped }))?;
    } else {
        say(if stopped { "Stopped." } else { "No daemon was running." })?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Ends the daemon of this home and waits until it has. False when none ran.
fn stop_daemon(home: &Home) -> anyhow::Result<bool> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    // Only a process that proved to be our daemon gets the signal: numbers are used again.
    let Some(remote) = runtime.block_on(Remote::find(home)) else { return Ok(false) };
    let pid = remote.endpoint.pid;
    #[cfg(unix)]
    {
        let process = i32::try_from(pid)
            .ok()
            .and_then(rustix::process::Pid::from_raw)
            .context("a strange process number")?;
        rustix::process::kill_process(process, rustix::process::Signal::TERM)
            .context("cannot signal the daemon")?;
    }
    #[cfg(not(unix))]
    anyhow::bail!("stop process {pid} by hand");
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(10);
    while home.is_locked() {
        if std::time::Instant::now() > deadline {
            anyhow::bail!("the daemon (process {pid}) does not stop");
        }
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    Ok(true)
}

pub(super) fn install(target: &Target, json: bool) -> anyhow::Result<()> {
    let config = Config::load(&Home::open()?.config())?;
    let outcomes = install::install(target, &config.extension_ids)?;
    if json {
        return say_json(&outcomes);
    }
    if outcomes.is_empty() {
        return say(
            "No browser of the Chromium family was found. Start yours once, or name it with --browser.",
        );
    }
    outcomes.iter().try_for_each(|outcome| {
        say(&format!("{:<9}  {}  {}", outcome.result, outcome.browser, outcome.manifest.display()))
    })
}

pub(super) fn uninstall(target: &Target, json: bool) -> anyhow::Result<()> {
    let outcomes = install::uninstall(target)?;
    // Taking one registration away leaves the daemon to the others.
    let everything = target.browser.is_none() && target.user_data_dir.is_none() && !target.system;
    let home = Home::open()?;
    let stopped = everything && stop_daemon(&home)?;
    if everything {
        endpoint::withdraw(&home);
    }
    if json {
        return say_json(&json!({ "removed": outcomes, "stopped": stopped }));
    }
    for outcome in &outcomes {
        say(&format!("{:<9}  {}  {}", outcome.result, outcome.browser, outcome.manifest.display()))?;
    }
    if stopped {
        say("stopped    the daemon")?;
    }
    if everything {
        say(&format!(
            "History and settings are kept in {}; delete that folder to forget them.",
            home.root().display()
        ))?;
    }
    Ok(())
}
