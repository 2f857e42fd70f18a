//! The typed configuration: after parsing, every field here is valid and no string is looked at again.
//!
//! Values that many processes share are behind `Arc`. Everything can be written out and read back, because a successor of
//! the daemon must know the configuration its processes were started with.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::confinement::{ConfiguredGroup, Confinement};
pub use super::interned_default::InternedDefault;
use super::problem::ConfigProblem;
pub use super::resources::{CgroupLimits, CpuMax, KillMode, LimitAmount};
use crate::domain::{
    Bytes, GroupName, Level, Line, Namespec, Permission, ProcessName, Seconds, Signal,
};

/// One whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// `[supervisord]`.
    pub daemon: DaemonSpec,
    /// Control servers: all inet ones in file order, then all unix ones in file order.
    pub servers: Vec<ServerSpec>,
    /// Names of the `[rpcinterface:x]` sections, in file order.
    pub rpc_interfaces: Vec<String>,
    /// `[rpcinterface:twiddler]` is there: the methods in its `whitelist`, without their prefix; empty: all of them.
    pub twiddler: Option<Vec<String>>,
    /// Groups by (priority, name), ascending.
    pub groups: Vec<Arc<GroupSpec>>,
    /// What the log says of this file at start: warnings and included files.
    pub notes: Vec<Line>,
    /// Every warning with its place, by file and line; a successor of the daemon needs none.
    #[serde(skip)]
    pub warnings: Vec<ConfigProblem>,
    /// Directories whose files `[include]` reads; a successor of the daemon needs none.
    #[serde(skip)]
    pub listed: Vec<String>,
    /// The file has neither `[supervisord]` nor any `[rpcinterface:x]`, and was taken as if it had both.
    #[serde(default)]
    pub is_implied: bool,
}

/// `[supervisord]`, command line already applied where it was given.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSpec {
    /// The activity log; absolute, or one of the words `syslog` and `journal`.
    pub logfile: PathBuf,
    /// Rotate at this size; ≤ 0: never.
    pub logfile_maxbytes: Bytes,
    /// How many old logs stay; 0: truncate.
    pub logfile_backups: i64,
    /// What is logged.
    pub loglevel: Level,
    /// Absolute.
    pub pidfile: PathBuf,
    /// Applied when daemonizing.
    pub umask: u32,
    /// Stay in the foreground.
    pub nodaemon: bool,
    /// No copy of the log on standard output.
    pub silent: bool,
    /// Soft limit of open files to reach.
    pub minfds: i64,
    /// Soft limit of processes to reach.
    pub minprocs: i64,
    /// Leave old AUTO logs.
    pub nocleanup: bool,
    /// Home of AUTO logs.
    pub childlogdir: PathBuf,
    /// Whom the daemon becomes; none: stay.
    pub user: Option<ConfiguredUser>,
    /// Working directory when daemonizing.
    pub directory: Option<PathBuf>,
    /// Strip escape sequences from logs of processes.
    pub strip_ansi: bool,
    /// Added to the environment of every process.
    pub environment: Environment,
    /// Name of this instance.
    pub identifier: String,
    /// Value of `SUPERVISOR_SERVER_URL` for processes whose program sets none; none without servers.
    pub server_url: Option<String>,
    /// When a service manager is told that we are ready.
    pub ready_when: ReadyWhen,
    /// On which D-Bus the daemon is.
    pub dbus: BusChoice,
}

/// On which D-Bus the daemon is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BusChoice {
    /// The system bus for root, the session bus for another user; none where there is none.
    Auto,
    /// The machine's.
    System,
    /// The user's.
    Session,
    /// None.
    Off,
}

/// When the daemon counts as ready. Each program that starts with the daemon …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyWhen {
    /// … has left its first attempt, whatever came of it.
    Started,
    /// … is RUNNING, or will not be without anybody's doing.
    Running,
}

/// Variables in the order written; a later one of the same name wins.
pub type Environment = Arc<[(String, String)]>;

