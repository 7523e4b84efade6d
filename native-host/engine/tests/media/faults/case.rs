//! One row of the table, and how it is judged.

use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, Finished, Job, Monitor};

use super::super::measure::Measured;
use super::super::recipe::compare;
use super::super::support::{Reply, Request, Server, engine, job, names};
use super::super::{films, serving};

/// Longest a case may take on a machine that is busy with others; alone none needs fifteen seconds.
const HANGS: Duration = Duration::from_secs(90);

pub(crate) type Answer = fn(&Path, &Request) -> Reply;

#[derive(Clone, Copy)]
pub(crate) enum Expect {
    /// The film `talk`, whole.
    Whole,
    /// No file, and this error.
    Error(fn(&EngineError) -> bool),
    /// The same, or no file and this error: either is honest.
    WholeOr(fn(&EngineError) -> bool),
    /// A file named partial that says it lacks this, with the pictures of the film outside these seconds.
    Lacks { words: &'static str, from: f64, to: f64 },
}

#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    folder: fn() -> PathBuf,
    entry: &'static str,
    answer: Answer,
    change: fn(&mut Job),
    expect: Expect,
}

impl Case {
    /// The plain stream of TS, `/s.m3u8` and `s0.ts` to `s7.ts`.
    pub(crate) const fn new(name: &'static str, answer: Answer, expect: Expect) -> Self {
        Self { name, folder: serving::talk, entry: "/s.m3u8", answer, change: |_| {}, expect }
    }

    pub(crate) const fn of(self, folder: fn() -> PathBuf, entry: &'static str) -> Self {
        Self { folder, entry, ..self }
    }

    pub(crate) const fn wishing(self, change: fn(&mut Job)) -> Self {
        Self { change, ..self }
    }

    pub(crate) async fn play(&self) -> Verdict {
        let folder = tokio::task::spawn_blocking(self.folder).await.unwrap();
        let answer = self.answer;
        let server = Server::start(move |request| answer(&folder, request)).await;
        let out = tempfile::tempdir().unwrap();
        let mut job = job(server.url(&format!("{}?token=S3CRET", self.entry)), out.path());
        job.filename = Some("film".to_owned());
        job.source.cookies = Some("session=S3CRET".into());
        (self.change)(&mut job);
        let began = Instant::now();
        let engine = engine();
        let work = engine.download(job, std::sync::Arc::new(Monitor::new()), CancellationToken::new());
        let outcome = match tokio::time::timeout(HANGS, work).await {
            Err(_) => Err("hangs".to_owned()),
            Ok(outcome) => self.judge(outcome, out.path()),
        };
        match outcome {
            Ok(words) => Verdict::Right(format!("{words} ({:.1} s)", began.elapsed().as_secs_f64())),
            Err(words) => Verdict::Wrong(words),
        }
    }

    fn judge(&self, outcome: Result<Finished, EngineError>, out: &Path) -> Result<String, String> {
        let whole: Vec<String> = names(out).into_iter().filter(|name| !name.contains(".part")).collect();
        match (outcome, self.expect) {
            (Err(error), expect) => {
                // In every form in which it may be shown.
                let said = format!("{error} / {error:?}");
                match expect {
                    _ if !whole.is_empty() => Err(format!("{said}, and yet {whole:?}")),
                    _ if said.contains("S3CRET") => Err(format!("tells a secret: {said}")),
                    Expect::Error(fits) | Expect::WholeOr(fits) if fits(&error) => Ok(error.to_string()),
                    _ => Err(said),
                }
            }
            (Ok(finished), Expect::Error(_)) => Err(format!("called right: {finished:?}")),
            (Ok(finished), Expect::Whole | Expect::WholeOr(_)) => {
                finished.settle().map_err(|error| error.to_string())?;
                if finished.lacks.is_some() || finished.filename != "film.mp4" {
                    return Err(format!("{:?} lacks {:?}", finished.filename, finished.lacks));
                }
                compare(&Measured::of(&finished.path), &films::named("talk").measured(), 0.03)?;
                Ok("whole".to_owned())
            }
            (Ok(finished), Expect::Lacks { words, from, to }) => {
                finished.settle().map_err(|error| error.to_string())?;
                let lacks = finished.lacks.clone().unwrap_or_default();
                if !lacks.contains(words) || !finished.filename.contains("partial") {
                    return Err(format!("{:?} lacks {lacks:?}", finished.filename));
                }
                let found: Vec<String> =
                    Measured::of(&finished.path).pictures.into_iter().map(|unit| unit.hash).collect();
                let wanted: Vec<String> = films::named("talk")
                    .measured()
                    .pictures
                    .into_iter()
                    .filter(|unit| !(from..to).contains(&(unit.at + 1e-6)))
                    .map(|unit| unit.hash)
                    .collect();
                if found != wanted {
                    return Err(format!("{} pictures instead of {}, or others", found.len(), wanted.len()));
                }
                Ok(lacks)
            }
        }
    }
}

/// What a case came to.
pub(crate) enum Verdict {
    Right(String),
    Wrong(String),
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Right(words) => write!(f, "{words}"),
            Self::Wrong(words) => write!(f, "WRONG {words}"),
        }
    }
}
