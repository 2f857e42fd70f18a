//! What the fd holder makes of its process before it keeps anything: nothing should end it that was not meant to, and nothing
//! of the daemon should stay in it.

use std::io;
use std::os::fd::{AsFd as _, OwnedFd};

use nix::sys::prctl;
use nix::sys::signal::SigSet;

use crate::domain::Signal;
use crate::sys::{self, Limit, Resource};

/// The numbers of both ends in the fd holder's table, always the same, so that a daemon that knows only the fd holder's pid can
/// take the second one out of it.
pub(super) const OWN_END: i32 = 3;
pub(super) const CLIENT_END: i32 = 4;

/// Signals that somebody could send by accident: to all processes of a terminal or a name. TERM still ends it, because a
/// service manager that stops the scope it lives in means it; as does, of course, KILL.
const IGNORED: [&str; 6] = ["HUP", "INT", "QUIT", "PIPE", "USR1", "USR2"];
/// CAP_SYS_PTRACE's bit.
const PTRACE_BIT: u32 = 19;

/// Takes both ends over from standard input and output, and settles the process.
///
/// # Errors
/// Those two are not what an fd holder is started with; or the kernel refuses what it refuses nobody.
pub(super) fn set_up_process() -> io::Result<(OwnedFd, OwnedFd)> {
    let own = nix::unistd::geteuid().as_raw();
    for end in [io::stdin().as_fd(), io::stdout().as_fd()] {
        if sys::packet_maker(&end)? != own {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    let ends = sys::adopt_streams([OWN_END, CLIENT_END])?;
    sys::tune_malloc();
    // It leads a session already if whoever started it made one.
    let _ = sys::new_session();
    nix::unistd::chdir("/")?;
    sys::set_umask(0o077);
    let ignored: Vec<Signal> = IGNORED
        .into_iter()
        .filter_map(|name| Signal::parse(name).ok())
        .collect();
    sys::ignore_signals(&ignored)?;
    // The daemon blocks what it reads from a descriptor, and its children begin that way.
    SigSet::empty().thread_set_mask()?;
    // The more it can keep the better. What cannot be had is told when it is missed.
    let _ = sys::raise_own_files();
    let _ = sys::set_limit(Resource::Core, Limit { soft: 0, hard: 0 });
    // Nearly the last to be ended for want of memory. Not permitted in many containers.
    let _ = std::fs::write("/proc/self/oom_score_adj", "-900");
    let _ = prctl::set_name(c"supervisord-fd-");
    if has_ptrace() {
        // Others of our user cannot look into us then, and the daemon still can. Without that right it could not.
        let _ = prctl::set_dumpable(false);
    }
    Ok(ends)
}

/// We have CAP_SYS_PTRACE, so a daemon like us needs no permission to take descriptors from us.
fn has_ptrace() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("CapEff:"));
    let bits = line.and_then(|bits| u64::from_str_radix(bits.trim(), 16).ok());
    bits.is_some_and(|bits| bits & (1 << PTRACE_BIT) != 0)
}
