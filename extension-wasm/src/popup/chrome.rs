//! The functions of `chrome.*` only the popup calls.
//!
//! Owns the shapes, decides nothing. Invariant: what the browser refuses is a value, never a panic.

use js_sys::Function;
use wasm_bindgen::prelude::*;
use weir_protocol::Event;
use weir_web::browser;

use crate::messages::{HostState, Request};
use crate::storage::{self, read::tab_streams};
use crate::stream::{DOWNLOADS_KEY, HOST_KEY, TabStreams};

#[wasm_bindgen]
extern "C" {
    #[wasm_bindgen(catch, js_namespace = ["chrome", "storage", "session"], js_name = get)]
    async fn session_get(keys: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["chrome", "storage", "onChanged"], js_name = addListener)]
    fn on_storage_changed(listener: &Function) -> Result<(), JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["chrome", "runtime"], js_name = sendMessage)]
    async fn send_message(message: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["chrome", "tabs"], js_name = query)]
    async fn tabs_query(query: &JsValue) -> Result<JsValue, JsValue>;

    #[wasm_bindgen(catch, js_namespace = ["chrome", "tabs"], js_name = create)]
    async fn tabs_create(properties: &JsValue) -> Result<JsValue, JsValue>;
}

/// What `storage.session` holds, by key.
#[derive(Debug)]
pub(super) struct Stored(JsValue);

impl Stored {
    /// Reads these keys at once.
    pub(super) async fn read(keys: &[&str]) -> Self {
        let keys: js_sys::Array = keys.iter().map(|key| JsValue::from_str(key)).collect();
        Self(session_get(&keys).await.unwrap_or_default())
    }

    /// What was found in the tab with this key; none when nothing is known of it.
    pub(super) fn tab(&self, key: &str) -> Option<TabStreams> {
        tab_streams(&storage::get(&self.0, key))
    }

    /// What is known of the host.
    pub(super) fn host(&self) -> Option<HostState> {
        HostState::read(&storage::get(&self.0, HOST_KEY))
    }

    /// The downloads the worker has heard of. Through JSON text: it keeps the types' own rules (`null` for none,
    /// defaults). As a frame, which has to be read anyway: a second reader of rows would cost 10 kB.
    pub(super) fn downloads(&self) -> Option<Event> {
        let rows = js_sys::JSON::stringify(&storage::get(&self.0, DOWNLOADS_KEY)).ok()?.as_string()?;
        let frame = format!(r#"{{"type":"snapshot","version":"","downloads":{rows}}}"#);
        serde_json::from_str(&frame).ok()
    }
}

/// Calls `changed` with what was found in the tab with this key whenever that changes; none when the tab has gone.
pub(super) fn watch_tab(key: String, changed: impl Fn(Option<TabStreams>) + 'static) {
    let listener = Closure::<dyn Fn(JsValue, JsValue)>::new(move |changes: JsValue, area: JsValue| {
        if area.as_string().as_deref() != Some("session") {
            return;
        }
        let Ok(change) = js_sys::Reflect::get(&changes, &key.as_str().into()) else { return };
        if change.is_undefined() {
            return;
        }
        let value = js_sys::Reflect::get(&change, &"newValue".into()).ok();
        changed(value.and_then(|value| tab_streams(&value)));
    });
    // Lives as long as the popup's document.
    if on_storage_changed(listener.into_js_value().unchecked_ref()).is_err() {
        browser::warn("storage changes cannot be followed");
    }
}

/// Asks the worker, which the browser starts when it sleeps. None when it did not answer.
pub(super) async fn ask_worker(request: &Request) -> Option<HostState> {
    let message = serde_json::to_string(request).ok()?;
    let message = js_sys::JSON::parse(&message).ok()?;
    HostState::read(&send_message(&message).await.ok()?)
}

/// The tab in front of this window.
pub(super) async fn active_tab() -> Option<i32> {
    let query = js_sys::JSON::parse(r#"{"active":true,"currentWindow":true}"#).ok()?;
    let tabs = js_sys::Array::from(&tabs_query(&query).await.ok()?);
    // Tab ids are 32-bit; -1 is a tab that is none.
    let id = js_sys::Reflect::get(&tabs.get(0), &"id".into()).ok()?.as_f64()?;
    (id >= 0.0).then_some(id as i32)
}

/// Opens an address in a new tab. Returns whether the browser did.
pub(super) async fn open_tab(address: &str) -> bool {
    let properties = js_sys::Object::new();
    let set = js_sys::Reflect::set(&properties, &"url".into(), &address.into());
    set.is_ok() && tabs_create(&properties).await.is_ok()
}
