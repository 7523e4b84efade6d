//! ffmpeg: tracks in, one MP4 out, nothing re-encoded.
//!
//! Owns finding the program, its arguments and its end. Never lets it reach the network or guess a format: what a
//! server sent could otherwise be a playlist that makes ffmpeg read other files. Invariant: no ffmpeg outlives its job.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;

use tokio::io::AsyncReadExt;
use tokio::process::Command;

use crate::EngineError;

/// How much of what ffmpeg says is kept.
const MAX_WORDS: u64 = 64 * 1024;
/// Bytes looked at to tell a container.
const SNIFFED: u64 = 1024;
const TS_PACKET: usize = 188;

/// The program to use.
pub(crate) fn find(configured: Option<&Path>) -> Result<PathBuf, EngineError> {
    if let Some(path) = configured {
        return if is_program(path) { Ok(path.to_owned()) } else { Err(EngineError::FfmpegMissing) };
    }
    let paths = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&paths)
        .filter(|folder| folder.is_absolute())
        .map(|folder| folder.join("ffmpeg"))
        .find(|path| is_program(path))
        .ok_or(EngineError::FfmpegMissing)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::metadata(path)
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// Containers a track can be in, by ffmpeg's names for reading them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Container {
    Ts,
    Mp4,
    Aac,
    Mp3,
    Ac3,
    Eac3,
}

impl Container {
    const fn demuxer(self) -> &'static str {
        match self {
            Self::Ts => "mpegts",
            Self::Mp4 => "mov",
            Self::Aac => "aac",
            Self::Mp3 => "mp3",
            Self::Ac3 => "ac3",
            Self::Eac3 => "eac3",
        }
    }

    /// Tells a container by its first bytes.
    pub(crate) fn sniff(start: &[u8]) -> Option<Self> {
        let start = after_id3(start);
        if start.first() == Some(&0x47) && start.get(TS_PACKET).is_none_or(|byte| *byte == 0x47) {
            return Some(Self::Ts);
        }
        match start {
            [_, _, _, _, b'f', b't', b'y', b'p', ..]
            | [_, _, _, _, b's', b't', b'y', b'p', ..]
            | [_, _, _, _, b'm', b'o', b'o', b'v', ..]
            | [_, _, _, _, b'm', b'o', b'o', b'f', ..]
            | [_, _, _, _, b's', b'i', b'd', b'x', ..] => Some(Self::Mp4),
            // ADTS: twelve bits of sync, layer 0.
            [0xFF, second, ..] if second & 0xF6 == 0xF0 => Some(Self::Aac),
            [0xFF, second, ..] if second & 0xE0 == 0xE0 => Some(Self::Mp3),
            // Bit stream identification above 10 is Enhanced AC-3 (ETSI TS 102 366 annex E).
            [0x0B, 0x77, _, _, _, fifth, ..] => Some(if fifth >> 3 > 10 { Self::Eac3 } else { Self::Ac3 }),
            _ => None,
        }
    }
}

/// Packed audio begins with an ID3 tag that carries its timestamp (RFC 8216 section 3.4).
fn after_id3(start: &[u8]) -> &[u8] {
    match start {
        [b'I', b'D', b'3', _, _, _, a, b, c, d, ..] => {
            let size = [a, b, c, d].iter().fold(0_usize, |size, byte| size << 7 | usize::from(**byte & 0x7F));
            start.get(10 + size..).unwrap_or_default()
        }
        _ => start,
    }
}

/// Reads the container of a file.
pub(crate) fn container_of(path: &Path) -> Result<Container, EngineError> {
    let mut start = Vec::new();
    let read = std::fs::File::open(path).and_then(|file| file.take(SNIFFED).read_to_end(&mut start));
    read.map_err(EngineError::disk)?;
    Container::sniff(&start).ok_or_else(|| EngineError::UnsupportedMedia {
        reason: "its segments are no known kind of video or sound".to_owned(),
    })
}

/// What to put together.
#[derive(Debug)]
pub(crate) struct Plan<'a> {
    pub(crate) program: &'a Path,
    /// Picture, usually with its sound.
    pub(crate) main: &'a Path,
    /// Sound of its own, which then replaces that of `main`.
    pub(crate) audio: Option<&'a Path>,
    pub(crate) output: &'a Path,
    pub(crate) title: Option<&'a str>,
    /// Timestamps may start anew in the middle.
    pub(crate) discontinuous: bool,
    /// `main` is sound and nothing else is wanted of it.
    pub(crate) audio_only: bool,
}

