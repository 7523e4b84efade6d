//! Containers: told by their first bytes, and chosen for what goes in.
//!
//! Pure. Invariant: nothing a server sent makes ffmpeg guess a format, because a playlist in disguise could make it read
//! other files.

use weir_media::codec::{Codec, CodecKind};

const TS_PACKET: usize = 188;

/// Containers a track can come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Ts,
    Mp4,
    Aac,
    Mp3,
    Ac3,
    Eac3,
    WebM,
}

impl Container {
    /// ffmpeg's name for reading it.
    pub(super) const fn demuxer(self) -> &'static str {
        match self {
            Self::Ts => "mpegts",
            Self::Mp4 => "mov",
            Self::Aac => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
            Self::WebM => "matroska",
        }
    }

    /// What packed audio is, which is nothing but its frames; none for what has a clock of its own.
    pub(super) const fn packed(self) -> Option<Codec> {
        match self {
            Self::Aac => Some(Codec::Aac),
            Self::Mp3 => Some(Codec::Mp3),
            Self::Ac3 => Some(Codec::Ac3),
            Self::Eac3 => Some(Codec::Eac3),
            Self::Ts | Self::Mp4 | Self::WebM => None,
        }
    }

    /// Tells a container by its first bytes.
    pub(crate) fn sniff(start: &[u8]) -> Option<Self> {
        let start = after_id3(start);
        if start.first() == Some(&0x47) && start.get(TS_PACKET).is_none_or(|byte| *byte == 0x47) {
            return Some(Self::Ts);
        }
        match start {
            [_, _, _, _, b'f', b't', b'y', b'p', ..]
            | [_, _, _, _, b's', b't', b'y', b'p', ..]
            | [_, _, _, _, b'm', b'o', b'o', b'v', ..]
            | [_, _, _, _, b'm', b'o', b'o', b'f', ..]
            | [_, _, _, _, b's', b'i', b'd', b'x', ..] => Some(Self::Mp4),
            [0x1A, 0x45, 0xDF, 0xA3, ..] => Some(Self::WebM),
            // ADTS: twelve bits of sync, layer 0.
            [0xFF, second, ..] if second & 0xF6 == 0xF0 => Some(Self::Aac),
            [0xFF, second, ..] if second & 0xE0 == 0xE0 => Some(Self::Mp3),
            // Bit stream identification above 10 is Enhanced AC-3 (ETSI TS 102 366 annex E).
            [0x0B, 0x77, _, _, _, fifth, ..] => Some(if fifth >> 3 > 10 { Self::Eac3 } else { Self::Ac3 }),
            _ => None,
        }
    }
}

/// Whether bytes may be the beginning of a segment: more forgiving than [`Container::sniff`], because fragments begin with
/// boxes of many kinds, clusters of WebM without their head, and transport streams after bytes of no use.
pub(crate) fn is_media(start: &[u8]) -> bool {
    const SHORTEST: usize = 12;
    let is_box = |start: &[u8]| {
        let named = start.get(4..8).is_some_and(|kind| kind.iter().all(u8::is_ascii_alphanumeric));
        let size = start.first_chunk().map_or(0, |size| u32::from_be_bytes(*size));
        named && (size <= 1 || size >= 8) && start.first().is_some_and(|high| *high < 0x20)
    };
    let is_ts = |at: usize| {
        start.get(at) == Some(&0x47)
            && start.get(at + TS_PACKET) == Some(&0x47)
            && start.get(at + 2 * TS_PACKET).is_none_or(|byte| *byte == 0x47)
    };
    start.len() < SHORTEST
        || start.starts_with(b"ID3")
        || start.starts_with(&[0x1F, 0x43, 0xB6, 0x75])
        || Container::sniff(start).is_some()
        || is_box(start)
        || (0..TS_PACKET).any(is_ts)
}

