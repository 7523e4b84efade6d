//! `/download` and `/list`: what clients send, checked, and handed to the queue.

use std::collections::BTreeMap;
use std::path::Path;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use axum::http::header::{HeaderName, HeaderValue};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;
use url::Url;
use weir_media::filename;
use weir_protocol::{
    Action, Download, DownloadId, DownloadKind, DownloadPatch, DownloadStatus, NewDownload,
    TOTAL_COUNT_HEADER, code,
};

use super::error::ApiError;
use super::input::{Body, Id, Params};
use super::{Door, Shared};
use crate::confine;
use crate::desktop::{self, OpenError};
use crate::queue::{self, Act};
use crate::store::{ListQuery, Record, RequestContext, Sort};

/// Longest address taken; browsers stop far earlier.
const MAX_URL: usize = 8192;
/// Longest title kept, in characters.
const MAX_TITLE: usize = 300;
/// Fastest limit that can be set, in bytes per second.
const MAX_RATE: u64 = 1_000_000_000_000;
/// All request headers together.
const MAX_HEADERS: usize = 64 * 1024;

/// `POST /download`: 201 and the row.
pub(super) async fn add(State(door): Shared, Body(new): Body<NewDownload>) -> Result<Response, ApiError> {
    let record = check_new(&door, new)?;
    let download = door.queue.add(record).await?;
    Ok((StatusCode::CREATED, Json(download)).into_response())
}

/// Everything a client may have got wrong is found here, before anything happens.
fn check_new(door: &Door, new: NewDownload) -> Result<Record, ApiError> {
    let mut url = check_url(&new.url)?;
    check_rate(new.rate_limit)?;
    let mut context = check_context(&new)?;
    if let Some(authorization) = take_user_info(&mut url) {
        context.headers.entry("Authorization".to_owned()).or_insert(authorization);
    }
    let directory = match new.directory.as_deref().filter(|directory| !directory.is_empty()) {
        Some(wanted) => confine::folder(&door.config.download_dir, Path::new(wanted))
            .map_err(|error| ApiError::bad_request(format!("`directory`: {error}.")))?,
        None => door.config.download_dir.clone(),
    };
    // What the row is called until the server has answered.
    let name = context
        .filename
        .clone()
        .or_else(|| filename::from_url(&url))
        .unwrap_or_else(|| "download".to_owned());
    let kind = new.kind.unwrap_or_else(|| guess_kind(&url));
    let mut record = Record::new(url.as_str(), kind, &filename::safe(&name), &directory, &queue::now());
    record.request = context;
    record.download.quality.clone_from(&record.request.quality);
    record.download.page_url = new.page_url.filter(|page| is_web(page));
    record.download.title = new.title.map(|title| clip(&title, MAX_TITLE)).filter(|title| !title.is_empty());
    record.download.priority = new.priority.unwrap_or(0);
    record.download.rate_limit = new.rate_limit.filter(|limit| *limit > 0);
    if new.paused {
        record.download.status = DownloadStatus::Paused;
    }
    Ok(record)
}

/// What the row says until the server has answered; the engine decides by the answer.
fn guess_kind(url: &Url) -> DownloadKind {
    let ending = filename::from_url(url).and_then(|name| filename::extension(&name));
    if ending.is_some_and(|ending| ending.eq_ignore_ascii_case("m3u8")) {
        DownloadKind::Hls
    } else {
        DownloadKind::File
    }
}

/// `http` or `https`, with a host, of sane length.
pub(super) fn check_url(text: &str) -> Result<Url, ApiError> {
    let text = text.trim();
    if text.is_empty() {
        return Err(ApiError::bad_url("`url` is missing."));
    }
    if text.len() > MAX_URL {
        return Err(ApiError::bad_url(format!("The address is longer than {MAX_URL} characters.")));
    }
    let url = Url::parse(text)
        .map_err(|error| ApiError::bad_url(format!("This is not a full address: {error}.")))?;
    if !matches!(url.scheme(), "http" | "https") || url.host_str().is_none_or(str::is_empty) {
        return Err(ApiError::bad_url("Only http and https addresses can be downloaded."));
    }
    Ok(url)
}

