//! What an HTTP answer is, told from its address, its headers and what asked for it.
//!
//! Never reads a body and never fetches: where only the body can tell, the verdict is [`What::MaybeHls`] and the
//! caller looks. Invariant: the verdict depends on nothing but the [`Response`]; what a page's other requests say
//! about this one (a segment of a known playlist) is the stream registry's business.

mod tables;

use tables::{
    ARCHIVE_AND_DOCUMENT_EXTENSIONS, ARCHIVE_AND_DOCUMENT_TYPES, DASH_TYPES, FOREIGN_MANIFEST_TYPES,
    GENERIC_TYPES, HLS_TYPES, MEDIA_EXTENSIONS, PLAYLIST_STEMS, SEGMENT_EXTENSIONS, SEGMENT_STEMS,
    SEGMENT_TYPES, SUBTITLE_TYPES,
};

/// Media smaller than this is a beacon, an interface sound or a silent loop.
pub const MIN_MEDIA_BYTES: u64 = 16 * 1024;

/// No playlist is larger; what is, is not worth a look into its body.
pub const MAX_PLAYLIST_BYTES: u64 = 4 * 1024 * 1024;

/// What asked for the resource.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Initiator {
    /// A navigation of a tab or a frame, or a link that turned into a download.
    Navigation,
    /// A `<video>`, `<audio>` or plug-in element.
    Element,
    /// Script: `fetch` or XHR.
    Script,
}

/// The head of an answer, as far as it matters here.
#[derive(Debug, Clone, Copy)]
pub struct Response<'a> {
    /// Absolute address, after redirects.
    pub url: &'a str,
    /// `Content-Type`, parameters and all.
    pub content_type: Option<&'a str>,
    /// `Content-Disposition`.
    pub content_disposition: Option<&'a str>,
    /// `Content-Length` in bytes; none when the body is compressed on its way.
    pub content_length: Option<u64>,
    /// `Content-Range`.
    pub content_range: Option<&'a str>,
    /// What asked for it.
    pub initiator: Initiator,
}

/// What an answer is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum What {
    /// An HLS playlist (RFC 8216), multivariant or media.
    Hls,
    /// Perhaps a disguised HLS playlist: its body must begin with `#EXTM3U` to be one.
    MaybeHls,
    /// A DASH manifest (ISO/IEC 23009-1), whatever its profile.
    Dash,
    /// A manifest Weir cannot fetch (Smooth Streaming, HDS): known, so that its pieces are folded.
    ForeignManifest,
    /// One audio or video file.
    Media,
    /// A file worth keeping: an attachment, an archive, a document, an installer.
    File,
    /// A piece of a stream: a segment, a fragment, an initialisation section, a part of a file.
    Piece,
    /// Nothing to offer.
    Nothing,
}

/// Tells what `response` is.
#[must_use]
pub fn classify(response: &Response<'_>) -> What {
    let essence = response.content_type.map(essence).unwrap_or_default();
    let essence = essence.as_str();
    let disposition_name = response.content_disposition.and_then(crate::filename::from_content_disposition);
    let attachment = response.content_disposition.is_some_and(is_attachment);
    let url_name = last_segment(response.url);
    // The server's own word about the name is better than the address, which often is `download.php`.
    let name = disposition_name.as_deref().unwrap_or(url_name);
    let extension = extension(name);
    let extension = extension.as_str();

    if let Some(playlist) = playlist(response, essence, extension, name) {
        return playlist;
    }
    if is_dash(essence, extension) {
        return What::Dash;
    }
    if is_foreign_manifest(response.url, essence, extension) {
        return What::ForeignManifest;
    }
    if attachment && keeps_attachment(response.initiator, essence, extension) {
        return What::File;
    }
    if is_piece(response, essence, extension, name) {
        return What::Piece;
    }
    if is_media(response.initiator, essence, extension) {
        let tiny = total_bytes(response).is_some_and(|bytes| bytes < MIN_MEDIA_BYTES);
        return if tiny { What::Nothing } else { What::Media };
    }
    if is_file(response.initiator, essence, extension) { What::File } else { What::Nothing }
}

