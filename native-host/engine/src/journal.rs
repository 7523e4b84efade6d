//! The state of a download on disk: `NAME.part.weir`.
//!
//! Owns the record, its two slots and the lock. Never describes bytes that are not in the file: callers write data
//! first. Invariant: a record is either read back exactly as written or not at all; a torn, zeroed or foreign file
//! reads as "no record", which costs fetching again and nothing else.
//!
//! Two slots are written in turn, so a crash in the middle of a write leaves the slot before it. The lock is on the
//! same file, which is why it is never replaced by renaming.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use crate::answer::Validators;
use crate::digest::Stated;
use crate::ranges::Span;

const MAGIC: &[u8; 8] = b"weirjnl1";
/// Magic, sequence number, length, CRC-32 of all of these and the payload.
const HEADER: usize = 8 + 8 + 4 + 4;
const SLOT: u64 = 512 * 1024;
const MAX_PAYLOAD: usize = SLOT as usize - HEADER;

/// Everything needed to go on after a crash. No address and no header: links and cookies carry secrets.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Record {
    /// SHA-256 over method, address and body of the request, hex: tells whose partial this is.
    pub(crate) key: String,
    /// Boot of the machine in which the data was written. Within the same boot the page cache holds what was
    /// written; after another one only what had been synced is sure.
    pub(crate) boot: String,
    pub(crate) state: State,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) enum State {
    File(FileState),
    Stream(StreamState),
    Site(SiteState),
    /// The whole, verified file was about to get, or got, its final name.
    Finished(FinishedState),
}

/// A plain file in the making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct FileState {
    pub(crate) total: Option<u64>,
    pub(crate) validators: Validators,
    pub(crate) stated: Stated,
    /// On disk as far as this boot is concerned.
    pub(crate) written: Vec<Span>,
    /// On disk for good.
    pub(crate) synced: Vec<Span>,
}

/// A stream in the making.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct StreamState {
    /// What the tracks are made of; another one means another stream.
    pub(crate) fingerprint: String,
    pub(crate) quality: Option<String>,
    /// A recording of something that went on: what came in between cannot be had later.
    pub(crate) live: bool,
    /// What the manifest said of it, for when that is gone.
    pub(crate) said: Said,
    pub(crate) tracks: Vec<TrackState>,
}

/// What a stream's manifest says that its result depends on.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Said {
    pub(crate) kind: Option<crate::Kind>,
    pub(crate) title: Option<String>,
    pub(crate) audio_only: bool,
    pub(crate) has_picture: bool,
    pub(crate) tracks: Vec<SaidOfTrack>,
}

/// The same of one track.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct SaidOfTrack {
    pub(crate) kind: crate::mux::TrackKind,
    pub(crate) language: Option<String>,
    pub(crate) name: Option<String>,
    pub(crate) default: bool,
    pub(crate) forced: bool,
}

/// How far one track is.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct TrackState {
    /// On disk as far as this boot is concerned.
    pub(crate) written: Mark,
    /// On disk for good.
    pub(crate) synced: Mark,
    /// Where runs of segments with one initialisation section and one clock begin, in order; the first at 0.
    pub(crate) breaks: Vec<Break>,
    /// Segments that are not there.
    pub(crate) lost: Vec<Lost>,
}

/// A place in a track: so much of it is whole.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub(crate) struct Mark {
    /// Segments written or given up, from the first.
    pub(crate) segments: usize,
    /// Bytes they took.
    pub(crate) bytes: u64,
    /// How long they play by the manifest, the lost ones included.
    pub(crate) us: u64,
    /// Longest of them.
    pub(crate) longest_us: u64,
    /// Not all of them last whole seconds.
    pub(crate) fractions: bool,
    /// Media sequence number of the last; for streams that go on.
    pub(crate) sequence: Option<u64>,
    /// Which initialisation section was written last.
    pub(crate) map: Option<String>,
    /// What the server said of the last segment.
    #[serde(default)]
    pub(crate) seen: Seen,
}

/// What tells a segment from another one under the same address.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Seen {
    pub(crate) length: Option<u64>,
    pub(crate) etag: Option<String>,
    pub(crate) modified: Option<String>,
}

impl Seen {
    pub(crate) fn of(answer: &crate::net::Answer) -> Self {
        use reqwest::header;
        let text = |name| crate::answer::text(&answer.headers, name);
        let length = text(header::CONTENT_RANGE)
            .as_deref()
            .and_then(crate::answer::ContentRange::parse)
            .and_then(|range| range.total)
            .or_else(|| crate::answer::content_length(&answer.headers));
        Self { length, etag: text(header::ETAG), modified: text(header::LAST_MODIFIED) }
    }

