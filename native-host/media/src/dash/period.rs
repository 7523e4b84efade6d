//! Adaptation sets and representations: what each carries, and whether it is offered.
//!
//! Never chooses. Invariant: trick modes, pictures for scrubbing, and what demands something unknown to be understood are not
//! among the representations.

use roxmltree::Node;
use url::Url;

use super::model::{Addressing, Base, ContentKind, Representation, RepresentationId, codec_family};
use super::protection::Protection;
use super::{MpdError, address, values, xml};
use crate::variants::only_sound;

/// Most representations of a period that are believed.
const MAX_REPRESENTATIONS: usize = 2_000;
const ROLES: &str = "urn:mpeg:dash:role:2011";
/// Whom a sound is for: 1 those who cannot see, 2 those who hear badly.
const AUDIO_PURPOSE: &str = "urn:tva:metadata:cs:AudioPurposeCS:2007";
/// Essential properties that change nothing for somebody who keeps the bytes: how colours are meant, fonts to load,
/// that players may switch between sets.
const HARMLESS: [&str; 4] = [
    "urn:mpeg:mpegB:cicp:",
    "urn:mpeg:dash:adaptation-set-switching:",
    "urn:dvb:dash:fontdownload:",
    "urn:dvb:dash:hlg-dmi:",
];

/// The representations of a period that can be offered. `manifest` is the address of the MPD.
pub(super) fn representations(
    period: Node<'_, '_>,
    above: &[Base],
    manifest: &Url,
) -> Result<Vec<Representation>, MpdError> {
    let bases = address::bases(period, above)?;
    let schemes = address::Schemes::default().below(period)?;
    let mut found = Vec::new();
    for (set, node) in xml::parts(period, "AdaptationSet")?.into_iter().enumerate() {
        let bases = address::bases(node, &bases)?;
        let schemes = schemes.below(node)?;
        for (index, own) in xml::parts(node, "Representation")?.into_iter().enumerate() {
            if found.len() >= MAX_REPRESENTATIONS {
                return Err(MpdError::malformed("there are more representations than any presentation has"));
            }
            let levels = [own, node];
            let Some(kind) = kind(levels) else { continue };
            if levels.iter().any(|level| is_special(*level)) || xml::attribute(own, "dependencyId").is_some()
            {
                continue;
            }
            let bases = address::bases(own, &bases)?;
            let addressing = schemes.below(own)?.addressing();
            // Without an address of its own there is nothing to fetch but the manifest or its folder.
            let lost = |base: &Base| base.url == *manifest || base.url.path().ends_with('/');
            if addressing.is_file() && bases.first().is_none_or(lost) {
                continue;
            }
            let elements = levels.into_iter().flat_map(|level| xml::children(level, "ContentProtection"));
            let Some(base) = bases.first() else { continue };
            let protection = Protection::of(&elements.collect::<Vec<_>>(), &base.url);
            let about = About::of(levels, kind);
            let id = xml::attribute(own, "id").map_or_else(|| format!("{set}-{index}"), str::to_owned);
            found.push(about.representation(id, set, protection, bases, addressing));
        }
    }
    Ok(found)
}

/// Schemes and values of descriptors on a representation and its set.
fn properties(levels: [Node<'_, '_>; 2], name: &'static str) -> Vec<(String, String)> {
    let nodes = levels.into_iter().flat_map(|level| xml::children(level, name));
    let value = |node, name| xml::attribute(node, name).unwrap_or_default().to_owned();
    nodes.map(|node| (value(node, "schemeIdUri"), value(node, "value"))).collect()
}

/// An attribute of a representation, else of its set (section 5.3.7 of the standard).
fn common<'a>(levels: [Node<'a, '_>; 2], name: &str) -> Option<&'a str> {
    levels.into_iter().find_map(|level| xml::attribute(level, name))
}

