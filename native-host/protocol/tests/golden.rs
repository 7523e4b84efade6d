//! The exact JSON of every type on the wire. Each golden file is read into its type and written back; both
//! directions must agree, so a renamed field, a changed default or a lost `skip` fails here.

#![allow(clippy::unwrap_used, clippy::expect_used)]

use std::path::Path;

use serde::{Serialize, de::DeserializeOwned};
use weir_protocol::{
    ClientMessage, Download, DownloadDetail, DownloadPatch, Endpoint, ErrorBody, Event, Health, Meta,
    MetaRequest, MoveDownload, NativeRequest, NativeResponse, NewDownload, Ranges, SessionRequest, Settings,
    SettingsPatch, Ticket,
};

/// A golden file holds an array of examples; every one must survive the round trip unchanged.
fn check<T: Serialize + DeserializeOwned>(name: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden").join(name);
    let text = std::fs::read_to_string(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
    let examples: Vec<serde_json::Value> = serde_json::from_str(&text).unwrap();
    assert!(!examples.is_empty(), "{name} has no example");
    for example in examples {
        let typed: T =
            serde_json::from_value(example.clone()).unwrap_or_else(|e| panic!("{name}: {e}\n{example}"));
        assert_eq!(serde_json::to_value(&typed).unwrap(), example, "{name}");
    }
}

macro_rules! golden {
    ($($test:ident: $type:ty;)*) => {
        $(#[test] fn $test() { check::<$type>(concat!(stringify!($test), ".json")); })*
        #[test]
        fn every_golden_file_is_checked() {
            let mut known: Vec<String> = vec![$(concat!(stringify!($test), ".json").to_owned()),*];
            let mut found: Vec<String> = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden"))
                .unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
            known.sort();
            found.sort();
            assert_eq!(known, found);
        }
    };
}

golden! {
    download: Download;
    download_detail: DownloadDetail;
    new_download: NewDownload;
    download_patch: DownloadPatch;
    move_download: MoveDownload;
    ranges: Ranges;
    settings: Settings;
    settings_patch: SettingsPatch;
    error: ErrorBody;
    event: Event;
    client_message: ClientMessage;
    meta: Meta;
    meta_request: MetaRequest;
    native_request: NativeRequest;
    native_response: NativeResponse;
    endpoint: Endpoint;
    health: Health;
    ticket: Ticket;
    session_request: SessionRequest;
}

#[test]
fn a_progress_frame_stays_small() {
    let event = Event::Progress(weir_protocol::Progress {
        id: 9_999_999,
        progress: 45.6,
        speed: Some(125_000_000),
        eta: Some(86_400),
        received_bytes: Some(20_000_000_000),
        recorded_s: None,
        done: false,
    });
    let json = serde_json::to_string(&event).unwrap();
    assert!(json.len() <= 150, "{} bytes: {json}", json.len());
}

#[test]
fn a_misspelt_field_is_refused_rather_than_ignored() {
    for body in [r#"{"url":"http://h/","file_name":"x"}"#, r#"{"url":"http://h/","mirror":[]}"#] {
        assert!(serde_json::from_str::<NewDownload>(body).is_err(), "{body}");
    }
}

#[test]
fn an_action_from_a_newer_daemon_does_not_lose_the_frame() {
    let frame = r#"{"type":"error","id":1,"error":"x","code":"y","action":"sing_a_song"}"#;
    let Event::Error { action, .. } = serde_json::from_str(frame).unwrap() else {
        panic!("not an error frame")
    };
    assert_eq!(action, Some(weir_protocol::Action::Unknown));
}

#[test]
fn secrets_do_not_reach_debug_output() {
    let endpoint = Endpoint { url: "u".into(), port: 1, token: "SECRET".into(), pid: 2, version: "v".into() };
    let hello =
        NativeResponse::Hello { version: "v".into(), protocol: 1, url: "u".into(), token: "SECRET".into() };
    assert!(!format!("{endpoint:?}{hello:?}").contains("SECRET"));
    let text =
        std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/new_download.json"));
    let new: Vec<NewDownload> = serde_json::from_str(&text.unwrap()).unwrap();
    let shown = format!("{new:?}");
    for secret in ["S3CRET", "a=1; b=2", "sig="] {
        assert!(!shown.contains(secret), "{shown}");
    }
    let patch = DownloadPatch { url: Some("http://h/f?sig=S3CRET".into()), ..DownloadPatch::default() };
    assert!(!format!("{patch:?}").contains("S3CRET"));
    let patch = SettingsPatch { proxy: Some(Some("http://u:S3CRET@p".into())), ..SettingsPatch::default() };
    assert!(!format!("{patch:?}").contains("S3CRET"));
}

#[test]
fn null_is_not_the_same_as_absent() {
    let patch: DownloadPatch = serde_json::from_str(r#"{"start_at":null}"#).unwrap();
    assert_eq!((patch.start_at, patch.category), (Some(None), None));
    let patch: SettingsPatch = serde_json::from_str(r#"{"rate_limit":null}"#).unwrap();
    assert_eq!((patch.rate_limit, patch.max_active), (Some(None), None));
}
