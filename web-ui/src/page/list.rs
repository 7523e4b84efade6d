//! The list of downloads: only the rows in sight are in the document.
//!
//! Owns the measuring of the viewport. Invariant: every row is as high as `--row-height` says, so the place of
//! each is known without laying it out.

use std::ops::Range;

use leptos::html::{Div, Ul};
use leptos::prelude::*;

use super::app::View;
use super::row;
use crate::components::{Icon, Place, download_row, icon};
use crate::history::Extent;
use crate::listing::{Filter, window};
use crate::store::Connection;

/// What was measured last; CSS pixels.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
struct Sight {
    top: f64,
    viewport: f64,
    row: f64,
}

pub(super) fn list(view: View) -> impl IntoView {
    let list = NodeRef::<Ul>::new();
    let probe = NodeRef::<Div>::new();
    let sight = RwSignal::new(Sight::default());
    let measure = move || {
        let (Some(list), Some(probe)) = (list.get_untracked(), probe.get_untracked()) else { return };
        let viewport = leptos::prelude::window().inner_height().ok().and_then(|height| height.as_f64());
        let seen = Sight {
            top: -list.get_bounding_client_rect().top(),
            viewport: viewport.unwrap_or(f64::NAN),
            row: probe.get_bounding_client_rect().height(),
        };
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
    let range = Memo::new(move |_| {
        let sight = sight.get();
        window(sight.top, sight.viewport, sight.row, view.listing.with(|listing| listing.ids.len()))
    });
    let count = move || view.listing.with(|listing| listing.ids.len());
    let rows = move || {
        let Range { start, end } = range.get();
        view.listing
            .with(|listing| listing.ids.get(start..end.min(listing.ids.len())).unwrap_or_default().to_vec())
    };
    let pixels = move |rows: usize| format!("{}px", rows as f64 * sight.get().row);
    view! {
        <ul
            class="rows"
            class:rows-stale=move || matches!(view.store.connection.get(), Connection::Lost(_))
            aria-label="Downloads"
            node_ref=list
            hidden=move || count() == 0
            style:padding-top=move || pixels(range.get().start)
            style:padding-bottom=move || pixels(count().saturating_sub(range.get().end))
        >
            <For each=rows key=|id| *id children=move |id| {
                let place = move || view.listing.with(|listing| listing.position(id));
                view! {
                    <li aria-posinset=place aria-setsize=count>
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
