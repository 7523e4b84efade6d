//! Pages through the whole program: kill −9 of the command, the daemon's queue, and what a look tells.
//!
//! The real yt-dlp comes by `scripts/setup.sh`. Without it (`YT_DLP` names it) these tests say so and end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

mod support;

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{Daemon, FileServer, duration_of, eventually, make_hls, sha256, weir};

fn yt_dlp() -> Option<PathBuf> {
    let named = std::env::var_os("YT_DLP").map(PathBuf::from);
    let cached = || {
        let setup = include_str!("../../scripts/setup.sh");
        let version = setup.split("setup_sites() {").nth(1)?.split("wanted=").nth(1)?.split(' ').next()?;
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
        Some(cache.join(format!("weir/test/yt-dlp-{version}/bin/yt-dlp")))
    };
    let found = named.or_else(cached).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("LEFT OUT: there is no yt-dlp; `source scripts/setup.sh; setup sites` brings it");
    }
    found
}

/// A page that plays a film of ten seconds; the film's bytes.
fn site(folder: &Path) -> Vec<u8> {
    make_hls(folder, 10);
    let made = Command::new("ffmpeg")
        .current_dir(folder)
        .args(["-v", "error", "-i", "v0.m3u8", "-c", "copy", "-movflags", "+faststart", "film.mp4"])
        .status()
        .unwrap();
    assert!(made.success());
    let page = "<!doctype html><html><head><title>A talk</title></head><body><video src='/film.mp4'></video></body></html>";
    std::fs::write(folder.join("watch.html"), page).unwrap();
    std::fs::read(folder.join("film.mp4")).unwrap()
}

fn get(home: &Path, program: &Path, arguments: &[&str]) -> Command {
    let temporary = home.join("tmp");
    std::fs::create_dir_all(&temporary).unwrap();
    let mut command = weir(home);
    command.env("WEIR_YT_DLP", program).env("TMPDIR", temporary).env_remove("XDG_RUNTIME_DIR");
    command.args(["get", "--json", "--kind", "site", "-d"]).arg(home.join("into")).args(arguments);
    command
}

/// Command lines of running processes that have this text in them.
fn processes(text: &str) -> Vec<String> {
    let numbers = std::fs::read_dir("/proc").unwrap().flatten();
    numbers
        .filter_map(|entry| std::fs::read(entry.path().join("cmdline")).ok())
        .map(|line| String::from_utf8_lossy(&line).replace('\0', " "))
        .filter(|line| line.contains(text))
        .collect()
}

#[test]
fn kill_9_of_the_command_leaves_neither_yt_dlp_nor_cookies_and_the_next_run_is_right() {
    let Some(program) = yt_dlp() else { return };
    let dir = tempfile::tempdir().unwrap();
    let film = site(&dir.path().join("site"));
    let server = FileServer::start(&dir.path().join("site"));
    let cookies = dir.path().join("cookies");
    std::fs::write(&cookies, "# Netscape HTTP Cookie File\n127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tS3CRET\n")
        .unwrap();
    let cookies = cookies.to_str().unwrap().to_owned();
    let page = server.url("watch.html");
    let into = dir.path().join("into");
    let here = into.to_str().unwrap().to_owned();
    let rate = (film.len() / 30).to_string();
    for _ in 0..2 {
        let slow = ["--cookies", &cookies, "--limit", &rate, &page];
        let mut child =
            get(dir.path(), &program, &slow).stdout(Stdio::null()).stderr(Stdio::null()).spawn().unwrap();
        let work = into.join("A talk (1).mp4.part.work");
        eventually("yt-dlp and bytes of the film", || {
            let folders = std::fs::read_dir(&work).ok()?.flatten();
            let files =
                folders.filter_map(|folder| std::fs::read_dir(folder.path()).ok()).flatten().flatten();
            let any = files.into_iter().any(|file| file.metadata().is_ok_and(|there| there.len() > 0));
            // The bytes may still be those of the run before.
            (any && !processes(&here).is_empty()).then_some(())
        });
        assert!(processes("S3CRET").is_empty(), "a list of processes shows the cookie");
        child.kill().unwrap();
        child.wait().unwrap();
        let started = Instant::now();
        while !processes(&here).is_empty() || std::fs::read_dir(dir.path().join("tmp")).unwrap().count() > 0 {
            assert!(started.elapsed() < Duration::from_secs(25), "left: {:?}", processes(&here));
            std::thread::sleep(Duration::from_millis(50));
        }
    }
    let output = get(dir.path(), &program, &["--cookies", &cookies, &page]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let last = output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap();
    let row: Value = serde_json::from_slice(last).unwrap();
    let path = PathBuf::from(row["path"].as_str().unwrap());
    assert_eq!(row["kind"], "site");
    assert_eq!(row["sha256"], sha256(&std::fs::read(&path).unwrap()));
    assert!((duration_of(&path) - 10.0).abs() < 0.2);
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 1, "nothing else is left");
    assert_eq!(std::fs::read_dir(dir.path().join("tmp")).unwrap().count(), 0, "secrets are left");
}

