//! Wishes in, choices out.

use std::time::Duration;

use url::Url;

use super::*;
use crate::hls::{Playlist, parse};

fn stream(text: &str) -> Multivariant {
    let base = Url::parse("https://a.example/dir/list.m3u8").unwrap();
    match parse(&format!("#EXTM3U\n{text}\n"), &base).unwrap() {
        Playlist::Multivariant(multivariant) => multivariant,
        Playlist::Media(_) => panic!("media"),
    }
}

fn words(text: &str) -> Vec<String> {
    text.split_ascii_whitespace().map(str::to_owned).collect()
}

const FILM: &str = r#"#EXT-X-SESSION-DATA:DATA-ID="com.apple.hls.title",VALUE="A film",LANGUAGE="en"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Audio description",LANGUAGE="en",CHARACTERISTICS="public.accessibility.describes-video",URI="ad"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="English",LANGUAGE="eng",DEFAULT=YES,CHANNELS="6/-/DOWNMIX",URI="en"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Brasileiro",LANGUAGE="pt-BR",AUTOSELECT=YES,URI="br"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="a",NAME="Deutsch",LANGUAGE="de",ASSOC-LANGUAGE="gsw"
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="b",NAME="Nederlands",LANGUAGE="nl",URI="nl"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en",FORCED=YES,URI="s1"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English SDH",LANGUAGE="en",CHARACTERISTICS="public.accessibility.transcribes-spoken-dialog,public.accessibility.describes-music-and-sound",URI="s2"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="English",LANGUAGE="en-GB",URI="s3"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="Français",LANGUAGE="fr",FORCED=YES,URI="s4"
#EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID="s",NAME="Svenska",LANGUAGE="sv",URI="s5"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="c",NAME="CC",LANGUAGE="sv",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=8000000,AVERAGE-BANDWIDTH=6000000,RESOLUTION=1920x1080,CODECS="avc1.640028,mp4a.40.2",AUDIO="a",SUBTITLES="s"
v1
#EXT-X-STREAM-INF:BANDWIDTH=5000000,RESOLUTION=1920x1080,CODECS="hvc1.1.6.L120,mp4a.40.2",AUDIO="a",SUBTITLES="s"
v2
#EXT-X-STREAM-INF:BANDWIDTH=4000000,RESOLUTION=1920x1080,CODECS="av01.0.08M.08,ec-3",AUDIO="b"
v3
#EXT-X-STREAM-INF:BANDWIDTH=2000000,RESOLUTION=1280x720,CODECS="avc1.64001f,mp4a.40.2",AUDIO="a"
v4
#EXT-X-STREAM-INF:BANDWIDTH=1500000,RESOLUTION=1280x720,CODECS="hvc1.1.6.L93,mp4a.40.2"
v5"#;

#[test]
fn codecs_decide_among_equals_of_resolution_only() {
    let film = stream(FILM);
    for (wish, codecs, path) in [
        ("best", "", "/dir/v1"),
        ("best", "hevc", "/dir/v2"),
        ("best", "av1 h264", "/dir/v3"),
        ("best", "vp9 hevc", "/dir/v2"),
        ("best", "vp9", "/dir/v1"),
        ("best", "eac3", "/dir/v3"),
        ("1080p", "hevc", "/dir/v2"),
        ("900p", "hevc", "/dir/v5"),
        ("720p", "av1", "/dir/v4"),
        ("worst", "", "/dir/v5"),
        ("worst", "h264", "/dir/v4"),
        ("worst", "av1", "/dir/v5"),
        ("100p", "", "/dir/v5"),
    ] {
        assert_eq!(film.choose(wish, &words(codecs)).unwrap().url.path(), path, "{wish} {codecs}");
    }
    assert_eq!(film.title.as_deref(), Some("A film"));
}

#[test]
fn sound_is_of_the_first_wanted_language_there_is() {
    let film = stream(FILM);
    let name = |variant: usize, languages: &str| {
        let sound = film.audio_for(&film.variants[variant], &words(languages), &[]);
        sound.map(|sound| sound.name.clone())
    };
    for (languages, expected) in [
        ("", "English"),
        ("en", "English"),
        ("EN-us", "English"),
        ("pt", "Brasileiro"),
        ("pt-BR", "Brasileiro"),
        ("pt-PT de", "Deutsch"),
        ("fr ger", "Deutsch"),
        ("fr", "English"),
        ("nl", "English"),
        ("audio-en", "Audio description"),
        ("audio-nl", "English"),
    ] {
        assert_eq!(name(0, languages).as_deref(), Some(expected), "{languages}");
    }
    assert_eq!(name(2, "en").as_deref(), Some("Nederlands"));
    assert_eq!(name(4, "en"), None);
    let german = film.audio_for(&film.variants[0], &words("de"), &[]).unwrap();
    assert_eq!((&german.url, german.associated_language.as_deref()), (&None, Some("gsw")));
    assert_eq!(film.sound_alone(&words("pt"), &[]).unwrap().name, "Brasileiro");
    // The German sound is inside the picture's segments, so the best that stands alone is another group's.
    assert_eq!(film.sound_alone(&words("de"), &[]).unwrap().name, "Nederlands");
}

