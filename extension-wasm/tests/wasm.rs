//! What exists only in JavaScript's shape: details objects, stored objects, frames. Runs under Node.
#![cfg(target_arch = "wasm32")]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::collections::BTreeMap;

use js_sys::{JSON, Object, Reflect};
use wasm_bindgen::prelude::*;
use wasm_bindgen_test::wasm_bindgen_test;
use weir_extension::ledger::{KEPT_FINISHED, Ledger};
use weir_extension::messages::HostState;
use weir_extension::registry::{Hit, Outcome, Reading, Registry};
use weir_extension::request::{Answer, Context, Details};
use weir_extension::stream::{Stream, TabStreams};
use weir_extension::{host, storage};
use weir_media::classify::{Initiator, What, classify};
use weir_protocol::{
    Action, Download, DownloadKind, DownloadStatus, Event, NativeResponse, PROTOCOL_VERSION, Progress,
    Variant,
};

fn js(json: &str) -> JsValue {
    JSON::parse(json).unwrap()
}

fn details(json: &str) -> Details {
    js(json).unchecked_into()
}

/// As `webRequest.onResponseStarted` gives them.
fn response(kind: &str, url: &str, headers: &str) -> Details {
    details(&format!(
        r#"{{"requestId":"7","url":"{url}","method":"GET","type":"{kind}","tabId":3,"frameId":0,"statusCode":200,
        "initiator":"https://a.test","documentId":"D","responseHeaders":[{headers}]}}"#
    ))
}

#[wasm_bindgen_test]
fn an_answer_is_read_whatever_the_case_of_its_headers() {
    let headers = r#"{"name":"CONTENT-TYPE","value":"Video/MP4; x=1"},{"name":"Server","value":"x"},
        {"name":"content-length","value":" 70000 "},{"name":"Content-Disposition","value":"inline; filename=\"a b.mp4\""}"#;
    let answer = Answer::read(&response("media", "https://a.test/x?y", headers)).unwrap();
    assert_eq!(answer.initiator, Initiator::Element);
    assert_eq!(answer.essence().as_deref(), Some("video/mp4"));
    assert_eq!(answer.total_bytes(), Some(70_000));
    assert_eq!(answer.file_name().as_deref(), Some("a b.mp4"));
    assert_eq!(classify(&answer.response()), What::Media);
}

#[wasm_bindgen_test]
fn a_length_of_compressed_bytes_is_no_size() {
    let headers = r#"{"name":"Content-Type","value":"application/zip"},{"name":"Content-Length","value":"9"},
        {"name":"Content-Encoding","value":"br"}"#;
    let answer = Answer::read(&response("main_frame", "https://a.test/a.zip", headers)).unwrap();
    assert_eq!(answer.total_bytes(), None);
    let part = r#"{"name":"Content-Range","value":"bytes 0-9/90000"}"#;
    let answer = Answer::read(&response("media", "https://a.test/a.mp4", part)).unwrap();
    assert_eq!(answer.total_bytes(), Some(90_000));
}

#[wasm_bindgen_test]
fn what_can_be_no_download_is_not_read() {
    let good = response("xmlhttprequest", "https://a.test/a.m3u8", "");
    assert!(Answer::read(&good).is_some());
    for (key, value) in [
        ("method", JsValue::from("POST")),
        ("statusCode", 404.into()),
        ("statusCode", 204.into()),
        ("statusCode", 302.into()),
        ("type", "image".into()),
        ("initiator", "chrome-extension://ljphibfajlfhggimfakdofbkblhihipa".into()),
    ] {
        let bad = response("xmlhttprequest", "https://a.test/a.m3u8", "");
        Reflect::set(&bad, &key.into(), &value).unwrap();
        assert!(Answer::read(&bad).is_none(), "{key}");
    }
}

