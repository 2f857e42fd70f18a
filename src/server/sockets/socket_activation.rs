//! Matches sockets passed by the service manager (socket activation) to configured servers, by address.

use std::net::{IpAddr, SocketAddr, TcpListener};
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use nix::sys::socket::{SockType, getsockopt, sockopt};

use super::bind_error::BindError;
use super::bound_server::{BoundServer, Listener};
use super::inet_address::inet_address;
use crate::config::spec::ServerAddress;
use crate::domain::Line;
use crate::handoff::PassedSocket;

/// Finds the passed socket with this address. Returns a duplicate of its descriptor, so that the next run finds the
/// original too, and its index in `passed`.
///
/// # Errors
/// EMFILE, or a host name that does not resolve. Host names are resolved only if any sockets were passed.
pub(super) fn find_passed_socket(
    address: &ServerAddress,
    passed: &[PassedSocket],
) -> Result<Option<(usize, Listener)>, BindError> {
    if passed.is_empty() {
        return Ok(None);
    }
    let wanted = match address {
        ServerAddress::Inet { host, port } => ListenAddress::Inet(inet_address(host, *port)?),
        ServerAddress::Unix { path, .. } => ListenAddress::Unix(path.clone()),
    };
    let found = passed
        .iter()
        .enumerate()
        .filter_map(|(place, socket)| Some((place, socket, ListenAddress::of_passed(socket)?)))
        .find(|(.., address)| wanted.matches(address));
    let Some((place, socket, address)) = found else {
        return Ok(None);
    };
    let fd = socket.fd.try_clone()?;
    let listener = match address {
        ListenAddress::Inet(_) => Listener::Inet(TcpListener::from(fd)),
        ListenAddress::Unix(_) => Listener::Unix(UnixListener::from(fd)),
    };
    Ok(Some((place, listener)))
}

/// The log lines for passed sockets that match no server.
#[must_use]
pub fn unused_sockets(passed: &[PassedSocket], servers: &[BoundServer]) -> Vec<Line> {
    let is_used = |place| servers.iter().any(|server| server.passed() == Some(place));
    passed
        .iter()
        .enumerate()
        .filter(|&(place, _)| !is_used(place))
        .map(|(_, socket)| Line::PassedSocketUnused {
            name: socket.name.clone(),
            address: ListenAddress::of_listening(&socket.fd).map_or_else(
                || "not a listening stream socket".to_owned(),
                |address| address.to_string(),
            ),
        })
        .collect()
}

/// The address on which a socket listens.
#[derive(Debug, Clone, PartialEq, Eq)]
enum ListenAddress {
    Inet(SocketAddr),
    Unix(PathBuf),
}

impl std::fmt::Display for ListenAddress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Inet(address) => address.fmt(f),
            Self::Unix(path) => path.display().fmt(f),
        }
    }
}

impl ListenAddress {
    /// The public address of a passed socket. Our own unix sockets are bound to a temporary name first, so their
    /// address is the recorded path.
    fn of_passed(socket: &PassedSocket) -> Option<Self> {
        let address = Self::of_listening(&socket.fd)?;
        Some(match &socket.file {
            Some(file) => Self::Unix(file.path.clone()),
            None => address,
        })
    }

    /// The address of a listening stream socket. `None`: any other descriptor.
    fn of_listening(fd: &OwnedFd) -> Option<Self> {
        let is_stream = getsockopt(&fd.as_fd(), sockopt::SockType) == Ok(SockType::Stream);
        let listens = getsockopt(&fd.as_fd(), sockopt::AcceptConn) == Ok(true);
        if !is_stream || !listens {
            return None;
        }
        let inet = TcpListener::from(fd.try_clone().ok()?);
        if let Ok(address) = inet.local_addr() {
            return Some(Self::Inet(address));
        }
        let unix = UnixListener::from(fd.try_clone().ok()?);
        let address = unix.local_addr().ok()?;
        Some(Self::Unix(address.as_pathname()?.to_owned()))
    }

