//! From what yt-dlp left in its folder to the finished file.
//!
//! Owns the checks that can be made without asking anybody: size, kind, length. Never takes a path from yt-dlp beyond a name
//! in its own folder. Invariant: a page, an empty file or a film that ends early does not become the finished file.

use std::fs::File;
use std::io::{self, Read as _, Seek as _, SeekFrom};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tokio::process::Command;
use weir_media::filename;

use super::failure::failed;
use super::info::is_extension;
use crate::digest::{self, Expected, Stated};
use crate::journal::{FinishedState, State};
use crate::part::{self, Part};
use crate::{EngineError, Finished, Kind, mp4};

/// What the files in the folder are called, up to their extensions.
pub(super) const STEM: &str = "media";
/// Extensions of subtitles that may lie beside the film.
const SUBTITLES: &[&str] = &["vtt", "srt", "ass", "ttml", "lrc", "sbv"];
/// How much shorter than announced a film may be: sites round, and count what their players add.
const SHORTER: f64 = 0.05;
const SHORTER_S: f64 = 3.0;

/// What yt-dlp made.
pub(super) struct Made {
    pub(super) file: PathBuf,
    /// Where it and its subtitles are.
    pub(super) folder: PathBuf,
    pub(super) quality: Option<String>,
    /// By the page.
    pub(super) duration: Option<Duration>,
    /// It was wished for with what can be had of it.
    pub(super) holes: bool,
    /// What it lacks, in words.
    pub(super) lacks: Option<String>,
}

/// The file yt-dlp names, if it is one in its folder.
pub(super) fn inside(folder: &Path, named: &str) -> Result<PathBuf, EngineError> {
    let name = Path::new(named).file_name().unwrap_or_default();
    let path = folder.join(name);
    let is_file = std::fs::symlink_metadata(&path).is_ok_and(|there| there.is_file());
    if name.to_string_lossy().starts_with(STEM) && is_file {
        return Ok(path);
    }
    Err(failed("it named a file that is not there".to_owned(), false))
}

/// Checks, hashes, syncs and renames. Blocks.
pub(super) fn conclude(
    part: Part,
    made: &Made,
    live: bool,
    wanted: Option<&Expected>,
) -> Result<Finished, EngineError> {
    let Verified { bytes, sha256, short } = match verify(made, live, wanted) {
        Ok(verified) => verified,
        // The same bytes would be refused again.
        Err(error @ (EngineError::FolderUnwritable(_) | EngineError::DiskFull)) => return Err(error),
        Err(error) => {
            part.abandon();
            return Err(error);
        }
    };
    // How much is missing says more than how much shorter that made it.
    let lacks = made.lacks.clone().or(short);
    let extension = made.file.extension().and_then(|own| own.to_str()).filter(|own| is_extension(own));
    let name = match extension {
        Some(extension) => renamed(&part.names.filename, extension),
        None => part.names.filename.clone(),
    };
    let name = if lacks.is_some() { called_partial(&name) } else { name };
    lay_subtitles(&part, made, &name);
    // Where a job that finds this half done looks.
    let working = part.names.result();
    std::fs::rename(&made.file, &working).map_err(EngineError::disk)?;
    let state = |filename: &str| {
        State::Finished(FinishedState {
            filename: filename.to_owned(),
            bytes,
            sha256: digest::hex(&sha256),
            kind: Kind::Site,
            quality: made.quality.clone(),
            duration_ms: made.duration.map(|duration| duration.as_millis() as u64),
            lacks: lacks.clone(),
        })
    };
    let journal = part.names.journal();
    let path = part.finish_as(&working, &name, state)?;
    let filename = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    Ok(Finished {
        path,
        filename,
        kind: Kind::Site,
        bytes,
        sha256,
        quality: made.quality.clone(),
        duration: made.duration,
        unmet: Vec::new(),
        lacks,
        journal: Some(journal),
    })
}

/// A name with the extension its content turned out to have.
fn renamed(name: &str, extension: &str) -> String {
    match name.rsplit_once('.') {
        Some((_, own)) if own == extension => name.to_owned(),
        // The guess was ours, so it goes.
        Some((stem, own)) if is_extension(own) && !stem.is_empty() => {
            filename::with_extension(&format!("{stem}.mp4"), extension)
        }
        _ => filename::with_extension(name, extension),
    }
}

