//! The log page: shows the end of a log. Its script follows and searches the log.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::action_outcome::unexpected;
use super::form::Form;
use super::language::PageRequest;
use super::last_stderr::last_stderr;
use super::page::{self, Frame, SEARCH_KEYS};
use super::page_response::html_page;
use super::perform_action::call_method;
use super::row;
use super::table::clear_question;
use super::texts::{Language, Text};
use crate::api::{Caller, Fault, FaultCode, LogRef, Permission, Reply, Request};
use crate::control;
use crate::domain::Channel;
use crate::http_server::percent_encoding::url_quoted;
use crate::output::{self, LogFileId, ReadError};
use crate::server::calls::log_parts::{self, LogSource};
use crate::server::calls::process_list::list_processes;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;

/// Minimum number of bytes shown.
const LIMIT_MIN: u64 = 1024;
/// Maximum number of bytes shown.
// Differs: Supervisor puts any amount into its page.
const LIMIT_MAX: u64 = 16 << 20;
/// The amounts that the page offers, in bytes.
const LIMITS: [u64; 5] = [LIMIT_MIN, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Maximum number of group members whose logs are shown on one page.
const MEMBERS_MAX: usize = 100;
/// Number of bytes shown of each member's log.
const GROUP_LIMIT: u64 = 2048;

/// The result of reading a log.
struct LogExcerpt {
    text: String,
    /// The log's length at that time. `None`: the log could not be read and cannot be followed.
    end: Option<u64>,
    /// The file to which `end` belongs. `None`: the log was rotated while it was read, or is not a file.
    file: Option<LogFileId>,
}

impl LogExcerpt {
    /// A text that cannot be followed.
    fn message(text: String) -> Self {
        Self {
            text,
            end: None,
            file: None,
        }
    }
}

/// The subject of a log page.
struct LogSubject<'a> {
    title: String,
    heading: String,
    /// The page's own path, and its parameters besides the limit.
    path: &'static str,
    hidden: Vec<(&'static str, &'a str)>,
    /// The address for following the log.
    follow: String,
    /// The value of the clear button and its confirmation question. `None`: the log cannot be cleared.
    clear: Option<(String, String)>,
    restart: Option<String>,
    channel: Option<Channel>,
    /// Whether the daemon chose the channel, because the address names none.
    is_chosen: bool,
    note: Option<Text>,
    /// What ended instances wrote last. `None`: nothing is known.
    ended: Option<Markup>,
}

impl<'a> LogSubject<'a> {
    fn of_process(
        name: &'a str,
        channel: Channel,
        asked: Option<Channel>,
        language: Language,
    ) -> Self {
        let mut hidden = vec![("processname", name)];
        hidden.extend(asked.map(|asked| ("channel", asked.name())));
        Self {
            title: language.fill(Text::TailTitle, &[&name]),
            heading: name.to_owned(),
            path: "tail.html",
            hidden,
            follow: format!("logtail/{}/{}", url_quoted(name), channel.name()),
            clear: None,
            restart: None,
            channel: Some(channel),
            is_chosen: asked.is_none(),
            note: None,
            ended: None,
        }
    }

    fn address(&self, limit: u64, channel: Option<Channel>) -> String {
        let mut address = format!("{}?", self.path);
        for (name, value) in &self.hidden {
            if *name != "channel" {
                address.push_str(&format!("{name}={}&", url_quoted(value)));
            }
        }
        address.push_str(&format!("limit={limit}"));
        // Supervisor's addresses have no channel parameter.
        if let Some(channel) = channel {
            address.push_str(&format!("&channel={}", channel.name()));
        }
        address
    }
}

/// The name that Supervisor shows if the address has none.
const NO_NAME: &str = "None";

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

