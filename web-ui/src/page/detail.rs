//! All there is to know of one download, in full where the row had to cut.
//!
//! Invariant: addresses become links only when they are of the web; everything else is text.

use leptos::html::Dialog;
use leptos::prelude::*;
use weir_protocol::Download;

use crate::components::{error_note, page_link, show_modal_when};
use crate::store::Store;
use crate::{browser, format};

pub(super) fn dialog(store: Store) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    show_modal_when(dialog, move || store.detailed.get().is_some());
    // Without what every tick changes: a rebuilt list would take the focus from its links.
    let shown = Memo::new(move |_| {
        let id = store.detailed.get()?;
        store.with_row(id, |row| Download {
            progress: 0.0,
            received_bytes: 0,
            speed: 0,
            eta: None,
            connections: 0,
            ..row.clone()
        })
    });
    let close = move || store.detailed.set(None);
    view! {
        <dialog class="dialog dialog-wide" node_ref=dialog aria-labelledby="detail-title" on:close=move |_| close()>
            {move || match shown.get() {
                Some(download) => details(store, &download).into_any(),
                None => view! { <h2 id="detail-title">"This download was removed"</h2> }.into_any(),
            }}
            <div class="dialog-buttons">
                <button type="button" class="button" autofocus on:click=move |_| close()>"Close"</button>
            </div>
        </dialog>
    }
}

/// What changes all the time, in one line.
fn state(download: &Download) -> String {
    let mut state = vec![format::status(download.status).to_owned()];
    state.extend(format::facts(download, false));
    if download.connections > 0 {
        state.push(format!("{} connections", download.connections));
    }
    state.dedup();
    state.join(" · ")
}

fn details(store: Store, download: &Download) -> impl IntoView + use<> {
    let id = download.id;
    let facts = [
        ("Kind", Some(format::kind(download.kind).to_owned())),
        ("Quality", download.quality.clone()),
        ("Title", download.title.clone()),
        ("File", Some(download.path.clone())),
        ("Category", download.category.clone()),
        ("Limit", download.rate_limit.map(format::speed)),
        ("SHA-256", download.sha256.clone()),
        ("Starts", download.start_at.as_deref().map(browser::local_time)),
        ("Added", Some(browser::local_time(&download.created_at))),
        ("Finished", download.finished_at.as_deref().map(browser::local_time)),
    ];
    let facts = facts.into_iter().filter_map(|(label, value)| {
        value.map(|value| view! { <dt>{label}</dt><dd><bdi dir="auto">{value}</bdi></dd> })
    });
    let links = [("Address", Some(download.url.clone())), ("Page", download.page_url.clone())];
    let links = links.into_iter().filter_map(|(label, address)| {
        address.map(|address| view! { <dt>{label}</dt><dd>{link(address)}</dd> })
    });
    let error = download.error.as_ref().map(|error| {
        let to_page = page_link(error, download.page_url.as_deref());
        view! { <div class="detail-error">{error_note(error, to_page)}</div> }
    });
    view! {
        <h2 id="detail-title"><bdi dir="auto">{download.filename.clone()}</bdi></h2>
        {error}
        <dl class="details">
            <dt>"State"</dt>
            <dd>{move || store.with_row(id, state)}</dd>
            {facts.collect_view()}
            {links.collect_view()}
        </dl>
    }
}

fn link(address: String) -> impl IntoView {
    if format::is_web(&address) {
        let text = address.clone();
        view! { <a href=address target="_blank" rel="noopener noreferrer"><bdi dir="auto">{text}</bdi></a> }
            .into_any()
    } else {
        view! { <bdi dir="auto">{address}</bdi> }.into_any()
    }
}
