//! What the live region says: transitions, gathered for a moment so that many at once become one sentence.
//!
//! Pure; never speaks of percentages. Invariant: one download is named at most once in a sentence, with the
//! last thing that happened to it.

use weir_protocol::DownloadId;

use crate::book::{News, What};

/// More names than this become numbers.
const NAMED: usize = 3;

/// Transitions not yet told.
#[derive(Debug, Default)]
pub struct Announcer {
    pending: Vec<News>,
}

impl Announcer {
    /// Takes what happened. Returns whether there was nothing pending, that is, a sentence must be scheduled.
    pub fn push(&mut self, news: Vec<News>) -> bool {
        let first = self.pending.is_empty();
        for item in news {
            let id: DownloadId = item.id;
            self.pending.retain(|known| known.id != id);
            self.pending.push(item);
        }
        first && !self.pending.is_empty()
    }

    /// The sentence, and a clean slate.
    pub fn flush(&mut self) -> Option<String> {
        let news = std::mem::take(&mut self.pending);
        match news.len() {
            0 => None,
            1..=NAMED => Some(
                news.iter()
                    .map(|item| format!("{} {}.", item.name, verb(item.what)))
                    .collect::<Vec<_>>()
                    .join(" "),
            ),
            _ => {
                let order = [
                    What::Failed,
                    What::Finished,
                    What::Started,
                    What::Queued,
                    What::Paused,
                    What::Cancelled,
                ];
                let counts = order.into_iter().filter_map(|what| {
                    let count = news.iter().filter(|item| item.what == what).count();
                    (count > 0).then(|| format!("{count} {}", verb(what)))
                });
                Some(format!("Downloads: {}.", counts.collect::<Vec<_>>().join(", ")))
            }
        }
    }
}

const fn verb(what: What) -> &'static str {
    match what {
        What::Queued => "is waiting",
        What::Started => "started",
        What::Finished => "finished",
        What::Failed => "failed",
        What::Paused => "paused",
        What::Cancelled => "cancelled",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn news(id: DownloadId, what: What) -> News {
        News { id, name: format!("{id}.mp4"), what }
    }

    #[test]
    fn few_are_named_with_the_last_thing_that_happened() {
        let mut announcer = Announcer::default();
        assert!(announcer.push(vec![news(1, What::Queued)]));
        assert!(!announcer.push(vec![news(1, What::Started), news(2, What::Finished)]));
        assert_eq!(announcer.flush().as_deref(), Some("1.mp4 started. 2.mp4 finished."));
        assert_eq!(announcer.flush(), None);
        assert!(!announcer.push(Vec::new()), "nothing to tell, nothing to schedule");
    }

    #[test]
    fn many_are_counted_failures_first() {
        let mut announcer = Announcer::default();
        announcer.push((0..5).map(|id| news(id, What::Finished)).collect());
        announcer.push(vec![news(9, What::Failed)]);
        assert_eq!(announcer.flush().as_deref(), Some("Downloads: 1 failed, 5 finished."));
    }
}
