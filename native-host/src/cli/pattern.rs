//! Many addresses written as one: `img[001-120].jpg`, `[1-10:2]`, `[a-z]`, `{one,two}`. Pure.
//!
//! Owns the reading of patterns, never of addresses. Brackets that hold no range, the one around an IPv6 host among
//! them, and braces without a comma stand for themselves; `\[`, `\]`, `\{` and `\}` always do. Invariant: no pattern
//! makes more addresses than it was allowed.

use std::net::Ipv6Addr;

/// Why a pattern makes no addresses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(super) enum PatternError {
    #[error("the range [{0}] ends before it begins")]
    Backwards(String),
    #[error("the range [{0}] has a step of 0")]
    NoStep(String),
    #[error("the range [{0}] has a number that is too large")]
    TooLarge(String),
    #[error("the pattern makes more than {0} addresses")]
    TooMany(usize),
}

/// A piece of a pattern.
#[derive(Debug, PartialEq, Eq)]
enum Piece {
    Text(String),
    Numbers { from: u64, to: u64, step: u64, width: usize },
    Letters { from: u8, to: u8, step: u64 },
    Set(Vec<String>),
}

impl Piece {
    fn len(&self) -> u64 {
        match self {
            Self::Text(_) => 1,
            Self::Numbers { from, to, step, .. } => ((to - from) / step).saturating_add(1),
            Self::Letters { from, to, step } => u64::from(to - from) / step + 1,
            Self::Set(items) => items.len() as u64,
        }
    }

    fn push(&self, n: u64, out: &mut String) {
        use std::fmt::Write as _;
        match self {
            Self::Text(text) => out.push_str(text),
            Self::Numbers { from, step, width, .. } => {
                // Writing to a string cannot fail.
                let _ = write!(out, "{:0width$}", from + n * step);
            }
            Self::Letters { from, step, .. } => {
                out.push(char::from(from + u8::try_from(n * step).unwrap_or(0)));
            }
            Self::Set(items) => {
                out.push_str(items.get(usize::try_from(n).unwrap_or(0)).map_or("", |item| item));
            }
        }
    }
}

/// The addresses `text` stands for, the last pattern running fastest; `text` itself when it has none.
///
/// # Errors
/// See [`PatternError`]; `most` is how many addresses there may be.
pub(super) fn expand(text: &str, most: usize) -> Result<Vec<String>, PatternError> {
    let pieces = parse(text)?;
    let count = pieces.iter().try_fold(1_u64, |count, piece| count.checked_mul(piece.len()));
    let count = count.filter(|count| *count <= most as u64).ok_or(PatternError::TooMany(most))?;
    let mut out = Vec::new();
    for n in 0..count {
        let mut address = String::with_capacity(text.len());
        // The number of an address, read with the length of each piece as its base, is the number in each piece.
        let mut block = count;
        for piece in &pieces {
            block /= piece.len();
            piece.push(n / block % piece.len(), &mut address);
        }
        out.push(address);
    }
    Ok(out)
}

fn parse(text: &str) -> Result<Vec<Piece>, PatternError> {
    let mut pieces = Vec::new();
    let mut literal = String::new();
    let mut rest = text;
    while let Some(c) = rest.chars().next() {
        let piece = match c {
            '\\' if rest[1..].starts_with(['[', ']', '{', '}']) => {
                literal.push_str(&rest[1..2]);
                rest = &rest[2..];
                continue;
            }
            '[' => match rest[1..].split_once(']') {
                Some((inner, behind)) if !is_host(inner) => range(inner)?.map(|piece| (piece, behind)),
                _ => None,
            },
            '{' => match rest[1..].split_once('}') {
                Some((inner, behind)) if inner.contains(',') => {
                    Some((Piece::Set(inner.split(',').map(str::to_owned).collect()), behind))
                }
                _ => None,
            },
            _ => None,
        };
        match piece {
            Some((piece, behind)) => {
                if !literal.is_empty() {
                    pieces.push(Piece::Text(std::mem::take(&mut literal)));
                }
                pieces.push(piece);
                rest = behind;
            }
            None => {
                literal.push(c);
                rest = &rest[c.len_utf8()..];
            }
        }
    }
    if !literal.is_empty() || pieces.is_empty() {
        pieces.push(Piece::Text(literal));
    }
    Ok(pieces)
}

/// `::1`, `fe80::1%25eth0`: what stands in brackets as the host of an address.
fn is_host(inner: &str) -> bool {
    inner.split('%').next().unwrap_or_default().parse::<Ipv6Addr>().is_ok()
}

