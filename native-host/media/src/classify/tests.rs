//! Rows of what was met on the web, and what it must be taken for.

use super::*;

/// Initiator, address, type, disposition, length, range.
type Row<'a> = (Initiator, &'a str, Option<&'a str>, Option<&'a str>, Option<u64>, Option<&'a str>);

fn verdict(
    (initiator, url, content_type, content_disposition, content_length, content_range): Row<'_>,
) -> What {
    classify(&Response { url, content_type, content_disposition, content_length, content_range, initiator })
}

fn check(rows: &[(Row<'_>, What)]) {
    for (row, expected) in rows {
        assert_eq!(verdict(*row), *expected, "{row:?}");
    }
}

use Initiator::{Element, Navigation, Script};

const MB: Option<u64> = Some(1_000_000);

#[test]
fn playlists_by_type_whatever_the_name() {
    for content_type in HLS_TYPES {
        check(&[
            ((Script, "https://a.test/v", Some(content_type), None, None, None), What::Hls),
            ((Script, "https://a.test/list.php?id=1", Some(content_type), None, None, None), What::Hls),
        ]);
        let shouted = format!("{} ;charset=UTF-8", content_type.to_uppercase());
        check(&[((Element, "https://a.test/v", Some(&shouted), None, None, None), What::Hls)]);
    }
}

#[test]
fn playlists_by_name_when_the_type_says_nothing() {
    check(&[
        ((Script, "https://a.test/x/index.m3u8?t=1", None, None, None, None), What::Hls),
        (
            (Script, "https://a.test/INDEX.M3U8", Some("text/plain; charset=utf-8"), None, None, None),
            What::Hls,
        ),
        (
            (Script, "https://a.test/a.m3u8#frag/b.mp4", Some("application/octet-stream"), None, None, None),
            What::Hls,
        ),
        (
            (Script, "https://a.test/a.m3u8;jsessionid=7", Some("binary/octet-stream"), None, None, None),
            What::Hls,
        ),
        ((Navigation, "https://a.test/a.m3u8", None, Some("attachment"), None, None), What::Hls),
        (
            (
                Navigation,
                "https://a.test/get",
                Some("application/octet-stream"),
                Some("attachment; filename=\"a.m3u8\""),
                None,
                None,
            ),
            What::Hls,
        ),
    ]);
}

#[test]
fn disguised_playlists_must_show_their_body() {
    check(&[
        ((Script, "https://a.test/x/master.txt", Some("text/plain"), None, None, None), What::MaybeHls),
        (
            (Script, "https://a.test/x/playlist", Some("application/octet-stream"), None, Some(900), None),
            What::MaybeHls,
        ),
        ((Script, "https://a.test/x.png?src=a.m3u8", Some("image/png"), None, None, None), What::MaybeHls),
        ((Script, "https://a.test/list.m3u8", Some("image/png"), None, None, None), What::MaybeHls),
        ((Script, "https://a.test/list.m3u8", Some("text/html"), None, None, None), What::MaybeHls),
        ((Script, "https://a.test/radio.m3u", Some("audio/x-mpegurl"), None, None, None), What::MaybeHls),
        // Too large to be one, asked for in parts, or named by a person.
        (
            (Script, "https://a.test/x/master.txt", Some("text/plain"), None, Some(5_000_000), None),
            What::Nothing,
        ),
        ((Script, "https://a.test/x/readme.txt", Some("text/plain"), None, None, None), What::Nothing),
        ((Navigation, "https://a.test/x/master.txt", Some("text/plain"), None, None, None), What::Nothing),
        ((Script, "https://a.test/x/master.json", Some("application/json"), None, None, None), What::Nothing),
        // A segment whose address carries the playlist's name is a segment.
        (
            (Script, "https://a.test/a.m3u8/seg1.ts", Some("application/octet-stream"), None, None, None),
            What::Piece,
        ),
    ]);
}

#[test]
fn manifests_of_other_kinds_are_known() {
    check(&[
        ((Script, "https://a.test/manifest.mpd", None, None, None, None), What::Dash),
        (
            (Script, "https://a.test/m", Some("application/dash+xml; charset=utf-8"), None, None, None),
            What::Dash,
        ),
        ((Script, "https://a.test/m", Some("video/vnd.mpeg.dash.mpd"), None, None, None), What::Dash),
        ((Script, "https://a.test/m.mpd", Some("application/xml"), None, None, None), What::Dash),
        (
            (Script, "https://a.test/v.ism/Manifest", Some("text/xml"), None, None, None),
            What::ForeignManifest,
        ),
        ((Script, "https://a.test/v.f4m", None, None, None, None), What::ForeignManifest),
        ((Script, "https://a.test/m.mpd", Some("text/html"), None, None, None), What::Nothing),
    ]);
}

#[test]
fn pieces_are_folded() {
    check(&[
        ((Script, "https://a.test/1.ts", Some("video/mp2t"), None, MB, None), What::Piece),
        ((Script, "https://a.test/1.ts?x=1", Some("video/MP2T"), None, MB, None), What::Piece),
        ((Script, "https://a.test/1.ts", None, None, MB, None), What::Piece),
        ((Script, "https://a.test/1.m4s", Some("video/mp4"), None, MB, None), What::Piece),
        ((Script, "https://a.test/1.cmfv", Some("application/octet-stream"), None, MB, None), What::Piece),
        ((Script, "https://a.test/v", Some("video/iso.segment"), None, MB, None), What::Piece),
        ((Script, "https://a.test/init.mp4", Some("video/mp4"), None, Some(800), None), What::Piece),
        ((Script, "https://a.test/init-0.mp4", Some("video/mp4"), None, MB, None), What::Piece),
        (
            (Script, "https://a.test/chunk-stream0-00001.webm", Some("video/webm"), None, MB, None),
            What::Piece,
        ),
        (
            (
                Script,
                "https://a.test/v.mp4",
                Some("video/mp4"),
                None,
                Some(1000),
                Some("bytes 0-999/5000000"),
            ),
            What::Piece,
        ),
        (
            (Script, "https://a.test/v.mp4", Some("video/mp4"), None, Some(1000), Some("bytes 7-1006/*")),
            What::Piece,
        ),
        (
            (Script, "https://a.test/v.mp4?bytestart=0&byteend=99", Some("video/mp4"), None, MB, None),
            What::Piece,
        ),
        // Source code and translations wear the same extension.
        ((Script, "https://a.test/app.ts", Some("text/html"), None, MB, None), What::Nothing),
        ((Script, "https://a.test/app.ts", Some("application/typescript"), None, MB, None), What::Nothing),
        // Who opens it wants it.
        ((Navigation, "https://a.test/rec.ts", Some("video/mp2t"), None, MB, None), What::Media),
    ]);
}

#[test]
fn media_files() {
    check(&[
        ((Element, "https://a.test/v.mp4", Some("video/mp4"), None, MB, None), What::Media),
        (
            (
                Element,
                "https://a.test/v.mp4",
                Some("video/mp4"),
                None,
                Some(1000),
                Some("bytes 0-4999999/5000000"),
            ),
            What::Media,
        ),
        (
            (
                Element,
                "https://a.test/v.mp4",
                Some("video/mp4"),
                None,
                Some(1000),
                Some("bytes 65536-66535/5000000"),
            ),
            What::Media,
        ),
        ((Element, "https://a.test/play?id=1", Some("video/webm"), None, None, None), What::Media),
        ((Element, "https://a.test/play", Some("application/octet-stream"), None, MB, None), What::Media),
        ((Element, "https://a.test/init.mp4", Some("video/mp4"), None, MB, None), What::Media),
        ((Script, "https://a.test/song.mp3", Some("audio/mpeg"), None, MB, None), What::Media),
        ((Script, "https://a.test/song.mp3", Some("binary/octet-stream"), None, MB, None), What::Media),
        (
            (Script, "https://a.test/song.mp3", Some("audio/mpeg"), None, MB, Some("bytes 0-999999/1000000")),
            What::Media,
        ),
        ((Script, "https://a.test/segovia.mp3", Some("audio/mpeg"), None, MB, None), What::Media),
        ((Navigation, "https://a.test/v.mp4", Some("video/mp4"), None, MB, None), What::Media),
        ((Element, "https://a.test/a", Some("application/ogg"), None, MB, None), What::Media),
        // A page about a film, a poster, a beacon, subtitles.
        ((Navigation, "https://a.test/v.mp4", Some("text/html"), None, MB, None), What::Nothing),
        ((Script, "https://a.test/v.mp4.jpg", Some("image/jpeg"), None, MB, None), What::Nothing),
        ((Script, "https://a.test/v.mp4", Some("image/jpeg"), None, MB, None), What::Nothing),
        ((Element, "https://a.test/click.mp3", Some("audio/mpeg"), None, Some(4_000), None), What::Nothing),
        (
            (Element, "https://a.test/click.mp3", Some("audio/mpeg"), None, Some(1), Some("bytes 0-0/4000")),
            What::Nothing,
        ),
        ((Element, "https://a.test/en.vtt", Some("text/vtt"), None, MB, None), What::Nothing),
        ((Element, "https://a.test/en", Some("video/vtt"), None, MB, None), What::Nothing),
    ]);
}

#[test]
fn files() {
    let attachment = Some("attachment; filename=\"report.csv\"");
    check(&[
        ((Navigation, "https://a.test/export", Some("text/csv"), attachment, Some(12), None), What::File),
        ((Navigation, "https://a.test/a.zip", Some("application/zip"), None, MB, None), What::File),
        (
            (Navigation, "https://a.test/a.tar.gz", Some("application/octet-stream"), None, MB, None),
            What::File,
        ),
        ((Navigation, "https://a.test/setup", Some("application/octet-stream"), None, MB, None), What::File),
        ((Navigation, "https://a.test/paper.pdf", Some("application/pdf"), None, MB, None), What::File),
        (
            (Navigation, "https://a.test/tiny.mp4", Some("video/mp4"), Some("ATTACHMENT"), Some(9), None),
            What::File,
        ),
        ((Script, "https://a.test/paper", Some("application/pdf"), None, MB, None), What::File),
        (
            (
                Script,
                "https://a.test/dl",
                Some("application/zip"),
                Some("attachment; filename=a.zip"),
                MB,
                None,
            ),
            What::File,
        ),
        // Script's own business.
        (
            (
                Script,
                "https://a.test/api",
                Some("application/json"),
                Some("attachment; filename=\"f.txt\""),
                MB,
                None,
            ),
            What::Nothing,
        ),
        ((Script, "https://a.test/data.zip", Some("application/zip"), None, MB, None), What::Nothing),
        (
            (Script, "https://a.test/model.bin", Some("application/octet-stream"), None, MB, None),
            What::Nothing,
        ),
        (
            (
                Script,
                "https://a.test/paper.pdf",
                Some("application/pdf"),
                None,
                Some(100),
                Some("bytes 500-599/1000000"),
            ),
            What::Piece,
        ),
        ((Navigation, "https://a.test/", Some("text/html"), None, MB, None), What::Nothing),
        ((Navigation, "https://a.test/page", Some("text/html"), Some("inline"), MB, None), What::Nothing),
        ((Navigation, "https://a.test/a.exe", Some("text/html"), None, MB, None), What::Nothing),
    ]);
}

#[test]
fn nothing_breaks_on_odd_input() {
    for url in [
        "",
        "x",
        "://",
        "https://",
        "https://a.test",
        "?.m3u8",
        "#",
        "https://a.test/é.mp4",
        "blob:https://a.test/1",
    ] {
        for content_type in [None, Some(""), Some(";"), Some(",,;"), Some("é/ü")] {
            for range in [
                None,
                Some(""),
                Some("bytes"),
                Some("bytes -/"),
                Some("bytes 9-1/3"),
                Some("bytes 0-18446744073709551615/*"),
            ] {
                for initiator in [Navigation, Element, Script] {
                    let _ = verdict((initiator, url, content_type, Some(";;"), None, range));
                }
            }
        }
    }
    assert_eq!(verdict((Navigation, "https://a.test", None, None, None, None)), What::Nothing);
}

#[test]
fn parts_of_addresses() {
    assert_eq!(last_segment("https://a.test/x/y.mp4?z=/w#/v"), "y.mp4");
    assert_eq!(last_segment("https://a.test/x/y.m3u8;s=1"), "y.m3u8");
    assert_eq!(last_segment("https://a.test/x/"), "");
    assert_eq!(last_segment("https://a.test"), "");
    assert_eq!(path("https://a.test?x=/y"), "");
    assert_eq!(path("https://a.test/x?y"), "/x");
}

#[test]
fn sizes() {
    let response = |length, range| Response {
        url: "https://a.test/",
        content_type: None,
        content_disposition: None,
        content_length: length,
        content_range: range,
        initiator: Element,
    };
    assert_eq!(total_bytes(&response(Some(7), None)), Some(7));
    assert_eq!(total_bytes(&response(Some(7), Some("bytes 0-6/100"))), Some(100));
    assert_eq!(total_bytes(&response(Some(7), Some("bytes 0-6/*"))), None);
    assert_eq!(total_bytes(&response(None, None)), None);
}
