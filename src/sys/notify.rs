//! The notification socket (`NOTIFY_SOCKET`) and the identity of its senders.
#![expect(
    unsafe_code,
    reason = "recvmsg with SCM_PIDFD, which nix does not know and would leak; descriptors that came with a message"
)]

use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::linux::net::SocketAddrExt;
use std::os::unix::net::UnixDatagram;

use nix::sys::socket::{AddressFamily, SockFlag, SockType, UnixAddr, bind, socket};

use super::kernel::random_seed;
use super::pidfd::send_signal;
use crate::domain::Signal;

/// Linux 6.5, `SO_PASSPIDFD` and `SCM_PIDFD` (include/uapi/asm-generic/socket.h, include/linux/socket.h); not in libc yet.
const SO_PASSPIDFD: i32 = 76;
const SCM_PIDFD: i32 = 0x04;
/// Space for the control data of one message: credentials, a pidfd, and the maximum number of descriptors
/// (SCM_MAX_FD, 253). An array of words, because the headers must be aligned.
const CONTROL_WORDS: usize = 160;

/// A datagram socket with an abstract name. It leaves no file behind, works with a read-only root, and its name can
/// be read from the descriptor alone.
#[derive(Debug)]
pub struct NotifySocket {
    fd: OwnedFd,
    name: String,
}

impl NotifySocket {
    /// Creates a socket with an unpredictable name, close-on-exec and non-blocking.
    ///
    /// # Errors
    /// EMFILE, ENFILE, ENOMEM.
    ///
    /// # Source
    /// unix(7), "Abstract" and SO_PASSCRED.
    pub fn new() -> io::Result<Self> {
        let name = format!(
            "supervisord-notify/{:016x}{:016x}",
            random_seed()?,
            random_seed()?
        );
        let fd = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )?;
        // Before bind, so that no message arrives without its sender.
        set_flag(&fd, libc::SO_PASSCRED)?;
        // Older kernels do not have it, so only the PID identifies the sender there.
        let _ = set_flag(&fd, SO_PASSPIDFD);
        bind(fd.as_raw_fd(), &UnixAddr::new_abstract(name.as_bytes())?)?;
        Ok(Self { fd, name })
    }

    /// Adopts a socket that another process of the daemon created, and reads its name.
    ///
    /// # Errors
    /// ENOTSOCK, or EINVAL: its name is not abstract.
    pub fn adopt(fd: OwnedFd) -> io::Result<Self> {
        let socket = UnixDatagram::from(fd);
        let address = socket.local_addr()?;
        let name = address
            .as_abstract_name()
            .and_then(|name| std::str::from_utf8(name).ok());
        let name = name.ok_or(io::ErrorKind::InvalidInput)?.to_owned();
        Ok(Self {
            fd: socket.into(),
            name,
        })
    }

    /// The value of `NOTIFY_SOCKET`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("@{}", self.name)
    }

    /// Receives one message, truncated to `buffer`. Descriptors sent with it are closed at once, which also
    /// acknowledges `BARRIER=1`. `None`: there is no message.
    ///
    /// # Errors
    /// None that a correct caller can cause.
    pub fn receive(&self, buffer: &mut [u8]) -> io::Result<Option<NotifyDatagram>> {
        let mut control = [0_u64; CONTROL_WORDS];
        let mut vector = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        // SAFETY: all zeroes is a valid header without anything.
        let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
        header.msg_iov = &raw mut vector;
        header.msg_iovlen = 1;
        header.msg_control = control.as_mut_ptr().cast();
        header.msg_controllen = size_of_val(&control) as _;
        // SAFETY: the header points to a live vector and a live control buffer of the stated sizes.
        let count = unsafe {
            libc::recvmsg(
                self.fd.as_raw_fd(),
                &raw mut header,
                libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC,
            )
        };
        let Ok(bytes) = usize::try_from(count) else {
            let error = io::Error::last_os_error();
            return match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Ok(None),
                _ => Err(error),
            };
        };
        Ok(Some(NotifyDatagram {
            bytes: bytes.min(buffer.len()),
            is_whole: header.msg_flags & libc::MSG_TRUNC == 0,
            sender: sender_in(&header),
        }))
    }
}

