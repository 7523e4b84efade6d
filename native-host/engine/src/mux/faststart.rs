//! The index of an MP4 file from its end to its beginning, so that it plays while it is still being copied or sent.
//!
//! Owns moving it. Never touches samples. Invariant: the same file comes out whether the file system can make room at the
//! beginning or everything behind has to be copied further back.

use std::fs::{File, OpenOptions};
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::sync::atomic::AtomicBool;

use rustix::fs::{FallocateFlags, fallocate};
use weir_media::mp4;

use super::source::{go_on, top_boxes, unsupported};
use crate::EngineError;

/// What is made room by: file systems insert whole blocks of theirs.
const BLOCK: u64 = 4096;
/// Bytes copied at a time where they cannot.
const COPIED: u64 = 4 * 1024 * 1024;
/// Largest index that is moved; hours of film need a few MiB.
const MAX_MOOV: u64 = 512 * 1024 * 1024;

/// Moves the index to the front, unless it is there. Blocks.
pub(super) fn apply(path: &Path, halt: &AtomicBool) -> Result<(), EngineError> {
    let mut file = OpenOptions::new().read(true).write(true).open(path).map_err(EngineError::disk)?;
    let end = file.metadata().map_err(EngineError::disk)?.len();
    let mut places: Vec<([u8; 4], Range<u64>)> = Vec::new();
    top_boxes(&mut file, &(0..end), halt, |_, kind, place, _| {
        places.push((kind, place));
        Ok(true)
    })?;
    let of =
        |wanted: &[u8; 4]| places.iter().find(|(kind, _)| kind == wanted).map(|(_, place)| place.clone());
    let (Some(ftyp), Some(mdat), Some(moov)) = (of(b"ftyp"), of(b"mdat"), of(b"moov")) else {
        return Err(unsupported("the result has no index"));
    };
    if moov.start < mdat.start {
        return Ok(());
    }
    if ftyp.start != 0 || moov.end != end || moov.end - moov.start > MAX_MOOV {
        return Err(unsupported("the result is laid out in a way that is not known"));
    }
    let kind = read(&file, &ftyp).map_err(EngineError::disk)?;
    let index = read(&file, &moov).map_err(EngineError::disk)?;
    let (by, index) = moved(&index, ftyp.end).ok_or_else(|| unsupported("the result's index is broken"))?;
    make_room(&file, by, moov.start, halt)?;
    // What is left of the room, and the first boxes as they were, up to the samples.
    let free = ftyp.end + by - (ftyp.end + index.len() as u64);
    let free = u32::try_from(free).map_err(|_| unsupported("the result's index is broken"))?;
    let head = [&kind[..], &index, &free.to_be_bytes(), b"free"].concat();
    file.write_all_at(&head, 0).map_err(EngineError::disk)?;
    let zeros = vec![0; free as usize - 8];
    file.write_all_at(&zeros, head.len() as u64).map_err(EngineError::disk)?;
    file.set_len(moov.start + by).map_err(EngineError::disk)
}

/// The index for a file that has room for it at the beginning, and how much room: for a box that fills what is left, too.
fn moved(index: &[u8], ftyp: u64) -> Option<(u64, Vec<u8>)> {
    let room = |size: usize| (ftyp + size as u64 + 8).next_multiple_of(BLOCK);
    let mut by = room(index.len());
    // Once more when wide entries made it larger.
    for _ in 0..2 {
        let index = mp4::with_chunks_moved(index, by)?;
        if room(index.len()) <= by {
            return Some((by, index));
        }
        by = room(index.len());
    }
    None
}

/// Moves everything up to `end` by so many bytes.
fn make_room(file: &File, by: u64, end: u64, halt: &AtomicBool) -> Result<(), EngineError> {
    if fallocate(file, FallocateFlags::INSERT_RANGE, 0, by).is_ok() {
        return Ok(());
    }
    let mut bytes = vec![0; usize::try_from(COPIED.min(end)).unwrap_or_default()];
    let mut left = end;
    while left > 0 {
        go_on(halt)?;
        let part = left.min(COPIED);
        let bytes = &mut bytes[..usize::try_from(part).unwrap_or_default()];
        left -= part;
        file.read_exact_at(bytes, left)
            .and_then(|()| file.write_all_at(bytes, left + by))
            .map_err(EngineError::disk)?;
    }
    Ok(())
}

fn read(file: &File, place: &Range<u64>) -> io::Result<Vec<u8>> {
    let size = usize::try_from(place.end - place.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; size];
    file.read_exact_at(&mut bytes, place.start)?;
    Ok(bytes)
}
