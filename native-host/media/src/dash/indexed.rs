//! A file whose segments are listed in an index inside it (`SegmentBase`): the index to segments.
//!
//! Never fetches: the caller hands in the bytes of the index. Invariant: the segments follow one another in the file, and all
//! of the period's time is in them or it is an error.

use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::track::Timed;
use super::{MAX_SEGMENTS, cues};
use crate::mp4::{self, Sidx};
use crate::segment::{ByteRange, Map, Segment};

/// Boxes that may stand before the index.
const BEFORE: [[u8; 4]; 12] = [
    *b"ftyp", *b"styp", *b"moov", *b"free", *b"skip", *b"wide", *b"uuid", *b"meta", *b"pdin", *b"prft",
    *b"emsg", *b"ssix",
];
/// How much of a file is read for the index of WebM; one behind the media is not worth it.
const MAX_HEAD: u64 = 4 * 1024 * 1024;
/// How deep indexes may point to indexes.
const MAX_DEPTH: usize = 4;

/// A representation in one file with an index.
#[derive(Debug, Clone, PartialEq)]
pub struct Indexed {
    /// The file.
    pub url: Url,
    /// The same file elsewhere.
    pub backups: Vec<Url>,
    /// Where the manifest says that the index is; without it, it is found by reading the file from its beginning.
    pub index: Option<ByteRange>,
    /// The initialisation section, when the manifest says where it is; else all in front of the index.
    pub map: Option<Arc<Map>>,
    /// Encoding or timestamps may begin anew with it.
    pub discontinuity: bool,
    /// See [`Segment::shift_us`].
    pub shift_us: i64,
    /// The part of the presentation's line of time that is to be taken, in microseconds; without an end, all from there on.
    pub from_us: i64,
    /// One past the last microsecond that is meant.
    pub to_us: Option<i64>,
    /// How long the period is; zero when nothing says so.
    pub duration: Duration,
    /// The manifest says that it is WebM, whose index means nothing without the file's beginning.
    pub(super) is_webm: bool,
}

/// Why bytes are not the index that is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum IndexError {
    /// More bytes are needed: those from where the given ones begin up to here, which is not beyond what can be asked for
    /// in one go.
    #[error("the index of the file is longer than what was read of it")]
    Cut {
        /// One past the last byte needed, counted from the beginning of the file.
        end: u64,
    },
    /// There is no index: the file has to be taken whole, see [`Indexed::whole`].
    #[error("the file has no index")]
    Absent,
    /// There is one that cannot be.
    #[error("the index of the file is damaged: {reason}")]
    Malformed {
        /// One clause in plain words.
        reason: &'static str,
    },
}

impl Indexed {
    /// The part of the file to read first: the index, where it is known, else the first bytes, up to `guess` of them.
    #[must_use]
    pub fn head(&self, guess: u64) -> ByteRange {
        match self.index {
            Some(index) if self.is_webm && index.end() <= MAX_HEAD => {
                ByteRange { offset: 0, length: index.end() }
            }
            Some(index) => index,
            None => ByteRange { offset: 0, length: guess.max(1) },
        }
    }

    /// The file as one segment, initialisation section included. None when the period shows only a part of it.
    #[must_use]
    pub fn whole(&self) -> Option<Timed> {
        (self.shift_us == self.from_us).then(|| Timed {
            start_us: self.from_us,
            doubtful: false,
            segment: Segment {
                url: self.url.clone(),
                duration: self.duration,
                sequence: 0,
                byte_range: None,
                key: None,
                map: None,
                discontinuity: self.discontinuity,
                gap: false,
                date_ms: None,
                shift_us: Some(self.shift_us),
            },
        })
    }

