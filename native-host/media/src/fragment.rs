//! Movie fragments (ISO/IEC 14496-12 section 8.8): when their samples are decoded, and moving that.
//!
//! Works on the body of one `moof` box. Never touches samples or their sizes. Invariant: a fragment keeps its size, so that
//! no offset in it has to change.

use crate::codec::Track;
use crate::mp4::{u32_at, u64_at};

/// The samples of one track in one fragment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Run {
    /// `track_ID`.
    pub track: u32,
    /// Decoding time of the first sample in units of the track's timescale; none when the fragment does not say.
    pub start: Option<u64>,
    /// Sum of the samples' durations.
    pub length: u64,
    /// Number of samples.
    pub samples: u64,
}

/// One sample, and where its bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Sample {
    /// `track_ID`.
    pub track: u32,
    /// When it is shown, in units of the track's timescale; from the beginning of the run when the fragment does not say
    /// when that begins.
    pub start: i64,
    /// How long.
    pub length: u64,
    /// First byte, counted from the beginning of the `moof` box; none when it follows the sample before, or is the first of
    /// the data.
    pub offset: Option<i64>,
    /// Number of bytes.
    pub size: u32,
}

/// The samples of a fragment, given as the body of its `moof` box. At most `limit` of them.
#[must_use]
pub fn samples(moof: &[u8], tracks: &[Track], limit: usize) -> Vec<Sample> {
    let mut out = Vec::new();
    for traf in places(moof, 0, moof.len()).filter(|place| &place.kind == b"traf") {
        let _ = samples_of(moof, &traf, tracks, limit, &mut out);
    }
    out
}

fn samples_of(
    moof: &[u8],
    traf: &Place,
    tracks: &[Track],
    limit: usize,
    out: &mut Vec<Sample>,
) -> Option<()> {
    let run = run(moof, traf, tracks)?;
    let header = header(moof, traf, tracks)?;
    let mut at = i64::try_from(run.start.unwrap_or_default()).ok()?;
    for trun in places(moof, traf.start, traf.end).filter(|place| &place.kind == b"trun") {
        let body = moof.get(trun.range())?;
        let (flags, count) = (u32_at(body, 0)?, u32_at(body, 4)?);
        let mut offset = if flags & 1 != 0 { Some(i64::from(u32_at(body, 8)?.cast_signed())) } else { None };
        let mut next = 8 + if flags & 1 != 0 { 4 } else { 0 } + if flags & 4 != 0 { 4 } else { 0 };
        for _ in 0..count {
            if out.len() >= limit {
                return None;
            }
            let mut field = |flag: u32| {
                let there = flags & flag != 0;
                let value = if there { u32_at(body, next) } else { None };
                next += if there { 4 } else { 0 };
                (there, value)
            };
            let stated =
                |(there, value): (bool, Option<u32>), default: u32| if there { value } else { Some(default) };
            let length = stated(field(0x100), header.duration)?;
            let size = stated(field(0x200), header.size)?;
            let _ = field(0x400);
            let late = stated(field(0x800), 0)?.cast_signed();
            let start = at.saturating_add(i64::from(late));
            out.push(Sample {
                track: run.track,
                start,
                length: u64::from(length),
                offset: offset.take(),
                size,
            });
            at = at.saturating_add(i64::from(length));
        }
    }
    Some(())
}

/// What a `tfhd` box, or else the initialisation section, says of samples that say nothing themselves.
#[derive(Debug, Clone, Copy)]
struct Header {
    track: u32,
    duration: u32,
    size: u32,
}

fn header(moof: &[u8], traf: &Place, tracks: &[Track]) -> Option<Header> {
    let tfhd = places(moof, traf.start, traf.end).find(|place| &place.kind == b"tfhd")?;
    let tfhd = moof.get(tfhd.range())?;
    let (flags, track) = (u32_at(tfhd, 0)?, u32_at(tfhd, 4)?);
    let defaults =
        tracks.iter().find(|one| one.id == track).map(|one| one.defaults.as_slice()).unwrap_or_default();
    let mut at = 8 + if flags & 1 != 0 { 8 } else { 0 } + if flags & 2 != 0 { 4 } else { 0 };
    let mut field = |flag: u32, default_at: usize| {
        if flags & flag == 0 {
            return Some(u32_at(defaults, default_at).unwrap_or_default());
        }
        at += 4;
        u32_at(tfhd, at - 4)
    };
    let duration = field(8, 12)?;
    let size = field(0x10, 16)?;
    Some(Header { track, duration, size })
}

/// What a fragment's track becomes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Move {
    /// `track_ID` as it comes.
    pub from: u32,
    /// `track_ID` as it goes out.
    pub to: u32,
    /// Units of its timescale to add to its decoding time.
    pub shift: i64,
}

/// Why a fragment cannot be moved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum MoveError {
    /// No `tfdt` box.
    #[error("its fragments do not say when they begin")]
    NoTime,
    /// The new time has no room in the box, or is before zero.
    #[error("its fragments have no room for another time")]
    NoRoom,
    /// Sample data is found by its place in a file that is not this one.
    #[error("its fragments point into another file")]
    Absolute,
    /// Boxes that do not fit.
    #[error("its fragments cannot be read")]
    Broken,
}

