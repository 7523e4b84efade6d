//! Streams through the real daemon and the real command: recordings that are ended, segments that are lost, files that are
//! watched while they grow.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use axum::extract::State;
use axum::http::{StatusCode, Uri, header};
use axum::response::{IntoResponse as _, Response};
use serde_json::{Value, json};
use support::{Daemon, WEIR, duration_of, eventually, make_hls, weir};

/// Segments of the stream, each a second.
const SEGMENTS: usize = 24;
/// Segments a live playlist shows.
const WINDOW: usize = 6;
/// A live segment appears this often.
const EVERY: Duration = Duration::from_millis(250);

/// What the site does with what it is asked for.
struct Site {
    folder: PathBuf,
    begun: Instant,
    lost: Mutex<HashSet<String>>,
}

/// `media/…` as it is, `live/…` with playlists whose window slides, until all is shown when it ends.
struct StreamServer {
    port: u16,
    site: Arc<Site>,
    runtime: Option<tokio::runtime::Runtime>,
}

impl StreamServer {
    fn start(folder: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let site =
            Arc::new(Site { folder: folder.to_owned(), begun: Instant::now(), lost: Mutex::default() });
        let router = axum::Router::new().fallback(answer).with_state(Arc::clone(&site));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { port, site, runtime: Some(runtime) }
    }

    fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }

    fn lose(&self, name: &str) {
        self.site.lost.lock().unwrap().insert(name.to_owned());
    }
}

impl Drop for StreamServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

async fn answer(State(site): State<Arc<Site>>, uri: Uri) -> Response {
    let (place, name) = uri.path()[1..].split_once('/').unwrap_or_default();
    let lost = site.lost.lock().unwrap().contains(name);
    let Some(bytes) = std::fs::read(site.folder.join(name)).ok().filter(|_| !lost) else {
        return StatusCode::NOT_FOUND.into_response();
    };
    if !name.ends_with(".m3u8") {
        return ([(header::CONTENT_TYPE, "video/mp2t")], bytes).into_response();
    }
    let text = String::from_utf8(bytes).unwrap();
    let text = match place {
        "live" | "endless" if text.contains("#EXTINF") => {
            window(&text, site.begun.elapsed(), place == "live")
        }
        _ => text,
    };
    ([(header::CONTENT_TYPE, "application/vnd.apple.mpegurl")], text).into_response()
}

/// What a live playlist shows after `elapsed` of the whole that `text` is. One that never ends begins again.
fn window(text: &str, elapsed: Duration, ends: bool) -> String {
    let lines: Vec<&str> = text.lines().collect();
    let segments: Vec<[&str; 2]> = lines
        .windows(2)
        .filter(|pair| pair[0].starts_with("#EXTINF"))
        .map(|pair| [pair[0], pair[1]])
        .collect();
    assert_eq!(segments.len(), SEGMENTS);
    let shown = WINDOW + usize::try_from(elapsed.as_millis() / EVERY.as_millis()).unwrap();
    let shown = if ends { shown.min(SEGMENTS) } else { shown };
    let first = shown - WINDOW;
    let mut out =
        format!("#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n");
    let turns = first / SEGMENTS;
    out += &format!("#EXT-X-DISCONTINUITY-SEQUENCE:{turns}\n");
    for number in first..shown {
        if number % SEGMENTS == 0 && number > first {
            out += "#EXT-X-DISCONTINUITY\n";
        }
        let [info, name] = segments[number % SEGMENTS];
        out += &format!("{info}\n{name}\n");
    }
    if ends && shown == SEGMENTS {
        out += "#EXT-X-ENDLIST\n";
    }
    out
}

fn site() -> (tempfile::TempDir, StreamServer) {
    let dir = tempfile::tempdir().unwrap();
    make_hls(dir.path(), u32::try_from(SEGMENTS).unwrap());
    let server = StreamServer::start(dir.path());
    (dir, server)
}

fn act(daemon: &Daemon, id: i64, act: &str) -> u16 {
    daemon.call("POST", &format!("/download/{id}/{act}"), "").status
}

/// The row once it records and has something.
fn recording(daemon: &Daemon, id: i64) -> Value {
    eventually("the recording", || {
        let row = daemon.row(id);
        assert!(!["completed", "error"].contains(&row["status"].as_str().unwrap()), "{row}");
        let runs = row["status"] == "downloading" && row["live"] == true;
        (runs && row["received_bytes"].as_u64().unwrap() > 0).then_some(row)
    })
}

