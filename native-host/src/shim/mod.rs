//! The native-messaging shim: what the browser starts, with `chrome-extension://ID/` as its argument.
//!
//! Answers `hello` with where the daemon is and what opens its door, and relays the daemon's events after `watch`.
//! Never downloads and keeps nothing. Invariants: stdout carries frames only; the process ends when stdin does, when
//! a write fails, or when there is nothing more to relay; the daemon it may have started lives on.

mod frame;
mod watch;

use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir_protocol::{Action, NativeRequest, NativeResponse, PROTOCOL_VERSION, code};

use crate::config::Config;
use crate::home::Home;
use crate::remote::Remote;
use frame::Incoming;

/// The caller's ID, when the arguments are those of a browser starting its native-messaging host.
pub(crate) fn caller(arguments: &[String]) -> Option<&str> {
    let origin = arguments.get(1)?.strip_prefix("chrome-extension://")?;
    Some(origin.trim_end_matches('/'))
}

/// Serves one browser port until it closes.
///
/// # Errors
/// When the home or the runtime cannot be had.
pub(crate) fn run(extension: &str) -> anyhow::Result<()> {
    let home = Home::open()?;
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let allowed =
            Config::load(&home.config()).map(|config| config.extension_ids.iter().any(|id| id == extension));
        let refusal = match allowed {
            Ok(true) => None,
            Ok(false) => Some(error(
                code::FORBIDDEN_EXTENSION,
                format!("Weir does not serve the extension {extension}."),
                Some(Action::InstallHost),
            )),
            Err(problem) => Some(error(code::DAEMON_UNAVAILABLE, format!("{problem:#}."), None)),
        };
        serve(home, refusal, tokio::io::stdin(), tokio::io::stdout()).await;
    });
    // A blocked read of stdin must not keep the process alive.
    runtime.shutdown_background();
    Ok(())
}

/// The daemon's events as lines of JSON, for `weir watch`.
pub(crate) fn events(home: Home) -> (mpsc::Receiver<String>, JoinHandle<()>) {
    let (frames, lines) = mpsc::channel(64);
    (lines, tokio::spawn(watch::relay(home, frames)))
}

fn error(code: &str, message: String, action: Option<Action>) -> NativeResponse {
    NativeResponse::Error { code: code.to_owned(), message, action }
}

/// One reader, one writer, and a queue of frames between.
async fn serve(
    home: Home,
    refusal: Option<NativeResponse>,
    mut input: impl AsyncRead + Unpin,
    mut output: impl AsyncWrite + Unpin + Send,
) {
    let (frames, mut outgoing) = mpsc::channel::<String>(64);
    // A relay that has ended ends the conversation: the browser then knows that it follows nothing any more.
    let relay_ended = CancellationToken::new();
    let write = async {
        while let Some(json) = outgoing.recv().await {
            if let Err(problem) = frame::write(&mut output, &json).await {
                tracing::info!(%problem, "the browser does not listen any more");
                return;
            }
        }
    };
    let read = async {
        let mut watching: Option<JoinHandle<()>> = None;
        loop {
            let incoming = tokio::select! {
                incoming = frame::read(&mut input) => incoming,
                () = relay_ended.cancelled() => break,
            };
            let Ok(incoming) = incoming else { break };
            let (answer, go_on) = match incoming {
                Incoming::End => break,
                Incoming::TooLarge(length) => (
                    Some(error(code::BAD_FRAME, format!("A message of {length} bytes is too large."), None)),
                    false,
                ),
                Incoming::Frame(bytes) => {
                    (obey(&home, refusal.as_ref(), &bytes, &mut watching, &frames, &relay_ended).await, true)
                }
            };
            if let Some(answer) = answer
                && frames.send(serde_json::to_string(&answer).unwrap_or_default()).await.is_err()
            {
                break;
            }
            if !go_on {
                break;
            }
        }
        if let Some(task) = watching {
            task.abort();
        }
        // The last frames still go out.
        drop(frames);
        std::future::pending::<()>().await;
    };
    // The writer ends when its pipe breaks, or when every sender is gone because the reader has ended.
    tokio::select! {
        () = write => {}
        () = read => {}
    }
}

async fn obey(
    home: &Home,
    refusal: Option<&NativeResponse>,
    bytes: &[u8],
    watching: &mut Option<JoinHandle<()>>,
    frames: &mpsc::Sender<String>,
    relay_ended: &CancellationToken,
) -> Option<NativeResponse> {
    let request = match serde_json::from_slice(bytes) {
        Ok(request) => request,
        Err(problem) => {
            return Some(error(
                code::BAD_FRAME,
                format!("The message cannot be understood: {problem}."),
                None,
            ));
        }
    };
    if let Some(refusal) = refusal {
        return Some(refusal.clone());
    }
    match request {
        NativeRequest::Hello { protocol, .. } => Some(hello(home, protocol).await),
        NativeRequest::Watch => {
            // A second `watch` starts over with a fresh snapshot.
            if let Some(task) = watching.take() {
                task.abort();
            }
            let (relay, ended) = (watch::relay(home.clone(), frames.clone()), relay_ended.clone());
            *watching = Some(tokio::spawn(async move {
                relay.await;
                ended.cancel();
            }));
            None
        }
    }
}

