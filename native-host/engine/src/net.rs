//! Asking servers.
//!
//! Owns the HTTP clients, the way through redirects, and what each host may see. Never writes files and never decides
//! what an answer means beyond its status. Invariant: credentials are sent to the place they were meant for and
//! nowhere else, and every address, redirects included, passes the door check first.

use std::error::Error as _;
use std::ops::ControlFlow;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap, HeaderName, HeaderValue};
use url::Url;

use crate::hosts::Slot;
use crate::ranges::Span;
use crate::source::{self, Method, Source};
use crate::{EngineError, EngineOptions, answer};

/// Redirects followed before giving up.
const MAX_REDIRECTS: usize = 10;
/// How often a waiting reader looks up to see whether it is still wanted.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Bytes that tell a page or a playlist from a file.
const PEEKED: usize = 512;
/// Connections kept open for reuse.
const IDLE_CONNECTIONS: usize = 32;

/// Which connections to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A connection for each request: parallel ranges of one file are meant to be several connections.
    Own,
    /// HTTP/2 where the server speaks it: many small requests share a connection.
    Shared,
}

/// Asks servers on behalf of downloads.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    own: reqwest::Client,
    shared: reqwest::Client,
    options: std::sync::Arc<EngineOptions>,
}

/// The head of an answer, its body still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    response: reqwest::Response,
    peeked: Option<Bytes>,
    patience: Duration,
    /// Counts the connection until the answer is let go of.
    _slot: Option<Slot>,
}

impl Net {
    pub(crate) fn new(options: std::sync::Arc<EngineOptions>) -> Result<Self, EngineError> {
        let client = |http1_only: bool| {
            let mut builder = reqwest::Client::builder()
                .user_agent(options.user_agent.clone())
                .redirect(reqwest::redirect::Policy::none())
                .referer(false)
                .connect_timeout(options.connect_timeout)
                .tcp_nodelay(true)
                .pool_max_idle_per_host(IDLE_CONNECTIONS)
                // A lost answer must come back as a fact: only the callers know whether asking again is right.
                .retry(reqwest::retry::never());
            if http1_only {
                builder = builder.http1_only();
            }
            builder.build().map_err(|error| EngineError::Internal(error.without_url().to_string()))
        };
        Ok(Self { own: client(true)?, shared: client(false)?, options })
    }

    pub(crate) fn options(&self) -> &EngineOptions {
        &self.options
    }

    /// Asks for `url` as `visitor`, whose credentials belong to the place of its own address. Follows redirects.
    /// Statuses are not judged here.
    pub(crate) async fn ask(
        &self,
        visitor: &Source,
        url: &Url,
        range: Option<Span>,
        lane: Lane,
    ) -> Result<Answer, EngineError> {
        let client = match lane {
            Lane::Own => &self.own,
            Lane::Shared => &self.shared,
        };
        let mut url = url.clone();
        let mut method = visitor.method;
        // Once a chain has left home nothing it says afterwards may use the credentials again.
        let mut at_home = true;
        for _ in 0..=MAX_REDIRECTS {
            self.check_door(&url)?;
            at_home &= source::same_place(&visitor.url, &url);
            // Shared connections are as few as they can be already.
            let slot = match lane {
                Lane::Own => Some(self.options.hosts.slot(&url).await),
                Lane::Shared => None,
            };
            let response = self.send(client, visitor, method, &url, range, at_home).await?;
            let status = response.status().as_u16();
            let location = matches!(status, 301 | 302 | 303 | 307 | 308)
                .then(|| answer::text(response.headers(), header::LOCATION))
                .flatten();
            let Some(location) = location else {
                return Ok(Answer {
                    status,
                    url,
                    headers: response.headers().clone(),
                    response,
                    peeked: None,
                    patience: self.options.patience,
                    _slot: slot,
                });
            };
            let mut next = url
                .join(location.trim())
                .map_err(|_| EngineError::BadUrl { address: "a redirect".to_owned() })?;
            if next.fragment().is_none() {
                next.set_fragment(url.fragment());
            }
            // Only 307 and 308 keep the method (RFC 9110 section 15.4).
            if status < 307 {
                method = Method::Get;
            }
            url = next;
        }
        Err(EngineError::TooManyRedirects)
    }

