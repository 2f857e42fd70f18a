//! A run before there are threads: the steps of a beginning, in their order, or of going on where a predecessor has ended.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fatal::{Fatal, internal};
use super::machine::Machine;
use super::orphan_adoption::{self, OrphanAdoption};
use super::pidfile::{self, Pidfile, PidfileError};
use super::recovery::{self, PartialRecovery, RecoveredState, RecoverySource};
use super::written_handoff::Handoff;
use crate::cgroup::CgroupManager;
use crate::config::lookup::Lookup as _;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, DaemonSpec};
use crate::core::{Fleet, Identity, ResumeKind};
use crate::domain::{Bytes, FdName, Line, Signal};
use crate::engine::{self, Notifier, PassedSocket, RestoredEngine};
use crate::fd_holder::{FdHolder, FdStore};
use crate::output::{Activity, AutoLogs, UnflushedChunk};
use crate::server::{self, BoundServer};
use crate::spawn::{self, SharedSocket};
use crate::sys::{self, Limit, NamedFds, Resource, SharedBuffer, SignalReader, StagingFds};

/// The signals that mean something to the daemon. USR1 is left alone: it ends the daemon, as it ends Supervisor.
const SIGNALS: [i32; 6] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR2,
    libc::SIGCHLD,
];

/// What lasts from run to run.
pub(super) struct DaemonResources {
    pub(super) signals: SignalReader,
    /// Limits for programs: as found at start, after `minfds` and `minprocs`, before the daemon raised its own.
    pub(super) limits: Vec<(Resource, Limit)>,
    pub(super) daemonized: bool,
    /// The number of the next event, which goes on counting.
    pub(super) event_serial: u64,
    /// Where a successor finds what it needs if this daemon is killed.
    pub(super) fd_store: Option<Arc<FdStore>>,
    /// Where the cgroups of programs are.
    pub(super) cgroup_manager: CgroupManager,
    /// Tells the service manager; none before the daemon is in the background.
    pub(super) notifier: Option<Notifier>,
}

/// What all runs have.
pub(super) struct StartContext {
    pub(super) options: Arc<DaemonOptions>,
    pub(super) machine: Arc<Machine>,
    /// Listening sockets that the service manager opened.
    pub(super) passed: Vec<PassedSocket>,
}

/// What the first spawner of a run, and the one after it, make processes through.
pub(super) type ReservedFds = [StagingFds; 2];

/// Reserves the descriptors of the spawners, before anything else is open.
pub(super) fn reserve() -> Result<ReservedFds, Fatal> {
    sys::ensure_stdio()
        .and_then(|()| Ok([StagingFds::reserve()?, StagingFds::reserve()?]))
        .map_err(internal("cannot reserve descriptors"))
}

/// A run before there are threads.
pub(super) struct Started {
    pub(super) servers: Vec<BoundServer>,
    pub(super) activity: Activity,
    pub(super) pidfile: Option<Pidfile>,
    pub(super) auto_logs: AutoLogs,
    pub(super) resources: DaemonResources,
    pub(super) fleet: Fleet,
    pub(super) inherited: Option<RestoredEngine>,
    pub(super) sockets: Vec<(SharedSocket, OwnedFd)>,
    /// Kept by the FD store, if there is one.
    pub(super) in_flight_log: Option<(usize, SharedBuffer)>,
}

/// What has to be right about this process before anything else.
pub(super) fn init_process() -> Result<(), Fatal> {
    sys::tune_malloc();
    sys::ensure_stdio().map_err(internal("cannot open the null device"))?;
    let ignored: Vec<Signal> = [libc::SIGPIPE, libc::SIGXFSZ]
        .into_iter()
        .filter_map(signal)
        .collect();
    sys::ignore_signals(&ignored).map_err(internal("cannot ignore signals"))
}

