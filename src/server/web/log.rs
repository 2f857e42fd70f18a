//! The log pages of a process and of the daemon: show the end of a log. Their script follows and searches the log.

use std::sync::Arc;

use hyper::StatusCode;

use super::last_stderr::last_stderr;
use super::log_excerpt::{fault_message, fetch_excerpt};
use super::page::{DAEMON_LOG, frame};
use super::page_response::html_page;
use super::perform_action::call_method;
use crate::api::{Caller, Fault, FaultCode, LogRef, Reply};
use crate::domain::Channel;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::language::PageRequest;
use crate::web::log_view::{
    LogExcerpt, LogPart, LogQuery, LogSubject, ShownStreams, StreamChoice, choose_streams,
    render_log,
};
use crate::web::table::clear_question;
use crate::web::texts::Text;

/// The name that Supervisor shows if the address has none.
const NO_NAME: &str = "None";

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
    let render = |subject: &LogSubject<'_>| {
        let frame = frame(request, language.fill(Text::TailTitle, &[&subject.heading]));
        render_log(frame, connection.token.text(), subject, &query, language)
    };
    let Some(name) = form.get("processname") else {
        let mut subject = LogSubject::of_process(NO_NAME, asked);
        subject.is_named = false;
        let message = LogExcerpt::message(language.say(Text::NoProcessName));
        subject.parts = vec![LogPart::of_process(NO_NAME, Channel::Stdout, message)];
        let html = render(&subject);
        return html_page(StatusCode::OK, html);
    };
    let mut subject = LogSubject::of_process(name, asked);
    match read_parts(connection, &caller, name, asked, query.limit).await {
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
            subject.parts = vec![LogPart::of_process(name, channel, message)];
            if fault.code == FaultCode::BadName {
                // Differs: Supervisor answers 200.
                subject.choice = None;
                subject.is_gone = true;
                let html = render(&subject);
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
    subject.note = subject.note_of_streams();
    let html = render(&subject);
    html_page(StatusCode::OK, html)
}

/// Reads the streams of a process that a page shows.
async fn read_parts(
    connection: &HttpConnection,
    caller: &Caller,
    name: &str,
    asked: Option<StreamChoice>,
    limit: u64,
) -> Result<ShownStreams, Fault> {
    let read = async |channel| {
        let of = LogRef::Process(name.to_owned(), channel);
        let excerpt = fetch_excerpt(connection, caller.clone(), of, limit).await;
        excerpt.map(|excerpt| LogPart::of_process(name, channel, excerpt))
    };
    let (stdout, stderr) = (read(Channel::Stdout).await, read(Channel::Stderr).await);
    choose_streams(asked, stdout, stderr)
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
    let frame = frame(request, language.say(Text::MainTailTitle)).current(DAEMON_LOG);
    let html = render_log(frame, connection.token.text(), &subject, &query, language);
    html_page(StatusCode::OK, html)
}
