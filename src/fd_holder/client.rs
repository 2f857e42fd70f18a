//! The client of the fd holder, in the daemon.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::wire::{
    HolderMessage, NAME, NAME_BYTES_MAX, PACKET_BYTES_MAX, PacketKind, RefusalReason,
    STORE_DESCRIPTORS_MAX, VERSION,
};
use crate::domain::Signal;
use crate::sys::{self, Packet};

/// How long a new fd holder may take to answer.
const START_WAIT: Duration = Duration::from_secs(5);
/// How long a running fd holder may take to answer HELLO.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// Why an fd holder cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FdHolderError {
    /// It speaks another version of the protocol.
    #[error("it uses protocol version {0}, not {VERSION}")]
    Version(u8),
    /// No answer came in time.
    #[error("it does not answer")]
    Late,
    /// It is not an fd holder, or not one of this user.
    #[error("it is not an fd holder of this daemon")]
    NotOurs,
    /// A list lacked some of its descriptors, because of the limit of open files.
    #[error("it holds more file descriptors than this process may open")]
    OpenFiles,
    /// A list lacked some of its names.
    #[error("its list is incomplete")]
    Incomplete,
    /// A kernel error. EPIPE and ECONNRESET: the fd holder has died.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// An fd holder's answer to HELLO.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// The version of its protocol.
    pub version: u8,
    /// Its pid, in its own PID namespace.
    pub pid: i32,
    /// The number of names it holds.
    pub names: u32,
}

/// A report that the fd holder sends without a waiting call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HolderEvent {
    /// Everything stored and removed before this barrier is done.
    Done(u64),
    /// A STORE or REMOVE was refused.
    Refused {
        /// The name.
        name: String,
        /// The reason, if it is known.
        reason: Option<RefusalReason>,
    },
    /// It does not know a request of this client.
    Unknown {
        /// The version of its protocol.
        version: u8,
    },
}

/// A new fd holder.
#[derive(Debug)]
pub struct StartedFdHolder {
    /// Its pid. It is a child of this process.
    pub pid: i32,
    /// Readable when it has exited. The caller must then reap it.
    pub pidfd: OwnedFd,
    /// The client.
    pub client: FdHolder,
}

/// A client of an fd holder. Its descriptor ([`AsFd`]) is readable when [`FdHolder::next_event`] has an event, and
/// hangs up when the fd holder has died. Then nothing is lost that the daemon itself has open; it starts another fd
/// holder and stores everything again.
#[derive(Debug)]
pub struct FdHolder {
    socket: OwnedFd,
    /// The pidfd of the process.
    process: OwnedFd,
    /// The number of the last question.
    nonce: AtomicU64,
}

impl FdHolder {
    /// Starts an fd holder from the running binary and waits until it answers: some milliseconds, five seconds at most.
    /// Works at any time, with or without threads, but the calling thread waits.
    ///
    /// # Errors
    /// As fork(2); [`FdHolderError::Late`]. No process remains.
    pub fn start() -> Result<StartedFdHolder, FdHolderError> {
        Self::start_program(Path::new("/proc/self/exe"))
    }

    /// Starts an fd holder from another binary of this project.
    ///
    /// # Errors
    /// As [`FdHolder::start`].
    pub fn start_program(program: &Path) -> Result<StartedFdHolder, FdHolderError> {
        let (server, client) = sys::packet_pair()?;
        let handed = client.try_clone()?;
        // Both ends are passed as standard streams, which needs no code between fork and exec. The fd holder moves
        // them.
        let child = Command::new(program)
            .arg0(NAME)
            .env_clear()
            .stdin(Stdio::from(server))
            .stdout(Stdio::from(handed))
            .stderr(Stdio::null())
            .spawn()?;
        let pid = i32::try_from(child.id()).map_err(io::Error::other)?;
        let pidfd = sys::open_pidfd(pid)?;
        let client = Self::new(client, pidfd.try_clone()?)?;
        match client.hello(START_WAIT) {
            Ok(hello) if hello.version == VERSION => Ok(StartedFdHolder { pid, pidfd, client }),
            result => {
                // The binary is something else; it may have exited by itself.
                let _ = sys::send_signal(&pidfd, Signal::KILL);
                let _ = wait(&pidfd, PollFlags::POLLIN, Instant::now() + START_WAIT);
                let _ = sys::reap(&pidfd);
                Err(result
                    .map_or_else(|error| error, |hello| FdHolderError::Version(hello.version)))
            }
        }
    }

