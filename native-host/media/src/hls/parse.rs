//! Lines to playlists: the state machine over tags.
//!
//! Never guesses where a wrong guess would give wrong bytes: such lines are errors with their number. Tags it does
//! not know are skipped, as the specification demands.

use std::sync::Arc;
use std::time::Duration;

use quick_m3u8::tag::{HlsPlaylistType, KnownTag, hls};
use quick_m3u8::{HlsLine, Reader, config::ParsingOptions};

use super::{MediaPlaylist, Playlist, PlaylistError, line};
use crate::drm::{self, Drm};
use crate::segment::{Address, ByteRange, Encryption, Key, Map, Segment};
use crate::variants::{self, Multivariant, Rendition, RenditionKind};

/// Longest segment that is believed, in seconds. Larger values are typing errors, and their sum would overflow.
const MAX_SEGMENT_SECONDS: f64 = 1_000_000.0;

/// `DATA-ID` under which a stream says what it is called.
const TITLE_ID: &str = "com.apple.hls.title";

/// Most variants, and most renditions, that are believed.
const MAX_CHOICES: usize = 2_000;

/// Reads a playlist. `base` is the address it really came from, after redirects.
///
/// # Errors
/// See [`PlaylistError`]. Encryption, DRM and live playlists are no errors here: they are facts of the value.
pub fn parse<A: Address>(text: &str, base: &A) -> Result<Playlist<A>, PlaylistError> {
    let text = line::checked(text)?;
    let text = line::substituted(text);
    let mut parser = Parser::new(base);
    let mut reader = Reader::from_str(text.as_ref(), ParsingOptions::default());
    loop {
        parser.line += 1;
        match reader.read_line() {
            Ok(Some(line)) => parser.take(line)?,
            Ok(None) => break,
            Err(error) => parser.take_unreadable(error.errored_line)?,
        }
    }
    parser.finish()
}

/// What a `KEY` tag asks for, per key format: several may apply at once, each for another player.
enum KeyState<A> {
    Clear(Arc<Key<A>>),
    Drm(Drm),
    Unsupported(String),
}

struct Parser<'a, A> {
    base: &'a A,
    line: usize,
    // Multivariant
    pending_variant: Option<(variants::Attributes, usize)>,
    variants: Vec<(variants::Attributes, A)>,
    renditions: Vec<Rendition<A>>,
    session_keys: Vec<Option<Drm>>,
    title: Option<String>,
    // Media
    segments: Vec<Segment<A>>,
    pending_duration: Option<(Duration, usize)>,
    pending_range: Option<(u64, Option<u64>)>,
    keys: Vec<(String, KeyState<A>)>,
    map: Option<Arc<Map<A>>>,
    discontinuity: bool,
    gap: bool,
    media_sequence: u64,
    target_duration: Duration,
    ended: bool,
    vod: bool,
    i_frames_only: bool,
    i_frame_variants: bool,
    drm: Option<Drm>,
    unsupported: Option<String>,
}

impl<'a, A: Address> Parser<'a, A> {
    fn new(base: &'a A) -> Self {
        Self {
            base,
            line: 0,
            pending_variant: None,
            variants: Vec::new(),
            renditions: Vec::new(),
            session_keys: Vec::new(),
            title: None,
            segments: Vec::new(),
            pending_duration: None,
            pending_range: None,
            keys: Vec::new(),
            map: None,
            discontinuity: false,
            gap: false,
            media_sequence: 0,
            target_duration: Duration::ZERO,
            ended: false,
            vod: false,
            i_frames_only: false,
            i_frame_variants: false,
            drm: None,
            unsupported: None,
        }
    }

    fn malformed<T>(&self, reason: &'static str) -> Result<T, PlaylistError> {
        Err(PlaylistError::Malformed { line: self.line, reason })
    }

    fn resolve(&self, uri: &str) -> Result<A, PlaylistError> {
        let uri = uri.trim();
        if uri.is_empty() || uri.contains("{$") {
            return self.malformed("an address is missing or names an unknown variable");
        }
        match self.base.resolve(uri) {
            Some(address) => Ok(address),
            None => self.malformed("an address cannot be understood"),
        }
    }

