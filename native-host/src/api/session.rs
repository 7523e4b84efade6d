//! How the companion page gets in: a ticket or the token, traded for a cookie no script can read.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderValue, SET_COOKIE};
use axum::response::{IntoResponse, Response};
use weir_protocol::{SessionRequest, Ticket};

use super::Shared;
use super::credentials::TICKET_LIFE;
use super::error::ApiError;
use super::input::Body;

/// `POST /session/ticket`: a ticket for one session, for whoever is already in.
pub(super) async fn ticket(State(door): Shared) -> Result<Json<Ticket>, ApiError> {
    let ticket = door.credentials.issue_ticket().map_err(|error| ApiError::internal(&error))?;
    // In the fragment, which no server, log or Referer ever sees.
    let url = format!("{}/#ticket={ticket}", door.url);
    Ok(Json(Ticket { ticket, url, expires_in_s: TICKET_LIFE.as_secs() }))
}

/// `POST /session`: 204 and the cookie.
pub(super) async fn open(
    State(door): Shared,
    Body(body): Body<SessionRequest>,
) -> Result<Response, ApiError> {
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
