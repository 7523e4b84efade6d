//! A media playlist that grows, or whose window slides (RFC 8216 section 6.3.4 and its successor draft).
//!
//! Never guesses about what it has not seen: sequence numbers tell what is new, what was missed, and what is an old copy.

use std::time::Duration;

use tokio::sync::mpsc;
use url::Url;
use weir_media::hls::{Context, MediaPlaylist, Variables};
use weir_media::segment::Segment;

use super::{End, MOST_MISSED, Patience, SHORTEST_WAIT, Sink};
use crate::Source;
use crate::net::Net;
use crate::stream::manifest;

/// Segments from the end with which a recording begins (section 6.3.3 of the draft: three target durations).
const FROM_END: usize = 3;
/// Readings in a row that are behind what is known before the server is believed to count anew.
const BEHIND: u32 = 6;

/// Number of the segment a recording begins with.
pub(crate) fn first_of(playlist: &MediaPlaylist, from_start: bool) -> Option<u64> {
    let segments = &playlist.segments;
    // An event is told whole.
    let skip = if from_start || playlist.event { 0 } else { segments.len().saturating_sub(FROM_END) };
    segments.get(skip).map(|segment| segment.sequence)
}

/// What is new in each reading.
#[derive(Debug)]
pub(crate) struct Known {
    next: u64,
    /// Discontinuity sequence number of the last segment.
    discontinuities: Option<u64>,
    behind: Option<Behind>,
    /// When the last segment ended, in milliseconds since 1970, if the playlist dates them.
    end_ms: Option<i64>,
}

/// Readings in a row that were behind what is known.
#[derive(Debug, Clone, Copy)]
struct Behind {
    times: u32,
    /// First and last number in the first of them.
    first: u64,
    last: u64,
}

fn end_ms(segment: &Segment) -> Option<i64> {
    segment.date_ms?.checked_add(i64::try_from(segment.duration.as_millis()).ok()?)
}

impl Known {
    /// Goes on with this sequence number.
    pub(crate) const fn new(next: u64) -> Self {
        Self { next, discontinuities: None, behind: None, end_ms: None }
    }

    /// The segments not seen before, gaps included for those that were never seen.
    pub(crate) fn news(&mut self, playlist: &MediaPlaylist) -> Vec<Segment> {
        let Some((first, last)) = playlist.segments.first().zip(playlist.segments.last()) else {
            return Vec::new();
        };
        let mut anew = false;
        if last.sequence + 1 < self.next {
            let behind =
                self.behind.unwrap_or(Behind { times: 0, first: first.sequence, last: last.sequence });
            self.behind = Some(Behind { times: behind.times + 1, ..behind });
            // Copies of old readings come and go; a server that counts anew goes on doing so.
            if behind.times < BEHIND || last.sequence <= behind.last {
                return Vec::new();
            }
            // What it no longer names was missed, and cannot be called whole.
            self.next = behind.first;
            (self.end_ms, anew) = (None, true);
        }
        self.behind = None;
        let mut out = self.missed(playlist, first);
        // A recording that is taken up knows nothing of the clocks between.
        anew |= self.discontinuities.is_none() && !out.is_empty();
        let mut discontinuities = playlist.discontinuity_sequence;
        for segment in &playlist.segments {
            discontinuities += u64::from(segment.discontinuity);
            if segment.sequence < self.next {
                self.discontinuities = Some(discontinuities);
                self.end_ms = end_ms(segment);
                continue;
            }
            // The one with the mark may have gone before it was seen.
            let broken = anew || self.discontinuities.is_some_and(|known| known != discontinuities);
            anew = false;
            out.push(Segment { discontinuity: segment.discontinuity || broken, ..segment.clone() });
            self.discontinuities = Some(discontinuities);
            self.next = segment.sequence + 1;
            self.end_ms = end_ms(segment);
        }
        out
    }

    /// Gaps for the segments that went before they were seen. How long they were, the dates of their neighbours tell, or
    /// the segments that are there now.
    fn missed(&self, playlist: &MediaPlaylist, first: &Segment) -> Vec<Segment> {
        let missed = first.sequence.saturating_sub(self.next);
        if missed == 0 {
            return Vec::new();
        }
        let told = missed.min(MOST_MISSED);
        let by_date = self
            .end_ms
            .zip(first.date_ms)
            .and_then(|(end, begin)| u64::try_from(begin.checked_sub(end)?).ok());
        let count = u32::try_from(playlist.segments.len()).unwrap_or(u32::MAX).max(1);
        let usual = playlist.duration() / count;
        let missed = u32::try_from(missed).unwrap_or(u32::MAX);
        let length = by_date.filter(|ms| *ms > 0).map_or(usual.saturating_mul(missed), Duration::from_millis);
        let each = Segment {
            gap: true,
            duration: length / u32::try_from(told).unwrap_or(1),
            discontinuity: false,
            ..first.clone()
        };
        (0..told).map(|n| Segment { sequence: first.sequence - told + n, ..each.clone() }).collect()
    }
}

/// Why nothing more of it can be had, in words.
fn closed(playlist: &MediaPlaylist) -> Option<String> {
    match (&playlist.drm, &playlist.unsupported) {
        (Some(drm), _) => Some(format!("the stream is protected by {} from then on", drm.system)),
        (None, Some(reason)) => Some(format!("the stream cannot be downloaded from then on: {reason}")),
        (None, None) => None,
    }
}

