//! How languages, codecs and limits of streams are written by people and clients.
//!
//! Pure text to values, for the door and the command line alike. Never knows what a stream has: the engine chooses.
//! Invariant: what passes here can be stored, and means the same to the engine whoever wrote it.

/// Most names in one list.
pub(crate) const MOST: usize = 32;
/// Longest recording that can be asked for: a year.
pub(crate) const LONGEST_S: u64 = 366 * 24 * 60 * 60;
/// Longest language tag; RFC 5646 section 4.4.1 names 35 characters enough for any.
const LONGEST_TAG: usize = 35;

/// A language as RFC 5646 writes it, by its shape only: `de`, `pt-BR`, `zh-Hant-TW`. `pt_BR` is taken too.
pub(crate) fn language(text: &str) -> Result<String, String> {
    let tag = text.trim().replace('_', "-");
    let mut parts = tag.split('-');
    let first = parts.next().unwrap_or_default();
    let begins = (2..=8).contains(&first.len()) && first.bytes().all(|b| b.is_ascii_alphabetic());
    let goes_on =
        parts.all(|part| (1..=8).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_alphanumeric()));
    if begins && goes_on && tag.len() <= LONGEST_TAG {
        Ok(tag)
    } else {
        Err("a language is written like de, en-GB or zh-Hant".to_owned())
    }
}

/// A language, or `all`.
pub(crate) fn subtitle(text: &str) -> Result<String, String> {
    if text.trim().eq_ignore_ascii_case("all") {
        return Ok("all".to_owned());
    }
    language(text).map_err(|error| format!("{error}; `all` takes every one"))
}

/// The common name of a codec, lower case.
pub(crate) fn codec(text: &str) -> Result<String, String> {
    let name = text.trim().to_ascii_lowercase();
    let plain = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    if (1..=20).contains(&name.len()) && name.bytes().all(plain) {
        Ok(name)
    } else {
        Err("a codec is named like av1, hevc, h264, vp9, opus or aac".to_owned())
    }
}

/// `90`, `90s`, `5m`, `1h30m`: seconds, at least one.
pub(crate) fn duration(text: &str) -> Result<u64, String> {
    const FORMS: &str = "give 90s, 5m or 1h30m, at most a year";
    let mut rest = text.trim();
    let mut seconds: u64 = 0;
    // Units from the largest down, each once, so that `5m1h` is no riddle.
    let mut smaller_than = u64::MAX;
    while !rest.is_empty() {
        let digits = rest.bytes().take_while(u8::is_ascii_digit).count();
        let (number, behind) = rest.split_at(digits);
        let letters = behind.bytes().take_while(u8::is_ascii_alphabetic).count();
        let (unit, behind) = behind.split_at(letters);
        let unit = match unit {
            "" | "s" => 1,
            "m" | "min" => 60,
            "h" => 3600,
            "d" => 86400,
            _ => return Err(FORMS.to_owned()),
        };
        let number: u64 = number.parse().map_err(|_| FORMS.to_owned())?;
        if unit >= smaller_than {
            return Err(FORMS.to_owned());
        }
        smaller_than = unit;
        seconds = number.checked_mul(unit).and_then(|more| seconds.checked_add(more)).ok_or(FORMS)?;
        rest = behind;
    }
    if (1..=LONGEST_S).contains(&seconds) { Ok(seconds) } else { Err(FORMS.to_owned()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn languages_are_taken_by_their_shape() {
        for text in ["de", "en-GB", "zh-Hant-TW", "es-419", "ger", "x-y", "de-x-dialect"] {
            let expected = if text == "x-y" { None } else { Some(text) };
            assert_eq!(language(text).ok().as_deref(), expected, "{text}");
        }
        assert_eq!(language(" pt_BR ").as_deref(), Ok("pt-BR"));
        for text in ["", "d", "-", "de-", "deutsch lang", "de,en", "de\nen", "12", "all*", &"a-".repeat(40)] {
            assert!(language(text).is_err(), "{text:?}");
        }
        assert_eq!(subtitle("ALL").as_deref(), Ok("all"));
        assert!(subtitle("every one").is_err());
    }

    #[test]
    fn codecs_are_names_and_nothing_else() {
        assert_eq!(codec("AV1").as_deref(), Ok("av1"));
        assert_eq!(codec("h.264").as_deref(), Ok("h.264"));
        for text in ["", "h264;x", "a b", &"x".repeat(21)] {
            assert!(codec(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn durations_are_read_as_people_write_them() {
        for (text, seconds) in
            [("90", 90), ("90s", 90), ("5m", 300), ("1h30m", 5400), ("1d", 86400), ("1h0m5", 3605)]
        {
            assert_eq!(duration(text), Ok(seconds), "{text}");
        }
        for text in ["", "0", "0m", "-1", "5m1h", "1h1h", "h", "1.5h", "1y", "99999999999999999999", "400d"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}
