//! `weir get`: exit status, output, and kill −9 at random moments.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stdout)]

mod support;

use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use serde_json::Value;
use support::{FileServer, duration_of, eventually, make_hls, noise, sha256, weir};

fn get(home: &Path, into: &Path, arguments: &[&str]) -> Command {
    let mut command = weir(home);
    command.arg("get").arg("--json").arg("-d").arg(into).args(arguments);
    command
}

/// The last line a `--json` run prints: the finished download.
fn finished(command: &mut Command) -> Value {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap())
        .unwrap()
}

/// What the last whole line of a `--json` run so far says of the bytes on disk, and what its first line that says more
/// than nothing did.
fn received(log: &Path) -> (u64, u64) {
    let text = std::fs::read_to_string(log).unwrap();
    let figures: Vec<u64> = text
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok()?["received_bytes"].as_u64())
        .filter(|bytes| *bytes > 0)
        .collect();
    (figures.first().copied().unwrap_or(0), figures.last().copied().unwrap_or(0))
}

/// Runs the command, kills it five times at random moments, lets it finish, and returns the finished download. Each run
/// must go on where the one before was seen last, give or take 0.3 s at `rate` bytes per second.
fn killed_five_times(home: &Path, rate: u64, make: impl Fn() -> Command) -> Value {
    let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos() as u64;
    println!("seed {seed}");
    let log = home.join("log");
    let mut seen = 0;
    for part in noise(40, seed).chunks(8) {
        let moment = Duration::from_millis(100 + u64::from_le_bytes(part.try_into().unwrap()) % 500);
        let out = std::fs::File::create(&log).unwrap();
        let mut child = make().stdout(out).stderr(Stdio::null()).spawn().unwrap();
        std::thread::sleep(moment);
        assert!(child.try_wait().unwrap().is_none(), "it was finished before it could be killed");
        child.kill().unwrap();
        child.wait().unwrap();
        let (first, last) = received(&log);
        // A run killed before its second line of figures says nothing.
        if first > 0 {
            assert!(first + rate * 3 / 10 >= seen, "began at {first} after {seen} had been there");
            seen = seen.max(last);
        }
    }
    let output = make().output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    std::fs::write(&log, &output.stdout).unwrap();
    let (first, _) = received(&log);
    assert!(first + rate * 3 / 10 >= seen, "began at {first} after {seen} had been there");
    assert!(seen > 0, "the kills came after something had arrived");
    serde_json::from_slice(output.stdout.split(|byte| *byte == b'\n').rfind(|line| !line.is_empty()).unwrap())
        .unwrap()
}

#[test]
fn a_file_killed_five_times_is_right() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(200_000_000, 3);
    std::fs::create_dir(dir.path().join("site")).unwrap();
    std::fs::write(dir.path().join("site/data.bin"), &bytes).unwrap();
    let server = FileServer::start(&dir.path().join("site"));
    let into = dir.path().join("into");
    // 40 MB/s: five seconds in all, of which the kills take less than three.
    let row = killed_five_times(dir.path(), 40_000_000, || {
        get(dir.path(), &into, &["--limit", "40M", &server.url("data.bin")])
    });
    assert_eq!(row["sha256"], sha256(&bytes));
    assert_eq!(sha256(&std::fs::read(into.join("data.bin")).unwrap()), sha256(&bytes));
    assert_eq!(std::fs::read_dir(&into).unwrap().count(), 1, "nothing else is left");
}

#[test]
fn a_stream_killed_five_times_is_right() {
    let dir = tempfile::tempdir().unwrap();
    make_hls(&dir.path().join("site"), 20);
    let server = FileServer::start(&dir.path().join("site"));
    let whole = finished(&mut get(dir.path(), &dir.path().join("whole"), &[&server.url("master.m3u8")]));
    let size: u64 = std::fs::read_dir(dir.path().join("site"))
        .unwrap()
        .map(|entry| entry.unwrap())
        .filter(|entry| entry.file_name().to_str().unwrap().starts_with("v0_"))
        .map(|entry| entry.metadata().unwrap().len())
        .sum();
    let rate = (size / 4).to_string();
    let row = killed_five_times(dir.path(), size / 4, || {
        get(dir.path(), &dir.path().join("into"), &["--limit", &rate, &server.url("master.m3u8")])
    });
    assert_eq!(row["sha256"], whole["sha256"], "byte for byte what an undisturbed run makes");
    let duration = duration_of(Path::new(row["path"].as_str().unwrap()));
    assert!((duration - 20.0).abs() < 0.2, "{duration}");
}