fn check_context(new: &NewDownload) -> Result<RequestContext, ApiError> {
    let method = match new.method.as_deref().map(str::to_ascii_uppercase).as_deref() {
        None | Some("GET") => None,
        Some("POST") => Some("POST".to_owned()),
        Some(_) => return Err(ApiError::bad_request("`method` is GET or POST.")),
    };
    if new.body.is_some() && method.is_none() {
        return Err(ApiError::bad_request("A `body` needs `method` POST."));
    }
    if new.connections.is_some_and(|count| !(1..=32).contains(&count)) {
        return Err(ApiError::bad_request("`connections` is between 1 and 32."));
    }
    let sha256 = new.checksum.as_deref().map(check_checksum).transpose()?;
    let filename = new.filename.as_deref().map(str::trim).filter(|name| !name.is_empty()).map(filename::safe);
    let (headers, cookies) = check_headers(&new.headers, new.cookies.as_deref(), new.referer.as_deref())?;
    Ok(RequestContext {
        method,
        headers,
        cookies,
        referer: new.referer.clone(),
        body: new.body.clone(),
        filename,
        kind: new.kind,
        quality: new.quality.clone().filter(|quality| !quality.is_empty()),
        sha256,
        connections: new.connections,
    })
}

/// Name and password in an address are credentials: they go where no list shows them.
fn take_user_info(url: &mut Url) -> Option<String> {
    use base64::Engine as _;
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = |text: &str| percent_encoding::percent_decode_str(text).collect::<Vec<u8>>();
    let mut pair = decoded(url.username());
    pair.push(b':');
    pair.extend(decoded(url.password().unwrap_or_default()));
    let _ = url.set_username("");
    let _ = url.set_password(None);
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn check_rate(limit: Option<u64>) -> Result<(), ApiError> {
    if limit.is_some_and(|limit| limit > MAX_RATE) {
        return Err(ApiError::bad_request(
            "`rate_limit` is at most 1000000000000 bytes per second; 0 is none.",
        ));
    }
    Ok(())
}

fn check_checksum(text: &str) -> Result<String, ApiError> {
    let hex = text.strip_prefix("sha256:").map(str::to_ascii_lowercase);
    hex.filter(|hex| queue::digest(hex).is_some())
        .ok_or_else(|| ApiError::bad_request("`checksum` is `sha256:` and 64 hexadecimal digits."))
}

/// Headers that HTTP can carry; a `Cookie` among them becomes the cookies.
pub(super) fn check_headers(
    headers: &BTreeMap<String, String>,
    cookies: Option<&str>,
    referer: Option<&str>,
) -> Result<(BTreeMap<String, String>, Option<String>), ApiError> {
    let mut kept = BTreeMap::new();
    let mut cookies = cookies.map(str::to_owned);
    for (name, value) in headers {
        let valid = HeaderName::try_from(name.as_str()).is_ok() && HeaderValue::from_str(value).is_ok();
        if !valid {
            // The value stays out of the message: it may be a secret.
            return Err(ApiError::bad_request(format!("The header `{}` cannot be sent.", clip(name, 60))));
        }
        if name.eq_ignore_ascii_case("cookie") {
            cookies.get_or_insert_with(|| value.clone());
        } else {
            kept.insert(name.clone(), value.clone());
        }
    }
    for (what, value) in [("cookies", cookies.as_deref()), ("referer", referer)] {
        if value.is_some_and(|value| HeaderValue::from_str(value).is_err()) {
            return Err(ApiError::bad_request(format!("`{what}` cannot be sent as a header.")));
        }
    }
    let size: usize = kept.iter().map(|(name, value)| name.len() + value.len()).sum();
    if size + cookies.as_ref().map_or(0, String::len) + referer.map_or(0, str::len) > MAX_HEADERS {
        return Err(ApiError::bad_request("The headers are larger than 64 KiB."));
    }
    Ok((kept, cookies))
}

fn is_web(address: &str) -> bool {
    address.len() <= MAX_URL && Url::parse(address).is_ok_and(|url| matches!(url.scheme(), "http" | "https"))
}

fn clip(text: &str, characters: usize) -> String {
    text.chars().filter(|c| !c.is_control()).take(characters).collect::<String>().trim().to_owned()
}

/// `GET /download/{id}`.
pub(super) async fn get(State(door): Shared, Id(id): Id) -> Result<Json<Download>, ApiError> {
    Ok(Json(door.queue.get(id).await?))
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
    if patch.filename.as_deref().is_some_and(|name| name.trim().is_empty()) {
        return Err(ApiError::bad_request("`filename` is empty."));
    }
    Ok(Json(door.queue.patch(id, patch).await?))
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

async fn act(door: &Door, id: DownloadId, act: Act) -> Result<Json<Download>, ApiError> {
    Ok(Json(door.queue.act(id, act).await?))
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
            format!("The file is not finished: the download is {}.", download.status.as_str()),
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
            ApiError::bad_request("`sort` is created_at, filename, status, progress, total_bytes or finished_at, with `-` to reverse.")
        })?,
    };
    let limit = params.limit.unwrap_or(defaults.limit);
    if !(1..=1000).contains(&limit) {
        return Err(ApiError::bad_request("`limit` is between 1 and 1000."));
    }
    let query = ListQuery {
        statuses: names(params.status.as_deref(), "status", DownloadStatus::parse)?,
        kinds: names(params.kind.as_deref(), "kind", DownloadKind::parse)?,
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_that_are_not_the_webs_are_refused() {
        for url in [
            "",
            "example.org/a",
            "file:///etc/passwd",
            "javascript:alert(1)",
            "data:text/plain,x",
            "ftp://h/f",
            "http://",
            "magnet:?xt=1",
        ] {
            assert!(check_url(url).is_err(), "{url}");
        }
        assert!(check_url(&format!("http://h/{}", "a".repeat(MAX_URL))).is_err());
        assert_eq!(check_url(" https://h/a b ").unwrap().as_str(), "https://h/a%20b");
    }

    #[test]
    fn headers_cannot_smuggle() {
        let map = |name: &str, value: &str| BTreeMap::from([(name.to_owned(), value.to_owned())]);
        assert!(check_headers(&map("X", "a\r\nHost: evil"), None, None).is_err());
        assert!(check_headers(&map("X Y", "a"), None, None).is_err());
        assert!(check_headers(&BTreeMap::new(), Some("a\nb"), None).is_err());
        assert!(check_headers(&BTreeMap::new(), None, Some("http://h/\r\n")).is_err());
        let (kept, cookies) = check_headers(&map("Cookie", "a=b"), None, None).unwrap();
        assert!(kept.is_empty());
        assert_eq!(cookies.as_deref(), Some("a=b"));
    }

    #[test]
    fn passwords_leave_the_address() {
        let mut url = check_url("http://user:p%40ss@h/f").unwrap();
        assert_eq!(take_user_info(&mut url).as_deref(), Some("Basic dXNlcjpwQHNz"));
        assert_eq!(url.as_str(), "http://h/f");
        assert_eq!(take_user_info(&mut url), None);
    }

    #[test]
    fn checksums_are_whole() {
        assert!(check_checksum(&format!("sha256:{}", "A1".repeat(32))).is_ok());
        for text in ["", "sha256:", "md5:00", &"a1".repeat(32), &format!("sha256:{}", "zz".repeat(32))] {
            assert!(check_checksum(text).is_err(), "{text}");
        }
    }
}
