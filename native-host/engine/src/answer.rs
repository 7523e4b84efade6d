//! What the head of an HTTP answer says, as values.
//!
//! Owns the reading of `Content-Range`, validators, sizes and names, and the verdict whether an answer to a ranged
//! request may be written into the middle of a file. Never does I/O. Invariant: a verdict of "fits" means that start,
//! end, total, encoding and every validator both sides know agree.

use std::time::{Duration, SystemTime};

use reqwest::header::{self, HeaderMap};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::ranges::Span;

/// Longest validator that is kept; a longer one is no use as an identity.
const MAX_VALIDATOR: usize = 1024;
/// Longest wait a server may ask for before the next try.
const MAX_RETRY_AFTER: Duration = Duration::from_secs(24 * 60 * 60);

/// Between a file's last change and an answer about it, so that its date tells every later change.
const STRONG_AGE: Duration = Duration::from_secs(60);

/// Many servers call a file that is a gzip archive "gzip-encoded", although it was asked for as it is stored: unpacked it
/// would not be what its name says.
pub(crate) fn is_stored_gzip(headers: &HeaderMap, urls: &[&Url]) -> bool {
    let typed = content_type(headers).is_some_and(|kind| {
        matches!(
            kind.as_str(),
            "application/gzip" | "application/x-gzip" | "application/x-tgz" | "application/x-gtar-compressed"
        )
    });
    let named = urls.iter().any(|url| {
        let path = url.path().to_ascii_lowercase();
        [".gz", ".tgz", ".svgz"].iter().any(|end| path.ends_with(end))
    });
    coding(headers) == Coding::Gzip && (typed || named)
}

/// What tells one state of a resource from another (RFC 9110 section 8.8).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Validators {
    pub(crate) etag: Option<String>,
    pub(crate) last_modified: Option<String>,
    /// The date was old enough when it was read: nothing can have changed the file within the same second since
    /// (RFC 9110 section 8.8.2.2).
    #[serde(default)]
    pub(crate) date_is_strong: bool,
}

/// How far two sets of validators agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Agreement {
    /// The same strong entity tag: the same bytes.
    Proven,
    /// The same date or weak tag: probably the same bytes.
    Likely,
    /// Nothing in common to compare.
    Unknown,
    /// Another state of the resource.
    Different,
}

impl Validators {
    pub(crate) fn read(headers: &HeaderMap) -> Self {
        let keep =
            |name| text(headers, name).filter(|value| !value.is_empty() && value.len() <= MAX_VALIDATOR);
        let last_modified = keep(header::LAST_MODIFIED);
        let age = |changed: &String| {
            date(headers, header::DATE)?.duration_since(httpdate::parse_http_date(changed).ok()?).ok()
        };
        let date_is_strong = last_modified.as_ref().and_then(age).is_some_and(|age| age >= STRONG_AGE);
        Self { etag: keep(header::ETAG), last_modified, date_is_strong }
    }

    /// What may stand in `If-Range`: the strong tag, else the date if it is as good as one.
    pub(crate) fn condition(&self) -> Option<&str> {
        self.strong().or_else(|| {
            // A weak tag says that the date is not to be trusted to the byte either.
            self.last_modified.as_deref().filter(|_| self.date_is_strong && self.etag.is_none())
        })
    }

    /// Both know the date of the last change, and it is the same.
    pub(crate) fn same_date(&self, other: &Self) -> bool {
        self.last_modified.is_some() && self.last_modified == other.last_modified
    }

    fn strong(&self) -> Option<&str> {
        self.etag.as_deref().filter(|etag| !etag.starts_with("W/"))
    }

    /// Nothing that could tell one state from another.
    pub(crate) fn are_missing(&self) -> bool {
        self.etag.is_none() && self.last_modified.is_none()
    }

    /// They tell every change.
    pub(crate) fn are_strong(&self) -> bool {
        self.strong().is_some()
    }

