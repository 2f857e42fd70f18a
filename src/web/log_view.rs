//! The log page as HTML: the tools above a log, and its text.

use std::time::SystemTime;

use maud::{Markup, html};
use serde_json::json;

use super::form::Form;
use super::frame::{Frame, SEARCH_KEYS};
use super::log_lines::ShownLines;
use super::row;
use super::styled_text::StyledText;
use super::texts::{Language, Text};
use crate::domain::Channel;
use crate::http_server::percent_encoding::url_quoted;

/// Minimum number of bytes shown.
pub(crate) const LIMIT_MIN: u64 = 1024;
/// Maximum number of bytes shown.
// Differs: Supervisor puts any amount into its page.
const LIMIT_MAX: u64 = 16 << 20;
/// The amounts that the page offers, in bytes.
const LIMITS: [u64; 5] = [LIMIT_MIN, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Which streams of a process a page shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamChoice {
    One(Channel),
    Both,
}

impl StreamChoice {
    /// The choices in the order of the page.
    const ALL: [Self; 3] = [
        Self::One(Channel::Stdout),
        Self::One(Channel::Stderr),
        Self::Both,
    ];

    /// The value of the parameter `channel`. Supervisor's addresses do not have it.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::One(channel) => channel.name(),
            Self::Both => "both",
        }
    }

    /// The choice of an address. `None`: it has none.
    pub(crate) fn of(form: &Form) -> Option<Self> {
        let given = form.get("channel")?;
        Self::ALL.into_iter().find(|choice| choice.name() == given)
    }
}

/// How much of a log is shown, and which lines.
pub(crate) struct LogQuery<'a> {
    /// The number of bytes at the end.
    pub(crate) limit: u64,
    /// What the shown lines contain. Empty: all lines.
    pub(crate) search: &'a str,
}

impl<'a> LogQuery<'a> {
    pub(crate) fn of(form: &'a Form) -> Self {
        Self {
            limit: log_limit(form),
            search: form.get("search").unwrap_or(""),
        }
    }
}

/// The number of bytes to show.
///
/// # Source
/// Supervisor's `TailView`: a value that is no number or is less than 1024 means 1024.
fn log_limit(form: &Form) -> u64 {
    let given = form.get("limit").unwrap_or("");
    let is_number = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    // A number too large to parse means the maximum.
    let limit = match is_number {
        true => given.parse().unwrap_or(u64::MAX),
        false => LIMIT_MIN,
    };
    limit.clamp(LIMIT_MIN, LIMIT_MAX)
}

/// The end of a log, or a text in its place.
#[derive(Default)]
pub(crate) struct LogExcerpt {
    pub(crate) text: StyledText,
    /// The log's length at that time. `None`: the log could not be read and cannot be followed.
    pub(crate) end: Option<u64>,
    /// The file to which `end` belongs. `None`: the log was rotated while it was read, or is not a file.
    pub(crate) file: Option<String>,
    /// When the file was last changed. `None`: unknown.
    pub(crate) modified: Option<SystemTime>,
}

impl LogExcerpt {
    /// A text that cannot be followed.
    pub(crate) fn message(text: &str) -> Self {
        Self {
            text: StyledText::parse(text),
            ..Self::default()
        }
    }

    pub(crate) const fn is_empty(&self) -> bool {
        self.text.text.is_empty()
    }
}

/// One log on a page.
pub(crate) struct LogPart {
    /// The stream. `None`: the daemon's log.
    pub(crate) channel: Option<Channel>,
    /// The address for following the log.
    pub(crate) follow: String,
    /// The address of the whole log.
    pub(crate) download: String,
    pub(crate) excerpt: LogExcerpt,
}

impl LogPart {
    /// A stream of a process.
    pub(crate) fn of_process(name: &str, channel: Channel, excerpt: LogExcerpt) -> Self {
        // A name is one segment of a path.
        let (quoted, stream) = (url_quoted(name).replace('/', "%2F"), channel.name());
        Self {
            channel: Some(channel),
            follow: format!("logtail/{quoted}/{stream}"),
            download: format!("logfile?processname={quoted}&channel={stream}"),
            excerpt,
        }
    }
}

