//! Servers that are wrong about the file itself.

use std::io::Write as _;
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use weir_engine::{Checksum, EngineError, Method};

use super::case::{Case, Expect, Scene};
use super::support::{Reply, Request, Step, serve, sha256};

const BROKEN: Expect = Expect::Error(|error| matches!(error, EngineError::BrokenTransfer { .. }));
const LOGIN: Expect = Expect::Error(|error| matches!(error, EngineError::LoginRequired { .. }));
const MISMATCH: Expect = Expect::Error(|error| matches!(error, EngineError::ChecksumMismatch { .. }));
const BAD_URL: Expect = Expect::Error(|error| matches!(error, EngineError::BadUrl { .. }));

fn status(wanted: u16) -> impl Fn(&EngineError) -> bool {
    move |error| matches!(error, EngineError::HttpStatus { status } if *status == wanted)
}

fn packed(data: &[u8]) -> Vec<u8> {
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(data).unwrap();
    packer.finish().unwrap()
}

fn page(text: &str) -> Reply {
    Reply::new(200, text).header("content-type", "text/html; charset=utf-8")
}

fn stating(scene: &Scene, request: &Request, name: &str, value: String) -> Reply {
    let reply = serve(&scene.data, request);
    if request.range.is_none() { reply.header(name, value) } else { reply }
}

fn chunks_cut(scene: &Scene) -> Reply {
    let whole = Reply::new(200, scene.data.clone()).chunked(1000 + scene.random(1, 9000));
    let body = whole.body();
    let keep = body.len() - 1 - scene.random(2, 5000);
    Reply { steps: vec![Step::Bytes(body[..keep].to_vec())], close: true, ..whole }
}