    pub(crate) fn agree(&self, other: &Self) -> Agreement {
        match (self.strong(), other.strong()) {
            (Some(a), Some(b)) if a == b => return Agreement::Proven,
            (Some(_), Some(_)) => return Agreement::Different,
            _ => {}
        }
        // A weak tag may differ between the nodes of one server for the same bytes, so only its equality counts.
        let tag = matches!((&self.etag, &other.etag), (Some(a), Some(b)) if weak(a) == weak(b));
        match (&self.last_modified, &other.last_modified) {
            (Some(a), Some(b)) if a == b => Agreement::Likely,
            (Some(_), Some(_)) => Agreement::Different,
            _ if tag => Agreement::Likely,
            _ => Agreement::Unknown,
        }
    }
}

fn weak(etag: &str) -> &str {
    etag.strip_prefix("W/").unwrap_or(etag)
}

/// `Content-Range: bytes first-last/total` (RFC 9110 section 14.4), the end exclusive.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ContentRange {
    pub(crate) span: Span,
    pub(crate) total: Option<u64>,
}

impl ContentRange {
    pub(crate) fn parse(value: &str) -> Option<Self> {
        let (unit, rest) = value.trim().split_once([' ', '='])?;
        if !unit.eq_ignore_ascii_case("bytes") {
            return None;
        }
        let (range, total) = rest.trim().split_once('/')?;
        let (first, last) = range.split_once('-')?;
        let (first, last) = (number(first)?, number(last)?);
        let total = match total.trim() {
            "*" => None,
            total => Some(number(total)?),
        };
        let end = last.checked_add(1)?;
        (first < end && total.is_none_or(|total| end <= total)).then_some(Self { span: (first, end), total })
    }
}

/// Digits only: a sign or a space would be another protocol's number.
fn number(text: &str) -> Option<u64> {
    let text = text.trim();
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())).then(|| text.parse().ok())?
}

/// How the body is wrapped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Coding {
    Identity,
    Gzip,
    /// Compressed in a way that was not asked for and is not understood.
    Foreign,
}

pub(crate) fn coding(headers: &HeaderMap) -> Coding {
    match text(headers, header::CONTENT_ENCODING).unwrap_or_default().trim().to_ascii_lowercase().as_str() {
        "" | "identity" | "none" | "binary" => Coding::Identity,
        "gzip" | "x-gzip" => Coding::Gzip,
        _ => Coding::Foreign,
    }
}

/// Media type in lower case, without parameters.
pub(crate) fn content_type(headers: &HeaderMap) -> Option<String> {
    let value = text(headers, header::CONTENT_TYPE)?;
    let kind = value.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    (!kind.is_empty()).then_some(kind)
}

/// A header as text. Names arrive in UTF-8 or Latin-1, whatever the standard says.
pub(crate) fn text(headers: &HeaderMap, name: impl header::AsHeaderName) -> Option<String> {
    let bytes = headers.get(name)?.as_bytes();
    Some(match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().copied().map(char::from).collect(),
    })
}

/// The announced size of this body.
pub(crate) fn content_length(headers: &HeaderMap) -> Option<u64> {
    number(headers.get(header::CONTENT_LENGTH)?.to_str().ok()?)
}

/// Ranges are refused in so many words.
pub(crate) fn refuses_ranges(headers: &HeaderMap) -> bool {
    text(headers, header::ACCEPT_RANGES).is_some_and(|value| value.trim().eq_ignore_ascii_case("none"))
}

/// Ranges are offered in so many words.
pub(crate) fn offers_ranges(headers: &HeaderMap) -> bool {
    text(headers, header::ACCEPT_RANGES).is_some_and(|value| value.trim().eq_ignore_ascii_case("bytes"))
}

/// `Retry-After`: how long to wait (RFC 9110 section 10.2.3), bounded. A moment is seen from the server's own clock
/// where it tells its time, so that only its distance counts, and ours may be wrong or jump.
pub(crate) fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    retry_after_at(headers, SystemTime::now())
}

fn retry_after_at(headers: &HeaderMap, now: SystemTime) -> Option<Duration> {
    let value = text(headers, header::RETRY_AFTER)?;
    let wait = match number(&value) {
        Some(seconds) => Duration::from_secs(seconds),
        None => {
            let moment = httpdate::parse_http_date(value.trim()).ok()?;
            moment.duration_since(date(headers, header::DATE).unwrap_or(now)).unwrap_or_default()
        }
    };
    Some(wait.min(MAX_RETRY_AFTER))
}

