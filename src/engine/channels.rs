//! The channels through which living processes speak of themselves: which belongs to which life, what has come, and
//! whether its sender may speak for that life. It must not decide what follows from a word.
//!
//! A channel is with the engine from the making of its plan until the life's output is drained. The core must know a
//! process's number before it hears of it, so a channel is read only once the process is there; what comes before waits in
//! the kernel. A successor of the daemon needs the descriptor and the life: [`Channels::keep`] takes them in.

use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::os::fd::{AsFd, BorrowedFd};

use crate::core::{Input, NOTICE_BYTES_MAX, Notice};
use crate::domain::{Heirloom, Life};
use crate::spawn::{Channel, ReadyPipe};
use crate::sys::{Descriptors, Interest, NotifySocket, Poller, Sender};

/// Messages of one process that are read before others have their turn again.
pub(super) const PER_TURN_MAX: usize = 16;
/// Messages that are read where all that has come matters. More than a socket's queue holds (`net.unix.max_dgram_qlen`,
/// 512 at most where anybody has set it), so that a process that goes on sending cannot hold us.
pub(super) const AT_ONCE_MAX: usize = 1024;
/// Ancestors of a sender that are looked at.
const ANCESTORS_MAX: usize = 32;

/// Channels by life.
#[derive(Debug, Default)]
pub(super) struct Channels {
    /// With the tokens that they are listened to under.
    channels: BTreeMap<Life, (Channel, Vec<u64>)>,
    tokens: HashMap<u64, Life>,
}

impl Channels {
    /// Takes the channel of a life in.
    pub(super) fn keep(&mut self, life: Life, channel: Channel) {
        self.channels.insert(life, (channel, Vec::new()));
    }

    /// Lives that have one.
    pub(super) fn lives(&self) -> impl Iterator<Item = Life> {
        self.channels.keys().copied()
    }

    /// The descriptors of a channel by which a successor takes it in.
    pub(super) fn heirlooms(&self, life: Life) -> Vec<(Heirloom, BorrowedFd<'_>)> {
        let Some((channel, _)) = self.channels.get(&life) else {
            return Vec::new();
        };
        let socket = channel.socket.as_ref().map(AsFd::as_fd);
        let ready = channel.ready.as_ref().map(AsFd::as_fd);
        let socket = socket.map(|fd| (Heirloom::NotifySocket(life), fd));
        let ready = ready.map(|fd| (Heirloom::ReadyPipe(life), fd));
        socket.into_iter().chain(ready).collect()
    }

    /// Takes the channel of a life in that a predecessor has left, if there is one.
    pub(super) fn inherit(&mut self, life: Life, inherited: &mut Descriptors) {
        let mut take = |heirloom: Heirloom| inherited.remove(&heirloom.name());
        let channel = Channel {
            // One that is no such socket tells us nothing.
            socket: take(Heirloom::NotifySocket(life)).and_then(|fd| NotifySocket::adopt(fd).ok()),
            ready: take(Heirloom::ReadyPipe(life)).map(ReadyPipe::from),
        };
        if channel.socket.is_some() || channel.ready.is_some() {
            self.keep(life, channel);
        }
    }

    /// Begins to listen, under tokens from `next` on. Answers whether the kernel watches everything.
    pub(super) fn listen(&mut self, life: Life, poller: &Poller, next: &mut u64) -> bool {
        let Some((channel, tokens)) = self.channels.get_mut(&life) else {
            return true;
        };
        let mut token = || {
            let token = *next;
            *next += 1;
            self.tokens.insert(token, life);
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
    pub(super) fn life(&self, token: u64) -> Option<Life> {
        self.tokens.get(&token).copied()
    }

    /// The life is over.
    pub(super) fn close(&mut self, life: Life, poller: &Poller) {
        let Some((channel, tokens)) = self.channels.remove(&life) else {
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

    /// What has come from the process `pid` of `life`: `most` messages, if there are so many.
    pub(super) fn read(
        &mut self,
        life: Life,
        pid: i32,
        most: usize,
        poller: &Poller,
    ) -> Vec<Input> {
        let mut inputs = Vec::new();
        let Some((channel, _)) = self.channels.get_mut(&life) else {
            return inputs;
        };
        if let Some(ready) = &mut channel.ready {
            match ready.has_newline() {
                Some(true) => inputs.push(Input::Notified(life, Notice::ready())),
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
        let mut buffer = [0; NOTICE_BYTES_MAX];
        for _ in 0..most {
            // An error is as good as nothing: there is no other end that could be gone.
            let Ok(Some(message)) = socket.receive(&mut buffer) else {
                break;
            };
            inputs.push(match message.sender {
                Some(sender) if belongs(&sender, pid) => {
                    let notice = if message.is_whole {
                        Notice::parse(&buffer[..message.bytes])
                    } else {
                        Notice::malformed()
                    };
                    Input::Notified(life, notice)
                }
                sender => Input::Impersonated {
                    life,
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
fn belongs(sender: &Sender, pid: i32) -> bool {
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
