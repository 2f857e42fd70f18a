//! Requests to the engine and its replies.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::{AuditRecord, Fault, ProcessDetails, ProcessProgress};
use crate::config::spec::{GroupSpec, ProcessSpec};
use crate::domain::{
    Channel, ExitCounts, ExitReason, GroupName, Level, Namespec, ProcessHealth, ProcessName,
    ProcessState, ResourceEvents, SupervisorState,
};

/// The target of a request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestTarget {
    /// One process. The namespec names a process, since a wildcard becomes a [`RequestTarget::Group`]. The text is kept
    /// for faults.
    One(Namespec, String),
    /// A group, by name.
    Group(String),
    /// All processes.
    All,
}

/// How many processes a rolling restart restarts at a time, and when it halts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RollingLimits {
    /// How many processes may restart at the same time.
    pub at_once: u32,
    /// How many processes may fail before no further process is restarted.
    pub max_failures: u32,
    /// Whether to wait for the health checks too.
    pub healthy: bool,
}

/// A log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRef {
    /// The daemon's activity log.
    Daemon,
    /// The log of a process, by its namespec as given.
    Process(String, Channel),
}

/// A text of the source of the configuration that was refused.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RejectedText {
    /// The source.
    pub item: String,
    /// The MD5 of the text.
    pub md5: String,
    /// What is wrong with it: one line.
    pub error: String,
}

/// Identifies the journal entries of one stream.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMatch {
    /// The group of the process.
    pub group: GroupName,
    /// The process.
    pub process: ProcessName,
    /// The stream.
    pub channel: Channel,
}

/// What a request does, as its row says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RequestEffect {
    /// It changes nothing and writes no audit line.
    Reads,
    /// It changes something. The audit line contains this verb.
    Changes(&'static str),
    /// It adds processes to an active group or removes some, which no event reports. The audit line contains this verb.
    Reshapes(&'static str),
}

impl RequestEffect {
    /// Returns the verb of the audit line. `None`: the request writes no audit line.
    #[must_use]
    pub const fn audit_verb(self) -> Option<&'static str> {
        match self {
            Self::Reads => None,
            Self::Changes(verb) | Self::Reshapes(verb) => Some(verb),
        }
    }
}

