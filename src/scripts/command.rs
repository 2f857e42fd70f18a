//! One run of a command: its process, its output and its end.

use std::os::fd::OwnedFd;
use std::sync::Arc;
use std::time::Duration;

use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::net::unix::pipe;
use tokio::sync::oneshot;

use crate::config::spec::{NotifySpec, ProcessKind, ProcessSpec};
use crate::domain::{ExitStatus, Signal};
use crate::effects::{SCRIPT_OUTPUT_MAX, ScriptFailure};
use crate::spawn::{CommandJob, CommandSender};
use crate::sys::{self, ChildStdio, RegisteredChild};

/// Size of one read of a command's output, in bytes.
const READ_BYTES: usize = 16 << 10;
/// A command that has written this much is read slowly from then on, so that a flood of output costs little.
const FAST_BYTES: usize = 64 << 10;
/// The pause between slow reads.
const SLOW_PAUSE: Duration = Duration::from_millis(10);

/// How long a killed command may take to exit. A process that waits for a dead disk takes longer.
const KILL_WAIT: Duration = Duration::from_secs(1);

/// The process of a command. Dropping it kills the process group, unless the process has been reaped.
pub(super) struct CommandProcess {
    child: RegisteredChild,
    pid: i32,
    pidfd: AsyncFd<OwnedFd>,
    is_reaped: bool,
}

/// The result of a command: its failure, and the end of its output.
pub(super) type CommandResult = (Option<ScriptFailure>, Vec<u8>);

impl CommandProcess {
    fn kill(&self) {
        // ESRCH: it has exited.
        let _ = sys::send_group_signal(self.pidfd.get_ref(), self.pid, Signal::KILL);
    }

    async fn wait(&mut self) -> ExitStatus {
        loop {
            // An error cannot be told from an exit here; the status is then unknown.
            let ready = self.pidfd.readable().await;
            if let Some(status) = self.child.reap(self.pidfd.get_ref()) {
                self.is_reaped = true;
                return status;
            }
            match ready {
                Ok(mut ready) => ready.clear_ready(),
                Err(_) => return ExitStatus::Unknown(0),
            }
        }
    }
}

impl Drop for CommandProcess {
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
        }
    }
}

/// A command, and what it gets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Command<'a> {
    pub(super) text: &'a str,
    /// Variables besides those of the process.
    pub(super) variables: &'a [(String, String)],
    /// What it reads on standard input. Empty: nothing.
    pub(super) input: &'a str,
}

/// Runs `command` as the process described by `spec`, and waits for its exit. When `stop` is ready, its process group is
/// killed.
pub(super) async fn run(
    sender: &CommandSender,
    spec: &ProcessSpec,
    command: Command<'_>,
    stop: impl Future<Output = ScriptFailure>,
) -> CommandResult {
    let mut output = Vec::new();
    let mut stop = std::pin::pin!(stop);
    let started = tokio::select! {
        started = start(sender, spec, command) => started,
        why = &mut stop => Err(why),
    };
    let (mut process, mut pipe) = match started {
        Ok(started) => started,
        Err(failure) => return (Some(failure), output),
    };
    let status = async {
        tokio::select! {
            // The exit first: a process that stays in the background may hold the pipe open.
            biased;
            status = process.wait() => return status,
            () = read(&mut pipe, &mut output) => {}
        }
        process.wait().await
    };
    let failure = tokio::select! {
        status = status => match status {
            ExitStatus::Exited(0) => None,
            status => Some(ScriptFailure::Ended(status)),
        },
        why = stop => {
            process.kill();
            let _ = tokio::time::timeout(KILL_WAIT, process.wait()).await;
            Some(why)
        }
    };
    read_rest(&pipe, &mut output);
    (failure, output)
}