/// Whether a track that begins so is nothing but frames of sound.
pub(crate) fn is_packed(start: &[u8]) -> bool {
    start.starts_with(b"ID3") || Container::sniff(start).is_some_and(|container| container.packed().is_some())
}

/// Packed audio begins with an ID3 tag that carries its timestamp (RFC 8216 section 3.4).
fn after_id3(start: &[u8]) -> &[u8] {
    match start {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, ..] => {
            let size = [a, b, c, d].iter().fold(0_usize, |size, byte| size << 7 | usize::from(**byte & 0x7F));
            start.get(10 + size..).unwrap_or_default()
        }
        _ => start,
    }
}

/// Containers of a finished file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Output {
    Mp4,
    /// MP4 with sound only.
    M4a,
    /// Nothing but MP3 frames.
    Mp3,
    WebM,
    Mkv,
    /// Sound whose kind changes in the middle has no other home: only here every frame says what it is.
    Ts,
}

impl Output {
    /// Boxes, whose index says where everything is.
    pub(super) const fn is_mp4(self) -> bool {
        matches!(self, Self::Mp4 | Self::M4a)
    }

    /// The best for these codecs. A wish is granted when they fit.
    pub(super) fn choose(codecs: &[Codec], wish: Option<&str>) -> Self {
        let sound_only = codecs.iter().all(|codec| codec.kind() == CodecKind::Audio);
        let mp4 = codecs.iter().all(Codec::fits_mp4);
        let webm = codecs.iter().all(Codec::fits_webm);
        let in_mp4 = if sound_only { Self::M4a } else { Self::Mp4 };
        match wish.map(str::to_ascii_lowercase).as_deref() {
            Some("mkv" | "mka") => return Self::Mkv,
            Some("webm") if webm => return Self::WebM,
            Some("mp4" | "m4v" | "mov") if mp4 => return in_mp4,
            Some("m4a") if mp4 && sound_only => return Self::M4a,
            _ => {}
        }
        if codecs == [Codec::Mp3] {
            return Self::Mp3;
        }
        // What was made for the web and nothing else goes where it is at home; AV1 with AAC is at home in MP4.
        let of_webm = codecs.iter().any(|codec| {
            matches!(codec, Codec::Vp8 | Codec::Vp9 | Codec::Vorbis) || (sound_only && *codec == Codec::Opus)
        });
        match (mp4, webm) {
            (_, true) if of_webm => Self::WebM,
            (true, _) => in_mp4,
            (_, true) => Self::WebM,
            _ => Self::Mkv,
        }
    }

