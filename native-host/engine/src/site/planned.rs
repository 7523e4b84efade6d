//! What would be fetched of a page, from what yt-dlp says of it.
//!
//! Pure. Never tells an address: those of a page's media are made for whoever asked, and for an hour. Invariant: what the
//! page does not say is told as unknown, never as nothing.

use weir_media::variants::RenditionKind;

use super::info::{Info, codec, lacks, size, tag, text};
use crate::{PlannedTrack, Wishes};

/// Most qualities that are listed to whoever wished for none of them.
const MOST_OFFERED: usize = 12;

/// A track for each file that would be fetched: a picture, perhaps with its sound, before the sound apart; then subtitles.
pub(super) fn tracks(info: &Info, wishes: &Wishes) -> Vec<PlannedTrack> {
    let media = info.chosen().into_iter().map(|format| {
        let codecs: Vec<&str> = ["vcodec", "acodec"].iter().filter_map(|key| codec(format, key)).collect();
        PlannedTrack {
            kind: if lacks(format, "vcodec") { "audio" } else { "video" },
            language: text(format, "language").and_then(tag).map(str::to_owned),
            codecs: (!codecs.is_empty()).then(|| codecs.join(",")),
            total_bytes: size(format),
            segments: Vec::new(),
        }
    });
    let written =
        info.renditions().into_iter().filter(|rendition| rendition.kind == RenditionKind::Subtitles);
    let languages = written.filter_map(|rendition| rendition.language);
    let subtitles = languages.filter(|language| wanted(language, wishes)).map(|language| PlannedTrack {
        kind: "subtitles",
        language: Some(language),
        codecs: None,
        total_bytes: None,
        segments: Vec::new(),
    });
    media.chain(subtitles).collect()
}

impl Info {
    /// What the qualities are called, best first: what a wish that does not exist is answered with.
    pub(super) fn offered(&self) -> Vec<String> {
        let mut offered: Vec<String> = self.variants().into_iter().map(|variant| variant.label).collect();
        offered.dedup();
        offered.truncate(MOST_OFFERED);
        offered
    }
}

/// By the same rule as the options that ask for them: a language takes its regions along.
fn wanted(language: &str, wishes: &Wishes) -> bool {
    wishes.subtitles.iter().any(|wish| {
        let wish = wish.trim();
        let rest = language.get(..wish.len()).filter(|start| start.eq_ignore_ascii_case(wish));
        wish.eq_ignore_ascii_case("all")
            || rest.is_some_and(|_| matches!(language.as_bytes().get(wish.len()), None | Some(b'-')))
    })
}

#[cfg(test)]
mod tests {
    use super::super::info::{Page, read};
    use super::*;

    fn planned(json: &str, subtitles: &[&str]) -> Vec<String> {
        let Page::One(info) = read(json.as_bytes()).unwrap() else { panic!("elsewhere") };
        let subtitles = subtitles.iter().map(|tag| (*tag).to_owned()).collect();
        let tracks = tracks(&info, &Wishes { subtitles, ..Wishes::default() });
        tracks
            .into_iter()
            .map(|track| {
                let size = track.total_bytes.map_or("?".to_owned(), |bytes| bytes.to_string());
                let language = track.language.unwrap_or_default();
                format!("{} {language} {} {size}", track.kind, track.codecs.unwrap_or_default())
            })
            .collect()
    }

    #[test]
    fn each_file_that_would_come_is_a_track() {
        let page = r#"{"id": "1", "url": "http://h/x", "requested_formats": [
            {"format_id": "v", "vcodec": "avc1.4d401f", "acodec": "none", "filesize": 900},
            {"format_id": "a", "vcodec": "none", "acodec": "mp4a.40.2", "language": "de"}],
            "subtitles": {"de": [{"ext": "vtt"}], "pt-BR": [{"ext": "vtt"}], "pts": [], "live_chat": [{}]}}"#;
        let media = ["video  avc1.4d401f 900", "audio de mp4a.40.2 ?"];
        assert_eq!(planned(page, &[]), media);
        assert_eq!(planned(page, &["pt"])[2..], ["subtitles pt-BR  ?"]);
        assert_eq!(
            planned(page, &["all"])[2..],
            ["subtitles de  ?", "subtitles pt-BR  ?", "subtitles pts  ?"]
        );
        // What a page plays without saying more.
        let plain = r#"{"id": "1", "url": "http://h/x.mp4", "format_id": "0", "ext": "mp4"}"#;
        assert_eq!(planned(plain, &["de"]), ["video   ?"]);
    }
}