    /// The segments, from the bytes of the file that begin at `offset`: the index itself, or the file's head.
    ///
    /// # Errors
    /// See [`IndexError`]. With [`IndexError::Cut`], the same call with more bytes goes on.
    pub fn segments(&self, bytes: &[u8], offset: u64) -> Result<Vec<Timed>, IndexError> {
        let front = |length: u64| {
            let byte_range = Some(ByteRange { offset: 0, length }).filter(|_| length > 0);
            byte_range.map(|_| Arc::new(Map { url: self.url.clone(), byte_range, key: None, sequence: 0 }))
        };
        let (found, map) = if offset == 0 && cues::is_webm(bytes) {
            let end_us = i64::try_from(self.duration.as_micros()).ok().filter(|length| *length > 0);
            let found = cues::clusters(bytes, end_us)?;
            // With all in front of it, the result is the file.
            let map = found.first().and_then(|first| front(first.range.offset));
            (found, map)
        } else {
            let mut reader = Reader { bytes, offset, found: Vec::new() };
            let at = reader.first_index(offset)?;
            reader.index(at, 0)?;
            (reader.found, self.map.clone().or_else(|| front(at)))
        };
        let mut segments = Vec::new();
        for (index, found) in found.iter().enumerate() {
            let start_us = found.start_us.saturating_add(self.shift_us);
            let end_us = found.end_us.saturating_add(self.shift_us);
            // A file may be longer than the period that shows a part of it.
            if end_us <= self.from_us || self.to_us.is_some_and(|to| start_us >= to) {
                continue;
            }
            let length = u64::try_from(end_us.saturating_sub(start_us)).unwrap_or_default();
            segments.push(Timed {
                start_us,
                doubtful: false,
                segment: Segment {
                    url: self.url.clone(),
                    duration: Duration::from_micros(length),
                    sequence: index as u64,
                    byte_range: Some(found.range),
                    key: None,
                    map: map.clone(),
                    discontinuity: self.discontinuity && segments.is_empty(),
                    gap: false,
                    date_ms: None,
                    shift_us: Some(self.shift_us),
                },
            });
        }
        if segments.is_empty() {
            return Err(IndexError::Malformed { reason: "it lists nothing of this time" });
        }
        Ok(segments)
    }
}

/// A segment in the index; times are those of the file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Found {
    pub(super) range: ByteRange,
    pub(super) start_us: i64,
    pub(super) end_us: i64,
}

struct Reader<'a> {
    bytes: &'a [u8],
    /// Where `bytes` begin in the file.
    offset: u64,
    found: Vec<Found>,
}

