//! KEYS: every key of every section, declared once. The parser's defaults, the command line, the hints for misspelled
//! keys, the manual page and the sample configuration derive from these rows.

use std::sync::OnceLock;

/// The kinds of sections.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum SectionKind {
    /// `[supervisord]`.
    Daemon,
    /// `[supervisorctl]`.
    Client,
    /// `[unix_http_server]`, with or without a suffix.
    UnixServer,
    /// `[inet_http_server]`, with or without a suffix.
    InetServer,
    /// `[program:x]`.
    Program,
    /// `[group:x]`.
    Group,
    /// `[eventlistener:x]`. It also has the keys of programs.
    Listener,
    /// `[fcgi-program:x]`. It also has the keys of programs.
    Fcgi,
    /// `[include]`.
    Include,
    /// `[rpcinterface:x]`. Accepts any key; the factory gets them.
    RpcInterface,
    /// `[ctlplugin:x]`. Accepts any key; the factory gets them.
    CtlPlugin,
}

/// How a section of each kind is written: its whole name, or the beginning of its name.
const SECTIONS: &[(SectionKind, &str, bool)] = &[
    (SectionKind::Daemon, "supervisord", true),
    (SectionKind::Client, "supervisorctl", true),
    (SectionKind::Include, "include", true),
    (SectionKind::UnixServer, "unix_http_server", false),
    (SectionKind::InetServer, "inet_http_server", false),
    (SectionKind::Program, "program:", false),
    (SectionKind::Group, "group:", false),
    (SectionKind::Listener, "eventlistener:", false),
    (SectionKind::Fcgi, "fcgi-program:", false),
    (SectionKind::RpcInterface, "rpcinterface:", false),
    (SectionKind::CtlPlugin, "ctlplugin:", false),
];

impl SectionKind {
    /// The kind of the section with this name. `None`: unknown.
    #[must_use]
    pub fn of(name: &str) -> Option<Self> {
        SECTIONS
            .iter()
            .find(|&&(_, known, whole)| {
                if whole {
                    name == known
                } else {
                    name.starts_with(known)
                }
            })
            .map(|&(kind, ..)| kind)
    }

    /// How the name of a section of this kind begins.
    #[must_use]
    pub fn prefix(self) -> &'static str {
        SECTIONS
            .iter()
            .find(|&&(kind, ..)| kind == self)
            .map_or("", |&(_, prefix, _)| prefix)
    }

    /// Every beginning of a section's name.
    pub fn prefixes() -> impl Iterator<Item = &'static str> {
        SECTIONS.iter().map(|&(_, prefix, _)| prefix)
    }

    /// The name of this kind in messages, such as `[program:x]`.
    #[must_use]
    pub fn display(self) -> String {
        let prefix = self.prefix();
        let name = if prefix.ends_with(':') { "x" } else { "" };
        format!("[{prefix}{name}]")
    }

    /// The sections that have a key of this name, in the form for messages.
    #[must_use]
    pub fn with_key(name: &str) -> Vec<String> {
        SECTIONS
            .iter()
            .map(|&(kind, ..)| kind)
            .filter(|kind| kind.rows().iter().any(|key| key.name == name))
            .map(Self::display)
            .collect()
    }

    /// The rows of this kind alone.
    #[must_use]
    pub fn rows(self) -> &'static [ConfigKey] {
        match self {
            Self::Daemon => DAEMON,
            Self::Client => CLIENT,
            Self::UnixServer => UNIX_SERVER,
            Self::InetServer => INET_SERVER,
            Self::Program => PROGRAM,
            Self::Group => GROUP,
            Self::Listener => LISTENER,
            Self::Fcgi => FCGI,
            Self::Include => INCLUDE,
            Self::RpcInterface => RPC_INTERFACE,
            Self::CtlPlugin => CTL_PLUGIN,
        }
    }

    /// All rows that apply to a section of this kind, its own first.
    pub fn keys(self) -> impl Iterator<Item = &'static ConfigKey> {
        let more = match self {
            Self::Listener | Self::Fcgi => PROGRAM,
            _ => &[],
        };
        self.rows().iter().chain(
            more.iter()
                .filter(move |key| !self.rows().iter().any(|own| own.name == key.name)),
        )
    }

    /// Whether sections of this kind accept any key.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::RpcInterface | Self::CtlPlugin)
    }
}

