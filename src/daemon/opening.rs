//! A round before there are threads: the steps of a beginning, in their order, or of going on where a predecessor has ended.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::adoption::{self, Adoption};
use super::fatal::{Fatal, broken};
use super::machine::Machine;
use super::pidfile::{self, Pidfile, PidfileError};
use super::recovery::{self, Left, Predecessor, Remnants};
use super::succession::Handover;
use crate::cgroup::Lodging;
use crate::config::lookup::Lookup as _;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, DaemonSpec};
use crate::core::{Fleet, Identity, Successor};
use crate::domain::{Bytes, Heirloom, Line, Signal};
use crate::engine::{self, Inherited, Notifier, PassedSocket};
use crate::front::{self, BoundServer};
use crate::keeper::{Keeper, Vault};
use crate::output::{Activity, AutoLogs, Unsettled};
use crate::spawn::{self, SharedSocket};
use crate::sys::{self, Descriptors, Limit, Resource, SharedBuffer, SignalReader, Staging};

/// The signals that mean something to the daemon. USR1 is left alone: it ends the daemon, as it ends Supervisor.
const SIGNALS: [i32; 6] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR2,
    libc::SIGCHLD,
];

/// What lasts from round to round.
pub(super) struct Lasting {
    pub(super) signals: SignalReader,
    /// Limits for programs: as found at start, after `minfds` and `minprocs`, before the daemon raised its own.
    pub(super) limits: Vec<(Resource, Limit)>,
    pub(super) daemonized: bool,
    /// The number of the next event, which goes on counting.
    pub(super) event_serial: u64,
    /// Where a successor finds what it needs if this daemon is killed.
    pub(super) vault: Option<Arc<Vault>>,
    /// Where the cgroups of programs are.
    pub(super) lodging: Lodging,
    /// Tells the service manager; none before the daemon is in the background.
    pub(super) notifier: Option<Notifier>,
}

/// What all rounds have.
pub(super) struct Ground {
    pub(super) options: Arc<DaemonOptions>,
    pub(super) machine: Arc<Machine>,
    /// Listening sockets that the service manager opened.
    pub(super) passed: Vec<PassedSocket>,
}

/// What the first spawner of a round, and the one after it, make processes through.
pub(super) type Reserved = [Staging; 2];

/// Reserves the descriptors of the spawners, before anything else is open.
pub(super) fn reserve() -> Result<Reserved, Fatal> {
    sys::ensure_stdio()
        .and_then(|()| Ok([Staging::reserve()?, Staging::reserve()?]))
        .map_err(broken("cannot reserve descriptors"))
}

/// A round before there are threads.
pub(super) struct Opened {
    pub(super) servers: Vec<BoundServer>,
    pub(super) activity: Activity,
    pub(super) pidfile: Option<Pidfile>,
    pub(super) auto_logs: AutoLogs,
    pub(super) lasting: Lasting,
    pub(super) fleet: Fleet,
    pub(super) inherited: Option<Inherited>,
    pub(super) sockets: Vec<(SharedSocket, OwnedFd)>,
    /// Kept by the vault, if there is one.
    pub(super) ledger: Option<(usize, SharedBuffer)>,
}

/// What has to be right about this process before anything else.
pub(super) fn settle_in() -> Result<(), Fatal> {
    sys::keep_little();
    sys::ensure_stdio().map_err(broken("cannot open the null device"))?;
    let ignored: Vec<Signal> = [libc::SIGPIPE, libc::SIGXFSZ]
        .into_iter()
        .filter_map(signal)
        .collect();
    sys::ignore_signals(&ignored).map_err(broken("cannot ignore signals"))
}

