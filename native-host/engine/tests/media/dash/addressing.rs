//! How segments are named.

use super::super::recipe::{Recipe, try_all, whole};
use super::super::serving::folder;
use super::super::support::Reply;

/// DASH at `/list.mpd`.
const fn recipe(name: &'static str, make: fn(&super::super::kitchen::Kitchen)) -> Recipe {
    Recipe::new(name, make).at("/list.mpd")
}

const RECIPES: &[Recipe] = &[
    recipe("$Number$ with a duration", |k| {
        k.dash("talk", "list", &["-use_timeline", "0"]);
        assert!(k.text("list.mpd").contains("$Number$") && !k.text("list.mpd").contains("<S "));
    }),
    recipe("$Number$ with a timeline", |k| {
        k.dash("talk", "list", &["-use_timeline", "1"]);
        assert!(k.text("list.mpd").contains("<S "));
    }),
    recipe("$Time$ with a timeline", |k| {
        let name = ["-use_timeline", "1", "-media_seg_name", "c$RepresentationID$-$Time$.m4s"];
        k.dash("talk", "list", &name);
        // ffmpeg says zero for a first segment that begins before it, and means what it says in the name alone.
        std::fs::rename(k.at("c1--1024.m4s"), k.at("c1-0.m4s")).unwrap();
        assert!(k.text("list.mpd").contains("$Time$"));
    }),
    recipe("$Number$ of a width, $Bandwidth$ and a sign of its own", |k| {
        k.dash(
            "talk",
            "list",
            &["-use_timeline", "1", "-media_seg_name", "c$RepresentationID$-$Number%05d$.m4s"],
        );
        let text = k.text("list.mpd");
        let rate = text.split("bandwidth=\"").nth(1).unwrap().split('"').next().unwrap().to_owned();
        for number in 1..=8 {
            std::fs::rename(
                k.at(&format!("c0-{number:05}.m4s")),
                k.at(&format!("$0-{rate}-{number:05}.m4s")),
            )
            .unwrap();
        }
        let own = "$$$RepresentationID$-$Bandwidth$-$Number%05d$.m4s";
        k.write("list.mpd", text.replacen("c$RepresentationID$-$Number%05d$.m4s", own, 1));
    }),
    recipe("a number that begins at 41 and ends by endNumber", |k| {
        k.dash("talk", "list", &["-use_timeline", "0"]);
        for track in 0..2 {
            for number in (1..=8).rev() {
                let name = |n: u32| k.at(&format!("list-{track}-{n}.m4s"));
                std::fs::rename(name(number), name(number + 40)).unwrap();
            }
        }
        // Longer than there are segments, as a live stream that ended early is.
        k.edit("list.mpd", |text| text.replace("startNumber=\"1\"", "startNumber=\"41\" endNumber=\"48\""));
    }),
    recipe("a list of segments", |k| {
        k.dash("talk", "list", &["-use_template", "0", "-use_timeline", "0"]);
        assert!(k.text("list.mpd").contains("<SegmentURL media="));
    }),
    recipe("a list of segments with a timeline", |k| {
        k.dash("talk", "list", &["-use_template", "0", "-use_timeline", "1"]);
    }),
    recipe("a list of ranges of one file, the initialisation one of them", |k| {
        k.dash("talk", "list", &["-use_template", "0", "-use_timeline", "0", "-single_file", "1"]);
        assert!(k.text("list.mpd").contains("<Initialization range="));
    }),
    recipe("one file each with an index", |k| {
        k.shaka(
            "talk",
            &["in=FILM,stream=video,output=v.mp4", "in=FILM,stream=audio,output=a.mp4"],
            "--segment_duration 1",
        );
        assert!(k.text("list.mpd").contains("<SegmentBase indexRange="));
    })
    .by_packager(),
    recipe("one file each, and the index has to be found", |k| {
        k.shaka(
            "talk",
            &["in=FILM,stream=video,output=v.mp4", "in=FILM,stream=audio,output=a.mp4"],
            "--segment_duration 1",
        );
        k.edit("list.mpd", |text| {
            let text = without_attribute(&text, " indexRange=\"");
            text.replace("<SegmentBase", "<SegmentBase indexRangeExact=\"false\"")
        });
    })
    .by_packager(),
    recipe("one file each and no word about segments", |k| {
        k.shaka(
            "talk",
            &["in=FILM,stream=video,output=v.mp4", "in=FILM,stream=audio,output=a.mp4"],
            "--segment_duration 1",
        );
        k.edit("list.mpd", |text| {
            let mut out = String::new();
            let mut inside = false;
            for line in text.lines() {
                inside |= line.contains("<SegmentBase");
                if !inside {
                    out.push_str(line);
                    out.push('\n');
                }
                inside &= !line.contains("</SegmentBase>");
            }
            out
        });
    })
    .by_packager(),
    recipe("a static one of the live profile, several chunks to a segment", |k| {
        let tracks = [
            "in=FILM,stream=video,init_segment=v.mp4,segment_template=v$Number$.m4s",
            "in=FILM,stream=audio,init_segment=a.mp4,segment_template=a$Number$.m4s",
        ];
        k.shaka("talk", &tracks, "--segment_duration 2 --fragment_duration 0.5 --generate_static_live_mpd");
    })
    .by_packager(),
    recipe("a forced list of one file", |k| {
        k.shaka(
            "talk",
            &["in=FILM,stream=video,output=v.mp4", "in=FILM,stream=audio,output=a.mp4"],
            "--segment_duration 1 --dash_force_segment_list",
        );
    })
    .by_packager(),
    recipe("bases within bases", |k| {
        k.dash("talk", "list", &["-use_timeline", "1"]);
        k.move_into("list-0", "one/two/three");
        k.move_into("list-1", "one/two/sound");
        k.move_into("list-init0", "one/two/three");
        k.move_into("list-init1", "one/two/sound");
        k.edit("list.mpd", |text| {
            text.replacen("<Period", "<BaseURL>one/</BaseURL>\n<Period", 1)
                .replacen("<AdaptationSet", "<BaseURL>two/</BaseURL>\n<AdaptationSet", 1)
                .replacen("<Representation", "<BaseURL>three/</BaseURL>\n<Representation", 1)
                .replacen("<SegmentTemplate", "<BaseURL>./</BaseURL>\n<SegmentTemplate", 1)
                .replace("<AudioChannel", "<BaseURL>../two/sound/</BaseURL>\n<AudioChannel")
        });
    }),
    recipe("a clock that does not begin at zero", |k| {
        k.dash("talk", "list", &["-use_timeline", "1", "-output_ts_offset", "100"]);
        k.edit("list.mpd", |text| {
            text.replace("<SegmentTemplate", "<SegmentTemplate presentationTimeOffset=\"PTO\"")
                .split_inclusive('>')
                .map(|tag| match tag.find("timescale=\"") {
                    Some(at) => {
                        let scale: u64 = tag[at + 11..].split('"').next().unwrap().parse().unwrap();
                        tag.replace("PTO", &(scale * 100).to_string())
                    }
                    None => tag.to_owned(),
                })
                .collect()
        });
    }),
    recipe("irregular pictures", |k| k.dash("irregular", "list", &["-use_timeline", "1"]))
        .showing(&[whole("irregular")]),
    recipe("a manifest that has moved, its segments beside it", |k| {
        k.dash("talk", "list", &["-use_timeline", "1"]);
    })
    .answered(|directory, request| match request.path.strip_prefix("/archive/") {
        Some(name) => {
            let path = format!("/{name}");
            folder(directory, &super::super::support::Request { path, ..request.clone() })
        }
        None if request.path == "/list.mpd" => {
            Reply::new(302, "").header("location", "/archive/list.mpd?t=1")
        }
        None => Reply::new(404, ""),
    }),
];

/// Removes an attribute wherever it stands.
fn without_attribute(text: &str, attribute: &str) -> String {
    let mut parts = text.split(attribute);
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |out, part| out + part.split_once('"').map_or("", |(_, rest)| rest))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn addressing() {
    try_all(include_str!("addressing.rs"), RECIPES).await;
}
