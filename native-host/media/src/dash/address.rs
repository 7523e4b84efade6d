//! Where things are: `BaseURL`, and the attributes of `SegmentBase`, `SegmentTemplate` and `SegmentList`.
//!
//! Never computes segments. Invariant: every address is absolute and of HTTP.

use std::sync::Arc;

use roxmltree::Node;
use url::Url;

use super::model::{Addressing, Base, Entry, Scheme, Source};
use super::{MAX_SEGMENTS, MpdError, values, xml};
use crate::segment::ByteRange;

/// Most servers that are remembered for one representation.
const MAX_BASES: usize = 8;
/// Stands for "as early as one likes", and leaves room for sums.
const INFINITE_US: i64 = i64::MAX / 4;
/// Finest time scale that is believed, in units a second; with it, sums of times stay numbers.
const MAX_TIMESCALE: u64 = 1_000_000_000_000;
const NO_RANGE: &str = "a byte range in it cannot be";

/// What the manifest's own address gives.
pub(super) fn root(base: &Url) -> Vec<Base> {
    vec![Base { url: base.clone(), availability_offset_us: 0 }]
}

/// An address in the manifest, absolute.
pub(super) fn resolve(base: &Url, reference: &str) -> Result<Url, MpdError> {
    match base.join(reference.trim()) {
        Ok(url) if matches!(url.scheme(), "http" | "https") => Ok(url),
        Ok(_) => Err(MpdError::malformed("an address in it is not one of HTTP")),
        Err(_) => Err(MpdError::malformed("an address in it cannot be understood")),
    }
}

/// The base addresses below an element: its own, each on top of each from above; alternatives in order of preference
/// (section 5.6.5 of the standard).
pub(super) fn bases(node: Node<'_, '_>, above: &[Base]) -> Result<Vec<Base>, MpdError> {
    let mut own: Vec<(&str, i64)> = Vec::new();
    let mut by_query: Vec<(&str, i64)> = Vec::new();
    for element in xml::children(node, "BaseURL") {
        let Some(text) = xml::content(element) else { continue };
        let entry = (text, availability_offset(element)?.unwrap_or(0));
        // Such a server wants ranges in the address instead of the header; others come first.
        if element.has_attribute("byteRange") { by_query.push(entry) } else { own.push(entry) }
    }
    own.extend(by_query);
    if own.is_empty() {
        return Ok(above.to_vec());
    }
    let mut bases: Vec<Base> = Vec::new();
    for parent in above {
        for (text, offset) in &own {
            let url = resolve(&parent.url, text)?;
            let availability_offset_us = parent.availability_offset_us.saturating_add(*offset);
            if bases.len() < MAX_BASES && !bases.iter().any(|known| known.url == url) {
                bases.push(Base { url, availability_offset_us: availability_offset_us.min(INFINITE_US) });
            }
        }
    }
    Ok(bases)
}

fn availability_offset(node: Node<'_, '_>) -> Result<Option<i64>, MpdError> {
    let read = |text: &str| {
        if text.eq_ignore_ascii_case("INF") { Some(INFINITE_US) } else { values::seconds_us(text) }
    };
    xml::value(node, "availabilityTimeOffset", read, "an availability offset in it cannot be")
}

/// What the levels above say about addressing, each kind apart: a kind inherits only from itself.
#[derive(Debug, Clone, Default)]
pub(super) struct Schemes {
    template: Option<Scheme>,
    list: Option<Scheme>,
    base: Option<Scheme>,
    /// The kind the nearest level uses.
    nearest: Kind,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Kind {
    Template,
    List,
    Base,
    #[default]
    File,
}

impl Schemes {
    /// The same one level further down.
    pub(super) fn below(&self, node: Node<'_, '_>) -> Result<Self, MpdError> {
        let mut below = self.clone();
        // The last of them wins where one element has several.
        for (name, kind) in
            [("SegmentBase", Kind::Base), ("SegmentList", Kind::List), ("SegmentTemplate", Kind::Template)]
        {
            let Some(element) = xml::parts(node, name)?.first().copied() else { continue };
            let slot = match kind {
                Kind::Template => &mut below.template,
                Kind::List => &mut below.list,
                Kind::Base | Kind::File => &mut below.base,
            };
            let own = scheme(element)?;
            *slot = Some(match slot.as_ref() {
                Some(parent) => own.inherit(parent),
                None => own,
            });
            below.nearest = kind;
        }
        Ok(below)
    }

