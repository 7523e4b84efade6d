//! Names that would be somewhere else, or something else.

use super::case::{Case, Expect, Scene};
use super::support::{Reply, Request, serve};

fn called(scene: &Scene, request: &Request, disposition: &str) -> Reply {
    serve(&scene.data, request).header("content-disposition", disposition)
}

pub(crate) const CASES: &[Case] = &[
    Case::fresh("name: up and out", |s, r| called(s, r, "attachment; filename=\"../../../escape.bin\""), {
        Expect::Named("escape.bin")
    })
    .small(),
    Case::fresh("name: absolute", |s, r| called(s, r, "attachment; filename=\"/etc/cron.d/evil\""), {
        Expect::Named("evil")
    })
    .small(),
    Case::fresh(
        "name: encoded slashes",
        |s, r| called(s, r, "attachment; filename*=UTF-8''..%2f..%2fup.bin"),
        Expect::Named("up.bin"),
    )
    .small(),
    Case::fresh(
        "name: backslashes",
        |s, r| called(s, r, "attachment; filename=\"..\\\\..\\\\win.bin\""),
        Expect::Data,
    )
    .small(),
    Case::fresh("name: only dots", |s, r| called(s, r, "attachment; filename=\"..\""), Expect::Data).small(),
    Case::fresh("name: reserved elsewhere", |s, r| called(s, r, "attachment; filename=\"NUL.txt\""), {
        Expect::Named("_NUL.txt")
    })
    .small(),
    Case::fresh(
        "name: hidden",
        |s, r| called(s, r, "attachment; filename=\".hidden\""),
        Expect::Named("_hidden"),
    )
    .small(),
    Case::fresh(
        "name: a NUL within",
        |s, r| called(s, r, "attachment; filename*=UTF-8''a%00b.bin"),
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "name: a journal's",
        |s, r| called(s, r, "attachment; filename=\"x.part.weir\""),
        Expect::Data,
    )
    .small(),
    Case::fresh(
        "name: longer than a name can be",
        |s, r| called(s, r, &format!("attachment; filename=\"{}.bin\"", "ä".repeat(400))),
        Expect::Data,
    )
    .small(),
    Case::fresh("name: in the address, encoded", |s, r| serve(&s.data, r), Expect::Data)
        .small()
        .at("/a/..%2f..%2f..%2fetc%2fpasswd"),
    Case::fresh(
        "name: direction turned",
        |s, r| called(s, r, "attachment; filename*=UTF-8''a%E2%80%AEgpj.exe"),
        Expect::Data,
    )
    .small(),
];
