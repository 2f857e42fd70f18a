//! METHODS: every method of the XML-RPC interface, declared once. Nothing is reachable that does not stand here.
//!
//! Dispatch, checks of arguments, permissions, `system.listMethods`, `methodHelp` and `methodSignature` all derive from
//! it. It knows what a method means, never how it is done.
//!
//! # Source
//! Supervisor manual, "XML-RPC API Documentation".

use super::xmlrpc::Value;
use super::{Fault, FaultCode, LogOf, Permission, Request, Target};
use crate::domain::{API_VERSION, Channel, Namespec, VERSION};

/// A type on the wire, in the words of `system.methodSignature`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum WireType {
    /// `string`
    Text,
    /// `int`
    Int,
    /// `boolean`
    Bool,
    /// `array`
    Array,
    /// `struct`
    Struct,
}

impl WireType {
    /// The word in signatures.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Int => "int",
            Self::Bool => "boolean",
            Self::Array => "array",
            Self::Struct => "struct",
        }
    }
}

/// What an argument is taken for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ParamKind {
    /// A namespec: text, nothing else.
    Namespec,
    /// Any single value, as text: a group's name, a signal's name or number, an event's type.
    Word,
    /// Text or bytes for a process.
    Data,
    /// A whole number; digits in a text will do.
    Int,
    /// Yes unless it is empty or nought, as in Python.
    Truth,
    /// An array.
    List,
}

impl ParamKind {
    /// The type in signatures.
    #[must_use]
    pub const fn wire(self) -> WireType {
        match self {
            Self::Namespec | Self::Word | Self::Data => WireType::Text,
            Self::Int => WireType::Int,
            Self::Truth => WireType::Bool,
            Self::List => WireType::Array,
        }
    }
}

/// One parameter.
#[derive(Debug, Clone, Copy)]
pub struct Param {
    /// Its name in the documentation; arguments go by position.
    pub name: &'static str,
    /// What it is taken for.
    pub kind: ParamKind,
    /// It may be left out; only [`ParamKind::Truth`] is ever optional, and then means yes.
    pub optional: bool,
    /// What it is for.
    pub doc: &'static str,
}

/// One method.
pub struct Method {
    /// Its full name and its other names, e.g. `supervisor.getAPIVersion`.
    pub names: &'static [&'static str],
    /// In order; optional ones last.
    pub params: &'static [Param],
    /// Type of the result.
    pub returns: WireType,
    /// What the result is.
    pub result: &'static str,
    /// The faults it may answer with, besides UNKNOWN_METHOD, INCORRECT_PARAMETERS and SHUTDOWN_STATE.
    pub faults: &'static [FaultCode],
    /// What a caller must be granted.
    pub permission: Permission,
    /// What it does.
    pub doc: &'static str,
    /// Makes the request of the arguments, already converted and complete.
    bind: fn(&mut Args) -> Result<Bound, Fault>,
}

/// A call with valid arguments: what a front has to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Bound {
    /// Ask the engine.
    Engine(Request),
    /// Ask the engine; the namespec was a wildcard, and a BAD_NAME must say it as given.
    Wildcard(Request, String),
    /// Read a part of a log.
    ReadLog {
        /// Whose.
        of: LogOf,
        /// First byte; negative: from the end.
        offset: i64,
        /// How many; 0: to the end.
        length: i64,
    },
    /// Read the end of a process's log.
    TailLog {
        /// Whose.
        of: LogOf,
        /// Where the client is.
        offset: i64,
        /// How many bytes.
        length: i64,
    },
    /// A fixed text; faults while the daemon is stopping, like every other `supervisor.*`.
    Constant(&'static str),
    /// `system.listMethods`
    ListMethods,
    /// `system.methodHelp`
    MethodHelp(String),
    /// `system.methodSignature`
    MethodSignature(String),
    /// `system.multicall`; the elements as given.
    Multicall(Vec<Value>),
}

/// The method of this name.
#[must_use]
pub fn method(name: &str) -> Option<&'static Method> {
    METHODS.iter().find(|method| method.names.contains(&name))
}

/// Every name in order, aliases included; `supervisor.*` only if that interface is there.
#[must_use]
pub fn names(interface: SupervisorInterface) -> Vec<&'static str> {
    let mut names: Vec<_> = METHODS
        .iter()
        .filter(|method| interface.offers(method))
        .flat_map(|method| method.names.iter().copied())
        .collect();
    names.sort_unstable();
    names
}

/// Whether the configuration has `[rpcinterface:supervisor]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SupervisorInterface {
    /// Methods of `supervisor` and `system`.
    Present,
    /// Methods of `system` only.
    Absent,
}

