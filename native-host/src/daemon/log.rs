//! The daemon's log: `weir.log` in the home, or stderr in the foreground. Never stdout, never a secret.

use std::sync::Mutex;

use tracing_subscriber::EnvFilter;

use crate::home::Home;

/// A log larger than this is set aside as `weir.log.old` at the next start.
const MAX_BYTES: u64 = 1024 * 1024;

/// Logs to stderr.
pub(crate) fn to_stderr() {
    let _ = tracing_subscriber::fmt().with_env_filter(filter()).with_writer(std::io::stderr).try_init();
}

/// Logs to the file, for a daemon without a terminal.
///
/// # Errors
/// When the file cannot be opened.
pub(crate) fn to_file(home: &Home) -> std::io::Result<()> {
    let path = home.log();
    if std::fs::metadata(&path).is_ok_and(|file| file.len() > MAX_BYTES) {
        std::fs::rename(&path, path.with_extension("log.old"))?;
    }
    let mut options = std::fs::OpenOptions::new();
    options.append(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    let file = options.open(path)?;
    let _ = tracing_subscriber::fmt()
        .with_env_filter(filter())
        .with_ansi(false)
        .with_writer(Mutex::new(file))
        .try_init();
    Ok(())
}

/// `WEIR_LOG=debug` and the like; `info` for our own crates by default.
fn filter() -> EnvFilter {
    EnvFilter::try_from_env("WEIR_LOG").unwrap_or_else(|_| EnvFilter::new("warn,weir=info,weir_engine=info"))
}
