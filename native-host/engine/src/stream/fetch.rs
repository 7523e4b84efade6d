//! One request of a stream, retried until its bytes are whole or it is clear that they never will be.
//!
//! Never writes files and never decrypts: it sends pieces of the body to the track's writer. Invariant: after
//! `Begin` comes the whole body or another `Begin`; `End` is sent only for a body that was whole.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use bytes::{Buf, Bytes};
use tokio::sync::{Mutex, OwnedSemaphorePermit, Semaphore, mpsc, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_media::segment::{Encryption, Key};

use super::cipher::{KeyBytes, Secret};
use super::dash;
use super::disguise::{Undisguise, is_picture};
use super::pace::Pace;
use super::plan::{Piece, missing};
use super::progress::{Credit, Progress};
use crate::answer::{self, Coding, ContentRange};
use crate::journal::Seen;
use crate::monitor::{ConnectionGuard, Monitor};
use crate::net::{self, Net};
use crate::{EngineError, Job, RateLimit, Source, mux};

/// Bytes of later segments kept in memory while an earlier one is still arriving.
const AHEAD: usize = 20 * 1024 * 1024;
/// Bytes of the current segment on their way to the disk.
const CURRENT: usize = 4 * 1024 * 1024;
/// A segment that is not there is asked for this often: some servers publish a list before its segments.
const TRIES_FOR_MISSING: u32 = 3;
/// Longest wait that one segment's server may ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);
/// Largest answer to a question for a key, in bytes; a web page is told as what it is.
const MAX_KEY: usize = 64 * 1024;
/// Most requests at a time.
const MOST_CONNECTIONS: u32 = 64;
/// Bytes of media, at least.
const SHORTEST: u64 = 12;
/// Bytes a second below which a server is taken for silent.
const SLOWEST: f64 = 256.0;
/// From here on a part is worth asking for as a part.
const FAR: u64 = 1024 * 1024;
/// Whole files taken instead of parts far inside them.
const MOST_WHOLE_FILES: u32 = 2;

/// Sees to it that a server which sends a byte now and then is not waited for.
struct Drip {
    since: Instant,
    bytes: usize,
    window: Duration,
}

impl Drip {
    fn new(patience: Duration) -> Self {
        Self { since: Instant::now(), bytes: 0, window: patience * 2 }
    }

    fn is_too_slow(&mut self, bytes: usize) -> bool {
        self.bytes += bytes;
        if self.since.elapsed() < self.window {
            return false;
        }
        let slow = (self.bytes as f64) < SLOWEST * self.since.elapsed().as_secs_f64();
        (self.since, self.bytes) = (Instant::now(), 0);
        slow
    }
}

/// What a request tells its writer.
pub(crate) enum Message {
    /// The body begins, perhaps anew: whatever this piece brought before is void.
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
    /// Segments that cannot be had are left out.
    pub(crate) holes: bool,
    /// Ends a recording.
    finish: Option<CancellationToken>,
    /// Whole files sent instead of parts of them.
    whole_files: AtomicU32,
    keys: Mutex<HashMap<Url, KeyBytes>>,
    ahead: Arc<Semaphore>,
}

impl Shared {
    /// `finish` ends a recording; without it, nothing but the stream itself does.
    pub(crate) fn new(
        net: Net,
        visitor: Source,
        job: &Job,
        progress: Progress,
        monitor: Arc<Monitor>,
        finish: Option<CancellationToken>,
    ) -> Self {
        let connections = job.connections.clamp(1, MOST_CONNECTIONS) as usize;
        let most = if job.spread { (connections * 2).min(MOST_CONNECTIONS as usize) } else { connections };
        Self {
            net,
            visitor,
            limit: Arc::clone(&job.limit),
            monitor,
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
    /// Which piece the writer is at.
    pub(crate) turn: watch::Receiver<usize>,
    /// Room for the current piece.
    current: Arc<Semaphore>,
    /// Whatever is in front of the media is part of it.
    pub(crate) text: bool,
    doubtful: Option<usize>,
    quiet: Arc<Vec<u64>>,
    elsewhere: Arc<Vec<weir_media::dash::Part>>,
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

/// Fetches `piece`, the `number`th of its track.
pub(crate) async fn fetch(
    shared: Arc<Shared>,
    lane: Lane,
    piece: Piece,
    number: usize,
    out: mpsc::UnboundedSender<Message>,
    _slot: OwnedSemaphorePermit,
) {
    if piece.gap && lane.quiet.contains(&piece.sequence) {
        let _ = out.send(Message::Quiet);
        return;
    }
    if piece.gap {
        let error = missing(piece.index, lane.count, "the server says it does not exist".to_owned(), None);
        let _ = out.send(if shared.holes { Message::Lost } else { Message::Failed(error) });
        return;
    }
    let mut piece = piece;
    let mut backups = dash::backups(&lane.elsewhere, &piece.url).into_iter();
    let mut failures = 0;
    let mut absent = 0;
    let error = loop {
        let _open = ConnectionGuard::new(&shared.monitor);
        let attempt = tokio::select! {
            attempt = attempt(&shared, &lane, &piece, number, &out) => attempt,
            // Never an initialisation section: without it the segments behind it would be worthless.
            () = overtime(&shared), if !piece.is_map => {
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
                (missing(piece.index, lane.count, reason, status), absent < TRIES_FOR_MISSING, None)
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
                        missing(piece.index, lane.count, reason, Some(status))
                    }
                    EngineError::BrokenTransfer { reason } => missing(piece.index, lane.count, reason, None),
                    other => other,
                };
                (error, retry, wait)
            }
        };
        if !retry {
            let Some(backup) = backups.next() else { break error };
            piece.url = backup;
            (failures, absent) = (0, 0);
            continue;
        }
        let pause = wait.unwrap_or_else(|| crate::file::backoff(&shared.net, failures));
        tokio::time::sleep(pause.min(LONGEST_PAUSE)).await;
    };
    if lane.doubtful == Some(piece.index)
        && matches!(error, EngineError::SegmentMissing { status: Some(404 | 410), .. })
    {
        let _ = out.send(Message::Doubtful);
        return;
    }
    // Without its initialisation section a run of segments cannot be read at all.
    let lost = shared.holes && !piece.is_map && matches!(error, EngineError::SegmentMissing { .. });
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
    piece: &Piece,
    number: usize,
    out: &mpsc::UnboundedSender<Message>,
) -> Result<(u64, Seen), Miss> {
    let secret = match &piece.key {
        // Only samples are encrypted so, and an initialisation section has none.
        Some(key) if key.encryption == Encryption::SampleAes && piece.is_map => None,
        Some(key) => Some(Secret::new(key_bytes(shared, key).await?, key, piece.sequence)),
        None => None,
    };
    let wanted = piece.byte_range.map(|range| (range.offset, range.end()));
    let mut answer = shared.net.ask(&shared.visitor, &piece.url, wanted, net::Lane::Shared).await?;
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
    if piece.key.is_none() && !piece.is_map && (wanted.is_none() || answer.status == 206) {
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
    let mut credit = Credit::new(&shared.progress, piece.us, expected);
    // Behind a cipher nothing can be seen from outside.
    let mut undisguise = (piece.key.is_none() && !lane.text && !piece.is_map).then(Undisguise::default);
    let only_a_picture = |_| Miss::Absent { reason: "the server sent a picture".to_owned(), status: None };
    let seen = Seen::of(&answer);
    let mut received = 0_u64;
    let mut drip = Drip::new(shared.net.options().patience);
    while left > 0 {
        let Some(mut chunk) = answer.chunk().await? else { break };
        if drip.is_too_slow(chunk.len()) && !shared.limit.is_limited() {
            return Err(answer.silence().into());
        }
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
        credit.add(chunk.len() as u64);
        let media = match &mut undisguise {
            Some(undisguise) => undisguise.push(chunk).map_err(only_a_picture)?,
            None => Some(chunk),
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
    if received < SHORTEST && !lane.text && piece.key.is_none() {
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

/// Whatever else a server sends with status 200 instead of a segment: a message of its own, most likely.
async fn refuse_foreign(answer: &mut net::Answer, lane: &Lane) -> Result<(), Miss> {
    let status = Some(answer.status);
    let start = match answer.peek().await {
        Ok(start) => start,
        Err(error) => return Err(error.into()),
    };
    let known = if lane.text { is_text(start) } else { is_picture(start) || mux::is_media(start) };
    if known || start.is_empty() {
        return Ok(());
    }
    let what = if lane.text { "subtitles" } else { "picture or sound" };
    Err(Miss::Absent { reason: format!("the server sent something that is no {what}"), status })
}

/// WebVTT, TTML or an MP4 fragment of either.
fn is_text(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
    let utf16 = start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]);
    start.is_empty()
        || utf16
        || start.starts_with(b"WEBVTT")
        || start.starts_with(b"<")
        || mux::is_media(start)
}

/// The key behind an address, fetched once.
async fn key_bytes(shared: &Shared, key: &Key) -> Result<KeyBytes, Miss> {
    // Held while fetching: all segments of a key wait for one request instead of making their own.
    let mut keys = shared.keys.lock().await;
    if let Some(known) = keys.get(&key.url) {
        return Ok(*known);
    }
    let mut answer = shared.net.ask(&shared.visitor, &key.url, None, net::Lane::Shared).await?;
    match answer.refusal() {
        // Nobody would guess that it is the key that has gone, and not the film.
        Some(EngineError::Gone { status }) => {
            let reason = format!("its key is not on the server (status {status})");
            return Err(EngineError::UnsupportedMedia { reason }.into());
        }
        Some(error) => return Err(Miss::Failed { error, wait: answer::retry_after(&answer.headers) }),
        None => {}
    }
    let body = answer.whole(MAX_KEY).await?;
    let bytes = match key.encryption {
        Encryption::Aes256 => <[u8; 32]>::try_from(body.as_slice()).map(KeyBytes::Aes256),
        _ => <[u8; 16]>::try_from(body.as_slice()).map(KeyBytes::Aes128),
    };
    let wanted = if key.encryption == Encryption::Aes256 { 32 } else { 16 };
    let bytes = bytes.map_err(|_| EngineError::UnsupportedMedia {
        reason: format!("its key has {} bytes instead of {wanted}", body.len()),
    })?;
    keys.insert(key.url.clone(), bytes);
    Ok(bytes)
}
