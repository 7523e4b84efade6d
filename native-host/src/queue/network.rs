//! Whether this machine has a way to a server at all.
//!
//! Owns the question to the routing table. Never sends a packet: connecting a datagram socket only chooses a way.
//! Invariant: a server on this machine always has one, and so has any when the system cannot tell.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// Addresses out there, of a root name server: whoever has a way to them is on the net.
const FAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(198, 41, 0, 4)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0x503, 0xba3e, 0, 0, 0, 2, 0x30)),
];

/// Host and port of a normalised `http(s)` address, as servers are counted by. The default port stays unsaid.
pub(super) fn authority(url: &str) -> &str {
    let rest = url.split_once("://").map_or(url, |(_, rest)| rest);
    let authority = rest.split(['/', '?', '#']).next().unwrap_or_default();
    authority.rsplit_once('@').map_or(authority, |(_, host)| host)
}

/// There is a way to this host.
pub(super) fn leads_to(authority: &str) -> bool {
    let host = match authority.strip_prefix('[') {
        Some(v6) => v6.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    match host.parse::<IpAddr>() {
        Ok(address) => has_way(address),
        Err(_) => host == "localhost" || host.ends_with(".localhost") || leads_anywhere(),
    }
}

/// There is a way out.
pub(super) fn leads_anywhere() -> bool {
    FAR.into_iter().any(has_way)
}

fn has_way(address: IpAddr) -> bool {
    if address.is_loopback() {
        return true;
    }
    let local: IpAddr = match address {
        IpAddr::V4(_) => Ipv4Addr::UNSPECIFIED.into(),
        IpAddr::V6(_) => Ipv6Addr::UNSPECIFIED.into(),
    };
    match UdpSocket::bind((local, 0)).and_then(|socket| socket.connect(SocketAddr::new(address, 53))) {
        Ok(()) => true,
        // Anything else, an exhausted table of files for one, says nothing about the way.
        Err(error) => !matches!(
            error.kind(),
            std::io::ErrorKind::NetworkUnreachable
                | std::io::ErrorKind::HostUnreachable
                | std::io::ErrorKind::AddrNotAvailable
                | std::io::ErrorKind::Unsupported
                | std::io::ErrorKind::NetworkDown
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn servers_are_known_by_host_and_port() {
        for (url, expected) in [
            ("https://example.org/a?b#c", "example.org"),
            ("http://example.org:8080/a", "example.org:8080"),
            ("http://[::1]:81/", "[::1]:81"),
            ("http://example.org?x=/y", "example.org"),
            ("http://u:p@example.org/", "example.org"),
            ("", ""),
        ] {
            assert_eq!(authority(url), expected, "{url}");
        }
    }

    #[test]
    fn this_machine_is_always_there() {
        for host in ["127.0.0.1:80", "127.9.9.9", "localhost", "localhost:8080", "a.localhost", "[::1]:1"] {
            assert!(leads_to(host), "{host}");
        }
    }
}
