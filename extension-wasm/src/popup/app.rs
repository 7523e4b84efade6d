//! The popup as a whole: what it reads first, how it finds the daemon, how its parts stand together.
//!
//! Invariant: the first view is made of `storage.session` alone; nothing waits for the daemon.

use leptos::mount::mount_to;
use leptos::prelude::*;
use leptos::task::spawn_local;
use serde::Deserialize;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use weir_protocol::{DownloadKind, ErrorInfo};
use weir_web::book::Absent;
use weir_web::browser::{self, Pause};
use weir_web::client::{Client, Failure};
use weir_web::components::{Icon, Place, download_row, error_note, icon, live_region, mark, remove_dialog};
use weir_web::feed::{self, Found};
use weir_web::focus;
use weir_web::listing::few;
use weir_web::store::{Connection, Store};

use super::card::card;
use super::chrome::{self, Stored};
use super::host::{Host, host_card};
use super::{endpoint, order};
use crate::messages::{HostState, Request};
use crate::stream::{DOWNLOADS_KEY, HOST_KEY, Stream, TabStreams, tab_key};

/// More rows than this belong on the page.
const UNFINISHED: usize = 30;
const FINISHED: usize = 4;

/// A daemon that runs answers sooner; after this it is being started.
const STARTING_AFTER_MS: u32 = 900;

/// What the popup's views share.
#[derive(Clone, Copy)]
pub(super) struct Popup {
    pub(super) store: Store,
    pub(super) host: RwSignal<Host>,
    pub(super) tab: RwSignal<TabStreams>,
    /// The daemon can download pages as a whole.
    sites: RwSignal<bool>,
    nudge: Pause,
}

impl Popup {
    /// Asks for the host again, now.
    pub(super) fn recheck(self) {
        self.host.set(Host::Checking);
        self.nudge.end();
    }
}

/// Puts the popup into the document.
pub fn start() {
    browser::report_panics();
    focus::keep();
    let Some(place) =
        document().get_element_by_id("app").and_then(|place| place.dyn_into::<HtmlElement>().ok())
    else {
        browser::warn("popup.html has no #app");
        return;
    };
    // Not the framework's: its executor is there only once something is mounted.
    wasm_bindgen_futures::spawn_local(async move {
        let tab_id = match browser::query("tab").and_then(|tab| tab.parse().ok()) {
            Some(tab) => Some(tab),
            None => chrome::active_tab().await,
        };
        let key = tab_id.map(tab_key);
        let keys: Vec<&str> = [HOST_KEY, DOWNLOADS_KEY].into_iter().chain(key.as_deref()).collect();
        let stored = Stored::read(&keys).await;
        place.set_inner_html("");
        mount_to(place, move || {
            let popup = Popup {
                store: Store::new(Absent::Drop),
                host: RwSignal::new(Host::Checking),
                tab: RwSignal::new(TabStreams::default()),
                sites: RwSignal::new(false),
                nudge: Pause::default(),
            };
            if let Some(key) = key {
                popup.tab.set(order::with_page(stored.tab(&key).unwrap_or_default()));
                chrome::watch_tab(key, move |tab| popup.tab.set(order::with_page(tab.unwrap_or_default())));
            }
            if let Some(snapshot) = stored.downloads() {
                popup.store.apply(snapshot);
            }
            follow(popup, stored.host());
            watch(popup);
            look_for_sites(popup);
            view(popup)
        })
        .forget();
    });
}

/// Finds the daemon, and finds it anew whenever it is lost: it may have come back with another port and token.
fn follow(popup: Popup, mut remembered: Option<HostState>) {
    let find = async move || {
        if let Some(HostState::Ready { url, token, version }) = remembered.take()
            && endpoint::proves_itself(&url, &token).await
        {
            popup.host.set(Host::now(Some(HostState::Ready {
                url: url.clone(),
                token: token.clone(),
                version,
            })));
            return Found::Ready(Client::with_token(url, token));
        }
        // A known trouble stays in sight while it is asked about by itself.
        if !popup.host.with_untracked(Host::is_unusable) {
            popup.host.set(Host::Checking);
        }
        spawn_local(async move {
            browser::sleep(STARTING_AFTER_MS).await;
            if popup.host.with_untracked(|host| *host == Host::Checking) {
                popup.host.set(Host::Starting);
            }
        });
        let host = Host::now(chrome::ask_worker(&Request::Connect).await);
        let found = match &host {
            Host::Known(HostState::Ready { url, token, .. }, _) => {
                Found::Ready(Client::with_token(url.clone(), token.clone()))
            }
            other if other.may_recover() => Found::Later,
            _ => Found::Never,
        };
        popup.host.set(host);
        found
    };
    spawn_local(feed::follow(popup.store, popup.nudge, find));
}

/// While something runs, the worker follows it too: the badge and the next popup's first view come from there.
fn watch(popup: Popup) {
    let running = Memo::new(move |_| {
        popup.store.with_book(|book| book.iter().any(|download| download.status.is_active()))
            && popup.store.connection.get() == Connection::Live
    });
    Effect::new(move || {
        if running.get() {
            spawn_local(async {
                let _ = chrome::ask_worker(&Request::Watch).await;
            });
        }
    });
}

