//! Any text is a playlist or an error, and what a playlist says can be relied on.
//!
//! Invariant: an input that breaks a promise of `weir_media::hls`, `variants` or `segment` ends the run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use url::Url;
use weir_media::hls::{Context, MediaPlaylist, Playlist, parse, parse_with};
use weir_media::variants::Multivariant;

fuzz_target!(|bytes: &[u8]| {
    let text = String::from_utf8_lossy(bytes);
    let Ok(base) = Url::parse("https://a.example/dir/list.m3u8?token=1") else { return };
    match parse(&text, &base) {
        Ok(Playlist::Media(media)) => {
            check_media(&media);
            // The same again, as a live stream is read.
            let context = Context { variables: None, earlier: Some(&media) };
            if let Ok(Playlist::Media(again)) = parse_with(&text, &base, &context) {
                check_media(&again);
            }
        }
        Ok(Playlist::Multivariant(choices)) => {
            check_choices(&choices);
            let context = Context { variables: Some(&choices.variables), earlier: None };
            assert!(parse_with(&text, &base, &context).is_ok());
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
});

fn check_media(media: &MediaPlaylist) {
    assert!(!media.segments.is_empty());
    assert_eq!(media.clocks().count(), media.segments.len());
    let longest = media.longest_segment();
    let mut numbers = media.segments.iter().map(|segment| segment.sequence);
    let mut before = numbers.next();
    assert!(numbers.all(|number| before.replace(number).and_then(|known| known.checked_add(1)) == Some(number)));
    for segment in &media.segments {
        assert!(segment.duration <= longest && longest.as_secs() <= 1_000_000);
        let map = segment.map.as_deref();
        let urls = [Some(&segment.url), map.map(|map| &map.url), segment.key.as_deref().map(|key| &key.url)];
        assert!(urls.into_iter().flatten().all(|url| matches!(url.scheme(), "http" | "https")));
        let ranges = [segment.byte_range, map.and_then(|map| map.byte_range)];
        assert!(ranges.into_iter().flatten().all(|range| range.offset.checked_add(range.length).is_some()));
        assert!(ranges.into_iter().flatten().all(|range| range.length > 0));
    }
}

fn check_choices(choices: &Multivariant) {
    assert!(!choices.variants.is_empty());
    check_unique(choices.variants.iter().map(|variant| variant.id.as_str()).collect());
    check_unique(choices.renditions.iter().map(|rendition| rendition.id.as_str()).collect());
    let words = ["en".to_owned(), "all".to_owned(), "h264".to_owned()];
    for wish in ["best", "worst", "1080p", "0p"] {
        let Ok(variant) = choices.choose(wish, &words) else { panic!("{wish} is always there") };
        let sound = choices.audio_for(variant, &words, &words);
        assert!(sound.is_none_or(|sound| Some(&sound.group) == variant.audio_group.as_ref()));
        for text in choices.subtitles_for(variant, &words) {
            assert!(text.url.is_some());
        }
        let beside: Vec<_> = sound.into_iter().collect();
        let _ = variant.estimated_bytes(&beside, std::time::Duration::MAX);
    }
    for variant in &choices.variants {
        assert!(choices.choose(&variant.id, &[]).is_ok_and(|chosen| chosen.id == variant.id));
    }
}

fn check_unique(mut ids: Vec<&str>) {
    let count = ids.len();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), count, "an identifier stands for one thing");
}
