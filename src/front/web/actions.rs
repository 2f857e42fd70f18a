//! What the page can do: the old action links and their messages, and the buttons of our own forms. Both are calls of
//! METHODS, authorised as XML-RPC's are; who may come this far is `guard`'s business.

use std::fmt::Display;
use std::sync::Arc;

use hyper::StatusCode;
use hyper::header;
use hyper::http::request::Parts;
use jiff::Zoned;
use maud::html;
use tokio::sync::Semaphore;

use super::super::answer::Answer;
use super::super::http::Connection;
use super::form::{Form, quoted};
use super::guard::Visitor;
use super::page;
use crate::api::xmlrpc::Value;
use crate::api::{Bound, Caller, Fault, FaultCode, Reply, Request, TargetResult, method};
use crate::control::{self, ControlHandle};
use crate::domain::Namespec;

/// Actions under way at once, of all clients together. Each goes on to its end, whether its client waits or not.
pub(super) const ACTIONS_MAX: usize = 256;
/// Members of a group whose failure a message names.
const FAILURES_SHOWN_MAX: usize = 5;

/// A button.
pub(super) struct Verb {
    /// What it is called in forms.
    pub(super) word: &'static str,
    /// What it is called on the page.
    pub(super) label: &'static str,
    /// What it is called where it does that to everything.
    pub(super) label_all: &'static str,
    /// What it has done, in messages.
    past: &'static str,
    /// The methods for one process or group, called in this order.
    one: &'static [&'static str],
    /// The methods for everything.
    all: &'static [&'static str],
}

/// Every button.
pub(super) const VERBS: &[Verb] = &[
    Verb {
        word: "start",
        label: "Start",
        label_all: "Start all",
        past: "started",
        one: &["supervisor.startProcess"],
        all: &["supervisor.startAllProcesses"],
    },
    Verb {
        word: "restart",
        label: "Restart",
        label_all: "Restart all",
        past: "restarted",
        one: &["supervisor.stopProcess", "supervisor.startProcess"],
        all: &[
            "supervisor.stopAllProcesses",
            "supervisor.startAllProcesses",
        ],
    },
    Verb {
        word: "stop",
        label: "Stop",
        label_all: "Stop all",
        past: "stopped",
        one: &["supervisor.stopProcess"],
        all: &["supervisor.stopAllProcesses"],
    },
    Verb {
        word: "clear",
        label: "Clear",
        label_all: "Clear all logs",
        past: "cleared",
        one: &["supervisor.clearProcessLogs"],
        all: &["supervisor.clearAllProcessLogs"],
    },
];

fn verb(word: &str) -> Option<&'static Verb> {
    VERBS.iter().find(|verb| verb.word == word)
}

/// Whom an action concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Whom {
    /// A process, as people write it, and in full.
    One {
        shown: String,
        full: String,
    },
    Group(String),
    All,
}

impl Whom {
    /// Reads `group:process`, `group:*`, `process` or `*`.
    fn parse(text: &str) -> Self {
        if text == "*" {
            return Self::All;
        }
        let Namespec { group, process } = Namespec::parse(text);
        match process {
            None => Self::Group(group),
            Some(process) => Self::One {
                shown: if group == process {
                    process.clone()
                } else {
                    format!("{group}:{process}")
                },
                full: format!("{group}:{process}"),
            },
        }
    }

    /// As `parse` reads it.
    fn text(&self) -> String {
        match self {
            Self::One { full, .. } => full.clone(),
            Self::Group(group) => format!("{group}:*"),
            Self::All => "*".to_owned(),
        }
    }
}

impl Whom {
    /// Within a sentence.
    fn in_words(&self) -> String {
        match self {
            Self::One { shown, .. } => format!("process {shown}"),
            Self::Group(group) => format!("group {group}"),
            Self::All => "all processes".to_owned(),
        }
    }
}

impl Display for Whom {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::One { shown, .. } => write!(f, "Process {shown}"),
            Self::Group(group) => write!(f, "Group {group}"),
            Self::All => f.write_str("All"),
        }
    }
}

/// What became of an action, for people.
#[derive(Debug, PartialEq, Eq)]
struct Done {
    message: String,
    failed: bool,
}

/// Calls a method with the namespec, if it takes one.
async fn call(
    control: &ControlHandle,
    caller: &Caller,
    name: &str,
    whom: Option<&str>,
) -> Result<Reply, Fault> {
    let method = method(name).ok_or(FaultCode::UnknownMethod.bare())?;
    let bound = method.bind(whom.map(Value::text).into_iter().collect())?;
    let (Bound::Engine(request) | Bound::Wildcard(request, _)) = bound else {
        return Err(FaultCode::UnknownMethod.bare());
    };
    let grant = control::grant(caller, method.permission)?;
    control.call(caller.clone(), grant, request).await
}

