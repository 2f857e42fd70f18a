//! Random configurations.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use supervisord::config::dependency::{depends_on, wait_for};
use supervisord::config::spec::{
    AutoRestart, BinaryWatch, CgroupLimits, ChangeReaction, Config, CronMissed, CronOverlap,
    DaemonSpec, Dependencies, DirectoryWatch, ExitWhen, FatalScript, FcgiSocket, FlappingLimit,
    GroupChange, GroupChangeResult, GroupKind, GroupSpec, HealthAction, HealthCheck, HealthSpec,
    Hooks, InternedDefault as _, KeyOrigins, KillMode, LimitAmount, LogSpec, LogTarget,
    NotificationSpec, NotifySpec, OnFatal, ProcessKind, ProcessSpec, ProgramSpec, ProgramTemplate,
    ReportCondition, ReportFormat, RestartPolicy, ScheduleSpec, Script, UNLIMITED_RETRIES,
    WatchSpec,
};
use supervisord::domain::{GroupName, LinePattern, Namespec, ProcessName, Seconds, Signal};

use crate::rng::Rng;

/// The expressions in use, with the longest time between two occurrences in seconds.
pub(crate) const EXPRESSIONS: &[(&str, i64)] = &[
    ("* * * * * *", 1),
    ("*/7 * * * * *", 7),
    ("* * * * *", 60),
    ("@hourly", 3600),
    ("@every 3s", 3),
    ("@every 90s", 90),
];

/// A configuration of about `size` processes.
pub(crate) fn config(rng: &mut Rng, size: u64) -> Arc<Config> {
    let mut groups = Vec::new();
    let mut left = size;
    let mut number = 0;
    while left > 0 {
        let members = 1 + rng.below(left.min(if size > 200 { 60 } else { 5 }));
        left -= members;
        // Names repeat between configurations, so that rereads find changed, unchanged, added and removed groups.
        number += 1 + rng.below(2);
        groups.push(Arc::new(group(rng, number, members)));
    }
    groups.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    Arc::new(Config {
        daemon: daemon(rng),
        servers: Vec::new(),
        rpc_interfaces: vec!["supervisor".to_owned()],
        twiddler: None,
        groups,
        remote: None,
        notes: Vec::new(),
        warnings: Vec::new(),
        listed: Vec::new(),
        is_implied: false,
        notifications: notifications(rng),
    })
}

/// The largest `rolling` of a group.
pub(crate) const ROLLING_MAX: u32 = 2;

fn group(rng: &mut Rng, number: u64, members: u64) -> GroupSpec {
    let name = GroupName::parse(&format!("g{number}")).expect("valid");
    let listens = rng.one_in(6);
    let mut processes: Vec<_> = (0..members)
        .map(|place| {
            let mut process = process(rng, &name, place);
            if listens {
                process.kind = ProcessKind::Listener;
            }
            Arc::new(process)
        })
        .collect();
    let members = processes
        .iter()
        .map(|process| process.name.clone())
        .collect();
    processes.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    GroupSpec {
        name,
        priority: rng.pick(&[1, 5, 999, 999, 999]),
        kind: if listens {
            GroupKind::Listeners {
                events: rng
                    .pick::<&[&str]>(&[
                        &["EVENT"],
                        &["PROCESS_STATE"],
                        &["TICK_5", "PROCESS_LOG"],
                        &["TICK", "TICK_60", "SUPERVISOR_STATE_CHANGE"],
                        &["PROCESS_GROUP", "PROCESS_COMMUNICATION", "TICK_3600"],
                    ])
                    .iter()
                    .map(|name| (*name).to_owned())
                    .collect(),
                buffer_size: rng.pick(&[1, 10, 10, 1000]),
                result_handler: rng
                    .pick(&["supervisor.dispatchers:default_handler", "mine:handler"])
                    .to_owned(),
            }
        } else {
            GroupKind::Programs
        },
        processes,
        // One program with the group's name, so that requests can name it without the group.
        programs: vec![ProgramSpec {
            template: template(&format!("g{number}")),
            members,
            scaled: false,
        }],
        rolling: rng.pick(&[0, 0, 1, ROLLING_MAX]),
    }
}

