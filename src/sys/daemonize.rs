//! Detaches the daemon from the terminal. The daemon chooses the order of the steps and logs between them.
#![expect(unsafe_code, reason = "fork; descriptors of chosen numbers")]

use std::fs::File;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::fs::OpenOptionsExt as _;

use nix::sys::stat::{Mode, umask};
use nix::unistd::{ForkResult, fork, setsid};

/// Continues in a new process. The old process exits with status 0 at once, without running exit handlers. Returns in
/// the new one.
///
/// # Errors
/// EBUSY: other threads exist, which the fork would lose. EAGAIN, ENOMEM: the fork failed, and this is still the old
/// process.
///
/// # Source
/// fork(2).
pub fn fork_to_background() -> io::Result<()> {
    // Without /proc the number is unknown, so rely on the caller.
    if thread_count().is_ok_and(|count| count != 1) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    // SAFETY: there is no other thread, so nothing is left half-done in the copy.
    match unsafe { fork() }? {
        ForkResult::Child => Ok(()),
        // SAFETY: it ends the process without running exit handlers, which belong to the new process.
        ForkResult::Parent { .. } => unsafe { libc::_exit(0) },
    }
}

/// Becomes the leader of a new session without a terminal.
///
/// # Errors
/// EPERM: this process already leads a process group.
pub fn new_session() -> io::Result<()> {
    setsid()?;
    Ok(())
}

/// Whether our session has a terminal. Also true if that cannot be determined.
#[must_use]
pub fn has_controlling_terminal() -> bool {
    let opened = File::options()
        .read(true)
        .custom_flags(libc::O_NOCTTY | libc::O_NONBLOCK)
        .open("/dev/tty");
    !opened.is_err_and(|error| error.raw_os_error() == Some(libc::ENXIO))
}

/// Redirects descriptors 0, 1 and 2 to /dev/null.
///
/// # Errors
/// /dev/null cannot be opened.
pub fn detach_stdio() -> io::Result<()> {
    let null: OwnedFd = File::options()
        .read(true)
        .write(true)
        .open("/dev/null")?
        .into();
    for number in 0..=2 {
        if number != null.as_raw_fd() {
            dup_over(number, &null)?;
        }
    }
    if null.as_raw_fd() <= 2 {
        // The new descriptor is one of the three itself, so it must stay open, also across exec.
        leak_stream(null);
    }
    Ok(())
}

/// Opens /dev/null for each of descriptors 0, 1 and 2 that is closed, so that no file we open is mistaken for a
/// standard stream. Call it before anything else.
///
/// # Errors
/// /dev/null cannot be opened.
pub fn ensure_stdio() -> io::Result<()> {
    loop {
        let null: OwnedFd = File::options()
            .read(true)
            .write(true)
            .open("/dev/null")?
            .into();
        if null.as_raw_fd() > 2 {
            return Ok(());
        }
        leak_stream(null);
    }
}

