//! Finds the process that a pidfile names. A pidfile may be written by any user, or be older than the process with its
//! pid, so it is trusted only as far as nobody gains privileges by it.

use std::fs::File;
use std::io::Read as _;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::Path;

use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd::getppid;

use crate::domain::Errno;
use crate::sys::{self, safe_open};

/// Maximum size of a pidfile in bytes: a number and some whitespace.
const PIDFILE_BYTES_MAX: usize = 64;

/// The process that a pidfile names.
#[derive(Debug)]
pub(super) struct SignalTarget {
    /// Its pid when the file was read.
    pub(super) pid: i32,
    /// Its pidfd: the pid may be reused before a signal is sent.
    pub(super) pidfd: OwnedFd,
}

/// Why there is no target.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum TargetError {
    /// Supervisor's message for every file without a number.
    #[error("Can't read child pidfile {0}!")]
    Unreadable(String),
    #[error("pidfile {0} names PID {1}, which cannot be the daemon; no signal sent")]
    Never(String, i32),
    #[error("pidfile {0} is writable by everybody; no signal sent")]
    Everybodys(String),
    #[error("pidfile {0} belongs to user {1}, who may not signal PID {2}; no signal sent")]
    Foreign(String, u32, i32),
    #[error("PID {1} from pidfile {0} does not exist")]
    Gone(String, i32),
    #[error("cannot inspect PID {1} from pidfile {0}: {2}")]
    Kernel(String, i32, Errno),
}

impl SignalTarget {
    /// Finds the process that the file names now.
    ///
    /// # Errors
    /// See [`TargetError`].
    // Differs: Supervisor's pidproxy signals any number: 0 and negative numbers are process groups, -1 is every
    // process.
    pub(super) fn find_target(pidfile: &Path) -> Result<Self, TargetError> {
        let shown = || pidfile.display().to_string();
        let (pid, owner, mode) =
            read_pidfile(pidfile).ok_or_else(|| TargetError::Unreadable(shown()))?;
        let own = i32::try_from(std::process::id()).unwrap_or(0);
        // PID 1 is never a target. Neither is this process or its parent, because the daemon is a child or a grandchild
        // of this process.
        if pid <= 1 || pid == own || pid == getppid().as_raw() {
            return Err(TargetError::Never(shown(), pid));
        }
        let is_root = sys::effective_uid() == 0;
        if is_root && mode & 0o002 != 0 {
            return Err(TargetError::Everybodys(shown()));
        }
        let gone = || TargetError::Gone(shown(), pid);
        let pidfd = sys::open_pidfd(pid).map_err(|error| match error.raw_os_error() {
            // EINVAL, ENOENT: the number is a thread's.
            Some(libc::ESRCH | libc::EINVAL | libc::ENOENT) => gone(),
            _ => TargetError::Kernel(shown(), pid, Errno::from(error)),
        })?;
        // This process may have more privileges than the file's owner, who may signal only processes of that user.
        if is_root && owner != 0 {
            let uid = real_uid(pid).ok_or_else(gone)?;
            if uid != owner {
                return Err(TargetError::Foreign(shown(), owner, pid));
            }
        }
        // The checks above were about this very process if it has not exited. An unreaped process accepts signals, but
        // the daemon is gone.
        if has_ended(&pidfd) {
            return Err(gone());
        }
        Ok(Self { pid, pidfd })
    }
}

/// Whether the process has exited: then its pidfd is readable.
fn has_ended(pidfd: &OwnedFd) -> bool {
    let mut asked = [PollFd::new(pidfd.as_fd(), PollFlags::POLLIN)];
    poll(&mut asked, PollTimeout::ZERO).is_ok_and(|ready| ready > 0)
}

/// The number in the file, and the file's owner and mode. If this process is root, symbolic links of other users are
/// not followed.
fn read_pidfile(pidfile: &Path) -> Option<(i32, u32, u32)> {
    // Non-blocking, because it may be a FIFO.
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK;
    let fd = safe_open::safe_open(pidfile, flags, Mode::empty()).ok()?;
    let stat = fstat(&fd).ok()?;
    if safe_open::kind(&stat) != SFlag::S_IFREG {
        return None;
    }
    let mut bytes = Vec::new();
    let limit = u64::try_from(PIDFILE_BYTES_MAX + 1).unwrap_or(0);
    File::from(fd).take(limit).read_to_end(&mut bytes).ok()?;
    if bytes.len() > PIDFILE_BYTES_MAX {
        return None;
    }
    let pid = std::str::from_utf8(&bytes).ok()?.trim().parse().ok()?;
    Some((pid, stat.st_uid, stat.st_mode))
}

