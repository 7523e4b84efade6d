//! Files from servers that misbehave: the right bytes or a named error, never anything else.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use support::{
    Reply, Request, Server, Step, assert_whole, engine, engine_with, job, names, noise, run, serve, serve_as,
    sha256,
};
use tokio_util::sync::CancellationToken;
use weir_engine::{Checksum, Engine, EngineError, Finished, Kind, Method, Monitor, Partial};

const SEEDS: std::ops::Range<u64> = 1..4;
const MIB: usize = 1 << 20;

/// Downloads `data` of every seed from a server that answers by `fault`; the bytes must be right every time.
async fn survives(size: usize, fault: impl Fn(&[u8], &Request, u64) -> Reply + Send + Sync + Copy + 'static) {
    for seed in SEEDS {
        let data = Arc::new(noise(seed, size + seed as usize * 1009));
        let server = Server::start({
            let data = Arc::clone(&data);
            move |request| fault(&data, request, seed)
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let finished = run(&engine(), job(server.url("/file.bin"), dir.path()))
            .await
            .unwrap_or_else(|error| panic!("seed {seed}: {error}"));
        assert_whole(&finished, &data, dir.path());
    }
}

/// The same where only a failure is honest; returns the error, and no file may appear.
async fn fails(path: &str, fault: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> EngineError {
    let server = Server::start(fault).await;
    let dir = tempfile::tempdir().unwrap();
    let error =
        run(&engine(), job(server.url(path), dir.path())).await.expect_err("a wrong file was called right");
    let whole: Vec<String> = names(dir.path()).into_iter().filter(|name| !name.contains(".part")).collect();
    assert!(whole.is_empty(), "{whole:?}");
    error
}

#[tokio::test]
async fn a_proper_server_is_asked_over_several_connections() {
    let data = Arc::new(noise(1, 12 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| serve(&data, request).slowly(MIB / 2, Duration::from_millis(10))
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/file.bin"), dir.path())).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    let requests = server.requests();
    assert!(requests[0].range.is_none() && requests.len() > 2, "{} requests", requests.len());
    assert!(requests.iter().all(|request| request.header("accept-encoding") == Some("identity")));
    assert!(requests.iter().all(|request| request.header("if-range").is_none()));
}

#[tokio::test]
async fn sizes_at_the_edges() {
    for size in [0, 1, 2, 65_535, 2 * MIB, 2 * MIB + 1] {
        let data = Arc::new(noise(7, size));
        let server = Server::start({
            let data = Arc::clone(&data);
            move |request| serve(&data, request)
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let finished = run(&engine(), job(server.url("/edge.bin"), dir.path())).await.unwrap();
        assert_whole(&finished, &data, dir.path());
    }
}

#[tokio::test]
async fn ranges_ignored() {
    survives(6 * MIB, |data, _, _| Reply::new(200, data)).await;
}

#[tokio::test]
async fn ranges_refused_by_status() {
    survives(6 * MIB, |data, request, seed| {
        if request.range.is_some() {
            Reply::new([416, 403, 503][seed as usize % 3], "no")
        } else {
            serve(data, request).slowly(MIB, Duration::from_millis(5))
        }
    })
    .await;
}

#[tokio::test]
async fn if_range_is_never_needed() {
    survives(6 * MIB, |data, request, _| {
        if request.header("if-range").is_some() {
            Reply::new(200, "never ask me this")
        } else {
            serve(data, request)
        }
    })
    .await;
}

#[tokio::test]
async fn wrong_content_range() {
    survives(6 * MIB, |data, request, seed| {
        let honest = serve(data, request);
        let Some((start, _)) = request.range else { return honest.slowly(MIB, Duration::from_millis(5)) };
        let wrong = match seed {
            1 => format!("bytes {}-{}/{}", start + 1, data.len() - 1, data.len()),
            2 => "bytes 0-99/100".to_owned(),
            _ => "nonsense".to_owned(),
        };
        honest.header("content-range", wrong)
    })
    .await;
}

#[tokio::test]
async fn a_range_of_another_version_is_never_merged() {
    survives(6 * MIB, |data, request, seed| {
        if request.range.is_some() {
            // The same length, other bytes, other validators.
            let other = noise(99, data.len());
            serve_as(&other, request, "\"v2\"", "Thu, 22 Oct 2026 07:28:00 GMT")
        } else {
            serve(data, request).slowly(MIB / 4 * seed as usize, Duration::from_millis(5))
        }
    })
    .await;
}

#[tokio::test]
async fn an_over_long_range_is_cut_to_what_was_asked() {
    survives(6 * MIB, |data, request, _| {
        let honest = serve(data, request);
        if request.range.is_none() {
            return honest.slowly(MIB, Duration::from_millis(5));
        }
        let body = [honest.body(), vec![0xAA; 100_000]].concat();
        Reply { steps: vec![Step::Bytes(body)], length: false, close: true, ..honest }
    })
    .await;
}

#[tokio::test]
async fn a_short_range_is_asked_again() {
    survives(6 * MIB, |data, request, seed| {
        let honest = serve(data, request);
        if request.range.is_some() && request.nth % 3 == 1 {
            honest.cut_after(10_000 * seed as usize, None)
        } else {
            honest.slowly(MIB, Duration::from_millis(2))
        }
    })
    .await;
}

#[tokio::test]
async fn resets_in_the_middle() {
    survives(6 * MIB, |data, request, seed| {
        let honest = serve(data, request);
        let cut = (noise(seed + request.nth as u64, 8)[3] as usize) * 8192;
        if request.nth % 2 == 0 { honest.cut_after(cut + 300_000, Some(Step::Reset)) } else { honest }
    })
    .await;
}

#[tokio::test]
async fn a_first_answer_that_stops_is_continued_by_a_range() {
    survives(MIB, |data, request, seed| {
        let honest = serve(data, request);
        if request.nth == 0 { honest.cut_after(100_000 * seed as usize, None) } else { honest }
    })
    .await;
}

#[tokio::test]
async fn a_silent_connection_is_replaced() {
    survives(4 * MIB, |data, request, _| {
        let honest = serve(data, request);
        if request.nth == 1 {
            honest.cut_after(50_000, Some(Step::Pause(Duration::from_secs(20))))
        } else {
            honest.slowly(MIB / 2, Duration::from_millis(5))
        }
    })
    .await;
}

#[tokio::test]
async fn busy_at_first() {
    survives(3 * MIB, |data, request, seed| match request.nth {
        0 => Reply::new([503, 429, 500][seed as usize % 3], "later").header("retry-after", "0"),
        _ => serve(data, request),
    })
    .await;
}

#[tokio::test]
async fn no_length_and_no_ranges() {
    survives(3 * MIB, |data, _, _| Reply::new(200, data).chunked(30_011)).await;
    survives(300_000, |data, _, _| Reply { length: false, close: true, ..Reply::new(200, data) }).await;
}

#[tokio::test]
async fn a_cut_chunked_body_is_no_file() {
    let error = fails("/file.bin", |_| {
        let whole = Reply::new(200, noise(1, 200_000)).chunked(1000);
        let body = whole.body();
        Reply { steps: vec![Step::Bytes(body[..body.len() - 500].to_vec())], close: true, ..whole }
    })
    .await;
    assert!(matches!(error, EngineError::BrokenTransfer { .. }), "{error}");
}

#[tokio::test]
async fn always_short_is_an_error() {
    let error = fails("/file.bin", |request| {
        serve(&noise(1, 500_000), request).cut_after(if request.range.is_some() { 0 } else { 1000 }, None)
    })
    .await;
    assert!(matches!(error, EngineError::BrokenTransfer { .. } | EngineError::Unreachable { .. }), "{error}");
}

#[tokio::test]
async fn statuses_are_named() {
    for (status, check) in [
        (404, (|error| matches!(error, EngineError::Gone { status: 404 })) as fn(&EngineError) -> bool),
        (410, |error| matches!(error, EngineError::Gone { .. })),
        (401, |error| matches!(error, EngineError::LoginRequired { status: 401 })),
        (403, |error| matches!(error, EngineError::LoginRequired { .. })),
        (418, |error| matches!(error, EngineError::HttpStatus { status: 418 })),
        (503, |error| matches!(error, EngineError::HttpStatus { status: 503 })),
        (206, |error| matches!(error, EngineError::BrokenTransfer { .. })),
    ] {
        let error = fails("/file.bin", move |_| Reply::new(status, "no")).await;
        assert!(check(&error), "{status}: {error:?}");
    }
}

#[tokio::test]
async fn a_page_is_not_the_file() {
    let login = "<!DOCTYPE html><html><form><input type=\"password\"></form></html>";
    let error = fails("/film.mp4", move |_| {
        Reply::new(200, login).header("content-type", "text/html; charset=utf-8")
    })
    .await;
    assert!(matches!(error, EngineError::LoginRequired { status: 200 }), "{error:?}");
    let error =
        fails("/film.mp4", |_| Reply::new(200, "<html>Oops").header("content-type", "text/html")).await;
    assert!(matches!(error, EngineError::BrokenTransfer { .. }), "{error:?}");
    let error = fails("/film.mp4", |_| Reply::new(200, "\n <!doctype HTML><p>no type")).await;
    assert!(matches!(error, EngineError::BrokenTransfer { .. }), "{error:?}");
    // Where a page was asked for it is the file.
    let server =
        Server::start(|_| Reply::new(200, "<html>page</html>").header("content-type", "text/html")).await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/article"), dir.path())).await.unwrap();
    assert_eq!(finished.filename, "article.html");
}

#[tokio::test]
async fn compressed_although_not_asked() {
    use std::io::Write as _;
    let data = noise(5, 400_000);
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&data).unwrap();
    let packed = packer.finish().unwrap();
    let server = Server::start({
        let packed = packed.clone();
        move |_| Reply::new(200, packed.clone()).header("content-encoding", "gzip")
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/file.bin"), dir.path())).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    let error = fails("/file.bin", move |_| {
        Reply::new(200, packed[..packed.len() - 20].to_vec()).header("content-encoding", "gzip")
    })
    .await;
    assert!(matches!(error, EngineError::BrokenTransfer { .. }), "{error:?}");
    let error = fails("/file.bin", |_| Reply::new(200, "xyz").header("content-encoding", "br")).await;
    assert!(matches!(error, EngineError::BrokenTransfer { .. }), "{error:?}");
}

#[tokio::test]
async fn credentials_stay_at_home() {
    let data = noise(3, 3 * MIB);
    let elsewhere = Arc::new(
        Server::start({
            let data = data.clone();
            move |request| serve(&data, request).slowly(MIB / 2, Duration::from_millis(5))
        })
        .await,
    );
    let target = elsewhere.url("/real.bin").to_string();
    let home = Server::start(move |_| Reply::new(302, "").header("location", target.clone())).await;
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(home.url("/file.bin"), dir.path());
    job.source.cookies = Some("session=S3CRET".into());
    job.source.headers = vec![
        ("Authorization".into(), "S3CRET".into()),
        ("X-Api-Key".into(), "S3CRET".into()),
        ("Referer".into(), "https://page.example/".into()),
    ];
    let finished = run(&engine(), job).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    assert_eq!(finished.filename, "real.bin");
    assert_eq!(home.requests()[0].header("cookie"), Some("session=S3CRET"));
    assert_eq!(home.requests()[0].header("authorization"), Some("S3CRET"));
    let away = elsewhere.requests();
    assert!(away.len() > 1);
    for request in away {
        assert!(!format!("{request:?}").contains("S3CRET"), "{request:?}");
        assert_eq!(request.header("referer"), Some("https://page.example/"));
    }
}

#[tokio::test]
async fn redirects_end_somewhere() {
    let error = fails("/a", |_| Reply::new(302, "").header("location", "/a")).await;
    assert!(matches!(error, EngineError::TooManyRedirects), "{error:?}");
    for location in ["file:///etc/passwd", "ftp://x/", "http://"] {
        let error = fails("/a", move |_| Reply::new(302, "").header("location", location)).await;
        assert!(matches!(error, EngineError::BadUrl { .. }), "{location}: {error:?}");
    }
}

#[tokio::test]
async fn the_own_door_stays_shut() {
    let door = Server::start(|_| Reply::new(200, "secret")).await;
    let target = door.url("/token").to_string();
    let server = Server::start(move |_| Reply::new(302, "").header("location", target.clone())).await;
    let port = door.address.port();
    let engine = engine_with(|options| options.deny = Some(Arc::new(move |url| url.port() == Some(port))));
    let dir = tempfile::tempdir().unwrap();
    for url in [door.url("/x.bin"), server.url("/x.bin")] {
        let error = run(&engine, job(url, dir.path())).await.unwrap_err();
        assert!(matches!(error, EngineError::OwnAddress), "{error:?}");
    }
    assert!(door.requests().is_empty());
}

#[tokio::test]
async fn an_expired_redirect_is_asked_for_again() {
    survives(3 * MIB, |data, request, _| {
        let turn = request.path.strip_prefix("/signed/").and_then(|turn| turn.parse::<usize>().ok());
        match turn {
            None => Reply::new(302, "").header("location", format!("/signed/{}", request.nth)),
            // The first link works once and breaks; the next one is good.
            Some(0) if request.nth == 0 => serve(data, request).cut_after(700_000, None),
            Some(0) => Reply::new(403, "expired"),
            Some(_) => serve(data, request),
        }
    })
    .await;
}

#[tokio::test]
async fn stated_digests_are_checked() {
    let data = noise(11, 3 * MIB);
    let right = STANDARD.encode(sha256(&data));
    let wrong = STANDARD.encode([0_u8; 32]);
    for (header, value, good) in [
        ("repr-digest", format!("sha-256=:{right}:"), true),
        ("repr-digest", format!("sha-256=:{wrong}:"), false),
        ("digest", format!("SHA-256={right}"), true),
        ("digest", format!("SHA-256={wrong}"), false),
        ("content-md5", STANDARD.encode([1_u8; 16]), false),
        ("repr-digest", "sha-512=:AAAA:".to_owned(), true),
    ] {
        let server = Server::start({
            let (data, value) = (data.clone(), value.clone());
            move |request| {
                let reply = serve(&data, request);
                if request.range.is_none() { reply.header(header, value.clone()) } else { reply }
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        match run(&engine(), job(server.url("/file.bin"), dir.path())).await {
            Ok(finished) if good => assert_whole(&finished, &data, dir.path()),
            Err(EngineError::ChecksumMismatch { .. }) if !good => {
                assert!(!dir.path().join("file.bin").exists());
            }
            other => panic!("{header}: {value}: {other:?}"),
        }
    }
    let server = Server::start(move |request| serve(&data, request)).await;
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(server.url("/file.bin"), dir.path());
    job.checksum = Some(Checksum::sha256(&[0; 32]));
    assert!(matches!(
        run(&engine(), job).await,
        Err(EngineError::ChecksumMismatch { stated_by: "the caller", .. })
    ));
}

#[tokio::test]
async fn hostile_names_stay_in_the_folder() {
    for (disposition, name) in [
        ("attachment; filename=\"../../../escape.bin\"", "escape.bin"),
        ("attachment; filename=\"/etc/cron.d/evil\"", "evil"),
        ("attachment; filename*=UTF-8''..%2f..%2fup.bin", "up.bin"),
        ("attachment; filename=\"..\"", "x"),
        ("attachment; filename=\"NUL.txt\"", "_NUL.txt"),
        ("attachment; filename=\".hidden\"", "_hidden"),
    ] {
        let server =
            Server::start(move |_| Reply::new(200, "hello").header("content-disposition", disposition)).await;
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("in/ner");
        let finished = run(&engine(), job(server.url("/x"), &dir)).await.unwrap();
        assert_eq!(finished.path.parent(), Some(dir.as_path()), "{disposition}");
        assert_eq!(names(outer.path()), ["in"], "{disposition}");
        if disposition.contains("\"..\"") {
            assert!(!finished.filename.contains(".."));
        } else {
            assert_eq!(finished.filename, name);
        }
    }
}

#[tokio::test]
async fn a_taken_name_gets_a_number_and_is_left_alone() {
    let data = noise(2, 100_000);
    let server = Server::start({
        let data = data.clone();
        move |request| serve(&data, request)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("file.bin"), "mine").unwrap();
    let engine = engine();
    let url = server.url("/file.bin");
    let (a, b) = tokio::join!(run(&engine, job(url.clone(), dir.path())), run(&engine, job(url, dir.path())));
    let mut got = [a.unwrap().filename, b.unwrap().filename];
    got.sort();
    assert_eq!(got, ["file (1).bin", "file (2).bin"]);
    assert_eq!(std::fs::read(dir.path().join("file.bin")).unwrap(), b"mine");
    assert_eq!(names(dir.path()).len(), 3);
}

#[tokio::test]
async fn disks_that_refuse() {
    let server = Server::start(|request| serve(&noise(1, 100_000), request)).await;
    let dir = tempfile::tempdir().unwrap();
    let in_the_way = dir.path().join("a-file");
    std::fs::write(&in_the_way, "").unwrap();
    let error = run(&engine(), job(server.url("/file.bin"), &in_the_way)).await.unwrap_err();
    assert!(matches!(error, EngineError::FolderUnwritable(_)), "{error:?}");
    // More than any disk has.
    let server = Server::start(|_| {
        Reply { length: false, ..Reply::new(200, "x") }.header("content-length", (1_u64 << 60).to_string())
    })
    .await;
    let error = run(&engine(), job(server.url("/file.bin"), dir.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::DiskFull), "{error:?}");
}

#[tokio::test]
async fn nobody_there() {
    let address = {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        listener.local_addr().unwrap()
    };
    let dir = tempfile::tempdir().unwrap();
    let url = url::Url::parse(&format!("http://{address}/file.bin?token=S3CRET")).unwrap();
    let error = run(&engine(), job(url, dir.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::Unreachable { .. }), "{error:?}");
    assert!(!error.to_string().contains("S3CRET") && !format!("{error:?}").contains("S3CRET"));
    // Speaks no TLS.
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = url::Url::parse(&format!("https://{}/file.bin", listener.local_addr().unwrap())).unwrap();
    let plain = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            tokio::io::AsyncWriteExt::write_all(&mut socket, b"HTTP/1.1 400 Bad Request\r\n\r\n")
                .await
                .unwrap();
        }
    });
    let error = run(&engine(), job(url, dir.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::Tls { .. }), "{error:?}");
    plain.abort();
}

#[tokio::test]
async fn a_post_is_sent_once_with_its_body() {
    let data = noise(4, 4 * MIB);
    let server = Server::start({
        let data = data.clone();
        move |request| {
            if request.method == "POST" { Reply::new(200, data.clone()) } else { Reply::new(405, "") }
        }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let mut job = job(server.url("/make.bin"), dir.path());
    job.source.method = Method::Post;
    job.source.body = Some("a=b".into());
    let finished = run(&engine(), job).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    assert_eq!(server.requests().len(), 1);
}

/// Starts a slow download, stops it once something is on disk, and returns how much was.
async fn begin_and_stop(engine: &Engine, url: url::Url, dir: &std::path::Path) -> u64 {
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let mut job = job(url, dir);
    job.partial = Partial::SameUrl;
    let download = engine.download(job, Arc::clone(&monitor), stop.clone());
    tokio::pin!(download);
    loop {
        tokio::select! {
            outcome = &mut download => {
                assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
                return monitor.snapshot().received;
            }
            () = tokio::time::sleep(Duration::from_millis(20)) => if monitor.snapshot().received > 1_000_000 { stop.cancel() },
        }
    }
}

async fn resume(engine: &Engine, url: url::Url, dir: &std::path::Path) -> Result<Finished, EngineError> {
    let mut job = job(url, dir);
    job.partial = Partial::SameUrl;
    run(engine, job).await
}

#[tokio::test]
async fn a_stopped_download_goes_on_where_it_was() {
    let data = Arc::new(noise(21, 6 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| serve(&data, request).slowly(MIB / 8, Duration::from_millis(20))
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    let received = begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
    assert_eq!(names(dir.path()), ["file.bin.part", "file.bin.part.weir"]);
    let before = server.requests().len();
    let finished = resume(&engine, server.url("/file.bin"), dir.path()).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    let asked_again: u64 = server.requests()[before..]
        .iter()
        .map(|request| request.range.map_or(data.len() as u64, |(start, end)| end.unwrap() - start))
        .sum();
    // Ranges that were stolen are asked for twice, so the sum is no exact measure; all of it would be the whole file.
    assert!(
        server.requests()[before..].iter().all(|request| request.range.is_some()),
        "asked for everything again"
    );
    assert!(received > 0 && asked_again < 2 * data.len() as u64);
}

#[tokio::test]
async fn what_resuming_meets() {
    struct Case {
        name: &'static str,
        /// Answer once the download is resumed: old bytes, new bytes, request.
        then: fn(&[u8], &[u8], &Request) -> Reply,
        /// Whether the finished file has the new bytes, or the error is right.
        expect: Result<bool, fn(&EngineError) -> bool>,
    }
    let cases = [
        Case { name: "the same", then: |old, _, request| serve(old, request), expect: Ok(false) },
        Case {
            name: "changed, same length",
            then: |_, new, request| serve_as(new, request, "\"v2\"", "Thu, 22 Oct 2026 07:28:00 GMT"),
            expect: Ok(true),
        },
        Case {
            name: "changed, no validators at all",
            then: |_, new, request| serve_as(new, request, "", ""),
            expect: Ok(true),
        },
        Case {
            name: "the same, no validators any more",
            then: |old, _, request| serve_as(old, request, "", ""),
            expect: Ok(false),
        },
        Case {
            name: "changed length",
            then: |_, new, request| serve_as(&new[..new.len() / 2], request, "", ""),
            expect: Ok(true),
        },
        Case { name: "ranges no longer served", then: |_, new, _| Reply::new(200, new), expect: Ok(true) },
        Case {
            name: "416 for ranges",
            then: |_, new, request| {
                if request.range.is_some() { Reply::new(416, "") } else { serve(new, request) }
            },
            expect: Ok(true),
        },
        Case {
            name: "200 to If-Range",
            then: |old, new, request| {
                if request.header("if-range").is_some() { Reply::new(200, new) } else { serve(old, request) }
            },
            expect: Ok(false),
        },
        Case {
            name: "a weak tag that differs by node",
            then: |old, _, request| serve_as(old, request, "W/\"other\"", "Wed, 21 Oct 2026 07:28:00 GMT"),
            expect: Ok(false),
        },
        Case {
            name: "busy twice",
            then: |old, _, request| {
                if request.nth % 4 == 1 { Reply::new(503, "") } else { serve(old, request) }
            },
            expect: Ok(false),
        },
        Case {
            name: "a login page",
            then: |_, _, _| {
                Reply::new(200, "<!doctype html><input type=password>").header("content-type", "text/html")
            },
            expect: Err(|error| matches!(error, EngineError::LoginRequired { .. })),
        },
        Case {
            name: "gone",
            then: |_, _, _| Reply::new(404, ""),
            expect: Err(|error| matches!(error, EngineError::Gone { .. })),
        },
        Case {
            name: "forbidden",
            then: |_, _, _| Reply::new(403, ""),
            expect: Err(|error| matches!(error, EngineError::LoginRequired { .. })),
        },
        Case {
            name: "chunked page in place of later ranges",
            then: |_, new, request| {
                if request.range.is_some() {
                    Reply::new(200, "<html>").chunked(3)
                } else {
                    serve(new, request)
                }
            },
            expect: Ok(true),
        },
    ];
    for case in cases {
        for seed in [1, 2] {
            let (old, new) = (Arc::new(noise(seed, 3 * MIB)), Arc::new(noise(seed + 100, 3 * MIB)));
            let resumed = Arc::new(AtomicBool::new(false));
            let server = Server::start({
                let (old, new, resumed, then) =
                    (Arc::clone(&old), Arc::clone(&new), Arc::clone(&resumed), case.then);
                move |request| {
                    if resumed.load(Ordering::SeqCst) {
                        then(&old, &new, request)
                    } else {
                        serve(&old, request).slowly(MIB / 16, Duration::from_millis(15))
                    }
                }
            })
            .await;
            let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
            begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
            resumed.store(true, Ordering::SeqCst);
            let outcome = resume(&engine, server.url("/file.bin"), dir.path()).await;
            match (outcome, case.expect) {
                (Ok(finished), Ok(is_new)) => {
                    let wanted = if case.name == "changed length" {
                        &new[..new.len() / 2]
                    } else if is_new {
                        &new
                    } else {
                        &old
                    };
                    let found = std::fs::read(&finished.path).unwrap();
                    assert!(found == wanted, "{} seed {seed}: wrong bytes", case.name);
                    assert_eq!(names(dir.path()), ["file.bin"], "{}", case.name);
                }
                (Err(error), Err(check)) => {
                    assert!(check(&error), "{}: {error:?}", case.name);
                    // What was there is kept for when the page has been opened again.
                    assert_eq!(names(dir.path()), ["file.bin.part", "file.bin.part.weir"], "{}", case.name);
                }
                (outcome, _) => panic!("{} seed {seed}: {outcome:?}", case.name),
            }
        }
    }
}

#[tokio::test]
async fn a_damaged_journal_costs_fetching_again_and_nothing_else() {
    for damage in 0..4 {
        let data = Arc::new(noise(31, 3 * MIB));
        let server = Server::start({
            let data = Arc::clone(&data);
            move |request| serve(&data, request).slowly(MIB / 16, Duration::from_millis(10))
        })
        .await;
        let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
        begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
        let journal = dir.path().join("file.bin.part.weir");
        let bytes = std::fs::read(&journal).unwrap();
        match damage {
            0 => std::fs::write(&journal, vec![0; bytes.len()]).unwrap(),
            1 => std::fs::write(&journal, &bytes[..bytes.len() / 3]).unwrap(),
            2 => std::fs::write(&journal, "").unwrap(),
            _ => std::fs::write(dir.path().join("file.bin.part"), "short").unwrap(),
        }
        let mut job = job(server.url("/file.bin"), dir.path());
        job.partial = Partial::Named("file.bin".into());
        let finished = run(&engine, job).await.unwrap();
        assert_whole(&finished, &data, dir.path());
        assert_eq!(finished.filename, "file.bin", "damage {damage}");
    }
}

#[tokio::test]
async fn one_worker_for_one_partial() {
    let data = Arc::new(noise(41, 3 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| serve(&data, request).slowly(MIB / 16, Duration::from_millis(20))
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    let monitor = Arc::new(Monitor::new());
    let first = engine.download(
        job(server.url("/file.bin"), dir.path()),
        Arc::clone(&monitor),
        CancellationToken::new(),
    );
    tokio::pin!(first);
    while monitor.snapshot().received == 0 {
        tokio::select! {
            outcome = &mut first => panic!("{outcome:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    let mut second = job(server.url("/file.bin"), dir.path());
    second.partial = Partial::Named("file.bin".into());
    let error = run(&engine, second).await.unwrap_err();
    assert!(matches!(error, EngineError::FileBusy { .. }), "{error:?}");
    assert_whole(&first.await.unwrap(), &data, dir.path());
}

#[tokio::test]
async fn what_another_download_took_over_is_not_removed() {
    let data = Arc::new(noise(42, 6 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| serve(&data, request).slowly(MIB / 16, Duration::from_millis(20))
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
    let monitor = Arc::new(Monitor::new());
    let mut second = job(server.url("/file.bin"), dir.path());
    second.partial = Partial::Named("file.bin".into());
    let second = engine.download(second, Arc::clone(&monitor), CancellationToken::new());
    tokio::pin!(second);
    let before = server.requests().len();
    while server.requests().len() == before {
        tokio::select! {
            outcome = &mut second => panic!("{outcome:?}"),
            () = tokio::time::sleep(Duration::from_millis(5)) => {}
        }
    }
    assert!(!weir_engine::remove_partial(dir.path(), "file.bin").unwrap());
    assert_whole(&second.await.unwrap(), &data, dir.path());
}

#[tokio::test]
async fn what_is_finished_and_not_settled_is_not_fetched_again() {
    let data = Arc::new(noise(43, MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| serve(&data, request)
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    let download = |partial| {
        let mut job = job(server.url("/file.bin"), dir.path());
        job.partial = partial;
        engine.download(job, Arc::new(Monitor::new()), CancellationToken::new())
    };
    // The caller dies before it has recorded the result, twice.
    let first = download(Partial::SameUrl).await.unwrap();
    assert_eq!(names(dir.path()), ["file.bin", "file.bin.part.weir"]);
    assert_eq!(download(Partial::Named("file.bin".into())).await.unwrap(), first);
    let again = download(Partial::SameUrl).await.unwrap();
    assert_eq!(again, first);
    assert_eq!(server.requests().len(), 1);
    assert_whole(&again, &data, dir.path());
    assert_eq!(names(dir.path()), ["file.bin"]);
    // One that had been stopped before does not even then finish behind the caller's back.
    let second = download(Partial::Fresh).await.unwrap();
    assert_eq!(second.filename, "file (1).bin");
    let stopped = CancellationToken::new();
    stopped.cancel();
    let mut job = job(server.url("/file.bin"), dir.path());
    job.partial = Partial::Named("file (1).bin".into());
    let outcome = engine.download(job, Arc::new(Monitor::new()), stopped).await;
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
    assert_eq!(names(dir.path()), ["file (1).bin", "file (1).bin.part.weir", "file.bin"]);
}

#[tokio::test]
async fn a_title_as_a_name_gets_an_extension_and_is_found_again() {
    let data = Arc::new(noise(45, 6 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| {
            let reply = serve(&data, request).header("content-type", "video/webm");
            reply.slowly(MIB / 8, Duration::from_millis(20))
        }
    })
    .await;
    let (engine, dir, stop) = (engine(), tempfile::tempdir().unwrap(), CancellationToken::new());
    let titled = || {
        let mut job = job(server.url("/videoplayback?id=7"), dir.path());
        job.filename = Some("My talk – Example".into());
        job.partial = Partial::SameUrl;
        job
    };
    let monitor = Arc::new(Monitor::new());
    let halt = async {
        while monitor.snapshot().received < 1_000_000 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(engine.download(titled(), Arc::clone(&monitor), stop.clone()), halt);
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
    let before = server.requests().len();
    let finished = run(&engine, titled()).await.unwrap();
    assert_eq!(finished.filename, "My talk – Example.webm");
    assert_whole(&finished, &data, dir.path());
    assert!(server.requests()[before..].iter().all(|request| request.range.is_some()), "begun anew");
}

#[tokio::test]
async fn a_file_begun_again_says_so() {
    let data = Arc::new(noise(44, MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| {
            let reply = Reply::new(200, data.to_vec());
            // Without ranges what broke off cannot be continued.
            if request.nth == 0 { reply.cut_after(300_000, None) } else { reply }
        }
    })
    .await;
    let (engine, dir, monitor) = (engine(), tempfile::tempdir().unwrap(), Arc::new(Monitor::new()));
    assert_eq!(monitor.snapshot().epoch, 0);
    let job = job(server.url("/file.bin"), dir.path());
    let finished = engine.download(job, Arc::clone(&monitor), CancellationToken::new()).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    let snapshot = monitor.snapshot();
    assert_eq!((snapshot.epoch, snapshot.in_order), (2, data.len() as u64));
}

#[tokio::test]
async fn the_limit_holds_and_can_be_lifted() {
    let data = noise(51, 4 * MIB);
    let server = Server::start({
        let data = data.clone();
        move |request| serve(&data, request)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let job = job(server.url("/file.bin"), dir.path());
    job.limit.set(1 << 20);
    let limit = Arc::clone(&job.limit);
    let (engine, monitor, start) = (engine(), Arc::new(Monitor::new()), std::time::Instant::now());
    let download = engine.download(job, Arc::clone(&monitor), CancellationToken::new());
    let lift = async {
        tokio::time::sleep(Duration::from_secs(2)).await;
        let received = monitor.snapshot().received as f64;
        limit.set(0);
        received
    };
    let (finished, received) = tokio::join!(download, lift);
    assert_whole(&finished.unwrap(), &data, dir.path());
    assert!((1.2e6..2.6e6).contains(&received), "{received} bytes in 2 s at 1 MiB/s");
    assert!(start.elapsed() < Duration::from_secs(4));
}

#[tokio::test]
async fn a_look_tells_kind_name_and_size() {
    let data = noise(61, 3 * MIB);
    let server = Server::start(move |request| {
        serve(&data, request).header("content-disposition", "attachment; filename=\"talk.zip\"")
    })
    .await;
    let probe = engine().probe(&weir_engine::Source::get(server.url("/get?id=1"))).await.unwrap();
    assert_eq!(
        (probe.kind, probe.filename.as_str(), probe.total_bytes, probe.resumable),
        (Kind::File, "talk.zip", Some(3 * MIB as u64), true)
    );
    let count = AtomicUsize::new(0);
    let error = engine()
        .probe(&weir_engine::Source::get(
            Server::start(move |_| {
                count.fetch_add(1, Ordering::SeqCst);
                Reply::new(404, "")
            })
            .await
            .url("/x"),
        ))
        .await
        .unwrap_err();
    assert!(matches!(error, EngineError::Gone { .. } | EngineError::Unreachable { .. }), "{error:?}");
}
