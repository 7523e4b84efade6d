//! Where each segment of a track lies in its working file: `trackN.segments` beside the other working files.
//!
//! Owns that file. Never the last word: how far a track is, its journal says, and what does not agree with that is not
//! believed. Invariant: an entry is written before the journal names its segment, and entries are in order without a hole.

use std::fs::File;
use std::io;
use std::ops::Range;
use std::os::unix::fs::FileExt as _;
use std::path::Path;
use std::time::Duration;

use crate::journal::Mark;
use crate::part::Part;

/// Number of the first segment with an entry, and where it begins: byte, and place by the manifest in microseconds.
const HEAD: usize = 24;
/// One past its last byte, and how long it plays in microseconds.
const ENTRY: usize = 16;
/// Set in the length of a segment that is not there.
const LOST: u64 = 1 << 63;

/// One segment of a working file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Counted from 0.
    pub(crate) index: usize,
    /// Its initialisation section too, when one was written before it. Empty when it is lost.
    pub(crate) bytes: Range<u64>,
    /// Its place by the manifest.
    pub(crate) start: Duration,
    /// How long it plays by the manifest.
    pub(crate) duration: Duration,
    /// It is known not to be there.
    pub(crate) lost: bool,
}

/// Takes note of segments as they are written.
pub(crate) struct Log {
    file: File,
    at: u64,
}

impl Log {
    /// Goes on behind `mark`; begins there when what is known of the segments before does not agree with it.
    pub(crate) fn open(path: &Path, mark: &Mark) -> io::Result<Self> {
        let file = Part::open(path)?;
        if let Some(known) = entries(&file, mark) {
            return Ok(Self { file, at: (HEAD + known.len() * ENTRY) as u64 });
        }
        let head = [mark.segments as u64, mark.bytes, mark.us].map(u64::to_le_bytes).concat();
        file.set_len(0)?;
        file.write_all_at(&head, 0)?;
        Ok(Self { file, at: HEAD as u64 })
    }

    /// The next segment ends before the byte `end` and plays so long; or it is lost.
    pub(crate) fn push(&mut self, end: u64, us: u64, lost: bool) -> io::Result<()> {
        let us = us.min(LOST - 1) | if lost { LOST } else { 0 };
        self.file.write_all_at(&[end, us].map(u64::to_le_bytes).concat(), self.at)?;
        self.at += ENTRY as u64;
        Ok(())
    }
}

/// What is known up to `mark`, if it leads there.
fn entries(file: &File, mark: &Mark) -> Option<Vec<Segment>> {
    let number = |bytes: &[u8]| bytes.try_into().map(u64::from_le_bytes).ok();
    let mut head = [0; HEAD];
    file.read_exact_at(&mut head, 0).ok()?;
    let first = usize::try_from(number(&head[..8])?).ok()?;
    let (mut byte, mut us) = (number(&head[8..16])?, number(&head[16..])?);
    let count = mark.segments.checked_sub(first)?;
    // Checked before anything is allocated: the file may hold anything.
    let there = file.metadata().ok()?.len().saturating_sub(HEAD as u64) / ENTRY as u64;
    if there < count as u64 {
        return None;
    }
    let mut bytes = vec![0; count * ENTRY];
    file.read_exact_at(&mut bytes, HEAD as u64).ok()?;
    let mut known = Vec::with_capacity(count);
    for (nth, entry) in bytes.chunks_exact(ENTRY).enumerate() {
        let (end, length) = (number(&entry[..8])?, number(&entry[8..])?);
        let lost = length & LOST != 0;
        let length = length & !LOST;
        if end < byte {
            return None;
        }
        known.push(Segment {
            index: first + nth,
            bytes: byte..end,
            start: Duration::from_micros(us),
            duration: Duration::from_micros(length),
            lost,
        });
        (byte, us) = (end, us.checked_add(length)?);
    }
    // It leads to where the track is, by its bytes and by its time.
    (byte == mark.bytes && us == mark.us).then_some(known)
}

/// The segments of a track that is at `mark`, as far as they are known. Blocks.
pub(crate) fn read(path: &Path, mark: &Mark) -> Vec<Segment> {
    File::open(path).ok().and_then(|file| entries(&file, mark)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mark(segments: usize, bytes: u64, us: u64) -> Mark {
        Mark { segments, bytes, us, ..Mark::default() }
    }

    fn places(path: &Path, mark: &Mark) -> Vec<(usize, Range<u64>, u64, bool)> {
        let known = read(path, mark).into_iter();
        known.map(|one| (one.index, one.bytes, one.start.as_secs(), one.lost)).collect()
    }

    #[test]
    fn what_was_noted_is_known_as_far_as_the_journal_goes() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("track0.segments");
        let mut log = Log::open(&path, &mark(0, 0, 0)).unwrap();
        log.push(100, 2_000_000, false).unwrap();
        log.push(100, 3_000_000, true).unwrap();
        log.push(180, 2_000_000, false).unwrap();
        let all = [(0, 0..100, 0, false), (1, 100..100, 2, true), (2, 100..180, 5, false)];
        assert_eq!(places(&path, &mark(3, 180, 7_000_000)), all);
        // It was stopped before the journal named the last: that one comes again.
        let two = mark(2, 100, 5_000_000);
        assert_eq!(places(&path, &two), all[..2]);
        let mut log = Log::open(&path, &two).unwrap();
        log.push(150, 1_000_000, false).unwrap();
        assert_eq!(places(&path, &mark(3, 150, 6_000_000))[2], (2, 100..150, 5, false));
    }

    #[test]
    fn what_does_not_agree_with_the_journal_is_not_believed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("track0.segments");
        assert!(read(&path, &mark(1, 100, 1)).is_empty());
        let mut log = Log::open(&path, &mark(7, 1000, 70_000_000)).unwrap();
        log.push(1100, 10_000_000, false).unwrap();
        let now = mark(8, 1100, 80_000_000);
        assert_eq!(places(&path, &now), [(7, 1000..1100, 70, false)]);
        for other in [
            mark(8, 1101, 80_000_000),
            mark(8, 1100, 81_000_000),
            mark(6, 900, 60_000_000),
            mark(9, 1100, 80_000_000),
        ] {
            assert!(places(&path, &other).is_empty(), "{other:?}");
        }
        for garbage in [Vec::new(), vec![0xFF; HEAD], vec![0xFF; HEAD + ENTRY]] {
            std::fs::write(&path, garbage).unwrap();
            assert!(places(&path, &now).is_empty());
        }
        let mut log = Log::open(&path, &now).unwrap();
        log.push(1200, 10_000_000, false).unwrap();
        assert_eq!(places(&path, &mark(9, 1200, 90_000_000)), [(8, 1100..1200, 80, false)]);
    }
}
