//! LINES: the table of all lines of the activity log, with their levels and exact texts.
//!
//! People search for these lines, so the texts are exactly Supervisor's. A line that Supervisor does not have is marked
//! `ours`, so that comparisons with the original can filter it out.

use std::fmt;

use serde::{Deserialize, Serialize};

use super::foreign::{Escaped, FOREIGN_CHARS_MAX, Foreign, shorten};
use super::{
    Errno, ExitStatus, GroupName, ProcessName, ProcessState, QualifiedName, ResourceEvents, Signal,
};

/// The seven levels of the activity log, with Supervisor's numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[repr(u8)]
pub enum Level {
    /// Internals of polling.
    Blather = 3,
    /// RPC calls and HTTP accesses.
    Trace = 5,
    /// Output of processes, signals sent.
    Debug = 10,
    /// State changes.
    Info = 20,
    /// Something unexpected happened to a process.
    Warn = 30,
    /// An error in the daemon.
    Error = 40,
    /// An administrator should act.
    Critical = 50,
}

impl Level {
    /// All levels with their names in the configuration and their four letters in the log.
    pub const ALL: [(Self, &'static str, &'static str); 7] = [
        (Self::Critical, "critical", "CRIT"),
        (Self::Error, "error", "ERRO"),
        (Self::Warn, "warn", "WARN"),
        (Self::Info, "info", "INFO"),
        (Self::Debug, "debug", "DEBG"),
        (Self::Trace, "trace", "TRAC"),
        (Self::Blather, "blather", "BLAT"),
    ];

    /// Returns the level with this configured name, in any case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        let name = name.to_lowercase();
        Self::ALL
            .into_iter()
            .find(|(_, known, _)| *known == name)
            .map(|(level, _, _)| level)
    }

    /// Returns the name in the configuration.
    #[must_use]
    pub fn name(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(level, _, _)| *level == self)
            .map_or("", |(_, name, _)| name)
    }

    /// Returns the four letters in the log.
    #[must_use]
    pub fn letters(self) -> &'static str {
        Self::ALL
            .into_iter()
            .find(|(level, _, _)| *level == self)
            .map_or("", |(_, _, letters)| letters)
    }
}

/// One row of [`LINES`].
#[derive(Debug, PartialEq, Eq)]
pub struct LineDoc {
    /// The variant of [`Line`].
    pub variant: &'static str,
    /// The fields with their types.
    pub fields: &'static [(&'static str, &'static str)],
    /// The field with the process or group that the line is about. `None`: the line is about the daemon.
    pub about: Option<&'static str>,
    /// The level.
    pub level: Level,
    /// The text with `{placeholders}`.
    pub template: &'static str,
    /// Whether Supervisor lacks this line.
    pub ours: bool,
}

/// The process or group that a line is about.
trait Subject {
    /// Returns the process. `None`: the subject is a group.
    fn process(&self) -> Option<&ProcessName>;

    /// Returns the group, if the subject contains it.
    fn group(&self) -> Option<&GroupName>;
}

impl Subject for ProcessName {
    fn process(&self) -> Option<&ProcessName> {
        Some(self)
    }

    fn group(&self) -> Option<&GroupName> {
        None
    }
}

impl Subject for QualifiedName {
    fn process(&self) -> Option<&ProcessName> {
        Some(&self.process)
    }

    fn group(&self) -> Option<&GroupName> {
        Some(&self.group)
    }
}

impl Subject for GroupName {
    fn process(&self) -> Option<&ProcessName> {
        None
    }

    fn group(&self) -> Option<&GroupName> {
        Some(self)
    }
}

