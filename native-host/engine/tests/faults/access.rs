//! Doors, keys and detours.

use std::sync::{Arc, LazyLock};

use weir_engine::{EngineError, Login, Proxy};

use super::case::{Case, Expect};
use super::support::digest::Guard;
use super::support::{Reply, serve};

const LOGIN: Expect = Expect::Error(|error| {
    matches!(error, EngineError::LoginRequired { status: 401 } | EngineError::LoginRefused { status: 401 })
});

/// Nobody listens there: the port is kept, and not listened on.
static NOBODY: LazyLock<std::net::SocketAddr> = LazyLock::new(|| {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap()
});

static GUARD: LazyLock<Guard> =
    LazyLock::new(|| Guard { uses: 3, ..Guard::new("SHA-256-sess", "me", "S3CRET") });

pub(crate) const CASES: &[Case] = &[
    Case::fresh(
        "Basic, said when asked",
        |s, r| match r.header("authorization") {
            Some("Basic bWU6UzNDUkVU") => s.serve(r),
            _ => Reply::new(401, "").header("www-authenticate", "Basic realm=\"x\""),
        },
        Expect::Data,
    )
    .with(|job, _, _| job.source.login = Some(Login::new("me", "S3CRET"))),
    Case::fresh(
        "Digest, with nonces that grow stale",
        |s, r| GUARD.stops(r).unwrap_or_else(|| s.serve(r)),
        Expect::Data,
    )
    .with(|job, _, _| job.source.login = Some(Login::new("me", "S3CRET"))),
    Case::fresh(
        "a nonce that is always stale",
        |_, _| {
            Reply::new(401, "")
                .header("www-authenticate", "Digest realm=x, nonce=n, qop=\"auth\", stale=true")
        },
        LOGIN,
    )
    .small()
    .with(|job, _, _| job.source.login = Some(Login::new("me", "S3CRET"))),
    Case::fresh(
        "a challenge that is nonsense",
        |_, _| Reply::new(401, "").header("www-authenticate", "=,\",Digest \\"),
        LOGIN,
    )
    .small()
    .with(|job, _, _| job.source.login = Some(Login::new("me", "S3CRET"))),
    Case::fresh("wrong words", |_, r| Guard::new("MD5", "me", "other").stops(r).unwrap(), LOGIN)
        .small()
        .with(|job, _, _| job.source.login = Some(Login::new("me", "S3CRET"))),
    Case::fresh(
        "the door is shut half-way",
        |s, r| match r.nth {
            0 => serve(&s.data, r).cut_after(400_000, None),
            _ => Reply::new(401, "").header("www-authenticate", "Basic"),
        },
        LOGIN,
    ),
    Case::fresh(
        "the own door",
        |_, _| panic!("asked"),
        Expect::Error(|error| matches!(error, EngineError::OwnAddress)),
    )
    .small()
    .with(|_, options, _| options.deny = Some(Arc::new(|_| true))),
    Case::fresh(
        "a redirect to the own door",
        |_, _| Reply::new(307, "").header("location", "/own/token?t=S3CRET"),
        Expect::Error(|error| matches!(error, EngineError::OwnAddress)),
    )
    .small()
    .with(|_, options, _| options.deny = Some(Arc::new(|url| url.path().starts_with("/own")))),
    Case::fresh(
        "a proxy that is not there",
        |_, _| panic!("past the proxy"),
        Expect::Error(|error| matches!(error, EngineError::ProxyFailed { refused: false, .. })),
    )
    .small()
    .with(|job, _, _| {
        job.source.proxy = Some(Proxy::parse(&format!("http://u:S3CRET@{}", *NOBODY)).unwrap());
    }),
    Case::fresh(
        "a SOCKS proxy that is not there",
        |_, _| panic!("past the proxy"),
        Expect::Error(|error| matches!(error, EngineError::ProxyFailed { refused: false, .. })),
    )
    .small()
    .with(|job, _, _| {
        job.source.proxy = Some(Proxy::parse(&format!("socks5h://u:S3CRET@{}", *NOBODY)).unwrap());
    }),
    Case::fresh(
        "nobody there",
        |_, _| panic!("asked"),
        Expect::Error(|error| matches!(error, EngineError::Unreachable { .. })),
    )
    .small()
    .with(|job, _, _| job.source.url = format!("http://{}/f.bin?t=S3CRET", *NOBODY).parse().unwrap()),
];
