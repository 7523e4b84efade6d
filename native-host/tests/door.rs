//! Who may enter: the attacks a loopback server meets, against the real daemon.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::io::{Read as _, Write as _};
use std::net::TcpStream;

use serde_json::json;
use support::{Daemon, eventually};

const EXTENSION: &str = "chrome-extension://ljphibfajlfhggimfakdofbkblhihipa";

#[test]
fn each_check_answers_before_the_next() {
    let daemon = Daemon::start();
    let evil = ("Origin", "https://evil.example");
    let text = ("Content-Type", "text/plain");
    let wrong = ("Authorization", "Bearer wrong");
    // Everything is wrong; one thing after the other is put right.
    let mut request = format!(
        "GET /download HTTP/1.1\r\nHost: evil:{}\r\nOrigin: x\r\nContent-Length: 2\r\n\r\n{{}}",
        daemon.port
    );
    assert_eq!(daemon.raw(request.as_bytes()).status, 421);
    request = request.replace("Host: evil", "Host: 127.0.0.1");
    assert_eq!(daemon.raw(request.as_bytes()).status, 403);
    assert_eq!(daemon.request("GET", "/download", &[text, wrong], "{}").status, 405);
    assert_eq!(daemon.request("POST", "/download", &[text, wrong], "{}").status, 415);
    assert_eq!(
        daemon.request("POST", "/download", &[("Content-Type", "application/json"), wrong], "{}").status,
        401
    );
    assert_eq!(
        daemon.request("POST", "/download", &[evil, ("Content-Type", "application/json")], "{}").status,
        403
    );
    assert_eq!(daemon.request("POST", "/nowhere", &[text, wrong], "{}").status, 415);
    assert_eq!(daemon.request("POST", "/nowhere", &[wrong], "").status, 401);
    assert_eq!(daemon.call("POST", "/nowhere", "").status, 404);
    assert_eq!(daemon.call("POST", "/download", "{}").status, 400);
    let large = format!("{{\"url\":\"{}\"}}", "a".repeat(1024 * 1024));
    assert_eq!(daemon.call("POST", "/download", &large).status, 413);
    assert_eq!(daemon.call("GET", "/list", "").json(), json!([]), "nothing has happened");
}

#[test]
fn names_that_are_not_ours_are_refused_everywhere() {
    let daemon = Daemon::start();
    let port = daemon.port;
    let hosts = [
        format!("evil.example:{port}"),
        format!("127.0.0.1.evil.example:{port}"),
        format!("0.0.0.0:{port}"),
        format!("127.1:{port}"),
        format!("2130706433:{port}"),
        format!("[::ffff:127.0.0.1]:{port}"),
        format!("localhost.:{port}"),
        "127.0.0.1:1".to_owned(),
        "127.0.0.1".to_owned(),
    ];
    for path in ["/", "/health", "/list", "/ws", "/nowhere", "/page.css", "/download/1"] {
        for host in &hosts {
            let request = format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Forwarded-Host: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
            );
            let answer = daemon.raw(request.as_bytes());
            assert_eq!((answer.status, answer.code().as_str()), (421, "wrong_host"), "{path} for {host}");
        }
        let doubled = format!(
            "GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        );
        assert!([400, 421].contains(&daemon.raw(doubled.as_bytes()).status));
        let missing = format!("GET {path} HTTP/1.1\r\nConnection: close\r\n\r\n");
        assert!([400, 421].contains(&daemon.raw(missing.as_bytes()).status));
        let absolute = format!(
            "GET http://evil.example{path} HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nConnection: close\r\n\r\n"
        );
        assert_eq!(daemon.raw(absolute.as_bytes()).status, 421);
    }
    for host in [format!("localhost:{port}"), format!("[::1]:{port}")] {
        let request = format!("GET /health HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n");
        assert_eq!(daemon.raw(request.as_bytes()).status, 200);
    }
}

