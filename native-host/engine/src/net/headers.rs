//! What one request says about itself and its sender.
//!
//! Owns which of the caller's headers go to which place. Never decides about logins (see [`crate::auth`]). Invariant:
//! away from home nothing that proves who the caller is leaves.

use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::ranges::Span;
use crate::source::{self, Method, Source};

/// One request of a chain of redirects.
#[derive(Debug, Clone, Copy)]
pub(super) struct Hop<'a> {
    pub(super) visitor: &'a Source,
    pub(super) method: Method,
    pub(super) url: &'a Url,
    pub(super) range: Option<Span>,
    /// The range is wanted only while this validator is right (RFC 9110 section 13.1.5).
    pub(super) if_range: Option<&'a str>,
    /// It goes to the place the caller's credentials are for.
    pub(super) at_home: bool,
}

/// The request's headers, without those of a login.
pub(super) fn of(&Hop { visitor, method, url, range, if_range, at_home }: &Hop<'_>) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: &str| {
        let (Ok(name), Ok(value)) =
            (HeaderName::from_bytes(name.trim().as_bytes()), HeaderValue::from_str(value.trim()))
        else {
            return;
        };
        headers.append(name, value);
    };
    let downgrade = visitor.url.scheme() == "https" && url.scheme() == "http";
    for (name, value) in visitor.headers.iter().filter(|(name, _)| source::travels(name)) {
        let name = name.trim().to_ascii_lowercase();
        let dropped = (source::is_credential(&name) && !at_home)
            || (name == "cookie" && visitor.cookies.is_some())
            || (name == "referer" && downgrade)
            // Describes a body that is not sent.
            || (name.starts_with("content-") && method == Method::Get);
        if dropped {
            continue;
        }
        // Elsewhere only the place one comes from is told, as browsers do.
        match Url::parse(value).ok().filter(|_| name == "referer" && !at_home) {
            Some(page) => add(&name, &format!("{}/", page.origin().ascii_serialization())),
            None => add(&name, value),
        }
    }
    if let Some(cookies) = visitor.cookies.as_deref().filter(|_| at_home) {
        add("cookie", cookies);
    }
    // Offsets and sizes only mean something in the bytes as they are stored.
    headers.insert(header::ACCEPT_ENCODING, HeaderValue::from_static("identity"));
    if !headers.contains_key(header::ACCEPT) {
        headers.insert(header::ACCEPT, HeaderValue::from_static("*/*"));
    }
    if let Some((start, end)) = range
        && let Ok(value) = HeaderValue::from_str(&format!("bytes={start}-{}", end - 1))
    {
        headers.insert(header::RANGE, value);
        if let Some(value) = if_range.and_then(|validator| HeaderValue::from_str(validator).ok()) {
            headers.insert(header::IF_RANGE, value);
        }
    }
    headers
}

#[cfg(test)]
mod tests {
    use super::*;

    fn visitor() -> Source {
        let mut source = Source::get(Url::parse("https://a.example/f").unwrap());
        for (name, value) in [
            ("Authorization", "Bearer x"),
            ("Referer", "https://a.example/"),
            ("Range", "bytes=5-"),
            ("X-Api-Key", "k"),
            ("Cookie", "from=headers"),
            ("Accept-Encoding", "br"),
            ("bad name", "x"),
            ("X-Bad", "a\nb"),
        ] {
            source.headers.push((name.into(), value.into()));
        }
        source.cookies = Some("from=field".into());
        source
    }

    fn hop<'a>(visitor: &'a Source, url: &'a Url, at_home: bool) -> Hop<'a> {
        Hop { visitor, method: Method::Get, url, range: None, if_range: None, at_home }
    }

    fn sent(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn at_home_the_caller_is_known_and_elsewhere_not() {
        let visitor = visitor();
        let home =
            of(&Hop { range: Some((10, 20)), if_range: Some("\"1\""), ..hop(&visitor, &visitor.url, true) });
        assert_eq!(sent(&home, "authorization"), ["Bearer x"]);
        assert_eq!(sent(&home, "cookie"), ["from=field"]);
        assert_eq!(sent(&home, "range"), ["bytes=10-19"]);
        assert_eq!(sent(&home, "if-range"), ["\"1\""]);
        assert_eq!(sent(&home, "accept-encoding"), ["identity"]);
        assert!(sent(&home, "x-bad").is_empty());
        let away = of(&hop(&visitor, &Url::parse("http://b.example/").unwrap(), false));
        for name in ["authorization", "cookie", "x-api-key", "referer", "range", "if-range"] {
            assert!(sent(&away, name).is_empty(), "{name}");
        }
    }
}
