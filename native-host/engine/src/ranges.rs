//! Who fetches which bytes of one file.
//!
//! Owns the bookkeeping of parallel ranges: free, claimed, on its way to the disk, landed. Never does I/O and never
//! looks at a clock; times come in as arguments. Invariant: every byte is in exactly one of the four states, so it is
//! written exactly once whatever workers claim, steal, fail or restart.

use std::time::Duration;

/// First byte and one past the last.
pub(crate) type Span = (u64, u64);

/// Stands for the end of a file whose size is not known yet.
const OPEN_END: u64 = u64::MAX;
/// Smallest rest worth taking over from somebody else.
pub(crate) const MIN_STEAL: u64 = 64 * 1024;
/// A rest that its owner finishes sooner than this is left to it.
const MIN_STEAL_TIME: f64 = 0.25;
/// An owner without a byte for this long counts as silent, and all of its rest may be taken.
const SILENCE: Duration = Duration::from_secs(2);

/// Sorted, disjoint, never adjacent.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Spans(Vec<Span>);

impl Spans {
    /// Spans from outside: empty ones dropped, overlaps joined, everything beyond `end` cut off.
    pub(crate) fn from_untrusted(spans: &[Span], end: u64) -> Self {
        let mut out = Self::default();
        for &(from, to) in spans {
            out.add((from, to.min(end)));
        }
        out
    }

    /// Joins a span with what it touches or overlaps.
    pub(crate) fn add(&mut self, (mut start, mut end): Span) {
        if start >= end {
            return;
        }
        let from = self.0.partition_point(|&(_, e)| e < start);
        let to = self.0.partition_point(|&(s, _)| s <= end);
        if from < to {
            start = start.min(self.0[from].0);
            end = end.max(self.0[to - 1].1);
        }
        self.0.splice(from..to, [(start, end)]);
    }

    /// Takes a span out, wherever it overlaps.
    pub(crate) fn remove(&mut self, (start, end): Span) {
        if start >= end {
            return;
        }
        let from = self.0.partition_point(|&(_, e)| e <= start);
        let to = self.0.partition_point(|&(s, _)| s < end);
        if from >= to {
            return;
        }
        let mut rest = Vec::with_capacity(2);
        if self.0[from].0 < start {
            rest.push((self.0[from].0, start));
        }
        if self.0[to - 1].1 > end {
            rest.push((end, self.0[to - 1].1));
        }
        self.0.splice(from..to, rest);
    }

    pub(crate) fn as_slice(&self) -> &[Span] {
        &self.0
    }

    pub(crate) fn len(&self) -> u64 {
        self.0.iter().map(|(start, end)| end - start).sum()
    }

    /// End of the span that begins at 0.
    pub(crate) fn prefix(&self) -> u64 {
        self.0.first().filter(|(start, _)| *start == 0).map_or(0, |(_, end)| *end)
    }
}

#[derive(Debug, Clone)]
struct Claim {
    worker: u32,
    /// Next byte its worker will hand over.
    pos: u64,
    end: u64,
    /// Bytes per second, smoothed; 0 while unknown.
    rate: f64,
    /// When it last handed something over, or claimed.
    last: Duration,
    /// The answer goes on past `end`, so adjacent free bytes can be had without asking again.
    open: bool,
}

/// The map of one file.
#[derive(Debug, Clone)]
pub(crate) struct RangeMap {
    total: Option<u64>,
    free: Spans,
    claims: Vec<Claim>,
    in_flight: Spans,
    done: Spans,
}

impl RangeMap {
    /// A file of which `done` is already on disk.
    pub(crate) fn new(total: Option<u64>, done: &[Span]) -> Self {
        let end = total.unwrap_or(OPEN_END);
        let done = Spans::from_untrusted(done, end);
        let mut free = Spans::default();
        free.add((0, end));
        for &span in done.as_slice() {
            free.remove(span);
        }
        Self { total, free, claims: Vec::new(), in_flight: Spans::default(), done }
    }

    /// Gives the head of the first free span to a worker, at most `want` bytes. A worker holds one claim at a time.
    pub(crate) fn claim(&mut self, worker: u32, want: u64, now: Duration) -> Option<Span> {
        if self.free.as_slice().is_empty() {
            self.cut_open(worker, want);
        }
        let &(start, end) = self.free.as_slice().first()?;
        let span = (start, start.saturating_add(want.max(1)).min(end));
        self.take(worker, span, now, false);
        Some(span)
    }

