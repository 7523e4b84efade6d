//! Text that is no MPD, is damaged, or was made to do harm.

use proptest::prelude::*;

use super::*;

#[test]
fn what_is_no_mpd_says_so() {
    let html = MpdError::NotAnMpd { html: true };
    let other = MpdError::NotAnMpd { html: false };
    for (text, error) in [
        ("", MpdError::Empty),
        (" \u{FEFF}\n", MpdError::Empty),
        ("<MPD/>", MpdError::Empty),
        ("<MPD><Period/></MPD>", MpdError::Empty),
        ("<MPD><Period><AdaptationSet/></Period></MPD>", MpdError::Empty),
        ("<!DOCTYPE html><html><body>log in</body></html>", html.clone()),
        ("<html><body><br></html>", html.clone()),
        ("<html xmlns='x'/>", html),
        ("{\"error\":404}", other.clone()),
        ("#EXTM3U\n", other.clone()),
        ("not found", other.clone()),
        ("<?xml version='1.0'?><rss/>", other.clone()),
        ("<?xml version='1.0'?><Error><Code>AccessDenied</Code></Error>", other),
        ("<?xml versi", MpdError::Cut),
        ("<MP", MpdError::Cut),
        ("<MPD", MpdError::Cut),
        ("<?xml version='1.0'?>\n<MPD type='static", MpdError::Cut),
    ] {
        assert_eq!(parse(text, &base()), Err(error), "{text:?}");
    }
}

#[test]
fn odd_but_harmless_manifests_are_read() {
    let plain = single("<BaseURL>f.mp4</BaseURL>");
    let expected = ["0+10000 f.mp4"];
    let renamed = plain.replace("<MPD xmlns=", "<d:MPD xmlns:d=").replace("</MPD>", "</d:MPD>");
    for text in [
        format!("\u{FEFF}<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n<!-- <MPD> -->{plain}\n<!-- end -->"),
        plain.replace("urn:mpeg:dash:schema:mpd:2011", "urn:mpeg:DASH:schema:MPD:2011"),
        plain.replace(" xmlns=\"urn:mpeg:dash:schema:mpd:2011\"", ""),
        // Prefixes nobody declared.
        plain.replace("<Period>", "<Period cenc:x=\"1\"><scte35:Event/><xsi:y/>"),
        plain.replace("<BaseURL>f.mp4</BaseURL>", "<BaseURL>\n  f.mp4\n</BaseURL>"),
        plain.replace("<BaseURL>f.mp4</BaseURL>", "<BaseURL><![CDATA[f.mp4]]></BaseURL>"),
        plain.replace("<Period>", "<Period xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:href=\"urn:mpeg:dash:resolve-to-zero:2013\"/><Period>"),
    ] {
        assert_eq!(lines(&track(&text)), expected, "{text}");
    }
    // All elements behind a prefix.
    let prefixed = renamed
        .replace("</", "</d:")
        .replace("</d:d:", "</d:")
        .replace("<", "<d:")
        .replace("<d:/d:", "</d:")
        .replace("<d:d:", "<d:");
    assert_eq!(lines(&track(&prefixed)), expected, "{prefixed}");
    let wide: Vec<u8> =
        [0xFF, 0xFE].into_iter().chain(plain.encode_utf16().flat_map(u16::to_le_bytes)).collect();
    assert_eq!(text(&wide), plain.as_str());
    let bare: Vec<u8> = plain.encode_utf16().flat_map(u16::to_be_bytes).collect();
    assert_eq!(text(&bare), plain.as_str());
    assert_eq!(text(plain.as_bytes()), plain.as_str());
    let _ = text(&[0xFF, 0xFE, 0x00]);
}

