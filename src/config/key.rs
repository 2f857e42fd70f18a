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
}

impl ValueKind {
    /// Describes a valid value, for messages after "takes".
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a text",
            Self::Integer => "a whole number",
            Self::Boolean => "one of yes, true, on, 1, no, false, off, 0",
            Self::ByteSize => "a number of bytes such as 1048576, 512KB, 50MB or 1GB",
            Self::Octal => "octal digits such as 022",
            Self::Signal => "a signal such as TERM, SIGTERM or 15",
            Self::ExitCodes => "numbers from 0 to 255 with commas between them",
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
            Self::List => "texts with commas between them",
            Self::Patterns => "file name patterns with blanks between them, not commas",
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
                "names or numbers of groups of this machine with commas or blanks between them"
            }
            Self::Capabilities => {
                "none, all, or names such as cap_net_bind_service with commas or blanks between them, after ~ those \
                 that are left out"
            }
            Self::CapabilityNames => {
                "none, or names such as cap_net_bind_service with commas or blanks between them"
            }
            Self::Memory => "a number of bytes such as 65536, 512KB, 50MB or 1GB, or infinity",
            Self::CpuMax => {
                "a percentage of one processor such as 50% or 200%, infinity, or QUOTA PERIOD in microseconds"
            }
            Self::Weight => "a whole number from 1 to 10000",
            Self::PidsMax => "a whole number from 1, or infinity",
            Self::KillMode => "process or control-group",
        }
    }
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

use ValueKind::{
    Address, AutoRestart, Boolean, Bus, ByteLimit, ByteSize, Callable, Capabilities,
    CapabilityNames, CpuMax, Directory, Environment, ExitCodes, Group, Groups, Integer, KillMode,
    Level, Limit, List, Logfile, Memory, Name, Nice, NiceLimit, Octal, OomScore, Path, Patterns,
    PidsMax, RateLimit, ReadyFd, ReadyWhen, Signal, Socket, Text, User, UserGroup, Weight,
};

#[rustfmt::skip] // One row, one line.
const DAEMON: &[ConfigKey] = &[
    key("logfile", Path, Some("supervisord.log"), "the activity log: a path, syslog or journal").flag('l', "logfile"),
    key("logfile_maxbytes", ByteSize, Some("50MB"), "the activity log is rotated at this size; 0: never").flag('y', "logfile_maxbytes"),
    key("logfile_backups", Integer, Some("10"), "how many old activity logs stay; 0: the log is emptied instead").flag('z', "logfile_backups"),
    key("loglevel", Level, Some("info"), "what is logged: critical, error, warn, info, debug, trace or blather").flag('e', "loglevel"),
    key("pidfile", Path, Some("supervisord.pid"), "where the daemon writes its process id").flag('j', "pidfile"),
    key("nodaemon", Boolean, Some("false"), "stay in the foreground").flag('n', "nodaemon"),
    key("silent", Boolean, Some("false"), "in the foreground, do not copy the log to standard output").flag('s', "silent"),
    key("minfds", Integer, Some("1024"), "how many open files there must be room for at least").flag('a', "minfds"),
    key("minprocs", Integer, Some("200"), "how many processes there must be room for at least").long("minprocs"),
    key("umask", Octal, Some("022"), "file mode mask of the daemon in the background").flag('m', "umask"),
    key("user", User, None, "the user the daemon becomes at start").flag('u', "user"),
    key("identifier", Text, Some("supervisor"), "the name of this instance").flag('i', "identifier"),
    key("directory", Directory, None, "working directory of the daemon in the background").flag('d', "directory"),
    key("nocleanup", Boolean, Some("false"), "leave old AUTO logs of programs where they are").flag('k', "nocleanup"),
    key("childlogdir", Directory, None, "home of AUTO logs; the directory for temporary files if not set").flag('q', "childlogdir"),
    key("environment", Environment, Some(""), "variables added to the environment of every program"),
    key("strip_ansi", Boolean, Some("false"), "strip escape sequences from logs of programs").flag('t', "strip_ansi"),
    key("ready_when", ReadyWhen, Some("started"), "when systemd is told that the daemon is ready: autostart programs were started, or are running or given up").ours(),
    key("dbus", Bus, Some("auto"), "on which D-Bus the daemon can be controlled, as org.supervisord.Supervisor1(5) tells; auto: the system bus if it runs as root, else its user's session bus, and without complaint none where there is none").ours(),
    key("profile_options", List, None, "taken for compatibility, without effect").long("profile_options"),
];

