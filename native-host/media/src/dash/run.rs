//! Runs of equal segments: a million of them cost as little as one until they are wanted.
//!
//! Never looks at addresses. Invariant: cutting a run changes neither the times nor the numbers of what is left.

/// Segments of equal length, one after the other. Times are units of the scheme.
#[derive(Debug, Clone, Copy)]
pub(super) struct Run {
    pub(super) time: i128,
    pub(super) duration: u64,
    pub(super) count: u64,
    /// Of the last of them, when it is another.
    pub(super) last_duration: u64,
    pub(super) number: u64,
    /// Place of the first among all that are listed.
    pub(super) index: u64,
    pub(super) parts: u64,
    /// Only the length of the period says that there is a last one.
    pub(super) doubtful: bool,
}

/// One segment that may be of any length.
pub(super) const EMPTY: Run =
    Run { time: 0, duration: 0, count: 1, last_duration: 0, number: 1, index: 0, parts: 1, doubtful: false };

impl Run {
    pub(super) fn last_start(&self) -> i128 {
        self.time + i128::from(self.duration) * i128::from(self.count.saturating_sub(1))
    }

    pub(super) fn end(&self) -> i128 {
        self.last_start() + i128::from(self.last_duration)
    }

    /// Leaves out the first `skip` segments.
    pub(super) fn without_first(self, skip: u64) -> Self {
        Self {
            time: self.time + i128::from(self.duration) * i128::from(skip),
            count: self.count.saturating_sub(skip),
            number: self.number.saturating_add(skip),
            index: self.index.saturating_add(skip),
            ..self
        }
    }

    /// Keeps the first `count` segments.
    pub(super) fn first(self, count: u64) -> Self {
        if count < self.count {
            Self { count, last_duration: self.duration, doubtful: false, ..self }
        } else {
            self
        }
    }

    /// Without what ends at or before `from`, and what begins at or after `to`.
    pub(super) fn between(self, from: Option<i128>, to: Option<i128>) -> Option<Self> {
        let length = i128::from(self.duration);
        if self.count == 0 || from.is_some_and(|from| self.end() <= from && self.last_start() < from) {
            return None;
        }
        let mut kept = self;
        if let Some(to) = to {
            if self.time >= to {
                return None;
            }
            if length > 0 {
                kept = kept.first(to_u64((to - self.time + length - 1) / length));
            }
        }
        if let Some(from) = from.filter(|from| *from > kept.time && length > 0) {
            // The last one may be longer or shorter than the others, and was looked at above.
            let skip = to_u64((from - kept.time) / length).min(kept.count - 1);
            kept = kept.without_first(skip);
            if kept.end() <= from {
                return None;
            }
        }
        Some(kept)
    }
}

/// None below zero, and as many as there can be above all numbers.
pub(super) fn to_u64(number: i128) -> u64 {
    u64::try_from(number.max(0)).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Start, end and number of each segment.
    fn all(run: &Run) -> Vec<(i128, i128, u64)> {
        (0..run.count)
            .map(|nth| {
                let start = run.time + i128::from(run.duration) * i128::from(nth);
                let length = if nth + 1 == run.count { run.last_duration } else { run.duration };
                (start, start + i128::from(length), run.number + nth)
            })
            .collect()
    }

    proptest! {
        #[test]
        fn cutting_keeps_what_lies_between(
            time in 0_i128..50, duration in 1_u64..9, count in 1_u64..20, last_duration in 1_u64..9,
            from in prop::option::of(0_i128..200), to in prop::option::of(0_i128..200),
        ) {
            prop_assume!(from.zip(to).is_none_or(|(from, to)| from < to));
            let run = Run { time, duration, count, last_duration, number: 7, ..EMPTY };
            let expected: Vec<_> = all(&run)
                .into_iter()
                .filter(|(start, end, _)| from.is_none_or(|from| *end > from) && to.is_none_or(|to| *start < to))
                .collect();
            let kept = run.between(from, to).map(|run| all(&run)).unwrap_or_default();
            prop_assert_eq!(kept, expected);
        }
    }
}
