//! Killed with −9 at any moment, a download ends with the right bytes all the same.
//!
//! The download runs in a child process: this test binary itself, told by its environment to be the child.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::time::Duration;

use support::{Reply, Request, Server, engine, job, names, noise, run, serve, sha256};
use weir_engine::Partial;

const URL: &str = "WEIR_ENGINE_CRASH_URL";
const DIRECTORY: &str = "WEIR_ENGINE_CRASH_DIRECTORY";
const KILLS: usize = 5;

/// Not a test: what the child does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_downloads() {
    let (Ok(url), Ok(directory)) = (std::env::var(URL), std::env::var(DIRECTORY)) else { return };
    let mut job = job(url.parse().unwrap(), Path::new(&directory));
    job.partial = Partial::SameUrl;
    run(&engine(), job).await.unwrap();
}

fn child(url: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "child_downloads"])
        .env(URL, url)
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

/// Kills children at moments spread over `longest` after their partial appeared, then lets one finish. Returns the
/// file's name.
async fn survive_kills(url: &str, directory: &Path, seed: u64, longest: Duration) -> String {
    let mut interrupted = 0;
    for round in 0..KILLS {
        let mut child = child(url, directory);
        let is_partial = |name: &String| name.ends_with(".part.weir");
        while child.try_wait().unwrap().is_none() && !names(directory).iter().any(is_partial) {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let share = u32::from(noise(seed * 31 + round as u64, 8)[5]);
        tokio::time::sleep(longest * share / 256).await;
        child.kill().unwrap();
        child.wait().unwrap();
        interrupted += usize::from(names(directory).iter().any(is_partial));
        let whole: Vec<String> =
            names(directory).into_iter().filter(|name| !name.contains(".part")).collect();
        assert!(whole.len() <= 1, "{whole:?}");
        if !whole.is_empty() {
            break;
        }
    }
    assert!(interrupted > 2, "only {interrupted} children were killed in the middle");
    let mut job = job(url.parse().unwrap(), directory);
    job.partial = Partial::SameUrl;
    let finished = run(&engine(), job).await.unwrap();
    assert_eq!(sha256(&std::fs::read(&finished.path).unwrap()), finished.sha256);
    finished.filename
}

#[tokio::test]
async fn a_file_survives() {
    let data = Arc::new(noise(71, 40 << 20));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| {
            let reply = serve(&data, request);
            reply.slowly(256 << 10, Duration::from_millis(240))
        }
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let name =
        survive_kills(server.url("/big.bin").as_str(), out.path(), 3, Duration::from_millis(1200)).await;
    assert!(std::fs::read(out.path().join(&name)).unwrap() == *data, "wrong bytes");
    assert_eq!(names(out.path()), ["big.bin"]);
    // Whoever came after a kill went on: only those killed before anything was on disk began anew.
    let anew = server.requests().iter().filter(|request| request.range.is_none()).count();
    assert!(anew <= 2, "begun anew {anew} times");
}

#[tokio::test]
async fn a_stream_survives() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("ffmpeg")
        .args([
            "-loglevel",
            "error",
            "-f",
            "lavfi",
            "-i",
            "testsrc2=size=128x72:rate=25",
            "-f",
            "lavfi",
            "-i",
            "sine",
            "-t",
            "12",
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "12",
            "-c:a",
            "aac",
            "-f",
            "hls",
            "-hls_time",
            "0.5",
            "-hls_playlist_type",
            "vod",
            "list.m3u8",
        ])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(made.success());
    let folder = dir.path().to_owned();
    let server = Server::start(move |request: &Request| {
        let data = std::fs::read(folder.join(request.path.trim_start_matches('/'))).unwrap();
        Reply::new(200, data).slowly(4096, Duration::from_millis(60))
    })
    .await;
    let url = server.url("/list.m3u8");
    let undisturbed = tempfile::tempdir().unwrap();
    let wanted = run(&engine(), job(url.clone(), undisturbed.path())).await.unwrap();
    let out = tempfile::tempdir().unwrap();
    let name = survive_kills(url.as_str(), out.path(), 5, Duration::from_millis(300)).await;
    assert_eq!(sha256(&std::fs::read(out.path().join(&name)).unwrap()), wanted.sha256);
    assert_eq!(names(out.path()), [name]);
}