    /// Extension of the file's name.
    pub(super) const fn extension(self) -> &'static str {
        match self {
            Self::Mp4 => "mp4",
            Self::M4a => "m4a",
            Self::Mp3 => "mp3",
            Self::WebM => "webm",
            Self::Mkv => "mkv",
            Self::Ts => "ts",
        }
    }

    /// ffmpeg's name for writing it.
    pub(super) const fn muxer(self) -> &'static str {
        match self {
            // `ipod`, which is what ffmpeg calls M4A, knows no FLAC and no Opus.
            Self::Mp4 | Self::M4a => "mp4",
            Self::Mp3 => "mp3",
            Self::WebM => "webm",
            Self::Mkv => "matroska",
            Self::Ts => "mpegts",
        }
    }

    /// ffmpeg's name for reading it.
    pub(super) const fn demuxer(self) -> &'static str {
        match self {
            Self::Mp4 | Self::M4a => "mov",
            Self::Mp3 => "mp3",
            Self::WebM | Self::Mkv => "matroska",
            Self::Ts => "mpegts",
        }
    }

    /// ffmpeg's name for the text tracks it holds; none when it holds none.
    pub(super) const fn subtitle_codec(self) -> Option<&'static str> {
        match self {
            Self::Mp4 => Some("mov_text"),
            Self::WebM => Some("webvtt"),
            Self::Mkv => Some("srt"),
            Self::M4a | Self::Mp3 | Self::Ts => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_server_says_instead_of_a_segment_is_no_media() {
        for foreign in [
            "{\"error\":\"not found\"}",
            "Too many requests, come back later",
            "<!doctype html><html>",
            "#EXTM3U\n#EXTINF:1,",
        ] {
            assert!(!is_media(foreign.as_bytes()), "{foreign}");
        }
        let mut late = vec![0; 600];
        (late[5], late[193], late[381], late[569]) = (0x47, 0x47, 0x47, 0x47);
        for media in [
            &b"\0\0\0\x10emsg\0\0\0\0\0\0"[..],
            b"\0\0\0\x01mdat\0\0\0\0\0\0",
            b"\x1F\x43\xB6\x75\x01\0\0\0\0\0\0\0",
            b"ID3\x04\0\0\0\0\0\x02xx",
            &late,
        ] {
            assert!(is_media(media), "{media:?}");
        }
    }

    #[test]
    fn containers_are_told_by_their_first_bytes() {
        let mut ts = vec![0; 400];
        (ts[0], ts[188], ts[376]) = (0x47, 0x47, 0x47);
        for (start, container) in [
            (ts, Some(Container::Ts)),
            (b"\0\0\0\x18ftypmp42".to_vec(), Some(Container::Mp4)),
            (b"\0\0\0\x18stypmsdh".to_vec(), Some(Container::Mp4)),
            (vec![0x1A, 0x45, 0xDF, 0xA3, 0x9F], Some(Container::WebM)),
            (vec![0xFF, 0xF1, 0x50, 0x80], Some(Container::Aac)),
            (vec![0xFF, 0xFB, 0x90, 0x00], Some(Container::Mp3)),
            (vec![0x0B, 0x77, 0, 0, 0, 8 << 3], Some(Container::Ac3)),
            (vec![0x0B, 0x77, 0, 0, 0, 16 << 3], Some(Container::Eac3)),
            ([b"ID3\x04\0\0\0\0\0\x02xx".to_vec(), vec![0xFF, 0xF1]].concat(), Some(Container::Aac)),
            (b"#EXTM3U\n".to_vec(), None),
            (b"ffconcat version 1.0".to_vec(), None),
            (b"<html>".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(Container::sniff(&start), container, "{start:?}");
        }
    }

    #[test]
    fn the_codecs_choose_the_container() {
        use Codec::{Aac, Alac, Av1, Dts, Eac3, Flac, H264, Hevc, Mp3, Opus, Vorbis, Vp8, Vp9};
        for (codecs, wish, output) in [
            (vec![H264, Aac], None, Output::Mp4),
            (vec![Hevc, Eac3, Aac], None, Output::Mp4),
            (vec![Av1, Opus], None, Output::Mp4),
            (vec![Vp9, Opus], None, Output::WebM),
            (vec![Vp8, Vorbis], None, Output::WebM),
            (vec![Vp9, Aac], None, Output::Mp4),
            (vec![H264, Opus], None, Output::Mp4),
            (vec![H264, Vorbis], None, Output::Mkv),
            (vec![Vp8, Aac], None, Output::Mkv),
            (vec![Aac], None, Output::M4a),
            (vec![Alac], None, Output::M4a),
            (vec![Opus], None, Output::WebM),
            (vec![Mp3], None, Output::Mp3),
            (vec![Mp3], Some("m4a"), Output::M4a),
            (vec![H264, Flac], None, Output::Mp4),
            (vec![H264, Dts], None, Output::Mp4),
            (vec![H264, Aac], Some("MKV"), Output::Mkv),
            (vec![H264, Aac], Some("webm"), Output::Mp4),
            (vec![Av1, Opus], Some("webm"), Output::WebM),
            (vec![Vp9, Opus], Some("mp4"), Output::Mp4),
            (vec![H264, Aac], Some("m4a"), Output::Mp4),
        ] {
            assert_eq!(Output::choose(&codecs, wish), output, "{codecs:?} {wish:?}");
        }
    }
}
