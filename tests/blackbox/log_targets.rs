//! Several log targets of one stream: files, the daemon's own streams, syslog servers, memory. A target that hangs stops
//! neither the program nor another target.

use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};

use nix::sys::signal::Signal;

use crate::host::{Host, free_port};
use crate::support::daemon::{Daemon, Side, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Value};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};
use crate::trust::b2_log_that_hangs::Stall;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn() -> Result<Outcome, String>;
    let list: &[(&str, Test)] = &[
        ("t05_g37_own_streams_get_whole_lines", own_streams),
        ("g40_a_file_behind_another_target_can_be_read", readable),
        ("g70_lists_of_the_go_reimplementation_load", go_lists),
        ("g41_bad_words_name_their_line", bad_words),
        ("g39_rsyslog_gets_lines_through_outages", rsyslog),
        ("l07_targets_that_hang_are_noticed_by_nobody", many),
        ("l07_a_dead_file_system_stops_no_other_target", dead),
        ("g40_an_upgrade_loses_nothing_in_any_file", upgraded),
        ("g40_a_log_in_memory_is_read_like_a_file", memory),
        ("g38_rsyslog_gets_lines_through_its_socket", local_syslog),
        ("g61_each_line_of_the_daemons_log_is_json", json_log),
    ];
    list.iter()
        .map(|&(name, test)| Trial::new(format!("log_targets::{name}"), test))
        .collect()
}

fn text(error: impl std::fmt::Display) -> String {
    error.to_string()
}

fn touch(host: &Host, name: &str) -> Result<(), String> {
    host.place.write(name, "").map(drop)
}

/// Two programs write their lines in two pieces, at the same time, to the daemon's standard output.
fn own_streams() -> Result<Outcome, String> {
    for kind in ["pipe", "file", "socket", "terminal"] {
        let steps = |piece: &str| {
            let line = format!("part {piece} sleep 3 say {piece}");
            format!(
                "wait {{dir}}/go {} touch {{dir}}/{piece} forever",
                [&*line; 20].join(" ")
            )
        };
        let mut host = Host::new(&format!(
            "[program:a]\ncommand={{test_child}} {}\nstartsecs=0\nstdout_logfile=/dev/stdout\n\
             [program:b]\ncommand={{test_child}} {}\nstartsecs=0\nstdout_logfile=/dev/stdout\n\
             stdout_logfile_maxbytes=0\n",
            steps("aaaa"),
            steps("bbbb")
        ))?;
        let (theirs, reader) = own_stream(&host, kind)?;
        let mut command = host
            .marked
            .command(&program(Side::Ours, "supervisord")?, host.place.path());
        command.args(["-n", "-c", "conf"]).stdout(theirs);
        let mut daemon = Daemon {
            child: command.spawn().map_err(text)?,
            address: Address::Unix(host.place.join("s")),
        };
        // The test has no other copy of the daemon's end.
        drop(command);
        daemon.wait_ready(LIMIT)?;
        host.daemon = Some(daemon);
        let got = Arc::new(Mutex::new(Vec::new()));
        collect(reader, got.clone());
        for name in ["a", "b"] {
            host.daemon()?.wait_state(name, "RUNNING")?;
        }
        touch(&host, "go")?;
        let shown = |got: &Mutex<Vec<u8>>| {
            String::from_utf8_lossy(&got.lock().unwrap_or_else(|e| e.into_inner())).into_owned()
        };
        let count = |shown: &str, line: &str| shown.lines().filter(|got| *got == line).count();
        wait_for(&format!("all lines through a {kind}"), LIMIT, || {
            let shown = shown(&got);
            count(&shown, "aaaaaaaa") == 20 && count(&shown, "bbbbbbbb") == 20
        })
        .map_err(|why| format!("{why}: {}", shown(&got)))?;
        for line in shown(&got).lines() {
            let is_whole = line == "aaaaaaaa"
                || line == "bbbbbbbb"
                || line.contains(" INFO ")
                || line.contains(" WARN ")
                || line.contains(" CRIT ");
            expect(is_whole, format!("{kind}: {line:?}"))?;
        }
        host.expect_well()?;
    }
    Ok(Outcome::Passed)
}