    fn take(&mut self, line: HlsLine<'_>) -> Result<(), PlaylistError> {
        match line {
            HlsLine::Uri(uri) if uri.trim().is_empty() => Ok(()),
            HlsLine::Uri(uri) => self.take_uri(&uri),
            HlsLine::KnownTag(KnownTag::Hls(tag)) => self.take_tag(tag),
            HlsLine::UnknownTag(tag) => match tag.name() {
                "-X-FAXS-CM" => {
                    self.drm = Some(drm::adobe());
                    Ok(())
                }
                // Known by name but not understood, and the segments after it would be wrong without it.
                "INF" => self.malformed("the duration of a segment cannot be understood"),
                "-X-KEY" => self.malformed("a key cannot be understood"),
                "-X-MAP" => self.malformed("an initialisation section cannot be understood"),
                "-X-BYTERANGE" => self.malformed("a byte range cannot be understood"),
                "-X-MEDIA-SEQUENCE" => self.malformed("the sequence number cannot be understood"),
                // Without its bandwidth a variant is still a variant.
                "-X-STREAM-INF" => {
                    let text = String::from_utf8_lossy(tag.as_bytes()).into_owned();
                    self.pending_variant = Some((variants::Attributes::from_text(&text), self.line));
                    Ok(())
                }
                _ => Ok(()),
            },
            HlsLine::KnownTag(_) | HlsLine::Comment(_) | HlsLine::Blank => Ok(()),
        }
    }

    /// A line the reader gave up on: harmless when it is no tag that matters.
    fn take_unreadable(&mut self, line: &str) -> Result<(), PlaylistError> {
        let matters =
            ["#EXTINF", "#EXT-X-KEY", "#EXT-X-MAP", "#EXT-X-BYTERANGE", "#EXT-X-STREAM-INF", "#EXT-X-MEDIA"];
        if !line.starts_with('#') || matters.iter().any(|tag| line.starts_with(tag)) {
            return self.malformed("the line cannot be read");
        }
        Ok(())
    }

    fn take_uri(&mut self, uri: &str) -> Result<(), PlaylistError> {
        let url = self.resolve(uri)?;
        if let Some((attributes, _)) = self.pending_variant.take() {
            if self.variants.len() >= MAX_CHOICES {
                return self.malformed("there are more qualities than any stream has");
            }
            self.variants.push((attributes, url));
            return Ok(());
        }
        let Some((duration, _)) = self.pending_duration.take() else {
            return self.malformed("a segment has no duration");
        };
        let byte_range = match self.pending_range.take() {
            None => None,
            Some((0, _)) => return self.malformed("a byte range is empty"),
            Some((length, offset)) => {
                let offset = match (offset, self.segments.last()) {
                    (Some(offset), _) => offset,
                    // Without an offset it continues the segment before, which must be of the same resource.
                    (None, Some(Segment { url: before, byte_range: Some(range), .. })) if *before == url => {
                        range.end()
                    }
                    (None, _) => return self.malformed("a byte range continues nothing"),
                };
                if offset.checked_add(length).is_none() {
                    return self.malformed("a byte range is too large");
                }
                Some(ByteRange { offset, length })
            }
        };
        let sequence = match self.media_sequence.checked_add(self.segments.len() as u64) {
            Some(sequence) => sequence,
            None => return self.malformed("the sequence number is too large"),
        };
        let key = self.current_key();
        self.segments.push(Segment {
            url,
            duration,
            sequence,
            byte_range,
            key,
            map: self.map.clone(),
            discontinuity: std::mem::take(&mut self.discontinuity),
            gap: std::mem::take(&mut self.gap),
            shift_us: None,
        });
        Ok(())
    }

