//! One round of the daemon: from a configuration to the end of everything it started. `reload` begins another; so does an
//! upgrade, in another image of the process and with everything running.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::Fatal;
use super::machine::Machine;
use super::pidfile::Pidfile;
use super::recovery::{self, Predecessor, Recovery};
use super::reload::{compose, reload};
use super::succession::{self, Handover};
use crate::cgroup::Lodging;
use crate::config::lookup::Lookup as _;
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, DaemonSpec};
use crate::control::{ControlHandle, EventFeed};
use crate::core::{Fleet, Identity, Outcome, Successor};
use crate::domain::{Bytes, Heirloom, Line, Signal};
use crate::engine::WriteState;
use crate::engine::{
    self, Ended, Engine, HandedOver, Hands, Inherited, Notifier, Parts, PassedSocket,
};
use crate::front::{self, BoundServer};
use crate::keeper::{Keeper, Vault};
use crate::output::{self, Activity, Command};
use crate::spawn::{self, Base, SharedSocket};
use crate::sys::{self, Limit, Resource, SharedBuffer, SignalReader};

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
struct Lasting {
    signals: SignalReader,
    /// Limits for programs: as found at start, after `minfds` and `minprocs`, before the daemon raised its own.
    limits: Vec<(Resource, Limit)>,
    daemonized: bool,
    /// The number of the next event, which goes on counting.
    event_serial: u64,
    /// Where a successor finds what it needs if this daemon is killed.
    vault: Option<Arc<Vault>>,
    /// Where the cgroups of programs are.
    lodging: Lodging,
    /// Tells the service manager; none before the daemon is in the background.
    notifier: Option<Notifier>,
}

/// What all rounds have.
pub(super) struct Ground {
    pub(super) options: Arc<DaemonOptions>,
    pub(super) machine: Arc<Machine>,
    /// Listening sockets that the service manager opened.
    pub(super) passed: Vec<PassedSocket>,
}

/// With what a round begins.
enum Begin {
    /// With nothing that runs, or with what a daemon that is no more has left.
    Anew(Arc<Config>, Option<Box<Predecessor>>),
    /// Where another image (`is_new`), or the round before, has ended.
    Succeeding {
        handover: Box<Handover>,
        is_new: bool,
    },
}

/// How a round has ended.
enum End {
    /// For good.
    Shutdown,
    /// Everything is stopped, to begin anew with this.
    Restart(Arc<Config>),
    /// Everything goes on, in another image.
    HandOver(Box<Handover>),
    /// Everything goes on without us, until another daemon takes over.
    LetGo,
}

/// A round before there are threads.
struct Opened {
    servers: Vec<BoundServer>,
    activity: Activity,
    pidfile: Option<Pidfile>,
    lasting: Lasting,
    fleet: Fleet,
    inherited: Option<Inherited>,
    sockets: Vec<(SharedSocket, OwnedFd)>,
    /// Kept by the vault, if there is one.
    ledger: Option<SharedBuffer>,
}

/// Rounds until one ends with a shutdown.
pub(super) fn all(
    first: Config,
    ground: Ground,
    predecessor: Option<Predecessor>,
) -> Result<ExitCode, Fatal> {
    settle_in()?;
    let predecessor = predecessor.map(Box::new);
    rounds(Begin::Anew(Arc::new(first), predecessor), ground)
}

/// The same where an earlier image of this process has ended.
pub(super) fn resume(handover: Handover, ground: Ground) -> Result<ExitCode, Fatal> {
    settle_in()?;
    let begin = Begin::Succeeding {
        handover: Box::new(handover),
        is_new: true,
    };
    rounds(begin, ground)
}

fn rounds(mut begin: Begin, mut ground: Ground) -> Result<ExitCode, Fatal> {
    let program = own_program();
    let mut lasting: Option<Lasting> = None;
    loop {
        match one(begin, &ground, &program, &mut lasting)? {
            End::Shutdown => {
                if let Some(lasting) = lasting {
                    // Last of all: with what holds it, the place of the programs goes.
                    if let Some(vault) = lasting.vault {
                        vault.end();
                    }
                    lasting.lodging.leave();
                    if let Some(notifier) = lasting.notifier {
                        notifier.finish();
                    }
                }
                return Ok(ExitCode::SUCCESS);
            }
            End::LetGo => return Ok(ExitCode::SUCCESS),
            End::Restart(config) => begin = Begin::Anew(config, None),
            End::HandOver(mut handover) => {
                handover.passed = std::mem::take(&mut ground.passed);
                let vault = lasting.as_ref().and_then(|lasting| lasting.vault.clone());
                let reason = succession::replace(&program, &handover, vault.as_deref());
                ground.passed = std::mem::take(&mut handover.passed);
                handover.failed = Some(reason);
                begin = Begin::Succeeding {
                    handover,
                    is_new: false,
                };
            }
        }
    }
}

