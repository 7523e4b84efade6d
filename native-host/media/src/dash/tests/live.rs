//! Presentations that go on: what is there at a moment, and that refreshes add up.

use proptest::prelude::*;

use super::*;
use std::collections::BTreeMap;

/// 2026-11-21T10:00:00Z.
const BEGAN: i64 = 1_795_255_200_000;

fn after(seconds: f64) -> Moment {
    Moment { now_unix_ms: BEGAN + (seconds * 1000.0) as i64 }
}

fn dynamic(attributes: &str, periods: &str) -> Mpd {
    mpd(&format!(
        "<MPD type=\"dynamic\" availabilityStartTime=\"2026-11-21T10:00:00Z\" {attributes}>{periods}</MPD>"
    ))
}

fn numbered(attributes: &str, more: &str) -> Mpd {
    let template = format!("<SegmentTemplate duration=\"2\" startNumber=\"0\" media=\"$Number$\" {more}/>");
    dynamic(attributes, &format!("<Period id=\"p\" start=\"PT0S\">{}</Period>", video("v", &template)))
}

fn at(mpd: &Mpd, seconds: f64) -> Vec<String> {
    lines(&track_at(mpd, after(seconds)).unwrap())
}

#[test]
fn computed_segments_are_there_when_they_are_whole() {
    let plain = numbered("minimumUpdatePeriod=\"PT2S\" timeShiftBufferDepth=\"PT6S\"", "");
    assert_eq!(at(&plain, -5.0), [""; 0]);
    assert_eq!(at(&plain, 1.9), [""; 0]);
    assert_eq!(at(&plain, 2.0), ["0+2000 0"]);
    assert_eq!(at(&plain, 5.9), ["0+2000 0", "2000+2000 1"]);
    assert_eq!(at(&plain, 11.0), ["4000+2000 2", "6000+2000 3", "8000+2000 4"]);
    assert_eq!(at(&plain, 12.0), ["6000+2000 3", "8000+2000 4", "10000+2000 5"]);
    assert_eq!(track_at(&plain, after(11.0)).unwrap().edge_us(), Some(10_000_000));
    // Earlier by an offset, but not before they are whole.
    assert_eq!(
        at(&numbered("timeShiftBufferDepth=\"PT6S\"", "availabilityTimeOffset=\"1.5\""), 2.5),
        ["0+2000 0", "2000+2000 1"]
    );
    assert_eq!(
        at(
            &numbered(
                "timeShiftBufferDepth=\"PT6S\"",
                "availabilityTimeOffset=\"1.5\" availabilityTimeComplete=\"false\""
            ),
            2.5
        ),
        ["0+2000 0"]
    );
    let all = numbered("mediaPresentationDuration=\"PT6S\"", "availabilityTimeOffset=\"INF\"");
    assert_eq!(at(&all, 0.5), ["0+2000 0", "2000+2000 1", "4000+2000 2"]);
    // Years without a window: the newest, and not all of them.
    let years = track_at(&numbered("", ""), after(1e9)).unwrap();
    assert_eq!(timed(&years).len(), 50_000);
    assert_eq!(years.edge_us(), Some(1_000_000_000_000_000));
}

#[test]
fn nobody_knows_when_numbers_are_due_without_a_beginning() {
    let text = "<MPD type=\"dynamic\"><Period start=\"PT0S\">{}</Period></MPD>";
    let numbered = text.replace("{}", &video("v", "<SegmentTemplate duration=\"2\" media=\"$Number$\"/>"));
    assert!(matches!(track_at(&mpd(&numbered), EARLY), Err(MpdError::Malformed { .. })));
    // What is listed needs no clock.
    let listed = text.replace(
        "{}",
        &video("v", "<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S t=\"100\" d=\"2\"/></SegmentTimeline></SegmentTemplate>"),
    );
    assert_eq!(lines(&track(&listed)), ["100000+2000 100"]);
}

fn timeline(attributes: &str, entries: &str) -> Mpd {
    let template = format!(
        "<SegmentTemplate media=\"$Time$\"><SegmentTimeline>{entries}</SegmentTimeline></SegmentTemplate>"
    );
    dynamic(attributes, &format!("<Period id=\"p\" start=\"PT0S\">{}</Period>", video("v", &template)))
}