    /// Makes a client from the client's end of the sockets, and asks the fd holder for its version.
    ///
    /// # Errors
    /// [`FdHolderError::NotOurs`]: it is no such socket, or another user's. [`FdHolderError::Version`]: only HELLO
    /// works, so its descriptors cannot be recovered; it is left alone. [`FdHolderError::Late`], EPIPE: it is dead or
    /// stopped.
    pub fn from_fd(fd: OwnedFd) -> Result<(Self, Hello), FdHolderError> {
        match sys::packet_maker(&fd) {
            Ok(maker) if maker == sys::effective_uid() => {}
            _ => return Err(FdHolderError::NotOurs),
        }
        // A placeholder for the pidfd until it is known which process answers.
        let nobody = fd.try_clone()?;
        let mut client = Self::new(fd, nobody)?;
        let first = client.hello(HELLO_WAIT)?;
        if first.version != VERSION {
            return Err(FdHolderError::Version(first.version));
        }
        client.process = sys::open_pidfd(first.pid)?;
        // Ask again: if the pid still answers, the pidfd belongs to the fd holder.
        let hello = client.hello(HELLO_WAIT)?;
        if hello.pid != first.pid {
            return Err(FdHolderError::NotOurs);
        }
        Ok((client, hello))
    }

    /// The pidfd, readable when the process has exited.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Sends SIGCONT to the process, in case it was stopped.
    pub fn continue_process(&self) {
        let _ = sys::send_signal(&self.process, Signal::CONT);
    }

    /// Kills the process.
    pub fn kill(&self) {
        let _ = sys::send_signal(&self.process, Signal::KILL);
    }

