//! One download: name, bar, figures, error, buttons.
//!
//! Invariant: a button that changes its meaning (Pause becomes Resume) is the same element, so the keyboard's
//! focus stays where it was.

use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::{Download, DownloadId, DownloadStatus};

use super::bar::progress_bar;
use super::icon::{Icon, icon};
use super::note::{error_note, lacks_note, page_link, waiting_note};
use super::wait::wait;
use crate::command::{Command, is_final};
use crate::store::Store;
use crate::{browser, format};

/// Where a row stands, which decides what it has room for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Place {
    /// The popup: little room, the commands only.
    Popup,
    /// The page: also where it came from and when.
    Page,
}

/// The name of a row's file.
pub fn name_of(store: Store, id: DownloadId) -> Memo<String> {
    Memo::new(move |_| store.with_row(id, |row| row.filename.clone()).unwrap_or_default())
}

/// One row, as the content of a list item. `turn` is what there is to tell of a row that waits for its turn, `more` are
/// buttons behind its own.
pub fn download_row<V: IntoView + 'static>(
    store: Store,
    id: DownloadId,
    place: Place,
    turn: impl Fn(&Download) -> Vec<String> + Send + Sync + 'static,
    more: V,
) -> impl IntoView {
    let name = name_of(store, id);
    let status = Memo::new(move |_| store.with_row(id, |row| row.status));
    let barred = Memo::new(move |_| store.with_row(id, has_bar) == Some(true));
    view! {
        <div class="row" data-status=move || status.get().map(DownloadStatus::as_str)>
            <div class="row-main">
                {title(store, id, place, name)}
                {move || barred.get().then(|| progress_bar(store, id, name))}
                <p class="facts">{facts(store, id, place, turn)}</p>
                {notes(store, id)}
            </div>
            <div class="row-buttons">
                {slot(
                    store,
                    id,
                    name,
                    &[Command::Pause, Command::Resume, Command::Start, Command::Retry, Command::Open],
                )}
                {slot(store, id, name, &[Command::Finish, Command::Keep])}
                {slot(store, id, name, &[Command::Show, Command::Cancel])}
                {more}
                {(place == Place::Popup).then(|| popup_remove(store, id, name))}
            </div>
        </div>
    }
}

/// The name; on the page it opens the details.
fn title(store: Store, id: DownloadId, place: Place, name: Memo<String>) -> impl IntoView {
    let text = move || view! { <bdi dir="auto">{move || name.get()}</bdi> };
    match place {
        Place::Popup => view! { <p class="row-name" title=move || name.get()>{text()}</p> }.into_any(),
        Place::Page => view! {
            <button
                type="button"
                class="row-name"
                aria-label=move || format!("Details of {}", name.get())
                aria-haspopup="dialog"
                title=move || name.get()
                on:click=move |_| store.detailed.set(Some(id))
            >
                {text()}
                {icon(|| Icon::Info)}
            </button>
        }
        .into_any(),
    }
}

/// A recording has none: there is no end to measure by. Nor has what failed, or waits for its time, before anything came.
fn has_bar(row: &Download) -> bool {
    let open = match row.status {
        DownloadStatus::Error => row.progress > 0.0,
        DownloadStatus::Queued => row.progress > 0.0 || !row.waits(),
        status => status.is_active() || status == DownloadStatus::Paused,
    };
    open && (!row.live || matches!(row.status, DownloadStatus::Finishing))
}

fn facts(
    store: Store,
    id: DownloadId,
    place: Place,
    turn: impl Fn(&Download) -> Vec<String> + Send + Sync + 'static,
) -> impl IntoView {
    let line = move || {
        store.with_row(id, |row| {
            let mut parts = format::facts(row, place == Place::Popup);
            // What waits for its time says so in a note of its own.
            if row.status == DownloadStatus::Queued && !row.waits() {
                parts.extend(turn(row));
            }
            let failed = row.status == DownloadStatus::Error;
            if place == Place::Page {
                parts.extend(row.quality.clone());
            } else if failed {
                parts.extend(row.finished_at.as_deref().map(browser::local_time));
            }
            if place == Place::Page || failed {
                parts.extend(origin(row));
            }
            // A line breaks between two facts, never inside one.
            parts.iter().map(|part| part.replace(' ', "\u{a0}")).collect::<Vec<_>>().join(" · ")
        })
    };
    // Formatting a moment is dear next to the rest; it depends on two strings that hardly ever change.
    let moment = Memo::new(move |_| {
        store.with_row(id, |row| row.finished_at.clone().unwrap_or_else(|| row.created_at.clone()))
    });
    let when = (place == Place::Page).then(|| {
        view! {
            <time class="row-when" datetime=move || moment.get()>
                {move || moment.get().filter(|_| store.painted.get()).map(|moment| browser::local_time(&moment))}
            </time>
        }
    });
    let category = Memo::new(move |_| {
        let shown = store.with_row(id, |row| row.category.clone().filter(|_| place == Place::Page));
        shown.flatten()
    });
    let chip = move || {
        category.get().map(|category| {
            view! { <span class="chip chip-group" title="Category"><bdi dir="auto">{category}</bdi></span> }
        })
    };
    view! {
        <span class="row-figures">{line}</span>
        {chip}
        {when}
    }
}

/// The host a download came from: of the page when there is one, else of the address.
fn origin(row: &Download) -> Option<String> {
    row.page_url.as_deref().and_then(format::host).or_else(|| format::host(&row.url)).map(str::to_owned)
}

