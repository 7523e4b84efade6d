//! What an answer turns out to be: its kind, its name, and whether it is a page in a file's clothes.
//!
//! Never writes. Invariant: a name from here is safe and not empty; a web page is never taken for a file that was
//! expected to be something else.

use reqwest::header;
use url::Url;
use weir_media::filename;

use crate::net::Answer;
use crate::{EngineError, Job, Kind, Method, answer};

/// Bytes of a page that are searched for a login form.
const PAGE_SEARCHED: usize = 64 * 1024;
/// Media types of HLS playlists, registered and found in the wild.
const HLS_TYPES: &[&str] = &[
    "application/vnd.apple.mpegurl",
    "application/x-mpegurl",
    "application/mpegurl",
    "application/octet-stream-m3u8",
    "audio/mpegurl",
    "audio/x-mpegurl",
    "audio/vnd.apple.mpegurl",
    "application/vnd.apple.mpegurl.audio",
    "video/mpegurl",
];
/// Media types of MPDs.
const DASH_TYPES: &[&str] = &["application/dash+xml", "video/vnd.mpeg.dash.mpd"];
/// Extensions under which a page is what one expects.
const PAGE_EXTENSIONS: &[&str] = &[
    "html", "htm", "xhtml", "shtml", "mhtml", "php", "asp", "aspx", "jsp", "cgi", "do", "action", "cfm", "pl",
];
/// Those of them that say how a page is made and not that it is one.
const SCRIPT_EXTENSIONS: &[&str] = &["php", "asp", "aspx", "jsp", "cgi", "do", "action", "cfm", "pl"];
/// Extensions for types whose files often come without one; the first of a type is the one that is given.
const EXTENSIONS: &[(&str, &str)] = &[
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/csv", "csv"),
    ("text/vtt", "vtt"),
    ("application/json", "json"),
    ("application/xml", "xml"),
    ("application/pdf", "pdf"),
    ("application/rtf", "rtf"),
    ("application/epub+zip", "epub"),
    ("application/msword", "doc"),
    ("application/vnd.ms-excel", "xls"),
    ("application/vnd.ms-powerpoint", "ppt"),
    ("application/vnd.openxmlformats-officedocument.wordprocessingml.document", "docx"),
    ("application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx"),
    ("application/vnd.openxmlformats-officedocument.presentationml.presentation", "pptx"),
    ("application/vnd.oasis.opendocument.text", "odt"),
    ("application/zip", "zip"),
    ("application/x-zip-compressed", "zip"),
    ("application/gzip", "gz"),
    ("application/x-gzip", "gz"),
    ("application/x-tar", "tar"),
    ("application/x-bzip2", "bz2"),
    ("application/x-xz", "xz"),
    ("application/zstd", "zst"),
    ("application/x-7z-compressed", "7z"),
    ("application/vnd.rar", "rar"),
    ("application/x-rar-compressed", "rar"),
    ("application/x-iso9660-image", "iso"),
    ("application/x-bittorrent", "torrent"),
    ("application/vnd.android.package-archive", "apk"),
    ("image/jpeg", "jpg"),
    ("image/jpeg", "jpeg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("image/avif", "avif"),
    ("image/svg+xml", "svg"),
    ("image/bmp", "bmp"),
    ("image/tiff", "tif"),
    ("image/tiff", "tiff"),
    ("image/heic", "heic"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/x-m4a", "m4a"),
    ("audio/aac", "aac"),
    ("audio/ogg", "ogg"),
    ("audio/ogg", "oga"),
    ("audio/opus", "opus"),
    ("audio/flac", "flac"),
    ("audio/x-flac", "flac"),
    ("audio/wav", "wav"),
    ("audio/x-wav", "wav"),
    ("audio/webm", "webm"),
    ("video/mp4", "mp4"),
    ("video/mp4", "m4v"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
    ("video/quicktime", "mov"),
    ("video/mp2t", "ts"),
    ("video/mp2t", "m2ts"),
    ("video/mpeg", "mpg"),
    ("video/mpeg", "mpeg"),
    ("video/x-msvideo", "avi"),
    ("video/x-flv", "flv"),
    ("video/x-ms-wmv", "wmv"),
    ("video/ogg", "ogv"),
    ("video/3gpp", "3gp"),
];
/// Extensions without a type of their own that a name may rightly have, whatever the server calls its content.
const OTHER_EXTENSIONS: &[&str] = &[
    "bin", "dat", "data", "img", "exe", "msi", "dmg", "pkg", "deb", "rpm", "jar", "tgz", "txz", "md", "log",
    "ods", "odp", "psd", "ico", "mts", "vob", "wma", "aiff", "srt", "mka",
];
/// Longest extension that is taken for one in a name that somebody chose.
const PLAUSIBLE: usize = 5;

/// How the body has to be fetched, by type, address and first bytes.
pub(crate) async fn kind(answer: &mut Answer, wanted: Option<Kind>) -> Result<Kind, EngineError> {
    if let Some(kind) = wanted {
        return Ok(kind);
    }
    let content_type = answer::content_type(&answer.headers).unwrap_or_default();
    if HLS_TYPES.contains(&content_type.as_str()) {
        return Ok(Kind::Hls);
    }
    if DASH_TYPES.contains(&content_type.as_str()) {
        return Ok(Kind::Dash);
    }
    let extension = filename::from_url(&answer.url).as_deref().and_then(filename::extension);
    let named = extension.as_deref() == Some("m3u8");
    let start = answer.peek().await?;
    let start = String::from_utf8_lossy(&start[..start.len().min(4096)]);
    let start = start.trim_start_matches('\u{FEFF}').trim_start();
    if is_mpd(start) || (extension.as_deref() == Some("mpd") && !content_type.starts_with("video/")) {
        return Ok(Kind::Dash);
    }
    // A plain list of songs begins alike but has none of the tags of a stream.
    let is_playlist = start.starts_with("#EXTM3U") && (named || start.contains("#EXT-X-"));
    // An error page under the name of a playlist shall be called a bad playlist, not a file.
    Ok(if is_playlist || (named && !content_type.starts_with("video/")) { Kind::Hls } else { Kind::File })
}

/// Whether the answer is a page that plays something, rather than a page somebody wants: neither the caller nor the address
/// calls it a file of any kind.
pub(crate) async fn is_site(answer: &mut Answer, job: &Job) -> Result<bool, EngineError> {
    let wanted = job.filename.clone().or_else(|| url_name(&answer.url, &job.source.url));
    let asked = url_name(&job.source.url, &job.source.url);
    // Scripts make pages of every kind; what ends in `.html` is wanted as it is.
    let is_open =
        |name: &String| filename::extension(name).is_none_or(|own| SCRIPT_EXTENSIONS.contains(&own.as_str()));
    if job.source.method != Method::Get || ![wanted, asked].iter().flatten().all(is_open) {
        return Ok(false);
    }
    if answer.headers.contains_key(header::CONTENT_DISPOSITION) {
        return Ok(false);
    }
    is_page(answer).await
}

/// A web page, by its type or, without one, by its first words.
async fn is_page(answer: &mut Answer) -> Result<bool, EngineError> {
    match answer::content_type(&answer.headers).as_deref() {
        Some("text/html" | "application/xhtml+xml") => return Ok(true),
        Some(_) => return Ok(false),
        None => {}
    }
    let start = answer.peek().await?;
    let start = String::from_utf8_lossy(&start[..start.len().min(PAGE_SEARCHED)]).to_ascii_lowercase();
    Ok(begins_as_page(&start))
}

fn begins_as_page(text: &str) -> bool {
    let text = text.trim_start_matches('\u{feff}').trim_start();
    ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| text.starts_with(tag))
}

/// The root element of an MPD, in whatever namespace prefix, behind declarations and comments.
fn is_mpd(start: &str) -> bool {
    let mut rest = start;
    while let Some(tag) = rest.trim_start().strip_prefix('<') {
        rest = match tag.strip_prefix("!--") {
            Some(comment) => comment.split_once("-->").map_or("", |(_, rest)| rest),
            None if tag.starts_with('?') => tag.split_once('>').map_or("", |(_, rest)| rest),
            None => {
                let name = tag.split(|c: char| c.is_whitespace() || c == '>').next().unwrap_or_default();
                return name.rsplit(':').next() == Some("MPD");
            }
        };
    }
    false
}

/// Name of the finished file: what the caller wants, else what the server says, else the address.
pub(crate) fn file_name(answer: &Answer, job: &Job) -> String {
    let kind = answer::content_type(&answer.headers).unwrap_or_default();
    // As bytes: names come in any charset.
    let stated = answer
        .headers
        .get(header::CONTENT_DISPOSITION)
        .and_then(|value| filename::from_content_disposition_bytes(value.as_bytes(), answer.url.host_str()));
    let in_url = url_name(&answer.url, &job.source.url);
    if let Some(wanted) = &job.filename {
        if job.exact_name {
            return filename::safe(wanted);
        }
        return completed(filename::safe(wanted), &[stated, in_url], &kind);
    }
    let name = filename::safe(&stated.or(in_url).unwrap_or_default());
    if filename::extension(&name).is_some() {
        return name;
    }
    match of_type(&kind) {
        Some(extension) => filename::with_extension(&name, extension),
        None => name,
    }
}

/// A name that somebody chose, with the extension it lacks: titles have none, and without one nothing opens the file.
/// `others` are the names the server and the address have for it.
fn completed(name: String, others: &[Option<String>], kind: &str) -> String {
    let of_kind = of_type(kind);
    if let Some(own) = filename::extension(&name).filter(|own| is_plausible(own)) {
        // What plays is called by its type, so a word behind a dot in a title is not taken for an extension.
        let plays = ["video/", "audio/", "image/"].iter().any(|class| kind.starts_with(class));
        return match of_kind {
            Some(extension) if plays && !is_known(&own) => filename::with_extension(&name, extension),
            _ => name,
        };
    }
    let theirs = || {
        let whole = others.iter().flatten().filter_map(|other| filename::whole_extension(other));
        whole.filter(|extension| !PAGE_EXTENSIONS.contains(&extension.as_str()))
    };
    let last = |extension: &str| extension.rsplit('.').next().unwrap_or_default().to_owned();
    let extension = theirs()
        .find(|extension| is_known(&last(extension)))
        // Plain text is what servers call everything they do not know, and README needs no extension.
        .or_else(|| of_kind.filter(|extension| *extension != "txt").map(str::to_owned))
        .or_else(|| theirs().find(|extension| is_plausible(&last(extension))));
    match extension {
        Some(extension) => filename::with_extension(&name, &extension),
        None => name,
    }
}

fn of_type(kind: &str) -> Option<&'static str> {
    EXTENSIONS.iter().find(|(known, _)| *known == kind).map(|(_, extension)| *extension)
}

/// The type of files with this extension, as far as it is one of those known here.
#[must_use]
pub fn media_type(extension: &str) -> Option<&'static str> {
    let extension = extension.to_ascii_lowercase();
    EXTENSIONS.iter().find(|(_, known)| *known == extension).map(|(kind, _)| *kind)
}