/// The streams of a process that a page shows.
pub(crate) struct ShownStreams {
    pub(crate) choice: StreamChoice,
    pub(crate) parts: Vec<LogPart>,
}

/// Chooses the streams that a page shows from those that were read. `asked`: those that its address names. Without them,
/// standard error is shown if standard output is empty.
///
/// # Errors
/// That of a stream that is needed.
// Differs: Supervisor always shows standard output, also for a program that writes only to standard error.
pub(crate) fn choose_streams<E>(
    asked: Option<StreamChoice>,
    stdout: Result<LogPart, E>,
    stderr: Result<LogPart, E>,
) -> Result<ShownStreams, E> {
    let has_text = |part: &Result<LogPart, E>| {
        let part = part.as_ref();
        part.is_ok_and(|part| !part.excerpt.is_empty())
    };
    let choice = asked.unwrap_or_else(|| {
        let channel = match !has_text(&stdout) && has_text(&stderr) {
            true => Channel::Stderr,
            false => Channel::Stdout,
        };
        StreamChoice::One(channel)
    });
    let parts = match choice {
        StreamChoice::One(Channel::Stdout) => vec![stdout?],
        StreamChoice::One(Channel::Stderr) => vec![stderr?],
        StreamChoice::Both => join_streams(stdout, stderr)?,
    };
    Ok(ShownStreams { choice, parts })
}

/// Joins both streams for one page. The files have no times in common, so the order of what is in them is unknown: the
/// stream that wrote last is the last one.
fn join_streams<E>(
    stdout: Result<LogPart, E>,
    stderr: Result<LogPart, E>,
) -> Result<Vec<LogPart>, E> {
    let (stdout, stderr) = match (stdout, stderr) {
        (Ok(stdout), Ok(stderr)) => (stdout, stderr),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => return Ok(vec![one]),
        (Err(error), Err(_)) => return Err(error),
    };
    // With both in one file, their order is that of the file.
    if stdout.excerpt.file.is_some() && stdout.excerpt.file == stderr.excerpt.file {
        return Ok(vec![stdout]);
    }
    Ok(match stdout.excerpt.modified > stderr.excerpt.modified {
        true => vec![stderr, stdout],
        false => vec![stdout, stderr],
    })
}

/// The subject of a log page.
pub(crate) struct LogSubject<'a> {
    pub(crate) heading: String,
    /// The page's own path, and its parameters besides the stream and the limit.
    pub(crate) path: &'static str,
    pub(crate) hidden: Vec<(&'static str, &'a str)>,
    /// The value of the clear button and its confirmation question. `None`: the log cannot be cleared.
    pub(crate) clear: Option<(String, String)>,
    pub(crate) restart: Option<String>,
    /// The streams that are shown. `None`: the subject has no streams.
    pub(crate) choice: Option<StreamChoice>,
    /// Whether the address names the streams.
    pub(crate) is_asked: bool,
    /// Whether there is a log to show at all.
    pub(crate) is_named: bool,
    /// Whether the process does not exist.
    pub(crate) is_gone: bool,
    pub(crate) note: Option<Text>,
    /// What ended instances wrote last. `None`: nothing is known.
    pub(crate) ended: Option<Markup>,
    /// The logs, in the order in which they are shown.
    pub(crate) parts: Vec<LogPart>,
}

impl<'a> LogSubject<'a> {
    /// The subject for a process, without its logs. `asked`: the streams that the address names.
    pub(crate) fn of_process(name: &'a str, asked: Option<StreamChoice>) -> Self {
        Self {
            heading: name.to_owned(),
            path: "tail.html",
            hidden: vec![("processname", name)],
            clear: None,
            restart: None,
            choice: Some(asked.unwrap_or(StreamChoice::One(Channel::Stdout))),
            is_asked: asked.is_some(),
            is_named: true,
            is_gone: false,
            note: None,
            ended: None,
            parts: Vec::new(),
        }
    }

    /// What the user must know of the streams that are shown.
    pub(crate) fn note_of_streams(&self) -> Option<Text> {
        if self.parts.len() > 1 {
            return Some(Text::OrderOfBoth);
        }
        let is_stderr = self.choice == Some(StreamChoice::One(Channel::Stderr));
        (!self.is_asked && is_stderr).then_some(Text::StderrShown)
    }

