//! Creates the file of a listening unix socket in a directory that may belong to another user. That user can replace
//! any file there at any moment. So mode and owner are set on a descriptor of the file that was created, never by
//! path.

use std::io;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixListener;

use nix::fcntl::{AT_FDCWD, AtFlags};
use nix::sys::socket::getsockopt;
use nix::sys::socket::sockopt::PeerCredentials;
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmodat, fstat};
use nix::unistd::{Gid, Uid, fchownat};

use super::safe_open::{self, FileId, SafePath};
use super::socket::{listen_on, unix_bound_with_mode, unix_connected};
use crate::domain::Errno;

/// The mode of the file until its final mode is set.
const PRIVATE: u32 = 0o600;

/// A listening socket whose file has a temporary name, until [`SafePath::link_here`] links it to its final path.
#[derive(Debug)]
pub struct ListeningSocket {
    /// The listening socket.
    pub socket: OwnedFd,
    /// Its file, opened with O_PATH.
    pub file: OwnedFd,
    /// The identity of the file.
    pub id: FileId,
    /// Its temporary name. Dropping it removes the name.
    pub temporary: TemporaryName,
}

/// A file name that is removed when dropped.
#[derive(Debug)]
pub struct TemporaryName {
    place: SafePath,
    id: FileId,
}

impl Drop for TemporaryName {
    fn drop(&mut self) {
        // If the name is another file's by now, that file is left alone.
        self.place.unlink_if(self.id);
    }
}

/// Why a socket cannot be created.
#[derive(Debug)]
pub enum SocketFileError {
    /// The owner cannot be set.
    Owner(Errno),
    /// Any other error. EEXIST: another process replaced the file meanwhile.
    Other(Errno),
}

impl From<Errno> for SocketFileError {
    fn from(error: Errno) -> Self {
        Self::Other(error)
    }
}

/// Creates a listening socket in the directory of `place`, under a temporary name, with this mode and owner.
///
/// # Errors
/// See [`SocketFileError`]. Nothing is left behind.
///
/// # Source
/// unix(7): the mode of a socket that is bound becomes that of its file (`unix_bind_bsd` in net/unix/af_unix.c).
pub fn listen_at(
    place: &SafePath,
    mode: u32,
    (uid, gid): (Option<u32>, Option<u32>),
    backlog: i32,
) -> Result<ListeningSocket, SocketFileError> {
    let temporary = place.sibling(&format!(".{}", std::process::id()))?;
    // A process that had our PID left it. That process is gone, so no process listens on it.
    if let Ok(old) = temporary.open_path_fd()
        && is_socket(&old)
    {
        temporary.unlink()?;
    }
    let text = |error: io::Error| Errno::from(&error);
    let socket = unix_bound_with_mode(&temporary.path_by_descriptor(), PRIVATE).map_err(text)?;
    let file = temporary.open_path_fd()?;
    let id = FileId::of(&file)?;
    let made = ListeningSocket {
        socket,
        file,
        id,
        temporary: TemporaryName {
            place: temporary,
            id,
        },
    };
    listen_on(&made.socket, backlog).map_err(text)?;
    if !is_socket(&made.file) || !leads_to(&made.file, &made.socket) {
        return Err(SocketFileError::Other(Errno::EXIST));
    }
    let exact = Mode::from_bits_truncate(mode);
    fchmodat(
        AT_FDCWD,
        safe_open::fd_path(&made.file).as_str(),
        exact,
        FchmodatFlags::FollowSymlink,
    )
    .map_err(safe_open::errno)?;
    if uid.is_some() || gid.is_some() {
        let (uid, gid) = (uid.map(Uid::from_raw), gid.map(Gid::from_raw));
        fchownat(&made.file, "", uid, gid, AtFlags::AT_EMPTY_PATH)
            .map_err(|error| SocketFileError::Owner(safe_open::errno(error)))?;
    }
    Ok(made)
}

fn is_socket(file: &OwnedFd) -> bool {
    fstat(file).is_ok_and(|stat| safe_open::kind(&stat) == SFlag::S_IFSOCK)
}

/// Whether a connection to `file` arrives at `socket`. This detects a socket of another process that replaced the
/// file: it has the same type and perhaps the same owner.
fn leads_to(file: &OwnedFd, socket: &OwnedFd) -> bool {
    let Ok(_client) = unix_connected(safe_open::fd_path(file).as_ref()) else {
        return false;
    };
    let Ok(listener) = socket.try_clone().map(UnixListener::from) else {
        return false;
    };
    if listener.set_nonblocking(true).is_err() {
        return false;
    }
    // The file is still private to our user, so only processes of the same user can be in the queue before us.
    while let Ok((peer, _)) = listener.accept() {
        let pid = getsockopt(&peer, PeerCredentials).map(|peer| peer.pid());
        if pid == Ok(nix::unistd::getpid().as_raw()) {
            return true;
        }
    }
    false
}
