//! Drives the real program: a daemon in a home of its own, raw HTTP against its door, and a file server with ranges.

#![allow(dead_code, reason = "each test file uses its own part")]

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

/// The program under test.
pub(crate) const WEIR: &str = env!("CARGO_BIN_EXE_weir");

/// `weir` with nothing of the caller's own settings.
pub(crate) fn weir(home: &Path) -> Command {
    let mut command = Command::new(WEIR);
    for (key, _) in std::env::vars().filter(|(key, _)| key.starts_with("WEIR_")) {
        command.env_remove(key);
    }
    command
        .env("WEIR_HOME", home.join("weir"))
        .env("WEIR_PORT", "0")
        .env("WEIR_DOWNLOAD_DIR", home.join("downloads"));
    // No test registers anything with the browsers of the machine, and none opens windows.
    command.env("HOME", home).env("XDG_CONFIG_HOME", home.join("config")).env_remove("DISPLAY");
    command.stdin(Stdio::null());
    command
}

/// A daemon of its own.
pub(crate) struct Daemon {
    pub dir: tempfile::TempDir,
    child: Option<Child>,
    pub port: u16,
    pub token: String,
}

impl Daemon {
    pub(crate) fn start() -> Self {
        Self::start_with("")
    }

    /// One with this `config.toml`.
    pub(crate) fn start_with(config: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir(dir.path().join("weir")).unwrap();
        std::fs::write(dir.path().join("weir/config.toml"), config).unwrap();
        let mut daemon = Self { dir, child: None, port: 0, token: String::new() };
        daemon.launch();
        daemon
    }

    /// Starts the program again in the same home.
    pub(crate) fn launch(&mut self) {
        let endpoint = self.dir.path().join("weir/endpoint.json");
        let stale = std::fs::read(&endpoint).ok();
        self.child = Some(weir(self.dir.path()).args(["serve"]).stderr(Stdio::null()).spawn().unwrap());
        let endpoint: Value = eventually("endpoint.json", || {
            let text = std::fs::read(&endpoint).ok().filter(|text| stale.as_ref() != Some(text))?;
            serde_json::from_slice(&text).ok()
        });
        self.port = u16::try_from(endpoint["port"].as_u64().unwrap()).unwrap();
        self.token = endpoint["token"].as_str().unwrap().to_owned();
    }

    pub(crate) fn pid(&self) -> u32 {
        self.child.as_ref().unwrap().id()
    }

    /// kill −9.
    pub(crate) fn kill(&mut self) {
        let mut child = self.child.take().unwrap();
        child.kill().unwrap();
        child.wait().unwrap();
    }

    /// SIGTERM, and the exit status.
    pub(crate) fn stop(&mut self) -> std::process::ExitStatus {
        let mut child = self.child.take().unwrap();
        assert!(Command::new("kill").args(["-TERM", &child.id().to_string()]).status().unwrap().success());
        let deadline = Instant::now() + Duration::from_secs(10);
        loop {
            if let Some(status) = child.try_wait().unwrap() {
                return status;
            }
            assert!(Instant::now() < deadline, "the daemon does not stop");
            std::thread::sleep(Duration::from_millis(10));
        }
    }

    pub(crate) fn downloads(&self) -> PathBuf {
        self.dir.path().join("downloads")
    }

    /// A request head and body, sent as they are.
    pub(crate) fn raw(&self, request: &[u8]) -> Answer {
        raw(SocketAddr::from(([127, 0, 0, 1], self.port)), request)
    }

    /// A request with these header lines besides `Host`.
    pub(crate) fn request(&self, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> Answer {
        let mut head =
            format!("{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n", self.port);
        for (name, value) in headers {
            head += &format!("{name}: {value}\r\n");
        }
        if !body.is_empty() {
            head += &format!("Content-Length: {}\r\n", body.len());
        }
        self.raw(format!("{head}\r\n{body}").as_bytes())
    }

    /// A request as our own tools make it.
    pub(crate) fn call(&self, method: &str, path: &str, body: &str) -> Answer {
        let bearer = format!("Bearer {}", self.token);
        self.request(method, path, &[("Authorization", &bearer), ("Content-Type", "application/json")], body)
    }

    /// `POST /download`, which must be taken.
    pub(crate) fn add(&self, body: &Value) -> i64 {
        let answer = self.call("POST", "/download", &body.to_string());
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_i64().unwrap()
    }

    pub(crate) fn row(&self, id: i64) -> Value {
        self.call("GET", &format!("/download/{id}"), "").json()
    }

    /// The row once `status` is one of `wanted`; panics when it ends otherwise.
    pub(crate) fn wait_for(&self, id: i64, wanted: &[&str]) -> Value {
        eventually(&format!("download {id} to be {wanted:?}"), || {
            let row = self.row(id);
            let status = row["status"].as_str().unwrap_or_default().to_owned();
            if wanted.contains(&status.as_str()) {
                return Some(row);
            }
            assert!(!["completed", "error", "cancelled"].contains(&status.as_str()), "{row}");
            None
        })
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

/// What came back.
#[derive(Debug)]
pub(crate) struct Answer {
    pub status: u16,
    /// Header lines, names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: String,
    /// The body as it came.
    pub(crate) bytes: Vec<u8>,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.body).unwrap_or_else(|e| panic!("{e}: {}", self.body))
    }

    pub(crate) fn code(&self) -> String {
        self.json()["error"]["code"].as_str().unwrap_or_default().to_owned()
    }
}

/// Sends bytes and reads the answer to its end.
pub(crate) fn raw(address: SocketAddr, request: &[u8]) -> Answer {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    // A server that refuses early may close before it has read everything.
    let _ = stream.write_all(request);
    let mut reader = BufReader::new(stream);
    let mut line = String::new();
    reader.read_line(&mut line).unwrap();
    let status = line
        .split(' ')
        .nth(1)
        .and_then(|code| code.parse().ok())
        .unwrap_or_else(|| panic!("no answer: {line:?}"));
    let mut headers = Vec::new();
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).unwrap();
        let Some((name, value)) = line.trim_end().split_once(':') else { break };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let mut body = Vec::new();
    if status == 101 {
        return Answer { status, headers, body: String::new(), bytes: body };
    }
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .and_then(|(_, value)| value.parse::<u64>().ok());
    match length {
        Some(length) => drop(reader.take(length).read_to_end(&mut body)),
        None => drop(reader.read_to_end(&mut body)),
    }
    Answer { status, headers, body: String::from_utf8_lossy(&body).into_owned(), bytes: body }
}

