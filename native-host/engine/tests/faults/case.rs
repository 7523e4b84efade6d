//! One row of the table, and how it is judged.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_engine::{EngineError, EngineOptions, Finished, Job, Monitor, Partial};

use super::support::{Reply, Request, Server, engine_with, job, names, noise, serve};

/// Longest time a run may take, far beyond what any of them needs.
const HANGS: Duration = Duration::from_secs(60);
/// Longest silence that is borne.
const PATIENCE: Duration = Duration::from_secs(2);

/// What the server has, and what is random about this run.
pub(crate) struct Scene {
    pub(crate) data: Vec<u8>,
    other: OnceLock<Vec<u8>>,
    pub(crate) seed: u64,
}

impl Scene {
    /// As long as the file, and other bytes.
    pub(crate) fn other(&self) -> &[u8] {
        self.other.get_or_init(|| noise(self.seed + 1000, self.data.len()))
    }

    /// A number that follows from the seed, `n` and `below`.
    pub(crate) fn random(&self, n: usize, below: usize) -> usize {
        let bytes = noise(self.seed * 7919 + n as u64, 24);
        usize::from_le_bytes(bytes[16..24].try_into().unwrap()) % below.max(1)
    }

    /// The proper answer, slow enough that several connections are worth their while.
    pub(crate) fn serve(&self, request: &Request) -> Reply {
        serve(&self.data, request).slowly(256 * 1024 + self.random(3, 65_536), Duration::from_millis(4))
    }
}

pub(crate) type Answer = fn(&Scene, &Request) -> Reply;

#[derive(Clone, Copy)]
pub(crate) enum Play {
    /// One download from nothing.
    Fresh(Answer),
    /// A download that is stopped while the first answers, and goes on against the second.
    Resumed(Answer, Answer),
}

#[derive(Clone, Copy)]
pub(crate) enum Expect {
    /// The server's file.
    Data,
    /// The file the server has by now.
    Other,
    /// Exactly these bytes.
    Bytes(fn(&Scene) -> Vec<u8>),
    /// The server's file under this name.
    Named(&'static str),
    Error(fn(&EngineError) -> bool),
    /// The server's file or this error, as the moments fall.
    DataOr(fn(&EngineError) -> bool),
}

#[derive(Clone, Copy)]
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) play: Play,
    pub(crate) expect: Expect,
    /// Least size of the file in bytes.
    pub(crate) size: usize,
    pub(crate) path: &'static str,
    pub(crate) change: fn(&mut Job, &mut EngineOptions, &Scene),
}

impl Case {
    /// A file of some MiB, fetched by several connections.
    pub(crate) const fn fresh(name: &'static str, answer: Answer, expect: Expect) -> Self {
        Self {
            name,
            play: Play::Fresh(answer),
            expect,
            size: 3 * super::MIB,
            path: "/file.bin",
            change: |_, _, _| {},
        }
    }

    pub(crate) const fn resumed(name: &'static str, then: Answer, expect: Expect) -> Self {
        Self { play: Play::Resumed(paced, then), ..Self::fresh(name, paced, expect) }
    }

    /// A file for which one connection is enough.
    pub(crate) const fn small(self) -> Self {
        Self { size: 300_000, ..self }
    }

    /// A file that is fetched in one piece.
    pub(crate) const fn tiny(self) -> Self {
        Self { size: 1000, ..self }
    }

    pub(crate) const fn at(self, path: &'static str) -> Self {
        Self { path, ..self }
    }

    pub(crate) const fn with(self, change: fn(&mut Job, &mut EngineOptions, &Scene)) -> Self {
        Self { change, ..self }
    }
}

/// What a run came to.
#[derive(Debug)]
pub(crate) enum Verdict {
    Right,
    Honest(String),
    /// An honest error where there should have been a file, or another error than the one that fits.
    Unexpected(String),
    Wrong(String),
}

impl Verdict {
    pub(crate) fn is_right(&self) -> bool {
        matches!(self, Self::Right)
    }

    pub(crate) fn is_honest(&self) -> bool {
        matches!(self, Self::Honest(_) | Self::Unexpected(_))
    }

    pub(crate) fn is_wrong(&self) -> bool {
        matches!(self, Self::Wrong(_))
    }

    /// What the engine said, or what is wrong.
    pub(crate) fn words(&self) -> &str {
        match self {
            Self::Right => "",
            Self::Honest(words) | Self::Unexpected(words) | Self::Wrong(words) => words,
        }
    }

    pub(crate) fn is_unexpected(&self) -> bool {
        matches!(self, Self::Unexpected(_) | Self::Wrong(_))
    }
}

/// Slow enough to be stopped half-way.
fn paced(scene: &Scene, request: &Request) -> Reply {
    serve(&scene.data, request).slowly(128 * 1024 + scene.random(5, 32_768), Duration::from_millis(40))
}

