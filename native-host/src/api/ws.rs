//! `/ws`: a snapshot, then every event. One task a client; a slow one falls behind and gets a new snapshot.

use std::sync::Arc;
use std::time::Duration;

use axum::extract::State;
use axum::extract::ws::{CloseFrame, Message, WebSocket, WebSocketUpgrade, close_code};
use axum::response::Response;
use tokio::sync::broadcast::error::RecvError;
use weir_protocol::{ClientMessage, Topic, WS_SUBPROTOCOL};

use super::{Door, Shared};

/// Largest frame a client may send; it has little to say.
const MAX_FRAME: usize = 1024 * 1024;

/// A client that takes nothing for this long is gone.
const SEND_PATIENCE: Duration = Duration::from_secs(30);

/// `GET /ws`.
pub(super) async fn upgrade(State(door): Shared, upgrade: WebSocketUpgrade) -> Response {
    accept(door, upgrade)
}

/// Answers the subprotocol `weir.v1` and never the token offered beside it.
pub(super) fn accept(door: Arc<Door>, upgrade: WebSocketUpgrade) -> Response {
    let sockets = door.sockets.clone();
    upgrade.protocols([WS_SUBPROTOCOL]).max_message_size(MAX_FRAME).max_frame_size(MAX_FRAME).on_upgrade(
        move |socket| {
            sockets.track_future(async move {
                let mut client = Client { socket, wants_downloads: true };
                if let Some(reason) = client.serve(&door).await {
                    let _ = client.socket.send(Message::Close(Some(reason))).await;
                }
            })
        },
    )
}

struct Client {
    socket: WebSocket,
    wants_downloads: bool,
}

/// What to do after something happened on a socket.
enum Next {
    Go,
    /// Send a fresh snapshot.
    Snapshot,
    Close(Option<CloseFrame>),
}

impl Client {
    /// Serves until either side ends it. Returns the reason to close with, if the client is still there to hear it.
    async fn serve(&mut self, door: &Door) -> Option<CloseFrame> {
        loop {
            let Ok(mut subscription) = door.queue.subscribe().await else { return Some(going_away()) };
            if self.wants_downloads {
                for frame in std::mem::take(&mut subscription.snapshot) {
                    if !self.send(Message::Text(frame)).await {
                        return None;
                    }
                }
            }
            loop {
                let next = tokio::select! {
                    frame = subscription.frames.recv() => match frame {
                        Ok(frame) if self.wants_downloads => {
                            if self.send(Message::Text(frame)).await { Next::Go } else { Next::Close(None) }
                        }
                        Ok(_) => Next::Go,
                        Err(RecvError::Lagged(_)) => Next::Snapshot,
                        Err(RecvError::Closed) => Next::Close(Some(going_away())),
                    },
                    message = self.socket.recv() => self.hear(message),
                };
                match next {
                    Next::Go => {}
                    Next::Snapshot => break,
                    Next::Close(reason) => return reason,
                }
            }
        }
    }

    fn hear(&mut self, message: Option<Result<Message, axum::Error>>) -> Next {
        let text = match message {
            Some(Ok(Message::Text(text))) => text,
            Some(Ok(Message::Ping(_) | Message::Pong(_))) => return Next::Go,
            Some(Ok(Message::Binary(_))) => return Next::Close(Some(refused("frames are JSON text"))),
            Some(Ok(Message::Close(_)) | Err(_)) | None => return Next::Close(None),
        };
        match serde_json::from_str(&text) {
            Ok(ClientMessage::Subscribe { topics }) => {
                self.wants_downloads = topics.contains(&Topic::Downloads);
                Next::Snapshot
            }
            Err(_) => Next::Close(Some(refused("unknown message"))),
        }
    }

    async fn send(&mut self, message: Message) -> bool {
        matches!(tokio::time::timeout(SEND_PATIENCE, self.socket.send(message)).await, Ok(Ok(())))
    }
}

fn going_away() -> CloseFrame {
    CloseFrame { code: close_code::AWAY, reason: "Weir is stopping".into() }
}

fn refused(reason: &'static str) -> CloseFrame {
    CloseFrame { code: close_code::POLICY, reason: reason.into() }
}
