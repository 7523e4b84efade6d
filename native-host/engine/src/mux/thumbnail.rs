//! A picture of a stream, for people to recognise it by.
//!
//! Owns its one temporary file. Never waits or writes more than a card in a list is worth. Invariant: what was made is a
//! JPEG of bounded size, and nothing is left behind.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::container::Container;
use super::ffmpeg;
use super::source::unsupported;
use tokio::io::AsyncWriteExt as _;

use crate::EngineError;

/// Most bytes of a stream that are looked at.
pub(crate) const MAX_INPUT: usize = 8 * 1024 * 1024;
/// Largest picture.
const MAX_JPEG: u64 = 256 * 1024;
/// Longest time it may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// The first picture of a stream as a JPEG at most 320 pixels wide. `media` is its initialisation section, if it has one,
/// and its first segment, both decrypted; what is beyond [`MAX_INPUT`] is not looked at. `folder` is private to the caller.
///
/// # Errors
/// [`EngineError::UnsupportedMedia`] without a picture in it, [`EngineError::MuxFailed`] when ffmpeg cannot decode it or
/// takes too long, [`EngineError::FfmpegMissing`].
pub(crate) async fn thumbnail(program: &Path, media: &[u8], folder: &Path) -> Result<Vec<u8>, EngineError> {
    let media = &media[..media.len().min(MAX_INPUT)];
    let container = Container::sniff(media).filter(|container| container.packed().is_none());
    let container = container.ok_or_else(|| unsupported("its first segment holds no picture"))?;
    let file = Temporary::write(folder, media).await?;
    let mut arguments: Vec<OsString> =
        ["-protocol_whitelist", "file", "-threads", "1", "-f", container.demuxer(), "-i"]
            .map(Into::into)
            .into();
    arguments.push(ffmpeg::file(&file.0));
    let picture = [
        "-map",
        "0:v:0",
        "-an",
        "-sn",
        "-dn",
        "-frames:v",
        "1",
        "-vf",
        "scale=w='min(320,iw)':h=-2,format=yuvj420p",
        "-q:v",
        "5",
        "-threads",
        "1",
        "-c:v",
        "mjpeg",
        "-f",
        "image2pipe",
        "pipe:1",
    ];
    arguments.extend(picture.map(Into::into));
    let made =
        tokio::time::timeout(PATIENCE, ffmpeg::read_bytes(program, &arguments, folder, MAX_JPEG)).await;
    let jpeg =
        made.map_err(|_| EngineError::MuxFailed { reason: "a picture took too long".to_owned() })??;
    let whole = jpeg.starts_with(&[0xFF, 0xD8]) && jpeg.ends_with(&[0xFF, 0xD9]);
    if whole { Ok(jpeg) } else { Err(unsupported("its first segment holds no picture")) }
}

/// A file that goes when it is no longer needed, also when nobody waits any more.
struct Temporary(PathBuf);

impl Temporary {
    async fn write(folder: &Path, bytes: &[u8]) -> Result<Self, EngineError> {
        let mut number = [0; 8];
        getrandom::fill(&mut number).map_err(|error| EngineError::Internal(error.to_string()))?;
        let file = Self(folder.join(format!("picture-{:016x}", u64::from_ne_bytes(number))));
        let mut options = tokio::fs::OpenOptions::new();
        let mut open = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(&file.0)
            .await
            .map_err(EngineError::disk)?;
        open.write_all(bytes).await.map_err(EngineError::disk)?;
        open.flush().await.map_err(EngineError::disk)?;
        Ok(file)
    }
}

impl Drop for Temporary {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::ffmpeg;
    use super::*;

    #[tokio::test]
    async fn the_first_picture_of_a_segment() {
        let dir = tempfile::tempdir().unwrap();
        ffmpeg(
            dir.path(),
            "-f lavfi -i testsrc2=size=640x360:rate=25 -t 1 -c:v libx264 -preset ultrafast a.ts",
        );
        ffmpeg(dir.path(), "-f lavfi -i sine -t 1 -c:a aac sound.ts");
        let program = super::super::find(None).unwrap();
        let empty = tempfile::tempdir().unwrap();
        let media = std::fs::read(dir.path().join("a.ts")).unwrap();
        let jpeg = thumbnail(&program, &media, empty.path()).await.unwrap();
        std::fs::write(dir.path().join("a.jpg"), &jpeg).unwrap();
        ffmpeg(dir.path(), "-i a.jpg -f rawvideo -pix_fmt gray a.gray");
        assert_eq!(std::fs::metadata(dir.path().join("a.gray")).unwrap().len(), 320 * 180);
        for media in [std::fs::read(dir.path().join("sound.ts")).unwrap(), b"#EXTM3U\n".to_vec(), Vec::new()]
        {
            let error = thumbnail(&program, &media, empty.path()).await.unwrap_err();
            assert!(
                matches!(error, EngineError::UnsupportedMedia { .. } | EngineError::MuxFailed { .. }),
                "{error}"
            );
        }
        assert_eq!(std::fs::read_dir(empty.path()).unwrap().count(), 0);
    }
}
