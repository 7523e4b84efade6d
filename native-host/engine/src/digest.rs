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
use sha1::Sha1;
use sha2::{Digest, Sha256, Sha512};

use crate::checksum::Algorithm;
use crate::{EngineError, answer};

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

    /// Something was stated.
    pub(crate) fn is_some(&self) -> bool {
        *self != Self::default()
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

/// What the finished file must be by the word of somebody other than the server's headers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Expected {
    pub(crate) algorithm: Algorithm,
    /// Lower case.
    pub(crate) hex: String,
    /// Whose word it is, for people.
    pub(crate) stated_by: &'static str,
}

/// Hashes the bytes of a file in order, once, for everything that was stated.
#[derive(Debug, Clone)]
pub(crate) struct Hashers {
    sha256: Sha256,
    sha512: Option<Sha512>,
    sha1: Option<Sha1>,
    md5: Option<Md5>,
}

impl Hashers {
    /// SHA-256 always, the others as `stated` by the server or `wanted` by the caller.
    pub(crate) fn new(stated: &Stated, wanted: Option<Algorithm>) -> Self {
        Self {
            sha256: Sha256::new(),
            sha512: (stated.sha512.is_some() || wanted == Some(Algorithm::Sha512)).then(Sha512::new),
            sha1: (wanted == Some(Algorithm::Sha1)).then(Sha1::new),
            md5: (stated.md5.is_some() || wanted == Some(Algorithm::Md5)).then(Md5::new),
        }
    }

    pub(crate) fn update(&mut self, bytes: &[u8]) {
        self.sha256.update(bytes);
        if let Some(sha512) = &mut self.sha512 {
            sha512.update(bytes);
        }
        if let Some(sha1) = &mut self.sha1 {
            sha1.update(bytes);
        }
        if let Some(md5) = &mut self.md5 {
            md5.update(bytes);
        }
    }

    pub(crate) fn finish(self) -> Digests {
        Digests {
            sha256: self.sha256.finalize().into(),
            sha512: self.sha512.map(|hasher| hex(&hasher.finalize())),
            sha1: self.sha1.map(|hasher| hex(&hasher.finalize())),
            md5: self.md5.map(|hasher| hex(&hasher.finalize())),
        }
    }
}

/// What the bytes really are.
#[derive(Debug, Clone)]
pub(crate) struct Digests {
    pub(crate) sha256: [u8; 32],
    sha512: Option<String>,
    sha1: Option<String>,
    md5: Option<String>,
}

impl Digests {
    /// The hash of this kind, if it was computed.
    fn get(&self, algorithm: Algorithm) -> Option<String> {
        match algorithm {
            Algorithm::Sha256 => Some(hex(&self.sha256)),
            Algorithm::Sha512 => self.sha512.clone(),
            Algorithm::Sha1 => self.sha1.clone(),
            Algorithm::Md5 => self.md5.clone(),
        }
    }

    /// Whether this kind was computed.
    pub(crate) fn has(&self, algorithm: Algorithm) -> bool {
        self.get(algorithm).is_some()
    }

    /// Compares with everything stated. What was not computed does not match.
    pub(crate) fn check(&self, stated: &Stated, wanted: Option<&Expected>) -> Result<(), EngineError> {
        let fail = |algorithm, stated_by| Err(EngineError::ChecksumMismatch { algorithm, stated_by });
        if let Some(wanted) = wanted
            && self.get(wanted.algorithm).is_none_or(|found| found != wanted.hex)
        {
            return fail(wanted.algorithm.name(), wanted.stated_by);
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

/// Size and hashes of a file, read from its beginning. Blocks.
pub(crate) fn of_file(file: &mut File, wanted: Option<Algorithm>) -> io::Result<(u64, Digests)> {
    file.rewind()?;
    let mut hashers = Hashers::new(&Stated::default(), wanted);
    let mut piece = vec![0; READ];
    let mut bytes = 0;
    loop {
        let n = file.read(&mut piece)?;
        if n == 0 {
            return Ok((bytes, hashers.finish()));
        }
        hashers.update(&piece[..n]);
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
        let mut hashers = Hashers::new(
            &Stated { md5: Some(String::new()), sha512: Some(String::new()), ..Stated::default() },
            None,
        );
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
        let mut hashers = Hashers::new(&zero, None);
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
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512, Algorithm::Sha1, Algorithm::Md5] {
            let mut hashers = Hashers::new(&Stated::default(), Some(algorithm));
            hashers.update(b"hello");
            let found = hashers.finish();
            let mut wanted =
                Expected { algorithm, hex: found.get(algorithm).unwrap(), stated_by: "the caller" };
            found.check(&Stated::default(), Some(&wanted)).unwrap();
            wanted.hex = "00".repeat(wanted.hex.len() / 2);
            assert!(matches!(
                found.check(&Stated::default(), Some(&wanted)),
                Err(EngineError::ChecksumMismatch { stated_by: "the caller", .. })
            ));
        }
        // Asked for and not computed is no match either.
        let sha1 = Expected {
            algorithm: Algorithm::Sha1,
            hex: "aaf4c61ddcc5e8a2dabede0f3b482cd9aea9434d".into(),
            stated_by: "the caller",
        };
        assert!(real.check(&Stated::default(), Some(&sha1)).is_err());
        let mut hashers = Hashers::new(&Stated::default(), Some(Algorithm::Sha1));
        hashers.update(b"hello");
        hashers.finish().check(&Stated::default(), Some(&sha1)).unwrap();
        assert_eq!(unhex(&hex(&real.sha256)), Some(real.sha256));
        assert_eq!(unhex("zz"), None);
    }
}
