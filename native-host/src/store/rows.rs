//! Rows of `downloads` and their translation from and to Rust.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use rusqlite::functions::FunctionFlags;
use rusqlite::types::{ToSql, Type};
use rusqlite::{Connection, Row, params, params_from_iter};
use serde::{Deserialize, Serialize};
use weir_protocol::{Action, Download, DownloadDetail, DownloadKind, DownloadStatus, ErrorInfo};

use super::StoreResult;
use crate::desktop;

/// A row as the daemon knows it: what clients see, and what only resuming needs.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Record {
    /// What clients see.
    pub(crate) download: Download,
    /// Folder of the file.
    pub(crate) directory: PathBuf,
    /// The engine has settled `filename`; partial files of that name are this row's.
    pub(crate) settled: bool,
    /// How often it was tried again by itself without getting any further.
    pub(crate) attempts: u32,
    /// How to ask the server.
    pub(crate) request: RequestContext,
}

/// What a download was asked with. Kept so that it can be resumed; never shown to anybody.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct RequestContext {
    pub(crate) method: Option<String>,
    pub(crate) headers: BTreeMap<String, String>,
    pub(crate) cookies: Option<String>,
    pub(crate) referer: Option<String>,
    pub(crate) body: Option<String>,
    /// Name the user asked for.
    pub(crate) filename: Option<String>,
    /// Kind the user asked for.
    pub(crate) kind: Option<DownloadKind>,
    /// Quality the user asked for.
    pub(crate) quality: Option<String>,
    /// As in [`weir_protocol::NewDownload`].
    pub(crate) checksum: Option<String>,
    pub(crate) mirrors: Vec<String>,
    pub(crate) proxy: Option<String>,
    pub(crate) username: Option<String>,
    pub(crate) password: Option<String>,
    pub(crate) connections: Option<u32>,
    pub(crate) netrc: Option<String>,
    pub(crate) retries: Option<u32>,
    pub(crate) timeout_s: Option<u64>,
    /// As in [`weir_protocol::NewDownload`]; checked to be what the engine takes.
    pub(crate) audio_languages: Vec<String>,
    pub(crate) subtitles: Vec<String>,
    pub(crate) subtitle_form: Option<String>,
    pub(crate) codecs: Vec<String>,
    pub(crate) live_limit_s: Option<u64>,
    pub(crate) live_from_start: bool,
    pub(crate) holes: bool,
    /// `finish` was asked for: a recording ends, and what cannot be had of a stream is left out. Holds until it was
    /// cancelled, so that neither a crash nor a failure on the way makes a recording go on.
    pub(crate) finish: bool,
    /// The user chose the folder; no category changes it.
    pub(crate) in_directory: bool,
    /// The user chose the category; no rule changes it.
    pub(crate) in_category: bool,
}

// Written by hand: headers, cookies, logins and the queries of mirrors are secrets.
impl std::fmt::Debug for RequestContext {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RequestContext")
            .field("kind", &self.kind)
            .field("quality", &self.quality)
            .finish_non_exhaustive()
    }
}

/// A fraction as rows and events tell it: percent, to a tenth. More digits would be those of the arithmetic.
pub(crate) fn percent(fraction: f64) -> f64 {
    (fraction.clamp(0.0, 1.0) * 1000.0).round() / 10.0
}

impl Record {
    /// The row, and what may be shown of how its server is asked.
    pub(crate) fn detail(&self, download: Download) -> DownloadDetail {
        let RequestContext { retries, timeout_s, .. } = self.request;
        DownloadDetail { download, retries, timeout_s }
    }

    /// A queued row that has no number yet.
    pub(crate) fn new(
        url: &str,
        kind: DownloadKind,
        filename: &str,
        directory: &Path,
        created_at: &str,
    ) -> Self {
        let download = Download {
            id: 0,
            kind,
            url: url.to_owned(),
            page_url: None,
            title: None,
            filename: filename.to_owned(),
            path: directory.join(filename).display().to_string(),
            status: DownloadStatus::Queued,
            progress: 0.0,
            received_bytes: 0,
            total_bytes: None,
            speed: 0,
            eta: None,
            connections: 0,
            quality: None,
            priority: 0,
            position: 0,
            start_at: None,
            rate_limit: None,
            category: None,
            live: false,
            recorded_s: None,
            lacks: None,
            sha256: None,
            openable: desktop::opens(filename),
            error: None,
            created_at: created_at.to_owned(),
            finished_at: None,
        };
        Self {
            download,
            directory: directory.to_owned(),
            settled: false,
            attempts: 0,
            request: RequestContext::default(),
        }
    }

    /// Names the file, and with it the path.
    pub(crate) fn set_filename(&mut self, filename: &str) {
        filename.clone_into(&mut self.download.filename);
        self.download.path = self.directory.join(filename).display().to_string();
        self.download.openable = desktop::opens(filename);
    }

    /// Puts the file into another folder.
    pub(crate) fn set_directory(&mut self, directory: &Path) {
        directory.clone_into(&mut self.directory);
        self.download.path = directory.join(&self.download.filename).display().to_string();
    }
}

