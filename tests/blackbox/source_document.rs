//! What the Chinese README of the Go implementation promises about programs: every key and every command.

use std::path::Path;

use crate::host::{Host, free_port};
use crate::namespace;
use crate::support::daemon::{Daemon, Side, program, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::source_document::{
    DocumentHost, IDENTITY, LIMITS_BEFORE, check, config, prepare,
};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "source_document::g20_g21_g35_every_key_does_what_it_says",
            plain,
        ),
        Trial::new("source_document::g20_g21_g35_every_key_as_pid_one", pid_one),
        Trial::new(
            "source_document::g01_g03_the_commands_that_start_the_daemon",
            starts,
        ),
        Trial::new(
            "source_document::g02_each_place_of_the_file_is_found",
            places,
        ),
        Trial::new("source_document::g19_servers_and_passwords", servers),
        Trial::new("source_document::numprocs_can_be_the_number_of_cpus", cpus),
        Trial::new("source_document::the_examples_load_as_written", examples),
    ]
}

struct Place<'a> {
    host: &'a Host,
    /// A process in the PID namespace of the daemon. `None`: that of the tests.
    inside: Option<i32>,
}

impl Place<'_> {
    fn shell(&self, script: &str) -> Result<(i32, String), String> {
        let (binary, enter) = match self.inside {
            None => ("/bin/sh", Vec::new()),
            Some(pid) => {
                let pid = pid.to_string();
                let words = ["-t", &pid, "-p", "-m", "/bin/sh"];
                ("/usr/bin/nsenter", words.map(str::to_owned).to_vec())
            }
        };
        let mut command = self
            .host
            .marked
            .command(Path::new(binary), self.host.place.path());
        // Another mount namespace means another working directory.
        let script = format!("cd {} && {script}", self.host.place.text());
        command.args(enter).args(["-c", &script]);
        let done = run(command, self.host.place.path(), None, LIMIT)?;
        Ok((done.code, done.stdout + &done.stderr))
    }
}

impl DocumentHost for Place<'_> {
    fn ctl(&self, arguments: &str) -> Result<(i32, String), String> {
        let ctl = program(Side::Ours, "supervisorctl")?;
        self.shell(&format!("{} -c conf {arguments}", ctl.display()))
    }

    fn sh(&self, script: &str) -> Result<String, String> {
        let (code, output) = self.shell(script)?;
        match code {
            0 => Ok(output),
            _ => Err(format!("{script}: {code}: {output}")),
        }
    }
}

/// A directory with the configuration, and the command that starts the daemon with low limits.
fn set_up() -> Result<(Host, String), String> {
    let host = Host::new("")?;
    let dir = host.place.text();
    let place = Place {
        host: &host,
        inside: None,
    };
    place.sh(&prepare(&dir))?;
    let user = match is_root() {
        true => format!("user={IDENTITY}"),
        false => String::new(),
    };
    host.place
        .write("conf", &config(&dir, free_port()?, &user))?;
    let (files, processes) = LIMITS_BEFORE;
    let daemon = program(Side::Ours, "supervisord")?;
    let script = format!(
        "exec prlimit --nofile={files}: --nproc={processes}: {} -n -c conf",
        daemon.display()
    );
    Ok((host, script))
}

fn plain() -> Result<Outcome, String> {
    let (mut host, script) = set_up()?;
    let mut command = host.marked.command(Path::new("/bin/sh"), host.place.path());
    command.args(["-c", &script]);
    host.go_as(command, "s")?;
    let place = Place {
        host: &host,
        inside: None,
    };
    let dir = host.place.text();
    check(&place, &dir, is_root()).map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    host.expect_well()?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(
        code == 0 && !host.place.join("pid").exists(),
        format!("exit {code}"),
    )?;
    Ok(Outcome::Passed)
}

fn pid_one() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("a PID namespace needs root".to_owned()));
    }
    let (mut host, script) = set_up()?;
    if !namespace::enter(&mut host, &script)? {
        return Ok(Outcome::Skipped(
            "this machine allows no PID namespaces".to_owned(),
        ));
    }
    host.wait_file("log", "supervisord started with pid 1\n")?;
    let inside = namespace::inside(&host)?;
    let place = Place {
        host: &host,
        inside: Some(inside),
    };
    let dir = host.place.text();
    check(&place, &dir, true).map_err(|why| format!("{why}; log:\n{}", host.log_end()))?;
    expect(proc::zombies(inside) == 0, "zombies are left")?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("PID 1 ended with {code}"))?;
    Ok(Outcome::Passed)
}