pub(crate) const CASES: &[Case] = &[
    Case::fresh("an honest server", |s, r| s.serve(r), Expect::Data),
    Case::fresh("an empty file", |_, r| serve(b"", r), Expect::Bytes(|_| Vec::new())).small(),
    Case::fresh("a single byte", |_, r| serve(b"x", r), Expect::Bytes(|_| b"x".to_vec())).small(),
    Case::fresh("no length, chunked", |s, _| Reply::new(200, s.data.clone()).chunked(30_011), Expect::Data),
    Case::fresh(
        "no length, until the connection closes",
        |s, _| Reply { length: false, close: true, ..Reply::new(200, s.data.clone()) },
        Expect::Data,
    ),
    Case::fresh("always cut, chunked", |s, _| chunks_cut(s), BROKEN).small(),
    Case::fresh(
        "cut once, chunked",
        |s, r| if r.nth == 0 { chunks_cut(s) } else { Reply::new(200, s.data.clone()).chunked(9999) },
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "cut once, continued by a range",
        |s, r| {
            if r.nth == 0 {
                serve(&s.data, r).cut_after(s.random(0, 290_000), None)
            } else {
                serve(&s.data, r)
            }
        },
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "always shorter than announced",
        |s, r| serve(&s.data, r).cut_after(0, None),
        Expect::Error(EngineError::is_transient),
    )
    .small(),
    Case::fresh(
        "longer than announced",
        |s, _| {
            let body = [s.data.clone(), vec![7; 1000]].concat();
            let reply = Reply::new(200, body).header("content-length", s.data.len().to_string());
            Reply { length: false, close: true, ..reply }
        },
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "two lengths that differ",
        |s, _| Reply::new(200, s.data.clone()).header("content-length", "17"),
        Expect::Error(|_| true),
    )
    .small(),
    Case::fresh(
        "reset after the head, once",
        |s, r| if r.nth == 0 { serve(&s.data, r).cut_after(0, Some(Step::Reset)) } else { serve(&s.data, r) },
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "silent before the head",
        |_, _| Reply::new(200, "").after(Duration::from_secs(20)),
        Expect::Error(|error| matches!(error, EngineError::Timeout { .. })),
    )
    .small(),
    Case::fresh(
        "silent in the middle, always",
        |s, r| serve(&s.data, r).cut_after(0, Some(Step::Pause(Duration::from_secs(20)))),
        Expect::Error(|error| {
            matches!(error, EngineError::Timeout { .. } | EngineError::BrokenTransfer { .. })
        }),
    )
    .small(),
    Case::fresh(
        "busy at first",
        |s, r| match r.nth {
            0 => Reply::new([503, 429, 500][s.seed as usize % 3], "later").header("retry-after", "0"),
            _ => s.serve(r),
        },
        Expect::Data,
    ),
    Case::fresh(
        "busy until a moment that has passed",
        |s, r| match r.nth {
            0 | 1 => Reply::new(503, "").header("retry-after", "Wed, 21 Oct 2015 07:28:00 GMT"),
            _ => s.serve(r),
        },
        Expect::Data,
    ),
    Case::fresh(
        "busy until a second from now, by a clock that is wrong",
        |s, r| match r.nth {
            0 => Reply::new(503, "")
                .header("date", "Fri, 01 Jan 2100 00:00:00 GMT")
                .header("retry-after", "Fri, 01 Jan 2100 00:00:01 GMT"),
            _ => s.serve(r),
        },
        Expect::Data,
    ),
    Case::fresh("always busy", |_, _| Reply::new(503, ""), Expect::Error(|error| status(503)(error))).small(),
    Case::fresh(
        "not ready yet, then ready: 202",
        |s, r| if r.nth < 2 { Reply::new(202, "wait") } else { s.serve(r) },
        Expect::Data,
    ),
    Case::fresh(
        "never ready: 202",
        |_, _| Reply::new(202, "wait"),
        Expect::Error(|error| status(202)(error)),
    )
    .small(),
    Case::fresh(
        "nothing to send: 204",
        |_, _| Reply::new(204, ""),
        Expect::Error(|error| status(204)(error)),
    )
    .small(),
    Case::fresh("nothing new: 304", |_, _| Reply::new(304, ""), Expect::Error(|error| status(304)(error)))
        .small(),
    Case::fresh(
        "a redirect without an address",
        |_, _| Reply::new(302, ""),
        Expect::Error(|error| status(302)(error)),
    )
    .small(),
    Case::fresh("a teapot", |_, _| Reply::new(418, ""), Expect::Error(|error| status(418)(error))).small(),
    Case::fresh("a part nobody asked for", |s, _| Reply::new(206, s.data.clone()), BROKEN).small(),
    Case::fresh(
        "not found",
        |_, _| Reply::new(404, ""),
        Expect::Error(|error| matches!(error, EngineError::Gone { .. })),
    )
    .small(),
    Case::fresh(
        "gone",
        |_, _| Reply::new(410, ""),
        Expect::Error(|error| matches!(error, EngineError::Gone { .. })),
    )
    .small(),
    Case::fresh("forbidden", |_, _| Reply::new(403, ""), LOGIN).small(),
    Case::fresh("a login page", |_, _| page("<!DOCTYPE html><form><input type=\"password\">"), LOGIN)
        .small()
        .at("/film.mp4"),
    Case::fresh("an error page", |_, _| page("<html>Oops"), BROKEN).small().at("/film.mp4"),
    Case::fresh("an error page without a type", |_, _| Reply::new(200, "\n <!doctype HTML><p>x"), BROKEN)
        .small()
        .at("/film.mp4"),
    Case::fresh(
        "a redirect to a login page",
        |_, r| match r.path.as_str() {
            "/film.mp4" => Reply::new(302, "").header("location", "/account/login?next=film"),
            _ => page("<html>who are you?</html>"),
        },
        LOGIN,
    )
    .small()
    .at("/film.mp4"),
    Case::fresh("redirects in circles", |_, _| Reply::new(302, "").header("location", "/file.bin"), {
        Expect::Error(|error| matches!(error, EngineError::TooManyRedirects))
    })
    .small(),
    Case::fresh(
        "a redirect to a file of this machine",
        |_, _| Reply::new(302, "").header("location", "file:///etc/passwd"),
        BAD_URL,
    )
    .small(),
    Case::fresh("a redirect to nowhere", |_, _| Reply::new(302, "").header("location", "http://"), BAD_URL)
        .small(),
    Case::fresh(
        "a redirect that expires",
        |s, r| {
            let turn = r.path.strip_prefix("/signed/").and_then(|turn| turn.parse::<usize>().ok());
            match turn {
                None => Reply::new(302, "").header("location", format!("/signed/{}", r.nth)),
                Some(0) if r.nth == 0 => serve(&s.data, r).cut_after(700_000, None),
                Some(0) => Reply::new(403, "expired"),
                Some(_) => serve(&s.data, r),
            }
        },
        Expect::Data,
    ),
    Case::fresh(
        "a link that works once",
        |s, r| if r.nth == 0 { s.serve(r) } else { Reply::new(403, "used") },
        Expect::Data,
    ),
    Case::fresh(
        "compressed although not asked",
        |s, _| Reply::new(200, packed(&s.data)).header("content-encoding", "gzip"),
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "compressed and cut",
        |s, _| {
            let packed = packed(&s.data);
            Reply::new(200, packed[..packed.len() - 1 - s.random(1, 5000)].to_vec())
                .header("content-encoding", "gzip")
        },
        BROKEN,
    )
    .small(),
    Case::fresh(
        "compressed, with something behind it",
        |s, _| Reply::new(200, [packed(&s.data), vec![1; 100]].concat()).header("content-encoding", "gzip"),
        BROKEN,
    )
    .small(),
    Case::fresh(
        "called compressed and not",
        |s, _| Reply::new(200, s.data.clone()).header("content-encoding", "gzip"),
        BROKEN,
    )
    .small(),
    Case::fresh(
        "compressed in a foreign way",
        |_, _| Reply::new(200, "xyz").header("content-encoding", "br"),
        BROKEN,
    )
    .small(),
    Case::fresh(
        "a Repr-Digest of the right bytes",
        |s, r| stating(s, r, "repr-digest", format!("sha-256=:{}:", STANDARD.encode(sha256(&s.data)))),
        Expect::Data,
    ),
    Case::fresh(
        "a Repr-Digest of other bytes",
        |s, r| stating(s, r, "repr-digest", format!("sha-256=:{}:", STANDARD.encode(sha256(s.other())))),
        MISMATCH,
    ),
    Case::fresh(
        "a Digest of other bytes",
        |s, r| stating(s, r, "digest", format!("SHA-256={}", STANDARD.encode(sha256(s.other())))),
        MISMATCH,
    ),
    Case::fresh(
        "a Content-MD5 of other bytes",
        |s, r| stating(s, r, "content-md5", STANDARD.encode([s.seed as u8; 16])),
        MISMATCH,
    )
    .small(),
    Case::fresh(
        "a Repr-Digest that cannot be read",
        |s, r| stating(s, r, "repr-digest", "sha-256=:AAAA:, x=?1".to_owned()),
        Expect::Data,
    )
    .small(),
    Case::fresh("bytes other than the caller knows", |s, r| serve(s.other(), r), MISMATCH)
        .with(|job, _, scene| job.checksum = Some(Checksum::sha256(&sha256(&scene.data)))),
    Case::fresh(
        "a sidecar of other bytes",
        |s, r| match r.path.as_str() {
            "/file.bin" => serve(&s.data, r),
            _ => Reply::new(200, format!("{}  file.bin", "00".repeat(32))),
        },
        MISMATCH,
    )
    .with(|job, _, _| job.checksum = Some(Checksum::Sidecar)),
    Case::fresh(
        "no sidecar",
        |s, r| if r.path == "/file.bin" { serve(&s.data, r) } else { Reply::new(404, "") },
        Expect::Error(|error| matches!(error, EngineError::ChecksumUnavailable { .. })),
    )
    .with(|job, _, _| job.checksum = Some(Checksum::Sidecar)),
    Case::fresh(
        "a POST",
        |s, r| if r.body == b"a=b" { Reply::new(200, s.data.clone()) } else { Reply::new(400, "") },
        Expect::Data,
    )
    .with(|job, _, _| (job.source.method, job.source.body) = (Method::Post, Some("a=b".into()))),
    Case::fresh(
        "a POST that breaks off",
        |s, r| {
            if r.nth == 0 {
                serve(&s.data, r).cut_after(100_000, None)
            } else {
                Reply::new(200, "ordered twice")
            }
        },
        Expect::Error(EngineError::is_transient),
    )
    .with(|job, _, _| job.source.method = Method::Post),
    Case::fresh(
        "larger than any disk",
        |_, _| Reply {
            length: false,
            ..Reply::new(200, "x").header("content-length", (1_u64 << 60).to_string())
        },
        Expect::Error(|error| matches!(error, EngineError::DiskFull)),
    )
    .small(),
    Case::fresh(
        "head lines without end",
        |s, r| (0..2000).fold(serve(&s.data, r), |reply, n| reply.header(&format!("x-{n}"), "y")),
        Expect::Error(|error| error.is_transient()),
    )
    .small(),
    Case::fresh("tiny: an honest server", |s, r| serve(&s.data, r), Expect::Data).tiny(),
    Case::fresh(
        "tiny: cut once",
        |s, r| {
            if r.nth == 0 { serve(&s.data, r).cut_after(s.random(0, 900), None) } else { serve(&s.data, r) }
        },
        Expect::Data,
    )
    .tiny(),
    Case::fresh(
        "tiny: reset once",
        |s, r| {
            let whole = serve(&s.data, r);
            if r.nth == 0 { whole.cut_after(s.random(0, 900), Some(Step::Reset)) } else { whole }
        },
        Expect::Data,
    )
    .tiny(),
    Case::fresh("tiny: always cut", |s, r| serve(&s.data, r).cut_after(s.random(r.nth, 900), None), BROKEN)
        .tiny(),
    Case::fresh(
        "tiny: another file on the second try",
        |s, r| {
            if r.nth == 0 { serve(&s.data, r).cut_after(s.random(0, 900), None) } else { serve(s.other(), r) }
        },
        Expect::Other,
    )
    .tiny(),
    Case::fresh(
        "tiny: a page on the second try",
        |s, r| {
            if r.nth == 0 {
                serve(&s.data, r).cut_after(s.random(0, 900), None)
            } else {
                page("<html>who?<input type=password>")
            }
        },
        LOGIN,
    )
    .tiny()
    .at("/film.mp4"),
    Case::fresh(
        "tiny: a Repr-Digest of other bytes",
        |s, r| stating(s, r, "repr-digest", format!("sha-256=:{}:", STANDARD.encode(sha256(s.other())))),
        MISMATCH,
    )
    .tiny(),
    Case::fresh("tiny: bytes other than the caller knows", |s, r| serve(s.other(), r), MISMATCH)
        .tiny()
        .with(|job, _, scene| job.checksum = Some(Checksum::sha256(&sha256(&scene.data)))),
    Case::fresh(
        "tiny: no sidecar",
        |s, r| if r.path == "/file.bin" { serve(&s.data, r) } else { Reply::new(404, "") },
        Expect::Error(|error| matches!(error, EngineError::ChecksumUnavailable { .. })),
    )
    .tiny()
    .with(|job, _, _| job.checksum = Some(Checksum::Sidecar)),
];