/// A name that says that something is missing.
fn called_partial(name: &str) -> String {
    let (stem, extension) = match name.rsplit_once('.') {
        Some((stem, own)) if is_extension(own) && !stem.is_empty() => (stem, own),
        _ => return filename::safe(&format!("{name} (partial)")),
    };
    filename::with_extension(&filename::safe(&format!("{stem} (partial)")), extension)
}

/// A result that is what was promised, and on the disk for good.
struct Verified {
    bytes: u64,
    sha256: [u8; 32],
    /// How much shorter than promised it is, in words, where that was not refused.
    short: Option<String>,
}

fn verify(made: &Made, live: bool, wanted: Option<&Expected>) -> Result<Verified, EngineError> {
    let mut file = File::open(&made.file).map_err(EngineError::disk)?;
    let mut start = Vec::new();
    (&mut file).take(512).read_to_end(&mut start).map_err(EngineError::disk)?;
    if start.is_empty() {
        return Err(EngineError::broken("the page's file is empty"));
    }
    let text = String::from_utf8_lossy(&start).trim_start().to_ascii_lowercase();
    if ["<!doctype html", "<html", "#extm3u"].iter().any(|sign| text.starts_with(sign)) {
        return Err(EngineError::broken("the server sent a web page instead of the file"));
    }
    let mut short = None;
    if start.get(4..8) == Some(b"ftyp") {
        short = match check_length(&mut file, made.duration.filter(|_| !live)) {
            Err(EngineError::DurationMismatch { expected_s, actual_s, .. }) if made.holes => {
                Some(format!("it lasts {actual_s:.1} s, the page says {expected_s:.1} s"))
            }
            checked => checked.map(|()| None)?,
        };
    }
    file.seek(SeekFrom::Start(0)).map_err(EngineError::disk)?;
    let algorithm = wanted.map(|wanted| wanted.algorithm);
    let (bytes, digests) = digest::of_file(&mut file, algorithm).map_err(EngineError::disk)?;
    digests.check(&Stated::default(), wanted)?;
    file.sync_all().map_err(EngineError::disk)?;
    Ok(Verified { bytes, sha256: digests.sha256, short })
}

/// A film must have tracks, and must not end early.
fn check_length(file: &mut File, expected: Option<Duration>) -> Result<(), EngineError> {
    let unreadable =
        |error: io::Error| EngineError::MuxFailed { reason: format!("the result cannot be read: {error}") };
    let tracks = mp4::tracks(file).map_err(unreadable)?;
    let longest = tracks.iter().map(|track| track.duration).max().unwrap_or_default().as_secs_f64();
    // The index of a fragmented file says nothing about its length.
    let Some(expected) = expected.map(|length| length.as_secs_f64()).filter(|_| longest > 0.0) else {
        return Ok(());
    };
    if longest + (expected * SHORTER).max(SHORTER_S) < expected {
        return Err(EngineError::DurationMismatch { expected_s: expected, actual_s: longest, segment: None });
    }
    Ok(())
}

/// Puts the subtitles that yt-dlp left beside the film, as `NAME.LANGUAGE.vtt`. One that cannot be is no reason to lose the
/// film.
fn lay_subtitles(part: &Part, made: &Made, name: &str) {
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    for entry in std::fs::read_dir(&made.folder).into_iter().flatten().flatten() {
        let file = entry.file_name().to_string_lossy().into_owned();
        // `media.de.vtt`
        let Some((language, extension)) = file
            .strip_prefix(STEM)
            .and_then(|rest| rest.strip_prefix('.'))
            .and_then(|rest| rest.rsplit_once('.'))
        else {
            continue;
        };
        let plain = language.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        if !plain || !SUBTITLES.contains(&extension) {
            continue;
        }
        let wanted = format!("{stem}.{language}.{extension}");
        let moved = part::under_free_name(&part.names.directory, &wanted, |target| {
            part::rename_without_replacing(&entry.path(), target)
        });
        if let Err(error) = moved {
            tracing::warn!(%error, "subtitles could not be put beside the film");
        }
    }
}

