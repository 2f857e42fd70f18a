//! Unix stream sockets in single steps that `std` does not offer, and the kernel's information about peers.
#![expect(
    unsafe_code,
    reason = "listen, for nix refuses queues longer than the kernel's default bound; SO_PEERGROUPS, which it does not know"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, bind, connect, recv, shutdown,
    socket,
};
use nix::sys::stat::{Mode, fchmod};

fn unix_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Unix,
        SockType::Stream,
        flags | SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// Creates a unix stream socket bound to `path`. Clients cannot connect before [`listen_on`].
///
/// # Errors
/// EADDRINUSE if the path exists, ENAMETOOLONG beyond 107 bytes, ENOENT, EACCES, …
pub fn unix_bound(path: &Path) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let fd = unix_socket(SockFlag::empty())?;
    bind(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Like [`unix_bound`], but the file has this mode (less the umask) from its creation.
///
/// # Errors
/// As [`unix_bound`].
pub(super) fn unix_bound_with_mode(path: &Path, mode: u32) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let fd = unix_socket(SockFlag::empty())?;
    fchmod(&fd, Mode::from_bits_truncate(mode))?;
    bind(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Makes the socket accept connections, or changes its queue length if it does already. The kernel limits `backlog`
/// to `net.core.somaxconn`.
///
/// # Errors
/// ENOTSOCK and such, for a descriptor that is not a bound stream socket.
pub fn listen_on(fd: impl AsFd, backlog: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed; no memory is involved.
    if unsafe { libc::listen(fd.as_fd().as_raw_fd(), backlog) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Connects to the unix stream socket `path`. Never blocks.
///
/// # Errors
/// ECONNREFUSED: nobody listens; EAGAIN: the listener's queue is full; ENOENT; EACCES; …
pub fn unix_connected(path: &Path) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let fd = unix_socket(SockFlag::SOCK_NONBLOCK)?;
    connect(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Whether the peer of a stream socket has closed its side and nothing that it sent is left to read.
#[must_use]
pub fn peer_is_gone(fd: impl AsFd) -> bool {
    let mut byte = [0_u8];
    let flags = MsgFlags::MSG_PEEK | MsgFlags::MSG_DONTWAIT;
    match recv(fd.as_fd().as_raw_fd(), &mut byte, flags) {
        Ok(count) => count == 0,
        Err(Errno::EAGAIN | Errno::EINTR) => false,
        Err(_) => true,
    }
}

/// The supplementary groups of the peer of a unix socket, as they were when it connected.
///
/// # Errors
/// ENOPROTOOPT, ENODATA: not such a socket, or it has no peer.
///
/// # Source
/// Linux 4.13, SO_PEERGROUPS (net/core/sock.c).
pub(super) fn peer_groups(socket: &impl AsFd) -> io::Result<Vec<u32>> {
    // Enough for most processes. If not, the kernel returns the required size.
    let mut groups: Vec<libc::gid_t> = vec![0; 32];
    loop {
        let room = std::mem::size_of_val(groups.as_slice());
        let mut length = libc::socklen_t::try_from(room).map_err(io::Error::other)?;
        // SAFETY: the descriptor is open while it is borrowed; the kernel writes at most `length` bytes into the
        // vector, which has that size, and sets `length` to what it wrote or would have written.
        let result = unsafe {
            libc::getsockopt(
                socket.as_fd().as_raw_fd(),
                libc::SOL_SOCKET,
                libc::SO_PEERGROUPS,
                groups.as_mut_ptr().cast(),
                &raw mut length,
            )
        };
        let count = usize::try_from(length).map_err(io::Error::other)? / size_of::<libc::gid_t>();
        if result == 0 {
            groups.truncate(count);
            return Ok(groups);
        }
        let error = io::Error::last_os_error();
        if error.raw_os_error() != Some(libc::ERANGE) || count <= groups.len() {
            return Err(error);
        }
        groups.resize(count, 0);
    }
}

/// Shuts down our side of a stream socket. The peer then reads EOF.
///
/// # Errors
/// ENOTCONN: the peer has already closed the connection.
pub fn end_writing(fd: impl AsFd) -> io::Result<()> {
    Ok(shutdown(fd.as_fd().as_raw_fd(), Shutdown::Write)?)
}

/// The name of our effective user, or the UID if it has no name.
#[must_use]
pub fn own_user_name() -> String {
    let uid = nix::unistd::geteuid();
    match nix::unistd::User::from_uid(uid) {
        Ok(Some(user)) => user.name,
        _ => uid.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::net::UnixStream;

    use super::*;

    #[test]
    fn a_peer_is_gone_when_it_has_closed() {
        let (ours, theirs) = UnixStream::pair().expect("pair");
        assert!(!peer_is_gone(&ours));
        drop(theirs);
        assert!(peer_is_gone(&ours));
    }

    #[test]
    fn the_groups_of_a_peer_are_returned() {
        let (ours, _theirs) = UnixStream::pair().expect("pair");
        let mut expected: Vec<u32> = nix::unistd::getgroups()
            .expect("ours")
            .into_iter()
            .map(nix::unistd::Gid::as_raw)
            .collect();
        let mut found = peer_groups(&ours).expect("told");
        found.sort_unstable();
        expected.sort_unstable();
        assert_eq!(found, expected);
    }

    #[test]
    fn a_bound_socket_refuses_until_it_listens() {
        let path = std::env::temp_dir().join(format!("sys-socket-{}", std::process::id()));
        let _ = std::fs::remove_file(&path);
        let fd = unix_bound(&path).expect("bound");
        let refused = unix_connected(&path).expect_err("refused");
        assert_eq!(refused.kind(), io::ErrorKind::ConnectionRefused);
        listen_on(&fd, 1).expect("listens");
        unix_connected(&path).expect("connected");
        std::fs::remove_file(&path).expect("removed");
    }
}
