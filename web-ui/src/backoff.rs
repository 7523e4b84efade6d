//! How long to wait before asking again: doubling from a quarter of a second to five seconds.
//!
//! Pure. Invariant: a wait is never longer than [`LONGEST_MS`], so a daemon that came back is found within it.

/// First wait, milliseconds.
pub const SHORTEST_MS: u32 = 250;

/// Longest wait, milliseconds.
pub const LONGEST_MS: u32 = 5_000;

/// The waits of one series of failures.
#[derive(Debug, Default, Clone, Copy)]
pub struct Backoff {
    failures: u32,
}

impl Backoff {
    /// The wait after one more failure, in milliseconds.
    pub fn next_ms(&mut self) -> u32 {
        let wait = SHORTEST_MS.saturating_mul(1 << self.failures.min(16)).min(LONGEST_MS);
        self.failures = self.failures.saturating_add(1);
        wait
    }

    /// It worked: the next series begins from the shortest wait.
    pub const fn reset(&mut self) {
        self.failures = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_the_longest_and_begin_anew() {
        let mut backoff = Backoff::default();
        let waits: Vec<u32> = (0..7).map(|_| backoff.next_ms()).collect();
        assert_eq!(waits, [250, 500, 1000, 2000, 4000, 5000, 5000]);
        for _ in 0..100 {
            assert!(backoff.next_ms() <= LONGEST_MS);
        }
        backoff.reset();
        assert_eq!(backoff.next_ms(), 250);
    }
}
