//! Live DASH.

use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use weir_engine::Kind;

use super::super::kitchen::made;
use super::super::support::{Reply, Request, Server, names};
use super::stage::{Stage, record};
use super::{FILM, without_hole};

pub(crate) fn minute() -> PathBuf {
    made("minute of DASH", "0-1.m4s to 1-60.m4s", |k| {
        let film = k.film(FILM);
        k.ffmpeg(&[
            "-i",
            &film,
            "-c",
            "copy",
            "-f",
            "dash",
            "-seg_duration",
            "1",
            "-use_timeline",
            "1",
            "-init_seg_name",
            "i$RepresentationID$.m4s",
            "-media_seg_name",
            "$RepresentationID$-$Number$.m4s",
            "all.mpd",
        ]);
    })
}

/// `2026-11-21T10:00:00.000Z` so long before now.
fn date(before: Duration) -> String {
    let moment = SystemTime::now() - before;
    let date = httpdate::fmt_http_date(moment);
    // Sat, 21 Nov 2026 10:00:00 GMT
    let fields: Vec<&str> = date.split([' ', ':']).collect();
    let months = "JanFebMarAprMayJunJulAugSepOctNovDec";
    let month = months.find(fields[2]).unwrap() / 3 + 1;
    let part = moment.duration_since(SystemTime::UNIX_EPOCH).unwrap().subsec_millis();
    format!("{}-{month:02}-{}T{}:{}:{}.{part:03}Z", fields[3], fields[1], fields[4], fields[5], fields[6])
}

/// The `S` elements of a track as ffmpeg wrote them, one for each segment: time and duration.
fn timeline(text: &str, track: usize) -> (u64, Vec<(u64, u64)>) {
    let set = text.split("<SegmentTemplate").nth(track + 1).unwrap();
    let number = |text: &str, name: &str| -> Option<u64> {
        text.split(&format!(" {name}=\"")).nth(1)?.split('"').next()?.parse().ok()
    };
    let scale = number(set, "timescale").unwrap();
    let (mut at, mut out) = (0, Vec::new());
    for element in set.split("</SegmentTimeline>").next().unwrap().split("<S ").skip(1) {
        let element = format!(" {element}");
        at = number(&element, "t").unwrap_or(at);
        let duration = number(&element, "d").unwrap();
        for _ in 0..=number(&element, "r").unwrap_or(0) {
            out.push((at, duration));
            at += duration;
        }
    }
    (scale, out)
}

const SETS: [&str; 2] = [
    "contentType=\"video\"><Representation id=\"0\" mimeType=\"video/mp4\" codecs=\"avc1.42c00a\" bandwidth=\"150000\" width=\"160\" height=\"90\">",
    "contentType=\"audio\"><Representation id=\"1\" mimeType=\"audio/mp4\" codecs=\"mp4a.40.2\" bandwidth=\"50000\" audioSamplingRate=\"44100\">",
];

/// The manifest when so many segments have appeared. With a timeline it names them one by one; with numbers the clock tells.
fn manifest(
    stage: &Stage,
    started: &str,
    named: std::ops::Range<usize>,
    ended: bool,
    numbers: bool,
) -> String {
    let text = std::fs::read_to_string(stage.folder.join("all.mpd")).unwrap();
    let head = if ended && !numbers {
        "type=\"static\" mediaPresentationDuration=\"PT60S\"".to_owned()
    } else if ended {
        format!("type=\"dynamic\" availabilityStartTime=\"{started}\" mediaPresentationDuration=\"PT60S\"")
    } else {
        let depth = stage.window;
        format!(
            "type=\"dynamic\" availabilityStartTime=\"{started}\" minimumUpdatePeriod=\"PT0.5S\" timeShiftBufferDepth=\"PT{depth}S\""
        )
    };
    let mut out = format!(
        "<?xml version=\"1.0\"?>\n<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\" profiles=\"urn:mpeg:dash:profile:isoff-live:2011\" minBufferTime=\"PT1S\" publishTime=\"{}\" {head}><Period id=\"p\" start=\"PT0S\">",
        date(Duration::ZERO)
    );
    for (track, set) in SETS.iter().enumerate() {
        let (scale, segments) = timeline(&text, track);
        out.push_str(&format!("<AdaptationSet {set}<SegmentTemplate timescale=\"{scale}\" initialization=\"i$RepresentationID$.m4s\" media=\"$RepresentationID$-$Number$.m4s\""));
        if numbers {
            out.push_str(&format!(" startNumber=\"1\" duration=\"{scale}\"/>"));
        } else {
            out.push_str(&format!(" startNumber=\"{}\"><SegmentTimeline>", named.start + 1));
            for (time, duration) in &segments[named.clone()] {
                out.push_str(&format!("<S t=\"{time}\" d=\"{duration}\"/>"));
            }
            out.push_str("</SegmentTimeline></SegmentTemplate>");
        }
        out.push_str("</Representation></AdaptationSet>");
    }
    out + "</Period></MPD>"
}