/// The daemon's end of its standard output, and the other end.
fn own_stream(host: &Host, kind: &str) -> Result<(Stdio, File), String> {
    let (theirs, reader): (OwnedFd, OwnedFd) = match kind {
        "pipe" => {
            let (reader, writer) = std::io::pipe().map_err(text)?;
            (writer.into(), reader.into())
        }
        "file" => {
            let path = host.place.join("own");
            let writer = File::create(&path).map_err(text)?;
            (writer.into(), File::open(&path).map_err(text)?.into())
        }
        "socket" => {
            let (ours, theirs) = std::os::unix::net::UnixStream::pair().map_err(text)?;
            (theirs.into(), ours.into())
        }
        _ => {
            let terminal = nix::pty::openpty(None, None).map_err(text)?;
            (terminal.slave, terminal.master)
        }
    };
    Ok((Stdio::from(theirs), File::from(reader)))
}

/// Reads everything, on a thread that ends with the test.
fn collect(mut reader: File, to: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        let mut piece = [0; 4096];
        loop {
            match reader.read(&mut piece) {
                Ok(0) => std::thread::sleep(std::time::Duration::from_millis(5)),
                Ok(count) => {
                    let mut to = to.lock().unwrap_or_else(|e| e.into_inner());
                    to.extend(piece[..count].iter().filter(|&&byte| byte != b'\r'));
                }
                Err(_) => return,
            }
            if Arc::strong_count(&to) == 1 {
                return;
            }
        }
    });
}

fn call(host: &Host, method: &str, name: &str) -> Result<Value, String> {
    let args = [Value::Text(name.to_owned()), Value::Int(0), Value::Int(0)];
    let args = match method {
        "supervisor.clearProcessLogs" => &args[..1],
        _ => &args,
    };
    host.daemon()?.call(method, args).map_err(text)
}

