//! Live HLS.

use std::path::PathBuf;
use std::time::Duration;

use weir_engine::Kind;

use super::super::kitchen::made;
use super::super::support::{Reply, Request, Server, names};
use super::stage::{Stage, record};
use super::{FILM, without_hole};

/// Four times as fast as life.
const FAST: Duration = Duration::from_millis(250);

pub(crate) fn minute() -> PathBuf {
    made("minute of TS", "s0.ts to s59.ts, and as fragmented MP4", |k| {
        k.ts(FILM, "s", &[]);
        k.fmp4(FILM, "f", &[]);
    })
}

/// The playlist when so many segments have appeared.
fn playlist(stage: &Stage, there: usize, stem: &str) -> String {
    let named = stage.named(there);
    let mut text = format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n",
        named.start
    );
    let end = if stem == "f" { "m4s" } else { "ts" };
    if stem == "f" {
        text.push_str("#EXT-X-MAP:URI=\"f.init\"\n");
    }
    for number in named {
        text.push_str(&format!("#EXTINF:1.0,\n{stem}{number}.{end}\n"));
    }
    if there == stage.total {
        text.push_str("#EXT-X-ENDLIST\n");
    }
    text
}

fn honest(stage: &Stage, request: &Request, stem: &str) -> Reply {
    let path = request.path.trim_start_matches('/');
    if path == "live.m3u8" {
        return list(playlist(stage, stage.there(), stem));
    }
    match path.trim_start_matches(['s', 'f']).split('.').next().unwrap().parse() {
        Ok(number) => stage.segment(request, number),
        Err(_) => super::super::serving::folder(&stage.folder, request),
    }
}

fn list(text: impl Into<Vec<u8>>) -> Reply {
    Reply::new(200, text.into()).header("content-type", "application/vnd.apple.mpegurl")
}

