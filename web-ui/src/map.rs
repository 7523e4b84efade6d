//! The map of a file: which parts of it are on disk, being fetched, or missing, as shapes to draw and as words.
//!
//! Pure; never touches the DOM. Invariant: what is drawn as on disk is never more than the daemon named, and the words
//! say "100 %" only when every byte is there.

use std::fmt::Write as _;

use weir_protocol::Ranges;

use crate::format;

/// Width of the drawing in its own units; it is stretched to whatever room there is.
pub const WIDTH: u32 = 1000;
/// Height of the drawing in its own units.
pub const HEIGHT: u32 = 20;

/// Upper edge of what connections work on: more of it than of anything else is drawn at first, so it stays low.
const LOW: f64 = 12.0;

/// What a connection works on is drawn at least this wide: a range of a large file would be thinner than a hair.
const LEAST: f64 = 3.0;

/// One drawing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Map {
    /// SVG path data of what is on disk: the whole height.
    pub done: String,
    /// SVG path data of what connections work on: a low band, so that it differs in more than its colour.
    pub active: String,
    /// Whole percent on disk.
    pub percent: u8,
    /// What a screen reader says, without the name: `45 % on disk in 6 parts, 8 connections at work`.
    pub words: String,
}

impl Map {
    /// None while the size of the whole is unknown: then there is nothing to draw parts of.
    #[must_use]
    pub fn new(ranges: &Ranges) -> Option<Self> {
        let total = ranges.total_bytes.filter(|total| *total > 0)?;
        let spans = |spans: &[[u64; 2]]| -> Vec<[u64; 2]> {
            let within = |[from, to]: &[u64; 2]| [(*from).min(total), (*to).min(total)];
            spans.iter().map(within).filter(|[from, to]| from < to).collect()
        };
        let (done, active) = (spans(&ranges.done), spans(&ranges.active));
        let there: u64 = done.iter().map(|[from, to]| to - from).sum();
        let percent = format::percent(there as f64 / total as f64 * 100.0);
        let parts = done.len();
        let mut words = match parts {
            0 => "Nothing on disk yet".to_owned(),
            1 => format!("{percent} % on disk in one part"),
            _ => format!("{percent} % on disk in {parts} parts"),
        };
        match active.len() {
            0 => {}
            1 => words.push_str(", one connection at work"),
            count => drop(write!(words, ", {count} connections at work")),
        }
        Some(Self {
            done: path(&done, total, 0.0, 0.0),
            active: path(&active, total, LOW, LEAST),
            percent,
            words,
        })
    }
}

/// Rectangles from `top` down to the lower edge, one for each span, each at least `least` wide.
fn path(spans: &[[u64; 2]], total: u64, top: f64, least: f64) -> String {
    let width = f64::from(WIDTH);
    let height = f64::from(HEIGHT) - top;
    let at = |byte: u64| byte as f64 / total as f64 * width;
    spans.iter().fold(String::new(), |mut path, [from, to]| {
        let wide = (at(*to) - at(*from)).max(least);
        let left = at(*from).min(width - wide);
        let _ = write!(path, "M{left:.2} {top}h{wide:.2}v{height}h-{wide:.2}z");
        path
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(total: u64, done: &[[u64; 2]], active: &[[u64; 2]]) -> Option<Map> {
        Map::new(&Ranges { total_bytes: Some(total), done: done.to_vec(), active: active.to_vec() })
    }

    #[test]
    fn the_map_says_in_words_what_it_shows() {
        let words = |done: &[[u64; 2]], active: &[[u64; 2]]| map(1_000, done, active).map(|map| map.words);
        let both = words(&[[0, 400], [500, 550]], &[[400, 500], [550, 1_000]]);
        assert_eq!(both.as_deref(), Some("45 % on disk in 2 parts, 2 connections at work"));
        assert_eq!(words(&[], &[]).as_deref(), Some("Nothing on disk yet"));
        assert_eq!(words(&[], &[[0, 1_000]]).as_deref(), Some("Nothing on disk yet, one connection at work"));
        assert_eq!(words(&[[0, 999]], &[]).as_deref(), Some("99 % on disk in one part"));
        assert_eq!(words(&[[0, 1_000]], &[]).as_deref(), Some("100 % on disk in one part"));
    }

    #[test]
    fn a_span_stands_where_its_bytes_are() {
        let map = map(1_000, &[[0, 100], [250, 500]], &[[500, 1_000]]);
        let paths = map.map(|map| (map.done, map.active));
        let done = "M0.00 0h100.00v20h-100.00zM250.00 0h250.00v20h-250.00z".to_owned();
        assert_eq!(paths, Some((done, "M500.00 12h500.00v8h-500.00z".to_owned())));
    }

    #[test]
    fn a_connection_is_seen_however_large_the_file_is_and_never_beyond_its_end() {
        let total = 1 << 44;
        let map = map(total, &[[0, 1]], &[[0, 1], [total - 1, total]]);
        let paths = map.map(|map| (map.done, map.active));
        // What is on disk is never drawn larger than it is.
        let active = "M0.00 12h3.00v8h-3.00zM997.00 12h3.00v8h-3.00z".to_owned();
        assert_eq!(paths, Some(("M0.00 0h0.00v20h-0.00z".to_owned(), active)));
    }

    #[test]
    fn without_a_size_there_is_no_map_and_what_lies_beyond_it_is_left_out() {
        assert_eq!(Map::new(&Ranges::default()), None);
        assert_eq!(map(0, &[], &[]), None);
        let beyond = map(100, &[[50, 200], [200, 300], [90, 90]], &[[100, 120]]);
        let beyond = beyond.map(|map| (map.percent, map.words));
        assert_eq!(beyond, Some((50, "50 % on disk in one part".to_owned())));
    }
}
