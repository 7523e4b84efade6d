//! The progress bar.
//!
//! Invariant: a `role=progressbar` named by the file, 0 to 100, without a value while the whole is unknown.

use leptos::prelude::*;
use weir_protocol::{DownloadId, DownloadStatus};

use crate::format;
use crate::store::Store;

/// The bar of one download. Its width is set through the CSSOM: the page's policy forbids style attributes.
pub fn progress_bar(store: Store, id: DownloadId, name: Memo<String>) -> impl IntoView {
    let value = Memo::new(move |_| store.with_row(id, format::bar_value).flatten());
    // Finer than the spoken percent, so that a long download is seen to move.
    let share = move || store.with_row(id, |row| row.progress.clamp(0.0, 100.0) / 100.0).unwrap_or(0.0);
    let moving =
        Memo::new(move |_| store.with_row(id, |row| row.status == DownloadStatus::Finishing) == Some(true));
    view! {
        <div
            class="bar"
            class:bar-unknown=move || value.get().is_none()
            class:bar-finishing=move || moving.get()
            role="progressbar"
            aria-label=move || name.get()
            aria-valuemin="0"
            aria-valuemax="100"
            aria-valuenow=move || value.get().map(|value| value.to_string())
            aria-valuetext=move || store.with_row(id, format::bar_text)
        >
            <div class="bar-fill" style:transform=move || format!("scaleX({:.4})", share())></div>
        </div>
    }
}
