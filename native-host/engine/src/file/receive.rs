//! A body on its way from the network to the disk.
//!
//! Owns batching, the speed limit, unpacking, and noticing silence. Never decides what is asked for. Invariant: bytes
//! leave here only as far as the range map grants them, and what it grants is handed over at once.

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use bytes::Bytes;
use flate2::write::MultiGzDecoder;

use super::Opening;
use super::transfer::Transfer;
use super::worker::{MAX_RANGE, Trouble, Worker};
use crate::EngineError;
use crate::answer::{self, Coding};
use crate::monitor::ConnectionGuard;
use crate::writer::lock;

/// Bytes collected before they go to the disk.
const BATCH: usize = 256 * 1024;
/// Oldest bytes may be before they go to the disk all the same.
const BATCH_AGE: Duration = Duration::from_millis(100);
/// Silence after which a connection is given up even if it is the only one, when its place can be taken.
const SILENT: Duration = Duration::from_secs(10);
/// Compressed bytes are unpacked in steps of this, so that a bomb fills the disk at worst, never the memory.
const UNPACK_STEP: usize = 4096;

impl Transfer<'_> {
    /// Takes a body in and hands it over, as long as its bytes are still this worker's.
    pub(super) async fn receive(
        &self,
        worker: &Worker,
        Opening { mut answer, mut check, at, whole, extends }: Opening,
    ) -> Result<(), Trouble> {
        let _open = ConnectionGuard::new(self.monitor);
        let _flows = whole.then(|| Flowing::new(&self.open_flows));
        let id = worker.id;
        let announced = answer::content_length(&answer.headers);
        let mut received = 0;
        let mut unpack = match (whole, answer::coding(&answer.headers)) {
            (_, Coding::Identity) => None,
            (true, Coding::Gzip) => Some(MultiGzDecoder::new(Vec::new())),
            _ => return Err(EngineError::broken("the server compressed the file in an unknown way").into()),
        };
        let mut batch = BatchUp::new(at);
        let mut heard = Instant::now();
        let ended = loop {
            let polled = tokio::select! {
                biased;
                () = worker.dropped.cancelled() => break Err(Trouble::Replaced),
                polled = answer.poll() => polled,
            };
            let chunk = match polled {
                Ok(ControlFlow::Break(())) => break Ok(true),
                Ok(ControlFlow::Continue(chunk)) => chunk,
                Err(error) => break Err(error.into()),
            };
            if let Some(mut chunk) = chunk {
                heard = Instant::now();
                received += chunk.len() as u64;
                if worker.received.fetch_add(chunk.len() as u64, Ordering::Relaxed) == 0 {
                    self.news.notify_one();
                }
                if !check.is_empty() {
                    let n = check.len().min(chunk.len());
                    if check[..n] != chunk[..n] {
                        return Err(Trouble::Changed);
                    }
                    check.drain(..n);
                    bytes::Buf::advance(&mut chunk, n);
                    if check.is_empty() {
                        // The place has shown that it has the very bytes that are here.
                        self.origins.get(worker.origin).prove(self.facts.validators.clone());
                    }
                }
                match &mut unpack {
                    None if !self.job.limit.is_limited() => batch.push(chunk),
                    None => {
                        // In small steps, each to the disk at once: waiting must not hold back what has been paid for.
                        while !chunk.is_empty() {
                            let step = chunk.split_to(chunk.len().min(self.job.limit.step()));
                            self.job.limit.take(step.len()).await;
                            batch.push(step);
                            if !self.hand_over(worker, &mut batch, extends).await? {
                                break;
                            }
                        }
                    }
                    Some(decoder) => {
                        for step in chunk.chunks(UNPACK_STEP) {
                            self.job.limit.take(step.len()).await;
                            std::io::Write::write_all(decoder, step)
                                .map_err(|_| EngineError::broken("the compressed file is damaged"))?;
                            batch.push(Bytes::from(std::mem::take(decoder.get_mut())));
                            if batch.len >= BATCH {
                                self.hand_over(worker, &mut batch, extends).await?;
                            }
                        }
                    }
                }
            } else if heard.elapsed() >= self.patience() {
                break Err(answer.silence().into());
            }
            // What is still wanted of this worker, the batch included.
            let wanted = lock(self.map).hold(id, batch.at, batch.len as u64);
            if (batch.len >= BATCH || batch.age() >= BATCH_AGE || batch.len as u64 >= wanted)
                && !self.hand_over(worker, &mut batch, extends).await?
            {
                break Ok(false);
            }
        };
        if let Some(mut decoder) = unpack.filter(|_| matches!(ended, Ok(true))) {
            decoder.try_finish().map_err(|_| EngineError::broken("the compressed file is damaged"))?;
            batch.push(Bytes::from(std::mem::take(decoder.get_mut())));
        }
        self.hand_over(worker, &mut batch, extends).await?;
        match ended {
            Err(trouble) => Err(trouble),
            Ok(false) => {
                // All bytes came but the end was not seen yet; reading it lets the connection serve the next range.
                if announced == Some(received) {
                    let _ = answer.poll().await;
                }
                Ok(())
            }
            Ok(true) if whole => self.ended(id),
            // Shorter than asked is legal for a range; the rest is claimed again.
            Ok(true) => Ok(()),
        }
    }

    /// How long silence is borne: not long where another connection can go on.
    fn patience(&self) -> Duration {
        let most = self.net.options().patience;
        if self.can_continue() { most.min(SILENT) } else { most }
    }

    /// The whole answer ended by itself: that is the size, or the transfer is broken.
    fn ended(&self, id: u32) -> Result<(), Trouble> {
        let mut map = lock(self.map);
        if map.total().is_none() {
            let at = self.handed.load(Ordering::Relaxed);
            map.close_at(at);
            drop(map);
            self.monitor.set_total(Some(at));
            return Ok(());
        }
        if map.left(id) > 0 {
            return Err(EngineError::broken("the server sent less than it announced").into());
        }
        Ok(())
    }

    /// Hands over what is this worker's. False when nothing more is wanted of it: its range has come to its end and the
    /// answer cannot go on behind it, because that is somebody else's.
    async fn hand_over(&self, worker: &Worker, batch: &mut BatchUp, extends: bool) -> Result<bool, Trouble> {
        loop {
            let wanted = lock(self.map).hold(worker.id, batch.at, batch.len as u64);
            let (at, len, chunks) = batch.take(wanted);
            if len > 0 {
                // Room first: what is reserved must reach the disk, so nobody may be waiting in between.
                let room = self.writer.room(len).await?;
                let span = lock(self.map).reserve(worker.id, at, len as u64, self.now());
                if let Some(span) = span {
                    let granted = (span.1 - span.0) as usize;
                    self.writer.write(span, cut(chunks, (span.0 - at) as usize, granted), room)?;
                    self.handed.fetch_add(granted as u64, Ordering::Relaxed);
                    self.origins.get(worker.origin).note_served(span);
                    if worker.id != 0 {
                        self.shared.store(true, Ordering::Relaxed);
                    }
                }
            }
            let mut map = lock(self.map);
            if map.left(worker.id) > 0 {
                return Ok(true);
            }
            // What came beyond the end is of use only where the answer goes on; the rest of the batch begins there.
            if !(extends && map.extend(worker.id, MAX_RANGE)) {
                return Ok(false);
            }
            drop(map);
            if batch.len == 0 {
                return Ok(true);
            }
        }
    }
}

