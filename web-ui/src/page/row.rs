//! The buttons a row has on the page only: its place in the queue, a copy of the file, its link, removal.
//!
//! Invariant: a move keeps the keyboard's focus on the button that was pressed, wherever the row goes.

use leptos::prelude::*;
use weir_protocol::{DownloadId, DownloadStatus, MoveTo};

use super::app::View;
use super::queue::Queue;
use crate::browser;
use crate::components::{Icon, copy_button, icon, name_of, remove_button};
use crate::line;

pub(super) fn buttons(view: View, id: DownloadId) -> impl IntoView {
    let (store, queue) = (view.store, view.queue);
    let name = name_of(store, id);
    let status = Memo::new(move |_| store.with_row(id, |row| row.status));
    // One that waits alone stands where it stands.
    let movable = Memo::new(move |_| {
        status.get() == Some(DownloadStatus::Queued) && queue.line.with(|line| line.len() > 1)
    });
    let moves = move || {
        movable.get().then(|| {
            view! {
                {move_button(queue, id, name, MoveTo::Up)}
                {move_button(queue, id, name, MoveTo::Down)}
            }
        })
    };
    let finished = Memo::new(move |_| status.get() == Some(DownloadStatus::Completed));
    // The page's own origin: the browser follows it with the session's cookie.
    let address = format!("/download/{id}/file");
    let save = move || {
        finished.get().then(|| {
            view! {
                <a
                    class="icon-button"
                    href=address.clone()
                    download=move || name.get()
                    aria-label=move || format!("Save a copy of {}", name.get())
                    title="Save a copy"
                >
                    {icon(|| Icon::Save)}
                </a>
            }
        })
    };
    let link = move || store.with_row(id, |row| row.url.clone()).unwrap_or_default();
    view! {
        {moves}
        {save}
        {copy_button(store, move || format!("Copy link of {}", name.get()), link, None)}
        {remove_button(store, id, name)}
    }
}

/// At the edge of the queue the button stays, and keeps the focus: pressed again, it says that it is the edge.
fn move_button(queue: Queue, id: DownloadId, name: Memo<String>, to: MoveTo) -> impl IntoView {
    let possible = Memo::new(move |_| queue.line.with(|line| line.can_move(id, to)));
    let up = to == MoveTo::Up;
    view! {
        <button
            type="button"
            class="icon-button"
            id=element(id, to)
            aria-label=move || line::move_name(to, &name.get())
            title=if up { "Move up in the queue" } else { "Move down in the queue" }
            aria-disabled=move || (!possible.get()).then_some("true")
            on:click=move |_| queue.relocate(id, to)
        >
            {icon(move || if up { Icon::Up } else { Icon::Down })}
        </button>
    }
}

fn element(id: DownloadId, to: MoveTo) -> String {
    format!("move-{id}-{}", if to == MoveTo::Up { "up" } else { "down" })
}

/// Tells of each move when it has happened. A row that changes its place in the document loses the focus: it is given
/// back.
pub(super) fn tell_moves(queue: Queue) {
    Effect::new(move || {
        let Some((id, to)) = queue.tell_move() else { return };
        request_animation_frame(move || {
            if browser::nothing_focused() && !browser::focus(&element(id, to)) {
                browser::focus_main();
            }
        });
    });
}