    /// The key for what comes now. A key in the clear wins over DRM for the same segments: whoever offers both
    /// means them as alternatives.
    fn current_key(&mut self) -> Option<Arc<Key<A>>> {
        if let Some(key) = self.keys.iter().find_map(|(_, state)| match state {
            KeyState::Clear(key) => Some(Arc::clone(key)),
            _ => None,
        }) {
            return Some(key);
        }
        for (_, state) in &self.keys {
            match state {
                KeyState::Drm(found) if self.drm.is_none() => self.drm = Some(found.clone()),
                KeyState::Unsupported(reason) if self.unsupported.is_none() => {
                    self.unsupported = Some(reason.clone());
                }
                _ => {}
            }
        }
        None
    }

    fn take_tag(&mut self, tag: hls::Tag<'_>) -> Result<(), PlaylistError> {
        match tag {
            hls::Tag::Inf(inf) => {
                let seconds = inf.duration();
                if !(0.0..=MAX_SEGMENT_SECONDS).contains(&seconds) {
                    return self.malformed("the duration of a segment is impossible");
                }
                self.pending_duration = Some((Duration::from_secs_f64(seconds), self.line));
            }
            hls::Tag::Byterange(range) => self.pending_range = Some((range.length(), range.offset())),
            hls::Tag::Key(key) => self.take_key(&key)?,
            hls::Tag::Map(map) => self.take_map(&map)?,
            hls::Tag::Discontinuity(_) => self.discontinuity = true,
            hls::Tag::Gap(_) => self.gap = true,
            hls::Tag::MediaSequence(sequence) => self.media_sequence = sequence.media_sequence(),
            hls::Tag::Targetduration(target) => {
                self.target_duration = Duration::from_secs(target.target_duration());
            }
            hls::Tag::Endlist(_) => self.ended = true,
            hls::Tag::PlaylistType(kind) => self.vod = kind.playlist_type() == HlsPlaylistType::Vod,
            hls::Tag::IFramesOnly(_) => self.i_frames_only = true,
            hls::Tag::Skip(_) => return self.malformed("the server sent only a part of the playlist"),
            hls::Tag::StreamInf(stream) => {
                self.pending_variant = Some((variants::Attributes::from_tag(&stream), self.line));
            }
            hls::Tag::IFrameStreamInf(_) => self.i_frame_variants = true,
            hls::Tag::Media(media) => self.take_rendition(&media)?,
            hls::Tag::SessionData(data) if data.data_id() == TITLE_ID => {
                let title = data.value().map(str::trim).filter(|title| !title.is_empty());
                self.title = self.title.take().or_else(|| title.map(str::to_owned));
            }
            hls::Tag::SessionKey(key) => {
                self.session_keys.push(drm::system_of(key.keyformat(), Some(key.uri())));
            }
            _ => {}
        }
        Ok(())
    }

    fn take_rendition(&mut self, media: &hls::Media<'_>) -> Result<(), PlaylistError> {
        let kind = match media.media_type().known() {
            Some(hls::MediaType::Audio) => RenditionKind::Audio,
            Some(hls::MediaType::Video) => RenditionKind::Video,
            Some(hls::MediaType::Subtitles) => RenditionKind::Subtitles,
            Some(hls::MediaType::ClosedCaptions) => RenditionKind::ClosedCaptions,
            None => return Ok(()),
        };
        if self.renditions.len() >= MAX_CHOICES {
            return self.malformed("there are more renditions than any stream has");
        }
        let url = media.uri().map(|uri| self.resolve(uri)).transpose()?;
        self.renditions.push(Rendition {
            id: String::new(),
            kind,
            group: media.group_id().to_owned(),
            name: media.name().to_owned(),
            language: media.language().map(str::to_owned),
            associated_language: media.assoc_language().map(str::to_owned),
            channels: media.channels().and_then(|channels| count(channels.as_ref())),
            characteristics: media.characteristics().map(|list| names(list.as_ref())).unwrap_or_default(),
            bandwidth: None,
            codecs: None,
            forced: media.forced(),
            default: media.default(),
            // The default may always be chosen (section 4.4.6.1).
            autoselect: media.autoselect() || media.default(),
            url,
        });
        Ok(())
    }

