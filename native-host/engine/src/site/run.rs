//! yt-dlp at work on one download: started, watched, ended, and taken up again.
//!
//! Owns what may be gone on with. Never trusts bytes whose writer did not leave by its own way out: one file in seven that
//! was resumed after kill −9 was wrong. Invariant: the journal says so before yt-dlp starts, and says otherwise only after it
//! has ended well.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use super::failure::Errors;
use super::lines::Lines;
use super::program::Process;
use super::progress::{self, Said, Tally};
use super::selection::{self, Quality};
use super::{MOST_CONNECTIONS, Ready, lost, result};
use crate::journal::{self, SiteState, State};
use crate::monitor::{Monitor, Phase};
use crate::net::Net;
use crate::part::Part;
use crate::{EngineError, Finished, Job, sums};

/// How often the disk, the limit and the clock are looked at.
const TICK: Duration = Duration::from_secs(1);
/// A changed limit must hold for so long before it is worth a restart.
const SETTLED: Duration = Duration::from_secs(2);
/// Containers that take a title, a date and an address.
const TAGGED: &[&str] = &["mp4", "m4a", "m4v", "mov", "webm", "mkv"];

/// How a run of yt-dlp ended.
enum Ended {
    /// It names a finished file.
    File(PathBuf),
    /// A live stream was ended on request.
    Recorded,
    /// Its limit has changed.
    Again,
}

