//! Pause, crash and change of mind: what ended well is gone on with, and everything else begun anew.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{EngineError, Job, Monitor, Partial, RateLimit};

use super::fake::{TALK, calls, program};
use super::support::{Server, names, serve};
use super::{bring, engine, film, job, measure, page, yt_dlp};

fn address() -> Url {
    Url::parse("http://127.0.0.1:9/watch").unwrap()
}

/// Runs a job until `enough` says so, then stops it.
async fn stopped(engine: &weir_engine::Engine, job: Job, enough: impl Fn(&Monitor) -> bool) {
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let halt = async {
        while !enough(&monitor) {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        stop.cancel();
    };
    let work = engine.download(job, Arc::clone(&monitor), stop.clone());
    let (outcome, ()) = tokio::join!(work, halt);
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
}

/// Whether a process with this number runs.
fn runs(process: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", process.trim())).unwrap_or_default();
    // A zombie waits for nobody but its parent.
    stat.rsplit(") ").next().is_some_and(|rest| !rest.is_empty() && !rest.starts_with('Z'))
}

async fn gone(process: &str) {
    let started = Instant::now();
    while runs(process) {
        assert!(started.elapsed() < Duration::from_secs(25), "yt-dlp outlives its owner");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_paused_page_goes_on_where_it_stopped() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(|request| match request.path.as_str() {
        "/watch" => page("A talk", "<video src='/film.mp4'></video>"),
        _ => serve(film(), request).header("content-type", "video/mp4"),
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let engine = engine(&program);
    let mut first = job(server.url("/watch"), out.path());
    first.limit = Arc::new(RateLimit::new(film().len() as u64 / 20));
    stopped(&engine, first, |monitor| monitor.snapshot().received > film().len() as u64 / 10).await;
    assert_eq!(names(out.path()), ["A talk (1).mp4.part.weir", "A talk (1).mp4.part.work"]);
    let mut second = job(server.url("/watch"), out.path());
    second.partial = Partial::Named("A talk (1).mp4".into());
    let finished = bring(&engine, second).await.unwrap();
    let last = server.requests().into_iter().rfind(|request| request.path == "/film.mp4").unwrap();
    assert!(last.range.is_some_and(|(first, _)| first > 0), "begun anew: {last:?}");
    let (seconds, pictures) = measure(&finished.path);
    assert!((seconds - 6.0).abs() < 0.1 && pictures == 150, "{seconds} {pictures}");
    assert_eq!(names(out.path()), ["A talk (1).mp4"]);
}

/// Takes its time the first time, and says what it found in its folder the second.
const TWICE: &str = r#"
    echo $$ > "$here/process"
    if [ ! -e "$here/second" ]; then
        : > "$here/second"
        echo half > "$home/media.mp4.part"
        WHEN_ASKED
        echo 'P {"filename": "f", "downloaded_bytes": 5}'
        while :; do sleep 0.1; done
    fi
    ls "$home" > "$here/found"
    echo whole > "$home/media.webm"; echo 'F {"filepath": "media.webm"}'
"#;

async fn second_finds(when_asked: &str, change: impl Fn(&Path)) -> String {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = engine(&program(tools.path(), TALK, &TWICE.replace("WHEN_ASKED", when_asked)));
    stopped(&engine, job(address(), out.path()), |monitor| monitor.snapshot().received > 0).await;
    gone(&std::fs::read_to_string(tools.path().join("process")).unwrap()).await;
    change(tools.path());
    let mut again = job(address(), out.path());
    again.partial = Partial::SameUrl;
    bring(&engine, again).await.unwrap();
    assert_eq!(names(out.path()), ["Talk.webm"]);
    std::fs::read_to_string(tools.path().join("found")).unwrap().trim().to_owned()
}

#[tokio::test]
async fn only_what_ended_by_its_own_way_out_is_gone_on_with() {
    assert_eq!(second_finds("trap 'exit 1' INT", |_| {}).await, "media.mp4.part");
    // Ended by the signal itself: nobody knows what it was about to write.
    assert_eq!(second_finds("trap - INT", |_| {}).await, "");
}

#[tokio::test]
async fn another_choice_is_another_download() {
    let other = |tools: &Path| {
        program(tools, &TALK.replace("\"0\"", "\"22\""), TWICE);
    };
    assert_eq!(second_finds("trap 'exit 1' INT", other).await, "");
}

#[tokio::test]
async fn one_that_does_not_listen_is_killed_and_begun_anew() {
    let started = Instant::now();
    assert_eq!(second_finds("trap '' INT TERM", |_| {}).await, "");
    assert!(started.elapsed() > Duration::from_secs(14), "it was given time");
}

#[tokio::test]
async fn an_owner_that_vanishes_takes_it_along() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = engine(&program(tools.path(), TALK, &TWICE.replace("WHEN_ASKED", "trap 'exit 1' INT")));
    let monitor = Arc::new(Monitor::new());
    let task = tokio::spawn({
        let (engine, monitor, job) = (engine.clone(), Arc::clone(&monitor), job(address(), out.path()));
        async move { engine.download(job, monitor, CancellationToken::new()).await.map(|_| ()) }
    });
    while monitor.snapshot().received == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    task.abort();
    assert!(task.await.unwrap_err().is_cancelled());
    gone(&std::fs::read_to_string(tools.path().join("process")).unwrap()).await;
    // The journal did not hear how it ended, so nothing of it is believed.
    let mut again = job(address(), out.path());
    again.partial = Partial::SameUrl;
    bring(&engine, again).await.unwrap();
    assert_eq!(std::fs::read_to_string(tools.path().join("found")).unwrap().trim(), "");
}

#[tokio::test]
async fn a_changed_limit_takes_it_down_and_up_again() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = engine(&program(tools.path(), TALK, &TWICE.replace("WHEN_ASKED", "trap 'exit 1' INT")));
    let mut asked = job(address(), out.path());
    asked.limit = Arc::new(RateLimit::with_parent(5000, Arc::new(RateLimit::new(70_000))));
    let (limit, monitor) = (Arc::clone(&asked.limit), Arc::new(Monitor::new()));
    let change = async {
        while monitor.snapshot().received == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        limit.set(0);
    };
    let work = engine.download(asked, Arc::clone(&monitor), CancellationToken::new());
    let (finished, ()) = tokio::join!(work, change);
    finished.unwrap().settle().unwrap();
    let calls = calls(tools.path());
    assert!(calls[1].contains("--limit-rate 5000") && calls[2].contains("--limit-rate 70000"), "{calls:?}");
    assert_eq!(std::fs::read_to_string(tools.path().join("found")).unwrap().trim(), "media.mp4.part");
}
