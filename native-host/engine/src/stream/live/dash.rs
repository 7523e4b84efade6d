//! A dynamic MPD: segments that become available as time goes by (ISO/IEC 23009-1 section A.3).
//!
//! Never guesses about what it has not seen: a segment's place in time tells whether it is new, and what lies between two of
//! them and was never seen is a gap.

use std::time::Duration;

use tokio::sync::mpsc;
use tokio::time::Instant;
use url::Url;
use weir_media::dash::{Media, Mpd, RepresentationId, Timed};
use weir_media::segment::Segment;

use super::{End, Patience, SHORTEST_WAIT, Sink};
use crate::Source;
use crate::net::Net;
use crate::stream::{dash, manifest};

/// Segments from the live edge with which a recording begins.
const FROM_END: usize = 3;
/// Longest wait between two looks at the clock.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Shortest time without a segment that is told as a gap, in microseconds.
const SHORTEST_HOLE_US: i64 = 500_000;

/// A presentation that goes on.
pub(crate) struct Broadcast {
    pub(crate) mpd: Mpd,
    /// Milliseconds to add to our clock to get the server's.
    pub(crate) offset_ms: i64,
    /// Where to ask again.
    pub(crate) url: Url,
    pub(crate) from_start: bool,
}

/// One track of it.
pub(crate) struct Follower {
    sink: Sink,
    id: RepresentationId,
    /// Where the next segment begins, in microseconds; none before the first.
    next_us: Option<i64>,
    /// Where the last one began.
    last_us: Option<i64>,
}

impl Follower {
    /// `recorded` is how much there is already, and `last` the place of the last segment, in milliseconds.
    pub(crate) fn new(
        id: RepresentationId,
        out: mpsc::UnboundedSender<Segment>,
        recorded: Duration,
        last: Option<u64>,
        limit: Option<Duration>,
    ) -> Self {
        let last_us = last.and_then(|ms| i64::try_from(ms).ok()).map(|ms| ms.saturating_mul(1000));
        Self { sink: Sink { out, recorded, limit }, id, next_us: None, last_us }
    }

    /// Sends what is new of `segments`; those that end before `from_us` are of no interest. True when something was.
    fn take(&mut self, segments: Vec<Timed>, from_us: i64) -> bool {
        let mut news = false;
        for timed in segments {
            let half_us = timed.end_us().saturating_sub(timed.start_us) / 2;
            let is_new = match self.last_us {
                // Times are rounded, and may be by another millisecond the next time.
                Some(last) => timed.start_us > last.saturating_add(half_us.min(SHORTEST_HOLE_US)),
                None => timed.start_us.saturating_add(half_us) >= from_us,
            };
            if !is_new {
                continue;
            }
            let expected = self.next_us.or_else(|| Some(self.last_us?.saturating_add(half_us * 2)));
            let missed_us = expected.map_or(0, |expected| timed.start_us.saturating_sub(expected));
            if missed_us > SHORTEST_HOLE_US.max(half_us) {
                let length = Duration::from_micros(missed_us.unsigned_abs());
                let start_us = expected.unwrap_or_default();
                if !self.sink.send(dash::gap(&timed.segment, start_us, length)) {
                    return true;
                }
            }
            (self.last_us, self.next_us, news) = (Some(timed.start_us), Some(timed.end_us()), true);
            if !self.sink.send(dash::placed(timed)) {
                return true;
            }
        }
        news
    }
}

