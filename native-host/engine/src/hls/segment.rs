//! One request of a stream, retried until its bytes are whole or it is clear that they never will be.
//!
//! Never writes files and never decrypts: it sends pieces of the body to the track's writer. Invariant: after
//! `Begin` comes the whole body or another `Begin`; `End` is sent only for a body that was whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use url::Url;

use super::cipher::Cipher;
use super::plan::{Piece, missing};
use crate::answer::{self, Coding, ContentRange};
use crate::monitor::{ConnectionGuard, Monitor};
use crate::net::{Lane, Net};
use crate::{EngineError, RateLimit, Source};

/// Bytes of later segments kept in memory while an earlier one is still arriving.
const AHEAD: usize = 20 * 1024 * 1024;
/// Bytes of the current segment on their way to the disk.
const CURRENT: usize = 4 * 1024 * 1024;
/// A segment that is not there is asked for this often: some servers publish a list before its segments.
const TRIES_FOR_MISSING: u32 = 3;

/// What a request tells its writer.
pub(crate) enum Message {
    /// The body begins, perhaps anew: whatever this piece brought before is void.
    Begin(Option<Box<Cipher>>),
    Data(Bytes, OwnedSemaphorePermit),
    End,
    Failed(EngineError),
}

/// What all requests of a track share.
pub(crate) struct Shared {
    pub(crate) net: Net,
    pub(crate) visitor: Source,
    pub(crate) limit: Arc<RateLimit>,
    pub(crate) monitor: Arc<Monitor>,
    pub(crate) count: usize,
    /// At most so many requests at a time. Taken in order before a request begins: if later ones could take them
    /// all and then wait for their turn, the current one would never come.
    pub(crate) slots: Arc<Semaphore>,
    keys: Mutex<HashMap<Url, [u8; 16]>>,
    ahead: Arc<Semaphore>,
    current: Arc<Semaphore>,
}

impl Shared {
    pub(crate) fn new(
        net: Net,
        visitor: Source,
        limit: Arc<RateLimit>,
        monitor: Arc<Monitor>,
        count: usize,
        connections: usize,
    ) -> Self {
        Self {
            net,
            visitor,
            limit,
            monitor,
            count,
            slots: Arc::new(Semaphore::new(connections)),
            keys: Mutex::new(HashMap::new()),
            ahead: Arc::new(Semaphore::new(AHEAD)),
            current: Arc::new(Semaphore::new(CURRENT)),
        }
    }
}

/// Why one try failed.
enum Miss {
    /// The segment is not there, or is something else.
    Absent {
        reason: String,
        status: Option<u16>,
    },
    Failed {
        error: EngineError,
        wait: Option<Duration>,
    },
    /// Nobody listens any more.
    Gone,
}

impl From<EngineError> for Miss {
    fn from(error: EngineError) -> Self {
        Self::Failed { error, wait: None }
    }
}

/// Fetches `piece`, the `number`th of its track. `turn` says which piece the writer is at.
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    piece: Piece,
    number: usize,
    turn: watch::Receiver<usize>,
    out: mpsc::UnboundedSender<Message>,
    _slot: OwnedSemaphorePermit,
) {
    let mut failures = 0;
    let error = loop {
        let _open = ConnectionGuard::new(&shared.monitor);
        let miss = match attempt(&shared, &piece, number, turn.clone(), &out).await {
            Ok(()) => {
                let _ = out.send(Message::End);
                return;
            }
            Err(miss) => miss,
        };
        failures += 1;
        let (error, retry, wait) = match miss {
            Miss::Gone => return,
            Miss::Absent { reason, status } => {
                (missing(piece.index, shared.count, reason, status), failures < TRIES_FOR_MISSING, None)
            }
            Miss::Failed { error, wait } => {
                let retry = error.is_transient() && failures <= shared.net.options().retries;
                let error = match error {
                    // A server that fails for one segment is reached; what is missing is the segment.
                    EngineError::HttpStatus { status } => missing(
                        piece.index,
                        shared.count,
                        format!("the server answered {status}"),
                        Some(status),
                    ),
                    EngineError::BrokenTransfer { reason } => {
                        missing(piece.index, shared.count, reason, None)
                    }
                    other => other,
                };
                (error, retry, wait)
            }
        };
        if !retry {
            break error;
        }
        tokio::time::sleep(wait.unwrap_or_else(|| crate::file::backoff(&shared.net, failures))).await;
    };
    let _ = out.send(Message::Failed(error));
}

