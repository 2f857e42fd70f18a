//! The daemon's side of the agent: its process, and the connection to it.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read as _, Write as _};
use std::net::Shutdown;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::User;

use super::find::NAME;
use super::protocol::{AgentOrder, AgentReport, FRAME_BYTES_MAX, write_frame};
use crate::domain::{ExitStatus, Signal};
use crate::sys::{
    self, ChildIds, ChildStdio, RegisteredChild, StartedProgram, UnprivilegedProgram,
};

/// The variables of the daemon that the agent gets.
const VARIABLES: [&str; 5] = ["PATH", "TZ", "SSL_CERT_FILE", "SSL_CERT_DIR", "LANG"];
/// The user of an agent that root starts.
const USER: &str = "nobody";
/// UID and GID of that user where the user database does not have it.
const NOBODY: u32 = 65534;
/// Maximum number of open files of the agent: some connections at a time.
const FILES_MAX: u64 = 256;
/// How long an agent may take to exit when its connection ends, and again when it is killed.
const EXIT_WAIT: Duration = Duration::from_secs(1);
/// How long an order may wait for room in the socket. An agent that works reads at once.
const SEND_WAIT: Duration = Duration::from_secs(5);
/// Number of bytes per read.
const CHUNK_BYTES: usize = 64 << 10;
/// Length of the length of a frame in bytes.
const LENGTH_BYTES: usize = 4;

/// How an agent is started.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentOptions {
    /// The user that the agent runs as if this process is root. A user that does not exist means UID and GID 65534.
    pub user: String,
    /// Its environment.
    pub environment: Vec<(OsString, OsString)>,
}

impl Default for AgentOptions {
    /// User `nobody`; of the environment only the variables for time, language and certificates, and PATH.
    fn default() -> Self {
        let variables = VARIABLES
            .iter()
            .filter_map(|name| Some((OsString::from(name), std::env::var_os(name)?)));
        Self {
            user: USER.to_owned(),
            environment: variables.collect(),
        }
    }
}

/// A running agent. Its descriptor ([`AsFd`]) is readable when a report may be there, and when the agent has exited.
///
/// After any error the connection is closed: end it and start another. Dropping it ends the agent.
#[derive(Debug)]
pub struct AgentProcess {
    socket: UnixStream,
    pid: i32,
    pidfd: OwnedFd,
    child: RegisteredChild,
    /// What was read and is not a whole frame yet.
    received: Vec<u8>,
    /// The connection was closed after an error.
    is_closed: bool,
    is_reaped: bool,
}

impl AgentProcess {
    /// Starts `program` as an agent. It has no descriptor but its end of the connection and /dev/null, no capability, and
    /// no way to get one; an agent that root starts has the user of the options.
    ///
    /// Works with and without threads and returns when the program is executed; its first report is
    /// [`AgentReport::Ready`]. A program that cannot be executed is an error of the first receiving call.
    ///
    /// # Errors
    /// ENOENT, EACCES: there is no such program. EAGAIN, EMFILE, ENOMEM.
    pub fn start(program: &Path, options: &AgentOptions) -> io::Result<Self> {
        let (socket, theirs) = UnixStream::pair()?;
        socket.set_nonblocking(true)?;
        let null = File::options().read(true).write(true).open("/dev/null")?;
        let ids = match sys::effective_uid() == 0 {
            true => ids_of(&options.user)?,
            false => ChildIds::Keep,
        };
        let program = UnprivilegedProgram {
            path: program,
            argv: &[OsStr::new(NAME)],
            environment: &options.environment,
            ids,
            keeps_privileges: false,
            umask: 0o077,
            files_max: FILES_MAX,
        };
        let StartedProgram { child, pid, pidfd } = program.start(ChildStdio {
            stdin: Some(theirs.into()),
            stdout: null.into(),
            stderr: None,
            ready: None,
        })?;
        Ok(Self {
            socket,
            pid,
            pidfd,
            child,
            received: Vec::new(),
            is_closed: false,
            is_reaped: false,
        })
    }

    /// The PID.
    #[must_use]
    pub const fn pid(&self) -> i32 {
        self.pid
    }

    /// Sends an order. Waits only if the agent does not read: five seconds at most.
    ///
    /// # Errors
    /// `InvalidData`: the order is too long; nothing was sent, and the connection stays. `TimedOut`, EPIPE,
    /// `NotConnected`: the connection is closed.
    pub fn send(&mut self, order: &AgentOrder) -> io::Result<()> {
        self.check_open()?;
        let mut frame = Vec::new();
        write_frame(&mut frame, order)?;
        let result = self.write_all(&frame);
        if result.is_err() {
            self.close();
        }
        result
    }

