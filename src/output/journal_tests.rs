//! A fake journald: a socket of the test.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{IoSliceMut, Read as _};

use nix::cmsg_space;
use nix::fcntl::{FcntlArg, fcntl};
use nix::sys::socket::{ControlMessageOwned, UnixAddr as Address, bind, recvmsg};

use super::*;
use crate::output::testing::{TempDir, eventually};

/// One entry as journald would parse it.
pub(in crate::output) type Entry = BTreeMap<String, Vec<u8>>;

/// A fake journald: the receiving end of a journal socket.
pub(in crate::output) struct FakeJournald {
    socket: OwnedFd,
    path: PathBuf,
    room: RefCell<Vec<u8>>,
}

impl FakeJournald {
    pub(in crate::output) fn new(path: &Path) -> Self {
        let socket = socket(
            AddressFamily::Unix,
            SockType::Datagram,
            SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
            None,
        )
        .expect("a socket");
        let address = Address::new(path).expect("a short path");
        bind(socket.as_raw_fd(), &address).expect("bound");
        let path = path.to_owned();
        Self {
            socket,
            path,
            room: vec![0; 4 << 20].into(),
        }
    }

    /// The next entry, if there is one.
    pub(in crate::output) fn read(&self) -> Option<Entry> {
        self.datagram().map(|(entry, _)| entry)
    }

    /// The next entry, and whether it came as a memory file.
    pub(in crate::output) fn datagram(&self) -> Option<(Entry, bool)> {
        let mut room = self.room.borrow_mut();
        let mut space = cmsg_space!([RawFd; 1]);
        let (count, file) = {
            let mut parts = [IoSliceMut::new(&mut room)];
            let fd = self.socket.as_raw_fd();
            let flags = MsgFlags::MSG_CMSG_CLOEXEC;
            let message = recvmsg::<()>(fd, &mut parts, Some(&mut space), flags).ok()?;
            let file = message.cmsgs().expect("whole").find_map(|part| match part {
                ControlMessageOwned::ScmRights(fds) => fds.first().copied(),
                _ => None,
            });
            (message.bytes, file)
        };
        let mut data = room[..count].to_vec();
        let Some(fd) = file else {
            return Some((parsed(&data), false));
        };
        assert!(data.is_empty(), "nothing besides the file");
        // Open it by name, so that the descriptor has an owner.
        let file = std::fs::File::open(format!("/proc/self/fd/{fd}")).expect("opened");
        nix::unistd::close(fd).expect("open");
        let seals = fcntl(&file, FcntlArg::F_GET_SEALS).expect("a memory file");
        assert_eq!(seals & 0b1111, 0b1111, "nobody can change it");
        (&file).read_to_end(&mut data).expect("read");
        Some((parsed(&data), true))
    }

    /// All entries that have arrived.
    pub(in crate::output) fn all(&self) -> Vec<Entry> {
        std::iter::from_fn(|| self.read()).collect()
    }
}

impl Drop for FakeJournald {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.path);
    }
}

fn parsed(mut data: &[u8]) -> Entry {
    let mut entry = Entry::new();
    while !data.is_empty() {
        let end = data
            .iter()
            .position(|&byte| byte == b'\n')
            .expect("a whole line");
        let (line, rest) = (&data[..end], &data[end + 1..]);
        let (name, value) = match line.iter().position(|&byte| byte == b'=') {
            Some(at) => {
                data = rest;
                (&line[..at], &line[at + 1..])
            }
            None => {
                let (length, rest) = rest.split_first_chunk().expect("a length");
                let length = usize::try_from(u64::from_le_bytes(*length)).expect("in memory");
                assert_eq!(rest[length], b'\n');
                data = &rest[length + 1..];
                (line, &rest[..length])
            }
        };
        let name = String::from_utf8(name.to_vec()).expect("a name");
        assert_eq!(entry.insert(name, value.to_vec()), None, "once");
    }
    entry
}

