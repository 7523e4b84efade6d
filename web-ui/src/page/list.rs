//! The list of downloads: only the rows in sight are in the document.
//!
//! Owns the measuring of the viewport and of rows. Invariant: a row is as high as `--row-height` says until it is seen to
//! need another height, and what is read never moves because a row above it does.

use js_sys::Array;
use leptos::html::{Div, Li, Ul};
use leptos::prelude::*;
use wasm_bindgen::JsCast;
use wasm_bindgen::prelude::Closure;
use web_sys::{Element, ResizeObserver, ResizeObserverEntry};

use super::app::View;
use super::row;
use crate::components::{Icon, Place, download_row, icon};
use crate::heights::Heights;
use crate::history::Extent;
use crate::listing::Filter;
use crate::store::Connection;

/// What was measured last; CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sight {
    top: f64,
    viewport: f64,
}

/// Measures rows as they change, and knows how high each was.
#[derive(Clone, Copy)]
struct Rows {
    heights: StoredValue<Heights>,
    /// Changes with what is known of heights.
    learnt: RwSignal<u32>,
    observer: StoredValue<Option<ResizeObserver>, LocalStorage>,
}

impl Rows {
    fn new() -> Self {
        let rows = Self {
            heights: StoredValue::default(),
            learnt: RwSignal::new(0),
            observer: StoredValue::new_local(None),
        };
        let measured = Closure::<dyn Fn(Array)>::new(move |entries: Array| {
            let entries = entries.iter().filter_map(|entry| entry.dyn_into::<ResizeObserverEntry>().ok());
            rows.learn(entries.map(|entry| entry.target()));
        });
        // Lives as long as the document. Without it every row counts as usual.
        let observer = ResizeObserver::new(measured.into_js_value().unchecked_ref()).ok();
        rows.observer.set_value(observer);
        rows
    }

    /// Takes in how high these rows are now.
    fn learn(self, rows: impl Iterator<Item = Element>) {
        // A row above what is read pushes that away when it grows: it is followed.
        let mut pushed = 0.0;
        let mut learnt = false;
        for row in rows {
            let Some(id) = row.get_attribute("data-id").and_then(|id| id.parse().ok()) else { continue };
            let place = row.get_bounding_client_rect();
            // One that has left the document has no height.
            if place.height() < 1.0 {
                continue;
            }
            let known = self.heights.try_update_value(|heights| heights.learn(id, place.height()));
            if let Some(difference) = known.flatten() {
                learnt = true;
                pushed += if place.bottom() - difference < 0.0 { difference } else { 0.0 };
            }
        }
        if learnt {
            let _ = self.learnt.try_update(|count| *count = count.wrapping_add(1));
        }
        if pushed.abs() >= 1.0 {
            leptos::prelude::window().scroll_by_with_x_and_y(0.0, pushed);
        }
    }

    /// Has a row measured for as long as it is there.
    fn watch(self, item: NodeRef<Li>) {
        let observed = move |act: fn(&ResizeObserver, &Element), item: &Element| {
            // The list itself may be going.
            let _ = self.observer.try_with_value(|observer| {
                if let Some(observer) = observer {
                    act(observer, item);
                }
            });
        };
        item.on_load(move |item| observed(ResizeObserver::observe, &item));
        on_cleanup(move || {
            if let Some(item) = item.try_get_untracked().flatten() {
                observed(ResizeObserver::unobserve, &item);
            }
        });
    }
}

