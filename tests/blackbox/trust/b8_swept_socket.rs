//! B8: a sweeper of temporary directories removes the control socket, and the daemon makes it again. A second daemon
//! with the same configuration does not start. A second daemon with another configuration leaves the AUTO logs of the
//! first alone (Supervisor#1105, #1238, #1710, #494, poise/supervisor#96).

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};
use std::os::unix::net::UnixListener;

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::daemon::{Daemon, answers};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

type Test = fn() -> Result<(), String>;

pub(crate) fn tests() -> Vec<Trial> {
    let list: &[(&str, Test)] = &[
        ("a_removed_socket_is_created_again", swept),
        ("a_renamed_socket_is_created_again", renamed),
        ("a_file_at_the_path_of_the_socket_is_left_alone", taken),
        ("the_next_daemon_watches_the_socket", succeeded),
        ("a_second_daemon_of_the_same_configuration_refuses", second),
        ("a_stale_pidfile_does_not_prevent_a_start", left_behind),
        ("auto_logs_of_a_running_daemon_stay", auto_logs),
    ];
    list.iter()
        .map(|&(name, test)| {
            Trial::new(format!("trust::b8_{name}"), move || {
                test().map(|()| Outcome::Passed)
            })
        })
        .collect()
}

const PROGRAMS: &str = "[program:quiet]\ncommand=/bin/sleep 1000\nstartsecs=0\n";
const NO_SOCKET: &str = "[supervisord]
logfile={dir}/log
pidfile={dir}/pid
childlogdir={dir}
nodaemon=true
";

fn started(config: &str) -> Result<Host, String> {
    let host = Host::start(&format!("{PROGRAMS}{config}"))?;
    host.daemon()?.wait_state("quiet", "RUNNING")?;
    Ok(host)
}

fn is_back(host: &Host) -> Result<(), String> {
    let address = host.daemon()?.address.clone();
    wait_for("the socket is back", LIMIT, || answers(&address))
        .map_err(|why| format!("{why}: {}", host.log_end()))
}

fn swept() -> Result<(), String> {
    let host = started("[unix_http_server]\nchmod=0640\n")?;
    let path = host.place.join("s");
    for _ in 0..3 {
        let before = fs::symlink_metadata(&path).map_err(|e| e.to_string())?;
        fs::remove_file(&path).map_err(|e| e.to_string())?;
        is_back(&host)?;
        let now = fs::symlink_metadata(&path).map_err(|e| e.to_string())?;
        expect(
            now.file_type().is_socket()
                && now.mode() == before.mode()
                && (now.uid(), now.gid()) == (before.uid(), before.gid()),
            format!("{now:?}"),
        )?;
    }
    host.wait_file("log", "was removed by another process; created it again")?;
    // A daemon that exits removes the new socket, and no other file remains beside it.
    host.daemon()?.signal(Signal::SIGTERM);
    wait_for("the end", LIMIT, || !path.exists())?;
    expect_names(&host)
}

/// All our files have configured names.
fn expect_names(host: &Host) -> Result<(), String> {
    let names = fs::read_dir(host.place.path()).map_err(|e| e.to_string())?;
    let left: Vec<String> = names
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.starts_with("s."))
        .collect();
    expect(left.is_empty(), format!("left: {left:?}"))
}

fn renamed() -> Result<(), String> {
    let host = started("")?;
    let path = host.place.join("s");
    fs::rename(&path, host.place.join("aside")).map_err(|e| e.to_string())?;
    is_back(&host)
}

fn taken() -> Result<(), String> {
    let mut host = started("")?;
    let path = host.place.join("s");
    let other = host.place.join("other");
    fs::write(&other, "precious").map_err(|e| e.to_string())?;
    fs::rename(&other, &path).map_err(|e| e.to_string())?;
    host.wait_file("log", "cannot create it again")?;
    expect(host.place.read("s") == "precious", "it was not left alone")?;
    // A socket of another daemon is not ours, even if nobody listens on it any more.
    fs::remove_file(&path).map_err(|e| e.to_string())?;
    let stale = UnixListener::bind(&path);
    if stale.is_ok() {
        drop(stale);
        let found = fs::symlink_metadata(&path).map_err(|e| e.to_string())?;
        host.daemon()?.signal(Signal::SIGUSR2);
        host.wait_file("log", "received SIGUSR2")?;
        let now = fs::symlink_metadata(&path).map_err(|e| e.to_string())?;
        expect(
            now.ino() == found.ino(),
            "the other daemon's socket was removed",
        )?;
        fs::remove_file(&path).map_err(|e| e.to_string())?;
    }
    // By SIGUSR2, or by itself a moment later.
    host.daemon()?.signal(Signal::SIGUSR2);
    is_back(&host)?;
    let pid = host.daemon()?.pid();
    expect(
        pid > 0 && host.daemon.as_mut().is_some_and(Daemon::is_alive),
        "it has ended",
    )
}

fn succeeded() -> Result<(), String> {
    let host = started("")?;
    let said = host.ctl(&["upgrade"])?;
    expect(said.code == 0, format!("{said:?}"))?;
    is_back(&host)?;
    fs::remove_file(host.place.join("s")).map_err(|e| e.to_string())?;
    is_back(&host)
}