fn segment(stage: &Stage, request: &Request) -> Reply {
    let name = request.path.trim_start_matches('/').split('.').next().unwrap();
    match name.split_once('-').and_then(|(_, number)| number.parse::<usize>().ok()) {
        Some(number) => stage.segment(request, number - 1),
        None => super::super::serving::folder(&stage.folder, request),
    }
}

fn mpd(text: String) -> Reply {
    Reply::new(200, text).header("content-type", "application/dash+xml")
}

async fn a_timeline_that_grows_while_the_window_slides() {
    // All that is named has been there for long; only what is named grows.
    let stage = Stage::new(minute(), Duration::from_millis(250));
    let started = date(Duration::from_secs(600));
    let server = Server::start(move |request| match request.path.as_str() {
        "/live.mpd" => {
            let there = stage.there();
            let ended = there == stage.total;
            mpd(manifest(&stage, &started, stage.named(there), ended, false))
        }
        _ => segment(&stage, request),
    })
    .await;
    let recording = record(&server, "/live.mpd", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    assert_eq!((finished.kind, finished.lacks.as_deref()), (Kind::Dash, None));
    assert!(recording.seen.live, "was never called live");
    assert_eq!(without_hole(&finished.path), (0, 600));
    assert_eq!(names(recording.out.path()), ["recording.mp4"]);
}

async fn numbers_by_the_clock() {
    // Forty seconds have passed; the rest comes as it does in life, up to the 60th.
    let second = Duration::from_secs(1);
    let stage = Stage { before: 45, window: 40, ..Stage::new(minute(), second) };
    let started = date(second * 45);
    let server = Server::start(move |request| match request.path.as_str() {
        "/live.mpd" => mpd(manifest(&stage, &started, 0..60, stage.there() == 60, true)),
        _ => segment(&stage, request),
    })
    .await;
    let recording = record(&server, "/live.mpd", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    assert_eq!(finished.lacks, None);
    let (first, end) = without_hole(&finished.path);
    assert!((30..=90).contains(&first) && end == 600, "{first} to {end}");
}

async fn refreshes_that_fail_lose_nothing() {
    let stage = Stage { window: 16, ..Stage::new(minute(), Duration::from_millis(250)) };
    let started = date(Duration::from_secs(600));
    let server = Server::start(move |request| {
        if request.path != "/live.mpd" {
            return segment(&stage, request);
        }
        let there = stage.there();
        let whole =
            |there: usize| manifest(&stage, &started, stage.named(there), there == stage.total, false);
        match stage.count() % 6 {
            1 => Reply::new(503, ""),
            2 => mpd(whole(there).replace("</AdaptationSet></Period></MPD>", "")),
            3 => mpd(whole(there.saturating_sub(3).max(3))),
            4 => Reply::new(200, "<html>busy</html>"),
            _ => mpd(whole(there)),
        }
    })
    .await;
    let recording = record(&server, "/live.mpd", |_| {}, None).await;
    let finished = recording.outcome.unwrap();
    assert_eq!(finished.lacks, None);
    assert_eq!(without_hole(&finished.path), (0, 600));
}

async fn a_recording_that_is_ended_keeps_what_is_there() {
    let stage = Stage::new(minute(), Duration::from_millis(250));
    let started = date(Duration::from_secs(600));
    let server = Server::start(move |request| match request.path.as_str() {
        "/live.mpd" => mpd(manifest(&stage, &started, stage.named(stage.there()), false, false)),
        _ => segment(&stage, request),
    })
    .await;
    let recording = record(&server, "/live.mpd", |_| {}, Some(Duration::from_secs(4))).await;
    let finished = recording.outcome.unwrap();
    let (first, end) = without_hole(&finished.path);
    assert!(first == 0 && (100..=220).contains(&end), "{first} to {end}");
}

/// Starts every recording at the same time: most of what they do is wait for the clock.
pub(crate) fn all(recordings: &mut super::Recordings) {
    recordings.add(
        "a_timeline_that_grows_while_the_window_slides",
        a_timeline_that_grows_while_the_window_slides(),
    );
    recordings.add("numbers_by_the_clock", numbers_by_the_clock());
    recordings.add("refreshes_that_fail_lose_nothing", refreshes_that_fail_lose_nothing());
    recordings.add(
        "a_recording_that_is_ended_keeps_what_is_there",
        a_recording_that_is_ended_keeps_what_is_there(),
    );
}
