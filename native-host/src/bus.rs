//! The one event bus: what the queue did, to everyone who listens.
//!
//! Owns serialisation (once for all listeners) and the frame size of snapshots. Never buffers for a slow client: one that
//! lags loses its place and asks the queue for a fresh snapshot.

use axum::extract::ws::Utf8Bytes;
use tokio::sync::broadcast;
use weir_protocol::{Download, Event};

/// Frames a listener may be behind before it gets a snapshot instead.
const CAPACITY: usize = 1024;

/// A snapshot frame stays well below the 1 MiB of native messaging even when its last row is long.
const SNAPSHOT_FRAME_BYTES: usize = 256 * 1024;

/// The sending end.
#[derive(Debug, Clone)]
pub(crate) struct Bus {
    frames: broadcast::Sender<Utf8Bytes>,
}

/// A snapshot and everything after it, without a gap.
#[derive(Debug)]
pub(crate) struct Subscription {
    /// Frames to send first.
    pub(crate) snapshot: Vec<Utf8Bytes>,
    /// Frames that follow.
    pub(crate) frames: broadcast::Receiver<Utf8Bytes>,
}

impl Bus {
    pub(crate) fn new() -> Self {
        Self { frames: broadcast::Sender::new(CAPACITY) }
    }

    /// Tells every listener.
    pub(crate) fn send(&self, event: &Event) {
        if self.frames.receiver_count() > 0 {
            // No listener left in between is no failure.
            let _ = self.frames.send(encode(event));
        }
    }

    /// Starts listening, given the state as of now. Call it where no event can slip in between: in the queue.
    pub(crate) fn subscribe(&self, downloads: Vec<Download>) -> Subscription {
        Subscription {
            frames: self.frames.subscribe(),
            snapshot: snapshot_frames(downloads, SNAPSHOT_FRAME_BYTES),
        }
    }
}

fn encode(event: &Event) -> Utf8Bytes {
    serde_json::to_string(event).map(Utf8Bytes::from).unwrap_or_default()
}

fn snapshot_frames(downloads: Vec<Download>, limit: usize) -> Vec<Utf8Bytes> {
    let mut groups = vec![Vec::new()];
    let mut size = 0;
    for download in downloads {
        let length = serde_json::to_string(&download).map_or(0, |text| text.len());
        if size + length > limit && size > 0 {
            groups.push(Vec::new());
            size = 0;
        }
        size += length;
        if let Some(group) = groups.last_mut() {
            group.push(download);
        }
    }
    let last = groups.len() - 1;
    let version = env!("CARGO_PKG_VERSION");
    groups
        .into_iter()
        .enumerate()
        .map(|(n, downloads)| {
            encode(&Event::Snapshot { downloads, version: version.to_owned(), more: n < last })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use weir_protocol::DownloadKind;

    use super::*;
    use crate::store::Record;

    #[test]
    fn a_long_snapshot_comes_in_frames_and_nothing_is_lost() {
        let rows: Vec<Download> = (0..50)
            .map(|id| {
                let mut row = Record::new("http://h/", DownloadKind::File, "f", Path::new("/d"), "").download;
                row.id = id;
                row.title = Some("t".repeat(1000));
                row
            })
            .collect();
        let frames = snapshot_frames(rows, 10_000);
        assert!(frames.len() > 4);
        let mut ids = Vec::new();
        for (n, frame) in frames.iter().enumerate() {
            assert!(frame.len() < 12_000);
            let Event::Snapshot { downloads, more, .. } = serde_json::from_str(frame).unwrap() else {
                panic!("{frame}")
            };
            assert_eq!(more, n + 1 < frames.len());
            ids.extend(downloads.iter().map(|row| row.id));
        }
        assert_eq!(ids, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn an_empty_state_is_still_a_snapshot() {
        assert_eq!(snapshot_frames(Vec::new(), 10).len(), 1);
    }
}
