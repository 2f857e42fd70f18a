//! What the engine does for each process: it watches the process, stores its descriptors for a successor, reads its notify
//! messages and reaps it.

use std::os::fd::OwnedFd;
use std::sync::Arc;

use super::actor::{Engine, Workers};
use super::channels::AT_ONCE_MAX;
use crate::core::Input;
use crate::domain::InstanceId;
use crate::domain::Line;
use crate::fd_holder::FdStore;

impl Engine {
    /// Watches a new or adopted process through its pidfd and its notify channel, and stores the pidfd for a successor.
    pub(super) fn watch(
        &mut self,
        instance: InstanceId,
        pid: i32,
        pidfd: OwnedFd,
        workers: &Workers,
    ) {
        let pidfd = Arc::new(pidfd);
        self.change_stored(workers, |store| store.store_pidfd(instance, &pidfd));
        self.children.watch(instance, pid, pidfd, &self.poller);
    }

    /// Changes the fd store, if there is one, and logs its failure.
    fn change_stored(&self, workers: &Workers, change: impl FnOnce(&FdStore) -> Option<Line>) {
        if let Some(fd_store) = &self.fd_store
            && let Some(line) = change(fd_store)
        {
            workers.output.log(line);
        }
    }

    /// Stores the notify channel of an instance for a successor.
    pub(super) fn store_channel(&mut self, instance: InstanceId, workers: &Workers) {
        let Some(fd_store) = &self.fd_store else {
            return;
        };
        for (fd_name, fd) in self.children.channels().named_fds(instance) {
            if let Some(line) = fd_store.store(fd_name, &[fd]) {
                workers.output.log(line);
            }
        }
    }

    /// Closes the notify channel of an instance that has exited.
    pub(super) fn close_channel(&mut self, instance: InstanceId, workers: &Workers) {
        let channels = self.children.channels();
        if let Some(fd_store) = &self.fd_store {
            for (fd_name, _) in channels.named_fds(instance) {
                if let Some(line) = fd_store.remove(fd_name) {
                    workers.output.log(line);
                }
            }
        }
        channels.close(instance, &self.poller);
    }

    /// Reads up to `most` notify messages of an instance and passes them to the core.
    pub(super) fn read_channel(&mut self, instance: InstanceId, most: usize, workers: &Workers) {
        for input in self
            .children
            .read_notifications(instance, most, &self.poller)
        {
            self.feed(input, workers);
        }
    }

    /// Reaps the process of an instance if it has exited. Returns whether it is gone.
    pub(super) fn reap(&mut self, instance: InstanceId, workers: &Workers) -> bool {
        // Messages sent before the exit count. Until the process is reaped, its PID cannot be reused, so senders can be
        // verified.
        self.read_channel(instance, AT_ONCE_MAX, workers);
        if !self.children.contains(instance) {
            return true;
        }
        let Some(status) = self.children.reap(instance, &self.poller) else {
            return false;
        };
        self.feed(Input::Exited { instance, status }, workers);
        // Remove the pidfd after the exit status was recorded. A successor with neither could not find out that the
        // process exited.
        self.change_stored(workers, |store| store.remove_pidfd(instance));
        true
    }
}
