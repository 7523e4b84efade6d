//! Text to lines: header check, variables, and the tolerance for what servers really send.
//!
//! Never gives lines a meaning. Invariant: line numbers are those of the text as received.

use std::borrow::Cow;
use std::collections::HashMap;

use quick_m3u8::tag::{KnownTag, hls};
use quick_m3u8::{HlsLine, Reader, config::ParsingOptions};

use super::PlaylistError;

const HEADER: &str = "#EXTM3U";

/// The text after its header check, without a byte order mark.
pub(super) fn checked(text: &str) -> Result<&str, PlaylistError> {
    let text = text.trim_start_matches('\u{FEFF}').trim_start();
    if text.is_empty() {
        return Err(PlaylistError::Empty);
    }
    let first = text.lines().next().unwrap_or_default();
    // Servers add attributes or spaces after the header; `#EXTM3U8…` would be something else.
    let is_header = first
        .strip_prefix(HEADER)
        .is_some_and(|rest| rest.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric()));
    if is_header {
        return Ok(text);
    }
    let start: String = text.chars().take(256).collect::<String>().to_ascii_lowercase();
    let html =
        ["<!doctype", "<html", "<head", "<body", "<script", "<title"].iter().any(|tag| start.contains(tag));
    // The beginning of the header and nothing after it: the rest did not arrive.
    if HEADER.starts_with(text) {
        Err(PlaylistError::Cut { line: 1 })
    } else {
        Err(PlaylistError::NotAPlaylist { html })
    }
}

/// Replaces `{$name}` by what `EXT-X-DEFINE` says (section 4.3 of the draft). Variables imported from another
/// playlist or taken from the query are not known here; their references stay and are found by the caller.
pub(super) fn substituted(text: &str) -> Cow<'_, str> {
    if !text.contains("#EXT-X-DEFINE") {
        return Cow::Borrowed(text);
    }
    let mut variables: HashMap<String, String> = HashMap::new();
    let mut out = String::with_capacity(text.len());
    for line in text.split_inclusive('\n') {
        let line =
            if line.contains("{$") { Cow::Owned(replace(line, &variables)) } else { Cow::Borrowed(line) };
        if line.starts_with("#EXT-X-DEFINE") {
            let mut reader = Reader::from_str(line.as_ref(), ParsingOptions::default());
            if let Ok(Some(HlsLine::KnownTag(KnownTag::Hls(hls::Tag::Define(hls::Define::Name(define)))))) =
                reader.read_line()
            {
                variables.insert(define.name().to_owned(), define.value().to_owned());
            }
        }
        out.push_str(&line);
    }
    Cow::Owned(out)
}

/// One pass, so that a value containing a reference is not expanded again and cannot grow without bound.
fn replace(line: &str, variables: &HashMap<String, String>) -> String {
    let mut out = String::with_capacity(line.len());
    let mut rest = line;
    while let Some(start) = rest.find("{$") {
        let (before, from) = rest.split_at(start);
        out.push_str(before);
        match from.find('}').and_then(|end| Some((variables.get(&from[2..end])?, end))) {
            Some((value, end)) => {
                out.push_str(value);
                rest = &from[end + 1..];
            }
            None => {
                out.push_str("{$");
                rest = &from[2..];
            }
        }
    }
    out.push_str(rest);
    out
}
