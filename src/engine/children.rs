//! The daemon's child processes: their pidfds, their notify channels, and the signals sent to them.

use std::collections::{BTreeMap, HashMap};
use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::channels::Channels;
use crate::core::Input;
use crate::domain::{Errno, ExitStatus, FdName, InstanceId, Signal};
use crate::sys::{self, Interest, NamedFds, Poller};

/// The first token of pidfds and notify channels. Tokens are never reused, so a late event is never taken for another
/// process's.
const TOKEN_FIRST: u64 = 16;

/// A running or unreaped child process.
pub(super) struct Child {
    pub(super) pid: i32,
    /// Shared with the fd store, which keeps it for a successor.
    pub(super) pidfd: Arc<OwnedFd>,
    token: u64,
}

/// What an epoll token of [`Children`] reports.
pub(super) enum ChildEvent {
    /// The process of this instance may have exited.
    Exit(InstanceId),
    /// The process of this instance may have sent notify messages.
    Notify(InstanceId),
}

/// All child processes by instance, so that a signal for an old instance never reaches a newer process.
pub(super) struct Children {
    by_instance: BTreeMap<InstanceId, Child>,
    tokens: HashMap<u64, InstanceId>,
    next_token: u64,
    channels: Channels,
    /// Instances with a descriptor that epoll refused (ENOMEM, ENOSPC). The engine polls them at intervals.
    unpolled: Vec<InstanceId>,
}

impl Children {
    pub(super) fn new() -> Self {
        Self {
            by_instance: BTreeMap::new(),
            tokens: HashMap::new(),
            next_token: TOKEN_FIRST,
            channels: Channels::default(),
            unpolled: Vec::new(),
        }
    }

    /// Returns the notify channels. They exist before their processes.
    pub(super) fn channels(&mut self) -> &mut Channels {
        &mut self.channels
    }

    /// Watches a new or adopted process through its pidfd and its notify channel.
    pub(super) fn watch(
        &mut self,
        instance: InstanceId,
        pid: i32,
        pidfd: Arc<OwnedFd>,
        poller: &Poller,
    ) {
        let token = self.next_token;
        self.next_token += 1;
        let mut is_polled = poller.add(&pidfd, token, Interest::Read).is_ok();
        self.tokens.insert(token, instance);
        self.by_instance
            .insert(instance, Child { pid, pidfd, token });
        is_polled &= self.channels.poll(instance, poller, &mut self.next_token);
        if !is_polled {
            self.unpolled.push(instance);
        }
    }

    /// Returns what an epoll token reports. `None`: the token is of a process or channel that is gone.
    pub(super) fn event(&self, token: u64) -> Option<ChildEvent> {
        let exit = self.tokens.get(&token).copied().map(ChildEvent::Exit);
        exit.or_else(|| self.channels.instance(token).map(ChildEvent::Notify))
    }

    /// Returns the instance of a child process. `None`: the PID is of no process that was watched.
    pub(super) fn instance_of(&self, pid: i32) -> Option<InstanceId> {
        let mut children = self.by_instance.iter();
        let found = children.find(|(_, child)| child.pid == pid);
        found.map(|(instance, _)| *instance)
    }

    /// Returns whether the process of `instance` exists or is not reaped yet.
    pub(super) fn contains(&self, instance: InstanceId) -> bool {
        self.by_instance.contains_key(&instance)
    }

    /// Takes the instances that must be polled at intervals. The caller returns them with [`Children::poll_again`].
    pub(super) fn take_unpolled(&mut self) -> Vec<InstanceId> {
        std::mem::take(&mut self.unpolled)
    }

    pub(super) fn poll_again(&mut self, instance: InstanceId) {
        self.unpolled.push(instance);
    }

    /// Returns whether there are processes that must be polled at intervals.
    pub(super) fn has_unpolled(&self) -> bool {
        !self.unpolled.is_empty()
    }

    /// Reads up to `most` pending notify messages of an instance.
    pub(super) fn read_notifications(
        &mut self,
        instance: InstanceId,
        most: usize,
        poller: &Poller,
    ) -> Vec<Input> {
        let pid = self.by_instance.get(&instance).map(|child| child.pid);
        pid.map_or_else(Vec::new, |pid| {
            self.channels.read(instance, pid, most, poller)
        })
    }

    /// Reaps the process of `instance` if it has exited. Returns its exit status. `None`: it runs.
    pub(super) fn reap(&mut self, instance: InstanceId, poller: &Poller) -> Option<ExitStatus> {
        let child = self.by_instance.get(&instance)?;
        let status = match sys::reap(&child.pidfd) {
            Ok(None) => return None,
            Ok(Some((_, status))) => status,
            // ECHILD: the process is not a child of this daemon, because the daemon that started it was killed.
            Err(_) => match sys::exit_status(&child.pidfd) {
                Ok(Some(status)) => status,
                // The process has exited and its parent has not reaped it yet. From now on wait only for that.
                Ok(None) => {
                    let _ = poller.modify(&child.pidfd, child.token, Interest::Hangup);
                    return None;
                }
                // Before Linux 6.15 the kernel does not report the exit status, and there is no other source.
                Err(_) => ExitStatus::Unknown(0),
            },
        };
        // ENOENT if it could not be added.
        let _ = poller.remove(&child.pidfd);
        self.tokens.remove(&child.token);
        self.by_instance.remove(&instance);
        Some(status)
    }

    /// Sends `signal` to the process of `instance` or to its process group.
    ///
    /// # Errors
    /// ESRCH: the process is reaped or was never known. Its PID may belong to another process, so nothing is sent.
    pub(super) fn send_signal(
        &self,
        instance: InstanceId,
        signal: Signal,
        group: bool,
    ) -> Result<(), Errno> {
        let child = self.by_instance.get(&instance).ok_or(Errno::SRCH)?;
        if group {
            sys::send_group_signal(&child.pidfd, child.pid, signal)
        } else {
            sys::send_signal(&child.pidfd, signal)
        }
        .map_err(Errno::from)
    }

    /// Returns the names of notify channels whose process does not exist yet.
    pub(super) fn attempt_channels(&self) -> Vec<FdName> {
        let instances = self.channels.instances();
        instances
            .filter(|instance| !self.contains(*instance))
            .flat_map(|instance| self.channels.named_fds(instance))
            .map(|(fd_name, _)| fd_name)
            .collect()
    }

    /// Returns the PIDs of all processes, and puts their pidfds and notify channels into `fds` for a successor.
    pub(super) fn hand_over(self, fds: &mut NamedFds) -> Vec<(InstanceId, i32)> {
        let mut pids = Vec::new();
        for (instance, child) in self.by_instance {
            pids.push((instance, child.pid));
            for (fd_name, fd) in self.channels.named_fds(instance) {
                // If it cannot be duplicated, the process continues without it.
                if let Ok(fd) = fd.try_clone_to_owned() {
                    fds.insert(fd_name.name(), fd);
                }
            }
            // The fd store shares the descriptor. If it cannot be duplicated, the successor finds the process in its
            // cgroup.
            if let Ok(pidfd) = child.pidfd.try_clone() {
                fds.insert(FdName::Pidfd(instance).name(), pidfd);
            }
        }
        pids
    }
}
