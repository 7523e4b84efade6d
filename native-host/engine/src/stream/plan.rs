//! What has to be fetched for a stream, in which order.
//!
//! Pure: never fetches and never writes. Invariant: a plan holds only what can be downloaded honestly; whatever this
//! version cannot do is refused here, before the first segment.

use std::sync::Arc;
use std::time::Duration;

use sha2::{Digest, Sha256};
use url::Url;
use weir_media::segment::{ByteRange, Key, Map, Segment};

use crate::EngineError;
use crate::digest::hex;
use crate::mux::TrackKind;

/// One track to fetch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Track {
    pub(crate) kind: TrackKind,
    /// RFC 5646.
    pub(crate) language: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) default: bool,
    pub(crate) forced: bool,
    pub(crate) origin: Origin,
    /// Known so far; all there are, unless the stream is live.
    pub(crate) segments: Vec<Segment>,
    /// See `weir_media::hls::MediaPlaylist::rounded`; never of DASH.
    pub(crate) rounded: bool,
    /// The last segment may not be there, and then nothing is missing.
    pub(crate) doubtful: bool,
    /// Time in which it has nothing to say, as periods without sound: gaps by their sequence numbers.
    pub(crate) quiet: Vec<u64>,
    /// Its periods, without their segments: they know where else the same is. Empty for HLS.
    pub(crate) elsewhere: Vec<weir_media::dash::Part>,
}

/// Where a track's list of segments comes from.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Origin {
    /// A media playlist, and the same elsewhere.
    Hls { url: Url, backups: Vec<Url> },
    /// A representation of the MPD.
    Dash(weir_media::dash::RepresentationId),
}

impl Track {
    /// A track of which nothing but its place is known.
    pub(crate) const fn new(kind: TrackKind, origin: Origin, segments: Vec<Segment>) -> Self {
        Self {
            kind,
            language: None,
            name: None,
            default: true,
            forced: false,
            origin,
            segments,
            rounded: false,
            doubtful: false,
            quiet: Vec::new(),
            elsewhere: Vec::new(),
        }
    }

    pub(crate) fn duration(&self) -> Duration {
        self.segments.iter().fold(Duration::ZERO, |sum, segment| sum.saturating_add(segment.duration))
    }
}

/// Refuses what must not or cannot be downloaded. With `holes`, segments that the server says do not exist are none of it.
pub(crate) fn check(track: &Track, holes: bool) -> Result<(), EngineError> {
    let is_gap = |segment: &Segment| segment.gap && !track.quiet.contains(&segment.sequence);
    if let Some(index) = track.segments.iter().position(is_gap).filter(|_| !holes) {
        let reason = "the server says it does not exist".to_owned();
        return Err(missing(index, track.segments.len(), reason, None));
    }
    Ok(())
}

pub(crate) fn missing(index: usize, count: usize, reason: String, status: Option<u16>) -> EngineError {
    EngineError::SegmentMissing { index, number: index + 1, count, reason, status }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Request {
    pub(crate) url: Url,
    pub(crate) byte_range: Option<ByteRange>,
    pub(crate) key: Option<Arc<Key>>,
    pub(crate) sequence: u64,
    /// Segment it is, or stands before.
    pub(crate) index: usize,
    pub(crate) us: u64,
    pub(crate) is_map: bool,
    /// It is an initialisation section that may be the one in force, under another token: its bytes tell.
    pub(crate) perhaps: bool,
    /// The server says that it does not exist.
    pub(crate) gap: bool,
    /// It begins a run of segments with one initialisation section and one clock.
    pub(crate) begins: Option<Begins>,
}

/// How a run of segments begins.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Begins {
    pub(crate) map: Option<String>,
    pub(crate) shift_us: Option<i64>,
    pub(crate) clock: bool,
}

/// Turns segments into requests.
#[derive(Debug)]
pub(crate) struct Requests {
    /// Initialisation section in force, by its place without the query.
    map: Option<String>,
    /// The same with it. Within one reading of a list another query is another section; between two readings, as of a live
    /// list, it may as well be another token.
    exactly: Option<String>,
    live: bool,
    shift_us: Option<i64>,
    /// The clock starts anew with the next segment that is there.
    clock: bool,
}

