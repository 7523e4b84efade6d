//! What the popup asks of the worker, and what the worker knows of the native host.

use serde::{Deserialize, Serialize};
use wasm_bindgen::JsValue;
use weir_protocol::Action;

use crate::host::action;
use crate::storage::get;

/// Popup to worker, over `runtime.sendMessage`. Every one is answered by a [`HostState`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Request {
    /// Say hello to the host anew (which starts the daemon when none runs) and tell where it is.
    Connect,
    /// There is something to wait for: follow the daemon's events until nothing runs any more.
    Watch,
}

impl Request {
    /// The request with this `kind`. By hand, because reading a tagged enum through serde costs the worker's module
    /// some kilobytes for two words.
    #[must_use]
    pub fn named(kind: &str) -> Option<Self> {
        match kind {
            "connect" => Some(Self::Connect),
            "watch" => Some(Self::Watch),
            _ => None,
        }
    }
}

/// What is known of the native host. The popup shows `Starting` by itself while it waits for an answer.
#[derive(Clone, PartialEq, Eq, Serialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum HostState {
    /// The daemon runs.
    Ready {
        /// `http://127.0.0.1:PORT`.
        url: String,
        /// Opens the daemon's door.
        token: String,
        /// Version of the host.
        version: String,
    },
    /// The browser knows no host of this name.
    Missing,
    /// The host is there but does not list this extension.
    Forbidden,
    /// The host stopped before it answered.
    Crashed,
    /// Extension and host do not speak the same protocol.
    VersionMismatch {
        /// Version of the host.
        host: String,
        /// Version of the extension.
        extension: String,
    },
    /// The host answered with an error.
    Failed {
        /// See `weir_protocol::code`.
        code: String,
        /// One sentence in the user's words.
        message: String,
        /// What to do about it.
        action: Option<Action>,
    },
}

impl HostState {
    /// The state as it was stored or sent; none for what is none. By hand for the same reason as [`Request::named`]: a
    /// tagged enum through serde costs eleven kilobytes.
    #[must_use]
    pub fn read(value: &JsValue) -> Option<Self> {
        let text = |key| get(value, key).as_string();
        Some(match text("state")?.as_str() {
            "ready" => Self::Ready { url: text("url")?, token: text("token")?, version: text("version")? },
            "missing" => Self::Missing,
            "forbidden" => Self::Forbidden,
            "crashed" => Self::Crashed,
            "version_mismatch" => {
                Self::VersionMismatch { host: text("host")?, extension: text("extension")? }
            }
            "failed" => Self::Failed {
                code: text("code")?,
                message: text("message")?,
                action: text("action").map(|name| action(&name)),
            },
            _ => return None,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_are_read_as_they_are_written() {
        for request in [Request::Connect, Request::Watch] {
            let written = serde_json::to_value(&request).unwrap();
            assert_eq!(written["kind"].as_str().and_then(Request::named), Some(request));
        }
        assert_eq!(Request::named("token"), None);
    }
}
