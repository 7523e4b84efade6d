//! Where a download comes from: address, method and the headers the browser would have sent.
//!
//! Owns the rule which caller headers travel at all and which of them are credentials. Never sends anything.
//! Invariant: neither header values nor cookies nor the body appear in `{:?}`.

use url::Url;

use crate::{Login, Proxy};

/// How the first request asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Method {
    /// The usual one; may be repeated and split into ranges.
    #[default]
    Get,
    /// Sent once with its body over a single connection; never split into ranges.
    Post,
}

/// Everything needed to ask for a resource the way the browser did.
#[derive(Clone, PartialEq, Eq)]
pub struct Source {
    /// `http` or `https`.
    pub url: Url,
    /// How to ask.
    pub method: Method,
    /// Request headers by name; framing, range and conditional ones are ignored.
    pub headers: Vec<(String, String)>,
    /// Value of the `Cookie` header; wins over one in `headers`.
    pub cookies: Option<String>,
    /// Sent with [`Method::Post`].
    pub body: Option<String>,
    /// For the server of `url` when it asks who is there; wins over user info in the address, which wins over a netrc.
    pub login: Option<Login>,
    /// None is the engine's: [`crate::EngineOptions::proxy`].
    pub proxy: Option<Proxy>,
}

impl Source {
    /// A plain `GET` without any header of the caller.
    #[must_use]
    pub fn get(url: Url) -> Self {
        Self {
            url,
            method: Method::Get,
            headers: Vec::new(),
            cookies: None,
            body: None,
            login: None,
            proxy: None,
        }
    }

    /// The same visitor, looking around: what a playlist leads to is always fetched by `GET`.
    #[must_use]
    pub(crate) fn visiting(&self) -> Self {
        Self { method: Method::Get, body: None, ..self.clone() }
    }

    /// The same visitor, who was given these cookies (values of `Set-Cookie`) at `place`. Only what is handed out at home is
    /// kept: nowhere else are cookies shown.
    #[must_use]
    pub(crate) fn given<'a>(self, place: &Url, set: impl Iterator<Item = &'a str>) -> Self {
        let set: Vec<&str> = set.collect();
        if set.is_empty() || !same_place(&self.url, place) {
            return self;
        }
        let own = self.headers.iter().find(|(name, _)| name.eq_ignore_ascii_case("cookie"));
        let shown = self.cookies.clone().or_else(|| own.map(|(_, value)| value.clone())).unwrap_or_default();
        // As they are: also what has no name is a cookie to some.
        let mut cookies: Vec<&str> = shown.split(';').map(str::trim).filter(|own| !own.is_empty()).collect();
        for given in set.iter().filter_map(|set| set.split(';').next()).map(str::trim) {
            let Some(name) = name_of(given) else { continue };
            cookies.retain(|known| name_of(known) != Some(name));
            cookies.push(given);
        }
        Self { cookies: Some(cookies.join("; ")).filter(|text| !text.is_empty()), ..self }
    }
}

impl std::fmt::Debug for Source {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let names: Vec<&str> = self.headers.iter().map(|(name, _)| name.as_str()).collect();
        f.debug_struct("Source")
            .field("url", &without_query(&self.url))
            .field("method", &self.method)
            .field("header_names", &names)
            .field("has_cookies", &self.cookies.is_some())
            .field("has_body", &self.body.is_some())
            .field("has_login", &self.login.is_some())
            .field("proxy", &self.proxy)
            .finish()
    }
}

/// The name in `name=value`.
fn name_of(cookie: &str) -> Option<&str> {
    let (name, _) = cookie.split_once('=')?;
    Some(name.trim()).filter(|name| !name.is_empty())
}

/// An address as it may be shown: query, fragment and user info often carry secrets.
#[must_use]
pub fn without_query(url: &Url) -> String {
    // An opaque origin, as `file:` has, is written `null`, which tells nobody anything.
    match url.origin() {
        origin @ url::Origin::Tuple(..) => format!("{}{}", origin.ascii_serialization(), url.path()),
        url::Origin::Opaque(_) => format!("{}:{}", url.scheme(), url.path()),
    }
}

/// Whether a caller's header may be sent. Framing, ranges, conditions and encodings are the engine's own business;
/// a captured value would break the transfer or make its bytes wrong.
pub(crate) fn travels(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    !(name.is_empty()
        || name.starts_with(':')
        || name.starts_with("if-")
        || name.starts_with("sec-websocket-")
        || matches!(
            name.as_str(),
            "accept-encoding"
                | "connection"
                | "content-length"
                | "expect"
                | "host"
                | "keep-alive"
                | "proxy-authorization"
                | "proxy-connection"
                | "range"
                | "te"
                | "trailer"
                | "transfer-encoding"
                | "upgrade"
        ))
}

