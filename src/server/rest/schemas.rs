//! The JSON schemas of parameters, results and problems, for the OpenAPI document.

use serde_json::{Map, Value, json};

use super::problem::fault_type;
use super::query::QueryKind;
use crate::api::{DETAIL_MEMBERS, FaultCode, NAMES_MAX, ParamKind, ResultKind};
use crate::domain::{Level, ProcessState, SupervisorState};

/// A member of an object: its name, its schema and its description.
type Member = (&'static str, fn() -> Value, &'static str);

fn text() -> Value {
    json!({"type": "string"})
}

fn number() -> Value {
    json!({"type": "integer"})
}

fn truth() -> Value {
    json!({"type": "boolean"})
}

fn texts() -> Value {
    json!({"type": "array", "items": text()})
}

fn state_name() -> Value {
    json!({"type": "string", "enum": ProcessState::ALL.map(ProcessState::name)})
}

/// Members of a process, those of METHODS first.
const PROCESS: &[Member] = &[
    ("name", text, "Name, without its group"),
    ("group", text, "Group"),
    ("start", number, "Time of the last start; 0: never"),
    ("stop", number, "Time of the last exit; 0: never"),
    ("now", number, "Time of the answer"),
    ("state", number, "Code of the state"),
    ("statename", state_name, "State"),
    (
        "spawnerr",
        text,
        "Why the last start failed; empty: it did not",
    ),
    (
        "exitstatus",
        number,
        "Last exit code; -1: killed by a signal",
    ),
    ("logfile", text, "The same as stdout_logfile"),
    (
        "stdout_logfile",
        text,
        "Path of the log of standard output; empty: none",
    ),
    (
        "stderr_logfile",
        text,
        "Path of the log of standard error; empty: none",
    ),
    ("pid", number, "PID; 0: not running"),
    (
        "description",
        text,
        "The state in words, as supervisorctl status shows it",
    ),
    (
        "restarts",
        number,
        "How many times the process was started again",
    ),
    ("lastexit", text, "How the last instance ended"),
    (
        "nextattempt",
        number,
        "Time of the next automatic start; 0: none is due",
    ),
    ("health", health, "Result of the health check"),
    (
        "logtargets",
        text,
        "A line for each log target: stream, target, bytes written, bytes dropped, and 1 if writing fails or 0, separated by tabs",
    ),
    (
        "progress",
        text,
        "What happens next without a request, such as SIGKILL in 6 s; empty: nothing",
    ),
];

fn health() -> Value {
    json!({"type": "string", "enum": ["none", "starting", "healthy", "unhealthy"]})
}

/// The member of a process that a query adds.
const USAGE: Member = (
    "usage",
    usage,
    "Use of CPU and memory, without children, if the query has usage=1; null: not known",
);

fn usage() -> Value {
    let mut schema = object(&[
        (
            "cpu_percent",
            fraction,
            "Use of CPU between the last two samples, of one CPU; null: there is one sample",
        ),
        ("cpu_milliseconds", number, "CPU time since the start"),
        ("memory_bytes", number, "Resident memory"),
    ]);
    schema["type"] = json!(["object", "null"]);
    schema
}

fn fraction() -> Value {
    json!({"type": ["number", "null"]})
}

fn uid() -> Value {
    json!({"type": ["integer", "string"]})
}

fn numbers() -> Value {
    json!({"type": "array", "items": number()})
}