/// `supervisord -c supervisor.conf`, the same with `-d`, and the long options. The pidfile of the configuration is
/// used and removed; the Go implementation writes `supervisord.pid` with `-d`, and leaves it.
fn starts() -> Result<Outcome, String> {
    let host = Host::new(
        "[supervisord]\nnodaemon=true\n[program:test]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    for arguments in [
        vec!["-c", "conf", "-d"],
        vec!["--configuration=conf", "--daemon"],
        vec!["--configuration", "conf", "-d"],
        vec!["-cconf", "--daemon"],
    ] {
        let started = host.run(&arguments)?;
        expect(started.code == 0, format!("{arguments:?}: {started:?}"))?;
        wait_for("the daemon in the background", LIMIT, || {
            host.ctl(&["status", "test"])
                .is_ok_and(|got| got.stdout.contains("RUNNING"))
        })?;
        expect(
            !host.place.join("supervisord.pid").exists(),
            "a pidfile that nobody asked for",
        )?;
        host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
        wait_for("the end of the daemon", LIMIT, || {
            !host.place.join("pid").exists()
        })?;
    }
    // Supervisor's option.
    let refused = host.run(&["-c", "conf", "-n", "-d", "/nonexistent"])?;
    expect(
        refused.code == 2
            && refused
                .stderr
                .contains("/nonexistent is not an existing directory"),
        format!("{refused:?}"),
    )?;
    let missing = host.run(&["-c", "nosuch.conf", "-d"])?;
    expect(
        missing.code == 2 && missing.stderr.contains("nosuch.conf"),
        format!("{missing:?}"),
    )?;
    Ok(Outcome::Passed)
}

