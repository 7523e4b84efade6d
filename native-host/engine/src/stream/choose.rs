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
    /// Wishes that are not met, a clause each in plain words.
    pub(crate) unmet: Vec<String>,
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
    let mut unmet = unmet_sound(offer, sound, wishes);
    if audio_wish {
        unmet.extend(unwanted_text(wishes));
    } else {
        unmet.extend(unmet_text(offer.subtitles_for(variant, &wishes.subtitles).as_slice(), wishes));
        tracks.extend(offer.subtitles_for(variant, &wishes.subtitles).into_iter().filter_map(wanted));
    }
    Ok(Choice {
        label: Some(variant.label.clone()),
        tracks,
        audio_only: audio_wish || variant.audio_only,
        has_picture: has_picture(variant) && !audio_wish,
        codecs: variant.codecs.clone(),
        unmet,
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
        unmet: unmet_sound(offer, Some(sound), wishes).into_iter().chain(unwanted_text(wishes)).collect(),
    })
}

/// That no manifest says in which language the sound is, though one was wished for.
pub(crate) fn unsaid(wishes: &Wishes) -> Option<String> {
    let wanted = (!wishes.audio_languages.is_empty()).then(|| named(&wishes.audio_languages))?;
    Some(format!("the stream does not say in which language its sound is, {wanted} was wished for"))
}

/// Why the sound that was chosen is in none of the wanted languages.
fn unmet_sound<A>(offer: &Multivariant<A>, sound: Option<&Rendition<A>>, wishes: &Wishes) -> Vec<String> {
    use weir_media::variants::RenditionKind as R;
    let wanted = &wishes.audio_languages;
    let fits = |rendition: &Rendition<A>| wanted.iter().any(|wish| means(wish, rendition));
    if wanted.is_empty() || sound.is_some_and(fits) {
        return Vec::new();
    }
    // It is there, with other pictures.
    let elsewhere = offer.renditions.iter().any(|rendition| rendition.kind == R::Audio && fits(rendition));
    if elsewhere {
        return vec![format!("this quality has no sound in {}, another has", named(wanted))];
    }
    unsaid(wishes).into_iter().collect()
}

/// Wanted languages in which there are no subtitles beside those that are.
fn unmet_text<A>(chosen: &[&Rendition<A>], wishes: &Wishes) -> Option<String> {
    let missing = |wish: &&String| {
        !matches!(wish.trim(), "all" | "forced") && !chosen.iter().any(|rendition| means(wish, rendition))
    };
    let missing: Vec<String> = wishes.subtitles.iter().filter(missing).cloned().collect();
    (!missing.is_empty()).then(|| format!("there are no subtitles in {}", named(&missing)))
}

/// Sound alone has no place for text.
fn unwanted_text(wishes: &Wishes) -> Option<String> {
    (!wishes.subtitles.is_empty()).then(|| "subtitles do not come with sound alone".to_owned())
}

fn named(languages: &[String]) -> String {
    languages.join(", ").chars().take(64).collect()
}

/// Whether a wish for a language, or the id of a rendition, means this one.
fn means<A>(wish: &str, rendition: &Rendition<A>) -> bool {
    rendition.id == wish
        || rendition.language.as_deref().is_some_and(|own| language::fit(wish, own).is_some())
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
        let tells = there().any(|rendition| rendition.language.is_some());
        let fits = |rendition: &Rendition<A>, wish: &String| {
            wish == "all" || wish == "forced" || means(wish, rendition)
        };
        let found = there().any(|rendition| wanted.iter().any(|wish| fits(rendition, wish)));
        if wanted.is_empty()
            || found
            || (kind == R::Audio && !tells)
            || wanted.iter().any(|wish| wish == "all")
        {
            continue;
        }
        let mut offered: Vec<String> = there().filter_map(|rendition| rendition.language.clone()).collect();
        offered.sort();
        offered.dedup();
        return Err(EngineError::NoSuchLanguage { what, wanted: named(wanted), offered });
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

    #[test]
    fn what_is_wished_for_and_not_there_is_said() {
        let unmet = |wish: &str, sound: &[&str], subtitles: &[&str]| {
            let own = |list: &[&str]| list.iter().map(|one| (*one).to_owned()).collect::<Vec<_>>();
            let wishes =
                Wishes { audio_languages: own(sound), subtitles: own(subtitles), ..Wishes::default() };
            choose(&offer(), wish, &wishes).unwrap().unmet
        };
        let none: [&str; 0] = [];
        assert_eq!(unmet("best", &["fr", "de"], &["all"]), none);
        assert_eq!(unmet("best", &[], &["en", "fr", "it"]), ["there are no subtitles in fr, it"]);
        assert_eq!(unmet("audio", &["de"], &["en"]), ["subtitles do not come with sound alone"]);
        let mut silent = offer();
        silent.renditions.clear();
        let wishes = Wishes { audio_languages: vec!["fr".to_owned()], ..Wishes::default() };
        assert_eq!(
            choose(&silent, "best", &wishes).unwrap().unmet,
            ["the stream does not say in which language its sound is, fr was wished for"]
        );
    }
}
