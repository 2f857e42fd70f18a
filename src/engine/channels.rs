//! The notify channels of running processes: sd_notify sockets and `ready_fd` pipes. It reads messages and checks that
//! their sender belongs to the process.
//!
//! The engine holds a channel from the making of the plan until the output of the instance is drained. A channel is
//! read only after the process was spawned, because the core must know the PID first; earlier messages wait in the
//! kernel. A successor gets the descriptors by name and takes them over with [`Channels::restore`].

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use crate::core::{Input, NOTIFY_BYTES_MAX, NotifyMessage};
use crate::domain::{FdName, InstanceId};
use crate::spawn::{NotifyChannel, ReadyPipe};
use crate::sys::{DatagramSender, Interest, NamedFds, NotifySocket, Poller};

/// Maximum number of messages read from one process per turn.
pub(super) const PER_TURN_MAX: usize = 16;
/// Maximum number of messages read when all pending ones matter. It is larger than the queue of a socket
/// (`net.unix.max_dgram_qlen`, rarely above 512), and it bounds the time that a process which keeps sending can take.
pub(super) const AT_ONCE_MAX: usize = 1024;
/// How many ancestors of a sender are checked.
const ANCESTORS_MAX: usize = 32;

/// The channels by instance.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// Each channel with its epoll tokens.
    channels: BTreeMap<InstanceId, (NotifyChannel, Vec<u64>)>,
    tokens: HashMap<u64, InstanceId>,
}

impl Channels {
    /// Adds the channel of an instance.
    pub(super) fn insert(&mut self, instance: InstanceId, channel: NotifyChannel) {
        self.channels.insert(instance, (channel, Vec::new()));
    }

    /// Returns the instances that have a channel.
    pub(super) fn instances(&self) -> impl Iterator<Item = InstanceId> {
        self.channels.keys().copied()
    }

    /// Returns the descriptors of a channel with their names, for a successor.
    pub(super) fn named_fds(&self, instance: InstanceId) -> Vec<(FdName, BorrowedFd<'_>)> {
        let Some((channel, _)) = self.channels.get(&instance) else {
            return Vec::new();
        };
        let socket = channel.socket.as_ref().map(AsFd::as_fd);
        let ready = channel.ready.as_ref().map(AsFd::as_fd);
        let socket = socket.map(|fd| (FdName::NotifySocket(instance), fd));
        let ready = ready.map(|fd| (FdName::ReadyPipe(instance), fd));
        socket.into_iter().chain(ready).collect()
    }

    /// Takes over the channel of an instance from the previous daemon, if it had one.
    pub(super) fn restore(&mut self, instance: InstanceId, inherited: &mut NamedFds) {
        let mut take = |fd_name: FdName| inherited.remove(&fd_name.name());
        let channel = NotifyChannel {
            // A descriptor that is not such a socket is dropped.
            socket: take(FdName::NotifySocket(instance))
                .and_then(|fd| NotifySocket::adopt(fd).ok()),
            ready: take(FdName::ReadyPipe(instance)).map(ReadyPipe::from),
        };
        if channel.socket.is_some() || channel.ready.is_some() {
            self.insert(instance, channel);
        }
    }

    /// Adds the channel to epoll with tokens starting at `next`. Returns whether the kernel watches all its
    /// descriptors.
    pub(super) fn poll(&mut self, instance: InstanceId, poller: &Poller, next: &mut u64) -> bool {
        let Some((channel, tokens)) = self.channels.get_mut(&instance) else {
            return true;
        };
        let mut token = || {
            let token = *next;
            *next += 1;
            self.tokens.insert(token, instance);
            tokens.push(token);
            token
        };
        let mut all = true;
        if let Some(socket) = &channel.socket {
            all &= poller.add(socket, token(), Interest::Read).is_ok();
        }
        if let Some(ready) = &channel.ready {
            all &= poller.add(ready, token(), Interest::Read).is_ok();
        }
        all
    }

    /// Returns the instance whose channel has this token.
    pub(super) fn instance(&self, token: u64) -> Option<InstanceId> {
        self.tokens.get(&token).copied()
    }

    /// Closes the channel of an instance that has exited.
    pub(super) fn close(&mut self, instance: InstanceId, poller: &Poller) {
        let Some((channel, tokens)) = self.channels.remove(&instance) else {
            return;
        };
        // ENOENT if it was not added.
        if let Some(socket) = &channel.socket {
            let _ = poller.remove(socket);
        }
        if let Some(ready) = &channel.ready {
            let _ = poller.remove(ready);
        }
        for token in tokens {
            self.tokens.remove(&token);
        }
    }

    /// Reads pending messages from the channel of `instance`, whose process is `pid`. Returns at most `most`.
    pub(super) fn read(
        &mut self,
        instance: InstanceId,
        pid: i32,
        most: usize,
        poller: &Poller,
    ) -> Vec<Input> {
        let mut inputs = Vec::new();
        let Some((channel, _)) = self.channels.get_mut(&instance) else {
            return inputs;
        };
        if let Some(ready) = &mut channel.ready {
            match ready.has_newline() {
                Some(true) => inputs.push(Input::Notified(instance, NotifyMessage::ready())),
                Some(false) => {}
                None => {
                    let _ = poller.remove(&*ready);
                    channel.ready = None;
                }
            }
        }
        let Some(socket) = &channel.socket else {
            return inputs;
        };
        let mut buffer = [0; NOTIFY_BYTES_MAX];
        for _ in 0..most {
            // Ignore an error: the socket has no peer that could be gone.
            let Ok(Some(message)) = socket.receive(&mut buffer) else {
                break;
            };
            inputs.push(match message.sender {
                Some(sender) if belongs(&sender, pid) => {
                    let notice = if message.is_whole {
                        NotifyMessage::parse(&buffer[..message.bytes])
                    } else {
                        NotifyMessage::malformed()
                    };
                    Input::Notified(instance, notice)
                }
                sender => Input::ForeignNotify {
                    instance,
                    sender: sender.as_ref().map_or(0, |sender| sender.pid),
                    uid: sender.map_or(u32::MAX, |sender| sender.uid),
                },
            });
        }
        inputs
    }
}

/// Returns whether a sender may speak for the process `pid`, which is not reaped yet: the process itself and its
/// descendants may.
///
/// The process group proves nothing: all programs share the daemon's session, and any process may join any group of its
/// session (setpgid(2)). An orphaned descendant no longer has `pid` as an ancestor, so it is rejected.
fn belongs(sender: &DatagramSender, pid: i32) -> bool {
    let mut at = sender.pid;
    for _ in 0..ANCESTORS_MAX {
        if at == pid {
            // The sender's PID may have been reused meanwhile, so check that it is still the sender's.
            return sender.is_there();
        }
        match parent(at) {
            Some(parent) if parent > 1 => at = parent,
            Some(_) | None => return false,
        }
    }
    false
}

/// Returns the current parent of a process.
///
/// # Source
/// proc_pid_stat(5): the fourth field. The second, a name in parentheses, may contain any characters.
fn parent(pid: i32) -> Option<i32> {
    let stat = fs::read(format!("/proc/{pid}/stat")).ok()?;
    let end = stat.iter().rposition(|&byte| byte == b')')?;
    let rest = std::str::from_utf8(stat.get(end + 1..)?).ok()?;
    rest.split_ascii_whitespace().nth(1)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_parent_pid_is_read_for_any_process_name() {
        let own = i32::try_from(std::process::id()).expect("small");
        assert_eq!(parent(own), Some(nix::unistd::getppid().as_raw()));
        assert_eq!(parent(0), None);
        assert_eq!(parent(-1), None);
    }
}
