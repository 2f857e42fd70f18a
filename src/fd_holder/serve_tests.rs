//! The fd holder's loop in a thread, against clients that behave, die, forge and never read.

use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::BorrowedFd;
use std::thread::JoinHandle;
use std::time::Duration;

use super::super::client::{FdHolder, FdHolderError, HolderEvent};
use super::super::wire::NAME_BYTES_MAX;
use super::*;

const LIMIT: Duration = Duration::from_secs(20);

/// An fd holder's loop, and the client's end.
struct Loop {
    client: OwnedFd,
    thread: JoinHandle<io::Result<()>>,
}

impl Loop {
    fn start() -> Self {
        Self::with(sys::packet_pair().expect("pair"))
    }

    /// A loop whose answers soon fill the socket.
    fn narrow() -> Self {
        let (server, client) = sys::packet_pair().expect("pair");
        let least = nix::sys::socket::sockopt::SndBuf;
        nix::sys::socket::setsockopt(&server, least, &1).expect("set");
        Self::with((server, client))
    }

    fn with((server, client): (OwnedFd, OwnedFd)) -> Self {
        let held = client.try_clone().expect("room");
        let thread = std::thread::spawn(move || Server::new((server, held)).work());
        Self { client, thread }
    }

    fn client(&self) -> FdHolder {
        let copy = self.client.try_clone().expect("room");
        FdHolder::from_fd(copy).expect("it answers").0
    }

    fn send(&self, message: HolderMessage<'_>, descriptors: &[BorrowedFd<'_>]) {
        sys::send_packet(&self.client, &message.bytes(), descriptors).expect("room");
    }

    fn end(self) {
        self.client().quit().expect("told");
        self.thread.join().expect("no panic").expect("asked to");
    }
}

fn null() -> File {
    File::open("/dev/null").expect("there")
}

#[test]
fn stored_descriptors_are_listed_for_a_new_client() {
    let holder = Loop::start();
    let (reader, mut writer) = io::pipe().expect("pipe");
    let null = null();
    let first = holder.client();
    first
        .store("o17", &[reader.as_fd(), null.as_fd()])
        .expect("room");
    first.store("gone", &[null.as_fd()]).expect("room");
    first.remove("gone").expect("room");
    first.store("p17", &[null.as_fd()]).expect("room");
    assert_eq!(first.barrier(LIMIT).expect("done"), []);
    drop((first, reader));
    writer.write_all(b"kept").expect("somebody can read it");
    let second = holder.client();
    let list = second.list(LIMIT).expect("listed");
    let names: Vec<_> = list
        .iter()
        .map(|(name, fds)| (name.as_str(), fds.len()))
        .collect();
    assert_eq!(names, [("o17", 2), ("p17", 1)]);
    let mut copy = File::from(list[0].1[0].try_clone().expect("room"));
    let mut text = [0; 4];
    copy.read_exact(&mut text).expect("read");
    assert_eq!(&text, b"kept");
    assert_eq!(second.hello(LIMIT).expect("answered").names, 2);
    drop((copy, list));
    second.remove("o17").expect("room");
    second.barrier(LIMIT).expect("done");
    assert!(writer.write_all(b"x").is_err(), "nobody has it open");
    holder.end();
}

#[test]
fn events_report_completed_and_refused_requests() {
    let holder = Loop::start();
    let client = holder.client();
    let null = null();
    client.store("a", &[null.as_fd()]).expect("room");
    let barrier = client.ask_barrier().expect("room");
    holder.send(HolderMessage::new(PacketKind::Store, 0).named(b"b"), &[]);
    holder.send(HolderMessage::new(PacketKind::Remove, 0), &[]);
    holder.send(
        HolderMessage::new(PacketKind::Store, 0).named(b"\xff"),
        &[null.as_fd()],
    );
    let mut told = Vec::new();
    while told.len() < 4 {
        let mut ask = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
        let ready = poll(&mut ask, PollTimeout::from(20_000_u16)).expect("asked");
        assert_eq!(ready, 1, "in vain: {told:?}");
        told.extend(client.next_event().expect("alive"));
    }
    let refused = |name: &str, reason| HolderEvent::Refused {
        name: name.to_owned(),
        reason: Some(reason),
    };
    let expected = [
        HolderEvent::Done(barrier),
        refused("b", RefusalReason::Descriptors),
        refused("", RefusalReason::Name),
        refused("\u{fffd}", RefusalReason::Name),
    ];
    assert_eq!(told, expected);
    assert_eq!(client.next_event().expect("alive"), None);
    for name in ["", &"x".repeat(NAME_BYTES_MAX + 1)] {
        let error = client.store(name, &[null.as_fd()]).expect_err("refused");
        assert_eq!(error.kind(), io::ErrorKind::InvalidInput);
        assert!(client.remove(name).is_err());
    }
    assert!(client.store("a", &[]).is_err());
    assert!(client.store("a", &vec![null.as_fd(); 65]).is_err());
    holder.send(HolderMessage::new(PacketKind::Store, 0).named(b"c"), &[]);
    assert_eq!(
        client.barrier(LIMIT).expect("done"),
        [refused("c", RefusalReason::Descriptors)]
    );
    holder.end();
}

