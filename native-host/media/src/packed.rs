//! Packed audio: frames of sound with nothing around them but a tag that tells their time (RFC 8216 section 3.4).
//!
//! Pure. Invariant: only a well-formed tag is taken for one, because its three letters may well occur in sound.

mod frames;

pub use frames::{Frame, HEAD, frame};

/// Owner of the frame that holds a segment's time on the clock of the stream.
const OWNER: &[u8] = b"com.apple.streaming.transportStreamTimestamp\0";
/// Largest tag that is believed; some carry pictures.
pub const MAX_TAG: usize = 1 << 20;

/// Length of the ID3 tag (version 2.3 or 2.4) that `bytes` begin with; none when they begin with something else.
#[must_use]
pub fn tag_length(bytes: &[u8]) -> Option<usize> {
    let [b'I', b'D', b'3', 3 | 4, revision, flags, a, b, c, d, ..] = bytes else { return None };
    let synchsafe = [a, b, c, d].iter().all(|byte| **byte < 0x80);
    let size = [a, b, c, d].iter().fold(0_usize, |size, byte| size << 7 | usize::from(**byte));
    let footer = if flags & 0x10 != 0 { 10 } else { 0 };
    // A frame's name follows, or the zeros of padding.
    let named = match bytes.get(10..14) {
        Some(name) => {
            name.iter().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || *byte == 0)
        }
        None => true,
    };
    let plausible = *revision < 0xFF && flags & 0x0F == 0 && synchsafe && named && size <= MAX_TAG;
    plausible.then_some(10 + size + footer)
}

/// The time that the tag at the beginning of a segment states, in ticks of 1/90000 s.
#[must_use]
pub fn timestamp(bytes: &[u8]) -> Option<i64> {
    let tag = bytes.get(..tag_length(bytes)?.min(bytes.len()))?;
    let at = tag.windows(OWNER.len()).position(|window| window == OWNER)? + OWNER.len();
    let time = u64::from_be_bytes(tag.get(at..at + 8)?.try_into().ok()?);
    // 33 bits; what is above has been seen to be garbage.
    Some((time & ((1 << 33) - 1)).cast_signed())
}

/// Where the next tag begins in `bytes`, and its length; a tag of which only the head is there counts.
#[must_use]
pub fn next_tag(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut from = 0;
    while let Some(found) = bytes.get(from..)?.windows(3).position(|window| window == b"ID3") {
        let at = from + found;
        if bytes.len() - at >= 14
            && let Some(length) = tag_length(&bytes[at..])
        {
            return Some((at, length));
        }
        from = at + 3;
    }
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tag(time: u64) -> Vec<u8> {
        let body = [&b"PRIV"[..], &[0, 0, 0, 53, 0, 0], OWNER, &time.to_be_bytes()].concat();
        [&b"ID3\x04\0\0\0\0\0"[..], &[body.len() as u8], &body].concat()
    }

    #[test]
    fn the_tag_tells_the_time_of_a_segment() {
        let segment = [tag(900_000), vec![0xFF, 0xF1, 1, 2, 3]].concat();
        assert_eq!(timestamp(&segment), Some(900_000));
        assert_eq!(tag_length(&segment), Some(segment.len() - 5));
        assert_eq!(timestamp(&tag(1 << 40 | 7)), Some(7));
        assert_eq!(timestamp(&segment[..30]), None);
        assert_eq!(timestamp(b"\xFF\xF1"), None);
    }

    #[test]
    fn letters_in_the_sound_are_no_tag() {
        let sound =
            b"\xFF\xF1ID3\xFF\x00ID3\x04\0\0\x80\0\0\0PRIV..ID3\x04\0\0\0\0\0\0\xFF\xFF\xFF\xFF".to_vec();
        assert_eq!(next_tag(&sound), None);
        let joined = [sound.clone(), tag(5), sound.clone()].concat();
        assert_eq!(next_tag(&joined), Some((sound.len(), tag(5).len())));
    }
}
