//! One file out of a ZIP archive that is compiled in.
//!
//! Reads the archives of [APPNOTE 6.3](https://pkware.cachefly.net/webdocs/casestudies/APPNOTE.TXT) that are stored or
//! deflated, below 4 GiB and in one part: nobody hands in any other. Never trusts a number: what leads outside of the archive
//! is not found.

use std::io::{self, Read as _};

/// End of the central directory, section 4.3.16.
const END: [u8; 4] = *b"PK\x05\x06";
/// An entry of it, section 4.3.12.
const ENTRY: [u8; 4] = *b"PK\x01\x02";
/// Size of an entry before its name.
const ENTRY_SIZE: usize = 46;
/// Size of the header in front of the bytes, before its name (section 4.3.7).
const HEADER_SIZE: usize = 30;

/// A file as it lies in the archive.
#[derive(Debug, Clone, Copy)]
pub(super) struct Packed<'a> {
    bytes: &'a [u8],
    /// Size when it is unpacked.
    size: u32,
    pub(super) crc: u32,
}

/// The deflated file whose path ends so.
pub(super) fn find<'a>(archive: &'a [u8], ending: &str) -> Option<Packed<'a>> {
    let end = archive.windows(END.len()).rposition(|four| four == END)?;
    let count = u16_at(archive, end + 10)?;
    let mut at = u32_at(archive, end + 16)? as usize;
    for _ in 0..count {
        let entry = archive.get(at..)?;
        if entry.get(..4)? != ENTRY {
            return None;
        }
        let name_size = usize::from(u16_at(entry, 28)?);
        let name = entry.get(ENTRY_SIZE..ENTRY_SIZE + name_size)?;
        if name.ends_with(ending.as_bytes()) {
            return packed(archive, entry);
        }
        at += ENTRY_SIZE + name_size + usize::from(u16_at(entry, 30)?) + usize::from(u16_at(entry, 32)?);
    }
    None
}

fn packed<'a>(archive: &'a [u8], entry: &[u8]) -> Option<Packed<'a>> {
    const DEFLATED: u16 = 8;
    if u16_at(entry, 10)? != DEFLATED {
        return None;
    }
    let header = archive.get(u32_at(entry, 42)? as usize..)?;
    let start = HEADER_SIZE + usize::from(u16_at(header, 26)?) + usize::from(u16_at(header, 28)?);
    let bytes = header.get(start..)?.get(..u32_at(entry, 20)? as usize)?;
    Some(Packed { bytes, size: u32_at(entry, 24)?, crc: u32_at(entry, 16)? })
}

impl Packed<'_> {
    /// As a gzip stream (RFC 1952), without packing it anew.
    pub(super) fn gzip(&self) -> Vec<u8> {
        let head = [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255];
        [&head, self.bytes, &self.crc.to_le_bytes(), &self.size.to_le_bytes()].concat()
    }

    /// What it is.
    pub(super) fn unpack(&self) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        flate2::read::DeflateDecoder::new(self.bytes).take(u64::from(self.size)).read_to_end(&mut out)?;
        Ok(out)
    }
}

fn u16_at(bytes: &[u8], at: usize) -> Option<u16> {
    Some(u16::from_le_bytes(bytes.get(at..at.checked_add(2)?)?.try_into().ok()?))
}

fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_le_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_no_archive_has_no_files() {
        let whole = utoipa_swagger_ui_vendored::SWAGGER_UI_VENDORED;
        let end = whole.windows(4).rposition(|four| four == END).unwrap();
        for archive in [&b""[..], b"PK\x05\x06", &[0; 100], &whole[end..], &whole[..10_000]] {
            assert!(find(archive, "/dist/swagger-ui.css").is_none());
        }
        assert!(find(whole, "/dist/nothing.js").is_none());
    }
}
