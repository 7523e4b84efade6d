//! The files of a download in the making, and the one moment they become the finished file.
//!
//! Owns names and their reservation. Never overwrites a file it did not make. Invariant: the final name appears only
//! by a rename that refuses to replace, and only after the bytes are synced.

mod names;

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use sha2::{Digest, Sha256};
use weir_media::filename;

use crate::digest::hex;
use crate::journal::{Journal, Record, State, Unavailable};
use crate::ranges::Spans;
use crate::source::{Method, Source};
use crate::{EngineError, Partial, Ranges};

pub(crate) use names::Names;

/// How many numbered names are tried before giving up.
const MAX_NUMBER: u32 = 999;
/// How many entries of a folder are looked at when searching for a partial of the same address.
const MAX_SCANNED: usize = 20_000;
/// How long a look at a folder holds. A partial that appears meanwhile is somebody's who is at work on it.
const SCAN_HOLDS: Duration = Duration::from_secs(1);
/// How long a journal that is in use may stay so before it counts as somebody else's. A program that is just being started
/// holds every lock of ours until it runs, and a busy machine lets it wait.
const BRIEFLY_BUSY: Duration = Duration::from_millis(250);
/// The same for one that is known to be our own.
const OUR_OWN_BUSY: Duration = Duration::from_secs(2);

/// Where the bytes of a running download are, until it is finished.
#[must_use]
pub fn partial_path(directory: &Path, filename: &str) -> PathBuf {
    Names::new(directory, filename).part()
}

/// Which bytes of a plain file in the making are there, by its journal. None without a readable one, and for a stream.
/// Blocks.
#[must_use]
pub fn saved_ranges(directory: &Path, filename: &str) -> Option<Ranges> {
    let names = Names::new(directory, &filename::safe(filename));
    let State::File(state) = Journal::peek(&names.journal())?.state else { return None };
    let done = Spans::from_untrusted(&state.written, state.total.unwrap_or(u64::MAX));
    Some(Ranges { total: state.total, done: done.as_slice().to_vec(), active: Vec::new() })
}

/// Removes every working file of a download that is not running: `NAME.part`, `NAME.part.weir` and those of a stream.
/// Files that are not there are no error. False when somebody works with them: then nothing is touched, because a name
/// that was given up may be another download's by now.
///
/// # Errors
/// A file exists and cannot be removed.
pub fn remove_partial(directory: &Path, filename: &str) -> io::Result<bool> {
    // A name from outside must not reach other folders.
    if Path::new(filename).components().count() != 1 || filename.contains(['/', '\0']) {
        return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a file name"));
    }
    let names = Names::new(directory, filename);
    let journal = match open_patiently(&names.journal(), BRIEFLY_BUSY) {
        Ok((journal, _)) => journal,
        Err(Unavailable::Busy) => return Ok(false),
        Err(Unavailable::Io(error)) => return Err(error),
        Err(Unavailable::Absent) => {
            if !names.working().iter().any(|path| exists(path)) {
                return Ok(true);
            }
            // Reserved while orphans are cleared away, so that nobody takes the name in between.
            match Journal::create(&names.journal()) {
                Ok(journal) => journal,
                Err(Unavailable::Absent | Unavailable::Busy) => return Ok(false),
                Err(Unavailable::Io(error)) => return Err(error),
            }
        }
    };
    remove_all(&names, journal)
}

/// Removes the working files and last, because as long as it is there the rest can be found again, the journal. False
/// when a program that is not ours holds one of them.
fn remove_all(names: &Names, journal: Journal) -> io::Result<bool> {
    let mut free = true;
    for path in names.working() {
        if held(&path) {
            free = false;
            continue;
        }
        remove_if_there(&path)?;
    }
    journal.remove().map(|()| free)
}

/// A lock on a working file is never ours: ours is on the journal.
fn held(path: &Path) -> bool {
    let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
    is_file
        && File::open(path)
            .is_ok_and(|file| matches!(file.try_lock(), Err(std::fs::TryLockError::WouldBlock)))
}

