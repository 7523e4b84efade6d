//! What yt-dlp says of a page.
//!
//! Pure. Reads its JSON field by field, because sites fill it as they please: whatever has another shape than expected counts
//! as not there. Invariant: nothing here is taken for a path, and an address is told only without its query.

use std::time::Duration;

use serde_json::Value;
use url::Url;
use weir_media::variants::{Rendition, RenditionKind, Variant};

use super::failure::failed;
use super::progress::count;
use crate::EngineError;

/// Longest media whose length is believed.
const MAX_SECONDS: f64 = 366.0 * 86_400.0;
/// Above this rate it is named with the lines.
const USUAL_RATE: u64 = 30;

/// What is behind a page.
#[derive(Debug)]
pub(super) enum Page {
    /// One thing to download, all of what was said of it.
    One(Box<Info>),
    /// A page that leads to another one.
    Elsewhere(Url),
}

/// One thing to download.
#[derive(Debug)]
pub(super) struct Info {
    value: Value,
}

/// Understands what `-J` says.
pub(super) fn read(json: &[u8]) -> Result<Page, EngineError> {
    let strange = || failed("it answered something that cannot be understood".to_owned(), false);
    let value: Value = serde_json::from_slice(json).map_err(|_| strange())?;
    if !value.is_object() {
        return Err(strange());
    }
    let kind = text(&value, "_type").unwrap_or("video");
    if !matches!(kind, "playlist" | "multi_video") {
        return Ok(Page::One(Box::new(Info::checked(value)?)));
    }
    let Some(Value::Array(entries)) = value.get("entries") else { return Err(strange()) };
    let entries: Vec<&Value> = entries.iter().filter(|entry| entry.is_object()).collect();
    let total = value.get("playlist_count").and_then(count).unwrap_or(entries.len() as u64);
    match &entries[..] {
        [] => Err(failed("the page is a list without entries".to_owned(), false)),
        [only] if total <= 1 => {
            if only.get("formats").is_some_and(Value::is_array) {
                return Ok(Page::One(Box::new(Info::checked((*only).clone())?)));
            }
            let url = text(only, "url").and_then(|url| Url::parse(url).ok());
            url.filter(|url| matches!(url.scheme(), "http" | "https"))
                .map(Page::Elsewhere)
                .ok_or_else(strange)
        }
        _ => Err(failed(
            format!("the page is a list of {total} entries; give the address of one of them"),
            false,
        )),
    }
}

pub(super) fn text<'a>(value: &'a Value, key: &str) -> Option<&'a str> {
    value.get(key)?.as_str().map(str::trim).filter(|text| !text.is_empty())
}

fn whole(value: &Value, key: &str) -> Option<u64> {
    value.get(key).and_then(count).filter(|number| *number > 0)
}

/// Bits per second, from a figure in thousands.
fn rate(value: &Value, key: &str) -> Option<u64> {
    let thousands = value.get(key)?.as_f64().filter(|rate| rate.is_finite() && *rate > 0.0 && *rate < 1e9)?;
    Some((thousands * 1000.0) as u64)
}

/// A codec that is there: yt-dlp says `none` for what is not, and nothing for what it does not know.
pub(super) fn codec<'a>(format: &'a Value, key: &str) -> Option<&'a str> {
    text(format, key).filter(|codec| *codec != "none")
}

pub(super) fn lacks(format: &Value, key: &str) -> bool {
    text(format, key) == Some("none")
}

pub(super) fn size(format: &Value) -> Option<u64> {
    whole(format, "filesize")
}

/// Says that a picture has no sound of its own where its playlist offers sound by itself. yt-dlp says so only of what states
/// its codecs, and would take anything else for a whole film.
fn take_apart(value: &mut Value) {
    let Some(formats) = value.get_mut("formats").and_then(Value::as_array_mut) else { return };
    let with_sound: Vec<String> = formats
        .iter()
        .filter(|format| lacks(format, "vcodec") && !lacks(format, "acodec"))
        .filter_map(|format| text(format, "manifest_url").map(str::to_owned))
        .collect();
    for format in formats {
        let unknown = text(format, "vcodec").is_none() && text(format, "acodec").is_none();
        let in_hls = text(format, "protocol").is_some_and(|protocol| protocol.starts_with("m3u8"));
        let own = text(format, "manifest_url").is_some_and(|url| with_sound.iter().any(|other| other == url));
        if unknown
            && in_hls
            && own
            && let Some(format) = format.as_object_mut()
        {
            format.insert("acodec".to_owned(), "none".into());
        }
    }
}

