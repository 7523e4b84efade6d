//! What segments are packed in.

use super::super::recipe::{Recipe, try_all, whole};

const RECIPES: &[Recipe] = &[
    Recipe::new("TS", |k| k.ts("talk", "list", &[])),
    Recipe::new("TS in one file, by byte ranges", |k| k.hls("talk", "list", &["-hls_flags", "single_file"])),
    Recipe::new("fragmented MP4", |k| k.fmp4("talk", "list", &[])),
    Recipe::new("fragmented MP4 in one file, the map a range of it", |k| {
        k.hls("talk", "list", &["-hls_segment_type", "fmp4", "-hls_flags", "single_file"]);
    }),
    Recipe::new("byte ranges without offsets", |k| {
        k.hls("talk", "list", &["-hls_flags", "single_file"]);
        // Each continues the one before, so only the first says where it begins.
        let mut first = true;
        k.edit("list.m3u8", |text| {
            let lines = text.lines().map(|line| match line.strip_prefix("#EXT-X-BYTERANGE:") {
                Some(range) if !std::mem::take(&mut first) => {
                    format!("#EXT-X-BYTERANGE:{}\n", range.split('@').next().unwrap())
                }
                _ => format!("{line}\n"),
            });
            lines.collect()
        });
    }),
    Recipe::new("CMAF, several chunks to a segment, sound apart", |k| {
        let film = k.film("talk");
        let track = |kind: &str| {
            format!("in={film},stream={kind},init_segment={kind}.mp4,segment_template={kind}$Number$.m4s,playlist_name={kind}.m3u8")
        };
        let mut arguments = vec![track("video"), track("audio") + ",hls_group_id=s"];
        let options = "--quiet --segment_duration 2 --fragment_duration 0.5 --hls_master_playlist_output list.m3u8";
        arguments.extend(options.split(' ').map(str::to_owned));
        k.packager(&arguments);
    })
    .by_packager(),
    Recipe::new("pictures alone", |k| k.ts("mute", "list", &[]))
        .showing(&[whole("mute")])
        .sounding(&[])
        .coded(&["h264"], "mp4"),
    Recipe::new("pictures at irregular times, with a still of three seconds", |k| {
        k.ts("irregular", "list", &[]);
    })
    .showing(&[whole("irregular")]),
    Recipe::new("pictures at irregular times in fragmented MP4", |k| k.fmp4("irregular", "list", &[]))
        .showing(&[whole("irregular")]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn containers() {
    try_all(include_str!("containers.rs"), RECIPES).await;
}
