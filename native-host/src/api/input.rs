//! Reading what clients send: JSON bodies of bounded size, queries, and path numbers, with errors in their words.

use axum::body::to_bytes;
use axum::extract::rejection::{PathRejection, QueryRejection};
use axum::extract::{FromRequest, FromRequestParts, Path, Query, Request};
use axum::http::request::Parts;
use serde::de::DeserializeOwned;
use weir_protocol::DownloadId;

use super::error::ApiError;

/// No body is larger.
const MAX_BODY: usize = 1024 * 1024;

/// A JSON body.
pub(super) struct Body<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for Body<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| ApiError::too_large())?;
        parse(&bytes).map(Self)
    }
}

/// A JSON body, or none at all.
pub(super) struct OptionalBody<T>(pub(super) Option<T>);

impl<S: Send + Sync, T: DeserializeOwned> FromRequest<S> for OptionalBody<T> {
    type Rejection = ApiError;

    async fn from_request(request: Request, _: &S) -> Result<Self, ApiError> {
        let bytes = to_bytes(request.into_body(), MAX_BODY).await.map_err(|_| ApiError::too_large())?;
        if bytes.is_empty() { Ok(Self(None)) } else { parse(&bytes).map(|body| Self(Some(body))) }
    }
}

fn parse<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ApiError> {
    // serde would take a list for a struct, its items in the order of the fields.
    if bytes.trim_ascii_start().first() != Some(&b'{') {
        return Err(ApiError::bad_request("The body must be a JSON object."));
    }
    serde_json::from_slice(bytes)
        .map_err(|error| ApiError::bad_request(format!("The body cannot be understood: {error}.")))
}

/// The query of the address.
pub(super) struct Params<T>(pub(super) T);

impl<S: Send + Sync, T: DeserializeOwned> FromRequestParts<S> for Params<T> {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let query: Result<Query<T>, QueryRejection> = Query::from_request_parts(parts, state).await;
        let Query(params) = query.map_err(|error| {
            ApiError::bad_request(format!("The query cannot be understood: {}.", error.body_text()))
        })?;
        Ok(Self(params))
    }
}

/// The number in `/download/{id}`. What is no number names nothing.
pub(super) struct Id(pub(super) DownloadId);

impl<S: Send + Sync> FromRequestParts<S> for Id {
    type Rejection = ApiError;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, ApiError> {
        let path: Result<Path<DownloadId>, PathRejection> = Path::from_request_parts(parts, state).await;
        path.map(|Path(id)| Self(id)).map_err(|_| ApiError::not_found())
    }
}