/// What it carries; none for what is no picture, sound or text, or only pictures for scrubbing.
fn kind(levels: [Node<'_, '_>; 2]) -> Option<ContentKind> {
    let mime = common(levels, "mimeType").unwrap_or_default().to_ascii_lowercase();
    let codecs = common(levels, "codecs").unwrap_or_default();
    let family = codec_family(codecs);
    let stated = common(levels, "contentType").unwrap_or_default().to_ascii_lowercase();
    let has = |wanted: &str| {
        xml::children(levels[1], "ContentComponent")
            .any(|component| xml::attribute(component, "contentType") == Some(wanted))
    };
    let major = mime.split('/').next().unwrap_or_default();
    if major == "image" || stated == "image" {
        return None;
    }
    let text = matches!(family.as_str(), "stpp" | "wvtt" | "sbtt" | "stxt" | "tx3g")
        || mime.contains("ttml")
        || mime.contains("vtt");
    if text {
        return Some(ContentKind::Text);
    }
    let sized = common(levels, "width").is_some() || common(levels, "height").is_some();
    if !codecs.is_empty() && only_sound(codecs) && !sized {
        return Some(ContentKind::Audio);
    }
    match stated.as_str() {
        "video" => return Some(ContentKind::Video),
        "audio" => return Some(ContentKind::Audio),
        "text" => return Some(ContentKind::Text),
        _ => {}
    }
    match major {
        "video" => Some(ContentKind::Video),
        "audio" => Some(ContentKind::Audio),
        "text" => Some(ContentKind::Text),
        _ if has("video") || sized => Some(ContentKind::Video),
        _ if has("audio") || common(levels, "audioSamplingRate").is_some() => Some(ContentKind::Audio),
        _ if has("text") => Some(ContentKind::Text),
        _ => None,
    }
}

/// Not to be played as it is: a trick mode, or something that has to be understood first and is not.
fn is_special(level: Node<'_, '_>) -> bool {
    let scheme = |node| xml::attribute(node, "schemeIdUri").unwrap_or_default();
    let trick = |node| scheme(node).contains("trickmode");
    xml::children(level, "SupplementalProperty").any(trick)
        || xml::children(level, "EssentialProperty").any(|node| {
            let scheme = scheme(node);
            trick(node) || !HARMLESS.iter().any(|known| scheme.starts_with(known))
        })
}

/// What the attributes say.
struct About {
    is: RepresentationId,
    label: Option<String>,
    roles: Vec<String>,
    characteristics: Vec<String>,
    width: Option<u64>,
    height: Option<u64>,
    frame_rate: Option<f64>,
    codecs: Option<String>,
    subtype: Option<String>,
    captions: Vec<(Option<String>, String)>,
}

impl About {
    fn of(levels: [Node<'_, '_>; 2], kind: ContentKind) -> Self {
        let size = |name| levels.into_iter().find_map(|level| xml::hint::<u64>(level, name));
        let (width, height) = (size("width"), size("height"));
        let codecs = common(levels, "codecs").map(str::to_owned);
        let component = xml::children(levels[1], "ContentComponent").next();
        let language = common(levels, "lang")
            .or_else(|| component.and_then(|component| xml::attribute(component, "lang")))
            .filter(|tag| !matches!(*tag, "und" | "zxx" | "mis"))
            .map(str::to_owned);
        let roles: Vec<String> = properties(levels, "Role")
            .into_iter()
            .filter(|(scheme, _)| scheme == ROLES || scheme.is_empty())
            .map(|(_, value)| value.to_ascii_lowercase().replace('_', "-"))
            .collect();
        let accessibility = properties(levels, "Accessibility");
        let mime = common(levels, "mimeType").unwrap_or_default();
        let subtype = mime.split_once('/').map(|(_, rest)| rest.split(';').next().unwrap_or(rest).trim());
        let channels = channels(&properties(levels, "AudioChannelConfiguration"));
        let text =
            || levels.into_iter().flat_map(|level| xml::children(level, "Label")).find_map(xml::content);
        Self {
            is: RepresentationId {
                id: String::new(),
                kind,
                language,
                role: roles.iter().find(|role| *role != "main").cloned(),
                codec: codecs.as_deref().map(codec_family),
                lines: height.map(|height| width.map_or(height, |width| width.min(height))),
                channels,
                bandwidth: xml::hint(levels[0], "bandwidth").filter(|bandwidth| *bandwidth > 0),
            },
            label: text().or_else(|| common(levels, "label")).map(str::to_owned),
            characteristics: characteristics(kind, &roles, &accessibility),
            roles,
            width,
            height,
            frame_rate: common(levels, "frameRate").and_then(values::ratio),
            codecs,
            subtype: subtype.map(str::to_ascii_lowercase),
            captions: accessibility.iter().flat_map(|(scheme, value)| captions(scheme, value)).collect(),
        }
    }

