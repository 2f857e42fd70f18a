//! Our own session bus, with the tools that people use on it. `tests/systemd` has the system bus and polkit.

use std::fs::File;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use crate::host::Host;
use crate::support::daemon::{Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::{LIMIT, expect, wait_for};

type Result<T = ()> = std::result::Result<T, String>;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn() -> Result;
    let list: &[(&str, &[&str], Test)] = &[
        ("calls_errors_and_properties_work", &["busctl"], calls),
        (
            "signals_report_states_and_objects",
            &["busctl", "gdbus"],
            signals,
        ),
        ("update_is_one_call", &["busctl"], update),
        (
            "a_missing_bus_is_one_line_and_a_later_bus_is_found",
            &["busctl"],
            later,
        ),
        ("the_daemon_waits_for_a_name_in_use", &["busctl"], taken),
        ("too_long_arguments_are_refused", &["busctl"], too_long),
        (
            "off_disables_the_bus_and_a_wrong_value_is_an_error",
            &[],
            off,
        ),
    ];
    list.iter()
        .map(|&(name, tools, run)| {
            Trial::new(format!("session_bus::{name}"), move || {
                let needed = ["dbus-daemon"].iter().chain(tools);
                match needed.into_iter().find(|tool| !is_there(tool)) {
                    Some(tool) => Ok(Outcome::Skipped(format!("{tool} is not installed"))),
                    None => run().map(|()| Outcome::Passed),
                }
            })
        })
        .collect()
}

const NAME: &str = "org.supervisord.Supervisor1";
const MANAGER: &str = "/org/supervisord/Supervisor1 org.supervisord.Supervisor1.Manager";
const PROGRAMS: &str = "\
[program:web]
command=/bin/sleep infinity
startsecs=0
[program:many]
command=/bin/sleep infinity
startsecs=0
process_name=%(program_name)s_%(process_num)02d
numprocs=2
";

fn is_there(tool: &str) -> bool {
    let path = std::env::var_os("PATH").unwrap_or_default();
    std::env::split_paths(&path).any(|directory| directory.join(tool).exists())
}

/// A bus that exits with the test.
struct Bus {
    daemon: Child,
    path: PathBuf,
    /// The path of its socket, unless it is in the test's directory.
    place: Option<TempDir>,
}

impl Bus {
    fn start(path: PathBuf) -> Result<Self> {
        let daemon = Command::new("dbus-daemon")
            .args(["--session", "--nofork", "--nopidfile"])
            .arg(format!("--address=unix:path={}", path.display()))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .map_err(|error| error.to_string())?;
        let bus = Self {
            daemon,
            path,
            place: None,
        };
        wait_for("the bus listens", LIMIT, || {
            std::os::unix::net::UnixStream::connect(&bus.path).is_ok()
        })?;
        Ok(bus)
    }

    fn start_somewhere() -> Result<Self> {
        let place = TempDir::new()?;
        let mut bus = Self::start(place.join("bus"))?;
        bus.place = Some(place);
        Ok(bus)
    }

    fn address(&self) -> String {
        address(&self.path)
    }

    /// Runs `busctl` on the bus. Returns its output or its error.
    fn busctl(&self, arguments: &str) -> Result<std::result::Result<String, String>> {
        let done = Command::new("busctl")
            .arg(format!("--address={}", self.address()))
            .args(arguments.split_whitespace())
            .output()
            .map_err(|error| error.to_string())?;
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).trim().to_owned();
        Ok(if done.status.success() {
            Ok(text(&done.stdout))
        } else {
            Err(text(&done.stderr))
        })
    }

    /// A method call of the Manager.
    fn call(&self, rest: &str) -> Result<std::result::Result<String, String>> {
        self.busctl(&format!("call {NAME} {MANAGER} {rest}"))
    }

    fn done(&self, rest: &str) -> Result<String> {
        self.call(rest)?.map_err(|error| format!("{rest}: {error}"))
    }
}

impl Drop for Bus {
    fn drop(&mut self) {
        let _ = self.daemon.kill();
        let _ = self.daemon.wait();
    }
}

fn address(path: &std::path::Path) -> String {
    format!("unix:path={}", path.display())
}

