//! Certificates of our own, right and wrong ones.
//!
//! Made once with `openssl ca` by an authority whose key was thrown away; valid until 2120 where they are meant to be.
//! The key of the servers is in the tree, so nothing but tests may trust this authority.

use std::path::{Path, PathBuf};

use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// What may be wrong with a server's certificate, which is else for `localhost`, `127.0.0.1` and `::1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Flaw {
    None,
    Expired,
    NotYet,
    WrongName,
    SelfSigned,
}

fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/support/tls").join(name)
}

/// The certificate of the authority, PEM.
pub fn authority() -> PathBuf {
    file("authority.pem")
}

/// A server's side, speaking `protocols` (ALPN).
pub fn server(flaw: Flaw, protocols: &[&str]) -> ServerConfig {
    let name = match flaw {
        Flaw::None => "good.pem",
        Flaw::Expired => "expired.pem",
        Flaw::NotYet => "not-yet.pem",
        Flaw::WrongName => "wrong-name.pem",
        Flaw::SelfSigned => "self-signed.pem",
    };
    let chain = vec![CertificateDer::from_pem_file(file(name)).unwrap()];
    let key = PrivateKeyDer::from_pem_file(file("key.pem")).unwrap();
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key).unwrap();
    config.alpn_protocols = protocols.iter().map(|protocol| protocol.as_bytes().to_vec()).collect();
    config
}
