//! How clients find the daemon and get in: `endpoint.json`, `/health`, `/session`.

use serde::{Deserialize, Serialize};

/// Content of `endpoint.json` (mode 0600) in Weir's home folder.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Endpoint {
    /// `http://127.0.0.1:PORT`, without a slash at the end.
    pub url: String,
    /// Port of the daemon.
    pub port: u16,
    /// 256 bits, base64url without padding.
    pub token: String,
    /// Process of the daemon.
    pub pid: u32,
    /// Version of the daemon.
    pub version: String,
}

// Written by hand so that a token never reaches a log through `{:?}`.
impl std::fmt::Debug for Endpoint {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Endpoint")
            .field("url", &self.url)
            .field("pid", &self.pid)
            .field("version", &self.version)
            .finish_non_exhaustive()
    }
}

/// Answer of `GET /health`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Health {
    /// Always `ok`.
    pub status: String,
    /// With `?challenge=<hex>`: HMAC-SHA256, keyed by the token, over `weir-health:<port>:<challenge>`, lower-case
    /// hex. The port stands in it so that a stranger cannot have the real daemon answer for another port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proof: Option<String>,
}

/// Answer of `POST /session/ticket`.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
pub struct Ticket {
    /// Opens one session, once.
    pub ticket: String,
    /// The companion page with the ticket in its fragment.
    pub url: String,
    /// How long the ticket lives.
    pub expires_in_s: u64,
}

/// Body of `POST /session`: exactly one of the two. Answered by 204 and the cookie `weir_session_<port>`.
#[derive(Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[cfg_attr(feature = "openapi", derive(utoipa::ToSchema))]
#[serde(deny_unknown_fields, default)]
pub struct SessionRequest {
    /// From `POST /session/ticket`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ticket: Option<String>,
    /// The daemon's token, pasted by the user (`weir token`).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token: Option<String>,
}