/// `1080p`, `720p60`, `Audio 128 kb/s`.
fn label(format: &Value) -> Option<String> {
    if lacks(format, "vcodec") {
        let rate = rate(format, "abr").or_else(|| rate(format, "tbr"));
        return Some(rate.map_or("Audio".to_owned(), |rate| format!("Audio {} kb/s", rate.div_ceil(1000))));
    }
    let height = whole(format, "height")?;
    // The short side, so that an upright video is not called `1920p`.
    let lines = whole(format, "width").map_or(height, |width| width.min(height));
    Some(match format.get("fps").and_then(Value::as_f64).map(|fps| fps.round() as u64) {
        Some(fps) if fps > USUAL_RATE => format!("{lines}p{fps}"),
        _ => format!("{lines}p"),
    })
}

impl Info {
    /// Refuses what is under DRM or has nothing to fetch.
    fn checked(mut value: Value) -> Result<Self, EngineError> {
        take_apart(&mut value);
        let info = Self { value };
        let protected = |format: &Value| format.get("has_drm") == Some(&Value::Bool(true));
        let chosen = info.chosen();
        let under_drm = info.value.get("_has_drm") == Some(&Value::Bool(true)) && info.formats().is_empty();
        if under_drm || (!chosen.is_empty() && chosen.iter().any(|format| protected(format))) {
            return Err(EngineError::Drm { system: "DRM".to_owned() });
        }
        let something = !info.formats().is_empty() || text(&info.value, "url").is_some();
        if !something {
            return Err(failed("nothing to download was found on it".to_owned(), false));
        }
        Ok(info)
    }

    fn formats(&self) -> Vec<&Value> {
        let formats = self.value.get("formats").and_then(Value::as_array);
        formats.into_iter().flatten().filter(|format| format.is_object()).collect()
    }

    /// The formats that will be fetched, a picture before its sound.
    pub(super) fn chosen(&self) -> Vec<&Value> {
        let requested = self.value.get("requested_formats").and_then(Value::as_array);
        match requested.filter(|formats| !formats.is_empty()) {
            Some(formats) => formats.iter().filter(|format| format.is_object()).collect(),
            None if text(&self.value, "format_id").is_some() => vec![&self.value],
            None => Vec::new(),
        }
    }

    /// The page's name for it.
    pub(super) fn title(&self) -> Option<&str> {
        text(&self.value, "title")
    }

    pub(super) fn duration(&self) -> Option<Duration> {
        let seconds = self.value.get("duration")?.as_f64()?;
        (seconds > 0.0 && seconds < MAX_SECONDS).then(|| Duration::from_secs_f64(seconds))
    }

    /// Address of a picture of it.
    pub(super) fn thumbnail(&self) -> Option<Url> {
        let url = Url::parse(text(&self.value, "thumbnail")?).ok()?;
        matches!(url.scheme(), "http" | "https").then_some(url)
    }

    /// It goes on right now.
    pub(super) fn is_live(&self) -> bool {
        self.value.get("is_live") == Some(&Value::Bool(true))
            || text(&self.value, "live_status") == Some("is_live")
    }

    /// Has been announced and has not begun.
    pub(super) fn is_upcoming(&self) -> bool {
        text(&self.value, "live_status") == Some("is_upcoming")
    }

    /// Extension the file will most likely have.
    pub(super) fn extension(&self) -> Option<&str> {
        text(&self.value, "ext").filter(|extension| is_extension(extension))
    }

    /// What will be fetched, in short.
    pub(super) fn quality(&self) -> Option<String> {
        label(self.chosen().first()?)
    }

    /// Sizes of the files that will be fetched, as far as they are known.
    pub(super) fn sizes(&self) -> Vec<Option<u64>> {
        let sizes: Vec<_> = self.chosen().into_iter().map(size).collect();
        if sizes.is_empty() { vec![None] } else { sizes }
    }

    /// Size of all that will be fetched, when it is known.
    pub(super) fn total_bytes(&self) -> Option<u64> {
        self.sizes().into_iter().try_fold(0_u64, |sum, size| sum.checked_add(size?))
    }

    /// The chosen formats and how they are fetched, in yt-dlp's words: `https`, `m3u8_native`, `http_dash_segments`, ….
    pub(super) fn protocols(&self) -> Vec<(&str, &str)> {
        let named = |format| Some((text(format, "format_id")?, text(format, "protocol")?));
        self.chosen().into_iter().filter_map(named).collect()
    }

