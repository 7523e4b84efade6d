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

/// What was chosen among what is there; empty is as the stream has it.
#[derive(Clone, Copy, Default)]
struct Choice {
    quality: RwSignal<String>,
    audio: RwSignal<String>,
    subtitles: RwSignal<String>,
}

pub(super) fn dialog(view: View) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    let input = NodeRef::<Input>::new();
    let step = RwSignal::new(Step::Address);
    let choice = Choice::default();
    show_modal_when(dialog, move || view.adding.get());
    let address =
        move || input.get_untracked().map(|input| input.value().trim().to_owned()).unwrap_or_default();
    let close = move || view.adding.set(false);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        match step.get_untracked() {
            Step::Found(meta) => spawn_local(add(view, step, meta, choice)),
            Step::Address | Step::Failed(_) => spawn_local(check(view.store, step, address(), choice)),
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
                            <p class="hint">"A file, an HLS or DASH stream, or a page with a video. Weir looks at it first and shows what is there."</p>
                        }.into_any(),
                        Step::Checking => view! { <p class="hint">"Asking the server…"</p> }.into_any(),
                        Step::Found(meta) | Step::Adding(meta) => found(&meta, choice).into_any(),
                        Step::Failed(error) => error_note(&error, ()).into_any(),
                    }}
                </div>
                <div class="dialog-buttons">
                    <button type="button" class="button" on:click=move |_| close()>"Close"</button>
                    <button type="submit" class="button button-primary" aria-disabled=move || waiting.get().then_some("true")>
                        {move || match step.get() {
                            Step::Found(meta) | Step::Adding(meta) if meta.live => "Record",
                            _ if ready.get() => "Add",
                            _ => "Check",
                        }}
                    </button>
                </div>
            </form>
        </dialog>
    }
}

async fn check(store: Store, step: RwSignal<Step>, url: String, choice: Choice) {
    step.set(Step::Checking);
    let request = MetaRequest { url, ..MetaRequest::default() };
    let outcome = match store.client.get_untracked() {
        Some(client) => client.meta::<Meta>(&request).await,
        None => Err(Failure::Unreachable),
    };
    // Closed or changed meanwhile: the answer is to a question nobody asks any more.
    if step.get_untracked() != Step::Checking {
        return;
    }
    step.set(match outcome {
        Ok(meta) => {
            choice.quality.set(meta.variants.first().map(|variant| variant.id.clone()).unwrap_or_default());
            choice.audio.set(String::new());
            choice.subtitles.set(String::new());
            Step::Found(Box::new(meta))
        }
        Err(failure) => Step::Failed(failure.info()),
    });
}

async fn add(view: View, step: RwSignal<Step>, meta: Box<Meta>, choice: Choice) {
    let chosen = |signal: RwSignal<String>| Some(signal.get_untracked()).filter(|value| !value.is_empty());
    let new = NewDownload {
        url: meta.url.clone(),
        kind: Some(meta.kind),
        title: meta.title.clone(),
        quality: chosen(choice.quality),
        audio_languages: chosen(choice.audio).into_iter().collect(),
        subtitles: chosen(choice.subtitles).into_iter().collect(),
        ..NewDownload::default()
    };
    step.set(Step::Adding(meta));
    let outcome = match view.store.client.get_untracked() {
        Some(client) => client.add(&new).await,
        None => Err(Failure::Unreachable),
    };
    match outcome {
        Ok(()) => view.adding.set(false),
        Err(failure) => step.set(Step::Failed(failure.info())),
    }
}

/// What is behind the address.
fn found(meta: &Meta, choice: Choice) -> impl IntoView + use<> {
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
    let qualities = meta.variants.iter().map(|variant| (variant.id.clone(), format::variant(variant)));
    let qualities = field("Quality", &name, qualities.collect(), choice.quality);
    // One sound is no choice.
    let audio = format::languages(&meta.audio, "As the stream has it");
    let audio = (audio.len() > 2).then(|| field("Sound", &name, audio, choice.audio));
    let mut subtitles = format::languages(&meta.subtitles, "None");
    if subtitles.len() > 2 {
        subtitles.push(("all".to_owned(), "All".to_owned()));
    }
    let subtitles = (subtitles.len() > 1).then(|| field("Subtitles", &name, subtitles, choice.subtitles));
    view! {
        <div class="found-card">
            {icon(|| Icon::Done)}
            <div>
                <p class="row-name"><bdi dir="auto">{meta.filename.clone()}</bdi></p>
                <p class="facts">{facts.join(" · ")}</p>
            </div>
        </div>
        {qualities}
        {audio}
        {subtitles}
    }
}

/// A choice among these values and what they are called; none when there is nothing to choose.
fn field(
    label: &'static str,
    file: &str,
    options: Vec<(String, String)>,
    chosen: RwSignal<String>,
) -> Option<impl IntoView + use<>> {
    let name = format!("{label} of {file}");
    let filled = !options.is_empty();
    let options = options.into_iter().map(|(value, text)| view! { <option value=value>{text}</option> });
    let options = options.collect_view();
    filled.then(|| {
        view! {
            <label class="field">
                <span>{label}</span>
                <select class="select" aria-label=name on:change=move |event| chosen.set(event_target_value(&event))>
                    {options}
                </select>
            </label>
        }
    })
}
