//! The browser extension: detection in the service worker, and the popup.
//!
//! Owns what happens inside the browser. Never downloads anything: the popup asks the daemon to. Invariant: the
//! worker may be killed between any two events, so everything worth keeping is in `storage.session`.

pub mod badge;
pub mod chrome;
pub mod host;
pub mod ledger;
pub mod messages;
pub mod playlist;
pub mod popup;
pub mod registry;
pub mod request;
pub mod storage;
pub mod stream;
pub mod watch;
pub mod worker;