fn message(text: &[u8]) -> Vec<u8> {
    let mut entry = Vec::new();
    field(&mut entry, "MESSAGE", text);
    entry
}

#[test]
fn values_with_newlines_have_their_length_before_them() {
    let mut entry = message(b"a=b\0\xff");
    field(&mut entry, "X", b"1\n2");
    field_of(&mut entry, "N", &7);
    assert_eq!(
        entry,
        b"MESSAGE=a=b\0\xff\nX\n\x03\0\0\0\0\0\0\x001\n2\nN=7\n"
    );
    assert_eq!(parsed(&entry).len(), 3);
}

#[test]
fn a_large_entry_is_sent_as_a_sealed_file() {
    let dir = TempDir::new("journal-large");
    let journald = FakeJournald::new(&dir.path("socket"));
    let mut journal = Journal::at(&dir.path("socket"));
    let text = vec![b'x'; 40 << 20];
    assert_eq!(journal.send(&message(&text)), SendResult::Done);
    assert_eq!(journal.send(&message(b"after")), SendResult::Done);
    let (entry, file) = journald.datagram().expect("sent");
    assert!(file);
    assert!(entry["MESSAGE"] == text);
    assert_eq!(journald.read().expect("sent")["MESSAGE"], b"after");
}

#[test]
fn a_stalled_journald_loses_nothing_and_does_not_block() {
    let dir = TempDir::new("journal-stalled");
    let journald = FakeJournald::new(&dir.path("socket"));
    let mut journal = Journal::at(&dir.path("socket"));
    let mut sent = 0;
    while journal.send(&message(sent.to_string().as_bytes())) == SendResult::Done {
        sent += 1;
        assert!(sent < 1_000_000, "it has a bound");
    }
    assert!(journal.is_full());
    assert_eq!(journal.check(), None, "that is no trouble to speak of");
    let come = journald.all();
    assert_eq!(come.len(), sent);
    assert_eq!(journal.send(&message(b"on")), SendResult::Done);
    assert!(!journal.is_full());
    assert_eq!(journald.read().expect("sent")["MESSAGE"], b"on");
}

#[test]
fn a_missing_journal_is_reported_once() {
    let dir = TempDir::new("journal-none");
    let path = dir.path("socket");
    let mut journal = Journal::at(&path);
    assert_eq!(journal.send(&message(b"lost")), SendResult::Lost);
    assert!(
        matches!(journal.check(), Some(Line::JournalAway { error }) if error.0 == libc::ENOENT)
    );
    assert_eq!(journal.send(&message(b"lost")), SendResult::Lost);
    assert_eq!(journal.check(), None);
    let journald = FakeJournald::new(&path);
    eventually("it is found", || {
        journal.send(&message(b"x")) == SendResult::Done
    });
    assert_eq!(journal.check(), Some(Line::JournalBack {}));
    assert_eq!(journald.all().len(), 1);
}

#[test]
fn entries_wait_for_a_journal_that_restarts() {
    let dir = TempDir::new("journal-back");
    let path = dir.path("socket");
    let journald = FakeJournald::new(&path);
    let mut journal = Journal::at(&path);
    assert_eq!(journal.send(&message(b"1")), SendResult::Done);
    assert_eq!(journald.all().len(), 1);
    drop(journald);
    assert_eq!(journal.send(&message(b"2")), SendResult::Later);
    assert!(!journal.is_full(), "there is nothing to wait for room in");
    let journald = FakeJournald::new(&path);
    eventually("it is found", || {
        journal.send(&message(b"2")) == SendResult::Done
    });
    assert_eq!(journald.read().expect("sent")["MESSAGE"], b"2");
    assert_eq!(journal.check(), None);
    // The wait is limited.
    drop(journald);
    eventually("it is given up", || {
        journal.send(&message(b"3")) == SendResult::Lost
    });
    assert!(matches!(journal.check(), Some(Line::JournalAway { .. })));
    assert_eq!(
        journal.send(&message(b"4")),
        SendResult::Lost,
        "at once now"
    );
}