/// A daemon that looks for its session bus there, with these keys in its section.
fn on(path: &std::path::Path, programs: &str) -> Result<Host> {
    let mut host = Host::new(&format!("[supervisord]\ndbus=session\n{programs}"))?;
    let address = address(path);
    host.go_with(|command| {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    })?;
    Ok(host)
}

fn wait_log(host: &Host, what: &str) -> Result {
    wait_for(what, LIMIT, || host.place.read("log").contains(what))
        .map_err(|why| format!("{why}\n{}", host.place.read("log")))
}

const JOINED: &str = " INFO connected to the session D-Bus as org.supervisord.Supervisor1";

fn joined(programs: &str) -> Result<(Bus, Host)> {
    let bus = Bus::start_somewhere()?;
    let host = on(&bus.path, programs)?;
    wait_log(&host, JOINED)?;
    Ok((bus, host))
}

fn same(what: &str, found: std::result::Result<String, String>, expected: &str) -> Result {
    let found = found.unwrap_or_else(|error| error);
    expect(
        found == expected,
        format!("{what}: {found:?}, not {expected:?}"),
    )
}

fn calls() -> Result {
    let (bus, host) = joined(PROGRAMS)?;
    let (bus_name, web) = (NAME, "/org/supervisord/Supervisor1/group/web/web");
    let process = format!("{bus_name} {web} {NAME}.Process");
    let table = [
        (
            format!("call {NAME} {MANAGER} GetState"),
            "is 1 \"RUNNING\"",
        ),
        (format!("call {NAME} {MANAGER} StopProcess sb web true"), ""),
        (
            format!("call {NAME} {MANAGER} StopProcess sb web true"),
            "Call failed: NOT_RUNNING: web",
        ),
        (format!("get-property {process} State"), "s \"STOPPED\""),
        (format!("call {process} Start b true"), ""),
        (format!("get-property {process} State"), "s \"RUNNING\""),
        (format!("call {process} Restart"), ""),
        (
            format!("call {process} Signal s NOSUCH"),
            "Call failed: BAD_SIGNAL: NOSUCH",
        ),
        (
            format!("call {NAME} {MANAGER} StartProcess sb many:* true"),
            "Call failed: BAD_NAME: many:*",
        ),
        (
            format!("call {NAME} /org/supervisord/Supervisor1/group/web {NAME}.Group Stop b true"),
            "a(ssis) 1 \"web\" \"web\" 80 \"OK\"",
        ),
        (
            format!("call {NAME} {MANAGER} GetProcessInfo s nosuch"),
            "Call failed: BAD_NAME: nosuch",
        ),
        (
            format!("call {NAME} {MANAGER} StopProcess s web"),
            "Call failed: StopProcess takes (sb), not (s)",
        ),
        (
            format!("call {NAME} {MANAGER} GetGroupNames"),
            "Call failed: UNKNOWN_METHOD: available only with [rpcinterface:twiddler]",
        ),
        (
            format!("call {NAME} {web} {NAME}.Group Stop b true"),
            "Call failed: no such interface: org.supervisord.Supervisor1.Group",
        ),
        (
            format!(
                "get-property {NAME} /org/supervisord/Supervisor1/group/nosuch {NAME}.Group Name"
            ),
            "Failed to get property Name on interface org.supervisord.Supervisor1.Group: no such object: /org/supervisord/Supervisor1/group/nosuch",
        ),
        (
            format!("set-property {process} State s x"),
            "Failed to set property State on interface org.supervisord.Supervisor1.Process: property State is read-only",
        ),
    ];
    for (command, expected) in table {
        same(&command, bus.busctl(&command)?, expected)?;
    }
    let tree = bus.busctl(&format!("tree --list {NAME}"))??;
    for path in ["group/web/web", "group/many", "group/many/many_5f01"] {
        let line = format!("/org/supervisord/Supervisor1/{path}");
        expect(
            tree.lines().any(|found| found == line),
            format!("{line} is not in\n{tree}"),
        )?;
    }
    let objects = bus.busctl(&format!(
        "call {NAME} /org/supervisord/Supervisor1 org.freedesktop.DBus.ObjectManager GetManagedObjects"
    ))?;
    let objects = objects.unwrap_or_else(|error| error);
    expect(objects.starts_with("a{oa{sa{sv}}} 6 "), objects)?;
    let uid = nix::unistd::geteuid();
    let log = host.place.read("log");
    for end in [
        "stop web: accepted",
        "start web: accepted",
        "rolling-restart web: accepted",
    ] {
        let found = log.lines().any(|line| {
            line.contains(&format!(" audit: dbus uid={uid} pid="))
                && line.contains(" name=:1.")
                && line.ends_with(end)
        });
        expect(found, format!("{end} is not in\n{log}"))?;
    }
    Ok(())
}

