//! The daemon's side: what is put, asked and told.

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

/// How long an fd holder that was just started may take to answer.
const START_WAIT: Duration = Duration::from_secs(5);
/// The same for one that runs, and is asked who it is.
const HELLO_WAIT: Duration = Duration::from_secs(5);

/// Why an fd holder is of no use.
#[derive(Debug, thiserror::Error)]
pub enum FdHolderError {
    /// It speaks another version of the protocol.
    #[error("it uses protocol version {0}, not {VERSION}")]
    Version(u8),
    /// No answer came in time.
    #[error("it does not answer")]
    Late,
    /// What was found is no fd holder, or not one of our user.
    #[error("it is not an fd holder of this daemon")]
    NotOurs,
    /// A list came without some of its descriptors: we may not open so many files.
    #[error("it holds more file descriptors than this process may open")]
    OpenFiles,
    /// A list came without some of its names.
    #[error("its list is incomplete")]
    Incomplete,
    /// The kernel's word; EPIPE and ECONNRESET: it has died.
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// What an fd holder says of itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hello {
    /// Of the protocol.
    pub version: u8,
    /// Its own, as it sees it.
    pub pid: i32,
    /// How many names it keeps.
    pub names: u32,
}

/// What an fd holder tells without being waited for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum HolderEvent {
    /// All that was put and dropped before this barrier is done.
    Done(u64),
    /// This was not kept, or not dropped.
    Refused {
        /// Under which name.
        name: String,
        /// Why.
        reason: Option<RefusalReason>,
    },
    /// It does not know a request of ours.
    Unknown {
        /// The version it speaks.
        version: u8,
    },
}

/// An fd holder that was started.
#[derive(Debug)]
pub struct StartedFdHolder {
    /// It is a child of ours, until we die.
    pub pid: i32,
    /// Readable when it has ended; whoever sees that reaps it.
    pub pidfd: OwnedFd,
    /// To talk to it.
    pub client: FdHolder,
}

/// Talks to an fd holder. Its descriptor ([`AsFd`]) is readable when [`FdHolder::next_event`] has something, and hangs up when the
/// fd holder has died: nothing is lost then that the daemon has open itself; it starts another and puts everything again.
#[derive(Debug)]
pub struct FdHolder {
    socket: OwnedFd,
    /// The process.
    process: OwnedFd,
    /// Of the last question.
    nonce: AtomicU64,
}

impl FdHolder {
    /// Starts an fd holder from the binary that we are, and waits until it answers: some milliseconds, at most
    /// five seconds. For any time, with threads or without, but not for a thread that must not wait.
    ///
    /// # Errors
    /// As for making a process; [`FdHolderError::Late`]. No process remains.
    pub fn start() -> Result<StartedFdHolder, FdHolderError> {
        Self::start_program(Path::new("/proc/self/exe"))
    }

