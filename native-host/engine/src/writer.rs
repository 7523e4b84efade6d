//! The thread that owns a file in the making: it writes, journals and hashes.
//!
//! Never talks to the network and never decides what is fetched. Invariant: the journal describes only bytes that
//! were written before it, and what it calls synced had been synced before it.

use std::fs::File;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{self, RecvTimeoutError, TryRecvError};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use bytes::Bytes;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::EngineError;
use crate::answer::Validators;
use crate::checksum::Algorithm;
use crate::digest::{self, Digests, Expected, Hashers, Stated};
use crate::journal::{FileState, State};
use crate::monitor::Monitor;
use crate::part::Part;
use crate::ranges::{RangeMap, Span};

/// Bytes on their way to the disk before receivers have to wait.
const IN_FLIGHT: usize = 4 * 1024 * 1024;
/// How far the journal may lag behind the data.
const JOURNAL_EVERY: Duration = Duration::from_millis(100);
/// How often data is forced to the disk, so that a power cut costs no more than this.
const SYNC_EVERY: Duration = Duration::from_secs(5);
/// How much data may wait for that, so that the last sync is a short one.
const SYNC_BYTES: u64 = 64 * 1024 * 1024;
/// How often it is looked whether the file is still where it belongs.
const LOOK_EVERY: Duration = Duration::from_secs(1);
/// Piece read back for hashing.
const READ_BACK: usize = 256 * 1024;

/// What stays the same while a file is fetched.
#[derive(Debug, Clone)]
pub(crate) struct Facts {
    pub(crate) total: Option<u64>,
    pub(crate) validators: Validators,
    pub(crate) stated: Stated,
    /// Hash the caller wants compared, as far as it is known beforehand.
    pub(crate) wanted: Option<Algorithm>,
}

/// Shared between the thread and the connections.
pub(crate) type SharedMap = Arc<Mutex<RangeMap>>;

/// Locks the map. A poisoned lock is taken anyway: the map's methods do not panic half-way.
pub(crate) fn lock(map: &Mutex<RangeMap>) -> MutexGuard<'_, RangeMap> {
    map.lock().unwrap_or_else(PoisonError::into_inner)
}

struct Batch {
    span: Span,
    chunks: Vec<Bytes>,
    _room: OwnedSemaphorePermit,
}

/// The connections' end of the thread.
#[derive(Debug)]
pub(crate) struct Writer {
    batches: mpsc::Sender<Batch>,
    room: Arc<Semaphore>,
    saturated: AtomicBool,
    task: JoinHandle<Written>,
    /// The disk failed; nothing more is taken.
    pub(crate) failed: CancellationToken,
}

/// What the thread hands back.
#[derive(Debug)]
pub(crate) struct Written {
    pub(crate) part: Part,
    file: File,
    hashers: Hashers,
    hashed: u64,
    facts: Facts,
    map: SharedMap,
    pub(crate) error: Option<EngineError>,
}

impl Writer {
    /// Starts the thread for `part`. What `map` calls done must be in `file`.
    pub(crate) fn start(part: Part, file: File, facts: Facts, map: SharedMap, monitor: Arc<Monitor>) -> Self {
        let (batches, incoming) = mpsc::channel();
        monitor.set_in_order(lock(&map).done().prefix());
        let failed = CancellationToken::new();
        let thread = Thread {
            written: Written {
                part,
                file,
                hashers: Hashers::new(&facts.stated, facts.wanted),
                hashed: 0,
                facts,
                map,
                error: None,
            },
            monitor,
            synced: Vec::new(),
            sync: None,
            dirty: false,
            unsynced: 0,
            journaled: Instant::now(),
            looked: Instant::now(),
            last_sync: Instant::now(),
        };
        let guard = failed.clone().drop_guard();
        let task = tokio::task::spawn_blocking(move || {
            let written = thread.run(&incoming);
            if written.error.is_none() {
                guard.disarm();
            }
            written
        });
        Self {
            batches,
            room: Arc::new(Semaphore::new(IN_FLIGHT)),
            saturated: AtomicBool::new(false),
            task,
            failed,
        }
    }