/// The kind of value that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Any text.
    Text,
    /// An integer.
    Integer,
    /// A number of seconds.
    Seconds,
    /// A boolean word.
    Boolean,
    /// A number of bytes.
    ByteSize,
    /// Octal digits.
    Octal,
    /// A signal.
    Signal,
    /// Exit codes.
    ExitCodes,
    /// An existing directory.
    Directory,
    /// A path in an existing directory.
    Path,
    /// A path in an existing directory, or a word for a log target.
    Logfile,
    /// Lines per interval.
    RateLimit,
    /// A file descriptor that is not a standard stream.
    ReadyFd,
    /// A level of the activity log.
    Level,
    /// A user.
    User,
    /// A user and an optional group.
    UserGroup,
    /// A host and a port.
    Address,
    /// A boolean word or `unexpected`.
    AutoRestart,
    /// `started` or `running`.
    ReadyWhen,
    /// `auto`, `system`, `session` or `off`.
    Bus,
    /// A name.
    Name,
    /// Texts separated by commas.
    List,
    /// File name patterns separated by whitespace.
    Patterns,
    /// `KEY="value"` pairs.
    Environment,
    /// The address of an fcgi socket.
    Socket,
    /// `module:callable`.
    Callable,
    /// A resource limit in counted units.
    Limit,
    /// A resource limit in bytes.
    ByteLimit,
    /// A resource limit on nice values.
    NiceLimit,
    /// A nice value.
    Nice,
    /// A value of oom_score_adj, which the kernel adds to the badness.
    OomScore,
    /// A group.
    Group,
    /// Groups.
    Groups,
    /// Capabilities, or with `~` those to leave out.
    Capabilities,
    /// Capability names.
    CapabilityNames,
    /// Bytes of memory.
    Memory,
    /// CPU time.
    CpuMax,
    /// A weight relative to other cgroups.
    Weight,
    /// A number of processes.
    PidsMax,
    /// `process` or `control-group`.
    KillMode,
    /// A level of diagnostics, and levels of modules.
    Diagnostics,
}

impl ValueKind {
    /// The name of the kind in the manual. It equals [`ValueKind::expected`] if the name needs no explanation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "integer",
            Self::Seconds => "seconds",
            Self::Boolean => "boolean",
            Self::ByteSize => "size",
            Self::Octal => "octal",
            Self::Signal => "signal",
            Self::ExitCodes => "exit codes",
            Self::Directory => "directory",
            Self::Path => "path",
            Self::Logfile => "log target",
            Self::RateLimit => "rate",
            Self::Level => "level",
            Self::User => "user",
            Self::UserGroup => "owner",
            Self::Address => "address",
            Self::Name => "name",
            Self::List => "list",
            Self::Patterns => "patterns",
            Self::Environment => "variables",
            Self::Limit => "limit",
            Self::ByteLimit => "size limit",
            Self::NiceLimit => "nice limit",
            Self::Group => "group",
            Self::Groups => "groups",
            Self::Capabilities => "capabilities",
            Self::CapabilityNames => "capability names",
            Self::Memory => "memory",
            Self::CpuMax => "CPU time",
            Self::Diagnostics => "diagnostics level",
            Self::ReadyFd
            | Self::AutoRestart
            | Self::ReadyWhen
            | Self::Bus
            | Self::Socket
            | Self::Callable
            | Self::Nice
            | Self::OomScore
            | Self::Weight
            | Self::PidsMax
            | Self::KillMode => self.expected(),
        }
    }

    /// Describes a valid value, for messages after "takes".
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "a whole number",
            Self::Seconds => "a whole number of seconds",
            Self::Boolean => "one of yes, true, on, 1, no, false, off, 0",
            Self::ByteSize => "a number of bytes such as 1048576, 512KB, 50MB or 1GB",
            Self::Octal => "octal digits such as 022",
            Self::Signal => "a signal such as TERM, SIGTERM or 15",
            Self::ExitCodes => "numbers from 0 to 255, separated by commas",
            Self::Directory => "a directory that exists",
            Self::Path => "a path in a directory that exists",
            Self::Logfile => {
                "a path in a directory that exists, NONE, AUTO, syslog or journal, or a list such as journal, /var/log/x.log"
            }
            Self::RateLimit => {
                "lines per time such as 1000/30s, with ms, s, min or h, or 0 for no limit"
            }
            Self::ReadyFd => "a whole number from 3 to 1023",
            Self::Level => "one of critical, error, warn, info, debug, trace, blather",
            Self::User => "the name or number of a user of this machine, or UID:GID",
            Self::UserGroup => "a user of this machine, or user:group",
            Self::Address => "a port, host:port or *:port, with a port from 1 to 65535",
            Self::AutoRestart => "true, false or unexpected",
            Self::ReadyWhen => "started or running",
            Self::Bus => "auto, system, session or off",
            Self::Name => "a name without blank, colon and slash",
            Self::List => "strings separated by commas",
            Self::Patterns => "file name patterns separated by blanks, not commas",
            Self::Environment => "pairs such as KEY=\"value\",OTHER=\"value\"",
            Self::Socket => "tcp://host:port or unix:///absolute/path",
            Self::Callable => "module:callable",
            Self::Limit => "N or SOFT:HARD, each a whole number or infinity",
            Self::ByteLimit => {
                "N or SOFT:HARD, each a number of bytes such as 65536, 512K, 50MB or 1G, or infinity"
            }
            Self::NiceLimit => {
                "N or SOFT:HARD, each a number from 0 to 40, or a nice value with its sign from -20 to +19"
            }
            Self::Nice => "a whole number from -20 to 19",
            Self::OomScore => "a whole number from -1000 to 1000",
            Self::Group => "the name or number of a group of this machine",
            Self::Groups => {
                "names or numbers of groups of this machine, separated by commas or blanks"
            }
            Self::Capabilities => {
                "none, all, or names such as cap_net_bind_service separated by commas or blanks; after ~, all except \
                 the named ones"
            }
            Self::CapabilityNames => {
                "none, or names such as cap_net_bind_service separated by commas or blanks"
            }
            Self::Memory => "a number of bytes such as 65536, 512KB, 50MB or 1GB, or infinity",
            Self::CpuMax => {
                "a percentage of one CPU such as 50% or 200%, infinity, or QUOTA PERIOD in microseconds"
            }
            Self::Weight => "a whole number from 1 to 10000",
            Self::PidsMax => "a whole number from 1, or infinity",
            Self::KillMode => "process or control-group",
            Self::Diagnostics => {
                "one of off, error, warn, info, debug, trace, and after commas MODULE=LEVEL such as engine=debug"
            }
        }
    }
}

