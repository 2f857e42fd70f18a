//! Standard input outside the line editor, and the interrupt key. This module does not know the server.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};
use nix::sys::signal::{SigSet, Signal};
use nix::sys::termios::{self, LocalFlags, SetArg};

/// Maximum length of an input line, in bytes.
const LINE_MAX: usize = 1 << 20;
/// Number of bytes per read.
const READ_SIZE: usize = 8 << 10;

/// Lines of standard input. A shell and its actions share one value, so that buffered lines are not lost.
#[derive(Debug, Default)]
pub(super) struct StdinLines {
    buffer: Vec<u8>,
    ended: bool,
}

impl StdinLines {
    /// Reads the next line, without its line end. Blocks. `None`: end of input.
    ///
    /// # Errors
    /// Standard input cannot be read, or a line is longer than [`LINE_MAX`].
    pub(super) fn next(&mut self) -> io::Result<Option<String>> {
        loop {
            if let Some(line) = self.buffered_line() {
                return Ok(Some(line));
            }
            if self.ended {
                return Ok(None);
            }
            self.fill()?;
        }
    }

    /// The next line, if it is already buffered. The last line may lack a line end.
    pub(super) fn buffered_line(&mut self) -> Option<String> {
        let end = self.buffer.iter().position(|&byte| byte == b'\n');
        let (length, cut) = match end {
            Some(end) => (end, end + 1),
            None if self.ended && !self.buffer.is_empty() => (self.buffer.len(), self.buffer.len()),
            None => return None,
        };
        let line = String::from_utf8_lossy(&self.buffer[..length]).into_owned();
        self.buffer.drain(..cut);
        Some(line)
    }

    /// Whether the input has ended.
    pub(super) const fn ended(&self) -> bool {
        self.ended
    }

    /// Reads once, and blocks if nothing is available.
    ///
    /// # Errors
    /// As [`Self::next`].
    pub(super) fn fill(&mut self) -> io::Result<()> {
        let mut piece = [0; READ_SIZE];
        match nix::unistd::read(io::stdin(), &mut piece) {
            Ok(0) => self.ended = true,
            Ok(count) => self.buffer.extend_from_slice(&piece[..count]),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        if self.buffer.len() > LINE_MAX {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "a line is too long",
            ));
        }
        Ok(())
    }
}

/// The interrupt key as a descriptor that can be polled.
///
/// Once installed, an interrupt ends the program only while nothing [watches](Self::watch) it. It then prints an
/// empty line and exits with `status`, as Supervisor's shell does.
#[derive(Debug)]
pub(super) struct InterruptKey {
    woken: UnixStream,
    watched: Arc<AtomicBool>,
    /// What to print before the program ends.
    last_words: Arc<Mutex<String>>,
}

impl InterruptKey {
    /// Blocks the interrupt signal in this thread and in the threads that it will start, and handles it in a new
    /// thread.
    ///
    /// # Errors
    /// The descriptor, the signal mask or the thread cannot be created.
    pub(super) fn install(status: u8) -> io::Result<Self> {
        let (woken, mut waker) = UnixStream::pair()?;
        woken.set_nonblocking(true)?;
        waker.set_nonblocking(true)?;
        let watched = Arc::new(AtomicBool::new(false));
        let mut interrupt = SigSet::empty();
        interrupt.add(Signal::SIGINT);
        interrupt.thread_block()?;
        let seen = Arc::clone(&watched);
        let last_words = Arc::new(Mutex::new(String::new()));
        let words = Arc::clone(&last_words);
        std::thread::Builder::new()
            .name("interrupts".to_owned())
            .spawn(move || {
                while interrupt.wait().is_ok() {
                    if seen.load(Ordering::SeqCst) {
                        // If the socket is full, the reader is already awake.
                        let _ = waker.write(b"!");
                    } else {
                        let words = words.lock().unwrap_or_else(PoisonError::into_inner);
                        let _ = io::stdout().write_all(format!("\n{words}").as_bytes());
                        std::process::exit(i32::from(status));
                    }
                }
            })?;
        Ok(Self {
            woken,
            watched,
            last_words,
        })
    }

