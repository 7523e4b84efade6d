//! Boxes of ISO/IEC 14496-12, as far as streams need them.
//!
//! Never reads files: callers hand in the bytes they have. Invariant: no size in the bytes is trusted; what does not fit is
//! not there.

/// The body of the first box of this kind among those in `parent`.
#[must_use]
pub fn child<'a>(parent: &'a [u8], kind: &[u8; 4]) -> Option<&'a [u8]> {
    boxes(parent).find(|(found, _)| found == kind).map(|(_, body)| body)
}

/// The boxes in a body, each with its kind; stops at the first that does not fit.
pub fn boxes(mut rest: &[u8]) -> impl Iterator<Item = ([u8; 4], &[u8])> {
    std::iter::from_fn(move || {
        let size = u32_at(rest, 0)? as usize;
        let kind: [u8; 4] = rest.get(4..8)?.try_into().ok()?;
        let (head, size) = match size {
            0 => (8, rest.len()),
            1 => (16, usize::try_from(u64_at(rest, 8)?).ok()?),
            size => (8, size),
        };
        let body = rest.get(head..size)?;
        rest = &rest[size..];
        Some((kind, body))
    })
}

/// A big endian number, when there are four bytes.
#[must_use]
pub fn u32_at(bytes: &[u8], at: usize) -> Option<u32> {
    Some(u32::from_be_bytes(bytes.get(at..at.checked_add(4)?)?.try_into().ok()?))
}

/// A big endian number, when there are eight bytes.
#[must_use]
pub fn u64_at(bytes: &[u8], at: usize) -> Option<u64> {
    Some(u64::from_be_bytes(bytes.get(at..at.checked_add(8)?)?.try_into().ok()?))
}

/// A `moov` box, its head included, for a file in which every chunk lies `by` bytes further back: the tables of chunks
/// (section 8.7.5) are renewed, with wide entries where narrow ones have no room. None when it is not whole.
#[must_use]
pub fn with_chunks_moved(moov: &[u8], by: u64) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(moov.len() + 8);
    move_chunks(moov, by, &mut out)?;
    Some(out)
}

/// The boxes of a body, one after the other, into `out`.
fn move_chunks(body: &[u8], by: u64, out: &mut Vec<u8>) -> Option<()> {
    let mut read = 0;
    for (kind, inner) in boxes(body) {
        read += 8 + inner.len();
        let begins = out.len();
        out.extend_from_slice(&[0; 4]);
        out.extend_from_slice(&kind);
        match &kind {
            b"moov" | b"trak" | b"mdia" | b"minf" | b"stbl" => move_chunks(inner, by, out)?,
            b"stco" | b"co64" => {
                let entries = chunks(inner, &kind == b"co64")?.map(|at| at.checked_add(by));
                let entries: Vec<u64> = entries.collect::<Option<_>>()?;
                let wide = &kind == b"co64" || entries.iter().any(|entry| u32::try_from(*entry).is_err());
                out[begins + 4..].copy_from_slice(if wide { b"co64" } else { b"stco" });
                out.extend_from_slice(&inner[..8]);
                for entry in entries {
                    let bytes = entry.to_be_bytes();
                    out.extend_from_slice(if wide { &bytes } else { &bytes[4..] });
                }
            }
            _ => out.extend_from_slice(inner),
        }
        let size = u32::try_from(out.len() - begins).ok()?;
        out[begins..begins + 4].copy_from_slice(&size.to_be_bytes());
    }
    // Something that is no box would be lost, and so would a wide head.
    (read == body.len()).then_some(())
}

/// Where the chunks of a table begin.
fn chunks(table: &[u8], wide: bool) -> Option<impl Iterator<Item = u64>> {
    let count = usize::try_from(u32_at(table, 4)?).ok()?;
    let width = if wide { 8 } else { 4 };
    let entries = table.get(8..)?;
    (entries.len() == count.checked_mul(width)?).then(|| {
        entries
            .chunks_exact(width)
            .filter_map(move |entry| if wide { u64_at(entry, 0) } else { u32_at(entry, 0).map(u64::from) })
    })
}

