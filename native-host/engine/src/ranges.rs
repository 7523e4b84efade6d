//! Who fetches which bytes of one file.
//!
//! Owns the bookkeeping of parallel ranges: free, claimed, on its way to the disk, landed. Never does I/O and never
//! looks at a clock; times come in as arguments. Invariant: every byte is in exactly one of the four states, so it is
//! written exactly once whatever workers claim, steal, ask for twice, fail or restart.

use std::collections::HashMap;
use std::time::Duration;

/// First byte and one past the last.
pub(crate) type Span = (u64, u64);

/// Stands for the end of a file whose size is not known yet.
const OPEN_END: u64 = u64::MAX;
/// Smallest part worth another request.
const MIN_PART: u64 = 16 * 1024;
/// What an answer without an end keeps at least when others share it.
const MIN_KEPT: u64 = 64 * 1024;
/// A rest that its owner finishes sooner than this is left to it, however fast others could begin.
const MIN_STEAL_TIME: f64 = 0.015;
/// An owner without a byte for this long counts as silent, and all of its rest may be taken.
const SILENCE: Duration = Duration::from_secs(2);
/// How much sooner a second request must be expected to bring a rest before it is asked for twice.
const HEDGE_GAIN: f64 = 1.5;

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
    /// Asked for the same bytes as well; whoever brings a byte first hands it over.
    second: Option<u32>,
    /// Next byte that is to be handed over.
    pos: u64,
    end: u64,
    /// Bytes from `pos` on that its worker has received and not yet handed over.
    held: u64,
    /// Bytes per second of its worker, smoothed; 0 while unknown.
    rate: f64,
    /// When its worker last handed something over, or claimed.
    last: Duration,
    /// The answer goes on past `end`, so adjacent free bytes can be had without asking again.
    open: bool,
}

impl Claim {
    fn is_of(&self, worker: u32) -> bool {
        self.worker == worker || self.second == Some(worker)
    }

    /// Bytes that have not even been received.
    fn rest(&self) -> u64 {
        self.end.saturating_sub(self.pos + self.held)
    }

    /// Seconds until its worker is expected to have received everything.
    fn time_left(&self, now: Duration) -> f64 {
        let silent = now.saturating_sub(self.last) > SILENCE;
        if silent || self.rate <= 0.0 { f64::INFINITY } else { self.rest() as f64 / self.rate }
    }

    /// One that has just begun has no rate yet; judging it would only swap owners in circles.
    fn can_be_judged(&self, now: Duration) -> bool {
        self.end != OPEN_END && (self.rate > 0.0 || now.saturating_sub(self.last) > SILENCE)
    }
}

/// How fast a worker that looks for something to do is expected to be.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Able {
    /// Bytes per second, 0 when unknown.
    pub(crate) rate: f64,
    /// Seconds until the first byte of an answer.
    pub(crate) delay: f64,
}

