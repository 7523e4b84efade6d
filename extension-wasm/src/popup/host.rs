//! What is known of the native host, and the one thing to do about it.
//!
//! Invariant: a ready host takes no room; any other state names exactly one remedy, and asking again always
//! shows a result.

use leptos::prelude::*;
use weir_web::browser;
use weir_web::components::copy_button;

use super::app::Popup;
use crate::messages::HostState;

/// Installs the native host; the same whatever is wrong with the present one.
const INSTALL: &str = "./scripts/install.sh";

/// What the popup shows of the host.
#[derive(Clone, PartialEq)]
pub(super) enum Host {
    /// The worker was asked.
    Checking,
    /// It takes longer: the daemon is being started.
    Starting,
    /// The worker answered; the time is local.
    Known(HostState, String),
    /// The worker itself did not answer.
    NoWorker(String),
}

impl Host {
    /// The worker's answer, now.
    pub(super) fn now(state: Option<HostState>) -> Self {
        let at = browser::local_now();
        match state {
            Some(state) => Self::Known(state, at),
            None => Self::NoWorker(at),
        }
    }

    /// Nothing can be downloaded, and waiting will not change that.
    pub(super) fn is_unusable(&self) -> bool {
        match self {
            Self::Checking | Self::Starting | Self::Known(HostState::Ready { .. }, _) => false,
            Self::Known(..) | Self::NoWorker(_) => true,
        }
    }

    /// Asking again by itself may help.
    pub(super) fn may_recover(&self) -> bool {
        !matches!(
            self,
            Self::Known(HostState::Missing | HostState::Forbidden | HostState::VersionMismatch { .. }, _)
        )
    }
}

struct Trouble {
    title: String,
    text: String,
    command: Option<&'static str>,
    at: String,
}

fn trouble(host: Host) -> Option<Trouble> {
    let (state, at) = match host {
        Host::Checking | Host::Starting => return None,
        Host::NoWorker(at) => {
            let title = "The extension did not answer".to_owned();
            let text =
                "Check again; if it stays so, reload Weir on the browser’s extensions page.".to_owned();
            return Some(Trouble { title, text, command: None, at });
        }
        Host::Known(state, at) => (state, at),
    };
    let (title, text, command) = match state {
        HostState::Ready { .. } => return None,
        HostState::Missing => (
            "Weir’s program is not installed".to_owned(),
            "Streams are found without it. To download them, run this in Weir’s folder, then check again:"
                .to_owned(),
            Some(INSTALL),
        ),
        HostState::Forbidden => (
            "Weir’s program does not know this extension".to_owned(),
            "Register it anew: run this in Weir’s folder, then check again:".to_owned(),
            Some(INSTALL),
        ),
        HostState::Crashed => (
            "Weir’s program stopped before it answered".to_owned(),
            "Check again. If it stays so, this tells why:".to_owned(),
            Some("weir status"),
        ),
        HostState::VersionMismatch { host, extension } => (
            "Weir’s parts have different versions".to_owned(),
            format!(
                "The program is {host}, the extension {extension}. Bring both to the same version: run this in \
                 Weir’s folder, then check again:"
            ),
            Some(INSTALL),
        ),
        HostState::Failed { message, .. } => ("Weir could not start".to_owned(), message, None),
    };
    Some(Trouble { title, text, command, at })
}

/// The card that is there while the host is not ready.
pub(super) fn host_card(popup: Popup) -> impl IntoView {
    // A recheck keeps the card in place (and the focus on its button) until the answer is there.
    let shown = Memo::new(move |last: Option<&Option<Host>>| match popup.host.get() {
        Host::Checking | Host::Starting => last.cloned().flatten(),
        known => known.is_unusable().then_some(known),
    });
    let checking = move || matches!(popup.host.get(), Host::Checking | Host::Starting);
    let waiting = move || {
        (shown.with(Option::is_none)).then(|| match popup.host.get() {
            Host::Checking => Some(view! { <p class="host-wait">"Looking for Weir on this machine…"</p> }),
            Host::Starting => Some(view! { <p class="host-wait host-wait-now">"Starting Weir…"</p> }),
            _ => None,
        })
    };
    let card = move || {
        let Trouble { title, text, command, at } = trouble(shown.get()?)?;
        let command = command.map(|command| {
            let copied = move || command.to_owned();
            view! {
                <p class="command">
                    <code>{command}</code>
                    {copy_button(popup.store, || "Copy command".to_owned(), copied, Some("Copy"))}
                </p>
            }
        });
        Some(view! {
            <section class="host" aria-labelledby="host-title">
                <h2 id="host-title">{title}</h2>
                <p><bdi dir="auto">{text}</bdi></p>
                {command}
                <p class="host-check">
                    <button type="button" class="button" disabled=checking on:click=move |_| popup.recheck()>
                        "Recheck"
                    </button>
                    <span role="status">
                        {move || if checking() { "Checking…".to_owned() } else { format!("Checked at {at}.") }}
                    </span>
                </p>
            </section>
        })
    };
    view! {
        {waiting}
        {card}
    }
}
