//! The daemon on a real system bus, with a real polkit.

use std::time::Instant;

use crate::support::machine::{Done, Machine, trial, trial_with};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

type Result<T = ()> = std::result::Result<T, String>;

pub(crate) fn tests() -> Vec<Trial> {
    vec![
        trial("dbus::calls_of_the_guide_work", guide),
        trial_with(
            "gdbus, of libglib2.0-bin",
            "command -v gdbus",
            "dbus::gdbus_calls_of_the_guide_work",
            guide_gdbus,
        ),
        trial_with(
            "Python's dbus, of python3-dbus",
            "/usr/bin/python3 -c 'import dbus'",
            "dbus::the_guides_python_works",
            guide_python,
        ),
        trial("dbus::only_root_is_allowed_by_default", denied),
        trial(
            "dbus::a_rules_file_lets_a_user_restart_one_program",
            one_program,
        ),
        trial("dbus::a_rule_can_use_the_user_of_a_program", own_program),
        trial(
            "dbus::processes_without_permission_have_their_own_fault",
            members,
        ),
        trial("dbus::a_hanging_polkit_denies_all_but_root", hanging),
        trial(
            "dbus::a_caller_that_disconnects_during_the_check_is_refused",
            gone,
        ),
        trial("dbus::without_polkit_root_is_allowed", without),
        trial("dbus::the_daemon_rejoins_a_restarted_bus", restarted),
        trial("dbus::a_flood_is_refused_and_delays_no_other_client", flood),
        trial(
            "trust::a3_root_is_answered_while_two_users_flood_the_bus",
            floods_of_two,
        ),
        trial(
            "dbus::other_users_cannot_take_the_name_or_set_properties",
            policy,
        ),
        trial("dbus::a_missing_policy_file_is_logged_once", no_policy),
    ]
}

const NAME: &str = "org.supervisord.Supervisor1";
const MANAGER: &str = "/org/supervisord/Supervisor1 org.supervisord.Supervisor1.Manager";
const POLICY: &str = "/usr/share/dbus-1/system.d/org.supervisord.Supervisor1.conf";
const ACTIONS: &str = "/usr/share/polkit-1/actions/org.supervisord.Supervisor1.policy";
const RULES: &str = "/etc/polkit-1/rules.d/50-supervisord.rules";
const CONF: &str = "/run/onbus/conf";

/// A daemon as a service, with our policies and without rules.
struct Daemon<'a>(&'a Machine);

impl<'a> Daemon<'a> {
    fn start(machine: &'a Machine) -> Result<Self> {
        let daemon = Self::start_without_policy(machine, true)?;
        wait_for("it is on the bus", LIMIT, || {
            daemon
                .log()
                .contains(" INFO connected to the system D-Bus as ")
        })
        .map_err(|why| format!("{why}\n{}", daemon.log()))?;
        Ok(daemon)
    }

    fn start_without_policy(machine: &'a Machine, with: bool) -> Result<Self> {
        machine.sh(&format!("rm -f {POLICY} {ACTIONS} {RULES}"))?;
        if with {
            let policy = include_str!("../../packaging/org.supervisord.Supervisor1.conf");
            machine.write(POLICY, policy)?;
            let actions = include_str!("../../packaging/org.supervisord.Supervisor1.policy");
            machine.write(ACTIONS, actions)?;
        }
        machine.write(
            CONF,
            "[supervisord]\nlogfile=/run/onbus/log\npidfile=/run/onbus/pid\nchildlogdir=/run/onbus\nuser=root\n\
             [unix_http_server]\nfile=/run/onbus/sock\n\
             [rpcinterface:supervisor]\n\
             supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n\
             [supervisorctl]\nserverurl=unix:///run/onbus/sock\n\
             [program:web]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
             [program:api]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
             [program:mine]\ncommand=/bin/sleep infinity\nstartsecs=0\nuser=tester\n\
             stdout_logfile=NONE\nstderr_logfile=NONE\n",
        )?;
        machine.sh(&format!(
            "busctl -q call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig
             systemctl restart polkit
             systemd-run -q --collect --unit=onbus /usr/bin/supervisord -n -c {CONF}"
        ))?;
        Ok(Self(machine))
    }

