//! Secure connections: each thing that may be wrong with one has its name, and old and new protocols both come through.

use std::convert::Infallible;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use hyper::body::{Body, Bytes, Frame};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use weir_engine::EngineError;

use super::support::tls::{self, Flaw};
use super::support::{Server, assert_whole, engine, engine_with, job, noise, run, serve};

#[tokio::test]
async fn what_is_wrong_with_a_certificate_is_told_apart() {
    for (flaw, words) in [
        (Flaw::Expired, "expired"),
        (Flaw::NotYet, "not valid yet"),
        (Flaw::WrongName, "another name"),
        (Flaw::SelfSigned, "not known"),
    ] {
        let server = Server::start_tls(tls::server(flaw, &["http/1.1"]), |_| panic!("asked")).await;
        let dir = tempfile::tempdir().unwrap();
        let trusting = engine_with(|options| options.certificates = Some(tls::authority()));
        let error = run(&trusting, job(server.named_url("/f.bin?t=S3CRET"), dir.path())).await.unwrap_err();
        let EngineError::Tls { host, reason } = &error else { panic!("{flaw:?}: {error:?}") };
        assert_eq!(host, "localhost");
        assert!(reason.contains(words), "{flaw:?}: {reason}");
        assert!(!format!("{error:?}").contains("S3CRET"));
    }
    // A good one of an authority nobody here trusts.
    let server = Server::start_tls(tls::server(Flaw::None, &["http/1.1"]), |_| panic!("asked")).await;
    let dir = tempfile::tempdir().unwrap();
    let error = run(&engine(), job(server.url("/f.bin"), dir.path())).await.unwrap_err();
    let EngineError::Tls { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("not known"), "{reason}");
}

#[tokio::test]
async fn a_server_that_speaks_no_tls_is_called_so() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("https://{}/file.bin", listener.local_addr().unwrap()).parse().unwrap();
    let plain = tokio::spawn(async move {
        loop {
            let (mut socket, _) = listener.accept().await.unwrap();
            let answer = b"HTTP/1.1 400 Bad Request\r\n\r\n";
            tokio::io::AsyncWriteExt::write_all(&mut socket, answer).await.unwrap();
        }
    });
    let dir = tempfile::tempdir().unwrap();
    let error = run(&engine(), job(url, dir.path())).await.unwrap_err();
    let EngineError::Tls { reason, .. } = &error else { panic!("{error:?}") };
    assert!(reason.contains("does not speak TLS"), "{reason}");
    plain.abort();
}

/// Not a test by itself: run where `both.test` is 127.0.0.1 and ::1.
#[tokio::test]
async fn child_resolves_both() {
    if std::env::var_os(NAMESPACE).is_none() {
        return;
    }
    let known: Vec<_> = tokio::net::lookup_host("both.test:80").await.unwrap().collect();
    assert!(
        known.iter().any(std::net::SocketAddr::is_ipv4) && known.iter().any(std::net::SocketAddr::is_ipv6)
    );
    let data = noise(1, 200_000);
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let data = data.clone();
        let server = Server::listen(address, None, {
            let data = data.clone();
            move |request| serve(&data, request)
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let url = format!("http://both.test:{}/f.bin", server.address.port()).parse().unwrap();
        let began = std::time::Instant::now();
        assert_whole(&run(&engine(), job(url, dir.path())).await.unwrap(), &data, dir.path());
        assert!(began.elapsed().as_secs() < 2, "{address}: {:?}", began.elapsed());
    }
}

const NAMESPACE: &str = "WEIR_ENGINE_BOTH";

/// In a namespace of its own, where a name can be given two addresses.
#[test]
fn a_name_with_two_addresses_is_reached_by_the_one_that_listens() {
    if std::net::TcpListener::bind("[::1]:0").is_err() {
        eprintln!("skipped: no IPv6 here");
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let hosts = dir.path().join("hosts");
    std::fs::write(&hosts, "127.0.0.1 localhost both.test\n::1 both.test\n").unwrap();
    let script = "mount --bind \"$1\" /etc/hosts || exit 77; exec \"$0\" --exact tls::child_resolves_both";
    let child = std::process::Command::new("unshare")
        .args(["--map-root-user", "--mount", "sh", "-c", script])
        .arg(std::env::current_exe().unwrap())
        .arg(&hosts)
        .env(NAMESPACE, "1")
        .output();
    match child {
        Ok(output) if output.status.success() => {}
        Ok(output) if output.status.code() == Some(77) => eprintln!("skipped: nothing can be mounted here"),
        Ok(output) => panic!("{}", String::from_utf8_lossy(&output.stdout)),
        Err(error) => eprintln!("skipped: no unshare ({error})"),
    }
}

/// A body in one piece.
struct Whole(Option<Bytes>);

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: std::pin::Pin<&mut Self>,
        _: &mut std::task::Context<'_>,
    ) -> std::task::Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        std::task::Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }
}

/// Some servers offer HTTP/2 and nothing else: the file must still come.
#[tokio::test]
async fn a_server_without_http_1_is_asked_over_http_2() {
    let data = Bytes::from(noise(2, 3_000_000));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let acceptor = TlsAcceptor::from(Arc::new(tls::server(Flaw::None, &["h2"])));
    let refused = Arc::new(AtomicUsize::new(0));
    let serving = tokio::spawn({
        let (data, refused) = (data.clone(), Arc::clone(&refused));
        async move {
            loop {
                let socket = listener.accept().await.unwrap().0;
                let (data, refused, acceptor) = (data.clone(), Arc::clone(&refused), acceptor.clone());
                tokio::spawn(async move {
                    let Ok(socket) = acceptor.accept(socket).await else {
                        refused.fetch_add(1, Ordering::SeqCst);
                        return;
                    };
                    let service = hyper::service::service_fn(move |_| {
                        let data = data.clone();
                        async move { Ok::<_, Infallible>(hyper::Response::new(Whole(Some(data)))) }
                    });
                    let io = hyper_util::rt::TokioIo::new(socket);
                    let executor = hyper_util::rt::TokioExecutor::new();
                    let _ = hyper::server::conn::http2::Builder::new(executor)
                        .serve_connection(io, service)
                        .await;
                });
            }
        }
    });
    let engine = engine_with(|options| options.certificates = Some(tls::authority()));
    for n in 0..2 {
        let dir = tempfile::tempdir().unwrap();
        let url = format!("https://localhost:{port}/f.bin").parse().unwrap();
        assert_whole(&run(&engine, job(url, dir.path())).await.unwrap(), &data, dir.path());
        // Learned once, it is not asked again.
        assert_eq!(refused.load(Ordering::SeqCst), 1, "download {n}");
    }
    serving.abort();
}
