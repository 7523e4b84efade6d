//! How many segments of a stream are asked for at the same time.
//!
//! Owns the number of places. Never more than the job allows, and never fewer than one. Invariant: more are given
//! only as long as more bring more bytes a second; a server that refuses gets fewer for good.
//!
//! Small segments spend most of their time waiting for the server's first byte; there more requests at a time help. Large
//! ones share the same line, and more would only cost memory.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Places added at a time.
const STEP: usize = 4;
/// More must bring at least so much more.
const WORTH: f64 = 1.08;

/// The places of one stream, shared by its tracks.
#[derive(Debug)]
pub(crate) struct Pace {
    slots: Arc<Semaphore>,
    state: Mutex<State>,
    most: usize,
}

#[derive(Debug)]
struct State {
    open: usize,
    /// Places to be taken away as soon as they are free.
    owed: usize,
    /// Of the batch that is being measured.
    since: Instant,
    bytes: u64,
    segments: usize,
    /// Bytes a second with fewer places.
    best: f64,
    settled: bool,
}

impl Pace {
    /// As many places as `connections`, and as pay up to `most`.
    pub(crate) fn new(connections: usize, most: usize) -> Self {
        let connections = connections.max(1);
        Self {
            slots: Arc::new(Semaphore::new(connections)),
            state: Mutex::new(State {
                open: connections,
                owed: 0,
                since: Instant::now(),
                bytes: 0,
                segments: 0,
                best: 0.0,
                settled: false,
            }),
            most: most.max(connections),
        }
    }

    /// Waits for a place; first come, first served.
    pub(crate) async fn slot(&self) -> Option<OwnedSemaphorePermit> {
        loop {
            let permit = Arc::clone(&self.slots).acquire_owned().await.ok()?;
            let mut state = self.lock();
            if state.owed == 0 {
                return Some(permit);
            }
            state.owed -= 1;
            permit.forget();
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A segment is there.
    pub(crate) fn arrived(&self, bytes: u64) {
        let mut state = self.lock();
        state.bytes += bytes;
        state.segments += 1;
        if state.settled || state.segments < state.open * 2 {
            return;
        }
        let rate = state.bytes as f64 / state.since.elapsed().as_secs_f64().max(0.001);
        if rate < state.best * WORTH || state.open >= self.most {
            state.settled = true;
            return;
        }
        let more = STEP.min(self.most - state.open);
        state.open += more;
        self.slots.add_permits(more);
        (state.best, state.bytes, state.segments, state.since) = (rate, 0, 0, Instant::now());
    }

    /// The server said that it is too much.
    pub(crate) fn refused(&self) {
        let mut state = self.lock();
        state.settled = true;
        let fewer = state.open / 2;
        state.open -= fewer;
        // Those in use go when they are given back.
        state.owed += fewer;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test(start_paused = true)]
    async fn places_grow_while_more_bring_more() {
        let pace = Pace::new(8, 16);
        for _ in 0..400 {
            // Twice as many places, twice the speed: the server's delay is all there is.
            let open = pace.lock().open;
            tokio::time::advance(Duration::from_millis(50) / open as u32).await;
            pace.arrived(100_000);
        }
        assert_eq!(pace.slots.available_permits(), 16);
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_line_is_not_crowded() {
        let pace = Pace::new(8, 16);
        for _ in 0..400 {
            tokio::time::advance(Duration::from_millis(10)).await;
            pace.arrived(100_000);
        }
        let open = pace.lock().open;
        assert!(open <= 12, "{open}");
        pace.refused();
        let mut held = Vec::new();
        let left = pace.lock().open;
        for _ in 0..left {
            held.push(pace.slot().await.unwrap());
        }
        assert_eq!((held.len(), pace.slots.available_permits()), (open.div_ceil(2), 0));
        let one = Pace::new(1, 1);
        one.refused();
        (0..50).for_each(|_| one.arrived(1));
        assert!(one.slot().await.is_some());
    }
}
