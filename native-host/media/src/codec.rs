//! What sound and picture are encoded with, as transport streams and MP4 say it, and which containers can hold it.
//!
//! Never decodes. Invariant: a codec that is not known is [`Codec::Other`] with its name, never taken for another.

use crate::mp4::{boxes, child, u32_at};

/// A way to encode sound or pictures.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Codec {
    /// AVC, ISO/IEC 14496-10.
    H264,
    /// H.265, ISO/IEC 23008-2.
    Hevc,
    /// AOMedia Video 1.
    Av1,
    /// Pictures of WebM's first years.
    Vp8,
    /// VP9.
    Vp9,
    /// MPEG-1 and MPEG-2 video.
    Mpeg2,
    /// MPEG-4 part 2.
    Mpeg4,
    /// AAC in all its profiles.
    Aac,
    /// Dolby Digital.
    Ac3,
    /// Dolby Digital Plus.
    Eac3,
    /// MPEG audio, layers 1 to 3.
    Mp3,
    /// FLAC.
    Flac,
    /// Opus.
    Opus,
    /// Vorbis.
    Vorbis,
    /// Apple Lossless.
    Alac,
    /// DTS in all its kinds.
    Dts,
    /// WebVTT in MP4 (`wvtt`).
    WebVtt,
    /// TTML in MP4 (`stpp`).
    Ttml,
    /// Anything else, by the name its container gives it.
    Other {
        /// Printable.
        name: String,
        /// Sound, pictures, or neither.
        kind: CodecKind,
    },
}

/// What a codec encodes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CodecKind {
    /// Pictures.
    Video,
    /// Sound.
    Audio,
    /// Text.
    Text,
    /// Anything else: timed metadata, hints.
    Data,
}

impl Codec {
    /// What it encodes.
    #[must_use]
    pub const fn kind(&self) -> CodecKind {
        match self {
            Self::H264 | Self::Hevc | Self::Av1 | Self::Vp8 | Self::Vp9 | Self::Mpeg2 | Self::Mpeg4 => {
                CodecKind::Video
            }
            Self::Aac
            | Self::Ac3
            | Self::Eac3
            | Self::Mp3
            | Self::Flac
            | Self::Opus
            | Self::Vorbis
            | Self::Alac
            | Self::Dts => CodecKind::Audio,
            Self::WebVtt | Self::Ttml => CodecKind::Text,
            Self::Other { kind, .. } => *kind,
        }
    }

    /// MP4 files with it play where MP4 files play.
    #[must_use]
    pub const fn fits_mp4(&self) -> bool {
        !matches!(self, Self::Vp8 | Self::Vorbis | Self::Other { .. })
    }

    /// WebM allows it.
    #[must_use]
    pub const fn fits_webm(&self) -> bool {
        matches!(self, Self::Vp8 | Self::Vp9 | Self::Av1 | Self::Opus | Self::Vorbis)
    }

    /// Transport streams carry it, with all that a decoder must know in the stream itself.
    #[must_use]
    pub const fn fits_ts(&self) -> bool {
        matches!(
            self,
            Self::H264
                | Self::Hevc
                | Self::Mpeg2
                | Self::Mpeg4
                | Self::Aac
                | Self::Ac3
                | Self::Eac3
                | Self::Mp3
                | Self::Dts
        )
    }

