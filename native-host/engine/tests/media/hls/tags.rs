//! Tags that say something about the text, or about more than is wanted.

use super::super::kitchen::Kitchen;
use super::super::recipe::{Recipe, cut, try_all};
use super::super::serving::folder;

/// Variables in every place: from the query, from the playlist above, and defined here.
fn variables(kitchen: &Kitchen) {
    kitchen.ts("talk", "part", &[]);
    kitchen.edit("part.m3u8", |text| {
        let defined = "#EXTM3U\n#EXT-X-VERSION:11\n#EXT-X-DEFINE:IMPORT=\"stem\"\n#EXT-X-DEFINE:NAME=\"end\",VALUE=\"ts\"\n";
        let text = text.replace("#EXTM3U\n", defined).replace(".ts", ".{$end}?{$token}").replace("\npart", "\n{$stem}");
        text.replace("#EXT-X-VERSION:3\n", "#EXT-X-DEFINE:QUERYPARAM=\"token\"\n")
    });
    kitchen.write(
        "list.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:11\n#EXT-X-DEFINE:NAME=\"stem\",VALUE=\"part\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90\n{$stem}.m3u8?token=abc\n",
    );
}

/// A recording of a stream of low latency: parts and hints beside the segments.
fn low_latency(kitchen: &Kitchen) {
    kitchen.ts("talk", "list", &[]);
    kitchen.edit("list.m3u8", |text| {
        let head = "#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,PART-HOLD-BACK=1.5,CAN-SKIP-UNTIL=12\n#EXT-X-PART-INF:PART-TARGET=0.5\n";
        let part = |n: usize, half: usize| format!("#EXT-X-PART:DURATION=0.5,URI=\"part{n}.{half}.ts\",INDEPENDENT=YES\n");
        let mut out = String::new();
        let mut number = 0;
        for line in text.lines() {
            if line.starts_with("#EXTINF") {
                if number >= 5 {
                    out.extend([part(number, 0), part(number, 1)]);
                }
                out.push_str(&format!("#EXT-X-PROGRAM-DATE-TIME:2026-11-21T10:00:0{number}Z\n"));
                number += 1;
            }
            if line == "#EXT-X-ENDLIST" {
                out.push_str("#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"part8.0.ts\"\n#EXT-X-RENDITION-REPORT:URI=\"../other.m3u8\",LAST-MSN=7,LAST-PART=1\n");
            }
            out.push_str(&format!("{line}\n"));
            if line.starts_with("#EXT-X-TARGETDURATION") {
                out.push_str(head);
            }
        }
        out
    });
}

/// Pictures for scrubbing that are larger than the film, and other things that are none.
fn more_than_a_film(kitchen: &Kitchen) {
    kitchen.ts("talk", "part", &[]);
    kitchen.write("scrub.m3u8", "#EXTM3U\n#EXT-X-VERSION:4\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:8,\n#EXT-X-BYTERANGE:500@0\npart0.ts\n#EXT-X-ENDLIST\n");
    kitchen.write(
        "list.m3u8",
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-SESSION-DATA:DATA-ID=\"com.example.title\",VALUE=\"A talk\",LANGUAGE=\"en\"\n\
         #EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=9000000,RESOLUTION=3840x2160,CODECS=\"avc1.640033\",URI=\"scrub.m3u8\"\n\
         #EXT-X-IMAGE-STREAM-INF:BANDWIDTH=9000,RESOLUTION=320x180,CODECS=\"jpeg\",URI=\"images.m3u8\"\n\
         #EXT-X-CONTENT-STEERING:SERVER-URI=\"/steering\"\n\
         #EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID=\"cc\",NAME=\"CC1\",LANGUAGE=\"en\",INSTREAM-ID=\"CC1\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=200000,RESOLUTION=160x90,CLOSED-CAPTIONS=\"cc\"\npart.m3u8\n",
    );
}

const RECIPES: &[Recipe] = &[
    Recipe::new("variables", variables).answered(|directory, request| match request.path.split_once('?') {
        Some((path, query)) if path.ends_with(".ts") => {
            assert_eq!(query, "abc");
            folder(directory, request)
        }
        _ => folder(directory, request),
    }),
    Recipe::new("parts and hints of low latency", low_latency).also(|_, requests| {
        assert!(requests.iter().all(|r| !r.path.contains("part") && !r.path.contains("other")));
    }),
    Recipe::new("pictures for scrubbing, images, captions, steering", more_than_a_film)
        .also(|_, requests| assert!(requests.iter().all(|r| !r.path.contains("scrub")))),
    Recipe::new("the same, the worst wished for", more_than_a_film)
        .wishing(|job| job.quality = Some("worst".into()))
        .also(|_, requests| assert!(requests.iter().all(|r| !r.path.contains("scrub")))),
    Recipe::new("tags nobody knows, and comments", |k| {
        k.ts("talk", "list", &[]);
        k.edit("list.m3u8", |text| {
            text.replace(
                "#EXTINF",
                "#EXT-X-CUE-OUT:30\n## a remark\n#EXT-OATCLS-SCTE35:/DAl\n#EXT-X-BITRATE:90\n#EXTINF",
            )
        });
    }),
    Recipe::new("a recorded event", |k| {
        k.ts("plain", "list", &[]);
        k.edit("list.m3u8", |text| text.replace("TYPE:VOD", "TYPE:EVENT"));
    })
    .showing(&[cut("plain", f64::NEG_INFINITY, f64::INFINITY)]),
    Recipe::new("an end without a type, discontinuity sequence and independent segments", |k| {
        k.ts("talk", "list", &[]);
        k.edit("list.m3u8", |text| {
            text.replace(
                "#EXT-X-PLAYLIST-TYPE:VOD\n",
                "#EXT-X-DISCONTINUITY-SEQUENCE:9\n#EXT-X-INDEPENDENT-SEGMENTS\n#EXT-X-START:TIME-OFFSET=4\n",
            )
        });
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tags() {
    try_all(include_str!("tags.rs"), RECIPES).await;
}
