//! The log view: the end of a log, which a script makes follow and search.

use std::sync::Arc;

use hyper::StatusCode;
use maud::{Markup, html};

use super::super::answer::Answer;
use super::super::http::Connection;
use super::super::logs::{self, Source};
use super::super::xmlrpc::apart;
use super::form::{Form, quoted};
use super::status::processes;
use super::{page, row};
use crate::api::{Caller, Fault, FaultCode, LogOf, Permission, Request};
use crate::control;
use crate::domain::Channel;
use crate::output::{self, ReadError};

/// The fewest bytes of a log that are shown.
const LIMIT_MIN: u64 = 1024;
/// The most.
// Differs: Supervisor puts any amount into its page.
const LIMIT_MAX: u64 = 16 << 20;
/// What the page offers to show.
const LIMITS: [u64; 5] = [LIMIT_MIN, 16 << 10, 64 << 10, 256 << 10, 1 << 20];

/// Members of a group whose logs are shown on one page.
const MEMBERS_MAX: usize = 100;
/// How much of each, in bytes.
const GROUP_LIMIT: u64 = 2048;

/// What one look at a log found.
struct Found {
    text: String,
    /// Where the log ended then; none: it could not be read, and cannot be followed.
    end: Option<u64>,
}

/// What the view is of.
struct Subject<'a> {
    title: String,
    heading: String,
    /// The page's own address, and what it needs besides the limit.
    path: &'static str,
    hidden: Vec<(&'static str, &'a str)>,
    /// Where the log is followed, and cleared, if it can be.
    follow: String,
    clear: Option<String>,
    restart: Option<String>,
    channel: Option<Channel>,
}

impl Subject<'_> {
    fn address(&self, limit: u64, channel: Option<Channel>) -> String {
        let mut address = format!("{}?", self.path);
        for (name, value) in &self.hidden {
            if *name != "channel" {
                address.push_str(&format!("{name}={}&", quoted(value)));
            }
        }
        address.push_str(&format!("limit={limit}"));
        // Supervisor's page shows standard output only, and its addresses name no channel.
        if channel == Some(Channel::Stderr) {
            address.push_str("&channel=stderr");
        }
        address
    }
}

/// # Source
/// Supervisor's `TailView`: digits count, anything else is 1024, and so is less.
fn limit(form: &Form) -> u64 {
    let given = form.get("limit").unwrap_or("");
    let is_number = !given.is_empty() && given.bytes().all(|byte| byte.is_ascii_digit());
    // Digits that do not fit are many bytes.
    let limit = match is_number {
        true => given.parse().unwrap_or(u64::MAX),
        false => LIMIT_MIN,
    };
    limit.clamp(LIMIT_MIN, LIMIT_MAX)
}

/// Answers `/tail.html`.
pub(super) async fn process(connection: &Arc<Connection>, caller: Caller, form: &Form) -> Answer {
    let limit = limit(form);
    let search = form.get("search").unwrap_or("");
    let channel = match form.get("channel") {
        Some("stderr") => Channel::Stderr,
        _ => Channel::Stdout,
    };
    let name = form.get("processname");
    let found = match name {
        None => Found {
            text: "No process name found".to_owned(),
            end: None,
        },
        Some(name) => {
            let of = LogOf::Process(name.to_owned(), channel);
            read(connection, caller, of, limit)
                .await
                .unwrap_or_else(|fault| Found {
                    text: match fault.code {
                        FaultCode::NoFile => format!("No file for {name}"),
                        _ => unexpected(&fault),
                    },
                    end: None,
                })
        }
    };
    let shown = name.unwrap_or("None");
    let subject = Subject {
        title: format!("Supervisor tail of process {shown}"),
        heading: shown.to_owned(),
        path: "tail.html",
        hidden: vec![("processname", shown), ("channel", channel.name())],
        follow: format!("logtail/{}/{}", quoted(shown), channel.name()),
        clear: name.map(|name| format!("clear {name}")),
        restart: name.map(|name| format!("restart {name}")),
        channel: Some(channel),
    };
    let html = view(connection, &subject, limit, search, name.is_some(), &found);
    super::page(StatusCode::OK, html)
}