/// Runs ffmpeg. Dropping the future kills it.
pub(crate) async fn run(plan: &Plan<'_>) -> Result<(), EngineError> {
    let mut command = Command::new(plan.program);
    command
        .args(arguments(plan)?)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn().map_err(|error| match error.kind() {
        std::io::ErrorKind::NotFound | std::io::ErrorKind::PermissionDenied => EngineError::FfmpegMissing,
        _ => EngineError::MuxFailed { reason: error.to_string() },
    })?;
    let mut words = Vec::new();
    if let Some(stderr) = child.stderr.take() {
        let mut stderr = stderr;
        let _ = (&mut stderr).take(MAX_WORDS).read_to_end(&mut words).await;
        // A full pipe would stop it.
        let _ = tokio::io::copy(&mut stderr, &mut tokio::io::sink()).await;
    }
    let status = child.wait().await.map_err(|error| EngineError::MuxFailed { reason: error.to_string() })?;
    if status.success() {
        return Ok(());
    }
    let words = String::from_utf8_lossy(&words);
    if words.contains("No space left on device") {
        return Err(EngineError::DiskFull);
    }
    let last = words.lines().rev().map(str::trim).find(|line| !line.is_empty()).unwrap_or("it said nothing");
    // Paths are nobody's business in a message.
    let folder = plan.output.parent().map(|folder| folder.to_string_lossy().into_owned()).unwrap_or_default();
    Err(EngineError::MuxFailed { reason: last.replace(&folder, "…").chars().take(300).collect() })
}

fn arguments(plan: &Plan<'_>) -> Result<Vec<std::ffi::OsString>, EngineError> {
    let mut out: Vec<std::ffi::OsString> =
        ["-hide_banner", "-nostdin", "-loglevel", "error", "-y"].map(Into::into).into();
    let containers: Vec<Container> =
        std::iter::once(plan.main).chain(plan.audio).map(container_of).collect::<Result<_, _>>()?;
    let file = |path: &Path| {
        // With its protocol in front no name is taken for an option or another protocol.
        let mut name = std::ffi::OsString::from("file:");
        name.push(path);
        name
    };
    let shifts = containers.iter().all(|container| matches!(container, Container::Ts | Container::Mp4));
    // Two inputs share one clock: kept as it is, and moved to zero together in the end. One input with restarts needs
    // ffmpeg's own correction, which works only without.
    if plan.audio.is_some() && shifts && !plan.discontinuous {
        out.push("-copyts".into());
    } else if plan.discontinuous {
        out.extend(["-dts_delta_threshold", "1"].map(Into::into));
    }
    for (path, container) in std::iter::once(plan.main).chain(plan.audio).zip(&containers) {
        out.extend(["-protocol_whitelist", "file", "-f", container.demuxer(), "-i"].map(Into::into));
        out.push(file(path));
    }
    match (plan.audio, plan.audio_only) {
        (_, true) => out.extend(["-map", "0:a:0"].map(Into::into)),
        (Some(_), _) => out.extend(["-map", "0:v:0?", "-map", "1:a:0"].map(Into::into)),
        (None, _) => out.extend(["-map", "0:v:0?", "-map", "0:a:0?"].map(Into::into)),
    }
    out.extend(
        ["-c", "copy", "-dn", "-sn", "-map_metadata", "-1", "-avoid_negative_ts", "make_zero"]
            .map(Into::into),
    );
    if let Some(title) = plan.title {
        out.push("-metadata".into());
        out.push(format!("title={}", title.replace('\0', "")).into());
    }
    out.extend(["-movflags", "+faststart", "-f", "mp4"].map(Into::into));
    out.push(file(plan.output));
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn containers_are_told_by_their_first_bytes() {
        let mut ts = vec![0; 400];
        (ts[0], ts[188], ts[376]) = (0x47, 0x47, 0x47);
        for (start, container) in [
            (ts, Some(Container::Ts)),
            (b"\0\0\0\x18ftypmp42".to_vec(), Some(Container::Mp4)),
            (b"\0\0\0\x18stypmsdh".to_vec(), Some(Container::Mp4)),
            (vec![0xFF, 0xF1, 0x50, 0x80], Some(Container::Aac)),
            (vec![0xFF, 0xFB, 0x90, 0x00], Some(Container::Mp3)),
            (vec![0x0B, 0x77, 0, 0, 0, 8 << 3], Some(Container::Ac3)),
            (vec![0x0B, 0x77, 0, 0, 0, 16 << 3], Some(Container::Eac3)),
            ([b"ID3\x04\0\0\0\0\0\x02xx".to_vec(), vec![0xFF, 0xF1]].concat(), Some(Container::Aac)),
            (b"#EXTM3U\n".to_vec(), None),
            (b"ffconcat version 1.0".to_vec(), None),
            (b"<html>".to_vec(), None),
            (Vec::new(), None),
        ] {
            assert_eq!(Container::sniff(&start), container, "{start:?}");
        }
    }

    #[test]
    fn a_missing_program_is_a_fact() {
        assert!(matches!(find(Some(Path::new("/nowhere/ffmpeg"))), Err(EngineError::FfmpegMissing)));
        assert!(matches!(find(Some(Path::new("/etc/passwd"))), Err(EngineError::FfmpegMissing)));
    }
}