/// The steps of a beginning, in their order.
pub(super) fn open_anew(
    config: &Arc<Config>,
    ground: &Ground,
    lasting: Option<Lasting>,
    predecessor: Option<Predecessor>,
) -> Result<Opened, Fatal> {
    let spec = &config.daemon;
    let mut notes = become_user(spec)?;
    notes.extend(config.notes.iter().cloned());

    let is_first = lasting.is_none();
    let mut lasting = match lasting {
        Some(lasting) => lasting,
        None => {
            let files = predecessor.as_ref().and_then(|before| before.files);
            let limits = raise_limits(spec, files, &mut notes)?;
            Lasting {
                signals: own_signals()?,
                limits,
                daemonized: false,
                event_serial: 0,
                vault: None,
                lodging: Lodging::default(),
                notifier: None,
            }
        }
    };
    let mut recovery = None;
    let mut remnants = Remnants::default();
    if let Some(Predecessor { vault, left, .. }) = predecessor {
        lasting.vault = Some(vault);
        match left {
            Left::Legacy(left) => recovery = Some(left),
            Left::Remnants(left) => remnants = left,
        }
    }
    let why = remnants.why.take();
    notes.extend(why.map(|error| Line::CannotRecover { error }));
    // Whatever a daemon before this one has left, it is there before the first round.
    let adoption = (is_first && recovery.is_none()).then(|| adoption::look(config, remnants));
    let own = recovery
        .as_mut()
        .map(|recovery| std::mem::take(&mut recovery.handover.own))
        .unwrap_or_default();

    // The sockets come first: a second instance that finds them busy must not have touched anything of the first.
    // Differs: Supervisor removes AUTO logs before it looks.
    let servers = BoundServer::bind_all(&config.servers, &ground.passed, &own)
        .map_err(|error| Fatal::Usage(error.to_string()))?;
    notes.extend(front::unused_sockets(&ground.passed, &servers));
    let config_path = config_path(ground);
    // A daemon whose sockets have lost their names, or that has none.
    if let Some(pid) = pidfile::holder(&spec.pidfile, &config_path) {
        return Err(already_running(spec, pid));
    }

    let mut activity = open_log(spec).map_err(|error| {
        Fatal::Broken(format!(
            "cannot open the log {}: {error}",
            spec.logfile.display()
        ))
    })?;
    // Supervisor's order: what is critical, then warnings, then the rest; each in the order it came up.
    notes.sort_by_key(|line| std::cmp::Reverse(line.level()));
    for line in notes {
        activity.write(sys::now().wall, &line);
    }
    drop(own);
    // Programs that run write to these.
    let auto_logs = AutoLogs::claim(&spec.childlogdir, &spec.identifier);
    if !spec.nocleanup && recovery.is_none() {
        for line in auto_logs.clean_up() {
            activity.write(sys::now().wall, &line);
        }
    }
    // They are in use.
    let groups = match (&recovery, &adoption) {
        (Some(_), _) => Vec::new(),
        (None, Some(adoption)) => adoption.idle_groups(),
        (None, None) => config.groups.clone(),
    };
    let tried = spawn::try_sockets(&groups, |line| activity.write(sys::now().wall, &line));
    if let Err(error) = tried {
        let error = error.to_string();
        if is_first {
            return Err(Fatal::Broken(error));
        }
        // Differs: the original ends here too. All else is to go on after a reload; its processes will say the same.
        activity.write(sys::now().wall, &Line::SocketRefused { error });
    }
    for server in &config.servers {
        for name in &config.rpc_interfaces {
            activity.write(sys::now().wall, &Line::RpcInterface { name: name.clone() });
        }
        if server.credentials.is_none() {
            activity.write(
                sys::now().wall,
                &Line::NoAuthentication {
                    section: server.section.clone(),
                },
            );
        }
    }
    if !spec.nodaemon && !lasting.daemonized {
        daemonize(spec, &mut activity)?;
    }
    lasting.daemonized |= !spec.nodaemon;
    let mut write = |line: Line| activity.write(sys::now().wall, &line);
    let is_held = lasting.vault.is_some();
    lasting.lodging.find(config, is_held, &mut write);
    let known = match (&recovery, &adoption) {
        (Some(recovery), _) => recovery.cgroups(),
        (None, Some(adoption)) => adoption.cgroups(),
        (None, None) => BTreeSet::new(),
    };
    if is_first {
        // Of what a daemon before this one left, what nobody knows must not run twice.
        lasting
            .lodging
            .clear(|name| known.contains(name), &mut write);
    }
    find_vault(&mut lasting, &mut activity);
    let pidfile = match write_pidfile(spec, &config_path, &mut activity, true) {
        Err(pid) => return Err(already_running(spec, pid)),
        Ok(pidfile) => pidfile,
    };
    let kept = recovery
        .as_ref()
        .map(|recovery| &recovery.handover.descriptors)
        .or(adoption.as_ref().map(Adoption::descriptors));
    let ledger = new_ledger(lasting.vault.as_deref(), kept, &mut activity);
    if let Some(recovery) = recovery {
        let how = recovery.how.to_owned();
        let count = recovery.handover.legacy.count();
        activity.write(sys::now().wall, &Line::Recovered { count, how });
        let unsettled = recovery.unsettled;
        let (mut fleet, mut inherited, sockets) = taken_over(recovery.handover, Successor::Daemon);
        // Where the last daemon ended on purpose, it has handed over some of them itself.
        let is_new = |bytes: &Unsettled| !inherited.unsettled.contains(bytes);
        let unsettled: Vec<_> = unsettled.into_iter().filter(is_new).collect();
        inherited.unsettled.extend(unsettled);
        fleet.identify(own_pid(), daemon_log(spec));
        return Ok(Opened {
            servers,
            activity,
            pidfile,
            auto_logs,
            lasting,
            fleet,
            inherited: Some(inherited),
            sockets,
            ledger,
        });
    }
    let identity = Identity {
        pid: own_pid(),
        daemon_log: daemon_log(spec),
        seed: sys::random_seed().map_err(broken("cannot get random bytes"))?,
        event_serial: lasting.event_serial,
    };
    let (fleet, inherited, sockets) = match adoption {
        Some(adoption) => {
            let (fleet, inherited, sockets) = adoption.begin(identity);
            (fleet, Some(inherited), sockets)
        }
        None => (Fleet::new(identity, config.clone()), None, Vec::new()),
    };
    Ok(Opened {
        servers,
        activity,
        pidfile,
        auto_logs,
        lasting,
        fleet,
        inherited,
        sockets,
        ledger,
    })
}

