//! Supervisor's action links, `index.html?processname=…&action=…`, and its messages: what scripts have used for ever.

use std::sync::Arc;

use hyper::StatusCode;
use hyper::header;
use hyper::http::request::Parts;
use jiff::Timestamp;
use maud::html;

use super::super::answer::Answer;
use super::super::http::Connection;
use super::actions::{Verb, Whom, call, has_token, reason, to_the_end, unexpected, verb};
use super::form::{Form, quoted};
use super::guard::Visitor;
use super::page;
use crate::api::{Caller, Fault, FaultCode, Permission, Reply, Request};
use crate::control::{self, ControlHandle};

/// Answers `index.html?processname=…&action=…`: for programs as Supervisor does, by 301 to the page with a message.
// Differs: Supervisor takes them from any page that a browser shows; here a browser needs a form of our page, and is
// offered one.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
    action: &str,
) -> Answer {
    let name = form.get("processname").unwrap_or("");
    let Some(link) = Link::parse(action, name) else {
        // An action that Supervisor does not know, of a process that it does not know, is told of the process only.
        let known = known(&connection.shared.control, &caller, name).await;
        return match known {
            Ok(false) if !name.is_empty() => answered(head, &no_such(name)),
            Ok(_) => Answer::Error(StatusCode::INTERNAL_SERVER_ERROR),
            Err(_) => Answer::Error(StatusCode::SERVICE_UNAVAILABLE),
        };
    };
    if !matches!(link, Link::Refresh) {
        match Visitor::of(&head.headers) {
            Visitor::Browser if !has_token(connection, form) => {
                let why = "A link cannot change anything, because any web page could contain it.";
                return match link.button() {
                    Some((verb, whom)) => confirmation(connection, verb, &whom, why),
                    None => Answer::Error(StatusCode::BAD_REQUEST),
                };
            }
            Visitor::Program | Visitor::Browser => {}
            Visitor::Stranger => {
                return super::guard::forbidden("The request came from another web page.");
            }
        }
    }
    let control = connection.shared.control.clone();
    let place = connection.shared.live.actions.take(connection.place.client);
    let name = name.to_owned();
    let work = async move { follow(&control, &caller, &link, &name).await };
    match to_the_end(place, work).await {
        Some(Ok(message)) => answered(head, &message),
        // Differs: Supervisor answers 500 while it stops.
        Some(Err(_)) | None => Answer::Error(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// One of Supervisor's actions.
enum Link {
    Refresh,
    StopAll,
    RestartAll,
    /// Of one process: the word of the verb.
    One(&'static Verb, Whom),
}

impl Link {
    fn parse(action: &str, name: &str) -> Option<Self> {
        let word = match action {
            "refresh" => return Some(Self::Refresh),
            "stopall" => return Some(Self::StopAll),
            "restartall" => return Some(Self::RestartAll),
            "start" | "stop" | "restart" => action,
            "clearlog" => "clear",
            _ => return None,
        };
        (!name.is_empty()).then_some(())?;
        Some(Self::One(verb(word)?, Whom::parse(name)))
    }

    /// The button of our form that does the same.
    fn button(&self) -> Option<(&'static Verb, Whom)> {
        match self {
            Self::Refresh => None,
            Self::StopAll => Some((verb("stop")?, Whom::All)),
            Self::RestartAll => Some((verb("restart")?, Whom::All)),
            Self::One(verb, whom) => Some((verb, whom.clone())),
        }
    }
}

fn no_such(name: &str) -> String {
    format!("No such process named {name}")
}

/// Whether there is such a process; a fault only while the daemon stops.
async fn known(control: &ControlHandle, caller: &Caller, name: &str) -> Result<bool, Fault> {
    match call(control, caller, "supervisor.getProcessInfo", Some(name)).await {
        Ok(_) => Ok(true),
        Err(fault) => match fault.code {
            FaultCode::BadName => Ok(false),
            FaultCode::ShutdownState => Err(fault),
            // Not permitted, say: what is asked for next will tell.
            _ => Ok(true),
        },
    }
}

/// Does it, and says what Supervisor would say.
async fn follow(
    control: &ControlHandle,
    caller: &Caller,
    link: &Link,
    name: &str,
) -> Result<String, Fault> {
    let (verb, whom) = match link {
        Link::Refresh => {
            let grant = control::grant(caller, Permission::Status)?;
            control.call(caller.clone(), grant, Request::State).await?;
            return Ok(format!("Page refreshed at {}", ctime()));
        }
        Link::StopAll => {
            call(control, caller, "supervisor.stopAllProcesses", None).await?;
            return Ok(format!("All stopped at {}", ctime()));
        }
        Link::RestartAll => {
            for name in [
                "supervisor.stopAllProcesses",
                "supervisor.startAllProcesses",
            ] {
                match call(control, caller, name, None).await {
                    Err(fault) if fault.code == FaultCode::ShutdownState => return Err(fault),
                    // Supervisor says that it has restarted, whatever came of it.
                    _ => {}
                }
            }
            return Ok(format!("All restarted at {}", ctime()));
        }
        Link::One(verb, whom) => (*verb, whom),
    };
    if matches!(whom, Whom::Group(_) | Whom::All) || !known(control, caller, name).await? {
        return Ok(no_such(name));
    }
    let mut result = Ok(Reply::Done);
    for method in verb.one {
        result = call(control, caller, method, Some(name)).await;
    }
    if let Err(fault) = &result
        && fault.code == FaultCode::ShutdownState
    {
        return Err(fault.clone());
    }
    Ok(message(verb.word, name, &result))
}

fn message(word: &str, name: &str, result: &Result<Reply, Fault>) -> String {
    match (word, result) {
        ("restart", _) => format!("Process {name} restarted"),
        ("start", Ok(_)) => format!("Process {name} started"),
        ("start", Err(fault)) => {
            let why = match fault.code {
                // Words of ours that Supervisor's page does not have.
                FaultCode::NotRunning | FaultCode::BadName => unexpected(fault),
                _ => reason(fault),
            };
            format!("ERROR: Process {name}: {why}")
        }
        ("stop", Ok(_)) => format!("Process {name} stopped"),
        (_, Ok(_)) => format!("Log for {name} cleared"),
        (_, Err(fault)) => unexpected(fault),
    }
}

/// 301 to the page with a message. It is absolute, as in Supervisor.
fn answered(head: &Parts, message: &str) -> Answer {
    let host = head.headers.get(header::HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .map_or("localhost", str::trim);
    let host = host.strip_suffix(":80").unwrap_or(host);
    let location = format!("http://{host}/?message={}", quoted(message));
    super::redirect(StatusCode::MOVED_PERMANENTLY, location)
}

/// Refuses, says why, and offers the button that does the same: a bookmark, and a page of an earlier run, work with one
/// more click.
pub(super) fn confirmation(connection: &Connection, verb: &Verb, whom: &Whom, why: &str) -> Answer {
    let content = html! {
        h1 { (verb.label) " " (whom.in_words()) "?" }
        p { (why) }
        form method="post" action="actions" {
            input type="hidden" name="token" value=(connection.token.text());
            button name="do" value={ (verb.word) " " (whom.text()) } { (verb.label) }
            " "
            a href="./" { "Cancel" }
        }
    };
    super::page(
        StatusCode::FORBIDDEN,
        page::plain("Supervisor Status", &content),
    )
}

/// The time as `ctime` writes it.
fn ctime() -> String {
    let now = Timestamp::now().to_zoned(crate::sys::time_zone());
    now.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_03_messages_of_supervisors_actions() {
        let bad = |code: FaultCode| Err(code.of("a"));
        let table = [
            ("start", Ok(Reply::Done), "Process a started"),
            (
                "start",
                bad(FaultCode::NoFile),
                "ERROR: Process a: no such file",
            ),
            (
                "start",
                bad(FaultCode::NotExecutable),
                "ERROR: Process a: file not executable",
            ),
            (
                "start",
                bad(FaultCode::AlreadyStarted),
                "ERROR: Process a: already started",
            ),
            (
                "start",
                bad(FaultCode::SpawnError),
                "ERROR: Process a: spawn error",
            ),
            (
                "start",
                bad(FaultCode::AbnormalTermination),
                "ERROR: Process a: abnormal termination",
            ),
            (
                "start",
                bad(FaultCode::Failed),
                "ERROR: Process a: unexpected rpc fault [30] FAILED: a",
            ),
            ("stop", Ok(Reply::Done), "Process a stopped"),
            (
                "stop",
                bad(FaultCode::NotRunning),
                "unexpected rpc fault [70] NOT_RUNNING: a",
            ),
            ("restart", bad(FaultCode::SpawnError), "Process a restarted"),
            ("clear", Ok(Reply::Done), "Log for a cleared"),
            (
                "clear",
                bad(FaultCode::Failed),
                "unexpected rpc fault [30] FAILED: a",
            ),
        ];
        for (word, result, expected) in table {
            assert_eq!(message(word, "a", &result), expected);
        }
    }
}