    /// Sets the line that is printed if an interrupt ends the program. Empty: none.
    pub(super) fn set_last_words(&self, line: &str) {
        // No code panics while it holds the lock.
        let mut words = self
            .last_words
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        words.clear();
        if !line.is_empty() {
            words.push_str(&format!("\r\x1b[K{line}\n"));
        }
    }

    /// Until the returned value is dropped, an interrupt makes it readable instead of ending the program.
    pub(super) fn watch(&self) -> InterruptWatch<'_> {
        self.discard_pending();
        self.watched.store(true, Ordering::SeqCst);
        InterruptWatch(self)
    }

    fn discard_pending(&self) {
        let mut piece = [0; 64];
        while (&self.woken).read(&mut piece).is_ok_and(|count| count > 0) {}
    }
}

/// See [`InterruptKey::watch`].
pub(super) struct InterruptWatch<'a>(&'a InterruptKey);

impl AsFd for InterruptWatch<'_> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.woken.as_fd()
    }
}

impl Drop for InterruptWatch<'_> {
    fn drop(&mut self) {
        self.0.watched.store(false, Ordering::SeqCst);
        self.0.discard_pending();
    }
}

/// Reads a password from the terminal without echo. `None`: there is no terminal.
///
/// # Errors
/// The terminal fails, or the interrupt key was pressed ([`io::ErrorKind::Interrupted`]).
pub(super) fn password(prompt: &str, interrupts: &InterruptKey) -> io::Result<Option<String>> {
    let Ok(mut terminal) = OpenOptions::new().read(true).write(true).open("/dev/tty") else {
        return Ok(None);
    };
    let watch = interrupts.watch();
    terminal.write_all(prompt.as_bytes())?;
    let before = termios::tcgetattr(&terminal)?;
    let mut silent = before.clone();
    silent.local_flags.remove(LocalFlags::ECHO);
    termios::tcsetattr(&terminal, SetArg::TCSAFLUSH, &silent)?;
    let line = secret_line(&mut terminal, &watch);
    // Re-enable the echo in any case.
    termios::tcsetattr(&terminal, SetArg::TCSAFLUSH, &before)?;
    terminal.write_all(b"\n")?;
    line.map(Some)
}

fn secret_line(terminal: &mut File, watch: &InterruptWatch<'_>) -> io::Result<String> {
    let mut line = Vec::new();
    let mut piece = [0; 256];
    loop {
        let mut fds = [
            PollFd::new(terminal.as_fd(), PollFlags::POLLIN),
            PollFd::new(watch.as_fd(), PollFlags::POLLIN),
        ];
        match nix::poll::poll(&mut fds, PollTimeout::NONE) {
            Ok(_) | Err(Errno::EINTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let ready = |fd: &PollFd<'_>| fd.any().unwrap_or(true);
        if ready(&fds[1]) {
            return Err(io::ErrorKind::Interrupted.into());
        }
        if !ready(&fds[0]) {
            continue;
        }
        let count = terminal.read(&mut piece)?;
        line.extend_from_slice(&piece[..count]);
        if count == 0 || line.ends_with(b"\n") || line.len() > LINE_MAX {
            if line.ends_with(b"\n") {
                line.pop();
            }
            return Ok(String::from_utf8_lossy(&line).into_owned());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buffered_lines_are_returned_one_by_one() {
        let mut lines = StdinLines {
            buffer: b"a\n\nlast".to_vec(),
            ended: false,
        };
        assert_eq!(lines.buffered_line().as_deref(), Some("a"));
        assert_eq!(lines.buffered_line().as_deref(), Some(""));
        assert_eq!(lines.buffered_line(), None);
        lines.ended = true;
        assert_eq!(lines.buffered_line().as_deref(), Some("last"));
        assert_eq!(lines.buffered_line(), None);
    }
}
