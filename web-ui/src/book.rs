//! The list of downloads as the daemon told it: applies the frames of `/ws` and pages of `/list`, and says what
//! changed. Pure; never touches the DOM or the network.
//!
//! Invariant: frames win over pages. A page is older than any frame that arrived while it was under way, so it
//! may add or confirm a row, never overwrite what a frame said and never bring back what a frame removed.

use std::collections::{BTreeMap, BTreeSet};

use weir_protocol::{Download, DownloadId, DownloadStatus, ErrorInfo, Event, Progress};

use crate::line;

/// What a snapshot means for rows it does not name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Absent {
    /// They are dropped: the view shows no more than a snapshot holds (the popup).
    Drop,
    /// Finished ones stay until the history, read again, did not name them either (the page).
    Doubt,
}

/// What a frame changed.
#[derive(Debug, Default, PartialEq)]
pub struct Change {
    /// Rows whose content is new.
    pub rows: Vec<DownloadId>,
    /// A row came, went, or changed its status or its place in the queue: lists and counts must be made anew.
    pub list: bool,
    /// A snapshot is complete.
    pub snapshot: bool,
    /// Worth telling someone who does not look at the bars.
    pub news: Vec<News>,
}

/// A transition of one download.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Which download.
    pub id: DownloadId,
    /// Its file name.
    pub name: String,
    /// What happened.
    pub what: What,
}

/// The transitions that are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum What {
    /// It is in the queue.
    Queued,
    /// It runs.
    Started,
    /// It is whole.
    Finished,
    /// It stopped by a failure.
    Failed,
    /// It was stopped by someone.
    Paused,
    /// It was given up.
    Cancelled,
}

#[derive(Debug)]
struct Row {
    download: Download,
    /// Lower case, made once: a search over 10,000 rows must not fold their case at every key.
    haystack: String,
    confirmed: bool,
}

impl Row {
    fn new(download: Download) -> Self {
        let haystack = [
            Some(download.filename.as_str()),
            download.title.as_deref(),
            Some(download.url.as_str()),
            download.page_url.as_deref(),
            download.category.as_deref(),
        ]
        .into_iter()
        .flatten()
        .collect::<Vec<_>>()
        .join("\n")
        .to_lowercase();
        Self { download, haystack, confirmed: true }
    }
}

/// Downloads by number.
#[derive(Debug)]
pub struct Book {
    absent: Absent,
    rows: BTreeMap<DownloadId, Row>,
    /// Rows named by the snapshot that is arriving in several frames.
    arriving: Option<BTreeSet<DownloadId>>,
    /// Rows removed since the history is being read.
    removed: BTreeSet<DownloadId>,
}

impl Book {
    /// An empty book.
    #[must_use]
    pub const fn new(absent: Absent) -> Self {
        Self { absent, rows: BTreeMap::new(), arriving: None, removed: BTreeSet::new() }
    }

    /// One download.
    #[must_use]
    pub fn get(&self, id: DownloadId) -> Option<&Download> {
        self.rows.get(&id).map(|row| &row.download)
    }

    /// Every download, newest first.
    pub fn iter(&self) -> impl Iterator<Item = &Download> {
        self.rows.values().rev().map(|row| &row.download)
    }

    /// Every download with the lower-case text a search looks through, newest first.
    pub fn searchable(&self) -> impl Iterator<Item = (&Download, &str)> {
        self.rows.values().rev().map(|row| (&row.download, row.haystack.as_str()))
    }

    /// How many downloads are known.
    #[must_use]
    pub fn len(&self) -> usize {
        self.rows.len()
    }

    /// Whether none is known.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// A new socket begins: what the last one did not finish is void.
    pub fn socket_begins(&mut self) {
        self.arriving = None;
    }

    /// Applies one frame of `/ws`.
    pub fn apply(&mut self, event: Event) -> Change {
        match event {
            Event::Snapshot { downloads, more, .. } => self.snapshot(downloads, more),
            Event::Download { download } => self.download(*download),
            Event::Progress(progress) => self.progress(&progress),
            Event::Error { id, error, code, action } => {
                self.failed(id, ErrorInfo { code, message: error, action })
            }
            Event::Removed { id } => self.remove(id),
        }
    }

