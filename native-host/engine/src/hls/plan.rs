//! What has to be fetched for a stream, in which order.
//!
//! Pure: never fetches and never writes. Invariant: a plan holds only what can be downloaded honestly; whatever this
//! version cannot do is refused here, before the first segment.

use std::sync::Arc;

use sha2::{Digest, Sha256};
use url::Url;
use weir_media::hls::MediaPlaylist;
use weir_media::segment::{ByteRange, Encryption, Key, Map};
use weir_media::variants::{Multivariant, Variant};

use crate::EngineError;
use crate::digest::hex;

/// Which playlists a wish means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice {
    pub(crate) label: Option<String>,
    pub(crate) video: Option<(Url, Vec<Url>)>,
    pub(crate) audio: Option<Url>,
    /// The playlist says that there is something to see.
    pub(crate) has_picture: bool,
}

/// Picks the quality and the sound that goes with it.
pub(crate) fn choose(playlist: &Multivariant, wish: &str) -> Result<Choice, EngineError> {
    let with_audio = |variant: &Variant| {
        // Sound inside the variant's own segments has no address.
        let audio = playlist.audio_for(variant, &[], &[]).and_then(|rendition| rendition.url.clone());
        Choice {
            label: Some(variant.label.clone()),
            // An audio-only variant may name the very playlist that is its rendition.
            audio: audio.filter(|url| *url != variant.url),
            video: Some((variant.url.clone(), variant.backups.clone())),
            has_picture: !variant.audio_only && (variant.height.is_some() || variant.frame_rate.is_some()),
        }
    };
    match playlist.choose(wish, &[]) {
        Ok(variant) if variant.audio_only => Ok(Choice { audio: None, ..with_audio(variant) }),
        Ok(variant) => Ok(with_audio(variant)),
        // No variant with sound only, but perhaps the sound of one with picture stands alone.
        Err(_) if wish.trim().eq_ignore_ascii_case("audio") => {
            let sound = playlist.sound_alone(&[], &[]).and_then(|rendition| rendition.url.clone());
            sound
                .map(|url| Choice {
                    label: Some("Audio".to_owned()),
                    video: None,
                    audio: Some(url),
                    has_picture: false,
                })
                .ok_or_else(|| no_such(wish))
        }
        Err(_) => Err(no_such(wish)),
    }
}

fn no_such(wish: &str) -> EngineError {
    EngineError::NoSuchQuality { wanted: wish.chars().take(64).collect() }
}

/// Refuses what must not or cannot be downloaded.
pub(crate) fn check(media: &MediaPlaylist) -> Result<(), EngineError> {
    let unsupported = |reason: &str| Err(EngineError::UnsupportedMedia { reason: reason.to_owned() });
    if let Some(drm) = &media.drm {
        return Err(EngineError::Drm { system: drm.system.clone() });
    }
    if let Some(reason) = &media.unsupported {
        return Err(EngineError::UnsupportedMedia { reason: reason.clone() });
    }
    if media.is_live() {
        return unsupported("it is still live");
    }
    let keys = media.segments.iter().filter_map(|segment| segment.key.as_deref());
    match keys.map(|key| key.encryption).find(|encryption| *encryption != Encryption::Aes128) {
        Some(Encryption::SampleAes) => {
            return unsupported("its encryption method SAMPLE-AES is not supported");
        }
        Some(_) => return unsupported("its encryption method AES-256 is not supported"),
        None => {}
    }
    if let Some(index) = media.segments.iter().position(|segment| segment.gap) {
        return Err(missing(
            index,
            media.segments.len(),
            "the server says it does not exist".to_owned(),
            None,
        ));
    }
    // Two initialisation sections need two decoders; one file has room for one.
    let mut maps = media.segments.iter().map(|segment| segment.map.as_deref());
    let first = maps.next().flatten();
    if maps.any(|map| map.map(place) != first.map(place)) {
        return unsupported("it changes its encoding in the middle (a second initialisation section)");
    }
    Ok(())
}

fn place(map: &Map) -> (&Url, Option<ByteRange>) {
    (&map.url, map.byte_range)
}

pub(crate) fn missing(index: usize, count: usize, reason: String, status: Option<u16>) -> EngineError {
    EngineError::SegmentMissing { index, number: index + 1, count, reason, status }
}

/// One request.
#[derive(Debug, Clone)]
pub(crate) struct Piece {
    pub(crate) url: Url,
    pub(crate) byte_range: Option<ByteRange>,
    pub(crate) key: Option<Arc<Key>>,
    pub(crate) sequence: u64,
    /// Segment it is, or stands before.
    pub(crate) index: usize,
    pub(crate) is_map: bool,
}

