//! What the caller says the finished file must be.
//!
//! Owns the notation of a checksum, and the reading of the files in which servers publish them. Never hashes anything
//! (see [`crate::digest`]). Invariant: a line that is not understood states nothing.

use url::Url;

/// A hash function a caller may state.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum Algorithm {
    /// SHA-256.
    Sha256,
    /// SHA-512.
    Sha512,
    /// SHA-1: finds accidents, no longer attackers.
    Sha1,
    /// MD5: finds accidents, no longer attackers.
    Md5,
}

impl Algorithm {
    const ALL: [Self; 4] = [Self::Sha256, Self::Sha512, Self::Sha1, Self::Md5];

    /// As people write it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "SHA-256",
            Self::Sha512 => "SHA-512",
            Self::Sha1 => "SHA-1",
            Self::Md5 => "MD5",
        }
    }

    /// Hexadecimal digits of a hash.
    const fn digits(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
            Self::Sha1 => 40,
            Self::Md5 => 32,
        }
    }

    /// `sha256`, `SHA-256` and the like.
    fn parse(text: &str) -> Option<Self> {
        let plain: String = text.chars().filter(|c| *c != '-').collect();
        let plain = plain.to_ascii_lowercase();
        Self::ALL.into_iter().find(|algorithm| {
            algorithm.name().chars().filter(|c| *c != '-').collect::<String>().to_ascii_lowercase() == plain
        })
    }

    fn by_digits(digits: usize) -> Option<Self> {
        Self::ALL.into_iter().find(|algorithm| algorithm.digits() == digits)
    }

    fn hex(self, text: &str) -> Option<String> {
        (text.len() == self.digits() && text.bytes().all(|b| b.is_ascii_hexdigit()))
            .then(|| text.to_ascii_lowercase())
    }
}

/// What the finished file is compared with.
#[derive(Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Checksum {
    /// A hash the caller knows.
    Stated {
        /// How it was made.
        algorithm: Algorithm,
        /// Lower case, of the right length.
        hex: String,
    },
    /// The hash in `ADDRESS.sha256` beside the file.
    Sidecar,
    /// The hash in a list, `SHA256SUMS` and the like, at this address.
    List(Url),
}

/// Why a text states no checksum.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ChecksumError {
    /// Not one of the forms.
    #[error("a checksum is sha256:, sha512:, sha1: or md5: and a hash, `sidecar`, or the address of a list")]
    Form,
    /// Not as many hexadecimal digits as the hash has.
    #[error("{} has {} hexadecimal digits", algorithm.name(), algorithm.digits())]
    Digits {
        /// The hash that was begun.
        algorithm: Algorithm,
    },
}

impl Checksum {
    /// Reads `sha256:HEX`, `sha512:HEX`, `sha1:HEX`, `md5:HEX`, `sidecar`, or an `http(s)` address of a list.
    ///
    /// # Errors
    /// See [`ChecksumError`].
    pub fn parse(text: &str) -> Result<Self, ChecksumError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("sidecar") {
            return Ok(Self::Sidecar);
        }
        let (name, rest) = text.split_once(':').ok_or(ChecksumError::Form)?;
        if let Some(algorithm) = Algorithm::parse(name) {
            let hex = algorithm.hex(rest.trim()).ok_or(ChecksumError::Digits { algorithm })?;
            return Ok(Self::Stated { algorithm, hex });
        }
        match Url::parse(text) {
            Ok(url) if matches!(url.scheme(), "http" | "https") && url.has_host() => Ok(Self::List(url)),
            _ => Err(ChecksumError::Form),
        }
    }

    /// A SHA-256.
    #[must_use]
    pub fn sha256(hash: &[u8; 32]) -> Self {
        Self::Stated { algorithm: Algorithm::Sha256, hex: crate::digest::hex(hash) }
    }
}

impl std::str::FromStr for Checksum {
    type Err = ChecksumError;

    fn from_str(text: &str) -> Result<Self, ChecksumError> {
        Self::parse(text)
    }
}

impl std::fmt::Debug for Checksum {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Stated { algorithm, hex } => write!(f, "Checksum({}:{hex})", algorithm.name()),
            Self::Sidecar => f.write_str("Checksum(sidecar)"),
            Self::List(url) => write!(f, "Checksum({})", crate::source::without_query(url)),
        }
    }
}

/// Finds the hash of one of `names` in a published list: `HEX`, `HEX  name`, `HEX *name` (coreutils; a leading `\`
/// says that the name is escaped) or `SHA256 (name) = HEX` (BSD). A lone hash without a name counts when it is the only
/// line, as sidecars have it. Of several hashes for the file the strongest is taken.
///
/// A name with folders is preferred when they are those of `path`, the file's own.
pub(crate) fn find(text: &str, path: &str, names: &[&str]) -> Option<(Algorithm, String)> {
    let lines: Vec<Line> = text.trim_start_matches('\u{feff}').lines().filter_map(line).collect();
    if let [Line { algorithm, hex, name: None }] = lines.as_slice() {
        return Some((*algorithm, hex.clone()));
    }
    let fits = |line: &&Line| {
        let Some(name) = &line.name else { return false };
        names.iter().any(|wanted| name == wanted || name.rsplit('/').next() == Some(wanted))
    };
    // How many folders of its name are the file's own, from the last on: lists of a whole tree have namesakes.
    let folders = |line: &&Line| {
        let name = line.name.as_deref().unwrap_or_default().trim_start_matches("./");
        let own = path.rsplit('/').skip(1);
        let same = name.rsplit('/').skip(1).zip(own).take_while(|(a, b)| a == b).count();
        std::cmp::Reverse(same)
    };
    let strength = |line: &&Line| Algorithm::ALL.iter().position(|algorithm| *algorithm == line.algorithm);
    // SHA-512 says no more than SHA-256, which is computed in any case.
    lines
        .iter()
        .filter(fits)
        .min_by_key(|line| (folders(line), strength(line)))
        .map(|line| (line.algorithm, line.hex.clone()))
}

