//! The queue and the history on disk: one SQLite file.
//!
//! Owns every SQL statement. Never decides anything: the queue tells it what to write. Invariant: request headers
//! and cookies live in the `request` column only, the file is 0600, and [`weir_protocol::Download`] cannot carry
//! them out.

mod migrations;
mod rows;

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use rusqlite::{Connection, OptionalExtension as _, params};
use weir_protocol::{Download, DownloadId};

pub(crate) use rows::{ListQuery, Record, RequestContext, Sort, percent};

/// A handle to the database; clones share one connection.
#[derive(Debug, Clone)]
pub(crate) struct Store {
    connection: Arc<Mutex<Connection>>,
}

/// What SQLite said. The store never fails for any other reason.
pub(crate) type StoreResult<T> = rusqlite::Result<T>;

impl Store {
    /// Opens the file, making or migrating it.
    ///
    /// # Errors
    /// When the file is not a database, is from a newer version, or the disk refuses.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Self> {
        // SQLite would make the file with the umask's mode; made here first, it (and its -wal, which copies the
        // mode) is private from its first byte.
        if !path.exists() {
            crate::home::private_file(path)?;
        }
        let mut connection = Connection::open(path)?;
        connection.busy_timeout(std::time::Duration::from_secs(5))?;
        connection.pragma_update(None, "journal_mode", "WAL")?;
        // A power cut may lose the last transactions but never the file; downloads resume from their journals.
        connection.pragma_update(None, "synchronous", "NORMAL")?;
        connection.pragma_update(None, "foreign_keys", true)?;
        rows::define_search(&connection)?;
        migrations::migrate(&mut connection)?;
        Ok(Self { connection: Arc::new(Mutex::new(connection)) })
    }

    /// Runs `work` with the connection on a thread that may block.
    async fn call<T: Send + 'static>(
        &self,
        work: impl FnOnce(&Connection) -> StoreResult<T> + Send + 'static,
    ) -> StoreResult<T> {
        let connection = Arc::clone(&self.connection);
        let task = tokio::task::spawn_blocking(move || {
            work(&connection.lock().unwrap_or_else(PoisonError::into_inner))
        });
        task.await.unwrap_or_else(|_| Err(rusqlite::Error::UnwindingPanic))
    }

    /// Adds a row and gives it its number.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn insert(&self, record: Record) -> StoreResult<Record> {
        self.call(move |db| rows::insert(db, record)).await
    }

    /// Writes everything of a row that can change.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn update(&self, record: Record) -> StoreResult<()> {
        self.call(move |db| rows::update(db, &record)).await
    }

    /// The same for several rows, all or none.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn update_all(&self, records: Vec<Record>) -> StoreResult<()> {
        self.call(move |db| {
            let transaction = db.unchecked_transaction()?;
            for record in &records {
                rows::update(&transaction, record)?;
            }
            transaction.commit()
        })
        .await
    }

    /// Writes how far rows have come: `(id, received_bytes, percent)`.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn save_progress(&self, figures: Vec<(DownloadId, u64, f64)>) -> StoreResult<()> {
        self.call(move |db| {
            let transaction = db.unchecked_transaction()?;
            for (id, received, percent) in figures {
                transaction.execute(
                    "UPDATE downloads SET received_bytes = ?2, progress = ?3 WHERE id = ?1",
                    params![id, rows::storable(received), (percent / 100.0).clamp(0.0, 1.0)],
                )?;
            }
            transaction.commit()
        })
        .await
    }

    /// Takes a row away. True when there was one.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn delete(&self, id: DownloadId) -> StoreResult<bool> {
        self.call(move |db| Ok(db.execute("DELETE FROM downloads WHERE id = ?1", params![id])? > 0)).await
    }

    /// One row.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn get(&self, id: DownloadId) -> StoreResult<Option<Record>> {
        self.call(move |db| {
            let sql = format!("SELECT {} FROM downloads WHERE id = ?1", rows::COLUMNS);
            db.query_row(&sql, params![id], rows::read).optional()
        })
        .await
    }

    /// Every row that is neither completed nor cancelled, oldest first.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn unfinished(&self) -> StoreResult<Vec<Record>> {
        self.call(|db| {
            let sql = format!(
                "SELECT {} FROM downloads WHERE status NOT IN ('completed', 'cancelled') ORDER BY id",
                rows::COLUMNS
            );
            db.prepare_cached(&sql)?.query_map([], rows::read)?.collect()
        })
        .await
    }

    /// The newest rows that are completed or cancelled.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn newest_finished(&self, limit: u32) -> StoreResult<Vec<Download>> {
        self.call(move |db| {
            let sql = format!(
                "SELECT {} FROM downloads WHERE status IN ('completed', 'cancelled') ORDER BY id DESC LIMIT ?1",
                rows::COLUMNS
            );
            let rows = db.prepare_cached(&sql)?.query_map(params![limit], rows::read)?.collect::<StoreResult<Vec<_>>>()?;
            Ok(rows.into_iter().map(|record| record.download).collect())
        })
        .await
    }

    /// A page of rows and how many match in all.
    ///
    /// # Errors
    /// What SQLite said.
    pub(crate) async fn list(&self, query: ListQuery) -> StoreResult<(Vec<Download>, u64)> {
        self.call(move |db| rows::list(db, &query)).await
    }
}