    /// Returns a report that is there, without waiting.
    ///
    /// # Errors
    /// `UnexpectedEof`: the agent has exited. `InvalidData`: it sent something else than a report within the limits.
    /// `NotConnected`: the connection was closed before. The connection is closed in any case.
    pub fn try_receive(&mut self) -> io::Result<Option<AgentReport>> {
        self.check_open()?;
        let result = self.next_report();
        if result.is_err() {
            self.close();
        }
        result
    }

    /// Waits for a report until `until`. `None`: none came.
    ///
    /// # Errors
    /// As [`AgentProcess::try_receive`].
    pub fn receive_until(&mut self, until: Instant) -> io::Result<Option<AgentReport>> {
        loop {
            if let Some(report) = self.try_receive()? {
                return Ok(Some(report));
            }
            if !wait_for(self.socket.as_fd(), PollFlags::POLLIN, until)? {
                return Ok(None);
            }
        }
    }

    /// Closes the connection, which ends the agent, and reaps it. Kills it if it has not exited within a second.
    pub fn end(mut self) {
        self.end_process();
    }

    fn check_open(&self) -> io::Result<()> {
        match self.is_closed {
            true => Err(io::ErrorKind::NotConnected.into()),
            false => Ok(()),
        }
    }

    fn close(&mut self) {
        self.is_closed = true;
        self.received = Vec::new();
        // ENOTCONN: the agent has closed it.
        let _ = self.socket.shutdown(Shutdown::Both);
    }