fn signals() -> Result {
    let (bus, host) = joined(&format!(
        "{PROGRAMS}[program:sick]\ncommand={{test_child}} wait {{dir}}/sick say 'ERROR <1>' forever\nstartsecs=0\n\
         health_log=ERROR\non_unhealthy=none\n"
    ))?;
    let heard = host.place.join("heard");
    let file = File::create(&heard).map_err(|error| error.to_string())?;
    let mut monitor = Command::new("gdbus")
        .args(["monitor", "--address", &bus.address(), "--dest", NAME])
        .stdin(Stdio::null())
        .stdout(file)
        .spawn()
        .map_err(|error| error.to_string())?;
    let listen = || -> Result {
        let told = |what: &str| {
            wait_for(what, LIMIT, || host.place.read("heard").contains(what))
                .map_err(|why| format!("{why}\n{}", host.place.read("heard")))
        };
        told("is owned by")?;
        host.place.write("sick", "")?;
        told("'Health': <'unhealthy'>")?;
        bus.done("StopProcess sb web true")?;
        let web = "/org/supervisord/Supervisor1/group/web/web: ";
        told(&format!(
            "{web}{NAME}.Process.StateChanged ('web', 'web', 'RUNNING', 'STOPPING', "
        ))?;
        told(&format!(
            "{web}{NAME}.Process.StateChanged ('web', 'web', 'STOPPING', 'STOPPED', "
        ))?;
        told(&format!(
            "{web}org.freedesktop.DBus.Properties.PropertiesChanged ('{NAME}.Process', {{"
        ))?;
        told("'State': <'STOPPED'>")?;
        let many = "objectpath '/org/supervisord/Supervisor1/group/many";
        let manager = "/org/supervisord/Supervisor1: org.freedesktop.DBus.ObjectManager.";
        bus.done("SetNumprocs sx many 3")?;
        told(&format!("{manager}InterfacesAdded ({many}/many_5f02', {{"))?;
        // The process is stopped already, so no event reports its exit.
        bus.done("StopProcess sb many:many_02 true")?;
        bus.done("SetNumprocs sx many 2")?;
        told(&format!(
            "{manager}InterfacesRemoved ({many}/many_5f02', ['{NAME}.Process'])"
        ))?;
        bus.done("StopProcessGroup sb many true")?;
        bus.done("RemoveProcessGroup s many")?;
        told(&format!(
            "{manager}InterfacesRemoved ({many}/many_5f00', ['{NAME}.Process'])"
        ))?;
        told(&format!(
            "{manager}InterfacesRemoved ({many}', ['{NAME}.Group'])"
        ))?;
        bus.done("ReloadConfig")?;
        bus.done("AddProcessGroup s many")?;
        told(&format!(
            "{manager}InterfacesAdded ({many}', {{'{NAME}.Group': {{'Name': <'many'>}}}})"
        ))?;
        bus.done("Shutdown")?;
        told("'State': <'SHUTDOWN'>")?;
        told("does not have an owner")
    };
    let result = listen();
    let _ = monitor.kill();
    let _ = monitor.wait();
    result
}

fn update() -> Result {
    let (bus, host) = joined(PROGRAMS)?;
    same("nothing", bus.call("Update as 0")?, "asasas 0 0 0")?;
    let changed = "[supervisord]\ndbus=session\n[program:web]\ncommand=/bin/sleep infinity\nstartsecs=0\nstopwaitsecs=7\n\
        [program:new]\ncommand=/bin/sleep infinity\nstartsecs=0\n";
    host.configure(changed)?;
    same(
        "nobody",
        bus.call("Update as 1 nosuch")?,
        "Call failed: BAD_NAME: nosuch",
    )?;
    same("one", bus.call("Update as 1 new")?, "asasas 1 \"new\" 0 0")?;
    same(
        "the rest",
        bus.call("Update as 0")?,
        "asasas 0 1 \"web\" 1 \"many\"",
    )?;
    let mut said = String::new();
    wait_for("both run", LIMIT, || {
        said = bus.done("GetAllProcessInfo").unwrap_or_else(|why| why);
        said.matches("\"statename\" s \"RUNNING\"").count() == 2
    })
    .map_err(|why| format!("{why}: {said}"))?;
    expect(!said.contains("many"), said)?;
    host.configure("[program:web]\ncommand=%(nosuch)s\n")?;
    let error = bus.call("Update as 0")?;
    expect(
        error
            .as_ref()
            .is_err_and(|error| error.contains("CANT_REREAD")),
        format!("{error:?}"),
    )
}

