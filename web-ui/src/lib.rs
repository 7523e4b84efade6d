//! The companion page, and everything it shares with the popup: host client, view state, components.
//!
//! Owns what a person sees of downloads. Never decides what happens to one (the daemon does), never holds a
//! second copy of the wire types. Invariant: the view is what the daemon last said; nothing is shown as done
//! because a button was pressed.

pub mod announce;
pub mod backoff;
pub mod book;
pub mod browser;
pub mod client;
pub mod command;
pub mod components;
pub mod feed;
pub mod focus;
pub mod format;
pub mod heights;
pub mod history;
pub mod line;
pub mod listing;
pub mod map;
pub mod page;
pub mod rate;
pub mod store;
