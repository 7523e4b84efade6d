//! Settings that change while the daemon runs, categories by rule, and what a download may bring along: mirrors, logins,
//! proxies, checksums. Through the real daemon.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use support::{Daemon, FileServer, eventually, make_hls, noise, sha256};

fn settings(daemon: &Daemon, body: &Value) -> Value {
    let answer = daemon.call("PATCH", "/settings", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

/// A server that answers every request with what `answer` makes of it.
struct Answering {
    port: u16,
    runtime: Option<tokio::runtime::Runtime>,
}

impl Answering {
    fn start(answer: impl Fn(&Request) -> Response + Clone + Send + Sync + 'static) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = axum::Router::new().fallback(move |request: Request| {
            let answer = answer(&request);
            async move { answer }
        });
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { port, runtime: Some(runtime) }
    }

    fn url(&self, path: &str) -> String {
        format!("http://127.0.0.1:{}/{path}", self.port)
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

#[test]
fn settings_are_shown_changed_live_and_kept_in_the_file() {
    let file = "# Mine.\nmax_active = 2 # two\nretries = 0\nproxy = \"http://user:S3CRET@127.0.0.1:9\"\n";
    let mut daemon = Daemon::start_with(file);
    let path = daemon.dir.path().join("weir/config.toml");
    let shown = daemon.call("GET", "/settings", "");
    assert_eq!(shown.status, 200);
    assert!(!shown.body.contains("S3CRET") && !shown.body.contains("user"), "{}", shown.body);
    let shown = shown.json();
    assert_eq!((&shown["max_active"], &shown["proxy"]), (&json!(2), &json!("http://127.0.0.1:9")));
    assert_eq!((&shown["port"], &shown["auto_retries"]), (&json!(daemon.port), &json!(4)));
    assert_eq!(shown["download_dir"], daemon.downloads().to_str().unwrap());

    let after = settings(&daemon, &json!({ "max_active": 5, "proxy": "http://127.0.0.1:9" }));
    assert_eq!(after["max_active"], 5);
    let text = std::fs::read_to_string(&path).unwrap();
    assert_eq!(
        text,
        file.replace("max_active = 2", "max_active = 5"),
        "sent back as shown, a proxy keeps its login"
    );

    for (body, status, code) in [
        (json!({ "max_active": 0 }), 400, "bad_request"),
        (json!({ "max_active": "x" }), 400, "bad_request"),
        (json!({ "colour": "red" }), 400, "bad_request"),
        (json!({ "port": 1 }), 400, "bad_request"),
        (json!({ "proxy": "ftp://u:S3CRET@h" }), 400, "bad_request"),
        (json!({ "rate_limit": u64::MAX }), 400, "bad_request"),
        (json!({ "quiet_hours": [{ "from": "1:00", "to": "2:00" }] }), 400, "bad_request"),
        (
            json!({ "quiet_hours": [{ "from": "1:00", "to": "2:00", "pause": true, "days": ["noday"] }] }),
            400,
            "bad_request",
        ),
        (json!({ "category": [{ "name": "A", "directory": "../out" }] }), 400, "bad_request"),
        (json!({ "category": [{ "name": "A" }, { "name": "A" }] }), 400, "bad_request"),
        // The environment of these tests sets it.
        (json!({ "download_dir": "/tmp" }), 409, "setting_overridden"),
    ] {
        let answer = daemon.call("PATCH", "/settings", &body.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (status, code), "{body}: {}", answer.body);
        assert!(!answer.body.contains("S3CRET"), "{}", answer.body);
    }
    assert_eq!(std::fs::read_to_string(&path).unwrap(), text, "a refused change changes nothing");
    assert_eq!(daemon.call("GET", "/settings", "").json()["max_active"], 5);

    // The engine goes by the new settings at once.
    let (_dir, server, bytes) = site();
    let through = daemon.add(&json!({ "url": server.url("data.bin") }));
    let row = eventually("the proxy's failure", || {
        let row = daemon.row(through);
        row["error"].is_object().then_some(row)
    });
    assert_eq!(row["error"]["code"], "proxy_failed", "{row}");
    assert_eq!(settings(&daemon, &json!({ "proxy": null, "max_active": null }))["max_active"], 3);
    assert_eq!(daemon.call("POST", &format!("/download/{through}/retry"), "").status, 200);
    assert_eq!(daemon.wait_for(through, &["completed"])["sha256"], sha256(&bytes));

    // And so does the next start.
    settings(&daemon, &json!({ "max_per_host": 7 }));
    assert!(daemon.stop().success());
    daemon.launch();
    assert_eq!(daemon.call("GET", "/settings", "").json()["max_per_host"], 7);
    assert!(std::fs::read_to_string(&path).unwrap().contains("# Mine.\n"));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    }
}

fn site() -> (tempfile::TempDir, FileServer, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(300_000, 3);
    for name in ["data.bin", "film.mkv", "paper.pdf"] {
        std::fs::write(dir.path().join(name), &bytes).unwrap();
    }
    let server = FileServer::start(dir.path());
    (dir, server, bytes)
}

#[test]
fn downloads_go_to_the_folder_of_their_category() {
    let rules = json!({ "category": [
        { "name": "Local", "hosts": ["*.localhost"], "directory": "Here" },
        { "name": "Video", "types": ["video/*"], "extensions": ["mkv"], "directory": "Films/New" },
        { "name": "Papers", "extensions": ["pdf"] },
        { "name": "Later", "directory": "Later" },
    ] });
    let daemon = Daemon::start();
    settings(&daemon, &rules);
    let (_dir, server, bytes) = site();
    let folder = |row: &Value| {
        let path = std::path::PathBuf::from(row["path"].as_str().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), bytes, "{row}");
        path.parent().unwrap().strip_prefix(daemon.downloads()).unwrap().to_str().unwrap().to_owned()
    };
    let done = |body: Value| {
        let id = daemon.add(&body);
        daemon.wait_for(id, &["completed"])
    };
    // By the address, before anybody has asked the server.
    let paused = daemon.add(&json!({ "url": server.url("film.mkv"), "paused": true }));
    let row = daemon.row(paused);
    assert_eq!(row["category"], "Video");
    assert!(row["path"].as_str().unwrap().ends_with("Films/New/film.mkv"), "{row}");
    assert_eq!(daemon.call("POST", &format!("/download/{paused}/resume"), "").status, 200);
    assert_eq!(folder(&daemon.wait_for(paused, &["completed"])), "Films/New");
    let row = done(json!({ "url": server.url("paper.pdf") }));
    assert_eq!((row["category"].as_str(), folder(&row).as_str()), (Some("Papers"), ""));
    let row = done(json!({ "url": server.url("data.bin"), "page_url": "http://www.localhost/page" }));
    assert_eq!((row["category"].as_str(), folder(&row).as_str()), (Some("Local"), "Here"));
    let row = done(json!({ "url": server.url("data.bin") }));
    assert_eq!((&row["category"], folder(&row).as_str()), (&Value::Null, ""));

    // By what the server says, small and large.
    for size in [100_000, 3_000_000] {
        let content = noise(size, 5);
        let told = content.clone();
        let server =
            Answering::start(move |_| ([(header::CONTENT_TYPE, "video/webm")], told.clone()).into_response());
        let id = daemon.add(&json!({ "url": server.url("watch?v=1") }));
        let row = daemon.wait_for(id, &["completed"]);
        assert_eq!(row["category"], "Video", "{row}");
        let path = std::path::PathBuf::from(row["path"].as_str().unwrap());
        assert!(path.starts_with(daemon.downloads().join("Films/New")), "{row}");
        assert_eq!(std::fs::read(&path).unwrap(), content);
        assert!(!daemon.downloads().join("watch.webm.part").exists());
    }
    let named: Vec<String> = std::fs::read_dir(daemon.downloads().join("Films/New"))
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.contains(".part"))
        .collect();
    assert!(named.is_empty(), "{named:?}");

    let streams = tempfile::tempdir().unwrap();
    make_hls(streams.path(), 2);
    let stream = FileServer::start(streams.path());
    let id = daemon.add(&json!({ "url": stream.url("master.m3u8"), "title": "A talk" }));
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(row["category"], "Video", "{row}");
    assert!(daemon.downloads().join("Films/New/A talk.mp4").is_file(), "{row}");

    // The user's word wins, also later.
    let row = done(json!({ "url": server.url("film.mkv"), "category": "Later" }));
    assert_eq!((row["category"].as_str(), folder(&row).as_str()), (Some("Later"), "Later"));
    let row = done(json!({ "url": server.url("film.mkv"), "category": "Of my own" }));
    assert_eq!((row["category"].as_str(), folder(&row).as_str()), (Some("Of my own"), ""));
    let row = done(json!({ "url": server.url("film.mkv"), "directory": "Mine" }));
    assert_eq!((row["category"].as_str(), folder(&row).as_str()), (Some("Video"), "Mine"));
    let id = daemon.add(&json!({ "url": server.url("film.mkv"), "paused": true }));
    let patch = |body: &str| daemon.call("PATCH", &format!("/download/{id}"), body);
    assert!(patch(r#"{"category":"Later"}"#).json()["path"].as_str().unwrap().contains("/Later/film"));
    assert_eq!(patch(r#"{"category":null}"#).json()["category"], Value::Null);
    assert_eq!(patch(r#"{"category":"a,b"}"#).status, 400);
    assert_eq!(patch(r#"{"category":"Later"}"#).status, 200);
    assert_eq!(daemon.call("POST", &format!("/download/{id}/resume"), "").status, 200);
    assert_eq!(folder(&daemon.wait_for(id, &["completed"])), "Later");

    let listed = daemon.call("GET", "/list?category=Later,Local", "");
    assert_eq!(listed.header("x-total-count"), Some("3"));
    assert_eq!(daemon.call("GET", "/list?category=later", "").json(), json!([]));
}

#[cfg(unix)]
#[test]
fn a_categorys_folder_that_leads_out_takes_nothing() {
    let daemon = Daemon::start();
    settings(&daemon, &json!({ "category": [{ "name": "Out", "types": ["video/*"], "directory": "out" }] }));
    let outside = tempfile::tempdir().unwrap();
    std::fs::create_dir_all(daemon.downloads()).unwrap();
    std::os::unix::fs::symlink(outside.path(), daemon.downloads().join("out")).unwrap();
    let answer = daemon.call("POST", "/download", r#"{"url":"http://127.0.0.1:1/film.mkv"}"#);
    assert_eq!((answer.status, answer.code().as_str()), (409, "folder_unwritable"));
    let server = Answering::start(|_| ([(header::CONTENT_TYPE, "video/webm")], "film").into_response());
    let id = daemon.add(&json!({ "url": server.url("watch") }));
    let row = daemon.wait_for(id, &["completed"]);
    assert!(row["path"].as_str().unwrap().starts_with(daemon.downloads().to_str().unwrap()), "{row}");
    assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
}

/// Bytes with ranges for whoever brings `authorization`, if one is wanted.
fn guarded(bytes: Vec<u8>, authorization: Option<&'static str>) -> impl Fn(&Request) -> Response + Clone {
    move |request| {
        let said = |headers: &HeaderMap, name| {
            headers.get(name).and_then(|value: &header::HeaderValue| value.to_str().ok()).map(str::to_owned)
        };
        if authorization.is_some()
            && said(request.headers(), header::AUTHORIZATION).as_deref() != authorization
        {
            return (StatusCode::UNAUTHORIZED, [(header::WWW_AUTHENTICATE, "Basic realm=\"x\"")])
                .into_response();
        }
        let total = bytes.len();
        let range = said(request.headers(), header::RANGE).and_then(|range| {
            let (from, to) = range.strip_prefix("bytes=")?.split_once('-')?;
            let to = if to.is_empty() { total } else { to.parse::<usize>().ok()? + 1 };
            Some((from.parse::<usize>().ok()?, to.min(total)))
        });
        match range {
            Some((from, to)) => (
                StatusCode::PARTIAL_CONTENT,
                [
                    (header::CONTENT_RANGE, format!("bytes {from}-{}/{total}", to - 1)),
                    (header::ETAG, "\"1\"".into()),
                ],
                bytes[from..to].to_vec(),
            )
                .into_response(),
            None => {
                ([(header::ACCEPT_RANGES, "bytes"), (header::ETAG, "\"1\"")], bytes.clone()).into_response()
            }
        }
    }
}

#[test]
fn logins_mirrors_proxies_and_checksums_reach_the_engine_and_nobody_else() {
    let daemon = Daemon::start_with("retries = 0\nauto_retries = 0");
    let bytes = noise(3_000_000, 9);
    // user:S3CRET
    let closed = Answering::start(guarded(bytes.clone(), Some("Basic dXNlcjpTM0NSRVQ=")));
    let open = Answering::start(guarded(bytes.clone(), None));
    let hits = Arc::new(AtomicUsize::new(0));
    let heads = Arc::new(Mutex::new(Vec::new()));
    let proxy = {
        let (hits, heads, serve) = (Arc::clone(&hits), Arc::clone(&heads), guarded(bytes.clone(), None));
        Answering::start(move |request: &Request| {
            hits.fetch_add(1, Ordering::Relaxed);
            let known = request.headers().get(header::PROXY_AUTHORIZATION);
            heads.lock().unwrap().push(known.map(|value| value.to_str().unwrap().to_owned()));
            serve(request)
        })
    };
    let whole = |body: Value| {
        let id = daemon.add(&body);
        let row = daemon.wait_for(id, &["completed"]);
        assert_eq!(row["sha256"], sha256(&bytes), "{row}");
        assert!(!row.to_string().contains("S3CRET"), "{row}");
        id
    };
    whole(json!({ "url": closed.url("a"), "username": "user", "password": "S3CRET" }));
    let in_address = closed.url("b").replace("http://", "http://user:S3CRET@");
    whole(json!({ "url": in_address }));
    let wrong = daemon.add(&json!({ "url": closed.url("c"), "username": "user", "password": "wrong" }));
    assert_eq!(daemon.wait_for(wrong, &["error"])["error"]["code"], "login_required");

    let nobody = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let mirrored = json!({
        "url": format!("http://127.0.0.1:{nobody}/f.bin"), "mirrors": [open.url("f.bin?sig=S3CRET")],
        "checksum": format!("sha256:{}", sha256(&bytes)),
    });
    whole(mirrored);
    let address = proxy.url("").replace("http://", "http://user:S3CRET@");
    // No such host: only a proxy can have it.
    whole(json!({ "url": "http://far.invalid/g.bin", "proxy": address.trim_end_matches('/') }));
    assert!(hits.load(Ordering::Relaxed) > 0);
    assert!(heads.lock().unwrap().iter().all(|known| known.as_deref() == Some("Basic dXNlcjpTM0NSRVQ=")));

    for (body, code) in [
        (json!({ "password": "S3CRET" }), "bad_request"),
        (json!({ "proxy": "S3CRET" }), "bad_request"),
        (json!({ "checksum": "sha256:S3CRET" }), "bad_request"),
        (json!({ "mirrors": ["S3CRET"] }), "bad_url"),
        (json!({ "mirrors": vec!["http://h/"; 65] }), "bad_request"),
        (json!({ "start_at": "S3CRET" }), "bad_request"),
        (json!({ "kind": "file", "quality": "1080p" }), "bad_request"),
    ] {
        let mut body = body;
        body["url"] = json!("http://127.0.0.1:1/");
        let answer = daemon.call("POST", "/download", &body.to_string());
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}");
        assert!(!answer.body.contains("S3CRET"), "{}", answer.body);
    }
    let list = daemon.call("GET", "/list?limit=1000", "").body;
    assert!(!list.contains("S3CRET") && !list.contains("sig="), "{list}");

    // A finished download keeps none of it.
    let database = rusqlite::Connection::open(daemon.dir.path().join("weir/weir.db")).unwrap();
    let kept: Vec<String> = database
        .prepare("SELECT request FROM downloads WHERE status = 'completed'")
        .unwrap()
        .query_map([], |row| row.get(0))
        .unwrap()
        .map(Result::unwrap)
        .collect();
    assert!(kept.len() >= 4 && kept.iter().all(|request| !request.contains("S3CRET")), "{kept:?}");
}

#[test]
fn the_ranges_of_a_file_can_be_drawn_while_it_comes_and_while_it_rests() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("data.bin"), noise(8_000_000, 2)).unwrap();
    let server = FileServer::start(dir.path());
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 2_000_000 }));
    let ranges = |id: i64| {
        let answer = daemon.call("GET", &format!("/download/{id}/ranges"), "");
        assert_eq!(answer.status, 200, "{}", answer.body);
        let ranges = answer.json();
        let spans = |name: &str| -> Vec<[u64; 2]> { serde_json::from_value(ranges[name].clone()).unwrap() };
        let (done, active) = (spans("done"), spans("active"));
        for spans in [&done, &active] {
            assert!(spans.iter().all(|[from, to]| from < to), "{ranges}");
            assert!(spans.windows(2).all(|pair| pair[0][1] <= pair[1][0]), "{ranges}");
        }
        (ranges["total_bytes"].as_u64(), done.iter().map(|[from, to]| to - from).sum::<u64>(), active)
    };
    let (total, done, active) =
        eventually("ranges", || Some(ranges(id)).filter(|(_, done, _)| *done > 500_000));
    assert_eq!(total, Some(8_000_000));
    assert!(done < 8_000_000 && !active.is_empty());
    assert_eq!(daemon.call("POST", &format!("/download/{id}/pause"), "").status, 200);
    let row = eventually("the rest", || {
        let row = daemon.row(id);
        let (_, done, active) = ranges(id);
        (active.is_empty() && done == row["received_bytes"].as_u64().unwrap()).then_some(row)
    });
    assert!(row["received_bytes"].as_u64() >= Some(done), "{row}");
    daemon.call("PATCH", &format!("/download/{id}"), r#"{"rate_limit":0}"#);
    assert_eq!(daemon.call("POST", &format!("/download/{id}/resume"), "").status, 200);
    daemon.wait_for(id, &["completed"]);
    assert_eq!(ranges(id), (Some(8_000_000), 8_000_000, Vec::new()));
    assert_eq!(daemon.call("GET", "/download/999/ranges", "").status, 404);
}

#[test]
fn a_cancelled_row_claims_nothing_and_a_row_says_what_may_be_opened() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    for name in ["data.exe", "data.mp4"] {
        std::fs::write(dir.path().join(name), noise(2_000_000, 2)).unwrap();
    }
    let server = FileServer::start(dir.path());
    let id = daemon.add(&json!({ "url": server.url("data.exe"), "rate_limit": 500_000 }));
    eventually("bytes", || (daemon.row(id)["received_bytes"].as_u64() > Some(100_000)).then_some(()));
    assert_eq!(daemon.row(id)["openable"], false);
    let row = daemon.call("POST", &format!("/download/{id}/cancel"), "").json();
    let later = eventually("its end", || Some(daemon.row(id)).filter(|row| row["connections"] == 0));
    for row in [row, later] {
        assert_eq!((&row["progress"], &row["received_bytes"]), (&json!(0.0), &json!(0)), "{row}");
    }
    let id = daemon.add(&json!({ "url": server.url("data.mp4"), "quality": "1080p" }));
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!((&row["openable"], &row["quality"]), (&json!(true), &Value::Null), "a file has no quality");
}

#[test]
fn what_was_cut_off_before_it_had_a_name_is_found_again() {
    let mut daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(4_000_000, 4);
    std::fs::write(dir.path().join("data.bin"), &bytes).unwrap();
    let server = FileServer::start(dir.path());
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 1_000_000 }));
    eventually("bytes", || (daemon.row(id)["received_bytes"].as_u64() > Some(2_500_000)).then_some(()));
    daemon.kill();
    // As if the kill had come between the making of the partial file and the storing of its name.
    let database = rusqlite::Connection::open(daemon.dir.path().join("weir/weir.db")).unwrap();
    let changed = database
        .execute(
            "UPDATE downloads SET settled = 0, status = 'resolving', received_bytes = 0, rate_limit = NULL",
            [],
        )
        .unwrap();
    assert_eq!(changed, 1);
    drop(database);
    daemon.launch();
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(
        (row["sha256"].as_str(), row["filename"].as_str()),
        (Some(sha256(&bytes).as_str()), Some("data.bin"))
    );
    let left: Vec<_> =
        std::fs::read_dir(daemon.downloads()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["data.bin"]);
}
