//! Tags of a multivariant playlist to qualities and renditions (section 4.4.6 of the draft).
//!
//! Never looks into media playlists. Invariant: pictures for scrubbing are never offered as video, and what several servers
//! offer is one choice.

use super::PlaylistError;
use super::line::Attributes;
use super::value;
use super::variables::Variables;
use crate::drm::{self, Drm};
use crate::segment::Address;
use crate::variants::{self, Multivariant, Rendition, RenditionKind};

/// `DATA-ID` under which a stream says what it is called.
const TITLE_ID: &str = "com.apple.hls.title";

/// Most variants, and most renditions, that are believed.
const MAX_CHOICES: usize = 2_000;

/// A variant with what it is called where several servers offer the same (`PATHWAY-ID`).
type Found<A> = (variants::Attributes, Option<String>, A);

/// What has been read of a multivariant playlist.
pub(super) struct Choices<A> {
    pending: Option<(variants::Attributes, Option<String>, usize)>,
    variants: Vec<Found<A>>,
    renditions: Vec<Rendition<A>>,
    session_keys: Vec<Option<Drm>>,
    title: Option<String>,
}

impl<A: Address> Choices<A> {
    pub(super) fn new() -> Self {
        Self {
            pending: None,
            variants: Vec::new(),
            renditions: Vec::new(),
            session_keys: Vec::new(),
            title: None,
        }
    }

    /// There is a variant, so this is no media playlist.
    pub(super) fn has_variants(&self) -> bool {
        !self.variants.is_empty()
    }

    /// The next address is that of a variant.
    pub(super) fn waits(&self) -> bool {
        self.pending.is_some()
    }

    /// Takes a tag by its name without `#EXT`. Others than those of a multivariant playlist are left alone.
    pub(super) fn take(
        &mut self,
        name: &str,
        text: &str,
        line: usize,
        resolve: impl FnOnce(&str) -> Result<A, &'static str>,
    ) -> Result<(), &'static str> {
        let tag = Attributes(text);
        match name {
            "-X-STREAM-INF" => {
                self.pending = Some((variants::Attributes::from_tag(tag), tag.text("PATHWAY-ID"), line));
            }
            "-X-MEDIA" => self.take_rendition(tag, resolve)?,
            "-X-SESSION-KEY" if self.session_keys.len() < MAX_CHOICES => {
                let format = tag.get("KEYFORMAT").unwrap_or_default();
                self.session_keys.push(drm::system_of(format, tag.get("URI")));
            }
            "-X-SESSION-DATA" if tag.get("DATA-ID") == Some(TITLE_ID) => {
                self.title = self.title.take().or_else(|| tag.text("VALUE"));
            }
            _ => {}
        }
        Ok(())
    }

    /// Takes the address of a variant.
    pub(super) fn take_address(&mut self, url: A) -> Result<(), &'static str> {
        if self.variants.len() >= MAX_CHOICES {
            return Err("there are more qualities than any stream has");
        }
        if let Some((attributes, pathway, _)) = self.pending.take() {
            self.variants.push((attributes, pathway, url));
        }
        Ok(())
    }

    fn take_rendition(
        &mut self,
        tag: Attributes<'_>,
        resolve: impl FnOnce(&str) -> Result<A, &'static str>,
    ) -> Result<(), &'static str> {
        let kind = match tag.get("TYPE") {
            Some("AUDIO") => RenditionKind::Audio,
            Some("VIDEO") => RenditionKind::Video,
            Some("SUBTITLES") => RenditionKind::Subtitles,
            Some("CLOSED-CAPTIONS") => RenditionKind::ClosedCaptions,
            _ => return Ok(()),
        };
        if self.renditions.len() >= MAX_CHOICES {
            return Err("there are more renditions than any stream has");
        }
        let default = tag.yes("DEFAULT");
        let characteristics = tag.get("CHARACTERISTICS").unwrap_or_default().split(',').map(str::trim);
        self.renditions.push(Rendition {
            id: String::new(),
            kind,
            group: tag.text("GROUP-ID").unwrap_or_default(),
            name: tag.text("NAME").unwrap_or_default(),
            language: tag.text("LANGUAGE"),
            associated_language: tag.text("ASSOC-LANGUAGE"),
            // The count comes first (section 4.4.6.1, CHANNELS).
            channels: tag.get("CHANNELS").and_then(|text| value::integer(text.split('/').next()?)),
            characteristics: characteristics.filter(|name| !name.is_empty()).map(str::to_owned).collect(),
            bandwidth: None,
            codecs: None,
            forced: tag.yes("FORCED"),
            default,
            // The default may always be chosen (section 4.4.6.1).
            autoselect: tag.yes("AUTOSELECT") || default,
            url: tag.get("URI").map(resolve).transpose()?,
        });
        Ok(())
    }

    /// The whole list. `protected` is a system that holds for all of it.
    pub(super) fn finish(
        self,
        protected: Option<Drm>,
        variables: Variables,
    ) -> Result<Multivariant<A>, PlaylistError> {
        if let Some((.., line)) = self.pending {
            return Err(PlaylistError::Cut { line });
        }
        // One key in the clear means that the stream can be had without DRM.
        let all_drm = self.session_keys.iter().all(Option::is_some);
        let session = self.session_keys.into_iter().flatten().next().filter(|_| all_drm);
        let mut renditions = self.renditions;
        variants::name_renditions(&mut renditions);
        Ok(Multivariant {
            variants: variants::variants(one_pathway(self.variants)),
            renditions,
            drm: protected.or(session),
            title: self.title,
            variables,
        })
    }
}

/// Other ways to the same content differ from the first in the names of their groups, and take over the first's: then they
/// fold into backups.
fn one_pathway<A>(found: Vec<Found<A>>) -> Vec<(variants::Attributes, A)> {
    let main = found.first().and_then(|(_, pathway, _)| pathway.clone());
    let mut out: Vec<(variants::Attributes, A)> = Vec::with_capacity(found.len());
    for (mut attributes, pathway, url) in found {
        if pathway != main && pathway.is_some() {
            let twin = out.iter().find(|(known, _)| {
                let groups = (known.audio_group.clone(), known.subtitles_group.clone());
                let (audio_group, subtitles_group) = groups;
                *known == variants::Attributes { audio_group, subtitles_group, ..attributes.clone() }
            });
            if let Some((twin, _)) = twin {
                attributes = twin.clone();
            }
        }
        out.push((attributes, url));
    }
    out
}
