//! The daemon's REST interface, from a browser.
//!
//! Owns how a request is authorised and how an answer or its absence becomes a fact. Never retries (the feed
//! does), never logs: a token passes through here. Invariant: a request ends within its time limit.

use std::fmt;

use js_sys::encode_uri_component;
use leptos::prelude::window;
use serde::Serialize;
use serde::de::DeserializeOwned;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, Headers, Request, RequestCache, RequestCredentials, RequestInit, Response};
use weir_protocol::{
    Action, CSRF_HEADER, Download, DownloadId, DownloadPatch, ErrorBody, ErrorInfo, MetaRequest,
    MoveDownload, MoveTo, NewDownload, Ranges, SessionRequest, Settings, SettingsPatch, TOTAL_COUNT_HEADER,
    Ticket, WS_SUBPROTOCOL, WS_TOKEN_PREFIX, code,
};

use crate::command::Command;

/// The daemon answers its own questions at once; only a stuck one needs longer.
const OWN_LIMIT_MS: u32 = 10_000;
/// `/meta` asks a server somewhere, which may be slow.
const META_LIMIT_MS: u32 = 60_000;

/// Where the daemon is and what opens its door.
#[derive(Clone, PartialEq, Eq)]
pub struct Client {
    origin: String,
    token: Option<String>,
}

// By hand, so that a token never reaches a log through `{:?}`.
impl fmt::Debug for Client {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Client").field("origin", &self.origin).finish_non_exhaustive()
    }
}

/// Why there is no answer to show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Nobody answered.
    Unreachable,
    /// No session, or no longer.
    SignedOut,
    /// The daemon said no.
    Refused(ErrorInfo),
    /// The answer is not what the contract says.
    Unreadable,
}

impl Failure {
    /// The failure as a row shows it.
    #[must_use]
    pub fn info(&self) -> ErrorInfo {
        let of = |code: &str, message: &str, action| ErrorInfo {
            code: code.to_owned(),
            message: message.to_owned(),
            action,
        };
        match self {
            Self::Unreachable => of(code::DAEMON_UNAVAILABLE, "Weir did not answer.", Some(Action::Retry)),
            Self::SignedOut => of(
                code::UNAUTHORIZED,
                "The session with Weir has ended. Reload this page to begin a new one.",
                Some(Action::SignIn),
            ),
            Self::Refused(info) => info.clone(),
            Self::Unreadable => of(
                code::INTERNAL,
                "Weir answered something this page does not understand. They may be of different versions.",
                Some(Action::Update),
            ),
        }
    }

    /// The daemon does not know this row.
    #[must_use]
    pub fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(info) if info.code == code::NOT_FOUND)
    }
}

/// A page of `/list`.
#[derive(Debug)]
pub struct Page {
    /// Newest first.
    pub downloads: Vec<Download>,
    /// How many rows match in all.
    pub total: usize,
}

impl Client {
    /// The daemon this page came from; the session cookie opens the door.
    #[must_use]
    pub fn same_origin() -> Self {
        Self { origin: window().location().origin().unwrap_or_default(), token: None }
    }

    /// A daemon elsewhere; `origin` is `http://127.0.0.1:PORT`.
    #[must_use]
    pub const fn with_token(origin: String, token: String) -> Self {
        Self { origin, token: Some(token) }
    }

    /// Address and subprotocols of the event socket.
    #[must_use]
    pub fn socket(&self) -> (String, Vec<String>) {
        let address = format!("{}/ws", self.origin.replacen("http", "ws", 1));
        let mut protocols = vec![WS_SUBPROTOCOL.to_owned()];
        protocols.extend(self.token.as_ref().map(|token| format!("{WS_TOKEN_PREFIX}{token}")));
        (address, protocols)
    }