    /// Waits until `bytes` may be on their way to the disk.
    pub(crate) async fn room(&self, bytes: usize) -> Result<OwnedSemaphorePermit, WriterGone> {
        let size = u32::try_from(bytes.min(IN_FLIGHT)).unwrap_or(u32::MAX);
        if self.is_saturated() {
            self.saturated.store(true, Ordering::Relaxed);
        }
        Arc::clone(&self.room).acquire_many_owned(size).await.map_err(|_| WriterGone)
    }

    /// More is on its way than the disk takes.
    pub(crate) fn is_saturated(&self) -> bool {
        self.room.available_permits() < IN_FLIGHT / 2
    }

    /// Since the last question there was a moment when more was on its way than the disk took.
    pub(crate) fn was_saturated(&self) -> bool {
        self.saturated.swap(false, Ordering::Relaxed)
    }

    /// Hands over bytes that [`RangeMap::reserve`] granted.
    pub(crate) fn write(
        &self,
        span: Span,
        chunks: Vec<Bytes>,
        room: OwnedSemaphorePermit,
    ) -> Result<(), WriterGone> {
        self.batches.send(Batch { span, chunks, _room: room }).map_err(|_| WriterGone)
    }

    /// Lets the thread write what it has and hand everything back.
    pub(crate) async fn close(self) -> Result<Written, EngineError> {
        drop(self.batches);
        self.task.await.map_err(|error| EngineError::Internal(error.to_string()))
    }
}

/// The thread has ended; its error says why.
#[derive(Debug)]
pub(crate) struct WriterGone;

struct Thread {
    written: Written,
    monitor: Arc<Monitor>,
    synced: Vec<Span>,
    /// A sync on its way, and what it will make sure.
    sync: Option<(std::thread::JoinHandle<std::io::Result<()>>, Vec<Span>)>,
    dirty: bool,
    unsynced: u64,
    journaled: Instant,
    looked: Instant,
    last_sync: Instant,
}

impl Thread {
    fn run(mut self, incoming: &mpsc::Receiver<Batch>) -> Written {
        // The first record makes the partial recognisable before its first byte.
        if let Err(error) = self.journal().and_then(|()| self.serve(incoming)) {
            self.written.error = Some(EngineError::disk(error));
        }
        self.written
    }

    fn serve(&mut self, incoming: &mpsc::Receiver<Batch>) -> std::io::Result<()> {
        loop {
            let next = match incoming.try_recv() {
                // Hashing fills the time in which nothing arrives.
                Err(TryRecvError::Empty) if self.written.hash_some()? => continue,
                Err(TryRecvError::Empty) => incoming.recv_timeout(JOURNAL_EVERY),
                Err(TryRecvError::Disconnected) => Err(RecvTimeoutError::Disconnected),
                Ok(batch) => Ok(batch),
            };
            match next {
                Ok(batch) => self.store(&batch)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break,
            }
            self.keep_synced()?;
            if self.dirty && self.journaled.elapsed() >= JOURNAL_EVERY {
                self.journal()?;
            }
            if self.looked.elapsed() >= LOOK_EVERY {
                self.look()?;
            }
        }
        if let Some((sync, _)) = self.sync.take() {
            synced(sync)?;
        }
        // A whole file is about to be finished: it is synced and recorded there.
        if !lock(&self.written.map).is_complete() {
            self.written.file.sync_data()?;
            self.synced = lock(&self.written.map).done().as_slice().to_vec();
            self.journal()?;
        }
        Ok(())
    }

    fn store(&mut self, batch: &Batch) -> std::io::Result<()> {
        let mut at = batch.span.0;
        for chunk in &batch.chunks {
            self.written.file.write_all_at(chunk, at)?;
            if at == self.written.hashed {
                self.written.hashers.update(chunk);
                self.written.hashed += chunk.len() as u64;
            }
            at += chunk.len() as u64;
        }
        let in_order = {
            let mut map = lock(&self.written.map);
            map.landed(batch.span);
            map.done().prefix()
        };
        self.monitor.set_in_order(in_order);
        self.monitor.add_received(batch.span.1 - batch.span.0);
        self.dirty = true;
        self.unsynced += batch.span.1 - batch.span.0;
        Ok(())
    }

