//! `weir serve`: opens the store, the queue and the door, and closes them again.
//!
//! Owns the daemon's life: one instance a home, by lock; loopback only; a clean stop on SIGTERM or Ctrl-C. Never
//! handles a request itself. Invariant: `endpoint.json` is there only while the door is open.

mod door;
mod holder;
pub(crate) mod log;
mod settings;

use std::net::TcpListener as StdListener;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context as _, bail};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use weir_engine::{Engine, EngineOptions, Hosts};
use weir_protocol::Endpoint;

use crate::api::{self, Door};
use crate::config::Config;
use crate::endpoint::{self, Token};
use crate::home::Home;
use crate::queue::{Limits, Queue};
use crate::store::Store;
use crate::tools;
pub(crate) use settings::{Settings, SettingsError};

/// How long a stop waits for answers in flight.
const DRAIN: Duration = Duration::from_secs(2);

/// Runs until a signal or `POST` from nobody: only the system and `weir stop` end it.
///
/// # Errors
/// When another daemon runs, the port is taken, or the store cannot be opened; the message says which.
pub(crate) fn run(home: &Home, config: Config) -> anyhow::Result<()> {
    let mut lock = lock(home)?;
    // Two threads do: writing and SQLite have blocking threads of their own, which end when idle.
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        // One for each track that is being written, of at most 64 downloads, and some for the store and for files: these must
        // never wait for a download to end.
        .max_blocking_threads(2048)
        .thread_keep_alive(Duration::from_secs(2))
        .enable_all()
        .build()?;
    let result = runtime.block_on(serve(home, config, &mut lock));
    runtime.shutdown_timeout(Duration::from_secs(1));
    drop(lock);
    result
}

/// Held for as long as the daemon lives; the system lets go of it even after kill −9.
fn lock(home: &Home) -> anyhow::Result<std::fs::File> {
    let path = home.lock();
    let file = std::fs::OpenOptions::new().write(true).create(true).truncate(false).open(&path);
    let file = file.with_context(|| format!("cannot open {}", path.display()))?;
    for _ in 0..5 {
        match file.try_lock() {
            Ok(()) => return Ok(file),
            // Others look whether it is held by holding it for a moment; a daemon holds it for longer.
            Err(std::fs::TryLockError::WouldBlock) => std::thread::sleep(Duration::from_millis(10)),
            Err(std::fs::TryLockError::Error(error)) => {
                return Err(error).with_context(|| format!("cannot lock {}", path.display()));
            }
        }
    }
    let holder =
        endpoint::read(home).map_or_else(String::new, |e| format!(" (process {}, {})", e.pid, e.url));
    bail!("Weir already runs for {}{holder}", home.root().display())
}

async fn serve(home: &Home, config: Config, lock: &mut std::fs::File) -> anyhow::Result<()> {
    let listeners = bind(home, &config)?;
    let address = listeners.first().context("no address to listen on")?.local_addr()?;
    let (port, url) = (address.port(), format!("http://{address}"));
    let token = Token::load_or_create(home)?;
    let store = Store::open(&home.database()).with_context(|| {
        let path = home.database();
        format!("cannot open the history {} (to begin a new one, move it aside)", path.display())
    })?;
    let hosts = Arc::new(Hosts::load(&home.hosts()));
    let own = home.clone();
    let make_engine = move |config: &Config| {
        let engine = Engine::new(EngineOptions {
            deny: Some(Arc::new(move |url: &url::Url| is_own_door(url, port))),
            proxy: config.proxy.clone(),
            netrc: config.netrc.clone(),
            yt_dlp: tools::yt_dlp_for_engine(Some(&own), config),
            retries: config.retries,
            hosts: Arc::clone(&hosts),
            ..EngineOptions::default()
        });
        engine.map_err(anyhow::Error::from)
    };
    let settings = Settings::new(home, config, Box::new(make_engine))?;
    let start = settings.in_force();
    let queue = Queue::start(store.clone(), start.engine.clone(), Limits::from(&start.config)).await?;
    let door = Arc::new(Door::new(settings, (port, url.clone()), token.clone(), store, queue.clone()));

    let closing = CancellationToken::new();
    let connections = TaskTracker::new();
    let sockets = door.sockets.clone();
    let router = api::router(door);
    for listener in listeners {
        let listener = tokio::net::TcpListener::from_std(listener)?;
        tokio::spawn(door::accept(listener, router.clone(), closing.clone(), connections.clone()));
    }
    let version = env!("CARGO_PKG_VERSION").to_owned();
    let published = Endpoint {
        url: url.clone(),
        port,
        token: token.as_str().to_owned(),
        pid: std::process::id(),
        version,
    };
    endpoint::note_in_lock(lock, &published).context("cannot write the lock file")?;
    endpoint::publish(home, &published)?;
    tracing::info!(%url, pid = published.pid, "listening");

    stop_signal().await?;
    tracing::info!("stopping");
    endpoint::withdraw(home);
    // The queue first: its end closes every socket, and the journals matter more than answers in flight.
    queue.stop().await.ok();
    sockets.close();
    let _ = tokio::time::timeout(DRAIN, sockets.wait()).await;
    closing.cancel();
    connections.close();
    let _ = tokio::time::timeout(DRAIN, connections.wait()).await;
    Ok(())
}