    fn log(&self) -> String {
        self.0
            .sh("cat /run/onbus/log 2>/dev/null || true")
            .unwrap_or_default()
    }

    fn pid(&self, program: &str) -> Result<String> {
        let script = format!("supervisorctl -c {CONF} pid {program}; true");
        Ok(self.0.sh(&script)?.trim().to_owned())
    }

    /// Calls a method of the Manager.
    fn call(&self, user: &str, rest: &str) -> Result<Done> {
        self.run(user, &format!("busctl call {NAME} {MANAGER} {rest}"))
    }

    fn run(&self, user: &str, command: &str) -> Result<Done> {
        self.0
            .run(&["/bin/sh", "-c", &format!("runuser -u {user} -- {command}")])
    }

    /// The call is refused, and the log has this part of an audit line. busctl does not show the reason of a refusal.
    fn refused(&self, user: &str, rest: &str, audit: &str) -> Result {
        let done = self.call(user, rest)?;
        expect(
            done.code != 0 && done.stderr.contains("Access denied"),
            format!("{rest}: {done:?}"),
        )?;
        let log = self.log();
        let lines = log
            .lines()
            .filter(|line| line.contains(" audit: dbus uid=1000 pid="));
        let found = lines.filter(|line| line.contains(audit)).count();
        expect(found == 1, format!("{found} × {audit:?} in\n{log}"))
    }

    /// The call succeeds.
    fn done(&self, user: &str, rest: &str) -> Result<String> {
        let done = self.call(user, rest)?;
        expect(done.code == 0, format!("{rest}: {done:?}\n{}", self.log()))?;
        Ok(done.stdout.trim().to_owned())
    }

    /// Rules for polkit, which finds them by itself.
    fn rules(&self, condition: &str) -> Result {
        self.0.write(
            RULES,
            &format!(
                "polkit.addRule(function(action, subject) {{\n\
                 if (action.id == \"{NAME}.control\" && subject.user == \"tester\" && {condition})\n\
                 return polkit.Result.YES;\n}});\n"
            ),
        )?;
        self.0.sh("systemctl restart polkit").map(drop)
    }
}

impl Drop for Daemon<'_> {
    fn drop(&mut self) {
        let _ = self.0.sh(&format!(
            "pkill -CONT -x polkitd || true; systemctl unmask -q --runtime polkit; systemctl stop onbus || true
             rm -rf /run/onbus {RULES}"
        ));
    }
}

fn guide(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    let tree = machine.sh(&format!("busctl tree --list {NAME}"))?;
    expect(
        tree.contains("/org/supervisord/Supervisor1/group/web/web\n"),
        &*tree,
    )?;
    let before = daemon.pid("web")?;
    daemon.done("root", "RollingRestart asu 1 web 1")?;
    expect(daemon.pid("web")? != before, "the pid is the same")?;
    let object = format!("{NAME} /org/supervisord/Supervisor1/group/web/web {NAME}.Process");
    machine.sh(&format!("busctl call {object} Stop b true"))?;
    let state = machine.sh(&format!("busctl get-property {object} State"))?;
    expect(state == "s \"STOPPED\"\n", state)?;
    let log = daemon.log();
    for line in ["rolling-restart web: accepted", "stop web: accepted"] {
        let found = log
            .lines()
            .any(|found| found.contains(" audit: dbus uid=0 pid=") && found.ends_with(line));
        expect(found, format!("{line} is not in\n{log}"))?;
    }
    Ok(())
}

fn guide_gdbus(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    let before = daemon.pid("web")?;
    machine.sh(&format!(
        "gdbus call --system -d {NAME} -o /org/supervisord/Supervisor1/group/web/web -m {NAME}.Process.Restart"
    ))?;
    let after = daemon.pid("web")?;
    expect(after != before && after != "0", daemon.log())
}

fn guide_python(machine: &Machine) -> Result {
    let _daemon = Daemon::start(machine)?;
    let guide = include_str!("../../man/guide/dbus.md");
    // The rest of the opening line of the block names the user who runs it.
    let script = guide
        .split("```python ")
        .nth(1)
        .and_then(|rest| rest.split_once('\n')?.1.split("```").next());
    machine.write("/run/guide.py", script.ok_or("the guide has no Python")?)?;
    let said = machine.sh("/usr/bin/python3 /run/guide.py")?;
    expect(said.contains("web RUNNING"), said)
}

