//! What a running download looks like from outside.
//!
//! Owns the counters the engine writes and a client reads. Never paces anybody: reading is a short lock and a few
//! atomic loads, so a slow reader cannot slow a download. Invariant: `received` never exceeds a known `total`.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use tokio::sync::Notify;

use crate::Kind;
use crate::ranges::RangeMap;

/// Where a running job stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Phase {
    /// Asking the server what is there.
    #[default]
    Resolving,
    /// Bytes are arriving.
    Downloading,
    /// All bytes are here: muxing, checking, renaming.
    Finishing,
}

/// One consistent look at a running download.
#[derive(Debug, Clone, PartialEq)]
pub struct Snapshot {
    /// Where it stands.
    pub phase: Phase,
    /// How it is fetched, once known.
    pub kind: Option<Kind>,
    /// Name the finished file will have, once settled.
    pub filename: Option<String>,
    /// Its folder, once settled, when it is not the job's.
    pub directory: Option<PathBuf>,
    /// Quality chosen, once known.
    pub quality: Option<String>,
    /// Bytes on disk.
    pub received: u64,
    /// Bytes on disk without a hole from the beginning on: what can be read already.
    pub in_order: u64,
    /// How often the file was begun from nothing. Raised before its bytes are touched, so what was read is good when
    /// this is the same after the reading as before.
    pub epoch: u32,
    /// Size of the whole, when known.
    pub total: Option<u64>,
    /// 0.0–1.0; by bytes for files, by segments for streams.
    pub fraction: f64,
    /// Connections open now.
    pub connections: u32,
    /// A stream that still goes on: there is no knowing how much is to come.
    pub live: bool,
    /// Playing time of the first track of a stream that is on disk; segments that are missing are no part of it.
    pub recorded: Duration,
}

/// Which bytes of a file are there and which are coming, for drawing. Spans are the first byte and one past the last,
/// in order, neither empty nor touching.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranges {
    /// Size of the file, when known.
    pub total: Option<u64>,
    /// On disk.
    pub done: Vec<(u64, u64)>,
    /// What each connection is still to bring of its range.
    pub active: Vec<(u64, u64)>,
}

#[derive(Debug, Default)]
struct Settled {
    phase: Phase,
    kind: Option<Kind>,
    filename: Option<String>,
    directory: Option<PathBuf>,
    quality: Option<String>,
    total: Option<u64>,
    live: bool,
}

/// Shared between one job and one observer.
#[derive(Debug, Default)]
pub struct Monitor {
    settled: Mutex<Settled>,
    changed: Notify,
    received: AtomicU64,
    in_order: AtomicU64,
    epoch: AtomicU32,
    connections: AtomicU32,
    /// Parts per million, so that it fits an atomic.
    fraction: AtomicU64,
    recorded_us: AtomicU64,
    /// Something has arrived.
    moving: AtomicBool,
    /// Of the file being fetched, as long as it is.
    map: Mutex<Weak<Mutex<RangeMap>>>,
}

const PPM: f64 = 1_000_000.0;

