//! An error where it happened, with the one thing to do about it.

use leptos::prelude::*;
use weir_protocol::{Action, ErrorInfo};

use super::icon::{Icon, icon};
use crate::format;

/// The sentence, and beside it whatever `extra` offers, which stays in sight when the sentence is cut.
pub fn error_note<E: IntoView + 'static>(error: &ErrorInfo, extra: E) -> impl IntoView + use<E> {
    let message = error.message.clone();
    let whole = message.clone();
    let command = matches!(error.action, Some(Action::InstallYtDlp))
        .then(|| view! { "In a terminal: "<code>"weir tools install yt-dlp"</code>". " });
    view! {
        <div class="note note-error">
            {icon(|| Icon::Warning)}
            <p title=whole>{command}<bdi dir="auto">{message}</bdi></p>
            {extra}
        </div>
    }
}

/// When something goes on that waits; `failed` where it is not for the first time.
pub fn waiting_note(message: String, failed: bool) -> impl IntoView {
    let whole = message.clone();
    view! {
        <div class="note note-wait" class:note-again=failed>
            {icon(|| Icon::Clock)}
            <p title=whole><bdi dir="auto">{message}</bdi></p>
        </div>
    }
}

/// What a finished file lacks.
pub(super) fn lacks_note(lacks: String) -> impl IntoView {
    let whole = lacks.clone();
    view! {
        <div class="note note-lacks">
            {icon(|| Icon::Warning)}
            <p title=whole><bdi dir="auto">{lacks}</bdi></p>
        </div>
    }
}

/// A link to the page something was found on, where the error says to go there. Addresses that are not of the
/// web never become links.
pub fn page_link(error: &ErrorInfo, page_url: Option<&str>) -> Option<impl IntoView + use<>> {
    let wanted = matches!(error.action, Some(Action::OpenPage));
    let address = page_url.filter(|address| wanted && format::is_web(address))?.to_owned();
    Some(view! {
        <a class="note-action" href=address target="_blank" rel="noopener noreferrer">"Open the page"</a>
    })
}
