//! What is offered, and what is not.

use super::*;
use crate::variants::RenditionKind;

const FILE: &str = "<BaseURL>f.mp4</BaseURL>";

fn set(attributes: &str, representation: &str, inside: &str) -> String {
    format!(
        "<AdaptationSet {attributes}>{inside}<Representation {representation}>{FILE}</Representation></AdaptationSet>"
    )
}

fn role(value: &str) -> String {
    format!("<Role schemeIdUri=\"urn:mpeg:dash:role:2011\" value=\"{value}\"/>")
}

fn offer(sets: &str) -> Multivariant<RepresentationId> {
    mpd(&ten_seconds(&format!(
        "<ProgramInformation><Title> A film </Title></ProgramInformation><Period>{sets}</Period>"
    )))
    .offer()
}

fn picture(id: &str, height: u32, more: &str) -> String {
    set(
        "mimeType=\"video/mp4\"",
        &format!("id=\"{id}\" bandwidth=\"{height}000\" height=\"{height}\" codecs=\"avc1.64\" {more}"),
        "",
    )
}

fn sound(id: &str, language: &str, bandwidth: u32, inside: &str) -> String {
    set(
        &format!("mimeType=\"audio/mp4\" lang=\"{language}\""),
        &format!("id=\"{id}\" bandwidth=\"{bandwidth}\" codecs=\"mp4a.40.2\""),
        inside,
    )
}

#[test]
fn pictures_sounds_and_words_are_offered() {
    let surround = "<AudioChannelConfiguration schemeIdUri=\"tag:dolby.com,2014:dash:audio_channel_configuration:2011\" value=\"F801\"/>";
    let sets = [
        picture("v360", 360, ""),
        picture("v1080", 1080, "frameRate=\"60000/1001\" width=\"1920\""),
        sound("de", "de", 128_000, ""),
        sound("en", "en", 128_000, &role("main")),
        set(
            "mimeType=\"audio/mp4\" lang=\"en\"",
            "id=\"en6\" bandwidth=\"384000\" codecs=\"ec-3\"",
            &(role("main") + surround),
        ),
        sound("said", "en", 64_000, &(role("description") + "<Label>Described</Label>")),
        set(
            "contentType=\"text\" mimeType=\"application/mp4\" lang=\"en\"",
            "id=\"t\" bandwidth=\"100\" codecs=\"stpp\"",
            &role("subtitle"),
        ),
        set("mimeType=\"text/vtt\" lang=\"de\"", "id=\"f\" bandwidth=\"100\"", &role("forced-subtitle")),
        set("mimeType=\"text/vtt\" lang=\"en\"", "id=\"c\" bandwidth=\"100\"", &role("caption")),
    ];
    let offer = offer(&sets.concat());
    assert_eq!(offer.title.as_deref(), Some("A film"));
    assert_eq!(labels(&offer), ["1080p60", "360p"]);
    assert_eq!(offer.variants[0].codecs.as_deref(), Some("avc1.64,mp4a.40.2"));
    let none: [String; 0] = [];
    let wish = |language: &str| [language.to_owned()];
    let best = &offer.variants[0];
    assert_eq!(name(offer.audio_for(best, &none, &none).unwrap()), "en");
    assert_eq!(name(offer.audio_for(best, &wish("de"), &none).unwrap()), "de");
    let surround = offer.audio_for(best, &none, &wish("eac3")).unwrap();
    assert_eq!((name(surround), surround.channels), ("en6", Some(6)));
    let described = offer.renditions.iter().find(|rendition| name(rendition) == "said").unwrap();
    assert_eq!(
        (described.name.as_str(), described.default, described.autoselect),
        ("Described", false, false)
    );
    assert_eq!(described.characteristics, ["public.accessibility.describes-video"]);
    let texts = offer.subtitles_for(best, &["en".to_owned(), "de".to_owned(), "forced".to_owned()]);
    let texts: Vec<(&str, Option<&str>, bool)> =
        texts.iter().map(|text| (name(text), text.codecs.as_deref(), text.forced)).collect();
    assert_eq!(texts, [("t", Some("stpp"), false), ("f", Some("vtt"), true)]);
    let mut ids: Vec<&String> = offer.renditions.iter().map(|rendition| &rendition.id).collect();
    let count = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), count);
    // Rate of the picture and of the sound beside it, for ten seconds.
    let sound = offer.audio_for(best, &wish("de"), &none).unwrap();
    assert_eq!(best.estimated_bytes(&[sound], Duration::from_secs(10)), Some((1_080_000 + 128_000) * 10 / 8));
}

#[test]
fn the_best_bit_rate_of_a_set_comes_first() {
    let text = "<AdaptationSet mimeType=\"audio/mp4\" lang=\"en\" codecs=\"mp4a.40.2\">\
                <Representation id=\"low\" bandwidth=\"64000\"><BaseURL>l</BaseURL></Representation>\
                <Representation id=\"high\" bandwidth=\"128000\"><BaseURL>h</BaseURL></Representation></AdaptationSet>";
    let with_picture = offer(&format!("{text}{}", picture("v", 360, "")));
    let names: Vec<&str> = with_picture.renditions.iter().map(name).collect();
    assert_eq!(names, ["high", "low"]);
    // Without a picture the sounds are the qualities.
    let alone = offer(&format!("{text}{}", sound("fr", "fr", 96_000, "")));
    assert_eq!(labels(&alone), ["Audio 128 kb/s", "Audio 64 kb/s"]);
    assert!(alone.variants.iter().all(|variant| variant.audio_only));
    let french = alone.audio_for(&alone.variants[0], &["fr".to_owned()], &[]).unwrap();
    assert_eq!(name(french), "fr");
}

