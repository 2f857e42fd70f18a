//! Packets with descriptors between two processes, over a pair of seqpacket unix sockets.
#![expect(
    unsafe_code,
    reason = "nix leaves the descriptors of a packet that was cut open for ever, so recvmsg is called directly"
)]

use std::io::{self, IoSlice};
use std::mem::size_of;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};

use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, getsockopt, recv, sendmsg,
    setsockopt, socketpair, sockopt,
};

/// Maximum number of descriptors per packet.
///
/// # Source
/// unix(7), SCM_RIGHTS: SCM_MAX_FD.
pub const PACKET_DESCRIPTORS_MAX: usize = 253;
/// Socket buffer size in each direction, in bytes. A small packet counts as about a kilobyte.
const BUFFER_BYTES: usize = 4 << 20;
/// Space for the control data: the descriptors and the sender's credentials, with headers and padding.
const CONTROL_WORDS: usize = 160;

/// A received packet.
#[derive(Debug)]
pub struct Packet {
    /// Number of bytes written to the buffer.
    pub length: usize,
    /// The descriptors sent with it; close-on-exec.
    pub descriptors: Vec<OwnedFd>,
    /// The sender's effective UID, as reported by the kernel. `None`: the socket does not request it.
    pub uid: Option<u32>,
    /// Whether bytes or descriptors were dropped for lack of space.
    pub cut: bool,
}

/// Creates a connected pair of seqpacket sockets. Packets received at the first end carry their sender's credentials.
///
/// # Errors
/// EMFILE, ENFILE, ENOMEM.
///
/// # Source
/// unix(7), SOCK_SEQPACKET and SO_PASSCRED.
pub fn packet_pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let flags = SockFlag::SOCK_CLOEXEC;
    let (first, second) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags)?;
    setsockopt(&first, sockopt::PassCred, &true)?;
    for end in [&first, &second] {
        // Without CAP_NET_ADMIN the size is limited to the system's maximum. If both calls fail, fewer packets fit
        // into the queue.
        if setsockopt(end, sockopt::SndBufForce, &BUFFER_BYTES).is_err() {
            let _ = setsockopt(end, sockopt::SndBuf, &BUFFER_BYTES);
        }
    }
    Ok((first, second))
}

/// Checks that this is a unix seqpacket socket, and returns the UID that created its pair.
///
/// # Errors
/// `InvalidInput`: it is another kind of socket. As getsockopt(2) if it is no socket.
///
/// # Source
/// socket(7), SO_TYPE, SO_DOMAIN, SO_PEERCRED.
pub fn packet_maker(socket: &impl AsFd) -> io::Result<u32> {
    let kind = getsockopt(socket, sockopt::SockType)?;
    let maker = getsockopt(socket, sockopt::PeerCredentials);
    // Only unix sockets have credentials.
    match (kind, maker) {
        (SockType::SeqPacket, Ok(maker)) => Ok(maker.uid()),
        _ => Err(io::ErrorKind::InvalidInput.into()),
    }
}

