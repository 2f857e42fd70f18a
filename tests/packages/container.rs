//! The container image: the daemon as PID 1, as users run it.

use std::fmt::Write as _;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use crate::engine::{Container, Engine, Manner, STRANGER, skippable, trial};
use crate::support::daemon::{Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, proc, wait_for};

/// Two programs that run, and one that is started by hand. The program with the greater priority stops first.
const TWO: &str = "\
[program:base]
command=/test_child test_child say base-speaks on TERM say,base-ends,exit,0 forever
priority=1
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
[program:upper]
command=/test_child test_child err upper-speaks on TERM sleep,300,say,upper-ends,exit,0 forever
priority=2
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
redirect_stderr=true
[program:byhand]
command=/test_child test_child forever
autostart=false
";

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = vec![
        trial("container::t01_t06_it_starts_logs_and_stops", |engine| {
            runs(engine, Manner::Plain)
        }),
        trial(
            "container::t04_t11_it_runs_without_capabilities_or_user_name_on_a_read_only_root",
            |engine| runs(engine, Manner::Confined),
        ),
        trial(
            "container::g58_orphans_are_reaped_and_exit_statuses_are_exact",
            orphans,
        ),
        trial(
            "container::a_broken_configuration_is_reported_and_ends_the_container",
            broken,
        ),
        trial("container::t10_the_health_check_asks_the_daemon", health),
        trial(
            "container::users_and_hosts_are_found_without_libraries",
            names,
        ),
        skippable(
            "container::g59_t07_a_static_binary_loads_no_library",
            no_library,
        ),
    ];
    for (signal, manner) in [
        ("INT", Manner::Plain),
        ("QUIT", Manner::Plain),
        ("INT", Manner::Confined),
        ("QUIT", Manner::Confined),
    ] {
        let how = match manner {
            Manner::Plain => "",
            Manner::Confined => "_without_any_right",
        };
        let name = format!("container::{}_stops_it{how}", signal.to_lowercase());
        tests.push(trial(name, move |engine| {
            let mut container = engine.start(TWO, manner)?;
            container.wait_state("upper", "RUNNING")?;
            container.wait_state("base", "RUNNING")?;
            let begun = Instant::now();
            container.signal(signal)?;
            let end = format!("received SIG{signal} indicating exit request");
            stopped_in_order(&mut container, begun, &end)
        }));
    }
    tests
}

fn runs(engine: &Engine, manner: Manner) -> Result<(), String> {
    let mut container = engine.start(TWO, manner)?;
    container.wait_state("upper", "RUNNING")?;
    container.wait_state("base", "RUNNING")?;
    // `exec` exits with the exit status of the client.
    for (arguments, code, part) in [
        (&["status", "base", "upper"][..], 0, "RUNNING"),
        (&["status"], 3, "STOPPED"),
        (&["start", "byhand"], 0, "byhand: started"),
        (&["status"], 0, "byhand"),
        (&["stop", "byhand"], 0, "byhand: stopped"),
        (&["start", "nobody"], 1, "no such process"),
    ] {
        let mut command = vec!["/usr/bin/supervisorctl"];
        command.extend(arguments);
        let got = container.exec(&command)?;
        if got.code != code || !got.stdout.contains(part) {
            return Err(format!("{arguments:?}: {got:?}"));
        }
    }
    let pid = container.pid()?;
    let uid = match manner {
        Manner::Plain => 0,
        Manner::Confined => STRANGER,
    };
    let programs = proc::children(pid);
    let all: Vec<i32> = programs.iter().map(|(pid, _)| *pid).chain([pid]).collect();
    for process in all {
        let told = |field| proc::status(process, field).unwrap_or_default();
        let right = told("Uid") == vec![uid.to_string(); 4].join(" ")
            && (manner == Manner::Plain
                || (told("CapPrm") == "0000000000000000" && told("NoNewPrivs") == "1"));
        if !right {
            return Err(format!(
                "{process}: uid {}, capabilities {}",
                told("Uid"),
                told("CapPrm")
            ));
        }
    }
    for text in [
        "supervisord started with pid 1",
        "base-speaks",
        "upper-speaks",
    ] {
        container.wait_output(text)?;
    }
    let begun = Instant::now();
    container.stop()?;
    stopped_in_order(
        &mut container,
        begun,
        "received SIGTERM indicating exit request",
    )?;
    let logs = container.logs()?;
    for text in [
        "supervisord started with pid 1",
        "base-speaks",
        "upper-speaks",
        "upper-ends",
        "base-ends",
        "entered RUNNING state",
    ] {
        // Two programs, and the program that was started by hand.
        let times = if text.ends_with("state") { 3 } else { 1 };
        if logs.matches(text).count() != times {
            return Err(format!(
                "{text:?} is in the log another number of times than expected:\n{logs}"
            ));
        }
    }
    // Everything that is missing in a container is one line of the log, and no line is an error.
    let bad: Vec<&str> = logs
        .lines()
        .filter(|line| {
            line.contains(" ERRO ")
                || line.contains("panicked")
                || (line.contains(" WARN ") && !line.contains("SIGTERM"))
        })
        .collect();
    if !bad.is_empty() || logs.matches("D-Bus").count() > 1 {
        return Err(format!("it complains:\n{logs}"));
    }
    Ok(())
}

