//! What the worker does at each event of the browser.
//!
//! Owns the only copy of the [`Registry`] in memory and the requests under way. Never holds a borrow across an
//! `await`. Invariant: [`start`] has finished before any other function here is called (the listeners see to it), so
//! what was stored is loaded before anything changes it.
//!
//! Private windows have a worker of their own (`incognito: split` in the manifest): their pages, cookies and headers
//! never meet those of other windows, and vanish with the last private window.

use std::cell::RefCell;
use std::rc::Rc;

use wasm_bindgen::prelude::*;
use weir_media::classify::{What, classify};
use weir_protocol::DEFAULT_PORT;

use crate::chrome::{self, Tab};
use crate::messages::{HostState, Request};
use crate::registry::{Hit, Outcome, Reading, Registry};
use crate::request::{Answer, Context, Details};
use crate::storage::{self, Writer};
use crate::stream::HOST_KEY;
use crate::{badge, playlist, watch};

/// Requests whose answer is awaited. A page has some dozens; beyond this the oldest are forgotten.
const MAX_PENDING: usize = 2_000;

/// How long after a vain look at a playlist it is looked at once more. Both together end before an idle worker does.
const SECOND_LOOK_MS: i32 = 3_000;

/// Addresses looked at in vain, so that a page that polls them is not looked at again and again.
const MAX_REJECTED: usize = 500;

thread_local! {
    static WORKER: Rc<Worker> = Rc::default();
}

#[derive(Default)]
struct Worker {
    registry: RefCell<Registry>,
    writer: Writer,
    /// Requests under way, oldest first.
    pending: RefCell<Vec<Pending>>,
    /// Suspected playlists being looked at or found to be none, by tab.
    rejected: RefCell<Vec<(i32, String)>>,
    /// Where the daemon is: `http://127.0.0.1:PORT`.
    own: RefCell<Option<String>>,
}

/// A request whose answer is awaited.
struct Pending {
    request_id: String,
    /// Address as asked for, before redirects.
    url: String,
    /// With the headers as sent; read only if the answer is worth it.
    details: Details,
}

impl Worker {
    fn take_pending(&self, details: &Details) -> Option<Pending> {
        let request_id = details.request_id();
        let mut pending = self.pending.borrow_mut();
        // The newest are at the end, and most answers are for them.
        let at = pending.iter().rposition(|pending| pending.request_id == request_id)?;
        Some(pending.remove(at))
    }
}

/// Loads what was stored before the worker was last killed, and takes up what was cut off.
///
/// # Errors
/// The browser does not hand out its storage.
pub async fn start() -> Result<(), JsValue> {
    let stored = storage::load().await?;
    let unread = WORKER.with(|worker| {
        let mut registry = worker.registry.borrow_mut();
        for (tab_id, tab) in storage::tabs(&stored) {
            registry.restore(tab_id, tab);
        }
        // Only a host that is ready has an address.
        worker.own.replace(storage::get(&storage::get(&stored, HOST_KEY), "url").as_string());
        registry.unread()
    });
    for (tab_id, id, url) in unread {
        read(tab_id, id, url);
    }
    watch::resume(&storage::get(&stored, crate::stream::DOWNLOADS_KEY));
    Ok(())
}

/// The extension was installed, updated or started with the browser.
pub fn installed() {
    wasm_bindgen_futures::spawn_local(badge::paint());
}

/// `webRequest.onSendHeaders`: keeps the request as it was first sent. Redirects come here again.
pub fn request_sent(details: &Details) {
    WORKER.with(|worker| {
        let sent = Pending { request_id: details.request_id(), url: details.url(), details: details.clone() };
        // Under the same id, the same address is the same request with better credentials; another one is a
        // redirect, whose headers a download will make itself.
        let sent = worker.take_pending(details).filter(|first| first.url != sent.url).unwrap_or(sent);
        let mut pending = worker.pending.borrow_mut();
        if pending.len() >= MAX_PENDING {
            pending.remove(0);
        }
        pending.push(sent);
    });
}

