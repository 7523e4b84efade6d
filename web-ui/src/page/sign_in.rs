//! The screen for a browser without a session: how to get in.
//!
//! Invariant: a pasted token is sent to the daemon once and kept nowhere here.

use leptos::html::Input;
use leptos::prelude::*;
use leptos::task::spawn_local;
use weir_protocol::SessionRequest;

use super::app::{Gate, View};
use crate::client::{Client, Failure};
use crate::components::{copy_button, live_region, mark};

pub(super) fn screen(view: View) -> impl IntoView {
    let input = NodeRef::<Input>::new();
    let problem = RwSignal::new(None::<String>);
    let submit = move |event: web_sys::SubmitEvent| {
        event.prevent_default();
        let Some(input) = input.get_untracked() else { return };
        let token = input.value().trim().to_owned();
        if token.is_empty() {
            problem.set(Some("Paste the token first.".to_owned()));
            return;
        }
        spawn_local(async move {
            let request = SessionRequest { ticket: None, token: Some(token) };
            match Client::same_origin().open_session(&request).await {
                Ok(()) => {
                    input.set_value("");
                    view.nudge.end();
                }
                Err(Failure::SignedOut) => {
                    problem
                        .set(Some("That is not the token of this Weir. `weir token` prints it.".to_owned()));
                }
                Err(failure) => problem.set(Some(failure.info().message)),
            }
        });
    };
    let refused = view.gate.get_untracked() == Gate::TicketRefused;
    view! {
        <main class="sign-in">
            <div class="sign-in-card">
                <div class="brand">{mark()}<h1>"Weir"</h1></div>
                <p class="sign-in-lead">
                    {if refused {
                        "This link was used before or is older than 30 seconds. Get in again one of these ways:"
                    } else {
                        "Your downloads are private to this machine. Get in one of these ways:"
                    }}
                </p>
                <ol class="ways">
                    <li>
                        <h2>"From the browser"</h2>
                        <p>"Click Weir’s button in the toolbar, then “All downloads”."</p>
                    </li>
                    <li>
                        <h2>"From a terminal"</h2>
                        <p class="command">
                            <code>"weir open"</code>
                            {copy_button(view.store, || "Copy command weir open".to_owned(), || "weir open".to_owned(), Some("Copy"))}
                        </p>
                    </li>
                    <li>
                        <h2><label for="token">"With the token"</label></h2>
                        <p>"Run " <code>"weir token"</code> " and paste what it prints."</p>
                        <form class="token" on:submit=submit>
                            <input
                                id="token"
                                class="input"
                                type="password"
                                autocomplete="off"
                                aria-describedby="token-problem"
                                node_ref=input
                            />
                            <button type="submit" class="button button-primary">"Sign in"</button>
                        </form>
                        <p id="token-problem" class="problem" role="alert">{move || problem.get()}</p>
                    </li>
                </ol>
            </div>
            {live_region(view.store)}
        </main>
    }
}