    /// What a representation at this level uses.
    pub(super) fn addressing(&self) -> Addressing {
        let scheme = |scheme: &Option<Scheme>| scheme.clone().unwrap_or_default();
        match self.nearest {
            Kind::Template => Addressing::Template(scheme(&self.template)),
            Kind::List => Addressing::List(scheme(&self.list)),
            Kind::Base => Addressing::Base(scheme(&self.base)),
            Kind::File => Addressing::File,
        }
    }
}

fn scheme(node: Node<'_, '_>) -> Result<Scheme, MpdError> {
    let positive = |text: &str| text.parse::<u64>().ok().filter(|number| *number > 0);
    let timescale = |text: &str| positive(text).filter(|units| *units <= MAX_TIMESCALE);
    let timeline = xml::parts(node, "SegmentTimeline")?.first().copied().map(timeline).transpose()?;
    let urls: Vec<Source> = xml::children(node, "SegmentURL")
        .map(|url| source(url, "media", "mediaRange"))
        .collect::<Result<_, _>>()?;
    let initialization = xml::children(node, "Initialization").next();
    Ok(Scheme {
        timescale: xml::value(node, "timescale", timescale, "a time scale in it cannot be")?,
        presentation_time_offset: xml::number(node, "presentationTimeOffset")?,
        duration: xml::value(node, "duration", positive, "the length of its segments cannot be")?,
        start_number: xml::number(node, "startNumber")?,
        end_number: xml::number(node, "endNumber")?,
        availability_offset_us: availability_offset(node)?,
        early_is_partial: xml::attribute(node, "availabilityTimeComplete") == Some("false"),
        initialization_template: xml::attribute(node, "initialization").map(str::to_owned),
        initialization: initialization.map(|node| source(node, "sourceURL", "range")).transpose()?,
        index_range: range(node, "indexRange")?,
        media: xml::attribute(node, "media").map(str::to_owned),
        timeline: timeline.map(Arc::new),
        urls: (!urls.is_empty()).then(|| Arc::new(urls)),
    })
}

fn source(node: Node<'_, '_>, url: &str, range_name: &str) -> Result<Source, MpdError> {
    Ok(Source { url: xml::attribute(node, url).map(str::to_owned), range: range(node, range_name)? })
}

fn range(node: Node<'_, '_>, name: &str) -> Result<Option<ByteRange>, MpdError> {
    xml::value(node, name, values::byte_range, NO_RANGE)
}

fn timeline(node: Node<'_, '_>) -> Result<Vec<Entry>, MpdError> {
    let mut entries = Vec::new();
    for element in xml::children(node, "S") {
        if entries.len() >= MAX_SEGMENTS {
            return Err(MpdError::malformed("it has more than a million segments"));
        }
        let Some(duration) = xml::number(element, "d")? else {
            return Err(MpdError::malformed("a segment has no length"));
        };
        // Any negative number means the same (section 5.3.9.6.2).
        let repeat = |text: &str| {
            let digits = text.strip_prefix('-').unwrap_or(text);
            let number: u64 = digits.parse().ok()?;
            Some(if digits.len() < text.len() && number > 0 { None } else { Some(number) })
        };
        let repeat = xml::value(element, "r", repeat, "a repetition in it cannot be")?.unwrap_or(Some(0));
        if duration == 0 && repeat != Some(0) {
            return Err(MpdError::malformed("a segment without length is repeated"));
        }
        entries.push(Entry {
            time: xml::number(element, "t")?,
            duration,
            repeat,
            number: xml::number(element, "n")?,
            parts: xml::number(element, "k")?.unwrap_or(1).max(1),
        });
    }
    Ok(entries)
}
