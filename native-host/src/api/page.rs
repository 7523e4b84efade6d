//! The companion page: static files compiled into the program, and the socket at `/`.
//!
//! Nothing here is secret; what the page shows it asks for with its session.

use axum::Router;
use axum::extract::ws::WebSocketUpgrade;
use axum::extract::{FromRequestParts as _, Request, State};
use axum::http::StatusCode;
use axum::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, ETAG, HeaderMap, IF_NONE_MATCH,
};
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use rust_embed::RustEmbed;
use std::sync::Arc;

use super::error::ApiError;
use super::{Door, Shared, docs, guard, ws};
use crate::endpoint::hex;

/// What `cargo xtask build` made. In debug builds the files are read from disk.
#[derive(RustEmbed)]
#[folder = "../dist/page"]
struct Assets;

const INDEX: &str = "index.html";

/// The page runs our own script and Wasm and talks to this daemon; nothing else.
const POLICY: &str = "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; style-src 'self'; img-src 'self' data:; \
    connect-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

/// Routes of every file of the page.
pub(super) fn assets() -> Router<Arc<Door>> {
    Assets::iter().fold(Router::new(), |router, name| {
        let path = format!("/{name}");
        router.route(&path, get(move |headers: HeaderMap| async move { serve(&name, &headers) }))
    })
}

/// A path that can be opened without a session.
pub(super) fn is_open(path: &str) -> bool {
    path == "/" || docs::is_page(path) || Assets::get(path.trim_start_matches('/')).is_some()
}

/// `GET /`: the page, or with `Upgrade: websocket` the same socket as `/ws`.
pub(super) async fn index_or_socket(State(door): Shared, request: Request) -> Result<Response, ApiError> {
    let (mut parts, _) = request.into_parts();
    if !guard::is_socket(&parts.headers) {
        return Ok(serve(INDEX, &parts.headers));
    }
    guard::authorize_socket(&door, &parts.headers)?;
    match WebSocketUpgrade::from_request_parts(&mut parts, &door).await {
        Ok(upgrade) => Ok(ws::accept(door, upgrade)),
        Err(rejection) => Ok(rejection.into_response()),
    }
}

fn serve(name: &str, headers: &HeaderMap) -> Response {
    let Some(file) = Assets::get(name) else {
        let hint = "This Weir was built without its page. Run `cargo xtask build`, then build again.\n";
        return (StatusCode::NOT_FOUND, [(CONTENT_TYPE, "text/plain; charset=utf-8")], hint).into_response();
    };
    let tag = format!("\"{}\"", hex(&file.metadata.sha256_hash()[..16]));
    let fixed = [(CONTENT_SECURITY_POLICY, POLICY), (CACHE_CONTROL, "no-cache")];
    if headers.get(IF_NONE_MATCH).is_some_and(|known| known.as_bytes() == tag.as_bytes()) {
        return (StatusCode::NOT_MODIFIED, fixed, [(ETAG, tag)]).into_response();
    }
    (fixed, [(ETAG, tag), (CONTENT_TYPE, content_type(name).to_owned())], file.data).into_response()
}

fn content_type(name: &str) -> &'static str {
    match name.rsplit('.').next() {
        Some("html") => "text/html; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("js") => "text/javascript; charset=utf-8",
        Some("wasm") => "application/wasm",
        Some("svg") => "image/svg+xml",
        Some("png") => "image/png",
        _ => "application/octet-stream",
    }
}
