//! Follows logs for `tail -f` and `fg`. One loop waits for the server, the user's input, the interrupt key, and the
//! closing of our output.

use std::io::{self, IsTerminal, Read};
use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::client::{RpcClient, ServerStream};
use super::error::CtlError;
use super::http::ResponseDecoder;
use super::printable::PrintableDecoder;
use super::render;
use super::session::CtlSession;
use super::terminal::InterruptWatch;
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;

const HINT: &str = "==> Press Ctrl-C to exit <==";
/// Number of bytes per read from the server.
const READ_SIZE: usize = 64 << 10;

/// One followed log.
struct LogFeed {
    url: String,
    stream: ServerStream,
    decoder: ResponseDecoder,
    /// Makes the log safe for a terminal. `None`: the log is written unchanged.
    // Differs: Supervisor writes all bytes of the log to a terminal.
    printable: Option<PrintableDecoder>,
}

impl LogFeed {
    /// Requests the log. `None`: the request failed, and the error has been printed.
    fn open(client: &RpcClient, path: &str) -> Result<Option<Self>, CtlError> {
        let url = format!("{}{path}", client.url());
        match client.get(path, "") {
            Ok(stream) => Ok(Some(Self {
                url,
                stream,
                decoder: ResponseDecoder::new(),
                printable: io::stdout().is_terminal().then(PrintableDecoder::default),
            })),
            Err(CtlError::Io(error)) => {
                let failure = CtlError::Io(error).to_string();
                let (class, text) = failure.split_once(", ").unwrap_or((&failure, ""));
                eprint_line(&format!("{url} Cannot connect, error: {class} ({text})"));
                Ok(None)
            }
            Err(failure) => Err(failure),
        }
    }

    /// Reads available data and appends it to `out`. Returns false at the end of the log.
    fn pump(&mut self, buffer: &mut [u8], out: &mut Vec<u8>) -> Result<bool, CtlError> {
        let count = match self.stream.read(buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(true),
            // The daemon has exited, which is the end of the log.
            Err(_) => 0,
        };
        let before = out.len();
        self.decoder
            .feed(&buffer[..count], out)
            .map_err(|why| CtlError::Garbage(why.to_owned()))?;
        match self.decoder.head().map(|head| head.status) {
            Some(200) | None => {}
            Some(status) => {
                out.truncate(before);
                eprint_line(&format!("{} Cannot read, status code {status}", self.url));
                return Ok(false);
            }
        }
        let goes_on = count > 0 && !self.decoder.is_whole();
        if let Some(printable) = &mut self.printable {
            let text = printable.next(&out.split_off(before));
            out.extend_from_slice(text.as_bytes());
            if !goes_on {
                out.extend_from_slice(printable.end().as_bytes());
            }
        }
        Ok(goes_on)
    }
}

/// Prints a line on standard error. Errors are ignored, because standard error may be closed.
fn eprint_line(line: &str) {
    use std::io::Write as _;
    let _ = writeln!(io::stderr(), "{line}");
}

/// Why the loop returned.
enum WakeReason {
    Interrupt,
    Input,
    Feeds,
    NobodyReads,
}

