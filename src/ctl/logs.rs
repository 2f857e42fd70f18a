//! The action `logs`: the logs of many processes, both streams together, as they are and as they grow.
//!
//! History comes by `tailProcess…Log`, what follows by `/logtail`, which Supervisor has too. Our daemon sends what is appended
//! from a position on, and the lines of a log that is only in the journal.

use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use super::error::CtlError;
use super::followed_log::{FollowFrom, FollowState, FollowedLog, RECONNECT_PAUSE};
use super::line_output::LineOutput;
use super::log_feed::{FeedEnd, LogFeed, wait_for_feeds};
use super::log_lines::{LineFilter, duration};
use super::log_prefix::{LogLabel, LogPrefix};
use super::reply::{self, ProcessInfo};
use super::session::CtlSession;
use super::{exit, status};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::config::shlex::shlex_split;
use crate::domain::Channel;

/// Number of lines of each log that are shown by default.
const LINES_DEFAULT: usize = 10;
/// Number of bytes of a log that are read first. If they have too few lines, more are read.
const READ_BYTES: i64 = 64 << 10;
/// Maximum number of bytes that are read of a log. The daemon gives no more at once to clients that it does not trust.
const READ_BYTES_MAX: i64 = 16 << 20;
/// Maximum number of logs that are followed. The daemon serves 256.
const FEEDS_MAX: usize = 200;
/// Maximum number of lines that the server reads from the journal.
const JOURNAL_LINES_MAX: usize = 10_000;
/// How long a terminal may take for the last lines.
const FLUSH_LIMIT: Duration = Duration::from_secs(1);
/// Minimum time between two warnings that the connection was lost.
const TELL_EVERY: Duration = Duration::from_secs(2);
const CHANNELS: [Channel; 2] = [Channel::Stdout, Channel::Stderr];

/// The options and names of `logs`.
#[derive(Debug, Default)]
struct LogsWords {
    follows: bool,
    is_json: bool,
    /// `None`: not given.
    lines: Option<usize>,
    filter: LineFilter,
    names: Vec<String>,
}

impl LogsWords {
    /// Parses the words. `now`: seconds since the epoch.
    ///
    /// # Errors
    /// What is wrong.
    fn parse(arguments: &str, now: i64) -> Result<Self, String> {
        let mut parsed = Self::default();
        let split = shlex_split(arguments).map_err(|error| error.to_string())?;
        let mut words = split.into_iter();
        while let Some(word) = words.next() {
            let mut value = |option: &str| match word.strip_prefix(option) {
                Some("") => words
                    .next()
                    .ok_or_else(|| format!("{option} lacks its value")),
                Some(joined) => Ok(joined.strip_prefix('=').unwrap_or(joined).to_owned()),
                None => Ok(String::new()),
            };
            match word.as_str() {
                "-f" => parsed.follows = true,
                "--json" | "-ojson" | "-o=json" => parsed.is_json = true,
                "-o" => match words.next().as_deref() {
                    Some("json") => parsed.is_json = true,
                    _ => return Err("-o takes json".to_owned()),
                },
                _ if word.starts_with("-n") => {
                    let count = value("-n")?;
                    let lines = count
                        .parse()
                        .map_err(|_| format!("bad number of lines '{count}'"))?;
                    parsed.lines = Some(lines);
                }
                _ if word.starts_with("--since") => {
                    let text = value("--since")?;
                    let seconds = duration(&text).ok_or_else(|| {
                        format!("bad duration '{text}' (such as 90, 90s, 10m, 2h or 1d)")
                    })?;
                    let since = now.saturating_sub(seconds).saturating_mul(1_000_000);
                    parsed.filter.since = Some(since);
                }
                _ if word.starts_with("--grep") => {
                    let text = value("--grep")?;
                    let pattern = LineFilter::parse_pattern(&text);
                    parsed.filter.pattern =
                        Some(pattern.map_err(|error| format!("bad pattern: {error}"))?);
                }
                _ => parsed.names.push(word),
            }
        }
        Ok(parsed)
    }

    /// The number of lines of each log. `None`: all that are read.
    fn most(&self) -> Option<usize> {
        let is_selected = self.filter.since.is_some() || self.filter.pattern.is_some();
        self.lines.or((!is_selected).then_some(LINES_DEFAULT))
    }
}

/// One log of one process.
struct LogOf {
    label: LogLabel,
    /// The name as requests take it.
    namespec: String,
    channel: Channel,
    /// Whether the log is a file. False: it is in the journal, or not stored, or the server does not say.
    is_file: bool,
    /// The length of the file when it was read, in bytes.
    size: i64,
}

