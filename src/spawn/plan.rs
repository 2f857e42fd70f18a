//! The plan of a spawn, as plain data: made before the clone, only read after it.

use std::borrow::Cow;
use std::ffi::{CString, OsStr, OsString};
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;

use super::bounds::{bounds, ids};
use super::channel::{ChannelEnds, NotifyChannel, make_channel};
use super::command::{self, ResolvedCommand};
use super::env_files::{Variables, configured_variables};
use super::owner::JobOwner;
use crate::config::nacos::NACOS_VARIABLE;
use crate::config::spec::ProcessSpec;
use crate::domain::{Line, QualifiedName, SpawnError, to_bytes};
use crate::sys::{
    CStrings, ChildIds, Limit, NulByte, RawPlan, Resource, effective_uid, has_controlling_terminal,
};

/// What all processes inherit from the daemon.
#[derive(Clone)]
pub struct SpawnBase {
    /// The daemon's environment in its order, without [`DAEMONS_OWN`].
    environ: Vec<(OsString, OsString)>,
    server_url: Option<String>,
    limits: Vec<(Resource, Limit)>,
    /// Whether the daemon has a controlling terminal.
    has_terminal: bool,
}

/// Variables that the service manager set for the daemon itself. A program that inherited them would report readiness
/// in the daemon's name, miss the daemon's watchdog, take the daemon's listeners for its own, or write into the
/// daemon's directories.
///
/// # Source
/// systemd.exec(5), "Environment Variables Set or Propagated by the Service Manager"; systemd.service(5).
// Differs: Supervisor passes them on. Exact names, not prefixes: `LISTEN_ADDRESS` may be a program's own variable.
const DAEMONS_OWN: &[&str] = &[
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "LISTEN_FDS",
    "LISTEN_FDNAMES",
    "JOURNAL_STREAM",
    "INVOCATION_ID",
    "DEBUG_INVOCATION",
    "LOG_NAMESPACE",
    "CREDENTIALS_DIRECTORY",
    "ENCRYPTED_CREDENTIALS_DIRECTORY",
    "RUNTIME_DIRECTORY",
    "STATE_DIRECTORY",
    "CACHE_DIRECTORY",
    "LOGS_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "MAINPID",
    "MAINPIDFDID",
    "MANAGERPID",
    "MANAGERPIDFDID",
    "FDSTORE",
    "SYSTEMD_EXEC_PID",
    "MONITOR_SERVICE_RESULT",
    "MONITOR_EXIT_CODE",
    "MONITOR_EXIT_STATUS",
    "MONITOR_INVOCATION_ID",
    "MONITOR_UNIT",
    "TRIGGER_UNIT",
    "TRIGGER_PATH",
    "TRIGGER_TIMER_REALTIME_USEC",
    "TRIGGER_TIMER_MONOTONIC_USEC",
    "SUPERVISORD_HANDOVER",
];

impl SpawnBase {
    /// Takes the daemon's environment, the URL of its first server, and the limits that programs get instead of the
    /// daemon's own (those found at start, if the daemon has raised its own).
    #[must_use]
    pub fn new(
        environ: impl IntoIterator<Item = (OsString, OsString)>,
        server_url: Option<String>,
        limits: Vec<(Resource, Limit)>,
    ) -> Self {
        let own = |name: &OsString| {
            DAEMONS_OWN.iter().any(|own| name == own)
                || name
                    .as_encoded_bytes()
                    .starts_with(NACOS_VARIABLE.as_bytes())
        };
        Self {
            environ: environ.into_iter().filter(|(name, _)| !own(name)).collect(),
            server_url,
            limits,
            has_terminal: has_controlling_terminal(),
        }
    }

    /// The daemon's PATH, unless it is empty.
    pub(super) fn path(&self) -> Option<OsString> {
        let found = self.environ.iter().find(|(name, _)| name == "PATH");
        found
            .map(|(_, value)| value.clone())
            .filter(|value| !value.is_empty())
    }

    /// The limits that differ from the daemon's own and that the program does not set itself.
    fn limits_but(&self, spec: &ProcessSpec) -> Vec<(Resource, Limit)> {
        let own = &spec.confinement.limits;
        let is_own = |resource| own.iter().any(|&(of, _)| of == resource);
        let limits = self.limits.iter().copied();
        limits.filter(|&(of, _)| !is_own(of)).collect()
    }

