//! `weir`: command line, browser shim and download daemon in one program.
//!
//! Owns only the choice between them. A browser starts this program with `chrome-extension://ID/` as its argument and
//! a pipe for stdout, so nothing here may print before that is settled.

mod api;
mod bus;
mod cli;
mod config;
mod confine;
mod daemon;
mod desktop;
mod endpoint;
mod failure;
mod home;
mod install;
mod queue;
mod remote;
mod shim;
mod store;
mod tools;
mod wishes;

use std::process::ExitCode;

fn main() -> ExitCode {
    let arguments: Vec<String> =
        std::env::args_os().map(|argument| argument.to_string_lossy().into_owned()).collect();
    let Some(extension) = shim::caller(&arguments) else { return cli::run() };
    daemon::log::to_stderr();
    match shim::run(extension) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!("{error:#}");
            ExitCode::FAILURE
        }
    }
}