/// Whether a header proves who the caller is, so that only the host it was meant for may see it. Besides the
/// standard ones this takes the names sites invent (`X-Api-Key`, `X-Session-Token`): losing one too many costs a
/// refused request, leaking one costs an account.
#[must_use]
pub fn is_credential(name: &str) -> bool {
    let name = name.trim().to_ascii_lowercase();
    matches!(name.as_str(), "authorization" | "cookie" | "cookie2" | "proxy-authorization")
        || (name != "sec-fetch-user"
            && ["auth", "token", "key", "secret", "session", "csrf", "xsrf", "ticket", "signature"]
                .iter()
                .any(|part| name.contains(part)))
}

/// Whether credentials meant for `from` may be shown to `to`: the same host and port, and never from `https` to
/// `http`. The usual upgrade from `http` to `https` on default ports counts as the same place.
#[must_use]
pub fn same_place(from: &Url, to: &Url) -> bool {
    if from.host_str() != to.host_str() {
        return false;
    }
    match (from.scheme(), to.scheme()) {
        (a, b) if a == b => from.port_or_known_default() == to.port_or_known_default(),
        ("http", "https") => {
            from.port_or_known_default() == Some(80) && to.port_or_known_default() == Some(443)
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    #[test]
    fn framing_and_conditions_of_the_caller_do_not_travel() {
        for name in [
            "Range",
            "If-Range",
            "if-none-match",
            "Host",
            "Accept-Encoding",
            "TE",
            ":authority",
            "Connection",
        ] {
            assert!(!travels(name), "{name}");
        }
        for name in ["Referer", "User-Agent", "Accept", "Origin", "Sec-Fetch-Mode", "Authorization", "Cookie"]
        {
            assert!(travels(name), "{name}");
        }
    }

    #[test]
    fn invented_credentials_are_credentials() {
        for name in ["Authorization", "COOKIE", "X-Api-Key", "X-Auth", "x-session-id", "X-CSRF-Token"] {
            assert!(is_credential(name), "{name}");
        }
        for name in ["Referer", "User-Agent", "Accept", "Origin"] {
            assert!(!is_credential(name), "{name}");
        }
    }

    #[test]
    fn another_host_port_or_a_downgrade_is_another_place() {
        let home = url("https://a.example/x");
        assert!(same_place(&home, &url("https://a.example/y?z")));
        assert!(!same_place(&home, &url("https://b.example/x")));
        assert!(!same_place(&home, &url("https://a.example:8443/x")));
        assert!(!same_place(&home, &url("http://a.example/x")));
        assert!(same_place(&url("http://a.example/"), &home));
    }

    #[test]
    fn debug_shows_no_secret() {
        let mut source = Source::get(url("https://u:p@a.example/x?sig=S3CRET"));
        source.headers.push(("Authorization".into(), "S3CRET".into()));
        source.cookies = Some("S3CRET".into());
        source.body = Some("S3CRET".into());
        source.login = Some(Login::new("me", "S3CRET"));
        source.proxy = Some(Proxy::parse("http://me:S3CRET@proxy.example:3128").unwrap());
        let shown = format!("{source:?}");
        assert!(!shown.contains("S3CRET") && !shown.contains("u:p"), "{shown}");
    }

    #[test]
    fn cookies_given_at_home_are_shown_at_home() {
        let url = |text| Url::parse(text).unwrap();
        let mut visitor = Source::get(url("https://a.example/live/list.m3u8"));
        visitor.cookies = Some("a=1; b=2".into());
        let set = ["b=3; Path=/; HttpOnly", "c=x=y; Secure", "broken"];
        let given = visitor.clone().given(&url("https://a.example/other"), set.into_iter());
        assert_eq!(given.cookies.as_deref(), Some("a=1; b=3; c=x=y"));
        let elsewhere = visitor.given(&url("https://b.example/"), set.into_iter());
        assert_eq!(elsewhere.cookies.as_deref(), Some("a=1; b=2"));
        let mut nameless = Source::get(url("https://a.example/"));
        nameless.cookies = Some("S3CRET".into());
        let kept = nameless.clone().given(&url("https://a.example/"), [].into_iter());
        assert_eq!(kept.cookies.as_deref(), Some("S3CRET"));
        let more = nameless.given(&url("https://a.example/"), set.into_iter());
        assert_eq!(more.cookies.as_deref(), Some("S3CRET; b=3; c=x=y"));
        let fresh = Source::get(url("https://a.example/")).given(&url("https://a.example/"), [].into_iter());
        assert_eq!(fresh.cookies, None);
    }
}