#[cfg(test)]
mod tests {
    use weir_protocol::{DownloadKind, DownloadStatus, ErrorInfo};

    use super::*;

    fn record(url: &str, status: DownloadStatus) -> Record {
        let mut record =
            Record::new(url, DownloadKind::File, "f.bin", Path::new("/d"), "2026-11-21T10:00:00Z");
        record.download.status = status;
        record
    }

    fn open() -> (tempfile::TempDir, Store) {
        let dir = tempfile::tempdir().unwrap();
        let store = Store::open(&dir.path().join("weir.db")).unwrap();
        (dir, store)
    }

    #[tokio::test]
    async fn a_row_comes_back_as_it_went_in() {
        let (_dir, store) = open();
        let mut one = record("http://h/a", DownloadStatus::Error);
        one.download.error = Some(ErrorInfo {
            code: "timeout".into(),
            message: "m".into(),
            action: Some(weir_protocol::Action::Retry),
        });
        one.download.progress = 50.0;
        one.download.total_bytes = Some(10);
        one.download.rate_limit = Some(5);
        one.download.title = Some("T".into());
        one.download.live = true;
        one.download.recorded_s = Some(750);
        one.request.cookies = Some("a=b".into());
        one.request.audio_languages = vec!["de".into()];
        one.request.subtitles = vec!["all".into()];
        one.request.subtitle_form = Some("srt".into());
        one.request.codecs = vec!["av1".into()];
        one.request.live_limit_s = Some(90);
        (one.request.live_from_start, one.request.holes, one.request.finish) = (true, true, true);
        one.settled = true;
        let one = store.insert(one).await.unwrap();
        assert_eq!(one.download.id, 1);
        assert_eq!(store.get(1).await.unwrap().unwrap(), one);

        let mut changed = one.clone();
        changed.download.status = DownloadStatus::Completed;
        changed.download.error = None;
        changed.download.sha256 = Some("00".into());
        (changed.download.live, changed.download.lacks) = (false, Some("one segment".into()));
        store.update(changed.clone()).await.unwrap();
        assert_eq!(store.get(1).await.unwrap().unwrap(), changed);
        assert!(store.delete(1).await.unwrap());
        assert!(!store.delete(1).await.unwrap());
        assert!(store.get(1).await.unwrap().is_none());
    }

    #[tokio::test]
    async fn numbers_are_never_used_twice() {
        let (_dir, store) = open();
        let first = store.insert(record("http://h/a", DownloadStatus::Queued)).await.unwrap();
        store.delete(first.download.id).await.unwrap();
        let second = store.insert(record("http://h/b", DownloadStatus::Queued)).await.unwrap();
        assert!(second.download.id > first.download.id);
    }

    #[tokio::test]
    async fn lists_filter_search_sort_and_count() {
        let (_dir, store) = open();
        for n in 0..30 {
            let status = if n % 3 == 0 { DownloadStatus::Completed } else { DownloadStatus::Paused };
            let mut row = record(&format!("http://h/{n}"), status);
            row.download.filename = format!("file-{n:02}_100%.bin");
            row.download.title = (n == 7).then(|| "A Talk About Weirs".to_owned());
            store.insert(row).await.unwrap();
        }
        let query = ListQuery { statuses: vec![DownloadStatus::Completed], limit: 4, ..ListQuery::default() };
        let (rows, total) = store.list(query).await.unwrap();
        assert_eq!((rows.len(), total), (4, 10));
        assert!(rows[0].id > rows[1].id, "newest first");

        let mut row = record("http://h/x", DownloadStatus::Paused);
        row.download.title = Some("Ärger am Wehr".into());
        row.download.filename = "z.bin".into();
        store.insert(row).await.unwrap();
        let query = ListQuery { text: Some("ärger".into()), ..ListQuery::default() };
        assert_eq!(store.list(query).await.unwrap().1, 1);
        let query = ListQuery { text: Some("about weirs".into()), ..ListQuery::default() };
        assert_eq!(store.list(query).await.unwrap().1, 1);
        // `%` and `_` are ordinary characters of a search.
        let query = ListQuery { text: Some("1%0".into()), ..ListQuery::default() };
        assert_eq!(store.list(query).await.unwrap().1, 0);
        let query = ListQuery { text: Some("_100%".into()), ..ListQuery::default() };
        assert_eq!(store.list(query).await.unwrap().1, 30);

        let query =
            ListQuery { sort: Sort::parse("filename").unwrap(), offset: 1, limit: 1, ..ListQuery::default() };
        assert_eq!(store.list(query).await.unwrap().0[0].filename, "file-01_100%.bin");
        assert!(Sort::parse("filename; DROP TABLE downloads").is_none());
    }

    #[cfg(unix)]
    #[tokio::test]
    async fn the_file_is_private() {
        use std::os::unix::fs::PermissionsExt as _;
        let (dir, store) = open();
        store.insert(record("http://h/a", DownloadStatus::Queued)).await.unwrap();
        for entry in std::fs::read_dir(dir.path()).unwrap() {
            let entry = entry.unwrap();
            let mode = entry.metadata().unwrap().permissions().mode() & 0o777;
            assert_eq!(mode, 0o600, "{:?}", entry.file_name());
        }
    }
}
