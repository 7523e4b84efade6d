//! `weir tools`: the programs Weir uses and does not contain.
//!
//! Owns what is said about them. Never installs by itself what was not asked for (see [`crate::tools`]).

use std::process::ExitCode;

use clap::{Args, Subcommand, ValueEnum};
use serde_json::{Value, json};

use super::manage::{say, say_json};
use super::{Usage, output};
use crate::config::Config;
use crate::home::Home;
use crate::tools::{self, version};

/// `weir tools`.
#[derive(Args)]
pub(super) struct ToolsArgs {
    #[command(subcommand)]
    what: What,
}

#[derive(Subcommand)]
enum What {
    /// Install a program into Weir's own folder; nothing of the system changes.
    Install {
        /// Which.
        tool: Tool,
        /// Exactly this version [default: the one this Weir is tested with].
        #[arg(long, value_name = "VERSION")]
        version: Option<String>,
    },
    /// Bring what Weir has installed to its newest version.
    Update {
        /// Which; yt-dlp is the only one so far.
        #[arg(default_value = "yt-dlp")]
        tool: Tool,
    },
    /// Show which programs are used, and their versions.
    #[command(alias = "ls")]
    List,
    /// Remove what Weir has installed.
    #[command(alias = "rm")]
    Remove {
        /// Which.
        tool: Tool,
    },
}

/// What can be installed.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Tool {
    #[value(name = "yt-dlp")]
    YtDlp,
}

pub(super) fn run(args: ToolsArgs, json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        match args.what {
            What::Install { tool: Tool::YtDlp, version } => {
                let version = version.unwrap_or_else(|| tools::YT_DLP_VERSION.to_owned());
                if !version::is_version(&version) {
                    return Err(
                        Usage(format!("`{version}` is not a version of yt-dlp, as 2026.10.26 is")).into()
                    );
                }
                install(Some(&version), json).await
            }
            What::Update { tool: Tool::YtDlp } => install(None, json).await,
            What::List => list(json).await,
            What::Remove { tool: Tool::YtDlp } => remove(json),
        }
    })
}

async fn install(wanted: Option<&str>, json: bool) -> anyhow::Result<ExitCode> {
    let home = Home::open()?;
    let tell = |line: &str| {
        if !json {
            output::note(format_args!("{line} …"));
        }
    };
    let work = tools::install::install(&home, wanted, tell);
    // Interrupted, the half-made folder is removed on the way out, and with it what pip was doing.
    let made = tokio::select! {
        made = work => made?,
        _ = tokio::signal::ctrl_c() => return Ok(ExitCode::from(130)),
    };
    if json {
        say_json(&json!({
            "tool": "yt-dlp",
            "version": made.version,
            "path": made.path,
            "result": if made.unchanged { "unchanged" } else { "installed" },
            "left_out": made.left_out,
            "javascript": made.javascript.as_ref().map(|(name, version)| json!({ "name": name, "version": version })),
        }))?;
        return Ok(ExitCode::SUCCESS);
    }
    let already = if made.unchanged { " (it was there already)" } else { "" };
    say(&format!("yt-dlp {}  {}{already}", made.version, made.path.display()))?;
    for part in &made.left_out {
        output::note(format_args!("weir: without {}, which could not be had", output::plain(part)));
    }
    if made.javascript.is_none() {
        output::note(format_args!("weir: {NO_JAVASCRIPT}"));
    }
    Ok(ExitCode::SUCCESS)
}

/// What is missing without a runtime.
pub(super) const NO_JAVASCRIPT: &str = "no JavaScript runtime was found, so some sites offer less or nothing; install Node.js 20 or Deno 2, or newer";

async fn list(json: bool) -> anyhow::Result<ExitCode> {
    let home = Home::existing();
    let named = named_yt_dlp(home.as_ref());
    let mut rows: Vec<Value> = Vec::new();
    let yt_dlp = tools::yt_dlp(home.as_ref(), named.as_deref());
    rows.push(match &yt_dlp {
        Some((path, origin)) => json!({
            "tool": "yt-dlp", "version": version::of_yt_dlp(path).await, "path": path, "from": origin.as_str(),
        }),
        None => absent("yt-dlp"),
    });
    for name in ["ffmpeg", "ffprobe"] {
        rows.push(match tools::in_path(name) {
            Some(path) => json!({
                "tool": name, "version": version::of_ffmpeg(&path).await, "path": path, "from": "system",
            }),
            None => absent(name),
        });
    }
    let beside = yt_dlp.as_ref().map(|(path, _)| path.as_path());
    rows.push(match version::javascript(beside).await {
        Some((name, version)) => json!({ "tool": name, "version": version, "path": null, "from": "system" }),
        None => absent("javascript"),
    });
    if json {
        say_json(&rows)?;
        return Ok(ExitCode::SUCCESS);
    }
    for row in &rows {
        let text = |key: &str| row[key].as_str().map(str::to_owned);
        let version = match (text("from"), text("version")) {
            (None, _) => "not found".to_owned(),
            (Some(_), None) => "does not start".to_owned(),
            (Some(_), Some(version)) => output::plain(&version),
        };
        let place = text("path").map_or(String::new(), |path| format!("  {}", output::plain(&path)));
        let line = format!("{:<10}  {version:<24}{place}", text("tool").unwrap_or_default());
        say(line.trim_end())?;
    }
    Ok(ExitCode::SUCCESS)
}

fn absent(tool: &str) -> Value {
    json!({ "tool": tool, "version": null, "path": null, "from": null })
}

/// What the settings name, as far as they can be read.
fn named_yt_dlp(home: Option<&Home>) -> Option<std::path::PathBuf> {
    let file = home.map(Home::config);
    Config::for_get(file.as_deref()).ok()?.yt_dlp
}

fn remove(json: bool) -> anyhow::Result<ExitCode> {
    let any = match Home::existing() {
        Some(home) => tools::install::uninstall(&home)?,
        None => false,
    };
    if json {
        say_json(&json!({ "tool": "yt-dlp", "result": if any { "removed" } else { "absent" } }))?;
    } else {
        say(if any { "yt-dlp was removed" } else { "Weir has installed no yt-dlp" })?;
    }
    Ok(ExitCode::SUCCESS)
}
