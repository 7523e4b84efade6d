//! Sections made by ffmpeg, joined and muxed, and every decoded frame compared with what they were made from.

mod text;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::*;

pub(super) fn ffmpeg(folder: &Path, arguments: &str) {
    let output = Command::new("ffmpeg")
        .args(["-hide_banner", "-loglevel", "error", "-y"])
        .args(arguments.split_whitespace())
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{arguments}: {}", String::from_utf8_lossy(&output.stderr));
}

/// A film of `seconds` with the given picture and sound, as `name`.
fn film(folder: &Path, name: &str, size: &str, rate: u32, seconds: f64, more: &str) {
    ffmpeg(
        folder,
        &format!(
            "-f lavfi -i testsrc2=size={size}:rate=25 -f lavfi -i sine=frequency=440:sample_rate={rate} -t {seconds} \
             -c:v libx264 -preset ultrafast -bf 2 -g 25 -c:a aac -b:a 64k {more} {name}"
        ),
    );
}

/// A decoded frame: when it is shown in seconds, and its hash.
type Frame = (f64, String);

fn frames(path: &Path, stream: &str) -> Vec<Frame> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-copyts", "-i"])
        .arg(path)
        // Frames of another size stay as they are.
        .args(["-map", stream, "-vsync", "passthrough", "-autoscale", "0", "-copyts", "-f", "framemd5", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap_or("1/1").to_owned();
    let (one, scale) = base.split_once('/').unwrap();
    let unit = one.parse::<f64>().unwrap() / scale.parse::<f64>().unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[2].parse::<f64>().unwrap() * unit, fields[5].to_owned())
    })
    .collect()
}

pub(super) fn hashes(path: &Path, stream: &str) -> Vec<String> {
    frames(path, stream).into_iter().map(|(_, hash)| hash).collect()
}