/// Columns in the order [`read`] expects.
pub(super) const COLUMNS: &str = "id, url, filename, status, progress, created_at, finished_at, kind, directory, \
    settled, page_url, title, quality, received_bytes, total_bytes, priority, rate_limit, category, sha256, \
    error_code, error_message, error_action, request, position, start_at, attempts, live, recorded_s, lacks";

pub(super) fn read(row: &Row<'_>) -> StoreResult<Record> {
    let filename: String = row.get(2)?;
    let directory = PathBuf::from(row.get::<_, String>(8)?);
    let error = match row.get::<_, Option<String>>(19)? {
        Some(code) => Some(ErrorInfo {
            code,
            message: row.get::<_, Option<String>>(20)?.unwrap_or_default(),
            action: row.get::<_, Option<String>>(21)?.as_deref().map(action_from_text),
        }),
        None => None,
    };
    let request: String = row.get(22)?;
    let download = Download {
        id: row.get(0)?,
        url: row.get(1)?,
        path: directory.join(&filename).display().to_string(),
        openable: desktop::opens(&filename),
        filename,
        status: named(row, 3, DownloadStatus::parse)?,
        progress: percent(row.get(4)?),
        created_at: row.get(5)?,
        finished_at: row.get(6)?,
        kind: named(row, 7, DownloadKind::parse)?,
        page_url: row.get(10)?,
        title: row.get(11)?,
        quality: row.get(12)?,
        received_bytes: row.get(13)?,
        total_bytes: row.get(14)?,
        priority: row.get(15)?,
        rate_limit: row.get(16)?,
        category: row.get(17)?,
        live: row.get(26)?,
        recorded_s: row.get(27)?,
        lacks: row.get(28)?,
        sha256: row.get(18)?,
        position: row.get(23)?,
        start_at: row.get(24)?,
        error,
        speed: 0,
        eta: None,
        connections: 0,
    };
    let request = serde_json::from_str(&request).map_err(|e| conversion(22, e))?;
    Ok(Record { download, directory, settled: row.get(9)?, attempts: row.get(25)?, request })
}

fn conversion(column: usize, error: impl std::error::Error + Send + Sync + 'static) -> rusqlite::Error {
    rusqlite::Error::FromSqlConversionFailure(column, Type::Text, Box::new(error))
}

fn named<T>(row: &Row<'_>, column: usize, parse: impl Fn(&str) -> Option<T>) -> StoreResult<T> {
    let name: String = row.get(column)?;
    parse(&name).ok_or_else(|| conversion(column, std::io::Error::other(format!("unknown name `{name}`"))))
}

// The store keeps actions under their wire names; serde knows those.
fn action_from_text(text: &str) -> Action {
    serde_json::from_value(serde_json::Value::String(text.to_owned())).unwrap_or(Action::Unknown)
}

fn action_to_text(action: Action) -> Option<String> {
    serde_json::to_value(action).ok()?.as_str().map(str::to_owned)
}

fn request_text(request: &RequestContext) -> StoreResult<String> {
    serde_json::to_string(request).map_err(|error| rusqlite::Error::ToSqlConversionFailure(Box::new(error)))
}

pub(super) fn insert(db: &Connection, mut record: Record) -> StoreResult<Record> {
    let transaction = db.unchecked_transaction()?;
    let download = &record.download;
    transaction.execute(
        "INSERT INTO downloads (url, filename, status, created_at, kind, directory, request)
         VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)",
        params![
            download.url,
            download.filename,
            download.status.as_str(),
            download.created_at,
            download.kind.as_str(),
            record.directory.to_string_lossy(),
            request_text(&record.request)?,
        ],
    )?;
    record.download.id = transaction.last_insert_rowid();
    update(&transaction, &record)?;
    transaction.commit()?;
    Ok(record)
}

/// SQLite counts to 2⁶³−1. A server may claim more; no disk holds it.
pub(super) fn storable(count: u64) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

pub(super) fn update(db: &Connection, record: &Record) -> StoreResult<()> {
    let Download { error, .. } = &record.download;
    let download = &record.download;
    db.prepare_cached(
        "UPDATE downloads SET url = ?2, filename = ?3, status = ?4, progress = ?5, finished_at = ?6, kind = ?7,
            settled = ?8, page_url = ?9, title = ?10, quality = ?11, received_bytes = ?12, total_bytes = ?13,
            priority = ?14, rate_limit = ?15, category = ?16, sha256 = ?17, error_code = ?18, error_message = ?19,
            error_action = ?20, request = ?21, position = ?22, start_at = ?23, attempts = ?24, directory = ?25,
            live = ?26, recorded_s = ?27, lacks = ?28
         WHERE id = ?1",
    )?
    .execute(params![
        download.id,
        download.url,
        download.filename,
        download.status.as_str(),
        (download.progress / 100.0).clamp(0.0, 1.0),
        download.finished_at,
        download.kind.as_str(),
        record.settled,
        download.page_url,
        download.title,
        download.quality,
        storable(download.received_bytes),
        download.total_bytes.map(storable),
        download.priority,
        download.rate_limit.map(storable),
        download.category,
        download.sha256,
        error.as_ref().map(|error| &error.code),
        error.as_ref().map(|error| &error.message),
        error.as_ref().and_then(|error| error.action).and_then(action_to_text),
        request_text(&record.request)?,
        download.position,
        download.start_at,
        record.attempts,
        record.directory.to_string_lossy(),
        download.live,
        download.recorded_s.map(storable),
        download.lacks,
    ])?;
    Ok(())
}

