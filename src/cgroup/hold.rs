//! The placeholder: a process that does nothing but be in the scope of all programs, which would be gone with its last
//! process. It is this binary under another name, has no descriptor of ours, and outlives the daemon: a successor finds
//! the scope by it.

use std::io;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, ExitCode, Stdio};
use std::time::Duration;

use crate::domain::Signal;
use crate::sys::{self, Cgroup, Interest, Poller};

/// What it is called, in `ps` and as the first word of its command line.
pub const NAME: &str = "supervisor-hold";
/// Its directory in the scope.
pub(super) const DIRECTORY: &str = ".hold";
/// How long it may take to end.
const END_WAIT: Duration = Duration::from_secs(2);

/// Starts one; answers its number. It is a child of ours until we end, and nobody waits for it.
///
/// # Errors
/// As for making a process.
pub(super) fn start_placeholder() -> io::Result<i32> {
    let mut command = Command::new("/proc/self/exe");
    command
        .arg0(NAME)
        .env_clear()
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .stderr(Stdio::null());
    sys::start_unblocked(&mut command);
    let child = command.spawn()?;
    i32::try_from(child.id()).map_err(io::Error::other)
}

/// What it does: it waits for SIGTERM, with which the service manager stops the scope, and for SIGKILL.
#[must_use]
pub fn run() -> ExitCode {
    // None of these can fail so that it mattered: then it is called otherwise, or hears a terminal that it has not.
    let _ = sys::name_thread(NAME);
    let _ = sys::new_session();
    let ignored: Vec<Signal> = ["HUP", "INT", "QUIT", "PIPE", "USR1", "USR2"]
        .iter()
        .filter_map(|name| Signal::parse(name).ok())
        .collect();
    let _ = sys::ignore_signals(&ignored);
    loop {
        std::thread::park();
    }
}

/// Ends whoever holds the scope. The directory goes with it.
pub(super) fn end_placeholder(scope: &Cgroup) {
    let Ok(directory) = scope.open(DIRECTORY) else {
        return;
    };
    for pid in directory.pids().unwrap_or_default() {
        let Ok(pidfd) = sys::open_pidfd(pid) else {
            continue;
        };
        // The number may be another's by now; the descriptor cannot become another's.
        if !directory.pids().is_ok_and(|pids| pids.contains(&pid)) {
            continue;
        }
        if sys::send_signal(&pidfd, Signal::KILL).is_ok()
            && let Ok(mut poller) = Poller::new()
            && poller.add(&pidfd, 0, Interest::Read).is_ok()
        {
            // Late or not, nothing more can be done.
            let _ = poller.wait(Some(END_WAIT)).map(Iterator::count);
        }
        // Where it is not our child, it is another's to reap.
        let _ = sys::reap(&pidfd);
    }
    // The scope, and this with it, may be gone already.
    let _ = scope.remove(DIRECTORY);
}