#[test]
fn a_recording_runs_until_it_is_finished_and_is_then_a_file() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let id = daemon.add(&json!({ "url": server.url("endless/v1.m3u8"), "title": "A concert" }));
    let row = recording(&daemon, id);
    assert_eq!(
        (row["progress"].as_f64(), &row["eta"], &row["total_bytes"]),
        (Some(0.0), &Value::Null, &Value::Null)
    );
    eventually("two seconds of it", || daemon.row(id)["recorded_s"].as_u64().filter(|seconds| *seconds >= 2));
    let listed = String::from_utf8(weir(daemon.dir.path()).arg("list").output().unwrap().stdout).unwrap();
    assert!(listed.contains("live") && !listed.contains('%'), "{listed}");

    assert_eq!(act(&daemon, id, "finish"), 200);
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!((&row["live"], &row["lacks"]), (&json!(false), &Value::Null), "{row}");
    let seconds = duration_of(Path::new(row["path"].as_str().unwrap()));
    assert!(seconds > 1.5, "{seconds} s");
    assert!(row["recorded_s"].as_f64().is_some_and(|told| (told - seconds).abs() < 2.0), "{row}: {seconds}");
    assert_eq!(act(&daemon, id, "finish"), 409, "it has ended");
}

#[test]
fn a_recording_that_ends_by_itself_is_whole() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let new = json!({ "url": server.url("live/v1.m3u8"), "title": "A short one", "live_from_start": true });
    let id = daemon.add(&new);
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(row["lacks"], Value::Null);
    let seconds = duration_of(Path::new(row["path"].as_str().unwrap()));
    #[allow(clippy::cast_precision_loss)]
    let whole = SEGMENTS as f64;
    // It began a moment after the site did, whose window had perhaps moved by then.
    assert!(seconds > whole - 4.0 && seconds < whole + 0.5, "{seconds} s");
}

#[test]
fn a_paused_recording_goes_on_or_is_kept() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let id = daemon.add(&json!({ "url": server.url("endless/v1.m3u8"), "title": "A match" }));
    recording(&daemon, id);
    assert_eq!(act(&daemon, id, "pause"), 200);
    let paused = daemon.wait_for(id, &["paused"]);
    assert_eq!(paused["live"], true, "{paused}");
    assert_eq!(act(&daemon, id, "resume"), 200);
    recording(&daemon, id);
    assert_eq!(act(&daemon, id, "pause"), 200);
    daemon.wait_for(id, &["paused"]);
    assert_eq!(act(&daemon, id, "finish"), 200);
    let row = daemon.wait_for(id, &["completed"]);
    assert!(duration_of(Path::new(row["path"].as_str().unwrap())) > 0.5, "{row}");
}

#[test]
fn a_recording_whose_server_has_gone_can_still_be_kept() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let id = daemon.add(&json!({ "url": server.url("endless/v1.m3u8"), "title": "A storm" }));
    recording(&daemon, id);
    drop(server);
    std::thread::sleep(Duration::from_secs(2));
    // It waits for the server to come back; whoever does not, keeps what is there.
    assert_eq!(daemon.row(id)["status"], "downloading");
    assert_eq!(act(&daemon, id, "finish"), 200);
    let row = daemon.wait_for(id, &["completed"]);
    assert!(duration_of(Path::new(row["path"].as_str().unwrap())) > 0.5, "{row}");
}

#[test]
fn a_lost_segment_is_an_error_until_somebody_wants_what_is_there() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    server.lose("v1_007.ts");
    let id = daemon.add(&json!({ "url": server.url("media/v1.m3u8"), "title": "A talk" }));
    let row = daemon.wait_for(id, &["error"]);
    assert_eq!(
        (row["error"]["code"].as_str(), row["error"]["action"].as_str()),
        (Some("segment_missing"), Some("keep_partial")),
        "{row}"
    );
    assert_eq!(act(&daemon, id, "finish"), 200);
    let row = eventually("the rest", || Some(daemon.row(id)).filter(|row| row["status"] == "completed"));
    assert!(row["filename"].as_str().unwrap().ends_with("(partial).mp4"), "{row}");
    assert!(row["lacks"].as_str().is_some_and(|lacks| !lacks.is_empty()), "{row}");
    let seconds = duration_of(Path::new(row["path"].as_str().unwrap()));
    #[allow(clippy::cast_precision_loss)]
    let whole = SEGMENTS as f64;
    assert!(seconds > whole - 2.5 && seconds < whole + 0.5, "{seconds} s");
    let listed = String::from_utf8(weir(daemon.dir.path()).arg("list").output().unwrap().stdout).unwrap();
    assert!(listed.contains("Not whole: "), "{listed}");
}

