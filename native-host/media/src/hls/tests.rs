//! Playlists in, values out: one table for each kind of question.

use std::sync::Arc;

use proptest::prelude::*;

use super::*;
use crate::segment::*;
use crate::variants::*;

fn base() -> Url {
    Url::parse("https://a.example/dir/list.m3u8?token=1").unwrap()
}

fn media(text: &str) -> MediaPlaylist {
    match parse(text, &base()).unwrap() {
        Playlist::Media(media) => media,
        Playlist::Multivariant(_) => panic!("multivariant"),
    }
}

fn multivariant(text: &str) -> Multivariant {
    match parse(text, &base()).unwrap() {
        Playlist::Multivariant(multivariant) => multivariant,
        Playlist::Media(_) => panic!("media"),
    }
}

const MASTER: &str = r#"#EXTM3U
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Commentary",LANGUAGE="en",URI="c.m3u8"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="en",DEFAULT=YES,AUTOSELECT=YES,URI="e.m3u8"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",URI="s.m3u8"
#EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,CODECS="avc1.4d401e,mp4a.40.2",AUDIO="a"
360.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=6000000,RESOLUTION=1920x1080,FRAME-RATE=59.94,AUDIO="a"
1080p60.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=4000000,RESOLUTION=1920x1080,FRAME-RATE=25,AUDIO="a"
1080.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=4000000,RESOLUTION=1920x1080,FRAME-RATE=25,AUDIO="a"
https://backup.example/1080.m3u8
#EXT-X-STREAM-INF:BANDWIDTH=128000,CODECS="mp4a.40.2"
audio.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=100000,RESOLUTION=1920x1080,URI="iframes.m3u8"
"#;

#[test]
fn variants_are_ordered_named_and_folded() {
    let playlist = multivariant(MASTER);
    let labels: Vec<&str> = playlist.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(labels, ["1080p60", "1080p", "360p", "Audio 128 kb/s"]);
    assert_eq!(playlist.variants[1].backups.len(), 1);
    assert_eq!(playlist.variants[0].url.as_str(), "https://a.example/dir/1080p60.m3u8");
    let audio = playlist.audio_for(&playlist.variants[0], &[], &[]).unwrap();
    assert_eq!((audio.name.as_str(), audio.url.as_ref().unwrap().path()), ("English", "/dir/e.m3u8"));
    assert_eq!(playlist.audio_for(&playlist.variants[3], &[], &[]), None);
    assert_eq!(playlist.drm, None);
}

#[test]
fn a_wish_finds_its_variant() {
    let playlist = multivariant(MASTER);
    for (wish, label) in [
        ("best", "1080p60"),
        ("", "1080p60"),
        ("worst", "360p"),
        ("audio", "Audio 128 kb/s"),
        ("1080p", "1080p60"),
        ("1080p25", "1080p"),
        ("1080p50", "1080p60"),
        ("1080p60", "1080p60"),
        ("2160p", "1080p60"),
        ("720p", "360p"),
        ("720", "360p"),
        ("144p", "360p"),
    ] {
        assert_eq!(playlist.choose(wish, &[]).unwrap().label, label, "{wish}");
    }
    for variant in &playlist.variants {
        assert_eq!(playlist.choose(&variant.id, &[]).unwrap(), variant);
    }
    assert!(playlist.choose("excellent", &[]).is_err());
    assert!(multivariant("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n").choose("audio", &[]).is_err());
}

#[test]
fn twins_get_their_bit_rate_and_unique_ids() {
    let playlist = multivariant(
        "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1280x720\na\n#EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=1280x720\nb\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3000000,RESOLUTION=720x1280\nc\n#EXT-X-STREAM-INF:RESOLUTION=320x180\nd\n",
    );
    let labels: Vec<&str> = playlist.variants.iter().map(|variant| variant.label.as_str()).collect();
    assert_eq!(labels, ["720p 5.0 Mb/s", "720p 3.0 Mb/s", "720p 3.0 Mb/s", "180p"]);
    let mut ids: Vec<&str> = playlist.variants.iter().map(|variant| variant.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), 4);
}

