//! Results that are shorter than their playlists say, in whichever way: refused, or named partial with what they lack.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Finished, Monitor, Partial};

use super::kitchen::made;
use super::measure::{Measured, duration};
use super::serving::{folder, playlist, talk};
use super::support::{Reply, Request, Server, engine, job, run};

fn list(text: String) -> Reply {
    Reply::new(200, text).header("content-type", "application/vnd.apple.mpegurl")
}

/// Some of the one-second segments of a folder, as one.
fn joined(folder: &std::path::Path, numbers: std::ops::Range<usize>) -> Vec<u8> {
    numbers.flat_map(|number| std::fs::read(folder.join(format!("s{number}.ts"))).unwrap()).collect()
}

async fn download(
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (tempfile::TempDir, Result<Finished, EngineError>) {
    taken(false, answer).await
}

/// The same, and perhaps whoever downloads takes what there is.
async fn taken(
    holes: bool,
    answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
) -> (tempfile::TempDir, Result<Finished, EngineError>) {
    let server = Server::start(answer).await;
    let out = tempfile::tempdir().unwrap();
    let mut job = job(server.url("/l.m3u8"), out.path());
    job.wishes.holes = holes;
    let outcome = run(&engine(), job).await;
    (out, outcome)
}

fn is_mismatch(outcome: &Result<Finished, EngineError>) -> bool {
    matches!(outcome, Err(EngineError::DurationMismatch { .. }))
}

/// Packets that carry nothing.
fn nothing() -> Vec<u8> {
    [&[0x47, 0x1F, 0xFF, 0x10][..], &[0xFF; 184]].concat().repeat(20)
}

#[tokio::test]
async fn a_short_segment_that_is_not_there_is_missed() {
    for whole in [true, false] {
        let (_out, outcome) = download(move |request| match request.path.as_str() {
            "/l.m3u8" => list(playlist("#EXTINF:3.0,\na.ts\n#EXTINF:1.0001,\nb.ts\n#EXTINF:4.0,\nc.ts\n")),
            "/a.ts" => Reply::new(200, joined(&talk(), 0..3)),
            "/b.ts" => Reply::new(200, if whole { joined(&talk(), 3..4) } else { nothing() }),
            _ => Reply::new(200, joined(&talk(), 4..8)),
        })
        .await;
        assert_eq!((outcome.is_ok(), is_mismatch(&outcome)), (whole, !whole), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_segment_cut_between_two_packets_is_noticed() {
    for percent in [100, 90, 60] {
        let (_out, outcome) = download(move |request| match request.path.as_str() {
            "/l.m3u8" => list(playlist("#EXTINF:4.0001,\na.ts\n#EXTINF:4.0,\nb.ts\n")),
            "/a.ts" => {
                let whole = joined(&talk(), 0..4);
                let length = whole.len() * percent / 100 / 188 * 188;
                let mut reply = Reply::new(200, whole[..length].to_vec());
                (reply.length, reply.close) = (false, true);
                reply
            }
            _ => Reply::new(200, joined(&talk(), 4..8)),
        })
        .await;
        let whole = percent == 100;
        assert_eq!((outcome.is_ok(), is_mismatch(&outcome)), (whole, !whole), "{percent} %: {outcome:?}");
    }
}

#[tokio::test]
async fn who_takes_what_there_is_gets_what_a_cut_segment_left_and_is_told() {
    let (_out, outcome) = taken(true, move |request| match request.path.as_str() {
        "/l.m3u8" => list(playlist("#EXTINF:4.0001,\na.ts\n#EXTINF:4.0,\nb.ts\n")),
        "/a.ts" => {
            let whole = joined(&talk(), 0..4);
            Reply::new(200, whole[..whole.len() * 6 / 10 / 188 * 188].to_vec())
        }
        _ => Reply::new(200, joined(&talk(), 4..8)),
    })
    .await;
    let finished = outcome.unwrap();
    let lacks = finished.lacks.unwrap_or_default();
    assert!(finished.filename.contains("(partial)") && lacks.contains("something may be missing"), "{lacks}");
}

/// 14 s in segments of so many tenths, and whether the picture has sound.
fn even(tenths: u32, sound: bool) -> PathBuf {
    let name = format!("even {tenths}{}", if sound { "" } else { " mute" });
    made(&name, &name, |kitchen| {
        let (gop, seconds) = (tenths.to_string(), format!("{}", f64::from(tenths) / 10.0));
        let start = "-f lavfi -i testsrc2=size=160x90:rate=10 -f lavfi -i sine=frequency=440:sample_rate=44100 -t 14 \
                     -c:v libx264 -preset ultrafast -bf 0 -sc_threshold 0 -pix_fmt yuv420p -c:a aac -f hls \
                     -hls_playlist_type vod -hls_segment_filename s%d.ts";
        let mut arguments: Vec<&str> = start.split_whitespace().collect();
        arguments.extend(["-g", &gop, "-keyint_min", &gop, "-hls_time", &seconds]);
        if !sound {
            arguments.extend(["-map", "0:v"]);
        }
        arguments.push("s.m3u8");
        kitchen.ffmpeg(&arguments);
    })
}

#[tokio::test]
async fn a_silent_picture_that_may_be_cut_is_partial() {
    for percent in [100, 60] {
        let (_out, outcome) = download(move |request| match request.path.as_str() {
            "/l.m3u8" => list(playlist("#EXTINF:4.0001,\na.ts\n#EXTINF:4.0,\nb.ts\n")),
            "/a.ts" => {
                let whole = joined(&even(10, false), 0..4);
                let length = whole.len() * percent / 100 / 188 * 188;
                Reply::new(200, whole[..length].to_vec())
            }
            _ => Reply::new(200, joined(&even(10, false), 4..8)),
        })
        .await;
        let lacks = outcome.unwrap().lacks;
        assert_eq!(lacks.is_none(), percent == 100, "{lacks:?}");
        assert!(lacks.is_none_or(|lacks| lacks.contains("the picture stands still")));
    }
}

#[tokio::test]
async fn a_missing_end_is_no_rounding() {
    for (each, sound) in [("1.000000", true), ("1.000000", false), ("1", true), ("1", false)] {
        for last in ["there", "the one before", "nothing"] {
            let segments: String = (0..14).map(|n| format!("#EXTINF:{each},\ns{n}.ts\n")).collect();
            let (_out, outcome) = download(move |request| match request.path.as_str() {
                "/l.m3u8" => list(playlist(&segments)),
                "/s13.ts" if last == "nothing" => Reply::new(200, nothing()),
                "/s13.ts" if last == "the one before" => Reply::new(200, joined(&even(10, sound), 12..13)),
                _ => folder(&even(10, sound), request),
            })
            .await;
            let whole = last == "there";
            let what = format!("{each}, {sound}, {last}: {outcome:?}");
            assert_eq!((outcome.is_ok(), is_mismatch(&outcome)), (whole, !whole), "{what}");
        }
    }
}

fn window(first: u64, files: std::ops::Range<u64>, ended: bool, each: &str, prefix: &str) -> String {
    let segments: String = files.map(|n| format!("#EXTINF:{each},\n{prefix}{n}.ts\n")).collect();
    let end = if ended { "#EXT-X-ENDLIST\n" } else { "" };
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:{first}\n{segments}{end}"
    )
}

/// Records what `first` lists, stops, and takes it up when `second` is listed.
async fn taken_up(directory: PathBuf, first: String, second: String) -> (tempfile::TempDir, Finished) {
    let later = Arc::new(AtomicBool::new(false));
    let server = Server::start({
        let later = Arc::clone(&later);
        move |request| match request.path.as_str() {
            "/l.m3u8" => list(if later.load(Ordering::Relaxed) { second.clone() } else { first.clone() }),
            _ => folder(&directory, request),
        }
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let again = || {
        let mut job = job(server.url("/l.m3u8"), out.path());
        job.partial = Partial::SameUrl;
        job.wishes.live_from_start = true;
        job
    };
    let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
    let halt = async {
        tokio::time::sleep(Duration::from_millis(1500)).await;
        stop.cancel();
    };
    let engine = engine();
    let (stopped, ()) = tokio::join!(engine.download(again(), monitor, stop.clone()), halt);
    assert!(matches!(stopped, Err(EngineError::Stopped)), "{stopped:?}");
    later.store(true, Ordering::Relaxed);
    let finished = run(&engine, again()).await.unwrap();
    (out, finished)
}

#[tokio::test]
async fn a_recording_with_more_missing_than_could_be_told_is_kept() {
    // Segments of 1.4 s under a target of 1 s: six of them count as six seconds.
    let (_out, finished) =
        taken_up(even(14, true), window(0, 0..2, false, "1.4", "s"), window(8, 8..10, true, "1.4", "s"))
            .await;
    assert!(finished.lacks.as_deref().is_some_and(|lacks| lacks.contains("missing")), "{:?}", finished.lacks);
    assert!(finished.filename.contains("(partial)"));
    let measured = Measured::of(&finished.path);
    assert_eq!(measured.pictures.len(), 56);

    let far = made("far apart", "far apart", |kitchen| {
        for (name, offset) in [("s", "0"), ("f", "1500")] {
            let files = format!("{name}%d.ts");
            kitchen.hls("plain", name, &["-hls_segment_filename", &files, "-output_ts_offset", offset]);
        }
    });
    let (_out, finished) =
        taken_up(far, window(0, 0..4, false, "1.0001", "s"), window(1500, 0..4, true, "1.0001", "f")).await;
    assert!(finished.lacks.is_some());
    assert_eq!(Measured::of(&finished.path).pictures.len(), 80);
}

#[tokio::test]
async fn sound_that_ends_before_the_picture_is_told() {
    let server = Server::start(move |request| {
        let honest = folder(&super::choosing::variants(), request);
        if request.path != "/v2.m3u8" {
            return honest;
        }
        let text = String::from_utf8(honest.body()).unwrap();
        let fifth = text.match_indices("#EXTINF").nth(4).unwrap().0;
        list(format!("{}#EXT-X-ENDLIST\n", &text[..fifth]))
    })
    .await;
    let out = tempfile::tempdir().unwrap();
    let finished = run(&engine(), job(server.url("/master.m3u8"), out.path())).await.unwrap();
    assert_eq!(finished.lacks.as_deref(), Some("the sound ends at 0:04, the picture at 0:08"));
    assert!(duration(&finished.path) > 7.5);
}
