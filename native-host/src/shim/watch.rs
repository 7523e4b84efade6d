//! Relaying the daemon's events to the browser, across restarts of the daemon.

use std::time::Duration;

use futures_util::StreamExt as _;
use tokio::sync::mpsc;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::HeaderValue;
use tokio_tungstenite::tungstenite::http::header::{AUTHORIZATION, SEC_WEBSOCKET_PROTOCOL};
use weir_protocol::{Action, NativeResponse, WS_SUBPROTOCOL, code};

use crate::home::Home;
use crate::remote::Remote;

/// Attempts to reach a daemon that went away, a second apart.
const ATTEMPTS: u32 = 5;

/// How a connection to the daemon ended.
enum Ended {
    /// The daemon said goodbye: the user stopped it, so nobody starts it again.
    Stopped,
    /// It broke: the daemon crashed or was killed.
    Broken,
    /// Nobody listens to the relay.
    Unheard,
}

/// Sends every event frame to `frames` until the daemon is stopped or cannot be found again.
pub(super) async fn relay(home: Home, frames: mpsc::Sender<String>) {
    let mut attempts = 0;
    while attempts < ATTEMPTS {
        if attempts > 0 {
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
        attempts += 1;
        let Ok(remote) = Remote::find_or_start(&home).await else { continue };
        match follow(&remote, &frames, &mut attempts).await {
            Ok(Ended::Broken) => {}
            Ok(Ended::Stopped) => break,
            Ok(Ended::Unheard) => return,
            Err(error) => tracing::warn!(%error, "the event feed broke"),
        }
    }
    let message = "Weir's daemon has stopped.".to_owned();
    let gone = NativeResponse::Error {
        code: code::DAEMON_UNAVAILABLE.to_owned(),
        message,
        action: Some(Action::Retry),
    };
    let _ = frames.send(serde_json::to_string(&gone).unwrap_or_default()).await;
}

async fn follow(remote: &Remote, frames: &mpsc::Sender<String>, attempts: &mut u32) -> anyhow::Result<Ended> {
    let address = format!("{}/ws", remote.endpoint.url.replacen("http://", "ws://", 1));
    let mut request = address.into_client_request()?;
    let headers = request.headers_mut();
    headers.insert(SEC_WEBSOCKET_PROTOCOL, HeaderValue::from_static(WS_SUBPROTOCOL));
    headers.insert(AUTHORIZATION, HeaderValue::try_from(format!("Bearer {}", remote.endpoint.token))?);
    let (mut socket, _) = tokio_tungstenite::connect_async(request).await?;
    *attempts = 0;
    while let Some(message) = socket.next().await {
        match message {
            Ok(Message::Text(text)) => {
                if frames.send(text.as_str().to_owned()).await.is_err() {
                    return Ok(Ended::Unheard);
                }
            }
            Ok(Message::Close(_)) => return Ok(Ended::Stopped),
            Ok(_) => {}
            Err(_) => return Ok(Ended::Broken),
        }
    }
    Ok(Ended::Broken)
}