/// A segment index (`sidx`, section 8.16.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sidx {
    /// Units of time in a second, at least 1.
    pub timescale: u32,
    /// When the first segment is presented.
    pub earliest_time: u64,
    /// Bytes between the end of this box and the first segment.
    pub first_offset: u64,
    /// The segments, one after the other.
    pub references: Vec<Reference>,
}

/// One segment of an index, or a further index of a stretch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Reference {
    /// What is there begins with another index.
    pub to_index: bool,
    /// Bytes.
    pub size: u32,
    /// Length in units of the index.
    pub duration: u32,
}

impl Sidx {
    /// Reads the body of the box; none when it is shorter than it says.
    #[must_use]
    pub fn read(body: &[u8]) -> Option<Self> {
        let timescale = u32_at(body, 8).filter(|timescale| *timescale > 0)?;
        let (earliest_time, first_offset, at) = match body.first()? {
            0 => (u64::from(u32_at(body, 12)?), u64::from(u32_at(body, 16)?), 20),
            _ => (u64_at(body, 12)?, u64_at(body, 20)?, 28),
        };
        let count = u32_at(body, at)? & 0xFFFF;
        let entries = body.get(at + 4..)?.get(..count as usize * 12)?;
        let references = entries
            .chunks_exact(12)
            .filter_map(|entry| {
                let first = u32_at(entry, 0)?;
                Some(Reference {
                    to_index: first >> 31 == 1,
                    size: first & 0x7FFF_FFFF,
                    duration: u32_at(entry, 4)?,
                })
            })
            .collect();
        Some(Self { timescale, earliest_time, first_offset, references })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&u32::try_from(8 + body.len()).unwrap().to_be_bytes()[..], kind, body].concat()
    }

    /// A `moov` box with one table of chunks beside something else.
    fn moov(table: &[u8]) -> Vec<u8> {
        let stbl = boxed(b"stbl", &[boxed(b"stsz", &[7; 20]), table.to_vec()].concat());
        let minf = boxed(b"minf", &stbl);
        let trak = boxed(b"trak", &boxed(b"mdia", &[boxed(b"mdhd", &[1; 24]), minf].concat()));
        boxed(b"moov", &[boxed(b"mvhd", &[2; 100]), trak].concat())
    }

    fn narrow(entries: &[u32]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let numbers: Vec<u8> = [0, count].iter().chain(entries).flat_map(|n| n.to_be_bytes()).collect();
        boxed(b"stco", &numbers)
    }

    fn wide(entries: &[u64]) -> Vec<u8> {
        let count = u32::try_from(entries.len()).unwrap();
        let head: Vec<u8> = [0, count].iter().flat_map(|n| n.to_be_bytes()).collect();
        let entries: Vec<u8> = entries.iter().flat_map(|entry| entry.to_be_bytes()).collect();
        boxed(b"co64", &[head, entries].concat())
    }

    #[test]
    fn chunks_move_and_nothing_else_does() {
        let moved = |table: Vec<u8>, by| with_chunks_moved(&moov(&table), by);
        assert_eq!(moved(narrow(&[48, 5000]), 4096), Some(moov(&narrow(&[4144, 9096]))));
        assert_eq!(moved(wide(&[48, 1 << 40]), 10), Some(moov(&wide(&[58, (1 << 40) + 10]))));
        assert_eq!(moved(narrow(&[]), 10), Some(moov(&narrow(&[]))));
        // Beyond 4 GiB narrow entries become wide ones.
        assert_eq!(moved(narrow(&[48, u32::MAX - 5]), 5), Some(moov(&narrow(&[53, u32::MAX]))));
        assert_eq!(moved(narrow(&[48, u32::MAX - 5]), 6), Some(moov(&wide(&[54, 1 << 32]))));
    }

    #[test]
    fn what_is_not_whole_is_left_alone() {
        let whole = moov(&narrow(&[48, 5000]));
        for length in [whole.len() - 1, whole.len() - 4, 20, 7] {
            assert_eq!(with_chunks_moved(&whole[..length], 1), None, "{length}");
        }
        // A table that claims more than it has, and one that would go beyond all numbers.
        let mut claims = narrow(&[48]);
        claims[15] = 2;
        assert_eq!(with_chunks_moved(&moov(&claims), 1), None);
        assert_eq!(with_chunks_moved(&moov(&wide(&[u64::MAX])), 1), None);
    }
}