    fn new(socket: OwnedFd, process: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket,
            process,
            // Random, so that it differs from the numbers of a dead client.
            nonce: AtomicU64::new(sys::random_seed()?),
        })
    }

    /// Stores copies of these descriptors under `name`; they replace those it had. Returns at once:
    /// [`FdHolder::next_event`] reports a refusal, and [`FdHolder::ask_barrier`] requests a report when it is done. The
    /// copies are safe when this returns: if the daemon dies now, the fd holder still receives them.
    ///
    /// # Errors
    /// `WouldBlock`: the socket is full, and nothing was sent; try again when the descriptor is writable.
    /// `InvalidInput`: a name or a number of descriptors that an fd holder refuses. EPIPE, ECONNRESET: it has died.
    pub fn store(&self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let fits = (1..=STORE_DESCRIPTORS_MAX).contains(&descriptors.len());
        if !fits || !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let message = HolderMessage::new(PacketKind::Store, 0).named(name.as_bytes());
        sys::send_packet(&self.socket, &message.bytes(), descriptors)
    }

    /// Removes the copies under `name`. Returns at once. A missing name is no error.
    ///
    /// # Errors
    /// As [`FdHolder::store`].
    pub fn remove(&self, name: &str) -> io::Result<()> {
        if !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let message = HolderMessage::new(PacketKind::Remove, 0).named(name.as_bytes());
        sys::send_packet(&self.socket, &message.bytes(), &[])
    }

    /// Requests a report when everything before this is done: [`HolderEvent::Done`] with the number that this returns.
    ///
    /// # Errors
    /// As [`FdHolder::store`].
    pub fn ask_barrier(&self) -> io::Result<u64> {
        let nonce = self.next_nonce();
        sys::send_packet(
            &self.socket,
            &HolderMessage::new(PacketKind::Barrier, nonce).bytes(),
            &[],
        )?;
        Ok(nonce)
    }

    /// Returns the next event, if there is one. Never waits.
    ///
    /// # Errors
    /// EPIPE, ECONNRESET: the fd holder has died.
    pub fn next_event(&self) -> io::Result<Option<HolderEvent>> {
        loop {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let Some((message, _)) = self.receive(&mut buffer)? else {
                return Ok(None);
            };
            if let Some(told) = event_of(&message) {
                return Ok(Some(told));
            }
        }
    }

    /// Waits until everything before this is done. Returns the refusals since the last report.
    ///
    /// # Errors
    /// [`FdHolderError::Late`] after `limit`; a kernel error if the fd holder has died.
    pub fn barrier(&self, limit: Duration) -> Result<Vec<HolderEvent>, FdHolderError> {
        let mut refused = Vec::new();
        let until = Instant::now() + limit;
        let nonce = self.ask(PacketKind::Barrier, until)?;
        loop {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let Some((message, _)) = self.next(&mut buffer, until)? else {
                continue;
            };
            match event_of(&message) {
                Some(HolderEvent::Done(done)) if done == nonce => return Ok(refused),
                Some(HolderEvent::Unknown { version }) if message.nonce == nonce => {
                    return Err(FdHolderError::Version(version));
                }
                Some(other @ HolderEvent::Refused { .. }) => refused.push(other),
                _ => {}
            }
        }
    }

    /// Returns copies of all descriptors by name. The limit of open files must have room for them.
    ///
    /// # Errors
    /// [`FdHolderError::OpenFiles`] and [`FdHolderError::Incomplete`]: something is missing, and nothing is returned;
    /// the caller may try again. [`FdHolderError::Late`] after `limit`; a kernel error if the fd holder has died.
    pub fn list(&self, limit: Duration) -> Result<Vec<(String, Vec<OwnedFd>)>, FdHolderError> {
        let mut items = Vec::new();
        let mut cut = false;
        let until = Instant::now() + limit;
        let nonce = self.ask(PacketKind::List, until)?;
        loop {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let Some((message, packet)) = self.next(&mut buffer, until)? else {
                continue;
            };
            if message.nonce != nonce {
                continue;
            }
            match message.kind {
                Some(PacketKind::Item) => {
                    cut |= packet.cut;
                    items.push((text(message.name), packet.descriptors));
                }
                Some(PacketKind::End) if cut => return Err(FdHolderError::OpenFiles),
                Some(PacketKind::End) if items.len() == message.count as usize => return Ok(items),
                Some(PacketKind::End) => return Err(FdHolderError::Incomplete),
                Some(PacketKind::Unknown) => return Err(FdHolderError::Version(message.version)),
                _ => {}
            }
        }
    }

    /// Sends HELLO, which an fd holder of any version answers.
    ///
    /// # Errors
    /// [`FdHolderError::Late`] after `limit`; a kernel error if the fd holder has died.
    pub fn hello(&self, limit: Duration) -> Result<Hello, FdHolderError> {
        let until = Instant::now() + limit;
        let nonce = self.ask(PacketKind::Hello, until)?;
        loop {
            let mut buffer = [0; PACKET_BYTES_MAX];
            let Some((message, _)) = self.next(&mut buffer, until)? else {
                continue;
            };
            if (message.kind, message.nonce) == (Some(PacketKind::Welcome), nonce) {
                let pid = message.name.first_chunk().copied().map(i32::from_le_bytes);
                return Ok(Hello {
                    version: message.version,
                    pid: pid.ok_or(FdHolderError::NotOurs)?,
                    names: message.count,
                });
            }
        }
    }

    /// Ends the fd holder, and with it all its copies.
    ///
    /// # Errors
    /// As [`FdHolder::store`].
    pub fn quit(&self) -> io::Result<()> {
        sys::send_packet(
            &self.socket,
            &HolderMessage::new(PacketKind::Quit, 0).bytes(),
            &[],
        )
    }

    fn next_nonce(&self) -> u64 {
        self.nonce.fetch_add(1, Ordering::Relaxed).wrapping_add(1)
    }

    /// Sends a question. Waits until there is room.
    fn ask(&self, kind: PacketKind, until: Instant) -> Result<u64, FdHolderError> {
        let nonce = self.next_nonce();
        let bytes = HolderMessage::new(kind, nonce).bytes();
        loop {
            match sys::send_packet(&self.socket, &bytes, &[]) {
                Ok(()) => return Ok(nonce),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait(&self.socket, PollFlags::POLLOUT, until)?;
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Waits for a packet and returns it.
    fn next<'a>(
        &self,
        buffer: &'a mut [u8; PACKET_BYTES_MAX],
        until: Instant,
    ) -> Result<Option<(HolderMessage<'a>, Packet)>, FdHolderError> {
        // Check the deadline first, so that a flood of answers to other questions cannot block this forever.
        wait(&self.socket, PollFlags::POLLIN, until)?;
        Ok(self.receive(buffer)?)
    }

    /// Receives a packet. `None`: there is none, or it is invalid.
    fn receive<'a>(
        &self,
        buffer: &'a mut [u8; PACKET_BYTES_MAX],
    ) -> io::Result<Option<(HolderMessage<'a>, Packet)>> {
        let Some(packet) = sys::receive_packet(&self.socket, buffer)? else {
            return Ok(None);
        };
        if packet.length == 0 {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let message = HolderMessage::read(&buffer[..packet.length]);
        Ok(message.map(|message| (message, packet)))
    }
}

impl AsFd for FdHolder {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

fn event_of(message: &HolderMessage<'_>) -> Option<HolderEvent> {
    match message.kind? {
        PacketKind::Done => Some(HolderEvent::Done(message.nonce)),
        PacketKind::Refused => Some(HolderEvent::Refused {
            name: text(message.name),
            reason: RefusalReason::from_code(message.reason),
        }),
        PacketKind::Unknown => Some(HolderEvent::Unknown {
            version: message.version,
        }),
        // Answers to questions that no call waits for any more. Their copies are closed here.
        _ => None,
    }
}

fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Waits until `fd` is ready.
fn wait(fd: &impl AsFd, events: PollFlags, until: Instant) -> Result<(), FdHolderError> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(FdHolderError::Late);
        }
        let left = PollTimeout::try_from(left.max(Duration::from_millis(1)));
        match poll(
            &mut [PollFd::new(fd.as_fd(), events)],
            left.unwrap_or(PollTimeout::MAX),
        ) {
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(error) => return Err(io::Error::from(error).into()),
        }
    }
}
