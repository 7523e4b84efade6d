//! Asking servers.
//!
//! Owns the HTTP clients, the way through redirects, and what each host may see. Never writes files and never decides
//! what an answer means beyond its status. Invariant: credentials are sent to the place they were meant for and
//! nowhere else, and every address, redirects included, passes the door check first.

mod clients;
mod failure;
mod headers;
mod logins;

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use reqwest::header::{self, HeaderMap};
use url::Url;

use crate::hosts::Slot;
use crate::ranges::Span;
use crate::source::{self, Method, Source};
use crate::{EngineError, EngineOptions, Tuning, answer};

use clients::{Clients, Pool};
pub(crate) use failure::status_error;
use headers::Hop;
use logins::Logins;

/// Redirects followed before giving up.
const MAX_REDIRECTS: usize = 10;
/// How often a waiting reader looks up to see whether it is still wanted.
pub(crate) const TICK: Duration = Duration::from_millis(250);
/// Largest rest of a challenge that is read for the sake of its connection.
const MAX_DRAINED: u64 = 64 * 1024;
/// Bytes that tell a page or a playlist from a file.
const PEEKED: usize = 512;

/// Which connections to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Lane {
    /// A connection for each request, over HTTP/1.1: parallel ranges of one file are meant to be several connections,
    /// because servers and networks limit each of them. That costs nothing where nobody limits: 200 MB over TLS from
    /// nginx on loopback took 0.80 s over 8 connections and 0.95 s over 8 streams of one HTTP/2 connection (medians of
    /// 7 runs; one request alone 0.72 and 0.83). A server without HTTP/1.1 is asked in the shared lane.
    Own,
    /// HTTP/2 where the server speaks it: many small requests share a connection.
    Shared,
}

/// Asks servers on behalf of downloads.
#[derive(Debug, Clone)]
pub(crate) struct Net {
    pool: Arc<Pool>,
    logins: Arc<Logins>,
    options: Arc<EngineOptions>,
}

/// The head of an answer, its body still to come.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Where it came from in the end.
    pub(crate) url: Url,
    pub(crate) headers: HeaderMap,
    /// Who one is was said, and not taken.
    login_refused: bool,
    response: reqwest::Response,
    peeked: Option<Bytes>,
    patience: Duration,
    /// Counts the connection until the answer is let go of.
    _slot: Option<Slot>,
}

impl Net {
    pub(crate) fn new(options: Arc<EngineOptions>) -> Result<Self, EngineError> {
        let logins = Arc::new(Logins::new(options.netrc.clone()));
        Ok(Self { pool: Arc::new(Pool::new(Arc::clone(&options))?), logins, options })
    }

    /// See [`crate::Engine::tuned`].
    pub(crate) fn tuned(&self, tuning: &Tuning) -> Result<Self, EngineError> {
        if *tuning == Tuning::default() {
            return Ok(self.clone());
        }
        let mut options = EngineOptions::clone(&self.options);
        options.retries = tuning.retries.unwrap_or(options.retries);
        let mut pool = Arc::clone(&self.pool);
        if let Some(patience) = tuning.patience {
            options.patience = patience;
            options.connect_timeout = options.connect_timeout.min(patience);
            // How long a connection is waited for is a matter of the client that makes it.
            pool = Arc::new(Pool::new(Arc::new(options.clone()))?);
        }
        let logins = match &tuning.netrc {
            Some(netrc) => {
                options.netrc = Some(netrc.clone());
                Arc::new(Logins::new(options.netrc.clone()))
            }
            None => Arc::clone(&self.logins),
        };
        Ok(Self { pool, logins, options: Arc::new(options) })
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
        self.ask_if(visitor, url, range, None, lane).await
    }

