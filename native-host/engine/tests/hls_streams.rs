//! Streams made by ffmpeg, fetched, muxed and compared with what they were made from.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use support::{Reply, Request, Server, Step, engine, engine_with, job, names, run};
use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Finished, Kind, Monitor, Partial, Phase};

const SECONDS: f64 = 8.0;

fn ffmpeg(directory: &Path, arguments: &[&str]) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments)
        .current_dir(directory)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

/// A short film with sound, encoded once for each test.
fn film(directory: &Path, name: &str, tone: u32, seconds: f64) {
    let (picture, sound, length) = (
        "testsrc2=size=128x72:rate=25",
        format!("sine=frequency={tone}:sample_rate=44100"),
        seconds.to_string(),
    );
    ffmpeg(
        directory,
        &[
            "-f",
            "lavfi",
            "-i",
            picture,
            "-f",
            "lavfi",
            "-i",
            &sound,
            "-t",
            &length,
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-bf",
            "2",
            "-g",
            "25",
            "-c:a",
            "aac",
            "-b:a",
            "64k",
            name,
        ],
    );
}

/// Cuts `film.mp4` into a stream without encoding again.
fn stream(directory: &Path, extra: &[&str]) {
    film(directory, "film.mp4", 440, SECONDS);
    let common = ["-i", "film.mp4", "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"];
    ffmpeg(directory, &[&common[..], extra, &["list.m3u8"]].concat());
}

/// Serves a folder, with ranges and the types servers use.
fn from_folder(directory: &Path, request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap().trim_start_matches('/');
    let Ok(data) = std::fs::read(directory.join(path)) else { return Reply::new(404, "not here") };
    let kind = match path.rsplit('.').next() {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("ts") => "video/mp2t",
        _ => "application/octet-stream",
    };
    support::serve_as(&data, request, "", "").header("content-type", kind)
}

async fn folder_server(directory: &Path) -> Server {
    let directory = directory.to_owned();
    Server::start(move |request| from_folder(&directory, request)).await
}

