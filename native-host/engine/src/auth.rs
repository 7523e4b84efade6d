//! Answers to a server that asks who is there: Basic (RFC 7617) and Digest (RFC 7616).
//!
//! Owns the reading of challenges and the making of answers. Never sends them and never decides who may see them (see
//! [`crate::net`]). Invariant: a Digest answer never contains the password, and its count grows with every use of a
//! nonce.

use std::sync::atomic::{AtomicU32, Ordering};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use md5::Md5;
use reqwest::header::{self, HeaderMap, HeaderValue};
use sha2::{Digest as _, Sha256};

use crate::digest::hex;
use crate::{EngineError, Login};

/// Largest challenge that is read.
const MAX_CHALLENGE: usize = 8 * 1024;

/// One way a server offers to say who one is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Challenge {
    /// Lower case.
    scheme: String,
    /// Names in lower case.
    parameters: Vec<(String, String)>,
}

impl Challenge {
    fn get(&self, name: &str) -> Option<&str> {
        self.parameters.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
    }

    fn is_true(&self, name: &str) -> bool {
        self.get(name).is_some_and(|value| value.eq_ignore_ascii_case("true"))
    }
}

/// Reads every challenge of `WWW-Authenticate` (RFC 9110 section 11.6.1): several may share a line, separated by the
/// same commas as their parameters.
fn challenges(headers: &HeaderMap) -> Vec<Challenge> {
    let mut out: Vec<Challenge> = Vec::new();
    for value in headers.get_all(header::WWW_AUTHENTICATE) {
        let bytes = value.as_bytes();
        if bytes.len() > MAX_CHALLENGE {
            continue;
        }
        // A parameter belongs to a challenge of its own line.
        let first = out.len();
        for item in items(&String::from_utf8_lossy(bytes)) {
            let end = item.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(item.len());
            let (token, rest) = (&item[..end], item[end..].trim_start());
            let parameter = match rest.strip_prefix('=') {
                Some(value) => Some((token, value)),
                None => {
                    out.push(Challenge { scheme: token.to_ascii_lowercase(), parameters: Vec::new() });
                    rest.split_once('=')
                }
            };
            if let (Some((name, value)), Some(challenge)) = (parameter, out[first..].last_mut()) {
                challenge.parameters.push((name.trim().to_ascii_lowercase(), unquoted(value.trim())));
            }
        }
    }
    out
}