fn date(headers: &HeaderMap, name: header::HeaderName) -> Option<SystemTime> {
    httpdate::parse_http_date(text(headers, name)?.trim()).ok()
}

/// What an answer to a ranged request is worth.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// These bytes, and how sure it is that they belong to the same content.
    Fits { span: Span, agreement: Agreement },
    /// The server does not do this range; its body must not be used for it.
    Refused(&'static str),
    /// The content is no longer the same.
    Changed,
}

/// Judges a 206 for `wanted` of a file known to be `total` bytes with `known` validators.
pub(crate) fn judge(headers: &HeaderMap, wanted: Span, total: u64, known: &Validators) -> Verdict {
    if content_type(headers).is_some_and(|kind| kind == "multipart/byteranges") {
        return Verdict::Refused("several ranges in one answer");
    }
    if coding(headers) != Coding::Identity {
        return Verdict::Refused("a compressed range");
    }
    let Some(range) = text(headers, header::CONTENT_RANGE).as_deref().and_then(ContentRange::parse) else {
        return Verdict::Refused("no usable Content-Range");
    };
    if range.total.is_some_and(|now| now != total) {
        return Verdict::Changed;
    }
    let agreement = known.agree(&Validators::read(headers));
    if agreement == Agreement::Different {
        return Verdict::Changed;
    }
    // A shorter range is legal, another start or a longer one is not what was asked for.
    if range.span.0 != wanted.0 || range.span.1 > wanted.1 {
        return Verdict::Refused("another range than asked for");
    }
    if content_length(headers).is_some_and(|length| length != range.span.1 - range.span.0) {
        return Verdict::Refused("a length that contradicts its Content-Range");
    }
    Verdict::Fits { span: range.span, agreement }
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn headers(pairs: &[(&str, &str)]) -> HeaderMap {
        pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect()
    }

    #[test]
    fn content_range_is_read_strictly() {
        let good = ContentRange { span: (10, 20), total: Some(100) };
        assert_eq!(ContentRange::parse("bytes 10-19/100"), Some(good));
        assert_eq!(ContentRange::parse("Bytes 10-19/100"), Some(good));
        assert_eq!(ContentRange::parse("bytes 10-19/*").unwrap().total, None);
        for bad in [
            "bytes */100",
            "bytes 19-10/100",
            "bytes 10-100/100",
            "items 0-1/2",
            "bytes 0-18446744073709551615/*",
            "bytes -1-5/9",
            "bytes +1-5/9",
            "10-19/100",
            "",
            "bytes 10-19",
        ] {
            assert_eq!(ContentRange::parse(bad), None, "{bad}");
        }
    }

    #[test]
    fn validators_prove_suspect_or_deny() {
        let with = |etag: &str, date: &str| Validators {
            etag: (!etag.is_empty()).then(|| etag.to_owned()),
            last_modified: (!date.is_empty()).then(|| date.to_owned()),
            date_is_strong: false,
        };
        for (a, b, agreement) in [
            (with("\"1\"", ""), with("\"1\"", ""), Agreement::Proven),
            (with("\"1\"", "d"), with("\"2\"", "d"), Agreement::Different),
            (with("W/\"1\"", ""), with("W/\"1\"", ""), Agreement::Likely),
            (with("W/\"1\"", "d"), with("W/\"2\"", "d"), Agreement::Likely),
            (with("W/\"1\"", ""), with("W/\"2\"", ""), Agreement::Unknown),
            (with("", "d"), with("", "d"), Agreement::Likely),
            (with("", "d"), with("", "e"), Agreement::Different),
            (with("\"1\"", "d"), with("", "d"), Agreement::Likely),
            (with("\"1\"", ""), with("", ""), Agreement::Unknown),
        ] {
            assert_eq!(a.agree(&b), agreement, "{a:?} {b:?}");
        }
    }

    #[test]
    fn only_strong_validators_make_a_condition() {
        let changed = "Wed, 21 Oct 2026 07:28:00 GMT";
        let of = |pairs: &[(&str, &str)]| Validators::read(&headers(pairs)).condition().map(str::to_owned);
        let later = ("date", "Wed, 21 Oct 2026 07:29:00 GMT");
        let date = ("last-modified", changed);
        assert_eq!(of(&[("etag", "\"1\""), date]), Some("\"1\"".into()));
        assert_eq!(of(&[date, later]), Some(changed.into()));
        for none in [
            &[date][..],
            &[date, ("date", "Wed, 21 Oct 2026 07:28:59 GMT")],
            &[date, ("date", "Wed, 21 Oct 2026 07:20:00 GMT")],
            &[("etag", "W/\"1\""), date, later],
            &[later],
            &[("last-modified", "yesterday"), later],
        ] {
            assert_eq!(of(none), None, "{none:?}");
        }
    }

    #[test]
    fn only_the_range_asked_for_of_the_same_content_fits() {
        let known = Validators { etag: Some("\"1\"".into()), ..Validators::default() };
        let judged = |pairs: &[(&str, &str)]| judge(&headers(pairs), (10, 20), 100, &known);
        let fits = |agreement| Verdict::Fits { span: (10, 20), agreement };
        assert_eq!(
            judged(&[("content-range", "bytes 10-19/100"), ("etag", "\"1\"")]),
            fits(Agreement::Proven)
        );
        assert_eq!(judged(&[("content-range", "bytes 10-19/100")]), fits(Agreement::Unknown));
        assert!(matches!(
            judged(&[("content-range", "bytes 10-14/100")]),
            Verdict::Fits { span: (10, 15), .. }
        ));
        assert_eq!(judged(&[("content-range", "bytes 10-19/101")]), Verdict::Changed);
        assert_eq!(judged(&[("content-range", "bytes 10-19/100"), ("etag", "\"2\"")]), Verdict::Changed);
        for refused in [
            &[("content-range", "bytes 0-9/100")][..],
            &[("content-range", "bytes 10-20/100")],
            &[("content-range", "nonsense")],
            &[],
            &[("content-range", "bytes 10-19/100"), ("content-encoding", "gzip")],
            &[("content-range", "bytes 10-19/100"), ("content-length", "11")],
            &[("content-type", "multipart/byteranges; boundary=x")],
        ] {
            assert!(matches!(judged(refused), Verdict::Refused(_)), "{refused:?}");
        }
    }

    #[test]
    fn retry_after_is_bounded() {
        assert_eq!(retry_after(&headers(&[("retry-after", "3")])), Some(Duration::from_secs(3)));
        assert_eq!(retry_after(&headers(&[("retry-after", "99999999")])), Some(MAX_RETRY_AFTER));
        assert_eq!(retry_after(&headers(&[("retry-after", "soon")])), None);
        let moment = "Wed, 21 Oct 2026 07:28:00 GMT";
        let at = |date: &str, now: &str| {
            let now = httpdate::parse_http_date(now).unwrap();
            let pairs = [("retry-after", moment), ("date", date)];
            retry_after_at(&headers(&pairs[..if date.is_empty() { 1 } else { 2 }]), now)
        };
        let seconds = |n| Some(Duration::from_secs(n));
        assert_eq!(at("", "Wed, 21 Oct 2026 07:27:30 GMT"), seconds(30));
        // The server's own time is the reference, whatever ours is: years off, or before the beginning of time.
        for now in [
            "Wed, 21 Oct 2026 07:27:30 GMT",
            "Fri, 01 Jan 2100 00:00:00 GMT",
            "Thu, 01 Jan 1970 00:00:00 GMT",
        ] {
            assert_eq!(at("Wed, 21 Oct 2026 07:27:57 GMT", now), seconds(3), "{now}");
        }
        // Past, or far away, as a clock that jumped makes it.
        assert_eq!(at("", "Fri, 01 Jan 2100 00:00:00 GMT"), seconds(0));
        assert_eq!(at("", "Thu, 01 Jan 1970 00:00:00 GMT"), Some(MAX_RETRY_AFTER));
        assert_eq!(at("no date", "Wed, 21 Oct 2026 07:27:30 GMT"), seconds(30));
    }
}
