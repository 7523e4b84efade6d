//! Films that are made while their segments come: once, whatever happens on the way, and without a trace when they are not
//! taken.

use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use weir_engine::{Engine, EngineError, Job, Monitor};

use super::kitchen::made;
use super::recipe::same_film;
use super::serving::{apart, folder, talk};
use super::support::{Request, Server, engine_with, job, names, run};

/// An ffmpeg that writes down how it was told and does `first` before it does its work.
struct Program {
    dir: tempfile::TempDir,
}

impl Program {
    fn new(first: &str) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("ffmpeg");
        let log = dir.path().join("log");
        let script = format!(
            "#!/bin/sh\nfor one; do last=$one; done\necho \"$$ $last\" >> '{}'\n{first}\nexec ffmpeg \"$@\"\n",
            log.display()
        );
        std::fs::write(&program, script).unwrap();
        std::fs::set_permissions(&program, std::fs::Permissions::from_mode(0o755)).unwrap();
        Self { dir }
    }

    fn engine(&self) -> Engine {
        let program = self.dir.path().join("ffmpeg");
        engine_with(|options| options.ffmpeg = Some(program.clone()))
    }

    /// Process and result of each run.
    fn runs(&self) -> Vec<(u32, PathBuf)> {
        let log = std::fs::read_to_string(self.dir.path().join("log")).unwrap_or_default();
        let runs = log.lines().map(|line| line.split_once(' ').unwrap());
        runs.map(|(id, last)| (id.parse().unwrap(), last.trim_start_matches("file:").into())).collect()
    }

    /// What they made, each by the last part of its name.
    fn results(&self) -> Vec<String> {
        let runs = self.runs();
        runs.iter().map(|(_, path)| path.file_name().unwrap().to_str().unwrap().to_owned()).collect()
    }
}

async fn fetch(program: &Program, dir: PathBuf, list: &str) -> Result<weir_engine::Finished, EngineError> {
    let server = Server::start(move |request: &Request| folder(&dir, request)).await;
    let out = tempfile::tempdir().unwrap();
    let finished = run(&program.engine(), job(server.url(list), out.path())).await?;
    same_film(&finished, "talk");
    Ok(finished)
}

#[tokio::test]
async fn a_film_is_made_once_while_it_comes() {
    let dash = made("plain DASH", "talk", |k| k.dash("talk", "list", &["-use_timeline", "1"]));
    for (dir, list) in [(talk(), "/s.m3u8"), (apart(), "/list.m3u8"), (dash, "/list.mpd")] {
        let program = Program::new("");
        fetch(&program, dir, list).await.unwrap();
        assert_eq!(program.results(), ["ahead"], "{list}");
    }
}

#[tokio::test]
async fn one_that_begins_anew_in_the_middle_is_made_in_the_end() {
    let cut = made("a break", "talk with a discontinuity before its fifth segment", |k| {
        k.ts("talk", "s", &[]);
        k.edit("s.m3u8", |list| {
            let (before, after) = list.split_once("s4.ts").unwrap();
            let (before, line) = before.trim_end().rsplit_once('\n').unwrap();
            format!("{before}\n#EXT-X-DISCONTINUITY\n{line}\ns4.ts{after}")
        });
    });
    let program = Program::new("");
    fetch(&program, cut, "/s.m3u8").await.unwrap();
    assert_eq!(program.results().last().unwrap(), "result");
}

#[tokio::test]
async fn what_goes_wrong_on_the_way_costs_only_time() {
    let wrongs = [
        // It gives up at once, in the middle of reading, and after it has written something.
        "case \"$last\" in */ahead) exit 1;; esac",
        "case \"$last\" in */ahead) head -c 3000 > /dev/null; exit 1;; esac",
        "case \"$last\" in */ahead) ffmpeg \"$@\"; exit 1;; esac",
        // It says that all is well, and has made nothing, or half of it.
        "case \"$last\" in */ahead) exit 0;; esac",
        "case \"$last\" in */ahead) ffmpeg -t 3 \"$@\"; exit 0;; esac",
    ];
    for wrong in wrongs {
        let program = Program::new(wrong);
        let outcome = fetch(&program, talk(), "/s.m3u8").await;
        outcome.unwrap_or_else(|error| panic!("{wrong}: {error}"));
        assert_eq!(program.results(), ["ahead", "result"], "{wrong}");
    }
}

/// Whether the process is there and no mere name of one that has ended.
fn runs(process: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{process}/stat"));
    stat.is_ok_and(|stat| !stat.rsplit(')').next().unwrap().starts_with(" Z"))
}

fn all_below(folder: &Path) -> Vec<String> {
    let mut found = Vec::new();
    for name in names(folder) {
        let path = folder.join(&name);
        if path.is_dir() { found.extend(all_below(&path)) } else { found.push(name) }
    }
    found
}

#[tokio::test]
async fn nothing_is_left_of_it_when_the_job_is_stopped() {
    let server = Server::start(|request: &Request| {
        let reply = folder(&talk(), request);
        if request.path == "/s6.ts" { reply.after(Duration::from_secs(600)) } else { reply }
    })
    .await;
    let (program, out) = (Program::new(""), tempfile::tempdir().unwrap());
    let (engine, stop) = (program.engine(), CancellationToken::new());
    let job: Job = job(server.url("/s.m3u8"), out.path());
    let halt = async {
        while program.runs().is_empty() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        stop.cancel();
    };
    let download = engine.download(job, Arc::new(Monitor::new()), stop.clone());
    let (outcome, ()) =
        tokio::time::timeout(Duration::from_secs(60), async { tokio::join!(download, halt) }).await.unwrap();
    assert!(matches!(outcome, Err(EngineError::Stopped)), "{outcome:?}");
    let process = program.runs()[0].0;
    let ended = async {
        while runs(process) || all_below(out.path()).contains(&"ahead".to_owned()) {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(30), ended).await.expect("ffmpeg goes on");
}
