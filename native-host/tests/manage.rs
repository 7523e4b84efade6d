//! The commands that ask the daemon: what they hand over, what they print, how they end.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::process::Output;

use serde_json::Value;
use support::{Daemon, FileServer, sha256, weir};

fn run(daemon: &Daemon, arguments: &[&str]) -> Output {
    weir(daemon.dir.path()).args(arguments).output().unwrap()
}

fn lines(output: &Output) -> Vec<Value> {
    String::from_utf8_lossy(&output.stdout).lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn what_is_added_arrives_as_asked_for() {
    let site = tempfile::tempdir().unwrap();
    for name in ["a1", "a2", "b"] {
        std::fs::write(site.path().join(name), name).unwrap();
    }
    let server = FileServer::start(site.path());
    let daemon = Daemon::start();
    let sum = format!("sha256:{}", sha256(b"b"));
    let added = run(&daemon, &["add", "--json", "--directory", "sub", &server.url("a[1-2]")]);
    assert!(added.status.success(), "{}", String::from_utf8_lossy(&added.stderr));
    let rows = lines(&added);
    assert_eq!(rows.len(), 2);
    for row in &rows {
        daemon.wait_for(row["id"].as_i64().unwrap(), &["completed"]);
    }
    assert_eq!(std::fs::read(daemon.downloads().join("sub/a2")).unwrap(), b"a2");
    let arguments = [
        "add",
        "--json",
        "--checksum",
        &sum,
        "-o",
        "c.bin",
        "--user",
        "me:S3CRET",
        "--priority",
        "-3",
        &server.url("b"),
    ];
    let added = run(&daemon, &arguments);
    let id = lines(&added)[0]["id"].as_i64().unwrap();
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!((row["filename"].as_str(), row["priority"].as_i64()), (Some("c.bin"), Some(-3)));
    assert!(!row.to_string().contains("S3CRET"));
}

#[test]
fn one_that_waits_for_its_time_says_so() {
    let daemon = Daemon::start();
    let added = run(&daemon, &["add", "--json", "--start-at", "+2h", "http://127.0.0.1:1/a"]);
    let row = &lines(&added)[0];
    assert_eq!(row["status"], "queued");
    assert!(row["start_at"].is_string(), "{row}");
    let listed = String::from_utf8(run(&daemon, &["list"]).stdout).unwrap();
    assert!(listed.contains("not before"), "{listed}");
}

#[test]
fn the_queue_is_reordered_and_limited() {
    let daemon = Daemon::start();
    let add = |name: &str| {
        let url = format!("http://127.0.0.1:1/{name}");
        lines(&run(&daemon, &["add", "--json", "--start-at", "+2h", &url]))[0]["id"].as_i64().unwrap()
    };
    let (first, second) = (add("a"), add("b"));
    let moved = run(&daemon, &["move", "--json", &second.to_string(), "first"]);
    assert!(moved.status.success(), "{}", String::from_utf8_lossy(&moved.stderr));
    let place = |id: i64| daemon.row(id)["position"].as_i64().unwrap();
    assert!(place(second) < place(first));
    let limited = run(&daemon, &["limit", "500k", &first.to_string()]);
    assert!(limited.status.success(), "{}", String::from_utf8_lossy(&limited.stderr));
    assert_eq!(daemon.row(first)["rate_limit"], 500_000);
    assert!(run(&daemon, &["limit", "off", &first.to_string()]).status.success());
    assert_eq!(daemon.row(first)["rate_limit"], Value::Null);
    assert_eq!(run(&daemon, &["limit", "500k", "999"]).status.code(), Some(1));
    let all = run(&daemon, &["limit", "1M"]);
    assert_eq!(String::from_utf8_lossy(&all.stdout), "All downloads together: 1.0 MB/s\n");
    assert_eq!(lines(&run(&daemon, &["limit", "--json", "off"]))[0]["rate_limit"], Value::Null);
}

#[test]
fn removal_is_told_and_refusals_have_their_status() {
    let daemon = Daemon::start();
    let add = || {
        let added = run(&daemon, &["add", "--json", "--paused", "http://127.0.0.1:1/a"]);
        lines(&added)[0]["id"].as_i64().unwrap().to_string()
    };
    let (first, second) = (add(), add());
    let removed = run(&daemon, &["remove", "--json", &first, "999"]);
    assert_eq!(removed.status.code(), Some(1));
    assert_eq!(
        lines(&removed),
        [serde_json::json!({ "id": first.parse::<i64>().unwrap(), "removed": true })]
    );
    assert!(String::from_utf8_lossy(&run(&daemon, &["rm", &second]).stdout).contains("removed"));
    // What only the daemon can judge is a mistake all the same.
    let outside = run(&daemon, &["add", "--directory", "../x", "http://127.0.0.1:1/a"]);
    let said = String::from_utf8_lossy(&outside.stderr).into_owned();
    assert_eq!(outside.status.code(), Some(2), "{said}");
    let root = daemon.downloads().display().to_string();
    assert!(said.contains("--directory: ") && said.contains(&root) && !said.contains('`'), "{said}");
    let given_up = add();
    let cancelled = run(&daemon, &["cancel", &given_up]);
    assert!(!String::from_utf8_lossy(&cancelled.stdout).contains('%'));
}

#[test]
fn what_belongs_to_get_is_refused_by_name() {
    // Found before a daemon is started or asked.
    let home = tempfile::tempdir().unwrap();
    for flags in [
        &["--jobs", "4"][..],
        &["--limit-total", "1M"],
        &["--write-sha256"],
        &["--dry-run"],
        &["--save-failed", "list"],
    ] {
        let output = weir(home.path()).arg("add").args(flags).arg("http://127.0.0.1:9/a").output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(&format!("{} is for `weir get`", flags[0])), "{said}");
    }
    let help = weir(home.path()).args(["add", "--help"]).output().unwrap();
    let help = String::from_utf8(help.stdout).unwrap();
    assert!(help.contains("--jobs, --limit-total") && help.contains("--retries"), "{help}");
    assert!(!home.path().join("weir").exists(), "nothing was started");
}

