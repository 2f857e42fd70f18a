//! Prepares the fd holder's process: protects it from accidental signals, and removes what it inherited from the
//! daemon.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::prctl;
use nix::sys::signal::SigSet;

use crate::domain::Signal;
use crate::sys::{self, Limit, Resource};

/// The descriptor numbers of both ends in the fd holder, always the same, so that a daemon that knows only the pid can
/// take the second one out of its table.
pub(super) const OWN_END: i32 = 3;
pub(super) const CLIENT_END: i32 = 4;

/// Signals that are easily sent by accident, to all processes of a terminal or of a name. TERM still ends it, because a
/// service manager that stops its scope intends that; KILL too.
const IGNORED: [&str; 6] = ["HUP", "INT", "QUIT", "PIPE", "USR1", "USR2"];
/// The bit of CAP_SYS_PTRACE.
const PTRACE_BIT: u32 = 19;

/// Takes both ends over from standard input and output, and prepares the process.
///
/// # Errors
/// Standard input and output are not such sockets; or the kernel fails a basic call.
pub(super) fn set_up_process() -> io::Result<(OwnedFd, OwnedFd)> {
    let own = nix::unistd::geteuid().as_raw();
    for end in [io::stdin().as_fd(), io::stdout().as_fd()] {
        if sys::packet_maker(&end)? != own {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    let ends = sys::adopt_streams([OWN_END, CLIENT_END])?;
    sys::tune_malloc();
    // Fails if the process already leads a session.
    let _ = sys::new_session();
    nix::unistd::chdir("/")?;
    sys::set_umask(0o077);
    let ignored: Vec<Signal> = IGNORED
        .into_iter()
        .filter_map(|name| Signal::parse(name).ok())
        .collect();
    sys::ignore_signals(&ignored)?;
    // The daemon blocks signals that it reads from a descriptor, and its children inherit that.
    SigSet::empty().thread_set_mask()?;
    // Hold as many descriptors as possible. A limit shows when it is reached.
    let _ = sys::raise_own_files();
    let _ = sys::set_limit(Resource::Core, Limit { soft: 0, hard: 0 });
    // Be one of the last victims when memory is short. Not permitted in many containers.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
    let _ = prctl::set_name(c"supervisord-fd-");
    if has_ptrace() {
        // Then other processes of this user have no ptrace access, but the daemon does. Without CAP_SYS_PTRACE the
        // daemon would lose it too.
        let _ = prctl::set_dumpable(false);
    }
    Ok(ends)
}

/// Whether this process has CAP_SYS_PTRACE, so that the daemon, which has it too, may take descriptors from it.
fn has_ptrace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & (1 << PTRACE_BIT) != 0)
}
