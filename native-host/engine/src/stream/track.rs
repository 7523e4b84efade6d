//! One track of a stream: its segments, fetched in parallel, in order in one file.
//!
//! Owns the working file of the track. Never skips a segment unless holes are allowed, and then says so. Invariant: what the
//! journal names was written before it, and the file is cut back to that on every start.

use std::fs::File;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use weir_media::drm::{self, Drm, Protection};
use weir_media::segment::Segment;

use super::cipher::Secret;
use super::fetch::{self, Lane, Message, Shared};
use super::plan::{Request, Requests};
use super::recorder::{Recorder, Written};
use super::segments::Log;
use crate::EngineError;
use crate::journal::Seen;
use crate::mux::{self, TrackKind};
use crate::part::Part;

/// Segments that may be on their way or waiting, at most.
const WINDOW: usize = 48;
/// How often a file that grows for long is put on the disk for good.
const SYNC_EVERY: Duration = Duration::from_secs(20);
/// Largest initialisation section that is looked into.
const MAX_INIT: usize = 4 * 1024 * 1024;
/// Largest track of subtitles: they are read as a whole in the end.
const MAX_TEXT: u64 = 8 * 1024 * 1024;

/// Where the segments of a track come from.
pub(crate) enum Feed {
    /// All are known; these are still to be fetched.
    Listed(std::vec::IntoIter<Segment>),
    /// They become known one by one, until the sender goes.
    Live(mpsc::UnboundedReceiver<Segment>),
}

impl Feed {
    async fn next(&mut self) -> Option<Segment> {
        match self {
            Self::Listed(segments) => segments.next(),
            Self::Live(segments) => segments.recv().await,
        }
    }
}

/// One request's messages, and what it is worth.
struct Coming {
    messages: mpsc::UnboundedReceiver<Message>,
    request: Request,
}

/// What is to be done for one track.
pub(crate) struct Task {
    pub(crate) number: usize,
    pub(crate) kind: TrackKind,
    /// Segments there are in all, as far as known.
    pub(crate) count: usize,
    /// The last one may not be there, and then nothing is missing.
    pub(crate) doubtful: Option<usize>,
    /// Time in which it has nothing to say, by sequence number.
    pub(crate) quiet: Arc<Vec<u64>>,
    /// Where else the same is.
    pub(crate) elsewhere: Arc<Vec<weir_media::dash::Part>>,
    pub(crate) feed: Feed,
}

