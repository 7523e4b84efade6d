//! Who may enter. The order of checks, on every route, page, socket and 404:
//! Host → Origin and `Sec-Fetch-Site` → method and content type → authentication → rate limit → body size.
//!
//! [`admit`] wraps everything and does the first step and the answer's headers; the router answers wrong methods;
//! [`authorize`] does the rest in front of closed routes; [`super::input`] bounds bodies. The decisions are pure functions of
//! the request head. Invariant: being on loopback authorises nobody.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Method, StatusCode, Uri};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use weir_protocol::{CSRF_HEADER, WS_TOKEN_PREFIX};

use super::error::ApiError;
use super::{Door, Shared, page};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");
const SEC_FETCH_MODE: HeaderName = HeaderName::from_static("sec-fetch-mode");
const SEC_FETCH_DEST: HeaderName = HeaderName::from_static("sec-fetch-dest");

/// Largest request head.
pub(crate) const MAX_HEAD: usize = 64 * 1024;

/// Where a request comes from, after the first checks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Origin {
    /// No `Origin` header: a program, or a plain GET of a browser.
    None,
    /// Our own page.
    Own,
    /// An extension this daemon serves.
    Extension,
}

/// The outermost layer: first checks, then the rest of the daemon, then the headers every answer carries.
pub(super) async fn admit(State(door): Shared, request: Request, next: Next) -> Response {
    let host = check_size(request.headers(), request.uri())
        .and_then(|()| check_host(request.headers(), request.uri(), door.port));
    let origin = host.and_then(|host| {
        check_origin(
            request.method(),
            request.uri(),
            request.headers(),
            host,
            &door.settings.in_force().config.extension_ids,
        )
    });
    let (mut response, allowed) = match origin {
        Err(refusal) => {
            tracing::info!(code = refusal.code(), method = %request.method(), path = request.uri().path(), "refused at the door");
            (refusal.into_response(), None)
        }
        Ok(Origin::Extension) => {
            let allowed = request.headers().get(header::ORIGIN).cloned();
            if request.method() == Method::OPTIONS {
                (StatusCode::NO_CONTENT.into_response(), allowed)
            } else {
                (next.run(request).await, allowed)
            }
        }
        Ok(_) => (next.run(request).await, None),
    };
    dress(response.headers_mut(), allowed);
    response
}

/// In front of every closed route: content type, then credentials.
pub(super) async fn authorize(State(door): Shared, request: Request, next: Next) -> Response {
    if let Err(refusal) = check_content_type(request.headers())
        .and_then(|()| check_credentials(&door, request.method(), request.headers()))
    {
        return refusal.into_response();
    }
    next.run(request).await
}

/// In front of every open route: content type.
pub(super) async fn judge_type(request: Request, next: Next) -> Response {
    match check_content_type(request.headers()) {
        Ok(()) => next.run(request).await,
        Err(refusal) => refusal.into_response(),
    }
}

/// What is nowhere: a stranger learns only that he is one.
pub(super) async fn not_found(State(door): Shared, request: Request) -> ApiError {
    check_content_type(request.headers())
        .and_then(|()| check_credentials(&door, request.method(), request.headers()))
        .err()
        .unwrap_or_else(ApiError::not_found)
}

/// The connection's buffer bounds a head that trickles in; one that arrives at once is measured here.
fn check_size(headers: &HeaderMap, uri: &Uri) -> Result<(), ApiError> {
    let lines: usize = headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum();
    let target = uri.path_and_query().map_or(0, |target| target.as_str().len());
    if lines + target <= MAX_HEAD { Ok(()) } else { Err(ApiError::head_too_large()) }
}

/// DNS rebinding ends here: the name a browser believes to talk to must be one of ours. Returns it.
fn check_host<'a>(headers: &'a HeaderMap, uri: &Uri, port: u16) -> Result<&'a str, ApiError> {
    let mut hosts = headers.get_all(header::HOST).iter();
    let (Some(host), None) = (hosts.next(), hosts.next()) else { return Err(ApiError::wrong_host()) };
    let host = host.to_str().map_err(|_| ApiError::wrong_host())?;
    // An absolute-form request line overrides Host in some servers; here both must be right.
    let ours = |name: &str| is_own_authority(name, port);
    if ours(host) && uri.authority().is_none_or(|authority| ours(authority.as_str())) {
        Ok(host)
    } else {
        Err(ApiError::wrong_host())
    }
}