impl Reader<'_> {
    /// Where the first index is; only boxes without samples may come before it.
    fn first_index(&self, mut at: u64) -> Result<u64, IndexError> {
        loop {
            let (kind, size) = self.head(at)?;
            match &kind {
                b"sidx" => return Ok(at),
                kind if BEFORE.contains(kind) => at = at.checked_add(size).ok_or(IndexError::Absent)?,
                // Samples, WebM, or something else altogether.
                _ => return Err(IndexError::Absent),
            }
        }
    }

    /// Kind and size of the box at a place in the file.
    fn head(&self, at: u64) -> Result<([u8; 4], u64), IndexError> {
        let cut = IndexError::Cut { end: at.saturating_add(16) };
        let start =
            at.checked_sub(self.offset).and_then(|at| usize::try_from(at).ok()).ok_or(IndexError::Absent)?;
        let rest = self.bytes.get(start..).ok_or(cut)?;
        let kind: [u8; 4] = rest.get(4..8).and_then(|kind| kind.try_into().ok()).ok_or(cut)?;
        let size = match mp4::u32_at(rest, 0).ok_or(cut)? {
            // To the end of the file: nothing comes after it.
            0 => return Err(IndexError::Absent),
            1 => mp4::u64_at(rest, 8).ok_or(cut)?,
            size => u64::from(size),
        };
        if size < 8 && BEFORE.contains(&kind) {
            return Err(IndexError::Malformed { reason: "a box is smaller than its own head" });
        }
        Ok((kind, size))
    }

    fn index(&mut self, at: u64, depth: usize) -> Result<(), IndexError> {
        let malformed = |reason| IndexError::Malformed { reason };
        let (kind, size) = self.head(at)?;
        if &kind != b"sidx" {
            return Err(malformed("it points to something else"));
        }
        let end = at.checked_add(size).ok_or(malformed("it is too large"))?;
        let start = at.checked_sub(self.offset).and_then(|at| usize::try_from(at).ok());
        let start = start.ok_or(malformed("it points backwards"))?;
        let whole = usize::try_from(size).ok().and_then(|size| start.checked_add(size));
        let bytes = whole.and_then(|to| self.bytes.get(start..to)).ok_or(IndexError::Cut { end })?;
        let body = mp4::child(bytes, b"sidx").ok_or(malformed("it is too large"))?;
        let index = Sidx::read(body).ok_or(malformed("it is shorter than it says"))?;
        let mut place = end.checked_add(index.first_offset).ok_or(malformed("it points nowhere"))?;
        let mut time = u128::from(index.earliest_time);
        let micros = |time: u128| i64::try_from(time * 1_000_000 / u128::from(index.timescale)).ok();
        for reference in &index.references {
            let length = u64::from(reference.size);
            let next =
                place.checked_add(length).filter(|_| length > 0).ok_or(malformed("a segment is empty"))?;
            let until = time + u128::from(reference.duration);
            if reference.to_index {
                if depth >= MAX_DEPTH {
                    return Err(malformed("it points to itself"));
                }
                self.index(place, depth + 1)?;
            } else {
                let (Some(start_us), Some(end_us)) = (micros(time), micros(until)) else {
                    return Err(malformed("a time in it cannot be"));
                };
                if self.found.len() >= MAX_SEGMENTS {
                    return Err(malformed("it has more than a million segments"));
                }
                self.found.push(Found { range: ByteRange { offset: place, length }, start_us, end_us });
            }
            (place, time) = (next, until);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    /// An index of version 0 or 1 with a time scale of 1,000; references are (further index, bytes, milliseconds).
    fn sidx(version: u8, earliest: u32, first_offset: u32, references: &[(bool, u32, u32)]) -> Vec<u8> {
        let mut body = vec![version, 0, 0, 0, 0, 0, 0, 1];
        body.extend(1000_u32.to_be_bytes());
        for number in [earliest, first_offset] {
            if version > 0 {
                body.extend([0; 4]);
            }
            body.extend(number.to_be_bytes());
        }
        body.extend((references.len() as u32).to_be_bytes());
        for (index, size, duration) in references {
            body.extend((size | u32::from(*index) << 31).to_be_bytes());
            body.extend(duration.to_be_bytes());
            body.extend([0x90, 0, 0, 0]);
        }
        boxed(b"sidx", &body)
    }

    fn indexed(index: Option<ByteRange>) -> Indexed {
        Indexed {
            url: Url::parse("https://a.example/f.mp4").unwrap(),
            backups: Vec::new(),
            index,
            map: None,
            discontinuity: true,
            shift_us: 0,
            from_us: 0,
            to_us: None,
            duration: Duration::from_secs(6),
            is_webm: false,
        }
    }

    fn found(segments: &[Timed]) -> Vec<(i64, u64, u64)> {
        let range = |timed: &Timed| timed.segment.byte_range.unwrap();
        segments
            .iter()
            .map(|timed| (timed.start_us / 1000, range(timed).offset, range(timed).end()))
            .collect()
    }

    #[test]
    fn the_index_is_found_from_the_beginning_of_the_file() {
        for version in [0, 1] {
            let front = [boxed(b"ftyp", b"isom"), boxed(b"moov", &[0; 100])].concat();
            let index = sidx(version, 0, 50, &[(false, 1000, 2000), (false, 500, 4000)]);
            let first = (front.len() + index.len() + 50) as u64;
            let file = [front.clone(), index].concat();
            let segments = indexed(None).segments(&file, 0).unwrap();
            assert_eq!(found(&segments), [(0, first, first + 1000), (2000, first + 1000, first + 1500)]);
            // All in front of the index starts a decoder, and the first segment alone begins anew.
            let range = segments[0].segment.map.as_ref().unwrap().byte_range.unwrap();
            assert_eq!((range.offset, range.length), (0, front.len() as u64));
            assert_eq!(segments.iter().filter(|timed| timed.segment.discontinuity).count(), 1);
            // With fewer bytes it says how many it needs, and never more than there are.
            for length in 0..file.len() {
                let Err(IndexError::Cut { end }) = indexed(None).segments(&file[..length], 0) else {
                    panic!("{length}");
                };
                assert!(end > length as u64 && end <= file.len() as u64 + 16, "{length}: {end}");
            }
        }
    }

    #[test]
    fn an_index_may_point_to_indexes() {
        let inner =
            [sidx(0, 0, 0, &[(false, 100, 1000), (false, 100, 1000)]), sidx(0, 2000, 0, &[(false, 70, 500)])];
        let inner_size = inner[0].len() as u32;
        // Each stretch is its index and its segments.
        let outer = sidx(0, 0, 0, &[(true, inner_size + 200, 2000), (true, inner[1].len() as u32 + 70, 500)]);
        let at = outer.len() as u64;
        let file = [outer, inner[0].clone(), vec![0; 200], inner[1].clone()].concat();
        let segments = indexed(None).segments(&file, 0).unwrap();
        let first = at + u64::from(inner_size);
        let second = at + u64::from(inner_size) + 200 + inner[1].len() as u64;
        assert_eq!(
            found(&segments),
            [(0, first, first + 100), (1000, first + 100, first + 200), (2000, second, second + 70)]
        );
        let Err(IndexError::Cut { end }) = indexed(None).segments(&file[..at as usize], 0) else {
            panic!("not cut")
        };
        assert!(end > at && end <= file.len() as u64);
        // One that points to itself has an end.
        let mut loops = Vec::new();
        for _ in 0..20 {
            loops.extend(sidx(0, 0, 0, &[(true, 1000, 1)]));
        }
        assert!(matches!(indexed(None).segments(&loops, 0), Err(IndexError::Malformed { .. })));
    }

    #[test]
    fn only_what_the_period_shows_is_taken() {
        let file = sidx(0, 0, 0, &[(false, 10, 2000), (false, 10, 2000), (false, 10, 2000)]);
        let at = file.len() as u64;
        let part =
            Indexed { shift_us: 8_000_000, from_us: 10_000_000, to_us: Some(12_000_000), ..indexed(None) };
        assert_eq!(found(&part.segments(&file, 0).unwrap()), [(10_000, at + 10, at + 20)]);
        assert_eq!(part.whole(), None);
        let elsewhere = Indexed { from_us: 90_000_000, ..indexed(None) };
        assert!(matches!(elsewhere.segments(&file, 0), Err(IndexError::Malformed { .. })));
    }

    #[test]
    fn files_without_an_index_are_taken_whole() {
        let plain = [boxed(b"ftyp", b"isom"), boxed(b"moov", &[0; 9]), boxed(b"mdat", &[0; 9])].concat();
        for file in [
            plain,
            // A segment written live, and one whose clusters come first.
            vec![0x1A, 0x45, 0xDF, 0xA3, 0x80, 0x18, 0x53, 0x80, 0x67, 0xFF],
            vec![0x1A, 0x45, 0xDF, 0xA3, 0x80, 0x18, 0x53, 0x80, 0x67, 0x90, 0x1F, 0x43, 0xB6, 0x75, 0xFF],
            [&[0x47][..], &[0xFF; 187]].concat(),
            b"<html><body>".to_vec(),
        ] {
            assert_eq!(indexed(None).segments(&file, 0), Err(IndexError::Absent));
        }
        let cues = ByteRange { offset: 312, length: 8 };
        let bytes = [0x1C, 0x53, 0xBB, 0x6B, 0x9D, 0xBB, 0x8B, 0xB3];
        assert_eq!(indexed(Some(cues)).segments(&bytes, 312), Err(IndexError::Absent));
        assert_eq!(indexed(Some(cues)).head(10), cues);
        let whole = indexed(None).whole().unwrap();
        assert_eq!((whole.segment.byte_range, whole.segment.duration), (None, Duration::from_secs(6)));
    }

    /// The first 347 bytes of ten seconds that Shaka Packager wrote: all in front of the first cluster.
    const WEBM: &str = "1a45dfa39f4286810142f7810142f2810442f381084282847765626d42878104428581021853806701000000000234391\
        14d9b74ba4dbb8b53ab841549a96653ac81594dbb8b53ab841654ae6b53ac81cf4dbb8c53ab841c53bb6b53ac8201084dbb8c53ab841f43\
        b67553ac82012bec980000000000000000000000000000000000000000000000001549a966f12ad7b1830f4240448984461ba0004d808f6\
        c69627765626d2d302e332e342e305741ce68747470733a2f2f6769746875622e636f6d2f7368616b612d70726f6a6563742f7368616b61\
        2d7061636b616765722076657273696f6e2076332e382e302d373562326661662d72656c656173651654ae6bb4aeb2d7810173c58101838\
        1018685565f56503963a28c01010002010b030108040100e090b0820140ba81b454b082014054ba81b41c53bb6b9ebb8cb38100b787f781\
        01f182012bbb8eb3821400b788f78101f183012d55";

    fn webm() -> Vec<u8> {
        (0..WEBM.len() / 2).map(|at| u8::from_str_radix(&WEBM[at * 2..at * 2 + 2], 16).unwrap()).collect()
    }

    #[test]
    fn clusters_of_webm_are_segments() {
        let file = webm();
        assert_eq!(file.len(), 347);
        let index = ByteRange { offset: 312, length: 35 };
        let webm = Indexed { is_webm: true, ..indexed(Some(index)) };
        assert_eq!(webm.head(10), ByteRange { offset: 0, length: 347 });
        let segments = webm.segments(&file, 0).unwrap();
        // Together with what is in front of them they are the file of 144,489 bytes.
        assert_eq!(found(&segments), [(0, 347, 77_189), (5120, 77_189, 144_489)]);
        assert_eq!(segments[1].segment.duration, Duration::from_millis(9960 - 5120));
        let map = segments[0].segment.map.clone().unwrap();
        assert_eq!(map.byte_range, Some(ByteRange { offset: 0, length: 347 }));
        for length in 4..file.len() {
            let Err(IndexError::Cut { end }) = webm.segments(&file[..length], 0) else { panic!("{length}") };
            assert!(end > length as u64 && end <= 347 + 12, "{length}: {end}");
        }
        // Behind the media it is not looked for.
        let behind = Indexed { index: Some(ByteRange { offset: 1 << 30, length: 9 }), ..webm };
        assert_eq!(behind.head(10).offset, 1 << 30);
    }

    #[test]
    fn damage_is_named() {
        let empty = sidx(0, 0, 0, &[(false, 0, 2000)]);
        let short = boxed(b"sidx", &[0; 20]);
        let still = sidx(0, 0, 0, &[]);
        for file in
            [empty, short, still, boxed(b"free", b"")[..4].iter().chain(b"\0\0\0\x04").copied().collect()]
        {
            let got = indexed(None).segments(&file, 0);
            assert!(matches!(got, Err(IndexError::Malformed { .. } | IndexError::Absent)), "{got:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_segments_or_an_error(flips in prop::collection::vec((0_usize..120, any::<u8>()), 0..10), offset: u64) {
            let mut file = [boxed(b"free", &[0; 8]), sidx(1, 7, 9, &[(false, 1000, 2000), (true, 500, 4000)])].concat();
            for (at, value) in flips {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
            let _ = indexed(None).segments(&file, 0);
            let _ = indexed(None).segments(&file, offset);
        }

        #[test]
        fn any_webm_is_segments_or_an_error(flips in prop::collection::vec((4_usize..347, any::<u8>()), 0..10)) {
            let mut file = webm();
            for (at, value) in flips {
                file[at] = value;
            }
            if let Ok(segments) = indexed(None).segments(&file, 0) {
                let ranges: Vec<ByteRange> = segments.iter().filter_map(|timed| timed.segment.byte_range).collect();
                prop_assert!(ranges.windows(2).all(|pair| pair[0].end() == pair[1].offset));
            }
        }
    }
}
