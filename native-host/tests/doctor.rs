//! `weir doctor`: what it sees, and its exit status.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;

use serde_json::Value;
use support::{Daemon, weir};

/// The checks by name, and the exit status.
fn doctor(
    home: &Path,
    change: impl FnOnce(&mut std::process::Command),
) -> (impl Fn(&str) -> Value, Option<i32>) {
    let mut command = weir(home);
    command.args(["doctor", "--json"]);
    change(&mut command);
    let output = command.output().unwrap();
    let checks: Vec<Value> = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&output.stderr)));
    let by_name = move |name: &str| {
        checks
            .iter()
            .find(|check| check["name"] == name)
            .unwrap_or_else(|| panic!("no {name}: {checks:?}"))
            .clone()
    };
    (by_name, output.status.code())
}

#[test]
fn a_fresh_machine_is_well_and_told_what_it_may_want() {
    let dir = tempfile::tempdir().unwrap();
    let (check, status) = doctor(dir.path(), |_| {});
    assert_eq!(status, Some(0));
    for name in ["version", "home", "settings", "daemon", "port", "downloads", "ffmpeg", "ffprobe", "clock"] {
        assert_eq!(check(name)["result"], "ok", "{}", check(name));
    }
    assert_eq!(check("browsers")["result"], "warn");
    assert!(
        !dir.path().join("weir").exists() && !dir.path().join("downloads").exists(),
        "it changes nothing"
    );
    let (check, status) = doctor(dir.path(), |command| {
        command.env("PATH", "/nowhere");
    });
    assert_eq!(status, Some(0), "what is not needed for files is no failure");
    for (name, advice) in [("ffmpeg", "install ffmpeg"), ("yt-dlp", "weir tools install yt-dlp")] {
        assert_eq!(check(name)["result"], "warn");
        assert!(check(name)["advice"].as_str().unwrap().contains(advice), "{}", check(name));
    }
}

#[test]
fn mistakes_are_failures_with_advice() {
    let dir = tempfile::tempdir().unwrap();
    let home = dir.path().join("weir");
    std::fs::create_dir(&home).unwrap();
    std::fs::write(home.join("config.toml"), "prot = 1\nproxy = \"http://me:S3CRET@h:1\"").unwrap();
    let (check, status) = doctor(dir.path(), |_| {});
    assert_eq!((check("settings")["result"].as_str(), status), (Some("fail"), Some(1)));
    assert!(!check("settings").to_string().contains("S3CRET"));
    std::fs::remove_file(home.join("config.toml")).unwrap();
    let holder = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = holder.local_addr().unwrap().port().to_string();
    let (check, status) = doctor(dir.path(), |command| {
        command
            .env("WEIR_PORT", &port)
            .env("WEIR_YT_DLP", "/nowhere/yt-dlp")
            .env("WEIR_DOWNLOAD_DIR", "/dev/null/x");
    });
    assert_eq!(status, Some(1));
    for name in ["port", "yt-dlp", "downloads"] {
        assert_eq!(check(name)["result"], "fail", "{}", check(name));
    }
    assert!(check("port")["message"].as_str().unwrap().contains(&format!("process {}", std::process::id())));
}

#[test]
fn a_running_daemon_is_seen() {
    let daemon = Daemon::start();
    let (check, status) = doctor(daemon.dir.path(), |_| {});
    assert_eq!(status, Some(0));
    let told = check("daemon");
    assert_eq!(told["result"], "ok");
    assert!(told["message"].as_str().unwrap().contains(&format!("process {}", daemon.pid())), "{told}");
    assert!(!told.to_string().contains(&daemon.token));
}

#[test]
fn people_get_a_short_table() {
    let dir = tempfile::tempdir().unwrap();
    let output = weir(dir.path()).arg("doctor").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.lines().next().unwrap().starts_with("ok    version     Weir "), "{text}");
    assert!(text.lines().count() < 30 && text.contains("→ run `weir install`"), "{text}");
}