#[test]
fn no_other_site_reads_or_writes() {
    let daemon = Daemon::start();
    let port = daemon.port;
    let bearer = format!("Bearer {}", daemon.token);
    let origins = [
        "https://evil.example".to_owned(),
        "null".to_owned(),
        format!("http://127.0.0.1:{}", port ^ 1),
        format!("http://localhost:{port}"),
        format!("https://127.0.0.1:{port}"),
        "http://localhost.evil.example".to_owned(),
        "chrome-extension://abcdefghijklmnopabcdefghijklmnop".to_owned(),
        format!("{EXTENSION}.evil"),
    ];
    for origin in &origins {
        for (method, path) in [
            ("GET", "/list"),
            ("POST", "/download"),
            ("OPTIONS", "/list"),
            ("GET", "/"),
            ("GET", "/health"),
            ("GET", "/nowhere"),
        ] {
            let answer = daemon.request(method, path, &[("Origin", origin), ("Authorization", &bearer)], "");
            assert_eq!(
                (answer.status, answer.code().as_str()),
                (403, "forbidden_origin"),
                "{method} {path} from {origin}"
            );
            assert_eq!(answer.header("access-control-allow-origin"), None);
        }
    }
    for site in ["cross-site", "same-site", "anything"] {
        assert_eq!(
            daemon
                .request("GET", "/list", &[("Sec-Fetch-Site", site), ("Authorization", &bearer)], "")
                .status,
            403,
            "{site}"
        );
    }
    let extension = daemon.request(
        "GET",
        "/list",
        &[("Origin", EXTENSION), ("Sec-Fetch-Site", "cross-site"), ("Authorization", &bearer)],
        "",
    );
    assert_eq!((extension.status, extension.header("access-control-allow-origin")), (200, Some(EXTENSION)));
    let preflight = daemon.request(
        "OPTIONS",
        "/list",
        &[("Origin", EXTENSION), ("Access-Control-Request-Method", "GET")],
        "",
    );
    assert_eq!((preflight.status, preflight.header("access-control-allow-origin")), (204, Some(EXTENSION)));
    let own = daemon.request("GET", "/list", &[("Authorization", &bearer)], "");
    assert_eq!((own.status, own.header("access-control-allow-origin")), (200, None));
}

#[test]
fn the_door_describes_itself_to_whoever_may_knock() {
    let daemon = Daemon::start();
    let plain = |path: &str| daemon.request("GET", path, &[], "");
    let document = plain("/openapi.json").json();
    // What is described as open answers without a token, and nothing else does.
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let place = path.replace("{id}", "1").replace("{file}", "init.js");
            let status = daemon.request(&method.to_uppercase(), &place, &[], "").status;
            let open = operation["security"] == json!([]);
            assert_eq!(status == 401, !open, "{method} {place}: {status}");
            // The companion page is there once it was built.
            assert!(status != 405 && (status != 404 || path == "/"), "{method} {place}: {status}");
        }
    }
    // A body that is described as required is, and one that is not may be left out.
    let mut bodies = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        for (method, operation) in methods.as_object().unwrap() {
            let Some(required) = operation["requestBody"]["required"].as_bool() else { continue };
            bodies += 1;
            let place = format!("{}?url=http://127.0.0.1:1/a", path.replace("{id}", "1"));
            let answer = daemon.call(&method.to_uppercase(), &place, "");
            assert_eq!(answer.status == 400, required, "{method} {place}: {}", answer.body);
        }
    }
    assert_eq!(bodies, 6);
    let page = plain("/docs");
    assert_eq!(plain("/docs/").body, page.body);
    assert_eq!((page.status, page.header("content-type")), (200, Some("text/html; charset=utf-8")));
    for piece in page.body.split(['"', '\'']).filter(|piece| piece.starts_with("/docs/")) {
        let packed = daemon.request("GET", piece, &[("Accept-Encoding", "gzip")], "");
        let unpacked = plain(piece);
        assert_eq!((packed.status, unpacked.status), (200, 200), "{piece}");
        let policy = unpacked.header("content-security-policy").unwrap();
        assert!(policy.contains("connect-src 'self'") && !policy.contains("unsafe-eval"), "{policy}");
        if packed.header("content-encoding") == Some("gzip") {
            assert!(unpacked.header("content-encoding").is_none());
            let tag = packed.header("etag").unwrap();
            assert_eq!(daemon.request("GET", piece, &[("If-None-Match", tag)], "").status, 304);
        }
    }
    assert_eq!(plain("/docs/index.html").status, 404);
    let evil = [("Origin", "https://evil.example")];
    for path in ["/docs", "/docs/", "/openapi.json", "/docs/init.js"] {
        assert_eq!(daemon.request("GET", path, &evil, "").status, 403, "{path}");
    }
    let body = json!({ "url": "http://127.0.0.1:1/a", "netrc": "/etc/hostname", "paused": true }).to_string();
    assert_eq!(daemon.call("POST", "/download", &body).status, 201);
}

