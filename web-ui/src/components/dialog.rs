//! Native dialogs: the browser traps the focus and gives it back; where its row has gone, [`crate::focus`] does.

use leptos::html::Dialog;
use leptos::prelude::*;
use weir_protocol::DownloadStatus;

use crate::store::Store;

/// Opens the dialog as modal while the condition holds, closes it otherwise.
pub fn show_modal_when(dialog: NodeRef<Dialog>, wanted: impl Fn() -> bool + 'static) {
    Effect::new(move || {
        let wanted = wanted();
        let Some(dialog) = dialog.get() else { return };
        if wanted && !dialog.open() {
            let _ = dialog.show_modal();
        } else if !wanted && dialog.open() {
            dialog.close();
        }
    });
}

/// Asks before a row goes; of a finished one, whether the file is to go as well.
pub fn remove_dialog(store: Store) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let asked = move || store.removing.get().is_some();
    show_modal_when(dialog, asked);
    let row = Memo::new(move |_| {
        let id = store.removing.get()?;
        store.with_row(id, |row| (row.filename.clone(), row.status))
    });
    let name = move || row.get().map(|(name, _)| name).unwrap_or_default();
    let status = move || row.get().map(|(_, status)| status);
    let finished = Memo::new(move |_| status() == Some(DownloadStatus::Completed));
    let choose = move |files: Option<bool>| {
        let id = store.removing.get_untracked();
        store.removing.set(None);
        if let (Some(id), Some(files)) = (id, files) {
            store.delete(id, files);
        }
    };
    view! {
        <dialog
            class="dialog"
            node_ref=dialog
            aria-labelledby="remove-title"
            aria-describedby="remove-text"
            on:close=move |_| choose(None)
        >
            <h2 id="remove-title">"Remove " <bdi dir="auto">{name}</bdi> "?"</h2>
            <p id="remove-text">
                {move || match status() {
                    Some(DownloadStatus::Completed) => {
                        "The list entry can go alone, or together with the file on disk."
                    }
                    // Nothing of it is left.
                    Some(DownloadStatus::Cancelled) | None => "It leaves the list.",
                    Some(_) => "It leaves the list, and what has arrived of it goes as well.",
                }}
            </p>
            <div class="dialog-buttons">
                <button type="button" class="button" autofocus on:click=move |_| choose(None)>"Keep it"</button>
                <button type="button" class="button" hidden=move || !finished.get() on:click=move |_| choose(Some(false))>
                    "List only"
                </button>
                // Asked about a part, it never takes the whole that has come of it meanwhile.
                <button type="button" class="button button-danger" on:click=move |_| choose(Some(finished.get_untracked()))>
                    {move || if finished.get() { "With file" } else { "Remove" }}
                </button>
            </div>
        </dialog>
    }
}
