//! Servers that are wrong about MPDs and what they name.

use std::path::{Path, PathBuf};

use weir_engine::EngineError;

use super::super::kitchen::made;
use super::super::serving::folder;
use super::super::support::{Reply, Request, Step};
use super::case::{Case, Expect};

const BAD: Expect = Expect::Error(|error| matches!(error, EngineError::BadManifest { .. }));
const BAD_OR_FOREIGN: Expect =
    Expect::Error(|error| matches!(error, EngineError::BadManifest { .. } | EngineError::BadUrl { .. }));
const MISSING: Expect = Expect::Error(|error| matches!(error, EngineError::SegmentMissing { .. }));
const NOTICED: Expect = Expect::Error(|error| {
    matches!(
        error,
        EngineError::DurationMismatch { .. }
            | EngineError::MuxFailed { .. }
            | EngineError::SegmentMissing { .. }
            | EngineError::UnsupportedMedia { .. }
    )
});

/// `/list.mpd`, `list-0-1.m4s` and on for pictures, `list-1-1.m4s` and on for sound.
fn plain() -> PathBuf {
    made("plain DASH", include_str!("dash.rs"), |k| k.dash("talk", "list", &["-use_timeline", "1"]))
}

/// One file each, with an index.
fn indexed() -> PathBuf {
    made("indexed DASH", include_str!("dash.rs"), |k| {
        let film = k.film("talk");
        for (name, map) in [("v.mp4", "0:v"), ("a.mp4", "0:a")] {
            let fragments = "+dash+global_sidx+frag_keyframe+default_base_moof";
            k.ffmpeg(&[
                "-i",
                &film,
                "-map",
                map,
                "-c",
                "copy",
                "-movflags",
                fragments,
                "-frag_duration",
                "1000000",
                name,
            ]);
        }
        let set = |name: &str, kind: &str, zero: &str, more: &str| {
            let bytes = k.read(name);
            let at = bytes.windows(4).position(|window| window == b"sidx").unwrap() - 4;
            let size = u32::from_be_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
            format!(
                "<AdaptationSet contentType=\"{kind}\"><Representation id=\"{name}\" mimeType=\"{kind}/mp4\" bandwidth=\"100000\" {more}>\
                 <BaseURL>{name}</BaseURL><SegmentBase {zero} indexRange=\"{at}-{}\"><Initialization range=\"0-{}\"/></SegmentBase></Representation></AdaptationSet>",
                at + size - 1,
                at - 1
            )
        };
        // Cut one by one, each begins at its clock's zero, wherever that is in the film.
        let sets = [
            set(
                "v.mp4",
                "video",
                "timescale=\"10240\" presentationTimeOffset=\"2048\"",
                "codecs=\"avc1.4d400a\"",
            ),
            set(
                "a.mp4",
                "audio",
                "timescale=\"44100\" presentationTimeOffset=\"1024\"",
                "codecs=\"mp4a.40.2\"",
            ),
        ]
        .concat();
        k.write("list.mpd", super::super::dash::over(&[&format!("<Period>{sets}</Period>")], 8.0));
    })
}

fn mpd(text: impl Into<String>, d: &Path, r: &Request) -> Reply {
    if r.path.starts_with("/list.mpd") {
        return Reply::new(200, text.into()).header("content-type", "application/dash+xml");
    }
    folder(d, r)
}

/// The honest MPD, changed.
fn changed(d: &Path, r: &Request, change: impl FnOnce(String) -> String) -> Reply {
    match std::fs::read_to_string(d.join("list.mpd")) {
        Ok(text) if r.path.starts_with("/list.mpd") => mpd(change(text), d, r),
        _ => folder(d, r),
    }
}

fn but(path: &str, d: &Path, r: &Request, other: impl FnOnce(Reply) -> Reply) -> Reply {
    let honest = folder(d, r);
    if r.path.split('?').next() == Some(path) { other(honest) } else { honest }
}

fn entities() -> String {
    let mut text = "<?xml version=\"1.0\"?><!DOCTYPE MPD [<!ENTITY a0 \"ha\">".to_owned();
    for n in 1..30 {
        text.push_str(&format!("<!ENTITY a{n} \"&a{0};&a{0};\">", n - 1));
    }
    text + "]><MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"><Period><BaseURL>&a29;</BaseURL></Period></MPD>"
}

