//! What each segment of a working file holds by itself.
//!
//! Reads only, and every segment alone: what one of them lacks never changes what is found in another. Invariant: memory is
//! bounded, whatever a file holds.

use std::fs::File;
use std::ops::Range;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use weir_media::codec::{self, Codec, CodecKind};
use weir_media::{fragment, packed, ts};

use super::container::Container;
use super::flaws::{self, Flaw, Measured};
use super::source::{self, go_on, read_at, ticks_to_us};
use super::{Halt, Input, blocking};
use crate::EngineError;

/// Bytes looked at to tell a container.
const SNIFFED: u64 = 4096;
/// Bytes of sound read at a time.
const SOUND: u64 = 1 << 20;
/// Bytes of a segment that may be nothing that is known before it counts as torn.
const STRAY: usize = 4 * ts::PACKET;

/// One segment of a working file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Segment {
    /// Where it lies; behind its initialisation section, when one was written before it.
    pub(crate) bytes: Range<u64>,
    /// Its place by the manifest.
    pub(crate) start: Duration,
    /// How long it plays by the manifest.
    pub(crate) duration: Duration,
    /// It is known not to be there.
    pub(crate) lost: bool,
    /// Its clock has nothing to do with that of the segment before it.
    pub(crate) fresh: bool,
}

/// Whether an input is nothing but frames of sound.
pub(crate) fn is_packed(input: &Input) -> bool {
    File::open(&input.path).is_ok_and(|mut file| {
        container(&mut file, input).is_some_and(|container| container.packed().is_some())
    })
}

/// Looks for segments that are not what their playlist says. Dropping the future ends it.
pub(crate) async fn flaws(input: &Input, segments: Vec<Segment>) -> Result<Vec<Flaw>, EngineError> {
    let halt = Halt::default();
    let input = input.clone();
    blocking(&halt, move |halt| {
        let measured = measure(&input, &segments, halt)?;
        Ok(flaws::judge(&segments, &measured, input.timing.whole_seconds))
    })
    .await
}

fn container(file: &mut File, input: &Input) -> Option<Container> {
    let first = input.sections.first().map_or(0, |section| section.bytes.start);
    Container::sniff(&read_at(file, first, SNIFFED).ok()?)
}

fn measure(input: &Input, segments: &[Segment], halt: &AtomicBool) -> Result<Vec<Measured>, EngineError> {
    let mut file = source::reopen(&input.path)?;
    let Some(container) = container(&mut file, input) else { return Ok(Vec::new()) };
    // Announced in one segment, or in the initialisation section of an earlier one.
    let mut tables = Vec::new();
    let mut tracks = Vec::new();
    let mut measured = Vec::with_capacity(segments.len());
    for segment in segments {
        go_on(halt)?;
        measured.push(match (container, container.packed()) {
            _ if segment.lost => Measured::default(),
            (_, Some(codec)) => of_sound(&mut file, &segment.bytes, &codec, halt)?,
            (Container::Ts, _) => of_packets(&mut file, &segment.bytes, &mut tables, halt)?,
            (Container::Mp4, _) => of_boxes(&mut file, &segment.bytes, &mut tracks, halt)?,
            // Clusters are left alone.
            _ => return Ok(Vec::new()),
        });
    }
    Ok(measured)
}

/// Frames of sound, behind a tag that says their time.
fn of_sound(
    file: &mut File,
    bytes: &Range<u64>,
    codec: &Codec,
    halt: &AtomicBool,
) -> Result<Measured, EngineError> {
    let start =
        read_at(file, bytes.start, SNIFFED.min(bytes.end - bytes.start)).map_err(EngineError::disk)?;
    let mut at = bytes.start + packed::tag_length(&start).unwrap_or(0) as u64;
    let (mut samples, mut rate, mut whole) = (0_u64, 0_u64, at);
    while at < bytes.end {
        go_on(halt)?;
        let read = read_at(file, at, SOUND.min(bytes.end - at)).map_err(EngineError::disk)?;
        let last = at + read.len() as u64 >= bytes.end;
        let mut here = 0;
        while here + packed::HEAD <= read.len() {
            let Some(frame) = packed::frame(codec, &read[here..]) else {
                here += 1;
                continue;
            };
            // The rest of it may stand in the next segment: one frame more or less is no cut.
            if here + frame.length > read.len() {
                break;
            }
            (samples, rate) = (samples + u64::from(frame.samples), u64::from(frame.rate));
            here += frame.length;
            whole = at + here as u64;
        }
        if last {
            break;
        }
        at += here.max(1) as u64;
    }
    let length_us = (samples * 1_000_000).checked_div(rate).unwrap_or_default();
    Ok(Measured {
        first_us: packed::timestamp(&start).map(ticks_to_us),
        length_us: i64::try_from(length_us).unwrap_or_default(),
        turns: true,
        whole: whole - bytes.start,
        ..Measured::default()
    })
}

