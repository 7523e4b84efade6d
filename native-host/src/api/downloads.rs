//! `/download` and `/list`: commands handed to the queue, rows handed to the client.

use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use weir_protocol::{
    Action, Download, DownloadDetail, DownloadId, DownloadKind, DownloadPatch, DownloadStatus, MoveDownload,
    NewDownload, Ranges, TOTAL_COUNT_HEADER, code,
};

use super::error::ApiError;
use super::input::{Body, Id, Params};
use super::intake::{
    category_folder, check_category, check_new, check_rate, check_start_at, check_url, clip,
};
use super::{Door, Shared, guard};
use crate::desktop::{self, OpenError};
use crate::queue::{self, Act, Target};
use crate::store::{ListQuery, Sort};

/// `POST /download`: 201 and the row.
pub(super) async fn add(
    State(door): Shared,
    headers: HeaderMap,
    Body(new): Body<NewDownload>,
) -> Result<Response, ApiError> {
    if new.netrc.is_some() && !guard::has_bearer(&headers) {
        return Err(ApiError::bad_request("`netrc` is for programs that hold the token, not for a page."));
    }
    let record = check_new(&door.settings.in_force().config, new)?;
    let (retries, timeout_s) = (record.request.retries, record.request.timeout_s);
    let download = door.queue.add(record).await?;
    let detail = DownloadDetail { download, retries, timeout_s };
    Ok((StatusCode::CREATED, Json(detail)).into_response())
}

/// `GET /download/{id}`.
pub(super) async fn get(State(door): Shared, Id(id): Id) -> Result<Json<DownloadDetail>, ApiError> {
    Ok(Json(door.queue.detail(id).await?))
}

