//! From every form of addressing to its segments.

use super::*;
use crate::segment::{ByteRange, Encryption};

#[test]
fn templates_give_their_segments() {
    for (inside, expected) in [
        (
            "<SegmentTemplate timescale=\"1000\" duration=\"4000\" startNumber=\"0\" media=\"$RepresentationID$/$Number%03d$.m4s\"/>",
            &["0+4000 v1/000.m4s", "4000+4000 v1/001.m4s", "8000+2000 v1/002.m4s"][..],
        ),
        // Numbers count from 1 when nothing says otherwise, and time from the offset.
        (
            "<SegmentTemplate duration=\"5\" presentationTimeOffset=\"100\" media=\"$Number$-$Time$-$Bandwidth$\"/>",
            &["0+5000 1-100-800000", "5000+5000 2-105-800000"],
        ),
        // The last number wins over the length, also a length that is cut to whole seconds.
        (
            "<SegmentTemplate duration=\"4\" endNumber=\"2\" media=\"$Number$\"/>",
            &["0+4000 1", "4000+4000 2"],
        ),
        (
            "<SegmentTemplate timescale=\"10\" duration=\"33\" endNumber=\"4\" media=\"$Number$\"/>",
            &["0+3300 1", "3300+3300 2", "6600+3300 3", "9900+100 4"],
        ),
        // Without any length there is one segment.
        ("<SegmentTemplate media=\"$RepresentationID$.mp4\"/>", &["0+10000 v1.mp4"]),
        ("<BaseURL>v1.mp4</BaseURL><SegmentTemplate timescale=\"1000\"/>", &["0+10000 v1.mp4"]),
        // A hundredth of a second is rounding and no segment.
        (
            "<SegmentTemplate timescale=\"1000\" duration=\"4998\" media=\"$Number$\"/>",
            &["0+4998 1", "4998+4998 2"],
        ),
        // Far numbers.
        (
            "<SegmentTemplate duration=\"10\" startNumber=\"18446744073709551615\" media=\"$Number$\"/>",
            &["0+10000 18446744073709551615"],
        ),
    ] {
        assert_eq!(lines(&track(&single(inside))), expected, "{inside}");
    }
}

#[test]
fn timelines_give_their_segments() {
    let timeline = |entries: &str| {
        single(&format!(
            "<SegmentTemplate timescale=\"10\" startNumber=\"5\" media=\"$Number$-$Time$\"><SegmentTimeline>{entries}\
             </SegmentTimeline></SegmentTemplate>"
        ))
    };
    for (entries, expected) in [
        (
            "<S t=\"0\" d=\"40\" r=\"1\"/><S d=\"20\"/>",
            &["0+4000 5-0", "4000+4000 6-40", "8000+2000 7-80"][..],
        ),
        // The first may begin anywhere, and without a time at 0.
        ("<S d=\"50\" r=\"1\"/>", &["0+5000 5-0", "5000+5000 6-50"]),
        // Repeated until the next one, and until the end.
        (
            "<S t=\"0\" d=\"20\" r=\"-1\"/><S t=\"60\" d=\"40\"/>",
            &["0+2000 5-0", "2000+2000 6-20", "4000+2000 7-40", "6000+4000 8-60"],
        ),
        ("<S t=\"0\" d=\"40\" r=\"-1\"/>", &["0+4000 5-0", "4000+4000 6-40", "8000+4000 7-80"]),
        // Holes stay, and an overlap of rounding is nobody's time twice.
        ("<S t=\"0\" d=\"40\"/><S t=\"60\" d=\"40\"/>", &["0+4000 5-0", "6000+4000 6-60"]),
        ("<S t=\"0\" d=\"50\"/><S t=\"49\" d=\"51\"/>", &["0+4900 5-0", "4900+5100 6-49"]),
        // Numbers may jump.
        ("<S t=\"0\" d=\"50\"/><S n=\"90\" d=\"50\"/>", &["0+5000 5-0", "5000+5000 90-50"]),
        // The presentation is stated shorter than it is.
        ("<S t=\"0\" d=\"50\" r=\"2\"/>", &["0+5000 5-0", "5000+5000 6-50", "10000+5000 7-100"]),
        // A last one without length is still one.
        ("<S t=\"0\" d=\"100\"/><S d=\"0\"/>", &["0+10000 5-0", "10000+0 6-100"]),
    ] {
        assert_eq!(lines(&track(&timeline(entries))), expected, "{entries}");
    }
    let holes = track(&timeline("<S t=\"0\" d=\"40\"/><S t=\"60\" d=\"40\"/>"));
    let hole = Hole { start_us: 4_000_000, length: Duration::from_secs(2) };
    assert_eq!(holes.parts[0].holes(Duration::from_secs(1)), [hole]);
    assert_eq!(holes.parts[0].holes(Duration::from_secs(3)), []);
    for entries in [
        "<S t=\"0\"/>",
        "<S t=\"0\" d=\"0\" r=\"2\"/>",
        "<S t=\"0\" d=\"-4\"/>",
        "<S t=\"-4\" d=\"4\"/>",
        "<S t=\"0\" d=\"NaN\"/>",
        "<S t=\"0\" d=\"4\" r=\"x\"/>",
        "<S t=\"0\" d=\"50\"/><S t=\"0\" d=\"50\"/>",
        "<S t=\"50\" d=\"50\"/><S t=\"20\" d=\"50\"/>",
        "<S t=\"0\" d=\"1\" r=\"-1\"/><S d=\"1\"/>",
        "<S t=\"0\" d=\"1\" r=\"1000000\"/>",
        "<S t=\"0\" d=\"1\" r=\"18446744073709551615\"/>",
        "<S t=\"18446744073709551615\" d=\"18446744073709551615\" r=\"18446744073709551615\"/>",
    ] {
        let got = parse(&timeline(entries), &base()).and_then(|mpd| track_at(&mpd, EARLY));
        assert!(matches!(got, Err(MpdError::Malformed { .. })), "{entries}: {got:?}");
    }
}

