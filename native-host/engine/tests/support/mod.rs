//! A server that does what the tests tell it to, faults included.
//!
//! Speaks HTTP/1.1 by hand, because a proper server refuses to break its own promises. Listens on a free loopback
//! port and stops when dropped.

#![allow(dead_code, unreachable_pub)]

pub mod digest;
pub mod proxy;
pub mod tls;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::server::TlsStream;
use tokio_rustls::{TlsAcceptor, rustls};
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{Engine, EngineError, EngineOptions, Finished, Job, Monitor, Source};

/// One request as the server saw it.
#[derive(Debug, Clone)]
pub struct Request {
    pub method: String,
    /// With its query.
    pub path: String,
    pub headers: Vec<(String, String)>,
    /// How many requests for this path came before.
    pub nth: usize,
    /// First byte and one past the last.
    pub range: Option<(u64, Option<u64>)>,
    pub body: Vec<u8>,
}

impl Request {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }
}

/// What happens after the head.
#[derive(Debug, Clone)]
pub enum Step {
    Bytes(Vec<u8>),
    Pause(Duration),
    /// Closes with a TCP reset.
    Reset,
}

/// An answer, honest or not.
#[derive(Debug, Clone)]
pub struct Reply {
    pub status: u16,
    pub headers: Vec<(String, String)>,
    pub steps: Vec<Step>,
    /// Announce the real length.
    pub length: bool,
    /// Close afterwards.
    pub close: bool,
    /// Time before the head.
    pub delay: Duration,
}

impl Reply {
    pub fn new(status: u16, body: impl Into<Vec<u8>>) -> Self {
        Self {
            status,
            headers: Vec::new(),
            steps: vec![Step::Bytes(body.into())],
            length: true,
            close: false,
            delay: Duration::ZERO,
        }
    }

    /// Lets the client wait for the head.
    pub fn after(mut self, delay: Duration) -> Self {
        self.delay = delay;
        self
    }

    pub fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.retain(|(known, _)| known != name);
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub fn body(&self) -> Vec<u8> {
        let mut body = Vec::new();
        for step in &self.steps {
            if let Step::Bytes(bytes) = step {
                body.extend_from_slice(bytes);
            }
        }
        body
    }

    /// Announces everything, sends `n` bytes, then breaks.
    pub fn cut_after(mut self, n: usize, end: Option<Step>) -> Self {
        let body = self.body();
        self = self.header("content-length", body.len().to_string());
        self.length = false;
        self.close = true;
        self.steps = vec![Step::Bytes(body[..n.min(body.len())].to_vec())];
        self.steps.extend(end);
        self
    }

    /// Sends the body in small pieces with a pause after each.
    pub fn slowly(mut self, piece: usize, pause: Duration) -> Self {
        let body = self.body();
        self = self.header("content-length", body.len().to_string());
        self.length = false;
        self.steps =
            body.chunks(piece).flat_map(|piece| [Step::Bytes(piece.to_vec()), Step::Pause(pause)]).collect();
        self
    }

    /// Chunked, so that the length is not known beforehand.
    pub fn chunked(mut self, piece: usize) -> Self {
        let body = self.body();
        self.length = false;
        let mut out = Vec::new();
        for piece in body.chunks(piece) {
            out.extend(format!("{:x}\r\n", piece.len()).bytes());
            out.extend(piece);
            out.extend(b"\r\n");
        }
        out.extend(b"0\r\n\r\n");
        self.steps = vec![Step::Bytes(out)];
        self.header("transfer-encoding", "chunked")
    }
}

/// The proper answer of a server with ranges and validators.
pub fn serve(data: &[u8], request: &Request) -> Reply {
    serve_as(data, request, "\"v1\"", "Wed, 21 Oct 2026 07:28:00 GMT")
}

/// The same with these validators.
pub fn serve_as(data: &[u8], request: &Request, etag: &str, date: &str) -> Reply {
    let total = data.len() as u64;
    let reply = match request.range {
        Some((start, end)) if start < total => {
            let end = end.unwrap_or(total).min(total);
            Reply::new(206, &data[start as usize..end as usize])
                .header("content-range", format!("bytes {start}-{}/{total}", end - 1))
        }
        Some(_) => Reply::new(416, "").header("content-range", format!("bytes */{total}")),
        None => Reply::new(200, data),
    };
    let reply = reply.header("accept-ranges", "bytes").header("content-type", "application/octet-stream");
    let reply = if etag.is_empty() { reply } else { reply.header("etag", etag) };
    if date.is_empty() { reply } else { reply.header("last-modified", date) }
}