impl Requests {
    /// Goes on after a segment with this initialisation section; `fresh` when nothing has been written.
    pub(crate) const fn new(map: Option<String>, shift_us: Option<i64>, fresh: bool, live: bool) -> Self {
        Self { map, exactly: None, live, shift_us, clock: fresh }
    }

    /// The requests for the `index`th segment: its initialisation section, when it is another one than before, and itself.
    pub(crate) fn of(&mut self, segment: &Segment, index: usize) -> impl Iterator<Item = Request> + use<> {
        self.clock |= segment.discontinuity;
        let map = segment.map.as_deref().map(|map| place(map, false));
        let exactly = segment.map.as_deref().map(|map| place(map, true));
        let requeried = exactly != self.exactly && (self.live || self.exactly.is_some());
        let another = map != self.map || requeried;
        let mut perhaps = self.live && map == self.map;
        // What is not there begins nothing.
        let begins = if segment.gap {
            None
        } else {
            self.clock |= segment.shift_us != self.shift_us;
            perhaps &= !self.clock;
            let begins = (self.clock || another).then(|| Begins {
                map: map.clone(),
                shift_us: segment.shift_us,
                clock: self.clock,
            });
            (self.map, self.exactly) = (map, exactly);
            (self.shift_us, self.clock) = (segment.shift_us, false);
            begins
        };
        // An initialisation section stands at the beginning of every run, so that each can be read alone.
        let map = segment.map.as_deref().filter(|_| begins.is_some()).map(|map| Request {
            url: map.url.clone(),
            byte_range: map.byte_range,
            key: map.key.clone(),
            sequence: map.sequence,
            index,
            us: 0,
            is_map: true,
            perhaps,
            gap: false,
            begins: begins.clone(),
        });
        let segment = Request {
            url: segment.url.clone(),
            byte_range: segment.byte_range,
            key: segment.key.clone(),
            sequence: segment.sequence,
            index,
            us: micros(segment.duration),
            is_map: false,
            perhaps: false,
            gap: segment.gap,
            begins: begins.filter(|_| map.is_none()),
        };
        map.into_iter().chain([segment])
    }
}

/// Where an initialisation section is, with its query or without. Hashed, because addresses carry tokens.
fn place(map: &Map, query: bool) -> String {
    let mut hasher = Sha256::new();
    hasher.update(if query { map.url.as_str() } else { map.url.path() });
    if let Some(range) = map.byte_range {
        hasher.update(format!("#{}+{}", range.offset, range.length));
    }
    hex(&hasher.finalize()[..12])
}

pub(crate) fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

