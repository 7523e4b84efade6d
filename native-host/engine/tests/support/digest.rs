//! The server's side of Digest (RFC 7616), strict: it believes nothing it has not checked.

use std::collections::HashMap;
use std::sync::Mutex;

use md5::Md5;
use sha2::{Digest as _, Sha256};

use super::{Reply, Request};

/// Guards a server's answers.
pub struct Guard {
    /// `MD5`, `SHA-256`, with `-sess` or without.
    pub algorithm: &'static str,
    pub user: &'static str,
    pub password: &'static str,
    /// Without it the older form of RFC 2069 is asked for.
    pub qop: bool,
    /// How often a nonce may be used before it is stale.
    pub uses: u32,
    /// Counts seen for each nonce: none may come twice.
    pub nonces: Mutex<HashMap<String, Vec<u32>>>,
    /// Challenges sent, those for a stale nonce among them.
    pub challenged: Mutex<(u32, u32)>,
}

impl Guard {
    pub fn new(algorithm: &'static str, user: &'static str, password: &'static str) -> Self {
        Self {
            algorithm,
            user,
            password,
            qop: true,
            uses: u32::MAX,
            nonces: Mutex::default(),
            challenged: Mutex::default(),
        }
    }

    /// None lets the request in.
    pub fn stops(&self, request: &Request) -> Option<Reply> {
        match self.judge(request) {
            Ok(()) => None,
            Err(stale) => {
                let mut nonces = self.nonces.lock().unwrap();
                let mut challenged = self.challenged.lock().unwrap();
                challenged.0 += 1;
                challenged.1 += u32::from(stale);
                let nonce = format!("nonce+{}/=", nonces.len());
                nonces.insert(nonce.clone(), Vec::new());
                let qop = if self.qop { ", qop=\"auth,auth-int\"" } else { "" };
                let stale = if stale { ", stale=true" } else { "" };
                let challenge = format!(
                    "Digest realm=\"the \\\"inner\\\" court\", nonce=\"{nonce}\", opaque=\"o,=\", algorithm={}{qop}{stale}",
                    self.algorithm
                );
                Some(Reply::new(401, "who?").header("www-authenticate", challenge))
            }
        }
    }

    /// The error says whether the nonce was only stale.
    fn judge(&self, request: &Request) -> Result<(), bool> {
        let given =
            request.header("authorization").and_then(|value| value.strip_prefix("Digest ")).ok_or(false)?;
        let given = parameters(given);
        let get = |name: &str| given.get(name).map(String::as_str).ok_or(false);
        let realm = "the \"inner\" court";
        let right = get("username")? == self.user
            && get("realm")? == realm
            && get("uri")? == request.path
            && get("opaque")? == "o,="
            && get("algorithm")? == self.algorithm;
        if !right {
            return Err(false);
        }
        let nonce = get("nonce")?;
        let (name, session) = match self.algorithm.strip_suffix("-sess") {
            Some(name) => (name, true),
            None => (self.algorithm, false),
        };
        let hash = |text: String| match name {
            "MD5" => hex(&Md5::digest(text)),
            _ => hex(&Sha256::digest(text)),
        };
        let mut secret = hash(format!("{}:{realm}:{}", self.user, self.password));
        if session {
            secret = hash(format!("{secret}:{nonce}:{}", get("cnonce")?));
        }
        let asked = hash(format!("{}:{}", request.method, request.path));
        let expected = if self.qop {
            if get("qop")? != "auth" || get("nc")?.len() != 8 {
                return Err(false);
            }
            hash(format!("{secret}:{nonce}:{}:{}:auth:{asked}", get("nc")?, get("cnonce")?))
        } else {
            hash(format!("{secret}:{nonce}:{asked}"))
        };
        if get("response")? != expected {
            return Err(false);
        }
        // Right in every word; now whether the nonce is still good.
        let mut nonces = self.nonces.lock().unwrap();
        let seen = nonces.get_mut(nonce).ok_or(true)?;
        let count = if self.qop { u32::from_str_radix(get("nc")?, 16).map_err(|_| false)? } else { 0 };
        if seen.len() as u32 >= self.uses {
            return Err(true);
        }
        if self.qop && (count == 0 || seen.contains(&count)) {
            return Err(false);
        }
        seen.push(count);
        Ok(())
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// `name=value, name="quoted, \" value"`.
fn parameters(text: &str) -> HashMap<String, String> {
    let mut out = HashMap::new();
    let mut rest = text.trim();
    while let Some((name, after)) = rest.split_once('=') {
        let name = name.trim_matches([',', ' ']).to_ascii_lowercase();
        let mut value = String::new();
        let after = after.trim_start();
        if let Some(quoted) = after.strip_prefix('"') {
            let mut characters = quoted.char_indices();
            let mut end = quoted.len();
            while let Some((at, c)) = characters.next() {
                match c {
                    '\\' => value.extend(characters.next().map(|(_, c)| c)),
                    '"' => {
                        end = at + 1;
                        break;
                    }
                    c => value.push(c),
                }
            }
            rest = &quoted[end..];
        } else {
            let end = after.find(',').unwrap_or(after.len());
            value.push_str(after[..end].trim());
            rest = &after[end..];
        }
        out.insert(name, value);
    }
    out
}