async fn hello(home: &Home, protocol: u32) -> NativeResponse {
    if protocol != PROTOCOL_VERSION {
        let host = env!("CARGO_PKG_VERSION");
        let message = format!(
            "The extension speaks protocol {protocol}, this host (version {host}) speaks {PROTOCOL_VERSION}."
        );
        return error(code::VERSION_MISMATCH, message, Some(Action::Update));
    }
    match Remote::find_or_start(home).await {
        Ok(remote) => NativeResponse::Hello {
            version: remote.endpoint.version,
            protocol: PROTOCOL_VERSION,
            url: remote.endpoint.url,
            token: remote.endpoint.token,
        },
        Err(refused) => error(&refused.0.code, refused.0.message, refused.0.action),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::AsyncWriteExt as _;

    use super::*;

    #[test]
    fn browsers_are_told_from_people() {
        let arguments = |list: &[&str]| list.iter().map(|text| (*text).to_owned()).collect::<Vec<_>>();
        assert_eq!(caller(&arguments(&["weir", "chrome-extension://abc/"])), Some("abc"));
        assert_eq!(
            caller(&arguments(&["weir", "chrome-extension://abc/", "--parent-window=7"])),
            Some("abc")
        );
        assert_eq!(caller(&arguments(&["weir", "get"])), None);
        assert_eq!(caller(&arguments(&["weir"])), None);
    }

    /// Everything the shim says to `input`, one JSON value a frame.
    async fn converse(refusal: Option<NativeResponse>, input: Vec<u8>) -> Vec<serde_json::Value> {
        let dir = tempfile::tempdir().unwrap();
        let home = Home::at_for_test(dir.path());
        let (near, far) = tokio::io::duplex(64 * 1024);
        let (mut said, _keep) = tokio::io::split(far);
        let served = serve(home, refusal, input.as_slice(), near);
        tokio::time::timeout(std::time::Duration::from_secs(5), served).await.expect("ends by itself");
        let mut values = Vec::new();
        while let Incoming::Frame(bytes) = frame::read(&mut said).await.unwrap() {
            values.push(serde_json::from_slice(&bytes).unwrap());
        }
        values
    }

    async fn framed(bodies: &[&[u8]]) -> Vec<u8> {
        let mut bytes = Vec::new();
        for body in bodies {
            bytes.write_all(&u32::try_from(body.len()).unwrap().to_ne_bytes()).await.unwrap();
            bytes.write_all(body).await.unwrap();
        }
        bytes
    }

    #[tokio::test]
    async fn bad_frames_are_answered_and_survived() {
        let bodies: &[&[u8]] = &[
            b"",
            b"\xff\xfe",
            b"{",
            b"[]",
            b"null",
            b"{\"type\":\"nonsense\"}",
            b"{\"type\":\"hello\",\"version\":\"1\",\"protocol\":99}",
        ];
        let answers = converse(None, framed(bodies).await).await;
        assert_eq!(answers.len(), bodies.len());
        for answer in &answers[..6] {
            assert_eq!(answer["code"], "bad_frame", "{answer}");
        }
        assert_eq!(answers[6]["code"], "version_mismatch");
    }

    #[tokio::test]
    async fn an_oversized_claim_ends_the_conversation_with_a_word() {
        let answers = converse(None, u32::MAX.to_ne_bytes().to_vec()).await;
        assert_eq!(answers.len(), 1);
        assert_eq!(answers[0]["code"], "bad_frame");
    }

    #[tokio::test]
    async fn a_cut_frame_is_an_end() {
        assert!(converse(None, vec![1, 0]).await.is_empty());
        assert!(converse(None, [&9_u32.to_ne_bytes()[..], b"{}"].concat()).await.is_empty());
        assert!(converse(None, Vec::new()).await.is_empty());
    }

    #[tokio::test]
    async fn a_stranger_is_refused() {
        let refusal = error(code::FORBIDDEN_EXTENSION, "no".into(), None);
        let answers =
            converse(Some(refusal), framed(&[br#"{"type":"hello","version":"1","protocol":1}"#]).await).await;
        assert_eq!(answers[0]["code"], "forbidden_extension");
        assert!(answers[0].get("token").is_none());
    }
}