#[test]
fn what_would_do_harm_is_refused() {
    let bomb = "<!DOCTYPE MPD [<!ENTITY a \"aaaaaaaaaa\"><!ENTITY b \"&a;&a;&a;&a;&a;&a;&a;&a;&a;&a;\">]><MPD><Period>&b;</Period></MPD>";
    let outside =
        "<!DOCTYPE MPD [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><MPD><BaseURL>&x;</BaseURL></MPD>";
    for text in [
        bomb,
        outside,
        "<MPD><Period>&unknown;</Period></MPD>",
        "<MPD><Period></MPD>",
        "<MPD a='1' a='2'></MPD>",
    ] {
        assert!(matches!(parse(text, &base()), Err(MpdError::Malformed { .. })), "{text}");
    }
    let remote = single("<BaseURL>f</BaseURL>").replace(
        "<Period>",
        "<Period xmlns:xlink=\"http://www.w3.org/1999/xlink\" xlink:href=\"https://ads.example/p.xml\" xlink:actuate=\"onLoad\"/><Period>",
    );
    assert!(
        matches!(parse(&remote, &base()), Err(MpdError::Unsupported { reason }) if reason.contains("XLink"))
    );
    let large = single(&"<!-- -->".repeat(3_000_000));
    assert!(
        matches!(parse(&large, &base()), Err(MpdError::Malformed { reason }) if reason.contains("16 MiB"))
    );
}

#[test]
fn depth_and_width_take_bounded_time() {
    let deep = format!("<MPD>{}{}</MPD>", "<a>".repeat(200_000), "</a>".repeat(200_000));
    assert!(matches!(parse(&deep, &base()), Err(MpdError::Malformed { .. })));
    let wide = format!("<MPD {}/>", (0..20_000).fold(String::new(), |text, n| text + &format!("a{n}='' ")));
    assert!(matches!(parse(&wide, &base()), Err(MpdError::Malformed { .. })));
    // The most that is let through, and the largest that is read at all.
    let element = format!("<a {}/>", (0..200).fold(String::new(), |text, n| text + &format!("a{n}='' ")));
    let many = format!("<MPD>{}</MPD>", element.repeat(200_000 / element.len() + 1));
    assert_eq!(parse(&many, &base()), Err(MpdError::Empty));
    let many = ten_seconds(&format!("<Period>{}</Period>", video("v", "<BaseURL>f</BaseURL>").repeat(2001)));
    assert!(matches!(parse(&many, &base()), Err(MpdError::Malformed { .. })));
}

#[test]
fn times_that_cannot_be_are_errors() {
    for (from, to) in [
        ("PT10S", "PT-10S"),
        ("PT10S", "NaN"),
        ("PT10S", "PT99999999999999999999S"),
        ("<Period>", "<Period start=\"soon\">"),
        ("<Period>", "<Period duration=\"-PT5S\">"),
        ("type=\"static\"", "type=\"dynamic\" availabilityStartTime=\"yesterday\""),
        ("type=\"static\"", "type=\"dynamic\" minimumUpdatePeriod=\"often\""),
    ] {
        let text = single("<BaseURL>f</BaseURL>").replace(from, to);
        assert!(matches!(parse(&text, &base()), Err(MpdError::Malformed { .. })), "{to}");
    }
}

/// Numbers as attackers and broken packagers write them.
fn number() -> impl Strategy<Value = String> {
    prop_oneof![
        Just("0".to_owned()),
        Just("-1".to_owned()),
        Just("18446744073709551615".to_owned()),
        Just("9223372036854775808".to_owned()),
        Just("NaN".to_owned()),
        any::<u64>().prop_map(|number| number.to_string()),
        (0_u64..100).prop_map(|number| number.to_string()),
    ]
}