    fn check_door(&self, url: &Url) -> Result<(), EngineError> {
        if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
            return Err(EngineError::BadUrl { address: source::without_query(url) });
        }
        if self.options.deny.as_ref().is_some_and(|deny| deny(url)) {
            return Err(EngineError::OwnAddress);
        }
        Ok(())
    }

    async fn send(
        &self,
        client: &reqwest::Client,
        visitor: &Source,
        method: Method,
        url: &Url,
        range: Option<Span>,
        at_home: bool,
    ) -> Result<reqwest::Response, EngineError> {
        let mut bare = url.clone();
        // User info in an address is a credential: it goes out as a header, and only at home.
        let basic = (!url.username().is_empty() || url.password().is_some())
            .then(|| (percent_decoded(url.username()), url.password().map(percent_decoded)));
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let mut request = match method {
            Method::Get => client.get(bare),
            Method::Post => client.post(bare).body(visitor.body.clone().unwrap_or_default()),
        };
        request = request.headers(headers_for(visitor, method, url, range, at_home));
        if let Some((user, password)) = basic.filter(|_| at_home) {
            request = request.basic_auth(user, password);
        }
        let host = || url.host_str().unwrap_or_default().to_owned();
        match tokio::time::timeout(self.options.patience, request.send()).await {
            Err(_) => Err(EngineError::Timeout { host: host() }),
            Ok(Err(error)) => Err(classify(&error, host())),
            Ok(Ok(response)) => Ok(response),
        }
    }
}

fn percent_decoded(text: &str) -> String {
    percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned()
}

/// The request's headers for one hop.
fn headers_for(visitor: &Source, method: Method, url: &Url, range: Option<Span>, at_home: bool) -> HeaderMap {
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
        if !dropped {
            add(&name, value);
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
    }
    headers
}

/// A failed request or a broken body as a fact, without the address.
fn classify(error: &reqwest::Error, host: String) -> EngineError {
    if let Some(tls) = error.source().and_then(tls_cause) {
        return EngineError::Tls { host, reason: tls.to_string() };
    }
    if error.is_timeout() {
        EngineError::Timeout { host }
    } else if error.is_connect() {
        EngineError::Unreachable { host }
    } else if error.is_builder() {
        EngineError::BadUrl { address: host }
    } else {
        EngineError::broken("the connection was lost")
    }
}

/// The TLS failure somewhere behind an error. An I/O error hides what it was made from, so both ways are followed.
fn tls_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    hidden.and_then(|hidden| tls_cause(hidden)).or_else(|| error.source().and_then(tls_cause))
}

impl Answer {
    /// The error behind a status that is not a success.
    pub(crate) fn refusal(&self) -> Option<EngineError> {
        status_error(self.status)
    }

    /// The error for a part of a resource nobody asked a part of.
    pub(crate) fn unasked_part(&self) -> Option<EngineError> {
        (self.status == 206).then(|| EngineError::broken("the server sent a part of the file unasked"))
    }

    fn host(&self) -> String {
        self.url.host_str().unwrap_or_default().to_owned()
    }

    /// Waits at most one [`TICK`] for more of the body: bytes, its end (`Break`), or nothing yet.
    pub(crate) async fn poll(&mut self) -> Result<ControlFlow<(), Option<Bytes>>, EngineError> {
        if let Some(bytes) = self.peeked.take() {
            return Ok(ControlFlow::Continue(Some(bytes)));
        }
        match tokio::time::timeout(TICK, self.response.chunk()).await {
            Err(_) => Ok(ControlFlow::Continue(None)),
            Ok(Ok(Some(bytes))) => Ok(ControlFlow::Continue(Some(bytes))),
            Ok(Ok(None)) => Ok(ControlFlow::Break(())),
            Ok(Err(error)) => Err(classify(&error, self.host())),
        }
    }

