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
    apply_with(path, halt, |file, by, end| if insert(file, by) { Ok(()) } else { copy(file, by, end, halt) })
}

/// The same with another way of moving everything up to a place by so many bytes.
fn apply_with(
    path: &Path,
    halt: &AtomicBool,
    make_room: impl FnOnce(&File, u64, u64) -> Result<(), EngineError>,
) -> Result<(), EngineError> {
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
    make_room(&file, by, moov.start)?;
    // What is left of the room, and the first boxes as they were, up to the samples.
    let free = by - index.len() as u64;
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

/// Whether the file system made room at the beginning.
fn insert(file: &File, by: u64) -> bool {
    fallocate(file, FallocateFlags::INSERT_RANGE, 0, by).is_ok()
}

/// Moves everything up to `end`, the last of it first.
fn copy(file: &File, by: u64, end: u64, halt: &AtomicBool) -> Result<(), EngineError> {
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

#[cfg(test)]
mod tests {
    use super::super::tests::{ffmpeg, probed};
    use super::*;

    fn made(folder: &Path, name: &str) -> std::path::PathBuf {
        let path = folder.join(name);
        let what = "-f lavfi -i testsrc2=size=320x180:rate=25 -f lavfi -i sine=frequency=440 -t 8";
        ffmpeg(
            folder,
            &format!(
                "{what} -fflags +bitexact -c:v libx264 -preset ultrafast -threads 1 -c:a aac -f mp4 {name}"
            ),
        );
        path
    }

    fn kinds(path: &Path) -> Vec<String> {
        let mut file = File::open(path).unwrap();
        let end = file.metadata().unwrap().len();
        let mut kinds = Vec::new();
        top_boxes(&mut file, &(0..end), &AtomicBool::new(false), |_, kind, _, _| {
            kinds.push(String::from_utf8_lossy(&kind).into_owned());
            Ok(true)
        })
        .unwrap();
        kinds
    }

    #[test]
    fn the_index_comes_first_and_every_sample_is_where_it_says() {
        let folder = tempfile::tempdir().unwrap();
        let packets =
            "-show_entries packet=stream_index,pts,dts,duration,flags,data_hash -show_data_hash md5";
        let before = made(folder.path(), "before.mp4");
        assert_eq!(kinds(&before), ["ftyp", "free", "mdat", "moov"]);
        let (moved, copied) = (folder.path().join("moved.mp4"), folder.path().join("copied.mp4"));
        std::fs::copy(&before, &moved).unwrap();
        std::fs::copy(&before, &copied).unwrap();
        let halt = AtomicBool::new(false);
        apply(&moved, &halt).unwrap();
        apply_with(&copied, &halt, |file, by, end| copy(file, by, end, &halt)).unwrap();
        assert_eq!(kinds(&moved), ["ftyp", "moov", "free", "free", "mdat"]);
        assert!(std::fs::read(&moved).unwrap() == std::fs::read(&copied).unwrap());
        assert!(probed(&moved, packets) == probed(&before, packets));
        // Nothing is left to do.
        let once = std::fs::read(&moved).unwrap();
        apply(&moved, &halt).unwrap();
        assert!(std::fs::read(&moved).unwrap() == once);
    }

    #[test]
    fn what_is_no_film_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("broken.mp4");
        let whole = std::fs::read(made(folder.path(), "film.mp4")).unwrap();
        for length in [0, 20, 40, whole.len() - 1] {
            std::fs::write(&path, &whole[..length]).unwrap();
            assert!(apply(&path, &AtomicBool::new(false)).is_err(), "{length}");
            assert!(std::fs::read(&path).unwrap() == whole[..length], "{length}: it was changed");
        }
    }
}