fn denied(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    let before = daemon.pid("web")?;
    for (rest, audit) in [
        (
            "StopProcess sb web true",
            " stop web: FAILED: no polkit agent could ask",
        ),
        (
            "StopAllProcesses b true",
            " stop all: FAILED: no polkit agent could ask",
        ),
        (
            "SignalProcess ss web KILL",
            " signal web: FAILED: no polkit agent could ask",
        ),
        ("Update as 0", " reread : FAILED: no polkit agent could ask"),
        (
            "SetNumprocs sx web 2",
            " set-numprocs web 2: FAILED: no polkit agent could ask",
        ),
        ("Shutdown", " shutdown : FAILED: no polkit agent could ask"),
    ] {
        daemon.refused("tester", rest, audit)?;
    }
    for reads in [
        "ReadProcessStdoutLog sxx web 0 0",
        "ReadLog xx 0 0",
        "GetAllConfigInfo",
    ] {
        let done = daemon.call("tester", reads)?;
        expect(
            done.code != 0 && done.stdout.is_empty(),
            format!("{reads}: {done:?}"),
        )?;
    }
    let flag = "busctl --allow-interactive-authorization=no call";
    let done = daemon.run(
        "tester",
        &format!("{flag} {NAME} {MANAGER} StopProcess sb api true"),
    )?;
    expect(
        done.code != 0 && done.stderr.contains("which the caller does not allow"),
        format!("{done:?}"),
    )?;
    expect(daemon.pid("web")? == before, "something was done")?;
    // Everybody can read states, and root may do everything.
    let state = daemon.done("tester", "GetState")?;
    expect(state == "is 1 \"RUNNING\"", state)?;
    daemon.done("tester", "GetAllProcessInfo")?;
    daemon.done("root", "StopProcess sb web true")?;
    // An unknown name is no secret, and needs no question to polkit.
    let done = daemon.call("tester", "StopProcess sb nosuch true")?;
    expect(
        done.stderr.contains("BAD_NAME: nosuch"),
        format!("{done:?}"),
    )
}

fn one_program(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    daemon
        .rules("action.lookup(\"verb\") == \"restart\" && action.lookup(\"program\") == \"web\"")?;
    let (web, api) = (daemon.pid("web")?, daemon.pid("api")?);
    let said = daemon.done("tester", "RollingRestart asu 1 web 1")?;
    expect(said == "a(ssis) 1 \"web\" \"web\" 80 \"OK\"", said)?;
    expect(daemon.pid("web")? != web, "the pid is the same")?;
    let object = format!("{NAME} /org/supervisord/Supervisor1/group/web/web {NAME}.Process");
    let done = daemon.run("tester", &format!("busctl call {object} Restart"))?;
    expect(done.code == 0, format!("{done:?}"))?;
    daemon.refused(
        "tester",
        "RollingRestart asu 1 api 1",
        " rolling-restart api: FAILED: no polkit agent could ask",
    )?;
    daemon.refused(
        "tester",
        "StopProcess sb web true",
        " stop web: FAILED: no polkit agent could ask",
    )?;
    expect(daemon.pid("api")? == api, "another program was touched")?;
    let log = daemon.log();
    let granted = log.lines().filter(|line| {
        line.contains(" audit: dbus uid=1000 pid=")
            && line.ends_with(" rolling-restart web: accepted")
    });
    expect(granted.count() == 2, log.clone())
}

fn own_program(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    daemon.rules("action.lookup(\"user\") == subject.user")?;
    daemon.done("tester", "StopProcess sb mine true")?;
    daemon.done("tester", "StartProcess sb mine true")?;
    daemon.refused(
        "tester",
        "StopProcess sb web true",
        " stop web: FAILED: no polkit agent could ask",
    )
}

