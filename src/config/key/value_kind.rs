//! The kinds of values, with their names and what they accept.

/// The kind of value that a key takes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ValueKind {
    /// Any text.
    Text,
    /// An integer.
    Integer,
    /// A number of processes.
    ProcessCount,
    /// A number of seconds.
    Seconds,
    /// A boolean word.
    Boolean,
    /// A number of bytes.
    ByteSize,
    /// Octal digits.
    Octal,
    /// Signals.
    Signals,
    /// Exit codes.
    ExitCodes,
    /// A number of retries.
    Retries,
    /// A part of a delay.
    Jitter,
    /// An existing directory.
    Directory,
    /// A path in an existing directory.
    Path,
    /// A path in an existing directory, or a word for a log target.
    Logfile,
    /// `plain`, `prefix` or `json`.
    LogFormat,
    /// `size`, a period, or both.
    LogRotation,
    /// A date in the form of strftime(3).
    DateFormat,
    /// A number of files or their age.
    LogKeep,
    /// A user that files are given to.
    LogOwner,
    /// `local` or `UTC`.
    LogZone,
    /// Lines per interval.
    RateLimit,
    /// A file descriptor that is not a standard stream.
    ReadyFd,
    /// A command, a TCP address or an HTTP request.
    Script,
    /// What follows when a process becomes unhealthy.
    HealthAction,
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
    /// `off` or a number of processes.
    Rolling,
    /// `none`, `shutdown`, or `exec:` and a script.
    OnFatal,
    /// `never`, `all-exited`, `any-fatal` or a name.
    ExitWhen,
    /// `auto`, `system`, `session` or `off`.
    Bus,
    /// A name.
    Name,
    /// Texts separated by commas.
    List,
    /// A part of a line of output.
    Pattern,
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
    /// A cron expression.
    Cron,
    /// `skip`, `queue` or `kill`.
    CronOverlap,
    /// `skip` or `once`.
    CronMissed,
    /// A level of diagnostics, and levels of modules.
    Diagnostics,
    /// Programs, groups and processes with conditions.
    Dependencies,
    /// Programs, groups and processes.
    DependencyTargets,
    /// Programs with states.
    WaitFor,
    /// A facility of syslog.
    SyslogFacility,
    /// A priority of syslog.
    SyslogPriority,
    /// `rfc3164` or `rfc5424`.
    SyslogFormat,
    /// `newline` or `octet-counting`.
    SyslogFraming,
    /// Conditions of programs.
    Conditions,
    /// `text` or `json`.
    ReportFormat,
    /// Exits per time.
    Flapping,
    /// Addresses of Nacos servers.
    NacosServers,
    /// `auto`, `v1` or `v3`.
    NacosApi,
    /// `apply`, `notify` or `ignore`.
    OnChange,
}