/// Parts between commas that are not within quotes.
fn items(value: &str) -> Vec<&str> {
    let (mut out, mut start, mut quoted, mut escaped) = (Vec::new(), 0, false, false);
    for (at, c) in value.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            ',' if !quoted => {
                out.push(&value[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    out.push(&value[start..]);
    out.into_iter().map(str::trim).filter(|item| !item.is_empty()).collect()
}

fn unquoted(value: &str) -> String {
    let Some(inner) = value.strip_prefix('"').and_then(|rest| rest.strip_suffix('"')) else {
        return value.to_owned();
    };
    let (mut out, mut escaped) = (String::with_capacity(inner.len()), false);
    for c in inner.chars() {
        if c == '\\' && !escaped {
            escaped = true;
        } else {
            escaped = false;
            out.push(c);
        }
    }
    out
}

fn quoted(value: &str) -> String {
    format!("\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\""))
}

/// How a login is proven to one server, for as long as it accepts that.
#[derive(Debug)]
pub(crate) struct Session {
    pub(crate) login: Login,
    scheme: Scheme,
}

#[derive(Debug)]
enum Scheme {
    Basic,
    Digest(Digest),
}

#[derive(Debug)]
struct Digest {
    hash: Hash,
    /// The password is hashed with nonces once (`-sess`).
    session: bool,
    realm: String,
    nonce: String,
    opaque: Option<String>,
    /// The server offers `qop=auth`; without, the older form of RFC 2069 is meant.
    auth: bool,
    userhash: bool,
    utf8: bool,
    /// As in the challenge, to be sent back the same way.
    algorithm: Option<String>,
    /// The same for the whole session: what `-sess` hashes is then the same however a server reads the standard.
    cnonce: String,
    count: AtomicU32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Hash {
    Md5,
    Sha256,
}

impl Hash {
    fn of(self, text: &[u8]) -> String {
        match self {
            Self::Md5 => hex(&Md5::digest(text)),
            Self::Sha256 => hex(&Sha256::digest(text)),
        }
    }
}

/// What a challenge led to.
pub(crate) struct Offer {
    pub(crate) session: Session,
    /// The server says that only the nonce was too old.
    pub(crate) stale: bool,
}

impl Session {
    /// Basic, without having been asked.
    pub(crate) fn basic(login: Login) -> Self {
        Self { login, scheme: Scheme::Basic }
    }

    /// Basic proves nothing anew: asked again with the same words, a server that refused refuses again.
    pub(crate) fn is_basic(&self) -> bool {
        matches!(self.scheme, Scheme::Basic)
    }

    /// The strongest way among a server's challenges. None when there is none that is known.
    ///
    /// # Errors
    /// The system has no random numbers.
    pub(crate) fn for_challenge(headers: &HeaderMap, login: &Login) -> Result<Option<Offer>, EngineError> {
        let challenges = challenges(headers);
        let digests = challenges.iter().filter(|challenge| challenge.scheme == "digest");
        let best = digests
            .filter_map(|challenge| Some((hash_of(challenge)?, challenge)))
            .max_by_key(|(hash, _)| hash.0);
        if let Some(((hash, session), challenge)) = best {
            let digest = Digest {
                hash,
                session,
                realm: challenge.get("realm").unwrap_or_default().to_owned(),
                nonce: challenge.get("nonce").unwrap_or_default().to_owned(),
                opaque: challenge.get("opaque").map(str::to_owned),
                auth: challenge.get("qop").is_some(),
                userhash: challenge.is_true("userhash"),
                utf8: challenge.get("charset").is_some_and(|charset| charset.eq_ignore_ascii_case("utf-8")),
                algorithm: challenge.get("algorithm").map(str::to_owned),
                cnonce: random()?,
                count: AtomicU32::new(0),
            };
            let session = Self { login: login.clone(), scheme: Scheme::Digest(digest) };
            return Ok(Some(Offer { session, stale: challenge.is_true("stale") }));
        }
        let basic = challenges.iter().any(|challenge| challenge.scheme == "basic");
        Ok(basic.then(|| Offer { session: Self::basic(login.clone()), stale: false }))
    }

    /// `Authorization` for one request; `target` is its path with the query. None when the login cannot be written so.
    pub(crate) fn authorization(&self, method: &str, target: &str) -> Option<HeaderValue> {
        let Login { user, password } = &self.login;
        let text = match &self.scheme {
            // The first colon ends the name.
            Scheme::Basic if user.contains(':') => return None,
            Scheme::Basic => format!("Basic {}", STANDARD.encode(format!("{user}:{password}"))),
            Scheme::Digest(digest) => {
                let count = digest.count.fetch_add(1, Ordering::Relaxed).wrapping_add(1);
                digest.answer(user, password, method, target, count)
            }
        };
        let mut value = HeaderValue::from_bytes(text.as_bytes()).ok()?;
        value.set_sensitive(true);
        Some(value)
    }
}

/// The hash of a challenge that can be answered, and whether it is of the `-sess` kind.
fn hash_of(challenge: &Challenge) -> Option<(Hash, bool)> {
    let algorithm = challenge.get("algorithm").unwrap_or("MD5").to_ascii_lowercase();
    let (name, session) = match algorithm.strip_suffix("-sess") {
        Some(name) => (name, true),
        None => (algorithm.as_str(), false),
    };
    let hash = match name {
        "md5" => Hash::Md5,
        "sha-256" => Hash::Sha256,
        _ => return None,
    };
    let auth = challenge
        .get("qop")
        .is_none_or(|offered| offered.split(',').any(|qop| qop.trim().eq_ignore_ascii_case("auth")));
    // Without `qop` there is no cnonce that a session could be made with.
    let possible = auth && challenge.get("nonce").is_some() && !(session && challenge.get("qop").is_none());
    possible.then_some((hash, session))
}

fn random() -> Result<String, EngineError> {
    let mut bytes = [0_u8; 16];
    getrandom::fill(&mut bytes).map_err(|error| EngineError::Internal(error.to_string()))?;
    Ok(hex(&bytes))
}

impl Digest {
    fn answer(&self, user: &str, password: &str, method: &str, target: &str, count: u32) -> String {
        let hash = |text: &str| self.hash.of(text.as_bytes());
        let Self { realm, nonce, cnonce, .. } = self;
        let mut secret = hash(&format!("{user}:{realm}:{password}"));
        if self.session {
            secret = hash(&format!("{secret}:{nonce}:{cnonce}"));
        }
        let request = hash(&format!("{method}:{target}"));
        let response = if self.auth {
            hash(&format!("{secret}:{nonce}:{count:08x}:{cnonce}:auth:{request}"))
        } else {
            hash(&format!("{secret}:{nonce}:{request}"))
        };
        let mut out = String::from("Digest ");
        if self.userhash {
            out.push_str(&format!("username={}", quoted(&hash(&format!("{user}:{realm}")))));
        } else if self.utf8 && !user.is_ascii() {
            let set = percent_encoding::NON_ALPHANUMERIC;
            out.push_str(&format!("username*=UTF-8''{}", percent_encoding::utf8_percent_encode(user, set)));
        } else {
            out.push_str(&format!("username={}", quoted(user)));
        }
        out.push_str(&format!(
            ", realm={}, nonce={}, uri={}, response=\"{response}\"",
            quoted(realm),
            quoted(nonce),
            quoted(target)
        ));
        if let Some(algorithm) = &self.algorithm {
            out.push_str(&format!(", algorithm={algorithm}"));
        }
        if let Some(opaque) = &self.opaque {
            out.push_str(&format!(", opaque={}", quoted(opaque)));
        }
        if self.auth {
            out.push_str(&format!(", qop=auth, nc={count:08x}, cnonce=\"{cnonce}\""));
        }
        if self.userhash {
            out.push_str(", userhash=true");
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(values: &[&str]) -> HeaderMap {
        let mut headers = HeaderMap::new();
        for value in values {
            headers.append(header::WWW_AUTHENTICATE, HeaderValue::from_str(value).unwrap());
        }
        headers
    }

    fn offer(values: &[&str]) -> Option<Offer> {
        Session::for_challenge(&headers(values), &Login::new("u", "p")).unwrap()
    }

    fn digest(values: &[&str], login: &Login, cnonce: &str) -> Digest {
        match Session::for_challenge(&headers(values), login).unwrap().unwrap().session.scheme {
            Scheme::Digest(digest) => Digest { cnonce: cnonce.to_owned(), ..digest },
            Scheme::Basic => panic!("basic"),
        }
    }

    /// RFC 7616 section 3.9.1.
    #[test]
    fn the_examples_of_the_standard() {
        let both = [
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=SHA-256, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
            "Digest realm=\"http-auth@example.org\", qop=\"auth, auth-int\", algorithm=MD5, \
             nonce=\"7ypf/xlj9XXwfDPEoM4URrv/xwf94BcCAzFZH4GiTo0v\", opaque=\"FQhe/qaU925kfnzjCev0ciny7QMkPqMAFRtzCUYo5tdS\"",
        ];
        let login = Login::new("Mufasa", "Circle of Life");
        let cnonce = "f2/wE4q74E6zIJEtWaHKaf5wv/H5QzzpXusqGemxURZJ";
        for (challenge, response) in [
            (&both[..1], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
            (&both[1..], "8ca523f5e9506fed4657c9700eebdbec"),
            // The stronger one is chosen.
            (&both[..], "753927fa0e85d155564e2e272a28d1802ca10daf4496794697cf8db5856cb6c1"),
        ] {
            let digest = digest(challenge, &login, cnonce);
            let answer = digest.answer(&login.user, &login.password, "GET", "/dir/index.html", 1);
            assert!(answer.contains(&format!("response=\"{response}\"")), "{answer}");
            assert!(answer.contains("nc=00000001") && answer.contains("uri=\"/dir/index.html\""));
            assert!(!answer.contains("Circle"));
        }
    }

    /// RFC 2617 section 3.5 and RFC 2069 section 2.4 (with the erratum to its response).
    #[test]
    fn older_servers_are_answered() {
        let login = Login::new("Mufasa", "Circle Of Life");
        let challenge = "Digest realm=\"testrealm@host.com\", nonce=\"dcd98b7102dd2f0e8b11d0f600bfb0c093\", \
                         opaque=\"5ccc069c403ebaf9f0171e9517f40e41\"";
        let with_qop = format!("{challenge}, qop=\"auth,auth-int\"");
        let digest_of = |challenge: &str| digest(&[challenge], &login, "0a4f113b");
        let answer =
            |digest: Digest| digest.answer(&login.user, &login.password, "GET", "/dir/index.html", 1);
        assert!(answer(digest_of(&with_qop)).contains("response=\"6629fae49393a05397450978507c4ef1\""));
        let old = answer(digest_of(challenge));
        assert!(
            old.contains("response=\"670fd8c2df070c60b045671b8b24ff02\"") && !old.contains("qop"),
            "{old}"
        );
    }

    #[test]
    fn the_count_grows_and_every_answer_differs() {
        let session = offer(&["Digest realm=x, nonce=n, qop=auth, algorithm=MD5-sess"]).unwrap().session;
        let mut seen = std::collections::HashSet::new();
        for n in 1..=20 {
            let value = session.authorization("GET", "/").unwrap();
            let text = value.to_str().unwrap().to_owned();
            assert!(text.contains(&format!("nc={n:08x}")), "{text}");
            assert!(seen.insert(text));
            assert!(!format!("{value:?}").contains("Digest"), "shown");
        }
    }

    #[test]
    fn challenges_are_told_apart_however_they_are_written() {
        let basic = |values: &[&str]| offer(values).map(|offer| offer.session.is_basic());
        assert_eq!(basic(&["Basic realm=\"a, Digest nonce=\\\"x\\\"\""]), Some(true));
        assert_eq!(basic(&["BASIC"]), Some(true));
        assert_eq!(basic(&["Negotiate, Basic realm=\"x\""]), Some(true));
        assert_eq!(basic(&["Negotiate YII==", "Digest realm = \"x\" , nonce = \"y\""]), Some(false));
        assert_eq!(basic(&["Basic realm=\"x\", Digest realm=\"x\", nonce=\"y\", qop=\"auth\""]), Some(false));
        // Nothing that can be answered.
        for none in [
            &["Negotiate"][..],
            &["Bearer realm=\"x\""],
            &["Digest realm=\"x\""],
            &["Digest realm=\"x\", nonce=\"y\", qop=\"auth-int\""],
            &["Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512-256"],
            &["Digest realm=\"x\"", "nonce=\"y\""],
            &["realm=\"x\""],
            &[""],
            &[],
        ] {
            assert!(offer(none).is_none(), "{none:?}");
        }
        // What cannot be answered does not stand in the way of what can.
        let mixed = ["Digest realm=\"x\", nonce=\"y\", algorithm=SHA-512-256", "Basic realm=\"x\""];
        assert_eq!(basic(&mixed), Some(true));
        assert!(offer(&["Digest realm=x, nonce=y, stale=TRUE"]).unwrap().stale);
    }

    #[test]
    fn odd_names_are_written_so_that_they_can_be_read() {
        let of = |challenge: &str, user: &str| {
            let login = Login::new(user, "p");
            let session = Session::for_challenge(&headers(&[challenge]), &login).unwrap().unwrap().session;
            session
                .authorization("GET", "/")
                .map(|value| String::from_utf8_lossy(value.as_bytes()).into_owned())
        };
        assert_eq!(of("Basic", "Jürgen").unwrap(), format!("Basic {}", STANDARD.encode("Jürgen:p")));
        assert_eq!(of("Basic", "a:b"), None);
        assert!(of("Digest nonce=n", "a\"b\\").unwrap().contains(r#"username="a\"b\\""#));
        assert!(
            of("Digest nonce=n, charset=UTF-8", "Jürgen").unwrap().contains("username*=UTF-8''J%C3%BCrgen")
        );
        let hashed = of("Digest nonce=n, realm=r, userhash=true", "Jürgen").unwrap();
        assert!(hashed.contains("userhash=true") && !hashed.contains("rgen"), "{hashed}");
        assert_eq!(of("Digest nonce=n", "line\nbreak"), None);
    }
}