/// A running server.
pub struct Server {
    pub address: SocketAddr,
    scheme: &'static str,
    pub log: Arc<Mutex<Vec<Request>>>,
    stop: CancellationToken,
}

/// A connection that can be broken.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {
    fn socket(&self) -> &TcpStream;
}

impl Wire for TcpStream {
    fn socket(&self) -> &TcpStream {
        self
    }
}

impl Wire for TlsStream<TcpStream> {
    fn socket(&self) -> &TcpStream {
        self.get_ref().0
    }
}

impl Server {
    pub async fn start(answer: impl Fn(&Request) -> Reply + Send + Sync + 'static) -> Self {
        Self::listen("127.0.0.1:0", None, answer).await
    }

    /// The same over TLS.
    pub async fn start_tls(
        config: rustls::ServerConfig,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        Self::listen("127.0.0.1:0", Some(config), answer).await
    }

    pub async fn listen(
        address: &str,
        config: Option<rustls::ServerConfig>,
        answer: impl Fn(&Request) -> Reply + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let address = listener.local_addr().unwrap();
        let scheme = if config.is_some() { "https" } else { "http" };
        let acceptor = config.map(|config| TlsAcceptor::from(Arc::new(config)));
        let log = Arc::new(Mutex::new(Vec::new()));
        let stop = CancellationToken::new();
        let answer = Arc::new(answer);
        tokio::spawn({
            let (log, stop) = (Arc::clone(&log), stop.clone());
            async move {
                loop {
                    let socket = tokio::select! {
                        () = stop.cancelled() => return,
                        accepted = listener.accept() => accepted.unwrap().0,
                    };
                    let (log, stop, answer) = (Arc::clone(&log), stop.clone(), Arc::clone(&answer));
                    let acceptor = acceptor.clone();
                    let serving = async move {
                        match acceptor {
                            None => connection(socket, &log, &*answer).await,
                            Some(acceptor) => {
                                connection(acceptor.accept(socket).await?, &log, &*answer).await
                            }
                        }
                    };
                    tokio::spawn(async move {
                        tokio::select! {
                            () = stop.cancelled() => {}
                            _ = serving => {}
                        }
                    });
                }
            }
        });
        Self { address, scheme, log, stop }
    }