/// Answers `/tail.html`.
pub(super) async fn process_log_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &PageRequest,
    form: &Form,
) -> HandlerResponse {
    let language = request.language;
    let limit = log_limit(form);
    let search = form.get("search").unwrap_or("");
    let asked = match form.get("channel") {
        Some("stderr") => Some(Channel::Stderr),
        Some("stdout") => Some(Channel::Stdout),
        _ => None,
    };
    let Some(name) = form.get("processname") else {
        let found = LogExcerpt::message(language.say(Text::NoProcessName).to_owned());
        let channel = asked.unwrap_or(Channel::Stdout);
        let subject = LogSubject::of_process(NO_NAME, channel, asked, language);
        let html = render_log(connection, request, &subject, limit, search, false, &found);
        return html_page(StatusCode::OK, html);
    };
    let mut channel = asked.unwrap_or(Channel::Stdout);
    let look = |channel| {
        let of = LogRef::Process(name.to_owned(), channel);
        fetch_excerpt(connection, caller.clone(), of, limit)
    };
    let mut read = look(channel).await;
    // Differs: Supervisor always shows standard output, also for a program that writes only to standard error.
    if asked.is_none() && !has_text(&read) {
        let errors = look(Channel::Stderr).await;
        if has_text(&errors) {
            (channel, read) = (Channel::Stderr, errors);
        }
    }
    let is_unknown = read
        .as_ref()
        .is_err_and(|fault| fault.code == FaultCode::BadName);
    let found =
        read.unwrap_or_else(|fault| LogExcerpt::message(fault_message(&fault, name, language)));
    let mut subject = LogSubject::of_process(name, channel, asked, language);
    if is_unknown {
        // Differs: Supervisor answers 200.
        subject.channel = None;
        let html = render_log(connection, request, &subject, limit, search, true, &found);
        return html_page(StatusCode::NOT_FOUND, html);
    }
    let control = &connection.shared.control;
    let info = call_method(control, &caller, "supervisor.getProcessInfo", Some(name)).await;
    if let Ok(Reply::Processes(views)) = info
        && let Some(process) = views.first()
    {
        let has_log = process.stdout_logfile.is_some() || process.stderr_logfile.is_some();
        let ask = clear_question(process.name.as_str(), process.group.as_str(), language);
        subject.clear = has_log.then(|| (format!("clear {name}"), ask));
        subject.restart = Some(format!("restart {name}"));
        subject.ended = last_stderr(connection, caller, name, language).await;
    }
    if asked.is_none() && channel == Channel::Stderr {
        subject.note = Some(Text::StderrShown);
    }
    let html = render_log(connection, request, &subject, limit, search, true, &found);
    html_page(StatusCode::OK, html)
}

fn has_text(read: &Result<LogExcerpt, Fault>) -> bool {
    matches!(read, Ok(found) if !found.text.is_empty())
}

/// Answers `/maintail.html`, the daemon's log. Supervisor does not have it.
pub(super) async fn daemon_log_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &PageRequest,
    form: &Form,
) -> HandlerResponse {
    let language = request.language;
    let limit = log_limit(form);
    let search = form.get("search").unwrap_or("");
    let found = fetch_excerpt(connection, caller, LogRef::Daemon, limit)
        .await
        .unwrap_or_else(|fault| {
            let name = language.say(Text::TheDaemonsLog);
            LogExcerpt::message(fault_message(&fault, name, language))
        });
    let subject = LogSubject {
        title: language.say(Text::MainTailTitle).to_owned(),
        heading: language.say(Text::DaemonLog).to_owned(),
        path: "maintail.html",
        hidden: Vec::new(),
        follow: "mainlogtail".to_owned(),
        clear: None,
        restart: None,
        channel: None,
        is_chosen: true,
        note: None,
        ended: None,
    };
    let html = render_log(connection, request, &subject, limit, search, true, &found);
    html_page(StatusCode::OK, html)
}

