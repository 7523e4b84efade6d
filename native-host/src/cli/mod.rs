//! The command line: what can be typed, and which room does it.
//!
//! The only place that prints to stdout. Exit status: 0 done, 1 failed, 2 usage, 130 interrupted and resumable.

mod add;
mod addresses;
mod advice;
mod bars;
mod board;
mod cookies;
mod doctor;
mod get;
mod lanes;
mod list;
mod manage;
mod output;
mod password;
mod pattern;
mod request;
mod streams;
mod sums;
mod tools;
mod unfinished;
mod verify;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args, CommandFactory as _, Parser, Subcommand, ValueEnum};
use weir_protocol::{DownloadId, MoveTo, code};

use crate::config::Config;
use crate::daemon;
use crate::home::Home;
use crate::install::Target;
use crate::remote::Refused;

/// Brings streams and files home: fast, complete, verifiable, and private to this machine.
#[derive(Parser)]
#[command(name = "weir", version, max_term_width = 100)]
struct Cli {
    /// Answer with JSON.
    #[arg(long, global = true)]
    json: bool,
    #[command(subcommand)]
    command: Command,
}

/// What is asked for was written wrongly: exit status 2.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
struct Usage(String);

/// Whoever read stdout has enough.
#[derive(Debug, thiserror::Error)]
#[error("nobody reads the output any more")]
struct Unread;

// Without Debug, as everything below that may hold a password.
#[derive(Subcommand)]
enum Command {
    /// Download files, streams (HLS, DASH) and what pages play, here and now and without the daemon.
    Get(Box<get::GetArgs>),
    /// Give the daemon addresses to download: of files, streams (HLS, DASH) or pages.
    Add(Box<add::AddArgs>),
    /// Show queue and history.
    #[command(alias = "ls")]
    List(manage::ListArgs),
    /// Pause downloads; what has arrived is kept.
    Pause(Ids),
    /// Go on with paused downloads.
    Resume(Ids),
    /// End a live recording and keep it, or take what can be had of a stream that lost segments.
    Finish(Ids),
    /// Try failed or cancelled downloads again.
    Retry(Ids),
    /// Give downloads up; what has arrived is removed.
    Cancel(Ids),
    /// Take downloads out of the list, cancelling what runs.
    #[command(alias = "rm")]
    Remove {
        #[command(flatten)]
        ids: Ids,
        /// Delete the finished files too.
        #[arg(long)]
        files: bool,
    },
    /// Put a download elsewhere in the queue.
    Move {
        /// Its number, as `weir list` shows it.
        id: DownloadId,
        /// Before or behind all others, or one place earlier or later.
        to: Place,
    },
    /// Limit the speed of all downloads together, or of one.
    Limit {
        /// Bytes per second: 500k, 2M (powers of 1000), or `off`.
        #[arg(value_parser = manage::rate_or_off)]
        rate: u64,
        /// Only this download.
        id: Option<DownloadId>,
    },
    /// Check whether finished files are still what they were.
    Verify(verify::VerifyArgs),
    /// Print every event as a line of JSON until interrupted.
    Watch,
    /// Open the companion page in the browser.
    Open {
        /// Only print its address, which opens once within 30 seconds.
        #[arg(long)]
        print: bool,
    },
    /// Tell whether the daemon runs, and where.
    Status,
    /// Print the token that opens the daemon's door.
    Token {
        /// Replace it first; every session ends.
        #[arg(long)]
        rotate: bool,
    },
    /// Run the daemon in the foreground.
    Serve {
        /// Port of the door; 0 is any free one.
        #[arg(long)]
        port: Option<u16>,
        /// Where finished files go.
        #[arg(long, value_name = "DIR")]
        download_dir: Option<PathBuf>,
        /// Leave the terminal and log to weir.log.
        #[arg(long, hide = true)]
        detached: bool,
    },
    /// Stop the daemon; downloads go on at its next start.
    Stop,
    /// The programs Weir uses: show, install, update or remove them.
    Tools(tools::ToolsArgs),
    /// Check what is there, what is missing, and what to do about it.
    Doctor,
    /// Print the completions of a shell, to be read by it: see the README.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    /// Register the native-messaging host with the browsers found.
    Install(InstallArgs),
    /// Take every registration away and stop the daemon; with an option, only that registration.
    Uninstall(InstallArgs),
}

/// Where `weir move` puts a download.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Place {
    First,
    Last,
    Up,
    Down,
}

impl From<Place> for MoveTo {
    fn from(place: Place) -> Self {
        match place {
            Place::First => Self::First,
            Place::Last => Self::Last,
            Place::Up => Self::Up,
            Place::Down => Self::Down,
        }
    }
}

/// Numbers of downloads, as `weir list` shows them.
#[derive(Debug, Args)]
struct Ids {
    #[arg(required = true, value_name = "ID")]
    ids: Vec<DownloadId>,
}