#[test]
fn every_answer_is_dressed() {
    let daemon = Daemon::start();
    for (method, path) in [
        ("GET", "/"),
        ("GET", "/health"),
        ("GET", "/list"),
        ("GET", "/nowhere"),
        ("POST", "/list"),
        ("GET", "/download/1"),
    ] {
        let answer = daemon.call(method, path, "");
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"), "{method} {path}");
        assert_eq!(answer.header("x-frame-options"), Some("DENY"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cross-origin-resource-policy"), Some("same-origin"));
        assert!(answer.header("content-security-policy").unwrap().contains("frame-ancestors 'none'"));
    }
    assert_eq!(daemon.call("GET", "/list", "").header("cache-control"), Some("no-store"));
}

#[test]
fn mutating_routes_take_post_only_and_json_only() {
    let daemon = Daemon::start();
    for path in [
        "/download",
        "/download/1/pause",
        "/download/1/resume",
        "/download/1/cancel",
        "/download/1/retry",
        "/download/1/open",
        "/download/1/show",
        "/meta",
        "/session/ticket",
        "/session",
    ] {
        for method in ["GET", "HEAD", "PUT", "DELETE"] {
            assert_eq!(daemon.call(method, path, "").status, 405, "{method} {path}");
        }
        for kind in ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=b"] {
            let bearer = format!("Bearer {}", daemon.token);
            let answer = daemon.request(
                "POST",
                path,
                &[("Content-Type", kind), ("Authorization", &bearer)],
                "{\"url\":\"http://h/\"}",
            );
            assert_eq!(answer.status, 415, "{path} as {kind}");
        }
    }
    assert_eq!(daemon.call("GET", "/list", "").json(), json!([]));
}

#[test]
fn tokens_are_whole_and_guessing_is_slow() {
    let daemon = Daemon::start();
    let token = daemon.token.clone();
    for wrong in ["", &token[..token.len() - 1], &format!("{token}x"), &token.to_uppercase()] {
        assert_eq!(
            daemon.request("GET", "/list", &[("Authorization", &format!("Bearer {wrong}"))], "").status,
            401,
            "{wrong}"
        );
    }
    assert_eq!(daemon.request("GET", &format!("/list?token={token}"), &[], "").status, 401, "not by address");
    let refusals: Vec<u16> = (0..150)
        .map(|n| daemon.request("GET", "/list", &[("Authorization", &format!("Bearer {n}"))], "").status)
        .collect();
    assert!(refusals.iter().all(|status| [401, 429].contains(status)));
    assert_eq!(refusals.last(), Some(&429));
    assert_eq!(daemon.call("GET", "/list", "").status, 200, "the right one always gets in");
    assert_eq!(daemon.request("GET", "/list", &[], "").status, 401, "none at all is not a guess");
}

/// Trades a ticket for a cookie.
fn session(daemon: &Daemon) -> String {
    let ticket = daemon.call("POST", "/session/ticket", "").json();
    assert!(ticket["url"].as_str().unwrap().contains("/#ticket="), "in the fragment");
    let body = json!({ "ticket": ticket["ticket"] }).to_string();
    let answer = daemon.request("POST", "/session", &[("Content-Type", "application/json")], &body);
    assert_eq!(answer.status, 204, "{}", answer.body);
    let again = daemon.request("POST", "/session", &[("Content-Type", "application/json")], &body);
    assert_eq!(again.status, 401, "a ticket opens once");
    let cookie = answer.header("set-cookie").unwrap();
    assert!(cookie.contains("HttpOnly") && cookie.contains("SameSite=Strict"), "{cookie}");
    assert!(cookie.starts_with(&format!("weir_session_{}=", daemon.port)));
    cookie.split(';').next().unwrap().to_owned()
}

#[test]
fn a_session_reads_and_writes_only_for_our_own_page() {
    let mut daemon = Daemon::start();
    let cookie = session(&daemon);
    let own = format!("http://127.0.0.1:{}", daemon.port);
    let json = ("Content-Type", "application/json");
    let body = "{\"url\":\"http://127.0.0.1:9/x\",\"paused\":true}";
    assert_eq!(daemon.request("GET", "/list", &[("Cookie", &cookie)], "").status, 200);
    for headers in [
        vec![("Cookie", cookie.as_str()), json],
        vec![("Cookie", cookie.as_str()), json, ("Origin", own.as_str())],
        vec![("Cookie", cookie.as_str()), json, ("X-Weir", "1")],
        vec![("Cookie", cookie.as_str()), json, ("X-Weir", "0"), ("Origin", own.as_str())],
        vec![("Cookie", cookie.as_str()), json, ("X-Weir", "1"), ("Origin", EXTENSION)],
    ] {
        assert_eq!(daemon.request("POST", "/download", &headers, body).status, 403, "{headers:?}");
    }
    let right = [("Cookie", cookie.as_str()), json, ("X-Weir", "1"), ("Origin", own.as_str())];
    assert_eq!(daemon.request("POST", "/download", &right, body).status, 201);
    // A page names no file of the machine.
    let netrc = "{\"url\":\"http://127.0.0.1:9/x\",\"paused\":true,\"netrc\":\"/etc/hostname\"}";
    assert_eq!(daemon.request("POST", "/download", &right, netrc).status, 400);
    let forged = format!("{}x", &cookie[..cookie.len() - 1]);
    assert_eq!(daemon.request("GET", "/list", &[("Cookie", &forged)], "").status, 401);

    // The page stays signed in over a crash of the daemon, at the same address.
    let port = daemon.port;
    daemon.kill();
    daemon.launch();
    assert_eq!(daemon.port, port);
    assert_eq!(daemon.request("GET", "/list", &[("Cookie", &cookie)], "").status, 200);

    let body = json!({ "token": daemon.token }).to_string();
    assert_eq!(daemon.request("POST", "/session", &[json], &body).status, 204, "the token may be pasted");
    for body in ["{}", "{\"ticket\":\"a\",\"token\":\"b\"}", "[]", "{\"ticket\":1}"] {
        assert_eq!(daemon.request("POST", "/session", &[json], body).status, 400, "{body}");
    }
}

fn socket(daemon: &Daemon, path: &str, headers: &[(&str, &str)]) -> support::Answer {
    let mut all = vec![
        ("Upgrade", "websocket"),
        ("Sec-WebSocket-Version", "13"),
        ("Sec-WebSocket-Key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    all.extend_from_slice(headers);
    let mut head =
        format!("GET {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: Upgrade\r\n", daemon.port);
    for (name, value) in all {
        head += &format!("{name}: {value}\r\n");
    }
    daemon.raw(format!("{head}\r\n").as_bytes())
}

#[test]
fn sockets_are_as_guarded_as_everything_else() {
    let daemon = Daemon::start();
    let cookie = session(&daemon);
    let own = format!("http://127.0.0.1:{}", daemon.port);
    let offer = format!("weir.v1, weir.token.{}", daemon.token);
    let wrong = "weir.v1, weir.token.wrong";
    for path in ["/ws", "/"] {
        let taken = socket(&daemon, path, &[("Sec-WebSocket-Protocol", &offer), ("Origin", EXTENSION)]);
        assert_eq!(
            (taken.status, taken.header("sec-websocket-protocol")),
            (101, Some("weir.v1")),
            "the token is not echoed"
        );
        assert_eq!(
            socket(&daemon, path, &[("Sec-WebSocket-Protocol", &offer)]).status,
            101,
            "a program with the token"
        );
        assert_eq!(
            socket(
                &daemon,
                path,
                &[("Sec-WebSocket-Protocol", "weir.v1"), ("Cookie", &cookie), ("Origin", &own)]
            )
            .status,
            101,
            "our page"
        );
        assert_eq!(
            socket(&daemon, path, &[("Sec-WebSocket-Protocol", wrong), ("Origin", EXTENSION)]).status,
            401
        );
        assert_eq!(
            socket(&daemon, path, &[("Sec-WebSocket-Protocol", "weir.v1")]).status,
            401,
            "nothing at all"
        );
        assert_eq!(socket(&daemon, path, &[("Cookie", &cookie)]).status, 403, "a cookie without Origin");
        assert_eq!(
            socket(&daemon, path, &[("Cookie", &cookie), ("Origin", EXTENSION)]).status,
            403,
            "a cookie from the extension"
        );
        for origin in ["https://evil.example", "null", "http://127.0.0.1:1"] {
            assert_eq!(
                socket(&daemon, path, &[("Sec-WebSocket-Protocol", &offer), ("Origin", origin)]).status,
                403,
                "{origin}"
            );
        }
        let navigated = [
            ("Sec-WebSocket-Protocol", offer.as_str()),
            ("Sec-Fetch-Site", "cross-site"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Sec-Fetch-Dest", "document"),
        ];
        assert_eq!(socket(&daemon, path, &navigated).status, 403, "a socket is no navigation");
    }
}

#[test]
fn oversized_heads_and_open_ends_do_not_hold_the_door() {
    let daemon = Daemon::start();
    let head = format!(
        "GET /health HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nX: {}\r\n\r\n",
        daemon.port,
        "a".repeat(100 * 1024)
    );
    assert_eq!(daemon.raw(head.as_bytes()).status, 431);
    // Many clients that never finish their request do not keep another out.
    let idle: Vec<TcpStream> = (0..100)
        .map(|_| {
            let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
            stream.write_all(b"GET /health HTTP/1.1\r\n").unwrap();
            stream
        })
        .collect();
    assert_eq!(daemon.call("GET", "/health", "").status, 200);
    drop(idle);
}

#[test]
fn only_loopback_listens() {
    let daemon = Daemon::start();
    let mut found = 0;
    for (table, loopback) in
        [("/proc/net/tcp", "0100007F"), ("/proc/net/tcp6", "00000000000000000000000001000000")]
    {
        let Ok(table) = std::fs::read_to_string(table) else { continue };
        for line in table.lines().skip(1) {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let (address, port) = fields[1].split_once(':').unwrap();
            if fields[3] == "0A" && u16::from_str_radix(port, 16) == Ok(daemon.port) {
                assert_eq!(address, loopback);
                found += 1;
            }
        }
    }
    assert!(found >= 1);
    let refused = support::weir(daemon.dir.path())
        .args(["serve"])
        .env("WEIR_HOME", daemon.dir.path().join("other"))
        .env("WEIR_LISTEN", "0.0.0.0")
        .output()
        .unwrap();
    assert_eq!(refused.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&refused.stderr).contains("loopback only"));
}

#[test]
fn secrets_stay_where_they_belong() {
    let daemon = Daemon::start();
    let id = daemon.add(&json!({ "url": "http://127.0.0.1:9/x?key=URLSECRET", "paused": true, "cookies": "a=COOKIESECRET", "headers": { "Authorization": "Bearer HEADERSECRET" } }));
    for path in [format!("/download/{id}"), "/list".to_owned()] {
        let body = daemon.call("GET", &path, "").body;
        assert!(
            !body.contains("COOKIESECRET") && !body.contains("HEADERSECRET") && !body.contains(&daemon.token),
            "{path}"
        );
    }
    let arguments = std::fs::read(format!("/proc/{}/cmdline", daemon.pid())).unwrap();
    assert!(!String::from_utf8_lossy(&arguments).contains(&daemon.token));
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        for name in ["endpoint.json", "token", "weir.db"] {
            let mode =
                std::fs::metadata(daemon.dir.path().join("weir").join(name)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600, "{name}");
        }
    }
}

#[test]
fn one_home_has_one_daemon_and_a_busy_port_is_named() {
    let daemon = Daemon::start();
    let second = support::weir(daemon.dir.path()).arg("serve").output().unwrap();
    assert_eq!(second.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&second.stderr).contains("already runs"));
    let other = support::weir(daemon.dir.path())
        .args(["serve", "--port", &daemon.port.to_string()])
        .env("WEIR_HOME", daemon.dir.path().join("other"))
        .output()
        .unwrap();
    assert_eq!(other.status.code(), Some(1));
    let said = String::from_utf8_lossy(&other.stderr).into_owned();
    assert!(
        said.contains(&format!("port {} is held by `weir (process {})`", daemon.port, daemon.pid())),
        "{said}"
    );
}

#[test]
fn a_clean_stop_says_goodbye_and_leaves_no_address() {
    let mut daemon = Daemon::start();
    let mut stream = TcpStream::connect(("127.0.0.1", daemon.port)).unwrap();
    let head = format!(
        "GET /ws HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nAuthorization: Bearer {}\r\n\r\n",
        daemon.port, daemon.token
    );
    stream.write_all(head.as_bytes()).unwrap();
    let mut seen = Vec::new();
    stream.set_read_timeout(Some(std::time::Duration::from_secs(10))).unwrap();
    eventually("the snapshot", || {
        let mut part = [0; 1024];
        let count = stream.read(&mut part).unwrap();
        seen.extend_from_slice(&part[..count]);
        seen.windows(8).any(|window| window == b"snapshot").then_some(())
    });
    assert!(daemon.stop().success());
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).unwrap();
    assert_eq!(rest.first(), Some(&0x88), "a close frame");
    assert_eq!(&rest[2..4], &1001_u16.to_be_bytes(), "going away");
    assert!(!daemon.dir.path().join("weir/endpoint.json").exists());
}
