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
/// daemon. Fields are displayed as [`Foreign`], on one line and short, so a new row is safe whoever can choose its
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
    PidfileRefused { #[own] path: String, #[own] why: String } = Warn ours "no pidfile {path}: {why}";
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
    NotifyFailed { error: Errno } = Warn ours "cannot tell the service manager how we are: {error}";
    CgroupsAt { #[own] path: String } = Info ours "programs have cgroups of their own in {path}";
    CgroupsWithout { #[own] path: String, #[own] missing: String, #[own] keys: String } = Warn ours "programs have cgroups of their own in {path}, but {missing}: {keys} of programs have no effect";
    NoCgroups { #[own] why: String } = Info ours "programs have no cgroups of their own: {why}";
    NoCgroupsFor { #[own] why: String, #[own] keys: String } = Warn ours "programs have no cgroups of their own: {why}; {keys} of programs have no effect";
    StraysKilled { #[own] path: String, #[own] names: String } = Warn ours "killed what was left in {path} by a daemon before this one: {names}";
    StraysStay { #[own] path: String, #[own] names: String } = Error ours "what was left in {path} by a daemon before this one does not die: {names}";
    ScopeMadeAgain { #[own] path: String } = Warn ours "the cgroup of all programs, {path}, was gone and was made again";
    PassedSocketsUnknown { #[own] error: String } = Warn ours "cannot take the sockets that the service manager passed: {error}";
    PassedSocketUnused { name: String, #[own] address: String } = Warn ours "no server listens on the socket '{name}' ({address}) that the service manager passed";
    ReapedUnknown { pid: i32, status: ExitStatus } = Info "reaped unknown pid {pid} ({status})";
    CannotClearLogDir {} = Warn "Could not clear childlog dir";
    CannotCleanUp { #[own] path: String } = Warn "Failed to clean up '{path}'";
    HolderLost {} = Warn ours "the fd holder has ended; another one is started, until then programs would not outlive a crash of the daemon";
    HolderRestarted { pid: i32, count: usize } = Warn ours "another fd holder runs with pid {pid} and has taken all {count} descriptor sets";
    HolderMissing { #[own] error: String } = Error ours "no fd holder can be started, programs would not outlive a crash of the daemon: {error}";
    KeeperFailed { error: Errno } = Warn ours "programs will not outlive a crash of the daemon from now on: the process that keeps their descriptors does not take them ({error}); an upgrade starts another";
    AutoLogsShared { #[own] path: String } = Info ours "AUTO logs in {path} are left alone: another daemon with the same identifier uses the directory";
    SocketMadeAgain { #[own] path: String } = Warn ours "the socket {path} was removed by another process, and was made again";
    SocketRemoved { #[own] path: String, #[own] error: String } = Error ours "the socket {path} was removed by another process, and cannot be made again yet: {error}";
    ThreadFailed { #[own] trouble: String } = Critical ours "{trouble}: aborting; the next daemon takes over what outlives this one";
    WatchdogWithheld { #[own] trouble: String } = Critical ours "{trouble}: no watchdog keepalive is sent to the service manager";
    LoadingSlowly { seconds: u64 } = Warn ours "reading the configuration takes longer than {seconds} s: a file system or a name service does not answer";
    Recovered { count: u32, #[own] how: String } = Info ours "took over {count} processes {how}";
    BytesLost { name: ProcessName, channel: String, lost: usize } about name = Warn ours "{lost} bytes at most of {name}'s {channel} were lost with the daemon that was killed";
    CannotRecover { #[own] error: String } = Error ours "cannot understand what the last daemon left; what it ran is taken over as far as it is found: {error}";
    FoundRunning { name: ProcessName, pid: i32 } about name = Warn ours "found '{name}' running with pid {pid}, and took it over: it counts as RUNNING from now on";
    FoundWithoutPipes { name: ProcessName, pid: i32 } about name = Warn ours "found '{name}' running with pid {pid}, and took it over without its pipes: what it writes is lost until it is started again";
    LettingGo {} = Info ours "letting go of all processes, for the next daemon to take over";
    UpgradeBegun { #[own] program: String } = Info ours "handing over to {program}, which has agreed to take over";
    UpgradeRefused { #[own] reason: String } = Error ours "upgrade refused, everything goes on as it was: {reason}";
    Upgraded { version: String, count: u32 } = Info ours "taken over by version {version}, with {count} processes";
    RestartRefused { #[own] error: String } = Error ours "restart refused, everything goes on as it was: {error}";
    ConfigError { #[own] error: String } = Error ours "{error}";
    SocketRefused { #[own] error: String } = Error ours "{error}";
    // Life cycle of a process
    CreatingSocket { #[own] url: String } = Info "Creating socket {url}";
    ClosingSocket { #[own] url: String } = Info "Closing socket {url}";
    Spawned { name: ProcessName, pid: i32 } about name = Info "spawned: '{name}' with pid {pid}";
    SpawnFailed { #[own] error: String } = Info "spawnerr: {error}";
    StartHeldUp { name: ProcessName, #[own] why: String } about name = Warn ours "start of {name} is held up, others go on: {why}";
    Success { name: ProcessName, startsecs: i64 } about name = Info "success: {name} entered RUNNING state, process has stayed up for > than {startsecs} seconds (startsecs)";
    Ready { name: ProcessName } about name = Info ours "success: {name} entered RUNNING state, for it says that it is ready";
    NotReady { name: ProcessName, pid: i32, seconds: i64 } about name = Warn ours "{name} (pid {pid}) is not ready in time, and is stopped (ready_timeout, {seconds} s)";
    WatchdogMissed { name: ProcessName, pid: i32, millis: u64 } about name = Warn ours "{name} (pid {pid}) gave no sign of life for {millis} ms, and is ended with SIGABRT (watchdogsecs)";
    WatchdogTriggered { name: ProcessName, pid: i32 } about name = Warn ours "{name} (pid {pid}) wants to be ended as by its watchdog (WATCHDOG=trigger)";
    NoticeIgnored { name: ProcessName, what: String } about name = Info ours "{name} says what has no effect: {what}";
    NoticeForeign { name: ProcessName, sender: i32, uid: u32 } about name = Warn ours "dropped a message in the name of {name} from process {sender} (uid {uid}), which is none of its own";
    NoticesForeign { name: ProcessName, count: u64 } about name = Warn ours "dropped {count} messages in the name of {name} that were none of its own";
    GaveUp { name: ProcessName } about name = Info "gave up: {name} entered FATAL state, too many start retries too quickly";
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
    RestartFloored { name: ProcessName, millis: u64 } about name = Debug ours "restart of {name} waits {millis} ms (restart_floor)";
    Caused { name: ProcessName, causes: ResourceEvents } about name = Warn ours "while {name} ran: {causes}";
    CgroupLate { name: ProcessName, seconds: i64 } about name = Error ours "processes that {name} left behind are still there {seconds} s after they were killed; going on without their end";
    LeftBehind { name: QualifiedName, count: usize } about name = Info ours "killed what {name} had left behind: {count} processes";
    LimitsChanged { name: ProcessName } about name = Info ours "{name} runs on with new limits";
    LimitRefused { name: QualifiedName, setting: String, error: Errno } about name = Warn ours "{name} runs without {setting}: {error}";
    SpawnedOutside { name: QualifiedName, error: Errno } about name = Warn ours "{name} was spawned outside of its cgroup, so that keys that need one have no effect: {error}";
    // Output of processes
    Output { name: ProcessName, channel: String, #[verbatim] text: String } about name = Debug "'{name}' {channel} output:\n{text}";
    ChannelClosed { fd: i32, name: ProcessName, channel: String } about name = Debug "fd {fd} closed, stopped monitoring <{channel} of {name}>";
    Captured { name: ProcessName, channel: String } about name = Debug "'{name}' {channel} emitted a comm event";
    SinkFailed { name: ProcessName, channel: String, #[own] path: String, error: Errno } about name = Error ours "cannot write {channel} of {name} to {path}: {error}; output is read and counted as lost until it works again";
    SinkRecovered { name: ProcessName, channel: String, #[own] path: String, lost: u64 } about name = Warn ours "writing {channel} of {name} to {path} works again; {lost} bytes were lost";
    PipeFailed { name: ProcessName, channel: String, error: Errno } about name = Error ours "cannot read {channel} of {name}: {error}; will try again";
    NotRotated { name: ProcessName, channel: String, #[own] path: String } about name = Info ours "{channel} log of {name}, {path}, is not a plain file: it is never rotated";
    SinkLost { name: ProcessName, channel: String, #[own] path: String, lost: u64 } about name = Error ours "{lost} bytes of {channel} of {name} for {path} were lost";
    RotateFailed { name: ProcessName, channel: String, #[own] path: String, error: Errno } about name = Error ours "cannot rotate {path}, {channel} log of {name}: {error}; it grows until that works";
    ReopenFailed { #[own] path: String, error: Errno } = Error ours "cannot open {path} anew: {error}; writing goes on into the file that was open";
    LogRefused { #[own] path: String } = Error ours "will not write to {path}: it leads through a link that somebody without rights over its target made";
    CannotCreateLog { #[own] path: String, error: Errno } = Error ours "cannot create {path}: {error}";
    SyslogFailed { error: Errno } = Error ours "cannot send to syslog: {error}; lines are counted as lost until it works again";
    SyslogRecovered { lost: u64 } = Warn ours "sending to syslog works again; {lost} lines were lost";
    JournalAway { error: Errno } = Warn ours "cannot reach the journal: {error}; what is to go there is counted as lost until it is there again";
    JournalBack {} = Warn ours "the journal is there again";
    LogHangs { name: ProcessName, seconds: u64 } about name = Warn ours "a log of {name} has not answered for {seconds} s (is its file system there?); only programs that log there wait";
    LogAnswers { name: ProcessName, seconds: u64 } about name = Warn ours "the log of {name} answers again, after {seconds} s";
    LogHangsAtEnd { name: ProcessName } about name = Error ours "a log of {name} does not answer; what was being written to it may be lost";
    DaemonLogAnswers { seconds: u64 } = Warn ours "this log did not answer for {seconds} s";
    LinesDropped { lost: u64 } = Warn ours "{lost} lines of this log were lost here, for it could not be written as fast as they came";
    DrainLate { name: ProcessName, seconds: i64 } about name = Warn ours "output of {name} was not written out within {seconds} s of its exit; going on without it";
    // Event listeners
    ListenerMoved { name: ProcessName, from: String, to: String } about name = Debug "{name}: {from} -> {to}";
    ListenerUnknown { name: ProcessName } about name = Warn "{name}: has entered the UNKNOWN state and will no longer receive events, this usually indicates the process violated the eventlistener protocol";
    BadResult { name: ProcessName, line: String } about name = Warn "{name}: bad result line: '{line}'";
    EventProcessed { name: ProcessName } about name = Debug "{name}: event was processed";
    EventRejected { name: ProcessName } about name = Warn "{name}: event was rejected";
    EventsRejected { pool: GroupName, count: u32 } about pool = Warn ours "{count} more events were rejected by listeners of pool {pool}";
    EventSent { serial: u64, name: ProcessName } about name = Debug "event {serial} sent to listener {name}";
    EventNotSent { serial: u64, name: ProcessName } about name = Debug "epipe occurred while sending event {serial} to listener {name}, listener state unchanged";
    EventRebuffered { serial: u64, pool: GroupName, size: usize, capacity: i64 } about pool = Debug "rebuffering event {serial} for pool {pool} (buf size={size}, max={capacity})";
    PoolOverflow { pool: GroupName, serial: u64 } about pool = Error "pool {pool} event buffer overflowed, discarding event {serial}";
    EventsDropped { count: u64 } = Error ours "{count} events with output of processes were dropped: they come faster than they are taken";
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
    ProcessAdded { name: ProcessName, group: GroupName } about name in group = Info ours "added process '{name}' to group '{group}'";
    ProcessRemoved { name: ProcessName, group: GroupName } about name in group = Info ours "removed process '{name}' from group '{group}'";
    SaidCritical { text: String } = Critical "{text}";
    SaidError { text: String } = Error "{text}";
    SaidWarn { text: String } = Warn "{text}";
    SaidInfo { text: String } = Info "{text}";
    SaidDebug { text: String } = Debug "{text}";
    SaidTrace { text: String } = Trace "{text}";
    SaidBlather { text: String } = Blather "{text}";
    BusAbsent { bus: String, error: String } = Info ours "no {bus} D-Bus: {error}; waiting for one";
    BusBarred { bus: String, error: String } = Info ours "not on the {bus} D-Bus: {error}; trying again later and when the bus or its rules change";
    BusJoined { bus: String, name: String } = Info ours "on the {bus} D-Bus as {name}";
    BusRefused { bus: String, error: String } = Warn ours "not on the {bus} D-Bus: {error}; trying again later and when the bus or its rules change";
    BusNameTaken { bus: String, name: String } = Warn ours "{name} has another owner on the {bus} D-Bus; taking it when it is free";
    BusLost { bus: String } = Warn ours "the {bus} D-Bus is gone; trying to come back";
    Audit { #[own] who: String, verb: String, target: String, result: String } = Info ours "audit: {who} {verb} {target}: {result}";
    AuditRefused { source: String, #[own] who: String, verb: String, target: String, result: String } = Info ours "audit: {who} {verb} {target}: {result}";
    RefusalsSuppressed { count: u64, source: String } = Warn ours "audit: {count} more refusals from {source} suppressed";
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
    fn log_02_seven_levels() {
        assert_eq!(Level::from_name("WARN"), Some(Level::Warn));
        assert_eq!(Level::from_name("warning"), None);
        assert_eq!(Level::Trace.letters(), "TRAC");
        assert!(Level::Critical > Level::Blather);
    }

    #[test]
    fn c6_each_row_says_what_it_is_about() {
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
    fn c6_a_line_about_a_process_carries_it() {
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
                assert!(text.split(' ').any(|word| word == shown), "{text}");
            }
        }
    }

    #[test]
    fn a1_what_is_foreign_is_one_short_line() {
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