fn second() -> Result<(), String> {
    // Without a socket only the pidfile shows the first daemon.
    let mut host = Host::new("")?;
    let config = host.fill(&format!("{NO_SOCKET}{PROGRAMS}"));
    host.place.write("conf", &config)?;
    let (pid, log) = (host.place.join("pid"), host.place.join("log"));
    let binary =
        crate::support::daemon::program(crate::support::daemon::Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&binary, host.place.path());
    command.args(["-n", "-c", "conf"]);
    let address = crate::support::wire::Address::Unix(host.place.join("s"));
    host.daemon = Some(Daemon::spawn(command, host.place.path(), address)?);
    host.wait_file("log", "entered RUNNING state")?;
    let first = fs::read_to_string(&pid).map_err(|e| e.to_string())?;
    let text = fs::read(&log).map_err(|e| e.to_string())?;
    for path in [
        "conf".to_owned(),
        host.place.join("conf").display().to_string(),
    ] {
        let got = host.run(&["-n", "-c", &path])?;
        expect(
            got.code == 2
                && got.stderr.contains("another supervisord (PID ")
                && got.stderr.contains(first.trim()),
            format!("{got:?}"),
        )?;
    }
    // It has changed nothing.
    expect(
        fs::read_to_string(&pid).ok() == Some(first) && fs::read(&log).ok() == Some(text),
        "the second daemon has changed files of the first",
    )?;
    // Another configuration with the same pidfile is allowed, as in Supervisor.
    host.place.write("conf2", &config)?;
    let mut command = host.marked.command(&binary, host.place.path());
    command.args(["-n", "-c", "conf2"]);
    let other = host.place.join("other");
    fs::create_dir(&other).map_err(|e| e.to_string())?;
    let mut another = Daemon::spawn(
        command,
        &other,
        crate::support::wire::Address::Unix(host.place.join("s2")),
    )?;
    let own = format!("{}\n", another.pid());
    wait_for("it has started", LIMIT, || {
        fs::read_to_string(&pid).is_ok_and(|now| now == own)
    })?;
    another.signal(Signal::SIGTERM);
    another.wait_exit(LIMIT).map(drop)
}

fn left_behind() -> Result<(), String> {
    let mut host = started("")?;
    for _ in 0..2 {
        let daemon = host.daemon.as_mut().ok_or("not started")?;
        daemon.signal(Signal::SIGKILL);
        daemon.wait_exit(LIMIT)?;
        expect(host.place.join("pid").exists(), "no pidfile is left")?;
        // The PID in it may belong to another process now.
        host.place.write("pid", "1\n")?;
        host.go()?;
    }
    host.daemon()?.wait_state("quiet", "RUNNING")
}

fn auto_logs() -> Result<(), String> {
    let mut host = Host::new(&format!(
        "{PROGRAMS}[program:stopped]\ncommand=/bin/echo a line\nautorestart=false\nstartsecs=0\n"
    ))?;
    host.go()?;
    host.daemon()?.wait_state("quiet", "RUNNING")?;
    host.daemon()?.wait_state("stopped", "EXITED")?;
    let logs = || -> Result<Vec<String>, String> {
        let names = fs::read_dir(host.place.path()).map_err(|e| e.to_string())?;
        let mut names: Vec<String> = names
            .flatten()
            .filter_map(|entry| entry.file_name().into_string().ok())
            .filter(|name| name.contains("---supervisor-"))
            .collect();
        names.sort_unstable();
        Ok(names)
    };
    let before = logs()?;
    expect(before.len() == 4, format!("{before:?}"))?;
    let all: Vec<String> = fs::read_dir(host.place.path())
        .map_err(|e| e.to_string())?
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .filter(|name| name.contains("lock"))
        .collect();
    expect(all.is_empty(), format!("files of ours: {all:?}"))?;
    // It has its own files, but the same directory and identifier, because both have defaults.
    let config = host.fill(
        "[unix_http_server]\nfile={dir}/s2\n[supervisord]\nlogfile={dir}/log2\npidfile={dir}/pid2\nchildlogdir={dir}\n\
         [rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface\n",
    );
    host.place.write("conf2", &config)?;
    let binary =
        crate::support::daemon::program(crate::support::daemon::Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&binary, host.place.path());
    command.args(["-n", "-c", "conf2"]);
    let other = host.place.join("other");
    fs::create_dir(&other).map_err(|e| e.to_string())?;
    let address = crate::support::wire::Address::Unix(host.place.join("s2"));
    let mut another = Daemon::spawn(command, &other, address)?;
    let ended = another.wait_ready(LIMIT)?;
    expect(ended.is_none(), "the second daemon has ended")?;
    expect(logs()? == before, format!("{before:?} → {:?}", logs()?))?;
    host.wait_file("log2", ": another supervisord with the same identifier")?;
    let tail = host.ctl(&["tail", "stopped"])?;
    expect(tail.stdout.starts_with("a line\n"), format!("{tail:?}"))?;
    another.signal(Signal::SIGTERM);
    another.wait_exit(LIMIT)?;
    // The same daemon's own logs of an earlier run are removed as before.
    let daemon = host.daemon.as_mut().ok_or("not started")?;
    daemon.signal(Signal::SIGKILL);
    daemon.wait_exit(LIMIT)?;
    host.go()?;
    let names = fs::read_dir(host.place.path()).map_err(|e| e.to_string())?;
    let kept = names
        .flatten()
        .filter_map(|entry| entry.file_name().into_string().ok())
        .any(|name| before.contains(&name));
    expect(!kept, "old AUTO logs are still there")
}