fn template(program: &str) -> Arc<ProgramTemplate> {
    Arc::new(ProgramTemplate {
        origins: KeyOrigins::default(),
        section: Arc::from(format!("program:{program}")),
        file: Arc::from("/etc/supervisord.conf"),
        here: Arc::from("/etc"),
        options: Arc::from([]),
        environment: Arc::from([]),
        kind: ProcessKind::Program,
    })
}

/// The result of the loader for `order`.
pub(crate) fn composition(rng: &mut Rng, order: &GroupChange) -> GroupChangeResult {
    let (template, places) = match order {
        GroupChange::Rescale {
            template, numprocs, ..
        } => (
            Arc::clone(template),
            0..u64::try_from(*numprocs).expect("admitted"),
        ),
        GroupChange::Program { name, .. } => {
            let first = rng.below(12);
            (template(name), first..first + rng.below(4))
        }
    };
    let mut processes: Vec<_> = places
        .map(|place| Arc::new(process(rng, order.group(), place)))
        .collect();
    let members = processes
        .iter()
        .map(|process| process.name.clone())
        .collect();
    processes.sort_by(|a, b| (a.priority, &a.name).cmp(&(b.priority, &b.name)));
    GroupChangeResult {
        template,
        members,
        processes,
    }
}

fn process(rng: &mut Rng, group: &GroupName, place: u64) -> ProcessSpec {
    let mut notify = notify(rng);
    notify.check = rng.one_in(6);
    ProcessSpec {
        command: Arc::from(format!("/bin/p{}", rng.below(3))),
        priority: rng.pick(&[1, 999, 999]),
        autostart: rng.percent(70),
        autorestart: rng.pick(&[
            AutoRestart::Always,
            AutoRestart::Never,
            AutoRestart::Unexpected,
        ]),
        startsecs: Seconds(rng.pick(&[-1, 0, 0, 1, 1, 2, 10])),
        startretries: rng.pick(&[-1, 0, 1, 3, 3, 20, UNLIMITED_RETRIES]),
        exitcodes: rng.pick::<&[u8]>(&[&[], &[0], &[0, 2]]).into(),
        stopsignal: rng.pick(&[Signal::TERM, Signal::TERM, Signal::KILL]),
        later_stopsignals: rng
            .pick::<&[Signal]>(&[&[], &[], &[Signal::ABRT], &[Signal::CONT, Signal::ABRT]])
            .into(),
        stopwaitsecs: Seconds(rng.pick(&[-5, 0, 1, 3, 10, 10])),
        stopasgroup: rng.percent(20),
        killasgroup: rng.percent(20),
        stdout: log(rng),
        stderr: log(rng),
        kind: if rng.one_in(4) {
            ProcessKind::Fcgi(socket())
        } else {
            ProcessKind::Program
        },
        restart_floor: Seconds(rng.pick(&[0, 1, 1, 5])),
        restart: restart(rng),
        // Rare, because each end ends a world.
        essential: rng.one_in(300),
        on_fatal: match rng.below(100) {
            0 => OnFatal::Shutdown,
            1..=20 => OnFatal::Exec(Arc::new(FatalScript {
                script: check(),
                limit: Seconds(60),
            })),
            _ => OnFatal::Nothing,
        },
        notify,
        ready_log: LinePattern::parse("ready").ok().filter(|_| notify.log),
        ready_check: notify.check.then(|| Arc::new(check())),
        health: rng.one_in(4).then(|| Arc::new(health(rng))),
        hooks: rng.one_in(4).then(|| Arc::new(hooks(rng))),
        watch: rng.one_in(3).then(|| Arc::new(watch(rng))),
        resources: resources(rng),
        schedule: (place % 3 == 1).then(|| schedule(rng)),
        dependencies: dependencies(rng, group),
        ..ProcessSpec::new(
            ProcessName::parse(&format!("p{place}")).expect("valid"),
            group.clone(),
        )
    }
}