impl LogOf {
    /// The address of the log.
    fn path(&self) -> String {
        format!("/logtail/{}/{}", self.namespec, self.channel.name())
    }
}

/// The action `logs [-f] [-n lines] [--since time] [--grep pattern] [--json] name…`.
pub(super) fn logs(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    let now = now.map_or(0, |since| {
        i64::try_from(since.as_secs()).unwrap_or(i64::MAX)
    });
    let words = match LogsWords::parse(arguments, now) {
        Ok(words) => words,
        Err(text) => return session.usage(&format!("Error: {text}"), exit::INVALID_ARGUMENTS),
    };
    if words.names.is_empty() {
        let text = "Error: logs requires a process name";
        return session.usage(text, exit::INVALID_ARGUMENTS);
    }
    // The output is lines of JSON; errors must not mix with them.
    session.json = words.is_json;
    let names: Vec<&str> = words.names.iter().map(String::as_str).collect();
    let processes = status::all_processes(session)?;
    let is_ours = session.has_tables;
    let (shown, unknown) = match names.contains(&"all") {
        true => (processes.iter().collect(), Vec::new()),
        false => status::select(&processes, &names),
    };
    for (name, error) in unknown {
        session.refuse(&format!("{name}: ERROR ({error})"))?;
        session.report.unknown.push(name.to_owned());
    }
    // Each line of a log is an object.
    session.report.has_document = !shown.is_empty();
    let mut logs: Vec<LogOf> = shown.iter().flat_map(|process| logs_of(process)).collect();
    if words.follows && logs.len() > FEEDS_MAX {
        return session.refuse(&format!(
            "Error: {} logs are too many to follow, at most {FEEDS_MAX} (name fewer processes)",
            logs.len()
        ));
    }
    if words.follows {
        // Before another thread starts, which must not take the interrupt.
        session.interrupts()?;
    }
    let output = LineOutput::stdout().map_err(CtlError::Output)?;
    let prefix = LogPrefix::new(logs.iter().map(|log| &log.label), words.is_json);
    session.flush()?;
    let view = LogsView {
        words: &words,
        prefix,
        output,
        is_ours,
    };
    view.show_history(session, &mut logs)?;
    if words.follows && !logs.is_empty() {
        view.follow(session, &logs)?;
    }
    view.output.flush(FLUSH_LIMIT).map_err(CtlError::Output)
}

fn logs_of(process: &ProcessInfo) -> impl Iterator<Item = LogOf> {
    let files = [&process.stdout_logfile, &process.stderr_logfile];
    CHANNELS
        .into_iter()
        .zip(files)
        .map(|(channel, file)| LogOf {
            label: LogLabel::new(&process.group, &process.name, channel),
            namespec: process.namespec(),
            channel,
            is_file: !file.is_empty(),
            size: 0,
        })
}

/// How logs are shown.
struct LogsView<'a> {
    words: &'a LogsWords,
    prefix: LogPrefix,
    output: LineOutput,
    /// Whether the server is ours, which can send a log from a position on, and a log of the journal.
    is_ours: bool,
}

/// A line of the history: its time, if it has one, and what is written.
type HistoryLine = (Option<i64>, Vec<u8>);

