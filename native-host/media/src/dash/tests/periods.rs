//! Several periods: their places, and what continues what.

use super::*;

const LONG: &str = "<SegmentTemplate duration=\"5\" initialization=\"$RepresentationID$/i\" media=\"$RepresentationID$/$Number$\"/>";

#[test]
fn periods_lie_where_they_say_or_where_the_one_before_ends() {
    for (attributes, starts) in [
        (["duration=\"PT4S\"", "duration=\"PT6S\""], [0, 4_000_000]),
        (["start=\"PT0S\"", "start=\"PT4S\""], [0, 4_000_000]),
        (["start=\"PT1S\" duration=\"PT3S\"", ""], [1_000_000, 4_000_000]),
        // A hole between them.
        (["duration=\"PT3S\"", "start=\"PT5S\""], [0, 5_000_000]),
        // The second begins before the first says it ends.
        (["duration=\"PT9S\"", "start=\"PT4S\""], [0, 4_000_000]),
    ] {
        let text = ten_seconds(&format!(
            "<Period {}>{}</Period><Period {}>{}</Period>",
            attributes[0],
            video("v1", LONG),
            attributes[1],
            video("v1", LONG)
        ));
        let track = track(&text);
        let found: Vec<i64> = track.parts.iter().map(|part| part.start_us).collect();
        assert_eq!(found, starts, "{attributes:?}");
        let covered = track.duration().unwrap();
        let spanned: Duration = track.parts.iter().filter_map(|part| part.duration).sum();
        assert_eq!(covered, spanned, "{attributes:?}");
        assert!(!timed(&track)[0].segment.discontinuity, "{attributes:?}");
    }
    for periods in [
        "<Period>{}</Period><Period>{}</Period>",
        "<Period start=\"PT5S\">{}</Period><Period start=\"PT1S\">{}</Period>",
    ] {
        let text = ten_seconds(&periods.replace("{}", &video("v1", LONG)));
        assert!(matches!(parse(&text, &base()), Err(MpdError::Malformed { .. })), "{periods}");
    }
}

#[test]
fn the_like_of_a_representation_continues_it() {
    let set = |id: &str, bandwidth: u32, height: u32, codecs: &str| {
        format!(
            "<AdaptationSet contentType=\"video\"><Representation id=\"{id}\" bandwidth=\"{bandwidth}\" height=\"{height}\" \
             codecs=\"{codecs}\">{LONG}</Representation></AdaptationSet>"
        )
    };
    let film = [set("high", 5_000_000, 1080, "avc1.64"), set("low", 1_000_000, 360, "avc1.4d")].concat();
    let advert = [
        set("x", 1_200_000, 360, "hvc1.1"),
        set("y", 900_000, 360, "avc1.4d"),
        set("z", 3_000_000, 720, "avc1.64"),
    ]
    .concat();
    let text = format!(
        "<MPD type=\"static\"><Period id=\"a\" duration=\"PT10S\">{advert}</Period><Period id=\"f\" duration=\"PT60S\">{film}</Period>\
         <Period id=\"b\" duration=\"PT10S\">{advert}</Period></MPD>"
    );
    let mpd = mpd(&text);
    assert_eq!(mpd.duration, Some(Duration::from_secs(80)));
    // The longest period is what is offered.
    let offer = mpd.offer();
    assert_eq!(labels(&offer), ["1080p", "360p"]);
    let names = |index: usize| {
        let track = mpd.track(&offer.variants[index].url, EARLY).unwrap();
        track.parts.iter().map(|part| part.representation.clone()).collect::<Vec<_>>()
    };
    assert_eq!(names(0), ["z", "high", "z"]);
    assert_eq!(names(1), ["y", "low", "y"]);
    // Each has an initialisation section of its own, so each begins anew.
    let track = mpd.track(&offer.variants[0].url, EARLY).unwrap();
    let anew: Vec<bool> = track
        .parts
        .iter()
        .map(|part| match &part.media {
            Media::Segments(segments) => segments[0].segment.discontinuity,
            _ => panic!("no segments"),
        })
        .collect();
    assert_eq!(anew, [false, true, true]);
}