/// The steps of a beginning, in their order.
pub(super) fn cold_start(
    config: &Arc<Config>,
    context: &StartContext,
    resources: Option<DaemonResources>,
    predecessor: Option<RecoverySource>,
) -> Result<Started, Fatal> {
    let spec = &config.daemon;
    let mut notes = become_user(spec)?;
    notes.extend(config.notes.iter().cloned());

    let is_first = resources.is_none();
    let mut resources = match resources {
        Some(resources) => resources,
        None => {
            let files = predecessor.as_ref().and_then(|before| before.files);
            let limits = raise_limits(spec, files, &mut notes)?;
            DaemonResources {
                signals: own_signals()?,
                limits,
                daemonized: false,
                event_serial: 0,
                fd_store: None,
                cgroup_manager: CgroupManager::default(),
                notifier: None,
            }
        }
    };
    let mut recovery = None;
    let mut partial = PartialRecovery::default();
    if let Some(RecoverySource { fd_store, left, .. }) = predecessor {
        resources.fd_store = Some(fd_store);
        match left {
            RecoveredState::Whole(left) => recovery = Some(left),
            RecoveredState::Partial(left) => partial = left,
        }
    }
    let why = partial.why.take();
    notes.extend(why.map(|error| Line::CannotRecover { error }));
    // Whatever a daemon before this one has left, it is there before the first run.
    let adoption =
        (is_first && recovery.is_none()).then(|| orphan_adoption::find_orphans(config, partial));
    let own = recovery
        .as_mut()
        .map(|recovery| std::mem::take(&mut recovery.handoff.own))
        .unwrap_or_default();

    // The sockets come first: a second instance that finds them busy must not have touched anything of the first.
    // Differs: Supervisor removes AUTO logs before it looks.
    let servers = BoundServer::bind_all(&config.servers, &context.passed, &own)
        .map_err(|error| Fatal::Usage(error.to_string()))?;
    notes.extend(server::unused_sockets(&context.passed, &servers));
    let config_path = config_path(context);
    // A daemon whose sockets have lost their names, or that has none.
    if let Some(pid) = pidfile::holder(&spec.pidfile, &config_path) {
        return Err(already_running(spec, pid));
    }

    let mut activity = open_log(spec).map_err(|error| {
        Fatal::Internal(format!(
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
            return Err(Fatal::Internal(error));
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
    if !spec.nodaemon && !resources.daemonized {
        daemonize(spec, &mut activity)?;
    }
    resources.daemonized |= !spec.nodaemon;
    let mut write = |line: Line| activity.write(sys::now().wall, &line);
    let is_held = resources.fd_store.is_some();
    resources.cgroup_manager.find(config, is_held, &mut write);
    let known = match (&recovery, &adoption) {
        (Some(recovery), _) => recovery.cgroups(),
        (None, Some(adoption)) => adoption.cgroups(),
        (None, None) => BTreeSet::new(),
    };
    if is_first {
        // Of what a daemon before this one left, what nobody knows must not run twice.
        resources
            .cgroup_manager
            .kill_orphans(|name| known.contains(name), &mut write);
    }
    find_fd_store(&mut resources, &mut activity);
    let pidfile = match write_pidfile(spec, &config_path, &mut activity, true) {
        Err(pid) => return Err(already_running(spec, pid)),
        Ok(pidfile) => pidfile,
    };
    let kept = recovery
        .as_ref()
        .map(|recovery| &recovery.handoff.descriptors)
        .or(adoption.as_ref().map(OrphanAdoption::descriptors));
    let in_flight_log = new_in_flight_log(resources.fd_store.as_deref(), kept, &mut activity);
    if let Some(recovery) = recovery {
        let how = recovery.how.to_owned();
        let count = recovery.handoff.engine.count();
        activity.write(sys::now().wall, &Line::Recovered { count, how });
        let unflushed = recovery.unflushed;
        let (mut fleet, mut inherited, sockets) =
            split_handoff(recovery.handoff, ResumeKind::NewDaemon);
        // Where the last daemon ended on purpose, it has handed over some of them itself.
        let is_new = |bytes: &UnflushedChunk| !inherited.unflushed.contains(bytes);
        let unflushed: Vec<_> = unflushed.into_iter().filter(is_new).collect();
        inherited.unflushed.extend(unflushed);
        fleet.set_identity(own_pid(), daemon_log(spec));
        return Ok(Started {
            servers,
            activity,
            pidfile,
            auto_logs,
            resources,
            fleet,
            inherited: Some(inherited),
            sockets,
            in_flight_log,
        });
    }
    let identity = Identity {
        pid: own_pid(),
        daemon_log: daemon_log(spec),
        seed: sys::random_seed().map_err(internal("cannot get random bytes"))?,
        event_serial: resources.event_serial,
    };
    let (fleet, inherited, sockets) = match adoption {
        Some(adoption) => {
            let (fleet, inherited, sockets) = adoption.begin(identity);
            (fleet, Some(inherited), sockets)
        }
        None => (Fleet::new(identity, config.clone()), None, Vec::new()),
    };
    Ok(Started {
        servers,
        activity,
        pidfile,
        auto_logs,
        resources,
        fleet,
        inherited,
        sockets,
        in_flight_log,
    })
}

/// The steps of going on. Programs run, so nothing here ends the daemon that it can do without.
pub(super) fn resume_start(
    mut handoff: Handoff,
    is_new: bool,
    context: &StartContext,
    resources: Option<DaemonResources>,
) -> Result<Started, Fatal> {
    let spec = &handoff.config.daemon;
    let holder = handoff.descriptors.remove(&FdName::Holder.name());
    let fd_store = holder
        .and_then(|fd| FdHolder::from_fd(fd).ok())
        .map(|(holder, _)| Arc::new(FdStore::from_running(holder)));
    let mut resources = match resources {
        Some(resources) => resources,
        None => DaemonResources {
            signals: own_signals()?,
            limits: std::mem::take(&mut handoff.limits),
            // It is where the first image has brought it.
            daemonized: true,
            event_serial: 0,
            fd_store,
            cgroup_manager: CgroupManager::default(),
            notifier: None,
        },
    };
    let mut activity = match open_log(spec) {
        Ok(activity) => activity,
        Err(_) => Activity::open(Path::new("/dev/null"), Bytes(0), 0, spec.loglevel, false)
            .map_err(internal("cannot open the null device"))?,
    };
    if let Some(reason) = handoff.failed.take() {
        activity.write(sys::now().wall, &Line::UpgradeRefused { reason });
    }
    let mut servers = Vec::new();
    for server in &handoff.config.servers {
        // A socket of ours first: the service manager's may have come to the same address since.
        match BoundServer::bind(server, &context.passed, &handoff.own) {
            Ok(server) => servers.push(server),
            Err(error) => {
                let error = error.to_string();
                activity.write(sys::now().wall, &Line::SocketRefused { error });
            }
        }
    }
    handoff.own.clear();
    let is_held = resources.fd_store.is_some();
    resources
        .cgroup_manager
        .find(&handoff.config, is_held, &mut |line| {
            activity.write(sys::now().wall, &line)
        });
    find_fd_store(&mut resources, &mut activity);
    // Programs run, so another daemon that came in between changes nothing.
    let pidfile = write_pidfile(spec, &config_path(context), &mut activity, false).unwrap_or(None);
    let auto_logs = AutoLogs::claim(&spec.childlogdir, &spec.identifier);
    let in_flight_log = new_in_flight_log(resources.fd_store.as_deref(), None, &mut activity);
    let successor = if is_new {
        ResumeKind::NewImage
    } else {
        ResumeKind::SameImage
    };
    let (fleet, inherited, sockets) = split_handoff(handoff, successor);
    Ok(Started {
        servers,
        activity,
        pidfile,
        auto_logs,
        resources,
        fleet,
        inherited: Some(inherited),
        sockets,
        in_flight_log,
    })
}

/// Takes a handoff apart, for whoever goes on with which part.
fn split_handoff(
    mut handoff: Handoff,
    successor: ResumeKind,
) -> (Fleet, RestoredEngine, Vec<(SharedSocket, OwnedFd)>) {
    let mut sockets = Vec::new();
    for shared in std::mem::take(&mut handoff.engine.sockets) {
        let name = FdName::FcgiSocket(shared.place).name();
        if let Some(socket) = handoff.descriptors.remove(&name) {
            sockets.push((shared, socket));
        }
    }
    let (fleet, inherited) = RestoredEngine::new(handoff.engine, handoff.descriptors, successor);
    (fleet, inherited, sockets)
}

/// Takes the fd holder that holds the place of the programs, if it is a new one, and has the service manager keep the way to
/// it.
fn find_fd_store(resources: &mut DaemonResources, activity: &mut Activity) {
    if resources.fd_store.is_none()
        && let Some(fd_store) = resources.cgroup_manager.take_fd_store()
    {
        if let Err(error) = engine::store_holder(fd_store.client().as_fd()) {
            let error = (&error).into();
            activity.write(sys::now().wall, &Line::KeeperFailed { error });
        }
        resources.fd_store = Some(fd_store);
    }
}

/// Memory for the output thread that a successor finds too; none: nobody keeps it.
fn new_in_flight_log(
    fd_store: Option<&FdStore>,
    kept: Option<&NamedFds>,
    activity: &mut Activity,
) -> Option<(usize, SharedBuffer)> {
    match recovery::new_in_flight_log(fd_store?, kept) {
        Ok(in_flight_log) => Some(in_flight_log),
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
fn config_path(context: &StartContext) -> PathBuf {
    let path = context.options.config_path.as_deref().unwrap_or_default();
    let path = Path::new(&context.machine.cwd()).join(path);
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
    sys::fork_to_background().map_err(internal("cannot fork"))?;
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
    sys::detach_stdio().map_err(internal("cannot open the null device"))?;
    sys::new_session().map_err(internal("cannot create a session"))?;
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
        let raised = sys::raise_to_minimum(resource, minimum)
            .map_err(|error| Fatal::Usage(error.to_string()))?;
        if let Some(limit) = raised {
            notes.push(Line::IncreasedLimit {
                name: resource.name().to_owned(),
                limit,
            });
        }
    }
    let found = sys::raise_own_files().map_err(internal("cannot raise the limit of open files"))?;
    Ok(vec![(Resource::Files, found)])
}

/// Takes the daemon's signals. Blocked before there is any other thread, so that no thread ever takes one.
fn own_signals() -> Result<SignalReader, Fatal> {
    let numbers = SIGNALS.into_iter().chain([sys::detach_signal()]);
    let signals: Vec<Signal> = numbers.filter_map(signal).collect();
    SignalReader::new(&signals).map_err(internal("cannot set up signal handling"))
}

fn signal(number: i32) -> Option<Signal> {
    Signal::from_number(i64::from(number))
}
