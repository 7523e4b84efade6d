//! The queue: the only place where a download's status changes, and always in this order: store, memory, event.
//! What has happened already, a finished file for one, holds also when the store refuses it, and is written again later.
//!
//! Owns which downloads run, when, and what becomes of them. Never moves bytes (the engine does) and never
//! speaks HTTP (the API does). One actor task holds the state; [`Queue`] is how everyone else talks to it.
//! Invariant: at most one job per row, and a row's next job starts only after its last one has let go of its files.

mod actor;
mod groups;
mod job;
mod network;
mod order;
mod retry;
mod speed;
mod transition;

use std::path::PathBuf;
use std::sync::Arc;

use tokio::sync::{mpsc, oneshot};
use tokio_util::sync::CancellationToken;
use weir_engine::{Engine, Monitor};
use weir_protocol::{Download, DownloadDetail, DownloadId, DownloadPatch, DownloadStatus, Ranges};

use crate::bus::{Bus, Subscription};
use crate::config::Config;
use crate::config::quiet::Hours;
use crate::store::{Record, Store};
pub(crate) use actor::{moment, now};
use groups::Groups;
pub(crate) use job::{engine_kind, source, wire_kind};
pub(crate) use order::Target;
pub(crate) use speed::SpeedMeter;
pub(crate) use transition::{Act, in_words};