/// The topic of a program key: its part of the manual page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The command and its surroundings.
    Run,
    /// Start, restart and stop.
    Start,
    /// Readiness and watchdog.
    Ready,
    /// Logs, and events from output.
    Logs,
    /// systemd: the journal, readiness, D-Bus.
    Systemd,
    /// Resource limits of one process.
    Limits,
    /// Limits of the cgroup of a process.
    Cgroup,
    /// Users, groups and capabilities.
    Privileges,
}

impl Topic {
    /// Every topic with its title, in the order of the manual page.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Run, "what runs"),
        (Self::Start, "start and stop"),
        (Self::Ready, "readiness and watchdog"),
        (Self::Logs, "logs"),
        (Self::Systemd, "systemd and the journal"),
        (Self::Limits, "resource limits"),
        (Self::Cgroup, "cgroup limits"),
        (Self::Privileges, "privileges"),
    ];
}

/// When a value is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExpandScope {
    /// Once for the section.
    Section,
    /// Once for each process of the section.
    Process,
}

/// A command line option for a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KeyFlag {
    /// One letter.
    pub short: Option<char>,
    /// The long name, without dashes.
    pub long: &'static str,
}

/// One key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConfigKey {
    /// Its name in the file.
    pub name: &'static str,
    /// The kind of its value.
    pub kind: ValueKind,
    /// Its default as written in a file. `None`: it has no such value, see `doc`.
    pub default: Option<&'static str>,
    /// When its value is expanded.
    pub scope: ExpandScope,
    /// The command line option of the daemon or the client that overrides the key.
    pub flag: Option<KeyFlag>,
    /// Whether Supervisor does not have this key.
    pub ours: bool,
    /// What the key does, in one line.
    pub doc: &'static str,
    /// Its topic in the manual page. `None`: the section is not divided into topics.
    pub topic: Option<Topic>,
    /// An example value for the manual page and the sample configuration. `None`: the default shows the syntax.
    pub example: Option<&'static str>,
}

const fn key(
    name: &'static str,
    kind: ValueKind,
    default: Option<&'static str>,
    doc: &'static str,
) -> ConfigKey {
    ConfigKey {
        name,
        kind,
        default,
        scope: ExpandScope::Section,
        flag: None,
        ours: false,
        doc,
        topic: None,
        example: None,
    }
}

impl ConfigKey {
    const fn process(mut self) -> Self {
        self.scope = ExpandScope::Process;
        self
    }

    const fn flag(mut self, short: char, long: &'static str) -> Self {
        self.flag = Some(KeyFlag {
            short: Some(short),
            long,
        });
        self
    }

    const fn long(mut self, long: &'static str) -> Self {
        self.flag = Some(KeyFlag { short: None, long });
        self
    }

    const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    const fn topic(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    const fn example(mut self, value: &'static str) -> Self {
        self.example = Some(value);
        self
    }

    /// The row with this name for a section of this kind.
    #[must_use]
    pub fn find(section: SectionKind, name: &str) -> Option<&'static Self> {
        KeyTable::of(section).find(name)
    }
}

