//! One log that a server sends by `/logtail`, and the wait for several of them.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout};

use super::client::{RpcClient, ServerStream};
use super::error::CtlError;
use super::http::ResponseDecoder;
use super::terminal::InterruptWatch;

/// Number of bytes per read from the server.
const READ_SIZE: usize = 64 << 10;

/// Whether more can come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FeedEnd {
    GoesOn,
    Ended,
}

/// One log.
pub(super) struct LogFeed {
    stream: ServerStream,
    decoder: ResponseDecoder,
}

impl LogFeed {
    /// Requests the log at `path`. `query`: empty, or what the address has after the question mark.
    ///
    /// # Errors
    /// Connecting or sending failed.
    pub(super) fn open(client: &RpcClient, path: &str, query: &str) -> Result<Self, CtlError> {
        Ok(Self {
            stream: client.get(path, query)?,
            decoder: ResponseDecoder::new(),
        })
    }

    /// Reads once, and appends what came of the log. Blocks if nothing has arrived.
    ///
    /// # Errors
    /// The server does not speak HTTP; the user has to log in.
    pub(super) fn read_blocking(&mut self, out: &mut Vec<u8>) -> Result<FeedEnd, CtlError> {
        let mut buffer = vec![0; READ_SIZE];
        let count = match self.stream.read(&mut buffer) {
            Ok(count) => count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(FeedEnd::GoesOn),
            // The daemon has exited, which is the end of the log.
            Err(_) => 0,
        };
        let fed = self.decoder.feed(&buffer[..count], out);
        fed.map_err(|why| CtlError::Garbage(why.to_owned()))?;
        if let Some(head) = self.decoder.head().filter(|head| head.status == 401) {
            let (status, reason) = (head.status, head.reason.clone());
            return Err(CtlError::Http { status, reason });
        }
        let goes_on = count > 0 && !self.decoder.is_whole();
        Ok(match goes_on {
            true => FeedEnd::GoesOn,
            false => FeedEnd::Ended,
        })
    }

    /// The status of the response. `None`: the server has sent nothing yet.
    pub(super) fn status(&self) -> Option<u16> {
        self.decoder.head().map(|head| head.status)
    }

    /// The file that the bytes come from, in the server's words. `None`: the server does not name it.
    pub(super) fn file_name(&self) -> Option<&str> {
        self.decoder.head()?.log_file.as_deref()
    }

    /// Whether the server sends the log. False: it has sent nothing yet, or there is no such log.
    pub(super) fn is_accepted(&self) -> bool {
        self.status() == Some(200)
    }
}

/// Waits until feeds have data, and returns which ones. `None`: the interrupt key was pressed. `limit`: how long it waits
/// at most.
///
/// # Errors
/// EPIPE: the reader of standard output has ended.
pub(super) fn wait_for_feeds<'a>(
    watch: &InterruptWatch<'_>,
    feeds: impl Iterator<Item = &'a LogFeed>,
    limit: Option<Duration>,
) -> Result<Option<Vec<bool>>, CtlError> {
    let output = io::stdout();
    let mut fds = vec![
        PollFd::new(watch.as_fd(), PollFlags::POLLIN),
        // Requests no events: poll always reports errors.
        PollFd::new(output.as_fd(), PollFlags::empty()),
    ];
    fds.extend(feeds.map(|feed| PollFd::new(feed.stream.as_fd(), PollFlags::POLLIN)));
    let limit = limit.map(PollTimeout::try_from);
    let limit = limit.and_then(Result::ok).unwrap_or(PollTimeout::NONE);
    match nix::poll::poll(&mut fds, limit) {
        Ok(_) => {}
        Err(Errno::EINTR) => return Ok(Some(Vec::new())),
        Err(errno) => return Err(CtlError::Input(errno.into())),
    }
    let ready: Vec<bool> = fds.iter().map(|fd| fd.any().unwrap_or(true)).collect();
    match (ready[0], ready[1]) {
        (true, _) => Ok(None),
        (false, true) => Err(CtlError::Output(io::ErrorKind::BrokenPipe.into())),
        (false, false) => Ok(Some(ready[2..].to_vec())),
    }
}