#[test]
fn a_cut_segment_is_named_and_can_be_done_without() {
    let daemon = Daemon::start();
    let (dir, server) = site();
    let cut = dir.path().join("v1_007.ts");
    let whole = std::fs::read(&cut).unwrap();
    // In the middle of a packet; the server states the length of what it has.
    std::fs::write(&cut, &whole[..whole.len() / 2 / 188 * 188 + 99]).unwrap();
    let id = daemon.add(&json!({ "url": server.url("media/v1.m3u8"), "title": "A talk" }));
    let row = daemon.wait_for(id, &["error"]);
    assert_eq!(
        (row["error"]["code"].as_str(), row["error"]["action"].as_str()),
        (Some("duration_mismatch"), Some("keep_partial")),
        "{row}"
    );
    let named = format!("segment 8 of {SEGMENTS}, at 0:00:07, is ");
    let message = row["error"]["message"].as_str().unwrap().to_lowercase();
    assert!(message.starts_with(&named), "{message}");
    assert_eq!(act(&daemon, id, "finish"), 200);
    let row = eventually("the rest", || Some(daemon.row(id)).filter(|row| row["status"] == "completed"));
    assert!(row["filename"].as_str().unwrap().ends_with("(partial).mp4"), "{row}");
    assert!(row["lacks"].as_str().is_some_and(|lacks| lacks.contains(&named)), "{row}");
}

#[test]
fn only_what_can_be_finished_is() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let paused = json!({ "url": server.url("media/v1_000.ts"), "kind": "file", "paused": true });
    let id = daemon.add(&paused);
    assert_eq!(act(&daemon, id, "finish"), 409, "a file has no part that is worth keeping");
    assert_eq!(act(&daemon, id + 1, "finish"), 404);
    let stream = json!({ "url": server.url("media/v1.m3u8"), "kind": "hls", "paused": true });
    let id = daemon.add(&stream);
    assert_eq!(act(&daemon, id, "finish"), 200);
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!(row["lacks"], Value::Null, "all of it could be had");
}

#[test]
fn a_stream_is_watched_while_it_grows() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let id = daemon.add(&json!({ "url": server.url("endless/v1.m3u8"), "title": "A race" }));
    recording(&daemon, id);
    let (port, token) = (daemon.port, daemon.token.clone());
    let viewer = std::thread::spawn(move || {
        let head = format!(
            "GET /download/{id}/file HTTP/1.0\r\nHost: 127.0.0.1:{port}\r\nAuthorization: Bearer {token}\r\nRange: bytes=5-\r\n\r\n"
        );
        support::raw(std::net::SocketAddr::from(([127, 0, 0, 1], port)), head.as_bytes())
    });
    std::thread::sleep(Duration::from_secs(2));
    assert!(!viewer.is_finished(), "it goes on as long as the stream does");
    assert_eq!(act(&daemon, id, "finish"), 200);
    daemon.wait_for(id, &["completed"]);
    let seen = viewer.join().unwrap();
    assert_eq!((seen.status, seen.header("content-type")), (200, Some("video/mp2t")));
    assert!(seen.header("content-length").is_none() && seen.header("content-range").is_none());
    assert!(
        seen.header("content-disposition").is_some_and(|name| name.ends_with("A%20race.ts")),
        "{:?}",
        seen.headers
    );
    assert!(seen.bytes.len() > 188 * 10 && seen.bytes.len() % 188 == 0, "{} bytes", seen.bytes.len());
    assert!(seen.bytes.chunks(188).all(|packet| packet[0] == 0x47), "whole packets in order");
}

#[test]
fn quiet_hours_let_a_recording_go_on_and_nothing_begin() {
    let daemon = Daemon::start();
    let (_dir, server) = site();
    let id = daemon.add(&json!({ "url": server.url("endless/v1.m3u8") }));
    recording(&daemon, id);
    let quiet = json!({ "quiet_hours": [{ "from": "00:00", "to": "24:00", "pause": true }] });
    assert_eq!(daemon.call("PATCH", "/settings", &quiet.to_string()).status, 200);
    let later = daemon.add(&json!({ "url": server.url("media/v1.m3u8") }));
    std::thread::sleep(Duration::from_millis(600));
    assert_eq!(daemon.row(id)["status"], "downloading", "what it would miss cannot be had later");
    assert_eq!(daemon.row(later)["status"], "queued");
    assert_eq!(act(&daemon, id, "finish"), 200);
    daemon.wait_for(id, &["completed"]);
}

/// `weir get` into a folder of its own: exit status, what it said, and the one file it left.
fn get(args: &[&str]) -> (Option<i32>, String, Option<PathBuf>) {
    let dir = tempfile::tempdir().unwrap();
    let out =
        weir(dir.path()).args(["get", "-d", "files"]).args(args).current_dir(dir.path()).output().unwrap();
    let file = std::fs::read_dir(dir.path().join("files"))
        .ok()
        .and_then(|mut all| all.next())
        .map(|file| file.unwrap().path());
    let _ = dir.keep();
    (out.status.code(), String::from_utf8(out.stderr).unwrap(), file)
}