/// What of the settings matters here.
#[derive(Deserialize)]
struct Abilities {
    #[serde(default)]
    sites: bool,
}

/// Asks a daemon, once it is found, what becomes of a page on which nothing was found; nobody asks for another.
fn look_for_sites(popup: Popup) {
    Effect::new(move || {
        let Some(client) = popup.store.client.get() else { return };
        if !popup.tab.with(order::nothing_found) {
            return;
        }
        spawn_local(async move {
            if let Ok(Abilities { sites }) = client.settings().await {
                let _ = popup.sites.try_set(sites);
            }
        });
    });
}

fn view(popup: Popup) -> impl IntoView {
    let trouble = RwSignal::new(None::<ErrorInfo>);
    let open_page = move |_| {
        trouble.set(None);
        spawn_local(async move {
            let ticket = match popup.store.client.get_untracked() {
                Some(client) => client.ticket().await,
                None => Err(Failure::Unreachable),
            };
            match ticket {
                Ok(ticket) => {
                    chrome::open_tab(&ticket.url).await;
                }
                Err(failure) => trouble.set(Some(failure.info())),
            }
        });
    };
    let away = Memo::new(move |_| popup.store.client.with(Option::is_none));
    view! {
        <header class="head">
            <div class="brand">{mark()}<h1>"Weir"</h1></div>
            <button type="button" class="button" disabled=move || away.get() on:click=open_page>
                {icon(|| Icon::Page)}
                <span>"All downloads"</span>
            </button>
        </header>
        <main class="body" tabindex="-1">
            {move || trouble.get().map(|error| error_note(&error, ()))}
            {host_card(popup)}
            {streams(popup)}
            {downloads(popup)}
        </main>
        {live_region(popup.store)}
        {remove_dialog(popup.store)}
    }
}

fn streams(popup: Popup) -> impl IntoView {
    let sites = Memo::new(move |_| popup.sites.get() && !popup.host.with(Host::is_unusable));
    let ids = Memo::new(move |_| {
        let shown = |stream: &&Stream| stream.kind != DownloadKind::Site || sites.get();
        popup
            .tab
            .with(|tab| tab.streams.iter().filter(shown).map(|stream| stream.id.clone()).collect::<Vec<_>>())
    });
    let none = Memo::new(move |_| popup.tab.with(order::nothing_found));
    let empty = move || ids.with(Vec::is_empty);
    view! {
        <section class="part" aria-labelledby="streams-title">
            <h2 id="streams-title">
                "On this page"
                {move || (!none.get()).then(|| view! { <span class="count">{ids.with(Vec::len)}</span> })}
            </h2>
            {move || none.get().then(|| view! {
                <p class="empty-line">
                    "Nothing found yet. Play the video or open the file and it appears here; if the page was open \
                     before Weir was, reload it."
                </p>
            })}
            <ul class="cards" hidden=empty>
                <For each=move || ids.get() key=Clone::clone children=move |id| {
                    view! { <li>{card(popup, id)}</li> }
                } />
            </ul>
        </section>
    }
}

fn downloads(popup: Popup) -> impl IntoView {
    let store = popup.store;
    let shown = Memo::new(move |_| store.with_book(|book| few(book, UNFINISHED, FINISHED)));
    let stale = Memo::new(move |_| {
        matches!(store.connection.get(), Connection::Lost(_)) || popup.host.with(Host::is_unusable)
    });
    let nothing = move || shown.with(|few| few.unfinished.is_empty() && few.finished.is_empty());
    let rows = move |which: fn(&weir_web::listing::Few) -> Vec<i64>| {
        view! {
            <ul class="rows" class:rows-stale=move || stale.get()>
                <For each=move || shown.with(which) key=|id| *id children=move |id| {
                    view! { <li>{download_row(store, id, Place::Popup, |_| Vec::new(), ())}</li> }
                } />
            </ul>
        }
    };
    let more = move || {
        let more = shown.with(|few| few.more);
        (more > 0)
            .then(|| view! { <p class="empty-line">{format!("{more} more under “All downloads”.")}</p> })
    };
    let lost = move || match store.connection.get() {
        Connection::Lost(since) if !popup.host.with(Host::is_unusable) => Some(view! {
            <p class="stale" role="status">
                {format!("The connection was lost at {since}; this is what was known then. Reconnecting…")}
            </p>
        }),
        _ => None,
    };
    view! {
        <section class="part" aria-labelledby="running-title" hidden=move || shown.with(|few| few.unfinished.is_empty())>
            <h2 id="running-title">"Downloads" <span class="count">{move || shown.with(|few| few.unfinished.len() + few.more)}</span></h2>
            {lost}
            {rows(|few| few.unfinished.clone())}
            {more}
        </section>
        <section class="part" aria-labelledby="finished-title" hidden=move || shown.with(|few| few.finished.is_empty())>
            <h2 id="finished-title">"Recently finished"</h2>
            {rows(|few| few.finished.clone())}
        </section>
        {move || (nothing() && !stale.get()).then(|| view! {
            <section class="part" aria-labelledby="nothing-title">
                <h2 id="nothing-title">"Downloads"</h2>
                <p class="empty-line">"None yet. What you download shows its progress here."</p>
            </section>
        })}
    }
}