/// The six places of the document, each the only one with a file, in a mount namespace with another /etc.
fn places() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("another /etc needs root".to_owned()));
    }
    let host = Host::new("")?;
    let binary = program(Side::Ours, "supervisord")?;
    let dir = host.place.text();
    for (path, shown) in [
        ("{dir}/cwd/supervisord.conf", "supervisord.conf"),
        ("{dir}/cwd/etc/supervisord.conf", "etc/supervisord.conf"),
        ("/etc/supervisord.conf", "/etc/supervisord.conf"),
        (
            "/etc/supervisor/supervisord.conf",
            "/etc/supervisor/supervisord.conf",
        ),
        (
            "{dir}/local/etc/supervisord.conf",
            "{dir}/local/etc/supervisord.conf",
        ),
        (
            "{dir}/local/supervisord.conf",
            "{dir}/local/supervisord.conf",
        ),
    ] {
        let (path, shown) = (path.replace("{dir}", &dir), shown.replace("{dir}", &dir));
        let script = format!(
            "set -e\nrm -rf {dir}/cwd {dir}/local {dir}/etc\nmkdir -p {dir}/cwd {dir}/local/bin {dir}/etc\n\
             cp /etc/passwd /etc/group {dir}/etc\nmount --bind {dir}/etc /etc\nln -s {} {dir}/local/bin/supervisord\n\
             mkdir -p $(dirname {path})\necho '[supervisord]' > {path}\ncd {dir}/cwd\n\
             PATH={dir}/local/bin:$PATH supervisord --check",
            binary.display()
        );
        let mut command = host
            .marked
            .command(Path::new("/usr/bin/unshare"), host.place.path());
        command.args(["-m", "/bin/sh", "-c", &script]);
        let got = run(command, host.place.path(), None, LIMIT)?;
        if got.stderr.contains("unshare") && got.code != 0 {
            return Ok(Outcome::Skipped(
                "this machine allows no mount namespaces".to_owned(),
            ));
        }
        expect(
            got.code == 0 && got.stdout == format!("{shown}: ok\n"),
            format!("{path}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

/// The configurations of the document as they stand there, with a command where it has `...`.
fn examples() -> Result<Outcome, String> {
    for (text, names) in [
        (
            "[program:test]\ncommand = {test_child} forever\n",
            vec!["test"],
        ),
        (
            "[program:A]\ndepends_on = B, C\ncommand={test_child} forever\n\n[program:B]\ncommand={test_child} forever\n\
             [program:C]\ncommand={test_child} forever\n",
            vec!["A", "B", "C"],
        ),
        (
            "[program-default]\nenvironment=VAR1=\"value1\",VAR2=\"value2\"\nenvFiles=global.env,prod.env\n\n\
             [program:test1]\ncommand={test_child} env VAR1 env VAR2 env SITE forever\nstdout_logfile={dir}/test1.out\n\n\
             [program:test2]\ncommand={test_child} forever\n",
            vec!["test1", "test2"],
        ),
    ] {
        let mut host = Host::new("")?;
        host.place.write("global.env", "SITE=global\nVAR1=file\n")?;
        host.place.write("prod.env", "SITE=prod\n")?;
        let port = free_port()?;
        // The document's web example has the other two sections; its port may be in use here.
        let server = format!(
            "[inet_http_server]\nport=127.0.0.1:{port}\n;username=test1\n;password=thepassword\n\n\
             [supervisorctl]\nserverurl=http://127.0.0.1:{port}\n[unix_http_server]\nfile={{dir}}/s\n"
        );
        host.place
            .write("conf", &host.fill(&format!("{text}{server}")))?;
        host.go()?;
        for name in names {
            host.daemon()?.wait_state(name, "RUNNING")?;
            host.expect_ctl(&["status", name], 0, &["RUNNING"])?;
        }
        if text.contains("test1") {
            host.wait_file("test1.out", "VAR1=value1\nVAR2=value2\nSITE=prod\n")?;
        }
        host.expect_well()?;
    }
    Ok(Outcome::Passed)
}

/// The sockets on which a process listens: unix sockets and TCP.
fn listening(pid: i32) -> (usize, usize) {
    let own: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
        .into_iter()
        .flatten()
        .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
        .filter_map(|link| {
            let link = link.display().to_string();
            Some(link.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())
        })
        .collect();
    let count = |table: &str, state: usize, listens: &str, inode: usize| {
        let text = std::fs::read_to_string(format!("/proc/{pid}/net/{table}")).unwrap_or_default();
        text.lines()
            .map(|line| line.split_whitespace().collect::<Vec<&str>>())
            .filter(|fields| fields.get(state) == Some(&listens))
            .filter(|fields| {
                let number = fields.get(inode).copied().unwrap_or_default();
                own.iter().any(|own| own == number)
            })
            .count()
    };
    (
        count("unix", 3, "00010000", 6),
        count("tcp", 3, "0A", 9) + count("tcp6", 3, "0A", 9),
    )
}

/// Both kinds of servers with and without a password, and none without their sections.
fn servers() -> Result<Outcome, String> {
    const PROGRAM: &str = "[program:test]\ncommand={test_child} forever\nstartsecs=0\n";
    const PASSWORD: &str = "username=test1\npassword=thepassword\n";
    let port = free_port()?;
    let unix = "[unix_http_server]\nfile={dir}/s\n";
    let inet = format!("[inet_http_server]\nport=127.0.0.1:{port}\n");
    let url = format!("http://127.0.0.1:{port}");
    for (section, url, password) in [
        (unix, "unix://{dir}/s", ""),
        (unix, "unix://{dir}/s", PASSWORD),
        (&inet, &url, ""),
        (&inet, &url, PASSWORD),
    ] {
        let mut host = Host::new("")?;
        let client = format!("[supervisorctl]\nserverurl={url}\n{password}");
        let text = host.fill(&format!("{section}{password}{client}{PROGRAM}"));
        host.place.write("conf", &text)?;
        let daemon = program(Side::Ours, "supervisord")?;
        let mut command = host.marked.command(&daemon, host.place.path());
        command.args(["-n", "-c", "conf"]);
        let address = match section == unix {
            true => Address::Unix(host.place.join("s")),
            false => Address::Port(port),
        };
        let mut daemon = Daemon::spawn(command, host.place.path(), address)?;
        expect(daemon.wait_ready(LIMIT)?.is_none(), host.place.read("err"))?;
        let expected = if section == unix { (1, 0) } else { (0, 1) };
        let found = listening(daemon.pid());
        expect(found == expected, format!("{section}: {found:?}"))?;
        host.daemon = Some(daemon);
        wait_for("it runs", LIMIT, || {
            host.ctl(&["status", "test"]).is_ok_and(|got| got.code == 0)
        })?;
        let wrong = host.ctl(&["-u", "test1", "-p", "wrong", "pid", "test"])?;
        expect(
            (wrong.code == 0) == password.is_empty(),
            format!("{section}{password}: {wrong:?}"),
        )?;
    }
    let host = Host::new("")?;
    host.place.write("conf", &host.fill(PROGRAM))?;
    let daemon = program(Side::Ours, "supervisord")?;
    let mut command = host.marked.command(&daemon, host.place.path());
    command.args(["-n", "-c", "conf", "-l", "log"]);
    let nobody = Address::Unix(host.place.join("s"));
    let daemon = Daemon::spawn(command, host.place.path(), nobody)?;
    host.wait_file("log", "success: test entered RUNNING state")?;
    let found = listening(daemon.pid());
    expect(found == (0, 0), format!("without servers: {found:?}"))?;
    Ok(Outcome::Passed)
}

fn cpus() -> Result<Outcome, String> {
    for cpu in [None, Some("0")] {
        let mut host = Host::new(
            "[program:many]\ncommand=/bin/sleep 1000\nstartsecs=0\nnumprocs=cpus\n\
             process_name=%(process_num)d\n",
        )?;
        let daemon = program(Side::Ours, "supervisord")?;
        let mut command = match cpu {
            None => host.marked.command(&daemon, host.place.path()),
            Some(cpu) => {
                let taskset = Path::new("/usr/bin/taskset");
                let mut command = host.marked.command(taskset, host.place.path());
                command.args(["-c", cpu]).arg(&daemon);
                command
            }
        };
        command.args(["-n", "-c", "conf"]);
        host.go_as(command, "s")?;
        let expected = match cpu {
            None => std::thread::available_parallelism().map_or(1, usize::from),
            Some(_) => 1,
        };
        let shown = host.ctl(&["status"])?;
        let found = shown.stdout.matches("many:").count();
        expect(found == expected, format!("{found}, not {expected}"))?;
        host.expect_well()?;
    }
    Ok(Outcome::Passed)
}