/// Fetches, checks and finishes. `before` is what an earlier run left, with its boot.
pub(crate) async fn run(
    net: &Net,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
    mut part: Part,
    ready: Ready,
    before: Option<(String, SiteState)>,
) -> Result<Finished, EngineError> {
    let quality = match ready.quality {
        Quality::Audio => Some("Audio".to_owned()),
        _ => ready.info.quality(),
    };
    monitor.set_quality(quality.as_deref());
    monitor.set_live(ready.info.is_live());
    monitor.set_total(None);
    monitor.set_phase(Phase::Downloading);
    let begun = Instant::now();
    let mut work = Work::take_up(&part, &ready, before, job.wishes.holes)?;
    let file = loop {
        work.note(&mut part, false)?;
        match attempt(job, monitor, stop, &mut part, &ready, &mut work, begun).await? {
            Ended::File(file) => break file,
            Ended::Recorded => {
                monitor.set_phase(Phase::Finishing);
                let ffmpeg = ready.caller.ffmpeg.as_deref().ok_or(EngineError::FfmpegMissing)?;
                break tokio::select! {
                    biased;
                    () = stop.cancelled() => return Err(EngineError::Stopped),
                    made = result::of_recording(ffmpeg, &work.folder) => made?,
                };
            }
            Ended::Again => {}
        }
    };
    monitor.set_phase(Phase::Finishing);
    // Only up to here: what follows ends in a rename, and a job that said it stopped must not finish later.
    let wanted = tokio::select! {
        biased;
        () = stop.cancelled() => return Err(EngineError::Stopped),
        wanted = sums::expected(net, job, &part.names.filename) => wanted?,
    };
    let live = ready.info.is_live();
    let lacks = match job.wishes.holes {
        false => None,
        true if live => Some("it may lack segments: nobody counts those of a live page".to_owned()),
        true => lost::words(&work.folder, &work.state, &ready.info.protocols()),
    };
    let made = result::Made {
        file,
        folder: work.folder,
        quality,
        duration: ready.info.duration(),
        holes: job.wishes.holes,
        lacks,
    };
    // The cookies and links have done their duty.
    drop(ready);
    let concluded = tokio::task::spawn_blocking(move || result::conclude(part, &made, live, wanted.as_ref()));
    concluded.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

/// The folder yt-dlp works in.
struct Work {
    folder: PathBuf,
    state: SiteState,
    /// yt-dlp shall go on over what it cannot have.
    skips: bool,
}

impl Work {
    /// Goes on with what an earlier run left, if that is what it says it is; else begins anew, in a folder of another name:
    /// whoever may still be dying in the old one does no harm.
    fn take_up(
        part: &Part,
        ready: &Ready,
        before: Option<(String, SiteState)>,
        holes: bool,
    ) -> Result<Self, EngineError> {
        let fingerprint = ready.info.fingerprint();
        part.names.make_work().map_err(EngineError::disk)?;
        let number = before.as_ref().map_or(0, |(_, state)| state.number);
        let kept = before.filter(|(boot, state)| {
            state.resumable
                && state.fingerprint == fingerprint
                // What went on without a segment is nothing to make a whole file of.
                && (holes || !state.holes)
                && !ready.info.is_live()
                && journal::same_boot(boot)
                && std::fs::symlink_metadata(folder(part, state.number)).is_ok_and(|there| there.is_dir())
        });
        if let Some((_, state)) = kept {
            let work = Self { folder: folder(part, state.number), skips: state.holes, state };
            lost::take_up(&work.folder).map_err(EngineError::disk)?;
            return Ok(work);
        }
        let mut work = Self::anew(part, SiteState { number, fingerprint, ..SiteState::default() })?;
        // Of what is live nothing comes a second time.
        work.skips = holes && ready.info.is_live();
        Ok(work)
    }

    fn anew(part: &Part, mut state: SiteState) -> Result<Self, EngineError> {
        let old = part.names.work();
        for entry in std::fs::read_dir(&old).map_err(EngineError::disk)? {
            let path = entry.map_err(EngineError::disk)?.path();
            let removed = if std::fs::symlink_metadata(&path).is_ok_and(|there| there.is_dir()) {
                std::fs::remove_dir_all(&path)
            } else {
                std::fs::remove_file(&path)
            };
            if let Err(error) = removed {
                // In the way of nothing: it goes with the rest in the end.
                tracing::warn!(%error, "what an earlier run left could not be removed");
            }
        }
        state.segments.clear();
        state.holes = false;
        loop {
            state.number = state.number.wrapping_add(1);
            let folder = folder(part, state.number);
            match std::fs::create_dir(&folder) {
                Ok(()) => return Ok(Self { folder, state, skips: false }),
                Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(EngineError::disk(error)),
            }
        }
    }

    /// A segment cannot be had: from now on it goes without those. First everything else is fetched as usual, because
    /// going on over lost ones yt-dlp gets right only one at a time; with several it may put another in the place.
    fn skips_from_now_on(&mut self, fact: &EngineError) -> Result<bool, EngineError> {
        if self.skips || !matches!(fact, EngineError::SiteSegmentMissing { .. }) {
            return Ok(false);
        }
        (self.skips, self.state.holes) = (true, true);
        lost::take_up(&self.folder).map_err(EngineError::disk)?;
        Ok(true)
    }

    /// Says whether what is there may be gone on with.
    fn note(&mut self, part: &mut Part, resumable: bool) -> Result<(), EngineError> {
        self.state.resumable = resumable;
        let record = part.record(State::Site(self.state.clone()));
        part.journal.write(&record, false).map_err(EngineError::disk)
    }

    /// Bytes in the folder, each once: segments that are kept to be counted are in their file too.
    fn size(&self) -> u64 {
        let entries = std::fs::read_dir(&self.folder).into_iter().flatten().flatten();
        entries
            .filter(|entry| !lost::is_kept(&entry.file_name().to_string_lossy()))
            .filter_map(|entry| entry.metadata().ok())
            .map(|metadata| metadata.len())
            .sum()
    }
}

fn folder(part: &Part, number: u32) -> PathBuf {
    part.names.work().join(format!("site{number}"))
}

/// One run of yt-dlp.
async fn attempt(
    job: &Job,
    monitor: &Monitor,
    stop: &CancellationToken,
    part: &mut Part,
    ready: &Ready,
    work: &mut Work,
    begun: Instant,
) -> Result<Ended, EngineError> {
    let caller = &ready.caller;
    let limit = job.limit.effective();
    let live = ready.info.is_live();
    let arguments = arguments(job, ready, &work.folder, work.skips, limit)?;
    let (process, stdout, stderr) = Process::start(&caller.program, &caller.private, &arguments)?;
    let (mut out, mut err) = (Lines::new(stdout), Lines::new(stderr));
    let (mut out_open, mut err_open) = (true, true);
    let (mut errors, mut tally) = (Errors::default(), Tally::new(ready.info.sizes()));
    let mut files: Vec<String> = Vec::new();
    let mut watch =
        Watch { heard: Instant::now(), told: None, size: work.size(), changed: None, finishing: false };
    let mut tick = tokio::time::interval(TICK);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let until = job.wishes.live_limit.filter(|_| live).map(|limit| begun + limit);
    while out_open || err_open {
        let line = tokio::select! {
            biased;
            () = stop.cancelled() => {
                let clean = process.end().await;
                work.note(part, clean && !live)?;
                return Err(EngineError::Stopped);
            }
            () = job.finish.cancelled(), if live => {
                process.end().await;
                return Ok(Ended::Recorded);
            }
            _ = tick.tick() => {
                if until.is_some_and(|until| Instant::now() >= until) {
                    process.end().await;
                    return Ok(Ended::Recorded);
                }
                watch.look(work.size(), monitor);
                if !watch.finishing && watch.heard.elapsed() > caller.patience {
                    let clean = process.end().await;
                    work.note(part, clean && !live)?;
                    return Err(EngineError::Timeout { host: caller.host.clone() });
                }
                if !live && watch.wants(job.limit.effective() != limit) {
                    let clean = process.end().await;
                    if clean {
                        lost::take_up(&work.folder).map_err(EngineError::disk)?;
                    } else {
                        *work = Work::anew(part, work.state.clone())?;
                    }
                    return Ok(Ended::Again);
                }
                continue;
            }
            line = out.next(), if out_open => {
                out_open = line.is_some();
                line
            }
            line = err.next(), if err_open => {
                err_open = line.is_some();
                line.inspect(|line| errors.keep(line))
            }
        };
        watch.heard = Instant::now();
        match line.as_deref().and_then(progress::read) {
            Some(Said::Bytes(bytes)) => {
                watch.told = Some(Instant::now());
                watch.finishing = false;
                tally.book(bytes);
                work.state.segments.extend(tally.segments());
                monitor.set_received(tally.received());
                monitor.set_fraction(tally.fraction());
                if monitor.snapshot().total != tally.total() {
                    monitor.set_total(tally.total());
                }
            }
            Some(Said::Afterwards) if !watch.finishing => {
                watch.finishing = true;
                monitor.set_phase(Phase::Finishing);
            }
            Some(Said::File(file)) => files.push(file),
            Some(Said::Afterwards) | None => {}
        }
        if !watch.finishing && monitor.snapshot().phase == Phase::Finishing {
            monitor.set_phase(Phase::Downloading);
        }
    }
    let status = process.ended().await?;
    if !status.success() {
        work.note(part, status.code().is_some() && !live)?;
        return Err(match caller.fact(&errors, job.quality.as_deref()) {
            fact if !live && status.code().is_some() && lost::in_the_middle(&work.folder) => {
                let fact = lost::fact(fact);
                if job.wishes.holes && work.skips_from_now_on(&fact)? {
                    return Ok(Ended::Again);
                }
                fact
            }
            // Killed by somebody else, it had nothing to say.
            EngineError::SiteFailed { .. } if status.code().is_none() => {
                super::failed("it was ended by somebody else".to_owned(), true)
            }
            fact => fact,
        });
    }
    work.note(part, true)?;
    match &files[..] {
        [file] => result::inside(&work.folder, file).map(Ended::File),
        [] => Err(super::failed("it ended without a file".to_owned(), false)),
        _ => Err(EngineError::FfmpegMissing),
    }
}

/// What is noticed between lines.
struct Watch {
    /// The last sign of life.
    heard: Instant,
    /// The last line about bytes.
    told: Option<Instant>,
    /// Of all files, when last looked at.
    size: u64,
    /// Since when the limit is another one.
    changed: Option<Instant>,
    finishing: bool,
}

impl Watch {
    /// Growth is a sign of life too: ffmpeg, which fetches what yt-dlp does not, says nothing.
    fn look(&mut self, size: u64, monitor: &Monitor) {
        if size != self.size {
            self.size = size;
            self.heard = Instant::now();
        }
        if !self.finishing && self.told.is_none_or(|told| told.elapsed() > 3 * TICK) {
            monitor.set_received(size);
        }
    }

    /// A restart is due.
    fn wants(&mut self, changed: bool) -> bool {
        if !changed || self.finishing {
            self.changed = None;
            return false;
        }
        self.changed.get_or_insert_with(Instant::now).elapsed() >= SETTLED
    }
}

/// Every argument of a run. Nothing in them comes from outside as it came.
fn arguments(
    job: &Job,
    ready: &Ready,
    folder: &Path,
    skips: bool,
    limit: Option<u64>,
) -> Result<Vec<OsString>, EngineError> {
    let caller = &ready.caller;
    // Written anew for each run: yt-dlp does not change it, but the private folder is nobody's memory.
    let info = caller.private.write("info.json", &ready.info.json())?;
    let mut out = caller.options.clone();
    out.extend(lost::options(skips, ready.info.is_live()).map(Into::into));
    // The limit yt-dlp keeps is that of each segment, between its blocks.
    let one = skips || limit.is_some();
    let at_a_time = if one { 1 } else { job.connections.clamp(1, MOST_CONNECTIONS) };
    out.extend(
        selection::formats(&ready.quality, &job.wishes, caller.ffmpeg.is_some()).into_iter().map(Into::into),
    );
    out.extend(selection::subtitles(&job.wishes).into_iter().map(Into::into));
    let mut add = |options: &[&str]| out.extend(options.iter().map(Into::into));
    add(&["--quiet", "--progress", "--newline", "--progress-delta", "0.5"]);
    add(&["--progress-template", &format!("download:{}%(progress)j", progress::BYTES)]);
    add(&["--progress-template", &format!("postprocess:{}%(progress)j", progress::AFTERWARDS)]);
    add(&["--print", &format!("after_move:{}%(.{{filepath}})j", progress::FILE)]);
    add(&["--no-mtime", "--concurrent-fragments", &at_a_time.to_string()]);
    if let Some(limit) = limit {
        add(&["--limit-rate", &limit.to_string(), "--buffer-size", "16K", "--no-resize-buffer"]);
    }
    if ready.quality == Quality::Audio {
        add(&["--extract-audio"]);
    }
    if caller.ffmpeg.is_some() {
        add(&["--merge-output-format", "mp4/webm/mkv"]);
        add(&["--postprocessor-args", "Merger+ffmpeg_o:-movflags +faststart"]);
        if ready.info.extension().is_some_and(|extension| TAGGED.contains(&extension)) {
            add(&["--embed-metadata", "--no-embed-info-json"]);
        }
    }
    if ready.info.is_live() && job.wishes.live_from_start {
        add(&["--live-from-start"]);
    }
    let place = |kind: &str| {
        let mut place = OsString::from(kind);
        place.push(folder);
        place
    };
    // A relative folder would be taken as one inside the first.
    out.extend(["-P".into(), place("home:"), "-P".into(), place("temp:")]);
    out.extend(["-o".into(), format!("{}.%(ext)s", result::STEM).into()]);
    out.extend(["--load-info-json".into(), info.into()]);
    Ok(out)
}
