//! The values that the rows of a section fill in while the section is read.

use std::sync::Arc;

use super::super::confinement::Confinement;
use super::super::dependency::Dependencies;
use super::super::health::HealthValues;
use super::super::hooks::Hooks;
use super::super::log_list::LogTargets;
use super::super::log_options::{LogForm, LogOptions};
use super::super::lookup::Lookup;
use super::super::resources::CgroupLimits;
use super::super::spec::{CronMissed, CronOverlap, DaemonSpec, ProcessSpec, RateLimit, SyslogForm};
use super::super::watch::WatchValues;
use super::nacos::NacosValues;
use super::notify::NotificationValues;
use super::small::{ClientValues, FcgiValues, GroupValues, ListenerValues, ServerValues};
use super::source::SourceValues;
use crate::domain::{GroupName, ProcessName, Seconds};

/// Parses the expanded text of a key and stores the value. An error is Supervisor's message, and changes nothing.
pub(in crate::config) type Setter<T> = fn(&mut T, &str, &dyn Lookup) -> Result<(), String>;

/// How the value of a key becomes a part of the configuration.
#[derive(Debug, Clone, Copy)]
pub(in crate::config) enum Field {
    /// It is stored in the values of a program.
    Program(Setter<ProgramValues>),
    /// It is stored in the values of the daemon.
    Daemon(Setter<DaemonValues>),
    /// It is stored in the values of the client.
    Client(Setter<ClientValues>),
    /// It is stored in the values of a server.
    Server(Setter<ServerValues>),
    /// It is stored in the values of a group.
    Group(Setter<GroupValues>),
    /// It is stored in the values of a listener.
    Listener(Setter<ListenerValues>),
    /// It is stored in the values of the socket of an fcgi program.
    Fcgi(Setter<FcgiValues>),
    /// It is stored in the values of a notification.
    Notification(Setter<NotificationValues>),
    /// It is stored in the settings of a Nacos server.
    Nacos(Setter<NacosValues>),
    /// It is stored in the settings of a command that prints the configuration.
    Source(Setter<SourceValues>),
    /// A step in `parse` reads it by its name, because its value depends on more than its text.
    Step,
    /// It is accepted and has no effect.
    Ignored,
}

/// Values that rows fill in.
pub(in crate::config) trait SectionValues: Sized + 'static {
    /// The values before any row is read.
    fn empty() -> Self;
    /// How a row fills these values in. `None`: it does not.
    fn setter(field: Field) -> Option<Setter<Self>>;
}

/// The setter of a field of this variant. `None`: the field is of another one.
macro_rules! setter_of {
    ($field:ident, $variant:ident) => {
        match $field {
            Field::$variant(setter) => Some(setter),
            _ => None,
        }
    };
}
pub(super) use setter_of;

/// The values of a program section. The rows fill the fields of `spec` that need no other key, and the further fields.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct ProgramValues {
    /// Each process of the section is a copy of this one, with its own name, command and environment.
    pub(in crate::config) spec: ProcessSpec,
    pub(in crate::config) numprocs: i64,
    pub(in crate::config) numprocs_start: i64,
    /// The group of the program reads it.
    pub(in crate::config) rolling: u32,
    /// `None`: as `stopasgroup`.
    pub(in crate::config) killasgroup: Option<bool>,
    /// Becomes the schedule of `spec` with the following keys. `None`: the program has no schedule.
    pub(in crate::config) cron: Option<Arc<str>>,
    pub(in crate::config) cron_overlap: CronOverlap,
    pub(in crate::config) cron_missed: CronMissed,
    pub(in crate::config) cron_jitter: Seconds,
    /// The paths of `envFiles`.
    pub(in crate::config) env_files: Vec<String>,
    /// The paths of `environment_file`, with the `-` of files that may be missing.
    pub(in crate::config) environment_files: Vec<String>,
    /// `None`: it depends on `startsecs`.
    pub(in crate::config) ready_timeout: Option<Seconds>,
    /// Without the priority, which each stream has.
    pub(in crate::config) syslog_form: SyslogForm,
    /// The options that both streams have in common.
    pub(in crate::config) logs: LogOptions,
    pub(in crate::config) stdout: StreamValues,
    pub(in crate::config) stderr: StreamValues,
    /// Becomes the part of `spec` when all its keys are read, as `resources`.
    pub(in crate::config) confinement: Confinement,
    pub(in crate::config) resources: CgroupLimits,
    pub(in crate::config) dependencies: Dependencies,
    /// Becomes the part of `spec` when all keys of the process are read.
    pub(in crate::config) health: HealthValues,
    /// As `health`.
    pub(in crate::config) hooks: Hooks,
    /// As `health`.
    pub(in crate::config) watch: WatchValues,
}

