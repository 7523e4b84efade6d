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
                    <button type="button" class="button" aria-disabled=move || checking().then_some("true") on:click=move |_| popup.recheck()>
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

#[cfg(test)]
mod tests {
    use super::*;

    fn states() -> Vec<HostState> {
        let text = |text: &str| text.to_owned();
        vec![
            HostState::Missing,
            HostState::Forbidden,
            HostState::Crashed,
            HostState::VersionMismatch { host: text("0.2.0"), extension: text("0.1.0") },
            HostState::Failed { code: text("port_busy"), message: text("Port 8765 is taken."), action: None },
        ]
    }

    #[test]
    fn every_trouble_has_words_of_its_own() {
        let mut titles: Vec<String> = states()
            .into_iter()
            .map(|state| {
                let host = Host::Known(state, "14:05".to_owned());
                assert!(host.is_unusable());
                let trouble = trouble(host).unwrap();
                assert!(!trouble.text.is_empty());
                assert_eq!(trouble.at, "14:05");
                trouble.title
            })
            .collect();
        titles.push(trouble(Host::NoWorker("14:05".to_owned())).unwrap().title);
        let all = titles.len();
        titles.sort();
        titles.dedup();
        assert_eq!(titles.len(), all);
    }

    #[test]
    fn a_host_that_is_there_or_may_come_takes_no_room() {
        let ready = HostState::Ready {
            url: "http://127.0.0.1:8765".to_owned(),
            token: "secret".to_owned(),
            version: "0.1.0".to_owned(),
        };
        for host in [Host::Checking, Host::Starting, Host::Known(ready, String::new())] {
            assert!(!host.is_unusable());
            assert!(trouble(host).is_none());
        }
    }

    #[test]
    fn only_what_an_installer_can_mend_waits_for_a_person() {
        let waits: Vec<bool> =
            states().into_iter().map(|state| !Host::Known(state, String::new()).may_recover()).collect();
        assert_eq!(waits, [true, true, false, true, false]);
        assert!(Host::NoWorker(String::new()).may_recover());
    }
}
