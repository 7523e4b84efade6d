//! What a download meets when it goes on after a stop.

use std::time::Duration;

use weir_engine::EngineError;

use super::case::{Case, Expect};
use super::support::{Reply, serve, serve_as};

/// As the honest answers have it.
const DATE: &str = "Wed, 21 Oct 2026 07:28:00 GMT";
const LATER: &str = "Thu, 22 Oct 2026 07:28:00 GMT";

const LOGIN: Expect = Expect::Error(|error| matches!(error, EngineError::LoginRequired { .. }));

pub(crate) const CASES: &[Case] = &[
    Case::resumed("resumed: the same", |s, r| serve(&s.data, r), Expect::Data),
    Case::resumed(
        "T1 resumed: replaced, as long",
        |s, r| serve_as(s.other(), r, "\"v2\"", LATER),
        Expect::Other,
    ),
    Case::resumed(
        "resumed: replaced, same date",
        |s, r| serve_as(s.other(), r, "\"v2\"", DATE),
        Expect::Other,
    ),
    Case::resumed("resumed: replaced, no validators", |s, r| serve_as(s.other(), r, "", ""), Expect::Other),
    Case::resumed("resumed: replaced, only a date", |s, r| serve_as(s.other(), r, "", LATER), Expect::Other),
    Case::resumed(
        "resumed: replaced, a weak tag",
        |s, r| serve_as(s.other(), r, "W/\"v2\"", ""),
        Expect::Other,
    ),
    Case::resumed("resumed: no validators any more", |s, r| serve_as(&s.data, r, "", ""), Expect::Data),
    Case::resumed(
        "resumed: shorter now",
        |s, r| serve_as(&s.other()[..s.other().len() / 2], r, "", ""),
        Expect::Bytes(|s| s.other()[..s.other().len() / 2].to_vec()),
    ),
    Case::resumed(
        "resumed: shorter than what is there",
        |s, r| serve_as(&s.other()[..1000], r, "\"v2\"", LATER),
        Expect::Bytes(|s| s.other()[..1000].to_vec()),
    ),
    Case::resumed(
        "resumed: longer now",
        |s, r| serve_as(&[s.other(), &s.data].concat(), r, "\"v2\"", LATER),
        Expect::Bytes(|s| [s.other(), &s.data].concat()),
    ),
    Case::resumed("T2 resumed: ranges ignored now", |s, _| Reply::new(200, s.data.clone()), Expect::Data),
    Case::resumed(
        "resumed: ranges ignored and replaced",
        |s, _| Reply::new(200, s.other().to_vec()),
        Expect::Other,
    ),
    Case::resumed(
        "resumed: neither ranges nor a length",
        |s, _| Reply::new(200, s.data.clone()).chunked(77_777),
        Expect::Data,
    ),
    Case::resumed(
        "resumed: 416 for ranges",
        |s, r| if r.range.is_some() { Reply::new(416, "") } else { serve(&s.data, r) },
        Expect::Data,
    ),
    Case::resumed(
        "T5 resumed: later ranges are chunked pages",
        |s, r| {
            if r.range.is_some() && r.nth % 3 == 2 {
                Reply::new(200, "<html>busy</html>").header("content-type", "text/html").chunked(7)
            } else {
                serve(&s.data, r).slowly(300_000, Duration::from_millis(5))
            }
        },
        Expect::Data,
    ),
    Case::resumed(
        "T6 resumed: 200 to any If-Range",
        |s, r| {
            if r.header("if-range").is_some() {
                let whole = super::support::Request { range: None, ..r.clone() };
                serve(&s.data, &whole)
            } else {
                serve(&s.data, r)
            }
        },
        Expect::Data,
    ),
    Case::resumed(
        "resumed: 200 to any If-Range, of other bytes",
        |s, r| {
            if r.header("if-range").is_some() {
                Reply::new(200, s.other().to_vec())
            } else {
                serve(&s.data, r)
            }
        },
        Expect::Data,
    ),
    Case::resumed(
        "resumed: If-Range is answered as it should be, replaced",
        |s, r| {
            let fits = r.header("if-range").is_none_or(|known| known == "\"v2\"");
            let asked = super::support::Request { range: r.range.filter(|_| fits), ..r.clone() };
            serve_as(s.other(), &asked, "\"v2\"", LATER)
        },
        Expect::Other,
    ),
    Case::resumed(
        "resumed: 412 to If-Range",
        |s, r| if r.header("if-range").is_some() { Reply::new(412, "") } else { serve(&s.data, r) },
        Expect::Data,
    ),
    Case::resumed(
        "resumed: a weak tag that differs by node",
        |s, r| serve_as(&s.data, r, "W/\"other\"", DATE),
        Expect::Data,
    ),
    Case::resumed(
        "resumed: a strong tag that is another now",
        |s, r| serve_as(&s.data, r, "\"node2\"", DATE),
        Expect::Data,
    ),
    Case::resumed(
        "resumed: a strong tag for every answer",
        |s, r| serve_as(&s.data, r, &format!("\"{}\"", r.nth), DATE),
        Expect::Data,
    ),
    Case::resumed(
        "resumed: another tag, and the end is another too",
        |s, r| {
            let half = s.data.len() / 8;
            let mixed = [&s.data[..half], &s.other()[half..]].concat();
            serve_as(&mixed, r, "\"v2\"", DATE)
        },
        Expect::Bytes(|s| {
            let half = s.data.len() / 8;
            [&s.data[..half], &s.other()[half..]].concat()
        }),
    ),
    Case::resumed(
        "resumed: busy twice",
        |s, r| if r.nth % 4 == 1 { Reply::new(503, "") } else { serve(&s.data, r) },
        Expect::Data,
    ),
    Case::resumed(
        "resumed: cut again and again",
        |s, r| {
            let reply = serve(&s.data, r);
            if r.nth % 3 == 2 { reply } else { reply.cut_after(100_000 + s.random(r.nth, 400_000), None) }
        },
        Expect::Data,
    ),
    Case::resumed(
        "resumed: a login page",
        |_, _| Reply::new(200, "<!doctype html><input type=password>").header("content-type", "text/html"),
        LOGIN,
    ),
    Case::resumed(
        "resumed: a redirect to a login page",
        |_, r| match r.path.as_str() {
            "/file.bin" => Reply::new(302, "").header("location", "/login"),
            _ => Reply::new(200, "<html>who?").header("content-type", "text/html"),
        },
        LOGIN,
    ),
    Case::resumed("resumed: forbidden", |_, _| Reply::new(403, ""), LOGIN),
    Case::resumed(
        "resumed: gone",
        |_, _| Reply::new(404, ""),
        Expect::Error(|error| matches!(error, EngineError::Gone { .. })),
    ),
];
