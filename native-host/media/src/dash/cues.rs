//! The index of WebM (`Cues`, RFC 9559 section 5.1.5): where its clusters begin.
//!
//! Never reads clusters, and takes only an index that stands before them. Invariant: what is found covers the segment from
//! its first cluster to its end, each byte once.

use super::indexed::{Found, IndexError};
use crate::segment::ByteRange;

const EBML: u64 = 0x1A45_DFA3;
const SEGMENT: u64 = 0x1853_8067;
const INFO: u64 = 0x1549_A966;
const SCALE: u64 = 0x2A_D7B1;
const DURATION: u64 = 0x4489;
const CUES: u64 = 0x1C53_BB6B;
const POINT: u64 = 0xBB;
const TIME: u64 = 0xB3;
const POSITIONS: u64 = 0xB7;
const CLUSTER_POSITION: u64 = 0xF1;
const CLUSTER: u64 = 0x1F43_B675;
/// Nanoseconds a unit of time has when the file does not say.
const DEFAULT_SCALE: u64 = 1_000_000;

/// Whether a file begins like WebM.
pub(super) fn is_webm(start: &[u8]) -> bool {
    start.starts_with(&[0x1A, 0x45, 0xDF, 0xA3])
}

/// The clusters by the index at the beginning of a file. The last one ends where the segment does, and in time where the
/// file says, else where `end_us` does.
pub(super) fn clusters(file: &[u8], end_us: Option<i64>) -> Result<Vec<Found>, IndexError> {
    let head = Element::at(file, 0)?;
    let segment = Element::at(file, head.end().ok_or(IndexError::Absent)?)?;
    if head.id != EBML || segment.id != SEGMENT {
        return Err(IndexError::Absent);
    }
    // A segment that was written live does not say where it ends.
    let end = segment.end().ok_or(IndexError::Absent)?;
    let (mut scale, mut length, mut at) = (DEFAULT_SCALE, None, segment.body);
    let points = loop {
        if at >= end {
            return Err(IndexError::Absent);
        }
        let element = Element::at(file, at)?;
        match element.id {
            CLUSTER => return Err(IndexError::Absent),
            INFO => {
                for part in element.children(file)? {
                    match part.id {
                        SCALE => scale = part.number(file).filter(|scale| *scale > 0).ok_or(DAMAGED)?,
                        DURATION => length = part.float(file),
                        _ => {}
                    }
                }
            }
            CUES => break points(file, element)?,
            _ => {}
        }
        at = element.end().ok_or(IndexError::Absent)?;
    };
    let micros = |units: u64| i64::try_from(u128::from(units) * u128::from(scale) / 1000).ok();
    let length = length.map(|units| (units * scale as f64 / 1000.0) as i64);
    let mut found: Vec<Found> = Vec::with_capacity(points.len());
    for (time, position) in points {
        let start_us = micros(time).ok_or(DAMAGED)?;
        let offset = segment.body.checked_add(position).filter(|offset| *offset < end).ok_or(DAMAGED)?;
        if let Some(before) = found.last_mut() {
            // Several points may lie in one cluster.
            if offset == before.range.offset {
                continue;
            }
            let behind = offset.checked_sub(before.range.offset).filter(|_| start_us >= before.start_us);
            before.range.length = behind.ok_or(DAMAGED)?;
            before.end_us = start_us;
        }
        let range = ByteRange { offset, length: end - offset };
        found.push(Found { range, start_us, end_us: start_us });
    }
    if let Some(last) = found.last_mut() {
        last.end_us = length.or(end_us).unwrap_or(last.start_us).max(last.start_us);
    }
    Ok(found)
}

const DAMAGED: IndexError = IndexError::Malformed { reason: "a place in it cannot be" };

/// Times, and positions of clusters.
fn points(file: &[u8], cues: Element) -> Result<Vec<(u64, u64)>, IndexError> {
    let mut points = Vec::new();
    for point in cues.children(file)?.into_iter().filter(|element| element.id == POINT) {
        let (mut time, mut position) = (None, None);
        for part in point.children(file)? {
            match part.id {
                TIME => time = part.number(file),
                POSITIONS if position.is_none() => {
                    let parts = part.children(file)?;
                    position =
                        parts.iter().find(|part| part.id == CLUSTER_POSITION).and_then(|p| p.number(file));
                }
                _ => {}
            }
        }
        points.push(time.zip(position).ok_or(DAMAGED)?);
    }
    Ok(points)
}

/// An element: places are those in the file.
#[derive(Debug, Clone, Copy)]
struct Element {
    id: u64,
    body: u64,
    /// None when it goes on until something else begins.
    size: Option<u64>,
}

impl Element {
    fn at(file: &[u8], at: u64) -> Result<Self, IndexError> {
        let cut = IndexError::Cut { end: at.saturating_add(12) };
        let rest = usize::try_from(at).ok().and_then(|at| file.get(at..)).ok_or(cut)?;
        let (id, id_length) = variable(rest, 4, false)?.ok_or(cut)?;
        let (size, size_length) = variable(&rest[id_length..], 8, true)?.ok_or(cut)?;
        let unknown = size == (1 << (7 * size_length)) - 1;
        let body = at + (id_length + size_length) as u64;
        Ok(Self { id, body, size: (!unknown).then_some(size) })
    }

    fn end(&self) -> Option<u64> {
        self.body.checked_add(self.size?)
    }

    fn bytes<'a>(&self, file: &'a [u8]) -> Result<&'a [u8], IndexError> {
        let end = self.end().ok_or(DAMAGED)?;
        let range = usize::try_from(self.body).ok().zip(usize::try_from(end).ok());
        range.and_then(|(start, end)| file.get(start..end)).ok_or(IndexError::Cut { end })
    }

    fn children(&self, file: &[u8]) -> Result<Vec<Self>, IndexError> {
        self.bytes(file)?;
        let (mut at, end) = (self.body, self.end().ok_or(DAMAGED)?);
        let mut children = Vec::new();
        while at < end {
            // All of the parent is there: a child that is not is damage.
            let child = Self::at(file, at).map_err(|_| DAMAGED)?;
            at = child.end().filter(|next| *next <= end).ok_or(DAMAGED)?;
            children.push(child);
        }
        Ok(children)
    }

    fn number(&self, file: &[u8]) -> Option<u64> {
        let bytes = self.bytes(file).ok().filter(|bytes| bytes.len() <= 8)?;
        Some(bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte)))
    }

    fn float(&self, file: &[u8]) -> Option<f64> {
        let bytes = self.bytes(file).ok()?;
        let float = match bytes.len() {
            4 => f64::from(f32::from_be_bytes(bytes.try_into().ok()?)),
            8 => f64::from_be_bytes(bytes.try_into().ok()?),
            _ => return None,
        };
        (float.is_finite() && float >= 0.0).then_some(float)
    }
}

/// A number whose leading zeros say how long it is (RFC 8794 section 4); none when there are too few bytes. Identifiers keep
/// the mark of their length.
fn variable(bytes: &[u8], longest: usize, unmarked: bool) -> Result<Option<(u64, usize)>, IndexError> {
    let Some(first) = bytes.first() else { return Ok(None) };
    let length = first.leading_zeros() as usize + 1;
    if length > longest {
        return Err(DAMAGED);
    }
    let Some(bytes) = bytes.get(..length) else { return Ok(None) };
    let number = bytes.iter().fold(0, |number, byte| number << 8 | u64::from(*byte));
    Ok(Some((if unmarked { number & ((1 << (7 * length)) - 1) } else { number }, length)))
}
