//! The view state: one [`Book`] behind signals fine enough that a progress tick redraws one row.
//!
//! Owns the connection's state, the notices of rows and what the live region says. Never speaks to the network
//! by itself. Invariant: everything shown of downloads is read from the book, and the book changes only through
//! [`Store::apply`], [`Store::history_page`] and their kin, which wake exactly the readers concerned.

use std::collections::HashMap;

use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{Download, DownloadId, ErrorInfo, Event};

use crate::announce::Announcer;
use crate::book::{Absent, Book, Change};
use crate::browser;
use crate::client::{Client, Failure};
use crate::command::Command;

/// Gathered this long before the live region speaks.
const ANNOUNCE_AFTER_MS: u32 = 600;

/// How fresh the view is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Connection {
    /// Nothing was heard yet.
    Connecting,
    /// What is shown is what the daemon knows.
    Live,
    /// The socket closed at this local time; what is shown may be stale.
    Lost(String),
}

/// The view state. A handle: copies mean the same state.
#[derive(Clone, Copy)]
pub struct Store {
    book: StoredValue<Book>,
    rows: StoredValue<HashMap<DownloadId, ArcTrigger>>,
    list: RwSignal<u64>,
    notices: StoredValue<HashMap<DownloadId, ErrorInfo>>,
    busy: StoredValue<HashMap<DownloadId, Command>>,
    announcer: StoredValue<Announcer>,
    /// What the live region says.
    pub announcement: RwSignal<String>,
    /// Complete snapshots so far.
    pub snapshots: RwSignal<u32>,
    /// Rows have been seen: what is dear to make and can be done without for a moment may follow.
    pub painted: RwSignal<bool>,
    /// How fresh the view is.
    pub connection: RwSignal<Connection>,
    /// The daemon to command; none while it is not known.
    pub client: RwSignal<Option<Client>>,
    /// The row whose details are open.
    pub detailed: RwSignal<Option<DownloadId>>,
    /// The row whose removal is being confirmed.
    pub removing: RwSignal<Option<DownloadId>>,
}

impl Store {
    /// An empty view.
    #[must_use]
    pub fn new(absent: Absent) -> Self {
        Self {
            book: StoredValue::new(Book::new(absent)),
            rows: StoredValue::default(),
            list: RwSignal::new(0),
            notices: StoredValue::default(),
            busy: StoredValue::default(),
            announcer: StoredValue::default(),
            announcement: RwSignal::new(String::new()),
            snapshots: RwSignal::new(0),
            painted: RwSignal::new(false),
            connection: RwSignal::new(Connection::Connecting),
            client: RwSignal::new(None),
            detailed: RwSignal::new(None),
            removing: RwSignal::new(None),
        }
    }

    /// A new socket is about to bring its snapshot.
    pub fn socket_begins(&self) {
        self.book.update_value(Book::socket_begins);
    }

    /// Reads the book; the reader is woken when a list made from it may be another.
    pub fn with_book<T>(&self, read: impl FnOnce(&Book) -> T) -> T {
        self.list.track();
        self.book.with_value(read)
    }

    /// Reads one row; the reader is woken when that row changes. None once it is gone.
    pub fn with_row<T>(&self, id: DownloadId, read: impl FnOnce(&Download) -> T) -> Option<T> {
        self.trigger(id).track();
        self.book.with_value(|book| book.get(id).map(read))
    }

    /// What went wrong with the last command to this row.
    #[must_use]
    pub fn notice(&self, id: DownloadId) -> Option<ErrorInfo> {
        self.trigger(id).track();
        self.notices.with_value(|notices| notices.get(&id).cloned())
    }

    /// The command to this row that is not answered yet.
    #[must_use]
    pub fn busy(&self, id: DownloadId) -> Option<Command> {
        self.trigger(id).track();
        self.busy.with_value(|busy| busy.get(&id).copied())
    }

    fn trigger(&self, id: DownloadId) -> ArcTrigger {
        self.rows.try_update_value(|rows| rows.entry(id).or_default().clone()).unwrap_or_default()
    }