    fn write_all(&mut self, mut bytes: &[u8]) -> io::Result<()> {
        let until = Instant::now() + SEND_WAIT;
        while !bytes.is_empty() {
            match self.socket.write(bytes) {
                Ok(count) => bytes = &bytes[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    if !wait_for(self.socket.as_fd(), PollFlags::POLLOUT, until)? {
                        return Err(io::ErrorKind::TimedOut.into());
                    }
                }
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    fn next_report(&mut self) -> io::Result<Option<AgentReport>> {
        loop {
            if let Some(report) = take_report(&mut self.received)? {
                return Ok(Some(report));
            }
            let mut chunk = [0; CHUNK_BYTES];
            match self.socket.read(&mut chunk) {
                Ok(0) => return Err(self.exit_error()),
                Ok(count) => self.received.extend_from_slice(&chunk[..count]),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(None),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                    return Err(self.exit_error());
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// The error of an agent that has closed the connection, with its exit status.
    fn exit_error(&mut self) -> io::Error {
        let status = self.wait_and_reap(EXIT_WAIT);
        let text = match status {
            None => "the agent closed the connection".to_owned(),
            // See `sys::Spawner::spawn`.
            Some(ExitStatus::Exited(127)) => {
                "the agent could not be executed as another user without capabilities".to_owned()
            }
            Some(ExitStatus::Exited(code)) => format!("the agent exited with status {code}"),
            Some(status) => format!("the agent ended: {status:?}"),
        };
        io::Error::new(io::ErrorKind::UnexpectedEof, text)
    }

    /// Waits at most `limit` for the exit, and reaps the process. `None`: it runs, or was reaped before.
    fn wait_and_reap(&mut self, limit: Duration) -> Option<ExitStatus> {
        if self.is_reaped {
            return None;
        }
        // An error cannot be told from a process that runs.
        let _ = wait_for(
            self.pidfd.as_fd(),
            PollFlags::POLLIN,
            Instant::now() + limit,
        );
        let status = self.child.reap(&self.pidfd);
        self.is_reaped = status.is_some();
        status
    }

    fn end_process(&mut self) {
        self.close();
        if self.is_reaped || self.wait_and_reap(EXIT_WAIT).is_some() {
            return;
        }
        // ESRCH: it has exited.
        let _ = sys::send_signal(&self.pidfd, Signal::KILL);
        let _ = self.wait_and_reap(EXIT_WAIT);
    }
}

impl AsFd for AgentProcess {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

impl Drop for AgentProcess {
    fn drop(&mut self) {
        self.end_process();
    }
}

/// Removes the first frame from `received`. `None`: it is not whole.
fn take_report(received: &mut Vec<u8>) -> io::Result<Option<AgentReport>> {
    let Some(length) = received.first_chunk::<LENGTH_BYTES>() else {
        return Ok(None);
    };
    let length = u32::from_le_bytes(*length) as usize;
    if length > FRAME_BYTES_MAX {
        return Err(io::ErrorKind::InvalidData.into());
    }
    let end = LENGTH_BYTES + length;
    let Some(json) = received.get(LENGTH_BYTES..end) else {
        return Ok(None);
    };
    let report = serde_json::from_slice::<AgentReport>(json).ok();
    let report = report.filter(AgentReport::is_within_limits);
    received.drain(..end);
    if received.is_empty() {
        // A text of a megabyte must not keep its memory.
        received.shrink_to(CHUNK_BYTES);
    }
    report.map(Some).ok_or(io::ErrorKind::InvalidData.into())
}

/// Waits until `fd` is ready. `false`: it was not until `until`.
fn wait_for(fd: BorrowedFd<'_>, events: PollFlags, until: Instant) -> io::Result<bool> {
    loop {
        let left = until.saturating_duration_since(Instant::now());
        // Rounded up, so that the last millisecond is not spent in a loop.
        let left = left + Duration::from_micros(999);
        let wait = PollTimeout::try_from(left).unwrap_or(PollTimeout::MAX);
        match poll(&mut [PollFd::new(fd, events)], wait) {
            Ok(0) if Instant::now() >= until => return Ok(false),
            Ok(0) | Err(nix::errno::Errno::EINTR) => {}
            Ok(_) => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

/// The IDs of an agent that root starts: no supplementary groups.
fn ids_of(user: &str) -> io::Result<ChildIds> {
    let found = User::from_name(user)?;
    let (uid, gid) = found.map_or((NOBODY, NOBODY), |user| {
        (user.uid.as_raw(), user.gid.as_raw())
    });
    Ok(ChildIds::Become {
        uid,
        gid,
        groups: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::agent::protocol::{FailureKind, ItemFailure, NacosItem};

    /// A shell in the place of the agent. It reads commands from its socket; `script` is the first.
    fn start(script: &str) -> AgentProcess {
        let started = AgentProcess::start(Path::new("/bin/sh"), &AgentOptions::default());
        let mut agent = started.expect("started");
        agent
            .write_all(format!("{script}\n").as_bytes())
            .expect("sent");
        agent
    }

    /// A shell command that sends these bytes.
    fn sending(bytes: &[u8]) -> String {
        let octal: String = bytes.iter().map(|byte| format!("\\{byte:03o}")).collect();
        format!("printf '{octal}' >&0")
    }

    fn frame(report: &AgentReport) -> Vec<u8> {
        let mut bytes = Vec::new();
        write_frame(&mut bytes, report).expect("fits");
        bytes
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(20)
    }

    fn kind(result: io::Result<Option<AgentReport>>) -> io::ErrorKind {
        result.expect_err("closed").kind()
    }

    #[test]
    fn reports_are_received_whole_however_they_are_cut() {
        let bytes = [frame(&AgentReport::Ready), frame(&AgentReport::Ready)].concat();
        let (first, second) = bytes.split_at(9);
        let script = format!(
            "{}; sleep 0.05; {}; exec sleep 1000",
            sending(first),
            sending(second)
        );
        let mut agent = start(&script);
        for _ in 0..2 {
            let report = agent.receive_until(soon()).expect("connected");
            assert_eq!(report, Some(AgentReport::Ready));
        }
        assert_eq!(agent.try_receive().expect("connected"), None);
        let late = agent.receive_until(Instant::now() + Duration::from_millis(20));
        assert_eq!(late.expect("connected"), None);
        let pid = agent.pid();
        let begun = Instant::now();
        agent.end();
        assert!(begun.elapsed() < Duration::from_secs(10), "it was killed");
        assert!(!Path::new(&format!("/proc/{pid}")).exists());
    }

    #[test]
    fn a_foreign_frame_closes_the_connection() {
        let failure = AgentReport::Failed(ItemFailure {
            kind: FailureKind::Away,
            message: "two\nlines".to_owned(),
        });
        for bytes in [
            b"\x02\0\0\0{}".to_vec(),
            b"\xff\xff\xff\xff".to_vec(),
            frame(&failure),
        ] {
            let mut agent = start(&format!("{}; exec sleep 1000", sending(&bytes)));
            assert_eq!(
                kind(agent.receive_until(soon())),
                io::ErrorKind::InvalidData
            );
            assert_eq!(kind(agent.try_receive()), io::ErrorKind::NotConnected);
            let item = NacosItem::default();
            let sent = agent.send(&AgentOrder::Read { id: 1, item });
            assert_eq!(
                sent.expect_err("closed").kind(),
                io::ErrorKind::NotConnected
            );
        }
    }

    #[test]
    fn an_agent_that_exits_is_an_error_with_its_status() {
        let mut agent = start("exit 2");
        let error = agent.receive_until(soon()).expect_err("exited");
        assert_eq!(error.kind(), io::ErrorKind::UnexpectedEof);
        assert_eq!(error.to_string(), "the agent exited with status 2");
        let absent = AgentProcess::start(Path::new("/nosuch/agent"), &AgentOptions::default());
        assert_eq!(
            absent.map(drop).expect_err("absent").kind(),
            io::ErrorKind::NotFound
        );
    }
}