#[wasm_bindgen_test]
fn states_of_the_host_are_read_as_they_are_written() {
    let failed = |action| HostState::Failed { code: "c".to_owned(), message: "m".to_owned(), action };
    for state in [
        HostState::Ready { url: "u".to_owned(), token: "t".to_owned(), version: "v".to_owned() },
        HostState::Missing,
        HostState::Forbidden,
        HostState::Crashed,
        HostState::VersionMismatch { host: "1".to_owned(), extension: "2".to_owned() },
        failed(Some(Action::InstallYtDlp)),
        failed(None),
    ] {
        let written = storage::to_js(&state).unwrap();
        assert!(
            HostState::read(&written) == Some(state),
            "{}",
            String::from(JSON::stringify(&written).unwrap())
        );
    }
    for other in ["{}", "null", r#"{"state":"else"}"#, r#"{"state":"ready","url":"u"}"#] {
        assert!(HostState::read(&js(other)).is_none(), "{other}");
    }
}

#[wasm_bindgen_test]
fn the_request_is_taken_as_it_was_sent() {
    let sent = details(
        r#"{"requestId":"7","url":"https://a.test/","requestHeaders":[{"name":"User-Agent","value":"B/1"},
        {"name":"Cookie","value":"s=1"},{"name":"Referer","value":"https://a.test/p"},{"name":"Range","value":"bytes=0-"},
        {"name":"X-Binary","binaryValue":[1]}]}"#,
    );
    let context = Context::sent(&sent);
    assert_eq!(context.cookies.as_deref(), Some("s=1"));
    assert_eq!(context.referer.as_deref(), Some("https://a.test/p"));
    assert_eq!(context.headers, BTreeMap::from([("User-Agent".to_owned(), "B/1".to_owned())]));
    // Without the right to see them there are none.
    assert_eq!(Context::sent(&details(r#"{"requestId":"7"}"#)), Context::default());
}

fn full_stream() -> Stream {
    Stream {
        id: "s7".to_owned(),
        kind: DownloadKind::Hls,
        url: "https://a.test/m.m3u8".to_owned(),
        name: "A talk".to_owned(),
        page_url: "https://a.test/".to_owned(),
        title: Some("A talk".to_owned()),
        referer: Some("https://a.test/r".to_owned()),
        cookies: Some("s=1".to_owned()),
        headers: BTreeMap::from([("User-Agent".to_owned(), "B/1".to_owned())]),
        content_type: Some("application/x-mpegurl".to_owned()),
        total_bytes: Some((1 << 53) - 1),
        duration_ms: Some(61_000),
        live: true,
        protected: true,
        variants: vec![Variant {
            id: "1080p".to_owned(),
            label: "1080p60".to_owned(),
            width: Some(1920),
            height: Some(1080),
            frame_rate: Some(59.94),
            bandwidth: Some(5_000_000),
            codecs: Some("avc1.640028".to_owned()),
            estimated_bytes: Some(38_000_000),
        }],
    }
}

#[wasm_bindgen_test]
fn stored_streams_come_back_as_they_were() {
    let bare = Stream {
        kind: DownloadKind::File,
        title: None,
        referer: None,
        cookies: None,
        headers: BTreeMap::new(),
        content_type: None,
        total_bytes: None,
        duration_ms: None,
        live: false,
        protected: false,
        variants: Vec::new(),
        ..full_stream()
    };
    let tab = TabStreams {
        page_url: "https://a.test/".to_owned(),
        page_title: Some("A talk".to_owned()),
        streams: vec![full_stream(), bare],
    };
    let stored = storage::to_js(&tab).unwrap();
    assert_eq!(storage::read::tab_streams(&stored), Some(tab.clone()));
    // And as whoever reads the JSON of it finds them.
    let json = String::from(JSON::stringify(&stored).unwrap());
    assert_eq!(serde_json::from_str::<TabStreams>(&json).unwrap(), tab);
    assert_eq!(storage::read::tab_streams(&js("{}")), None);
}

#[wasm_bindgen_test]
fn a_killed_worker_finds_its_tabs_again() {
    let mut registry = Registry::default();
    registry.navigated(3, "https://a.test/", Some("D"));
    let hit = |url: &str, what| Hit {
        what,
        url: url.to_owned(),
        final_url: url.to_owned(),
        initiator: Initiator::Script,
        document: Some("D".to_owned()),
        file_name: Some("x.m3u8".to_owned()),
        content_type: None,
        total_bytes: None,
        context: Context::default(),
    };
    let Outcome::Added(id) = registry.hit(3, hit("https://a.test/m.m3u8", What::Hls)) else {
        panic!("not added")
    };
    registry.hit(3, hit("https://a.test/d/x.mpd", What::ForeignManifest));
    let reading = Reading {
        playlists: vec!["https://a.test/low.m3u8".to_owned()],
        shapes: vec!["https://a.test/a0.mp4".to_owned()],
        ..Reading::default()
    };
    registry.read(3, &id, Some(reading));
    registry.hit(3, hit("https://a.test/low.m3u8", What::Hls));
    registry.hit(3, hit("https://a.test/other.m3u8", What::Hls));

    let tab = registry.tab(3).unwrap();
    let stored = Object::new();
    Reflect::set(&stored, &"tab:3".into(), &storage::to_js(&tab.shown).unwrap()).unwrap();
    Reflect::set(&stored, &"notes:3".into(), &storage::to_js(&tab.notes).unwrap()).unwrap();
    Reflect::set(&stored, &"tab:x".into(), &JsValue::NULL).unwrap();
    Reflect::set(&stored, &"host".into(), &js(r#"{"state":"missing"}"#)).unwrap();
    let tabs = storage::tabs(&stored);
    assert_eq!(tabs.len(), 1);
    assert_eq!((tabs[0].0, &tabs[0].1), (3, tab));
}

#[wasm_bindgen_test]
fn the_hosts_frames_are_read_as_they_are_written() {
    for answer in [
        NativeResponse::Hello {
            version: "0.1.0".to_owned(),
            protocol: PROTOCOL_VERSION,
            url: "http://127.0.0.1:8765".to_owned(),
            token: "secret".to_owned(),
        },
        NativeResponse::Error {
            code: "port_busy".to_owned(),
            message: "Taken.".to_owned(),
            action: Some(Action::Retry),
        },
        NativeResponse::Error { code: "internal".to_owned(), message: "Oh.".to_owned(), action: None },
    ] {
        let frame = storage::to_js(&answer).unwrap();
        assert!(host::read_answer(&frame) == Some(answer));
    }
    for odd in ["{}", "[]", "1", r#"{"type":"hello"}"#, r#"{"type":"hello","version":1,"protocol":"x"}"#] {
        assert!(host::read_answer(&js(odd)).is_none(), "{odd}");
    }
}

fn download(id: i64, status: DownloadStatus) -> Download {
    Download {
        id,
        kind: DownloadKind::File,
        url: "https://a.test/a".to_owned(),
        page_url: None,
        title: None,
        filename: "a".to_owned(),
        path: "/a".to_owned(),
        status,
        progress: 0.0,
        received_bytes: 0,
        total_bytes: None,
        speed: 0,
        eta: None,
        connections: 0,
        quality: None,
        priority: 0,
        position: 0,
        start_at: None,
        rate_limit: None,
        category: None,
        live: false,
        recorded_s: None,
        lacks: None,
        sha256: None,
        openable: true,
        error: None,
        created_at: "2026-11-21T10:00:00Z".to_owned(),
        finished_at: None,
    }
}

fn snapshot(downloads: Vec<Download>, more: bool) -> Event {
    Event::Snapshot { downloads, version: "0.1.0".to_owned(), more }
}

fn apply(ledger: &mut Ledger, event: &Event) {
    ledger.apply(&storage::to_js(event).unwrap());
}

fn kept(ledger: &Ledger) -> Vec<Download> {
    serde_wasm_bindgen::from_value(ledger.kept().into()).unwrap()
}

#[wasm_bindgen_test]
fn the_ledger_follows_the_daemons_frames() {
    use DownloadStatus::{Completed, Downloading, Error, Paused, Queued};
    let mut ledger = Ledger::new();
    apply(&mut ledger, &snapshot(vec![download(3, Downloading)], true));
    apply(&mut ledger, &snapshot(vec![download(2, Paused), download(1, Error)], false));
    assert_eq!(kept(&ledger).iter().map(|row| row.id).collect::<Vec<_>>(), [3, 2, 1]);
    assert!(ledger.is_active());

    apply(&mut ledger, &Event::Download { download: Box::new(download(4, Queued)) });
    let progress = Progress {
        id: 3,
        progress: 45.5,
        speed: Some(7),
        eta: Some(9),
        received_bytes: Some(1 << 40),
        recorded_s: Some(11),
        done: false,
    };
    apply(&mut ledger, &Event::Progress(progress));
    let rows = kept(&ledger);
    assert_eq!(rows.iter().map(|row| row.id).collect::<Vec<_>>(), [4, 3, 2, 1]);
    assert_eq!(
        rows[1],
        Download {
            progress: 45.5,
            speed: 7,
            eta: Some(9),
            received_bytes: 1 << 40,
            recorded_s: Some(11),
            ..download(3, Downloading)
        }
    );

    apply(
        &mut ledger,
        &Event::Progress(Progress { id: 3, progress: 100.0, done: true, ..Progress::default() }),
    );
    assert_eq!(kept(&ledger)[1].status, Completed);
    apply(&mut ledger, &Event::Removed { id: 4 });
    assert!(!ledger.is_active(), "paused and failed ones wait for somebody");
    apply(&mut ledger, &Event::Progress(Progress { id: 99, ..Progress::default() }));
    for odd in [r#"{"type":"later"}"#, "7", "null", r#"{"type":"progress","id":"x"}"#] {
        ledger.apply(&js(odd));
    }
    assert_eq!(kept(&ledger).len(), 3);
    apply(&mut ledger, &snapshot(Vec::new(), false));
    assert!(kept(&ledger).is_empty());
}

#[wasm_bindgen_test]
fn a_snapshot_cut_off_does_not_linger() {
    let mut ledger = Ledger::new();
    apply(&mut ledger, &snapshot(vec![download(1, DownloadStatus::Downloading)], true));
    ledger.begin_anew();
    assert!(ledger.is_active(), "known until the new connection says otherwise");
    apply(&mut ledger, &snapshot(vec![download(2, DownloadStatus::Queued)], false));
    assert_eq!(kept(&ledger).iter().map(|row| row.id).collect::<Vec<_>>(), [2]);
    ledger.apply(&js(r#"{"type":"error","id":2,"error":"x","code":"timeout","action":"retry"}"#));
    assert!(ledger.is_active(), "the row says itself how it stands");
    ledger.apply(&js(r#"{"type":"error","code":"daemon_unavailable","message":"x","action":null}"#));
    assert!(!ledger.is_active(), "a daemon stopped on purpose is not waited for");
}

#[wasm_bindgen_test]
fn whatever_is_unfinished_is_kept_and_a_few_of_the_others() {
    let mut rows: Vec<_> = (0..100).rev().map(|id| download(id, DownloadStatus::Completed)).collect();
    rows.push(download(-1, DownloadStatus::Paused));
    rows.push(download(-2, DownloadStatus::Error));
    let mut ledger = Ledger::new();
    apply(&mut ledger, &snapshot(rows, false));
    let newest = (100 - KEPT_FINISHED as i64)..100;
    let ids: Vec<i64> = kept(&ledger).iter().map(|row| row.id).collect();
    assert_eq!(ids, newest.rev().chain([-1, -2]).collect::<Vec<_>>());
    let stored: JsValue = ledger.kept().into();
    assert!(!Ledger::from(&stored).is_active());
    assert!(!Ledger::from(&JsValue::UNDEFINED).is_active());
}
