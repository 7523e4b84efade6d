//! What an MP4 file says about its own length.
//!
//! Reads boxes of ISO/IEC 14496-12, just enough to compare a finished file with its plan. Never writes and never
//! trusts a size. Invariant: no more memory is taken than [`MAX_MOOV`], whatever the file claims.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use weir_media::mp4::{boxes, child, u32_at, u64_at};

/// Largest index that is read; hours of video need a few MiB.
const MAX_MOOV: u64 = 256 * 1024 * 1024;
/// A picture that stays longer than this is a still.
const STILL: Duration = Duration::from_millis(250);

/// One track.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Track {
    pub(crate) kind: TrackKind,
    /// Sum of its samples.
    pub(crate) duration: Duration,
    /// Number of samples.
    pub(crate) samples: u64,
    /// Longest single sample, the last one aside: a hole in the stream looks like that.
    pub(crate) longest_sample: Duration,
    /// Part of `duration` in samples that are no stills.
    pub(crate) moving: Duration,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum TrackKind {
    Video,
    Audio,
    Other,
}

/// Reads the tracks of a file that is not fragmented.
pub(crate) fn tracks(file: &mut (impl Read + Seek)) -> io::Result<Vec<Track>> {
    let moov = find_moov(file)?;
    let mut tracks = Vec::new();
    for (kind, body) in boxes(&moov) {
        if kind == *b"trak"
            && let Some(track) = track(body)
        {
            tracks.push(track);
        }
    }
    Ok(tracks)
}

fn find_moov(file: &mut (impl Read + Seek)) -> io::Result<Vec<u8>> {
    let end = file.seek(SeekFrom::End(0))?;
    let mut at = 0;
    while at + 8 <= end {
        file.seek(SeekFrom::Start(at))?;
        let mut header = [0_u8; 16];
        file.read_exact(&mut header[..8])?;
        let small = u64::from(u32_at(&header, 0).unwrap_or_default());
        let (head, size) = match small {
            0 => (8, end - at),
            1 => {
                file.read_exact(&mut header[8..])?;
                (16, u64_at(&header, 8).unwrap_or_default())
            }
            size => (8, size),
        };
        if size < head || size > end - at {
            return Err(invalid("a box is larger than its file"));
        }
        if &header[4..8] == b"moov" {
            let length = size - head;
            if length > MAX_MOOV {
                return Err(invalid("the index is too large"));
            }
            let mut moov = Vec::new();
            file.take(length).read_to_end(&mut moov)?;
            return Ok(moov);
        }
        at += size;
    }
    Err(invalid("no index"))
}

fn invalid(reason: &'static str) -> io::Error {
    io::Error::new(io::ErrorKind::InvalidData, reason)
}

fn track(trak: &[u8]) -> Option<Track> {
    let mdia = child(trak, b"mdia")?;
    let (timescale, _) = media_header(child(mdia, b"mdhd")?)?;
    let kind = match child(mdia, b"hdlr")?.get(8..12)? {
        b"vide" => TrackKind::Video,
        b"soun" => TrackKind::Audio,
        _ => TrackKind::Other,
    };
    let stts = child(child(child(mdia, b"minf")?, b"stbl")?, b"stts")?;
    let entries: Vec<(u64, u64)> = stts
        .get(8..)?
        .chunks_exact(8)
        .take(u32_at(stts, 4)? as usize)
        .filter_map(|entry| Some((u64::from(u32_at(entry, 0)?), u64::from(u32_at(entry, 4)?))))
        .collect();
    let samples = entries.iter().map(|(count, _)| count).sum();
    let sum =
        entries.iter().fold(0_u64, |sum, (count, delta)| sum.saturating_add(count.saturating_mul(*delta)));
    // The last sample's length is often made up.
    let all_but_last =
        entries.iter().enumerate().filter(|(at, (count, _))| *at + 1 < entries.len() || *count > 1);
    let longest = all_but_last.map(|(_, (_, delta))| *delta).max().unwrap_or_default();
    let moving = entries
        .iter()
        .filter(|(_, delta)| seconds(*delta, timescale).is_some_and(|length| length <= STILL))
        .fold(0_u64, |sum, (count, delta)| sum.saturating_add(count.saturating_mul(*delta)));
    Some(Track {
        kind,
        duration: seconds(sum, timescale)?,
        moving: seconds(moving, timescale)?,
        samples,
        longest_sample: seconds(longest, timescale)?,
    })
}

fn media_header(mdhd: &[u8]) -> Option<(u32, u64)> {
    match mdhd.first()? {
        0 => Some((u32_at(mdhd, 12)?, u64::from(u32_at(mdhd, 16)?))),
        1 => Some((u32_at(mdhd, 20)?, u64_at(mdhd, 24)?)),
        _ => None,
    }
}

fn seconds(units: u64, timescale: u32) -> Option<Duration> {
    (timescale > 0).then(|| Duration::try_from_secs_f64(units as f64 / f64::from(timescale)).ok())?
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::io::Cursor;

    fn boxed(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
        [&(body.len() as u32 + 8).to_be_bytes()[..], kind, body].concat()
    }

    fn sample_file(handler: &[u8; 4], timescale: u32, stts: &[(u32, u32)]) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let mdhd = boxed(b"mdhd", &words(&[0, 0, 0, timescale, 0, 0]));
        let hdlr = boxed(b"hdlr", &[&words(&[0, 0])[..], handler].concat());
        let mut table = words(&[0, stts.len() as u32]);
        for (count, delta) in stts {
            table.extend(words(&[*count, *delta]));
        }
        let stbl = boxed(b"stbl", &boxed(b"stts", &table));
        let mdia = boxed(b"mdia", &[mdhd, hdlr, boxed(b"minf", &stbl)].concat());
        [boxed(b"ftyp", b"isom"), boxed(b"moov", &boxed(b"trak", &mdia)), boxed(b"mdat", &[0; 64])].concat()
    }

    #[test]
    fn length_and_holes_are_read() {
        let file = sample_file(b"soun", 1000, &[(10, 20), (1, 6000), (9, 20), (1, 5000)]);
        let tracks = tracks(&mut Cursor::new(file)).unwrap();
        assert_eq!(
            tracks,
            [Track {
                kind: TrackKind::Audio,
                duration: Duration::from_millis(200 + 6000 + 180 + 5000),
                samples: 21,
                longest_sample: Duration::from_secs(6),
                moving: Duration::from_millis(200 + 180),
            }]
        );
    }

    proptest! {
        #[test]
        fn damaged_files_are_errors_or_values(flips in prop::collection::vec((0_usize..220, any::<u8>()), 0..8), cut in 0_usize..220) {
            let mut file = sample_file(b"vide", 90_000, &[(10, 3000), (1, 3000)]);
            for (at, value) in flips {
                if let Some(byte) = file.get_mut(at) {
                    *byte = value;
                }
            }
            file.truncate(cut.max(8));
            let _ = tracks(&mut Cursor::new(file));
        }
    }
}
