//! The .deb in machines with a real systemd: alone, as the replacement of Debian's Supervisor package and back, and
//! upgraded while programs write.

use crate::made::{HIGHER, Kind, OURS, both};
use crate::support::machine::{Machine, trial_bare};
use crate::support::numbered::{self, WRITERS, complete, pids};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("deb::it_runs_after_the_installation", fresh),
        ("deb::the_quick_start_of_the_guide_works", quick_start),
        ("deb::a_remove_and_a_purge_leave_nothing", removed),
        (
            "deb::it_replaces_supervisor_and_supervisor_replaces_it",
            takeover,
        ),
        ("deb::a_purge_of_supervisor_removes_nothing_of_ours", purged),
        ("deb::a_disabled_service_stays_disabled", disabled),
        ("deb::an_upgrade_keeps_programs_running", upgraded),
    ];
    list.iter()
        .map(|&(name, test)| {
            trial_bare(
                name,
                || both(Kind::Deb),
                move |machine| {
                    if machine.run(&["apt-get", "update", "-q"])?.code != 0 {
                        return Ok(Outcome::Skipped(
                            "no packages of Debian to be had".to_owned(),
                        ));
                    }
                    test(machine).map(|()| Outcome::Passed)
                },
            )
        })
        .collect()
}

pub(crate) const UNIT: &str = "supervisord.service";

/// Runs apt-get and returns its output. It must succeed.
pub(crate) fn apt(machine: &Machine, words: &str) -> Result<String, String> {
    machine.sh(&format!(
        "DEBIAN_FRONTEND=noninteractive apt-get -qy --no-install-recommends {words} </dev/null 2>&1"
    ))
}

fn install(machine: &Machine, version: &str) -> Result<String, String> {
    apt(
        machine,
        &format!("install /shown/{}", Kind::Deb.file(version)),
    )
}

/// A program in its own file.
fn program(machine: &Machine, name: &str) -> Result<(), String> {
    let text = format!("[program:{name}]\ncommand=/bin/sleep infinity\nstartsecs=0\n");
    machine.write(&format!("/etc/supervisor/conf.d/{name}.conf"), &text)
}

fn running(machine: &Machine, names: &[&str]) -> Result<(), String> {
    let mut status = String::new();
    wait_for("all programs are RUNNING", LIMIT, || {
        status = machine
            .sh("supervisorctl status || true")
            .unwrap_or_default();
        names.iter().all(|name| {
            let mut lines = status.lines();
            lines.any(|line| line.starts_with(name) && line.contains(" RUNNING "))
        })
    })
    .map_err(|why| format!("{why}: {status}{}", machine.story(UNIT)))
}

fn version_is(machine: &Machine, version: &str) -> Result<(), String> {
    let said = machine.sh("supervisorctl version")?;
    expect(said.trim() == version, format!("the daemon is {said}"))
}

/// Waits until Supervisor answers: its unit is active before its socket exists.
fn supervisor_answers(machine: &Machine) -> Result<(), String> {
    wait_for("Supervisor answers", LIMIT, || {
        machine
            .run(&["supervisorctl", "version"])
            .is_ok_and(|done| done.code == 0)
    })?;
    version_is(machine, "4.2.5")
}

