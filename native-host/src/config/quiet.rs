//! Quiet hours: when downloads are slowed down or held, by the clock on the wall.
//!
//! Pure: the caller brings the time. Invariant: what holds at a moment depends only on what the clocks show then, so an
//! hour that a change of the clocks skips or repeats is judged by its name, and the times of change are never missed.

use jiff::civil::{Date, Time};
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan as _, Zoned};
use weir_protocol::{QuietHours, Weekday};

/// What quiet hours make of the speed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Bytes per second of all downloads together; 0 is unlimited.
    Limit(u64),
    /// Nothing runs.
    Paused,
}

/// What holds now, and for how long.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Holding {
    /// None outside quiet hours.
    pub(crate) pace: Option<Pace>,
    /// The next moment at which that changes, within ten days.
    pub(crate) until: Option<Timestamp>,
}

/// The hours of the settings, read; the first that hold count.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Hours(Vec<Window>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Window {
    /// Minutes since midnight.
    from: i16,
    /// Minutes since midnight; when not later than `from`, on the next day.
    to: i16,
    /// Days on which it begins; empty is every day.
    days: Vec<Weekday>,
    pace: Pace,
}

/// A week ahead, and the days around it that a window over midnight or a change of the clocks may touch.
const DAYS_AHEAD: i64 = 9;
const MINUTES_A_DAY: i16 = 24 * 60;

impl Hours {
    /// Reads the settings.
    ///
    /// # Errors
    /// A sentence that names what is wrong.
    pub(crate) fn read(settings: &[QuietHours]) -> Result<Self, String> {
        settings.iter().map(Window::read).collect::<Result<_, _>>().map(Self)
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// What holds at `now`, by the clocks of its time zone.
    pub(crate) fn at(&self, now: &Zoned) -> Holding {
        let pace = self.pace(now);
        let zone = now.time_zone();
        let mut edges = self.edges(now);
        // The clocks may jump into or out of a window.
        edges.extend(zone.following(now.timestamp()).take(2).map(|change| change.timestamp()));
        edges.sort_unstable();
        let until = edges
            .into_iter()
            .find(|edge| *edge > now.timestamp() && self.pace(&edge.to_zoned(zone.clone())) != pace);
        Holding { pace, until }
    }

    /// The pace at `now` alone; none outside quiet hours.
    pub(crate) fn pace(&self, now: &Zoned) -> Option<Pace> {
        let (date, time) = (now.date(), now.time());
        self.0.iter().find(|window| window.holds(date, time)).map(|window| window.pace)
    }

    /// Every moment of the next days at which the clocks show a beginning or an end.
    fn edges(&self, now: &Zoned) -> Vec<Timestamp> {
        let zone: &TimeZone = now.time_zone();
        let mut edges = Vec::new();
        for day in -1..=DAYS_AHEAD {
            let Ok(date) = now.date().checked_add(day.days()) else { continue };
            for minute in self.0.iter().flat_map(|window| [window.from, window.to]) {
                let Ok(moment) = date.to_datetime(Time::midnight()).checked_add(i64::from(minute).minutes())
                else {
                    continue;
                };
                // A time that is skipped has one moment on each side of the gap, one that comes twice has two.
                let moment = zone.to_ambiguous_timestamp(moment);
                edges.extend([moment.earlier(), moment.later()].into_iter().flatten());
            }
        }
        edges
    }
}

impl Window {
    fn read(settings: &QuietHours) -> Result<Self, String> {
        let minutes = |text: &str| {
            let read = || {
                let (hours, minutes) = text.trim().split_once(':')?;
                let digits = |text: &str| text.len() <= 2 && text.bytes().all(|b| b.is_ascii_digit());
                let (hours, minutes) = (digits(hours).then(|| hours.parse::<i16>().ok())??, minutes);
                let minutes =
                    (digits(minutes) && minutes.len() == 2).then(|| minutes.parse::<i16>().ok())??;
                let sum = hours * 60 + minutes;
                (minutes < 60 && sum <= MINUTES_A_DAY).then_some(sum)
            };
            read().ok_or_else(|| format!("`{}` is no time of day such as 23:00", clip(text)))
        };
        let (from, to) = (minutes(&settings.from)?, minutes(&settings.to)?);
        if from == MINUTES_A_DAY {
            return Err("hours that begin at 24:00 begin at 00:00 of the next day".to_owned());
        }
        let pace = match (settings.rate_limit, settings.pause) {
            (None, true) => Pace::Paused,
            (Some(limit), false) => Pace::Limit(limit),
            (None, false) => return Err("either `rate_limit` or `pause` says what holds".to_owned()),
            (Some(_), true) => return Err("`rate_limit` means nothing while `pause` holds".to_owned()),
        };
        Ok(Self { from, to, days: settings.days.clone(), pace })
    }

