//! Commands that talk to the daemon, or about it.

use std::io::Write as _;
use std::process::ExitCode;

use anyhow::Context as _;
use clap::Args;
use serde_json::{Value, json};
use weir_protocol::{
    Download, DownloadId, DownloadPatch, DownloadStatus, MoveDownload, MoveTo, Settings, SettingsPatch,
    Ticket,
};

use super::{Unread, Usage, output, worse};
use crate::config::Config;
use crate::desktop;
use crate::endpoint::{self, Token};
use crate::home::Home;
use crate::install::{self, Target};
use crate::remote::Remote;
use crate::shim;

/// `weir list`.
#[derive(Debug, Args)]
pub(super) struct ListArgs {
    /// Only these: queued, downloading, paused, error, completed, …
    #[arg(long, value_name = "STATUS[,STATUS]", value_delimiter = ',', value_parser = status_name)]
    status: Vec<DownloadStatus>,
    /// Only what has this text in name, title, address or page.
    #[arg(short = 'q', long = "search", value_name = "TEXT")]
    text: Option<String>,
    /// How many.
    #[arg(short = 'n', long, default_value_t = 100, value_parser = clap::value_parser!(u64).range(1..=1000))]
    limit: u64,
}

fn status_name(text: &str) -> Result<DownloadStatus, String> {
    DownloadStatus::parse(text.trim()).ok_or_else(|| {
        let known: Vec<&str> = DownloadStatus::ALL.iter().map(|status| status.as_str()).collect();
        format!("known are {}", known.join(", "))
    })
}

/// Bytes per second; 0 is none.
pub(super) fn rate_or_off(text: &str) -> Result<u64, String> {
    if text.eq_ignore_ascii_case("off") { Ok(0) } else { super::request::rate(text) }
}

pub(super) fn say_json(value: &impl serde::Serialize) -> anyhow::Result<()> {
    say(&serde_json::to_string(value)?)
}

/// A line on stdout.
///
/// # Errors
/// [`Unread`] when whoever read it has gone; whatever the disk says when it is a file.
pub(super) fn say(line: &str) -> anyhow::Result<()> {
    writeln!(std::io::stdout().lock(), "{line}").map_err(|error| match error.kind() {
        std::io::ErrorKind::BrokenPipe => Unread.into(),
        _ => error.into(),
    })
}

pub(super) async fn list(home: &Home, args: &ListArgs, json: bool) -> anyhow::Result<()> {
    let remote = Remote::find_or_start(home).await?;
    let mut query = vec![("limit", args.limit.to_string())];
    if !args.status.is_empty() {
        let names: Vec<&str> = args.status.iter().map(|status| status.as_str()).collect();
        query.push(("status", names.join(",")));
    }
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
        output::note(format_args!("{} of {total}; -n shows more, --search finds", rows.len()));
    }
    Ok(())
}

/// Does the same to every row, and goes on after one that refuses.
pub(super) async fn act(home: &Home, ids: &[DownloadId], act: &str, json: bool) -> anyhow::Result<ExitCode> {
    let remote = Remote::find_or_start(home).await?;
    let mut status = 0;
    for id in ids {
        match remote.post::<Download>(&format!("/download/{id}/{act}")).await {
            // A reader that has gone leaves no row out.
            Ok(row) if json => drop(say_json(&row)),
            Ok(row) => drop(say(&output::line(&row))),
            Err(error) => {
                output::note(format_args!("weir: {id}: {error:#}"));
                status = worse(status, &error);
            }
        }
    }
    Ok(ExitCode::from(status))
}

/// Puts a row elsewhere in the queue.
pub(super) async fn reorder(home: &Home, id: DownloadId, to: MoveTo, json: bool) -> anyhow::Result<()> {
    let remote = Remote::find_or_start(home).await?;
    let place = MoveDownload { to: Some(to), before: None };
    let row: Download = remote.post_json(&format!("/download/{id}/move"), &place).await?;
    if json { say_json(&row) } else { say(&output::line(&row)) }
}

