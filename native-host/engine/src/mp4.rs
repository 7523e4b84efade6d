//! What an MP4 file says about its own length.
//!
//! Reads boxes of ISO/IEC 14496-12, just enough to compare a finished file with its plan. Never writes and never
//! trusts a size. Invariant: no more memory is taken than [`MAX_MOOV`], whatever the file claims.

use std::io::{self, Read, Seek, SeekFrom};
use std::time::Duration;

use weir_media::codec::CodecKind;
use weir_media::mp4::{boxes, child, u32_at, u64_at};

use crate::mux::{Meter, Track};

/// Largest index that is read; hours of video need a few MiB.
const MAX_MOOV: u64 = 256 * 1024 * 1024;

/// Reads the tracks of a file that is not fragmented.
pub(crate) fn tracks(file: &mut (impl Read + Seek)) -> io::Result<Vec<Track>> {
    let moov = find_moov(file)?;
    let mut tracks = Vec::new();
    let timescale = child(&moov, b"mvhd").and_then(media_header).map_or(1, |(timescale, _)| timescale);
    for (kind, body) in boxes(&moov) {
        if kind == *b"trak"
            && let Some(track) = track(body, timescale)
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

fn track(trak: &[u8], movie_timescale: u32) -> Option<Track> {
    let mdia = child(trak, b"mdia")?;
    let (timescale, _) = media_header(child(mdia, b"mdhd")?)?;
    let kind = match child(mdia, b"hdlr")?.get(8..12)? {
        b"vide" => CodecKind::Video,
        b"soun" => CodecKind::Audio,
        b"text" | b"sbtl" | b"subt" | b"clcp" => CodecKind::Text,
        _ => CodecKind::Data,
    };
    let stbl = child(child(mdia, b"minf")?, b"stbl")?;
    let stts = child(stbl, b"stts")?;
    // Without this table every sample can be decoded by itself (section 8.6.2).
    let sync = child(stbl, b"stss").and_then(|stss| stss.get(8..)).map(|numbers| numbers.chunks_exact(4));
    let mut sync = sync.map(|numbers| numbers.filter_map(|number| u32_at(number, 0)).peekable());
    let mut meter = Meter::new(timescale);
    let mut number = 0_u64;
    for entry in stts.get(8..)?.chunks_exact(8).take(u32_at(stts, 4)? as usize) {
        let (count, delta) = (u64::from(u32_at(entry, 0)?), u64::from(u32_at(entry, 4)?));
        let end = number.saturating_add(count);
        while number < end {
            // Up to the next sample that can be decoded by itself, and that one.
            let next = match &mut sync {
                None => None,
                Some(numbers) => {
                    while numbers.next_if(|sync| u64::from(*sync) <= number).is_some() {}
                    Some(numbers.peek().map_or(u64::MAX, |sync| u64::from(*sync)))
                }
            };
            let (run, is_sync) = match next {
                None => (end - number, true),
                Some(next) if next == number + 1 => (1, true),
                Some(next) => (end.min(next - 1) - number, false),
            };
            meter.add(run, delta, is_sync);
            number += run;
        }
    }
    let start = child(trak, b"edts").and_then(|edts| child(edts, b"elst")).and_then(pause);
    Some(meter.finish(kind, seconds(start.unwrap_or_default(), movie_timescale.max(1))?))
}

/// How long nothing is shown in the beginning, by the edit list (section 8.6.6).
fn pause(elst: &[u8]) -> Option<u64> {
    let wide = elst.first()? & 1 == 1;
    let edits =
        elst.get(8..)?.chunks_exact(if wide { 20 } else { 12 }).take(u32_at(elst, 4)?.min(16) as usize);
    let pauses = edits.map_while(|edit| {
        let (length, time) = if wide {
            (u64_at(edit, 0)?, u64_at(edit, 8)?.cast_signed())
        } else {
            (u64::from(u32_at(edit, 0)?), i64::from(u32_at(edit, 4)?.cast_signed()))
        };
        (time == -1).then_some(length)
    });
    Some(pauses.fold(0, u64::saturating_add))
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
        sample_file_with(handler, timescale, stts, &[])
    }

    fn sample_file_with(handler: &[u8; 4], timescale: u32, stts: &[(u32, u32)], more: &[u8]) -> Vec<u8> {
        let words = |words: &[u32]| words.iter().flat_map(|word| word.to_be_bytes()).collect::<Vec<u8>>();
        let mdhd = boxed(b"mdhd", &words(&[0, 0, 0, timescale, 0, 0]));
        let hdlr = boxed(b"hdlr", &[&words(&[0, 0])[..], handler].concat());
        let mut table = words(&[0, stts.len() as u32]);
        for (count, delta) in stts {
            table.extend(words(&[*count, *delta]));
        }
        let stbl = boxed(b"stbl", &[&boxed(b"stts", &table)[..], more].concat());
        let mdia = boxed(b"mdia", &[mdhd, hdlr, boxed(b"minf", &stbl)].concat());
        [boxed(b"ftyp", b"isom"), boxed(b"moov", &boxed(b"trak", &mdia)), boxed(b"mdat", &[0; 64])].concat()
    }

    #[test]
    fn length_and_holes_are_read() {
        let file = sample_file(b"soun", 1000, &[(10, 20), (1, 6000), (9, 20), (1, 5000)]);
        let tracks = tracks(&mut Cursor::new(file)).unwrap();
        let [track] = tracks.as_slice() else { panic!("{tracks:?}") };
        let millis = Duration::from_millis;
        assert_eq!((track.kind, track.samples), (CodecKind::Audio, 21));
        assert_eq!(track.duration, millis(200 + 6000 + 180 + 5000));
        assert_eq!((track.longest_sample, track.moving), (millis(6000), millis(200 + 180)));
    }

    #[test]
    fn a_long_sample_says_whether_it_begins_something() {
        // Samples 1 and 12 can be decoded by themselves; 11 and 12 last for seconds.
        let stss = boxed(b"stss", &[0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 1, 0, 0, 0, 12]);
        let file = sample_file_with(b"vide", 1000, &[(10, 40), (1, 6000), (1, 3000), (5, 40)], &stss);
        let tracks = tracks(&mut Cursor::new(file)).unwrap();
        let long: Vec<(u64, bool)> =
            tracks[0].long.iter().map(|one| (one.length.as_secs(), one.sync)).collect();
        assert_eq!((long, tracks[0].depends), (vec![(6, false), (3, true)], true));
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