async fn start(
    sender: &CommandSender,
    spec: &ProcessSpec,
    command: Command<'_>,
) -> Result<(CommandProcess, pipe::Receiver), ScriptFailure> {
    let failed = |error: std::io::Error| ScriptFailure::NotStarted(error.to_string());
    let (reader, writer) = std::io::pipe().map_err(failed)?;
    // A memory file, unlike a pipe, needs nobody who writes while the command reads.
    let stdin = match command.input {
        "" => None,
        text => Some(sys::sealed_memory("notification", text.as_bytes()).map_err(failed)?),
    };
    let (result, started) = oneshot::channel();
    sender.send(CommandJob {
        spec: Arc::new(spec_of(spec, command)),
        stdio: ChildStdio {
            stdin,
            stdout: writer.into(),
            stderr: None,
            ready: None,
        },
        started: Box::new(move |child| {
            // The thread stopped waiting. The code that reaps orphans reaps the child.
            if let Err(Ok((_child, pid, pidfd))) = result.send(child) {
                let _ = sys::send_group_signal(&pidfd, pid, Signal::KILL);
            }
        }),
    });
    let (child, pid, pidfd) = match started.await {
        Ok(Ok(child)) => child,
        Ok(Err(error)) => return Err(ScriptFailure::NotStarted(error.to_string())),
        // The spawner threads have ended.
        Err(_) => return Err(ScriptFailure::Cancelled),
    };
    let kill = |pidfd: &OwnedFd| {
        let _ = sys::send_group_signal(pidfd, pid, Signal::KILL);
    };
    #[expect(
        deprecated,
        reason = "an owned descriptor stays open and the same for as long as the value exists"
    )]
    let pidfd = AsyncFd::try_with_interest(pidfd, Interest::READABLE).map_err(|error| {
        let (pidfd, error) = error.into_parts();
        kill(&pidfd);
        failed(error)
    })?;
    let process = CommandProcess {
        child,
        pid,
        pidfd,
        is_reaped: false,
    };
    let pipe = pipe::Receiver::from_owned_fd(reader.into()).map_err(failed)?;
    Ok((process, pipe))
}

/// Describes the command as a process like `spec` that has no pipes, sockets or channels of its own.
fn spec_of(spec: &ProcessSpec, command: Command<'_>) -> ProcessSpec {
    let mut environment = spec.environment.to_vec();
    environment.extend_from_slice(command.variables);
    ProcessSpec {
        command: Arc::from(command.text),
        kind: ProcessKind::Program,
        notify: NotifySpec::default(),
        environment: environment.into(),
        ..spec.clone()
    }
}

/// Reads output until the end of the pipe, and keeps the last bytes.
async fn read(pipe: &mut pipe::Receiver, output: &mut Vec<u8>) {
    let mut total = 0;
    while pipe.readable().await.is_ok() {
        match read_once(pipe, output) {
            Some(0) => return,
            Some(bytes) => total += bytes,
            None => {}
        }
        if total > FAST_BYTES {
            tokio::time::sleep(SLOW_PAUSE).await;
        }
    }
}

/// Reads what the pipe holds after the exit of the command.
fn read_rest(pipe: &pipe::Receiver, output: &mut Vec<u8>) {
    // A pipe holds 64 KiB. A process that the command left behind may go on to write.
    for _ in 0..FAST_BYTES / READ_BYTES {
        if !matches!(read_once(pipe, output), Some(1..)) {
            return;
        }
    }
}

/// Reads once. Returns the number of bytes; 0: end of file, or the pipe is broken. `None`: there is nothing to read.
fn read_once(pipe: &pipe::Receiver, output: &mut Vec<u8>) -> Option<usize> {
    let mut chunk = [0; READ_BYTES];
    match pipe.try_read(&mut chunk) {
        Ok(bytes) => {
            output.extend_from_slice(&chunk[..bytes]);
            let excess = output.len().saturating_sub(SCRIPT_OUTPUT_MAX);
            output.drain(..excess);
            Some(bytes)
        }
        Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => None,
        Err(_) => Some(0),
    }
}
