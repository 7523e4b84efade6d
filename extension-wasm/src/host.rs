//! Saying hello to the native host, and what its silence or its words mean.
//!
//! Never starts or stops anything but the connection. Invariant: whatever happens, a [`HostState`] comes out within
//! [`PATIENCE_MS`], and a token only of a host that speaks our protocol.

use std::cell::RefCell;
use std::rc::Rc;

use js_sys::{Function, Promise};
use wasm_bindgen::prelude::*;
use wasm_bindgen_futures::JsFuture;
use weir_protocol::{Action, NATIVE_HOST_NAME, NativeRequest, NativeResponse, PROTOCOL_VERSION, code};

use crate::chrome::{self, NativePort};
use crate::messages::HostState;
use crate::storage;

/// How long the host may take to answer, starting the daemon included.
pub const PATIENCE_MS: i32 = 10_000;

/// What a port tells after the host's hello.
#[derive(Debug)]
pub enum Frame {
    /// One frame.
    Message(JsValue),
    /// The host's end is closed; nothing follows.
    Closed,
}

/// A connection whose host has said hello. Dropping it ends the host's process.
#[derive(Debug)]
pub struct Connection {
    port: NativePort,
}

impl Connection {
    /// Sends one request.
    ///
    /// # Errors
    /// The port is closed.
    pub fn send(&self, request: &NativeRequest) -> Result<(), JsValue> {
        self.port.post(&storage::to_js(request)?)
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        // One the host has closed already refuses.
        let _ = self.port.disconnect();
    }
}

/// Opens a connection and says hello. `on_frame` gets everything that comes after the answer.
pub async fn hello(on_frame: impl FnMut(Frame) + 'static) -> (HostState, Option<Connection>) {
    let extension = chrome::version();
    let port = match chrome::connect_native(NATIVE_HOST_NAME) {
        Ok(port) => port,
        Err(error) => return (from_closed(&message_of(&error)), None),
    };
    // Closes the port on every way out that does not hand it over.
    let connection = Connection { port };
    let answer = first_frame(&connection.port, on_frame);
    let greeting = NativeRequest::Hello { version: extension.clone(), protocol: PROTOCOL_VERSION };
    if let Err(error) = connection.send(&greeting) {
        return (from_closed(&message_of(&error)), None);
    }
    let state = match JsFuture::from(answer).await {
        Ok(frame) if frame.is_undefined() => from_silence(),
        Ok(frame) => from_answer(read_answer(&frame), &extension),
        Err(reason) => from_closed(&reason.as_string().unwrap_or_default()),
    };
    let ready = matches!(state, HostState::Ready { .. });
    (state, ready.then_some(connection))
}

/// Resolves with the first frame, or with `undefined` when none comes in time; rejects with the browser's reason
/// when the port closes before.
fn first_frame(port: &NativePort, on_frame: impl FnMut(Frame) + 'static) -> Promise {
    Promise::new(&mut {
        let on_frame = Rc::new(RefCell::new(on_frame));
        move |resolve: Function, reject: Function| {
            let waiting = Rc::new(RefCell::new(Some(resolve.clone())));
            let (first, later) = (Rc::clone(&waiting), Rc::clone(&on_frame));
            let on_message = move |frame: JsValue| {
                let first = first.borrow_mut().take();
                match first {
                    Some(resolve) => drop(resolve.call1(&JsValue::NULL, &frame)),
                    None => (later.borrow_mut())(Frame::Message(frame)),
                }
            };
            let (first, later) = (waiting, Rc::clone(&on_frame));
            let on_disconnect = move |reason: String| {
                let first = first.borrow_mut().take();
                match first {
                    Some(_) => drop(reject.call1(&JsValue::NULL, &JsValue::from(reason))),
                    None => (later.borrow_mut())(Frame::Closed),
                }
            };
            chrome::listen(port, on_message, on_disconnect);
            wasm_bindgen_futures::spawn_local(async move {
                chrome::sleep(PATIENCE_MS).await;
                // Without effect when an answer came first.
                drop(resolve.call0(&JsValue::NULL));
            });
        }
    })
}

/// What the browser's reason for closing a port means. Chromium's texts, which it does not translate.
#[must_use]
pub fn from_closed(reason: &str) -> HostState {
    let reason_is = |text: &str| reason.contains(text);
    if reason_is("host not found") {
        HostState::Missing
    } else if reason_is("is forbidden") {
        HostState::Forbidden
    } else if reason_is("disabled by the system administrator") {
        HostState::Failed {
            code: code::DAEMON_UNAVAILABLE.to_owned(),
            message: "The administrator of this browser does not allow the Weir host.".to_owned(),
            action: None,
        }
    } else {
        // "Native host has exited.", "Failed to start native messaging host.", "Error when communicating …"
        HostState::Crashed
    }
}

fn from_silence() -> HostState {
    HostState::Failed {
        code: code::TIMEOUT.to_owned(),
        message: "The Weir host did not answer within 10 seconds.".to_owned(),
        action: Some(Action::Retry),
    }
}

