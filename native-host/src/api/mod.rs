//! The one door: REST and `/ws` on loopback.
//!
//! Owns routes, who may use them, and how answers look. Never changes a download itself: the queue does. Invariant:
//! every request, whatever its path, passes the checks of [`guard`] in their order before a handler sees it.

mod archive;
mod credentials;
mod docs;
mod downloads;
mod error;
mod file;
mod guard;
mod input;
mod intake;
mod meta;
mod openapi;
mod page;
mod session;
mod settings;
mod ws;

use std::sync::Arc;

use axum::Router;
use axum::extract::{Query, State};
use axum::middleware;
use axum::routing::{get, post};
use serde::Deserialize;
use tokio_util::task::TaskTracker;
use weir_protocol::Health;

use crate::daemon::Settings;
use crate::endpoint::Token;
use crate::queue::Queue;
use crate::store::Store;
use credentials::Credentials;
use error::ApiError;
pub(crate) use guard::MAX_HEAD;

/// What handlers work with.
pub(crate) struct Door {
    pub(crate) settings: Settings,
    /// The port the door is open on.
    pub(crate) port: u16,
    /// `http://ADDRESS:PORT`.
    pub(crate) url: String,
    pub(crate) store: Store,
    pub(crate) queue: Queue,
    /// Open sockets; a clean stop waits until each was told goodbye.
    pub(crate) sockets: TaskTracker,
    credentials: Credentials,
}

pub(crate) type Shared = State<Arc<Door>>;

impl Door {
    pub(crate) fn new(
        settings: Settings,
        (port, url): (u16, String),
        token: Token,
        store: Store,
        queue: Queue,
    ) -> Self {
        Self {
            settings,
            port,
            url,
            store,
            queue,
            sockets: TaskTracker::new(),
            credentials: Credentials::new(token, port),
        }
    }
}

/// Every route behind every check.
pub(crate) fn router(door: Arc<Door>) -> Router {
    let open = Router::new()
        .route("/health", get(health))
        .route("/openapi.json", get(openapi::get))
        .route("/docs", get(docs::page))
        .route("/docs/", get(docs::page))
        .route("/docs/{file}", get(docs::file))
        .route("/session", post(session::open))
        .route("/", get(page::index_or_socket))
        .merge(page::assets())
        .route_layer(middleware::from_fn(guard::judge_type));
    let closed = Router::new()
        .route("/session/ticket", post(session::ticket))
        .route("/ws", get(ws::upgrade))
        .route("/meta", post(meta::meta))
        .route("/settings", get(settings::get).patch(settings::patch))
        .route("/list", get(downloads::list))
        .route("/download", post(downloads::add))
        .route("/download/{id}", get(downloads::get).patch(downloads::patch).delete(downloads::delete))
        .route("/download/{id}/pause", post(downloads::pause))
        .route("/download/{id}/resume", post(downloads::resume))
        .route("/download/{id}/cancel", post(downloads::cancel))
        .route("/download/{id}/retry", post(downloads::retry))
        .route("/download/{id}/finish", post(downloads::finish))
        .route("/download/{id}/move", post(downloads::relocate))
        .route("/download/{id}/ranges", get(downloads::ranges))
        .route("/download/{id}/file", get(file::file))
        .route("/download/{id}/open", post(downloads::open))
        .route("/download/{id}/show", post(downloads::show))
        .route_layer(middleware::from_fn_with_state(Arc::clone(&door), guard::authorize));
    open.merge(closed)
        .fallback(guard::not_found)
        .method_not_allowed_fallback(|| async { ApiError::method_not_allowed() })
        .layer(middleware::from_fn_with_state(Arc::clone(&door), guard::admit))
        .with_state(door)
}

#[derive(Deserialize)]
struct HealthQuery {
    challenge: Option<String>,
}

/// `GET /health`: alive, and with `?challenge=` a proof of being this user's daemon.
async fn health(
    State(door): Shared,
    Query(query): Query<HealthQuery>,
) -> Result<axum::Json<Health>, ApiError> {
    let proof = match query.challenge {
        Some(challenge)
            if challenge.len() <= 128
                && challenge.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_') =>
        {
            Some(door.credentials.proof(&challenge))
        }
        Some(_) => {
            return Err(ApiError::bad_request("`challenge` is at most 128 letters, digits, `-` and `_`."));
        }
        None => None,
    };
    Ok(axum::Json(Health { status: "ok".to_owned(), proof }))
}