/// What there is of a live stream, as one file. Dropping the future ends ffmpeg.
pub(super) async fn of_recording(ffmpeg: &Path, folder: &Path) -> Result<PathBuf, EngineError> {
    let mut tracks: Vec<(u64, PathBuf)> = std::fs::read_dir(folder)
        .map_err(EngineError::disk)?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().to_string_lossy().into_owned();
            let metadata = entry.metadata().ok()?;
            let of_media = name.starts_with(STEM) && !name.contains("-Frag") && !name.ends_with(".ytdl");
            (of_media && metadata.is_file() && metadata.len() > 0).then(|| (metadata.len(), entry.path()))
        })
        .collect();
    // A picture is larger than its sound.
    tracks.sort_by(|a, b| b.cmp(a));
    tracks.truncate(2);
    if tracks.is_empty() {
        return Err(EngineError::NothingRecorded);
    }
    let mut last = EngineError::NothingRecorded;
    for (extension, format) in [("mp4", "mp4"), ("mkv", "matroska")] {
        let output = folder.join(format!("{STEM}-recorded.{extension}"));
        let mut command = Command::new(ffmpeg);
        command.args(["-hide_banner", "-nostdin", "-loglevel", "error", "-y"]);
        let named = |path: &Path| {
            // With its protocol in front no name is taken for an option or another protocol.
            let mut name = std::ffi::OsString::from("file:");
            name.push(path);
            name
        };
        for (_, path) in &tracks {
            command.args(["-protocol_whitelist", "file", "-i"]).arg(named(path));
        }
        for number in 0..tracks.len() {
            command.args(["-map", &number.to_string()]);
        }
        command.args(["-c", "copy", "-dn", "-f", format]);
        if format == "mp4" {
            command.args(["-movflags", "+faststart"]);
        }
        command.arg(named(&output));
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
        let status = command.status().await;
        match status {
            Ok(status) if status.success() => return Ok(output),
            Ok(_) => {
                last =
                    EngineError::MuxFailed { reason: "what was recorded cannot be put together".to_owned() }
            }
            Err(_) => return Err(EngineError::FfmpegMissing),
        }
    }
    Err(last)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_name_in_the_folder_is_taken() {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("media.mp4"), b"x").unwrap();
        std::fs::write(dir.path().join("other.mp4"), b"x").unwrap();
        std::os::unix::fs::symlink("/etc/passwd", dir.path().join("media.link")).unwrap();
        let ok = |named: &str| inside(dir.path(), named).is_ok();
        assert!(ok("media.mp4") && ok("/elsewhere/media.mp4"));
        for named in ["", "/", "..", "other.mp4", "media.link", "media.webm", "/etc/passwd"] {
            assert!(!ok(named), "{named}");
        }
    }

    #[test]
    fn a_name_gets_the_extension_its_content_has() {
        for (name, extension, want) in [
            ("Talk.mp4", "mp4", "Talk.mp4"),
            ("Talk.mp4", "mkv", "Talk.mkv"),
            ("Talk.opus", "m4a", "Talk.m4a"),
            ("Talk v1.5.webm", "mp4", "Talk v1.5.mp4"),
            ("Talk", "mp4", "Talk.mp4"),
        ] {
            assert_eq!(renamed(name, extension), want);
        }
    }

    #[test]
    fn what_lacks_something_is_called_so() {
        assert_eq!(called_partial("Talk.mp4"), "Talk (partial).mp4");
        assert_eq!(called_partial("Talk v1.5.webm"), "Talk v1.5 (partial).webm");
        assert_eq!(called_partial("Talk"), "Talk (partial)");
    }

    #[test]
    fn pages_and_nothing_are_no_result() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("media.mp4");
        let mut made = Made {
            file: file.clone(),
            folder: dir.path().to_owned(),
            quality: None,
            duration: None,
            holes: false,
            lacks: None,
        };
        for (bytes, whole) in [
            (&b""[..], false),
            (b" <!DOCTYPE html><p>", false),
            (b"#EXTM3U\n", false),
            (b"\0\0\0\x18ftypisom\0\0\0\0", false),
            (b"\x1a\x45\xdf\xa3 webm", true),
        ] {
            std::fs::write(&file, bytes).unwrap();
            assert_eq!(verify(&made, false, None).is_ok(), whole, "{bytes:?}");
        }
        made.file = dir.path().join("gone");
        assert!(matches!(verify(&made, false, None), Err(EngineError::FolderUnwritable(_))));
    }
}
