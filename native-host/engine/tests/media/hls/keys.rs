//! Encryption with keys that are handed over.

use weir_engine::EngineError;

use super::super::kitchen::Kitchen;
use super::super::recipe::{Recipe, try_all};
use super::super::serving::{encrypted, playlist};

/// Encrypts each segment of a playlist with what `keys` says of its number, and tells so in front of it: a line for the
/// playlist, and the key with its vector; none for a segment in the clear.
fn encrypt_all(
    kitchen: &Kitchen,
    name: &str,
    end: &str,
    keys: impl Fn(usize) -> (String, Option<(Vec<u8>, u128)>),
) {
    let mut body = String::new();
    for (number, segment) in kitchen.numbered(name, end).iter().enumerate() {
        let (line, key) = keys(number);
        if let Some((key, iv)) = key {
            let plain = kitchen.read(segment);
            kitchen.write(segment, encrypted(&plain, &key, iv));
        }
        body.push_str(&format!("{line}#EXTINF:1.0,\n{segment}\n"));
    }
    kitchen.write(&format!("{name}.m3u8"), playlist(&body));
}

fn key_info(kitchen: &Kitchen, iv: &str) {
    kitchen.write("secret.key", b"0123456789abcdef");
    kitchen.write("info", format!("secret.key\nsecret.key\n{iv}"));
}

/// Parts of each picture and of each packet of sound are encrypted, with a key that is handed over.
fn sample_aes(kitchen: &Kitchen, sound: &str) {
    let (film, key) = (kitchen.film("talk"), "0102030405060708090a0b0c0d0e0f10");
    let options = format!(
        "--quiet --segment_duration 1 --enable_raw_key_encryption --keys label=:key_id={0:032}:key={key} --iv {key} \
         --protection_scheme cbcs --hls_key_uri k.bin --clear_lead 0 --transport_stream_timestamp_offset_ms 1400 \
         --hls_master_playlist_output list.m3u8",
        1
    );
    let mut arguments = vec![
        format!("in={film},stream=video,segment_template=v$Number$.ts,playlist_name=v.m3u8"),
        format!(
            "in={film},stream=audio,segment_template=a$Number$.{sound},playlist_name=a.m3u8,hls_group_id=s"
        ),
    ];
    arguments.extend(options.split_whitespace().map(str::to_owned));
    kitchen.packager(&arguments);
    kitchen.write("k.bin", (1..=16).collect::<Vec<u8>>());
    assert!(kitchen.text("v.m3u8").contains("METHOD=SAMPLE-AES"));
}

