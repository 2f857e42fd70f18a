//! The part of a run before it has threads: the steps of a cold start, and those of continuing after a handoff.

use std::collections::BTreeSet;
use std::os::fd::{AsFd as _, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::fatal::{Fatal, internal};
use super::machine::Machine;
use super::pidfile::{self, Pidfile, PidfileError};
use super::previous_daemon::PreviousDaemon;
use crate::cgroup::CgroupManager;
use crate::config::lookup::Lookup as _;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, DaemonSpec, GroupSpec};
use crate::core::{Fleet, ResumeKind};
use crate::domain::{Bytes, FdName, Line, Signal};
use crate::engine::{self, Notifier};
use crate::fd_holder::{FdHolder, FdStore};
use crate::handoff::{self, Handoff, PassedSocket, RecoverySource, RestoredEngine};
use crate::output::{Activity, AutoLogs};
use crate::server::{self, BoundServer};
use crate::spawn::{self, SharedSocket};
use crate::sys::{self, Limit, NamedFds, Resource, SharedBuffer, SignalReader, StagingFds};

/// The signals that the daemon handles. USR1 keeps its default and ends the daemon, as in Supervisor.
const SIGNALS: [i32; 6] = [
    libc::SIGTERM,
    libc::SIGINT,
    libc::SIGQUIT,
    libc::SIGHUP,
    libc::SIGUSR2,
    libc::SIGCHLD,
];

/// Resources that exist for all runs of the daemon.
pub(super) struct DaemonResources {
    pub(super) signals: SignalReader,
    /// Limits for programs: the initial ones raised to `minfds` and `minprocs`, before the daemon raised its own.
    pub(super) limits: Vec<(Resource, Limit)>,
    pub(super) daemonized: bool,
    /// The serial number of the next event, which continues in the next run.
    pub(super) event_serial: u64,
    /// The store of descriptors for recovery after a crash. `None`: no fd holder.
    pub(super) fd_store: Option<Arc<FdStore>>,
    /// Manages the cgroups of programs.
    pub(super) cgroup_manager: CgroupManager,
    /// The connection to the service manager. `None` until the daemon is in the background.
    pub(super) notifier: Option<Notifier>,
}

impl DaemonResources {
    /// Takes the daemon's signals. `limits`: the limits for programs.
    fn new(limits: Vec<(Resource, Limit)>) -> Result<Self, Fatal> {
        Ok(Self {
            signals: own_signals()?,
            limits,
            daemonized: false,
            event_serial: 0,
            fd_store: None,
            cgroup_manager: CgroupManager::default(),
            notifier: None,
        })
    }
}

/// What all runs have in common.
pub(super) struct StartContext {
    pub(super) options: Arc<DaemonOptions>,
    pub(super) machine: Arc<Machine>,
    /// Listening sockets that the service manager passed.
    pub(super) passed: Vec<PassedSocket>,
}

/// Reserved descriptors for the first spawn thread of a run and for its replacement.
pub(super) type ReservedFds = [StagingFds; 2];

/// Reserves the descriptors of the spawn threads. It must be called before anything else is open.
pub(super) fn reserve() -> Result<ReservedFds, Fatal> {
    sys::ensure_stdio()
        .and_then(|()| Ok([StagingFds::reserve()?, StagingFds::reserve()?]))
        .map_err(internal("cannot reserve descriptors"))
}

/// The state of a run before it has threads.
pub(super) struct Started {
    pub(super) servers: Vec<BoundServer>,
    pub(super) activity: Activity,
    pub(super) pidfile: Option<Pidfile>,
    pub(super) auto_logs: AutoLogs,
    pub(super) resources: DaemonResources,
    pub(super) fleet: Fleet,
    pub(super) restored: Option<RestoredEngine>,
    pub(super) sockets: Vec<(SharedSocket, OwnedFd)>,
    /// The index of the in-flight log and its memory, which the fd holder stores. `None`: no fd holder.
    pub(super) in_flight_log: Option<(usize, SharedBuffer)>,
}

