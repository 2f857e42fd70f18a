//! Resolves configured hosts to addresses.

use std::net::{Ipv4Addr, SocketAddr, ToSocketAddrs as _};

use super::bind_error::BindError;

/// Resolves a configured host to an address.
// Differs: IPv6 literals are supported. Supervisor knows IPv4 only and fails with -9.
pub(super) fn inet_address(host: &str, port: u16) -> Result<SocketAddr, BindError> {
    let literal = host.trim_start_matches('[').trim_end_matches(']');
    if host.is_empty() || host == "*" {
        Ok(SocketAddr::from((Ipv4Addr::UNSPECIFIED, port)))
    } else if let Ok(ip) = literal.parse() {
        Ok(SocketAddr::new(ip, port))
    } else {
        let mut found: Vec<_> = (host, port)
            .to_socket_addrs()
            .map_err(|_| BindError::NoAddress(host.to_owned()))?
            .collect();
        // Supervisor would use only an IPv4 address, so IPv4 comes first.
        found.sort_by_key(SocketAddr::is_ipv6);
        found
            .first()
            .copied()
            .ok_or_else(|| BindError::NoAddress(host.to_owned()))
    }
}
