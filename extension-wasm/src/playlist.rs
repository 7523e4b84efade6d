//! The worker's own look at a playlist: its qualities, its length, whether it ends, whether it is protected.
//!
//! Reads, never downloads media. Invariant: a look costs at most two requests of [`MAX_PLAYLIST_BYTES`] and
//! `PATIENCE_MS` each; what cannot be read leaves the card as it was.

use js_sys::{Object, Reflect, Uint8Array};
use wasm_bindgen::prelude::*;
use weir_media::classify::{Initiator, MAX_PLAYLIST_BYTES, Response, What, classify};
use weir_media::hls::{self, MediaPlaylist, Playlist};
use weir_media::segment::Address;
use weir_media::variants::{self, Multivariant};
use weir_protocol::Variant;

use crate::registry::{Reading, shape};

/// How long a server may take for one playlist. Below the half minute a worker lives without events.
const PATIENCE_MS: u32 = 10_000;

/// Segments whose addresses are compared; a stream's all look alike.
const SAMPLED_SEGMENTS: usize = 2_000;

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch)]
    async fn fetch(url: &str, options: &Object) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(js_namespace = AbortSignal, js_name = timeout)]
    fn abort_after(milliseconds: u32) -> JsValue;

    type Answer;

    #[wasm_bindgen(method, getter)]
    fn ok(this: &Answer) -> bool;

    #[wasm_bindgen(method, getter)]
    fn url(this: &Answer) -> String;

    #[wasm_bindgen(method, getter)]
    fn body(this: &Answer) -> Option<Body>;

    type Body;

    #[wasm_bindgen(method, js_name = getReader)]
    fn reader(this: &Body) -> Reader;

    type Reader;

    #[wasm_bindgen(method, catch)]
    async fn read(this: &Reader) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(method, catch)]
    async fn cancel(this: &Reader) -> Result<(), JsValue>;

    type Chunk;

    #[wasm_bindgen(method, getter)]
    fn done(this: &Chunk) -> bool;

    #[wasm_bindgen(method, getter)]
    fn value(this: &Chunk) -> Option<Uint8Array>;
}

/// Fetches and reads the playlist at `url`, and the best of its variants. `None` when it cannot be had or is none.
pub async fn read(url: &str) -> Option<Reading> {
    match load(url).await? {
        Playlist::Media(media) => Some(read_media(&media)),
        Playlist::Multivariant(multivariant) => {
            // Length, end and protection stand in the media playlists, and are the same in all of them.
            let best = multivariant.variants.first()?;
            let media = match load(best.url.as_ref()).await {
                Some(Playlist::Media(media)) => Some(media),
                _ => None,
            };
            Some(read_multivariant(&multivariant, media.as_ref()))
        }
    }
}

/// Shapes of the segments of the media playlist at `url`, when they look like files.
pub async fn read_shapes(url: &str) -> Vec<String> {
    match load(url).await {
        Some(Playlist::Media(media)) => shapes(&media),
        _ => Vec::new(),
    }
}

async fn load(url: &str) -> Option<Playlist<BrowserUrl>> {
    let (text, url) = fetch_text(url).await.ok()??;
    hls::parse(&text, &BrowserUrl(url)).ok()
}

/// An absolute address, resolved by the browser's own parser: one written in Rust would double the worker's size.
#[derive(Debug, Clone, PartialEq, Eq)]
struct BrowserUrl(String);

impl Address for BrowserUrl {
    fn resolve(&self, reference: &str) -> Option<Self> {
        web_sys::Url::new_with_base(reference, &self.0).ok().map(|url| Self(url.href()))
    }
}

impl AsRef<str> for BrowserUrl {
    fn as_ref(&self) -> &str {
        &self.0
    }
}