/// Generates LINES from rows `Variant { field: Type } about field in group = Level ours "template";`.
///
/// `about` names the field that the line is about, `in` the field with its group. A row without `about` is about the
/// daemon. Fields are displayed as [`Foreign`], on one line and short, so a new row is safe even if a client chooses its
/// texts. `#[own]` marks a text from the daemon or its configuration, which is displayed in full as [`Escaped`].
/// `#[verbatim]` marks program output that is logged unchanged on request.
macro_rules! lines {
    (@ours ours) => { true };
    (@ours) => { false };
    (@shown own $field:ident) => { Escaped($field) };
    (@shown verbatim $field:ident) => { $field };
    (@shown $field:ident) => { Foreign($field) };
    (@shorten $mark:ident $field:ident) => { {} };
    (@shorten $field:ident) => {
        if let Some(text) = ($field as &mut dyn std::any::Any).downcast_mut::<String>() {
            shorten(text);
        }
    };
    (@about) => { None };
    (@about $about:ident) => { Some(stringify!($about)) };
    (@process) => { None };
    (@process $about:ident $($group:ident)?) => { Subject::process($about) };
    (@group) => { None };
    (@group $about:ident) => { Subject::group($about) };
    (@group $about:ident $group:ident) => { Subject::group($group) };
    ($(
        $Variant:ident { $($(#[$mark:ident])? $field:ident: $Type:ty),* $(,)? } $(about $about:ident $(in $group:ident)?)?
            = $level:ident $($ours:ident)? $template:literal;
    )*) => {
        /// One line of the activity log as a value. `Display` writes its text.
        #[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
        #[expect(missing_docs, reason = "the template of each variant in LINES says what it and its fields are")]
        pub enum Line {
            $($Variant { $($field: $Type),* },)*
        }

        #[allow(unused_variables, reason = "each row is asked for one of its fields at most")]
        impl Line {
            /// Returns the level of the line.
            #[must_use]
            pub const fn level(&self) -> Level {
                match self { $(Self::$Variant { .. } => Level::$level,)* }
            }

            /// Returns the process that the line is about, for structured logs.
            #[must_use]
            pub fn process(&self) -> Option<&ProcessName> {
                match self { $(Self::$Variant { $($field),* } => lines!(@process $($about $($group)?)?),)* }
            }

            /// Returns the group that the line is about if the line contains it, for structured logs.
            #[must_use]
            pub fn group(&self) -> Option<&GroupName> {
                match self { $(Self::$Variant { $($field),* } => lines!(@group $($about $($group)?)?),)* }
            }

            /// Returns the field of this type, e.g. the exit status of a process, for structured logs.
            #[must_use]
            pub fn find<T: std::any::Any>(&self) -> Option<&T> {
                match self { $(Self::$Variant { $($field),* } => {
                    let fields: &[&dyn std::any::Any] = &[$($field),*];
                    fields.iter().find_map(|field| field.downcast_ref())
                })* }
            }

            /// Returns the PID that the line is about, for structured logs.
            #[must_use]
            pub fn pid(&self) -> Option<i32> {
                match self { $(Self::$Variant { $($field),* } => {
                    let fields: &[(&str, &dyn std::any::Any)] = &[$((stringify!($field), $field)),*];
                    let (_, pid) = fields.iter().find(|(name, _)| *name == "pid")?;
                    pid.downcast_ref().copied()
                })* }
            }

            /// Returns the name of the variant, for structured logs.
            #[must_use]
            pub const fn variant(&self) -> &'static str {
                match self { $(Self::$Variant { .. } => stringify!($Variant),)* }
            }

            /// Shortens foreign texts to what is displayed of them. The queue of lines limits their number, not their
            /// size, so this must be called before a line is queued.
            pub fn shorten(&mut self) {
                match self { $(Self::$Variant { $($field),* } => {
                    $(lines!(@shorten $($mark)? $field);)*
                })* }
            }
        }

        impl fmt::Display for Line {
            #[allow(unused_variables, reason = "not every field is in the text")]
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                match self { $(Self::$Variant { $($field),* } => {
                    $(let $field = lines!(@shown $($mark)? $field);)*
                    write!(f, $template)
                })* }
            }
        }

        /// All lines that the daemon can write.
        pub const LINES: &[LineDoc] = &[
            $(LineDoc {
                variant: stringify!($Variant),
                fields: &[$((stringify!($field), stringify!($Type))),*],
                about: lines!(@about $($about)?),
                level: Level::$level,
                template: $template,
                ours: lines!(@ours $($ours)?),
            },)*
        ];
    };
}

lines! {
    // The daemon
    RunningAsRoot {} = Critical "Supervisor is running as root.  Privileges were not dropped because no user is specified in the config file.  If you intend to run as root, you can set user=root in the config file to avoid this message.";
    NoAuthentication { #[own] section: String } = Critical "Server '{section}' running without any HTTP authentication checking";
    CannotWritePidfile { #[own] path: String } = Critical "could not write pidfile {path}";
    PidfileRefused { #[own] path: String, #[own] why: String } = Warn ours "cannot write pidfile {path}: {why}";
    CannotChdir { #[own] directory: String, #[own] error: String } = Critical "can't chdir into '{directory}': {error}";
    IncludedFile { #[own] path: String } = Info "Included extra file \"{path}\" during parsing";
    IncludeMatchesNothing { #[own] pattern: String } = Warn "No file matches via include \"{pattern}\"";
    ConfigWarning { #[own] text: String } = Warn "{text}";
    OurConfigWarning { #[own] text: String } = Warn ours "{text}";
    SetUid { uid: u32 } = Info "Set uid to user {uid} succeeded";
    IncreasedLimit { name: String, limit: u64 } = Info "Increased {name} limit to {limit}";
    RpcInterface { name: String } = Info "RPC interface '{name}' initialized";
    Daemonizing {} = Info "daemonizing the supervisord process";
    ChangedDirectory { #[own] directory: String } = Info "set current directory: '{directory}'";
    Started { pid: i32 } = Info "supervisord started with pid {pid}";
    ReceivedExitSignal { signal: Signal } = Warn "received {signal} indicating exit request";
    ReceivedHangup {} = Warn "received SIGHUP indicating restart request";
    IgnoredHangup {} = Warn "ignored SIGHUP indicating restart request (shutdown in progress)";
    ReceivedReopen {} = Info "received SIGUSR2 indicating log reopen request";
    LogsReopened {} = Info "supervisord logreopen";
    LogFileReopened {} = Info "reopening log file";
    ReceivedChild {} = Debug "received SIGCHLD indicating a child quit";
    NotifyFailed { error: Errno } = Warn ours "cannot send status to systemd: {error}";
    CgroupsAt { #[own] path: String } = Info ours "programs run in cgroups below {path}";
    CgroupsWithout { #[own] path: String, #[own] missing: String, #[own] keys: String } = Warn ours "programs run in cgroups below {path}, {missing} (keys without effect: {keys})";
    NoCgroups { #[own] why: String } = Info ours "programs have no cgroups: {why}";
    NoCgroupsFor { #[own] why: String, #[own] keys: String } = Warn ours "programs have no cgroups: {why} (keys without effect: {keys})";
    StraysKilled { #[own] path: String, #[own] names: String } = Warn ours "{path}: killed processes left by a previous daemon: {names}";
    StraysStay { #[own] path: String, #[own] names: String } = Error ours "{path}: processes left by a previous daemon do not exit: {names}";
    ScopeMadeAgain { #[own] path: String } = Warn ours "cgroup {path} of all programs was removed; created it again";
    PassedSocketsUnknown { #[own] error: String } = Warn ours "cannot use the sockets passed by systemd: {error}";
    PassedSocketUnused { name: String, #[own] address: String } = Warn ours "ignored socket '{name}' ({address}) passed by systemd: no server is configured for this address";
    ReapedUnknown { pid: i32, status: ExitStatus } = Info "reaped unknown pid {pid} ({status})";
    CannotClearLogDir {} = Warn "Could not clear childlog dir";
    CannotCleanUp { #[own] path: String } = Warn "Failed to clean up '{path}'";
    HolderLost {} = Warn ours "fd holder exited; starting another one (until then, programs do not survive a crash of supervisord)";
    HolderRestarted { pid: i32, count: usize } = Warn ours "fd holder restarted with pid {pid}; it holds all {count} sets of file descriptors";
    HolderMissing { #[own] error: String } = Error ours "cannot start an fd holder: {error} (programs do not survive a crash of supervisord)";
    KeeperFailed { error: Errno } = Warn ours "fd holder does not accept file descriptors: {error} (programs do not survive a crash of supervisord; an upgrade starts another fd holder)";
    AutoLogsShared { #[own] path: String } = Info ours "kept AUTO logs in {path}: another supervisord with the same identifier uses the directory";
    SocketMadeAgain { #[own] path: String } = Warn ours "socket {path} was removed by another process; created it again";
    SocketRemoved { #[own] path: String, #[own] error: String } = Error ours "socket {path} was removed by another process; cannot create it again: {error} (retrying)";
    ThreadFailed { #[own] trouble: String } = Critical ours "{trouble}: aborting (the next daemon adopts the programs that still run)";
    WatchdogWithheld { #[own] trouble: String } = Critical ours "{trouble}: no watchdog keepalive is sent to systemd";
    LoadingSlowly { seconds: u64 } = Warn ours "reading the configuration takes longer than {seconds} s: a file system or a name service does not respond";
    Recovered { count: u32, #[own] how: String } = Info ours "adopted {count} processes {how}";
    BytesLost { name: ProcessName, channel: String, lost: usize } about name = Warn ours "{name}: up to {lost} bytes of {channel} were lost when the previous daemon was killed";
    CannotRecover { #[own] error: String } = Error ours "cannot read the state of the previous daemon: {error} (adopting the processes that can be found)";
    FoundRunning { name: ProcessName, pid: i32 } about name = Warn ours "adopted: '{name}' with pid {pid}, found running (its state is RUNNING now)";
    FoundWithoutPipes { name: ProcessName, pid: i32 } about name = Warn ours "adopted: '{name}' with pid {pid}, found running without its pipes (its output is lost until it is restarted)";
    LettingGo {} = Info ours "detaching from all processes; they keep running and the next daemon adopts them";
    UpgradeBegun { #[own] program: String } = Info ours "re-executing {program}; it has read the state of this daemon and accepted it";
    UpgradeRefused { #[own] reason: String } = Error ours "upgrade refused: {reason} (nothing changed)";
    Upgraded { version: String, count: u32 } = Info ours "re-executed: version {version} adopted {count} processes";
    RestartRefused { #[own] error: String } = Error ours "restart refused: {error} (nothing changed)";
    ConfigError { #[own] error: String } = Error ours "{error}";
    SocketRefused { #[own] error: String } = Error ours "{error}";
    // A configuration from a server
    SourceText { #[own] item: String, #[own] md5: String, #[own] server: String } = Info ours "configuration read from {item}: MD5 {md5}, server {server}";
    SourceSnapshot { #[own] item: String, #[own] reason: String, age: i64 } = Warn ours "configuration {item} started with the snapshot of {age} seconds ago: {reason}";
    SourceUnbounded { #[own] item: String } = Warn ours "users who can change {item} can run commands as root on this host (pinned_users= and allow_sections= in [nacos] limit what the text may do)";
    SourceChanged { #[own] item: String, #[own] md5: String } = Info ours "configuration {item} changed: MD5 {md5}";
    SourceNotified { #[own] item: String, #[own] md5: String } = Warn ours "configuration {item} changed: MD5 {md5} (on_change=notify: supervisorctl update applies it)";
    SourceApplied { #[own] item: String, #[own] md5: String, added: u32, changed: u32, removed: u32 } = Info ours "configuration {item} applied: MD5 {md5}, groups: {added} added, {changed} changed, {removed} removed";
    SourceRefused { #[own] item: String, #[own] md5: String, #[own] error: String } = Error ours "configuration {item} refused: MD5 {md5}: {error} (nothing changed)";
    SourceFailed { #[own] item: String, #[own] reason: String } = Warn ours "configuration {item} cannot be read: {reason} (programs go on, the daemon tries again)";
    SourceBack { #[own] item: String, #[own] server: String } = Info ours "configuration {item} can be read again, from {server}";
    SourceNeedsRestart { #[own] item: String } = Warn ours "configuration {item}: changes in [supervisord] and of HTTP servers take effect after supervisorctl reload";
    SnapshotFailed { #[own] path: String, #[own] error: String } = Warn ours "cannot write the snapshot {path}: {error}";
    AgentFailed { #[own] error: String } = Warn ours "supervisord-agent: {error} (it is started again)";
    // Lifecycle of a process
    CreatingSocket { #[own] url: String } = Info "Creating socket {url}";
    ClosingSocket { #[own] url: String } = Info "Closing socket {url}";
    Spawned { name: ProcessName, pid: i32 } about name = Info "spawned: '{name}' with pid {pid}";
    SpawnFailed { #[own] error: String } = Info "spawnerr: {error}";
    EnvFileMissing { name: ProcessName, #[own] path: String } about name = Warn ours "{name}: env file {path} does not exist; starting without it";
    StartHeldUp { name: ProcessName, #[own] why: String } about name = Warn ours "start of {name} is delayed: {why} (other programs are not affected)";
    WaitingFor { name: ProcessName, what: String } about name = Info ours "{name} is waiting for {what}";
    DependencyFailed { name: ProcessName, why: String } about name = Warn ours "{name} is not started: {why}";
    StartedFor { name: ProcessName, dependant: String } about name = Info ours "starting {name}: {dependant} depends on it";
    RestartedWith { name: ProcessName, dependency: String } about name = Info ours "restarting {name}: its dependency {dependency} was restarted (restart_with)";
    StopHeld { name: ProcessName, dependants: String } about name = Info ours "{name} stops after {dependants}";
    Success { name: ProcessName, startsecs: i64 } about name = Info "success: {name} entered RUNNING state, process has stayed up for > than {startsecs} seconds (startsecs)";
    Ready { name: ProcessName } about name = Info ours "success: {name} entered RUNNING state, process has reported that it is ready";
    NotReady { name: ProcessName, pid: i32, seconds: i64 } about name = Warn ours "readiness timeout: {name} (pid {pid}) is not ready after {seconds} s; stopping it (ready_timeout)";
    WatchdogMissed { name: ProcessName, pid: i32, millis: u64 } about name = Warn ours "watchdog timeout: {name} (pid {pid}) sent no keepalive for {millis} ms; killing it with SIGABRT (watchdogsecs)";
    WatchdogTriggered { name: ProcessName, pid: i32 } about name = Warn ours "watchdog trigger: {name} (pid {pid}) asked to be killed (WATCHDOG=trigger)";
    Healthy { name: ProcessName } about name = Info ours "healthy: {name} passes its health check";
    Unhealthy { name: ProcessName, pid: i32, reason: String } about name = Warn ours "unhealthy: {name} (pid {pid}) failed its health check: {reason}";
    HookFailed { name: ProcessName, key: String, reason: String } about name = Warn ours "{name}: {key} failed: {reason}";
    NotificationSent { notification: String, count: u64 } = Info ours "notify {notification}: reported {count}";
    NotificationFailed { notification: String, reason: String } = Warn ours "notify {notification}: {reason}; trying again";
    NotificationLost { notification: String, count: u64, tries: u32, reason: String } = Error ours "notify {notification}: {reason}; {count} not reported after {tries} attempts";
    FatalScriptDone { name: ProcessName } about name = Info ours "{name}: on_fatal succeeded";
    FileChanged { name: ProcessName, path: String, action: String } about name = Info ours "{name}: {path} changed; {action}";
    Watching { name: ProcessName, path: String } about name = Debug ours "{name}: watching {path}";
    WatchLimited { name: ProcessName, path: String, reason: String } about name = Warn ours "{name}: cannot watch {path}: {reason}; comparing its files instead";
    WatchFailed { name: ProcessName, reason: String } about name = Warn ours "{name}: changed files are not noticed: {reason}";
    ReactionFailed { name: ProcessName, reason: String } about name = Warn ours "{name}: the script for its change of health failed: {reason}";
    NoticeIgnored { name: ProcessName, what: String } about name = Info ours "{name}: ignored notification {what}";
    NoticeForeign { name: ProcessName, sender: i32, uid: u32 } about name = Warn ours "{name}: dropped a notification from process {sender} (uid {uid}), which does not belong to {name}";
    NoticesForeign { name: ProcessName, count: u64 } about name = Warn ours "{name}: dropped {count} notifications from processes that do not belong to {name}";
    RunsUnreadable { #[own] path: String, #[own] error: String } = Warn ours "ignored the stored runs in {path}: {error}";
    RunsUnwritable { #[own] path: String, #[own] error: String } = Warn ours "cannot store runs in {path}: {error} (retrying at the next run)";
    RunSkipped { name: ProcessName, #[own] when: String } about name = Info ours "{name}: skipped the run of {when}: the program still runs (cron_overlap=skip)";
    RunQueued { name: ProcessName, #[own] when: String } about name = Info ours "{name}: the run of {when} waits until the program has ended (cron_overlap=queue)";
    RunReplaces { name: ProcessName, #[own] when: String } about name = Info ours "{name}: stopping the program for the run of {when} (cron_overlap=kill)";
    RunMissed { name: ProcessName, #[own] when: String } about name = Warn ours "{name}: missed the run of {when} (cron_missed=skip)";
    RunMadeUp { name: ProcessName, #[own] when: String } about name = Warn ours "{name}: missed the run of {when}; running now (cron_missed=once)";
    GaveUp { name: ProcessName } about name = Info "gave up: {name} entered FATAL state, too many start retries too quickly";
    LastStderrLine { name: ProcessName, text: String } about name = Info ours "{name}: last line of standard error: {text}";
    LastOutputLine { name: ProcessName, text: String } about name = Info ours "{name}: last line of output: {text}";
    ExitedExpected { name: ProcessName, status: ExitStatus } about name = Info "exited: {name} ({status}; expected)";
    ExitedUnexpected { name: ProcessName, status: ExitStatus } about name = Warn "exited: {name} ({status}; not expected)";
    StoppedExpected { name: ProcessName, status: ExitStatus } about name = Info "stopped: {name} ({status})";
    StoppedUnexpected { name: ProcessName, status: ExitStatus } about name = Warn "stopped: {name} ({status})";
    AlreadyRunning { name: ProcessName } about name = Warn "process '{name}' already running";
    KillingNow { name: ProcessName, pid: i32 } about name = Warn "killing '{name}' ({pid}) with SIGKILL";
    WaitingToStop { name: ProcessName } about name = Info "waiting for {name} to stop";
    WaitingToDie { #[own] names: String } = Info "waiting for {names} to die";
    WaitingState { name: ProcessName, state: String } about name = Blather "{name} state: {state}";
    Killing { name: ProcessName, pid: i32, group: String, signal: Signal } about name = Debug "killing {name} (pid {pid}) {group}with signal {signal}";
    KillInBackoff { name: ProcessName } about name = Debug "Attempted to kill {name}, which is in BACKOFF state.";
    KillNotRunning { name: ProcessName, signal: Signal } about name = Debug "attempted to kill {name} with sig {signal} but it wasn't running";
    Sending { name: ProcessName, pid: i32, signal: Signal } about name = Debug "sending {name} (pid {pid}) sig {signal}";
    SendNotRunning { name: ProcessName, signal: Signal } about name = Debug "attempted to send {name} sig {signal} but it wasn't running";
    SignalMissed { name: ProcessName, pid: i32, error: Errno } about name = Debug "unable to signal {name} (pid {pid}), it probably just exited on its own: {error}";
    SendMissed { name: ProcessName, pid: i32, error: Errno } about name = Debug "unable to signal {name} (pid {pid}), it probably just now exited on its own: {error}";
    KillProblem { name: ProcessName, pid: i32, #[own] error: String } about name = Critical "unknown problem killing {name} ({pid}):{error}";
    SendProblem { name: ProcessName, pid: i32, #[own] error: String } about name = Critical "unknown problem sending sig {name} ({pid}):{error}";
    RestartFloored { name: ProcessName, millis: u64 } about name = Debug ours "{name}: restart is delayed by {millis} ms (restart_floor)";
    ProgramEnded { name: ProcessName, #[own] key: String, status: u8 } about name = Warn ours "{name}: ended and is not restarted ({key}); shutting down with exit status {status}";
    AllEnded { status: u8 } = Warn ours "all programs have ended (exit_when); shutting down with exit status {status}";
    OnHold { name: ProcessName, seconds: u32, reason: String } about name = Info ours "{name}: on hold for {seconds} s (0: until it is released): {reason}";
    Released { name: ProcessName } about name = Info ours "{name}: no longer on hold";
    NextAttempt { name: ProcessName, millis: u64 } about name = Info ours "{name}: next attempt in {millis} ms";
    Caused { name: ProcessName, causes: ResourceEvents } about name = Warn ours "{name}: resource limits reached: {causes}";
    CgroupLate { name: ProcessName, seconds: i64 } about name = Error ours "{name}: orphan processes still run {seconds} s after SIGKILL; no longer waiting for their exit";
    LeftBehind { name: QualifiedName, count: usize } about name = Info ours "{name}: killed {count} orphan processes";
    LimitsChanged { name: ProcessName } about name = Info ours "{name}: applied new limits to the running process";
    LimitRefused { name: QualifiedName, setting: String, error: Errno } about name = Warn ours "{name}: running without {setting}: {error}";
    SpawnedOutside { name: QualifiedName, error: Errno } about name = Warn ours "{name}: spawned outside its cgroup: {error} (keys that need a cgroup have no effect)";
    // Output of processes
    Output { name: ProcessName, channel: String, #[verbatim] text: String } about name = Debug "'{name}' {channel} output:\n{text}";
    ChannelClosed { fd: i32, name: ProcessName, channel: String } about name = Debug "fd {fd} closed, stopped monitoring <{channel} of {name}>";
    Captured { name: ProcessName, channel: String } about name = Debug "'{name}' {channel} emitted a comm event";
    SinkFailed { name: ProcessName, channel: String, #[own] path: String, error: Errno } about name = Error ours "{name}: cannot write {channel} to {path}: {error} (output is discarded until writing works again)";
    SinkRecovered { name: ProcessName, channel: String, #[own] path: String, lost: u64 } about name = Warn ours "{name}: writing {channel} to {path} works again; {lost} bytes were lost";
    PipeFailed { name: ProcessName, channel: String, error: Errno } about name = Error ours "{name}: cannot read {channel}: {error} (retrying)";
    NotRotated { name: ProcessName, channel: String, #[own] path: String } about name = Info ours "{name}: {channel} log {path} is not a regular file and is never rotated";
    SinkLost { name: ProcessName, channel: String, #[own] path: String, lost: u64 } about name = Error ours "{name}: {lost} bytes of {channel} for {path} were lost";
    RotateFailed { name: ProcessName, channel: String, #[own] path: String, error: Errno } about name = Error ours "{name}: cannot rotate {channel} log {path}: {error} (the file grows until rotation works)";
    CompressFailed { #[own] path: String, error: Errno } = Error ours "cannot compress {path}: {error} (the file stays as it is)";
    ReopenFailed { #[own] path: String, error: Errno } = Error ours "cannot reopen {path}: {error} (writing continues in the old file)";
    LogRefused { #[own] path: String } = Error ours "cannot write to {path}: permission denied: a symbolic link in the path belongs to a user who has no rights over its target";
    CannotCreateLog { #[own] path: String, error: Errno } = Error ours "cannot create {path}: {error}";
    SyslogFailed { error: Errno } = Error ours "cannot send to syslog: {error} (lines are discarded until sending works again)";
    SyslogRecovered { lost: u64 } = Warn ours "sending to syslog works again; {lost} lines were lost";
    SyslogServerFailed { #[own] server: String, #[own] error: String } = Error ours "cannot send to {server}: {error} (lines wait for the server, and beyond 1 MiB the oldest are dropped)";
    SyslogServerDrops { #[own] server: String } = Warn ours "{server} takes lines too slowly: dropping the oldest lines";
    SyslogServerRecovered { #[own] server: String, lost: u64 } = Warn ours "sending to {server} works again; {lost} bytes were lost";
    TargetDrops { name: ProcessName, channel: String, #[own] path: String } about name = Warn ours "{name}: {path} takes {channel} too slowly: dropping output for it (other targets are not affected)";
    JournalAway { error: Errno } = Warn ours "cannot send to the journal: {error} (lines are discarded until sending works again)";
    JournalBack {} = Warn ours "sending to the journal works again";
    LogHangs { name: ProcessName, seconds: u64 } about name = Warn ours "{name}: writing a log has blocked for {seconds} s: its file system does not respond (other programs are not affected)";
    LogAnswers { name: ProcessName, seconds: u64 } about name = Warn ours "{name}: writing a log works again after {seconds} s";
    LogHangsAtEnd { name: ProcessName } about name = Error ours "{name}: writing a log still blocks at exit; the last lines may be lost";
    DaemonLogAnswers { seconds: u64 } = Warn ours "writing this log blocked for {seconds} s";
    LinesDropped { lost: u64 } = Warn ours "{lost} lines of this log were lost here: they came faster than they could be written";
    DrainLate { name: ProcessName, seconds: i64 } about name = Warn ours "{name}: output was not written within {seconds} s after the exit; no longer waiting for it";
    // Event listeners
    ListenerMoved { name: ProcessName, from: String, to: String } about name = Debug "{name}: {from} -> {to}";
    ListenerUnknown { name: ProcessName } about name = Warn "{name}: has entered the UNKNOWN state and will no longer receive events, this usually indicates the process violated the eventlistener protocol";
    BadResult { name: ProcessName, line: String } about name = Warn "{name}: bad result line: '{line}'";
    EventProcessed { name: ProcessName } about name = Debug "{name}: event was processed";
    EventRejected { name: ProcessName } about name = Warn "{name}: event was rejected";
    EventsRejected { pool: GroupName, count: u32 } about pool = Warn ours "pool {pool}: listeners rejected {count} more events";
    EventSent { serial: u64, name: ProcessName } about name = Debug "event {serial} sent to listener {name}";
    EventNotSent { serial: u64, name: ProcessName } about name = Debug "epipe occurred while sending event {serial} to listener {name}, listener state unchanged";
    EventRebuffered { serial: u64, pool: GroupName, size: usize, capacity: i64 } about pool = Debug "rebuffering event {serial} for pool {pool} (buf size={size}, max={capacity})";
    PoolOverflow { pool: GroupName, serial: u64 } about pool = Error "pool {pool} event buffer overflowed, discarding event {serial}";
    EventsDropped { count: u64 } = Error ours "dropped {count} events with process output: they arrive faster than they can be handled";
    // Control
    MethodCalled { method: String } = Trace "XML-RPC method called: {method}()";
    MethodReturned { method: String } = Trace "XML-RPC method {method}() returned successfully";
    MethodFaulted { method: String, code: i32, text: String } = Trace "XML-RPC method {method}() returned fault: [{code}] {text}";
    Unmarshallable { data: String, source: String } = Error "XML-RPC request data {data} is invalid: unmarshallable";
    NoMethodName { data: String, source: String } = Error "XML-RPC request data {data} is invalid: no method name";
    MethodFailed { data: String, #[own] error: String } = Critical "Handling XML-RPC request with data {data} raised an unexpected exception: {error}";
    Access { peer: String, request: String, status: u16, bytes: u64, time: String } = Trace "{peer} - - [{time}] \"{request}\" {status} {bytes}";
    WrongPassword { peer: String } = Warn ours "wrong user name or password from {peer}";
    WrongPasswords { count: u64, peer: String } = Warn ours "{count} more wrong user names or passwords from {peer}";
    TokensRead { count: usize, #[own] path: String } = Info ours "read {count} tokens from {path}";
    TokensRefused { #[own] path: String, #[own] why: String } = Error ours "cannot use tokens_file {path}: {why}; no token is accepted until it is corrected";
    ProcessAdded { name: ProcessName, group: GroupName } about name in group = Info ours "added process '{name}' to group '{group}'";
    ProcessUpdated { name: ProcessName, group: GroupName } about name in group = Info ours "updated process '{name}' of group '{group}'";
    UpdateHalted { group: GroupName, #[own] failed: String, reason: String, count: usize } about group = Warn ours "update of group '{group}' halted: {failed} failed: {reason}; {count} processes keep their previous configuration (correct the configuration and update again)";
    ProcessRemoved { name: ProcessName, group: GroupName } about name in group = Info ours "removed process '{name}' from group '{group}'";
    SaidCritical { text: String } = Critical "{text}";
    SaidError { text: String } = Error "{text}";
    SaidWarn { text: String } = Warn "{text}";
    SaidInfo { text: String } = Info "{text}";
    SaidDebug { text: String } = Debug "{text}";
    SaidTrace { text: String } = Trace "{text}";
    SaidBlather { text: String } = Blather "{text}";
    BusAbsent { bus: String, error: String } = Info ours "no {bus} D-Bus: {error} (waiting for the bus)";
    BusBarred { bus: String, error: String } = Info ours "cannot connect to the {bus} D-Bus: {error} (retrying later and when the bus or its policy changes)";
    BusJoined { bus: String, name: String } = Info ours "connected to the {bus} D-Bus as {name}";
    BusRefused { bus: String, error: String } = Warn ours "cannot connect to the {bus} D-Bus: {error} (retrying later and when the bus or its policy changes)";
    BusNameTaken { bus: String, name: String } = Warn ours "{name} has another owner on the {bus} D-Bus (waiting until the name is free)";
    BusLost { bus: String } = Warn ours "lost the connection to the {bus} D-Bus (reconnecting)";
    Audit { #[own] who: String, verb: String, target: String, result: String } = Info ours "audit: {who} {verb} {target}: {result}";
    AuditRefused { source: String, #[own] who: String, verb: String, target: String, result: String } = Info ours "audit: {who} {verb} {target}: {result}";
    RefusalsSuppressed { count: u64, source: String } = Warn ours "audit: suppressed {count} more refusals from {source}";
}

impl Line {
    /// Returns who sent the refused call that the line reports. The number of such lines is limited, because callers
    /// without any permission can cause them.
    #[must_use]
    pub fn refused_source(&self) -> Option<&str> {
        match self {
            Self::AuditRefused { source, .. }
            | Self::Unmarshallable { source, .. }
            | Self::NoMethodName { source, .. } => Some(source),
            _ => None,
        }
    }

    /// Returns the new state of the process that the line reports, for structured logs.
    #[must_use]
    pub const fn state(&self) -> Option<ProcessState> {
        match self {
            Self::Spawned { .. } => Some(ProcessState::Starting),
            Self::Success { .. } | Self::Ready { .. } => Some(ProcessState::Running),
            Self::GaveUp { .. } => Some(ProcessState::Fatal),
            Self::ExitedExpected { .. } | Self::ExitedUnexpected { .. } => {
                Some(ProcessState::Exited)
            }
            Self::StoppedExpected { .. } | Self::StoppedUnexpected { .. } => {
                Some(ProcessState::Stopped)
            }
            _ => None,
        }
    }

    /// Creates the line for a message that a client writes to the log.
    // Differs: the plug-in supervisor_twiddler writes control characters unchanged and does not limit the length.
    #[must_use]
    pub fn said(level: Level, message: &str) -> Self {
        // Keep the displayed length and one character more, so that `Display` notices that the text was shortened.
        let text = message.chars().take(FOREIGN_CHARS_MAX + 1).collect();
        match level {
            Level::Critical => Self::SaidCritical { text },
            Level::Error => Self::SaidError { text },
            Level::Warn => Self::SaidWarn { text },
            Level::Info => Self::SaidInfo { text },
            Level::Debug => Self::SaidDebug { text },
            Level::Trace => Self::SaidTrace { text },
            Level::Blather => Self::SaidBlather { text },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_client_writes_one_line_at_its_level() {
        for (level, ..) in Level::ALL {
            let line = Line::said(level, "a\r\nb\u{1b}[1m é%");
            assert_eq!(line.level(), level);
            assert_eq!(line.to_string(), "a\\r\\nb\\u{1b}[1m é%");
        }
    }

    #[test]
    fn log_02_levels_are_supervisors() {
        assert_eq!(Level::from_name("WARN"), Some(Level::Warn));
        assert_eq!(Level::from_name("warning"), None);
        assert_eq!(Level::Trace.letters(), "TRAC");
        assert!(Level::Critical > Level::Blather);
    }

    #[test]
    fn c6_each_row_names_its_process() {
        // Lines whose `name` is not a process.
        const OTHERS: &[&str] = &[
            "BusJoined",
            "BusNameTaken",
            "IncreasedLimit",
            "PassedSocketUnused",
            "RpcInterface",
        ];
        for line in LINES {
            let subject = line.fields.iter().find(|(name, kind)| {
                matches!(*kind, "ProcessName" | "QualifiedName" | "GroupName")
                    || *name == "name" && !OTHERS.contains(&line.variant)
            });
            assert_eq!(
                line.about,
                subject.map(|(name, _)| *name),
                "{}: a row about a process says so, with `about`, and has its name as a ProcessName or QualifiedName",
                line.variant
            );
        }
    }

    #[test]
    fn c6_a_line_about_a_process_holds_its_name() {
        let name = |group: &str| QualifiedName {
            group: GroupName::parse(group).expect("valid"),
            process: ProcessName::parse("web").expect("valid"),
        };
        let error = Errno(13);
        for (group, shown) in [("web", "web"), ("g", "g:web")] {
            for line in [
                Line::LeftBehind {
                    name: name(group),
                    count: 2,
                },
                Line::LimitRefused {
                    name: name(group),
                    setting: "memory_max=1".to_owned(),
                    error,
                },
                Line::SpawnedOutside {
                    name: name(group),
                    error,
                },
            ] {
                assert_eq!(line.process().map(ProcessName::as_str), Some("web"));
                assert_eq!(line.group().map(GroupName::as_str), Some(group));
                let text = line.to_string();
                assert!(
                    text.split(' ')
                        .any(|word| word.trim_end_matches(':') == shown),
                    "{text}"
                );
            }
        }
    }

    #[test]
    fn a1_foreign_text_gives_one_short_line() {
        let text = || "a\nb\u{9b}\u{2028}\u{202e}".to_owned() + &"x".repeat(1 << 20);
        let mut lines = [
            Line::Audit {
                who: "unix uid=7".to_owned(),
                verb: "stop".to_owned(),
                target: text(),
                result: text(),
            },
            Line::MethodCalled { method: text() },
            Line::MethodFaulted {
                method: text(),
                code: 1,
                text: text(),
            },
            Line::Unmarshallable {
                data: text(),
                source: "uid 7".to_owned(),
            },
            Line::said(Level::Info, &text()),
        ];
        for line in &mut lines {
            let before = line.to_string();
            line.shorten();
            assert_eq!(line.to_string(), before);
            assert!(before.chars().count() < 500, "{before}");
            assert!(
                before.contains("a\\nb\\u{9b}\\u{2028}\\u{202e}xxx"),
                "{before}"
            );
            assert!(!before.contains(super::super::is_deceptive), "{before}");
            assert!(format!("{line:?}").len() < 3000, "it waits");
        }
        // Texts of the daemon itself are displayed in full, but still on one line.
        let path = "/x\n".to_owned() + &"y".repeat(1000);
        let line = Line::LogRefused { path }.to_string();
        assert!(line.contains("/x\\nyyy") && line.len() > 1000, "{line}");
    }

    #[test]
    fn log_07_a_line_prints_its_template() {
        let name = ProcessName::parse("cat").expect("valid");
        let line = Line::Success { name, startsecs: 1 };
        assert_eq!(line.level(), Level::Info);
        assert_eq!(line.process().map(ProcessName::as_str), Some("cat"));
        assert_eq!(Line::Daemonizing {}.process(), None);
        assert_eq!(
            line.to_string(),
            "success: cat entered RUNNING state, process has stayed up for > than 1 seconds (startsecs)"
        );
    }
}
