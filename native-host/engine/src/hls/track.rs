//! One track of a stream: its segments, fetched in parallel, in order in one file.
//!
//! Owns the working file of the track and its place in the journal. Never skips a segment. Invariant: the journal
//! names only whole segments that were written before it, and the file is cut back to them on every start.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_media::hls::MediaPlaylist;

use super::cipher::Cipher;
use super::plan;
use super::segment::{self, Message, Shared};
use crate::journal::{HlsState, State, TrackState};
use crate::part::Part;
use crate::{EngineError, Monitor};

/// Segments that may be on their way or waiting, for each connection.
const WINDOW: usize = 3;

/// One segment's messages, and what it is worth.
struct Coming {
    messages: mpsc::UnboundedReceiver<Message>,
    piece: plan::Piece,
}

/// Everything the writing thread needs and hands back.
pub(crate) struct Recorder {
    pub(crate) part: Part,
    pub(crate) state: HlsState,
    pub(crate) monitor: Arc<Monitor>,
    /// Where the segments of each track begin, as far as this run wrote them.
    pub(crate) starts: Vec<Vec<(usize, u64)>>,
    /// Sum of all tracks, and what is done of it.
    pub(crate) total: Duration,
    pub(crate) done: Duration,
}

/// Fetches what is missing of track `number` into `path`.
pub(crate) async fn run(
    shared: Arc<Shared>,
    media: &MediaPlaylist,
    number: usize,
    path: &Path,
    connections: usize,
    recorder: Recorder,
    stop: &CancellationToken,
) -> (Recorder, Result<(), EngineError>) {
    let first = recorder.state.written[number].segments;
    let durations: Vec<Duration> = media.segments.iter().map(|segment| segment.duration).collect();
    let (to_writer, coming) = mpsc::channel::<Coming>(connections * WINDOW);
    let (turn, turns) = watch::channel(0);
    let writing = tokio::task::spawn_blocking({
        let path = path.to_owned();
        move || Writing { recorder, number, durations, turn }.run(&path, coming)
    });
    let mut requests = JoinSet::new();
    let feed = async {
        for (at, piece) in plan::pieces(media, first).enumerate() {
            let (out, messages) = mpsc::unbounded_channel();
            // Waits for a place in the window; an error means that the writer has given up and says why.
            if to_writer.send(Coming { messages, piece: piece.clone() }).await.is_err() {
                break;
            }
            let Ok(slot) = Arc::clone(&shared.slots).acquire_owned().await else { break };
            requests.spawn(segment::fetch(Arc::clone(&shared), piece, at, turns.clone(), out, slot));
            while requests.try_join_next().is_some() {}
        }
        drop(to_writer);
        // The requests end when the writer has taken or refused everything.
        while requests.join_next().await.is_some() {}
    };
    let stopped = tokio::select! {
        biased;
        () = stop.cancelled() => true,
        () = feed => false,
    };
    // Aborting the requests closes their channels, so the writer comes to an end by itself.
    drop(requests);
    match writing.await {
        Ok((recorder, _)) if stopped => (recorder, Err(EngineError::Stopped)),
        // Nobody stopped it, so a request ended without a word.
        Ok((recorder, Err(EngineError::Stopped))) => {
            (recorder, Err(EngineError::Internal("the request of a segment broke off".to_owned())))
        }
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

struct Writing {
    recorder: Recorder,
    number: usize,
    durations: Vec<Duration>,
    turn: watch::Sender<usize>,
}

impl Writing {
    fn run(mut self, path: &Path, coming: mpsc::Receiver<Coming>) -> (Recorder, Result<(), EngineError>) {
        let outcome = self.write(path, coming);
        (self.recorder, outcome)
    }

    fn write(&mut self, path: &Path, mut coming: mpsc::Receiver<Coming>) -> Result<(), EngineError> {
        let mut file = Part::open(path).map_err(EngineError::disk)?;
        let mut at = self.recorder.state.written[self.number].bytes;
        file.set_len(at).map_err(EngineError::disk)?;
        let mut outcome = Ok(());
        let mut whole = self.recorder.state.written[self.number].segments == self.durations.len();
        let mut number = 0;
        while let Some(Coming { mut messages, piece }) = coming.blocking_recv() {
            // Never fails: the requests hold receivers, and if none is left nobody needs to know.
            let _ = self.turn.send(number);
            number += 1;
            if !piece.is_map {
                self.recorder.starts[self.number].push((piece.index, at));
            }
            match self.piece(&mut file, at, &piece, &mut messages) {
                Ok(Some(end)) => at = end,
                // Aborted in the middle.
                Ok(None) => break,
                Err(error) => {
                    outcome = Err(error);
                    break;
                }
            }
            if piece.is_map {
                continue;
            }
            self.recorder.state.written[self.number] = TrackState { segments: piece.index + 1, bytes: at };
            self.recorder.done += self.durations.get(piece.index).copied().unwrap_or_default();
            self.recorder.progress();
            whole = piece.index + 1 == self.durations.len();
            // Every time: segments that waited for an earlier one are written in a burst, and the next may be long in
            // coming. A record is a few hundred bytes.
            self.recorder.journal().map_err(EngineError::disk)?;
        }
        // On every way out the journal says for good what is there.
        file.set_len(self.recorder.state.written[self.number].bytes).map_err(EngineError::disk)?;
        file.sync_data().map_err(EngineError::disk)?;
        self.recorder.state.synced[self.number] = self.recorder.state.written[self.number];
        self.recorder.journal().map_err(EngineError::disk)?;
        match outcome {
            Ok(()) if !whole => Err(EngineError::Stopped),
            outcome => outcome,
        }
    }

    /// Writes one piece at `start` and returns where it ended; `None` when its request was aborted.
    fn piece(
        &mut self,
        file: &mut File,
        start: u64,
        piece: &plan::Piece,
        messages: &mut mpsc::UnboundedReceiver<Message>,
    ) -> Result<Option<u64>, EngineError> {
        let mut at = start;
        let mut cipher: Option<Box<Cipher>> = None;
        let mut counted = 0_u64;
        while let Some(message) = messages.blocking_recv() {
            let bytes = match message {
                Message::Begin(new) => {
                    cipher = new;
                    at = start;
                    self.recorder.monitor.uncount_received(std::mem::take(&mut counted));
                    file.seek(SeekFrom::Start(start)).map_err(EngineError::disk)?;
                    continue;
                }
                Message::Data(bytes, _room) => match &mut cipher {
                    Some(cipher) => cipher.update(&bytes).into(),
                    None => bytes,
                },
                Message::End => {
                    if let Some(cipher) = cipher {
                        let wrong_key = |_| EngineError::UnsupportedMedia {
                            reason: format!(
                                "segment {} cannot be decrypted with the key the server gave",
                                piece.index + 1
                            ),
                        };
                        let last = cipher.finish().map_err(wrong_key)?;
                        file.write_all(&last).map_err(EngineError::disk)?;
                        at += last.len() as u64;
                        self.recorder.monitor.add_received(last.len() as u64);
                    }
                    // A retry may have brought less than the try before it.
                    file.set_len(at).map_err(EngineError::disk)?;
                    return Ok(Some(at));
                }
                Message::Failed(error) => return Err(error),
            };
            file.write_all(&bytes).map_err(EngineError::disk)?;
            at += bytes.len() as u64;
            counted += bytes.len() as u64;
            self.recorder.monitor.add_received(bytes.len() as u64);
        }
        Ok(None)
    }
}

impl Recorder {
    fn progress(&self) {
        let total = self.total.as_secs_f64();
        self.monitor.set_fraction(if total > 0.0 { self.done.as_secs_f64() / total } else { 0.0 });
    }

    pub(crate) fn journal(&mut self) -> std::io::Result<()> {
        let record = self.part.record(State::Hls(self.state.clone()));
        self.part.journal.write(&record, false)
    }

    /// Lets go of everything that has been fetched.
    pub(crate) fn forget(&mut self) -> std::io::Result<()> {
        self.state.written.fill(TrackState::default());
        self.state.synced.fill(TrackState::default());
        // First the record: it must never name bytes that are gone.
        self.journal()?;
        self.part.tidy();
        Ok(())
    }
}