fn is_own_authority(authority: &str, port: u16) -> bool {
    let Some((name, number)) = authority.rsplit_once(':') else {
        return port == 80 && is_own_name(authority);
    };
    // Compared as text: `08765` or a port that wraps around is not ours.
    is_own_name(name) && number == port.to_string()
}

fn is_own_name(name: &str) -> bool {
    name == "127.0.0.1" || name == "[::1]" || name.eq_ignore_ascii_case("localhost")
}

fn check_origin(
    method: &Method,
    uri: &Uri,
    headers: &HeaderMap,
    host: &str,
    extensions: &[String],
) -> Result<Origin, ApiError> {
    let mut origins = headers.get_all(header::ORIGIN).iter();
    let origin = match (origins.next(), origins.next()) {
        (None, _) => Origin::None,
        (Some(origin), None) => {
            let origin = origin.to_str().map_err(|_| ApiError::forbidden_origin())?;
            if origin.strip_prefix("http://").is_some_and(|name| name.eq_ignore_ascii_case(host)) {
                Origin::Own
            } else if origin
                .strip_prefix("chrome-extension://")
                .is_some_and(|id| extensions.iter().any(|ours| ours == id))
            {
                // What an extension fetches counts as cross-site; its exact origin is the better witness.
                return Ok(Origin::Extension);
            } else {
                return Err(ApiError::forbidden_origin());
            }
        }
        _ => return Err(ApiError::forbidden_origin()),
    };
    match headers.get(SEC_FETCH_SITE).map(HeaderValue::as_bytes) {
        None | Some(b"same-origin" | b"none") => Ok(origin),
        // Following a link to the companion page is fine; it shows nothing without a session, and the session's
        // cookie does not come along (SameSite=Strict). A socket is never a navigation.
        Some(_) if is_navigation(method, headers) && page::is_open(uri.path()) => Ok(origin),
        Some(_) => Err(ApiError::forbidden_origin()),
    }
}

fn is_navigation(method: &Method, headers: &HeaderMap) -> bool {
    let is =
        |name: HeaderName, value: &[u8]| headers.get(name).is_some_and(|found| found.as_bytes() == value);
    method == Method::GET
        && is(SEC_FETCH_MODE, b"navigate")
        && is(SEC_FETCH_DEST, b"document")
        && !headers.contains_key(header::UPGRADE)
}

/// A body is JSON, and says so: forms and text, which any site may send, end here.
fn check_content_type(headers: &HeaderMap) -> Result<(), ApiError> {
    let has_body = headers.contains_key(header::TRANSFER_ENCODING)
        || headers.get(header::CONTENT_LENGTH).is_some_and(|length| length.as_bytes() != b"0");
    let is_json =
        headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).is_some_and(|value| {
            value
                .split(';')
                .next()
                .is_some_and(|essence| essence.trim().eq_ignore_ascii_case("application/json"))
        });
    if !has_body || is_json { Ok(()) } else { Err(ApiError::unsupported_media_type()) }
}

/// A token opens everything; a session everything a page of ours asks for by itself.
pub(super) fn check_credentials(door: &Door, method: &Method, headers: &HeaderMap) -> Result<(), ApiError> {
    let is_socket = is_socket(headers);
    if let Some(token) = bearer(headers).or_else(|| is_socket.then(|| socket_token(headers)).flatten()) {
        if door.credentials.is_token(token) {
            return Ok(());
        }
        tracing::info!("a wrong token was refused");
        return Err(if door.credentials.count_wrong() {
            ApiError::too_many_requests()
        } else {
            ApiError::unauthorized()
        });
    }
    let name = door.credentials.cookie_name();
    if !cookies(headers, &name).any(|value| door.credentials.is_session(value)) {
        return Err(ApiError::unauthorized());
    }
    // `check_origin` has seen to it that an Origin, when there is one, is ours or an extension's.
    let own_origin =
        headers.get(header::ORIGIN).is_some_and(|origin| origin.as_bytes().starts_with(b"http://"));
    let safe = matches!(*method, Method::GET | Method::HEAD);
    let marked = headers.get(CSRF_HEADER).is_some_and(|value| value.as_bytes() == b"1");
    let allowed = if is_socket { own_origin } else { safe || (own_origin && marked) };
    if allowed { Ok(()) } else { Err(ApiError::forbidden_origin()) }
}

