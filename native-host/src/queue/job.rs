//! One running download: the engine's task and what the queue knows of it.
//!
//! Owns the translation of a row into an engine job. Never touches the store. Invariant: every job that was spawned
//! reports [`Report::Done`] exactly once, also when it panics.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;
use url::Url;
use weir_engine::{
    Checksum, Engine, EngineError, Finished, Folder, Kind, Login, Method, Monitor, Partial, Proxy, RateLimit,
    Source, SubtitleForm, Tuning, Wishes,
};
use weir_protocol::{DownloadId, DownloadKind};

use super::groups::{Found, Groups};
use super::speed::SpeedMeter;
use crate::store::{Record, RequestContext};

/// Connections of a download when nobody says otherwise.
const CONNECTIONS: u32 = 8;

/// What a job tells the queue.
pub(super) enum Report {
    /// Phase, kind, name, size or quality is known or has changed: look at the monitor.
    Changed(DownloadId),
    /// The job has ended and let go of its files.
    Done(DownloadId, Box<Result<Finished, JobError>>),
}

/// How a job can end without a file.
#[derive(Debug)]
pub(super) enum JobError {
    Engine(EngineError),
    Panicked,
}

/// What the queue holds of a running job.
pub(super) struct Job {
    pub(super) stop: CancellationToken,
    /// Ends a live recording: what is there becomes the file.
    pub(super) finish: CancellationToken,
    pub(super) monitor: Arc<Monitor>,
    pub(super) limit: Arc<RateLimit>,
    pub(super) meter: SpeedMeter,
    pub(super) started: Instant,
    /// Cancelled once the job has ended, however.
    pub(super) ended: CancellationToken,
    /// Clients have been told that bytes arrive.
    pub(super) moving: bool,
    /// Partial files are to be removed once the job has let go of them.
    pub(super) discard: bool,
    pub(super) directory: PathBuf,
    /// Name of the partial files, as far as known.
    pub(super) filename: Option<String>,
    /// Bytes that were there when it started.
    pub(super) received_before: u64,
    /// Tells the category that the rules found once the server had answered.
    pub(super) category: Option<Found>,
}

/// Starts the engine on a row; `orphaned` looks for a partial of its address first.
pub(super) fn start(
    engine: &Engine,
    record: &Record,
    orphaned: bool,
    groups: &Arc<Groups>,
    limit: Arc<RateLimit>,
    reports: mpsc::UnboundedSender<Report>,
) -> Job {
    let (folder, category) = groups.rule_for(record).unzip();
    let id = record.download.id;
    let stop = CancellationToken::new();
    let finish = CancellationToken::new();
    if record.request.finish {
        finish.cancel();
    }
    let monitor = Arc::new(Monitor::default());
    let job = Job {
        stop: stop.clone(),
        finish: finish.clone(),
        monitor: Arc::clone(&monitor),
        limit: Arc::clone(&limit),
        meter: SpeedMeter::default(),
        started: Instant::now(),
        ended: CancellationToken::new(),
        moving: false,
        discard: false,
        directory: record.directory.clone(),
        filename: record.settled.then(|| record.download.filename.clone()),
        received_before: record.download.received_bytes,
        category,
    };
    let plan = plan(record, orphaned, folder, limit).map(|plan| weir_engine::Job { finish, ..plan });
    let engine = engine.tuned(&tuning(&record.request));
    tokio::spawn(async move {
        let work = {
            let monitor = Arc::clone(&monitor);
            async move { engine?.download(plan?, monitor, stop).await }
        };
        let mut task = tokio::spawn(work);
        let outcome = loop {
            tokio::select! {
                outcome = &mut task => break outcome,
                () = monitor.settled_or_phase_changed() => {
                    // The queue is gone only when the program ends.
                    let _ = reports.send(Report::Changed(id));
                }
            }
        };
        let outcome = match outcome {
            Ok(result) => result.map_err(JobError::Engine),
            Err(_) => Err(JobError::Panicked),
        };
        let _ = reports.send(Report::Done(id, Box::new(outcome)));
    });
    job
}