/// One field of a request, with the role that the row gives it. The role decides whether the field is checked as a name,
/// whether it is part of the subject, and whether the audit line shows it.
#[derive(Debug, Clone, Copy)]
pub(super) enum RequestField<'a> {
    /// The namespec of one process.
    Process(&'a str),
    /// Names of processes and groups, as given.
    Processes(&'a [String]),
    /// The name of a group, possibly not active yet.
    Group(&'a str),
    /// The name of a process or program within the group in the field before.
    Member(&'a str),
    /// A program, as `program` or `group:program`.
    Program(&'a str),
    /// One target.
    Target(&'a RequestTarget),
    /// Several targets.
    Targets(&'a [RequestTarget]),
    /// A log, of the daemon or of a process.
    Log(&'a LogRef),
    /// The name or number of a signal. The audit line does not show it.
    Signal(&'a str),
    /// A text of the client that names nothing here. The audit line shows it.
    Word(&'a str),
    /// A number. The audit line shows it.
    Number(i64),
    /// A value that names nothing. The audit line does not show it.
    Value,
}

/// Generates [`Request`] from rows `Variant(field: Type as Role) => effect;` or
/// `Variant { field: Type as Role, … } => effect;`.
///
/// Each field needs a role, a variant of [`RequestField`]: a field without one does not compile, so no name can reach
/// the engine unchecked because somebody forgot it. The effect is `reads`, `changes "verb"` or `reshapes "verb"`, see
/// [`RequestEffect`].
macro_rules! requests {
    (@effect reads) => { RequestEffect::Reads };
    (@effect changes $verb:literal) => { RequestEffect::Changes($verb) };
    (@effect reshapes $verb:literal) => { RequestEffect::Reshapes($verb) };
    (@field Value $field:ident) => { { let _ = $field; RequestField::Value } };
    (@field Number $field:ident) => { RequestField::Number(*$field) };
    (@field $Role:ident $field:ident) => { RequestField::$Role($field) };
    ($(
        $(#[$doc:meta])*
        $Variant:ident
        $(($only:ident: $Only:ty as $OnlyRole:ident))?
        $({ $($(#[$field_doc:meta])* $field:ident: $Type:ty as $Role:ident),* $(,)? })?
        => $effect:ident $($verb:literal)?;
    )*) => {
        /// A request to the engine. Servers create them from METHODS. The server itself reads log files, at the path that
        /// [`Request::LogFile`] returns.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        pub enum Request {
            $($(#[$doc])* $Variant $(($Only))? $({ $($(#[$field_doc])* $field: $Type),* })?,)*
        }

        impl Request {
            /// Returns what the request does.
            #[must_use]
            pub const fn effect(&self) -> RequestEffect {
                match self { $(Self::$Variant { .. } => requests!(@effect $effect $($verb)?),)* }
            }

            /// Calls `use_fields` with all fields, in the order of the row.
            pub(super) fn with_fields<R>(&self, use_fields: impl FnOnce(&[RequestField<'_>]) -> R) -> R {
                match self {
                    $(Self::$Variant $(($only))? $({ $($field),* })? => use_fields(&[
                        $(requests!(@field $OnlyRole $only))?
                        $($(requests!(@field $Role $field)),*)?
                    ]),)*
                }
            }
        }
    };
}

requests! {
    /// Returns [`Reply::State`].
    State => reads;
    /// Returns [`Reply::Pid`].
    Pid => reads;
    /// Returns [`Reply::Text`].
    Identification => reads;
    /// Returns [`Reply::Processes`] with one element. Fault: BAD_NAME.
    ProcessInfo(name: String as Process) => reads;
    /// Returns [`Reply::Processes`], ordered by group and process name.
    AllProcessInfo => reads;
    /// Returns [`Reply::Processes`] for the processes that the names mean and the caller may see, ordered by group and
    /// process name.
    SomeProcessInfo(names: Vec<String> as Processes) => reads;
    /// Returns [`Reply::Lines`]: the schedules of the processes that the names mean and the caller may see; without names,
    /// of all of those.
    Schedules(names: Vec<String> as Processes) => reads;
    /// Returns [`Reply::Lines`]: the last runs of a process. Fault: BAD_NAME.
    Runs(name: String as Process) => reads;
    /// Returns [`Reply::Lines`]: what the newest dead instances of the processes that the names mean wrote last to standard
    /// error. No names: all processes. Fault: FAILED.
    LastStderr {
        /// The names.
        names: Vec<String> as Processes,
        /// Maximum number of instances per process. 0: all.
        most: u32 as Value,
    } => reads;
    /// Returns [`Reply::Text`]: the last changes that clients requested, as JSON. Fault: FAILED.
    AuditTrail {
        /// Only the changes of these processes. Empty: all.
        names: Vec<String> as Processes,
        /// Maximum number of changes, the newest. 0: all.
        most: u32 as Value,
    } => reads;
    /// Returns [`Reply::Done`] and remembers a change that the core did not make.
    Audited(record: AuditRecord as Value) => reads;
    /// Returns [`Reply::Details`]. Fault: BAD_NAME.
    ProcessDetails(name: String as Process) => reads;
    /// Returns [`Reply::Dependencies`] for the processes that the names mean and the caller may see. No names: all that
    /// depend on others or that others depend on.
    Dependencies(names: Vec<String> as Processes) => reads;
    /// Returns [`Reply::Configs`] of the configuration read last, ordered by process name.
    AllConfigInfo => reads;
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    Start {
        /// The processes to start.
        target: RequestTarget as Target,
        /// Whether to answer only when the process is RUNNING or has failed.
        wait: bool as Value,
    } => changes "start";
    /// Starts processes without what they depend on. Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    StartAlone {
        /// The processes to start.
        target: RequestTarget as Target,
        /// Whether to answer only when the process is RUNNING or has failed.
        wait: bool as Value,
    } => changes "start";
    /// Stops processes after everything that depends on them. Returns [`Reply::Results`].
    StopWithDependants {
        /// The processes to stop.
        target: RequestTarget as Target,
        /// Whether to answer only when the processes have stopped.
        wait: bool as Value,
    } => changes "stop";
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    Stop {
        /// The processes to stop.
        target: RequestTarget as Target,
        /// Whether to answer only when the process has stopped.
        wait: bool as Value,
    } => changes "stop";
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    Signal {
        /// The processes to signal.
        target: RequestTarget as Target,
        /// The name or number of the signal, as given.
        signal: String as Signal,
    } => changes "signal";
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`]. Faults: BAD_NAME, NOT_RUNNING, FAILED.
    Reload(target: RequestTarget as Target) => changes "reload";
    /// Puts processes on hold: no automatic restart, no action on health, no report. Returns [`Reply::Done`] for one process,
    /// else [`Reply::Results`]. Fault: BAD_NAME.
    Hold {
        /// The processes.
        target: RequestTarget as Target,
        /// How long, in seconds. 0: until they are released.
        seconds: u32 as Value,
        /// Why, in the words of the caller.
        reason: String as Value,
    } => changes "hold";
    /// Ends the hold of processes. Returns [`Reply::Done`] for one process, else [`Reply::Results`]. Fault: BAD_NAME.
    Release(target: RequestTarget as Target) => changes "release";
    /// Returns [`Reply::Diff`]. Fault: CANT_REREAD.
    Reread => changes "reread";
    /// Returns [`Reply::Text`]: what an update would do, as JSON. Fault: CANT_REREAD.
    PlanUpdate => reads;
    /// Returns [`Reply::Diff`] if the plan of an update has this identifier. Faults: CANT_REREAD, FAILED.
    RereadIfPlan(plan: String as Word) => changes "reread";
    /// Returns [`Reply::Done`] if the configuration read last has the text of the source with this MD5, and all groups are
    /// as in it. Fault: FAILED.
    IsTextApplied(md5: String as Value) => reads;
    /// Returns [`Reply::Done`] and publishes CONFIG_SOURCE_REJECTED.
    TextRejected(text: RejectedText as Value) => reads;
    /// Returns [`Reply::Lines`]: the errors and warnings of the configuration read last, one per line.
    ConfigProblems => reads;
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, ALREADY_ADDED.
    AddGroup(group: String as Group) => changes "add";
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, STILL_RUNNING.
    RemoveGroup(group: String as Group) => changes "remove";
    /// Returns [`Reply::Done`], then stops everything.
    Shutdown => changes "shutdown";
    /// Returns [`Reply::Done`], then stops everything and starts again. Fault: CANT_REREAD if the file has errors.
    Restart => changes "restart";
    /// Returns [`Reply::Done`] once the program on disk has agreed to take over, which then happens. Fault: FAILED.
    Upgrade => changes "upgrade";
    /// Returns [`Reply::Generation`].
    Generation => reads;
    /// Returns [`Reply::LogFile`] or [`Reply::Journal`]. Fault: BAD_NAME.
    LogFile(log: LogRef as Log) => reads;
    /// Returns [`Reply::Text`]: the path of the program's own configuration file. Faults: BAD_NAME, NO_FILE.
    ConfFile(name: String as Process) => reads;
    /// Returns [`Reply::Done`]. Faults: NO_FILE, FAILED.
    ClearDaemonLog => changes "clear-log";
    /// Returns [`Reply::Done`] for one process, [`Reply::Results`] for all. Faults: BAD_NAME, FAILED.
    ClearLogs(target: RequestTarget as Target) => changes "clear-logs";
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, NOT_RUNNING, NO_FILE.
    WriteStdin {
        /// The namespec of one process, as given.
        name: String as Process,
        /// The bytes.
        data: Vec<u8> as Value,
    } => changes "write-stdin";
    /// Returns [`Reply::Done`] and publishes REMOTE_COMMUNICATION. Accepted even while the daemon stops.
    RemoteEvent {
        /// The type, chosen by the client.
        kind: String as Word,
        /// The data, chosen by the client.
        data: String as Value,
    } => changes "event";
    /// Returns [`Reply::Names`] of the active groups, in the order in which they were added.
    GroupNames => reads;
    /// Returns [`Reply::Done`] and writes a line to the activity log.
    WriteLog {
        /// The level of the line.
        level: Level as Value,
        /// The message, chosen by the client.
        message: String as Value,
    } => changes "write-log";
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    AddProgram {
        /// An active group.
        group: String as Group,
        /// The name of the program.
        program: String as Member,
        /// The keys and values of its section.
        options: Vec<(String, String)> as Value,
    } => reshapes "add-program";
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, STILL_RUNNING.
    RemoveProcess {
        /// An active group.
        group: String as Group,
        /// The name of the process.
        process: String as Member,
    } => reshapes "remove-process";
    /// Returns [`Reply::Scaled`]. Faults: BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    SetNumprocs {
        /// `program` or `group:program`, as given.
        program: String as Program,
        /// The new number of processes.
        numprocs: i64 as Number,
    } => reshapes "set-numprocs";
    /// Returns [`Reply::Scaled`]. Faults: BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    ResetNumprocs(group: String as Group) => reshapes "reset-numprocs";
    /// Returns [`Reply::Lines`]: which of these groups an update can change without stopping all of them, and how.
    PartialUpdates(groups: Vec<String> as Processes) => reads;
    /// Returns [`Reply::Results`]. Faults: BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    UpdateGroup(group: String as Group) => reshapes "update-group";
    /// Returns [`Reply::Results`]. Faults: BAD_NAME, FAILED.
    RollingRestart {
        /// The targets. A process that several of them name is restarted once.
        targets: Vec<RequestTarget> as Targets,
        /// How many at a time, and when it halts.
        limits: RollingLimits as Value,
    } => changes "rolling-restart";
}

/// The result for one process of a request for several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetResult {
    /// The name of the process.
    pub process: ProcessName,
    /// Its group.
    pub group: GroupName,
    /// Why it failed. `None`: success.
    pub fault: Option<Fault>,
}

/// A reply of the engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Success without further data.
    Done,
    /// The state of the daemon.
    State(SupervisorState),
    /// The PID of the daemon.
    Pid(i32),
    /// A text.
    Text(String),
    /// Processes.
    Processes(Vec<ProcessView>),
    /// Configured processes.
    Configs(Vec<ConfigView>),
    /// One process with its past and its configuration.
    Details(Box<ProcessDetails>),
    /// What processes depend on.
    Dependencies(Vec<DependencyView>),
    /// One result per process that the request acted on.
    Results(Vec<TargetResult>),
    /// How the configuration differs from the active groups.
    Diff {
        /// Groups in the configuration that are not active.
        added: Vec<GroupName>,
        /// Groups in both that differ.
        changed: Vec<GroupName>,
        /// Active groups that are not in the configuration.
        removed: Vec<GroupName>,
    },
    /// The path of a log. `None`: no log is configured.
    LogFile(Option<Arc<Path>>),
    /// The log is only in the journal.
    Journal(JournalMatch),
    /// Names of groups.
    Names(Vec<GroupName>),
    /// Lines of text.
    Lines(Vec<String>),
    /// How many times the daemon was replaced in place.
    Generation {
        /// The number of upgrades.
        generation: u32,
        /// Whether another upgrade is in progress.
        is_upgrading: bool,
    },
    /// Processes of one group that were added and removed.
    Scaled {
        /// The group.
        group: GroupName,
        /// Added processes, by ascending process_num.
        added: Vec<ProcessName>,
        /// Removed processes, by descending process_num.
        removed: Vec<ProcessName>,
    },
}

/// A process that depends on others, or that others depend on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyView {
    /// Its name.
    pub name: ProcessName,
    /// Its group.
    pub group: GroupName,
    /// Its state.
    pub state: ProcessState,
    /// What it waits for, or why a dependency ended its start. Empty: it is not held up.
    pub held_up: String,
    /// Milliseconds from the start of the first programs of the daemon to its last start. `None`: it was never started.
    pub started_after: Option<i64>,
    /// Milliseconds from its last start to RUNNING. `None`: it has not been RUNNING since, or the time is not known.
    pub ready_after: Option<i64>,
    /// What it depends on, in the order written.
    pub needs: Vec<DependencyNeed>,
    /// The processes that run and depend on it directly.
    pub running_dependents: Vec<String>,
}

/// One dependency of a process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DependencyNeed {
    /// As written, without the condition.
    pub target: String,
    /// What each process must have reached; `up` without a condition.
    pub condition: String,
    /// All processes have reached it.
    pub is_met: bool,
    /// The processes that the target means now, as `group:process`, or the name alone where both are equal.
    pub processes: Vec<String>,
}

/// One process as clients see it. The server renders descriptions and dates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessView {
    /// Its name.
    pub name: ProcessName,
    /// Its group.
    pub group: GroupName,
    /// Its state.
    pub state: ProcessState,
    /// When the last attempt started, in seconds since the epoch. 0: never.
    pub start: i64,
    /// When the process last exited, in seconds since the epoch. 0: never.
    pub stop: i64,
    /// The current time in seconds since the epoch.
    pub now: i64,
    /// Whole seconds since the last spawn on the monotonic clock, shown as "uptime".
    pub uptime: u64,
    /// Why the last start or run failed. Empty: it did not.
    pub spawn_error: String,
    /// Its health.
    pub health: ProcessHealth,
    /// What the process waits for, or which of its dependencies failed. Empty: it is not held up by a dependency.
    pub dependency_text: String,
    /// The last exit code. -1: killed by a signal. 0 also means that there was none.
    pub exit_status: i32,
    /// How many times the process was spawned again since its group was added, automatically or on request.
    pub restarts: u64,
    /// When the next automatic start is due, in seconds since the epoch. `None`: none is due, or the program has no key of
    /// ours about it.
    pub next_attempt: Option<i64>,
    /// What happens next without a request.
    pub progress: ProcessProgress,
    /// How the last attempt ended. `None`: no attempt has ended yet.
    pub exit_reason: Option<ExitReason>,
    /// Whether the last instance exited on its own with a status that is not in `exitcodes`.
    pub unexpected_exit: bool,
    /// The status that the process reported (`STATUS=`, reloading, stopping), without control characters. Empty: none.
    pub status_text: String,
    /// Resource limits that the last instance hit.
    pub resource_events: ResourceEvents,
    /// When the process runs next, in seconds since the epoch. `None`: it has no schedule.
    pub next_run: Option<i64>,
    /// For an event listener: how many events its pool has discarded since it was added.
    pub events_discarded: u64,
    /// Whether the process is as it should be after the start of the daemon: RUNNING and not unhealthy, or exited as
    /// expected without a restart. `None`: it does not start with the daemon.
    pub ready: Option<bool>,
    /// How many events wait in the pool of the process. 0 if it is no listener.
    pub events_waiting: u64,
    /// How often its attempts ended, by reason, since its group was added.
    pub exits: ExitCounts,
    /// The hold of the process. `None`: it is not on hold.
    pub hold: Option<ProcessHold>,
    /// Whether it has keys that need a cgroup of its own.
    pub has_cgroup: bool,
    /// The PID. 0: not running.
    pub pid: i32,
    /// The UID of the user in its section. `None`: the daemon's own user.
    pub uid: Option<u32>,
    /// The path of the log of standard output. `None`: no file.
    pub stdout_logfile: Option<Arc<Path>>,
    /// The path of the log of standard error. `None`: no file.
    pub stderr_logfile: Option<Arc<Path>>,
}

/// The hold of a process, during which the daemon leaves it alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessHold {
    /// When it began, in seconds since the epoch.
    pub since: i64,
    /// When it ends by itself, in seconds since the epoch. `None`: only on request.
    pub until: Option<i64>,
    /// Who requested it.
    pub by: String,
    /// Why, in the words of who requested it. Empty: no reason was given.
    pub reason: String,
}

/// One configured process, as `getAllConfigInfo` shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// Its group.
    pub group: Arc<GroupSpec>,
    /// Its configuration.
    pub process: Arc<ProcessSpec>,
    /// Whether the group is active.
    pub in_use: bool,
    /// The generated path, if standard output has an AUTO log that exists already.
    pub stdout_auto: Option<Arc<Path>>,
    /// The generated path, if standard error has an AUTO log that exists already.
    pub stderr_auto: Option<Arc<Path>>,
}
