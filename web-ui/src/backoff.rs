//! How long to wait before asking again: from a quarter of a second to five seconds, each half as long again.
//!
//! Half, not double: a daemon that came back is then found after at most a third of the time it was away.
//!
//! Pure. Invariant: a wait is never longer than [`LONGEST_MS`], so a daemon that came back is found within it.

/// First wait, milliseconds.
pub const SHORTEST_MS: u32 = 250;

/// Longest wait, milliseconds.
pub const LONGEST_MS: u32 = 5_000;

/// The waits of one series of failures.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    last_ms: u32,
}

impl Backoff {
    /// The wait after one more failure, in milliseconds.
    pub fn next_ms(&mut self) -> u32 {
        self.last_ms = (self.last_ms + self.last_ms / 2).clamp(SHORTEST_MS, LONGEST_MS);
        self.last_ms
    }

    /// It worked: the next series begins from the shortest wait.
    pub const fn reset(&mut self) {
        self.last_ms = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_grow_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u32> = (0..10).map(|_| backoff.next_ms()).collect();
        assert_eq!(waits, [250, 375, 562, 843, 1264, 1896, 2844, 4266, 5000, 5000]);
        for _ in 0..100 {
            assert!(backoff.next_ms() <= LONGEST_MS);
        }
        backoff.reset();
        assert_eq!(backoff.next_ms(), 250);
    }
}
