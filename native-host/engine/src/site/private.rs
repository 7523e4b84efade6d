//! The folder of what nobody else may read: cookies, headers, addresses and links that yt-dlp needs.
//!
//! Owns its files and their end. Never lies in the download folder, which may be shared or copied elsewhere. Invariant: the
//! folder is 0700, its files are 0600, and it goes when its owner does.

use std::fs::{DirBuilder, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use url::Url;

use crate::digest::hex;
use crate::proxy::Proxy;
use crate::source::{self, Source};
use crate::{EngineError, without_query};

/// Tries to remove a folder into which somebody still writes.
const TRIES: u32 = 5;

/// A folder of secrets, removed when dropped.
#[derive(Debug)]
pub(super) struct Private {
    folder: PathBuf,
}

impl Private {
    /// A new one, in memory where the system has such a place.
    pub(super) fn new() -> Result<Self, EngineError> {
        let runtime = std::env::var_os("XDG_RUNTIME_DIR").map(PathBuf::from);
        let places = runtime.into_iter().filter(|path| path.is_absolute()).chain([std::env::temp_dir()]);
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        for place in places {
            let mut random = [0_u8; 16];
            getrandom::fill(&mut random).map_err(|error| EngineError::Internal(error.to_string()))?;
            let folder = place.join(format!("weir-{}", hex(&random)));
            match DirBuilder::new().mode(0o700).create(&folder) {
                Ok(()) => return Ok(Self { folder }),
                Err(error) => last = error,
            }
        }
        Err(EngineError::Internal(format!("no private folder for yt-dlp can be made: {last}")))
    }

    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Writes a file only its owner can read, in place of an earlier one of this name.
    pub(super) fn write(&self, name: &str, content: &[u8]) -> Result<PathBuf, EngineError> {
        let path = self.folder.join(name);
        let written = match std::fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
            _ => OpenOptions::new().write(true).create_new(true).mode(0o600).open(&path),
        };
        written
            .and_then(|mut file| file.write_all(content))
            .map_err(|error| EngineError::Internal(format!("a private file cannot be written: {error}")))?;
        Ok(path)
    }
}

impl Drop for Private {
    fn drop(&mut self) {
        for _ in 0..TRIES {
            match std::fs::remove_dir_all(&self.folder) {
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                Err(error) if error.kind() != io::ErrorKind::NotFound => {
                    tracing::warn!(%error, "a private folder could not be removed");
                    return;
                }
                _ => return,
            }
        }
    }
}

/// Options that a list of processes must not show, as a configuration file of yt-dlp.
///
/// Of the caller's headers only those go along that prove nothing: yt-dlp sends what it is given to every server it asks,
/// and keeps `Authorization` through redirects to other hosts.
pub(super) fn configuration(source: &Source, user_agent: &str, proxy: Option<&Proxy>) -> String {
    let mut out = String::new();
    let mut named_agent = false;
    for (name, value) in &source.headers {
        let (name, value) = (name.trim(), value.trim());
        if !tells(name)
            || name.contains(':')
            || [name, value].iter().any(|text| text.chars().any(char::is_control))
        {
            continue;
        }
        named_agent |= name.eq_ignore_ascii_case("user-agent");
        // A query may be a secret of the page one comes from.
        let value = match Url::parse(value) {
            Ok(page) if name.eq_ignore_ascii_case("referer") => without_query(&page),
            _ => value.to_owned(),
        };
        line(&mut out, "--add-headers", &format!("{name}:{value}"));
    }
    // yt-dlp's own looks like a browser, and many sites answer nothing else.
    if !named_agent && !user_agent.starts_with("Weir/") {
        line(&mut out, "--add-headers", &format!("User-Agent:{user_agent}"));
    }
    if let Some(proxy) = proxy {
        line(&mut out, "--proxy", proxy.address().map_or("", Url::as_str));
    }
    out
}

/// Whether a header of the caller is of use to every server that a page leads to, and harmless there.
fn tells(name: &str) -> bool {
    let lower = name.to_ascii_lowercase();
    source::travels(name)
        && !source::is_credential(name)
        && !["content-", "sec-", "access-control-"].iter().any(|start| lower.starts_with(start))
        && !matches!(lower.as_str(), "accept" | "origin" | "upgrade-insecure-requests" | "priority" | "dnt")
}

/// One option, quoted as a shell reads it: that is how yt-dlp reads the file.
pub(super) fn line(out: &mut String, option: &str, value: &str) {
    out.push_str(option);
    out.push_str(" '");
    out.push_str(&value.replace('\'', "'\"'\"'"));
    out.push_str("'\n");
}

