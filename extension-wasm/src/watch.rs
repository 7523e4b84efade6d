//! Following the daemon's events while something runs, so that the popup has something to paint at once.
//!
//! Never starts, pauses or cancels a download. Invariants: there is at most one connection; it is closed once nothing
//! has been active for `GRACE_MS`, so the worker may sleep; what is stored is never older than `THROTTLE_MS`.

use std::cell::{Cell, RefCell};

use wasm_bindgen::prelude::*;
use weir_protocol::NativeRequest;

use crate::chrome;
use crate::host::{self, Connection, Frame};
use crate::ledger::Ledger;
use crate::messages::HostState;
use crate::storage;
use crate::stream::{DOWNLOADS_KEY, HOST_KEY};

/// Between two writes.
const THROTTLE_MS: i32 = 500;

/// A connection stays this long after the last active download: the next one often follows at once, and a popup
/// asks to watch before the daemon has told of the download it just began.
const GRACE_MS: i32 = 5_000;

/// Between two tries to find a host again that went away while something ran; the last is given up after.
const RETRIES_MS: [i32; 6] = [500, 1_000, 2_000, 4_000, 8_000, 16_000];

thread_local! {
    static WATCH: Watch = const { Watch::new() };
}

struct Watch {
    connection: RefCell<Option<Connection>>,
    ledger: RefCell<Ledger>,
    /// Counts connections, so that a late word of an old one is not taken for the new one's.
    generation: Cell<u32>,
    opening: Cell<bool>,
    writing: Cell<bool>,
    leaving: Cell<bool>,
}

impl Watch {
    const fn new() -> Self {
        Self {
            connection: RefCell::new(None),
            ledger: RefCell::new(Ledger::new()),
            generation: Cell::new(0),
            opening: Cell::new(false),
            writing: Cell::new(false),
            leaving: Cell::new(false),
        }
    }
}

/// Follows the daemon's events from now on; when it already does, only says hello.
pub async fn watch() -> HostState {
    let busy = WATCH.with(|watch| watch.connection.borrow().is_some() || watch.opening.replace(true));
    if busy {
        return connect().await;
    }
    let state = open().await;
    WATCH.with(|watch| watch.opening.set(false));
    store_host(&state).await;
    state
}

/// Says hello and goes.
pub async fn connect() -> HostState {
    let (state, _closed) = host::hello(|_| {}).await;
    store_host(&state).await;
    state
}

/// What was stored before the worker was killed: goes on watching when something was active.
pub fn resume(stored: &JsValue) {
    let active = WATCH.with(|watch| {
        watch.ledger.replace(Ledger::from(stored));
        is_active(watch)
    });
    if active {
        wasm_bindgen_futures::spawn_local(async {
            watch().await;
        });
    }
}

async fn open() -> HostState {
    let generation = WATCH.with(|watch| {
        watch.generation.set(watch.generation.get().wrapping_add(1));
        watch.generation.get()
    });
    let (state, connection) = host::hello(move |frame| on_frame(generation, frame)).await;
    if let Some(connection) = connection {
        match connection.send(&NativeRequest::Watch) {
            Ok(()) => WATCH.with(|watch| {
                watch.ledger.borrow_mut().begin_anew();
                watch.connection.replace(Some(connection));
                // Should the daemon tell nothing at all.
                leave_when_idle();
            }),
            // Closed between the two: the same as a host that stopped.
            Err(_) => return HostState::Crashed,
        }
    }
    state
}

fn on_frame(generation: u32, frame: Frame) {
    if WATCH.with(|watch| watch.generation.get()) != generation {
        return;
    }
    match frame {
        Frame::Message(message) => on_event(&message),
        Frame::Closed => {
            let active = WATCH.with(|watch| {
                watch.connection.replace(None);
                is_active(watch)
            });
            if active {
                wasm_bindgen_futures::spawn_local(find_again());
            }
        }
    }
}

fn on_event(message: &JsValue) {
    let write = WATCH.with(|watch| {
        watch.ledger.borrow_mut().apply(message);
        !watch.writing.replace(true)
    });
    leave_when_idle();
    if write {
        wasm_bindgen_futures::spawn_local(async {
            chrome::sleep(THROTTLE_MS).await;
            // Cleared before the write: an event during it begins the next one.
            let stored = WATCH.with(|watch| {
                watch.writing.set(false);
                watch.ledger.borrow().kept()
            });
            storage::store(DOWNLOADS_KEY, &stored).await;
        });
    }
}

/// Closes the connection after a while, unless something is active then.
fn leave_when_idle() {
    if WATCH.with(|watch| is_active(watch) || watch.leaving.replace(true)) {
        return;
    }
    wasm_bindgen_futures::spawn_local(async {
        chrome::sleep(GRACE_MS).await;
        WATCH.with(|watch| {
            watch.leaving.set(false);
            if !is_active(watch) {
                watch.connection.replace(None);
            }
        });
    });
}

/// The host went away in the middle: the daemon was restarted or updated.
async fn find_again() {
    for pause in RETRIES_MS {
        chrome::sleep(pause).await;
        if WATCH.with(|watch| watch.connection.borrow().is_some()) {
            return;
        }
        if matches!(watch().await, HostState::Ready { .. }) {
            return;
        }
    }
}

fn is_active(watch: &Watch) -> bool {
    watch.ledger.borrow().is_active()
}

async fn store_host(state: &HostState) {
    match storage::to_js(state) {
        Ok(state) => storage::store(HOST_KEY, &state).await,
        Err(error) => chrome::log_error("the host's state is not stored", &error),
    }
}
