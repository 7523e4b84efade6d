//! How the other processes of this user find the daemon and know it is ours.
//!
//! Owns the token, `endpoint.json` and the proof a daemon gives before anybody hands it a token: a stranger who
//! took over a stale port cannot answer the challenge, so it learns nothing. Never starts a daemon.

use std::io;

use anyhow::Context as _;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::Sha256;
use subtle::ConstantTimeEq as _;
use weir_protocol::Endpoint;

use crate::home::Home;

/// The secret of this installation; opens every route.
#[derive(Clone)]
pub(crate) struct Token(String);

// Written by hand so that no log line can show it.
impl std::fmt::Debug for Token {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Token(…)")
    }
}

impl Token {
    /// Reads the token of this home, or makes one: 256 bits from the operating system.
    ///
    /// # Errors
    /// When the file cannot be read or written.
    pub(crate) fn load_or_create(home: &Home) -> anyhow::Result<Self> {
        match std::fs::read_to_string(home.token()) {
            Ok(text) if text.trim().len() == 43 => Ok(Self(text.trim().to_owned())),
            Err(error) if error.kind() != io::ErrorKind::NotFound => {
                Err(error).with_context(|| format!("cannot read {}", home.token().display()))
            }
            // Missing, or cut by a crash: whoever knew the old one asks again.
            _ => Self::rotate(home),
        }
    }

    /// Replaces the token; sessions made under the old one end with it.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub(crate) fn rotate(home: &Home) -> anyhow::Result<Self> {
        let token = random_text()?;
        Home::write_private(&home.token(), token.as_bytes())
            .with_context(|| format!("cannot write {}", home.token().display()))?;
        Ok(Self(token))
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Compares in a time that does not depend on where the first difference is.
    pub(crate) fn matches(&self, candidate: &str) -> bool {
        self.0.as_bytes().ct_eq(candidate.as_bytes()).into()
    }

    /// HMAC-SHA256 keyed by the token, lower-case hex.
    pub(crate) fn sign(&self, text: &str) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(self.0.as_bytes()) else {
            unreachable!("HMAC takes keys of any length");
        };
        mac.update(text.as_bytes());
        hex(&mac.finalize().into_bytes())
    }

    /// What `/health` answers to a challenge: see [`weir_protocol::Health`].
    pub(crate) fn proof(&self, port: u16, challenge: &str) -> String {
        self.sign(&format!("weir-health:{port}:{challenge}"))
    }

    #[cfg(test)]
    pub(crate) fn for_test(text: &str) -> Self {
        Self(text.to_owned())
    }
}

/// 256 random bits as base64url without padding: 43 characters.
pub(crate) fn random_text() -> anyhow::Result<String> {
    use base64::Engine as _;
    let mut bytes = [0_u8; 32];
    getrandom::fill(&mut bytes).map_err(|error| anyhow::anyhow!("no randomness from the system: {error}"))?;
    Ok(base64::engine::general_purpose::URL_SAFE_NO_PAD.encode(bytes))
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// Reads `endpoint.json`; none when no daemon has written it, or it is unreadable.
pub(crate) fn read(home: &Home) -> Option<Endpoint> {
    serde_json::from_slice(&std::fs::read(home.endpoint()).ok()?).ok()
}

/// Where the daemons of this home may be: as published, and as the one that holds the lock wrote into it, should
/// `endpoint.json` have been lost or damaged. None is believed before it has proved itself.
pub(crate) fn candidates(home: &Home) -> Vec<Endpoint> {
    let published = read(home);
    let locked = home.is_locked().then(|| from_lock(home)).flatten();
    let locked = locked.filter(|locked| published.as_ref() != Some(locked));
    published.into_iter().chain(locked).collect()
}

fn from_lock(home: &Home) -> Option<Endpoint> {
    #[derive(serde::Deserialize)]
    struct Held {
        url: String,
        port: u16,
        pid: u32,
        version: String,
    }
    let held: Held = serde_json::from_slice(&std::fs::read(home.lock()).ok()?).ok()?;
    let token = std::fs::read_to_string(home.token()).ok()?.trim().to_owned();
    Some(Endpoint { url: held.url, port: held.port, token, pid: held.pid, version: held.version })
}

/// Writes into the lock what [`candidates`] falls back to: everything but the token.
pub(crate) fn note_in_lock(lock: &mut std::fs::File, endpoint: &Endpoint) -> io::Result<()> {
    use std::io::{Seek as _, Write as _};
    let Endpoint { url, port, pid, version, .. } = endpoint;
    let note = serde_json::json!({ "url": url, "port": port, "pid": pid, "version": version });
    lock.set_len(0)?;
    lock.rewind()?;
    lock.write_all(note.to_string().as_bytes())
}

/// Publishes where the daemon listens. Called once the door is open.
///
/// # Errors
/// When the file cannot be written.
pub(crate) fn publish(home: &Home, endpoint: &Endpoint) -> anyhow::Result<()> {
    Home::write_private(&home.endpoint(), &serde_json::to_vec_pretty(endpoint)?)
        .with_context(|| format!("cannot write {}", home.endpoint().display()))
}

/// Takes `endpoint.json` away at a clean stop.
pub(crate) fn withdraw(home: &Home) {
    let _ = std::fs::remove_file(home.endpoint());
}

/// Asks whoever listens at `endpoint` to prove that it knows the token. Sends no secret.
pub(crate) async fn is_ours(client: &reqwest::Client, endpoint: &Endpoint) -> bool {
    let Ok(challenge) = random_text() else { return false };
    let request = client.get(format!("{}/health?challenge={challenge}", endpoint.url));
    let Ok(answer) = request.timeout(std::time::Duration::from_secs(2)).send().await else { return false };
    let Ok(health) = answer.json::<weir_protocol::Health>().await else { return false };
    let expected = Token(endpoint.token.clone()).proof(endpoint.port, &challenge);
    health.proof.is_some_and(|proof| expected.as_bytes().ct_eq(proof.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proof_binds_token_port_and_challenge() {
        let token = Token("secret".into());
        let proof = token.proof(8765, "abc");
        assert_eq!(proof.len(), 64);
        assert_ne!(proof, token.proof(8766, "abc"));
        assert_ne!(proof, token.proof(8765, "abd"));
        assert_ne!(proof, Token("other".into()).proof(8765, "abc"));
    }

    #[test]
    fn the_mac_is_the_standard_one() {
        // RFC 4231 test case 2.
        assert_eq!(
            Token("Jefe".into()).sign("what do ya want for nothing?"),
            "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
        );
    }

    #[test]
    fn tokens_are_long_and_compared_whole() {
        let token = Token(random_text().unwrap());
        assert_eq!(token.as_str().len(), 43);
        assert!(token.matches(token.as_str()));
        assert!(!token.matches(&token.as_str()[..42]));
        assert!(!token.matches(""));
        assert!(!format!("{token:?}").contains(token.as_str()));
    }
}