fn fresh(machine: &Machine) -> Result<(), String> {
    let said = install(machine, OURS)?;
    expect(!said.contains("warning"), said)?;
    expect(
        machine.sh("systemctl is-enabled supervisord")?.trim() == "enabled",
        "not enabled",
    )?;
    machine.wait_property(UNIT, "ActiveState", "active")?;
    // The unit name of Supervisor is an alias of our unit.
    machine.wait_property(
        "supervisor.service",
        "MainPID",
        &machine.property(UNIT, "MainPID")?,
    )?;
    machine.sh("cmp /etc/supervisor/supervisord.conf /usr/share/supervisord/supervisord.conf")?;
    let sample = machine.sh("echo_supervisord_conf")?;
    expect(sample.contains("[supervisord]"), sample)?;
    for unit in ["supervisord.service", "supervisord.socket"] {
        let done = machine.run(&[
            "systemd-analyze",
            "verify",
            &format!("/lib/systemd/system/{unit}"),
        ])?;
        let said = format!("{}{}", done.stdout, done.stderr);
        // man is not installed there.
        let wrong: Vec<&str> = said
            .lines()
            .filter(|line| !line.contains("'man "))
            .collect();
        expect(wrong.is_empty(), format!("{wrong:?}"))?;
    }

    program(machine, "web")?;
    machine.sh("supervisorctl update")?;
    running(machine, &["web"])?;
    let socket = machine.sh("stat -c '%a %U:%G' /run/supervisor/supervisor.sock")?;
    expect(socket.trim() == "660 root:supervisor", socket)?;
    machine.sh("usermod -aG supervisor tester && useradd other")?;
    let member = machine.run(&["runuser", "-u", "tester", "--", "supervisorctl", "status"])?;
    expect(
        member.code == 0 && member.stdout.contains(" RUNNING "),
        format!("a member of the group: {member:?}"),
    )?;
    let other = machine.run(&["runuser", "-u", "other", "--", "supervisorctl", "status"])?;
    let said = format!("{}{}", other.stdout, other.stderr);
    expect(
        other.code == 1 && said.lines().count() == 1 && said.contains("usermod -aG supervisor "),
        format!("another user: {other:?}"),
    )?;
    let bus = machine.run(&[
        "busctl",
        "get-property",
        "org.supervisord.Supervisor1",
        "/org/supervisord/Supervisor1",
        "org.supervisord.Supervisor1.Manager",
        "Version",
    ])?;
    expect(
        bus.stdout.trim() == format!("s \"{OURS}\""),
        format!("{bus:?}"),
    )?;

    // After logrotate the daemon writes to the new file.
    apt(machine, "install logrotate")?;
    machine.sh("logrotate --force /etc/logrotate.d/supervisord")?;
    machine.sh("supervisorctl restart web")?;
    wait_for("the log is another file", LIMIT, || {
        machine
            .sh("cat /var/log/supervisor/supervisord.log")
            .is_ok_and(|log| log.contains("spawned: 'web'"))
    })?;
    machine
        .sh("test -s /var/log/supervisor/supervisord.log.1")
        .map(drop)
}

/// The file and the commands that the guide shows for a package.
fn quick_start(machine: &Machine) -> Result<(), String> {
    let guide = include_str!("../../man/guide/quick-start.md");
    let block = |opening: &str| {
        guide
            .split_once(opening)
            .and_then(|(_, rest)| rest.split_once('\n')?.1.split_once("```"))
            .map(|(block, _)| block)
            .ok_or_else(|| format!("the guide has no block after {opening:?}"))
    };
    install(machine, OURS)?;
    apt(machine, "install python3")?;
    let file = "/etc/supervisor/conf.d/web.conf";
    machine.write(file, block(&format!("```ini {file}"))?)?;
    machine.sh("mkdir -p /srv/web")?;
    for line in block("Check the files, then apply them:\n\n```sh")?.lines() {
        // A program that has just been started is not RUNNING yet.
        if line.contains(" status ") {
            running(machine, &["web"])?;
        }
        machine.sh(line)?;
    }
    Ok(())
}

