//! What can be asked of the engine, and what it answers.

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Fault;
use crate::config::spec::{GroupSpec, ProcessSpec};
use crate::domain::{
    Channel, ExitReason, GroupName, Level, Namespec, ProcessName, ProcessState, ResourceEvents,
    SupervisorState,
};

/// Whom a request concerns.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum RequestTarget {
    /// One process; the namespec names one (a wildcard is a [`RequestTarget::Group`]). The text is kept for the fault.
    One(Namespec, String),
    /// A group, by name.
    Group(String),
    /// Everything.
    All,
}

/// Whose log is meant.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogRef {
    /// The daemon's activity log.
    Daemon,
    /// A process's; the text is the namespec as given.
    Process(String, Channel),
}

/// What the journal's entries of one stream are known by.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalMatch {
    /// The process's group.
    pub group: GroupName,
    /// The process.
    pub process: ProcessName,
    /// Which stream.
    pub channel: Channel,
}

/// A request to the engine. Servers make them from METHODS; reading of log files is done in the server, on the path that
/// [`Request::LogFile`] answers.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Request {
    /// → [`Reply::State`]
    State,
    /// → [`Reply::Pid`]
    Pid,
    /// → [`Reply::Text`]
    Identification,
    /// → [`Reply::Processes`] with one element; BAD_NAME.
    ProcessInfo(String),
    /// → [`Reply::Processes`] by (group, process).
    AllProcessInfo,
    /// → [`Reply::Processes`] by (group, process): those that the names mean and the caller may see.
    SomeProcessInfo(Vec<String>),
    /// → [`Reply::Configs`] of the configuration read last, by process name.
    AllConfigInfo,
    /// → [`Reply::Done`] for one, [`Reply::Results`] otherwise.
    Start {
        /// Whom.
        target: RequestTarget,
        /// Answer when RUNNING or failed, rather than at once.
        wait: bool,
    },
    /// → [`Reply::Done`] for one, [`Reply::Results`] otherwise.
    Stop {
        /// Whom.
        target: RequestTarget,
        /// Answer when stopped, rather than at once.
        wait: bool,
    },
    /// → [`Reply::Done`] for one, [`Reply::Results`] otherwise.
    Signal {
        /// Whom.
        target: RequestTarget,
        /// Name or number, as given.
        signal: String,
    },
    /// → [`Reply::Diff`]; CANT_REREAD.
    Reread,
    /// → [`Reply::Lines`]: the errors and warnings of the configuration read last, one a line.
    ConfigProblems,
    /// → [`Reply::Done`]; BAD_NAME, ALREADY_ADDED.
    AddGroup(String),
    /// → [`Reply::Done`]; BAD_NAME, STILL_RUNNING.
    RemoveGroup(String),
    /// → [`Reply::Done`], then everything stops.
    Shutdown,
    /// → [`Reply::Done`], then everything stops and starts again; CANT_REREAD if the file is broken.
    Restart,
    /// → [`Reply::Done`] once the program that the daemon was started from has agreed to take over, which it then does;
    /// FAILED.
    Upgrade,
    /// → [`Reply::Generation`]
    Generation,
    /// → [`Reply::LogFile`] or [`Reply::Journal`]; BAD_NAME.
    LogFile(LogRef),
    /// → [`Reply::Done`]; NO_FILE, FAILED.
    ClearDaemonLog,
    /// → [`Reply::Done`] for one, [`Reply::Results`] for all; BAD_NAME, FAILED.
    ClearLogs(RequestTarget),
    /// → [`Reply::Done`]; BAD_NAME, NOT_RUNNING, NO_FILE.
    WriteStdin {
        /// Namespec of one process, as given.
        name: String,
        /// The bytes.
        data: Vec<u8>,
    },
    /// → [`Reply::Done`]; publishes REMOTE_COMMUNICATION. Accepted even while stopping.
    RemoteEvent {
        /// Chosen by the client.
        kind: String,
        /// Chosen by the client.
        data: String,
    },
    /// → [`Reply::Names`] of the active groups, in the order in which they were added.
    GroupNames,
    /// → [`Reply::Done`]; writes a line to the activity log.
    WriteLog {
        /// At which level.
        level: Level,
        /// Chosen by the client.
        message: String,
    },
    /// → [`Reply::Done`]; BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    AddProgram {
        /// An active group.
        group: String,
        /// The program's name.
        program: String,
        /// As they would stand in its section.
        options: Vec<(String, String)>,
    },
    /// → [`Reply::Done`]; BAD_NAME, STILL_RUNNING.
    RemoveProcess {
        /// An active group.
        group: String,
        /// The process's name.
        process: String,
    },
    /// → [`Reply::Scaled`]; BAD_NAME, INCORRECT_PARAMETERS, FAILED.
    SetNumprocs {
        /// `program` or `group:program`, as given.
        program: String,
        /// How many processes it is to have.
        numprocs: i64,
    },
    /// → [`Reply::Results`]; BAD_NAME, FAILED.
    RollingRestart {
        /// Whom; what is named twice is restarted once.
        targets: Vec<RequestTarget>,
        /// How many at a time, at least 1.
        at_once: u32,
    },
}

