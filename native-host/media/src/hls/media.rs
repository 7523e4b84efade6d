//! Tags of a media playlist to segments (sections 4.4.3 to 4.4.5 of the draft).
//!
//! Never guesses where a wrong guess would give wrong bytes: such tags are errors. Invariant: every address that stands in
//! the playlist for a segment is a segment of the result, with what held for it where it stood.

use std::sync::Arc;
use std::time::Duration;

use super::keys::{Keys, Protection};
use super::line::Attributes;
use super::value::{self, NotADuration};
use super::{Context, MediaPlaylist, PlaylistError};
use crate::drm::{self, Drm};
use crate::segment::{Address, ByteRange, Map, Segment};

/// Most segments that are believed: a day of one second each is less than a tenth.
const MAX_SEGMENTS: usize = 1_000_000;

/// What has been read of a media playlist.
pub(super) struct Media<A> {
    segments: Vec<Segment<A>>,
    duration: Option<(Duration, usize)>,
    byte_range: Option<(u64, Option<u64>)>,
    keys: Keys<A>,
    map: Option<Arc<Map<A>>>,
    discontinuity: bool,
    gap: bool,
    date_ms: Option<i64>,
    media_sequence: Option<u64>,
    discontinuity_sequence: u64,
    /// Segments the server left out; of those, how many nobody knows.
    skip: Option<u64>,
    skipped: u64,
    target_duration: Duration,
    ended: bool,
    vod: bool,
    event: bool,
    i_frames_only: bool,
    rounded: bool,
    drm: Option<Drm>,
    unsupported: Option<String>,
}

impl<A: Address> Media<A> {
    pub(super) fn new() -> Self {
        Self {
            segments: Vec::new(),
            duration: None,
            byte_range: None,
            keys: Keys::new(),
            map: None,
            discontinuity: false,
            gap: false,
            date_ms: None,
            media_sequence: None,
            discontinuity_sequence: 0,
            skip: None,
            skipped: 0,
            target_duration: Duration::ZERO,
            ended: false,
            vod: false,
            event: false,
            i_frames_only: false,
            rounded: true,
            drm: None,
            unsupported: None,
        }
    }

    pub(super) fn has_segments(&self) -> bool {
        !self.segments.is_empty()
    }

    pub(super) fn drm(&mut self) -> Option<Drm> {
        self.drm.take()
    }

