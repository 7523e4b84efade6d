//! The queue as people see it: in which order rows wait, which place each has, and what it waits for.
//!
//! Pure. Invariant: the order is the daemon's (higher priority first, then the lower position), over every queued row,
//! so that a move by one place is seen as one.

use std::cmp::Reverse;
use std::collections::BTreeMap;

use weir_protocol::{Download, DownloadId, DownloadStatus, MoveTo, Settings};

use crate::book::Book;
use crate::format;

/// What decides a row's place.
#[must_use]
pub const fn key(row: &Download) -> (Reverse<i32>, i64, DownloadId) {
    (Reverse(row.priority), row.position, row.id)
}

/// The rows that wait, and how busy each server is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Line {
    order: Vec<DownloadId>,
    running: BTreeMap<String, u32>,
}

impl Line {
    /// The line as it stands.
    #[must_use]
    pub fn new(book: &Book) -> Self {
        let mut queued: Vec<&Download> = Vec::new();
        let mut running = BTreeMap::new();
        for row in book.iter() {
            if row.status == DownloadStatus::Queued {
                queued.push(row);
            } else if row.status.is_running()
                && let Some(host) = server(row)
            {
                *running.entry(host).or_insert(0) += 1;
            }
        }
        queued.sort_by_key(|row| key(row));
        Self { order: queued.into_iter().map(|row| row.id).collect(), running }
    }

    /// Place of a row, counted from 1; none when it does not wait.
    #[must_use]
    pub fn place(&self, id: DownloadId) -> Option<usize> {
        self.order.iter().position(|other| *other == id).map(|index| index + 1)
    }

    /// How many wait.
    #[must_use]
    pub const fn len(&self) -> usize {
        self.order.len()
    }

    /// Whether none waits.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.order.is_empty()
    }

    /// Whether this move would change anything.
    #[must_use]
    pub fn can_move(&self, id: DownloadId, to: MoveTo) -> bool {
        self.place(id).is_some_and(|place| match to {
            MoveTo::First | MoveTo::Up => place > 1,
            MoveTo::Last | MoveTo::Down => place < self.len(),
        })
    }

    /// `2 of 5 in the queue`; none for one that does not wait, or waits alone.
    #[must_use]
    pub fn place_text(&self, id: DownloadId) -> Option<String> {
        let place = self.place(id)?;
        (self.len() > 1).then(|| format!("{place} of {} in the queue", self.len()))
    }

    /// What a row waits for besides its turn, as far as the settings tell. `time` writes a moment as this place does.
    #[must_use]
    pub fn reason(
        &self,
        row: &Download,
        settings: &Settings,
        time: impl Fn(&str) -> String,
    ) -> Option<String> {
        if row.status != DownloadStatus::Queued {
            return None;
        }
        if settings.now.paused {
            let until = settings.now.until.as_deref().map(time).filter(|until| !until.is_empty());
            return Some(
                until.map_or("quiet hours".to_owned(), |until| format!("quiet hours until {until}")),
            );
        }
        let host = server(row)?;
        let running = self.running.get(&host).copied().unwrap_or(0);
        let all: u32 = self.running.values().sum();
        // When everything is busy anyway, it is no server's fault.
        (running >= settings.max_per_host && all < settings.max_active).then(|| match running {
            1 => "its server is busy with another download".to_owned(),
            _ => format!("its server is busy with {running} downloads"),
        })
    }
}

fn server(row: &Download) -> Option<String> {
    format::host(&row.url).map(str::to_lowercase)
}

/// What quiet hours make of this moment; none outside them.
#[must_use]
pub fn quiet(settings: &Settings, time: impl Fn(&str) -> String) -> Option<String> {
    let now = &settings.now;
    let what = if now.paused {
        "nothing runs".to_owned()
    } else if now.rate_limit != settings.rate_limit {
        format::limit(now.rate_limit)
    } else {
        return None;
    };
    Some(format!("Quiet hours{}: {what}", until(settings, time)))
}

fn until(settings: &Settings, time: impl Fn(&str) -> String) -> String {
    let until = settings.now.until.as_deref().map(time).unwrap_or_default();
    if until.is_empty() { until } else { format!(" until {until}") }
}