#[test]
fn parts_of_segments_have_addresses_of_their_own() {
    let parts = track(&single(
        "<SegmentTemplate timescale=\"10\" media=\"$Number$_$SubNumber%02d$\"><SegmentTimeline>\
         <S t=\"0\" d=\"40\" k=\"2\" r=\"1\"/><S d=\"20\"/></SegmentTimeline></SegmentTemplate>",
    ));
    assert_eq!(
        lines(&parts),
        ["0+2000 1_01", "2000+2000 1_02", "4000+2000 2_01", "6000+2000 2_02", "8000+2000 3_01"]
    );
    // Who does not name the parts means the whole.
    let whole = track(&single(
        "<SegmentTemplate media=\"$Number$\"><SegmentTimeline><S t=\"0\" d=\"5\" k=\"5\" r=\"1\"/></SegmentTimeline></SegmentTemplate>",
    ));
    assert_eq!(lines(&whole), ["0+5000 1", "5000+5000 2"]);
}

#[test]
fn lists_give_their_segments() {
    let ranges = "<BaseURL>all.mp4</BaseURL><SegmentList duration=\"5\"><Initialization range=\"0-99\"/>\
                  <SegmentURL mediaRange=\"100-199\"/><SegmentURL mediaRange=\"200-299\"/></SegmentList>";
    let list = track(&single(ranges));
    assert_eq!(lines(&list), ["0+5000 all.mp4#100-199", "5000+5000 all.mp4#200-299"]);
    // An initialisation section without address is in the file of the list.
    let map = timed(&list)[0].segment.map.clone().unwrap();
    assert_eq!(
        (map.url.path(), map.byte_range),
        ("/dir/all.mp4", Some(ByteRange { offset: 0, length: 100 }))
    );
    for (inside, expected) in [
        (
            "<SegmentList duration=\"4\"><SegmentURL media=\"a\"/><SegmentURL media=\"b\"/><SegmentURL media=\"c\"/></SegmentList>",
            &["0+4000 a", "4000+4000 b", "8000+2000 c"][..],
        ),
        (
            "<SegmentList timescale=\"10\"><SegmentTimeline><S d=\"30\"/><S d=\"70\"/></SegmentTimeline>\
             <SegmentURL media=\"a\" mediaRange=\"5-9\"/><SegmentURL media=\"../b?x=1\"/></SegmentList>",
            &["0+3000 a#5-9", "3000+7000 /b"],
        ),
        // Nothing says how long they are: equal shares.
        (
            "<SegmentList><SegmentURL media=\"a\"/><SegmentURL media=\"b\"/></SegmentList>",
            &["0+5000 a", "5000+5000 b"],
        ),
        // One more than there is room for is a length stated too short, more are not meant.
        (
            "<SegmentList duration=\"5\"><SegmentURL media=\"a\"/><SegmentURL media=\"b\"/><SegmentURL media=\"c\"/></SegmentList>",
            &["0+5000 a", "5000+5000 b", "10000+1000 c"],
        ),
        (
            "<SegmentList duration=\"10\"><SegmentURL media=\"a\"/><SegmentURL media=\"b\"/><SegmentURL media=\"c\"/></SegmentList>",
            &["0+10000 a"],
        ),
        ("<BaseURL>a.mp4</BaseURL><SegmentList/>", &["0+10000 a.mp4"]),
    ] {
        assert_eq!(lines(&track(&single(inside))), expected, "{inside}");
    }
    for inside in [
        "<SegmentList duration=\"5\"><SegmentURL mediaRange=\"9-5\" media=\"a\"/></SegmentList>",
        "<SegmentList duration=\"5\"><SegmentURL mediaRange=\"0-18446744073709551615\" media=\"a\"/></SegmentList>",
        "<SegmentList duration=\"0\"><SegmentURL media=\"a\"/></SegmentList>",
        "<SegmentList timescale=\"0\" duration=\"5\"><SegmentURL media=\"a\"/></SegmentList>",
        "<SegmentList duration=\"5\"><SegmentURL media=\"file:///etc/passwd\"/></SegmentList>",
        "<SegmentList duration=\"5\"><SegmentURL media=\"http://[bad/\"/></SegmentList>",
        "<SegmentList><SegmentTimeline><S d=\"5\" r=\"1\"/></SegmentTimeline><SegmentURL media=\"a\"/></SegmentList>",
        "<SegmentTemplate duration=\"4\" media=\"same\"/>",
        "<SegmentTemplate duration=\"4\" media=\"$Nonsense$\"/>",
        "<SegmentTemplate duration=\"4\" media=\"javascript:alert($Number$)\"/>",
    ] {
        let got = parse(&single(inside), &base()).and_then(|mpd| track_at(&mpd, EARLY));
        assert!(matches!(got, Err(MpdError::Malformed { .. })), "{inside}: {got:?}");
    }
}

