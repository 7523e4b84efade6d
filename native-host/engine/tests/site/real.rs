//! The real yt-dlp with its extractor for any page.

use std::sync::Arc;
use std::time::{Duration, Instant};

use weir_engine::{EngineError, Kind, RateLimit, Source};

use super::support::{Reply, Server, names, serve, sha256};
use super::{bring, engine, job, measure, page, site, stream, yt_dlp};

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

#[tokio::test]
async fn sound_of_its_own_comes_along_where_no_codecs_are_stated() {
    let Some(program) = yt_dlp() else { return };
    let made = tempfile::tempdir().unwrap();
    let sounds = "v:0,agroup:a a:0,agroup:a,language:en a:1,agroup:a,language:de";
    let status = std::process::Command::new("ffmpeg")
        .current_dir(made.path())
        .args(["-v", "error", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6"])
        .args(["-f", "lavfi", "-i", "sine=frequency=440:duration=6"])
        .args(["-f", "lavfi", "-i", "sine=frequency=880:duration=6", "-map", "0", "-map", "1", "-map", "2"])
        .args(["-c:v", "libx264", "-preset", "ultrafast", "-g", "25", "-c:a", "aac", "-f", "hls"])
        .args(["-hls_time", "1", "-hls_playlist_type", "vod", "-master_pl_name", "m.m3u8"])
        .args(["-var_stream_map", sounds, "s%v.m3u8"])
        .status();
    assert!(status.unwrap().success());
    let list = made.path().join("m.m3u8");
    // As ffmpeg itself leaves them out of fragments.
    let text = std::fs::read_to_string(&list).unwrap();
    let bare = |line: &str| line.split(",CODECS=\"").next().unwrap().to_owned() + rest(line);
    std::fs::write(&list, text.lines().map(|line| bare(line) + "\n").collect::<String>()).unwrap();
    let folder = made.path().to_owned();
    let server = Server::start(move |request| match request.path.as_str() {
        "/watch" => page("Apart", "<video><source src='/m.m3u8' type='application/x-mpegURL'></video>"),
        path => match std::fs::read(folder.join(path.trim_start_matches('/'))) {
            Ok(bytes) if path.ends_with("m3u8") => {
                Reply::new(200, bytes).header("content-type", "application/vnd.apple.mpegurl")
            }
            Ok(bytes) => serve(&bytes, request),
            Err(_) => Reply::new(404, ""),
        },
    })
    .await;
    for (wish, sound) in [(None, "/s"), (Some("en"), "/s1"), (Some("de"), "/s2"), (Some("fr"), "/s")] {
        let dir = tempfile::tempdir().unwrap();
        let mut asked = job(server.url("/watch"), dir.path());
        asked.wishes.audio_languages = wish.into_iter().map(str::to_owned).collect();
        let finished = bring(&engine(&program), asked).await.unwrap();
        let streams = std::process::Command::new("ffprobe")
            .args(["-v", "error", "-of", "csv=p=0", "-show_entries", "stream=codec_type"])
            .arg(&finished.path)
            .output()
            .unwrap();
        let streams = String::from_utf8_lossy(&streams.stdout).into_owned();
        assert_eq!(streams.split_whitespace().collect::<Vec<_>>(), ["video", "audio"], "{wish:?}");
        let asked: Vec<String> = server.requests().into_iter().map(|request| request.path).collect();
        let mut sounds = asked.iter().filter(|path| path.starts_with("/s1") || path.starts_with("/s2"));
        assert!(sounds.all(|path| path.starts_with(sound)), "{wish:?}: {asked:?}");
        server.log.lock().unwrap().clear();
    }
}

#[tokio::test]
async fn a_limit_holds_for_segments_of_any_size() {
    let Some(program) = yt_dlp() else { return };
    let server = Server::start(site).await;
    let dir = tempfile::tempdir().unwrap();
    let mut asked = job(server.url("/stream"), dir.path());
    let size: usize = stream().iter().map(|(_, bytes)| bytes.len()).sum();
    let rate = size as u64 / 10;
    asked.limit = Arc::new(RateLimit::new(rate));
    let began = Instant::now();
    bring(&engine(&program), asked).await.unwrap();
    // Its beginning, and the last block of each segment, are not paced.
    assert!(began.elapsed() > Duration::from_millis(7500), "{size} bytes in {:?}", began.elapsed());
}

/// What follows the codecs in a line of a playlist.
fn rest(line: &str) -> &str {
    line.split_once(",CODECS=\"").and_then(|(_, rest)| rest.split_once('"')).map_or("", |(_, rest)| rest)
}
