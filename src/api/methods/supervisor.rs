//! The methods `supervisor.*`: those of Supervisor itself.

use super::super::argument::Args;
use super::super::method::{BoundCall, Method, ParamKind};
use super::super::{Fault, FaultCode, LogRef, Permission, Request, RequestTarget, ResultKind};
use super::params::{
    DONE, GROUP, LENGTH, LOG_TEXT, OFFSET, PROCESS, PROCESS_OR_GROUP, RESULTS, SIGNAL,
    START_FAULTS, START_WAIT, STOP_WAIT, TAIL_LENGTH, TAIL_OFFSET, TAIL_RESULT, param,
    target_request,
};
use crate::domain::{API_VERSION, Channel, Namespec, VERSION};

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

/// The methods of Supervisor.
pub(super) const METHODS: &[Method] = {
    use FaultCode::{
        AlreadyAdded, BadArguments, BadName, BadSignal, CantReread, Failed, NoFile, NotRunning,
        StillRunning,
    };
    use Permission::{Control, ReadLogs, Shutdown, Signal, Status, Update};
    use ResultKind::{
        Configs, Diff, Done, DoneOrResults, Int, Process, Processes, Results, State, Tail, Text,
    };
    &[
        // The daemon
        Method {
            names: &["supervisor.getAPIVersion", "supervisor.getVersion"],
            params: &[],
            returns: Text,
            result: "The version",
            faults: &[],
            permission: Status,
            route: "GET /daemon/api-version",
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
            route: "GET /daemon/version",
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
            route: "GET /daemon/identification",
            doc: "Return the name of this instance, so that clients can distinguish several daemons.",
            bind: |_| Ok(BoundCall::Engine(Request::Identification)),
        },
        Method {
            names: &["supervisor.getState"],
            params: &[],
            returns: State,
            result: "statecode and statename: 1 RUNNING",
            faults: &[],
            permission: Status,
            route: "GET /daemon/state",
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
            route: "GET /daemon/pid",
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
            route: "GET /daemon/log",
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
            returns: Done,
            result: DONE,
            faults: &[NoFile, Failed],
            permission: Control,
            route: "POST /daemon/log/clear",
            doc: "Clear the activity log of the daemon.",
            bind: |_| Ok(BoundCall::Engine(Request::ClearDaemonLog)),
        },
        Method {
            names: &["supervisor.shutdown"],
            params: &[],
            returns: Done,
            result: DONE,
            faults: &[],
            permission: Shutdown,
            route: "POST /daemon/shutdown",
            doc: "Stop all processes and shut down the daemon. The method returns before the shutdown begins.",
            bind: |_| Ok(BoundCall::Engine(Request::Shutdown)),
        },
        Method {
            names: &["supervisor.restart"],
            params: &[],
            returns: Done,
            result: DONE,
            faults: &[CantReread],
            permission: Shutdown,
            route: "POST /daemon/restart",
            doc: "Stop all processes, read the configuration and start the daemon again. The method returns before the restart begins. If the configuration has an error, nothing is stopped.",
            bind: |_| Ok(BoundCall::Engine(Request::Restart)),
        },
        // Configuration
        Method {
            names: &["supervisor.reloadConfig"],
            params: &[],
            returns: Diff,
            result: "[[added, changed, removed]], each an array of group names",
            faults: &[CantReread],
            permission: Update,
            route: "POST /config/reread",
            doc: "Read the configuration and return the differences from the active groups. No process is started or stopped; addProcessGroup and removeProcessGroup apply the differences.",
            bind: |_| Ok(BoundCall::Engine(Request::Reread)),
        },
        Method {
            names: &["supervisor.addProcessGroup"],
            params: &[GROUP],
            returns: Done,
            result: DONE,
            faults: &[BadName, AlreadyAdded, Failed],
            permission: Update,
            route: "POST /groups/{name}/add",
            doc: "Activate a group of the last read configuration. Its processes with `autostart` start.",
            bind: |args| Ok(BoundCall::Engine(Request::AddGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.removeProcessGroup"],
            params: &[GROUP],
            returns: Done,
            result: DONE,
            faults: &[BadName, StillRunning],
            permission: Update,
            route: "POST /groups/{name}/remove",
            doc: "Remove a group. All its processes must be stopped.",
            bind: |args| Ok(BoundCall::Engine(Request::RemoveGroup(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllConfigInfo"],
            params: &[],
            returns: Configs,
            result: "One struct per configured process",
            faults: &[],
            permission: Status,
            route: "GET /config",
            doc: "Return the last read configuration of all processes. `inuse` is true if the group is active.",
            bind: |_| Ok(BoundCall::Engine(Request::AllConfigInfo)),
        },
        // States
        Method {
            names: &["supervisor.getProcessInfo"],
            params: &[PROCESS],
            returns: Process,
            result: "name, group, description, start, stop, now, state, statename, spawnerr, exitstatus, logfile, stdout_logfile, stderr_logfile, pid",
            faults: &[BadName],
            permission: Status,
            route: "GET /processes/{name}",
            doc: "Return the state of a process. Times are seconds since the epoch, 0 for never.",
            bind: |args| Ok(BoundCall::Engine(Request::ProcessInfo(args.text()?))),
        },
        Method {
            names: &["supervisor.getAllProcessInfo"],
            params: &[],
            returns: Processes,
            result: "Structs as from getProcessInfo, sorted by group and name",
            faults: &[],
            permission: Status,
            route: "GET /processes",
            doc: "Return the states of all processes.",
            bind: |_| Ok(BoundCall::Engine(Request::AllProcessInfo)),
        },
        // Start
        Method {
            names: &["supervisor.startProcess"],
            params: &[PROCESS_OR_GROUP, START_WAIT],
            returns: DoneOrResults,
            result: "Always true; for `group:*` the result of startProcessGroup",
            faults: START_FAULTS,
            permission: Control,
            route: "POST /processes/{name}/start",
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
            returns: Results,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            route: "POST /groups/{name}/start",
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
            returns: Results,
            result: RESULTS,
            faults: &[],
            permission: Control,
            route: "POST /all/start",
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
            returns: DoneOrResults,
            result: "Always true; for `group:*` the result of stopProcessGroup",
            faults: &[BadName, NotRunning, Failed],
            permission: Control,
            route: "POST /processes/{name}/stop",
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
            returns: Results,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            route: "POST /groups/{name}/stop",
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
            returns: Results,
            result: RESULTS,
            faults: &[],
            permission: Control,
            route: "POST /all/stop",
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
            returns: DoneOrResults,
            result: "Always true; for `group:*` the result of signalProcessGroup",
            faults: &[BadName, BadSignal, NotRunning, Failed],
            permission: Signal,
            route: "POST /processes/{name}/signal",
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
            returns: Results,
            result: RESULTS,
            faults: &[BadName, BadSignal],
            permission: Signal,
            route: "POST /groups/{name}/signal",
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
            returns: Results,
            result: RESULTS,
            faults: &[BadSignal],
            permission: Signal,
            route: "POST /all/signal",
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
            route: "GET /processes/{name}/stdout",
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
            route: "GET /processes/{name}/stderr",
            doc: "Read the log of standard error of a process.",
            bind: |args| read_log(args, Channel::Stderr),
        },
        Method {
            names: &[
                "supervisor.tailProcessStdoutLog",
                "supervisor.tailProcessLog",
            ],
            params: &[PROCESS, TAIL_OFFSET, TAIL_LENGTH],
            returns: Tail,
            result: TAIL_RESULT,
            faults: &[BadName, Failed],
            permission: ReadLogs,
            route: "GET /processes/{name}/stdout/tail",
            doc: "Read the last `length` bytes of the log of standard output of a process. To follow the log, call again with the returned offset.",
            bind: |args| tail_log(args, Channel::Stdout),
        },
        Method {
            names: &["supervisor.tailProcessStderrLog"],
            params: &[PROCESS, TAIL_OFFSET, TAIL_LENGTH],
            returns: Tail,
            result: TAIL_RESULT,
            faults: &[BadName, Failed],
            permission: ReadLogs,
            route: "GET /processes/{name}/stderr/tail",
            doc: "Read the last `length` bytes of the log of standard error of a process. To follow the log, call again with the returned offset.",
            bind: |args| tail_log(args, Channel::Stderr),
        },
        Method {
            names: &["supervisor.clearProcessLogs", "supervisor.clearProcessLog"],
            params: &[PROCESS],
            returns: Done,
            result: DONE,
            faults: &[BadName, Failed],
            permission: Control,
            route: "POST /processes/{name}/logs/clear",
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
            returns: Results,
            result: RESULTS,
            faults: &[],
            permission: Control,
            route: "POST /all/logs/clear",
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
            returns: Done,
            result: DONE,
            faults: &[BadName, NotRunning, NoFile, Failed],
            permission: Control,
            route: "POST /processes/{name}/stdin",
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
            returns: Done,
            result: DONE,
            faults: &[],
            permission: Control,
            route: "POST /events",
            doc: "Send an event REMOTE_COMMUNICATION to all subscribed event listeners. Accepted even while the daemon stops.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::RemoteEvent {
                    kind: args.text()?,
                    data: args.text()?,
                }))
            },
        },
    ]
};