/// Order of a list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Sort {
    columns: &'static [&'static str],
    descending: bool,
}

impl Sort {
    /// `created_at`, `filename`, `status`, `progress`, `total_bytes`, `finished_at`, or `position`, the order in which
    /// rows run; a leading `-` reverses.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let (descending, name) = text.strip_prefix('-').map_or((false, text), |name| (true, name));
        let columns: &[&str] = match name {
            // Numbers are given in the order of creation and, unlike the clock, never step back.
            "created_at" => &["id"],
            "filename" => &["filename COLLATE NOCASE"],
            "status" => &["status"],
            "progress" => &["progress"],
            "total_bytes" => &["total_bytes"],
            "finished_at" => &["finished_at"],
            "position" => &["-priority", "position"],
            _ => return None,
        };
        Some(Self { columns, descending })
    }
}

/// What `/list` asks for. Empty lists and none mean all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ListQuery {
    pub(crate) statuses: Vec<DownloadStatus>,
    pub(crate) kinds: Vec<DownloadKind>,
    pub(crate) categories: Vec<String>,
    /// Found in name, title, address or page, whatever the case.
    pub(crate) text: Option<String>,
    pub(crate) sort: Sort,
    pub(crate) offset: u64,
    pub(crate) limit: u64,
}

impl Default for ListQuery {
    fn default() -> Self {
        let sort = Sort { columns: &["id"], descending: true };
        let (statuses, kinds, categories) = (Vec::new(), Vec::new(), Vec::new());
        Self { statuses, kinds, categories, text: None, sort, offset: 0, limit: 100 }
    }
}

/// Defines `found(text, field…)`: whether any field has the lower-case text in it, whatever its own case. SQLite's LIKE knows
/// the cases of ASCII only, and takes `%` and `_` for patterns.
pub(super) fn define_search(db: &Connection) -> StoreResult<()> {
    let flags = FunctionFlags::SQLITE_UTF8 | FunctionFlags::SQLITE_DETERMINISTIC;
    db.create_scalar_function("found", -1, flags, |context| {
        let text: String = context.get(0)?;
        for field in 1..context.len() {
            if context.get::<Option<String>>(field)?.is_some_and(|field| field.to_lowercase().contains(&text))
            {
                return Ok(true);
            }
        }
        Ok(false)
    })
}

pub(super) fn list(db: &Connection, query: &ListQuery) -> StoreResult<(Vec<Download>, u64)> {
    let mut conditions = Vec::new();
    let mut values: Vec<Box<dyn ToSql>> = Vec::new();
    let mut one_of = |column: &str, names: Vec<String>| {
        if !names.is_empty() {
            conditions.push(format!("{column} IN ({})", vec!["?"; names.len()].join(", ")));
            values.extend(names.into_iter().map(|name| Box::new(name) as Box<dyn ToSql>));
        }
    };
    one_of("status", query.statuses.iter().map(|status| status.as_str().to_owned()).collect());
    one_of("kind", query.kinds.iter().map(|kind| kind.as_str().to_owned()).collect());
    one_of("category", query.categories.clone());
    if let Some(text) = query.text.as_deref().filter(|text| !text.is_empty()) {
        conditions.push("found(?, filename, title, url, page_url)".to_owned());
        values.push(Box::new(text.to_lowercase()));
    }
    let filter =
        if conditions.is_empty() { String::new() } else { format!("WHERE {}", conditions.join(" AND ")) };

    let sql = format!("SELECT count(*) FROM downloads {filter}");
    let total: u64 = db.query_row(&sql, params_from_iter(values.iter()), |row| row.get(0))?;

    let direction = if query.sort.descending { "DESC" } else { "ASC" };
    // The number breaks ties, so pages never overlap.
    let columns: Vec<String> =
        query.sort.columns.iter().chain(&["id"]).map(|column| format!("{column} {direction}")).collect();
    let sql =
        format!("SELECT {COLUMNS} FROM downloads {filter} ORDER BY {} LIMIT ? OFFSET ?", columns.join(", "));
    values.push(Box::new(query.limit));
    values.push(Box::new(query.offset));
    let mut statement = db.prepare(&sql)?;
    let rows =
        statement.query_map(params_from_iter(values.iter()), read)?.collect::<StoreResult<Vec<_>>>()?;
    Ok((rows.into_iter().map(|record| record.download).collect(), total))
}
