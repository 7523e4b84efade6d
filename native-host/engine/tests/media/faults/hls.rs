//! Servers that are wrong about playlists, keys and initialisation sections.

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::Duration;

use weir_engine::EngineError;

use super::super::kitchen::made;
use super::super::serving::{encrypted, folder, playlist};
use super::super::support::{Reply, Request};
use super::case::{Case, Expect};

const BAD: Expect = Expect::Error(|error| matches!(error, EngineError::BadPlaylist(_)));
const BAD_OR_FOREIGN: Expect =
    Expect::Error(|error| matches!(error, EngineError::BadPlaylist(_) | EngineError::BadUrl { .. }));
const UNSUPPORTED: Expect = Expect::Error(|error| matches!(error, EngineError::UnsupportedMedia { .. }));
const BEYOND: Expect = Expect::Error(|error| {
    matches!(
        error,
        EngineError::SegmentMissing { .. }
            | EngineError::UnsupportedMedia { .. }
            | EngineError::BadPlaylist(_)
    )
});
const NO_KEY: Expect = Expect::Error(|error| {
    matches!(
        error,
        EngineError::UnsupportedMedia { .. } | EngineError::Gone { .. } | EngineError::SegmentMissing { .. }
    )
});

/// Answers with a playlist, and with the segments of the plain stream.
fn list(text: impl Into<String>, directory: &Path, request: &Request) -> Reply {
    if request.path.starts_with("/s.m3u8") {
        return Reply::new(200, text.into()).header("content-type", "application/vnd.apple.mpegurl");
    }
    folder(directory, request)
}

/// The plain stream with a key, and as fragmented MP4 with a map.
fn secret() -> PathBuf {
    made("secret", include_str!("hls.rs"), |k| {
        k.ts("talk", "s", &[]);
        k.write("key", [7; 16]);
        for (number, name) in k.numbered("s", ".ts").iter().enumerate() {
            k.write(name, encrypted(&k.read(name), &[7; 16], number as u128));
        }
        k.write("s.m3u8", playlist(&format!("#EXT-X-KEY:METHOD=AES-128,URI=\"key\"\n{}", k.body("s"))));
    })
}

/// The fourth segment is whole by its length, and is not by what it was.
fn cut(directory: &Path, request: &Request) -> Reply {
    if !request.path.starts_with("/s3.ts") {
        return folder(directory, request);
    }
    Reply::new(200, &std::fs::read(directory.join("s3.ts")).unwrap()[..10_000])
}

fn mapped() -> PathBuf {
    made("mapped", include_str!("hls.rs"), |k| {
        k.fmp4("talk", "s", &[]);
        k.fmp4("large", "l", &[]);
    })
}

fn key(directory: &Path, request: &Request, reply: Reply) -> Reply {
    if request.path.starts_with("/key") { reply } else { folder(directory, request) }
}

fn map(directory: &Path, request: &Request, reply: Reply) -> Reply {
    if request.path.starts_with("/s.init") { reply } else { folder(directory, request) }
}

/// A playlist of a line without end.
fn bomb() -> Reply {
    let folder = made("bomb", "256 MiB of one sign, packed", |k| {
        let mut packer = flate2::write::GzEncoder::new(b"".to_vec(), flate2::Compression::fast());
        packer.write_all(b"#EXTM3U\n").unwrap();
        let block = vec![b'#'; 1 << 20];
        for _ in 0..256 {
            packer.write_all(&block).unwrap();
        }
        k.write("bomb.gz", packer.finish().unwrap());
    });
    Reply::new(200, std::fs::read(folder.join("bomb.gz")).unwrap())
        .header("content-encoding", "gzip")
        .header("content-type", "application/vnd.apple.mpegurl")
}

fn million() -> &'static str {
    static TEXT: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    TEXT.get_or_init(|| {
        let mut text = String::with_capacity(24_000_000);
        text.push_str("#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-PLAYLIST-TYPE:VOD\n");
        for n in 0..1_000_000 {
            text.push_str(&format!("#EXTINF:1,\ngone{n}\n"));
        }
        text + "#EXT-X-ENDLIST\n"
    })
}

/// Made before it is asked for: on a busy machine that takes longer than anybody waits for a server.
fn with_a_million() -> PathBuf {
    million();
    super::super::serving::talk()
}