    /// The environment of a process. A later variable replaces an earlier one of the same name.
    fn environment<'a>(
        &'a self,
        spec: &'a ProcessSpec,
        variables: &'a Variables<'_>,
        given: &'a ChannelEnds,
    ) -> Vec<(&'a OsStr, Cow<'a, [u8]>)> {
        let mut merged: Vec<(&OsStr, Cow<'_, [u8]>)> = self
            .environ
            .iter()
            .map(|(name, value)| (name.as_os_str(), Cow::Borrowed(value.as_bytes())))
            .collect();
        let mut set = |name: &'a str, value: &'a str| {
            let (name, value) = (OsStr::new(name), to_bytes(value));
            match merged.iter_mut().find(|(known, _)| *known == name) {
                Some(place) => place.1 = value,
                None => merged.push((name, value)),
            }
        };
        set("SUPERVISOR_ENABLED", "1");
        let url = spec.server_url.as_ref().or(self.server_url.as_ref());
        if let Some(url) = url.filter(|url| !url.is_empty()) {
            set("SUPERVISOR_SERVER_URL", url);
        }
        set("SUPERVISOR_PROCESS_NAME", spec.name.as_str());
        set("SUPERVISOR_GROUP_NAME", spec.group.as_str());
        for (name, value) in variables.iter() {
            set(name, value);
        }
        // Set last: `notify` demands this socket, so a configured variable of that name must not replace it.
        for (name, value) in &given.variables {
            set(name, value);
        }
        merged
    }
}

impl std::fmt::Debug for SpawnBase {
    /// Omits the environment, which may hold secrets.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Base")
            .field("server_url", &self.server_url)
            .field("limits", &self.limits)
            .finish_non_exhaustive()
    }
}

/// Everything that a spawn needs.
#[derive(Debug)]
pub struct SpawnPlan {
    /// The process's name, for messages.
    pub(super) name: String,
    /// The owner of the job.
    pub(super) owner: JobOwner,
    /// The process whose cgroup it is spawned in.
    pub(super) process: QualifiedName,
    pub(super) raw: RawPlan,
    /// The writing end of `ready_fd`, and its number in the process.
    pub(super) ready: Option<(OwnedFd, u16)>,
    channel: Option<NotifyChannel>,
}

impl SpawnPlan {
    /// Takes the daemon's ends of the notify channel. `None` at further calls.
    #[must_use]
    pub fn take_channel(&mut self) -> Option<NotifyChannel> {
        self.channel.take()
    }