/// Does something to its end, even if the client goes away meanwhile: a restart that ends with its stop would do harm.
/// None: too much is under way.
async fn to_the_end<T: Send + 'static>(
    places: &Arc<Semaphore>,
    work: impl Future<Output = T> + Send + 'static,
) -> Option<T> {
    let place = places.clone().try_acquire_owned().ok()?;
    let task = tokio::spawn(async move {
        let done = work.await;
        drop(place);
        done
    });
    task.await.ok()
}

/// The time as `ctime` writes it.
fn ctime() -> String {
    Zoned::now().strftime("%a %b %e %H:%M:%S %Y").to_string()
}

// Our own forms

/// Answers POST of a form of our page: 303 to the page with a message, or JSON for the page's script.
pub(super) async fn answer(
    connection: &Arc<Connection>,
    caller: Caller,
    head: &Parts,
    form: &Form,
) -> Answer {
    let wants_json = head
        .headers
        .get(header::ACCEPT)
        .is_some_and(|accept| accept.as_bytes().starts_with(b"application/json"));
    if !has_token(connection, form) {
        let why = "The daemon has started again since this page was shown. Nothing was changed.";
        return if wants_json {
            json(StatusCode::FORBIDDEN, why, true)
        } else {
            super::guard::forbidden(why)
        };
    }
    let asked = form.get("do").and_then(|text| text.split_once(' '));
    let Some((verb, whom)) = asked.and_then(|(word, whom)| Some((verb(word)?, whom))) else {
        return Answer::Error(StatusCode::BAD_REQUEST);
    };
    let control = connection.shared.control.clone();
    let whom = Whom::parse(whom);
    let places = &connection.shared.live.actions;
    let work = async move { act(&control, &caller, verb, &whom).await };
    let Some(done) = to_the_end(places, work).await else {
        return Answer::Error(StatusCode::SERVICE_UNAVAILABLE);
    };
    if wants_json {
        json(StatusCode::OK, &done.message, done.failed)
    } else {
        let location = format!("./?message={}", quoted(&done.message));
        super::redirect(StatusCode::SEE_OTHER, location)
    }
}

fn json(status: StatusCode, message: &str, failed: bool) -> Answer {
    let body = serde_json::json!({ "message": message, "failed": failed }).to_string();
    let headers = super::protection();
    super::made(status, "application/json", headers, body)
}

fn has_token(connection: &Connection, form: &Form) -> bool {
    form.get("token")
        .is_some_and(|given| connection.token.is(given))
}

async fn act(control: &ControlHandle, caller: &Caller, verb: &Verb, whom: &Whom) -> Done {
    let result = match whom {
        Whom::Group(group) if verb.word == "clear" => clear_group(control, caller, group).await,
        Whom::One { .. } | Whom::Group(_) => {
            let text = whom.text();
            calls(control, caller, verb.one, Some(&text)).await
        }
        Whom::All => calls(control, caller, verb.all, None).await,
    };
    done(verb, whom, &result)
}

/// The calls in order; the last one's result. What does not run need not be stopped.
async fn calls(
    control: &ControlHandle,
    caller: &Caller,
    names: &[&str],
    whom: Option<&str>,
) -> Result<Reply, Fault> {
    let mut last: Result<Reply, Fault> = Ok(Reply::Done);
    for name in names {
        if let Err(fault) = &last
            && fault.code != FaultCode::NotRunning
        {
            break;
        }
        last = call(control, caller, name, whom).await;
    }
    last
}

/// METHODS has no clearing of a group: one member after the other.
async fn clear_group(
    control: &ControlHandle,
    caller: &Caller,
    group: &str,
) -> Result<Reply, Fault> {
    let Reply::Processes(views) =
        call(control, caller, "supervisor.getAllProcessInfo", None).await?
    else {
        return Err(FaultCode::Failed.bare());
    };
    let mut results = Vec::new();
    for view in views.iter().filter(|view| view.group.as_str() == group) {
        let name = format!("{}:{}", view.group, view.name);
        let cleared = call(control, caller, "supervisor.clearProcessLogs", Some(&name)).await;
        results.push(TargetResult {
            process: view.name.clone(),
            group: view.group.clone(),
            fault: cleared.err(),
        });
    }
    if results.is_empty() {
        return Err(FaultCode::BadName.of(group));
    }
    Ok(Reply::Results(results))
}

