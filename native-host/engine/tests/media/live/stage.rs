//! What reveals a stream: a clock, a window, and what goes wrong with the playlist.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Finished, Job, Monitor, Snapshot};

use super::super::serving::folder;
use super::super::support::{Reply, Request, Server, engine, job};

/// A stream of a minute whose segments appear one after another.
#[derive(Clone)]
pub(crate) struct Stage {
    pub(crate) folder: PathBuf,
    pub(crate) began: Instant,
    /// From one segment to the next.
    pub(crate) every: Duration,
    /// Segments that are there at the beginning.
    pub(crate) before: usize,
    /// Segments the playlist names at a time.
    pub(crate) window: usize,
    pub(crate) total: usize,
    /// Requests for playlists so far.
    pub(crate) asked: Arc<AtomicUsize>,
}

impl Stage {
    pub(crate) fn new(folder: PathBuf, every: Duration) -> Self {
        Self { folder, began: Instant::now(), every, before: 3, window: 12, total: 60, asked: Arc::default() }
    }

    /// How many segments have appeared.
    pub(crate) fn there(&self) -> usize {
        let since = self.began.elapsed().as_secs_f64() / self.every.as_secs_f64();
        (self.before + since as usize).min(self.total)
    }

    /// Segments a manifest names when so many have appeared.
    pub(crate) fn named(&self, there: usize) -> std::ops::Range<usize> {
        there.saturating_sub(self.window)..there
    }

    /// Serves segments while they are in the window or have just left it, as servers do.
    pub(crate) fn segment(&self, request: &Request, number: usize) -> Reply {
        let there = self.there();
        if number >= there || number + self.window + 4 < there {
            Reply::new(404, "")
        } else {
            folder(&self.folder, request)
        }
    }

    /// How often a manifest was asked for before.
    pub(crate) fn count(&self) -> usize {
        self.asked.fetch_add(1, Ordering::SeqCst)
    }
}

/// How a recording is run.
pub(crate) struct Recording {
    pub(crate) out: tempfile::TempDir,
    pub(crate) outcome: Result<Finished, EngineError>,
    pub(crate) took: Duration,
    /// The last look before it ended.
    pub(crate) seen: Snapshot,
    /// Playing time that was told to be there in the end.
    pub(crate) recorded: Duration,
}

/// Records what a server has at `path`. `finish_after` ends it then and keeps what is there.
pub(crate) async fn record(
    server: &Server,
    path: &str,
    change: impl FnOnce(&mut Job),
    finish_after: Option<Duration>,
) -> Recording {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(server.url(path), out.path());
    job.filename = Some("recording".to_owned());
    job.wishes.live_from_start = true;
    change(&mut job);
    let finish = job.finish.clone();
    let (began, engine, monitor) = (Instant::now(), engine(), Arc::new(Monitor::new()));
    let work = engine.download(job, Arc::clone(&monitor), CancellationToken::new());
    let stop = async {
        if let Some(after) = finish_after {
            tokio::time::sleep(after).await;
            finish.cancel();
        }
        std::future::pending::<()>().await;
    };
    let seen = Arc::new(std::sync::Mutex::new(monitor.snapshot()));
    let watch = async {
        loop {
            let now = monitor.snapshot();
            if now.live {
                *seen.lock().unwrap() = now;
            }
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let outcome = tokio::select! {
        outcome = tokio::time::timeout(Duration::from_secs(100), work) => outcome.expect("the recording hangs"),
        () = stop => unreachable!(),
        () = watch => unreachable!(),
    };
    if let Ok(finished) = &outcome {
        finished.settle().unwrap();
    }
    let seen = seen.lock().unwrap().clone();
    Recording { out, outcome, took: began.elapsed(), seen, recorded: monitor.snapshot().recorded }
}
