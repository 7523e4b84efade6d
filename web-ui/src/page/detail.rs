//! All there is to know of one download, in full where the row had to cut, and what can be set for it alone.
//!
//! Invariant: addresses become links only when they are of the web, and are shown without what may be secret in them;
//! everything else is text. What changes all the time never rebuilds what may have the keyboard's focus.

use leptos::html::Dialog;
use leptos::prelude::*;
use weir_protocol::{Download, DownloadId, DownloadKind, DownloadStatus, MoveTo};

use super::app::View;
use super::queue::Queue;
use super::{limit, ranges};
use crate::components::{error_note, live_region, name_of, page_link, show_modal_when, wait, waiting_note};
use crate::store::Store;
use crate::{browser, format, line};

pub(super) fn dialog(view: View) -> impl IntoView {
    let (store, queue) = (view.store, view.queue);
    let dialog = NodeRef::<Dialog>::new();
    show_modal_when(dialog, move || store.detailed.get().is_some());
    // Without what ticks and what is set here: a rebuilt list would take the focus from its links.
    let shown = Memo::new(move |_| {
        let id = store.detailed.get()?;
        store.with_row(id, |row| Download {
            progress: 0.0,
            received_bytes: 0,
            speed: 0,
            eta: None,
            connections: 0,
            recorded_s: None,
            priority: 0,
            position: 0,
            rate_limit: None,
            ..row.clone()
        })
    });
    let unfinished = Memo::new(move |_| {
        let id = store.detailed.get()?;
        let open = |status| !matches!(status, DownloadStatus::Completed | DownloadStatus::Cancelled);
        store.with_row(id, |row| open(row.status)).filter(|open| *open).map(|_| id)
    });
    let queued = Memo::new(move |_| {
        let id = unfinished.get()?;
        store.with_row(id, |row| row.status == DownloadStatus::Queued).filter(|queued| *queued).map(|_| id)
    });
    let close = move || store.detailed.set(None);
    view! {
        <dialog class="dialog dialog-wide" node_ref=dialog aria-labelledby="detail-title" on:close=move |_| close()>
            {move || match shown.get() {
                Some(download) => head(store, &download).into_any(),
                None => view! { <h2 id="detail-title">"This download was removed"</h2> }.into_any(),
            }}
            {ranges::map(store)}
            {move || shown.get().map(|download| facts(store, &download))}
            {move || queued.get().map(|id| moves(queue, id, name_of(store, id)))}
            {move || unfinished.get().map(|id| limit::form(store, id, name_of(store, id)))}
            // The page's own is out of reach while this is open.
            {live_region(store)}
            <div class="dialog-buttons">
                <button type="button" class="button" autofocus on:click=move |_| close()>"Close"</button>
            </div>
        </dialog>
    }
}

fn head(store: Store, download: &Download) -> impl IntoView + use<> {
    let error = download.error.as_ref().filter(|_| !download.waits()).map(|error| {
        let to_page = page_link(error, download.page_url.as_deref());
        view! { <div class="detail-error">{error_note(error, to_page)}</div> }
    });
    let waiting = wait(store, download.id);
    view! {
        <h2 id="detail-title"><bdi dir="auto">{download.filename.clone()}</bdi></h2>
        {error}
        {move || waiting.get().map(|(waiting, failed)| waiting_note(waiting, failed))}
    }
}

/// What changes all the time, in one line.
fn state(download: &Download) -> String {
    let mut state = vec![format::state(download).to_owned()];
    state.extend(format::facts(download, false));
    // Those of a file are counted by its map, as they are now.
    if download.connections > 0 && download.kind != DownloadKind::File {
        state.push(format!("{} connections", download.connections));
    }
    state.dedup();
    state.join(" · ")
}

fn facts(store: Store, download: &Download) -> impl IntoView + use<> {
    let id = download.id;
    let ended = if download.status == DownloadStatus::Error { "Failed" } else { "Finished" };
    let facts = [
        ("Kind", Some(format::kind(download.kind).to_owned())),
        ("Quality", download.quality.clone()),
        ("Title", download.title.clone()),
        ("Lacks", download.lacks.clone()),
        ("Size", download.total_bytes.map(format::bytes)),
        ("Folder", Some(format::folder(&download.path).to_owned())),
        ("Category", download.category.clone()),
        ("SHA-256", download.sha256.clone()),
        ("Starts", download.start_at.as_deref().map(browser::local_time)),
        ("Added", Some(browser::local_time(&download.created_at))),
        (ended, download.finished_at.as_deref().map(browser::local_time)),
    ];
    let facts = facts.into_iter().filter_map(|(label, value)| {
        value.map(|value| view! { <dt>{label}</dt><dd><bdi dir="auto">{value}</bdi></dd> })
    });
    let links = [("Address", Some(download.url.clone())), ("Page", download.page_url.clone())];
    let links = links.into_iter().filter_map(|(label, address)| {
        address.map(|address| view! { <dt>{label}</dt><dd>{link(address)}</dd> })
    });
    view! {
        <dl class="details">
            <dt>"State"</dt>
            <dd>{move || store.with_row(id, state)}</dd>
            {facts.collect_view()}
            {links.collect_view()}
        </dl>
    }
}

/// The place of a waiting row, and every way to another.
fn moves(queue: Queue, id: DownloadId, name: Memo<String>) -> impl IntoView {
    let place = Memo::new(move |_| queue.line.with(|line| line.place_text(id)));
    let button = move |to: MoveTo, label: &'static str| {
        let possible = Memo::new(move |_| queue.line.with(|line| line.can_move(id, to)));
        view! {
            <button
                type="button"
                class="button"
                aria-label=move || line::move_name(to, &name.get())
                aria-disabled=move || (!possible.get()).then_some("true")
                on:click=move |_| queue.relocate(id, to)
            >
                {label}
            </button>
        }
    };
    view! {
        <div class="moves" role="group" aria-label="Place in the queue">
            <span class="part-label">
                {move || place.get().unwrap_or_else(|| "Alone in the queue".to_owned())}
            </span>
            <div class="moves-buttons">
                {button(MoveTo::First, "To the top")}
                {button(MoveTo::Up, "Up")}
                {button(MoveTo::Down, "Down")}
                {button(MoveTo::Last, "To the end")}
            </div>
        </div>
    }
}

fn link(address: String) -> impl IntoView {
    let text = format::bare_address(&address);
    if format::is_web(&address) {
        view! { <a href=address target="_blank" rel="noopener noreferrer"><bdi dir="auto">{text}</bdi></a> }
            .into_any()
    } else {
        view! { <bdi dir="auto">{text}</bdi> }.into_any()
    }
}