impl AsFd for NotifySocket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// A received message.
#[derive(Debug)]
pub struct NotifyDatagram {
    /// Number of bytes written to the buffer.
    pub bytes: usize,
    /// Whether the message is complete rather than truncated.
    pub is_whole: bool,
    /// The sender. `None`: the kernel did not report it.
    pub sender: Option<DatagramSender>,
}

/// The sender of a message, as reported by the kernel.
#[derive(Debug)]
pub struct DatagramSender {
    /// PID. 0: the process is not in our PID namespace.
    pub pid: i32,
    /// UID.
    pub uid: u32,
    handle: SenderHandle,
}

/// How the sender's PID is protected against reuse.
#[derive(Debug)]
enum SenderHandle {
    /// Not at all.
    None,
    /// The sender had been reaped when its message was received.
    Gone,
    /// By a pidfd.
    Pidfd(OwnedFd),
}

impl DatagramSender {
    /// Whether the PID still belongs to the sender, and has since the message was sent. True if the kernel cannot
    /// tell.
    #[must_use]
    pub fn is_there(&self) -> bool {
        match (&self.handle, Signal::from_number(0)) {
            (SenderHandle::Gone, _) => false,
            (SenderHandle::Pidfd(pidfd), Some(nothing)) => {
                let sent = send_signal(pidfd, nothing);
                !sent.is_err_and(|error| error.raw_os_error() == Some(libc::ESRCH))
            }
            (SenderHandle::None, _) | (SenderHandle::Pidfd(_), None) => true,
        }
    }
}

fn set_flag(fd: &OwnedFd, option: i32) -> io::Result<()> {
    const LENGTH: libc::socklen_t = 4;
    let on: libc::c_int = 1;
    // SAFETY: the descriptor is open; the value is a live integer, which has four bytes everywhere.
    let result = unsafe {
        libc::setsockopt(
            fd.as_raw_fd(),
            libc::SOL_SOCKET,
            option,
            (&raw const on).cast(),
            LENGTH,
        )
    };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Reads the control data of a message: the sender, and descriptors, which are closed.
fn sender_in(header: &libc::msghdr) -> Option<DatagramSender> {
    let mut credentials = None;
    let mut handle = SenderHandle::None;
    // SAFETY: the header was filled in by recvmsg, and its control buffer is live.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(header) };
    // SAFETY: CMSG_FIRSTHDR and CMSG_NXTHDR give null or a whole header within the control buffer.
    while let Some(part) = unsafe { next.as_ref() } {
        // SAFETY: the data of a header follows it.
        let data = unsafe { libc::CMSG_DATA(part) };
        // SAFETY: no memory involved.
        let overhead = unsafe { libc::CMSG_LEN(0) } as usize;
        #[expect(
            clippy::unnecessary_cast,
            reason = "the field's type differs between C libraries"
        )]
        let length = (part.cmsg_len as usize).saturating_sub(overhead);
        match (part.cmsg_level, part.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if length >= size_of::<libc::ucred>() => {
                // SAFETY: the kernel wrote a whole `ucred` there, whose alignment is not guaranteed.
                credentials = Some(unsafe { data.cast::<libc::ucred>().read_unaligned() });
            }
            (libc::SOL_SOCKET, SCM_PIDFD) if length >= size_of::<RawFd>() => {
                // SAFETY: the kernel wrote an integer there.
                let number = unsafe { data.cast::<RawFd>().read_unaligned() };
                handle = match number {
                    // SAFETY: the kernel created the descriptor for us with this message, and it is read only once.
                    0.. => SenderHandle::Pidfd(unsafe { OwnedFd::from_raw_fd(number) }),
                    // We had no descriptor left, which says nothing about the sender.
                    error if [-libc::EMFILE, -libc::ENFILE].contains(&error) => SenderHandle::None,
                    _ => SenderHandle::Gone,
                };
            }
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for place in 0..length / size_of::<RawFd>() {
                    // SAFETY: the kernel wrote this number of integers there; each is a new descriptor that no other
                    // code knows.
                    let fd = unsafe {
                        OwnedFd::from_raw_fd(data.cast::<RawFd>().add(place).read_unaligned())
                    };
                    drop(fd);
                }
            }
            _ => {}
        }
        // SAFETY: as for the first one.
        next = unsafe { libc::CMSG_NXTHDR(header, part) };
    }
    credentials.map(|found| DatagramSender {
        pid: found.pid,
        uid: found.uid,
        handle,
    })
}