/// Moves standard input and output to the two descriptors `numbers`, close-on-exec, closes everything else above 2,
/// and redirects 0, 1 and 2 to /dev/null. A process that gets descriptors this way must call it before anything else.
///
/// # Errors
/// EBUSY: other threads exist, which may own descriptors. EINVAL: the numbers are not adjacent or not above 2. EBADF:
/// one of the streams is closed. EMFILE.
///
/// # Source
/// dup(2), close_range(2).
pub fn adopt_streams(numbers: [RawFd; 2]) -> io::Result<(OwnedFd, OwnedFd)> {
    let [first, second] = numbers;
    if first <= libc::STDERR_FILENO || second != first + 1 {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    if thread_count().is_ok_and(|count| count != 1) {
        return Err(io::Error::from_raw_os_error(libc::EBUSY));
    }
    let mut copies = [0; 2];
    for (stream, copy) in [libc::STDIN_FILENO, libc::STDOUT_FILENO]
        .into_iter()
        .zip(&mut copies)
    {
        // SAFETY: no memory is involved. The copy is above both numbers, so that neither is in the way of the other.
        *copy = unsafe { libc::fcntl(stream, libc::F_DUPFD_CLOEXEC, second + 1) };
        if *copy == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    for (copy, number) in copies.into_iter().zip(numbers) {
        // SAFETY: no memory is involved. A descriptor that had the number is closed, like every other one.
        if unsafe { libc::dup3(copy, number, libc::O_CLOEXEC) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    for (from, to) in [(3, first - 1), (second + 1, RawFd::MAX)] {
        // SAFETY: no memory is involved. This process has one thread and has just started, so no value owns the
        // descriptors that are closed here: they were inherited.
        if from <= to && unsafe { libc::syscall(libc::SYS_close_range, from, to, 0) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    detach_stdio()?;
    // SAFETY: both were created here, and no other code knows them.
    Ok(unsafe { (OwnedFd::from_raw_fd(first), OwnedFd::from_raw_fd(second)) })
}

/// Sets the file mode creation mask.
pub fn set_umask(mask: u32) {
    umask(Mode::from_bits_truncate(mask));
}

fn dup_over(number: RawFd, target: &OwnedFd) -> io::Result<()> {
    // SAFETY: replaces a standard stream, which nobody owns.
    let result = unsafe { libc::dup2(target.as_raw_fd(), number) };
    if result == -1 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// Leaves a standard stream open for the rest of the process.
fn leak_stream(stream: OwnedFd) {
    use std::os::fd::IntoRawFd;
    let number = stream.into_raw_fd();
    // SAFETY: F_SETFD uses no memory.
    unsafe { libc::fcntl(number, libc::F_SETFD, 0) };
}

/// The number of threads in this process.
fn thread_count() -> io::Result<usize> {
    Ok(std::fs::read_dir("/proc/self/task")?.count())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sys::test_fork::run_forked;
    use std::io::Write;

    #[test]
    fn dmn_13_daemonizing_forks_once_with_a_new_session_and_null_streams() {
        let text = run_forked(|mut file| {
            let old = std::process::id();
            fork_to_background().expect("forked");
            // The old process has ended by now or is about to, so only the new one reaches this line.
            new_session().expect("session");
            detach_stdio().expect("detached");
            set_umask(0o027);
            let link = |number: i32| std::fs::read_link(format!("/proc/self/fd/{number}"));
            let new = std::process::id();
            let session = nix::unistd::getsid(None).expect("session").as_raw();
            let streams: Vec<_> = (0..=2).map(|number| link(number).expect("open")).collect();
            let flags = nix::fcntl::fcntl(std::io::stdin(), nix::fcntl::FcntlArg::F_GETFD);
            writeln!(
                file,
                "{} {} {:?} {:?} {:o}",
                new != old,
                session.unsigned_abs() == new,
                streams,
                flags,
                umask(Mode::empty()).bits(),
            )
            .expect("written");
        });
        assert_eq!(
            text,
            "true true [\"/dev/null\", \"/dev/null\", \"/dev/null\"] Ok(0) 27\n"
        );
    }

    #[test]
    fn only_the_chosen_descriptors_stay_open() {
        // The file through which the fork reports is closed too, so the report goes through an adopted stream.
        let (mut reader, writer) = io::pipe().expect("pipe");
        let streams = File::open("/dev/zero").expect("there");
        run_forked(move |_file| {
            dup_over(0, &streams.into()).expect("pointed");
            dup_over(1, &writer.into()).expect("pointed");
            let (first, second) = adopt_streams([5, 6]).expect("adopted");
            assert_eq!((first.as_raw_fd(), second.as_raw_fd()), (5, 6));
            let mut text = String::new();
            for number in 0..=50 {
                if let Ok(link) = std::fs::read_link(format!("/proc/self/fd/{number}")) {
                    let name = link.display().to_string();
                    let kind = name.split(':').next().unwrap_or_default();
                    text += &format!("{number} {kind}\n");
                }
            }
            File::from(second).write_all(text.as_bytes()).expect("room");
            // Do not return through the test harness, whose values own descriptors that are closed by now.
            // SAFETY: ends the fork, as its caller would.
            unsafe { libc::_exit(0) };
        });
        let mut text = String::new();
        io::Read::read_to_string(&mut reader, &mut text).expect("read");
        assert_eq!(
            text,
            "0 /dev/null\n1 /dev/null\n2 /dev/null\n5 /dev/zero\n6 pipe\n"
        );
        assert!(adopt_streams([2, 3]).is_err());
        assert!(adopt_streams([3, 5]).is_err());
    }

    #[test]
    fn closed_standard_streams_are_replaced() {
        let text = run_forked(|mut file| {
            for number in [0, 2] {
                nix::unistd::close(number).expect("closed");
            }
            ensure_stdio().expect("filled");
            let next = File::open("/dev/null").expect("opened");
            assert!(next.as_raw_fd() > 2);
            for number in [0, 2] {
                let link = std::fs::read_link(format!("/proc/self/fd/{number}")).expect("open");
                write!(file, "{} ", link.display()).expect("written");
            }
        });
        assert_eq!(text, "/dev/null /dev/null ");
    }

    #[test]
    fn a_process_with_threads_is_not_forked() {
        let (hold, held) = std::sync::mpsc::channel::<()>();
        let thread = std::thread::spawn(move || held.recv().is_err());
        let error = fork_to_background().expect_err("refused");
        assert_eq!(error.raw_os_error(), Some(libc::EBUSY));
        drop(hold);
        assert!(thread.join().expect("joined"));
    }
}