#[test]
fn segments_keep_their_ranges_keys_and_maps() {
    let playlist = media(
        r#"#EXTM3U
#EXT-X-VERSION:7
#EXT-X-TARGETDURATION:4
#EXT-X-MEDIA-SEQUENCE:7
#EXT-X-PLAYLIST-TYPE:VOD
#EXT-X-MAP:URI="all.mp4",BYTERANGE="720@0"
#EXTINF:4.004,
#EXT-X-BYTERANGE:1000@720
all.mp4
#EXTINF:4.004,title, with comma
#EXT-X-BYTERANGE:500
all.mp4
#EXT-X-KEY:METHOD=AES-128,URI="k1"
#EXTINF:2,
c.ts
#EXT-X-KEY:METHOD=AES-128,URI="k2",IV=0x000000000000000000000000000000FF
#EXTINF:2,
d.ts
#EXT-X-KEY:METHOD=NONE
#EXT-X-DISCONTINUITY
#EXTINF:2.5,
../e.ts?x=1
#EXT-X-ENDLIST
"#,
    );
    let segments = &playlist.segments;
    assert_eq!(segments.len(), 5);
    assert_eq!(segments[0].byte_range, Some(ByteRange { offset: 720, length: 1000 }));
    assert_eq!(segments[1].byte_range, Some(ByteRange { offset: 1720, length: 500 }));
    assert_eq!(segments[0].map.as_ref().unwrap().byte_range, Some(ByteRange { offset: 0, length: 720 }));
    assert_eq!(segments[1].key, None);
    let implicit = segments[2].key.as_ref().unwrap();
    assert_eq!((implicit.url.path(), implicit.iv), ("/dir/k1", None));
    assert_eq!(segments[2].sequence, 9);
    assert_eq!(implicit.iv_for(9), u128::to_be_bytes(9));
    assert_eq!(segments[3].key.as_ref().unwrap().iv_for(10), u128::to_be_bytes(255));
    assert_eq!((segments[4].key.as_ref(), segments[4].discontinuity), (None, true));
    assert_eq!(segments[4].url.as_str(), "https://a.example/e.ts?x=1");
    assert_eq!(playlist.duration(), Duration::from_millis(14_508));
    assert!(!playlist.is_live() && playlist.drm.is_none() && playlist.unsupported.is_none());
}

#[test]
fn keys_and_maps_hold_from_where_they_stand() {
    let playlist = media(
        r#"#EXTM3U
#EXT-X-MEDIA-SEQUENCE:4
#EXT-X-MAP:URI="clear.mp4"
#EXTINF:1,
0.m4s
#EXT-X-KEY:METHOD=AES-256,URI="k32",IV=0x1
#EXT-X-MAP:URI="secret.mp4",BYTERANGE="10@20"
#EXTINF:1,
1.m4s
#EXT-X-KEY:METHOD=AES-256,URI="k32",IV=0x1,KEYFORMAT="identity"
#EXT-X-MAP:URI="secret.mp4",BYTERANGE="10@20"
#EXTINF:1,
2.m4s
#EXT-X-KEY:METHOD=NONE
#EXTINF:1,
3.m4s
#EXT-X-MAP:URI="clear.mp4",BYTERANGE="30"
#EXT-X-KEY:METHOD=SAMPLE-AES,URI="ks"
#EXTINF:1,
4.m4s
#EXT-X-KEY:METHOD=AES-128, URI=k16
#EXT-X-MAP:URI="counted.mp4"
#EXTINF:1,
5.m4s
#EXT-X-MAP:URI="counted.mp4"
#EXTINF:1,
6.m4s
#EXT-X-ENDLIST"#,
    );
    let told: Vec<_> = playlist
        .segments
        .iter()
        .map(|segment| {
            let map = segment.map.as_ref().unwrap();
            let key =
                |key: Option<&Arc<Key>>| key.map(|key| (key.encryption, key.url.path()[5..].to_owned()));
            (
                segment.sequence,
                key(segment.key.as_ref()),
                map.url.path()[5..].to_owned(),
                map.byte_range.map(|range| (range.offset, range.length)),
                key(map.key.as_ref()),
                map.sequence,
            )
        })
        .collect();
    let key = |encryption, url: &str| Some((encryption, url.to_owned()));
    let k32 = || key(Encryption::Aes256, "k32");
    let expected = [
        (4, None, "clear.mp4", None, None, 4),
        (5, k32(), "secret.mp4", Some((20, 10)), k32(), 5),
        (6, k32(), "secret.mp4", Some((20, 10)), k32(), 5),
        // The map was encrypted, whatever holds now.
        (7, None, "secret.mp4", Some((20, 10)), k32(), 5),
        (8, key(Encryption::SampleAes, "ks"), "clear.mp4", Some((0, 30)), None, 8),
        // The vector of these two is made of the number they stand at.
        (9, key(Encryption::Aes128, "k16"), "counted.mp4", None, key(Encryption::Aes128, "k16"), 9),
        (10, key(Encryption::Aes128, "k16"), "counted.mp4", None, key(Encryption::Aes128, "k16"), 10),
    ]
    .map(|(sequence, key, map, range, map_key, at)| (sequence, key, map.to_owned(), range, map_key, at));
    assert_eq!(told, expected);
    let segments = &playlist.segments;
    let (one, two) = (segments[1].key.as_ref().unwrap(), segments[2].key.as_ref().unwrap());
    assert!(Arc::ptr_eq(one, two), "what repeats is shared");
    assert!(Arc::ptr_eq(segments[1].map.as_ref().unwrap(), segments[2].map.as_ref().unwrap()));
    assert_eq!(playlist.unsupported, None);
}

