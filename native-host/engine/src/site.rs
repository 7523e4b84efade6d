//! Pages through yt-dlp: one program that knows some two thousand sites, kept at arm's length.
//!
//! Owns how it is asked and what becomes of its answers. It is given no text from outside in its arguments, and nothing of
//! what it prints for people is believed. Credentials other than cookies, which it keeps to their host, are not given to it:
//! it would send them to every server. Invariant: what is under DRM, is a list, or cannot be chosen is refused before a byte
//! of media is asked for.
//!
//! A limit of speed is handed over when it starts; a changed one takes it down and up again. It holds for each download
//! by itself: bytes that yt-dlp receives cannot be shared out among several.

mod failure;
mod info;
mod lines;
mod lost;
mod planned;
mod private;
mod program;
mod progress;
mod result;
mod run;
mod selection;

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use tokio::io::AsyncReadExt as _;
use url::Url;
use weir_media::filename;

use crate::net::Net;
use crate::{
    DryRun, EngineError, Job, Kind, Method, Probe, Source, Thumbnail, Wishes, mux, resolve, without_query,
};

use failure::{Errors, failed};
use info::{Info, Page};
use lines::Lines;
use private::Private;
use program::Process;
use selection::Quality;

pub(crate) use run::run;

/// Largest answer about a page. Pages with hundreds of formats have 2 MB.
const MAX_JSON: u64 = 32 * 1024 * 1024;
/// Entries of a list that are counted.
const MAX_ENTRIES: u32 = 200;
/// Pages that may lead to each other.
const MAX_HOPS: usize = 3;
/// Its own bound of segments that are fetched at the same time.
const MOST_CONNECTIONS: u32 = 16;

/// What will be fetched, decided before anything is.
#[derive(Debug)]
pub(crate) struct Ready {
    info: Info,
    quality: Quality,
    caller: Caller,
}

/// How yt-dlp is called for one visitor.
#[derive(Debug)]
struct Caller {
    program: PathBuf,
    ffmpeg: Option<PathBuf>,
    private: Private,
    /// Those of every call.
    options: Vec<OsString>,
    /// Longest silence before it is given up.
    patience: Duration,
    /// Of the page, for messages.
    host: String,
}

/// Asks what is behind a page and refuses what cannot be done.
pub(crate) async fn prepare(
    net: &Net,
    source: &Source,
    wish: Option<&str>,
    wishes: &Wishes,
) -> Result<Ready, EngineError> {
    if source.method != Method::Get {
        return Err(failed("it cannot be asked for with a POST request".to_owned(), false));
    }
    let caller = Caller::new(net, source)?;
    let asked = match Quality::read(wish) {
        Ok(quality) => caller.look(net, source, quality, wish, wishes).await,
        Err(error) => Err(error),
    };
    let (info, quality) = match asked {
        Err(EngineError::NoSuchQuality { wanted, .. }) => {
            // It is asked again, for whatever there is: a wish that does not exist is answered by those that do.
            let look = caller.look(net, source, Quality::Best, None, &Wishes::default()).await;
            let offered = look.map_or_else(|_| Vec::new(), |(info, _)| info.offered());
            return Err(EngineError::NoSuchQuality { wanted, offered });
        }
        asked => asked?,
    };
    if info.is_upcoming() {
        return Err(failed("it has not begun yet".to_owned(), true));
    }
    Ok(Ready { info, quality, caller })
}

/// Our own door is nobody's media.
fn check_place(net: &Net, url: &Url) -> Result<(), EngineError> {
    if net.options().deny.as_ref().is_some_and(|deny| deny(url)) {
        return Err(EngineError::OwnAddress);
    }
    Ok(())
}

impl Ready {
    /// Name of the finished file: what the caller wants, else a title, else the address.
    pub(crate) fn file_name(&self, job: &Job) -> String {
        let title = job.title.as_deref().filter(|title| !title.trim().is_empty()).or(self.info.title());
        let name = match (&job.filename, title) {
            (Some(name), _) => name.clone(),
            (None, Some(title)) => title.to_owned(),
            (None, None) => resolve::url_name(&job.source.url, &job.source.url).unwrap_or_default(),
        };
        self.with_extension(&filename::safe(&name))
    }

    fn with_extension(&self, name: &str) -> String {
        let extension = match self.quality {
            // What sound comes out is settled at the end.
            Quality::Audio => self
                .info
                .extension()
                .filter(|extension| !matches!(*extension, "mp4" | "mkv"))
                .unwrap_or("m4a"),
            _ => self.info.extension().unwrap_or("mp4"),
        };
        filename::with_extension(name, extension)
    }
}

/// What would be fetched of a page. In which segments, only yt-dlp knows: its tracks name none.
pub(crate) async fn dry_run(net: &Net, job: &Job) -> Result<DryRun, EngineError> {
    let info = prepare(net, &job.source, job.quality.as_deref(), &job.wishes).await?.info;
    Ok(DryRun {
        kind: "site",
        quality: info.quality(),
        live: info.is_live(),
        duration_s: info.duration().map(|duration| duration.as_secs_f64()),
        total_bytes: info.total_bytes(),
        tracks: planned::tracks(&info, &job.wishes),
    })
}

/// A short look at a page.
pub(crate) async fn probe(net: &Net, source: &Source) -> Result<Probe, EngineError> {
    let ready = prepare(net, source, None, &Wishes::default()).await?;
    let name = resolve::url_name(&source.url, &source.url).unwrap_or_default();
    let name = filename::safe(ready.info.title().unwrap_or(&name));
    Ok(Probe {
        kind: Kind::Site,
        filename: ready.with_extension(&name),
        content_type: None,
        total_bytes: ready.info.total_bytes(),
        resumable: !ready.info.is_live(),
        duration: ready.info.duration(),
        live: ready.info.is_live(),
        variants: ready.info.variants(),
        title: ready.info.title().map(str::to_owned),
        renditions: ready.info.renditions(),
        thumbnail: ready.info.thumbnail().map(Thumbnail::Address),
    })
}

