//! The action `config`: the values with which a process runs, and where each of them is written.

use serde::{Deserialize, Serialize};

use super::action::ALL_KEYS;
use super::error::CtlError;
use super::option_words::take_flag;
use super::reply::{as_text, unexpected};
use super::session::CtlSession;
use super::{exit, printable, render, rolling};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::domain::Namespec;

/// The configuration of one process.
#[derive(Debug, Serialize, Deserialize)]
struct ProcessConfig {
    group: String,
    name: String,
    /// The section that the process was made of. `None`: it is not known.
    section: Option<String>,
    numprocs: u64,
    keys: Vec<ConfigKeyValue>,
}

/// One key.
#[derive(Debug, Serialize, Deserialize)]
struct ConfigKeyValue {
    key: String,
    /// As written, or the default.
    value: String,
    /// The value of this process, if it differs from what is written.
    expanded: Option<String>,
    set: bool,
    changed: bool,
    file: Option<String>,
    line: Option<u32>,
}

/// The action `config [--all] name…`.
pub(super) fn config(session: &mut CtlSession, arguments: &str) -> Result<(), CtlError> {
    #[derive(Serialize)]
    struct ConfigsJson {
        processes: Vec<ProcessConfig>,
    }
    let mut names = session.words(arguments);
    let shows_all = take_flag(&mut names, ALL_KEYS.name);
    if !session.is_up()? {
        return Ok(());
    }
    if names.is_empty() {
        return session.usage(
            "Error: config requires a process name",
            exit::INVALID_ARGUMENTS,
        );
    }
    let mut found = Vec::new();
    for name in names {
        let answer = session.call("supervisord.getProcessConfig", vec![RpcValue::text(name)]);
        let text = match answer {
            Err(failure) if failure.is_fault(FaultCode::BadName) => {
                session.refuse(&format!("{name}: ERROR (no such process)"))?;
                continue;
            }
            Err(failure) => {
                rolling::print_refusal(session, name, failure)?;
                continue;
            }
            Ok(answer) => as_text(&answer)?,
        };
        let mut process: ProcessConfig =
            serde_json::from_str(&text).map_err(|_| unexpected("a configuration"))?;
        if !shows_all {
            process.keys.retain(|key| key.set);
        }
        found.push(process);
    }
    if session.json {
        return session.say(&render::json(&ConfigsJson { processes: found }));
    }
    for (at, process) in found.iter().enumerate() {
        if at > 0 {
            session.say("")?;
        }
        for line in lines_of(process) {
            session.say(&line)?;
        }
    }
    Ok(())
}

/// The lines of one process: a heading, then a line for each key.
fn lines_of(process: &ProcessConfig) -> Vec<String> {
    let section = process.section.as_deref().unwrap_or("unknown section");
    let mut heading = format!(
        "{}: [{}]",
        Namespec::print(&process.group, &process.name),
        printable::all(section)
    );
    if process.numprocs > 1 {
        heading.push_str(&format!(", one of {} processes", process.numprocs));
    }
    let mut lines = vec![heading];
    for key in &process.keys {
        let place = match (&key.file, key.line) {
            (Some(file), Some(line)) => format!("  ({}:{line})", printable::all(file)),
            _ if key.set => "  (place unknown)".to_owned(),
            _ => "  (default)".to_owned(),
        };
        let value = printable::all(&key.value);
        let mut values = value.lines();
        let name = printable::all(&key.key);
        let first = values.next().unwrap_or_default();
        lines.push(format!("{name}={first}{place}"));
        lines.extend(values.map(|value| format!("    {value}")));
        if let Some(expanded) = &key.expanded {
            lines.push(format!("    -> {}", printable::all(expanded)));
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_key_has_its_place() {
        let text = r#"{"group":"g","name":"a","section":"program:web","numprocs":2,"keys":[
            {"key":"command","value":"run %(process_num)d","expanded":"run 1","set":true,"changed":true,"file":"/c","line":3},
            {"key":"environment","value":"A=1\nB=2","expanded":null,"set":true,"changed":true,"file":"/c","line":4},
            {"key":"x","value":"\u001b[2J","expanded":null,"set":true,"changed":true,"file":null,"line":null},
            {"key":"stopwaitsecs","value":"10","expanded":null,"set":false,"changed":false,"file":null,"line":null,"new":1}]}"#;
        let process: ProcessConfig = serde_json::from_str(text).expect("valid");
        assert_eq!(
            lines_of(&process),
            [
                "g:a: [program:web], one of 2 processes",
                "command=run %(process_num)d  (/c:3)",
                "    -> run 1",
                "environment=A=1  (/c:4)",
                "    B=2",
                "x=\u{fffd}[2J  (place unknown)",
                "stopwaitsecs=10  (default)",
            ]
        );
    }
}
