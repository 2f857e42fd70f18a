//! A server that listens but does not accept connections yet.

use std::net::{SocketAddr, TcpListener};
use std::os::unix::net::UnixListener;

use super::socket_file::{SocketFile, SocketFileSpec};
use crate::server::http::endpoint_logins::EndpointLogins;

/// A server whose socket is bound and listening. Dropping it removes the socket's file, if the file is still ours.
#[derive(Debug)]
pub struct BoundServer {
    pub(super) logins: EndpointLogins,
    /// The listening socket.
    pub(super) listener: Listener,
    /// The file of a unix socket.
    pub(super) file: Option<SocketFile>,
    /// How the file is created. `None`: the file is not ours.
    pub(super) file_spec: Option<SocketFileSpec>,
    /// Configured host names of the server.
    pub(super) names: Vec<String>,
    /// Configured name of this node. `None`: not set.
    pub(super) nodename: Option<String>,
    /// Index of its socket among those passed by the service manager.
    pub(super) passed: Option<usize>,
}

/// A listening socket.
#[derive(Debug)]
pub(in crate::server) enum Listener {
    /// A TCP listener over IPv4 or IPv6.
    Inet(TcpListener),
    /// A unix stream listener.
    Unix(UnixListener),
}

impl BoundServer {
    /// Index of its socket among the passed ones. `None`: not passed.
    #[must_use]
    pub(in crate::server) const fn passed(&self) -> Option<usize> {
        self.passed
    }

    /// The address of a TCP server, with the port that the kernel chose if 0 was configured. `None`: a unix server.
    #[must_use]
    pub fn inet_address(&self) -> Option<SocketAddr> {
        match &self.listener {
            Listener::Inet(listener) => listener.local_addr().ok(),
            Listener::Unix(_) => None,
        }
    }

    /// Splits the server into its parts. Dropping the file part removes the file.
    pub(in crate::server) fn into_parts(self) -> BoundServerParts {
        BoundServerParts {
            logins: self.logins,
            listener: self.listener,
            file: self.file,
            file_spec: self.file_spec,
            passed: self.passed,
            names: self.names,
            nodename: self.nodename,
        }
    }
}

/// The parts of a [`BoundServer`].
pub(in crate::server) struct BoundServerParts {
    pub(in crate::server) logins: EndpointLogins,
    pub(in crate::server) listener: Listener,
    pub(in crate::server) file: Option<SocketFile>,
    /// How the file is created. `None`: the file is not ours.
    pub(in crate::server) file_spec: Option<SocketFileSpec>,
    pub(in crate::server) passed: Option<usize>,
    /// Configured host names of the server.
    pub(in crate::server) names: Vec<String>,
    /// Configured name of this node. `None`: not set.
    pub(in crate::server) nodename: Option<String>,
}