impl SupervisorInterface {
    /// Whether `method` is there.
    #[must_use]
    pub fn offers(self, method: &Method) -> bool {
        self == Self::Present || method.names.iter().any(|name| name.starts_with("system."))
    }
}

impl Method {
    /// Checks and converts arguments.
    ///
    /// # Errors
    /// INCORRECT_PARAMETERS; BAD_NAME for a wildcard where one process is required.
    // Differs: an argument of a wrong type is INCORRECT_PARAMETERS; Supervisor answers 500 for most of them.
    pub fn bind(&self, given: Vec<Value>) -> Result<Bound, Fault> {
        let required = self.params.iter().filter(|param| !param.optional).count();
        if given.len() < required || given.len() > self.params.len() {
            return Err(FaultCode::IncorrectParameters.bare());
        }
        let mut given = given.into_iter();
        let converted: Result<Vec<Arg>, Fault> = self
            .params
            .iter()
            .map(|param| match given.next() {
                Some(value) => convert(param.kind, value),
                None => Ok(Arg::Truth(true)),
            })
            .collect();
        (self.bind)(&mut Args(converted?.into_iter()))
    }

    /// `[return type, parameter types…]`.
    #[must_use]
    pub fn signature(&self) -> Vec<&'static str> {
        std::iter::once(self.returns.name())
            .chain(self.params.iter().map(|param| param.kind.wire().name()))
            .collect()
    }

    /// What `system.methodHelp` says, with the tags that Supervisor's help has.
    #[must_use]
    pub fn help(&self) -> String {
        let mut text = format!("{}\n\n", self.doc);
        for Param {
            name,
            kind,
            optional,
            doc,
        } in self.params
        {
            let default = if *optional { " (default: true)" } else { "" };
            let kind = kind.wire().name();
            text.push_str(&format!("@param {kind} {name}  {doc}{default}\n"));
        }
        let kind = self.returns.name();
        text.push_str(&format!("@return {kind} result  {}\n", self.result));
        if !self.faults.is_empty() {
            let faults: Vec<_> = self
                .faults
                .iter()
                .map(|fault| format!("{} ({})", fault.name(), fault.code()))
                .collect();
            text.push_str(&format!("\nFaults: {}\n", faults.join(", ")));
        }
        text
    }
}

/// A converted argument.
enum Arg {
    Text(String),
    Data(Vec<u8>),
    Int(i64),
    Truth(bool),
    List(Vec<Value>),
}

/// Converted arguments, taken in order. [`Method::bind`] made them of the declared kinds, so a mismatch would be a row of
/// METHODS that contradicts itself; a test binds every row.
struct Args(std::vec::IntoIter<Arg>);

