//! The methods `supervisord.*`, which Supervisor does not have: changes at run time, upgrades, compact states.

use super::super::method::{BoundCall, Method, Param, ParamKind};
use super::super::{
    Fault, FaultCode, Permission, Request, RequestTarget, ResultKind, RollingLimits, TableColumns,
};
use super::params::{
    DONE, GROUP, GROUP_NAME, NAME_OF_PROCESS, PROCESS_NAMES, PROCESS_OR_GROUP, RESULTS,
    START_FAULTS, START_WAIT, STOP_WAIT, param, target_request,
};
use crate::domain::{Foreign, Namespec};

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

/// Returns the limits of a rolling restart with these options.
fn rolling_limits(at_once: u32, options: Vec<(String, String)>) -> Result<RollingLimits, Fault> {
    let (mut max_failures, mut healthy) = (0, false);
    for (name, value) in options {
        let wrong = |what: &str| {
            let text = format!("{name} takes {what}, not {}", Foreign(&value));
            FaultCode::IncorrectParameters.of(text)
        };
        match name.as_str() {
            "max_failures" => {
                let number = value.parse();
                max_failures = number.map_err(|_| wrong("a number of processes"))?;
            }
            "wait" => {
                healthy = match value.as_str() {
                    "healthy" => true,
                    "ready" => false,
                    _ => return Err(wrong("ready or healthy")),
                }
            }
            _ => {
                let text = format!("no option {}", Foreign(&name));
                return Err(FaultCode::IncorrectParameters.of(text));
            }
        }
    }
    Ok(RollingLimits {
        at_once,
        max_failures,
        healthy,
    })
}

