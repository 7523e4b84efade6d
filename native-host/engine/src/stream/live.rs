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

use super::plan::{Origin, Track};

pub(crate) use dash::{Broadcast, Follower, follow as follow_dash};
pub(crate) use playlist::{Known, first_of, follow as follow_hls};

/// A stream to which nothing is added for so many times the patience with a server has ended, whatever its manifest says.
const STALLED: u32 = 2;
/// The same in segments, for streams of long ones.
const STALLED_SEGMENTS: u32 = 6;
/// Shortest wait between two readings.
const SHORTEST_WAIT: Duration = Duration::from_millis(200);
/// Shortest time without a segment that is told as a gap.
const SHORTEST_HOLE: Duration = Duration::from_millis(500);
/// Most segments that are told missing one by one.
const MOST_MISSED: u64 = 1_000;

/// Why a recording ended without the stream saying so, or may not be what it should.
#[derive(Debug, Default)]
pub(crate) struct Notes(Mutex<Option<String>>);

impl Notes {
    pub(crate) fn set(&self, note: &str) {
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

/// What an ended stream still lists behind the segment `last`, and a gap for what it no longer does.
pub(crate) fn rest(track: &Track, last: u64, notes: &Notes) -> Vec<Segment> {
    if track.segments.last().is_some_and(|newest| newest.sequence < last) {
        notes.set("the stream was numbered anew after it ended, so what came then could not be told from what is here");
    }
    let mut rest: Vec<Segment> =
        track.segments.iter().filter(|segment| segment.sequence > last).cloned().collect();
    let Some(first) = rest.first().cloned() else { return rest };
    let length = match &track.origin {
        Origin::Hls { .. } => {
            let missed = u32::try_from(first.sequence - last - 1).unwrap_or(u32::MAX);
            first.duration.saturating_mul(missed)
        }
        // Numbers are milliseconds.
        Origin::Dash(_) => Duration::from_millis(first.sequence - last).saturating_sub(first.duration),
    };
    if length >= SHORTEST_HOLE {
        rest.insert(
            0,
            Segment { gap: true, duration: length, discontinuity: false, sequence: last + 1, ..first },
        );
    }
    rest
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

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;
    use weir_media::hls::{Playlist, parse};

    #[test]
    fn what_went_while_nobody_recorded_is_a_gap() {
        let url = Url::parse("https://a.example/l").unwrap();
        let text = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:10\n#EXTINF:2,\na\n#EXTINF:2,\nb\n#EXT-X-ENDLIST\n";
        let Playlist::Media(media) = parse(text, &url).unwrap() else { panic!("multivariant") };
        let origin = Origin::Hls { url, backups: Vec::new() };
        let track = Track::new(crate::mux::TrackKind::Video, origin, media.segments);
        let told = |last| -> Vec<(u64, bool, u64)> {
            rest(&track, last, &Notes::default())
                .iter()
                .map(|s| (s.sequence, s.gap, s.duration.as_secs()))
                .collect()
        };
        assert_eq!(told(6), [(7, true, 6), (10, false, 2), (11, false, 2)]);
        assert_eq!(told(9), [(10, false, 2), (11, false, 2)]);
        assert_eq!(told(10), [(11, false, 2)]);
        assert_eq!(told(11), []);
        let notes = Notes::default();
        assert!(rest(&track, 12, &notes).is_empty() && notes.take().is_some());
    }
}
