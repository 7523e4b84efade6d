//! Stored tabs, read back property by property.
//!
//! By hand and not through serde, whose readers would be an eighth of the worker's module. Never guesses: what lacks a
//! property it must have is `None`. Invariant: reads exactly what serde writes; a field that is not read does not
//! compile, and a wrong name fails the test that sends every field there and back.

use std::collections::BTreeMap;

use js_sys::{Array, Object};
use wasm_bindgen::prelude::*;
use weir_protocol::{DownloadKind, Variant};

use super::get;
use crate::registry::{Fold, Note, Notes};
use crate::stream::{Stream, TabStreams};

/// What the popup is shown of a tab.
#[must_use]
pub fn tab_streams(stored: &JsValue) -> Option<TabStreams> {
    Some(TabStreams {
        page_url: text(stored, "page_url")?,
        page_title: text(stored, "page_title"),
        streams: list(stored, "streams", stream)?,
    })
}

/// What only the registry remembers of a tab.
#[must_use]
pub fn notes(stored: &JsValue) -> Option<Notes> {
    Some(Notes {
        next: get(stored, "next").as_f64()? as u32,
        cards: list(stored, "cards", note)?,
        foreign: texts(stored, "foreign")?,
    })
}

fn stream(stored: &JsValue) -> Option<Stream> {
    Some(Stream {
        id: text(stored, "id")?,
        kind: DownloadKind::parse(&text(stored, "kind")?)?,
        url: text(stored, "url")?,
        name: text(stored, "name")?,
        page_url: text(stored, "page_url")?,
        title: text(stored, "title"),
        referer: text(stored, "referer"),
        cookies: text(stored, "cookies"),
        headers: headers(&get(stored, "headers")),
        content_type: text(stored, "content_type"),
        total_bytes: number(stored, "total_bytes"),
        duration_ms: number(stored, "duration_ms"),
        live: flag(stored, "live"),
        protected: flag(stored, "protected"),
        variants: list(stored, "variants", variant)?,
    })
}

fn variant(stored: &JsValue) -> Option<Variant> {
    Some(Variant {
        id: text(stored, "id")?,
        label: text(stored, "label")?,
        width: number(stored, "width"),
        height: number(stored, "height"),
        frame_rate: get(stored, "frame_rate").as_f64(),
        bandwidth: number(stored, "bandwidth"),
        codecs: text(stored, "codecs"),
        estimated_bytes: number(stored, "estimated_bytes"),
    })
}

fn note(stored: &JsValue) -> Option<Note> {
    Some(Note {
        id: text(stored, "id")?,
        keys: texts(stored, "keys")?,
        document: text(stored, "document"),
        navigation: flag(stored, "navigation"),
        script: flag(stored, "script"),
        unread: flag(stored, "unread"),
        file_name: text(stored, "file_name"),
        folds: list(stored, "folds", |stored| {
            Some(Fold { key: text(stored, "key")?, met: flag(stored, "met") })
        })?,
        shapes: texts(stored, "shapes")?,
    })
}

fn headers(stored: &JsValue) -> BTreeMap<String, String> {
    let mut headers = BTreeMap::new();
    let Some(object) = stored.dyn_ref::<Object>() else { return headers };
    // One by one: collecting would sort first, and two kinds of sort are dear.
    for name in Object::keys(object).iter().filter_map(|name| name.as_string()) {
        if let Some(value) = text(stored, &name) {
            headers.insert(name, value);
        }
    }
    headers
}

fn text(object: &JsValue, key: &str) -> Option<String> {
    get(object, key).as_string()
}

fn flag(object: &JsValue, key: &str) -> bool {
    get(object, key).is_truthy()
}

/// Serde writes no number that is not exact.
fn number(object: &JsValue, key: &str) -> Option<u64> {
    get(object, key).as_f64().map(|number| number as u64)
}

fn texts(object: &JsValue, key: &str) -> Option<Vec<String>> {
    list(object, key, JsValue::as_string)
}

/// `None` when it is no list or one of its items cannot be read.
fn list<T>(object: &JsValue, key: &str, item: impl Fn(&JsValue) -> Option<T>) -> Option<Vec<T>> {
    get(object, key).dyn_ref::<Array>()?.iter().map(|stored| item(&stored)).collect()
}