fn removed(machine: &Machine) -> Result<(), String> {
    install(machine, OURS)?;
    program(machine, "web")?;
    machine.sh("systemctl stop supervisord && systemctl enable --now supervisord.socket 2>/dev/null && supervisorctl update")?;
    running(machine, &["web"])?;
    let web = machine.sh("supervisorctl pid web")?;
    apt(machine, "remove supervisord")?;
    let left = machine.sh(&format!(
        "test ! -e /proc/{} && ! systemctl is-active supervisord.service supervisord.socket >/dev/null && test ! -e /usr/bin/supervisord",
        web.trim()
    ));
    left.map_err(|why| format!("after remove: {why}"))?;
    let stopped = machine.sh("cat /var/log/supervisor/supervisord.log")?;
    expect(stopped.contains("stopped: web"), stopped)?;
    machine.sh("test -e /etc/supervisor/supervisord.conf")?;
    // Installs the package over the files that `remove` left.
    install(machine, OURS)?;
    running(machine, &["web"])?;
    machine.sh("systemctl is-active supervisord.service >/dev/null; echo mine > /var/log/supervisor/mine.log")?;
    // A run of a program with cron, which the state directory has.
    machine.write(
        "/etc/supervisor/conf.d/web.conf",
        "[program:job]\ncommand=/bin/true\ncron=@yearly\n",
    )?;
    machine.sh("supervisorctl update && supervisorctl run job")?;
    wait_for("the run is stored", LIMIT, || {
        machine
            .sh("ls /var/lib/supervisor/runs")
            .is_ok_and(|files| files.contains("job"))
    })?;
    apt(machine, "purge supervisord")?;
    let left = machine.sh(
        "find / -xdev \\( -name '*supervisor*' -o -path '/etc/supervisor/*' \\) -not -path '/proc/*' -not -path '/sys/*' \
         -not -path '/shown*' -not -path '/opt/*' -not -path '/var/log/journal/*' -not -path '/tmp/*' -not -path '/var/cache/*' | sort",
    )?;
    let left: Vec<&str> = left
        .lines()
        .filter(|path| !path.starts_with("/run/systemd/"))
        .collect();
    // Files of other programs, and their directories.
    let kept = [
        "/etc/supervisor",
        "/etc/supervisor/conf.d",
        "/etc/supervisor/conf.d/web.conf",
        "/var/log/supervisor",
    ];
    expect(left == kept, format!("after purge: {left:?}"))?;
    machine.sh("test -e /var/log/supervisor/mine.log && test -z \"$(dpkg-divert --list '*supervisor*')\"").map(drop)
}

/// Installs Debian's Supervisor package with three programs and a server at `port`, because machines share ports.
/// Returns the PID of its daemon.
fn supervisor(machine: &Machine, port: u16) -> Result<String, String> {
    apt(machine, "install supervisor")?;
    for name in ["a", "b", "c"] {
        program(machine, name)?;
    }
    // A setting of the administrator, which must stay.
    machine.sh(&format!("printf '\\n[inet_http_server]\\nport=127.0.0.1:{port}\\n' >>/etc/supervisor/supervisord.conf; systemctl restart supervisor"))?;
    supervisor_answers(machine)?;
    running(machine, &["a", "b", "c"])?;
    machine.property("supervisor.service", "MainPID")
}

/// The files of its configuration directory with their hashes.
fn files(machine: &Machine) -> Result<String, String> {
    machine.sh("find /etc/supervisor -type f | sort | xargs sha256sum")
}

fn takeover(machine: &Machine) -> Result<(), String> {
    let before = supervisor(machine, 19701)?;
    let files_before = files(machine)?;
    let said = install(machine, OURS)?;
    expect(said.contains("/etc/supervisor/supervisord.conf: ok"), said)?;
    version_is(machine, OURS)?;
    running(machine, &["a", "b", "c"])?;
    expect(files(machine)? == files_before, "files were changed")?;
    // The same socket and the same port.
    machine.sh("supervisorctl -s unix:///var/run/supervisor.sock pid && supervisorctl -s http://127.0.0.1:19701 pid")?;
    expect(
        machine
            .run(&["test", "-e", &format!("/proc/{before}")])?
            .code
            != 0,
        "the previous daemon still runs",
    )?;
    expect(
        machine.sh("systemctl is-enabled supervisord")?.trim() == "enabled",
        "not enabled",
    )?;
    machine.sh("systemctl restart supervisor")?;
    machine.wait_property(UNIT, "ActiveState", "active")?;

    apt(machine, "install supervisor")?;
    supervisor_answers(machine)?;
    running(machine, &["a", "b", "c"])?;
    expect(
        files(machine)? == files_before,
        "files were changed on the way back",
    )?;
    let unit = machine.sh("readlink -f /lib/systemd/system/supervisor.service")?;
    expect(
        unit.trim() == "/lib/systemd/system/supervisor.service"
            || unit.trim() == "/usr/lib/systemd/system/supervisor.service",
        unit,
    )?;
    // The purge removes our files, but no file in use.
    apt(machine, "purge supervisord")?;
    version_is(machine, "4.2.5")?;
    running(machine, &["a", "b", "c"])?;
    expect(
        files(machine)? == files_before,
        "files were changed by the purge",
    )?;
    machine.sh("systemctl restart supervisor")?;
    running(machine, &["a", "b", "c"])
}

