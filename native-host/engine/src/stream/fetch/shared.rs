//! What requests share: of a stream, and of one of its tracks.
//!
//! Never asks a server. Invariant: the room for the current segment of a track is its own, so that later ones cannot block it.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::AtomicU32;

use bytes::Bytes;
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, watch};
use tokio_util::sync::CancellationToken;
use url::Url;

use super::super::cipher::{KeyBytes, Secret};
use super::super::live::Notes;
use super::super::pace::Pace;
use super::super::progress::Progress;
use crate::journal::Seen;
use crate::monitor::Monitor;
use crate::net::Net;
use crate::{EngineError, Job, RateLimit, Source};

/// Bytes of later segments kept in memory while an earlier one is still arriving.
pub(super) const AHEAD: usize = 20 * 1024 * 1024;
/// Bytes of the current segment on their way to the disk.
pub(super) const CURRENT: usize = 4 * 1024 * 1024;
/// Most requests at a time.
const MOST_CONNECTIONS: u32 = 64;

/// What a request tells its writer.
pub(crate) enum Message {
    /// The body begins, perhaps anew: whatever this request brought before is void.
    Begin(Option<Secret>),
    Data(Bytes, OwnedSemaphorePermit),
    End(Seen),
    /// It cannot be had, and is left out.
    Lost,
    /// It does not exist, and nothing is missing.
    Quiet,
    /// The same, and whether there was to be one nobody knew: its time is no plan to hold anybody to.
    Doubtful,
    Failed(EngineError),
}

/// What all requests of a stream share.
pub(crate) struct Shared {
    pub(crate) net: Net,
    pub(crate) visitor: Source,
    pub(crate) limit: Arc<RateLimit>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) progress: Progress,
    /// Places are taken in order before a request begins: if later segments of a track could take them all and then wait
    /// for their turn, the current one would never come.
    pub(crate) pace: Pace,
    /// What is to be said of the result.
    pub(crate) notes: Arc<Notes>,
    /// Segments that cannot be had are left out.
    pub(crate) holes: bool,
    /// Ends a recording.
    pub(super) finish: Option<CancellationToken>,
    /// Whole files sent instead of parts of them.
    pub(super) whole_files: AtomicU32,
    pub(super) keys: Mutex<HashMap<Url, KeyBytes>>,
    pub(super) ahead: Arc<Semaphore>,
}

impl Shared {
    /// `finish` ends a recording; without it, nothing but the stream itself does.
    pub(crate) fn new(
        net: Net,
        visitor: Source,
        job: &Job,
        progress: Progress,
        monitor: Arc<Monitor>,
        notes: Arc<Notes>,
        finish: Option<CancellationToken>,
    ) -> Self {
        let connections = job.connections.clamp(1, MOST_CONNECTIONS) as usize;
        let most = if job.spread { (connections * 2).min(MOST_CONNECTIONS as usize) } else { connections };
        Self {
            net,
            visitor,
            limit: Arc::clone(&job.limit),
            monitor,
            notes,
            progress,
            pace: Pace::new(connections, most),
            holes: job.wishes.holes || finish.is_some(),
            finish,
            whole_files: AtomicU32::new(0),
            keys: Mutex::new(HashMap::new()),
            ahead: Arc::new(Semaphore::new(AHEAD)),
        }
    }
}

/// What the requests of one track share.
#[derive(Clone)]
pub(crate) struct Lane {
    /// Segments there are, as far as known.
    pub(crate) count: usize,
    /// Which request the writer is at.
    pub(crate) turn: watch::Receiver<usize>,
    /// Room for the current request.
    pub(super) current: Arc<Semaphore>,
    /// Whatever is in front of the media is part of it.
    pub(crate) text: bool,
    pub(super) doubtful: Option<usize>,
    pub(super) quiet: Arc<Vec<u64>>,
    pub(super) elsewhere: Arc<Vec<weir_media::dash::Part>>,
}

impl Lane {
    pub(crate) fn new(
        count: usize,
        turn: watch::Receiver<usize>,
        text: bool,
        doubtful: Option<usize>,
        quiet: Arc<Vec<u64>>,
        elsewhere: Arc<Vec<weir_media::dash::Part>>,
    ) -> Self {
        Self { count, turn, current: Arc::new(Semaphore::new(CURRENT)), text, doubtful, quiet, elsewhere }
    }
}