/// A file, or a folder with all that is in it; links are removed, not followed.
fn remove_if_there(path: &Path) -> io::Result<()> {
    let removed = match std::fs::remove_file(path) {
        Err(error) if error.kind() == io::ErrorKind::IsADirectory => std::fs::remove_dir_all(path),
        removed => removed,
    };
    match removed {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

/// Whose partial it is: method, address and body, hashed because addresses carry tokens.
pub(crate) fn key_of(source: &Source) -> String {
    let mut hasher = Sha256::new();
    let method: &[u8] = if source.method == Method::Post { b"POST " } else { b"GET " };
    hasher.update(method);
    hasher.update(source.url.as_str());
    if let Some(body) = &source.body {
        hasher.update(b"\n");
        hasher.update(body);
    }
    hex(&hasher.finalize())
}

/// A reserved name with its locked journal.
#[derive(Debug)]
pub(crate) struct Part {
    pub(crate) names: Names,
    pub(crate) journal: Journal,
    pub(crate) key: String,
}

/// Names of the partials in folders, as looked up a moment ago: two thousand jobs for one folder look once.
#[derive(Debug, Default)]
pub(crate) struct Scans(Mutex<HashMap<PathBuf, Look>>);

type Look = (Instant, Arc<[String]>);

impl Scans {
    fn look(&self, directory: &Path) -> Arc<[String]> {
        let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        known.retain(|_, (at, _)| at.elapsed() < SCAN_HOLDS);
        let (_, names) = known.entry(directory.to_owned()).or_insert_with(|| {
            let entries = std::fs::read_dir(directory).into_iter().flatten().take(MAX_SCANNED);
            let names = entries.filter_map(|entry| {
                entry.ok()?.file_name().into_string().ok()?.strip_suffix(".part.weir").map(str::to_owned)
            });
            (Instant::now(), names.collect())
        });
        Arc::clone(names)
    }

    /// The folder has changed.
    pub(crate) fn forget(&self, directory: &Path) {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).remove(directory);
    }
}

/// Makes sure the folder is there.
pub(crate) fn prepare_directory(directory: &Path) -> Result<(), EngineError> {
    std::fs::create_dir_all(directory).map_err(EngineError::disk)
}

impl Part {
    /// Finds and locks a partial to go on with, before anything is asked of the server.
    pub(crate) fn adopt(
        scans: &Scans,
        directory: &Path,
        wanted: Option<&str>,
        partial: &Partial,
        key: &str,
    ) -> Result<Option<(Self, Record)>, EngineError> {
        match partial {
            Partial::Fresh => Ok(None),
            Partial::Named(filename) => {
                let names = Names::new(directory, &filename::safe(filename));
                match open_patiently(&names.journal(), BRIEFLY_BUSY) {
                    // The caller vouches for the name; the address may have been renewed.
                    Ok((journal, Some(record))) => {
                        Ok(Some((Self { names, journal, key: key.to_owned() }, record)))
                    }
                    // No whole record: nothing in the partial can be trusted, and it is ours to take away.
                    Ok((journal, None)) => {
                        remove_all(&names, journal).map_err(EngineError::disk)?;
                        Ok(None)
                    }
                    Err(Unavailable::Absent) => Ok(None),
                    Err(Unavailable::Busy) => Err(EngineError::FileBusy { filename: names.filename }),
                    Err(Unavailable::Io(error)) => Err(EngineError::disk(error)),
                }
            }
            Partial::SameUrl => Ok(Self::find(&scans.look(directory), directory, wanted, key)),
        }
    }

    /// Looks for an unlocked partial of the same address. The name is usually not known before the server answered,
    /// so the journals tell.
    fn find(names: &[String], directory: &Path, wanted: Option<&str>, key: &str) -> Option<(Self, Record)> {
        let wanted = wanted.map(filename::safe);
        let mut found: Vec<&String> = names
            .iter()
            .filter(|name| {
                // The name may have got the extension of its container or its type.
                let fits = |wanted: &String| {
                    let extended = filename::whole_extension(name)
                        .map(|extension| filename::with_extension(wanted, &extension));
                    (0..=MAX_NUMBER).any(|n| {
                        filename::numbered(wanted, n) == **name
                            || extended
                                .as_ref()
                                .is_some_and(|extended| filename::numbered(extended, n) == **name)
                    })
                };
                wanted.as_ref().is_none_or(fits)
            })
            .collect();
        found.sort();
        found.into_iter().find_map(|name| {
            let names = Names::new(directory, name);
            // Looked at before it is locked: a lock taken on another's journal, however briefly, keeps its owner from
            // settling it.
            if Journal::peek(&names.journal()).is_none_or(|record| record.key != key) {
                return None;
            }
            match Journal::open(&names.journal()) {
                Ok((journal, Some(record))) if record.key == key => {
                    Some((Self { names, journal, key: key.to_owned() }, record))
                }
                _ => None,
            }
        })
    }

    /// Reserves a name nobody uses: `wanted` or the next number.
    pub(crate) fn create(directory: &Path, wanted: &str, key: &str) -> Result<Self, EngineError> {
        let wanted = filename::safe(wanted);
        for n in 0..=MAX_NUMBER {
            let names = Names::new(directory, &filename::numbered(&wanted, n));
            if exists(&names.target()) || exists(&names.part()) || exists(&names.work()) {
                continue;
            }
            match Journal::create(&names.journal()) {
                Ok(journal) => return Ok(Self { names, journal, key: key.to_owned() }),
                Err(Unavailable::Absent | Unavailable::Busy) => {}
                Err(Unavailable::Io(error)) => return Err(EngineError::disk(error)),
            }
        }
        Err(EngineError::FilenameTaken { filename: wanted })
    }

    /// Opens a working file for writing, keeping what is in it.
    pub(crate) fn open(path: &Path) -> io::Result<File> {
        // Never through a link that somebody put where our file should be.
        let flags = rustix::fs::OFlags::NOFOLLOW.bits() as i32;
        OpenOptions::new().read(true).write(true).create(true).truncate(false).custom_flags(flags).open(path)
    }

    pub(crate) fn record(&self, state: State) -> Record {
        Record { key: self.key.clone(), boot: crate::journal::boot_id(), state }
    }

    /// Gives a whole, verified and synced working file its final name, or the next free number, and clears up all but
    /// the journal, which waits for [`settle`].
    pub(crate) fn finish(
        self,
        working: &Path,
        finished: impl Fn(&str) -> State,
    ) -> Result<PathBuf, EngineError> {
        let name = self.names.filename.clone();
        self.finish_as(working, &name, finished)
    }

    /// The same under another name than the one that was reserved: what came wants another extension.
    pub(crate) fn finish_as(
        mut self,
        working: &Path,
        wanted: &str,
        finished: impl Fn(&str) -> State,
    ) -> Result<PathBuf, EngineError> {
        let wanted = filename::safe(wanted);
        for n in 0..=MAX_NUMBER {
            let name = filename::numbered(&wanted, n);
            let target = self.names.directory.join(&name);
            // Written first, so that a crash right after the rename is understood on the next start.
            let record = self.record(finished(&name));
            self.journal.write(&record, false).map_err(EngineError::disk)?;
            match rename_without_replacing(working, &target) {
                Ok(()) => {
                    sync_directory(&self.names.directory);
                    self.tidy();
                    return Ok(target);
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                Err(error) => return Err(EngineError::disk(error)),
            }
        }
        Err(EngineError::FilenameTaken { filename: wanted })
    }

    /// Takes everything away: there is nothing to go on with.
    pub(crate) fn abandon(self) {
        if let Err(error) = remove_all(&self.names, self.journal) {
            tracing::warn!(%error, "a working file could not be removed");
        }
    }

    /// Takes the working files away and keeps the journal.
    pub(crate) fn tidy(&self) {
        for path in self.names.working() {
            if let Err(error) = remove_if_there(&path) {
                tracing::warn!(%error, "a working file could not be removed");
            }
        }
    }
}

/// Lets `make` put a file under the first name like `wanted` that nobody uses; `make` must refuse to replace.
pub(crate) fn under_free_name(
    directory: &Path,
    wanted: &str,
    make: impl Fn(&Path) -> io::Result<()>,
) -> Result<PathBuf, EngineError> {
    let wanted = filename::safe(wanted);
    for n in 0..=MAX_NUMBER {
        let names = Names::new(directory, &filename::numbered(&wanted, n));
        if exists(&names.part()) {
            continue;
        }
        match make(&names.target()) {
            Ok(()) => return Ok(names.target()),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(EngineError::disk(error)),
        }
    }
    Err(EngineError::FilenameTaken { filename: wanted })
}

/// Gives a companion of a finished file its name, or the next free number: never in place of another.
pub(crate) fn place(directory: &Path, wanted: &str, from: &Path) -> Result<PathBuf, EngineError> {
    let wanted = filename::safe(wanted);
    for n in 0..=MAX_NUMBER {
        let target = directory.join(filename::numbered(&wanted, n));
        match rename_without_replacing(from, &target) {
            Ok(()) => return Ok(target),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => return Err(EngineError::disk(error)),
        }
    }
    Err(EngineError::FilenameTaken { filename: wanted })
}

/// Removes `journal` if it says that `filename` is finished. One that says something else, is worked with or has gone
/// is somebody else's business by now.
pub(crate) fn settle(journal: &Path, filename: &str) -> io::Result<()> {
    match open_patiently(journal, OUR_OWN_BUSY) {
        Ok((journal, Some(Record { state: State::Finished(state), .. }))) if state.filename == filename => {
            journal.remove()
        }
        Ok(_) | Err(Unavailable::Absent | Unavailable::Busy) => Ok(()),
        Err(Unavailable::Io(error)) => Err(error),
    }
}

fn open_patiently(journal: &Path, patience: Duration) -> Result<(Journal, Option<Record>), Unavailable> {
    let since = Instant::now();
    loop {
        match Journal::open(journal) {
            Err(Unavailable::Busy) if since.elapsed() < patience => {
                std::thread::sleep(Duration::from_millis(5));
            }
            outcome => return outcome,
        }
    }
}

fn exists(path: &Path) -> bool {
    // Also true for a dangling link: writing through it would end elsewhere.
    std::fs::symlink_metadata(path).is_ok()
}

/// `AlreadyExists` when the target is there. Where the file system has no such rename a hard link does the same, and
/// where it has no links either, an empty placeholder of our own is replaced.
pub(crate) fn rename_without_replacing(from: &Path, to: &Path) -> io::Result<()> {
    use rustix::fs::{CWD, RenameFlags, renameat_with};
    match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        Ok(()) => return Ok(()),
        Err(rustix::io::Errno::EXIST) => return Err(io::ErrorKind::AlreadyExists.into()),
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS | rustix::io::Errno::NOTSUP) => {}
        Err(error) => return Err(error.into()),
    }
    match std::fs::hard_link(from, to) {
        Ok(()) => return std::fs::remove_file(from),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Err(error),
        Err(_) => {}
    }
    OpenOptions::new().write(true).create_new(true).open(to)?;
    std::fs::rename(from, to)
}