fn purged(machine: &Machine) -> Result<(), String> {
    supervisor(machine, 19702)?;
    install(machine, OURS)?;
    running(machine, &["a", "b", "c"])?;
    let (files_before, pid) = (files(machine)?, machine.property(UNIT, "MainPID")?);
    apt(machine, "purge supervisor")?;
    expect(files(machine)? == files_before, "files were changed")?;
    running(machine, &["a", "b", "c"])?;
    expect(machine.property(UNIT, "MainPID")? == pid, "another daemon")?;
    expect(
        machine.sh("systemctl is-enabled supervisord")?.trim() == "enabled",
        "not enabled any more",
    )?;
    machine.sh("systemctl restart supervisor")?;
    running(machine, &["a", "b", "c"])?;
    // The file belongs to Supervisor, so a purge of our package leaves it.
    apt(machine, "purge supervisord")?;
    machine
        .sh("test -e /etc/supervisor/supervisord.conf")
        .map(drop)
}

fn disabled(machine: &Machine) -> Result<(), String> {
    apt(machine, "install supervisor")?;
    program(machine, "a")?;
    machine.sh("systemctl disable --now supervisor 2>/dev/null")?;
    install(machine, OURS)?;
    let said = machine.run(&["systemctl", "is-enabled", "supervisord"])?;
    expect(said.stdout.trim() == "disabled", format!("{said:?}"))?;
    expect(
        machine.property(UNIT, "ActiveState")? == "inactive",
        machine.story(UNIT),
    )?;
    // An upgrade does not enable a disabled service.
    install(machine, HIGHER)?;
    expect(
        machine.property(UNIT, "ActiveState")? == "inactive",
        machine.story(UNIT),
    )?;
    machine.sh("systemctl enable --now supervisord 2>/dev/null")?;
    running(machine, &["a"])
}

fn upgraded(machine: &Machine) -> Result<(), String> {
    install(machine, OURS)?;
    machine.write("/etc/supervisor/conf.d/load.conf", &numbered::programs()?)?;
    machine.sh("supervisorctl update")?;
    machine.wait_property(UNIT, "StatusText", &format!("{0}/{0} running", WRITERS + 2))?;
    let before = pids(machine)?;
    let seen = |name: &str| machine.property(UNIT, name);
    let names = [
        "MainPID",
        "NRestarts",
        "ActiveEnterTimestampMonotonic",
        "InvocationID",
    ];
    let unit: Vec<String> = names
        .iter()
        .map(|name| seen(name))
        .collect::<Result<_, _>>()?;
    for version in [HIGHER, OURS, HIGHER] {
        let said = apt(
            machine,
            &format!(
                "install --allow-downgrades /shown/{}",
                Kind::Deb.file(version)
            ),
        )?;
        expect(said.contains("Upgraded supervisord"), said)?;
        version_is(machine, version)?;
        expect(
            pids(machine)? == before,
            format!("{before:?} became {:?}", pids(machine)?),
        )?;
    }
    let after: Vec<String> = names
        .iter()
        .map(|name| seen(name))
        .collect::<Result<_, _>>()?;
    // The unit has been active since its first start, so the upgrades did not restart it.
    expect(
        unit == after,
        format!("{names:?}: {unit:?} became {after:?}"),
    )?;
    let lines = complete(machine, WRITERS)?;
    println!("three changes of the package, {lines} lines, each once");
    Ok(())
}