/// A type without its parameters, lower case: `Text/Plain; charset=utf-8` is `text/plain`.
#[must_use]
pub fn essence(content_type: &str) -> String {
    content_type.split([';', ',']).next().unwrap_or_default().trim().to_ascii_lowercase()
}

/// Size of the whole resource in bytes: the total of `Content-Range` (RFC 9110 section 14.4), else `Content-Length`.
#[must_use]
pub fn total_bytes(response: &Response<'_>) -> Option<u64> {
    match response.content_range {
        Some(range) => content_range(range).and_then(|(_, _, total)| total),
        None => response.content_length,
    }
}

/// The last segment of an address's path, still percent-encoded, without query, fragment and path parameters; empty
/// when the path ends with a slash.
#[must_use]
pub fn last_segment(url: &str) -> &str {
    let path = path(url);
    let segment = path.rsplit('/').next().unwrap_or_default();
    segment.split(';').next().unwrap_or_default()
}

/// The path of an absolute address, `/` at its head included; empty when there is none.
#[must_use]
pub fn path(url: &str) -> &str {
    let end = url.find(['?', '#']).unwrap_or(url.len());
    let url = url.get(..end).unwrap_or_default();
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    rest.find('/').and_then(|slash| rest.get(slash..)).unwrap_or_default()
}

fn query(url: &str) -> &str {
    let url = url.split('#').next().unwrap_or_default();
    url.split_once('?').map_or("", |(_, query)| query)
}

/// What follows the last dot, lower case; none when that is no extension.
fn extension(name: &str) -> String {
    match name.rsplit_once('.') {
        Some((_, extension))
            if (1..=8).contains(&extension.len())
                && extension.bytes().all(|byte| byte.is_ascii_alphanumeric()) =>
        {
            extension.to_ascii_lowercase()
        }
        _ => String::new(),
    }
}

fn is_attachment(disposition: &str) -> bool {
    disposition.split(';').next().unwrap_or_default().trim().eq_ignore_ascii_case("attachment")
}

/// First, last and total byte of a `Content-Range`; the total may be unknown.
fn content_range(value: &str) -> Option<(u64, u64, Option<u64>)> {
    let (unit, range) = value.trim().split_once(' ')?;
    if !unit.eq_ignore_ascii_case("bytes") {
        return None;
    }
    let (span, total) = range.trim().split_once('/')?;
    let (first, last) = span.split_once('-')?;
    Some((first.trim().parse().ok()?, last.trim().parse().ok()?, total.trim().parse().ok()))
}

fn is_generic(essence: &str) -> bool {
    essence.is_empty() || GENERIC_TYPES.contains(&essence)
}

fn playlist(response: &Response<'_>, essence: &str, extension: &str, name: &str) -> Option<What> {
    // `.m3u` and its types also name lists of radio stations and of files.
    let plain_list = extension == "m3u";
    if HLS_TYPES.contains(&essence) {
        return Some(if plain_list { What::MaybeHls } else { What::Hls });
    }
    if extension == "m3u8" && is_generic(essence) {
        return Some(What::Hls);
    }
    let too_large = total_bytes(response).is_some_and(|bytes| bytes > MAX_PLAYLIST_BYTES);
    if extension == "m3u8" || plain_list {
        return Some(if too_large { What::Nothing } else { What::MaybeHls });
    }
    // Only players disguise playlists, and players fetch by script or by element.
    if response.initiator == Initiator::Navigation || too_large || response.content_range.is_some() {
        return None;
    }
    let disguisable = is_generic(essence) || essence == "text/html" || essence.starts_with("image/");
    let hinted = contains_ignore_case(response.url, "m3u8")
        || (is_generic(essence)
            && matches!(extension, "" | "txt")
            && PLAYLIST_STEMS.contains(&stem(name).to_ascii_lowercase().as_str()));
    (disguisable && hinted && !SEGMENT_EXTENSIONS.contains(&extension)).then_some(What::MaybeHls)
}

fn is_textual(essence: &str) -> bool {
    is_generic(essence) || matches!(essence, "text/xml" | "application/xml")
}

fn is_dash(essence: &str, extension: &str) -> bool {
    DASH_TYPES.contains(&essence) || (extension == "mpd" && is_textual(essence))
}

