//! A speed limit that can change while it holds.
//!
//! Owns a token bucket over a clock. Never drops bytes: it delays the reader, and TCP passes the delay on.
//! Invariant: over any long stretch no more than `limit` bytes a second pass, whatever the size of the pieces.

use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// Bytes per second, shared by all connections of a job; 0 is no limit. A parent limits several jobs together.
#[derive(Debug, Default)]
pub struct RateLimit {
    limit: AtomicU64,
    /// When the bytes granted so far will have been paid for.
    paid_until: Mutex<Option<Instant>>,
    parent: Option<Arc<RateLimit>>,
}

/// How much of what was not used may pass at once later: what sleeping too long on a busy machine costs, and no more,
/// because longer credit would show as bursts above the limit.
const BURST: Duration = Duration::from_millis(200);
/// Bytes that pass at once, and how often a second when there is a choice.
const MIN_STEP: usize = 256;
const MAX_STEP: usize = 32 * 1024;
const STEPS_PER_SECOND: u64 = 20;
/// Waits are cut into naps so that a raised or removed limit acts at once.
const NAP: Duration = Duration::from_millis(100);

impl RateLimit {
    /// A limit of `bytes_per_second`; 0 is none.
    #[must_use]
    pub fn new(bytes_per_second: u64) -> Self {
        Self { limit: AtomicU64::new(bytes_per_second), ..Self::default() }
    }

    /// The same, and `parent` holds as well.
    #[must_use]
    pub fn with_parent(bytes_per_second: u64, parent: Arc<RateLimit>) -> Self {
        Self { parent: Some(parent), ..Self::new(bytes_per_second) }
    }

    /// Changes the limit at once; 0 removes it.
    pub fn set(&self, bytes_per_second: u64) {
        self.limit.store(bytes_per_second, Ordering::Relaxed);
        // A debt taken on under the old limit would be waited for at the old price.
        *self.paid_until.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }

    /// Bytes per second; 0 is no limit.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.limit.load(Ordering::Relaxed)
    }

    /// Bytes per second that may pass at most, by this limit and those above; none when there is none.
    pub(crate) fn effective(&self) -> Option<u64> {
        let here = Some(self.get()).filter(|limit| *limit > 0);
        let above = self.parent.as_deref().and_then(Self::effective);
        here.into_iter().chain(above).min()
    }

    /// Some limit holds now.
    pub(crate) fn is_limited(&self) -> bool {
        self.get() != 0 || self.parent.as_deref().is_some_and(Self::is_limited)
    }

    /// Somebody is being held back right now.
    pub(crate) fn holds(&self) -> bool {
        let here = self.get() != 0
            && self
                .paid_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner)
                .is_some_and(|due| due > Instant::now());
        here || self.parent.as_deref().is_some_and(Self::holds)
    }

    /// Bytes to let through at once: so few that a slow limit is not overdrawn for long.
    pub(crate) fn step(&self) -> usize {
        let above = self.parent.as_deref().map_or(MAX_STEP, Self::step);
        match self.get() {
            0 => above,
            limit => (limit / STEPS_PER_SECOND).clamp(MIN_STEP as u64, above as u64) as usize,
        }
    }

    /// Waits until `bytes` may pass.
    pub(crate) async fn take(&self, bytes: usize) {
        let mut next = Some(self);
        while let Some(limit) = next {
            limit.take_here(bytes).await;
            next = limit.parent.as_deref();
        }
    }

    async fn take_here(&self, bytes: usize) {
        let Some(mut due) = self.charge(bytes) else { return };
        loop {
            let now = Instant::now();
            if due <= now {
                return;
            }
            tokio::time::sleep((due - now).min(NAP)).await;
            // The limit may have been changed meanwhile: the debt is then forgiven.
            match *self.paid_until.lock().unwrap_or_else(PoisonError::into_inner) {
                Some(until) => due = due.min(until),
                None => return,
            }
        }
    }

    /// Books `bytes` and says when they are paid for, or nothing when there is no limit.
    fn charge(&self, bytes: usize) -> Option<Instant> {
        let limit = self.get();
        if limit == 0 {
            return None;
        }
        let now = Instant::now();
        let price = Duration::from_secs_f64(bytes as f64 / limit as f64);
        let mut paid_until = self.paid_until.lock().unwrap_or_else(PoisonError::into_inner);
        let earliest = now.checked_sub(BURST).unwrap_or(now);
        // The first bytes are paid for like all others: only lost time is made up for.
        let due = paid_until.map_or(now, |until| until.max(earliest)) + price;
        *paid_until = Some(due);
        Some(due)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn ten_seconds_pass_ten_limits() {
        let limit = RateLimit::new(1_000_000);
        let start = Instant::now();
        let mut sent = 0_usize;
        while start.elapsed() < Duration::from_secs(10) {
            limit.take(50_000).await;
            sent += 50_000;
        }
        let error = (sent as f64 / 10_000_000.0 - 1.0).abs();
        assert!(error < 0.02, "{sent} bytes in 10 s");
    }

    #[tokio::test(start_paused = true)]
    async fn slow_limits_hold_too() {
        for bytes_per_second in [1000, 5000, 20_000] {
            let limit = RateLimit::new(bytes_per_second);
            let start = Instant::now();
            let mut sent = 0;
            while start.elapsed() < Duration::from_secs(10) {
                limit.take(limit.step()).await;
                sent += limit.step();
            }
            let error = (sent as f64 / (bytes_per_second as f64 * 10.0) - 1.0).abs();
            assert!(error < 0.05, "{sent} bytes in 10 s of {bytes_per_second}");
        }
        let both = RateLimit::with_parent(1 << 20, Arc::new(RateLimit::new(10_000)));
        assert_eq!((both.step(), RateLimit::default().step()), (500, MAX_STEP));
    }

    #[tokio::test(start_paused = true)]
    async fn a_parent_limits_two_children_together() {
        let parent = Arc::new(RateLimit::new(1_000_000));
        let start = Instant::now();
        let children = [0, 1].map(|_| RateLimit::with_parent(0, Arc::clone(&parent)));
        for _ in 0..20 {
            for child in &children {
                child.take(50_000).await;
            }
        }
        assert!(start.elapsed() >= Duration::from_millis(1850), "{:?}", start.elapsed());
    }

    #[tokio::test(start_paused = true)]
    async fn removing_the_limit_frees_a_waiter() {
        let limit = Arc::new(RateLimit::new(1));
        let waiter = tokio::spawn({
            let limit = Arc::clone(&limit);
            async move { limit.take(1_000_000).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        limit.set(0);
        tokio::time::timeout(Duration::from_secs(1), waiter).await.unwrap().unwrap();
    }
}
