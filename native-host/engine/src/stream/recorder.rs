//! What is on the disk of a stream, told by its journal.
//!
//! Owns the record that all tracks of a stream share. Never writes media. Invariant: the journal names only whole segments
//! that were written before it.

use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::mpsc;

use crate::EngineError;
use crate::journal::{self, Break, Lost, Mark, Seen, State, StreamState, TrackState};
use crate::part::Part;

use super::segments;

/// Most breaks of all tracks: the record of a download has a limited size.
const MAX_BREAKS: usize = 5_000;
/// Most entries about lost segments; further ones are added to the last.
const MAX_LOST: usize = 1_000;

/// Shared by the tracks of one stream.
pub(crate) struct Recorder(Mutex<Inner>);

struct Inner {
    part: Part,
    state: StreamState,
    /// For each track the initialisation section of the run that has begun: on the disk for good with its first segment.
    begun: Vec<Option<Option<String>>>,
    /// Who is told of every segment.
    follower: Option<mpsc::UnboundedSender<Grown>>,
}

/// How far a track has come.
pub(crate) struct Grown {
    pub(crate) track: usize,
    /// Playing time, lost segments included.
    pub(crate) us: u64,
    pub(crate) bytes: u64,
}

/// One segment that has been dealt with.
pub(crate) struct Written {
    pub(crate) us: u64,
    pub(crate) sequence: u64,
    /// One past its last byte; where it would have begun when it was lost.
    pub(crate) end: u64,
    /// It is not there, and stands for so many.
    pub(crate) lost: Option<u64>,
    pub(crate) seen: Option<Seen>,
}

impl Recorder {
    /// Takes up what an earlier run left, if it is of the same stream and really on the disk. `fresh` is how it looks
    /// before anything is there.
    pub(crate) fn new(
        part: Part,
        fresh: StreamState,
        before: Option<(String, StreamState)>,
    ) -> Result<Self, EngineError> {
        let mut state = fresh;
        if let Some((boot, before)) = before.filter(|(_, before)| {
            before.fingerprint == state.fingerprint && before.tracks.len() == state.tracks.len()
        }) {
            let same_boot = journal::same_boot(&boot);
            for (number, track) in before.tracks.into_iter().enumerate() {
                let on_disk =
                    std::fs::metadata(part.names.track(number)).map_or(0, |metadata| metadata.len());
                state.tracks[number] = trusted(track, same_boot, on_disk);
            }
        }
        let begun = vec![None; state.tracks.len()];
        let recorder = Self(Mutex::new(Inner { part, state, begun, follower: None }));
        // Recognisable from the first moment on.
        recorder.journal()?;
        Ok(recorder)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        // Plain data and a file with two slots: a panic elsewhere leaves both readable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn track(&self, number: usize) -> TrackState {
        self.lock().state.tracks[number].clone()
    }

    pub(crate) fn mark(&self, number: usize) -> Mark {
        self.lock().state.tracks[number].written.clone()
    }

    /// Playing time of what is there of a track, in microseconds.
    pub(crate) fn recorded_us(&self, number: usize) -> u64 {
        let inner = self.lock();
        let track = &inner.state.tracks[number];
        let lost: u64 = track.lost.iter().map(|lost| lost.length_us).sum();
        track.written.us.saturating_sub(lost)
    }

    pub(crate) fn state(&self) -> StreamState {
        self.lock().state.clone()
    }

    pub(crate) fn path(&self, number: usize) -> std::path::PathBuf {
        self.lock().part.names.track(number)
    }

    /// Takes note of where the segments of a track lie, from where it is on.
    pub(crate) fn log(&self, number: usize) -> Result<segments::Log, EngineError> {
        let inner = self.lock();
        let mark = &inner.state.tracks[number].written;
        segments::Log::open(&inner.part.names.segments(number), mark).map_err(EngineError::disk)
    }

    /// The segments of a track, as far as they are known. Blocks.
    pub(crate) fn segments(&self, number: usize) -> Vec<segments::Segment> {
        let inner = self.lock();
        segments::read(&inner.part.names.segments(number), &inner.state.tracks[number].written)
    }

    /// A run of segments begins at `byte`.
    pub(crate) fn section(
        &self,
        number: usize,
        byte: u64,
        map: Option<String>,
        shift_us: Option<i64>,
        clock: bool,
    ) -> Result<(), EngineError> {
        let mut inner = self.lock();
        inner.begun[number] = Some(map);
        let breaks: usize = inner.state.tracks.iter().map(|track| track.breaks.len()).sum();
        let track = &mut inner.state.tracks[number];
        // Begun before and not finished, or with nothing but lost segments: then the clock may be new all the same.
        let clock = clock || track.breaks.iter().any(|known| known.byte >= byte && known.clock);
        track.breaks.retain(|known| known.byte < byte);
        if breaks >= MAX_BREAKS {
            return Err(EngineError::UnsupportedMedia {
                reason: format!("it changes its encoding or its clock more than {MAX_BREAKS} times"),
            });
        }
        let us = track.written.us;
        track.breaks.push(Break { byte, us, shift_us, clock });
        Ok(())
    }

