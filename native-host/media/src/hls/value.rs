//! Values of tags: durations, dates, byte ranges, vectors.
//!
//! Pure. Invariant: a value is exactly what the text says, or there is none; nothing is rounded to fit or wrapped around.

use std::time::Duration;

/// Longest segment that is believed, in seconds. Larger values are typing errors, and their sum would overflow.
const MAX_SEGMENT_SECONDS: u64 = 1_000_000;

/// Digits behind the point that are kept.
const NANO_DIGITS: i64 = 9;

/// Why a duration is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum NotADuration {
    /// Not a number.
    Unreadable,
    /// A number no segment lasts.
    Impossible,
}

/// Seconds with a fraction, to the nanosecond; what stands behind the first comma is a title. By hand, because binary
/// fractions would add up wrongly over a day, and a reader of floats weighs 10 kB in the extension.
pub(super) fn duration(text: &str) -> Result<Duration, NotADuration> {
    let number = text.split(',').next().unwrap_or_default().trim();
    let (number, negative) = match number.strip_prefix('-') {
        Some(rest) => (rest, true),
        None => (number.strip_prefix('+').unwrap_or(number), false),
    };
    if ["nan", "inf", "infinity"].iter().any(|word| number.eq_ignore_ascii_case(word)) {
        return Err(NotADuration::Impossible);
    }
    let (mantissa, exponent) = match number.split_once(['e', 'E']) {
        // Some printers write very short ones so.
        Some((mantissa, exponent)) => {
            (mantissa, i64::from(exponent.parse::<i32>().map_err(|_| NotADuration::Unreadable)?))
        }
        None => (number, 0),
    };
    let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
    if whole.is_empty() && fraction.is_empty() {
        return Err(NotADuration::Unreadable);
    }
    // Each digit has its place: 10⁹ nanoseconds are one before the point.
    let mut place = whole.len() as i64 + NANO_DIGITS + exponent;
    let mut nanos: u128 = 0;
    for digit in whole.bytes().chain(fraction.bytes()) {
        if !digit.is_ascii_digit() {
            return Err(NotADuration::Unreadable);
        }
        place -= 1;
        if digit == b'0' || place < 0 {
            continue;
        }
        let Ok(place) = u32::try_from(place) else { return Err(NotADuration::Impossible) };
        let value = 10_u128.checked_pow(place).and_then(|unit| unit.checked_mul(u128::from(digit - b'0')));
        nanos = value.and_then(|value| nanos.checked_add(value)).ok_or(NotADuration::Impossible)?;
    }
    if nanos > 0 && negative || nanos > u128::from(MAX_SEGMENT_SECONDS) * 1_000_000_000 {
        return Err(NotADuration::Impossible);
    }
    u64::try_from(nanos).map(Duration::from_nanos).map_err(|_| NotADuration::Impossible)
}

/// Length and, when stated, offset: `n[@o]` (section 4.4.4.2).
pub(super) fn byte_range(text: &str) -> Option<(u64, Option<u64>)> {
    match text.split_once('@') {
        Some((length, offset)) => Some((integer(length)?, Some(integer(offset)?))),
        None => Some((integer(text)?, None)),
    }
}

/// A decimal integer, and nothing else.
pub(super) fn integer(text: &str) -> Option<u64> {
    let text = text.trim();
    text.bytes().all(|byte| byte.is_ascii_digit()).then(|| text.parse().ok()).flatten()
}

/// `0x` and up to 32 hexadecimal digits (section 4.2 of the draft); shorter ones are padded on the left.
pub(super) fn vector(text: &str) -> Option<[u8; 16]> {
    let digits = text.strip_prefix("0x").or_else(|| text.strip_prefix("0X"))?;
    if digits.is_empty() || digits.len() > 32 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return None;
    }
    u128::from_str_radix(digits, 16).ok().map(u128::to_be_bytes)
}

/// Milliseconds since 1970 of a date and time of ISO 8601, as `2010-02-19T14:54:23.031+08:00`; without a zone it is UTC
/// (section 4.4.4.6).
pub(super) fn date_ms(text: &str) -> Option<i64> {
    let (date, rest) = text.trim().split_at_checked(10)?;
    let mut date = date.split('-').map(integer);
    let (year, month, day) = (date.next()??, date.next()??, date.next()??);
    let rest = rest.strip_prefix(['T', 't', ' '])?;
    let zone_at = rest.find(['Z', 'z', '+', '-']).unwrap_or(rest.len());
    let (time, zone) = rest.split_at(zone_at);
    let mut time = time.splitn(3, ':');
    let (hour, minute) = (integer(time.next()?)?, integer(time.next()?)?);
    let seconds = time.next().map_or(Ok(Duration::ZERO), duration).ok()?;
    // 24:00 and leap seconds are written, if rarely.
    let possible = (1..=12).contains(&month)
        && (1..=31).contains(&day)
        && year <= 9_999
        && hour <= 24
        && minute < 60
        && seconds < Duration::from_secs(61);
    if !possible {
        return None;
    }
    let minutes = days_since_1970(year, month, day)? * 1_440 + i64::try_from(hour * 60 + minute).ok()?
        - zone_minutes(zone)?;
    Some(minutes * 60_000 + i64::try_from(seconds.as_millis()).ok()?)
}