/// Sets up properties of the process that everything else depends on.
pub(super) fn init_process() -> Result<(), Fatal> {
    sys::tune_malloc();
    sys::ensure_stdio().map_err(internal("cannot open the null device"))?;
    let ignored: Vec<Signal> = [libc::SIGPIPE, libc::SIGXFSZ]
        .into_iter()
        .filter_map(signal)
        .collect();
    sys::ignore_signals(&ignored).map_err(internal("cannot ignore signals"))
}

/// Performs the steps of a cold start, in order.
pub(super) fn cold_start(
    config: &Arc<Config>,
    context: &StartContext,
    resources: Option<DaemonResources>,
    source: Option<RecoverySource>,
) -> Result<Started, Fatal> {
    let spec = &config.daemon;
    let mut notes = become_user(spec)?;
    notes.extend(config.notes.iter().cloned());
    let is_first = resources.is_none();
    let mut resources = match resources {
        Some(resources) => resources,
        None => first_resources(spec, source.as_ref(), &mut notes)?,
    };
    let mut previous = PreviousDaemon::find(config, source, is_first, &mut resources, &mut notes);
    let own = previous.take_sockets();
    let config_path = config_path(context);
    let servers = bind_servers(config, context, &own, &config_path, &mut notes)?;
    let mut activity = open_first_log(spec, notes)?;
    drop(own);
    let auto_logs = claim_auto_logs(spec, &previous, &mut activity);
    try_sockets(&previous.groups_to_try(config), is_first, &mut activity)?;
    log_servers(config, &mut activity);
    if !spec.nodaemon && !resources.daemonized {
        daemonize(spec, &mut activity)?;
    }
    resources.daemonized |= !spec.nodaemon;
    find_cgroups(
        config,
        &resources,
        is_first.then(|| previous.cgroups()),
        &mut activity,
    );
    find_fd_store(&mut resources, &mut activity);
    let pidfile = match write_pidfile(spec, &config_path, &mut activity, true) {
        Err(pid) => return Err(already_running(spec, pid)),
        Ok(pidfile) => pidfile,
    };
    let fd_store = resources.fd_store.as_deref();
    let in_flight_log = new_in_flight_log(fd_store, previous.descriptors(), &mut activity);
    let (fleet, restored, sockets) =
        previous.restore(config, resources.event_serial, &mut activity)?;
    Ok(Started {
        servers,
        activity,
        pidfile,
        auto_logs,
        resources,
        fleet,
        restored,
        sockets,
        in_flight_log,
    })
}

/// Returns the resources of the first run. Raises the limits of the process.
fn first_resources(
    spec: &DaemonSpec,
    source: Option<&RecoverySource>,
    notes: &mut Vec<Line>,
) -> Result<DaemonResources, Fatal> {
    let files = source.and_then(|source| source.files);
    let limits = raise_limits(spec, files, notes)?;
    DaemonResources::new(limits)
}

/// Binds the sockets of the servers, and checks that no other daemon holds the pidfile.
///
/// This is the first step that another daemon can refuse. A second daemon that finds the sockets busy must not have
/// changed anything of the first.
// Differs: Supervisor removes AUTO logs before it binds.
fn bind_servers(
    config: &Config,
    context: &StartContext,
    own: &[PassedSocket],
    config_path: &Path,
    notes: &mut Vec<Line>,
) -> Result<Vec<BoundServer>, Fatal> {
    let spec = &config.daemon;
    let servers = BoundServer::bind_all(&config.servers, &context.passed, own)
        .map_err(|error| Fatal::Usage(error.to_string()))?;
    notes.extend(server::unused_sockets(&context.passed, &servers));
    // Another daemon may run whose socket files were removed, or that has no sockets.
    match pidfile::holder(&spec.pidfile, config_path) {
        Some(pid) => Err(already_running(spec, pid)),
        None => Ok(servers),
    }
}