fn is_known(extension: &str) -> bool {
    OTHER_EXTENSIONS.contains(&extension) || EXTENSIONS.iter().any(|(_, known)| *known == extension)
}

/// Not the `0` of `Version 2.0`.
fn is_plausible(extension: &str) -> bool {
    is_known(extension)
        || (extension.len() <= PLAUSIBLE && extension.bytes().any(|b| b.is_ascii_alphabetic()))
}

/// The address that was reached names the file, unless only the one asked for has an extension.
pub(crate) fn url_name(reached: &Url, asked: &Url) -> Option<String> {
    let (reached, asked) = (filename::from_url(reached), filename::from_url(asked));
    let has_extension = |name: &Option<String>| name.as_deref().and_then(filename::extension).is_some();
    if !has_extension(&reached) && has_extension(&asked) { asked } else { reached.or(asked) }
}

/// Refuses a web page where `expected` names something else: an error or a login, not the file.
pub(crate) async fn refuse_page(answer: &mut Answer, expected: &str) -> Result<(), EngineError> {
    let Some(extension) = filename::extension(expected) else { return Ok(()) };
    if PAGE_EXTENSIONS.contains(&extension.as_str()) {
        return Ok(());
    }
    let attachment = answer::text(&answer.headers, header::CONTENT_DISPOSITION)
        .is_some_and(|value| value.trim_start().to_ascii_lowercase().starts_with("attachment"));
    if attachment {
        return Ok(());
    }
    let (status, path) = (answer.status, answer.url.path().to_ascii_lowercase());
    let kind = answer::content_type(&answer.headers);
    let declared = matches!(kind.as_deref(), Some("text/html" | "application/xhtml+xml"));
    if !declared && kind.is_some() {
        return Ok(());
    }
    let start = answer.peek().await?;
    let start = String::from_utf8_lossy(&start[..start.len().min(PAGE_SEARCHED)]).to_ascii_lowercase();
    let text = start.as_str();
    if !begins_as_page(text) && !declared {
        return Ok(());
    }
    let login = ["login", "signin", "sign-in", "sign_in", "/auth", "sso"]
        .iter()
        .any(|part| path.contains(part))
        || ["type=\"password\"", "type=password", "type='password'"].iter().any(|part| text.contains(part));
    Err(if login {
        EngineError::LoginRequired { status }
    } else {
        EngineError::broken("the server sent a web page instead of the file")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chosen_name_gets_the_extension_it_lacks() {
        for (name, stated, in_url, kind, want) in [
            ("My talk – Example", "", "videoplayback", "video/mp4", "My talk – Example.mp4"),
            ("My talk – Example", "", "a.webm", "video/mp4", "My talk – Example.webm"),
            ("My talk", "b.mkv", "a.webm", "video/mp4", "My talk.mkv"),
            ("My talk", "", "get.php", "video/mp4", "My talk.mp4"),
            ("My talk", "", "get.php", "application/octet-stream", "My talk"),
            ("My talk", "", "talk.xyz", "application/octet-stream", "My talk.xyz"),
            ("My talk.mp4", "", "videoplayback", "video/mp4", "My talk.mp4"),
            ("My talk.MP4", "", "videoplayback", "video/mp4", "My talk.MP4"),
            ("My talk.mkv", "", "a.mp4", "video/mp4", "My talk.mkv"),
            ("photo.jpeg", "", "", "image/jpeg", "photo.jpeg"),
            ("Version 2.0 – Talk", "", "v", "video/mp4", "Version 2.0 – Talk.mp4"),
            ("Talk v1.5", "", "v", "video/webm", "Talk v1.5.webm"),
            ("Talk v1.5", "", "v", "application/octet-stream", "Talk v1.5"),
            ("Dr.Who", "", "v", "video/mp4", "Dr.Who.mp4"),
            ("Dr.Who", "", "v", "application/octet-stream", "Dr.Who"),
            ("main.rs", "", "raw", "text/plain", "main.rs"),
            ("README", "", "raw", "text/plain", "README"),
            ("backup", "", "v1.tar.gz", "application/gzip", "backup.tar.gz"),
            ("backup.001", "", "b.001", "application/octet-stream", "backup.001"),
            ("report", "", "1", "application/pdf", "report.pdf"),
        ] {
            let some = |text: &str| (!text.is_empty()).then(|| text.to_owned());
            let given = completed(name.to_owned(), &[some(stated), some(in_url)], kind);
            assert_eq!(given, want, "{name} {stated} {in_url} {kind}");
            let again = completed(given.clone(), &[some(stated), some(in_url)], kind);
            assert_eq!(again, given, "doubled");
        }
    }

    #[test]
    fn the_better_name_of_two_addresses_is_taken() {
        let url = |text| Url::parse(text).unwrap();
        for (reached, asked, name) in [
            ("https://a.example/x/file.zip", "https://a.example/get?id=1", Some("file.zip")),
            ("https://a.example/blob/8f3c", "https://a.example/file.zip", Some("file.zip")),
            ("https://a.example/blob", "https://a.example/get", Some("blob")),
            ("https://a.example/", "https://a.example/get", Some("get")),
            ("https://a.example/", "https://a.example/", None),
        ] {
            assert_eq!(url_name(&url(reached), &url(asked)).as_deref(), name, "{reached} {asked}");
        }
    }
}
