//! Servers that send a byte now and then.
//!
//! Pure but for the clock. Invariant: whoever sends less than [`SLOWEST`] over a whole window is told from one that is slow.

use std::time::Duration;

use tokio::time::Instant;

/// Bytes a second below which a server is taken for silent.
const SLOWEST: f64 = 256.0;

/// Sees to it that a server which sends a byte now and then is not waited for.
pub(super) struct Drip {
    since: Instant,
    bytes: usize,
    window: Duration,
}

impl Drip {
    pub(super) fn new(patience: Duration) -> Self {
        Self { since: Instant::now(), bytes: 0, window: patience * 2 }
    }

    pub(super) fn is_too_slow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < self.window {
            return false;
        }
        let slow = (self.bytes as f64) < SLOWEST * self.since.elapsed().as_secs_f64();
        (self.since, self.bytes) = (Instant::now(), 0);
        slow
    }
}