#[rustfmt::skip] // One row, one line.
const CLIENT: &[ConfigKey] = &[
    key("serverurl", Text, Some("http://localhost:9001"), "where the daemon answers: http://host:port or unix:///path").flag('s', "serverurl"),
    key("username", Text, None, "the user name, as in the server's section").flag('u', "username"),
    key("password", Text, None, "the password, as in the server's section").flag('p', "password"),
    key("prompt", Text, Some("supervisor"), "what the shell asks with"),
    key("history_file", Text, None, "where the shell keeps its history").flag('r', "history_file"),
];

#[rustfmt::skip] // One row, one line.
const UNIX_SERVER: &[ConfigKey] = &[
    key("file", Path, None, "path of the socket"),
    key("chmod", Octal, Some("0700"), "file mode of the socket"),
    key("chown", UserGroup, None, "owner of the socket: user or user:group"),
    key("username", Text, None, "user name that clients must give"),
    key("password", Text, None, "password that clients must give, plain or {SHA} and 40 hexadecimal digits"),
    key("allow", Text, None, "who may do what: rules `USER VERB... [on PROCESS...]` or `@GROUP VERB...`, one a line; others are refused, and chmod defaults to 0666").ours(),
];

#[rustfmt::skip] // One row, one line.
const INET_SERVER: &[ConfigKey] = &[
    key("port", Address, None, "where to listen: host:port, or *:port for all interfaces"),
    key("username", Text, None, "user name that clients must give"),
    key("password", Text, None, "password that clients must give, plain or {SHA} and 40 hexadecimal digits"),
    key("hosts", List, None, "names by which browsers may reach a server without password, besides this host's own").ours(),
];

