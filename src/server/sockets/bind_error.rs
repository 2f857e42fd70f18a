//! Why a server cannot listen.

use std::io;
use std::path::PathBuf;

use crate::domain::Errno;

/// Why a server cannot listen. The texts of the errors are Supervisor's.
#[derive(Debug, thiserror::Error)]
pub enum BindError {
    /// Another program listens on the address.
    #[error(
        "Another program is already listening on a port that one of our HTTP servers is configured to use.  Shut this program down first before starting supervisord."
    )]
    InUse,
    /// A system call failed.
    #[error("Cannot open an HTTP server: socket.error reported errno.{} ({})", .0.name(), .0.0)]
    Kernel(Errno),
    /// The file at the socket's path is not a socket. It is never removed.
    // Differs: the text goes on where Supervisor's ends (phusion/baseimage-docker#227).
    #[error(
        "Cannot open an HTTP server: socket.error reported errno.EEXIST (17): {}: there is {what}, not a socket (remove it, or change the path of the socket in the configuration)",
        path.display()
    )]
    Occupied {
        /// The socket's path.
        path: PathBuf,
        /// The kind of file found there.
        what: String,
    },
    /// The host name has no address. Supervisor shows only the number of EAI_NONAME.
    #[error("Cannot open an HTTP server: socket.error reported -2")]
    NoAddress(String),
    /// The owner of the socket cannot be changed.
    #[error(
        "Not permitted to chown {} to uid/gid ({uid}, {gid}); adjust \"sockchown\" value in config file or on command line to values that the current user ({user}) can successfully chown",
        path.display()
    )]
    Chown {
        /// The socket's path.
        path: PathBuf,
        /// The wanted owner. -1: unchanged.
        uid: i64,
        /// The wanted group. -1: unchanged.
        gid: i64,
        /// The user as whom the daemon runs.
        user: String,
    },
}

impl From<Errno> for BindError {
    fn from(error: Errno) -> Self {
        match error.0 {
            libc::EADDRINUSE => Self::InUse,
            number => Self::Kernel(Errno(number)),
        }
    }
}

impl From<io::Error> for BindError {
    fn from(error: io::Error) -> Self {
        match error.raw_os_error() {
            Some(number) if number == libc::EADDRINUSE => Self::InUse,
            Some(number) => Self::Kernel(Errno(number)),
            None => Self::Kernel(Errno(libc::EINVAL)),
        }
    }
}