/// Sends one packet. Never blocks.
///
/// # Errors
/// `WouldBlock`: the receiver's queue is full. EPIPE, ECONNRESET: the receiver is gone. ETOOMANYREFS: a user other
/// than root has more descriptors in flight than it may have open. EINVAL: more than [`PACKET_DESCRIPTORS_MAX`]
/// descriptors.
pub fn send_packet(
    socket: impl AsFd,
    bytes: &[u8],
    descriptors: &[BorrowedFd<'_>],
) -> io::Result<()> {
    let numbers: Vec<RawFd> = descriptors.iter().map(AsRawFd::as_raw_fd).collect();
    let rights = [ControlMessage::ScmRights(&numbers)];
    let rights = if numbers.is_empty() { &[] } else { &rights[..] };
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_NOSIGNAL;
    let parts = [IoSlice::new(bytes)];
    loop {
        match sendmsg::<()>(socket.as_fd().as_raw_fd(), &parts, rights, flags, None) {
            Ok(_) => return Ok(()),
            Err(nix::errno::Errno::EINTR) => {}
            Err(error) => return Err(error.into()),
        }
    }
}

/// Copies the next packet's bytes without removing the packet or its descriptors, and returns their number. `None`:
/// there is no packet.
///
/// # Errors
/// ECONNRESET: the sender is gone and left packets unread.
pub fn peek_packet(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<usize>> {
    let flags = MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK;
    loop {
        match recv(socket.as_fd().as_raw_fd(), buffer, flags) {
            Ok(length) => return Ok(Some(length)),
            Err(nix::errno::Errno::EINTR) => {}
            Err(nix::errno::Errno::EAGAIN) => return Ok(None),
            Err(error) => return Err(error.into()),
        }
    }
}

/// Receives the next packet, if there is one. Never blocks. Length 0 without `cut`: the sender is gone.
///
/// # Errors
/// ECONNRESET: the sender is gone and left packets unread.
///
/// # Source
/// recvmsg(2); cmsg(3); unix(7).
pub fn receive_packet(socket: impl AsFd, buffer: &mut [u8]) -> io::Result<Option<Packet>> {
    // Words, because control message headers have their alignment.
    let mut control = [0_usize; CONTROL_WORDS];
    let mut part = libc::iovec {
        iov_base: buffer.as_mut_ptr().cast(),
        iov_len: buffer.len(),
    };
    // SAFETY: an all-zero header is a valid one, without address, parts and control data.
    let mut header: libc::msghdr = unsafe { std::mem::zeroed() };
    header.msg_iov = &raw mut part;
    header.msg_iovlen = 1;
    header.msg_control = control.as_mut_ptr().cast();
    header.msg_controllen = size_of::<[usize; CONTROL_WORDS]>() as _;
    let flags = libc::MSG_DONTWAIT | libc::MSG_CMSG_CLOEXEC;
    let length = loop {
        let number = socket.as_fd().as_raw_fd();
        // SAFETY: the header points to live memory of the lengths it states, ours alone during the call.
        let length = unsafe { libc::recvmsg(number, &raw mut header, flags) };
        match usize::try_from(length) {
            Ok(length) => break length,
            Err(_) => match io::Error::last_os_error() {
                error if error.kind() == io::ErrorKind::Interrupted => {}
                error if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                error => return Err(error),
            },
        }
    };
    let mut packet = Packet {
        length,
        descriptors: Vec::new(),
        uid: None,
        cut: header.msg_flags & (libc::MSG_TRUNC | libc::MSG_CTRUNC) != 0,
    };
    // SAFETY: the header is as the kernel left it, and its control data lives.
    let mut next = unsafe { libc::CMSG_FIRSTHDR(&raw const header) };
    // SAFETY: `next` is null or points to a whole message header within the control data.
    while let Some(message) = unsafe { next.as_ref() } {
        // SAFETY: as above; the data follows the header.
        let data = unsafe { libc::CMSG_DATA(next) };
        // SAFETY: no memory is involved.
        let empty = unsafe { libc::CMSG_LEN(0) } as usize;
        let bytes = message.cmsg_len.saturating_sub(empty);
        match (message.cmsg_level, message.cmsg_type) {
            (libc::SOL_SOCKET, libc::SCM_RIGHTS) => {
                for place in 0..bytes / size_of::<RawFd>() {
                    // SAFETY: the kernel wrote this number of integers there, perhaps unaligned; each is a new
                    // descriptor that only we know.
                    packet.descriptors.push(unsafe {
                        OwnedFd::from_raw_fd(data.cast::<RawFd>().add(place).read_unaligned())
                    });
                }
            }
            (libc::SOL_SOCKET, libc::SCM_CREDENTIALS) if bytes >= size_of::<libc::ucred>() => {
                // SAFETY: the kernel wrote a whole `ucred` there, perhaps unaligned, and any bits are valid numbers.
                let sender = unsafe { data.cast::<libc::ucred>().read_unaligned() };
                packet.uid = Some(sender.uid);
            }
            _ => {}
        }
        // SAFETY: as for the first.
        next = unsafe { libc::CMSG_NXTHDR(&raw const header, next) };
    }
    Ok(Some(packet))
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::io::{Read as _, Write as _};

    use super::*;

    fn receive(socket: &OwnedFd) -> (Packet, Vec<u8>) {
        let mut buffer = vec![0; 64];
        let packet = receive_packet(socket, &mut buffer)
            .expect("received")
            .expect("there");
        buffer.truncate(packet.length);
        (packet, buffer)
    }

    #[test]
    fn packets_keep_their_boundaries_descriptors_and_credentials() {
        let (first, second) = packet_pair().expect("pair");
        let (mut reader, mut writer) = io::pipe().expect("pipe");
        send_packet(&second, b"one", &[writer.as_fd(), reader.as_fd()]).expect("sent");
        send_packet(&second, b"", &[]).expect("sent");
        send_packet(&first, b"back", &[]).expect("sent");
        let (packet, bytes) = receive(&first);
        assert_eq!(bytes, b"one");
        assert_eq!((packet.descriptors.len(), packet.cut), (2, false));
        assert_eq!(packet.uid, Some(nix::unistd::geteuid().as_raw()));
        for fd in &packet.descriptors {
            let flags = nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFD).expect("open");
            assert_eq!(flags, libc::FD_CLOEXEC);
        }
        writer.write_all(b"x").expect("room");
        let mut copy = File::from(packet.descriptors.into_iter().nth(1).expect("two"));
        let mut byte = [0];
        copy.read_exact(&mut byte).expect("the same pipe");
        drop(writer);
        assert_eq!(reader.read(&mut byte).expect("its end"), 0);
        let (packet, bytes) = receive(&first);
        assert_eq!((bytes.len(), packet.cut), (0, false));
        let (packet, bytes) = receive(&second);
        assert_eq!((bytes.as_slice(), packet.uid), (&b"back"[..], None));
        assert!(receive_packet(&first, &mut [0]).expect("asked").is_none());
        drop(second);
        assert_eq!(receive(&first).0.length, 0);
        assert!(send_packet(&first, b"x", &[]).is_err());
    }

    #[test]
    fn a_cut_packet_is_reported_and_leaves_nothing_open() {
        let (first, second) = packet_pair().expect("pair");
        let null = File::open("/dev/null").expect("there");
        send_packet(&second, &[7; 65], &[]).expect("sent");
        assert!(receive(&first).0.cut);
        let many = vec![null.as_fd(); PACKET_DESCRIPTORS_MAX];
        send_packet(&second, b"", &many).expect("sent");
        let (packet, _) = receive(&first);
        assert_eq!((packet.descriptors.len(), packet.cut), (253, false));
        let many = vec![null.as_fd(); PACKET_DESCRIPTORS_MAX + 1];
        assert!(send_packet(&second, b"", &many).is_err());
        drop(packet);
        crate::sys::test_fork::run_forked(|_file| {
            // Space for 20 more descriptors, however many the other tests have open.
            let open: std::collections::BTreeSet<u64> = std::fs::read_dir("/proc/self/fd")
                .expect("listed")
                .filter_map(|entry| entry.ok()?.file_name().to_str()?.parse().ok())
                .collect();
            let free = (0..).filter(|number| !open.contains(number));
            let end = free.take(21).last().expect("there are more");
            let limit = crate::sys::Limit {
                soft: end,
                hard: end,
            };
            crate::sys::set_limit(crate::sys::Resource::Files, limit).expect("lower");
            let many = vec![null.as_fd(); 30];
            send_packet(&second, b"", &many).expect("sent");
            let (packet, _) = receive(&first);
            assert!(packet.cut && packet.descriptors.len() <= 21);
            let count = || std::fs::read_dir("/proc/self/fd").map(Iterator::count);
            drop(packet);
            let before = count().expect("room again");
            send_packet(&second, b"", &many).expect("sent");
            drop(receive(&first));
            assert_eq!(count().expect("room again"), before);
        });
    }

    #[test]
    fn a_full_socket_is_an_error() {
        let (first, second) = packet_pair().expect("pair");
        let mut sent = 0;
        let full = loop {
            match send_packet(&second, b"x", &[]) {
                Ok(()) => sent += 1,
                Err(error) => break error,
            }
        };
        assert_eq!(full.kind(), io::ErrorKind::WouldBlock);
        assert!(sent > 100, "{sent}");
        receive(&first);
        assert!(packet_maker(&second).expect("ours") == nix::unistd::geteuid().as_raw());
        let (stream, _other) = std::os::unix::net::UnixStream::pair().expect("pair");
        assert!(packet_maker(&stream).is_err());
        assert!(packet_maker(&File::open("/dev/null").expect("there")).is_err());
    }
}
