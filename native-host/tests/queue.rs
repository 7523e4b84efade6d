//! Downloads from `POST /download` to the history, through the real daemon, with every legal and illegal command.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Daemon, FileServer, duration_of, eventually, make_hls, noise, sha256, weir};

/// A site with one file of `megabytes`.
fn site(megabytes: usize) -> (tempfile::TempDir, FileServer, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(megabytes * 1_000_000, 7);
    std::fs::write(dir.path().join("data.bin"), &bytes).unwrap();
    let server = FileServer::start(dir.path());
    (dir, server, bytes)
}

#[test]
fn a_file_arrives_is_verified_and_found_in_the_history() {
    let daemon = Daemon::start();
    let (_dir, server, bytes) = site(5);
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "title": "Some data", "page_url": "http://example.org/page", "directory": "sub/folder" }));
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(row["sha256"], sha256(&bytes));
    assert_eq!(
        (row["progress"].as_f64(), row["received_bytes"].as_u64(), row["total_bytes"].as_u64()),
        (Some(100.0), Some(5_000_000), Some(5_000_000))
    );
    let path = daemon.downloads().join("sub/folder/data.bin");
    assert_eq!(row["path"], path.to_str().unwrap());
    assert_eq!(std::fs::read(&path).unwrap(), bytes);
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1, "no working files are left");

    let found = daemon.call("GET", "/list?q=some%20DATA&status=completed&kind=file", "");
    assert_eq!((found.json()[0]["id"].as_i64(), found.header("x-total-count")), (Some(id), Some("1")));
    assert_eq!(daemon.call("GET", "/list?status=paused", "").json(), json!([]));

    let bearer = format!("Bearer {}", daemon.token);
    let part = daemon.request(
        "GET",
        &format!("/download/{id}/file"),
        &[("Authorization", &bearer), ("Range", "bytes=10-19")],
        "",
    );
    assert_eq!(
        (part.status, part.header("content-length"), part.header("content-range")),
        (206, Some("10"), Some("bytes 10-19/5000000"))
    );
    assert_eq!(part.header("content-disposition"), Some("attachment; filename*=UTF-8''data.bin"));

    // A second one of the same name never replaces the first.
    let second = daemon.add(&json!({ "url": server.url("data.bin"), "directory": "sub/folder" }));
    assert_eq!(daemon.wait_for(second, &["completed"])["filename"], "data (1).bin");

    std::fs::remove_file(&path).unwrap();
    assert_eq!(daemon.call("GET", &format!("/download/{id}/file"), "").code(), "file_missing");
}

#[test]
fn an_hls_stream_arrives_whole() {
    let daemon = Daemon::start();
    let dir = tempfile::tempdir().unwrap();
    make_hls(dir.path(), 6);
    let server = FileServer::start(dir.path());
    let meta = daemon.call("POST", "/meta", &json!({ "url": server.url("master.m3u8") }).to_string()).json();
    assert_eq!((meta["kind"].as_str(), meta["live"].as_bool()), (Some("hls"), Some(false)), "{meta}");
    let labels: Vec<&str> = meta["variants"]
        .as_array()
        .unwrap()
        .iter()
        .map(|variant| variant["label"].as_str().unwrap())
        .collect();
    assert_eq!(labels, ["360p", "180p"]);
    assert!((5900..=6300).contains(&meta["duration_ms"].as_u64().unwrap()), "{meta}");

    let lower = &meta["variants"][1];
    let id =
        daemon.add(&json!({ "url": server.url("master.m3u8"), "title": "A talk", "quality": lower["id"] }));
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(
        (row["kind"].as_str(), row["filename"].as_str(), row["quality"].as_str()),
        (Some("hls"), Some("A talk.mp4"), Some("180p"))
    );
    let duration = duration_of(std::path::Path::new(row["path"].as_str().unwrap()));
    assert!((duration - 6.0).abs() < 0.2, "{duration}");
}