fn readable() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[eventlistener:ear]\ncommand={test_child} listen {dir}/ear.events ok\nevents=PROCESS_LOG\n\
         [program:web]\ncommand={test_child} wait {dir}/go say one err two wait {dir}/more say three forever\nstartsecs=0\n\
         stdout_logfile=/dev/stdout , {dir}/first.log,{dir}/second.log, /dev/null\nstdout_events_enabled=true\n\
         stderr_logfile=/dev/stderr,{dir}/err.log\n",
    )?;
    host.daemon()?.wait_state("ear", "RUNNING")?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    touch(&host, "go")?;
    for (file, line) in [
        ("out", "one\n"),
        ("first.log", "one\n"),
        ("second.log", "one\n"),
        ("err.log", "two\n"),
        ("err", "two\n"),
    ] {
        host.wait_file(file, line)?;
    }
    // The Go re-implementation sends no event for such a list, and reads nothing.
    host.wait_file("ear.events", "PROCESS_LOG_STDOUT")?;
    let read = call(&host, "supervisor.readProcessStdoutLog", "web")?;
    expect(read.text() == Some("one\n"), format!("{read}"))?;
    let info = host.daemon()?.info("web").map_err(text)?;
    let path = info.get("stdout_logfile").and_then(Value::text);
    expect(
        path == host.place.join("first.log").to_str(),
        format!("{info}"),
    )?;
    call(&host, "supervisor.clearProcessLogs", "web")?;
    touch(&host, "more")?;
    for file in ["first.log", "second.log"] {
        wait_for(&format!("{file} has the new line only"), LIMIT, || {
            host.place.read(file) == "three\n"
        })?;
    }
    let shown = host.ctl(&["status", "-v", "web"])?.stdout;
    for part in [
        "    stdout to /dev/stdout: 10 bytes, 0 dropped\n".to_owned(),
        host.fill("    stdout to {dir}/first.log: 10 bytes, 0 dropped\n"),
        host.fill("    stderr to {dir}/err.log: 4 bytes, 0 dropped\n"),
    ] {
        expect(shown.contains(&part), format!("no {part:?} in {shown}"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// `maxbytes=0` never rotates, `backups=0` keeps no backup, and a name that only begins with syslog is a file.
fn go_lists() -> Result<Outcome, String> {
    let own = format!("{}:{}", nix::unistd::getuid(), nix::unistd::getgid());
    let mut host = Host::start(
        &(format!("[supervisord]\nloglevel=warning\n[program-default]\nuser={own}\n")
            + "[program:zero]\ncommand={test_child} say 0123456789 say 0123456789 say x forever\nstartsecs=0\n\
         stdout_logfile={dir}/zero.a,{dir}/zero.b\nstdout_logfile_maxbytes=0\n\
         [program:none]\ncommand={test_child} say 0123456789 wait {dir}/go say new forever\nstartsecs=0\n\
         stdout_logfile={dir}/none.a, {dir}/none.b\nstdout_logfile_maxbytes=5\nstdout_logfile_backups=0\n\
         [program:name]\ncommand={test_child} say named forever\nstartsecs=0\nstdout_logfile=syslog.log\n\
         [program:away]\ncommand={test_child} say lost forever\nstartsecs=0\nstopsignal=TERM INT\n\
         stdout_logfile=syslog @udp:127.0.0.1:9,syslog @tcp:127.0.0.1:9 , {dir}/away.log\nsyslog_tag=shop\n"),
    )?;
    for file in ["zero.a", "zero.b"] {
        host.wait_file(file, "0123456789\n0123456789\nx\n")?;
    }
    host.wait_file("syslog.log", "named\n")?;
    host.wait_file("away.log", "lost\n")?;
    touch(&host, "go")?;
    for file in ["none.a", "none.b"] {
        wait_for(&format!("{file} was emptied"), LIMIT, || {
            host.place.read(file) == "new\n"
        })?;
        let backup = host.place.join(&format!("{file}.1"));
        expect(!backup.exists(), format!("{} exists", backup.display()))?;
    }
    expect(!host.place.join("zero.a.1").exists(), "zero.a.1 exists")?;
    host.wait_file("log", "cannot send to syslog @tcp:127.0.0.1:9: ")?;
    let log = host.place.read("log");
    expect(!log.contains(" INFO "), format!("loglevel=warning: {log}"))?;
    let pid = host.daemon()?.pid_of("zero");
    for (field, id) in [
        ("Uid", nix::unistd::getuid().to_string()),
        ("Gid", nix::unistd::getgid().to_string()),
    ] {
        let ids = proc::status(pid, field).unwrap_or_default();
        let is_own = ids.split_whitespace().all(|found| found == id);
        expect(is_own, format!("user={own}: {field} is {ids}"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn bad_words() -> Result<Outcome, String> {
    for (line, why) in [
        (
            "syslog_facility=local8",
            "local8 is no syslog facility; write one of KERN, USER",
        ),
        (
            "syslog_stdout_priority=loud",
            "loud is no syslog priority; write one of EMERG",
        ),
        ("syslog_stderr_priority=", "is no syslog priority"),
        (
            "syslog_format=rfc1",
            "rfc1 is no syslog format; write rfc3164 or rfc5424",
        ),
        (
            "syslog_framing=nul",
            "nul is no syslog framing; write newline or octet-counting",
        ),
        ("syslog_tag=a b", "is no syslog tag"),
        (
            "stdout_logfile=syslog @",
            "no valid host (write syslog @[udp:|tcp:]HOST[:PORT])",
        ),
        ("stdout_logfile=syslog @tls:h:6514", "tls is no protocol"),
        ("stdout_logfile={dir}/a,{dir}/a", "names {dir}/a twice"),
        (
            "stderr_logfile=journal,{dir}/a,NONE",
            "NONE is not allowed in the list",
        ),
    ] {
        let host = Host::new(&format!("[program:web]\ncommand=/bin/true\n{line}\n"))?;
        let lines = host.place.read("conf").lines().count();
        let got = host.run(&["-n", "-c", "conf"])?;
        let (why, at) = (host.fill(why), format!("conf:{lines}:"));
        let said = format!("{}{}", got.stderr, got.stdout);
        expect(
            got.code == 2 && said.contains(&why) && said.contains(&at),
            format!("{line}: no {at} and {why:?} in {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

/// rsyslog with a private configuration, until it drops.
struct Rsyslog(Child);

impl Rsyslog {
    fn start(host: &Host, udp: u16, tcp: u16) -> Result<Self, String> {
        let inputs = format!(
            "module(load=\"imudp\")\ninput(type=\"imudp\" address=\"127.0.0.1\" port=\"{udp}\")\n\
             module(load=\"imtcp\")\ninput(type=\"imtcp\" address=\"127.0.0.1\" port=\"{tcp}\")\n"
        );
        Self::listening(host, &inputs, || {
            std::net::TcpStream::connect(("127.0.0.1", tcp)).is_ok()
        })
    }

    /// Listens on a unix socket in the directory of the host.
    fn at_socket(host: &Host) -> Result<Self, String> {
        let inputs = "module(load=\"imuxsock\" SysSock.Use=\"off\")\n\
             input(type=\"imuxsock\" Socket=\"{dir}/devlog\")\n";
        Self::listening(host, inputs, || {
            let socket = std::os::unix::net::UnixDatagram::unbound();
            socket.is_ok_and(|socket| socket.connect(host.place.join("devlog")).is_ok())
        })
    }

    fn listening(host: &Host, inputs: &str, is_ready: impl Fn() -> bool) -> Result<Self, String> {
        let config = format!(
            "global(workDirectory=\"{{dir}}\")\n{inputs}\
             template(name=\"t\" type=\"string\" string=\"%syslogfacility-text%.%syslogseverity-text% %programname%|%msg%\\n\")\n\
             action(type=\"omfile\" file=\"{{dir}}/sys.log\" template=\"t\")\n"
        );
        let file = host.place.write("rsyslog.conf", &host.fill(&config))?;
        let mut command = Command::new("rsyslogd");
        command.arg("-n").arg("-f").arg(file);
        command.arg("-i").arg(host.place.join("rsyslog.pid"));
        let out = File::create(host.place.join("rsyslog.out")).map_err(text)?;
        command
            .stdin(Stdio::null())
            .stdout(out.try_clone().map_err(text)?);
        let child = command.stderr(out).spawn().map_err(text)?;
        let rsyslog = Self(child);
        wait_for("rsyslog listens", LIMIT, is_ready)
            .map_err(|why| format!("{why}: {}", host.place.read("rsyslog.out")))?;
        Ok(rsyslog)
    }
}

impl Drop for Rsyslog {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// The numbers that rsyslog has of a program, and whether its last line is there.
fn numbers(host: &Host, head: &str) -> (Vec<u64>, bool) {
    let text = host.place.read("sys.log");
    let lines = text.lines().filter_map(|line| line.strip_prefix(head));
    let lines: Vec<&str> = lines.map(|line| line.trim_start()).collect();
    let numbers = lines.iter().filter_map(|line| line.parse().ok()).collect();
    (numbers, lines.contains(&"end"))
}

fn rsyslog() -> Result<Outcome, String> {
    if Command::new("rsyslogd").arg("-v").output().is_err() {
        return Ok(Outcome::Skipped("rsyslog is not installed".to_owned()));
    }
    let (udp, tcp) = (free_port()?, free_port()?);
    let writer = |name: &str, targets: &str, keys: &str| {
        format!(
            "[program:{name}]\ncommand={{test_child}} tell {{dir}}/stop 5000 forever\nstartsecs=0\n\
             stdout_logfile={targets}, {{dir}}/{name}.log\nsyslog_tag={name}\n{keys}\n"
        )
    };
    let mut host = Host::start(&format!(
        "{}{}{}",
        writer("plain", &format!("syslog @tcp:127.0.0.1:{tcp}"), ""),
        writer(
            "counted",
            &format!("syslog @tcp:localhost:{tcp}"),
            "syslog_format=rfc5424\nsyslog_framing=octet-counting\nsyslog_facility=LOG_daemon\nsyslog_stdout_priority=err"
        ),
        writer(
            "datagram",
            &format!("syslog @127.0.0.1:{udp}"),
            "syslog_facility=mail"
        ),
    ))?;
    let heads = [
        "local0.notice plain|",
        "daemon.err counted|",
        "mail.notice datagram|",
    ];
    // The server is down at the start, and that does not stop the programs.
    host.wait_file("plain.log", "00000020")?;
    host.wait_file(
        "log",
        &format!("cannot send to syslog @tcp:127.0.0.1:{tcp}: "),
    )?;
    let server = Rsyslog::start(&host, udp, tcp)?;
    let arrives = |more: usize| {
        let at: Vec<usize> = heads
            .iter()
            .map(|head| numbers(&host, head).0.len())
            .collect();
        wait_for("lines of all programs arrive", LIMIT, || {
            let now = heads.iter().map(|head| numbers(&host, head).0.len());
            now.zip(&at).all(|(now, before)| now >= before + more)
        })
        .map_err(|why| {
            format!(
                "{why}: {:?}; log:\n{}",
                host.place.read("sys.log").lines().last(),
                host.log_end()
            )
        })
    };
    arrives(20)?;
    for head in &heads[..2] {
        let first = numbers(&host, head).0.first().copied();
        expect(first == Some(0), format!("{head} begins with {first:?}"))?;
    }
    drop(server);
    let end = format!("{:08}", host.place.read("plain.log").lines().count() + 50);
    host.wait_file("plain.log", &end)?;
    let _server = Rsyslog::start(&host, udp, tcp)?;
    arrives(20)?;
    host.wait_file(
        "log",
        &format!("sending to syslog @tcp:127.0.0.1:{tcp} works again; 0 bytes were lost"),
    )?;
    touch(&host, "stop")?;
    for head in heads {
        wait_for(&format!("the end of {head}"), LIMIT, || {
            numbers(&host, head).1
        })?;
        let numbers = numbers(&host, head).0;
        // What was sent and not read when the server was killed is lost, or arrives again.
        let is_ordered = numbers.windows(2).filter(|pair| pair[0] >= pair[1]).count();
        expect(is_ordered <= 1, format!("{head}: {numbers:?}"))?;
    }
    let shown = host.ctl(&["status", "-v", "plain"])?.stdout;
    let target = format!("    stdout to syslog @tcp:127.0.0.1:{tcp}: ");
    expect(shown.contains(&target), shown)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A script that gives the daemon a /dev of its own, in which /dev/log is the socket of rsyslog.
const OWN_DEV: &str = "
set -e
mkdir host-dev
mount --rbind /dev host-dev
mount -t tmpfs -o mode=755 none /dev
for node in null zero full random urandom tty; do
    touch /dev/$node
    mount --bind host-dev/$node /dev/$node
done
for link in fd:/proc/self/fd stdin:/proc/self/fd/0 stdout:/proc/self/fd/1 stderr:/proc/self/fd/2 log:$PWD/devlog; do
    ln -s ${link#*:} /dev/${link%%:*}
done
exec \"$0\" -n -c conf
";

/// `syslog` without an address is /dev/log. The server is away at the start and once more.
fn local_syslog() -> Result<Outcome, String> {
    if Command::new("rsyslogd").arg("-v").output().is_err() {
        return Ok(Outcome::Skipped("rsyslog is not installed".to_owned()));
    }
    if !is_root() {
        return Ok(Outcome::Skipped("a mount namespace needs root".to_owned()));
    }
    let writer = |name: &str, keys: &str| {
        format!(
            "[program:{name}]\ncommand={{test_child}} tell {{dir}}/stop 5000 forever\nstartsecs=0\n\
             stdout_logfile={{dir}}/{name}.log, syslog\n{keys}\n"
        )
    };
    let mut host = Host::new(&format!(
        "{}{}",
        writer("plain", ""),
        writer(
            "tagged",
            "syslog_tag=shop\nsyslog_facility=local3\nsyslog_stdout_priority=warning"
        ),
    ))?;
    let mut command = host
        .marked
        .command(Path::new("/usr/bin/unshare"), host.place.path());
    command.args(["-m", "--propagation", "private", "/bin/sh", "-c", OWN_DEV]);
    command.arg(program(Side::Ours, "supervisord")?);
    if let Err(error) = host.go_as(command, "s") {
        let why = host.place.read("err");
        return match why.contains("unshare failed") || why.contains("permitted") {
            true => Ok(Outcome::Skipped("no mount namespaces here".to_owned())),
            false => Err(format!("{error}: {why}")),
        };
    }
    let heads = ["user.info supervisord| plain", "local3.warning shop|"];
    host.wait_file("log", "cannot send to syslog: ")?;
    for round in 1..=2 {
        let server = Rsyslog::at_socket(&host)?;
        let at = heads.map(|head| numbers(&host, head).0.len());
        wait_for("lines of both programs arrive", LIMIT, || {
            let now = heads.map(|head| numbers(&host, head).0.len());
            now.iter().zip(&at).all(|(now, before)| *now >= before + 20)
        })
        .map_err(|why| format!("{why}: {:?}", host.place.read("sys.log").lines().last()))?;
        wait_for("the log tells of the end of the outage", LIMIT, || {
            let log = host.place.read("log");
            log.matches("sending to syslog works again").count() == round
        })?;
        if round == 1 {
            drop(server);
            wait_for("the log tells of the outage", LIMIT, || {
                let log = host.place.read("log");
                log.matches("cannot send to syslog: ").count() == 2
            })?;
            continue;
        }
        touch(&host, "stop")?;
        for (head, name) in heads.iter().zip(["plain", "tagged"]) {
            wait_for(&format!("the end of {name}"), LIMIT, || {
                numbers(&host, head).1
            })?;
            let numbers = numbers(&host, head).0;
            let is_rising = numbers.windows(2).all(|pair| pair[0] < pair[1]);
            expect(is_rising, format!("{name}: {numbers:?}"))?;
            let log = host.place.read(&format!("{name}.log"));
            complete(&log).map_err(|why| format!("{name}.log: {why}"))?;
        }
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// `LOG_FORMAT=json`, as in the Go project, also after a reload.
fn json_log() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:a]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:b]\ncommand=/no/such/\"program\"\nstartretries=0\n",
    )?;
    host.go_with(|command| {
        command.env("LOG_FORMAT", "json");
    })?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    host.daemon()?.wait_state("b", "FATAL")?;
    host.expect_ctl(&["stop", "a"], 0, &["a: stopped"])?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord"])?;
    host.expect_ctl(&["start", "a"], 0, &["a: started"])?;
    let mut count = 0;
    for line in host.place.read("log").lines() {
        let line: serde_json::Value =
            serde_json::from_str(line).map_err(|error| format!("{error}: {line}"))?;
        for field in ["ts", "level", "message"] {
            expect(line[field].is_string(), format!("no {field}: {line}"))?;
        }
        count += usize::from(line["process"] == "a");
    }
    expect(count >= 3, format!("{count} lines about a"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Each program has a FIFO that nobody reads beside its file.
fn many() -> Result<Outcome, String> {
    const PROGRAMS: usize = 500;
    const BYTES: usize = 1_000_000;
    let mut host = Host::new(&format!(
        "[program:w]\ncommand={{test_child}} flood {BYTES}\nstartsecs=0\nautorestart=false\n\
         numprocs={PROGRAMS}\nprocess_name=%(process_num)d\n\
         stdout_logfile={{dir}}/fifo, {{dir}}/%(process_num)d.log\nstdout_logfile_maxbytes=0\n\
         [inet_http_server]\nport=127.0.0.1:{}\n",
        free_port()?
    ))?;
    let fifo = host.place.join("fifo");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).map_err(text)?;
    // It has a reader that never reads.
    let both = File::options().read(true).write(true).open(&fifo);
    let _held = both.map_err(text)?;
    host.go()?;
    for number in 0..PROGRAMS {
        host.daemon()?
            .wait_state(&format!("w:{number}"), "EXITED")?;
        let log = host.place.join(&format!("{number}.log"));
        wait_for("all output is in the file", LIMIT, || {
            std::fs::metadata(&log).is_ok_and(|meta| meta.len() == BYTES as u64)
        })?;
    }
    // What waited for the FIFO when a program exited is dropped a second later.
    let mut json = String::new();
    wait_for("each byte is counted", LIMIT, || {
        json = host
            .ctl(&["status", "-v", "--json"])
            .map(|got| got.stdout)
            .unwrap_or_default();
        each_is_counted(&json, BYTES as u64)
    })
    .map_err(|why| format!("{why}: {json}"))?;
    let shown: serde_json::Value = serde_json::from_str(&json).map_err(text)?;
    let processes = shown["processes"].as_array().ok_or("no processes")?;
    for process in processes {
        let targets = process["logtargets"].as_array().ok_or(&*json)?;
        let of = |end: &str| {
            let is_it = |of: &&serde_json::Value| {
                of["target"]
                    .as_str()
                    .is_some_and(|target| target.ends_with(end))
            };
            let found = targets.iter().find(is_it);
            found.map(|of| (of["written"].as_u64(), of["dropped"].as_u64()))
        };
        expect(
            of(".log") == Some((Some(BYTES as u64), Some(0))),
            process.to_string(),
        )?;
        let (_, dropped) = of("/fifo").ok_or("no FIFO")?;
        expect(dropped.unwrap_or(0) > 0, process.to_string())?;
    }
    expect(processes.len() == PROGRAMS, json)?;
    let told = host
        .place
        .read("log")
        .matches(" too slowly: dropping output")
        .count();
    expect(told == PROGRAMS, format!("{told} lines about dropping"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Whether each target of each process has written or dropped the expected number of bytes.
fn each_is_counted(json: &str, bytes: u64) -> bool {
    let shown: serde_json::Value = serde_json::from_str(json).unwrap_or_default();
    let processes = shown["processes"].as_array().map(Vec::as_slice);
    let mut targets = processes.unwrap_or_default().iter().flat_map(|process| {
        let targets = process["logtargets"].as_array().map(Vec::as_slice);
        targets.unwrap_or_default()
    });
    targets.all(|of| {
        let count = |name: &str| of[name].as_u64().unwrap_or(0);
        // Nothing is written to standard error.
        matches!(count("written") + count("dropped"), all if all == bytes || all == 0)
    })
}

/// A file that a test removes.
struct Removed(PathBuf);

impl Drop for Removed {
    fn drop(&mut self) {
        let _ = std::fs::remove_file(&self.0);
    }
}

fn dead() -> Result<Outcome, String> {
    let shm = Path::new("/dev/shm");
    if !shm.is_dir() {
        return Ok(Outcome::Skipped("no second file system".to_owned()));
    }
    let dead = Removed(shm.join(format!("supervisord-targets-{}.log", std::process::id())));
    let mut host = Host::start(&format!(
        "[program:a]\ncommand={{test_child}} tell {{dir}}/stop 2000 forever\nstartsecs=0\n\
         stdout_logfile={}, {{dir}}/a.log\n",
        dead.0.display()
    ))?;
    host.wait_file("a.log", "00000010")?;
    let Some(stall) = Stall::begin(&host, std::slice::from_ref(&dead.0))? else {
        return Ok(Outcome::Skipped(
            "no strace, or no right to trace".to_owned(),
        ));
    };
    // The other file goes on, for longer than the one that hangs is waited for.
    let next = format!("{:08}", host.place.read("a.log").lines().count() + 500);
    host.wait_file("a.log", &next)?;
    drop(stall);
    touch(&host, "stop")?;
    host.wait_file("a.log", "end\n")?;
    wait_for("the file that hung has the end too", LIMIT, || {
        std::fs::read_to_string(&dead.0).is_ok_and(|text| text.ends_with("end\n"))
    })?;
    let both = [
        host.place.read("a.log"),
        std::fs::read_to_string(&dead.0).map_err(text)?,
    ];
    for text in &both {
        complete(text)?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// Each number is there once, in order.
fn complete(text: &str) -> Result<(), String> {
    for (number, line) in text.lines().enumerate() {
        let expected = format!("{number:08}");
        expect(
            line == expected || line == "end",
            format!("{line} where {expected} should be"),
        )?;
    }
    Ok(())
}

fn upgraded() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} tell {dir}/stop 200 forever\nstartsecs=0\n\
         stdout_logfile={dir}/one.log,{dir}/two.log,{dir}/three.log,/dev/stdout,memory\n",
    )?;
    host.wait_file("three.log", "00000100")?;
    for _ in 0..4 {
        host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord"])?;
        let next = format!("{:08}", host.place.read("one.log").lines().count() + 200);
        host.wait_file("two.log", &next)?;
    }
    touch(&host, "stop")?;
    for file in ["one.log", "two.log", "three.log"] {
        host.wait_file(file, "end\n")?;
        complete(&host.place.read(file)).map_err(|why| format!("{file}: {why}"))?;
    }
    host.wait_file("out", "end\n")?;
    let own = host.place.read("out");
    let own: String = own
        .lines()
        .filter(|line| line.len() <= 8)
        .map(|line| format!("{line}\n"))
        .collect();
    complete(&own).map_err(|why| format!("/dev/stdout: {why}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn memory() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} say one wait {dir}/go say two forever\nstartsecs=0\nautorestart=false\n\
         stdout_logfile=memory\nstderr_logfile=/dev/null, memory\n",
    )?;
    let shows = |text: &str| {
        let mut last = String::new();
        wait_for(&format!("the log has {text:?}"), LIMIT, || {
            last = host
                .ctl(&["tail", "a"])
                .map(|got| got.stdout)
                .unwrap_or_default();
            last == format!("{text}\n")
        })
        .map_err(|why| format!("{why}: {last:?}"))
    };
    shows("one\n")?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord"])?;
    touch(&host, "go")?;
    shows("one\ntwo\n")?;
    host.expect_ctl(&["stop", "a"], 0, &["a: stopped"])?;
    shows("one\ntwo\n")?;
    host.expect_ctl(&["clear", "a"], 0, &["a: cleared"])?;
    shows("")?;
    host.expect_ctl(&["start", "a"], 0, &["a: started"])?;
    shows("one\ntwo\n")?;
    let name = std::fs::read_dir(host.place.path()).map_err(text)?;
    let is_memory =
        |entry: &std::fs::DirEntry| entry.file_name().to_string_lossy().starts_with("memory");
    expect(
        !name.flatten().any(|entry| is_memory(&entry)),
        "a file was made",
    )?;
    host.daemon()?.signal(Signal::SIGTERM);
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("ended with {code}"))?;
    Ok(Outcome::Passed)
}