fn notes(store: Store, id: DownloadId) -> impl IntoView {
    let failed = Memo::new(move |_| {
        store
            .with_row(id, |row| {
                let mut error = row.error.clone().filter(|_| row.status == DownloadStatus::Error)?;
                if is_final(row) {
                    error.message.push_str(" Trying again would change nothing.");
                }
                Some((error, row.page_url.clone()))
            })
            .flatten()
    });
    let keep = Memo::new(move |_| store.with_row(id, |row| Command::Keep.is_offered(row)) == Some(true));
    let lacks = Memo::new(move |_| store.with_row(id, |row| row.lacks.clone()).flatten());
    let notice = Memo::new(move |_| store.notice(id));
    let waiting = wait(store, id);
    move || {
        // The answer to what was just tried comes first; the older failure is still in the status.
        if let Some(notice) = notice.get() {
            let dismiss = view! {
                <button type="button" class="note-action" on:click=move |_| store.dismiss(id)>"Dismiss"</button>
            };
            return Some(error_note(&notice, dismiss).into_any());
        }
        if let Some((waiting, failed)) = waiting.get() {
            return Some(waiting_note(waiting, failed).into_any());
        }
        if let Some(lacks) = lacks.get() {
            return Some(lacks_note(lacks).into_any());
        }
        let (error, page_url) = failed.get()?;
        let link = page_link(&error, page_url.as_deref());
        let keep = keep.get().then(|| keep_button(store, id));
        Some(error_note(&error, (link, keep)).into_any())
    }
}

/// Beside the failure it answers, because no picture says this.
fn keep_button(store: Store, id: DownloadId) -> impl IntoView {
    let name = name_of(store, id);
    view! {
        <button
            type="button"
            class="note-action"
            aria-label=move || Command::Keep.name(&name.get())
            on:click=move |_| store.command(id, Command::Keep)
        >
            {Command::Keep.label()}
        </button>
    }
}

const fn picture(command: Command) -> Icon {
    match command {
        Command::Pause => Icon::Pause,
        Command::Resume | Command::Start => Icon::Resume,
        Command::Retry => Icon::Retry,
        Command::Cancel => Icon::Cancel,
        Command::Finish => Icon::Stop,
        Command::Keep => Icon::Done,
        Command::Open => Icon::Open,
        Command::Show => Icon::Folder,
    }
}

/// A button for whichever of these commands the row allows.
fn slot(store: Store, id: DownloadId, name: Memo<String>, commands: &'static [Command]) -> impl IntoView {
    let offered = Memo::new(move |_| {
        let offered = |row: &Download| commands.iter().copied().find(|command| command.is_offered(row));
        // A failed one offers it in its note.
        let noted = |row: &Download| row.status == DownloadStatus::Error;
        store
            .with_row(id, |row| offered(row).filter(|command| *command != Command::Keep || !noted(row)))
            .flatten()
    });
    // The last one keeps its face while the button hides, so nothing flickers in between.
    let face = move || offered.get().or_else(|| commands.first().copied()).unwrap_or(Command::Cancel);
    let busy = Memo::new(move |_| store.busy(id).is_some());
    // A square alone does not say that what is there is kept.
    let words = commands.contains(&Command::Finish).then(|| {
        let words = move || (face() == Command::Finish).then_some(Command::Finish.label());
        view! { <span class="icon-label">{words}</span> }
    });
    view! {
        <button
            type="button"
            class="icon-button"
            hidden=move || offered.get().is_none()
            aria-label=move || face().name(&name.get())
            title=move || face().label()
            aria-busy=move || busy.get().then_some("true")
            on:click=move |_| if let Some(command) = offered.get_untracked() { store.command(id, command) }
        >
            {icon(move || picture(face()))}
            {words}
        </button>
    }
}

/// Asks whether the row is to go.
pub fn remove_button(store: Store, id: DownloadId, name: Memo<String>) -> impl IntoView {
    view! {
        <button
            type="button"
            class="icon-button remove"
            aria-label=move || format!("Remove {}", name.get())
            title="Remove"
            on:click=move |_| store.removing.set(Some(id))
        >
            {icon(|| Icon::Bin)}
        </button>
    }
}

/// Where a row offers nothing else that would end it.
fn popup_remove(store: Store, id: DownloadId, name: Memo<String>) -> impl IntoView {
    let ended = Memo::new(move |_| {
        store.with_row(id, |row| row.status == DownloadStatus::Completed || is_final(row)) == Some(true)
    });
    move || ended.get().then(|| remove_button(store, id, name))
}

/// A button that puts text on the clipboard and shows that it did; an icon, or an icon with these words.
pub fn copy_button(
    store: Store,
    name: impl Fn() -> String + Send + Sync + 'static,
    text: impl Fn() -> String + Send + 'static,
    words: Option<&'static str>,
) -> impl IntoView {
    let (copied, set_copied) = signal(None::<bool>);
    let copy = move |_| {
        let text = untrack(&text);
        spawn_local(async move {
            let done = browser::copy(&text).await;
            store.say(if done { "Copied." } else { "The browser did not allow copying." });
            set_copied.set(Some(done));
            browser::sleep(2_000).await;
            // The row may have left meanwhile.
            let _ = set_copied.try_set(None);
        });
    };
    let face = move || match copied.get() {
        Some(true) => Icon::Done,
        Some(false) => Icon::Warning,
        None => Icon::Copy,
    };
    let title = move || match copied.get() {
        Some(true) => "Copied",
        Some(false) => "Not allowed",
        None => words.unwrap_or("Copy link"),
    };
    view! {
        <button
            type="button"
            class=if words.is_some() { "button" } else { "icon-button" }
            aria-label=name
            title=title
            on:click=copy
        >
            {icon(face)}
            {words.map(|_| view! { <span>{title}</span> })}
        </button>
    }
}