/// Makes the rename itself durable. Not every file system can, and none loses the bytes for it.
fn sync_directory(directory: &Path) {
    if let Ok(directory) = File::open(directory) {
        let _ = directory.sync_all();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::{FileState, FinishedState};

    fn state(_: &str) -> State {
        State::File(FileState::default())
    }

    fn finished(filename: &str) -> State {
        State::Finished(FinishedState {
            filename: filename.to_owned(),
            bytes: 3,
            sha256: String::new(),
            kind: crate::Kind::File,
            quality: None,
            duration_ms: None,
            lacks: None,
        })
    }

    #[test]
    fn names_are_reserved_and_numbered() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("a.bin"), "old").unwrap();
        let first = Part::create(dir.path(), "a.bin", "k").unwrap();
        let second = Part::create(dir.path(), "a.bin", "k").unwrap();
        assert_eq!(
            (first.names.filename.as_str(), second.names.filename.as_str()),
            ("a (1).bin", "a (2).bin")
        );
        let hostile = Part::create(dir.path(), "../../x", "k").unwrap();
        assert_eq!(hostile.names.directory, dir.path());
        assert_eq!(Path::new(&hostile.names.filename).components().count(), 1);
    }

    #[test]
    fn the_final_name_is_never_taken_from_somebody() {
        let dir = tempfile::tempdir().unwrap();
        let part = Part::create(dir.path(), "a.bin", "k").unwrap();
        std::fs::write(part.names.part(), "new").unwrap();
        std::fs::write(part.names.target(), "somebody's").unwrap();
        let (working, journal) = (part.names.part(), part.names.journal());
        let path = part.finish(&working, finished).unwrap();
        assert_eq!(path, dir.path().join("a (1).bin"));
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::read(dir.path().join("a.bin")).unwrap(), b"somebody's");
        assert!(journal.exists() && !working.exists());
        settle(&journal, "a.bin").unwrap();
        assert!(journal.exists(), "that is not the name it got");
        settle(&journal, "a (1).bin").unwrap();
        settle(&journal, "a (1).bin").unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2);
    }

    #[test]
    fn what_is_there_can_be_seen_also_while_somebody_works() {
        let dir = tempfile::tempdir().unwrap();
        let mut part = Part::create(dir.path(), "a.bin", "k").unwrap();
        assert_eq!(saved_ranges(dir.path(), "a.bin"), None, "nothing is written yet");
        let written = vec![(0, 10), (50, 60)];
        let file = FileState { total: Some(100), written: written.clone(), ..FileState::default() };
        let record = part.record(State::File(file));
        part.journal.write(&record, false).unwrap();
        let ranges = saved_ranges(dir.path(), "a.bin").unwrap();
        assert_eq!((ranges.total, ranges.done, ranges.active), (Some(100), written, Vec::new()));
        let record = part.record(finished("a.bin"));
        part.journal.write(&record, false).unwrap();
        assert_eq!(saved_ranges(dir.path(), "a.bin"), None);
        assert_eq!(saved_ranges(dir.path(), "../a.bin"), None);
    }

    #[test]
    fn only_a_finished_journal_that_nobody_works_with_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let mut part = Part::create(dir.path(), "a.bin", "k").unwrap();
        let journal = part.names.journal();
        let record = part.record(finished("a.bin"));
        part.journal.write(&record, false).unwrap();
        settle(&journal, "a.bin").unwrap();
        assert!(journal.exists(), "somebody works with it");
        let record = part.record(state(""));
        part.journal.write(&record, false).unwrap();
        drop(part);
        settle(&journal, "a.bin").unwrap();
        assert!(journal.exists(), "it is another download's");
    }

    #[test]
    fn a_partial_is_found_by_its_address_and_not_by_another() {
        let dir = tempfile::tempdir().unwrap();
        let mut part = Part::create(dir.path(), "a.bin", "mine").unwrap();
        let record = part.record(state(""));
        part.journal.write(&record, false).unwrap();
        // Still locked.
        assert!(
            Part::adopt(&Scans::default(), dir.path(), None, &Partial::SameUrl, "mine").unwrap().is_none()
        );
        assert!(matches!(
            Part::adopt(&Scans::default(), dir.path(), None, &Partial::Named("a.bin".into()), "mine"),
            Err(EngineError::FileBusy { .. })
        ));
        drop(part);
        assert!(
            Part::adopt(&Scans::default(), dir.path(), None, &Partial::SameUrl, "other").unwrap().is_none()
        );
        assert!(
            Part::adopt(&Scans::default(), dir.path(), Some("b.bin"), &Partial::SameUrl, "mine")
                .unwrap()
                .is_none()
        );
        assert!(
            Part::adopt(&Scans::default(), dir.path(), Some("a.bin"), &Partial::SameUrl, "mine")
                .unwrap()
                .is_some()
        );
        assert!(
            Part::adopt(&Scans::default(), dir.path(), None, &Partial::Named("a.bin".into()), "other")
                .unwrap()
                .is_some()
        );
        assert!(Part::adopt(&Scans::default(), dir.path(), None, &Partial::Fresh, "mine").unwrap().is_none());
        assert!(remove_partial(dir.path(), "a.bin").unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(remove_partial(dir.path(), "../a.bin").is_err());
    }

    #[test]
    fn working_files_go_only_when_nobody_works_with_them() {
        let dir = tempfile::tempdir().unwrap();
        let count = || std::fs::read_dir(dir.path()).unwrap().count();
        assert!(remove_partial(dir.path(), "a.bin").unwrap());
        assert_eq!(count(), 0);
        let part = Part::create(dir.path(), "a.bin", "k").unwrap();
        for path in part.names.working() {
            std::fs::write(path, "bytes").unwrap();
        }
        assert!(!remove_partial(dir.path(), "a.bin").unwrap());
        assert_eq!(count(), 3);
        drop(part);
        assert!(remove_partial(dir.path(), "a.bin").unwrap());
        assert_eq!(count(), 0);
        // What lost its journal goes too, unless another program holds it.
        let orphan = partial_path(dir.path(), "a.bin");
        let file = File::create(&orphan).unwrap();
        file.lock().unwrap();
        assert!(!remove_partial(dir.path(), "a.bin").unwrap());
        assert!(orphan.exists() && count() == 1);
        drop(file);
        assert!(remove_partial(dir.path(), "a.bin").unwrap());
        assert_eq!(count(), 0);
    }
}
