//! Several sections of a track into one file with one clock.
//!
//! Owns the files it writes into the job's work folder. Never re-encodes: timestamps, packet numbers and initialisation
//! sections change, samples do not. Invariant: a track that cannot be joined without loss is refused by name.

use std::fs::File;
use std::io::{BufWriter, Read as _, Seek as _, SeekFrom, Write as _};
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::AtomicBool;

use weir_media::codec::{self, Codec};
use weir_media::fragment::{self, Move};
use weir_media::{packed, ts};

use super::container::Container;
use super::source::{self, Source, Stream, go_on, unsupported};
use super::timeline::{Beat, Shift, Stretch, waiting};
use super::{Input, Section, ffmpeg};
use crate::EngineError;

/// A file with one clock, ready for ffmpeg.
#[derive(Debug)]
pub(super) struct Ready {
    pub(super) path: PathBuf,
    pub(super) container: Container,
    /// Microseconds to add to its timestamps.
    pub(super) offset_us: i64,
    pub(super) streams: Vec<Stream>,
    /// Parameters of the picture may change in the middle.
    pub(super) changes: bool,
    /// Parameters of the sound do, and only frames that carry them can follow each other.
    pub(super) sound_changes: bool,
    /// It can be read front to back.
    pub(super) in_order: bool,
    /// Made here, to be removed.
    pub(super) made: bool,
}

/// How the sections of an input come together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Way {
    /// The file is fine as it is.
    AsIs,
    /// Frames one after another, without the tags between them.
    Bytes,
    /// Packets of transport streams.
    Packets,
    /// Fragments behind one initialisation section.
    Fragments,
    /// Every section becomes a transport stream first, where a change of parameters is allowed.
    Converted,
}

/// Decides how.
pub(super) fn way(source: &Source, stretches: &[Stretch]) -> Result<Way, EngineError> {
    let single = stretches.len() <= 1;
    match source.container {
        Container::Ts if single && !stretches.first().is_some_and(Stretch::turns) => Ok(Way::AsIs),
        Container::Ts => Ok(Way::Packets),
        Container::Mp4 | Container::WebM if single => Ok(Way::AsIs),
        Container::Mp4 => way_of_fragments(source),
        Container::WebM => Err(unsupported("it is WebM and its timestamps begin anew in the middle")),
        Container::Aac | Container::Mp3 | Container::Ac3 | Container::Eac3 if single => Ok(Way::Bytes),
        Container::Aac | Container::Mp3 | Container::Ac3 | Container::Eac3 => Ok(Way::Converted),
    }
}

fn way_of_fragments(source: &Source) -> Result<Way, EngineError> {
    let Some((first, rest)) = source.maps.split_first() else { return Ok(Way::AsIs) };
    if rest.iter().all(|map| same_but(first, map, |_| false)) {
        return Ok(Way::Fragments);
    }
    if source.maps.iter().flatten().all(|track| track.codec.fits_ts()) {
        return Ok(Way::Converted);
    }
    // These say in the stream itself what changes.
    if rest.iter().all(|map| same_but(first, map, |codec| matches!(codec, Codec::Av1 | Codec::Vp9))) {
        return Ok(Way::Fragments);
    }
    let named = source.maps.iter().flatten().find(|track| !track.codec.fits_ts());
    let name = named.map_or("its codec", |track| track.codec.name());
    Err(unsupported(format!("its encoding changes in the middle, and {name} cannot be joined without loss")))
}

/// One initialisation section can stand for the other. Codecs for which `lenient` holds may have another description.
fn same_but(a: &[codec::Track], b: &[codec::Track], lenient: impl Fn(&Codec) -> bool) -> bool {
    a.len() == b.len()
        && a.iter().zip(b).all(|(a, b)| {
            (a.id, a.timescale, &a.codec, &a.defaults, a.skipped)
                == (b.id, b.timescale, &b.codec, &b.defaults, b.skipped)
                && (a.description == b.description || lenient(&a.codec))
        })
}

/// What joining needs to know of an input.
pub(super) struct Task {
    pub(super) input: Input,
    pub(super) source: Source,
    pub(super) stretches: Vec<Stretch>,
    pub(super) shifts: Vec<Shift>,
    /// Where the joined file goes, without extension.
    pub(super) stem: PathBuf,
}