    fn wake(&self, id: DownloadId) {
        // Only rows somebody has read have a trigger.
        if let Some(trigger) = self.rows.with_value(|rows| rows.get(&id).cloned()) {
            trigger.notify();
        }
    }

    /// Applies a frame of the daemon.
    pub fn apply(&self, event: Event) {
        if let Some(change) = self.book.try_update_value(|book| book.apply(event)) {
            self.changed(change);
        }
    }

    /// See [`Book::history_begins`].
    pub fn history_begins(&self) {
        self.book.update_value(Book::history_begins);
    }

    /// See [`Book::history_page`].
    pub fn history_page(&self, downloads: Vec<Download>) -> usize {
        let Some((change, removed)) = self.book.try_update_value(|book| book.history_page(downloads)) else {
            return 0;
        };
        self.changed(change);
        removed
    }

    /// See [`Book::history_ends`].
    pub fn history_ends(&self) {
        if let Some(change) = self.book.try_update_value(Book::history_ends) {
            self.changed(change);
        }
    }

    fn changed(&self, change: Change) {
        for id in &change.rows {
            self.wake(*id);
        }
        if change.list {
            self.list.update(|version| *version += 1);
        }
        if change.snapshot {
            self.snapshots.update(|count| *count += 1);
        }
        let first = self.announcer.try_update_value(|announcer| announcer.push(change.news));
        if first == Some(true) {
            let store = *self;
            spawn_local(async move {
                browser::sleep(ANNOUNCE_AFTER_MS).await;
                if let Some(text) = store.announcer.try_update_value(Announcer::flush).flatten() {
                    store.say(&text);
                }
            });
        }
    }

    /// Has the live region say this.
    pub fn say(&self, text: &str) {
        // The same words twice are a change only if something differs: a no-break space is not spoken.
        let again = self.announcement.with_untracked(|said| said == text);
        self.announcement.set(if again { format!("{text}\u{a0}") } else { text.to_owned() });
    }

    fn note(&self, id: DownloadId, notice: Option<ErrorInfo>) {
        self.notices.update_value(|notices| match notice {
            Some(notice) => drop(notices.insert(id, notice)),
            None => drop(notices.remove(&id)),
        });
        self.wake(id);
    }

    /// Takes a notice away.
    pub fn dismiss(&self, id: DownloadId) {
        self.note(id, None);
    }

    /// Sends a command to a row. What becomes of it is told by the feed; a refusal is shown at the row.
    pub fn command(&self, id: DownloadId, command: Command) {
        if self.busy.with_value(|busy| busy.contains_key(&id)) {
            return;
        }
        self.busy.update_value(|busy| {
            busy.insert(id, command);
        });
        self.note(id, None);
        let store = *self;
        spawn_local(async move {
            let outcome = match store.client.get_untracked() {
                Some(client) => client.command(id, command).await,
                None => Err(Failure::Unreachable),
            };
            store.busy.update_value(|busy| {
                busy.remove(&id);
            });
            store.settle(id, outcome);
        });
    }

    /// Removes a row, and its file when `files`.
    pub fn delete(&self, id: DownloadId, files: bool) {
        let store = *self;
        spawn_local(async move {
            let outcome = match store.client.get_untracked() {
                Some(client) => client.delete(id, files).await,
                None => Err(Failure::Unreachable),
            };
            store.settle(id, outcome);
        });
    }

    /// Takes in the answer to a command to a row.
    pub(crate) fn settle(&self, id: DownloadId, outcome: Result<(), Failure>) {
        match outcome {
            Ok(()) => self.wake(id),
            // Removed elsewhere, and the frame that said so was missed: then the row is the mistake.
            Err(failure) if failure.is_not_found() => {
                if let Some(change) = self.book.try_update_value(|book| book.remove(id)) {
                    self.changed(change);
                }
            }
            Err(failure) => {
                let info = failure.info();
                self.say(&info.message);
                self.note(id, Some(info));
            }
        }
    }
}