#[test]
fn interrupted_is_130_and_the_same_command_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(8_000_000, 5);
    std::fs::create_dir(dir.path().join("site")).unwrap();
    std::fs::write(dir.path().join("site/data.bin"), &bytes).unwrap();
    let server = FileServer::start(&dir.path().join("site"));
    let into = dir.path().join("into");
    let mut child = get(dir.path(), &into, &["--limit", "4M", &server.url("data.bin")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    eventually("a partial file", || into.join("data.bin.part.weir").exists().then_some(()));
    std::thread::sleep(Duration::from_millis(500));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    assert_eq!(child.wait().unwrap().code(), Some(130));
    assert!(!into.join("data.bin").exists());
    assert_eq!(finished(&mut get(dir.path(), &into, &[&server.url("data.bin")]))["sha256"], sha256(&bytes));
}

#[test]
fn failures_are_1_and_mistakes_are_2() {
    let dir = tempfile::tempdir().unwrap();
    let server = FileServer::start(dir.path());
    let into = dir.path().join("into");
    let failed = weir(dir.path())
        .args(["get", "-d", into.to_str().unwrap(), &server.url("missing")])
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&failed.stderr).contains("no longer has this file"));
    let with_ffmpeg_gone = {
        make_hls(dir.path(), 2);
        weir(dir.path())
            .env("PATH", "/nowhere")
            .args(["get", "-d", into.to_str().unwrap(), &server.url("master.m3u8")])
            .output()
            .unwrap()
    };
    assert_eq!(with_ffmpeg_gone.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&with_ffmpeg_gone.stderr).contains("fmpeg is needed"));
    for arguments in [
        &["get"][..],
        &["get", "ftp://h/x"],
        &["get", "not an address"],
        &["get", "--limit", "fast", "http://h/"],
        &["get", "-o", "a", "http://h/1", "http://h/2"],
        &["get", "-o", "a/b", "http://h/1"],
        &["get", "-o", "..", "http://h/1"],
        &["add", "-o", "a/b", "http://h/1"],
        &["get", "--checksum", "md5:0", "http://h/"],
        &["get", "--mirror", "http://m/", "http://h/1", "http://h/2"],
        &["get", "--mirror", "m", "http://h/1"],
        &["get", "--proxy", "gopher://p/", "http://h/"],
        &["get", "--user", "me", "http://h/"],
        &["get", "--password-file", "x", "http://h/"],
        &["get", "--netrc=/nowhere", "http://h/"],
        &["get", "--user-agent", "a\nb", "http://h/"],
        &["get", "http://h/[9-1]"],
        &["get", "http://h/[1-1000][1-1000]"],
        &["get", "-i", "/nowhere"],
        &["get", "-"],
        &["get", "-", "-i", "-", "--post-data", "@-"],
        &["get", "--jobs", "0", "http://h/"],
        &["add", "not an address"],
        &["add", "--start-at", "soon", "http://h/"],
        &["list", "--status", "flying"],
        &["move", "1", "sideways"],
        &["limit", "fast"],
        &["verify"],
        &["fly"],
    ] {
        let status =
            weir(dir.path()).args(arguments).stderr(Stdio::null()).stdout(Stdio::null()).status().unwrap();
        assert_eq!(status.code(), Some(2), "{arguments:?}");
    }
    let wrong =
        weir(dir.path()).args(["get", "--proxy", "gopher://me:S3CRET@p/", "http://h/"]).output().unwrap();
    assert_eq!(wrong.status.code(), Some(2));
    assert!(!String::from_utf8_lossy(&wrong.stderr).contains("S3CRET"));
}

#[test]
fn checksum_headers_and_cookies_are_used() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("site")).unwrap();
    std::fs::write(dir.path().join("site/a.bin"), b"abc").unwrap();
    let server = FileServer::start(&dir.path().join("site"));
    let into = dir.path().join("into");
    let right = format!("sha256:{}", sha256(b"abc"));
    let row =
        finished(&mut get(dir.path(), &into, &["--checksum", &right, "-o", "b.bin", &server.url("a.bin")]));
    assert_eq!(row["filename"], "b.bin");
    let wrong = format!("sha256:{}", sha256(b"abd"));
    let failed = get(dir.path(), &into, &["--checksum", &wrong, "-o", "c.bin", &server.url("a.bin")])
        .output()
        .unwrap();
    assert_eq!(failed.status.code(), Some(1));
    let said = String::from_utf8_lossy(&failed.stderr).into_owned();
    assert!(said.contains("checksum you gave") && !said.contains("caller"), "{said}");
    assert!(!said.contains("same command"), "{said}");
    assert!(!into.join("c.bin").exists());
}
