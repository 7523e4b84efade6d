//! One stream of this page: what it is, its qualities, one button.
//!
//! Owns the question to the daemon about a manifest the worker does not read. Invariant: without a usable host the button
//! copies the address instead; nothing offers what cannot work.

use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::ErrorInfo;
use weir_web::client::{Client, Failure};
use weir_web::components::{Icon, copy_button, error_note, icon};
use weir_web::{browser, format};

use super::app::Popup;
use super::chrome;
use super::order::{self, Told};
use crate::messages::Request;
use crate::stream::Stream;

/// Waited for a daemon that is just being started, in steps.
const WAIT_STEPS: u32 = 200;
const WAIT_STEP_MS: u32 = 50;

/// What the button last did.
#[derive(Debug, Clone, PartialEq)]
enum Ask {
    Idle,
    Asking,
    Added,
    Failed(ErrorInfo),
}

/// The card of the stream with this id.
pub(super) fn card(popup: Popup, id: String) -> impl IntoView {
    let found =
        Memo::new(move |_| popup.tab.with(|tab| tab.streams.iter().find(|stream| stream.id == id).cloned()));
    let answer = RwSignal::new(None::<Result<Told, ErrorInfo>>);
    look(popup, found, answer);
    let stream = Memo::new(move |_| {
        answer.with(|answer| found.get().map(|stream| order::told(stream, answer.as_ref())))
    });
    let of = move |read: fn(&Stream) -> String| {
        stream.with(|stream| stream.as_ref().map(read)).unwrap_or_default()
    };
    let name = Memo::new(move |_| {
        popup
            .tab
            .with(|tab| stream.with(|stream| stream.as_ref().map(|one| order::label(one, &tab.streams))))
            .unwrap_or_default()
    });
    let url = Memo::new(move |_| of(|stream| stream.url.clone()));
    let is = move |read: fn(&Stream) -> bool| stream.with(|stream| stream.as_ref().is_some_and(read));
    let protected = Memo::new(move |_| is(|stream| stream.protected));
    let live = Memo::new(move |_| is(|stream| stream.live));

    let ask = RwSignal::new(Ask::Idle);
    let chosen = RwSignal::new(None::<String>);
    let fate = Memo::new(move |_| {
        popup
            .store
            .with_book(|book| url.with(|url| order::fate(url, book.iter()).map(|download| download.id)))
    });
    let known = Memo::new(move |_| {
        popup.store.with_book(|book| url.with(|url| book.iter().any(|download| download.url == *url)))
    });
    let flag = move || match fate.get().and_then(|id| popup.store.with_row(id, order::flag)) {
        Some(flag) => Some(flag),
        // Until its row arrives; one that was cancelled since is no longer worth a word.
        None => (ask.get() == Ask::Added && !known.get()).then(|| ("Added".to_owned(), "chip chip-known")),
    };
    // What the host would only refuse.
    let refused =
        Memo::new(move |_| protected.get().then_some("Copy protection (DRM): Weir leaves it alone."));

    let download = move |_| {
        let Some(stream) = stream.get_untracked() else { return };
        if ask.get_untracked() == Ask::Asking || refused.get_untracked().is_some() {
            return;
        }
        // The first is the best, and what the select shows before anybody touched it.
        let best = || stream.variants.first().map(|variant| variant.id.clone());
        let new = order::order(&stream, chosen.get_untracked().or_else(best));
        ask.set(Ask::Asking);
        spawn_local(async move {
            let outcome = match daemon(popup).await {
                Some(client) => client.add(&new).await,
                None => Err(Failure::Unreachable),
            };
            ask.set(match outcome {
                Ok(()) => Ask::Added,
                Err(failure) => {
                    popup.store.say(&failure.info().message);
                    Ask::Failed(failure.info())
                }
            });
            if ask.get_untracked() == Ask::Added {
                let _ = chrome::ask_worker(&Request::Watch).await;
            }
        });
    };

    let unusable = Memo::new(move |_| popup.host.with(super::host::Host::is_unusable));
    let busy = Memo::new(move |_| ask.get() == Ask::Asking);
    let verb = move || if live.get() { "Record" } else { "Download" };
    let again = Memo::new(move |_| fate.get().is_some());
    let button = move || {
        if refused.get().is_some() {
            return None;
        }
        if unusable.get() {
            let name = move || format!("Copy link of {}", name.get());
            return Some(copy_link(popup, name, url).into_any());
        }
        Some(
            view! {
                <button
                    type="button"
                    class="button"
                    class:button-primary=move || !again.get()
                    aria-label=move || format!("{} {}", verb(), name.get())
                    aria-busy=move || busy.get().then_some("true")
                    aria-disabled=move || busy.get().then_some("true")
                    on:click=download
                >
                    {icon(move || if live.get() { Icon::Record } else { Icon::Save })}
                    <span>{move || if busy.get() { "Starting…" } else { verb() }}</span>
                </button>
            }
            .into_any(),
        )
    };

    let error = move || match ask.get() {
        Ask::Failed(error) => Some(error_note(&error, ())),
        _ => None,
    };
    view! {
        <article class="card">
            <div class="card-main">
                <p class="row-name" title=move || name.get()><bdi dir="auto">{move || name.get()}</bdi></p>
                <p class="facts">
                    <span>{move || of(order::facts)}</span>
                    {move || live.get().then(|| view! { <span class="chip chip-live">"Live"</span> })}
                    {move || protected.get().then(|| view! { <span class="chip">"Protected"</span> })}
                    {move || flag().map(|(text, class)| view! { <span class=class>{text}</span> })}
                </p>
                {qualities(stream, name, chosen)}
                {move || refused.get().map(|reason| view! { <p class="facts">{reason}</p> })}
            </div>
            {button}
            {error}
        </article>
    }
}

