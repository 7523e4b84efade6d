//! Servers that ask who is there get an answer once, and nobody else does.

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Job, Login, Monitor, Partial};

use super::MIB;
use super::support::digest::Guard;
use super::support::{
    Reply, Request, Server, assert_whole, engine, engine_with, job, marked, noise, run, serve,
};

const USER: &str = "Müller \"x\"";
const PASSWORD: &str = "S3CRET: ü,\\";

fn basic(user: &str, password: &str) -> String {
    format!("Basic {}", STANDARD.encode(format!("{user}:{password}")))
}

/// The proper answer to those who say the right words.
fn guarded(data: &[u8], request: &Request, words: &str) -> Reply {
    if request.header("authorization") == Some(words) {
        serve(data, request)
    } else {
        Reply::new(401, "who?").header("www-authenticate", "Basic realm=\"x\", charset=\"UTF-8\"")
    }
}

fn with_login(mut job: Job, user: &str, password: &str) -> Job {
    job.source.login = Some(Login::new(user, password));
    job
}

#[tokio::test]
async fn basic_is_said_when_asked_and_then_at_once() {
    let data = Arc::new(noise(1, 6 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        // Slow enough for more connections to be opened, whatever else the machine does.
        move |request| {
            guarded(&data, request, &basic(USER, PASSWORD)).slowly(MIB / 16, Duration::from_millis(20))
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), with_login(job(server.url("/f.bin"), dir.path()), USER, PASSWORD)).await;
    assert_whole(&finished.unwrap(), &data, dir.path());
    let requests = server.requests();
    assert!(requests.len() > 3, "{} requests", requests.len());
    // In the clear nothing is said before the question; once it is known, no question is needed.
    assert_eq!(requests[0].header("authorization"), None);
    assert!(requests[1..].iter().all(|request| request.header("authorization").is_some()));
}

#[tokio::test]
async fn user_info_in_an_address_is_a_login() {
    let data = noise(2, 100_000);
    let server = Server::start({
        let data = data.clone();
        move |request| match request.path.as_str() {
            // Redirects within the place keep it.
            "/old" => Reply::new(302, "").header("location", "/f.bin"),
            _ => guarded(&data, request, &basic("me", "p@ss:")),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut url = server.url("/old");
    url.set_username("me").unwrap();
    url.set_password(Some("p@ss:")).unwrap();
    assert_whole(&run(&engine(), job(url, dir.path())).await.unwrap(), &data, dir.path());
    assert!(server.requests().iter().all(|request| !format!("{request:?}").contains("me:")));
}

#[tokio::test]
async fn every_kind_of_digest_brings_the_file_over_many_connections() {
    for (n, algorithm) in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"].into_iter().enumerate() {
        for qop in [true, false] {
            if !qop && algorithm.ends_with("-sess") {
                continue;
            }
            let data = Arc::new(noise(n as u64, 5 * MIB));
            let guard = Arc::new(Guard { qop, ..Guard::new(algorithm, USER, PASSWORD) });
            let server = Server::start({
                let (data, guard) = (Arc::clone(&data), Arc::clone(&guard));
                move |request| {
                    let served = || serve(&data, request).slowly(64 << 10, Duration::from_millis(5));
                    guard.stops(request).unwrap_or_else(served)
                }
            })
            .await;
            let dir = tempfile::tempdir().unwrap();
            let job = with_login(job(server.url("/a/f.bin?q=1&r"), dir.path()), USER, PASSWORD);
            let finished = run(&engine(), job).await.unwrap_or_else(|error| panic!("{algorithm}: {error}"));
            assert_whole(&finished, &data, dir.path());
            let requests = server.requests();
            assert!(requests.len() > 3, "{algorithm}: {} requests", requests.len());
            assert_eq!(*guard.challenged.lock().unwrap(), (1, 0), "{algorithm}");
            for request in requests {
                let said = request.header("authorization").unwrap_or_default();
                assert!(!said.starts_with("Basic") && !said.contains("S3CRET"), "{said}");
            }
        }
    }
}

#[tokio::test]
async fn a_nonce_that_grew_stale_is_renewed_and_a_stopped_download_goes_on() {
    let data = Arc::new(noise(9, 6 * MIB));
    let guard = Arc::new(Guard { uses: 2, ..Guard::new("SHA-256", "me", PASSWORD) });
    let server = Server::start({
        let (data, guard) = (Arc::clone(&data), Arc::clone(&guard));
        move |request| {
            let served = || serve(&data, request).slowly(MIB / 8, Duration::from_millis(20));
            guard.stops(request).unwrap_or_else(served)
        }
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let mut begun = with_login(job(server.url("/f.bin"), dir.path()), "me", PASSWORD);
    begun.partial = Partial::SameUrl;
    let again = begun.clone();
    let halt = async {
        while monitor.snapshot().received < 1_000_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(engine.download(begun, Arc::clone(&monitor), stop.clone()), halt);
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
    assert_whole(&run(&engine, marked(again)).await.unwrap(), &data, dir.path());
    assert!(!server.begun_anew());
    assert!(guard.challenged.lock().unwrap().1 > 0, "no nonce grew stale");
}

#[tokio::test]
async fn wrong_words_are_said_once() {
    let guard = Arc::new(Guard::new("SHA-256", "me", "right"));
    let digest =
        Server::start(move |request| guard.stops(request).unwrap_or_else(|| Reply::new(200, "x"))).await;
    let basic = Server::start(|request| guarded(b"x", request, &basic("me", "right"))).await;
    let unknown =
        Server::start(|_| Reply::new(401, "").header("www-authenticate", "Negotiate, Bearer realm=\"x\""))
            .await;
    let silent = Server::start(|_| Reply::new(401, "")).await;
    for (server, most) in [(&digest, 2), (&basic, 2), (&unknown, 1), (&silent, 1)] {
        let dir = tempfile::tempdir().unwrap();
        let job = with_login(job(server.url("/f.bin"), dir.path()), "me", "S3CRET");
        let error = run(&engine(), job).await.unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::LoginRequired { status: 401 } | EngineError::LoginRefused { status: 401 }
            ),
            "{error:?}"
        );
        assert!(!format!("{error:?} {error}").contains("S3CRET"));
        assert!(server.requests().len() <= most, "{} requests", server.requests().len());
        assert!(super::support::names(dir.path()).is_empty());
    }
}

#[tokio::test]
async fn a_login_never_follows_to_another_place() {
    let elsewhere = Server::start(|request| guarded(b"x", request, "never")).await;
    let target = elsewhere.url("/f.bin").to_string();
    let with_user_info = target.replace("http://", "http://lure:lure@");
    for location in [target, with_user_info] {
        let home = Server::start(move |_| Reply::new(302, "").header("location", location.clone())).await;
        let dir = tempfile::tempdir().unwrap();
        let netrc = dir.path().join("netrc");
        // Its only entry is for any host, which may be used at home alone.
        std::fs::write(&netrc, "default login me password S3CRET").unwrap();
        let engine = engine_with(|options| options.netrc = Some(netrc));
        let job = with_login(job(home.url("/f.bin"), dir.path()), "me", "S3CRET");
        let error = run(&engine, job).await.unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::LoginRequired { status: 401 } | EngineError::LoginRefused { status: 401 }
            ),
            "{error:?}"
        );
    }
    let requests = elsewhere.requests();
    assert!(!requests.is_empty());
    assert!(requests.iter().all(|request| request.header("authorization").is_none()));
}

#[tokio::test]
async fn a_netrc_is_for_the_hosts_it_names() {
    let data = noise(3, 50_000);
    let server = Server::start({
        let data = data.clone();
        move |request| guarded(&data, request, &basic("me", "of the file"))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let netrc = dir.path().join("netrc");
    let run_with = async |text: &str, change: fn(&mut Job)| {
        std::fs::write(&netrc, text).unwrap();
        let engine = engine_with(|options| options.netrc = Some(netrc.clone()));
        let into = tempfile::tempdir().unwrap();
        let mut job = job(server.url("/f.bin"), into.path());
        change(&mut job);
        let before = server.requests().len();
        let outcome = run(&engine, job).await.map(|finished| finished.bytes);
        (outcome, server.requests()[before..].to_vec())
    };
    let ours = "machine 127.0.0.1 login me password \"of the file\"\n";
    assert_eq!(run_with(ours, |_| {}).await.0.unwrap(), data.len() as u64);
    assert!(run_with("default login me password \"of the file\"", |_| {}).await.0.is_ok());
    for not_for_it in ["machine localhost login me password \"of the file\"\n", "", "\u{0}\u{1}nonsense"] {
        let (outcome, requests) = run_with(not_for_it, |_| {}).await;
        assert!(
            matches!(outcome, Err(EngineError::LoginRequired { .. } | EngineError::LoginRefused { .. })),
            "{outcome:?}"
        );
        assert!(requests.iter().all(|request| request.header("authorization").is_none()), "{not_for_it}");
    }
    // What the caller says himself comes first, whether it is right or wrong.
    let (outcome, requests) =
        run_with(ours, |job| job.source.login = Some(Login::new("other", "word"))).await;
    assert!(
        matches!(outcome, Err(EngineError::LoginRequired { .. } | EngineError::LoginRefused { .. })),
        "{outcome:?}"
    );
    assert!(
        requests.iter().all(|request| request.header("authorization") != Some(&basic("me", "of the file")))
    );
    let (outcome, requests) = run_with(ours, |job| {
        job.source.headers.push(("Authorization".into(), "Bearer mine".into()));
    })
    .await;
    assert!(
        matches!(outcome, Err(EngineError::LoginRequired { .. } | EngineError::LoginRefused { .. })),
        "{outcome:?}"
    );
    assert!(requests.iter().all(|request| request.header("authorization") == Some("Bearer mine")));
}

#[tokio::test]
async fn playlists_are_behind_the_same_door() {
    let guard = Arc::new(Guard::new("MD5", "me", PASSWORD));
    let server = Server::start(move |request| {
        guard.stops(request).unwrap_or_else(|| {
            let body = match request.path.as_str() {
                "/master.m3u8" => "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1000,RESOLUTION=320x180\nlow.m3u8\n",
                _ => "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4,\n0.ts\n#EXT-X-ENDLIST\n",
            };
            Reply::new(200, body).header("content-type", "application/vnd.apple.mpegurl")
        })
    })
    .await;
    let mut source = weir_engine::Source::get(server.url("/master.m3u8"));
    source.login = Some(Login::new("me", PASSWORD));
    let probe = engine().probe(&source).await.unwrap();
    assert_eq!((probe.variants.len(), probe.duration), (1, Some(Duration::from_secs(4))));
}

/// The server these tests trust is itself right: curl says so.
#[test]
fn curl_gets_past_the_same_guard() {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    for algorithm in ["MD5", "MD5-sess", "SHA-256", "SHA-256-sess"] {
        let guard = Arc::new(Guard::new(algorithm, "me", "S3CRET"));
        let server = runtime.block_on(Server::start({
            let guard = Arc::clone(&guard);
            move |request| guard.stops(request).unwrap_or_else(|| Reply::new(200, "inside"))
        }));
        let curl = |password: &str| {
            Command::new("curl")
                .args(["--silent", "--noproxy", "*", "--digest", "--user", &format!("me:{password}")])
                .arg(server.url("/f.bin?x=1").as_str())
                .output()
        };
        let Ok(right) = curl("S3CRET") else {
            eprintln!("skipped: there is no curl");
            return;
        };
        assert_eq!(right.stdout, b"inside", "{algorithm}");
        assert_eq!(curl("wrong").unwrap().stdout, b"who?", "{algorithm}");
    }
}

/// A server that is not ours asks for Basic and serves ranges.
#[tokio::test]
async fn nginx_lets_us_in() {
    let dir = tempfile::tempdir().unwrap();
    let data = noise(7, 8 * MIB);
    let port = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port();
    let root = dir.path().join("www");
    std::fs::create_dir(&root).unwrap();
    std::fs::write(root.join("f.bin"), &data).unwrap();
    std::fs::write(dir.path().join("users"), "me:{PLAIN}S3CRET\n").unwrap();
    let at = dir.path().display();
    let config = format!(
        "worker_processes 1; user root; pid {at}/pid; error_log {at}/error.log; daemon off;\n\
         events {{ worker_connections 64; }}\n\
         http {{ access_log off; client_body_temp_path {at}/t; proxy_temp_path {at}/t; fastcgi_temp_path {at}/t;\n\
         uwsgi_temp_path {at}/t; scgi_temp_path {at}/t;\n\
         server {{ listen 127.0.0.1:{port}; root {at}/www; auth_basic x; auth_basic_user_file {at}/users; }} }}\n"
    );
    let file = dir.path().join("nginx.conf");
    // Only root may say who the workers are.
    let root_only =
        if rustix::process::geteuid().is_root() { config } else { config.replace("user root;", "") };
    std::fs::write(&file, root_only).unwrap();
    let Ok(mut nginx) = Command::new("nginx").arg("-p").arg(dir.path()).arg("-c").arg(&file).spawn() else {
        eprintln!("skipped: there is no nginx");
        return;
    };
    for _ in 0..100 {
        if std::net::TcpStream::connect(("127.0.0.1", port)).is_ok() {
            break;
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    let into = tempfile::tempdir().unwrap();
    let url: url::Url = format!("http://127.0.0.1:{port}/f.bin").parse().unwrap();
    let right = run(&engine(), with_login(job(url.clone(), into.path()), "me", "S3CRET")).await;
    let wrong = run(&engine(), with_login(job(url, into.path()), "me", "wrong")).await;
    // A master that is killed leaves its worker behind.
    let pid = rustix::process::Pid::from_child(&nginx);
    rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
    nginx.wait().unwrap();
    assert_whole(&right.unwrap(), &data, into.path());
    assert!(matches!(wrong, Err(EngineError::LoginRefused { status: 401 })), "{wrong:?}");
}