    /// Whether the passed socket `passed` matches the configured address `self`.
    fn matches(&self, passed: &Self) -> bool {
        match (self, passed) {
            (Self::Unix(own), Self::Unix(passed)) => {
                // `/var/run` is a link to `/run` nearly everywhere.
                own == passed
                    || in_real_directory(own)
                        .is_some_and(|own| in_real_directory(passed) == Some(own))
            }
            (Self::Inet(own), Self::Inet(passed)) => {
                let is_any = |address: &SocketAddr| address.ip().is_unspecified();
                // The wildcard addresses of both families match: a bare port in a socket unit listens on both.
                own.port() == passed.port()
                    && (unmapped_ip(own) == unmapped_ip(passed) || (is_any(own) && is_any(passed)))
            }
            (Self::Unix(_), Self::Inet(_)) | (Self::Inet(_), Self::Unix(_)) => false,
        }
    }
}

/// The IP address, with an IPv4-mapped IPv6 address turned into IPv4.
fn unmapped_ip(address: &SocketAddr) -> IpAddr {
    address.ip().to_canonical()
}

fn in_real_directory(path: &Path) -> Option<PathBuf> {
    let directory = path.parent()?.canonicalize().ok()?;
    Some(directory.join(path.file_name()?))
}

#[cfg(test)]
mod tests {
    use std::io::Read as _;
    use std::net::TcpStream;
    use std::os::unix::net::{UnixDatagram, UnixStream};

    use super::*;
    use crate::server::sockets::bind::tests::{ScratchDir, inet_spec, unix_spec};

    fn socket(fd: impl Into<OwnedFd>) -> PassedSocket {
        PassedSocket {
            fd: fd.into(),
            name: "s".to_owned(),
            file: None,
        }
    }

    #[test]
    fn a_passed_unix_socket_is_used_and_its_file_stays() {
        let scratch = ScratchDir::new("passed");
        std::os::unix::fs::symlink(&scratch.0, scratch.0.join("link")).expect("linked");
        let path = scratch.0.join("s.sock");
        let other = UnixListener::bind(scratch.0.join("other")).expect("bound");
        let passed = [
            socket(other),
            socket(UnixListener::bind(&path).expect("bound")),
        ];
        for name in ["s.sock", "link/s.sock"] {
            let spec = unix_spec(&scratch.0.join(name));
            let server = BoundServer::bind(&spec, &passed, &[]).expect("taken");
            assert_eq!(server.passed(), Some(1), "{name}");
            let lines = unused_sockets(&passed, std::slice::from_ref(&server));
            let shown = scratch.0.join("other").display().to_string();
            assert_eq!(
                lines,
                [Line::PassedSocketUnused {
                    name: "s".to_owned(),
                    address: shown
                }]
            );
            drop(server);
            UnixStream::connect(&path).expect("it listens on");
        }
    }

    #[test]
    fn a_passed_tcp_socket_is_used() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("bound");
        let port = listener.local_addr().expect("bound").port();
        let passed = [socket(listener)];
        for host in ["127.0.0.1", "localhost", "::ffff:127.0.0.1"] {
            let server = BoundServer::bind(&inet_spec(host, port), &passed, &[]).expect("taken");
            assert_eq!(server.passed(), Some(0), "{host}");
        }
        // Another address on the same port does not match, so the port is in use.
        assert!(BoundServer::bind(&inet_spec("", port), &passed, &[]).is_err());
        let mut stream = TcpStream::connect(("127.0.0.1", port)).expect("it listens on");
        stream.set_nonblocking(true).expect("set");
        assert!(stream.read(&mut [0]).is_err());
    }

    #[test]
    fn ipv4_and_ipv6_wildcards_match() {
        let any4 = ListenAddress::Inet(SocketAddr::from(([0, 0, 0, 0], 9001)));
        let any6 = ListenAddress::Inet("[::]:9001".parse().expect("address"));
        let one = ListenAddress::Inet(SocketAddr::from(([127, 0, 0, 1], 9001)));
        assert!(any4.matches(&any6) && any4.matches(&any4) && any6.matches(&any4));
        assert!(!any4.matches(&one) && !one.matches(&any6));
        assert!(!any4.matches(&ListenAddress::Inet(SocketAddr::from(([0, 0, 0, 0], 9002)))));
    }

    #[test]
    fn a_passed_descriptor_that_does_not_listen_is_refused() {
        let (stream, _peer) = UnixStream::pair().expect("pair");
        let passed = [
            socket(stream),
            socket(UnixDatagram::unbound().expect("socket")),
            socket(std::fs::File::open("/dev/null").expect("there")),
        ];
        let lines = unused_sockets(&passed, &[]);
        assert_eq!(lines.len(), 3);
        assert!(
            lines
                .iter()
                .all(|line| line.to_string().contains("not a listening stream socket"))
        );
    }
}