/// An index of one kind's rows by name. A program has seventy keys and each section is asked for each of them: a linear
/// search took a sixth of the time to read a large configuration.
#[derive(Debug)]
pub(super) struct KeyTable {
    /// Sorted by the hash of their names.
    rows: Vec<&'static ConfigKey>,
    /// For each hash, the index of its first row; then the end of the last one.
    starts: [u8; KeyTable::MARKS + 1],
}

impl KeyTable {
    /// Several times the number of keys of a program, so that most hashes have at most one row.
    const MARKS: usize = 256;

    /// Returns the index of a kind, built at first use.
    pub(super) fn of(section: SectionKind) -> &'static Self {
        static TABLES: [OnceLock<KeyTable>; SECTIONS.len()] =
            [const { OnceLock::new() }; SECTIONS.len()];
        TABLES[section as usize].get_or_init(|| {
            let mut rows: Vec<&'static ConfigKey> = section.keys().collect();
            rows.sort_by_key(|key| Self::mark(key.name));
            let mut starts = [0; Self::MARKS + 1];
            for (mark, start) in starts.iter_mut().enumerate() {
                let before = rows.partition_point(|key| Self::mark(key.name) < mark);
                *start = u8::try_from(before).expect("a section has fewer than 256 keys");
            }
            Self { rows, starts }
        })
    }

    /// The row with this name.
    fn find(&self, name: &str) -> Option<&'static ConfigKey> {
        self.position(name).map(|at| self.rows[at])
    }

    /// The position of the row with this name, below [`KeyTable::len`].
    pub(super) fn position(&self, name: &str) -> Option<usize> {
        let mut same = self.with_mark(Self::mark(name));
        // Compare pointers first: the compiler merges equal string literals, so callers usually pass the row's own.
        same.find(|&at| std::ptr::eq(self.rows[at].name, name) || self.rows[at].name == name)
    }

    /// The number of rows.
    pub(super) fn len(&self) -> usize {
        self.rows.len()
    }

    fn with_mark(&self, mark: usize) -> std::ops::Range<usize> {
        usize::from(self.starts[mark])..usize::from(self.starts[mark + 1])
    }

    /// The hash of a name: its length and a few of its letters.
    fn mark(name: &str) -> usize {
        let bytes = name.as_bytes();
        let letter = |at: usize| usize::from(bytes.get(at).copied().unwrap_or_default());
        let length = bytes.len();
        let mark = length * 31
            + letter(0)
            + letter(length / 2) * 5
            + letter(length.wrapping_sub(2)) * 3
            + letter(length.wrapping_sub(1)) * 7;
        mark % Self::MARKS
    }
}

use Topic::{Cgroup, Limits, Logs, Privileges, Ready, Run, Start, Systemd};
use ValueKind::{
    Address, AutoRestart, Boolean, Bus, ByteLimit, ByteSize, Callable, Capabilities,
    CapabilityNames, CpuMax, Diagnostics, Directory, Environment, ExitCodes, Group, Groups,
    Integer, KillMode, Level, Limit, List, Logfile, Memory, Name, Nice, NiceLimit, Octal, OomScore,
    Path, Patterns, PidsMax, RateLimit, ReadyFd, ReadyWhen, Seconds, Signal, Socket, Text, User,
    UserGroup, Weight,
};