    /// Its common name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::H264 => "H.264",
            Self::Hevc => "HEVC",
            Self::Av1 => "AV1",
            Self::Vp8 => "VP8",
            Self::Vp9 => "VP9",
            Self::Mpeg2 => "MPEG-2",
            Self::Mpeg4 => "MPEG-4",
            Self::Aac => "AAC",
            Self::Ac3 => "AC-3",
            Self::Eac3 => "E-AC-3",
            Self::Mp3 => "MP3",
            Self::Flac => "FLAC",
            Self::Opus => "Opus",
            Self::Vorbis => "Vorbis",
            Self::Alac => "ALAC",
            Self::Dts => "DTS",
            Self::WebVtt => "WebVTT",
            Self::Ttml => "TTML",
            Self::Other { name, .. } => name,
        }
    }

    /// By the `stream_type` of a transport stream's program map and the descriptors beside it (ISO/IEC 13818-1 table
    /// 2-34; ATSC A/53; ETSI EN 300 468 for the descriptors of private data).
    #[must_use]
    pub fn of_stream_type(stream_type: u8, descriptors: &[u8]) -> Self {
        match stream_type {
            0x01 | 0x02 => Self::Mpeg2,
            0x03 | 0x04 => Self::Mp3,
            0x0F => Self::Aac,
            0x10 => Self::Mpeg4,
            0x1B => Self::H264,
            0x24 => Self::Hevc,
            0x81 => Self::Ac3,
            0x84 | 0x87 => Self::Eac3,
            0x82 | 0x85 | 0x86 | 0x8A => Self::Dts,
            0x06 => Self::of_descriptors(descriptors),
            // Apple's numbers for samples that are encrypted one by one.
            0xDB | 0xCF | 0xC1 | 0xC2 => Self::Other {
                name: "encrypted samples".to_owned(),
                kind: if stream_type == 0xDB { CodecKind::Video } else { CodecKind::Audio },
            },
            0x11 => Self::Other { name: "AAC in LATM".to_owned(), kind: CodecKind::Audio },
            other => Self::Other { name: format!("stream type {other:#04x}"), kind: CodecKind::Data },
        }
    }

    fn of_descriptors(mut rest: &[u8]) -> Self {
        while let [tag, length, body @ ..] = rest {
            let Some(content) = body.get(..usize::from(*length)) else { break };
            match (tag, content.get(..4)) {
                (0x6A, _) | (0x05, Some(b"AC-3")) => return Self::Ac3,
                (0x7A, _) | (0x05, Some(b"EAC3")) => return Self::Eac3,
                (0x7B, _) | (0x05, Some(b"DTS1" | b"DTS2" | b"DTS3")) => return Self::Dts,
                (0x05, Some(b"Opus")) => return Self::Opus,
                (0x05, Some(b"HEVC")) => return Self::Hevc,
                (0x05, Some(b"AV01")) => return Self::Av1,
                (0x05, Some(b"VP09")) => return Self::Vp9,
                _ => {}
            }
            rest = &body[content.len()..];
        }
        Self::Other { name: "private data".to_owned(), kind: CodecKind::Data }
    }

    /// By a sample entry of MP4: its four letters and its body (ISO/IEC 14496-12 section 8.5.2). `handler` is that of its
    /// track.
    #[must_use]
    pub fn of_sample_entry(letters: [u8; 4], entry: &[u8], handler: [u8; 4]) -> Self {
        match &letters {
            b"avc1" | b"avc3" | b"dva1" | b"dvav" => Self::H264,
            b"hvc1" | b"hev1" | b"dvh1" | b"dvhe" => Self::Hevc,
            b"av01" | b"dav1" => Self::Av1,
            b"vp08" => Self::Vp8,
            b"vp09" => Self::Vp9,
            b"ac-3" => Self::Ac3,
            b"ec-3" => Self::Eac3,
            b"fLaC" => Self::Flac,
            b"Opus" => Self::Opus,
            b"alac" => Self::Alac,
            b".mp3" => Self::Mp3,
            b"dtsc" | b"dtse" | b"dtsh" | b"dtsl" | b"dtsx" => Self::Dts,
            b"wvtt" => Self::WebVtt,
            b"stpp" => Self::Ttml,
            // Object types of ISO/IEC 14496-1 table 5.
            b"mp4a" => match object_type(entry.get(28..).unwrap_or_default()) {
                Some(0x69 | 0x6B) => Self::Mp3,
                Some(0xA9..=0xAC) => Self::Dts,
                Some(0xA5) => Self::Ac3,
                Some(0xA6) => Self::Eac3,
                Some(0xAD) => Self::Opus,
                Some(0xDD) => Self::Vorbis,
                _ => Self::Aac,
            },
            b"mp4v" => match object_type(entry.get(78..).unwrap_or_default()) {
                Some(0x60..=0x65 | 0x6A) => Self::Mpeg2,
                _ => Self::Mpeg4,
            },
            _ => Self::Other {
                name: String::from_utf8_lossy(&letters).chars().filter(|c| !c.is_control()).collect(),
                kind: match &handler {
                    b"vide" => CodecKind::Video,
                    b"soun" => CodecKind::Audio,
                    b"text" | b"subt" | b"sbtl" | b"clcp" => CodecKind::Text,
                    _ => CodecKind::Data,
                },
            },
        }
    }
}

/// The object type in the elementary stream descriptor among `children` (ISO/IEC 14496-1 section 7.2.6).
fn object_type(children: &[u8]) -> Option<u8> {
    let mut rest = child(children, b"esds")?.get(4..)?;
    let mut inside = descriptor(&mut rest, 0x03)?;
    let flags = *inside.get(2)?;
    let mut skipped = 3;
    skipped += if flags & 0x80 != 0 { 2 } else { 0 };
    if flags & 0x40 != 0 {
        skipped += 1 + usize::from(*inside.get(skipped)?);
    }
    skipped += if flags & 0x20 != 0 { 2 } else { 0 };
    inside = inside.get(skipped..)?;
    descriptor(&mut inside, 0x04)?.first().copied()
}

/// The body of the descriptor with this tag that `rest` begins with.
fn descriptor<'a>(rest: &mut &'a [u8], tag: u8) -> Option<&'a [u8]> {
    let (found, mut after) = rest.split_first()?;
    let mut size = 0_usize;
    for _ in 0..4 {
        let (byte, more) = after.split_first()?;
        size = size << 7 | usize::from(byte & 0x7F);
        after = more;
        if byte & 0x80 == 0 {
            break;
        }
    }
    // The size may count what is not there; what is needed stands at the beginning.
    (*found == tag).then(|| after.get(..size).unwrap_or(after))
}

