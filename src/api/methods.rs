//! METHODS: the table of all methods of the XML-RPC interface. A method that is not in the table cannot be called.
//!
//! Dispatch, argument checks, permissions, `system.listMethods`, `methodHelp` and `methodSignature` derive from the
//! table.
//!
//! # Source
//! Supervisor manual, "XML-RPC API Documentation".

use super::argument::Args;
use super::method::{BoundCall, Method, Param, ParamKind, WireType};
use super::{Fault, FaultCode, LogRef, Permission, Request, RequestTarget, TableColumns};
use crate::domain::{API_VERSION, Channel, Foreign, Namespec, VERSION};

/// The interface version that supervisor_twiddler reports.
const TWIDDLER_VERSION: &str = "1.0";

/// Creates a call for one process or, if `text` is a wildcard, for its group.
fn target_request(text: String, request: impl FnOnce(RequestTarget) -> Request) -> BoundCall {
    let namespec = Namespec::parse(&text);
    if namespec.process.is_some() {
        BoundCall::Engine(request(RequestTarget::One(namespec, text)))
    } else {
        BoundCall::Wildcard(request(RequestTarget::Group(namespec.group)), text)
    }
}

/// Returns the target that one name of a rolling restart means.
fn rolling_target(text: String) -> RequestTarget {
    if text == "all" {
        return RequestTarget::All;
    }
    let namespec = Namespec::parse(&text);
    match namespec.process {
        Some(_) => RequestTarget::One(namespec, text),
        None => RequestTarget::Group(namespec.group),
    }
}

fn read_log(args: &mut Args, channel: Channel) -> Result<BoundCall, Fault> {
    Ok(BoundCall::ReadLog {
        of: LogRef::Process(args.text()?, channel),
        offset: args.int()?,
        length: args.int()?,
    })
}

