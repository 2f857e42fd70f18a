//! The fd holder's loop: reads requests and sends answers, without blocking on either.
//!
//! A client may die in the middle of a list. The fd holder itself holds the client's end, so it gets no hangup, and
//! answers would fill the socket forever. So it never queues a list: it keeps only a few short answers and the position
//! in the list. Requests are read nevertheless, and a new list replaces the old one.

use std::collections::VecDeque;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::process::ExitCode;
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::fd_table::FdTable;
use super::process_setup;
use super::wire::{HolderMessage, NAME, PACKET_BYTES_MAX, PacketKind, RefusalReason, VERSION};
use crate::sys::{self, Packet};

/// Maximum number of requests that are read before answers are sent.
const REQUESTS_PER_TURN: usize = 256;
/// How long to collect STORE and REMOVE requests before handling them. They are safe in the socket; and the daemon,
/// usually in the middle of a start, wakes this process once for several.
const GATHER: Duration = Duration::from_millis(1);
/// Maximum number of short answers that wait for room. Beyond that the oldest are dropped: a client that asks so often
/// without reading the answers is dead.
const ANSWERS_MAX: usize = 64;

/// Runs the fd holder until the daemon sends a quit request.
#[must_use]
pub fn run() -> ExitCode {
    let ends = match process_setup::set_up_process() {
        Ok(ends) => ends,
        Err(error) => {
            eprintln!("{NAME}: cannot run: {error} (only supervisord starts this program)");
            return ExitCode::FAILURE;
        }
    };
    match Server::new(ends).work() {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// The position in a list.
#[derive(Debug)]
struct Listing {
    nonce: u64,
    /// The last name that was sent.
    after: Option<Box<[u8]>>,
    sent: usize,
}

/// The state of an fd holder.
struct Server {
    socket: OwnedFd,
    /// Held only to keep the pair alive: see [`super`].
    _client: OwnedFd,
    uid: u32,
    kept: FdTable,
    answers: VecDeque<Vec<u8>>,
    listing: Option<Listing>,
}

impl Server {
    fn new((socket, client): (OwnedFd, OwnedFd)) -> Self {
        Self {
            socket,
            _client: client,
            uid: sys::effective_uid(),
            kept: FdTable::default(),
            answers: VecDeque::new(),
            listing: None,
        }
    }

    /// Runs until QUIT.
    ///
    /// # Errors
    /// The pair of sockets was shut down.
    fn work(&mut self) -> io::Result<()> {
        loop {
            let mut events = PollFlags::POLLIN;
            if self.listing.is_some() || !self.answers.is_empty() {
                events |= PollFlags::POLLOUT;
            }
            let mut ask = [PollFd::new(self.socket.as_fd(), events)];
            match poll(&mut ask, PollTimeout::NONE) {
                Ok(_) => {}
                Err(nix::errno::Errno::EINTR) => continue,
                Err(error) => return Err(error.into()),
            }
            let found = ask[0].revents().unwrap_or(PollFlags::empty());
            if found.intersects(PollFlags::POLLHUP | PollFlags::POLLERR | PollFlags::POLLNVAL) {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            if self.may_gather()? {
                std::thread::sleep(GATHER);
            }
            for _ in 0..REQUESTS_PER_TURN {
                // One byte more, to detect a packet that is too long.
                let mut buffer = [0; PACKET_BYTES_MAX + 1];
                let Some(packet) = sys::receive_packet(&self.socket, &mut buffer)? else {
                    break;
                };
                // An empty packet has a sender; end-of-file has none.
                if packet.length == 0 && packet.uid.is_none() {
                    return Err(io::ErrorKind::BrokenPipe.into());
                }
                let bytes = &buffer[..packet.length];
                if self.handle(bytes, packet) {
                    return Ok(());
                }
            }
            self.send()?;
        }
    }

    /// Whether no request needs an answer: neither earlier ones nor those that have arrived.
    fn may_gather(&self) -> io::Result<bool> {
        if self.listing.is_some() || !self.answers.is_empty() {
            return Ok(false);
        }
        let mut buffer = [0; PACKET_BYTES_MAX];
        let length = sys::peek_packet(&self.socket, &mut buffer)?;
        let first = length.and_then(|length| HolderMessage::read(&buffer[..length]));
        Ok(first.is_some_and(|first| {
            matches!(first.kind, Some(PacketKind::Store | PacketKind::Remove))
        }))
    }

    /// Handles a request. Returns true for QUIT.
    fn handle(&mut self, bytes: &[u8], packet: Packet) -> bool {
        // Normally no other user can have an end of the pair. If one does, it gets no answer.
        if packet.uid != Some(self.uid) {
            return false;
        }
        let Some(request) = HolderMessage::read(bytes) else {
            self.answer(HolderMessage::new(PacketKind::Unknown, 0));
            return false;
        };
        let nonce = request.nonce;
        if request.version != VERSION && request.kind != Some(PacketKind::Hello) {
            self.answer(HolderMessage::new(PacketKind::Unknown, nonce));
            return false;
        }
        match request.kind {
            Some(PacketKind::Hello) => {
                let pid = std::process::id().to_le_bytes();
                let welcome = HolderMessage::new(PacketKind::Welcome, nonce).named(&pid);
                self.answer(welcome.counted(self.kept.count()));
            }
            Some(PacketKind::Store) => {
                let result = if packet.cut {
                    Err(RefusalReason::OpenFiles)
                } else {
                    self.kept.store(request.name, packet.descriptors)
                };
                self.refuse(request, result);
            }
            Some(PacketKind::Remove) => {
                let result = self.kept.remove(request.name);
                self.refuse(request, result);
            }
            Some(PacketKind::List) => {
                self.listing = Some(Listing {
                    nonce,
                    after: None,
                    sent: 0,
                });
            }
            Some(PacketKind::Barrier) => self.answer(HolderMessage::new(PacketKind::Done, nonce)),
            Some(PacketKind::Quit) => return true,
            _ => self.answer(HolderMessage::new(PacketKind::Unknown, nonce)),
        }
        false
    }

    fn refuse(&mut self, request: HolderMessage<'_>, result: Result<(), RefusalReason>) {
        if let Err(reason) = result {
            self.answer(HolderMessage {
                reason: reason as u8,
                ..HolderMessage::new(PacketKind::Refused, request.nonce).named(request.name)
            });
        }
    }

    fn answer(&mut self, message: HolderMessage<'_>) {
        if self.answers.len() >= ANSWERS_MAX {
            self.answers.pop_front();
        }
        self.answers.push_back(message.bytes());
    }

    /// Sends as much as fits.
    fn send(&mut self) -> io::Result<()> {
        while let Some(answer) = self.answers.front() {
            match sys::send_packet(&self.socket, answer, &[]) {
                Ok(()) => drop(self.answers.pop_front()),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) => return Err(error),
            }
        }
        while let Some(listing) = &mut self.listing {
            let Some((name, descriptors)) = self.kept.after(listing.after.as_deref()) else {
                let end = HolderMessage::new(PacketKind::End, listing.nonce).counted(listing.sent);
                match sys::send_packet(&self.socket, &end.bytes(), &[]) {
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                    result => result?,
                }
                self.listing = None;
                return Ok(());
            };
            let item = HolderMessage::new(PacketKind::Item, listing.nonce).named(name);
            let borrowed: Vec<_> = descriptors.iter().map(AsFd::as_fd).collect();
            match sys::send_packet(&self.socket, &item.bytes(), &borrowed) {
                Ok(()) => listing.sent += 1,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if is_gone(&error) => return Err(error),
                // For example ETOOMANYREFS, which limits users other than root. The count at the end shows that one
                // item is missing.
                Err(_) => {}
            }
            listing.after = Some(name.into());
        }
        Ok(())
    }
}

fn is_gone(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset
    )
}

#[cfg(test)]
#[path = "serve_tests.rs"]
mod tests;