/// A user as configured and as looked up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ConfiguredUser {
    /// As configured.
    pub name: String,
    /// Looked up at parse time.
    pub uid: u32,
    /// Given beside the number of the user, neither of which anybody needs to know. `None`: the user is known, with its
    /// groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

impl ConfiguredUser {
    /// Looks a user up.
    ///
    /// # Errors
    /// There is none; see [`super::value::run_as`].
    pub fn find(name: &str, lookup: &dyn super::lookup::Lookup) -> Result<Self, String> {
        let (uid, gid) = super::value::run_as(name, lookup)?;
        Ok(Self {
            name: name.to_owned(),
            uid,
            gid,
        })
    }
}

/// One control server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// The section's name as in the file, e.g. `unix_http_server`.
    pub section: String,
    /// Where it listens.
    pub address: ServerAddress,
    /// For a unix server: who may do what; none: whoever reaches the socket, as in Supervisor.
    pub allow: Option<Arc<[AllowRule]>>,
    /// Both or neither; the password is plain or `{SHA}` and 40 hex digits.
    pub credentials: Option<Credentials>,
    /// Names besides the host's own under which browsers may reach it, in lower case.
    pub hosts: Vec<String>,
}

/// One rule of `allow=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowRule {
    /// Whom it is about.
    pub who: AllowSubject,
    /// What they may do.
    pub permissions: Vec<Permission>,
    /// With which processes and groups; none: with all, and with the daemon itself.
    pub processes: Option<Vec<Namespec>>,
}

/// Whom a rule is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllowSubject {
    /// Everybody.
    Everybody,
    /// A user, by number.
    User(u32),
    /// Members of a group, by number.
    Group(u32),
}

/// User name and password of a server.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Credentials {
    /// The user name.
    pub username: String,
    /// The password as configured. Never printed.
    pub password: String,
}

impl std::fmt::Debug for Credentials {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Credentials")
            .field("username", &self.username)
            .finish_non_exhaustive()
    }
}

/// Where a server listens.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerAddress {
    /// TCP over IPv4 (or a literal IPv6 address); an empty host means all interfaces.
    Inet {
        /// As configured, lower case.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A unix stream socket.
    Unix {
        /// Absolute.
        path: PathBuf,
        /// File mode.
        mode: u32,
        /// Owner, if it is to be changed.
        uid: Option<u32>,
        /// Group, if it is to be changed.
        gid: Option<u32>,
    },
}

/// One group: its own section, or what a program that is in no group forms.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// Unique.
    pub name: GroupName,
    /// Low starts first and stops last.
    pub priority: i64,
    /// What sort of group.
    pub kind: GroupKind,
    /// By (priority, name), ascending. Names are unique.
    pub processes: Vec<Arc<ProcessSpec>>,
    /// What its processes are made of.
    pub programs: Vec<ProgramSpec>,
}

/// The most processes that one section, or one group that was changed at run time, may have. Supervisor has no bound and
/// would fill the memory.
pub const NUMPROCS_MAX: i64 = 100_000;

/// One section of a group and the processes that were made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// The section.
    pub template: Arc<ProgramTemplate>,
    /// Names of its processes by `process_num`, ascending.
    pub members: Vec<ProcessName>,
    /// Its number of processes was changed at run time. Older daemons did not write it.
    #[serde(default)]
    pub scaled: bool,
}

/// A section as it was read, before any expansion: more processes can be made of it although the file has changed since.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramTemplate {
    /// The section's whole name, e.g. `program:web`.
    pub section: Arc<str>,
    /// The file it stands in, for messages.
    pub file: Arc<str>,
    /// What `%(here)s` stands for.
    pub here: Arc<str>,
    /// Keys and values as written, those of `[DEFAULT]` included.
    pub options: Arc<[(Arc<str>, Arc<str>)]>,
    /// The environment that every process has.
    pub environment: Environment,
    /// What its processes are besides programs.
    pub kind: ProcessKind,
}