    /// Syncs now and then beside the writing, and learns what a finished sync made sure.
    fn keep_synced(&mut self) -> std::io::Result<()> {
        if let Some((sync, _)) = &self.sync {
            if !sync.is_finished() {
                return Ok(());
            }
            if let Some((sync, spans)) = self.sync.take() {
                synced(sync)?;
                self.synced = spans;
                self.dirty = true;
            }
        } else if self.unsynced >= SYNC_BYTES || (self.unsynced > 0 && self.last_sync.elapsed() >= SYNC_EVERY)
        {
            self.last_sync = Instant::now();
            let spans = lock(&self.written.map).done().as_slice().to_vec();
            if let Ok(file) = self.written.file.try_clone() {
                self.unsynced = 0;
                self.sync = Some((std::thread::spawn(move || file.sync_data()), spans));
            }
        }
        Ok(())
    }

    /// A file whose folder was removed can be written for ever and will never be found again.
    fn look(&mut self) -> std::io::Result<()> {
        self.looked = Instant::now();
        let (there, here) =
            (std::fs::symlink_metadata(self.written.part.names.part())?, self.written.file.metadata()?);
        if (there.dev(), there.ino()) == (here.dev(), here.ino()) {
            Ok(())
        } else {
            Err(std::io::Error::other("somebody put another file in the place of the one in the making"))
        }
    }

    fn journal(&mut self) -> std::io::Result<()> {
        self.journaled = Instant::now();
        self.dirty = false;
        let written = lock(&self.written.map).done().as_slice().to_vec();
        self.written.journal(written, self.synced.clone())
    }
}

/// The kernel tells a failed write-back once and forgets it: whoever does not listen calls a file whole that is not.
fn synced(sync: std::thread::JoinHandle<std::io::Result<()>>) -> std::io::Result<()> {
    sync.join().unwrap_or_else(|_| Err(std::io::Error::other("the sync failed")))
}

impl Written {
    fn journal(&mut self, written: Vec<Span>, synced: Vec<Span>) -> std::io::Result<()> {
        let Facts { total, validators, stated, .. } = self.facts.clone();
        let record = self.part.record(State::File(FileState { total, validators, stated, written, synced }));
        self.part.journal.write(&record, false)
    }

    /// Hashes a piece that is already on disk and next in order. False when there is none.
    fn hash_some(&mut self) -> std::io::Result<bool> {
        let ready = lock(&self.map).done().prefix();
        if ready <= self.hashed {
            return Ok(false);
        }
        let mut piece = vec![0; READ_BACK.min((ready - self.hashed) as usize)];
        self.file.read_exact_at(&mut piece, self.hashed)?;
        self.hashers.update(&piece);
        self.hashed += piece.len() as u64;
        Ok(true)
    }

    /// Bytes in order from the beginning that are on disk.
    pub(crate) fn size(&self) -> u64 {
        lock(&self.map).total().unwrap_or_default()
    }

    /// Hashes what is left, syncs, and compares with everything stated. On a mismatch the journal forgets the bytes,
    /// so that a retry fetches them anew. Blocks.
    pub(crate) fn verify(mut self, wanted: Option<&Expected>) -> Result<(Part, Digests), EngineError> {
        let total = self.size();
        self.file.set_len(total).map_err(EngineError::disk)?;
        // The disk works while the processor hashes.
        let sync = self
            .file
            .try_clone()
            .map(|file| std::thread::spawn(move || file.sync_all()))
            .map_err(EngineError::disk)?;
        while self.hash_some().map_err(EngineError::disk)? {}
        synced(sync).map_err(EngineError::disk)?;
        if self.hashed != total {
            return Err(EngineError::Internal("the file has holes".to_owned()));
        }
        let digests = self.hashers.clone().finish();
        let mut checked =
            digests.check(&self.facts.stated, wanted.filter(|wanted| digests.has(wanted.algorithm)));
        // A published hash may turn out to be of a kind that nobody announced: that takes another look at the file.
        if let Some(late) = wanted.filter(|wanted| checked.is_ok() && !digests.has(wanted.algorithm)) {
            let (_, found) =
                digest::of_file(&mut self.file, Some(late.algorithm)).map_err(EngineError::disk)?;
            checked = found.check(&Stated::default(), Some(late));
        }
        if let Err(error) = checked {
            self.facts.stated = Stated::default();
            self.journal(Vec::new(), Vec::new()).map_err(EngineError::disk)?;
            return Err(error);
        }
        Ok((self.part, digests))
    }
}