    /// Gives everything from the first free byte on to the worker that holds an answer without an end.
    pub(crate) fn claim_open(&mut self, worker: u32, now: Duration) -> Option<Span> {
        let &span = self.free.as_slice().first()?;
        self.take(worker, span, now, true);
        Some(span)
    }

    /// Lets an open claim that reached its end go on where the next bytes are free. False when they are not.
    pub(crate) fn extend(&mut self, worker: u32, want: u64) -> bool {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.worker == worker && claim.open) else {
            return false;
        };
        let Some(&(start, end)) = self.free.as_slice().iter().find(|(start, _)| *start == claim.end) else {
            return false;
        };
        let end = start.saturating_add(want.max(1)).min(end);
        claim.end = end;
        self.free.remove((start, end));
        true
    }

    fn take(&mut self, worker: u32, span: Span, now: Duration, open: bool) {
        self.release(worker);
        self.free.remove(span);
        self.claims.push(Claim { worker, pos: span.0, end: span.1, rate: 0.0, last: now, open });
    }

    /// An answer without an end holds everything; leaves it its next `want` bytes and frees the rest.
    fn cut_open(&mut self, thief: u32, want: u64) {
        let open = self.claims.iter_mut().filter(|claim| claim.open && claim.worker != thief);
        let Some(claim) = open.max_by_key(|claim| claim.end - claim.pos) else { return };
        let keep = claim.pos.saturating_add(want.max(MIN_STEAL));
        if claim.end.saturating_sub(keep) < MIN_STEAL || claim.end == OPEN_END {
            return;
        }
        let freed = (keep, claim.end);
        claim.end = keep;
        self.free.add(freed);
    }

    /// Takes over a part of the claim that would be finished last: so much that owner and thief end together, or
    /// everything from a silent owner. `rate` is the thief's own speed so far, 0 when unknown. None when no rest is
    /// worth another request.
    pub(crate) fn steal(&mut self, thief: u32, rate: f64, now: Duration) -> Option<Span> {
        let known: Vec<f64> = self.claims.iter().map(|claim| claim.rate).filter(|rate| *rate > 0.0).collect();
        let mean = if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 };
        let thief_rate = if rate > 0.0 { rate } else { mean };
        let left = |claim: &Claim| claim.end.saturating_sub(claim.pos);
        let time = |claim: &Claim| {
            let silent = now.saturating_sub(claim.last) > SILENCE;
            let rate = if silent { 0.0 } else { claim.rate };
            if rate > 0.0 { left(claim) as f64 / rate } else { f64::INFINITY }
        };
        let victim = self
            .claims
            .iter_mut()
            .filter(|claim| claim.worker != thief && claim.end != OPEN_END && left(claim) >= MIN_STEAL)
            // A claim that has just begun has no rate yet; judging it would only swap owners in circles.
            .filter(|claim| claim.rate > 0.0 || now.saturating_sub(claim.last) > SILENCE)
            .filter(|claim| time(claim) > MIN_STEAL_TIME)
            .max_by(|a, b| time(a).total_cmp(&time(b)).then(left(a).cmp(&left(b))))?;
        let rest = left(victim);
        let part = if time(victim).is_infinite() {
            rest
        } else if thief_rate > 0.0 {
            ((rest as f64 * thief_rate / (thief_rate + victim.rate)) as u64).clamp(MIN_STEAL / 2, rest)
        } else {
            rest / 2
        };
        let span = (victim.end - part, victim.end);
        victim.end = span.0;
        self.take(thief, span, now, false);
        Some(span)
    }

    /// A worker received `len` bytes at its position. Returns where they go and how many of them are still its own;
    /// those are on their way to the disk from now on.
    pub(crate) fn reserve(&mut self, worker: u32, len: u64, now: Duration) -> Option<Span> {
        let claim = self.claims.iter_mut().find(|claim| claim.worker == worker)?;
        let end = claim.pos.saturating_add(len).min(claim.end);
        let span = (claim.pos, end);
        let elapsed = now.saturating_sub(claim.last).as_secs_f64();
        if elapsed > 0.0 {
            let sample = (end - claim.pos) as f64 / elapsed;
            claim.rate = if claim.rate > 0.0 { claim.rate * 0.7 + sample * 0.3 } else { sample };
        }
        claim.pos = end;
        claim.last = now;
        self.in_flight.add(span);
        Some(span)
    }

    /// Reserved bytes are on the disk.
    pub(crate) fn landed(&mut self, span: Span) {
        self.in_flight.remove(span);
        self.done.add(span);
    }

    /// The worker is gone; what it had not handed over is free again.
    pub(crate) fn release(&mut self, worker: u32) {
        if let Some(at) = self.claims.iter().position(|claim| claim.worker == worker) {
            let claim = self.claims.swap_remove(at);
            self.free.add((claim.pos, claim.end));
        }
    }

    /// Bytes a worker still has to hand over.
    pub(crate) fn left(&self, worker: u32) -> u64 {
        self.claims.iter().find(|claim| claim.worker == worker).map_or(0, |claim| claim.end - claim.pos)
    }

    /// A worker's speed, 0 while unknown.
    pub(crate) fn rate(&self, worker: u32) -> f64 {
        self.claims.iter().find(|claim| claim.worker == worker).map_or(0.0, |claim| claim.rate)
    }

    /// Bytes nobody has claimed, those behind an open answer included.
    pub(crate) fn unclaimed(&self) -> u64 {
        let open = self.claims.iter().filter(|claim| claim.open && claim.end != OPEN_END);
        self.free.len() + open.map(|claim| claim.end - claim.pos).sum::<u64>()
    }

    /// The size turned out to be `total`: the answer ended there.
    pub(crate) fn close_at(&mut self, total: u64) {
        self.total = Some(total);
        self.free.remove((total, OPEN_END));
        for claim in &mut self.claims {
            claim.end = claim.end.min(total).max(claim.pos);
        }
    }

    pub(crate) fn total(&self) -> Option<u64> {
        self.total
    }

    pub(crate) fn done(&self) -> &Spans {
        &self.done
    }

    /// What each worker still has to hand over, in order of the file; nothing of an answer whose end is not known.
    pub(crate) fn active(&self) -> Vec<Span> {
        let claims = self.claims.iter().filter(|claim| claim.pos < claim.end && claim.end != OPEN_END);
        let mut spans: Vec<Span> = claims.map(|claim| (claim.pos, claim.end)).collect();
        spans.sort_unstable();
        spans
    }

    /// First byte that is neither on disk nor on its way.
    pub(crate) fn first_hole(&self) -> Option<u64> {
        let free = self.free.as_slice().first().map(|span| span.0);
        let claimed = self.claims.iter().filter(|claim| claim.pos < claim.end).map(|claim| claim.pos).min();
        free.into_iter().chain(claimed).min()
    }

    /// Every byte is handed over, though the last may still be on their way to the disk.
    pub(crate) fn is_handed_over(&self) -> bool {
        self.total.is_some()
            && self.free.as_slice().is_empty()
            && self.claims.iter().all(|claim| claim.pos >= claim.end)
    }

    /// Every byte is on the disk.
    pub(crate) fn is_complete(&self) -> bool {
        self.total.is_some_and(|total| self.done.len() == total)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const S: fn(u64) -> Duration = Duration::from_secs;

    #[test]
    fn spans_join_and_split() {
        let mut spans = Spans::default();
        for span in [(10, 20), (30, 40), (20, 30), (5, 5), (50, 60)] {
            spans.add(span);
        }
        assert_eq!(spans.as_slice(), [(10, 40), (50, 60)]);
        spans.remove((15, 55));
        assert_eq!(spans.as_slice(), [(10, 15), (55, 60)]);
        assert_eq!((spans.len(), spans.prefix()), (10, 0));
        let hostile = Spans::from_untrusted(&[(9, 3), (0, 100), (50, u64::MAX)], 80);
        assert_eq!(hostile.as_slice(), [(0, 80)]);
    }

    #[test]
    fn an_open_answer_shares_with_the_others_and_goes_on_where_it_may() {
        let mib = 1 << 20;
        let mut map = RangeMap::new(Some(10 * mib), &[]);
        assert_eq!(map.claim_open(0, S(0)), Some((0, 10 * mib)));
        assert_eq!(map.claim(1, mib, S(0)), Some((mib, 2 * mib)));
        assert_eq!(map.left(0), mib);
        map.reserve(0, mib, S(1));
        assert!(!map.extend(0, mib));
        map.release(1);
        assert!(map.extend(0, mib));
        assert_eq!(map.left(0), mib);
    }

    #[test]
    fn a_silent_owner_loses_everything_and_a_slow_one_its_share() {
        let mib = 1 << 20;
        let mut map = RangeMap::new(Some(8 * mib), &[]);
        map.claim(1, 4 * mib, S(0));
        map.claim(2, 4 * mib, S(0));
        map.reserve(1, mib / 2, S(1));
        map.reserve(2, 4 * mib, S(1));
        // Eight times as fast, so it takes eight ninths.
        let stolen = map.steal(2, 4.0 * mib as f64, S(1)).unwrap();
        assert_eq!(stolen.1, 4 * mib);
        assert!((stolen.1 - stolen.0).abs_diff((4 * mib - mib / 2) * 8 / 9) < 4096, "{stolen:?}");
        map.release(2);
        assert_eq!(map.claim(2, u64::MAX, S(1)), Some(stolen));
        map.reserve(2, stolen.1 - stolen.0, S(2));
        let rest = map.left(1);
        assert_eq!(map.steal(2, 1.0, S(9)).map(|(start, end)| end - start), Some(rest));
        assert_eq!(map.left(1), 0);
    }

    #[test]
    fn the_size_may_become_known_at_the_end() {
        let mut map = RangeMap::new(None, &[]);
        map.claim_open(0, S(0));
        assert_eq!(map.claim(1, 10, S(0)), None);
        let span = map.reserve(0, 1000, S(1)).unwrap();
        assert!(!map.is_handed_over());
        map.close_at(1000);
        assert!(map.is_handed_over() && !map.is_complete());
        map.landed(span);
        assert!(map.is_complete());
    }

    #[derive(Debug, Clone)]
    enum Step {
        Claim { worker: u32, want: u64 },
        Steal { worker: u32, rate: u32 },
        Receive { worker: u32, len: u64 },
        Land { nth: usize },
        Fail { worker: u32 },
        Extend { worker: u32 },
        Restart,
    }

    fn step() -> impl Strategy<Value = Step> {
        let worker = 0_u32..5;
        prop_oneof![
            3 => (worker.clone(), 1_u64..400_000).prop_map(|(worker, want)| Step::Claim { worker, want }),
            2 => (worker.clone(), 0_u32..1_000_000).prop_map(|(worker, rate)| Step::Steal { worker, rate }),
            6 => (worker.clone(), 0_u64..300_000).prop_map(|(worker, len)| Step::Receive { worker, len }),
            4 => (0_usize..8).prop_map(|nth| Step::Land { nth }),
            2 => worker.clone().prop_map(|worker| Step::Fail { worker }),
            1 => worker.prop_map(|worker| Step::Extend { worker }),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Any interleaving of claim, progress, steal, fail and restart hands every byte over exactly once between
        /// restarts, loses none, and whoever works on to the end completes the file.
        #[test]
        fn every_byte_exactly_once(total in 0_u64..2_000_000, steps in prop::collection::vec(step(), 0..120)) {
            let mut map = RangeMap::new(Some(total), &[]);
            map.claim_open(0, Duration::ZERO);
            let mut handed = Spans::default();
            let mut in_flight: Vec<Span> = Vec::new();
            let mut now = Duration::ZERO;
            for step in steps {
                now += Duration::from_millis(137);
                match step {
                    Step::Claim { worker, want } => { map.claim(worker, want, now); }
                    Step::Steal { worker, rate } => { map.steal(worker, f64::from(rate), now); }
                    Step::Receive { worker, len } => if let Some(span) = map.reserve(worker, len, now) {
                        let before = handed.len();
                        handed.add(span);
                        prop_assert_eq!(handed.len() - before, span.1 - span.0, "handed over twice");
                        in_flight.push(span);
                    },
                    Step::Land { nth } => if nth < in_flight.len() { map.landed(in_flight.swap_remove(nth)); },
                    Step::Fail { worker } => map.release(worker),
                    Step::Extend { worker } => { map.extend(worker, 100_000); }
                    Step::Restart => {
                        // What a crash leaves is what had landed.
                        map = RangeMap::new(Some(total), map.done().clone().as_slice());
                        handed = map.done().clone();
                        in_flight.clear();
                    }
                }
                let claimed: u64 = map.claims.iter().map(|claim| claim.end - claim.pos).sum();
                prop_assert_eq!(map.free.len() + claimed + map.in_flight.len() + map.done.len(), total);
            }
            for worker in 0..5 { map.release(worker); }
            while let Some(span) = map.claim(9, 300_000, now) {
                prop_assert_eq!(map.reserve(9, span.1 - span.0, now), Some(span));
                handed.add(span);
                in_flight.push(span);
            }
            prop_assert!(map.is_handed_over());
            for span in in_flight { map.landed(span); }
            prop_assert!(map.is_complete());
            prop_assert_eq!(handed.len(), total);
        }
    }
}
