//! The real yt-dlp with its extractor for any page.

use weir_engine::{EngineError, Kind, Source};

use super::support::{Server, names, sha256};
use super::{bring, engine, job, measure, site, yt_dlp};

#[tokio::test]
async fn what_a_page_plays_comes_home_under_its_title() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    for (path, name) in [("/watch", "A talk (1).mp4"), ("/stream", "A stream (1).mp4")] {
        let dir = tempfile::tempdir().unwrap();
        let finished = bring(&engine(&program), job(server.url(path), dir.path())).await.unwrap();
        assert_eq!((finished.filename.as_str(), finished.kind), (name, Kind::Site));
        let bytes = std::fs::read(&finished.path).unwrap();
        assert_eq!((finished.bytes, finished.sha256), (bytes.len() as u64, sha256(&bytes)));
        let (seconds, pictures) = measure(&finished.path);
        assert!((seconds - 6.0).abs() < 0.1, "{seconds}");
        assert_eq!(pictures, 150);
        assert_eq!(names(dir.path()), [name], "nothing else is left");
    }
}

#[tokio::test]
async fn an_address_without_a_kind_is_looked_at_first() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    let dir = tempfile::tempdir().unwrap();
    let mut asked = job(server.url("/watch"), dir.path());
    asked.kind = None;
    asked.filename = Some("Mine".into());
    let finished = bring(&engine(&program), asked.clone()).await.unwrap();
    assert_eq!((finished.filename.as_str(), finished.kind), ("Mine.mp4", Kind::Site));
    // A page in a file's clothes is what it always was.
    asked.filename = Some("report.pdf".into());
    let refused = bring(&engine(&program), asked).await.unwrap_err();
    assert!(matches!(refused, EngineError::BrokenTransfer { .. }), "{refused}");
}

#[tokio::test]
async fn what_a_page_has_not_is_told() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    let dir = tempfile::tempdir().unwrap();
    for (path, quality, told) in [
        ("/none", None, "--kind file"),
        ("/two", None, "a list of 2 entries"),
        ("/gone", None, "status 404"),
        ("/watch", Some("all"), "no quality named all"),
    ] {
        let mut asked = job(server.url(path), dir.path());
        asked.quality = quality.map(str::to_owned);
        let error = bring(&engine(&program), asked).await.unwrap_err();
        assert!(error.to_string().contains(told), "{path}: {error}");
    }
    assert!(names(dir.path()).is_empty(), "{:?}", names(dir.path()));
}

#[tokio::test]
async fn only_sound_is_only_sound() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    let dir = tempfile::tempdir().unwrap();
    let mut asked = job(server.url("/watch"), dir.path());
    asked.quality = Some("audio".into());
    let finished = bring(&engine(&program), asked).await.unwrap();
    assert_eq!((finished.filename.as_str(), finished.quality.as_deref()), ("A talk (1).m4a", Some("Audio")));
    let streams = std::process::Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0", "-show_entries", "stream=codec_type"])
        .arg(&finished.path)
        .output()
        .unwrap();
    assert_eq!(String::from_utf8_lossy(&streams.stdout).trim(), "audio");
}

#[tokio::test]
async fn a_look_tells_what_the_page_has() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    let probe = engine(&program).probe(&Source::get(server.url("/stream"))).await.unwrap();
    assert_eq!(probe.kind, Kind::Site);
    assert_eq!((probe.title.as_deref(), probe.filename.as_str()), (Some("A stream (1)"), "A stream (1).mp4"));
    assert!(!probe.variants.is_empty() && !probe.live);
}