#[test]
fn a_name_that_had_to_change_is_told() {
    let daemon = Daemon::start();
    let added = run(&daemon, &["add", "--json", "--paused", "-o", "what?.bin", "http://127.0.0.1:9/a"]);
    assert_eq!(lines(&added)[0]["filename"], "what_.bin");
    assert_eq!(String::from_utf8_lossy(&added.stderr), "weir: `what?.bin` became what_.bin\n");
}

#[test]
fn a_refused_command_is_told_as_a_sentence() {
    let daemon = Daemon::start_with("auto_retries = 0");
    let id = daemon.add(&serde_json::json!({ "url": "http://127.0.0.1:1/a", "retries": 0 })).to_string();
    daemon.wait_for(id.parse().unwrap(), &["error"]);
    let refused = run(&daemon, &["finish", &id]);
    assert_eq!(
        String::from_utf8_lossy(&refused.stderr),
        format!(
            "weir: {id}: Cannot finish a download that has failed; that is for live recordings, and for streams that \
             lost segments.\n"
        )
    );
}

#[test]
fn bash_completes_commands_and_flags() {
    let home = tempfile::tempdir().unwrap();
    let script = weir(home.path()).args(["completions", "bash"]).output().unwrap();
    assert!(script.status.success() && script.stderr.is_empty());
    let completed = |words: &[&str]| {
        let ask = format!(
            "{}\nCOMP_WORDS=({}); COMP_CWORD={}; _weir weir '{}' '{}'; printf '%s\\n' \"${{COMPREPLY[@]}}\"",
            String::from_utf8_lossy(&script.stdout),
            words.join(" "),
            words.len() - 1,
            words[words.len() - 1],
            words[words.len() - 2],
        );
        let output = std::process::Command::new("bash").args(["--norc", "-c", &ask]).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let text = String::from_utf8(output.stdout).unwrap();
        text.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(completed(&["weir", "compl"]), ["completions"]);
    assert_eq!(completed(&["weir", "add", "--retr"]), ["--retries"]);
    assert_eq!(completed(&["weir", "get", "--audio"]), ["--audio-lang"]);
    assert_eq!(completed(&["weir", "completions", "z"]), ["zsh"]);
    for shell in ["zsh", "fish", "powershell", "elvish"] {
        let output = weir(home.path()).args(["completions", shell]).output().unwrap();
        assert!(
            output.status.success() && String::from_utf8_lossy(&output.stdout).contains("keep-partial"),
            "{shell}"
        );
    }
    assert_eq!(weir(home.path()).args(["completions", "cmd"]).output().unwrap().status.code(), Some(2));
}

#[test]
fn a_new_token_holds_at_once() {
    let daemon = Daemon::start();
    let before = daemon.token.clone();
    let rotated = run(&daemon, &["token", "--rotate"]);
    assert!(rotated.status.success(), "{}", String::from_utf8_lossy(&rotated.stderr));
    let after = String::from_utf8(rotated.stdout).unwrap();
    assert_ne!(after.trim(), before);
    assert!(run(&daemon, &["status"]).status.success(), "the daemon runs again");
    let endpoint = std::fs::read_to_string(daemon.dir.path().join("weir/endpoint.json")).unwrap();
    assert!(endpoint.contains(after.trim()));
    assert!(run(&daemon, &["stop"]).status.success());
}

#[test]
fn without_a_display_the_address_is_given() {
    let daemon = Daemon::start();
    let opened = weir(daemon.dir.path()).env_remove("WAYLAND_DISPLAY").arg("open").output().unwrap();
    assert!(opened.status.success());
    assert!(String::from_utf8_lossy(&opened.stdout).contains("/#ticket="));
    assert!(String::from_utf8_lossy(&opened.stderr).contains("no display"));
}

#[test]
fn status_tells_of_settings_that_cannot_be_read() {
    let daemon = Daemon::start();
    let file = daemon.dir.path().join("weir/config.toml");
    let status = || {
        let output = run(&daemon, &["status"]);
        assert_eq!(output.status.code(), Some(0));
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    assert!(!status().contains("mistake"));
    std::fs::write(&file, "max_active = \"S3CRET\"").unwrap();
    let said = status();
    assert!(
        said.contains("mistake   settings (") && said.contains("config.toml") && said.contains("max_active"),
        "{said}"
    );
    let json = lines(&run(&daemon, &["status", "--json"])).remove(0);
    assert!(json["settings_error"].as_str().unwrap().contains("max_active"), "{json}");
}

#[test]
fn what_nobody_reads_is_added_all_the_same() {
    let daemon = Daemon::start();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let ended = weir(daemon.dir.path())
        .args(["add", "--paused", "http://127.0.0.1:9/{a,b,c}"])
        .stdout(writer)
        .status()
        .unwrap();
    assert_eq!(ended.code(), Some(0));
    assert_eq!(daemon.call("GET", "/list", "").json().as_array().unwrap().len(), 3);
}
