//! Streams that are still going on: revealed by the clock, their window sliding, recorded while they do, and compared with
//! the film they were made from.

mod dash;
mod hls;
mod stage;

use super::films;
use super::measure::{Measured, Unit};

/// Recordings that run beside one another.
#[derive(Default)]
pub(crate) struct Recordings(Vec<(&'static str, tokio::task::JoinHandle<()>)>);

impl Recordings {
    fn add(&mut self, name: &'static str, recording: impl Future<Output = ()> + Send + 'static) {
        let only = std::env::var("WEIR_RECORDING").ok();
        if only.is_none_or(|only| name.contains(&only)) {
            self.0.push((name, tokio::spawn(recording)));
        }
    }

    async fn judge(self) {
        let mut wrong = Vec::new();
        for (name, recording) in self.0 {
            let outcome = recording.await;
            println!("{name:<66} {}", if outcome.is_ok() { "right" } else { "WRONG" });
            wrong.extend(outcome.err().map(|error| (name, error.to_string())));
        }
        assert!(wrong.is_empty(), "{wrong:#?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recordings_of_hls() {
    tokio::task::spawn_blocking(hls::minute).await.unwrap();
    let mut recordings = Recordings::default();
    hls::all(&mut recordings);
    recordings.judge().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn recordings_of_dash() {
    tokio::task::spawn_blocking(dash::minute).await.unwrap();
    let mut recordings = Recordings::default();
    dash::all(&mut recordings);
    recordings.judge().await;
}

/// The film every live stream here shows: a minute, each second a segment.
const FILM: &str = "minute";

/// Asserts that a recording is a part of the film without a hole: which pictures they are, first and one past the last.
fn without_hole(path: &std::path::Path) -> (usize, usize) {
    let (found, wanted) = (Measured::of(path), films::named(FILM).measured());
    let pictures = run(&found.pictures, &wanted.pictures, "pictures");
    run(&found.sounds, &wanted.sounds, "packets of sound");
    // Sound and picture are of the same moments.
    let (zero, film_zero) = (found.pictures[0].at, wanted.pictures[pictures.0].at);
    for unit in [&found.sounds[0], &found.sounds[found.sounds.len() - 1]] {
        let same = wanted.sounds.iter().find(|wanted| wanted.hash == unit.hash).unwrap();
        let off = (unit.at - zero) - (same.at - film_zero);
        assert!(off.abs() < 0.06, "sound is off by {off} s");
    }
    pictures
}

fn run(found: &[Unit], wanted: &[Unit], what: &str) -> (usize, usize) {
    assert!(!found.is_empty(), "no {what}");
    let first = wanted.iter().position(|unit| unit.hash == found[0].hash);
    let first = first.unwrap_or_else(|| panic!("{what} of another film"));
    for (number, unit) in found.iter().enumerate() {
        let there = wanted.get(first + number).map(|wanted| &wanted.hash);
        assert_eq!(there, Some(&unit.hash), "{what}: {number} after the first, of {}", found.len());
    }
    (first, first + found.len())
}
