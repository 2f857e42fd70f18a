//! The only unsafe code: clone and exec, pidfds, readiness, limits, credentials. Small, safe outside.

mod accounts;
mod byte_lock;
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
mod inherit;
mod kernel;
#[cfg(test)]
pub(crate) mod lease;
mod limits;
mod memory;
mod name_services;
mod notify;
mod packet;
mod passed;
mod pending;
mod pidfd;
mod pipe;
pub mod place;
mod plan;
mod poller;
mod shared;
mod signals;
mod socket;
mod socket_file;
mod spawn;
mod thread;
mod time_zone;
mod timer;
mod watch;

pub use accounts::{Account, account, own_groups};
pub use byte_lock::{LockKind, byte_of, is_byte_locked, lock_byte};
pub use cgroup::{Cgroup, Counters, Population};
pub use clock::now;
pub use credentials::{DropError, Peer, Standing, become_user, effective_uid, lookup, peer};
pub use daemonize::{
    adopt_streams, detach_stdio, ensure_stdio, has_controlling_terminal, into_background,
    new_session, set_umask,
};
pub use ends::ChildEnds;
pub use helper::{is_helper, output_of};
pub use inherit::{
    Descriptors, keep_through_exec, number_of, read_inherited, read_sealed, replace_image, sealed,
    take_inherited,
};
pub use kernel::{
    TooOld, become_subreaper, check as check_kernel, is_subreaper, parent, random_seed, release,
    units,
};
pub use limits::{
    Limit, LimitTooLow, Resource, limit, raise_own_files, reach_minimum, reserve_descriptors,
    set_limit,
};
pub use memory::{give_back, keep_little, unmap_code};
pub use name_services::keep_to_built_in_services;
pub use notify::{NotifySocket, Received, Sender};
pub use packet::{
    PACKET_DESCRIPTORS_MAX, Packet, packet_maker, packet_pair, peek_packet, receive_packet,
    send_packet,
};
pub use passed::take_passed;
pub use pending::{PendingChild, SPAWNER_THREAD, is_before_exec};
pub use pidfd::{
    copy_descriptor, end_child, exit_status, open_pidfd, peek_ended, pid_of, reap, reap_stranger,
    send_group_signal, send_signal,
};
pub use pipe::{grow_pipe, unread};
pub use plan::{Bounds, CStrings, Ids, NulByte, RawPlan, Setting};
pub use poller::{Interest, Poller, Ready, Waker};
pub use shared::{MemoryFile, SharedBuffer};
pub use signals::{Delivered, SignalReader, ignore as ignore_signals, letting_go, start_unblocked};
pub use socket::{end_writing, listen_on, own_user_name, peer_is_gone, unix_bound, unix_connected};
pub use socket_file::{ListeningSocket, Refusal as SocketRefusal, listen_at};
pub use spawn::{Spawner, Staging, Table};
pub use thread::{has_thread, open_thread, thread_id};
pub use time_zone::time_zone;
pub use timer::Timer;
pub use watch::FileWatch;