#[test]
fn a_file_can_be_read_while_it_grows() {
    let daemon = Daemon::start();
    let (_dir, server, bytes) = site(4);
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 1_500_000 }));
    eventually("bytes", || (daemon.row(id)["received_bytes"].as_u64() > Some(100_000)).then_some(()));
    let bearer = format!("Bearer {}", daemon.token);
    let part = daemon.request(
        "GET",
        &format!("/download/{id}/file"),
        &[("Authorization", &bearer), ("Range", "bytes=3999990-")],
        "",
    );
    assert_eq!((part.status, part.header("content-range")), (206, Some("bytes 3999990-3999999/4000000")));
    assert_eq!(part.bytes, &bytes[3_999_990..], "it waited for the end");
    let again = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 1_500_000 }));
    eventually("bytes", || (daemon.row(again)["received_bytes"].as_u64() > Some(100_000)).then_some(()));
    let whole = daemon.call("GET", &format!("/download/{again}/file"), "");
    assert_eq!(
        (whole.status, whole.header("content-length"), whole.bytes == bytes),
        (200, Some("4000000"), true)
    );
    let third = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 500_000 }));
    eventually("bytes", || (daemon.row(third)["received_bytes"].as_u64() > Some(100_000)).then_some(()));
    let cut = std::thread::scope(|scope| {
        let reader = scope.spawn(|| daemon.call("GET", &format!("/download/{third}/file"), ""));
        std::thread::sleep(Duration::from_millis(500));
        assert_eq!(daemon.call("POST", &format!("/download/{third}/pause"), "").status, 200);
        reader.join().unwrap()
    });
    assert_eq!(cut.header("content-length"), Some("4000000"));
    assert!(
        cut.bytes.len() < bytes.len() && bytes.starts_with(&cut.bytes),
        "a pause breaks it off, visibly short"
    );
    assert_eq!(daemon.call("GET", &format!("/download/{third}/file"), "").status, 409);
}

#[test]
fn commands_are_legal_or_409() {
    let daemon = Daemon::start();
    let (_dir, server, bytes) = site(4);
    let act = |id: i64, act: &str| daemon.call("POST", &format!("/download/{id}/{act}"), "").status;
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 400_000 }));
    for command in ["pause", "resume", "cancel", "retry", "open", "show"] {
        assert_eq!(act(id + 1, command), 404);
        assert_eq!(act(0, command), 404);
    }
    eventually("bytes", || (daemon.row(id)["received_bytes"].as_u64() > Some(100_000)).then_some(()));
    assert_eq!((act(id, "resume"), act(id, "retry"), act(id, "open")), (409, 409, 409));
    assert_eq!(
        daemon.call("PATCH", &format!("/download/{id}"), r#"{"url":"http://example.org/"}"#).status,
        409
    );
    assert_eq!(daemon.call("PATCH", &format!("/download/{id}"), r#"{"filename":"x"}"#).status, 409);
    assert_eq!(act(id, "pause"), 200);
    assert_eq!((act(id, "pause"), act(id, "retry")), (409, 409));
    let paused = daemon.row(id);
    assert_eq!((paused["status"].as_str(), paused["speed"].as_u64()), (Some("paused"), Some(0)));
    assert!(daemon.downloads().join("data.bin.part").exists(), "pause keeps what has arrived");
    assert_eq!(
        daemon.call("PATCH", &format!("/download/{id}"), r#"{"rate_limit":0,"priority":3}"#).json()["priority"],
        3
    );
    assert_eq!(act(id, "resume"), 200);
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(row["sha256"], sha256(&bytes));
    for command in ["pause", "resume", "cancel", "retry"] {
        assert_eq!(act(id, command), 409, "{command} of a completed one");
    }

    let second =
        daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 400_000, "filename": "other.bin" }));
    eventually("the partial file", || daemon.downloads().join("other.bin.part").exists().then_some(()));
    assert_eq!(act(second, "cancel"), 200);
    assert_eq!(act(second, "cancel"), 409);
    eventually("the partial files to go", || {
        (!daemon.downloads().join("other.bin.part").exists()
            && !daemon.downloads().join("other.bin.part.weir").exists())
        .then_some(())
    });
    assert_eq!(daemon.call("PATCH", &format!("/download/{second}"), r#"{"rate_limit":0}"#).status, 200);
    assert_eq!(act(second, "retry"), 200);
    assert_eq!(daemon.wait_for(second, &["completed"])["sha256"], sha256(&bytes));

    assert_eq!(daemon.call("DELETE", &format!("/download/{second}?files=true"), "").status, 204);
    assert!(!daemon.downloads().join("other.bin").exists());
    assert_eq!(daemon.call("DELETE", &format!("/download/{id}"), "").status, 204);
    assert!(daemon.downloads().join("data.bin").exists(), "only the list forgets it");
    assert_eq!(daemon.call("DELETE", &format!("/download/{id}"), "").status, 404);
    assert_eq!(daemon.call("GET", "/list", "").json(), json!([]));

    let third =
        daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 400_000, "filename": "third.bin" }));
    eventually("the partial file", || daemon.downloads().join("third.bin.part").exists().then_some(()));
    assert_eq!(
        daemon.call("DELETE", &format!("/download/{third}"), "").status,
        204,
        "a running one is cancelled first"
    );
    eventually("the partial file to go", || {
        (!daemon.downloads().join("third.bin.part").exists()).then_some(())
    });
}