/// The steps of going on. Programs run, so nothing here ends the daemon that it can do without.
pub(super) fn open_again(
    mut handover: Handover,
    is_new: bool,
    ground: &Ground,
    lasting: Option<Lasting>,
) -> Result<Opened, Fatal> {
    let spec = &handover.config.daemon;
    let keeper = handover.descriptors.remove(&Heirloom::Keeper.name());
    let vault = keeper
        .and_then(|fd| Keeper::from_fd(fd).ok())
        .map(|(keeper, _)| Arc::new(Vault::resumed(keeper)));
    let mut lasting = match lasting {
        Some(lasting) => lasting,
        None => Lasting {
            signals: own_signals()?,
            limits: std::mem::take(&mut handover.limits),
            // It is where the first image has brought it.
            daemonized: true,
            event_serial: 0,
            vault,
            lodging: Lodging::default(),
            notifier: None,
        },
    };
    let mut activity = match open_log(spec) {
        Ok(activity) => activity,
        Err(_) => Activity::open(Path::new("/dev/null"), Bytes(0), 0, spec.loglevel, false)
            .map_err(broken("cannot open the null device"))?,
    };
    if let Some(reason) = handover.failed.take() {
        activity.write(sys::now().wall, &Line::UpgradeRefused { reason });
    }
    let mut servers = Vec::new();
    for server in &handover.config.servers {
        // A socket of ours first: the service manager's may have come to the same address since.
        match BoundServer::bind(server, &ground.passed, &handover.own) {
            Ok(server) => servers.push(server),
            Err(error) => {
                let error = error.to_string();
                activity.write(sys::now().wall, &Line::SocketRefused { error });
            }
        }
    }
    handover.own.clear();
    let is_held = lasting.vault.is_some();
    lasting
        .lodging
        .find(&handover.config, is_held, &mut |line| {
            activity.write(sys::now().wall, &line)
        });
    find_vault(&mut lasting, &mut activity);
    // Programs run, so another daemon that came in between changes nothing.
    let pidfile = write_pidfile(spec, &config_path(ground), &mut activity, false).unwrap_or(None);
    let auto_logs = AutoLogs::claim(&spec.childlogdir, &spec.identifier);
    let ledger = new_ledger(lasting.vault.as_deref(), None, &mut activity);
    let successor = if is_new {
        Successor::Image
    } else {
        Successor::Nobody
    };
    let (fleet, inherited, sockets) = taken_over(handover, successor);
    Ok(Opened {
        servers,
        activity,
        pidfile,
        auto_logs,
        lasting,
        fleet,
        inherited: Some(inherited),
        sockets,
        ledger,
    })
}