#[rustfmt::skip] // One row, one line.
const DAEMON: &[ConfigKey] = &[
    key("logfile", Path, Some("supervisord.log"), "path of the activity log, or syslog or journal").flag('l', "logfile").topic(Logs).example("/var/log/supervisor/supervisord.log"),
    key("logfile_maxbytes", ByteSize, Some("50MB"), "size at which the activity log is rotated; 0 = never").flag('y', "logfile_maxbytes").topic(Logs),
    key("logfile_backups", Integer, Some("10"), "number of rotated activity logs to keep; 0 = truncate the log instead").flag('z', "logfile_backups").topic(Logs),
    key("loglevel", Level, Some("info"), "lowest level of lines in the activity log").flag('e', "loglevel").topic(Logs),
    key("pidfile", Path, Some("supervisord.pid"), "path of the pidfile").flag('j', "pidfile").topic(Run).example("/run/supervisord.pid"),
    key("nodaemon", Boolean, Some("false"), "run in the foreground").flag('n', "nodaemon").topic(Run),
    key("silent", Boolean, Some("false"), "in the foreground, do not copy the activity log to standard output").flag('s', "silent").topic(Logs),
    key("minfds", Integer, Some("1024"), "minimum number of file descriptors that the daemon needs; the start fails with fewer").flag('a', "minfds").topic(Limits),
    key("minprocs", Integer, Some("200"), "minimum number of processes that the daemon needs; the start fails with fewer").long("minprocs").topic(Limits),
    key("umask", Octal, Some("022"), "file mode creation mask of the daemon in the background").flag('m', "umask").topic(Run),
    key("user", User, None, "user that the daemon switches to at start").flag('u', "user").topic(Privileges).example("nobody"),
    key("identifier", Text, Some("supervisor"), "name of this instance, in events and in names of AUTO logs").flag('i', "identifier").topic(Run).example("supervisor-web"),
    key("directory", Directory, None, "working directory of the daemon in the background").flag('d', "directory").topic(Run).example("/tmp"),
    key("nocleanup", Boolean, Some("false"), "keep AUTO logs of earlier runs at start").flag('k', "nocleanup").topic(Logs),
    key("childlogdir", Directory, None, "directory of AUTO logs; not set: the directory for temporary files").flag('q', "childlogdir").topic(Logs).example("/tmp"),
    key("environment", Environment, Some(""), "environment variables for all programs").topic(Run).example("LANG=\"C.UTF-8\",TZ=\"UTC\""),
    key("strip_ansi", Boolean, Some("false"), "remove ANSI escape sequences from the logs of programs").flag('t', "strip_ansi").topic(Logs),
    key("ready_when", ReadyWhen, Some("started"), "when systemd is told that the daemon is ready: after all autostart programs were started, or when all are RUNNING or FATAL").ours().topic(Systemd),
    key("dbus", Bus, Some("auto"), "D-Bus to connect to, see org.supervisord.Supervisor1(5); auto: the system bus as root, else the session bus, or no bus if there is none").ours().topic(Systemd),
    key("profile_options", List, None, "ignored, accepted for compatibility").long("profile_options").topic(Run),
    key("diagnostics", Diagnostics, Some("off"), "lowest level of events about the daemon itself, which go to the journal or standard error and never to the activity log; SUPERVISORD_DIAGNOSTICS in the environment overrides it").ours().topic(Logs),
];

#[rustfmt::skip] // One row, one line.
const CLIENT: &[ConfigKey] = &[
    key("serverurl", Text, Some("http://localhost:9001"), "address of the daemon: http://host:port or unix:///path").flag('s', "serverurl").example("unix:///run/supervisor/supervisor.sock"),
    key("username", Text, None, "user name of the server").flag('u', "username").example("user"),
    key("password", Text, None, "password of the server").flag('p', "password").example("123"),
    key("prompt", Text, Some("supervisor"), "prompt of the shell"),
    key("history_file", Text, None, "history file of the shell").flag('r', "history_file").example("~/.sc_history"),
];

#[rustfmt::skip] // One row, one line.
const UNIX_SERVER: &[ConfigKey] = &[
    key("file", Path, None, "path of the socket").example("/run/supervisor/supervisor.sock"),
    key("chmod", Octal, Some("0700"), "file mode of the socket").example("0770"),
    key("chown", UserGroup, None, "owner of the socket: user or user:group").example("nobody:nogroup"),
    key("username", Text, None, "user name that clients must send").example("user"),
    key("password", Text, None, "password that clients must send, in plain text or as {SHA} and 40 hexadecimal digits").example("123"),
    key("allow", Text, None, "access rules, one per line: `USER VERB... [on PROCESS...]` or `@GROUP VERB...`; other users are refused, and chmod defaults to 0666").ours().example("root all"),
];

#[rustfmt::skip] // One row, one line.
const INET_SERVER: &[ConfigKey] = &[
    key("port", Address, None, "address to listen on: host:port, or *:port for all interfaces").example("127.0.0.1:9001"),
    key("username", Text, None, "user name that clients must send").example("user"),
    key("password", Text, None, "password that clients must send, in plain text or as {SHA} and 40 hexadecimal digits").example("123"),
    key("hosts", List, None, "additional host names under which browsers may reach a server without password").ours().example("status.example.com"),
];