    /// Where the chosen formats come from.
    pub(super) fn places(&self) -> Vec<Url> {
        let addresses = self.chosen().into_iter().filter_map(|format| text(format, "url"));
        addresses.filter_map(|url| Url::parse(url).ok()).collect()
    }

    /// What makes it the same download the next time: no address, they change.
    pub(super) fn fingerprint(&self) -> String {
        let mut out = text(&self.value, "id").unwrap_or_default().to_owned();
        for format in self.chosen() {
            out.push_str(&format!(
                "|{} {} {}",
                text(format, "format_id").unwrap_or_default(),
                text(format, "ext").unwrap_or_default(),
                size(format).unwrap_or_default()
            ));
        }
        crate::digest::hex(&<sha2::Sha256 as sha2::Digest>::digest(out.as_bytes()))
    }

    /// Everything that was said, for yt-dlp to read again.
    pub(super) fn json(&self) -> Vec<u8> {
        self.value.to_string().into_bytes()
    }

    /// Languages of the sound, when there are several, and subtitles.
    pub(super) fn renditions(&self) -> Vec<Rendition<()>> {
        let mut spoken: Vec<&str> = Vec::new();
        for language in self.formats().into_iter().filter_map(|format| tag(text(format, "language")?)) {
            if !spoken.contains(&language) {
                spoken.push(language);
            }
        }
        if spoken.len() < 2 {
            spoken.clear();
        }
        let sounds = spoken.into_iter().map(|language| rendition(RenditionKind::Audio, language, None));
        let written = self.value.get("subtitles").and_then(Value::as_object);
        let written = written.into_iter().flatten().filter_map(|(language, forms)| {
            let language = tag(language).filter(|language| *language != "live_chat")?;
            let name = forms.as_array()?.iter().find_map(|form| text(form, "name"));
            Some(rendition(RenditionKind::Subtitles, language, name))
        });
        sounds.chain(written).collect()
    }

    /// Qualities to choose from, best first, sound only last. Their addresses are not told.
    pub(super) fn variants(&self) -> Vec<Variant<()>> {
        let mut variants: Vec<Variant<()>> = Vec::new();
        let duration = self.duration();
        // yt-dlp lists the worst first. What has neither picture nor sound is a strip of thumbnails.
        for format in self.formats().into_iter().rev() {
            let Some(id) = text(format, "format_id") else { continue };
            let nothing = lacks(format, "vcodec") && lacks(format, "acodec");
            if nothing
                || format.get("has_drm") == Some(&Value::Bool(true))
                || variants.iter().any(|v| v.id == id)
            {
                continue;
            }
            let audio_only = lacks(format, "vcodec");
            let codecs: Vec<&str> =
                ["vcodec", "acodec"].iter().filter_map(|key| codec(format, key)).collect();
            let known_size = size(format).or_else(|| whole(format, "filesize_approx")).zip(duration);
            let by_size =
                known_size.map(|(bytes, length)| (bytes as f64 * 8.0 / length.as_secs_f64()) as u64);
            variants.push(Variant {
                id: id.to_owned(),
                label: label(format).unwrap_or_else(|| "Video".to_owned()),
                url: (),
                backups: Vec::new(),
                width: whole(format, "width").filter(|_| !audio_only),
                height: whole(format, "height").filter(|_| !audio_only),
                frame_rate: format.get("fps").and_then(Value::as_f64).filter(|fps| *fps > 0.0),
                bandwidth: rate(format, "tbr").or(by_size),
                average_bandwidth: by_size,
                codecs: (!codecs.is_empty()).then(|| codecs.join(",")),
                audio_group: None,
                subtitles_group: None,
                audio_only,
            });
        }
        // Stable: within each kind yt-dlp's order stays.
        variants.sort_by_key(|variant| variant.audio_only);
        tell_apart(&mut variants);
        variants
    }
}

/// What a language is called here: `de`, `pt-BR`.
pub(super) fn tag(text: &str) -> Option<&str> {
    let plain = text.len() <= 35 && text.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b));
    (plain && text.starts_with(|c: char| c.is_ascii_alphabetic())).then_some(text)
}

