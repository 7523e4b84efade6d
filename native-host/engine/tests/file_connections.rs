//! Connections that disappoint, servers that bear few of them, and mirrors.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use support::{
    Reply, Request, Server, Step, assert_whole, engine, engine_with, job, noise, run, serve, sha256,
};
use weir_engine::{Checksum, EngineError, Hosts};

/// The range this request asks for, 256 KiB each 40 ms.
fn paced(data: &[u8], request: &Request) -> Reply {
    serve(data, request).slowly(256 << 10, Duration::from_millis(40))
}

/// Downloads 24 MiB over 8 connections of 6.5 MB/s each, one of which does what `bad` says. Returns how long it took and
/// how often the server was asked.
async fn with_one_bad(bad: impl Fn(&[u8], &Request) -> Reply + Send + Sync + 'static) -> (Duration, usize) {
    let data = Arc::new(noise(5, 24 << 20));
    let long = AtomicU32::new(0);
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| {
            let is_long = request.range.is_none_or(|(start, end)| end.is_none_or(|end| end - start > 1));
            if is_long && long.fetch_add(1, Ordering::Relaxed) == 2 {
                return bad(&data, request);
            }
            paced(&data, request)
        }
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    // Longer than the whole: only progress can tell.
    let engine = engine_with(|options| options.patience = Duration::from_secs(20));
    let began = Instant::now();
    let finished = run(&engine, job(server.url("/a.bin"), out.path())).await.unwrap();
    let took = began.elapsed();
    assert_whole(&finished, &data, out.path());
    (took, server.requests().len())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_straggler_is_replaced() {
    let (took, _) =
        with_one_bad(|data, request| serve(data, request).slowly(4 << 10, Duration::from_millis(80))).await;
    // Its range alone would take it half a minute.
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_silent_connection_is_replaced_long_before_a_time_out() {
    let (took, _) = with_one_bad(|data, request| {
        let mut reply = serve(data, request);
        let body = reply.body();
        reply.length = false;
        reply = reply.header("content-length", body.len().to_string());
        reply.steps = vec![Step::Bytes(body[..256 << 10].to_vec()), Step::Pause(Duration::from_secs(60))];
        reply
    })
    .await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_that_never_brings_a_byte_is_given_up() {
    let (took, _) = with_one_bad(|data, request| {
        let mut reply = serve(data, request);
        reply.length = false;
        reply = reply.header("content-length", (24 << 20).to_string());
        reply.steps = vec![Step::Pause(Duration::from_secs(60))];
        reply
    })
    .await;
    assert!(took < Duration::from_secs(8), "{took:?}");
}

/// A server that bears `most` at a time and refuses others with `status`.
async fn crowded(data: Arc<Vec<u8>>, most: usize, status: u16) -> (Server, Arc<AtomicUsize>) {
    let refused = Arc::new(AtomicUsize::new(0));
    let open = Arc::new(std::sync::Mutex::new(Vec::<Instant>::new()));
    let server = Server::start({
        let refused = Arc::clone(&refused);
        move |request: &Request| {
            let reply = paced(&data, request);
            // How long the answer will take; the server has no other way to know when it has ended.
            let takes = Duration::from_millis(42) * (reply.body().len().div_ceil(256 << 10) as u32);
            let mut open = open.lock().unwrap();
            open.retain(|end| *end > Instant::now());
            if open.len() >= most {
                refused.fetch_add(1, Ordering::Relaxed);
                return Reply::new(status, "too many");
            }
            open.push(Instant::now() + takes);
            reply
        }
    })
    .await;
    (server, refused)
}

#[tokio::test(flavor = "multi_thread")]
async fn what_a_server_bears_is_learned_and_remembered() {
    for status in [429, 503, 403] {
        let data = Arc::new(noise(7, 12 << 20));
        let (server, refused) = crowded(Arc::clone(&data), 2, status).await;
        let home = tempfile::tempdir().unwrap();
        let path = home.path().join("hosts.json");
        let fetch = async |name: &str| {
            let out = tempfile::tempdir().unwrap();
            let engine = engine_with(|options| options.hosts = Arc::new(Hosts::load(&path)));
            let finished = run(&engine, job(server.url(name), out.path())).await.unwrap();
            assert_whole(&finished, &data, out.path());
            refused.swap(0, Ordering::Relaxed)
        };
        // A download that is refused once takes it for chance, and on a slow machine one may end before the second time.
        let mut first = 0;
        for number in 0..5 {
            first = fetch(&format!("/{number}.bin")).await;
            let stored = async {
                while !path.exists() {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            };
            if tokio::time::timeout(Duration::from_secs(1), stored).await.is_ok() {
                break;
            }
        }
        assert!(path.exists() && first > 1, "nothing was learned: {first} refused the last time");
        let second = fetch("/last.bin").await;
        assert!(second <= 1 && second < first, "status {status}: {first} refused at first, then {second}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn two_downloads_share_what_a_server_bears() {
    let data = Arc::new(noise(9, 4 << 20));
    let (server, _) = crowded(Arc::clone(&data), 1, 503).await;
    let engine = engine();
    let outs = [tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap()];
    let jobs = outs.iter().map(|out| run(&engine, job(server.url("/a.bin"), out.path())));
    // One at a time takes longer than the retries of a download that counts every refusal would last.
    for (finished, out) in futures_util::future::join_all(jobs).await.into_iter().zip(&outs) {
        assert_whole(&finished.unwrap(), &data, out.path());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn mirrors_work_beside_the_first() {
    let data = Arc::new(noise(11, 24 << 20));
    let serve_paced = |data: &Arc<Vec<u8>>, etag: &'static str| {
        let data = Arc::clone(data);
        move |request: &Request| {
            support::serve_as(&data, request, etag, "").slowly(256 << 10, Duration::from_millis(40))
        }
    };
    let first = Server::start(serve_paced(&data, "\"a\"")).await;
    let second = Server::start(serve_paced(&data, "\"b\"")).await;
    let out = tempfile::tempdir().unwrap();
    let mut job = job(first.url("/a.bin"), out.path());
    job.source.cookies = Some("secret=1".into());
    job.mirrors = vec![second.url("/elsewhere/a.bin")];
    let finished = run(&engine(), job).await.unwrap();
    assert_whole(&finished, &data, out.path());
    let (here, there) = (first.requests(), second.requests());
    assert!(there.len() > 3, "the mirror was asked {} times, the first {}", there.len(), here.len());
    assert!(here.iter().all(|request| request.header("cookie").is_some()));
    // 127.0.0.1 on another port is another place.
    assert!(there.iter().all(|request| request.header("cookie").is_none()));
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_of_something_else_is_not_mixed_in() {
    let data = Arc::new(noise(13, 12 << 20));
    let other = Arc::new(noise(14, 12 << 20));
    let first = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| paced(&data, request)
    })
    .await;
    let wrong = Server::start(move |request: &Request| paced(&other, request)).await;
    let shorter = Server::start(|request: &Request| paced(&noise(13, 11 << 20), request)).await;
    let out = tempfile::tempdir().unwrap();
    let mut job = job(first.url("/a.bin"), out.path());
    job.mirrors = vec![wrong.url("/a.bin"), shorter.url("/a.bin")];
    let finished = run(&engine(), job).await.unwrap();
    assert_whole(&finished, &data, out.path());
    assert!(!wrong.requests().is_empty(), "it was not even looked at");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_takes_over_when_the_first_fails() {
    let data = Arc::new(noise(15, 6 << 20));
    let good = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| serve(&data, request)
    })
    .await;
    for status in [404, 500, 403] {
        let bad = Server::start(move |_: &Request| Reply::new(status, "no")).await;
        let out = tempfile::tempdir().unwrap();
        let mut job = job(bad.url("/a.bin"), out.path());
        job.mirrors = vec![good.url("/a.bin")];
        job.checksum = Some(Checksum::parse(&format!("sha256:{}", hex(&sha256(&data)))).unwrap());
        let finished = run(&engine(), job).await.unwrap();
        assert_whole(&finished, &data, out.path());
    }
    // In the middle as well: the first dies after its first answer.
    let dying = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| {
            if request.nth == 0 {
                serve(&data, request).cut_after(3 << 20, Some(Step::Reset))
            } else {
                Reply::new(404, "gone")
            }
        }
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let mut job = job(dying.url("/a.bin"), out.path());
    job.mirrors = vec![good.url("/a.bin")];
    let finished = run(&engine(), job).await.unwrap();
    assert_whole(&finished, &data, out.path());
}

#[tokio::test(flavor = "multi_thread")]
async fn when_no_place_has_it_the_first_places_word_counts() {
    let gone = Server::start(|_: &Request| Reply::new(404, "no")).await;
    let broken = Server::start(|_: &Request| Reply::new(500, "no")).await;
    let out = tempfile::tempdir().unwrap();
    let mut job = job(gone.url("/a.bin"), out.path());
    job.mirrors = vec![broken.url("/a.bin")];
    let error = run(&engine(), job).await.unwrap_err();
    assert!(matches!(error, EngineError::Gone { status: 404 }), "{error:?}");
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_speed_limit_is_kept_by_few_connections_and_throws_nothing_away() {
    let data = Arc::new(noise(17, 8 << 20));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| serve(&data, request)
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let job = job(server.url("/a.bin"), out.path());
    job.limit.set(4 << 20);
    let began = Instant::now();
    let finished = run(&engine(), job).await.unwrap();
    let took = began.elapsed().as_secs_f64();
    assert_whole(&finished, &data, out.path());
    // A busy machine may take longer, never shorter.
    assert!(took > 2.0 * 0.98, "{took} s for two seconds' worth");
    let requests = server.requests();
    assert_eq!(requests.len(), 1, "one connection is fast enough: {requests:#?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_goes_on_with_what_the_first_began() {
    let data = Arc::new(noise(19, 12 << 20));
    let other = Arc::new(noise(20, 12 << 20));
    let mirror_of = |data: &Arc<Vec<u8>>| {
        let data = Arc::clone(data);
        Server::start(move |request: &Request| {
            support::serve_as(&data, request, "\"mirror\"", "Thu, 22 Oct 2026 07:28:00 GMT")
        })
    };
    for (mirrored, goes_on) in [(&data, true), (&other, false)] {
        let dead = Arc::new(AtomicU32::new(0));
        let first = Server::start({
            let (data, dead) = (Arc::clone(&data), Arc::clone(&dead));
            move |request: &Request| match dead.load(Ordering::Relaxed) {
                0 => paced(&data, request),
                _ => Reply::new(404, "gone"),
            }
        })
        .await;
        let mirror = mirror_of(mirrored).await;
        let out = tempfile::tempdir().unwrap();
        let engine = engine();
        let mut job = job(first.url("/a.bin"), out.path());
        job.partial = weir_engine::Partial::SameUrl;
        let (monitor, stop) =
            (Arc::new(weir_engine::Monitor::new()), tokio_util::sync::CancellationToken::new());
        let begun = engine.download(job.clone(), Arc::clone(&monitor), stop.clone());
        let stopped = async {
            while monitor.snapshot().received < 3 << 20 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            stop.cancel();
        };
        assert!(matches!(tokio::join!(begun, stopped).0, Err(EngineError::Stopped)));
        dead.store(1, Ordering::Relaxed);
        job.mirrors = vec![mirror.url("/b.bin")];
        let finished = run(&engine, job).await.unwrap();
        assert_whole(&finished, mirrored, out.path());
        let anew = mirror.requests().iter().any(|request| request.range.is_none());
        assert_eq!(anew, !goes_on);
    }
}