const RECIPES: &[Recipe] = &[
    Recipe::new("AES-128 with a vector", |k| {
        key_info(k, "000102030405060708090a0b0c0d0e0f");
        k.ts("talk", "list", &["-hls_key_info_file", "info"]);
        assert!(k.text("list.m3u8").contains("IV="));
    })
    // One key, one request.
    .also(|_, requests| assert_eq!(requests.iter().filter(|r| r.path == "/secret.key").count(), 1)),
    Recipe::new("AES-128, its vector the sequence number, which begins at 7", |k| {
        k.ts("talk", "list", &[]);
        k.write("secret.key", [5; 16]);
        encrypt_all(k, "list", ".ts", |n| {
            let line = "#EXT-X-MEDIA-SEQUENCE:7\n#EXT-X-KEY:METHOD=AES-128,URI=\"secret.key\"\n";
            (if n == 0 { line.to_owned() } else { String::new() }, Some((vec![5; 16], 7 + n as u128)))
        });
    }),
    Recipe::new("AES-128, keys that rotate and end", |k| {
        k.ts("talk", "list", &[]);
        k.write("k1", [1; 16]);
        k.write("k2", [2; 16]);
        encrypt_all(k, "list", ".ts", |n| match n {
            0 => ("#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n".to_owned(), Some((vec![1; 16], 0))),
            1..3 => (String::new(), Some((vec![1; 16], n as u128))),
            3 => ("#EXT-X-KEY:METHOD=AES-128,URI=\"k2\",IV=0x9\n".to_owned(), Some((vec![2; 16], 9))),
            4..6 => (String::new(), Some((vec![2; 16], 9))),
            6 => ("#EXT-X-KEY:METHOD=NONE\n".to_owned(), None),
            _ => (String::new(), None),
        });
    }),
    Recipe::new("AES-128, a new key for each segment", |k| {
        k.ts("talk", "list", &[]);
        encrypt_all(k, "list", ".ts", |n| {
            let key = vec![n as u8 + 100; 16];
            k.write(&format!("key{n}"), &key);
            (format!("#EXT-X-KEY:METHOD=AES-128,URI=\"key{n}\",IV=0x{n:x}\n"), Some((key, n as u128)))
        });
    })
    .also(|_, requests| assert_eq!(requests.iter().filter(|r| r.path.starts_with("/key")).count(), 8)),
    Recipe::new("AES-128 of fragmented MP4, its map in the clear", |k| {
        k.fmp4("talk", "list", &[]);
        k.write("k1", [1; 16]);
        encrypt_all(k, "list", ".m4s", |n| match n {
            0 => (
                "#EXT-X-MAP:URI=\"list.init\"\n#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n".to_owned(),
                Some((vec![1; 16], 0)),
            ),
            _ => (String::new(), Some((vec![1; 16], n as u128))),
        });
    }),
    Recipe::new("AES-128 of fragmented MP4 and of its map", |k| {
        k.fmp4("talk", "list", &[]);
        k.write("k1", [1; 16]);
        k.write("list.init", encrypted(&k.read("list.init"), &[1; 16], 0xAB));
        encrypt_all(k, "list", ".m4s", |n| match n {
            0 => (
                "#EXT-X-KEY:METHOD=AES-128,URI=\"k1\",IV=0xAB\n#EXT-X-MAP:URI=\"list.init\"\n".to_owned(),
                Some((vec![1; 16], 0xAB)),
            ),
            _ => (String::new(), Some((vec![1; 16], 0xAB))),
        });
    }),
    Recipe::new("AES-128 of byte ranges of one file", |k| {
        k.ts("talk", "part", &[]);
        k.write("k1", [1; 16]);
        let (mut all, mut body) = (Vec::new(), "#EXT-X-KEY:METHOD=AES-128,URI=\"k1\"\n".to_owned());
        for (number, segment) in k.numbered("part", ".ts").iter().enumerate() {
            let secret = encrypted(&k.read(segment), &[1; 16], number as u128);
            body.push_str(&format!("#EXTINF:1,\n#EXT-X-BYTERANGE:{}@{}\nall.ts\n", secret.len(), all.len()));
            all.extend(secret);
        }
        k.write("all.ts", all);
        k.write("list.m3u8", playlist(&body));
    }),
    Recipe::new("AES-256", |k| {
        k.ts("talk", "list", &[]);
        k.write("k1", [3; 32]);
        encrypt_all(k, "list", ".ts", |n| {
            let line = "#EXT-X-KEY:METHOD=AES-256,URI=\"k1\"\n";
            (if n == 0 { line.to_owned() } else { String::new() }, Some((vec![3; 32], n as u128)))
        });
    }),
    Recipe::new("SAMPLE-AES in TS", |k| sample_aes(k, "ts")).by_packager(),
    Recipe::new("SAMPLE-AES in TS, the sound packed", |k| sample_aes(k, "aac")).by_packager().or_refused(
        |error| matches!(error, EngineError::UnsupportedMedia { reason } if reason.contains("SAMPLE-AES")),
    ),
    Recipe::new("Widevine", |k| {
        let (film, key) = (k.film("plain"), "0102030405060708090a0b0c0d0e0f10");
        let mut arguments = vec![format!(
            "in={film},stream=video,init_segment=v.mp4,segment_template=v$Number$.m4s,playlist_name=list.m3u8"
        )];
        let options = format!(
            "--quiet --segment_duration 1 --enable_raw_key_encryption --keys label=:key_id={key}:key={key} \
             --protection_scheme cbcs --protection_systems Widevine --clear_lead 0 --hls_master_playlist_output master.m3u8"
        );
        arguments.extend(options.split_whitespace().map(str::to_owned));
        k.packager(&arguments);
    })
    .by_packager()
    .refused(|error| matches!(error, EngineError::Drm { system } if system == "Widevine")),
];

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn keys() {
    try_all(include_str!("keys.rs"), RECIPES).await;
}
