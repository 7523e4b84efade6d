//! Files of hashes as `sha256sum` writes and reads them: `HEX  NAME`.
//!
//! Owns `NAME.sha256` beside a file. Never replaces one that says something else. Invariant: a hash is read only from a
//! line that names the file, or from a file that holds nothing but the hash.

use std::fs::OpenOptions;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// Largest file of hashes that is read.
const LARGEST: u64 = 1024 * 1024;

/// Where the hash of a file lies beside it.
pub(super) fn beside(file: &Path) -> PathBuf {
    let mut path = file.as_os_str().to_owned();
    path.push(".sha256");
    path.into()
}

/// Writes the hash of `file`, named `name`, beside it.
///
/// # Errors
/// `AlreadyExists` when one is there that says something else; whatever the disk says.
pub(super) fn write(file: &Path, name: &str, hex: &str) -> io::Result<PathBuf> {
    let path = beside(file);
    match OpenOptions::new().write(true).create_new(true).open(&path) {
        Ok(mut out) => {
            out.write_all(format!("{hex}  {name}\n").as_bytes())?;
            out.sync_all()?;
        }
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            if read(&path, name)?.as_deref() != Some(hex) {
                return Err(error);
            }
        }
        Err(error) => return Err(error),
    }
    Ok(path)
}

/// The SHA-256 that the file of hashes at `path` states for `name`, lower case.
///
/// # Errors
/// Whatever the disk says; one that is no text or larger than a megabyte is `InvalidData`.
pub(super) fn read(path: &Path, name: &str) -> io::Result<Option<String>> {
    use std::io::Read as _;
    let mut text = String::new();
    let file = std::fs::File::open(path)?;
    if file.take(LARGEST + 1).read_to_string(&mut text)? as u64 > LARGEST {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "larger than a file of hashes is"));
    }
    Ok(find(&text, name))
}

fn find(text: &str, name: &str) -> Option<String> {
    let is_hash = |hex: &str| hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_hexdigit());
    let lines = || text.lines().map(str::trim_end).filter(|line| !line.is_empty() && !line.starts_with('#'));
    let named = lines().find_map(|line| {
        let (hex, rest) = line.split_once(' ')?;
        // ` name` was hashed as text, `*name` as bytes; paths are those of another machine.
        let stated = rest.strip_prefix([' ', '*']).unwrap_or(rest);
        let stated = stated.rsplit(['/', '\\']).next().unwrap_or(stated);
        (is_hash(hex) && stated == name).then(|| hex.to_ascii_lowercase())
    });
    let mut all = lines();
    let alone = || match (all.next(), all.next()) {
        (Some(line), None) if is_hash(line) => Some(line.to_ascii_lowercase()),
        _ => None,
    };
    named.or_else(alone)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hashes_are_read_for_the_right_name_only() {
        let (a, b) = ("a".repeat(64), "B".repeat(64));
        for (text, found) in [
            (format!("{a}  x.bin\n"), Some(a.clone())),
            (format!("{a} *x.bin\r\n"), Some(a.clone())),
            (format!("{a}  ./dir/x.bin\n"), Some(a.clone())),
            (format!("# sums\n{a}  y.bin\n{b}  x.bin\n"), Some(b.to_lowercase())),
            (format!("{a}\n"), Some(a.clone())),
            (format!("{a}\n{b}\n"), None),
            (format!("{a}  y.bin\n"), None),
            (format!("{}  x.bin\n", "g".repeat(64)), None),
            (String::new(), None),
        ] {
            assert_eq!(find(&text, "x.bin"), found, "{text}");
        }
    }

    #[test]
    fn what_is_written_is_read_and_never_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("x (1).bin");
        let (a, b) = ("a".repeat(64), "b".repeat(64));
        let path = write(&file, "x (1).bin", &a).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), format!("{a}  x (1).bin\n"));
        assert_eq!(read(&path, "x (1).bin").unwrap(), Some(a.clone()));
        write(&file, "x (1).bin", &a).unwrap();
        assert_eq!(write(&file, "x (1).bin", &b).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(read(&path, "x (1).bin").unwrap(), Some(a));
    }
}