impl Monitor {
    /// A monitor for one job.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// How things stand now.
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        let received = self.received.load(Ordering::Relaxed);
        let ppm = self.fraction.load(Ordering::Relaxed);
        // In this order: bytes of a later epoch are never shown under an earlier one.
        let in_order = self.in_order.load(Ordering::Acquire);
        let epoch = self.epoch.load(Ordering::Acquire);
        let settled = self.lock();
        let by_bytes = match settled.total {
            Some(0) => 1.0,
            Some(total) => received as f64 / total as f64,
            None => 0.0,
        };
        let fraction = match settled.kind {
            Some(Kind::Hls | Kind::Dash | Kind::Site) => ppm as f64 / PPM,
            _ => by_bytes,
        };
        Snapshot {
            phase: settled.phase,
            kind: settled.kind,
            filename: settled.filename.clone(),
            directory: settled.directory.clone(),
            quality: settled.quality.clone(),
            received: settled.total.map_or(received, |total| received.min(total)),
            in_order,
            epoch,
            total: settled.total,
            live: settled.live,
            fraction: fraction.clamp(0.0, 1.0),
            connections: self.connections.load(Ordering::Relaxed),
            recorded: Duration::from_micros(self.recorded_us.load(Ordering::Relaxed)),
        }
    }

    /// Which bytes are there; none unless a plain file is being fetched right now.
    #[must_use]
    pub fn ranges(&self) -> Option<Ranges> {
        let map = self.map.lock().unwrap_or_else(PoisonError::into_inner).upgrade()?;
        let map = map.lock().unwrap_or_else(PoisonError::into_inner);
        Some(Ranges { total: map.total(), done: map.done().as_slice().to_vec(), active: map.active() })
    }

    /// Returns when phase, kind, filename, total or quality changed since the last call, or the first bytes have come. Made for one observer; a
    /// change between two calls is not lost.
    pub async fn settled_or_phase_changed(&self) {
        self.changed.notified().await;
    }

    fn lock(&self) -> MutexGuard<'_, Settled> {
        // Plain data: a panic elsewhere cannot have left it half-written in a way that matters.
        self.settled.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn settle(&self, change: impl FnOnce(&mut Settled)) {
        change(&mut self.lock());
        self.changed.notify_one();
    }

    pub(crate) fn set_map(&self, map: &Arc<Mutex<RangeMap>>) {
        *self.map.lock().unwrap_or_else(PoisonError::into_inner) = Arc::downgrade(map);
    }

    pub(crate) fn set_phase(&self, phase: Phase) {
        self.settle(|settled| settled.phase = phase);
    }

    pub(crate) fn set_kind(&self, kind: Kind) {
        self.settle(|settled| settled.kind = Some(kind));
    }

    /// To be told before the name is: who hears of the name looks there.
    pub(crate) fn set_directory(&self, directory: &Path) {
        self.settle(|settled| settled.directory = Some(directory.to_owned()));
    }

    pub(crate) fn set_filename(&self, filename: &str) {
        self.settle(|settled| settled.filename = Some(filename.to_owned()));
    }

    pub(crate) fn set_quality(&self, quality: Option<&str>) {
        self.settle(|settled| settled.quality = quality.map(str::to_owned));
    }

    pub(crate) fn set_live(&self, live: bool) {
        self.settle(|settled| settled.live = live);
    }

    pub(crate) fn set_total(&self, total: Option<u64>) {
        self.settle(|settled| settled.total = total);
    }

    pub(crate) fn set_received(&self, received: u64) {
        self.received.store(received, Ordering::Relaxed);
    }

    pub(crate) fn set_recorded(&self, us: u64) {
        self.recorded_us.store(us, Ordering::Relaxed);
    }

    pub(crate) fn set_in_order(&self, bytes: u64) {
        self.in_order.store(bytes, Ordering::Release);
    }

    /// Everything so far is void. To be called before the file is cut.
    pub(crate) fn begin_anew(&self) {
        self.epoch.fetch_add(1, Ordering::AcqRel);
        self.set_in_order(0);
        self.set_received(0);
    }

    pub(crate) fn add_received(&self, bytes: u64) {
        self.received.fetch_add(bytes, Ordering::Relaxed);
        if !self.moving.load(Ordering::Relaxed) && !self.moving.swap(true, Ordering::Relaxed) {
            self.changed.notify_one();
        }
    }

    /// Takes back what a failed try had counted.
    pub(crate) fn uncount_received(&self, bytes: u64) {
        self.received.fetch_sub(bytes, Ordering::Relaxed);
    }

    pub(crate) fn set_fraction(&self, fraction: f64) {
        self.fraction.store((fraction.clamp(0.0, 1.0) * PPM) as u64, Ordering::Relaxed);
    }

    pub(crate) fn connection_opened(&self) {
        self.connections.fetch_add(1, Ordering::Relaxed);
    }

    pub(crate) fn connection_closed(&self) {
        self.connections.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts a connection for as long as it lives, however it ends.
pub(crate) struct ConnectionGuard<'a>(&'a Monitor);

impl<'a> ConnectionGuard<'a> {
    pub(crate) fn new(monitor: &'a Monitor) -> Self {
        monitor.connection_opened();
        Self(monitor)
    }
}

impl Drop for ConnectionGuard<'_> {
    fn drop(&mut self) {
        self.0.connection_closed();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_change_before_the_wait_is_not_lost() {
        let monitor = Monitor::new();
        monitor.set_filename("a.bin");
        monitor.settled_or_phase_changed().await;
        assert_eq!(monitor.snapshot().filename.as_deref(), Some("a.bin"));
    }

    #[test]
    fn a_file_begun_anew_has_another_epoch_and_nothing_in_order() {
        let monitor = Monitor::new();
        monitor.set_in_order(7);
        let before = monitor.snapshot();
        monitor.begin_anew();
        let after = monitor.snapshot();
        assert_eq!((before.in_order, after.in_order, after.received), (7, 0, 0));
        assert_ne!(before.epoch, after.epoch);
    }

    #[test]
    fn received_never_exceeds_the_total() {
        let monitor = Monitor::new();
        monitor.set_kind(Kind::File);
        monitor.set_total(Some(10));
        monitor.add_received(12);
        let snapshot = monitor.snapshot();
        assert_eq!((snapshot.received, snapshot.fraction), (10, 1.0));
        drop(ConnectionGuard::new(&monitor));
        assert_eq!(monitor.snapshot().connections, 0);
    }
}