/// The caller's cookies as a Netscape file, for the host of the page and no other. None without any.
pub(super) fn cookies(source: &Source) -> Option<String> {
    let in_headers = || {
        let header = source.headers.iter().find(|(name, _)| name.trim().eq_ignore_ascii_case("cookie"));
        header.map(|(_, value)| value.as_str())
    };
    let text = source.cookies.as_deref().or_else(in_headers)?;
    let host = match source.url.host()? {
        // Python's cookie jar gives hosts without a dot this end.
        url::Host::Domain(name) if !name.contains('.') => format!("{name}.local"),
        url::Host::Domain(name) => name.to_owned(),
        url::Host::Ipv4(address) => address.to_string(),
        url::Host::Ipv6(address) => format!("[{address}]"),
    };
    let secure = if source.url.scheme() == "https" { "TRUE" } else { "FALSE" };
    let mut out = "# Netscape HTTP Cookie File\n".to_owned();
    let mut any = false;
    for pair in text.split(';') {
        let Some((name, value)) = pair.split_once('=') else { continue };
        let (name, value) = (name.trim(), value.trim());
        if name.is_empty() || [name, value].iter().any(|text| text.chars().any(char::is_control)) {
            continue;
        }
        any = true;
        out.push_str(&format!("{host}\tFALSE\t/\t{secure}\t0\t{name}\t{value}\n"));
    }
    any.then_some(out)
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt as _;

    use super::*;

    fn visitor(url: &str) -> Source {
        let mut source = Source::get(Url::parse(url).unwrap());
        for (name, value) in [
            ("Authorization", "Bearer S3CRET"),
            ("X-Api-Key", "S3CRET"),
            ("Cookie", "from=headers"),
            ("Referer", "https://page.example/x?token=S3CRET"),
            ("User-Agent", "It's a browser"),
            ("Accept", "text/html"),
            ("Sec-Fetch-Mode", "navigate"),
            ("Accept-Language", "de\n--exec evil"),
            ("X-Kind", "plain"),
        ] {
            source.headers.push((name.into(), value.into()));
        }
        source
    }

    #[test]
    fn only_its_owner_reads_it_and_it_goes() {
        let private = Private::new().unwrap();
        let folder = private.folder().to_owned();
        private.write("a", b"longer than the second").unwrap();
        let path = private.write("a", b"second").unwrap();
        let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&folder), mode(&path)), (0o700, 0o600));
        assert_eq!(std::fs::read(&path).unwrap(), b"second");
        drop(private);
        assert!(!folder.exists());
    }

    #[test]
    fn headers_that_prove_who_one_is_are_not_given_to_every_server() {
        let proxy = Proxy::parse("http://me:it's@proxy.example:3128").unwrap();
        let text = configuration(&visitor("https://a.example/"), "Weir/1", Some(&proxy));
        let lines: Vec<&str> = text.lines().collect();
        assert_eq!(
            lines,
            [
                "--add-headers 'Referer:https://page.example/x'",
                "--add-headers 'User-Agent:It'\"'\"'s a browser'",
                "--add-headers 'X-Kind:plain'",
                "--proxy 'http://me:it'\"'\"'s@proxy.example:3128/'",
            ]
        );
        let direct = Proxy::parse("none").unwrap();
        let source = Source::get(Url::parse("https://a.example/").unwrap());
        assert_eq!(configuration(&source, "Weir/1", Some(&direct)), "--proxy ''\n");
        assert_eq!(configuration(&source, "Mine", None), "--add-headers 'User-Agent:Mine'\n");
    }

    #[test]
    fn cookies_are_for_the_host_of_the_page_only() {
        let mut source = visitor("https://www.a.example/x");
        assert_eq!(
            cookies(&source).unwrap(),
            "# Netscape HTTP Cookie File\nwww.a.example\tFALSE\t/\tTRUE\t0\tfrom\theaders\n"
        );
        source.cookies = Some("a=1; b=x=y; bad; c=\t; =d".into());
        let text = cookies(&source).unwrap();
        assert_eq!(text.lines().count(), 4, "{text}");
        assert!(text.ends_with("\tb\tx=y\nwww.a.example\tFALSE\t/\tTRUE\t0\tc\t\n"), "{text}");
        let local = Source { cookies: Some("a=1".into()), ..Source::get(Url::parse("http://nas/").unwrap()) };
        assert!(cookies(&local).unwrap().contains("nas.local\tFALSE\t/\tFALSE\t0\ta\t1"));
        assert_eq!(cookies(&Source::get(Url::parse("http://nas/").unwrap())), None);
    }
}