#[test]
fn a_clock_that_goes_on_is_no_new_beginning() {
    let period = |offset: u64| {
        video(
            "v1",
            &format!(
                "<SegmentTemplate duration=\"5\" presentationTimeOffset=\"{offset}\" initialization=\"i\" media=\"{offset}-$Number$\"/>"
            ),
        )
    };
    let text = |second: u64| {
        ten_seconds(&format!(
            "<Period duration=\"PT5S\">{}</Period><Period duration=\"PT5S\">{}</Period>",
            period(0),
            period(second)
        ))
    };
    assert_eq!(lines(&track(&text(5))), ["0+5000 0-1", "5000+5000 5-1"]);
    assert_eq!(lines(&track(&text(0))), ["0+5000 0-1", "!5000+5000 0-1"]);
    let again = track(&text(0));
    assert_eq!(timed(&again)[1].segment.shift_us, Some(5_000_000));
}

#[test]
fn only_what_the_period_shows_is_taken() {
    // Both periods name all of the same timeline, each showing a half of it.
    let timeline = |offset: u32| {
        format!(
            "<SegmentTemplate timescale=\"1\" presentationTimeOffset=\"{offset}\" media=\"$Time$\"><SegmentTimeline>\
             <S t=\"0\" d=\"2\" r=\"4\"/></SegmentTimeline></SegmentTemplate>"
        )
    };
    let text = ten_seconds(&format!(
        "<Period duration=\"PT4S\">{}</Period><Period duration=\"PT6S\">{}</Period>",
        video("v1", &timeline(0)),
        video("v1", &timeline(4))
    ));
    assert_eq!(
        lines(&track(&text)),
        ["0+2000 0", "2000+2000 2", "4000+2000 4", "6000+2000 6", "8000+2000 8"]
    );
}

#[test]
fn what_a_period_lacks_is_named() {
    let text = |language: &str| {
        format!(
            "<AdaptationSet contentType=\"text\" mimeType=\"text/vtt\" lang=\"{language}\"><Representation id=\"t\" bandwidth=\"1\">\
             <BaseURL>t.vtt</BaseURL></Representation></AdaptationSet>"
        )
    };
    let manifest = ten_seconds(&format!(
        "<Period duration=\"PT6S\">{}{}</Period><Period duration=\"PT0S\"/><Period duration=\"PT4S\">{}{}</Period>",
        video("v1", LONG),
        text("en"),
        video("v1", LONG),
        text("de")
    ));
    let mpd = mpd(&manifest);
    let offer = mpd.offer();
    let english =
        offer.renditions.iter().find(|rendition| rendition.language.as_deref() == Some("en")).unwrap();
    // Words of another language are not its continuation, even under the same name.
    let track = mpd.track(english.url.as_ref().unwrap(), EARLY).unwrap();
    assert_eq!(lines(&track), ["0+6000 t.vtt", "absent"]);
    let hole = Hole { start_us: 6_000_000, length: Duration::from_secs(4) };
    assert_eq!(track.parts[1].holes(Duration::from_secs(1)), [hole]);
    assert_eq!(track_at(&mpd, EARLY).unwrap().parts.len(), 2);
}

#[test]
fn a_protected_stretch_is_refused_by_name() {
    let protected = "<ContentProtection schemeIdUri=\"urn:uuid:edef8ba9-79d6-4ace-a3c8-27dcd51d21ed\"/>";
    let text = ten_seconds(&format!(
        "<Period duration=\"PT6S\">{}</Period><Period duration=\"PT4S\">{}</Period>",
        video("v1", LONG),
        video("v1", &format!("{protected}{LONG}"))
    ));
    let mpd = mpd(&text);
    assert_eq!(mpd.drm.as_ref().map(|drm| drm.system.as_str()), Some("Widevine"));
    assert!(matches!(track_at(&mpd, EARLY), Err(MpdError::Protected(drm)) if drm.system == "Widevine"));
}
