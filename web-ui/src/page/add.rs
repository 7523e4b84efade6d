//! Adding by address: ask what is there, choose a quality, add.
//!
//! Invariant: what is added is what was shown: a changed address must be checked anew.

use leptos::html::{Dialog, Input};
use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{ErrorInfo, Meta, MetaRequest, NewDownload};

use super::app::View;
use crate::client::Failure;
use crate::components::{Icon, error_note, icon, show_modal_when};
use crate::format;
use crate::store::Store;

/// Where adding stands.
#[derive(Debug, Clone, PartialEq)]
enum Step {
    /// An address is wanted.
    Address,
    /// The daemon looks at it.
    Checking,
    /// This is there.
    Found(Box<Meta>),
    /// It is being added.
    Adding(Box<Meta>),
    /// It did not work.
    Failed(ErrorInfo),
}

pub(super) fn dialog(view: View) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let input = NodeRef::<Input>::new();
    let step = RwSignal::new(Step::Address);
    let quality = RwSignal::new(String::new());
    show_modal_when(dialog, move || view.adding.get());
    let address =
        move || input.get_untracked().map(|input| input.value().trim().to_owned()).unwrap_or_default();
    let close = move || view.adding.set(false);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        match step.get_untracked() {
            Step::Found(meta) => spawn_local(add(view, step, meta, quality)),
            Step::Address | Step::Failed(_) => spawn_local(check(view.store, step, address(), quality)),
            Step::Checking | Step::Adding(_) => {}
        }
    };
    let ready = Memo::new(move |_| matches!(step.get(), Step::Found(_) | Step::Adding(_)));
    let waiting = Memo::new(move |_| matches!(step.get(), Step::Checking | Step::Adding(_)));
    let on_close = move |_| {
        close();
        step.set(Step::Address);
        if let Some(input) = input.get_untracked() {
            input.set_value("");
        }
    };
    view! {
        <dialog class="dialog dialog-wide" node_ref=dialog aria-labelledby="add-title" on:close=on_close>
            <h2 id="add-title">"Add a download"</h2>
            <form on:submit=submit>
                <label class="field">
                    <span>"Address"</span>
                    <input
                        class="input"
                        type="url"
                        inputmode="url"
                        required
                        placeholder="https://…"
                        autocomplete="off"
                        spellcheck="false"
                        node_ref=input
                        on:input=move |_| step.set(Step::Address)
                    />
                </label>
                <div class="found" aria-live="polite">
                    {move || match step.get() {
                        Step::Address => view! {
                            <p class="hint">"A file or an HLS playlist. Weir looks at it first and shows what is there."</p>
                        }.into_any(),
                        Step::Checking => view! { <p class="hint">"Asking the server…"</p> }.into_any(),
                        Step::Found(meta) | Step::Adding(meta) => found(&meta, quality).into_any(),
                        Step::Failed(error) => error_note(&error, ()).into_any(),
                    }}
                </div>
                <div class="dialog-buttons">
                    <button type="button" class="button" on:click=move |_| close()>"Close"</button>
                    <button type="submit" class="button button-primary" aria-disabled=move || waiting.get().then_some("true")>
                        {move || if ready.get() { "Add" } else { "Check" }}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

async fn check(store: Store, step: RwSignal<Step>, url: String, quality: RwSignal<String>) {
    step.set(Step::Checking);
    let request = MetaRequest { url, ..MetaRequest::default() };
    let outcome = match store.client.get_untracked() {
        Some(client) => client.meta(&request).await,
        None => Err(Failure::Unreachable),
    };
    // Closed or changed meanwhile: the answer is to a question nobody asks any more.
    if step.get_untracked() != Step::Checking {
        return;
    }
    step.set(match outcome {
        Ok(meta) => {
            quality.set(meta.variants.first().map(|variant| variant.id.clone()).unwrap_or_default());
            Step::Found(Box::new(meta))
        }
        Err(failure) => Step::Failed(failure.info()),
    });
}

async fn add(view: View, step: RwSignal<Step>, meta: Box<Meta>, quality: RwSignal<String>) {
    let chosen = quality.get_untracked();
    let new = NewDownload {
        url: meta.url.clone(),
        kind: Some(meta.kind),
        title: meta.title.clone(),
        quality: (!chosen.is_empty()).then_some(chosen),
        ..NewDownload::default()
    };
    step.set(Step::Adding(meta));
    let outcome = match view.store.client.get_untracked() {
        Some(client) => client.add(&new).await,
        None => Err(Failure::Unreachable),
    };
    match outcome {
        Ok(_) => view.adding.set(false),
        Err(failure) => step.set(Step::Failed(failure.info())),
    }
}

/// What is behind the address.
fn found(meta: &Meta, quality: RwSignal<String>) -> impl IntoView + use<> {
    let name = meta.filename.clone();
    let mut facts = vec![format::kind(meta.kind).to_owned()];
    facts.extend(meta.duration_ms.map(format::duration));
    facts.extend(meta.total_bytes.map(format::bytes));
    if meta.live {
        facts.push("live".to_owned());
    }
    if !meta.resumable {
        facts.push("cannot be resumed".to_owned());
    }
    let choice = (!meta.variants.is_empty()).then(|| {
        let options = meta
            .variants
            .iter()
            .map(|variant| {
                let label = format::variant(variant);
                view! { <option value=variant.id.clone()>{label}</option> }
            })
            .collect_view();
        view! {
            <label class="field">
                <span>"Quality"</span>
                <select
                    class="select"
                    aria-label=format!("Quality of {name}")
                    on:change=move |event| quality.set(event_target_value(&event))
                >
                    {options}
                </select>
            </label>
        }
    });
    view! {
        <div class="found-card">
            {icon(|| Icon::Done)}
            <div>
                <p class="row-name"><bdi dir="auto">{meta.filename.clone()}</bdi></p>
                <p class="facts">{facts.join(" · ")}</p>
            </div>
        </div>
        {choice}
    }
}
