//! Search and status filter.
//!
//! Invariant: both stand in the address's query, and the list follows each key at once.

use leptos::prelude::*;
use leptos::task::spawn_local;

use super::app::View;
use crate::browser;
use crate::components::{Icon, icon};
use crate::listing::Filter;

/// The address follows this long after the last key: browsers refuse too many changes of it.
const ADDRESS_AFTER_MS: u32 = 400;

pub(super) fn tools(view: View) -> impl IntoView {
    Effect::new(move |first: Option<()>| {
        let (query, filter) = (view.query.get(), view.filter.get());
        if first.is_none() {
            return;
        }
        spawn_local(async move {
            browser::sleep(ADDRESS_AFTER_MS).await;
            if view.query.get_untracked() == query && view.filter.get_untracked() == filter {
                browser::replace_query(&[("q", query.trim()), ("status", filter.key())]);
            }
        });
    });
    let filters = Filter::ALL.map(|filter| {
        view! {
            <button
                type="button"
                class="filter"
                aria-pressed=move || if view.filter.get() == filter { "true" } else { "false" }
                on:click=move |_| view.filter.set(filter)
            >
                {filter.label()}
                " "
                <span class="filter-count">{move || view.listing.with(|listing| listing.count(filter))}</span>
            </button>
        }
    });
    view! {
        <div class="tools">
            <label class="search">
                <span class="unseen">"Search downloads"</span>
                {icon(|| Icon::Search)}
                <input
                    type="search"
                    class="input"
                    placeholder="Search name, address or page"
                    autocomplete="off"
                    spellcheck="false"
                    prop:value=move || view.query.get()
                    on:input=move |event| view.query.set(event_target_value(&event))
                />
            </label>
            <div class="filters" role="group" aria-label="Status">{filters.collect_view()}</div>
        </div>
    }
}
