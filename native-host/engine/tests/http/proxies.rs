//! Through proxies: every kind, with and without a login, and what each of them gets to see.

use std::sync::Arc;
use std::time::Duration;

use weir_engine::{EngineError, EngineOptions, Job, Login, Proxy};

use super::MIB;
use super::support::proxy::{Manners, ProxyServer};
use super::support::tls::{self, Flaw};
use super::support::{Reply, Server, assert_whole, engine, engine_with, job, noise, run, serve};

fn through(mut job: Job, scheme: &str, user_info: &str, proxy: &ProxyServer) -> Job {
    job.source.proxy = Some(Proxy::parse(&format!("{scheme}://{user_info}{}", proxy.address)).unwrap());
    job
}

fn trusting(options: &mut EngineOptions) {
    options.certificates = Some(tls::authority());
}

#[tokio::test]
async fn every_proxy_brings_the_file_over_many_connections() {
    let data = Arc::new(noise(1, 6 * MIB));
    let answer = {
        let data = Arc::clone(&data);
        move |request: &super::support::Request| {
            // The first would be busy for long enough for others to be opened, whatever else the machine does.
            let pause = Duration::from_millis(if request.nth == 0 { 30 } else { 1 });
            serve(&data, request).slowly(MIB / 16, pause)
        }
    };
    let plain = Server::start(answer.clone()).await;
    let secure = Server::start_tls(tls::server(Flaw::None, &["http/1.1"]), answer).await;
    let mut name = (0..).map(|number| format!("/{number}.bin"));
    for login in [None, Some(("pr\"oxy", "S3C:RET@"))] {
        let manners = Manners {
            login: login.map(|(user, password)| (user.to_owned(), password.to_owned())),
            ..Manners::default()
        };
        let user_info = if login.is_some() { "pr%22oxy:S3C%3ARET%40@" } else { "" };
        let http = ProxyServer::http(manners.clone()).await;
        let https = ProxyServer::https(manners.clone(), tls::server(Flaw::None, &["http/1.1"])).await;
        let socks = ProxyServer::socks(manners).await;
        for (scheme, proxy) in [("http", &http), ("https", &https), ("socks5", &socks), ("socks5h", &socks)] {
            for server in [&plain, &secure] {
                let dir = tempfile::tempdir().unwrap();
                let before = proxy.requests().len();
                let job = job(server.url(&name.next().unwrap()), dir.path());
                let job = through(job, scheme, user_info, proxy);
                let finished = run(&engine_with(trusting), job).await;
                let finished =
                    finished.unwrap_or_else(|error| panic!("{scheme} {}: {error}", server.url("")));
                assert_whole(&finished, &data, dir.path());
                assert!(proxy.requests().len() > before + 1, "{scheme}: past the proxy");
            }
        }
    }
}

#[tokio::test]
async fn names_are_resolved_where_they_should_be() {
    let data = noise(2, 10_000);
    let server = Server::start({
        let data = data.clone();
        move |request| serve(&data, request)
    })
    .await;
    let manners = Manners { target: Some(server.address), ..Manners::default() };
    let (socks, http) = (ProxyServer::socks(manners.clone()).await, ProxyServer::http(manners).await);
    // Nobody but the proxy knows this name.
    let url: url::Url = "http://inside.invalid:81/f.bin".parse().unwrap();
    for (scheme, proxy) in [("socks5h", &socks), ("http", &http)] {
        let dir = tempfile::tempdir().unwrap();
        let job = through(job(url.clone(), dir.path()), scheme, "", proxy);
        assert_whole(&run(&engine(), job).await.unwrap(), &data, dir.path());
        assert!(proxy.requests().iter().all(|request| request.contains("inside.invalid:81")));
    }
    let dir = tempfile::tempdir().unwrap();
    let asked = socks.requests().len();
    let outcome = run(&engine(), through(job(url, dir.path()), "socks5", "", &socks)).await;
    assert!(outcome.is_err() && socks.requests().len() == asked, "{outcome:?}");
}