/// Takes a handover apart, for whoever goes on with which part.
fn taken_over(
    mut handover: Handover,
    successor: Successor,
) -> (Fleet, Inherited, Vec<(SharedSocket, OwnedFd)>) {
    let mut sockets = Vec::new();
    for shared in std::mem::take(&mut handover.legacy.sockets) {
        let name = Heirloom::FcgiSocket(shared.place).name();
        if let Some(socket) = handover.descriptors.remove(&name) {
            sockets.push((shared, socket));
        }
    }
    let (fleet, inherited) = Inherited::new(handover.legacy, handover.descriptors, successor);
    (fleet, inherited, sockets)
}

/// Takes the keeper that holds the place of the programs, if it is a new one, and has the service manager keep the way to
/// it.
fn find_vault(lasting: &mut Lasting, activity: &mut Activity) {
    if lasting.vault.is_none()
        && let Some(vault) = lasting.lodging.take_vault()
    {
        if let Err(error) = engine::have_kept(vault.client().as_fd()) {
            let error = (&error).into();
            activity.write(sys::now().wall, &Line::KeeperFailed { error });
        }
        lasting.vault = Some(vault);
    }
}

/// Memory for the output thread that a successor finds too; none: nobody keeps it.
fn new_ledger(
    vault: Option<&Vault>,
    kept: Option<&Descriptors>,
    activity: &mut Activity,
) -> Option<(usize, SharedBuffer)> {
    match recovery::new_ledger(vault?, kept) {
        Ok(ledger) => Some(ledger),
        Err(error) => {
            let error = (&error).into();
            activity.write(sys::now().wall, &Line::KeeperFailed { error });
            None
        }
    }
}

/// The daemon's log, if clients can be shown it.
fn daemon_log(spec: &DaemonSpec) -> Option<Arc<Path>> {
    spec.logfile
        .is_absolute()
        .then(|| Arc::from(spec.logfile.as_path()))
}

fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// The configuration's file, by the one name that it has for everybody.
fn config_path(ground: &Ground) -> PathBuf {
    let path = ground.options.config_path.as_deref().unwrap_or_default();
    let path = Path::new(&ground.machine.cwd()).join(path);
    path.canonicalize().unwrap_or(path)
}

fn already_running(spec: &DaemonSpec, pid: i32) -> Fatal {
    Fatal::Usage(format!(
        "another supervisord (PID {pid}) runs with this configuration and holds the pidfile {} (shut it down first)",
        spec.pidfile.display()
    ))
}

/// Writes the pidfile, and that the daemon has started if it has. An error is the PID of the daemon that has it.
fn write_pidfile(
    spec: &DaemonSpec,
    config: &Path,
    activity: &mut Activity,
    has_started: bool,
) -> Result<Option<Pidfile>, i32> {
    let written = Pidfile::write(&spec.pidfile, own_pid(), config);
    Ok(match written {
        Ok(pidfile) => {
            if has_started {
                activity.write(sys::now().wall, &Line::Started { pid: own_pid() });
            }
            Some(pidfile)
        }
        Err(PidfileError::Held(pid)) => return Err(pid),
        // As in the original, the CRIT line stands in place of the one that tells the pid.
        Err(PidfileError::Refused(why)) => {
            let path = spec.pidfile.display().to_string();
            let now = sys::now().wall;
            activity.write(now, &Line::CannotWritePidfile { path: path.clone() });
            activity.write(now, &Line::PidfileRefused { path, why });
            None
        }
    })
}

