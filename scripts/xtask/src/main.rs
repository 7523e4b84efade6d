//! `cargo xtask`: what cargo alone cannot build.
//!
//! Owns the road from Rust to what a browser loads. Never builds the native host (cargo does that) and never starts
//! anything. Invariant: what lands in `dist/` is complete and within its size budgets, or the command fails.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line tool talks on its terminal")]

mod budget;
mod dist;
mod wasm;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context as _, Result, bail};

const USAGE: &str = "cargo xtask build [--dev]   build dist/extension and dist/page; --dev: quick, unoptimised, budgets not checked";

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let result = match words.as_slice() {
        ["build"] => build(wasm::Mode::Release),
        ["build", "--dev"] => build(wasm::Mode::Dev),
        ["help" | "--help" | "-h"] => {
            println!("{USAGE}");
            Ok(())
        }
        _ => {
            eprintln!("{USAGE}");
            return ExitCode::from(2);
        }
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn build(mode: wasm::Mode) -> Result<()> {
    let root = root()?;
    let modules = wasm::build(&root, mode)?;
    dist::lay_out(&root, &modules)?;
    let report = budget::Report::measure(&root.join("dist"))?;
    println!("{report}");
    match mode {
        wasm::Mode::Release => report.check(),
        wasm::Mode::Dev => Ok(()),
    }
}

/// The workspace's folder.
fn root() -> Result<PathBuf> {
    let manifest = Path::new(env!("CARGO_MANIFEST_DIR"));
    let root = manifest.ancestors().nth(2).context("xtask is not two folders below the workspace")?;
    if !root.join("Cargo.lock").is_file() {
        bail!("{} is not the workspace: run `cargo xtask` from a checkout", root.display());
    }
    Ok(root.to_path_buf())
}