/// The real uid of a process.
fn real_uid(pid: i32) -> Option<u32> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("Uid:"))?;
    line.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, chown, symlink};
    use std::os::unix::process::CommandExt as _;
    use std::path::PathBuf;
    use std::process::{Child, Command};

    use super::*;

    /// A directory of one test with a pidfile, removed with its content when dropped.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new(name: &str) -> Self {
            let path = std::env::temp_dir().join(format!("pidproxy-{name}-{}", std::process::id()));
            let _ = std::fs::remove_dir_all(&path);
            std::fs::create_dir(&path).expect("created");
            Self(path)
        }

        fn file(&self) -> PathBuf {
            self.0.join("pid")
        }

        fn find(&self, content: impl AsRef<[u8]>) -> Result<i32, TargetError> {
            std::fs::write(self.file(), content).expect("written");
            SignalTarget::find_target(&self.file()).map(|target| target.pid)
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            let _ = std::fs::remove_dir_all(&self.0);
        }
    }

    /// A process for pidfiles, killed when dropped.
    struct Sleeper(Child);

    impl Sleeper {
        fn new(uid: Option<u32>) -> Self {
            let mut command = Command::new("/bin/sleep");
            command.arg("1000");
            if let Some(uid) = uid {
                command.uid(uid);
            }
            Self(command.spawn().expect("started"))
        }

        fn pid(&self) -> i32 {
            i32::try_from(self.0.id()).expect("small")
        }
    }

    impl Drop for Sleeper {
        fn drop(&mut self) {
            let _ = self.0.kill();
            let _ = self.0.wait();
        }
    }

    #[test]
    fn aux_02_a_file_names_a_living_process() {
        let scratch = Scratch::new("living");
        let mut sleeper = Sleeper::new(None);
        let pid = sleeper.pid();
        assert_eq!(scratch.find(format!(" {pid}\n")), Ok(pid));
        let shown = scratch.file().display().to_string();
        let gone = TargetError::Gone(shown.clone(), pid);
        let target = SignalTarget::find_target(&scratch.file()).expect("it lives");
        sleeper.0.kill().expect("killed");
        let mut ended = [PollFd::new(target.pidfd.as_fd(), PollFlags::POLLIN)];
        poll(&mut ended, PollTimeout::from(20_000_u16)).expect("waited");
        // Exited and not reaped: an old pidfile may name such a process if its parent does not reap it.
        assert_eq!(
            SignalTarget::find_target(&scratch.file()).expect_err("dead"),
            gone
        );
        sleeper.0.wait().expect("reaped");
        assert_eq!(scratch.find(pid.to_string()), Err(gone));
        // A pid that no process has.
        assert_eq!(
            scratch.find("2147483647"),
            Err(TargetError::Gone(shown, i32::MAX))
        );
    }

    #[test]
    fn aux_02_a_file_without_a_number_is_unreadable() {
        let scratch = Scratch::new("unreadable");
        let unreadable = || {
            Err(TargetError::Unreadable(
                scratch.file().display().to_string(),
            ))
        };
        let missing = SignalTarget::find_target(&scratch.file()).map(|target| target.pid);
        assert_eq!(missing, unreadable());
        let long = format!("{}7", " ".repeat(PIDFILE_BYTES_MAX));
        for content in ["", "\n", "x", "1 2", "12\n34\n", "9999999999", "1.5", &long] {
            assert_eq!(scratch.find(content), unreadable(), "{content:?}");
        }
        assert_eq!(scratch.find([0xff, 0xfe]), unreadable());
        std::fs::remove_file(scratch.file()).expect("there");
        std::fs::create_dir(scratch.file()).expect("created");
        let directory = SignalTarget::find_target(&scratch.file()).map(|target| target.pid);
        assert_eq!(directory, unreadable());
        std::fs::remove_dir(scratch.file()).expect("there");
        // The FIFO has no writer; opening it must not block.
        let all = Mode::from_bits_truncate(0o600);
        nix::unistd::mkfifo(&scratch.file(), all).expect("made");
        let pipe = SignalTarget::find_target(&scratch.file()).map(|target| target.pid);
        assert_eq!(pipe, unreadable());
        assert_eq!(
            TargetError::Unreadable("x".to_owned()).to_string(),
            "Can't read child pidfile x!"
        );
    }

    #[test]
    fn aux_02_a_bad_pid_never_signals_groups_init_or_the_proxy() {
        let scratch = Scratch::new("never");
        let shown = scratch.file().display().to_string();
        let own = i32::try_from(std::process::id()).expect("small");
        for pid in [0, -1, 1, -own, i32::MIN, own, getppid().as_raw()] {
            assert_eq!(
                scratch.find(pid.to_string()),
                Err(TargetError::Never(shown.clone(), pid))
            );
        }
    }

    #[test]
    fn aux_02_root_signals_only_processes_of_the_files_owner() {
        if sys::effective_uid() != 0 {
            // Only a proxy with more privileges than the file's owner can lend any.
            return;
        }
        let scratch = Scratch::new("rights");
        let shown = scratch.file().display().to_string();
        let (roots, others) = (Sleeper::new(None), Sleeper::new(Some(33)));
        assert_eq!(scratch.find(others.pid().to_string()), Ok(others.pid()));
        let mode = |mode| {
            let permissions = std::fs::Permissions::from_mode(mode);
            std::fs::set_permissions(scratch.file(), permissions).expect("mode");
        };
        mode(0o666);
        assert_eq!(
            scratch.find(roots.pid().to_string()),
            Err(TargetError::Everybodys(shown.clone()))
        );
        mode(0o644);
        chown(scratch.file(), Some(33), None).expect("given away");
        assert_eq!(scratch.find(others.pid().to_string()), Ok(others.pid()));
        let foreign = TargetError::Foreign(shown.clone(), 33, roots.pid());
        assert_eq!(scratch.find(roots.pid().to_string()), Err(foreign));
        // Nor through a symbolic link to a file of root's.
        let real = scratch.0.join("real");
        std::fs::write(&real, roots.pid().to_string()).expect("written");
        std::fs::remove_file(scratch.file()).expect("there");
        symlink(&real, scratch.file()).expect("linked");
        std::os::unix::fs::lchown(scratch.file(), Some(33), None).expect("given away");
        let linked = SignalTarget::find_target(&scratch.file()).map(|target| target.pid);
        assert_eq!(linked, Err(TargetError::Unreadable(shown)));
    }
}