/// Limits one download, or all together.
pub(super) async fn limit(home: &Home, rate: u64, id: Option<DownloadId>, json: bool) -> anyhow::Result<()> {
    let remote = Remote::find_or_start(home).await?;
    if let Some(id) = id {
        let patch = DownloadPatch { rate_limit: Some(rate), ..DownloadPatch::default() };
        let row: Download = remote.patch_json(&format!("/download/{id}"), &patch).await?;
        return if json { say_json(&row) } else { say(&output::line(&row)) };
    }
    let patch = SettingsPatch { rate_limit: Some(Some(rate)), ..SettingsPatch::default() };
    let settings: Settings = remote.patch_json("/settings", &patch).await?;
    if json {
        return say_json(&settings);
    }
    say(&match settings.rate_limit {
        Some(rate) => format!("All downloads together: {}/s", output::bytes(rate)),
        None => "All downloads together: no limit".to_owned(),
    })?;
    if settings.now.rate_limit != settings.rate_limit || settings.now.paused {
        say("Quiet hours hold now, with a limit of their own.")?;
    }
    Ok(())
}

pub(super) async fn remove(
    home: &Home,
    ids: &[DownloadId],
    files: bool,
    json: bool,
) -> anyhow::Result<ExitCode> {
    let remote = Remote::find_or_start(home).await?;
    let mut status = 0;
    for id in ids {
        match remote.delete(&format!("/download/{id}"), &[("files", files.to_string())]).await {
            Ok(()) if json => drop(say_json(&json!({ "id": id, "removed": true }))),
            Ok(()) => drop(say(&format!("{id:>5}  removed"))),
            Err(error) => {
                output::note(format_args!("weir: {id}: {error:#}"));
                status = worse(status, &error);
            }
        }
    }
    Ok(ExitCode::from(status))
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
    if !print {
        if !has_display() {
            output::note(format_args!(
                "There is no display here. The address opens once within {} seconds:",
                ticket.expires_in_s
            ));
        } else if desktop::open_url(&ticket.url).is_ok() {
            return say(&format!("Opened {}", remote.endpoint.url));
        }
    }
    say(&ticket.url)
}

/// Somewhere a browser could open its window.
fn has_display() -> bool {
    let named = |key| std::env::var_os(key).is_some_and(|value| !value.is_empty());
    cfg!(any(target_os = "macos", windows)) || named("DISPLAY") || named("WAYLAND_DISPLAY")
}

/// 0 when the daemon runs, 1 when not.
pub(super) async fn status(home: &Home, json: bool) -> anyhow::Result<ExitCode> {
    let running = Remote::find(home).await;
    let manifests = install::registered();
    let mistake = Config::load(&home.config()).err().map(|error| format!("{error:#}"));
    if json {
        let browsers: Vec<Value> = manifests
            .iter()
            .map(|(found, ours)| json!({ "browser": found.browser, "manifest": found.manifest, "points_here": ours }))
            .collect();
        let daemon = running.as_ref().map(|remote| {
            let endpoint = &remote.endpoint;
            json!({ "url": endpoint.url, "port": endpoint.port, "pid": endpoint.pid, "version": endpoint.version })
        });
        say_json(
            &json!({ "home": home.root(), "daemon": daemon, "browsers": browsers, "settings_error": mistake }),
        )?;
    } else {
        match &running {
            Some(remote) => {
                say(&format!("running   {} (process {})", remote.endpoint.url, remote.endpoint.pid))?;
            }
            None => say("stopped   it starts by itself when the extension or a command needs it")?,
        }
        say(&format!("home      {}", home.root().display()))?;
        if let Some(mistake) = &mistake {
            let what = if running.is_some() { "it runs on with those it has" } else { "it will not start" };
            say(&format!("mistake   {}; {what}", output::plain(mistake)))?;
        }
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
        // The running daemon still holds the old one, and what it was downloading goes on under the new.
        if stop_daemon(&home)? {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(Remote::find_or_start(&home))?;
            output::note(format_args!("The daemon was started again with the new token."));
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

/// Finds what was mistyped before a folder is made for it.
fn check_target(target: &Target) -> Result<(), Usage> {
    if let Some(name) = &target.browser {
        let known = install::browser_names();
        if !known.iter().any(|known| known.eq_ignore_ascii_case(name)) {
            return Err(Usage(format!("no browser is called `{name}`; known are {}", known.join(", "))));
        }
    }
    match &target.user_data_dir {
        Some(dir) if !dir.is_dir() => {
            Err(Usage(format!("there is no folder {}; a browser makes it when it starts", dir.display())))
        }
        _ => Ok(()),
    }
}

pub(super) fn install(target: &Target, json: bool) -> anyhow::Result<()> {
    check_target(target)?;
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
    check_target(target)?;
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
