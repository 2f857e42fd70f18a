//! The typed configuration. All fields are valid; no text is parsed again after this.
//!
//! Values that many processes share are behind `Arc`. Everything can be serialized, because the next daemon must know
//! the configuration with which its processes were started.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use super::confinement::{ConfiguredGroup, Confinement};
pub use super::dependency::{Dependencies, Dependency, DependencyCondition, DependencyTarget};
pub use super::exit_when::{ExitWhen, FatalScript, OnFatal};
pub use super::health::{HealthAction, HealthCheck, HealthSpec};
pub use super::hooks::Hooks;
pub use super::interned_default::InternedDefault;
pub use super::key_origins::KeyOrigins;
pub use super::log_options::LogOptions;
pub use super::log_target::{
    JournalSpec, NamedTargets, SyslogForm, SyslogFormat, SyslogFraming, SyslogServer,
    SyslogTransport,
};
pub use super::notification::{FlappingLimit, NotificationSpec, ReportCondition, ReportFormat};
use super::problem::ConfigProblem;
pub use super::resources::{CgroupLimits, CpuMax, KillMode, LimitAmount};
pub use super::restart_policy::{RestartPolicy, UNLIMITED_RETRIES};
pub use super::schedule::{CronMissed, CronOverlap, ScheduleSpec};
pub use super::script::Script;
use super::source::RemoteText;
pub use super::watch::{BinaryWatch, ChangeReaction, DirectoryWatch, WatchSpec};

use crate::domain::{
    Bytes, DiagnosticsFilter, GroupName, Level, Line, LinePattern, Namespec, Permission,
    ProcessName, Seconds, Signal,
};

/// A whole configuration.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Config {
    /// `[supervisord]`.
    pub daemon: DaemonSpec,
    /// Control servers: first all inet servers, then all unix servers, each in file order.
    pub servers: Vec<ServerSpec>,
    /// Names of the `[rpcinterface:x]` sections, in file order.
    pub rpc_interfaces: Vec<String>,
    /// The methods in the `whitelist` of `[rpcinterface:twiddler]`, without their prefix. Empty: all methods. `None`:
    /// there is no such section.
    pub twiddler: Option<Vec<String>>,
    /// Groups by (priority, name), ascending.
    pub groups: Vec<Arc<GroupSpec>>,
    /// `[notify:x]` sections, in file order.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub notifications: Vec<NotificationSpec>,
    /// The text from a Nacos server that is a part of this configuration. `None`: all of it is in local files.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub remote: Option<Arc<RemoteText>>,
    /// Lines for the log at start: warnings and included files.
    pub notes: Vec<Line>,
    /// All warnings with their places, by file and line. Not part of a handoff.
    #[serde(skip)]
    pub warnings: Vec<ConfigProblem>,
    /// Directories whose files `[include]` reads. Not part of a handoff.
    #[serde(skip)]
    pub listed: Vec<String>,
    /// The file has neither `[supervisord]` nor `[rpcinterface:x]`, and was read as if it had both.
    #[serde(default)]
    pub is_implied: bool,
}

