//! The actions `hold` and `release`: the daemon leaves processes alone while someone works on them. Only our own server
//! supports them.

use serde::Serialize;

use super::action::{FOR, REASON};
use super::error::CtlError;
use super::option_words::{seconds, take_flag, take_value};
use super::render;
use super::reply::ProcessOutcome;
use super::rolling::print_refusal;
use super::session::CtlSession;
use super::{action, exit};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::config::shlex::shlex_split;
use crate::domain::Namespec;

/// The result for one process.
#[derive(Serialize)]
struct HoldResult {
    name: String,
    /// Whether it was done.
    ok: bool,
    /// Why it was not done. Empty: it was.
    error: String,
}

/// The action `hold [--for TIME] [--reason TEXT] name…`.
pub(super) fn hold(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let Some(words) = split(session, arguments)? else {
        return Ok(());
    };
    let mut names: Vec<&str> = words.iter().map(String::as_str).collect();
    let options = || -> Result<(i64, String), String> {
        let time = take_value(&mut names, FOR.name)?;
        let time = time.map_or(Ok(0), |time| seconds(FOR.name, time))?;
        let reason = take_value(&mut names, REASON.name)?;
        Ok((time, reason.unwrap_or_default().to_owned()))
    };
    let (time, reason) = match { options }() {
        Ok(options) => options,
        Err(text) => {
            return session.usage(&format!("Error: hold: {text}"), exit::INVALID_ARGUMENTS);
        }
    };
    let method = "supervisord.holdProcess";
    let more = [RpcValue::Int(time), RpcValue::text(reason)];
    for_each(session, &mut names, method, &more, "on hold")
}

/// The action `release name…`.
pub(super) fn release(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let Some(words) = split(session, arguments)? else {
        return Ok(());
    };
    let mut names: Vec<&str> = words.iter().map(String::as_str).collect();
    let method = "supervisord.releaseProcess";
    for_each(session, &mut names, method, &[], "released")
}

/// The words of a line with quotes. `None`: a quote has no end, which was said.
fn split(session: &mut CtlSession, arguments: &str) -> Result<Option<Vec<String>>, CtlError> {
    match shlex_split(arguments) {
        Ok(words) => Ok(Some(words)),
        Err(error) => {
            session.usage(&format!("Error: {error}"), exit::INVALID_ARGUMENTS)?;
            Ok(None)
        }
    }
}

/// Calls a method for each name, and prints or collects the results.
fn for_each(
    session: &mut CtlSession,
    names: &mut Vec<&str>,
    method: &str,
    more: &[RpcValue],
    done: &str,
) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct ResultsJson {
        results: Vec<HoldResult>,
    }
    session.json = take_flag(names, action::JSON.name);
    if !session.is_up()? {
        return Ok(());
    }
    let action = session.running.name;
    if let Some(unknown) = names.iter().find(|name| name.starts_with('-')) {
        let text = format!("Error: {action} has no option {unknown} (nothing changed)");
        return session.usage(&text, exit::INVALID_ARGUMENTS);
    }
    if names.is_empty() {
        let text = format!("Error: {action} requires a process name");
        return session.usage(&text, exit::INVALID_ARGUMENTS);
    }
    let mut results = Vec::new();
    for name in names {
        match call(session, name, method, more) {
            Ok(RpcValue::Array(outcomes)) => {
                for outcome in &outcomes {
                    results.push(HoldResult::of(&ProcessOutcome::read(outcome)?));
                }
            }
            Ok(_) => results.push(HoldResult::new(name, "")),
            Err(failure) if failure.is_fault(FaultCode::BadName) => {
                results.push(HoldResult::new(name, "no such process"));
            }
            Err(CtlError::Fault(fault))
                if fault.code != i64::from(FaultCode::UnknownMethod.code()) =>
            {
                results.push(HoldResult::new(name, &fault.text));
            }
            Err(failure) => return print_refusal(session, name, failure),
        }
    }
    if results.iter().any(|result| !result.ok) {
        session.exit = exit::GENERIC;
    }
    if session.json {
        return session.say(&render::json(&ResultsJson { results }));
    }
    for result in results {
        let line = match result.ok {
            true => format!("{}: {done}", result.name),
            false => format!("{}: ERROR ({})", result.name, result.error),
        };
        session.say(&line)?;
    }
    Ok(())
}

/// Calls a method for a process or a group. A word that names no process means its group.
fn call(
    session: &mut CtlSession,
    name: &str,
    method: &str,
    more: &[RpcValue],
) -> Result<RpcValue, CtlError> {
    let mut for_name = |name: &str| {
        let first = std::iter::once(RpcValue::text(name));
        session.call(method, first.chain(more.iter().cloned()).collect())
    };
    let spec = Namespec::parse(name);
    if spec.process.is_none() {
        return for_name(&format!("{}:*", spec.group));
    }
    match for_name(name) {
        Err(failure) if failure.is_fault(FaultCode::BadName) && !name.contains(':') => {
            for_name(&format!("{name}:*"))
        }
        answer => answer,
    }
}

impl HoldResult {
    /// `error`: why it was not done. Empty: it was.
    fn new(name: &str, error: &str) -> Self {
        Self {
            name: name.to_owned(),
            ok: error.is_empty(),
            error: error.to_owned(),
        }
    }

    fn of(outcome: &ProcessOutcome) -> Self {
        let ok = outcome.status == i64::from(FaultCode::Success.code());
        Self {
            name: Namespec::print(&outcome.group, &outcome.name),
            ok,
            error: match ok {
                true => String::new(),
                false => outcome.description.clone(),
            },
        }
    }
}