/// One element of a group's or everybody's answer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct TargetResult {
    /// The process.
    pub process: ProcessName,
    /// Its group.
    pub group: GroupName,
    /// None: success.
    pub fault: Option<Fault>,
}

/// What the engine answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reply {
    /// Done.
    Done,
    /// The daemon's state.
    State(SupervisorState),
    /// The daemon's process number.
    Pid(i32),
    /// A text.
    Text(String),
    /// Processes.
    Processes(Vec<ProcessView>),
    /// Configured processes.
    Configs(Vec<ConfigView>),
    /// One per process that was touched.
    Results(Vec<TargetResult>),
    /// Names of groups.
    Diff {
        /// In the file, not active.
        added: Vec<GroupName>,
        /// In both, different.
        changed: Vec<GroupName>,
        /// Active, not in the file.
        removed: Vec<GroupName>,
    },
    /// Where a log is; none: not configured.
    LogFile(Option<Arc<Path>>),
    /// It is in the journal, and in no file.
    Journal(JournalMatch),
    /// Names of groups.
    Names(Vec<GroupName>),
    /// Lines of text.
    Lines(Vec<String>),
    /// How often the daemon was replaced in place.
    Generation {
        /// So often.
        generation: u32,
        /// It is about to be once more.
        is_upgrading: bool,
    },
    /// Processes of one group that are there since, and that are no more.
    Scaled {
        /// The group.
        group: GroupName,
        /// By process_num, ascending.
        added: Vec<ProcessName>,
        /// By process_num, descending.
        removed: Vec<ProcessName>,
    },
}

/// One process as clients see it. Rendering (`description`, dates) is the server's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessView {
    /// Its name.
    pub name: ProcessName,
    /// Its group.
    pub group: GroupName,
    /// Its state.
    pub state: ProcessState,
    /// Seconds since the epoch of the last spawn attempt; 0: never.
    pub start: i64,
    /// Seconds since the epoch of the last exit; 0: never.
    pub stop: i64,
    /// Seconds since the epoch now.
    pub now: i64,
    /// Whole seconds on the monotonic clock since the last spawn; what "uptime" shows.
    pub uptime: u64,
    /// Why the last spawn failed; empty: it did not.
    pub spawn_error: String,
    /// The last exit code, -1 after a signal, 0 if none.
    pub exit_status: i32,
    /// How often it was spawned again since its group was added: by itself or on request, but not the first time.
    pub restarts: u64,
    /// How the last attempt to run it ended; none: none has yet.
    pub exit_reason: Option<ExitReason>,
    /// What it tells of itself (`STATUS=`, reloading, stopping), without control characters; empty: nothing.
    pub status_text: String,
    /// What of its limits it met in its last instance.
    pub resource_events: ResourceEvents,
    /// For an event listener: events that had to give way in the buffer of its pool since that was added.
    pub events_discarded: u64,
    /// The kernel's number; 0: not running.
    pub pid: i32,
    /// The user whom its section names; none: the daemon's own.
    pub uid: Option<u32>,
    /// Standard output's log.
    pub stdout_logfile: Option<Arc<Path>>,
    /// Standard error's log.
    pub stderr_logfile: Option<Arc<Path>>,
}

/// One configured process as `getAllConfigInfo` sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigView {
    /// Its group.
    pub group: Arc<GroupSpec>,
    /// Its configuration.
    pub process: Arc<ProcessSpec>,
    /// The group is active.
    pub in_use: bool,
    /// The made-up path, if standard output goes to an AUTO log that exists already.
    pub stdout_auto: Option<Arc<Path>>,
    /// The made-up path, if standard error goes to an AUTO log that exists already.
    pub stderr_auto: Option<Arc<Path>>,
}