/// `webRequest.onErrorOccurred`: nothing will answer any more.
pub fn request_failed(details: &Details) {
    WORKER.with(|worker| worker.take_pending(details));
}

/// `webRequest.onResponseStarted`: the head of the answer is here.
pub fn response_started(details: &Details) {
    let sent = WORKER.with(|worker| worker.take_pending(details));
    let Some(answer) = Answer::read(details) else { return };
    if is_own(&answer.url) {
        return;
    }
    let what = classify(&answer.response());
    if matches!(what, What::Nothing | What::Piece) {
        return;
    }
    let Some(tab_id) = tab_of(details) else { return };
    let (url, context) = match sent {
        // A player asks for a file range by range; its headers are read once.
        Some(sent) if has_request(tab_id, &sent.url) => (sent.url, Context::default()),
        Some(sent) => (sent.url, Context::sent(&sent.details)),
        // The worker was killed between question and answer: the card is worth more than its headers.
        None => (answer.url.clone(), Context::default()),
    };
    let hit = Hit {
        what,
        url,
        initiator: answer.initiator,
        document: details.document_id(),
        file_name: answer.file_name(),
        content_type: answer.essence(),
        total_bytes: answer.total_bytes(),
        final_url: answer.url,
        context,
    };
    if what == What::MaybeHls { suspect(tab_id, hit) } else { met(tab_id, hit) }
}

/// `webNavigation.onCommitted`: a frame shows another document.
pub fn navigated(details: &Details) {
    // A page rendered ahead is not shown yet, and comes here again when it is.
    let shown = details.document_lifecycle().is_none_or(|lifecycle| lifecycle == "active");
    if details.frame_id() != 0 || !shown {
        return;
    }
    let tab_id = details.tab_id();
    WORKER.with(|worker| {
        worker.rejected.borrow_mut().retain(|(rejected, _)| *rejected != tab_id);
        worker.registry.borrow_mut().navigated(tab_id, &details.url(), details.document_id().as_deref());
    });
    flush();
}

/// `tabs.onUpdated`: address or title changed.
pub fn tab_updated(tab_id: i32, change: &Tab) {
    WORKER.with(|worker| {
        let mut registry = worker.registry.borrow_mut();
        // Without a new document the cards stay: a page that rewrites its address still plays.
        if let Some(url) = change.url().filter(|_| registry.tab(tab_id).is_some()) {
            registry.located(tab_id, &url);
        }
        if let Some(title) = change.title() {
            registry.titled(tab_id, &title);
        }
    });
    flush();
}

/// `tabs.onRemoved`.
pub fn tab_removed(tab_id: i32) {
    WORKER.with(|worker| {
        worker.rejected.borrow_mut().retain(|(rejected, _)| *rejected != tab_id);
        worker.registry.borrow_mut().removed(tab_id);
    });
    flush();
}

/// `runtime.onMessage` from a page of the extension. `None` for what is no [`Request`].
pub async fn message(request: &JsValue) -> Option<HostState> {
    let kind = storage::get(request, "kind").as_string()?;
    let state = match Request::named(&kind)? {
        Request::Connect => watch::connect().await,
        Request::Watch => watch::watch().await,
    };
    if let HostState::Ready { url, .. } = &state {
        WORKER.with(|worker| worker.own.replace(Some(url.clone())));
    }
    Some(state)
}

/// The daemon's own pages and files are not found anew. Until the host has told its port, the default one is taken
/// for ours.
fn is_own(url: &str) -> bool {
    WORKER.with(|worker| {
        let own = worker.own.borrow();
        let port =
            own.as_deref().and_then(|own| own.rsplit(':').next()?.parse().ok()).unwrap_or(DEFAULT_PORT);
        ["127.0.0.1", "localhost", "[::1]"].iter().any(|host| {
            url.strip_prefix(&format!("http://{host}:{port}")).is_some_and(|rest| rest.starts_with('/'))
        })
    })
}

fn has_request(tab_id: i32, url: &str) -> bool {
    WORKER.with(|worker| worker.registry.borrow().has_request(tab_id, url))
}