    /// Takes a tag by its name without `#EXT`. False when it is none of a media playlist.
    pub(super) fn take(
        &mut self,
        name: &str,
        text: &str,
        line: usize,
        context: &Context<'_, A>,
        resolve: impl FnOnce(&str) -> Result<A, &'static str>,
    ) -> Result<bool, &'static str> {
        match name {
            "INF" => {
                if self.duration.is_some() {
                    return Err("a segment before it has no address");
                }
                let duration = value::duration(text).map_err(|error| match error {
                    NotADuration::Unreadable => "the duration of a segment cannot be understood",
                    NotADuration::Impossible => "the duration of a segment is impossible",
                })?;
                self.rounded &= !text.split(',').next().unwrap_or_default().contains('.');
                self.duration = Some((duration, line));
            }
            "-X-BYTERANGE" => {
                let Some(range) = value::byte_range(text) else {
                    return Err("a byte range cannot be understood");
                };
                self.byte_range = Some(range);
            }
            "-X-KEY" => self.keys.take(Attributes(text), resolve)?,
            "-X-MAP" => self.take_map(Attributes(text), resolve)?,
            "-X-DISCONTINUITY" => self.discontinuity = true,
            "-X-GAP" => self.gap = true,
            "-X-PROGRAM-DATE-TIME" => self.date_ms = value::date_ms(text),
            "-X-MEDIA-SEQUENCE" => {
                let Some(number) = value::integer(text).filter(|_| !text.is_empty()) else {
                    return Err("the sequence number cannot be understood");
                };
                // Vectors of keys and the order of live streams are counted from it.
                if self.has_segments() || self.media_sequence.is_some_and(|known| known != number) {
                    return Err("the sequence number changes in the middle");
                }
                self.media_sequence = Some(number);
            }
            "-X-DISCONTINUITY-SEQUENCE" if !self.has_segments() => {
                self.discontinuity_sequence = value::integer(text).unwrap_or(0);
            }
            "-X-SKIP" => self.take_skip(Attributes(text), context)?,
            // A hint for how often to look again; nothing depends on it.
            "-X-TARGETDURATION" => self.target_duration = value::duration(text).unwrap_or_default(),
            "-X-ENDLIST" => self.ended = true,
            "-X-PLAYLIST-TYPE" => {
                self.vod = text == "VOD";
                self.event = text == "EVENT";
            }
            "-X-I-FRAMES-ONLY" => self.i_frames_only = true,
            "-X-FAXS-CM" => self.drm = Some(drm::adobe()),
            _ => return Ok(false),
        }
        Ok(true)
    }

    /// Takes the address of a segment.
    pub(super) fn take_address(&mut self, url: A) -> Result<(), &'static str> {
        let Some((duration, _)) = self.duration.take() else { return Err("a segment has no duration") };
        if self.segments.len() >= MAX_SEGMENTS {
            return Err("it has more segments than any stream");
        }
        let byte_range = match self.byte_range.take() {
            None => None,
            Some((0, _)) => return Err("a byte range is empty"),
            Some((length, offset)) => {
                let offset = match (offset, self.segments.last()) {
                    (Some(offset), _) => offset,
                    // Without an offset it continues the segment before, which must be of the same resource.
                    (None, Some(Segment { url: before, byte_range: Some(range), .. })) if *before == url => {
                        range.end()
                    }
                    (None, _) => return Err("a byte range continues nothing"),
                };
                if offset.checked_add(length).is_none() {
                    return Err("a byte range is too large");
                }
                Some(ByteRange { offset, length })
            }
        };
        let sequence = self.next_sequence().ok_or("the sequence number is too large")?;
        let key = match self.keys.now() {
            Protection::None => None,
            Protection::Key(key) => Some(key),
            Protection::Drm(found) => {
                self.drm.get_or_insert(found);
                None
            }
            Protection::Unsupported(reason) => {
                self.unsupported.get_or_insert(reason);
                None
            }
        };
        self.segments.push(Segment {
            url,
            duration,
            sequence,
            byte_range,
            key,
            map: self.map.clone(),
            discontinuity: std::mem::take(&mut self.discontinuity),
            gap: std::mem::take(&mut self.gap),
            date_ms: self.date_ms.take(),
            shift_us: None,
        });
        Ok(())
    }

    /// Sequence number of the segment that comes next.
    fn next_sequence(&self) -> Option<u64> {
        let before = self.skipped.checked_add(u64::try_from(self.segments.len()).ok()?)?;
        self.media_sequence.unwrap_or(0).checked_add(before)
    }

    fn take_map(
        &mut self,
        tag: Attributes<'_>,
        resolve: impl FnOnce(&str) -> Result<A, &'static str>,
    ) -> Result<(), &'static str> {
        let Some(uri) = tag.get("URI") else {
            return Err("an initialisation section cannot be understood");
        };
        let byte_range = match tag.get("BYTERANGE") {
            None => None,
            Some(text) => {
                let range = value::byte_range(text)
                    .map(|(length, offset)| ByteRange { offset: offset.unwrap_or(0), length })
                    .filter(|range| range.length > 0 && range.offset.checked_add(range.length).is_some());
                if range.is_none() {
                    return Err("the byte range of an initialisation section is impossible");
                }
                range
            }
        };
        let url = resolve(uri)?;
        // A protected one is found out at its first segment.
        let key = match self.keys.now() {
            Protection::Key(key) => Some(key),
            _ => None,
        };
        let sequence = self.next_sequence().ok_or("the sequence number is too large")?;
        let map = Map { url, byte_range, key, sequence };
        // Many servers repeat the tag before each segment. The number counts only when the vector is made of it.
        let same = self.map.as_ref().is_some_and(|known| {
            let counted = map.key.as_ref().is_some_and(|key| key.iv.is_none());
            (&known.url, known.byte_range, &known.key) == (&map.url, map.byte_range, &map.key)
                && (!counted || known.sequence == map.sequence)
        });
        if !same {
            self.map = Some(Arc::new(map));
        }
        Ok(())
    }

    /// A part of the playlist that the server supposes to be known (section 4.4.5.2): taken from the one read before when
    /// that has it up to here, with the key and the map that held there.
    fn take_skip(&mut self, tag: Attributes<'_>, context: &Context<'_, A>) -> Result<(), &'static str> {
        let count = tag.get("SKIPPED-SEGMENTS").and_then(value::integer);
        let Some(count) = count.filter(|_| self.skip.is_none() && !self.has_segments()) else {
            return Err("the part that the server left out cannot be understood");
        };
        self.skip = Some(count);
        self.skipped = count;
        let first = self.media_sequence.unwrap_or(0);
        let Some(end) = first.checked_add(count) else { return Err("the sequence number is too large") };
        let known =
            context.earlier.filter(|earlier| earlier.unsupported.is_none()).map_or(&[][..], |earlier| {
                let from = earlier.segments.partition_point(|segment| segment.sequence < first);
                let to = earlier.segments.partition_point(|segment| segment.sequence < end);
                earlier.segments.get(from..to).unwrap_or_default()
            });
        // Those before may be lost, which the reader of a live stream sees by their numbers; what held last may not.
        if let Some(last) = known.last().filter(|last| last.sequence + 1 == end) {
            self.keys.resume(last.key.as_ref());
            self.map.clone_from(&last.map);
            self.skipped = count - known.len() as u64;
            self.rounded &= context.earlier.is_none_or(|earlier| earlier.rounded);
            self.segments.extend_from_slice(known);
        } else if count > 0 {
            self.unsupported = Some("the server sent only a part of the playlist".to_owned());
        }
        Ok(())
    }

    /// The whole playlist. `line` is its last one.
    pub(super) fn finish(self, line: usize) -> Result<MediaPlaylist<A>, PlaylistError> {
        match self.duration {
            Some((_, line)) if self.ended => {
                return Err(PlaylistError::Malformed { line, reason: "a segment has no address" });
            }
            Some((_, line)) => return Err(PlaylistError::Cut { line }),
            None => {}
        }
        if self.segments.is_empty() {
            return Err(PlaylistError::Empty);
        }
        // A playlist that says it never changes and still has no end lost it on the way.
        if self.vod && !self.ended {
            return Err(PlaylistError::Cut { line });
        }
        let pictures = self.i_frames_only.then(|| "it holds only single pictures".to_owned());
        Ok(MediaPlaylist {
            segments: self.segments,
            target_duration: self.target_duration,
            discontinuity_sequence: self.discontinuity_sequence,
            skipped: self.skipped,
            ended: self.ended,
            vod: self.vod,
            event: self.event,
            i_frames_only: self.i_frames_only,
            rounded: self.rounded,
            drm: self.drm,
            unsupported: self.unsupported.or(pictures),
        })
    }
}
