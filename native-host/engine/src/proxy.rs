//! Where connections go through.
//!
//! Owns the reading of a proxy's address. Never connects. Invariant: its user info is in no `{:?}`, no display and no
//! error.

use url::Url;

use crate::source::without_query;

/// A proxy, or the wish to use none.
#[derive(Clone, PartialEq, Eq)]
pub struct Proxy(Way);

#[derive(Clone, PartialEq, Eq)]
enum Way {
    Direct,
    Through(Url),
}

/// Why a text names no proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ProxyError {
    /// No scheme, or another one.
    #[error("a proxy begins with http://, https://, socks5:// or socks5h://, or is `none`")]
    Scheme,
    /// No host, or something that is none.
    #[error("the proxy's address has no host")]
    Host,
    /// A path, a query or a fragment: then it is no proxy's address.
    #[error("the proxy's address goes on behind its port")]
    Rest,
}

impl Proxy {
    /// Reads `http://`, `https://`, `socks5://` (names are resolved here) or `socks5h://` (names are resolved by the
    /// proxy) with optional `user:password@` and port (80, 443 or 1080), or `none` or `direct`, which goes past the
    /// proxies of the environment too.
    ///
    /// # Errors
    /// See [`ProxyError`]; no message repeats the text, which may hold a password.
    pub fn parse(text: &str) -> Result<Self, ProxyError> {
        let text = text.trim();
        if text.eq_ignore_ascii_case("none") || text.eq_ignore_ascii_case("direct") {
            return Ok(Self(Way::Direct));
        }
        if !text.contains("://") {
            return Err(ProxyError::Scheme);
        }
        let mut url = Url::parse(text).map_err(|_| ProxyError::Host)?;
        if !matches!(url.scheme(), "http" | "https" | "socks5" | "socks5h") {
            return Err(ProxyError::Scheme);
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(ProxyError::Host);
        }
        if !matches!(url.path(), "" | "/") || url.query().is_some() || url.fragment().is_some() {
            return Err(ProxyError::Rest);
        }
        if url.scheme().starts_with("socks") && url.port().is_none() {
            url.set_port(Some(1080)).map_err(|()| ProxyError::Host)?;
        }
        Ok(Self(Way::Through(url)))
    }

    /// Host and port, for messages. None when no proxy is used.
    #[must_use]
    pub fn host(&self) -> Option<String> {
        match &self.0 {
            Way::Direct => None,
            Way::Through(url) => Some(host_and_port(url)),
        }
    }

    /// The address with its user info. None when no proxy is used.
    pub(crate) fn address(&self) -> Option<&Url> {
        match &self.0 {
            Way::Direct => None,
            Way::Through(url) => Some(url),
        }
    }
}

fn host_and_port(url: &Url) -> String {
    let host = url.host_str().unwrap_or_default();
    match url.port_or_known_default() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    }
}

impl std::str::FromStr for Proxy {
    type Err = ProxyError;

    fn from_str(text: &str) -> Result<Self, ProxyError> {
        Self::parse(text)
    }
}

impl std::fmt::Display for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match &self.0 {
            Way::Direct => f.write_str("none"),
            // The origin of an unknown scheme is opaque, so it is put together here.
            Way::Through(url) if url.scheme().starts_with("socks") => {
                write!(f, "{}://{}", url.scheme(), host_and_port(url))
            }
            Way::Through(url) => f.write_str(without_query(url).trim_end_matches('/')),
        }
    }
}

impl std::fmt::Debug for Proxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Proxy({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn proxies_are_read_and_shown_without_their_user_info() {
        for (text, shown, host) in [
            (
                "http://user:S3CRET@proxy.example:3128",
                "http://proxy.example:3128",
                Some("proxy.example:3128"),
            ),
            ("https://proxy.example/", "https://proxy.example", Some("proxy.example:443")),
            ("socks5://user:S3CRET@10.0.0.1", "socks5://10.0.0.1:1080", Some("10.0.0.1:1080")),
            ("socks5h://[::1]:9050", "socks5h://[::1]:9050", Some("[::1]:9050")),
            (" none ", "none", None),
            ("DIRECT", "none", None),
        ] {
            let proxy = Proxy::parse(text).unwrap();
            assert_eq!(proxy.to_string(), shown);
            assert_eq!(proxy.host().as_deref(), host);
            assert!(!format!("{proxy:?}").contains("S3CRET"));
            assert_eq!(proxy.address().is_some(), host.is_some());
        }
    }

    #[test]
    fn what_is_no_proxy_is_refused_without_repeating_it() {
        for (text, error) in [
            ("", ProxyError::Scheme),
            ("proxy.example:3128", ProxyError::Scheme),
            ("user:S3CRET@proxy.example", ProxyError::Scheme),
            ("ftp://user:S3CRET@proxy.example", ProxyError::Scheme),
            ("socks4://proxy.example", ProxyError::Scheme),
            ("http://", ProxyError::Host),
            ("socks5://", ProxyError::Host),
            ("http://proxy.example/path?S3CRET", ProxyError::Rest),
        ] {
            let found = Proxy::parse(text).unwrap_err();
            assert_eq!(found, error, "{text}");
            assert!(!found.to_string().contains("S3CRET"));
        }
    }
}