/// Hashes of the coded packets of a stream, which say more of sound than decoding over a border would.
pub(super) fn packets(path: &Path, stream: &str, filter: &str) -> Vec<(f64, String)> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-copyts", "-i"])
        .arg(path)
        .args(["-map", stream, "-c", "copy", "-copyts"])
        .args(filter.split_whitespace())
        .args(["-f", "framemd5", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let base = text.lines().find_map(|line| line.strip_prefix("#tb 0: ")).unwrap_or("1/1").to_owned();
    let (one, scale) = base.split_once('/').unwrap();
    let unit = one.parse::<f64>().unwrap() / scale.parse::<f64>().unwrap();
    let rows = text.lines().filter(|line| !line.starts_with('#'));
    rows.map(|line| {
        let fields: Vec<&str> = line.split(',').map(str::trim).collect();
        (fields[1].parse::<f64>().unwrap() * unit, fields[5].to_owned())
    })
    .collect()
}

pub(super) fn probed(path: &Path, arguments: &str) -> String {
    let output = Command::new("ffprobe")
        .args(["-v", "error", "-of", "csv=p=0"])
        .args(arguments.split_whitespace())
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

/// A folder with what a job has, and tracks to be muxed in it.
struct Bench {
    dir: tempfile::TempDir,
    inputs: Vec<Input>,
    form: SubtitleForm,
    wish: Option<String>,
    audio_only: bool,
}

impl Bench {
    fn new() -> Self {
        Self {
            dir: tempfile::tempdir().unwrap(),
            inputs: Vec::new(),
            form: SubtitleForm::Embedded,
            wish: None,
            audio_only: false,
        }
    }

    fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Adds a track made of files, each a section that lasts so long by the manifest.
    fn track(&mut self, kind: TrackKind, files: &[(&str, f64)]) -> &mut Input {
        let (mut bytes, mut sections, mut at) = (Vec::new(), Vec::new(), 0.0);
        for (file, seconds) in files {
            let start = bytes.len() as u64;
            bytes.extend(std::fs::read(self.path().join(file)).unwrap());
            sections.push(Section {
                bytes: start..bytes.len() as u64,
                start: Duration::from_secs_f64(at),
                duration: Duration::from_secs_f64(*seconds),
                shift_us: None,
                new_clock: true,
            });
            at += seconds;
        }
        let path = self.path().join(format!("track{}", self.inputs.len()));
        std::fs::write(&path, bytes).unwrap();
        self.inputs.push(Input {
            kind,
            path,
            language: None,
            name: None,
            default: false,
            forced: false,
            sections,
            timing: Timing {
                planned: Duration::from_secs_f64(at),
                longest_segment: Duration::from_secs(1),
                segments: at.ceil() as usize,
                ..Timing::default()
            },
        });
        self.inputs.last_mut().unwrap()
    }

    async fn run(&self) -> Result<(Muxed, PathBuf), EngineError> {
        let program = find(None).unwrap();
        let work = self.path().join("work");
        std::fs::create_dir_all(&work).unwrap();
        let output = work.join("result");
        let plan = Plan {
            ffmpeg: &program,
            inputs: &self.inputs,
            work: &work,
            output: &output,
            title: Some("A title"),
            source_url: Some("https://page.example/watch"),
            audio_only: self.audio_only,
            has_picture: !self.audio_only,
            subtitle_form: self.form,
            extension_wish: self.wish.clone(),
        };
        let muxed = super::run(&plan, None).await?;
        // Nothing is left but the result and what goes beside it.
        let left = std::fs::read_dir(&work).unwrap().count();
        assert_eq!(left, 1 + muxed.sidecars.len());
        self.same_while_it_comes(&plan, &muxed).await;
        Ok((muxed, output))
    }

    /// Made while its inputs grow, a film is the same to the last byte, where that can be done at all.
    async fn same_while_it_comes(&self, plan: &Plan<'_>, wanted: &Muxed) {
        let work = tempfile::tempdir().unwrap();
        let output = work.path().join("result");
        let wish = self.wish.clone();
        let mut own = Plan { work: work.path(), output: &output, extension_wish: wish, ..*plan };
        let Some(ahead) = Ahead::begin(&own).await.unwrap() else { return };
        let sizes: Vec<u64> = self.inputs.iter().map(|input| input.sections[0].bytes.end).collect();
        for share in 1..=20 {
            for (number, size) in sizes.iter().enumerate() {
                ahead.grown(number, size * share / 20);
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        // Other containers are also checked by ffmpeg, and get a random number each time.
        let boxes = matches!(wanted.extension, "mp4" | "m4a");
        if boxes {
            own.ffmpeg = Path::new("/made/anew");
        }
        assert_eq!(&super::run(&own, Some(ahead)).await.unwrap(), wanted);
        if boxes {
            assert!(std::fs::read(&output).unwrap() == std::fs::read(plan.output).unwrap());
        }
    }
}

/// The result shows every frame of the parts in their order, evenly, and has all their sound.
fn assert_joined(result: &Path, parts: &[PathBuf], seconds: f64) {
    let expected: Vec<String> = parts.iter().flat_map(|part| hashes(part, "0:v:0")).collect();
    let found = frames(result, "0:v:0");
    assert_eq!(found.len(), expected.len());
    assert!(found.iter().map(|(_, hash)| hash).eq(&expected), "frames differ");
    for pair in found.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!((0.035..0.075).contains(&step), "a step of {step} s at {}", pair[0].0);
    }
    let length = found.last().unwrap().0 - found[0].0 + 0.04;
    assert!((length - seconds).abs() < 0.1, "{length} s instead of {seconds}");
    let sound: Vec<String> = parts
        .iter()
        .flat_map(|part| packets(part, "0:a:0", "-bsf:a aac_adtstoasc"))
        .map(|(_, hash)| hash)
        .collect();
    let heard = packets(result, "0:a:0", "");
    let hashes: Vec<String> = heard.iter().map(|(_, hash)| hash.clone()).collect();
    assert_eq!(hashes, sound, "sound differs");
    for pair in heard.windows(2) {
        let step = pair[1].0 - pair[0].0;
        assert!((0.0..0.09).contains(&step), "a step of {step} s in the sound at {}", pair[0].0);
    }
    let apart = heard.last().unwrap().0 - found.last().unwrap().0;
    assert!(apart.abs() < 0.15, "picture and sound end {apart} s apart");
}

#[tokio::test]
async fn transport_streams_with_clocks_and_numbers_of_their_own() {
    let mut bench = Bench::new();
    film(bench.path(), "a.ts", "128x72", 44100, 3.0, "");
    film(bench.path(), "b.ts", "192x108", 44100, 2.0, "-mpegts_start_pid 0x300 -output_ts_offset 5000");
    film(bench.path(), "c.ts", "128x72", 44100, 2.0, "-mpegts_start_pid 0x90");
    bench.track(TrackKind::Video, &[("a.ts", 3.0), ("b.ts", 2.0), ("c.ts", 2.0)]);
    let (muxed, result) = bench.run().await.unwrap();
    assert_eq!(muxed.extension, "mp4");
    assert_joined(&result, &["a.ts", "b.ts", "c.ts"].map(|name| bench.path().join(name)), 7.0);
    assert_eq!(
        probed(&result, "-show_entries format_tags=title,comment"),
        "A title,https://page.example/watch"
    );
}

#[tokio::test]
async fn a_clock_that_turns_in_the_middle() {
    let mut bench = Bench::new();
    // 33 bits end at 95443.7 s; ffmpeg's own start is 1.4 s later than asked for.
    film(bench.path(), "a.ts", "128x72", 44100, 4.0, "-output_ts_offset 95440");
    bench.track(TrackKind::Video, &[("a.ts", 4.0)]);
    let (_, result) = bench.run().await.unwrap();
    film(bench.path(), "plain.ts", "128x72", 44100, 4.0, "");
    assert_joined(&result, &[bench.path().join("plain.ts")], 4.0);
}

#[tokio::test]
async fn fragments_behind_one_initialisation_section() {
    let mut bench = Bench::new();
    for (name, tone) in [("a.mp4", 3.0), ("b.mp4", 2.0)] {
        film(
            bench.path(),
            name,
            "128x72",
            44100,
            tone,
            "-movflags frag_keyframe+empty_moov+default_base_moof+delay_moov",
        );
    }
    bench.track(TrackKind::Video, &[("a.mp4", 3.0), ("b.mp4", 2.0)]);
    let (_, result) = bench.run().await.unwrap();
    assert_joined(&result, &["a.mp4", "b.mp4"].map(|name| bench.path().join(name)), 5.0);
}

#[tokio::test]
async fn fragments_whose_encoding_changes() {
    let mut bench = Bench::new();
    let fragmented = "-movflags frag_keyframe+empty_moov+default_base_moof+delay_moov";
    film(bench.path(), "a.mp4", "128x72", 44100, 3.0, fragmented);
    film(bench.path(), "b.mp4", "192x108", 44100, 2.0, &format!("{fragmented} -video_track_timescale 30000"));
    bench.track(TrackKind::Video, &[("a.mp4", 3.0), ("b.mp4", 2.0), ("a.mp4", 3.0)]);
    let (muxed, result) = bench.run().await.unwrap();
    assert_eq!(muxed.extension, "mp4");
    assert_joined(&result, &["a.mp4", "b.mp4", "a.mp4"].map(|name| bench.path().join(name)), 8.0);
}

#[tokio::test]
async fn vp9_may_change_its_size_and_other_things_are_refused_by_name() {
    let mut bench = Bench::new();
    let make = |name: &str, size: &str, more: &str| {
        ffmpeg(
            bench.path(),
            &format!(
                "-f lavfi -i testsrc2=size={size}:rate=25 -t 2 -c:v libvpx-vp9 -deadline realtime -cpu-used 8 -g 25 \
                 -movflags frag_keyframe+empty_moov+default_base_moof {more} {name}"
            ),
        );
    };
    make("a.mp4", "128x72", "");
    make("b.mp4", "192x108", "");
    make("c.mp4", "192x108", "-video_track_timescale 30000");
    bench.track(TrackKind::Video, &[("a.mp4", 2.0), ("b.mp4", 2.0)]);
    let (muxed, result) = bench.run().await.unwrap();
    assert_eq!(muxed.extension, "webm");
    let found = frames(&result, "0:v:0");
    let expected: Vec<String> =
        ["a.mp4", "b.mp4"].iter().flat_map(|name| hashes(&bench.path().join(name), "0:v:0")).collect();
    assert!(found.iter().map(|(_, hash)| hash).eq(&expected));
    assert!((found.last().unwrap().0 - 3.96).abs() < 0.05);
    bench.inputs.clear();
    bench.track(TrackKind::Video, &[("a.mp4", 2.0), ("c.mp4", 2.0)]);
    let error = bench.run().await.unwrap_err();
    assert!(matches!(&error, EngineError::UnsupportedMedia { reason } if reason.contains("VP9")), "{error}");
}

#[tokio::test]
async fn sound_whose_rate_changes_goes_where_every_frame_says_what_it_is() {
    let mut bench = Bench::new();
    film(bench.path(), "a.ts", "128x72", 44100, 2.0, "");
    film(bench.path(), "b.ts", "128x72", 48000, 2.0, "");
    bench.track(TrackKind::Video, &[("a.ts", 2.0), ("b.ts", 2.0)]);
    let (muxed, result) = bench.run().await.unwrap();
    assert_eq!(muxed.extension, "ts");
    assert_eq!(packets(&result, "0:a:0", "").len(), {
        let count = |name: &str| packets(&bench.path().join(name), "0:a:0", "").len();
        count("a.ts") + count("b.ts")
    });
    let expected: Vec<String> =
        ["a.ts", "b.ts"].iter().flat_map(|name| hashes(&bench.path().join(name), "0:v:0")).collect();
    assert_eq!(hashes(&result, "0:v:0"), expected);
}

#[tokio::test]
async fn sound_of_its_own_shares_the_clock_over_every_restart() {
    let mut bench = Bench::new();
    for (name, offset) in [("a", 30), ("b", 7)] {
        film(
            bench.path(),
            &format!("{name}.ts"),
            "128x72",
            44100,
            3.0,
            &format!("-output_ts_offset {offset}"),
        );
        // The sound of each part begins a little later than its picture, by the same clock.
        ffmpeg(
            bench.path(),
            &format!("-copyts -i {name}.ts -map 0:v -c copy -muxdelay 0 -muxpreload 0 {name}v.ts"),
        );
        ffmpeg(
            bench.path(),
            &format!("-copyts -i {name}.ts -map 0:a -c copy -muxdelay 0 -muxpreload 0 {name}a.ts"),
        );
    }
    bench.track(TrackKind::Video, &[("av.ts", 3.0), ("bv.ts", 3.0)]);
    let sound = bench.track(TrackKind::Audio, &[("aa.ts", 3.0), ("ba.ts", 3.0)]);
    sound.language = Some("pt-BR".to_owned());
    sound.name = Some("Comentário".to_owned());
    let (_, result) = bench.run().await.unwrap();
    assert_joined(&result, &["a.ts", "b.ts"].map(|name| bench.path().join(name)), 6.0);
    assert_eq!(
        probed(
            &result,
            "-select_streams a:0 -show_entries stream_tags=language,handler_name:stream_disposition=default"
        ),
        "1,por,Comentário"
    );
}

/// Packed audio: the frames of `name`.ts's sound behind a tag with its time.
fn packed(folder: &Path, name: &str, cuts: usize) {
    ffmpeg(folder, &format!("-i {name}.ts -map 0:a -c copy -f adts {name}.adts"));
    let frames = std::fs::read(folder.join(format!("{name}.adts"))).unwrap();
    let first = packets(&folder.join(format!("{name}.ts")), "0:a:0", "")[0].0;
    let (mut at, mut number, mut starts) = (0, 0, Vec::new());
    while at + 7 <= frames.len() {
        starts.push((at, number));
        at += usize::from(frames[at + 3] & 3) << 11
            | usize::from(frames[at + 4]) << 3
            | usize::from(frames[at + 5] >> 5);
        number += 1;
    }
    let mut out = Vec::new();
    for run in starts.chunks(starts.len().div_ceil(cuts)) {
        let ticks = ((first + run[0].1 as f64 * 1024.0 / 44100.0) * 90_000.0).round() as u64;
        let body =
            [&b"PRIV\0\0\0\x35\0\0com.apple.streaming.transportStreamTimestamp\0"[..], &ticks.to_be_bytes()]
                .concat();
        out.extend([&b"ID3\x04\0\0\0\0\0"[..], &[body.len() as u8], &body].concat());
        let end = starts.get(run[0].1 + run.len()).map_or(frames.len(), |next| next.0);
        out.extend(&frames[run[0].0..end]);
    }
    std::fs::write(folder.join(format!("{name}.aac")), out).unwrap();
}

#[tokio::test]
async fn packed_sound_finds_its_place_by_its_tags() {
    for parts in [&["a"][..], &["a", "b"]] {
        let mut bench = Bench::new();
        for (name, offset) in [("a", 30), ("b", 7)] {
            film(
                bench.path(),
                &format!("{name}.ts"),
                "128x72",
                44100,
                3.0,
                &format!("-output_ts_offset {offset}"),
            );
            ffmpeg(
                bench.path(),
                &format!("-copyts -i {name}.ts -map 0:v -c copy -muxdelay 0 -muxpreload 0 {name}v.ts"),
            );
            packed(bench.path(), name, 3);
        }
        let named = |suffix: &str| parts.iter().map(|part| format!("{part}{suffix}")).collect::<Vec<_>>();
        let (video, sound) = (named("v.ts"), named(".aac"));
        let with = |names: &[String]| names.iter().map(|name| (name.clone(), 3.0)).collect::<Vec<_>>();
        for (kind, files) in [(TrackKind::Video, with(&video)), (TrackKind::Audio, with(&sound))] {
            let files: Vec<(&str, f64)> =
                files.iter().map(|(name, seconds)| (name.as_str(), *seconds)).collect();
            bench.track(kind, &files);
        }
        let (_, result) = bench.run().await.unwrap();
        let whole: Vec<PathBuf> = named(".ts").iter().map(|name| bench.path().join(name)).collect();
        assert_joined(&result, &whole, 3.0 * parts.len() as f64);
    }
}

/// Moves the only track of a fragmented file.
fn begin_later(path: &Path, seconds: i64) {
    let mut bytes = std::fs::read(path).unwrap();
    let moov = weir_media::mp4::child(&bytes, b"moov").unwrap();
    let track = weir_media::codec::tracks(moov).remove(0);
    let shift = seconds * i64::from(track.timescale);
    let moves = [weir_media::fragment::Move { from: track.id, to: track.id, shift }];
    let mut at = 0;
    while at + 8 <= bytes.len() {
        let size = weir_media::mp4::u32_at(&bytes, at).unwrap() as usize;
        if &bytes[at + 4..at + 8] == b"moof" {
            weir_media::fragment::retime(&mut bytes[at + 8..at + size], 1, &moves).unwrap();
        }
        at += size;
    }
    std::fs::write(path, bytes).unwrap();
}

#[tokio::test]
async fn what_a_manifest_gives_brings_clocks_together() {
    let mut bench = Bench::new();
    film(bench.path(), "film.mp4", "128x72", 44100, 3.0, "");
    let cut = "-movflags frag_keyframe+empty_moov+default_base_moof+delay_moov";
    for (name, stream, seconds) in [("v.mp4", "0:v", 100), ("a.mp4", "0:a", 2000)] {
        ffmpeg(bench.path(), &format!("-i film.mp4 -map {stream} -c copy {cut} {name}"));
        begin_later(&bench.path().join(name), seconds);
    }
    bench.track(TrackKind::Video, &[("v.mp4", 3.0)]).sections[0].shift_us = Some(-100_000_000);
    bench.track(TrackKind::Audio, &[("a.mp4", 3.0)]).sections[0].shift_us = Some(-2_000_000_000);
    let (_, result) = bench.run().await.unwrap();
    assert_joined(&result, &[bench.path().join("film.mp4")], 3.0);
}

#[tokio::test]
async fn codecs_decide_the_container() {
    for (codecs, wish, extension, has_picture) in [
        ("-c:v libvpx-vp9 -deadline realtime -cpu-used 8 -c:a libopus", None, "webm", true),
        ("-c:v libx264 -preset ultrafast -c:a libopus", None, "mp4", true),
        ("-c:v libx264 -preset ultrafast -c:a flac -strict -2", None, "mp4", true),
        ("-c:v libx264 -preset ultrafast -c:a ac3", Some("mkv"), "mkv", true),
        ("-c:v libx265 -preset ultrafast -x265-params log-level=none -c:a eac3", None, "mp4", true),
        ("-vn -c:a libopus", None, "webm", false),
        ("-vn -c:a libmp3lame", None, "mp3", false),
        ("-vn -c:a alac", None, "m4a", false),
    ] {
        let mut bench = Bench::new();
        ffmpeg(
            bench.path(),
            &format!(
                "-f lavfi -i testsrc2=size=128x72:rate=25 -f lavfi -i sine=frequency=440:sample_rate=48000 -t 2 {codecs} \
                 -movflags frag_keyframe+empty_moov+default_base_moof+delay_moov -f mp4 film"
            ),
        );
        bench.audio_only = !has_picture;
        bench.wish = wish.map(str::to_owned);
        bench.track(if has_picture { TrackKind::Video } else { TrackKind::Audio }, &[("film", 2.0)]);
        let (muxed, result) = bench.run().await.unwrap_or_else(|error| panic!("{codecs}: {error}"));
        assert_eq!(muxed.extension, extension, "{codecs}");
        assert!((muxed.duration.as_secs_f64() - 2.0).abs() < 0.2, "{codecs}: {:?}", muxed.duration);
        if has_picture {
            assert_eq!(hashes(&result, "0:v:0"), hashes(&bench.path().join("film"), "0:v:0"), "{codecs}");
        }
        if codecs.contains("x265") {
            assert_eq!(probed(&result, "-select_streams v:0 -show_entries stream=codec_tag_string"), "hvc1");
        }
    }
}

#[tokio::test]
async fn a_lost_segment_is_noticed_in_every_container() {
    for (wish, lost) in [(None, false), (None, true), (Some("mkv"), true)] {
        let mut bench = Bench::new();
        film(bench.path(), "film.mp4", "128x72", 44100, 6.0, "");
        ffmpeg(bench.path(), "-i film.mp4 -c copy -f segment -segment_time 1 -segment_format mpegts s%d.ts");
        let all: Vec<Vec<u8>> =
            (0..6).map(|n| std::fs::read(bench.path().join(format!("s{n}.ts"))).unwrap()).collect();
        let kept =
            all.iter().enumerate().filter(|(n, _)| !(lost && *n == 3)).flat_map(|(_, bytes)| bytes.clone());
        std::fs::write(bench.path().join("all.ts"), kept.collect::<Vec<u8>>()).unwrap();
        bench.wish = wish.map(str::to_owned);
        bench.track(TrackKind::Video, &[("all.ts", 6.0)]);
        let outcome = bench.run().await;
        let mismatch = matches!(outcome, Err(EngineError::DurationMismatch { .. }));
        assert_eq!(mismatch, lost, "{wish:?}: {outcome:?}");
        // Known and reported, it is no surprise.
        bench.inputs[0].timing.lost = Duration::from_secs(1);
        bench.run().await.unwrap();
    }
}

#[test]
fn a_name_is_found_before_the_file_is_there() {
    for (codecs, audio_only, extension) in [
        (None, false, "mp4"),
        (None, true, "m4a"),
        (Some("avc1.64001f,mp4a.40.2"), false, "mp4"),
        (Some("avc1.64001f, mp4a.40.2"), true, "m4a"),
        (Some("vp09.00.10.08,opus"), false, "webm"),
        (Some("vp09.00.10.08,opus"), true, "webm"),
        (Some("mp4a.40.34"), true, "mp3"),
        (Some("stpp.ttml"), false, "mp4"),
    ] {
        assert_eq!(likely_extension(codecs, audio_only), extension, "{codecs:?}");
    }
}

#[tokio::test]
async fn periods_go_where_their_manifest_says() {
    let mut bench = Bench::new();
    let cut = "-movflags frag_keyframe+empty_moov+default_base_moof+delay_moov";
    for (name, seconds, later) in [("a", 3.0, 50), ("b", 2.0, 9)] {
        film(bench.path(), &format!("{name}.mp4"), "128x72", 48000, seconds, "-video_track_timescale 12800");
        for (kind, stream) in [("v", "0:v"), ("s", "0:a")] {
            let out = format!("{name}{kind}.mp4");
            ffmpeg(bench.path(), &format!("-i {name}.mp4 -map {stream} -c copy {cut} {out}"));
            begin_later(&bench.path().join(out), later);
        }
    }
    for (kind, files) in [(TrackKind::Video, ["av.mp4", "bv.mp4"]), (TrackKind::Audio, ["as.mp4", "bs.mp4"])]
    {
        let track = bench.track(kind, &[(files[0], 3.0), (files[1], 2.0)]);
        track.sections[0].shift_us = Some(-50_000_000);
        track.sections[1].shift_us = Some(3_000_000 - 9_000_000);
    }
    // Text counts from the beginning of its period.
    std::fs::write(bench.path().join("one"), "WEBVTT\n\n00:01.000 --> 00:02.000\none\n").unwrap();
    std::fs::write(bench.path().join("two"), "WEBVTT\n\n00:01.000 --> 00:01.500\ntwo\n").unwrap();
    bench.form = SubtitleForm::Vtt;
    let text = bench.track(TrackKind::Subtitles, &[("one", 3.0), ("two", 2.0)]);
    text.sections[0].shift_us = Some(0);
    text.sections[1].shift_us = Some(3_000_000);
    let (muxed, result) = bench.run().await.unwrap();
    assert_joined(&result, &["a.mp4", "b.mp4"].map(|name| bench.path().join(name)), 5.0);
    let text = std::fs::read_to_string(&muxed.sidecars[0].path).unwrap();
    let documents = weir_media::subtitle::webvtt::documents(&text);
    let starts: Vec<f64> = documents[0].cues.iter().map(|cue| cue.start_us as f64 / 1e6).collect();
    assert!((starts[0] - 1.0).abs() < 0.1 && (starts[1] - 4.0).abs() < 0.1, "{starts:?}");
}
