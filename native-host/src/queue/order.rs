//! The order of the queue: higher priority first, then the lower position. Pure.
//!
//! Invariant: a move changes the order of the moved row and of no other; afterwards the row stands where it was put,
//! whatever the priorities of its neighbours.

use std::cmp::Reverse;

use weir_protocol::{DownloadId, MoveTo};

/// Between the positions of rows that were added one after the other, so that there is room for what is moved between.
pub(super) const GAP: i64 = 1 << 16;

/// What a row's place is made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) id: DownloadId,
    pub(super) priority: i32,
    pub(super) position: i64,
    /// It is queued: what `first`, `last`, `up` and `down` count.
    pub(super) waits: bool,
}

impl Place {
    /// Sorts into the order of the queue.
    pub(super) const fn key(&self) -> (Reverse<i32>, i64, DownloadId) {
        (Reverse(self.priority), self.position, self.id)
    }
}

/// Where a row is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Target {
    To(MoveTo),
    /// Right before this row.
    Before(DownloadId),
}

/// The places that change when `id` goes to `target`; none when `id` or the target is not among the rows.
pub(super) fn moved(mut rows: Vec<Place>, id: DownloadId, target: Target) -> Option<Vec<Place>> {
    rows.sort_by_key(Place::key);
    let from = rows.iter().position(|row| row.id == id)?;
    let row = rows.remove(from);
    let waiting = |range: std::ops::Range<usize>| range.filter(|n| rows.get(*n).is_some_and(|row| row.waits));
    let to = match target {
        Target::Before(other) if other == id => from,
        Target::Before(other) => rows.iter().position(|row| row.id == other)?,
        // Rows that do not wait are passed over: nobody sees them standing between.
        Target::To(MoveTo::First) => waiting(0..from).next().unwrap_or(from),
        Target::To(MoveTo::Up) => waiting(0..from).next_back().unwrap_or(from),
        Target::To(MoveTo::Down) => waiting(from..rows.len()).next().map_or(from, |n| n + 1),
        Target::To(MoveTo::Last) => waiting(from..rows.len()).next_back().map_or(from, |n| n + 1),
    };
    if to == from {
        return Some(Vec::new());
    }
    Some(put(&rows, row, to))
}