/// Accessible name of a move's button.
#[must_use]
pub fn move_name(to: MoveTo, file: &str) -> String {
    format!("Move {file} {}", direction(to))
}

/// Where a move goes, in words.
#[must_use]
pub const fn direction(to: MoveTo) -> &'static str {
    match to {
        MoveTo::First => "to the top",
        MoveTo::Up => "up",
        MoveTo::Down => "down",
        MoveTo::Last => "to the end",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Absent;
    use crate::book::tests::{download, settings};
    use DownloadStatus::{Completed, Downloading, Paused, Queued};
    use weir_protocol::{Event, SettingsNow};

    fn queued(id: DownloadId, priority: i32, position: i64) -> Download {
        Download { priority, position, ..download(id, Queued) }
    }

    fn line(rows: Vec<Download>) -> Line {
        let mut book = Book::new(Absent::Drop);
        book.apply(Event::Snapshot { downloads: rows, version: String::new(), more: false });
        Line::new(&book)
    }

    #[test]
    fn the_line_is_in_the_order_of_the_daemon() {
        let line = line(vec![
            queued(1, 0, 30),
            queued(2, 0, 10),
            queued(3, 5, 90),
            queued(4, 0, 10),
            download(5, Paused),
            download(6, Completed),
        ]);
        assert_eq!(line.order, [3, 2, 4, 1]);
        assert_eq!((line.place(3), line.place(1), line.place(5)), (Some(1), Some(4), None));
        assert_eq!(line.place_text(4).as_deref(), Some("3 of 4 in the queue"));
        let possible =
            |id| [MoveTo::First, MoveTo::Up, MoveTo::Down, MoveTo::Last].map(|to| line.can_move(id, to));
        assert_eq!(possible(3), [false, false, true, true]);
        assert_eq!(possible(4), [true; 4]);
        assert_eq!(possible(1), [true, true, false, false]);
        assert_eq!(possible(5), [false; 4]);
    }

    #[test]
    fn one_that_waits_alone_has_no_place_worth_telling() {
        assert_eq!(line(vec![queued(1, 0, 0)]).place_text(1), None);
    }

    #[test]
    fn a_busy_server_and_quiet_hours_are_named_and_nothing_is_made_up() {
        let waiting = queued(9, 0, 0);
        let busy = line(vec![download(1, Downloading), download(2, Downloading), waiting.clone()]);
        let free = line(vec![download(1, Downloading), waiting.clone()]);
        let mut settings = settings();
        (settings.max_per_host, settings.max_active) = (2, 5);
        let time = |moment: &str| moment.get(11..16).unwrap_or_default().to_owned();
        let reason = busy.reason(&waiting, &settings, time);
        assert_eq!(reason.as_deref(), Some("its server is busy with 2 downloads"));
        assert_eq!(free.reason(&waiting, &settings, time), None);
        assert_eq!(busy.reason(&download(1, Downloading), &settings, time), None);
        settings.max_active = 2;
        assert_eq!(busy.reason(&waiting, &settings, time), None, "everything is busy");
        settings.now =
            SettingsNow { paused: true, until: Some("2026-11-22T07:00:00Z".into()), ..settings.now };
        let reason = free.reason(&waiting, &settings, time);
        assert_eq!(reason.as_deref(), Some("quiet hours until 07:00"));
        assert_eq!(quiet(&settings, time).as_deref(), Some("Quiet hours until 07:00: nothing runs"));
        settings.now.until = None;
        assert_eq!(free.reason(&waiting, &settings, time).as_deref(), Some("quiet hours"));
    }
    #[test]
    fn quiet_hours_are_told_only_while_they_change_something() {
        let mut settings = settings();
        let says = |settings: &Settings| quiet(settings, |_| "07:00".to_owned());
        settings.now.until = Some("2026-11-22T23:00:00Z".to_owned());
        assert_eq!(says(&settings), None, "they are to come");
        settings.now.rate_limit = Some(500_000);
        assert_eq!(says(&settings).as_deref(), Some("Quiet hours until 07:00: 500 kB/s"));
        settings.rate_limit = Some(500_000);
        assert_eq!(says(&settings), None);
        settings.now.rate_limit = None;
        assert_eq!(says(&settings).as_deref(), Some("Quiet hours until 07:00: no limit"));
    }
}