/// A random policy of restarts. Most processes have none.
fn restart(rng: &mut Rng) -> RestartPolicy {
    if rng.percent(60) {
        return RestartPolicy::default();
    }
    let delay = rng.pick(&[0, 0, 1, 3]);
    RestartPolicy {
        pause: Seconds(rng.pick(&[0, 0, 2, 7])),
        delay: Seconds(delay),
        delay_max: Seconds(rng.pick(&[0, delay, 10, 100])),
        jitter_permille: rng.pick(&[0, 0, 100, 1000]),
        reset_after: Seconds(rng.pick(&[0, 0, 2, 60])),
    }
}

/// Random readiness settings. Most processes send no notifications.
fn notify(rng: &mut Rng) -> NotifySpec {
    let socket = rng.one_in(4);
    let ready_fd = rng.one_in(10).then_some(5);
    NotifySpec {
        socket,
        ready_fd,
        check: false,
        log: rng.one_in(8),
        ready_timeout: Seconds(rng.pick(&[0, 1, 5, 90])),
        watchdog: Seconds(if socket {
            rng.pick(&[0, 0, 1, 2, 30])
        } else {
            0
        }),
    }
}

/// A random schedule. Every third process has one in every configuration, so that invariants about restarts know which
/// processes start at any time.
fn schedule(rng: &mut Rng) -> Arc<ScheduleSpec> {
    let (cron, _) = rng.pick(EXPRESSIONS);
    Arc::new(ScheduleSpec {
        cron: Arc::from(cron),
        overlap: rng.pick(&[CronOverlap::Skip, CronOverlap::Queue, CronOverlap::Kill]),
        missed: rng.pick(&[CronMissed::Skip, CronMissed::Once]),
        jitter: Seconds(rng.pick(&[0, 0, 2, 1000])),
    })
}

/// Random dependencies on groups with a lower number, so that no mixture of configurations has a cycle.
fn dependencies(rng: &mut Rng, group: &GroupName) -> Arc<Dependencies> {
    let number: u64 = group.as_str()[1..].parse().unwrap_or(0);
    let mut dependencies = Dependencies::default();
    if number < 2 || !rng.one_in(3) {
        return dependencies.into_shared();
    }
    for _ in 0..=rng.below(2) {
        let target = format!("g{}", 1 + rng.below(number - 1));
        let suffix = rng.pick(&["", "", ":*", ":p0", ":p1"]);
        let condition = rng.pick(&["", "", "", ":started", ":ready", ":healthy", ":exited-ok"]);
        let text = format!("{target}{suffix}{condition}");
        let parsed = depends_on(&text).expect("valid");
        if rng.one_in(3) {
            let targets = parsed.iter().map(|dependency| dependency.target.clone());
            dependencies.restart_with.extend(targets);
        }
        if rng.one_in(8) {
            let state = rng.pick(&["running", "exited", "running,exited", "stopped"]);
            dependencies.starts_with_plugin = true;
            let text = format!("{target}{suffix}:{state}");
            dependencies
                .wait_for
                .extend(wait_for(&text).expect("valid"));
        } else {
            dependencies.depends_on.extend(parsed);
        }
    }
    dependencies.into_shared()
}

/// No notification, or up to two.
fn notifications(rng: &mut Rng) -> Vec<NotificationSpec> {
    let count = if rng.one_in(2) { rng.below(3) } else { 0 };
    (0..count).map(|number| notification(rng, number)).collect()
}

fn notification(rng: &mut Rng, number: u64) -> NotificationSpec {
    let name = format!("n{number}");
    let process = ProcessSpec::new(
        ProcessName::parse(&name).expect("valid"),
        GroupName::parse(&name).expect("valid"),
    );
    let mut on: Vec<ReportCondition> = ReportCondition::ALL
        .iter()
        .filter(|_| !rng.one_in(3))
        .map(|&(condition, _)| condition)
        .collect();
    if on.is_empty() {
        on.push(ReportCondition::Fatal);
    }
    NotificationSpec {
        on,
        programs: match rng.one_in(3) {
            true => vec![Namespec::parse("g1")],
            false => Vec::new(),
        },
        format: rng.pick(&[ReportFormat::Text, ReportFormat::Json]),
        interval: Seconds(rng.pick(&[1, 10, 60])),
        flapping: FlappingLimit {
            exits: rng.pick(&[2, 5]),
            seconds: rng.pick(&[5, 600]),
        },
        script: check(),
        timeout: Seconds(60),
        process: Arc::new(process),
    }
}

