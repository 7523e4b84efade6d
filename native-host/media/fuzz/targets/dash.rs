//! Any text is an MPD or an error, and so are its tracks and the indexes of its files.
//!
//! Invariant: an input that breaks a promise of `weir_media::dash`, `variants` or `segment` ends the run.

#![no_main]

use libfuzzer_sys::fuzz_target;
use url::Url;
use weir_media::dash::{self, MAX_SEGMENTS, Media, Moment, Timed};
use weir_media::drm;

/// Some way into 2026, and the beginning and the end of time.
const MOMENTS: [i64; 3] = [1_795_000_000_000, 0, i64::MAX];

fuzz_target!(|bytes: &[u8]| {
    // Behind the first NUL stands what a file might begin with.
    let cut = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    let (manifest, file) = bytes.split_at(cut);
    let _ = drm::in_init(file);
    let text = dash::text(manifest);
    let Ok(base) = Url::parse("https://a.example/dir/stream.mpd?token=1") else { return };
    let mpd = match dash::parse(&text, &base) {
        Ok(mpd) => mpd,
        Err(error) => {
            assert!(!error.to_string().is_empty());
            return;
        }
    };
    let offer = mpd.offer();
    let variants = offer.variants.iter().map(|variant| &variant.url);
    let renditions = offer.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
    for wanted in variants.chain(renditions).take(6) {
        for now_unix_ms in MOMENTS {
            let at = Moment { now_unix_ms };
            let _ = mpd.is_over(at);
            let Ok(track) = mpd.track(wanted, at) else { continue };
            let mut count = 0;
            for part in &track.parts {
                match &part.media {
                    Media::Segments(segments) => {
                        count += segments.len();
                        check(segments);
                    }
                    Media::Indexed(indexed) => {
                        let _ = indexed.whole();
                        if let Ok(segments) = indexed.segments(file, indexed.head(4096).offset) {
                            check(&segments);
                        }
                    }
                    Media::Absent => {}
                }
            }
            assert!(count <= MAX_SEGMENTS);
            let _ = track.edge_us();
            // A million segments are a second's work each time; once is enough.
            if count > 10_000 {
                return;
            }
        }
    }
});

fn check(segments: &[Timed]) {
    for Timed { segment, .. } in segments {
        let map = segment.map.as_deref();
        let urls = [Some(&segment.url), map.map(|map| &map.url), segment.key.as_deref().map(|key| &key.url)];
        assert!(urls.into_iter().flatten().all(|url| matches!(url.scheme(), "http" | "https")));
        let ranges = [segment.byte_range, map.and_then(|map| map.byte_range)];
        for range in ranges.into_iter().flatten() {
            assert!(range.length > 0 && range.offset.checked_add(range.length).is_some());
        }
    }
}
