//! One request of a stream, retried until its bytes are whole or it is clear that they never will be.
//!
//! Never writes files and never decrypts: it sends the body as it comes to the track's writer. Invariant: after
//! `Begin` comes the whole body or another `Begin`; `End` is sent only for a body that was whole.

mod drip;
mod foreign;
mod keys;
mod shared;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use bytes::Buf;
use tokio::sync::{OwnedSemaphorePermit, mpsc};
use weir_media::segment::Encryption;

use super::cipher::Secret;
use super::dash;
use super::disguise::Undisguise;
use super::plan::{Request, missing};
use super::progress::Credit;
use crate::answer::{self, Coding, ContentRange};
use crate::journal::Seen;
use crate::monitor::ConnectionGuard;
use crate::{EngineError, net};

use drip::Drip;
use foreign::{refuse_foreign, refuse_page};
use keys::key_bytes;
use shared::{AHEAD, CURRENT};
pub(crate) use shared::{Lane, Message, Shared};

/// A segment that is not there is asked for this often: some servers publish a list before its segments.
const TRIES_FOR_MISSING: u32 = 3;
/// Longest wait that one segment's server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Bytes of media, at least.
const SHORTEST: u64 = 12;
/// From here on a part is worth asking for as a part.
const FAR: u64 = 1024 * 1024;
/// Whole files taken instead of parts far inside them.
const MOST_WHOLE_FILES: u32 = 2;

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

/// Fetches `request`, the `number`th of its track.
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    lane: Lane,
    request: Request,
    number: usize,
    out: mpsc::UnboundedSender<Message>,
    _slot: OwnedSemaphorePermit,
) {
    if request.gap && lane.quiet.contains(&request.sequence) {
        let _ = out.send(Message::Quiet);
        return;
    }
    if request.gap {
        let error = missing(request.index, lane.count, "the server says it does not exist".to_owned(), None);
        let _ = out.send(if shared.holes { Message::Lost } else { Message::Failed(error) });
        return;
    }
    let mut request = request;
    let mut backups = dash::backups(&lane.elsewhere, &request.url).into_iter();
    let mut failures = 0;
    let mut absent = 0;
    let error = loop {
        let _open = ConnectionGuard::new(&shared.monitor);
        let attempt = tokio::select! {
            attempt = attempt(&shared, &lane, &request, number, &out) => attempt,
            // Never an initialisation section: without it the segments behind it would be worthless.
            () = overtime(&shared), if !request.is_map || request.perhaps => {
                let _ = out.send(Message::Lost);
                return;
            }
        };
        let miss = match attempt {
            Ok((bytes, seen)) => {
                shared.pace.arrived(bytes);
                let _ = out.send(Message::End(seen));
                return;
            }
            Err(miss) => miss,
        };
        failures += 1;
        let (error, retry, wait) = match miss {
            Miss::Gone => return,
            Miss::Absent { reason, status } => {
                absent += 1;
                (missing(request.index, lane.count, reason, status), absent < TRIES_FOR_MISSING, None)
            }
            Miss::Failed { error, wait } => {
                let retry = error.is_transient() && failures <= shared.net.options().retries;
                let error = match error {
                    // A server that fails for one segment is reached; what is missing is the segment.
                    EngineError::HttpStatus { status } => {
                        if matches!(status, 429 | 503) {
                            shared.pace.refused();
                        }
                        let reason = format!("the server answered {status}");
                        missing(request.index, lane.count, reason, Some(status))
                    }
                    EngineError::BrokenTransfer { reason } => {
                        missing(request.index, lane.count, reason, None)
                    }
                    other => other,
                };
                (error, retry, wait)
            }
        };
        if !retry {
            let Some(backup) = backups.next() else { break error };
            request.url = backup;
            (failures, absent) = (0, 0);
            continue;
        }
        let pause = wait.unwrap_or_else(|| crate::file::backoff(&shared.net, failures));
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    };
    if lane.doubtful == Some(request.index)
        && matches!(error, EngineError::SegmentMissing { status: Some(404 | 410), .. })
    {
        let _ = out.send(Message::Doubtful);
        return;
    }
    // Without its initialisation section a run of segments cannot be read at all.
    let missing = !request.is_map && matches!(error, EngineError::SegmentMissing { .. });
    let lost = request.perhaps || (shared.holes && missing);
    let _ = out.send(if lost { Message::Lost } else { Message::Failed(error) });
}

/// Returns when a recording that was ended has waited long enough for what was on its way.
async fn overtime(shared: &Shared) {
    match &shared.finish {
        Some(finish) => {
            finish.cancelled().await;
            tokio::time::sleep(shared.net.options().patience).await;
        }
        None => std::future::pending().await,
    }
}