/// By the Gregorian calendar; a year begins in March here, so that the day that leap years add is its last.
fn days_since_1970(year: u64, month: u64, day: u64) -> Option<i64> {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year.checked_sub(1)?, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 1;
    i64::try_from(days).ok().map(|days| days - 719_468)
}

/// `Z`, `+08:00`, `+0800`, `-03`, or nothing for UTC.
fn zone_minutes(zone: &str) -> Option<i64> {
    let (sign, digits) = match zone.as_bytes().first() {
        None | Some(b'Z' | b'z') => return Some(0),
        Some(b'-') => (-1, &zone[1..]),
        Some(_) => (1, &zone[1..]),
    };
    let (hours, minutes) = match digits.split_once(':') {
        Some(parts) => parts,
        None => digits.split_at_checked(2)?,
    };
    let minutes = if minutes.is_empty() { 0 } else { integer(minutes)? };
    let hours = integer(hours).filter(|hours| *hours < 24)?;
    i64::try_from(hours * 60 + minutes.min(59)).ok().map(|minutes| sign * minutes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_are_exact() {
        for (text, nanos) in [
            ("4", Ok(4_000_000_000)),
            ("4.", Ok(4_000_000_000)),
            (".5", Ok(500_000_000)),
            ("9.009,title, with comma", Ok(9_009_000_000)),
            (" 4.0041 ,", Ok(4_004_100_000)),
            ("0", Ok(0)),
            ("-0.0", Ok(0)),
            ("+2", Ok(2_000_000_000)),
            ("0.0000000009", Ok(0)),
            ("2.00000000049999999999999999999", Ok(2_000_000_000)),
            ("9e-05", Ok(90_000)),
            ("1.5E1", Ok(15_000_000_000)),
            ("1e-2147483648", Ok(0)),
            ("00000000000000000000000000000000000000000000000006", Ok(6_000_000_000)),
            ("1000000", Ok(1_000_000_000_000_000)),
            ("1000000.1", Err(NotADuration::Impossible)),
            ("1e2147483647", Err(NotADuration::Impossible)),
            ("9e29", Err(NotADuration::Impossible)),
            ("-1", Err(NotADuration::Impossible)),
            ("NaN", Err(NotADuration::Impossible)),
            ("-inf", Err(NotADuration::Impossible)),
            ("Infinity", Err(NotADuration::Impossible)),
            ("", Err(NotADuration::Unreadable)),
            (",", Err(NotADuration::Unreadable)),
            (".", Err(NotADuration::Unreadable)),
            ("1.2.3", Err(NotADuration::Unreadable)),
            ("0x10", Err(NotADuration::Unreadable)),
            ("4s", Err(NotADuration::Unreadable)),
            ("1e", Err(NotADuration::Unreadable)),
        ] {
            assert_eq!(duration(text).map(|duration| duration.as_nanos()), nanos, "{text}");
        }
    }

    #[test]
    fn byte_ranges_are_two_numbers_or_one() {
        for (text, range) in [
            ("100@0", Some((100, Some(0)))),
            ("100", Some((100, None))),
            (" 1 @ 2 ", Some((1, Some(2)))),
            ("100@", None),
            ("@5", None),
            ("-1@0", None),
            ("+1", None),
            ("18446744073709551616", None),
            ("", None),
        ] {
            assert_eq!(byte_range(text), range, "{text}");
        }
    }

    #[test]
    fn dates_are_milliseconds_since_1970() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("2010-02-19T14:54:23.031+08:00", Some(1_266_562_463_031)),
            ("2010-02-19T06:54:23.031Z", Some(1_266_562_463_031)),
            ("2010-02-19T06:54:23.031", Some(1_266_562_463_031)),
            ("2010-02-19T03:24:23.031-0330", Some(1_266_562_463_031)),
            ("2016-06-22T09:20:16.166-04", Some(1_466_601_616_166)),
            ("2000-02-29T23:59:59Z", Some(951_868_799_000)),
            ("1969-12-31T23:59:59.5Z", Some(-500)),
            ("2024-12-31T24:00:00Z", Some(1_735_689_600_000)),
            ("2019-02-14", None),
            ("2019-13-14T00:00:00Z", None),
            ("2019-02-14T00:61:00Z", None),
            ("2019-02-14Tnoon", None),
            ("20190214T000000Z", None),
            ("ééééééééééé", None),
            ("", None),
        ] {
            assert_eq!(date_ms(text), ms, "{text}");
        }
    }
}
