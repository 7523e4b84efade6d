//! Streams that go on: which segments are new each time the manifest is read again.
//!
//! Owns the refreshing and what was missed between two readings. Never fetches segments. Invariant: every segment the server
//! named is sent exactly once, in order, and what it took away before it was seen is sent as a gap.

mod dash;
mod playlist;

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_media::segment::Segment;

pub(crate) use dash::{Broadcast, Follower, follow as follow_dash};
pub(crate) use playlist::{Known, first_of, follow as follow_hls};

/// A stream to which nothing is added for so many times the patience with a server has ended, whatever its manifest says.
const STALLED: u32 = 2;
/// The same in segments, for streams of long ones.
const STALLED_SEGMENTS: u32 = 6;
/// Shortest wait between two readings.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
/// Most segments that are told missing one by one.
const MOST_MISSED: u64 = 1_000;

/// Why a recording ended without the stream saying so.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Option<String>>);

impl Notes {
    fn set(&self, note: &str) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get_or_insert_with(|| note.to_owned());
    }

    pub(crate) fn take(&self) -> Option<String> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

/// What ends a recording.
#[derive(Clone)]
pub(crate) struct End {
    /// The user has enough.
    pub(crate) finish: CancellationToken,
    /// Playing time.
    pub(crate) limit: Option<Duration>,
    pub(crate) notes: Arc<Notes>,
}

/// Where new segments of one track go, until it has enough.
struct Sink {
    out: mpsc::UnboundedSender<Segment>,
    recorded: Duration,
    limit: Option<Duration>,
}

impl Sink {
    /// False when nobody wants more.
    fn send(&mut self, segment: Segment) -> bool {
        if self.is_full() {
            return false;
        }
        self.recorded += segment.duration;
        self.out.send(segment).is_ok() && !self.is_full()
    }

    fn is_full(&self) -> bool {
        self.limit.is_some_and(|limit| self.recorded >= limit) || self.out.is_closed()
    }
}

/// Watches for a stream that says nothing new.
struct Patience {
    last_news: Instant,
    longest: Duration,
}

impl Patience {
    fn new(patience: Duration, segment: Duration) -> Self {
        Self { last_news: Instant::now(), longest: (patience * STALLED).max(segment * STALLED_SEGMENTS) }
    }

    fn news(&mut self) {
        self.last_news = Instant::now();
    }

    fn is_over(&self) -> bool {
        self.last_news.elapsed() >= self.longest
    }
}