/// Puts `row` between `rows[to - 1]` and `rows[to]`.
fn put(rows: &[Place], mut row: Place, to: usize) -> Vec<Place> {
    let before = to.checked_sub(1).and_then(|n| rows.get(n));
    let after = rows.get(to);
    if let Some(before) = before {
        row.priority = row.priority.min(before.priority);
    }
    if let Some(after) = after {
        row.priority = row.priority.max(after.priority);
    }
    let beside = |other: Option<&Place>| other.copied().filter(|other| other.priority == row.priority);
    let position = match (beside(before), beside(after)) {
        (None, None) => Some(row.position),
        (Some(before), None) => before.position.checked_add(GAP),
        (None, Some(after)) => after.position.checked_sub(GAP),
        (Some(before), Some(after)) => after
            .position
            .checked_sub(before.position)
            .filter(|room| *room >= 2)
            .map(|room| before.position + room / 2),
    };
    if let Some(position) = position {
        row.position = position;
        return vec![row];
    }
    // No room left: all of this priority are spread out again.
    let (head, tail) = rows.split_at(to);
    let all = head.iter().chain(std::iter::once(&row)).chain(tail);
    all.filter(|other| other.priority == row.priority)
        .zip(1..)
        .map(|(other, n)| Place { position: n * GAP, ..*other })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(id: DownloadId, priority: i32, position: i64) -> Place {
        Place { id, priority, position, waits: true }
    }

    /// The order after a move.
    fn order(rows: &[Place], id: DownloadId, target: Target) -> Vec<DownloadId> {
        let mut rows = rows.to_vec();
        for changed in moved(rows.clone(), id, target).unwrap() {
            *rows.iter_mut().find(|row| row.id == changed.id).unwrap() = changed;
        }
        rows.sort_by_key(Place::key);
        rows.iter().map(|row| row.id).collect()
    }

    /// Every shape of four rows: positions with room, without room, and equal; all combinations of three priorities.
    fn shapes() -> impl Iterator<Item = Vec<Place>> {
        (0..81).flat_map(|mix| {
            [GAP, 1, 0].map(|step| {
                (0..4)
                    .map(|n| {
                        let priority = mix / 3_i32.pow(u32::try_from(n).unwrap()) % 3 - 1;
                        place(n, priority, n * step)
                    })
                    .collect()
            })
        })
    }

    #[test]
    fn a_row_ends_where_it_was_put_and_the_others_keep_their_order() {
        let mut tried = 0;
        for rows in shapes() {
            let mut before: Vec<Place> = rows.clone();
            before.sort_by_key(Place::key);
            let before: Vec<DownloadId> = before.iter().map(|row| row.id).collect();
            for id in 0..4 {
                let from = before.iter().position(|other| *other == id).unwrap();
                let expected = |to: usize| {
                    let mut ids = before.clone();
                    ids.remove(from);
                    ids.insert(to, id);
                    ids
                };
                for (to, index) in [
                    (MoveTo::First, 0),
                    (MoveTo::Last, 3),
                    (MoveTo::Up, from.saturating_sub(1)),
                    (MoveTo::Down, (from + 1).min(3)),
                ] {
                    assert_eq!(order(&rows, id, Target::To(to)), expected(index), "{rows:?} {id} {to:?}");
                    tried += 1;
                }
                for other in 0..4 {
                    let at = before.iter().position(|found| *found == other).unwrap();
                    let index = if at > from { at - 1 } else { at };
                    let after = order(&rows, id, Target::Before(other));
                    assert_eq!(after, expected(index), "{rows:?} {id} before {other}");
                }
            }
        }
        assert_eq!(tried, 81 * 3 * 4 * 4);
    }

    #[test]
    fn most_moves_change_one_row() {
        let rows: Vec<Place> = (0..100).map(|n| place(n, 0, n * GAP)).collect();
        assert_eq!(moved(rows.clone(), 50, Target::To(MoveTo::Up)).unwrap().len(), 1);
        assert_eq!(moved(rows.clone(), 50, Target::Before(3)).unwrap().len(), 1);
        assert_eq!(moved(rows.clone(), 0, Target::To(MoveTo::First)).unwrap(), []);
        assert_eq!(moved(rows.clone(), 7, Target::Before(7)).unwrap(), []);
        assert_eq!(moved(rows.clone(), 7, Target::Before(1000)), None);
        assert_eq!(moved(rows, 1000, Target::To(MoveTo::Up)), None);
    }

    #[test]
    fn rows_that_do_not_wait_are_passed_over() {
        let mut rows: Vec<Place> = (0..5).map(|n| place(n, 0, n * GAP)).collect();
        for row in &mut rows[1..4] {
            row.waits = false;
        }
        assert_eq!(order(&rows, 4, Target::To(MoveTo::Up)), [4, 0, 1, 2, 3]);
        assert_eq!(order(&rows, 0, Target::To(MoveTo::Down)), [1, 2, 3, 4, 0]);
        assert_eq!(
            order(&rows, 2, Target::To(MoveTo::First)),
            [2, 0, 1, 3, 4],
            "a paused one may be moved too"
        );
    }

    #[test]
    fn positions_at_the_edge_of_numbers_are_spread_out_again() {
        let rows = [place(1, 0, i64::MIN), place(2, 0, 0), place(3, 0, i64::MAX)];
        assert_eq!(order(&rows, 3, Target::To(MoveTo::First)), [3, 1, 2]);
        assert_eq!(order(&rows, 1, Target::To(MoveTo::Last)), [2, 3, 1]);
        assert_eq!(order(&rows, 2, Target::Before(1)), [2, 1, 3]);
    }
}
