//! Text to lines: header check, tags and their attribute lists, and the tolerance for what servers really send.
//!
//! Never gives a line a meaning. Invariant: line numbers are those of the text as received, and no line is skipped unless it
//! is blank or a comment.

use super::PlaylistError;

const HEADER: &str = "#EXTM3U";

/// The text after its header check, without a byte order mark, and how many lines stood before it.
pub(super) fn checked(whole: &str) -> Result<(&str, usize), PlaylistError> {
    let mut text = whole.trim_start_matches('\u{FEFF}').trim_start();
    // The header must be the first line; some put a comment above it all the same.
    while let Some((comment, rest)) = text.split_once('\n') {
        if !comment.starts_with('#') || comment.starts_with("#EXT") {
            break;
        }
        text = rest.trim_start();
    }
    if text.is_empty() {
        return Err(PlaylistError::Empty);
    }
    let first = text.lines().next().unwrap_or_default();
    // Servers add attributes or spaces after the header; `#EXTM3U8…` would be something else.
    let is_header = first
        .strip_prefix(HEADER)
        .is_some_and(|rest| rest.chars().next().is_none_or(|c| !c.is_ascii_alphanumeric()));
    if is_header {
        let before = whole.len() - text.len();
        return Ok((text, whole.bytes().take(before).filter(|byte| *byte == b'\n').count()));
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

/// What a line is (section 4.1 of the draft).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Line<'a> {
    /// An address.
    Address(&'a str),
    /// `#EXT` and what follows: the name without that prefix, and what stands behind the colon.
    Tag(&'a str, &'a str),
    /// Blank, or a comment.
    Nothing,
}

impl<'a> Line<'a> {
    /// Surrounding space is no part of it, although no server should send any.
    pub(super) fn read(line: &'a str) -> Self {
        let line = line.trim();
        if line.is_empty() {
            Self::Nothing
        } else if let Some(tag) = line.strip_prefix("#EXT") {
            let (name, value) = tag.split_once(':').unwrap_or((tag, ""));
            Self::Tag(name.trim_end(), value.trim())
        } else if line.starts_with('#') {
            Self::Nothing
        } else {
            Self::Address(line)
        }
    }
}

/// The attributes of a tag (section 4.2 of the draft).
#[derive(Debug, Clone, Copy)]
pub(crate) struct Attributes<'a>(pub(crate) &'a str);

impl<'a> Attributes<'a> {
    /// The value of the first attribute of this name, without its quotes. Commas count only outside of quotes; a value may
    /// lack them.
    pub(crate) fn get(self, wanted: &str) -> Option<&'a str> {
        let mut rest = self.0;
        loop {
            rest = rest.trim_start_matches([' ', '\t', ',']);
            if rest.is_empty() {
                return None;
            }
            let end = rest.find(['=', ',']).unwrap_or(rest.len());
            let (name, after) = rest.split_at(end);
            let Some(after) = after.strip_prefix('=') else {
                // A name without a value.
                rest = after;
                continue;
            };
            let after = after.trim_start();
            let (value, after) = match after.strip_prefix('"') {
                Some(quoted) => quoted.split_once('"').unwrap_or((quoted, "")),
                None => after.split_at(after.find(',').unwrap_or(after.len())),
            };
            if name.trim_end() == wanted {
                return Some(value.trim());
            }
            // What stands between a closing quote and the next comma belongs to nothing.
            rest = after.trim_start_matches(|c| c != ',');
        }
    }

    /// Whether the attribute says `YES`.
    pub(super) fn yes(self, name: &str) -> bool {
        self.get(name) == Some("YES")
    }

    /// The value of an attribute that says something.
    pub(crate) fn text(self, name: &str) -> Option<String> {
        self.get(name).filter(|value| !value.is_empty()).map(str::to_owned)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_are_found_by_name_alone() {
        let list = Attributes(r#"A=1, B = "x,C=2,y" ,C=3,D,E="",,F="open"junk,G=é,C=4,H="cut"#);
        for (name, value) in [
            ("A", Some("1")),
            ("B", Some("x,C=2,y")),
            ("C", Some("3")),
            ("D", None),
            ("E", Some("")),
            ("F", Some("open")),
            ("G", Some("é")),
            ("H", Some("cut")),
            ("y", None),
            ("", None),
        ] {
            assert_eq!(list.get(name), value, "{name}");
        }
        assert_eq!(list.text("E"), None);
    }

    #[test]
    fn lines_are_addresses_tags_or_nothing() {
        for (line, expected) in [
            (" a.ts \r", Line::Address("a.ts")),
            ("#EXTINF:4,a:b", Line::Tag("INF", "4,a:b")),
            ("#EXT-X-ENDLIST", Line::Tag("-X-ENDLIST", "")),
            ("#EXT-X-KEY : x", Line::Tag("-X-KEY", "x")),
            ("#ext-x-endlist", Line::Nothing),
            ("# a.ts", Line::Nothing),
            ("\t", Line::Nothing),
        ] {
            assert_eq!(Line::read(line), expected, "{line:?}");
        }
    }
}
