//! Bytes nobody vouches for: changed content without strong validators, servers that lie by omission, planted journals.
//! Whatever comes out is one state of the file or an error, never a mixture.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Reply, Request, Server, Step, engine, engine_with, job, noise, run, serve, serve_as};
use tokio_util::sync::CancellationToken;
use weir_engine::{Engine, EngineError, Finished, Hosts, Monitor, Partial};

const MIB: usize = 1 << 20;
const DATE: &str = "Wed, 21 Oct 2026 07:28:00 GMT";
const LATER: &str = "Thu, 22 Oct 2026 07:28:00 GMT";

/// Which of the states of the file came out.
fn state<'a>(finished: &Finished, states: &[(&'a str, &[u8])]) -> &'a str {
    let found = std::fs::read(&finished.path).unwrap();
    states.iter().find(|(_, bytes)| found == *bytes).expect("a mixture").0
}

/// Brings some of a file and stops.
async fn begin(engine: &Engine, url: url::Url, dir: &std::path::Path) {
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let mut job = job(url, dir);
    job.partial = Partial::SameUrl;
    job.connections = 1;
    let begun = engine.download(job, Arc::clone(&monitor), stop.clone());
    let stopped = async {
        while monitor.snapshot().received < 1_500_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    assert!(matches!(tokio::join!(begun, stopped).0, Err(EngineError::Stopped)));
}

fn slowly(reply: Reply) -> Reply {
    reply.slowly(128 << 10, Duration::from_millis(20))
}

#[tokio::test(flavor = "multi_thread")]
async fn ranges_that_lost_what_the_first_answer_had_are_not_mixed_in() {
    for (first, then) in [("W/\"1\"", "W/\"2\""), ("\"1\"", ""), ("\"1\"", "W/\"2\""), ("", "")] {
        let (old, new) = (Arc::new(noise(1, 8 * MIB)), Arc::new(noise(2, 8 * MIB)));
        let server = Server::start({
            let (old, new) = (Arc::clone(&old), Arc::clone(&new));
            move |request: &Request| match request.range {
                Some(_) => slowly(serve_as(&new, request, then, "")),
                None => slowly(serve_as(&old, request, first, "")),
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let finished = run(&engine(), job(server.url("/a.bin"), dir.path())).await.unwrap();
        state(&finished, &[("old", &old), ("new", &new)]);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_without_validators_that_changes_in_the_middle_is_begun_anew() {
    let (old, new) = (Arc::new(noise(3, 16 * MIB)), Arc::new(noise(4, 16 * MIB)));
    let asked = Arc::new(std::sync::atomic::AtomicU32::new(0));
    let server = Server::start({
        let (old, new) = (Arc::clone(&old), Arc::clone(&new));
        move |request: &Request| {
            // The first dozen answers are of the old file, whole ranges and all.
            let data = if asked.fetch_add(1, Ordering::Relaxed) < 6 { &old } else { &new };
            slowly(serve_as(data, request, "", ""))
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/a.bin"), dir.path())).await.unwrap();
    assert_eq!(state(&finished, &[("old", &old), ("new", &new)]), "new");
}

#[tokio::test(flavor = "multi_thread")]
async fn on_resume_more_than_one_place_is_compared_when_no_validator_speaks() {
    for (first, then) in [("W/\"1\"", "W/\"2\""), ("", "")] {
        let old = Arc::new(noise(5, 6 * MIB));
        let mut new = old.to_vec();
        new[1000..200_000].fill(7);
        new[5 * MIB..].fill(9);
        let new = Arc::new(new);
        let turned = Arc::new(AtomicBool::new(false));
        let server = Server::start({
            let (old, new, turned) = (Arc::clone(&old), Arc::clone(&new), Arc::clone(&turned));
            move |request: &Request| {
                if turned.load(Ordering::Relaxed) {
                    serve_as(&new, request, then, "")
                } else {
                    slowly(serve_as(&old, request, first, ""))
                }
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let engine = engine();
        begin(&engine, server.url("/a.bin"), dir.path()).await;
        turned.store(true, Ordering::Relaxed);
        let mut job = job(server.url("/a.bin"), dir.path());
        job.partial = Partial::SameUrl;
        let finished = run(&engine, job).await.unwrap();
        assert_eq!(state(&finished, &[("old", &old), ("new", &new)]), "new");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_comparison_that_broke_off_is_made_up_for() {
    for connections in [1, 8] {
        let (old, new) = (Arc::new(noise(6, 6 * MIB)), Arc::new(noise(7, 6 * MIB)));
        let turned = Arc::new(AtomicBool::new(false));
        let broken = AtomicBool::new(false);
        let server = Server::start({
            let (old, new, turned) = (Arc::clone(&old), Arc::clone(&new), Arc::clone(&turned));
            move |request: &Request| {
                if !turned.load(Ordering::Relaxed) {
                    return slowly(serve_as(&old, request, "W/\"1\"", DATE));
                }
                // The weak tag and the date are kept, so only the bytes tell.
                let reply = serve_as(&new, request, "W/\"1\"", DATE);
                let is_first = request.range.is_some() && !broken.swap(true, Ordering::Relaxed);
                if is_first { reply.cut_after(0, Some(Step::Reset)) } else { reply }
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let engine = engine();
        begin(&engine, server.url("/a.bin"), dir.path()).await;
        turned.store(true, Ordering::Relaxed);
        let mut job = job(server.url("/a.bin"), dir.path());
        job.partial = Partial::SameUrl;
        job.connections = connections;
        let finished = run(&engine, job).await.unwrap();
        assert_eq!(state(&finished, &[("old", &old), ("new", &new)]), "new");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_first_answer_brings_beyond_its_share_is_not_lost() {
    let data = Arc::new(noise(8, 12 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| match request.range {
            // Ranges are promised by the first byte and the last, and never given.
            Some((start, Some(end))) if end - start > 1 => Reply::new(503, "busy"),
            Some(_) => serve(&data, request),
            None => serve(&data, request).slowly(100_003, Duration::from_millis(10)),
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/a.bin"), dir.path())).await.unwrap();
    state(&finished, &[("whole", &data)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mirror_that_begins_alike_is_not_mixed_in() {
    let data = Arc::new(noise(9, 16 * MIB));
    let mut other = data.to_vec();
    for at in (256 * 1024..other.len()).step_by(4096) {
        other[at] ^= 1;
    }
    let first = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| slowly(serve_as(&data, request, "\"1\"", DATE))
    })
    .await;
    let second =
        Server::start(move |request: &Request| slowly(serve_as(&other, request, "\"2\"", LATER))).await;
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(first.url("/a.bin"), dir.path());
    job.mirrors = vec![second.url("/a.bin")];
    let finished = run(&engine(), job).await.unwrap();
    state(&finished, &[("the first's", &data)]);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_forbidden_file_costs_its_neighbours_nothing() {
    let data = Arc::new(noise(10, 8 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| match request.path.as_str() {
            "/forbidden.bin" => Reply::new(403, "no"),
            _ => slowly(serve(&data, request)),
        }
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("hosts.json");
    let engine = engine_with(|options| options.hosts = Arc::new(Hosts::load(&path)));
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let forbidden = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        run(&engine, job(server.url("/forbidden.bin"), two.path())).await
    };
    let (large, forbidden) = tokio::join!(run(&engine, job(server.url("/a.bin"), one.path())), forbidden);
    state(&large.unwrap(), &[("whole", &data)]);
    assert!(matches!(forbidden, Err(EngineError::LoginRequired { status: 403 })), "{forbidden:?}");
    let asked = server.requests().iter().filter(|request| request.path == "/forbidden.bin").count();
    assert_eq!(asked, 1);
    assert!(!path.exists(), "it says nothing about how many connections the server bears");
}

#[tokio::test(flavor = "multi_thread")]
async fn an_archive_that_is_called_encoded_stays_an_archive() {
    use std::io::Write as _;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packed.write_all(&noise(11, 400_000)).unwrap();
    let packed = Arc::new(packed.finish().unwrap());
    let server = Server::start({
        let packed = Arc::clone(&packed);
        move |request: &Request| serve(&packed, request).header("content-encoding", "x-gzip")
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/a.tar.gz"), dir.path())).await.unwrap();
    assert_eq!(
        (finished.filename.as_str(), state(&finished, &[("packed", &packed)])),
        ("a.tar.gz", "packed")
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_servers_file_names_never_look_like_ours_in_the_making() {
    let dir = tempfile::tempdir().unwrap();
    let server = Server::start(|request: &Request| {
        let named = format!("attachment; filename=\"{}\"", &request.path[1..]);
        serve(b"evil", request).header("content-disposition", named)
    })
    .await;
    for name in ["f.iso.part", "f.iso.part.weir", "f.iso.PART.mux", "f.iso.part.audio"] {
        run(&engine(), job(server.url(&format!("/{name}")), dir.path())).await.unwrap();
    }
    let ours = [".part", ".part.weir", ".part.mux", ".part.audio"];
    for name in support::names(dir.path()) {
        assert!(!ours.iter().any(|end| name.to_ascii_lowercase().ends_with(end)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_download_that_waits_for_a_connection_gets_the_next_one() {
    let data = Arc::new(noise(12, 24 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request: &Request| slowly(serve(&data, request))
    })
    .await;
    let home = tempfile::tempdir().unwrap();
    let path = home.path().join("hosts.json");
    let place = format!("127.0.0.1:{}", server.address.port());
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_secs();
    std::fs::write(&path, format!("{{\"{place}\":{{\"connections\":2,\"learned_at\":{now}}}}}")).unwrap();
    let engine = engine_with(|options| options.hosts = Arc::new(Hosts::load(&path)));
    let (one, two) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let first = run(&engine, job(server.url("/one.bin"), one.path()));
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let second = async {
        tokio::time::sleep(Duration::from_millis(600)).await;
        let work =
            engine.download(job(server.url("/two.bin"), two.path()), Arc::clone(&monitor), stop.clone());
        let begun = async {
            while monitor.snapshot().received == 0 {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            let whole = std::fs::exists(one.path().join("one.bin")).unwrap();
            stop.cancel();
            whole
        };
        tokio::join!(work, begun).1
    };
    let (first, first_was_whole) = tokio::join!(first, second);
    first.unwrap();
    assert!(!first_was_whole, "the second had to wait for the first to end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_server_that_asks_for_a_long_pause_is_left_alone() {
    for header in ["3600", "Fri, 01 Jan 2100 00:00:00 GMT"] {
        let server =
            Server::start(move |_: &Request| Reply::new(429, "later").header("retry-after", header)).await;
        let dir = tempfile::tempdir().unwrap();
        let error = run(&engine(), job(server.url("/a.bin"), dir.path())).await.unwrap_err();
        assert!(
            matches!(&error, EngineError::Busy { status: 429, wait } if wait.as_secs() >= 3600),
            "{error:?}"
        );
        assert!(error.is_transient());
        assert_eq!(server.requests().len(), 1);
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_that_is_meant_as_it_is_gets_no_extension() {
    let server = Server::start(|request: &Request| {
        serve(b"some bytes", request).header("content-type", "application/pdf")
    })
    .await;
    for (exact, name) in [(true, "v1.2"), (false, "v1.2.pdf")] {
        let dir = tempfile::tempdir().unwrap();
        let mut job = job(server.url("/report.pdf"), dir.path());
        (job.filename, job.exact_name) = (Some("v1.2".to_owned()), exact);
        assert_eq!(run(&engine(), job).await.unwrap().filename, name);
    }
}
