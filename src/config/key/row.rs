//! One key: its row.

use super::nacos::NacosValues;
use super::notify::NotificationValues;
use super::small::{ClientValues, FcgiValues, GroupValues, ListenerValues, ServerValues};
use super::source::SourceValues;
use super::value_kind::ValueKind;
use super::values::{DaemonValues, Field, ProgramValues, Setter};

/// The topic of a program key: its part of the manual page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Topic {
    /// The command and its surroundings.
    Run,
    /// Start, restart and stop.
    Start,
    /// What it depends on.
    Order,
    /// Runs at fixed times.
    Schedule,
    /// Readiness and watchdog.
    Ready,
    /// Health checks.
    Health,
    /// Hooks.
    Hooks,
    /// Reactions to changed files.
    Watch,
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
    pub const ALL: [(Self, &'static str); 13] = [
        (Self::Run, "what runs"),
        (Self::Start, "start and stop"),
        (Self::Order, "dependencies"),
        (Self::Schedule, "schedules"),
        (Self::Ready, "readiness and watchdog"),
        (Self::Health, "health checks"),
        (Self::Hooks, "hooks"),
        (Self::Watch, "changed files"),
        (Self::Logs, "logs"),
        (Self::Systemd, "systemd and the journal"),
        (Self::Limits, "resource limits"),
        (Self::Cgroup, "cgroup limits"),
        (Self::Privileges, "privileges"),
    ];
}

/// When a value is expanded.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
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
#[derive(Debug, Clone, Copy)]
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
    /// How its value becomes a part of the configuration.
    pub(in crate::config) field: Field,
    /// Whether its value is expanded a second time: an accident in Supervisor, because of which users write `%%%%` for
    /// a percent sign.
    pub(in crate::config) is_expanded_twice: bool,
    /// Whether its value may contain a secret, so that messages do not show it.
    pub is_secret: bool,
    /// Whether the daemon uses its own rights for the value: it opens a file, adds rights to the program, or runs a command as
    /// its own user. Programs of a remote text with pinned users cannot have such values.
    pub(in crate::config) is_privileged: bool,
    /// Whether an update applies a new value to running processes, without a restart.
    pub is_live: bool,
}

pub(super) const fn key(
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
        field: Field::Step,
        is_expanded_twice: false,
        is_secret: false,
        is_privileged: false,
        is_live: false,
    }
}

impl ConfigKey {
    pub(super) const fn process(mut self) -> Self {
        self.scope = ExpandScope::Process;
        self
    }

    pub(super) const fn flag(mut self, short: char, long: &'static str) -> Self {
        self.flag = Some(KeyFlag {
            short: Some(short),
            long,
        });
        self
    }

    pub(super) const fn long(mut self, long: &'static str) -> Self {
        self.flag = Some(KeyFlag { short: None, long });
        self
    }

    pub(super) const fn ours(mut self) -> Self {
        self.ours = true;
        self
    }

    pub(super) const fn topic(mut self, topic: Topic) -> Self {
        self.topic = Some(topic);
        self
    }

    pub(super) const fn example(mut self, value: &'static str) -> Self {
        self.example = Some(value);
        self
    }

    pub(super) const fn twice(mut self) -> Self {
        self.is_expanded_twice = true;
        self
    }

    pub(super) const fn secret(mut self) -> Self {
        self.is_secret = true;
        self
    }

    pub(super) const fn privileged(mut self) -> Self {
        self.is_privileged = true;
        self
    }

    pub(super) const fn live(mut self) -> Self {
        self.is_live = true;
        self
    }

    pub(super) const fn program(mut self, setter: Setter<ProgramValues>) -> Self {
        self.field = Field::Program(setter);
        self
    }

    pub(super) const fn daemon(mut self, setter: Setter<DaemonValues>) -> Self {
        self.field = Field::Daemon(setter);
        self
    }

    pub(super) const fn client(mut self, setter: Setter<ClientValues>) -> Self {
        self.field = Field::Client(setter);
        self
    }

    pub(super) const fn server(mut self, setter: Setter<ServerValues>) -> Self {
        self.field = Field::Server(setter);
        self
    }

    pub(super) const fn group(mut self, setter: Setter<GroupValues>) -> Self {
        self.field = Field::Group(setter);
        self
    }

    pub(super) const fn listener(mut self, setter: Setter<ListenerValues>) -> Self {
        self.field = Field::Listener(setter);
        self
    }

    pub(super) const fn fcgi(mut self, setter: Setter<FcgiValues>) -> Self {
        self.field = Field::Fcgi(setter);
        self
    }

    pub(super) const fn notification(mut self, setter: Setter<NotificationValues>) -> Self {
        self.field = Field::Notification(setter);
        self
    }

    pub(super) const fn nacos(mut self, setter: Setter<NacosValues>) -> Self {
        self.field = Field::Nacos(setter);
        self
    }

    pub(super) const fn source(mut self, setter: Setter<SourceValues>) -> Self {
        self.field = Field::Source(setter);
        self
    }

    pub(super) const fn ignored(mut self) -> Self {
        self.field = Field::Ignored;
        self
    }
}