/// Hash of the decoded pictures, and how many there are.
fn pictures(path: &Path) -> (String, usize) {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(path)
        .args(["-map", "0:v:0", "-vsync", "passthrough", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let frames: Vec<&str> = text
        .lines()
        .filter(|line| !line.starts_with('#'))
        .filter_map(|line| line.rsplit(',').next())
        .collect();
    (frames.join(""), frames.len())
}

fn probed(path: &Path, arguments: &[&str]) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments)
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn duration(path: &Path) -> f64 {
    probed(path, &["-show_entries", "format=duration"]).parse().unwrap()
}

fn sound_packets(path: &Path) -> usize {
    probed(path, &["-select_streams", "a:0", "-count_packets", "-show_entries", "stream=nb_read_packets"])
        .trim_end_matches(',')
        .parse()
        .unwrap_or(0)
}

/// How far sound and picture begin apart, in seconds.
fn start_times(path: &Path) -> (f64, f64) {
    let start = |stream| {
        probed(path, &["-select_streams", stream, "-show_entries", "stream=start_time"]).parse().unwrap()
    };
    (start("v:0"), start("a:0"))
}

/// Asserts that `finished` shows and plays what `film` does.
fn assert_same_film(finished: &Finished, film: &Path) {
    assert_eq!(finished.kind, Kind::Hls);
    assert_eq!(pictures(&finished.path), pictures(film));
    assert!((duration(&finished.path) - duration(film)).abs() < 0.2, "{} s", duration(&finished.path));
    let (got, made) = (sound_packets(&finished.path), sound_packets(film));
    assert!(got.abs_diff(made) <= 2, "{got} packets of sound instead of {made}");
    let (bytes, sha) = (std::fs::read(&finished.path).unwrap(), finished.sha256);
    assert_eq!((bytes.len() as u64, support::sha256(&bytes)), (finished.bytes, sha));
    let folder = finished.path.parent().unwrap();
    assert!(names(folder).iter().all(|name| !name.contains(".part")), "{:?}", names(folder));
}

async fn fetched(
    server: &Server,
    path: &str,
    change: impl FnOnce(&mut weir_engine::Job),
) -> (tempfile::TempDir, Result<Finished, EngineError>) {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(server.url(path), out.path());
    change(&mut job);
    let finished = run(&engine(), job).await;
    (out, finished)
}

#[tokio::test]
async fn plain_containers() {
    for extra in [
        &["-hls_segment_filename", "s%d.ts"][..],
        &["-hls_segment_type", "fmp4"],
        &["-hls_flags", "single_file"],
        &["-hls_segment_type", "fmp4", "-hls_flags", "single_file"],
    ] {
        let dir = tempfile::tempdir().unwrap();
        stream(dir.path(), extra);
        let server = folder_server(dir.path()).await;
        let (_out, finished) =
            fetched(&server, "/list.m3u8?token=1", |job| job.title = Some("A: talk".into())).await;
        let finished = finished.unwrap_or_else(|error| panic!("{extra:?}: {error}"));
        assert_same_film(&finished, &dir.path().join("film.mp4"));
        assert_eq!(finished.filename, "A_ talk.mp4");
        assert_eq!(probed(&finished.path, &["-show_entries", "format_tags=title"]), "A: talk");
        // Segments went over several connections.
        assert!(server.requests().len() >= 8);
    }
}

fn key_files(directory: &Path, iv: Option<&str>) {
    std::fs::write(directory.join("secret.key"), b"0123456789abcdef").unwrap();
    let info = format!("secret.key\nsecret.key\n{}", iv.unwrap_or_default());
    std::fs::write(directory.join("info"), info).unwrap();
}

#[tokio::test]
async fn keys_with_and_without_vector() {
    for iv in [Some("000102030405060708090a0b0c0d0e0f"), None] {
        let dir = tempfile::tempdir().unwrap();
        key_files(dir.path(), iv);
        stream(
            dir.path(),
            &["-hls_key_info_file", "info", "-start_number", "7", "-hls_segment_filename", "s%d.ts"],
        );
        let playlist = std::fs::read_to_string(dir.path().join("list.m3u8")).unwrap();
        assert!(playlist.contains("METHOD=AES-128"));
        let server = folder_server(dir.path()).await;
        let (_out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
        assert_same_film(&finished.unwrap(), &dir.path().join("film.mp4"));
        // One key, one request.
        assert_eq!(server.requests().iter().filter(|request| request.path == "/secret.key").count(), 1);
    }
}

/// Encrypts whole segments, as a packager does.
fn encrypt(plain: &[u8], key: [u8; 16], iv: [u8; 16]) -> Vec<u8> {
    use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + 16, 0);
    cbc::Encryptor::<aes::Aes128>::new(&key.into(), &iv.into())
        .encrypt_padded::<Pkcs7>(&mut buffer, plain.len())
        .unwrap()
        .to_vec()
}

#[tokio::test]
async fn keys_rotate_and_end() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    let at = |name: &str| dir.path().join(name);
    let (first, second, iv) = ([1; 16], [2; 16], [9; 16]);
    std::fs::write(at("k1"), first).unwrap();
    std::fs::write(at("k2"), second).unwrap();
    let list = std::fs::read_to_string(at("list.m3u8")).unwrap();
    let mut out = String::new();
    let mut n = 0_usize;
    for line in list.lines() {
        if line.starts_with("#EXTINF") {
            match n {
                0 => out.push_str("#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n"),
                3 => {
                    out.push_str(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"k2\",IV=0x{}\n", "09".repeat(16)));
                }
                6 => out.push_str("#EXT-X-KEY:METHOD=NONE\n"),
                _ => {}
            }
            let path = at(&format!("s{n}.ts"));
            let plain = std::fs::read(&path).unwrap();
            let secret = match n {
                0..3 => encrypt(&plain, first, u128::to_be_bytes(n as u128)),
                3..6 => encrypt(&plain, second, iv),
                _ => plain,
            };
            std::fs::write(path, secret).unwrap();
            n += 1;
        }
        out.push_str(line);
        out.push('\n');
    }
    assert!(n >= 7);
    std::fs::write(at("list.m3u8"), out).unwrap();
    let server = folder_server(dir.path()).await;
    let (_out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
    assert_same_film(&finished.unwrap(), &at("film.mp4"));
    // The wrong key, a key of the wrong length, and no key.
    for (key, status) in [(vec![7; 16], None), (vec![1; 15], None), (Vec::new(), Some(404))] {
        let folder = dir.path().to_owned();
        let server = Server::start(move |request| match (request.path.as_str(), status) {
            ("/k1", Some(status)) => Reply::new(status, ""),
            ("/k1", None) => Reply::new(200, key.clone()),
            _ => from_folder(&folder, request),
        })
        .await;
        let (out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
        let error = finished.unwrap_err();
        assert!(
            matches!(error, EngineError::UnsupportedMedia { .. } | EngineError::Gone { .. }),
            "{error:?}"
        );
        assert!(names(out.path()).iter().all(|name| name.contains(".part")));
    }
}

/// Two qualities, and sound of its own.
fn variants(directory: &Path) {
    film(directory, "film.mp4", 440, SECONDS);
    film(directory, "small.mp4", 440, SECONDS);
    ffmpeg(
        directory,
        &[
            "-i",
            "film.mp4",
            "-i",
            "small.mp4",
            "-map",
            "0:v",
            "-map",
            "1:v",
            "-map",
            "0:a",
            "-c:v:0",
            "copy",
            "-c:v:1",
            "libx264",
            "-s:v:1",
            "64x36",
            "-g:v:1",
            "25",
            "-b:v:1",
            "20k",
            "-c:a",
            "copy",
            "-f",
            "hls",
            "-hls_time",
            "1",
            "-hls_playlist_type",
            "vod",
            "-master_pl_name",
            "master.m3u8",
            "-var_stream_map",
            "v:0,agroup:sound v:1,agroup:sound a:0,agroup:sound,default:yes,language:en",
            "v%v.m3u8",
        ],
    );
}

#[tokio::test]
async fn qualities_and_sound_of_its_own() {
    let dir = tempfile::tempdir().unwrap();
    variants(dir.path());
    let server = folder_server(dir.path()).await;
    let probe = engine().probe(&weir_engine::Source::get(server.url("/master.m3u8"))).await.unwrap();
    let labels: Vec<&str> = probe.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(labels, ["72p", "36p"]);
    assert!((probe.duration.unwrap().as_secs_f64() - SECONDS).abs() < 0.2 && !probe.live);
    let (_out, finished) = fetched(&server, "/master.m3u8", |_| {}).await;
    let finished = finished.unwrap();
    assert_eq!(finished.quality.as_deref(), Some("72p"));
    assert_same_film(&finished, &dir.path().join("film.mp4"));
    let ((picture, sound), (made_picture, made_sound)) =
        (start_times(&finished.path), start_times(&dir.path().join("film.mp4")));
    assert!(
        ((picture - sound) - (made_picture - made_sound)).abs() < 0.03,
        "sound is off by {} s",
        picture - sound
    );
    for wish in ["worst", "36p", probe.variants[1].id.as_str()] {
        let (_out, finished) =
            fetched(&server, "/master.m3u8", |job| job.quality = Some(wish.to_owned())).await;
        assert_eq!(
            probed(&finished.unwrap().path, &["-select_streams", "v:0", "-show_entries", "stream=height"]),
            "36"
        );
    }
    let (_out, finished) = fetched(&server, "/master.m3u8", |job| job.quality = Some("audio".into())).await;
    let finished = finished.unwrap();
    assert!(finished.filename.ends_with(".m4a"), "{}", finished.filename);
    assert_eq!(probed(&finished.path, &["-show_entries", "stream=codec_type"]), "audio");
    let (_out, finished) =
        fetched(&server, "/master.m3u8", |job| job.quality = Some("excellent".into())).await;
    assert!(matches!(finished, Err(EngineError::NoSuchQuality { .. })));
}

#[tokio::test]
async fn timestamps_that_begin_anew() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "a%d.ts"]);
    let first = std::fs::read_to_string(dir.path().join("list.m3u8")).unwrap();
    ffmpeg(
        dir.path(),
        &[
            "-i",
            "film.mp4",
            "-c",
            "copy",
            "-f",
            "hls",
            "-hls_time",
            "1",
            "-hls_playlist_type",
            "vod",
            "-hls_segment_filename",
            "b%d.ts",
            "two.m3u8",
        ],
    );
    let second = std::fs::read_to_string(dir.path().join("two.m3u8")).unwrap();
    let body = &second[second.find("#EXTINF").unwrap()..];
    let both = first.replace("#EXT-X-ENDLIST\n", "#EXT-X-DISCONTINUITY\n") + body;
    std::fs::write(dir.path().join("both.m3u8"), both).unwrap();
    let server = folder_server(dir.path()).await;
    let (_out, finished) = fetched(&server, "/both.m3u8", |_| {}).await;
    let finished = finished.unwrap();
    assert!((duration(&finished.path) - 2.0 * SECONDS).abs() < 0.3, "{} s", duration(&finished.path));
    assert_eq!(pictures(&finished.path).1, 2 * pictures(&dir.path().join("film.mp4")).1);
}

