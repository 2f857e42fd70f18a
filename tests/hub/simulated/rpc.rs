//! Hand-written XML-RPC of the simulated nodes.

use super::processes::SimulatedProcess;

/// A call: the method, and its first two arguments as text.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ReadCall {
    pub(crate) method: String,
    pub(crate) params: Vec<String>,
}

/// Reads a call.
pub(super) fn read_call(body: &str) -> ReadCall {
    let between = |text: &str, from: &str, to: &str| -> Option<String> {
        let (_, rest) = text.split_once(from)?;
        Some(rest.split_once(to)?.0.to_owned())
    };
    let method = between(body, "<methodName>", "</methodName>").unwrap_or_default();
    let params = body.split("<value>").skip(1).map(|value| {
        let (_, typed) = value.split_once('>').unwrap_or_default();
        typed.split_once('<').unwrap_or_default().0.to_owned()
    });
    ReadCall {
        method,
        params: params.collect(),
    }
}

pub(super) fn text(text: &str) -> String {
    let escaped = text.replace('&', "&amp;").replace('<', "&lt;");
    format!("<value><string>{escaped}</string></value>")
}

pub(super) fn int(number: i64) -> String {
    format!("<value><int>{number}</int></value>")
}

pub(super) fn truth() -> String {
    "<value><boolean>1</boolean></value>".to_owned()
}

pub(super) fn array(items: &[String]) -> String {
    format!(
        "<value><array><data>{}</data></array></value>",
        items.concat()
    )
}

pub(super) fn answer(value: &str) -> String {
    format!(
        "<?xml version='1.0'?>\n<methodResponse>\n<params>\n<param>\n{value}\n</param>\n</params>\n</methodResponse>\n"
    )
}

pub(super) fn fault(code: i64, words: &str) -> String {
    format!(
        "<?xml version='1.0'?>\n<methodResponse>\n<fault>\n<value><struct><member><name>faultCode</name>{}</member>\
         <member><name>faultString</name>{}</member></struct></value>\n</fault>\n</methodResponse>\n",
        int(code),
        text(words)
    )
}

/// The struct of a process. `of_go`: as the Go project writes it.
pub(super) fn process(process: &SimulatedProcess, now: i64, of_go: bool) -> String {
    let state_name = match of_go {
        // "Running" for RUNNING.
        true => {
            let name = process.state_name();
            format!("{}{}", &name[..1], name[1..].to_lowercase())
        }
        false => process.state_name().to_owned(),
    };
    let stdout = format!("/var/log/supervisor/{}-stdout.log", process.name);
    let mut members = vec![
        ("name", text(&process.name)),
        ("group", text(&process.group)),
        ("start", int(process.start)),
        ("stop", int(process.stop)),
        ("now", int(now)),
        ("state", int(process.state.into())),
        ("statename", text(&state_name)),
        ("spawnerr", text("")),
        ("exitstatus", int(process.exit_status.into())),
        ("logfile", text(&stdout)),
        ("stdout_logfile", text(&stdout)),
        ("stderr_logfile", text("")),
        ("pid", int(process.shown_pid().into())),
        ("description", text(&process.description(now))),
    ];
    if of_go {
        members.push(("node", text("node-a")));
    }
    let members: Vec<String> = members
        .into_iter()
        .map(|(name, value)| format!("<member>\n<name>{name}</name>\n{value}\n</member>\n"))
        .collect();
    format!("<value><struct>\n{}</struct></value>\n", members.concat())
}