/// `FROM-TO` or `FROM-TO:STEP`, numbers or letters; none for anything else.
fn range(inner: &str) -> Result<Option<Piece>, PatternError> {
    let (ends, step) = match inner.split_once(':') {
        Some((ends, step)) => (ends, Some(step)),
        None => (inner, None),
    };
    let Some((from, to)) = ends.split_once('-') else { return Ok(None) };
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    if step.is_some_and(|step| !digits(step)) {
        return Ok(None);
    }
    let number = |text: &str| {
        // Beyond this, counting would overflow.
        text.parse::<u64>()
            .ok()
            .filter(|number| *number < u64::MAX / 2)
            .ok_or_else(|| PatternError::TooLarge(inner.to_owned()))
    };
    let letters = |text: &str| match text.as_bytes() {
        [letter] if letter.is_ascii_alphabetic() => Some(*letter),
        _ => None,
    };
    let piece = if digits(from) && digits(to) {
        let step = step.map_or(Ok(1), number)?;
        // A leading zero asks for numbers of one width.
        let width = if from.len() > 1 && from.starts_with('0') { from.len() } else { 1 };
        Piece::Numbers { from: number(from)?, to: number(to)?, step, width }
    } else if let (Some(from), Some(to)) = (letters(from), letters(to)) {
        // From `Z` to `a` lie signs that nobody means.
        if from.is_ascii_lowercase() != to.is_ascii_lowercase() {
            return Ok(None);
        }
        Piece::Letters { from, to, step: step.map_or(Ok(1), number)? }
    } else {
        return Ok(None);
    };
    match piece {
        Piece::Numbers { from, to, .. } if to < from => Err(PatternError::Backwards(inner.to_owned())),
        Piece::Letters { from, to, .. } if to < from => Err(PatternError::Backwards(inner.to_owned())),
        Piece::Numbers { step: 0, .. } | Piece::Letters { step: 0, .. } => {
            Err(PatternError::NoStep(inner.to_owned()))
        }
        piece => Ok(Some(piece)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(text: &str) -> Vec<String> {
        expand(text, 100_000).unwrap()
    }

    #[test]
    fn numbers_letters_and_sets_count_as_people_expect() {
        for (text, addresses) in [
            (
                "http://h/img[001-003].jpg",
                &["http://h/img001.jpg", "http://h/img002.jpg", "http://h/img003.jpg"][..],
            ),
            ("h/[1-10:4]", &["h/1", "h/5", "h/9"]),
            ("h/[08-11]", &["h/08", "h/09", "h/10", "h/11"]),
            ("h/[0-2]", &["h/0", "h/1", "h/2"]),
            ("h/[98-101:3]", &["h/98", "h/101"]),
            ("h/[a-c]", &["h/a", "h/b", "h/c"]),
            ("h/[A-Z:25]", &["h/A", "h/Z"]),
            ("h/{one,two,}", &["h/one", "h/two", "h/"]),
            ("h/[1-2]{a,b}", &["h/1a", "h/1b", "h/2a", "h/2b"]),
            (
                "h[1-2].example/[3-4]/x",
                &["h1.example/3/x", "h1.example/4/x", "h2.example/3/x", "h2.example/4/x"],
            ),
            ("h/{[1-2],x}", &["h/[1-2]", "h/x"]),
        ] {
            assert_eq!(made(text), addresses, "{text}");
        }
        assert_eq!(made("h/img[001-120].jpg").len(), 120);
    }

    #[test]
    fn what_is_no_pattern_stands_for_itself() {
        for text in [
            "http://[::1]:8080/a",
            "http://[2001:db8::1-2]/a",
            "http://[fe80::1%25eth0]/a",
            "http://[::ffff:1.2.3.4]/a",
            "http://h/a?filter[name]=1&b[]=2",
            "http://h/a[1",
            "http://h/{id}",
            "http://h/{a,b",
            "http://h/[a-Z]",
            "http://h/[a-9]",
            "http://h/[1-2:x]",
            "http://h/[-]",
            "http://h/[ab-cd]",
            "http://h/\\n",
            "",
        ] {
            assert_eq!(made(text), [text], "{text}");
        }
        assert_eq!(made("http://[::1]/[1-2]"), ["http://[::1]/1", "http://[::1]/2"]);
        assert_eq!(made("h/\\[1-2\\]\\{a,b\\}"), ["h/[1-2]{a,b}"]);
    }

    #[test]
    fn mistakes_and_floods_are_refused() {
        for (text, error) in [
            ("h/[10-1]", PatternError::Backwards("10-1".into())),
            ("h/[c-a]", PatternError::Backwards("c-a".into())),
            ("h/[1-5:0]", PatternError::NoStep("1-5:0".into())),
            ("h/[1-99999999999999999999]", PatternError::TooLarge("1-99999999999999999999".into())),
            ("h/[1-18446744073709551615]", PatternError::TooLarge("1-18446744073709551615".into())),
            ("h/[1-100001]", PatternError::TooMany(100_000)),
            ("h/[0-9223372036854775806][0-9223372036854775806][0-9]", PatternError::TooMany(100_000)),
            ("h/[1-1000][1-1000]", PatternError::TooMany(100_000)),
        ] {
            assert_eq!(expand(text, 100_000), Err(error), "{text}");
        }
        assert_eq!(made("h/[1-100000]").len(), 100_000);
    }

    proptest::proptest! {
        #[test]
        fn any_text_ends_within_its_limit(text in "[\\[\\]{}a-c0-9:,\\\\%é-]{0,40}") {
            if let Ok(addresses) = expand(&text, 1000) {
                proptest::prop_assert!((1..=1000).contains(&addresses.len()));
            }
        }
    }
}