/// Answers `/maintail.html`, which is ours: the daemon's log.
pub(super) async fn daemon(connection: &Arc<Connection>, caller: Caller, form: &Form) -> Answer {
    let limit = limit(form);
    let search = form.get("search").unwrap_or("");
    let found = read(connection, caller, LogOf::Daemon, limit)
        .await
        .unwrap_or_else(|fault| Found {
            text: match fault.code {
                FaultCode::NoFile => "No file for the daemon's log".to_owned(),
                _ => unexpected(&fault),
            },
            end: None,
        });
    let subject = Subject {
        title: "Supervisor tail of the daemon's log".to_owned(),
        heading: "Daemon log".to_owned(),
        path: "maintail.html",
        hidden: Vec::new(),
        follow: "mainlogtail".to_owned(),
        clear: None,
        restart: None,
        channel: None,
    };
    let html = view(connection, &subject, limit, search, true, &found);
    super::page(StatusCode::OK, html)
}

/// Answers `/grouptail.html`, which is ours: the end of each member's standard output.
pub(super) async fn group(connection: &Arc<Connection>, caller: Caller, form: &Form) -> Answer {
    let group = form.get("group").unwrap_or("");
    let views = match processes(&connection.shared.control, &caller).await {
        Ok(views) => views,
        Err(fault) => return super::status::refused(&fault),
    };
    let members: Vec<_> = views
        .iter()
        .filter(|view| view.group.as_str() == group)
        .collect();
    let mut shown = Vec::new();
    for view in members.iter().take(MEMBERS_MAX) {
        let name = format!("{}:{}", view.group, view.name);
        let of = LogOf::Process(name.clone(), Channel::Stdout);
        let text = match read(connection, caller.clone(), of, GROUP_LIMIT).await {
            Ok(found) => found.text,
            Err(fault) if fault.code == FaultCode::NoFile => format!("No file for {name}"),
            Err(fault) => unexpected(&fault),
        };
        shown.push((view.name.as_str(), name, text));
    }
    let bar = html! {
        a href="./" { "Processes" }
        a href={ "grouptail.html?group=" (quoted(group)) } { "Refresh" }
    };
    let content = html! {
        div.tools.logtools { h1 { "Group " (group) } }
        @if members.is_empty() {
            p { "No such group" }
        }
        @if members.len() > MEMBERS_MAX {
            p { "The first " (MEMBERS_MAX) " of " (members.len()) " processes" }
        }
        @for (name, namespec, text) in &shown {
            h2 { a href={ "tail.html?processname=" (quoted(namespec)) "&limit=65536" } { (name) } }
            pre.part tabindex="0" { "\n" (text) }
        }
    };
    let title = format!("Supervisor tail of group {group}");
    super::page(StatusCode::OK, page::framed(&title, &[], &bar, &content))
}

fn unexpected(fault: &Fault) -> String {
    format!(
        "ERROR: unexpected rpc fault [{}] {fault}",
        fault.code.code()
    )
}

async fn read(
    connection: &Connection,
    caller: Caller,
    of: LogOf,
    limit: u64,
) -> Result<Found, Fault> {
    let grant = control::grant(&caller, Permission::ReadLogs)?;
    let control = &connection.shared.control;
    let reply = control.call(caller, grant, Request::LogFile(of)).await?;
    let source = logs::source(reply);
    apart(move || look(&source, limit))
        .await
        .unwrap_or_else(|| Err(FaultCode::Failed.bare()))
}

