//! Segments and playlists that pretend to be something else, or come another way than they seem to.

use std::io::Write as _;
use std::path::Path;

use super::super::kitchen::Kitchen;
use super::super::recipe::{Recipe, try_all};
use super::super::serving::{folder, playlist};
use super::super::support::{Reply, Request};

/// The smallest whole PNG.
const PNG: &[u8] = &[
    0x89, 0x50, 0x4E, 0x47, 0x0D, 0x0A, 0x1A, 0x0A, 0, 0, 0, 0x0D, 0x49, 0x48, 0x44, 0x52, 0, 0, 0, 1, 0, 0,
    0, 1, 8, 6, 0, 0, 0, 0x1F, 0x15, 0xC4, 0x89, 0, 0, 0, 0x0D, 0x49, 0x44, 0x41, 0x54, 0x78, 0x9C, 0x63, 0,
    1, 0, 0, 5, 0, 1, 0x0D, 0x0A, 0x2D, 0xB4, 0, 0, 0, 0, 0x49, 0x45, 0x4E, 0x44, 0xAE, 0x42, 0x60, 0x82,
];

/// Puts `head` before each segment and gives it another ending.
fn behind(kitchen: &Kitchen, head: &[u8], ending: &str) {
    kitchen.ts("talk", "list", &[]);
    let mut body = String::new();
    for (number, name) in kitchen.numbered("list", ".ts").iter().enumerate() {
        let disguised = format!("photo{number}.{ending}");
        kitchen.write(&disguised, [head, &kitchen.read(name)].concat());
        body.push_str(&format!("#EXTINF:1,\n{disguised}\n"));
    }
    kitchen.write("list.m3u8", playlist(&body));
}

/// The smallest BMP: one pixel.
fn bmp() -> Vec<u8> {
    let mut out = b"BM".to_vec();
    for word in [58_u32, 0, 54, 40, 1, 1, 1 | 24 << 16, 0, 4, 0, 0, 0, 0, 0] {
        out.extend(word.to_le_bytes());
    }
    out
}

/// As much of a JPEG as is put before segments: the head of JFIF, and the end.
fn jpeg() -> Vec<u8> {
    [&[0xFF, 0xD8, 0xFF, 0xE0, 0, 16][..], b"JFIF\0", &[1, 1, 0, 0, 1, 0, 1, 0, 0, 0xFF, 0xD9]].concat()
}

fn as_pictures(directory: &Path, request: &Request) -> Reply {
    let kind = match request.path.rsplit('.').next() {
        Some("png") => "image/png",
        Some("bmp") => "image/bmp",
        Some("jpg") => "image/jpeg",
        Some("html") => "text/html; charset=utf-8",
        _ => "text/plain",
    };
    folder(directory, request).header("content-type", kind)
}

fn packed(directory: &Path, request: &Request) -> Reply {
    let reply = folder(directory, request);
    if !request.path.ends_with(".m3u8") {
        return reply;
    }
    let mut packer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    packer.write_all(&reply.body()).unwrap();
    Reply::new(200, packer.finish().unwrap())
        .header("content-encoding", "gzip")
        .header("content-type", "application/vnd.apple.mpegurl")
}

/// The playlist is elsewhere, and its segments are beside it there.
fn moved(directory: &Path, request: &Request) -> Reply {
    match request.path.strip_prefix("/archive/2026/") {
        Some(name) => folder(directory, &Request { path: format!("/{name}"), ..request.clone() }),
        None if request.path == "/list.m3u8" => {
            Reply::new(302, "").header("location", "/archive/2026/list.m3u8?t=1")
        }
        None => Reply::new(404, ""),
    }
}

const RECIPES: &[Recipe] = &[
    Recipe::new("segments behind a PNG", |k| behind(k, PNG, "png")).answered(as_pictures),
    Recipe::new("segments behind a BMP", |k| behind(k, &bmp(), "bmp")).answered(as_pictures),
    Recipe::new("segments behind a JPEG", |k| behind(k, &jpeg(), "jpg")).answered(as_pictures),
    Recipe::new("segments behind eight bytes of a PNG", |k| behind(k, &PNG[..8], "png"))
        .answered(as_pictures),
    Recipe::new("segments called images", |k| behind(k, b"", "jpg")).answered(as_pictures),
    Recipe::new("segments called pages", |k| behind(k, b"", "html")).answered(as_pictures),
    Recipe::new("a playlist that is packed", |k| k.ts("talk", "list", &[])).answered(packed),
    Recipe::new("a playlist that has moved, its segments beside it", |k| k.ts("talk", "list", &[]))
        .answered(moved),
    Recipe::new("a playlist of no type and with lines of Windows", |k| {
        k.ts("talk", "list", &[]);
        k.edit("list.m3u8", |text| format!("\u{feff}{}", text.replace('\n', "\r\n")));
    })
    .answered(|directory, request| {
        folder(directory, request).header("content-type", "application/octet-stream")
    }),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn disguises() {
    try_all(include_str!("disguises.rs"), RECIPES).await;
}