/// Members of a configured process. Those with the names of keys have their values.
const CONFIG: &[Member] = &[
    ("autostart", truth, "autostart"),
    ("directory", text, "directory, or none"),
    ("uid", uid, "UID of the user, or none"),
    ("command", text, "command"),
    ("exitcodes", numbers, "exitcodes"),
    ("group", text, "Group"),
    ("group_prio", number, "priority of the group"),
    ("inuse", truth, "Whether the group is active"),
    ("killasgroup", truth, "killasgroup"),
    ("name", text, "Name, without its group"),
    ("process_prio", number, "priority"),
    ("redirect_stderr", truth, "redirect_stderr"),
    ("startretries", number, "startretries"),
    ("startsecs", number, "startsecs"),
    ("stdout_capture_maxbytes", number, "stdout_capture_maxbytes"),
    ("stdout_events_enabled", truth, "stdout_events_enabled"),
    ("stdout_logfile", text, "stdout_logfile"),
    ("stdout_logfile_backups", number, "stdout_logfile_backups"),
    ("stdout_logfile_maxbytes", number, "stdout_logfile_maxbytes"),
    ("stdout_syslog", truth, "stdout_syslog"),
    ("stopsignal", number, "Number of stopsignal"),
    ("stopwaitsecs", number, "stopwaitsecs"),
    ("stderr_capture_maxbytes", number, "stderr_capture_maxbytes"),
    ("stderr_events_enabled", truth, "stderr_events_enabled"),
    ("stderr_logfile", text, "stderr_logfile"),
    ("stderr_logfile_backups", number, "stderr_logfile_backups"),
    ("stderr_logfile_maxbytes", number, "stderr_logfile_maxbytes"),
    ("stderr_syslog", truth, "stderr_syslog"),
    ("serverurl", text, "serverurl, or none"),
];

const RESULT: &[Member] = &[
    ("name", text, "Name of the process, without its group"),
    ("group", text, "Group"),
    ("status", number, "Code of the fault; 80: success"),
    ("description", text, "OK, or the text of the fault"),
];

const DEPENDENCY: &[Member] = &[
    ("name", text, "Name, without its group"),
    ("group", text, "Group"),
    ("statename", state_name, "State"),
    (
        "held_up",
        text,
        "What the process waits for, or which dependency failed; empty: nothing",
    ),
    (
        "started",
        number,
        "Milliseconds from the start of the first programs to its last start; -1: never",
    ),
    (
        "ready",
        number,
        "Milliseconds from then to RUNNING; -1: not known",
    ),
    ("depends_on", needs, "What the process depends on"),
    ("dependents", texts, "Running processes that depend on it"),
];

fn needs() -> Value {
    let need = object(&[
        ("target", text, "As written, without the condition"),
        ("condition", text, "What each process must have reached"),
        ("met", truth, "Whether all have reached it"),
        ("processes", texts, "The processes that the target means"),
    ]);
    json!({"type": "array", "items": need})
}

fn daemon_state() -> Value {
    let names = [
        SupervisorState::Fatal,
        SupervisorState::Running,
        SupervisorState::Restarting,
        SupervisorState::Shutdown,
    ];
    json!({"type": "string", "enum": names.map(SupervisorState::name)})
}

fn problem_type() -> Value {
    json!({"type": "string", "format": "uri-reference"})
}

/// An object whose members are all required.
fn object(members: &[Member]) -> Value {
    let names: Vec<&str> = members.iter().map(|(name, ..)| *name).collect();
    json!({"type": "object", "properties": properties(members), "required": names})
}

fn properties(members: &[Member]) -> Value {
    let members = members.iter().map(|(name, schema, doc)| {
        let mut schema = schema();
        schema["description"] = (*doc).into();
        ((*name).to_owned(), schema)
    });
    Value::Object(members.collect())
}

/// The schema of a problem. `faults`: those that a problem can have.
fn problem(faults: &[FaultCode]) -> Value {
    let names: Vec<&str> = faults.iter().map(|fault| fault.name()).collect();
    let mut schema = object(&[
        (
            "type",
            problem_type,
            "Identifier of the kind of problem: that of the fault, or about:blank",
        ),
        ("title", text, "The kind in words"),
        ("status", number, "The status of the response"),
        ("detail", text, "What is wrong in this request"),
    ]);
    schema["properties"]["type"]["examples"] = json!([fault_type(FaultCode::BadName)]);
    schema["properties"]["fault"] = json!({
        "type": "string",
        "enum": names,
        "description": "Name of the fault of the method, absent if no method was called",
    });
    schema["properties"]["code"] = json!({
        "type": "integer",
        "description": "Code of the fault in XML-RPC",
    });
    schema
}

