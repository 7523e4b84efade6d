//! What can be chosen of an MPD, in the words of [`crate::variants`].
//!
//! Never addresses segments. Invariant: what is protected is offered only when all of its kind is, so that the refusal has
//! something to name.

use super::Mpd;
use super::model::{ContentKind, Period, Representation, RepresentationId};
use crate::hls::Variables;
use crate::variants::{self, Attributes, Multivariant, Rendition, RenditionKind};

const AUDIO: &str = "audio";
const VIDEO: &str = "video";
const TEXT: &str = "subtitles";
/// Roles of another picture or sound than the one most people want.
const OTHER: [&str; 6] = ["alternate", "supplementary", "commentary", "sign", "emergency", "description"];

impl Mpd {
    /// Its qualities and renditions: those of its longest period, or of the newest one of a live presentation;
    /// [`Mpd::track`] finds their like in the others.
    ///
    /// Variants are the video representations, or without any the sounds of the default language; renditions are all sounds,
    /// best bit rate first within their set, and texts. The bit rate of a variant does not count its renditions.
    #[must_use]
    pub fn offer(&self) -> Multivariant<RepresentationId> {
        let empty = Multivariant {
            variants: Vec::new(),
            renditions: Vec::new(),
            drm: self.drm.clone(),
            title: self.title.clone(),
            variables: Variables::default(),
        };
        let Some(period) = self.model_period() else { return empty };
        let sounds = offered(period, ContentKind::Audio);
        let pictures = offered(period, ContentKind::Video);
        let texts = offered(period, ContentKind::Text);
        let mut renditions: Vec<Rendition<RepresentationId>> = Vec::new();
        renditions.extend(audio_renditions(&sounds));
        renditions.extend(texts.iter().map(|text| rendition(text, RenditionKind::Subtitles, TEXT, false)));
        let has_main = pictures.iter().any(|picture| !is_other(picture));
        let others = || pictures.iter().filter(|picture| has_main && is_other(picture));
        renditions.extend(others().map(|other| rendition(other, RenditionKind::Video, VIDEO, false)));
        let default_sound =
            renditions.iter().find(|sound| sound.default).and_then(|sound| sound.codecs.clone());
        let groups = Groups { audio: !sounds.is_empty(), text: !texts.is_empty(), default_sound };
        let mut found = Vec::new();
        for picture in pictures.iter().filter(|picture| !(has_main && is_other(picture))) {
            found.push((groups.attributes(picture), picture.is.clone()));
        }
        if found.is_empty() {
            for sound in &sounds {
                let default =
                    renditions.iter().any(|known| known.default && known.url.as_ref() == Some(&sound.is));
                if default {
                    found.push((groups.sound_alone(sound), sound.is.clone()));
                }
            }
        }
        captions(&pictures, &mut renditions);
        variants::name_renditions(&mut renditions);
        Multivariant { variants: variants::variants(found), renditions, ..empty }
    }

    /// The period that shows best what there is.
    fn model_period(&self) -> Option<&Period> {
        let mut filled = self.periods.iter().filter(|period| !period.representations.is_empty());
        if self.live {
            return filled.next_back();
        }
        // The first of equals.
        filled.reduce(|best, next| {
            let length = |period: &Period| period.duration_us.unwrap_or(i64::MAX);
            if length(next) > length(best) { next } else { best }
        })
    }
}

/// What of a kind can be had; all of it when none can.
fn offered(period: &Period, kind: ContentKind) -> Vec<&Representation> {
    let all: Vec<&Representation> =
        period.representations.iter().filter(|representation| representation.is.kind == kind).collect();
    let open: Vec<&Representation> =
        all.iter().copied().filter(|representation| representation.protection.is_open()).collect();
    if open.is_empty() { all } else { open }
}

fn is_other(representation: &Representation) -> bool {
    representation.roles.iter().all(|role| role != "main")
        && representation.roles.iter().any(|role| OTHER.contains(&role.as_str()))
}