    /// The same from another binary of ours.
    ///
    /// # Errors
    /// As [`FdHolder::start`].
    pub fn start_program(program: &Path) -> Result<StartedFdHolder, FdHolderError> {
        let (server, client) = sys::packet_pair()?;
        let handed = client.try_clone()?;
        // Both ends travel as standard streams, which need no step of ours between fork and exec. The fd holder moves them.
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
                // A binary that is something else; it may have ended by itself.
                let _ = sys::send_signal(&pidfd, Signal::KILL);
                let _ = wait(&pidfd, PollFlags::POLLIN, Instant::now() + START_WAIT);
                let _ = sys::reap(&pidfd);
                Err(result
                    .map_or_else(|error| error, |hello| FdHolderError::Version(hello.version)))
            }
        }
    }

    /// Talks to the fd holder whose client's end this is, after asking who it is.
    ///
    /// # Errors
    /// [`FdHolderError::NotOurs`]: it is no such socket, or another user's. [`FdHolderError::Version`]: one can ask it
    /// nothing but who it is, so that its descriptors are lost to us; it is left alone. [`FdHolderError::Late`], EPIPE: it is
    /// dead, or stands still.
    pub fn from_fd(fd: OwnedFd) -> Result<(Self, Hello), FdHolderError> {
        match sys::packet_maker(&fd) {
            Ok(maker) if maker == sys::effective_uid() => {}
            _ => return Err(FdHolderError::NotOurs),
        }
        // Until it is known who answers, this stands for nobody.
        let nobody = fd.try_clone()?;
        let mut client = Self::new(fd, nobody)?;
        let first = client.hello(HELLO_WAIT)?;
        if first.version != VERSION {
            return Err(FdHolderError::Version(first.version));
        }
        client.process = sys::open_pidfd(first.pid)?;
        // The number was still its own after the descriptor was opened.
        let hello = client.hello(HELLO_WAIT)?;
        if hello.pid != first.pid {
            return Err(FdHolderError::NotOurs);
        }
        Ok((client, hello))
    }

    /// Readable once the process has ended.
    #[must_use]
    pub fn process(&self) -> BorrowedFd<'_> {
        self.process.as_fd()
    }

    /// Lets the process go on, if somebody has stopped it.
    pub fn continue_process(&self) {
        let _ = sys::send_signal(&self.process, Signal::CONT);
    }

    /// Kills the process, which does not do what it is there for.
    pub fn kill(&self) {
        let _ = sys::send_signal(&self.process, Signal::KILL);
    }

    fn new(socket: OwnedFd, process: OwnedFd) -> io::Result<Self> {
        Ok(Self {
            socket,
            process,
            // Not one that a dead predecessor has asked with.
            nonce: AtomicU64::new(sys::random_seed()?),
        })
    }

    /// Keeps copies of these descriptors under `name`, in place of those it had. Returns at once: what is refused comes by
    /// [`FdHolder::next_event`], and [`FdHolder::ask_barrier`] tells when it is done. The copies are safe as soon as this returns: if
    /// we die now, the fd holder still gets them.
    ///
    /// # Errors
    /// `WouldBlock`: more is on its way than there is room for, and this is not; try again when the descriptor is writable.
    /// `InvalidInput`: a name or number of descriptors that no fd holder takes. EPIPE, ECONNRESET: it has died.
    pub fn store(&self, name: &str, descriptors: &[BorrowedFd<'_>]) -> io::Result<()> {
        let fits = (1..=STORE_DESCRIPTORS_MAX).contains(&descriptors.len());
        if !fits || !(1..=NAME_BYTES_MAX).contains(&name.len()) {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        let message = HolderMessage::new(PacketKind::Store, 0).named(name.as_bytes());
        sys::send_packet(&self.socket, &message.bytes(), descriptors)
    }

    /// Closes the copies under `name`. Returns at once; that there are none is no error.
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

    /// Asks to be told when everything before this is done; [`Told::Done`] will have the number that this returns.
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

    /// The next thing that the fd holder tells, if there is one. Never waits.
    ///
    /// # Errors
    /// EPIPE, ECONNRESET: it has died.
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

    /// Waits until everything before this is done; returns what was refused since it was last told.
    ///
    /// # Errors
    /// [`FdHolderError::Late`] after `limit`; the kernel's if it has died.
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

    /// Copies of everything that is kept, by name. Descriptors of ours are as many as the list has, so the limit of open
    /// files must have room for it.
    ///
    /// # Errors
    /// [`FdHolderError::OpenFiles`] and [`FdHolderError::Incomplete`]: something is missing, and nothing is returned; one may
    /// ask again. [`FdHolderError::Late`] after `limit`; the kernel's if it has died.
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

    /// Asks the fd holder who it is; an fd holder of any version answers.
    ///
    /// # Errors
    /// [`FdHolderError::Late`] after `limit`; the kernel's if it has died.
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

    /// Ends the fd holder, and with it every copy it keeps.
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

    /// Sends a question, waiting for room.
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

    /// Waits for something to come, and takes it.
    fn next<'a>(
        &self,
        buffer: &'a mut [u8; PACKET_BYTES_MAX],
        until: Instant,
    ) -> Result<Option<(HolderMessage<'a>, Packet)>, FdHolderError> {
        // Asked first, so that a flood of answers to others' questions cannot hold us for ever.
        wait(&self.socket, PollFlags::POLLIN, until)?;
        Ok(self.receive(buffer)?)
    }

    /// Takes what has come; none: nothing, or nothing that can be read.
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
        // Answers to questions that nobody waits for any more, with copies that are closed here.
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