#[test]
fn listed_segments_are_there_when_they_have_begun() {
    let listed = timeline("timeShiftBufferDepth=\"PT4S\"", "<S t=\"0\" d=\"2\" r=\"9\"/>");
    assert_eq!(at(&listed, 6.0), ["2000+2000 2", "4000+2000 4", "6000+2000 6"]);
    // A clock that is ahead empties nothing: the window hangs from the newest segment.
    assert_eq!(at(&listed, 500.0), ["16000+2000 16", "18000+2000 18"]);
    let repeated = timeline("timeShiftBufferDepth=\"PT4S\"", "<S t=\"0\" d=\"2\" r=\"-1\"/>");
    assert_eq!(at(&repeated, 6.5), ["2000+2000 2", "4000+2000 4"]);
    assert_eq!(at(&repeated, 8.0), ["4000+2000 4", "6000+2000 6"]);
    // Endless repetition of what is to come is no million segments.
    let endless =
        timeline("timeShiftBufferDepth=\"PT4S\"", "<S t=\"0\" d=\"2\" r=\"18446744073709551615\"/>");
    assert_eq!(at(&endless, 6.0), ["2000+2000 2", "4000+2000 4", "6000+2000 6"]);
}

#[test]
fn the_list_of_a_live_stream_moves_on_with_its_numbers() {
    let list = |first: u32| {
        let urls: String = (first..first + 3).map(|n| format!("<SegmentURL media=\"s{n}\"/>")).collect();
        let list = format!("<SegmentList duration=\"2\" startNumber=\"{first}\">{urls}</SegmentList>");
        let mpd = dynamic(
            "minimumUpdatePeriod=\"PT2S\"",
            &format!("<Period start=\"PT0S\">{}</Period>", video("v", &list)),
        );
        at(&mpd, 100.0)
    };
    assert_eq!(list(1), ["0+2000 s1", "2000+2000 s2", "4000+2000 s3"]);
    assert_eq!(list(2), ["2000+2000 s2", "4000+2000 s3", "6000+2000 s4"]);
}

#[test]
fn periods_come_and_go() {
    let template =
        |name: &str| video("v", &format!("<SegmentTemplate duration=\"2\" media=\"{name}$Number$\"/>"));
    let mpd = dynamic(
        "minimumUpdatePeriod=\"PT2S\" timeShiftBufferDepth=\"PT5S\"",
        &format!(
            "<Period id=\"a\" start=\"PT0S\">{}</Period><Period id=\"b\" start=\"PT6S\">{}</Period><Period id=\"c\">{}</Period>",
            template("a"),
            template("b"),
            template("c")
        ),
    );
    assert_eq!(at(&mpd, 4.5), ["0+2000 a1", "2000+2000 a2"]);
    // The first ends where the second begins.
    assert_eq!(at(&mpd, 8.0), ["2000+2000 a2", "4000+2000 a3", "!6000+2000 b1"]);
    assert_eq!(at(&mpd, 20.0), ["14000+2000 b5", "16000+2000 b6", "18000+2000 b7"]);
}

#[test]
fn a_presentation_is_over_when_its_time_is() {
    let ends = numbered("mediaPresentationDuration=\"PT8S\"", "");
    assert!(!ends.is_over(after(7.9)) && ends.is_over(after(8.0)));
    assert_eq!(at(&ends, 100.0), ["0+2000 0", "2000+2000 1", "4000+2000 2", "6000+2000 3"]);
    assert!(track_at(&ends, after(100.0)).unwrap().over);
    let open = numbered("minimumUpdatePeriod=\"PT2S\"", "");
    assert!(!open.is_over(after(1e9)));
    assert!(mpd(&single("<BaseURL>f</BaseURL>")).is_over(EARLY));
    // A period that ends is not the end while others may follow.
    let period = "<Period start=\"PT0S\" duration=\"PT4S\">{}</Period>"
        .replace("{}", &video("v", "<SegmentTemplate duration=\"2\" media=\"$Number$\"/>"));
    assert!(!dynamic("minimumUpdatePeriod=\"PT2S\"", &period).is_over(after(60.0)));
    assert!(dynamic("", &period).is_over(after(60.0)));
}

#[test]
fn the_next_refresh_is_known() {
    let after_segment = Duration::from_secs(4);
    let refresh = |attributes: &str| numbered(attributes, "").refresh_after(after_segment);
    assert_eq!(refresh(""), None);
    assert_eq!(refresh("minimumUpdatePeriod=\"PT9S\""), Some(Duration::from_secs(9)));
    assert_eq!(refresh("minimumUpdatePeriod=\"PT0S\""), Some(after_segment));
    assert_eq!(mpd(&single("<BaseURL>f</BaseURL>")).refresh_after(after_segment), None);
}

