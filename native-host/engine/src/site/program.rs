//! yt-dlp as a process: found, started, and ended so that what it wrote can be gone on with.
//!
//! Owns its group of processes, from which ffmpeg and whatever else it starts never leave. Never reads what it says.
//! Invariant: it does not outlive its owner, also when that is killed: a watcher in its group ends it when our end of a
//! pipe closes.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};

use super::private::Private;
use crate::EngineError;

/// How long it may take to end after having been asked to, and then after having been told to.
const AFTER_INT: Duration = Duration::from_secs(10);
const AFTER_TERM: Duration = Duration::from_secs(5);

/// What `/bin/sh` does before it becomes yt-dlp. Nothing of this text comes from outside, and what does are arguments,
/// which a shell does not evaluate. `$0` is the private folder; `$$` is yt-dlp itself, because `exec` keeps the number, and
/// also its group. That number is nobody else's as long as the watcher is in the group.
const WATCHED: &str = r#"exec 3<&0 </dev/null
{
    trap '' INT TERM HUP
    read -r word <&3
    kill -INT -$$
    tries=0
    while [ $tries -lt 10 ] && kill -0 $$; do sleep 1; tries=$((tries + 1)); done
    kill -TERM -$$
    tries=0
    while [ $tries -lt 5 ] && kill -0 $$; do sleep 1; tries=$((tries + 1)); done
    kill -KILL $$
    rm -rf -- "$0"
    kill -KILL -$$
} >/dev/null 2>&1 &
exec "$@" 3<&-
"#;

/// The program to use: `configured` if it is there, else what `PATH` has.
pub(super) fn find(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    if let Some(path) = configured.filter(|path| is_program(path)) {
        return Ok(path.to_owned());
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("yt-dlp"))
        .find(|path| is_program(path))
        .ok_or(EngineError::YtDlpMissing)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// A running yt-dlp. Dropping it ends it, within some seconds.
#[derive(Debug)]
pub(super) struct Process {
    child: Child,
    group: Option<Pid>,
    /// As long as this end is open the watcher waits.
    _watched: Option<ChildStdin>,
}

impl Process {
    /// Starts it. The private folder goes with the process when nobody else is left to remove it.
    pub(super) fn start(
        program: &Path,
        private: &Private,
        arguments: &[OsString],
    ) -> Result<(Self, ChildStdout, ChildStderr), EngineError> {
        // What came with it (a JavaScript runtime) lies beside it.
        let real = program.canonicalize().unwrap_or_else(|_| program.to_owned());
        let beside = [program.parent(), real.parent()].into_iter().flatten().map(Path::to_owned);
        let inherited = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::env::split_paths(&inherited).chain(beside)).unwrap_or(inherited);
        let mut child = Command::new("/bin/sh")
            .arg("-c")
            .arg(WATCHED)
            .arg(private.folder())
            .arg(program)
            .args(arguments)
            .env("PATH", path)
            // Whatever the locale: names and messages are UTF-8.
            .env("PYTHONUTF8", "1")
            .process_group(0)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .map_err(|error| EngineError::Internal(format!("yt-dlp cannot be started: {error}")))?;
        let group = child.id().and_then(|id| Pid::from_raw(i32::try_from(id).ok()?));
        let watched = child.stdin.take();
        let (Some(stdout), Some(stderr)) = (child.stdout.take(), child.stderr.take()) else {
            return Err(EngineError::Internal("yt-dlp has no pipes".to_owned()));
        };
        Ok((Self { child, group, _watched: watched }, stdout, stderr))
    }

    /// Waits until it ends by itself.
    pub(super) async fn ended(mut self) -> Result<ExitStatus, EngineError> {
        let status = self.child.wait().await;
        self.clear_up();
        status.map_err(|error| EngineError::Internal(format!("yt-dlp was lost: {error}")))
    }

    /// Ends it: asks, tells, kills. True when it left by its own way out, so that what it wrote is what it says.
    pub(super) async fn end(mut self) -> bool {
        let mut own_way = false;
        for (signal, patience) in [(Signal::INT, AFTER_INT), (Signal::TERM, AFTER_TERM)] {
            self.signal(signal);
            if let Ok(ended) = tokio::time::timeout(patience, self.child.wait()).await {
                // Ended by a signal it has no exit code.
                own_way = ended.is_ok_and(|status| status.code().is_some());
                break;
            }
        }
        self.clear_up();
        let _ = self.child.wait().await;
        own_way
    }

    fn signal(&self, signal: Signal) {
        if let Some(group) = self.group {
            // Fails only when nobody is left in it.
            let _ = kill_process_group(group, signal);
        }
    }

    /// The watcher, and what yt-dlp may have left behind.
    fn clear_up(&mut self) {
        self.signal(Signal::KILL);
        self.group = None;
    }
}

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use tokio::io::AsyncReadExt as _;

    use super::*;

    fn start(script: &str) -> (Process, ChildStdout, Private) {
        let private = Private::new().unwrap();
        let arguments = ["-c".into(), script.into()];
        let (process, stdout, _) = Process::start(Path::new("/bin/sh"), &private, &arguments).unwrap();
        (process, stdout, private)
    }

    #[tokio::test]
    async fn it_ends_by_itself_and_nothing_stays() {
        let (process, mut stdout, _private) = start("echo said; exit 3");
        let mut said = String::new();
        stdout.read_to_string(&mut said).await.unwrap();
        assert_eq!(said, "said\n");
        let group = process.group.unwrap();
        assert_eq!(process.ended().await.unwrap().code(), Some(3));
        let started = Instant::now();
        while rustix::process::test_kill_process_group(group).is_ok() {
            assert!(started.elapsed() < Duration::from_secs(5), "the watcher stays");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    #[tokio::test]
    async fn asked_politely_it_leaves_by_its_own_way_and_killed_it_does_not() {
        let (process, mut stdout, _private) =
            start("trap 'exit 1' INT; echo up; while :; do sleep 0.1; done");
        stdout.read_u8().await.unwrap();
        assert!(process.end().await);
        let (process, mut stdout, _private) = start("echo up; exec sleep 100");
        stdout.read_u8().await.unwrap();
        assert!(!process.end().await, "ended by the signal");
    }

    #[tokio::test]
    async fn dropped_it_ends_and_takes_the_private_folder_along() {
        let (process, mut stdout, private) =
            start("trap 'echo asked; exit 1' INT; echo up; while :; do sleep 0.1; done");
        stdout.read_u8().await.unwrap();
        private.write("cookies", b"secret").unwrap();
        let folder = private.folder().to_owned();
        // As after kill −9: nobody of ours cleans up.
        std::mem::forget(private);
        drop(process);
        let mut rest = String::new();
        stdout.read_to_string(&mut rest).await.unwrap();
        assert!(rest.contains("asked"), "{rest}");
        let started = Instant::now();
        while folder.exists() {
            assert!(started.elapsed() < Duration::from_secs(20), "the folder stays");
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    }

    #[test]
    fn a_missing_program_is_looked_for_in_the_path() {
        let found = find(Some(Path::new("/bin/sh"))).unwrap();
        assert_eq!(found, Path::new("/bin/sh"));
        assert!(!is_program(Path::new("/etc/passwd")) && !is_program(Path::new("/nowhere")));
    }
}
