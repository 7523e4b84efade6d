//! `weir get` and `weir add`: what the flags make of a request, seen from a server that answers with what it was asked.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::Output;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use support::{Daemon, weir};

/// Answers every request with its own head and body; `/private` wants a login first.
fn mirror() -> u16 {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let port = listener.local_addr().unwrap().port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let stream = stream.unwrap();
            std::thread::spawn(move || answer(stream));
        }
    });
    port
}

fn answer(stream: TcpStream) {
    let mut reader = BufReader::new(stream);
    let mut asked = String::new();
    let mut length = 0;
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line).unwrap_or(0) == 0 {
            return;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap();
        }
        let end = line == "\r\n";
        asked += &line;
        if end {
            break;
        }
    }
    let mut body = vec![0; length];
    reader.read_exact(&mut body).unwrap();
    asked += &String::from_utf8_lossy(&body);
    let refused = asked.starts_with("GET /private") && !asked.to_lowercase().contains("\r\nauthorization:");
    let head = if refused {
        "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: Basic realm=\"x\"\r\nContent-Length: 0\r\nConnection: close\r\n\r\n".to_owned()
    } else {
        format!(
            "HTTP/1.1 200 OK\r\nContent-Type: application/octet-stream\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
            asked.len()
        )
    };
    let mut stream = reader.into_inner();
    let _ = stream.write_all(head.as_bytes());
    if !refused {
        let _ = stream.write_all(asked.as_bytes());
    }
}

fn get(home: &Path, arguments: &[&str]) -> Output {
    let mut command = weir(home);
    // No proxy of the machine stands between.
    for key in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(key);
    }
    command
        .args(["get", "-d"])
        .arg(home.join("into"))
        .args(["-o", "asked.txt"])
        .args(arguments)
        .output()
        .unwrap()
}

/// What the server was asked with these arguments: its lines, header names in lower case.
fn asked(arguments: &[&str]) -> Vec<String> {
    let dir = tempfile::tempdir().unwrap();
    let output = get(dir.path(), arguments);
    assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    let text = std::fs::read_to_string(dir.path().join("into/asked.txt")).unwrap();
    text.lines()
        .map(|line| match line.split_once(": ") {
            Some((name, value)) => format!("{}: {value}", name.to_lowercase()),
            None => line.to_owned(),
        })
        .collect()
}

#[test]
fn headers_cookies_and_bodies_are_sent_as_given() {
    let port = mirror();
    let url = format!("http://127.0.0.1:{port}/a");
    let dir = tempfile::tempdir().unwrap();
    let jar = dir.path().join("cookies.txt");
    std::fs::write(&jar, "127.0.0.1\tFALSE\t/\tFALSE\t0\tsession\tabc\n").unwrap();
    let lines = asked(&[
        "--header",
        "X-One: 1",
        "--referer",
        "http://page.example/",
        "--user-agent",
        "Someone/1",
        "--cookies",
        jar.to_str().unwrap(),
        &url,
    ]);
    for line in [
        "GET /a HTTP/1.1",
        "x-one: 1",
        "referer: http://page.example/",
        "user-agent: Someone/1",
        "cookie: session=abc",
    ] {
        assert!(lines.iter().any(|found| found == line), "{line} in {lines:?}");
    }
    let body = dir.path().join("body");
    std::fs::write(&body, "from=file").unwrap();
    for (given, sent) in [("a=b&c", "a=b&c"), (&format!("@{}", body.display()), "from=file")] {
        let lines = asked(&["--post-data", given, &url]);
        assert_eq!(lines.first().map(String::as_str), Some("POST /a HTTP/1.1"));
        assert_eq!(lines.last().map(String::as_str), Some(sent));
    }
}

#[test]
fn a_list_says_how_each_of_its_files_is_asked_for() {
    let port = mirror();
    let dir = tempfile::tempdir().unwrap();
    let list = dir.path().join("list");
    let text = format!(
        "http://127.0.0.1:{port}/a\n  out=a.txt\n  header=X-One: of the list\n  referer=http://own.example/\n  user-agent=Own/1\n\
         http://127.0.0.1:{port}/private\n  out=b.txt\n  http-user=me\n  http-passwd=secret\n"
    );
    std::fs::write(&list, text).unwrap();
    let output = weir(dir.path())
        .args(["get", "-d"])
        .arg(dir.path())
        .args(["--referer", "http://all.example/", "--header", "X-Two: of all", "-i"])
        .arg(&list)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let first = std::fs::read_to_string(dir.path().join("a.txt")).unwrap().to_lowercase();
    for line in ["x-one: of the list", "x-two: of all", "referer: http://own.example/", "user-agent: own/1"] {
        assert!(first.contains(line), "{line} in {first}");
    }
    assert!(!first.contains("all.example") && !first.contains("authorization"), "{first}");
    let second = std::fs::read_to_string(dir.path().join("b.txt")).unwrap();
    // `me:secret` in Base64.
    assert!(second.contains("Basic bWU6c2VjcmV0") && second.contains("http://all.example/"), "{second}");
}

