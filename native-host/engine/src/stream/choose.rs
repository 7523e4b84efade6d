//! From what a stream offers to the tracks that are wanted.
//!
//! Pure: the same rules for HLS and DASH. Never picks what nobody asked for. Invariant: the first track is the picture, or
//! the sound when there is none or none is wanted.

use weir_media::language;
use weir_media::variants::{Multivariant, Rendition, Variant};

use crate::mux::TrackKind;
use crate::{EngineError, Wishes};

/// One track that is wanted; `place` says where the manifest has it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Wanted<A> {
    pub(crate) kind: TrackKind,
    pub(crate) place: A,
    /// The same elsewhere.
    pub(crate) backups: Vec<A>,
    pub(crate) language: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) default: bool,
    pub(crate) forced: bool,
}

/// What a wish means.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Choice<A> {
    pub(crate) label: Option<String>,
    pub(crate) tracks: Vec<Wanted<A>>,
    pub(crate) audio_only: bool,
    /// The manifest says that there is something to see.
    pub(crate) has_picture: bool,
    pub(crate) codecs: Option<String>,
}

/// Whether sound and nothing else is wanted.
pub(crate) fn is_audio_wish(wish: &str) -> bool {
    wish.trim().eq_ignore_ascii_case("audio")
}

/// Whether a wish can be meant where there is nothing to choose: a variant's id cannot, nor what was mistyped.
pub(crate) fn fits_the_only_one(wish: &str) -> bool {
    let wish = wish.trim().to_ascii_lowercase();
    let (lines, rate) = wish.split_once('p').unwrap_or((&wish, ""));
    let is_number = |text: &str| text.parse::<u64>().is_ok();
    matches!(wish.as_str(), "" | "best" | "worst" | "audio")
        || (is_number(lines) && (rate.is_empty() || is_number(rate)))
}

/// Picks the quality, the sound that goes with it and the subtitles.
pub(crate) fn choose<A: Clone + PartialEq>(
    offer: &Multivariant<A>,
    wish: &str,
    wishes: &Wishes,
) -> Result<Choice<A>, EngineError> {
    languages_exist(offer, wishes)?;
    let languages = &wishes.audio_languages;
    let audio_wish = is_audio_wish(wish);
    let variant = match offer.choose(wish, &wishes.codecs) {
        Ok(variant) => variant,
        // No variant with sound only, but perhaps the sound of one with a picture stands alone.
        Err(_) if audio_wish => return sound_alone(offer, wishes).ok_or_else(|| no_such(offer, wish)),
        Err(_) => return Err(no_such(offer, wish)),
    };
    let main = Wanted {
        kind: if variant.audio_only { TrackKind::Audio } else { TrackKind::Video },
        place: variant.url.clone(),
        backups: variant.backups.clone(),
        language: None,
        name: None,
        default: true,
        forced: false,
    };
    let sound = offer.audio_for(variant, languages, &wishes.codecs);
    // Sound inside the variant's own segments has no address, and a variant with sound only may name the very playlist that
    // is its rendition.
    let apart = sound.and_then(wanted).filter(|sound| sound.place != variant.url);
    let mut tracks = match apart {
        // The variant carries the default sound; another language is another rendition.
        Some(sound) if variant.audio_only => {
            vec![if languages.is_empty() { main } else { Wanted { kind: TrackKind::Audio, ..sound } }]
        }
        Some(sound) => vec![main, sound],
        None => {
            let language = sound.and_then(|sound| sound.language.clone());
            vec![Wanted { language: language.filter(|_| variant.audio_only), ..main }]
        }
    };
    if !audio_wish {
        tracks.extend(offer.subtitles_for(variant, &wishes.subtitles).into_iter().filter_map(wanted));
    }
    Ok(Choice {
        label: Some(variant.label.clone()),
        tracks,
        audio_only: audio_wish || variant.audio_only,
        has_picture: has_picture(variant) && !audio_wish,
        codecs: variant.codecs.clone(),
    })
}

fn has_picture<A>(variant: &Variant<A>) -> bool {
    !variant.audio_only && (variant.height.is_some() || variant.frame_rate.is_some())
}

fn sound_alone<A: Clone + PartialEq>(offer: &Multivariant<A>, wishes: &Wishes) -> Option<Choice<A>> {
    let sound = offer.sound_alone(&wishes.audio_languages, &wishes.codecs)?;
    Some(Choice {
        label: Some("Audio".to_owned()),
        tracks: vec![wanted(sound)?],
        audio_only: true,
        has_picture: false,
        codecs: sound.codecs.clone(),
    })
}

fn wanted<A: Clone>(rendition: &Rendition<A>) -> Option<Wanted<A>> {
    use weir_media::variants::RenditionKind as R;
    Some(Wanted {
        kind: match rendition.kind {
            R::Audio => TrackKind::Audio,
            R::Subtitles => TrackKind::Subtitles,
            R::Video => TrackKind::Video,
            R::ClosedCaptions => return None,
        },
        place: rendition.url.clone()?,
        backups: Vec::new(),
        language: rendition.language.clone(),
        name: Some(rendition.name.clone()).filter(|name| !name.is_empty()),
        default: rendition.default,
        forced: rendition.forced,
    })
}

