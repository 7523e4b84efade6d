//! Answers that are not a success: one type, one shape, `{"error":{"code","message","action"}}`.

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use weir_engine::EngineError;
use weir_protocol::{Action, ErrorBody, ErrorInfo, code};

use crate::failure;
use crate::queue::{self, Act, QueueError};

/// A refusal or a failure, ready to be sent.
#[derive(Debug)]
pub(crate) struct ApiError {
    status: StatusCode,
    info: ErrorInfo,
}

impl ApiError {
    pub(crate) fn new(
        status: StatusCode,
        code: &str,
        message: impl Into<String>,
        action: Option<Action>,
    ) -> Self {
        Self { status, info: ErrorInfo { code: code.to_owned(), message: message.into(), action } }
    }

    pub(crate) fn bad_request(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_REQUEST, message, Some(Action::EditInput))
    }

    pub(crate) fn bad_url(message: impl Into<String>) -> Self {
        Self::new(StatusCode::BAD_REQUEST, code::BAD_URL, message, Some(Action::EditInput))
    }

    pub(crate) fn not_found() -> Self {
        Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, "There is nothing at this address.", None)
    }

    pub(crate) fn method_not_allowed() -> Self {
        Self::new(
            StatusCode::METHOD_NOT_ALLOWED,
            code::METHOD_NOT_ALLOWED,
            "This address takes another method.",
            None,
        )
    }

    pub(crate) fn wrong_host() -> Self {
        Self::new(
            StatusCode::MISDIRECTED_REQUEST,
            code::WRONG_HOST,
            "The Host header does not name this daemon.",
            None,
        )
    }

    pub(crate) fn forbidden_origin() -> Self {
        Self::new(StatusCode::FORBIDDEN, code::FORBIDDEN_ORIGIN, "Other sites may not use this daemon.", None)
    }

    pub(crate) fn unsupported_media_type() -> Self {
        Self::new(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            code::UNSUPPORTED_MEDIA_TYPE,
            "The body must be JSON, with Content-Type: application/json.",
            None,
        )
    }

    pub(crate) fn unauthorized() -> Self {
        Self::new(
            StatusCode::UNAUTHORIZED,
            code::UNAUTHORIZED,
            "A token or a session is needed. Run `weir open`, or use the button in the popup.",
            Some(Action::SignIn),
        )
    }

    pub(crate) fn too_many_requests() -> Self {
        Self::new(
            StatusCode::TOO_MANY_REQUESTS,
            code::TOO_MANY_REQUESTS,
            "Too many wrong tokens; wait a minute.",
            None,
        )
    }

    pub(crate) fn too_large() -> Self {
        Self::new(StatusCode::PAYLOAD_TOO_LARGE, code::TOO_LARGE, "The body is larger than 1 MiB.", None)
    }

    pub(crate) fn head_too_large() -> Self {
        Self::new(
            StatusCode::REQUEST_HEADER_FIELDS_TOO_LARGE,
            code::TOO_LARGE,
            "The request head is larger than 64 KiB.",
            None,
        )
    }

    /// Ours to mend; the details go to the log, not to the client.
    pub(crate) fn internal(error: &dyn std::fmt::Display) -> Self {
        tracing::error!(%error, "internal error");
        Self::new(
            StatusCode::INTERNAL_SERVER_ERROR,
            code::INTERNAL,
            "Weir made a mistake; its log tells more.",
            None,
        )
    }
}

impl From<QueueError> for ApiError {
    fn from(error: QueueError) -> Self {
        match &error {
            QueueError::NotFound(id) => {
                Self::new(StatusCode::NOT_FOUND, code::NOT_FOUND, format!("There is no download {id}."), None)
            }
            QueueError::Illegal { act, status } => {
                let mut message = format!("Cannot {act} a download that {}", queue::in_words(*status));
                if *act == Act::Finish.as_str() {
                    message += "; that is for live recordings, and for streams that lost segments";
                }
                Self::new(StatusCode::CONFLICT, code::ILLEGAL_TRANSITION, message + ".", None)
            }
            QueueError::Stopping => Self::new(
                StatusCode::SERVICE_UNAVAILABLE,
                code::DAEMON_UNAVAILABLE,
                "Weir is stopping.",
                Some(Action::Retry),
            ),
            QueueError::Store(_) => Self::internal(&error),
        }
    }
}

impl From<rusqlite::Error> for ApiError {
    fn from(error: rusqlite::Error) -> Self {
        Self::internal(&error)
    }
}

/// Only for routes that ask a server on the client's behalf: `/meta`.
impl From<EngineError> for ApiError {
    fn from(error: EngineError) -> Self {
        let info = failure::describe(&error);
        let status = match info.code.as_str() {
            code::BAD_URL | code::BAD_REQUEST => StatusCode::BAD_REQUEST,
            code::DISK_FULL => StatusCode::INSUFFICIENT_STORAGE,
            _ => StatusCode::UNPROCESSABLE_ENTITY,
        };
        Self { status, info }
    }
}

impl IntoResponse for ApiError {
    fn into_response(self) -> Response {
        (self.status, Json(ErrorBody { error: self.info })).into_response()
    }
}

impl ApiError {
    /// The code, for the log.
    pub(crate) fn code(&self) -> &str {
        &self.info.code
    }
}
