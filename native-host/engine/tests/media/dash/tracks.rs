//! What there is to choose: codecs, languages, text, what is no film, and what is protected.

use weir_engine::{EngineError, Job};

use super::super::kitchen::Kitchen;
use super::super::measure::{cues, probed};
use super::super::recipe::{Recipe, Words, said_at_right_times, try_all, whole};
use super::{between, over};

const WORDS: &[Words] =
    &[(500, 1500, "A weir is a low dam."), (3500, 4700, "Here the border is."), (6000, 7900, "The end")];

fn words(kitchen: &Kitchen) {
    let mut text = "WEBVTT\n".to_owned();
    for (from, to, said) in WORDS {
        let moment = |ms: &u32| format!("00:00:{:02}.{:03}", ms / 1000, ms % 1000);
        text.push_str(&format!("\n{} --> {}\n{said}\n", moment(from), moment(to)));
    }
    kitchen.write("words.vtt", text);
}

fn english(job: &mut Job) {
    job.wishes.subtitles = vec!["en".into()];
}

const PICTURE: &str = "in=FILM,stream=video,init_segment=v.mp4,segment_template=v$Number$.m4s";
const SOUND: &str = "in=FILM,stream=audio,init_segment=a.mp4,segment_template=a$Number$.m4s";

const fn recipe(name: &'static str, make: fn(&Kitchen)) -> Recipe {
    Recipe::new(name, make).at("/list.mpd")
}

fn two_languages(kitchen: &Kitchen) {
    for (film, name) in [("mute", "p"), ("aac", "e"), ("aac-french", "f")] {
        kitchen.dash(film, name, &["-use_timeline", "1"]);
    }
    let set = |name: &str, language: &str| {
        let text = between(&kitchen.text(&format!("{name}.mpd")), "<AdaptationSet", "</AdaptationSet>");
        let text = text.replace("$RepresentationID$", "0").replace("id=\"0\"", &format!("id=\"{name}\""));
        text.replace(" lang=\"und\"", language)
    };
    let role = "<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"main\"/><Representation";
    let english = set("e", " lang=\"en\"").replacen("<Representation", role, 1);
    let period = format!("<Period>{}{}{english}</Period>", set("f", " lang=\"fr\""), set("p", ""));
    kitchen.write("list.mpd", over(&[&period], 8.0));
}

/// Sets of images, and pictures for fast play, that look like better films.
fn more_than_a_film(kitchen: &Kitchen) {
    kitchen.dash("talk", "list", &["-use_timeline", "1"]);
    let extra = "<AdaptationSet id=\"7\" contentType=\"video\" mimeType=\"video/mp4\">\
         <EssentialProperty schemeIdUri=\"http://dashif.org/guidelines/trickmode\" value=\"0\"/>\
         <Representation id=\"t\" bandwidth=\"9000000\" width=\"3840\" height=\"2160\" codecs=\"avc1.640033\">\
         <SegmentTemplate media=\"trick-$Number$.m4s\" initialization=\"trick.m4s\" duration=\"1\"/></Representation></AdaptationSet>\
         <AdaptationSet id=\"8\" contentType=\"image\" mimeType=\"image/jpeg\">\
         <EssentialProperty schemeIdUri=\"http://dashif.org/thumbnail_tile\" value=\"10x10\"/>\
         <Representation id=\"i\" bandwidth=\"9000\" width=\"3200\" height=\"1800\">\
         <SegmentTemplate media=\"image-$Number$.jpg\" duration=\"8\"/></Representation></AdaptationSet>\
         <AdaptationSet id=\"9\" contentType=\"video\" mimeType=\"video/mp4\">\
         <EssentialProperty schemeIdUri=\"urn:example:unknown\" value=\"1\"/>\
         <Representation id=\"u\" bandwidth=\"9000000\" width=\"3840\" height=\"2160\" codecs=\"avc1.640033\">\
         <SegmentTemplate media=\"unknown-$Number$.m4s\" initialization=\"unknown.m4s\" duration=\"1\"/></Representation></AdaptationSet>\
         <AdaptationSet id=\"0\"";
    kitchen.edit("list.mpd", |text| text.replacen("<AdaptationSet id=\"0\"", extra, 1));
}

fn protected(kitchen: &Kitchen, systems: &str) {
    let key = "0102030405060708090a0b0c0d0e0f10";
    let options = format!(
        "--segment_duration 1 --enable_raw_key_encryption --keys label=:key_id={key}:key={key} --protection_scheme cenc \
         --clear_lead 0 --generate_static_live_mpd --protection_systems {systems}"
    );
    kitchen.shaka("plain", &[PICTURE, SOUND], &options);
}

