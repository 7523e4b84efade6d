//! What a request that brought no answer failed of.
//!
//! Owns the reading of other libraries' errors. Never retries. Invariant: no fact from here carries an address's path,
//! query or user info.

use std::error::Error as _;

use url::Url;

use crate::EngineError;

const PROXY_LOGIN: &str = "it wants a name and a password, or others";

/// A failed request or a broken body as a fact, without the address. `proxy` is the host and port of the one the
/// request went through.
pub(super) fn classify(error: &reqwest::Error, url: &Url, proxy: Option<String>) -> EngineError {
    let host = url.host_str().unwrap_or_default().to_owned();
    if let Some(proxy) = proxy
        && let Some((reason, refused)) = error.source().and_then(proxy_cause).or_else(|| {
            // To an `http` address there is no tunnel: the connection that failed is the one to the proxy.
            let own = error.is_connect() && (url.scheme() == "http" || error.is_timeout());
            own.then(|| ("no connection to it can be made".to_owned(), false))
        })
    {
        return EngineError::ProxyFailed { host: proxy, reason, refused };
    }
    if let Some(tls) = error.source().and_then(tls_cause) {
        return EngineError::Tls { host, reason: tls_reason(tls) };
    }
    if error.is_timeout() {
        EngineError::Timeout { host }
    } else if error.is_connect() {
        EngineError::Unreachable { host }
    } else if error.is_builder() {
        EngineError::BadUrl { address: host }
    } else {
        EngineError::broken("the connection was lost")
    }
}

/// 407 or its like.
pub(super) fn proxy_wants_login(host: String) -> EngineError {
    EngineError::ProxyFailed { host, reason: PROXY_LOGIN.to_owned(), refused: true }
}

/// The server's TLS offers no protocol of ours (RFC 7301 section 3.2): it wants HTTP/2 where HTTP/1.1 was offered.
pub(super) fn is_protocol_refused(error: &reqwest::Error) -> bool {
    let refused = rustls::Error::AlertReceived(rustls::AlertDescription::NoApplicationProtocol);
    error.source().and_then(tls_cause).is_some_and(|tls| *tls == refused)
}

/// The TLS failure somewhere behind an error. An I/O error hides what it was made from, so both ways are followed.
fn tls_cause<'a>(error: &'a (dyn std::error::Error + 'static)) -> Option<&'a rustls::Error> {
    if let Some(found) = error.downcast_ref::<rustls::Error>() {
        return Some(found);
    }
    let hidden = error.downcast_ref::<std::io::Error>().and_then(std::io::Error::get_ref);
    hidden.and_then(|hidden| tls_cause(hidden)).or_else(|| error.source().and_then(tls_cause))
}

/// A TLS failure in plain words; those of the library where there are none.
fn tls_reason(error: &rustls::Error) -> String {
    use rustls::CertificateError as Bad;
    let plain = match error {
        rustls::Error::InvalidCertificate(bad) => match bad {
            Bad::Expired | Bad::ExpiredContext { .. } => "its certificate has expired",
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                "its certificate is not valid yet, or the clock of this machine is wrong"
            }
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => {
                "its certificate is for another name"
            }
            Bad::UnknownIssuer => {
                "its certificate is signed by itself or by an authority that is not known here"
            }
            Bad::Revoked => "its certificate was revoked",
            // What verifiers say of one that is its own authority.
            Bad::Other(other) if format!("{other:?}").contains("CaUsedAsEndEntity") => {
                "its certificate is signed by itself"
            }
            _ => return format!("its certificate is not accepted ({error})"),
        },
        rustls::Error::InvalidMessage(_) => "it does not speak TLS",
        other => return other.to_string(),
    };
    plain.to_owned()
}

/// What the proxy itself is to blame for, and whether it refused for good. The errors of tunnels and SOCKS have no
/// public type, only words.
fn proxy_cause(error: &(dyn std::error::Error + 'static)) -> Option<(String, bool)> {
    let mut next = Some(error);
    // A chain this long would be a circle.
    for _ in 0..16 {
        let error = next?;
        let words = error.to_string();
        if let Some(detail) = words.strip_prefix("tunnel error: ") {
            return Some(match detail {
                "proxy authorization required" => (PROXY_LOGIN.to_owned(), true),
                "unsuccessful" => ("it refuses to connect to this server".to_owned(), false),
                "failed to create underlying connection" => {
                    ("no connection to it can be made".to_owned(), false)
                }
                _ => ("it breaks off, or is no proxy".to_owned(), false),
            });
        }
        if let Some(detail) = words.strip_prefix("SOCKS error: ") {
            return Some(match detail {
                "credentials not accepted"
                | "server does not support user/pass authentication"
                | "server implements authentication incorrectly" => (PROXY_LOGIN.to_owned(), true),
                "failed to create underlying connection" => {
                    ("no connection to it can be made".to_owned(), false)
                }
                "connection not allowed" => ("it refuses to connect to this server".to_owned(), true),
                "io error during SOCKS handshake" | "failed parsing server response" => {
                    ("it breaks off, or is no proxy".to_owned(), false)
                }
                other => (format!("it cannot connect to this server ({other})"), false),
            });
        }
        next = error.source();
    }
    None
}

/// The fact behind a status; none for a success.
pub(crate) fn status_error(status: u16) -> Option<EngineError> {
    Some(match status {
        // Success, but of something else than sending the file.
        202 | 204 | 205 => EngineError::HttpStatus { status },
        200..=299 => return None,
        401 | 403 | 407 => EngineError::LoginRequired { status },
        404 | 410 => EngineError::Gone { status },
        _ => EngineError::HttpStatus { status },
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_are_facts() {
        assert!(status_error(206).is_none());
        assert!(status_error(202).unwrap().is_transient() && !status_error(204).unwrap().is_transient());
        assert!(matches!(status_error(403), Some(EngineError::LoginRequired { status: 403 })));
        assert!(matches!(status_error(410), Some(EngineError::Gone { status: 410 })));
        assert!(status_error(503).unwrap().is_transient());
        assert!(!status_error(404).unwrap().is_transient());
    }
}