#[rustfmt::skip] // One row, one line.
const PROGRAM: &[ConfigKey] = &[
    key("command", Text, None, "the program and its arguments; no shell reads them").process(),
    key("process_name", Name, Some("%(program_name)s"), "name of each process; needs %(process_num) if there are several").process(),
    key("numprocs", Integer, Some("1"), "how many processes of this program there are"),
    key("numprocs_start", Integer, Some("0"), "the number of the first process"),
    key("directory", Text, None, "working directory").process(),
    key("umask", Octal, None, "file mode mask"),
    key("priority", Integer, Some("999"), "low numbers start first and stop last"),
    key("autostart", Boolean, Some("true"), "start with the daemon"),
    key("startsecs", Integer, Some("1"), "seconds it must stay up to count as started"),
    key("startretries", Integer, Some("3"), "failed starts after the first before giving up"),
    key("autorestart", AutoRestart, Some("unexpected"), "start again after it ended: true, false, or unexpected"),
    key("exitcodes", ExitCodes, Some("0"), "exit codes that are expected"),
    key("stopsignal", Signal, Some("TERM"), "signal that stops it"),
    key("stopwaitsecs", Integer, Some("10"), "seconds it has for that before it is killed"),
    key("stopasgroup", Boolean, Some("false"), "send the stop signal to its whole process group"),
    key("killasgroup", Boolean, None, "kill its whole process group; as stopasgroup if not set"),
    key("restart_floor", Integer, Some("1"), "an automatic restart waits until so many seconds after the last start; 0: never").ours(),
    key("notify", Boolean, Some("false"), "it has a NOTIFY_SOCKET of its own, and is RUNNING once it sends READY=1 there (sd_notify(3)), not after startsecs").ours(),
    key("ready_fd", ReadyFd, None, "it is RUNNING once it writes a newline to this descriptor, 3 to 1023, which it is given").ours(),
    key("ready_timeout", Integer, None, "seconds it may take to be ready, with notify or ready_fd, or the start has failed; 0: for ever; not set: startsecs if that is set, else 90").ours(),
    key("watchdogsecs", Integer, Some("0"), "with notify, it is killed with SIGABRT, and restarted as autorestart says, unless it sends WATCHDOG=1 at least so often; 0: it need not").ours(),
    key("user", User, None, "the user it runs as; as UID:GID, two numbers, it need not be in the user database"),
    key("redirect_stderr", Boolean, Some("false"), "write standard error where standard output goes"),
    key("stdout_logfile", Logfile, Some("AUTO"), "where standard output goes: a path, NONE, AUTO or journal, or journal and a path with a comma between them").process(),
    key("stdout_logfile_maxbytes", ByteSize, Some("50MB"), "that file is rotated at this size; 0: never").process(),
    key("stdout_logfile_backups", Integer, Some("10"), "how many old files of it stay; 0: it is emptied instead").process(),
    key("stdout_capture_maxbytes", ByteSize, Some("0"), "bytes captured between tokens on standard output; 0: none"),
    key("stdout_events_enabled", Boolean, Some("false"), "make an event of what it writes on standard output"),
    key("stdout_syslog", Boolean, Some("false"), "send standard output to syslog too").process(),
    key("stdout_journal_rate_limit", RateLimit, Some("0"), "of standard output, the journal gets so many lines per time, such as 1000/30s; 0: all").ours(),
    key("stderr_logfile", Logfile, Some("AUTO"), "where standard error goes: a path, NONE, AUTO or journal, or journal and a path with a comma between them").process(),
    key("stderr_logfile_maxbytes", ByteSize, Some("50MB"), "that file is rotated at this size; 0: never").process(),
    key("stderr_logfile_backups", Integer, Some("10"), "how many old files of it stay; 0: it is emptied instead").process(),
    key("stderr_capture_maxbytes", ByteSize, Some("0"), "bytes captured between tokens on standard error; 0: none"),
    key("stderr_events_enabled", Boolean, Some("false"), "make an event of what it writes on standard error"),
    key("stderr_syslog", Boolean, Some("false"), "send standard error to syslog too").process(),
    key("stderr_journal_rate_limit", RateLimit, Some("0"), "of standard error, the journal gets so many lines per time, such as 1000/30s; 0: all").ours(),
    key("environment", Environment, Some(""), "variables added to its environment").process(),
    key("serverurl", Text, None, "what SUPERVISOR_SERVER_URL says; AUTO or not set: the daemon's own address"),
    key("limit_nofile", Limit, None, "how many files it may have open (RLIMIT_NOFILE); one number is both limits; not set: as the daemon").ours(),
    key("limit_nproc", Limit, None, "how many processes its user may have, all together, when it makes one (RLIMIT_NPROC)").ours(),
    key("limit_core", ByteLimit, None, "size of a core dump (RLIMIT_CORE)").ours(),
    key("limit_as", ByteLimit, None, "size of its address space (RLIMIT_AS)").ours(),
    key("limit_memlock", ByteLimit, None, "memory that it may lock into RAM (RLIMIT_MEMLOCK)").ours(),
    key("limit_stack", ByteLimit, None, "size of its stack (RLIMIT_STACK)").ours(),
    key("limit_cpu", Limit, None, "seconds of processor time it may use, then SIGXCPU, at the hard limit SIGKILL (RLIMIT_CPU)").ours(),
    key("limit_fsize", ByteLimit, None, "size of a file that it writes (RLIMIT_FSIZE)").ours(),
    key("limit_data", ByteLimit, None, "size of its data (RLIMIT_DATA)").ours(),
    key("limit_rss", ByteLimit, None, "kept for completeness: Linux does not limit resident memory this way (RLIMIT_RSS)").ours(),
    key("limit_rtprio", Limit, None, "how high a real-time priority it may take (RLIMIT_RTPRIO)").ours(),
    key("limit_rttime", Limit, None, "microseconds it may run with real-time scheduling without a blocking call (RLIMIT_RTTIME)").ours(),
    key("limit_nice", NiceLimit, None, "how low it may set its own nice value, as that or as 20 minus it (RLIMIT_NICE)").ours(),
    key("limit_sigpending", Limit, None, "signals that may be queued for its user (RLIMIT_SIGPENDING)").ours(),
    key("limit_msgqueue", ByteLimit, None, "bytes that message queues of its user may take (RLIMIT_MSGQUEUE)").ours(),
    key("limit_locks", Limit, None, "kept for completeness: Linux does not limit file locks (RLIMIT_LOCKS)").ours(),
    key("nice", Nice, None, "its nice value: low numbers get more of the processor; not set: as the daemon").ours(),
    key("oom_score_adj", OomScore, None, "how readily the kernel kills it for want of memory: -1000 never, 1000 first; cannot be had under a daemon that changes its user").ours(),
    key("group", Group, None, "its primary group; not set: that of the user, or the daemon's").ours(),
    key("extra_groups", Groups, Some(""), "groups it is in besides those of the user, or besides the daemon's").ours(),
    key("capabilities", Capabilities, None, "capabilities that it and what it executes may ever have; the user root has these too, and no more").ours(),
    key("ambient_capabilities", CapabilityNames, None, "capabilities that it has and hands on although its user is not root").ours(),
    key("no_new_privileges", Boolean, Some("false"), "nothing that it executes gains rights, by setuid or otherwise").ours(),
    key("memory_max", Memory, None, "memory that it and all it starts may have; what takes more is killed; can be changed while it runs").ours(),
    key("memory_high", Memory, None, "memory above which it is slowed down and has to give back; can be changed while it runs").ours(),
    key("cpu_max", CpuMax, None, "processor time that it and all it starts may have, such as 50% or 200% of one processor; can be changed while it runs").ours(),
    key("cpu_weight", Weight, None, "its share of the processors beside other programs, which have 100; can be changed while it runs").ours(),
    key("io_weight", Weight, None, "its share of the disks beside other programs, which have 100; can be changed while it runs").ours(),
    key("pids_max", PidsMax, None, "processes and threads that it may be, with all it starts; can be changed while it runs").ours(),
    key("kill_mode", KillMode, Some("process"), "what it leaves behind when it ends: process lets it live on, control-group kills it; needs a cgroup, as the limits above do").ours(),
];

