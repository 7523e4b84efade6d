//! Killed with −9 at any moment, a stream ends with the same bytes as one that was left in peace.
//!
//! The download runs in a child process: this test binary itself, told by its environment to be the child.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use weir_engine::Partial;

use super::kitchen::made;
use super::serving::{apart, folder};
use super::support::{Server, engine, job, marked, names, noise, run, sha256};

const URL: &str = "WEIR_MEDIA_KILL_URL";
const DIRECTORY: &str = "WEIR_MEDIA_KILL_DIRECTORY";
/// Of each stream.
const KILLS: usize = 10;
/// The server sends so many bytes of a segment, then waits; a whole stream takes a second or two.
const PIECE: usize = 1500;
const PAUSE: Duration = Duration::from_millis(25);

/// Not a test: what the child does.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn child_downloads() {
    let (Ok(url), Ok(directory)) = (std::env::var(URL), std::env::var(DIRECTORY)) else { return };
    let mut job = job(url.parse().unwrap(), Path::new(&directory));
    job.partial = Partial::SameUrl;
    job.connections = 3;
    run(&engine(), job).await.unwrap();
}

fn child(url: &str, directory: &Path) -> Child {
    Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "kills::child_downloads"])
        .env(URL, url)
        .env(DIRECTORY, directory)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

async fn survives(folder_of: PathBuf, entry: &str, seed: u64) {
    let server = Server::start(move |request| folder(&folder_of, request).slowly(PIECE, PAUSE)).await;
    let url = server.url(entry);
    let undisturbed = tempfile::tempdir().unwrap();
    let mut first = job(url.clone(), undisturbed.path());
    first.connections = 3;
    let wanted = run(&engine(), first).await.unwrap();
    let one = server.requests().len();
    let (mut interrupted, mut finished) = (0, 0);
    let mut out = tempfile::tempdir().unwrap();
    for round in 0..KILLS {
        let mut child = child(url.as_str(), out.path());
        let begun = || names(out.path()).iter().any(|name| name.contains(".part"));
        while child.try_wait().unwrap().is_none() && !begun() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // From the first moment on, up to where some have only just finished.
        let share = u32::from(noise(seed * 31 + round as u64, 8)[5]);
        tokio::time::sleep(Duration::from_millis(700) * share / 256).await;
        child.kill().unwrap();
        child.wait().unwrap();
        let whole: Vec<String> =
            names(out.path()).into_iter().filter(|name| !name.contains(".part")).collect();
        assert!(whole.len() <= 1, "{whole:?}");
        match whole.first() {
            // What is called whole is, however soon after that it was killed; the next begins with nothing.
            Some(name) => {
                assert_eq!(sha256(&std::fs::read(out.path().join(name)).unwrap()), wanted.sha256);
                finished += 1;
                out = tempfile::tempdir().unwrap();
            }
            None => interrupted += 1,
        }
    }
    println!("{entry}: {interrupted} killed in the middle, {finished} just after the end");
    assert!(interrupted >= KILLS / 2, "only {interrupted} were killed in the middle");
    let mut last = job(url, out.path());
    last.partial = Partial::SameUrl;
    last.connections = 3;
    let finished = run(&engine(), marked(last)).await.unwrap();
    assert_eq!(sha256(&std::fs::read(&finished.path).unwrap()), wanted.sha256);
    assert_eq!(names(out.path()), [finished.filename]);
    // The last went on where the one before was killed, or at least asked for nothing twice.
    let asked = server.marked_requests().len();
    assert!(asked <= one, "{asked} requests");
    let ended = async {
        while works_in(out.path()) {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("an ffmpeg of those killed goes on");
}

/// Whether a program is at work that was told of this folder.
fn works_in(folder: &std::path::Path) -> bool {
    let folder = folder.to_str().unwrap();
    let processes = std::fs::read_dir("/proc").unwrap().filter_map(Result::ok);
    processes.filter(|process| process.file_name() != *std::process::id().to_string()).any(|process| {
        let told = std::fs::read(process.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&told).contains(folder)
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ts_with_sound_apart_survives() {
    survives(apart(), "/list.m3u8", 3).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn dash_survives() {
    let folder = made("killed DASH", "talk", |k| k.dash("talk", "list", &["-use_timeline", "1"]));
    survives(folder, "/list.mpd", 5).await;
}
