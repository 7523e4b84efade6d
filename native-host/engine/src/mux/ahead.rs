//! Muxing that goes on while the segments come, so that a film is whole soon after its last one.
//!
//! Owns an ffmpeg that is fed through pipes as the working files grow. Never decides what is right: what it makes is taken
//! only when, with everything there, ffmpeg would be told the same in every word. Invariant: it ends with its owner, and
//! nothing waits for it that could go on without it.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, PipeReader, PipeWriter, Read as _};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use tokio::sync::{Semaphore, SemaphorePermit, mpsc};
use tokio::task::JoinSet;

use super::{Halt, Plan, arguments, ffmpeg};
use crate::EngineError;

/// Inputs ffmpeg can be handed as pipes that are open when it begins: those of its standard input and output. Named ones it
/// would open one after another, and wait for ever for a program that was killed meanwhile.
const MAX_INPUTS: usize = 2;

/// Films made ahead at a time: each has an ffmpeg of its own, which takes some 75 MB. Those that find no room are made in the
/// end, when all of them is there.
static ROOM: Semaphore = Semaphore::const_new(4);

/// A film in the making.
#[derive(Debug)]
pub(crate) struct Ahead {
    /// What ffmpeg would be told if everything were there already.
    arguments: Vec<OsString>,
    result: PathBuf,
    /// How much of each input is there.
    until: Vec<mpsc::UnboundedSender<u64>>,
    pours: JoinSet<Result<(), EngineError>>,
    /// Killed when this is dropped.
    ffmpeg: JoinSet<Result<(), EngineError>>,
    _room: SemaphorePermit<'static>,
}

impl Ahead {
    /// Begins when the first segments of all tracks are there, as `plan` has them; none when the film cannot be made front
    /// to back as it comes.
    pub(crate) async fn begin(plan: &Plan<'_>) -> Result<Option<Self>, EngineError> {
        let Ok(room) = ROOM.try_acquire() else { return Ok(None) };
        let looked = super::look(plan, &Halt::default()).await?;
        let Some(arguments) = looked.as_it_comes(plan)? else { return Ok(None) };
        if looked.media.len() > MAX_INPUTS {
            return Ok(None);
        }
        let result = plan.work.join("ahead");
        let inputs: Vec<&Path> = looked.media.iter().map(|input| input.path.as_path()).collect();
        let told = arguments::ahead(&arguments, &inputs, plan.output, &result);
        let (mut until, mut pours, mut readers) = (Vec::new(), JoinSet::new(), Vec::new());
        for from in inputs {
            let (reader, writer) = io::pipe().map_err(EngineError::disk)?;
            let (sender, grown) = mpsc::unbounded_channel();
            let from = from.to_owned();
            pours.spawn_blocking(move || pour(&from, writer, grown));
            until.push(sender);
            readers.push(reader);
        }
        let mut ffmpeg = JoinSet::new();
        ffmpeg.spawn(make(plan.ffmpeg.to_owned(), told, plan.work.to_owned(), readers, result.clone()));
        Ok(Some(Self { arguments, result, until, pours, ffmpeg, _room: room }))
    }

    /// So many bytes of an input are there, and will stay as they are.
    pub(crate) fn grown(&self, input: usize, bytes: u64) {
        if let Some(until) = self.until.get(input) {
            // Once ffmpeg has ended by itself nobody listens; why is known in the end.
            let _ = until.send(bytes);
        }
    }

    /// Whether what was made is what these arguments ask for; then it is `output`. All of every input has been announced.
    pub(super) async fn end(mut self, arguments: &[OsString], output: &Path) -> bool {
        if !are_same(&self.arguments, arguments) {
            tracing::debug!("a film that was made ahead is made anew: only its end shows what it is");
            return false;
        }
        self.until.clear();
        // What was not poured to its end ffmpeg takes for all there is.
        let ended = [self.ffmpeg.join_next().await, all(&mut self.pours).await];
        let whole = ended.iter().all(|ended| matches!(ended, None | Some(Ok(Ok(())))));
        if !whole {
            tracing::debug!(?ended, "a film could not be made ahead");
        }
        let taken = whole && std::fs::rename(&self.result, output).is_ok();
        if !taken {
            let _ = std::fs::remove_file(&self.result);
        }
        taken
    }
}

/// Whether ffmpeg is told the same: but for the day, which may have come to its end meanwhile.
fn are_same(one: &[OsString], other: &[OsString]) -> bool {
    let day = |word: &OsString| word.to_str().is_some_and(|word| word.starts_with("date="));
    one.len() == other.len() && one.iter().zip(other).all(|(a, b)| a == b || (day(a) && day(b)))
}

type Ended = Option<Result<Result<(), EngineError>, tokio::task::JoinError>>;

/// The first that went wrong, or none.
async fn all(tasks: &mut JoinSet<Result<(), EngineError>>) -> Ended {
    while let Some(ended) = tasks.join_next().await {
        if !matches!(ended, Ok(Ok(()))) {
            return Some(ended);
        }
    }
    None
}

/// Runs ffmpeg with the inputs as its standard input and output.
async fn make(
    program: PathBuf,
    arguments: Vec<OsString>,
    folder: PathBuf,
    inputs: Vec<PipeReader>,
    result: PathBuf,
) -> Result<(), EngineError> {
    // Dropped after ffmpeg, so that it is not made again.
    let mut unfinished = Unfinished(Some(result));
    ffmpeg::run_with(&program, &arguments, &folder, inputs).await?;
    unfinished.0 = None;
    Ok(())
}

/// Takes as much room as the film.
struct Unfinished(Option<PathBuf>);

impl Drop for Unfinished {
    fn drop(&mut self) {
        if let Some(path) = &self.0 {
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Lets a working file run into a pipe as far as it is there, until nobody says that it grows. Blocks.
fn pour(from: &Path, into: PipeWriter, mut grown: mpsc::UnboundedReceiver<u64>) -> Result<(), EngineError> {
    let from = File::open(from).map_err(EngineError::disk)?;
    // Between files the system copies by itself.
    let mut into = File::from(OwnedFd::from(into));
    let mut at = 0;
    while let Some(until) = grown.blocking_recv() {
        let wanted = until.saturating_sub(at);
        let poured = io::copy(&mut (&from).take(wanted), &mut into).map_err(EngineError::disk)?;
        if poured < wanted {
            return Err(EngineError::disk(io::ErrorKind::UnexpectedEof.into()));
        }
        at += poured;
    }
    Ok(())
}