/// Drops to the configured user, and says so.
fn become_user(spec: &DaemonSpec) -> Result<Vec<Line>, Fatal> {
    match &spec.user {
        None if sys::effective_uid() == 0 => Ok(vec![Line::RunningAsRoot {}]),
        None => Ok(Vec::new()),
        Some(user) => {
            sys::become_user(user.uid, user.gid)
                .map_err(|error| Fatal::Usage(error.to_string()))?;
            Ok(vec![Line::SetUid { uid: user.uid }])
        }
    }
}

/// Opens the activity log; in the foreground standard output has a copy, unless it is to be silent.
fn open_log(spec: &DaemonSpec) -> std::io::Result<Activity> {
    let copy = spec.nodaemon && !spec.silent;
    Activity::open(
        &spec.logfile,
        spec.logfile_maxbytes,
        spec.logfile_backups,
        spec.loglevel,
        copy,
    )
}

/// Goes to the background. There is no other thread yet.
fn daemonize(spec: &DaemonSpec, activity: &mut Activity) -> Result<(), Fatal> {
    sys::into_background().map_err(broken("cannot fork"))?;
    activity.write(sys::now().wall, &Line::Daemonizing {});
    if let Some(directory) = &spec.directory {
        let shown = directory.display().to_string();
        let line = match std::env::set_current_dir(directory) {
            Ok(()) => Line::ChangedDirectory { directory: shown },
            Err(error) => {
                let error = format!(
                    "{}: {}",
                    crate::domain::Errno::from(&error),
                    crate::domain::python_repr(&shown)
                );
                Line::CannotChdir {
                    directory: shown,
                    error,
                }
            }
        };
        activity.write(sys::now().wall, &line);
    }
    sys::detach_stdio().map_err(broken("cannot open the null device"))?;
    sys::new_session().map_err(broken("cannot create a session"))?;
    sys::set_umask(spec.umask);
    Ok(())
}

/// Raises what `minfds` and `minprocs` ask for, and then our own limit of open files as far as it goes, for we hold
/// several per program. Answers what programs are to have instead of that. `found` is the limit that we were started with, if
/// it was raised since.
fn raise_limits(
    spec: &DaemonSpec,
    found: Option<Limit>,
    notes: &mut Vec<Line>,
) -> Result<Vec<(Resource, Limit)>, Fatal> {
    if let Some(found) = found {
        // It was in force a moment ago. Nothing is opened until it is raised again.
        let _ = sys::set_limit(Resource::Files, found);
    }
    for (resource, minimum) in [
        (Resource::Files, spec.minfds),
        (Resource::Processes, spec.minprocs),
    ] {
        let raised = sys::reach_minimum(resource, minimum)
            .map_err(|error| Fatal::Usage(error.to_string()))?;
        if let Some(limit) = raised {
            notes.push(Line::IncreasedLimit {
                name: resource.name().to_owned(),
                limit,
            });
        }
    }
    let found = sys::raise_own_files().map_err(broken("cannot raise the limit of open files"))?;
    Ok(vec![(Resource::Files, found)])
}

/// Takes the daemon's signals. Blocked before there is any other thread, so that no thread ever takes one.
fn own_signals() -> Result<SignalReader, Fatal> {
    let numbers = SIGNALS.into_iter().chain([sys::letting_go()]);
    let signals: Vec<Signal> = numbers.filter_map(signal).collect();
    SignalReader::new(&signals).map_err(broken("cannot set up signal handling"))
}

fn signal(number: i32) -> Option<Signal> {
    Signal::from_number(i64::from(number))
}
