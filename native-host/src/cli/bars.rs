//! Progress for people: a bar for each address on a terminal, plain lines anywhere else. All on stderr.

use std::io::IsTerminal as _;
use std::time::{Duration, Instant};

use indicatif::{MultiProgress, ProgressBar, ProgressStyle};
use url::Url;
use weir_engine::{Finished, Phase, Snapshot};

use super::output;

/// Without a terminal a line this often is enough for a log.
const LINE_EVERY: Duration = Duration::from_secs(5);

/// Where bars go.
pub(super) enum Bars {
    Terminal(MultiProgress),
    Lines,
    /// JSON speaks instead.
    Silent,
}

/// The progress of one address.
pub(super) enum Bar {
    Terminal(ProgressBar),
    Lines { name: String, last: Option<Instant> },
    Silent,
}

impl Bars {
    pub(super) fn new(json: bool) -> Self {
        if json {
            Self::Silent
        } else if std::io::stderr().is_terminal() {
            Self::Terminal(MultiProgress::new())
        } else {
            Self::Lines
        }
    }

    pub(super) fn add(&self, url: &Url) -> Bar {
        let name =
            output::plain(url.path_segments().and_then(|mut parts| parts.next_back()).unwrap_or_default());
        match self {
            Self::Terminal(bars) => {
                let bar = bars.add(ProgressBar::new(1000));
                if let Ok(style) = ProgressStyle::with_template("{prefix:.bold} {bar:30.cyan/dim} {msg}") {
                    bar.set_style(style.progress_chars("━╸─"));
                }
                bar.set_prefix(name);
                Bar::Terminal(bar)
            }
            Self::Lines => Bar::Lines { name, last: None },
            Self::Silent => Bar::Silent,
        }
    }
}

impl Bar {
    pub(super) fn show(&mut self, snapshot: &Snapshot, speed: u64, eta: Option<u64>) {
        let text = figures(snapshot, speed, eta);
        let settled = snapshot.filename.as_deref().map(output::plain);
        match self {
            Self::Terminal(bar) => {
                #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss)]
                bar.set_position((snapshot.fraction * 1000.0) as u64);
                if let Some(name) = settled {
                    bar.set_prefix(name);
                }
                bar.set_message(text);
            }
            Self::Lines { name, last } => {
                if let Some(settled) = settled {
                    *name = settled;
                }
                if last.is_none_or(|at| at.elapsed() >= LINE_EVERY) && snapshot.received > 0 {
                    *last = Some(Instant::now());
                    eprintln!("{name}: {text}");
                }
            }
            Self::Silent => {}
        }
    }

    pub(super) fn finish(&self, finished: &Finished, took: Duration) {
        #[allow(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
        let speed = (finished.bytes as f64 / took.as_secs_f64().max(0.001)) as u64;
        let size = output::bytes(finished.bytes);
        let line = format!(
            "{}: {size}, {}/s, whole",
            output::plain(&finished.path.display().to_string()),
            output::bytes(speed)
        );
        match self {
            Self::Terminal(bar) => {
                bar.finish_and_clear();
                eprintln!("{line}");
            }
            Self::Lines { .. } => eprintln!("{line}"),
            Self::Silent => {}
        }
    }

    pub(super) fn abandon(&self) {
        if let Self::Terminal(bar) = self {
            bar.finish_and_clear();
        }
    }
}

fn figures(snapshot: &Snapshot, speed: u64, eta: Option<u64>) -> String {
    match snapshot.phase {
        Phase::Resolving => return "asking the server".to_owned(),
        Phase::Finishing => return "checking".to_owned(),
        Phase::Downloading => {}
    }
    let amount = match snapshot.total {
        Some(total) => format!("{} of {}", output::bytes(snapshot.received), output::bytes(total)),
        None => output::bytes(snapshot.received),
    };
    let mut text = format!("{:.0} %, {amount}, {}/s", snapshot.fraction * 100.0, output::bytes(speed));
    if let Some(eta) = eta {
        text += &format!(", {} left", output::duration(eta));
    }
    if snapshot.connections > 1 {
        text += &format!(", {} connections", snapshot.connections);
    }
    text
}