fn check() -> Script {
    Script::Command("/bin/check".to_owned())
}

/// Random hooks.
fn hooks(rng: &mut Rng) -> Hooks {
    Hooks {
        pre_start: rng.one_in(3).then(check),
        pre_start_required: rng.one_in(2),
        post_start: rng.one_in(3).then(check),
        pre_stop: rng.one_in(3).then(check),
        post_stop: rng.one_in(3).then(check),
        stop_command: rng.one_in(3).then(check),
        timeout: Seconds(rng.pick(&[1, 60])),
        ..Hooks::default()
    }
}

/// A random watch.
fn watch(rng: &mut Rng) -> WatchSpec {
    let reaction = |rng: &mut Rng| match rng.below(4) {
        0 => ChangeReaction::Script(check()),
        1 => ChangeReaction::Signals(vec![Signal::CONT]),
        _ => ChangeReaction::Restart,
    };
    WatchSpec {
        binary: Some(BinaryWatch {
            file: "/bin/p".to_owned(),
            reaction: reaction(rng),
        }),
        directory: rng.one_in(2).then(|| DirectoryWatch {
            path: "/srv".to_owned(),
            patterns: vec!["*".to_owned()],
            reaction: reaction(rng),
        }),
        delay: Seconds(rng.pick(&[0, 1, 1, 10])),
    }
}

/// A random health check.
fn health(rng: &mut Rng) -> HealthSpec {
    HealthSpec {
        check: match rng.below(3) {
            0 => HealthCheck::Log {
                log: LinePattern::parse("ERROR").expect("valid"),
            },
            _ => HealthCheck::Script(check()),
        },
        initial_delay: Seconds(rng.pick(&[0, 0, 5, 60])),
        first_period: Seconds(1),
        period: Seconds(rng.pick(&[1, 5, 30])),
        timeout: Seconds(rng.pick(&[1, 10])),
        start_period: Seconds(rng.pick(&[0, 0, 10])),
        success_threshold: rng.pick(&[1, 2]),
        failure_threshold: rng.pick(&[1, 3]),
        on_healthy: rng.one_in(4).then(check),
        on_unhealthy: match rng.below(5) {
            0 => HealthAction::None,
            1 => HealthAction::Restart,
            2 => HealthAction::Stop,
            3 => HealthAction::Signal(Signal::TERM),
            _ => HealthAction::Script(check()),
        },
    }
}

fn resources(rng: &mut Rng) -> Arc<CgroupLimits> {
    let resources = CgroupLimits {
        pids_max: rng.one_in(4).then(|| LimitAmount(Some(rng.below(9) + 1))),
        kill_mode: rng.pick(&[KillMode::Process, KillMode::ControlGroup]),
        ..CgroupLimits::default()
    };
    resources.into_shared()
}

fn socket() -> Arc<FcgiSocket> {
    Arc::new(FcgiSocket {
        program: Arc::from("p"),
        url: "unix:///run/p".to_owned(),
        mode: None,
        owner: (None, None),
        backlog: None,
    })
}

fn log(rng: &mut Rng) -> LogSpec {
    LogSpec::new(match rng.below(3) {
        0 => LogTarget::None,
        1 => LogTarget::Auto,
        _ => LogTarget::File(Arc::from(Path::new("/var/log/p"))),
    })
}

fn daemon(rng: &mut Rng) -> DaemonSpec {
    DaemonSpec {
        logfile: PathBuf::from("/var/log/supervisord.log"),
        pidfile: PathBuf::from("/run/supervisord.pid"),
        umask: 0o22,
        nodaemon: true,
        silent: true,
        minfds: 1024,
        minprocs: 200,
        childlogdir: PathBuf::from("/tmp"),
        exit_when: match rng.below(40) {
            0 => ExitWhen::AnyFatal,
            1 | 2 => ExitWhen::AllExited,
            3 => ExitWhen::Ended(Namespec::parse(rng.pick(&["g1:*", "g1:p0", "g2"]))),
            _ => ExitWhen::Never,
        },
        identifier: format!("id{}", rng.below(3)),
        ..DaemonSpec::empty()
    }
}
