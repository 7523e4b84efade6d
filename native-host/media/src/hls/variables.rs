//! Variables of a playlist (sections 4.3 and 4.4.2.3 of the draft).
//!
//! Never shows a value: those taken from an address may be secret. Invariant: replacing is bounded, however often values
//! name one another.

use std::borrow::Cow;
use std::collections::BTreeMap;
use std::fmt;

use percent_encoding::percent_decode_str;

use super::line::Attributes;

/// Most bytes that all replacing in one playlist may make.
const MAX_REPLACED_BYTES: usize = 16 * 1024 * 1024;

/// Names and values, for the playlists that import them.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Variables(BTreeMap<String, String>);

impl fmt::Debug for Variables {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Variables {
    /// What a `DEFINE` tag adds. `imported` are those of the list of qualities, `base` is the playlist's own address.
    pub(super) fn define(
        &mut self,
        tag: &str,
        imported: Option<&Self>,
        base: &str,
    ) -> Result<(), &'static str> {
        let tag = Attributes(tag);
        let (name, value) = if let Some(name) = tag.get("NAME") {
            let Some(value) = tag.get("VALUE") else { return Err("a variable has no value") };
            (name, Cow::Borrowed(value))
        } else if let Some(name) = tag.get("IMPORT") {
            let value = imported.and_then(|variables| variables.0.get(name));
            let Some(value) = value else {
                return Err("it imports a variable that only its list of qualities could define");
            };
            (name, Cow::Borrowed(value.as_str()))
        } else if let Some(name) = tag.get("QUERYPARAM") {
            let Some(value) = query_value(base, name) else {
                return Err("it takes a variable from its address that is not there");
            };
            (name, value)
        } else {
            return Err("a variable cannot be understood");
        };
        // The same again is harmless; another value would leave open which one is meant.
        match self.0.get(name) {
            Some(known) if known.as_str() != value => Err("a variable has two values"),
            Some(_) => Ok(()),
            None => {
                self.0.insert(name.to_owned(), value.into_owned());
                Ok(())
            }
        }
    }

    /// The line with every `{$name}` that is known replaced, in one pass. `replaced` counts the bytes made so far; none when
    /// there are too many.
    pub(super) fn replace<'a>(&self, line: &'a str, replaced: &mut usize) -> Option<Cow<'a, str>> {
        if self.0.is_empty() || !line.contains("{$") {
            return Some(Cow::Borrowed(line));
        }
        let mut out = String::with_capacity(line.len());
        let mut rest = line;
        while let Some(start) = rest.find("{$") {
            let (before, from) = rest.split_at(start);
            out.push_str(before);
            let name = from.get(2..).unwrap_or_default();
            let length = name.bytes().take_while(|byte| is_of_a_name(*byte)).count();
            let (name, after) = name.split_at(length);
            rest = match self.0.get(name).filter(|_| after.starts_with('}')) {
                Some(value) => {
                    out.push_str(value);
                    &after[1..]
                }
                None => {
                    out.push_str("{$");
                    &from[2..]
                }
            };
            if out.len() > MAX_REPLACED_BYTES {
                return None;
            }
        }
        out.push_str(rest);
        *replaced = replaced.saturating_add(out.len());
        (*replaced <= MAX_REPLACED_BYTES).then_some(Cow::Owned(out))
    }
}

const fn is_of_a_name(byte: u8) -> bool {
    byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_')
}

/// What an address says behind `name=` in its query, decoded. None when there is nothing, or what could not stand in a
/// playlist.
fn query_value<'a>(address: &'a str, name: &str) -> Option<Cow<'a, str>> {
    let (_, query) = address.split('#').next()?.split_once('?')?;
    let value = query.split('&').find_map(|pair| pair.split_once('=').filter(|(key, _)| *key == name))?.1;
    let value = percent_decode_str(value).decode_utf8().ok()?;
    (!value.is_empty() && !value.contains(['"', '\r', '\n'])).then_some(value)
}