#[derive(Debug, Args)]
struct InstallArgs {
    /// Only this browser, also when it was never started.
    #[arg(long, value_name = "NAME")]
    browser: Option<String>,
    /// For all users of this machine.
    #[arg(long)]
    system: bool,
    /// A profile folder given to a browser with --user-data-dir.
    #[arg(long, value_name = "DIR")]
    user_data_dir: Option<PathBuf>,
    /// Leave registrations alone that point at another program which is there.
    #[arg(long)]
    keep: bool,
}

impl From<InstallArgs> for Target {
    fn from(args: InstallArgs) -> Self {
        Self {
            browser: args.browser,
            system: args.system,
            user_data_dir: args.user_data_dir,
            keep: args.keep,
        }
    }
}

/// Parses the arguments and does as they say.
pub(crate) fn run() -> ExitCode {
    let cli = Cli::parse();
    match dispatch(cli) {
        Ok(code) => code,
        Err(error) => {
            // `weir list | head` ends quietly, like every other filter. A broken pipe to the daemon is no such thing.
            if error.is::<Unread>() {
                return ExitCode::SUCCESS;
            }
            output::note(format_args!("weir: {error:#}"));
            ExitCode::from(worse(0, &error))
        }
    }
}

/// The exit status of a command that had `status` before this error: 2 for what was asked wrongly, 1 for the rest.
fn worse(status: u8, error: &anyhow::Error) -> u8 {
    let misused = error.is::<Usage>()
        || error
            .downcast_ref::<Refused>()
            .is_some_and(|Refused(info)| matches!(info.code.as_str(), code::BAD_URL | code::BAD_REQUEST));
    status.max(if misused { 2 } else { 1 })
}

fn dispatch(cli: Cli) -> anyhow::Result<ExitCode> {
    let json = cli.json;
    match cli.command {
        Command::Get(args) => return get::run(*args, json),
        Command::Add(args) => return add::run(*args, json),
        Command::Verify(args) => return verify::run(&args, json),
        Command::Serve { port, download_dir, detached } => return serve(port, download_dir, detached),
        Command::Tools(args) => return tools::run(args, json),
        Command::Doctor => return doctor::run(json),
        Command::Install(args) => manage::install(&args.into(), json)?,
        Command::Uninstall(args) => manage::uninstall(&args.into(), json)?,
        Command::Token { rotate } => manage::token(rotate, json)?,
        Command::Stop => return manage::stop(json),
        Command::Completions { shell } => completions(shell)?,
        command => {
            let home = Home::open()?;
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            return runtime.block_on(ask_daemon(&home, command, json));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// What a shell has to know to complete commands and flags.
fn completions(shell: clap_complete::Shell) -> anyhow::Result<()> {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), "weir", &mut text);
    manage::say(String::from_utf8(text)?.trim_end())
}

async fn ask_daemon(home: &Home, command: Command, json: bool) -> anyhow::Result<ExitCode> {
    match command {
        Command::List(args) => manage::list(home, &args, json).await?,
        Command::Pause(Ids { ids }) => return manage::act(home, &ids, "pause", json).await,
        Command::Resume(Ids { ids }) => return manage::act(home, &ids, "resume", json).await,
        Command::Finish(Ids { ids }) => return manage::act(home, &ids, "finish", json).await,
        Command::Retry(Ids { ids }) => return manage::act(home, &ids, "retry", json).await,
        Command::Cancel(Ids { ids }) => return manage::act(home, &ids, "cancel", json).await,
        Command::Remove { ids: Ids { ids }, files } => {
            return manage::remove(home, &ids, files, json).await;
        }
        Command::Move { id, to } => manage::reorder(home, id, to.into(), json).await?,
        Command::Limit { rate, id } => manage::limit(home, rate, id, json).await?,
        Command::Watch => manage::watch(home).await?,
        Command::Open { print } => manage::open(home, print, json).await?,
        Command::Status => return manage::status(home, json).await,
        _ => unreachable!("dispatched before"),
    }
    Ok(ExitCode::SUCCESS)
}

fn serve(port: Option<u16>, download_dir: Option<PathBuf>, detached: bool) -> anyhow::Result<ExitCode> {
    let home = Home::open()?;
    if detached {
        // A session of its own: no terminal and no browser takes it along when it goes. Fails only when it has one.
        #[cfg(unix)]
        let _ = rustix::process::setsid();
        daemon::log::to_file(&home)?;
    } else {
        daemon::log::to_stderr();
    }
    let started = Config::load(&home.config()).and_then(|mut config| {
        if let Some(port) = port {
            config.port = port;
        }
        if let Some(dir) = download_dir {
            config.download_dir = std::path::absolute(dir)?;
        }
        daemon::run(&home, config)
    });
    match started {
        Err(error) if detached => {
            // Nobody sees stderr; whoever started us reads the log.
            // One line: what started us shows the last one.
            let reason = format!("{error:#}").split_whitespace().collect::<Vec<_>>().join(" ");
            tracing::error!("{reason}");
            Ok(ExitCode::FAILURE)
        }
        started => started.map(|()| ExitCode::SUCCESS),
    }
}