/// The body and the address it came from after redirects; `None` when it is no success, too long or not UTF-8.
async fn fetch_text(url: &str) -> Result<Option<(String, String)>, JsValue> {
    let options = Object::new();
    Reflect::set(&options, &"credentials".into(), &"include".into())?;
    Reflect::set(&options, &"signal".into(), &abort_after(PATIENCE_MS))?;
    let answer: Answer = fetch(url, &options).await?.unchecked_into();
    let Some(body) = answer.body().filter(|_| answer.ok()) else { return Ok(None) };
    let reader = body.reader();
    let mut bytes = Vec::new();
    loop {
        let chunk: Chunk = reader.read().await?.unchecked_into();
        if let Some(value) = chunk.value() {
            bytes.extend_from_slice(&value.to_vec());
        }
        if chunk.done() {
            break;
        }
        // What does not begin like a playlist is not worth the rest of it.
        if bytes.len() as u64 > MAX_PLAYLIST_BYTES || !begins_like_a_playlist(&bytes) {
            reader.cancel().await?;
            return Ok(None);
        }
    }
    Ok(String::from_utf8(bytes).ok().map(|text| (text, answer.url())))
}

/// Whether these first bytes may be those of a playlist (RFC 8216 section 4.1); some servers put a byte order mark
/// or empty lines before the tag.
fn begins_like_a_playlist(bytes: &[u8]) -> bool {
    const TAG: &[u8] = b"#EXTM3U";
    let bytes = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes).trim_ascii_start();
    let length = bytes.len().min(TAG.len());
    bytes.get(..length) == TAG.get(..length)
}

fn read_media<A: AsRef<str>>(media: &MediaPlaylist<A>) -> Reading {
    Reading {
        duration_ms: duration_ms(media),
        live: media.is_live(),
        protected: media.drm.is_some(),
        shapes: shapes(media),
        ..Reading::default()
    }
}

fn read_multivariant<A: AsRef<str>>(
    multivariant: &Multivariant<A>,
    media: Option<&MediaPlaylist<A>>,
) -> Reading {
    let mut reading = media.map(read_media).unwrap_or_default();
    reading.protected |= multivariant.drm.is_some();
    let variants = multivariant.variants.iter();
    let addresses = variants.flat_map(|variant| std::iter::once(&variant.url).chain(&variant.backups));
    let renditions = multivariant.renditions.iter().filter_map(|rendition| rendition.url.as_ref());
    reading.playlists = addresses.chain(renditions).map(|url| url.as_ref().to_owned()).collect();
    let duration_ms = reading.duration_ms;
    reading.variants = multivariant.variants.iter().map(|variant| quality(variant, duration_ms)).collect();
    reading
}

/// `None` while it is live: what there is now is a window, not a length.
fn duration_ms<A>(media: &MediaPlaylist<A>) -> Option<u64> {
    let duration = media.duration();
    let ms = duration.as_secs().checked_mul(1_000)?.checked_add(duration.subsec_millis().into());
    ms.filter(|_| !media.is_live())
}

fn quality<A>(variant: &variants::Variant<A>, duration_ms: Option<u64>) -> Variant {
    let rate = variant.average_bandwidth.or(variant.bandwidth);
    let bits = rate.zip(duration_ms).and_then(|(rate, ms)| rate.checked_mul(ms));
    let estimated_bytes = bits.map(|thousandths| thousandths / 8_000);
    Variant {
        id: variant.id.clone(),
        label: variant.label.clone(),
        width: variant.width,
        height: variant.height,
        frame_rate: variant.frame_rate,
        bandwidth: variant.bandwidth,
        codecs: variant.codecs.clone(),
        estimated_bytes,
    }
}