/// Reads `url` again and again and sends what is new. `playlist` is what the first reading said.
#[expect(clippy::too_many_arguments, reason = "one call, and each is another thing")]
pub(crate) async fn follow(
    net: Net,
    visitor: Source,
    (url, backups): (Url, Vec<Url>),
    variables: Variables,
    mut playlist: MediaPlaylist,
    mut known: Known,
    recorded: Duration,
    out: mpsc::UnboundedSender<Segment>,
    end: End,
) {
    let target = playlist.target_duration.max(Duration::from_secs(1));
    let mut sink = Sink { out, recorded, limit: end.limit };
    let mut patience = Patience::new(net.options().patience, target);
    loop {
        if let Some(note) = closed(&playlist) {
            end.notes.set(&note);
            return;
        }
        let news = known.news(&playlist);
        let changed = !news.is_empty();
        for segment in news {
            if !sink.send(segment) {
                return;
            }
        }
        if playlist.ended {
            return;
        }
        if changed {
            patience.news();
        } else if patience.is_over() {
            end.notes.set("the server stopped adding to the stream without saying that it had ended");
            return;
        }
        let wait = if changed { target } else { target / 2 }.max(SHORTEST_WAIT);
        // What fits neither is tried again at once, and then in a while: a stream outlives many errors of its server.
        let again = async {
            tokio::time::sleep(wait).await;
            loop {
                let context = Context { variables: Some(&variables), earlier: Some(&playlist) };
                match manifest::media_playlist(&net, &visitor, &url, &backups, &context).await {
                    Ok(playlist) => break Some(playlist),
                    Err(error) => {
                        tracing::debug!(%error, "a live playlist could not be read again");
                        if patience.is_over() {
                            break None;
                        }
                        tokio::time::sleep(target / 2).await;
                    }
                }
            }
        };
        playlist = tokio::select! {
            biased;
            () = end.finish.cancelled() => return,
            () = sink.out.closed() => return,
            again = again => match again {
                Some(again) => again,
                None => {
                    end.notes.set("the server stopped answering for the stream");
                    return;
                }
            },
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::hls::{Playlist, parse};

    fn playlist(body: &str) -> MediaPlaylist {
        let text = format!("#EXTM3U\n#EXT-X-TARGETDURATION:2\n{body}");
        match parse(&text, &Url::parse("https://a.example/l.m3u8").unwrap()).unwrap() {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("multivariant"),
        }
    }

    fn window(from: u64, count: u64) -> MediaPlaylist {
        let segments: String = (from..from + count).map(|n| format!("#EXTINF:2,\n{n}.ts\n")).collect();
        playlist(&format!("#EXT-X-MEDIA-SEQUENCE:{from}\n{segments}"))
    }

    fn numbers(segments: &[Segment]) -> Vec<String> {
        let mark = |segment: &Segment| match (segment.gap, segment.discontinuity) {
            (true, _) => "-",
            (_, true) => "*",
            _ => "",
        };
        segments.iter().map(|segment| format!("{}{}", mark(segment), segment.sequence)).collect()
    }

    #[test]
    fn each_segment_comes_once_and_what_was_missed_is_a_gap() {
        let mut known = Known::new(12);
        assert_eq!(numbers(&known.news(&window(10, 5))), ["12", "13", "14"]);
        assert!(known.news(&window(10, 5)).is_empty());
        assert_eq!(numbers(&known.news(&window(11, 6))), ["15", "16"]);
        // An old copy from another machine of the server.
        assert!(known.news(&window(9, 5)).is_empty());
        assert_eq!(numbers(&known.news(&window(19, 3))), ["-17", "-18", "19", "20", "21"]);
        let many = known.news(&window(10_000, 3));
        assert_eq!(many.len() as u64, MOST_MISSED + 3);
        let gaps: Duration = many.iter().filter(|segment| segment.gap).map(|segment| segment.duration).sum();
        assert_eq!(gaps.as_secs(), (10_000 - 22) * 2);
    }

    #[test]
    fn a_server_that_counts_anew_is_followed() {
        let mut known = Known::new(500);
        known.news(&window(498, 5));
        let mut news = Vec::new();
        for n in 0..20 {
            news.extend(known.news(&window(n, 3)));
        }
        assert_eq!(numbers(&news)[..8], ["-0", "-1", "-2", "-3", "-4", "-5", "*6", "7"]);
    }

    #[test]
    fn a_break_of_the_clock_is_told_although_its_mark_has_gone() {
        let body = |from: u64, breaks: u64| {
            format!("#EXT-X-MEDIA-SEQUENCE:{from}\n#EXT-X-DISCONTINUITY-SEQUENCE:{breaks}\n#EXTINF:2,\na\n")
        };
        let mut known = Known::new(1);
        assert_eq!(numbers(&known.news(&playlist(&body(1, 4)))), ["1"]);
        assert_eq!(numbers(&known.news(&playlist(&body(2, 4)))), ["2"]);
        assert_eq!(numbers(&known.news(&playlist(&body(3, 5)))), ["*3"]);
    }
}
