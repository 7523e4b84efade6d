//! The manifest agrees with what the rest of the house takes for granted.
#![cfg(not(target_arch = "wasm32"))]
#![allow(clippy::unwrap_used, clippy::expect_used)]

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha256};

fn manifest() -> serde_json::Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../manifest/manifest.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// Chromium's rule: the first half of the SHA-256 of the public key, each nibble as a letter from `a` to `p`.
fn id_of(key: &str) -> String {
    let digest = Sha256::digest(STANDARD.decode(key).unwrap());
    let nibbles = digest.iter().take(16).flat_map(|byte| [byte >> 4, byte & 15]);
    nibbles.map(|nibble| char::from(b'a' + nibble)).collect()
}

#[test]
fn the_key_gives_the_id_the_host_lets_in() {
    assert_eq!(id_of(manifest()["key"].as_str().unwrap()), weir_protocol::EXTENSION_ID);
}

#[test]
fn wasm_may_run_and_nothing_else_may() {
    assert_eq!(
        manifest()["content_security_policy"]["extension_pages"],
        "script-src 'self' 'wasm-unsafe-eval'; object-src 'self'"
    );
}

#[test]
fn every_icon_is_there_in_its_size() {
    let icons = manifest()["icons"].as_object().unwrap().clone();
    assert_eq!(icons.len(), 4);
    for (size, path) in icons {
        let path = format!("{}/../manifest/{}", env!("CARGO_MANIFEST_DIR"), path.as_str().unwrap());
        let png = std::fs::read(&path).unwrap();
        let number = |at: usize| u32::from_be_bytes(png[at..at + 4].try_into().unwrap());
        assert_eq!(&png[1..4], b"PNG");
        let size: u32 = size.parse().unwrap();
        assert_eq!((number(16), number(20)), (size, size), "{path}");
    }
}
