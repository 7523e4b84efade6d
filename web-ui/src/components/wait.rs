//! When a row that waits for its time begins, counted down where that is soon.
//!
//! Invariant: a clock runs only while a row in the document has less than an hour to wait.

use leptos::prelude::*;
use weir_protocol::DownloadId;

use crate::store::Store;
use crate::{browser, format};

/// The sentence of a row that waits for its time, and with it why it was stopped; and whether it was.
pub fn wait(store: Store, id: DownloadId) -> Memo<Option<(String, bool)>> {
    let moment =
        Memo::new(move |_| store.with_row(id, |row| row.start_at.clone().filter(|_| row.waits())).flatten());
    let counted = move || {
        moment.with(|moment| {
            moment
                .as_deref()
                .map(browser::seconds_until)
                .is_some_and(|left| left > -1.0 && left < format::COUNTED)
        })
    };
    let second = browser::every_second(counted);
    Memo::new(move |_| {
        second.track();
        moment
            .with(|moment| {
                let left = moment.as_deref().map(browser::seconds_until);
                let at = || moment.as_deref().map(browser::local_time).unwrap_or_default();
                store.with_row(id, |row| {
                    let begins = format::waiting(row, left, at)?;
                    Some(match &row.error {
                        Some(error) => (format!("{begins}. {}", error.message), true),
                        None => (begins, false),
                    })
                })
            })
            .flatten()
    })
}