#[tokio::test]
async fn segments_that_fail_at_first() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    let folder = dir.path().to_owned();
    let server = Server::start(move |request| {
        let honest = from_folder(&folder, request);
        match (request.path.as_str(), request.nth) {
            ("/s1.ts", 0) => Reply::new(503, ""),
            ("/s2.ts", 0) => honest.cut_after(1000, Some(Step::Reset)),
            ("/s3.ts", 0) => honest.cut_after(4000, None),
            ("/s4.ts", 0) => Reply::new(404, ""),
            ("/s5.ts", 0) => Reply::new(200, ""),
            ("/list.m3u8", 0) => Reply::new(502, ""),
            _ => honest,
        }
    })
    .await;
    let (_out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
    assert_same_film(&finished.unwrap(), &dir.path().join("film.mp4"));
}

#[tokio::test]
async fn segments_that_stay_away() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    for bad in [
        Reply::new(404, ""),
        Reply::new(500, ""),
        Reply::new(200, ""),
        Reply::new(200, "<!doctype html><p>Sorry").header("content-type", "video/mp2t"),
        Reply::new(200, noise_ts()).cut_after(5000, None),
    ] {
        let (folder, reply) = (dir.path().to_owned(), bad.clone());
        let server = Server::start(move |request| {
            if request.path == "/s3.ts" { reply.clone() } else { from_folder(&folder, request) }
        })
        .await;
        let (out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
        let error = finished.unwrap_err();
        assert!(matches!(error, EngineError::SegmentMissing { index: 3, number: 4, .. }), "{error:?}");
        assert!(names(out.path()).iter().all(|name| name.contains(".part")), "{:?}", names(out.path()));
    }
    let folder = dir.path().to_owned();
    let server = Server::start(move |request| {
        if request.path == "/s3.ts" { Reply::new(403, "") } else { from_folder(&folder, request) }
    })
    .await;
    let (_out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
    assert!(matches!(finished, Err(EngineError::LoginRequired { status: 403 })));
}

fn noise_ts() -> Vec<u8> {
    support::noise(1, 50_000)
}

#[tokio::test]
async fn a_segment_of_something_else_is_noticed() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    // Well-formed, but not what belongs there: the second again instead of the sixth, and none at all at the end.
    for (path, body) in
        [("/s5.ts", std::fs::read(dir.path().join("s1.ts")).unwrap()), ("/s7.ts", vec![0x47; 188])]
    {
        let folder = dir.path().to_owned();
        let server = Server::start(move |request| {
            if request.path == path { Reply::new(200, body.clone()) } else { from_folder(&folder, request) }
        })
        .await;
        let (out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
        let outcome = format!("{finished:?}");
        assert!(
            matches!(finished, Err(EngineError::DurationMismatch { .. } | EngineError::MuxFailed { .. })),
            "{path}: {outcome}"
        );
        assert!(names(out.path()).iter().all(|name| name.contains(".part")));
    }
}

/// A segment of the same length without its pictures, or without its sound.
fn without(directory: &Path, segment: &str, dropped: &str) -> Vec<u8> {
    let keep = format!("-{dropped}n");
    ffmpeg(directory, &["-copyts", "-i", segment, "-c", "copy", &keep, "-f", "mpegts", "halved.bin"]);
    std::fs::read(directory.join("halved.bin")).unwrap()
}

#[tokio::test]
async fn a_whole_track_does_not_hide_one_that_is_cut() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    for segment in ["s3.ts", "s7.ts"] {
        for dropped in ["v", "a"] {
            let (folder, body) = (dir.path().to_owned(), without(dir.path(), segment, dropped));
            let server = Server::start(move |request| {
                if request.path.trim_start_matches('/') == segment {
                    Reply::new(200, body.clone())
                } else {
                    from_folder(&folder, request)
                }
            })
            .await;
            let (out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
            let outcome = format!("{finished:?}");
            assert!(
                matches!(finished, Err(EngineError::DurationMismatch { .. })),
                "{segment} {dropped}: {outcome}"
            );
            assert!(names(out.path()).iter().all(|name| name.contains(".part")));
        }
    }
}

#[tokio::test]
async fn whole_sound_of_its_own_does_not_hide_a_cut_picture() {
    let dir = tempfile::tempdir().unwrap();
    variants(dir.path());
    let list = std::fs::read_to_string(dir.path().join("v0.m3u8")).unwrap();
    let segments: Vec<&str> = list.lines().filter(|line| !line.starts_with('#')).collect();
    for number in [1, segments.len() / 2, segments.len() - 1] {
        // Transport stream packets that carry nothing, with a length of their own.
        let (folder, path) = (dir.path().to_owned(), format!("/{}", segments[number]));
        let server = Server::start(move |request| {
            if request.path == path {
                Reply::new(200, [&[0x47, 0x1F, 0xFF, 0x10][..], &[0xFF; 184]].concat().repeat(20))
            } else {
                from_folder(&folder, request)
            }
        })
        .await;
        let (out, finished) = fetched(&server, "/master.m3u8", |_| {}).await;
        let outcome = format!("{finished:?}");
        assert!(matches!(finished, Err(EngineError::DurationMismatch { .. })), "segment {number}: {outcome}");
        assert!(names(out.path()).iter().all(|name| name.contains(".part")));
    }
}

#[tokio::test]
async fn a_repaired_server_is_asked_again() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    let wrong = std::fs::read(dir.path().join("s1.ts")).unwrap();
    // Another segment instead of one, and something that is no media at all instead of the first.
    for (path, body) in [("/s5.ts", wrong), ("/s0.ts", b"nothing to see here".repeat(100))] {
        let (folder, repaired) = (dir.path().to_owned(), Arc::new(AtomicBool::new(false)));
        let server = Server::start({
            let repaired = Arc::clone(&repaired);
            move |request| {
                if request.path == path && !repaired.load(Ordering::Relaxed) {
                    Reply::new(200, body.clone())
                } else {
                    from_folder(&folder, request)
                }
            }
        })
        .await;
        let out = tempfile::tempdir().unwrap();
        let again = || {
            let mut job = job(server.url("/list.m3u8"), out.path());
            job.partial = Partial::SameUrl;
            job
        };
        let error = run(&engine(), again()).await.unwrap_err();
        assert!(
            matches!(
                error,
                EngineError::DurationMismatch { .. }
                    | EngineError::MuxFailed { .. }
                    | EngineError::UnsupportedMedia { .. }
            ),
            "{path}: {error:?}"
        );
        assert_eq!(names(out.path()), ["list.mp4.part.weir"]);
        repaired.store(true, Ordering::Relaxed);
        let finished = run(&engine(), again()).await.unwrap();
        assert_eq!(finished.filename, "list.mp4");
        assert_same_film(&finished, &dir.path().join("film.mp4"));
    }
}

