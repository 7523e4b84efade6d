//! Servers that lost the end of a segment and state the length of what is left.

use std::path::{Path, PathBuf};

use weir_engine::EngineError;

use super::super::kitchen::made;
use super::super::serving::folder;
use super::super::support::{Reply, Request};
use super::case::{Case, Expect};

/// The fourth segment without its end.
fn cut(d: &Path, r: &Request, left: impl FnOnce(usize) -> usize) -> Reply {
    let honest = folder(d, r);
    if !r.path.starts_with("/s3.") {
        return honest;
    }
    let whole = honest.body();
    Reply::new(200, whole[..left(whole.len())].to_vec())
}

/// In the middle of a packet or a box.
fn torn(d: &Path, r: &Request) -> Reply {
    cut(d, r, |whole| whole * 6 / 10 / 188 * 188 + 99)
}

/// Between two packets.
fn shorter(d: &Path, r: &Request) -> Reply {
    cut(d, r, |whole| whole * 6 / 10 / 188 * 188)
}

/// Where frames of sound go on.
fn silenced(d: &Path, r: &Request) -> Reply {
    cut(d, r, |whole| whole * 42 / 100)
}

/// The film as fragments.
fn boxes() -> PathBuf {
    made("boxes", "fragments of talk", |k| k.fmp4("talk", "s", &[]))
}

const FOURTH: Expect = Expect::Error(
    |error| matches!(error, EngineError::DurationMismatch { segment: Some(segment), .. } if segment.number == 4),
);

fn holes(job: &mut weir_engine::Job) {
    job.wishes.holes = true;
}

pub(crate) const CASES: &[Case] = &[
    Case::new("cut inside a packet, its length told right", torn, FOURTH),
    Case::new("boxes: cut, its length told right", torn, FOURTH).of(boxes, "/s.m3u8"),
    Case::new("cut between two packets, its length told right", shorter, FOURTH),
    // Here ffmpeg gives up.
    Case::new("cut inside its sound, its length told right", silenced, FOURTH),
    Case::new(
        "holes wished for: cut inside its sound",
        silenced,
        Expect::Lacks { words: "segment 4 of 8, at 0:00:03", from: 3.0, to: 4.0 },
    )
    .wishing(holes),
    Case::new(
        "holes wished for: boxes, cut",
        torn,
        Expect::Lacks { words: "segment 4 of 8, at 0:00:03", from: 3.0, to: 4.0 },
    )
    .of(boxes, "/s.m3u8")
    .wishing(holes),
];
