//! Working files as they came: what is in them, and when its sections begin and end by their own clocks.
//!
//! Reads only. Never trusts a size: what does not fit ends the section or is an error. Invariant: memory is bounded,
//! whatever a file holds.

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom};
use std::ops::Range;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use weir_media::codec::{self, Codec, CodecKind};
use weir_media::mp4::{u32_at, u64_at};
use weir_media::{fragment, packed, ts};

use super::container::Container;
use super::timeline::{Beat, Clock};
use super::{Input, Section};
use crate::EngineError;

/// Bytes looked at to tell a container.
const SNIFFED: u64 = 4096;
/// Bytes read at a time, a whole number of packets.
pub(super) const BUFFER: usize = 5000 * ts::PACKET;
/// How far a stream of a single section is looked for.
const MAX_HEAD: u64 = 64 * 1024 * 1024;
/// Largest box that is read whole: an index of fragments or an initialisation section.
const MAX_BOX: u64 = 32 * 1024 * 1024;

/// One elementary stream of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Stream {
    /// PID or `track_ID`; 0 for packed audio.
    pub(super) id: u32,
    pub(super) codec: Codec,
}

/// An input, looked at.
#[derive(Debug, Clone)]
pub(super) struct Source {
    pub(super) container: Container,
    /// Sound and pictures of the section that has most.
    pub(super) streams: Vec<Stream>,
    /// One for each section.
    pub(super) clocks: Vec<Clock>,
    /// Tracks that the initialisation section of each section announces; empty for what has none.
    pub(super) maps: Vec<Vec<codec::Track>>,
    /// Packets that announce `streams`, of a transport stream.
    pub(super) tables: Vec<u8>,
    /// The initialisation section of each section that has none of its own but needs one.
    pub(super) inits: Vec<Option<Range<u64>>>,
    /// How the sound begins, where another kind could not follow.
    pub(super) sound: Option<[u8; 2]>,
    /// The kind of sound changes from one section to another.
    pub(super) sound_changes: bool,
}

impl Source {
    /// What comes is described before it comes: not so in a file whose index is at its end.
    pub(super) fn is_in_order(&self) -> bool {
        match self.container {
            Container::Mp4 => self.clocks.iter().all(|clock| !clock.beats.is_empty()),
            _ => true,
        }
    }
}

/// Looks at an input of sound or picture. Blocks.
pub(super) fn open(input: &Input, halt: &AtomicBool) -> Result<Source, EngineError> {
    let mut file = File::open(&input.path).map_err(EngineError::disk)?;
    let first = input.sections.first().map_or(0, |section| section.bytes.start);
    let start = read_at(&mut file, first, SNIFFED).map_err(EngineError::disk)?;
    let container = Container::sniff(&start)
        .ok_or_else(|| unsupported("its segments are no known kind of video or sound"))?;
    match container {
        Container::Ts => open_ts(&mut file, &input.sections, halt),
        Container::Mp4 => open_mp4(&mut file, &input.sections, halt),
        Container::WebM => open_webm(&start, &input.sections),
        Container::Aac | Container::Mp3 | Container::Ac3 | Container::Eac3 => {
            open_packed(&mut file, container, &input.sections)
        }
    }
}

pub(super) fn unsupported(reason: impl Into<String>) -> EngineError {
    EngineError::UnsupportedMedia { reason: reason.into() }
}

/// Ends blocking work whose job was dropped.
pub(super) fn go_on(halt: &AtomicBool) -> Result<(), EngineError> {
    if halt.load(Ordering::Relaxed) { Err(EngineError::Stopped) } else { Ok(()) }
}

pub(super) fn read_at(file: &mut File, at: u64, limit: u64) -> io::Result<Vec<u8>> {
    file.seek(SeekFrom::Start(at))?;
    let mut bytes = Vec::new();
    file.take(limit).read_to_end(&mut bytes)?;
    Ok(bytes)
}

/// Hands the packets of a range to `take` in buffers it may change. `take` says how much it used up; it is called with
/// `true` for what nothing follows, and ends it by returning false.
pub(super) fn packets(
    file: &mut File,
    range: &Range<u64>,
    halt: &AtomicBool,
    mut take: impl FnMut(&mut [u8], bool) -> Result<(usize, bool), EngineError>,
) -> Result<(), EngineError> {
    file.seek(SeekFrom::Start(range.start)).map_err(EngineError::disk)?;
    let mut rest = file.take(range.end.saturating_sub(range.start));
    let mut buffer = Vec::with_capacity(2 * BUFFER);
    loop {
        go_on(halt)?;
        let before = buffer.len();
        (&mut rest).take(BUFFER as u64).read_to_end(&mut buffer).map_err(EngineError::disk)?;
        let last = buffer.len() == before;
        let mut at = 0;
        while let Some(skip) = ts::align(&buffer[at..]) {
            at += skip;
            // Nothing is gained by waiting when a whole buffer waits already.
            let all = last || buffer.len() - at > BUFFER;
            let (used, more) = take(&mut buffer[at..], all)?;
            if !more {
                return Ok(());
            }
            at += used;
            if used == 0 {
                if !all {
                    break;
                }
                // A packet out of line: on to the next.
                at += 1;
            } else if buffer.get(at) == Some(&0x47) {
                break;
            }
        }
        if last {
            return Ok(());
        }
        // What is no packet is not kept for ever.
        let keep = if ts::align(&buffer[at..]).is_some() {
            at
        } else {
            buffer.len().saturating_sub(4 * ts::PACKET).max(at)
        };
        buffer.drain(..keep);
    }
}