pub(crate) const CASES: &[Case] = &[
    Case::new("a page instead of a playlist", |d, r| list("<!doctype html><p>login", d, r), BAD),
    Case::new("an empty playlist", |d, r| list("", d, r), BAD),
    Case::new("a playlist without segments", |d, r| list("#EXTM3U\n#EXT-X-ENDLIST\n", d, r), BAD),
    Case::new(
        "a playlist that is cut",
        |d, r| {
            let text = String::from_utf8(folder(d, r).body()).unwrap_or_default();
            list(&text[..text.len() * 2 / 3], d, r)
        },
        BAD,
    ),
    Case::new(
        "a playlist whose transfer is cut",
        |d, r| {
            if r.path.starts_with("/s.m3u8") { folder(d, r).cut_after(150, None) } else { folder(d, r) }
        },
        Expect::Error(EngineError::is_transient),
    ),
    Case::new(
        "a playlist whose transfer is cut once",
        |d, r| {
            if r.path.starts_with("/s.m3u8") && r.nth == 0 {
                folder(d, r).cut_after(150, None)
            } else {
                folder(d, r)
            }
        },
        Expect::WholeOr(EngineError::is_transient),
    ),
    Case::new(
        "a playlist that is not there at first: 502",
        |d, r| {
            if r.path.starts_with("/s.m3u8") && r.nth == 0 { Reply::new(502, "") } else { folder(d, r) }
        },
        Expect::Whole,
    ),
    Case::new(
        "a playlist that is not there",
        |d, r| {
            if r.path.starts_with("/s.m3u8") { Reply::new(404, "") } else { folder(d, r) }
        },
        Expect::Error(|error| matches!(error, EngineError::Gone { .. })),
    ),
    Case::new(
        "a playlist that never comes",
        |d, r| {
            if r.path.starts_with("/s.m3u8") {
                folder(d, r).after(Duration::from_secs(60))
            } else {
                folder(d, r)
            }
        },
        Expect::Error(EngineError::is_transient),
    ),
    Case::new(
        "a playlist that unpacks to 256 MiB",
        |d, r| {
            if r.path.starts_with("/s.m3u8") { bomb() } else { folder(d, r) }
        },
        Expect::Error(|error| {
            matches!(
                error,
                EngineError::BadPlaylist(_)
                    | EngineError::BrokenTransfer { .. }
                    | EngineError::UnsupportedMedia { .. }
            )
        }),
    ),
    Case::new(
        "a playlist that lists itself",
        |d, r| list("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/s.m3u8\n", d, r),
        BAD,
    ),
    Case::new(
        "qualities that list each other",
        |d, r| {
            if r.path.starts_with("/other") {
                Reply::new(200, "#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/s.m3u8\n")
            } else {
                list("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\n/other.m3u8\n", d, r)
            }
        },
        BAD,
    ),
    Case::new(
        "a playlist that is its own segment",
        |d, r| list("#EXTM3U\n#EXTINF:1,\n/s.m3u8\n#EXT-X-ENDLIST\n", d, r),
        Expect::Error(|error| {
            matches!(
                error,
                EngineError::SegmentMissing { .. }
                    | EngineError::UnsupportedMedia { .. }
                    | EngineError::BadPlaylist(_)
            )
        }),
    ),
    Case::new(
        "a million segments that are not there",
        |d, r| {
            if r.path.starts_with("/s.m3u8") { list(million(), d, r) } else { Reply::new(404, "") }
        },
        Expect::Error(|error| {
            matches!(
                error,
                EngineError::SegmentMissing { index: 0, .. }
                    | EngineError::BrokenTransfer { .. }
                    | EngineError::BadPlaylist(_)
            )
        }),
    )
    .of(with_a_million, "/s.m3u8"),
    Case::new(
        "a segment of this machine",
        |d, r| list("#EXTM3U\n#EXTINF:1,\nfile:///etc/passwd\n#EXT-X-ENDLIST\n", d, r),
        BAD_OR_FOREIGN,
    ),
    Case::new(
        "a segment by a foreign scheme",
        |d, r| list("#EXTM3U\n#EXTINF:1,\nftp://127.0.0.1/s\n#EXT-X-ENDLIST\n", d, r),
        BAD_OR_FOREIGN,
    ),
    Case::new(
        "a quality of this machine",
        |d, r| list("#EXTM3U\n#EXT-X-STREAM-INF:BANDWIDTH=1\nfile:///etc/hosts\n", d, r),
        BAD_OR_FOREIGN,
    ),
    Case::new(
        "a key of this machine",
        |d, r| {
            list(
                playlist("#EXT-X-KEY:METHOD=AES-128,URI=\"file:///etc/hostname\"\n#EXTINF:1,\ns0.ts\n"),
                d,
                r,
            )
        },
        BAD_OR_FOREIGN,
    ),
    Case::new(
        "a map of this machine",
        |d, r| list(playlist("#EXT-X-MAP:URI=\"file:///etc/hostname\"\n#EXTINF:1,\ns0.ts\n"), d, r),
        BAD_OR_FOREIGN,
    ),
    Case::new("a negative duration", |d, r| list(playlist("#EXTINF:-1,\ns0.ts\n"), d, r), BAD),
    Case::new("a duration that is no number", |d, r| list(playlist("#EXTINF:NaN,\ns0.ts\n"), d, r), BAD),
    Case::new("an endless duration", |d, r| list(playlist("#EXTINF:inf,\ns0.ts\n"), d, r), BAD),
    Case::new(
        "a duration of a thousand years",
        |d, r| list(playlist("#EXTINF:31536000000,\ns0.ts\n"), d, r),
        BAD,
    ),
    Case::new(
        "an hour claimed for a second",
        |d, r| list(playlist("#EXTINF:3600,\ns0.ts\n"), d, r),
        Expect::Error(|error| matches!(error, EngineError::DurationMismatch { .. })),
    ),
    Case::new(
        "a byte range beyond the file",
        |d, r| list(playlist("#EXTINF:1,\n#EXT-X-BYTERANGE:1000@9000000\ns0.ts\n"), d, r),
        BEYOND,
    ),
    Case::new(
        "a byte range of 10 GB",
        |d, r| list(playlist("#EXTINF:1,\n#EXT-X-BYTERANGE:10000000000@0\ns0.ts\n"), d, r),
        BEYOND,
    ),
    Case::new(
        "a byte range that overflows",
        |d, r| list(playlist("#EXTINF:1,\n#EXT-X-BYTERANGE:2@18446744073709551615\ns0.ts\n"), d, r),
        BAD,
    ),
    Case::new(
        "byte ranges of a server without ranges",
        |d, r| {
            let bare = Request { range: None, ..r.clone() };
            let text = playlist("#EXTINF:1,\n#EXT-X-BYTERANGE:1880@188\ns0.ts\n");
            if r.path.starts_with("/s.m3u8") {
                list(text, d, r)
            } else {
                Reply { headers: Vec::new(), ..folder(d, &bare) }
            }
        },
        Expect::Error(|error| {
            matches!(
                error,
                EngineError::SegmentMissing { .. }
                    | EngineError::DurationMismatch { .. }
                    | EngineError::MuxFailed { .. }
            )
        }),
    ),
    Case::new(
        "single pictures only",
        |d, r| list(playlist("#EXT-X-I-FRAMES-ONLY\n#EXTINF:1,\ns0.ts\n"), d, r),
        UNSUPPORTED,
    ),
    Case::new(
        "an unknown encryption",
        |d, r| list(playlist("#EXT-X-KEY:METHOD=ROT13,URI=\"key\"\n#EXTINF:1,\ns0.ts\n"), d, r),
        UNSUPPORTED,
    ),
    Case::new(
        "FairPlay",
        |d, r| {
            list(
                playlist(
                    "#EXT-X-KEY:METHOD=SAMPLE-AES,URI=\"skd://x\",KEYFORMAT=\"com.apple.streamingkeydelivery\"\n#EXTINF:1,\ns0.ts\n",
                ),
                d,
                r,
            )
        },
        Expect::Error(|error| matches!(error, EngineError::Drm { system } if system == "FairPlay")),
    ),
    Case::new("the key is not there", |d, r| key(d, r, Reply::new(404, "")), NO_KEY).of(secret, "/s.m3u8"),
    Case::new("a key of 15 bytes", |d, r| key(d, r, Reply::new(200, [7; 15])), NO_KEY).of(secret, "/s.m3u8"),
    Case::new("a key of 17 bytes", |d, r| key(d, r, Reply::new(200, [7; 17])), NO_KEY).of(secret, "/s.m3u8"),
    Case::new("a key of no bytes", |d, r| key(d, r, Reply::new(200, "")), NO_KEY).of(secret, "/s.m3u8"),
    Case::new("a page instead of a key", |d, r| key(d, r, Reply::new(200, "<html>login</html>")), NO_KEY)
        .of(secret, "/s.m3u8"),
    Case::new("a key without end", |d, r| key(d, r, Reply::new(200, vec![7; 9 << 20])), NO_KEY)
        .of(secret, "/s.m3u8"),
    Case::new("another key", |d, r| key(d, r, Reply::new(200, [8; 16])), NO_KEY).of(secret, "/s.m3u8"),
    Case::new(
        "an encrypted segment that is cut",
        cut,
        Expect::Error(|error| matches!(error, EngineError::SegmentMissing { index: 3, .. })),
    )
    .of(secret, "/s.m3u8"),
    Case::new(
        "the rest of it is wanted",
        cut,
        Expect::Lacks { words: "1 segment (1.0 s) is missing, at 0:00:03", from: 3.0, to: 4.0 },
    )
    .of(secret, "/s.m3u8")
    .wishing(|job| job.wishes.holes = true),
    Case::new(
        "a key behind a login",
        |d, r| key(d, r, Reply::new(401, "")),
        Expect::Error(|error| matches!(error, EngineError::LoginRequired { .. })),
    )
    .of(secret, "/s.m3u8"),
    Case::new(
        "a key that is not there at first: 503",
        |d, r| {
            if r.path.starts_with("/key") && r.nth == 0 { Reply::new(503, "") } else { folder(d, r) }
        },
        Expect::Whole,
    )
    .of(secret, "/s.m3u8"),
    Case::new("the map is not there", |d, r| map(d, r, Reply::new(404, "")), BEYOND).of(mapped, "/s.m3u8"),
    Case::new("an empty map", |d, r| map(d, r, Reply::new(200, "")), BEYOND).of(mapped, "/s.m3u8"),
    Case::new("a page instead of a map", |d, r| map(d, r, Reply::new(200, "<!doctype html>")), BEYOND)
        .of(mapped, "/s.m3u8"),
    Case::new(
        "the map that is not there at first: 503",
        |d, r| {
            if r.path.starts_with("/s.init") && r.nth == 0 { Reply::new(503, "") } else { folder(d, r) }
        },
        Expect::Whole,
    )
    .of(mapped, "/s.m3u8"),
];
