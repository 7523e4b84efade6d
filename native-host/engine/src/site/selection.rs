//! Wishes as yt-dlp's options.
//!
//! Pure. Owns what may stand in them: words from outside are taken apart, checked, and never passed on as they came.
//! Invariant: nothing here can become another option or another part of a format expression.

use crate::EngineError;
use crate::wishes::{SubtitleForm, Wishes};

/// Longest identifier of a format.
const MAX_ID: usize = 100;

/// What is wanted of the picture.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Quality {
    Best,
    Worst,
    Audio,
    /// Rows of pixels, and frames a second if they were named.
    Lines(u32, Option<u32>),
    /// Identifiers of formats.
    Formats(Vec<String>),
}

impl Quality {
    /// Understands a wish; see [`weir_media::variants::Multivariant::choose`] for its words.
    pub(super) fn read(wish: Option<&str>) -> Result<Self, EngineError> {
        let wish = wish.unwrap_or_default().trim();
        let lower = wish.to_ascii_lowercase();
        match lower.as_str() {
            "" | "best" => return Ok(Self::Best),
            "worst" => return Ok(Self::Worst),
            "audio" => return Ok(Self::Audio),
            _ => {}
        }
        if let Some((lines, rate)) = lower.split_once('p')
            && let Ok(lines @ 1..=100_000) = lines.parse()
            && (rate.is_empty() || rate.parse::<u32>().is_ok())
        {
            return Ok(Self::Lines(lines, rate.parse().ok()));
        }
        let ids: Vec<String> = wish.split('+').map(str::to_owned).collect();
        let plain = |id: &String| {
            (1..=MAX_ID).contains(&id.len())
                && id.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.:".contains(&b))
        };
        if ids.len() <= 2 && ids.iter().all(plain) {
            return Ok(Self::Formats(ids));
        }
        Err(EngineError::NoSuchQuality { wanted: wish.chars().take(64).collect(), offered: Vec::new() })
    }
}

/// Options that choose formats.
pub(super) fn formats(quality: &Quality, wishes: &Wishes, ffmpeg: bool) -> Vec<String> {
    let languages: Vec<String> = wishes.audio_languages.iter().filter_map(|tag| language(tag)).collect();
    let spoken = |tag: &String| format!("[language~='(?i)^{tag}(-|$)']");
    let mut ways: Vec<String> = Vec::new();
    match quality {
        Quality::Formats(ids) => {
            let one = |id: &String| format!("[format_id='{id}']");
            match &ids[..] {
                [picture, sound] => ways.push(format!("b*{}+b*{}", one(picture), one(sound))),
                // A picture without sound gets the sound it lacks.
                [id] if ffmpeg => ways.extend([format!("bv*{0}+ba", one(id)), format!("b*{}", one(id))]),
                ids => ways.extend(ids.iter().map(|id| format!("b*{}", one(id)))),
            }
        }
        Quality::Audio => {
            ways.extend(languages.iter().map(|tag| format!("ba{0}/b{0}", spoken(tag))));
            ways.push("ba/ba*/b".to_owned());
        }
        // Without ffmpeg two files cannot become one.
        _ if !ffmpeg => {
            let best = if *quality == Quality::Worst { "w" } else { "b" };
            ways.extend(languages.iter().map(|tag| format!("{best}{}", spoken(tag))));
            ways.push(best.to_owned());
        }
        Quality::Worst => {
            ways.extend(languages.iter().map(|tag| format!("wv+wa{0}/w{0}", spoken(tag))));
            ways.push("wv*+wa/w".to_owned());
        }
        Quality::Best | Quality::Lines(..) => {
            ways.extend(languages.iter().map(|tag| format!("bv+ba{0}/b{0}", spoken(tag))));
            ways.push("bv*+ba/b".to_owned());
        }
    }
    let mut out = vec!["-f".to_owned(), ways.join("/")];
    let order = order(quality, wishes);
    if !order.is_empty() {
        out.extend(["-S".to_owned(), order]);
    }
    out
}

/// Resolution first, then codecs: they decide among equals.
fn order(quality: &Quality, wishes: &Wishes) -> String {
    let mut order = Vec::new();
    match quality {
        Quality::Lines(lines, rate) => {
            order.push(format!("res:{lines}"));
            order.extend(rate.map(|rate| format!("fps:{rate}")));
        }
        _ if !wishes.codecs.is_empty() => order.push("res".to_owned()),
        _ => {}
    }
    // yt-dlp takes one preference for each kind: the first that is named.
    for (kind, known) in [("vcodec", PICTURE), ("acodec", SOUND)] {
        let wanted = wishes.codecs.iter().find_map(|codec| {
            let codec = codec.trim().to_ascii_lowercase();
            known.iter().find(|(name, _)| *name == codec).map(|(_, theirs)| *theirs)
        });
        order.extend(wanted.map(|codec| format!("{kind}:{codec}")));
    }
    order.join(",")
}

