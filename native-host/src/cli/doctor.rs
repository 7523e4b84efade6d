//! `weir doctor`: what is there, what is missing, and what to do about it.
//!
//! Owns the order of the checks and the table; each check lies in [`checks`]. Never changes anything and starts no daemon.
//! Exit status 0 when nothing fails.

mod checks;

use std::process::ExitCode;

use serde::Serialize;

use super::manage::{say, say_json};
use super::output;

/// How a check ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
enum Verdict {
    Ok,
    /// Something does less than it could.
    Warn,
    /// Something does not work.
    Fail,
}

impl Verdict {
    const fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
        }
    }
}

/// What was looked at and found.
#[derive(Debug, Serialize)]
struct Check {
    /// Stable, for programs.
    name: &'static str,
    result: Verdict,
    /// For people.
    message: String,
    /// What to do, unless it is well.
    advice: Option<String>,
}

impl Check {
    fn ok(name: &'static str, message: impl Into<String>) -> Self {
        Self { name, result: Verdict::Ok, message: message.into(), advice: None }
    }

    fn warn(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, result: Verdict::Warn, message: message.into(), advice: Some(advice.into()) }
    }

    fn fail(name: &'static str, message: impl Into<String>, advice: impl Into<String>) -> Self {
        Self { name, result: Verdict::Fail, message: message.into(), advice: Some(advice.into()) }
    }
}

pub(super) fn run(json: bool) -> anyhow::Result<ExitCode> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let checks = runtime.block_on(checks::all());
    if json {
        say_json(&checks)?;
    } else {
        for check in &checks {
            let (result, message) = (check.result.as_str(), output::plain(&check.message));
            say(&format!("{result:<4}  {:<10}  {message}", check.name))?;
            if let Some(advice) = &check.advice {
                say(&format!("      {:<10}  → {}", "", output::plain(advice)))?;
            }
        }
    }
    let failed = checks.iter().any(|check| check.result == Verdict::Fail);
    Ok(if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}