/// Fetches what is missing of a track.
pub(crate) async fn run(
    shared: Arc<Shared>,
    task: Task,
    recorder: Arc<Recorder>,
    stop: &CancellationToken,
) -> Result<(), EngineError> {
    let Task { number, kind, count, doubtful, quiet, elsewhere, mut feed } = task;
    let state = recorder.track(number);
    let first = state.written.segments;
    let shift_us = state.breaks.last().and_then(|last| last.shift_us);
    // Nothing is written, or nothing behind the last break: the next segment that is there begins the run.
    let at_break = state.breaks.last().is_none_or(|last| last.byte == state.written.bytes);
    let mut requests =
        Requests::new(state.written.map.clone(), shift_us, at_break, matches!(feed, Feed::Live(_)));
    let (to_writer, coming) = mpsc::channel::<Coming>(WINDOW);
    let (turn, turns) = watch::channel(0);
    let lane = Lane::new(count, turns, kind == TrackKind::Subtitles, doubtful, quiet, elsewhere);
    let writing = tokio::task::spawn_blocking({
        let (recorder, shared) = (Arc::clone(&recorder), Arc::clone(&shared));
        let text = kind == TrackKind::Subtitles;
        let mapped = state.written.map.is_some();
        move || Writing { recorder, shared, number, count, text, mapped, turn, init: Vec::new() }.run(coming)
    });
    let mut running = JoinSet::new();
    let feed = async {
        let (mut at, mut index) = (0, first);
        'segments: while let Some(segment) = feed.next().await {
            for request in requests.of(&segment, index) {
                let (out, messages) = mpsc::unbounded_channel();
                // Waits for a place in the window; an error means that the writer has given up and says why.
                if to_writer.send(Coming { messages, request: request.clone() }).await.is_err() {
                    break 'segments;
                }
                let Some(slot) = shared.pace.slot().await else { break 'segments };
                running.spawn(fetch::fetch(Arc::clone(&shared), lane.clone(), request, at, out, slot));
                at += 1;
                while running.try_join_next().is_some() {}
            }
            index += 1;
        }
        drop(to_writer);
        // The requests end when the writer has taken or refused everything.
        while running.join_next().await.is_some() {}
    };
    let stopped = tokio::select! {
        biased;
        () = stop.cancelled() => true,
        () = feed => false,
    };
    // Aborting the requests closes their channels, so the writer comes to an end by itself.
    drop(running);
    match writing.await {
        Ok(_) if stopped => Err(EngineError::Stopped),
        // Nobody stopped it, so a request ended without a word.
        Ok(Err(EngineError::Stopped)) => {
            Err(EngineError::Internal("the request of a segment broke off".to_owned()))
        }
        Ok(outcome) => outcome,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}

struct Writing {
    recorder: Arc<Recorder>,
    shared: Arc<Shared>,
    number: usize,
    /// Segments there are in all, as far as known.
    count: usize,
    text: bool,
    /// Its segments have an initialisation section, so they are boxes.
    mapped: bool,
    turn: watch::Sender<usize>,
    /// The initialisation section that is being written.
    init: Vec<u8>,
}

/// The track is nothing but frames of sound.
fn packed(file: &File) -> bool {
    use std::os::unix::fs::FileExt as _;
    let mut start = [0; 64];
    file.read_at(&mut start, 0).is_ok_and(|read| mux::is_packed(&start[..read]))
}

/// How one request ended.
enum Ended {
    /// One past its last byte, and what the server said of it.
    At(u64, Option<Seen>),
    Lost,
    /// It does not exist, and nothing is missing; so much of its time is accounted for.
    Quiet,
    /// Its request was aborted.
    Aborted,
}

impl Writing {
    fn run(mut self, mut coming: mpsc::Receiver<Coming>) -> Result<(), EngineError> {
        let mut file = Part::open(&self.recorder.path(self.number)).map_err(EngineError::disk)?;
        let mut at = self.recorder.mark(self.number).bytes;
        file.set_len(at).map_err(EngineError::disk)?;
        self.grown(at);
        let mut log = self.recorder.log(self.number)?;
        let outcome = self.write(&mut file, &mut log, &mut at, &mut coming);
        let mark = self.recorder.mark(self.number);
        file.set_len(mark.bytes).map_err(EngineError::disk)?;
        if outcome.is_ok() {
            // The result is made of it right away, and then it goes: waiting for the disk would only delay that. Should the
            // machine fail meanwhile, what was synced last is gone on with.
            return outcome;
        }
        // On every other way out the journal says for good what is there.
        file.sync_data().map_err(EngineError::disk)?;
        self.recorder.synced(self.number, mark)?;
        outcome
    }

    fn write(
        &mut self,
        file: &mut File,
        log: &mut Log,
        at: &mut u64,
        coming: &mut mpsc::Receiver<Coming>,
    ) -> Result<(), EngineError> {
        let mut synced = Instant::now();
        let mut number = 0;
        let mut after_loss = false;
        while let Some(Coming { mut messages, request }) = coming.blocking_recv() {
            // Never fails: the requests hold receivers, and if none is left nobody needs to know.
            let _ = self.turn.send(number);
            number += 1;
            let start = *at;
            if !request.perhaps {
                self.begin(&request, start)?;
            }
            // Frames of packed sound say no time: only behind its tag, at the beginning of a run, is it known again.
            if after_loss && !request.gap && request.begins.is_none() && packed(file) {
                self.recorder.section(self.number, *at, None, None, true)?;
            }
            after_loss &= request.gap;
            let mut seen = None;
            let lost = match self.fill(file, *at, &request, &mut messages)? {
                Ended::At(end, of) => {
                    (*at, seen) = (end, of);
                    None
                }
                Ended::Lost => {
                    after_loss |= !request.is_map;
                    self.shared.progress.add(request.us);
                    Some(1)
                }
                Ended::Quiet => {
                    self.shared.progress.add(request.us);
                    Some(0)
                }
                Ended::Aborted => return Err(EngineError::Stopped),
            };
            if request.perhaps {
                if lost.is_some() {
                    self.shared.notes.set(
                        "what describes its segments may have changed and could not be had, so what came then may be unreadable",
                    );
                } else if self.is_in_force(file)? {
                    *at = start;
                    file.set_len(start).map_err(EngineError::disk)?;
                } else {
                    self.begin(&request, start)?;
                }
            }
            if request.is_map {
                continue;
            }
            // What took no bytes and is not missing has no end that could be cut either.
            let absent = lost.is_some() || *at == self.recorder.mark(self.number).bytes;
            log.push(*at, request.us, absent).map_err(EngineError::disk)?;
            let written = Written { us: request.us, sequence: request.sequence, end: *at, lost, seen };
            self.recorder.wrote(self.number, &written)?;
            self.grown(*at);
            if synced.elapsed() > SYNC_EVERY {
                let mark = self.recorder.mark(self.number);
                file.sync_data().map_err(EngineError::disk)?;
                self.recorder.synced(self.number, mark)?;
                synced = Instant::now();
            }
        }
        Ok(())
    }

    /// A run of segments begins at `start`, if the request says so.
    fn begin(&mut self, request: &Request, start: u64) -> Result<(), EngineError> {
        let Some(begins) = &request.begins else { return Ok(()) };
        self.mapped = begins.map.is_some();
        self.recorder.section(self.number, start, begins.map.clone(), begins.shift_us, begins.clock)
    }

    /// The initialisation section that was just written is the one of the run that goes on.
    fn is_in_force(&self, file: &File) -> Result<bool, EngineError> {
        use std::os::unix::fs::FileExt as _;
        let Some(run) = self.recorder.track(self.number).breaks.last().cloned() else { return Ok(false) };
        let mut there = vec![0; self.init.len()];
        file.read_exact_at(&mut there, run.byte).map_err(EngineError::disk)?;
        Ok(there == self.init)
    }

    /// The first track can be watched while it grows.
    fn grown(&self, bytes: u64) {
        if self.number == 0 {
            self.shared.monitor.set_in_order(bytes);
            self.shared.monitor.set_recorded(self.recorder.recorded_us(0));
        }
    }

    /// Writes what one request brings, at `start`.
    fn fill(
        &mut self,
        file: &mut File,
        start: u64,
        request: &Request,
        messages: &mut mpsc::UnboundedReceiver<Message>,
    ) -> Result<Ended, EngineError> {
        let mut at = start;
        let mut secret: Option<Secret> = None;
        let mut counted = 0_u64;
        let monitor = Arc::clone(&self.shared.monitor);
        self.init.clear();
        while let Some(message) = messages.blocking_recv() {
            let bytes: Bytes = match message {
                Message::Begin(new) => {
                    secret = new;
                    at = start;
                    monitor.uncount_received(std::mem::take(&mut counted));
                    file.seek(SeekFrom::Start(start)).map_err(EngineError::disk)?;
                    self.init.clear();
                    continue;
                }
                Message::Data(bytes, _room) => match &mut secret {
                    Some(secret) => secret.update(&bytes)?.into(),
                    None => bytes,
                },
                Message::End(seen) => {
                    let mut last = Vec::new();
                    if let Some(secret) = secret {
                        last = match secret.finish(request.index, self.count) {
                            Err(EngineError::SegmentMissing { .. }) if self.shared.holes => {
                                monitor.uncount_received(counted);
                                file.set_len(start).map_err(EngineError::disk)?;
                                return Ok(Ended::Lost);
                            }
                            last => last?,
                        };
                        self.look(request, &last)?;
                    }
                    if self.text && !self.mapped {
                        // Segments of text end as they like, and the next one begins with a line of its own.
                        last.push(b'\n');
                    }
                    file.write_all(&last).map_err(EngineError::disk)?;
                    at += last.len() as u64;
                    monitor.add_received(last.len() as u64);
                    // A retry may have brought less than the try before it.
                    file.set_len(at).map_err(EngineError::disk)?;
                    self.refuse_drm(request)?;
                    return Ok(Ended::At(at, Some(seen)));
                }
                Message::Lost => {
                    monitor.uncount_received(counted);
                    file.set_len(start).map_err(EngineError::disk)?;
                    return Ok(Ended::Lost);
                }
                Message::Quiet => return Ok(Ended::Quiet),
                Message::Doubtful => {
                    monitor.uncount_received(counted);
                    file.set_len(start).map_err(EngineError::disk)?;
                    return Ok(Ended::At(start, None));
                }
                Message::Failed(error) => return Err(error),
            };
            self.look(request, &bytes)?;
            if self.text && at > MAX_TEXT {
                let reason = "its subtitles are larger than subtitles can be".to_owned();
                return Err(EngineError::UnsupportedMedia { reason });
            }
            file.write_all(&bytes).map_err(EngineError::disk)?;
            at += bytes.len() as u64;
            counted += bytes.len() as u64;
            monitor.add_received(bytes.len() as u64);
        }
        Ok(Ended::Aborted)
    }

    fn look(&mut self, request: &Request, bytes: &[u8]) -> Result<(), EngineError> {
        if request.is_map {
            if self.init.len() + bytes.len() > MAX_INIT {
                return Err(EngineError::broken("an initialisation section is larger than it can be"));
            }
            self.init.extend_from_slice(bytes);
        }
        Ok(())
    }

    /// A manifest may keep silent about what its initialisation sections say.
    fn refuse_drm(&self, request: &Request) -> Result<(), EngineError> {
        match drm::in_init(&self.init).filter(|_| request.is_map) {
            None => Ok(()),
            Some(Protection::Drm(drm)) => Err(EngineError::Drm { system: drm.system }),
            Some(Protection::ClearKey) => Err(EngineError::UnsupportedMedia {
                reason: "it is encrypted with ClearKey, which is not decrypted".to_owned(),
            }),
            Some(Protection::Unnamed) => Err(EngineError::Drm { system: Drm::unnamed().system }),
        }
    }
}
