//! The fields of a speed limit, and the form for that of one download.
//!
//! Invariant: an empty field is no limit, and what cannot be read is said beside the field and not sent.

use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{DownloadId, DownloadPatch};

use crate::client::Failure;
use crate::format;
use crate::rate::{self, Unit};
use crate::store::Store;

/// What stands in the fields.
#[derive(Debug, Clone, Copy)]
pub(super) struct Fields {
    number: RwSignal<String>,
    unit: RwSignal<Unit>,
}

impl Fields {
    pub(super) fn new() -> Self {
        Self { number: RwSignal::new(String::new()), unit: RwSignal::new(Unit::default()) }
    }

    pub(super) fn show(self, limit: Option<u64>) {
        let (number, unit) = rate::split(limit);
        self.number.set(number);
        self.unit.set(unit);
    }

    /// Bytes per second; 0 is none.
    pub(super) fn read(self) -> Result<u64, &'static str> {
        rate::parse(&self.number.get_untracked(), self.unit.get_untracked()).map(Option::unwrap_or_default)
    }
}

/// A number and its unit. `of` ends the accessible names of both.
pub(super) fn inputs(
    fields: Fields,
    of: impl Fn() -> String + Copy + Send + Sync + 'static,
) -> impl IntoView {
    let options = Unit::ALL.map(|unit| {
        view! {
            <option value=unit.label() prop:selected=move || fields.unit.get() == unit>{unit.label()}</option>
        }
    });
    view! {
        <input
            class="input limit-number"
            type="text"
            inputmode="decimal"
            autocomplete="off"
            placeholder="No limit"
            aria-label=move || format!("Speed limit {}", of())
            prop:value=move || fields.number.get()
            on:input=move |event| fields.number.set(event_target_value(&event))
        />
        <select
            class="select"
            aria-label=move || format!("Unit of the limit {}", of())
            on:change=move |event| fields.unit.set(Unit::parse(&event_target_value(&event)))
        >
            {options.collect_view()}
        </select>
    }
}

/// The limit of one download.
pub(super) fn form(store: Store, id: DownloadId, name: Memo<String>) -> impl IntoView {
    let fields = Fields::new();
    let problem = RwSignal::new(String::new());
    let limit = Memo::new(move |_| store.with_row(id, |row| row.rate_limit).flatten());
    Effect::new(move || fields.show(limit.get()));
    let send = move |rate: u64| {
        problem.set(String::new());
        spawn_local(async move {
            let patch = DownloadPatch { rate_limit: Some(rate), ..DownloadPatch::default() };
            let outcome = match store.client.get_untracked() {
                Some(client) => client.patch(id, &patch).await,
                None => Err(Failure::Unreachable),
            };
            match outcome {
                Ok(()) if rate == 0 => {
                    fields.show(None);
                    store.say("No speed limit.");
                }
                Ok(()) => store.say(&format!("The speed limit is {}.", format::speed(rate))),
                Err(failure) => {
                    let _ = problem.try_set(failure.info().message);
                }
            }
        });
    };
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        match fields.read() {
            Ok(rate) => send(rate),
            Err(sentence) => problem.set(sentence.to_owned()),
        }
    };
    view! {
        <form class="limit" on:submit=submit>
            <span class="part-label">"Speed limit"</span>
            <div class="limit-fields">
                {inputs(fields, move || format!("of {}", name.get()))}
                <button type="submit" class="button">"Set"</button>
                <button
                    type="button"
                    class="button"
                    aria-disabled=move || limit.get().is_none().then_some("true")
                    on:click=move |_| if limit.get_untracked().is_some() { send(0) } else { fields.show(None) }
                >
                    "No limit"
                </button>
            </div>
            <p class="problem" role="alert">{move || problem.get()}</p>
        </form>
    }
}
