//! Servers that are wrong about segments.

use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_engine::EngineError;

use super::super::kitchen::made;
use super::super::serving::{folder, talk};
use super::super::support::{Reply, Request, Step, noise};
use super::case::{Case, Expect};

const MISSING: Expect =
    Expect::Error(|error| matches!(error, EngineError::SegmentMissing { index: 3, number: 4, .. }));
/// Well-formed, but not what belongs there.
const NOTICED: Expect = Expect::Error(|error| {
    matches!(
        error,
        EngineError::DurationMismatch { .. }
            | EngineError::MuxFailed { .. }
            | EngineError::SegmentMissing { .. }
    )
});

/// Answers honestly but for one path.
fn but(path: &str, directory: &Path, request: &Request, other: impl FnOnce(Reply) -> Reply) -> Reply {
    let honest = folder(directory, request);
    if request.path.split('?').next() == Some(path) { other(honest) } else { honest }
}

/// The same for the first time it is asked for, or the first `times`.
fn at_first(times: usize, d: &Path, r: &Request, other: impl FnOnce(Reply) -> Reply) -> Reply {
    but("/s3.ts", d, r, |honest| if r.nth < times { other(honest) } else { honest })
}

fn always(d: &Path, r: &Request, other: impl FnOnce(Reply) -> Reply) -> Reply {
    but("/s3.ts", d, r, other)
}

fn page() -> Reply {
    Reply::new(200, "<!doctype html><p>Sorry").header("content-type", "video/mp2t")
}

fn instead(directory: &Path, other: &str) -> Reply {
    Reply::new(200, std::fs::read(directory.join(other)).unwrap())
}

/// The plain stream, and beside it each segment without its pictures and without its sound.
fn halved() -> PathBuf {
    made("halved", "TS of talk, and each segment without picture, without sound", |k| {
        k.ts("talk", "s", &[]);
        for name in k.numbered("s", ".ts") {
            for dropped in ["v", "a"] {
                let (keep, to) = (format!("-{dropped}n"), format!("{name}.{dropped}"));
                k.ffmpeg(&[
                    "-copyts",
                    "-i",
                    &name,
                    "-c",
                    "copy",
                    &keep,
                    "-f",
                    "mpegts",
                    "-muxdelay",
                    "0",
                    "-muxpreload",
                    "0",
                    &to,
                ]);
            }
        }
    })
}

/// Transport stream packets that carry nothing.
fn nothing() -> Reply {
    Reply::new(200, [&[0x47, 0x1F, 0xFF, 0x10][..], &[0xFF; 184]].concat().repeat(20))
}

fn apart() -> PathBuf {
    super::super::choosing::variants()
}

/// The playlist says itself that a segment does not exist.
fn gap(directory: &Path, request: &Request) -> Reply {
    if request.path.starts_with("/s.m3u8") {
        let text = String::from_utf8(folder(directory, request).body()).unwrap();
        return Reply::new(200, text.replace("s3.ts", "#EXT-X-GAP\ns3.ts"));
    }
    assert!(!request.path.starts_with("/s3.ts"));
    folder(directory, request)
}

fn holes(job: &mut weir_engine::Job) {
    job.wishes.holes = true;
}