/// One try; the bytes it brought, and what tells them from others.
async fn attempt(
    shared: &Shared,
    lane: &Lane,
    request: &Request,
    number: usize,
    out: &mpsc::UnboundedSender<Message>,
) -> Result<(u64, Seen), Miss> {
    let secret = match &request.key {
        // Only samples are encrypted so, and an initialisation section has none.
        Some(key) if key.encryption == Encryption::SampleAes && request.is_map => None,
        Some(key) => Some(Secret::new(key_bytes(shared, key).await?, key, request.sequence)),
        None => None,
    };
    let wanted = request.byte_range.map(|range| (range.offset, range.end()));
    let mut answer = shared.net.ask(&shared.visitor, &request.url, wanted, net::Lane::Shared).await?;
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
    refuse_page(&mut answer, request).await?;
    if request.key.is_none() && !request.is_map && (wanted.is_none() || answer.status == 206) {
        refuse_foreign(&mut answer, lane).await?;
    }
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
        // The whole resource instead of a part of it: the part is in there. Not for every segment of a large file.
        (Some((start, end)), _) => {
            if start > FAR && shared.whole_files.fetch_add(1, Ordering::Relaxed) >= MOST_WHOLE_FILES {
                let reason = "its server does not send parts of files, of which it consists".to_owned();
                return Err(EngineError::UnsupportedMedia { reason }.into());
            }
            (start, end - start)
        }
        (None, 206) => return Err(EngineError::broken("the server sent a part of it").into()),
        (None, _) => (0, u64::MAX),
    };
    let expected = if wanted.is_some() { Some(left) } else { answer::content_length(&answer.headers) };
    out.send(Message::Begin(secret)).map_err(|_| Miss::Gone)?;
    let mut credit = Credit::new(&shared.progress, request.us, expected);
    // Behind a cipher nothing can be seen from outside.
    let mut undisguise = (request.key.is_none() && !lane.text && !request.is_map).then(Undisguise::default);
    let only_a_picture = |_| Miss::Absent { reason: "the server sent a picture".to_owned(), status: None };
    let seen = Seen::of(&answer);
    let mut received = 0_u64;
    let mut drip = Drip::new(shared.net.options().patience);
    while left > 0 {
        let Some(mut bytes) = answer.chunk().await? else { break };
        if drip.is_too_slow(bytes.len()) && !shared.limit.is_limited() {
            return Err(answer.silence().into());
        }
        let skipped = skip.min(bytes.len() as u64);
        bytes.advance(skipped as usize);
        skip -= skipped;
        bytes.truncate(usize::try_from(left).unwrap_or(usize::MAX));
        if bytes.is_empty() {
            continue;
        }
        left -= bytes.len() as u64;
        received += bytes.len() as u64;
        shared.limit.take(bytes.len()).await;
        credit.add(bytes.len() as u64);
        let media = match &mut undisguise {
            Some(undisguise) => undisguise.push(bytes).map_err(only_a_picture)?,
            None => Some(bytes),
        };
        if let Some(media) = media {
            let room = room(shared, lane, media.len(), number).await?;
            out.send(Message::Data(media, room)).map_err(|_| Miss::Gone)?;
        }
    }
    // Where nobody speaks there is nothing to read.
    if received == 0 && !lane.text {
        return Err(Miss::Absent { reason: "it is empty".to_owned(), status: Some(answer.status) });
    }
    if received < SHORTEST && !lane.text && request.key.is_none() {
        return Err(Miss::Absent {
            reason: "the server sent a few bytes".to_owned(),
            status: Some(answer.status),
        });
    }
    if wanted.is_some() && left > 0 {
        return Err(EngineError::broken("the server sent less than the playlist says").into());
    }
    if let Some(rest) = undisguise.map(Undisguise::finish).transpose().map_err(only_a_picture)?.flatten() {
        let room = room(shared, lane, rest.len(), number).await?;
        out.send(Message::Data(rest, room)).map_err(|_| Miss::Gone)?;
    }
    credit.keep();
    Ok((received, seen))
}

/// The current segment has room of its own, so later ones can never block it.
async fn room(
    shared: &Shared,
    lane: &Lane,
    bytes: usize,
    number: usize,
) -> Result<OwnedSemaphorePermit, Miss> {
    let ahead = Arc::clone(&shared.ahead).acquire_many_owned(bytes.min(AHEAD) as u32);
    let mut turn = lane.turn.clone();
    let at_turn = async {
        if turn.wait_for(|current| *current >= number).await.is_err() {
            return Err(Miss::Gone);
        }
        Arc::clone(&lane.current).acquire_many_owned(bytes.min(CURRENT) as u32).await.map_err(|_| Miss::Gone)
    };
    tokio::select! {
        biased;
        permit = at_turn => permit,
        permit = ahead => permit.map_err(|_| Miss::Gone),
    }
}
