//! Runs one Wasm test binary under Node: what `cargo test --target wasm32-unknown-unknown` calls.
//!
//! A program apart from `xtask`, so that neither is linked again when the other is wanted. Owns nothing: the runner is
//! that of wasm-bindgen, at the version Cargo.lock pins.

#![allow(clippy::print_stderr, reason = "a command line tool talks on its terminal")]

use std::process::ExitCode;

fn main() -> ExitCode {
    match wasm_bindgen_cli::wasm_bindgen_test_runner::run_cli_with_args(std::env::args_os()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("wasm-test: {error:#}");
            ExitCode::FAILURE
        }
    }
}
