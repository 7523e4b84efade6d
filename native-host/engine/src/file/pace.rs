//! Which connections are not worth keeping.
//!
//! Owns the judgement, from byte counts and a clock that come in as arguments. Never closes anything. Invariant: a
//! connection is judged only against others that work at the same time, so a slow network or a slow disk, which holds
//! all of them back alike, costs none of them.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back a speed looks.
const WINDOW: Duration = Duration::from_secs(1);
/// A connection is called slow only after it was watched for this long.
const WATCHED: Duration = Duration::from_millis(700);
/// Share of what the others usually bring, below which a connection is replaced.
const SLOW: f64 = 0.25;
/// A slow connection that is finished sooner than this is let finish.
const NEARLY_DONE: f64 = 0.5;
/// Silence after which a connection that had worked is replaced, while others work.
const SILENT: Duration = Duration::from_millis(500);
/// The same for one that has not brought its first byte; at least this, and several times what the others took.
const MUTE: Duration = Duration::from_millis(1500);
const MUTE_FACTOR: u32 = 4;
/// Replacements that turned out no better, after which a server is taken as it is.
const FUTILE: u32 = 3;
/// A connection this old has shown what it is worth.
const PROBATION: Duration = Duration::from_secs(3);

/// What is wrong with a connection.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Fault {
    /// Far slower than the others.
    Slow,
    /// Worked, and has stopped.
    Silent,
    /// Never brought a byte.
    Mute,
}

/// How one connection does now.
#[derive(Debug, Clone, Copy)]
pub(super) struct Sample {
    pub(super) id: u32,
    /// It has asked for something that has not come to its end.
    pub(super) busy: bool,
    /// Counts the requests it made.
    pub(super) asked: u64,
    /// Bytes it has received since it exists.
    pub(super) received: u64,
    /// Bytes it still has to bring.
    pub(super) left: u64,
}

#[derive(Debug)]
struct Track {
    id: u32,
    since: Duration,
    asked: u64,
    asked_at: Duration,
    /// Took the place of one that was dropped.
    is_replacement: bool,
    received: u64,
    heard: Option<Duration>,
    window: VecDeque<(Duration, u64)>,
}

impl Track {
    fn rate(&self) -> f64 {
        let (Some((from, before)), Some((to, after))) = (self.window.front(), self.window.back()) else {
            return 0.0;
        };
        let span = (*to - *from).as_secs_f64();
        if span > 0.0 { (after - before) as f64 / span } else { 0.0 }
    }

    fn watched(&self) -> Duration {
        match (self.window.front(), self.window.back()) {
            (Some((from, _)), Some((to, _))) => *to - *from,
            _ => Duration::ZERO,
        }
    }
}

/// Watches the connections of one file.
#[derive(Debug, Default)]
pub(super) struct Pace {
    tracks: Vec<Track>,
    /// Ids of those that are to be judged as replacements.
    replacements: Vec<u32>,
    futile: u32,
    /// Longest time a first byte took.
    delay: Duration,
}

impl Pace {
    /// A connection is about to take the place of a dropped one.
    pub(super) fn replaces(&mut self, id: u32) {
        self.replacements.push(id);
    }

    /// Bytes per second of all connections together, over the last second.
    pub(super) fn rate(&self) -> f64 {
        self.tracks.iter().map(Track::rate).sum()
    }

    /// Somebody was watched long enough for that to mean something.
    pub(super) fn knows_rate(&self) -> bool {
        self.tracks.iter().any(|track| !track.watched().is_zero())
    }

    /// Names the connection that is to be replaced, if one is, from what was noted last: one at a time, so that the next
    /// judgement sees what came of it.
    pub(super) fn judge(&mut self, now: Duration, samples: &[Sample]) -> Option<(u32, Fault)> {
        if self.futile >= FUTILE {
            return None;
        }
        let moving = |track: &Track| track.heard.is_some_and(|heard| now - heard <= SILENT / 2);
        let mut found = None;
        for sample in samples.iter().filter(|sample| sample.busy && sample.left > 0) {
            let Some(track) = self.tracks.iter().find(|track| track.id == sample.id) else { continue };
            let mut others: Vec<f64> = self
                .tracks
                .iter()
                .filter(|other| other.id != track.id && moving(other))
                .map(Track::rate)
                .filter(|rate| *rate > 0.0)
                .collect();
            if others.is_empty() {
                continue;
            }
            others.sort_by(f64::total_cmp);
            let usual = others[others.len() / 2];
            let heard_since_asked = track.heard.filter(|heard| *heard >= track.asked_at);
            let fault = match heard_since_asked {
                None if now - track.asked_at > MUTE.max(self.delay * MUTE_FACTOR) => Some(Fault::Mute),
                Some(heard) if now - heard > SILENT => Some(Fault::Silent),
                // One other connection may itself be the odd one.
                Some(_) if others.len() >= 2 && track.watched() >= WATCHED => {
                    let rate = track.rate();
                    let is_long = rate <= 0.0 || sample.left as f64 / rate > NEARLY_DONE;
                    (rate < SLOW * usual && is_long).then_some(Fault::Slow)
                }
                _ => None,
            };
            if let Some(fault) = fault {
                found = Some((sample.id, fault));
                break;
            }
        }
        if let Some((id, _)) = found {
            let again = self
                .tracks
                .iter()
                .any(|track| track.id == id && track.is_replacement && now - track.since < PROBATION);
            self.futile += u32::from(again);
            self.tracks.retain(|track| track.id != id);
        }
        found
    }

