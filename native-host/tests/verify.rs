//! `weir verify`: finished files are looked at later, with the daemon and without.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};
use support::{Daemon, FileServer, noise, sha256, weir};

fn verify(home: &Path, arguments: &[&str]) -> Output {
    weir(home).current_dir(home).arg("verify").args(arguments).output().unwrap()
}

/// `(exit status, result of each file)`.
fn results(home: &Path, arguments: &[&str]) -> (Option<i32>, Vec<String>) {
    let mut all = vec!["--json"];
    all.extend(arguments);
    let output = verify(home, &all);
    let results = String::from_utf8(output.stdout).unwrap();
    let results = results
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap()["result"].as_str().unwrap().to_owned());
    (output.status.code(), results.collect())
}

#[test]
fn the_history_is_checked_with_the_daemon_and_without() {
    let site = tempfile::tempdir().unwrap();
    let bytes = noise(3_000_000, 9);
    for name in ["a.bin", "b.bin", "c.bin"] {
        std::fs::write(site.path().join(name), &bytes).unwrap();
    }
    let server = FileServer::start(site.path());
    let mut daemon = Daemon::start();
    let ids: Vec<i64> = ["a.bin", "b.bin", "c.bin"]
        .iter()
        .map(|name| {
            let id = daemon.add(&json!({ "url": server.url(name) }));
            daemon.wait_for(id, &["completed"]);
            id
        })
        .collect();
    let home = daemon.dir.path().to_owned();
    assert_eq!(results(&home, &["--all"]), (Some(0), vec!["whole".into(); 3]));

    // One flipped bit, one file gone, one untouched.
    let changed = daemon.downloads().join("a.bin");
    let mut wrong = bytes;
    wrong[1_234_567] ^= 1;
    std::fs::write(&changed, &wrong).unwrap();
    std::fs::remove_file(daemon.downloads().join("b.bin")).unwrap();
    let named: Vec<String> = ids.iter().map(ToString::to_string).collect();
    let named: Vec<&str> = named.iter().map(String::as_str).collect();
    let told = (Some(1), vec!["changed".to_owned(), "missing".into(), "whole".into()]);
    assert_eq!(results(&home, &named), told);
    assert_eq!(results(&home, &[named[2]]), (Some(0), vec!["whole".into()]));
    assert_eq!(results(&home, &[named[2], "999"]), (Some(1), vec!["whole".into()]));
    // A path is as good as a number.
    assert_eq!(results(&home, &["downloads/a.bin"]), (Some(1), vec!["changed".into()]));

    assert!(daemon.stop().success());
    assert_eq!(results(&home, &named), told, "read from the store");
    assert!(!home.join("weir/endpoint.json").exists(), "no daemon was started for it");
    let human = String::from_utf8(verify(&home, &["--all"]).stdout).unwrap();
    assert!(human.contains("missing") && human.contains("b.bin"), "{human}");
}

#[test]
fn plain_files_are_checked_by_the_hash_beside_them_or_given() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("a.bin"), b"abc").unwrap();
    assert_eq!(results(dir.path(), &["a.bin"]), (Some(1), vec!["not_recorded".into()]));
    assert!(!dir.path().join("weir").exists(), "looking at a file makes no home");
    std::fs::write(dir.path().join("a.bin.sha256"), format!("{}  a.bin\n", sha256(b"abc"))).unwrap();
    assert_eq!(results(dir.path(), &["a.bin", "b.bin"]), (Some(1), vec!["whole".into(), "missing".into()]));
    let md5 = "md5:900150983cd24fb0d6963f7d28e17f72";
    assert_eq!(results(dir.path(), &["--checksum", md5, "a.bin"]), (Some(0), vec!["whole".into()]));
    std::fs::write(dir.path().join("a.bin"), b"abd").unwrap();
    assert_eq!(results(dir.path(), &["a.bin"]), (Some(1), vec!["changed".into()]));
    assert_eq!(results(dir.path(), &["--checksum", md5, "a.bin"]), (Some(1), vec!["changed".into()]));
    for wrong in [
        &["--checksum", "sidecar", "a.bin"][..],
        &["--checksum", md5, "a.bin", "b.bin"],
        &["--checksum", md5, "--all"],
    ] {
        assert_eq!(verify(dir.path(), wrong).status.code(), Some(2), "{wrong:?}");
    }
}
