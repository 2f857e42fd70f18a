//! Recovery without a usable state: a daemon was killed, and its state cannot be read or its fd holder is dead too. The
//! next daemon adopts the programs that it finds, runs nothing twice, and kills no process that the configuration
//! knows. FastCGI sockets, which programs share, survive like their holders.

use std::os::fd::AsFd as _;
use std::time::Duration;

use supervisord::fd_holder::{FdHolder, FdStore};
use supervisord::{domain::FdName, sys};

use crate::service::{UNIT, configure, ctl, drop_in, install, pid_of};
use crate::support::machine::{Machine, trial};
use crate::support::numbered::test_child;
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("programs_survive_unreadable_state", spoiled),
        ("programs_survive_a_killed_fd_holder", without_holder),
        ("sockets_of_fastcgi_programs_survive", sockets),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("adoption::{name}"), test))
        .collect()
}

const TREE: &str = "/sys/fs/cgroup/system.slice/supervisord-programs.scope";

/// The test binary as a process that talks to the fd holder between two daemons. Standard input is the socket of the fd
/// holder, and the argument names the replacement of the state.
pub(crate) fn spoil_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) != Some("spoil") {
        return;
    }
    let stdin = std::io::stdin();
    let socket = stdin.as_fd().try_clone_to_owned().expect("room");
    let (holder, _) = FdHolder::from_fd(socket).expect("an fd holder");
    let items = holder.list(Duration::from_secs(10)).expect("a list");
    let state = items.into_iter().find(|(name, _)| name == "state");
    let state = state.expect("a state").1.remove(0);
    let bytes = sys::read_sealed(&state, 1 << 30).expect("readable");
    let fd_store = FdStore::new(holder);
    let text = String::from_utf8(bytes).expect("text");
    let put = |text: &str| {
        let other = sys::sealed_memory("spoiled", text.as_bytes()).expect("memory");
        assert!(fd_store.store(FdName::State, &[other.as_fd()]).is_none());
    };
    match arguments.get(2).map(String::as_str) {
        // The state of another version, with other content.
        Some("version") => put(&text.replacen("\"format\":", "\"form\":9,\"format\":9", 1)),
        Some("truncated") => put(&text[..text.len() / 2]),
        Some("garbage") => put("\u{0}\u{1}\u{2}"),
        Some("missing") => assert!(fd_store.remove(FdName::State).is_none()),
        other => panic!("{other:?}"),
    }
    assert!(fd_store.barrier().is_none());
    std::process::exit(0);
}

/// Runs in place of the daemon: if /run/spoil exists, it first damages the state as the file says. The first descriptor
/// from the service manager is the socket of the fd holder.
fn spoiling(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let program = test_child
        .strip_suffix(" test_child")
        .unwrap_or(&test_child);
    machine.write(
        "/run/begin.sh",
        &format!(
            "if [ -e /run/spoil ]; then
                 {program} spoil $(cat /run/spoil) <&3 2>/run/spoil.log || exit 9
                 rm /run/spoil
             fi
             exec /usr/bin/supervisord -n -c /etc/supervisor/supervisord.conf\n"
        ),
    )?;
    machine.sh("rm -f /run/spoil")?;
    drop_in(machine, "ExecStart=\nExecStart=/bin/sh /run/begin.sh")
}

fn log(machine: &Machine) -> Result<String, String> {
    machine.sh("cat /var/log/supervisord.log")
}

/// Kills the daemon after `before`, and waits until the next one has everything running.
fn crash(machine: &Machine, before: &str, restarts: u32, status: &str) -> Result<(), String> {
    machine.sh(&format!(
        "{before}; : > /var/log/supervisord.log; kill -9 $(systemctl show -p MainPID --value {UNIT})"
    ))?;
    machine.wait_property(UNIT, "NRestarts", &restarts.to_string())?;
    machine.wait_property(UNIT, "StatusText", status)
}

/// Number of processes with this in their command line.
fn count(machine: &Machine, what: &str) -> Result<usize, String> {
    let found = machine.sh(&format!("pgrep -fc -- '^/bin/{what}$' || true"))?;
    found.trim().parse().map_err(|_| found)
}