    /// It is another one. The machines of one server may tell other tags of the same file, and other dates, but hardly both.
    pub(crate) fn differs(&self, now: &Self) -> bool {
        fn differ<T: PartialEq>(a: Option<&T>, b: Option<&T>) -> bool {
            a.zip(b).is_some_and(|(a, b)| a != b)
        }
        differ(self.length.as_ref(), now.length.as_ref())
            || (differ(self.etag.as_ref(), now.etag.as_ref())
                && differ(self.modified.as_ref(), now.modified.as_ref()))
    }
}

/// The beginning of a run of segments.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Break {
    /// Offset in the file.
    pub(crate) byte: u64,
    /// Place by the manifest.
    pub(crate) us: u64,
    /// See `weir_media::segment::Segment::shift_us`.
    pub(crate) shift_us: Option<i64>,
    /// The clock may have started anew.
    pub(crate) clock: bool,
}

/// A segment, or several in a row, that could not be had.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Lost {
    /// Place by the manifest.
    pub(crate) us: u64,
    /// How long it would have played.
    pub(crate) length_us: u64,
    /// How many segments.
    pub(crate) count: u64,
}

/// What yt-dlp is at work on, or was.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SiteState {
    /// Of the folder it works in.
    pub(crate) number: u32,
    /// What it fetches; another one means another download.
    pub(crate) fingerprint: String,
    /// It has ended, and by its own way out. Otherwise what is there may be wrong, and nothing would tell.
    pub(crate) resumable: bool,
    /// It went on without segments that could not be had.
    #[serde(default)]
    pub(crate) holes: bool,
    /// By the name of a file: how many segments yt-dlp says it has.
    #[serde(default)]
    pub(crate) segments: BTreeMap<String, u64>,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct FinishedState {
    pub(crate) filename: String,
    pub(crate) bytes: u64,
    pub(crate) sha256: String,
    pub(crate) kind: crate::Kind,
    pub(crate) quality: Option<String>,
    pub(crate) duration_ms: Option<u64>,
    #[serde(default)]
    pub(crate) lacks: Option<String>,
}

/// An open and locked journal.
#[derive(Debug)]
pub(crate) struct Journal {
    file: File,
    path: PathBuf,
    sequence: u64,
}

/// Why a journal could not be had.
#[derive(Debug)]
pub(crate) enum Unavailable {
    /// It exists already (when creating), or does not (when opening).
    Absent,
    /// Somebody else works with it.
    Busy,
    Io(io::Error),
}

impl Journal {
    /// Creates and locks a journal that did not exist: this is what reserves a name.
    pub(crate) fn create(path: &Path) -> Result<Self, Unavailable> {
        let file =
            OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(path).map_err(
                |error| {
                    if error.kind() == io::ErrorKind::AlreadyExists {
                        Unavailable::Absent
                    } else {
                        Unavailable::Io(error)
                    }
                },
            )?;
        lock(&file)?;
        Ok(Self { file, path: path.to_owned(), sequence: 0 })
    }

    /// Opens and locks an existing journal and reads its newest whole record, if it has one.
    pub(crate) fn open(path: &Path) -> Result<(Self, Option<Record>), Unavailable> {
        // A link could lead the writes of this process anywhere.
        let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
        if !is_file {
            return Err(Unavailable::Absent);
        }
        let file = OpenOptions::new().read(true).write(true).open(path).map_err(Unavailable::Io)?;
        lock(&file)?;
        // Whoever held the lock before may have finished and removed the file meanwhile.
        let (here, there) = (file.metadata().map_err(Unavailable::Io)?, std::fs::metadata(path));
        if !there.is_ok_and(|there| there.ino() == here.ino() && there.dev() == here.dev()) {
            return Err(Unavailable::Absent);
        }
        let (sequence, record) =
            newest(&file).map_or((0, None), |(sequence, record)| (sequence, Some(record)));
        Ok((Self { file, path: path.to_owned(), sequence }, record))
    }

    /// The newest whole record of a journal, whoever works with it: for looking, not for going on.
    pub(crate) fn peek(path: &Path) -> Option<Record> {
        let is_file = std::fs::symlink_metadata(path).is_ok_and(|metadata| metadata.is_file());
        let file = is_file.then(|| File::open(path).ok())??;
        newest(&file).map(|(_, record)| record)
    }

    /// Writes a record into the older slot. Durable against a crash of this process; against a crash of the machine
    /// only with `sync`.
    pub(crate) fn write(&mut self, record: &Record, sync: bool) -> io::Result<()> {
        let payload = serde_json::to_vec(record)?;
        if payload.len() > MAX_PAYLOAD {
            return Err(io::Error::other("the state of the download is too large"));
        }
        let sequence = self.sequence + 1;
        let mut slot = Vec::with_capacity(HEADER + payload.len());
        slot.extend_from_slice(MAGIC);
        slot.extend_from_slice(&sequence.to_le_bytes());
        slot.extend_from_slice(&(payload.len() as u32).to_le_bytes());
        let mut crc = crc32fast::Hasher::new();
        crc.update(&slot);
        crc.update(&payload);
        slot.extend_from_slice(&crc.finalize().to_le_bytes());
        slot.extend_from_slice(&payload);
        self.file.write_all_at(&slot, sequence % 2 * SLOT)?;
        self.sequence = sequence;
        if sync { self.file.sync_data() } else { Ok(()) }
    }

