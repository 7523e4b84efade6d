//! Native dialogs: the browser traps the focus and gives it back.

use leptos::html::Dialog;
use leptos::prelude::*;

use crate::browser;
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

/// Asks before a row goes: from the list only, or the file as well.
pub fn remove_dialog(store: Store) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let asked = move || store.removing.get().is_some();
    show_modal_when(dialog, asked);
    let row = Memo::new(move |_| {
        let id = store.removing.get()?;
        store.with_row(id, |row| (row.filename.clone(), row.status.is_active()))
    });
    let name = move || row.get().map(|(name, _)| name).unwrap_or_default();
    let running = move || row.get().is_some_and(|(_, running)| running);
    let choose = move |files: Option<bool>| {
        let id = store.removing.get_untracked();
        store.removing.set(None);
        if let (Some(id), Some(files)) = (id, files) {
            store.delete(id, files);
            // The dialog gives the focus back to a button that is about to go with its row.
            request_animation_frame(browser::focus_main);
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
                {move || {
                    if running() {
                        "It is still running and will be stopped. What should go?"
                    } else {
                        "The list entry can go alone, or together with the file on disk."
                    }
                }}
            </p>
            <div class="dialog-buttons">
                <button type="button" class="button" autofocus on:click=move |_| choose(None)>"Keep it"</button>
                <button type="button" class="button" on:click=move |_| choose(Some(false))>"List only"</button>
                <button type="button" class="button button-danger" on:click=move |_| choose(Some(true))>
                    "With file"
                </button>
            </div>
        </dialog>
    }
}
