//! How streams are cut and served: ffmpeg's muxers with what all recipes share, and a folder over HTTP.

use std::path::Path;

use super::films;
use super::kitchen::Kitchen;
use super::support::{Reply, Request, Server, engine, job, run, serve_as};
use weir_engine::{EngineError, Finished, Job};

/// For tracks of one film that are cut one by one: without, ffmpeg begins each at the clock's zero, wherever it begins
/// beside the others.
pub(crate) const APART: &[&str] = &["-output_ts_offset", "10"];
/// Where the film's zero is on the clock of a transport stream cut so, in seconds: ffmpeg leaves 1.4 s before the first.
pub(crate) const APART_ZERO: f64 = 11.4;

/// Serves a folder, with ranges and the types servers use.
pub(crate) fn folder(directory: &Path, request: &Request) -> Reply {
    let path = request.path.split('?').next().unwrap().trim_start_matches('/');
    let Ok(data) = std::fs::read(directory.join(path)) else { return Reply::new(404, "not here") };
    let kind = match path.rsplit('.').next() {
        Some("m3u8") => "application/vnd.apple.mpegurl",
        Some("mpd") => "application/dash+xml",
        Some("ts") => "video/mp2t",
        Some("vtt") => "text/vtt",
        Some("aac") => "audio/aac",
        Some("m4s" | "mp4") => "video/mp4",
        _ => "application/octet-stream",
    };
    serve_as(&data, request, "", "").header("content-type", kind)
}

impl Kitchen {
    /// Where ffmpeg finds a film.
    pub(crate) fn film(&self, name: &str) -> String {
        films::named(name).path().to_str().unwrap().to_owned()
    }

    /// Cuts a film into one second each, `NAME.m3u8` and what `extra` makes of it, without encoding again.
    pub(crate) fn hls(&self, film: &str, name: &str, extra: &[&str]) {
        let (film, list) = (self.film(film), format!("{name}.m3u8"));
        let start = ["-i", &film, "-c", "copy", "-f", "hls", "-hls_time", "1", "-hls_playlist_type", "vod"];
        self.ffmpeg(&[&start[..], extra, &[&list]].concat());
    }

    /// The same as transport stream, segments `NAME0.ts` and on.
    pub(crate) fn ts(&self, film: &str, name: &str, extra: &[&str]) {
        let segments = format!("{name}%d.ts");
        self.hls(film, name, &[&["-hls_segment_filename", &segments], extra].concat());
    }

    /// The same as fragmented MP4, `NAME.init` and segments `NAME0.m4s` and on.
    pub(crate) fn fmp4(&self, film: &str, name: &str, extra: &[&str]) {
        let (segments, init) = (format!("{name}%d.m4s"), format!("{name}.init"));
        let fixed = [
            "-hls_segment_type",
            "fmp4",
            "-hls_fmp4_init_filename",
            &init,
            "-hls_segment_filename",
            &segments,
        ];
        self.hls(film, name, &[&fixed[..], extra].concat());
    }

    /// The lines of a media playlist that name segments, tags before each among them, without head and end.
    pub(crate) fn body(&self, name: &str) -> String {
        let text = self.text(&format!("{name}.m3u8"));
        let from = text.find("#EXTINF").unwrap();
        text[from..].replace("#EXT-X-ENDLIST\n", "")
    }
}

/// Encrypts a segment as a packager does: AES in CBC mode, PKCS #7 padding; the key's length decides which.
pub(crate) fn encrypted(plain: &[u8], key: &[u8], iv: u128) -> Vec<u8> {
    use aes::cipher::{BlockModeEncrypt, KeyIvInit, block_padding::Pkcs7};
    let iv = iv.to_be_bytes();
    let mut buffer = plain.to_vec();
    buffer.resize(plain.len() + 16, 0);
    let done = match key.len() {
        16 => cbc::Encryptor::<aes::Aes128>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_padded::<Pkcs7>(&mut buffer, plain.len()),
        _ => cbc::Encryptor::<aes::Aes256>::new_from_slices(key, &iv)
            .unwrap()
            .encrypt_padded::<Pkcs7>(&mut buffer, plain.len()),
    };
    done.unwrap().to_vec()
}

/// A media playlist of these lines.
pub(crate) fn playlist(body: &str) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:7\n#EXT-X-TARGETDURATION:2\n#EXT-X-PLAYLIST-TYPE:VOD\n{body}#EXT-X-ENDLIST\n"
    )
}

/// Packed sound with the tag that says when it begins (RFC 8216 section 3.4): seconds on the clock of transport streams.
pub(crate) fn stamped(sound: &[u8], begins: f64) -> Vec<u8> {
    let ticks = ((begins * 90_000.0).round() as u64) & ((1 << 33) - 1);
    let owner = b"com.apple.streaming.transportStreamTimestamp\0";
    let content = [&owner[..], &ticks.to_be_bytes()].concat();
    let frame = [b"PRIV", &synchsafe(content.len())[..], &[0, 0], &content].concat();
    [b"ID3\x04\0\0", &synchsafe(frame.len())[..], &frame, sound].concat()
}

/// Seven bits to a byte.
fn synchsafe(n: usize) -> [u8; 4] {
    [21, 14, 7, 0].map(|shift| (n >> shift & 0x7F) as u8)
}

/// Downloads what a server has at `path` into a folder of its own.
pub(crate) async fn fetched(
    server: &Server,
    path: &str,
    change: impl FnOnce(&mut Job),
) -> (tempfile::TempDir, Result<Finished, EngineError>) {
    let out = tempfile::tempdir().unwrap();
    let mut job = job(server.url(path), out.path());
    change(&mut job);
    let finished = run(&engine(), job).await;
    (out, finished)
}

/// A stream whose picture and sound come in segments of their own, `list.m3u8`.
pub(crate) fn apart() -> std::path::PathBuf {
    super::kitchen::made("sound apart", "mute and aac beside each other", |k| {
        k.ts("mute", "picture", APART);
        k.ts("aac", "sound", APART);
        k.write(
            "list.m3u8",
            "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"s\",NAME=\"s\",DEFAULT=YES,URI=\"sound.m3u8\"\n\
             #EXT-X-STREAM-INF:BANDWIDTH=200000,AUDIO=\"s\"\npicture.m3u8\n",
        );
    })
}

/// A plain stream for tests that are about something else: the film `talk`, `/s.m3u8` and `s0.ts` to `s7.ts`.
pub(crate) fn talk() -> std::path::PathBuf {
    super::kitchen::made("plain stream", "TS of talk, named s", |k| k.ts("talk", "s", &[]))
}
