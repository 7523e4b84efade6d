//! Segments that cannot be had: an error that says so, or, for who keeps what is there, a film that is named partial.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use weir_engine::{Engine, EngineError, Job, Kind, Partial};

use super::fake::{TALK, program};
use super::support::{Reply, Request, Server, engine_with, names};
use super::{bring, engine, job, measure, site, yt_dlp};

/// The two pages, of whose stream two segments are gone.
fn torn(request: &Request) -> Reply {
    match request.path.as_str() {
        "/v2.ts" | "/v4.ts" => Reply::new(404, ""),
        _ => site(request),
    }
}

/// Asks once more for what cannot be had, not for a minute.
fn quick(program: &Path) -> Engine {
    engine_with(|options| {
        options.yt_dlp = Some(program.to_owned());
        options.patience = Duration::from_secs(20);
        options.retries = 1;
    })
}

fn keeping(url: url::Url, directory: &Path) -> Job {
    let mut job = job(url, directory);
    job.wishes.holes = true;
    job
}

#[tokio::test]
async fn a_lost_segment_is_an_error_and_what_is_there_can_be_kept() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(torn).await;
    let dir = tempfile::tempdir().unwrap();
    let engine = quick(&program);
    let error = bring(&engine, job(server.url("/stream"), dir.path())).await.unwrap_err();
    assert!(matches!(&error, EngineError::SiteSegmentMissing { .. }), "{error:?}");
    assert!(error.to_string().contains("404"), "{error}");
    // The same row goes on with what it has, and takes the rest as far as it can be had.
    let mut again = keeping(server.url("/stream"), dir.path());
    again.partial = Partial::Named("A stream (1).mp4".into());
    let kept = bring(&engine, again).await.unwrap();
    assert_eq!(kept.lacks.as_deref(), Some("2 of 6 segments are missing"));
    assert_eq!((kept.filename.as_str(), kept.kind), ("A stream (1) (partial).mp4", Kind::Site));
    let (_, pictures) = measure(&kept.path);
    assert_eq!(pictures, 100, "four seconds of six");
    assert_eq!(names(dir.path()), ["A stream (1) (partial).mp4"]);
}

#[tokio::test]
async fn a_stream_that_failed_goes_on_and_leaves_nothing_out() {
    let Some(program) = yt_dlp() else { return };
    let mended = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let mended = Arc::clone(&mended);
        move |request| if mended.load(Ordering::SeqCst) { site(request) } else { torn(request) }
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let engine = quick(&program);
    let error = bring(&engine, job(server.url("/stream"), dir.path())).await.unwrap_err();
    assert!(matches!(&error, EngineError::SiteSegmentMissing { .. }), "{error:?}");
    mended.store(true, Ordering::SeqCst);
    let mut again = job(server.url("/stream"), dir.path());
    again.partial = Partial::Named("A stream (1).mp4".into());
    let whole = bring(&engine, again).await.unwrap();
    assert_eq!((whole.lacks, measure(&whole.path).1), (None, 150));
}

#[tokio::test]
async fn what_is_whole_is_not_called_partial_because_it_might_have_been() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    for path in ["/stream", "/watch"] {
        let dir = tempfile::tempdir().unwrap();
        let whole = bring(&engine(&program), keeping(server.url(path), dir.path())).await.unwrap();
        assert_eq!(whole.lacks, None);
        assert!(!whole.filename.contains("partial"), "{}", whole.filename);
        assert_eq!(measure(&whole.path).1, 150);
    }
}

/// What a page in segments ends with, when yt-dlp does `work` and then says `status`.
async fn ended(work: &str, status: &str) -> EngineError {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let look = TALK.replace("\"ext\"", "\"protocol\": \"m3u8_native\", \"ext\"");
    let work =
        format!("{work}\necho 'ERROR: unable to download video data: HTTP Error {status}' >&2; exit 1");
    let engine = engine(&program(tools.path(), &look, &work));
    let address = url::Url::parse("http://127.0.0.1:9/watch").unwrap();
    bring(&engine, job(address, out.path())).await.unwrap_err()
}

#[tokio::test]
async fn what_is_lost_before_any_segment_came_is_not_one() {
    let nothing = ":";
    // The list has been read, and none of it is whole.
    let begun =
        ": > \"$home/media.mp4.part\"; : > \"$home/media.mp4.ytdl\"; : > \"$home/media.mp4.part-Frag1.part\"";
    for work in [nothing, begun] {
        let login = ended(work, "403: Forbidden").await;
        assert!(matches!(login, EngineError::LoginRequired { status: 403 }), "{work}: {login:?}");
        let gone = ended(work, "404: Not Found").await;
        assert!(matches!(gone, EngineError::Gone { status: 404 }), "{work}: {gone:?}");
        let busy = ended(work, "503: Busy").await;
        assert!(matches!(busy, EngineError::HttpStatus { status: 503 }), "{work}: {busy:?}");
    }
    let amid = format!("{begun}; echo x > \"$home/media.mp4.part-Frag1\"");
    let lost = ended(&amid, "404: Not Found").await;
    assert!(matches!(lost, EngineError::SiteSegmentMissing { transient: false, .. }), "{lost:?}");
    let login = ended(&amid, "403: Forbidden").await;
    assert!(matches!(login, EngineError::LoginRequired { status: 403 }), "{login:?}");
}

#[tokio::test]
async fn what_nobody_can_count_may_lack_something() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let look = TALK.replace("\"ext\"", "\"protocol\": \"m3u8\", \"ext\"");
    let work = "echo x > \"$home/media.webm\"; echo 'F {\"filepath\": \"media.webm\"}'";
    let engine = engine(&program(tools.path(), &look, work));
    let address = url::Url::parse("http://127.0.0.1:9/watch").unwrap();
    let finished = bring(&engine, keeping(address, out.path())).await.unwrap();
    let lacks = finished.lacks.unwrap();
    assert!(lacks.starts_with("it may lack segments"), "{lacks}");
    assert_eq!(names(out.path()), ["Talk (partial).webm"]);
}
