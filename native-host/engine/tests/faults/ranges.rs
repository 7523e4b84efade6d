//! Servers that are wrong about ranges.

use std::time::Duration;

use weir_engine::EngineError;

use super::MIB;
use super::case::{Case, Expect, Scene};
use super::support::{Reply, Request, Step, serve, serve_as};

const LATER: &str = "Thu, 22 Oct 2026 07:28:00 GMT";

/// Ranges are answered by `wrong`, everything else properly.
fn only(scene: &Scene, request: &Request, wrong: impl FnOnce(Reply) -> Reply) -> Reply {
    if request.range.is_some() { wrong(serve(&scene.data, request)) } else { scene.serve(request) }
}

fn with_range(scene: &Scene, request: &Request, value: impl FnOnce(u64, u64) -> String) -> Reply {
    match request.range {
        Some((start, _)) => {
            serve(&scene.data, request).header("content-range", value(start, scene.data.len() as u64))
        }
        None => scene.serve(request),
    }
}

pub(crate) const CASES: &[Case] = &[
    Case::fresh("T7 ranges ignored", |s, _| Reply::new(200, s.data.clone()), Expect::Data),
    Case::fresh(
        "ranges ignored, and slowly",
        |s, _| Reply::new(200, s.data.clone()).slowly(MIB, Duration::from_millis(10)),
        Expect::Data,
    ),
    Case::fresh(
        "ranges denied by Accept-Ranges",
        |s, _| {
            Reply::new(200, s.data.clone())
                .header("accept-ranges", "none")
                .slowly(MIB, Duration::from_millis(5))
        },
        Expect::Data,
    ),
    Case::fresh("ranges refused: 416", |s, r| only(s, r, |_| Reply::new(416, "no")), Expect::Data),
    Case::fresh("ranges refused: 403", |s, r| only(s, r, |_| Reply::new(403, "no")), Expect::Data),
    Case::fresh("ranges refused: 401", |s, r| only(s, r, |_| Reply::new(401, "no")), Expect::Data),
    Case::fresh("ranges refused: 404", |s, r| only(s, r, |_| Reply::new(404, "no")), Expect::Data),
    Case::fresh("ranges refused: 500", |s, r| only(s, r, |_| Reply::new(500, "no")), Expect::Data),
    Case::fresh(
        "ranges refused: 503, come back in a minute",
        |s, r| only(s, r, |_| Reply::new(503, "no").header("retry-after", "60")),
        Expect::Data,
    ),
    Case::fresh(
        "ranges refused: 429, with a date",
        |s, r| only(s, r, |_| Reply::new(429, "no").header("retry-after", LATER)),
        Expect::Data,
    ),
    Case::fresh(
        "the whole file instead of a range",
        |s, r| only(s, r, |_| Reply::new(200, s.data.clone())),
        Expect::Data,
    ),
    Case::fresh(
        "a page instead of a range",
        |s, r| only(s, r, |_| Reply::new(200, "<html>busy</html>").header("content-type", "text/html")),
        Expect::Data,
    ),
    Case::fresh(
        "a chunked page instead of a range",
        |s, r| only(s, r, |_| Reply::new(200, "<html>busy</html>").chunked(5)),
        Expect::Data,
    ),
    Case::fresh(
        "a redirect without an address instead of a range",
        |s, r| only(s, r, |_| Reply::new(302, "")),
        Expect::Data,
    ),
    Case::fresh(
        "Content-Range one byte off",
        |s, r| with_range(s, r, |start, total| format!("bytes {}-{}/{total}", start + 1, total - 1)),
        Expect::Data,
    ),
    Case::fresh(
        "Content-Range of the beginning",
        |s, r| with_range(s, r, |_, total| format!("bytes 0-{}/{total}", total - 1)),
        Expect::Data,
    ),
    Case::fresh(
        "Content-Range of a longer file",
        |s, r| with_range(s, r, |start, total| format!("bytes {start}-{}/{}", start + 9, total + 1)),
        Expect::Data,
    ),
    Case::fresh(
        "Content-Range of another file",
        |s, r| with_range(s, r, |_, _| "bytes 0-99/100".into()),
        Expect::Data,
    ),
    Case::fresh("Content-Range is nonsense", |s, r| with_range(s, r, |_, _| "nonsense".into()), Expect::Data),
    Case::fresh(
        "Content-Range too large for any number",
        |s, r| with_range(s, r, |_, _| format!("bytes 0-{0}{0}/{0}{0}", u64::MAX)),
        Expect::Data,
    ),
    Case::fresh(
        "Content-Range in another unit",
        |s, r| with_range(s, r, |start, total| format!("items {start}-{}/{total}", total - 1)),
        Expect::Data,
    ),
    Case::fresh(
        "no Content-Range",
        |s, r| {
            only(s, r, |mut reply| {
                reply.headers.retain(|(name, _)| name != "content-range");
                reply
            })
        },
        Expect::Data,
    ),
    Case::fresh(
        "Content-Range without the total",
        |s, r| {
            let end = r.range.and_then(|range| range.1).unwrap_or(0);
            with_range(s, r, |start, total| format!("bytes {start}-{}/*", end.min(total) - 1))
        },
        Expect::Data,
    ),
    Case::fresh(
        "a length that contradicts Content-Range",
        |s, r| {
            only(s, r, |reply| {
                let body = [reply.body(), vec![0x55; 9]].concat();
                Reply { steps: vec![Step::Bytes(body)], ..reply }
            })
        },
        Expect::Data,
    ),
    Case::fresh(
        "ranges of another version",
        |s, r| match r.range {
            Some(_) => serve_as(s.other(), r, "\"v2\"", LATER),
            None => s.serve(r),
        },
        Expect::Data,
    ),
    Case::fresh(
        "ranges of another version, told by the date alone",
        |s, r| match r.range {
            Some(_) => serve_as(s.other(), r, "", LATER),
            None => s.serve(r),
        },
        Expect::Data,
    ),
    Case::fresh(
        "an entity tag for every answer",
        |s, r| s.serve(r).header("etag", format!("\"{}\"", r.nth)),
        Expect::Data,
    ),
    Case::fresh(
        "a weak tag for every answer",
        |s, r| s.serve(r).header("etag", format!("W/\"{}\"", r.nth)),
        Expect::Data,
    ),
    Case::fresh(
        "a range that goes on and on",
        |s, r| {
            only(s, r, |reply| {
                let body = [reply.body(), vec![0xAA; 100_000]].concat();
                Reply { steps: vec![Step::Bytes(body)], length: false, close: true, ..reply }
            })
        },
        Expect::Data,
    ),
    Case::fresh(
        "short ranges",
        |s, r| {
            if r.range.is_some() && r.nth % 3 == 1 {
                serve(&s.data, r).cut_after(s.random(r.nth, 200_000), None)
            } else {
                s.serve(r)
            }
        },
        Expect::Data,
    ),
    Case::fresh(
        "resets in the middle",
        |s, r| {
            if r.nth.is_multiple_of(2) {
                serve(&s.data, r).cut_after(300_000 + s.random(r.nth, 2 * MIB), Some(Step::Reset))
            } else {
                s.serve(r)
            }
        },
        Expect::Data,
    ),
    Case::fresh(
        "a connection that falls silent",
        |s, r| {
            if r.nth == 1 + s.seed as usize % 2 {
                serve(&s.data, r)
                    .cut_after(s.random(r.nth, 60_000), Some(Step::Pause(Duration::from_secs(30))))
            } else {
                s.serve(r)
            }
        },
        Expect::Data,
    ),
    Case::fresh(
        "a range compressed although not asked",
        |s, r| only(s, r, |reply| reply.header("content-encoding", "gzip")),
        Expect::Data,
    ),
    Case::fresh(
        "several ranges in one answer",
        |s, r| only(s, r, |reply| reply.header("content-type", "multipart/byteranges; boundary=x")),
        Expect::Data,
    ),
    Case::fresh(
        "chunked ranges",
        |s, r| {
            let piece = 1000 + s.random(r.nth, 50_000);
            only(s, r, |reply| reply.chunked(piece))
        },
        Expect::Data,
    ),
    Case::fresh(
        "chunked ranges of something else",
        |s, r| match r.range {
            Some(_) => serve(s.other(), r).header("content-range", "bytes 0-9/10").chunked(9999),
            None => s.serve(r),
        },
        Expect::Data,
    ),
    Case::fresh(
        "a chunked range that is cut",
        |s, r| {
            if r.range.is_some() && r.nth < 6 {
                let whole = serve(&s.data, r).chunked(10_007);
                let body = whole.body();
                let keep = body.len() / 2;
                Reply { steps: vec![Step::Bytes(body[..keep].to_vec())], close: true, ..whole }
            } else {
                s.serve(r)
            }
        },
        Expect::Data,
    ),
    Case::fresh(
        "every connection but the first is refused half-way",
        |s, r| match r.nth {
            0 => s.serve(r),
            n if n < 5 => serve(&s.data, r).cut_after(s.random(n, 100_000), Some(Step::Reset)),
            _ => Reply::new(503, ""),
        },
        Expect::DataOr(|error| matches!(error, EngineError::HttpStatus { status: 503 })),
    ),
];
