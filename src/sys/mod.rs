//! The only unsafe code: clone and exec, pidfds, readiness, limits, credentials. Small, safe outside.

mod accounts;
mod capabilities;
mod cgroup;
mod child;
mod clock;
mod clone3;
mod credentials;
mod daemonize;
mod ends;
#[cfg(test)]
mod forked;
mod helper;
mod kernel;
mod limits;
mod memory;
mod passed;
mod pidfd;
mod pipe;
pub mod place;
mod plan;
mod poller;
mod signals;
mod socket;
mod spawn;

pub use accounts::{Account, account, own_groups};
pub use cgroup::{Cgroup, Counters, Population};
pub use clock::now;
pub use credentials::{DropError, Peer, Standing, become_user, effective_uid, lookup, peer};
pub use daemonize::{detach_stdio, ensure_stdio, into_background, new_session, set_umask};
pub use ends::ChildEnds;
pub use helper::{is_helper, output_of};
pub use kernel::{
    TooOld, become_subreaper, check as check_kernel, name_thread, parent, random_seed, release,
    units,
};
pub use limits::{Limit, LimitTooLow, Resource, limit, raise_own_files, reach_minimum, set_limit};
pub use memory::{give_back, keep_little};
pub use passed::take_passed;
pub use pidfd::{open_pidfd, peek_ended, reap, reap_stranger, send_group_signal, send_signal};
pub use pipe::unread;
pub use plan::{Bounds, CStrings, Ids, NulByte, RawPlan, Setting};
pub use poller::{Interest, Poller, Ready, Waker};
pub use signals::{Delivered, SignalReader, ignore as ignore_signals, start_unblocked};
pub use socket::{end_writing, listen_on, own_user_name, peer_is_gone, unix_bound, unix_connected};
pub use spawn::{Spawner, Table};