#[test]
fn what_is_not_to_be_played_as_it_is_is_not_offered() {
    let property = |kind: &str, scheme: &str| format!("<{kind} schemeIdUri=\"{scheme}\" value=\"1\"/>");
    let trick = "http://dashif.org/guidelines/trickmode";
    let special = |inside: &str| {
        set("mimeType=\"video/mp4\"", "id=\"x\" bandwidth=\"1\" height=\"9\" codecs=\"avc1.64\"", inside)
    };
    for hidden in [
        special(&property("EssentialProperty", trick)),
        special(&property("SupplementalProperty", trick)),
        special(&property("EssentialProperty", "urn:example:something-new")),
        set(
            "contentType=\"image\" mimeType=\"image/jpeg\"",
            "id=\"x\" bandwidth=\"1\" width=\"1600\" height=\"900\"",
            "",
        ),
        set("mimeType=\"application/mp4\" codecs=\"evte\"", "id=\"x\" bandwidth=\"1\"", ""),
        set(
            "mimeType=\"video/mp4\"",
            "id=\"x\" bandwidth=\"1\" height=\"9\" codecs=\"avc1.64\" dependencyId=\"v\"",
            "",
        ),
    ] {
        let offer = offer(&format!("{hidden}{}", picture("v", 360, "")));
        assert_eq!(labels(&offer), ["360p"], "{hidden}");
        assert!(offer.renditions.is_empty(), "{hidden}");
        assert_eq!(
            parse(&ten_seconds(&format!("<Period>{hidden}</Period>")), &base()),
            Err(MpdError::Empty),
            "{hidden}"
        );
    }
    // How colours are meant, a muxer keeps.
    let hdr = property("EssentialProperty", "urn:mpeg:mpegB:cicp:TransferCharacteristics");
    assert_eq!(labels(&offer(&special(&hdr))), ["9p"]);
    // Another camera is no quality.
    let sign = set(
        "mimeType=\"video/mp4\"",
        "id=\"s\" bandwidth=\"9\" height=\"720\" codecs=\"avc1.64\"",
        &role("sign"),
    );
    let with_sign = offer(&format!("{sign}{}", picture("v", 360, "")));
    assert_eq!(labels(&with_sign), ["360p"]);
    assert_eq!(with_sign.renditions[0].kind, RenditionKind::Video);
    assert_eq!(labels(&offer(&sign)), ["720p"]);
}

#[test]
fn sound_inside_the_picture_needs_no_other() {
    let muxed = set(
        "mimeType=\"video/mp4\"",
        "id=\"m\" bandwidth=\"9\" height=\"360\" codecs=\"avc1.64,mp4a.40.2\"",
        "",
    );
    let offer = offer(&format!("{muxed}{}", sound("en", "en", 9, "")));
    assert_eq!(
        (offer.variants[0].audio_group.as_deref(), offer.variants[0].codecs.as_deref()),
        (None, Some("avc1.64,mp4a.40.2"))
    );
}

#[test]
fn captions_inside_the_picture_are_named() {
    let captions = "<Accessibility schemeIdUri=\"urn:scte:dash:cc:cea-608:2015\" value=\"CC1=eng;CC3=swe\"/>";
    let offer = offer(&set(
        "mimeType=\"video/mp4\"",
        "id=\"v\" bandwidth=\"9\" height=\"360\" codecs=\"avc1.64\"",
        captions,
    ));
    let found: Vec<(&str, Option<&str>, bool)> = offer
        .renditions
        .iter()
        .map(|rendition| (rendition.name.as_str(), rendition.language.as_deref(), rendition.url.is_none()))
        .collect();
    assert_eq!(found, [("CC1", Some("eng"), true), ("CC3", Some("swe"), true)]);
    assert_eq!(offer.renditions[0].kind, RenditionKind::ClosedCaptions);
}

#[test]
fn drm_is_refused_only_when_there_is_no_other_way() {
    let widevine = "<ContentProtection schemeIdUri=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"/>";
    let protected = set(
        "mimeType=\"video/mp4\"",
        "id=\"hd\" bandwidth=\"9\" height=\"1080\" codecs=\"avc1.64\"",
        widevine,
    );
    let protected_sound =
        set("mimeType=\"audio/mp4\"", "id=\"a\" bandwidth=\"9\" codecs=\"mp4a.40.2\"", widevine);
    for (sets, system, offered) in [
        (format!("{protected}{}", picture("sd", 360, "")), None, &["360p"][..]),
        (protected, Some("Widevine"), &["1080p"]),
        (format!("{protected_sound}{}", picture("sd", 360, "")), Some("Widevine"), &["360p"]),
        (format!("{protected_sound}{}{}", picture("sd", 360, ""), sound("b", "en", 1, "")), None, &["360p"]),
    ] {
        let offer = offer(&sets);
        assert_eq!(offer.drm.as_ref().map(|drm| drm.system.as_str()), system, "{sets}");
        assert_eq!(labels(&offer), offered, "{sets}");
    }
    let clear_key = "<ContentProtection schemeIdUri=\"urn:mpeg:dash:mp4protection:2011\" value=\"cenc\"/>\
                     <ContentProtection schemeIdUri=\"urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e\"/>";
    let mpd = mpd(&single(&format!("{clear_key}{FILE}")));
    assert_eq!(mpd.drm, None);
    assert!(mpd.unsupported.as_deref().is_some_and(|reason| reason.contains("ClearKey")));
    assert!(matches!(track_at(&mpd, EARLY), Err(MpdError::Unsupported { .. })));
}