/// A track that an initialisation section announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Track {
    /// `track_ID`.
    pub id: u32,
    /// Units of its timestamps in a second, at least 1.
    pub timescale: u32,
    /// What it carries, by the first sample entry.
    pub codec: Codec,
    /// Everything a decoder must know: the `stsd` box's body.
    pub description: Vec<u8>,
    /// Sample defaults of its fragments: the body of its `trex` box; empty without one.
    pub defaults: Vec<u8>,
    /// What the track's edit list takes off its beginning, in units of the timescale; 0 without one.
    pub skipped: i64,
}

impl Track {
    /// A sample entry of it is protected (`encv`, `enca` and their like).
    #[must_use]
    pub fn is_protected(&self) -> bool {
        matches!(self.description.get(12..16), Some(b"encv" | b"enca" | b"enct" | b"encs"))
    }
}

/// The tracks of an initialisation section, given as the body of its `moov` box.
#[must_use]
pub fn tracks(moov: &[u8]) -> Vec<Track> {
    let mvex = child(moov, b"mvex").unwrap_or_default();
    boxes(moov).filter(|(kind, _)| kind == b"trak").filter_map(|(_, trak)| track(trak, mvex)).collect()
}

fn track(trak: &[u8], mvex: &[u8]) -> Option<Track> {
    let tkhd = child(trak, b"tkhd")?;
    let id = u32_at(tkhd, if tkhd.first()? & 1 == 1 { 20 } else { 12 })?;
    let mdia = child(trak, b"mdia")?;
    let mdhd = child(mdia, b"mdhd")?;
    let timescale = u32_at(mdhd, if mdhd.first()? & 1 == 1 { 20 } else { 12 })?.max(1);
    let handler: [u8; 4] = child(mdia, b"hdlr")?.get(8..12)?.try_into().ok()?;
    let stsd = child(child(child(mdia, b"minf")?, b"stbl")?, b"stsd")?;
    let (letters, entry) = boxes(stsd.get(8..)?).next()?;
    let defaults = boxes(mvex).find(|(kind, body)| kind == b"trex" && u32_at(body, 4) == Some(id));
    Some(Track {
        id,
        timescale,
        codec: Codec::of_sample_entry(letters, entry, handler),
        description: stsd.to_vec(),
        defaults: defaults.map(|(_, body)| body.to_vec()).unwrap_or_default(),
        skipped: child(trak, b"edts").and_then(|edts| skipped(child(edts, b"elst")?)).unwrap_or_default(),
    })
}

/// Media time of the first edit that is no pause.
fn skipped(elst: &[u8]) -> Option<i64> {
    let wide = elst.first()? & 1 == 1;
    let count = u32_at(elst, 4)?.min(16) as usize;
    let size = if wide { 20 } else { 12 };
    let times = elst.get(8..)?.chunks_exact(size).take(count).filter_map(|edit| {
        if wide {
            crate::mp4::u64_at(edit, 8).map(u64::cast_signed)
        } else {
            u32_at(edit, 4).map(|time| i64::from(time.cast_signed()))
        }
    });
    times.into_iter().find(|time| *time >= 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stream_types_and_descriptors_have_names() {
        for (stream_type, descriptors, codec) in [
            (0x1B, &[][..], Codec::H264),
            (0x24, &[], Codec::Hevc),
            (0x0F, &[], Codec::Aac),
            (0x03, &[], Codec::Mp3),
            (0x81, &[], Codec::Ac3),
            (0x87, &[], Codec::Eac3),
            (0x06, &[0x52, 1, 9, 0x7A, 1, 0], Codec::Eac3),
            (0x06, b"\x05\x04Opus\x7F\x02\x80\x02", Codec::Opus),
        ] {
            assert_eq!(Codec::of_stream_type(stream_type, descriptors), codec);
        }
        // Timed metadata is neither sound nor picture, and a descriptor that is cut is none.
        assert_eq!(Codec::of_stream_type(0x15, &[]).kind(), CodecKind::Data);
        assert_eq!(Codec::of_stream_type(0x06, &[0x05, 9, b'O']).kind(), CodecKind::Data);
    }

    #[test]
    fn sound_in_mp4_is_told_by_its_object_type() {
        let esds = |object: u8| {
            let inner = [0x04, 1, object];
            let body = [&[0, 0, 0, 0, 0x03, 3 + inner.len() as u8, 0, 1, 0][..], &inner].concat();
            let mut entry = vec![0; 28];
            entry.extend((body.len() as u32 + 8).to_be_bytes());
            entry.extend(b"esds");
            entry.extend(body);
            entry
        };
        for (object, codec) in [(0x40, Codec::Aac), (0x6B, Codec::Mp3), (0xDD, Codec::Vorbis)] {
            assert_eq!(Codec::of_sample_entry(*b"mp4a", &esds(object), *b"soun"), codec);
        }
        let unknown = Codec::of_sample_entry(*b"xyz1", &[], *b"vide");
        assert_eq!((unknown.name(), unknown.kind(), unknown.fits_mp4()), ("xyz1", CodecKind::Video, false));
    }
}