#[test]
fn clocks_are_numbered_and_dates_kept() {
    let playlist = media(
        "#EXTM3U\n#EXT-X-DISCONTINUITY-SEQUENCE:5\n#EXT-X-PROGRAM-DATE-TIME:1970-01-01T00:00:01Z\n#EXTINF:2,\na\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nb\n\
         #EXT-X-PROGRAM-DATE-TIME:whenever\n#EXTINF:2,\nc\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\nd\n",
    );
    assert_eq!(playlist.clocks().collect::<Vec<_>>(), [5, 6, 6, 7]);
    let dates: Vec<_> = playlist.segments.iter().map(|segment| segment.date_ms).collect();
    assert_eq!(dates, [Some(1_000), None, None, None]);
}

#[test]
fn variables_come_from_the_playlist_its_list_and_its_address() {
    let list = multivariant(
        "#EXTM3U\n#EXT-X-DEFINE:NAME=\"host\",VALUE=\"https://b.example\"\n#EXT-X-DEFINE:NAME=\"q\",VALUE=\"x\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\n{$host}/{$q}.m3u8\n",
    );
    assert_eq!(list.variants[0].url.as_str(), "https://b.example/x.m3u8");
    let text = "#EXTM3U\n#EXT-X-DEFINE:IMPORT=\"host\"\n#EXT-X-DEFINE:QUERYPARAM=\"token\"\n#EXT-X-DEFINE:NAME=\"two\",VALUE=\"{$token}{$token}\"\n\
         #EXT-X-DEFINE:NAME=\"host\",VALUE=\"https://b.example\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"{$host}/{$token}.key\"\n#EXTINF:1,\n{$host}/{$two}?a={{$token}}\n#EXT-X-ENDLIST\n";
    let base = Url::parse("https://a.example/list.m3u8?x=2&token=%C3%A9&token=3#f?token=4").unwrap();
    let context = Context { variables: Some(&list.variables), earlier: None };
    let Playlist::Media(media) = parse_with(text, &base, &context).unwrap() else { panic!() };
    assert_eq!(media.segments[0].url.as_str(), "https://b.example/%C3%A9%C3%A9?a={%C3%A9}");
    assert_eq!(media.segments[0].key.as_ref().unwrap().url.as_str(), "https://b.example/%C3%A9.key");
    assert!(parse(text, &base).is_err(), "nothing to import from");
    // Tokens are secret, and variables carry them.
    assert_eq!(format!("{:?}", list.variables), r#"{"host", "q"}"#);
}

#[test]
fn variables_that_double_each_other_are_refused() {
    let doubling: String = (0..40)
        .map(|n| format!("#EXT-X-DEFINE:NAME=\"v{}\",VALUE=\"{{$v{n}}}{{$v{n}}}\"\n", n + 1))
        .collect();
    let text = format!("#EXTM3U\n#EXT-X-DEFINE:NAME=\"v0\",VALUE=\"0123456789\"\n{doubling}#EXTINF:1,\na\n");
    assert!(matches!(parse(&text, &base()), Err(PlaylistError::Malformed { line: 3..30, .. })));
}

#[test]
fn what_a_server_leaves_out_comes_from_what_was_read_before() {
    let earlier = media(
        "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:10\n#EXT-X-MAP:URI=\"i\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n\
         #EXTINF:2,\n10\n#EXT-X-DISCONTINUITY\n#EXTINF:2,\n11\n#EXTINF:2,\n12\n#EXTINF:2,\n13\n",
    );
    let read = |text: &str, earlier: Option<&MediaPlaylist>| {
        let context = Context { variables: None, earlier };
        match parse_with(text, &base(), &context).unwrap() {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("multivariant"),
        }
    };
    let numbers = |media: &MediaPlaylist| media.segments.iter().map(|s| s.sequence).collect::<Vec<_>>();
    let delta = "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:11\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:2,\n14\n";
    let merged = read(delta, Some(&earlier));
    assert_eq!((numbers(&merged), merged.skipped, &merged.unsupported), (vec![11, 12, 13, 14], 0, &None));
    let last = merged.segments.last().unwrap();
    assert_eq!(last.key.as_ref().unwrap().url.path(), "/dir/k");
    assert_eq!(last.map.as_ref().unwrap().url.path(), "/dir/i");
    assert!(merged.segments[0].discontinuity);
    // The oldest are lost, but what holds is known.
    let gap = read(&delta.replace(":11", ":8").replace("=3", "=5"), Some(&earlier));
    assert_eq!((numbers(&gap), gap.skipped, gap.unsupported.is_none()), (vec![10, 11, 12, 13], 2, true));
    // The last one left out is not known: nor is its key.
    for earlier in [None, Some(&merged)] {
        let unknown = read(&delta.replace(":11", ":13"), earlier);
        assert_eq!((numbers(&unknown), unknown.skipped), (vec![16], 3));
        assert!(unknown.unsupported.is_some());
    }
}

#[test]
fn ways_to_the_same_content_are_one_choice() {
    let list = multivariant(
        "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a1\",NAME=\"n\",URI=\"s1\"\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a2\",NAME=\"n\",URI=\"s2\"\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720,AUDIO=\"a1\",PATHWAY-ID=\"one\"\nv1\n\
         #EXT-X-STREAM-INF:BANDWIDTH=1,RESOLUTION=640x360,AUDIO=\"a1\",PATHWAY-ID=\"one\"\nw1\n\
         #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=1280x720,AUDIO=\"a2\",PATHWAY-ID=\"two\"\nv2\n\
         #EXT-X-STREAM-INF:BANDWIDTH=3,RESOLUTION=1920x1080,AUDIO=\"a2\",PATHWAY-ID=\"two\"\nx2\n",
    );
    let told: Vec<_> =
        list.variants.iter().map(|v| (v.url.path(), v.backups.len(), v.audio_group.as_deref())).collect();
    assert_eq!(told, [("/dir/x2", 0, Some("a2")), ("/dir/v1", 1, Some("a1")), ("/dir/w1", 0, Some("a1"))]);
}

#[test]
fn renditions_tell_who_they_are_for() {
    let list = multivariant(
        r#"#EXTM3U
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="Bokmål",LANGUAGE="nb",ASSOC-LANGUAGE="no",FORCED=YES,AUTOSELECT=YES,URI="nb"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",LANGUAGE="en",CHANNELS="16/JOC",CHARACTERISTICS="a.b, c.d",URI="en"
#EXT-X-MEDIA:TYPE=SOMETHING,GROUP-ID="x",NAME="?"
#EXT-X-STREAM-INF:
v"#,
    );
    let [text, sound] = list.renditions.as_slice() else { panic!("{:?}", list.renditions) };
    assert_eq!((text.id.as_str(), text.associated_language.as_deref()), ("subs-nb-forced", Some("no")));
    assert!(text.forced && text.autoselect && !text.default);
    // Without a name it is still a sound.
    assert_eq!((sound.name.as_str(), sound.channels), ("", Some(16)));
    assert_eq!(sound.characteristics, ["a.b", "c.d"]);
    assert_eq!(list.variants[0].label, "Video");
}

#[test]
fn pictures_for_scrubbing_are_no_video() {
    let playlist =
        media("#EXTM3U\n#EXT-X-I-FRAMES-ONLY\n#EXTINF:2,\n#EXT-X-BYTERANGE:9@8\na.ts\n#EXT-X-ENDLIST\n");
    assert!(playlist.i_frames_only && playlist.unsupported.unwrap().contains("single pictures"));
}

#[test]
fn live_is_no_endlist() {
    assert!(media("#EXTM3U\n#EXTINF:2,\na.ts\n").is_live());
    assert!(media("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:EVENT\n#EXTINF:2,\na.ts\n").is_live());
    assert!(!media("#EXTM3U\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n").is_live());
}

#[test]
fn protection_is_named_and_clear_keys_are_not_protection() {
    let with_key =
        |key: &str| media(&format!("#EXTM3U\n#EXT-X-KEY:{key}\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n"));
    for (key, system) in [
        (r#"METHOD=SAMPLE-AES,URI="skd://x",KEYFORMAT="com.apple.streamingkeydelivery""#, Some("FairPlay")),
        (r#"METHOD=SAMPLE-AES,URI="skd://x""#, Some("FairPlay")),
        (
            r#"METHOD=SAMPLE-AES-CTR,URI="data:x",KEYFORMAT="urn:uuid:EDEF8BA9-79d6-4ace-a3c8-27dcd51d21ed""#,
            Some("Widevine"),
        ),
        (r#"METHOD=SAMPLE-AES,URI="x",KEYFORMAT="com.microsoft.playready""#, Some("PlayReady")),
        (r#"METHOD=AES-128,URI="k",KEYFORMAT="identity""#, None),
        (r#"METHOD=AES-128,URI="k""#, None),
    ] {
        let playlist = with_key(key);
        assert_eq!(playlist.drm.as_ref().map(|drm| drm.system.as_str()), system, "{key}");
        assert_eq!(playlist.segments[0].key.is_some(), system.is_none(), "{key}");
    }
    let clear_key = with_key(
        r#"METHOD=SAMPLE-AES,URI="data:x",KEYFORMAT="urn:uuid:e2719d58-a985-b3c9-781a-b030af78d30e""#,
    );
    assert!(clear_key.drm.is_none() && clear_key.unsupported.unwrap().contains("ClearKey"));
    for method in ["SAMPLE-AES-CTR", "AES-256-GCM", "SOMETHING-NEW"] {
        let playlist = with_key(&format!(r#"METHOD={method},URI="k""#));
        assert!(playlist.unsupported.as_deref().is_some_and(|reason| reason.contains(method)), "{method}");
        assert_eq!(playlist.drm, None, "{method}");
    }
    let both = media(
        "#EXTM3U\n#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n\
         #EXT-X-KEY:METHOD=AES-128,URI=\"k\"\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n",
    );
    assert!(both.drm.is_none() && both.segments[0].key.is_some());
    let adobe = media("#EXTM3U\n#EXT-X-FAXS-CM:URI=\"x\"\n#EXTINF:2,\na.ts\n#EXT-X-ENDLIST\n");
    assert_eq!(adobe.drm.unwrap().system, "Adobe Access");
    let session = multivariant(
        "#EXTM3U\n#EXT-X-SESSION-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXT-X-STREAM-INF:BANDWIDTH=1\na\n",
    );
    assert_eq!(session.drm.unwrap().system, "FairPlay");
}

#[test]
fn what_is_no_playlist_says_so() {
    for (text, error) in [
        ("", PlaylistError::Empty),
        ("  \n", PlaylistError::Empty),
        ("#EXTM3U\n", PlaylistError::Empty),
        ("#EXTM3U\n#EXT-X-ENDLIST\n", PlaylistError::Empty),
        ("#EXTM3U\n#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1,URI=\"i\"\n", PlaylistError::Empty),
        ("<!DOCTYPE html><html></html>", PlaylistError::NotAPlaylist { html: true }),
        ("\n <html><body>login", PlaylistError::NotAPlaylist { html: true }),
        ("{\"error\":404}", PlaylistError::NotAPlaylist { html: false }),
        ("#EXTM3U8\n#EXTINF:1,\na\n", PlaylistError::NotAPlaylist { html: false }),
        ("#EXTM", PlaylistError::Cut { line: 1 }),
        ("#EXTM3U\n#EXTINF:4,\na.ts\n#EXTINF:4,", PlaylistError::Cut { line: 4 }),
        ("\u{FEFF}\r\n\n#EXTM3U\n#EXTINF:4,", PlaylistError::Cut { line: 4 }),
        ("# by hand\n#\n#EXTM3U\n#EXTINF:4,", PlaylistError::Cut { line: 4 }),
        ("#EXT-X-VERSION:3\n#EXTM3U\n", PlaylistError::NotAPlaylist { html: false }),
        ("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n", PlaylistError::Cut { line: 2 }),
    ] {
        assert_eq!(parse(text, &base()), Err(error), "{text:?}");
    }
    assert!(matches!(
        parse("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXTINF:4,\na.ts\n", &base()),
        Err(PlaylistError::Cut { .. })
    ));
}

#[test]
fn lines_that_would_give_wrong_bytes_are_errors_with_their_number() {
    for (body, line) in [
        ("#EXTINF:-1,\na.ts", 2),
        ("#EXTINF:NaN,\na.ts", 2),
        ("#EXTINF:inf,\na.ts", 2),
        ("#EXTINF:abc,\na.ts", 2),
        ("#EXTINF:99999999999,\na.ts", 2),
        ("a.ts", 2),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:100\na.ts", 4),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:0@0\na.ts", 4),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:18446744073709551615@1\na.ts", 4),
        ("#EXT-X-KEY:URI=\"k\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-KEY:METHOD=AES-128\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=0xZZ\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-MAP:BYTERANGE=\"1@0\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-SKIP:RECENTLY-REMOVED-DATERANGES=x\n#EXTINF:1,\na.ts", 2),
        ("#EXTINF:1,\na.ts\n#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:1,\nb.ts", 4),
        ("#EXT-X-MEDIA-SEQUENCE:18446744073709551615\n#EXTINF:1,\na.ts\n#EXTINF:1,\nb.ts", 6),
        ("#EXT-X-MEDIA-SEQUENCE:-1\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-MEDIA-SEQUENCE:\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MEDIA-SEQUENCE:2\n#EXTINF:1,\na.ts", 3),
        ("#EXTINF:1,\na.ts\n#EXT-X-MEDIA-SEQUENCE:5\n#EXTINF:1,\nb.ts", 4),
        ("#EXTINF:1,\n#EXTINF:1,\nb.ts", 3),
        ("#EXTINF:,\na.ts", 2),
        ("#EXTINF:1,\na.ts\n#EXTINF:1,", 4),
        ("#EXTINF:1,\nfile:///etc/passwd", 3),
        ("#EXTINF:1,\nftp://a.example/a.ts", 3),
        ("#EXTINF:1,\ndata:video/mp2t,abc", 3),
        ("#EXTINF:1,\njavascript:alert(1)", 3),
        ("#EXTINF:1,\n#fragment", 2),
        ("#EXTINF:1,\nlist.m3u8?token=1#x", 3),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"file:///etc/shadow\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-KEY:METHOD=AES-128,URI=\"k\",IV=255\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-MAP:URI=\"i\",BYTERANGE=\"0@5\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-MAP:URI=\"i\",BYTERANGE=\"9@x\"\n#EXTINF:1,\na.ts", 2),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:x@0\na.ts", 3),
        ("#EXTINF:1,\n#EXT-X-BYTERANGE:5@0\na.ts\n#EXTINF:1,\n#EXT-X-BYTERANGE:5\nb.ts", 7),
        ("#EXT-X-DEFINE:NAME=\"a\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-DEFINE:NAME=\"a\",VALUE=\"1\"\n#EXT-X-DEFINE:NAME=\"a\",VALUE=\"2\"\n#EXTINF:1,\na.ts", 3),
        ("#EXT-X-DEFINE:IMPORT=\"a\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-DEFINE:QUERYPARAM=\"nothing\"\n#EXTINF:1,\na.ts", 2),
        ("#EXT-X-DEFINE:VALUE=\"1\"\n#EXTINF:1,\na.ts", 2),
        ("#EXTINF:1,\n{$nowhere}.ts", 3),
        ("#EXTINF:1,\nhttp://[bad/a.ts", 3),
    ] {
        let got = parse(&format!("#EXTM3U\n{body}\n#EXT-X-ENDLIST\n"), &base());
        assert!(
            matches!(got, Err(PlaylistError::Malformed { line: at, .. }) if at == line),
            "{body:?}: {got:?}"
        );
    }
}

#[test]
fn odd_but_harmless_playlists_are_read() {
    let plain = media(
        "\u{FEFF}#EXTM3U url-tvg=\"x\"\r\n#EXT-X-TARGETDURATION:4\r\n\r\n# comment\r\n#EXT-X-UNKNOWN:1\r\n#EXTINF:4\r\na.ts\r\n#EXT-X-ENDLIST",
    );
    assert_eq!((plain.segments.len(), plain.segments[0].url.path()), (1, "/dir/a.ts"));
    let defined =
        media("#EXTM3U\n#EXT-X-DEFINE:NAME=\"d\",VALUE=\"sub\"\n#EXTINF:4,\n{$d}/a.ts\n#EXT-X-ENDLIST\n");
    assert_eq!(defined.segments[0].url.path(), "/dir/sub/a.ts");
    let gap = media("#EXTM3U\n#EXTINF:4,\na.ts\n#EXT-X-GAP\n#EXTINF:4,\nb.ts\n#EXT-X-ENDLIST\n");
    assert_eq!(gap.segments.iter().map(|segment| segment.gap).collect::<Vec<_>>(), [false, true]);
    let parts = media(
        "#EXTM3U\n#EXT-X-PART:DURATION=1,URI=\"p\"\n#EXTINF:4,\na.ts\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"q\"\n#EXT-X-ENDLIST\n",
    );
    assert_eq!(parts.segments.len(), 1);
}

#[test]
fn durations_without_a_point_may_be_rounded() {
    for (durations, rounded) in [
        (&["6,", "5,a title, v1.2", "6"][..], true),
        (&["6.000,", "6.000,"], false),
        (&["6,", "5.5,"], false),
        (&["1.000000,"], false),
    ] {
        let segments = durations.iter().map(|duration| format!("#EXTINF:{duration}\na.ts\n"));
        let text = format!("#EXTM3U\n{}#EXT-X-ENDLIST\n", segments.collect::<String>());
        assert_eq!(media(&text).rounded, rounded, "{durations:?}");
    }
}

proptest! {
    #[test]
    fn any_text_is_a_value_or_an_error(text in "(#EXTM3U\n)?(#EXT[A-Z-]{0,14}:?[ -~]{0,40}\n|[ -~]{0,40}\r?\n){0,12}") {
        let _ = parse(&text, &base());
    }

    #[test]
    fn any_cut_of_a_good_playlist_is_never_a_shorter_finished_one(cut in 0_usize..400) {
        let whole = (0..12).fold("#EXTM3U\n#EXT-X-PLAYLIST-TYPE:VOD\n".to_owned(), |text, n| text + &format!("#EXTINF:4.0,\nsegment{n}.ts\n")) + "#EXT-X-ENDLIST\n";
        let cut = cut.min(whole.len());
        if let Ok(Playlist::Media(playlist)) = parse(&whole[..cut], &base()) {
            prop_assert!(playlist.is_live() || playlist.segments.len() == 12);
        }
    }
}