impl LogsView<'_> {
    fn write(&self, line: Vec<u8>) -> Result<(), CtlError> {
        self.output.write(line).map_err(CtlError::Output)
    }

    /// Shows the end of each log: in order of time if each line has a time, otherwise one log after another.
    fn show_history(&self, session: &mut CtlSession, logs: &mut [LogOf]) -> Result<(), CtlError> {
        let mut lines: Vec<HistoryLine> = Vec::new();
        for log in logs {
            // These come with the first bytes that are followed.
            let is_followed = self.words.follows && !(self.is_ours && log.is_file);
            if self.words.lines == Some(0) && self.is_ours && !log.is_file || is_followed {
                continue;
            }
            let found = match log.is_file || !self.is_ours {
                true => self.read_file(session, log)?,
                false => self.read_journal(session, log)?,
            };
            lines.extend(found);
        }
        if lines.iter().all(|(time, _)| time.is_some()) {
            lines.sort_by_key(|(time, _)| *time);
        }
        session.flush()?;
        for (_, line) in lines {
            self.write(line)?;
        }
        self.output.flush(FLUSH_LIMIT).map_err(CtlError::Output)
    }

    /// Reads the end of a log file. Reads more and more until there are enough lines.
    fn read_file(
        &self,
        session: &mut CtlSession,
        log: &mut LogOf,
    ) -> Result<Vec<HistoryLine>, CtlError> {
        let method = match log.channel {
            Channel::Stdout => "supervisor.tailProcessStdoutLog",
            Channel::Stderr => "supervisor.tailProcessStderrLog",
        };
        let most = self.words.most();
        let mut length = READ_BYTES;
        loop {
            let params = vec![
                RpcValue::text(log.namespec.as_str()),
                RpcValue::Int(0),
                RpcValue::Int(length),
            ];
            let answer = match session.call(method, params) {
                Err(failure) if failure.is_fault(FaultCode::NoFile) => return Ok(Vec::new()),
                Err(CtlError::Fault(fault)) => {
                    session.refuse(&format!("{}: ERROR ({})", log.label, fault.text))?;
                    return Ok(Vec::new());
                }
                answer => answer?,
            };
            let (text, size, is_cut) = reply::log_tail(&answer)?;
            log.size = size;
            let found = self.words.filter.select(text.as_bytes(), is_cut, most);
            let count = found.as_ref().map_or(0, Vec::len);
            let is_enough = most.is_some_and(|most| count >= most);
            if is_cut && !is_enough && length < READ_BYTES_MAX {
                length *= 4;
                continue;
            }
            let Some(found) = found else {
                self.warn_timeless(session, log)?;
                return Ok(Vec::new());
            };
            if is_cut && most.is_none() {
                let mib = READ_BYTES_MAX >> 20;
                session.warn(&format!(
                    "{}: only the last {mib} MiB were searched",
                    log.label
                ))?;
            }
            let show = |(time, line)| (time, self.prefix.line(&log.label, line));
            return Ok(found.into_iter().map(show).collect());
        }
    }

    fn warn_timeless(&self, session: &mut CtlSession, log: &LogOf) -> Result<(), CtlError> {
        session.warn(&format!(
            "{}: --since selects nothing, because the lines of the log have no time (use -n, or log_format=prefix)",
            log.label
        ))?;
        session.exit = exit::GENERIC;
        Ok(())
    }

    /// Reads the end of a log in the journal.
    fn read_journal(
        &self,
        session: &mut CtlSession,
        log: &LogOf,
    ) -> Result<Vec<HistoryLine>, CtlError> {
        let mut text = Vec::new();
        let query = self.journal_query(false);
        let mut feed = LogFeed::open(&session.client, &log.path(), &query)?;
        while feed.read_blocking(&mut text)? == FeedEnd::GoesOn {}
        if !feed.is_accepted() {
            return Ok(Vec::new());
        }
        // The journal has selected by time.
        let filter = LineFilter {
            pattern: self.words.filter.pattern.clone(),
            since: None,
        };
        let found = filter
            .select(&text, false, self.words.most())
            .unwrap_or_default();
        let show = |(time, line)| (time, self.prefix.line(&log.label, line));
        Ok(found.into_iter().map(show).collect())
    }

    /// Which lines of a log in the journal the server sends. `follows`: the response goes on.
    fn journal_query(&self, follows: bool) -> String {
        let from = match (self.words.filter.since, self.words.most()) {
            (Some(since), _) => format!("since={}", since / 1_000_000),
            (None, Some(most)) if self.words.filter.pattern.is_none() => format!("lines={most}"),
            (None, _) => format!("lines={JOURNAL_LINES_MAX}"),
        };
        match follows {
            true => from,
            false => from + "&follow=0",
        }
    }

    /// Shows what is appended to the logs until Ctrl-C, in order of arrival.
    fn follow(&self, session: &mut CtlSession, logs: &[LogOf]) -> Result<(), CtlError> {
        let interrupts = session.interrupts()?;
        let watch = interrupts.watch();
        let mut followed = Vec::new();
        for log in logs {
            let from = match (self.is_ours, log.is_file) {
                (true, true) => FollowFrom::Position(u64::try_from(log.size).unwrap_or(0)),
                (true, false) => FollowFrom::Journal(self.journal_query(true)),
                (false, _) => FollowFrom::LastBytes,
            };
            let one = FollowedLog::open(&session.client, log.path(), from)?;
            followed.push((log, one));
        }
        if !self.is_ours {
            session.warn("the server can only follow from the last 1024 bytes of each log on: -n and --since have no effect")?;
        }
        let mut is_lost = false;
        let mut told: Option<Instant> = None;
        while !followed.is_empty() {
            let is_waiting = followed.iter().any(|(_, one)| one.feed().is_none());
            let feeds = followed.iter().filter_map(|(_, one)| one.feed());
            let ready = wait_for_feeds(&watch, feeds, is_waiting.then_some(RECONNECT_PAUSE))?;
            let Some(ready) = ready else {
                self.write(b"\n".to_vec())?;
                return Ok(());
            };
            let mut ready = ready.into_iter();
            let mut failed = None;
            let mut is_back = false;
            followed.retain_mut(|(log, one)| {
                let is_ready = one.feed().is_some() && ready.next().unwrap_or(false);
                let pumped = match is_ready {
                    true => self.pump(log, one),
                    false => Ok(FollowState::GoesOn),
                };
                is_back |= matches!(pumped, Ok(FollowState::IsBack));
                let mut goes_on = !matches!(pumped, Err(_) | Ok(FollowState::Ended));
                failed = failed.take().or(pumped.err());
                if goes_on && one.reconnect(&session.client) == FollowState::Ended {
                    failed = failed.take().or(self.end(log, one).err());
                    goes_on = false;
                }
                is_lost |= !goes_on && one.was_accepted();
                goes_on
            });
            if let Some(failure) = failed {
                return Err(failure);
            }
            // All logs of a daemon come back at about the same time.
            if is_back && told.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
                session.warn(
                    "the connection to the server was lost: following goes on where it stopped",
                )?;
                told = Some(Instant::now());
            }
            if matches!(self.output, LineOutput::Direct) {
                self.output.flush(FLUSH_LIMIT).map_err(CtlError::Output)?;
            }
        }
        match is_lost {
            true => session.refuse("ERROR: the server closed the connection"),
            false => session.refuse("ERROR: the processes have no log"),
        }
    }

    /// Reads what has arrived and shows the lines.
    fn pump(&self, log: &LogOf, followed: &mut FollowedLog) -> Result<FollowState, CtlError> {
        let mut failed = None;
        let state = followed.pump(|line| {
            failed = failed.take().or(self.show(log, line).err());
        })?;
        match failed {
            None => Ok(state),
            Some(failure) => Err(failure),
        }
    }

    /// Shows the rest of a log.
    fn end(&self, log: &LogOf, followed: &mut FollowedLog) -> Result<(), CtlError> {
        let mut result = Ok(());
        followed.end(|line| result = self.show(log, line));
        result
    }

    /// Shows a line if it matches the pattern.
    fn show(&self, log: &LogOf, line: &[u8]) -> Result<(), CtlError> {
        match self.words.filter.matches(line) {
            true => self.write(self.prefix.line(&log.label, line)),
            false => Ok(()),
        }
    }
}

