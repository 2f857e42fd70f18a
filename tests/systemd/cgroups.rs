//! The programs' scope beside the service, and limits where the kernel has their controllers.

use std::time::Instant;

use crate::service::{SLEEPER, UNIT, configure, ctl, drop_in, install, pid_of};
use crate::support::machine::{Machine, trial, virtual_trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("programs_are_in_a_scope_beside_the_service", scope),
        ("a_stop_leaves_no_process", stopped),
        (
            "a_stop_leaves_no_process_of_a_dead_daemon",
            stopped_without_daemon,
        ),
        ("no_program_runs_twice_after_a_crash", crashed),
        (
            "the_scope_outlasts_its_programs_and_is_created_again",
            made_again,
        ),
        ("the_service_manager_may_re_execute", reexecuted),
        ("no_bus_is_needed", without_bus),
        ("each_instance_has_a_scope", instances),
        ("a_daemon_without_root_uses_delegated_controllers", not_root),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("cgroups::{name}"), test))
        .chain([virtual_trial(
            "cgroups::limits_hold_and_are_reported",
            limits,
        )])
        .collect()
}

const SCOPE: &str = "supervisord-programs.scope";
const TREE: &str = "/sys/fs/cgroup/system.slice/supervisord-programs.scope";

/// A process that a program leaves behind and that ignores every signal it can.
const STRAY: &str = "[program:tree]\ncommand=/bin/sh -c 'trap \"\" TERM; (setsid sh -c \"echo \\$\\$ >> /tmp/strays; exec sleep 1000\" &); \
                     exec sleep 1000'\nstartsecs=0\nstopwaitsecs=1\n";

fn alive(machine: &Machine, pid: &str) -> Result<bool, String> {
    Ok(machine
        .run(&["test", "-e", &format!("/proc/{pid}/fd")])?
        .code
        == 0)
}

fn is_there(machine: &Machine, path: &str) -> Result<bool, String> {
    Ok(machine.run(&["test", "-e", path])?.code == 0)
}

fn log(machine: &Machine) -> Result<String, String> {
    machine.sh("cat /var/log/supervisord.log")
}

/// Starts from nothing, with this configuration.
fn start(machine: &Machine, programs: &str) -> Result<(), String> {
    install(machine, "", programs)?;
    machine.sh(
        "rm -f /tmp/strays /var/log/supervisord.log; systemctl stop supervisord-programs.scope 2>/dev/null || true
         systemctl start supervisord",
    )?;
    Ok(())
}

fn strays(machine: &Machine, count: usize) -> Result<Vec<String>, String> {
    let mut found = Vec::new();
    wait_for("strays", LIMIT, || {
        let text = machine
            .sh("cat /tmp/strays 2>/dev/null || true")
            .unwrap_or_default();
        found = text.split_whitespace().map(str::to_owned).collect();
        found.len() >= count
    })?;
    Ok(found)
}