/// Opens the activity log and writes the lines that waited for it.
fn open_first_log(spec: &DaemonSpec, mut notes: Vec<Line>) -> Result<Activity, Fatal> {
    let mut activity = Activity::of_daemon(spec).map_err(|error| {
        Fatal::Internal(format!(
            "cannot open the log {}: {error}",
            spec.logfile.display()
        ))
    })?;
    // Use Supervisor's order: CRIT lines, then warnings, then the rest, each in the order in which they occurred.
    notes.sort_by_key(|line| std::cmp::Reverse(line.level()));
    for line in notes {
        activity.write(sys::now().wall, &line);
    }
    Ok(activity)
}

/// Claims the names of AUTO logs, and removes the logs of a previous daemon.
fn claim_auto_logs(
    spec: &DaemonSpec,
    previous: &PreviousDaemon,
    activity: &mut Activity,
) -> AutoLogs {
    let auto_logs = AutoLogs::claim(&spec.childlogdir, &spec.identifier);
    // After a recovery, running programs write to these files.
    if !spec.nocleanup && !previous.is_recovered() {
        for line in auto_logs.clean_up() {
            activity.write(sys::now().wall, &line);
        }
    }
    auto_logs
}

/// Checks that the sockets of fcgi programs can be made.
fn try_sockets(
    groups: &[Arc<GroupSpec>],
    is_first: bool,
    activity: &mut Activity,
) -> Result<(), Fatal> {
    let tried = spawn::try_sockets(groups, |line| activity.write(sys::now().wall, &line));
    if let Err(error) = tried {
        let error = error.to_string();
        if is_first {
            return Err(Fatal::Internal(error));
        }
        // Differs: the original exits here as well. After a reload all other programs should run; the processes of this
        // one will report the error.
        activity.write(sys::now().wall, &Line::SocketRefused { error });
    }
    Ok(())
}

/// Logs the interfaces of each server, and which servers have no password.
fn log_servers(config: &Config, activity: &mut Activity) {
    for server in &config.servers {
        for name in &config.rpc_interfaces {
            activity.write(sys::now().wall, &Line::RpcInterface { name: name.clone() });
        }
        if server.credentials.is_none() && server.tokens_file.is_none() {
            let section = server.section.clone();
            activity.write(sys::now().wall, &Line::NoAuthentication { section });
        }
    }
}

/// Finds the cgroup of the programs. `adopted`: the names of cgroups whose processes are adopted. All others are
/// killed, so that no program runs twice. `None`: a reload, which kills none.
fn find_cgroups(
    config: &Config,
    resources: &DaemonResources,
    adopted: Option<BTreeSet<String>>,
    activity: &mut Activity,
) {
    let mut write = |line: Line| activity.write(sys::now().wall, &line);
    let is_held = resources.fd_store.is_some();
    let cgroup_manager = &resources.cgroup_manager;
    cgroup_manager.find(config, is_held, &mut write);
    if let Some(adopted) = adopted {
        cgroup_manager.kill_orphans(|name| adopted.contains(name), &mut write);
    }
}

