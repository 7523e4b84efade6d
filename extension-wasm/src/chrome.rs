//! The few functions of the `chrome.*` interface the extension calls, as they are.
//!
//! Owns the shapes, decides nothing. `web-sys` has no bindings for extensions, so these are our own. Invariant:
//! every call that may be refused returns a `Result`; nothing here throws into its caller.

use js_sys::{Array, Function, Object, Promise};
use wasm_bindgen::prelude::*;

#[wasm_bindgen]
extern "C" {
    /// `chrome.storage.session.get(keys)`; `null` asks for everything.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "storage", "session"], js_name = get)]
    pub async fn session_get(keys: &JsValue) -> Result<JsValue, JsValue>;

    /// `chrome.storage.session.set(items)`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "storage", "session"], js_name = set)]
    pub async fn session_set(items: &Object) -> Result<(), JsValue>;

    /// `chrome.storage.session.remove(keys)`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "storage", "session"], js_name = remove)]
    pub async fn session_remove(keys: &Array) -> Result<(), JsValue>;

    /// `chrome.action.setBadgeText({tabId, text})`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setBadgeText)]
    pub async fn set_badge_text(details: &Object) -> Result<(), JsValue>;

    /// `chrome.action.setBadgeBackgroundColor({color})`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setBadgeBackgroundColor)]
    pub async fn set_badge_background_color(details: &Object) -> Result<(), JsValue>;

    /// `chrome.action.setBadgeTextColor({color})`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setBadgeTextColor)]
    pub async fn set_badge_text_color(details: &Object) -> Result<(), JsValue>;

    /// `chrome.action.setTitle({tabId, title})`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "action"], js_name = setTitle)]
    pub async fn set_title(details: &Object) -> Result<(), JsValue>;

    /// `chrome.tabs.get(tabId)`: a [`Tab`].
    #[wasm_bindgen(catch, js_namespace = ["chrome", "tabs"], js_name = get)]
    pub async fn tab(tab_id: i32) -> Result<JsValue, JsValue>;

    /// `chrome.runtime.getManifest()`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "runtime"], js_name = getManifest)]
    pub fn manifest() -> Result<Manifest, JsValue>;

    /// `chrome.runtime.connectNative(name)`.
    #[wasm_bindgen(catch, js_namespace = ["chrome", "runtime"], js_name = connectNative)]
    pub fn connect_native(name: &str) -> Result<NativePort, JsValue>;

    /// `chrome.runtime.lastError`: set while a listener of a closed port runs.
    #[wasm_bindgen(thread_local_v2, js_namespace = chrome, js_name = runtime)]
    static RUNTIME: Runtime;

    /// `chrome.runtime`.
    type Runtime;

    #[wasm_bindgen(method, getter, js_name = lastError)]
    fn last_error(this: &Runtime) -> Option<LastError>;

    /// `chrome.runtime.lastError`.
    type LastError;

    #[wasm_bindgen(method, getter)]
    fn message(this: &LastError) -> Option<String>;

    /// What [`manifest`] answers.
    pub type Manifest;

    /// `version`.
    #[wasm_bindgen(method, getter)]
    pub fn version(this: &Manifest) -> String;

    /// A tab, or what `tabs.onUpdated` says changed in one.
    pub type Tab;

    /// Needs the `tabs` permission.
    #[wasm_bindgen(method, getter)]
    pub fn url(this: &Tab) -> Option<String>;

    /// Needs the `tabs` permission.
    #[wasm_bindgen(method, getter)]
    pub fn title(this: &Tab) -> Option<String>;

    /// Connection to a native host: one process of it.
    #[derive(Debug, Clone)]
    pub type NativePort;

    /// Sends one frame.
    #[wasm_bindgen(method, catch, js_name = postMessage)]
    pub fn post(this: &NativePort, message: &JsValue) -> Result<(), JsValue>;

    /// Ends the process.
    #[wasm_bindgen(method, catch)]
    pub fn disconnect(this: &NativePort) -> Result<(), JsValue>;

    #[wasm_bindgen(method, getter, js_name = onMessage)]
    fn on_message(this: &NativePort) -> PortEvent;

    #[wasm_bindgen(method, getter, js_name = onDisconnect)]
    fn on_disconnect(this: &NativePort) -> PortEvent;

    type PortEvent;

    #[wasm_bindgen(method, js_name = addListener)]
    fn add_listener(this: &PortEvent, listener: &Function);

    #[wasm_bindgen(js_name = setTimeout)]
    fn set_timeout(callback: &Function, milliseconds: i32) -> JsValue;

    /// `console.error`.
    #[wasm_bindgen(js_namespace = console, js_name = error)]
    pub fn log_error(message: &str, cause: &JsValue);
}

/// Calls `on_message` for every frame and `on_disconnect`, once, with the browser's reason when the host's end closes.
///
/// The listeners live as long as the port does in JavaScript: a port is made for minutes at most and then dropped.
pub fn listen(
    port: &NativePort,
    on_message: impl FnMut(JsValue) + 'static,
    on_disconnect: impl FnOnce(String) + 'static,
) {
    let on_message = Closure::<dyn FnMut(JsValue)>::new(on_message);
    port.on_message().add_listener(on_message.into_js_value().unchecked_ref());
    // The reason exists only while this listener runs.
    let reason = || RUNTIME.with(Runtime::last_error).and_then(|error| error.message()).unwrap_or_default();
    let on_disconnect = Closure::once_into_js(move || on_disconnect(reason()));
    port.on_disconnect().add_listener(on_disconnect.unchecked_ref());
}

/// Waits; other events are served meanwhile.
pub async fn sleep(milliseconds: i32) {
    let promise = Promise::new(&mut |resolve, _| {
        set_timeout(&resolve, milliseconds);
    });
    // A timer does not fail.
    let _ = wasm_bindgen_futures::JsFuture::from(promise).await;
}

/// Version of the extension, as the manifest states it.
#[must_use]
pub fn version() -> String {
    manifest().map_or_else(|_| env!("CARGO_PKG_VERSION").to_owned(), |manifest| manifest.version())
}