/// The requests for the segments from `first` on, initialisation sections included.
pub(crate) fn pieces(media: &MediaPlaylist, first: usize) -> impl Iterator<Item = Piece> + '_ {
    media.segments.iter().enumerate().skip(first).flat_map(move |(index, segment)| {
        // What came before `first` is written already, its initialisation section with it.
        let known = index.checked_sub(1).and_then(|before| media.segments[before].map.as_deref());
        let map = segment.map.as_deref().filter(|map| known.map(place) != Some(place(map)));
        let map = map.map(|map| Piece {
            url: map.url.clone(),
            byte_range: map.byte_range,
            key: map.key.clone(),
            sequence: map.sequence,
            index,
            is_map: true,
        });
        let segment = Piece {
            url: segment.url.clone(),
            byte_range: segment.byte_range,
            key: segment.key.clone(),
            sequence: segment.sequence,
            index,
            is_map: false,
        };
        map.into_iter().chain([segment])
    })
}

/// Identity of what the tracks are made of. Queries are left out: they carry tokens that change with every visit.
pub(crate) fn fingerprint(tracks: &[MediaPlaylist]) -> String {
    let mut hasher = Sha256::new();
    for media in tracks {
        hasher.update(format!("track {}\n", media.segments.len()));
        for segment in &media.segments {
            let range = segment.byte_range.map_or((0, 0), |range| (range.offset, range.length));
            let key = segment.key.as_ref().map_or("", |key| key.url.path());
            let line = format!(
                "{} {:?} {} {key} {}\n",
                segment.url.path(),
                range,
                segment.duration.as_micros(),
                segment.sequence
            );
            hasher.update(line);
        }
    }
    hex(&hasher.finalize())
}

#[cfg(test)]
mod tests {
    use super::*;
    use weir_media::hls::{Playlist, parse};

    fn base() -> Url {
        Url::parse("https://a.example/v/list.m3u8").unwrap()
    }

    fn media(body: &str) -> MediaPlaylist {
        match parse(&format!("#EXTM3U\n{body}\n#EXT-X-ENDLIST\n"), &base()).unwrap() {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("multivariant"),
        }
    }

    #[test]
    fn the_initialisation_section_comes_once_and_again_only_on_a_fresh_start() {
        let media = media(
            "#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n#EXT-X-DISCONTINUITY\n#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\nb\n#EXTINF:1,\nc",
        );
        check(&media).unwrap();
        let paths =
            |first| pieces(&media, first).map(|piece| piece.url.path().to_owned()).collect::<Vec<_>>();
        assert_eq!(paths(0), ["/v/i", "/v/a", "/v/b", "/v/c"]);
        assert_eq!(paths(1), ["/v/b", "/v/c"]);
        assert!(paths(3).is_empty());
    }

    #[test]
    fn what_cannot_be_done_is_refused_by_name() {
        let two_maps = media("#EXT-X-MAP:URI=\"i\"\n#EXTINF:1,\na\n#EXT-X-MAP:URI=\"j\"\n#EXTINF:1,\nb");
        assert!(matches!(check(&two_maps), Err(EngineError::UnsupportedMedia { .. })));
        let late_map = media("#EXTINF:1,\na\n#EXT-X-MAP:URI=\"j\"\n#EXTINF:1,\nb");
        assert!(matches!(check(&late_map), Err(EngineError::UnsupportedMedia { .. })));
        let gap = media("#EXTINF:1,\na\n#EXT-X-GAP\n#EXTINF:1,\nb");
        assert!(matches!(check(&gap), Err(EngineError::SegmentMissing { number: 2, count: 2, .. })));
        let sample_aes = media("#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"k\"\n#EXTINF:1,\na");
        assert!(matches!(check(&sample_aes), Err(EngineError::UnsupportedMedia { .. })));
        let Playlist::Media(live) = parse("#EXTM3U\n#EXTINF:1,\na\n", &base()).unwrap() else { panic!() };
        assert!(matches!(check(&live), Err(EngineError::UnsupportedMedia { .. })));
    }

    #[test]
    fn tokens_do_not_change_the_fingerprint_and_content_does() {
        let with = |token: &str| media(&format!("#EXTINF:1,\na?{token}\n#EXTINF:1,\nb?{token}"));
        assert_eq!(fingerprint(&[with("1")]), fingerprint(&[with("2")]));
        assert_ne!(fingerprint(&[with("1")]), fingerprint(&[media("#EXTINF:1,\na\n#EXTINF:2,\nb")]));
        assert_ne!(fingerprint(&[with("1")]), fingerprint(&[with("1"), with("1")]));
    }

    #[test]
    fn sound_follows_the_choice() {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",DEFAULT=YES,URI=\"s\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=64x36,AUDIO=\"g\"\nv\n";
        let Playlist::Multivariant(playlist) = parse(text, &base()).unwrap() else { panic!() };
        let best = choose(&playlist, "best").unwrap();
        assert_eq!((best.video.unwrap().0.path(), best.audio.unwrap().path()), ("/v/v", "/v/s"));
        let sound = choose(&playlist, "audio").unwrap();
        assert_eq!((sound.video, sound.audio.unwrap().path()), (None, "/v/s"));
        assert!(matches!(choose(&playlist, "nonsense"), Err(EngineError::NoSuchQuality { .. })));
    }
}
