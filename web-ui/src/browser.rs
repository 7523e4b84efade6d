//! The few things asked of the browser itself: waiting, clipboard, the page's address, local time.
//!
//! Never holds state of the view. Invariant: nothing here panics where the browser refuses: a refusal is a value.

use std::time::Duration;

use js_sys::Intl::DateTimeFormat;
use js_sys::{Array, Date, Function, Promise};
use leptos::prelude::*;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;

/// Waits this many milliseconds.
pub async fn sleep(milliseconds: u32) {
    let promise = Promise::new(&mut |resolve, _| after(milliseconds, &resolve));
    let _ = JsFuture::from(promise).await;
}

fn after(milliseconds: u32, callback: &Function) {
    let wait = i32::try_from(milliseconds).unwrap_or(i32::MAX);
    let set = window().set_timeout_with_callback_and_timeout_and_arguments_0(callback, wait);
    if set.is_err() {
        let _ = callback.call0(&JsValue::NULL);
    }
}

/// A wait that somebody can cut short.
#[derive(Debug, Clone, Copy)]
pub struct Pause {
    resolve: StoredValue<Option<Function>, LocalStorage>,
}

impl Default for Pause {
    fn default() -> Self {
        Self { resolve: StoredValue::new_local(None) }
    }
}

impl Pause {
    /// Waits until [`Self::end`], or this many milliseconds; without a number, for as long as it takes.
    pub async fn wait(&self, milliseconds: Option<u32>) {
        let promise = Promise::new(&mut |resolve, _| {
            if let Some(milliseconds) = milliseconds {
                after(milliseconds, &resolve);
            }
            self.resolve.set_value(Some(resolve));
        });
        let _ = JsFuture::from(promise).await;
    }

    /// Ends the wait, if there is one.
    pub fn end(&self) {
        if let Some(resolve) = self.resolve.try_update_value(Option::take).flatten() {
            let _ = resolve.call0(&JsValue::NULL);
        }
    }
}

/// Puts text on the clipboard. Returns whether the browser did.
pub async fn copy(text: &str) -> bool {
    let navigator = window().navigator();
    // Absent where the page is not a secure context.
    if js_sys::Reflect::get(&navigator, &"clipboard".into()).is_ok_and(|clipboard| clipboard.is_undefined()) {
        return false;
    }
    JsFuture::from(navigator.clipboard().write_text(text)).await.is_ok()
}

/// One value of the address's query.
#[must_use]
pub fn query(name: &str) -> Option<String> {
    let search = window().location().search().ok()?;
    web_sys::UrlSearchParams::new_with_str(&search).ok()?.get(name).filter(|value| !value.is_empty())
}

/// Puts these values into the address's query (an empty one is left out) without a new entry in the history.
/// The fragment goes: it may have held a ticket.
pub fn replace_query(values: &[(&str, &str)]) {
    let Ok(params) = web_sys::UrlSearchParams::new() else { return };
    for (name, value) in values.iter().filter(|(_, value)| !value.is_empty()) {
        params.append(name, value);
    }
    let query = String::from(params.to_string());
    let path = window().location().pathname().unwrap_or_else(|_| "/".to_owned());
    let address = if query.is_empty() { path } else { format!("{path}?{query}") };
    if let Ok(history) = window().history() {
        let _ = history.replace_state_with_url(&JsValue::NULL, "", Some(&address));
    }
}

/// The ticket in the address's fragment, which leaves the address at once so that it is neither bookmarked nor
/// sent again by a reload.
#[must_use]
pub fn take_ticket() -> Option<String> {
    let location = window().location();
    let hash = location.hash().ok()?;
    let ticket = hash.strip_prefix("#ticket=")?.to_owned();
    let address = format!("{}{}", location.pathname().ok()?, location.search().ok()?);
    let _ = window().history().ok()?.replace_state_with_url(&JsValue::NULL, "", Some(&address));
    (!ticket.is_empty()).then_some(ticket)
}

/// Puts the keyboard's focus on the document's main part, which must be able to take it (`tabindex`).
pub fn focus_main() {
    let main = document().query_selector("main").ok().flatten();
    if let Some(main) = main.and_then(|main| main.dyn_into::<web_sys::HtmlElement>().ok()) {
        let _ = main.focus();
    }
}

