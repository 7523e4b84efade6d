//! What was learned about servers: how many connections each of them bears.
//!
//! Owns the count of open connections to each server and the caps learned from refusals, and keeps the caps in a file.
//! Never asks a server anything. Invariant: while a cap is known, no more connections than that are open to its
//! server, whichever downloads they belong to; a cap is at least 1 and is forgotten after a day.

use std::collections::{HashMap, VecDeque};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};
use tokio::sync::Notify;
use url::Url;

/// How long a cap is believed: long enough to be polite, short enough that a server that was busy once is asked again.
const BELIEVED: Duration = Duration::from_secs(24 * 60 * 60);
/// Servers remembered; more than anybody downloads from in a day.
const MAX_KNOWN: usize = 1000;
/// Largest file of caps that is read.
const MAX_FILE: u64 = 1024 * 1024;

/// Caps on connections learned from refusals, for each server. Shared by all downloads of an engine.
#[derive(Debug, Default)]
pub struct Hosts {
    known: Mutex<HashMap<String, Host>>,
    path: Option<PathBuf>,
    /// Somebody let go of a connection, or of its place in the row.
    freed: Notify,
    /// A connection that had been served has ended.
    ended: Notify,
    tickets: AtomicU64,
}

#[derive(Debug, Default)]
struct Host {
    open: u32,
    cap: Option<Cap>,
    /// Tickets of those that wait for a connection, the longest wait first.
    waiting: VecDeque<u64>,
}

/// A cap as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
struct Cap {
    connections: u32,
    /// Seconds since 1970.
    learned_at: u64,
}

impl Hosts {
    /// Caps as stored in `path`, and stored there whenever one is learned. A file that is missing or cannot be read is
    /// the same as one that knows nothing. Blocks.
    #[must_use]
    pub fn load(path: &Path) -> Self {
        let read = || {
            let small = std::fs::metadata(path).ok()?.len() <= MAX_FILE;
            let text = small.then(|| std::fs::read(path).ok())??;
            serde_json::from_slice::<HashMap<String, Cap>>(&text).ok()
        };
        let caps = read().unwrap_or_default();
        let known = caps
            .into_iter()
            .filter(|(_, cap)| cap.is_believed(now()))
            .take(MAX_KNOWN)
            .map(|(key, cap)| (key, Host { cap: Some(cap), ..Host::default() }))
            .collect();
        Self { known: Mutex::new(known), path: Some(path.to_owned()), ..Self::default() }
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<String, Host>> {
        // Plain counters: a panic elsewhere cannot have left them half-written.
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// One more connection to the server of `url` would be within what it bears.
    pub(crate) fn has_room(&self, url: &Url) -> bool {
        self.lock().get(&key(url)).is_none_or(|host| host.has_room(now()))
    }

    /// Waits until one more connection to the server of `url` is within what it bears, and counts it. First come, first
    /// served: a download that has connections lines up for its next one behind one that has none.
    pub(crate) async fn slot(self: &Arc<Self>, url: &Url) -> Slot {
        let key = key(url);
        let mut place: Option<Place> = None;
        loop {
            let freed = self.freed.notified();
            tokio::pin!(freed);
            // Enabled before looking, so that a slot freed in between is not missed.
            freed.as_mut().enable();
            {
                let mut known = self.lock();
                let host = known.entry(key.clone()).or_default();
                let ticket = place.as_ref().map(|place| place.ticket);
                let is_next = host.waiting.front().copied() == ticket;
                if is_next && host.bears_more(now()) {
                    host.open += 1;
                    drop(known);
                    // Gives the place in the row back, and with it the turn to whoever comes next.
                    drop(place);
                    return Slot { hosts: Arc::clone(self), key, served: false };
                }
                if place.is_none() {
                    let ticket = self.tickets.fetch_add(1, Ordering::Relaxed);
                    host.waiting.push_back(ticket);
                    place = Some(Place { hosts: Arc::clone(self), key: key.clone(), ticket });
                }
            }
            freed.await;
        }
    }

    /// The server refused a connection beside others: it bears those that are open now and no more. Returns the cap.
    pub(crate) fn refused(self: &Arc<Self>, url: &Url) -> u32 {
        let key = key(url);
        let mut known = self.lock();
        let host = known.entry(key).or_default();
        let before = host.cap.filter(|cap| cap.is_believed(now())).map(|cap| cap.connections);
        let connections = before.map_or(host.open, |before| before.min(host.open)).max(1);
        host.cap = Some(Cap { connections, learned_at: now() });
        drop(known);
        if before != Some(connections) {
            self.store();
        }
        connections
    }

    /// Some connection of ours is open to the server of `url`.
    pub(crate) fn serves_us(&self, url: &Url) -> bool {
        self.lock().get(&key(url)).is_some_and(|host| host.open > 0)
    }

    /// Waits until a connection of ours ends, as long as others are open to the server of `url`, at most `longest`.
    /// False when none are open or none ended.
    pub(crate) async fn turn(&self, url: &Url, longest: Duration) -> bool {
        let ended = self.ended.notified();
        tokio::pin!(ended);
        ended.as_mut().enable();
        self.serves_us(url) && tokio::time::timeout(longest, ended).await.is_ok()
    }

    /// Writes the caps beside the caller's work: learning one must not wait for the disk.
    fn store(self: &Arc<Self>) {
        let Some(path) = self.path.clone() else { return };
        let hosts = Arc::clone(self);
        tokio::task::spawn_blocking(move || {
            let caps: HashMap<String, Cap> =
                hosts.lock().iter().filter_map(|(key, host)| Some((key.clone(), host.cap?))).collect();
            let Ok(text) = serde_json::to_vec(&caps) else { return };
            let new = path.with_extension("new");
            // Only a courtesy to the next run: nothing depends on it.
            if let Err(error) = std::fs::write(&new, text).and_then(|()| std::fs::rename(&new, &path)) {
                tracing::warn!(%error, "what was learned about servers could not be stored");
            }
        });
    }
}

impl Host {
    fn has_room(&self, now: u64) -> bool {
        self.waiting.is_empty() && self.bears_more(now)
    }

    fn bears_more(&self, now: u64) -> bool {
        self.cap.filter(|cap| cap.is_believed(now)).is_none_or(|cap| self.open < cap.connections)
    }
}

impl Cap {
    fn is_believed(self, now: u64) -> bool {
        // One from the future comes from a clock that was wrong.
        self.connections > 0 && self.learned_at <= now && now - self.learned_at < BELIEVED.as_secs()
    }
}

/// A place in the row, kept as long as it lives.
struct Place {
    hosts: Arc<Hosts>,
    key: String,
    ticket: u64,
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(host) = self.hosts.lock().get_mut(&self.key) {
            host.waiting.retain(|ticket| *ticket != self.ticket);
        }
        self.hosts.freed.notify_waiters();
    }
}

/// One open connection, counted as long as it lives.
#[derive(Debug)]
pub(crate) struct Slot {
    hosts: Arc<Hosts>,
    key: String,
    /// The server let it in, so its end makes room for another.
    pub(crate) served: bool,
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut known = self.hosts.lock();
        if let Some(host) = known.get_mut(&self.key) {
            host.open = host.open.saturating_sub(1);
            if host.open == 0 && host.cap.is_none() && host.waiting.is_empty() {
                known.remove(&self.key);
            }
        }
        drop(known);
        self.hosts.freed.notify_waiters();
        if self.served {
            self.hosts.ended.notify_waiters();
        }
    }
}

