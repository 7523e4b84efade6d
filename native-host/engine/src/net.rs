//! Asking servers.
//!
//! Owns the HTTP clients, the way through redirects, and what each host may see. Never writes files and never decides
//! what an answer means beyond its status. Invariant: credentials are sent to the place they were meant for and
//! nowhere else, and every address, redirects included, passes the door check first.

mod clients;
mod failure;
mod headers;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use url::Url;

use crate::hosts::Slot;
use crate::ranges::Span;
use crate::source::{self, Method, Source};
use crate::{EngineError, EngineOptions, Login, answer};

use clients::{Clients, Pool};
pub(crate) use failure::status_error;

/// Redirects followed before giving up.
const MAX_REDIRECTS: usize = 10;
/// How often a waiting reader looks up to see whether it is still wanted.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Bytes that tell a page or a playlist from a file.
const PEEKED: usize = 512;

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
    pool: Arc<Pool>,
    options: Arc<EngineOptions>,
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
    pub(crate) fn new(options: Arc<EngineOptions>) -> Result<Self, EngineError> {
        Ok(Self { pool: Arc::new(Pool::new(Arc::clone(&options))?), options })
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
        let clients = self.pool.through(visitor.proxy.as_ref())?;
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
            let response = self.send(&clients, visitor, method, &url, range, lane, at_home).await?;
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

    #[allow(clippy::too_many_arguments)]
    async fn send(
        &self,
        clients: &Clients,
        visitor: &Source,
        method: Method,
        url: &Url,
        range: Option<Span>,
        lane: Lane,
        at_home: bool,
    ) -> Result<reqwest::Response, EngineError> {
        let mut bare = url.clone();
        // User info in an address is a credential: it goes out as a header, and only at home.
        let login = visitor.login.clone().or_else(|| Login::of_url(url)).filter(|_| at_home);
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let client = clients.lane(lane);
        let mut request = match method {
            Method::Get => client.get(bare),
            Method::Post => client.post(bare).body(visitor.body.clone().unwrap_or_default()),
        };
        request = request.headers(headers::of(visitor, method, url, range, at_home));
        if let Some(login) = login {
            request = request.basic_auth(login.user, Some(login.password));
        }
        match tokio::time::timeout(self.options.patience, request.send()).await {
            Err(_) => Err(EngineError::Timeout { host: url.host_str().unwrap_or_default().to_owned() }),
            Ok(Err(error)) => Err(failure::classify(&error, url, clients.proxy_for(url))),
            Ok(Ok(response)) if response.status() == 407 => Err(match clients.proxy_for(url) {
                Some(host) => EngineError::ProxyFailed {
                    host,
                    reason: "it wants a name and a password, or others".to_owned(),
                    refused: true,
                },
                None => EngineError::LoginRequired { status: 407 },
            }),
            Ok(Ok(response)) => Ok(response),
        }
    }
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
            Ok(Err(error)) => Err(failure::classify(&error, &self.url, None)),
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
            Ok(Err(error)) => Err(failure::classify(&error, &self.url, None)),
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
