//! The methods `supervisord.*` about single processes: what is known of them, what they use, who changed them, and holds.

use super::super::method::{BoundCall, Method, ParamKind};
use super::super::{FaultCode, Permission, Request, ResultKind};
use super::params::{
    NAME_OF_PROCESS, PROCESS_NAMES, PROCESS_OR_GROUP, optional, param, target_request,
};

/// The rows.
pub(super) const METHODS: &[Method] = {
    use FaultCode::{BadName, Failed, IncorrectParameters};
    use Permission::{Control, ReadLogs, Status, Update};
    use ResultKind::{DoneOrResults, Json, Texts};
    &[
        Method {
            names: &["supervisord.getAuditTrail"],
            params: &[
                PROCESS_NAMES,
                param(
                    "most",
                    ParamKind::Int,
                    "Maximum number of requests, the newest; 0 = all that are kept",
                ),
            ],
            returns: Json,
            result: "JSON: requests, an array, the oldest first, each with at (seconds since the epoch), local (the same time in the zone of the daemon), who, verb, target (names as the caller wrote them; empty = the daemon) and result (accepted, or why it was refused)",
            faults: &[BadName, IncorrectParameters, Failed],
            permission: ReadLogs,
            route: "GET /audit",
            doc: "Return the last requests of clients that changed something or would have, at most 500, as the audit lines of the activity log have them. With names: those that named one of these processes, its group, all processes, or the whole daemon. An upgrade keeps the list, a restart of the daemon does not; refusals because of a missing permission are only in the log. `supervisorctl history` and `supervisorctl why` use this method.",
            bind: |args| {
                let (names, most) = (args.names()?, args.int()?);
                let most = u32::try_from(most)
                    .map_err(|_| IncorrectParameters.of(format!("most is {most}")))?;
                Ok(BoundCall::Engine(Request::AuditTrail { names, most }))
            },
        },
        Method {
            names: &["supervisord.holdProcess"],
            params: &[
                PROCESS_OR_GROUP,
                param(
                    "seconds",
                    ParamKind::Int,
                    "How long the hold lasts; 0 = until it is released",
                ),
                optional(
                    "reason",
                    ParamKind::Text,
                    "Why, for people: at most 200 characters; empty = no reason",
                ),
            ],
            returns: DoneOrResults,
            result: "Always true; for `group:*` an array of structs as of startProcessGroup",
            faults: &[BadName, IncorrectParameters],
            permission: Control,
            route: "POST /processes/{name}/hold",
            doc: "Put a process on hold, or change its hold: the daemon does not restart it automatically, does nothing because of its health, its watchdog or a changed file, runs no script of `on_fatal`, sends no notification about it, and does not exit because of its end. Requests work as usual, and the state stays true. When the hold ends, an overdue restart happens. An upgrade and a crash of the daemon keep the hold; a restart of the daemon, or a new configuration of the group, ends it.",
            bind: |args| {
                let (name, seconds, reason) = (args.text()?, args.int()?, args.text()?);
                let seconds = u32::try_from(seconds)
                    .map_err(|_| IncorrectParameters.of(format!("seconds is {seconds}")))?;
                Ok(target_request(name, |target| Request::Hold {
                    target,
                    seconds,
                    reason,
                }))
            },
        },
        Method {
            names: &["supervisord.releaseProcess"],
            params: &[PROCESS_OR_GROUP],
            returns: DoneOrResults,
            result: "Always true; for `group:*` an array of structs as of startProcessGroup, one for each process that was on hold",
            faults: &[BadName],
            permission: Control,
            route: "POST /processes/{name}/release",
            doc: "End the hold of a process. A process that is not on hold does not change.",
            bind: |args| Ok(target_request(args.text()?, Request::Release)),
        },
        Method {
            names: &["supervisord.getUsage"],
            params: &[PROCESS_NAMES],
            returns: Texts,
            result: "One string per running process, sorted by group and name, of members separated by tabs: name as `group:process`, PID, CPU in thousandths of a core during the last seconds, memory in bytes, both with all children, number of processes and threads of its cgroup, and the microseconds in which some thread of the cgroup waited for CPU, memory and I/O. A figure that is not known is empty",
            faults: &[BadName],
            permission: Status,
            route: "GET /usage",
            doc: "Return what processes use now, in a compact form. Unknown names are omitted. `supervisorctl top` uses this method.",
            bind: |args| {
                let names = args.names()?;
                Ok(BoundCall::Usage(match names.is_empty() {
                    true => Request::AllProcessInfo,
                    false => Request::SomeProcessInfo(names),
                }))
            },
        },
        Method {
            names: &["supervisord.getSecurity"],
            params: &[PROCESS_NAMES],
            returns: Json,
            result: "JSON: programs, an array with name (of its first process), group, section, processes (their number), score (0 to 100) and checks, those with the most points first, each with key, met, points, effect and example (a value of the key to begin with)",
            faults: &[BadName],
            permission: Status,
            route: "GET /security",
            doc: "Return how well programs are confined, by the configuration that was read last. Unknown names are omitted. `supervisorctl security` uses this method.",
            bind: |args| Ok(BoundCall::Security(args.names()?)),
        },
        Method {
            names: &["supervisord.getProcessDetails"],
            params: &[NAME_OF_PROCESS],
            returns: Json,
            result: "JSON: the members of getProcessInfo and getProcessTable; next_run; hold, null or an object with since, until (null = until it is released), until_local, by and reason; exits, how often attempts ended since the group was added, by reason; history, the last 16 states, the oldest first, each with at, local (the same time in the zone of the daemon), statename, pid, times (how often it came in succession, each time after the same states and with the same end) since (when it came first) and since_local, and for an end lived_milliseconds, exit, reason and limits_hit, an array of oom_kill, pids_max and memory_high; last_stderr, with pid, exited, local, exit and stderr, empty without the permission logs; depends_on, with target, condition, met and processes; dependents; limits, the configured ones by key; usage, with all children: cpu_permille, memory_bytes, and of the cgroup memory_peak_bytes, read_bytes, written_bytes, pids and pressure_microseconds; last_hour, an array with seconds_ago, cpu_permille and memory_kib",
            faults: &[BadName],
            permission: Status,
            route: "GET /processes/{name}/details",
            doc: "Return all that is known of a process. For an hour after this call its CPU and memory are sampled every 30 seconds.",
            bind: |args| Ok(BoundCall::ProcessDetails(args.text()?)),
        },
        Method {
            names: &["supervisord.getProcessConfig"],
            params: &[NAME_OF_PROCESS],
            returns: Json,
            result: "JSON: name, group, section, numprocs; keys, an array with key, value (as written, or the default), expanded (the value of this process if it differs), set, changed (set to another value than the default), file and line",
            faults: &[BadName],
            permission: Update,
            route: "GET /processes/{name}/config",
            doc: "Return the configuration with which a process runs, and where each key is written. Values that look like secrets are not returned, and without the permission configure no value of a variable.",
            bind: |args| Ok(BoundCall::ProcessConfig(args.text()?)),
        },
    ]
};