    /// The same for a range that is wanted only while the validator `if_range` is right: any other server state is
    /// answered whole.
    pub(crate) async fn ask_if(
        &self,
        visitor: &Source,
        url: &Url,
        range: Option<Span>,
        if_range: Option<&str>,
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
            let mut slot = match lane {
                Lane::Own => Some(self.options.hosts.slot(&url).await),
                Lane::Shared => None,
            };
            let hop = Hop { visitor, method, url: &url, range, if_range, at_home };
            let (response, login_refused) = self.answered(&clients, &hop, lane).await?;
            let status = response.status().as_u16();
            if let Some(slot) = &mut slot {
                slot.served = status < 400;
            }
            let location = matches!(status, 301 | 302 | 303 | 307 | 308)
                .then(|| answer::text(response.headers(), header::LOCATION))
                .flatten();
            let Some(location) = location else {
                let mut answer_headers = response.headers().clone();
                if answer::is_stored_gzip(&answer_headers, &[&visitor.url, &url]) {
                    answer_headers.remove(header::CONTENT_ENCODING);
                }
                return Ok(Answer {
                    status,
                    url,
                    headers: answer_headers,
                    login_refused,
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

    /// Sends a request, and says who one is as long as the server asks and there is something new to say.
    async fn answered(
        &self,
        clients: &Clients,
        hop: &Hop<'_>,
        lane: Lane,
    ) -> Result<(reqwest::Response, bool), EngineError> {
        let mut attempt = self.logins.attempt(hop.visitor, hop.url, hop.method, hop.at_home);
        loop {
            let mut headers = headers::of(hop);
            if attempt.replaces_header() {
                headers.remove(header::AUTHORIZATION);
            }
            if let Some(authorization) = attempt.authorization() {
                headers.insert(header::AUTHORIZATION, authorization);
            }
            let said = headers.contains_key(header::AUTHORIZATION);
            let mut response = self.send(clients, hop, headers, lane).await?;
            if response.status() != 401 || !attempt.challenged(response.headers()).await? {
                let refused = response.status() == 401 && said;
                return Ok((response, refused));
            }
            // A connection is worth reusing when the rest of its answer is short.
            let short = response.content_length().is_some_and(|length| length <= MAX_DRAINED);
            while short && matches!(tokio::time::timeout(TICK, response.chunk()).await, Ok(Ok(Some(_)))) {}
        }
    }

    async fn send(
        &self,
        clients: &Clients,
        hop: &Hop<'_>,
        headers: HeaderMap,
        lane: Lane,
    ) -> Result<reqwest::Response, EngineError> {
        let mut bare = hop.url.clone();
        // User info is a credential: it goes out as a header or not at all.
        let _ = bare.set_username("");
        let _ = bare.set_password(None);
        let mut lane = self.pool.lane(hop.url, lane);
        loop {
            let client = clients.lane(lane, hop.url)?;
            let request = match hop.method {
                Method::Get => client.get(bare.clone()),
                Method::Post => client.post(bare.clone()).body(hop.visitor.body.clone().unwrap_or_default()),
            };
            let proxy = || clients.proxy_for(hop.url);
            let request = request.headers(headers.clone()).send();
            match tokio::time::timeout(self.options.patience, request).await {
                Err(_) => {
                    return Err(EngineError::Timeout {
                        host: hop.url.host_str().unwrap_or_default().to_owned(),
                    });
                }
                Ok(Err(error)) if lane == Lane::Own && failure::is_protocol_refused(&error) => {
                    self.pool.speaks_http2_only(hop.url);
                    lane = Lane::Shared;
                }
                Ok(Err(error)) => return Err(failure::classify(&error, hop.url, proxy())),
                Ok(Ok(response)) if response.status() == 407 => {
                    return Err(match proxy() {
                        Some(host) => failure::proxy_wants_login(host),
                        None => EngineError::LoginRequired { status: 407 },
                    });
                }
                Ok(Ok(response)) => return Ok(response),
            }
        }
    }
}

impl Answer {
    /// The error behind a status that is not a success.
    pub(crate) fn refusal(&self) -> Option<EngineError> {
        if self.login_refused {
            return Some(EngineError::LoginRefused { status: self.status });
        }
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
        let began = tokio::time::Instant::now();
        while start.iter().map(Bytes::len).sum::<usize>() < PEEKED && began.elapsed() < self.patience {
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