#[test]
fn a_login_goes_to_the_server_that_asks() {
    let port = mirror();
    let url = format!("http://127.0.0.1:{port}/private");
    let dir = tempfile::tempdir().unwrap();
    let refused = get(dir.path(), &[&url]);
    assert_eq!(refused.status.code(), Some(1));
    for arguments in [&["--user", "me:secret"][..], &["--netrc"]] {
        let dir = tempfile::tempdir().unwrap();
        // The home of the command is this folder.
        std::fs::write(dir.path().join(".netrc"), "machine 127.0.0.1 login me password secret\n").unwrap();
        let output = get(dir.path(), &[arguments, &[url.as_str()]].concat());
        assert!(output.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
        let asked = std::fs::read_to_string(dir.path().join("into/asked.txt")).unwrap();
        assert!(asked.contains("Basic bWU6c2VjcmV0"), "{asked}");
    }
}

#[test]
fn the_daemon_looks_for_logins_where_the_command_says() {
    let url = format!("http://127.0.0.1:{}/private", mirror());
    let daemon = Daemon::start_with("auto_retries = 0");
    let logins = daemon.dir.path().join("logins");
    std::fs::write(&logins, "machine 127.0.0.1 login me password secret\n").unwrap();
    let add = |netrc: Option<&str>| {
        let mut command = weir(daemon.dir.path());
        command
            .current_dir(daemon.dir.path())
            .args(["add", "--json", "-o", "asked.txt"])
            .args(netrc)
            .arg(&url);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let row: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
        daemon.wait_for(row["id"].as_i64().unwrap(), &["completed", "error"])
    };
    assert_eq!(add(None)["error"]["code"], "login_required");
    // Relative to where the command was given, not to where the daemon was started.
    let row = add(Some("--netrc=logins"));
    assert_eq!(row["status"], "completed", "{row}");
    let asked = std::fs::read_to_string(row["path"].as_str().unwrap()).unwrap();
    assert!(asked.contains("Basic bWU6c2VjcmV0") && !row.to_string().contains("logins"), "{asked} {row}");
}

#[test]
fn the_daemon_gives_up_when_the_command_says() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://{}/f", listener.local_addr().unwrap());
    let attempts = Arc::new(AtomicUsize::new(0));
    std::thread::spawn({
        let attempts = Arc::clone(&attempts);
        move || {
            for stream in listener.incoming() {
                attempts.fetch_add(1, Ordering::SeqCst);
                drop(stream);
            }
        }
    });
    let daemon = Daemon::start_with("auto_retries = 0");
    for (flags, wanted) in [(&["--retries", "0"][..], 1), (&["--retries", "2", "--timeout", "20"], 3)] {
        attempts.store(0, Ordering::SeqCst);
        let output =
            weir(daemon.dir.path()).args(["add", "--json", "--paused"]).args(flags).arg(&url).output();
        let row: serde_json::Value = serde_json::from_slice(&output.unwrap().stdout).unwrap();
        let id = row["id"].as_i64().unwrap();
        for told in [&row, &daemon.row(id)] {
            assert_eq!(
                (&told["retries"], told["timeout_s"].as_u64()),
                (&(wanted - 1).into(), (wanted > 1).then_some(20))
            );
        }
        assert_eq!(daemon.call("POST", &format!("/download/{id}/resume"), "").status, 200);
        daemon.wait_for(id, &["error"]);
        assert_eq!(attempts.load(Ordering::SeqCst), wanted);
    }
}

#[test]
fn a_proxy_is_gone_through() {
    let port = mirror();
    let lines = asked(&["--proxy", &format!("http://127.0.0.1:{port}"), "http://somewhere.invalid/a"]);
    assert_eq!(lines.first().map(String::as_str), Some("GET http://somewhere.invalid/a HTTP/1.1"));
}

/// `weir get` of a home with this `config.toml` and environment, and the head that the server was asked with.
fn asked_with(config: &str, environment: &[(&str, &str)], arguments: &[&str]) -> (Output, String) {
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join("weir")).unwrap();
    std::fs::write(dir.path().join("weir/config.toml"), config).unwrap();
    let mut command = weir(dir.path());
    for key in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"] {
        command.env_remove(key);
    }
    command.envs(environment.iter().copied()).args(["get", "-o", "asked.txt", "-d"]).arg(dir.path());
    let output = command.args(arguments).output().unwrap();
    let text = std::fs::read_to_string(dir.path().join("asked.txt")).unwrap_or_default();
    (output, text)
}

