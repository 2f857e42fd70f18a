//! One log that `logs -f` follows: over rotations of its file, and over upgrades and restarts of the daemon.
//!
//! Our daemon names the file of a response and ends the response with the file. A request for what follows names the file
//! and the position, so no line is missing and none comes twice.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::client::RpcClient;
use super::error::CtlError;
use super::log_feed::{FeedEnd, LogFeed};
use super::log_lines::LineSplitter;

/// Interval of attempts to connect.
pub(super) const RECONNECT_PAUSE: Duration = Duration::from_millis(100);
/// How long the client waits for a daemon that does not answer.
const GONE_AFTER: Duration = Duration::from_secs(5);
/// What the server sends in place of the bytes of a file that has become shorter. It reads the file from the beginning then.
const TRUNCATED: &[u8] = b"==> File truncated <==\n";
/// How long before the loss of a connection a line can have been written that had not arrived, in seconds.
const LATENCY_SECONDS: u64 = 1;

/// Where the log is followed from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum FollowFrom {
    /// From this position of the file on.
    Position(u64),
    /// What the address of a log in the journal has after the question mark.
    Journal(String),
    /// From the last bytes on. The server is Supervisor's, which knows no positions.
    LastBytes,
}

/// What becomes of a log after a read or an attempt to connect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum FollowState {
    GoesOn,
    /// The same log goes on after the connection was lost.
    IsBack,
    /// The log cannot be followed any more.
    Ended,
}

/// One log that is followed.
pub(super) struct FollowedLog {
    path: String,
    from: FollowFrom,
    /// The file to which the position belongs, in the server's words. Empty: not known yet.
    file: String,
    /// `None`: the connection is lost.
    feed: Option<LogFeed>,
    splitter: LineSplitter,
    was_accepted: bool,
    /// Since when no server has sent the log.
    lost_since: Option<Instant>,
    /// When the last attempt to connect was.
    tried: Option<Instant>,
}

impl FollowedLog {
    /// Creates the log without a request.
    fn unopened(path: String, from: FollowFrom) -> Self {
        Self {
            path,
            from,
            file: String::new(),
            feed: None,
            splitter: LineSplitter::default(),
            was_accepted: false,
            lost_since: None,
            tried: None,
        }
    }

    /// Requests the log at `path`.
    ///
    /// # Errors
    /// Connecting or sending failed.
    pub(super) fn open(
        client: &RpcClient,
        path: String,
        from: FollowFrom,
    ) -> Result<Self, CtlError> {
        let mut log = Self::unopened(path, from);
        log.feed = Some(LogFeed::open(client, &log.path, &log.query())?);
        Ok(log)
    }

    fn query(&self) -> String {
        match &self.from {
            FollowFrom::Position(position) => format!("from={position}&file={}", self.file),
            FollowFrom::Journal(query) => query.clone(),
            FollowFrom::LastBytes => String::new(),
        }
    }

    /// The connection. `None`: it is lost, and [`FollowedLog::reconnect`] is due after [`RECONNECT_PAUSE`].
    pub(super) const fn feed(&self) -> Option<&LogFeed> {
        self.feed.as_ref()
    }

    /// Whether a server has sent the log.
    pub(super) const fn was_accepted(&self) -> bool {
        self.was_accepted
    }

    /// Reads what has arrived and passes on the lines.
    ///
    /// # Errors
    /// As [`LogFeed::read_blocking`].
    pub(super) fn pump(&mut self, mut show: impl FnMut(&[u8])) -> Result<FollowState, CtlError> {
        let Some(feed) = &mut self.feed else {
            return Ok(FollowState::GoesOn);
        };
        let mut text = Vec::new();
        let end = feed.read_blocking(&mut text)?;
        let status = feed.status();
        let mut state = FollowState::GoesOn;
        if status == Some(200) {
            let name = feed.file_name().unwrap_or_default().to_owned();
            if self.accept(&name) {
                state = FollowState::IsBack;
            }
            self.advance(&text);
            self.splitter.push(&text, &mut show);
        }
        if end == FeedEnd::GoesOn {
            return Ok(state);
        }
        self.feed = None;
        // 503: the daemon stops or starts.
        let may_return = self.was_accepted && matches!(status, Some(200 | 503) | None);
        if !may_return || self.from == FollowFrom::LastBytes {
            self.splitter.end(&mut show);
            return Ok(FollowState::Ended);
        }
        self.lose();
        Ok(state)
    }