fn members(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    daemon.rules("action.lookup(\"program\") == \"web\"")?;
    let api = daemon.pid("api")?;
    let said = daemon.done("tester", "StopAllProcesses b true")?;
    for part in [
        "a(ssis) 3 ",
        "\"api\" \"api\" 30 \"FAILED: permission denied: api\"",
        "\"mine\" \"mine\" 30 \"FAILED: permission denied: mine\"",
        "\"web\" \"web\" 80 \"OK\"",
    ] {
        expect(said.contains(part), &*said)?;
    }
    expect(daemon.pid("api")? == api, "another program was touched")?;
    let said = daemon.done("tester", "StartProcessGroup sb web true")?;
    expect(said == "a(ssis) 1 \"web\" \"web\" 80 \"OK\"", said)
}

fn hanging(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    daemon.rules("action.lookup(\"program\") == \"web\"")?;
    machine.sh("pkill -STOP -x polkitd")?;
    let begin = Instant::now();
    daemon.refused(
        "tester",
        "StopProcess sb web true",
        " stop web: FAILED: permission denied: polkit did not answer",
    )?;
    let polkit = begin.elapsed();
    // Callers that need no polkit do not wait for it: both calls together take less time than one call that does.
    let begin = Instant::now();
    daemon.done("root", "StopProcess sb web true")?;
    daemon.done("tester", "GetState")?;
    let without = begin.elapsed();
    println!("a call that needs polkit {polkit:?}, two that do not {without:?}");
    expect(
        without < polkit,
        format!("{without:?} without polkit, {polkit:?} with it"),
    )?;
    machine.sh("pkill -CONT -x polkitd")?;
    daemon.done("tester", "StartProcess sb web true").map(drop)
}

fn gone(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    daemon.rules("action.lookup(\"program\") == \"web\"")?;
    let web = daemon.pid("web")?;
    // polkit gets the question, cannot answer it, and answers when the caller has gone.
    machine.sh(&format!(
        "pkill -STOP -x polkitd
         runuser -u tester -- busctl call {NAME} {MANAGER} StopProcess sb web true >/dev/null 2>&1 &
         i=0
         until pgrep -u tester -x busctl >/dev/null; do i=$((i+1)); test $i -lt 400; sleep 0.05; done
         until busctl --no-legend list | grep -q ' busctl *tester '; do i=$((i+1)); test $i -lt 800; sleep 0.05; done
         pkill -KILL -u tester -x busctl
         wait || true
         while busctl --no-legend list | grep -q ' busctl *tester '; do i=$((i+1)); test $i -lt 1200; sleep 0.05; done
         pkill -CONT -x polkitd"
    ))?;
    wait_for("the refusal has its line", LIMIT, || {
        daemon.log().contains(" stop web: FAILED: ")
    })
    .map_err(|why| format!("{why}\n{}", daemon.log()))?;
    let log = daemon.log();
    expect(!log.contains(" stop web: accepted"), &*log)?;
    expect(
        daemon.pid("web")? == web,
        "the call was performed without a caller",
    )
}

fn without(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    machine.sh("systemctl mask -q --runtime --now polkit")?;
    daemon.refused(
        "tester",
        "StopProcess sb web true",
        " stop web: FAILED: permission denied: cannot ask polkit",
    )?;
    daemon.done("root", "StopProcess sb web true").map(drop)
}

fn restarted(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    let web = daemon.pid("web")?;
    machine.sh("systemctl restart dbus")?;
    wait_for("it is on the bus again", LIMIT, || {
        daemon
            .log()
            .matches(" INFO connected to the system D-Bus as ")
            .count()
            == 2
    })
    .map_err(|why| format!("{why}\n{}", daemon.log()))?;
    let log = daemon.log();
    let said = log
        .matches(" WARN lost the connection to the system D-Bus (reconnecting)")
        .count();
    expect(said == 1, log)?;
    daemon.done("tester", "GetState")?;
    expect(daemon.pid("web")? == web, "a program noticed")
}

