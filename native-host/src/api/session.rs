//! How the companion page gets in: a ticket or the token, traded for a cookie no script can read.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderMap, HeaderValue, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use weir_protocol::{SessionRequest, Ticket};

use super::Shared;
use super::credentials::TICKET_LIFE;
use super::error::ApiError;
use super::guard;
use super::input::Body;

/// `POST /session/ticket`: a ticket for one session, for whoever is already in.
pub(super) async fn ticket(State(door): Shared) -> Result<Json<Ticket>, ApiError> {
    let ticket = door.credentials.issue_ticket().map_err(|error| ApiError::internal(&error))?;
    // In the fragment, which no server, log or Referer ever sees.
    let url = format!("http://127.0.0.1:{}/#ticket={ticket}", door.port);
    Ok(Json(Ticket { ticket, url, expires_in_s: TICKET_LIFE.as_secs() }))
}

/// `POST /session`: 204 and the cookie. The route is open, so it looks at the content type itself.
pub(super) async fn open(
    State(door): Shared,
    headers: HeaderMap,
    request: axum::extract::Request,
) -> Result<Response, ApiError> {
    guard::check_content_type(&headers)?;
    let Body(body) =
        <Body<SessionRequest> as axum::extract::FromRequest<()>>::from_request(request, &()).await?;
    let valid = match (&body.ticket, &body.token) {
        (Some(ticket), None) => door.credentials.redeem_ticket(ticket),
        (None, Some(token)) => door.credentials.is_token(token.trim()),
        _ => return Err(ApiError::bad_request("Give either `ticket` or `token`.")),
    };
    if !valid {
        return Err(if door.credentials.count_wrong() {
            ApiError::too_many_requests()
        } else {
            ApiError::unauthorized()
        });
    }
    let session = door.credentials.issue_session().map_err(|error| ApiError::internal(&error))?;
    let cookie = format!("{}={session}; Path=/; HttpOnly; SameSite=Strict", door.credentials.cookie_name());
    let cookie = HeaderValue::try_from(cookie).map_err(|error| ApiError::internal(&error))?;
    Ok((StatusCode::NO_CONTENT, [(SET_COOKIE, cookie)]).into_response())
}
