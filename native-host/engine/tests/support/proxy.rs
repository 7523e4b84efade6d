//! Proxies of our own: HTTP with `CONNECT` and whole addresses, and SOCKS5 (RFC 1928, RFC 1929).

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::sync::CancellationToken;

/// What a proxy does with those who come.
#[derive(Debug, Clone, Default)]
pub struct Manners {
    /// Name and password it wants.
    pub login: Option<(String, String)>,
    /// Refuses every target: a status, or a SOCKS reply.
    pub refuse: Option<u16>,
    /// Where it connects to instead, so that names nobody resolves can be asked for.
    pub target: Option<SocketAddr>,
}

#[derive(Clone)]
enum Kind {
    Http,
    Https(TlsAcceptor),
    Socks,
}

/// A running proxy.
pub struct ProxyServer {
    pub address: SocketAddr,
    /// What it was asked, with everything it could see: heads of requests, or `socks TARGET user:password`.
    pub log: Arc<Mutex<Vec<String>>>,
    stop: CancellationToken,
}

impl ProxyServer {
    pub async fn http(manners: Manners) -> Self {
        Self::start(manners, Kind::Http).await
    }

    /// An HTTP proxy that is spoken to over TLS.
    pub async fn https(manners: Manners, config: rustls::ServerConfig) -> Self {
        Self::start(manners, Kind::Https(TlsAcceptor::from(Arc::new(config)))).await
    }

    pub async fn socks(manners: Manners) -> Self {
        Self::start(manners, Kind::Socks).await
    }

    async fn start(manners: Manners, kind: Kind) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        let (log, stop) = (Arc::new(Mutex::new(Vec::new())), CancellationToken::new());
        tokio::spawn({
            let (log, stop) = (Arc::clone(&log), stop.clone());
            async move {
                loop {
                    let socket = tokio::select! {
                        () = stop.cancelled() => return,
                        accepted = listener.accept() => accepted.unwrap().0,
                    };
                    let (log, manners, stop) = (Arc::clone(&log), manners.clone(), stop.clone());
                    let kind = kind.clone();
                    tokio::spawn(async move {
                        let work = async {
                            match kind {
                                Kind::Http => serve_http(socket, &manners, &log).await,
                                Kind::Https(acceptor) => {
                                    serve_http(acceptor.accept(socket).await?, &manners, &log).await
                                }
                                Kind::Socks => serve_socks(socket, &manners, &log).await,
                            }
                        };
                        tokio::select! {
                            () = stop.cancelled() => {}
                            _ = work => {}
                        }
                    });
                }
            }
        });
        Self { address, log, stop }
    }

    pub fn requests(&self) -> Vec<String> {
        self.log.lock().unwrap().clone()
    }
}

impl Drop for ProxyServer {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn serve_http(
    mut socket: impl AsyncRead + AsyncWrite + Unpin,
    manners: &Manners,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    use base64::Engine as _;
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        head.push(socket.read_u8().await?);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    log.lock().unwrap().push(head.clone());
    if let Some((user, password)) = &manners.login {
        let wanted = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
        let wanted = format!("proxy-authorization: basic {wanted}");
        if !head.lines().any(|line| line.eq_ignore_ascii_case(&wanted)) {
            let answer = "HTTP/1.1 407 Who?\r\nproxy-authenticate: Basic realm=\"p\"\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            return socket.write_all(answer.as_bytes()).await;
        }
    }
    if let Some(status) = manners.refuse {
        let answer = format!("HTTP/1.1 {status} No\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
        return socket.write_all(answer.as_bytes()).await;
    }
    let mut words = head.split(' ');
    let (method, target) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    if method == "CONNECT" {
        let mut upstream = connect(manners, target).await?;
        socket.write_all(b"HTTP/1.1 200 Connected\r\n\r\n").await?;
        tokio::io::copy_bidirectional(&mut socket, &mut upstream).await?;
        return Ok(());
    }
    let Some(rest) = target.strip_prefix("http://") else {
        return socket
            .write_all(b"HTTP/1.1 400 No address\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")
            .await;
    };
    let (host, path) = rest.split_once('/').unwrap_or((rest, ""));
    let mut upstream = connect(manners, host).await?;
    let mut lines = head.lines();
    lines.next();
    let mut forwarded = format!("{method} /{path} HTTP/1.1\r\nconnection: close\r\n");
    for line in lines.filter(|line| !line.is_empty()) {
        let name = line.split(':').next().unwrap_or_default().to_ascii_lowercase();
        if !matches!(name.as_str(), "proxy-authorization" | "proxy-connection" | "connection") {
            forwarded.push_str(line);
            forwarded.push_str("\r\n");
        }
    }
    forwarded.push_str("\r\n");
    upstream.write_all(forwarded.as_bytes()).await?;
    tokio::io::copy_bidirectional(&mut socket, &mut upstream).await?;
    Ok(())
}

async fn connect(manners: &Manners, target: &str) -> std::io::Result<TcpStream> {
    match manners.target {
        Some(address) => TcpStream::connect(address).await,
        None => TcpStream::connect(target).await,
    }
}

async fn serve_socks(
    mut socket: TcpStream,
    manners: &Manners,
    log: &Mutex<Vec<String>>,
) -> std::io::Result<()> {
    let _version = socket.read_u8().await?;
    let mut methods = vec![0; socket.read_u8().await? as usize];
    socket.read_exact(&mut methods).await?;
    let mut login = String::new();
    let wanted = if manners.login.is_some() { 2 } else { 0 };
    if !methods.contains(&wanted) {
        return socket.write_all(&[5, 0xFF]).await;
    }
    socket.write_all(&[5, wanted]).await?;
    if let Some((user, password)) = &manners.login {
        let _version = socket.read_u8().await?;
        let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
        let mut name = vec![0; socket.read_u8().await? as usize];
        socket.read_exact(&mut name).await?;
        let mut secret = vec![0; socket.read_u8().await? as usize];
        socket.read_exact(&mut secret).await?;
        login = format!("{}:{}", text(name), text(secret));
        let right = login == format!("{user}:{password}");
        socket.write_all(&[1, u8::from(!right)]).await?;
        if !right {
            return Ok(());
        }
    }
    let mut head = [0; 4];
    socket.read_exact(&mut head).await?;
    let host = match head[3] {
        1 => {
            let mut address = [0; 4];
            socket.read_exact(&mut address).await?;
            std::net::Ipv4Addr::from(address).to_string()
        }
        3 => {
            let mut name = vec![0; socket.read_u8().await? as usize];
            socket.read_exact(&mut name).await?;
            String::from_utf8_lossy(&name).into_owned()
        }
        _ => {
            let mut address = [0; 16];
            socket.read_exact(&mut address).await?;
            format!("[{}]", std::net::Ipv6Addr::from(address))
        }
    };
    let target = format!("{host}:{}", socket.read_u16().await?);
    log.lock().unwrap().push(format!("socks {target} {login}"));
    let upstream = match manners.refuse {
        Some(reply) => return socket.write_all(&[5, reply as u8, 0, 1, 0, 0, 0, 0, 0, 0]).await,
        None => connect(manners, &target).await,
    };
    let Ok(mut upstream) = upstream else {
        return socket.write_all(&[5, 5, 0, 1, 0, 0, 0, 0, 0, 0]).await;
    };
    socket.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0]).await?;
    tokio::io::copy_bidirectional(&mut socket, &mut upstream).await?;
    Ok(())
}