impl Task {
    /// The file as it came.
    pub(super) fn as_is(&self) -> Ready {
        Ready {
            path: self.input.path.clone(),
            container: self.source.container,
            offset_us: self.shifts.first().map_or(0, |shift| shift.base_us),
            streams: self.source.streams.clone(),
            changes: false,
            sound_changes: self.source.sound_changes,
            in_order: self.source.is_in_order(),
            made: false,
        }
    }

    fn made(&self, extension: &str, container: Container) -> Ready {
        Ready {
            path: self.stem.with_extension(extension),
            container,
            offset_us: 0,
            in_order: false,
            made: true,
            ..self.as_is()
        }
    }

    /// All that needs no ffmpeg. Blocks.
    pub(super) fn join(&self, way: Way, halt: &AtomicBool) -> Result<Ready, EngineError> {
        match way {
            Way::AsIs | Way::Converted => Ok(self.as_is()),
            Way::Bytes => {
                let begins = self.stretches.first().and_then(|stretch| stretch.clock.beats.first());
                let mut ready = self.made("packed", self.source.container);
                ready.offset_us = self.as_is().offset_us + begins.map_or(0, |beat| beat.first_us);
                let whole = self.input.sections.first().map_or(0..0, |section| section.bytes.clone());
                without_tags(&self.input.path, &whole, &ready.path, halt)?;
                Ok(ready)
            }
            Way::Packets => {
                let ready = self.made("ts", Container::Ts);
                let parts: Vec<Part<'_>> =
                    (self.input.sections.iter().zip(&self.stretches).zip(&self.shifts))
                        .map(|((section, stretch), shift)| Part {
                            path: &self.input.path,
                            bytes: section.bytes.clone(),
                            beats: &stretch.clock.beats,
                            shift: shift.clone(),
                        })
                        .collect();
                packets(&parts, &self.source.streams, &self.source.tables, &ready.path, halt)?;
                Ok(Ready { changes: true, ..ready })
            }
            Way::Fragments => {
                let ready = self.made("mp4", Container::Mp4);
                self.fragments(&ready.path, halt)?;
                Ok(ready)
            }
        }
    }

    fn fragments(&self, path: &Path, halt: &AtomicBool) -> Result<(), EngineError> {
        let mut from = source::reopen(&self.input.path)?;
        let mut to = BufWriter::new(File::create(path).map_err(EngineError::disk)?);
        let mut sequence = 0_u32;
        let tracks = self.source.maps.first().map(Vec::as_slice).unwrap_or_default();
        for (number, (section, shift)) in self.input.sections.iter().zip(&self.shifts).enumerate() {
            let moves: Vec<Move> = tracks
                .iter()
                .map(|track| {
                    let units = i128::from(shift.of(track.id)) * i128::from(track.timescale);
                    let shift = i64::try_from((units + 500_000).div_euclid(1_000_000)).unwrap_or(i64::MAX);
                    Move { from: track.id, to: track.id, shift }
                })
                .collect();
            source::top_boxes(&mut from, &section.bytes, halt, |from, kind, place, head| {
                match &kind {
                    b"ftyp" | b"moov" if number > 0 => {}
                    // Indexes of what is elsewhere now, and marks nobody needs.
                    b"sidx" | b"mfra" | b"styp" | b"prft" | b"emsg" | b"free" | b"skip" => {}
                    b"moof" => {
                        sequence += 1;
                        let mut moof = source::whole_box(from, &place)?;
                        let body = moof.get_mut(head as usize..).unwrap_or_default();
                        fragment::retime(body, sequence, &moves)
                            .map_err(|error| unsupported(error.to_string()))?;
                        to.write_all(&moof).map_err(EngineError::disk)?;
                    }
                    _ => copy(from, &place, &mut to, halt)?,
                }
                Ok(true)
            })?;
        }
        to.flush().map_err(EngineError::disk)
    }