    /// A segment is written, or given up. Every time: segments that waited for an earlier one are written in a burst, and
    /// the next may be long in coming.
    pub(crate) fn wrote(&self, number: usize, written: &Written) -> Result<(), EngineError> {
        {
            let mut inner = self.lock();
            let begun = inner.begun[number].take();
            let track = &mut inner.state.tracks[number];
            if let Some(map) = begun {
                track.written.map = map;
            }
            if let Some(count) = written.lost {
                let new = Lost { us: track.written.us, length_us: written.us, count };
                let full = track.lost.len() >= MAX_LOST;
                match track.lost.last_mut() {
                    Some(last) if last.us + last.length_us == new.us || full => {
                        last.length_us += new.length_us;
                        last.count += new.count;
                    }
                    _ => track.lost.push(new),
                }
            }
            let mark = &mut track.written;
            mark.segments += 1;
            mark.bytes = written.end;
            mark.us += written.us;
            mark.longest_us = mark.longest_us.max(written.us);
            // DASH states exact lengths.
            let exact = track.breaks.last().is_some_and(|run| run.shift_us.is_some());
            mark.fractions |= exact || !written.us.is_multiple_of(1_000_000);
            mark.sequence = Some(written.sequence);
            if let Some(seen) = &written.seen {
                mark.seen = seen.clone();
            }
            let grown = Grown { track: number, us: mark.us, bytes: mark.bytes };
            // Who does not listen any more needs not know.
            inner.follower.as_ref().map(|follower| follower.send(grown));
        }
        self.journal()
    }

    /// Tells of every segment from now on, what is there already to begin with.
    pub(crate) fn follow(&self) -> mpsc::UnboundedReceiver<Grown> {
        let (follower, growth) = mpsc::unbounded_channel();
        let mut inner = self.lock();
        for (track, state) in inner.state.tracks.iter().enumerate() {
            let _ = follower.send(Grown { track, us: state.written.us, bytes: state.written.bytes });
        }
        inner.follower = Some(follower);
        growth
    }

    /// Tells nobody any more: nothing follows.
    pub(crate) fn settled(&self) {
        self.lock().follower = None;
    }

    /// Everything written so far of a track is on the disk for good.
    pub(crate) fn synced(&self, number: usize, mark: Mark) -> Result<(), EngineError> {
        self.lock().state.tracks[number].synced = mark;
        self.journal()
    }

    pub(crate) fn journal(&self) -> Result<(), EngineError> {
        let mut inner = self.lock();
        let record = inner.part.record(State::Stream(inner.state.clone()));
        inner.part.journal.write(&record, false).map_err(EngineError::disk)
    }

    /// A track has to be begun anew: what is on the server is another one by now.
    pub(crate) fn begin_anew(&self) -> Result<(), EngineError> {
        {
            let mut inner = self.lock();
            inner.state.tracks.fill(TrackState::default());
            inner.begun.fill(None);
        }
        self.journal()
    }

    /// Lets go of everything that has been fetched.
    pub(crate) fn forget(&self) -> Result<(), EngineError> {
        // First the record: it must never name bytes that are gone.
        self.begin_anew()?;
        self.lock().part.tidy();
        Ok(())
    }

    /// The files, once nobody records any more.
    pub(crate) fn into_part(self) -> Part {
        self.0.into_inner().unwrap_or_else(PoisonError::into_inner).part
    }

    pub(crate) fn filename(&self) -> String {
        self.lock().part.names.filename.clone()
    }

    /// A folder, which is there and empty, for everything that is made on the way. Another one every time: a program that
    /// outlived an earlier run must not write into the files of this one.
    pub(crate) fn work(&self) -> Result<std::path::PathBuf, EngineError> {
        let inner = self.lock();
        inner.part.names.make_run().map_err(EngineError::disk)
    }

    pub(crate) fn result(&self) -> std::path::PathBuf {
        self.lock().part.names.result()
    }
}

/// As much of a track as is sure to be there.
fn trusted(mut track: TrackState, same_boot: bool, on_disk: u64) -> TrackState {
    let mark = if same_boot { track.written } else { track.synced.clone() };
    if mark.bytes > on_disk {
        return TrackState::default();
    }
    // One right at the end begins with what is lost, or with what comes next.
    track.breaks.retain(|known| known.byte <= mark.bytes);
    track.lost.retain(|lost| lost.us < mark.us);
    TrackState { written: mark.clone(), synced: mark, ..track }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn track(written: u64, synced: u64) -> TrackState {
        let mark = |bytes: u64| Mark { segments: 1, bytes, us: bytes * 10, ..Mark::default() };
        let at = |byte| Break { byte, us: byte * 10, shift_us: None, clock: true };
        TrackState {
            written: mark(written),
            synced: mark(synced),
            breaks: vec![at(0), at(50), at(90)],
            lost: vec![Lost { us: 100, length_us: 1, count: 1 }, Lost { us: 900, length_us: 1, count: 1 }],
        }
    }

    #[test]
    fn what_may_not_be_there_is_fetched_again() {
        let bytes = |track: TrackState| (track.written.bytes, track.breaks.len(), track.lost.len());
        assert_eq!(bytes(trusted(track(100, 60), true, 100)), (100, 3, 2));
        assert_eq!(bytes(trusted(track(100, 60), false, 100)), (60, 2, 1));
        assert_eq!(bytes(trusted(track(100, 60), true, 99)), (0, 0, 0));
        assert_eq!(bytes(trusted(track(100, 60), false, 60)), (60, 2, 1));
    }
}