pub(super) fn list(view: View) -> impl IntoView {
    let list = NodeRef::<Ul>::new();
    let probe = NodeRef::<Div>::new();
    let sight = RwSignal::new(Sight { top: f64::NAN, viewport: f64::NAN });
    let known = Rows::new();
    let measure = move || {
        let (Some(list), Some(probe)) = (list.get_untracked(), probe.get_untracked()) else { return };
        let viewport = leptos::prelude::window().inner_height().ok().and_then(|height| height.as_f64());
        let seen =
            Sight { top: -list.get_bounding_client_rect().top(), viewport: viewport.unwrap_or(f64::NAN) };
        let usual = probe.get_bounding_client_rect().height();
        if known.heights.try_update_value(|heights| heights.set_usual(usual)) == Some(true) {
            known.learnt.update(|count| *count = count.wrapping_add(1));
        }
        if sight.get_untracked() != seen {
            sight.set(seen);
        }
    };
    for event in ["scroll", "resize"] {
        let handle = window_event_listener_untyped(event, move |_| measure());
        on_cleanup(move || handle.remove());
    }
    Effect::new(move || {
        list.track();
        probe.track();
        // A banner or a wrapped filter bar moves the list.
        view.store.connection.track();
        view.listing.track();
        request_animation_frame(measure);
    });
    let slice = Memo::new(move |_| {
        known.learnt.track();
        let Sight { top, viewport } = sight.get();
        view.listing
            .with(|listing| known.heights.with_value(|heights| heights.slice(&listing.ids, top, viewport)))
    });
    let count = move || view.listing.with(|listing| listing.ids.len());
    let range = Memo::new(move |_| slice.with(|slice| slice.rows.clone()));
    let rows = move || {
        let range = range.get();
        view.listing.with(|listing| listing.ids.get(range).unwrap_or_default().to_vec())
    };
    view! {
        <ul
            class="rows"
            class:rows-stale=move || matches!(view.store.connection.get(), Connection::Lost(_))
            aria-label="Downloads"
            node_ref=list
            hidden=move || count() == 0
            style:padding-top=move || slice.with(|slice| format!("{}px", slice.above))
            style:padding-bottom=move || slice.with(|slice| format!("{}px", slice.below))
        >
            <For each=rows key=|id| *id children=move |id| {
                let place = move || view.listing.with(|listing| listing.position(id));
                let item = NodeRef::<Li>::new();
                known.watch(item);
                view! {
                    <li node_ref=item data-id=id.to_string() aria-posinset=place aria-setsize=count>
                        {download_row(view.store, id, Place::Page, move |row| view.queue.facts(row), row::buttons(view, id))}
                    </li>
                }
            } />
        </ul>
        <div class="row-probe" aria-hidden="true" node_ref=probe></div>
        {move || (count() == 0).then(|| empty(view))}
        {move || match view.extent.get() {
            Extent::Part(total) if count() > 0 => Some(view! {
                <p class="list-end">
                    {format!("The newest of {total} downloads are listed. Search finds older ones.")}
                </p>
            }),
            _ => None,
        }}
    }
}

/// Nothing to list: says why, and what to do.
fn empty(view: View) -> impl IntoView {
    let searched = !view.query.get().trim().is_empty();
    let filter = view.filter.get();
    if view.store.snapshots.get() == 0 || view.extent.get() == Extent::Reading {
        return view! { <p class="boot" role="status">"Reading the list…"</p> }.into_any();
    }
    if searched || filter != Filter::All {
        let text = match (searched, filter) {
            (true, Filter::All) => "No download matches this search.".to_owned(),
            (true, other) => format!("No download under “{}” matches this search.", other.label()),
            (false, other) => format!("No download is under “{}”.", other.label()),
        };
        let clear = move |_| {
            view.query.set(String::new());
            view.filter.set(Filter::All);
        };
        return view! {
            <div class="empty">
                {icon(|| Icon::Search)}
                <h2>{text}</h2>
                <button type="button" class="button" on:click=clear>"Show all downloads"</button>
            </div>
        }
        .into_any();
    }
    view! {
        <div class="empty">
            {icon(|| Icon::Save)}
            <h2>"Nothing downloaded yet"</h2>
            <p>
                "Play a video or open a file in the browser, then click Weir’s button in the toolbar. "
                "Or paste an address here."
            </p>
            <button type="button" class="button button-primary" on:click=move |_| view.adding.set(true)>
                "Add by address"
            </button>
        </div>
    }
    .into_any()
}
