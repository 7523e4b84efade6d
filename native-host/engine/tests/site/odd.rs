//! Answers no honest program gives: each ends with a fact, in time, and with nothing left behind.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{EngineError, Job, Kind, Monitor};

use super::fake::{TALK, calls, program};
use super::support::{engine_with, names, noise, sha256};
use super::{bring, engine, job};

/// An address nobody asks: the program in yt-dlp's place does not.
fn address() -> Url {
    Url::parse("http://127.0.0.1:9/watch?v=S3CRET").unwrap()
}

async fn failure(look: &str, work: &str, change: impl FnOnce(&mut Job)) -> EngineError {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = engine_with(|options| {
        options.yt_dlp = Some(program(tools.path(), look, work));
        options.patience = Duration::from_millis(300);
    });
    let mut asked = job(address(), out.path());
    change(&mut asked);
    let error = bring(&engine, asked).await.unwrap_err();
    assert!(!names(out.path()).iter().any(|name| !name.contains(".part")), "{look} {work}");
    error
}

#[tokio::test]
async fn what_it_says_of_a_page_is_not_believed_blindly() {
    for (look, told) in [
        ("echo null; exit 1", "without saying why"),
        ("echo null", "cannot be understood"),
        ("printf '\\377\\376'", "cannot be understood"),
        ("echo '{\"title\": \"cut'", "cannot be understood"),
        ("echo '[]'", "cannot be understood"),
        ("echo '{}'", "nothing to download"),
        ("yes xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx", "says more about the page"),
        ("echo '{\"_has_drm\": true, \"formats\": []}'", "protected by DRM"),
        ("echo 'ERROR: [s] 1: This video is DRM protected' >&2; echo null; exit 1", "protected by DRM"),
        ("echo '{\"url\": \"http://h/x\", \"live_status\": \"is_upcoming\"}'", "has not begun"),
        (
            "echo '{\"_type\": \"playlist\", \"entries\": [{}, {}, {}], \"playlist_count\": 3}'",
            "a list of 3 entries",
        ),
        ("echo '{\"_type\": \"playlist\", \"entries\": [{\"url\": \"http://h/again\"}]}'", "in circles"),
        ("echo 'ERROR: Unsupported URL: http://h/watch?v=S3CRET' >&2; echo null; exit 1", "--kind file"),
        ("echo 'usage' >&2; echo 'yt-dlp: error: no such option: --js-runtimes' >&2; exit 2", "too old"),
        ("kill -9 $$", "without saying why"),
    ] {
        let error = failure(look, "exit 9", |_| {}).await.to_string();
        assert!(error.contains(told) && !error.contains("S3CRET"), "{look}: {error}");
    }
}

#[tokio::test]
async fn what_it_does_instead_of_downloading_is_told() {
    for (work, told) in [
        ("exit 0", "without a file"),
        ("exit 1", "without saying why"),
        ("echo 'F {\"filepath\": \"/etc/passwd\"}'", "named a file that is not there"),
        ("echo 'F {\"filepath\": \"media.mp4\"}'", "named a file that is not there"),
        ("ln -s /etc/passwd \"$home/media.mp4\"; echo 'F {\"filepath\": \"media.mp4\"}'", "not there"),
        (
            "echo x > \"$home/media.mp4\"; echo 'F {\"filepath\": \"media.mp4\"}'; exit 1",
            "without saying why",
        ),
        (": > \"$home/media.mp4\"; echo 'F {\"filepath\": \"media.mp4\"}'", "is empty"),
        ("echo '<html>' > \"$home/media.mp4\"; echo 'F {\"filepath\": \"media.mp4\"}'", "sent a web page"),
        ("echo 'F {\"filepath\": \"a\"}'; echo 'F {\"filepath\": \"b\"}'", "ffmpeg is needed"),
        ("echo 'ERROR: unable to download video data: HTTP Error 403: Forbidden' >&2; exit 1", "status 403"),
        ("echo '[Errno 28] No space left on device' >&2; exit 1", "disk is full"),
        ("kill -9 $$", "ended by somebody else"),
    ] {
        let error = failure(TALK, work, |_| {}).await.to_string();
        assert!(error.contains(told), "{work}: {error}");
    }
}

