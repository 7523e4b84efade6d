//! The companion page: history and running downloads, search, adding, signing in.
//!
//! Owns the page's own views. Never shows downloads before the daemon has let it in. Invariant: what is searched
//! and filtered stands in the address, so a reload or a bookmark shows the same.

mod add;
mod app;
mod detail;
mod limit;
mod list;
mod queue;
mod ranges;
mod row;
mod sign_in;
mod speed;
mod theme;
mod tools;

pub use app::start;
