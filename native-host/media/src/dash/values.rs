//! Attribute values: lengths of time, dates, byte ranges, ratios.
//!
//! Never guesses: what is not written as the schema demands is no value. Invariant: every length of time fits into
//! microseconds of an `i64` many times over.

use std::time::Duration;

use crate::segment::ByteRange;

/// Longest time that is believed, in seconds: 3,000 years, because presentations may count from 1970 or from year 1.
const MAX_SECONDS: u128 = 100_000_000_000;
const NANOS: u128 = 1_000_000_000;

/// An `xs:duration` that is not negative: `PT1H2M3.5S`, `P1D`. A year counts 365 days and a month 30.
pub(super) fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.trim().strip_prefix('P')?;
    let mut in_time = false;
    let mut any = false;
    let mut nanos = 0_u128;
    while !rest.is_empty() {
        if let Some(after) = rest.strip_prefix('T') {
            if in_time {
                return None;
            }
            in_time = true;
            rest = after;
            continue;
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.' && c != ',')?;
        let (number, after) = rest.split_at(end);
        let unit = after.chars().next()?;
        let seconds: u128 = match (in_time, unit) {
            (false, 'Y') => 365 * 86_400,
            (false, 'M') => 30 * 86_400,
            (false, 'W') => 7 * 86_400,
            (false, 'D') => 86_400,
            (true, 'H') => 3600,
            (true, 'M') => 60,
            (true, 'S') => 1,
            _ => return None,
        };
        nanos = nanos.checked_add(nanos_of(number)?.checked_mul(seconds)?)?;
        any = true;
        rest = after.get(unit.len_utf8()..)?;
    }
    if !any || nanos > MAX_SECONDS * NANOS {
        return None;
    }
    Some(Duration::new(u64::try_from(nanos / NANOS).ok()?, u32::try_from(nanos % NANOS).ok()?))
}

/// A decimal number of seconds in nanoseconds; digits beyond the ninth are cut.
fn nanos_of(number: &str) -> Option<u128> {
    let (whole, fraction) = number.split_once(['.', ',']).unwrap_or((number, ""));
    if (whole.is_empty() && fraction.is_empty()) || fraction.contains(['.', ',']) || whole.len() > 20 {
        return None;
    }
    let whole: u128 = if whole.is_empty() { 0 } else { whole.parse().ok()? };
    let mut nanos = 0_u128;
    for digit in 0..9 {
        nanos = nanos * 10 + fraction.as_bytes().get(digit).map_or(0, |byte| u128::from(byte - b'0'));
    }
    whole.checked_mul(NANOS)?.checked_add(nanos)
}

/// A decimal number of seconds in microseconds, perhaps negative.
pub(super) fn seconds_us(text: &str) -> Option<i64> {
    let text = text.trim();
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |rest| (-1, rest));
    if !digits.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    let nanos = nanos_of(digits)?;
    (nanos <= MAX_SECONDS * NANOS).then(|| i64::try_from(nanos / 1000).ok().map(|us| sign * us))?
}

/// An `xs:dateTime` in milliseconds since 1970; without a zone it is UTC, as section 5.3.1.2 of the standard says. Servers
/// of the scheme `http-iso` answer with such a text too.
///
/// ```
/// # use weir_media::dash::unix_ms;
/// assert_eq!(unix_ms("1970-01-02T00:00:01.5Z"), Some(86_401_500));
/// ```
#[must_use]
pub fn unix_ms(text: &str) -> Option<i64> {
    let text = text.trim();
    let (date, time) = text.split_once(['T', ' '])?;
    let mut parts = date.split('-');
    let mut next = |range: std::ops::RangeInclusive<i64>| number(parts.next()?, range);
    let (year, month, day) = (next(1..=9999)?, next(1..=12)?, next(1..=31)?);
    if parts.next().is_some() {
        return None;
    }
    let zone_at = time.find(['Z', 'z', '+', '-']).unwrap_or(time.len());
    let (clock, zone) = time.split_at(zone_at);
    let mut parts = clock.split(':');
    let mut next = |range: std::ops::RangeInclusive<i64>| number(parts.next()?, range);
    let (hour, minute) = (next(0..=24)?, next(0..=59)?);
    let seconds = parts.next().unwrap_or("0");
    if parts.next().is_some() || !seconds.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.') {
        return None;
    }
    // A leap second is the first of the next minute.
    let millis = i64::try_from(nanos_of(seconds)? / 1_000_000).ok().filter(|millis| *millis < 61_000)?;
    let offset_minutes = match zone.strip_prefix(['+', '-']) {
        None => 0,
        Some(ahead) => {
            let (hours, minutes) = match ahead.split_once(':') {
                Some(pair) => pair,
                None => (ahead.get(..2)?, ahead.get(2..).filter(|rest| !rest.is_empty()).unwrap_or("0")),
            };
            let minutes = number(hours, 0..=14)? * 60 + number(minutes, 0..=59)?;
            if zone.starts_with('-') { -minutes } else { minutes }
        }
    };
    let minutes = (days_since_1970(year, month, day) * 24 + hour) * 60 + minute - offset_minutes;
    Some(minutes * 60_000 + millis)
}

