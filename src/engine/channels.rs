//! The channels through which living processes speak of themselves: which belongs to which instance, what has come, and
//! whether its sender may speak for that instance. It must not decide what follows from a word.
//!
//! A channel is with the engine from the making of its plan until the instance's output is drained. The core must know a
//! process's number before it hears of it, so a channel is read only once the process is there; what comes before waits in
//! the kernel. A successor of the daemon needs the descriptor and the instance: [`Channels::keep`] takes them in.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use crate::core::{Input, NOTIFY_BYTES_MAX, NotifyMessage};
use crate::domain::{FdName, InstanceId};
use crate::spawn::{NotifyChannel, ReadyPipe};
use crate::sys::{DatagramSender, Interest, NamedFds, NotifySocket, Poller};

/// Messages of one process that are read before others have their turn again.
pub(super) const PER_TURN_MAX: usize = 16;
/// Messages that are read where all that has come matters. More than a socket's queue holds (`net.unix.max_dgram_qlen`,
/// 512 at most where anybody has set it), so that a process that goes on sending cannot hold us.
pub(super) const AT_ONCE_MAX: usize = 1024;
/// Ancestors of a sender that are looked at.
const ANCESTORS_MAX: usize = 32;

/// Channels by instance.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// With the tokens that they are listened to under.
    channels: BTreeMap<InstanceId, (NotifyChannel, Vec<u64>)>,
    tokens: HashMap<u64, InstanceId>,
}

impl Channels {
    /// Takes the channel of an instance in.
    pub(super) fn insert(&mut self, instance: InstanceId, channel: NotifyChannel) {
        self.channels.insert(instance, (channel, Vec::new()));
    }

    /// Instances that have one.
    pub(super) fn instances(&self) -> impl Iterator<Item = InstanceId> {
        self.channels.keys().copied()
    }

    /// The descriptors of a channel by which a successor takes it in.
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

    /// Takes the channel of an instance in that a predecessor has left, if there is one.
    pub(super) fn restore(&mut self, instance: InstanceId, inherited: &mut NamedFds) {
        let mut take = |fd_name: FdName| inherited.remove(&fd_name.name());
        let channel = NotifyChannel {
            // One that is no such socket tells us nothing.
            socket: take(FdName::NotifySocket(instance))
                .and_then(|fd| NotifySocket::adopt(fd).ok()),
            ready: take(FdName::ReadyPipe(instance)).map(ReadyPipe::from),
        };
        if channel.socket.is_some() || channel.ready.is_some() {
            self.insert(instance, channel);
        }
    }

    /// Begins to listen, under tokens from `next` on. Answers whether the kernel watches everything.
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

    /// Whose channel has this token.
    pub(super) fn instance(&self, token: u64) -> Option<InstanceId> {
        self.tokens.get(&token).copied()
    }

    /// The instance has ended.
    pub(super) fn close(&mut self, instance: InstanceId, poller: &Poller) {
        let Some((channel, tokens)) = self.channels.remove(&instance) else {
            return;
        };
        // ENOENT where it could not be added, or was not yet.
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

    /// What has come from the process `pid` of `instance`: `most` messages, if there are so many.
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
            // An error is as good as nothing: there is no other end that could be gone.
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

/// Whether a sender may speak for the process `pid`, which has not been reaped: it is that process, or descends from it.
///
/// Its process group proves nothing: all programs are in the daemon's session, and within a session anybody may join any
/// group (setpgid(2)). Who was orphaned descends from nobody any more.
fn belongs(sender: &DatagramSender, pid: i32) -> bool {
    let mut at = sender.pid;
    for _ in 0..ANCESTORS_MAX {
        if at == pid {
            // The number that led here may have become another process's meanwhile, but not if it is still the sender's.
            return sender.is_there();
        }
        match parent(at) {
            Some(parent) if parent > 1 => at = parent,
            Some(_) | None => return false,
        }
    }
    false
}

/// The parent of a process, as things are.
///
/// # Source
/// proc_pid_stat(5): the fourth field; the second, a name in parentheses, may hold anything.
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
    fn parents_are_found_whatever_a_process_is_called() {
        let own = i32::try_from(std::process::id()).expect("small");
        assert_eq!(parent(own), Some(nix::unistd::getppid().as_raw()));
        assert_eq!(parent(0), None);
        assert_eq!(parent(-1), None);
    }
}