/// Answers `/grouptail.html`, the end of each member's standard output. Supervisor does not have it.
pub(super) async fn group_log_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &PageRequest,
    form: &Form,
) -> HandlerResponse {
    let language = request.language;
    let group = form.get("group").unwrap_or("");
    let views = match list_processes(&connection.shared.control, &caller).await {
        Ok(views) => views,
        Err(fault) => return HandlerResponse::fault(&fault),
    };
    let members: Vec<_> = views
        .iter()
        .filter(|view| view.group.as_str() == group)
        .collect();
    let mut shown = Vec::new();
    for view in members.iter().take(MEMBERS_MAX) {
        let name = format!("{}:{}", view.group, view.name);
        let of = LogRef::Process(name.clone(), Channel::Stdout);
        let text = match fetch_excerpt(connection, caller.clone(), of, GROUP_LIMIT).await {
            Ok(found) => found.text,
            Err(fault) => fault_message(&fault, &name, language),
        };
        shown.push((view.name.as_str(), name, text));
    }
    let bar = html! {
        a href={ "grouptail.html?group=" (url_quoted(group)) } { (language.say(Text::Refresh)) }
    };
    let content = html! {
        div.tools.logtools { h1 { (language.fill(Text::GroupHeading, &[&group])) } }
        @if members.is_empty() {
            p { (language.say(Text::NoSuchGroup)) a href="./" { (language.say(Text::ToStatusPage)) } }
        }
        @if members.len() > MEMBERS_MAX {
            p { (language.fill(Text::FirstOf, &[&MEMBERS_MAX, &members.len()])) }
        }
        @for (name, namespec, text) in &shown {
            h2 { a href={ "tail.html?processname=" (url_quoted(namespec)) "&limit=65536" } { (name) } }
            @if text.is_empty() { p.note { (language.say(Text::LogEmpty)) } } @else { pre.part tabindex="0" { "\n" (text) } }
        }
    };
    let title = language.fill(Text::GroupTailTitle, &[&group]);
    let status = match members.is_empty() {
        true => StatusCode::NOT_FOUND,
        false => StatusCode::OK,
    };
    let frame = Frame::new(request, title).bar(bar);
    html_page(status, frame.render(&content))
}

/// What the page shows in place of the log of `name`.
fn fault_message(fault: &Fault, name: &str, language: Language) -> String {
    match fault.code {
        FaultCode::NoFile => language.fill(Text::NoFileFor, &[&name]),
        _ => language.fill(Text::ErrorMessage, &[&unexpected(fault, language)]),
    }
}

async fn fetch_excerpt(
    connection: &HttpConnection,
    caller: Caller,
    of: LogRef,
    limit: u64,
) -> Result<LogExcerpt, Fault> {
    let grant = control::grant_for(&caller, Permission::ReadLogs)?;
    let control = &connection.shared.control;
    let reply = control.call(caller, grant, Request::LogFile(of)).await?;
    let source = log_parts::log_source(reply);
    log_parts::read_blocking(move || read_excerpt(&source, limit)).await
}

fn read_excerpt(source: &LogSource, limit: u64) -> Result<LogExcerpt, Fault> {
    let path = match source {
        LogSource::Nowhere => return Err(FaultCode::NoFile.bare()),
        LogSource::File(path) => path,
        // The journal has no byte offset from which it could be followed.
        LogSource::Journal(of) => {
            let text = log_parts::read_journal_tail(of, limit)?;
            return Ok(LogExcerpt::message(text));
        }
    };
    let length = i64::try_from(limit).unwrap_or(i64::MAX);
    let file = LogFileId::at(path);
    let (bytes, size, _) = output::tail(path, 0, length);
    let file = file.filter(|_| LogFileId::at(path) == file);
    if bytes.is_empty() {
        // Empty or unreadable: the other read function reports which.
        output::read(path, -1, 0).map_err(|error| match error {
            ReadError::NoFile => FaultCode::NoFile.bare(),
            ReadError::BadArguments => FaultCode::BadArguments.bare(),
            ReadError::Failed => FaultCode::Failed.bare(),
        })?;
    }
    Ok(LogExcerpt {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        end: u64::try_from(size).ok(),
        file,
    })
}

