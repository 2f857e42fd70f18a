//! Actions on logs: `tail`, `maintail`, `fg`.

use std::io::{self, IsTerminal};

use super::error::CtlError;
use super::reply::{self, ProcessInfo};
use super::session::CtlSession;
use super::{exit, follow, printable};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;

/// Default number of bytes shown.
const BYTES_DEFAULT: i64 = 1600;
/// Number of bytes that `logtail` shows.
const GO_BYTES: i64 = 10240;

/// The amount in `tail -AMOUNT`.
enum TailAmount {
    /// `-f`: follow the log.
    Follow,
    /// This many bytes from the end. 0: everything. Negative: everything from that offset on.
    Last(i64),
}

/// Parses the amount after the dash. `None`: not a number.
fn amount(text: &str) -> Result<Option<TailAmount>, CtlError> {
    if text == "f" {
        return Ok(Some(TailAmount::Follow));
    }
    Ok(python_int(text)?.map(TailAmount::Last))
}

/// Parses a number like Python's `int()`. `None`: not a number.
///
/// # Errors
/// [`CtlError::Overflow`]: the number or its negative does not fit into the 32 bits of XML-RPC.
fn python_int(text: &str) -> Result<Option<i64>, CtlError> {
    let text = text.trim();
    let (negative, digits) = match text.as_bytes().first() {
        Some(b'-') => (true, &text[1..]),
        Some(b'+') => (false, &text[1..]),
        _ => (false, text),
    };
    let well_formed = digits
        .split('_')
        .all(|run| !run.is_empty() && run.bytes().all(|byte| byte.is_ascii_digit()));
    if !well_formed {
        return Ok(None);
    }
    let number: i64 = digits
        .replace('_', "")
        .parse()
        .map_err(|_| CtlError::Overflow)?;
    let number = if negative { -number } else { number };
    // The client sends the negative.
    i32::try_from(-number).map_err(|_| CtlError::Overflow)?;
    Ok(Some(number))
}

/// Requests the end of a log and prints it.
fn show(
    session: &mut CtlSession,
    name: &str,
    method: &str,
    mut params: Vec<RpcValue>,
    bytes: i64,
    texts: &[(FaultCode, &str)],
) -> Result<(), CtlError> {
    params.extend([RpcValue::Int(-bytes), RpcValue::Int(0)]);
    match session.call(method, params) {
        Ok(answer) => {
            let text = reply::as_text(&answer)?;
            if io::stdout().is_terminal() {
                return session.say(&printable::all(&text));
            }
            session.say(&text)
        }
        Err(failure) => {
            let text = texts
                .iter()
                .find(|(code, _)| failure.fault() == Some(i64::from(code.code())));
            match text {
                Some((code, text)) => {
                    if *code == FaultCode::BadName {
                        session.report.unknown.push(name.to_owned());
                    }
                    session.refuse(&format!("{name}: ERROR ({text})"))
                }
                None => Err(failure),
            }
        }
    }
}

/// The action `tail [-f | -N] name [stdout|stderr]`.
pub(super) fn tail(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    if words.is_empty() {
        return session.usage("Error: too few arguments", exit::GENERIC);
    }
    if words.len() > 3 {
        return session.usage("Error: too many arguments", exit::GENERIC);
    }
    let (modifier, names) = match words.split_first() {
        Some((first, rest)) if first.starts_with('-') => (Some(*first), rest),
        _ => (None, words.as_slice()),
    };
    let (name, channel) = match names {
        [] => return session.refuse("Error: tail requires process name"),
        [name] => (*name, "stdout".to_owned()),
        [name, .., channel] => (*name, channel.to_lowercase()),
    };
    let method = match channel.as_str() {
        "stdout" => "supervisor.readProcessStdoutLog",
        "stderr" => "supervisor.readProcessStderrLog",
        _ => return session.refuse(&format!("Error: bad channel '{channel}'")),
    };
    let amount = match modifier {
        None => Some(TailAmount::Last(BYTES_DEFAULT)),
        Some(modifier) => amount(&modifier[1..])?,
    };
    match amount {
        None => session.refuse(&format!(
            "Error: bad argument {}",
            modifier.unwrap_or_default()
        )),
        Some(TailAmount::Follow) => follow::tail(session, &format!("/logtail/{name}/{channel}")),
        Some(TailAmount::Last(bytes)) => show(
            session,
            name,
            method,
            vec![RpcValue::text(name)],
            bytes,
            &[
                (FaultCode::NoFile, "no log file"),
                (FaultCode::Failed, "unknown error reading log"),
                (FaultCode::BadName, "no such process name"),
            ],
        ),
    }
}

