//! What all running downloads of `weir get` show: bars on a terminal, lines in a log, JSON for programs.
//!
//! Owns the list of what runs and the one clock that looks at it, so that a download that lasts a millisecond costs no
//! drawing at all. Never decides anything. Bars and sentences go to stderr, JSON to stdout. Invariant: no more lines
//! are drawn than the terminal has, and every line told is printed once.

use std::collections::BTreeMap;
use std::io::{IsTerminal as _, Write as _};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use weir_engine::{Monitor, Phase};
use weir_protocol::{DownloadId, Event, Progress};

use super::bars::{self, Look};
use super::output;
use crate::queue::SpeedMeter;

/// How often everything is looked at.
const TICK: Duration = Duration::from_millis(250);

/// How often it is looked whether the first byte has come.
const FIRST_LOOK: Duration = Duration::from_millis(40);
/// Without a terminal a line this often is enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(5);
/// With more downloads than this, those that end well are counted and not named.
const MOST_NAMED: usize = 100;
/// Rows left to what was typed and to the summary.
const ROWS_KEPT: usize = 3;

/// Where figures go.
enum Face {
    Terminal { bars: MultiProgress, bar: ProgressBar },
    Lines,
    Json,
}

/// How a download of the command ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Ended {
    /// With a file of this many bytes.
    Whole(u64),
    /// With a file of this many bytes that lacks something; `wished` when that was allowed.
    Partial {
        bytes: u64,
        wished: bool,
    },
    Failed,
    /// Interrupted, or never begun because of that.
    Stopped,
}

impl Ended {
    /// The exit status of a command that ended like this.
    pub(super) const fn status(&self) -> u8 {
        match self {
            Self::Whole(_) | Self::Partial { wished: true, .. } => 0,
            Self::Failed | Self::Partial { wished: false, .. } => 1,
            Self::Stopped => 130,
        }
    }

    /// Of its file, when there is one.
    pub(super) const fn bytes(&self) -> Option<u64> {
        match self {
            Self::Whole(bytes) | Self::Partial { bytes, .. } => Some(*bytes),
            Self::Failed | Self::Stopped => None,
        }
    }
}

/// The progress of all downloads of one command.
pub(super) struct Board {
    face: Face,
    /// How many there are in all.
    count: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    running: BTreeMap<DownloadId, Running>,
    whole: usize,
    partial: usize,
    failed: usize,
    /// Of the files that are there.
    bytes: u64,
    /// The same without what an earlier run had brought.
    fetched: u64,
    /// Of everything that runs or has run, for the summary.
    meter: SpeedMeter,
    last_lines: Option<Instant>,
}

/// What the lines have said of a download so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Told {
    /// There was no line yet.
    Nothing,
    /// There was one, and nothing to say.
    Silence,
    /// That it waits.
    Waiting,
    Figures,
}

struct Running {
    name: String,
    monitor: Arc<Monitor>,
    meter: SpeedMeter,
    told: Told,
    /// Bytes that were there when it was first looked at.
    earlier: Option<u64>,
}

