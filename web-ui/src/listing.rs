//! Which rows a list shows: status filter, search, the popup's choice of a few.
//!
//! Pure; never touches the DOM. Invariant: the counts of the filters are those of what was searched for, so that no
//! filter promises rows it does not show.

use weir_protocol::{Download, DownloadId, DownloadStatus};

use crate::book::Book;
use crate::line;

/// The status filter of the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Filter {
    /// Everything.
    #[default]
    All,
    /// Runs or waits for its turn.
    Active,
    /// Stopped by somebody.
    Paused,
    /// Stopped by a failure.
    Failed,
    /// Whole.
    Completed,
    /// Given up.
    Cancelled,
}

impl Filter {
    /// In the order they are offered.
    pub const ALL: [Self; 6] =
        [Self::All, Self::Active, Self::Paused, Self::Failed, Self::Completed, Self::Cancelled];

    /// Name in the page's address; the one of [`Self::All`] is empty.
    #[must_use]
    pub const fn key(self) -> &'static str {
        match self {
            Self::All => "",
            Self::Active => "active",
            Self::Paused => "paused",
            Self::Failed => "error",
            Self::Completed => "completed",
            Self::Cancelled => "cancelled",
        }
    }

    /// Name for a person.
    #[must_use]
    pub const fn label(self) -> &'static str {
        match self {
            Self::All => "All",
            Self::Active => "Active",
            Self::Paused => "Paused",
            Self::Failed => "Failed",
            Self::Completed => "Completed",
            Self::Cancelled => "Cancelled",
        }
    }

    /// The filter of this key; an unknown key hides nothing.
    #[must_use]
    pub fn parse(key: &str) -> Self {
        Self::ALL.into_iter().find(|filter| filter.key() == key).unwrap_or_default()
    }

    /// Whether a row with this status is shown.
    #[must_use]
    pub const fn admits(self, status: DownloadStatus) -> bool {
        match self {
            Self::All => true,
            Self::Active => status.is_active(),
            Self::Paused => matches!(status, DownloadStatus::Paused),
            Self::Failed => matches!(status, DownloadStatus::Error),
            Self::Completed => matches!(status, DownloadStatus::Completed),
            Self::Cancelled => matches!(status, DownloadStatus::Cancelled),
        }
    }

    const fn index(self) -> usize {
        self as usize
    }
}

/// What the page lists for a search and a filter.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Listing {
    /// Rows to show: newest first, or in the order of the queue.
    pub ids: Vec<DownloadId>,
    counts: [usize; 6],
    queue: bool,
}

impl Listing {
    /// Searches name, title, address, page and category of every row, whatever the case, and filters what was found.
    /// What is active stands in the order of the queue: what runs, then what waits, as it will run.
    #[must_use]
    pub fn new(book: &Book, query: &str, filter: Filter) -> Self {
        let needle = query.trim().to_lowercase();
        let mut listing = Self { queue: filter == Filter::Active, ..Self::default() };
        let mut queue = Vec::new();
        for (download, haystack) in book.searchable() {
            if !needle.is_empty() && !haystack.contains(&needle) {
                continue;
            }
            for other in Filter::ALL {
                if other.admits(download.status)
                    && let Some(count) = listing.counts.get_mut(other.index())
                {
                    *count += 1;
                }
            }
            if filter.admits(download.status) {
                listing.ids.push(download.id);
                if listing.queue {
                    queue.push((download.status == DownloadStatus::Queued, line::key(download)));
                }
            }
        }
        if listing.queue {
            queue.sort_unstable();
            listing.ids = queue.into_iter().map(|(_, (_, _, id))| id).collect();
        }
        listing
    }

    /// Place of a row in the list, counted from 1.
    #[must_use]
    pub fn position(&self, id: DownloadId) -> Option<usize> {
        let index = if self.queue {
            self.ids.iter().position(|other| *other == id)
        } else {
            // Of ten thousand, for each row in sight.
            self.ids.binary_search_by(|other| id.cmp(other)).ok()
        };
        index.map(|index| index + 1)
    }

    /// How many of the rows found each filter would show.
    #[must_use]
    pub fn count(&self, filter: Filter) -> usize {
        self.counts.get(filter.index()).copied().unwrap_or(0)
    }
}

/// What the popup has room for.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Few {
    /// Unfinished downloads, newest first.
    pub unfinished: Vec<DownloadId>,
    /// Unfinished ones that did not fit.
    pub more: usize,
    /// The newest finished ones.
    pub finished: Vec<DownloadId>,
}