/// Runs of a fragment, given as the body of its `moof` box, in the order of the tracks in it.
#[must_use]
pub fn runs(moof: &[u8], tracks: &[Track]) -> Vec<Run> {
    places(moof, 0, moof.len())
        .filter(|place| &place.kind == b"traf")
        .filter_map(|traf| run(moof, &traf, tracks))
        .collect()
}

fn run(moof: &[u8], traf: &Place, tracks: &[Track]) -> Option<Run> {
    let within = |kind: &[u8; 4]| places(moof, traf.start, traf.end).find(|place| &place.kind == kind);
    let Header { track, duration: default, .. } = header(moof, traf, tracks)?;
    let start = within(b"tfdt").and_then(|tfdt| {
        let body = moof.get(tfdt.range())?;
        if body.first()? & 1 == 1 { u64_at(body, 4) } else { u32_at(body, 4).map(u64::from) }
    });
    let (mut length, mut samples) = (0_u64, 0_u64);
    for trun in places(moof, traf.start, traf.end).filter(|place| &place.kind == b"trun") {
        let body = moof.get(trun.range())?;
        let (count, sum) = sums(body, default)?;
        samples += count;
        length = length.saturating_add(sum);
    }
    Some(Run { track, start, length, samples })
}

/// Samples of a `trun` box, and the sum of their durations.
fn sums(trun: &[u8], default: u32) -> Option<(u64, u64)> {
    let flags = u32_at(trun, 0)?;
    let count = u64::from(u32_at(trun, 4)?);
    if flags & 0x100 == 0 {
        return Some((count, count.saturating_mul(u64::from(default))));
    }
    let start = 8 + if flags & 1 != 0 { 4 } else { 0 } + if flags & 4 != 0 { 4 } else { 0 };
    let each = 4 * (flags >> 8 & 0x0F).count_ones() as usize;
    let entries = trun.get(start..)?.chunks_exact(each).take(count as usize);
    let durations = entries.filter_map(|entry| u32_at(entry, 0)).map(u64::from);
    Some((count, durations.fold(0, u64::saturating_add)))
}

/// Moves every track of a fragment, given as the body of its `moof` box, and numbers it.
///
/// # Errors
/// The first track that cannot be moved; the fragment is of no use then.
pub fn retime(moof: &mut [u8], sequence: u32, moves: &[Move]) -> Result<(), MoveError> {
    let all: Vec<Place> = places(moof, 0, moof.len()).collect();
    for place in all {
        match &place.kind {
            b"mfhd" => write_u32(moof, place.start + 4, sequence)?,
            b"traf" => retime_track(moof, &place, moves)?,
            _ => {}
        }
    }
    Ok(())
}

fn retime_track(moof: &mut [u8], traf: &Place, moves: &[Move]) -> Result<(), MoveError> {
    let within: Vec<Place> = places(moof, traf.start, traf.end).collect();
    let find = |kind: &[u8; 4]| within.iter().find(|place| &place.kind == kind);
    let tfhd = find(b"tfhd").ok_or(MoveError::Broken)?;
    let body = moof.get(tfhd.range()).ok_or(MoveError::Broken)?;
    if u32_at(body, 0).ok_or(MoveError::Broken)? & 1 != 0 {
        return Err(MoveError::Absolute);
    }
    let track = u32_at(body, 4).ok_or(MoveError::Broken)?;
    // A track that nobody wants stays where it is.
    let Some(wanted) = moves.iter().find(|one| one.from == track) else { return Ok(()) };
    write_u32(moof, tfhd.start + 4, wanted.to)?;
    let tfdt = find(b"tfdt").ok_or(MoveError::NoTime)?;
    let body = moof.get(tfdt.range()).ok_or(MoveError::Broken)?;
    if body.first().ok_or(MoveError::Broken)? & 1 == 1 {
        let time = u64_at(body, 4).ok_or(MoveError::Broken)?;
        let time = time.checked_add_signed(wanted.shift).ok_or(MoveError::NoRoom)?;
        moof.get_mut(tfdt.start + 4..tfdt.start + 12)
            .ok_or(MoveError::Broken)?
            .copy_from_slice(&time.to_be_bytes());
        return Ok(());
    }
    let time = u64::from(u32_at(body, 4).ok_or(MoveError::Broken)?);
    let time = time.checked_add_signed(wanted.shift).and_then(|time| u32::try_from(time).ok());
    write_u32(moof, tfdt.start + 4, time.ok_or(MoveError::NoRoom)?)
}

fn write_u32(bytes: &mut [u8], at: usize, value: u32) -> Result<(), MoveError> {
    bytes.get_mut(at..at + 4).ok_or(MoveError::Broken)?.copy_from_slice(&value.to_be_bytes());
    Ok(())
}

/// Where a box's body is.
#[derive(Debug, Clone, Copy)]
struct Place {
    kind: [u8; 4],
    start: usize,
    end: usize,
}

