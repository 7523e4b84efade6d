//! Text to elements, and why text is no MPD.
//!
//! Never reads document types, so no entity can grow; never follows references. Invariant: no more than [`MAX_TEXT`] and
//! [`MAX_NODES`] are read.

use std::borrow::Cow;

use roxmltree::{Document, Error, Node, ParsingOptions};

use super::{MpdError, shape};

/// Longest text that is read, in bytes.
pub(super) const MAX_TEXT: usize = 16 * 1024 * 1024;
/// Most elements and texts: a million segments and what is around them.
const MAX_NODES: u32 = 2_500_000;
/// How many undeclared prefixes are put up with.
const MAX_PREFIXES: usize = 8;

/// Bytes as text: UTF-8, or UTF-16 when they begin like it.
#[must_use]
pub fn text(bytes: &[u8]) -> Cow<'_, str> {
    let wide = |from_bytes: fn([u8; 2]) -> u16, bytes: &[u8]| {
        let units = bytes.chunks_exact(2).map(|pair| from_bytes([pair[0], pair[1]]));
        char::decode_utf16(units).map(|unit| unit.unwrap_or(char::REPLACEMENT_CHARACTER)).collect::<String>()
    };
    match bytes {
        [0xFF, 0xFE, rest @ ..] => Cow::Owned(wide(u16::from_le_bytes, rest)),
        [0xFE, 0xFF, rest @ ..] => Cow::Owned(wide(u16::from_be_bytes, rest)),
        [b'<', 0, ..] => Cow::Owned(wide(u16::from_le_bytes, bytes)),
        [0, b'<', ..] => Cow::Owned(wide(u16::from_be_bytes, bytes)),
        _ => String::from_utf8_lossy(bytes),
    }
}

/// Hands the root element of an MPD to `read`.
pub(super) fn with_root<T>(
    text: &str,
    read: impl FnOnce(Node<'_, '_>) -> Result<T, MpdError>,
) -> Result<T, MpdError> {
    let text = text.trim_matches(|c: char| c == '\u{FEFF}' || c.is_whitespace());
    if text.is_empty() {
        return Err(MpdError::Empty);
    }
    if text.len() > MAX_TEXT {
        return Err(MpdError::malformed("it is larger than 16 MiB"));
    }
    let mut declared = None;
    for _ in 0..MAX_PREFIXES {
        let current: &str = declared.as_deref().unwrap_or(text);
        if !shape::is_bearable(current) {
            return Err(MpdError::malformed("its elements are deeper or wider than those of any manifest"));
        }
        let options = ParsingOptions { nodes_limit: MAX_NODES, ..ParsingOptions::default() };
        let error = match Document::parse_with_options(current, options) {
            Ok(document) => {
                let root = document.root_element();
                return if root.tag_name().name() == "MPD" { read(root) } else { Err(not_an_mpd(text)) };
            }
            Err(error) => error,
        };
        // Packagers forget to declare prefixes of elements that do not matter.
        let (Error::UnknownNamespace(prefix, _), Some(at)) = (&error, after_root_name(current)) else {
            return Err(failure(text, &error));
        };
        let (start, rest) = current.split_at(at);
        declared = Some(format!("{start} xmlns:{prefix}=\"urn:undeclared:{prefix}\"{rest}"));
    }
    Err(MpdError::malformed("it uses prefixes that it does not declare"))
}

/// Where the attributes of the first element begin.
fn after_root_name(text: &str) -> Option<usize> {
    let mut at = 0;
    loop {
        at += text.get(at..)?.find('<')?;
        let rest = text.get(at..)?;
        let end = match rest.as_bytes().get(1)? {
            b'?' => "?>",
            b'!' if rest.starts_with("<!--") => "-->",
            b'!' => ">",
            _ => {
                let name = rest[1..].find(|c: char| c.is_ascii_whitespace() || c == '>' || c == '/')?;
                return Some(at + 1 + name);
            }
        };
        at += rest.find(end)? + end.len();
    }
}

/// The name of the first element, with its prefix.
fn root_name(text: &str) -> Option<&str> {
    let end = after_root_name(text)?;
    let start = text[..end].rfind('<')? + 1;
    text.get(start..end)
}