#[test]
fn deleting_a_cancelled_row_leaves_another_of_its_name_alone() {
    let daemon = Daemon::start();
    let (_dir, server, bytes) = site(3);
    let body = json!({ "url": server.url("data.bin"), "rate_limit": 1_000_000 });
    let first = daemon.add(&body);
    let part = daemon.downloads().join("data.bin.part");
    eventually("the partial file", || part.exists().then_some(()));
    assert_eq!(daemon.call("POST", &format!("/download/{first}/cancel"), "").status, 200);
    eventually("the partial file to go", || (!part.exists()).then_some(()));
    let second = daemon.add(&body);
    eventually("its own partial file", || part.exists().then_some(()));
    assert_eq!(daemon.call("POST", &format!("/download/{second}/pause"), "").status, 200);
    assert_eq!(daemon.call("DELETE", &format!("/download/{first}"), "").status, 204);
    assert!(part.exists());
    assert_eq!(daemon.call("POST", &format!("/download/{second}/resume"), "").status, 200);
    let row = daemon.wait_for(second, &["completed"]);
    assert_eq!(
        (row["sha256"].as_str(), row["filename"].as_str()),
        (Some(sha256(&bytes).as_str()), Some("data.bin"))
    );
}

#[test]
fn bad_input_is_named_and_nothing_enters_the_list() {
    let daemon = Daemon::start();
    for (body, code) in [
        ("", "bad_request"),
        ("{", "bad_request"),
        ("[]", "bad_request"),
        ("{}", "bad_url"),
        (r#"{"url":""}"#, "bad_url"),
        (r#"{"url":"file:///etc/passwd"}"#, "bad_url"),
        (r#"{"url":"javascript:alert(1)"}"#, "bad_url"),
        (r#"{"url":"ftp://h/f"}"#, "bad_url"),
        (r#"{"url":"http://"}"#, "bad_url"),
        (r#"{"url":"no address"}"#, "bad_url"),
        (r#"{"url":"http://h/","foo":1}"#, "bad_request"),
        (r#"{"url":"http://h/","connections":0}"#, "bad_request"),
        (r#"{"url":"http://h/","connections":33}"#, "bad_request"),
        (r#"{"url":"http://h/","method":"PUT"}"#, "bad_request"),
        (r#"{"url":"http://h/","body":"x"}"#, "bad_request"),
        (r#"{"url":"http://h/","checksum":"sha256:12"}"#, "bad_request"),
        (r#"{"url":"http://h/","kind":"song"}"#, "bad_request"),
        (r#"{"url":"http://h/","directory":"../x"}"#, "bad_request"),
        (r#"{"url":"http://h/","directory":"/etc"}"#, "bad_request"),
        (r#"{"url":"http://h/","headers":{"X":"a\r\nb"}}"#, "bad_request"),
        (r#"{"url":"http://h/","rate_limit":-1}"#, "bad_request"),
        (r#"{"url":"http://h/","rate_limit":9223372036854775808}"#, "bad_request"),
    ] {
        let answer = daemon.call("POST", "/download", body);
        assert_eq!((answer.status, answer.code().as_str()), (400, code), "{body}");
        let message = answer.json()["error"]["message"].as_str().unwrap().to_owned();
        assert!(message.ends_with('.') && message.len() > 10, "{message}");
    }
    for query in
        ["status=done", "kind=x", "sort=size", "limit=0", "limit=1001", "limit=x", "offset=-1", "colour=red"]
    {
        assert_eq!(daemon.call("GET", &format!("/list?{query}"), "").status, 400, "{query}");
    }
    for path in ["/download/x", "/download/1.5", "/download/99999999999999999999", "/download/-1"] {
        assert_eq!(daemon.call("GET", path, "").status, 404, "{path}");
    }
    assert_eq!(daemon.call("GET", "/list", "").json(), json!([]));
}

#[test]
fn failures_are_rows_that_say_what_to_do() {
    let daemon = Daemon::start();
    let (dir, server, _) = site(1);
    let gone = daemon.add(&json!({ "url": server.url("missing.bin") }));
    let row = daemon.wait_for(gone, &["error"]);
    assert_eq!(
        (row["error"]["code"].as_str(), row["error"]["action"].as_str()),
        (Some("gone"), Some("open_page"))
    );
    assert!(row["finished_at"].as_str() >= row["created_at"].as_str(), "when it failed: {row}");
    // Once the server has it, the same row succeeds.
    std::fs::write(dir.path().join("missing.bin"), b"found").unwrap();
    let again = daemon.call("POST", &format!("/download/{gone}/retry"), "");
    assert_eq!((again.status, &again.json()["finished_at"]), (200, &serde_json::Value::Null));
    assert_eq!(daemon.wait_for(gone, &["completed"])["sha256"], sha256(b"found"));

    let own = daemon.add(&json!({ "url": format!("http://localhost:{}/health", daemon.port) }));
    assert_eq!(daemon.wait_for(own, &["error"])["error"]["code"], "own_address");

    let wrong = daemon
        .add(&json!({ "url": server.url("data.bin"), "checksum": format!("sha256:{}", "0".repeat(64)) }));
    assert_eq!(daemon.wait_for(wrong, &["error"])["error"]["code"], "checksum_mismatch");
    assert!(!daemon.downloads().join("data.bin").exists(), "a wrong file gets no final name");
    assert_eq!(daemon.row(wrong)["error"]["action"], "start_over");
    assert_eq!(daemon.call("POST", &format!("/download/{wrong}/retry"), "").json()["received_bytes"], 0);
    assert_eq!(
        daemon.wait_for(wrong, &["error"])["error"]["code"],
        "checksum_mismatch",
        "the server has no other bytes"
    );

    std::fs::write(dir.path().join("page.m3u8"), "<!doctype html><title>Sign in</title>").unwrap();
    let page = daemon.add(&json!({ "url": server.url("page.m3u8") }));
    assert_eq!(daemon.wait_for(page, &["error"])["error"]["code"], "bad_playlist");
}

#[test]
fn names_from_outside_stay_in_the_download_folder() {
    let daemon = Daemon::start();
    let (_dir, server, _) = site(1);
    for name in [
        "../../escape.bin",
        "/tmp/escape.bin",
        "..\\..\\escape.bin",
        "a/../../escape.bin",
        ".",
        "..",
        "con",
        "a\u{202e}gpj.exe",
        &"x".repeat(400),
    ] {
        let id = daemon.add(&json!({ "url": server.url("data.bin"), "filename": name }));
        let row = daemon.wait_for(id, &["completed"]);
        let path = std::path::PathBuf::from(row["path"].as_str().unwrap()).canonicalize().unwrap();
        assert_eq!(path.parent().unwrap(), daemon.downloads().canonicalize().unwrap(), "{name}");
        let given = row["filename"].as_str().unwrap();
        assert!(!given.contains(['/', '\\', '\u{202e}']) && given.len() <= 255, "{given}");
    }
}

#[test]
fn priority_goes_first_and_no_more_run_than_allowed() {
    let daemon = Daemon::start();
    let (_dir, server, _) = site(2);
    let body = |name: &str, priority: i32| json!({ "url": server.url("data.bin"), "filename": name, "priority": priority, "rate_limit": 900_000 });
    let ids: Vec<i64> = (0..7).map(|n| daemon.add(&body(&format!("{n}.bin"), 0))).collect();
    let urgent = daemon.add(&body("urgent.bin", 9));
    let running = || -> Vec<i64> {
        let rows = daemon.call("GET", "/list?status=resolving,downloading,finishing", "").json();
        rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
    };
    assert!(running().len() <= 3);
    daemon.wait_for(urgent, &["completed"]);
    assert_ne!(daemon.row(ids[6])["status"], "completed", "the newest of the others came after it");
    for id in ids {
        assert!(running().len() <= 3);
        daemon.wait_for(id, &["completed"]);
    }
}

/// How many bytes a resumed download has when it is first seen running again.
fn survives(end: impl Fn(&mut Daemon)) {
    let mut daemon = Daemon::start();
    let (_dir, server, bytes) = site(6);
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 1_500_000 }));
    let paused =
        daemon.add(&json!({ "url": server.url("data.bin"), "filename": "later.bin", "paused": true }));
    eventually("a third", || (daemon.row(id)["received_bytes"].as_u64() > Some(3_000_000)).then_some(()));
    end(&mut daemon);
    let started = Instant::now();
    daemon.launch();
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(row["sha256"], sha256(&bytes));
    // What is left takes two seconds at this rate, all of it four.
    assert!(
        started.elapsed() < Duration::from_millis(3500),
        "it did not begin again: {:?}",
        started.elapsed()
    );
    assert_eq!(daemon.row(paused)["status"], "paused", "what was paused stays so");
}

#[test]
fn a_killed_daemon_goes_on_at_its_next_start() {
    survives(Daemon::kill);
}

#[test]
fn a_stopped_daemon_goes_on_at_its_next_start() {
    survives(|daemon| assert!(daemon.stop().success()));
}

#[test]
fn the_command_line_does_what_the_door_does() {
    let daemon = Daemon::start();
    let (_dir, server, bytes) = site(1);
    let json_of = |command: &mut Command| -> Value {
        serde_json::from_slice(&command.stderr(Stdio::inherit()).output().unwrap().stdout).unwrap()
    };
    let home = daemon.dir.path();
    let row =
        json_of(weir(home).args(["add", "--json", "--paused", "-o", "named.bin", &server.url("data.bin")]));
    let id = row["id"].as_i64().unwrap();
    assert_eq!(row["status"], "paused");
    let number = id.to_string();
    assert_eq!(json_of(weir(home).args(["resume", "--json", &number]))["id"], id);
    let done = daemon.wait_for(id, &["completed"]);
    assert_eq!(
        (done["filename"].as_str(), done["sha256"].as_str()),
        (Some("named.bin"), Some(sha256(&bytes).as_str()))
    );
    let listed = json_of(weir(home).args(["list", "--json", "-q", "named"]));
    assert_eq!(listed.as_array().unwrap().len(), 1);
    let refused = weir(home).args(["pause", &number, "77"]).output().unwrap();
    assert_eq!(refused.status.code(), Some(1));
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(
        said.contains("Cannot pause a download that is completed")
            && said.contains("There is no download 77"),
        "{said}"
    );
    assert!(weir(home).args(["remove", "--files", &number]).status().unwrap().success());
    assert!(!daemon.downloads().join("named.bin").exists());
    let ticket = json_of(weir(home).args(["open", "--print", "--json"]));
    assert!(
        ticket["url"].as_str().unwrap().starts_with(&format!("http://127.0.0.1:{}/#ticket=", daemon.port))
    );
    assert_eq!(weir(home).args(["pause"]).stderr(Stdio::null()).status().unwrap().code(), Some(2), "usage");
}