const RECIPES: &[Recipe] = &[
    recipe("HEVC", |k| k.dash("hevc", "list", &[])).showing(&[whole("hevc")]).coded(&["hevc", "aac"], "mp4"),
    recipe("AV1", |k| k.dash("av1", "list", &[])).showing(&[whole("av1")]).coded(&["av1", "aac"], "mp4"),
    recipe("VP9 and Opus", |k| k.dash("vp9-opus", "list", &["-dash_segment_type", "mp4", "-strict", "-2"]))
        .showing(&[whole("vp9-opus")])
        .coded(&["vp9", "opus"], "webm"),
    recipe("H.264 and AC-3", |k| k.dash("h264-ac3", "list", &[]))
        .showing(&[whole("h264-ac3")])
        .coded(&["h264", "ac3"], "mp4"),
    recipe("pictures alone", |k| k.dash("mute", "list", &[]))
        .showing(&[whole("mute")])
        .sounding(&[])
        .coded(&["h264"], "mp4"),
    recipe("sound alone", |k| k.dash("aac", "list", &[])).heard(&[whole("aac")], &["aac"], "m4a"),
    recipe("sound alone, wished for", |k| k.dash("talk", "list", &[]))
        .heard(&[whole("talk")], &["aac"], "m4a")
        .wishing(|job| job.quality = Some("audio".into()))
        .also(|_, requests| assert!(requests.iter().all(|r| !r.path.starts_with("/list-0")))),
    recipe("two languages, the one called main", two_languages)
        .showing(&[whole("mute")])
        .sounding(&[whole("aac")]),
    recipe("two languages, the other wished for", two_languages)
        .showing(&[whole("mute")])
        .sounding(&[whole("aac-french")])
        .wishing(|job| job.wishes.audio_languages = vec!["fr".into()])
        .also(|finished, _| {
            let language = ["-select_streams", "a:0", "-show_entries", "stream_tags=language"];
            assert!(["fra", "fre"].contains(&probed(&finished.path, &language).as_str()));
        }),
    recipe("pictures for fast play and images, which are no film", more_than_a_film)
        .also(|_, requests| assert!(requests.iter().all(|r| r.path.starts_with("/list")))),
    recipe("WebVTT in MP4", |k| {
        words(k);
        let text = "in=words.vtt,stream=text,init_segment=t.mp4,segment_template=t$Number$.m4s,lang=en";
        k.shaka("plain", &[PICTURE, SOUND, text], "--segment_duration 2 --generate_static_live_mpd");
    })
    .by_packager()
    .showing(&[whole("plain")])
    .wishing(english)
    .saying(WORDS),
    recipe("TTML in MP4", |k| {
        words(k);
        let text = "in=words.vtt,stream=text,init_segment=t.mp4,segment_template=t$Number$.m4s,lang=en,format=ttml+mp4";
        k.shaka("plain", &[PICTURE, SOUND, text], "--segment_duration 2 --generate_static_live_mpd");
    })
    .by_packager()
    .showing(&[whole("plain")])
    .wishing(english)
    .saying(WORDS),
    recipe("WebVTT in one file", |k| {
        words(k);
        let tracks = ["in=FILM,stream=video,output=v.mp4", "in=FILM,stream=audio,output=a.mp4", "in=words.vtt,stream=text,output=t.vtt,lang=en"];
        k.shaka("plain", &tracks, "--segment_duration 2");
    })
    .by_packager()
    .showing(&[whole("plain")])
    .wishing(english)
    .saying(WORDS),
    recipe("WebVTT in one file, to a file of its own", |k| {
        words(k);
        let tracks = ["in=FILM,stream=video,output=v.mp4", "in=FILM,stream=audio,output=a.mp4", "in=words.vtt,stream=text,output=t.vtt,lang=en"];
        k.shaka("plain", &tracks, "--segment_duration 2");
    })
    .by_packager()
    .showing(&[whole("plain")])
    .wishing(|job| {
        english(job);
        job.wishes.subtitle_form = weir_engine::SubtitleForm::Srt;
    })
    .also(|finished, _| {
        said_at_right_times(&finished.path, &cues(&finished.path.with_extension("en.srt"), "0:s:0"), WORDS).unwrap();
    }),
    recipe("Widevine", |k| protected(k, "Widevine"))
        .by_packager()
        .refused(|error| matches!(error, EngineError::Drm { system } if system == "Widevine")),
    recipe("PlayReady", |k| protected(k, "PlayReady"))
        .by_packager()
        .refused(|error| matches!(error, EngineError::Drm { system } if system == "PlayReady")),
    recipe("common encryption of no system", |k| protected(k, "Common"))
        .by_packager()
        .refused(|error| matches!(error, EngineError::Drm { .. } | EngineError::UnsupportedMedia { .. })),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn tracks() {
    try_all(include_str!("tracks.rs"), RECIPES).await;
}
