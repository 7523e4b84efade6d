//! What an answer turns out to be: its kind, its name, and whether it is a page in a file's clothes.
//!
//! Never writes. Invariant: a name from here is safe and not empty; a web page is never taken for a file that was
//! expected to be something else.

use reqwest::header;
use url::Url;
use weir_media::filename;

use crate::net::Answer;
use crate::{EngineError, Job, Kind, answer};

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
/// Extensions under which a page is what one expects.
const PAGE_EXTENSIONS: &[&str] = &[
    "html", "htm", "xhtml", "shtml", "mhtml", "php", "asp", "aspx", "jsp", "cgi", "do", "action", "cfm", "pl",
];
/// Extensions for types whose files often come without one.
const EXTENSIONS: &[(&str, &str)] = &[
    ("text/html", "html"),
    ("text/plain", "txt"),
    ("text/csv", "csv"),
    ("application/json", "json"),
    ("application/pdf", "pdf"),
    ("application/zip", "zip"),
    ("application/gzip", "gz"),
    ("image/jpeg", "jpg"),
    ("image/png", "png"),
    ("image/gif", "gif"),
    ("image/webp", "webp"),
    ("audio/mpeg", "mp3"),
    ("audio/mp4", "m4a"),
    ("audio/ogg", "ogg"),
    ("video/mp4", "mp4"),
    ("video/webm", "webm"),
    ("video/x-matroska", "mkv"),
    ("video/quicktime", "mov"),
    ("video/mp2t", "ts"),
];

/// How the body has to be fetched, by type, address and first bytes.
pub(crate) async fn kind(answer: &mut Answer, wanted: Option<Kind>) -> Result<Kind, EngineError> {
    if let Some(kind) = wanted {
        return Ok(kind);
    }
    let content_type = answer::content_type(&answer.headers).unwrap_or_default();
    if HLS_TYPES.contains(&content_type.as_str()) {
        return Ok(Kind::Hls);
    }
    let named = matches!(
        filename::from_url(&answer.url).as_deref().and_then(filename::extension).as_deref(),
        Some("m3u8")
    );
    let start = answer.peek().await?;
    let start = String::from_utf8_lossy(&start[..start.len().min(4096)]);
    let start = start.trim_start_matches('\u{FEFF}').trim_start();
    // A plain list of songs begins alike but has none of the tags of a stream.
    let is_playlist = start.starts_with("#EXTM3U") && (named || start.contains("#EXT-X-"));
    // An error page under the name of a playlist shall be called a bad playlist, not a file.
    Ok(if is_playlist || (named && !content_type.starts_with("video/")) { Kind::Hls } else { Kind::File })
}

/// Name of the finished file: what the caller wants, else what the server says, else the address.
pub(crate) fn file_name(answer: &Answer, job: &Job) -> String {
    if let Some(wanted) = &job.filename {
        return filename::safe(wanted);
    }
    let stated = answer::text(&answer.headers, header::CONTENT_DISPOSITION)
        .as_deref()
        .and_then(filename::from_content_disposition);
    let name = filename::safe(&stated.or_else(|| url_name(&answer.url, &job.source.url)).unwrap_or_default());
    if filename::extension(&name).is_some() {
        return name;
    }
    let kind = answer::content_type(&answer.headers).unwrap_or_default();
    match EXTENSIONS.iter().find(|(known, _)| *known == kind) {
        Some((_, extension)) => filename::with_extension(&name, extension),
        None => name,
    }
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
    let text = start.trim_start_matches('\u{feff}').trim_start();
    let is_page = ["<!doctype html", "<html", "<head", "<body"].iter().any(|tag| text.starts_with(tag));
    if !is_page && !declared {
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