/// The methods that Supervisor does not have.
pub(super) const METHODS: &[Method] = {
    use FaultCode::{BadName, CantReread, Failed, IncorrectParameters, NotRunning};
    use Permission::{Configure, Control, ReadLogs, Shutdown, Status, Update};
    use ResultKind::{
        Dependencies, Diff, Done, DoneOrResults, Generation, Plan, Results, Scaled, Table, Texts,
    };
    &[
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
            returns: Scaled,
            result: "added and removed: arrays of process names `group:process`",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: Configure,
            route: "POST /programs/{program}/numprocs",
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
            returns: Scaled,
            result: "added and removed: arrays of process names `group:process`",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: Update,
            route: "POST /groups/{group_name}/reset-numprocs",
            doc: "Give a group that was scaled, or of which only numbers of processes changed, its last read configuration. Processes that are equal in both keep running. Other processes are stopped and removed, and new ones start with `autostart`. The method returns after all removed processes have stopped. The fault INCORRECT_PARAMETERS means that the group was not scaled and has other changes, or none. `supervisorctl update` uses this method.",
            bind: |args| Ok(BoundCall::Engine(Request::ResetNumprocs(args.text()?))),
        },
        Method {
            names: &["supervisord.reloadProcess"],
            params: &[PROCESS_OR_GROUP],
            returns: DoneOrResults,
            result: "Always true; for `group:*` the result of reloadProcessGroup",
            faults: &[BadName, NotRunning, Failed],
            permission: Control,
            route: "POST /processes/{name}/reload",
            doc: "Reload a process in place: run its `reload_command` and wait for its end, or send its `reload_signal`. The state of the process does not change.",
            bind: |args| Ok(target_request(args.text()?, Request::Reload)),
        },
        Method {
            names: &["supervisord.reloadProcessGroup"],
            params: &[GROUP],
            returns: Results,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            route: "POST /groups/{name}/reload",
            doc: "Reload the running processes of a group that have `reload_command` or `reload_signal`, one after another.",
            bind: |args| {
                Ok(BoundCall::Engine(Request::Reload(RequestTarget::Group(
                    args.text()?,
                ))))
            },
        },
        Method {
            names: &["supervisord.reloadAllProcesses"],
            params: &[],
            returns: Results,
            result: RESULTS,
            faults: &[],
            permission: Control,
            route: "POST /all/reload",
            doc: "Reload all running processes that have `reload_command` or `reload_signal`, one after another.",
            bind: |_| Ok(BoundCall::Engine(Request::Reload(RequestTarget::All))),
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
                Param {
                    name: "options",
                    kind: ParamKind::Options,
                    optional: true,
                    doc: "max_failures: how many processes may fail before the rest is left unchanged, 0 if missing; wait: `ready` (RUNNING, and ready if the program tells) or `healthy` (also its health check succeeds; a process without one need only be ready), `ready` if missing",
                },
            ],
            returns: Results,
            result: RESULTS,
            faults: &[BadName, Failed],
            permission: Control,
            route: "POST /processes/{names}/restart",
            doc: "Restart processes one after another, low priority first: a process is stopped only when the previous one is RUNNING again, or healthy. Processes of a group or of `all` that do not run are not started. After the first failure, or after more than max_failures, the remaining processes are not restarted, and their results say so. The restart continues if the client disconnects.",
            bind: |args| {
                let (names, at_once) = (args.names()?, args.count()?);
                let targets = names.into_iter().map(rolling_target).collect();
                let limits = rolling_limits(at_once, args.options()?)?;
                Ok(BoundCall::Engine(Request::RollingRestart {
                    targets,
                    limits,
                }))
            },
        },
        Method {
            names: &["supervisord.startWithoutDependencies"],
            params: &[PROCESS_OR_GROUP, START_WAIT],
            returns: DoneOrResults,
            result: "Always true; for `group:*` the result of startProcessGroup",
            faults: START_FAULTS,
            permission: Control,
            route: "POST /processes/{name}/start-without-dependencies",
            doc: "Start a process at once, although what it depends on (`depends_on`) is not up, and without starting that. A later automatic restart waits as usual.",
            bind: |args| {
                let (name, wait) = (args.text()?, args.truth()?);
                Ok(target_request(name, |target| Request::StartAlone {
                    target,
                    wait,
                }))
            },
        },
        Method {
            names: &["supervisord.getDependencies"],
            params: &[param(
                "names",
                ParamKind::Names,
                "`process`, `group:process`, `group:*`, or an array of those; empty: all processes that depend on others or that others depend on",
            )],
            returns: Dependencies,
            result: "Array of structs: name, group, statename; held_up: what the process waits for, or which dependency failed; started: milliseconds from the start of the daemon's first programs to its last start, -1 = never; ready: milliseconds from then to RUNNING, -1 = unknown; depends_on: array of structs with target, condition, met, and processes; dependents: names of running processes that depend on it",
            faults: &[BadName],
            permission: Status,
            route: "GET /dependencies",
            doc: "Return what processes depend on (`depends_on`), and the times of their last starts. `supervisorctl graph` and `supervisorctl critical-chain` use this method.",
            bind: |args| Ok(BoundCall::Engine(Request::Dependencies(args.names()?))),
        },
        Method {
            names: &["supervisord.stopWithDependents"],
            params: &[PROCESS_OR_GROUP, STOP_WAIT],
            returns: Results,
            result: RESULTS,
            faults: &[BadName],
            permission: Control,
            route: "POST /processes/{name}/stop-with-dependents",
            doc: "Stop a process or a group, and before it everything that runs and depends on it (`depends_on`), directly or not.",
            bind: |args| {
                let (name, wait) = (args.text()?, args.truth()?);
                Ok(target_request(name, |target| Request::StopWithDependants {
                    target,
                    wait,
                }))
            },
        },
        Method {
            names: &["supervisord.reexecute", "supervisord.upgrade"],
            params: &[],
            returns: Done,
            result: DONE,
            faults: &[Failed],
            permission: Shutdown,
            route: "POST /daemon/reexecute",
            doc: "Re-execute the daemon with the installed binary and the same PID. Programs keep running as its children, with their pipes, logs and states. The method returns after the new binary has accepted the state and before the re-execution; see getGeneration. If the new binary refuses, or another request is running that it could not continue, nothing changes.",
            bind: |_| Ok(BoundCall::Engine(Request::Upgrade)),
        },
        Method {
            names: &["supervisord.getGeneration"],
            params: &[],
            returns: Generation,
            result: "generation: number of re-executions since the start of the daemon; upgrading: true if a re-execution is about to happen",
            faults: &[],
            permission: Status,
            route: "GET /daemon/generation",
            doc: "Return the number of re-executions of the daemon.",
            bind: |_| Ok(BoundCall::Engine(Request::Generation)),
        },
        Method {
            names: &["supervisord.getProcessTable"],
            params: &[
                PROCESS_NAMES,
                param(
                    "members",
                    ParamKind::Names,
                    "Members of the struct of getProcessInfo to return; empty array = all members. Also: restarts, lastexit (a text), nextattempt (time of the next automatic start, 0 = none is due), health (none, starting, healthy or unhealthy), logtargets (a line for each log target: stream, target, bytes written, bytes dropped, and 1 if writing fails or 0, separated by tabs), progress (what happens next without a request, such as SIGKILL in 6 s; empty = nothing)",
                ),
            ],
            returns: Table,
            result: "Lines of members separated by tabs, in the order of getProcessInfo: first the names of the members, then one line per process, sorted by group and name. In a member, backslash, tab, line feed and carriage return are escaped as `\\\\`, `\\t`, `\\n`, `\\r`",
            faults: &[BadName],
            permission: Status,
            route: "GET /process-table",
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
            names: &["supervisord.getSchedules"],
            params: &[PROCESS_NAMES],
            returns: Texts,
            result: "One string per process with `cron`, sorted by group and name, of members separated by tabs: name, time of the next run in seconds since the epoch (0 = none), the same time in the zone of the schedule, number of runs skipped because the program still ran, number of times that runs were missed, the expression",
            faults: &[BadName],
            permission: Status,
            route: "GET /schedules",
            doc: "Return when programs with `cron` run next. Unknown names and processes without a schedule are omitted.",
            bind: |args| Ok(BoundCall::Engine(Request::Schedules(args.names()?))),
        },
        Method {
            names: &["supervisord.getRuns"],
            params: &[NAME_OF_PROCESS],
            returns: Texts,
            result: "One string per run, the oldest first, of members separated by tabs: start in seconds since the epoch, the same time in the zone of the schedule, end in both forms (0 and empty = not ended), the result",
            faults: &[BadName],
            permission: Status,
            route: "GET /processes/{name}/runs",
            doc: "Return the last runs of a program with `cron`, at most 50. With a state directory, they survive a restart of the host.",
            bind: |args| Ok(BoundCall::Engine(Request::Runs(args.text()?))),
        },
        Method {
            names: &["supervisord.getLastStderr"],
            params: &[
                PROCESS_NAMES,
                param(
                    "most",
                    ParamKind::Int,
                    "Maximum number of instances of each process, the newest; 0 = all that are kept",
                ),
            ],
            returns: Texts,
            result: "One string per dead instance, sorted by group and name, then the oldest first, of members separated by tabs: name of the process, PID, time of the exit in seconds since the epoch, how it exited, the text, in which backslash, tab, line feed and carriage return are escaped as `\\\\`, `\\t`, `\\n`, `\\r`",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: ReadLogs,
            route: "GET /last-stderr",
            doc: "Return what dead instances wrote last to standard error, at most 4 KiB of each; with `redirect_stderr`, the end of the common output. The daemon keeps the last eight instances of each process that wrote anything, fewer if it has more than 512 processes. An upgrade keeps them, a crash of the daemon does not. Unknown names are omitted.",
            bind: |args| {
                let (names, most) = (args.names()?, args.int()?);
                let most = u32::try_from(most)
                    .map_err(|_| IncorrectParameters.of(format!("most is {most}")))?;
                Ok(BoundCall::Engine(Request::LastStderr { names, most }))
            },
        },
        Method {
            names: &["supervisord.planUpdate"],
            params: &[],
            returns: Plan,
            result: "JSON: id; groups, each with name, action (add, remove, restart, rescale, live, nothing), scaled, keys and programs; unchanged, an array of group names. A program has section, action, reason and keys. A key has key, section, old, new, hidden (the value may be secret and is not shown), live (the change needs no restart) and place (file:line of the new value)",
            faults: &[CantReread],
            permission: Update,
            route: "GET /config/plan",
            doc: "Read the configuration and return what `supervisorctl update` would do. Nothing is changed: the configuration is not accepted, so addProcessGroup does not use it. Two plans with the same id do the same.",
            bind: |_| Ok(BoundCall::Engine(Request::PlanUpdate)),
        },
        Method {
            names: &["supervisord.getPartialUpdates"],
            params: &[param(
                "groups",
                ParamKind::Names,
                "Name of a group, or an array of names",
            )],
            returns: Texts,
            result: "One string per group that can be updated in part, of members separated by a tab: name; rolling (by updateProcessGroup) or rescale (by resetNumprocs)",
            faults: &[BadName],
            permission: Status,
            route: "GET /config/partial-updates",
            doc: "Return which of these groups differ from the last read configuration and can be updated without stopping all their processes. The others are stopped, removed and added, as in Supervisor.",
            bind: |args| Ok(BoundCall::Engine(Request::PartialUpdates(args.names()?))),
        },
        Method {
            names: &["supervisord.updateProcessGroup"],
            params: &[GROUP_NAME],
            returns: Results,
            result: RESULTS,
            faults: &[BadName, IncorrectParameters, Failed],
            permission: Update,
            route: "POST /groups/{group_name}/update",
            doc: "Give an active group with `rolling` its last read configuration, `rolling` processes at a time: those that changed are stopped, get their configuration and are started, new ones are added, and at last others are removed. Each must be ready, and healthy if it has a health check, before the next one. After the first failure, the remaining processes keep running with their previous configuration, and their results say so. `supervisorctl update` uses this method.",
            bind: |args| Ok(BoundCall::Engine(Request::UpdateGroup(args.text()?))),
        },
        Method {
            names: &["supervisord.reloadConfigIfPlan"],
            params: &[param(
                "id",
                ParamKind::Word,
                "The id that planUpdate returned",
            )],
            returns: Diff,
            result: "[[added, changed, removed]], each an array of group names",
            faults: &[CantReread, Failed],
            permission: Update,
            route: "POST /config/reread-if-plan",
            doc: "The same as supervisor.reloadConfig if the plan of an update still has this id. Otherwise the fault is FAILED, and nothing is changed.",
            bind: |args| Ok(BoundCall::Engine(Request::RereadIfPlan(args.text()?))),
        },
        Method {
            names: &["supervisord.getConfigProblems"],
            params: &[],
            returns: Texts,
            result: "One string per error or warning: file:line:column: error or warning: message",
            faults: &[],
            permission: Update,
            route: "GET /config/problems",
            doc: "Return all errors and warnings of the last read configuration, with file and line. The fault CANT_REREAD has only the first error.",
            bind: |_| Ok(BoundCall::Engine(Request::ConfigProblems)),
        },
    ]
};