/// The request asks to become a WebSocket.
pub(super) fn is_socket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|value| value.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The request came with a token in its head, as programs send it. Whether it is right was judged before.
pub(super) fn has_bearer(headers: &HeaderMap) -> bool {
    bearer(headers).is_some()
}

fn bearer(headers: &HeaderMap) -> Option<&str> {
    let value = headers.get(header::AUTHORIZATION)?.to_str().ok()?;
    let (scheme, token) = value.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

fn socket_token(headers: &HeaderMap) -> Option<&str> {
    let offers = headers.get_all(header::SEC_WEBSOCKET_PROTOCOL);
    offers
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .find_map(|offer| offer.trim().strip_prefix(WS_TOKEN_PREFIX))
}

fn cookies<'a>(headers: &'a HeaderMap, name: &'a str) -> impl Iterator<Item = &'a str> {
    let lines = headers.get_all(header::COOKIE).into_iter().filter_map(|value| value.to_str().ok());
    lines.flat_map(|line| line.split(';')).filter_map(move |pair| {
        let (found, value) = pair.trim().split_once('=')?;
        (found == name).then_some(value)
    })
}

/// The headers of every answer. Handlers may have set a stricter or a page's own policy before.
fn dress(headers: &mut HeaderMap, allowed_origin: Option<HeaderValue>) {
    let mut default = |name: HeaderName, value: &'static str| {
        headers.entry(name).or_insert(HeaderValue::from_static(value));
    };
    default(header::X_CONTENT_TYPE_OPTIONS, "nosniff");
    default(header::X_FRAME_OPTIONS, "DENY");
    default(header::CONTENT_SECURITY_POLICY, "default-src 'none'; frame-ancestors 'none'");
    default(HeaderName::from_static("cross-origin-resource-policy"), "same-origin");
    default(header::REFERRER_POLICY, "no-referrer");
    default(header::CACHE_CONTROL, "no-store");
    if let Some(origin) = allowed_origin {
        headers.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin);
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_METHODS,
            HeaderValue::from_static("GET, POST, PATCH, DELETE"),
        );
        headers.insert(
            header::ACCESS_CONTROL_ALLOW_HEADERS,
            HeaderValue::from_static("authorization, content-type, x-weir"),
        );
        headers.insert(header::ACCESS_CONTROL_EXPOSE_HEADERS, HeaderValue::from_static("x-total-count"));
        headers.append(header::VARY, HeaderValue::from_static("Origin"));
    }
}

