//! `GET /download/{id}/file`: the file, finished or still growing, as an attachment; with `Range`, but for streams that
//! still grow.
//!
//! Never reads beyond what has arrived without a hole. Invariant: an answer that cannot be completed breaks off, short of
//! its `Content-Length` or of its last chunk, so no client takes a part for the whole.

use std::io;
use std::time::Duration;

use axum::body::{Body, Bytes};
use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    ACCEPT_RANGES, CONTENT_DISPOSITION, CONTENT_LENGTH, CONTENT_RANGE, CONTENT_TYPE, HeaderValue, RANGE,
};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use tokio::io::{AsyncReadExt as _, AsyncSeekExt as _};
use tower::ServiceExt as _;
use tower_http::services::ServeFile;
use weir_engine::Phase;
use weir_protocol::{Action, code};

use super::Shared;
use super::downloads::finished;
use super::error::ApiError;
use super::input::Id;
use crate::queue::Growing;

/// Read and sent at once.
const PIECE: u64 = 64 * 1024;

/// How often a reader that has caught up looks for more.
const LOOK: Duration = Duration::from_millis(100);

pub(super) async fn file(State(door): Shared, Id(id): Id, request: Request) -> Result<Response, ApiError> {
    let (mut response, filename) = match door.queue.growing(id).await? {
        Some(growing) => match growing.total {
            Some(total) => {
                let filename = growing.filename.clone();
                let range = request.headers().get(RANGE).and_then(|value| value.to_str().ok());
                (serve_growing(growing, total, range).await?, filename)
            }
            None => serve_stream(growing).await?,
        },
        None => {
            let download = finished(&door, id).await?;
            let Ok(served) = ServeFile::new(&download.path).oneshot(request).await;
            (served.map(Body::new), download.filename)
        }
    };
    if let Ok(value) = HeaderValue::try_from(attachment(&filename)) {
        response.headers_mut().insert(CONTENT_DISPOSITION, value);
    }
    Ok(response)
}

async fn serve_growing(growing: Growing, total: u64, range: Option<&str>) -> Result<Response, ApiError> {
    let epoch = growing.epoch;
    // Opened once: the rename at the end moves the name, not the bytes.
    let mut file = tokio::fs::File::open(&growing.path).await.map_err(|error| ApiError::internal(&error))?;
    let (status, start, end) = match range.and_then(|range| single_range(range, total)) {
        Some((start, end)) if start < end => (StatusCode::PARTIAL_CONTENT, start, end),
        Some(_) => {
            let unsatisfied = [(CONTENT_RANGE, format!("bytes */{total}"))];
            return Ok((StatusCode::RANGE_NOT_SATISFIABLE, unsatisfied).into_response());
        }
        None => (StatusCode::OK, 0, total),
    };
    file.seek(io::SeekFrom::Start(start)).await.map_err(|error| ApiError::internal(&error))?;
    let body =
        Body::from_stream(stream::try_unfold(Reading { growing, file, at: start, epoch }, move |reading| {
            piece(reading, Some(end))
        }));
    let mut response = (status, [(CONTENT_LENGTH, (end - start).to_string())], body).into_response();
    response.headers_mut().insert(ACCEPT_RANGES, HeaderValue::from_static("bytes"));
    if status == StatusCode::PARTIAL_CONTENT
        && let Ok(value) = HeaderValue::try_from(format!("bytes {start}-{}/{total}", end - 1))
    {
        response.headers_mut().insert(CONTENT_RANGE, value);
    }
    Ok(response)
}

/// The first track of a stream as it comes, for a player to watch while it downloads: no size, no ranges, and the name
/// of what it is before it is put together.
async fn serve_stream(growing: Growing) -> Result<(Response, String), ApiError> {
    let not_yet = || {
        let text = "Nothing of the stream can be played yet.";
        ApiError::new(StatusCode::CONFLICT, code::ILLEGAL_TRANSITION, text, Some(Action::Retry))
    };
    // The file is there once something is in it.
    while growing.monitor.snapshot().in_order < HEAD as u64 {
        if growing.ended.is_cancelled() || growing.monitor.snapshot().phase != Phase::Downloading {
            return Err(not_yet());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = growing.ended.cancelled() => {}
        }
    }
    let mut file = tokio::fs::File::open(&growing.path).await.map_err(|_| not_yet())?;
    let mut head = [0; HEAD];
    file.read_exact(&mut head).await.map_err(|_| not_yet())?;
    file.seek(io::SeekFrom::Start(0)).await.map_err(|error| ApiError::internal(&error))?;
    let (media_type, extension) = container(head);
    let filename = weir_media::filename::with_extension(&growing.filename, extension);
    let epoch = growing.epoch;
    let body = Body::from_stream(stream::try_unfold(Reading { growing, file, at: 0, epoch }, |reading| {
        piece(reading, None)
    }));
    let headers = [(CONTENT_TYPE, media_type), (ACCEPT_RANGES, "none")];
    Ok(((headers, body).into_response(), filename))
}

/// Bytes that tell what a track is.
const HEAD: usize = 8;

