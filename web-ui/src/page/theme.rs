//! Light, dark, or as the system says.
//!
//! Invariant: the choice is an attribute of the root element and a value kept by the browser; `start.js` sets the
//! attribute from the value before the first paint.

use leptos::prelude::*;

use crate::browser;

const KEY: &str = "weir-theme";
const CHOICES: [(&str, &str); 3] =
    [("system", "System theme"), ("light", "Light theme"), ("dark", "Dark theme")];

/// The choice, as a small native select.
pub(super) fn choice() -> impl IntoView {
    let kept = browser::kept(KEY).unwrap_or_default();
    let choose = move |event| {
        let theme = event_target_value(&event);
        browser::keep(KEY, &theme);
        if let Some(root) = document().document_element() {
            let _ = root.set_attribute("data-theme", &theme);
        }
    };
    let options = CHOICES.map(|(value, label)| {
        view! { <option value=value selected=kept == value>{label}</option> }
    });
    view! {
        <label class="theme">
            <span class="unseen">"Theme"</span>
            <select class="select" on:change=choose>{options.collect_view()}</select>
        </label>
    }
}
