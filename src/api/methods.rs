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

const GROUP_NAME: Param = param("group_name", ParamKind::Word, "A group that is active");
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
            doc: "Tell the version of this interface. It is Supervisor's, and changes only when a method changes its meaning.",
            bind: |_| Ok(BoundCall::Constant(API_VERSION)),
        },
        Method {
            names: &["supervisor.getSupervisorVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[],
            permission: Status,
            doc: "Tell the version of the daemon.",
            bind: |_| Ok(BoundCall::Constant(VERSION)),
        },
        Method {
            names: &["supervisor.getIdentification"],
            params: &[],
            returns: Text,
            result: "The `identifier` of `[supervisord]`",
            faults: &[],
            permission: Status,
            doc: "Tell the name of this instance, so that a client of many can tell them apart.",
            bind: |_| Ok(BoundCall::Engine(Request::Identification)),
        },
        Method {
            names: &["supervisor.getState"],
            params: &[],
            returns: Struct,
            result: "statecode and statename: 1 RUNNING",
            faults: &[],
            permission: Status,
            doc: "Tell the state of the daemon. While it stops or restarts, the answer is the fault SHUTDOWN_STATE, as for all methods but sendRemoteCommEvent.",
            bind: |_| Ok(BoundCall::Engine(Request::State)),
        },
        Method {
            names: &["supervisor.getPID"],
            params: &[],
            returns: Int,
            result: "The number",
            faults: &[],
            permission: Status,
            doc: "Tell the process number of the daemon.",
            bind: |_| Ok(BoundCall::Engine(Request::Pid)),
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
            doc: "Remove the daemon's activity log and begin it anew.",
            bind: |_| Ok(BoundCall::Engine(Request::ClearDaemonLog)),
        },
        Method {
            names: &["supervisor.shutdown"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[],
            permission: Shutdown,
            doc: "Stop all processes, then the daemon. The answer comes before it begins.",
            bind: |_| Ok(BoundCall::Engine(Request::Shutdown)),
        },
        Method {
            names: &["supervisor.restart"],
            params: &[],
            returns: Bool,
            result: DONE,
            faults: &[CantReread],
            permission: Shutdown,
            doc: "Stop all processes, read the configuration and start as if anew. The answer comes before it begins; with an error in the configuration nothing is stopped.",
            bind: |_| Ok(BoundCall::Engine(Request::Restart)),
        },
        // Configuration
        Method {
            names: &["supervisor.reloadConfig"],
            params: &[],
            returns: Array,
            result: "[[added, changed, removed]], each an array of names of groups",
            faults: &[CantReread],
            permission: Update,
            doc: "Read the configuration and tell how it differs from what is active. Nothing is started or stopped: see addProcessGroup and removeProcessGroup.",
            bind: |_| Ok(BoundCall::Engine(Request::Reread)),
        },
        Method {
            names: &["supervisor.addProcessGroup"],
            params: &[GROUP],
            returns: Bool,
            result: DONE,
            faults: &[BadName, AlreadyAdded, Failed],
            permission: Update,
            doc: "Make a group of the configuration read last active; its processes with `autostart` start.",
            bind: |args| Ok(BoundCall::Engine(Request::AddGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.removeProcessGroup"],
            params: &[GROUP],
            returns: Bool,
            result: DONE,
            faults: &[BadName, StillRunning],
            permission: Update,
            doc: "Forget a group whose processes are all stopped.",
            bind: |args| Ok(BoundCall::Engine(Request::RemoveGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllConfigInfo"],
            params: &[],
            returns: Array,
            result: "One struct per configured process",
            faults: &[],
            permission: Status,
            doc: "Tell the configuration read last, process by process; `inuse` says whether the group is active.",
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
            doc: "Tell the state of a process. Times are seconds since the epoch, 0 for never.",
            bind: |args| Ok(BoundCall::Engine(Request::ProcessInfo(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllProcessInfo"],
            params: &[],
            returns: Array,
            result: "Structs as of getProcessInfo, by group and name",
            faults: &[],
            permission: Status,
            doc: "Tell the states of all processes.",
            bind: |_| Ok(BoundCall::Engine(Request::AllProcessInfo)),
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
            doc: "Start the processes of a group that do not run, those of low priority first.",
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
            doc: "Start all processes that do not run, those of low priority first.",
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
            result: "Always true; for `group:*` the array of stopProcessGroup",
            faults: &[BadName, NotRunning, Failed],
            permission: Control,
            doc: "Stop a process: `stopsignal`, then SIGKILL after `stopwaitsecs`.",
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
            doc: "Stop the processes of a group that run.",
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
            doc: "Stop all processes that run.",
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
            result: "Always true; for `group:*` the array of signalProcessGroup",
            faults: &[BadName, BadSignal, NotRunning, Failed],
            permission: Signal,
            doc: "Send a signal to a process. Its state does not change by that.",
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
            doc: "Send a signal to all processes of a group that run.",
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
            doc: "Send a signal to all processes that run.",
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
            doc: "Remove the logs of all processes and begin them anew.",
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
                    "Text, sent as UTF-8, or base64 for any bytes",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[BadName, NotRunning, NoFile, Failed],
            permission: Control,
            doc: "Write to the standard input of a process that runs.",
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
                param("type", ParamKind::Word, "What listeners see as `type`"),
                param("data", ParamKind::Word, "The body of the event"),
            ],
            returns: Bool,
            result: DONE,
            faults: &[],
            permission: Control,
            doc: "Publish an event REMOTE_COMMUNICATION to the listeners that subscribed to it. Accepted even while the daemon stops.",
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
                    "The program: `program`, or `group:program` where several groups have it; `group:*` with -1: all programs of a group",
                ),
                param(
                    "numprocs",
                    ParamKind::Int,
                    "How many processes it is to have; -1: as many as the configuration read last says",
                ),
            ],
            returns: Struct,
            result: "added and removed: arrays of names of processes, `group:process`",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: Configure,
            doc: "Give a program another number of processes, until its group is updated. Those beyond are stopped, the highest process_num first, and forgotten; new ones are made of the section as it was when its group was added, and those with `autostart` start. All others are left alone. The answer comes once all that are to go have stopped. For a group that was scaled, -1 is what `supervisorctl update` asks for: it becomes what the configuration read last says, and processes that are the same there go on; INCORRECT_PARAMETERS: it was not scaled.",
            bind: |args| {
                let (program, numprocs) = (args.text()?, args.int()?);
                Ok(BoundCall::Engine(Request::SetNumprocs {
                    program,
                    numprocs,
                }))
            },
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
                    doc: "How many are restarted at a time",
                },
            ],
            returns: Array,
            result: RESULTS,
            faults: &[BadName, Failed],
            permission: Control,
            doc: "Restart processes one after another, those of low priority first: the next is stopped only when the one before is RUNNING again. Those of a group or of `all` that do not run stay as they are. It ends at the first that fails; the rest is left as it was, and its results say so. It goes on when the caller leaves.",
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
            doc: "Replace the daemon by what now stands where it was started from, in place: programs go on and stay its children, with their pipes, logs and states. The answer comes when the other has agreed to take over, and before it does; see getGeneration. If it does not agree, or if something is under way that it could not go on with, nothing changes.",
            bind: |_| Ok(BoundCall::Engine(Request::Upgrade)),
        },
        Method {
            names: &["supervisord.getGeneration"],
            params: &[],
            returns: Struct,
            result: "generation: how often the daemon was replaced in place since its start; upgrading: whether that is just about to happen",
            faults: &[],
            permission: Status,
            doc: "Tell how often the daemon was replaced in place.",
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
                    "The members of the structs of getProcessInfo that are wanted; an empty array: all",
                ),
            ],
            returns: Text,
            result: "Lines with a tab between two members, in the order of getProcessInfo: first their names, then a line per process, by group and name. In a member, backslash, tab, line feed and carriage return are written `\\\\`, `\\t`, `\\n`, `\\r`",
            faults: &[BadName],
            permission: Status,
            doc: "Tell the states of some or all processes in a compact form, which a client reads in a tenth of the time that the structs take. A name of which there is no process is left out.",
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
            result: "One string per error or warning: file:line:column: error or warning: what is wrong",
            faults: &[],
            permission: Update,
            doc: "Tell everything that was wrong with the configuration when it was read last, by file and line. The fault CANT_REREAD has the first error alone.",
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
            doc: "Tell the version of the interface of supervisor_twiddler.",
            bind: |_| Ok(BoundCall::Constant(TWIDDLER_VERSION)),
        },
        Method {
            names: &["twiddler.getGroupNames"],
            params: &[],
            returns: Array,
            result: "Names, in the order in which the groups were added",
            faults: &[NotInWhitelist],
            permission: Status,
            doc: "Tell the names of the active groups.",
            bind: |_| Ok(BoundCall::Engine(Request::GroupNames)),
        },
        Method {
            names: &["twiddler.log"],
            params: &[
                param("message", ParamKind::Word, "What to write"),
                Param {
                    name: "level",
                    kind: ParamKind::Level,
                    optional: true,
                    doc: "The level: `CRIT`, `ERRO`, `WARN`, `INFO`, `DEBG`, `TRAC`, `BLAT`, or its number",
                },
            ],
            returns: Bool,
            result: DONE,
            faults: &[NotInWhitelist],
            permission: Control,
            doc: "Write a line to the daemon's activity log.",
            bind: |args| {
                let (message, level) = (args.text()?, args.level()?);
                Ok(BoundCall::Engine(Request::WriteLog { level, message }))
            },
        },
        Method {
            names: &["twiddler.addProgramToGroup"],
            params: &[
                GROUP_NAME,
                param("program_name", ParamKind::Word, "A name for the program"),
                param(
                    "program_options",
                    ParamKind::Options,
                    "Keys and values as they would stand in [program:x]",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[NotInWhitelist, BadName, IncorrectParameters, Failed],
            permission: Configure,
            doc: "Add a program that stands in no file to an active group, until the group is removed or updated. Its processes with `autostart` start.",
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
                    "The process, without its group",
                ),
            ],
            returns: Bool,
            result: DONE,
            faults: &[NotInWhitelist, BadName, StillRunning],
            permission: Configure,
            doc: "Forget a process of an active group, which must be stopped. It is there again when its group is added anew.",
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
            doc: "List the names of all methods.",
            bind: |_| Ok(BoundCall::ListMethods),
        },
        Method {
            names: &["system.methodHelp"],
            params: &[METHOD],
            returns: Text,
            result: "The description",
            faults: &[SignatureUnsupported],
            permission: Status,
            doc: "Describe a method: what it does, takes and answers.",
            bind: |args| Ok(BoundCall::MethodHelp(args.text()?)),
        },
        Method {
            names: &["system.methodSignature"],
            params: &[METHOD],
            returns: Array,
            result: "[type of the result, types of the parameters…]",
            faults: &[SignatureUnsupported],
            permission: Status,
            doc: "Tell the types that a method takes and answers.",
            bind: |args| Ok(BoundCall::MethodSignature(args.text()?)),
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
            bind: |args| Ok(BoundCall::Multicall(args.list()?)),
        },
    ]
};