/// Type and extension by the first bytes: boxes (ISO/IEC 14496-12 section 4.2), packets of 188 bytes (ISO/IEC 13818-1
/// section 2.4.3.2), or what is left, packed audio.
fn container(head: [u8; HEAD]) -> (&'static str, &'static str) {
    const BOXES: [&[u8]; 5] = [b"ftyp", b"styp", b"moov", b"moof", b"sidx"];
    match head {
        [_, _, _, _, name @ ..] if BOXES.contains(&name.as_slice()) => ("video/mp4", "mp4"),
        [0x47, ..] => ("video/mp2t", "ts"),
        [0x1A, 0x45, 0xDF, 0xA3, ..] => ("video/webm", "webm"),
        _ => ("application/octet-stream", "bin"),
    }
}

struct Reading {
    growing: Growing,
    file: tokio::fs::File,
    /// The next byte to send.
    at: u64,
    /// Which beginning of the file is being read; another one has other bytes.
    epoch: u32,
}

/// The next piece, once it has arrived. Without `end` the last one is that after which all has been fetched.
async fn piece(mut reading: Reading, end: Option<u64>) -> io::Result<Option<(Bytes, Reading)>> {
    if end.is_some_and(|end| reading.at >= end) {
        return Ok(None);
    }
    let available = loop {
        // Asked before the figure: what landed last is then seen in it.
        let ended = reading.growing.ended.is_cancelled();
        let snapshot = reading.growing.monitor.snapshot();
        let in_order = snapshot.in_order;
        if snapshot.epoch != reading.epoch {
            return Err(broken_off());
        }
        if in_order > reading.at {
            break in_order.min(end.unwrap_or(u64::MAX)) - reading.at;
        }
        if end.is_none() && snapshot.phase == Phase::Finishing {
            return Ok(None);
        }
        if ended {
            return Err(broken_off());
        }
        tokio::select! {
            () = tokio::time::sleep(LOOK) => {}
            () = reading.growing.ended.cancelled() => {}
        }
    };
    let mut buffer = vec![0; usize::try_from(available.min(PIECE)).unwrap_or_default()];
    reading.file.read_exact(&mut buffer).await?;
    // What was read may have been written over meanwhile.
    if reading.growing.monitor.snapshot().epoch != reading.epoch {
        return Err(broken_off());
    }
    reading.at += buffer.len() as u64;
    Ok(Some((Bytes::from(buffer), reading)))
}

fn broken_off() -> io::Error {
    io::Error::new(io::ErrorKind::UnexpectedEof, "the download did not go on")
}

/// The one range of `bytes=A-B`, `bytes=A-` or `bytes=-N` as `[start, end)`, empty when it cannot be satisfied. None for
/// anything else, which RFC 9110 section 14.2 allows to answer with the whole.
fn single_range(header: &str, total: u64) -> Option<(u64, u64)> {
    let (first, last) = header.trim().strip_prefix("bytes=")?.split_once('-')?;
    if first.is_empty() {
        let count: u64 = last.parse().ok()?;
        return Some((total.saturating_sub(count), total));
    }
    let start: u64 = first.parse().ok()?;
    let end = if last.is_empty() { total } else { last.parse::<u64>().ok()?.checked_add(1)?.min(total) };
    Some((start, end))
}

/// RFC 6266, with the name in RFC 5987 form only: every browser of the last decade reads it.
fn attachment(name: &str) -> String {
    use std::fmt::Write as _;
    let mut value = String::from("attachment; filename*=UTF-8''");
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) {
            value.push(char::from(byte));
        } else {
            let _ = write!(value, "%{byte:02X}");
        }
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attachments_carry_any_name() {
        assert_eq!(attachment("a\"b é.mp4"), "attachment; filename*=UTF-8''a%22b%20%C3%A9.mp4");
    }

    #[test]
    fn a_track_is_known_by_its_first_bytes() {
        for (head, media_type) in [
            (*b"\x00\x00\x00\x18ftyp", "video/mp4"),
            (*b"\x00\x00\x00\x18styp", "video/mp4"),
            (*b"\x00\x00\x00\x18moof", "video/mp4"),
            (*b"\x00\x00\x00\x18sidx", "video/mp4"),
            (*b"G@\x11\x10\x00B\xf0%", "video/mp2t"),
            (*b"\x1a\x45\xdf\xa3\x01\x00\x00\x00", "video/webm"),
            (*b"ID3\x04\x00\x00\x00\x00", "application/octet-stream"),
        ] {
            assert_eq!(container(head).0, media_type, "{head:?}");
        }
    }

    #[test]
    fn ranges_are_read_as_the_standard_says() {
        assert_eq!(single_range("bytes=0-9", 100), Some((0, 10)));
        assert_eq!(single_range("bytes=90-", 100), Some((90, 100)));
        assert_eq!(single_range("bytes=-10", 100), Some((90, 100)));
        assert_eq!(single_range("bytes=-1000", 100), Some((0, 100)));
        assert_eq!(single_range("bytes=50-1000", 100), Some((50, 100)));
        assert!(single_range("bytes=100-", 100).is_some_and(|(start, end)| start >= end));
        for other in ["bytes=0-1,5-6", "lines=0-1", "bytes=a-b", "bytes=5", ""] {
            assert_eq!(single_range(other, 100), None, "{other}");
        }
    }
}
