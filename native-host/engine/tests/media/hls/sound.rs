//! Sound of its own: languages, packed elementary streams, streams without a picture.

use super::super::films;
use super::super::kitchen::Kitchen;
use super::super::measure::probed;
use super::super::recipe::{Part, Recipe, try_all, whole};
use super::super::serving::{APART, APART_ZERO, playlist, stamped};

/// A film without sound, and `sounds` beside it: language, name and playlist, the first of them the default.
pub(crate) fn master(kitchen: &Kitchen, sounds: &[(&str, &str, &str)], codec: &str) {
    let mut text = "#EXTM3U\n#EXT-X-INDEPENDENT-SEGMENTS\n".to_owned();
    for (number, (language, name, list)) in sounds.iter().enumerate() {
        let default = if number == 0 { "YES" } else { "NO" };
        text.push_str(&format!(
            "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"{name}\",LANGUAGE=\"{language}\",DEFAULT={default},AUTOSELECT=YES,URI=\"{list}\"\n"
        ));
    }
    text.push_str(&format!(
        "#EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,CODECS=\"avc1.42c00a,{codec}\",AUDIO=\"s\"\npicture.m3u8\n"
    ));
    kitchen.write("list.m3u8", text);
}

/// Cuts sound into bare packets, each segment with a tag in front that says when it begins.
pub(crate) fn packed(kitchen: &Kitchen, film: &str, format: &str) {
    let path = kitchen.film(film);
    let mut command = vec![
        "-i",
        &path,
        "-map",
        "0:a",
        "-c",
        "copy",
        "-f",
        "segment",
        "-segment_time",
        "1",
        "-segment_format",
        format,
    ];
    if format == "mp3" {
        command.extend(["-segment_format_options", "write_xing=0:id3v2_version=0"]);
    }
    command.push("sound%d.bin");
    kitchen.ffmpeg(&command);
    let packets = films::named(film).measured().sounds;
    let (mut body, mut done) = (String::new(), 0);
    let names = kitchen.numbered("sound", ".bin");
    for (number, name) in names.iter().enumerate() {
        let count = [
            "-f",
            if format == "adts" { "aac" } else { format },
            "-count_packets",
            "-show_entries",
            "stream=nb_read_packets",
        ];
        // One frame alone is not enough for ffprobe to see that it is MP3, and a last segment may be that short.
        let counted = || probed(&kitchen.at(name), &count).trim_end_matches(',').parse().unwrap();
        let count: usize = if number + 1 == names.len() { packets.len() - done } else { counted() };
        let length = packets.get(done + count).map_or(8.0, |next| next.at) - packets[done].at;
        kitchen.write(name, stamped(&kitchen.read(name), packets[done].at + APART_ZERO));
        done += count;
        let new = format!("sound{number}.{}", if format == "adts" { "aac" } else { format });
        std::fs::rename(kitchen.at(name), kitchen.at(&new)).unwrap();
        body.push_str(&format!("#EXTINF:{length:.3},\n{new}\n"));
    }
    assert_eq!(done, packets.len());
    kitchen.write("sound.m3u8", playlist(&body));
}

fn packed_beside(kitchen: &Kitchen, film: &str, format: &str, codec: &str) {
    kitchen.ts("mute", "picture", APART);
    packed(kitchen, film, format);
    master(kitchen, &[("en", "English", "sound.m3u8")], codec);
}

fn two_languages(kitchen: &Kitchen) {
    kitchen.ts("mute", "picture", APART);
    kitchen.ts("aac", "english", APART);
    kitchen.ts("aac-french", "french", APART);
    master(kitchen, &[("en", "English", "english.m3u8"), ("fr", "Français", "french.m3u8")], "mp4a.40.2");
}

const MUTE: &[Part] = &[whole("mute")];

const RECIPES: &[Recipe] = &[
    Recipe::new("TS, sound apart", |k| {
        k.ts("mute", "picture", APART);
        k.ts("aac", "sound", APART);
        master(k, &[("en", "English", "sound.m3u8")], "mp4a.40.2");
    })
    .showing(MUTE)
    .sounding(&[whole("aac")]),
    Recipe::new("fragmented MP4, sound apart", |k| {
        k.fmp4("mute", "picture", APART);
        k.fmp4("aac", "sound", APART);
        master(k, &[("en", "English", "sound.m3u8")], "mp4a.40.2");
    })
    .showing(MUTE)
    .sounding(&[whole("aac")]),
    Recipe::new("two languages, the first by default", two_languages).showing(MUTE).sounding(&[whole("aac")]),
    Recipe::new("two languages, the second wished for", two_languages)
        .showing(MUTE)
        .sounding(&[whole("aac-french")])
        .wishing(|job| job.wishes.audio_languages = vec!["fr-CA".into(), "fr".into()])
        .also(|finished, _| {
            let language = ["-select_streams", "a:0", "-show_entries", "stream_tags=language"];
            assert_eq!(probed(&finished.path, &language), "fra");
        }),
    Recipe::new("two languages, sound alone", two_languages)
        .heard(&[whole("aac")], &["aac"], "m4a")
        .wishing(|job| job.quality = Some("audio".into())),
    Recipe::new("packed AAC beside TS", |k| packed_beside(k, "aac", "adts", "mp4a.40.2"))
        .showing(MUTE)
        .sounding(&[whole("aac")]),
    Recipe::new("packed MP3 beside TS", |k| packed_beside(k, "mp3", "mp3", "mp4a.40.34"))
        .showing(MUTE)
        .sounding(&[whole("mp3")])
        .coded(&["h264", "mp3"], "mp4"),
    Recipe::new("packed AC-3 beside TS", |k| packed_beside(k, "ac3", "ac3", "ac-3"))
        .showing(MUTE)
        .sounding(&[whole("ac3")])
        .coded(&["h264", "ac3"], "mp4"),
    Recipe::new("packed Enhanced AC-3 beside TS", |k| packed_beside(k, "ec3", "eac3", "ec-3"))
        .showing(MUTE)
        .sounding(&[whole("ec3")])
        .coded(&["h264", "eac3"], "mp4"),
    Recipe::new("packed AAC alone", |k| packed(k, "aac", "adts")).at("/sound.m3u8").heard(
        &[whole("aac")],
        &["aac"],
        "m4a",
    ),
    Recipe::new("packed MP3 alone", |k| packed(k, "mp3", "mp3")).at("/sound.m3u8").heard(
        &[whole("mp3")],
        &["mp3"],
        "mp3",
    ),
    Recipe::new("sound alone in TS", |k| k.ts("aac", "list", &[])).heard(&[whole("aac")], &["aac"], "m4a"),
    Recipe::new("sound alone in fragmented MP4", |k| k.fmp4("aac", "list", &[])).heard(
        &[whole("aac")],
        &["aac"],
        "m4a",
    ),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn sound() {
    try_all(include_str!("sound.rs"), RECIPES).await;
}