    /// Every section through ffmpeg into a transport stream, and these together.
    pub(super) async fn convert(&self, program: &Path, halt: &super::Halt) -> Result<Ready, EngineError> {
        let mut made = Vec::new();
        for (number, section) in self.input.sections.iter().enumerate() {
            let cut = self.stem.with_extension(format!("{number}.cut"));
            let part = self.stem.with_extension(format!("{number}.part"));
            let (from, to, bytes) = (self.input.path.clone(), cut.clone(), section.bytes.clone());
            let is_packed = self.source.container.packed().is_some();
            let init = self.init_of(number);
            super::blocking(halt, move |halt| {
                if is_packed {
                    without_tags(&from, &bytes, &to, halt)
                } else {
                    cut_out(&from, init.as_ref(), &bytes, &to, halt)
                }
            })
            .await?;
            let mut arguments: Vec<std::ffi::OsString> =
                ["-copyts", "-protocol_whitelist", "file", "-f", self.source.container.demuxer(), "-i"]
                    .map(Into::into)
                    .into();
            arguments.push(ffmpeg::file(&cut));
            let writing = [
                "-map",
                "0:v?",
                "-map",
                "0:a?",
                "-c",
                "copy",
                "-mpegts_copyts",
                "1",
                "-muxdelay",
                "0",
                "-muxpreload",
                "0",
                "-f",
                "mpegts",
            ];
            arguments.extend(writing.map(Into::into));
            arguments.push(ffmpeg::file(&part));
            let folder = self.stem.parent().unwrap_or(&self.stem);
            let outcome = ffmpeg::run(program, &arguments, folder).await;
            let _ = std::fs::remove_file(&cut);
            outcome?;
            let size = std::fs::metadata(&part).map_err(EngineError::disk)?.len();
            made.push((part, 0..size));
        }
        let ready = self.made("ts", Container::Ts);
        let (stretches, shifts, path) = (self.stretches.clone(), self.shifts.clone(), ready.path.clone());
        let (streams, sound_changes) = super::blocking(halt, move |halt| {
            let outcome = converted(&made, &stretches, &shifts, &path, halt);
            for (part, _) in &made {
                let _ = std::fs::remove_file(part);
            }
            outcome
        })
        .await?;
        Ok(Ready { streams, changes: true, sound_changes, ..ready })
    }

    /// The initialisation section that holds for a section without one of its own.
    fn init_of(&self, number: usize) -> Option<Range<u64>> {
        self.source.inits.get(number).cloned().flatten()
    }
}

/// A run of transport packets on its way into a joined file.
struct Part<'a> {
    path: &'a Path,
    bytes: Range<u64>,
    beats: &'a [Beat],
    shift: Shift,
}

