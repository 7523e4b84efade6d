//! An MPD after reading, before anything is addressed: periods, adaptation sets, representations.
//!
//! Never computes segments. Invariant: attributes are inherited already (section 5.3.1.4 and 5.3.9.1 of the standard), and
//! times are microseconds on the presentation's line.

use std::sync::Arc;

use url::Url;

use super::protection::Protection;
use crate::segment::ByteRange;

/// What a representation carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ContentKind {
    /// Pictures, perhaps with sound in the same segments.
    Video,
    /// Sound.
    Audio,
    /// Subtitles and captions.
    Text,
}

/// A representation, and what it is like: other periods, and other refreshes of the manifest, may call its continuation by
/// another name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct RepresentationId {
    pub(super) id: String,
    pub(super) kind: ContentKind,
    pub(super) language: Option<String>,
    pub(super) role: Option<String>,
    pub(super) codec: Option<String>,
    pub(super) lines: Option<u64>,
    pub(super) channels: Option<u64>,
    pub(super) bandwidth: Option<u64>,
}

impl RepresentationId {
    /// `@id` of the representation.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.id
    }

    /// What it carries.
    #[must_use]
    pub const fn kind(&self) -> ContentKind {
        self.kind
    }
}

/// A stretch of the presentation with representations of its own.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Period {
    /// `@id`, else its place in time.
    pub(super) name: String,
    pub(super) start_us: i64,
    /// None as long as it goes on.
    pub(super) duration_us: Option<i64>,
    /// Where it is cut off: what is listed beyond is not meant. None where only the length of the whole presentation, which
    /// packagers like to state too short, says where it ends.
    pub(super) cut_us: Option<i64>,
    /// What can be chosen, in the manifest's order.
    pub(super) representations: Vec<Representation>,
}

#[derive(Debug, Clone, PartialEq)]
pub(super) struct Representation {
    pub(super) is: RepresentationId,
    /// Counts the adaptation sets of the period.
    pub(super) set: usize,
    pub(super) label: Option<String>,
    pub(super) roles: Vec<String>,
    /// Uniform type identifiers, as HLS has them.
    pub(super) characteristics: Vec<String>,
    pub(super) width: Option<u64>,
    pub(super) height: Option<u64>,
    pub(super) frame_rate: Option<f64>,
    pub(super) codecs: Option<String>,
    /// Without `video/` and the like.
    pub(super) subtype: Option<String>,
    /// Closed captions inside the pictures: language and channel.
    pub(super) captions: Vec<(Option<String>, String)>,
    pub(super) protection: Protection,
    pub(super) bases: Vec<Base>,
    pub(super) addressing: Addressing,
}

/// A base address, and how much earlier than computed its segments can be had.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Base {
    pub(super) url: Url,
    pub(super) availability_offset_us: i64,
}

/// Where the segments are.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Addressing {
    /// `SegmentTemplate`.
    Template(Scheme),
    /// `SegmentList`.
    List(Scheme),
    /// `SegmentBase`.
    Base(Scheme),
    /// None of them: the address is one segment.
    File,
}

impl Addressing {
    /// Whether a base address is no folder but the media itself.
    pub(super) fn is_file(&self) -> bool {
        match self {
            Self::Template(scheme) => scheme.media.is_none(),
            Self::List(_) => false,
            Self::Base(_) | Self::File => true,
        }
    }
}

/// The attributes of `SegmentBase`, `SegmentTemplate` and `SegmentList`, which inherit one by one.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Scheme {
    pub(super) timescale: Option<u64>,
    pub(super) presentation_time_offset: Option<u64>,
    pub(super) duration: Option<u64>,
    pub(super) start_number: Option<u64>,
    pub(super) end_number: Option<u64>,
    pub(super) availability_offset_us: Option<i64>,
    /// `@availabilityTimeComplete="false"`: what can be had early is not whole yet.
    pub(super) early_is_partial: bool,
    /// Template of the initialisation section's address.
    pub(super) initialization_template: Option<String>,
    pub(super) initialization: Option<Source>,
    pub(super) index_range: Option<ByteRange>,
    pub(super) media: Option<String>,
    pub(super) timeline: Option<Arc<Vec<Entry>>>,
    pub(super) urls: Option<Arc<Vec<Source>>>,
}

impl Scheme {
    /// Takes over what only `parent` says.
    pub(super) fn inherit(self, parent: &Self) -> Self {
        let own_initialization = self.initialization.is_some() || self.initialization_template.is_some();
        Self {
            timescale: self.timescale.or(parent.timescale),
            presentation_time_offset: self.presentation_time_offset.or(parent.presentation_time_offset),
            duration: self.duration.or(parent.duration),
            start_number: self.start_number.or(parent.start_number),
            end_number: self.end_number.or(parent.end_number),
            availability_offset_us: self.availability_offset_us.or(parent.availability_offset_us),
            early_is_partial: self.early_is_partial || parent.early_is_partial,
            initialization_template: self
                .initialization_template
                .or_else(|| parent.initialization_template.clone().filter(|_| !own_initialization)),
            initialization: self
                .initialization
                .or_else(|| parent.initialization.clone().filter(|_| !own_initialization)),
            index_range: self.index_range.or(parent.index_range),
            media: self.media.or_else(|| parent.media.clone()),
            timeline: self.timeline.or_else(|| parent.timeline.clone()),
            urls: self.urls.or_else(|| parent.urls.clone()),
        }
    }

    /// Units of time in a second, at least 1.
    pub(super) fn timescale(&self) -> u64 {
        self.timescale.unwrap_or(1)
    }

    pub(super) fn offset(&self) -> u64 {
        self.presentation_time_offset.unwrap_or(0)
    }

    /// The number of the first segment.
    pub(super) fn first_number(&self) -> u64 {
        self.start_number.unwrap_or(1)
    }
}

/// An address, a part of it, or a part of the base address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Source {
    pub(super) url: Option<String>,
    pub(super) range: Option<ByteRange>,
}

/// An `S` element.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    /// Start; none means where the one before ended.
    pub(super) time: Option<u64>,
    pub(super) duration: u64,
    /// How often it is repeated; none means until the next one, or the end.
    pub(super) repeat: Option<u64>,
    /// Number of its first segment.
    pub(super) number: Option<u64>,
    /// Into how many parts each segment is cut.
    pub(super) parts: u64,
}

/// First part of an RFC 6381 name, alike for names that differ only in where the parameters are kept.
pub(super) fn codec_family(codecs: &str) -> String {
    let first = codecs.split(',').next().unwrap_or_default().trim();
    let name = first.split('.').next().unwrap_or_default().to_ascii_lowercase();
    match name.as_str() {
        "avc3" => "avc1".to_owned(),
        "hev1" => "hvc1".to_owned(),
        "dvhe" => "dvh1".to_owned(),
        _ => name,
    }
}
