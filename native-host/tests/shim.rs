//! The native-messaging shim as a browser meets it: the real program on pipes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use support::{eventually, weir};

const CALLER: &str = "chrome-extension://ljphibfajlfhggimfakdofbkblhihipa/";

struct Port {
    child: Child,
    input: Option<ChildStdin>,
    output: ChildStdout,
}

impl Port {
    fn open(home: &Path, caller: &str) -> Self {
        let mut child = weir(home)
            .arg(caller)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let (input, output) = (child.stdin.take(), child.stdout.take().unwrap());
        Self { child, input, output }
    }

    fn send(&mut self, message: &Value) {
        let text = message.to_string();
        let mut frame = u32::try_from(text.len()).unwrap().to_ne_bytes().to_vec();
        frame.extend_from_slice(text.as_bytes());
        self.input.as_mut().unwrap().write_all(&frame).unwrap();
    }

    fn receive(&mut self) -> Value {
        let mut header = [0; 4];
        self.output.read_exact(&mut header).unwrap();
        let length = u32::from_ne_bytes(header) as usize;
        assert!(length <= 1024 * 1024);
        let mut body = vec![0; length];
        self.output.read_exact(&mut body).unwrap();
        serde_json::from_slice(&body).unwrap()
    }

    /// Exit status within two seconds; panics when it hangs.
    fn ends(&mut self) -> std::process::ExitStatus {
        let deadline = Instant::now() + Duration::from_secs(2);
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the shim does not end");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Port {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Ends the daemon a shim started.
struct Home(tempfile::TempDir);

impl Drop for Home {
    fn drop(&mut self) {
        let _ = weir(self.0.path()).arg("stop").stdout(Stdio::null()).status();
    }
}

fn hello() -> Value {
    json!({ "type": "hello", "version": "0.1.0", "protocol": 1 })
}

#[test]
fn hello_starts_a_daemon_that_outlives_the_browser() {
    let home = Home(tempfile::tempdir().unwrap());
    let mut port = Port::open(home.0.path(), CALLER);
    port.send(&hello());
    let answer = port.receive();
    assert_eq!(answer["type"], "hello", "{answer}");
    assert_eq!(answer["token"].as_str().unwrap().len(), 43);
    assert!(answer["url"].as_str().unwrap().starts_with("http://127.0.0.1:"));

    // A second hello finds the same daemon.
    let mut second = Port::open(home.0.path(), CALLER);
    second.send(&hello());
    assert_eq!(second.receive(), answer);

    // The browser goes: the shims end by themselves, the daemon stays.
    drop(port.input.take());
    drop(second.input.take());
    assert!(port.ends().success());
    assert!(second.ends().success());
    let status = weir(home.0.path()).args(["status", "--json"]).output().unwrap();
    assert!(status.status.success());
    let status: Value = serde_json::from_slice(&status.stdout).unwrap();
    assert_eq!(status["daemon"]["url"], answer["url"]);
}

#[test]
fn many_browsers_at_once_get_one_daemon() {
    let home = Home(tempfile::tempdir().unwrap());
    let mut ports: Vec<Port> = (0..8).map(|_| Port::open(home.0.path(), CALLER)).collect();
    for port in &mut ports {
        port.send(&hello());
    }
    let answers: Vec<Value> = ports.iter_mut().map(Port::receive).collect();
    for answer in &answers {
        assert_eq!(answer["type"], "hello", "{answer}");
        assert_eq!(answer["url"], answers[0]["url"]);
    }
}

#[test]
fn watch_relays_events_across_a_crash_of_the_daemon() {
    let home = Home(tempfile::tempdir().unwrap());
    let mut port = Port::open(home.0.path(), CALLER);
    port.send(&hello());
    assert_eq!(port.receive()["type"], "hello");
    port.send(&json!({ "type": "watch" }));
    assert_eq!(port.receive()["type"], "snapshot");
    let added =
        weir(home.0.path()).args(["add", "--paused", "--json", "http://127.0.0.1:9/a.bin"]).output().unwrap();
    assert!(added.status.success());
    let event = port.receive();
    assert_eq!(
        (event["type"].as_str(), event["download"]["filename"].as_str()),
        (Some("download"), Some("a.bin"))
    );

    let endpoint: Value =
        serde_json::from_slice(&std::fs::read(home.0.path().join("weir/endpoint.json")).unwrap()).unwrap();
    assert!(Command::new("kill").args(["-9", &endpoint["pid"].to_string()]).status().unwrap().success());
    let snapshot = port.receive();
    assert_eq!(snapshot["type"], "snapshot", "{snapshot}");
    assert_eq!(snapshot["downloads"][0]["filename"], "a.bin", "nothing is lost");

    // A stop on purpose is told, and nobody starts the daemon again.
    assert!(weir(home.0.path()).arg("stop").stdout(Stdio::null()).status().unwrap().success());
    let goodbye = port.receive();
    assert_eq!(goodbye["code"], "daemon_unavailable", "{goodbye}");
    assert!(port.ends().success(), "nothing is left to relay");
    std::thread::sleep(Duration::from_millis(300));
    assert!(!weir(home.0.path()).arg("status").stdout(Stdio::null()).status().unwrap().success());
}

#[test]
fn a_daemon_is_found_although_its_address_was_lost() {
    let home = Home(tempfile::tempdir().unwrap());
    assert!(weir(home.0.path()).args(["list"]).stdout(Stdio::null()).status().unwrap().success());
    let path = home.0.path().join("weir/endpoint.json");
    let before: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    for damaged in [
        Some("{"),
        Some("{\"url\":\"http://127.0.0.1:1\",\"port\":1,\"token\":\"x\",\"pid\":1,\"version\":\"0\"}"),
        None,
    ] {
        match damaged {
            Some(text) => std::fs::write(&path, text).unwrap(),
            None => std::fs::remove_file(&path).unwrap(),
        }
        let status = weir(home.0.path()).args(["status", "--json"]).output().unwrap();
        let status: Value = serde_json::from_slice(&status.stdout).unwrap();
        assert_eq!(status["daemon"]["pid"], before["pid"], "{damaged:?}");
    }
    let stopped = weir(home.0.path()).args(["stop", "--json"]).output().unwrap();
    assert_eq!(String::from_utf8_lossy(&stopped.stdout).trim(), "{\"stopped\":true}");
}

#[test]
fn strangers_learn_nothing_and_start_nothing() {
    let home = Home(tempfile::tempdir().unwrap());
    let mut port = Port::open(home.0.path(), "chrome-extension://abcdefghijklmnopabcdefghijklmnop/");
    port.send(&hello());
    let answer = port.receive();
    assert_eq!(answer["code"], "forbidden_extension");
    assert!(!home.0.path().join("weir/endpoint.json").exists());
}

#[test]
fn bad_frames_end_or_are_answered_but_never_hang() {
    let home = Home(tempfile::tempdir().unwrap());
    // Two in one write: nonsense, then a hello that is answered.
    let mut port = Port::open(home.0.path(), CALLER);
    let mut bytes = 0_u32.to_ne_bytes().to_vec();
    let text = hello().to_string();
    bytes.extend_from_slice(&u32::try_from(text.len()).unwrap().to_ne_bytes());
    bytes.extend_from_slice(text.as_bytes());
    for byte in bytes {
        port.input.as_mut().unwrap().write_all(&[byte]).unwrap();
    }
    assert_eq!(port.receive()["code"], "bad_frame");
    assert_eq!(port.receive()["type"], "hello");

    let mut port = Port::open(home.0.path(), CALLER);
    port.input.as_mut().unwrap().write_all(&u32::MAX.to_ne_bytes()).unwrap();
    assert_eq!(port.receive()["code"], "bad_frame");
    assert!(port.ends().success(), "nothing after an oversized claim can be trusted");

    let mut port = Port::open(home.0.path(), CALLER);
    port.input.as_mut().unwrap().write_all(&[7, 0]).unwrap();
    drop(port.input.take());
    assert!(port.ends().success());

    let mut port = Port::open(home.0.path(), CALLER);
    assert!(Command::new("kill").args(["-TERM", &port.child.id().to_string()]).status().unwrap().success());
    port.ends();
}

#[test]
fn a_stranger_on_a_stale_port_gets_no_token() {
    let home = Home(tempfile::tempdir().unwrap());
    assert!(weir(home.0.path()).args(["list"]).stdout(Stdio::null()).status().unwrap().success());
    let path = home.0.path().join("weir/endpoint.json");
    let endpoint: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    assert!(weir(home.0.path()).arg("stop").stdout(Stdio::null()).status().unwrap().success());

    // Somebody else took the port, and answers everything with a friendly 200.
    let thief = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let mut stale = endpoint.clone();
    stale["port"] = json!(thief.local_addr().unwrap().port());
    stale["url"] = json!(format!("http://{}", thief.local_addr().unwrap()));
    std::fs::write(&path, stale.to_string()).unwrap();
    let (heard, hears) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        for stream in thief.incoming().flatten() {
            let mut stream = stream;
            let mut request = vec![0; 4096];
            let count = stream.read(&mut request).unwrap_or(0);
            let _ = heard.send(String::from_utf8_lossy(&request[..count]).into_owned());
            let body = "{\"status\":\"ok\",\"proof\":\"00\"}";
            let _ = write!(
                stream,
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
                body.len()
            );
        }
    });
    let mut port = Port::open(home.0.path(), CALLER);
    port.send(&hello());
    let answer = port.receive();
    assert_eq!(answer["type"], "hello", "a daemon of our own was started: {answer}");
    assert_ne!(answer["url"], stale["url"]);
    let heard = eventually("the thief to be asked", || hears.try_recv().ok());
    assert!(heard.starts_with("GET /health?challenge="), "{heard}");
    assert!(!heard.contains(endpoint["token"].as_str().unwrap()));
}