#[tokio::test]
async fn silence_ends() {
    for (look, work) in [("exec sleep 100", ""), (TALK, "exec sleep 100")] {
        let started = Instant::now();
        let error = failure(look, work, |_| {}).await;
        assert!(matches!(error, EngineError::Timeout { .. }), "{error}");
        assert!(started.elapsed() < Duration::from_secs(30), "{:?}", started.elapsed());
    }
}

#[tokio::test]
async fn a_wish_it_does_not_have_is_told_by_its_name() {
    let look = "echo 'ERROR: [s] 1: Requested format is not available' >&2; echo null; exit 1";
    let error = failure(look, "", |job| job.quality = Some("4711".into())).await;
    assert!(matches!(&error, EngineError::NoSuchQuality { wanted, .. } if wanted == "4711"), "{error}");
    let error = failure(look, "", |job| job.quality = Some("b]/all --exec x".into())).await;
    assert!(matches!(error, EngineError::NoSuchQuality { .. }), "{error}");
}

#[tokio::test]
async fn garbage_among_its_lines_does_no_harm() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let bytes = noise(11, 300_000);
    std::fs::write(tools.path().join("bytes"), &bytes).unwrap();
    let work = r#"
        echo '[download] 99% of 1GiB'; echo 'P {'; echo 'P null'; printf 'P \377\n'; echo 'WARNING: x' >&2
        head -c 2000000 /dev/zero | tr '\0' x; echo
        echo 'P {"filename": "f", "status": "downloading", "downloaded_bytes": 100000, "total_bytes": 300000}'
        sleep 0.4
        cp "$here/bytes" "$home/media.webm"
        echo 'P {"filename": "f", "status": "finished", "downloaded_bytes": 300000, "total_bytes": 300000}'
        echo 'PP {"status": "started", "postprocessor": "Merger"}' >&2
        echo 'F {"filepath": "/elsewhere/media.webm"}'
    "#;
    let engine = engine(&program(tools.path(), TALK, work));
    let monitor = Arc::new(Monitor::new());
    let asked = job(address(), out.path());
    let download = engine.download(asked, Arc::clone(&monitor), CancellationToken::new());
    let watch = async {
        loop {
            let look = monitor.snapshot();
            if look.received == 100_000 {
                return look;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    let (finished, look) = tokio::join!(download, watch);
    assert_eq!((look.total, look.kind), (Some(300_000), Some(Kind::Site)));
    assert!((look.fraction - 1.0 / 3.0).abs() < 1e-3, "{}", look.fraction);
    let finished = finished.unwrap();
    finished.settle().unwrap();
    // Its content settles the extension.
    assert_eq!((finished.filename.as_str(), finished.sha256), ("Talk.webm", sha256(&bytes)));
    assert_eq!(names(out.path()), ["Talk.webm"]);
}

#[tokio::test]
async fn a_film_that_ends_early_is_no_film() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    std::fs::write(tools.path().join("film"), super::film()).unwrap();
    let work = "cp \"$here/film\" \"$home/media.mp4\"; echo 'F {\"filepath\": \"media.mp4\"}'";
    let look = |seconds: u32| TALK.replace("\"ext\"", &format!("\"duration\": {seconds}, \"ext\""));
    let short = engine(&program(tools.path(), &look(60), work));
    let error = bring(&short, job(address(), out.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::DurationMismatch { .. }), "{error}");
    assert!(names(out.path()).is_empty(), "worthless bytes stay: {:?}", names(out.path()));
    // Sites count what their players add.
    let right = engine(&program(tools.path(), &look(8), work));
    let finished = bring(&right, job(address(), out.path())).await.unwrap();
    assert_eq!(finished.duration, Some(Duration::from_secs(8)));
}

#[tokio::test]
async fn subtitles_go_beside_the_film() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let work = r#"
        echo film > "$home/media.mkv"
        echo WEBVTT > "$home/media.de.vtt"; echo WEBVTT > "$home/media.pt-BR.vtt"; echo x > "$home/media.exe"
        echo 'F {"filepath": "media.mkv"}'
    "#;
    let engine = engine(&program(tools.path(), TALK, work));
    let mut asked = job(address(), out.path());
    asked.wishes.subtitles = vec!["de".into(), "pt".into()];
    asked.wishes.subtitle_form = weir_engine::SubtitleForm::Vtt;
    bring(&engine, asked).await.unwrap();
    assert_eq!(names(out.path()), ["Talk.de.vtt", "Talk.mkv", "Talk.pt-BR.vtt"]);
    let call = calls(tools.path()).pop().unwrap();
    assert!(call.contains("--sub-langs de(-.*)?,pt(-.*)? ") && call.contains("--convert-subs vtt"), "{call}");
}

