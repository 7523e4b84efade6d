//! Segments in the clothes of a picture: some servers put an image's bytes in front of the media.
//!
//! Pure: bytes in, bytes out. Never changes what does not begin like a picture. Invariant: at most [`MAX_HEADER`] bytes are
//! held back, and a picture without media behind it is told as such.

use bytes::{Bytes, BytesMut};

/// Longest picture that is looked behind.
const MAX_HEADER: usize = 512 * 1024;
/// Bytes that tell a picture.
const TOLD_BY: usize = 12;
const TS_PACKET: usize = 188;
/// Sync bytes in a row that make a transport stream.
const TS_SYNCS: usize = 3;

/// The bytes are a picture and nothing else, as far as can be seen.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct OnlyAPicture;

/// Takes the picture off the front of one segment.
#[derive(Debug, Default)]
pub(crate) struct Undisguise {
    held: BytesMut,
    decided: bool,
}

impl Undisguise {
    /// What of `bytes`, and of those held back before, is media.
    pub(crate) fn push(&mut self, bytes: Bytes) -> Result<Option<Bytes>, OnlyAPicture> {
        if self.decided {
            return Ok(Some(bytes));
        }
        if self.held.is_empty() && bytes.len() >= TOLD_BY && !is_picture(&bytes) {
            self.decided = true;
            return Ok(Some(bytes));
        }
        self.held.extend_from_slice(&bytes);
        if self.held.len() < TOLD_BY {
            return Ok(None);
        }
        if !is_picture(&self.held) {
            self.decided = true;
            return Ok(Some(self.held.split().freeze()));
        }
        match media_at(&self.held) {
            Some(at) => {
                self.decided = true;
                let mut media = self.held.split();
                Ok(Some(media.split_off(at).freeze()))
            }
            None if self.held.len() > MAX_HEADER => Err(OnlyAPicture),
            None => Ok(None),
        }
    }

    /// What is left when the segment ends.
    pub(crate) fn finish(self) -> Result<Option<Bytes>, OnlyAPicture> {
        match (self.decided || self.held.is_empty(), is_picture(&self.held)) {
            (true, _) => Ok(None),
            (false, true) => Err(OnlyAPicture),
            (false, false) => Ok(Some(self.held.freeze())),
        }
    }
}

/// Whether bytes begin as an image does.
pub(crate) fn is_picture(start: &[u8]) -> bool {
    start.starts_with(b"\x89PNG\r\n\x1a\n")
        || start.starts_with(&[0xFF, 0xD8, 0xFF])
        || start.starts_with(b"GIF8")
        || (start.starts_with(b"BM") && start.get(6..10) == Some(&[0; 4]))
        || (start.starts_with(b"RIFF") && start.get(8..12).is_none_or(|kind| kind == b"WEBP"))
}

/// Where a transport stream or a fragment begins.
fn media_at(bytes: &[u8]) -> Option<usize> {
    (1..bytes.len()).find(|&at| is_ts(&bytes[at..]) || is_box(&bytes[at..]))
}

fn is_ts(bytes: &[u8]) -> bool {
    (0..TS_SYNCS).all(|packet| bytes.get(packet * TS_PACKET) == Some(&0x47))
}

fn is_box(bytes: &[u8]) -> bool {
    let (Some(size), Some(kind)) = (weir_media::mp4::u32_at(bytes, 0), bytes.get(4..8)) else { return false };
    (8..=64 * 1024).contains(&size) && [&b"ftyp"[..], b"styp", b"moof", b"sidx", b"emsg"].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ts(packets: usize) -> Vec<u8> {
        (0..packets).flat_map(|n| [&[0x47, 0x40, 0x11, 0x10][..], &[n as u8; 184]].concat()).collect()
    }

    fn run(bytes: &[u8], step: usize) -> Result<Vec<u8>, OnlyAPicture> {
        let mut undisguise = Undisguise::default();
        let mut out = Vec::new();
        for some in bytes.chunks(step) {
            out.extend(undisguise.push(Bytes::copy_from_slice(some))?.unwrap_or_default());
        }
        out.extend(undisguise.finish()?.unwrap_or_default());
        Ok(out)
    }

    #[test]
    fn pictures_in_front_are_taken_off_and_nothing_else_is() {
        let media = ts(20);
        let fragment = [&[0, 0, 0, 24][..], b"styp", &[7; 16], &media].concat();
        let png = [b"\x89PNG\r\n\x1a\n".to_vec(), vec![1; 150], b"IEND\xaeB\x60\x82".to_vec()].concat();
        let bmp = [b"BM\x36\x10\0\0\0\0\0\0".to_vec(), vec![9; 44]].concat();
        let jpeg = [vec![0xFF, 0xD8, 0xFF, 0xE0], vec![3; 600], vec![0xFF, 0xD9]].concat();
        for step in [1, 7, 188, 4096] {
            for picture in [&png, &bmp, &jpeg, &b"GIF89a\x01\0\x01\0;".to_vec()] {
                assert_eq!(run(&[&picture[..], &media].concat(), step), Ok(media.clone()));
                assert_eq!(run(&[&picture[..], &fragment].concat(), step), Ok(fragment.clone()));
                assert_eq!(run(picture, step), Err(OnlyAPicture));
            }
            for plain in [media.clone(), fragment.clone(), b"ID3\x04abc".to_vec(), vec![0x0B], Vec::new()] {
                assert_eq!(run(&plain, step), Ok(plain));
            }
        }
    }
}