    /// Notes that the server sends this file. Returns whether the same log goes on after a loss.
    fn accept(&mut self, name: &str) -> bool {
        self.was_accepted = true;
        let was_lost = self.lost_since.take().is_some();
        let is_other = !name.is_empty() && name != self.file;
        if let FollowFrom::Position(position) = &mut self.from
            && is_other
        {
            // The first response is about the file whose length the client knows.
            if !self.file.is_empty() {
                *position = 0;
            }
            name.clone_into(&mut self.file);
        }
        // The response of a file that was rotated ends too.
        was_lost && !is_other
    }

    /// Counts bytes that have arrived.
    fn advance(&mut self, text: &[u8]) {
        let FollowFrom::Position(position) = &mut self.from else {
            return;
        };
        let is_mark = |part: &[u8]| part == TRUNCATED;
        match text.windows(TRUNCATED.len()).rposition(is_mark) {
            Some(at) => *position = (text.len() - at - TRUNCATED.len()) as u64,
            None => *position += text.len() as u64,
        }
    }

    /// Notes that the connection is lost.
    fn lose(&mut self) {
        // A second loss in a row is an attempt that failed.
        if self.lost_since.is_none() {
            self.tried = None;
        }
        self.lost_since.get_or_insert_with(Instant::now);
        if let FollowFrom::Journal(query) = &mut self.from {
            let now = SystemTime::now().duration_since(UNIX_EPOCH);
            let now = now.map_or(0, |since| since.as_secs());
            *query = format!("since={}", now.saturating_sub(LATENCY_SECONDS));
        }
    }

    /// Connects again if the connection is lost and the last attempt is a while ago.
    pub(super) fn reconnect(&mut self, client: &RpcClient) -> FollowState {
        let is_early = |tried: Instant| tried.elapsed() < RECONNECT_PAUSE;
        if self.feed.is_some() || self.tried.is_some_and(is_early) {
            return FollowState::GoesOn;
        }
        self.tried = Some(Instant::now());
        match LogFeed::open(client, &self.path, &self.query()) {
            Ok(feed) => {
                self.feed = Some(feed);
                FollowState::GoesOn
            }
            Err(_) => match self.lost_since {
                Some(since) if since.elapsed() < GONE_AFTER => FollowState::GoesOn,
                _ => FollowState::Ended,
            },
        }
    }

    /// Passes on what has no line end.
    pub(super) fn end(&mut self, show: impl FnOnce(&[u8])) {
        self.splitter.end(show);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn log(from: FollowFrom) -> FollowedLog {
        FollowedLog::unopened("/logtail/web/stdout".to_owned(), from)
    }

    #[test]
    fn a_position_belongs_to_its_file() {
        let mut log = log(FollowFrom::Position(100));
        assert_eq!(log.query(), "from=100&file=");
        assert!(!log.accept("a"), "nothing was lost");
        log.advance(b"12345");
        assert_eq!(log.query(), "from=105&file=a");
        log.lose();
        assert!(log.accept("a"), "another daemon sends the same file");
        log.lose();
        assert!(!log.accept("b"), "the file was rotated");
        log.advance(b"123");
        assert_eq!(log.query(), "from=3&file=b");
        log.advance(b"4\n==> File truncated <==\nnew\n");
        assert_eq!(log.query(), "from=4&file=b");
    }

    #[test]
    fn a_journal_goes_on_from_the_time_of_the_loss() {
        let mut log = log(FollowFrom::Journal("lines=10".to_owned()));
        assert!(!log.accept(""));
        log.advance(b"text\n");
        assert_eq!(log.query(), "lines=10");
        log.lose();
        assert!(log.query().starts_with("since=1"), "{}", log.query());
        assert!(log.accept(""));
    }
}