/// Waits until something happens. Feeds with data are read, and feeds at their end are removed.
fn wait_for_input(
    session: &mut CtlSession,
    watch: &InterruptWatch<'_>,
    feeds: &mut Vec<LogFeed>,
    with_input: bool,
    buffer: &mut [u8],
) -> Result<WakeReason, CtlError> {
    let (input, output) = (io::stdin(), io::stdout());
    let ready: Vec<bool> = {
        let mut fds = vec![
            PollFd::new(watch.as_fd(), PollFlags::POLLIN),
            // Requests no events: poll always reports errors.
            PollFd::new(output.as_fd(), PollFlags::empty()),
        ];
        fds.extend(
            feeds
                .iter()
                .map(|feed| PollFd::new(feed.stream.as_fd(), PollFlags::POLLIN)),
        );
        if with_input {
            fds.push(PollFd::new(input.as_fd(), PollFlags::POLLIN));
        }
        match nix::poll::poll(&mut fds, PollTimeout::NONE) {
            Ok(_) => {}
            Err(Errno::EINTR) => return Ok(WakeReason::Feeds),
            Err(errno) => return Err(CtlError::Input(errno.into())),
        }
        fds.iter().map(|fd| fd.any().unwrap_or(true)).collect()
    };
    if ready[0] {
        return Ok(WakeReason::Interrupt);
    }
    if ready[1] {
        return Ok(WakeReason::NobodyReads);
    }
    let mut out = Vec::new();
    let mut index = 2;
    let mut failed = None;
    feeds.retain_mut(|feed| {
        let is_ready = ready.get(index).copied().unwrap_or(false);
        index += 1;
        !is_ready
            || feed.pump(buffer, &mut out).unwrap_or_else(|failure| {
                failed = Some(failure);
                false
            })
    });
    session.write(&out)?;
    session.flush()?;
    match failed {
        Some(failure) => Err(failure),
        None if with_input && ready.last().copied().unwrap_or(false) => Ok(WakeReason::Input),
        None => Ok(WakeReason::Feeds),
    }
}

/// Prints the log at `path` as it grows, until the interrupt key is pressed or the daemon exits.
pub(super) fn tail(session: &mut CtlSession, path: &str) -> Result<(), CtlError> {
    // Before the hint, because the user may press the key on reading it.
    let interrupts = session.interrupts()?;
    let watch = interrupts.watch();
    session.say(HINT)?;
    session.flush()?;
    let mut feeds: Vec<LogFeed> = LogFeed::open(&session.client, path)?.into_iter().collect();
    let mut buffer = vec![0; READ_SIZE];
    while !feeds.is_empty() {
        match wait_for_input(session, &watch, &mut feeds, false, &mut buffer)? {
            WakeReason::Interrupt => return session.say(""),
            WakeReason::NobodyReads => return Err(stdout_closed()),
            WakeReason::Input | WakeReason::Feeds => {}
        }
    }
    Ok(())
}

fn stdout_closed() -> CtlError {
    CtlError::Output(io::ErrorKind::BrokenPipe.into())
}

/// Prints both logs of a process as they grow, and sends the user's lines to its standard input.
pub(super) fn foreground(session: &mut CtlSession, name: &str) -> Result<(), CtlError> {
    // Before the hint, because the user may press the key on reading it.
    let interrupts = session.interrupts()?;
    let watch = interrupts.watch();
    session.say(HINT)?;
    session.flush()?;
    let mut feeds = Vec::new();
    for channel in ["stdout", "stderr"] {
        feeds.extend(LogFeed::open(
            &session.client,
            &format!("/logtail/{name}/{channel}"),
        )?);
    }
    let mut buffer = vec![0; READ_SIZE];
    loop {
        while let Some(line) = session.input.buffered_line() {
            if !send_stdin_line(session, name, line)? {
                return session.say("Exiting foreground");
            }
        }
        if session.input.ended() {
            return session.say("Exiting foreground");
        }
        match wait_for_input(session, &watch, &mut feeds, true, &mut buffer)? {
            WakeReason::Interrupt => return session.say("Exiting foreground"),
            WakeReason::NobodyReads => return Err(stdout_closed()),
            WakeReason::Input => session.input.fill().map_err(CtlError::Input)?,
            WakeReason::Feeds => {}
        }
    }
}

/// Sends a line to the process. Returns false if the session is over.
fn send_stdin_line(
    session: &mut CtlSession,
    name: &str,
    mut line: String,
) -> Result<bool, CtlError> {
    line.push('\n');
    match session.call(
        "supervisor.sendProcessStdin",
        vec![RpcValue::text(name), RpcValue::text(line)],
    ) {
        Ok(_) => Ok(true),
        Err(CtlError::Fault(fault)) => {
            if fault.code == i64::from(FaultCode::NotRunning.code()) {
                session.say("Process got killed")?;
            } else {
                session.say(&format!("ERROR: {}", render::fault(&fault)))?;
            }
            Ok(false)
        }
        Err(failure) => Err(failure),
    }
}