#[test]
fn a_file_is_one_segment_or_has_an_index() {
    assert_eq!(lines(&track(&single("<BaseURL>one.mp4</BaseURL>"))), ["0+10000 one.mp4"]);
    let indexed = track(&single(
        "<BaseURL>one.mp4</BaseURL><SegmentBase indexRange=\"800-899\" timescale=\"90000\" presentationTimeOffset=\"180000\">\
         <Initialization range=\"0-799\"/></SegmentBase>",
    ));
    let Media::Indexed(indexed) = &indexed.parts[0].media else { panic!("not indexed") };
    assert_eq!(indexed.index, Some(ByteRange { offset: 800, length: 100 }));
    assert_eq!(indexed.map.as_ref().unwrap().byte_range, Some(ByteRange { offset: 0, length: 800 }));
    assert_eq!((indexed.shift_us, indexed.from_us, indexed.to_us), (-2_000_000, 0, None));
    // The file begins two seconds before what is shown: all of it would be too much.
    assert_eq!(indexed.whole(), None);
    let bare = track(&single("<BaseURL>one.mp4</BaseURL><SegmentBase/>"));
    let Media::Indexed(bare) = &bare.parts[0].media else { panic!("not indexed") };
    assert_eq!(bare.head(4096), ByteRange { offset: 0, length: 4096 });
    assert_eq!(bare.whole().unwrap().segment.duration, Duration::from_secs(10));
    // What has no address is not offered.
    assert_eq!(parse(&single(""), &base()), Err(MpdError::Empty));
}