/// The schemas that the document refers to by name.
pub(super) fn components() -> Value {
    let mut process = object(PROCESS);
    process["properties"]["usage"] = properties(&[USAGE])["usage"].take();
    json!({
        "Process": process,
        "ProcessRow": {"type": "object", "properties": properties(PROCESS)},
        "ConfiguredProcess": object(CONFIG),
        "ProcessResult": object(RESULT),
        "ProcessDependencies": object(DEPENDENCY),
        "Difference": object(&[
            ("added", texts, "Groups of the configuration that are not active"),
            ("changed", texts, "Groups that differ"),
            ("removed", texts, "Active groups that the configuration lacks"),
        ]),
        "LogTail": object(&[
            ("text", text, "The end of the log; bytes that are not UTF-8 are replaced"),
            ("offset", number, "Size of the log: the offset for the next request"),
            ("overflow", truth, "Whether the log has more bytes than requested"),
        ]),
        "DaemonState": object(&[
            ("statecode", number, "Code of the state"),
            ("statename", daemon_state, "State"),
        ]),
        "Generation": object(&[
            ("generation", number, "Number of re-executions since the start of the daemon"),
            ("upgrading", truth, "Whether a re-execution is about to happen"),
        ]),
        "Scaled": object(&[
            ("added", texts, "Added processes, as group:process"),
            ("removed", texts, "Removed processes, as group:process"),
        ]),
        "Plan": object(&[
            ("id", text, "The same for plans that do the same"),
            ("groups", plan_groups, "What happens to each group"),
            ("unchanged", texts, "Groups to which nothing happens"),
        ]),
        "Problem": problem(FaultCode::ALL),
    })
}

fn plan_groups() -> Value {
    json!({"type": "array", "items": {"type": "object"}})
}

fn reference(name: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{name}")})
}

fn list_of(name: &str) -> Value {
    json!({"type": "array", "items": reference(name)})
}

/// The schema of a problem.
pub(super) fn problem_schema() -> Value {
    reference("Problem")
}

/// The schema of a result.
pub(super) fn result_schema(kind: ResultKind) -> Value {
    match kind {
        ResultKind::Done => json!({"type": "boolean", "const": true}),
        ResultKind::DoneOrResults => {
            json!({"anyOf": [{"type": "boolean"}, list_of("ProcessResult")]})
        }
        ResultKind::Results => list_of("ProcessResult"),
        ResultKind::Text => text(),
        ResultKind::Int => number(),
        ResultKind::State => reference("DaemonState"),
        ResultKind::Process => reference("Process"),
        ResultKind::Processes => list_of("Process"),
        ResultKind::Table => list_of("ProcessRow"),
        ResultKind::Configs => list_of("ConfiguredProcess"),
        ResultKind::Dependencies => list_of("ProcessDependencies"),
        ResultKind::Diff => reference("Difference"),
        ResultKind::Plan => reference("Plan"),
        ResultKind::Json => json!({"type": "object"}),
        ResultKind::Texts => texts(),
        ResultKind::Tail => reference("LogTail"),
        ResultKind::Generation => reference("Generation"),
        ResultKind::Scaled => reference("Scaled"),
        // No route returns it.
        ResultKind::Calls => json!({"type": "array"}),
    }
}

/// Where a parameter is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum ParamPlace {
    /// In the path or the query: text.
    Address,
    /// In the body: JSON.
    Body,
}

