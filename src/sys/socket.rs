//! Unix stream sockets in the steps that `std` does not offer one by one, and what only the kernel knows of a peer.
#![expect(
    unsafe_code,
    reason = "listen, for nix refuses queues longer than the kernel's default bound"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, Shutdown, SockFlag, SockType, UnixAddr, bind, connect, recv, shutdown,
    socket,
};

fn unix_socket(flags: SockFlag) -> io::Result<OwnedFd> {
    Ok(socket(
        AddressFamily::Unix,
        SockType::Stream,
        flags | SockFlag::SOCK_CLOEXEC,
        None,
    )?)
}

/// A unix stream socket with the name `path`, which nobody can connect to before [`listen_on`].
///
/// # Errors
/// EADDRINUSE if anything of that name exists, ENAMETOOLONG beyond 107 bytes, ENOENT, EACCES, …
pub fn unix_bound(path: &Path) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let fd = unix_socket(SockFlag::empty())?;
    bind(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Accepts connections; also changes the queue of a socket that listens already. The kernel cuts `backlog` to what
/// `net.core.somaxconn` allows.
///
/// # Errors
/// ENOTSOCK and such, for a descriptor that is no bound stream socket.
pub fn listen_on(fd: impl AsFd, backlog: i32) -> io::Result<()> {
    // SAFETY: the descriptor is open while it is borrowed; no memory is involved.
    if unsafe { libc::listen(fd.as_fd().as_raw_fd(), backlog) } == -1 {
        return Err(io::Error::last_os_error());
    }
    Ok(())
}

/// Connects to the unix stream socket `path` without ever waiting.
///
/// # Errors
/// ECONNREFUSED: nobody listens; EAGAIN: the listener's queue is full; ENOENT; EACCES; …
pub fn unix_connected(path: &Path) -> io::Result<OwnedFd> {
    let address = UnixAddr::new(path)?;
    let fd = unix_socket(SockFlag::SOCK_NONBLOCK)?;
    connect(fd.as_raw_fd(), &address)?;
    Ok(fd)
}

/// Whether the peer of a stream socket has ended its side, and nothing that it sent is left to read.
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

/// Ends our side of a stream socket; the peer reads the end of it.
///
/// # Errors
/// ENOTCONN if the peer was faster.
pub fn end_writing(fd: impl AsFd) -> io::Result<()> {
    Ok(shutdown(fd.as_fd().as_raw_fd(), Shutdown::Write)?)
}

/// The name of the user we run as, or the number if it has none.
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