fn tail_log(args: &mut Args, channel: Channel) -> Result<BoundCall, Fault> {
    Ok(BoundCall::TailLog {
        of: LogRef::Process(args.text()?, channel),
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

const GROUP_NAME: Param = param("group_name", ParamKind::Word, "Name of an active group");
const PROCESS: Param = param(
    "name",
    ParamKind::Namespec,
    "Process, as `process` or `group:process`",
);
const PROCESS_OR_GROUP: Param = param(
    "name",
    ParamKind::Namespec,
    "Process, as `process` or `group:process`; `group:*` for all processes of a group",
);
const GROUP: Param = param("name", ParamKind::Word, "Name of the group");
const SIGNAL: Param = param(
    "signal",
    ParamKind::Word,
    "Name or number of the signal: `HUP`, `SIGHUP`, `1`",
);
const OFFSET: Param = param(
    "offset",
    ParamKind::Int,
    "First byte to read; a negative offset, with length 0, counts from the end",
);
const LENGTH: Param = param(
    "length",
    ParamKind::Int,
    "Number of bytes to read; 0 = to the end",
);
const TAIL_OFFSET: Param = param(
    "offset",
    ParamKind::Int,
    "First byte to read, such as the offset of the previous result",
);
const TAIL_LENGTH: Param = param("length", ParamKind::Int, "Maximum number of bytes to read");
const START_WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::Truth,
    optional: true,
    doc: "Return only after the start has succeeded or failed",
};
const STOP_WAIT: Param = Param {
    name: "wait",
    kind: ParamKind::Truth,
    optional: true,
    doc: "Return only after all processes have stopped",
};
const METHOD: Param = param("name", ParamKind::Word, "Name of a method, with its prefix");

const DONE: &str = "Always true";
const RESULTS: &str =
    "One struct per process: name, group, status (a fault code; 80 is success), description";
const LOG_TEXT: &str = "The text; bytes that are not UTF-8 are replaced";
const TAIL_RESULT: &str = "[text, size of the log, true if the log has more bytes than requested]";

/// All methods.
pub const METHODS: &[Method] = {
    use FaultCode::{
        AbnormalTermination, AlreadyAdded, AlreadyStarted, BadArguments, BadName, BadSignal,
        CantReread, Failed, IncorrectParameters, NoFile, NotExecutable, NotInWhitelist, NotRunning,
        SignatureUnsupported, SpawnError as SpawnErrorFault, StillRunning,
    };
    use Permission::{Configure, Control, ReadLogs, Shutdown, Signal, Status, Update};
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
            doc: "Return the version of the API. The version is that of Supervisor and changes only with incompatible changes.",
            bind: |_| Ok(BoundCall::Constant(API_VERSION)),
        },
        Method {
            names: &["supervisor.getSupervisorVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[],
            permission: Status,
            doc: "Return the version of the daemon.",
            bind: |_| Ok(BoundCall::Constant(VERSION)),
        },
        Method {
            names: &["supervisor.getIdentification"],
            params: &[],
            returns: Text,
            result: "The `identifier` of `[supervisord]`",
            faults: &[],
            permission: Status,
            doc: "Return the name of this instance, so that clients can distinguish several daemons.",
            bind: |_| Ok(BoundCall::Engine(Request::Identification)),
        },
        Method {
            names: &["supervisor.getState"],
            params: &[],
            returns: Struct,
            result: "statecode and statename: 1 RUNNING",
            faults: &[],
            permission: Status,
            doc: "Return the state of the daemon. While the daemon stops or restarts, this method and all others except sendRemoteCommEvent return the fault SHUTDOWN_STATE.",
            bind: |_| Ok(BoundCall::Engine(Request::State)),
        },
        Method {
            names: &["supervisor.getPID"],
            params: &[],
            returns: Int,
            result: "The PID",
            faults: &[],
            permission: Status,
            doc: "Return the PID of the daemon.",
            bind: |_| Ok(BoundCall::Engine(Request::Pid)),
        },
        Method {
            names: &["supervisor.readLog", "supervisor.readMainLog"],
            params: &[OFFSET, LENGTH],
            returns: Text,
            result: LOG_TEXT,
            faults: &[BadArguments, NoFile, Failed],
            permission: ReadLogs,
            doc: "Read the activity log of the daemon. Rotated logs are not included.",
            bind: |args| {
                Ok(BoundCall::ReadLog {
                    of: LogRef::Daemon,
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
            doc: "Clear the activity log of the daemon.",
            bind: |_| Ok(BoundCall::Engine(Request::ClearDaemonLog)),
        },
        Method {
            names: &["supervisor.shutdown"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[],
            permission: Shutdown,
            doc: "Stop all processes and shut down the daemon. The method returns before the shutdown begins.",
            bind: |_| Ok(BoundCall::Engine(Request::Shutdown)),
        },
        Method {
            names: &["supervisor.restart"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[CantReread],
            permission: Shutdown,
            doc: "Stop all processes, read the configuration and start the daemon again. The method returns before the restart begins. If the configuration has an error, nothing is stopped.",
            bind: |_| Ok(BoundCall::Engine(Request::Restart)),
        },
        // Configuration
        Method {
            names: &["supervisor.reloadConfig"],
            params: &[],
            returns: Array,
            result: "[[added, changed, removed]], each an array of group names",
            faults: &[CantReread],
            permission: Update,
            doc: "Read the configuration and return the differences from the active groups. No process is started or stopped; addProcessGroup and removeProcessGroup apply the differences.",
            bind: |_| Ok(BoundCall::Engine(Request::Reread)),
        },
        Method {
            names: &["supervisor.addProcessGroup"],
            params: &[GROUP],
            returns: Bool,
            result: DONE,
            faults: &[BadName, AlreadyAdded, Failed],
            permission: Update,
            doc: "Activate a group of the last read configuration. Its processes with `autostart` start.",
            bind: |args| Ok(BoundCall::Engine(Request::AddGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.removeProcessGroup"],
            params: &[GROUP],
            returns: Bool,
            result: DONE,
            faults: &[BadName, StillRunning],
            permission: Update,
            doc: "Remove a group. All its processes must be stopped.",
            bind: |args| Ok(BoundCall::Engine(Request::RemoveGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllConfigInfo"],
            params: &[],
            returns: Array,
            result: "One struct per configured process",
            faults: &[],
            permission: Status,
            doc: "Return the last read configuration of all processes. `inuse` is true if the group is active.",
            bind: |_| Ok(BoundCall::Engine(Request::AllConfigInfo)),
        },
        // States
        Method {
            names: &["supervisor.getProcessInfo"],
            params: &[PROCESS],
            returns: Struct,
            result: "name, group, description, start, stop, now, state, statename, spawnerr, exitstatus, logfile, stdout_logfile, stderr_logfile, pid",
            faults: &[BadName],
            permission: Status,
            doc: "Return the state of a process. Times are seconds since the epoch, 0 for never.",
            bind: |args| Ok(BoundCall::Engine(Request::ProcessInfo(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllProcessInfo"],
            params: &[],
            returns: Array,
            result: "Structs as from getProcessInfo, sorted by group and name",
            faults: &[],
            permission: Status,
            doc: "Return the states of all processes.",
            bind: |_| Ok(BoundCall::Engine(Request::AllProcessInfo)),
        },
        // Start
        Method {
            names: &["supervisor.startProcess"],
            params: &[PROCESS_OR_GROUP, START_WAIT],
            returns: Bool,
            result: "Always true; for `group:*` the result of startProcessGroup",
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
            doc: "Start a process. With `wait`, the method returns when the process is RUNNING or the start has failed; the daemon may still retry a failed start.",
            bind: |args| {
                let (name, wait) = (args.text()?, args.truth()?);
                Ok(target_request(name, |target| Request::Start {
                    target,
                    wait,
                }))
            },
        },
        Method {
            names: &["supervisor.startProcessGroup"],
            params: &[GROUP, START_WAIT],
            returns: Array,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            doc: "Start all processes of a group that do not run, low priority first.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Start {
                    target: RequestTarget::Group(args.text()?),
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
            doc: "Start all processes that do not run, low priority first.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Start {
                    target: RequestTarget::All,
                    wait: args.truth()?,
                }))
            },
        },
        // Stop
        Method {
            names: &["supervisor.stopProcess"],
            params: &[PROCESS_OR_GROUP, STOP_WAIT],
            returns: Bool,
            result: "Always true; for `group:*` the result of stopProcessGroup",
            faults: &[BadName, NotRunning, Failed],
            permission: Control,
            doc: "Stop a process with `stopsignal`, then with SIGKILL after `stopwaitsecs`.",
            bind: |args| {
                let (name, wait) = (args.text()?, args.truth()?);
                Ok(target_request(name, |target| Request::Stop {
                    target,
                    wait,
                }))
            },
        },
        Method {
            names: &["supervisor.stopProcessGroup"],
            params: &[GROUP, STOP_WAIT],
            returns: Array,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            doc: "Stop all running processes of a group.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Stop {
                    target: RequestTarget::Group(args.text()?),
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
            doc: "Stop all running processes.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Stop {
                    target: RequestTarget::All,
                    wait: args.truth()?,
                }))
            },
        },
        // Signals
        Method {
            names: &["supervisor.signalProcess"],
            params: &[PROCESS_OR_GROUP, SIGNAL],
            returns: Bool,
            result: "Always true; for `group:*` the result of signalProcessGroup",
            faults: &[BadName, BadSignal, NotRunning, Failed],
            permission: Signal,
            doc: "Send a signal to a process. The signal does not change the state of the process.",
            bind: |args| {
                let (name, signal) = (args.text()?, args.text()?);
                Ok(target_request(name, |target| Request::Signal {
                    target,
                    signal,
                }))
            },
        },
        Method {
            names: &["supervisor.signalProcessGroup"],
            params: &[GROUP, SIGNAL],
            returns: Array,
            result: RESULTS,
            faults: &[BadName],
            permission: Signal,
            doc: "Send a signal to all running processes of a group.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Signal {
                    target: RequestTarget::Group(args.text()?),
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
            doc: "Send a signal to all running processes.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Signal {
                    target: RequestTarget::All,
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
            doc: "Read the log of standard output of a process.",
            bind: |args| read_log(args, Channel::Stdout),
        },
        Method {
            names: &["supervisor.readProcessStderrLog"],
            params: &[PROCESS, OFFSET, LENGTH],
            returns: Text,
            result: LOG_TEXT,
            faults: &[BadName, BadArguments, NoFile, Failed],
            permission: ReadLogs,
            doc: "Read the log of standard error of a process.",
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
            doc: "Read the last `length` bytes of the log of standard output of a process. To follow the log, call again with the returned offset.",
            bind: |args| tail_log(args, Channel::Stdout),
        },
        Method {
            names: &["supervisor.tailProcessStderrLog"],
            params: &[PROCESS, TAIL_OFFSET, TAIL_LENGTH],
            returns: Array,
            result: TAIL_RESULT,
            faults: &[BadName],
            permission: ReadLogs,
            doc: "Read the last `length` bytes of the log of standard error of a process. To follow the log, call again with the returned offset.",
            bind: |args| tail_log(args, Channel::Stderr),
        },
        Method {
            names: &["supervisor.clearProcessLogs", "supervisor.clearProcessLog"],
            params: &[PROCESS],
            returns: Bool,
            result: DONE,
            faults: &[BadName, Failed],
            permission: Control,
            doc: "Clear the logs of a process.",
            bind: |args| {
                let name = args.text()?;
                let namespec = Namespec::parse(&name);
                if namespec.process.is_none() {
                    return Err(BadName.of(name));
                }
                let target = RequestTarget::One(namespec, name);
                Ok(BoundCall::Engine(Request::ClearLogs(target)))
            },
        },
        Method {
            names: &["supervisor.clearAllProcessLogs"],
            params: &[],
            returns: Array,
            result: RESULTS,
            faults: &[],
            permission: Control,
            doc: "Clear the logs of all processes.",
            bind: |_| Ok(BoundCall::Engine(Request::ClearLogs(RequestTarget::All))),
        },
        // Messages to processes and listeners
        Method {
            names: &["supervisor.sendProcessStdin"],
            params: &[
                PROCESS,
                param(
                    "chars",
                    ParamKind::Data,
                    "Text, written as UTF-8, or base64 for arbitrary bytes",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[BadName, NotRunning, NoFile, Failed],
            permission: Control,
            doc: "Write to the standard input of a running process.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::WriteStdin {
                    name: args.text()?,
                    data: args.data()?,
                }))
            },
        },
        Method {
            names: &["supervisor.sendRemoteCommEvent"],
            params: &[
                param("type", ParamKind::Word, "Value of `type` in the event"),
                param("data", ParamKind::Word, "The body of the event"),
            ],
            returns: Bool,
            result: DONE,
            faults: &[],
            permission: Control,
            doc: "Send an event REMOTE_COMMUNICATION to all subscribed event listeners. Accepted even while the daemon stops.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::RemoteEvent {
                    kind: args.text()?,
                    data: args.text()?,
                }))
            },
        },
        // Changes at run time (not in Supervisor)
        Method {
            names: &["supervisord.setNumprocs"],
            params: &[
                param(
                    "program",
                    ParamKind::Namespec,
                    "Program, as `program`, or `group:program` if several groups have it",
                ),
                param("numprocs", ParamKind::Int, "New number of processes"),
            ],
            returns: Struct,
            result: "added and removed: arrays of process names `group:process`",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: Configure,
            doc: "Change the number of processes of a program, until its group is updated. Surplus processes are stopped and removed, the highest process_num first. New processes have the section as it was when the group was added, and start with `autostart`. Other processes are not affected. The method returns after all surplus processes have stopped. `group:*` with -1 is the old form of resetNumprocs, accepted until version 5.1.",
            bind: |args| {
                let (program, numprocs) = (args.text()?, args.int()?);
                // The old form of resetNumprocs, for clients that do not know the method. Remove it in 5.1.
                if let (Some(group), -1) = (program.strip_suffix(":*"), numprocs) {
                    let group = group.to_owned();
                    return Ok(BoundCall::Engine(Request::ResetNumprocs(group)));
                }
                Ok(BoundCall::Engine(Request::SetNumprocs {
                    program,
                    numprocs,
                }))
            },
        },
        Method {
            names: &["supervisord.resetNumprocs"],
            params: &[GROUP_NAME],
            returns: Struct,
            result: "added and removed: arrays of process names `group:process`",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: Configure,
            doc: "Give a scaled group its last read configuration, with the numbers of processes in it. Processes that are equal in both keep running. Other processes are stopped and removed, and new ones start with `autostart`. The method returns after all removed processes have stopped. The fault INCORRECT_PARAMETERS means that the group was not scaled. `supervisorctl update` uses this method.",
            bind: |args| Ok(BoundCall::Engine(Request::ResetNumprocs(args.text()?))),
        },
        Method {
            names: &["supervisord.rollingRestart"],
            params: &[
                param(
                    "names",
                    ParamKind::Names,
                    "`process`, `group:process`, `group:*`, `all`, or an array of those",
                ),
                Param {
                    name: "at_once",
                    kind: ParamKind::Count,
                    optional: true,
                    doc: "Number of processes that are restarted at a time",
                },
            ],
            returns: Array,
            result: RESULTS,
            faults: &[BadName, Failed],
            permission: Control,
            doc: "Restart processes one after another, low priority first: a process is stopped only when the previous one is RUNNING again. Processes of a group or of `all` that do not run are not started. After the first failure, the remaining processes are not restarted, and their results say so. The restart continues if the client disconnects.",
            bind: |args| {
                let (names, at_once) = (args.names()?, args.count()?);
                let targets = names.into_iter().map(rolling_target).collect();
                Ok(BoundCall::Engine(Request::RollingRestart {
                    targets,
                    at_once,
                }))
            },
        },
        Method {
            names: &["supervisord.reexecute", "supervisord.upgrade"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[Failed],
            permission: Shutdown,
            doc: "Re-execute the daemon with the installed binary and the same PID. Programs keep running as its children, with their pipes, logs and states. The method returns after the new binary has accepted the state and before the re-execution; see getGeneration. If the new binary refuses, or another request is running that it could not continue, nothing changes.",
            bind: |_| Ok(BoundCall::Engine(Request::Upgrade)),
        },
        Method {
            names: &["supervisord.getGeneration"],
            params: &[],
            returns: Struct,
            result: "generation: number of re-executions since the start of the daemon; upgrading: true if a re-execution is about to happen",
            faults: &[],
            permission: Status,
            doc: "Return the number of re-executions of the daemon.",
            bind: |_| Ok(BoundCall::Engine(Request::Generation)),
        },
        Method {
            names: &["supervisord.getProcessTable"],
            params: &[
                param(
                    "names",
                    ParamKind::Names,
                    "`process`, `group:process`, `group:*`, or an array of those; empty: all processes. A word that names no process means the group of that name",
                ),
                param(
                    "members",
                    ParamKind::Names,
                    "Members of the struct of getProcessInfo to return; empty array = all members",
                ),
            ],
            returns: Text,
            result: "Lines of members separated by tabs, in the order of getProcessInfo: first the names of the members, then one line per process, sorted by group and name. In a member, backslash, tab, line feed and carriage return are escaped as `\\\\`, `\\t`, `\\n`, `\\r`",
            faults: &[BadName],
            permission: Status,
            doc: "Return the states of some or all processes in a compact form, which clients parse ten times as fast as structs. Unknown names are omitted.",
            bind: |args| {
                let (names, members) = (args.names()?, args.names()?);
                let columns = TableColumns::of(&members).map_err(|name| {
                    IncorrectParameters.of(format!("no member {}", Foreign(name)))
                })?;
                let request = match names.is_empty() {
                    true => Request::AllProcessInfo,
                    false => Request::SomeProcessInfo(names),
                };
                Ok(BoundCall::ProcessTable(request, columns))
            },
        },
        Method {
            names: &["supervisord.getConfigProblems"],
            params: &[],
            returns: Array,
            result: "One string per error or warning: file:line:column: error or warning: message",
            faults: &[],
            permission: Update,
            doc: "Return all errors and warnings of the last read configuration, with file and line. The fault CANT_REREAD has only the first error.",
            bind: |_| Ok(BoundCall::Engine(Request::ConfigProblems)),
        },
        // Methods of the plug-in supervisor_twiddler
        Method {
            names: &["twiddler.getAPIVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[NotInWhitelist],
            permission: Status,
            doc: "Return the version of the API of supervisor_twiddler.",
            bind: |_| Ok(BoundCall::Constant(TWIDDLER_VERSION)),
        },
        Method {
            names: &["twiddler.getGroupNames"],
            params: &[],
            returns: Array,
            result: "Names, in the order in which the groups were added",
            faults: &[NotInWhitelist],
            permission: Status,
            doc: "Return the names of all active groups.",
            bind: |_| Ok(BoundCall::Engine(Request::GroupNames)),
        },
        Method {
            names: &["twiddler.log"],
            params: &[
                param("message", ParamKind::Word, "Text of the line"),
                Param {
                    name: "level",
                    kind: ParamKind::Level,
                    optional: true,
                    doc: "Level: `CRIT`, `ERRO`, `WARN`, `INFO`, `DEBG`, `TRAC`, `BLAT`, or its number",
                },
            ],
            returns: Bool,
            result: DONE,
            faults: &[NotInWhitelist],
            permission: Control,
            doc: "Write a line to the activity log of the daemon.",
            bind: |args| {
                let (message, level) = (args.text()?, args.level()?);
                Ok(BoundCall::Engine(Request::WriteLog { level, message }))
            },
        },
        Method {
            names: &["twiddler.addProgramToGroup"],
            params: &[
                GROUP_NAME,
                param("program_name", ParamKind::Word, "Name of the new program"),
                param(
                    "program_options",
                    ParamKind::Options,
                    "Keys and values as in a section [program:x]",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[NotInWhitelist, BadName, IncorrectParameters, Failed],
            permission: Configure,
            doc: "Add a program to an active group, without a configuration file, until the group is removed or updated. Its processes with `autostart` start.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::AddProgram {
                    group: args.text()?,
                    program: args.text()?,
                    options: args.options()?,
                }))
            },
        },
        Method {
            names: &["twiddler.removeProcessFromGroup"],
            params: &[
                GROUP_NAME,
                param(
                    "process_name",
                    ParamKind::Word,
                    "Process, without its group",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[NotInWhitelist, BadName, StillRunning],
            permission: Configure,
            doc: "Remove a process from an active group. The process must be stopped. It returns when its group is added again.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::RemoveProcess {
                    group: args.text()?,
                    process: args.text()?,
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
            doc: "Return the names of all methods.",
            bind: |_| Ok(BoundCall::ListMethods),
        },
        Method {
            names: &["system.methodHelp"],
            params: &[METHOD],
            returns: Text,
            result: "The description",
            faults: &[SignatureUnsupported],
            permission: Status,
            doc: "Return the description of a method, its parameters and its result.",
            bind: |args| Ok(BoundCall::MethodHelp(args.text()?)),
        },
        Method {
            names: &["system.methodSignature"],
            params: &[METHOD],
            returns: Array,
            result: "[type of the result, types of the parameters…]",
            faults: &[SignatureUnsupported],
            permission: Status,
            doc: "Return the types of the result and the parameters of a method.",
            bind: |args| Ok(BoundCall::MethodSignature(args.text()?)),
        },
        Method {
            names: &["system.multicall"],
            params: &[param(
                "calls",
                ParamKind::List,
                "Structs with methodName and, if the method has parameters, params",
            )],
            returns: Array,
            result: "For each call its result, or a struct with faultCode and faultString",
            faults: &[],
            permission: Status,
            doc: "Make several calls, one after another, in one request. Calls after a failed call are made too.",
            bind: |args| Ok(BoundCall::Multicall(args.list()?)),
        },
    ]
};