    /// Waits for more of the body as long as patience lasts. `None` is its end.
    pub(crate) async fn chunk(&mut self) -> Result<Option<Bytes>, EngineError> {
        if let Some(bytes) = self.peeked.take() {
            return Ok(Some(bytes));
        }
        match tokio::time::timeout(self.patience, self.response.chunk()).await {
            Err(_) => Err(self.silence()),
            Ok(Ok(chunk)) => Ok(chunk),
            Ok(Err(error)) => Err(classify(&error, self.host())),
        }
    }

    /// The error for a body that stopped coming.
    pub(crate) fn silence(&self) -> EngineError {
        EngineError::Timeout { host: self.host() }
    }

    /// The first bytes of the body, without taking them: [`PEEKED`] or more, unless it is shorter or the server
    /// hesitates after the first few.
    pub(crate) async fn peek(&mut self) -> Result<&[u8], EngineError> {
        let mut start: Vec<Bytes> = self.peeked.take().into_iter().collect();
        while start.iter().map(Bytes::len).sum::<usize>() < PEEKED {
            let next = if start.is_empty() {
                self.chunk().await?
            } else {
                match self.poll().await? {
                    ControlFlow::Continue(Some(bytes)) => Some(bytes),
                    ControlFlow::Continue(None) | ControlFlow::Break(()) => None,
                }
            };
            match next {
                Some(bytes) => start.push(bytes),
                None => break,
            }
        }
        // One piece is the usual case and stays what it is.
        let whole = if start.len() == 1 { start.remove(0) } else { Bytes::from(start.concat()) };
        Ok(self.peeked.insert(whole))
    }

    /// The whole body, refused when it is larger than `limit` bytes.
    pub(crate) async fn whole(&mut self, limit: usize) -> Result<Vec<u8>, EngineError> {
        let too_large = || EngineError::broken("the answer is larger than it can be");
        if answer::content_length(&self.headers).is_some_and(|length| length > limit as u64) {
            return Err(too_large());
        }
        let mut out = Vec::new();
        while let Some(bytes) = self.chunk().await? {
            if out.len() + bytes.len() > limit {
                return Err(too_large());
            }
            out.extend_from_slice(&bytes);
        }
        Ok(out)
    }
}

/// The fact behind a status; none for a success.
pub(crate) fn status_error(status: u16) -> Option<EngineError> {
    Some(match status {
        200..=299 => return None,
        401 | 403 | 407 => EngineError::LoginRequired { status },
        404 | 410 => EngineError::Gone { status },
        _ => EngineError::HttpStatus { status },
    })
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

    fn sent(headers: &HeaderMap, name: &str) -> Vec<String> {
        headers.get_all(name).iter().map(|value| value.to_str().unwrap().to_owned()).collect()
    }

    #[test]
    fn at_home_the_caller_is_known_and_elsewhere_not() {
        let visitor = visitor();
        let home = headers_for(&visitor, Method::Get, &visitor.url, Some((10, 20)), true);
        assert_eq!(sent(&home, "authorization"), ["Bearer x"]);
        assert_eq!(sent(&home, "cookie"), ["from=field"]);
        assert_eq!(sent(&home, "range"), ["bytes=10-19"]);
        assert_eq!(sent(&home, "accept-encoding"), ["identity"]);
        assert!(sent(&home, "x-bad").is_empty());
        let away = headers_for(&visitor, Method::Get, &Url::parse("http://b.example/").unwrap(), None, false);
        for name in ["authorization", "cookie", "x-api-key", "referer", "range"] {
            assert!(sent(&away, name).is_empty(), "{name}");
        }
    }

    #[test]
    fn statuses_are_facts() {
        assert!(status_error(206).is_none());
        assert!(matches!(status_error(403), Some(EngineError::LoginRequired { status: 403 })));
        assert!(matches!(status_error(410), Some(EngineError::Gone { status: 410 })));
        assert!(status_error(503).unwrap().is_transient());
        assert!(!status_error(404).unwrap().is_transient());
    }
}