async fn attempt(
    shared: &Shared,
    piece: &Piece,
    number: usize,
    mut turn: watch::Receiver<usize>,
    out: &mpsc::UnboundedSender<Message>,
) -> Result<(), Miss> {
    let cipher = match &piece.key {
        Some(key) => {
            Some(Box::new(Cipher::new(&key_bytes(shared, &key.url).await?, &key.iv_for(piece.sequence))))
        }
        None => None,
    };
    let wanted = piece.byte_range.map(|range| (range.offset, range.end()));
    let mut answer = shared.net.ask(&shared.visitor, &piece.url, wanted, Lane::Shared).await?;
    if let Some(error) = answer.refusal() {
        return Err(match error {
            EngineError::Gone { status } => {
                Miss::Absent { reason: format!("the server answered {status}"), status: Some(status) }
            }
            error => Miss::Failed { error, wait: answer::retry_after(&answer.headers) },
        });
    }
    if answer::coding(&answer.headers) != Coding::Identity {
        return Err(EngineError::broken("the server compressed it").into());
    }
    refuse_page(&mut answer, piece).await?;
    let (mut skip, mut left) = match (wanted, answer.status) {
        (Some((start, end)), 206) => {
            let range = answer::text(&answer.headers, reqwest::header::CONTENT_RANGE)
                .as_deref()
                .and_then(ContentRange::parse);
            match range {
                Some(range) if range.span == (start, end) => (0, end - start),
                _ => return Err(EngineError::broken("the server sent another range than asked for").into()),
            }
        }
        // The whole resource instead of a part of it: the part is in there.
        (Some((start, end)), _) => (start, end - start),
        (None, 206) => return Err(EngineError::broken("the server sent a part of it").into()),
        (None, _) => (0, u64::MAX),
    };
    out.send(Message::Begin(cipher)).map_err(|_| Miss::Gone)?;
    let mut received = 0_u64;
    while left > 0 {
        let Some(mut chunk) = answer.chunk().await? else { break };
        let skipped = skip.min(chunk.len() as u64);
        chunk.advance(skipped as usize);
        skip -= skipped;
        chunk.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if chunk.is_empty() {
            continue;
        }
        left -= chunk.len() as u64;
        received += chunk.len() as u64;
        shared.limit.take(chunk.len()).await;
        let room = room(shared, chunk.len(), number, &mut turn).await?;
        out.send(Message::Data(chunk, room)).map_err(|_| Miss::Gone)?;
    }
    if received == 0 {
        return Err(Miss::Absent { reason: "it is empty".to_owned(), status: Some(answer.status) });
    }
    if wanted.is_some() && left > 0 {
        return Err(EngineError::broken("the server sent less than the playlist says").into());
    }
    Ok(())
}

/// The current segment has room of its own, so later ones can never block it.
async fn room(
    shared: &Shared,
    bytes: usize,
    number: usize,
    turn: &mut watch::Receiver<usize>,
) -> Result<OwnedSemaphorePermit, Miss> {
    let ahead = Arc::clone(&shared.ahead).acquire_many_owned(bytes.min(AHEAD) as u32);
    let at_turn = async {
        if turn.wait_for(|current| *current >= number).await.is_err() {
            return Err(Miss::Gone);
        }
        Arc::clone(&shared.current)
            .acquire_many_owned(bytes.min(CURRENT) as u32)
            .await
            .map_err(|_| Miss::Gone)
    };
    tokio::select! {
        biased;
        permit = at_turn => permit,
        permit = ahead => permit.map_err(|_| Miss::Gone),
    }
}

/// Error and login pages come with status 200 from many servers.
async fn refuse_page(answer: &mut crate::net::Answer, piece: &Piece) -> Result<(), Miss> {
    let declared = answer::content_type(&answer.headers)
        .is_some_and(|kind| kind == "text/html" || kind == "application/xhtml+xml");
    // Behind a cipher nothing can be seen from outside, and segments are served under any type.
    if piece.key.is_some() && !declared {
        return Ok(());
    }
    let start = answer.peek().await?;
    let start = String::from_utf8_lossy(&start[..start.len().min(512)]).trim_start().to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") {
        return Err(Miss::Absent {
            reason: "the server sent a web page".to_owned(),
            status: Some(answer.status),
        });
    }
    Ok(())
}

/// The key behind an address, fetched once.
async fn key_bytes(shared: &Shared, url: &Url) -> Result<[u8; 16], Miss> {
    // Held while fetching: all segments of a key wait for one request instead of making their own.
    let mut keys = shared.keys.lock().await;
    if let Some(key) = keys.get(url) {
        return Ok(*key);
    }
    let mut answer = shared.net.ask(&shared.visitor, url, None, Lane::Shared).await?;
    if let Some(error) = answer.refusal() {
        return Err(Miss::Failed { error, wait: answer::retry_after(&answer.headers) });
    }
    let body = answer.whole(1024).await?;
    let key = <[u8; 16]>::try_from(body.as_slice()).map_err(|_| EngineError::UnsupportedMedia {
        reason: format!("its key has {} bytes instead of 16", body.len()),
    })?;
    keys.insert(url.clone(), key);
    Ok(key)
}
