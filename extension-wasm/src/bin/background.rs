//! Entry points of the service worker, as `manifest/background.js` calls them.
//!
//! Never more than a name and a conversion. Invariant: `start` is awaited once before anything else is called.

use wasm_bindgen::prelude::*;
use weir_extension::chrome::Tab;
use weir_extension::request::Details;
use weir_extension::{storage, worker};

/// Loads what was stored; resolves when events may come.
#[wasm_bindgen]
pub async fn start() -> Result<(), JsValue> {
    worker::start().await
}

/// `runtime.onInstalled`, `runtime.onStartup`.
#[wasm_bindgen]
pub fn installed() {
    worker::installed();
}

/// `webRequest.onSendHeaders`.
#[wasm_bindgen]
pub fn request_sent(details: &Details) {
    worker::request_sent(details);
}

/// `webRequest.onResponseStarted`.
#[wasm_bindgen]
pub fn response_started(details: &Details) {
    worker::response_started(details);
}

/// `webRequest.onErrorOccurred`.
#[wasm_bindgen]
pub fn request_failed(details: &Details) {
    worker::request_failed(details);
}

/// `webNavigation.onCommitted`.
#[wasm_bindgen]
pub fn navigated(details: &Details) {
    worker::navigated(details);
}

/// `tabs.onUpdated`.
#[wasm_bindgen]
pub fn tab_updated(tab_id: i32, change: &Tab) {
    worker::tab_updated(tab_id, change);
}

/// `tabs.onRemoved`.
#[wasm_bindgen]
pub fn tab_removed(tab_id: i32) {
    worker::tab_removed(tab_id);
}

/// `runtime.onMessage`: a `Request` in, a `HostState` or `undefined` out.
#[wasm_bindgen]
pub async fn message(request: JsValue) -> Result<JsValue, JsValue> {
    match worker::message(&request).await {
        Some(state) => storage::to_js(&state),
        None => Ok(JsValue::UNDEFINED),
    }
}

fn main() {}