    /// Reads the env files, finds the command, looks up the user and its groups, and lays out arguments and environment.
    /// May block on the file system and on name services. `log` gets warnings.
    ///
    /// # Errors
    /// An env file is bad; the command cannot be parsed, found or executed; or there are no descriptors for the notify channel. A user that
    /// the process cannot change to is no error here: as in Supervisor, the process itself reports it and exits with
    /// status 127.
    pub fn new(
        base: &SpawnBase,
        spec: &ProcessSpec,
        log: &mut dyn FnMut(Line),
    ) -> Result<Self, SpawnError> {
        let variables = configured_variables(spec, log)?;
        let ResolvedCommand { path, words } = command::resolve_command(base, spec, &variables)?;
        let bad = |NulByte: NulByte| SpawnError::CannotParse {
            command: spec.command.to_string(),
            reason: NulByte.to_string(),
        };
        let bytes = words.iter().map(String::len).sum();
        let mut argv = CStrings::with_capacity(words.len(), bytes);
        for word in &words {
            argv.push(&[&to_bytes(word)]).map_err(bad)?;
        }
        let (channel, given) = make_channel(spec)?;
        let environment = base.environment(spec, &variables, &given);
        let bytes = |(name, value): &(&OsStr, Cow<'_, [u8]>)| name.len() + 1 + value.len();
        let bytes = environment.iter().map(bytes).sum();
        let mut envp = CStrings::with_capacity(environment.len(), bytes);
        for (name, value) in environment {
            envp.push(&[name.as_bytes(), b"=", &value]).map_err(bad)?;
        }
        let c_string = |path: &OsStr| CString::new(path.as_bytes()).map_err(|_| bad(NulByte));
        let directory = spec.directory.as_deref().map(|path| {
            let path = path.to_str().map(to_bytes);
            c_string(OsStr::from_bytes(&path.unwrap_or_default()))
        });
        let ids = ids(spec);
        let is_another_users =
            matches!(ids, ChildIds::Become { uid, .. } if uid != effective_uid());
        Ok(Self {
            name: spec.name.as_str().to_owned(),
            owner: JobOwner::of(spec),
            process: QualifiedName {
                group: spec.group.clone(),
                process: spec.name.clone(),
            },
            raw: RawPlan {
                path: c_string(path.as_os_str())?,
                argv,
                envp,
                directory: directory.transpose()?,
                umask: spec.umask,
                limits: base.limits_but(spec),
                ids,
                bounds: bounds(spec),
                // A process in the session of root's shell could inject input there (TIOCSTI).
                has_session: is_another_users || base.has_terminal,
                has_keyring: is_another_users,
            },
            ready: given.ready,
            channel,
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::testing::spec;
    use super::*;
    use crate::config::spec::{Confinement, NotifySpec};

    fn environ(list: &[(&str, &str)]) -> Vec<(OsString, OsString)> {
        list.iter()
            .map(|&(name, value)| (name.into(), value.into()))
            .collect()
    }

    fn plan(base: &SpawnBase, spec: &ProcessSpec) -> Result<SpawnPlan, SpawnError> {
        SpawnPlan::new(base, spec, &mut |_| {})
    }

    fn envp(base: &SpawnBase, spec: &ProcessSpec) -> Vec<String> {
        let plan = plan(base, spec).expect("planned");
        plan.raw
            .envp
            .iter()
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect()
    }

    #[test]
    fn prc_18_19_the_environment_merges_daemon_supervisor_and_program_variables() {
        let base = SpawnBase::new(
            environ(&[
                ("HOME", "/root"),
                ("SUPERVISOR_ENABLED", "0"),
                ("A", "1"),
                ("B", "2"),
            ]),
            Some("unix:///s".to_owned()),
            Vec::new(),
        );
        let mut spec = spec(
            "/bin/sh",
            &[
                ("A", "3"),
                ("SUPERVISOR_GROUP_NAME", "mine"),
                ("C", "4"),
                ("C", "5"),
            ],
        );
        let mut expected = vec![
            "HOME=/root",
            "SUPERVISOR_ENABLED=1",
            "A=3",
            "B=2",
            "SUPERVISOR_SERVER_URL=unix:///s",
            "SUPERVISOR_PROCESS_NAME=proc",
            "SUPERVISOR_GROUP_NAME=mine",
            "C=5",
        ];
        assert_eq!(envp(&base, &spec), expected);
        spec.server_url = Some("http://h:1".to_owned());
        expected[4] = "SUPERVISOR_SERVER_URL=http://h:1";
        assert_eq!(envp(&base, &spec), expected);
        spec.server_url = None;
        expected.remove(4);
        let base = SpawnBase {
            server_url: None,
            ..base
        };
        assert_eq!(envp(&base, &spec), expected);
    }

    #[test]
    fn the_daemons_own_variables_stay_with_it_unless_configured() {
        let list: Vec<(&str, &str)> = DAEMONS_OWN.iter().map(|&name| (name, "x")).collect();
        let mut list = environ(&list);
        list.extend(environ(&[("LISTEN_ADDRESS", "y"), ("WATCHDOG", "z")]));
        let base = SpawnBase::new(list, None, Vec::new());
        assert_eq!(
            envp(&base, &spec("/bin/sh", &[("NOTIFY_SOCKET", "/mine")])),
            [
                "LISTEN_ADDRESS=y",
                "WATCHDOG=z",
                "SUPERVISOR_ENABLED=1",
                "SUPERVISOR_PROCESS_NAME=proc",
                "SUPERVISOR_GROUP_NAME=team",
                "NOTIFY_SOCKET=/mine",
            ]
        );
    }

    #[test]
    fn an_own_notify_socket_replaces_configured_variables() {
        let base = SpawnBase::new(environ(&[("NOTIFY_SOCKET", "/daemons")]), None, Vec::new());
        let mut spec = spec(
            "/bin/sh",
            &[("NOTIFY_SOCKET", "/mine"), ("WATCHDOG_USEC", "1")],
        );
        spec.notify = NotifySpec {
            socket: true,
            ..NotifySpec::default()
        };
        let mut plan = plan(&base, &spec).expect("planned");
        let channel = plan.take_channel().expect("made");
        assert!(plan.take_channel().is_none());
        let address = channel.socket.expect("made").address();
        let envp: Vec<String> = plan
            .raw
            .envp
            .iter()
            .map(|text| String::from_utf8_lossy(text).into_owned())
            .collect();
        let ours = format!("NOTIFY_SOCKET={address}");
        // Without `watchdogsecs`, WATCHDOG_USEC is an ordinary variable.
        assert_eq!(envp[3..], [ours, "WATCHDOG_USEC=1".to_owned()]);
    }

    #[test]
    fn a_programs_limit_replaces_the_daemons() {
        let limit = |number| Limit {
            soft: number,
            hard: number,
        };
        let base = SpawnBase::new(
            [],
            None,
            vec![(Resource::Files, limit(1)), (Resource::Processes, limit(2))],
        );
        let mut spec = spec("/bin/sh", &[]);
        assert_eq!(base.limits_but(&spec), base.limits);
        spec.confinement = Arc::new(Confinement {
            limits: vec![(Resource::Files, limit(3))],
            ..Confinement::default()
        });
        assert_eq!(base.limits_but(&spec), [(Resource::Processes, limit(2))]);
    }

    #[test]
    fn nul_bytes_are_refused_and_secrets_not_shown() {
        let base = SpawnBase::new(environ(&[("PASSWORD", "hidden")]), None, Vec::new());
        assert!(plan(&base, &spec("/bin/sh", &[("A", "b\0c")])).is_err());
        let plan = plan(&base, &spec("/bin/sh", &[("A", "secret")])).expect("planned");
        let shown = format!("{plan:?} {base:?}");
        assert!(
            !shown.contains("secret") && !shown.contains("hidden"),
            "{shown}"
        );
    }
}