/// The container exits by itself with status 0 before the engine kills it, and its programs stop in order.
fn stopped_in_order(
    container: &mut Container<'_>,
    begun: Instant,
    reason: &str,
) -> Result<(), String> {
    let code = container.wait()?;
    let took = begun.elapsed();
    // An engine whose timeout expires kills the container, and then the exit status is not 0.
    if code != 0 {
        return Err(format!(
            "ended with {code} after {took:?}:\n{}",
            container.output()
        ));
    }
    let output = container.output();
    // Lines of the daemon and lines of programs have no order between them.
    for turns in [
        &[
            reason,
            "stopped: upper (exit status 0)",
            "stopped: base (exit status 0)",
        ][..],
        &["upper-ends", "base-ends"],
    ] {
        let mut rest = output.as_str();
        for text in turns {
            let at = rest
                .find(text)
                .ok_or_else(|| format!("{text:?} does not come in its turn:\n{output}"))?;
            rest = &rest[at + text.len()..];
        }
    }
    Ok(())
}

fn orphans(engine: &Engine) -> Result<(), String> {
    const ORPHANS: usize = 200;
    let mut programs = String::new();
    let _ = writeln!(
        programs,
        "[program:maker]\ncommand=/test_child test_child{} exit 7\nstartsecs=0\nautorestart=false\nexitcodes=7",
        " quietchild sleep,400,exit,5".repeat(ORPHANS)
    );
    // These programs exit while orphans exit.
    for code in 0..20 {
        let _ = writeln!(
            programs,
            "[program:code{code}]\ncommand=/test_child test_child sleep {} exit {code}\nstartsecs=0\nautorestart=false",
            200 + 100 * code
        );
    }
    programs.push_str(
        "[program:dies]\ncommand=/test_child test_child sleep 700 kill KILL\nstartsecs=0\nautorestart=false\n\
         [program:stays]\ncommand=/test_child test_child forever\n",
    );
    let container = engine.start(&programs, Manner::Plain)?;
    container.wait_output("exited: maker (exit status 7; expected)")?;
    container.wait_that("all orphans are reaped", |output| {
        output.matches("reaped unknown pid").count() == ORPHANS
    })?;
    for code in 0..20 {
        let word = if code == 0 {
            "expected"
        } else {
            "not expected"
        };
        container.wait_output(&format!("exited: code{code} (exit status {code}; {word})"))?;
    }
    container.wait_output("exited: dies (terminated by SIGKILL")?;
    container.wait_state("stays", "RUNNING")?;
    let pid = container.pid()?;
    wait_for("only one process is left, and no zombie", LIMIT, || {
        let left = proc::children(pid);
        left.len() == 1 && left.iter().all(|(_, state)| state != "Z")
    })
    .map_err(|why| format!("{why}: {:?}", proc::children(pid)))
}

fn broken(engine: &Engine) -> Result<(), String> {
    for manner in [Manner::Plain, Manner::Confined] {
        let mut container = engine.start("[program:web]\nstartsecs=soon\n", manner)?;
        let code = container.wait()?;
        let logs = container.logs()?;
        let told =
            logs.contains("program:web") && logs.contains("/etc/supervisor/conf.d/programs.conf");
        if code != 2 || !told {
            return Err(format!("ended with {code}:\n{logs}"));
        }
    }
    Ok(())
}