/// Tries until there is a value, for at most 30 seconds.
pub(crate) fn eventually<T>(what: &str, mut attempt: impl FnMut() -> Option<T>) -> T {
    let deadline = Instant::now() + Duration::from_secs(30);
    loop {
        if let Some(value) = attempt() {
            return value;
        }
        assert!(Instant::now() < deadline, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// Serves a folder on loopback, with ranges and validators, until dropped.
pub(crate) struct FileServer {
    pub port: u16,
    runtime: Option<tokio::runtime::Runtime>,
}

impl FileServer {
    pub(crate) fn start(folder: &Path) -> Self {
        let runtime =
            tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
        let listener = runtime.block_on(tokio::net::TcpListener::bind(("127.0.0.1", 0))).unwrap();
        let port = listener.local_addr().unwrap().port();
        let router = axum::Router::new().fallback_service(tower_http::services::ServeDir::new(folder));
        runtime.spawn(async move { axum::serve(listener, router).await });
        Self { port, runtime: Some(runtime) }
    }

    pub(crate) fn url(&self, name: &str) -> String {
        format!("http://127.0.0.1:{}/{name}", self.port)
    }
}

impl Drop for FileServer {
    fn drop(&mut self) {
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Bytes that look random and are the same each time.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut bytes = Vec::with_capacity(length + 8);
    while bytes.len() < length {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend_from_slice(&state.to_le_bytes());
    }
    bytes.truncate(length);
    bytes
}

/// SHA-256 as lower-case hex.
pub(crate) fn sha256(bytes: &[u8]) -> String {
    use sha2::{Digest as _, Sha256};
    use std::fmt::Write as _;
    Sha256::digest(bytes).iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// An HLS stream of `seconds`, two qualities, made by ffmpeg: `master.m3u8` in `folder`.
pub(crate) fn make_hls(folder: &Path, seconds: u32) {
    std::fs::create_dir_all(folder).unwrap();
    let made = Command::new("ffmpeg")
        .current_dir(folder)
        .args([
            "-v",
            "error",
            "-y",
            "-f",
            "lavfi",
            "-i",
            &format!("testsrc2=size=640x360:rate=25:duration={seconds}"),
        ])
        .args(["-f", "lavfi", "-i", &format!("sine=frequency=440:duration={seconds}")])
        .args([
            "-filter_complex",
            "[0:v]split=2[a][b0];[b0]scale=320:180[b]",
            "-map",
            "[a]",
            "-map",
            "1:a",
            "-map",
            "[b]",
            "-map",
            "1:a",
        ])
        .args([
            "-c:v",
            "libx264",
            "-preset",
            "ultrafast",
            "-g",
            "25",
            "-sc_threshold",
            "0",
            "-b:v:0",
            "800k",
            "-b:v:1",
            "200k",
        ])
        .args([
            "-c:a",
            "aac",
            "-f",
            "hls",
            "-hls_time",
            "1",
            "-hls_playlist_type",
            "vod",
            "-master_pl_name",
            "master.m3u8",
        ])
        .args(["-var_stream_map", "v:0,a:0 v:1,a:1", "-hls_segment_filename", "v%v_%03d.ts", "v%v.m3u8"])
        .status()
        .expect("ffmpeg is installed by scripts/test.sh");
    assert!(made.success());
}

/// Seconds of a media file, by ffprobe.
pub(crate) fn duration_of(path: &Path) -> f64 {
    let probed = Command::new("ffprobe")
        .args(["-v", "error", "-show_entries", "format=duration", "-of", "csv=p=0"])
        .arg(path)
        .output()
        .unwrap();
    String::from_utf8_lossy(&probed.stdout).trim().parse().unwrap()
}