fn is_mpd(name: &str) -> bool {
    name == "MPD" || name.ends_with(":MPD")
}

fn failure(text: &str, error: &Error) -> MpdError {
    match root_name(text) {
        Some(name) if !is_mpd(name) => return not_an_mpd(text),
        // The first element has not even begun, or its name is not over.
        None if !text.starts_with('<') => return not_an_mpd(text),
        None => return if looks_like_html(text) { not_an_mpd(text) } else { MpdError::Cut },
        Some(name) if !text.ends_with(&format!("</{name}>")) && !text.ends_with("-->") => {
            // Nothing closes it: the rest did not arrive, whatever the reader stumbled over first.
            if !matches!(error, Error::NodesLimitReached | Error::DtdDetected) {
                return MpdError::Cut;
            }
        }
        Some(_) => {}
    }
    MpdError::malformed(match error {
        Error::DtdDetected => "it declares a document type, which is not read",
        Error::NodesLimitReached | Error::AttributesLimitReached | Error::NamespacesLimitReached => {
            "it has too many elements"
        }
        Error::UnexpectedCloseTag(..) => "an element is closed that was not open",
        Error::UnknownEntityReference(..) | Error::MalformedEntityReference(..) => {
            "an entity in it is not known"
        }
        _ => "it is not well-formed XML",
    })
}

fn not_an_mpd(text: &str) -> MpdError {
    MpdError::NotAnMpd { html: looks_like_html(text) }
}

fn looks_like_html(text: &str) -> bool {
    let start: String = text.chars().take(512).collect::<String>().to_ascii_lowercase();
    ["<!doctype html", "<html", "<head", "<body", "<script", "<title"].iter().any(|tag| start.contains(tag))
}

/// Scheme of a reference that stands for nothing at all.
const NOTHING: &str = "urn:mpeg:dash:resolve-to-zero:2013";

/// The children called `name`, whatever their prefix.
pub(super) fn children<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> impl Iterator<Item = Node<'a, 'input>> {
    node.children().filter(move |child| child.is_element() && child.tag_name().name() == name)
}

/// The same for elements whose content may be kept elsewhere (section 5.5 of the standard).
///
/// # Errors
/// It is kept elsewhere.
pub(super) fn parts<'a, 'input>(
    node: Node<'a, 'input>,
    name: &'static str,
) -> Result<Vec<Node<'a, 'input>>, MpdError> {
    let mut found = Vec::new();
    for child in children(node, name) {
        let link = child.attributes().find(|attribute| attribute.name() == "href").map(|link| link.value());
        match link.map(str::trim) {
            None => found.push(child),
            Some(NOTHING) => {}
            Some(_) => {
                return Err(MpdError::Unsupported {
                    reason:
                        "a part of it is kept at another address (XLink), which this version does not follow"
                            .to_owned(),
                });
            }
        }
    }
    Ok(found)
}

/// An attribute without the space around it; none when it is empty.
pub(super) fn attribute<'a>(node: Node<'a, '_>, name: &str) -> Option<&'a str> {
    node.attribute(name).map(str::trim).filter(|value| !value.is_empty())
}

/// The text of an element without the space around it; none when it is empty.
pub(super) fn content<'a>(node: Node<'a, '_>) -> Option<&'a str> {
    node.text().map(str::trim).filter(|text| !text.is_empty())
}

/// An attribute that is read by `read`.
///
/// # Errors
/// It is there and cannot be read.
pub(super) fn value<T>(
    node: Node<'_, '_>,
    name: &str,
    read: impl FnOnce(&str) -> Option<T>,
    otherwise: &'static str,
) -> Result<Option<T>, MpdError> {
    attribute(node, name).map(|text| read(text).ok_or(MpdError::malformed(otherwise))).transpose()
}

/// An attribute that is a number without sign.
///
/// # Errors
/// It is there and is none.
pub(super) fn number(node: Node<'_, '_>, name: &str) -> Result<Option<u64>, MpdError> {
    value(node, name, |text| text.parse().ok(), "a number in it cannot be")
}

/// An attribute that only describes: what cannot be read is not there.
pub(super) fn hint<T: std::str::FromStr>(node: Node<'_, '_>, name: &str) -> Option<T> {
    attribute(node, name)?.parse().ok()
}