/// The unfinished downloads that matter most (those that run before those that wait, stand or failed), shown in
/// their own order so that no row jumps when its status changes, and the newest finished ones.
#[must_use]
pub fn few(book: &Book, unfinished: usize, finished: usize) -> Few {
    let rank = |download: &Download| match download.status {
        status if status.is_running() => 0,
        DownloadStatus::Queued => 1,
        DownloadStatus::Paused => 2,
        _ => 3,
    };
    let mut open: Vec<&Download> = book
        .iter()
        .filter(|download| !matches!(download.status, DownloadStatus::Completed | DownloadStatus::Cancelled))
        .collect();
    // Stable: within a rank the newest stay first.
    open.sort_by_key(|download| rank(download));
    let more = open.len().saturating_sub(unfinished);
    open.truncate(unfinished);
    open.sort_by_key(|download| std::cmp::Reverse(download.id));
    let mut done: Vec<&Download> =
        book.iter().filter(|download| download.status == DownloadStatus::Completed).collect();
    done.sort_by(|a, b| b.finished_at.cmp(&a.finished_at));
    Few {
        unfinished: open.into_iter().map(|download| download.id).collect(),
        more,
        finished: done.into_iter().take(finished).map(|download| download.id).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::book::Absent;
    use crate::book::tests::download;
    use DownloadStatus::{Cancelled, Completed, Downloading, Error, Paused, Queued};
    use weir_protocol::Event;

    fn book(rows: Vec<Download>) -> Book {
        let mut book = Book::new(Absent::Drop);
        book.apply(Event::Snapshot { downloads: rows, version: String::new(), more: false });
        book
    }

    #[test]
    fn every_status_is_under_exactly_one_narrow_filter() {
        for status in DownloadStatus::ALL {
            let admitting: Vec<Filter> =
                Filter::ALL.into_iter().skip(1).filter(|filter| filter.admits(status)).collect();
            assert_eq!(admitting.len(), 1, "{status:?}");
        }
        for filter in Filter::ALL {
            assert_eq!(Filter::parse(filter.key()), filter);
        }
        assert_eq!(Filter::parse("nonsense"), Filter::All);
    }

    #[test]
    fn search_and_filter_work_together_and_counts_follow_the_search() {
        let mut talk = download(3, Completed);
        talk.title = Some("A Talk on Größe".to_owned());
        let mut page = download(2, Error);
        page.page_url = Some("https://TALKS.example/".to_owned());
        let book = book(vec![talk, page, download(1, Completed)]);

        let all = Listing::new(&book, "", Filter::All);
        assert_eq!(all.ids, [3, 2, 1]);
        assert_eq!(all.count(Filter::Completed), 2);
        assert_eq!((all.position(3), all.position(1), all.position(4)), (Some(1), Some(3), None));

        let found = Listing::new(&book, "  tAlk ", Filter::Completed);
        assert_eq!(found.ids, [3]);
        assert_eq!((found.count(Filter::All), found.count(Filter::Failed)), (2, 1));
        assert_eq!(Listing::new(&book, "GRÖSSE", Filter::All).ids, [0; 0]);
        assert_eq!(Listing::new(&book, "größe", Filter::All).ids, [3]);
    }

    #[test]
    fn what_is_active_stands_in_the_order_of_the_queue() {
        let place = |id, status, priority, position| Download { priority, position, ..download(id, status) };
        let book = book(vec![
            place(5, Queued, 0, 10),
            place(4, Queued, 0, 30),
            place(3, Downloading, 0, 20),
            place(2, Queued, 7, 90),
            place(1, Completed, 9, 0),
        ]);
        let active = Listing::new(&book, "", Filter::Active);
        assert_eq!(active.ids, [3, 2, 5, 4]);
        assert_eq!((active.position(2), active.position(4), active.position(1)), (Some(2), Some(4), None));
        assert_eq!(Listing::new(&book, "", Filter::All).ids, [5, 4, 3, 2, 1]);
    }

    #[test]
    fn the_popup_prefers_what_runs_and_keeps_the_order_of_rows() {
        let book = book(vec![
            download(6, Error),
            download(5, Paused),
            download(4, Queued),
            download(3, Downloading),
            download(2, Completed),
            download(1, Cancelled),
        ]);
        let few = few(&book, 3, 5);
        assert_eq!(few.unfinished, [5, 4, 3]);
        assert_eq!(few.more, 1);
        assert_eq!(few.finished, [2]);
    }

    #[test]
    fn the_newest_finished_are_those_that_finished_last() {
        let mut early = download(2, Completed);
        early.finished_at = Some("2026-11-21T10:00:00Z".to_owned());
        let mut late = download(1, Completed);
        late.finished_at = Some("2026-11-21T11:00:00Z".to_owned());
        assert_eq!(few(&book(vec![early, late]), 3, 1).finished, [1]);
    }
}
