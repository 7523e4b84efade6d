//! Python and its package installer, as far as they are needed for one program in a folder of its own.
//!
//! Owns the calls and what their failures mean to a person. Never touches a Python that is not its own folder's. Invariant:
//! what is asked for is pinned, because an unpinned wish makes pip choose an older version without a word.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio::process::Command;

use super::in_path;

/// Python that yt-dlp needs.
const LEAST_PYTHON: (u32, u32) = (3, 11);
/// Longest time for one installation; the largest part is 42 MB.
const PATIENCE: Duration = Duration::from_secs(900);
/// Characters of pip's own words in a message.
const MAX_WORDS: usize = 400;

/// The Python to make the folder with.
///
/// # Errors
/// When there is none, or an old one.
pub(super) async fn find() -> anyhow::Result<PathBuf> {
    let mut old = None;
    for name in ["python3", "python3.14", "python3.13", "python3.12", "python3.11"] {
        let Some(path) = in_path(name) else { continue };
        let Some(line) = super::version::ask(&path, "--version").await else { continue };
        let number = line.trim_start_matches("Python ").to_owned();
        let mut parts = number.split('.').filter_map(|part| part.parse::<u32>().ok());
        match (parts.next(), parts.next()) {
            (Some(major), Some(minor)) if (major, minor) >= LEAST_PYTHON => return Ok(path),
            (Some(_), Some(_)) => old = Some(number),
            _ => {}
        }
    }
    let (major, minor) = LEAST_PYTHON;
    match old {
        Some(old) => bail!("yt-dlp needs Python {major}.{minor} or newer; this machine has {old}"),
        None => bail!(
            "yt-dlp needs Python {major}.{minor} or newer, and there is none (Debian and Ubuntu: sudo apt-get install python3 python3-venv)"
        ),
    }
}

/// Makes an environment in `folder`, which must not exist.
///
/// # Errors
/// When Python lacks what is needed; the message says what to install.
pub(super) async fn make_environment(python: &Path, folder: &Path) -> anyhow::Result<()> {
    let output = run(Command::new(python).args(["-m", "venv"]).arg(folder)).await?;
    if output.success {
        return Ok(());
    }
    let words = output.words.to_lowercase();
    if words.contains("ensurepip") || words.contains("no module named venv") {
        bail!(
            "this Python cannot make an environment of its own (Debian and Ubuntu: sudo apt-get install python3-venv)"
        );
    }
    bail!("Python could not make an environment in {}: {}", folder.display(), last_words(&output.words))
}

/// Installs exactly these requirements.
///
/// # Errors
/// What pip says last.
pub(super) async fn install(folder: &Path, requirements: &[&str]) -> anyhow::Result<()> {
    let mut pip = Command::new(folder.join("bin/python"));
    pip.args(["-m", "pip", "install", "--disable-pip-version-check", "--no-input", "--quiet"]);
    // Nothing here can be an option.
    pip.arg("--").args(requirements);
    let output = run(&mut pip).await?;
    if output.success {
        return Ok(());
    }
    bail!("{}", last_words(&output.words))
}

/// Further parts that the package recommends, as requirements.
pub(super) async fn recommended(folder: &Path) -> Vec<String> {
    const ASK: &str = r#"
import importlib.metadata as metadata
from pip._vendor.packaging.requirements import Requirement
for part in map(Requirement, metadata.requires("yt-dlp") or []):
    needed = lambda extra: part.marker is None or part.marker.evaluate({"extra": extra})
    if needed("default") and not needed(""):
        print(part.name + str(part.specifier))
"#;
    let mut python = Command::new(folder.join("bin/python"));
    let Ok(output) = run(python.args(["-c", ASK])).await else { return Vec::new() };
    if !output.success {
        return Vec::new();
    }
    let plain = |line: &&str| {
        line.starts_with(|c: char| c.is_ascii_alphabetic())
            && line.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.,<>=!~*".contains(&b))
    };
    output.said.lines().map(str::trim).filter(plain).map(str::to_owned).collect()
}

/// What a call came to.
struct Output {
    success: bool,
    said: String,
    words: String,
}

async fn run(command: &mut Command) -> anyhow::Result<Output> {
    // What another environment set up for itself would lead Python elsewhere.
    for variable in ["PYTHONHOME", "PYTHONPATH", "VIRTUAL_ENV", "PIP_TARGET", "PIP_PREFIX", "PIP_USER"] {
        command.env_remove(variable);
    }
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).kill_on_drop(true);
    let output = tokio::time::timeout(PATIENCE, command.output())
        .await
        .context("it took more than a quarter of an hour")?
        .context("Python could not be started")?;
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    let (said, errors) = (text(&output.stdout), text(&output.stderr));
    let words = format!("{said}\n{errors}");
    Ok(Output { success: output.status.success(), said, words })
}

/// The errors among what was said, else its end.
fn last_words(words: &str) -> String {
    let errors: Vec<&str> = words.lines().filter_map(|line| line.trim().strip_prefix("ERROR: ")).collect();
    let told = match errors.last() {
        Some(last) => (*last).to_owned(),
        None => words
            .lines()
            .rev()
            .map(str::trim)
            .find(|line| !line.is_empty())
            .unwrap_or("it gave no reason")
            .to_owned(),
    };
    let told: String = told.chars().filter(|c| !c.is_control()).take(MAX_WORDS).collect();
    told.trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_found_among_the_words() {
        let words = "Collecting yt-dlp\nERROR: Could not find a version\nERROR: No matching distribution found for yt-dlp==1.\n[notice] new pip\n";
        assert_eq!(last_words(words), "No matching distribution found for yt-dlp==1");
        assert_eq!(last_words("one\ntwo\n\n"), "two");
        assert_eq!(last_words(""), "it gave no reason");
    }
}