fn later() -> Result {
    let place = TempDir::new()?;
    let path = place.join("bus");
    let host = on(&path, PROGRAMS)?;
    wait_log(&host, " WARN cannot connect to the session D-Bus: ")?;
    let bus = Bus::start(path)?;
    wait_log(&host, JOINED)?;
    same("a call", bus.call("GetState")?, "is 1 \"RUNNING\"")?;
    let lines = |part: &str| host.place.read("log").matches(part).count();
    expect(
        lines("cannot connect to the session D-Bus") == 1,
        host.place.read("log"),
    )?;
    // The bus exits and starts again.
    let path = bus.path.clone();
    drop(bus);
    wait_log(
        &host,
        " WARN lost the connection to the session D-Bus (reconnecting)",
    )?;
    // dbus-daemon has left its socket file.
    std::fs::remove_file(&path).map_err(|error| error.to_string())?;
    let bus = Bus::start(path)?;
    wait_for("it has come back", LIMIT, || lines(JOINED) == 2)
        .map_err(|why| format!("{why}\n{}", host.place.read("log")))?;
    same("a call", bus.call("GetState")?, "is 1 \"RUNNING\"")
}

fn taken() -> Result {
    let (bus, mut first) = joined(PROGRAMS)?;
    let second = on(&bus.path, "")?;
    let line = " WARN org.supervisord.Supervisor1 has another owner on the session D-Bus (waiting until the name is free)";
    wait_log(&second, line)?;
    expect(
        !second.place.read("log").contains(JOINED),
        second.place.read("log"),
    )?;
    if let Some(daemon) = &mut first.daemon {
        daemon.signal(nix::sys::signal::Signal::SIGTERM);
        daemon.wait_exit(LIMIT)?;
    }
    wait_log(&second, JOINED)?;
    expect(
        bus.done("GetAllProcessInfo")? == "aa{sv} 0",
        "it is not the second",
    )
}

fn too_long() -> Result {
    let (bus, host) = joined(PROGRAMS)?;
    // 20 names of 60,000 bytes exceed the limit of a message of ours.
    let long = "x".repeat(60_000);
    let done = Command::new("busctl")
        .arg(format!("--address={}", bus.address()))
        .args(["call", NAME])
        .args(MANAGER.split(' '))
        .args(["Update", "as", "20"])
        .args(std::iter::repeat_n(&long, 20))
        .output()
        .map_err(|error| error.to_string())?;
    let said = String::from_utf8_lossy(&done.stderr);
    expect(
        !done.status.success() && said.contains("message is longer than 1048576 bytes"),
        said.chars().take(300).collect::<String>(),
    )?;
    same("a call", bus.call("GetState")?, "is 1 \"RUNNING\"")?;
    expect(
        !host.place.read("log").contains("audit"),
        host.place.read("log"),
    )
}

fn off() -> Result {
    let bus = Bus::start_somewhere()?;
    let mut host = Host::new(&format!("[supervisord]\ndbus=Off\n{PROGRAMS}"))?;
    let address = bus.address();
    host.go_with(|command| {
        command.env("DBUS_SESSION_BUS_ADDRESS", address);
    })?;
    expect(
        !host.place.read("log").contains("D-Bus"),
        host.place.read("log"),
    )?;
    let wrong = Host::new("[supervisord]\ndbus=maybe\n")?;
    let done = Command::new(program(Side::Ours, "supervisord")?)
        .args(["--check", "-c"])
        .arg(wrong.place.join("conf"))
        .output()
        .map_err(|error| error.to_string())?;
    let said =
        String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout);
    expect(
        !done.status.success()
            && said.contains("conf:")
            && said.contains("maybe")
            && said.contains("auto, system, session or off"),
        said,
    )
}