#[rustfmt::skip] // One row, one line.
const PROGRAM: &[ConfigKey] = &[
    key("command", Text, None, "command line of the program; no shell interprets it").process().topic(Run).example("/usr/bin/python3 -m http.server 8000"),
    key("process_name", Name, Some("%(program_name)s"), "name of each process; needs %(process_num) if numprocs is greater than 1").process().topic(Run).example("%(program_name)s_%(process_num)02d"),
    key("numprocs", Integer, Some("1"), "number of processes of this program").topic(Run).example("4"),
    key("numprocs_start", Integer, Some("0"), "number of the first process").topic(Run),
    key("directory", Text, None, "working directory").process().topic(Run).example("/srv/web"),
    key("umask", Octal, None, "file mode creation mask").topic(Run).example("022"),
    key("priority", Integer, Some("999"), "start order: low numbers start first and stop last").topic(Start).example("10"),
    key("autostart", Boolean, Some("true"), "start with the daemon").topic(Start),
    key("startsecs", Seconds, Some("1"), "seconds that a process must stay up to become RUNNING").topic(Start),
    key("startretries", Integer, Some("3"), "failed starts that are retried before the process is FATAL").topic(Start),
    key("autorestart", AutoRestart, Some("unexpected"), "restart after an exit: true, false, or unexpected for a signal or an exit code that is not in exitcodes").topic(Start),
    key("exitcodes", ExitCodes, Some("0"), "expected exit codes, for autorestart=unexpected").topic(Start).example("0,2"),
    key("stopsignal", Signal, Some("TERM"), "signal that stops the process").topic(Start).example("QUIT"),
    key("stopwaitsecs", Seconds, Some("10"), "seconds between the stop signal and SIGKILL").topic(Start),
    key("stopasgroup", Boolean, Some("false"), "send the stop signal to the whole process group").topic(Start),
    key("killasgroup", Boolean, None, "send SIGKILL to the whole process group; not set: as stopasgroup").topic(Start).example("true"),
    key("restart_floor", Seconds, Some("1"), "minimum seconds between two starts of an automatic restart; 0 = none").ours().topic(Start).example("10"),
    key("notify", Boolean, Some("false"), "give the program a NOTIFY_SOCKET; the process is RUNNING when it sends READY=1 (sd_notify(3)), not after startsecs").ours().topic(Ready).example("true"),
    key("ready_fd", ReadyFd, None, "file descriptor, 3 to 1023, passed to the program; the process is RUNNING when it writes a newline to it").ours().topic(Ready).example("3"),
    key("ready_timeout", Seconds, None, "readiness timeout with notify or ready_fd: seconds until the start has failed; 0 = none; not set: startsecs if set, else 90").ours().topic(Ready).example("90"),
    key("watchdogsecs", Seconds, Some("0"), "watchdog timeout with notify: seconds without WATCHDOG=1 until SIGABRT, then autorestart applies; 0 = off").ours().topic(Ready).example("30"),
    key("user", User, None, "user that the program runs as; UID:GID as two numbers needs no entry in the user database").topic(Privileges).example("www-data"),
    key("redirect_stderr", Boolean, Some("false"), "write standard error to the log of standard output").topic(Logs),
    key("stdout_logfile", Logfile, Some("AUTO"), "log of standard output: a path, NONE, AUTO or journal, or journal and a path").process().topic(Logs).example("/var/log/web.log"),
    key("stdout_logfile_maxbytes", ByteSize, Some("50MB"), "size at which the log is rotated; 0 = never").process().topic(Logs),
    key("stdout_logfile_backups", Integer, Some("10"), "number of rotated logs to keep; 0 = truncate the log instead").process().topic(Logs),
    key("stdout_capture_maxbytes", ByteSize, Some("0"), "maximum bytes captured between the tokens of a PROCESS_COMMUNICATION event; 0 = no capture").topic(Logs).example("1MB"),
    key("stdout_events_enabled", Boolean, Some("false"), "send a PROCESS_LOG_STDOUT event for each write").topic(Logs),
    key("stdout_syslog", Boolean, Some("false"), "send standard output to syslog too").process().topic(Logs),
    key("stdout_journal_rate_limit", RateLimit, Some("0"), "maximum rate of lines sent to the journal; 0 = unlimited").ours().topic(Systemd).example("1000/30s"),
    key("stderr_logfile", Logfile, Some("AUTO"), "log of standard error: a path, NONE, AUTO or journal, or journal and a path").process().topic(Logs).example("/var/log/web.err"),
    key("stderr_logfile_maxbytes", ByteSize, Some("50MB"), "size at which the log is rotated; 0 = never").process().topic(Logs),
    key("stderr_logfile_backups", Integer, Some("10"), "number of rotated logs to keep; 0 = truncate the log instead").process().topic(Logs),
    key("stderr_capture_maxbytes", ByteSize, Some("0"), "maximum bytes captured between the tokens of a PROCESS_COMMUNICATION event; 0 = no capture").topic(Logs).example("1MB"),
    key("stderr_events_enabled", Boolean, Some("false"), "send a PROCESS_LOG_STDERR event for each write").topic(Logs),
    key("stderr_syslog", Boolean, Some("false"), "send standard error to syslog too").process().topic(Logs),
    key("stderr_journal_rate_limit", RateLimit, Some("0"), "maximum rate of lines sent to the journal; 0 = unlimited").ours().topic(Systemd).example("1000/30s"),
    key("environment", Environment, Some(""), "environment variables of the program").process().topic(Run).example("PORT=\"8000\",LANG=\"C.UTF-8\""),
    key("serverurl", Text, None, "value of SUPERVISOR_SERVER_URL; AUTO or not set: the address of the daemon").topic(Run).example("AUTO"),
    key("limit_nofile", Limit, None, "maximum open files (RLIMIT_NOFILE)").ours().topic(Limits).example("1024:65536"),
    key("limit_nproc", Limit, None, "maximum processes of the user (RLIMIT_NPROC)").ours().topic(Limits).example("512"),
    key("limit_core", ByteLimit, None, "maximum size of a core dump (RLIMIT_CORE)").ours().topic(Limits).example("infinity"),
    key("limit_as", ByteLimit, None, "maximum size of the address space (RLIMIT_AS)").ours().topic(Limits).example("4GB"),
    key("limit_memlock", ByteLimit, None, "maximum memory locked into RAM (RLIMIT_MEMLOCK)").ours().topic(Limits).example("64MB"),
    key("limit_stack", ByteLimit, None, "maximum size of the stack (RLIMIT_STACK)").ours().topic(Limits).example("8MB"),
    key("limit_cpu", Limit, None, "maximum seconds of CPU time: SIGXCPU at the soft limit, SIGKILL at the hard limit (RLIMIT_CPU)").ours().topic(Limits).example("3600"),
    key("limit_fsize", ByteLimit, None, "maximum size of a file that the program writes (RLIMIT_FSIZE)").ours().topic(Limits).example("1GB"),
    key("limit_data", ByteLimit, None, "maximum size of the data segment (RLIMIT_DATA)").ours().topic(Limits).example("1GB"),
    key("limit_rss", ByteLimit, None, "no effect: Linux does not limit resident memory this way (RLIMIT_RSS)").ours().topic(Limits),
    key("limit_rtprio", Limit, None, "maximum real-time priority (RLIMIT_RTPRIO)").ours().topic(Limits).example("50"),
    key("limit_rttime", Limit, None, "maximum microseconds of CPU time without a blocking call under real-time scheduling (RLIMIT_RTTIME)").ours().topic(Limits).example("200000"),
    key("limit_nice", NiceLimit, None, "lowest nice value that the program may set (RLIMIT_NICE)").ours().topic(Limits).example("-5"),
    key("limit_sigpending", Limit, None, "maximum queued signals of the user (RLIMIT_SIGPENDING)").ours().topic(Limits).example("1024"),
    key("limit_msgqueue", ByteLimit, None, "maximum bytes in message queues of the user (RLIMIT_MSGQUEUE)").ours().topic(Limits).example("1MB"),
    key("limit_locks", Limit, None, "no effect: Linux does not limit file locks (RLIMIT_LOCKS)").ours().topic(Limits),
    key("nice", Nice, None, "nice value: low numbers get more CPU time; not set: as the daemon").ours().topic(Limits).example("5"),
    key("oom_score_adj", OomScore, None, "preference of the OOM killer: -1000 = never, 1000 = first; not available if the daemon switches its user").ours().topic(Limits).example("100"),
    key("group", Group, None, "primary group; not set: the group of the user, or of the daemon").ours().topic(Privileges).example("www-data"),
    key("extra_groups", Groups, Some(""), "supplementary groups, added to those of the user or of the daemon").ours().topic(Privileges),
    key("capabilities", Capabilities, None, "capabilities that the program and its children can have (the bounding set); root has these and no others").ours().topic(Privileges).example("cap_net_bind_service"),
    key("ambient_capabilities", CapabilityNames, None, "capabilities that the program has and passes on although its user is not root").ours().topic(Privileges).example("cap_net_bind_service"),
    key("no_new_privileges", Boolean, Some("false"), "the program and its children cannot gain privileges, by setuid or otherwise").ours().topic(Privileges).example("true"),
    key("memory_max", Memory, None, "memory limit; above it the kernel kills processes of the program").ours().topic(Cgroup).example("512MB"),
    key("memory_high", Memory, None, "memory throttling limit; above it the kernel slows the program down and reclaims memory").ours().topic(Cgroup).example("400MB"),
    key("cpu_max", CpuMax, None, "CPU time limit, such as 50% or 200% of one CPU").ours().topic(Cgroup).example("50%"),
    key("cpu_weight", Weight, None, "share of CPU time relative to other programs, which have 100").ours().topic(Cgroup).example("200"),
    key("io_weight", Weight, None, "share of disk bandwidth relative to other programs, which have 100").ours().topic(Cgroup).example("50"),
    key("pids_max", PidsMax, None, "maximum number of processes and threads").ours().topic(Cgroup).example("100"),
    key("kill_mode", KillMode, Some("process"), "orphan processes after an exit: process = they keep running, control-group = they are killed").ours().topic(Cgroup).example("control-group"),
];

