//! Servers that are wrong about segments of packed sound: nothing in them says how long they are to be but the tags they
//! begin with, and frames that follow each other look whole wherever one was cut.

use std::path::{Path, PathBuf};

use weir_engine::{EngineError, FlawedSegment};

use super::super::films;
use super::super::hls::sound::{master, packed};
use super::super::kitchen::made;
use super::super::measure::Measured;
use super::super::serving::{APART, APART_ZERO, fetched, folder, stamped};
use super::super::support::{Reply, Request, Server};
use super::case::{Case, Expect};

/// The film `talk`, its sound packed as ADTS in `sound0.aac` and on.
fn aac() -> PathBuf {
    made("packed faults", concat!(include_str!("packed.rs"), include_str!("../hls/sound.rs")), |k| {
        k.ts("mute", "picture", APART);
        packed(k, "talk", "adts");
        master(k, &[("en", "English", "sound.m3u8")], "mp4a.40.2");
    })
}

fn mp3() -> PathBuf {
    made("packed MP3", include_str!("../hls/sound.rs"), |k| packed(k, "mp3", "mp3"))
}

fn ac3() -> PathBuf {
    made("packed AC-3", include_str!("../hls/sound.rs"), |k| packed(k, "ac3", "ac3"))
}

/// Answers honestly but for one segment.
fn but(d: &Path, r: &Request, number: usize, other: impl FnOnce(Vec<u8>) -> Vec<u8>) -> Reply {
    let honest = folder(d, r);
    let path = r.path.split('?').next().unwrap().trim_start_matches("/sound");
    if path.split('.').next() == Some(number.to_string().as_str()) {
        return Reply::new(200, other(honest.body()));
    }
    honest
}

/// A part of a segment, of the length that is stated.
fn cut(d: &Path, r: &Request, number: usize, percent: usize) -> Reply {
    but(d, r, number, |whole| whole[..whole.len() * percent / 100].to_vec())
}

/// Bytes of the tag of [`stamped`].
const TAG: usize = 10 + 10 + 45 + 8;

fn bare(d: &Path, r: &Request) -> Reply {
    let honest = folder(d, r);
    if r.path.starts_with("/sound") && !r.path.contains("m3u8") {
        return Reply::new(200, honest.body()[TAG..].to_vec());
    }
    honest
}

/// Every tag but the first says its time in whole units of so many seconds, as encoders do that round.
fn rounded(d: &Path, r: &Request, unit: f64) -> Reply {
    let honest = folder(d, r);
    let number = r.path.strip_prefix("/sound").and_then(|rest| rest.split('.').next()?.parse::<u32>().ok());
    match number.filter(|number| *number > 0) {
        Some(_) => {
            let body = honest.body();
            let ticks = u64::from_be_bytes(body[TAG - 8..TAG].try_into().unwrap());
            let begins = ((ticks as f64 / 90_000.0 - APART_ZERO) / unit).round() * unit + APART_ZERO;
            Reply::new(200, stamped(&body[TAG..], begins))
        }
        None => honest,
    }
}

fn holes(job: &mut weir_engine::Job) {
    job.wishes.holes = true;
}

fn is_short(error: &EngineError, wanted: usize) -> bool {
    let EngineError::DurationMismatch { segment: Some(FlawedSegment { number, missing_s, .. }), .. } = error
    else {
        return false;
    };
    *number == wanted && missing_s.is_some()
}

const FOURTH: Expect = Expect::Error(|error| is_short(error, 4));