/// Host and port: what a server counts connections by.
fn key(url: &Url) -> String {
    format!("{}:{}", url.host_str().unwrap_or_default(), url.port_or_known_default().unwrap_or_default())
}

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default().as_secs()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn a_learned_cap_holds_over_all_downloads_of_a_server() {
        let hosts = Arc::new(Hosts::default());
        let (here, there) = (url("http://h:81/a"), url("http://h:82/a"));
        let mut slots = Vec::new();
        for _ in 0..3 {
            slots.push(hosts.slot(&here).await);
        }
        assert!(hosts.has_room(&here));
        slots.pop();
        assert_eq!(hosts.refused(&here), 2);
        slots.push(hosts.slot(&there).await);
        assert_eq!(hosts.refused(&here), 2);
        assert!(!hosts.has_room(&here) && hosts.has_room(&there));
        let waiting = tokio::spawn({
            let (hosts, here) = (Arc::clone(&hosts), here.clone());
            async move { hosts.slot(&here).await }
        });
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!waiting.is_finished(), "two are open and two are borne");
        // Who has just let go lines up behind who waits already, and who gives up leaves the row.
        let impatient = tokio::time::timeout(Duration::from_millis(10), hosts.slot(&here));
        assert!(impatient.await.is_err());
        slots.remove(0);
        let again = tokio::time::timeout(Duration::from_millis(10), hosts.slot(&here));
        let (again, first) = tokio::join!(again, waiting);
        assert!(again.is_err() && first.is_ok());
    }

    #[tokio::test]
    async fn caps_outlive_the_process_and_not_the_day() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("hosts.json");
        let hosts = Arc::new(Hosts::load(&path));
        hosts.refused(&url("https://h/a"));
        let stored = async {
            while !path.exists() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(5), stored).await.unwrap();
        let again = Arc::new(Hosts::load(&path));
        let slot = again.slot(&url("https://h/b")).await;
        assert!(!again.has_room(&url("https://h:443/c")), "one connection is borne");
        drop(slot);
        assert!(again.has_room(&url("https://h/c")));

        let believed = Cap { connections: 1, learned_at: 1000 };
        let day = BELIEVED.as_secs();
        assert!(believed.is_believed(1000 + day - 1) && !believed.is_believed(1000 + day));
        assert!(!believed.is_believed(999), "learned in the future");
        for garbage in ["", "[]", "{\"h:1\":{\"connections\":0,\"learned_at\":1}}", "{\"h:1\":3}"] {
            std::fs::write(&path, garbage).unwrap();
            assert!(Hosts::load(&path).has_room(&url("http://h:1/")), "{garbage}");
        }
    }
}
