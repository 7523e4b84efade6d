//! Clocks and encodings that begin anew in the middle, and clocks that run over.

use super::super::kitchen::Kitchen;
use super::super::recipe::{Part, Recipe, cut, try_all, whole};
use super::super::serving::{APART, playlist};

const BREAK: &str = "#EXT-X-DISCONTINUITY\n";
/// A film, and another after it.
const TWO: &[Part] = &[whole("talk"), whole("advert")];
/// A film of another size after it.
const GROWN: &[Part] = &[whole("talk"), whole("large")];
/// A film that is interrupted by another.
const INTERRUPTED: &[Part] =
    &[cut("plain", f64::NEG_INFINITY, 4.0), whole("plain-advert"), cut("plain", 4.0, f64::INFINITY)];
/// Sound begins and ends a packet earlier or later than the picture at each break.
const SOUND_OFF: f64 = 0.060;

fn joined(kitchen: &Kitchen, parts: &[&str]) {
    let bodies: Vec<String> = parts.iter().map(|part| kitchen.body(part)).collect();
    kitchen.write("list.m3u8", playlist(&bodies.join(BREAK)));
}

fn mapped(kitchen: &Kitchen, part: &str) -> String {
    format!("#EXT-X-MAP:URI=\"{part}.init\"\n{}", kitchen.body(part))
}

/// The first half, something else, the second half, whose clock goes on as if nothing had been between.
fn interrupted(kitchen: &Kitchen, talk: &str, advert: &str) {
    let at = talk.match_indices("#EXTINF").nth(4).unwrap().0;
    let again = match talk.strip_prefix("#EXT-X-MAP") {
        Some(rest) => format!("#EXT-X-MAP{}\n", rest.split('\n').next().unwrap()),
        None => String::new(),
    };
    let body = [&talk[..at], BREAK, advert, BREAK, &again, &talk[at..]].concat();
    kitchen.write("list.m3u8", playlist(&body));
}

/// Picture and sound apart, each with the same break.
fn apart(kitchen: &Kitchen, cut_up: impl Fn(&Kitchen, &str, &str) -> String) {
    for (name, first, second) in [("picture", "mute", "advert"), ("sound", "aac", "aac-advert")] {
        let body =
            [cut_up(kitchen, first, &format!("{name}a")), cut_up(kitchen, second, &format!("{name}b"))];
        kitchen.write(&format!("{name}.m3u8"), playlist(&body.join(BREAK)));
    }
    kitchen.write(
        "list.m3u8",
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"s\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=200000,CODECS=\"avc1.42c00a,mp4a.40.2\",AUDIO=\"s\"\npicture.m3u8\n",
    );
}

const RECIPES: &[Recipe] = &[
    Recipe::new("TS, the clock begins anew", |k| {
        k.ts("talk", "a", &[]);
        k.ts("advert", "b", &[]);
        joined(k, &["a", "b"]);
    })
    .showing(TWO)
    .loosely(SOUND_OFF),
    Recipe::new("TS, three clocks, the third a day ahead", |k| {
        k.ts("talk", "a", &[]);
        k.ts("advert", "b", &[]);
        k.ts("talk", "c", &["-output_ts_offset", "86000"]);
        joined(k, &["a", "b", "c"]);
    })
    .showing(&[whole("talk"), whole("advert"), whole("talk")])
    .loosely(SOUND_OFF),
    Recipe::new("TS, the film is interrupted and its clock goes on", |k| {
        k.ts("plain", "a", &[]);
        k.ts("plain-advert", "b", &[]);
        interrupted(k, &k.body("a"), &k.body("b"));
    })
    .showing(INTERRUPTED)
    .loosely(SOUND_OFF),
    Recipe::new("TS, another size after a break", |k| {
        k.ts("talk", "a", &[]);
        k.ts("large", "b", &[]);
        joined(k, &["a", "b"]);
    })
    .showing(GROWN)
    .loosely(SOUND_OFF),
    Recipe::new("TS, a break where nothing begins anew", |k| {
        k.ts("talk", "a", &[]);
        let body = k.body("a");
        let at = body.match_indices("#EXTINF").nth(4).unwrap().0;
        k.write("list.m3u8", playlist(&[&body[..at], BREAK, &body[at..]].concat()));
    }),
    Recipe::new("TS, the clock of 33 bits runs over in the middle", |k| {
        k.ts("talk", "list", &["-output_ts_offset", "95438.5"]);
    }),
    Recipe::new("TS, pictures and sound apart, the clock runs over", |k| {
        for (name, film) in [("picture", "mute"), ("sound", "aac")] {
            k.ts(film, name, &["-output_ts_offset", "95438.5"]);
        }
        k.write(
            "list.m3u8",
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"s\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=200000,AUDIO=\"s\"\npicture.m3u8\n",
        );
    })
    .showing(&[whole("mute")])
    .sounding(&[whole("aac")]),
    Recipe::new("fragmented MP4, the clock begins anew, the same coding", |k| {
        k.fmp4("talk", "a", &[]);
        k.fmp4("advert", "b", &[]);
        k.write("list.m3u8", playlist(&[&mapped(k, "a"), BREAK, &mapped(k, "b")].concat()));
    })
    .showing(TWO)
    .loosely(SOUND_OFF),
    Recipe::new("fragmented MP4, one map and a clock that begins anew", |k| {
        k.fmp4("talk", "a", &[]);
        k.write("list.m3u8", playlist(&[&mapped(k, "a"), BREAK, &k.body("a")].concat()));
    })
    .showing(&[whole("talk"), whole("talk")])
    .loosely(SOUND_OFF),
    Recipe::new("fragmented MP4, another size after a break", |k| {
        k.fmp4("talk", "a", &[]);
        k.fmp4("large", "b", &[]);
        k.write("list.m3u8", playlist(&[&mapped(k, "a"), BREAK, &mapped(k, "b")].concat()));
    })
    .showing(GROWN)
    .loosely(SOUND_OFF),
    Recipe::new("fragmented MP4, the film is interrupted and its clock goes on", |k| {
        k.fmp4("plain", "a", &[]);
        k.fmp4("plain-advert", "b", &[]);
        interrupted(k, &mapped(k, "a"), &mapped(k, "b"));
    })
    .showing(INTERRUPTED)
    .loosely(SOUND_OFF),
    Recipe::new("fragmented MP4, the map told again and again", |k| {
        k.fmp4("talk", "a", &[]);
        let again = "#EXT-X-MAP:URI=\"a.init\"\n#EXTINF";
        k.write("list.m3u8", playlist(&k.body("a").replace("#EXTINF", again)));
    }),
    Recipe::new("TS, pictures and sound apart, both with a break", |k| {
        apart(k, |k, film, name| {
            k.ts(film, name, &[APART, if name.starts_with("picture") { &["-an"] } else { &[] }].concat());
            k.body(name)
        });
    })
    .showing(&[whole("mute"), whole("advert")])
    .sounding(&[whole("aac"), whole("aac-advert")])
    .loosely(SOUND_OFF),
    Recipe::new("fragmented MP4, pictures and sound apart, both with a break", |k| {
        apart(k, |k, film, name| {
            k.fmp4(film, name, &[APART, if name.starts_with("picture") { &["-an"] } else { &[] }].concat());
            mapped(k, name)
        });
    })
    .showing(&[whole("mute"), whole("advert")])
    .sounding(&[whole("aac"), whole("aac-advert")])
    .loosely(SOUND_OFF),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn breaks() {
    try_all(include_str!("breaks.rs"), RECIPES).await;
}
