//! The popup: this page's streams, the downloads that matter now, the state of the native host.
//!
//! Owns what is special to the popup; rows, client and feed are `weir-web`'s. Never detects and never downloads.
//! Invariant: every state of the host leaves the list of streams usable.

mod app;
mod card;
mod chrome;
mod endpoint;
mod host;
mod order;

pub use app::start;
