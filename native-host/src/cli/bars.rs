//! How a running download looks on one line of a terminal. Pure.
//!
//! Owns the columns: which there are at a width, and how a name is cut to its own. Never prints. Invariant: a line is
//! never wider than the terminal, whatever characters a name has.

use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};
use weir_engine::{Phase, Snapshot};

use super::output;

/// Narrowest terminal that is drawn for; a narrower one cuts.
const NARROWEST: usize = 20;
/// Columns of the end of a long name that are kept, for its extension and number.
const NAME_TAIL: usize = 8;
const GAP: &str = "  ";

/// What is known of a running download.
#[derive(Debug, Clone)]
pub(super) struct Look {
    pub(super) name: String,
    pub(super) phase: Phase,
    /// 0–1; none while nobody knows.
    pub(super) fraction: Option<f64>,
    pub(super) received: u64,
    pub(super) total: Option<u64>,
    pub(super) speed: u64,
    pub(super) eta: Option<u64>,
    pub(super) connections: u32,
    /// Seconds of a live stream recorded so far; none of anything else.
    pub(super) recorded_s: Option<u64>,
}

impl Look {
    pub(super) fn new(name: String, snapshot: &Snapshot, speed: u64, eta: Option<u64>) -> Self {
        // Of what goes on nobody knows how much there will be.
        let known = !snapshot.live && (snapshot.total.is_some() || snapshot.fraction > 0.0);
        Self {
            name,
            phase: snapshot.phase,
            fraction: known.then_some(snapshot.fraction),
            received: snapshot.received,
            total: snapshot.total,
            speed,
            eta: eta.filter(|_| !snapshot.live),
            connections: snapshot.connections,
            recorded_s: snapshot.live.then_some(snapshot.recorded.as_secs()),
        }
    }

    /// Percent, amount, speed and time left in one sentence, for a log.
    pub(super) fn sentence(&self) -> String {
        match self.phase {
            Phase::Resolving => return format!("{}: asking the server", self.name),
            Phase::Finishing => return format!("{}: checking", self.name),
            Phase::Downloading => {}
        }
        let mut text = format!("{}: ", self.name);
        if let Some(seconds) = self.recorded_s {
            text += &format!("{} recorded, ", output::duration(seconds));
        }
        if let Some(fraction) = self.fraction {
            text += &format!("{:.0} %, ", percent(fraction));
        }
        text += &output::bytes(self.received);
        if let Some(total) = self.total {
            text += &format!(" of {}", output::bytes(total));
        }
        // Of a first look nobody can tell it.
        if self.speed > 0 {
            text += &format!(", {}/s", output::bytes(self.speed));
        }
        if let Some(eta) = self.eta {
            text += &format!(", {} left", output::duration(eta));
        }
        if self.connections > 1 {
            text += &format!(", {} connections", self.connections);
        }
        text
    }
}

/// Percent that say 100 only when everything is there.
fn percent(fraction: f64) -> f64 {
    let percent = (fraction * 100.0).floor();
    if fraction < 1.0 { percent.min(99.0) } else { percent }
}

/// Columns of each part at some width of terminal; 0 leaves it out.
struct Columns {
    name: usize,
    bar: usize,
    amount: usize,
    speed: usize,
    eta: usize,
    connections: usize,
}

const PERCENT: usize = 5;
/// Columns of what is said of a recording behind its name.
const RECORDING: usize = 42;

impl Columns {
    fn at(width: usize) -> Self {
        let (bar, amount, speed, eta, connections) = match width {
            110.. => (30, 20, 10, 8, 3),
            78.. => (14, 8, 10, 7, 3),
            60.. => (10, 0, 10, 7, 0),
            42.. => (0, 0, 10, 7, 0),
            _ => (0, 0, 0, 0, 0),
        };
        let parts = [bar, PERCENT, amount, speed, eta, connections];
        let taken: usize = parts.iter().filter(|part| **part > 0).map(|part| part + GAP.len()).sum();
        Self { name: width.saturating_sub(taken).min(48), bar, amount, speed, eta, connections }
    }
}

/// The download as one line of at most `width` columns.
pub(super) fn line(look: &Look, width: usize) -> String {
    let width = width.max(NARROWEST);
    let columns = Columns::at(width);
    let mut text = fitted(&look.name, columns.name);
    match look.phase {
        Phase::Resolving => return cut(&(text + GAP + "asking the server"), width),
        Phase::Finishing => return cut(&(text + GAP + "checking"), width),
        Phase::Downloading => {}
    }
    if let Some(seconds) = look.recorded_s {
        // No bar: there is no end to measure by.
        let name = fitted(&look.name, width.saturating_sub(RECORDING).clamp(1, 48));
        let figures = format!(
            "recording {}  {}  {}/s",
            output::duration(seconds),
            output::bytes(look.received),
            output::bytes(look.speed)
        );
        return cut(&(name + GAP + &figures), width);
    }
    let mut part = |columns: usize, value: &str| {
        if columns > 0 {
            text += GAP;
            // A figure that is too long pushes its neighbours rather than lose a digit.
            text.extend(std::iter::repeat_n(' ', columns.saturating_sub(value.width())));
            text += value;
        }
    };
    part(columns.bar, &bar(look.fraction, columns.bar));
    part(PERCENT, &look.fraction.map_or(String::new(), |fraction| format!("{:.0} %", percent(fraction))));
    let amount = match look.total {
        Some(total) if columns.amount >= 20 => {
            format!("{} of {}", output::bytes(look.received), output::bytes(total))
        }
        total => output::bytes(total.unwrap_or(look.received)),
    };
    part(columns.amount, &amount);
    part(columns.speed, &format!("{}/s", output::bytes(look.speed)));
    part(columns.eta, &look.eta.map_or(String::new(), output::duration));
    part(
        columns.connections,
        &if look.connections > 0 { format!("×{}", look.connections) } else { String::new() },
    );
    cut(text.trim_end(), width)
}