fn tab_of(details: &Details) -> Option<i32> {
    match details.tab_id() {
        tab_id if tab_id >= 0 => Some(tab_id),
        // Never the tab that happens to be in front: that one may show anything.
        _ => {
            let origin = details.initiator()?;
            WORKER.with(|worker| worker.registry.borrow().only_tab_of(&origin))
        }
    }
}

fn met(tab_id: i32, hit: Hit) {
    let (url, hls) = (hit.final_url.clone(), hit.what == What::Hls);
    let (outcome, located) = WORKER.with(|worker| {
        let mut registry = worker.registry.borrow_mut();
        let outcome = registry.hit(tab_id, hit);
        (outcome, registry.tab(tab_id).is_none_or(|tab| !tab.shown.page_url.is_empty()))
    });
    match outcome {
        Outcome::Added(id) => {
            if hls {
                read(tab_id, id, url);
            }
            if !located {
                locate(tab_id);
            }
        }
        Outcome::Fold(id) => wasm_bindgen_futures::spawn_local(async move {
            let shapes = playlist::read_shapes(&url).await;
            WORKER.with(|worker| worker.registry.borrow_mut().learn_shapes(tab_id, &id, &shapes));
            flush();
        }),
        Outcome::Known => {}
    }
    flush();
}

/// May be a playlist in disguise: becomes a card only when its body says so.
fn suspect(tab_id: i32, hit: Hit) {
    let looked_at = WORKER.with(|worker| {
        let mut rejected = worker.rejected.borrow_mut();
        let question = (tab_id, hit.url.clone());
        if rejected.contains(&question) || worker.registry.borrow().knows(tab_id, &hit.url) {
            return true;
        }
        if rejected.len() >= MAX_REJECTED {
            rejected.remove(0);
        }
        rejected.push(question);
        false
    });
    if looked_at {
        return;
    }
    wasm_bindgen_futures::spawn_local(async move {
        let Some(reading) = playlist::read(&hit.final_url).await else { return };
        WORKER.with(|worker| {
            // A navigation meanwhile has forgotten the question; the answer belongs to no page any more.
            let mut rejected = worker.rejected.borrow_mut();
            let asked = rejected.iter().position(|(tab, url)| *tab == tab_id && *url == hit.url);
            let Some(asked) = asked else { return };
            rejected.swap_remove(asked);
            let mut registry = worker.registry.borrow_mut();
            if let Outcome::Added(id) = registry.hit(tab_id, Hit { what: What::Hls, ..hit }) {
                registry.read(tab_id, &id, Some(reading));
            }
        });
        flush();
    });
}

fn read(tab_id: i32, id: String, url: String) {
    wasm_bindgen_futures::spawn_local(async move {
        let mut reading: Option<Reading> = playlist::read(&url).await;
        if reading.is_none() {
            // Most often the page's own requests hold all the connections the browser makes to one server.
            chrome::sleep(SECOND_LOOK_MS).await;
            reading = playlist::read(&url).await;
        }
        WORKER.with(|worker| worker.registry.borrow_mut().read(tab_id, &id, reading));
        flush();
    });
}

/// The tab was there before the extension was.
fn locate(tab_id: i32) {
    wasm_bindgen_futures::spawn_local(async move {
        // Closed meanwhile: `tabs.onRemoved` tells.
        let Ok(tab) = chrome::tab(tab_id).await else { return };
        let tab: Tab = tab.unchecked_into();
        WORKER.with(|worker| {
            let mut registry = worker.registry.borrow_mut();
            if let Some(url) = tab.url() {
                registry.located(tab_id, &url);
            }
            if let Some(title) = tab.title() {
                registry.titled(tab_id, &title);
            }
        });
        flush();
    });
}

/// Stores what changed and shows it on the badges.
fn flush() {
    wasm_bindgen_futures::spawn_local(async {
        let worker = WORKER.with(Rc::clone);
        for tab_id in worker.writer.flush(&worker.registry).await {
            let count = {
                let registry = worker.registry.borrow();
                registry.tab(tab_id).map(|tab| tab.shown.streams.len())
            };
            if let Some(count) = count {
                badge::show(tab_id, count).await;
            }
        }
    });
}
