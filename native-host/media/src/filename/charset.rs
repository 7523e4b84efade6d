//! Bytes of a name as text, whatever somebody wrote them in.
//!
//! Owns the choice of a charset: the one named, else UTF-8, else (feature `charsets`, which the extension's Wasm goes
//! without because the tables are large) the likeliest of those that servers still send, else Latin-1. Never fails on
//! bytes; a charset that is not known is none.

/// Text in the charset of this label. None when the label is unknown or the bytes are no such text.
pub(super) fn named(label: &str, bytes: &[u8]) -> Option<String> {
    match label.trim().to_ascii_lowercase().as_str() {
        "utf-8" | "utf8" | "us-ascii" | "ascii" => std::str::from_utf8(bytes).ok().map(str::to_owned),
        "iso-8859-1" | "latin1" => Some(latin1(bytes)),
        label => by_label(label, bytes),
    }
}

/// Text of raw bytes. `host` is who sent them: its country tells apart what two bytes alone cannot.
pub(super) fn raw(bytes: &[u8], host: Option<&str>) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => guessed(bytes, host).unwrap_or_else(|| latin1(bytes)),
    }
}

/// Text of bytes that were percent-encoded, which one lone byte may be by accident: `100%de.txt`. None is then better
/// than a guess.
pub(super) fn escaped(bytes: &[u8], host: Option<&str>) -> Option<String> {
    match std::str::from_utf8(bytes) {
        Ok(text) => Some(text.to_owned()),
        Err(_) if bytes.iter().filter(|byte| !byte.is_ascii()).count() >= 2 => guessed(bytes, host),
        Err(_) => None,
    }
}

/// UTF-8 that somebody took for Latin-1 or Windows-1252 and encoded again: `naÃ¯ve`. Anything else comes back as it is:
/// text that happens to be valid UTF-8 when read that way is next to never meant so.
pub(super) fn mended(text: String) -> String {
    if text.is_ascii() {
        return text;
    }
    match narrow(&text).map(String::from_utf8) {
        Some(Ok(mended)) => mended,
        _ => text,
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().copied().map(char::from).collect()
}

/// The bytes `text` was before it was taken for Latin-1 or Windows-1252.
fn narrow(text: &str) -> Option<Vec<u8>> {
    text.chars().map(|c| u8::try_from(u32::from(c)).ok().or_else(|| windows_1252(c))).collect()
}

#[cfg(feature = "charsets")]
fn windows_1252(c: char) -> Option<u8> {
    let mut text = [0; 4];
    let (bytes, _, unmappable) = encoding_rs::WINDOWS_1252.encode(c.encode_utf8(&mut text));
    match (&*bytes, unmappable) {
        ([byte], false) => Some(*byte),
        _ => None,
    }
}

#[cfg(not(feature = "charsets"))]
fn windows_1252(_: char) -> Option<u8> {
    None
}

#[cfg(feature = "charsets")]
fn by_label(label: &str, bytes: &[u8]) -> Option<String> {
    encoding_rs::Encoding::for_label(label.as_bytes())?
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(std::borrow::Cow::into_owned)
}

#[cfg(not(feature = "charsets"))]
fn by_label(_: &str, _: &[u8]) -> Option<String> {
    None
}

#[cfg(feature = "charsets")]
fn guessed(bytes: &[u8], host: Option<&str>) -> Option<String> {
    use chardetng::{EncodingDetector, Iso2022JpDetection, Utf8Detection};
    let country = host
        .and_then(|host| host.rsplit('.').next())
        .map(str::to_ascii_lowercase)
        .filter(|label| !label.is_empty() && label.bytes().all(|b| b.is_ascii_lowercase() || b == b'-'));
    let mut detector = EncodingDetector::new(Iso2022JpDetection::Deny);
    detector.feed(bytes, true);
    detector
        .guess(country.as_deref().map(str::as_bytes), Utf8Detection::Deny)
        .decode_without_bom_handling_and_without_replacement(bytes)
        .map(std::borrow::Cow::into_owned)
}

#[cfg(not(feature = "charsets"))]
fn guessed(_: &[u8], _: Option<&str>) -> Option<String> {
    None
}
