//! Which quality, sound and subtitles a wish means.
//!
//! Pure. Invariant: a wish that fits nothing is an error for the quality, and for sound what the stream itself plays; never
//! a guess that depends on addresses.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Multivariant, NoSuchQuality, Rendition, RenditionKind, Variant, codec};
use crate::language::{self, Fit};

/// Descriptions for those who cannot see, or words for those who cannot hear: a rendition of its language, but not the
/// one meant by its language alone (section 4.4.6.1 of the draft, CHARACTERISTICS).
const SPECIAL: [&str; 3] = [
    "public.accessibility.describes-video",
    "public.accessibility.transcribes-spoken-dialog",
    "public.accessibility.describes-music-and-sound",
];

impl<A> Multivariant<A> {
    /// The variant a wish means: `best`, `worst`, `audio`, a number of lines (`1080p`, `720`, `1080p60`: that or the
    /// nearest below, else the lowest), or the id of a variant. `codecs` are common names, most wanted first
    /// ([`h264`, `hevc`, `av1`, `vp9`, `aac`, `opus`, …]); they decide among equals of resolution, before frame and bit rate.
    ///
    /// # Errors
    /// The wish is none of these, or `audio` and there is no variant with sound only; then see [`Self::sound_alone`].
    pub fn choose(&self, quality: &str, codecs: &[String]) -> Result<&Variant<A>, NoSuchQuality> {
        let wanted = quality.trim();
        let fail = || NoSuchQuality { wanted: wanted.chars().take(64).collect() };
        if let Some(variant) = self.variants.iter().find(|variant| variant.id == wanted) {
            return Ok(variant);
        }
        // Best first, so sound only variants come last; they count as video only when there is nothing else.
        let videos = || self.variants.iter().filter(|variant| !variant.audio_only);
        let like = |model: &Variant<A>| (model.audio_only, model.lines());
        match wanted.to_ascii_lowercase().as_str() {
            "" | "best" => {
                let model = self.variants.first().ok_or_else(fail)?;
                let equals = self.variants.iter().filter(|variant| like(variant) == like(model));
                equals.min_by_key(|variant| variant.rank(codecs)).ok_or_else(fail)
            }
            "worst" => {
                let model = videos().next_back().or(self.variants.last()).ok_or_else(fail)?;
                let equals = self.variants.iter().rev().filter(|variant| like(variant) == like(model));
                equals.min_by_key(|variant| variant.rank(codecs)).ok_or_else(fail)
            }
            "audio" => self
                .variants
                .iter()
                .filter(|variant| variant.audio_only)
                .min_by_key(|variant| variant.rank(codecs))
                .ok_or_else(fail),
            lines => {
                let (number, rate) = lines.split_once('p').unwrap_or((lines, ""));
                let rate = if rate.is_empty() { Ok(None) } else { rate.parse::<u64>().map(Some) };
                let (Ok(number), Ok(rate)) = (number.parse::<u64>(), rate) else { return Err(fail()) };
                let nearest = videos().filter_map(Variant::lines).filter(|lines| *lines <= number).max();
                let key = |variant: &&Variant<A>| {
                    let other_rate = rate.is_some() && variant.whole_rate() != rate;
                    (other_rate, variant.rank(codecs))
                };
                let chosen = nearest
                    .and_then(|nearest| videos().filter(|v| v.lines() == Some(nearest)).min_by_key(key));
                chosen.or_else(|| videos().next_back()).or(self.variants.last()).ok_or_else(fail)
            }
        }
    }

    /// The sound that goes with a variant. `languages` (RFC 5646, or ids of renditions) and `codecs` most wanted first:
    /// the first language there is counts, then the stream's default, its automatic choice, its order. When none of the
    /// languages is there, or none is wanted, the stream's own default. None when the variant names no group.
    ///
    /// A rendition without an address is inside the variant's own segments.
    #[must_use]
    pub fn audio_for(
        &self,
        variant: &Variant<A>,
        languages: &[String],
        codecs: &[String],
    ) -> Option<&Rendition<A>> {
        let group = variant.audio_group.as_deref()?;
        let sounds = || {
            let of_group = |rendition: &&Rendition<A>| {
                rendition.kind == RenditionKind::Audio && rendition.group == group
            };
            self.renditions.iter().filter(of_group)
        };
        let wanted = languages.iter().find_map(|wish| best_fit(sounds(), wish, codecs));
        // The first of equals wins: `max_by_key` would take the last.
        let own = |rendition: &&Rendition<A>| {
            (!rendition.default, rendition.special(), !rendition.autoselect, rendition.rank(codecs))
        };
        wanted.or_else(|| sounds().min_by_key(own))
    }