#[rustfmt::skip] // One row, one line.
const GROUP: &[ConfigKey] = &[
    key("programs", List, None, "programs of the group").example("web,worker"),
    key("priority", Integer, Some("999"), "start order: low numbers start first and stop last"),
];

#[rustfmt::skip] // One row, one line.
const LISTENER: &[ConfigKey] = &[
    key("events", List, Some(""), "event types that the listener receives").example("PROCESS_STATE,TICK_60"),
    key("buffer_size", Integer, Some("10"), "maximum number of waiting events; when it is full, the oldest event is discarded"),
    key("result_handler", Callable, Some(RESULT_HANDLER), "handler of results; only the default is supported"),
    key("priority", Integer, Some("-1"), "start order: low numbers start first and stop last"),
];

#[rustfmt::skip] // One row, one line.
const FCGI: &[ConfigKey] = &[
    key("socket", Socket, None, "address of the listening socket").example("unix:///run/app.sock"),
    key("socket_mode", Octal, None, "file mode of a unix socket; not set: 0700").example("0770"),
    key("socket_owner", UserGroup, None, "owner of a unix socket: user or user:group").example("www-data"),
    key("socket_backlog", Integer, None, "length of the listen queue; not set: the maximum of the system").example("128"),
];

const INCLUDE: &[ConfigKey] = &[key(
    "files",
    Patterns,
    None,
    "files to read, as patterns relative to this file",
)
.example("relative/directory/*.ini")];

