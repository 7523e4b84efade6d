//! The program ffmpeg: where it is, how it runs and how it ends.
//!
//! Never decides what it is asked to do. Invariant: no ffmpeg outlives its job, reads anything but local files, or fills
//! memory with what it says.

use std::ffi::{OsStr, OsString};
use std::io::PipeReader;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::{AsyncBufReadExt as _, AsyncReadExt as _, BufReader};
use tokio::process::{Child, Command};

use crate::EngineError;

/// How much of what ffmpeg says is kept.
const MAX_WORDS: u64 = 64 * 1024;
/// Longest line of its machine-readable output.
const MAX_LINE: u64 = 16 * 1024;

/// The program to use.
pub(crate) fn find(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    if let Some(path) = configured {
        return if is_program(path) { Ok(path.to_owned()) } else { Err(EngineError::FfmpegMissing) };
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("ffmpeg"))
        .find(|path| is_program(path))
        .ok_or(EngineError::FfmpegMissing)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A file's name as ffmpeg takes it: with its protocol in front no name is taken for an option or another protocol.
pub(super) fn file(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

/// What stands before every other argument.
const COMMON: [&str; 5] = ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"];

fn spawn(program: &Path, arguments: &[OsString], stdin: Stdio, stdout: Stdio) -> Result<Child, EngineError> {
    let mut command = Command::new(program);
    command
        .args(COMMON)
        .args(arguments)
        .stdin(stdin)
        .stdout(stdout)
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => EngineError::FfmpegMissing,
        _ => EngineError::MuxFailed { reason: error.to_string() },
    })
}

/// Runs it to its end. Dropping the future kills it. `folder` is left out of what it says.
pub(super) async fn run(program: &Path, arguments: &[OsString], folder: &Path) -> Result<(), EngineError> {
    let mut child = spawn(program, arguments, Stdio::null(), Stdio::null())?;
    let words = words_of(&mut child).await;
    ended(child, &words, folder).await
}

/// The same with up to two pipes to read from: `pipe:0` and `pipe:1`.
pub(super) async fn run_with(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    pipes: Vec<PipeReader>,
) -> Result<(), EngineError> {
    let mut pipes = pipes.into_iter().map(Stdio::from);
    let mut next = || pipes.next().unwrap_or_else(Stdio::null);
    // It says nothing there that anybody reads.
    let mut child = spawn(program, arguments, next(), next())?;
    let words = words_of(&mut child).await;
    ended(child, &words, folder).await
}

/// Runs it and hands every line it writes to `line`; lines beyond a length nobody writes are cut.
pub(super) async fn read_lines(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    mut line: impl FnMut(&str),
) -> Result<(), EngineError> {
    let mut child = spawn(program, arguments, Stdio::null(), Stdio::piped())?;
    let stdout = child.stdout.take();
    let reading = async {
        let Some(stdout) = stdout else { return };
        let mut reader = BufReader::new(stdout);
        let mut text = Vec::new();
        loop {
            text.clear();
            match (&mut reader).take(MAX_LINE).read_until(b'\n', &mut text).await {
                Ok(0) | Err(_) => return,
                Ok(_) => line(String::from_utf8_lossy(&text).trim_end()),
            }
        }
    };
    let (words, ()) = tokio::join!(words_of(&mut child), reading);
    ended(child, &words, folder).await
}

/// Runs it and returns what it writes, at most `limit` bytes.
pub(super) async fn read_bytes(
    program: &Path,
    arguments: &[OsString],
    folder: &Path,
    limit: u64,
) -> Result<Vec<u8>, EngineError> {
    let mut child = spawn(program, arguments, Stdio::null(), Stdio::piped())?;
    let stdout = child.stdout.take();
    let mut bytes = Vec::new();
    let reading = async {
        if let Some(mut stdout) = stdout {
            let _ = (&mut stdout).take(limit).read_to_end(&mut bytes).await;
            let _ = tokio::io::copy(&mut stdout, &mut tokio::io::sink()).await;
        }
    };
    let (words, ()) = tokio::join!(words_of(&mut child), reading);
    ended(child, &words, folder).await.map(|()| bytes)
}

async fn words_of(child: &mut Child) -> Vec<u8> {
    let mut words = Vec::new();
    if let Some(mut stderr) = child.stderr.take() {
        let _ = (&mut stderr).take(MAX_WORDS).read_to_end(&mut words).await;
        // A full pipe would stop it.
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    words
}

async fn ended(mut child: Child, words: &[u8], folder: &Path) -> Result<(), EngineError> {
    let status = child.wait().await.map_err(|error| EngineError::MuxFailed { reason: error.to_string() })?;
    if status.success() { Ok(()) } else { Err(failure(words, folder)) }
}

fn failure(words: &[u8], folder: &Path) -> EngineError {
    let words = String::from_utf8_lossy(words);
    if words.contains("No space left on device") {
        return EngineError::DiskFull;
    }
    let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    // Paths are nobody's business in a message.
    let folder = folder.as_os_str();
    let last = if folder == OsStr::new("") {
        last.to_owned()
    } else {
        last.replace(&*folder.to_string_lossy(), "…")
    };
    EngineError::MuxFailed { reason: last.chars().take(300).collect() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_missing_program_is_a_fact() {
        assert!(matches!(find(Some(Path::new("/nowhere/ffmpeg"))), Err(EngineError::FfmpegMissing)));
        assert!(matches!(find(Some(Path::new("/etc/passwd"))), Err(EngineError::FfmpegMissing)));
    }

    #[test]
    fn what_it_says_names_no_folder() {
        let folder = Path::new("/home/somebody/Videos");
        let error = failure(b"first\nfile:/home/somebody/Videos/a.part: broken\n\n", folder);
        assert_eq!(error.to_string(), "ffmpeg could not put the stream together: file:…/a.part: broken");
        assert!(matches!(failure(b"x: No space left on device", folder), EngineError::DiskFull));
    }
}