impl ValueKind {
    /// The name of the kind in the manual. It equals [`ValueKind::expected`] if the name needs no explanation.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Text => "string",
            Self::Integer => "integer",
            Self::ProcessCount => "process count",
            Self::Seconds => "seconds",
            Self::Boolean => "boolean",
            Self::ByteSize => "size",
            Self::Octal => "octal",
            Self::Signals => "signals",
            Self::ExitCodes => "exit codes",
            Self::Retries => "integer or unlimited",
            Self::Jitter => "percentage",
            Self::Directory => "directory",
            Self::Path => "path",
            Self::Logfile => "log target",
            Self::RateLimit => "rate",
            Self::LogRotation => "rotation",
            Self::DateFormat => "date format",
            Self::LogKeep => "number or age",
            Self::LogOwner => "user name",
            Self::Script => "script",
            Self::HealthAction => "action",
            Self::Level => "level",
            Self::User => "user",
            Self::UserGroup => "owner",
            Self::Address => "address",
            Self::Name => "name",
            Self::List => "list",
            Self::Pattern => "pattern",
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
            Self::Cron => "cron expression",
            Self::Diagnostics => "diagnostics level",
            Self::Dependencies => "dependencies",
            Self::DependencyTargets => "names",
            Self::WaitFor => "names and states",
            Self::SyslogFacility => "facility",
            Self::SyslogPriority => "priority",
            Self::Conditions => "conditions",
            Self::Flapping => "exits per time",
            Self::NacosServers => "addresses",
            Self::ReadyFd
            | Self::AutoRestart
            | Self::ReadyWhen
            | Self::Rolling
            | Self::OnFatal
            | Self::ExitWhen
            | Self::Bus
            | Self::Socket
            | Self::Callable
            | Self::Nice
            | Self::OomScore
            | Self::Weight
            | Self::PidsMax
            | Self::KillMode
            | Self::CronOverlap
            | Self::CronMissed
            | Self::LogFormat
            | Self::LogZone
            | Self::ReportFormat
            | Self::NacosApi
            | Self::OnChange
            | Self::SyslogFormat
            | Self::SyslogFraming => self.expected(),
        }
    }

    /// Whether the text is a value that is never expanded: a percentage may have a single `%`, although that begins an
    /// expansion elsewhere.
    pub(in crate::config) fn is_literal(self, text: &str) -> bool {
        let number = text.trim_end().strip_suffix('%');
        matches!(self, Self::CpuMax | Self::Jitter)
            && number.is_some_and(|number| !number.contains('%'))
    }

    /// Describes a valid value, for messages after "takes".
    #[must_use]
    pub const fn expected(self) -> &'static str {
        match self {
            Self::Text => "a string",
            Self::Integer => "a whole number",
            Self::ProcessCount => "a whole number, or cpus",
            Self::Seconds => "a whole number of seconds",
            Self::Boolean => "one of yes, true, on, 1, no, false, off, 0",
            Self::ByteSize => "a number of bytes such as 1048576, 512KB, 50MB or 1GB",
            Self::Octal => "octal digits such as 022",
            Self::Signals => "signals such as TERM, SIGTERM or 15, separated by blanks or commas",
            Self::Retries => "a whole number, or unlimited",
            Self::Jitter => "a percentage such as 20%, or a fraction such as 0.2",
            Self::ExitCodes => "numbers from 0 to 255, separated by commas",
            Self::Directory => "a directory that exists",
            Self::Path => "a path in a directory that exists",
            Self::Logfile => {
                "a path in a directory that exists, NONE, AUTO, syslog, journal, memory or syslog @[udp:|tcp:]HOST[:PORT], or a list such as journal, /var/log/x.log"
            }
            Self::RateLimit => {
                "lines per time such as 1000/30s, with ms, s, min or h, or 0 for no limit"
            }
            Self::ReadyFd => "a whole number from 3 to 1023",
            Self::Script => {
                "a command, tcp://HOST:PORT or http://HOST:PORT/PATH with the options -H and -d"
            }
            Self::HealthAction => "restart, stop, or what the description of the key says",
            Self::Level => {
                "one of critical, error, warn, info, debug, trace, blather, or warning, fatal, panic"
            }
            Self::User => "the name or number of a user of this machine, or USER:GROUP or UID:GID",
            Self::UserGroup => "a user of this machine, or user:group",
            Self::Address => "a port, host:port or *:port, with a port from 1 to 65535",
            Self::AutoRestart => "true, false or unexpected",
            Self::ReadyWhen => "started or running",
            Self::Rolling => "off, or a whole number of at least 1",
            Self::OnFatal => "none, shutdown, or exec: and a script",
            Self::ExitWhen => "never, all-exited, any-fatal, or the name of a program or group",
            Self::Bus => "auto, system, session or off",
            Self::Name => "a name without blank, colon and slash",
            Self::List => "strings separated by commas",
            Self::Pattern => "text that a line contains, in which * stands for any text",
            Self::Patterns => "file name patterns separated by blanks, not commas",
            Self::Environment => "pairs such as KEY=\"value\",OTHER=\"value\"",
            Self::Socket => "tcp://host:port or unix:///absolute/path",
            Self::Callable => "module:callable",
            Self::Cron => {
                "five fields (minute first) such as 30 3 * * *, six (second first), or @hourly, @daily, @weekly, @monthly, @yearly or @every 1h30m, after an optional CRON_TZ=ZONE"
            }
            Self::CronOverlap => "skip, queue or kill",
            Self::CronMissed => "skip or once",
            Self::Diagnostics => {
                "one of off, error, warn, info, debug, trace, and after commas MODULE=LEVEL such as engine=debug"
            }
            Self::Dependencies => {
                "programs, groups (GROUP:*) or processes (GROUP:PROCESS), each with an optional :started, :ready, :healthy \
                 or :exited-ok, separated by commas or blanks"
            }
            Self::DependencyTargets => {
                "programs, groups (GROUP:*) or processes (GROUP:PROCESS), separated by commas or blanks"
            }
            Self::WaitFor => "PROGRAM:STATE such as rsyslogd:running, separated by blanks",
            Self::SyslogFacility => {
                "kern, user, mail, daemon, auth, local0 to local7 or another facility of syslog"
            }
            Self::SyslogPriority => "emerg, alert, crit, err, warning, notice, info or debug",
            Self::SyslogFormat => "rfc3164 or rfc5424",
            Self::NacosServers => {
                "HOST[:PORT] or http[s]://HOST[:PORT][/PATH], separated by commas"
            }
            Self::NacosApi => "auto, v1 or v3",
            Self::OnChange => "apply, notify or ignore",
            Self::SyslogFraming => "newline or octet-counting",
            kind => kind.expected_of_limit(),
        }
    }

    /// The same for limits and privileges.
    const fn expected_of_limit(self) -> &'static str {
        match self {
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
            Self::Conditions => {
                "one or more of fatal, exited, unhealthy, flapping and recovered, separated by commas"
            }
            Self::ReportFormat => "text or json",
            Self::Flapping => "2 to 100 exits per time such as 5/10min, with s, min or h",
            kind => kind.expected_of_log(),
        }
    }

    /// The same for log files.
    const fn expected_of_log(self) -> &'static str {
        match self {
            Self::LogFormat => "plain, prefix or json",
            Self::LogRotation => {
                "size, hourly, daily, weekly or monthly, or a period and size such as daily+size"
            }
            Self::DateFormat => "a date such as %%Y-%%m-%%d, without slash",
            Self::LogKeep => "a number of files, or an age such as 12h, 14d or 8w",
            Self::LogOwner => "the name or number of a user of this machine",
            Self::LogZone => "local or UTC",
            _ => "",
        }
    }
}