    fn representation(
        self,
        id: String,
        set: usize,
        protection: Protection,
        bases: Vec<Base>,
        addressing: Addressing,
    ) -> Representation {
        Representation {
            is: RepresentationId { id, ..self.is },
            set,
            label: self.label,
            roles: self.roles,
            characteristics: self.characteristics,
            width: self.width,
            height: self.height,
            frame_rate: self.frame_rate,
            codecs: self.codecs,
            subtype: self.subtype,
            captions: self.captions,
            protection,
            bases,
            addressing,
        }
    }
}

/// What is special about it, in the words of HLS.
fn characteristics(kind: ContentKind, roles: &[String], accessibility: &[(String, String)]) -> Vec<String> {
    let is = |role: &str, purpose: &str| {
        roles.iter().any(|known| known == role)
            || accessibility.iter().any(|(scheme, value)| {
                (scheme == ROLES && value == role)
                    || (kind == ContentKind::Audio && scheme == AUDIO_PURPOSE && value == purpose)
            })
    };
    let mut found = Vec::new();
    if is("description", "1") {
        found.push("public.accessibility.describes-video");
    }
    if is("enhanced-audio-intelligibility", "2") {
        found.push("public.accessibility.enhances-speech-intelligibility");
    }
    if kind == ContentKind::Text && is("caption", "") {
        found.push("public.accessibility.transcribes-spoken-dialog");
        found.push("public.accessibility.describes-music-and-sound");
    }
    if is("easyreader", "") {
        found.push("public.easy-to-read");
    }
    found.into_iter().map(str::to_owned).collect()
}

/// `CC1=eng;CC3=swe`, `1=lang:eng;2=lang:deu`, or only a language (SCTE 214-1): channels and their languages.
fn captions(scheme: &str, value: &str) -> Vec<(Option<String>, String)> {
    if !scheme.starts_with("urn:scte:dash:cc:cea-") {
        return Vec::new();
    }
    let entries = value.split(';').map(str::trim).filter(|entry| !entry.is_empty());
    let entry = |entry: &str| match entry.split_once('=') {
        Some((channel, about)) => {
            let language = about.split(',').find_map(|part| part.strip_prefix("lang:").or(Some(part)));
            (language.map(str::to_owned).filter(|tag| !tag.contains(':')), channel.to_owned())
        }
        None if entry.starts_with("CC") => (None, entry.to_owned()),
        None => (Some(entry.to_owned()), "CC1".to_owned()),
    };
    entries.map(entry).take(64).collect()
}

/// How many channels the first descriptor that can be read stands for.
fn channels(configurations: &[(String, String)]) -> Option<u64> {
    configurations.iter().find_map(|(scheme, value)| {
        if scheme.contains("dolby") {
            // A bit for each loudspeaker or pair of them (ETSI TS 102 366 annex I.1.2.1).
            const PAIRS: u32 = 0b0000_0110_0111_0100;
            let speakers = u32::from(u16::from_str_radix(value, 16).ok()?);
            return Some(u64::from(speakers.count_ones() + (speakers & PAIRS).count_ones()));
        }
        let number: u64 = value.parse().ok()?;
        if scheme.contains("ChannelConfiguration") {
            // Numbers of arrangements (ISO/IEC 23091-3).
            return match number {
                1..=6 => Some(number),
                7 | 12 | 14 => Some(8),
                9 => Some(3),
                10 => Some(4),
                11 => Some(7),
                13 => Some(24),
                _ => None,
            };
        }
        Some(number).filter(|number| (1..=64).contains(number))
    })
}
