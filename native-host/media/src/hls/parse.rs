//! Lines to playlists: which kind it is, and whose a tag is.
//!
//! Never gives tags their meaning itself. Invariant: tags that nobody knows are skipped, as the specification demands, and
//! every error names its line.

use super::line::{self, Line};
use super::media::Media;
use super::multivariant::Choices;
use super::variables::Variables;
use super::{Context, Playlist, PlaylistError};
use crate::segment::Address;

/// Reads a playlist. `base` is the address it really came from, after redirects.
///
/// # Errors
/// See [`PlaylistError`]. Encryption, DRM and live playlists are no errors here: they are facts of the value.
pub fn parse<A: Address>(text: &str, base: &A) -> Result<Playlist<A>, PlaylistError> {
    parse_with(text, base, &Context::default())
}

/// Reads a playlist that stands in a [`Context`]: a media playlist found in a list of qualities, or one read again.
///
/// # Errors
/// See [`parse`].
pub fn parse_with<A: Address>(
    text: &str,
    base: &A,
    context: &Context<'_, A>,
) -> Result<Playlist<A>, PlaylistError> {
    let (text, before) = line::checked(text)?;
    let mut variables = Variables::default();
    let mut replaced = 0;
    let mut choices = Choices::new();
    let mut media = Media::new();
    let mut last = before;
    for (at, text) in text.lines().enumerate() {
        last = before + at + 1;
        let malformed = |reason| PlaylistError::Malformed { line: last, reason };
        let text = variables
            .replace(text, &mut replaced)
            .ok_or_else(|| malformed("its variables make it larger than it can be"))?;
        let resolve = |uri: &str| resolve(base, uri);
        match Line::read(&text) {
            Line::Nothing => Ok(()),
            Line::Tag("-X-DEFINE", text) => variables.define(text, context.variables, base.as_ref()),
            Line::Tag(name, text) => match media.take(name, text, last, context, resolve) {
                Ok(true) => Ok(()),
                Ok(false) => choices.take(name, text, last, resolve),
                Err(reason) => Err(reason),
            },
            Line::Address(uri) => resolve(uri).and_then(|url| {
                if choices.waits() { choices.take_address(url) } else { media.take_address(url) }
            }),
        }
        .map_err(malformed)?;
    }
    if choices.has_variants() || choices.waits() {
        if media.has_segments() {
            return Err(PlaylistError::Malformed { line: last, reason: "variants and segments are mixed" });
        }
        return choices.finish(media.drm(), variables).map(Playlist::Multivariant);
    }
    media.finish(last).map(Playlist::Media)
}

/// The absolute address of what a playlist names. Only the web may be named: a playlist is not to lead to files of this
/// machine, nor to itself, where it would never end.
fn resolve<A: Address>(base: &A, uri: &str) -> Result<A, &'static str> {
    if uri.is_empty() || uri.contains("{$") {
        return Err("an address is missing or names an unknown variable");
    }
    let url = base.resolve(uri).ok_or("an address cannot be understood")?;
    let text = url.as_ref();
    if !["https://", "http://"].iter().any(|scheme| text.starts_with(scheme)) {
        return Err("an address is none of the web (http or https)");
    }
    let page = |address: &str| address.split('#').next() == base.as_ref().split('#').next();
    if page(text) {
        return Err("it names itself");
    }
    Ok(url)
}