pub(super) fn open_ts(
    file: &mut File,
    sections: &[Section],
    halt: &AtomicBool,
) -> Result<Source, EngineError> {
    let mut streams: Vec<Stream> = Vec::new();
    let mut clocks = Vec::new();
    let mut sounds: Vec<[u8; 2]> = Vec::new();
    let mut tables = Vec::new();
    let single = sections.len() <= 1;
    for section in sections {
        let mut scan = ts::Scan::default();
        let (mut seen, mut whole) = (0_u64, true);
        packets(file, &section.bytes, halt, |buffer, last| {
            let used = scan.feed(buffer, last);
            seen += used as u64;
            // One section needs no end, only its beginning.
            whole = !(single && (scan.all_begun() || seen > MAX_HEAD));
            Ok((used, whole))
        })?;
        let spans = scan.spans();
        {
            let announced = scan.tables().streams().unwrap_or_default().iter();
            // What is announced and never comes would make ffmpeg give up.
            let came = announced
                .filter(|stream| !whole || spans.iter().any(|span| span.stream.pid == stream.pid))
                .filter(|stream| matches!(stream.codec.kind(), CodecKind::Video | CodecKind::Audio));
            let came: Vec<Stream> =
                came.map(|one| Stream { id: one.pid.into(), codec: one.codec.clone() }).collect();
            // Sound may begin only after an announcement without any.
            if came.len() > streams.len() {
                streams = came;
                tables = scan.tables().packets().to_vec();
            }
        }
        sounds.extend(spans.iter().find_map(ts::Span::kind_of_sound));
        let beats = spans.iter().map(|span| Beat {
            id: span.stream.pid.into(),
            codec: span.stream.codec.clone(),
            kind: span.stream.codec.kind(),
            first_us: ticks_to_us(span.first),
            end_us: ticks_to_us(span.end),
        });
        clocks.push(Clock { beats: beats.collect(), turns: true });
    }
    sounds.dedup();
    Ok(Source {
        container: Container::Ts,
        streams,
        clocks,
        maps: vec![Vec::new(); sections.len()],
        tables,
        inits: Vec::new(),
        sound: sounds.first().copied(),
        sound_changes: sounds.len() > 1,
    })
}

pub(super) fn ticks_to_us(ticks: i64) -> i64 {
    (ticks * 100).div_euclid(9)
}

/// The boxes of a range that stand in no other, each with the place of its head and of its body.
pub(super) fn top_boxes(
    file: &mut File,
    range: &Range<u64>,
    halt: &AtomicBool,
    mut take: impl FnMut(&mut File, [u8; 4], Range<u64>, u64) -> Result<bool, EngineError>,
) -> Result<(), EngineError> {
    let mut at = range.start;
    while at + 8 <= range.end {
        go_on(halt)?;
        let header = read_at(file, at, 16).map_err(EngineError::disk)?;
        let small = u64::from(u32_at(&header, 0).unwrap_or_default());
        let kind: [u8; 4] = header.get(4..8).and_then(|kind| kind.try_into().ok()).unwrap_or_default();
        let (head, size) = match small {
            0 => (8, range.end - at),
            1 => (16, u64_at(&header, 8).unwrap_or_default()),
            size => (8, size),
        };
        if size < head || size > range.end - at {
            return Err(unsupported("a segment is cut or is none"));
        }
        if !take(file, kind, at..at + size, head)? {
            return Ok(());
        }
        at += size;
    }
    Ok(())
}

/// A box that is small enough to be read whole: its bytes, head included.
pub(super) fn whole_box(file: &mut File, place: &Range<u64>) -> Result<Vec<u8>, EngineError> {
    let size = place.end - place.start;
    if size > MAX_BOX {
        return Err(unsupported("an index in its segments is too large"));
    }
    read_at(file, place.start, size).map_err(EngineError::disk)
}

