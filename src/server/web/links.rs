//! Supervisor's action links `index.html?processname=…&action=…` and their messages, which existing scripts use.

use std::sync::Arc;

use hyper::http::request::Parts;
use hyper::{StatusCode, header};
use jiff::Timestamp;

use super::action_outcome::{fault_text, unexpected};
use super::confirmation::{confirmation_page, has_token};
use super::csrf::{RequestOrigin, forbidden};
use super::page::page_request;
use super::page_response::redirect;
use super::perform_action::{call_method, methods_of, run_to_completion};
use crate::api::{Caller, Fault, FaultCode, Permission, Reply, Request};
use crate::control::{self, ControlHandle};
use crate::http_server::percent_encoding::url_quoted;
use crate::server::http::connection::HttpConnection;
use crate::server::http::response::HandlerResponse;
use crate::web::form::Form;
use crate::web::page_actions::{ActionTarget, PageAction, find_action};
use crate::web::texts::{Language, Text};

/// Answers `index.html?processname=…&action=…`. Programs get what Supervisor answers: 301 to the page with a message.
// Differs: Supervisor accepts the links from any page that a browser shows. Here a browser must use a form of our
// page, and the answer offers one.
pub(super) async fn handle_link(
    connection: &Arc<HttpConnection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
    action: &str,
) -> HandlerResponse {
    let request = page_request(head);
    let language = request.language;
    let name = form.get("processname").unwrap_or("");
    let Some(link) = ActionLink::parse(action, name) else {
        // If both the action and the process are unknown, Supervisor reports only the process.
        let known = process_exists(&connection.shared.control, &caller, name).await;
        return match known {
            Ok(false) if !name.is_empty() => redirect_with_message(head, &no_such(name, language)),
            Ok(_) => HandlerResponse::Error(StatusCode::INTERNAL_SERVER_ERROR),
            Err(_) => HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE),
        };
    };
    if !matches!(link, ActionLink::Refresh) {
        match RequestOrigin::of(&head.headers) {
            RequestOrigin::OwnPage if !has_token(connection, form) => {
                let why = Text::LinkCannotChange;
                return match link.button() {
                    Some((action, target)) => {
                        confirmation_page(connection, &request, action, &target, why)
                    }
                    None => HandlerResponse::Error(StatusCode::BAD_REQUEST),
                };
            }
            RequestOrigin::Program | RequestOrigin::OwnPage => {}
            RequestOrigin::ForeignPage => {
                return forbidden(&request, language.say(Text::OtherPage));
            }
        }
    }
    let control = connection.shared.control.clone();
    let name = name.to_owned();
    let work = async move { follow_link(&control, &caller, &link, &name, language).await };
    match run_to_completion(connection, work).await {
        Some(Ok(message)) => redirect_with_message(head, &message),
        // Differs: Supervisor answers 500 while it stops.
        Some(Err(_)) | None => HandlerResponse::Error(StatusCode::SERVICE_UNAVAILABLE),
    }
}

/// One of Supervisor's actions.
enum ActionLink {
    Refresh,
    StopAll,
    RestartAll,
    /// An action on one process.
    One(&'static PageAction, ActionTarget),
}

impl ActionLink {
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
        Some(Self::One(find_action(word)?, ActionTarget::parse(name)))
    }

    /// The button of our form that does the same. `None`: the link changes nothing.
    fn button(&self) -> Option<(&'static PageAction, ActionTarget)> {
        match self {
            Self::Refresh => None,
            Self::StopAll => Some((find_action("stop")?, ActionTarget::All)),
            Self::RestartAll => Some((find_action("restart")?, ActionTarget::All)),
            Self::One(action, target) => Some((action, target.clone())),
        }
    }
}

fn no_such(name: &str, language: Language) -> String {
    language.fill(Text::NoSuchNamed, &[&name])
}

