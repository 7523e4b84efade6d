//! The downloads as the daemon tells them, kept as the JavaScript objects they come as.
//!
//! Owns just enough of `weir_protocol::Event` to know which rows there are and which are active; everything else
//! of a row passes through unread. Typed reading costs more code than the rest of the worker's share of the host, and
//! a worker that passes things on has no use for it. Invariant: after any sequence of frames that begins with a
//! snapshot, the rows are the daemon's.

use js_sys::{Array, Reflect};
use wasm_bindgen::prelude::*;
use weir_protocol::DownloadStatus;

use crate::storage::get;

/// Finished downloads that are kept for storing besides the unfinished ones.
pub const KEPT_FINISHED: usize = 20;

/// What the daemon's frames add up to.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Newest first.
    rows: Vec<JsValue>,
    /// A snapshot is arriving in several frames.
    arriving: bool,
}

impl Ledger {
    /// Nothing known.
    #[must_use]
    pub const fn new() -> Self {
        Self { rows: Vec::new(), arriving: false }
    }

    /// A new connection: what is known holds until its snapshot begins.
    pub const fn begin_anew(&mut self) {
        self.arriving = false;
    }

    /// Applies one frame; one of a later version's kinds changes nothing.
    pub fn apply(&mut self, frame: &JsValue) {
        match get(frame, "type").as_string().as_deref() {
            Some("snapshot") => {
                if !self.arriving {
                    self.rows.clear();
                }
                self.arriving = get(frame, "more").is_truthy();
                self.rows.extend(items(&get(frame, "downloads")));
            }
            Some("download") => {
                let download = get(frame, "download");
                match self.position(&download) {
                    Some(at) => self.rows[at] = download,
                    None => self.rows.insert(0, download),
                }
            }
            Some("progress") => {
                let Some(row) = self.position(frame).and_then(|at| self.rows.get(at)) else { return };
                for name in ["progress", "speed", "eta", "received_bytes", "recorded_s"] {
                    let value = get(frame, name);
                    if !value.is_undefined() {
                        set(row, name, &value);
                    }
                }
                if get(frame, "done").is_truthy() {
                    set(row, "status", &DownloadStatus::Completed.as_str().into());
                }
            }
            Some("removed") => {
                if let Some(at) = self.position(frame) {
                    self.rows.remove(at);
                }
            }
            // With an `id` it repeats what the `download` frame before it said; without one it is the host's last word:
            // the daemon was stopped, nothing runs any more, and nobody waits for it.
            Some("error") if get(frame, "id").is_undefined() => self.rows.clear(),
            _ => {}
        }
    }

    /// Whether a download runs, or will without anybody doing anything.
    #[must_use]
    pub fn is_active(&self) -> bool {
        self.rows.iter().any(|row| status(row).is_some_and(DownloadStatus::is_active))
    }

    /// What is worth storing: the unfinished ones and a few of the newest others, newest first.
    #[must_use]
    pub fn kept(&self) -> Array {
        let mut finished = 0;
        let kept = self.rows.iter().filter(|row| {
            if !matches!(status(row), Some(DownloadStatus::Completed | DownloadStatus::Cancelled)) {
                return true;
            }
            finished += 1;
            finished <= KEPT_FINISHED
        });
        kept.collect()
    }

    /// Where the row with the `id` of `object` is.
    fn position(&self, object: &JsValue) -> Option<usize> {
        let id = get(object, "id").as_f64()?;
        self.rows.iter().position(|row| get(row, "id").as_f64() == Some(id))
    }
}

/// The ledger as [`Ledger::kept`] stored it.
impl From<&JsValue> for Ledger {
    fn from(stored: &JsValue) -> Self {
        Self { rows: items(stored), arriving: false }
    }
}

fn items(list: &JsValue) -> Vec<JsValue> {
    list.dyn_ref::<Array>().map(|list| list.iter().collect()).unwrap_or_default()
}

fn set(row: &JsValue, name: &str, value: &JsValue) {
    // A row that is no object, from a host gone mad, takes nothing.
    let _ = Reflect::set(row, &JsValue::from_str(name), value);
}

fn status(row: &JsValue) -> Option<DownloadStatus> {
    DownloadStatus::parse(&get(row, "status").as_string()?)
}