pub(crate) const CASES: &[Case] = &[
    Case::new("an honest server", folder, Expect::Whole),
    Case::new("404 once", |d, r| at_first(1, d, r, |_| Reply::new(404, "")), Expect::Whole),
    Case::new("503 twice", |d, r| at_first(2, d, r, |_| Reply::new(503, "")), Expect::Whole),
    Case::new(
        "429, come back in a second",
        |d, r| at_first(1, d, r, |_| Reply::new(429, "").header("retry-after", "1")),
        Expect::Whole,
    ),
    Case::new("empty once", |d, r| at_first(1, d, r, |_| Reply::new(200, "")), Expect::Whole),
    Case::new("a page once", |d, r| at_first(1, d, r, |_| page()), Expect::Whole),
    Case::new(
        "reset in the middle once",
        |d, r| at_first(1, d, r, |h| h.cut_after(1000, Some(Step::Reset))),
        Expect::Whole,
    ),
    Case::new("cut once", |d, r| at_first(1, d, r, |h| h.cut_after(4000, None)), Expect::Whole),
    Case::new(
        "cut in its chunks once",
        |d, r| {
            at_first(1, d, r, |h| {
                let whole = h.chunked(1000);
                let bytes = whole.body();
                Reply { steps: vec![Step::Bytes(bytes[..bytes.len() / 2].to_vec())], close: true, ..whole }
            })
        },
        Expect::Whole,
    ),
    Case::new(
        "silent in the middle once",
        |d, r| {
            at_first(1, d, r, |h| {
                let body = h.body();
                let steps = vec![
                    Step::Bytes(body[..2000].to_vec()),
                    Step::Pause(Duration::from_secs(3)),
                    Step::Bytes(body[2000..].to_vec()),
                ];
                Reply { steps, length: false, ..h.header("content-length", body.len().to_string()) }
            })
        },
        Expect::Whole,
    ),
    Case::new(
        "silent from the beginning once",
        |d, r| at_first(1, d, r, |h| h.after(Duration::from_secs(3))),
        Expect::Whole,
    ),
    Case::new(
        "every segment slow",
        |d, r| {
            let honest = folder(d, r);
            if r.path.ends_with(".ts") { honest.slowly(4000, Duration::from_millis(60)) } else { honest }
        },
        Expect::Whole,
    ),
    Case::new("every segment in chunks of unknown length", |d, r| folder(d, r).chunked(777), Expect::Whole),
    Case::new(
        "every other request refused: 503",
        |d, r| {
            if r.path.ends_with(".ts") && r.nth == 0 { Reply::new(503, "") } else { folder(d, r) }
        },
        Expect::Whole,
    ),
    Case::new("404", |d, r| always(d, r, |_| Reply::new(404, "")), MISSING),
    Case::new("410", |d, r| always(d, r, |_| Reply::new(410, "")), MISSING),
    Case::new("500", |d, r| always(d, r, |_| Reply::new(500, "")), MISSING),
    Case::new("empty", |d, r| always(d, r, |_| Reply::new(200, "")), MISSING),
    Case::new("nothing to send: 204", |d, r| always(d, r, |_| Reply::new(204, "")), MISSING),
    Case::new("a page", |d, r| always(d, r, |_| page()), MISSING),
    Case::new("cut", |d, r| always(d, r, |h| h.cut_after(5000, None)), MISSING),
    Case::new("reset", |d, r| always(d, r, |h| h.cut_after(500, Some(Step::Reset))), MISSING),
    Case::new(
        "silent",
        |d, r| always(d, r, |h| h.after(Duration::from_secs(60))),
        Expect::Error(|error| {
            matches!(error, EngineError::SegmentMissing { index: 3, .. } | EngineError::Timeout { .. })
        }),
    ),
    Case::new(
        "forbidden",
        |d, r| always(d, r, |_| Reply::new(403, "")),
        Expect::Error(|error| matches!(error, EngineError::LoginRequired { status: 403 })),
    ),
    Case::new(
        "a redirect in circles",
        |d, r| always(d, r, |_| Reply::new(302, "").header("location", "/s3.ts")),
        Expect::Error(|error| {
            matches!(error, EngineError::TooManyRedirects | EngineError::SegmentMissing { index: 3, .. })
        }),
    ),
    Case::new(
        "the first is missing",
        |d, r| but("/s0.ts", d, r, |_| Reply::new(404, "")),
        Expect::Error(|error| matches!(error, EngineError::SegmentMissing { index: 0, .. })),
    ),
    Case::new(
        "the last is missing",
        |d, r| but("/s7.ts", d, r, |_| Reply::new(404, "")),
        Expect::Error(|error| matches!(error, EngineError::SegmentMissing { index: 7, .. })),
    ),
    Case::new("noise", |d, r| always(d, r, |_| Reply::new(200, noise(1, 30_000))), NOTICED),
    Case::new(
        "noise from the first on",
        |d, r| {
            if r.path.ends_with(".ts") { Reply::new(200, noise(1, 30_000)) } else { folder(d, r) }
        },
        Expect::Error(|error| {
            matches!(error, EngineError::UnsupportedMedia { .. } | EngineError::SegmentMissing { .. })
        }),
    ),
    Case::new("the one before instead", |d, r| always(d, r, |_| instead(d, "s2.ts")), NOTICED),
    Case::new("one of long ago instead", |d, r| but("/s6.ts", d, r, |_| instead(d, "s1.ts")), NOTICED),
    Case::new("the next instead", |d, r| always(d, r, |_| instead(d, "s4.ts")), NOTICED),
    Case::new(
        "two of them swapped",
        |d, r| match r.path.split('?').next() {
            Some("/s3.ts") => instead(d, "s4.ts"),
            Some("/s4.ts") => instead(d, "s3.ts"),
            _ => folder(d, r),
        },
        NOTICED,
    ),
    Case::new("the first again as the last", |d, r| but("/s7.ts", d, r, |_| instead(d, "s0.ts")), NOTICED),
    Case::new("packets that carry nothing", |d, r| always(d, r, |_| nothing()), NOTICED),
    Case::new("packets that carry nothing, as the last", |d, r| but("/s7.ts", d, r, |_| nothing()), NOTICED),
    Case::new("no picture in one", |d, r| always(d, r, |_| instead(d, "s3.ts.v")), NOTICED)
        .of(halved, "/s.m3u8"),
    Case::new("no sound in one", |d, r| always(d, r, |_| instead(d, "s3.ts.a")), NOTICED)
        .of(halved, "/s.m3u8"),
    Case::new("no picture in the last", |d, r| but("/s7.ts", d, r, |_| instead(d, "s7.ts.v")), NOTICED)
        .of(halved, "/s.m3u8"),
    Case::new("no sound in the last", |d, r| but("/s7.ts", d, r, |_| instead(d, "s7.ts.a")), NOTICED)
        .of(halved, "/s.m3u8"),
    Case::new("apart: no picture in the second", |d, r| but("/v01.ts", d, r, |_| nothing()), NOTICED)
        .of(apart, "/master.m3u8"),
    Case::new("apart: no picture in the middle", |d, r| but("/v04.ts", d, r, |_| nothing()), NOTICED)
        .of(apart, "/master.m3u8"),
    Case::new("apart: no picture in the last", |d, r| but("/v07.ts", d, r, |_| nothing()), NOTICED)
        .of(apart, "/master.m3u8"),
    Case::new("apart: no sound in the middle", |d, r| but("/v24.ts", d, r, |_| nothing()), NOTICED)
        .of(apart, "/master.m3u8"),
    Case::new(
        "apart: a segment of sound is missing",
        |d, r| but("/v24.ts", d, r, |_| Reply::new(404, "")),
        Expect::Error(|error| matches!(error, EngineError::SegmentMissing { index: 4, .. })),
    )
    .of(apart, "/master.m3u8"),
    Case::new(
        "apart: the sound has no playlist",
        |d, r| but("/v2.m3u8", d, r, |_| Reply::new(404, "")),
        Expect::Error(|error| matches!(error, EngineError::Gone { .. })),
    )
    .of(apart, "/master.m3u8"),
    Case::new("a gap that is announced", gap, MISSING),
    Case::new(
        "holes wished for: a gap that is announced",
        gap,
        Expect::Lacks { words: "0:00:03", from: 3.0, to: 4.0 },
    )
    .wishing(holes),
    Case::new("holes wished for, none there", folder, Expect::Whole).wishing(holes),
    Case::new(
        "holes wished for: one missing",
        |d, r| always(d, r, |_| Reply::new(404, "")),
        Expect::Lacks { words: "0:00:03", from: 3.0, to: 4.0 },
    )
    .wishing(holes),
    Case::new(
        "holes wished for: three missing",
        |d, r| {
            let gone = ["/s2.ts", "/s3.ts", "/s4.ts"].contains(&r.path.split('?').next().unwrap());
            if gone { Reply::new(404, "") } else { folder(d, r) }
        },
        Expect::Lacks { words: "0:00:02", from: 2.0, to: 5.0 },
    )
    .wishing(holes),
    Case::new(
        "holes wished for: the last missing",
        |d, r| but("/s7.ts", d, r, |_| Reply::new(404, "")),
        Expect::Lacks { words: "0:00:07", from: 7.0, to: 8.0 },
    )
    .wishing(holes),
    Case::new(
        "holes wished for: everything missing",
        |d, r| {
            if r.path.contains(".ts") { Reply::new(404, "") } else { folder(d, r) }
        },
        Expect::Error(|error| {
            matches!(error, EngineError::SegmentMissing { .. } | EngineError::NothingRecorded)
        }),
    )
    .wishing(holes),
];

#[test]
fn halves_are_what_they_are_called() {
    let folder = halved();
    let kinds = |name: &str| {
        super::super::measure::probed(&folder.join(name), &["-show_entries", "stream=codec_type"])
    };
    assert!(!kinds("s3.ts.v").contains("video") && kinds("s3.ts.v").contains("audio"));
    assert!(kinds("s3.ts.a").contains("video") && !kinds("s3.ts.a").contains("audio"));
    assert!(talk().join("s7.ts").exists());
}