proptest! {
    #[test]
    fn any_text_is_a_value_or_an_error(text in "(<MPD[ -~]{0,20}>)?(</?(MPD|Period|AdaptationSet|Representation|SegmentTemplate|SegmentTimeline|S|BaseURL)( [a-z]{1,8}=\"[ -~&&[^\"<]]{0,10}\"){0,3}/?>|[ -~]{0,20}){0,14}") {
        let _ = parse(&text, &base());
    }

    #[test]
    fn any_numbers_are_a_track_or_an_error(numbers in prop::collection::vec(number(), 12), live: bool, now: i64, seconds in "[0-9]{1,12}(\\.[0-9]{1,3})?") {
        let n = |index: usize| &numbers[index];
        let kind = if live { "dynamic" } else { "static" };
        let head = format!("<MPD type=\"{kind}\" availabilityStartTime=\"1970-01-01T00:00:00Z\" timeShiftBufferDepth=\"PT{seconds}S\">");
        let common = format!("timescale=\"{}\" presentationTimeOffset=\"{}\" startNumber=\"{}\"", n(0), n(1), n(2));
        let timeline = format!("<SegmentTimeline><S t=\"{}\" d=\"{}\" r=\"{}\"/><S d=\"{}\" r=\"{}\" k=\"{}\"/></SegmentTimeline>", n(3), n(4), n(5), n(6), n(7), n(8));
        for inside in [
            format!("<SegmentTemplate {common} media=\"$Number$-$Time$-$SubNumber$\">{timeline}</SegmentTemplate>"),
            format!("<SegmentTemplate {common} duration=\"{}\" availabilityTimeOffset=\"{}\" media=\"$Number$\"/>", n(9), n(11)),
            format!("<SegmentTemplate {common} duration=\"{}\" endNumber=\"{}\" media=\"$Number$\"/>", n(9), n(10)),
            format!("<SegmentList {common} duration=\"{}\"><SegmentURL mediaRange=\"{}-{}\"/></SegmentList>", n(9), n(10), n(11)),
            format!("<BaseURL>f</BaseURL><SegmentBase {common} indexRange=\"{}-{}\"/>", n(9), n(10)),
        ] {
            let text = format!("{head}<Period start=\"PT{seconds}S\" duration=\"PT{seconds}S\">{}</Period></MPD>", video("v", &inside));
            if let Ok(mpd) = parse(&text, &base())
                && let Ok(track) = track_at(&mpd, Moment { now_unix_ms: now })
            {
                prop_assert!(timed(&track).len() <= MAX_SEGMENTS);
            }
        }
    }

    #[test]
    fn the_segments_are_as_long_as_the_period(
        timescale in prop::sample::select(vec![1_u64, 1000, 12_800, 44_100, 90_000, 10_000_000]),
        segment_ms in 100_u64..20_000,
        total_ms in 1_000_u64..3_600_000,
        offset in 0_u64..1_000_000_000,
        form in 0..3,
    ) {
        let duration = (segment_ms * timescale / 1000).max(1);
        let ticks = total_ms * timescale / 1000;
        let common = format!("timescale=\"{timescale}\" presentationTimeOffset=\"{offset}\" media=\"$Number$-$Time$\"");
        let (whole, rest) = (ticks / duration, ticks % duration);
        let inside = match form {
            0 => format!("<SegmentTemplate {common} duration=\"{duration}\"/>"),
            1 => format!("<SegmentTemplate {common}><SegmentTimeline><S t=\"{offset}\" d=\"{duration}\" r=\"-1\"/></SegmentTimeline></SegmentTemplate>"),
            _ => {
                let all = if whole > 0 { format!("<S t=\"{offset}\" d=\"{duration}\" r=\"{}\"/>", whole - 1) } else { String::new() };
                let last = if rest > 0 { format!("<S t=\"{}\" d=\"{rest}\"/>", offset + whole * duration) } else { String::new() };
                format!("<SegmentTemplate {common}><SegmentTimeline>{all}{last}</SegmentTimeline></SegmentTemplate>")
            }
        };
        prop_assume!(ticks > 0);
        let text = single(&inside).replace("PT10S", &format!("PT{}.{:03}S", total_ms / 1000, total_ms % 1000));
        let track = track(&text);
        let sum = track.duration().unwrap().as_secs_f64();
        let total = total_ms as f64 / 1000.0;
        let slack = duration as f64 / timescale as f64 + 1.0 / timescale as f64;
        let off = (sum - total).abs();
        // Repeated to the end, the last may reach over it.
        prop_assert!(off <= if form == 1 { slack } else { 0.011 + 1.0 / timescale as f64 }, "{sum} of {total}");
        let all = timed(&track);
        prop_assert!(all.windows(2).all(|pair| pair[0].start_us < pair[1].start_us && pair[0].end_us() == pair[1].start_us));
        let mut addresses: Vec<&str> = all.iter().map(|timed| timed.segment.url.as_str()).collect();
        addresses.sort_unstable();
        addresses.dedup();
        prop_assert_eq!(addresses.len(), all.len());
    }

    #[test]
    fn any_cut_is_an_error(cut in 0_usize..1000) {
        let whole = single("<SegmentTemplate media=\"$Time$\"><SegmentTimeline><S t=\"0\" d=\"5\"/><S d=\"5\"/></SegmentTimeline></SegmentTemplate>");
        let cut = cut % whole.len();
        let got = parse(&whole[..cut], &base());
        prop_assert!(matches!(got, Err(MpdError::Cut | MpdError::Empty)), "{got:?} at {cut}");
    }
}
