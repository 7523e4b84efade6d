//! Text made by hand: into the file, beside it, and out of fragments.

use super::*;

const SUBTITLES: &str = "WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:2826000\n\n\
    00:00:00.500 --> 00:00:01.500\n<i>One</i>, two\n\n00:00:01.900 --> 00:00:02.000\nover\n\n\
    WEBVTT\nX-TIMESTAMP-MAP=LOCAL:00:00:00.000,MPEGTS:2826000\n\n00:00:02.000 --> 00:00:02.800\nover\n";

/// The texts of a track, each with its time in seconds.
fn texts(path: &Path, stream: &str) -> Vec<(f64, f64, String)> {
    let output = Command::new("ffmpeg")
        .args(["-loglevel", "error", "-i"])
        .arg(path)
        .args(["-map", stream, "-f", "webvtt", "-"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let documents = weir_media::subtitle::webvtt::documents(&text);
    let cues = documents.into_iter().flat_map(|document| document.cues);
    cues.map(|cue| (cue.start_us as f64 / 1e6, cue.end_us as f64 / 1e6, cue.text)).collect()
}

#[tokio::test]
async fn subtitles_go_into_the_file_at_their_times() {
    for (wish, extension) in [(None, "mp4"), (Some("mkv"), "mkv")] {
        let mut bench = Bench::new();
        // It begins at 31.4 s of its clock, which is 2826000 ticks.
        film(bench.path(), "a.ts", "128x72", 44100, 4.0, "-output_ts_offset 30");
        std::fs::write(bench.path().join("text"), SUBTITLES).unwrap();
        bench.wish = wish.map(str::to_owned);
        bench.track(TrackKind::Video, &[("a.ts", 4.0)]);
        let text = bench.track(TrackKind::Subtitles, &[("text", 4.0)]);
        (text.language, text.forced) = (Some("de".to_owned()), true);
        let (muxed, result) = bench.run().await.unwrap();
        assert_eq!((muxed.extension, muxed.sidecars.len()), (extension, 0));
        let picture = frames(&result, "0:v:0")[0].0;
        let found = texts(&result, "0:s:0");
        let words: Vec<&str> = found.iter().map(|(_, _, text)| text.as_str()).collect();
        assert_eq!(words, ["<i>One</i>, two", "over"], "{extension}");
        for ((start, end, _), (from, to)) in found.iter().zip([(0.5, 1.5), (1.9, 2.8)]) {
            let error = (start - picture - from).abs().max((end - picture - to).abs());
            assert!(error < 0.13, "{extension}: {start} to {end}, the picture begins at {picture}");
        }
        assert_eq!(
            probed(
                &result,
                "-select_streams s:0 -show_entries stream_tags=language:stream_disposition=forced"
            ),
            "1,deu"
        );
    }
}

#[tokio::test]
async fn subtitles_go_beside_the_file() {
    let mut bench = Bench::new();
    film(bench.path(), "a.ts", "128x72", 44100, 4.0, "-output_ts_offset 30");
    std::fs::write(bench.path().join("text"), SUBTITLES).unwrap();
    // Counted from the beginning of the film, as servers without a map do.
    std::fs::write(bench.path().join("plain"), "WEBVTT\n\n00:01.000 --> 00:02.000\nplain\n").unwrap();
    bench.form = SubtitleForm::Srt;
    bench.track(TrackKind::Video, &[("a.ts", 4.0)]);
    bench.track(TrackKind::Subtitles, &[("text", 4.0)]).language = Some("en".to_owned());
    bench.track(TrackKind::Subtitles, &[("plain", 4.0)]).language = Some("en".to_owned());
    let (muxed, _) = bench.run().await.unwrap();
    let suffixes: Vec<&str> = muxed.sidecars.iter().map(|sidecar| sidecar.suffix.as_str()).collect();
    assert_eq!(suffixes, [".en.srt", ".en.2.srt"]);
    let read = |at: usize| std::fs::read_to_string(&muxed.sidecars[at].path).unwrap();
    assert!(read(0).contains("00:00:00,5") && read(0).contains("<i>One</i>, two"), "{}", read(0));
    assert!(read(1).contains("00:00:01,000 --> 00:00:02,000\nplain"), "{}", read(1));
}

fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
}

fn words(words: &[u32]) -> Vec<u8> {
    words.iter().flat_map(|word| word.to_be_bytes()).collect()
}

/// A track of text in MP4, one sample a fragment: its time and length in milliseconds, and its bytes.
fn text_in_boxes(entry: &[u8; 4], samples: &[(u32, u32, Vec<u8>)]) -> Vec<u8> {
    let stsd = boxed(b"stsd", &[words(&[0, 1]), boxed(entry, &[0; 8])].concat());
    let mdia = [
        boxed(b"mdhd", &words(&[0, 0, 0, 1000, 0, 0])),
        boxed(b"hdlr", &[words(&[0, 0]), b"text".to_vec()].concat()),
        boxed(b"minf", &boxed(b"stbl", &stsd)),
    ]
    .concat();
    let trak = [boxed(b"tkhd", &words(&[0, 0, 0, 1])), boxed(b"mdia", &mdia)].concat();
    let mvex = boxed(b"mvex", &boxed(b"trex", &words(&[0, 1, 1, 0, 0, 0])));
    let mut out = [boxed(b"ftyp", b"iso6"), boxed(b"moov", &[boxed(b"trak", &trak), mvex].concat())].concat();
    for (time, length, bytes) in samples {
        let moof = |offset: u32| {
            let traf = [
                boxed(b"tfhd", &words(&[0x02_0000, 1])),
                boxed(b"tfdt", &words(&[0, *time])),
                boxed(b"trun", &words(&[0x301, 1, offset, *length, bytes.len() as u32])),
            ]
            .concat();
            boxed(b"moof", &[boxed(b"mfhd", &words(&[0, 1])), boxed(b"traf", &traf)].concat())
        };
        let size = moof(0).len() as u32;
        out.extend(moof(size + 8));
        out.extend(boxed(b"mdat", bytes));
    }
    out
}

#[tokio::test]
async fn text_in_fragments_is_read() {
    let cue = |text: &str| boxed(b"vttc", &boxed(b"payl", text.as_bytes()));
    let vtt = text_in_boxes(
        b"wvtt",
        &[
            (10_000, 500, boxed(b"vtte", b"")),
            (10_500, 500, cue("one")),
            // Cut at the border of two segments.
            (11_000, 1000, cue("one")),
            (12_000, 1000, [cue("two"), cue("three")].concat()),
        ],
    );
    let document = |begin: &str, end: &str, text: &str| {
        format!("<tt xmlns='http://www.w3.org/ns/ttml'><body><div><p begin='{begin}' end='{end}'>{text}</p></div></body></tt>")
            .into_bytes()
    };
    let ttml = text_in_boxes(
        b"stpp",
        &[(10_000, 2000, document("10.5s", "13s", "one")), (12_000, 2000, document("10.5s", "13s", "one"))],
    );
    for (bytes, expected) in [
        (vtt, &[(0.5, 2.0, "one"), (2.0, 3.0, "two"), (2.0, 3.0, "three")][..]),
        (ttml, &[(0.5, 3.0, "one")]),
    ] {
        let mut bench = Bench::new();
        film(
            bench.path(),
            "v.mp4",
            "128x72",
            44100,
            4.0,
            "-an -bf 0 -movflags frag_keyframe+empty_moov+default_base_moof",
        );
        begin_later(&bench.path().join("v.mp4"), 10);
        std::fs::write(bench.path().join("text"), bytes).unwrap();
        bench.form = SubtitleForm::Vtt;
        bench.track(TrackKind::Video, &[("v.mp4", 4.0)]);
        bench.track(TrackKind::Subtitles, &[("text", 4.0)]).language = Some("../en".to_owned());
        let (muxed, _) = bench.run().await.unwrap();
        assert_eq!(muxed.sidecars[0].suffix, ".en.vtt");
        let text = std::fs::read_to_string(&muxed.sidecars[0].path).unwrap();
        let documents = weir_media::subtitle::webvtt::documents(&text);
        let found: Vec<(f64, f64, &str)> = documents[0]
            .cues
            .iter()
            .map(|cue| (cue.start_us as f64 / 1e6, cue.end_us as f64 / 1e6, cue.text.as_str()))
            .collect();
        assert_eq!(found, expected);
    }
}

#[tokio::test]
async fn text_that_cannot_be_read_is_named() {
    for (bytes, reason) in [
        (b"<!doctype html><p>log in".to_vec(), "neither WebVTT nor TTML"),
        (b"<tt xmlns='http://www.w3.org/ns/ttml'><body>".to_vec(), "TTML cannot be read"),
        (text_in_boxes(b"c608", &[(0, 1000, vec![0; 4])]), "c608"),
    ] {
        let mut bench = Bench::new();
        film(bench.path(), "a.ts", "128x72", 44100, 1.0, "");
        std::fs::write(bench.path().join("text"), bytes).unwrap();
        bench.track(TrackKind::Video, &[("a.ts", 1.0)]);
        bench.track(TrackKind::Subtitles, &[("text", 1.0)]).language = Some("fr".to_owned());
        let error = bench.run().await.unwrap_err().to_string();
        assert!(error.contains("the subtitles fr") && error.contains(reason), "{error}");
    }
}