struct Line {
    algorithm: Algorithm,
    hex: String,
    name: Option<String>,
}

fn line(text: &str) -> Option<Line> {
    let text = text.trim();
    if let Some((head, hex)) = text.rsplit_once(" = ")
        && let Some((algorithm, name)) = head.split_once(" (")
        && let Some(algorithm) = Algorithm::parse(algorithm.trim())
    {
        let name = name.strip_suffix(')')?;
        return Some(Line { algorithm, hex: algorithm.hex(hex.trim())?, name: Some(name.to_owned()) });
    }
    let (escaped, text) = match text.strip_prefix('\\') {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let (hex, name) = match text.split_once([' ', '\t']) {
        Some((hex, name)) => (hex, name.trim_start().trim_start_matches('*').trim()),
        None => (text, ""),
    };
    let algorithm = Algorithm::by_digits(hex.len())?;
    let name = (!name.is_empty())
        .then(|| if escaped { name.replace("\\n", "\n").replace("\\\\", "\\") } else { name.to_owned() });
    Some(Line { algorithm, hex: algorithm.hex(hex)?, name })
}

/// The address of the sidecar: `.sha256` behind the path, the query kept because it may be what lets one in.
pub(crate) fn sidecar_of(url: &Url) -> Url {
    let mut sidecar = url.clone();
    sidecar.set_path(&format!("{}.sha256", url.path()));
    sidecar.set_fragment(None);
    sidecar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn checksums_are_read_whole_or_not() {
        let a = "A1".repeat(32);
        let stated = Checksum::Stated { algorithm: Algorithm::Sha256, hex: a.to_ascii_lowercase() };
        for text in [format!("sha256:{a}"), format!(" SHA-256: {a} ")] {
            assert_eq!(Checksum::parse(&text).unwrap(), stated);
        }
        assert_eq!(Checksum::sha256(&[0xA1; 32]), stated);
        assert!(Checksum::parse(&format!("md5:{}", "0".repeat(32))).is_ok());
        assert!(Checksum::parse(&format!("sha1:{}", "0".repeat(40))).is_ok());
        assert!(Checksum::parse(&format!("sha512:{}", "0".repeat(128))).is_ok());
        assert_eq!(Checksum::parse("sidecar"), Ok(Checksum::Sidecar));
        let list = Checksum::parse("https://a.example/SHA256SUMS?sig=S3CRET").unwrap();
        assert!(matches!(list, Checksum::List(_)) && !format!("{list:?}").contains("S3CRET"));
        for bad in ["", "sha256", "sha256:", "md5:00", "crc32:00000000", "ftp://a.example/x", "https:"] {
            assert!(Checksum::parse(bad).is_err(), "{bad}");
        }
        assert!(Checksum::parse(&format!("sha256:{}", "zz".repeat(32))).is_err());
        assert_eq!(Checksum::parse("md5:00").unwrap_err().to_string(), "MD5 has 32 hexadecimal digits");
    }

    #[test]
    fn published_lists_are_read_in_every_form() {
        let (a, b, md5) = ("a".repeat(64), "b".repeat(64), "c".repeat(32));
        let found = |text: &str| find(text, "", &["file.bin"]);
        let hit = Some((Algorithm::Sha256, a.clone()));
        for text in [
            a.clone(),
            format!("{a}\n"),
            format!("\u{feff}{}\r\n", a.to_uppercase()),
            format!("{a}  file.bin"),
            format!("{b}  other.bin\n{a} *file.bin\n"),
            format!("{a}  ./dir/file.bin"),
            format!("SHA256 (file.bin) = {a}\nSHA256 (other.bin) = {b}"),
            format!("-----BEGIN PGP SIGNED MESSAGE-----\nHash: SHA512\n\n{a}  file.bin\n"),
            format!("{md5}  file.bin\n{a}  file.bin\n"),
            format!("# comment\n\n{a}\tfile.bin"),
        ] {
            assert_eq!(found(&text), hit, "{text}");
        }
        assert_eq!(find(&format!("\\{a}  a\\\\b\\nc"), "", &["a\\b\nc"]), hit);
        assert_eq!(found(&format!("{md5}  file.bin")), Some((Algorithm::Md5, md5)));
        // Namesakes in other folders of one tree.
        let tree = format!("{b}  old/file.bin\n{a}  new/file.bin\n{b}  new/deep/file.bin");
        assert_eq!(find(&tree, "/pub/new/file.bin", &["file.bin"]), hit);
        for text in [
            String::new(),
            "<html>not here".to_owned(),
            format!("{b}  other.bin"),
            format!("{b}  xfile.bin"),
            format!("{a}\n{b}"),
            "a".repeat(63),
            format!("SHA256 (file.bin) = {}", "a".repeat(63)),
        ] {
            assert_eq!(found(&text), None, "{text}");
        }
    }

    #[test]
    fn the_sidecar_is_beside_the_file_and_keeps_the_query() {
        let url = Url::parse("https://a.example/d/f.iso?sig=1#x").unwrap();
        assert_eq!(sidecar_of(&url).as_str(), "https://a.example/d/f.iso.sha256?sig=1");
    }
}
