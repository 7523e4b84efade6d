//! The map of one file, and the asking for it.
//!
//! Invariant: the daemon is asked once when the details open or the download changes its state, and once a second
//! while it runs and they are open and in sight; never otherwise.

use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{DownloadKind, DownloadStatus, Ranges};

use crate::browser;
use crate::map::{HEIGHT, Map, WIDTH};
use crate::store::Store;

const AGAIN_AFTER_MS: u32 = 1_000;

/// The map of the download whose details are open; nothing for those that have none.
pub(super) fn map(store: Store) -> impl IntoView {
    let ranges = RwSignal::new(None::<Ranges>);
    // A stream is made of segments, and a finished file is all there.
    let wanted = Memo::new(move |_| {
        let id = store.detailed.get()?;
        let unfinished = |status| !matches!(status, DownloadStatus::Completed | DownloadStatus::Cancelled);
        let has = store.with_row(id, |row| row.kind == DownloadKind::File && unfinished(row.status));
        (has == Some(true)).then_some(id)
    });
    let runs = Memo::new(move |_| {
        wanted.get().and_then(|id| store.with_row(id, |row| row.status.is_running())).unwrap_or(false)
    });
    let round = StoredValue::new(0_u32);
    Effect::new(move |before: Option<Option<i64>>| {
        let (id, runs) = (wanted.get(), runs.get());
        if before != Some(id) {
            ranges.set(None);
        }
        round.update_value(|round| *round = round.wrapping_add(1));
        let mine = round.get_value();
        let current = move || round.try_get_value() == Some(mine);
        if let Some(id) = id {
            spawn_local(async move {
                while current() {
                    if !document().hidden()
                        && let Some(client) = store.client.get_untracked()
                        && let Ok(answer) = client.ranges(id).await
                        && current()
                    {
                        ranges.set(Some(answer));
                    }
                    if !runs {
                        return;
                    }
                    browser::sleep(AGAIN_AFTER_MS).await;
                }
            });
        }
        id
    });
    let drawn = Memo::new(move |_| ranges.with(|ranges| ranges.as_ref().map(Map::new)));
    let known = Memo::new(move |_| drawn.with(|drawn| matches!(drawn, Some(Some(_)))));
    let of = move |part: fn(&Map) -> String| {
        drawn.with(|drawn| drawn.as_ref().and_then(Option::as_ref).map(part)).unwrap_or_default()
    };
    let picture = move || {
        known.get().then(|| {
            view! {
                <svg
                    class="map-file"
                    role="img"
                    aria-label=move || format!("Map of the file: {}", of(|map| map.words.clone()))
                    viewBox=format!("0 0 {WIDTH} {HEIGHT}")
                    preserveAspectRatio="none"
                >
                    <path class="map-active" d=move || of(|map| map.active.clone())></path>
                    <path class="map-done" d=move || of(|map| map.done.clone())></path>
                </svg>
                <p class="map-words" aria-hidden="true">{move || of(|map| map.words.clone())}</p>
                <ul class="map-key" aria-hidden="true">
                    <li class="map-key-done">"On disk"</li>
                    <li class="map-key-active">"Being fetched"</li>
                    <li class="map-key-missing">"Missing"</li>
                </ul>
            }
        })
    };
    let unknown = Memo::new(move |_| drawn.with(|drawn| matches!(drawn, Some(None))));
    let instead = move || {
        unknown.get().then(|| {
            view! { <p class="hint">"No map yet: the size of the file is not known."</p> }
        })
    };
    // The room is kept from the beginning, so that nothing below it jumps.
    move || wanted.get().map(|_| view! { <div class="map">{picture}{instead}</div> })
}