fn scope(machine: &Machine) -> Result<(), String> {
    let begun = Instant::now();
    start(
        machine,
        &format!(
            "{SLEEPER}[program:many]\ncommand=/bin/sleep infinity\nstartsecs=0\nnumprocs=2\nprocess_name=%(process_num)02d\n"
        ),
    )?;
    println!("started within {:?}", begun.elapsed());
    for (name, value) in [
        ("ActiveState", "active"),
        ("Delegate", "yes"),
        ("PartOf", UNIT),
        ("TasksMax", "infinity"),
        ("CollectMode", "inactive-or-failed"),
    ] {
        let found = machine.property(SCOPE, name)?;
        expect(
            found == value,
            format!("{name} is {found}: {}", machine.story(SCOPE)),
        )?;
    }
    let before = machine.property(SCOPE, "Before")?;
    expect(before.split(' ').any(|unit| unit == UNIT), before)?;
    for name in ["BindsTo", "StopPropagatedFrom"] {
        expect(machine.property(SCOPE, name)?.is_empty(), name)?;
    }
    machine.wait_property(UNIT, "StatusText", "3/3 running")?;
    for (name, directory) in [("web", "web:web"), ("many:01", "many:01")] {
        let pid = pid_of(machine, name)?;
        let cgroup = machine.sh(&format!("cat /proc/{pid}/cgroup"))?;
        expect(
            cgroup
                .lines()
                .any(|line| line == format!("0::/system.slice/{SCOPE}/{directory}")),
            format!("{name} is in {cgroup}"),
        )?;
    }
    let daemon = machine.property(UNIT, "MainPID")?;
    let own = machine.sh("cat /sys/fs/cgroup/system.slice/supervisord.service/cgroup.procs")?;
    expect(own.trim() == daemon, format!("in the service: {own}"))?;
    // The fd holder is recognised by its name, and its environment has no secret of the daemon.
    let holder = machine
        .sh(&format!("cat {TREE}/.hold/cgroup.procs"))?
        .trim()
        .to_owned();
    let shown = machine.sh(&format!(
        "ps -o comm=,args= -p {holder}; tr '\\0' '\\n' < /proc/{holder}/environ"
    ))?;
    let words: Vec<&str> = shown.split_whitespace().collect();
    expect(
        words == ["supervisord-fd-", "supervisord-fd-holder"],
        shown.clone(),
    )?;
    let log = log(machine)?;
    expect(
        log.contains(&format!(
            "programs run in cgroups below /system.slice/{SCOPE}"
        )),
        log,
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn stopped(machine: &Machine) -> Result<(), String> {
    // Processes that kill_mode=process leaves are stopped with the scope.
    for keys in ["", "kill_mode=control-group\n"] {
        start(machine, &format!("{STRAY}{keys}"))?;
        let stray = strays(machine, 1)?.remove(0);
        let holder = machine
            .sh(&format!("cat {TREE}/.hold/cgroup.procs"))?
            .trim()
            .to_owned();
        machine.sh("systemctl stop supervisord")?;
        expect(
            machine.property(UNIT, "Result")? == "success",
            machine.story(UNIT),
        )?;
        machine.wait_property(SCOPE, "ActiveState", "inactive")?;
        expect(
            !alive(machine, &stray)? && !alive(machine, &holder)?,
            format!("something is left, {keys}"),
        )?;
        expect(!is_there(machine, TREE)?, "the scope is left")?;
    }
    // A daemon that exits by itself stops the fd holder too.
    start(machine, SLEEPER)?;
    ctl(machine, "shutdown")?;
    machine.wait_property(UNIT, "ActiveState", "inactive")?;
    machine.wait_property(SCOPE, "ActiveState", "inactive")
}

fn stopped_without_daemon(machine: &Machine) -> Result<(), String> {
    start(machine, &format!("{STRAY}{SLEEPER}"))?;
    let (stray, web) = (strays(machine, 1)?.remove(0), pid_of(machine, "web")?);
    drop_in(machine, "RestartSec=1000")?;
    machine.sh("systemctl kill -s KILL --kill-who=main supervisord")?;
    machine.wait_property(UNIT, "SubState", "auto-restart")?;
    expect(
        alive(machine, &web)? && alive(machine, &stray)?,
        "a crash of the daemon ends programs",
    )?;
    machine.sh("systemctl stop supervisord")?;
    machine.wait_property(SCOPE, "ActiveState", "inactive")?;
    expect(
        !alive(machine, &web)? && !alive(machine, &stray)?,
        "a program is left",
    )?;
    expect(!is_there(machine, TREE)?, "the scope is left")
}

fn crashed(machine: &Machine) -> Result<(), String> {
    start(machine, SLEEPER)?;
    let (web, scope) = (
        pid_of(machine, "web")?,
        machine.property(SCOPE, "InvocationID")?,
    );
    machine.sh("systemctl kill -s KILL --kill-who=main supervisord")?;
    machine.wait_property(UNIT, "NRestarts", "1")?;
    machine.wait_property(UNIT, "StatusText", "1/1 running")?;
    expect(
        machine.property(SCOPE, "InvocationID")? == scope,
        "another scope",
    )?;
    let count = machine.sh("pgrep -xc sleep || true")?;
    let again = pid_of(machine, "web")?;
    expect(again == web, "another program")?;
    let in_it = machine.sh(&format!("cat {TREE}/web:web/cgroup.procs"))?;
    expect(
        in_it.trim() == again,
        format!("in its cgroup: {in_it} ({web}, {again}, {count})"),
    )?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn made_again(machine: &Machine) -> Result<(), String> {
    start(machine, SLEEPER)?;
    ctl(machine, "stop web")?;
    expect(
        machine.property(SCOPE, "ActiveState")? == "active",
        "the scope went with its last program",
    )?;
    // The cgroup of a program without limits stays for its next instance, and is empty.
    let left = machine.sh(&format!("cat {TREE}/web:web/cgroup.procs"))?;
    expect(left.is_empty(), left)?;
    ctl(machine, "start web")?;
    let pid = pid_of(machine, "web")?;
    // Without the daemon's knowledge.
    machine.sh(&format!("systemctl stop {SCOPE}"))?;
    expect(!alive(machine, &pid)?, "it lives")?;
    ctl(machine, "start web")?;
    // The fd holder was stopped with the scope. The status line says so until it changes.
    wait_for("the program runs", LIMIT, || {
        let status = machine.property(UNIT, "StatusText");
        status.is_ok_and(|status| status.starts_with("1/1 running"))
    })?;
    let pid = pid_of(machine, "web")?;
    let cgroup = machine.sh(&format!("cat /proc/{pid}/cgroup"))?;
    expect(cgroup.contains(SCOPE), cgroup)?;
    expect(
        machine.property(SCOPE, "ActiveState")? == "active",
        machine.story(SCOPE),
    )?;
    // Made by the start or by the other fd holder, whichever came first.
    wait_for("the scope is made again", LIMIT, || {
        let log = log(machine).unwrap_or_default();
        [
            "fd holder restarted with pid",
            "was removed; created it again",
        ]
        .iter()
        .all(|line| log.contains(line))
    })?;
    // The cgroup is removed with the program.
    ctl(machine, "stop web")?;
    ctl(machine, "remove web")?;
    wait_for("its cgroup is removed", LIMIT, || {
        is_there(machine, &format!("{TREE}/web:web")).is_ok_and(|is_there| !is_there)
    })?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn reexecuted(machine: &Machine) -> Result<(), String> {
    start(machine, SLEEPER)?;
    let pid = pid_of(machine, "web")?;
    machine.sh("systemctl daemon-reload; systemctl daemon-reexec")?;
    expect(alive(machine, &pid)?, "it is dead")?;
    expect(
        machine.property(SCOPE, "PartOf")? == UNIT,
        machine.story(SCOPE),
    )?;
    ctl(machine, "restart web")?;
    let pid = pid_of(machine, "web")?;
    let cgroup = machine.sh(&format!("cat /proc/{pid}/cgroup"))?;
    expect(cgroup.contains(SCOPE), cgroup)?;
    machine.sh("systemctl stop supervisord")?;
    machine.wait_property(SCOPE, "ActiveState", "inactive")
}

fn without_bus(machine: &Machine) -> Result<(), String> {
    machine.sh("systemctl stop dbus.socket dbus.service")?;
    let result = start(machine, SLEEPER).and_then(|()| {
        let path = format!("{TREE}/web:web");
        expect(is_there(machine, &path)?, log(machine)?)?;
        machine.sh("systemctl stop supervisord").map(drop)
    });
    machine.sh("systemctl start dbus.socket")?;
    result
}

fn instances(machine: &Machine) -> Result<(), String> {
    install(machine, "", SLEEPER)?;
    machine.sh(
        "cd /etc/systemd/system; systemctl stop supervisord
         sed 's,/etc/supervisor/supervisord.conf,/etc/supervisor/%i.conf,' supervisord.service > supervisord@.service
         for i in one two; do sed \"s,/run/supervisor/,/run/supervisor/$i-,; s,supervisord\\.\\(log\\|pid\\),$i.\\1,\" /etc/supervisor/supervisord.conf > /etc/supervisor/$i.conf; done
         systemctl daemon-reload; systemctl start supervisord@one supervisord@two",
    )?;
    let pid = |name: &str| {
        machine
            .sh(&format!(
                "supervisorctl -c /etc/supervisor/{name}.conf pid web"
            ))
            .map(|text| text.trim().to_owned())
    };
    let (one, two) = (pid("one")?, pid("two")?);
    let cgroups = machine.sh(&format!("cat /proc/{one}/cgroup /proc/{two}/cgroup"))?;
    for name in ["one", "two"] {
        expect(
            cgroups.contains(&format!("supervisord\\x40{name}-programs.scope/web:web")),
            cgroups.clone(),
        )?;
    }
    machine.sh("systemctl stop supervisord@one")?;
    expect(
        !alive(machine, &one)? && alive(machine, &two)?,
        "the wrong one was stopped",
    )?;
    machine.sh("systemctl stop supervisord@two; rm /etc/systemd/system/supervisord@.service; systemctl daemon-reload").map(drop)
}

fn not_root(machine: &Machine) -> Result<(), String> {
    install(machine, "", "")?;
    let keys = "kill_mode=control-group\nmemory_max=1GB\n";
    let config = format!(
        "[unix_http_server]\nfile=/home/tester/s\n[supervisord]\nlogfile=/home/tester/log\npidfile=/home/tester/pid\nchildlogdir=/tmp\n\
         [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
         [supervisorctl]\nserverurl=unix:///home/tester/s\n{STRAY}{keys}"
    );
    machine.write("/home/tester/supervisord.conf", &config)?;
    for delegate in ["yes", "no"] {
        let unit = format!(
            "[Service]\nUser=tester\nType=notify\nDelegate={delegate}\nRestart=on-failure\nRestartSec=100ms\nKillMode=mixed\n\
             ExecStart=/usr/bin/supervisord -n -c /home/tester/supervisord.conf\n"
        );
        machine.write("/etc/systemd/system/plain.service", &unit)?;
        machine.sh("rm -f /tmp/strays /home/tester/log; chown -R tester:tester /home/tester; systemctl daemon-reload; systemctl start plain")?;
        let stray = strays(machine, 1)?.remove(0);
        let log = machine.sh("cat /home/tester/log")?;
        let told = if delegate == "yes" {
            "programs run in cgroups below /system.slice/plain.service/supervisord, without the controllers memory \
             (keys without effect: memory_max)"
        } else {
            "programs have no cgroups: cannot create cgroups in system.slice/plain.service (Permission denied (os error 13)) \
             (keys without effect: kill_mode=control-group, memory_max)"
        };
        expect(log.contains(told), log)?;
        machine.sh("supervisorctl -c /home/tester/supervisord.conf stop tree")?;
        expect(
            alive(machine, &stray)? == (delegate == "no"),
            format!("Delegate={delegate}: wrong about the stray"),
        )?;
        machine.sh("rm -f /tmp/strays; systemctl kill -s KILL --kill-who=main plain")?;
        machine.wait_property("plain.service", "NRestarts", "1")?;
        machine.wait_property("plain.service", "ActiveState", "active")?;
        machine.sh("systemctl stop plain; systemctl reset-failed")?;
    }
    machine
        .sh("rm /etc/systemd/system/plain.service; systemctl daemon-reload")
        .map(drop)
}

/// Allocates all memory that it can get.
const HOG: &str = "[program:hog]\ncommand=/bin/sh -c 'exec head -c 60m /dev/zero | tail -n 1'\nautostart=false\nautorestart=false\nstartsecs=0\n\
                   memory_max=20MB\n";
const FORKS: &str = "[program:forks]\ncommand=/bin/sh -c 'for i in 1 2 3 4 5 6 7 8; do sleep 1000 & done; exit 3'\nautostart=false\n\
                     autorestart=false\nstartsecs=0\npids_max=4\nkill_mode=control-group\n";
const BUSY: &str = "[program:busy]\ncommand=/bin/sh -c 'while :; do :; done'\nstartsecs=0\n";

/// Processor time of a cgroup in microseconds.
fn usage(machine: &Machine) -> Result<u64, String> {
    let text = machine.sh(&format!("cat {TREE}/busy:busy/cpu.stat"))?;
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix("usage_usec "));
    line.and_then(|number| number.parse().ok()).ok_or(text)
}

/// Prints the page of the program `busy`.
const PROCESS_PAGE: &str = r#"
import socket
s = socket.socket(socket.AF_UNIX)
s.connect("/run/supervisor/supervisor.sock")
s.sendall(b"GET /process.html?name=busy HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n")
print(s.makefile("rb").read().decode())
"#;

fn limits(machine: &Machine) -> Result<(), String> {
    let begun = Instant::now();
    start(
        machine,
        &format!("{HOG}{FORKS}{BUSY}cpu_max=20%\ncpu_weight=50\n"),
    )?;
    println!("started after {:?}", begun.elapsed());
    // Processor time over ten seconds, by the machine's clock. A busy machine may give less, never more. The kernel
    // counts how often the limit throttled the program.
    let measured = machine.sh(&format!(
        "a=$(sed -n 's/usage_usec //p' {TREE}/busy:busy/cpu.stat); s=$(date +%s%N); sleep 10
         b=$(sed -n 's/usage_usec //p' {TREE}/busy:busy/cpu.stat); e=$(date +%s%N); echo $(( (b - a) * 100000 / ((e - s) / 1000) ))"
    ))?;
    let share: u64 = measured.trim().parse().map_err(|_| measured.clone())?;
    println!("cpu_max=20% gave {}.{:03} %", share / 1000, share % 1000);
    let throttled = machine.sh(&format!(
        "sed -n 's/^nr_throttled //p' {TREE}/busy:busy/cpu.stat"
    ))?;
    expect(
        share <= 22_000 && !["", "0"].contains(&throttled.trim()),
        format!("{share} thousandths of a percent, throttled {throttled:?} times"),
    )?;
    // A program above its memory limit is killed, and that is logged.
    let before = usage(machine)?;
    ctl(machine, "start hog")?;
    wait_for("hog has ended", 3 * LIMIT, || {
        ctl(machine, "status hog").is_ok_and(|status| status.contains("EXITED"))
    })
    .map_err(|why| {
        let about = machine.sh(&format!(
            "cat {TREE}/hog:hog/memory.*; tail /var/log/supervisord.log"
        ));
        format!("{why}: {about:?}")
    })?;
    let status = ctl(machine, "status hog")?;
    expect(status.contains(", killed by the OOM killer"), status)?;
    expect(
        log(machine)?.contains("hog: resource limits reached: killed by the OOM killer"),
        log(machine)?,
    )?;
    expect(
        machine.property(SCOPE, "ActiveState")? == "active",
        machine.story(SCOPE),
    )?;
    ctl(machine, "start forks")?;
    wait_for("forks has ended", LIMIT, || {
        ctl(machine, "status forks").is_ok_and(|status| status.contains("EXITED"))
    })?;
    let status = ctl(machine, "status forks")?;
    expect(status.contains(", reached pids_max"), status)?;
    // Limits change while the program runs, without a restart.
    let pid = pid_of(machine, "busy")?;
    configure(
        machine,
        "",
        &format!("{HOG}{FORKS}{BUSY}cpu_max=40%\npids_max=9\nmemory_high=100MB\n"),
    )?;
    let told = ctl(machine, "update")?;
    expect(told.trim().is_empty(), told)?;
    let mut found = String::new();
    wait_for("the new limits", LIMIT, || {
        found = machine
            .sh(&format!(
                "cd {TREE}/busy:busy; cat cpu.max cpu.weight pids.max memory.high memory.max"
            ))
            .unwrap_or_default();
        found == "40000 100000\n100\n9\n104857600\nmax\n"
    })
    .map_err(|why| format!("{why}: {found}"))?;
    expect(
        pid_of(machine, "busy")? == pid && usage(machine)? >= before,
        "it was restarted",
    )?;
    expect(
        log(machine)?.contains("busy: applied new limits to the running process"),
        log(machine)?,
    )?;
    // The page of the program shows what its cgroup counts, and its limits.
    let page = machine.sh(&format!("/usr/bin/python3 -c '{PROCESS_PAGE}'"))?;
    for part in [
        "Memory peak",
        "Processes and threads</dt><dd>1</dd>",
        "<code>cpu_max</code></dt><dd>40.0 %",
        "<code>pids_max</code></dt><dd>9",
        "100.0 MiB",
    ] {
        let about = page
            .split_once("id=\"usage\"")
            .map_or(page.as_str(), |it| it.1);
        expect(about.contains(part), format!("no {part:?} in {about}"))?;
    }
    machine.sh("systemctl stop supervisord")?;
    expect(
        machine.property(UNIT, "Result")? == "success",
        machine.story(UNIT),
    )?;
    println!("all of it took {:?}", begun.elapsed());
    Ok(())
}
