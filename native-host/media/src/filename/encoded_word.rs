//! Encoded words of mail (RFC 2047), which some servers put into `filename=`: `=?UTF-8?B?…?=` and `=?UTF-8?Q?…?=`.
//!
//! Pure. Invariant: text without a whole encoded word comes back as none, so that it is read as it stands.

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::charset;

/// Padding is left away as often as not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new().with_decode_padding_mode(DecodePaddingMode::Indifferent),
);

/// One encoded word: its charset and bytes.
struct Word<'a> {
    charset: &'a str,
    bytes: Vec<u8>,
}

/// `text` with its encoded words decoded; none when it has none that can be.
pub(super) fn decode(text: &str) -> Option<String> {
    let mut out = String::new();
    // Neighbours of one charset are joined before they are decoded: a character may be cut in two.
    let mut open: Option<Word<'_>> = None;
    let mut rest = text;
    let mut found = false;
    while let Some(start) = rest.find("=?") {
        let Some((word, length)) = parse(&rest[start..]) else {
            close(open.take(), &mut out)?;
            out.push_str(&rest[..start + 2]);
            rest = &rest[start + 2..];
            continue;
        };
        let between = &rest[..start];
        found = true;
        open = match open.take() {
            // Spaces between two words only fold the line (RFC 2047 section 6.2).
            Some(mut before)
                if between.trim().is_empty() && before.charset.eq_ignore_ascii_case(word.charset) =>
            {
                before.bytes.extend(word.bytes);
                Some(before)
            }
            before => {
                let folded = before.is_some() && between.trim().is_empty();
                close(before, &mut out)?;
                if !folded {
                    out.push_str(between);
                }
                Some(word)
            }
        };
        rest = &rest[start + length..];
    }
    close(open, &mut out)?;
    out.push_str(rest);
    found.then_some(out)
}

fn close(word: Option<Word<'_>>, out: &mut String) -> Option<()> {
    if let Some(word) = word {
        out.push_str(&charset::named(word.charset, &word.bytes)?);
    }
    Some(())
}

/// The word `text` begins with, and its length.
fn parse(text: &str) -> Option<(Word<'_>, usize)> {
    let mut parts = text.strip_prefix("=?")?.splitn(3, '?');
    let (charset, encoding, rest) = (parts.next()?, parts.next()?, parts.next()?);
    let end = rest.find("?=")?;
    let body = &rest[..end];
    let bytes = match encoding {
        "B" | "b" => BASE64.decode(body).ok()?,
        "Q" | "q" => quoted(body)?,
        _ => return None,
    };
    // RFC 2231 section 5 lets a language follow the charset.
    let charset_only = charset.split('*').next().unwrap_or(charset);
    Some((Word { charset: charset_only, bytes }, 2 + charset.len() + 1 + encoding.len() + 1 + end + 2))
}

fn quoted(body: &str) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(body.len());
    let mut bytes = body.bytes();
    while let Some(byte) = bytes.next() {
        out.push(match byte {
            b'_' => b' ',
            b'=' => {
                let digit =
                    |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
                digit(bytes.next()?)? << 4 | digit(bytes.next()?)?
            }
            other => other,
        });
    }
    Some(out)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// `text` as an encoded word.
    pub(in super::super) fn encode(text: &str) -> String {
        format!("=?UTF-8?B?{}?=", BASE64.encode(text))
    }

    #[test]
    fn words_among_text_and_words_that_are_none() {
        for (text, decoded) in [
            ("=?UTF-8?B?YQ==?=", Some("a")),
            ("x=?UTF-8?Q?=61?=y", Some("xay")),
            ("=?a=?UTF-8?Q?b?=", Some("=?ab")),
            ("=?UTF-8?Q?a?= =?latin1?Q?=E9?=", Some("aé")),
            ("=?UTF-8?Q?a?= - =?UTF-8?Q?b?=", Some("a - b")),
            ("=?UTF-8?Q?=6?=", None),
            ("=?UTF-8?B?***?=", None),
            ("=?UTF-8?B?/w==?=", None),
            ("=?nonsense?Q?a?=", None),
            ("=?UTF-8?Q?a", None),
            ("plain", None),
        ] {
            assert_eq!(decode(text).as_deref(), decoded, "{text}");
        }
    }
}
