//! Who one is, for each server.
//!
//! Owns which login may be used where, and what a server has accepted. Never sends. Invariant: a caller's login is used
//! at home alone; one of the netrc for the host its entry names, over TLS or at home, and the `default` one at home.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use reqwest::header::{HeaderMap, HeaderValue};
use url::{Position, Url};

use crate::auth::Session;
use crate::netrc::{self, Entry};
use crate::source::{Method, Source};
use crate::{EngineError, Login};

/// Servers whose way of asking is remembered; forgetting one costs a question.
const MAX_KNOWN: usize = 256;
/// Answers to one server's challenges before it is believed to refuse: a remembered nonce, a fresh one, a stale one.
const MAX_ANSWERS: u32 = 3;
/// Largest netrc that is read.
const MAX_NETRC: u64 = 1024 * 1024;

/// What servers have accepted so far.
#[derive(Debug)]
pub(super) struct Logins {
    netrc: Option<PathBuf>,
    /// The latest used last.
    known: Mutex<Vec<Known>>,
}

#[derive(Debug)]
struct Known {
    place: String,
    /// None is the netrc's.
    login: Option<Login>,
    by_default: bool,
    session: Arc<Session>,
}

/// One request's way through the challenges of one server.
#[derive(Debug)]
pub(super) struct Attempt<'a> {
    logins: &'a Logins,
    url: &'a Url,
    method: Method,
    at_home: bool,
    /// The caller's own word; none may be the netrc's business.
    login: Option<Login>,
    /// The caller's headers have an `Authorization`, with which no file interferes.
    settled: bool,
    session: Option<Arc<Session>>,
    /// The session was made for this very request.
    fresh: bool,
    answers: u32,
}

impl Logins {
    pub(super) fn new(netrc: Option<PathBuf>) -> Self {
        Self { netrc, known: Mutex::default() }
    }

    /// Begins a request of `visitor`.
    pub(super) fn attempt<'a>(
        &'a self,
        visitor: &Source,
        url: &'a Url,
        method: Method,
        at_home: bool,
    ) -> Attempt<'a> {
        let login = at_home.then(|| {
            visitor.login.clone().or_else(|| Login::of_url(url)).or_else(|| Login::of_url(&visitor.url))
        });
        let login = login.flatten();
        let settled = at_home
            && visitor.headers.iter().any(|(name, _)| name.trim().eq_ignore_ascii_case("authorization"));
        let mut attempt = Attempt {
            logins: self,
            url,
            method,
            at_home,
            login,
            settled,
            session: None,
            fresh: false,
            answers: 0,
        };
        attempt.session = attempt.known();
        // Over TLS the server is who it says, and one that never asks is served too; in the clear a password is shown
        // only to a server that asks for it, and best not even then.
        if attempt.session.is_none() && url.scheme() == "https" {
            attempt.session = attempt.login.clone().map(|login| Arc::new(Session::basic(login)));
        }
        attempt
    }

    fn remember(&self, new: Known) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| known.place != new.place || known.login != new.login);
        if known.len() >= MAX_KNOWN {
            known.remove(0);
        }
        known.push(new);
    }

    fn forget(&self, session: &Arc<Session>) {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|known| !Arc::ptr_eq(&known.session, session));
    }
}

impl Attempt<'_> {
    /// Whether the caller's own `Authorization` header gives way.
    pub(super) fn replaces_header(&self) -> bool {
        self.login.is_some()
    }

    /// The `Authorization` of the next request.
    pub(super) fn authorization(&self) -> Option<HeaderValue> {
        let method = match self.method {
            Method::Get => "GET",
            Method::Post => "POST",
        };
        let target = &self.url[Position::BeforePath..Position::AfterQuery];
        self.session.as_ref()?.authorization(method, target)
    }

    /// Looks at a 401. True when it can be answered by asking again.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(super) async fn challenged(&mut self, headers: &HeaderMap) -> Result<bool, EngineError> {
        let before = self.session.take();
        if let Some(before) = &before {
            self.logins.forget(before);
        }
        self.answers += 1;
        if self.answers > MAX_ANSWERS {
            return Ok(false);
        }
        let login = match &self.login {
            Some(login) => Some((login.clone(), false)),
            None => self.netrc_entry().await.map(|entry| (entry.login, entry.by_default)),
        };
        let Some((login, by_default)) = login else { return Ok(false) };
        let Some(offer) = Session::for_challenge(headers, &login)? else { return Ok(false) };
        // The same words again would be refused again; a nonce that was not this server's latest is another matter.
        let refused = before.is_some_and(|before| {
            if offer.session.is_basic() {
                before.is_basic() && before.login == login
            } else {
                self.fresh && !before.is_basic() && !offer.stale
            }
        });
        if refused {
            return Ok(false);
        }
        let session = Arc::new(offer.session);
        let (place, login) = (self.place(), self.login.clone());
        self.logins.remember(Known { place, login, by_default, session: Arc::clone(&session) });
        self.session = Some(session);
        self.fresh = true;
        Ok(true)
    }

    fn place(&self) -> String {
        self.url.origin().ascii_serialization()
    }

    fn known(&self) -> Option<Arc<Session>> {
        if self.login.is_none() && !self.netrc_applies() {
            return None;
        }
        let place = self.place();
        let known = self.logins.known.lock().unwrap_or_else(PoisonError::into_inner);
        let found = known.iter().find(|known| known.place == place && known.login == self.login);
        found.filter(|known| self.at_home || !known.by_default).map(|known| Arc::clone(&known.session))
    }

    /// Away from home only what a named entry says, and not in the clear: a redirect must not lure it out.
    fn netrc_applies(&self) -> bool {
        let allowed = if self.at_home { !self.settled } else { self.url.scheme() == "https" };
        allowed && self.logins.netrc.is_some()
    }

    async fn netrc_entry(&self) -> Option<Entry> {
        let path = self.logins.netrc.clone().filter(|_| self.netrc_applies())?;
        let host = self.url.host_str()?.trim_matches(['[', ']']).to_owned();
        let read = tokio::task::spawn_blocking(move || {
            let small = std::fs::metadata(&path).is_ok_and(|file| file.is_file() && file.len() <= MAX_NETRC);
            small.then(|| std::fs::read(&path).ok()).flatten()
        });
        let text = read.await.ok()??;
        let entry = netrc::find(&String::from_utf8_lossy(&text), &host)?;
        (self.at_home || !entry.by_default).then_some(entry)
    }
}
