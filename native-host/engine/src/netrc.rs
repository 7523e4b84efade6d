//! Logins kept in a file, one for each host: the `.netrc` of ftp, curl and many others.
//!
//! Owns its grammar. Never reads files and never sends anything. Invariant: a password is found only for the host its
//! entry names; a file that cannot be understood ends there, and what came before counts.

use crate::Login;

/// A login found for a host.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Entry {
    pub(crate) login: Login,
    /// Of the `default` entry, which names no host.
    pub(crate) by_default: bool,
}

/// The login for `host`: of the first `machine` of that name, else of `default`. Names are compared without regard to
/// case. An entry without a login or a password has an empty one; one without both says nothing.
pub(crate) fn find(text: &str, host: &str) -> Option<Entry> {
    let mut tokens = Tokens { rest: text.trim_start_matches('\u{feff}') };
    let mut by_default = None;
    let mut entry: Option<Open> = None;
    loop {
        let token = tokens.next();
        let word = token.as_deref().unwrap_or("");
        if token.is_none() || matches!(word, "machine" | "default") {
            match entry.take().and_then(Open::close) {
                Some(found) if found.by_default => by_default = by_default.or(Some(found)),
                Some(found) => return Some(found),
                None => {}
            }
        }
        match (token.is_some(), word) {
            (false, _) => return by_default,
            (_, "machine") => {
                let Some(name) = tokens.next() else { return by_default };
                entry = Some(Open { fits: name.eq_ignore_ascii_case(host), ..Open::default() });
            }
            (_, "default") => entry = Some(Open { fits: true, by_default: true, ..Open::default() }),
            (_, "macdef") => tokens.skip_macro(),
            (_, keyword @ ("login" | "password" | "account")) => {
                let Some(value) = tokens.next() else { return by_default };
                match (keyword, &mut entry) {
                    ("login", Some(entry)) => entry.user = Some(value),
                    ("password", Some(entry)) => entry.password = Some(value),
                    _ => {}
                }
            }
            // Not netrc any more: guessing could give somebody's password to somebody else.
            _ => return by_default,
        }
    }
}

#[derive(Default)]
struct Open {
    fits: bool,
    by_default: bool,
    user: Option<String>,
    password: Option<String>,
}

impl Open {
    fn close(self) -> Option<Entry> {
        let said = self.user.is_some() || self.password.is_some();
        (self.fits && said).then(|| Entry {
            login: Login::new(self.user.unwrap_or_default(), self.password.unwrap_or_default()),
            by_default: self.by_default,
        })
    }
}

struct Tokens<'a> {
    rest: &'a str,
}

impl Tokens<'_> {
    /// The next word: quoted, with `\` before a quote, a backslash, `n`, `r` or `t`; or up to white space.
    fn next(&mut self) -> Option<String> {
        loop {
            self.rest = self.rest.trim_start();
            // A comment takes the place of a word; within a word `#` is a character of a password.
            if !self.rest.starts_with('#') {
                break;
            }
            self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        }
        if self.rest.is_empty() {
            return None;
        }
        let Some(quoted) = self.rest.strip_prefix('"') else {
            let end = self.rest.find(char::is_whitespace).unwrap_or(self.rest.len());
            let (word, rest) = self.rest.split_at(end);
            self.rest = rest;
            return Some(word.to_owned());
        };
        let mut word = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return Some(word);
                }
                '\\' => match characters.next() {
                    Some((_, 'n')) => word.push('\n'),
                    Some((_, 'r')) => word.push('\r'),
                    Some((_, 't')) => word.push('\t'),
                    Some((_, other)) => word.push(other),
                    None => break,
                },
                other => word.push(other),
            }
        }
        // The quote does not end: nothing behind it can be trusted.
        self.rest = "";
        None
    }

    /// A macro goes on to the next empty line.
    fn skip_macro(&mut self) {
        let unix = self.rest.find("\n\n").map(|at| at + 2);
        let dos = self.rest.find("\r\n\r\n").map(|at| at + 4);
        let end = match (unix, dos) {
            (Some(a), Some(b)) => Some(a.min(b)),
            (a, b) => a.or(b),
        };
        self.rest = end.map_or("", |end| &self.rest[end..]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(text: &str, host: &str) -> Option<(String, String, bool)> {
        find(text, host).map(|entry| (entry.login.user, entry.login.password, entry.by_default))
    }

    fn is(user: &str, password: &str) -> Option<(String, String, bool)> {
        Some((user.to_owned(), password.to_owned(), false))
    }

    #[test]
    fn each_host_gets_its_own() {
        let text = "machine a.example login one password first\n\
                    # a comment machine c.example\n\
                    machine b.example\n\tlogin two\n\taccount x\n\tpassword \"se \\\"c\\\\ond\"\n\
                    default login anonymous password guest\n";
        assert_eq!(found(text, "a.example"), is("one", "first"));
        assert_eq!(found(text, "B.EXAMPLE"), is("two", "se \"c\\ond"));
        for other in ["c.example", "xa.example", "a.example.evil", "machine", ""] {
            assert_eq!(found(text, other), Some(("anonymous".into(), "guest".into(), true)), "{other}");
        }
    }

    #[test]
    fn macros_order_and_halves() {
        let text = "machine a.example login me password x macdef init\n\
                    cd /pub\nmachine evil.example login no password no\n\n\
                    machine b.example password only\nmachine b.example login later password later\n";
        assert_eq!(found(text, "a.example"), is("me", "x"));
        assert_eq!(found(text, "evil.example"), None);
        assert_eq!(found(text, "b.example"), is("", "only"));
        // The order of the words within an entry is free, and a named host wins over a default before it.
        let text = "default login d password d\nmachine a.example password p login u";
        assert_eq!(found(text, "a.example"), is("u", "p"));
        // A `#` in a password is no comment.
        assert_eq!(found("machine a.example login u password pa#ss", "a.example"), is("u", "pa#ss"));
    }

    #[test]
    fn what_is_not_understood_gives_nobody_anything() {
        for text in [
            "",
            "machine",
            "machine a.example",
            "machine a.example login",
            "login me password x",
            "machine a.example login \"open password x",
            "nonsense machine a.example login u password p",
            "machine b.example login u password p nonsense machine a.example login u password p",
            "machine \"a.example login u password p",
        ] {
            assert_eq!(found(text, "a.example"), None, "{text}");
        }
    }
}
