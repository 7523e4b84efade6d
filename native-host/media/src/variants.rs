//! What can be chosen of a stream: its qualities, sounds and subtitles, their order and names, and which one a wish means.
//!
//! Never parses manifests. Invariant: identifiers are unique within a stream and do not depend on addresses, so
//! that a choice survives tokens in links.

mod attributes;
mod choose;
mod codec;
mod naming;

use url::Url;

use crate::drm::Drm;
use crate::hls::Variables;

pub(crate) use attributes::Attributes;
#[cfg(feature = "dash")]
pub(crate) use codec::only_sound;
pub(crate) use naming::{name_renditions, variants};

/// The qualities and renditions of a stream: a multivariant playlist (section 4.4.6 of the draft), or an MPD.
#[derive(Debug, Clone, PartialEq)]
pub struct Multivariant<A = Url> {
    /// Best first. I-frame variants are not among them, they are no video.
    pub variants: Vec<Variant<A>>,
    /// Alternative audio, subtitles and so on, in the playlist's order.
    pub renditions: Vec<Rendition<A>>,
    /// Every session key belongs to a DRM system.
    pub drm: Option<Drm>,
    /// What the stream is called, when the manifest says (`EXT-X-SESSION-DATA` with `com.apple.hls.title`, or
    /// `ProgramInformation`).
    pub title: Option<String>,
    /// Variables its media playlists may import ([`crate::hls::Context`]); none in DASH.
    pub variables: Variables,
}

/// One quality.
#[derive(Debug, Clone, PartialEq)]
pub struct Variant<A = Url> {
    /// Stable for the same playlist: made of the label and the bit rate, not of the address.
    pub id: String,
    /// What a person reads: `1080p`, `720p60`, `Audio 128 kb/s`.
    pub label: String,
    /// Its media playlist.
    pub url: A,
    /// The same content elsewhere, in the playlist's order.
    pub backups: Vec<A>,
    /// Pixels.
    pub width: Option<u64>,
    /// Pixels.
    pub height: Option<u64>,
    /// Frames per second.
    pub frame_rate: Option<f64>,
    /// Bits per second, peak.
    pub bandwidth: Option<u64>,
    /// Bits per second, average.
    pub average_bandwidth: Option<u64>,
    /// RFC 6381 codecs string.
    pub codecs: Option<String>,
    /// `GROUP-ID` of its audio renditions.
    pub audio_group: Option<String>,
    /// `GROUP-ID` of its subtitles.
    pub subtitles_group: Option<String>,
    /// Sound without a picture.
    pub audio_only: bool,
}

/// What a rendition carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RenditionKind {
    /// Sound.
    Audio,
    /// Another camera.
    Video,
    /// Timed text as its own playlist.
    Subtitles,
    /// Timed text inside the video.
    ClosedCaptions,
}

/// Alternative content for a group (`EXT-X-MEDIA`, or an adaptation set of DASH).
#[derive(Debug, Clone, PartialEq)]
pub struct Rendition<A = Url> {
    /// Unique in the stream, and the same whenever the same manifest is read: `audio-de`, `subs-en-forced`, `audio-en-2`.
    /// A manifest's reader leaves it empty and has all named at once.
    pub id: String,
    /// What it carries.
    pub kind: RenditionKind,
    /// `GROUP-ID`, named by variants.
    pub group: String,
    /// Human name.
    pub name: String,
    /// RFC 5646 language.
    pub language: Option<String>,
    /// Another language it serves, as written words do a spoken one (`ASSOC-LANGUAGE`).
    pub associated_language: Option<String>,
    /// How many channels of sound.
    pub channels: Option<u64>,
    /// Uniform type identifiers of what is special about it (`CHARACTERISTICS`), as
    /// `public.accessibility.describes-video`.
    pub characteristics: Vec<String>,
    /// Bits per second, peak; only DASH says.
    pub bandwidth: Option<u64>,
    /// RFC 6381 codecs string; only DASH says.
    pub codecs: Option<String>,
    /// For viewers who do not know the language of a foreign passage: shown without being asked for.
    pub forced: bool,
    /// To be played unless the user chose otherwise.
    pub default: bool,
    /// May be chosen by the system's language.
    pub autoselect: bool,
    /// Its media playlist; none when it is inside the variant's own segments.
    pub url: Option<A>,
}

impl<A> Variant<A> {
    /// What it is, without where it is.
    #[must_use]
    pub fn placeless(self) -> Variant<()> {
        Variant {
            url: (),
            backups: Vec::new(),
            id: self.id,
            label: self.label,
            width: self.width,
            height: self.height,
            frame_rate: self.frame_rate,
            bandwidth: self.bandwidth,
            average_bandwidth: self.average_bandwidth,
            codecs: self.codecs,
            audio_group: self.audio_group,
            subtitles_group: self.subtitles_group,
            audio_only: self.audio_only,
        }
    }
}

impl<A> Rendition<A> {
    /// What it is, without where it is.
    #[must_use]
    pub fn placeless(self) -> Rendition<()> {
        Rendition {
            url: self.url.map(|_| ()),
            id: self.id,
            kind: self.kind,
            group: self.group,
            name: self.name,
            language: self.language,
            associated_language: self.associated_language,
            channels: self.channels,
            characteristics: self.characteristics,
            bandwidth: self.bandwidth,
            codecs: self.codecs,
            forced: self.forced,
            default: self.default,
            autoselect: self.autoselect,
        }
    }
}

/// A wish that no variant fits.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no quality named {wanted}")]
pub struct NoSuchQuality {
    /// As asked for.
    pub wanted: String,
}

/// The short side of a picture, in pixels.
fn lines(width: Option<u64>, height: Option<u64>) -> Option<u64> {
    height.map(|height| width.map_or(height, |width| width.min(height)))
}

#[cfg(test)]
mod tests;