/// Writes runs of packets one after another, announced by `tables`, which name `streams`.
fn packets(
    parts: &[Part<'_>],
    streams: &[Stream],
    tables: &[u8],
    path: &Path,
    halt: &AtomicBool,
) -> Result<(), EngineError> {
    let mut to = BufWriter::new(File::create(path).map_err(EngineError::disk)?);
    let mut retime = ts::Retime::default();
    to.write_all(tables).map_err(EngineError::disk)?;
    for part in parts {
        retime.begin(routes(part, streams)?);
        let mut from = source::reopen(part.path)?;
        let mut out = Vec::with_capacity(source::BUFFER);
        source::packets(&mut from, &part.bytes, halt, |buffer, last| {
            out.clear();
            let used = retime.feed(buffer, last, &mut out);
            to.write_all(&out).map_err(EngineError::disk)?;
            Ok((used, true))
        })?;
    }
    to.flush().map_err(EngineError::disk)
}

/// The picture of every run follows that of the run before, and so does its sound, whatever their numbers are.
fn routes(part: &Part<'_>, streams: &[Stream]) -> Result<Vec<ts::Route>, EngineError> {
    let mut routes: Vec<ts::Route> = Vec::new();
    for beat in part.beats {
        let free = |stream: &&Stream| {
            stream.codec.kind() == beat.kind && routes.iter().all(|route| u32::from(route.to) != stream.id)
        };
        let Some(stream) = streams.iter().find(free) else { continue };
        if stream.codec != beat.codec {
            return Err(unsupported(format!(
                "its encoding changes in the middle, from {} to {}",
                stream.codec.name(),
                beat.codec.name()
            )));
        }
        let ticks = (i128::from(part.shift.of(beat.id)) * 9 + 50).div_euclid(100);
        routes.push(ts::Route {
            from: (beat.id & 0x1FFF) as u16,
            to: (stream.id & 0x1FFF) as u16,
            shift: i64::try_from(ticks).unwrap_or_default(),
        });
    }
    Ok(routes)
}

/// Joins sections that have become transport streams. Their clocks may have changed on the way: the picture goes where it
/// was to go, and the rest with it.
fn converted(
    parts: &[(PathBuf, Range<u64>)],
    stretches: &[Stretch],
    shifts: &[Shift],
    path: &Path,
    halt: &AtomicBool,
) -> Result<(Vec<Stream>, bool), EngineError> {
    let mut looked: Vec<source::Source> = Vec::new();
    for (part, bytes) in parts {
        let section = Section {
            bytes: bytes.clone(),
            start: std::time::Duration::ZERO,
            duration: std::time::Duration::ZERO,
            shift_us: None,
            new_clock: true,
        };
        // All of it is read: its end does not matter, but every stream must be seen.
        looked.push(source::open_ts(&mut source::reopen(part)?, &[section], halt)?);
    }
    let richest = looked.iter().max_by_key(|source| source.streams.len());
    let Some(richest) = richest else { return Err(unsupported("nothing of it is there")) };
    let (streams, tables) = (richest.streams.clone(), richest.tables.clone());
    let mut sounds: Vec<[u8; 2]> = looked.iter().filter_map(|source| source.sound).collect();
    sounds.dedup();
    let mut runs: Vec<Part<'_>> = Vec::new();
    let mut last = None;
    for (((part, bytes), source), (stretch, shift)) in
        parts.iter().zip(&looked).zip(stretches.iter().zip(shifts))
    {
        let Some(clock) = source.clocks.first() else { continue };
        let base = match (stretch.clock.lead(), clock.lead()) {
            (Some(before), Some(now)) => before.first_us + shift.base_us - now.first_us,
            (None, Some(now)) => shift.base_us - now.first_us,
            (_, None) => continue,
        };
        let before = runs.last().zip(last).map(|(run, clock): (&Part<'_>, _)| (clock, &run.shift));
        let shift = waiting(clock, base, before);
        last = Some(clock);
        runs.push(Part { path: part, bytes: bytes.clone(), beats: &clock.beats, shift });
    }
    packets(&runs, &streams, &tables, path, halt).map(|()| (streams, sounds.len() > 1))
}

fn copy(
    from: &mut File,
    place: &Range<u64>,
    to: &mut impl std::io::Write,
    halt: &AtomicBool,
) -> Result<(), EngineError> {
    from.seek(SeekFrom::Start(place.start)).map_err(EngineError::disk)?;
    let mut left = place.end.saturating_sub(place.start);
    while left > 0 {
        go_on(halt)?;
        let step = left.min(8 << 20);
        let copied = std::io::copy(&mut from.take(step), to).map_err(EngineError::disk)?;
        if copied == 0 {
            return Err(unsupported("a segment is cut"));
        }
        left -= copied;
    }
    Ok(())
}

/// A range as a file of its own, behind the initialisation section that holds for it.
fn cut_out(
    path: &Path,
    init: Option<&Range<u64>>,
    bytes: &Range<u64>,
    to: &Path,
    halt: &AtomicBool,
) -> Result<(), EngineError> {
    let mut from = source::reopen(path)?;
    let mut to = BufWriter::new(File::create(to).map_err(EngineError::disk)?);
    for range in init.into_iter().chain([bytes]) {
        copy(&mut from, range, &mut to, halt)?;
    }
    to.flush().map_err(EngineError::disk)
}

/// The frames of packed audio without the tags that every segment begins with.
fn without_tags(path: &Path, bytes: &Range<u64>, to: &Path, halt: &AtomicBool) -> Result<(), EngineError> {
    /// Enough to know a tag by.
    const HEAD: usize = 14;
    let mut from = source::reopen(path)?;
    let mut to = BufWriter::new(File::create(to).map_err(EngineError::disk)?);
    let mut at = bytes.start;
    while at < bytes.end {
        go_on(halt)?;
        let read = source::read_at(&mut from, at, (bytes.end - at).min(source::BUFFER as u64))
            .map_err(EngineError::disk)?;
        if read.is_empty() {
            break;
        }
        let last = at + read.len() as u64 >= bytes.end;
        match packed::next_tag(&read) {
            Some((place, length)) => {
                to.write_all(&read[..place]).map_err(EngineError::disk)?;
                at += (place + length) as u64;
            }
            None => {
                // A tag may begin at the very end.
                let keep = if last || read.len() <= HEAD { read.len() } else { read.len() - HEAD };
                to.write_all(&read[..keep]).map_err(EngineError::disk)?;
                at += keep as u64;
            }
        }
    }
    to.flush().map_err(EngineError::disk)
}