/// `PATCH /download/{id}`.
pub(super) async fn patch(
    State(door): Shared,
    Id(id): Id,
    Body(mut patch): Body<DownloadPatch>,
) -> Result<Json<Download>, ApiError> {
    check_rate(patch.rate_limit)?;
    if let Some(url) = &patch.url {
        patch.url = Some(check_url(url)?.into());
    }
    if let Some(Some(moment)) = &patch.start_at {
        patch.start_at = Some(check_start_at(moment)?);
    }
    if let Some(Some(category)) = &patch.category {
        patch.category = Some(Some(check_category(category)?));
    }
    if patch.filename.as_deref().is_some_and(|name| name.trim().is_empty()) {
        return Err(ApiError::bad_request("`filename` is empty."));
    }
    let folder = match &patch.category {
        Some(category) => Some(category_folder(&door.settings.in_force().config, category.as_deref())?),
        None => None,
    };
    Ok(Json(door.queue.patch(id, patch, folder).await?))
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct DeleteQuery {
    #[serde(default)]
    files: bool,
}

/// `DELETE /download/{id}?files=`: 204.
pub(super) async fn delete(
    State(door): Shared,
    Id(id): Id,
    Params(query): Params<DeleteQuery>,
) -> Result<StatusCode, ApiError> {
    door.queue.delete(id, query.files).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /download/{id}/pause`.
pub(super) async fn pause(State(door): Shared, Id(id): Id) -> Result<Json<Download>, ApiError> {
    act(&door, id, Act::Pause).await
}

/// `POST /download/{id}/resume`.
pub(super) async fn resume(State(door): Shared, Id(id): Id) -> Result<Json<Download>, ApiError> {
    act(&door, id, Act::Resume).await
}

/// `POST /download/{id}/cancel`.
pub(super) async fn cancel(State(door): Shared, Id(id): Id) -> Result<Json<Download>, ApiError> {
    act(&door, id, Act::Cancel).await
}

/// `POST /download/{id}/retry`.
pub(super) async fn retry(State(door): Shared, Id(id): Id) -> Result<Json<Download>, ApiError> {
    act(&door, id, Act::Retry).await
}

/// `POST /download/{id}/finish`: ends a recording, or takes what can be had of a stream.
pub(super) async fn finish(State(door): Shared, Id(id): Id) -> Result<Json<Download>, ApiError> {
    act(&door, id, Act::Finish).await
}

async fn act(door: &Door, id: DownloadId, act: Act) -> Result<Json<Download>, ApiError> {
    Ok(Json(door.queue.act(id, act).await?))
}

/// `POST /download/{id}/move`: another place in the queue.
pub(super) async fn relocate(
    State(door): Shared,
    Id(id): Id,
    Body(place): Body<MoveDownload>,
) -> Result<Json<Download>, ApiError> {
    let target = match (place.to, place.before) {
        (Some(to), None) => Target::To(to),
        (None, Some(before)) => Target::Before(before),
        _ => return Err(ApiError::bad_request("Either `to` or `before` says where the download goes.")),
    };
    Ok(Json(door.queue.relocate(id, target).await?))
}

/// `GET /download/{id}/ranges`: which bytes are there, to be drawn.
pub(super) async fn ranges(State(door): Shared, Id(id): Id) -> Result<Json<Ranges>, ApiError> {
    Ok(Json(door.queue.ranges(id).await?))
}

/// `POST /download/{id}/open`: opens the file with the desktop's program for it.
pub(super) async fn open(State(door): Shared, Id(id): Id) -> Result<StatusCode, ApiError> {
    let download = finished(&door, id).await?;
    desktop::open_file(Path::new(&download.path)).map_err(|error| open_error(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

/// `POST /download/{id}/show`: opens the folder the file is in.
pub(super) async fn show(State(door): Shared, Id(id): Id) -> Result<StatusCode, ApiError> {
    let download = door.queue.get(id).await?;
    let folder =
        Path::new(&download.path).parent().filter(|folder| folder.is_dir()).ok_or_else(file_missing)?;
    desktop::open_folder(folder).map_err(|error| open_error(&error))?;
    Ok(StatusCode::NO_CONTENT)
}

fn open_error(error: &OpenError) -> ApiError {
    ApiError::new(StatusCode::UNPROCESSABLE_ENTITY, code::CANNOT_OPEN, format!("{error}."), None)
}

pub(super) async fn finished(door: &Door, id: DownloadId) -> Result<Download, ApiError> {
    let download = door.queue.get(id).await?;
    if download.status != DownloadStatus::Completed {
        return Err(ApiError::new(
            StatusCode::CONFLICT,
            code::ILLEGAL_TRANSITION,
            format!("The file is not finished: its download {}.", queue::in_words(download.status)),
            None,
        ));
    }
    if tokio::fs::metadata(&download.path).await.is_ok_and(|file| file.is_file()) {
        Ok(download)
    } else {
        Err(file_missing())
    }
}

fn file_missing() -> ApiError {
    ApiError::new(
        StatusCode::NOT_FOUND,
        code::FILE_MISSING,
        "The file is no longer where Weir put it.",
        Some(Action::OpenPage),
    )
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct ListParams {
    status: Option<String>,
    kind: Option<String>,
    category: Option<String>,
    q: Option<String>,
    sort: Option<String>,
    offset: Option<u64>,
    limit: Option<u64>,
}

/// `GET /list`: rows, and in `X-Total-Count` how many match.
pub(super) async fn list(
    State(door): Shared,
    Params(params): Params<ListParams>,
) -> Result<Response, ApiError> {
    let defaults = ListQuery::default();
    let sort = match params.sort.as_deref() {
        None => defaults.sort,
        Some(text) => Sort::parse(text).ok_or_else(|| {
            ApiError::bad_request("`sort` is created_at, filename, status, progress, total_bytes, finished_at or position, with `-` to reverse.")
        })?,
    };
    let limit = params.limit.unwrap_or(defaults.limit);
    if !(1..=1000).contains(&limit) {
        return Err(ApiError::bad_request("`limit` is between 1 and 1000."));
    }
    let query = ListQuery {
        statuses: names(params.status.as_deref(), "status", DownloadStatus::parse)?,
        kinds: names(params.kind.as_deref(), "kind", DownloadKind::parse)?,
        categories: names(params.category.as_deref(), "category", |name| Some(name.to_owned()))?,
        text: params.q.filter(|text| !text.is_empty()),
        sort,
        offset: params.offset.unwrap_or(0).min(i64::MAX as u64),
        limit,
    };
    let (rows, total) = door.store.list(query).await?;
    let rows = door.queue.refresh(rows).await?;
    Ok(([(TOTAL_COUNT_HEADER, total.to_string())], Json(rows)).into_response())
}

/// A comma-separated list of names.
fn names<T>(list: Option<&str>, what: &str, parse: impl Fn(&str) -> Option<T>) -> Result<Vec<T>, ApiError> {
    let list = list.unwrap_or_default();
    list.split(',')
        .map(str::trim)
        .filter(|name| !name.is_empty())
        .map(|name| {
            parse(name)
                .ok_or_else(|| ApiError::bad_request(format!("There is no {what} `{}`.", clip(name, 40))))
        })
        .collect()
}