    fn snapshot(&mut self, downloads: Vec<Download>, more: bool) -> Change {
        let named = self.arriving.get_or_insert_default();
        named.extend(downloads.iter().map(|download| download.id));
        let mut change = Change { list: true, ..Change::default() };
        for download in downloads {
            let same = self.rows.get(&download.id).is_some_and(|row| row.download == download);
            if !same {
                change.rows.push(download.id);
            }
            self.rows.insert(download.id, Row::new(download));
        }
        if more {
            return change;
        }
        let named = self.arriving.take().unwrap_or_default();
        let absent = self.absent;
        self.rows.retain(|id, row| {
            if named.contains(id) {
                return true;
            }
            row.confirmed = false;
            // A snapshot names everything unfinished, so an unfinished row it lacks is gone for certain.
            absent == Absent::Doubt && is_finished(row.download.status)
        });
        change.snapshot = true;
        change
    }

    fn download(&mut self, download: Download) -> Change {
        if let Some(named) = &mut self.arriving {
            named.insert(download.id);
        }
        let id = download.id;
        let known = self.rows.get(&id).map(|row| &row.download);
        let before = known.map(|row| row.status);
        let news = transition(before, &download);
        let list = before != Some(download.status) || known.map(line::key) != Some(line::key(&download));
        self.rows.insert(id, Row::new(download));
        Change { rows: vec![id], list, snapshot: false, news: news.into_iter().collect() }
    }

    fn progress(&mut self, progress: &Progress) -> Change {
        let Some(row) = self.rows.get_mut(&progress.id) else {
            return Change::default();
        };
        let download = &mut row.download;
        let before = download.status;
        download.progress = progress.progress;
        download.speed = progress.speed.unwrap_or(0);
        download.eta = progress.eta;
        download.recorded_s = progress.recorded_s.or(download.recorded_s);
        if let Some(received) = progress.received_bytes {
            download.received_bytes = received;
        }
        if progress.done && before.is_running() {
            download.status = DownloadStatus::Completed;
        }
        let news = transition(Some(before), download);
        Change {
            rows: vec![progress.id],
            list: download.status != before,
            snapshot: false,
            news: news.into_iter().collect(),
        }
    }

    fn failed(&mut self, id: DownloadId, error: ErrorInfo) -> Change {
        let Some(row) = self.rows.get_mut(&id) else {
            return Change::default();
        };
        let before = row.download.status;
        row.download.status = DownloadStatus::Error;
        row.download.speed = 0;
        row.download.eta = None;
        row.download.error = Some(error);
        let news = transition(Some(before), &row.download);
        Change {
            rows: vec![id],
            list: before != DownloadStatus::Error,
            snapshot: false,
            news: news.into_iter().collect(),
        }
    }

    /// Takes a row out: the daemon said so, or answered that it does not know it.
    pub fn remove(&mut self, id: DownloadId) -> Change {
        self.removed.insert(id);
        let list = self.rows.remove(&id).is_some();
        Change { rows: vec![id], list, ..Change::default() }
    }

    /// The history is about to be read from its beginning.
    pub fn history_begins(&mut self) {
        self.removed.clear();
    }

    /// A page of `/list`. Returns how many rows were removed since [`Self::history_begins`]: the offset of the
    /// next page is smaller by that many.
    pub fn history_page(&mut self, downloads: Vec<Download>) -> (Change, usize) {
        let mut change = Change::default();
        for download in downloads {
            let id = download.id;
            if self.removed.contains(&id) || self.rows.get(&id).is_some_and(|row| row.confirmed) {
                continue;
            }
            change.rows.push(id);
            change.list = true;
            self.rows.insert(id, Row::new(download));
        }
        (change, self.removed.len())
    }

    /// The whole history was read: what nobody named any more is gone.
    pub fn history_ends(&mut self) -> Change {
        let before = self.rows.len();
        self.rows.retain(|_, row| row.confirmed);
        Change { list: self.rows.len() != before, ..Change::default() }
    }
}

/// No job will touch it any more unless somebody asks.
const fn is_finished(status: DownloadStatus) -> bool {
    matches!(status, DownloadStatus::Completed | DownloadStatus::Cancelled)
}