    fn take_key(&mut self, key: &hls::Key<'_>) -> Result<(), PlaylistError> {
        let method = key.method();
        if method.known() == Some(&hls::Method::None) {
            self.keys.clear();
            return Ok(());
        }
        let format = key.keyformat().trim().to_ascii_lowercase();
        let state = if let Some(found) = drm::system_of(&format, key.uri()) {
            KeyState::Drm(found)
        } else if method.known() == Some(&hls::Method::Aes128) {
            let Some(uri) = key.uri() else { return self.malformed("a key has no address") };
            let iv = key.iv().map(|iv| parse_iv(iv).ok_or(())).transpose();
            let Ok(iv) = iv else { return self.malformed("an initialisation vector cannot be understood") };
            KeyState::Clear(Arc::new(Key { encryption: Encryption::Aes128, url: self.resolve(uri)?, iv }))
        } else {
            KeyState::Unsupported(format!("its encryption method {} is not known", method.as_cow()))
        };
        self.keys.retain(|(known, _)| *known != format);
        self.keys.push((format, state));
        Ok(())
    }

    fn take_map(&mut self, map: &hls::Map<'_>) -> Result<(), PlaylistError> {
        let url = self.resolve(map.uri())?;
        let byte_range =
            map.byterange().map(|range| ByteRange { offset: range.offset, length: range.length });
        if byte_range
            .is_some_and(|range| range.length == 0 || range.offset.checked_add(range.length).is_none())
        {
            return self.malformed("the byte range of an initialisation section is impossible");
        }
        let key = self.current_key();
        let sequence = self.media_sequence.saturating_add(self.segments.len() as u64);
        self.map = Some(Arc::new(Map { url, byte_range, key, sequence }));
        Ok(())
    }

    fn finish(self) -> Result<Playlist<A>, PlaylistError> {
        if let Some((_, line)) = self.pending_variant {
            return Err(PlaylistError::Cut { line });
        }
        if !self.variants.is_empty() {
            if !self.segments.is_empty() {
                return Err(PlaylistError::Malformed {
                    line: self.line,
                    reason: "variants and segments are mixed",
                });
            }
            // One key in the clear means that the stream can be had without DRM.
            let all_drm = self.session_keys.iter().all(Option::is_some);
            let drm = self.drm.or_else(|| self.session_keys.into_iter().flatten().next().filter(|_| all_drm));
            let variants = variants::variants(self.variants);
            let mut renditions = self.renditions;
            variants::name_renditions(&mut renditions);
            let title = self.title;
            return Ok(Playlist::Multivariant(Multivariant { variants, renditions, drm, title }));
        }
        if let Some((_, line)) = self.pending_duration.filter(|_| !self.ended) {
            return Err(PlaylistError::Cut { line });
        }
        if self.segments.is_empty() {
            return Err(PlaylistError::Empty);
        }
        // A playlist that says it never changes and still has no end lost it on the way.
        if self.vod && !self.ended {
            return Err(PlaylistError::Cut { line: self.line });
        }
        let unsupported = self
            .unsupported
            .or_else(|| self.i_frames_only.then(|| "it holds only single pictures".to_owned()));
        Ok(Playlist::Media(MediaPlaylist {
            segments: self.segments,
            target_duration: self.target_duration,
            ended: self.ended,
            vod: self.vod,
            i_frames_only: self.i_frames_only,
            drm: self.drm,
            unsupported,
        }))
    }
}

/// The count that `CHANNELS` begins with.
fn count(channels: &str) -> Option<u64> {
    channels.split('/').next()?.trim().parse().ok()
}

/// The names of a list between commas.
fn names(list: &str) -> Vec<String> {
    list.split(',').map(str::trim).filter(|name| !name.is_empty()).map(str::to_owned).collect()
}

/// `0x` and up to 32 hexadecimal digits (section 4.2 of the draft); shorter ones are padded on the left.
fn parse_iv(text: &str) -> Option<[u8; 16]> {
    let digits = text.trim().strip_prefix("0x").or_else(|| text.trim().strip_prefix("0X"))?;
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|b| b.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}