/// Whether the process exists. Fails only while the daemon stops.
async fn process_exists(
    control: &ControlHandle,
    caller: &Caller,
    name: &str,
) -> Result<bool, Fault> {
    match call_method(control, caller, "supervisor.getProcessInfo", Some(name)).await {
        Ok(_) => Ok(true),
        Err(fault) => match fault.code {
            FaultCode::BadName => Ok(false),
            FaultCode::ShutdownState => Err(fault),
            // For example "not permitted": the next call reports it.
            _ => Ok(true),
        },
    }
}

/// Performs the action and returns Supervisor's message for it.
async fn follow_link(
    control: &ControlHandle,
    caller: &Caller,
    link: &ActionLink,
    name: &str,
    language: Language,
) -> Result<String, Fault> {
    let (action, target) = match link {
        ActionLink::Refresh => {
            let grant = control::grant_for(caller, Permission::Status)?;
            control.call(caller.clone(), grant, Request::State).await?;
            return Ok(language.fill(Text::PageRefreshed, &[&ctime()]));
        }
        ActionLink::StopAll => {
            call_method(control, caller, "supervisor.stopAllProcesses", None).await?;
            return Ok(language.fill(Text::AllStoppedAt, &[&ctime()]));
        }
        ActionLink::RestartAll => {
            for name in [
                "supervisor.stopAllProcesses",
                "supervisor.startAllProcesses",
            ] {
                match call_method(control, caller, name, None).await {
                    Err(fault) if fault.code == FaultCode::ShutdownState => return Err(fault),
                    // Supervisor reports the restart whatever the result.
                    _ => {}
                }
            }
            return Ok(language.fill(Text::AllRestartedAt, &[&ctime()]));
        }
        ActionLink::One(action, target) => (*action, target),
    };
    if matches!(target, ActionTarget::Group(_) | ActionTarget::All)
        || !process_exists(control, caller, name).await?
    {
        return Ok(no_such(name, language));
    }
    let mut result = Ok(Reply::Done);
    for method in methods_of(action).one {
        result = call_method(control, caller, method, Some(name)).await;
    }
    if let Err(fault) = &result
        && fault.code == FaultCode::ShutdownState
    {
        return Err(fault.clone());
    }
    Ok(message(action.name, name, &result, language))
}

fn message(word: &str, name: &str, result: &Result<Reply, Fault>, language: Language) -> String {
    let about = |text| {
        let process = language.fill(Text::ProcessNamed, &[&name]);
        language.fill(text, &[&process])
    };
    match (word, result) {
        ("restart", _) => about(Text::Restarted),
        ("start", Ok(_)) => about(Text::Started),
        ("start", Err(fault)) => {
            let why = match fault.code {
                // Fault texts that Supervisor's page does not have.
                FaultCode::NotRunning | FaultCode::BadName => unexpected(fault, language),
                _ => fault_text(fault, language),
            };
            let process = language.fill(Text::ProcessNamed, &[&name]);
            language.fill(Text::ErrorOf, &[&process, &why])
        }
        ("stop", Ok(_)) => about(Text::Stopped),
        (_, Ok(_)) => language.fill(Text::LogForCleared, &[&name]),
        (_, Err(fault)) => unexpected(fault, language),
    }
}

/// 301 to the page with a message. The address is absolute, as in Supervisor.
fn redirect_with_message(head: &Parts, message: &str) -> HandlerResponse {
    let host = head.headers.get(header::HOST);
    let host = host
        .and_then(|host| host.to_str().ok())
        .map_or("localhost", str::trim);
    let host = host.strip_suffix(":80").unwrap_or(host);
    let location = format!("http://{host}/?message={}", url_quoted(message));
    redirect(StatusCode::MOVED_PERMANENTLY, location)
}

/// The current time in the format of ctime(3).
fn ctime() -> String {
    let now = Timestamp::now().to_zoned(crate::sys::time_zone());
    now.strftime("%a %b %e %H:%M:%S %Y").to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn web_03_actions_have_supervisors_messages() {
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
            assert_eq!(message(word, "a", &result, Language::English), expected);
        }
    }
}