/// `[supervisord]`, with the options of the command line applied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct DaemonSpec {
    /// The activity log: an absolute path, or one of the words `syslog` and `journal`.
    pub logfile: PathBuf,
    /// Rotate the log at this size; ≤ 0: never.
    pub logfile_maxbytes: Bytes,
    /// Number of old logs to keep; 0: truncate.
    pub logfile_backups: i64,
    /// How the files of the log are named and kept besides.
    #[serde(default)]
    pub logfile_options: LogOptions,
    /// The lowest level that is logged.
    pub loglevel: Level,
    /// An absolute path.
    pub pidfile: PathBuf,
    /// The umask, applied when the daemon goes into the background.
    pub umask: u32,
    /// Stay in the foreground.
    pub nodaemon: bool,
    /// Do not copy the log to standard output.
    pub silent: bool,
    /// The soft limit of open files that the daemon needs.
    pub minfds: i64,
    /// The soft limit of processes that the daemon needs.
    pub minprocs: i64,
    /// Keep old AUTO logs.
    pub nocleanup: bool,
    /// The directory of AUTO logs.
    pub childlogdir: PathBuf,
    /// The user that the daemon changes to. `None`: no change.
    pub user: Option<ConfiguredUser>,
    /// The working directory, entered when the daemon goes into the background.
    pub directory: Option<PathBuf>,
    /// Remove escape sequences from the logs of processes.
    pub strip_ansi: bool,
    /// Variables for the environment of every process.
    pub environment: Environment,
    /// The name of this daemon.
    pub identifier: String,
    /// `SUPERVISOR_SERVER_URL` for processes whose program does not set it. `None`: there is no server.
    pub server_url: Option<String>,
    /// Where the last runs of programs are stored. `None`: the directory that systemd names, or nowhere.
    #[serde(default)]
    pub state_directory: Option<PathBuf>,
    /// When the daemon reports READY to systemd.
    pub ready_when: ReadyWhen,
    /// The D-Bus that the daemon connects to.
    pub dbus: BusChoice,
    /// Which diagnostics of the daemon are recorded.
    #[serde(default)]
    pub diagnostics: DiagnosticsFilter,
    /// When the daemon exits by itself.
    #[serde(default)]
    pub exit_when: ExitWhen,
}

impl DaemonSpec {
    /// A daemon without any setting. The defaults of KEYS are in `config::key`.
    #[must_use]
    pub fn empty() -> Self {
        Self {
            logfile: PathBuf::new(),
            logfile_maxbytes: Bytes(0),
            logfile_backups: 0,
            logfile_options: LogOptions::default(),
            loglevel: Level::Info,
            pidfile: PathBuf::new(),
            umask: 0,
            nodaemon: false,
            silent: false,
            minfds: 0,
            minprocs: 0,
            nocleanup: false,
            childlogdir: PathBuf::new(),
            user: None,
            directory: None,
            strip_ansi: false,
            environment: Arc::from([]),
            identifier: String::new(),
            server_url: None,
            state_directory: None,
            ready_when: ReadyWhen::Started,
            dbus: BusChoice::Off,
            diagnostics: DiagnosticsFilter::default(),
            exit_when: ExitWhen::Never,
        }
    }
}

/// The D-Bus that the daemon connects to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum BusChoice {
    /// The system bus for root, the session bus for other users, if it exists.
    Auto,
    /// The system bus.
    System,
    /// The session bus.
    Session,
    /// No bus.
    Off,
}

/// When the daemon reports READY to systemd: when each program with autostart …
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum ReadyWhen {
    /// … has finished its first start attempt, successfully or not.
    Started,
    /// … is RUNNING, or cannot become RUNNING without intervention.
    Running,
}

/// Variables in the order written. A later variable of the same name wins.
pub type Environment = Arc<[(String, String)]>;

/// A user as configured and as looked up.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ConfiguredUser {
    /// As configured.
    pub name: String,
    /// The uid, looked up when the configuration was read.
    pub uid: u32,
    /// The gid of a numeric `UID:GID`, which need not be in the databases. `None`: the user is in the user database,
    /// which also gives its groups.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gid: Option<u32>,
}

/// One control server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ServerSpec {
    /// The section's name in the file, such as `unix_http_server`.
    pub section: String,
    /// The address it listens at.
    pub address: ServerAddress,
    /// The rules of the server. `None`: every client with access may do everything, as in Supervisor.
    pub allow: Option<Arc<[AllowRule]>>,
    /// User name and password. The password is plain, or `{SHA}` and 40 hex digits. `None`: no authentication.
    pub credentials: Option<Credentials>,
    /// Host names, besides the host's own, that browsers may use, in lower case.
    pub hosts: Vec<String>,
    /// The file with the tokens that the server accepts. `None`: no tokens.
    #[serde(default)]
    pub tokens_file: Option<PathBuf>,
    /// The name of this node in the Go project's addresses. `None`: the host name.
    #[serde(default)]
    pub nodename: Option<String>,
}

/// One rule of `allow=`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AllowRule {
    /// The peers that the rule applies to.
    pub who: AllowSubject,
    /// What they may do.
    pub permissions: Vec<Permission>,
    /// The processes and groups that the rule is about. `None`: all, and the daemon itself.
    pub processes: Option<Vec<Namespec>>,
}