#[test]
fn clocks_and_locations_are_told() {
    let mpd = dynamic(
        "publishTime=\"2026-11-21T10:00:05Z\" suggestedPresentationDelay=\"PT6S\"",
        &format!(
            "<Location> ../live.mpd?s=1 </Location><Location>https://b.example/live.mpd</Location>\
             <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:ntp:2014\" value=\"time.example\"/>\
             <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-xsdate:2014\" value=\"https://t.example/a https://t.example/b\"/>\
             <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:http-head:2014\" value=\"/now\"/>\
             <UTCTiming schemeIdUri=\"urn:mpeg:dash:utc:direct:2014\" value=\"2026-11-21T10:00:06Z\"/>\
             <Period start=\"PT0S\">{}</Period>",
            video("v", "<SegmentTemplate duration=\"2\" media=\"$Number$\"/>")
        ),
    );
    let locations: Vec<&str> = mpd.locations.iter().map(Url::as_str).collect();
    assert_eq!(locations, ["https://a.example/live.mpd?s=1", "https://b.example/live.mpd"]);
    let url = |text: &str| Url::parse(text).unwrap();
    assert_eq!(
        mpd.clocks,
        [
            Clock::HttpIso(url("https://t.example/a")),
            Clock::HttpIso(url("https://t.example/b")),
            Clock::HttpHead(url("https://a.example/now")),
            Clock::Direct(BEGAN + 6000),
        ]
    );
    assert_eq!(
        (mpd.publish_time, mpd.suggested_presentation_delay),
        (Some(BEGAN + 5000), Some(Duration::from_secs(6)))
    );
}

/// The manifest a live server sends after `seconds`: its window of segments of these lengths, in milliseconds.
fn window(lengths: &[u32], seconds: f64, by_time: bool) -> Option<Mpd> {
    let (mut time, mut number, mut entries, mut first) = (0_u64, 1, String::new(), None);
    let now = (seconds * 1000.0) as u64;
    for length in lengths {
        let end = time + u64::from(*length);
        if end <= now && end + 12_000 > now {
            entries += &format!("<S t=\"{time}\" d=\"{length}\"/>");
            first = first.or(Some(number));
        }
        (time, number) = (end, number + 1);
    }
    let media = if by_time { "$Time$" } else { "$Number$" };
    let template = format!(
        "<SegmentTemplate timescale=\"1000\" startNumber=\"{}\" media=\"{media}\"><SegmentTimeline>{entries}</SegmentTimeline></SegmentTemplate>",
        first?
    );
    let period = format!("<Period id=\"p\" start=\"PT0S\">{}</Period>", video("v", &template));
    Some(dynamic("minimumUpdatePeriod=\"PT2S\" timeShiftBufferDepth=\"PT12S\"", &period))
}

proptest! {
    #[test]
    fn refreshes_add_up_to_every_segment_once(
        lengths in prop::collection::vec(500_u32..4000, 1..60),
        by_time: bool,
        steps in prop::collection::vec(0.2_f64..6.0, 60),
        ahead in 0.0_f64..2.0,
    ) {
        let whole = lengths.iter().map(|length| f64::from(*length)).sum::<f64>() / 1000.0;
        let mut seen: BTreeMap<(String, i64), String> = BTreeMap::new();
        let mut seconds = 0.0;
        for step in steps {
            seconds += step;
            let Some(mpd) = window(&lengths, seconds, by_time) else { continue };
            let track = track_at(&mpd, after(seconds + ahead)).unwrap();
            for part in &track.parts {
                let Media::Segments(segments) = &part.media else { panic!("no segments") };
                for timed in segments {
                    let url = timed.segment.url.to_string();
                    let known = seen.insert((part.period.clone(), timed.start_us), url.clone());
                    prop_assert!(known.is_none_or(|known| known == url), "one identity, two addresses");
                }
            }
        }
        // All that had begun its way through the window; the steps are shorter than it.
        let (mut time, mut expected) = (0, Vec::new());
        for length in &lengths {
            let end = time + i64::from(*length) * 1000;
            if end as f64 / 1e6 <= seconds.min(whole) {
                expected.push(time);
            }
            time = end;
        }
        let found: Vec<i64> = seen.keys().map(|(_, start)| *start).collect();
        prop_assert_eq!(found, expected);
    }
}
