//! Pages through yt-dlp: the real program against loopback, and one that does what no honest program would.
//!
//! The real one comes by `scripts/setup.sh`. Without it (`YT_DLP` names it) the tests that need it say so and end.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::print_stderr)]

#[path = "../support/mod.rs"]
mod support;

mod fake;
mod holes;
mod odd;
mod real;
mod secrets;
mod stopped;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use support::{Reply, Request, serve};
use tokio_util::sync::CancellationToken;
use weir_engine::{Engine, EngineError, Finished, Job, Kind};

/// The real yt-dlp, of the version `scripts/setup.sh` has.
fn yt_dlp() -> Option<PathBuf> {
    let named = std::env::var_os("YT_DLP").map(PathBuf::from);
    let cached = || {
        let setup = include_str!("../../../../scripts/setup.sh");
        let version = setup.split("setup_sites() {").nth(1)?.split("wanted=").nth(1)?.split(' ').next()?;
        let cache = std::env::var_os("XDG_CACHE_HOME").map(PathBuf::from);
        let cache = cache.or_else(|| Some(std::env::home_dir()?.join(".cache")))?;
        Some(cache.join(format!("weir/test/yt-dlp-{version}/bin/yt-dlp")))
    };
    let found = named.or_else(cached).filter(|path| path.is_file());
    if found.is_none() {
        eprintln!("LEFT OUT: there is no yt-dlp; `source scripts/setup.sh; setup sites` brings it");
    }
    found
}

/// Whether the machine has a program of this name.
fn in_path(name: &str) -> bool {
    std::env::split_paths(&std::env::var_os("PATH").unwrap()).any(|folder| folder.join(name).is_file())
}

/// An engine that uses this program.
fn engine(program: &Path) -> Engine {
    support::engine_with(|options| {
        options.yt_dlp = Some(program.to_owned());
        // Python takes its time on a busy machine.
        options.patience = Duration::from_secs(5);
    })
}

/// Runs a job to its end and settles it.
async fn bring(engine: &Engine, job: Job) -> Result<Finished, EngineError> {
    let work = engine.download(job, Arc::default(), CancellationToken::new());
    let outcome = tokio::time::timeout(Duration::from_secs(110), work).await.expect("the download hangs");
    if let Ok(finished) = &outcome {
        finished.settle().unwrap();
    }
    outcome
}

fn job(url: url::Url, directory: &Path) -> Job {
    let mut job = support::job(url, directory);
    job.kind = Some(Kind::Site);
    job
}

/// A film of six seconds, 320x180, with sound.
fn film() -> &'static [u8] {
    static FILM: OnceLock<Vec<u8>> = OnceLock::new();
    FILM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let made = Command::new("ffmpeg")
            .args(["-v", "error", "-y", "-f", "lavfi", "-i", "testsrc2=size=320x180:rate=25:duration=6"])
            .args(["-f", "lavfi", "-i", "sine=frequency=440:duration=6"])
            .args([
                "-c:v",
                "libx264",
                "-preset",
                "ultrafast",
                "-g",
                "25",
                "-c:a",
                "aac",
                "-movflags",
                "+faststart",
            ])
            .arg(dir.path().join("film.mp4"))
            .status()
            .expect("ffmpeg is installed by scripts/test.sh");
        assert!(made.success());
        std::fs::read(dir.path().join("film.mp4")).unwrap()
    })
}

/// The film as an HLS stream: names and bytes of its files, the playlist being `v.m3u8`.
fn stream() -> &'static [(String, Vec<u8>)] {
    static STREAM: OnceLock<Vec<(String, Vec<u8>)>> = OnceLock::new();
    STREAM.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("film.mp4"), film()).unwrap();
        let made = Command::new("ffmpeg")
            .current_dir(dir.path())
            .args(["-v", "error", "-i", "film.mp4", "-c", "copy", "-f", "hls", "-hls_time", "1"])
            .args(["-hls_playlist_type", "vod", "-hls_segment_filename", "v%d.ts", "v.m3u8"])
            .status()
            .unwrap();
        assert!(made.success());
        std::fs::remove_file(dir.path().join("film.mp4")).unwrap();
        let names = support::names(dir.path());
        names
            .into_iter()
            .map(|name| {
                let bytes = std::fs::read(dir.path().join(&name)).unwrap();
                (name, bytes)
            })
            .collect()
    })
}

/// A page that plays `what`.
fn page(title: &str, what: &str) -> Reply {
    let text = format!("<!doctype html><html><head><title>{title}</title></head><body>{what}</body></html>");
    Reply::new(200, text).header("content-type", "text/html; charset=utf-8")
}

/// Two pages and what they play.
fn site(request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap_or_default();
    match path {
        "/watch" => page("A talk", "<video src='/film.mp4'></video>"),
        "/stream" => page("A stream", "<video><source src='/v.m3u8' type='application/x-mpegURL'></video>"),
        "/two" => page("Two", "<video src='/film.mp4'></video><video src='/film.mp4?2'></video>"),
        "/none" => page("Nothing", "<p>words</p>"),
        "/film.mp4" => serve(film(), request).header("content-type", "video/mp4"),
        "/v.m3u8" => {
            let (_, bytes) = stream().iter().find(|(name, _)| name == "v.m3u8").unwrap();
            Reply::new(200, bytes.clone()).header("content-type", "application/vnd.apple.mpegurl")
        }
        _ => match stream().iter().find(|(name, _)| name == path.trim_start_matches('/')) {
            Some((_, bytes)) => serve(bytes, request).header("content-type", "video/mp2t"),
            None => Reply::new(404, ""),
        },
    }
}

/// Seconds of a film, and how many pictures it has, by ffprobe.
fn measure(path: &Path) -> (f64, u64) {
    let ask = |what: &[&str]| {
        let told =
            Command::new("ffprobe").args(["-v", "error", "-of", "csv=p=0"]).args(what).arg(path).output();
        String::from_utf8(told.unwrap().stdout).unwrap().trim().trim_end_matches(',').to_owned()
    };
    let seconds = ask(&["-show_entries", "format=duration"]).parse().unwrap();
    let pictures =
        ask(&["-select_streams", "v", "-count_packets", "-show_entries", "stream=nb_read_packets"]);
    (seconds, pictures.parse().unwrap())
}