/// Packets of a transport stream. `tables` are those of a segment before, for one without.
fn of_packets(
    file: &mut File,
    bytes: &Range<u64>,
    tables: &mut Vec<u8>,
    halt: &AtomicBool,
) -> Result<Measured, EngineError> {
    let mut scan = ts::Scan::default();
    scan.feed(tables, true);
    let mut used_up = 0_u64;
    source::packets(file, bytes, halt, |buffer, last| {
        let used = scan.feed(buffer, last);
        used_up += used as u64;
        Ok((used, true))
    })?;
    if tables.is_empty() {
        *tables = scan.tables().packets().to_vec();
    }
    let spans = scan.spans();
    let of = |kind: CodecKind| spans.iter().find(|span| span.stream.codec.kind() == kind);
    // Sound does not stop, and its packets are as long as they are.
    let lead = of(CodecKind::Audio).or(of(CodecKind::Video));
    let stray = (bytes.end - bytes.start).saturating_sub(used_up);
    Ok(Measured {
        torn: stray > 0 && !(bytes.end - bytes.start).is_multiple_of(ts::PACKET as u64)
            || stray > STRAY as u64,
        first_us: lead.map(|span| ticks_to_us(span.first)),
        length_us: lead.map_or(0, |span| ticks_to_us(span.end - span.first)),
        picture: of(CodecKind::Audio).is_none(),
        turns: true,
        ..Measured::default()
    })
}

/// Fragments. `tracks` are those that the initialisation section before announced.
fn of_boxes(
    file: &mut File,
    bytes: &Range<u64>,
    tracks: &mut Vec<codec::Track>,
    halt: &AtomicBool,
) -> Result<Measured, EngineError> {
    let mut runs: Vec<(u32, u64, u64)> = Vec::new();
    let mut init = 0;
    let walked = source::top_boxes(file, bytes, halt, |file, kind, place, head| {
        match &kind {
            b"moov" => {
                let moov = source::whole_box(file, &place)?;
                *tracks = codec::tracks(moov.get(head as usize..).unwrap_or_default());
                init = place.end - bytes.start;
            }
            b"moof" => {
                let moof = source::whole_box(file, &place)?;
                for run in fragment::runs(moof.get(head as usize..).unwrap_or_default(), tracks) {
                    match runs.iter_mut().find(|(track, ..)| *track == run.track) {
                        Some((_, _, end)) => *end = run.start.unwrap_or(*end).saturating_add(run.length),
                        None => {
                            let first = run.start.unwrap_or_default();
                            runs.push((run.track, first, first.saturating_add(run.length)));
                        }
                    }
                }
            }
            _ => {}
        }
        Ok(true)
    });
    let torn = match walked {
        Ok(()) => false,
        Err(EngineError::UnsupportedMedia { .. }) => true,
        Err(error) => return Err(error),
    };
    let of = |kind: CodecKind| {
        let track = tracks.iter().find(|track| track.codec.kind() == kind)?;
        let (_, first, end) = runs.iter().find(|(id, ..)| *id == track.id)?;
        let us = |units: u64| {
            i64::try_from(u128::from(units) * 1_000_000 / u128::from(track.timescale.max(1))).ok()
        };
        Some((us(*first)?, us(end.saturating_sub(*first))?))
    };
    let lead = of(CodecKind::Audio).or_else(|| of(CodecKind::Video));
    Ok(Measured {
        torn,
        swallows: torn,
        first_us: lead.map(|(first, _)| first),
        length_us: lead.map_or(0, |(_, length)| length),
        picture: of(CodecKind::Audio).is_none(),
        turns: false,
        init,
        ..Measured::default()
    })
}
