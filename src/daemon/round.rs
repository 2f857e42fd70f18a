//! One round of the daemon: from a configuration to the end of everything it started. `reload` begins another; so does an
//! upgrade, in another image of the process and with everything running.

use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::{Fatal, broken};
use super::opening::{
    Ground, Lasting, Opened, Reserved, open_again, open_anew, reserve, settle_in,
};
use super::recovery::{self, Predecessor};
use super::reload::{compose, options_of, reload};
use super::succession::{self, Handover};
use super::watch::Watch;
use crate::config::lookup::Lookup as _;
use crate::config::spec::Config;
use crate::control::{ControlHandle, EventFeed};
use crate::core::Outcome;
use crate::engine::{self, Ended, Engine, HandedOver, Hands, Notifier, Parts, WriteState};
use crate::front;
use crate::output::{self, Command};
use crate::spawn::{self, Base};
use crate::sys::{self};

/// The number of groups from which the start calls malloc_trim: reading such a configuration frees much memory. After a
/// smaller one the heartbeat monitor calls it once all threads are idle.
const LARGE_GROUPS: usize = 64;

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

/// Rounds until one ends with a shutdown.
pub(super) fn all(
    first: Config,
    ground: Ground,
    predecessor: Option<Predecessor>,
    reserved: Reserved,
) -> Result<ExitCode, Fatal> {
    settle_in()?;
    let predecessor = predecessor.map(Box::new);
    let begin = Begin::Anew(Arc::new(first), predecessor);
    rounds(begin, ground, reserved)
}

/// The same where an earlier image of this process has ended.
pub(super) fn resume(
    handover: Handover,
    ground: Ground,
    reserved: Reserved,
) -> Result<ExitCode, Fatal> {
    settle_in()?;
    let begin = Begin::Succeeding {
        handover: Box::new(handover),
        is_new: true,
    };
    rounds(begin, ground, reserved)
}

fn rounds(mut begin: Begin, mut ground: Ground, reserved: Reserved) -> Result<ExitCode, Fatal> {
    let program = own_program();
    let mut lasting: Option<Lasting> = None;
    let mut reserved = Some(reserved);
    loop {
        // Those of the last round are free again, but for the ones of a spawner that is held up.
        let staging = reserved.take().map_or_else(reserve, Ok)?;
        match one(begin, &ground, &program, staging, &mut lasting)? {
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

/// Where /proc is missing there can be no successor, which its own exec will say.
fn own_program() -> Arc<Path> {
    succession::own_program().map_or_else(|_| Path::new("").into(), Arc::from)
}

/// One round.
fn one(
    begin: Begin,
    ground: &Ground,
    program: &Arc<Path>,
    staging: Reserved,
    lasting: &mut Option<Lasting>,
) -> Result<End, Fatal> {
    match begin {
        Begin::Anew(config, predecessor) => {
            let predecessor = predecessor.map(|boxed| *boxed);
            let opened = open_anew(&config, ground, lasting.take(), predecessor)?;
            run(&config, ground, program, (opened, staging), lasting)
        }
        Begin::Succeeding { handover, is_new } => {
            let config = handover.config.clone();
            let opened = open_again(*handover, is_new, ground, lasting.take())?;
            run(&config, ground, program, (opened, staging), lasting)
        }
    }
}

/// From the first thread to the last.
fn run(
    config: &Arc<Config>,
    ground: &Ground,
    program: &Arc<Path>,
    (opened, staging): (Opened, Reserved),
    lasting: &mut Option<Lasting>,
) -> Result<End, Fatal> {
    let spec = &config.daemon;
    engine::reserve_descriptors(config);
    let Opened {
        servers,
        activity,
        pidfile,
        auto_logs: _auto_logs,
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
        None => Notifier::start().map_err(broken("cannot start the systemd thread"))?,
    };
    let (options, machine) = (ground.options.clone(), ground.machine.clone());
    let for_reading = options_of(&options, config);
    let its_own = machine.clone();
    let (logfile, loglevel) = (spec.logfile.clone(), spec.loglevel);
    let heartbeats = Watch::begin(logfile, loglevel)?;
    let feed = EventFeed::new();
    let socket_check = front::SocketCheck::default();
    let check_sockets = socket_check.clone();
    let publisher = feed.clone();
    let (for_programs, its_machine) = (options, machine);
    let (successor, started_with) = (program.clone(), config.clone());
    let written_with = config.clone();
    let write_state: Arc<WriteState> =
        Arc::new(move |snapshot| succession::write_state(&written_with, snapshot));
    let engine = Engine::new(Parts {
        fleet,
        signals,
        load: Arc::new(move |reason| reload(&for_reading, &its_own, reason)),
        publish: Box::new(move |event| publisher.publish(event)),
        compose: Arc::new(move |order| compose(&for_programs, &its_machine, order)),
        notifier,
        ready_when: spec.ready_when,
        examine: Arc::new(move |snapshot| succession::examine(&successor, &started_with, snapshot)),
        program: program.clone(),
        inherited,
        vault: vault.clone().map(|vault| (vault, write_state)),
        lodging: lodging.clone(),
        heartbeats: heartbeats.0.clone(),
        check_sockets: Box::new(move || check_sockets.request()),
    })
    .map_err(broken("cannot start the engine"))?;

    let sender = engine.sender();
    let reports = sender.clone();
    let output_options = output::Options {
        activity,
        strip_ansi: spec.strip_ansi,
        vault: vault.clone(),
        ledger,
        heartbeats: heartbeats.0.clone(),
    };
    let output = output::start(output_options, move |report| reports.output(report))
        .map_err(broken("cannot start the output thread"))?;
    let answers = sender.clone();
    let base = Base::new(std::env::vars_os(), spec.server_url.clone(), limits.clone());
    let log = output.clone();
    let spawn_options = spawn::Options {
        base,
        lodging: lodging.clone(),
        inherited: sockets,
        vault: vault.clone(),
        heartbeats: heartbeats.0.clone(),
        staging,
    };
    let spawn = spawn::start(
        spawn_options,
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
        socket_check,
        heartbeats: heartbeats.0.clone(),
    };
    let mut doors = front::start(front).map_err(broken("cannot start the front thread"))?;

    let hands = Hands { spawn, output };
    let mut ended = engine.run(&hands, || {
        doors.begin();
        if config.groups.len() >= LARGE_GROUPS {
            // The configuration's text and what parsing it took.
            sys::give_back();
        }
    });
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
            let peers = doors.stop();
            hands.spawn.join();
            hands.output.send(Command::Stop);
            hands.output.join();
            drop(pidfile);
            match ended.map_err(broken("the engine thread failed"))? {
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
                        Outcome::Shutdown => {
                            // The last thing before the end: whoever asked for it prints the answer meanwhile.
                            peers.wait();
                            End::Shutdown
                        }
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