#[rustfmt::skip] // One row, one line.
const GROUP: &[ConfigKey] = &[
    key("programs", List, None, "names of programs, with commas between them"),
    key("priority", Integer, Some("999"), "low numbers start first and stop last"),
];

#[rustfmt::skip] // One row, one line.
const LISTENER: &[ConfigKey] = &[
    key("events", List, Some(""), "the event types it hears of, with commas between them"),
    key("buffer_size", Integer, Some("10"), "how many events wait for it"),
    key("result_handler", Callable, Some(RESULT_HANDLER), "what judges its answers"),
    key("priority", Integer, Some("-1"), "low numbers start first and stop last"),
];

#[rustfmt::skip] // One row, one line.
const FCGI: &[ConfigKey] = &[
    key("socket", Socket, None, "where it listens: tcp://host:port or unix:///path"),
    key("socket_mode", Octal, None, "file mode of a unix socket; 0700 if not set"),
    key("socket_owner", UserGroup, None, "owner of a unix socket: user or user:group"),
    key("socket_backlog", Integer, None, "length of its queue; the system's maximum if not set"),
];

const INCLUDE: &[ConfigKey] = &[key(
    "files",
    Patterns,
    None,
    "which files, by name patterns relative to this file",
)];

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
    "what makes this namespace of XML-RPC",
)];

const CTL_PLUGIN: &[ConfigKey] = &[key(
    CTL_FACTORY,
    Callable,
    None,
    "what makes these actions of the client",
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
    fn cfg_14_sections_are_known_by_how_they_begin() {
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
    fn rows_are_named_once_and_documented_in_one_line() {
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
    fn rows_are_found_as_a_search_through_all_of_them_finds_them() {
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