/// Why a command was not carried out.
#[derive(Debug, thiserror::Error)]
pub(crate) enum QueueError {
    #[error("there is no download {0}")]
    NotFound(DownloadId),
    #[error("cannot {act} a download that {}", transition::in_words(*status))]
    Illegal { act: &'static str, status: DownloadStatus },
    #[error("the history could not be written: {0}")]
    Store(#[from] rusqlite::Error),
    #[error("the daemon is stopping")]
    Stopping,
}

type Reply<T> = oneshot::Sender<Result<T, QueueError>>;

/// What the actor is asked.
enum Command {
    Add(Box<Record>, Reply<Download>),
    Act(DownloadId, Act, Reply<Download>),
    Patch {
        id: DownloadId,
        patch: Box<DownloadPatch>,
        /// Of the category in the patch.
        folder: Option<PathBuf>,
        reply: Reply<Download>,
    },
    Move(DownloadId, Target, Reply<Download>),
    Delete {
        id: DownloadId,
        files: bool,
        reply: Reply<()>,
    },
    Get(DownloadId, Reply<DownloadDetail>),
    Ranges(DownloadId, Reply<Ranges>),
    /// The file of a running download as it grows.
    Growing(DownloadId, Reply<Option<Growing>>),
    /// Puts live figures into rows read from the store.
    Refresh(Vec<Download>, Reply<Vec<Download>>),
    Subscribe(Reply<Subscription>),
    /// Other settings from now on; jobs that run keep their engine.
    Configure(Box<Limits>, Engine, Reply<()>),
    Stop(Reply<()>),
}

/// A file that is being downloaded and can be read as far as it has come.
#[derive(Debug)]
pub(crate) struct Growing {
    /// Where the bytes are.
    pub(crate) path: PathBuf,
    pub(crate) filename: String,
    /// Its size when it is finished; none of a stream, where nobody knows.
    pub(crate) total: Option<u64>,
    /// Which beginning of the file `total` belongs to.
    pub(crate) epoch: u32,
    /// Tells how far it has come.
    pub(crate) monitor: Arc<Monitor>,
    /// Cancelled once nothing more comes.
    pub(crate) ended: CancellationToken,
}

/// How the queue behaves.
#[derive(Debug, Clone)]
pub(crate) struct Limits {
    /// Downloads at the same time.
    pub(crate) max_active: usize,
    /// Downloads at the same time from one server.
    pub(crate) max_per_host: usize,
    /// Progress frames a second for each download.
    pub(crate) progress_hz: f64,
    /// Bytes per second of all downloads together; 0 is unlimited.
    pub(crate) rate_limit: u64,
    /// How often a failed download is tried again by itself.
    pub(crate) auto_retries: u32,
    /// When another limit holds.
    pub(crate) hours: Hours,
    /// Groups by rule, and where their folders are.
    pub(crate) groups: Arc<Groups>,
}

impl From<&Config> for Limits {
    fn from(config: &Config) -> Self {
        Self {
            max_active: config.max_active,
            max_per_host: config.max_per_host,
            progress_hz: config.progress_hz,
            rate_limit: config.rate_limit.unwrap_or(0),
            auto_retries: config.auto_retries,
            hours: config.hours.clone(),
            groups: Arc::new(Groups {
                root: config.download_dir.clone(),
                categories: config.category.clone(),
            }),
        }
    }
}

/// A handle to the queue; clones talk to the same one.
#[derive(Debug, Clone)]
pub(crate) struct Queue {
    commands: mpsc::Sender<Command>,
}

impl Queue {
    /// Reads what is unfinished from the store, continues what was running, and starts the actor.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn start(store: Store, engine: Engine, limits: Limits) -> Result<Self, QueueError> {
        let (commands, inbox) = mpsc::channel(256);
        let actor = actor::Actor::load(store, engine, limits, Bus::new()).await?;
        tokio::spawn(actor.run(inbox));
        Ok(Self { commands })
    }

    async fn ask<T>(&self, command: impl FnOnce(Reply<T>) -> Command) -> Result<T, QueueError> {
        let (reply, answer) = oneshot::channel();
        self.commands.send(command(reply)).await.map_err(|_| QueueError::Stopping)?;
        answer.await.map_err(|_| QueueError::Stopping)?
    }

    pub(crate) async fn add(&self, record: Record) -> Result<Download, QueueError> {
        self.ask(|reply| Command::Add(Box::new(record), reply)).await
    }

    pub(crate) async fn act(&self, id: DownloadId, act: Act) -> Result<Download, QueueError> {
        self.ask(|reply| Command::Act(id, act, reply)).await
    }

    /// Changes a row. `folder` is that of the category in the patch, for a row that has nothing on disk yet.
    pub(crate) async fn patch(
        &self,
        id: DownloadId,
        patch: DownloadPatch,
        folder: Option<PathBuf>,
    ) -> Result<Download, QueueError> {
        self.ask(|reply| Command::Patch { id, patch: Box::new(patch), folder, reply }).await
    }

    /// Puts an unfinished row elsewhere in the queue.
    pub(crate) async fn relocate(&self, id: DownloadId, target: Target) -> Result<Download, QueueError> {
        self.ask(|reply| Command::Move(id, target, reply)).await
    }

    /// Which bytes of a file are there. Empty where nobody knows.
    pub(crate) async fn ranges(&self, id: DownloadId) -> Result<Ranges, QueueError> {
        self.ask(|reply| Command::Ranges(id, reply)).await
    }

    /// Lets other settings hold from now on.
    pub(crate) async fn configure(&self, limits: Limits, engine: Engine) -> Result<(), QueueError> {
        self.ask(|reply| Command::Configure(Box::new(limits), engine, reply)).await
    }

    /// Takes a row away, cancelling it first; with `files` the finished file goes too.
    pub(crate) async fn delete(&self, id: DownloadId, files: bool) -> Result<(), QueueError> {
        self.ask(|reply| Command::Delete { id, files, reply }).await
    }

    pub(crate) async fn get(&self, id: DownloadId) -> Result<Download, QueueError> {
        self.detail(id).await.map(|detail| detail.download)
    }

    /// The row, and what may be shown of how its server is asked.
    pub(crate) async fn detail(&self, id: DownloadId) -> Result<DownloadDetail, QueueError> {
        self.ask(|reply| Command::Get(id, reply)).await
    }

    /// The file of a running download, when its name and, but for streams, its size are known; none otherwise.
    pub(crate) async fn growing(&self, id: DownloadId) -> Result<Option<Growing>, QueueError> {
        self.ask(|reply| Command::Growing(id, reply)).await
    }

    /// Rows read from the store, with the live figures of those that run.
    pub(crate) async fn refresh(&self, rows: Vec<Download>) -> Result<Vec<Download>, QueueError> {
        self.ask(|reply| Command::Refresh(rows, reply)).await
    }

    /// A snapshot and every event after it.
    pub(crate) async fn subscribe(&self) -> Result<Subscription, QueueError> {
        self.ask(Command::Subscribe).await
    }

    /// Stops every job where it stands, so that the next start continues them.
    pub(crate) async fn stop(&self) -> Result<(), QueueError> {
        self.ask(Command::Stop).await
    }
}