    /// Whether the clocks show a time within it.
    fn holds(&self, date: Date, time: Time) -> bool {
        let minute = i16::from(time.hour()) * 60 + i16::from(time.minute());
        let begins = |date: Date| self.days.is_empty() || self.days.contains(&weekday(date));
        if self.from < self.to {
            return begins(date) && (self.from..self.to).contains(&minute);
        }
        (minute >= self.from && begins(date)) || (minute < self.to && date.yesterday().is_ok_and(begins))
    }
}

fn weekday(date: Date) -> Weekday {
    use jiff::civil::Weekday as Day;
    match date.weekday() {
        Day::Monday => Weekday::Mon,
        Day::Tuesday => Weekday::Tue,
        Day::Wednesday => Weekday::Wed,
        Day::Thursday => Weekday::Thu,
        Day::Friday => Weekday::Fri,
        Day::Saturday => Weekday::Sat,
        Day::Sunday => Weekday::Sun,
    }
}

fn clip(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(20).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Central Europe: clocks go forward at 02:00 on 2026-03-29 and back at 03:00 on 2026-10-25.
    fn zone() -> TimeZone {
        TimeZone::posix("CET-1CEST,M3.5.0,M10.5.0/3").unwrap()
    }

    fn hours(from: &str, to: &str, days: &[Weekday], limit: Option<u64>) -> QuietHours {
        QuietHours {
            from: from.into(),
            to: to.into(),
            days: days.to_vec(),
            rate_limit: limit,
            pause: limit.is_none(),
        }
    }

    fn at(settings: &[QuietHours], utc: &str) -> (Option<Pace>, Option<String>) {
        let now: Timestamp = utc.parse().unwrap();
        let holding = Hours::read(settings).unwrap().at(&now.to_zoned(zone()));
        (holding.pace, holding.until.map(|until| until.to_string()))
    }

    #[test]
    fn a_night_holds_over_midnight() {
        let night = [hours("23:00", "07:00", &[], Some(5))];
        let limit = Some(Pace::Limit(5));
        let until = |text: &str| Some(text.to_owned());
        assert_eq!(at(&night, "2026-11-21T21:59:59Z"), (None, until("2026-11-21T22:00:00Z")));
        assert_eq!(at(&night, "2026-11-21T22:00:00Z"), (limit, until("2026-11-22T06:00:00Z")));
        assert_eq!(at(&night, "2026-11-22T05:59:59Z"), (limit, until("2026-11-22T06:00:00Z")));
        assert_eq!(at(&night, "2026-11-22T06:00:00Z"), (None, until("2026-11-22T22:00:00Z")));
    }

    #[test]
    fn days_are_those_on_which_hours_begin() {
        // 2026-11-20 is a Friday.
        let weekend = [hours("22:00", "06:00", &[Weekday::Fri], None)];
        let paused = Some(Pace::Paused);
        assert_eq!(at(&weekend, "2026-11-20T20:59:00Z").0, None);
        assert_eq!(at(&weekend, "2026-11-20T21:00:00Z").0, paused);
        assert_eq!(
            at(&weekend, "2026-11-21T04:59:00Z").0,
            paused,
            "Saturday morning belongs to Friday night"
        );
        let (pace, until) = at(&weekend, "2026-11-21T05:00:00Z");
        assert_eq!((pace, until.as_deref()), (None, Some("2026-11-27T21:00:00Z")), "not before next Friday");
        assert_eq!(at(&weekend, "2026-11-21T21:30:00Z").0, None, "Saturday night");
    }

    #[test]
    fn the_first_that_holds_counts_and_seams_are_no_change() {
        let both = [
            hours("12:00", "13:00", &[], None),
            hours("08:00", "18:00", &[], Some(9)),
            hours("18:00", "20:00", &[], Some(9)),
        ];
        let noon = at(&both, "2026-11-21T11:30:00Z");
        assert_eq!(noon, (Some(Pace::Paused), Some("2026-11-21T12:00:00Z".into())));
        let afternoon = at(&both, "2026-11-21T12:00:00Z");
        assert_eq!(afternoon, (Some(Pace::Limit(9)), Some("2026-11-21T19:00:00Z".into())));
        let always = [hours("00:00", "24:00", &[], Some(1))];
        assert_eq!(at(&always, "2026-11-21T12:00:00Z"), (Some(Pace::Limit(1)), None));
        assert_eq!(at(&[hours("08:00", "08:00", &[], None)], "2026-11-21T06:59:00Z").0, Some(Pace::Paused));
        assert_eq!(at(&[], "2026-11-21T12:00:00Z"), (None, None));
    }

    #[test]
    fn clocks_that_change_are_followed() {
        let early = [hours("02:30", "04:00", &[], None)];
        // Forward: 01:59:59 is followed by 03:00:00, which is within the hours.
        assert_eq!(at(&early, "2026-03-29T00:59:59Z"), (None, Some("2026-03-29T01:00:00Z".into())));
        assert_eq!(
            at(&early, "2026-03-29T01:00:00Z"),
            (Some(Pace::Paused), Some("2026-03-29T02:00:00Z".into()))
        );
        // Back: 02:30 comes twice, and what lies between is 02:00–02:30 once more.
        let twice = at(&early, "2026-10-25T00:29:00Z");
        assert_eq!(twice, (None, Some("2026-10-25T00:30:00Z".into())));
        assert_eq!(
            at(&early, "2026-10-25T00:30:00Z"),
            (Some(Pace::Paused), Some("2026-10-25T01:00:00Z".into()))
        );
        assert_eq!(at(&early, "2026-10-25T01:00:00Z"), (None, Some("2026-10-25T01:30:00Z".into())));
        assert_eq!(
            at(&early, "2026-10-25T01:30:00Z"),
            (Some(Pace::Paused), Some("2026-10-25T03:00:00Z".into()))
        );
        // Hours that the clocks skip altogether hold on no day of that name.
        let skipped = [hours("02:10", "02:50", &[], None)];
        assert_eq!(at(&skipped, "2026-03-29T00:30:00Z").1.as_deref(), Some("2026-03-30T00:10:00Z"));
    }

    #[test]
    fn every_minute_of_a_year_agrees_with_the_announced_change() {
        let settings = [
            hours("23:00", "07:00", &[Weekday::Mon, Weekday::Sat], Some(3)),
            hours("02:15", "02:45", &[], None),
        ];
        let hours = Hours::read(&settings).unwrap();
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut expected: Option<Holding> = None;
        for _ in 0..(366 * 24 * 4) {
            let zoned = now.to_zoned(zone());
            if let Some(Holding { pace, until: Some(until) }) = &expected
                && now < *until
            {
                assert_eq!(hours.pace(&zoned), *pace, "{zoned}");
            } else {
                let holding = hours.at(&zoned);
                if let Some(before) = &expected {
                    assert_ne!(before.pace, holding.pace, "{zoned}");
                    assert_eq!(before.until, Some(now), "changes fall on quarters of an hour here");
                }
                expected = Some(holding);
            }
            now += 15.minutes();
        }
    }

    #[test]
    fn mistakes_are_named() {
        for (settings, named) in [
            (hours("25:00", "07:00", &[], None), "25:00"),
            (hours("7", "8", &[], None), "`7`"),
            (hours("07:60", "08:00", &[], None), "07:60"),
            (hours("-1:00", "08:00", &[], None), "-1:00"),
            (hours("07:0", "08:00", &[], None), "07:0"),
            (hours("24:00", "08:00", &[], None), "24:00"),
            (QuietHours { pause: false, ..hours("07:00", "08:00", &[], None) }, "rate_limit"),
            (QuietHours { pause: true, ..hours("07:00", "08:00", &[], Some(1)) }, "pause"),
        ] {
            let error = Hours::read(&[settings]).unwrap_err();
            assert!(error.contains(named), "{error} should name {named}");
        }
    }
}
