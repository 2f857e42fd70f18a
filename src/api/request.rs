//! Requests to the engine and its replies.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::config::spec::{GroupSpec, ProcessSpec};
use crate::domain::{
    Channel, ExitReason, GroupName, Level, Namespec, ProcessName, ProcessState, ResourceEvents,
    SupervisorState,
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

/// A log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRef {
    /// The daemon's activity log.
    Daemon,
    /// The log of a process, by its namespec as given.
    Process(String, Channel),
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

/// A request to the engine. Servers create them from METHODS. The server itself reads log files, at the path that
/// [`Request::LogFile`] returns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// Returns [`Reply::State`].
    State,
    /// Returns [`Reply::Pid`].
    Pid,
    /// Returns [`Reply::Text`].
    Identification,
    /// Returns [`Reply::Processes`] with one element. Fault: BAD_NAME.
    ProcessInfo(String),
    /// Returns [`Reply::Processes`], ordered by group and process name.
    AllProcessInfo,
    /// Returns [`Reply::Processes`] for the processes that the names mean and the caller may see, ordered by group and
    /// process name.
    SomeProcessInfo(Vec<String>),
    /// Returns [`Reply::Configs`] of the configuration read last, ordered by process name.
    AllConfigInfo,
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    Start {
        /// The processes to start.
        target: RequestTarget,
        /// Whether to answer only when the process is RUNNING or has failed.
        wait: bool,
    },
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    Stop {
        /// The processes to stop.
        target: RequestTarget,
        /// Whether to answer only when the process has stopped.
        wait: bool,
    },
    /// Returns [`Reply::Done`] for one process, else [`Reply::Results`].
    Signal {
        /// The processes to signal.
        target: RequestTarget,
        /// The name or number of the signal, as given.
        signal: String,
    },
    /// Returns [`Reply::Diff`]. Fault: CANT_REREAD.
    Reread,
    /// Returns [`Reply::Lines`]: the errors and warnings of the configuration read last, one per line.
    ConfigProblems,
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, ALREADY_ADDED.
    AddGroup(String),
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, STILL_RUNNING.
    RemoveGroup(String),
    /// Returns [`Reply::Done`], then stops everything.
    Shutdown,
    /// Returns [`Reply::Done`], then stops everything and starts again. Fault: CANT_REREAD if the file has errors.
    Restart,
    /// Returns [`Reply::Done`] once the program on disk has agreed to take over, which then happens. Fault: FAILED.
    Upgrade,
    /// Returns [`Reply::Generation`].
    Generation,
    /// Returns [`Reply::LogFile`] or [`Reply::Journal`]. Fault: BAD_NAME.
    LogFile(LogRef),
    /// Returns [`Reply::Done`]. Faults: NO_FILE, FAILED.
    ClearDaemonLog,
    /// Returns [`Reply::Done`] for one process, [`Reply::Results`] for all. Faults: BAD_NAME, FAILED.
    ClearLogs(RequestTarget),
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, NOT_RUNNING, NO_FILE.
    WriteStdin {
        /// The namespec of one process, as given.
        name: String,
        /// The bytes.
        data: Vec<u8>,
    },
    /// Returns [`Reply::Done`] and publishes REMOTE_COMMUNICATION. Accepted even while the daemon stops.
    RemoteEvent {
        /// The type, chosen by the client.
        kind: String,
        /// The data, chosen by the client.
        data: String,
    },
    /// Returns [`Reply::Names`] of the active groups, in the order in which they were added.
    GroupNames,
    /// Returns [`Reply::Done`] and writes a line to the activity log.
    WriteLog {
        /// The level of the line.
        level: Level,
        /// The message, chosen by the client.
        message: String,
    },
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    AddProgram {
        /// An active group.
        group: String,
        /// The name of the program.
        program: String,
        /// The keys and values of its section.
        options: Vec<(String, String)>,
    },
    /// Returns [`Reply::Done`]. Faults: BAD_NAME, STILL_RUNNING.
    RemoveProcess {
        /// An active group.
        group: String,
        /// The name of the process.
        process: String,
    },
    /// Returns [`Reply::Scaled`]. Faults: BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    SetNumprocs {
        /// `program` or `group:program`, as given.
        program: String,
        /// The new number of processes.
        numprocs: i64,
    },
    /// Returns [`Reply::Results`]. Faults: BAD_NAME, FAILED.
    RollingRestart {
        /// The targets. A process that several of them name is restarted once.
        targets: Vec<RequestTarget>,
        /// The number of processes restarted at the same time, at least 1.
        at_once: u32,
    },
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
    /// The last exit code. -1: killed by a signal. 0 also means that there was none.
    pub exit_status: i32,
    /// How many times the process was spawned again since its group was added, automatically or on request.
    pub restarts: u64,
    /// How the last attempt ended. `None`: no attempt has ended yet.
    pub exit_reason: Option<ExitReason>,
    /// The status that the process reported (`STATUS=`, reloading, stopping), without control characters. Empty: none.
    pub status_text: String,
    /// Resource limits that the last instance hit.
    pub resource_events: ResourceEvents,
    /// For an event listener: how many events its pool has discarded since it was added.
    pub events_discarded: u64,
    /// The PID. 0: not running.
    pub pid: i32,
    /// The UID of the user in its section. `None`: the daemon's own user.
    pub uid: Option<u32>,
    /// The path of the log of standard output. `None`: no file.
    pub stdout_logfile: Option<Arc<Path>>,
    /// The path of the log of standard error. `None`: no file.
    pub stderr_logfile: Option<Arc<Path>>,
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
