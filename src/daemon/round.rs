//! One round of the daemon: from a configuration to the end of everything it started. `reload` begins another.

use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::Fatal;
use super::machine::Machine;
use super::pidfile::Pidfile;
use super::reload::{compose, reload};
use crate::config::options::DaemonOptions;
use crate::config::spec::{Config, DaemonSpec};
use crate::control::{ControlHandle, EventFeed};
use crate::core::{Fleet, Identity, Outcome};
use crate::domain::{Line, Signal};
use crate::engine::{self, Engine, Hands, Notifier, Parts, PassedSocket};
use crate::front::{self, BoundServer};
use crate::output::{self, Activity, Command};
use crate::spawn::{self, Base};
use crate::sys::{self, Limit, Resource, SignalReader};

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
    /// Tells the service manager; none before the daemon is in the background.
    notifier: Option<Notifier>,
}

/// Rounds until one ends with a shutdown.
pub(super) fn all(
    mut first: Config,
    options: &Arc<DaemonOptions>,
    machine: &Arc<Machine>,
) -> Result<ExitCode, Fatal> {
    // Before anything of ours is open.
    let passed = engine::passed_sockets();
    sys::keep_little();
    sys::ensure_stdio().map_err(broken("cannot open the null device"))?;
    let ignored: Vec<Signal> = [libc::SIGPIPE, libc::SIGXFSZ]
        .into_iter()
        .filter_map(signal)
        .collect();
    sys::ignore_signals(&ignored).map_err(broken("cannot ignore signals"))?;
    let passed = passed.unwrap_or_else(|error| {
        let error = error.to_string();
        first.notes.push(Line::PassedSocketsUnknown { error });
        Vec::new()
    });
    let mut config = Arc::new(first);
    let mut lasting: Option<Lasting> = None;
    loop {
        match one(&config, options, machine, &passed, &mut lasting)? {
            None => {
                if let Some(notifier) = lasting.and_then(|lasting| lasting.notifier) {
                    notifier.finish();
                }
                return Ok(ExitCode::SUCCESS);
            }
            Some(next) => config = next,
        }
    }
}

/// One round; answers the configuration of the next one, if there is to be one.
fn one(
    config: &Arc<Config>,
    options: &Arc<DaemonOptions>,
    machine: &Arc<Machine>,
    passed: &[PassedSocket],
    lasting: &mut Option<Lasting>,
) -> Result<Option<Arc<Config>>, Fatal> {
    let spec = &config.daemon;
    let mut notes = become_user(spec)?;
    notes.extend(config.notes.iter().cloned());

    let is_first = lasting.is_none();
    let Lasting {
        signals,
        limits,
        daemonized,
        event_serial,
        notifier,
    } = match lasting.take() {
        Some(lasting) => lasting,
        None => {
            let limits = raise_limits(spec, &mut notes)?;
            // Blocked before there is any other thread, so that no thread ever takes one.
            let signals =
                SignalReader::new(&own_signals()).map_err(broken("cannot take signals"))?;
            Lasting {
                signals,
                limits,
                daemonized: false,
                event_serial: 0,
                notifier: None,
            }
        }
    };

    // The sockets come first: a second instance that finds them busy must not have touched anything of the first.
    // Differs: Supervisor removes AUTO logs before it looks.
    let servers = BoundServer::bind_all(&config.servers, passed)
        .map_err(|error| Fatal::Usage(error.to_string()))?;
    notes.extend(front::unused_sockets(passed, &servers));

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
    if !spec.nocleanup {
        for line in output::clean_up(&spec.childlogdir, &spec.identifier, |_| false) {
            activity.write(sys::now().wall, &line);
        }
    }
    let tried = spawn::try_sockets(&config.groups, |line| {
        activity.write(sys::now().wall, &line);
    });
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
    if !spec.nodaemon && !daemonized {
        daemonize(spec, &mut activity)?;
    }
    let pid = i32::try_from(std::process::id()).unwrap_or(0);
    let pidfile = match Pidfile::write(&spec.pidfile, pid) {
        Ok(pidfile) => {
            activity.write(sys::now().wall, &Line::Started { pid });
            Some(pidfile)
        }
        // As in the original, the CRIT line stands in place of the one that tells the pid.
        Err(_) => {
            let path = spec.pidfile.display().to_string();
            activity.write(sys::now().wall, &Line::CannotWritePidfile { path });
            None
        }
    };

    // In the background by now, where a thread may be started.
    let notifier = match notifier {
        Some(notifier) => notifier,
        None => Notifier::start().map_err(broken("cannot start the thread that tells systemd"))?,
    };
    let daemon_log = spec
        .logfile
        .is_absolute()
        .then(|| Arc::from(spec.logfile.as_path()));
    let identity = Identity {
        pid,
        daemon_log,
        seed: sys::random_seed().map_err(broken("cannot get random bytes"))?,
        event_serial,
    };
    let (options, machine) = (options.clone(), machine.clone());
    let feed = EventFeed::new();
    let publisher = feed.clone();
    let (for_programs, its_machine) = (options.clone(), machine.clone());
    let engine = Engine::new(Parts {
        fleet: Fleet::new(identity, config.clone()),
        signals,
        load: Arc::new(move |reason| reload(&options, &machine, reason)),
        publish: Box::new(move |event| publisher.publish(event)),
        compose: Arc::new(move |order| compose(&for_programs, &its_machine, order)),
        notifier,
        ready_when: spec.ready_when,
    })
    .map_err(broken("cannot start the engine"))?;

    let sender = engine.sender();
    let reports = sender.clone();
    let output_options = output::Options {
        activity,
        strip_ansi: spec.strip_ansi,
    };
    let output = output::start(output_options, move |report| reports.output(report))
        .map_err(broken("cannot start the output thread"))?;
    let answers = sender.clone();
    let base = Base::new(std::env::vars_os(), spec.server_url.clone(), limits.clone());
    let log = output.clone();
    let spawn = spawn::start(
        base,
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
    let ended = engine.run(&hands);
    // The other way round: answers in flight are given, sockets closed and unlinked; then what is left is written out.
    doors.stop();
    hands.spawn.join();
    hands.output.send(Command::Stop);
    hands.output.join();
    drop(pidfile);
    let ended = ended.map_err(broken("the engine failed"))?;
    *lasting = Some(Lasting {
        signals: ended.signals,
        limits,
        daemonized: daemonized || !spec.nodaemon,
        event_serial: ended.event_serial,
        notifier: Some(ended.notifier),
    });
    match ended.outcome {
        Outcome::Shutdown => Ok(None),
        // The core gives the configuration that it approved; without one (which it never does) the last one serves.
        Outcome::Restart => Ok(Some(ended.next_config.unwrap_or_else(|| config.clone()))),
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
/// several per program. Answers what programs are to have instead of that.
fn raise_limits(spec: &DaemonSpec, notes: &mut Vec<Line>) -> Result<Vec<(Resource, Limit)>, Fatal> {
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

fn own_signals() -> Vec<Signal> {
    SIGNALS.into_iter().filter_map(signal).collect()
}

fn signal(number: i32) -> Option<Signal> {
    Signal::from_number(i64::from(number))
}

/// Says what could not be done, as an error that ends the daemon with status 1.
fn broken(what: &'static str) -> impl FnOnce(std::io::Error) -> Fatal {
    move |error| Fatal::Broken(format!("{what}: {error}"))
}