#[cfg(test)]
mod tests {
    use std::io::{IoSlice, Read};
    use std::os::unix::net::SocketAddr;

    use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

    use super::*;

    /// A socket connected to `to`.
    fn sender(to: &NotifySocket) -> UnixDatagram {
        let address = SocketAddr::from_abstract_name(to.name.as_bytes()).expect("a name");
        let socket = UnixDatagram::unbound().expect("a socket");
        socket.connect_addr(&address).expect("connected");
        socket
    }

    #[test]
    fn a_message_comes_with_its_sender() {
        let socket = NotifySocket::new().expect("made");
        let mut buffer = [0; 8];
        assert!(socket.receive(&mut buffer).expect("asked").is_none());
        let us = sender(&socket);
        us.send(b"READY=1").expect("sent");
        us.send(b"0123456789").expect("sent");
        let got = socket.receive(&mut buffer).expect("asked").expect("one");
        assert_eq!(
            (&buffer[..got.bytes], got.is_whole),
            (&b"READY=1"[..], true)
        );
        let from = got.sender.expect("known");
        assert_eq!(from.pid.unsigned_abs(), std::process::id());
        assert_eq!(from.uid, nix::unistd::geteuid().as_raw());
        assert!(from.is_there());
        let got = socket.receive(&mut buffer).expect("asked").expect("one");
        assert_eq!((got.bytes, got.is_whole), (8, false));
    }

    #[test]
    fn socket_names_differ_and_match_the_variable() {
        let [one, two] = [NotifySocket::new(), NotifySocket::new()].map(|made| made.expect("made"));
        assert_ne!(one.name, two.name);
        assert_eq!(one.address(), format!("@{}", one.name));
    }

    #[test]
    fn a_socket_outlives_its_creator() {
        let socket = NotifySocket::new().expect("made");
        let address = socket.address();
        sender(&socket).send(b"before").expect("sent");
        let socket = NotifySocket::adopt(socket.fd).expect("adopted");
        assert_eq!(socket.address(), address);
        let mut buffer = [0; 8];
        let got = socket.receive(&mut buffer).expect("asked").expect("one");
        assert_eq!(&buffer[..got.bytes], b"before");
        assert!(got.sender.is_some());
        assert!(NotifySocket::adopt(io::pipe().expect("a pipe").0.into()).is_err());
        let nameless = UnixDatagram::unbound().expect("a socket");
        assert!(NotifySocket::adopt(nameless.into()).is_err());
    }

    #[test]
    fn received_descriptors_are_closed() {
        let socket = NotifySocket::new().expect("made");
        let us = sender(&socket);
        let (mut reader, writer) = io::pipe().expect("a pipe");
        let many = vec![writer.as_raw_fd(); 253];
        let rights = [ControlMessage::ScmRights(&many)];
        let text = [IoSlice::new(b"BARRIER=1")];
        sendmsg::<()>(us.as_raw_fd(), &text, &rights, MsgFlags::empty(), None).expect("sent");
        drop(writer);
        let mut buffer = [0; 64];
        socket.receive(&mut buffer).expect("asked").expect("one");
        // EOF arrives only if nobody holds the other end any more.
        assert_eq!(reader.read(&mut [0]).expect("read"), 0);
    }

    #[test]
    fn a_message_of_an_exited_sender_is_recognized() {
        let socket = NotifySocket::new().expect("made");
        let address = socket.address();
        let script = format!(
            "import socket; socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM).sendto(b'x', '\\0{}')",
            address.trim_start_matches('@')
        );
        let ended = std::process::Command::new("python3")
            .args(["-c", &script])
            .status();
        let Ok(status) = ended else {
            eprintln!("skipped: there is no python3");
            return;
        };
        assert!(status.success());
        let mut buffer = [0; 8];
        let got = socket.receive(&mut buffer).expect("asked").expect("one");
        let from = got.sender.expect("known");
        assert_ne!(from.pid.unsigned_abs(), std::process::id());
        match from.handle {
            SenderHandle::None => eprintln!("skipped: this kernel has no SO_PASSPIDFD"),
            SenderHandle::Gone | SenderHandle::Pidfd(_) => assert!(!from.is_there()),
        }
    }
}
