//! Bytes per second over the last seconds, and the time left. Pure: the caller brings the clock.

use std::collections::VecDeque;
use std::time::Duration;

/// How far back a speed looks: long enough to be calm, short enough to notice a stall.
const WINDOW: Duration = Duration::from_secs(5);

/// Samples of one running download.
#[derive(Debug, Default)]
pub(crate) struct SpeedMeter {
    samples: VecDeque<(Duration, u64)>,
}

impl SpeedMeter {
    /// Notes that `received` bytes were there at `now` (any clock that does not step back).
    pub(crate) fn sample(&mut self, now: Duration, received: u64) {
        // A download that begins again from nothing has no negative speed.
        if self.samples.back().is_some_and(|(_, last)| received < *last) {
            self.samples.clear();
        }
        self.samples.push_back((now, received));
        // One sample at or beyond the edge stays, so that the window is always covered.
        while self.samples.get(1).is_some_and(|(at, _)| now.saturating_sub(*at) >= WINDOW) {
            self.samples.pop_front();
        }
    }

    /// Bytes per second.
    pub(crate) fn speed(&self) -> u64 {
        let (Some((from, before)), Some((to, after))) = (self.samples.front(), self.samples.back()) else {
            return 0;
        };
        let span = to.saturating_sub(*from).as_secs_f64();
        if span <= 0.0 {
            return 0;
        }
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        {
            ((after - before) as f64 / span).round() as u64
        }
    }

    /// Seconds left: by bytes when the total is known, else by how fast the fraction (0–1) was reached.
    pub(crate) fn eta(&self, received: u64, total: Option<u64>, fraction: f64) -> Option<u64> {
        let speed = self.speed();
        if speed == 0 {
            return None;
        }
        if let Some(total) = total {
            return Some(total.saturating_sub(received).div_ceil(speed));
        }
        if fraction <= 0.01 || received == 0 {
            return None;
        }
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        {
            let left = received as f64 / fraction * (1.0 - fraction).max(0.0);
            Some((left / speed as f64).ceil() as u64)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn speed_is_the_mean_of_the_window() {
        let mut meter = SpeedMeter::default();
        assert_eq!(meter.speed(), 0);
        for tick in 0..40_u64 {
            // 1 MB/s for ten seconds, then 2 MB/s.
            let received = if tick <= 20 { tick * 500_000 } else { 10_000_000 + (tick - 20) * 1_000_000 };
            meter.sample(Duration::from_millis(tick * 500), received);
        }
        assert_eq!(meter.speed(), 2_000_000, "the first ten seconds have left the window");
        assert_eq!(meter.eta(29_000_000, Some(31_000_000), 0.0), Some(1));
        assert!(meter.samples.len() <= 12);
    }

    #[test]
    fn a_stall_is_seen_and_a_restart_is_not_negative() {
        let mut meter = SpeedMeter::default();
        meter.sample(Duration::ZERO, 10_000);
        meter.sample(Duration::from_secs(1), 20_000);
        for second in 2..10 {
            meter.sample(Duration::from_secs(second), 20_000);
        }
        assert_eq!(meter.speed(), 0);
        assert_eq!(meter.eta(20_000, Some(40_000), 0.5), None);
        meter.sample(Duration::from_secs(10), 0);
        meter.sample(Duration::from_secs(11), 5_000);
        assert_eq!(meter.speed(), 5_000);
    }

    #[test]
    fn without_a_total_the_fraction_tells() {
        let mut meter = SpeedMeter::default();
        meter.sample(Duration::ZERO, 0);
        meter.sample(Duration::from_secs(1), 1_000);
        assert_eq!(meter.eta(1_000, None, 0.25), Some(3));
        assert_eq!(meter.eta(1_000, None, 0.0), None);
    }
}
