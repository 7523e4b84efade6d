//! Files over HTTP: what is asked, who one is, which way it goes, what is checked, and where it goes on.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checksums;
mod files;
mod logins;
mod proxies;
mod resume;
#[path = "../support/mod.rs"]
mod support;
mod tls;

const MIB: usize = 1 << 20;
