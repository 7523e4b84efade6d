//! The event socket: connects, applies frames to the store, and comes back after every loss.
//!
//! Never gives up and never asks faster than the back-off allows. Invariant: `store.connection` is `Live` only
//! between a complete snapshot and the end of the socket that brought it.

use std::cell::Cell;
use std::rc::Rc;

use js_sys::{Array, Promise};
use leptos::prelude::*;
use wasm_bindgen::prelude::Closure;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{MessageEvent, WebSocket};
use weir_protocol::Event;

use crate::backoff::Backoff;
use crate::browser::{self, Pause};
use crate::client::Client;
use crate::store::{Connection, Store};

/// What a search for the daemon found.
#[derive(Debug)]
pub enum Found {
    /// Here it is.
    Ready(Client),
    /// Not now; look again after a while.
    Later,
    /// Only a person can change that; look again when told to.
    Never,
}

/// Follows the daemon for as long as the document lives. `find` looks for it before every connection;
/// `nudge` ends any wait.
pub async fn follow(store: Store, nudge: Pause, mut find: impl AsyncFnMut() -> Found) {
    let mut backoff = Backoff::default();
    loop {
        let client = match find().await {
            Found::Ready(client) => client,
            Found::Later => {
                nudge.wait(Some(backoff.next_ms())).await;
                continue;
            }
            Found::Never => {
                nudge.wait(None).await;
                backoff.reset();
                continue;
            }
        };
        store.client.set(Some(client.clone()));
        if listen(store, &client).await {
            backoff.reset();
        }
        // No command goes to an address nobody answers at any more: another program may hold it by now.
        store.client.set(None);
        if store.connection.get_untracked() == Connection::Live {
            store.connection.set(Connection::Lost(browser::local_now()));
        }
        nudge.wait(Some(backoff.next_ms())).await;
    }
}

/// One socket from its opening to its end. Returns whether it brought a snapshot.
async fn listen(store: Store, client: &Client) -> bool {
    let (address, protocols) = client.socket();
    let protocols: Array = protocols.into_iter().map(JsValue::from).collect();
    let Ok(socket) = WebSocket::new_with_str_sequence(&address, &protocols) else {
        return false;
    };
    store.socket_begins();
    let snapshots_before = store.snapshots.get_untracked();
    let unknown = Rc::new(Cell::new(false));
    let on_message = {
        let unknown = Rc::clone(&unknown);
        Closure::<dyn FnMut(MessageEvent)>::new(move |message: MessageEvent| {
            let Some(text) = message.data().as_string() else { return };
            match serde_json::from_str::<Event>(&text) {
                Ok(event) => {
                    let complete = matches!(event, Event::Snapshot { more: false, .. });
                    store.apply(event);
                    if complete {
                        store.connection.set(Connection::Live);
                    }
                }
                // A newer daemon may have topics this version has no use for: said once, then skipped.
                Err(_) if unknown.replace(true) => {}
                Err(error) => browser::warn(&format!("Weir sent a frame of an unknown shape: {error}")),
            }
        })
    };
    socket.set_onmessage(Some(on_message.as_ref().unchecked_ref()));
    // A failed handshake closes as well, so the close is the one end to wait for.
    let closed = Promise::new(&mut |resolve, _| socket.set_onclose(Some(&resolve)));
    let _ = JsFuture::from(closed).await;
    socket.set_onmessage(None);
    socket.set_onclose(None);
    store.snapshots.get_untracked() != snapshots_before
}