fn no_such<A>(offer: &Multivariant<A>, wish: &str) -> EngineError {
    let mut offered: Vec<String> = offer.variants.iter().map(|variant| variant.label.clone()).collect();
    offered.dedup();
    offered.truncate(12);
    EngineError::NoSuchQuality { wanted: wish.chars().take(64).collect(), offered }
}

/// Refuses a wish for languages that no rendition has. Where none says its language there is nothing to compare.
fn languages_exist<A>(offer: &Multivariant<A>, wishes: &Wishes) -> Result<(), EngineError> {
    use weir_media::variants::RenditionKind as R;
    let kinds =
        [(R::Audio, "sound", &wishes.audio_languages), (R::Subtitles, "subtitles", &wishes.subtitles)];
    for (kind, what, wanted) in kinds {
        let there = || offer.renditions.iter().filter(|rendition| rendition.kind == kind);
        let named = there().any(|rendition| rendition.language.is_some());
        let fits = |rendition: &Rendition<A>, wish: &String| {
            wish == "all"
                || wish == "forced"
                || rendition.id == *wish
                || rendition.language.as_deref().is_some_and(|own| language::fit(wish, own).is_some())
        };
        let found = there().any(|rendition| wanted.iter().any(|wish| fits(rendition, wish)));
        if wanted.is_empty()
            || found
            || (kind == R::Audio && !named)
            || wanted.iter().any(|wish| wish == "all")
        {
            continue;
        }
        let mut offered: Vec<String> = there().filter_map(|rendition| rendition.language.clone()).collect();
        offered.sort();
        offered.dedup();
        let wanted = wanted.join(", ").chars().take(64).collect();
        return Err(EngineError::NoSuchLanguage { what, wanted, offered });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use url::Url;
    use weir_media::hls::{Playlist, parse};

    fn offer() -> Multivariant {
        let text = "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",LANGUAGE=\"en\",DEFAULT=YES,URI=\"s\"\n\
                    #EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"d\",LANGUAGE=\"de\",URI=\"d\"\n\
                    #EXT-X-MEDIA:TYPE=SUBTITLES,GROUP-ID=\"t\",NAME=\"e\",LANGUAGE=\"en\",URI=\"t\"\n\
                    #EXT-X-STREAM-INF:BANDWIDTH=2,RESOLUTION=64x36,AUDIO=\"g\",SUBTITLES=\"t\"\nv\n";
        let Playlist::Multivariant(offer) =
            parse(text, &Url::parse("https://a.example/v/l").unwrap()).unwrap()
        else {
            panic!("media")
        };
        offer
    }

    fn paths(wish: &str, wishes: &Wishes) -> Vec<(TrackKind, String)> {
        let choice = choose(&offer(), wish, wishes).unwrap();
        choice.tracks.into_iter().map(|track| (track.kind, track.place.path().to_owned())).collect()
    }

    #[test]
    fn where_there_is_no_choice_only_words_for_one_fit() {
        for wish in ["", "best", "Worst", "audio", "720p", "1080", "720p60"] {
            assert!(fits_the_only_one(wish), "{wish}");
        }
        for wish in ["720pp", "bset", "hd", "v1", "p", "720p60fps", "-1"] {
            assert!(!fits_the_only_one(wish), "{wish}");
        }
    }

    #[test]
    fn sound_and_subtitles_follow_the_choice() {
        use TrackKind::{Audio, Subtitles, Video};
        let is = |kind, path: &str| (kind, path.to_owned());
        let none = Wishes::default();
        assert_eq!(paths("best", &none), [is(Video, "/v/v"), is(Audio, "/v/s")]);
        assert_eq!(paths("audio", &none), [is(Audio, "/v/s")]);
        let german = Wishes { audio_languages: vec!["de".to_owned()], ..Wishes::default() };
        assert_eq!(paths("best", &german), [is(Video, "/v/v"), is(Audio, "/v/d")]);
        assert_eq!(paths("audio", &german), [is(Audio, "/v/d")]);
        let text = Wishes { subtitles: vec!["all".to_owned()], ..Wishes::default() };
        assert_eq!(paths("best", &text), [is(Video, "/v/v"), is(Audio, "/v/s"), is(Subtitles, "/v/t")]);
        let french = Wishes { subtitles: vec!["fr".to_owned()], ..Wishes::default() };
        let error = choose(&offer(), "best", &french).unwrap_err();
        assert_eq!(error.to_string(), "the stream has no subtitles in fr; it has en");
        let french = Wishes { audio_languages: vec!["fr".to_owned()], ..Wishes::default() };
        let error = choose(&offer(), "best", &french).unwrap_err();
        assert_eq!(error.to_string(), "the stream has no sound in fr; it has de, en");
        assert!(matches!(choose(&offer(), "nonsense", &none), Err(EngineError::NoSuchQuality { .. })));
    }
}
