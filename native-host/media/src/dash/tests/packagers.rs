//! What packagers really write: ffmpeg 5.1 and Shaka Packager 3.8, of the same ten seconds.

use super::*;
use crate::segment::ByteRange;

/// Identifier, language and channels.
type Beside<'a> = (&'a str, Option<&'a str>, Option<u64>);

fn beside(offer: &Multivariant<RepresentationId>) -> Vec<Beside<'_>> {
    offer.renditions.iter().map(|r| (r.id.as_str(), r.language.as_deref(), r.channels)).collect()
}

#[test]
fn ffmpeg_with_a_timeline() {
    let mpd = mpd(include_str!("ffmpeg_timeline.mpd"));
    // Cut to tenths; the timeline knows better.
    assert_eq!(mpd.duration, Some(Duration::from_millis(9900)));
    let offer = mpd.offer();
    assert_eq!(labels(&offer), ["180p"]);
    assert_eq!(beside(&offer), [("audio", None, Some(1)), ("audio-2", None, Some(1))]);
    let track = track_at(&mpd, EARLY).unwrap();
    assert_eq!(track.duration(), Some(Duration::from_millis(9960)));
    assert_eq!(lines(&track)[4], "8000+1960 chunk-stream0-00005.m4s");
    let sound = mpd.track(offer.renditions[0].url.as_ref().unwrap(), EARLY).unwrap();
    assert_eq!(sound.duration(), Some(Duration::from_millis(9970)));
    assert_eq!(timed(&sound)[0].segment.map.as_ref().unwrap().url.path(), "/dir/init-stream1.m4s");
}

#[test]
fn ffmpeg_in_one_file() {
    let mpd = mpd(include_str!("ffmpeg_single_file.mpd"));
    let track = track_at(&mpd, EARLY).unwrap();
    assert_eq!(lines(&track)[0], "0+2000 m-stream0.mp4#827-150948");
    assert_eq!(lines(&track)[4], "8000+1900 m-stream0.mp4#660669-810763");
    let all = timed(&track);
    assert!(all.windows(2).all(|pair| {
        let [a, b] = [0, 1].map(|index| pair[index].segment.byte_range.unwrap());
        a.end() == b.offset
    }));
    let map = all[0].segment.map.as_ref().unwrap();
    assert_eq!(map.byte_range, Some(ByteRange { offset: 0, length: 827 }));
}

#[test]
fn shaka_for_live() {
    let mpd = mpd(include_str!("shaka_live.mpd"));
    assert!(mpd.live);
    assert_eq!(mpd.minimum_update_period, Some(Duration::from_secs(5)));
    assert_eq!(mpd.time_shift_buffer_depth, Some(Duration::from_secs(1800)));
    let began = mpd.availability_start_time.unwrap();
    let later = Moment { now_unix_ms: began + 60_000 };
    let track = track_at(&mpd, later).unwrap();
    assert_eq!(
        lines(&track),
        ["0+2000 v1.m4s", "2000+2000 v2.m4s", "4000+2000 v3.m4s", "6000+2000 v4.m4s", "8000+1960 v5.m4s"]
    );
    assert!(!track.over);
    let sound = mpd.track(mpd.offer().renditions[0].url.as_ref().unwrap(), later).unwrap();
    assert_eq!(lines(&sound)[1], "2005+2005 a96256.m4s");
}

/// The index of the picture in `shaka_on_demand.mpd`, bytes 833 to 924 of its file.
const INDEX: &str = "0000005c7369647800000000000000010000320000000000000000000000000500024af20000640090000000000297b8\
                     000064009000000000027fed00006400900000000002b10b000064009000000000024ad30000620090000000";

#[test]
fn shaka_on_demand() {
    let mpd = mpd(include_str!("shaka_on_demand.mpd"));
    let offer = mpd.offer();
    assert_eq!(labels(&offer), ["180p"]);
    assert_eq!(beside(&offer), [("audio-en", Some("en"), Some(1)), ("audio-de", Some("de"), Some(1))]);
    let track = track_at(&mpd, EARLY).unwrap();
    let Media::Indexed(indexed) = &track.parts[0].media else { panic!("not indexed") };
    let bytes: Vec<u8> =
        (0..INDEX.len() / 2).map(|at| u8::from_str_radix(&INDEX[at * 2..at * 2 + 2], 16).unwrap()).collect();
    assert_eq!(indexed.head(4096), ByteRange { offset: 833, length: 92 });
    let segments = indexed.segments(&bytes, 833).unwrap();
    let found: Vec<(i64, u128, u64, u64)> = segments
        .iter()
        .map(|timed| {
            let range = timed.segment.byte_range.unwrap();
            (timed.start_us, timed.segment.duration.as_millis(), range.offset, range.end())
        })
        .collect();
    assert_eq!(
        found,
        [
            (0, 2000, 925, 151_183),
            (2_000_000, 2000, 151_183, 321_095),
            (4_000_000, 2000, 321_095, 484_916),
            (6_000_000, 2000, 484_916, 661_311),
            (8_000_000, 1960, 661_311, 811_538),
        ]
    );
    assert_eq!(
        segments[0].segment.map.as_ref().unwrap().byte_range,
        Some(ByteRange { offset: 0, length: 833 })
    );
}