    pub fn url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://{}{path}", self.scheme, self.address)).unwrap()
    }

    /// The same place by the name its certificate is for.
    pub fn named_url(&self, path: &str) -> Url {
        Url::parse(&format!("{}://localhost:{}{path}", self.scheme, self.address.port())).unwrap()
    }

    pub fn requests(&self) -> Vec<Request> {
        self.log.lock().unwrap().clone()
    }

    /// Those of a job that went through [`marked`]. What one that was stopped had sent can still arrive after it, on a slow
    /// machine even after the first of the next.
    pub fn marked_requests(&self) -> Vec<Request> {
        self.requests().into_iter().filter(|request| request.header("x-marked").is_some()).collect()
    }

    /// Whether such a job asked for the whole, where it had a part to go on from.
    pub fn begun_anew(&self) -> bool {
        let requests = self.marked_requests();
        assert!(!requests.is_empty(), "nothing was asked for");
        requests.iter().any(|request| request.range.is_none())
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

async fn connection(
    mut socket: impl Wire,
    log: &Mutex<Vec<Request>>,
    answer: &(dyn Fn(&Request) -> Reply + Send + Sync),
) -> std::io::Result<()> {
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            if let Some(at) = buffer.windows(4).position(|window| window == b"\r\n\r\n") {
                break at + 4;
            }
            let mut piece = [0; 4096];
            let n = socket.read(&mut piece).await?;
            if n == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&piece[..n]);
        };
        let head = String::from_utf8_lossy(&buffer[..end]).into_owned();
        buffer.drain(..end);
        let mut lines = head.lines();
        let mut first = lines.next().unwrap_or_default().split(' ');
        let (method, path) =
            (first.next().unwrap_or_default().to_owned(), first.next().unwrap_or_default().to_owned());
        let headers: Vec<(String, String)> = lines
            .filter_map(|line| line.split_once(':'))
            .map(|(name, value)| (name.trim().to_ascii_lowercase(), value.trim().to_owned()))
            .collect();
        let find =
            |name: &str| headers.iter().find(|(known, _)| known == name).map(|(_, value)| value.clone());
        let body: usize = find("content-length").and_then(|value| value.parse().ok()).unwrap_or(0);
        while buffer.len() < body {
            let mut piece = [0; 4096];
            let n = socket.read(&mut piece).await?;
            if n == 0 {
                return Ok(());
            }
            buffer.extend_from_slice(&piece[..n]);
        }
        let body = buffer.drain(..body).collect();
        let range = find("range").and_then(|value| {
            let (first, last) = value.strip_prefix("bytes=")?.split_once('-')?;
            Some((first.parse().ok()?, last.parse::<u64>().ok().map(|last| last + 1)))
        });
        let request = {
            let mut log = log.lock().unwrap();
            let nth = log.iter().filter(|known| known.path == path).count();
            let request = Request { method, path, headers, nth, range, body };
            log.push(request.clone());
            request
        };
        let mut reply = answer(&request);
        reply.close |= request.header("connection") == Some("close");
        tokio::time::sleep(reply.delay).await;
        let mut out = format!("HTTP/1.1 {} X\r\n", reply.status);
        for (name, value) in &reply.headers {
            out.push_str(&format!("{name}: {value}\r\n"));
        }
        if reply.length {
            out.push_str(&format!("content-length: {}\r\n", reply.body().len()));
        }
        if reply.close {
            out.push_str("connection: close\r\n");
        }
        out.push_str("\r\n");
        socket.write_all(out.as_bytes()).await?;
        for step in &reply.steps {
            match step {
                Step::Bytes(bytes) => socket.write_all(bytes).await?,
                Step::Pause(pause) => tokio::time::sleep(*pause).await,
                Step::Reset => {
                    socket.socket().set_zero_linger()?;
                    return Ok(());
                }
            }
        }
        if reply.close {
            socket.shutdown().await?;
            return Ok(());
        }
    }
}

/// Bytes that look like nothing and are the same for the same seed.
pub fn noise(seed: u64, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

pub fn sha256(data: &[u8]) -> [u8; 32] {
    Sha256::digest(data).into()
}

/// An engine that loses patience quickly, so that faults do not make the tests slow.
pub fn engine() -> Engine {
    engine_with(|_| {})
}

pub fn engine_with(change: impl FnOnce(&mut EngineOptions)) -> Engine {
    let mut options = EngineOptions {
        connect_timeout: Duration::from_secs(2),
        patience: Duration::from_secs(1),
        retries: 3,
        backoff: Duration::from_millis(10),
        ..EngineOptions::default()
    };
    change(&mut options);
    Engine::new(options).unwrap()
}

pub fn job(url: Url, directory: &Path) -> Job {
    Job::new(Source::get(url), directory.to_owned())
}

/// The same job, told from every other by what it asks for: see [`Server::marked_requests`].
pub fn marked(mut job: Job) -> Job {
    job.source.headers.push(("x-marked".to_owned(), "1".to_owned()));
    job
}

/// Runs a job that must end within half a minute, whatever the server does, and settles it.
pub async fn run(engine: &Engine, job: Job) -> Result<Finished, EngineError> {
    let work = engine.download(job, Arc::new(Monitor::new()), CancellationToken::new());
    let outcome = tokio::time::timeout(Duration::from_secs(30), work).await.expect("the download hangs");
    if let Ok(finished) = &outcome {
        finished.settle().unwrap();
    }
    outcome
}

/// Names in a folder, sorted.
pub fn names(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Asserts that a file arrived whole, alone, and as announced.
pub fn assert_whole(finished: &Finished, data: &[u8], directory: &Path) {
    let found = std::fs::read(&finished.path).unwrap();
    assert_eq!(found.len(), data.len());
    assert!(found == data, "wrong bytes");
    assert_eq!(finished.bytes, data.len() as u64);
    assert_eq!(finished.sha256, sha256(data));
    assert_eq!(finished.path.parent(), Some(directory));
    finished.settle().unwrap();
    let left: Vec<PathBuf> = std::fs::read_dir(directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().contains(".part"))
        .collect();
    assert!(left.is_empty(), "left behind: {left:?}");
}