fn flood(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    machine.write("/run/flood.py", include_str!("flood.py"))?;
    let count = |said: &str, what: &str| -> u64 {
        let found = said.lines().find_map(|line| line.strip_prefix(what));
        found.and_then(|rest| rest.trim().parse().ok()).unwrap_or(0)
    };
    // 5,000 calls as fast as the bus takes them, while root works.
    machine.sh("runuser -u tester -- python3 /run/flood.py 5000 GetAllProcessInfo >/run/flood.out 2>&1 & echo $! >/run/flood.pid")?;
    let begin = Instant::now();
    daemon.done("root", "StopProcess sb web true")?;
    println!("root waited for {:?}", begin.elapsed());
    wait_for("every call is answered", LIMIT, || {
        let said = machine.sh("cat /run/flood.out").unwrap_or_default();
        let limited = count(&said, "org.freedesktop.DBus.Error.LimitsExceeded");
        limited + count(&said, "ok") == 5000 && limited > 4000
    })
    .map_err(|why| format!("{why}: {:?}", machine.sh("cat /run/flood.out")))?;
    // The limit applies to the user, not to the connection, and ends after a while.
    wait_for("he may call again", LIMIT, || {
        daemon
            .call("tester", "GetState")
            .is_ok_and(|done| done.code == 0)
    })?;
    let log = daemon.log();
    expect(
        log.lines().count() < 100,
        format!("{} lines", log.lines().count()),
    )
}

/// Floods over many connections of two users: limits apply to each user, and none to root.
fn floods_of_two(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    machine.write("/run/flood.py", include_str!("flood.py"))?;
    machine.sh("for user in tester nobody; do for n in 1 2 3 4 5 6; do
             runuser -u $user -- python3 /run/flood.py 3000 GetAllProcessInfo >/dev/null 2>&1 &
         done; done")?;
    let floods = "pgrep -cf '[/]run/flood.py' || true";
    wait_for("the floods are there", LIMIT, || {
        machine.sh(floods).is_ok_and(|count| count.trim() != "0")
    })?;
    for _ in 0..5 {
        daemon.done("root", "StopProcess sb web true")?;
        daemon.done("root", "StartProcess sb web true")?;
    }
    machine.sh("pkill -f '[/]run/flood.py' || true")?;
    // A user who flooded the bus may call again after a pause.
    wait_for("the user may call again", LIMIT, || {
        let done = daemon.call("tester", "GetState");
        done.is_ok_and(|done| done.code == 0)
    })
}

fn policy(machine: &Machine) -> Result {
    let daemon = Daemon::start(machine)?;
    let set = format!("busctl set-property {NAME} {MANAGER} State s x");
    for (command, what) in [
        (set.clone(), "denied"),
        (
            format!(
                "busctl call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus RequestName su {NAME} 2"
            ),
            "denied",
        ),
        (
            format!("busctl call {NAME} {MANAGER} NoSuch"),
            "no such method: NoSuch",
        ),
        (
            format!("busctl call {NAME} /org/supervisord/Supervisor1 org.example.Other Stop"),
            "denied",
        ),
    ] {
        let done = daemon.run("tester", &command)?;
        let said = done.stderr.to_lowercase();
        expect(
            done.code != 0 && said.contains(&what.to_lowercase()),
            format!("{command}: {done:?}"),
        )?;
    }
    let done = daemon.run("root", &set)?;
    expect(
        done.stderr.contains("property State is read-only"),
        format!("{done:?}"),
    )
}

fn no_policy(machine: &Machine) -> Result {
    let daemon = Daemon::start_without_policy(machine, false)?;
    let line = " INFO cannot connect to the system D-Bus: ";
    wait_for("the log has the line", LIMIT, || {
        daemon.log().contains(line)
    })
    .map_err(|why| format!("{why}\n{}", daemon.log()))?;
    expect(daemon.pid("web")? != "0", "and nothing else is changed")?;
    // The daemon tries again, and finds the policy that was installed meanwhile.
    let policy = include_str!("../../packaging/org.supervisord.Supervisor1.conf");
    machine.write(POLICY, policy)?;
    machine.sh("busctl -q call org.freedesktop.DBus /org/freedesktop/DBus org.freedesktop.DBus ReloadConfig")?;
    wait_for("it is on the bus", LIMIT, || {
        daemon
            .log()
            .contains(" INFO connected to the system D-Bus as ")
    })
    .map_err(|why| format!("{why}\n{}", daemon.log()))?;
    let log = daemon.log();
    expect(log.matches(line).count() == 1, log)
}