/// The map of one file.
#[derive(Debug, Clone)]
pub(crate) struct RangeMap {
    total: Option<u64>,
    free: Spans,
    claims: Vec<Claim>,
    in_flight: Spans,
    done: Spans,
    /// How fast each worker was last.
    rates: HashMap<u32, f64>,
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
        Self { total, free, claims: Vec::new(), in_flight: Spans::default(), done, rates: HashMap::new() }
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
        // A worker is as fast as it was.
        let rate = self.rates.get(&worker).copied().unwrap_or_default();
        let (pos, end) = span;
        self.claims.push(Claim { worker, second: None, pos, end, held: 0, rate, last: now, open });
    }

    /// An answer without an end holds everything; leaves it its next `want` bytes and frees the rest.
    fn cut_open(&mut self, thief: u32, want: u64) {
        let open = self.claims.iter_mut().filter(|claim| claim.open && !claim.is_of(thief));
        let Some(claim) = open.max_by_key(|claim| claim.end - claim.pos) else { return };
        let keep = (claim.pos + claim.held).saturating_add(want.max(MIN_KEPT));
        if claim.end.saturating_sub(keep) < MIN_KEPT || claim.end == OPEN_END {
            return;
        }
        let freed = (keep, claim.end);
        claim.end = keep;
        self.free.add(freed);
    }

    fn mean_rate(&self) -> f64 {
        let known: Vec<f64> = self.claims.iter().map(|claim| claim.rate).filter(|rate| *rate > 0.0).collect();
        if known.is_empty() { 0.0 } else { known.iter().sum::<f64>() / known.len() as f64 }
    }

    /// Takes over a part of the claim that would be finished last: so much that owner and thief end together, the
    /// thief's delay counted in, or everything from a silent owner. None when no rest is worth another request.
    pub(crate) fn steal(&mut self, thief: u32, able: Able, now: Duration) -> Option<Span> {
        let thief_rate = if able.rate > 0.0 { able.rate } else { self.mean_rate() };
        let victim = self
            .claims
            .iter_mut()
            .filter(|claim| !claim.is_of(thief) && claim.can_be_judged(now) && claim.rest() >= 2 * MIN_PART)
            .filter(|claim| claim.time_left(now) > MIN_STEAL_TIME + able.delay)
            .max_by(|a, b| a.time_left(now).total_cmp(&b.time_left(now)).then(a.rest().cmp(&b.rest())))?;
        let rest = victim.rest();
        let time = victim.time_left(now);
        let part = if time.is_infinite() {
            rest
        } else if thief_rate > 0.0 {
            let shared = (time - able.delay) * thief_rate * victim.rate / (thief_rate + victim.rate);
            (shared as u64).min(rest)
        } else {
            rest / 2
        };
        if part < MIN_PART {
            return None;
        }
        let span = (victim.end - part, victim.end);
        victim.end = span.0;
        self.take(thief, span, now, false);
        Some(span)
    }

    /// Asks a second time for the rest that would come last, when that is expected to be much sooner: for rests too
    /// small to share, and owners that may never finish. A claim has at most one second worker.
    pub(crate) fn hedge(&mut self, worker: u32, able: Able, now: Duration) -> Option<Span> {
        let rate = if able.rate > 0.0 { able.rate } else { self.mean_rate() };
        let sooner = |claim: &Claim| {
            let again = able.delay + if rate > 0.0 { (claim.end - claim.pos) as f64 / rate } else { 0.0 };
            claim.time_left(now) > HEDGE_GAIN * again + MIN_STEAL_TIME
        };
        let claim = self
            .claims
            .iter_mut()
            .filter(|claim| !claim.is_of(worker) && claim.second.is_none() && claim.rest() > 0)
            .filter(|claim| claim.can_be_judged(now) && sooner(claim))
            .max_by(|a, b| a.time_left(now).total_cmp(&b.time_left(now)))?;
        let span = (claim.pos, claim.end);
        self.release(worker);
        // Releasing moves claims about, so it is looked up again.
        let claim = self.claims.iter_mut().find(|claim| (claim.pos, claim.end) == span)?;
        claim.second = Some(worker);
        Some(span)
    }

    /// A worker has `len` bytes from `at` on in its hands. Returns how many bytes from `at` on are still wanted of it.
    pub(crate) fn hold(&mut self, worker: u32, at: u64, len: u64) -> u64 {
        let Some(claim) = self.claims.iter_mut().find(|claim| claim.is_of(worker)) else { return 0 };
        if claim.worker == worker {
            claim.held = at.saturating_add(len).min(claim.end).saturating_sub(claim.pos);
        }
        claim.end.saturating_sub(at)
    }

    /// A worker has received `len` bytes from `at` on. Returns which of them nobody has handed over before and are not
    /// somebody else's by now; those are on their way to the disk from now on. None when it has no claim to them.
    pub(crate) fn reserve(&mut self, worker: u32, at: u64, len: u64, now: Duration) -> Option<Span> {
        let claim = self.claims.iter_mut().find(|claim| claim.is_of(worker))?;
        let end = at.saturating_add(len).min(claim.end);
        let span = (claim.pos, end);
        // Bytes before the first wanted one must be there, or there would be a hole.
        if at > claim.pos || span.0 >= span.1 {
            return None;
        }
        if claim.worker == worker {
            let elapsed = now.saturating_sub(claim.last).as_secs_f64();
            if elapsed > 0.0 {
                let sample = (end - claim.pos) as f64 / elapsed;
                claim.rate = if claim.rate > 0.0 { claim.rate * 0.7 + sample * 0.3 } else { sample };
                self.rates.insert(worker, claim.rate);
            }
            claim.last = now;
        }
        claim.pos = end;
        claim.held = 0;
        self.in_flight.add(span);
        Some(span)
    }

    /// Reserved bytes are on the disk.
    pub(crate) fn landed(&mut self, span: Span) {
        self.in_flight.remove(span);
        self.done.add(span);
    }

    /// The worker is gone; what it had not handed over is its second worker's, or free again.
    pub(crate) fn release(&mut self, worker: u32) {
        let Some(at) = self.claims.iter().position(|claim| claim.is_of(worker)) else { return };
        let claim = &mut self.claims[at];
        if claim.second == Some(worker) {
            claim.second = None;
        } else if let Some(second) = claim.second.take() {
            claim.worker = second;
            claim.rate = self.rates.get(&second).copied().unwrap_or_default();
            claim.held = 0;
            // What its answer brings ends where it was asked to end.
            claim.open = false;
        } else {
            let claim = self.claims.swap_remove(at);
            self.free.add((claim.pos, claim.end));
        }
    }

    /// Bytes a worker still has to hand over.
    pub(crate) fn left(&self, worker: u32) -> u64 {
        self.claims.iter().find(|claim| claim.is_of(worker)).map_or(0, |claim| claim.end - claim.pos)
    }

    /// A worker's speed, 0 while unknown.
    pub(crate) fn rate(&self, worker: u32) -> f64 {
        self.rates.get(&worker).copied().unwrap_or_default()
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

    const MIB: u64 = 1 << 20;

    fn able(rate: f64) -> Able {
        Able { rate, delay: 0.0 }
    }

    #[test]
    fn an_open_answer_shares_with_the_others_and_goes_on_where_it_may() {
        let mut map = RangeMap::new(Some(10 * MIB), &[]);
        assert_eq!(map.claim_open(0, S(0)), Some((0, 10 * MIB)));
        assert_eq!(map.claim(1, MIB, S(0)), Some((MIB, 2 * MIB)));
        assert_eq!(map.hold(0, 0, 0), MIB);
        map.reserve(0, 0, MIB, S(1));
        assert!(!map.extend(0, MIB));
        map.release(1);
        assert!(map.extend(0, MIB));
        assert_eq!(map.hold(0, MIB, 0), MIB);
    }

    #[test]
    fn a_silent_owner_loses_everything_and_a_slow_one_its_share() {
        let mut map = RangeMap::new(Some(8 * MIB), &[]);
        map.claim(1, 4 * MIB, S(0));
        map.claim(2, 4 * MIB, S(0));
        map.reserve(1, 0, MIB / 2, S(1));
        map.reserve(2, 4 * MIB, 4 * MIB, S(1));
        // Eight times as fast, so it takes eight ninths.
        let stolen = map.steal(2, able(4.0 * MIB as f64), S(1)).unwrap();
        assert_eq!(stolen.1, 4 * MIB);
        assert!((stolen.1 - stolen.0).abs_diff((4 * MIB - MIB / 2) * 8 / 9) < 4096, "{stolen:?}");
        map.release(2);
        assert_eq!(map.claim(2, u64::MAX, S(1)), Some(stolen));
        map.reserve(2, stolen.0, stolen.1 - stolen.0, S(2));
        let rest = map.hold(1, MIB / 2, 0);
        assert_eq!(map.steal(2, able(1.0), S(9)).map(|(start, end)| end - start), Some(rest));
        assert_eq!(map.hold(1, MIB / 2, 0), 0);
    }

    #[test]
    fn what_an_owner_has_in_its_hands_is_not_taken() {
        let mut map = RangeMap::new(Some(MIB), &[]);
        map.claim(1, MIB, S(0));
        map.reserve(1, 0, MIB / 2, S(1));
        map.hold(1, MIB / 2, MIB / 2 - 8 * 1024);
        assert_eq!(map.steal(2, able(1e9), S(1)), None);
        // A rest this small is asked for twice when its owner is slow, and only once more.
        assert_eq!(map.hedge(2, able(1e9), S(1)), None, "16 ms are not worth it");
        map.hold(1, MIB / 2, 0);
        assert_eq!(map.hedge(2, able(1e9), S(1)), Some((MIB / 2, MIB)));
        assert_eq!(map.hedge(3, able(1e9), S(1)), None);
    }

    #[test]
    fn of_two_that_bring_the_same_bytes_the_first_counts() {
        let mut map = RangeMap::new(Some(100), &[]);
        map.claim(1, 100, S(0));
        assert_eq!(map.reserve(1, 0, 10, S(1)), Some((0, 10)));
        assert_eq!(map.hedge(2, able(1e6), S(9)), Some((10, 100)), "silent");
        assert_eq!(map.reserve(2, 10, 30, S(9)), Some((10, 40)));
        assert_eq!(map.reserve(1, 10, 20, S(10)), None, "brought already");
        assert_eq!(map.reserve(1, 30, 30, S(10)), Some((40, 60)), "the new part of it");
        assert_eq!(map.reserve(2, 70, 10, S(10)), None, "never over a hole");
        map.release(1);
        assert_eq!(map.hold(2, 60, 0), 40, "it is the second's now");
        assert_eq!(map.reserve(2, 40, 60, S(11)), Some((60, 100)));
        assert!(map.is_handed_over());
    }

    #[test]
    fn the_size_may_become_known_at_the_end() {
        let mut map = RangeMap::new(None, &[]);
        map.claim_open(0, S(0));
        assert_eq!(map.claim(1, 10, S(0)), None);
        assert!(map.active().is_empty());
        let span = map.reserve(0, 0, 1000, S(1)).unwrap();
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
        Hedge { worker: u32, rate: u32 },
        Receive { worker: u32, len: u64 },
        Hold { worker: u32, len: u64 },
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
            2 => (worker.clone(), 0_u32..1_000_000).prop_map(|(worker, rate)| Step::Hedge { worker, rate }),
            6 => (worker.clone(), 0_u64..300_000).prop_map(|(worker, len)| Step::Receive { worker, len }),
            2 => (worker.clone(), 0_u64..300_000).prop_map(|(worker, len)| Step::Hold { worker, len }),
            4 => (0_usize..8).prop_map(|nth| Step::Land { nth }),
            2 => worker.clone().prop_map(|worker| Step::Fail { worker }),
            1 => worker.prop_map(|worker| Step::Extend { worker }),
            1 => Just(Step::Restart),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(512))]

        /// Any interleaving of claim, progress, steal, hedge, fail and restart hands every byte over exactly once between
        /// restarts, loses none, and whoever works on to the end completes the file.
        #[test]
        fn every_byte_exactly_once(total in 0_u64..2_000_000, steps in prop::collection::vec(step(), 0..160)) {
            let mut map = RangeMap::new(Some(total), &[]);
            map.claim_open(0, Duration::ZERO);
            let mut handed = Spans::default();
            let mut in_flight: Vec<Span> = Vec::new();
            let mut now = Duration::ZERO;
            // Where each worker's answer stands.
            let mut at = HashMap::from([(0, 0)]);
            for step in steps {
                now += Duration::from_millis(137);
                match step {
                    Step::Claim { worker, want } => if let Some(span) = map.claim(worker, want, now) {
                        at.insert(worker, span.0);
                    },
                    Step::Steal { worker, rate } => if let Some(span) = map.steal(worker, able(f64::from(rate)), now) {
                        at.insert(worker, span.0);
                    },
                    Step::Hedge { worker, rate } => if let Some(span) = map.hedge(worker, able(f64::from(rate)), now) {
                        at.insert(worker, span.0);
                    },
                    Step::Hold { worker, len } => if let Some(&from) = at.get(&worker) { map.hold(worker, from, len); },
                    Step::Receive { worker, len } => if let Some(&from) = at.get(&worker) {
                        at.insert(worker, from + len);
                        if let Some(span) = map.reserve(worker, from, len, now) {
                            prop_assert!(span.0 >= from && span.1 <= from + len, "granted what was not brought");
                            let before = handed.len();
                            handed.add(span);
                            prop_assert_eq!(handed.len() - before, span.1 - span.0, "handed over twice");
                            in_flight.push(span);
                        }
                    },
                    Step::Land { nth } => if nth < in_flight.len() { map.landed(in_flight.swap_remove(nth)); },
                    Step::Fail { worker } => map.release(worker),
                    Step::Extend { worker } => { map.extend(worker, 100_000); }
                    Step::Restart => {
                        // What a crash leaves is what had landed.
                        map = RangeMap::new(Some(total), map.done().clone().as_slice());
                        handed = map.done().clone();
                        in_flight.clear();
                        at.clear();
                    }
                }
                let claimed: u64 = map.claims.iter().map(|claim| claim.end - claim.pos).sum();
                prop_assert_eq!(map.free.len() + claimed + map.in_flight.len() + map.done.len(), total);
            }
            for worker in 0..5 { map.release(worker); }
            while let Some(span) = map.claim(9, 300_000, now) {
                prop_assert_eq!(map.reserve(9, span.0, span.1 - span.0, now), Some(span));
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