/// The values of one stream that its `LogSpec` has in another form.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct StreamValues {
    pub(in crate::config) targets: LogTargets,
    /// Whether syslog is a target too.
    pub(in crate::config) syslog: bool,
    /// `None`: no limit.
    pub(in crate::config) journal_limit: Option<RateLimit>,
    /// The priority of its messages for syslog. `None`: the default of the target.
    pub(in crate::config) syslog_priority: Option<u8>,
    /// The form of its lines. `None`: that of the program.
    pub(in crate::config) form: Option<LogForm>,
    /// Becomes a part of the `LogSpec` when all keys of the process are read.
    pub(in crate::config) options: LogOptions,
}

impl SectionValues for ProgramValues {
    fn empty() -> Self {
        let stream = StreamValues {
            targets: LogTargets::default(),
            syslog: false,
            journal_limit: None,
            syslog_priority: None,
            form: None,
            options: LogOptions::default(),
        };
        let name = ProcessName::parse("").expect("an empty name holds no forbidden character");
        let group = GroupName::parse("").expect("an empty name holds no forbidden character");
        Self {
            spec: ProcessSpec::new(name, group),
            numprocs: 0,
            numprocs_start: 0,
            rolling: 0,
            killasgroup: None,
            cron: None,
            cron_overlap: CronOverlap::Skip,
            cron_missed: CronMissed::Skip,
            cron_jitter: Seconds(0),
            env_files: Vec::new(),
            environment_files: Vec::new(),
            ready_timeout: None,
            syslog_form: SyslogForm::default(),
            logs: LogOptions::default(),
            stdout: stream.clone(),
            stderr: stream,
            confinement: Confinement::default(),
            resources: CgroupLimits::default(),
            dependencies: Dependencies::default(),
            health: HealthValues::default(),
            hooks: Hooks::default(),
            watch: WatchValues::default(),
        }
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Program)
    }
}

/// The values of `[supervisord]` in the file. The command line is not applied, and the paths are as written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::config) struct DaemonValues {
    /// The rows fill the fields that need no other key.
    pub(in crate::config) spec: DaemonSpec,
    pub(in crate::config) logfile: String,
    pub(in crate::config) pidfile: String,
    /// `None`: the directory for temporary files.
    pub(in crate::config) childlogdir: Option<String>,
    /// `None`: no change of the user.
    pub(in crate::config) user: Option<String>,
}

impl SectionValues for DaemonValues {
    fn empty() -> Self {
        Self {
            spec: DaemonSpec::empty(),
            logfile: String::new(),
            pidfile: String::new(),
            childlogdir: None,
            user: None,
        }
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Daemon)
    }
}

/// `set!(FIELD = PARSER)` is a [`Setter`] that parses the text and stores the value in the field. `Some(PARSER)` stores
/// an optional value. `lookup:` gives the parser the machine too.
macro_rules! set {
    (lookup: $($field:ident).+ = Some($parse:path)) => {
        |values, text, lookup| {
            values.$($field).+ = Some($parse(text, lookup)?);
            Ok(())
        }
    };
    (lookup: $($field:ident).+ = $parse:path) => {
        |values, text, lookup| {
            values.$($field).+ = $parse(text, lookup)?;
            Ok(())
        }
    };
    ($($field:ident).+ = Some($parse:path)) => {
        |values, text, _| {
            values.$($field).+ = Some($parse(text)?);
            Ok(())
        }
    };
    ($($field:ident).+ = $parse:path) => {
        |values, text, _| {
            values.$($field).+ = $parse(text)?;
            Ok(())
        }
    };
}
pub(super) use set;

/// A text as it is.
pub(super) fn text(text: &str) -> Result<String, String> {
    Ok(text.to_owned())
}
