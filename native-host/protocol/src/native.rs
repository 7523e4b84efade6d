//! Frames between the browser and the native-messaging shim. After `watch`, [`crate::Event`] frames follow.

use serde::{Deserialize, Serialize};

use crate::Action;

/// Browser to shim.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NativeRequest {
    /// Where is the daemon, and what opens its door?
    Hello {
        /// Version of the extension.
        version: String,
        /// [`crate::PROTOCOL_VERSION`] of the extension.
        protocol: u32,
    },
    /// Relay the daemon's events until the port closes.
    Watch,
}

/// Shim to browser.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum NativeResponse {
    /// The daemon runs and proved that it is ours.
    Hello {
        /// Version of the host.
        version: String,
        /// [`crate::PROTOCOL_VERSION`] of the host.
        protocol: u32,
        /// `http://127.0.0.1:PORT`, without a slash at the end.
        url: String,
        /// Opens every route.
        token: String,
    },
    /// The request could not be served.
    Error {
        /// See [`crate::code`].
        code: String,
        /// One sentence in the user's words.
        message: String,
        /// What to do about it.
        action: Option<Action>,
    },
}

// Written by hand so that a token never reaches a log through `{:?}`.
impl std::fmt::Debug for NativeResponse {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Hello { version, protocol, url, .. } => f
                .debug_struct("Hello")
                .field("version", version)
                .field("protocol", protocol)
                .field("url", url)
                .finish(),
            Self::Error { code, message, action } => f
                .debug_struct("Error")
                .field("code", code)
                .field("message", message)
                .field("action", action)
                .finish(),
        }
    }
}