#[test]
fn codecs_decide_among_sounds_of_a_language() {
    let mut film = stream(FILM);
    let mut twin = film.renditions[1].clone();
    film.renditions[1].codecs = Some("mp4a.40.2".to_owned());
    twin.codecs = Some("opus".to_owned());
    film.renditions.push(twin);
    let codec = |languages: &str, codecs: &str| {
        film.audio_for(&film.variants[0], &words(languages), &words(codecs)).unwrap().codecs.clone()
    };
    assert_eq!(codec("en", "").as_deref(), Some("mp4a.40.2"));
    assert_eq!(codec("en", "av1 opus").as_deref(), Some("opus"));
    assert_eq!(codec("", "opus").as_deref(), Some("opus"));
}

#[test]
fn subtitles_are_those_asked_for_and_each_once() {
    let film = stream(FILM);
    let paths = |variant: usize, wishes: &str| {
        let texts = film.subtitles_for(&film.variants[variant], &words(wishes));
        texts.iter().map(|text| text.url.as_ref().unwrap().path()[5..].to_owned()).collect::<Vec<_>>()
    };
    for (wishes, expected) in [
        ("", vec![]),
        ("en", vec!["s3"]),
        ("en-US", vec!["s2"]),
        ("subs-en-forced", vec!["s1"]),
        ("sv en sv", vec!["s5", "s3"]),
        ("fr", vec![]),
        ("all", vec!["s2", "s3", "s5"]),
        ("en all forced", vec!["s3", "s2", "s5", "s1", "s4"]),
        ("de", vec![]),
    ] {
        assert_eq!(paths(0, wishes), expected, "{wishes}");
    }
    assert!(paths(2, "all").is_empty());
}

#[test]
fn every_rendition_has_an_identifier_of_its_own() {
    let film = stream(FILM);
    let ids: Vec<&str> = film.renditions.iter().map(|rendition| rendition.id.as_str()).collect();
    assert_eq!(
        ids,
        [
            "audio-en",
            "audio-eng",
            "audio-pt-br",
            "audio-de",
            "audio-nl",
            "subs-en-forced",
            "subs-en",
            "subs-en-gb",
            "subs-fr-forced",
            "subs-sv",
            "captions-sv"
        ]
    );
    let many: String = (0..2_000)
        .map(|n| {
            format!(
                "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"{n}\",LANGUAGE=\"{}\",URI=\"{n}\"\n",
                ["en", "en-2", "!"][n % 3]
            )
        })
        .collect();
    let many = stream(&format!("{many}#EXT-X-STREAM-INF:BANDWIDTH=1\nv"));
    let ids: std::collections::HashSet<&str> =
        many.renditions.iter().map(|rendition| rendition.id.as_str()).collect();
    assert_eq!(ids.len(), 2_000);
    assert_eq!(many.renditions[2].id, "audio");
}

#[test]
fn an_estimate_counts_what_is_taken_beside_the_picture() {
    let film = stream(FILM);
    let hour = Duration::from_secs(3_600);
    assert_eq!(film.variants[0].estimated_bytes(&[], hour), Some(2_700_000_000));
    let mut sound = film.renditions[1].clone();
    assert_eq!(film.variants[1].estimated_bytes(&[&sound], hour), Some(2_250_000_000));
    sound.bandwidth = Some(128_000);
    assert_eq!(film.variants[1].estimated_bytes(&[&sound], hour), Some(2_307_600_000));
    let unknown = stream("#EXT-X-STREAM-INF:RESOLUTION=320x180\nv");
    assert_eq!(unknown.variants[0].estimated_bytes(&[], hour), None);
    assert_eq!(film.variants[0].estimated_bytes(&[], Duration::MAX), None);
    assert_eq!(sound.channels, Some(6));
}

#[test]
fn a_list_without_end_is_refused() {
    let base = Url::parse("https://a.example/").unwrap();
    let variants: String = (0..2_001).map(|n| format!("#EXT-X-STREAM-INF:BANDWIDTH={n}\nv{n}\n")).collect();
    assert!(parse(&format!("#EXTM3U\n{variants}"), &base).is_err());
}