    /// The sound of the best variant that has one with an address of its own, for a wish for `audio` where no variant is
    /// sound alone.
    #[must_use]
    pub fn sound_alone(&self, languages: &[String], codecs: &[String]) -> Option<&Rendition<A>> {
        self.variants
            .iter()
            .filter_map(|variant| self.audio_for(variant, languages, codecs))
            .find(|rendition| rendition.url.is_some())
    }

    /// The subtitles that go with a variant: for each wish one rendition, each rendition once, in the order of the wishes.
    /// A wish is a language (`pt` takes `pt-BR`), the id of a rendition, `all`, or `forced` for those shown without being
    /// asked for, which no other wish but their id takes. Wishes that fit nothing give nothing.
    #[must_use]
    pub fn subtitles_for(&self, variant: &Variant<A>, languages: &[String]) -> Vec<&Rendition<A>> {
        let Some(group) = variant.subtitles_group.as_deref() else { return Vec::new() };
        let texts: Vec<&Rendition<A>> = self
            .renditions
            .iter()
            .filter(|rendition| {
                rendition.kind == RenditionKind::Subtitles
                    && rendition.group == group
                    && rendition.url.is_some()
            })
            .collect();
        let mut chosen: Vec<&Rendition<A>> = Vec::new();
        for wish in languages {
            let wish = wish.trim();
            let found: Vec<&Rendition<A>> = if wish.eq_ignore_ascii_case("all") {
                texts.iter().copied().filter(|text| !text.forced).collect()
            } else if wish.eq_ignore_ascii_case("forced") {
                texts.iter().copied().filter(|text| text.forced).collect()
            } else {
                let exact = texts.iter().copied().find(|text| text.id == wish);
                let spoken = texts.iter().copied().filter(|text| !text.forced);
                exact.or_else(|| best_fit(spoken, wish, &[])).into_iter().collect()
            };
            for text in found {
                // The same words in another format are not other words.
                let same = |known: &&Rendition<A>| {
                    (&known.language, &known.name, known.forced, &known.characteristics)
                        == (&text.language, &text.name, text.forced, &text.characteristics)
                };
                if !chosen.iter().any(same) {
                    chosen.push(text);
                }
            }
        }
        chosen
    }
}

/// The rendition of the language a wish means: its id, then that language before a wider one, what is plainly of that
/// language before what is for special needs, then the default.
fn best_fit<'a, A>(
    renditions: impl Iterator<Item = &'a Rendition<A>>,
    wish: &str,
    codecs: &[String],
) -> Option<&'a Rendition<A>> {
    renditions
        .filter_map(|rendition| {
            let named = rendition.id == wish.trim();
            let fit = rendition.language.as_deref().and_then(|tag| language::fit(wish, tag));
            let fit = if named { Fit::Exact } else { fit? };
            let key = (
                Reverse(named),
                fit == Fit::Wider,
                rendition.special(),
                !rendition.default,
                fit,
                !rendition.autoselect,
                rendition.rank(codecs),
            );
            Some((key, rendition))
        })
        .min_by(|(a, _), (b, _)| a.cmp(b))
        .map(|(_, rendition)| rendition)
}

impl<A> Variant<A> {
    /// Rows of pixels as people name them: the short side, so that an upright video is not called `1920p`.
    #[must_use]
    pub fn lines(&self) -> Option<u64> {
        super::lines(self.width, self.height)
    }

    /// Bytes it will take, with the renditions taken `beside` it: average bit rate, else the peak, over the duration. A
    /// playlist of HLS states a rate that counts its renditions already, so those have none of their own. None when no rate
    /// is stated.
    #[must_use]
    pub fn estimated_bytes(&self, beside: &[&Rendition<A>], duration: Duration) -> Option<u64> {
        let own = self.average_bandwidth.or(self.bandwidth)?;
        let beside = beside.iter().filter_map(|rendition| rendition.bandwidth);
        let bits_per_second = beside.fold(own, u64::saturating_add);
        u64::try_from(u128::from(bits_per_second) * duration.as_millis() / 8_000).ok()
    }

    fn rank(&self, codecs: &[String]) -> Vec<bool> {
        codec::rank(self.codecs.as_deref(), codecs)
    }

    fn whole_rate(&self) -> Option<u64> {
        self.frame_rate.map(|rate| rate.round() as u64)
    }
}

impl<A> Rendition<A> {
    fn special(&self) -> bool {
        self.characteristics.iter().any(|name| SPECIAL.contains(&name.as_str()))
    }

    fn rank(&self, codecs: &[String]) -> Vec<bool> {
        codec::rank(self.codecs.as_deref(), codecs)
    }
}
