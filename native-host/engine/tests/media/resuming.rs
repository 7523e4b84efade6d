//! Streams that are stopped, that failed, or whose server was repaired, and go on.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Monitor, Partial, Phase};

use super::recipe::same_film;
use super::serving::{folder, talk};
use super::support::{Reply, Server, engine, engine_with, job, marked, names, run};

#[tokio::test]
async fn stopping_and_going_on() {
    let dir = talk();
    let server = Server::start(move |request| {
        let reply = folder(&dir, request);
        let number =
            request.path.trim_start_matches("/s").trim_end_matches(".ts").parse::<usize>().unwrap_or(0);
        if number >= 3 && request.nth == 0 { reply.slowly(1000, Duration::from_millis(100)) } else { reply }
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let (engine, monitor, stop) = (engine(), Arc::new(Monitor::new()), CancellationToken::new());
    let mut first = job(server.url("/s.m3u8?token=1"), out.path());
    first.title = Some("film".into());
    let halt = async {
        while monitor.snapshot().in_order == 0 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(engine.download(first, Arc::clone(&monitor), stop.clone()), halt);
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
    let left = names(out.path());
    assert!(left.iter().all(|name| name.starts_with("film.mp4.part")), "{left:?}");
    assert!(left.contains(&"film.mp4.part.weir".to_owned()), "{left:?}");
    // The link has a new token by now; the daemon knows the download by its name.
    let mut second = job(server.url("/s.m3u8?token=2"), out.path());
    second.partial = Partial::Named("film.mp4".into());
    let finished = run(&engine, marked(second)).await.unwrap();
    same_film(&finished, "talk");
    assert_eq!(monitor.snapshot().phase, Phase::Downloading);
    let again: Vec<String> = server.marked_requests().iter().map(|request| request.path.clone()).collect();
    assert!(!again.contains(&"/s0.ts".to_owned()), "{again:?}");
}

#[tokio::test]
async fn a_repaired_server_is_asked_again() {
    let dir = talk();
    let wrong = std::fs::read(dir.join("s1.ts")).unwrap();
    // Another segment instead of one, and something that is no media at all instead of the first.
    for (path, body) in [("/s5.ts", wrong), ("/s0.ts", b"nothing to see here".repeat(100))] {
        let (dir, repaired) = (dir.clone(), Arc::new(AtomicBool::new(false)));
        let server = Server::start({
            let repaired = Arc::clone(&repaired);
            move |request| {
                if request.path == path && !repaired.load(Ordering::Relaxed) {
                    Reply::new(200, body.clone())
                } else {
                    folder(&dir, request)
                }
            }
        })
        .await;
        let out = tempfile::tempdir().unwrap();
        let again = || {
            let mut job = job(server.url("/s.m3u8"), out.path());
            job.partial = Partial::SameUrl;
            job
        };
        let error = run(&engine(), again()).await.unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::DurationMismatch { .. }
                    | EngineError::MuxFailed { .. }
                    | EngineError::SegmentMissing { .. }
                    | EngineError::UnsupportedMedia { .. }
            ),
            "{path}: {error:?}"
        );
        assert!(names(out.path()).iter().all(|name| name.contains(".part")), "{:?}", names(out.path()));
        repaired.store(true, Ordering::Relaxed);
        let finished = run(&engine(), again()).await.unwrap();
        assert_eq!(finished.filename, "s.mp4");
        same_film(&finished, "talk");
    }
}

#[tokio::test]
async fn a_request_that_breaks_is_no_stop() {
    let dir = talk();
    let server = Server::start(move |request| folder(&dir, request)).await;
    let out = tempfile::tempdir().unwrap();
    let engine = engine_with(|options| {
        options.deny = Some(Arc::new(|url| {
            assert!(!url.path().ends_with("s3.ts"), "as a mistake in the program would");
            false
        }));
    });
    let error = run(&engine, job(server.url("/s.m3u8"), out.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::Internal(_)), "{error:?}");
}
