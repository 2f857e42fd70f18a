//! Signals to the daemon: blocked in every thread, and read from a signalfd.
#![expect(
    unsafe_code,
    reason = "sigaction, to ignore a signal; sets with real-time signals; a step between fork and exec"
)]

use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::process::CommandExt as _;
use std::process::Command;
use std::sync::Once;
use std::sync::atomic::{AtomicU64, Ordering};

use nix::sys::signal::{SaFlags, SigAction, SigHandler, SigSet, sigaction};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::domain::Signal;

/// A received signal and its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ReceivedSignal {
    /// The signal.
    pub signal: Signal,
    /// The sender's PID. 0: the kernel. For the log only, because the PID may have been reused.
    pub pid: u32,
    /// The sender's real UID.
    pub uid: u32,
}

/// Reads signals. Several signals of one kind between two reads count as one.
#[derive(Debug)]
pub struct SignalReader {
    fd: SignalFd,
}

impl SignalReader {
    /// Blocks `signals` in this thread and in all threads that it will create, and reads them from now on. Call it
    /// before other threads exist, because the signals would kill a thread that does not block them.
    ///
    /// # Errors
    /// EINVAL: 0 is not a signal. EMFILE, ENOMEM.
    ///
    /// # Source
    /// signalfd(2).
    pub fn new(signals: &[Signal]) -> io::Result<Self> {
        let set = signal_set(signals)?;
        set.thread_block()?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC | SfdFlags::SFD_NONBLOCK)?;
        Ok(Self { fd })
    }

    /// Returns the received signals, each kind once. Never blocks.
    ///
    /// # Errors
    /// None that a correct caller can cause.
    pub fn read(&self) -> io::Result<Vec<ReceivedSignal>> {
        /// Signals that do not fit leave the descriptor readable.
        const KINDS: usize = 16;
        const BYTES: usize = size_of::<libc::signalfd_siginfo>();
        let mut buffer = [0; KINDS * BYTES];
        let count = loop {
            match nix::unistd::read(&self.fd, &mut buffer) {
                Ok(count) => break count,
                Err(nix::errno::Errno::EAGAIN) => return Ok(Vec::new()),
                Err(nix::errno::Errno::EINTR) => {}
                Err(error) => return Err(error.into()),
            }
        };
        let delivered = buffer[..count].chunks_exact(BYTES).filter_map(|bytes| {
            // SAFETY: the slice has the size of the struct, all of whose fields are integers; it need not be aligned.
            let info = unsafe {
                bytes
                    .as_ptr()
                    .cast::<libc::signalfd_siginfo>()
                    .read_unaligned()
            };
            Some(ReceivedSignal {
                signal: Signal::from_number(i64::from(info.ssi_signo))?,
                pid: info.ssi_pid,
                uid: info.ssi_uid,
            })
        });
        Ok(delivered.collect())
    }
}

impl AsFd for SignalReader {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }
}

/// Signals that this process ignores or has ignored. Bit 0 is signal 1. Children start with these ignored.
///
/// After the first [`note_ignored`] only [`ignore_signals`] changes this: no library that we use ignores signals. The
/// C library's own two signals cannot be queried, so they always count.
static IGNORED: AtomicU64 = AtomicU64::new(0b11 << 31);

const fn signal_bit(number: i32) -> u64 {
    1 << (number - 1)
}

/// Records the signals that are already ignored: by the C library, by std, or by our parent process (nohup).
pub(super) fn note_ignored() {
    static NOTED: Once = Once::new();
    NOTED.call_once(look_for_ignored);
}

fn look_for_ignored() {
    for number in 1..=64 {
        // SAFETY: all fields are integers or may be null.
        let mut found: libc::sigaction = unsafe { std::mem::zeroed() };
        // SAFETY: the struct is live and writable; nothing is set. EINVAL for signals that the C library reserves.
        let result = unsafe { libc::sigaction(number, std::ptr::null(), &raw mut found) };
        if result == 0 && found.sa_sigaction == libc::SIG_IGN {
            IGNORED.fetch_or(signal_bit(number), Ordering::Relaxed);
        }
    }
}

