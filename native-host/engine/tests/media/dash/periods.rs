//! Films of several periods.

use super::super::kitchen::Kitchen;
use super::super::recipe::{Part, Recipe, try_all, whole};
use super::{between, over};

const TWO: &[Part] = &[whole("talk"), whole("advert")];
/// Sound begins and ends a packet earlier or later than the picture at each border.
const SOUND_OFF: f64 = 0.060;

/// The period of an MPD, under another name; `head` is what stands in its first tag.
fn period(kitchen: &Kitchen, name: &str, head: &str) -> String {
    let text = between(&kitchen.text(&format!("{name}.mpd")), "<Period", "</Period>");
    format!("<Period {head}>{}", text.split_once('>').unwrap().1)
}

fn two(kitchen: &Kitchen, second: &str, change: impl Fn(String) -> String) {
    kitchen.dash("talk", "a", &["-use_timeline", "1"]);
    kitchen.dash(second, "b", &["-use_timeline", "1"]);
    let (first, second) = (
        period(kitchen, "a", "id=\"0\" start=\"PT0S\" duration=\"PT8S\""),
        period(kitchen, "b", "id=\"1\" duration=\"PT6S\""),
    );
    kitchen.write("list.mpd", over(&[&first, &change(second)], 14.0));
}

const fn recipe(name: &'static str, make: fn(&Kitchen)) -> Recipe {
    Recipe::new(name, make).at("/list.mpd").showing(TWO).loosely(SOUND_OFF)
}

const RECIPES: &[Recipe] = &[
    recipe("two periods of the same representations", |k| two(k, "advert", |second| second)),
    recipe("two periods, the second with other names", |k| {
        two(k, "advert", |second| {
            // The names are in the addresses too.
            let named = second.replace("$RepresentationID$", "@");
            let named = named.replace("Representation id=\"0\"", "Representation id=\"picture\"");
            let named = named.replace("Representation id=\"1\"", "Representation id=\"sound\"");
            let (picture, sound) = named.split_once("id=\"sound\"").unwrap();
            format!("{}id=\"sound\"{}", picture.replace('@', "0"), sound.replace('@', "1"))
        });
    }),
    recipe("two periods, the second of another size", |k| two(k, "large", |second| second))
        .showing(&[whole("talk"), whole("large")]),
    recipe("two periods on one clock", |k| {
        k.dash("talk", "a", &["-use_timeline", "1"]);
        k.dash("advert", "b", &["-use_timeline", "1", "-output_ts_offset", "8"]);
        let first = period(k, "a", "id=\"0\" duration=\"PT8S\"");
        let second = period(k, "b", "id=\"1\" duration=\"PT6S\"");
        let mut out = String::new();
        for tag in second.split_inclusive('>') {
            match tag.find("timescale=\"") {
                Some(at) => {
                    let scale: u64 = tag[at + 11..].split('"').next().unwrap().parse().unwrap();
                    let offset = format!("<SegmentTemplate presentationTimeOffset=\"{}\"", 8 * scale);
                    out.push_str(&tag.replace("<SegmentTemplate", &offset));
                }
                None => out.push_str(tag),
            }
        }
        k.write("list.mpd", over(&[&first, &out], 14.0));
    }),
    recipe("three periods, an advertisement in the middle", |k| {
        k.dash("talk", "a", &["-use_timeline", "1"]);
        k.dash("advert", "b", &["-use_timeline", "0"]);
        let first = period(k, "a", "id=\"0\" duration=\"PT8S\"");
        let second = period(k, "b", "id=\"ad\" duration=\"PT6S\"");
        let third = period(k, "a", "id=\"2\" duration=\"PT8S\"");
        k.write("list.mpd", over(&[&first, &second, &third], 22.0));
    })
    .showing(&[whole("talk"), whole("advert"), whole("talk")]),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn periods() {
    try_all(include_str!("periods.rs"), RECIPES).await;
}