/// The lines of `text` that contain `search`, ignoring case. All lines if `search` is empty.
fn matching_lines(text: &str, search: &str) -> String {
    let search = search.to_lowercase();
    if search.is_empty() {
        return text.to_owned();
    }
    text.split_inclusive('\n')
        .filter(|line| line.to_lowercase().contains(&search))
        .collect()
}

fn render_log(
    connection: &HttpConnection,
    request: &PageRequest,
    subject: &LogSubject<'_>,
    limit: u64,
    search: &str,
    is_named: bool,
    found: &LogExcerpt,
) -> Markup {
    let language = request.language;
    let is_gone = is_named && subject.channel.is_none() && subject.path == "tail.html";
    let named = subject.channel.filter(|_| !subject.is_chosen);
    let shown = matching_lines(&found.text, search);
    let empty = match (found.text.is_empty(), shown.is_empty()) {
        (true, _) => Some(Text::LogEmpty),
        (false, true) => Some(Text::NoMatchingLines),
        (false, false) => None,
    };
    let bar = html! {
        span #live.script.live { (language.say(Text::Connecting)) }
        @if is_named {
            noscript {
                a #refresh_anchor href=(subject.address(limit, named)) { (language.say(Text::Refresh)) }
            }
        }
    };
    let content = html! {
        (render_log_tools(connection.token.text(), subject, limit, search, language))
        p #empty.note hidden[empty.is_none()] { (empty.map_or("", |empty| language.say(empty))) }
        @if let Some(note) = subject.note { p #other.note { (language.say(note)) } }
        @if is_gone {
            p.note { (language.say(Text::NoSuchProcess)) a href="./" { (language.say(Text::ToStatusPage)) } }
        }
        // HTML drops a line break at the beginning of this element. The extra one here preserves a line break of the
        // log.
        pre #log tabindex="0" role="log" aria-live="off" aria-label=(language.fill(Text::LogOf, &[&subject.heading]))
            data-follow=[found.end.map(|_| &subject.follow)] data-end=[found.end] data-file=[found.file] {
            "\n" (shown)
        }
        button #newer.script type="button" hidden {}
        @if let Some(ended) = &subject.ended { (ended) }
    };
    let frame = Frame::new(request, subject.title.as_str());
    let frame = match subject.path {
        "maintail.html" => frame.current(page::DAEMON_LOG),
        _ => frame,
    };
    frame
        .bar(bar)
        .scripts(&["log.js"], SEARCH_KEYS)
        .render(&content)
}

/// The heading of a log, the search, and the buttons.
fn render_log_tools(
    token: &str,
    subject: &LogSubject<'_>,
    limit: u64,
    search: &str,
    language: Language,
) -> Markup {
    let last = |bytes| language.fill(Text::LastBytes, &[&row::format_size(bytes)]);
    html! {
        div.tools.logtools {
            h1 { (subject.heading) }
            @if let Some(current) = subject.channel {
                nav aria-label=(language.say(Text::Stream)) {
                    @for channel in [Channel::Stdout, Channel::Stderr] {
                        a href=(subject.address(limit, Some(channel))) aria-current=[(channel == current).then_some("page")] {
                            (channel.name())
                        }
                    }
                }
            }
            label.script { input #follow type="checkbox" checked; (language.say(Text::Follow)) }
            form #search method="get" action=(subject.path) role="search" {
                @for (name, value) in &subject.hidden {
                    input type="hidden" name=(name) value=(value);
                }
                input #find type="search" name="search" value=(search) placeholder=(language.say(Text::SearchHint))
                    aria-label=(language.say(Text::SearchLabel)) autocomplete="off";
                output #hits.script {}
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
    fn search_without_scripts_shows_matching_lines() {
        assert_eq!(matching_lines("One\ntwo\nnone", "ONE"), "One\nnone");
        assert_eq!(matching_lines("a\nb", ""), "a\nb");
    }
}
