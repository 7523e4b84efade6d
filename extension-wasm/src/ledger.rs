//! The downloads as the daemon tells them, kept as the JavaScript objects they come as.
//!
//! Owns just enough of `weir_protocol::Event` to know which rows there are and which are active; everything else
//! of a row passes through unread. Typed reading costs more code than the rest of the worker's share of the host, and
//! a worker that passes things on has no use for it. Invariant: after any sequence of frames that begins with a
//! snapshot, the rows are the daemon's.

use js_sys::{Array, Reflect};
use wasm_bindgen::prelude::*;
use weir_protocol::DownloadStatus;

/// Finished downloads that are kept for storing besides the unfinished ones.
pub const KEPT_FINISHED: usize = 20;

#[wasm_bindgen]
extern "C" {
    /// A frame of `/ws`.
    #[derive(Debug, Clone)]
    pub type EventFrame;

    #[wasm_bindgen(method, getter, js_name = type)]
    fn kind(this: &EventFrame) -> Option<String>;

    #[wasm_bindgen(method, getter)]
    fn downloads(this: &EventFrame) -> Option<Array>;

    #[wasm_bindgen(method, getter)]
    fn more(this: &EventFrame) -> Option<bool>;

    #[wasm_bindgen(method, getter)]
    fn download(this: &EventFrame) -> Option<DownloadRow>;

    #[wasm_bindgen(method, getter)]
    fn id(this: &EventFrame) -> Option<f64>;

    #[wasm_bindgen(method, getter)]
    fn done(this: &EventFrame) -> Option<bool>;

    /// A download in a frame.
    #[derive(Debug, Clone)]
    type DownloadRow;

    #[wasm_bindgen(method, getter, js_name = id)]
    fn row_id(this: &DownloadRow) -> Option<f64>;

    #[wasm_bindgen(method, getter)]
    fn status(this: &DownloadRow) -> Option<String>;
}

/// What the daemon's frames add up to.
#[derive(Debug, Default)]
pub struct Ledger {
    /// Newest first.
    rows: Vec<DownloadRow>,
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
    pub fn apply(&mut self, frame: &EventFrame) {
        match frame.kind().as_deref() {
            Some("snapshot") => {
                if !self.arriving {
                    self.rows.clear();
                }
                self.arriving = frame.more().unwrap_or(false);
                self.rows.extend(frame.downloads().unwrap_or_default().iter().map(JsCast::unchecked_into));
            }
            Some("download") => {
                let Some(download) = frame.download() else { return };
                match self.position(download.row_id()) {
                    Some(at) => self.rows[at] = download,
                    None => self.rows.insert(0, download),
                }
            }
            Some("progress") => {
                let Some(row) = self.position(frame.id()).map(|at| &self.rows[at]) else { return };
                for name in ["progress", "speed", "eta", "received_bytes"] {
                    let name = JsValue::from_str(name);
                    let value = Reflect::get(frame, &name).unwrap_or(JsValue::UNDEFINED);
                    if !value.is_undefined() {
                        // A plain object of our own takes every property.
                        let _ = Reflect::set(row, &name, &value);
                    }
                }
                if frame.done() == Some(true) {
                    let completed = DownloadStatus::Completed.as_str();
                    let _ = Reflect::set(row, &"status".into(), &completed.into());
                }
            }
            Some("removed") => {
                if let Some(at) = self.position(frame.id()) {
                    self.rows.remove(at);
                }
            }
            // `error` repeats what the `download` frame before it said.
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

    fn position(&self, id: Option<f64>) -> Option<usize> {
        id.and_then(|id| self.rows.iter().position(|row| row.row_id() == Some(id)))
    }
}

/// The ledger as [`Ledger::kept`] stored it.
impl From<&JsValue> for Ledger {
    fn from(stored: &JsValue) -> Self {
        let rows = stored.dyn_ref::<Array>().map(|rows| rows.iter().map(JsCast::unchecked_into).collect());
        Self { rows: rows.unwrap_or_default(), arriving: false }
    }
}

fn status(row: &DownloadRow) -> Option<DownloadStatus> {
    DownloadStatus::parse(&row.status()?)
}
