//! What goes with requests of a stream, and what is asked before anything is fetched.

use std::path::PathBuf;

use weir_engine::EngineError;

use super::recipe::{folder_server, same_film};
use super::serving::{fetched, folder, talk};
use super::support::{Reply, Server, engine_with, job, names, run};

#[tokio::test]
async fn cookies_go_with_segments_of_the_same_place_only() {
    let dir = talk();
    let elsewhere = folder_server(dir.clone()).await;
    let list = std::fs::read_to_string(dir.join("s.m3u8"))
        .unwrap()
        .replace("s3.ts", elsewhere.url("/s3.ts").as_str());
    let home = Server::start(move |request| {
        if request.path == "/s.m3u8" { Reply::new(200, list.clone()) } else { folder(&dir, request) }
    })
    .await;
    let (_out, finished) = fetched(&home, "/s.m3u8", |job| {
        job.source.cookies = Some("S3CRET".into());
        job.source.headers = vec![("Referer".into(), "https://page.example/".into())];
    })
    .await;
    same_film(&finished.unwrap(), "talk");
    assert!(home.requests().iter().all(|request| request.header("cookie") == Some("S3CRET")));
    assert!(!elsewhere.requests().is_empty());
    for request in elsewhere.requests() {
        assert_eq!(
            (request.header("cookie"), request.header("referer")),
            (None, Some("https://page.example/"))
        );
    }
}

#[tokio::test]
async fn without_ffmpeg_nothing_is_fetched() {
    let server = Server::start(|request| match request.path.as_str() {
        "/list.m3u8" => Reply::new(200, "#EXTM3U\n#EXTINF:1,\ns.ts\n#EXT-X-ENDLIST\n"),
        _ => Reply::new(200, "segment"),
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let engine = engine_with(|options| options.ffmpeg = Some(PathBuf::from("/nowhere/ffmpeg")));
    let error = run(&engine, job(server.url("/list.m3u8"), out.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::FfmpegMissing), "{error:?}");
    assert_eq!(server.requests().len(), 1);
    assert!(names(out.path()).is_empty());
}
