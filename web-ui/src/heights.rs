//! Where rows stand that are not all equally high: which of them to put into the document, and how much room the others
//! take above and below.
//!
//! Pure; never touches the DOM. Invariant: whatever the number of rows, a [`Slice`] names at most what fits the viewport
//! plus a fixed margin, so the document stays small; and the rooms above and below it are the sums of what is known.

use std::collections::BTreeMap;
use std::ops::Range;

use weir_protocol::DownloadId;

/// Rows beyond each edge of the viewport, so that scrolling and Tab meet rows, not emptiness.
pub const MARGIN_ROWS: usize = 8;

/// The most rows in the document at once, whatever the screen.
pub const MOST_ROWS: usize = 120;

/// Less than this is no difference: browsers round, CSS pixels.
const SAME: f64 = 0.5;

/// How high rows are, in CSS pixels.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Heights {
    /// The height of nearly all.
    usual: f64,
    /// Rows that need another, as measured last.
    other: BTreeMap<DownloadId, f64>,
}

/// The rows in the document.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Slice {
    /// Their places in the list.
    pub rows: Range<usize>,
    /// Room for those above, CSS pixels.
    pub above: f64,
    /// Room for those below.
    pub below: f64,
}

impl Heights {
    /// Takes in how high a row is that needs no more. Returns whether that is new.
    pub fn set_usual(&mut self, usual: f64) -> bool {
        let new = (self.usual - usual).abs() >= SAME;
        self.usual = usual;
        new
    }

    /// Takes in how high a row is. Returns by how much it differs from what was believed, when it does.
    pub fn learn(&mut self, id: DownloadId, height: f64) -> Option<f64> {
        let difference = height - self.of(id);
        if (height - self.usual).abs() < SAME {
            self.other.remove(&id);
        } else {
            self.other.insert(id, height);
        }
        (difference.abs() >= SAME).then_some(difference)
    }

    fn of(&self, id: DownloadId) -> f64 {
        self.other.get(&id).copied().unwrap_or(self.usual)
    }

    fn sum(&self, ids: &[DownloadId]) -> f64 {
        if self.other.is_empty() {
            return ids.len() as f64 * self.usual;
        }
        ids.iter().map(|id| self.of(*id)).sum()
    }

    /// The rows to put into the document. `top` is how far the list's first row lies above the viewport's upper edge
    /// (negative when below it); lengths in CSS pixels.
    #[must_use]
    pub fn slice(&self, ids: &[DownloadId], top: f64, viewport: f64) -> Slice {
        let count = ids.len();
        // Layout may not be there yet (a hidden tab, a first paint): then a screenful from the beginning.
        let known = self.usual.is_finite() && self.usual >= 1.0;
        if !(known && top.is_finite() && viewport.is_finite()) {
            return Slice { rows: 0..count.min(MARGIN_ROWS * 2), above: 0.0, below: 0.0 };
        }
        let first = self.at(ids, top).saturating_sub(MARGIN_ROWS);
        // Rows are hardly ever lower than usual, so this many fill the viewport.
        let visible = (viewport.max(0.0) / self.usual).ceil() as usize + 1;
        let wanted = (visible + 2 * MARGIN_ROWS).min(MOST_ROWS);
        let end = (first + wanted).min(count);
        // At the very end there are as many as anywhere, so that the last rows stand on a full screen.
        let start = end.saturating_sub(wanted);
        let sum = |rows: Range<usize>| ids.get(rows).map_or(0.0, |ids| self.sum(ids));
        Slice { rows: start..end, above: sum(0..start), below: sum(end..count) }
    }