/// The peers that a rule applies to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum AllowSubject {
    /// Every peer.
    Everybody,
    /// A user, by uid.
    User(u32),
    /// Members of a group, by gid.
    Group(u32),
    /// Clients of a TCP server that log in with this name.
    Login(String),
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

/// The address that a server listens at.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum ServerAddress {
    /// TCP over IPv4 (or a literal IPv6 address). An empty host means all interfaces.
    Inet {
        /// As configured, in lower case.
        host: String,
        /// 1 to 65535.
        port: u16,
    },
    /// A unix stream socket.
    Unix {
        /// An absolute path.
        path: PathBuf,
        /// File mode.
        mode: u32,
        /// The owner. `None`: do not change.
        uid: Option<u32>,
        /// The group. `None`: do not change.
        gid: Option<u32>,
    },
}

/// One group: a `[group:x]`, or the group of a program that is in no `[group:x]`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupSpec {
    /// The unique name.
    pub name: GroupName,
    /// Groups with lower priority start first and stop last.
    pub priority: i64,
    /// The kind of the group.
    pub kind: GroupKind,
    /// By (priority, name), ascending. Names are unique.
    pub processes: Vec<Arc<ProcessSpec>>,
    /// The sections that its processes were made of.
    pub programs: Vec<ProgramSpec>,
    /// New: how many processes an update restarts at a time; 0: all of them.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rolling: u32,
}

/// Maximum number of processes of one section, or of one group that changes at run time. Supervisor has no limit and
/// would fill the memory.
pub const NUMPROCS_MAX: i64 = 100_000;

/// One section of a group, and the processes that were made of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramSpec {
    /// The section.
    pub template: Arc<ProgramTemplate>,
    /// The names of its processes by `process_num`, ascending.
    pub members: Vec<ProcessName>,
    /// The number of its processes was changed at run time. Older daemons did not serialize this.
    #[serde(default)]
    pub scaled: bool,
}

/// A section before expansion, from which more processes can be made although the file may have changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProgramTemplate {
    /// The section's whole name, such as `program:web`.
    pub section: Arc<str>,
    /// The file of the section, for messages.
    pub file: Arc<str>,
    /// The value of `%(here)s`.
    pub here: Arc<str>,
    /// Keys and values as written, including those of `[DEFAULT]`.
    pub options: Arc<[(Arc<str>, Arc<str>)]>,
    /// Where the keys are written.
    #[serde(default, skip_serializing_if = "KeyOrigins::is_empty")]
    pub origins: KeyOrigins,
    /// The environment that every process has.
    pub environment: Environment,
    /// The kind of its processes.
    pub kind: ProcessKind,
}

impl ProgramTemplate {
    /// The program's name: the text after the first colon of the section's name.
    #[must_use]
    pub fn program(&self) -> &str {
        self.section.split_once(':').map_or("", |(_, name)| name)
    }
}

/// The kind of a group.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum GroupKind {
    /// `[group:x]` or a plain `[program:x]`.
    Programs,
    /// `[eventlistener:x]`.
    Listeners {
        /// Names of event types, upper case, in the order written, without repetition.
        events: Vec<String>,
        /// Maximum number of waiting events, ≥ 1.
        buffer_size: i64,
        /// As configured; `supervisor.dispatchers:default_handler` is the built-in one.
        result_handler: String,
    },
    /// `[fcgi-program:x]`.
    Fcgi(Arc<FcgiSocket>),
}

/// The listening socket of an `[fcgi-program:x]`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct FcgiSocket {
    /// The text after the colon of the section's name. Together with the group's name it identifies the socket.
    pub program: Arc<str>,
    /// `tcp://host:port` or `unix:///path`.
    pub url: String,
    /// File mode of a unix socket.
    pub mode: Option<u32>,
    /// Owner of a unix socket: (uid, gid). `None`: do not change.
    pub owner: (Option<u32>, Option<u32>),
    /// Length of the accept queue. `None`: the system's maximum.
    pub backlog: Option<u32>,
}