fn transition(before: Option<DownloadStatus>, now: &Download) -> Option<News> {
    if before == Some(now.status) {
        return None;
    }
    let was_running = before.is_some_and(DownloadStatus::is_running);
    let what = match now.status {
        DownloadStatus::Queued => What::Queued,
        status if status.is_running() && was_running => return None,
        DownloadStatus::Resolving | DownloadStatus::Downloading | DownloadStatus::Finishing => What::Started,
        DownloadStatus::Completed => What::Finished,
        DownloadStatus::Paused => What::Paused,
        DownloadStatus::Error => What::Failed,
        DownloadStatus::Cancelled => What::Cancelled,
    };
    Some(News { id: now.id, name: now.filename.clone(), what })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use weir_protocol::{DownloadKind, Settings, SettingsNow};

    pub(crate) fn download(id: DownloadId, status: DownloadStatus) -> Download {
        Download {
            id,
            kind: DownloadKind::File,
            url: format!("https://example.org/{id}.bin"),
            page_url: None,
            title: None,
            filename: format!("{id}.bin"),
            path: format!("/home/me/Downloads/{id}.bin"),
            status,
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
            openable: true,
            error: None,
            created_at: "2026-11-21T10:00:00Z".to_owned(),
            finished_at: None,
        }
    }

    pub(crate) fn settings() -> Settings {
        Settings {
            port: 8765,
            listen: vec!["127.0.0.1".to_owned()],
            download_dir: "/home/me/Downloads".to_owned(),
            max_active: 3,
            max_per_host: 3,
            rate_limit: None,
            progress_hz: 2.0,
            retries: 5,
            auto_retries: 4,
            proxy: None,
            netrc: None,
            quiet_hours: Vec::new(),
            category: Vec::new(),
            extension_ids: Vec::new(),
            sites: false,
            now: SettingsNow::default(),
        }
    }

    fn snapshot(downloads: Vec<Download>, more: bool) -> Event {
        Event::Snapshot { downloads, version: "0.1.0".to_owned(), more }
    }

    fn ids(book: &Book) -> Vec<DownloadId> {
        book.iter().map(|download| download.id).collect()
    }

    use DownloadStatus::{Cancelled, Completed, Downloading, Error, Finishing, Paused, Queued, Resolving};

    #[test]
    fn a_snapshot_replaces_what_was_known() {
        let mut book = Book::new(Absent::Drop);
        book.apply(snapshot(vec![download(2, Downloading), download(1, Completed)], false));
        assert_eq!(ids(&book), [2, 1]);
        let change = book.apply(snapshot(vec![download(3, Queued)], false));
        assert_eq!(ids(&book), [3]);
        assert!(change.snapshot && change.list);
        assert!(change.news.is_empty(), "a snapshot is no news");
    }

    #[test]
    fn a_snapshot_in_parts_drops_nothing_before_its_end() {
        let mut book = Book::new(Absent::Drop);
        book.apply(snapshot(vec![download(9, Completed), download(1, Completed)], false));
        assert!(!book.apply(snapshot(vec![download(5, Queued)], true)).snapshot);
        assert_eq!(ids(&book), [9, 5, 1]);
        assert!(book.apply(snapshot(vec![download(1, Completed)], false)).snapshot);
        assert_eq!(ids(&book), [5, 1]);
    }

    #[test]
    fn the_page_keeps_old_history_until_it_was_read_again() {
        let mut book = Book::new(Absent::Doubt);
        book.apply(snapshot(
            vec![download(4, Downloading), download(2, Completed), download(1, Completed)],
            false,
        ));
        // After a reconnect the snapshot names neither the running 4 nor the old 1 and 2.
        book.apply(snapshot(vec![download(5, Queued)], false));
        assert_eq!(ids(&book), [5, 2, 1], "unfinished and not named: gone");
        book.history_begins();
        book.history_page(vec![download(5, Queued), download(2, Completed)]);
        book.history_ends();
        assert_eq!(ids(&book), [5, 2], "1 was deleted meanwhile");
    }

    #[test]
    fn a_page_never_undoes_a_frame() {
        let mut book = Book::new(Absent::Doubt);
        book.apply(snapshot(vec![download(3, Downloading), download(2, Paused)], false));
        book.history_begins();
        book.apply(Event::Download { download: Box::new(download(3, Completed)) });
        book.apply(Event::Removed { id: 2 });
        let (change, removed) =
            book.history_page(vec![download(3, Downloading), download(2, Paused), download(1, Completed)]);
        assert_eq!(removed, 1);
        assert_eq!(change.rows, [1]);
        assert_eq!(ids(&book), [3, 1]);
        assert_eq!(book.get(3).map(|row| row.status), Some(Completed));
    }

    #[test]
    fn progress_touches_one_row_and_no_list() {
        let mut book = Book::new(Absent::Drop);
        book.apply(snapshot(vec![download(1, Downloading)], false));
        let tick = Progress {
            id: 1,
            progress: 50.0,
            speed: Some(10),
            eta: Some(5),
            received_bytes: Some(100),
            recorded_s: None,
            done: false,
        };
        let change = book.apply(Event::Progress(tick));
        assert_eq!(change, Change { rows: vec![1], ..Change::default() });
        let row = book.get(1).cloned();
        assert_eq!(
            row.map(|row| (row.progress, row.speed, row.eta, row.received_bytes)),
            Some((50.0, 10, Some(5), 100))
        );
        assert_eq!(
            book.apply(Event::Progress(Progress { id: 77, ..Progress::default() })),
            Change::default()
        );
    }

    #[test]
    fn the_last_progress_completes_only_what_runs() {
        let mut book = Book::new(Absent::Drop);
        book.apply(snapshot(vec![download(1, Finishing), download(2, Cancelled)], false));
        let done = |id| Event::Progress(Progress { id, progress: 100.0, done: true, ..Progress::default() });
        let change = book.apply(done(1));
        assert!(change.list);
        assert_eq!(change.news.first().map(|news| news.what), Some(What::Finished));
        assert!(!book.apply(done(2)).list);
        assert_eq!(book.get(2).map(|row| row.status), Some(Cancelled));
    }

    #[test]
    fn only_transitions_are_news() {
        let mut book = Book::new(Absent::Drop);
        let mut say = |status| {
            let event = Event::Download { download: Box::new(download(1, status)) };
            book.apply(event).news.first().map(|news| news.what)
        };
        assert_eq!(say(Queued), Some(What::Queued));
        assert_eq!(say(Resolving), Some(What::Started));
        assert_eq!(say(Downloading), None);
        assert_eq!(say(Downloading), None);
        assert_eq!(say(Paused), Some(What::Paused));
        assert_eq!(say(Downloading), Some(What::Started));
        assert_eq!(say(Error), Some(What::Failed));
        assert_eq!(say(Error), None);
        assert_eq!(say(Finishing), Some(What::Started));
        assert_eq!(say(Completed), Some(What::Finished));
    }

    #[test]
    fn another_place_in_the_queue_makes_another_list() {
        let mut book = Book::new(Absent::Drop);
        book.apply(snapshot(vec![download(1, Queued)], false));
        let mut tell = |row: &Download| {
            let change = book.apply(Event::Download { download: Box::new(row.clone()) });
            (change.list, change.news.len())
        };
        let mut row = download(1, Queued);
        assert_eq!(tell(&row), (false, 0));
        row.position = -5;
        assert_eq!(tell(&row), (true, 0));
        row.priority = 1;
        assert_eq!(tell(&row), (true, 0));
        row.rate_limit = Some(1);
        assert_eq!(tell(&row), (false, 0));
    }

    #[test]
    fn an_error_frame_alone_marks_the_row() {
        let mut book = Book::new(Absent::Drop);
        book.apply(snapshot(vec![download(1, Downloading)], false));
        let frame =
            Event::Error { id: 1, error: "No answer.".to_owned(), code: "timeout".to_owned(), action: None };
        assert!(book.apply(frame.clone()).list);
        assert!(book.apply(frame).news.is_empty());
        assert_eq!(
            book.get(1).and_then(|row| row.error.clone()).map(|error| error.code).as_deref(),
            Some("timeout")
        );
    }
}