fn look(source: &Source, limit: u64) -> Result<Found, Fault> {
    let path = match source {
        Source::Nowhere => return Err(FaultCode::NoFile.bare()),
        Source::File(path) => path,
        // It has no end that one could stand at, to follow it from there.
        Source::Journal(of) => {
            let text = logs::recalled(of, limit)?;
            return Ok(Found { text, end: None });
        }
    };
    let length = i64::try_from(limit).unwrap_or(i64::MAX);
    let (bytes, size, _) = output::tail(path, 0, length);
    if bytes.is_empty() {
        // Empty, or not to be read: only the other way of reading tells.
        output::read(path, -1, 0).map_err(|error| match error {
            ReadError::NoFile => FaultCode::NoFile.bare(),
            ReadError::BadArguments => FaultCode::BadArguments.bare(),
            ReadError::Failed => FaultCode::Failed.bare(),
        })?;
    }
    Ok(Found {
        text: String::from_utf8_lossy(&bytes).into_owned(),
        end: u64::try_from(size).ok(),
    })
}

/// Lines of `text` that contain `search`, whatever the case; all without one.
fn matching(text: &str, search: &str) -> String {
    let search = search.to_lowercase();
    if search.is_empty() {
        return text.to_owned();
    }
    text.split_inclusive('\n')
        .filter(|line| line.to_lowercase().contains(&search))
        .collect()
}

fn view(
    connection: &Connection,
    subject: &Subject<'_>,
    limit: u64,
    search: &str,
    is_named: bool,
    found: &Found,
) -> Markup {
    let bar = html! {
        a href="./" { "Processes" }
        @if is_named {
            noscript {
                a #refresh_anchor href=(subject.address(limit, subject.channel)) { "Refresh" }
            }
        }
    };
    let content = html! {
        p #statusmessage.status_msg role="status" hidden {}
        div.tools.logtools {
            h1 { (subject.heading) }
            @if let Some(current) = subject.channel {
                nav aria-label="Stream" {
                    @for channel in [Channel::Stdout, Channel::Stderr] {
                        a href=(subject.address(limit, Some(channel))) aria-current=[(channel == current).then_some("page")] {
                            (channel.name())
                        }
                    }
                }
            }
            label.script { input #follow type="checkbox" checked; " Follow" }
            form #search method="get" action=(subject.path) role="search" {
                @for (name, value) in &subject.hidden {
                    input type="hidden" name=(name) value=(value);
                }
                input #find type="search" name="search" value=(search) placeholder="Search (/)"
                    aria-label="Show lines that contain" autocomplete="off";
                output #hits.script {}
                select #limit name="limit" aria-label="How much is shown" {
                    @for offered in LIMITS {
                        option value=(offered) selected[offered == limit] { "last " (row::size(offered)) }
                    }
                    @if !LIMITS.contains(&limit) {
                        option value=(limit) selected { "last " (row::size(limit)) }
                    }
                }
                noscript { button { "Show" } }
            }
            @if let Some(clear) = &subject.clear {
                form #clear method="post" action="actions" {
                    input type="hidden" name="token" value=(connection.token.text());
                    @if let Some(restart) = &subject.restart {
                        button.restart name="do" value=(restart) { "Restart" }
                    }
                    button.clear name="do" value=(clear) data-ask="Clear both logs of this process?" { "Clear log" }
                }
            }
        }
        // The line break is what HTML drops at the beginning of such an element, so that one of the log's own is kept.
        pre #log tabindex="0" data-follow=[found.end.map(|_| &subject.follow)] data-end=[found.end] {
            "\n" (matching(&found.text, search))
        }
    };
    page::framed(&subject.title, &["log.js"], &bar, &content)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_04_the_limit() {
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
            assert_eq!(limit(&Form::of(query)), expected, "{query}");
        }
    }

    #[test]
    fn without_a_script_the_search_shows_lines() {
        assert_eq!(matching("One\ntwo\nnone", "ONE"), "One\nnone");
        assert_eq!(matching("a\nb", ""), "a\nb");
    }
}