pub(crate) const CASES: &[Case] = &[
    Case::new("packed: an honest server", folder, Expect::Whole).of(aac, "/list.m3u8"),
    Case::new("packed: tags to the hundredth", |d, r| rounded(d, r, 0.01), Expect::Whole).of(aac, "/list.m3u8"),
    Case::new("packed: tags to the quarter", |d, r| rounded(d, r, 0.25), Expect::Whole).of(aac, "/list.m3u8"),
    Case::new("packed: tags to the second", |d, r| rounded(d, r, 1.0), Expect::Whole).of(aac, "/list.m3u8"),
    Case::new("packed AAC: one cut", |d, r| cut(d, r, 3, 60), FOURTH).of(aac, "/list.m3u8"),
    Case::new("packed AAC: one cut a little", |d, r| cut(d, r, 3, 75), FOURTH).of(aac, "/list.m3u8"),
    Case::new("packed AAC: the first cut", |d, r| cut(d, r, 0, 60), Expect::Error(|error| is_short(error, 1)))
        .of(aac, "/list.m3u8"),
    Case::new("packed AAC: the last cut", |d, r| cut(d, r, 7, 20), Expect::Error(|error| is_short(error, 8)))
        .of(aac, "/list.m3u8"),
    Case::new("packed AAC: nothing but a tag", |d, r| but(d, r, 3, |whole| whole[..TAG].to_vec()), FOURTH)
        .of(aac, "/list.m3u8"),
    Case::new(
        "packed AAC: the one before instead",
        |d, r| but(d, r, 3, |_| std::fs::read(d.join("sound2.aac")).unwrap()),
        Expect::Error(|error| {
            matches!(error, EngineError::DurationMismatch { segment: Some(segment), .. } if segment.number == 4)
        }),
    )
    .of(aac, "/list.m3u8"),
    Case::new(
        "packed AAC without tags: one cut",
        |d, r| match bare(d, r) {
            honest if r.path.starts_with("/sound3") => {
                let whole = honest.body();
                Reply::new(200, whole[..whole.len() / 5].to_vec())
            }
            honest => honest,
        },
        FOURTH,
    )
    .of(aac, "/list.m3u8"),
    Case::new("packed MP3: one cut", |d, r| cut(d, r, 3, 60), FOURTH).of(mp3, "/sound.m3u8"),
    Case::new("packed AC-3: one cut", |d, r| cut(d, r, 3, 60), FOURTH).of(ac3, "/sound.m3u8"),
    Case::new(
        "holes wished for: packed AAC, one cut",
        |d, r| cut(d, r, 3, 60),
        Expect::Lacks { words: "segment 4 of 8 of the sound, at 0:00:0", from: 0.0, to: 0.0 },
    )
    .of(aac, "/list.m3u8")
    .wishing(holes),
];

#[tokio::test]
async fn what_follows_a_cut_segment_of_packed_sound_stays_beside_its_picture() {
    let server = Server::start(|request| cut(&aac(), request, 3, 60)).await;
    let (_out, finished) = fetched(&server, "/list.m3u8", holes).await;
    let finished = finished.unwrap();
    let (found, wanted) = (Measured::of(&finished.path), films::named("talk").measured());
    let missing = wanted.sounds.len() - found.sounds.len();
    assert!((10..30).contains(&missing), "{missing} packets");
    // The last packets are where they belong beside the pictures: nothing plays early.
    let moved = found.pictures[0].at - wanted.pictures[0].at;
    for (found, wanted) in found.sounds.iter().rev().zip(wanted.sounds.iter().rev()).take(100) {
        let off = found.at - moved - wanted.at;
        assert!(found.hash == wanted.hash && off.abs() < 0.04, "{off} s off at {} s", wanted.at);
    }
}

#[tokio::test]
async fn packed_sound_without_tags_is_whole() {
    let server = Server::start(|request| bare(&aac(), request)).await;
    let (_out, finished) = fetched(&server, "/list.m3u8", |_| {}).await;
    let finished = finished.unwrap();
    let hashes =
        |measured: Measured| -> Vec<String> { measured.sounds.into_iter().map(|unit| unit.hash).collect() };
    assert_eq!(finished.lacks, None);
    assert_eq!(hashes(Measured::of(&finished.path)), hashes(films::named("talk").measured()));
}