/// Common names and yt-dlp's.
const PICTURE: &[(&str, &str)] = &[
    ("av1", "av01"),
    ("av01", "av01"),
    ("vp9", "vp9"),
    ("vp09", "vp9"),
    ("vp8", "vp8"),
    ("hevc", "h265"),
    ("h265", "h265"),
    ("h264", "h264"),
    ("avc", "h264"),
    ("avc1", "h264"),
];
const SOUND: &[(&str, &str)] = &[
    ("opus", "opus"),
    ("vorbis", "vorbis"),
    ("aac", "aac"),
    ("mp4a", "mp4a"),
    ("mp3", "mp3"),
    ("ac3", "ac3"),
    ("ac-3", "ac3"),
    ("eac3", "eac3"),
    ("ec-3", "eac3"),
    ("flac", "flac"),
    ("alac", "alac"),
];

/// Options for subtitles; none when none are wanted.
pub(super) fn subtitles(wishes: &Wishes) -> Vec<String> {
    let all = wishes.subtitles.iter().any(|tag| tag.trim().eq_ignore_ascii_case("all"));
    let tags: Vec<String> = wishes.subtitles.iter().filter_map(|tag| language(tag)).collect();
    if !all && tags.is_empty() {
        return Vec::new();
    }
    let tags = if all {
        // Chats are no subtitles.
        "all,-live_chat".to_owned()
    } else {
        tags.iter().map(|tag| format!("{tag}(-.*)?")).collect::<Vec<_>>().join(",")
    };
    let mut out = vec!["--write-subs".to_owned(), "--sub-langs".to_owned(), tags];
    out.extend(["--sub-format".to_owned(), "vtt/srt/ttml/best".to_owned()]);
    match wishes.subtitle_form {
        SubtitleForm::Embedded => out.push("--embed-subs".to_owned()),
        SubtitleForm::Vtt => out.extend(["--convert-subs".to_owned(), "vtt".to_owned()]),
        SubtitleForm::Srt => out.extend(["--convert-subs".to_owned(), "srt".to_owned()]),
    }
    out
}

/// A language tag of letters, digits and hyphens (RFC 5646), or none.
fn language(tag: &str) -> Option<String> {
    let tag = tag.trim();
    let plain = (1..=35).contains(&tag.len())
        && tag.starts_with(|c: char| c.is_ascii_alphabetic())
        && tag.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-');
    plain.then(|| tag.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(wish: &str, wishes: &Wishes, ffmpeg: bool) -> String {
        formats(&Quality::read(Some(wish)).unwrap(), wishes, ffmpeg).join(" ")
    }

    #[test]
    fn each_wish_has_its_words() {
        let none = Wishes::default();
        for (wish, options) in [
            ("", "-f bv*+ba/b"),
            ("Best", "-f bv*+ba/b"),
            ("worst", "-f wv*+wa/w"),
            ("audio", "-f ba/ba*/b"),
            ("1080p", "-f bv*+ba/b -S res:1080"),
            ("720p60", "-f bv*+ba/b -S res:720,fps:60"),
            ("137", "-f bv*[format_id='137']+ba/b*[format_id='137']"),
            ("all", "-f bv*[format_id='all']+ba/b*[format_id='all']"),
            ("137+hls-2.a", "-f b*[format_id='137']+b*[format_id='hls-2.a']"),
        ] {
            assert_eq!(chosen(wish, &none, true), options);
        }
        assert_eq!(chosen("1080p", &none, false), "-f b -S res:1080");
        assert_eq!(chosen("137", &none, false), "-f b*[format_id='137']");
    }

    #[test]
    fn languages_and_codecs_come_in_their_order() {
        let wishes = Wishes {
            audio_languages: vec!["pt".into(), "'] --exec".into(), "en-GB".into()],
            codecs: vec!["opus".into(), "H264".into(), "av1".into(), "--x".into()],
            ..Wishes::default()
        };
        assert_eq!(
            chosen("best", &wishes, true),
            "-f bv+ba[language~='(?i)^pt(-|$)']/b[language~='(?i)^pt(-|$)']/\
             bv+ba[language~='(?i)^en-GB(-|$)']/b[language~='(?i)^en-GB(-|$)']/bv*+ba/b -S res,vcodec:h264,acodec:opus"
        );
    }

    #[test]
    fn subtitles_go_where_they_are_wanted() {
        let of = |tags: &[&str], form| {
            let subtitles = tags.iter().map(|tag| (*tag).to_owned()).collect();
            super::subtitles(&Wishes { subtitles, subtitle_form: form, ..Wishes::default() }).join(" ")
        };
        assert_eq!(of(&[], SubtitleForm::Vtt), "");
        assert_eq!(of(&["--exec", ""], SubtitleForm::Vtt), "");
        assert_eq!(
            of(&["de", "pt-BR"], SubtitleForm::Embedded),
            "--write-subs --sub-langs de(-.*)?,pt-BR(-.*)? --sub-format vtt/srt/ttml/best --embed-subs"
        );
        assert!(
            of(&["All"], SubtitleForm::Srt)
                .ends_with("all,-live_chat --sub-format vtt/srt/ttml/best --convert-subs srt")
        );
    }

    #[test]
    fn no_wish_becomes_an_expression_of_its_own() {
        for wish in ["b]/all", "-x", "a/b", "a b", "137'", "b[height>1]", "1+2+3", "+", "ü"] {
            let read = Quality::read(Some(wish));
            match read {
                // A leading hyphen is harmless inside quotes.
                Ok(Quality::Formats(ids)) => assert_eq!(ids, ["-x"]),
                other => {
                    assert!(matches!(other, Err(EngineError::NoSuchQuality { .. })), "{wish}: {other:?}");
                }
            }
        }
    }
}