/// A line from the words of a command line, from which the action gets them back: other actions split at blanks.
pub(super) fn quoted_line(words: &[String]) -> String {
    let quoted = words.iter().map(|word| {
        match word.contains(['\'', '"', '\\', ' ', '\t', '\n']) || word.is_empty() {
            true => format!("'{}'", word.replace('\'', "'\"'\"'")),
            false => word.clone(),
        }
    });
    quoted.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_parsed() {
        let words = LogsWords::parse("-f -n 5 --since=10m --grep 'a b' web 'g:*' --json", 1000);
        let words = words.expect("valid");
        assert!(words.follows && words.is_json);
        assert_eq!(
            (words.lines, words.filter.since),
            (Some(5), Some(400_000_000))
        );
        assert!(words.filter.matches(b"xa b") && !words.filter.matches(b"ab"));
        assert_eq!(words.names, ["web", "g:*"]);
        assert_eq!(words.most(), Some(5));
        let words = LogsWords::parse("-n3 --since 1h --grep=x web", 0).expect("valid");
        assert_eq!(
            (words.lines, words.filter.since),
            (Some(3), Some(-3_600_000_000))
        );
        assert_eq!(
            LogsWords::parse("web", 0).expect("valid").most(),
            Some(LINES_DEFAULT)
        );
        assert_eq!(
            LogsWords::parse("--grep x web", 0).expect("valid").most(),
            None
        );
        for (wrong, told) in [
            ("-n x web", "number of lines 'x'"),
            ("web -n", "-n lacks its value"),
            ("--since soon web", "duration 'soon'"),
            ("--grep ( web", "bad pattern"),
            ("--grep 'x web", "closing quotation"),
        ] {
            let error = LogsWords::parse(wrong, 0).expect_err(wrong);
            assert!(error.to_lowercase().contains(told), "{wrong}: {error}");
        }
    }

    #[test]
    fn words_of_a_command_line_survive_as_a_line() {
        for words in [
            &["logs", "--grep", "it's \"a\" \\d b", "", "web:*"][..],
            &["logs", "-f", "a"],
        ] {
            let words: Vec<String> = words.iter().map(|word| (*word).to_owned()).collect();
            assert_eq!(shlex_split(&quoted_line(&words)), Ok(words));
        }
    }
}