impl Caller {
    fn new(net: &Net, source: &Source) -> Result<Self, EngineError> {
        let engine = net.options();
        let program = program::find(engine.yt_dlp.as_deref())?;
        let ffmpeg = mux::find(engine.ffmpeg.as_deref()).ok();
        let private = Private::new()?;
        let proxy = source.proxy.as_ref().or(engine.proxy.as_ref());
        let mut configuration = private::configuration(source, &engine.user_agent, proxy);
        if let Some(cookies) = private::cookies(source) {
            let path = private.write("cookies", cookies.as_bytes())?;
            private::line(&mut configuration, "--cookies", &path.to_string_lossy());
        }
        let configuration = private.write("configuration", configuration.as_bytes())?;
        let retries = engine.retries.to_string();
        let patience = engine.patience.as_secs_f64().max(0.1).to_string();
        let mut options: Vec<OsString> = ["--ignore-config", "--config-locations"].map(Into::into).into();
        options.push(configuration.into());
        options.extend(
            [
                "--no-update",
                "--no-cache-dir",
                "--color",
                "never",
                "--no-exec",
                "--no-playlist",
                // Beside the one it looks for by itself; whether it is new enough it finds out.
                "--js-runtimes",
                "node",
                "--socket-timeout",
                &patience,
                "--retries",
                &retries,
                "--fragment-retries",
                &retries,
                "--retry-sleep",
                "exp=1:20",
                "--retry-sleep",
                "fragment:exp=1:20",
            ]
            .map(Into::into),
        );
        if let Some(ffmpeg) = &ffmpeg {
            options.extend(["--ffmpeg-location".into(), ffmpeg.into()]);
        }
        Ok(Self {
            program,
            ffmpeg,
            private,
            options,
            // It retries by itself, and is silent meanwhile.
            patience: engine.patience * (engine.retries + 2) * 2,
            host: source.url.host_str().unwrap_or_default().to_owned(),
        })
    }

    /// Asks about a page, and about those it leads to, until there is one thing to download.
    async fn look(
        &self,
        net: &Net,
        source: &Source,
        quality: Quality,
        wish: Option<&str>,
        wishes: &Wishes,
    ) -> Result<(Info, Quality), EngineError> {
        let ffmpeg = self.ffmpeg.is_some();
        if !ffmpeg && (quality == Quality::Audio || !wishes.subtitles.is_empty()) {
            return Err(EngineError::FfmpegMissing);
        }
        let formats = selection::formats(&quality, wishes, ffmpeg);
        let mut page = source.url.clone();
        // User info would go along through redirects to other hosts.
        let _ = page.set_username("");
        let _ = page.set_password(None);
        for _ in 0..MAX_HOPS {
            check_place(net, &page)?;
            match self.ask(&page, &formats, wish).await? {
                Page::Elsewhere(next) => page = next,
                Page::One(info) => {
                    info.places().iter().try_for_each(|place| check_place(net, place))?;
                    return Ok((*info, quality));
                }
            }
        }
        Err(failed("the page leads to others in circles".to_owned(), false))
    }

    /// What it says of a page. Dropping the future ends it.
    async fn ask(&self, page: &Url, formats: &[String], wish: Option<&str>) -> Result<Page, EngineError> {
        // In a file: arguments are seen by everybody on the machine, and links carry secrets.
        let list = self.private.write("address", page.as_str().as_bytes())?;
        let mut arguments = self.options.clone();
        arguments.extend(formats.iter().map(Into::into));
        arguments.extend(["--flat-playlist", "--playlist-items"].map(Into::into));
        arguments.push(format!("1:{MAX_ENTRIES}").into());
        arguments.extend(["--dump-single-json".into(), "--batch-file".into(), list.into()]);
        let (process, stdout, stderr) = Process::start(&self.program, &self.private, &arguments)?;
        let read = async {
            let mut json = Vec::new();
            let stdout = async {
                let _ = stdout.take(MAX_JSON + 1).read_to_end(&mut json).await;
            };
            let stderr = async {
                let (mut lines, mut errors) = (Lines::new(stderr), Errors::default());
                while let Some(line) = lines.next().await {
                    errors.keep(&line);
                }
                errors
            };
            let ((), errors) = tokio::join!(stdout, stderr);
            (json, errors)
        };
        let Ok((json, errors)) = tokio::time::timeout(self.patience, read).await else {
            process.end().await;
            return Err(EngineError::Timeout { host: self.host.clone() });
        };
        if json.len() as u64 > MAX_JSON {
            process.end().await;
            return Err(failed("it says more about the page than can be taken".to_owned(), false));
        }
        let status = process.ended().await?;
        if status.success() {
            return info::read(&json);
        }
        tracing::debug!(%status, page = without_query(page), "yt-dlp did not understand a page");
        Err(self.fact(&errors, wish))
    }

    /// Why it failed.
    fn fact(&self, errors: &Errors, wish: Option<&str>) -> EngineError {
        if errors.says_no_such_format() {
            return match wish {
                Some(wish) => EngineError::NoSuchQuality {
                    wanted: wish.chars().take(64).collect(),
                    offered: Vec::new(),
                },
                // Everything there is comes as a picture and a sound apart.
                None if self.ffmpeg.is_none() => EngineError::FfmpegMissing,
                None => failed("the page has nothing that can be downloaded".to_owned(), false),
            };
        }
        let folder = self.private.folder().to_string_lossy().into_owned();
        errors.fact(&[folder])
    }
}