fn open_mp4(file: &mut File, sections: &[Section], halt: &AtomicBool) -> Result<Source, EngineError> {
    let single = sections.len() <= 1;
    let mut maps: Vec<Vec<codec::Track>> = Vec::new();
    let mut inits = Vec::new();
    let mut init: Option<Range<u64>> = None;
    let mut clocks = Vec::new();
    for section in sections {
        let mut tracks = maps.last().cloned().unwrap_or_default();
        let mut runs: Vec<Counted> = Vec::new();
        let (mut own, mut begin) = (false, section.bytes.start);
        top_boxes(file, &section.bytes, halt, |file, kind, place, head| {
            match &kind {
                b"ftyp" => begin = place.start,
                b"moov" => {
                    own = true;
                    init = Some(begin.min(place.start)..place.end);
                    tracks = codec::tracks(whole_box(file, &place)?.get(head as usize..).unwrap_or_default());
                }
                b"moof" => {
                    let moof = whole_box(file, &place)?;
                    for run in fragment::runs(moof.get(head as usize..).unwrap_or_default(), &tracks) {
                        count(&mut runs, &run);
                    }
                    // One section needs no end, only its beginning.
                    let all = tracks.iter().all(|track| runs.iter().any(|run| run.track == track.id));
                    return Ok(!(single && (all || place.end - section.bytes.start > MAX_HEAD)));
                }
                _ => {}
            }
            Ok(true)
        })?;
        if tracks.iter().any(codec::Track::is_protected) {
            return Err(unsupported("its samples are encrypted"));
        }
        let beats = runs.iter().filter_map(|run| {
            let track = tracks.iter().find(|track| track.id == run.track)?;
            let us = |units: u64| {
                let units = i128::from(units) - i128::from(track.skipped);
                i64::try_from(units * 1_000_000 / i128::from(track.timescale)).ok()
            };
            Some(Beat {
                id: track.id,
                codec: track.codec.clone(),
                kind: track.codec.kind(),
                first_us: us(run.first)?,
                end_us: us(run.end)?,
            })
        });
        clocks.push(Clock { beats: beats.collect(), turns: false });
        inits.push(init.clone().filter(|_| !own));
        maps.push(tracks);
    }
    let streams = maps.first().into_iter().flatten();
    let streams = streams
        .filter(|track| matches!(track.codec.kind(), CodecKind::Video | CodecKind::Audio | CodecKind::Text));
    let streams = streams.map(|track| Stream { id: track.id, codec: track.codec.clone() }).collect();
    Ok(Source {
        container: Container::Mp4,
        streams,
        clocks,
        maps,
        tables: Vec::new(),
        inits,
        sound: None,
        sound_changes: false,
    })
}

/// Time of one track of a section, in its own units.
struct Counted {
    track: u32,
    first: u64,
    end: u64,
}

fn count(runs: &mut Vec<Counted>, run: &fragment::Run) {
    if run.samples == 0 {
        return;
    }
    match runs.iter_mut().find(|counted| counted.track == run.track) {
        Some(counted) => {
            // Fragments that do not say when they begin follow the one before.
            counted.end = run.start.unwrap_or(counted.end).saturating_add(run.length).max(counted.end);
        }
        None => {
            let first = run.start.unwrap_or_default();
            runs.push(Counted { track: run.track, first, end: first.saturating_add(run.length) });
        }
    }
}

/// WebM is taken as it is: its clusters carry times of their own, which are left alone.
fn open_webm(start: &[u8], sections: &[Section]) -> Result<Source, EngineError> {
    if sections.len() > 1 {
        return Err(unsupported("it is WebM and its timestamps begin anew in the middle"));
    }
    const NAMES: [(&[u8], Codec); 5] = [
        (b"V_VP9", Codec::Vp9),
        (b"V_VP8", Codec::Vp8),
        (b"V_AV1", Codec::Av1),
        (b"A_OPUS", Codec::Opus),
        (b"A_VORBIS", Codec::Vorbis),
    ];
    let found = NAMES.into_iter().filter(|(name, _)| start.windows(name.len()).any(|window| window == *name));
    let streams: Vec<Stream> = found.map(|(_, codec)| Stream { id: 0, codec }).collect();
    if streams.is_empty() {
        return Err(unsupported("its WebM segments have no known kind of video or sound"));
    }
    let clocks = vec![Clock { beats: Vec::new(), turns: false }; sections.len()];
    Ok(Source {
        container: Container::WebM,
        streams,
        clocks,
        maps: vec![Vec::new(); sections.len()],
        tables: Vec::new(),
        inits: Vec::new(),
        sound: None,
        sound_changes: false,
    })
}

/// Packed audio has its time in a tag at the beginning of every segment.
fn open_packed(file: &mut File, container: Container, sections: &[Section]) -> Result<Source, EngineError> {
    let codec = container.packed().unwrap_or(Codec::Aac);
    let mut clocks = Vec::new();
    for section in sections {
        let start = read_at(file, section.bytes.start, SNIFFED).map_err(EngineError::disk)?;
        let beats = packed::timestamp(&start).map(|ticks| {
            let first = ticks_to_us(ticks);
            let length = i64::try_from(section.duration.as_micros()).unwrap_or_default();
            Beat {
                id: 0,
                codec: codec.clone(),
                kind: CodecKind::Audio,
                first_us: first,
                end_us: first.saturating_add(length),
            }
        });
        clocks.push(Clock { beats: beats.into_iter().collect(), turns: true });
    }
    Ok(Source {
        container,
        streams: vec![Stream { id: 0, codec }],
        clocks,
        maps: vec![Vec::new(); sections.len()],
        tables: Vec::new(),
        inits: Vec::new(),
        sound: None,
        sound_changes: false,
    })
}

/// Opens a path for reading from its beginning.
pub(super) fn reopen(path: &Path) -> Result<File, EngineError> {
    File::open(path).map_err(EngineError::disk)
}
