//! Sends entries to journald in its native protocol, without blocking. No other module knows that protocol.
//!
//! An entry is one datagram, or a sealed memory file if it is too large for a datagram. Nothing is queued here: the
//! caller keeps the entries that could not be sent yet.

use std::fmt::Write as _;
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd, RawFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno as Code;
use nix::sys::socket::{
    AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, UnixAddr, connect, send, sendmsg,
    setsockopt, socket, sockopt,
};
use nix::sys::stat::{SFlag, fstat};

use crate::domain::Line;
use crate::sys::safe_open::errno;
use crate::sys::sealed_memory;

/// The socket of journald.
const SOCKET: &str = "/run/systemd/journal/socket";
/// Size of the socket's send buffer in bytes, the same that systemd's own senders request.
const SEND_BUFFER_BYTES: usize = 8 << 20;
/// How long journald may be away before entries count as lost. It is away briefly when it restarts. While it runs but
/// does not read, there is no limit, as for a disk.
const AWAY_WAIT: Duration = Duration::from_millis(if cfg!(test) { 1000 } else { 10_000 });
/// Interval of connection attempts while journald is away.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// The result of sending an entry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendResult {
    /// journald has the entry, or will read it from the socket.
    Done,
    /// Send it again later: see [`Journal::is_full`].
    Later,
    /// journald is not available: count the entry as lost.
    Lost,
}

/// The connection to journald.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    socket: Option<OwnedFd>,
    /// The socket has no room: wait until it is writable.
    full: bool,
    /// The present socket is in the epoll set, to wait for room.
    pub(super) polled: bool,
    /// When a connection first failed, and why. `None`: journald is available, or no connection was tried.
    away: Option<(Instant, Code)>,
    /// journald was available before, so it may return.
    known: bool,
    look_at: Option<Instant>,
    told: bool,
}

impl Journal {
    pub(super) fn new() -> Self {
        Self::at(Path::new(SOCKET))
    }

    pub(super) fn at(path: &Path) -> Self {
        Self {
            path: path.to_owned(),
            socket: None,
            full: false,
            polled: false,
            away: None,
            known: false,
            look_at: None,
            told: false,
        }
    }

    /// The descriptor, to wait for room.
    pub(super) fn fd(&self) -> Option<BorrowedFd<'_>> {
        self.socket.as_ref().map(AsFd::as_fd)
    }

    /// Whether an entry that got [`SendResult::Later`] waits for room in the socket. Otherwise it waits for time to
    /// pass.
    pub(super) fn is_full(&self) -> bool {
        self.full && self.socket.is_some()
    }

    /// Sends one entry.
    pub(super) fn send(&mut self, entry: &[u8]) -> SendResult {
        self.full = false;
        if self.socket.is_none()
            && let Err(sent) = self.find()
        {
            return sent;
        }
        match self.send_entry(entry) {
            Err(Code::ECONNREFUSED | Code::ECONNRESET | Code::ENOTCONN | Code::EPIPE) => {
                // journald may have restarted: try once more with a new socket.
                self.disconnect();
                if let Err(sent) = self.find() {
                    return sent;
                }
                let again = self.send_entry(entry);
                self.judge(again)
            }
            first => self.judge(first),
        }
    }

    fn judge(&mut self, result: Result<(), Code>) -> SendResult {
        match result {
            Ok(()) => {
                self.away = None;
                SendResult::Done
            }
            Err(Code::EAGAIN) => {
                self.away = None;
                self.full = true;
                SendResult::Later
            }
            // A shortage of memory or of descriptors in flight. It ends when journald reads.
            Err(
                Code::ENOBUFS | Code::ENOMEM | Code::ETOOMANYREFS | Code::EMFILE | Code::ENFILE,
            ) => SendResult::Later,
            Err(error) => {
                self.disconnect();
                self.miss(error)
            }
        }
    }

    /// Connects, so that [`Journal::check`] can tell whether journald is available.
    pub(super) fn reconnect(&mut self) {
        if self.socket.is_none() {
            // `away` has the result.
            let _ = self.find();
        }
    }

    /// Connects, at most once per [`LOOK_AGAIN`].
    fn find(&mut self) -> Result<(), SendResult> {
        let now = Instant::now();
        if let (Some((_, error)), Some(at)) = (self.away, self.look_at)
            && now < at
        {
            return Err(self.miss(error));
        }
        match connected(&self.path) {
            Ok(fd) => {
                self.socket = Some(fd);
                self.known = true;
                self.look_at = None;
                Ok(())
            }
            Err(error) => {
                self.look_at = Some(now + LOOK_AGAIN);
                Err(self.miss(error))
            }
        }
    }

    fn miss(&mut self, error: Code) -> SendResult {
        let now = Instant::now();
        let (since, _) = *self.away.get_or_insert((now, error));
        // If journald was never available, do not wait for it.
        if self.known && now.duration_since(since) < AWAY_WAIT {
            SendResult::Later
        } else {
            self.known = false;
            SendResult::Lost
        }
    }

    fn disconnect(&mut self) {
        // The close removes it from the epoll set, because there is no duplicate.
        self.socket = None;
        self.polled = false;
    }

    /// Returns a log line if journald's availability changed since the last call.
    pub(super) fn check(&mut self) -> Option<Line> {
        match self.away {
            Some((_, error)) if !self.known && !self.told => {
                self.told = true;
                Some(Line::JournalAway {
                    error: errno(error),
                })
            }
            None if self.told => {
                self.told = false;
                Some(Line::JournalBack {})
            }
            Some(_) | None => None,
        }
    }

    fn send_entry(&self, entry: &[u8]) -> Result<(), Code> {
        let fd = self.socket.as_ref().ok_or(Code::ENOTCONN)?.as_raw_fd();
        match again(|| send(fd, entry, FLAGS).map(drop)) {
            Err(Code::EMSGSIZE) => put_file(fd, entry),
            other => other,
        }
    }
}