/// Looks at the clock and the manifest again and again, and sends what is new.
pub(crate) async fn follow(
    net: Net,
    visitor: Source,
    mut broadcast: Broadcast,
    mut followers: Vec<Follower>,
    end: End,
) {
    let mut patience: Option<Patience> = None;
    let mut read = Instant::now();
    let mut from_us = None;
    loop {
        if let Some(drm) = &broadcast.mpd.drm {
            end.notes.set(&format!("the stream is protected by {} from then on", drm.system));
            return;
        }
        let moment = dash::moment(broadcast.offset_ms);
        let mut segment = Duration::ZERO;
        let mut news = false;
        for follower in &mut followers {
            let track = match broadcast.mpd.track(&follower.id, moment) {
                Ok(track) => track,
                Err(error) => {
                    end.notes.set(&format!("the stream changed so that it could not go on: {error}"));
                    return;
                }
            };
            let timed: Vec<Timed> = track
                .parts
                .into_iter()
                .flat_map(|part| match part.media {
                    Media::Segments(timed) => timed,
                    Media::Indexed(_) | Media::Absent => Vec::new(),
                })
                .collect();
            segment = segment.max(timed.last().map_or(Duration::ZERO, |timed| timed.segment.duration));
            // All tracks begin where the first does.
            let first = timed.get(timed.len().saturating_sub(FROM_END)).map(|timed| timed.start_us);
            let begin = if broadcast.from_start { Some(i64::MIN) } else { first };
            from_us = from_us.or(begin);
            news |= follower.take(timed, from_us.unwrap_or(i64::MIN));
        }
        if broadcast.mpd.is_over(moment) || followers.iter().all(|follower| follower.sink.is_full()) {
            return;
        }
        let patience = patience.get_or_insert_with(|| Patience::new(net.options().patience, segment));
        if news {
            patience.news();
        } else if patience.is_over() {
            end.notes.set("the server stopped adding to the stream without saying that it had ended");
            return;
        }
        let refresh = broadcast.mpd.refresh_after(segment).map(|after| after.saturating_sub(read.elapsed()));
        let look = (segment / 2).clamp(SHORTEST_WAIT, LONGEST_WAIT);
        let wait = refresh.map_or(look, |refresh| refresh.min(look)).max(SHORTEST_WAIT);
        let again = async {
            tokio::time::sleep(wait).await;
            if refresh.is_none_or(|refresh| refresh > wait) {
                return None;
            }
            match reread(&net, &visitor, &broadcast.url).await {
                Ok(mpd) => Some(mpd),
                Err(error) => {
                    tracing::debug!(%error, "a live manifest could not be read again");
                    None
                }
            }
        };
        let again = tokio::select! {
            biased;
            () = end.finish.cancelled() => return,
            again = again => again,
        };
        if let Some(mpd) = again {
            if let Some(url) = mpd.locations.first() {
                broadcast.url = url.clone();
            }
            broadcast.mpd = mpd;
            read = Instant::now();
        }
    }
}

async fn reread(net: &Net, visitor: &Source, url: &Url) -> Result<Mpd, crate::EngineError> {
    let mut answer = manifest::fetch(net, visitor, url).await?;
    manifest::mpd(&mut answer).await
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::str::FromStr as _;

    fn timed(start_ms: i64, length_ms: u64) -> Timed {
        let segment = Segment {
            url: Url::from_str("https://a.example/1").unwrap(),
            duration: Duration::from_millis(length_ms),
            sequence: 0,
            byte_range: None,
            key: None,
            map: None,
            discontinuity: false,
            gap: false,
            date_ms: None,
            shift_us: Some(0),
        };
        Timed { start_us: start_ms * 1000, doubtful: false, segment }
    }

    fn follower(last: Option<u64>) -> (Follower, mpsc::UnboundedReceiver<Segment>) {
        let (out, segments) = mpsc::unbounded_channel();
        let text = "<MPD mediaPresentationDuration='PT2S'><Period><AdaptationSet contentType='video'>\
                    <Representation id='v' bandwidth='1'><BaseURL>v.mp4</BaseURL></Representation>\
                    </AdaptationSet></Period></MPD>";
        let mpd = weir_media::dash::parse(text, &Url::from_str("https://a.example/").unwrap()).unwrap();
        let id = mpd.offer().variants[0].url.clone();
        (Follower::new(id, out, Duration::ZERO, last, None), segments)
    }

    fn sent(segments: &mut mpsc::UnboundedReceiver<Segment>) -> Vec<String> {
        let mut out = Vec::new();
        while let Ok(segment) = segments.try_recv() {
            out.push(format!("{}{}", if segment.gap { "-" } else { "" }, segment.sequence));
        }
        out
    }

    #[test]
    fn each_segment_comes_once_and_what_was_missed_is_a_gap() {
        let (mut follower, mut segments) = follower(None);
        let window = |from: i64| (from..from + 3).map(|n| timed(n * 2000, 2000)).collect::<Vec<_>>();
        assert!(follower.take(window(10), 22_000_000));
        assert_eq!(sent(&mut segments), ["22000", "24000"]);
        assert!(!follower.take(window(10), 22_000_000));
        assert!(follower.take(vec![timed(24_001, 2000), timed(26_000, 2000)], 0));
        assert_eq!(sent(&mut segments), ["26000"]);
        follower.take(window(16), 0);
        assert_eq!(sent(&mut segments), ["-28000", "32000", "34000", "36000"]);
    }

    #[test]
    fn a_recording_goes_on_where_it_was() {
        let (mut follower, mut segments) = follower(Some(20_000));
        follower.take((10..13).map(|n| timed(n * 2000, 2000)).collect(), i64::MAX);
        assert_eq!(sent(&mut segments), ["22000", "24000"]);
    }
}
