//! A name and a password for a server.
//!
//! Never decides who may see them: [`crate::net`] and [`crate::auth`] do. Invariant: the password appears in no `{:?}`.

use url::Url;

/// Who the caller is for a server that asks (RFC 7617, RFC 7616).
#[derive(Clone, PartialEq, Eq)]
pub struct Login {
    /// As typed, not percent-encoded. A colon in it cannot be sent with Basic.
    pub user: String,
    /// As typed; may be empty.
    pub password: String,
}

impl Login {
    /// A login.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: password.into() }
    }

    /// The user info of an address, decoded; none when there is none.
    #[must_use]
    pub fn of_url(url: &Url) -> Option<Self> {
        let decoded =
            |text: &str| percent_encoding::percent_decode_str(text).decode_utf8_lossy().into_owned();
        (!url.username().is_empty() || url.password().is_some())
            .then(|| Self::new(decoded(url.username()), decoded(url.password().unwrap_or_default())))
    }
}

impl std::fmt::Debug for Login {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Login").field("user", &self.user).finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn user_info_is_decoded_and_the_password_not_shown() {
        let of = |text: &str| Login::of_url(&Url::parse(text).unwrap());
        assert_eq!(of("http://a.example/"), None);
        let login = of("http://J%C3%BCrgen:p%40ss%3A@a.example/").unwrap();
        assert_eq!(login, Login::new("Jürgen", "p@ss:"));
        assert_eq!(of("http://:only@a.example/"), Some(Login::new("", "only")));
        let shown = format!("{login:?}");
        assert!(shown.contains("Jürgen") && !shown.contains("p@ss"), "{shown}");
    }
}