/// A change of an active group's processes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum GroupChange {
    /// Change the number of processes of a program in the group.
    Rescale {
        /// The group of the program.
        group: GroupName,
        /// The section of the program.
        template: Arc<ProgramTemplate>,
        /// The new number.
        numprocs: i64,
    },
    /// Add the processes of a program that is in no file.
    Program {
        /// The group that they join.
        group: GroupName,
        /// The program's name.
        name: String,
        /// Keys and values of its section. If a key is given twice, its last value counts.
        options: Vec<(String, String)>,
        /// The environment that every process has.
        environment: Environment,
    },
}

impl GroupChange {
    /// The group that changes.
    #[must_use]
    pub const fn group(&self) -> &GroupName {
        match self {
            Self::Rescale { group, .. } | Self::Program { group, .. } => group,
        }
    }
}

/// The result of a [`GroupChange`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct GroupChangeResult {
    /// The section of the processes.
    pub template: Arc<ProgramTemplate>,
    /// Their names by `process_num`, ascending.
    pub members: Vec<ProcessName>,
    /// The processes, by (priority, name).
    pub processes: Vec<Arc<ProcessSpec>>,
}

/// When a process that exited by itself is restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum AutoRestart {
    /// `true`.
    Always,
    /// `false`.
    Never,
    /// `unexpected`: if the exit code is not in `exitcodes`.
    Unexpected,
}

/// The kind of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum ProcessKind {
    /// An ordinary program.
    Program,
    /// An event listener: it receives events on standard input and answers on standard output.
    Listener,
    /// A FastCGI program: it accepts connections from this socket, which it has in place of standard input and shares
    /// with the other processes of its program.
    Fcgi(Arc<FcgiSocket>),
}

/// One process, with all values expanded.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct ProcessSpec {
    /// The name, unique in its group.
    pub name: ProcessName,
    /// The group it belongs to.
    pub group: GroupName,
    /// The kind of the process.
    pub kind: ProcessKind,
    /// As configured. It is split into words at each spawn.
    pub command: Arc<str>,
    /// The working directory, entered after the change of user.
    pub directory: Option<Arc<Path>>,
    /// The program's own configuration file, which clients may read. `None`: none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub conf_file: Option<Arc<Path>>,
    /// `None`: inherit.
    pub umask: Option<u32>,
    /// Processes with lower priority start first.
    pub priority: i64,
    /// Start with the daemon.
    pub autostart: bool,
    /// Whether to restart it after an exit.
    pub autorestart: AutoRestart,
    /// How long it must stay up to become RUNNING.
    pub startsecs: Seconds,
    /// Number of failed attempts, after the first, before FATAL. [`UNLIMITED_RETRIES`]: never FATAL.
    pub startretries: i64,
    /// Exit codes that are expected.
    pub exitcodes: Arc<[u8]>,
    /// The signal to stop it.
    pub stopsignal: Signal,
    /// New: the signals that follow, one after another, if it does not exit within `stopwaitsecs`.
    #[serde(default, skip_serializing_if = "is_empty")]
    pub later_stopsignals: Arc<[Signal]>,
    /// How long to wait for its exit before SIGKILL.
    pub stopwaitsecs: Seconds,
    /// Send `stopsignal` to its process group.
    pub stopasgroup: bool,
    /// Send SIGKILL to its process group.
    pub killasgroup: bool,
    /// The user it runs as. `None`: the daemon's user.
    pub user: Option<ConfiguredUser>,
    /// Write standard error to the log of standard output.
    pub redirect_stderr: bool,
    /// The log of standard output.
    pub stdout: LogSpec,
    /// The log of standard error (`LogTarget::None` with `redirect_stderr`).
    pub stderr: LogSpec,
    /// `[supervisord] environment`, overridden by the program's own.
    pub environment: Environment,
    /// New: files with more variables, which are read at each start. `None`: there are none.
    #[serde(default)]
    pub env_files: Option<Arc<EnvFiles>>,
    /// Replaces the computed `SUPERVISOR_SERVER_URL`. Empty: the variable is not set.
    pub server_url: Option<String>,
    /// New: minimum time from the last spawn to an automatic restart; 0: none.
    pub restart_floor: Seconds,
    /// New: how long it waits before an automatic restart.
    #[serde(default, skip_serializing_if = "RestartPolicy::is_default")]
    pub restart: RestartPolicy,
    /// New: when it runs. `None`: it has no schedule.
    #[serde(default)]
    pub schedule: Option<Arc<ScheduleSpec>>,
    /// New: the daemon exits when it has exited and is not restarted, or is FATAL.
    #[serde(default, skip_serializing_if = "is_false")]
    pub essential: bool,
    /// New: what the daemon does when it is FATAL.
    #[serde(default, skip_serializing_if = "OnFatal::is_default")]
    pub on_fatal: OnFatal,
    /// New: how it reports that it is ready and alive.
    pub notify: NotifySpec,
    /// New: a check after which it is ready. `None`: there is none.
    #[serde(default)]
    pub ready_check: Option<Arc<Script>>,
    /// New: what a line of its output contains when it is ready. `None`: no line says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ready_log: Option<LinePattern>,
    /// New: its health check. `None`: there is none.
    #[serde(default)]
    pub health: Option<Arc<HealthSpec>>,
    /// New: its hooks. `None`: there are none.
    #[serde(default)]
    pub hooks: Option<Arc<Hooks>>,
    /// New: which files are watched for it. `None`: there are none.
    #[serde(default)]
    pub watch: Option<Arc<WatchSpec>>,
    /// New: its resource limits and its privileges. Shared by all programs that have none of these keys.
    #[serde(deserialize_with = "Confinement::deserialize_shared")]
    pub confinement: Arc<Confinement>,
    /// New: the limits of its cgroup. Shared by all programs that have none of these keys.
    #[serde(deserialize_with = "CgroupLimits::deserialize_shared")]
    pub resources: Arc<CgroupLimits>,
    /// New: what it depends on. Shared by all programs that have none of these keys.
    #[serde(
        default = "Dependencies::interned_default",
        deserialize_with = "Dependencies::deserialize_shared"
    )]
    pub dependencies: Arc<Dependencies>,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde passes a reference"
)]
const fn is_zero(value: &u32) -> bool {
    *value == 0
}

