//! Muxing that goes on while the segments come, so that a film is whole soon after its last one.
//!
//! Owns an ffmpeg that is fed through pipes as the working files grow. Never decides what is right: what it makes is taken
//! only when, with everything there, ffmpeg would be told the same in every word. Invariant: it ends with its owner, and
//! nothing waits for it that could go on without it.

use std::ffi::OsString;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use rustix::fs::{CWD, Mode, OFlags, fcntl_setfl, mkfifoat};
use tokio::sync::mpsc;
use tokio::task::JoinSet;

use super::source::go_on;
use super::{Halt, Plan, arguments, ffmpeg};
use crate::EngineError;

/// How often it is looked whether ffmpeg reads a pipe by now: it opens one after another.
const OPENING: Duration = Duration::from_millis(5);

/// A film in the making.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// What ffmpeg would be told if everything were there already.
    arguments: Vec<OsString>,
    result: PathBuf,
    /// How much of each input is there.
    until: Vec<mpsc::UnboundedSender<u64>>,
    /// Killed when this is dropped.
    ffmpeg: JoinSet<Result<(), EngineError>>,
    _halt: Halt,
}

impl Ahead {
    /// Begins when the first segments of all tracks are there, as `plan` has them; none when the film cannot be made front
    /// to back as it comes.
    pub(crate) async fn begin(plan: &Plan<'_>) -> Result<Option<Self>, EngineError> {
        let halt = Halt::default();
        let looked = super::look(plan, &halt).await?;
        let Some(arguments) = looked.as_it_comes(plan)? else { return Ok(None) };
        let result = plan.work.join("ahead");
        let mut told = arguments::with(&arguments::ahead(&arguments), plan.output, &result);
        let mut until = Vec::new();
        for (number, input) in looked.media.iter().enumerate() {
            let pipe = plan.work.join(format!("ahead{number}"));
            mkfifoat(CWD, &pipe, Mode::RUSR | Mode::WUSR).map_err(|error| EngineError::disk(error.into()))?;
            told = arguments::with(&told, &input.path, &pipe);
            let (sender, grown) = mpsc::unbounded_channel();
            let (from, halt) = (input.path.clone(), Arc::clone(&halt.0));
            tokio::task::spawn_blocking(move || {
                if let Err(error) = pour(&from, &pipe, grown, &halt) {
                    tracing::debug!(%error, "a film is not made ahead any more");
                }
            });
            until.push(sender);
        }
        let (program, folder) = (plan.ffmpeg.to_owned(), plan.work.to_owned());
        let mut ffmpeg = JoinSet::new();
        ffmpeg.spawn(async move { ffmpeg::run(&program, &told, &folder).await });
        Ok(Some(Self { arguments, result, until, ffmpeg, _halt: halt }))
    }

    /// So many bytes of an input are there, and will stay as they are.
    pub(crate) fn grown(&self, input: usize, bytes: u64) {
        if let Some(until) = self.until.get(input) {
            // Once ffmpeg has ended by itself nobody listens; why is known in the end.
            let _ = until.send(bytes);
        }
    }

    /// What was made, as `output`, when it is what these arguments ask for. All of every input has been announced.
    pub(super) async fn end(mut self, arguments: &[OsString], output: &Path) -> bool {
        if self.arguments != arguments {
            tracing::debug!("a film that was made ahead is made anew: only its end shows what it is");
            return false;
        }
        self.until.clear();
        match self.ffmpeg.join_next().await {
            Some(Ok(Ok(()))) => std::fs::rename(&self.result, output).is_ok(),
            outcome => {
                tracing::debug!(?outcome, "a film could not be made ahead");
                false
            }
        }
    }
}

impl Drop for Ahead {
    fn drop(&mut self) {
        // What is not taken takes up as much room as the film.
        let _ = std::fs::remove_file(&self.result);
    }
}

/// Lets a working file run into a pipe as far as it is there, until nobody says that it grows. Blocks.
fn pour(
    from: &Path,
    pipe: &Path,
    mut grown: mpsc::UnboundedReceiver<u64>,
    halt: &AtomicBool,
) -> Result<(), EngineError> {
    let (from, mut to) = (File::open(from).map_err(EngineError::disk)?, reader_of(pipe, halt)?);
    let mut at = 0;
    while let Some(until) = grown.blocking_recv() {
        let wanted = until.saturating_sub(at);
        let poured = io::copy(&mut io::Read::take(&from, wanted), &mut to).map_err(EngineError::disk)?;
        if poured < wanted {
            return Err(EngineError::disk(io::ErrorKind::UnexpectedEof.into()));
        }
        at += poured;
    }
    Ok(())
}

/// A pipe that is read at its other end.
fn reader_of(pipe: &Path, halt: &AtomicBool) -> Result<File, EngineError> {
    loop {
        go_on(halt)?;
        // Who opened it in the usual way would wait for ever for a program that has ended.
        let flags = OFlags::NONBLOCK.bits() as i32;
        match OpenOptions::new().write(true).custom_flags(flags).open(pipe) {
            Ok(pipe) => {
                fcntl_setfl(&pipe, OFlags::empty()).map_err(|error| EngineError::disk(error.into()))?;
                return Ok(pipe);
            }
            Err(error) if error.raw_os_error() == Some(rustix::io::Errno::NXIO.raw_os_error()) => {
                std::thread::sleep(OPENING);
            }
            Err(error) => return Err(EngineError::disk(error)),
        }
    }
}