fn rendition(kind: RenditionKind, language: &str, name: Option<&str>) -> Rendition<()> {
    let (class, group) = match kind {
        RenditionKind::Audio => ("audio", "audio"),
        _ => ("subs", "subtitles"),
    };
    Rendition {
        id: format!("{class}-{language}"),
        kind,
        group: group.to_owned(),
        name: name.unwrap_or(language).to_owned(),
        language: Some(language.to_owned()),
        associated_language: None,
        channels: None,
        characteristics: Vec::new(),
        bandwidth: None,
        codecs: None,
        forced: false,
        default: false,
        autoselect: false,
        url: None,
    }
}

/// Labels that are alike get what makes them different.
fn tell_apart(variants: &mut [Variant<()>]) {
    let plain: Vec<String> = variants.iter().map(|variant| variant.label.clone()).collect();
    for (variant, label) in variants.iter_mut().zip(&plain) {
        if plain.iter().filter(|other| *other == label).count() > 1 {
            variant.label = format!("{label} ({})", variant.id);
        }
    }
}

/// An extension and no part of a path.
pub(super) fn is_extension(text: &str) -> bool {
    (1..=5).contains(&text.len()) && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(json: &str) -> Info {
        match read(json.as_bytes()).unwrap() {
            Page::One(info) => *info,
            Page::Elsewhere(url) => panic!("{url}"),
        }
    }

    fn refused(json: &str) -> String {
        read(json.as_bytes()).unwrap_err().to_string()
    }

    const TALK: &str = r#"{
        "id": "x1", "title": " A talk ", "duration": 100, "ext": "mp4", "format_id": "137+140", "live_status": "not_live",
        "thumbnail": "https://h.example/t.jpg",
        "formats": [
            {"format_id": "sb0", "vcodec": "none", "acodec": "none", "ext": "mhtml"},
            {"format_id": "140", "vcodec": "none", "acodec": "mp4a.40.2", "ext": "m4a", "abr": 128.5, "filesize": 1000},
            {"format_id": "18", "vcodec": "avc1.42", "acodec": "mp4a.40.2", "height": 360, "width": 640, "fps": 25, "tbr": 500},
            {"format_id": "136", "vcodec": "avc1.64", "acodec": "none", "height": 1280, "width": 720, "fps": 60},
            {"format_id": "137", "vcodec": "avc1.64", "acodec": "none", "height": 1080, "width": 1920, "filesize": 90000},
            {"format_id": "248", "vcodec": "vp9", "acodec": "none", "height": 1080, "width": 1920},
            {"format_id": "drm", "vcodec": "avc1", "height": 2160, "has_drm": true}
        ],
        "requested_formats": [
            {"format_id": "137", "ext": "mp4", "vcodec": "avc1.64", "acodec": "none", "height": 1080, "width": 1920, "filesize": 90000, "url": "https://cdn.example/v?sig=1"},
            {"format_id": "140", "ext": "m4a", "vcodec": "none", "filesize": 1000, "url": "https://cdn.example/a?sig=1"}
        ]
    }"#;

    #[test]
    fn a_page_is_told_with_its_qualities() {
        let info = one(TALK);
        assert_eq!((info.title(), info.extension(), info.is_live()), (Some("A talk"), Some("mp4"), false));
        assert_eq!(info.duration(), Some(Duration::from_secs(100)));
        assert_eq!((info.quality().as_deref(), info.total_bytes()), (Some("1080p"), Some(91_000)));
        assert_eq!(info.sizes(), [Some(90_000), Some(1000)]);
        assert_eq!(info.places().len(), 2);
        let variants = info.variants();
        let labels: Vec<(&str, &str)> = variants.iter().map(|v| (v.id.as_str(), v.label.as_str())).collect();
        assert_eq!(
            labels,
            [
                ("248", "1080p (248)"),
                ("137", "1080p (137)"),
                ("136", "720p60"),
                ("18", "360p"),
                ("140", "Audio 129 kb/s")
            ]
        );
        assert_eq!(variants[1].average_bandwidth, Some(7200));
        assert_eq!(variants[3].codecs.as_deref(), Some("avc1.42,mp4a.40.2"));
    }

    #[test]
    fn the_same_choice_has_the_same_mark_whatever_its_links_are() {
        let mark = |text: &str| one(text).fingerprint();
        assert_eq!(mark(TALK), mark(&TALK.replace("sig=1", "sig=2")));
        assert_ne!(mark(TALK), mark(&TALK.replace("90000", "90001")));
        assert_ne!(mark(TALK), mark(&TALK.replace("\"id\": \"x1\"", "\"id\": \"x2\"")));
    }

    #[test]
    fn what_cannot_be_downloaded_is_refused_by_name() {
        assert!(refused("null").contains("cannot be understood"));
        assert!(refused("[1]").contains("cannot be understood"));
        assert!(refused("{\"_type\":\"playlist\"").contains("cannot be understood"));
        assert!(refused("{}").contains("nothing to download"));
        assert!(refused(r#"{"_has_drm": true, "formats": []}"#).contains("protected"));
        assert!(
            refused(&TALK.replace("\"ext\": \"m4a\", \"vcodec\"", "\"has_drm\": true, \"vcodec\""))
                .contains("protected")
        );
        assert!(refused(r#"{"_type": "playlist", "entries": []}"#).contains("without entries"));
        let list =
            refused(r#"{"_type": "playlist", "playlist_count": 37, "entries": [{"url": "https://h/1"}]}"#);
        assert!(list.contains("37 entries"), "{list}");
        let list = refused(r#"{"_type": "playlist", "entries": [{"url": "a"}, {"url": "b"}, null]}"#);
        assert!(list.contains("2 entries"), "{list}");
    }

    #[test]
    fn pictures_beside_sound_of_its_own_have_none() {
        let sound = |url: &str| {
            let list = r#"{"url": "https://h/x", "formats": [
                {"format_id": "s", "vcodec": "none", "protocol": "m3u8_native", "manifest_url": "https://h/m"},
                {"format_id": "p", "protocol": "m3u8_native", "manifest_url": "URL", "vcodec": null}]}"#;
            let info = one(&list.replace("URL", url));
            info.formats()[1].get("acodec").cloned()
        };
        assert_eq!(sound("https://h/m"), Some("none".into()));
        assert_eq!(sound("https://h/other"), None);
    }

    #[test]
    fn languages_to_choose_from_are_told() {
        let info = one(
            r#"{"url": "https://h/x", "formats": [{"format_id": "1", "language": "en"}, {"format_id": "2", "language": "pt-BR"},
                {"format_id": "3", "language": "en"}, {"format_id": "4", "language": "../x"}],
                "subtitles": {"de": [{"ext": "vtt", "name": "Deutsch"}], "live_chat": [{}], "en": [{"url": 3}], "$(x)": [{}]}}"#,
        );
        let told: Vec<(String, String)> = info.renditions().into_iter().map(|r| (r.id, r.name)).collect();
        let pairs = [("audio-en", "en"), ("audio-pt-BR", "pt-BR"), ("subs-de", "Deutsch"), ("subs-en", "en")];
        assert_eq!(told, pairs.map(|(id, name)| (id.to_owned(), name.to_owned())));
        // One language is no choice.
        assert!(
            one(r#"{"url": "https://h/x", "formats": [{"format_id": "1", "language": "en"}]}"#)
                .renditions()
                .is_empty()
        );
    }

    #[test]
    fn a_list_of_one_is_that_one() {
        let json = format!(r#"{{"_type": "playlist", "entries": [{TALK}]}}"#);
        assert_eq!(one(&json).title(), Some("A talk"));
        let stub = r#"{"_type": "playlist", "entries": [{"_type": "url", "url": "https://h.example/2"}]}"#;
        assert!(matches!(read(stub.as_bytes()), Ok(Page::Elsewhere(url)) if url.path() == "/2"));
        assert!(refused(&stub.replace("https", "file")).contains("cannot be understood"));
    }

    #[test]
    fn odd_shapes_count_as_nothing() {
        let info = one(
            r#"{"url": "https://h.example/x", "format_id": "0", "title": 3, "duration": "long", "ext": "../x", "thumbnail": "file:///etc/passwd",
                "is_live": "yes", "height": "1080", "filesize": -4, "formats": [null, 3, {"format_id": "0", "fps": "many", "tbr": -1}]}"#,
        );
        assert_eq!(
            (info.title(), info.duration(), info.extension(), info.thumbnail()),
            (None, None, None, None)
        );
        assert_eq!((info.is_live(), info.quality(), info.total_bytes()), (false, None, None));
        let variants = info.variants();
        assert_eq!((variants.len(), variants[0].label.as_str(), variants[0].bandwidth), (1, "Video", None));
        for (seconds, known) in [("0", false), ("-1", false), ("1e300", false), ("0.5", true)] {
            let text = format!(r#"{{"url": "https://h/x", "duration": {seconds}}}"#);
            assert_eq!(one(&text).duration().is_some(), known, "{seconds}");
        }
    }
}