/// The host's first frame as a value; `None` when it is neither of the two there are. By hand, because a tagged enum
/// through serde costs four times as much code.
#[must_use]
pub fn read_answer(frame: &JsValue) -> Option<NativeResponse> {
    let text = |key| storage::get(frame, key).as_string();
    match text("type")?.as_str() {
        "hello" => Some(NativeResponse::Hello {
            version: text("version")?,
            protocol: storage::get(frame, "protocol").as_f64()? as u32,
            url: text("url")?,
            token: text("token")?,
        }),
        "error" => Some(NativeResponse::Error {
            code: text("code")?,
            message: text("message")?,
            action: text("action").map(|name| action(&name)),
        }),
        _ => None,
    }
}

pub(crate) fn action(name: &str) -> Action {
    match name {
        "retry" => Action::Retry,
        "start_over" => Action::StartOver,
        "install_ffmpeg" => Action::InstallFfmpeg,
        "install_yt_dlp" => Action::InstallYtDlp,
        "keep_partial" => Action::KeepPartial,
        "free_space" => Action::FreeSpace,
        "check_folder" => Action::CheckFolder,
        "open_page" => Action::OpenPage,
        "edit_input" => Action::EditInput,
        "install_host" => Action::InstallHost,
        "update" => Action::Update,
        "sign_in" => Action::SignIn,
        _ => Action::Unknown,
    }
}

/// What the host's first frame means; `None` is one that cannot be read.
#[must_use]
pub fn from_answer(answer: Option<NativeResponse>, extension: &str) -> HostState {
    match answer {
        Some(NativeResponse::Hello { version, protocol, .. }) if protocol != PROTOCOL_VERSION => {
            HostState::VersionMismatch { host: version, extension: extension.to_owned() }
        }
        Some(NativeResponse::Hello { version, url, token, .. }) => HostState::Ready { url, token, version },
        Some(NativeResponse::Error { code, message, action }) => HostState::Failed { code, message, action },
        None => HostState::Failed {
            code: code::BAD_FRAME.to_owned(),
            message: "The Weir host answered with something this extension does not understand.".to_owned(),
            action: Some(Action::Update),
        },
    }
}

fn message_of(error: &JsValue) -> String {
    error.dyn_ref::<js_sys::Error>().map(|error| String::from(error.message())).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_of_the_browser_has_its_state() {
        for (reason, expected) in [
            ("Specified native messaging host not found.", HostState::Missing),
            ("Access to the specified native messaging host is forbidden.", HostState::Forbidden),
            ("Native host has exited.", HostState::Crashed),
            ("Failed to start native messaging host.", HostState::Crashed),
            ("Error when communicating with the native messaging host.", HostState::Crashed),
            ("", HostState::Crashed),
        ] {
            assert!(from_closed(reason) == expected, "{reason}");
        }
        let by_policy = "Access to the native messaging host was disabled by the system administrator.";
        assert!(matches!(from_closed(by_policy), HostState::Failed { action: None, .. }));
    }

    #[test]
    fn a_token_is_taken_only_from_a_host_of_our_protocol() {
        let answer = |protocol| NativeResponse::Hello {
            version: "9.0.0".to_owned(),
            protocol,
            url: "http://127.0.0.1:8765".to_owned(),
            token: "secret".to_owned(),
        };
        let ready = HostState::Ready {
            url: "http://127.0.0.1:8765".to_owned(),
            token: "secret".to_owned(),
            version: "9.0.0".to_owned(),
        };
        assert!(from_answer(Some(answer(PROTOCOL_VERSION)), "0.1.0") == ready);
        let mismatch = HostState::VersionMismatch { host: "9.0.0".to_owned(), extension: "0.1.0".to_owned() };
        assert!(from_answer(Some(answer(PROTOCOL_VERSION + 1)), "0.1.0") == mismatch);
    }

    #[test]
    fn actions_are_read_as_they_are_written() {
        // A new one fails to compile here until it has its word above.
        let next = |action: Action| match action {
            Action::Retry => Some(Action::StartOver),
            Action::StartOver => Some(Action::InstallFfmpeg),
            Action::InstallFfmpeg => Some(Action::InstallYtDlp),
            Action::InstallYtDlp => Some(Action::KeepPartial),
            Action::KeepPartial => Some(Action::FreeSpace),
            Action::FreeSpace => Some(Action::CheckFolder),
            Action::CheckFolder => Some(Action::OpenPage),
            Action::OpenPage => Some(Action::EditInput),
            Action::EditInput => Some(Action::InstallHost),
            Action::InstallHost => Some(Action::Update),
            Action::Update => Some(Action::SignIn),
            Action::SignIn => Some(Action::Unknown),
            Action::Unknown => None,
        };
        for known in std::iter::successors(Some(Action::Retry), |action| next(*action)) {
            let written = serde_json::to_value(known).unwrap();
            assert_eq!(action(written.as_str().unwrap()), known);
        }
    }

    #[test]
    fn the_hosts_own_words_are_passed_on() {
        let error = NativeResponse::Error {
            code: "port_busy".to_owned(),
            message: "Port 8765 is taken.".to_owned(),
            action: Some(Action::Retry),
        };
        let failed = HostState::Failed {
            code: "port_busy".to_owned(),
            message: "Port 8765 is taken.".to_owned(),
            action: Some(Action::Retry),
        };
        assert!(from_answer(Some(error), "0.1.0") == failed);
        assert!(matches!(from_answer(None, "0.1.0"), HostState::Failed { .. }));
    }
}