#[test]
fn the_settings_hold_unless_a_flag_says_otherwise() {
    let port = mirror();
    let proxy = format!("http://127.0.0.1:{port}");
    let config = format!("proxy = \"{proxy}\"\n");
    let (far, near) = ("http://somewhere.invalid/a", format!("http://127.0.0.1:{port}/b"));
    let first = |text: &str| text.lines().next().unwrap_or_default().to_owned();
    let through = format!("GET {far} HTTP/1.1");
    assert_eq!(first(&asked_with(&config, &[], &[far]).1), through);
    assert_eq!(first(&asked_with("", &[("WEIR_PROXY", &proxy)], &[far]).1), through);
    assert_eq!(first(&asked_with(&config, &[], &["--proxy", "none", &near]).1), "GET /b HTTP/1.1");
    // Nobody listens there: the flag is what counts.
    assert_eq!(
        first(&asked_with("proxy = \"http://127.0.0.1:9\"", &[], &["--proxy", &proxy, far]).1),
        through
    );

    let logins = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(logins.path(), "machine 127.0.0.1 login me password secret\n").unwrap();
    let config = format!("netrc = \"{}\"", logins.path().display());
    let private = format!("http://127.0.0.1:{port}/private");
    assert!(asked_with(&config, &[], &[&private]).1.contains("Basic bWU6c2VjcmV0"));
    let refused = asked_with("", &[], &[&private]).0;
    let said = String::from_utf8_lossy(&refused.stderr).into_owned();
    assert!(said.contains("--user") && said.contains("--netrc") && !said.contains("same command"), "{said}");
}

#[test]
fn a_name_is_taken_as_it_is_given() {
    let dir = tempfile::tempdir().unwrap();
    let url = format!("http://127.0.0.1:{}/p.bin", mirror());
    let output = weir(dir.path()).args(["get", "-o", "px", "-d"]).arg(dir.path()).arg(&url).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dir.path().join("px").is_file());
    let list = dir.path().join("list");
    std::fs::write(&list, format!("{url}\n  out=listed\n")).unwrap();
    let output = weir(dir.path()).args(["get", "-d"]).arg(dir.path()).arg("-i").arg(&list).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert!(dir.path().join("listed").is_file());
}

#[test]
fn retries_of_the_settings_are_counted() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/a", listener.local_addr().unwrap().port());
    let asked = std::sync::Arc::new(std::sync::atomic::AtomicU32::new(0));
    let count = std::sync::Arc::clone(&asked);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 4096]);
            count.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
            let _ = stream.write_all(
                b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
            );
        }
    });
    for (config, arguments, expected) in
        [("retries = 1", vec![url.as_str()], 2), ("retries = 5", vec!["--retries", "0", url.as_str()], 1)]
    {
        asked.store(0, std::sync::atomic::Ordering::SeqCst);
        let (output, _) = asked_with(config, &[], &arguments);
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(asked.load(std::sync::atomic::Ordering::SeqCst), expected, "{config}");
        assert!(String::from_utf8_lossy(&output.stderr).contains("Run the same command again."));
    }
}

#[test]
fn broken_settings_are_told_and_nothing_is_fetched() {
    let url = format!("http://127.0.0.1:{}/a", mirror());
    for (config, environment, key) in [
        ("port = 1\nmax_active = \"S3CRET\"", vec![], "line 2: max_active"),
        ("proxy = \"ftp://me:S3CRET@h\"", vec![], "proxy"),
        ("prxy = 1", vec![], "prxy"),
        ("", vec![("WEIR_RETRIES", "many")], "WEIR_RETRIES"),
    ] {
        let (output, text) = asked_with(config, &environment, &[&url]);
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains(key) && !said.contains("me:"), "{said}");
        assert_eq!(text, "");
    }
}

#[test]
fn a_silent_server_is_given_up_in_the_time_that_was_said() {
    let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
    let url = format!("http://127.0.0.1:{}/a", listener.local_addr().unwrap().port());
    let dir = tempfile::tempdir().unwrap();
    let started = std::time::Instant::now();
    let output = get(dir.path(), &["--timeout", "1", "--retries", "0", &url]);
    assert_eq!(output.status.code(), Some(1));
    assert!(started.elapsed().as_secs() < 10, "{:?}", started.elapsed());
}
