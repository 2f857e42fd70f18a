//! The kinds of sections, and the rows that each has.

use super::daemon::{self, DAEMON};
use super::nacos::NACOS;
use super::notify::NOTIFY;
use super::program::{self, PROGRAM};
use super::row::ConfigKey;
use super::small::{
    CLIENT, CLIENT_ORDER, CTL_PLUGIN, FCGI, FCGI_ORDER, GROUP, INCLUDE, INET_SERVER, LISTENER,
    LISTENER_ORDER, RPC_INTERFACE, SERVER_ORDER, UNIX_SERVER,
};
use super::source::SOURCE;

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
    /// `[program-default]`. It has the keys of programs, as defaults for all of them.
    ProgramDefault,
    /// `[group:x]`.
    Group,
    /// `[eventlistener:x]`. It also has the keys of programs.
    Listener,
    /// `[fcgi-program:x]`. It also has the keys of programs.
    Fcgi,
    /// `[include]`.
    Include,
    /// `[notify:x]`.
    Notify,
    /// `[nacos]`.
    Nacos,
    /// `[source]`.
    Source,
    /// `[rpcinterface:x]`. Accepts any key; the factory gets them.
    RpcInterface,
    /// `[ctlplugin:x]`. Accepts any key; the factory gets them.
    CtlPlugin,
}

/// How a section of each kind is written: its whole name, or the beginning of its name.
pub(super) const SECTIONS: &[(SectionKind, &str, bool)] = &[
    (SectionKind::Daemon, "supervisord", true),
    (SectionKind::Client, "supervisorctl", true),
    (SectionKind::Include, "include", true),
    (SectionKind::UnixServer, "unix_http_server", false),
    (SectionKind::InetServer, "inet_http_server", false),
    (SectionKind::Program, "program:", false),
    (SectionKind::ProgramDefault, "program-default", true),
    (SectionKind::Group, "group:", false),
    (SectionKind::Listener, "eventlistener:", false),
    (SectionKind::Fcgi, "fcgi-program:", false),
    (SectionKind::Notify, "notify:", false),
    (SectionKind::Nacos, "nacos", true),
    (SectionKind::Source, "source", true),
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
            Self::ProgramDefault => &[],
            Self::Group => GROUP,
            Self::Listener => LISTENER,
            Self::Fcgi => FCGI,
            Self::Include => INCLUDE,
            Self::Notify => NOTIFY,
            Self::Nacos => NACOS,
            Self::Source => SOURCE,
            Self::RpcInterface => RPC_INTERFACE,
            Self::CtlPlugin => CTL_PLUGIN,
        }
    }

    /// All rows that apply to a section of this kind, its own first.
    pub fn keys(self) -> impl Iterator<Item = &'static ConfigKey> {
        let more = match self {
            Self::Listener | Self::Fcgi | Self::ProgramDefault => PROGRAM,
            _ => &[],
        };
        self.rows().iter().chain(
            more.iter()
                .filter(move |key| !self.rows().iter().any(|own| own.name == key.name)),
        )
    }

    /// The keys that are read before all others, in the order in which they are read.
    pub(super) const fn order(self) -> &'static [&'static str] {
        match self {
            Self::Daemon => daemon::ORDER,
            Self::Program | Self::ProgramDefault => program::ORDER,
            Self::Client => CLIENT_ORDER,
            Self::UnixServer | Self::InetServer => SERVER_ORDER,
            Self::Listener => LISTENER_ORDER,
            Self::Fcgi => FCGI_ORDER,
            // The rows of these have the order already.
            Self::Group
            | Self::Include
            | Self::Notify
            | Self::Nacos
            | Self::Source
            | Self::RpcInterface
            | Self::CtlPlugin => &[],
        }
    }

    /// Whether sections of this kind accept any key.
    #[must_use]
    pub const fn is_open(self) -> bool {
        matches!(self, Self::RpcInterface | Self::CtlPlugin)
    }
}