fn bar(fraction: Option<f64>, columns: usize) -> String {
    #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, clippy::cast_precision_loss)]
    let full = (fraction.unwrap_or(0.0).clamp(0.0, 1.0) * columns as f64) as usize;
    let head = usize::from(fraction.is_some() && full < columns);
    format!("{}{}{}", "━".repeat(full), "╸".repeat(head), "─".repeat(columns.saturating_sub(full + head)))
}

/// `name` in exactly `columns`: filled with spaces, or cut in its middle, so that its ending stays.
fn fitted(name: &str, columns: usize) -> String {
    let mut text = if name.width() <= columns {
        name.to_owned()
    } else {
        let tail = if columns > 2 * NAME_TAIL { last_columns(name, NAME_TAIL) } else { "" };
        format!("{}…{tail}", first_columns(name, columns.saturating_sub(1 + tail.width())))
    };
    text.extend(std::iter::repeat_n(' ', columns.saturating_sub(text.width())));
    text
}

pub(super) fn cut(text: &str, width: usize) -> String {
    if text.width() <= width { text.to_owned() } else { first_columns(text, width).to_owned() }
}

fn first_columns(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    for (at, c) in text.char_indices() {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            return &text[..at];
        }
    }
    text
}

fn last_columns(text: &str, columns: usize) -> &str {
    let mut taken = 0;
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        taken += c.width().unwrap_or(0);
        if taken > columns {
            break;
        }
        start = at;
    }
    &text[start..]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn look(name: &str) -> Look {
        Look {
            name: name.to_owned(),
            phase: Phase::Downloading,
            fraction: Some(0.456),
            received: 45_600_000,
            total: Some(100_000_000),
            speed: 1_234_567,
            eta: Some(45),
            connections: 8,
            recorded_s: None,
        }
    }

    #[test]
    fn a_recording_shows_how_long_it_is_and_no_percent() {
        let live = Look { recorded_s: Some(750), fraction: None, eta: None, ..look("talk.mp4") };
        let words = |text: &str| text.split_whitespace().collect::<Vec<_>>().join(" ");
        assert_eq!(words(&line(&live, 80)), "talk.mp4 recording 12:30 45.6 MB 1.2 MB/s");
        let told = Look { connections: 1, total: None, ..live };
        assert_eq!(told.sentence(), "talk.mp4: 12:30 recorded, 45.6 MB, 1.2 MB/s");
    }

    #[test]
    fn wide_usual_and_narrow_terminals_show_what_fits() {
        let shown = |width| line(&look("talk.mp4"), width);
        assert_eq!(
            shown(120).split_whitespace().collect::<Vec<_>>().join(" "),
            "talk.mp4 ━━━━━━━━━━━━━╸──────────────── 45 % 45.6 MB of 100.0 MB 1.2 MB/s 0:45 ×8"
        );
        assert_eq!(
            shown(80),
            "talk.mp4               ━━━━━━╸───────   45 %  100.0 MB    1.2 MB/s     0:45   ×8"
        );
        assert_eq!(
            shown(60).split_whitespace().collect::<Vec<_>>().join(" "),
            "talk.mp4 ━━━━╸───── 45 % 1.2 MB/s 0:45"
        );
        assert_eq!(shown(30), "talk.mp4                  45 %");
    }

    #[test]
    fn no_line_is_wider_than_its_terminal() {
        let names = [
            "a",
            "",
            &"x".repeat(300),
            &"測試檔案下載".repeat(20),
            "e\u{301}🎬\u{200d}.mp4",
            "a very long name (12).tar.gz",
        ];
        for name in names {
            for width in 1..200 {
                let mut look = look(name);
                look.recorded_s = (width % 2 == 0).then_some(u64::MAX);
                for phase in [Phase::Resolving, Phase::Downloading, Phase::Finishing] {
                    look.phase = phase;
                    look.total = Some(u64::MAX);
                    look.eta = Some(u64::MAX);
                    let line = line(&look, width);
                    assert!(line.width() <= width.max(NARROWEST), "{width}: {line}");
                }
            }
        }
    }

    #[test]
    fn a_long_name_keeps_its_ending_and_columns_stay_aligned() {
        assert_eq!(fitted("a very long name (12).tar.gz", 20), "a very long…).tar.gz");
        assert_eq!(fitted("測試檔案下載測試檔案.mp4", 18).width(), 18);
        assert_eq!(fitted("ab", 4), "ab  ");
    }

    #[test]
    fn everything_is_said_only_when_everything_is_there() {
        assert_eq!(percent(0.9999), 99.0);
        assert_eq!(percent(1.0), 100.0);
        assert_eq!(bar(Some(1.0), 4), "━━━━");
        assert_eq!(bar(Some(0.5), 4), "━━╸─");
        assert_eq!(bar(None, 4), "────");
        assert_eq!(look("a").sentence(), "a: 45 %, 45.6 MB of 100.0 MB, 1.2 MB/s, 0:45 left, 8 connections");
        let first = Look { speed: 0, eta: None, connections: 1, ..look("a") };
        assert_eq!(first.sentence(), "a: 45 %, 45.6 MB of 100.0 MB");
    }
}
