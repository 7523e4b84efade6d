//! Pictures and sound in other codings than H.264 and AAC.

use super::super::recipe::{Recipe, try_all, whole};

const RECIPES: &[Recipe] = &[
    Recipe::new("HEVC in TS", |k| k.ts("hevc", "list", &[]))
        .showing(&[whole("hevc")])
        .coded(&["hevc", "aac"], "mp4"),
    Recipe::new("HEVC in fragmented MP4", |k| k.fmp4("hevc", "list", &["-tag:v", "hvc1"]))
        .showing(&[whole("hevc")])
        .coded(&["hevc", "aac"], "mp4"),
    Recipe::new("AV1 in fragmented MP4", |k| k.fmp4("av1", "list", &[]))
        .showing(&[whole("av1")])
        .coded(&["av1", "aac"], "mp4"),
    Recipe::new("VP9 and Opus in fragmented MP4", |k| k.fmp4("vp9-opus", "list", &["-strict", "-2"]))
        .showing(&[whole("vp9-opus")])
        .coded(&["vp9", "opus"], "webm"),
    Recipe::new("H.264 and Opus in TS", |k| k.ts("h264-opus", "list", &[]))
        .showing(&[whole("h264-opus")])
        .coded(&["h264", "opus"], "mp4"),
    Recipe::new("H.264 and AC-3 in TS", |k| k.ts("h264-ac3", "list", &[]))
        .showing(&[whole("h264-ac3")])
        .coded(&["h264", "ac3"], "mp4"),
    Recipe::new("H.264 and MP3 in TS", |k| k.ts("h264-mp3", "list", &[]))
        .showing(&[whole("h264-mp3")])
        .coded(&["h264", "mp3"], "mp4"),
    Recipe::new("Opus alone in fragmented MP4", |k| k.fmp4("opus", "list", &["-strict", "-2"])).heard(
        &[whole("opus")],
        &["opus"],
        "webm",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn codecs() {
    try_all(include_str!("codecs.rs"), RECIPES).await;
}