/// The key of `[rpcinterface:x]` that names its factory.
pub const RPC_FACTORY: &str = "supervisor.rpcinterface_factory";
/// The key of `[ctlplugin:x]` that names its factory.
pub const CTL_FACTORY: &str = "supervisor.ctl_factory";
/// The factory of the `supervisor` namespace.
pub const MAIN_INTERFACE: &str = "supervisor.rpcinterface:make_main_rpcinterface";
/// The factory of the `twiddler` namespace, as the plug-in for Supervisor is named.
pub const TWIDDLER_INTERFACE: &str = "supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface";
/// The built-in handler of event listener results.
pub const RESULT_HANDLER: &str = "supervisor.dispatchers:default_handler";

const RPC_INTERFACE: &[ConfigKey] = &[key(
    RPC_FACTORY,
    Callable,
    None,
    "factory of this XML-RPC namespace",
)];

const CTL_PLUGIN: &[ConfigKey] = &[key(
    CTL_FACTORY,
    Callable,
    None,
    "factory of these supervisorctl actions",
)];

/// Every key with its section.
#[must_use]
pub fn all() -> &'static [(SectionKind, &'static ConfigKey)] {
    static ALL: OnceLock<Vec<(SectionKind, &'static ConfigKey)>> = OnceLock::new();
    ALL.get_or_init(|| {
        SECTIONS
            .iter()
            .flat_map(|&(kind, ..)| kind.rows().iter().map(move |key| (kind, key)))
            .collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cfg_14_a_section_kind_is_recognized_by_its_prefix() {
        for (name, kind) in [
            ("supervisord", Some(SectionKind::Daemon)),
            ("Supervisord", None),
            ("supervisord2", None),
            ("unix_http_server:a", Some(SectionKind::UnixServer)),
            ("program:x", Some(SectionKind::Program)),
            ("progam:x", None),
        ] {
            assert_eq!(SectionKind::of(name), kind, "{name}");
        }
    }

    #[test]
    fn each_key_has_one_row_and_a_one_line_description() {
        for &(kind, key) in all() {
            let same = kind.rows().iter().filter(|other| other.name == key.name);
            assert_eq!(same.count(), 1, "{kind:?} {}", key.name);
            assert!(!key.doc.is_empty() && !key.doc.contains('\n') && !key.doc.contains(" ;"));
            assert_eq!(key.name, key.name.to_lowercase());
        }
        assert_eq!(
            ConfigKey::find(SectionKind::Listener, "priority").and_then(|key| key.default),
            Some("-1")
        );
    }

    #[test]
    fn a_section_has_topics_for_all_its_keys_or_none() {
        for &(kind, ..) in SECTIONS {
            let topics = kind.rows().iter().filter(|key| key.topic.is_some());
            assert!([0, kind.rows().len()].contains(&topics.count()), "{kind:?}");
        }
    }

    #[test]
    fn key_lookup_equals_a_linear_search() {
        let mut names: Vec<&str> = all().iter().map(|(_, key)| key.name).collect();
        names.extend(["", "x", "Command", "commando", "\u{e9}", "\u{1f600}"]);
        for &(kind, ..) in SECTIONS {
            for name in &names {
                let searched = kind.keys().find(|key| key.name == *name);
                assert_eq!(ConfigKey::find(kind, name), searched, "{kind:?} {name}");
            }
        }
        // Many rows with one hash would amount to a linear search.
        let table = KeyTable::of(SectionKind::Program);
        let counts = (0..KeyTable::MARKS).map(|mark| table.with_mark(mark).len());
        assert!(counts.max() <= Some(3));
    }
}
