//! How long frames of sound play, by their heads alone: ADTS (ISO/IEC 13818-7 section 6.2), MPEG audio (ISO/IEC 11172-3
//! section 2.4.1.3), AC-3 and Enhanced AC-3 (ETSI TS 102 366 sections 4.3 and E.1.2).
//!
//! Pure; nothing is decoded. Invariant: a frame has at least the bytes of its head, so whoever goes from one to the next gets
//! on.

use crate::codec::Codec;

/// Bytes that are enough to read the head of any frame.
pub const HEAD: usize = 8;

/// One frame of sound.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Frame {
    /// Bytes it takes, its head included.
    pub length: usize,
    /// How many samples of one channel it plays; 0 for what plays together with the frame before it.
    pub samples: u32,
    /// Samples a second.
    pub rate: u32,
}

/// The frame of `codec` that begins with `bytes`, of which [`HEAD`] are enough; none when there is none.
#[must_use]
pub fn frame(codec: &Codec, bytes: &[u8]) -> Option<Frame> {
    match codec {
        Codec::Aac => adts(bytes),
        Codec::Mp3 => mpeg(bytes),
        Codec::Ac3 | Codec::Eac3 => dolby(bytes),
        _ => None,
    }
    .filter(|frame| frame.length >= HEAD)
}

fn adts(bytes: &[u8]) -> Option<Frame> {
    const RATES: [u32; 13] = [
        96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025, 8_000, 7_350,
    ];
    let &[0xFF, second, third, fourth, fifth, sixth, seventh, ..] = bytes else { return None };
    if second & 0xF6 != 0xF0 {
        return None;
    }
    let rate = *RATES.get(usize::from(third >> 2 & 0x0F))?;
    let length = usize::from(fourth & 3) << 11 | usize::from(fifth) << 3 | usize::from(sixth >> 5);
    Some(Frame { length, samples: 1024 * (u32::from(seventh & 3) + 1), rate })
}

fn mpeg(bytes: &[u8]) -> Option<Frame> {
    /// Kilobits a second, by what the head says: layers I, II and III of MPEG-1, then I, and II and III, of MPEG-2.
    const BIT_RATES: [[u32; 15]; 5] = [
        [0, 32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448],
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384],
        [0, 32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320],
        [0, 32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256],
        [0, 8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
    ];
    let &[0xFF, second, third, ..] = bytes else { return None };
    if second & 0xE0 != 0xE0 {
        return None;
    }
    // 3 is MPEG-1, 2 is MPEG-2, 0 is MPEG-2.5; 1 is reserved.
    let version = second >> 3 & 3;
    let first = version == 3;
    let (column, samples) = match (second >> 1 & 3, first) {
        (3, true) => (0, 384),
        (2, true) => (1, 1152),
        (1, true) => (2, 1152),
        (3, false) => (3, 384),
        (2, false) => (4, 1152),
        (1, false) => (4, 576),
        _ => return None,
    };
    let shift = match version {
        3 => 0,
        2 => 1,
        0 => 2,
        _ => return None,
    };
    let rate = *[44_100_u32, 48_000, 32_000].get(usize::from(third >> 2 & 3))? >> shift;
    // 0 stands for a rate that is stated nowhere.
    let bits = BIT_RATES[column].get(usize::from(third >> 4)).filter(|bits| **bits > 0)? * 1000;
    let padding = u32::from(third >> 1 & 1);
    let length =
        if samples == 384 { (12 * bits / rate + padding) * 4 } else { samples / 8 * bits / rate + padding };
    Some(Frame { length: length as usize, samples, rate })
}

