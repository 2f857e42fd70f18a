//! The channel through which a process reports its state: a notify socket, and a pipe on which a newline means ready.
//! Each instance gets a new one, so that leftovers of an earlier instance cannot report for it.

use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::config::spec::ProcessSpec;
use crate::domain::{Errno, SpawnError};
use crate::sys::NotifySocket;

/// The daemon's ends.
#[derive(Debug)]
pub struct NotifyChannel {
    /// The socket for the protocol of sd_notify(3).
    pub socket: Option<NotifySocket>,
    /// The pipe for the newline. `None`: not configured, or the other side has closed it.
    pub ready: Option<ReadyPipe>,
}

/// The reading end of `ready_fd`, non-blocking.
#[derive(Debug)]
pub struct ReadyPipe(PipeReader);

impl ReadyPipe {
    /// Reads what is available. Returns whether a newline came. `None`: the other side has closed the pipe.
    pub fn has_newline(&mut self) -> Option<bool> {
        let mut buffer = [0; 512];
        match self.0.read(&mut buffer) {
            Ok(0) => None,
            Ok(count) => Some(buffer[..count].contains(&b'\n')),
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted => Some(false),
                _ => None,
            },
        }
    }
}

impl From<OwnedFd> for ReadyPipe {
    /// Wraps a pipe from a previous daemon. It must be non-blocking.
    fn from(fd: OwnedFd) -> Self {
        Self(fd.into())
    }
}

impl AsFd for ReadyPipe {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// The process's part of its channel.
#[derive(Debug, Default)]
pub(super) struct ChannelEnds {
    /// Environment variables, which override the program's own.
    pub(super) variables: Vec<(&'static str, String)>,
    /// The writing end of `ready_fd`, and its number in the process.
    pub(super) ready: Option<(OwnedFd, u16)>,
}

/// Makes the channel that the section configures.
///
/// # Errors
/// No descriptors or no memory.
pub(super) fn make_channel(
    spec: &ProcessSpec,
) -> Result<(Option<NotifyChannel>, ChannelEnds), SpawnError> {
    let mut given = ChannelEnds::default();
    if !spec.notify.tells_ready() {
        return Ok((None, given));
    }
    let refused = |error: io::Error| {
        let name = spec.name.as_str().to_owned();
        match error.raw_os_error() {
            Some(libc::EMFILE | libc::ENFILE) => SpawnError::TooManyFiles { name },
            _ => SpawnError::Dispatchers {
                name,
                errno: Errno::from(&error),
            },
        }
    };
    let mut ours = NotifyChannel {
        socket: None,
        ready: None,
    };
    if spec.notify.socket {
        let socket = NotifySocket::new().map_err(refused)?;
        given.variables.push(("NOTIFY_SOCKET", socket.address()));
        // WATCHDOG_PID is not set: without it WATCHDOG_USEC applies to any process, so a program behind a shell wrapper
        // feeds the watchdog too (systemd/systemd#25961). The pid is unknown before the clone anyway.
        if spec.notify.watchdog.0 > 0 {
            let usec = spec.notify.watchdog.0.saturating_mul(1_000_000);
            given.variables.push(("WATCHDOG_USEC", usec.to_string()));
        }
        ours.socket = Some(socket);
    }
    if let Some(number) = spec.notify.ready_fd {
        let (reader, writer) = io::pipe().map_err(refused)?;
        // Only the daemon's end: the program may want a blocking write.
        let flags = FcntlArg::F_SETFL(OFlag::O_NONBLOCK);
        fcntl(&reader, flags).map_err(|error| refused(error.into()))?;
        ours.ready = Some(ReadyPipe(reader));
        given.ready = Some((writer.into(), number));
    }
    Ok((Some(ours), given))
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::super::testing::spec;
    use super::*;
    use crate::config::spec::NotifySpec;
    use crate::domain::Seconds;

    fn made(notify: NotifySpec) -> (Option<NotifyChannel>, ChannelEnds) {
        let mut spec = spec("/bin/true", &[]);
        spec.notify = notify;
        make_channel(&spec).expect("made")
    }

    #[test]
    fn a_program_gets_the_configured_channels() {
        let (none, given) = made(NotifySpec::default());
        assert!(none.is_none() && given.variables.is_empty() && given.ready.is_none());
        let (ours, given) = made(NotifySpec {
            socket: true,
            watchdog: Seconds(3),
            ..NotifySpec::default()
        });
        let socket = ours.and_then(|ours| ours.socket).expect("made");
        let expected = [
            ("NOTIFY_SOCKET", socket.address()),
            ("WATCHDOG_USEC", "3000000".to_owned()),
        ];
        assert_eq!(given.variables, expected);
    }

    #[test]
    fn a_newline_and_the_end_are_found() {
        let (ours, given) = made(NotifySpec {
            ready_fd: Some(5),
            ..NotifySpec::default()
        });
        let mut ready = ours.and_then(|ours| ours.ready).expect("made");
        let (writer, number) = given.ready.expect("made");
        let mut writer = std::fs::File::from(writer);
        assert_eq!(number, 5);
        assert_eq!(ready.has_newline(), Some(false));
        // As the next daemon takes it over.
        let mut ready = ReadyPipe::from(OwnedFd::from(ready.0));
        writer.write_all(b"nearly").expect("written");
        assert_eq!(ready.has_newline(), Some(false));
        writer.write_all(b" there\n").expect("written");
        assert_eq!(ready.has_newline(), Some(true));
        drop(writer);
        assert_eq!(ready.has_newline(), None);
    }
}
