//! The one polite live region.

use leptos::prelude::*;

use crate::store::Store;

/// Says transitions to those who do not see the bars; never a percentage.
pub fn live_region(store: Store) -> impl IntoView {
    view! {
        <div class="unseen" role="status" aria-live="polite" aria-atomic="true">
            {move || store.announcement.get()}
        </div>
    }
}