fn is_foreign_manifest(url: &str, essence: &str, extension: &str) -> bool {
    if FOREIGN_MANIFEST_TYPES.contains(&essence) {
        return true;
    }
    let smooth = || {
        let path = path(url).to_ascii_lowercase();
        path.ends_with(".ism/manifest") || path.ends_with(".isml/manifest")
    };
    is_textual(essence) && (extension == "f4m" || smooth())
}

/// Scripts get JSON and text marked as attachments so that browsers do not render them: those are no files.
fn keeps_attachment(initiator: Initiator, essence: &str, extension: &str) -> bool {
    match initiator {
        Initiator::Navigation => true,
        Initiator::Element => false,
        Initiator::Script => {
            ARCHIVE_AND_DOCUMENT_TYPES.contains(&essence)
                || ARCHIVE_AND_DOCUMENT_EXTENSIONS.contains(&extension)
                || MEDIA_EXTENSIONS.contains(&extension)
        }
    }
}

fn is_piece(response: &Response<'_>, essence: &str, extension: &str, name: &str) -> bool {
    // Who opens the address of a transport stream wants that file.
    if response.initiator == Initiator::Navigation {
        return false;
    }
    if SEGMENT_TYPES.contains(&essence) {
        return true;
    }
    if SEGMENT_EXTENSIONS.contains(&extension) && (is_generic(essence) || is_av(essence)) {
        return true;
    }
    if response.initiator != Initiator::Script {
        return false;
    }
    // An element asks for ranges of a whole file; a script that does so feeds a player piece by piece.
    if let Some((first, last, total)) = response.content_range.and_then(content_range)
        && (first != 0 || total != last.checked_add(1))
    {
        return true;
    }
    let query = query(response.url);
    if query.split('&').any(|pair| pair.starts_with("bytestart=") || pair.starts_with("byteend=")) {
        return true;
    }
    MEDIA_EXTENSIONS.contains(&extension) && is_segment_name(stem(name))
}

fn is_av(essence: &str) -> bool {
    (essence.starts_with("video/") || essence.starts_with("audio/") || essence == "application/ogg")
        && !SUBTITLE_TYPES.contains(&essence)
}

fn is_media(initiator: Initiator, essence: &str, extension: &str) -> bool {
    let by_name = MEDIA_EXTENSIONS.contains(&extension);
    is_av(essence)
        // What an element plays is media, whatever the server calls it.
        || (is_generic(essence) && (by_name || (initiator == Initiator::Element && extension.is_empty())))
}

fn is_file(initiator: Initiator, essence: &str, extension: &str) -> bool {
    let by_type = ARCHIVE_AND_DOCUMENT_TYPES.contains(&essence);
    let by_name = is_generic(essence) && ARCHIVE_AND_DOCUMENT_EXTENSIONS.contains(&extension);
    match initiator {
        // A browser saves what it cannot show: bytes without a better name are a download.
        Initiator::Navigation => {
            by_type || by_name || matches!(essence, "application/octet-stream" | "binary/octet-stream")
        }
        // Programs fetch archives for themselves all the time; a document fetched by script is being read.
        Initiator::Script => {
            essence == "application/pdf"
                || essence == "application/epub+zip"
                || (is_generic(essence) && matches!(extension, "pdf" | "epub"))
        }
        Initiator::Element => false,
    }
}

fn stem(name: &str) -> &str {
    name.split('.').next().unwrap_or_default()
}

/// `init`, `seg-12`, `chunk_3`, `fragment7`: a word for a piece, then nothing or something that is no letter.
fn is_segment_name(stem: &str) -> bool {
    let stem = stem.to_ascii_lowercase();
    SEGMENT_STEMS.iter().any(|word| {
        stem.strip_prefix(word)
            .is_some_and(|rest| rest.bytes().next().is_none_or(|byte| !byte.is_ascii_alphabetic()))
    })
}

fn contains_ignore_case(haystack: &str, needle: &str) -> bool {
    haystack.as_bytes().windows(needle.len()).any(|window| window.eq_ignore_ascii_case(needle.as_bytes()))
}

#[cfg(test)]
mod tests;