#[test]
fn attributes_and_addresses_are_inherited() {
    let text = ten_seconds(
        "<BaseURL>https://cdn.example/top/</BaseURL><Period><BaseURL>p/</BaseURL>\
         <SegmentTemplate timescale=\"1000\" duration=\"5000\" startNumber=\"7\" media=\"$RepresentationID$-$Number$\" initialization=\"$RepresentationID$-i\"/>\
         <AdaptationSet mimeType=\"video/mp4\" codecs=\"avc1.4d401e\" width=\"640\"><BaseURL>s/</BaseURL><SegmentTemplate startNumber=\"9\"/>\
         <Representation id=\"a\" bandwidth=\"1\" height=\"360\"><BaseURL>r/</BaseURL><SegmentTemplate presentationTimeOffset=\"3000\"/></Representation>\
         <Representation id=\"b\" bandwidth=\"2\" height=\"180\"/>\
         </AdaptationSet></Period>",
    );
    let mpd = mpd(&text);
    let offer = mpd.offer();
    assert_eq!(labels(&offer), ["360p", "180p"]);
    assert_eq!(
        (offer.variants[0].width, offer.variants[0].codecs.as_deref()),
        (Some(640), Some("avc1.4d401e"))
    );
    let first = mpd.track(&offer.variants[0].url, EARLY).unwrap();
    assert_eq!(lines(&first), ["0+5000 /top/p/s/r/a-9", "5000+5000 /top/p/s/r/a-10"]);
    let segment = &timed(&first)[0].segment;
    assert_eq!((segment.sequence, segment.shift_us), (9, Some(-3_000_000)));
    assert_eq!(segment.map.as_ref().unwrap().url.as_str(), "https://cdn.example/top/p/s/r/a-i");
    let second = mpd.track(&offer.variants[1].url, EARLY).unwrap();
    assert_eq!(lines(&second), ["0+5000 /top/p/s/b-9", "5000+5000 /top/p/s/b-10"]);
    assert_eq!(timed(&second)[0].segment.shift_us, Some(0));
}

#[test]
fn other_servers_are_backups() {
    let text = ten_seconds(&format!(
        "<BaseURL byteRange=\"range=$first$-$last$\">https://query.example/</BaseURL><BaseURL serviceLocation=\"a\">https://one.example/x/</BaseURL>\
         <BaseURL serviceLocation=\"b\">https://two.example/y/</BaseURL><Period>{}</Period>",
        video("v1", "<BaseURL>v/</BaseURL><SegmentTemplate duration=\"10\" media=\"$Number$.m4s?s=1\"/>")
    ));
    let track = track(&text);
    let url = &timed(&track)[0].segment.url;
    assert_eq!(url.as_str(), "https://one.example/x/v/1.m4s?s=1");
    let backups: Vec<String> = track.parts[0].backups(url).iter().map(ToString::to_string).collect();
    assert_eq!(backups, ["https://two.example/y/v/1.m4s?s=1", "https://query.example/v/1.m4s?s=1"]);
    assert!(track.parts[0].backups(&Url::parse("https://elsewhere.example/").unwrap()).is_empty());
}

#[test]
fn whole_segments_carry_their_key() {
    let text = single(
        "<ContentProtection schemeIdUri=\"urn:mpeg:dash:sea:2012\" xmlns:sea=\"urn:mpeg:dash:schema:sea:2012\">\
         <sea:SegmentEncryption schemeIdUri=\"urn:mpeg:dash:sea:aes128-cbc:2013\"/>\
         <sea:CryptoPeriod IV=\"0x00000000000000000000000000000001\" keyUriTemplate=\"key\"/></ContentProtection>\
         <SegmentTemplate duration=\"10\" initialization=\"i\" media=\"$Number$\"/>",
    );
    let track = track(&text);
    let segment = &timed(&track)[0].segment;
    let key = segment.key.as_ref().unwrap();
    assert_eq!((key.encryption, key.url.path(), key.iv_for(1)[15]), (Encryption::Aes128, "/dir/key", 1));
    assert_eq!(segment.map.as_ref().unwrap().key, None);
    assert!(mpd(&text).drm.is_none());
}

#[test]
fn a_last_segment_that_only_the_length_speaks_of_is_doubtful() {
    let last = |duration: &str, more: &str| {
        let inside =
            format!("<SegmentTemplate timescale=\"10\" duration=\"{duration}\" {more} media=\"$Number$\"/>");
        timed(&track(&single(&inside))).last().unwrap().doubtful
    };
    assert!(last("33", ""));
    assert!(!last("33", "endNumber=\"4\""));
    assert!(last("50", ""));
    assert!(!last("50", "endNumber=\"2\""));
}