    /// Place of the row at this distance from the top of the list.
    fn at(&self, ids: &[DownloadId], distance: f64) -> usize {
        if self.other.is_empty() {
            return ((distance / self.usual).floor().max(0.0) as usize).min(ids.len());
        }
        let mut bottom = 0.0;
        let beyond = |id: &DownloadId| {
            bottom += self.of(*id);
            bottom > distance
        };
        ids.iter().position(beyond).unwrap_or(ids.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ids(count: i64) -> Vec<DownloadId> {
        (0..count).rev().collect()
    }

    fn heights(usual: f64) -> Heights {
        let mut heights = Heights::default();
        assert!(heights.set_usual(usual));
        heights
    }

    #[test]
    fn ten_thousand_rows_put_few_into_the_document() {
        let (ids, heights) = (ids(10_000), heights(80.0));
        let top = heights.slice(&ids, -200.0, 800.0);
        assert_eq!(top, Slice { rows: 0..27, above: 0.0, below: 9_973.0 * 80.0 });
        let middle = heights.slice(&ids, 400_000.0, 800.0);
        assert_eq!(middle, Slice { rows: 4_992..5_019, above: 4_992.0 * 80.0, below: 4_981.0 * 80.0 });
        let end = heights.slice(&ids, 800_000.0 - 800.0, 800.0);
        assert_eq!((end.rows, end.below), (9_973..10_000, 0.0));
        let far = heights.slice(&ids, 9e9, 800.0);
        assert_eq!(far.rows, 9_973..10_000, "a list that got shorter while it was scrolled");
        assert_eq!(heights.slice(&ids, 0.0, 1e7).rows.len(), MOST_ROWS);
        assert_eq!(heights.slice(&ids[..3], 0.0, 800.0).rows, 0..3);
    }

    #[test]
    fn what_is_in_sight_is_in_the_document() {
        let (row, viewport, ids) = (80.0, 900.0, ids(10_000));
        let heights = heights(row);
        for top in [-500.0, 0.0, 79.0, 80.0, 4_000.0, 399_900.0, 799_100.0, 9e9] {
            let rows = heights.slice(&ids, top, viewport).rows;
            let first = ((top / row).floor().max(0.0) as usize).min(ids.len() - 1);
            let last = (((top + viewport) / row).ceil().max(1.0) as usize).min(ids.len()) - 1;
            assert!(rows.contains(&first) && rows.contains(&last), "{top}: {rows:?} lacks {first} or {last}");
        }
        assert_eq!(heights.slice(&[], 0.0, viewport).rows, 0..0);
    }

    #[test]
    fn nothing_measured_shows_the_beginning() {
        let ids = ids(500);
        for (usual, top, viewport) in
            [(0.0, 0.0, 800.0), (f64::NAN, 0.0, 800.0), (80.0, f64::NAN, 800.0), (80.0, 0.0, f64::NAN)]
        {
            let slice = Heights { usual, ..Heights::default() }.slice(&ids, top, viewport);
            assert_eq!(slice.rows, 0..16, "{usual} {top} {viewport}");
        }
    }

    #[test]
    fn a_high_row_moves_what_is_below_it_and_nothing_is_lost() {
        let (ids, mut heights) = (ids(1_000), heights(80.0));
        let all = 80_000.0;
        // The tenth from the top needs twice the room.
        assert_eq!(heights.learn(ids[9], 160.0), Some(80.0));
        assert_eq!(heights.learn(ids[9], 160.2), None, "rounding is no difference");
        let whole = |slice: &Slice| slice.above + slice.below + heights.sum(&ids[slice.rows.clone()]);
        for top in [-50.0, 0.0, 799.0, 880.0, 40_000.0, all] {
            let slice = heights.slice(&ids, top, 800.0);
            assert!((whole(&slice) - all - 80.2).abs() < 1e-6, "{top}: {slice:?}");
        }
        // The row in sight at a distance is the one that stands there.
        assert_eq!(heights.at(&ids, 0.0), 0);
        assert_eq!(heights.at(&ids, 720.0), 9);
        assert_eq!(heights.at(&ids, 879.0), 9);
        assert_eq!(heights.at(&ids, 881.0), 10);
        assert_eq!(heights.slice(&ids, 20_000.0, 800.0).rows.start, 248 - MARGIN_ROWS);
    }

    #[test]
    fn a_row_that_shrinks_is_usual_again() {
        let mut heights = heights(80.0);
        assert_eq!(heights.learn(7, 80.3), None);
        assert_eq!(heights.learn(7, 120.0), Some(40.0));
        assert_eq!(heights.learn(7, 80.0), Some(-40.0));
        assert!(heights.other.is_empty());
        assert!(!heights.set_usual(80.0) && heights.set_usual(124.0));
    }
}