/// Lets a handler of an open route ask what [`authorize`] asks in front of closed ones.
pub(super) fn authorize_socket(door: &Arc<Door>, headers: &HeaderMap) -> Result<(), ApiError> {
    check_credentials(door, &Method::GET, headers)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ID: &str = "ljphibfajlfhggimfakdofbkblhihipa";

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        let mut map = HeaderMap::new();
        for (name, value) in pairs {
            map.append(*name, HeaderValue::from_str(value).unwrap());
        }
        map
    }

    #[test]
    fn only_our_own_names_are_hosts() {
        let uri = Uri::from_static("/list");
        for host in ["127.0.0.1:8765", "localhost:8765", "LocalHost:8765", "[::1]:8765"] {
            assert!(check_host(&headers(&[("host", host)]), &uri, 8765).is_ok(), "{host}");
        }
        for host in [
            "evil.example:8765",
            "127.0.0.1.evil.example:8765",
            "0.0.0.0:8765",
            "127.1:8765",
            "2130706433:8765",
            "[::ffff:127.0.0.1]:8765",
            "localhost.:8765",
            "127.0.0.1:8766",
            "127.0.0.1:08765",
            "127.0.0.1",
            "",
            ":8765",
            "127.0.0.1:8765@evil.example",
            "[::1]",
            "localhost:8765:8765",
        ] {
            assert!(check_host(&headers(&[("host", host)]), &uri, 8765).is_err(), "{host}");
        }
        assert!(check_host(&headers(&[]), &uri, 8765).is_err(), "missing");
        let twice = headers(&[("host", "127.0.0.1:8765"), ("host", "127.0.0.1:8765")]);
        assert!(check_host(&twice, &uri, 8765).is_err(), "twice");
        let one = headers(&[("host", "127.0.0.1:8765")]);
        assert!(
            check_host(&one, &Uri::from_static("http://evil.example/list"), 8765).is_err(),
            "absolute form"
        );
        assert!(check_host(&one, &Uri::from_static("http://127.0.0.1:8765/list"), 8765).is_ok());
    }

    fn origin(method: &Method, path: &'static str, pairs: &[(&'static str, &str)]) -> Option<Origin> {
        check_origin(method, &Uri::from_static(path), &headers(pairs), "127.0.0.1:8765", &[ID.to_owned()])
            .ok()
    }

    #[test]
    fn only_our_page_and_our_extension_are_origins() {
        let get = Method::GET;
        assert_eq!(origin(&get, "/list", &[]), Some(Origin::None));
        assert_eq!(origin(&get, "/list", &[("origin", "http://127.0.0.1:8765")]), Some(Origin::Own));
        let extension = format!("chrome-extension://{ID}");
        let pairs = [("origin", extension.as_str()), ("sec-fetch-site", "cross-site")];
        assert_eq!(origin(&get, "/list", &pairs), Some(Origin::Extension));
        for foreign in [
            "https://evil.example",
            "null",
            "http://127.0.0.1:8766",
            "http://localhost:8765",
            "https://127.0.0.1:8765",
            "http://localhost.evil.example",
            "chrome-extension://abcdefghijklmnopabcdefghijklmnop",
            "",
            "chrome-extension://ljphibfajlfhggimfakdofbkblhihipa.evil",
        ] {
            assert_eq!(origin(&get, "/list", &[("origin", foreign)]), None, "{foreign}");
        }
        let twice = [("origin", "http://127.0.0.1:8765"), ("origin", "http://127.0.0.1:8765")];
        assert_eq!(origin(&get, "/list", &twice), None);
    }

    #[test]
    fn another_site_may_link_to_the_page_and_nothing_else() {
        let link = [
            ("sec-fetch-site", "cross-site"),
            ("sec-fetch-mode", "navigate"),
            ("sec-fetch-dest", "document"),
        ];
        assert!(origin(&Method::GET, "/", &link).is_some());
        assert!(origin(&Method::GET, "/list", &link).is_none());
        assert!(origin(&Method::POST, "/", &link).is_none());
        let framed =
            [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")];
        assert!(origin(&Method::GET, "/", &framed).is_none());
        let fetched =
            [("sec-fetch-site", "same-site"), ("sec-fetch-mode", "no-cors"), ("sec-fetch-dest", "empty")];
        assert!(origin(&Method::GET, "/", &fetched).is_none());
        let mut socket = link.to_vec();
        socket.push(("upgrade", "websocket"));
        assert!(origin(&Method::GET, "/", &socket).is_none());
        assert!(origin(&Method::GET, "/list", &[("sec-fetch-site", "same-origin")]).is_some());
    }

    #[test]
    fn a_body_is_json_or_is_refused() {
        assert!(check_content_type(&headers(&[])).is_ok());
        assert!(check_content_type(&headers(&[("content-length", "0")])).is_ok());
        assert!(
            check_content_type(&headers(&[
                ("content-length", "2"),
                ("content-type", "application/json; charset=utf-8")
            ]))
            .is_ok()
        );
        for kind in [
            "text/plain",
            "application/x-www-form-urlencoded",
            "multipart/form-data; boundary=x",
            "application/jsonp",
            "",
        ] {
            assert!(
                check_content_type(&headers(&[("content-length", "2"), ("content-type", kind)])).is_err(),
                "{kind}"
            );
        }
        assert!(check_content_type(&headers(&[("transfer-encoding", "chunked")])).is_err());
    }
}