    /// Notes how everything stands.
    pub(super) fn note(&mut self, now: Duration, samples: &[Sample]) {
        self.tracks.retain(|track| samples.iter().any(|sample| sample.id == track.id && sample.busy));
        for sample in samples.iter().filter(|sample| sample.busy) {
            let at = self.tracks.iter().position(|track| track.id == sample.id).unwrap_or_else(|| {
                let is_replacement = self.replacements.contains(&sample.id);
                self.tracks.push(Track {
                    id: sample.id,
                    since: now,
                    asked: sample.asked,
                    asked_at: now,
                    is_replacement,
                    received: sample.received,
                    heard: (sample.received > 0).then_some(now),
                    window: VecDeque::from([(now, sample.received)]),
                });
                self.tracks.len() - 1
            });
            let track = &mut self.tracks[at];
            if track.asked != sample.asked {
                track.asked = sample.asked;
                track.asked_at = now;
            }
            if sample.received > track.received {
                if track.heard.is_none_or(|heard| heard < track.asked_at) {
                    self.delay = self.delay.max(now - track.asked_at);
                }
                track.received = sample.received;
                track.heard = Some(now);
            }
            track.window.push_back((now, sample.received));
            // One at or beyond the edge stays, so that the window is always covered.
            while track.window.get(1).is_some_and(|(at, _)| now - *at >= WINDOW) {
                track.window.pop_front();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Lets connections bring what `bytes` says they have brought after so many milliseconds, and returns who was
    /// replaced and when.
    fn watch(connections: u32, ms: u64, bytes: impl Fn(u32, u64) -> u64) -> Vec<(u64, u32, Fault)> {
        let mut pace = Pace::default();
        let mut found = Vec::new();
        let mut gone = Vec::new();
        for now in (0..ms).step_by(50) {
            let samples: Vec<Sample> = (0..connections)
                .filter(|id| !gone.contains(id))
                .map(|id| Sample { id, busy: true, asked: 1, received: bytes(id, now), left: 100_000_000 })
                .collect();
            pace.note(Duration::from_millis(now), &samples);
            if let Some((id, fault)) = pace.judge(Duration::from_millis(now), &samples) {
                found.push((now, id, fault));
                gone.push(id);
            }
        }
        found
    }

    #[test]
    fn equals_are_left_alone_however_slow_and_jerky() {
        assert_eq!(watch(8, 10_000, |_, now| now * 2000), []);
        assert_eq!(watch(8, 10_000, |_, now| now / 10), []);
        // All stop for three seconds: the network, not one of them.
        assert_eq!(
            watch(8, 10_000, |_, now| if now < 4000 {
                now * 1000
            } else {
                4_000_000.max((now - 3000) * 1000)
            }),
            []
        );
        assert_eq!(watch(8, 10_000, |id, now| now * (1000 + u64::from(id) * 200)), []);
        assert_eq!(watch(1, 60_000, |_, now| now.min(1000)), [], "alone there is nothing to compare with");
    }

    #[test]
    fn a_straggler_is_found_within_a_second() {
        let found = watch(8, 3000, |id, now| if id == 3 { now * 100 } else { now * 2000 });
        assert!(matches!(found[..], [(at, 3, Fault::Slow)] if at <= 1000), "{found:?}");
        // Of two nobody can tell which is the odd one.
        assert_eq!(watch(2, 3000, |id, now| if id == 0 { now * 100 } else { now * 2000 }), []);
    }

    #[test]
    fn silence_is_found_sooner_than_by_a_time_out() {
        let found = watch(4, 5000, |id, now| if id == 1 { now.min(1000) * 1000 } else { now * 1000 });
        assert!(matches!(found[..], [(at, 1, Fault::Silent)] if (1500..=1700).contains(&at)), "{found:?}");
        let found = watch(4, 5000, |id, now| if id == 2 { 0 } else { now * 1000 });
        assert!(matches!(found[..], [(at, 2, Fault::Mute)] if at <= 1700), "{found:?}");
    }

    #[test]
    fn a_server_that_is_like_that_is_taken_as_it_is() {
        let mut pace = Pace::default();
        let mut slow = 9;
        let mut replaced = 0;
        for now in (0..60_000).step_by(50) {
            let received = |id: u32| if id == slow { now / 100 } else { now * 1000 };
            let samples: Vec<Sample> = [1, 2, 3, slow]
                .map(|id| Sample { id, busy: true, asked: 1, received: received(id), left: u64::MAX })
                .into();
            pace.note(Duration::from_millis(now), &samples);
            if let Some((id, _)) = pace.judge(Duration::from_millis(now), &samples) {
                assert_eq!(id, slow);
                slow += 1;
                replaced += 1;
                pace.replaces(slow);
            }
        }
        assert_eq!(replaced, FUTILE + 1);
    }
}