fn dolby(bytes: &[u8]) -> Option<Frame> {
    const RATES: [u32; 3] = [48_000, 44_100, 32_000];
    /// Kilobits a second of AC-3.
    const BIT_RATES: [u32; 19] =
        [32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640];
    let &[0x0B, 0x77, third, fourth, fifth, sixth, ..] = bytes else { return None };
    if sixth >> 3 <= 10 {
        let rate = *RATES.get(usize::from(fifth >> 6))?;
        let size = fifth & 0x3F;
        let bits = BIT_RATES.get(usize::from(size >> 1))? * 1000;
        // In words of 16 bits; at 44.1 kHz every other size has one more.
        let words = 1536 * bits / (rate * 16) + if rate == 44_100 { u32::from(size & 1) } else { 0 };
        return Some(Frame { length: words as usize * 2, samples: 1536, rate });
    }
    let (kind, substream) = (third >> 6, third >> 3 & 7);
    let length = (usize::from(third & 7) << 8 | usize::from(fourth)) * 2 + 2;
    let (rate, blocks) = match fifth >> 6 {
        // Half the rate, and always six blocks.
        3 => (*RATES.get(usize::from(fifth >> 4 & 3))? / 2, 6),
        code => (*RATES.get(usize::from(code))?, [1, 2, 3, 6][usize::from(fifth >> 4 & 3)]),
    };
    // Further channels and further programmes play at the same time.
    let alone = kind != 1 && substream == 0;
    Some(Frame { length, samples: if alone { blocks * 256 } else { 0 }, rate })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn padded(head: &[u8]) -> Vec<u8> {
        [head, &[0; HEAD]].concat()
    }

    #[test]
    fn heads_say_how_long_frames_are_and_play() {
        let is = |codec, head: &[u8]| frame(&codec, &padded(head));
        let some = |length, samples, rate| Some(Frame { length, samples, rate });
        // 44.1 kHz, two channels, 371 bytes.
        assert_eq!(is(Codec::Aac, &[0xFF, 0xF1, 0x50, 0x80, 0x2E, 0x7F, 0xFC]), some(371, 1024, 44_100));
        // 128 kbit/s and 44.1 kHz, without padding and with; MPEG-2 of 64 kbit/s and 22.05 kHz.
        assert_eq!(is(Codec::Mp3, &[0xFF, 0xFB, 0x90, 0x00]), some(417, 1152, 44_100));
        assert_eq!(is(Codec::Mp3, &[0xFF, 0xFB, 0x92, 0x00]), some(418, 1152, 44_100));
        assert_eq!(is(Codec::Mp3, &[0xFF, 0xF3, 0x80, 0x00]), some(208, 576, 22_050));
        // 64 kbit/s at 48 kHz, and at 44.1 kHz the larger of its two sizes.
        assert_eq!(is(Codec::Ac3, &[0x0B, 0x77, 0, 0, 0x08, 0x40]), some(256, 1536, 48_000));
        assert_eq!(is(Codec::Ac3, &[0x0B, 0x77, 0, 0, 0x49, 0x40]), some(280, 1536, 44_100));
        assert_eq!(is(Codec::Eac3, &[0x0B, 0x77, 0x00, 0xFF, 0x30, 0x80]), some(512, 1536, 48_000));
        assert_eq!(is(Codec::Eac3, &[0x0B, 0x77, 0x40, 0xFF, 0x30, 0x80]), some(512, 0, 48_000));
    }

    #[test]
    fn what_is_no_head_is_none() {
        for (codec, head) in [
            (Codec::Aac, &[0xFF, 0xF1, 0x50, 0x80, 0x00, 0x1F, 0xFC][..]),
            (Codec::Aac, b"ID3\x04\0\0\0"),
            (Codec::Aac, &[0xFF, 0xF1, 0x7C, 0x80, 0x2E, 0x7F, 0xFC]),
            (Codec::Mp3, &[0xFF, 0xFB, 0x00, 0x00]),
            (Codec::Mp3, &[0xFF, 0xFB, 0xF0, 0x00]),
            (Codec::Mp3, &[0xFF, 0xEB, 0x90, 0x00]),
            (Codec::Ac3, &[0x0B, 0x77, 0, 0, 0xC8, 0x40]),
            (Codec::Ac3, &[0x0B, 0x77, 0, 0, 0x3F, 0x40]),
            (Codec::H264, &[0xFF, 0xFB, 0x90, 0x00]),
        ] {
            assert_eq!(frame(&codec, &padded(head)), None, "{codec:?} {head:?}");
        }
        assert_eq!(frame(&Codec::Aac, &[0xFF]), None);
    }
}