    fn address(&self, limit: u64, choice: Option<StreamChoice>) -> String {
        let mut address = format!("{}?", self.path);
        for (name, value) in &self.hidden {
            address.push_str(&format!("{name}={}&", url_quoted(value)));
        }
        address.push_str(&format!("limit={limit}"));
        if let Some(choice) = choice {
            address.push_str(&format!("&channel={}", choice.name()));
        }
        address
    }

    /// What the script needs to follow the logs, as JSON.
    fn parts_for_script(&self) -> String {
        let parts = self.parts.iter().map(|part| {
            let LogExcerpt {
                text, end, file, ..
            } = &part.excerpt;
            json!({
                "channel": part.channel.map(Channel::name),
                "follow": part.follow,
                "end": end,
                "file": file,
                "style": text.last_classes(),
                "rest": text.unfinished(),
            })
        });
        serde_json::Value::Array(parts.collect()).to_string()
    }
}

/// Renders the page.
pub(crate) fn render_log(
    frame: Frame<'_>,
    token: &str,
    subject: &LogSubject<'_>,
    query: &LogQuery<'_>,
    language: Language,
) -> Markup {
    let shown: Vec<ShownLines> = subject
        .parts
        .iter()
        .map(|part| ShownLines::new(&part.excerpt.text, query.search))
        .collect();
    let count: usize = shown.iter().map(|shown| shown.count).sum();
    let is_empty = subject.parts.iter().all(|part| part.excerpt.is_empty());
    let empty = match (is_empty, count) {
        (true, _) => Some(Text::LogEmpty),
        (false, 0) => Some(Text::NoMatchingLines),
        (false, _) => None,
    };
    let asked = subject.choice.filter(|_| subject.is_asked);
    let is_joined = subject.parts.len() > 1;
    let bar = html! {
        span #live.script.live { (language.say(Text::Connecting)) }
        @if subject.is_named {
            noscript {
                a #refresh_anchor href=(subject.address(query.limit, asked)) { (language.say(Text::Refresh)) }
            }
        }
    };
    let content = html! {
        (render_log_tools(token, subject, query, count, language))
        p #empty.note hidden[empty.is_none()] { (empty.map_or("", |empty| language.say(empty))) }
        @if let Some(note) = subject.note { p #other.note { (language.say(note)) } }
        @if subject.is_gone {
            p.note { (language.say(Text::NoSuchProcess)) a href="./" { (language.say(Text::ToStatusPage)) } }
        }
        // HTML drops a line break at the beginning of this element. The extra one here preserves a line break of the
        // log.
        pre #log.joined[is_joined] tabindex="0" role="log" aria-live="off" aria-label=(language.fill(Text::LogOf, &[&subject.heading]))
            data-parts=(subject.parts_for_script()) {
            "\n"
            @for (part, shown) in subject.parts.iter().zip(&shown) {
                @match part.channel.filter(|_| is_joined) {
                    Some(channel) => @if shown.count > 0 { span class=(channel.name()) { (shown.markup) } },
                    None => (shown.markup),
                }
            }
        }
        button #newer.script type="button" hidden {}
        @if let Some(ended) = &subject.ended { (ended) }
    };
    frame
        .bar(&bar)
        .scripts(&["log.js"], SEARCH_KEYS)
        .render(&content)
}

/// The heading of a log, the search, and the buttons.
fn render_log_tools(
    token: &str,
    subject: &LogSubject<'_>,
    query: &LogQuery<'_>,
    count: usize,
    language: Language,
) -> Markup {
    let limit = query.limit;
    let last = |bytes| language.fill(Text::LastBytes, &[&row::format_size(bytes)]);
    let hits = match (query.search.is_empty(), count) {
        (true, _) => String::new(),
        (false, 1) => language.fill(Text::OneLine, &[&1]),
        (false, count) => language.fill(Text::ManyLines, &[&count]),
    };
    let is_joined = subject.parts.len() > 1;
    html! {
        div.tools.logtools {
            h1 { (subject.heading) }
            @if let Some(current) = subject.choice {
                nav aria-label=(language.say(Text::Stream)) {
                    @for choice in StreamChoice::ALL {
                        a href=(subject.address(limit, Some(choice))) aria-current=[(choice == current).then_some("page")] {
                            (match choice {
                                StreamChoice::One(channel) => channel.name(),
                                StreamChoice::Both => language.say(Text::BothStreams),
                            })
                        }
                    }
                }
            }
            label.script { input #follow type="checkbox" checked; (language.say(Text::Follow)) }
            form #search method="get" action=(subject.path) role="search" {
                @for (name, value) in &subject.hidden {
                    input type="hidden" name=(name) value=(value);
                }
                @if let Some(asked) = subject.choice.filter(|_| subject.is_asked) {
                    input type="hidden" name="channel" value=(asked.name());
                }
                input #find type="search" name="search" value=(query.search) placeholder=(language.say(Text::SearchHint))
                    aria-label=(language.say(Text::SearchLabel)) autocomplete="off";
                output #hits { (hits) }
                select #limit name="limit" aria-label=(language.say(Text::HowMuch)) {
                    @for offered in LIMITS {
                        option value=(offered) selected[offered == limit] { (last(offered)) }
                    }
                    @if !LIMITS.contains(&limit) {
                        option value=(limit) selected { (last(limit)) }
                    }
                }
                noscript { button { (language.say(Text::Show)) } }
            }
            @for part in &subject.parts {
                a.download href=(part.download) download {
                    @match part.channel.filter(|_| is_joined) {
                        Some(channel) => (language.fill(Text::DownloadOf, &[&channel.name()])),
                        None => (language.say(Text::Download)),
                    }
                }
            }
            @if subject.clear.is_some() || subject.restart.is_some() {
                form #clear method="post" action="actions" {
                    input type="hidden" name="token" value=(token);
                    @if let Some(restart) = &subject.restart {
                        button.restart name="do" value=(restart) { (language.say(Text::Restart)) }
                    }
                    @if let Some((clear, ask)) = &subject.clear {
                        button.clear name="do" value=(clear) data-ask=(ask) { (language.say(Text::ClearLog)) }
                    }
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn web_04_the_limit_is_parsed_as_in_supervisor() {
        let table = [
            ("", 1024),
            ("limit=1", 1024),
            ("limit=1024", 1024),
            ("limit=1025", 1025),
            ("limit=-5000", 1024),
            ("limit=5000x", 1024),
            ("limit=99999999999999999999999", LIMIT_MAX),
        ];
        for (query, expected) in table {
            assert_eq!(log_limit(&Form::from_query(query)), expected, "{query}");
        }
    }

    #[test]
    fn addresses_name_their_streams() {
        for (query, expected) in [
            ("channel=stdout", Some(StreamChoice::One(Channel::Stdout))),
            ("channel=stderr", Some(StreamChoice::One(Channel::Stderr))),
            ("channel=both", Some(StreamChoice::Both)),
            ("channel=x", None),
            ("", None),
        ] {
            assert_eq!(StreamChoice::of(&Form::from_query(query)), expected);
        }
    }

    fn part(channel: Channel, modified: Option<u64>) -> Result<LogPart, ()> {
        let excerpt = LogExcerpt {
            modified: modified.map(|secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs)),
            ..LogExcerpt::message("text\n")
        };
        Ok(LogPart::of_process("x", channel, excerpt))
    }

    #[test]
    fn the_stream_that_wrote_last_is_the_last_one() {
        use Channel::{Stderr, Stdout};
        let bad = || Err(());
        for (stdout, stderr, expected) in [
            (
                part(Stdout, Some(1)),
                part(Stderr, Some(2)),
                &[Stdout, Stderr][..],
            ),
            (
                part(Stdout, Some(2)),
                part(Stderr, Some(1)),
                &[Stderr, Stdout],
            ),
            (part(Stdout, None), part(Stderr, None), &[Stdout, Stderr]),
            (part(Stdout, Some(1)), bad(), &[Stdout]),
            (bad(), part(Stderr, Some(1)), &[Stderr]),
        ] {
            let parts = join_streams(stdout, stderr).expect("a stream");
            let channels: Vec<Channel> = parts.iter().filter_map(|part| part.channel).collect();
            assert_eq!(channels, expected);
        }
        assert!(join_streams(bad(), bad()).is_err());
    }
}
