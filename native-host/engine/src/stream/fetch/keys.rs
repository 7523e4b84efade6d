//! Keys, each fetched once.
//!
//! Never decrypts. Invariant: what is taken for a key has the length of one.

use weir_media::segment::{Encryption, Key};

use super::super::cipher::KeyBytes;
use super::{Miss, Shared};
use crate::{EngineError, answer, net};

/// Largest answer to a question for a key, in bytes; a web page is told as what it is.
const MAX_KEY: usize = 64 * 1024;

/// The key behind an address, fetched once.
pub(super) async fn key_bytes(shared: &Shared, key: &Key) -> Result<KeyBytes, Miss> {
    // Held while fetching: all segments of a key wait for one request instead of making their own.
    let mut keys = shared.keys.lock().await;
    if let Some(known) = keys.get(&key.url) {
        return Ok(*known);
    }
    let mut answer = shared.net.ask(&shared.visitor, &key.url, None, net::Lane::Shared).await?;
    match answer.refusal() {
        // Nobody would guess that it is the key that has gone, and not the film.
        Some(EngineError::Gone { status }) => {
            let reason = format!("its key is not on the server (status {status})");
            return Err(EngineError::UnsupportedMedia { reason }.into());
        }
        Some(error) => return Err(Miss::Failed { error, wait: answer::retry_after(&answer.headers) }),
        None => {}
    }
    let body = answer.whole(MAX_KEY).await?;
    let bytes = match key.encryption {
        Encryption::Aes256 => <[u8; 32]>::try_from(body.as_slice()).map(KeyBytes::Aes256),
        _ => <[u8; 16]>::try_from(body.as_slice()).map(KeyBytes::Aes128),
    };
    let wanted = if key.encryption == Encryption::Aes256 { 32 } else { 16 };
    let bytes = bytes.map_err(|_| EngineError::UnsupportedMedia {
        reason: format!("its key has {} bytes instead of {wanted}", body.len()),
    })?;
    keys.insert(key.url.clone(), bytes);
    Ok(bytes)
}