const fn is_false(value: &bool) -> bool {
    !*value
}

fn is_empty<T>(items: &[T]) -> bool {
    items.is_empty()
}

impl ProcessSpec {
    /// A process without a command that the daemon does not start, with no logs and no limits. The defaults of KEYS are
    /// in `config::key`.
    #[must_use]
    pub fn new(name: ProcessName, group: GroupName) -> Self {
        Self {
            name,
            group,
            kind: ProcessKind::Program,
            command: Arc::from(""),
            directory: None,
            conf_file: None,
            umask: None,
            priority: 0,
            autostart: false,
            autorestart: AutoRestart::Never,
            startsecs: Seconds(0),
            startretries: 0,
            exitcodes: Arc::from([]),
            stopsignal: Signal::TERM,
            later_stopsignals: Arc::default(),
            stopwaitsecs: Seconds(0),
            stopasgroup: false,
            killasgroup: false,
            user: None,
            redirect_stderr: false,
            stdout: LogSpec::new(LogTarget::None),
            stderr: LogSpec::new(LogTarget::None),
            environment: Arc::from([]),
            env_files: None,
            server_url: None,
            restart_floor: Seconds(0),
            restart: RestartPolicy::default(),
            schedule: None,
            essential: false,
            on_fatal: OnFatal::Nothing,
            notify: NotifySpec::default(),
            ready_check: None,
            ready_log: None,
            health: None,
            hooks: None,
            watch: None,
            confinement: Confinement::interned_default(),
            resources: CgroupLimits::interned_default(),
            dependencies: Dependencies::interned_default(),
        }
    }

    /// Returns whether the process starts with the daemon or with its group.
    #[must_use]
    pub fn starts_with_group(&self) -> bool {
        self.autostart || self.dependencies.starts_with_plugin
    }
}

/// The env files of a process. Their variables override those of `[supervisord] environment`.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnvFiles {
    /// The files. A later one overrides an earlier one.
    pub files: Vec<EnvFileSpec>,
    /// The program's own `environment`, which overrides all files.
    pub own: Environment,
}