impl Args {
    fn text(&mut self) -> Result<String, Fault> {
        match self.0.next() {
            Some(Arg::Text(text)) => Ok(text),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    fn data(&mut self) -> Result<Vec<u8>, Fault> {
        match self.0.next() {
            Some(Arg::Data(data)) => Ok(data),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    fn int(&mut self) -> Result<i64, Fault> {
        match self.0.next() {
            Some(Arg::Int(number)) => Ok(number),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    fn truth(&mut self) -> Result<bool, Fault> {
        match self.0.next() {
            Some(Arg::Truth(truth)) => Ok(truth),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }

    fn list(&mut self) -> Result<Vec<Value>, Fault> {
        match self.0.next() {
            Some(Arg::List(list)) => Ok(list),
            _ => Err(FaultCode::IncorrectParameters.bare()),
        }
    }
}

fn convert(kind: ParamKind, value: Value) -> Result<Arg, Fault> {
    let wrong = || FaultCode::IncorrectParameters.bare();
    match kind {
        ParamKind::Namespec => match value {
            Value::Text(text) => Ok(Arg::Text(text)),
            Value::Bytes(bytes) => String::from_utf8(bytes).map(Arg::Text).map_err(|_| wrong()),
            _ => Err(wrong()),
        },
        ParamKind::Word => word(value).map(Arg::Text).ok_or_else(wrong),
        ParamKind::Data => match value {
            Value::Text(text) => Ok(Arg::Data(text.into_bytes())),
            Value::Bytes(bytes) => Ok(Arg::Data(bytes)),
            other => Err(match word(other) {
                Some(word) => FaultCode::IncorrectParameters.of(word),
                None => wrong(),
            }),
        },
        ParamKind::Int => int(&value).map(Arg::Int).ok_or_else(wrong),
        ParamKind::Truth => Ok(Arg::Truth(match value {
            Value::Int(number) => number != 0,
            Value::Bool(truth) => truth,
            Value::Double(number) => number != 0.0,
            Value::Text(text) => !text.is_empty(),
            Value::DateTime(_) => true,
            Value::Bytes(bytes) => !bytes.is_empty(),
            Value::Array(items) => !items.is_empty(),
            Value::Struct(members) => !members.is_empty(),
        })),
        ParamKind::List => match value {
            Value::Array(items) => Ok(Arg::List(items)),
            _ => Err(wrong()),
        },
    }
}

/// A single value as Python's `str` prints it.
fn word(value: Value) -> Option<String> {
    match value {
        Value::Text(text) => Some(text),
        Value::Bytes(bytes) => String::from_utf8(bytes).ok(),
        Value::Int(number) => Some(number.to_string()),
        Value::Double(number) => Some(format!("{number:?}")),
        Value::Bool(true) => Some("True".to_owned()),
        Value::Bool(false) => Some("False".to_owned()),
        Value::DateTime(_) | Value::Array(_) | Value::Struct(_) => None,
    }
}

/// A single value as Python's `int` takes it.
fn int(value: &Value) -> Option<i64> {
    match value {
        Value::Int(number) => Some(*number),
        Value::Bool(truth) => Some(i64::from(*truth)),
        Value::Text(text) => text.trim().parse().ok(),
        // The bounds are exact in a double, and what lies between them has a whole part that fits.
        Value::Double(number) if (-9.2e18..=9.2e18).contains(number) =>
        {
            #[expect(
                clippy::cast_possible_truncation,
                reason = "in range, and Python truncates"
            )]
            Some(*number as i64)
        }
        _ => None,
    }
}

/// One process or, for a wildcard, its group.
fn target(text: String, request: impl FnOnce(Target) -> Request) -> Bound {
    let namespec = Namespec::parse(&text);
    if namespec.process.is_some() {
        Bound::Engine(request(Target::One(namespec, text)))
    } else {
        Bound::Wildcard(request(Target::Group(namespec.group)), text)
    }
}

fn read_log(args: &mut Args, channel: Channel) -> Result<Bound, Fault> {
    Ok(Bound::ReadLog {
        of: LogOf::Process(args.text()?, channel),
        offset: args.int()?,
        length: args.int()?,
    })
}

fn tail_log(args: &mut Args, channel: Channel) -> Result<Bound, Fault> {
    Ok(Bound::TailLog {
        of: LogOf::Process(args.text()?, channel),
        offset: args.int()?,
        length: args.int()?,
    })
}

const fn param(name: &'static str, kind: ParamKind, doc: &'static str) -> Param {
    Param {
        name,
        kind,
        optional: false,
        doc,
    }
}

const PROCESS: Param = param(
    "name",
    ParamKind::Namespec,
    "The process: `process`, `group:process`",
);
const PROCESS_OR_GROUP: Param = param(
    "name",
    ParamKind::Namespec,
    "The process: `process`, `group:process`; `group:*` for all of a group",
);
const GROUP: Param = param("name", ParamKind::Word, "The group");
const SIGNAL: Param = param(
    "signal",
    ParamKind::Word,
    "Name or number of the signal: `HUP`, `SIGHUP`, `1`",
);
const OFFSET: Param = param(
    "offset",
    ParamKind::Int,
    "First byte to read; negative: so many from the end, with length 0",
);
const LENGTH: Param = param("length", ParamKind::Int, "Bytes to read; 0: to the end");
const TAIL_OFFSET: Param = param(
    "offset",
    ParamKind::Int,
    "Where to begin, e.g. the offset of the previous answer",
);
const TAIL_LENGTH: Param = param("length", ParamKind::Int, "Bytes to read at most");
const START_WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::Truth,
    optional: true,
    doc: "Answer only when the start has succeeded or failed",
};
const STOP_WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::Truth,
    optional: true,
    doc: "Answer only when everything has stopped",
};
const METHOD: Param = param("name", ParamKind::Word, "Name of a method, with its prefix");

const DONE: &str = "Always true";
const RESULTS: &str =
    "One struct per process: name, group, status (a fault code; 80 is success), description";
const LOG_TEXT: &str = "The text; bytes that are no UTF-8 are replaced";
const TAIL_RESULT: &str = "[text, size of the log, whether it is longer than what was asked for]";

/// Every method.
pub const METHODS: &[Method] = {
    use FaultCode::{
        AbnormalTermination, AlreadyAdded, AlreadyStarted, BadArguments, BadName, BadSignal,
        CantReread, Failed, NoFile, NotExecutable, NotRunning, SignatureUnsupported,
        SpawnError as SpawnErrorFault, StillRunning,
    };
    use Permission::{Configure, Control, ReadLogs, Shutdown, Signal, Status};
    use WireType::{Array, Bool, Int, Struct, Text};
    &[
        // The daemon
        Method {
            names: &["supervisor.getAPIVersion", "supervisor.getVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[],
            permission: Status,
            doc: "Tell the version of this interface. It is Supervisor's, and changes only when a method changes its meaning.",
            bind: |_| Ok(Bound::Constant(API_VERSION)),
        },
        Method {
            names: &["supervisor.getSupervisorVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[],
            permission: Status,
            doc: "Tell the version of the daemon.",
            bind: |_| Ok(Bound::Constant(VERSION)),
        },
        Method {
            names: &["supervisor.getIdentification"],
            params: &[],
            returns: Text,
            result: "The `identifier` of `[supervisord]`",
            faults: &[],
            permission: Status,
            doc: "Tell the name of this instance, so that a client of many can tell them apart.",
            bind: |_| Ok(Bound::Engine(Request::Identification)),
        },
        Method {
            names: &["supervisor.getState"],
            params: &[],
            returns: Struct,
            result: "statecode and statename: 1 RUNNING",
            faults: &[],
            permission: Status,
            doc: "Tell the state of the daemon. While it stops or restarts, the answer is the fault SHUTDOWN_STATE, as for all methods but sendRemoteCommEvent.",
            bind: |_| Ok(Bound::Engine(Request::State)),
        },
        Method {
            names: &["supervisor.getPID"],
            params: &[],
            returns: Int,
            result: "The number",
            faults: &[],
            permission: Status,
            doc: "Tell the process number of the daemon.",
            bind: |_| Ok(Bound::Engine(Request::Pid)),
        },
        Method {
            names: &["supervisor.readLog", "supervisor.readMainLog"],
            params: &[OFFSET, LENGTH],
            returns: Text,
            result: LOG_TEXT,
            faults: &[BadArguments, NoFile, Failed],
            permission: ReadLogs,
            doc: "Read from the daemon's activity log. Old logs that were rotated away are not read.",
            bind: |args| {
                Ok(Bound::ReadLog {
                    of: LogOf::Daemon,
                    offset: args.int()?,
                    length: args.int()?,
                })
            },
        },
        Method {
            names: &["supervisor.clearLog"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[NoFile, Failed],
            permission: Control,
            doc: "Remove the daemon's activity log and begin it anew.",
            bind: |_| Ok(Bound::Engine(Request::ClearDaemonLog)),
        },
        Method {
            names: &["supervisor.shutdown"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[],
            permission: Shutdown,
            doc: "Stop all processes, then the daemon. The answer comes before it begins.",
            bind: |_| Ok(Bound::Engine(Request::Shutdown)),
        },
        Method {
            names: &["supervisor.restart"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[CantReread],
            permission: Shutdown,
            doc: "Stop all processes, read the configuration and start as if anew. The answer comes before it begins; with an error in the configuration nothing is stopped.",
            bind: |_| Ok(Bound::Engine(Request::Restart)),
        },
        // Configuration
        Method {
            names: &["supervisor.reloadConfig"],
            params: &[],
            returns: Array,
            result: "[[added, changed, removed]], each an array of names of groups",
            faults: &[CantReread],
            permission: Configure,
            doc: "Read the configuration and tell how it differs from what is active. Nothing is started or stopped: see addProcessGroup and removeProcessGroup.",
            bind: |_| Ok(Bound::Engine(Request::Reread)),
        },
        Method {
            names: &["supervisor.addProcessGroup"],
            params: &[GROUP],
            returns: Bool,
            result: DONE,
            faults: &[BadName, AlreadyAdded],
            permission: Configure,
            doc: "Make a group of the configuration read last active; its processes with `autostart` start.",
            bind: |args| Ok(Bound::Engine(Request::AddGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.removeProcessGroup"],
            params: &[GROUP],
            returns: Bool,
            result: DONE,
            faults: &[BadName, StillRunning],
            permission: Configure,
            doc: "Forget a group whose processes are all stopped.",
            bind: |args| Ok(Bound::Engine(Request::RemoveGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllConfigInfo"],
            params: &[],
            returns: Array,
            result: "One struct per configured process",
            faults: &[],
            permission: Status,
            doc: "Tell the configuration read last, process by process; `inuse` says whether the group is active.",
            bind: |_| Ok(Bound::Engine(Request::AllConfigInfo)),
        },
        // States
        Method {
            names: &["supervisor.getProcessInfo"],
            params: &[PROCESS],
            returns: Struct,
            result: "name, group, description, start, stop, now, state, statename, spawnerr, exitstatus, logfile, stdout_logfile, stderr_logfile, pid",
            faults: &[BadName],
            permission: Status,
            doc: "Tell the state of a process. Times are seconds since the epoch, 0 for never.",
            bind: |args| Ok(Bound::Engine(Request::ProcessInfo(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllProcessInfo"],
            params: &[],
            returns: Array,
            result: "Structs as of getProcessInfo, by group and name",
            faults: &[],
            permission: Status,
            doc: "Tell the states of all processes.",
            bind: |_| Ok(Bound::Engine(Request::AllProcessInfo)),
        },
        // Start
        Method {
            names: &["supervisor.startProcess"],
            params: &[PROCESS_OR_GROUP, START_WAIT],
            returns: Bool,
            result: "Always true; for `group:*` the array of startProcessGroup",
            faults: &[
                BadName,
                NoFile,
                NotExecutable,
                AlreadyStarted,
                SpawnErrorFault,
                AbnormalTermination,
                Failed,
            ],
            permission: Control,
            doc: "Start a process. With `wait` the answer comes once it is RUNNING or has failed; a failed one may still be retried in the background.",
            bind: |args| {
                let (name, wait) = (args.text()?, args.truth()?);
                Ok(target(name, |target| Request::Start { target, wait }))
            },
        },
        Method {
            names: &["supervisor.startProcessGroup"],
            params: &[GROUP, START_WAIT],
            returns: Array,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            doc: "Start the processes of a group that do not run, those of low priority first.",
            bind: |args| {
                Ok(Bound::Engine(Request::Start {
                    target: Target::Group(args.text()?),
                    wait: args.truth()?,
                }))
            },
        },
        Method {
            names: &["supervisor.startAllProcesses"],
            params: &[START_WAIT],
            returns: Array,
            result: RESULTS,
            faults: &[],
            permission: Control,
            doc: "Start all processes that do not run, those of low priority first.",
            bind: |args| {
                Ok(Bound::Engine(Request::Start {
                    target: Target::All,
                    wait: args.truth()?,
                }))
            },
        },
        // Stop
        Method {
            names: &["supervisor.stopProcess"],
            params: &[PROCESS_OR_GROUP, STOP_WAIT],
            returns: Bool,
            result: "Always true; for `group:*` the array of stopProcessGroup",
            faults: &[BadName, NotRunning, Failed],
            permission: Control,
            doc: "Stop a process: `stopsignal`, then SIGKILL after `stopwaitsecs`.",
            bind: |args| {
                let (name, wait) = (args.text()?, args.truth()?);
                Ok(target(name, |target| Request::Stop { target, wait }))
            },
        },
        Method {
            names: &["supervisor.stopProcessGroup"],
            params: &[GROUP, STOP_WAIT],
            returns: Array,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            doc: "Stop the processes of a group that run.",
            bind: |args| {
                Ok(Bound::Engine(Request::Stop {
                    target: Target::Group(args.text()?),
                    wait: args.truth()?,
                }))
            },
        },
        Method {
            names: &["supervisor.stopAllProcesses"],
            params: &[STOP_WAIT],
            returns: Array,
            result: RESULTS,
            faults: &[],
            permission: Control,
            doc: "Stop all processes that run.",
            bind: |args| {
                Ok(Bound::Engine(Request::Stop {
                    target: Target::All,
                    wait: args.truth()?,
                }))
            },
        },
        // Signals
        Method {
            names: &["supervisor.signalProcess"],
            params: &[PROCESS_OR_GROUP, SIGNAL],
            returns: Bool,
            result: "Always true; for `group:*` the array of signalProcessGroup",
            faults: &[BadName, BadSignal, NotRunning, Failed],
            permission: Signal,
            doc: "Send a signal to a process. Its state does not change by that.",
            bind: |args| {
                let (name, signal) = (args.text()?, args.text()?);
                Ok(target(name, |target| Request::Signal { target, signal }))
            },
        },
        Method {
            names: &["supervisor.signalProcessGroup"],
            params: &[GROUP, SIGNAL],
            returns: Array,
            result: RESULTS,
            faults: &[BadName],
            permission: Signal,
            doc: "Send a signal to all processes of a group that run.",
            bind: |args| {
                Ok(Bound::Engine(Request::Signal {
                    target: Target::Group(args.text()?),
                    signal: args.text()?,
                }))
            },
        },
        Method {
            names: &["supervisor.signalAllProcesses"],
            params: &[SIGNAL],
            returns: Array,
            result: RESULTS,
            faults: &[],
            permission: Signal,
            doc: "Send a signal to all processes that run.",
            bind: |args| {
                Ok(Bound::Engine(Request::Signal {
                    target: Target::All,
                    signal: args.text()?,
                }))
            },
        },
        // Logs of processes
        Method {
            names: &[
                "supervisor.readProcessStdoutLog",
                "supervisor.readProcessLog",
            ],
            params: &[PROCESS, OFFSET, LENGTH],
            returns: Text,
            result: LOG_TEXT,
            faults: &[BadName, BadArguments, NoFile, Failed],
            permission: ReadLogs,
            doc: "Read from the log of a process's standard output.",
            bind: |args| read_log(args, Channel::Stdout),
        },
        Method {
            names: &["supervisor.readProcessStderrLog"],
            params: &[PROCESS, OFFSET, LENGTH],
            returns: Text,
            result: LOG_TEXT,
            faults: &[BadName, BadArguments, NoFile, Failed],
            permission: ReadLogs,
            doc: "Read from the log of a process's standard error.",
            bind: |args| read_log(args, Channel::Stderr),
        },
        Method {
            names: &[
                "supervisor.tailProcessStdoutLog",
                "supervisor.tailProcessLog",
            ],
            params: &[PROCESS, TAIL_OFFSET, TAIL_LENGTH],
            returns: Array,
            result: TAIL_RESULT,
            faults: &[BadName],
            permission: ReadLogs,
            doc: "Read the end of the log of a process's standard output: the last `length` bytes. Ask again with the offset of the answer to follow it.",
            bind: |args| tail_log(args, Channel::Stdout),
        },
        Method {
            names: &["supervisor.tailProcessStderrLog"],
            params: &[PROCESS, TAIL_OFFSET, TAIL_LENGTH],
            returns: Array,
            result: TAIL_RESULT,
            faults: &[BadName],
            permission: ReadLogs,
            doc: "Read the end of the log of a process's standard error: the last `length` bytes. Ask again with the offset of the answer to follow it.",
            bind: |args| tail_log(args, Channel::Stderr),
        },
        Method {
            names: &["supervisor.clearProcessLogs", "supervisor.clearProcessLog"],
            params: &[PROCESS],
            returns: Bool,
            result: DONE,
            faults: &[BadName, Failed],
            permission: Control,
            doc: "Remove the logs of a process and begin them anew.",
            bind: |args| {
                let name = args.text()?;
                let namespec = Namespec::parse(&name);
                if namespec.process.is_none() {
                    return Err(BadName.of(name));
                }
                let target = Target::One(namespec, name);
                Ok(Bound::Engine(Request::ClearLogs(target)))
            },
        },
        Method {
            names: &["supervisor.clearAllProcessLogs"],
            params: &[],
            returns: Array,
            result: RESULTS,
            faults: &[],
            permission: Control,
            doc: "Remove the logs of all processes and begin them anew.",
            bind: |_| Ok(Bound::Engine(Request::ClearLogs(Target::All))),
        },
        // Talk
        Method {
            names: &["supervisor.sendProcessStdin"],
            params: &[
                PROCESS,
                param(
                    "chars",
                    ParamKind::Data,
                    "Text, sent as UTF-8, or base64 for any bytes",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[BadName, NotRunning, NoFile, Failed],
            permission: Control,
            doc: "Write to the standard input of a process that runs.",
            bind: |args| {
                Ok(Bound::Engine(Request::WriteStdin {
                    name: args.text()?,
                    data: args.data()?,
                }))
            },
        },
        Method {
            names: &["supervisor.sendRemoteCommEvent"],
            params: &[
                param("type", ParamKind::Word, "What listeners see as `type`"),
                param("data", ParamKind::Word, "The body of the event"),
            ],
            returns: Bool,
            result: DONE,
            faults: &[],
            permission: Control,
            doc: "Publish an event REMOTE_COMMUNICATION to the listeners that subscribed to it. Accepted even while the daemon stops.",
            bind: |args| {
                Ok(Bound::Engine(Request::RemoteEvent {
                    kind: args.text()?,
                    data: args.text()?,
                }))
            },
        },
        // The interface itself
        Method {
            names: &["system.listMethods"],
            params: &[],
            returns: Array,
            result: "Names, in order",
            faults: &[],
            permission: Status,
            doc: "List the names of all methods.",
            bind: |_| Ok(Bound::ListMethods),
        },
        Method {
            names: &["system.methodHelp"],
            params: &[METHOD],
            returns: Text,
            result: "The description",
            faults: &[SignatureUnsupported],
            permission: Status,
            doc: "Describe a method: what it does, takes and answers.",
            bind: |args| Ok(Bound::MethodHelp(args.text()?)),
        },
        Method {
            names: &["system.methodSignature"],
            params: &[METHOD],
            returns: Array,
            result: "[type of the result, types of the parameters…]",
            faults: &[SignatureUnsupported],
            permission: Status,
            doc: "Tell the types that a method takes and answers.",
            bind: |args| Ok(Bound::MethodSignature(args.text()?)),
        },
        Method {
            names: &["system.multicall"],
            params: &[param(
                "calls",
                ParamKind::List,
                "Structs with methodName and, if it takes any, params",
            )],
            returns: Array,
            result: "Per call its result, or a struct with faultCode and faultString",
            faults: &[],
            permission: Status,
            doc: "Make several calls, one after the other, in one request. A call that fails does not keep the later ones from being made.",
            bind: |args| Ok(Bound::Multicall(args.list()?)),
        },
    ]
};

#[cfg(test)]
mod tests {
    use super::*;

    /// What a running Supervisor 4.3.0 answers to `system.listMethods` and `system.methodSignature`.
    const GENUINE: &[(&str, &[&str])] = &[
        ("supervisor.addProcessGroup", &["boolean", "string"]),
        ("supervisor.clearAllProcessLogs", &["array"]),
        ("supervisor.clearLog", &["boolean"]),
        ("supervisor.clearProcessLog", &["boolean", "string"]),
        ("supervisor.clearProcessLogs", &["boolean", "string"]),
        ("supervisor.getAPIVersion", &["string"]),
        ("supervisor.getAllConfigInfo", &["array"]),
        ("supervisor.getAllProcessInfo", &["array"]),
        ("supervisor.getIdentification", &["string"]),
        ("supervisor.getPID", &["int"]),
        ("supervisor.getProcessInfo", &["struct", "string"]),
        ("supervisor.getState", &["struct"]),
        ("supervisor.getSupervisorVersion", &["string"]),
        ("supervisor.getVersion", &["string"]),
        ("supervisor.readLog", &["string", "int", "int"]),
        ("supervisor.readMainLog", &["string", "int", "int"]),
        (
            "supervisor.readProcessLog",
            &["string", "string", "int", "int"],
        ),
        (
            "supervisor.readProcessStderrLog",
            &["string", "string", "int", "int"],
        ),
        (
            "supervisor.readProcessStdoutLog",
            &["string", "string", "int", "int"],
        ),
        ("supervisor.reloadConfig", &["array"]),
        ("supervisor.removeProcessGroup", &["boolean", "string"]),
        ("supervisor.restart", &["boolean"]),
        (
            "supervisor.sendProcessStdin",
            &["boolean", "string", "string"],
        ),
        (
            "supervisor.sendRemoteCommEvent",
            &["boolean", "string", "string"],
        ),
        ("supervisor.shutdown", &["boolean"]),
        ("supervisor.signalAllProcesses", &["array", "string"]),
        ("supervisor.signalProcess", &["boolean", "string", "string"]),
        (
            "supervisor.signalProcessGroup",
            &["array", "string", "string"],
        ),
        ("supervisor.startAllProcesses", &["array", "boolean"]),
        ("supervisor.startProcess", &["boolean", "string", "boolean"]),
        (
            "supervisor.startProcessGroup",
            &["array", "string", "boolean"],
        ),
        ("supervisor.stopAllProcesses", &["array", "boolean"]),
        ("supervisor.stopProcess", &["boolean", "string", "boolean"]),
        (
            "supervisor.stopProcessGroup",
            &["array", "string", "boolean"],
        ),
        (
            "supervisor.tailProcessLog",
            &["array", "string", "int", "int"],
        ),
        (
            "supervisor.tailProcessStderrLog",
            &["array", "string", "int", "int"],
        ),
        (
            "supervisor.tailProcessStdoutLog",
            &["array", "string", "int", "int"],
        ),
        ("system.listMethods", &["array"]),
        ("system.methodHelp", &["string", "string"]),
        ("system.methodSignature", &["array", "string"]),
        ("system.multicall", &["array", "array"]),
    ];

    #[test]
    fn rpc_14_every_method_of_supervisor_is_there_and_no_other() {
        let genuine: Vec<_> = GENUINE.iter().map(|(name, _)| *name).collect();
        assert_eq!(names(SupervisorInterface::Present), genuine);
        assert_eq!(
            names(SupervisorInterface::Absent),
            [
                "system.listMethods",
                "system.methodHelp",
                "system.methodSignature",
                "system.multicall"
            ]
        );
    }

    #[test]
    fn rpc_35_signatures_are_supervisors() {
        for (name, signature) in GENUINE {
            let method = method(name).expect("there");
            assert_eq!(method.signature(), *signature, "{name}");
            let help = method.help();
            assert!(
                help.contains(method.doc) && help.contains("@return"),
                "{name}"
            );
        }
    }

    #[test]
    fn rpc_11_arity_is_exact() {
        for method in METHODS {
            let name = method.names[0];
            let value = |kind| match kind {
                ParamKind::Int => Value::Int(1),
                ParamKind::List => Value::Array(vec![]),
                _ => Value::text("x"),
            };
            let full: Vec<_> = method
                .params
                .iter()
                .map(|param| value(param.kind))
                .collect();
            assert!(method.bind(full.clone()).is_ok(), "{name}");
            let mut more = full.clone();
            more.push(Value::Int(1));
            let fault = FaultCode::IncorrectParameters.bare();
            assert_eq!(method.bind(more), Err(fault.clone()), "{name}");
            let optional = method.params.last().is_some_and(|param| param.optional);
            if !full.is_empty() {
                let less = full[..full.len() - 1].to_vec();
                assert_eq!(method.bind(less).is_ok(), optional, "{name}");
            }
        }
    }

    #[test]
    fn rpc_10_only_names_of_the_table_are_found() {
        for name in [
            "",
            "supervisor",
            "supervisor.",
            "supervisor._x",
            "supervisor.a.b",
            "supervisor.__init__",
            "system",
            "supervisor.supervisord.options.execve",
            "SUPERVISOR.getPID",
            "supervisor.getPID ",
        ] {
            assert!(method(name).is_none(), "{name}");
        }
    }

    fn bind(name: &str, params: Vec<Value>) -> Result<Bound, Fault> {
        method(name).expect("there").bind(params)
    }

    #[test]
    fn rpc_11_kinds_of_arguments() {
        let of = || LogOf::Daemon;
        let read = |offset, length| {
            Ok(Bound::ReadLog {
                of: of(),
                offset,
                length,
            })
        };
        let wrong = || Err(FaultCode::IncorrectParameters.bare());
        let table = [
            ("ints", vec![Value::Int(-5), Value::Int(0)], read(-5, 0)),
            (
                "digits",
                vec![Value::text("0"), Value::text(" 10 ")],
                read(0, 10),
            ),
            (
                "as Python's int",
                vec![Value::Bool(true), Value::Double(1.9)],
                read(1, 1),
            ),
            ("words", vec![Value::text("a"), Value::Int(0)], wrong()),
            ("huge", vec![Value::Double(1e19), Value::Int(0)], wrong()),
            (
                "no number",
                vec![Value::Double(f64::NAN), Value::Int(0)],
                wrong(),
            ),
            ("array", vec![Value::Array(vec![]), Value::Int(0)], wrong()),
        ];
        for (name, given, expected) in table {
            assert_eq!(bind("supervisor.readLog", given), expected, "{name}");
        }
        assert_eq!(
            bind("supervisor.getProcessInfo", vec![Value::Int(5)]),
            wrong()
        );
        assert_eq!(
            bind("supervisor.addProcessGroup", vec![Value::Int(5)]),
            Ok(Bound::Engine(Request::AddGroup("5".to_owned())))
        );
    }

    #[test]
    fn rpc_17_wait_is_what_python_takes_for_true() {
        let table = [
            (vec![], true),
            (vec![Value::Bool(false)], false),
            (vec![Value::Int(0)], false),
            (vec![Value::Int(2)], true),
            (vec![Value::text("")], false),
            (vec![Value::text("false")], true),
        ];
        for (given, expected) in table {
            let start = Request::Start {
                target: Target::All,
                wait: expected,
            };
            assert_eq!(
                bind("supervisor.startAllProcesses", given),
                Ok(Bound::Engine(start))
            );
        }
    }

    #[test]
    fn rpc_19_wildcards_mean_the_group() {
        for name in ["g:*", "g:"] {
            let stop = Request::Stop {
                target: Target::Group("g".to_owned()),
                wait: true,
            };
            assert_eq!(
                bind("supervisor.stopProcess", vec![Value::text(name)]),
                Ok(Bound::Wildcard(stop, name.to_owned()))
            );
            assert_eq!(
                bind("supervisor.clearProcessLogs", vec![Value::text(name)]),
                Err(FaultCode::BadName.of(name))
            );
        }
        let one = Target::One(Namespec::parse("g:p"), "g:p".to_owned());
        assert_eq!(
            bind(
                "supervisor.signalProcess",
                vec![Value::text("g:p"), Value::Int(1)]
            ),
            Ok(Bound::Engine(Request::Signal {
                target: one,
                signal: "1".to_owned()
            }))
        );
    }

    #[test]
    fn rpc_30_stdin_takes_text_or_bytes() {
        let send = |value| {
            bind(
                "supervisor.sendProcessStdin",
                vec![Value::text("cat"), value],
            )
        };
        let wrote = |data: &[u8]| {
            Ok(Bound::Engine(Request::WriteStdin {
                name: "cat".to_owned(),
                data: data.to_vec(),
            }))
        };
        assert_eq!(send(Value::text("é\n")), wrote("é\n".as_bytes()));
        assert_eq!(send(Value::Bytes(vec![0, 255])), wrote(&[0, 255]));
        assert_eq!(
            send(Value::Int(5)),
            Err(FaultCode::IncorrectParameters.of("5"))
        );
    }
}