    /// `GET /list`, newest first.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn list(&self, query: &str, offset: usize, limit: usize) -> Result<Page, Failure> {
        let query = encode_uri_component(query);
        let path = format!("/list?offset={offset}&limit={limit}&q={query}");
        let response = self.ask("GET", &path, None, OWN_LIMIT_MS).await?;
        let total = response.headers().get(TOTAL_COUNT_HEADER).ok().flatten();
        let downloads: Vec<Download> = read(&response).await?;
        let total = total.and_then(|total| total.parse().ok()).unwrap_or(offset + downloads.len());
        Ok(Page { downloads, total })
    }

    /// `POST /download`. The answer is left unread: the feed brings the row.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn add(&self, new: &NewDownload) -> Result<(), Failure> {
        self.ask("POST", "/download", Some(json(new)?), OWN_LIMIT_MS).await.map(drop)
    }

    /// `POST /meta`: the whole answer (`weir_protocol::Meta`), or as much of it as `T` takes.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn meta<T: DeserializeOwned>(&self, request: &MetaRequest) -> Result<T, Failure> {
        read(&self.ask("POST", "/meta", Some(json(request)?), META_LIMIT_MS).await?).await
    }

    /// `POST /download/{id}/…`. The answer is left unread: the feed tells, in order, what became of the row.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn command(&self, id: DownloadId, command: Command) -> Result<(), Failure> {
        let path = format!("/download/{id}/{}", command.path());
        self.ask("POST", &path, None, OWN_LIMIT_MS).await.map(drop)
    }

    /// `POST /download/{id}/move`. The feed tells which rows have another place.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn relocate(&self, id: DownloadId, to: MoveTo) -> Result<(), Failure> {
        let place = MoveDownload { to: Some(to), before: None };
        self.ask("POST", &format!("/download/{id}/move"), Some(json(&place)?), OWN_LIMIT_MS).await.map(drop)
    }

    /// `PATCH /download/{id}`. The feed tells what became of the row.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn patch(&self, id: DownloadId, patch: &DownloadPatch) -> Result<(), Failure> {
        self.ask("PATCH", &format!("/download/{id}"), Some(json(patch)?), OWN_LIMIT_MS).await.map(drop)
    }

    /// `GET /download/{id}/ranges`: which bytes of its file are there.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn ranges(&self, id: DownloadId) -> Result<Ranges, Failure> {
        read(&self.ask("GET", &format!("/download/{id}/ranges"), None, OWN_LIMIT_MS).await?).await
    }

    /// `GET /settings`: all of them (`weir_protocol::Settings`), or as much as `T` takes.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn settings<T: DeserializeOwned>(&self) -> Result<T, Failure> {
        read(&self.ask("GET", "/settings", None, OWN_LIMIT_MS).await?).await
    }

    /// `PATCH /settings`, answered with what holds afterwards.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn change_settings(&self, patch: &SettingsPatch) -> Result<Settings, Failure> {
        read(&self.ask("PATCH", "/settings", Some(json(patch)?), OWN_LIMIT_MS).await?).await
    }

    /// `DELETE /download/{id}`.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn delete(&self, id: DownloadId, files: bool) -> Result<(), Failure> {
        self.ask("DELETE", &format!("/download/{id}?files={files}"), None, OWN_LIMIT_MS).await.map(drop)
    }

    /// `POST /session`: a ticket or a pasted token becomes a cookie.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn open_session(&self, request: &SessionRequest) -> Result<(), Failure> {
        self.ask("POST", "/session", Some(json(request)?), OWN_LIMIT_MS).await.map(drop)
    }

    /// `POST /session/ticket`: an address that opens the companion page, once.
    ///
    /// # Errors
    /// See [`Failure`].
    pub async fn ticket(&self) -> Result<Ticket, Failure> {
        read(&self.ask("POST", "/session/ticket", None, OWN_LIMIT_MS).await?).await
    }

    async fn ask(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        limit_ms: u32,
    ) -> Result<Response, Failure> {
        let request = self.request(method, path, body, limit_ms).map_err(|_| Failure::Unreachable)?;
        let response = JsFuture::from(window().fetch_with_request(&request))
            .await
            .ok()
            .and_then(|response| response.dyn_into::<Response>().ok())
            .ok_or(Failure::Unreachable)?;
        match response.status() {
            200..=299 => Ok(response),
            401 => Err(Failure::SignedOut),
            _ => Err(read::<ErrorBody>(&response)
                .await
                .map_or(Failure::Unreadable, |body| Failure::Refused(body.error))),
        }
    }

    fn request(
        &self,
        method: &str,
        path: &str,
        body: Option<String>,
        limit_ms: u32,
    ) -> Result<Request, JsValue> {
        let headers = Headers::new()?;
        if method != "GET" {
            headers.set(CSRF_HEADER, "1")?;
        }
        let init = RequestInit::new();
        init.set_method(method);
        init.set_cache(RequestCache::NoStore);
        match &self.token {
            Some(token) => {
                headers.set("Authorization", &format!("Bearer {token}"))?;
                init.set_credentials(RequestCredentials::Omit);
            }
            None => init.set_credentials(RequestCredentials::SameOrigin),
        }
        if let Some(body) = body {
            headers.set("Content-Type", "application/json")?;
            init.set_body(&body.into());
        }
        init.set_headers(&headers);
        init.set_signal(Some(&AbortSignal::timeout_with_u32(limit_ms)));
        Request::new_with_str_and_init(&format!("{}{path}", self.origin), &init)
    }
}

fn json<T: Serialize>(value: &T) -> Result<String, Failure> {
    serde_json::to_string(value).map_err(|_| Failure::Unreadable)
}

async fn read<T: DeserializeOwned>(response: &Response) -> Result<T, Failure> {
    let text = response.text().map_err(|_| Failure::Unreachable)?;
    let text = JsFuture::from(text).await.map_err(|_| Failure::Unreachable)?;
    // A JS string that is not well-formed cannot come from `text()`, which decodes UTF-8.
    let text = text.as_string().ok_or(Failure::Unreadable)?;
    serde_json::from_str(&text).map_err(|_| Failure::Unreadable)
}