fn spoiled(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let programs = format!(
        "[program:tells]\ncommand={test_child} tell /run/stop 1000\nstartsecs=0\nautorestart=false\n\
         stdout_logfile=/var/log/tells.log\nstdout_logfile_maxbytes=0\n\
         [program:manual]\ncommand=/bin/sleep 77001\nautostart=false\nstartsecs=0\n"
    );
    machine.sh("rm -f /run/stop /var/log/tells.log")?;
    let gone = "[program:gone]\ncommand=/bin/sleep 77002\nstartsecs=0\n";
    install(machine, "", &format!("{programs}{gone}"))?;
    spoiling(machine)?;
    machine.sh("systemctl start supervisord")?;
    ctl(machine, "start manual")?;
    machine.wait_property(UNIT, "StatusText", "3/3 running")?;
    // The next daemon does not know one of them.
    configure(machine, "", &programs)?;
    let before = (pid_of(machine, "tells")?, pid_of(machine, "manual")?);
    for (round, how) in ["version", "truncated", "garbage", "missing"]
        .iter()
        .enumerate()
    {
        let restarts = u32::try_from(round + 1).unwrap_or(0);
        crash(
            machine,
            &format!("echo {how} > /run/spoil"),
            restarts,
            "2/2 running",
        )?;
        let after = (pid_of(machine, "tells")?, pid_of(machine, "manual")?);
        let log = log(machine)?;
        expect(
            before == after,
            format!("{how}: {before:?} {after:?} {log}"),
        )?;
        for (name, pid) in [("tells", &after.0), ("manual", &after.1)] {
            let found = format!("adopted: '{name}' with pid {pid}, found running (");
            expect(
                log.contains(&found),
                format!("{how}: {found} is not in {log}"),
            )?;
        }
        let complains = log.contains("cannot read the state of the previous daemon");
        expect(complains == (*how != "missing"), format!("{how}: {log}"))?;
        let killed = log.contains("left by a previous daemon: gone:gone");
        expect(killed == (round == 0), format!("{how}: {log}"))?;
        expect(count(machine, "sleep 77001")? == 1, "twice")?;
        expect(count(machine, "sleep 77002")? == 0, "nobody's, and there")?;
    }
    // Its pipes were never closed and still lead to the log. Its exit is logged too.
    machine.sh("touch /run/stop")?;
    wait_for("the end", LIMIT, || {
        ctl(machine, "status tells").is_ok_and(|status| status.contains("EXITED"))
    })?;
    machine.sh("awk 'ended { print \"after the end\", $0; exit 1 }
              $0 == \"end\" { ended = 1; next }
              $0 + 0 != n { print NR, $0, \"not\", n; exit 1 }
              { n++ }
              END { if (!ended) exit 1 }' /var/log/tells.log >&2")?;
    // They are like any other processes now.
    ctl(machine, "stop manual")?;
    expect(count(machine, "sleep 77001")? == 0, "not stopped")?;
    machine.sh("systemctl stop supervisord").map(drop)
}

fn without_holder(machine: &Machine) -> Result<(), String> {
    let programs = "[program:a]\ncommand=/bin/sleep 77003\nstartsecs=0\n\
                    [program:b]\ncommand=/bin/sleep 77004\nstartsecs=0\nautostart=false\n";
    install(machine, "", programs)?;
    // The next daemon must not start before both are dead.
    drop_in(machine, "RestartSec=1s")?;
    machine.sh("systemctl start supervisord")?;
    ctl(machine, "start b")?;
    machine.wait_property(UNIT, "StatusText", "2/2 running")?;
    let both = || Ok::<_, String>((pid_of(machine, "a")?, pid_of(machine, "b")?));
    let before = both()?;
    // A daemon that keeps running would start another one at once.
    let holder = format!(
        "kill -STOP $(systemctl show -P MainPID supervisord); kill -9 $(cat {TREE}/.hold/cgroup.procs)"
    );
    crash(machine, &holder, 1, "2/2 running")?;
    let text = log(machine)?;
    expect(both()? == before, format!("{before:?} {text}"))?;
    expect(
        text.matches("found running without its pipes").count() == 2,
        text,
    )?;
    for what in ["sleep 77003", "sleep 77004"] {
        expect(count(machine, what)? == 1, format!("{what} twice"))?;
    }
    // There is another fd holder, so that the next crash is an ordinary one.
    crash(machine, ":", 2, "2/2 running")?;
    let text = log(machine)?;
    expect(both()? == before, format!("{before:?} {text}"))?;
    expect(
        text.contains("adopted 2 processes of a daemon that was killed"),
        text,
    )?;
    // A restarted process has pipes and another PID.
    ctl(machine, "restart a")?;
    let after = both()?;
    expect(
        after.0 != before.0 && after.1 == before.1,
        format!("{after:?}"),
    )?;
    machine.sh("systemctl stop supervisord")?;
    expect(count(machine, "sleep 7700[34]")? == 0, "something is left")
}

fn sockets(machine: &Machine) -> Result<(), String> {
    let programs = "[fcgi-program:web]\ncommand=/bin/sleep infinity\nprocess_name=%(process_num)d\n\
                    numprocs=2\nstartsecs=0\nsocket=unix:///run/web.sock\n\
                    [fcgi-program:other]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
                    socket=tcp://127.0.0.1:7701\n";
    install(machine, "", programs)?;
    spoiling(machine)?;
    machine.sh("systemctl start supervisord")?;
    machine.wait_property(UNIT, "StatusText", "3/3 running")?;
    let inode = |name: &str| {
        let pid = pid_of(machine, name)?;
        machine.sh(&format!("readlink /proc/{pid}/fd/0"))
    };
    let connects = || {
        let script = "import socket; socket.socket(socket.AF_UNIX).connect(\"/run/web.sock\")";
        let done = machine.run(&["python3", "-c", script])?;
        Ok::<bool, String>(done.code == 0)
    };
    let (web, other) = (inode("web:0")?, inode("other")?);
    expect(web.starts_with("socket:") && web != other, web.clone())?;
    expect(connects()?, "no process listens")?;
    let same = |when: &str| {
        for (name, inode_before) in [("web:0", &web), ("web:1", &web), ("other", &other)] {
            let now = inode(name)?;
            expect(now == *inode_before, format!("{when}: {name} has {now}"))?;
        }
        expect(connects()?, format!("{when}: no process listens"))
    };
    crash(machine, ":", 1, "3/3 running")?;
    same("killed")?;
    // A process that the next daemon starts gets the same socket.
    ctl(machine, "restart web:0 other")?;
    // The last process of the other program had exited, so its socket was closed.
    let other = inode("other")?;
    expect(inode("web:0")? == web, "another socket")?;
    machine.sh("systemctl restart supervisord")?;
    machine.wait_property(UNIT, "StatusText", "3/3 running")?;
    expect(
        inode("web:1")? == web && inode("other")? == other,
        "let go: other sockets",
    )?;
    ctl(machine, "restart web:1")?;
    expect(inode("web:1")? == web, "let go: another socket")?;
    // A daemon that took over detached programs can be killed like any other. No stored descriptor disturbs the next
    // one. (The service manager counts restarts from zero.)
    crash(machine, ":", 1, "3/3 running")?;
    expect(inode("web:1")? == web, "killed again: another socket")?;
    // The next daemon does not take an old state either.
    crash(machine, "echo garbage > /run/spoil", 2, "3/3 running")?;
    ctl(machine, "restart web:0")?;
    expect(
        inode("web:0")? == web && connects()?,
        "spoiled: another socket",
    )?;
    let text = log(machine)?;
    expect(!text.contains("Creating socket"), text)?;
    ctl(machine, "stop web:*")?;
    expect(!connects()?, "it is still open")?;
    let text = log(machine)?;
    expect(text.contains("Closing socket unix:///run/web.sock"), text)?;
    machine.sh("systemctl stop supervisord").map(drop)
}
