//! Who runs when: order, limits, times, quiet hours, and failures that are tried again, through the real daemon.

#![allow(clippy::unwrap_used, clippy::expect_used)]
#![allow(clippy::print_stderr, reason = "figures and what could not be tested are told")]

mod support;

use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use support::{Daemon, FileServer, eventually, noise, sha256, weir};

/// A site with one file of `kilobytes`.
fn site(kilobytes: usize) -> (tempfile::TempDir, FileServer, Vec<u8>) {
    let dir = tempfile::tempdir().unwrap();
    let bytes = noise(kilobytes * 1000, 11);
    std::fs::write(dir.path().join("data.bin"), &bytes).unwrap();
    let server = FileServer::start(dir.path());
    (dir, server, bytes)
}

fn act(daemon: &Daemon, id: i64, act: &str) -> u16 {
    daemon.call("POST", &format!("/download/{id}/{act}"), "").status
}

fn patch(daemon: &Daemon, id: i64, body: &Value) -> Value {
    let answer = daemon.call("PATCH", &format!("/download/{id}"), &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn settings(daemon: &Daemon, body: &Value) -> Value {
    let answer = daemon.call("PATCH", "/settings", &body.to_string());
    assert_eq!(answer.status, 200, "{}", answer.body);
    answer.json()
}

fn in_seconds(seconds: i64) -> String {
    (Timestamp::now() + SignedDuration::from_secs(seconds)).to_string()
}

/// Numbers of the rows of this status in the order of the queue.
fn order(daemon: &Daemon, status: &str) -> Vec<i64> {
    let rows = daemon.call("GET", &format!("/list?sort=position&status={status}"), "").json();
    rows.as_array().unwrap().iter().map(|row| row["id"].as_i64().unwrap()).collect()
}

#[test]
fn rows_run_in_the_order_they_were_put_in_and_keep_it() {
    let mut daemon = Daemon::start_with("max_active = 1");
    let (_dir, server, _) = site(300);
    let body = |name: &str, rate: u64| json!({ "url": server.url("data.bin"), "filename": name, "rate_limit": rate });
    let running = daemon.add(&body("first.bin", 20_000));
    daemon.wait_for(running, &["downloading"]);
    let ids: Vec<i64> = (0..4).map(|n| daemon.add(&body(&format!("{n}.bin"), 20_000))).collect();
    let [a, b, c, d] = ids[..] else { panic!() };
    assert_eq!(order(&daemon, "queued"), [a, b, c, d]);

    let mut watch = weir(daemon.dir.path()).args(["watch"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut frames = BufReader::new(watch.stdout.take().unwrap()).lines();
    assert!(frames.next().unwrap().unwrap().contains("snapshot"));
    let put = |id: i64, body: &Value| daemon.call("POST", &format!("/download/{id}/move"), &body.to_string());
    let moved = put(d, &json!({ "to": "first" }));
    assert_eq!((moved.status, moved.json()["id"].as_i64()), (200, Some(d)));
    assert_eq!(order(&daemon, "queued"), [d, a, b, c]);
    let told = frames.map_while(Result::ok).find_map(|frame| {
        let frame: Value = serde_json::from_str(&frame).unwrap();
        (frame["type"] == "download" && frame["download"]["id"] == d).then_some(frame)
    });
    assert_eq!(told.unwrap()["download"]["position"], moved.json()["position"]);
    watch.kill().unwrap();
    watch.wait().unwrap();
    put(d, &json!({ "to": "down" }));
    assert_eq!(order(&daemon, "queued"), [a, d, b, c]);
    put(c, &json!({ "to": "up" }));
    assert_eq!(order(&daemon, "queued"), [a, d, c, b]);
    put(a, &json!({ "to": "last" }));
    put(b, &json!({ "before": d }));
    assert_eq!(order(&daemon, "queued"), [b, d, c, a]);
    // A more urgent one is passed by taking on its urgency.
    patch(&daemon, d, &json!({ "priority": 5 }));
    assert_eq!(order(&daemon, "queued"), [d, b, c, a]);
    assert_eq!(put(c, &json!({ "to": "first" })).json()["priority"], 5);
    assert_eq!(order(&daemon, "queued"), [c, d, b, a]);

    for (id, body, status) in [
        (a, json!({}), 400),
        (a, json!({ "to": "first", "before": b }), 400),
        (a, json!({ "to": "nowhere" }), 400),
        (a, json!({ "before": 999 }), 404),
        (999, json!({ "to": "up" }), 404),
    ] {
        assert_eq!(put(id, &body).status, status, "{body}");
    }
    daemon.kill();
    daemon.launch();
    assert_eq!(order(&daemon, "queued,resolving,downloading"), [c, d, running, b, a], "it is stored");
    for id in [a, b, c, d, running] {
        patch(&daemon, id, &json!({ "rate_limit": 0 }));
    }
    let finished: Vec<String> = [c, d, running, b, a]
        .into_iter()
        .map(|id| daemon.wait_for(id, &["completed"])["finished_at"].as_str().unwrap().to_owned())
        .collect();
    assert!(finished.is_sorted(), "{finished:?}");
    let done = daemon.call("POST", &format!("/download/{a}/move"), r#"{"to":"first"}"#);
    assert_eq!((done.status, done.code().as_str()), (409, "illegal_transition"));
}

#[test]
fn a_busy_server_holds_up_nobody_elses_downloads() {
    let daemon = Daemon::start_with("max_active = 4\nmax_per_host = 1");
    let (_dir, busy, _) = site(300);
    let (_other_dir, other, _) = site(300);
    let slow = |server: &FileServer, name: &str| {
        daemon.add(&json!({ "url": server.url("data.bin"), "filename": name, "rate_limit": 30_000 }))
    };
    let first = slow(&busy, "1");
    let second = slow(&busy, "2");
    let third = slow(&busy, "3");
    let elsewhere = slow(&other, "4");
    daemon.wait_for(first, &["downloading"]);
    daemon.wait_for(elsewhere, &["downloading"]);
    assert_eq!(order(&daemon, "queued"), [second, third]);
    assert_eq!(settings(&daemon, &json!({ "max_per_host": 2 }))["max_per_host"], 2);
    daemon.wait_for(second, &["downloading"]);
    assert_eq!(order(&daemon, "queued"), [third]);
    for id in [first, second, elsewhere] {
        patch(&daemon, id, &json!({ "rate_limit": 0 }));
    }
    for id in [first, second, third, elsewhere] {
        patch(&daemon, id, &json!({ "rate_limit": 0 }));
        daemon.wait_for(id, &["completed"]);
    }
}

#[test]
fn a_row_waits_for_its_time() {
    let mut daemon = Daemon::start();
    let (_dir, server, bytes) = site(10);
    let add = |daemon: &Daemon, name: &str, start_at: &str| {
        daemon.add(&json!({ "url": server.url("data.bin"), "filename": name, "start_at": start_at }))
    };
    let soon = add(&daemon, "soon", &in_seconds(3));
    let row = daemon.row(soon);
    assert_eq!(row["status"], "queued");
    let due: Timestamp = row["start_at"].as_str().unwrap().parse().unwrap();
    let later: Vec<i64> = (0..4).map(|n| add(&daemon, &format!("later-{n}"), &in_seconds(3600))).collect();
    let past = add(&daemon, "past", "2001-01-01T00:00:00Z");
    assert_eq!(daemon.wait_for(past, &["completed"])["start_at"], Value::Null);

    // By hand at once, in three ways; and one that somebody paused.
    assert_eq!(patch(&daemon, later[0], &json!({ "start_at": null }))["start_at"], Value::Null);
    assert_eq!((act(&daemon, later[1], "resume"), act(&daemon, later[2], "retry")), (200, 200));
    assert_eq!(act(&daemon, later[3], "pause"), 200);
    assert!(daemon.row(later[3])["start_at"].is_string(), "a pause does not forget the time");
    assert_eq!(act(&daemon, later[3], "resume"), 200);
    for id in later {
        assert_eq!(daemon.wait_for(id, &["completed"])["sha256"], sha256(&bytes));
    }
    // Across a restart.
    let after = add(&daemon, "after", &in_seconds(3600));
    assert!(daemon.stop().success());
    daemon.launch();
    assert_eq!(daemon.row(after)["status"], "queued");
    assert!(daemon.row(after)["start_at"].is_string());
    daemon.wait_for(soon, &["completed"]);
    assert!(Timestamp::now() >= due, "not before its time");
    assert!(Timestamp::now() < due + SignedDuration::from_secs(5), "and not long after");
    assert_eq!(act(&daemon, after, "pause"), 200);
    assert_eq!(patch(&daemon, after, &json!({ "start_at": null }))["status"], "paused");
    let again = patch(&daemon, after, &json!({ "start_at": "2999-01-01T01:00:00+01:00" }));
    assert_eq!((&again["start_at"], &again["status"]), (&json!("2999-01-01T00:00:00Z"), &json!("queued")));
    for (body, status) in [(json!({ "start_at": "noon" }), 400), (json!({ "start_at": 5 }), 400)] {
        assert_eq!(daemon.call("PATCH", &format!("/download/{after}"), &body.to_string()).status, status);
    }
    assert_eq!(daemon.call("PATCH", &format!("/download/{soon}"), r#"{"start_at":null}"#).status, 409);
}

#[test]
fn what_may_mend_itself_is_tried_again_and_says_so() {
    let mut daemon = Daemon::start_with("retries = 0\nauto_retries = 2");
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let id = daemon.add(&json!({ "url": format!("http://127.0.0.1:{port}/data.bin") }));
    let waiting = |daemon: &Daemon| {
        eventually("a second chance", || {
            let row = daemon.row(id);
            assert_ne!(row["status"], "error", "{row}");
            (row["status"] == "queued" && row["error"].is_object()).then_some(row)
        })
    };
    let row = waiting(&daemon);
    assert_eq!(row["error"]["code"], "unreachable");
    let seconds = |row: &Value| {
        let due: Timestamp = row["start_at"].as_str().unwrap().parse().unwrap();
        due.duration_since(Timestamp::now()).as_secs()
    };
    assert!((10..=15).contains(&seconds(&row)), "{row}");
    assert_eq!(act(&daemon, id, "resume"), 200, "by hand at once");
    let row = waiting(&daemon);
    assert!((10..=15).contains(&seconds(&row)), "by hand it begins to count anew: {row}");
    // It remembers across a crash, and goes on by itself.
    daemon.kill();
    daemon.launch();
    assert_eq!(daemon.row(id)["error"]["code"], "unreachable");
    let row = eventually("the next try, by itself", || {
        let row = daemon.row(id);
        (row["status"] == "queued" && row["start_at"].is_string() && seconds(&row) > 40).then_some(row)
    });
    assert!((50..=60).contains(&seconds(&row)), "the second pause is longer: {row}");
    assert_eq!(settings(&daemon, &json!({ "auto_retries": 0 }))["auto_retries"], 0);
    assert_eq!(act(&daemon, id, "retry"), 200);
    assert_eq!(daemon.wait_for(id, &["error"])["start_at"], Value::Null);

    // Pausing one that waits forgets why it waited.
    settings(&daemon, &json!({ "auto_retries": null }));
    assert_eq!(act(&daemon, id, "retry"), 200);
    waiting(&daemon);
    assert_eq!(act(&daemon, id, "pause"), 200);
    let row = daemon.row(id);
    assert_eq!((&row["error"], &row["start_at"]), (&Value::Null, &Value::Null));
}

/// A server that wants to be left alone for an hour at `/busy`, and has `ok` everywhere else.
fn busy_server() -> u16 {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut reader = BufReader::new(stream.unwrap());
            let mut first = String::new();
            let mut line = String::new();
            while reader.read_line(&mut line).unwrap_or(0) > 2 {
                if first.is_empty() {
                    first.clone_from(&line);
                }
                line.clear();
            }
            let answer = if first.starts_with("GET /busy") {
                "HTTP/1.1 429 Too Many Requests\r\nRetry-After: 3600\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"
            } else {
                "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nok"
            };
            let _ = reader.into_inner().write_all(answer.as_bytes());
        }
    });
    port
}

#[test]
fn a_server_that_asks_for_a_long_pause_holds_up_nobody_behind() {
    // Also when nothing is to be tried twice within a download.
    let daemon = Daemon::start_with("max_active = 1\nretries = 0");
    let port = busy_server();
    let busy = daemon.add(&json!({ "url": format!("http://127.0.0.1:{port}/busy.bin"), "priority": 1 }));
    let behind = daemon.add(&json!({ "url": format!("http://127.0.0.1:{port}/fine.bin") }));
    daemon.wait_for(behind, &["completed"]);
    let row = daemon.row(busy);
    assert_eq!((&row["status"], &row["error"]["code"]), (&json!("queued"), &json!("http_status")), "{row}");
    assert!(row["error"]["message"].as_str().unwrap().contains("429"), "{row}");
    let due: Timestamp = row["start_at"].as_str().unwrap().parse().unwrap();
    let seconds = due.duration_since(Timestamp::now()).as_secs();
    assert!((3500..=3600).contains(&seconds), "{row}");
    assert_eq!(order(&daemon, "queued"), [busy]);
}

#[test]
fn a_server_that_comes_back_is_found_without_anybody_doing_anything() {
    let daemon = Daemon::start_with("retries = 0");
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    drop(listener);
    let id = daemon.add(&json!({ "url": format!("http://127.0.0.1:{port}/data.bin") }));
    eventually("the wait", || daemon.row(id)["start_at"].is_string().then_some(()));
    let listener = std::net::TcpListener::bind(("127.0.0.1", port)).unwrap();
    answer_all(listener);
    let row = daemon.wait_for(id, &["completed"]);
    assert_eq!((row["sha256"].as_str(), &row["error"]), (Some(sha256(b"there").as_str()), &Value::Null));
}

/// Answers every request with five bytes.
fn answer_all(listener: std::net::TcpListener) {
    std::thread::spawn(move || {
        use std::io::{Read as _, Write as _};
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = [0; 4096];
            let _ = stream.read(&mut head);
            let _ =
                stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nConnection: close\r\n\r\nthere");
        }
    });
}

#[test]
fn what_cannot_mend_itself_is_not_tried_again() {
    let daemon = Daemon::start();
    let (_dir, server, _) = site(1);
    let gone = daemon.add(&json!({ "url": server.url("missing.bin") }));
    let wrong =
        daemon.add(&json!({ "url": server.url("data.bin"), "checksum": format!("md5:{}", "0".repeat(32)) }));
    for id in [gone, wrong] {
        let row = daemon.wait_for(id, &["error"]);
        assert_eq!(row["start_at"], Value::Null, "{row}");
    }
}

#[test]
fn quiet_hours_hold_and_let_go_while_everything_runs() {
    let daemon = Daemon::start_with("[[quiet_hours]]\nfrom = \"00:00\"\nto = \"24:00\"\npause = true\n");
    let (_dir, server, bytes) = site(3000);
    let now = daemon.call("GET", "/settings", "").json()["now"].clone();
    assert_eq!(now, json!({ "rate_limit": null, "paused": true, "until": null }));
    let id = daemon.add(&json!({ "url": server.url("data.bin"), "rate_limit": 1_000_000 }));
    // Another command has been through the queue since; nothing was started by either.
    assert_eq!(act(&daemon, id, "resume"), 409);
    assert_eq!(daemon.row(id)["status"], "queued");
    let after = settings(&daemon, &json!({ "quiet_hours": null }));
    assert_eq!((&after["quiet_hours"], &after["now"]["paused"]), (&json!([]), &json!(false)));
    eventually("bytes", || (daemon.row(id)["received_bytes"].as_u64() > Some(500_000)).then_some(()));
    settings(&daemon, &json!({ "quiet_hours": [{ "from": "00:00", "to": "00:00", "pause": true }] }));
    let held = eventually("the pause", || {
        let row = daemon.row(id);
        (row["status"] == "queued" && row["speed"] == 0).then_some(row)
    });
    let received = held["received_bytes"].as_u64().unwrap();
    assert!(received > 500_000, "what has arrived is kept");
    let started = Instant::now();
    settings(
        &daemon,
        &json!({ "quiet_hours": [{ "from": "00:00", "to": "24:00", "rate_limit": 2_000_000 }] }),
    );
    assert_eq!(daemon.wait_for(id, &["completed"])["sha256"], sha256(&bytes));
    let least = Duration::from_secs_f64((3_000_000.0 - received as f64 - 300_000.0).max(0.0) / 1_000_000.0);
    assert!(started.elapsed() >= least, "its own limit still held");
}

#[test]
fn quiet_hours_begin_and_end_by_the_clock() {
    // The next full minute is at most one away, and the test must not take longer than that.
    let minute = |ahead: i64| {
        let zoned = jiff::Zoned::now() + SignedDuration::from_mins(ahead);
        zoned.strftime("%H:%M").to_string()
    };
    let into = jiff::Zoned::now().time().second();
    if into > 50 {
        std::thread::sleep(Duration::from_secs(u64::try_from(61 - into).unwrap()));
    }
    let daemon = Daemon::start();
    let (_dir, server, _) = site(10);
    settings(&daemon, &json!({ "quiet_hours": [{ "from": minute(0), "to": minute(1), "pause": true }] }));
    let id = daemon.add(&json!({ "url": server.url("data.bin") }));
    assert_eq!(daemon.row(id)["status"], "queued");
    let until: Timestamp =
        daemon.call("GET", "/settings", "").json()["now"]["until"].as_str().unwrap().parse().unwrap();
    let deadline = Instant::now() + Duration::from_secs(70);
    while daemon.row(id)["status"] != "completed" {
        assert!(Instant::now() < deadline, "the hours are over");
        std::thread::sleep(Duration::from_millis(50));
    }
    let late = Timestamp::now().duration_since(until).as_secs_f64();
    assert!((0.0..3.0).contains(&late), "{late} s after the end");
}

#[test]
fn an_idle_daemon_costs_nothing_even_with_rules_and_rows_that_wait() {
    let daemon = Daemon::start_with("[[quiet_hours]]\nfrom = \"03:00\"\nto = \"04:00\"\nrate_limit = 1000\n");
    let (_dir, server, _) = site(1);
    for n in 0..20 {
        daemon.add(&json!({ "url": server.url("data.bin"), "filename": format!("{n}"), "start_at": in_seconds(3600) }));
    }
    let ticks = || -> u64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", daemon.pid())).unwrap();
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
        fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap()
    };
    let before = ticks();
    std::thread::sleep(Duration::from_secs(5));
    // A hundredth of a second is the unit.
    assert!(ticks() - before <= 2, "{} ticks in five seconds", ticks() - before);
}

/// Measures the bytes of `ids` over `seconds` and gives the error against `rate`, as a fraction.
fn error_of(daemon: &Daemon, ids: &[i64], rate: f64, seconds: f64) -> f64 {
    let received = || ids.iter().map(|id| daemon.row(*id)["received_bytes"].as_u64().unwrap()).sum::<u64>();
    let (start, before) = (Instant::now(), received());
    std::thread::sleep(Duration::from_secs_f64(seconds));
    let (after, span) = (received(), start.elapsed().as_secs_f64());
    let error = (after - before) as f64 / (rate * span) - 1.0;
    eprintln!("{:+.2} % of {rate} bytes a second over {span:.1} s", error * 100.0);
    error
}

#[test]
fn limits_hold_for_one_and_for_all_and_change_while_they_do() {
    let daemon = Daemon::start();
    let (_dir, server, _) = site(40_000);
    let add = |name: &str| daemon.add(&json!({ "url": server.url("data.bin"), "filename": name }));
    settings(&daemon, &json!({ "rate_limit": 1_000_000 }));
    let ids = [add("1.bin"), add("2.bin"), add("3.bin")];
    for id in ids {
        eventually("bytes", || (daemon.row(id)["received_bytes"].as_u64() > Some(100_000)).then_some(()));
    }
    let all = error_of(&daemon, &ids, 1_000_000.0, 6.0);
    assert!(all.abs() <= 0.02, "all together: {all:+.3}");
    for id in &ids[1..] {
        assert_eq!(act(&daemon, *id, "pause"), 200);
    }
    settings(&daemon, &json!({ "rate_limit": null }));
    patch(&daemon, ids[0], &json!({ "rate_limit": 700_000 }));
    std::thread::sleep(Duration::from_millis(500));
    let one = error_of(&daemon, &ids[..1], 700_000.0, 6.0);
    assert!(one.abs() <= 0.02, "one alone: {one:+.3}");
    patch(&daemon, ids[0], &json!({ "rate_limit": 0 }));
    daemon.wait_for(ids[0], &["completed"]);
}

/// Runs a test of this file in a network of its own, where only the loopback is up; false when that is not allowed here.
fn in_own_network(name: &str) -> bool {
    let allowed = Command::new("unshare").args(["-rn", "ip", "link", "set", "lo", "up"]).output();
    if !allowed.is_ok_and(|done| done.status.success()) {
        eprintln!("not tested: networks of one's own are not allowed here");
        return false;
    }
    let program = std::env::current_exe().unwrap();
    let script = "ip link set lo up && exec \"$0\" --exact \"$1\" --ignored --nocapture";
    let status =
        Command::new("unshare").args(["-rn", "sh", "-c", script]).arg(program).arg(name).status().unwrap();
    assert!(status.success());
    true
}

#[test]
fn without_a_network_rows_wait_and_with_one_they_go_on() {
    in_own_network("without_a_network");
}

#[test]
#[ignore = "needs a network of its own, in which the test above runs it"]
fn without_a_network() {
    // No attempt is to be used up, so none is allowed.
    let daemon = Daemon::start_with("retries = 0\nauto_retries = 0");
    let listener = std::net::TcpListener::bind("0.0.0.0:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let far = daemon.add(&json!({ "url": format!("http://203.0.113.7:{port}/far.bin") }));
    let offline = |id: i64| {
        let row = eventually("the wait for the network", || {
            let row = daemon.row(id);
            assert_ne!(row["status"], "error", "{row}");
            (row["status"] == "queued" && row["error"].is_object()).then_some(row)
        });
        assert_eq!((&row["error"]["code"], &row["start_at"]), (&json!("offline"), &Value::Null));
    };
    offline(far);
    let (_dir, server, bytes) = site(10);
    let here = daemon.add(&json!({ "url": server.url("data.bin") }));
    assert_eq!(
        daemon.wait_for(here, &["completed"])["sha256"],
        sha256(&bytes),
        "what is near is not held up"
    );
    let other = daemon.add(&json!({ "url": "http://198.51.100.9/other.bin" }));
    offline(other);
    assert_eq!(act(&daemon, other, "resume"), 200, "by hand at once");
    offline(other);
    assert_eq!(act(&daemon, other, "cancel"), 200);
    assert_eq!(daemon.row(far)["status"], "queued");

    answer_all(listener);
    let ip = |arguments: &str| {
        let done = Command::new("ip").args(arguments.split(' ')).output().unwrap();
        assert!(done.status.success(), "ip {arguments}: {}", String::from_utf8_lossy(&done.stderr));
    };
    ip("link add out type veth peer name in");
    ip("addr add 203.0.113.7/24 dev out");
    ip("link set out up");
    ip("link set in up");
    ip("route add default via 203.0.113.1");
    assert_eq!(daemon.wait_for(far, &["completed"])["sha256"], sha256(b"there"));
}