impl ProgramTemplate {
    /// The program's name: what stands behind the first colon of the section's.
    #[must_use]
    pub fn program(&self) -> &str {
        self.section.split_once(':').map_or("", |(_, name)| name)
    }
}

/// What sort of group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupKind {
    /// `[group:x]` or a plain `[program:x]`.
    Programs,
    /// `[eventlistener:x]`.
    Listeners {
        /// Names of event types, upper case, in the order written, without repetition.
        events: Vec<String>,
        /// How many events wait, ≥ 1.
        buffer_size: i64,
        /// As configured; `supervisor.dispatchers:default_handler` is the built-in one.
        result_handler: String,
    },
    /// `[fcgi-program:x]`.
    Fcgi(Arc<FcgiSocket>),
}

/// The listening socket of an `[fcgi-program:x]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FcgiSocket {
    /// What stands after the colon of its section; with the group's name it tells sockets apart.
    pub program: Arc<str>,
    /// `tcp://host:port` or `unix:///path`.
    pub url: String,
    /// File mode of a unix socket.
    pub mode: Option<u32>,
    /// Owner of a unix socket: (uid, gid), each if it is to be changed.
    pub owner: (Option<u32>, Option<u32>),
    /// Length of the accept queue; none: the system's maximum.
    pub backlog: Option<u32>,
}

/// What processes are wanted for a group that is active.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupChange {
    /// So many of a program that is there.
    Rescale {
        /// Its group.
        group: GroupName,
        /// What it was made of.
        template: Arc<ProgramTemplate>,
        /// How many.
        numprocs: i64,
    },
    /// Those of a program that stands in no file.
    Program {
        /// The group it joins.
        group: GroupName,
        /// The program's name.
        name: String,
        /// Keys and values as they would stand in its section; of a key that is given twice the last value counts.
        options: Vec<(String, String)>,
        /// The environment that every process has.
        environment: Environment,
    },
}

impl GroupChange {
    /// The group concerned.
    #[must_use]
    pub const fn group(&self) -> &GroupName {
        match self {
            Self::Rescale { group, .. } | Self::Program { group, .. } => group,
        }
    }
}

/// What came of a [`GroupChange`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChangeResult {
    /// What the processes are made of.
    pub template: Arc<ProgramTemplate>,
    /// Their names by `process_num`, ascending.
    pub members: Vec<ProcessName>,
    /// Themselves, by (priority, name).
    pub processes: Vec<Arc<ProcessSpec>>,
}

/// When a process that ended by itself is started again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum AutoRestart {
    /// `true`.
    Always,
    /// `false`.
    Never,
    /// `unexpected`: when the exit code is not among `exitcodes`.
    Unexpected,
}

/// What a process is besides a program.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ProcessKind {
    /// Nothing else.
    Program,
    /// It hears of events on standard input and answers on standard output.
    Listener,
    /// It accepts connections from this socket, which it shares with the others of its program and has in place of
    /// standard input.
    Fcgi(Arc<FcgiSocket>),
}