    /// Takes the journal away, and with it the lock.
    pub(crate) fn remove(self) -> io::Result<()> {
        std::fs::remove_file(&self.path)
    }
}

fn lock(file: &File) -> Result<(), Unavailable> {
    file.try_lock().map_err(|error| match error {
        TryLockError::WouldBlock => Unavailable::Busy,
        TryLockError::Error(error) => Unavailable::Io(error),
    })
}

fn newest(file: &File) -> Option<(u64, Record)> {
    [0, SLOT].into_iter().filter_map(|at| read_slot(file, at)).max_by_key(|(sequence, _)| *sequence)
}

fn read_slot(file: &File, at: u64) -> Option<(u64, Record)> {
    let mut header = [0_u8; HEADER];
    file.read_exact_at(&mut header, at).ok()?;
    let (stated, crc) = header.split_at(HEADER - 4);
    if &stated[..8] != MAGIC {
        return None;
    }
    let sequence = u64::from_le_bytes(stated[8..16].try_into().ok()?);
    let length = u32::from_le_bytes(stated[16..20].try_into().ok()?) as usize;
    // Checked before allocating: the number comes from a file that may hold anything.
    if length > MAX_PAYLOAD {
        return None;
    }
    let mut payload = vec![0_u8; length];
    file.read_exact_at(&mut payload, at + HEADER as u64).ok()?;
    let mut hasher = crc32fast::Hasher::new();
    hasher.update(stated);
    hasher.update(&payload);
    if hasher.finalize().to_le_bytes() != *crc {
        return None;
    }
    Some((sequence, serde_json::from_slice(&payload).ok()?))
}

/// Identifies this boot of the machine; empty where that cannot be known, which makes nothing but synced data sure.
pub(crate) fn boot_id() -> String {
    std::fs::read_to_string("/proc/sys/kernel/random/boot_id")
        .map(|id| id.trim().to_owned())
        .unwrap_or_default()
}

/// Whether data written in `boot` is still certain to be there now.
pub(crate) fn same_boot(boot: &str) -> bool {
    !boot.is_empty() && boot == boot_id()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(n: u64) -> Record {
        let state = FileState { total: Some(n), written: vec![(0, n)], ..FileState::default() };
        Record { key: "k".into(), boot: boot_id(), state: State::File(state) }
    }

    fn reopened(path: &Path) -> Option<Record> {
        Journal::open(path).unwrap().1
    }

    #[test]
    fn the_newest_whole_record_wins_and_torn_ones_are_skipped() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part.weir");
        let mut journal = Journal::create(&path).unwrap();
        for n in 1..=4 {
            journal.write(&record(n), n == 4).unwrap();
        }
        drop(journal);
        assert_eq!(reopened(&path), Some(record(4)));
        let whole = std::fs::read(&path).unwrap();
        // Record 4 is in slot 0: every cut or flipped byte in it falls back to record 3.
        for at in (0..HEADER + 100).step_by(7) {
            let mut torn = whole.clone();
            torn[at] ^= 0x55;
            std::fs::write(&path, &torn).unwrap();
            assert_eq!(reopened(&path), Some(record(3)), "byte {at}");
        }
        for garbage in [Vec::new(), vec![0; whole.len()], whole[..HEADER / 2].to_vec(), vec![0xFF; 300_000]] {
            std::fs::write(&path, &garbage).unwrap();
            assert_eq!(reopened(&path), None);
        }
    }

    #[test]
    fn a_claimed_length_is_not_allocated() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part.weir");
        let mut slot = MAGIC.to_vec();
        slot.extend_from_slice(&1_u64.to_le_bytes());
        slot.extend_from_slice(&u32::MAX.to_le_bytes());
        slot.extend_from_slice(&[0; 100]);
        std::fs::write(&path, slot).unwrap();
        assert_eq!(reopened(&path), None);
    }

    #[test]
    fn one_worker_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.part.weir");
        let journal = Journal::create(&path).unwrap();
        assert!(matches!(Journal::create(&path), Err(Unavailable::Absent)));
        assert!(matches!(Journal::open(&path), Err(Unavailable::Busy)));
        journal.remove().unwrap();
        assert!(matches!(Journal::open(&path), Err(Unavailable::Absent)));
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(matches!(Journal::open(&path), Err(Unavailable::Absent)));
    }
}