#[tokio::test]
async fn a_request_that_breaks_is_no_stop() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    let server = folder_server(dir.path()).await;
    let out = tempfile::tempdir().unwrap();
    let engine = engine_with(|options| {
        options.deny = Some(Arc::new(|url| {
            assert!(!url.path().ends_with("s3.ts"), "as a mistake in the program would");
            false
        }));
    });
    let error = run(&engine, job(server.url("/list.m3u8"), out.path())).await.unwrap_err();
    assert!(matches!(error, EngineError::Internal(_)), "{error:?}");
}

#[tokio::test]
async fn what_is_no_stream_is_refused_before_the_first_segment() {
    let drm = "#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXTINF:1,\ns.ts\n#EXT-X-ENDLIST\n";
    for (body, check) in [
        (
            "<!doctype html><p>login",
            (|error| matches!(error, EngineError::BadPlaylist(_))) as fn(&EngineError) -> bool,
        ),
        ("", |error| matches!(error, EngineError::BadPlaylist(_))),
        ("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:1,\ns.ts\n#EXTINF:1,", |error| {
            matches!(error, EngineError::BadPlaylist(_))
        }),
        ("#EXTM3U\n#EXTINF:1,\ns.ts\n", |error| matches!(error, EngineError::UnsupportedMedia { .. })),
        (drm, |error| matches!(error, EngineError::Drm { system } if system == "FairPlay")),
        ("#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:1,\ns.ts\n#EXT-X-ENDLIST\n", |error| {
            matches!(error, EngineError::UnsupportedMedia { .. })
        }),
        ("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", |error| {
            matches!(error, EngineError::BadPlaylist(_))
        }),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/list.m3u8\n", |error| {
            matches!(error, EngineError::BadPlaylist(_))
        }),
    ] {
        let server = Server::start(move |request| match request.path.as_str() {
            "/list.m3u8" => Reply::new(200, body).header("content-type", "application/vnd.apple.mpegurl"),
            _ => Reply::new(200, "segment"),
        })
        .await;
        let (out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
        let error = finished.unwrap_err();
        assert!(check(&error), "{body:?}: {error:?}");
        assert!(server.requests().iter().all(|request| request.path == "/list.m3u8"), "{body:?}");
        assert!(names(out.path()).iter().all(|name| name.contains(".part")));
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

#[tokio::test]
async fn cookies_go_with_segments_of_the_same_place_only() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    let elsewhere = folder_server(dir.path()).await;
    let list = std::fs::read_to_string(dir.path().join("list.m3u8"))
        .unwrap()
        .replace("s3.ts", elsewhere.url("/s3.ts").as_str());
    let folder = dir.path().to_owned();
    let home = Server::start(move |request| {
        if request.path == "/list.m3u8" {
            Reply::new(200, list.clone())
        } else {
            from_folder(&folder, request)
        }
    })
    .await;
    let (_out, finished) = fetched(&home, "/list.m3u8", |job| {
        job.source.cookies = Some("S3CRET".into());
        job.source.headers = vec![("Referer".into(), "https://page.example/".into())];
    })
    .await;
    assert_same_film(&finished.unwrap(), &dir.path().join("film.mp4"));
    assert!(home.requests().iter().all(|request| request.header("cookie") == Some("S3CRET")));
    for request in elsewhere.requests() {
        assert_eq!(
            (request.header("cookie"), request.header("referer")),
            (None, Some("https://page.example/"))
        );
    }
}

#[tokio::test]
async fn stopping_and_going_on() {
    let dir = tempfile::tempdir().unwrap();
    stream(dir.path(), &["-hls_segment_filename", "s%d.ts"]);
    let folder = dir.path().to_owned();
    let server = Server::start(move |request| {
        let reply = from_folder(&folder, request);
        let number =
            request.path.trim_start_matches("/s").trim_end_matches(".ts").parse::<usize>().unwrap_or(0);
        if number >= 3 && request.nth == 0 { reply.slowly(1000, Duration::from_millis(100)) } else { reply }
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let (engine, monitor, stop) = (engine(), Arc::new(Monitor::new()), CancellationToken::new());
    let mut first = job(server.url("/list.m3u8?token=1"), out.path());
    first.title = Some("film".into());
    let halt = async {
        while monitor.snapshot().fraction < 0.2 {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let (outcome, ()) = tokio::join!(engine.download(first, Arc::clone(&monitor), stop.clone()), halt);
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
    assert_eq!(names(out.path()), ["film.mp4.part", "film.mp4.part.weir"]);
    let before = server.requests().len();
    // The link has a new token by now; the daemon knows the download by its name.
    let mut second = job(server.url("/list.m3u8?token=2"), out.path());
    second.partial = Partial::Named("film.mp4".into());
    let finished = run(&engine, second).await.unwrap();
    assert_same_film(&finished, &dir.path().join("film.mp4"));
    assert_eq!(monitor.snapshot().phase, Phase::Downloading);
    let again: Vec<String> = server.requests()[before..].iter().map(|request| request.path.clone()).collect();
    assert!(!again.contains(&"/s0.ts".to_owned()), "{again:?}");
}