fn number(text: &str, range: std::ops::RangeInclusive<i64>) -> Option<i64> {
    if text.len() > 4 || !text.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    text.parse().ok().filter(|number| range.contains(number))
}

/// Days of the Gregorian calendar; years begin in March here, so that the leap day is the last.
fn days_since_1970(year: i64, month: i64, day: i64) -> i64 {
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let before_month = (month * 153 + 2) / 5;
    year * 365 + year.div_euclid(4) - year.div_euclid(100) + year.div_euclid(400) + before_month + day
        - 1
        - 719_468
}

/// `first-last`, both inclusive.
pub(super) fn byte_range(text: &str) -> Option<ByteRange> {
    let (first, last) = text.trim().split_once('-')?;
    let (offset, last): (u64, u64) = (first.parse().ok()?, last.parse().ok()?);
    // The end of a range has to be a number too.
    let end = last.checked_add(1)?;
    Some(ByteRange { offset, length: end.checked_sub(offset).filter(|length| *length > 0)? })
}

/// `30` or `30000/1001`.
pub(super) fn ratio(text: &str) -> Option<f64> {
    let (over, under) = text.trim().split_once('/').unwrap_or((text.trim(), "1"));
    let ratio = over.trim().parse::<f64>().ok()? / under.trim().parse::<f64>().ok()?;
    (ratio.is_finite() && ratio > 0.0).then_some(ratio)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_are_read_exactly() {
        for (text, millis) in [
            ("PT0S", Some(0)),
            ("PT9.97S", Some(9970)),
            ("PT1H2M3.5S", Some(3_723_500)),
            ("P1DT1S", Some(86_401_000)),
            ("P0Y0M0DT0H3M30.000S", Some(210_000)),
            ("P1W", Some(604_800_000)),
            ("PT.5S", Some(500)),
            (" PT2S ", Some(2000)),
            ("PT1.0000000000000000000000000000000000001S", Some(1000)),
            ("-PT1S", None),
            ("PT", None),
            ("P", None),
            ("", None),
            ("PTNaNS", None),
            ("PT1", None),
            ("1S", None),
            ("PT1X", None),
            ("P1S", None),
            ("PT1T1S", None),
            ("PT1..2S", None),
            ("PT99999999999999999999999999S", None),
            ("PT99999999999999S", None),
            ("PT1é", None),
        ] {
            assert_eq!(duration(text), millis.map(Duration::from_millis), "{text}");
        }
    }

    #[test]
    fn dates_are_read_with_and_without_a_zone() {
        for (text, ms) in [
            ("1970-01-01T00:00:00Z", Some(0)),
            ("1970-01-01T00:00:00", Some(0)),
            ("2000-02-29T12:00:00.250Z", Some(951_825_600_250)),
            ("2026-11-21T10:00:00+02:00", Some(1_795_248_000_000)),
            ("2026-11-21T10:00:00-0530", Some(1_795_275_000_000)),
            ("1969-12-31T23:59:59Z", Some(-1000)),
            ("2026-11-21", None),
            ("2026-13-21T10:00:00Z", None),
            ("now", None),
            ("2026-11-21T10:00:xxZ", None),
            ("2026-11-21T1é:00:00Z", None),
            ("2026-11-21T10:00:00+é", None),
        ] {
            assert_eq!(unix_ms(text), ms, "{text}");
        }
    }

    #[test]
    fn ranges_that_cannot_be_are_none() {
        assert_eq!(byte_range("0-719"), Some(ByteRange { offset: 0, length: 720 }));
        assert_eq!(byte_range("7-7"), Some(ByteRange { offset: 7, length: 1 }));
        assert_eq!(
            byte_range("10000000000-19999999999"),
            Some(ByteRange { offset: 10_000_000_000, length: 10_000_000_000 })
        );
        for text in ["", "5", "5-", "-5", "9-7", "0-18446744073709551615", "a-b", "1-2-3"] {
            assert_eq!(byte_range(text), None, "{text}");
        }
        assert_eq!(ratio("25"), Some(25.0));
        assert!((ratio("30000/1001").unwrap() - 29.97).abs() < 0.001);
        for text in ["", "0", "1/0", "NaN", "-5", "a/b"] {
            assert_eq!(ratio(text), None, "{text}");
        }
    }
}