/// Signals that may be ignored in this process. Bit 0 is signal 1.
pub(super) fn ignored_signals() -> u64 {
    IGNORED.load(Ordering::Relaxed)
}

/// Ignores `signals`, so that a write to a closed pipe or beyond a file size limit returns an error and does not kill
/// us.
///
/// # Errors
/// EINVAL: not a signal that can be ignored.
pub fn ignore_signals(signals: &[Signal]) -> io::Result<()> {
    let action = SigAction::new(SigHandler::SigIgn, SaFlags::empty(), SigSet::empty());
    for signal in signals {
        // SAFETY: no handler is installed; ignoring runs no code.
        unsafe { sigaction(to_nix(*signal)?, &action) }?;
        IGNORED.fetch_or(signal_bit(signal.number()), Ordering::Relaxed);
    }
    Ok(())
}

/// Makes `command` start with no signal blocked. std passes our signal mask on, and most programs never unblock
/// signals that were blocked at their start.
pub fn start_unblocked(command: &mut Command) {
    // SAFETY: the code between fork and exec is one system call on a value on the stack.
    unsafe {
        command.pre_exec(|| Ok(SigSet::empty().thread_set_mask()?));
    }
}

/// The signal with which a service manager restarts the daemon without stopping its programs, instead of SIGTERM. It
/// is a real-time signal, because the ordinary ones mean the same as in Supervisor. The original Supervisor does not
/// handle it and dies from it.
#[must_use]
pub fn detach_signal() -> i32 {
    libc::SIGRTMIN() + 1
}

/// nix does not support real-time signals.
fn signal_set(signals: &[Signal]) -> io::Result<SigSet> {
    let mut set = *SigSet::empty().as_ref();
    for signal in signals {
        // SAFETY: the set is initialised, live and writable.
        if unsafe { libc::sigaddset(&raw mut set, signal.number()) } == -1 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: the set contains only signals that the C library knows, because it was built with the library's own
    // calls.
    Ok(unsafe { SigSet::from_sigset_t_unchecked(set) })
}

fn to_nix(signal: Signal) -> io::Result<nix::sys::signal::Signal> {
    Ok(nix::sys::signal::Signal::try_from(signal.number())?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dmn_18_signals_are_read_once_with_their_sender() {
        // In a separate thread, because the mask is per thread; pthread_kill reaches only this thread.
        let thread = std::thread::spawn(|| {
            let signal = Signal::parse("WINCH").expect("a signal");
            let urgent = Signal::parse("URG").expect("a signal");
            let reader = SignalReader::new(&[signal, urgent]).expect("signalfd");
            assert_eq!(reader.read().expect("read"), []);
            for _ in 0..2 {
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGWINCH).expect("raised");
                nix::sys::signal::raise(nix::sys::signal::Signal::SIGURG).expect("raised");
            }
            let expected = |signal| ReceivedSignal {
                signal,
                pid: std::process::id(),
                uid: nix::unistd::getuid().as_raw(),
            };
            // The kernel returns the lower number first.
            let delivered = reader.read().expect("read");
            assert_eq!(delivered, [expected(urgent), expected(signal)]);
            assert_eq!(reader.read().expect("read"), []);
        });
        thread.join().expect("joined");
    }

    #[test]
    fn a_command_can_start_with_nothing_blocked() {
        let thread = std::thread::spawn(|| {
            let signal = Signal::parse("WINCH").expect("a signal");
            let _reader = SignalReader::new(&[signal]).expect("signalfd");
            let mut command = Command::new("grep");
            command.args(["SigBlk", "/proc/self/status"]);
            start_unblocked(&mut command);
            let output = command.output().expect("started").stdout;
            assert_eq!(
                String::from_utf8_lossy(&output),
                "SigBlk:\t0000000000000000\n"
            );
        });
        thread.join().expect("joined");
    }

    #[test]
    fn signals_that_cannot_be_read_or_ignored_are_refused() {
        let zero = Signal::from_number(0).expect("accepted in configuration");
        assert!(SignalReader::new(&[zero]).is_err());
        assert!(ignore_signals(&[Signal::KILL]).is_err());
        let pipe = Signal::parse("PIPE").expect("a signal");
        ignore_signals(&[pipe]).expect("ignored");
    }
}