/// The action `logtail [-t stdout|stderr] name` of Go's command line.
// Differs: Go prints the first bytes of the file.
pub(super) fn logtail(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    let mut words = arguments.split_whitespace();
    let mut stream = "stdout";
    let mut names = Vec::new();
    while let Some(word) = words.next() {
        match word.strip_prefix("-t") {
            Some("") => stream = words.next().unwrap_or_default(),
            Some(joined) => stream = joined.strip_prefix('=').unwrap_or(joined),
            None => names.push(word),
        }
    }
    let [name] = names.as_slice() else {
        let text = "Error: logtail requires one process name";
        return session.usage(text, exit::INVALID_ARGUMENTS);
    };
    if !matches!(stream, "stdout" | "stderr") {
        let text = format!("Error: bad channel '{stream}'");
        return session.usage(&text, exit::INVALID_ARGUMENTS);
    }
    tail(session, &format!("-{GO_BYTES} {name} {stream}"))
}

/// The action `maintail [-f | -N]`.
pub(super) fn maintail(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let amount = match words.as_slice() {
        [] => Some(TailAmount::Last(BYTES_DEFAULT)),
        [word] => match word.strip_prefix('-') {
            Some(text) => amount(text)?,
            None => None,
        },
        _ => return session.usage("Error: too many arguments", exit::GENERIC),
    };
    match amount {
        None => session.refuse(&format!(
            "Error: bad argument {}",
            words.first().unwrap_or(&"")
        )),
        Some(TailAmount::Follow) => follow::tail(session, "/mainlogtail"),
        Some(TailAmount::Last(bytes)) => show(
            session,
            "supervisord",
            "supervisor.readLog",
            Vec::new(),
            bytes,
            &[
                (FaultCode::NoFile, "no log file"),
                (FaultCode::Failed, "unknown error reading log"),
            ],
        ),
    }
}

/// The action `fg name`.
pub(super) fn fg(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    if !session.is_up()? {
        return Ok(());
    }
    let words: Vec<&str> = arguments.split_whitespace().collect();
    let name = match words.as_slice() {
        [] => {
            return session.usage("ERROR: no process name supplied", exit::GENERIC);
        }
        [name] => *name,
        _ => return session.refuse("ERROR: too many process names supplied"),
    };
    match session.call("supervisor.getProcessInfo", vec![RpcValue::text(name)]) {
        Ok(answer) => {
            if ProcessInfo::read(&answer)?.is_running() {
                follow::foreground(session, name)
            } else {
                session.refuse("ERROR: process not running")
            }
        }
        Err(failure) if failure.is_fault(FaultCode::BadName) => {
            session.refuse("ERROR: bad process name supplied")
        }
        // The exit status does not change, as in Supervisor.
        Err(CtlError::Fault(fault)) => {
            session.say(&format!("ERROR: {}", super::render::fault(&fault)))
        }
        Err(failure) => Err(failure),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ctl_15_byte_counts_are_parsed_as_in_python() {
        let table = [
            ("100", "Ok(Some(100))"),
            ("0", "Ok(Some(0))"),
            ("-5", "Ok(Some(-5))"),
            ("+5", "Ok(Some(5))"),
            ("1_000", "Ok(Some(1000))"),
            ("_1", "Ok(None)"),
            ("1_", "Ok(None)"),
            ("", "Ok(None)"),
            ("5.5", "Ok(None)"),
            ("x", "Ok(None)"),
            ("2147483648", "Ok(Some(2147483648))"),
            ("2147483649", "Err(Overflow)"),
            ("-2147483648", "Err(Overflow)"),
            ("99999999999999999999999", "Err(Overflow)"),
        ];
        for (given, expected) in table {
            assert_eq!(format!("{:?}", python_int(given)), expected, "{given}");
        }
    }
}
