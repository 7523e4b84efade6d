//! How much of a stream is there, in playing time.
//!
//! Pure counting. Invariant: what a failed try had counted is taken back, and a segment never counts for more than it plays.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use crate::monitor::Monitor;

/// Shared by all tracks of a stream. Counts what is on its way too: segments are written in order, and progress that only
/// looked at those written would stand still and jump.
#[derive(Debug)]
pub(crate) struct Progress {
    monitor: Arc<Monitor>,
    /// 0 for what goes on: there is no telling.
    total_us: u64,
    done_us: AtomicU64,
}

impl Progress {
    pub(crate) fn new(monitor: Arc<Monitor>, total_us: u64, done_us: u64) -> Self {
        let progress = Self { monitor, total_us, done_us: AtomicU64::new(done_us) };
        progress.show();
        progress
    }

    pub(crate) fn add(&self, us: u64) {
        self.done_us.fetch_add(us, Ordering::Relaxed);
        self.show();
    }

    fn take_back(&self, us: u64) {
        self.done_us.fetch_sub(us, Ordering::Relaxed);
    }

    fn show(&self) {
        if self.total_us > 0 {
            self.monitor.set_fraction(self.done_us.load(Ordering::Relaxed) as f64 / self.total_us as f64);
        }
    }
}

/// What one try at a segment has brought so far.
pub(crate) struct Credit<'a> {
    progress: &'a Progress,
    us: u64,
    /// Bytes there will be.
    expected: Option<u64>,
    bytes: u64,
    counted: u64,
}

impl<'a> Credit<'a> {
    pub(crate) const fn new(progress: &'a Progress, us: u64, expected: Option<u64>) -> Self {
        Self { progress, us, expected, bytes: 0, counted: 0 }
    }

    pub(crate) fn add(&mut self, bytes: u64) {
        self.bytes += bytes;
        let Some(expected) = self.expected.filter(|expected| *expected > 0) else { return };
        let share = (self.us as f64 * (self.bytes as f64 / expected as f64)).min(self.us as f64) as u64;
        self.progress.add(share - self.counted);
        self.counted = share;
    }

    /// The segment is whole.
    pub(crate) fn keep(mut self) {
        self.progress.add(self.us - self.counted);
        self.counted = 0;
    }
}

impl Drop for Credit<'_> {
    fn drop(&mut self) {
        self.progress.take_back(self.counted);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_failed_is_taken_back() {
        let progress = Progress::new(Arc::new(Monitor::new()), 100, 0);
        let done = || progress.done_us.load(Ordering::Relaxed);
        let mut credit = Credit::new(&progress, 50, Some(1000));
        credit.add(500);
        assert_eq!(done(), 25);
        drop(credit);
        assert_eq!(done(), 0);
        let mut again = Credit::new(&progress, 50, Some(1000));
        again.add(5000);
        assert_eq!(done(), 50);
        again.keep();
        assert_eq!(done(), 50);
        let mut unknown = Credit::new(&progress, 50, None);
        unknown.add(7);
        assert_eq!(done(), 50);
        unknown.keep();
        assert_eq!(done(), 100);
    }
}