impl Board {
    /// A board for `count` downloads.
    pub(super) fn new(json: bool, count: usize) -> Self {
        let face = if json {
            Face::Json
        } else if std::io::stderr().is_terminal() {
            let bars = MultiProgress::new();
            let bar = bars.add(ProgressBar::new_spinner());
            if let Ok(style) = ProgressStyle::with_template("{msg}") {
                bar.set_style(style);
            }
            Face::Terminal { bars, bar }
        } else {
            Face::Lines
        };
        Self { face, count, state: Mutex::default() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Figures for people: a panic elsewhere leaves nothing here that could mislead.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A download begins. `name` is what it is called until it has a file name.
    pub(super) fn enter(&self, id: DownloadId, name: &str, monitor: &Arc<Monitor>) {
        let running = Running {
            name: output::plain(name),
            monitor: Arc::clone(monitor),
            meter: SpeedMeter::default(),
            told: Told::Nothing,
            earlier: None,
        };
        self.lock().running.insert(id, running);
    }

    /// It has ended.
    pub(super) fn leave(&self, id: DownloadId, ended: Ended) {
        let mut state = self.lock();
        let earlier = state.running.remove(&id).and_then(|running| running.earlier).unwrap_or(0);
        match ended {
            Ended::Whole(bytes) | Ended::Partial { bytes, .. } => {
                state.whole += usize::from(matches!(ended, Ended::Whole(_)));
                state.partial += usize::from(matches!(ended, Ended::Partial { .. }));
                state.bytes += bytes;
                state.fetched += bytes.saturating_sub(earlier);
            }
            Ended::Failed => state.failed += 1,
            Ended::Stopped => {}
        }
    }

    /// Whether files that end well are to be named one by one.
    pub(super) fn names_each(&self) -> bool {
        self.count <= MOST_NAMED && !matches!(self.face, Face::Json)
    }

    /// Says something, above the bars.
    pub(super) fn say(&self, line: &str) {
        match &self.face {
            Face::Terminal { bars, .. } => {
                // Fails only when the terminal has gone, and then nobody reads.
                let _ = bars.println(line);
            }
            Face::Lines | Face::Json => output::note(line),
        }
    }

    /// Prints a value when programs listen.
    pub(super) fn json(&self, value: &impl serde::Serialize) {
        if matches!(self.face, Face::Json) {
            print_json(value);
        }
    }

    /// Looks at everything again and again until it is dropped.
    pub(super) async fn watch(&self) -> std::convert::Infallible {
        let started = Instant::now();
        // Until something has arrived people wait for a sign of life; nobody reads figures of the first instant.
        while !self.has_begun() && started.elapsed() < TICK {
            tokio::time::sleep(FIRST_LOOK).await;
        }
        let mut tick = tokio::time::interval(TICK);
        loop {
            tick.tick().await;
            self.show(started.elapsed());
        }
    }

    /// Whether a live stream is being recorded.
    pub(super) fn records(&self) -> bool {
        self.lock().running.values().any(|running| running.monitor.snapshot().live)
    }

    fn has_begun(&self) -> bool {
        self.lock().running.values().any(|running| running.monitor.snapshot().received > 0)
    }

    fn show(&self, now: Duration) {
        let mut state = self.lock();
        let looks = state.look(now);
        match &self.face {
            Face::Json => {
                for (id, look) in looks {
                    print_json(&Event::Progress(Progress {
                        id,
                        progress: (look.fraction.unwrap_or(0.0) * 1000.0).round() / 10.0,
                        speed: Some(look.speed),
                        eta: look.eta,
                        received_bytes: Some(look.received),
                        recorded_s: look.recorded_s,
                        done: false,
                    }));
                }
            }
            Face::Lines => {
                if state.last_lines.is_some_and(|at| at.elapsed() < LINE_EVERY) {
                    return;
                }
                state.last_lines = Some(Instant::now());
                if self.count > MOST_NAMED {
                    output::note(format_args!("{}", state.summary(self.count)));
                    return;
                }
                for (id, look) in &looks {
                    if let Some(line) = state.running.get_mut(id).and_then(|running| running.line(look)) {
                        output::note(line);
                    }
                }
            }
            Face::Terminal { bar, .. } => {
                let (width, rows) = size();
                // The last row tells how many have none.
                let shown = if looks.len() > rows { rows - 1 } else { looks.len() };
                let mut lines: Vec<String> =
                    looks.iter().take(shown).map(|(_, look)| bars::line(look, width)).collect();
                if looks.len() > shown {
                    lines.push(bars::cut(&format!("and {} more", looks.len() - shown), width));
                }
                if self.count > 1 {
                    lines.push(bars::cut(&state.summary(self.count), width));
                }
                bar.set_message(lines.join("\n"));
            }
        }
    }

    /// Takes the bars away.
    pub(super) fn close(&self) {
        if let Face::Terminal { bar, .. } = &self.face {
            bar.finish_and_clear();
        }
    }
}

impl State {
    /// Samples every meter.
    fn look(&mut self, now: Duration) -> Vec<(DownloadId, Look)> {
        let mut fetched = self.fetched;
        let looks = self.running.iter_mut().map(|(id, running)| {
            let snapshot = running.monitor.snapshot();
            // What an earlier run brought counts as there, not as fast.
            if snapshot.phase != Phase::Resolving {
                running.meter.sample(now, snapshot.received);
                let earlier = *running.earlier.get_or_insert(snapshot.received);
                fetched += snapshot.received.saturating_sub(earlier);
            }
            if let Some(name) = &snapshot.filename {
                running.name = output::plain(name);
            }
            let meter = &running.meter;
            let eta = meter.eta(snapshot.received, snapshot.total, snapshot.fraction);
            (*id, Look::new(running.name.clone(), &snapshot, meter.speed(), eta))
        });
        let looks: Vec<_> = looks.collect();
        self.meter.sample(now, fetched);
        looks
    }

    fn summary(&self, count: usize) -> String {
        let mut text = format!("{} of {count} whole", self.whole);
        if self.partial > 0 {
            text += &format!(", {} partial", self.partial);
        }
        if self.failed > 0 {
            text += &format!(", {} failed", self.failed);
        }
        text += &format!(", {}", output::bytes(self.bytes));
        let speed = self.meter.speed();
        if speed > 0 { text + &format!(", {}/s", output::bytes(speed)) } else { text }
    }
}

impl Running {
    /// What a log is told of it now. As long as nothing has ever come, that is told once, and not of its first moments.
    fn line(&mut self, look: &Look) -> Option<String> {
        let before = self.told;
        if look.received > 0 || look.phase == Phase::Finishing {
            self.told = Told::Figures;
            let stalled = before == Told::Figures && look.speed == 0 && look.phase == Phase::Downloading;
            return Some(look.sentence() + if stalled { ", waiting for the server" } else { "" });
        }
        self.told = if before == Told::Nothing { Told::Silence } else { Told::Waiting };
        (before == Told::Silence).then(|| format!("{}: waiting for the server", look.name))
    }
}

/// Columns for text, one kept free because some terminals wrap at the last, and rows for bars.
pub(super) fn size() -> (usize, usize) {
    let size = rustix::termios::tcgetwinsize(std::io::stderr()).ok().filter(|size| size.ws_col > 0);
    let (columns, rows) = size.map_or((80, 24), |size| (size.ws_col.into(), size.ws_row.into()));
    (columns - 1, usize::max(rows, ROWS_KEPT + 1) - ROWS_KEPT)
}

fn print_json(value: &impl serde::Serialize) {
    if let Ok(text) = serde_json::to_string(value) {
        // A reader that has gone does not stop a download.
        let _ = writeln!(std::io::stdout().lock(), "{text}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_tell_once_that_nothing_comes_and_never_a_speed_of_nothing() {
        let monitor = Arc::new(Monitor::new());
        let board = Board { face: Face::Lines, count: 1, state: Mutex::default() };
        board.enter(1, "a", &monitor);
        let mut state = board.lock();
        let mut look = state.look(Duration::ZERO).remove(0).1;
        let running = state.running.get_mut(&1).unwrap();
        let said: Vec<_> = (0..4).map(|_| running.line(&look)).collect();
        assert_eq!(said, [None, Some("a: waiting for the server".to_owned()), None, None]);
        (look.phase, look.received) = (Phase::Downloading, 2_000);
        assert_eq!(running.line(&look).as_deref(), Some("a: 2.0 kB"));
        assert_eq!(running.line(&look).as_deref(), Some("a: 2.0 kB, waiting for the server"));
        look.speed = 1_000;
        assert_eq!(running.line(&look).as_deref(), Some("a: 2.0 kB, 1.0 kB/s"));
    }

    #[test]
    fn what_has_ended_is_counted_and_no_longer_looked_at() {
        let board = Board { face: Face::Lines, count: 3, state: Mutex::default() };
        let monitor = Arc::new(Monitor::new());
        for id in 1..=3 {
            board.enter(id, "a\x1b[2Jb", &monitor);
        }
        let looks = board.lock().look(Duration::ZERO);
        assert_eq!(looks.len(), 3);
        assert_eq!(looks[0].1.name, "a\u{fffd}[2Jb");
        board.leave(1, Ended::Whole(2_000));
        board.leave(2, Ended::Failed);
        let mut state = board.lock();
        assert_eq!(state.look(Duration::from_secs(1)).len(), 1);
        assert_eq!(state.summary(3), "1 of 3 whole, 1 failed, 2.0 kB, 2.0 kB/s");
    }
}