impl Case {
    /// Plays the case once.
    pub(crate) async fn run(&self, seed: u64) -> Verdict {
        let size = self.size + (seed as usize * 70_001) % (self.size / 3);
        let scene = Arc::new(Scene { data: noise(seed, size), other: OnceLock::new(), seed });
        let (first, then) = match self.play {
            Play::Fresh(answer) => (answer, answer),
            Play::Resumed(first, then) => (first, then),
        };
        let turned = Arc::new(AtomicBool::new(matches!(self.play, Play::Fresh(_))));
        let server = Server::start({
            let (scene, turned) = (Arc::clone(&scene), Arc::clone(&turned));
            move |request| {
                if turned.load(Ordering::SeqCst) { then(&scene, request) } else { first(&scene, request) }
            }
        })
        .await;
        // One folder within another, so that an escape shows.
        let outer = tempfile::tempdir().unwrap();
        let dir = outer.path().join("in");
        let mut job = job(server.url(self.path), &dir);
        job.partial = Partial::SameUrl;
        let engine = engine_with(|options| {
            // A machine that is busy with other tests is no silent server.
            options.patience = PATIENCE;
            (self.change)(&mut job, options, &scene);
        });
        if matches!(self.play, Play::Resumed(..)) {
            let (monitor, stop) = (Arc::new(Monitor::new()), CancellationToken::new());
            let begun = Job { connections: 3, ..job.clone() };
            let begun = engine.download(begun, Arc::clone(&monitor), stop.clone());
            let halt = async {
                let enough = (size / 5) as u64;
                while monitor.snapshot().received < enough {
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
                stop.cancel();
            };
            let both = async { tokio::join!(begun, halt).0 };
            match tokio::time::timeout(HANGS, both).await {
                Ok(Err(EngineError::Stopped)) => turned.store(true, Ordering::SeqCst),
                other => return Verdict::Unexpected(format!("could not be stopped half-way: {other:?}")),
            }
        }
        let work = engine.download(job, Arc::new(Monitor::new()), CancellationToken::new());
        let Ok(outcome) = tokio::time::timeout(HANGS, work).await else {
            return Verdict::Wrong("hangs".to_owned());
        };
        if names(outer.path()).iter().any(|name| name != "in") {
            return Verdict::Wrong(format!("escaped: {:?}", names(outer.path())));
        }
        let there = if dir.exists() { names(&dir) } else { Vec::new() };
        match outcome {
            Ok(finished) => self.judge(&finished, &scene, &there),
            Err(error) => {
                let whole: Vec<&String> = there.iter().filter(|name| !name.contains(".part")).collect();
                // In every form in which it may be shown.
                let said = format!("{error} / {error:?}");
                // What was there is kept for when the server has come to its senses.
                let kept =
                    matches!(self.play, Play::Fresh(_)) || there == ["file.bin.part", "file.bin.part.weir"];
                match self.expect {
                    _ if !whole.is_empty() => Verdict::Wrong(format!("{said}, and yet {whole:?}")),
                    _ if !kept => Verdict::Unexpected(format!("{said}, and {there:?} is left")),
                    _ if said.contains("S3CRET") => Verdict::Wrong(format!("tells a secret: {said}")),
                    Expect::Error(fits) | Expect::DataOr(fits) if fits(&error) => {
                        Verdict::Honest(error.to_string())
                    }
                    _ => Verdict::Unexpected(said),
                }
            }
        }
    }

    fn judge(&self, finished: &Finished, scene: &Scene, there: &[String]) -> Verdict {
        let found = std::fs::read(&finished.path).unwrap_or_default();
        let wanted = match self.expect {
            Expect::Data | Expect::DataOr(_) | Expect::Named(_) => &scene.data,
            Expect::Other => &scene.other().to_vec(),
            Expect::Bytes(bytes) => &bytes(scene),
            Expect::Error(_) => return Verdict::Wrong(format!("called right: {} bytes", found.len())),
        };
        if found != *wanted || finished.bytes != wanted.len() as u64 {
            return Verdict::Wrong(format!("{} bytes that are not the {} wanted", found.len(), wanted.len()));
        }
        if finished.sha256 != super::support::sha256(wanted) {
            return Verdict::Wrong("another hash than its own".to_owned());
        }
        if let Err(error) = finished.settle() {
            return Verdict::Unexpected(error.to_string());
        }
        if matches!(self.expect, Expect::Named(name) if name != finished.filename) {
            return Verdict::Unexpected(format!("named {:?}", finished.filename));
        }
        if there.iter().any(|name| name.contains(".part") && !name.ends_with(".part.weir")) {
            return Verdict::Unexpected(format!("left behind: {there:?}"));
        }
        Verdict::Right
    }
}
