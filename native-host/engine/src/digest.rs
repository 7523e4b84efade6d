//! Hashes: those a server or a caller states, and those of the bytes that came.
//!
//! Owns the reading of `Repr-Digest` (RFC 9530), `Digest` (RFC 3230) and `Content-MD5`, and one pass over the bytes
//! for all of them. Never fetches. Invariant: a stated digest is compared or ignored as unreadable, never assumed.

use std::fs::File;
use std::io::{self, Read, Seek};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use reqwest::header::HeaderMap;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256, Sha512};

use crate::EngineError;
use crate::answer;

/// Piece read at once.
const READ: usize = 1024 * 1024;

/// Digests of the whole file as stated by the server, hex.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stated {
    pub(crate) sha256: Option<String>,
    pub(crate) sha512: Option<String>,
    pub(crate) md5: Option<String>,
}

impl Stated {
    /// Reads what an answer says about the whole, un-coded representation. `Content-MD5` and `Content-Digest` speak of
    /// the body alone, so they count only when the body is the whole.
    pub(crate) fn read(headers: &HeaderMap, body_is_whole: bool) -> Self {
        let mut stated = Self::default();
        for (name, structured, whole_only) in
            [("repr-digest", true, false), ("content-digest", true, true), ("digest", false, false)]
        {
            if whole_only && !body_is_whole {
                continue;
            }
            for value in headers.get_all(name) {
                for item in value.to_str().unwrap_or_default().split(',') {
                    let Some((algorithm, value)) = item.trim().split_once('=') else { continue };
                    stated.put(algorithm.trim(), value.trim(), structured);
                }
            }
        }
        if let Some(value) = answer::text(headers, "content-md5").filter(|_| body_is_whole) {
            stated.put("md5", value.trim(), false);
        }
        stated
    }

    fn put(&mut self, algorithm: &str, value: &str, structured: bool) {
        // Structured fields write byte sequences between colons.
        let value = if structured {
            value.split(';').next().and_then(|v| v.trim().strip_prefix(':')?.strip_suffix(':'))
        } else {
            Some(value)
        };
        let Some(bytes) = value.and_then(|value| STANDARD.decode(value).ok()) else { return };
        let (place, length) = match algorithm.to_ascii_lowercase().as_str() {
            "sha-256" => (&mut self.sha256, 32),
            "sha-512" => (&mut self.sha512, 64),
            "md5" => (&mut self.md5, 16),
            _ => return,
        };
        if place.is_none() && bytes.len() == length {
            *place = Some(hex(&bytes));
        }
    }
}

/// Hashes the bytes of a file in order, once, for everything that was stated.
#[derive(Debug, Clone)]
pub(crate) struct Hashers {
    sha256: Sha256,
    sha512: Option<Sha512>,
    md5: Option<Md5>,
}

impl Hashers {
    pub(crate) fn for_stated(stated: &Stated) -> Self {
        Self {
            sha256: Sha256::new(),
            sha512: stated.sha512.is_some().then(Sha512::new),
            md5: stated.md5.is_some().then(Md5::new),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            sha256: self.sha256.finalize().into(),
            sha512: self.sha512.map(|hasher| hex(&hasher.finalize())),
            md5: self.md5.map(|hasher| hex(&hasher.finalize())),
        }
    }
}

/// What the bytes really are.
#[derive(Debug, Clone)]
pub(crate) struct Digests {
    pub(crate) sha256: [u8; 32],
    sha512: Option<String>,
    md5: Option<String>,
}

impl Digests {
    /// Compares with everything stated.
    pub(crate) fn check(&self, stated: &Stated, wanted: Option<[u8; 32]>) -> Result<(), EngineError> {
        let fail = |algorithm, stated_by| Err(EngineError::ChecksumMismatch { algorithm, stated_by });
        if wanted.is_some_and(|wanted| wanted != self.sha256) {
            return fail("SHA-256", "the caller");
        }
        if stated.sha256.as_ref().is_some_and(|stated| *stated != hex(&self.sha256)) {
            return fail("SHA-256", "the server");
        }
        if stated.sha512.is_some() && stated.sha512 != self.sha512 {
            return fail("SHA-512", "the server");
        }
        if stated.md5.is_some() && stated.md5 != self.md5 {
            return fail("MD5", "the server");
        }
        Ok(())
    }
}

