//! Address templates: `$Number%05d$` and its kin (section 5.3.9.4.4 of the standard).
//!
//! Never resolves addresses. Invariant: what a template becomes is as long as the template and its numbers are, so no
//! width makes it explode.

use std::fmt::Write as _;

use super::MpdError;

/// Most digits a number may be padded to.
const MAX_WIDTH: usize = 64;

/// A template, read once and filled in for every segment.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Template(Vec<Token>);

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Number(Value, Format),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Value {
    Number,
    Time,
    SubNumber,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Format {
    width: usize,
    radix: Radix,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Radix {
    Decimal,
    Octal,
    Hex,
    UpperHex,
}

/// What a segment puts into a template.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) number: u64,
    pub(super) time: u64,
    pub(super) sub_number: u64,
}

impl Template {
    /// Reads a template of one representation.
    pub(super) fn new(text: &str, id: &str, bandwidth: Option<u64>) -> Result<Self, MpdError> {
        let mut tokens = Vec::new();
        let mut plain = String::new();
        let mut rest = text;
        while let Some((before, from)) = rest.split_once('$') {
            plain.push_str(before);
            let Some((name, after)) = from.split_once('$') else {
                // One sign alone is a sign.
                plain.push('$');
                rest = from;
                break;
            };
            rest = after;
            let (name, format) = name.split_once('%').unwrap_or((name, ""));
            let value = match name {
                "" if format.is_empty() => {
                    plain.push('$');
                    continue;
                }
                "RepresentationID" => {
                    plain.push_str(id);
                    continue;
                }
                "Bandwidth" => {
                    Format::new(format)?.write(bandwidth.unwrap_or_default(), &mut plain);
                    continue;
                }
                "Number" => Value::Number,
                "Time" => Value::Time,
                "SubNumber" => Value::SubNumber,
                _ => return Err(MpdError::malformed("an address template names an unknown value")),
            };
            if !plain.is_empty() {
                tokens.push(Token::Text(std::mem::take(&mut plain)));
            }
            tokens.push(Token::Number(value, Format::new(format)?));
        }
        plain.push_str(rest);
        if !plain.is_empty() {
            tokens.push(Token::Text(plain));
        }
        Ok(Self(tokens))
    }

    /// Differs from segment to segment.
    pub(super) fn is_numbered(&self) -> bool {
        self.0.iter().any(|token| matches!(token, Token::Number(..)))
    }

    /// Names the parts of a segment one by one.
    pub(super) fn has_sub_number(&self) -> bool {
        self.0.iter().any(|token| matches!(token, Token::Number(Value::SubNumber, _)))
    }

    /// The address reference of an initialisation section. It belongs to no segment, so what asks for one stays as it is
    /// written, as players leave it.
    pub(super) fn fill_initialization(&self) -> String {
        let mut out = String::new();
        for token in &self.0 {
            out.push_str(match token {
                Token::Text(text) => text,
                Token::Number(Value::Number, _) => "$Number$",
                Token::Number(Value::Time, _) => "$Time$",
                Token::Number(Value::SubNumber, _) => "$SubNumber$",
            });
        }
        out
    }

    /// The address reference of a segment.
    pub(super) fn fill(&self, place: Place) -> String {
        let mut out = String::new();
        for token in &self.0 {
            match token {
                Token::Text(text) => out.push_str(text),
                Token::Number(Value::Number, format) => format.write(place.number, &mut out),
                Token::Number(Value::Time, format) => format.write(place.time, &mut out),
                Token::Number(Value::SubNumber, format) => format.write(place.sub_number, &mut out),
            }
        }
        out
    }
}

impl Format {
    /// `05d` after the percent sign; nothing means a plain number.
    fn new(text: &str) -> Result<Self, MpdError> {
        let impossible = || MpdError::malformed("an address template has a number format that cannot be");
        let (radix, width) = match text.char_indices().next_back() {
            None => return Ok(Self { width: 1, radix: Radix::Decimal }),
            Some((at, 'd' | 'i' | 'u')) => (Radix::Decimal, &text[..at]),
            Some((at, 'o')) => (Radix::Octal, &text[..at]),
            Some((at, 'x')) => (Radix::Hex, &text[..at]),
            Some((at, 'X')) => (Radix::UpperHex, &text[..at]),
            // Only zeros and a width: the letter was left out.
            Some(_) => (Radix::Decimal, text),
        };
        if width.is_empty() {
            return Ok(Self { width: 1, radix });
        }
        let width = width.parse().ok().filter(|width| *width <= MAX_WIDTH).ok_or_else(impossible)?;
        Ok(Self { width, radix })
    }

    fn write(self, number: u64, out: &mut String) {
        let width = self.width;
        // Writing to a string cannot fail.
        let _ = match self.radix {
            Radix::Decimal => write!(out, "{number:0width$}"),
            Radix::Octal => write!(out, "{number:0width$o}"),
            Radix::Hex => write!(out, "{number:0width$x}"),
            Radix::UpperHex => write!(out, "{number:0width$X}"),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_are_filled_in() {
        let place = Place { number: 7, time: 90_000, sub_number: 2 };
        for (template, filled) in [
            ("seg.m4s", "seg.m4s"),
            ("$RepresentationID$/$Number$.m4s", "v1/7.m4s"),
            ("chunk-stream$RepresentationID$-$Number%05d$.m4s", "chunk-streamv1-00007.m4s"),
            ("$Time$/$Bandwidth$", "90000/128000"),
            ("$Bandwidth%08d$_$Time%012d$", "00128000_000000090000"),
            ("$$$Number$$$", "$7$"),
            ("a$b", "a$b"),
            ("$Number%d$", "7"),
            ("$Number%03$", "007"),
            ("$Number%04x$-$Time%X$", "0007-15F90"),
            ("$Number$_$SubNumber%02d$", "7_02"),
            ("é$Number$é", "é7é"),
        ] {
            let read = Template::new(template, "v1", Some(128_000)).unwrap();
            assert_eq!(read.fill(place), filled, "{template}");
        }
        assert!(!Template::new("$RepresentationID$.mp4", "1", None).unwrap().is_numbered());
    }

    #[test]
    fn templates_that_would_give_wrong_addresses_are_errors() {
        for template in
            ["$Nummer$", "$Number%99999999999d$", "$Number%5é$", "$Number%s$", "$ Number $", "$%05d$"]
        {
            assert!(Template::new(template, "v1", None).is_err(), "{template}");
        }
    }
}
