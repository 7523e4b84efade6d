//! The queue as the page shows it: the order of what waits, what each row waits for, and moving.
//!
//! Never sorts by itself what the daemon did not. Invariant: a move is told when the daemon's order has changed, not
//! when a button was pressed.

use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{Download, DownloadId, MoveTo, Settings};

use crate::browser;
use crate::client::Failure;
use crate::line::{self, Line};
use crate::store::Store;

/// A handle: copies mean the same queue.
#[derive(Clone, Copy)]
pub(super) struct Queue {
    store: Store,
    /// The row a person has just moved, which way, and where it stood.
    moved: StoredValue<Option<(DownloadId, MoveTo, Option<usize>)>>,
    /// Who waits for their turn, in order.
    pub(super) line: Memo<Line>,
    /// The daemon's settings, once they were read.
    pub(super) settings: RwSignal<Option<Settings>>,
}

impl Queue {
    pub(super) fn new(store: Store) -> Self {
        Self {
            store,
            moved: StoredValue::new(None),
            line: Memo::new(move |_| store.with_book(Line::new)),
            settings: RwSignal::new(None),
        }
    }

    /// What a row that waits for its turn waits for, and its place.
    pub(super) fn facts(self, row: &Download) -> Vec<String> {
        self.line.with(|line| {
            let reason = self.settings.with(|settings| {
                settings.as_ref().and_then(|settings| line.reason(row, settings, browser::local_time))
            });
            reason.into_iter().chain(line.place_text(row.id)).collect()
        })
    }

    /// Gives a waiting row another place. The feed tells which, and [`Self::tell_move`] says it.
    pub(super) fn relocate(self, id: DownloadId, to: MoveTo) {
        let place = self.line.with_untracked(|line| line.can_move(id, to).then(|| line.place(id)));
        // At the edge already: that is an answer, too.
        let Some(place) = place else {
            let name = self.name(id).unwrap_or_default();
            return self.store.say(&format!("{name} cannot go further {}.", line::direction(to)));
        };
        self.moved.set_value(Some((id, to, place)));
        let store = self.store;
        spawn_local(async move {
            let outcome = match store.client.get_untracked() {
                Some(client) => client.relocate(id, to).await,
                None => Err(Failure::Unreachable),
            };
            store.settle(id, outcome);
        });
    }

    /// Says where the row just moved stands now, once it does. Answers which row that is, and which way it went. Wakes
    /// with the line.
    pub(super) fn tell_move(self) -> Option<(DownloadId, MoveTo)> {
        let (place, text, id, to) = self.line.with(|line| {
            let (id, to, before) = self.moved.get_value()?;
            let place = line.place(id);
            (place != before).then(|| (place, line.place_text(id), id, to))
        })?;
        self.moved.set_value(None);
        let name = self.name(id)?;
        if place.is_some() {
            self.store.say(&format!("{name} is now {}.", text.as_deref().unwrap_or("alone in the queue")));
        }
        Some((id, to))
    }

    fn name(self, id: DownloadId) -> Option<String> {
        untrack(|| self.store.with_row(id, |row| row.filename.clone()))
    }
}