/// Shapes of those segments and initialisation sections that a page's script would fetch like files: by their names
/// alone they would get cards of their own.
fn shapes<A: AsRef<str>>(media: &MediaPlaylist<A>) -> Vec<String> {
    let like_a_file = |url: &str| {
        let response = Response {
            url,
            content_type: Some("video/mp4"),
            content_disposition: None,
            content_length: None,
            content_range: None,
            initiator: Initiator::Script,
        };
        classify(&response) == What::Media
    };
    let mut shapes = Vec::new();
    for segment in media.segments.iter().take(SAMPLED_SEGMENTS) {
        for url in [Some(&segment.url), segment.map.as_ref().map(|map| &map.url)].into_iter().flatten() {
            let url = url.as_ref();
            let shape = shape(url);
            if !shapes.contains(&shape) && like_a_file(url) {
                shapes.push(shape);
            }
        }
    }
    shapes
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    fn parse(text: &str) -> Playlist {
        hls::parse(text, &Url::parse("https://a.test/x/master.m3u8").unwrap()).unwrap()
    }

    fn media(text: &str) -> MediaPlaylist {
        match parse(text) {
            Playlist::Media(media) => media,
            Playlist::Multivariant(_) => panic!("not a media playlist"),
        }
    }

    const TS: &str =
        "#EXTM3U\n#EXT-X-TARGETDURATION:6\n#EXTINF:6,\na1.ts\n#EXTINF:4.5,\na2.ts\n#EXT-X-ENDLIST\n";

    #[test]
    fn a_media_playlist_tells_its_length() {
        let reading = read_media(&media(TS));
        assert_eq!(reading.duration_ms, Some(10_500));
        assert!(!reading.live && !reading.protected);
        // Nobody takes these for files.
        assert!(reading.shapes.is_empty(), "{:?}", reading.shapes);
    }

    #[test]
    fn a_live_playlist_has_no_length() {
        let reading = read_media(&media(&TS.replace("#EXT-X-ENDLIST\n", "")));
        assert!(reading.live);
        assert_eq!(reading.duration_ms, None);
    }

    #[test]
    fn segments_that_look_like_files_are_known_by_their_shape() {
        let text = TS.replace(".ts", ".mp4").replace("#EXTINF:6", "#EXT-X-MAP:URI=\"head.mp4\"\n#EXTINF:6");
        let expected = ["https://a.test/x/a0.mp4", "https://a.test/x/head.mp4"];
        assert_eq!(read_media(&media(&text)).shapes, expected);
    }

    #[test]
    fn a_multivariant_playlist_tells_its_qualities_and_what_belongs_to_it() {
        let text = "#EXTM3U\n\
            #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"a\",NAME=\"en\",URI=\"audio/en.m3u8\"\n\
            #EXT-X-STREAM-INF:BANDWIDTH=800000,RESOLUTION=640x360,AUDIO=\"a\"\nlow.m3u8\n\
            #EXT-X-STREAM-INF:BANDWIDTH=4000000,AVERAGE-BANDWIDTH=3200000,RESOLUTION=1920x1080,AUDIO=\"a\"\nhigh.m3u8\n";
        let Playlist::Multivariant(multivariant) = parse(text) else { panic!("not multivariant") };
        let reading = read_multivariant(&multivariant, Some(&media(TS)));
        let labels: Vec<_> = reading.variants.iter().map(|variant| variant.label.as_str()).collect();
        assert_eq!(labels, ["1080p", "360p"]);
        let bytes: Vec<_> = reading.variants.iter().map(|variant| variant.estimated_bytes).collect();
        assert_eq!(bytes, [Some(4_200_000), Some(1_050_000)]);
        let mut playlists = reading.playlists;
        playlists.sort();
        assert_eq!(
            playlists,
            ["https://a.test/x/audio/en.m3u8", "https://a.test/x/high.m3u8", "https://a.test/x/low.m3u8"]
        );
        assert_eq!(reading.duration_ms, Some(10_500));
    }

    #[test]
    fn protection_is_seen_in_either_kind() {
        let key = "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://1\",KEYFORMAT=\"com.apple.streamingkeydelivery\",KEYFORMATVERSIONS=\"1\"\n";
        let text = TS.replacen("#EXTINF", &format!("{key}#EXTINF"), 1);
        assert!(read_media(&media(&text)).protected);
    }

    #[test]
    fn the_first_bytes_tell() {
        for text in ["", "#", "#EXTM3U", "#EXTM3U\n#EXT", "\u{feff}#EXTM3U", "\r\n\n#EXT"] {
            assert!(begins_like_a_playlist(text.as_bytes()), "{text:?}");
        }
        for text in ["<html>", "#EXT-X", "\u{0}#EXTM3U", "GIF89a"] {
            assert!(!begins_like_a_playlist(text.as_bytes()), "{text:?}");
        }
    }
}