/// Size and SHA-256 of a file, read from its beginning. Blocks.
pub(crate) fn of_file(file: &mut File) -> io::Result<(u64, [u8; 32])> {
    file.rewind()?;
    let mut hasher = Sha256::new();
    let mut piece = vec![0; READ];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok((bytes, hasher.finalize().into()));
        }
        hasher.update(&piece[..n]);
        bytes += n as u64;
    }
}

/// Lower-case hexadecimal.
pub(crate) fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write as _;
    bytes.iter().fold(String::with_capacity(bytes.len() * 2), |mut out, byte| {
        // Writing to a string cannot fail.
        let _ = write!(out, "{byte:02x}");
        out
    })
}

/// The inverse of [`hex`] for a SHA-256.
pub(crate) fn unhex(text: &str) -> Option<[u8; 32]> {
    let mut out = [0; 32];
    if text.len() != 64 || !text.is_ascii() {
        return None;
    }
    for (at, byte) in out.iter_mut().enumerate() {
        *byte = u8::from_str_radix(&text[at * 2..at * 2 + 2], 16).ok()?;
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;
    use reqwest::header::{HeaderName, HeaderValue};

    fn read(pairs: &[(&str, &str)], whole: bool) -> Stated {
        let headers = pairs
            .iter()
            .map(|(name, value)| {
                (HeaderName::from_bytes(name.as_bytes()).unwrap(), HeaderValue::from_str(value).unwrap())
            })
            .collect();
        Stated::read(&headers, whole)
    }

    #[test]
    fn every_header_form_is_read() {
        let mut hashers = Hashers::for_stated(&Stated {
            md5: Some(String::new()),
            sha512: Some(String::new()),
            ..Stated::default()
        });
        hashers.update(b"hello");
        let real = hashers.finish();
        let sha = STANDARD.encode(real.sha256);
        let md5 = "XUFAKrxLKna5cZ2REBfFkg==";
        for stated in [
            read(&[("repr-digest", &format!("sha-256=:{sha}:"))], false),
            read(&[("repr-digest", &format!("id-x=:AA==:, sha-256=:{sha}:;q=1"))], false),
            read(&[("content-digest", &format!("sha-256=:{sha}:"))], true),
            read(&[("digest", &format!("SHA-256={sha},MD5={md5}"))], false),
            read(&[("content-md5", md5)], true),
        ] {
            assert_ne!(stated, Stated::default());
            real.check(&stated, None).unwrap();
        }
        assert_eq!(
            read(&[("content-md5", md5), ("content-digest", &format!("sha-256=:{sha}:"))], false),
            Stated::default()
        );
        for unreadable in ["sha-256=:!!:", "sha-256=:AAAA:", "sha-256=AAAA", "sha-256", ""] {
            assert_eq!(read(&[("repr-digest", unreadable)], true), Stated::default(), "{unreadable}");
        }
    }

    #[test]
    fn every_wrong_digest_is_found() {
        let zero = Stated { md5: Some("00".repeat(16)), ..Stated::default() };
        let mut hashers = Hashers::for_stated(&zero);
        hashers.update(b"hello");
        let real = hashers.finish();
        assert!(matches!(
            real.check(&zero, None),
            Err(EngineError::ChecksumMismatch { algorithm: "MD5", .. })
        ));
        let sha = Stated { sha256: Some("00".repeat(32)), ..Stated::default() };
        assert!(matches!(
            real.check(&sha, None),
            Err(EngineError::ChecksumMismatch { algorithm: "SHA-256", .. })
        ));
        // Stated later than hashed: not comparable is not equal.
        let sha512 = Stated { sha512: Some("00".repeat(64)), ..Stated::default() };
        assert!(matches!(
            real.check(&sha512, None),
            Err(EngineError::ChecksumMismatch { algorithm: "SHA-512", .. })
        ));
        assert!(matches!(
            real.check(&Stated::default(), Some([0; 32])),
            Err(EngineError::ChecksumMismatch { .. })
        ));
        assert_eq!(unhex(&hex(&real.sha256)), Some(real.sha256));
        assert_eq!(unhex("zz"), None);
    }
}
