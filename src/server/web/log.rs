//! The log pages of a process and of the daemon: show the end of a log. Their script follows and searches the log.

use std::sync::Arc;

use hyper::StatusCode;

use super::form::Form;
use super::language::PageRequest;
use super::last_stderr::last_stderr;
use super::log_excerpt::{LogExcerpt, fault_message, fetch_excerpt};
use super::log_view::{LogPart, LogQuery, LogSubject, StreamChoice, render_log};
use super::page_response::html_page;
use super::perform_action::call_method;
use super::table::clear_question;
use super::texts::{Language, Text};
use crate::api::{Caller, Fault, FaultCode, LogRef, Reply};
use crate::domain::Channel;
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;

/// The name that Supervisor shows if the address has none.
const NO_NAME: &str = "None";

/// The subject for a process, without its logs.
fn process_subject<'a>(
    name: &'a str,
    asked: Option<StreamChoice>,
    language: Language,
) -> LogSubject<'a> {
    LogSubject {
        title: language.fill(Text::TailTitle, &[&name]),
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

/// A stream of a process on its page.
fn process_part(name: &str, channel: Channel, excerpt: LogExcerpt) -> LogPart {
    let (quoted, stream) = (url_quoted(name), channel.name());
    LogPart {
        channel: Some(channel),
        follow: format!("logtail/{quoted}/{stream}"),
        download: format!("logfile?processname={quoted}&channel={stream}"),
        excerpt,
    }
}

/// What the page of a process shows.
struct ShownStreams {
    choice: StreamChoice,
    parts: Vec<LogPart>,
}

/// Answers `/tail.html`.
pub(super) async fn process_log_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &PageRequest,
    form: &Form,
) -> HandlerResponse {
    let language = request.language;
    let query = LogQuery::of(form);
    let asked = StreamChoice::of(form);
    let Some(name) = form.get("processname") else {
        let mut subject = process_subject(NO_NAME, asked, language);
        subject.is_named = false;
        let message = LogExcerpt::message(language.say(Text::NoProcessName));
        subject.parts = vec![process_part(NO_NAME, Channel::Stdout, message)];
        let html = render_log(connection, request, &subject, &query);
        return html_page(StatusCode::OK, html);
    };
    let mut subject = process_subject(name, asked, language);
    match read_streams(connection, &caller, name, asked, query.limit).await {
        Ok(shown) => {
            subject.choice = Some(shown.choice);
            subject.parts = shown.parts;
        }
        Err(fault) => {
            let message = LogExcerpt::message(&fault_message(&fault, name, language));
            let channel = match asked {
                Some(StreamChoice::One(channel)) => channel,
                Some(StreamChoice::Both) | None => Channel::Stdout,
            };
            subject.parts = vec![process_part(name, channel, message)];
            if fault.code == FaultCode::BadName {
                // Differs: Supervisor answers 200.
                subject.choice = None;
                subject.is_gone = true;
                let html = render_log(connection, request, &subject, &query);
                return html_page(StatusCode::NOT_FOUND, html);
            }
        }
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
    subject.note = if subject.parts.len() > 1 {
        Some(Text::OrderOfBoth)
    } else if asked.is_none() && subject.choice == Some(StreamChoice::One(Channel::Stderr)) {
        Some(Text::StderrShown)
    } else {
        None
    };
    let html = render_log(connection, request, &subject, &query);
    html_page(StatusCode::OK, html)
}

/// Reads the streams that a page shows.
async fn read_streams(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
    asked: Option<StreamChoice>,
    limit: u64,
) -> Result<ShownStreams, Fault> {
    let read = async |channel| {
        let of = LogRef::Process(name.to_owned(), channel);
        let excerpt = fetch_excerpt(connection, caller.clone(), of, limit).await;
        excerpt.map(|excerpt| process_part(name, channel, excerpt))
    };
    let one = |channel, part| ShownStreams {
        choice: StreamChoice::One(channel),
        parts: vec![part],
    };
    match asked {
        Some(StreamChoice::One(channel)) => Ok(one(channel, read(channel).await?)),
        Some(StreamChoice::Both) => {
            let (stdout, stderr) = (read(Channel::Stdout).await, read(Channel::Stderr).await);
            Ok(ShownStreams {
                choice: StreamChoice::Both,
                parts: join_streams(stdout, stderr)?,
            })
        }
        None => {
            let stdout = read(Channel::Stdout).await;
            // Differs: Supervisor always shows standard output, also for a program that writes only to standard error.
            if !stdout.as_ref().is_ok_and(|part| !part.excerpt.is_empty())
                && let Ok(stderr) = read(Channel::Stderr).await
                && !stderr.excerpt.is_empty()
            {
                return Ok(one(Channel::Stderr, stderr));
            }
            Ok(one(Channel::Stdout, stdout?))
        }
    }
}

/// Joins both streams for one page. The files have no times in common, so the order of what is in them is unknown: the
/// stream that wrote last is the last one.
fn join_streams(
    stdout: Result<LogPart, Fault>,
    stderr: Result<LogPart, Fault>,
) -> Result<Vec<LogPart>, Fault> {
    let (stdout, stderr) = match (stdout, stderr) {
        (Ok(stdout), Ok(stderr)) => (stdout, stderr),
        (Ok(one), Err(_)) | (Err(_), Ok(one)) => return Ok(vec![one]),
        (Err(fault), Err(_)) => return Err(fault),
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

/// Answers `/maintail.html`, the daemon's log. Supervisor does not have it.
pub(super) async fn daemon_log_page(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    request: &PageRequest,
    form: &Form,
) -> HandlerResponse {
    let language = request.language;
    let query = LogQuery::of(form);
    let excerpt = fetch_excerpt(connection, caller, LogRef::Daemon, query.limit)
        .await
        .unwrap_or_else(|fault| {
            let name = language.say(Text::TheDaemonsLog);
            LogExcerpt::message(&fault_message(&fault, name, language))
        });
    let subject = LogSubject {
        title: language.say(Text::MainTailTitle).to_owned(),
        heading: language.say(Text::DaemonLog).to_owned(),
        path: "maintail.html",
        hidden: Vec::new(),
        clear: None,
        restart: None,
        choice: None,
        is_asked: false,
        is_named: true,
        is_gone: false,
        note: None,
        ended: None,
        parts: vec![LogPart {
            channel: None,
            follow: "mainlogtail".to_owned(),
            download: "mainlogfile".to_owned(),
            excerpt,
        }],
    };
    let html = render_log(connection, request, &subject, &query);
    html_page(StatusCode::OK, html)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::{Duration, SystemTime};

    fn part(channel: Channel, modified: Option<u64>) -> Result<LogPart, Fault> {
        let excerpt = LogExcerpt {
            modified: modified.map(|secs| SystemTime::UNIX_EPOCH + Duration::from_secs(secs)),
            ..LogExcerpt::message("text\n")
        };
        Ok(process_part("x", channel, excerpt))
    }

    #[test]
    fn the_stream_that_wrote_last_is_the_last_one() {
        use Channel::{Stderr, Stdout};
        let bad = || Err(FaultCode::NoFile.bare());
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
