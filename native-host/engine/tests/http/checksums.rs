//! Hashes a caller knows or a server publishes: compared, or an error that says why not.

use std::sync::Arc;

use md5::Md5;
use sha1::Sha1;
use sha2::{Digest as _, Sha256, Sha512};
use weir_engine::{Checksum, EngineError, Partial};

use super::MIB;
use super::support::{Reply, Server, assert_whole, engine, job, names, noise, run, serve};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[tokio::test]
async fn every_kind_of_hash_is_compared() {
    let data = Arc::new(noise(1, 3 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| serve(&data, request)
    })
    .await;
    let (sha1, md5) = (hex(&Sha1::digest(&*data)), hex(&Md5::digest(&*data)));
    for (text, name) in [
        (format!("sha256:{}", hex(&Sha256::digest(&*data))), "SHA-256"),
        (format!("sha512:{}", hex(&Sha512::digest(&*data))), "SHA-512"),
        (format!("sha1:{}", sha1.to_uppercase()), "SHA-1"),
        (format!("md5:{md5}"), "MD5"),
    ] {
        let dir = tempfile::tempdir().unwrap();
        let mut right = job(server.url("/f.bin"), dir.path());
        right.checksum = Some(Checksum::parse(&text).unwrap());
        let mut wrong = right.clone();
        assert_whole(&run(&engine(), right).await.unwrap(), &data, dir.path());
        // One digit of difference.
        let last = if text.ends_with('0') { "1" } else { "0" };
        let text = format!("{}{last}", &text[..text.len() - 1]);
        wrong.checksum = Some(Checksum::parse(&text).unwrap());
        let error = run(&engine(), wrong).await.unwrap_err();
        let EngineError::ChecksumMismatch { algorithm, stated_by } = error else { panic!("{error:?}") };
        assert_eq!((algorithm, stated_by), (name, "the caller"));
        assert!(!names(dir.path()).iter().any(|name| name == "f (1).bin"));
    }
}

/// What lies beside the file, and what becomes of it.
enum Beside {
    Right(&'static str),
    Wrong(&'static str),
    Unavailable(u16, &'static str),
}

#[tokio::test]
async fn what_a_server_publishes_is_found_in_every_form() {
    use Beside::{Right, Unavailable, Wrong};
    for (n, (checksum, beside)) in [
        ("sidecar", Right("HEX")),
        ("sidecar", Right("HEX  f.bin\n")),
        ("sidecar", Right("SHA256 (f.bin) = HEX\n")),
        ("sidecar", Wrong("0000000000000000000000000000000000000000000000000000000000000000")),
        ("sidecar", Unavailable(404, "")),
        ("sidecar", Unavailable(200, "<html>a page for everything</html>")),
        ("sidecar", Unavailable(200, "HEX  other.bin\n")),
        ("sidecar", Unavailable(500, "")),
        ("LIST", Right("0000000000000000000000000000000000000000000000000000000000000000  a\nHEX *f.bin\n")),
        ("LIST", Right("SHA256 (f.bin) = HEX\r\nSHA256 (g.bin) = 00\r\n")),
        ("LIST", Right("MD5HEX  f.bin\n")),
        ("LIST", Wrong("0000000000000000000000000000000000000000000000000000000000000000 *f.bin")),
        ("LIST", Unavailable(200, "HEX  not-f.bin\n")),
        ("LIST", Unavailable(403, "HEX  f.bin\n")),
    ]
    .into_iter()
    .enumerate()
    {
        let data = Arc::new(noise(n as u64, 2 * MIB + 77));
        let (status, text) = match beside {
            Right(text) | Wrong(text) => (200, text),
            Unavailable(status, text) => (status, text),
        };
        let text =
            text.replace("MD5HEX", &hex(&Md5::digest(&*data))).replace("HEX", &hex(&Sha256::digest(&*data)));
        let server = Server::start({
            let data = Arc::clone(&data);
            move |request| match request.path.as_str() {
                "/d/f.bin?key=1" => serve(&data, request),
                // Beside the file, with the same key.
                "/d/f.bin.sha256?key=1" | "/SHA256SUMS" => Reply::new(status, text.clone()),
                path => panic!("{path}"),
            }
        })
        .await;
        let dir = tempfile::tempdir().unwrap();
        let mut job = job(server.url("/d/f.bin?key=1"), dir.path());
        job.partial = Partial::SameUrl;
        let text = checksum.replace("LIST", server.url("/SHA256SUMS").as_str());
        job.checksum = Some(Checksum::parse(&text).unwrap());
        let outcome = run(&engine(), job).await;
        match (beside, outcome) {
            (Right(_), Ok(finished)) => assert_whole(&finished, &data, dir.path()),
            (Wrong(_), Err(EngineError::ChecksumMismatch { stated_by, .. })) => {
                assert!(stated_by.contains("beside") || stated_by.contains("list"), "{stated_by}");
                assert_eq!(names(dir.path()), ["f.bin.part", "f.bin.part.weir"]);
            }
            (Unavailable(..), Err(EngineError::ChecksumUnavailable { reason })) => {
                assert!(!reason.contains("key="), "{reason}");
                assert_eq!(names(dir.path()), ["f.bin.part", "f.bin.part.weir"], "case {n}");
            }
            (_, outcome) => panic!("case {n}: {outcome:?}"),
        }
    }
}

#[tokio::test]
async fn without_the_checksum_the_rest_costs_nothing() {
    let data = Arc::new(noise(5, 2 * MIB));
    let server = Server::start({
        let data = Arc::clone(&data);
        move |request| {
            // The list is slow to answer, so the file is there before it turns out to be missing.
            if request.path.ends_with(".sha256") {
                Reply::new(404, "").after(std::time::Duration::from_millis(400))
            } else {
                serve(&data, request)
            }
        }
    })
    .await;
    let (engine, dir) = (engine(), tempfile::tempdir().unwrap());
    let mut with = job(server.url("/f.bin"), dir.path());
    with.partial = Partial::SameUrl;
    with.checksum = Some(Checksum::Sidecar);
    let mut without = with.clone();
    let error = run(&engine, with).await.unwrap_err();
    assert!(matches!(error, EngineError::ChecksumUnavailable { .. }), "{error:?}");
    let before = server.requests().len();
    without.checksum = None;
    assert_whole(&run(&engine, without).await.unwrap(), &data, dir.path());
    assert_eq!(server.requests().len(), before, "fetched again");
}