fn done(verb: &Verb, whom: &Whom, result: &Result<Reply, Fault>) -> Done {
    let failures: Vec<String> = match result {
        Err(fault) => {
            return Done {
                message: format!("ERROR: {whom}: {}", reason(fault)),
                failed: true,
            };
        }
        Ok(Reply::Results(results)) => results
            .iter()
            .filter_map(|result| {
                let fault = result.fault.as_ref()?;
                Some(format!("{}: {}", result.process, reason(fault)))
            })
            .collect(),
        Ok(_) => Vec::new(),
    };
    if failures.is_empty() {
        let what = if verb.word == "clear" { "Log of " } else { "" };
        let whom = match whom {
            Whom::All if verb.word == "clear" => "all".to_owned(),
            Whom::One { shown, .. } if verb.word == "clear" => shown.clone(),
            Whom::Group(group) if verb.word == "clear" => format!("group {group}"),
            other => other.to_string(),
        };
        return Done {
            message: format!("{what}{whom} {}", verb.past),
            failed: false,
        };
    }
    let more = match failures.len().saturating_sub(FAILURES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = failures
        .iter()
        .take(FAILURES_SHOWN_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    Done {
        message: format!("ERROR: {whom} not {}: {shown}{more}", verb.past),
        failed: true,
    }
}

/// The words of Supervisor's page for a fault.
fn reason(fault: &Fault) -> String {
    match fault.code {
        FaultCode::NoFile => "no such file".to_owned(),
        FaultCode::NotExecutable => "file not executable".to_owned(),
        FaultCode::AlreadyStarted => "already started".to_owned(),
        FaultCode::SpawnError => "spawn error".to_owned(),
        FaultCode::AbnormalTermination => "abnormal termination".to_owned(),
        FaultCode::NotRunning => "not running".to_owned(),
        FaultCode::BadName => "no such process".to_owned(),
        FaultCode::UnknownMethod
        | FaultCode::IncorrectParameters
        | FaultCode::BadArguments
        | FaultCode::SignatureUnsupported
        | FaultCode::ShutdownState
        | FaultCode::BadSignal
        | FaultCode::Failed
        | FaultCode::Success
        | FaultCode::AlreadyAdded
        | FaultCode::StillRunning
        | FaultCode::CantReread => unexpected(fault),
    }
}

fn unexpected(fault: &Fault) -> String {
    format!("unexpected rpc fault [{}] {fault}", fault.code.code())
}

// Supervisor's links

/// Answers `index.html?processname=…&action=…`: for programs as Supervisor does, by 301 to the page with a message.
// Differs: Supervisor takes them from any page that a browser shows; here a browser needs a form of our page, and is
// offered one.
pub(super) async fn link(
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
    if !matches!(link, Link::Refresh) && !has_token(connection, form) {
        match Visitor::of(&head.headers) {
            Visitor::Program => {}
            Visitor::Browser => return confirmation(connection, &link),
            Visitor::Stranger => {
                return super::guard::forbidden("Another web page asked for this.");
            }
        }
    }
    let control = connection.shared.control.clone();
    let places = &connection.shared.live.actions;
    let name = name.to_owned();
    let work = async move { follow(&control, &caller, &link, &name).await };
    match to_the_end(places, work).await {
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
        Err(fault) if fault.code == FaultCode::BadName => Ok(false),
        Err(fault) => Err(fault),
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
            let grant = control::grant(caller, crate::api::Permission::Status)?;
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

/// Offers the button of a link that a browser followed: a bookmark works, with one more click.
fn confirmation(connection: &Connection, link: &Link) -> Answer {
    let Some((verb, whom)) = link.button() else {
        return Answer::Error(StatusCode::BAD_REQUEST);
    };
    let content = html! {
        h1 { (verb.label) " " (whom.in_words()) "?" }
        p { "A link alone changes nothing, since any web page could hold one." }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{GroupName, ProcessName};

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

    #[test]
    fn our_own_messages() {
        let result = |name: &str, fault| TargetResult {
            process: ProcessName::parse(name).expect("valid"),
            group: GroupName::parse("g").expect("valid"),
            fault,
        };
        let verb = |word| verb(word).expect("a verb");
        let one = Whom::parse("g:a");
        let group = Whom::parse("g:*");
        let good = Ok(Reply::Done);
        let table = [
            (verb("start"), &one, &good, "Process g:a started"),
            (verb("clear"), &one, &good, "Log of g:a cleared"),
            (verb("clear"), &group, &good, "Log of group g cleared"),
            (verb("clear"), &Whom::All, &good, "Log of all cleared"),
            (verb("restart"), &Whom::All, &good, "All restarted"),
            (
                verb("stop"),
                &Whom::parse("a"),
                &Err(FaultCode::NotRunning.of("a")),
                "ERROR: Process a: not running",
            ),
        ];
        for (verb, whom, result, expected) in table {
            assert_eq!(done(verb, whom, result).message, expected);
        }
        let mut results = vec![result("ok", None)];
        for name in ["a", "b", "c", "d", "e", "f", "h"] {
            results.push(result(name, Some(FaultCode::SpawnError.of(name))));
        }
        let done = done(verb("start"), &group, &Ok(Reply::Results(results)));
        assert_eq!(
            done.message,
            "ERROR: Group g not started: a: spawn error, b: spawn error, c: spawn error, d: spawn error, e: spawn error \
             and 2 more"
        );
        assert!(done.failed);
    }

    #[test]
    fn every_verb_is_made_of_methods() {
        for verb in VERBS {
            for name in verb.one.iter().chain(verb.all) {
                assert!(method(name).is_some(), "{name}");
            }
        }
    }
}