/// Sounds set by set, best bit rate first. The default are those of the main set: the first that says so, else the first
/// that is not for special needs.
fn audio_renditions(sounds: &[&Representation]) -> Vec<Rendition<RepresentationId>> {
    let main = sounds
        .iter()
        .find(|sound| sound.roles.iter().any(|role| role == "main"))
        .or_else(|| sounds.iter().find(|sound| !is_other(sound)))
        .or(sounds.first());
    let like_main = |sound: &Representation| {
        main.is_some_and(|main| sound.is.language == main.is.language && is_other(sound) == is_other(main))
    };
    let mut sorted = sounds.to_vec();
    // A set's place is that of its first.
    sorted.sort_by_key(|sound| (sound.set, std::cmp::Reverse(sound.is.bandwidth)));
    sorted.iter().map(|sound| rendition(sound, RenditionKind::Audio, AUDIO, like_main(sound))).collect()
}

fn rendition(
    from: &Representation,
    kind: RenditionKind,
    group: &str,
    default: bool,
) -> Rendition<RepresentationId> {
    let special = !from.characteristics.is_empty() || is_other(from);
    Rendition {
        id: String::new(),
        kind,
        group: group.to_owned(),
        name: name(from),
        language: from.is.language.clone(),
        associated_language: None,
        channels: from.is.channels,
        characteristics: from.characteristics.clone(),
        bandwidth: from.is.bandwidth,
        // For bare text files the type says what a codec would.
        codecs: from
            .codecs
            .clone()
            .or_else(|| from.subtype.clone().filter(|_| kind == RenditionKind::Subtitles)),
        forced: from.roles.iter().any(|role| role == "forced-subtitle"),
        default,
        autoselect: !special,
        url: Some(from.is.clone()),
    }
}

/// Its label, else its language, and what distinguishes it.
fn name(from: &Representation) -> String {
    if let Some(label) = &from.label {
        return label.clone();
    }
    let mut name = from.is.language.clone().unwrap_or_else(|| {
        match from.is.kind {
            ContentKind::Video => "Video",
            ContentKind::Audio => "Audio",
            ContentKind::Text => "Subtitles",
        }
        .to_owned()
    });
    if let Some(role) = from.roles.iter().find(|role| !matches!(role.as_str(), "main" | "subtitle")) {
        name = format!("{name} ({role})");
    }
    name
}

/// Closed captions inside the pictures.
fn captions(pictures: &[&Representation], renditions: &mut Vec<Rendition<RepresentationId>>) {
    for picture in pictures {
        for (language, channel) in &picture.captions {
            let same = |known: &Rendition<RepresentationId>| {
                known.kind == RenditionKind::ClosedCaptions && known.name == *channel
            };
            if !renditions.iter().any(same) {
                let plain = rendition(picture, RenditionKind::ClosedCaptions, "captions", false);
                renditions.push(Rendition {
                    name: channel.clone(),
                    language: language.clone(),
                    channels: None,
                    bandwidth: None,
                    codecs: None,
                    url: None,
                    ..plain
                });
            }
        }
    }
}

/// What there is beside the pictures.
struct Groups {
    audio: bool,
    text: bool,
    default_sound: Option<String>,
}

impl Groups {
    fn attributes(&self, picture: &Representation) -> Attributes {
        // Sound inside the same segments needs no other.
        let muxed = picture
            .codecs
            .as_deref()
            .is_some_and(|codecs| codecs.contains(',') && codecs.split(',').any(variants::only_sound));
        let beside = self.default_sound.as_deref().filter(|_| !muxed);
        let codecs = match (&picture.codecs, beside) {
            (Some(own), Some(sound)) => Some(format!("{own},{sound}")),
            (own, _) => own.clone(),
        };
        Attributes {
            width: picture.width,
            height: picture.height,
            frame_rate: picture.frame_rate,
            bandwidth: picture.is.bandwidth,
            average_bandwidth: None,
            codecs,
            audio_group: (self.audio && !muxed).then(|| AUDIO.to_owned()),
            subtitles_group: self.text.then(|| TEXT.to_owned()),
            sound_only: false,
        }
    }

    fn sound_alone(&self, sound: &Representation) -> Attributes {
        Attributes {
            bandwidth: sound.is.bandwidth,
            codecs: sound.codecs.clone(),
            audio_group: Some(AUDIO.to_owned()),
            subtitles_group: self.text.then(|| TEXT.to_owned()),
            sound_only: true,
            ..Attributes::default()
        }
    }
}