/// The schema of a parameter of a method.
pub(super) fn param_schema(kind: ParamKind, place: ParamPlace) -> Value {
    match kind {
        ParamKind::Namespec | ParamKind::Word | ParamKind::Data => match place {
            // A segment of a path is not empty.
            ParamPlace::Address => json!({"type": "string", "minLength": 1}),
            ParamPlace::Body => text(),
        },
        ParamKind::Int => {
            json!({"type": "integer", "format": "int64", "minimum": i64::MIN, "maximum": i64::MAX})
        }
        ParamKind::Count => {
            json!({"type": "integer", "minimum": 1, "maximum": u32::MAX, "default": 1})
        }
        ParamKind::Truth => json!({"type": "boolean", "default": true}),
        ParamKind::Flag => json!({"type": "boolean", "default": false}),
        ParamKind::Text => text(),
        ParamKind::List => json!({"type": "array"}),
        ParamKind::Names => match place {
            ParamPlace::Address => {
                json!({"type": "array", "items": {"type": "string", "minLength": 1}})
            }
            ParamPlace::Body => {
                json!({"anyOf": [text(), {"type": "array", "items": text(), "maxItems": NAMES_MAX}]})
            }
        },
        ParamKind::Level => {
            let letters: Vec<&str> = Level::ALL.iter().map(|(_, _, letters)| *letters).collect();
            json!({"type": "string", "enum": letters, "default": "INFO"})
        }
        ParamKind::Options => json!({
            "type": "object",
            "additionalProperties": {"type": ["string", "number", "boolean"]},
        }),
    }
}

/// The schema of a parameter of a query.
pub(super) fn query_schema(kind: QueryKind) -> Value {
    match kind {
        QueryKind::Switch => json!({"type": "integer", "enum": [0, 1], "default": 0}),
        QueryKind::Texts => json!({"type": "array", "items": text(), "maxItems": 64}),
        QueryKind::Words(words) => json!({
            "type": "array",
            "items": {"type": "string", "enum": words()},
            "maxItems": 64,
        }),
    }
}

/// The body of a request with these members.
pub(super) fn body_schema(members: Map<String, Value>, required: &[&str]) -> Value {
    json!({
        "type": "object",
        "properties": members,
        "required": required,
        "additionalProperties": false,
    })
}

/// The members that the schema of a process has besides those of XML-RPC.
const _: () = assert!(PROCESS.len() == crate::api::PROCESS_MEMBERS.len() + DETAIL_MEMBERS.len());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::testing::program;
    use crate::server::calls::process_members::tests::{cat, config_of};
    use crate::server::calls::process_members::{
        RenderScratch, write_config, write_details, write_process,
    };
    use crate::server::rest::json::ObjectWriter;

    /// Checks that an object has exactly the members of a table, in its order and with its types.
    fn check(members: &[Member], written: Vec<u8>) {
        let text = String::from_utf8(written).expect("text");
        let value: Map<String, Value> = serde_json::from_str(&text).expect("JSON");
        assert_eq!(value.len(), members.len());
        for (name, schema, _) in members {
            let schema = schema();
            let value = &value[*name];
            let is = |kind: &str| match kind {
                "string" => value.is_string(),
                "integer" => value.is_i64(),
                "boolean" => value.is_boolean(),
                "array" => value.is_array(),
                _ => false,
            };
            let fits = match &schema["type"] {
                Value::String(kind) => is(kind),
                kinds => {
                    let kinds = kinds.as_array().expect("kinds");
                    kinds.iter().any(|kind| is(kind.as_str().expect("a name")))
                }
            };
            assert!(fits, "{name}: {value}");
            if let Some(words) = schema["enum"].as_array() {
                assert!(words.contains(value), "{name}: {value}");
            }
        }
    }

    #[test]
    fn processes_have_the_members_of_their_schema() {
        let mut out = Vec::new();
        let mut scratch = RenderScratch::default();
        let mut object = ObjectWriter::new(&mut out, None);
        write_process(&cat(), &mut scratch, &mut object);
        write_details(&cat(), &scratch, &mut object);
        object.finish();
        check(PROCESS, out);
        let mut out = Vec::new();
        let mut object = ObjectWriter::new(&mut out, None);
        write_config(&config_of(program("a", "a")), &mut object);
        object.finish();
        check(CONFIG, out);
    }
}