/// Identity of what the tracks are made of. Queries are left out: they carry tokens that change with every visit. A live
/// stream is known by its manifests, because its segments are others every time.
pub(crate) fn fingerprint(tracks: &[Track], quality: Option<&str>, live: bool) -> String {
    let mut hasher = Sha256::new();
    // The same addresses with another query may be another quality.
    hasher.update(quality.unwrap_or_default());
    for track in tracks {
        hasher.update(format!("{:?} {:?}\n", track.kind, track.language));
        if live {
            match &track.origin {
                Origin::Hls { url, .. } => hasher.update(url.path()),
                Origin::Dash(id) => hasher.update(format!("{id:?}")),
            }
            continue;
        }
        hasher.update(format!("track {}\n", track.segments.len()));
        for segment in &track.segments {
            let range = segment.byte_range.map_or((0, 0), |range| (range.offset, range.length));
            let key = segment.key.as_ref().map_or("", |key| key.url.path());
            let numbers = [range.0, range.1, micros(segment.duration), segment.sequence];
            hasher.update(segment.url.path());
            hasher.update("\n");
            hasher.update(key);
            for number in numbers {
                hasher.update(number.to_le_bytes());
            }
        }
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::hls::{Playlist, parse};

    fn track(body: &str) -> Track {
        let url = Url::parse("https://a.example/v/list.m3u8").unwrap();
        let Playlist::Media(media) = parse(&format!("#EXTM3U\n{body}\n#EXT-X-ENDLIST\n"), &url).unwrap()
        else {
            panic!("multivariant")
        };
        Track::new(TrackKind::Video, Origin::Hls { url, backups: Vec::new() }, media.segments)
    }

    fn paths(requests: &mut Requests, track: &Track, first: usize) -> Vec<String> {
        let segments = track.segments.iter().enumerate().skip(first);
        segments
            .flat_map(|(index, segment)| requests.of(segment, index).collect::<Vec<_>>())
            .map(|request| {
                let mark = match request.begins {
                    _ if request.perhaps => "?",
                    Some(Begins { clock: true, .. }) => "*",
                    Some(_) => "+",
                    None => "",
                };
                format!("{mark}{}", request.url.path().trim_start_matches("/v/"))
            })
            .collect()
    }

    #[test]
    fn the_initialisation_section_stands_at_the_beginning_of_every_run() {
        let track = track(
            "#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n#EXTINF:1,\nb\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nc\n\
             #EXT-X-MAP:URI=\"j\"\n#EXTINF:1,\nd",
        );
        let fresh = || Requests::new(None, None, true, false);
        assert_eq!(paths(&mut fresh(), &track, 0), ["*i", "a", "b", "*i", "c", "+j", "d"]);
        let mut later =
            Requests::new(track.segments[0].map.as_deref().map(|map| place(map, false)), None, false, false);
        assert_eq!(paths(&mut later, &track, 1), ["b", "*i", "c", "+j", "d"]);
    }

    #[test]
    fn another_query_is_another_section_in_one_list_and_may_be_another_token_in_two() {
        let list = |a: &str, b: &str| {
            track(&format!(
                "#EXT-X-MAP:URI=\"i?{a}\"\n#EXTINF:1,\na\n#EXT-X-MAP:URI=\"i?{b}\"\n#EXTINF:1,\nb"
            ))
        };
        let vod = |live| paths(&mut Requests::new(None, None, true, live), &list("id=1", "id=2"), 0);
        assert_eq!(vod(false), ["*i", "a", "+i", "b"]);
        assert_eq!(vod(true), ["*i", "a", "?i", "b"]);
        let first = list("t=1", "t=1").segments[0].map.as_deref().map(|map| place(map, false));
        let on = |live| paths(&mut Requests::new(first.clone(), None, false, live), &list("t=2", "t=2"), 0);
        assert_eq!(on(false), ["a", "b"]);
        assert_eq!(on(true), ["?i", "a", "b"]);
    }

    #[test]
    fn streams_without_initialisation_sections_have_runs_too() {
        let track = track("#EXTINF:1,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:1,\nb\n#EXTINF:1,\nc");
        assert_eq!(paths(&mut Requests::new(None, None, true, false), &track, 0), ["*a", "*b", "c"]);
        assert_eq!(paths(&mut Requests::new(None, None, false, false), &track, 2), ["c"]);
        let gap =
            self::track("#EXTINF:1,\na\n#EXT-X-DISCONTINUITY\n#EXT-X-GAP\n#EXTINF:1,\nb\n#EXTINF:1,\nc");
        assert_eq!(paths(&mut Requests::new(None, None, true, false), &gap, 0), ["*a", "b", "*c"]);
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let gap = track("#EXTINF:1,\na\n#EXT-X-GAP\n#EXTINF:1,\nb");
        assert!(matches!(check(&gap, false), Err(EngineError::SegmentMissing { number: 2, count: 2, .. })));
        assert!(check(&gap, true).is_ok());
    }

    #[test]
    fn tokens_do_not_change_the_fingerprint_and_content_does() {
        let with = |token: &str| track(&format!("#EXTINF:1,\na?{token}\n#EXTINF:1,\nb?{token}"));
        let print = |tracks: &[Track]| fingerprint(tracks, None, false);
        assert_eq!(print(&[with("1")]), print(&[with("2")]));
        assert_ne!(print(&[with("1")]), print(&[track("#EXTINF:1,\na\n#EXTINF:2,\nb")]));
        assert_ne!(print(&[with("1")]), print(&[with("1"), with("1")]));
        assert_eq!(fingerprint(&[with("1")], None, true), fingerprint(&[track("#EXTINF:1,\nz")], None, true));
        assert_ne!(print(&[with("1")]), fingerprint(&[with("1")], Some("720p"), false));
    }
}