/// Who listens on a port, when the system tells.
pub(crate) fn holder_of(port: u16) -> Option<String> {
    holder::of_port(port)
}

/// Opens the port on every address, or on none.
fn bind(home: &Home, config: &Config) -> anyhow::Result<Vec<StdListener>> {
    if config.port != 0 {
        return bind_all(config, config.port).map_err(|error| port_error(config.port, error));
    }
    // Any port will do, but after a crash the last one keeps open pages and sockets working.
    if let Some(last) = endpoint::read(home)
        && let Ok(listeners) = bind_all(config, last.port)
    {
        return Ok(listeners);
    }
    let mut last_error = None;
    for _ in 0..16 {
        let first = StdListener::bind((config.listen[0], 0)).context("cannot open any port")?;
        let port = first.local_addr()?.port();
        drop(first);
        match bind_all(config, port) {
            Ok(listeners) => return Ok(listeners),
            Err(error) => last_error = Some(error),
        }
    }
    Err(last_error.map_or_else(|| anyhow::anyhow!("no free port"), |error| port_error(0, error)))
}

fn bind_all(config: &Config, port: u16) -> std::io::Result<Vec<StdListener>> {
    let mut listeners = Vec::new();
    for address in &config.listen {
        let listener = match StdListener::bind((*address, port)) {
            Ok(listener) => listener,
            // A machine without IPv6 is served on IPv4 alone.
            Err(error)
                if address.is_ipv6()
                    && error.kind() != std::io::ErrorKind::AddrInUse
                    && !listeners.is_empty() =>
            {
                continue;
            }
            Err(error) => return Err(error),
        };
        listener.set_nonblocking(true)?;
        listeners.push(listener);
    }
    Ok(listeners)
}

fn port_error(port: u16, error: std::io::Error) -> anyhow::Error {
    if error.kind() != std::io::ErrorKind::AddrInUse {
        return anyhow::Error::new(error).context(format!("cannot open port {port}"));
    }
    let holder =
        holder::of_port(port).map_or_else(|| "another program".to_owned(), |holder| format!("`{holder}`"));
    anyhow::anyhow!("port {port} is held by {holder}; stop it, or set `port = 0` for any free one")
}

/// An address that leads back to this daemon: any loopback name at its port.
fn is_own_door(url: &url::Url, port: u16) -> bool {
    url.port_or_known_default() == Some(port)
        && match url.host() {
            Some(url::Host::Ipv4(address)) => address.is_loopback() || address.is_unspecified(),
            Some(url::Host::Ipv6(address)) => {
                address.is_loopback()
                    || address.is_unspecified()
                    || address.to_ipv4_mapped().is_some_and(|v4| v4.is_loopback() || v4.is_unspecified())
            }
            Some(url::Host::Domain(name)) => {
                let name = name.trim_end_matches('.');
                name.eq_ignore_ascii_case("localhost") || name.to_ascii_lowercase().ends_with(".localhost")
            }
            None => false,
        }
}

#[cfg(unix)]
async fn stop_signal() -> anyhow::Result<()> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    // A closed terminal does not end a daemon.
    let mut hangup = signal(SignalKind::hangup())?;
    loop {
        tokio::select! {
            _ = terminate.recv() => return Ok(()),
            _ = interrupt.recv() => return Ok(()),
            _ = hangup.recv() => {}
        }
    }
}

#[cfg(not(unix))]
async fn stop_signal() -> anyhow::Result<()> {
    tokio::signal::ctrl_c().await.context("cannot wait for Ctrl-C")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn our_own_door_is_known_by_every_name() {
        let own = |text: &str| is_own_door(&url::Url::parse(text).unwrap(), 8765);
        for url in [
            "http://127.0.0.1:8765/",
            "http://127.1:8765/x",
            "http://localhost:8765/",
            "http://LOCALHOST.:8765/",
            "http://[::1]:8765/",
            "http://[::ffff:127.0.0.1]:8765/",
            "http://0.0.0.0:8765/",
            "http://a.localhost:8765/",
            "http://2130706433:8765/",
            "https://127.0.0.1:8765/",
        ] {
            assert!(own(url), "{url}");
        }
        for url in ["http://127.0.0.1:8766/", "http://example.org:8765/", "http://127.0.0.1/"] {
            assert!(!own(url), "{url}");
        }
    }
}