fn health(engine: &Engine) -> Result<(), String> {
    let container = engine.start(TWO, Manner::Plain)?;
    container.wait_state("base", "RUNNING")?;
    if !container.is_healthy()? {
        return Err("unhealthy, although only a program is stopped".to_owned());
    }
    let socket = format!("/proc/{}/root/run/supervisor.sock", container.pid()?);
    // The daemon recreates a removed socket, but leaves a file of another program at its path.
    let other = format!("{socket}.other");
    std::fs::write(&other, "")
        .and_then(|()| std::fs::rename(&other, &socket))
        .map_err(|e| format!("{socket}: {e}"))?;
    if container.is_healthy()? {
        return Err("healthy, although the daemon does not answer".to_owned());
    }
    Ok(())
}

/// Looks up users, groups, the host name and addresses by name, which usually needs a library at run time.
fn names(engine: &Engine) -> Result<(), String> {
    let programs = "\
[program:nobody]
command=/test_child test_child say on-%(host_node_name)s forever
user=nobody
stdout_logfile=/dev/stdout
stdout_logfile_maxbytes=0
[program:grouped]
command=/test_child test_child forever
group=nogroup
[inet_http_server]
port=localhost:9001
";
    let container = engine.start(programs, Manner::Plain)?;
    container.wait_state("nobody", "RUNNING")?;
    container.wait_state("grouped", "RUNNING")?;
    container.wait_output("on-box")?;
    let ids: Vec<(String, String)> = proc::children(container.pid()?)
        .iter()
        .map(|(pid, _)| {
            let told = |field| {
                let ids = proc::status(*pid, field).unwrap_or_default();
                ids.split(' ').next().unwrap_or_default().to_owned()
            };
            (told("Uid"), told("Gid"))
        })
        .collect();
    for (uid, gid) in [("65534", "65534"), ("0", "65534")] {
        if !ids.contains(&(uid.to_owned(), gid.to_owned())) {
            return Err(format!("no process runs as {uid}:{gid}: {ids:?}"));
        }
    }
    for server in ["http://localhost:9001", "http://127.0.0.1:9001"] {
        let got = container.exec(&["/usr/bin/supervisorctl", "-s", server, "status", "nobody"])?;
        if got.code != 0 || !got.stdout.contains("RUNNING") {
            return Err(format!("{server}: {got:?}"));
        }
    }
    Ok(())
}

/// A static binary used to crash in libnss_systemd, which `passwd: files systemd` in /etc/nsswitch.conf loads. The
/// test's own library exits when it is loaded.
fn no_library(engine: &Engine) -> Result<Outcome, String> {
    const LOADED: i32 = 77;
    const LIBRARY: &str = "#include <unistd.h>\n\
        __attribute__((constructor)) static void loaded(void) { _exit(77); }\n";
    const WITH_SERVICES: &str =
        "mount --bind \"$1\" /etc/nsswitch.conf && exec \"$2\" --check -c \"$3\"";
    let place = engine.place();
    let source = place.write("library.c", LIBRARY)?;
    let mut cc = Command::new("cc");
    cc.args(["-shared", "-fPIC", "-o"])
        .arg(place.join("libnss_told.so.2"))
        .arg(&source);
    if !cc.status().is_ok_and(|status| status.success()) {
        return Ok(Outcome::Skipped("there is no C compiler".to_owned()));
    }
    let services = place.write(
        "nsswitch.conf",
        "passwd: files told systemd\ngroup: files told systemd\n",
    )?;
    let configuration = place.write(
        "nobody.conf",
        "[supervisord]\n[program:web]\ncommand=/bin/true\nuser=who-is-nobody\n",
    )?;
    let check = |binary: &Path| {
        let mut command = Command::new("unshare");
        command
            .args(["--mount", "/bin/sh", "-c", WITH_SERVICES, "sh"])
            .args([&services, binary, &configuration])
            .env("LD_LIBRARY_PATH", place.path());
        run(command, place.path(), None, LIMIT)
    };
    let usual = check(&program(Side::Ours, "supervisord")?)?;
    if usual.code != LOADED {
        return Ok(Outcome::Skipped(format!(
            "no service is asked here: {}",
            usual.stderr
        )));
    }
    let fixed = check(&engine.unpacked().join("bin/supervisord"))?;
    if fixed.code != 2 || !fixed.stderr.contains("who-is-nobody") {
        return Err(format!("{fixed:?}"));
    }
    Ok(Outcome::Passed)
}