async fn whole_minute(stage: Stage, answer: impl Fn(&Stage, &Request) -> Reply + Send + Sync + 'static) {
    let server = {
        let stage = stage.clone();
        Server::start(move |request| answer(&stage, request)).await
    };
    let recording = record(&server, "/live.m3u8", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    assert_eq!((finished.kind, finished.lacks.as_deref()), (Kind::Hls, None));
    assert!(recording.seen.live, "was never called live");
    // By its own time, however fast the clock goes.
    assert_eq!(recording.recorded, Duration::from_secs(60));
    assert_eq!(without_hole(&finished.path), (0, 600));
    assert_eq!(names(recording.out.path()), ["recording.mp4"]);
    // Each segment once, but for one now and then that a busy machine was too slow for, and playlists about as often as
    // something new can be there.
    let requests = server.requests();
    let segments: Vec<&str> = requests
        .iter()
        .map(|request| request.path.as_str())
        .filter(|path| !path.contains("m3u8") && !path.contains("init"))
        .collect();
    let each: std::collections::HashSet<&str> = segments.iter().copied().collect();
    assert!(each.len() == 60 && segments.len() < 66, "{} requests for {}", segments.len(), each.len());
    let lists = requests.iter().filter(|request| request.path.contains("m3u8")).count();
    let life = stage.every.as_secs_f64() * 57.0;
    assert!((life * 0.4..life * 12.0 + 20.0).contains(&(lists as f64)), "{lists} playlists in {life} s");
}

async fn a_minute_of_ts_while_the_window_slides() {
    whole_minute(Stage::new(minute(), FAST), |stage, request| honest(stage, request, "s")).await;
}

async fn a_minute_of_fragmented_mp4_while_the_window_slides() {
    whole_minute(Stage::new(minute(), FAST), |stage, request| honest(stage, request, "f")).await;
}

/// What describes its segments has another token every time the list is read, and is the same every time.
async fn another_token_is_no_other_section() {
    whole_minute(Stage::new(minute(), FAST), |stage, request| {
        let honest = honest(stage, request, "f");
        if request.path != "/live.m3u8" {
            return honest;
        }
        let text = String::from_utf8(honest.body()).unwrap();
        list(text.replace("f.init", &format!("f.init?token={}", stage.count())))
    })
    .await;
}

/// Under the same address but for its query is what describes segments of another size, without any sign of a break.
async fn another_section_under_another_query_is_told_by_its_bytes() {
    let folder = made("sections by query", "plain-advert and large, as fragments", |k| {
        k.fmp4("plain-advert", "a", &[]);
        k.fmp4("large", "b", &["-output_ts_offset", "6"]);
    });
    let stage = Stage { total: 12, ..Stage::new(folder, FAST) };
    let server = Server::start(move |request| match request.path.as_str() {
        "/live.m3u8" => {
            let there = stage.there();
            let mut text = "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:1\n".to_owned();
            for number in 0..there {
                let film = if number < 6 { "a" } else { "b" };
                text.push_str(&format!(
                    "#EXT-X-MAP:URI=\"init?film={film}\"\n#EXTINF:1.0,\n{film}{}.m4s\n",
                    number % 6
                ));
            }
            list(if there == stage.total { text + "#EXT-X-ENDLIST\n" } else { text })
        }
        "/init?film=a" => Reply::new(200, std::fs::read(stage.folder.join("a.init")).unwrap()),
        "/init?film=b" => Reply::new(200, std::fs::read(stage.folder.join("b.init")).unwrap()),
        _ => super::super::serving::folder(&stage.folder, request),
    })
    .await;
    let recording = record(&server, "/live.m3u8", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    let hashes = |film: &str| -> Vec<String> {
        let pictures = super::super::films::named(film).measured().pictures;
        pictures.into_iter().map(|unit| unit.hash).collect()
    };
    let found: Vec<String> =
        super::super::measure::pictures(&finished.path).into_iter().map(|unit| unit.hash).collect();
    assert_eq!(found, [hashes("plain-advert"), hashes("large")].concat(), "{:?}", finished.lacks);
}

/// As it is in life.
async fn a_minute_that_takes_a_minute() {
    let stage = Stage { window: 6, ..Stage::new(minute(), Duration::from_secs(1)) };
    whole_minute(stage, |stage, request| honest(stage, request, "s")).await;
}

/// Everything that goes wrong when playlists are asked for, again and again.
async fn refreshes_that_fail_lose_nothing() {
    let stage = Stage { window: 16, ..Stage::new(minute(), FAST) };
    let server = Server::start(move |request| {
        if request.path != "/live.m3u8" {
            return honest(&stage, request, "s");
        }
        let now = honest(&stage, request, "s");
        let text = String::from_utf8(now.body()).unwrap();
        match stage.count() % 7 {
            // Never the first: what a stream begins with has to be right.
            1 => Reply::new(503, ""),
            2 => list(&text.as_bytes()[..text.len() * 2 / 3]),
            // An old copy, from before the last three segments.
            3 => list(playlist(&stage, stage.there().saturating_sub(3).max(3), "s")),
            4 => now.cut_after(40, None),
            5 => Reply::new(200, ""),
            _ => now,
        }
    })
    .await;
    let recording = record(&server, "/live.m3u8", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    assert_eq!(finished.lacks, None);
    assert_eq!(without_hole(&finished.path), (0, 600));
}

async fn a_recording_that_is_ended_keeps_what_is_there() {
    let stage = Stage::new(minute(), FAST);
    let server = Server::start(move |request| honest(&stage, request, "s")).await;
    let recording = record(&server, "/live.m3u8", |_| {}, Some(Duration::from_secs(4))).await;
    let finished = recording.outcome.unwrap();
    assert!(recording.took < Duration::from_secs(10), "{:?}", recording.took);
    let (first, end) = without_hole(&finished.path);
    assert!(first == 0 && (100..=220).contains(&end), "{first} to {end}");
    assert_eq!(finished.lacks, None);
    let said = finished.duration.unwrap().as_secs_f64();
    assert!((said - end as f64 / 10.0).abs() < 1.1, "is said to last {said} s");
}

async fn a_limit_ends_a_recording() {
    let stage = Stage::new(minute(), FAST);
    let server = Server::start(move |request| honest(&stage, request, "s")).await;
    let limited = |job: &mut weir_engine::Job| job.wishes.live_limit = Some(Duration::from_secs(10));
    let recording = record(&server, "/live.m3u8", limited, None).await;
    let finished = recording.outcome.unwrap();
    let (first, end) = without_hole(&finished.path);
    assert!(first == 0 && (90..=120).contains(&end), "{first} to {end}");
}

async fn now_is_where_a_recording_begins_unless_wished_otherwise() {
    let stage = Stage { before: 40, window: 30, ..Stage::new(minute(), FAST) };
    let server = Server::start(move |request| honest(&stage, request, "s")).await;
    let now = |job: &mut weir_engine::Job| job.wishes.live_from_start = false;
    let recording = record(&server, "/live.m3u8", now, None).await;
    let finished = recording.outcome.unwrap();
    let (first, end) = without_hole(&finished.path);
    // About three segments before the edge (RFC 8216 section 6.3.3).
    assert!((330..=400).contains(&first) && end == 600, "{first} to {end}");
}

/// Two segments are gone before they can be had: the recording says so.
async fn a_lost_segment_is_named() {
    let stage = Stage::new(minute(), FAST);
    let server = Server::start(move |request| match request.path.as_str() {
        "/s20.ts" | "/s21.ts" => Reply::new(404, ""),
        _ => honest(&stage, request, "s"),
    })
    .await;
    let recording = record(&server, "/live.m3u8", |_| {}, None).await;
    match recording.outcome {
        Ok(finished) => {
            assert!(finished.lacks.is_some(), "called whole");
            let found = super::super::measure::pictures(&finished.path).len();
            assert_eq!(found, 580);
            assert_eq!(recording.recorded, Duration::from_secs(58));
        }
        Err(error) => panic!("{error:?}"),
    }
}

/// The server is away for longer than its window: what was missed is told, and what comes after is there.
async fn a_window_that_slid_away_is_named() {
    let stage = Stage { window: 6, ..Stage::new(minute(), FAST) };
    let server = Server::start(move |request| {
        let away = (20..40).contains(&stage.there());
        if away { Reply::new(503, "") } else { honest(&stage, request, "s") }
    })
    .await;
    let recording = record(&server, "/live.m3u8", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    assert!(finished.lacks.is_some(), "called whole");
    let found = super::super::measure::pictures(&finished.path).len();
    assert!((350..580).contains(&found), "{found} pictures");
}

/// The encoder was started anew: numbers begin again, behind a discontinuity.
async fn numbers_that_begin_anew_end_nothing() {
    let stage = Stage { total: 40, ..Stage::new(minute(), FAST) };
    let server = Server::start(move |request| {
        if request.path != "/live.m3u8" {
            return honest(&stage, request, "s");
        }
        let text = playlist(&stage, stage.there(), "s");
        // From the 21st on the playlist counts from 0, and names only what came since.
        if stage.there() <= 20 {
            return list(text);
        }
        let named = stage.named(stage.there()).start.max(20)..stage.there();
        let mut text =
            format!("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{}\n", named.start - 20);
        text.push_str(if named.start == 20 {
            "#EXT-X-DISCONTINUITY\n"
        } else {
            "#EXT-X-DISCONTINUITY-SEQUENCE:1\n"
        });
        for number in named {
            text.push_str(&format!("#EXTINF:1.0,\ns{number}.ts\n"));
        }
        list(if stage.there() == 40 { text + "#EXT-X-ENDLIST\n" } else { text })
    })
    .await;
    let recording = record(&server, "/live.m3u8", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    let found = super::super::measure::pictures(&finished.path).len();
    assert!(
        found == 400 || (found >= 200 && finished.lacks.is_some()),
        "{found} pictures, lacks {:?}",
        finished.lacks
    );
}

async fn a_stream_that_ends_before_anything_came_is_an_error() {
    let stage = Stage::new(minute(), FAST);
    let server = Server::start(move |request| {
        if request.path == "/live.m3u8" { honest(&stage, request, "s") } else { Reply::new(404, "") }
    })
    .await;
    let recording = record(&server, "/live.m3u8", |_| {}, Some(Duration::from_secs(3))).await;
    assert!(recording.outcome.is_err(), "{:?}", recording.outcome);
    assert!(names(recording.out.path()).iter().all(|name| name.contains(".part")));
}

/// Starts every recording at the same time: most of what they do is wait for the clock.
pub(crate) fn all(recordings: &mut super::Recordings) {
    recordings.add("a_minute_of_ts_while_the_window_slides", a_minute_of_ts_while_the_window_slides());
    recordings.add(
        "a_minute_of_fragmented_mp4_while_the_window_slides",
        a_minute_of_fragmented_mp4_while_the_window_slides(),
    );
    recordings.add("another_token_is_no_other_section", another_token_is_no_other_section());
    recordings.add(
        "another_section_under_another_query_is_told_by_its_bytes",
        another_section_under_another_query_is_told_by_its_bytes(),
    );
    recordings.add("a_minute_that_takes_a_minute", a_minute_that_takes_a_minute());
    recordings.add("refreshes_that_fail_lose_nothing", refreshes_that_fail_lose_nothing());
    recordings.add(
        "a_recording_that_is_ended_keeps_what_is_there",
        a_recording_that_is_ended_keeps_what_is_there(),
    );
    recordings.add("a_limit_ends_a_recording", a_limit_ends_a_recording());
    recordings.add(
        "now_is_where_a_recording_begins_unless_wished_otherwise",
        now_is_where_a_recording_begins_unless_wished_otherwise(),
    );
    recordings.add("a_lost_segment_is_named", a_lost_segment_is_named());
    recordings.add("a_window_that_slid_away_is_named", a_window_that_slid_away_is_named());
    recordings.add("numbers_that_begin_anew_end_nothing", numbers_that_begin_anew_end_nothing());
    recordings.add(
        "a_stream_that_ends_before_anything_came_is_an_error",
        a_stream_that_ends_before_anything_came_is_an_error(),
    );
}