#[test]
fn a_client_that_dies_during_a_list_does_not_affect_the_next() {
    let holder = Loop::narrow();
    let client = holder.client();
    let null = null();
    // More than the socket holds, so that a list without a reader stops in the middle.
    let count = 100;
    for number in 0..count {
        client
            .store(&number.to_string(), &[null.as_fd()])
            .expect("room");
    }
    assert_eq!(client.barrier(LIMIT).expect("done"), []);
    // Questions of dead clients, with numbers that the next client does not use.
    for nonce in 0..3 {
        holder.send(HolderMessage::new(PacketKind::List, nonce), &[]);
    }
    for nonce in 0..500 {
        holder.send(HolderMessage::new(PacketKind::Hello, nonce), &[]);
    }
    drop(client);
    let successor = holder.client();
    let list = successor.list(LIMIT).expect("whole");
    let names: std::collections::BTreeSet<_> = list.iter().map(|(name, _)| name).collect();
    assert_eq!((list.len(), names.len()), (count, count));
    // The fd holder stores descriptors although no client reads its list.
    holder.send(HolderMessage::new(PacketKind::List, 1), &[]);
    successor.store("last", &[null.as_fd()]).expect("room");
    assert_eq!(successor.barrier(LIMIT).expect("done"), []);
    assert_eq!(
        successor.hello(LIMIT).expect("answered").names as usize,
        count + 1
    );
    holder.end();
}

#[test]
fn unknown_messages_are_refused_without_harm() {
    let holder = Loop::start();
    let client = holder.client();
    let null = null();
    client.store("a", &[null.as_fd()]).expect("room");
    let newer = HolderMessage {
        version: VERSION + 1,
        ..HolderMessage::new(PacketKind::Quit, 5)
    };
    holder.send(newer, &[]);
    let mut odd = HolderMessage::new(PacketKind::Quit, 6).bytes();
    odd[1] = 77;
    for bytes in [&odd[..], b"", b"short", &[0; 4000], &[255; 48]] {
        let many = vec![null.as_fd(); 253];
        sys::send_packet(&holder.client, bytes, &many).expect("room");
    }
    // Answers are not valid requests.
    holder.send(HolderMessage::new(PacketKind::End, 7), &[]);
    let mut unknown = 0;
    let barrier = client.ask_barrier().expect("room");
    loop {
        let mut ask = [PollFd::new(client.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ask, PollTimeout::from(20_000_u16)), Ok(1));
        match client.next_event().expect("alive") {
            Some(HolderEvent::Unknown { version }) => {
                assert_eq!(version, VERSION);
                unknown += 1;
            }
            Some(HolderEvent::Done(nonce)) if nonce == barrier => break,
            other => assert_eq!(other, None),
        }
    }
    assert_eq!(unknown, 7);
    let hello = HolderMessage {
        version: 200,
        ..HolderMessage::new(PacketKind::Hello, 8)
    };
    holder.send(hello, &[]);
    assert_eq!(client.hello(LIMIT).expect("answered").names, 1);
    holder.end();
}

#[test]
fn another_version_and_a_silent_fd_holder_are_detected() {
    let (server, client) = sys::packet_pair().expect("pair");
    let other = std::thread::spawn(move || {
        let mut ask = [PollFd::new(server.as_fd(), PollFlags::POLLIN)];
        assert_eq!(poll(&mut ask, PollTimeout::from(20_000_u16)), Ok(1));
        let mut buffer = [0; 64];
        let packet = sys::receive_packet(&server, &mut buffer)
            .expect("received")
            .expect("there");
        let hello = HolderMessage::read(&buffer[..packet.length]).expect("readable");
        assert_eq!(hello.kind, Some(PacketKind::Hello));
        let welcome = HolderMessage {
            version: 9,
            ..HolderMessage::new(PacketKind::Welcome, hello.nonce).named(&[1, 0, 0, 0])
        };
        sys::send_packet(&server, &welcome.bytes(), &[]).expect("room");
        server
    });
    let copy = client.try_clone().expect("room");
    let error = FdHolder::from_fd(copy).expect_err("another version");
    assert!(matches!(error, FdHolderError::Version(9)), "{error}");
    let server = other.join().expect("no panic");
    let error = FdHolder::from_fd(client.try_clone().expect("room")).expect_err("silent");
    assert!(matches!(error, FdHolderError::Late), "{error}");
    drop(server);
    let error = FdHolder::from_fd(client).expect_err("dead");
    assert!(matches!(error, FdHolderError::Io(_)), "{error}");
    let (stream, _other) = std::os::unix::net::UnixStream::pair().expect("pair");
    let error = FdHolder::from_fd(stream.into()).expect_err("a stream");
    assert!(matches!(error, FdHolderError::NotOurs), "{error}");
}

#[test]
fn a_request_without_credentials_is_ignored() {
    let (server, client) = sys::packet_pair().expect("pair");
    // Without credentials, like a packet of another user.
    nix::sys::socket::setsockopt(&server, nix::sys::socket::sockopt::PassCred, &false)
        .expect("set");
    let mut server = Server::new((server, client.try_clone().expect("room")));
    let quit = HolderMessage::new(PacketKind::Quit, 0).bytes();
    for uid in [None, Some(server.uid + 1)] {
        let packet = Packet {
            length: quit.len(),
            descriptors: Vec::new(),
            uid,
            cut: false,
        };
        assert!(!server.handle(&quit, packet));
        assert!(server.answers.is_empty());
    }
}

#[test]
fn a_shut_down_socket_ends_the_fd_holder() {
    for how in [
        nix::sys::socket::Shutdown::Both,
        nix::sys::socket::Shutdown::Write,
    ] {
        let holder = Loop::start();
        holder.client();
        let number = std::os::fd::AsRawFd::as_raw_fd(&holder.client);
        nix::sys::socket::shutdown(number, how).expect("shut");
        assert!(holder.thread.join().expect("no panic").is_err());
    }
}
