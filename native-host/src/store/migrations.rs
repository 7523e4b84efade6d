//! The schema, as numbered steps. A step, once released, never changes; a new one is added below.

use anyhow::bail;
use rusqlite::Connection;

/// Step N brings a database of `user_version` N−1 to N.
const STEPS: &[&str] = &["
    CREATE TABLE downloads (
        id             INTEGER PRIMARY KEY AUTOINCREMENT,
        url            TEXT    NOT NULL,
        filename       TEXT    NOT NULL,
        status         TEXT    NOT NULL,
        progress       REAL    NOT NULL DEFAULT 0.0 CHECK (progress BETWEEN 0.0 AND 1.0),
        created_at     TEXT    NOT NULL,
        finished_at    TEXT,
        kind           TEXT    NOT NULL,
        directory      TEXT    NOT NULL,
        settled        INTEGER NOT NULL DEFAULT 0,
        page_url       TEXT,
        title          TEXT,
        quality        TEXT,
        received_bytes INTEGER NOT NULL DEFAULT 0,
        total_bytes    INTEGER,
        priority       INTEGER NOT NULL DEFAULT 0,
        rate_limit     INTEGER,
        category       TEXT,
        sha256         TEXT,
        error_code     TEXT,
        error_message  TEXT,
        error_action   TEXT,
        request        TEXT    NOT NULL
    ) STRICT;
    CREATE INDEX downloads_by_status ON downloads (status);
", "
    ALTER TABLE downloads ADD COLUMN position INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE downloads ADD COLUMN start_at TEXT;
    ALTER TABLE downloads ADD COLUMN attempts INTEGER NOT NULL DEFAULT 0;
    -- Until now the older went first; the gaps leave room for rows that are moved in between.
    UPDATE downloads SET position = id * 65536;
    -- Its partial files went when it was cancelled, so nothing of it has been received.
    UPDATE downloads SET progress = 0.0, received_bytes = 0 WHERE status = 'cancelled';
    -- A checksum is written as it is sent, since there is more than one kind.
    UPDATE downloads
       SET request = json_remove(json_set(request, '$.checksum', 'sha256:' || (request ->> '$.sha256')), '$.sha256')
     WHERE request ->> '$.sha256' IS NOT NULL;
", "
    ALTER TABLE downloads ADD COLUMN live INTEGER NOT NULL DEFAULT 0;
    ALTER TABLE downloads ADD COLUMN recorded_s INTEGER;
    ALTER TABLE downloads ADD COLUMN lacks TEXT;
"];

/// Brings the database to the newest version, each step in its own transaction.
///
/// # Errors
/// When the database is newer than this program, or SQLite refuses.
pub(super) fn migrate(connection: &mut Connection) -> anyhow::Result<()> {
    let version: usize = connection.pragma_query_value(None, "user_version", |row| row.get(0))?;
    if version > STEPS.len() {
        bail!(
            "the history was written by a newer version of Weir (schema {version}, this one knows {}); update Weir",
            STEPS.len()
        );
    }
    for (number, step) in STEPS.iter().enumerate().skip(version) {
        let transaction = connection.transaction()?;
        transaction.execute_batch(step)?;
        transaction.pragma_update(None, "user_version", number + 1)?;
        transaction.commit()?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(connection: &Connection) -> String {
        let mut statement =
            connection.prepare("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY name").unwrap();
        let rows: Vec<String> =
            statement.query_map([], |row| row.get(0)).unwrap().map(Result::unwrap).collect();
        rows.join(";\n")
    }

    #[test]
    fn every_earlier_version_arrives_at_the_same_schema_and_keeps_its_rows() {
        let mut fresh = Connection::open_in_memory().unwrap();
        migrate(&mut fresh).unwrap();
        let newest = schema(&fresh);
        for version in 0..=STEPS.len() {
            let mut old = Connection::open_in_memory().unwrap();
            for step in &STEPS[..version] {
                old.execute_batch(step).unwrap();
            }
            old.pragma_update(None, "user_version", version).unwrap();
            if version >= 1 {
                old.execute_batch(
                    "INSERT INTO downloads (url, filename, status, created_at, kind, directory, request)
                     VALUES ('http://h/', 'f', 'paused', '2026-11-21T10:00:00Z', 'file', '/d', '{}')",
                )
                .unwrap();
            }
            migrate(&mut old).unwrap();
            assert_eq!(schema(&old), newest, "from version {version}");
            let rows: usize = old.query_row("SELECT count(*) FROM downloads", [], |row| row.get(0)).unwrap();
            assert_eq!(rows, usize::from(version >= 1));
            migrate(&mut old).unwrap();
        }
    }

    #[test]
    fn a_row_of_the_first_version_keeps_its_meaning() {
        let mut old = Connection::open_in_memory().unwrap();
        old.execute_batch(STEPS[0]).unwrap();
        old.pragma_update(None, "user_version", 1).unwrap();
        old.execute_batch(
            r#"INSERT INTO downloads (url, filename, status, progress, received_bytes, created_at, kind, directory, request) VALUES
               ('http://h/a', 'a', 'paused', 0.5, 5, '', 'file', '/d', '{"sha256":"00ff","cookies":"c"}'),
               ('http://h/b', 'b', 'cancelled', 0.5, 5, '', 'file', '/d', '{"sha256":null}')"#,
        )
        .unwrap();
        migrate(&mut old).unwrap();
        let row = |id: i64| -> (f64, i64, i64, String) {
            let sql = "SELECT progress, received_bytes, position, request FROM downloads WHERE id = ?1";
            old.query_row(sql, [id], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?, row.get(3)?))).unwrap()
        };
        let request: serde_json::Value = serde_json::from_str(&row(1).3).unwrap();
        assert_eq!(request, serde_json::json!({ "checksum": "sha256:00ff", "cookies": "c" }));
        assert_eq!((row(1).0, row(1).1, row(1).2), (0.5, 5, 65536));
        assert_eq!((row(2).0, row(2).1, row(2).2), (0.0, 0, 131_072));
    }

    #[test]
    fn a_row_from_before_streams_lacks_nothing() {
        let mut old = Connection::open_in_memory().unwrap();
        for step in &STEPS[..2] {
            old.execute_batch(step).unwrap();
        }
        old.pragma_update(None, "user_version", 2).unwrap();
        old.execute_batch(
            "INSERT INTO downloads (url, filename, status, created_at, kind, directory, request)
             VALUES ('http://h/a.m3u8', 'a', 'completed', '', 'hls', '/d', '{}')",
        )
        .unwrap();
        migrate(&mut old).unwrap();
        let sql = "SELECT live, recorded_s, lacks FROM downloads";
        let row: (bool, Option<u64>, Option<String>) =
            old.query_row(sql, [], |row| Ok((row.get(0)?, row.get(1)?, row.get(2)?))).unwrap();
        assert_eq!(row, (false, None, None));
    }

    #[test]
    fn a_newer_database_is_left_alone() {
        let mut connection = Connection::open_in_memory().unwrap();
        connection.pragma_update(None, "user_version", STEPS.len() + 1).unwrap();
        assert!(migrate(&mut connection).unwrap_err().to_string().contains("newer version"));
        assert_eq!(schema(&connection), "");
    }

    #[test]
    fn the_promised_columns_are_there() {
        let mut connection = Connection::open_in_memory().unwrap();
        migrate(&mut connection).unwrap();
        connection.prepare("SELECT id, url, filename, status, progress, created_at FROM downloads").unwrap();
    }
}
