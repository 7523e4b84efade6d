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
/// Bytes let through at once while a speed limit holds.
const LIMITED_STEP: usize = 32 * 1024;
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
                }
                match &mut unpack {
                    None if !self.job.limit.is_limited() => batch.push(chunk),
                    None => {
                        // In small steps, each to the disk at once: waiting must not hold back what has been paid for.
                        while !chunk.is_empty() {
                            let step = chunk.split_to(chunk.len().min(LIMITED_STEP));
                            self.job.limit.take(step.len()).await;
                            batch.push(step);
                            self.hand_over(id, &mut batch).await?;
                        }
                    }
                    Some(decoder) => {
                        for step in chunk.chunks(UNPACK_STEP) {
                            self.job.limit.take(step.len()).await;
                            std::io::Write::write_all(decoder, step)
                                .map_err(|_| EngineError::broken("the compressed file is damaged"))?;
                            batch.push(Bytes::from(std::mem::take(decoder.get_mut())));
                            if batch.len >= BATCH {
                                self.hand_over(id, &mut batch).await?;
                            }
                        }
                    }
                }
            } else if heard.elapsed() >= self.net.options().patience {
                break Err(answer.silence().into());
            }
            // What is still wanted of this worker, the batch included.
            let wanted = lock(self.map).hold(id, batch.at, batch.len as u64);
            if batch.len >= BATCH || batch.age() >= BATCH_AGE || batch.len as u64 >= wanted {
                self.hand_over(id, &mut batch).await?;
                // Nothing left: go on where this answer goes on, if nobody else has that.
                let mut map = lock(self.map);
                if map.left(id) == 0 && !(extends && map.extend(id, MAX_RANGE)) {
                    break Ok(false);
                }
            }
        };
        if let Some(mut decoder) = unpack.filter(|_| matches!(ended, Ok(true))) {
            decoder.try_finish().map_err(|_| EngineError::broken("the compressed file is damaged"))?;
            batch.push(Bytes::from(std::mem::take(decoder.get_mut())));
        }
        self.hand_over(id, &mut batch).await?;
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

    async fn hand_over(&self, id: u32, batch: &mut BatchUp) -> Result<(), Trouble> {
        let (at, len, chunks) = batch.take();
        if len == 0 {
            return Ok(());
        }
        // Room first: what is reserved must reach the disk, so nobody may be waiting in between.
        let room = self.writer.room(len).await?;
        let Some(span) = lock(self.map).reserve(id, at, len as u64, self.now()) else { return Ok(()) };
        let granted = (span.1 - span.0) as usize;
        self.writer.write(span, cut(chunks, (span.0 - at) as usize, granted), room)?;
        self.handed.fetch_add(granted as u64, Ordering::Relaxed);
        Ok(())
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

    /// Where they go, how many there are, and the bytes; the next ones go behind them.
    fn take(&mut self) -> (u64, usize, Vec<Bytes>) {
        let at = self.at;
        let taken = std::mem::replace(self, Self::new(at + self.len as u64));
        (at, taken.len, taken.chunks)
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