/// Marks that the answer without an end flows.
struct Flowing<'a>(&'a AtomicBool);

impl<'a> Flowing<'a> {
    fn new(flag: &'a AtomicBool) -> Self {
        flag.store(true, Ordering::Relaxed);
        Self(flag)
    }
}

impl Drop for Flowing<'_> {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Relaxed);
    }
}

/// Bytes collected for one write.
struct BatchUp {
    /// Where the first of them goes.
    at: u64,
    chunks: Vec<Bytes>,
    len: usize,
    since: Option<Instant>,
}

impl BatchUp {
    fn new(at: u64) -> Self {
        Self { at, chunks: Vec::new(), len: 0, since: None }
    }

    fn push(&mut self, chunk: Bytes) {
        if chunk.is_empty() {
            return;
        }
        self.since.get_or_insert_with(Instant::now);
        self.len += chunk.len();
        self.chunks.push(chunk);
    }

    fn age(&self) -> Duration {
        self.since.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// At most `most` of them: where they go, how many they are, and the bytes; the others stay.
    fn take(&mut self, most: u64) -> (u64, usize, Vec<Bytes>) {
        let at = self.at;
        if self.len as u64 <= most {
            let taken = std::mem::replace(self, Self::new(at + self.len as u64));
            return (at, taken.len, taken.chunks);
        }
        let most = most as usize;
        let mut left = most;
        let mut taken = Vec::new();
        let mut kept = Vec::new();
        for mut chunk in std::mem::take(&mut self.chunks) {
            let first = chunk.split_to(left.min(chunk.len()));
            left -= first.len();
            taken.extend((!first.is_empty()).then_some(first));
            kept.extend((!chunk.is_empty()).then_some(chunk));
        }
        self.chunks = kept;
        self.len -= most;
        self.at += most as u64;
        (at, most, taken)
    }
}

/// `n` of the bytes after the first `skip`; the others are somebody else's, or were brought already.
fn cut(chunks: Vec<Bytes>, mut skip: usize, n: usize) -> Vec<Bytes> {
    let mut left = n;
    let mut out = Vec::with_capacity(chunks.len());
    for mut chunk in chunks {
        let skipped = skip.min(chunk.len());
        skip -= skipped;
        bytes::Buf::advance(&mut chunk, skipped);
        chunk.truncate(left);
        left -= chunk.len();
        if !chunk.is_empty() {
            out.push(chunk);
        }
    }
    out
}