/// Performs the steps of continuing after a handoff. Programs run, so an error ends the daemon only if it cannot run
/// without the failed step. `exec_error`: why this image continues although it had handed over. `None`: this is a new
/// image.
pub(super) fn resume_start(
    mut handoff: Handoff,
    exec_error: Option<String>,
    context: &StartContext,
    resources: Option<DaemonResources>,
) -> Result<Started, Fatal> {
    let spec = &handoff.config.daemon;
    let holder = handoff.fds.remove(&FdName::Holder.name());
    let fd_store = holder
        .and_then(|fd| FdHolder::from_fd(fd).ok())
        .map(|(holder, _)| Arc::new(FdStore::from_running(holder)));
    let mut resources = match resources {
        Some(resources) => resources,
        None => DaemonResources {
            // The first image has put the process into the background.
            daemonized: true,
            fd_store,
            ..DaemonResources::new(std::mem::take(&mut handoff.limits))?
        },
    };
    let mut activity = match Activity::of_daemon(spec) {
        Ok(activity) => activity,
        Err(_) => Activity::open(Path::new("/dev/null"), Bytes(0), 0, spec.loglevel, false)
            .map_err(internal("cannot open the null device"))?,
    };
    let resume_kind = match exec_error {
        None => ResumeKind::NewImage,
        Some(_) => ResumeKind::SameImage,
    };
    if let Some(reason) = exec_error {
        activity.write(sys::now().wall, &Line::UpgradeRefused { reason });
    }
    let mut servers = Vec::new();
    for server in &handoff.config.servers {
        // Prefer a socket of the daemon: the service manager may have opened one at the same address since.
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
    // Programs run, so another daemon that holds the pidfile is ignored.
    let pidfile = write_pidfile(spec, &config_path(context), &mut activity, false).unwrap_or(None);
    let auto_logs = AutoLogs::claim(&spec.childlogdir, &spec.identifier);
    let in_flight_log = new_in_flight_log(resources.fd_store.as_deref(), None, &mut activity);
    let (fleet, restored, sockets) = handoff.restore(resume_kind);
    Ok(Started {
        servers,
        activity,
        pidfile,
        auto_logs,
        resources,
        fleet,
        restored: Some(restored),
        sockets,
        in_flight_log,
    })
}

/// Takes the fd holder that the cgroup manager started, if it is new, and stores its descriptor with the service
/// manager.
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

/// Creates an in-flight log for the output thread that a successor can find. `None`: there is no fd holder, or it
/// failed.
fn new_in_flight_log(
    fd_store: Option<&FdStore>,
    recovered: Option<&NamedFds>,
    activity: &mut Activity,
) -> Option<(usize, SharedBuffer)> {
    match handoff::new_in_flight_log(fd_store?, recovered) {
        Ok(in_flight_log) => Some(in_flight_log),
        Err(error) => {
            let error = (&error).into();
            activity.write(sys::now().wall, &Line::KeeperFailed { error });
            None
        }
    }
}

/// Returns the path of the daemon's log if clients can read it.
pub(super) fn daemon_log(spec: &DaemonSpec) -> Option<Arc<Path>> {
    spec.logfile
        .is_absolute()
        .then(|| Arc::from(spec.logfile.as_path()))
}

pub(super) fn own_pid() -> i32 {
    i32::try_from(std::process::id()).unwrap_or(0)
}

/// Returns the canonical path of the configuration file.
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

/// Writes the pidfile, and with `has_started` the log line that the daemon has started. The error is the PID of the
/// daemon that holds the file.
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
        // As in the original, the CRIT line replaces the one with the PID.
        Err(PidfileError::Refused(why)) => {
            let path = spec.pidfile.display().to_string();
            let now = sys::now().wall;
            activity.write(now, &Line::CannotWritePidfile { path: path.clone() });
            activity.write(now, &Line::PidfileRefused { path, why });
            None
        }
    })
}

/// Changes to the configured user. Returns log lines about that.
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

/// Puts the daemon into the background. There is no other thread yet.
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

/// Raises the limits to `minfds` and `minprocs`, and then the daemon's own limit of open files to the maximum, since it
/// holds several descriptors per program. Returns the limits that programs get instead. `found` is the limit that the
/// daemon was started with, if it was raised since.
fn raise_limits(
    spec: &DaemonSpec,
    found: Option<Limit>,
    notes: &mut Vec<Line>,
) -> Result<Vec<(Resource, Limit)>, Fatal> {
    if let Some(found) = found {
        // This limit was in force before. Nothing is opened until it is raised again.
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

/// Takes the daemon's signals. They are blocked before there is any other thread, so that no thread handles one.
fn own_signals() -> Result<SignalReader, Fatal> {
    let numbers = SIGNALS.into_iter().chain([sys::detach_signal()]);
    let signals: Vec<Signal> = numbers.filter_map(signal).collect();
    SignalReader::new(&signals).map_err(internal("cannot set up signal handling"))
}

fn signal(number: i32) -> Option<Signal> {
    Signal::from_number(i64::from(number))
}
