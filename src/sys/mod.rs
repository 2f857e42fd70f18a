//! Safe wrappers around Linux system calls: clone and exec, pidfds, epoll, limits, credentials. The only module with
//! unsafe code.

mod accounts;
mod byte_lock;
mod capabilities;
mod cgroup;
mod child;
mod child_bounds;
mod child_calls;
mod child_fds;
mod child_ids;
mod child_message;
mod clock;
mod clone3;
mod code_pages;
mod credentials;
mod daemonize;
mod environment;
mod guarded_file;
mod helper;
mod inherit;
mod kernel;
#[cfg(test)]
pub(crate) mod lease;
mod limits;
mod malloc;
mod name_services;
mod notify;
mod own_capabilities;
mod packet;
mod passed_fds;
mod pending;
mod pidfd;
mod pipe;
mod plan;
mod poller;
pub mod safe_open;
mod shared;
mod signals;
mod small_file;
mod socket;
mod socket_file;
mod spawn;
mod stdio;
#[cfg(test)]
mod test_fork;
mod thread;
mod time_zone;
mod timer;
mod unprivileged;
mod wall_timer;
mod watch;
mod xattr;

pub use accounts::{Account, Login, account, login_of, own_groups};
pub use byte_lock::{LockKind, byte_of, is_byte_locked, lock_byte};
pub use cgroup::{Cgroup, CgroupEvents, Population};
pub use clock::now;
pub use code_pages::unmap_code;
pub use credentials::{
    DropError, PeerCredentials, UserSwitch, become_user, effective_uid, lookup_user,
    peer_credentials,
};
pub use daemonize::{
    adopt_streams, detach_stdio, ensure_stdio, fork_to_background, has_controlling_terminal,
    new_session, set_umask,
};
pub use environment::set_environment_variable;
pub use guarded_file::{GuardedFileError, create_file, remove_file_if, replace_file_if};
pub use helper::{FollowedHelper, OrphanReap, RegisteredChild, output_of, reap_orphan};
pub use inherit::{
    NamedFds, raw_fd_number, read_inherited, read_sealed, replace_image, sealed_memory,
    set_inheritable, take_inherited,
};
pub use kernel::{
    KernelTooOld, become_subreaper, check_kernel, is_subreaper, page_and_tick_sizes, parent_pid,
    random_seed, release,
};
pub use limits::{
    Limit, LimitTooLow, Resource, get_limit, raise_own_files, raise_to_minimum,
    reserve_descriptors, set_limit,
};
pub use malloc::{trim_heap, tune_malloc};
pub use name_services::use_builtin_services;
pub use notify::{DatagramSender, NotifyDatagram, NotifySocket};
pub use own_capabilities::{held_capabilities, own_capabilities};
pub use packet::{
    PACKET_DESCRIPTORS_MAX, Packet, packet_maker, packet_pair, peek_packet, receive_packet,
    send_packet,
};
pub use passed_fds::take_passed;
pub use pending::{PendingChild, SPAWNER_THREAD, is_before_exec};
pub use pidfd::{
    copy_descriptor, end_child, exit_status, open_pidfd, peek_ended, pid_of, reap, reap_stranger,
    send_group_signal, send_signal,
};
pub use pipe::{grow_pipe, unread};
pub use plan::{CStrings, ChildBounds, ChildIds, ConfiguredValue, NulByte, RawPlan};
pub use poller::{Interest, Poller, ReadyFd, Waker};
pub use shared::{MemoryFile, SharedBuffer};
pub use signals::{ReceivedSignal, SignalReader, detach_signal, ignore_signals, start_unblocked};
pub use small_file::{
    FileStamp, SmallFileError, read_secret_file, read_small_file, replace_secret_file,
    replace_small_file,
};
pub use socket::{end_writing, listen_on, own_user_name, peer_is_gone, unix_bound, unix_connected};
pub use socket_file::{ListeningSocket, SocketFileError as SocketRefusal, listen_at};
pub use spawn::{FdTableMode, Spawner, StagingFds};
pub use stdio::ChildStdio;
pub use thread::{has_thread, open_thread, thread_id};
pub use time_zone::{cron_zone, read_cron_zone, time_zone};
pub use timer::Timer;
pub use unprivileged::{StartedProgram, UnprivilegedProgram};
pub use wall_timer::{WallEvent, WallTimer};
pub use watch::FileWatch;