#[test]
fn the_queue_pauses_and_goes_on_with_a_page() {
    let Some(program) = yt_dlp() else { return };
    let daemon = Daemon::start_with(&format!("yt_dlp = {:?}", program.to_str().unwrap()));
    let site_folder = daemon.dir.path().join("site");
    let film = site(&site_folder);
    let server = FileServer::start(&site_folder);
    let page = server.url("watch.html");
    let meta = daemon.call("POST", "/meta", &json!({ "url": page }).to_string());
    // What ends in `.html` is wanted as it is, unless it is said to be a page for yt-dlp.
    assert_eq!(meta.json()["kind"], "file", "{}", meta.body);
    for (query, body) in
        [("", json!({ "url": page, "kind": "site" })), ("?kind=site", json!({ "url": page }))]
    {
        let meta = daemon.call("POST", &format!("/meta{query}"), &body.to_string()).json();
        assert_eq!(
            (meta["kind"].as_str(), meta["title"].as_str()),
            (Some("site"), Some("A talk (1)")),
            "{meta}"
        );
    }
    let wrong = daemon.call("POST", "/meta?kind=movie", &json!({ "url": page }).to_string());
    assert_eq!(wrong.status, 400, "{}", wrong.body);
    let id = daemon.add(&json!({ "url": page, "kind": "site", "rate_limit": film.len() / 20 }));
    eventually("bytes of the film", || (daemon.row(id)["received_bytes"].as_u64()? > 0).then_some(()));
    assert_eq!(daemon.call("POST", &format!("/download/{id}/pause"), "").status, 200);
    daemon.wait_for(id, &["paused"]);
    let freed = daemon.call("PATCH", &format!("/download/{id}"), "{\"rate_limit\": 0}");
    assert_eq!(freed.status, 200, "{}", freed.body);
    assert_eq!(daemon.call("POST", &format!("/download/{id}/resume"), "").status, 200);
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!((row["kind"].as_str(), row["filename"].as_str()), (Some("site"), Some("A talk (1).mp4")));
    assert!((duration_of(Path::new(row["path"].as_str().unwrap())) - 10.0).abs() < 0.2);
    let second = daemon.add(&json!({ "url": page, "kind": "site", "rate_limit": film.len() / 20 }));
    eventually("bytes of the film", || (daemon.row(second)["received_bytes"].as_u64()? > 0).then_some(()));
    assert_eq!(daemon.call("POST", &format!("/download/{second}/cancel"), "").status, 200);
    eventually("all working files to go", || {
        (std::fs::read_dir(daemon.downloads()).unwrap().count() == 1).then_some(())
    });
}

#[test]
fn what_is_there_of_a_page_can_be_kept() {
    let Some(program) = yt_dlp() else { return };
    let daemon = Daemon::start_with(&format!("auto_retries = 0\nyt_dlp = {:?}", program.to_str().unwrap()));
    let folder = daemon.dir.path().join("site");
    make_hls(&folder, 5);
    let page = "<!doctype html><title>A talk</title><video><source src='/v0.m3u8' type='application/x-mpegURL'></video>";
    std::fs::write(folder.join("stream.html"), page).unwrap();
    std::fs::remove_file(folder.join("v0_002.ts")).unwrap();
    let server = FileServer::start(&folder);
    let id = daemon.add(&json!({ "url": server.url("stream.html"), "kind": "site", "retries": 0 }));
    let row = daemon.wait_for(id, &["error", "completed"]);
    let error = (row["error"]["code"].as_str(), row["error"]["action"].as_str());
    assert_eq!(error, (Some("segment_missing"), Some("keep_partial")), "{row}");
    let kept = weir(daemon.dir.path()).args(["finish", &id.to_string()]).output().unwrap();
    assert!(kept.status.success(), "{}", String::from_utf8_lossy(&kept.stderr));
    let row = daemon.wait_for(id, &["error", "completed"]);
    assert_eq!(row["lacks"], "1 of 5 segments is missing, number 3", "{row}");
    assert_eq!(row["filename"], "A talk (1) (partial).mp4");
    assert!(Path::new(row["path"].as_str().unwrap()).is_file());
}

#[test]
fn without_yt_dlp_the_command_says_how_to_get_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut command = get(dir.path(), Path::new("/nowhere/yt-dlp"), &["http://127.0.0.1:9/watch"]);
    let output = command.env("PATH", "/nowhere").output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("weir tools install yt-dlp"), "{said}");
}