/// A value kept by the browser for this origin.
#[must_use]
pub fn kept(key: &str) -> Option<String> {
    window().local_storage().ok()??.get_item(key).ok()?
}

/// Keeps a value for this origin. A browser that refuses storage just forgets.
pub fn keep(key: &str, value: &str) {
    if let Ok(Some(storage)) = window().local_storage() {
        let _ = storage.set_item(key, value);
    }
}

/// A moment in RFC 3339 as this place writes it: the time for today, the date as well for other days. An
/// unreadable moment is empty. The first use costs a browser some 40 ms, in which it learns how the language writes.
#[must_use]
pub fn local_time(moment: &str) -> String {
    let date = Date::new(&JsValue::from_str(moment));
    if date.get_time().is_nan() {
        return String::new();
    }
    let now = Date::new_0();
    let today = date.get_full_year() == now.get_full_year()
        && date.get_month() == now.get_month()
        && date.get_date() == now.get_date();
    WRITTEN.with(|[time, both]| {
        let how = if today { time } else { both };
        how.call1(&JsValue::UNDEFINED, &date).ok().and_then(|text| text.as_string()).unwrap_or_default()
    })
}

thread_local! {
    /// How this place writes a time, and a date with its time. Made once: making one costs more than a whole row.
    static WRITTEN: [Function; 2] = [written(false), written(true)];
}

fn written(with_date: bool) -> Function {
    let options = js_sys::Object::new();
    let set = |key: &str, value: &str| {
        let _ = js_sys::Reflect::set(&options, &key.into(), &value.into());
    };
    set("timeStyle", "short");
    if with_date {
        set("dateStyle", "medium");
    }
    let language = window().navigator().language().unwrap_or_else(|| "en".to_owned());
    DateTimeFormat::new(&Array::of1(&language.into()), &options).format()
}

/// Seconds from now until a moment in RFC 3339; not a number for an unreadable one.
#[must_use]
pub fn seconds_until(moment: &str) -> f64 {
    (Date::new(&JsValue::from_str(moment)).get_time() - Date::now()) / 1000.0
}

/// A signal that changes every second while the condition holds, and never otherwise.
pub fn every_second(while_so: impl Fn() -> bool + 'static) -> ReadSignal<u32> {
    let (tick, set_tick) = signal(0_u32);
    Effect::new(move || {
        if !while_so() {
            return;
        }
        let again = move || {
            let _ = set_tick.try_update(|count| *count = count.wrapping_add(1));
        };
        if let Ok(handle) = set_interval_with_handle(again, Duration::from_secs(1)) {
            on_cleanup(move || handle.clear());
        }
    });
    tick
}

/// Puts the keyboard's focus on the element with this id. Returns whether it is there.
pub fn focus(id: &str) -> bool {
    let element = document().get_element_by_id(id);
    element
        .and_then(|element| element.dyn_into::<web_sys::HtmlElement>().ok())
        .is_some_and(|element| element.focus().is_ok())
}

/// Whether the keyboard's focus is on no element in particular.
#[must_use]
pub fn nothing_focused() -> bool {
    document().active_element().is_none_or(|element| element.tag_name().eq_ignore_ascii_case("body"))
}

/// The time now, as this place writes it.
#[must_use]
pub fn local_now() -> String {
    local_time(&String::from(Date::new_0().to_iso_string()))
}

/// Calls this each time the document comes into sight: timers of hidden ones are slow.
pub fn when_seen(seen: impl Fn() + 'static) {
    let seen = Closure::<dyn Fn()>::new(move || {
        if !document().hidden() {
            seen();
        }
    });
    // Lives as long as the document.
    let listener = seen.into_js_value();
    let _ = document().add_event_listener_with_callback("visibilitychange", listener.unchecked_ref());
}

/// Has a panic say in the console what it was; without this the browser only says that something was unreachable.
pub fn report_panics() {
    std::panic::set_hook(Box::new(|panic| web_sys::console::error_1(&panic.to_string().into())));
}

/// Says something to whoever opens the console. Never given a token or a header.
pub fn warn(text: &str) {
    web_sys::console::warn_1(&text.into());
}