impl Place {
    const fn range(&self) -> std::ops::Range<usize> {
        self.start..self.end
    }
}

fn places(bytes: &[u8], start: usize, end: usize) -> impl Iterator<Item = Place> + '_ {
    let mut at = start;
    std::iter::from_fn(move || {
        let size = u32_at(bytes, at)? as usize;
        let kind: [u8; 4] = bytes.get(at + 4..at + 8)?.try_into().ok()?;
        let (head, size) = match size {
            0 => (8, end.checked_sub(at)?),
            1 => (16, usize::try_from(u64_at(bytes, at + 8)?).ok()?),
            size => (8, size),
        };
        let after = at.checked_add(size)?;
        if size < head || after > end {
            return None;
        }
        let place = Place { kind, start: at + head, end: after };
        at = after;
        Some(place)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::codec::Codec;
    use proptest::prelude::*;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn words(words: &[u32]) -> Vec<u8> {
        words.iter().flat_map(|word| word.to_be_bytes()).collect()
    }

    fn track(id: u32) -> Track {
        Track {
            id,
            timescale: 1000,
            codec: Codec::H264,
            description: Vec::new(),
            defaults: words(&[0, id, 1, 40, 0, 0]),
            skipped: 0,
        }
    }

    /// A fragment of two tracks: three samples of 40 by default, and samples of 20 and 30 with their own durations.
    fn moof() -> Vec<u8> {
        let first = [
            boxed(b"tfhd", &words(&[0x02_0000, 1])),
            boxed(b"tfdt", &words(&[0, 5000])),
            boxed(b"trun", &words(&[0x201, 3, 100, 7, 8, 9])),
        ]
        .concat();
        let second = [
            boxed(b"tfhd", &words(&[0x02_0000, 2])),
            boxed(b"tfdt", &words(&[0x0100_0000, 0, 6000])),
            boxed(b"trun", &words(&[0x301, 2, 100, 20, 7, 30, 8])),
        ]
        .concat();
        [boxed(b"mfhd", &words(&[0, 9])), boxed(b"traf", &first), boxed(b"traf", &second)].concat()
    }

    #[test]
    fn runs_are_summed_and_moved() {
        let tracks = [track(1), track(2)];
        let mut moof = moof();
        let run = |track, start, length, samples| Run { track, start: Some(start), length, samples };
        assert_eq!(runs(&moof, &tracks), [run(1, 5000, 120, 3), run(2, 6000, 50, 2)]);
        let moves = [Move { from: 1, to: 7, shift: -4000 }, Move { from: 2, to: 2, shift: 1 << 40 }];
        retime(&mut moof, 3, &moves).unwrap();
        assert_eq!(
            runs(&moof, &[track(7), track(2)]),
            [run(7, 1000, 120, 3), run(2, 6000 + (1 << 40), 50, 2)]
        );
        assert_eq!(u32_at(&moof, 12), Some(3));
    }

    #[test]
    fn samples_are_found() {
        let all = samples(&moof(), &[track(1), track(2)], 100);
        let sample = |track, start, length, offset, size| Sample { track, start, length, offset, size };
        assert_eq!(
            all,
            [
                sample(1, 5000, 40, Some(100), 7),
                sample(1, 5040, 40, None, 8),
                sample(1, 5080, 40, None, 9),
                sample(2, 6000, 20, Some(100), 7),
                sample(2, 6020, 30, None, 8),
            ]
        );
        assert_eq!(samples(&moof(), &[], 2).len(), 2);
    }

    #[test]
    fn what_has_no_room_is_said() {
        for (shift, outcome) in
            [(-5000, Ok(())), (-5001, Err(MoveError::NoRoom)), (i64::from(u32::MAX), Err(MoveError::NoRoom))]
        {
            assert_eq!(retime(&mut moof(), 1, &[Move { from: 1, to: 1, shift }]), outcome, "{shift}");
        }
        let mut absolute = boxed(b"traf", &boxed(b"tfhd", &words(&[1, 1, 0, 0])));
        let one = [Move { from: 1, to: 1, shift: 0 }];
        assert_eq!(retime(&mut absolute, 1, &one), Err(MoveError::Absolute));
        let mut timeless = boxed(b"traf", &boxed(b"tfhd", &words(&[0, 1])));
        assert_eq!(retime(&mut timeless, 1, &one), Err(MoveError::NoTime));
    }

    proptest! {
        #[test]
        fn damaged_fragments_are_errors_or_values(
            flips in prop::collection::vec((0_usize..220, any::<u8>()), 0..8),
            cut in 0_usize..220,
        ) {
            let mut bytes = moof();
            for (at, value) in flips {
                if let Some(byte) = bytes.get_mut(at) {
                    *byte = value;
                }
            }
            bytes.truncate(cut);
            let _ = runs(&bytes, &[track(1)]);
            let _ = samples(&bytes, &[track(1)], 1000);
            let _ = retime(&mut bytes, 1, &[Move { from: 1, to: 1, shift: 5 }]);
        }
    }
}
