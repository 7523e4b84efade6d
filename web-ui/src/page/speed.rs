//! How fast everything together may be: the toolbar's button, its dialog, and the word about quiet hours.
//!
//! Owns when the settings are read. Invariant: what is shown is what the daemon answered last; it is asked anew with
//! every connection, when the window gets the focus, when the dialog opens, and when quiet hours begin or end.

use leptos::html::Dialog;
use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{ErrorInfo, Settings, SettingsPatch};

use super::app::View;
use super::limit::{self, Fields};
use crate::client::Failure;
use crate::components::{Icon, error_note, icon, live_region, show_modal_when};
use crate::store::Connection;
use crate::{browser, format, line};

/// Timers cannot wait longer; by then the page was looked at again.
const LONGEST_WAIT_S: f64 = 86_400.0;

/// Reads the settings whenever they may have become others.
pub(super) fn keep(view: View) {
    let store = view.store;
    let live = Memo::new(move |_| store.connection.get() == Connection::Live);
    // Somebody who comes back may have changed them elsewhere.
    let handle = window_event_listener_untyped("focus", move |_| {
        spawn_local(async move {
            read(view).await;
        });
    });
    on_cleanup(move || handle.remove());
    let round = StoredValue::new(0_u32);
    Effect::new(move || {
        round.update_value(|round| *round += 1);
        let mine = round.get_value();
        if !live.get() {
            return;
        }
        spawn_local(async move {
            // Ends with the connection; each turn waits for a moment the daemon named.
            while round.try_get_value() == Some(mine) {
                let until = read(view).await.and_then(|settings| settings.now.until);
                let left = until.as_deref().map(browser::seconds_until).filter(|left| *left < LONGEST_WAIT_S);
                let Some(left) = left else { return };
                browser::sleep((left.max(1.0) * 1000.0) as u32 + 500).await;
            }
        });
    });
}

async fn read(view: View) -> Option<Settings> {
    let client = view.store.client.get_untracked()?;
    let settings: Settings = client.settings().await.ok()?;
    view.queue.settings.set(Some(settings.clone()));
    Some(settings)
}

/// A word beside the connection's.
pub(super) fn quiet_word(view: View) -> impl IntoView {
    let word = Memo::new(move |_| {
        view.queue.settings.with(|settings| {
            settings.as_ref().and_then(|settings| line::quiet(settings, browser::local_time))
        })
    });
    move || word.get().map(|word| view! { <p class="quiet">{icon(|| Icon::Clock)}{word}</p> })
}

/// Says the limit that holds, and opens the dialog.
pub(super) fn button(view: View) -> impl IntoView {
    let limit = Memo::new(move |_| {
        view.queue.settings.with(|settings| {
            settings.as_ref().map(|settings| format!("Speed: {}", format::limit(settings.now.rate_limit)))
        })
    });
    let open = move |_| {
        view.pacing.set(true);
        spawn_local(async move {
            read(view).await;
        });
    };
    view! {
        <button type="button" class="button" aria-haspopup="dialog" on:click=open>
            {icon(|| Icon::Speed)}
            <span>{move || limit.get().unwrap_or_else(|| "Speed".to_owned())}</span>
        </button>
    }
}

pub(super) fn dialog(view: View) -> impl IntoView {
    let dialog = NodeRef::<Dialog>::new();
    show_modal_when(dialog, move || view.pacing.get());
    let fields = Fields::new();
    let most = RwSignal::new(String::new());
    let problem = RwSignal::new(None::<ErrorInfo>);
    let now = Memo::new(move |_| {
        view.queue.settings.with(|settings| settings.as_ref().map(|now| (now.rate_limit, now.max_active)))
    });
    // Also when it is opened again after something was typed and not saved.
    Effect::new(move || {
        view.pacing.track();
        if let Some((limit, active)) = now.get() {
            fields.show(limit);
            most.set(active.to_string());
        }
    });
    let close = move || view.pacing.set(false);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let patch = fields.read().and_then(|rate| {
            let active = most.with_untracked(|most| most.trim().parse::<u32>().ok());
            let active = active.filter(|active| (1..=64).contains(active));
            let active = active.ok_or("Between 1 and 64 downloads can run at the same time.")?;
            // What is as it was is not written into the settings.
            let before = now.get_untracked();
            let known = before.map(|(limit, active)| (limit.unwrap_or_default(), active));
            Ok(SettingsPatch {
                rate_limit: (known.map(|known| known.0) != Some(rate)).then_some(Some(rate)),
                max_active: (known.map(|known| known.1) != Some(active)).then_some(Some(active)),
                ..SettingsPatch::default()
            })
        });
        match patch {
            Ok(patch) => spawn_local(save(view, patch, problem)),
            Err(sentence) => {
                problem.set(Some(ErrorInfo {
                    code: String::new(),
                    message: sentence.to_owned(),
                    action: None,
                }));
            }
        }
    };
    let on_close = move |_| {
        close();
        problem.set(None);
    };
    view! {
        <dialog class="dialog" node_ref=dialog aria-labelledby="speed-title" on:close=on_close>
            <h2 id="speed-title">"Speed"</h2>
            <form on:submit=submit>
                <div class="limit">
                    <span class="part-label">"All downloads together"</span>
                    <div class="limit-fields">{limit::inputs(fields, || "of all downloads".to_owned())}</div>
                    <p class="hint">"Empty means as fast as the line is."</p>
                </div>
                <label class="field">
                    <span>"Downloads at the same time"</span>
                    <input
                        class="input limit-count"
                        type="number"
                        min="1"
                        max="64"
                        required
                        prop:value=move || most.get()
                        on:input=move |event| most.set(event_target_value(&event))
                    />
                </label>
                {quiet_word(view)}
                <div role="alert">{move || problem.get().map(|problem| error_note(&problem, ()))}</div>
                <div class="dialog-buttons">
                    <button type="button" class="button" on:click=move |_| close()>"Close"</button>
                    <button type="submit" class="button button-primary">"Save"</button>
                </div>
            </form>
            {live_region(view.store)}
        </dialog>
    }
}

async fn save(view: View, patch: SettingsPatch, problem: RwSignal<Option<ErrorInfo>>) {
    let outcome = match view.store.client.get_untracked() {
        Some(client) => client.change_settings(&patch).await,
        None => Err(Failure::Unreachable),
    };
    match outcome {
        Ok(settings) => {
            view.queue.settings.set(Some(settings));
            view.store.say("Saved.");
            view.pacing.set(false);
        }
        Err(failure) => problem.set(Some(failure.info())),
    }
}
