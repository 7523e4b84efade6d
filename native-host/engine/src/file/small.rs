//! A file so small that it comes in one piece.
//!
//! Owns fetching it into memory and giving it its name. Never leaves anything half-done on disk: until it is whole and
//! verified there is nothing to go on with, and nothing worth it. Invariant: at most [`SMALL`] bytes are held.

use std::fs::File;
use std::io::{self, Write};
use std::ops::ControlFlow;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use bytes::Bytes;
use rustix::fs::{AtFlags, CWD, Mode, OFlags};
use tokio_util::sync::CancellationToken;

use super::{ask_patiently, backoff, facts_of};
use crate::answer::{self, Coding};
use crate::digest::{self, Hashers};
use crate::journal::{FinishedState, State};
use crate::monitor::{ConnectionGuard, Monitor, Phase};
use crate::net::{Answer, Net};
use crate::part::{self, Part};
use crate::source::Method;
use crate::{Checksum, EngineError, Finished, Job, Kind, sums};

/// Largest file that is fetched this way: what a slow server brings of it is lost when it is stopped.
pub(crate) const SMALL: u64 = 128 * 1024;

/// Whether this answer is to a file that comes in one piece.
pub(crate) fn is_small(job: &Job, answer: &Answer) -> bool {
    answer.status == 200
        && answer::coding(&answer.headers) == Coding::Identity
        && answer::content_length(&answer.headers).is_some_and(|length| length <= SMALL)
        && matches!(job.checksum, None | Some(Checksum::Stated { .. }))
}

/// What it will be called.
pub(crate) enum Place {
    /// Reserved, and with a journal that tells after a crash that it is finished.
    Reserved(Part),
    /// Whatever name like this is free in the end.
    Free(String),
}

/// Fetches, verifies and names it.
pub(crate) async fn run(
    net: &Net,
    job: &Job,
    monitor: &Arc<Monitor>,
    stop: &CancellationToken,
    place: Place,
    answer: Answer,
) -> Result<Finished, EngineError> {
    monitor.set_phase(Phase::Downloading);
    let name = match &place {
        Place::Reserved(part) => part.names.filename.clone(),
        Place::Free(name) => name.clone(),
    };
    let fetched = tokio::select! {
        biased;
        () = stop.cancelled() => Err(EngineError::Stopped),
        fetched = fetch_verified(net, job, monitor, answer, &name) => fetched,
    };
    let (bytes, sha256) = match (fetched, place) {
        (Ok(fetched), Place::Reserved(part)) => return store_reserved(part, fetched).await,
        (Ok(fetched), Place::Free(_)) => fetched,
        (Err(error), Place::Reserved(part)) => {
            part.abandon();
            return Err(error);
        }
        (Err(error), Place::Free(_)) => return Err(error),
    };
    let directory = job.directory.clone();
    let key = part::key_of(&job.source);
    // Not to be stopped: a job that said it stopped must not finish later.
    let stored = tokio::task::spawn_blocking(move || match link_nameless(&directory, &name, &bytes)? {
        Some(path) => Ok(finished(path, None, &bytes, sha256)),
        None => store(Part::create(&directory, &name, &key)?, &bytes, sha256),
    });
    let stored = stored.await.map_err(|error| EngineError::Internal(error.to_string()))??;
    monitor.set_filename(&stored.filename);
    Ok(stored)
}

async fn fetch_verified(
    net: &Net,
    job: &Job,
    monitor: &Monitor,
    answer: Answer,
    name: &str,
) -> Result<(Vec<Bytes>, [u8; 32]), EngineError> {
    let (bytes, answer) = fetch(net, job, monitor, answer, name).await?;
    monitor.set_phase(Phase::Finishing);
    let facts = facts_of(&answer, job);
    // Its end was reached, so the connection serves the next request.
    drop(answer);
    let mut hashers = Hashers::new(&facts.stated, facts.wanted);
    for chunk in &bytes {
        hashers.update(chunk);
    }
    let digests = hashers.finish();
    digests.check(&facts.stated, sums::expected(net, job, name).await?.as_ref())?;
    Ok((bytes, digests.sha256))
}

async fn store_reserved(
    part: Part,
    (bytes, sha256): (Vec<Bytes>, [u8; 32]),
) -> Result<Finished, EngineError> {
    let stored = tokio::task::spawn_blocking(move || store(part, &bytes, sha256));
    stored.await.map_err(|error| EngineError::Internal(error.to_string()))?
}

fn finished(path: PathBuf, journal: Option<PathBuf>, bytes: &[Bytes], sha256: [u8; 32]) -> Finished {
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let bytes = bytes.iter().map(|chunk| chunk.len() as u64).sum();
    Finished {
        path,
        filename,
        kind: Kind::File,
        bytes,
        sha256,
        quality: None,
        duration: None,
        unmet: Vec::new(),
        lacks: None,
        journal,
    }
}

/// The whole body, asked for again as long as it breaks in a way that may pass.
async fn fetch(
    net: &Net,
    job: &Job,
    monitor: &Monitor,
    mut answer: Answer,
    name: &str,
) -> Result<(Vec<Bytes>, Answer), EngineError> {
    let mut failures = 0;
    loop {
        let error = match receive(net, job, monitor, &mut answer).await {
            Ok(bytes) => return Ok((bytes, answer)),
            Err(error) => error,
        };
        drop(answer);
        failures += 1;
        // A second POST may order twice: only the caller can know.
        if !error.is_transient() || failures > net.options().retries || job.source.method == Method::Post {
            return Err(error);
        }
        tokio::time::sleep(backoff(net, failures)).await;
        (answer, _) = ask_patiently(net, job, None, None).await?;
        if let Some(error) = answer.unasked_part() {
            return Err(error);
        }
        crate::resolve::refuse_page(&mut answer, name).await?;
        // It may have become another.
        if !is_small(job, &answer) {
            return Err(EngineError::ContentChanged);
        }
    }
}

