//! Going on where an earlier run stopped.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_engine::{Engine, EngineError, Finished, Monitor, Partial};

use super::MIB;
use super::support::{
    Request, Server, assert_whole, engine, job, marked, names, noise, run, serve, serve_as,
};

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
    run(engine, marked(job)).await
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
    let finished = resume(&engine, server.url("/file.bin"), dir.path()).await.unwrap();
    assert_whole(&finished, &data, dir.path());
    let requests = server.marked_requests();
    let asked_again: u64 = requests
        .iter()
        .map(|request| request.range.map_or(data.len() as u64, |(start, end)| end.unwrap() - start))
        .sum();
    // Ranges that were stolen are asked for twice, so the sum is no exact measure; all of it would be the whole file.
    assert!(requests.iter().all(|request| request.range.is_some()), "asked for everything again");
    assert!(received > 0 && asked_again < 2 * data.len() as u64);
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
    let second = engine.download(marked(second), Arc::clone(&monitor), CancellationToken::new());
    tokio::pin!(second);
    while server.marked_requests().is_empty() {
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
async fn a_changed_file_comes_with_the_first_question() {
    let (old, new) = (Arc::new(noise(51, 4 * MIB)), Arc::new(noise(52, 4 * MIB)));
    let turned = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let (old, new, turned) = (Arc::clone(&old), Arc::clone(&new), Arc::clone(&turned));
        move |request| {
            if !turned.load(Ordering::SeqCst) {
                return serve(&old, request).slowly(MIB / 16, Duration::from_millis(20));
            }
            // As RFC 9110 section 13.1.5 has it: the range only to those who know the present state.
            let knows = request.header("if-range").is_none_or(|known| known == "\"v2\"");
            let asked = Request { range: request.range.filter(|_| knows), ..request.clone() };
            serve_as(&new, &asked, "\"v2\"", "Thu, 22 Oct 2026 07:28:00 GMT")
        }
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
    turned.store(true, Ordering::SeqCst);
    assert_whole(&resume(&engine, server.url("/file.bin"), dir.path()).await.unwrap(), &new, dir.path());
    let requests = server.marked_requests();
    assert_eq!(requests[0].header("if-range"), Some("\"v1\""));
    assert!(requests[0].range.is_some());
    // That answer is the new file's beginning: nothing is asked for from its first byte again.
    let again = requests[1..].iter().filter(|request| request.range.is_none_or(|(start, _)| start == 0));
    assert_eq!(again.count(), 0, "{requests:?}");
}

#[tokio::test]
async fn a_server_that_answers_the_whole_to_any_condition_keeps_its_partial_and_its_connections() {
    let data = Arc::new(noise(53, 8 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| {
            let blind = request.header("if-range").is_some();
            let asked = Request { range: request.range.filter(|_| !blind), ..request.clone() };
            serve(&data, &asked).slowly(MIB / 8, Duration::from_millis(20))
        }
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
    assert_whole(&resume(&engine, server.url("/file.bin"), dir.path()).await.unwrap(), &data, dir.path());
    let requests = server.marked_requests();
    assert!(requests[0].header("if-range").is_some());
    assert!(
        requests[1..].iter().all(|request| request.header("if-range").is_none() && request.range.is_some())
    );
    assert!(requests.len() > 4, "one connection: {} requests", requests.len());
}

#[tokio::test]
async fn a_tag_that_changed_alone_is_weighed_against_a_few_pieces() {
    let data = Arc::new(noise(54, 8 * MIB));
    let turned = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let (data, turned) = (Arc::clone(&data), Arc::clone(&turned));
        move |request| {
            let node = if turned.load(Ordering::SeqCst) { "\"node2\"" } else { "\"v1\"" };
            let reply = serve_as(&data, request, node, "Wed, 21 Oct 2026 07:28:00 GMT");
            reply.slowly(MIB / 8, Duration::from_millis(20))
        }
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    begin_and_stop(&engine, server.url("/file.bin"), dir.path()).await;
    turned.store(true, Ordering::SeqCst);
    assert_whole(&resume(&engine, server.url("/file.bin"), dir.path()).await.unwrap(), &data, dir.path());
    let requests = server.marked_requests();
    assert!(!server.begun_anew());
    let pieces = requests
        .iter()
        .filter_map(|request| request.range)
        .filter(|(start, end)| end.is_some_and(|end| end - start <= 64 * 1024 && end - start > 1));
    assert!((4..=12).contains(&pieces.count()), "{requests:?}");
}