/// Whether standard output is the journal according to systemd: JOURNAL_STREAM has the device and inode of standard
/// output, or of standard error if both are sockets to the journal.
///
/// # Source
/// systemd.exec(5), `$JOURNAL_STREAM`.
pub(super) fn is_stdout() -> bool {
    let names = |fd: BorrowedFd<'_>, stream: &str| {
        fstat(fd).is_ok_and(|stat| format!("{}:{}", stat.st_dev, stat.st_ino) == stream)
    };
    let is_socket = |fd: BorrowedFd<'_>| {
        fstat(fd).is_ok_and(|stat| crate::sys::safe_open::kind(&stat) == SFlag::S_IFSOCK)
    };
    std::env::var("JOURNAL_STREAM").is_ok_and(|stream| {
        let (stdout, stderr) = (std::io::stdout(), std::io::stderr());
        names(stdout.as_fd(), &stream)
            || (names(stderr.as_fd(), &stream) && is_socket(stdout.as_fd()))
    })
}

const FLAGS: MsgFlags = MsgFlags::MSG_DONTWAIT.union(MsgFlags::MSG_NOSIGNAL);

fn again(mut call: impl FnMut() -> Result<(), Code>) -> Result<(), Code> {
    loop {
        match call() {
            Err(Code::EINTR) => {}
            other => return other,
        }
    }
}

/// Sends an entry that is too large for a datagram, as a sealed memory file.
///
/// # Source
/// systemd, “Native Journal Protocol”: an empty datagram with one sealed memfd.
fn put_file(fd: RawFd, entry: &[u8]) -> Result<(), Code> {
    let memory = sealed_memory("journal-entry", entry)
        .map_err(|error| Code::from_raw(error.raw_os_error().unwrap_or(libc::EIO)))?;
    let fds = [memory.as_raw_fd()];
    let rights = [ControlMessage::ScmRights(&fds)];
    let nothing = [IoSlice::new(&[])];
    again(|| sendmsg::<()>(fd, &nothing, &rights, FLAGS, None).map(drop))
}

fn connected(path: &Path) -> Result<OwnedFd, Code> {
    let fd = socket(
        AddressFamily::Unix,
        SockType::Datagram,
        SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK,
        None,
    )?;
    // SNDBUFFORCE needs a privilege; SNDBUF gets at most the system's limit. If both fail, the buffer stays small.
    if setsockopt(&fd, sockopt::SndBufForce, &SEND_BUFFER_BYTES).is_err() {
        let _ = setsockopt(&fd, sockopt::SndBuf, &SEND_BUFFER_BYTES);
    }
    connect(fd.as_raw_fd(), &UnixAddr::new(path)?)?;
    Ok(fd)
}

/// Appends one field. A value with a newline gets a length prefix, so a value may hold any bytes.
///
/// # Source
/// systemd, “Native Journal Protocol”.
pub(super) fn field(entry: &mut Vec<u8>, name: &str, value: &[u8]) {
    entry.extend_from_slice(name.as_bytes());
    if value.contains(&b'\n') {
        entry.push(b'\n');
        entry.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        entry.push(b'=');
    }
    entry.extend_from_slice(value);
    entry.push(b'\n');
}

/// Appends one field with a printed value.
pub(super) fn field_of(entry: &mut Vec<u8>, name: &str, value: &dyn std::fmt::Display) {
    let mut text = String::new();
    // Writing to a String cannot fail.
    let _ = write!(text, "{value}");
    field(entry, name, text.as_bytes());
}

#[cfg(test)]
#[path = "journal_tests.rs"]
pub(super) mod tests;