/// One env file of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct EnvFileSpec {
    /// The path, relative to the daemon's working directory.
    pub path: String,
    /// What happens if it is missing.
    pub if_missing: IfMissing,
}

/// What happens to a start if an env file is missing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum IfMissing {
    /// It continues with a warning: `envFiles`.
    Warn,
    /// It fails: `environment_file`.
    Fail,
    /// It continues: `environment_file` with a `-` before the name.
    Ignore,
}

/// How a process reports that it is ready and alive. By default it reports nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct NotifySpec {
    /// It gets a socket for the protocol of sd_notify(3).
    pub socket: bool,
    /// It reports readiness by a newline on this descriptor, which is in [`READY_FDS`].
    pub ready_fd: Option<u16>,
    /// How long it may take to become ready; 0: forever. No effect without `socket` or `ready_fd`.
    pub ready_timeout: Seconds,
    /// Maximum interval between keepalives; 0: no keepalives.
    pub watchdog: Seconds,
    /// It is ready when [`ProcessSpec::ready_check`] succeeds.
    #[serde(default)]
    pub check: bool,
    /// It is ready when a line of its output matches [`ProcessSpec::ready_log`].
    #[serde(default)]
    pub log: bool,
}

/// Valid numbers for [`NotifySpec::ready_fd`]: not the standard streams, and below every usual limit of open files.
pub const READY_FDS: std::ops::RangeInclusive<i64> = 3..=1023;

/// The default of [`NotifySpec::ready_timeout`], as in systemd (`DefaultTimeoutStartSec=`).
pub const READY_TIMEOUT: Seconds = Seconds(90);

impl NotifySpec {
    /// Whether it becomes RUNNING when it reports readiness, instead of after `startsecs`.
    #[must_use]
    pub const fn tells_ready(&self) -> bool {
        self.socket || self.check || self.log || self.ready_fd.is_some()
    }
}

/// The log of one stream of a process.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct LogSpec {
    /// The file.
    pub target: LogTarget,
    /// Rotate the file at this size; ≤ 0: never.
    pub maxbytes: Bytes,
    /// Number of old files to keep; 0: truncate.
    pub backups: i64,
    /// Maximum size of captured text, approximately; 0: no capture.
    pub capture_maxbytes: Bytes,
    /// Publish PROCESS_LOG events.
    pub events: bool,
    /// Further files of a list of targets. None of them can be read back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub more_files: Vec<Arc<Path>>,
    /// The form of the messages for syslog.
    #[serde(default, skip_serializing_if = "SyslogForm::is_default")]
    pub syslog_form: SyslogForm,
    /// The targets besides the file.
    #[serde(flatten)]
    pub named: NamedTargets,
    /// How its files are written, named and kept. `None`: all options are the defaults.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub options: Option<Arc<LogOptions>>,
}

impl LogSpec {
    /// A log with this target that is never rotated.
    #[must_use]
    pub fn new(target: LogTarget) -> Self {
        Self {
            target,
            maxbytes: Bytes(0),
            backups: 0,
            capture_maxbytes: Bytes(0),
            events: false,
            more_files: Vec::new(),
            syslog_form: SyslogForm::default(),
            named: NamedTargets::default(),
            options: None,
        }
    }

    /// Whether the log is a list of targets that must not wait for each other. The local syslog does not count, because
    /// it never makes another target wait.
    #[must_use]
    pub fn is_list(&self) -> bool {
        let first = !matches!(self.target, LogTarget::None | LogTarget::Empty);
        let journal = self.named.journal.is_some();
        let servers = self.named.servers.len();
        usize::from(first) + self.more_files.len() + usize::from(journal) + servers > 1
    }
}

/// A number of lines per interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct RateLimit {
    /// At least 1.
    pub lines: u32,
    /// Longer than 0.
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

/// The file of a stream's log.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum LogTarget {
    /// No file.
    None,
    /// No file, because the value is empty. Clients see the empty value.
    Empty,
    /// The last output, in the memory of the daemon.
    Memory,
    /// A file with a generated name in `childlogdir`, which exists as long as the group.
    Auto,
    /// This file, as configured (relative to the daemon's working directory).
    File(Arc<Path>),
}
