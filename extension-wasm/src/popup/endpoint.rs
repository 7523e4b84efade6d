//! Where the daemon is: the worker's last answer when the daemon there proves itself, else a new answer.
//!
//! Invariant: the token of an address remembered from earlier is sent nowhere before whoever listens there has
//! proved to know it. Another program may have taken the port since.

use js_sys::{Array, Object, Reflect, Uint8Array};
use leptos::prelude::window;
use wasm_bindgen::{JsCast, JsValue};
use wasm_bindgen_futures::JsFuture;
use web_sys::{AbortSignal, CryptoKey, RequestInit, Response};
use weir_protocol::Health;

/// A daemon answers this at once; whoever does not is not worth waiting for.
const PROOF_LIMIT_MS: u32 = 1_000;

/// Whether the daemon at this address knows the token, asked without sending it.
pub(super) async fn proves_itself(url: &str, token: &str) -> bool {
    prove(url, token).await.unwrap_or(false)
}

async fn prove(url: &str, token: &str) -> Result<bool, JsValue> {
    let crypto = window().crypto()?;
    let mut random = [0_u8; 16];
    crypto.get_random_values_with_u8_array(&mut random)?;
    let challenge = hex(&random);

    let init = RequestInit::new();
    init.set_signal(Some(&AbortSignal::timeout_with_u32(PROOF_LIMIT_MS)));
    let request = window().fetch_with_str_and_init(&format!("{url}/health?challenge={challenge}"), &init);
    let response: Response = JsFuture::from(request).await?.dyn_into()?;
    let text = JsFuture::from(response.text()?).await?.as_string().unwrap_or_default();
    let health: Option<Health> = serde_json::from_str(&text).ok();
    let proof = health.and_then(|health| health.proof).and_then(|proof| unhex(&proof));
    let (Some(proof), Some(port)) = (proof, port(url)) else { return Ok(false) };

    let algorithm = Object::new();
    Reflect::set(&algorithm, &"name".into(), &"HMAC".into())?;
    Reflect::set(&algorithm, &"hash".into(), &"SHA-256".into())?;
    let subtle = crypto.subtle();
    let key = subtle.import_key_with_object(
        "raw",
        &Uint8Array::from(token.as_bytes()),
        &algorithm,
        false,
        &Array::of1(&"verify".into()),
    )?;
    let key: CryptoKey = JsFuture::from(key).await?.unchecked_into();
    let said = format!("weir-health:{port}:{challenge}").into_bytes();
    // The browser's own comparison, which takes the same time for every wrong proof.
    let verdict = subtle.verify_with_str_and_u8_array_and_u8_array("HMAC", &key, &proof, &said)?;
    Ok(JsFuture::from(verdict).await?.as_bool() == Some(true))
}

fn port(url: &str) -> Option<u16> {
    url.rsplit_once(':')?.1.trim_end_matches('/').parse().ok()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    if !text.is_ascii() || !text.len().is_multiple_of(2) {
        return None;
    }
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(text.get(at..at + 2)?, 16).ok()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hex_reads_what_it_wrote_and_refuses_the_rest() {
        let bytes = [0, 1, 0xab, 0xff];
        assert_eq!(hex(&bytes), "0001abff");
        assert_eq!(unhex("0001abff").as_deref(), Some(&bytes[..]));
        assert_eq!(unhex("abc"), None);
        assert_eq!(unhex("zz"), None);
        assert_eq!(unhex("äb"), None);
    }

    #[test]
    fn the_port_is_the_one_of_the_address() {
        assert_eq!(port("http://127.0.0.1:8765"), Some(8765));
        assert_eq!(port("http://127.0.0.1:8765/"), Some(8765));
        assert_eq!(port("http://127.0.0.1"), None);
    }
}
