//! `status --watch`: shows the table again and again until Ctrl-C.

use std::io::Write;
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::error::CtlError;
use super::screen;
use super::session::CtlSession;

/// Pause between two pictures, in milliseconds.
const PAUSE_MS: u16 = 1_000;

/// Shows the lines that `picture` returns, once per second, until Ctrl-C. An error is shown instead of the lines: the daemon
/// may be about to restart.
pub(super) fn watch(
    session: &mut CtlSession,
    mut picture: impl FnMut(&mut CtlSession) -> Result<Vec<String>, CtlError>,
) -> Result<(), CtlError> {
    let interrupts = session.interrupts()?;
    let interrupted = interrupts.watch();
    let mut screen = Vec::new();
    screen.extend_from_slice(b"\x1b[2J");
    loop {
        let lines = match picture(session) {
            Ok(lines) => lines,
            Err(failure @ (CtlError::Output(_) | CtlError::Http { .. })) => return Err(failure),
            Err(failure) => vec![session.client.url().to_owned(), failure.for_people()],
        };
        draw(&lines, &mut screen);
        session.write(&screen)?;
        session.flush()?;
        screen.clear();
        let mut fds = [PollFd::new(interrupted.as_fd(), PollFlags::POLLIN)];
        match nix::poll::poll(&mut fds, PollTimeout::from(PAUSE_MS)) {
            Ok(0) | Err(Errno::EINTR) => {}
            Ok(_) => return Ok(()),
            Err(errno) => return Err(CtlError::Input(errno.into())),
        }
    }
}

/// Draws the lines from the top of the screen. What does not fit is counted in the last line.
fn draw(lines: &[String], to: &mut Vec<u8>) {
    let rows = screen::size().map_or(usize::MAX, |(_, rows)| rows);
    // The cursor waits in the last row.
    let fitting = match lines.len() < rows {
        true => lines.len(),
        false => rows.saturating_sub(2),
    };
    to.extend_from_slice(b"\x1b[H");
    for line in &lines[..fitting] {
        // A line that is wider than the screen would take two rows.
        let _ = write!(to, "\x1b[?7l{line}\x1b[?7h\x1b[K\r\n");
    }
    if fitting < lines.len() {
        let _ = write!(to, "and {} more\x1b[K\r\n", lines.len() - fitting);
    }
    to.extend_from_slice(b"\x1b[J");
}