fn plan(
    record: &Record,
    orphaned: bool,
    folder: Option<Folder>,
    limit: Arc<RateLimit>,
) -> Result<weir_engine::Job, EngineError> {
    let request = &record.request;
    let download = &record.download;
    Ok(weir_engine::Job {
        source: source(&download.url, request)?,
        mirrors: request.mirrors.iter().filter_map(|mirror| Url::parse(mirror).ok()).collect(),
        directory: record.directory.clone(),
        folder,
        filename: request.filename.clone(),
        exact_name: false,
        kind: if record.settled { Some(engine_kind(download.kind)) } else { request.kind.map(engine_kind) },
        title: download.title.clone(),
        quality: request.quality.clone(),
        wishes: wishes(request)?,
        finish: CancellationToken::new(),
        connections: request.connections.unwrap_or(CONNECTIONS),
        spread: request.connections.is_none(),
        checksum: kept(request.checksum.as_deref(), "checksum", Checksum::parse)?,
        partial: match (record.settled, orphaned) {
            (true, _) => Partial::Named(download.filename.clone()),
            (false, true) => Partial::SameUrl,
            (false, false) => Partial::Fresh,
        },
        remember: true,
        limit,
    })
}

/// What is wanted of a stream beside its quality.
fn wishes(request: &RequestContext) -> Result<Wishes, EngineError> {
    let form = |text: &str| SubtitleForm::parse(text).ok_or(());
    Ok(Wishes {
        audio_languages: request.audio_languages.clone(),
        subtitles: request.subtitles.clone(),
        subtitle_form: kept(request.subtitle_form.as_deref(), "form of subtitles", form)?.unwrap_or_default(),
        codecs: request.codecs.clone(),
        live_limit: request.live_limit_s.map(Duration::from_secs),
        live_from_start: request.live_from_start,
        holes: request.holes || request.finish,
    })
}

/// What the row wants otherwise than the settings.
fn tuning(request: &RequestContext) -> Tuning {
    Tuning {
        retries: request.retries,
        patience: request.timeout_s.map(Duration::from_secs),
        netrc: request.netrc.as_ref().map(PathBuf::from),
    }
}

/// What the engine asks the server with.
pub(crate) fn source(url: &str, request: &RequestContext) -> Result<Source, EngineError> {
    let mut headers: Vec<(String, String)> =
        request.headers.iter().map(|(name, value)| (name.clone(), value.clone())).collect();
    if let Some(referer) = &request.referer {
        headers.retain(|(name, _)| !name.eq_ignore_ascii_case("referer"));
        headers.push(("Referer".to_owned(), referer.clone()));
    }
    Ok(Source {
        url: Url::parse(url).map_err(|_| EngineError::BadUrl { address: "this".to_owned() })?,
        method: if request.method.as_deref() == Some("POST") { Method::Post } else { Method::Get },
        headers,
        cookies: request.cookies.clone(),
        body: request.body.clone(),
        login: request
            .username
            .as_ref()
            .map(|username| Login::new(username, request.password.as_deref().unwrap_or_default())),
        proxy: kept(request.proxy.as_deref(), "proxy", Proxy::parse)?,
    })
}

/// What was checked when it came in. Should it have become unreadable since, going on without it would break a promise.
fn kept<T, E>(
    text: Option<&str>,
    what: &str,
    parse: impl Fn(&str) -> Result<T, E>,
) -> Result<Option<T>, EngineError> {
    text.map(|text| {
        parse(text).map_err(|_| EngineError::Internal(format!("the stored {what} cannot be read")))
    })
    .transpose()
}

pub(crate) const fn engine_kind(kind: DownloadKind) -> Kind {
    match kind {
        DownloadKind::File => Kind::File,
        DownloadKind::Hls => Kind::Hls,
        DownloadKind::Dash => Kind::Dash,
        DownloadKind::Site => Kind::Site,
    }
}

pub(crate) const fn wire_kind(kind: Kind) -> DownloadKind {
    match kind {
        Kind::File => DownloadKind::File,
        Kind::Hls => DownloadKind::Hls,
        Kind::Dash => DownloadKind::Dash,
        Kind::Site => DownloadKind::Site,
    }
}