/// One process, everything expanded.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// Unique in its group.
    pub name: ProcessName,
    /// The group it belongs to.
    pub group: GroupName,
    /// What it is besides a program.
    pub kind: ProcessKind,
    /// As configured; split into words at each spawn.
    pub command: Arc<str>,
    /// Working directory, entered after the change of user.
    pub directory: Option<Arc<Path>>,
    /// None: inherit.
    pub umask: Option<u32>,
    /// Low starts first.
    pub priority: i64,
    /// Start with the daemon.
    pub autostart: bool,
    /// Start again after an exit.
    pub autorestart: AutoRestart,
    /// Must stay up so long to count as RUNNING.
    pub startsecs: Seconds,
    /// Failed attempts after the first before FATAL.
    pub startretries: i64,
    /// Codes that count as expected.
    pub exitcodes: Arc<[u8]>,
    /// Sent to stop it.
    pub stopsignal: Signal,
    /// SIGKILL after so long.
    pub stopwaitsecs: Seconds,
    /// Send `stopsignal` to its process group.
    pub stopasgroup: bool,
    /// Send SIGKILL to its process group.
    pub killasgroup: bool,
    /// Whom it runs as; none: as the daemon.
    pub user: Option<ConfiguredUser>,
    /// Standard error goes where standard output goes.
    pub redirect_stderr: bool,
    /// Where standard output goes.
    pub stdout: LogSpec,
    /// Where standard error goes (`LogTarget::None` with `redirect_stderr`).
    pub stderr: LogSpec,
    /// `[supervisord] environment` with the program's own on top.
    pub environment: Environment,
    /// Overrides the computed `SUPERVISOR_SERVER_URL`; empty: the variable is not set at all.
    pub server_url: Option<String>,
    /// Ours: an automatic restart waits until so long after the last spawn; 0: no floor.
    pub restart_floor: Seconds,
    /// Ours: how it tells that it is ready and alive.
    pub notify: NotifySpec,
    /// Ours: what it may use, and its rights besides those of the user. Shared by all that have none of these keys.
    #[serde(deserialize_with = "Confinement::deserialize_shared")]
    pub confinement: Arc<Confinement>,
    /// Ours: what its cgroup limits. Shared by all that have none of these keys.
    #[serde(deserialize_with = "CgroupLimits::deserialize_shared")]
    pub resources: Arc<CgroupLimits>,
}

/// How a process tells that it is ready, and that it is alive. By default it tells nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct NotifySpec {
    /// It has a socket of its own for the protocol of sd_notify(3).
    pub socket: bool,
    /// A newline on this descriptor of it says that it is ready; [`READY_FDS`].
    pub ready_fd: Option<u16>,
    /// So long it may take to be ready; 0: for ever. Without a socket or a descriptor it means nothing.
    pub ready_timeout: Seconds,
    /// It must send a keepalive at least this often; 0: it need not.
    pub watchdog: Seconds,
}

/// Numbers that [`NotifySpec::ready_fd`] may have: not those of the standard streams, and low enough for every limit of open
/// files that is usual.
pub const READY_FDS: std::ops::RangeInclusive<i64> = 3..=1023;

/// So long a process may take to be ready if its section says nothing of it, as under systemd (`DefaultTimeoutStartSec=`).
pub const READY_TIMEOUT: Seconds = Seconds(90);

impl NotifySpec {
    /// It is RUNNING once it says so, and not because time has passed.
    #[must_use]
    pub const fn tells_ready(&self) -> bool {
        self.socket || self.ready_fd.is_some()
    }
}

/// One stream of a process.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LogSpec {
    /// The file.
    pub target: LogTarget,
    /// Rotate at this size; ≤ 0: never.
    pub maxbytes: Bytes,
    /// How many old logs stay; 0: truncate.
    pub backups: i64,
    /// Capture between tokens up to about this size; 0: off.
    pub capture_maxbytes: Bytes,
    /// Publish PROCESS_LOG events.
    pub events: bool,
    /// To syslog besides the file.
    pub syslog: bool,
    /// Ours: to the journal besides the file.
    pub journal: Option<JournalSpec>,
}

/// How a stream is written to the journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct JournalSpec {
    /// Lines beyond it are left out, counted; none: no limit of ours.
    pub limit: Option<RateLimit>,
}

/// So many lines in so much time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct RateLimit {
    /// At least 1.
    pub lines: u32,
    /// More than nothing.
    pub interval: Duration,
}

impl std::fmt::Display for RateLimit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.interval.as_secs(), self.interval.subsec_millis()) {
            (secs, 0) => write!(f, "{}/{secs}s", self.lines),
            _ => write!(f, "{}/{}ms", self.lines, self.interval.as_millis()),
        }
    }
}

/// Where a stream is written.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum LogTarget {
    /// Nowhere.
    None,
    /// Nowhere, for the value is empty. Clients see it as it is.
    Empty,
    /// A file with a made-up name in `childlogdir`, kept while the group is there.
    Auto,
    /// This file, as configured (relative to the daemon's working directory).
    File(Arc<Path>),
}