/// An index of many entries that are not there.
fn huge_index() -> Vec<u8> {
    let count = 65_535_u16;
    let mut body = vec![0_u8; 4];
    for word in [1_u32, 1000, 0, 0] {
        body.extend(word.to_be_bytes());
    }
    body.extend([0, 0]);
    body.extend(count.to_be_bytes());
    for _ in 0..count {
        for word in [0x7FFF_FFFF_u32, 0xFFFF_FFFF, 0x9000_0000] {
            body.extend(word.to_be_bytes());
        }
    }
    let size = (body.len() + 8) as u32;
    [&size.to_be_bytes()[..], b"sidx", &body].concat()
}

const fn case(name: &'static str, answer: fn(&Path, &Request) -> Reply, expect: Expect) -> Case {
    Case::new(name, answer, expect).of(plain, "/list.mpd")
}

const fn of_index(name: &'static str, answer: fn(&Path, &Request) -> Reply, expect: Expect) -> Case {
    Case::new(name, answer, expect).of(indexed, "/list.mpd")
}

pub(crate) const CASES: &[Case] = &[
    case("an honest server", folder, Expect::Whole),
    of_index("an honest server, one file each", folder, Expect::Whole),
    case("a page instead of a manifest", |d, r| mpd("<!doctype html><p>login", d, r), BAD),
    case("an empty manifest", |d, r| mpd("", d, r), BAD),
    case("a manifest of nothing", |d, r| mpd("<MPD xmlns=\"urn:mpeg:dash:schema:mpd:2011\"/>", d, r), BAD),
    case("a manifest that is cut", |d, r| changed(d, r, |text| text[..text.len() * 2 / 3].to_owned()), BAD),
    case("entities that grow to gigabytes", |d, r| mpd(entities(), d, r), BAD),
    case(
        "an entity of this machine",
        |d, r| {
            mpd(
                "<?xml version=\"1.0\"?><!DOCTYPE MPD [<!ENTITY x SYSTEM \"file:///etc/passwd\">]><MPD><Period><BaseURL>&x;</BaseURL></Period></MPD>",
                d,
                r,
            )
        },
        BAD,
    ),
    case(
        "a base of this machine",
        |d, r| changed(d, r, |text| text.replacen("<Period", "<BaseURL>file:///etc/</BaseURL><Period", 1)),
        BAD_OR_FOREIGN,
    ),
    case(
        "a base by a foreign scheme",
        |d, r| {
            changed(d, r, |text| text.replacen("<Period", "<BaseURL>ftp://127.0.0.1/</BaseURL><Period", 1))
        },
        BAD_OR_FOREIGN,
    ),
    case(
        "a segment that lasts less than nothing",
        |d, r| changed(d, r, |text| text.replacen(" d=\"", " d=\"-", 1)),
        BAD,
    ),
    case(
        "a billion segments",
        |d, r| changed(d, r, |text| text.replacen(" r=\"", " r=\"99999999", 1)),
        Expect::Error(|error| {
            matches!(
                error,
                EngineError::BadManifest { .. }
                    | EngineError::SegmentMissing { .. }
                    | EngineError::DurationMismatch { .. }
            )
        }),
    ),
    case(
        "a clock of no ticks",
        |d, r| changed(d, r, |text| text.replace(" timescale=\"", " timescale=\"0\" x=\"")),
        BAD,
    ),
    case(
        "elements a thousand deep",
        |d, r| mpd(format!("<MPD>{}{}</MPD>", "<Period>".repeat(5000), "</Period>".repeat(5000)), d, r),
        BAD,
    ),
    case(
        "a representation twice as deep as it says",
        |d, r| changed(d, r, |text| text.replace("$Number$", "$Nothing$")),
        Expect::Error(|error| {
            matches!(error, EngineError::BadManifest { .. } | EngineError::SegmentMissing { .. })
        }),
    ),
    case("a segment that is missing", |d, r| but("/list-0-4.m4s", d, r, |_| Reply::new(404, "")), MISSING),
    case(
        "a segment of sound that is missing",
        |d, r| but("/list-1-4.m4s", d, r, |_| Reply::new(404, "")),
        MISSING,
    ),
    case(
        "a segment that is missing at first",
        |d, r| but("/list-0-4.m4s", d, r, |h| if r.nth == 0 { Reply::new(404, "") } else { h }),
        Expect::Whole,
    ),
    case(
        "a segment that is reset once",
        |d, r| {
            but("/list-0-4.m4s", d, r, |h| if r.nth == 0 { h.cut_after(900, Some(Step::Reset)) } else { h })
        },
        Expect::Whole,
    ),
    case(
        "a segment that is always cut",
        |d, r| but("/list-0-4.m4s", d, r, |h| h.cut_after(900, None)),
        MISSING,
    ),
    case(
        "a page instead of a segment",
        |d, r| but("/list-0-4.m4s", d, r, |_| Reply::new(200, "<!doctype html>no")),
        MISSING,
    ),
    case(
        "another segment instead of one",
        |d, r| {
            but("/list-0-4.m4s", d, r, |_| Reply::new(200, std::fs::read(d.join("list-0-6.m4s")).unwrap()))
        },
        NOTICED,
    ),
    case(
        "the one before again",
        |d, r| {
            but("/list-0-4.m4s", d, r, |_| Reply::new(200, std::fs::read(d.join("list-0-3.m4s")).unwrap()))
        },
        NOTICED,
    ),
    case(
        "sound instead of pictures",
        |d, r| {
            but("/list-0-4.m4s", d, r, |_| Reply::new(200, std::fs::read(d.join("list-1-4.m4s")).unwrap()))
        },
        NOTICED,
    ),
    case(
        "half a segment that says it is whole",
        |d, r| {
            but("/list-0-4.m4s", d, r, |h| {
                let body = h.body();
                Reply::new(200, body[..body.len() / 2].to_vec())
            })
        },
        NOTICED,
    ),
    case("no initialisation", |d, r| but("/list-init0.m4s", d, r, |_| Reply::new(404, "")), MISSING),
    case("an empty initialisation", |d, r| but("/list-init0.m4s", d, r, |_| Reply::new(200, "")), NOTICED),
    case(
        "the initialisation of the other track",
        |d, r| {
            but("/list-init0.m4s", d, r, |_| {
                Reply::new(200, std::fs::read(d.join("list-init1.m4s")).unwrap())
            })
        },
        NOTICED,
    ),
    case(
        "all of the sound is missing",
        |d, r| {
            if r.path.starts_with("/list-1-") { Reply::new(404, "") } else { folder(d, r) }
        },
        MISSING,
    ),
    case(
        "holes wished for: one missing",
        |d, r| but("/list-0-4.m4s", d, r, |_| Reply::new(404, "")),
        Expect::Lacks { words: "0:00:03", from: 3.0, to: 4.0 },
    )
    .wishing(|job| job.wishes.holes = true),
    of_index(
        "an index beyond the file",
        |d, r| changed(d, r, |text| text.replace("indexRange=\"", "indexRange=\"9999999-99999999\" x=\"")),
        Expect::Error(|error| !matches!(error, EngineError::Internal(_) | EngineError::Timeout { .. })),
    ),
    of_index(
        "an index of 10 GB",
        |d, r| changed(d, r, |text| text.replace("indexRange=\"", "indexRange=\"800-10000000000\" x=\"")),
        Expect::WholeOr(|error| !matches!(error, EngineError::Internal(_) | EngineError::Timeout { .. })),
    ),
    of_index(
        "something else instead of an index",
        |d, r| changed(d, r, |text| text.replace("indexRange=\"", "indexRange=\"0-99\" x=\"")),
        Expect::WholeOr(|error| !matches!(error, EngineError::Internal(_) | EngineError::Timeout { .. })),
    ),
    of_index(
        "an index of what is not there",
        |d, r| {
            if r.path.starts_with("/list.mpd") {
                return changed(d, r, |text| {
                    let index = huge_index().len() + 99_999;
                    text.replace("indexRange=\"", &format!("indexRange=\"100000-{index}\" x=\""))
                });
            }
            let mut data = std::fs::read(d.join(r.path.trim_start_matches('/'))).unwrap();
            data.resize(100_000, 0);
            data.extend(huge_index());
            super::super::support::serve_as(&data, r, "", "")
        },
        Expect::Error(|error| !matches!(error, EngineError::Internal(_) | EngineError::Timeout { .. })),
    ),
];
