//! What servers send with a status of success instead of a segment.
//!
//! Looks at the first bytes only. Invariant: nothing is refused that might be picture, sound or text.

use super::super::disguise::is_picture;
use super::super::plan::Request;
use super::{Lane, Miss};
use crate::net::Answer;
use crate::{answer, mux};

/// Error and login pages come with status 200 from many servers.
pub(super) async fn refuse_page(answer: &mut Answer, request: &Request) -> Result<(), Miss> {
    let declared = answer::content_type(&answer.headers)
        .is_some_and(|kind| kind == "text/html" || kind == "application/xhtml+xml");
    // Behind a cipher nothing can be seen from outside, and segments are served under any type.
    if request.key.is_some() && !declared {
        return Ok(());
    }
    let start = answer.peek().await?;
    let start = String::from_utf8_lossy(&start[..start.len().min(512)]).trim_start().to_ascii_lowercase();
    if start.starts_with("<!doctype") || start.starts_with("<html") {
        return Err(Miss::Absent {
            reason: "the server sent a web page".to_owned(),
            status: Some(answer.status),
        });
    }
    Ok(())
}

/// Whatever else a server sends with status 200 instead of a segment: a message of its own, most likely.
pub(super) async fn refuse_foreign(answer: &mut Answer, lane: &Lane) -> Result<(), Miss> {
    let status = Some(answer.status);
    let start = match answer.peek().await {
        Ok(start) => start,
        Err(error) => return Err(error.into()),
    };
    let known = if lane.text { is_text(start) } else { is_picture(start) || mux::is_media(start) };
    if known || start.is_empty() {
        return Ok(());
    }
    let what = if lane.text { "subtitles" } else { "picture or sound" };
    Err(Miss::Absent { reason: format!("the server sent something that is no {what}"), status })
}

/// WebVTT, TTML or an MP4 fragment of either.
fn is_text(start: &[u8]) -> bool {
    let start = start.strip_prefix(b"\xEF\xBB\xBF").unwrap_or(start).trim_ascii_start();
    let utf16 = start.starts_with(&[0xFF, 0xFE]) || start.starts_with(&[0xFE, 0xFF]);
    start.is_empty()
        || utf16
        || start.starts_with(b"WEBVTT")
        || start.starts_with(b"<")
        || mux::is_media(start)
}