/// What has to be right about this process before anything else.
fn settle_in() -> Result<(), Fatal> {
    sys::keep_little();
    sys::ensure_stdio().map_err(broken("cannot open the null device"))?;
    let ignored: Vec<Signal> = [libc::SIGPIPE, libc::SIGXFSZ]
        .into_iter()
        .filter_map(signal)
        .collect();
    sys::ignore_signals(&ignored).map_err(broken("cannot ignore signals"))
}

/// Where /proc is missing there can be no successor, which its own exec will say.
fn own_program() -> Arc<Path> {
    succession::own_program().map_or_else(|_| Path::new("").into(), Arc::from)
}

/// One round.
fn one(
    begin: Begin,
    ground: &Ground,
    program: &Arc<Path>,
    lasting: &mut Option<Lasting>,
) -> Result<End, Fatal> {
    match begin {
        Begin::Anew(config, predecessor) => {
            let opened = open_anew(&config, ground, lasting.take(), predecessor)?;
            run(&config, ground, program, opened, lasting)
        }
        Begin::Succeeding { handover, is_new } => {
            let config = handover.config.clone();
            let opened = open_again(*handover, is_new, ground, lasting.take())?;
            run(&config, ground, program, opened, lasting)
        }
    }
}

/// The steps of a beginning, in their order.
fn open_anew(
    config: &Arc<Config>,
    ground: &Ground,
    lasting: Option<Lasting>,
    predecessor: Option<Box<Predecessor>>,
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
    if let Some(predecessor) = predecessor {
        let Predecessor { vault, left, .. } = *predecessor;
        lasting.vault = Some(vault);
        match left {
            Ok(left) => recovery = left,
            Err(error) => notes.push(Line::CannotRecover { error }),
        }
    }
    let own = recovery
        .as_mut()
        .map(|recovery| std::mem::take(&mut recovery.handover.own))
        .unwrap_or_default();

    // The sockets come first: a second instance that finds them busy must not have touched anything of the first.
    // Differs: Supervisor removes AUTO logs before it looks.
    let servers = BoundServer::bind_all(&config.servers, &ground.passed, &own)
        .map_err(|error| Fatal::Usage(error.to_string()))?;
    notes.extend(front::unused_sockets(&ground.passed, &servers));

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
    // With the keeper's copies of those that a predecessor left, their addresses would be taken for ever after the next crash.
    for place in 0..own.len() {
        let vault = lasting.vault.as_ref();
        if let Some(line) = vault.and_then(|vault| vault.forget(Heirloom::Server(place))) {
            activity.write(sys::now().wall, &line);
        }
    }
    drop(own);
    // Programs that run write to these.
    if !spec.nocleanup && recovery.is_none() {
        for line in output::clean_up(&spec.childlogdir, &spec.identifier, |_| false) {
            activity.write(sys::now().wall, &line);
        }
    }
    // They are in use.
    let tried = match &recovery {
        Some(_) => Ok(()),
        None => spawn::try_sockets(&config.groups, |line| {
            activity.write(sys::now().wall, &line);
        }),
    };
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
    let known = recovery.as_ref().map(Recovery::cgroups).unwrap_or_default();
    if is_first {
        // Of what a daemon before this one left, what nobody knows must not run twice.
        lasting
            .lodging
            .clear(|name| known.contains(name), &mut write);
    }
    find_vault(&mut lasting, &mut activity);
    let pidfile = write_pidfile(spec, &mut activity, true);
    let ledger = new_ledger(lasting.vault.as_deref(), recovery.as_ref(), &mut activity);
    if let Some(recovery) = recovery {
        let how = recovery.how.to_owned();
        let count = recovery.handover.legacy.count();
        activity.write(sys::now().wall, &Line::Recovered { count, how });
        let unsettled = recovery.unsettled;
        let (mut fleet, mut inherited, sockets) = taken_over(recovery.handover, Successor::Daemon);
        inherited.unsettled = unsettled;
        fleet.identify(own_pid(), daemon_log(spec));
        return Ok(Opened {
            servers,
            activity,
            pidfile,
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
    Ok(Opened {
        servers,
        activity,
        pidfile,
        lasting,
        fleet: Fleet::new(identity, config.clone()),
        inherited: None,
        sockets: Vec::new(),
        ledger,
    })
}

/// The steps of going on. Programs run, so nothing here ends the daemon that it can do without.
fn open_again(
    mut handover: Handover,
    is_new: bool,
    ground: &Ground,
    lasting: Option<Lasting>,
) -> Result<Opened, Fatal> {
    let spec = &handover.config.daemon;
    let keeper = handover.descriptors.remove(&Heirloom::Keeper.name());
    let vault = keeper
        .and_then(|fd| Keeper::from_fd(fd).ok())
        .map(|(keeper, _)| Arc::new(Vault::new(keeper)));
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
    let pidfile = write_pidfile(spec, &mut activity, false);
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
    let shared = std::mem::take(&mut handover.legacy.sockets).into_iter();
    for (place, shared) in shared.enumerate() {
        let name = Heirloom::FcgiSocket(place).name();
        if let Some(socket) = handover.descriptors.remove(&name) {
            sockets.push((shared, socket));
        }
    }
    let (fleet, inherited) = Inherited::new(handover.legacy, handover.descriptors, successor);
    (fleet, inherited, sockets)
}

/// From the first thread to the last.
fn run(
    config: &Arc<Config>,
    ground: &Ground,
    program: &Arc<Path>,
    opened: Opened,
    lasting: &mut Option<Lasting>,
) -> Result<End, Fatal> {
    let spec = &config.daemon;
    let Opened {
        servers,
        activity,
        pidfile,
        lasting:
            Lasting {
                signals,
                limits,
                daemonized,
                event_serial: _,
                vault,
                lodging,
                notifier,
            },
        fleet,
        inherited,
        sockets,
        ledger,
    } = opened;
    // In the background by now, where a thread may be started.
    let notifier = match notifier {
        Some(mut notifier) => {
            notifier.bridge(sys::now().mono);
            notifier
        }
        None => Notifier::start().map_err(broken("cannot start the thread that tells systemd"))?,
    };
    let (options, machine) = (ground.options.clone(), ground.machine.clone());
    let feed = EventFeed::new();
    let publisher = feed.clone();
    let (for_programs, its_machine) = (options.clone(), machine.clone());
    let (successor, started_with) = (program.clone(), config.clone());
    let written_with = config.clone();
    let write_state: Arc<WriteState> =
        Arc::new(move |snapshot| succession::write_state(&written_with, snapshot));
    let engine = Engine::new(Parts {
        fleet,
        signals,
        load: Arc::new(move |reason| reload(&options, &machine, reason)),
        publish: Box::new(move |event| publisher.publish(event)),
        compose: Arc::new(move |order| compose(&for_programs, &its_machine, order)),
        notifier,
        ready_when: spec.ready_when,
        examine: Arc::new(move |snapshot| succession::examine(&successor, &started_with, snapshot)),
        program: program.clone(),
        inherited,
        vault: vault.clone().map(|vault| (vault, write_state)),
        lodging: lodging.clone(),
    })
    .map_err(broken("cannot start the engine"))?;

    let sender = engine.sender();
    let reports = sender.clone();
    let output_options = output::Options {
        activity,
        strip_ansi: spec.strip_ansi,
        vault: vault.clone(),
        ledger,
    };
    let output = output::start(output_options, move |report| reports.output(report))
        .map_err(broken("cannot start the output thread"))?;
    let answers = sender.clone();
    let base = Base::new(std::env::vars_os(), spec.server_url.clone(), limits.clone());
    let log = output.clone();
    let spawn = spawn::start(
        base,
        lodging.clone(),
        sockets,
        move |done| answers.spawn(done),
        move |line| log.log(line),
    )
    .map_err(broken("cannot start the spawn thread"))?;
    let (log, audit) = (output.clone(), output.clone());
    let front = front::Options {
        servers,
        control: ControlHandle::new(move |asked| sender.ask(asked), move |line| audit.log(line)),
        events: feed,
        log: Arc::new(move |line| log.log(line)),
        rpc_interfaces: config.rpc_interfaces.clone(),
        twiddler: config.twiddler.clone(),
        dbus: spec.dbus,
        limits: front::Limits::of_this_process(),
    };
    let doors = front::start(front).map_err(broken("cannot start the front thread"))?;

    let hands = Hands { spawn, output };
    // The configuration's text and what parsing it took.
    sys::give_back();
    let mut ended = engine.run(&hands);
    if let Ok(Ended::Stopped(stopped)) = &mut ended {
        stopped.notifier.bridge(sys::now().mono);
    }
    // The other way round: answers in flight are given, sockets closed and unlinked; then what is left is written out.
    match ended {
        Ok(Ended::Succeeded(engine)) => {
            // Sockets stay open, so that whoever connects meanwhile only waits; nothing is written out that a successor
            // would go on with.
            let lets_go = engine.lets_go();
            let own = doors.hand_over();
            hands.spawn.join();
            let HandedOver {
                legacy,
                descriptors,
                signals,
                mut notifier,
            } = engine.hand_over(hands.output.hand_over());
            if let Some(pidfile) = pidfile {
                pidfile.keep();
            }
            let handover = Handover {
                config: config.clone(),
                limits: limits.clone(),
                cwd: ground.machine.cwd(),
                legacy,
                descriptors,
                passed: Vec::new(),
                own,
                failed: None,
            };
            if let (true, Some(vault)) = (lets_go, &vault) {
                recovery::leave(vault, &handover).map_err(Fatal::Broken)?;
                notifier.finish();
                return Ok(End::LetGo);
            }
            notifier.reloading();
            *lasting = Some(Lasting {
                signals,
                limits,
                daemonized,
                event_serial: 0,
                vault,
                lodging,
                notifier: Some(notifier),
            });
            Ok(End::HandOver(Box::new(handover)))
        }
        ended => {
            doors.stop();
            hands.spawn.join();
            hands.output.send(Command::Stop);
            hands.output.join();
            drop(pidfile);
            match ended.map_err(broken("the engine failed"))? {
                Ended::Succeeded(_) => Ok(End::Shutdown),
                Ended::Stopped(stopped) => {
                    *lasting = Some(Lasting {
                        signals: stopped.signals,
                        limits,
                        daemonized,
                        event_serial: stopped.event_serial,
                        vault,
                        lodging,
                        notifier: Some(stopped.notifier),
                    });
                    Ok(match stopped.outcome {
                        Outcome::Shutdown => End::Shutdown,
                        // The core gives the configuration that it approved; without one (which it never does) the last
                        // one serves.
                        Outcome::Restart => {
                            End::Restart(stopped.next_config.unwrap_or_else(|| config.clone()))
                        }
                    })
                }
            }
        }
    }
}

/// Takes the keeper that holds the place of the programs, if it is a new one, and has the service manager keep the way to
/// it.
fn find_vault(lasting: &mut Lasting, activity: &mut Activity) {
    if lasting.vault.is_none()
        && let Some(vault) = lasting.lodging.take_vault()
    {
        if let Err(error) = engine::have_kept(vault.fd()) {
            let error = (&error).into();
            activity.write(sys::now().wall, &Line::KeeperFailed { error });
        }
        lasting.vault = Some(vault);
    }
}

/// Memory for the output thread that a successor finds too; none: nobody keeps it.
fn new_ledger(
    vault: Option<&Vault>,
    recovery: Option<&Recovery>,
    activity: &mut Activity,
) -> Option<SharedBuffer> {
    match recovery::new_ledger(vault?, recovery) {
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

/// Writes the pidfile, and that the daemon has started if it has.
fn write_pidfile(spec: &DaemonSpec, activity: &mut Activity, has_started: bool) -> Option<Pidfile> {
    match Pidfile::write(&spec.pidfile, own_pid()) {
        Ok(pidfile) => {
            if has_started {
                activity.write(sys::now().wall, &Line::Started { pid: own_pid() });
            }
            Some(pidfile)
        }
        // As in the original, the CRIT line stands in place of the one that tells the pid.
        Err(_) => {
            let path = spec.pidfile.display().to_string();
            activity.write(sys::now().wall, &Line::CannotWritePidfile { path });
            None
        }
    }
}

/// Drops to the configured user, and says so.
fn become_user(spec: &DaemonSpec) -> Result<Vec<Line>, Fatal> {
    match &spec.user {
        None if sys::effective_uid() == 0 => Ok(vec![Line::RunningAsRoot {}]),
        None => Ok(Vec::new()),
        Some(user) => {
            sys::become_user(user.uid).map_err(|error| Fatal::Usage(error.to_string()))?;
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
    sys::new_session().map_err(broken("cannot begin a session"))?;
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
    SignalReader::new(&signals).map_err(broken("cannot take signals"))
}

fn signal(number: i32) -> Option<Signal> {
    Signal::from_number(i64::from(number))
}

/// Says what could not be done, as an error that ends the daemon with status 1.
fn broken(what: &'static str) -> impl FnOnce(std::io::Error) -> Fatal {
    move |error| Fatal::Broken(format!("{what}: {error}"))
}