#[tokio::test]
async fn our_own_door_is_nobodys_media() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let engine = engine_with(|options| {
        options.yt_dlp = Some(program(tools.path(), &TALK.replace(":9/", ":8765/"), "exit 1"));
        options.deny = Some(Arc::new(|url: &Url| url.port() == Some(8765)));
    });
    let error = bring(&engine, job(address(), out.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::OwnAddress), "{error}");
    let own = Url::parse("http://127.0.0.1:8765/").unwrap();
    assert!(matches!(bring(&engine, job(own, out.path())).await, Err(EngineError::OwnAddress)));
    assert_eq!(calls(tools.path()).len(), 1, "asked about its own door");
}

#[tokio::test]
async fn what_is_live_is_recorded_until_it_shall_end() {
    let (tools, out) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    let stream: Vec<u8> = super::stream()
        .iter()
        .filter(|(name, _)| name.ends_with(".ts"))
        .flat_map(|(_, bytes)| bytes.clone())
        .collect();
    std::fs::write(tools.path().join("stream"), stream).unwrap();
    let look = TALK.replace("\"ext\"", "\"is_live\": true, \"duration\": 999999, \"ext\"");
    // As ffmpeg under yt-dlp: it ends when it is asked to, and what it wrote is good.
    let work = "trap 'exit 1' INT; cp \"$here/stream\" \"$home/media.mp4.part\"; while :; do sleep 0.1; done";
    let engine = engine(&program(tools.path(), &look, work));
    for ended_by_limit in [true, false] {
        let monitor = Arc::new(Monitor::new());
        let mut asked = job(address(), out.path());
        asked.wishes.live_limit = ended_by_limit.then(|| Duration::from_secs(3));
        asked.wishes.live_from_start = true;
        let finish = asked.finish.clone();
        let download = engine.download(asked, Arc::clone(&monitor), CancellationToken::new());
        let end = async {
            while monitor.snapshot().received == 0 {
                tokio::time::sleep(Duration::from_millis(20)).await;
            }
            assert!(monitor.snapshot().live);
            if !ended_by_limit {
                finish.cancel();
            }
        };
        let (finished, ()) = tokio::join!(download, end);
        let finished = finished.unwrap();
        finished.settle().unwrap();
        let (seconds, _) = super::measure(&finished.path);
        assert!((seconds - 6.0).abs() < 0.2, "{seconds}");
    }
    assert_eq!(names(out.path()), ["Talk (1).mp4", "Talk.mp4"]);
    assert!(calls(tools.path()).iter().any(|call| call.contains("--live-from-start")));
}

#[tokio::test]
async fn without_yt_dlp_there_is_one_clear_fact() {
    let out = tempfile::tempdir().unwrap();
    let nowhere = engine_with(|options| options.yt_dlp = Some("/nowhere/yt-dlp".into()));
    match bring(&nowhere, job(address(), out.path())).await {
        Err(EngineError::YtDlpMissing) => {}
        // This machine has one of its own, which then was asked.
        other => assert!(super::in_path("yt-dlp"), "{other:?}"),
    }
}