#[test]
fn a_command_records_for_as_long_as_it_was_told() {
    let (_dir, server) = site();
    let (status, said, file) = get(&[&server.url("endless/v1.m3u8"), "--live-limit", "3s"]);
    assert_eq!(status, Some(0), "{said}");
    let seconds = duration_of(&file.unwrap());
    assert!((2.0..=6.0).contains(&seconds), "{seconds} s: {said}");
}

#[test]
fn a_wish_that_a_stream_does_not_meet_is_said() {
    let (_dir, server) = site();
    let (status, said, file) = get(&[&server.url("media/v1.m3u8"), "--audio-lang", "fr"]);
    assert_eq!((status, file.is_some()), (Some(0), true), "{said}");
    assert!(said.contains("does not say in which language its sound is"), "{said}");
}

#[cfg(unix)]
#[test]
fn the_first_interrupt_keeps_a_recording() {
    let (_dir, server) = site();
    let dir = tempfile::tempdir().unwrap();
    let child = weir(dir.path())
        .args(["get", "--json", "-d", ".", &server.url("endless/v1.m3u8")])
        .current_dir(dir.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let pid = child.id().to_string();
    // The track in the making shows that there is something to keep.
    eventually("something to keep", || {
        let files = std::fs::read_dir(dir.path()).unwrap().map(|file| file.unwrap());
        let mut parts =
            files.filter(|file| file.path().extension().is_some_and(|extension| extension == "part"));
        parts.find(|file| file.metadata().unwrap().len() > 100_000)
    });
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    let out = child.wait_with_output().unwrap();
    let said = String::from_utf8(out.stderr).unwrap();
    assert_eq!(out.status.code(), Some(0), "{said}");
    assert!(said.contains("the recording ends and is kept"), "{said}");
    let last = String::from_utf8(out.stdout).unwrap().lines().last().unwrap().to_owned();
    let row: Value = serde_json::from_str(&last).unwrap();
    assert_eq!(row["status"], "completed", "{row}");
    assert!(duration_of(Path::new(row["path"].as_str().unwrap())) > 0.5);
}

#[test]
fn a_command_says_what_a_kept_file_lacks() {
    let (_dir, server) = site();
    server.lose("v1_003.ts");
    let url = server.url("media/v1.m3u8");
    let (status, said, _) = get(&[&url]);
    assert_eq!(status, Some(1), "{said}");
    assert!(said.contains("--keep-partial"), "{said}");
    let (status, said, file) = get(&[&url, "--keep-partial"]);
    assert_eq!(status, Some(0), "{said}");
    assert!(said.contains("is not whole: ") && said.contains(", partial"), "{said}");
    assert!(file.unwrap().display().to_string().ends_with("(partial).mp4"));
}

#[test]
fn a_dry_run_tells_the_plan_and_fetches_no_segment() {
    let (_dir, server) = site();
    server.lose("v1_000.ts");
    let dir = tempfile::tempdir().unwrap();
    let run = |args: &[&str]| {
        weir(dir.path()).args(["get", "--dry-run"]).args(args).current_dir(dir.path()).output().unwrap()
    };
    let out = run(&[&server.url("media/master.m3u8"), "--quality", "180p"]);
    assert_eq!(out.status.code(), Some(0), "{}", String::from_utf8_lossy(&out.stderr));
    let plan: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!((plan["kind"].as_str(), plan["live"].as_bool()), (Some("hls"), Some(false)), "{plan}");
    assert_eq!(plan["tracks"][0]["segments"].as_array().map(Vec::len), Some(SEGMENTS), "{plan}");
    let first = &plan["tracks"][0]["segments"][0];
    assert_eq!(
        (first["url"].as_str(), first["duration_s"].as_f64()),
        (Some(&*server.url("media/v1_000.ts")), Some(1.0))
    );
    let out = run(&[&server.url("endless/v1.m3u8")]);
    let plan: Value = serde_json::from_slice(&out.stdout).unwrap();
    assert_eq!(plan["live"], true);
    assert_eq!(run(&[&server.url("media/none.m3u8")]).status.code(), Some(1));
    let left = std::fs::read_dir(dir.path())
        .unwrap()
        .filter(|file| file.as_ref().unwrap().file_name() != "weir")
        .count();
    assert_eq!(left, 0, "nothing was written");
}

#[test]
fn what_is_wished_for_wrongly_is_told_before_anything_is_asked() {
    for wrong in ["--live-limit=0", "--audio-lang=d", "--subs-as=ass", "--kind=movie", "--codecs=a/b"] {
        let out = Command::new(WEIR).args(["get", wrong, "http://127.0.0.1:9/"]).output().unwrap();
        assert_eq!(out.status.code(), Some(2), "{wrong}");
    }
    let daemon = Daemon::start();
    let wrong = json!({ "url": "http://127.0.0.1:9/", "audio_languages": ["d"] });
    let answer = daemon.call("POST", "/download", &wrong.to_string());
    assert_eq!((answer.status, answer.code().as_str()), (400, "bad_request"));
}
