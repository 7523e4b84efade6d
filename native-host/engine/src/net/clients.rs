//! The HTTP clients: one pair for each way out of this machine.
//!
//! Owns their settings and how many are kept. Never sends. Invariant: a request never goes through another proxy than
//! the one it was meant for, and never past it.

use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use hyper_util::client::proxy::matcher::Matcher;
use url::Url;

use super::Lane;
use crate::{EngineError, EngineOptions, Proxy};

/// Connections kept open for reuse.
const IDLE_CONNECTIONS: usize = 32;
/// Proxies whose clients are kept. Dropping one closes idle connections and nothing else.
const MAX_KEPT: usize = 16;
/// Servers without HTTP/1.1 that are remembered; forgetting one costs a failed connection.
const MAX_HTTP2_ONLY: usize = 64;

/// All clients of an engine.
#[derive(Debug)]
pub(super) struct Pool {
    recipe: Recipe,
    /// Without a word of the caller's: through what the engine or the environment says.
    usual: Arc<Clients>,
    /// The latest used last.
    kept: Mutex<Vec<Arc<Clients>>>,
    /// Servers whose TLS offers HTTP/2 and nothing else.
    http2_only: Mutex<Vec<String>>,
}

/// One way out. Its clients are made when they are wanted: those for TLS read the system's certificates, which takes
/// longer than many a download.
#[derive(Debug)]
pub(super) struct Clients {
    plain: OnceLock<reqwest::Client>,
    own: OnceLock<reqwest::Client>,
    shared: OnceLock<reqwest::Client>,
    recipe: Recipe,
}

/// What a client can do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Skill {
    /// No TLS at all.
    Plain,
    /// HTTP/1.1 only.
    Own,
    /// HTTP/2 too.
    Shared,
}

/// What a client is made of.
#[derive(Debug, Clone)]
struct Recipe {
    options: Arc<EngineOptions>,
    certificates: Arc<[reqwest::Certificate]>,
    proxy: Option<Proxy>,
}

/// The proxies of the environment, to name the one that failed.
fn environment() -> &'static Matcher {
    static MATCHER: OnceLock<Matcher> = OnceLock::new();
    MATCHER.get_or_init(Matcher::from_env)
}

impl Pool {
    pub(super) fn new(options: Arc<EngineOptions>) -> Result<Self, EngineError> {
        let certificates = match &options.certificates {
            None => Vec::new(),
            Some(path) => std::fs::read(path)
                .map_err(|error| error.to_string())
                .and_then(|pem| {
                    reqwest::Certificate::from_pem_bundle(&pem).map_err(|error| error.to_string())
                })
                .map_err(|reason| {
                    EngineError::Internal(format!("the certificates cannot be read: {reason}"))
                })?,
        };
        let proxy = options.proxy.clone();
        let recipe = Recipe { options, certificates: certificates.into(), proxy };
        let usual = Arc::new(Clients::new(recipe.clone()));
        Ok(Self { recipe, usual, kept: Mutex::default(), http2_only: Mutex::default() })
    }

    /// The clients for a proxy, or for none in particular.
    pub(super) fn through(&self, proxy: Option<&Proxy>) -> Result<Arc<Clients>, EngineError> {
        let Some(proxy) = proxy.filter(|proxy| self.usual.recipe.proxy.as_ref() != Some(proxy)) else {
            return Ok(Arc::clone(&self.usual));
        };
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = match kept.iter().position(|clients| clients.recipe.proxy.as_ref() == Some(proxy)) {
            Some(at) => kept.remove(at),
            None => Arc::new(Clients::new(Recipe { proxy: Some(proxy.clone()), ..self.recipe.clone() })),
        };
        if kept.len() >= MAX_KEPT {
            kept.remove(0);
        }
        kept.push(Arc::clone(&clients));
        Ok(clients)
    }

    /// The lane that leads to this server.
    pub(super) fn lane(&self, url: &Url, lane: Lane) -> Lane {
        let known = self.http2_only.lock().unwrap_or_else(PoisonError::into_inner);
        if known.is_empty() || !known.contains(&url.origin().ascii_serialization()) {
            lane
        } else {
            Lane::Shared
        }
    }

    /// Its TLS refused HTTP/1.1.
    pub(super) fn speaks_http2_only(&self, url: &Url) {
        let mut known = self.http2_only.lock().unwrap_or_else(PoisonError::into_inner);
        let place = url.origin().ascii_serialization();
        if !known.contains(&place) {
            if known.len() >= MAX_HTTP2_ONLY {
                known.remove(0);
            }
            known.push(place);
        }
    }
}

impl Recipe {
    fn client(&self, skill: Skill) -> Result<reqwest::Client, EngineError> {
        let internal = |error: reqwest::Error| EngineError::Internal(error.without_url().to_string());
        let mut builder = reqwest::Client::builder()
            .user_agent(self.options.user_agent.clone())
            .redirect(reqwest::redirect::Policy::none())
            .referer(false)
            .connect_timeout(self.options.connect_timeout)
            .tcp_nodelay(true)
            .pool_max_idle_per_host(IDLE_CONNECTIONS)
            // A lost answer must come back as a fact: only the callers know whether asking again is right.
            .retry(reqwest::retry::never());
        if skill != Skill::Shared {
            builder = builder.http1_only();
        }
        if skill == Skill::Plain {
            builder = builder.tls_certs_only([]);
        } else if !self.certificates.is_empty() {
            builder = builder.tls_certs_merge(self.certificates.iter().cloned());
        }
        builder = match self.proxy.as_ref().map(Proxy::address) {
            None => builder,
            Some(None) => builder.no_proxy(),
            Some(Some(address)) => builder.proxy(reqwest::Proxy::all(address.clone()).map_err(internal)?),
        };
        builder.build().map_err(internal)
    }
}

impl Clients {
    fn new(recipe: Recipe) -> Self {
        Self { plain: OnceLock::new(), own: OnceLock::new(), shared: OnceLock::new(), recipe }
    }

    /// The client for a request to `url`.
    pub(super) fn lane(&self, lane: Lane, url: &Url) -> Result<&reqwest::Client, EngineError> {
        let (place, skill) = if url.scheme() == "http" && !self.has_secure_proxy(url) {
            (&self.plain, Skill::Plain)
        } else if lane == Lane::Own {
            (&self.own, Skill::Own)
        } else {
            (&self.shared, Skill::Shared)
        };
        if let Some(client) = place.get() {
            return Ok(client);
        }
        let client = self.recipe.client(skill)?;
        Ok(place.get_or_init(|| client))
    }

    /// Plain requests too go through TLS when the proxy is reached that way.
    fn has_secure_proxy(&self, url: &Url) -> bool {
        match &self.recipe.proxy {
            Some(proxy) => proxy.address().is_some_and(|address| address.scheme() == "https"),
            None => {
                let target = url.as_str().parse().ok();
                let through = target.and_then(|target| environment().intercept(&target));
                through.is_some_and(|through| through.uri().scheme_str() == Some("https"))
            }
        }
    }

    /// Host and port of the proxy that requests for `url` go through.
    pub(super) fn proxy_for(&self, url: &Url) -> Option<String> {
        match &self.recipe.proxy {
            Some(proxy) => proxy.host(),
            None => {
                let target = url.as_str().parse().ok()?;
                let uri = environment().intercept(&target)?.uri().clone();
                let host = uri.host()?;
                Some(uri.port_u16().map_or_else(|| host.to_owned(), |port| format!("{host}:{port}")))
            }
        }
    }
}
