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