/// Has the daemon look at what the worker cannot read, once it is there to be asked.
fn look(popup: Popup, stream: Memo<Option<Stream>>, answer: RwSignal<Option<Result<Told, ErrorInfo>>>) {
    let asked = StoredValue::new(false);
    Effect::new(move || {
        let Some(client) = popup.store.client.get() else { return };
        let Some(question) = stream.with(|stream| stream.as_ref().and_then(order::question)) else { return };
        if asked.get_value() {
            return;
        }
        asked.set_value(true);
        spawn_local(async move {
            let outcome = client.meta(&question).await.map_err(|failure| failure.info());
            // The card may have left meanwhile.
            let _ = answer.try_set(Some(outcome));
        });
    });
}

fn copy_link(
    popup: Popup,
    name: impl Fn() -> String + Send + Sync + 'static,
    url: Memo<String>,
) -> impl IntoView {
    view! {
        {copy_button(popup.store, name, move || url.get(), Some("Copy link"))}
    }
}

/// The daemon, waited for while it is being started.
async fn daemon(popup: Popup) -> Option<Client> {
    for _ in 0..WAIT_STEPS {
        if let Some(client) = popup.store.client.get_untracked() {
            return Some(client);
        }
        if popup.host.with_untracked(super::host::Host::is_unusable) {
            return None;
        }
        browser::sleep(WAIT_STEP_MS).await;
    }
    None
}

/// The choice of quality, when there is one.
fn qualities(
    stream: Memo<Option<Stream>>,
    name: Memo<String>,
    chosen: RwSignal<Option<String>>,
) -> impl IntoView {
    // By itself, so that a stream whose size became known does not take the choice back.
    let variants = Memo::new(move |_| {
        stream.with(|stream| {
            let stream = stream.as_ref().filter(|stream| !stream.protected && stream.variants.len() > 1)?;
            let entries =
                stream.variants.iter().map(|variant| (variant.id.clone(), format::variant(variant)));
            Some(entries.collect::<Vec<_>>())
        })
    });
    move || {
        let options = variants.get()?.into_iter().map(|(id, label)| {
            let picked = chosen.with_untracked(|chosen| chosen.as_ref() == Some(&id));
            view! { <option value=id selected=picked>{label}</option> }
        });
        Some(view! {
            <select
                class="select"
                aria-label=move || format!("Quality of {}", name.get())
                on:change=move |event| chosen.set(Some(event_target_value(&event)))
            >
                {options.collect_view()}
            </select>
        })
    }
}
