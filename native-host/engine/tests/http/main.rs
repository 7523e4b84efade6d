//! Ways to a server: logins, proxies, TLS, and the checksums it publishes.

#![allow(clippy::unwrap_used, clippy::expect_used)]

mod checksums;
mod logins;
mod proxies;
#[path = "../support/mod.rs"]
mod support;
mod tls;

const MIB: usize = 1 << 20;