#[tokio::test]
async fn what_the_proxy_is_to_blame_for_is_called_so() {
    let server = Server::start(|request| serve(&noise(3, 1000), request)).await;
    let secure = Server::start_tls(tls::server(Flaw::None, &["http/1.1"]), |_| Reply::new(200, "x")).await;
    let guarded = Manners { login: Some(("u".into(), "p".into())), ..Manners::default() };
    let refusing = |reply| Manners { refuse: Some(reply), ..Manners::default() };
    let http = ProxyServer::http(guarded.clone()).await;
    let socks = ProxyServer::socks(guarded).await;
    let http_refusing = ProxyServer::http(refusing(403)).await;
    let socks_refusing = ProxyServer::socks(refusing(2)).await;
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let stranger = listener.local_addr().unwrap();
    let greeting = tokio::spawn(async move {
        while let Ok((mut socket, _)) = listener.accept().await {
            let _ = tokio::io::AsyncWriteExt::write_all(&mut socket, b"220 mail.example ESMTP\r\n").await;
        }
    });
    let gone = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    for (address, url, user_info, finally) in [
        (format!("http://%{}", http.address), server.url("/f.bin"), "", Some(true)),
        (format!("http://%{}", http.address), secure.url("/f.bin"), "u:S3CRET@", Some(true)),
        (format!("socks5://%{}", socks.address), server.url("/f.bin"), "", Some(true)),
        (format!("socks5h://%{}", socks.address), secure.url("/f.bin"), "u:S3CRET@", Some(true)),
        (format!("http://%{}", http_refusing.address), secure.url("/f.bin"), "", Some(false)),
        (format!("socks5://%{}", socks_refusing.address), server.url("/f.bin"), "", Some(true)),
        (format!("http://%{gone}"), server.url("/f.bin"), "u:S3CRET@", Some(false)),
        (format!("http://%{gone}"), secure.url("/f.bin"), "", Some(false)),
        (format!("socks5://%{gone}"), secure.url("/f.bin"), "u:S3CRET@", Some(false)),
        // Something that is no proxy at all.
        (format!("socks5://%{stranger}"), server.url("/f.bin"), "", Some(false)),
        (format!("http://%{stranger}"), secure.url("/f.bin"), "", Some(false)),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut job = job(url, dir.path());
        let text = address.replace('%', user_info);
        job.source.proxy = Some(Proxy::parse(&text).unwrap());
        job.source.login = Some(Login::new("site", "SITE-S3CRET"));
        let error = run(&engine_with(trusting), job).await.unwrap_err();
        let EngineError::ProxyFailed { host, refused, .. } = &error else { panic!("{text}: {error:?}") };
        assert!(address.ends_with(&format!("%{host}")), "{address}: {host}");
        assert!(finally.is_none_or(|finally| finally == *refused), "{address}: {error:?}");
        assert!(!format!("{error:?} {error}").contains("S3CRET"), "{error:?}");
    }
    greeting.abort();
    // One that is not who it says.
    let stranger = ProxyServer::https(Manners::default(), tls::server(Flaw::Expired, &["http/1.1"])).await;
    for url in [server.url("/f.bin"), secure.url("/f.bin")] {
        let dir = tempfile::tempdir().unwrap();
        let job = through(job(url, dir.path()), "https", "u:S3CRET@", &stranger);
        let error = run(&engine_with(trusting), job).await.unwrap_err();
        assert!(matches!(error, EngineError::ProxyFailed { .. }), "{error:?}");
        assert!(stranger.requests().is_empty() && !format!("{error:?}").contains("S3CRET"));
    }
    // A refusal in the clear looks like the server's own, and is no file in any case.
    let dir = tempfile::tempdir().unwrap();
    let outcome =
        run(&engine(), through(job(server.url("/f.bin"), dir.path()), "http", "", &http_refusing)).await;
    assert!(matches!(outcome, Err(EngineError::LoginRequired { status: 403 })), "{outcome:?}");
    assert!(server.requests().iter().all(|request| request.path != "/f.bin"), "past the proxy");
}

