//! Playlists in, values out: one table for each kind of question.

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
    for method in ["SAMPLE-AES", "AES-256", "SOMETHING-NEW"] {
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
        ("#EXT-X-SKIP:SKIPPED-SEGMENTS=3\n#EXTINF:1,\na.ts", 2),
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
