//! `storage.session`: what outlives the worker, and nothing outlives the browser.
//!
//! Owns the way of values in and out. Never decides what is kept. Invariant: all writes of tabs go through one
//! [`Writer`], one at a time and always of the newest state, so that concurrent events cannot lose each other.

pub mod read;

use std::cell::{Cell, RefCell};

use js_sys::{Array, Object, Reflect};
use wasm_bindgen::prelude::*;

use crate::chrome;
use crate::registry::{Registry, Tab, notes_key};
use crate::stream::tab_key;

/// Everything stored, as an object.
///
/// # Errors
/// The browser refuses.
pub async fn load() -> Result<JsValue, JsValue> {
    chrome::session_get(&JsValue::NULL).await
}

/// The tabs among what [`load`] answered. What cannot be read (an older version wrote it) is left out.
#[must_use]
pub fn tabs(stored: &JsValue) -> Vec<(i32, Tab)> {
    let Some(object) = stored.dyn_ref::<Object>() else { return Vec::new() };
    let keys = Object::keys(object);
    let ids = keys.iter().filter_map(|key| key.as_string()?.strip_prefix("tab:")?.parse().ok());
    ids.filter_map(|tab_id| {
        let shown = read::tab_streams(&get(stored, &tab_key(tab_id)))?;
        let notes = read::notes(&get(stored, &notes_key(tab_id))).unwrap_or_default();
        Some((tab_id, Tab::restored(shown, notes)))
    })
    .collect()
}

/// A property, or `undefined`.
#[must_use]
pub fn get(object: &JsValue, key: &str) -> JsValue {
    Reflect::get(object, &JsValue::from_str(key)).unwrap_or(JsValue::UNDEFINED)
}

/// A value as the browser stores and sends it: maps are objects, what is missing is `null`.
///
/// # Errors
/// A number no JavaScript number can hold.
pub fn to_js(value: &impl serde::Serialize) -> Result<JsValue, JsValue> {
    value.serialize(&serde_wasm_bindgen::Serializer::json_compatible()).map_err(JsValue::from)
}

/// Stores one value; a refusal is logged, because the next write brings the newer state anyway.
pub async fn store(key: &str, value: &JsValue) {
    let items = Object::new();
    put(&items, key, value);
    if let Err(error) = chrome::session_set(&items).await {
        chrome::log_error("not stored", &error);
    }
}

fn put(items: &Object, key: &str, value: &JsValue) {
    // A fresh plain object takes every property.
    let _ = Reflect::set(items, &JsValue::from_str(key), value);
}

/// Writes changed tabs, one write at a time.
#[derive(Debug, Default)]
pub struct Writer {
    writing: Cell<bool>,
}

impl Writer {
    /// Writes until nothing is changed any more, and answers which tabs were written. Returns at once when a write is
    /// under way: that one goes on with what is new.
    pub async fn flush(&self, registry: &RefCell<Registry>) -> Vec<i32> {
        let mut written = Vec::new();
        if self.writing.replace(true) {
            return written;
        }
        loop {
            let mut changed = registry.borrow_mut().take_changed();
            if changed.is_empty() {
                break;
            }
            if let Err(error) = Self::write(registry, &changed).await {
                // The quota of 10 MB is full, or the browser is going down.
                chrome::log_error("streams are dropped, because the browser does not store them", &error);
                if !registry.borrow_mut().shed() {
                    break;
                }
            }
            changed.retain(|tab_id| !written.contains(tab_id));
            written.append(&mut changed);
        }
        self.writing.set(false);
        written
    }

    async fn write(registry: &RefCell<Registry>, changed: &[i32]) -> Result<(), JsValue> {
        let (items, gone) = (Object::new(), Array::new());
        {
            let registry = registry.borrow();
            for tab_id in changed {
                match registry.tab(*tab_id) {
                    Some(tab) => {
                        put(&items, &tab_key(*tab_id), &to_js(&tab.shown)?);
                        put(&items, &notes_key(*tab_id), &to_js(&tab.notes)?);
                    }
                    None => {
                        gone.push(&tab_key(*tab_id).into());
                        gone.push(&notes_key(*tab_id).into());
                    }
                }
            }
        }
        chrome::session_set(&items).await?;
        if gone.length() > 0 {
            chrome::session_remove(&gone).await?;
        }
        Ok(())
    }
}