async fn receive(
    net: &Net,
    job: &Job,
    monitor: &Monitor,
    answer: &mut Answer,
) -> Result<Vec<Bytes>, EngineError> {
    let _open = ConnectionGuard::new(monitor);
    let total = answer::content_length(&answer.headers).unwrap_or_default();
    monitor.begin_anew();
    monitor.set_total(Some(total));
    let mut bytes = Vec::new();
    let mut received = 0;
    let mut heard = Instant::now();
    while received < total {
        match answer.poll().await? {
            ControlFlow::Break(()) => {
                return Err(EngineError::broken("the server sent less than it announced"));
            }
            ControlFlow::Continue(Some(mut chunk)) => {
                heard = Instant::now();
                received += chunk.len() as u64;
                while !chunk.is_empty() {
                    let step = chunk.split_to(chunk.len().min(job.limit.step()));
                    if job.limit.is_limited() {
                        job.limit.take(step.len()).await;
                    }
                    monitor.add_received(step.len() as u64);
                    bytes.push(step);
                }
            }
            ControlFlow::Continue(None) if heard.elapsed() >= net.options().patience => {
                return Err(answer.silence());
            }
            ControlFlow::Continue(None) => {}
        }
    }
    if received > total {
        return Err(EngineError::broken("the server sent more than it announced"));
    }
    // The end itself, if it is there already, so that the connection can be used again.
    let _ = answer.poll().await;
    Ok(bytes)
}

/// Under the reserved name, with a journal that tells after a crash that it is finished. Blocks.
fn store(part: Part, bytes: &[Bytes], sha256: [u8; 32]) -> Result<Finished, EngineError> {
    let (working, journal) = (part.names.part(), part.names.journal());
    if let Err(error) = Part::open(&working).and_then(|file| write(&file, bytes)) {
        part.abandon();
        return Err(EngineError::disk(error));
    }
    let size = bytes.iter().map(|chunk| chunk.len() as u64).sum();
    let path = part.finish(&working, |filename| {
        State::Finished(FinishedState {
            filename: filename.to_owned(),
            bytes: size,
            sha256: digest::hex(&sha256),
            kind: Kind::File,
            quality: None,
            duration_ms: None,
            lacks: None,
        })
    })?;
    Ok(finished(path, Some(journal), bytes, sha256))
}

/// The same without a journal: a file that has no name is written, synced and linked. None where the file system has
/// no nameless files. Blocks.
fn link_nameless(directory: &Path, name: &str, bytes: &[Bytes]) -> Result<Option<PathBuf>, EngineError> {
    let mode = Mode::from_raw_mode(0o666);
    let Ok(nameless) = rustix::fs::open(directory, OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC, mode)
    else {
        return Ok(None);
    };
    let nameless = File::from(nameless);
    write(&nameless, bytes).map_err(EngineError::disk)?;
    // Names this file only as long as it is open.
    let through = format!("/proc/self/fd/{}", nameless.as_raw_fd());
    let linked = part::under_free_name(directory, name, |target| {
        match rustix::fs::linkat(CWD, &*through, CWD, target, AtFlags::SYMLINK_FOLLOW) {
            Ok(()) => Ok(()),
            Err(rustix::io::Errno::EXIST) => Err(io::ErrorKind::AlreadyExists.into()),
            Err(error) => Err(io::Error::from(error)),
        }
    });
    drop(nameless);
    match linked {
        Ok(path) => Ok(Some(path)),
        // Without /proc a nameless file cannot be named.
        Err(EngineError::FolderUnwritable(error)) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

fn write(mut file: &File, bytes: &[Bytes]) -> io::Result<()> {
    for chunk in bytes {
        file.write_all(chunk)?;
    }
    file.sync_data()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[allow(clippy::expect_used)]
    #[test]
    fn a_nameless_file_gets_the_first_free_name() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.bin"), "somebody's").unwrap();
        std::fs::write(dir.path().join("a (1).bin.part"), "somebody's").unwrap();
        let bytes = [Bytes::from_static(b"ab"), Bytes::from_static(b"c")];
        // Of the temporary folder's file system this is known; where it is not, the other way is taken.
        let path = link_nameless(dir.path(), "a.bin", &bytes).unwrap().expect("no nameless files here");
        assert_eq!(path, dir.path().join("a (2).bin"));
        assert_eq!(std::fs::read(&path).unwrap(), b"abc");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 3);
        // Many at once: each name must lead to its own bytes.
        std::thread::scope(|scope| {
            for thread in 0..8_u8 {
                let dir = dir.path();
                scope.spawn(move || {
                    for n in 0..50 {
                        let bytes = Bytes::from(vec![thread; 100 + n]);
                        let name = format!("{thread}-{n}");
                        let path = link_nameless(dir, &name, std::slice::from_ref(&bytes)).unwrap().unwrap();
                        assert!(std::fs::read(path).unwrap() == bytes);
                    }
                });
            }
        });
        let gone = dir.path().join("gone");
        assert!(matches!(link_nameless(&gone, "a.bin", &bytes), Ok(None)));
    }
}
