//! Reads the whole history after every snapshot, so that search and scrolling need no server.
//!
//! A snapshot holds everything unfinished and the newest of the history; the rest comes from `/list`, page after
//! page. Invariant: at most [`MOST_ROWS`] rows are held by this; beyond that the search asks the daemon.

use leptos::prelude::*;
use leptos::task::spawn_local;

use crate::browser;
use crate::client::Client;
use crate::store::Store;

/// Rows a page of `/list` brings; the most the daemon gives.
const PAGE: usize = 1_000;

/// Rows read without being asked for. Some 20 MB of memory; nobody scrolls further.
pub const MOST_ROWS: usize = 20_000;

/// Waited after the last key before the daemon is asked.
const SEARCH_AFTER_MS: u32 = 200;

/// How much of the history is here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Extent {
    /// Not all yet.
    #[default]
    Reading,
    /// All of it.
    Whole,
    /// More than is held; the number the daemon has in all.
    Part(usize),
}

/// Keeps the store's history complete. `query` is what is searched for: the daemon is asked for it when not all
/// rows are here.
#[must_use]
pub fn keep(store: Store, query: Signal<String>) -> ReadSignal<Extent> {
    let (extent, set_extent) = signal(Extent::Reading);
    Effect::new(move || {
        let snapshot = store.snapshots.get();
        if snapshot == 0 {
            return;
        }
        set_extent.set(Extent::Reading);
        let Some(client) = store.client.get_untracked() else { return };
        spawn_local(async move {
            if let Some(read) = read(store, &client, snapshot).await {
                set_extent.set(read);
            }
        });
    });
    Effect::new(move || {
        let text = query.get();
        let partial = matches!(extent.get(), Extent::Part(_));
        if !partial || text.trim().is_empty() {
            return;
        }
        spawn_local(async move {
            browser::sleep(SEARCH_AFTER_MS).await;
            if query.get_untracked() != text {
                return;
            }
            let Some(client) = store.client.get_untracked() else { return };
            if let Ok(page) = client.list(text.trim(), 0, PAGE).await {
                store.history_page(page.downloads);
            }
        });
    });
    extent
}

/// One pass over the history. None when a newer snapshot made it pointless or the daemon went away, in which
/// case a snapshot will come.
async fn read(store: Store, client: &Client, snapshot: u32) -> Option<Extent> {
    store.history_begins();
    let mut seen = 0;
    let mut removed = 0;
    // Each page moves on by at least one row or ends the loop, so it ends.
    while seen < MOST_ROWS {
        // Rows removed since the beginning no longer push later rows back.
        let page = client.list("", seen - removed.min(seen), PAGE).await.ok()?;
        if store.snapshots.get_untracked() != snapshot {
            return None;
        }
        let count = page.downloads.len();
        removed = store.history_page(page.downloads);
        seen += count;
        if count == 0 || seen >= page.total + removed {
            store.history_ends();
            return Some(Extent::Whole);
        }
        if seen >= MOST_ROWS {
            return Some(Extent::Part(page.total));
        }
    }
    None
}
