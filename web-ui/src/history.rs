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

/// Where one pass over the history stands.
#[derive(Debug, Default)]
struct Pass {
    seen: usize,
    removed: usize,
}

impl Pass {
    /// Offset of the next page. Rows removed since the pass began no longer push later ones back; new rows do, so
    /// a page may repeat some, which is harmless.
    const fn offset(&self) -> usize {
        self.seen.saturating_sub(self.removed)
    }

    /// Takes a page of `count` rows of `total`, after `removed` rows went since the pass began. Tells how much of
    /// the history is here once the pass is over.
    const fn take(&mut self, count: usize, total: usize, removed: usize) -> Option<Extent> {
        self.seen += count;
        self.removed = removed;
        if count == 0 || self.offset() >= total {
            Some(Extent::Whole)
        } else if self.seen >= MOST_ROWS {
            Some(Extent::Part(total))
        } else {
            None
        }
    }
}

/// One pass over the history. None when a newer snapshot made it pointless or the daemon went away, in which
/// case a snapshot will come.
async fn read(store: Store, client: &Client, snapshot: u32) -> Option<Extent> {
    store.history_begins();
    let mut pass = Pass::default();
    // Each page brings a row or ends the pass, and `MOST_ROWS` ends it as well.
    loop {
        let page = client.list("", pass.offset(), PAGE).await.ok()?;
        if store.snapshots.get_untracked() != snapshot {
            return None;
        }
        let count = page.downloads.len();
        let removed = store.history_page(page.downloads);
        if let Some(extent) = pass.take(count, page.total, removed) {
            if extent == Extent::Whole {
                store.history_ends();
            }
            return Some(extent);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    /// A list that loses rows and gains rows between two pages.
    fn pass_over(rows: u32, page: usize, removes: &[u32], adds: u32) -> (BTreeSet<u32>, Vec<u32>, Extent) {
        let mut list: Vec<u32> = (0..rows).rev().collect();
        let mut pass = Pass::default();
        let mut read = BTreeSet::new();
        let mut removed = 0;
        for round in 0_u32.. {
            let total = list.len();
            let got: Vec<u32> = list.iter().copied().skip(pass.offset()).take(page).collect();
            read.extend(&got);
            if let Some(gone) = removes.get(round as usize)
                && let Some(at) = list.iter().position(|row| row == gone)
            {
                list.remove(at);
                removed += 1;
            }
            if let Some(extent) = pass.take(got.len(), total, removed) {
                return (read, list, extent);
            }
            if round < adds {
                list.insert(0, rows + round);
            }
            assert!(round < 10_000, "the pass must end");
        }
        unreachable!()
    }

    #[test]
    fn a_pass_misses_no_row_that_was_there_all_along() {
        for (rows, removes, adds) in [
            (0, vec![], 0),
            (25, vec![], 0),
            (100, vec![95, 3, 50, 60], 0),
            (100, vec![99, 98, 97], 3),
            (40, vec![], 5),
        ] {
            let (read, left, extent) = pass_over(rows, 10, &removes, adds);
            assert_eq!(extent, Extent::Whole);
            let missed: Vec<u32> =
                left.into_iter().filter(|row| *row < rows && !read.contains(row)).collect();
            assert!(missed.is_empty(), "{rows} rows, {removes:?} removed, {adds} added: missed {missed:?}");
        }
    }

    #[test]
    fn a_pass_stops_at_the_most_it_may_hold() {
        let mut pass = Pass::default();
        let total = MOST_ROWS * 3;
        let mut pages = 0;
        let extent = loop {
            pages += 1;
            if let Some(extent) = pass.take(PAGE, total, 0) {
                break extent;
            }
        };
        assert_eq!(extent, Extent::Part(total));
        assert_eq!(pages * PAGE, MOST_ROWS);
    }
}
