//! Files from servers that behave, and what a caller may ask for.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Kind, Method, Monitor, Partial};

use super::MIB;
use super::support::{
    Reply, Server, assert_whole, engine, engine_with, job, marked, names, noise, run, serve,
};

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
    let finished = run(&engine, marked(titled())).await.unwrap();
    assert_eq!(finished.filename, "My talk – Example.webm");
    assert_whole(&finished, &data, dir.path());
    assert!(!server.begun_anew());
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

#[tokio::test]
async fn where_a_page_was_asked_for_it_is_the_file() {
    let server =
        Server::start(|_| Reply::new(200, "<html>page</html>").header("content-type", "text/html")).await;
    let dir = tempfile::tempdir().unwrap();
    // By its kind, or by its address.
    let mut asked = job(server.url("/article"), dir.path());
    asked.kind = Some(Kind::File);
    assert_eq!(run(&engine(), asked).await.unwrap().filename, "article.html");
    let finished = run(&engine(), job(server.url("/other.html"), dir.path())).await.unwrap();
    assert_eq!(finished.filename, "other.html");
}