#[tokio::test]
async fn a_proxy_does_not_see_what_is_for_the_server() {
    let data = noise(4, 10_000);
    let right = "Basic c2l0ZTpTSVRFLVMzQ1JFVA==";
    let server = Server::start_tls(tls::server(Flaw::None, &["http/1.1"]), {
        let data = data.clone();
        move |request| {
            assert!(request.headers.iter().all(|(name, _)| !name.starts_with("proxy-")), "{request:?}");
            if request.header("authorization") == Some(right)
                && request.header("cookie") == Some("c=C-S3CRET")
            {
                serve(&data, request)
            } else {
                Reply::new(401, "").header("www-authenticate", "Basic")
            }
        }
    })
    .await;
    let manners = Manners { login: Some(("u".into(), "PROXY-S3CRET".into())), ..Manners::default() };
    let (http, socks) = (ProxyServer::http(manners.clone()).await, ProxyServer::socks(manners).await);
    for (scheme, proxy) in [("http", &http), ("socks5h", &socks)] {
        let dir = tempfile::tempdir().unwrap();
        let mut job =
            through(job(server.url("/f.bin?t=Q-S3CRET"), dir.path()), scheme, "u:PROXY-S3CRET@", proxy);
        job.source.login = Some(Login::new("site", "SITE-S3CRET"));
        job.source.cookies = Some("c=C-S3CRET".into());
        assert_whole(&run(&engine_with(trusting), job).await.unwrap(), &data, dir.path());
        for seen in proxy.requests() {
            assert!(!seen.contains("Q-S3CRET") && !seen.contains("C-S3CRET"), "{seen}");
            assert!(!seen.to_ascii_lowercase().contains("\nauthorization"), "{seen}");
            assert!(!seen.contains("c2l0ZTpTSVRFLVMzQ1JFVA"), "{seen}");
        }
    }
    // The other way round: the server in the clear does not see the proxy's login.
    let server = Server::start({
        let data = data.clone();
        move |request| serve(&data, request)
    })
    .await;
    let dir = tempfile::tempdir().unwrap();
    let job = through(job(server.url("/f.bin"), dir.path()), "http", "u:PROXY-S3CRET@", &http);
    assert_whole(&run(&engine(), job).await.unwrap(), &data, dir.path());
    for request in server.requests() {
        assert!(request.headers.iter().all(|(name, _)| !name.starts_with("proxy-auth")), "{request:?}");
    }
}

#[tokio::test]
async fn the_own_door_stays_shut_through_a_proxy() {
    let door = Server::start(|_| Reply::new(200, "secret")).await;
    let target = door.url("/token").to_string();
    let server = Server::start(move |_| Reply::new(302, "").header("location", target.clone())).await;
    let port = door.address.port();
    let engine = engine_with(|options| options.deny = Some(Arc::new(move |url| url.port() == Some(port))));
    let proxy = ProxyServer::http(Manners::default()).await;
    for url in [door.url("/x.bin"), server.url("/x.bin")] {
        let dir = tempfile::tempdir().unwrap();
        let error = run(&engine, through(job(url, dir.path()), "http", "", &proxy)).await.unwrap_err();
        assert!(matches!(error, EngineError::OwnAddress), "{error:?}");
    }
    assert!(door.requests().is_empty());
    assert_eq!(proxy.requests().len(), 1);
}

#[tokio::test]
async fn a_source_decides_before_the_engine_does() {
    let data = noise(5, 10_000);
    let server = Server::start({
        let data = data.clone();
        move |request| serve(&data, request)
    })
    .await;
    let (first, second) =
        (ProxyServer::http(Manners::default()).await, ProxyServer::http(Manners::default()).await);
    let engine = engine_with(|options| {
        options.proxy = Some(Proxy::parse(&format!("http://{}", first.address)).unwrap());
    });
    let run_with = async |proxy: Option<Proxy>| {
        let dir = tempfile::tempdir().unwrap();
        let mut job = job(server.url("/f.bin"), dir.path());
        job.source.proxy = proxy;
        assert_whole(&run(&engine, job).await.unwrap(), &data, dir.path());
        (first.requests().len(), second.requests().len())
    };
    assert_eq!(run_with(None).await, (1, 0));
    assert_eq!(run_with(Some(Proxy::parse(&format!("http://{}", second.address)).unwrap())).await, (1, 1));
    assert_eq!(run_with(Some(Proxy::parse("none").unwrap())).await, (1, 1));
    // However many proxies are named, few of them are kept, and each still leads where it should.
    for n in 0..20 {
        let text = format!("http://u{n}:p@{}", second.address);
        assert_eq!(run_with(Some(Proxy::parse(&text).unwrap())).await, (1, 2 + n));
    }
}
