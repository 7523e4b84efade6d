//! The page as a whole: who is let in, and how its parts stand together.
//!
//! Invariant: the daemon's answer to `/list` decides whether the list or the sign-in screen is shown; nothing
//! kept by the browser does.

use std::time::Duration;

use leptos::mount::mount_to;
use leptos::prelude::*;
use leptos::task::spawn_local;
use wasm_bindgen::JsCast;
use web_sys::HtmlElement;
use weir_protocol::SessionRequest;

use super::queue::Queue;
use super::{add, detail, list, row, sign_in, speed, theme, tools};
use crate::book::Absent;
use crate::browser::{self, Pause};
use crate::client::{Client, Failure};
use crate::components::{Icon, icon, live_region, mark, remove_dialog};
use crate::feed::{self, Found};
use crate::focus;
use crate::history::{self, Extent};
use crate::listing::{Filter, Listing};
use crate::store::{Connection, Store};

/// Whether this browser has a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Gate {
    /// Not known yet.
    Checking,
    /// No.
    Closed,
    /// No, and the ticket in the address did not open one.
    TicketRefused,
    /// Yes.
    Open,
}

/// What the page's views share.
#[derive(Clone, Copy)]
pub(super) struct View {
    pub(super) store: Store,
    pub(super) queue: Queue,
    pub(super) gate: RwSignal<Gate>,
    /// Ends the feed's wait: a session was opened.
    pub(super) nudge: Pause,
    pub(super) query: RwSignal<String>,
    pub(super) filter: RwSignal<Filter>,
    pub(super) listing: Memo<Listing>,
    pub(super) extent: ReadSignal<Extent>,
    /// The dialog for adding is open.
    pub(super) adding: RwSignal<bool>,
    /// The dialog about speed is open.
    pub(super) pacing: RwSignal<bool>,
}

/// Puts the page into the document and follows the daemon.
pub fn start() {
    browser::report_panics();
    focus::keep();
    let Some(place) =
        document().get_element_by_id("app").and_then(|place| place.dyn_into::<HtmlElement>().ok())
    else {
        browser::warn("index.html has no #app");
        return;
    };
    place.set_inner_html("");
    mount_to(place, || {
        let view = view_state();
        follow(view);
        page(view)
    })
    .forget();
}

fn view_state() -> View {
    let store = Store::new(Absent::Doubt);
    let query = RwSignal::new(browser::query("q").unwrap_or_default());
    let filter = RwSignal::new(Filter::parse(&browser::query("status").unwrap_or_default()));
    let listing = Memo::new(move |_| {
        store.with_book(|book| query.with(|query| Listing::new(book, query, filter.get())))
    });
    let extent = history::keep(store, query.into());
    View {
        store,
        queue: Queue::new(store),
        gate: RwSignal::new(Gate::Checking),
        nudge: Pause::default(),
        query,
        filter,
        listing,
        extent,
        adding: RwSignal::new(false),
        pacing: RwSignal::new(false),
    }
}

fn follow(view: View) {
    let mut ticket = browser::take_ticket();
    let find = async move || {
        let client = Client::same_origin();
        let mut refused = false;
        if let Some(ticket) = ticket.take() {
            let request = SessionRequest { ticket: Some(ticket), token: None };
            refused = client.open_session(&request).await.is_err();
        }
        match client.list("", 0, 1).await {
            Ok(_) => {
                view.gate.set(Gate::Open);
                Found::Ready(client)
            }
            Err(Failure::SignedOut) => {
                view.gate.set(if refused { Gate::TicketRefused } else { Gate::Closed });
                Found::Never
            }
            Err(_) => Found::Later,
        }
    };
    spawn_local(feed::follow(view.store, view.nudge, find));
    let store = view.store;
    Effect::new(move || {
        if store.snapshots.get() > 0 && !store.painted.get_untracked() {
            request_animation_frame(move || set_timeout(move || store.painted.set(true), Duration::ZERO));
        }
    });
    browser::when_seen(move || view.nudge.end());
}

fn page(view: View) -> impl IntoView {
    move || match view.gate.get() {
        Gate::Checking => view! { <p class="boot" role="status">"Looking for Weir…"</p> }.into_any(),
        Gate::Closed | Gate::TicketRefused => sign_in::screen(view).into_any(),
        Gate::Open => downloads(view).into_any(),
    }
}

fn downloads(view: View) -> impl IntoView {
    let running = Memo::new(move |_| {
        view.store.with_book(|book| book.iter().filter(|download| download.status.is_active()).count())
    });
    speed::keep(view);
    row::tell_moves(view.queue);
    // Seen among the browser's tabs while the page is not.
    Effect::new(move || {
        document().set_title(&match running.get() {
            0 => "Weir".to_owned(),
            count => format!("({count}) Weir"),
        });
    });
    view! {
        <a class="skip" href="#downloads">"Skip to the downloads"</a>
        <header class="top">
            <div class="top-bar">
                <div class="brand">{mark()}<h1>"Weir"</h1></div>
                {state(view.store)}
                {speed::quiet_word(view)}
                <div class="top-end">
                    {speed::button(view)}
                    {theme::choice()}
                    <button
                        type="button"
                        class="button button-primary"
                        on:click=move |_| view.adding.set(true)
                    >
                        {icon(|| Icon::Add)}
                        <span>"Add download"</span>
                    </button>
                </div>
            </div>
            {tools::tools(view)}
        </header>
        {banner(view)}
        <main id="downloads" tabindex="-1">{list::list(view)}</main>
        {live_region(view.store)}
        {remove_dialog(view.store)}
        {add::dialog(view)}
        {speed::dialog(view)}
        {detail::dialog(view)}
    }
}

/// A quiet word on how fresh the list is.
fn state(store: Store) -> impl IntoView {
    let words = move || match store.connection.get() {
        Connection::Connecting => "Connecting…",
        Connection::Live => "Connected",
        Connection::Lost(_) => "Not connected",
    };
    view! {
        <p class="state" data-live=move || (store.connection.get() == Connection::Live).then_some("")>{words}</p>
    }
}

/// While the connection is lost: what is shown is marked as old.
fn banner(view: View) -> impl IntoView {
    move || {
        let Connection::Lost(since) = view.store.connection.get() else { return None };
        Some(view! {
            <div class="banner" role="alert">
                {icon(|| Icon::Warning)}
                <p>{format!("The connection to Weir was lost at {since}. The list shows what was known then. Reconnecting…")}</p>
                <button type="button" class="button" on:click=move |_| view.nudge.end()>"Try now"</button>
            </div>
        })
    }
}
