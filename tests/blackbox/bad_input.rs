//! Bad input: a clear error, nothing is lost, the daemon keeps running.

use std::fs;
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{self, Connection, Value};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let mut tests = Vec::new();
    let mut add = |name: &str, run: fn() -> Result<Outcome, String>| {
        tests.push(Trial::new(format!("bad_input::{name}"), run));
    };
    add(
        "broken_configurations_are_reported_and_exit_with_2",
        broken_configurations,
    );
    add("a_symlink_as_pidfile_is_not_followed", symlink_pidfile);
    add("a_file_as_socket_is_not_removed", file_as_socket);
    add("a_symlink_as_socket_is_not_followed", symlink_as_socket);
    add(
        "a_busy_socket_does_not_affect_the_first_daemon",
        busy_socket,
    );
    add("a_wrong_password_is_refused", wrong_password);
    add("xml_bombs_are_refused", xml_bombs);
    add("a_body_of_100_megabytes_is_refused", huge_body);
    add("invalid_utf8_in_logs_and_names_is_handled", invalid_utf8);
    add(
        "ten_thousand_restarts_leak_nothing",
        ten_thousand_restarts_leak_nothing,
    );
    add("a_reload_with_a_broken_file_stops_nothing", broken_reload);
    add("garbage_on_the_socket_is_refused", rubbish);
    add(
        "slow_and_vanished_clients_delay_no_other_client",
        slow_clients,
    );
    add("program_errors_do_not_end_the_daemon", program_errors);
    add("unreadable_includes_are_reported", unreadable_includes);
    add(
        "a_removed_log_directory_does_not_end_the_daemon",
        log_directory_vanishes,
    );
    add("a_full_disk_does_not_stop_programs", full_disk);
    add("methods_outside_the_table_are_refused", foreign_methods);
    tests
}

const LONG: &str = "[program:long]\ncommand={test_child} forever\nstartsecs=0\n";

fn broken_configurations() -> Result<Outcome, String> {
    let host = Host::new("")?;
    let long_line = format!("[supervisord]\nminfds={}\n", "x".repeat(100_000));
    let many = format!(
        "[supervisord]\n{}",
        "[program:a]\nnumprocs=x\n".repeat(2000)
    );
    let deep = format!("[supervisord]\nidentifier={}\n", "%(".repeat(5000));
    let table: &[(&str, &str)] = &[
        ("no section header", "key=value\n"),
        ("no separator", "[supervisord]\nrubbish\n"),
        ("unclosed header", "[supervisord\nlogfile=x\n"),
        (
            "no supervisord section",
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=x:y\n",
        ),
        (
            "wrong types",
            "[supervisord]\nminfds=many\nlogfile_maxbytes=1.5MB\nnodaemon=perhaps\n",
        ),
        (
            "unknown user",
            "[supervisord]\n[program:a]\ncommand=x\nuser=nosuchuserhere\n",
        ),
        (
            "missing command",
            "[supervisord]\n[program:a]\nstartsecs=1\n",
        ),
        (
            "numprocs beyond reason",
            "[supervisord]\n[program:a]\ncommand=x\nnumprocs=99999999999999999999\nprocess_name=%(process_num)s\n",
        ),
        (
            "bad expansion",
            "[supervisord]\n[program:a]\ncommand=%(nothing)s\n",
        ),
        ("long line", &long_line),
        ("many errors", &many),
        ("deep expansion", &deep),
    ];
    for (name, text) in table {
        host.place.write("broken", text)?;
        let got = host
            .run(&["-n", "-c", "broken"])
            .map_err(|why| format!("{name}: {why}"))?;
        expect(
            got.code == 2 && got.stderr.contains("Error: ") && !got.stderr.contains("panicked"),
            format!("{name}: {got:?}"),
        )?;
    }
    fs::write(
        host.place.join("broken"),
        b"[supervisord]\nidentifier=\xff\xfe\n[program:x]\n",
    )
    .map_err(|e| e.to_string())?;
    let got = host.run(&["-n", "-c", "broken"])?;
    expect(
        got.code == 2 && !got.stderr.contains("panicked"),
        format!("invalid UTF-8: {got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn symlink_pidfile() -> Result<Outcome, String> {
    let mut host = Host::new(LONG)?;
    host.place.write("victim", "precious\n")?;
    std::os::unix::fs::symlink(host.place.join("victim"), host.place.join("pid"))
        .map_err(|e| e.to_string())?;
    host.go()?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    expect(
        host.place.read("victim") == "precious\n",
        format!("the victim is now {:?}", host.place.read("victim")),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn file_as_socket() -> Result<Outcome, String> {
    let host = Host::new(LONG)?;
    host.place.write("s", "precious\n")?;
    let got = host.run(&["-n", "-c", "conf"])?;
    expect(
        got.code == 2 && got.stderr.contains("Error: ") && host.place.read("s") == "precious\n",
        format!("{got:?}, the file is {:?}", host.place.read("s")),
    )?;
    Ok(Outcome::Passed)
}

fn symlink_as_socket() -> Result<Outcome, String> {
    let host = Host::new(LONG)?;
    host.place.write("victim", "precious\n")?;
    std::os::unix::fs::symlink(host.place.join("victim"), host.place.join("s"))
        .map_err(|e| e.to_string())?;
    let got = host.run(&["-n", "-c", "conf"])?;
    expect(
        got.code == 2
            && got.stderr.contains("Error: ")
            && host.place.read("victim") == "precious\n",
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn busy_socket() -> Result<Outcome, String> {
    let mut host =
        Host::start("[program:long]\ncommand={test_child} say kept forever\nstartsecs=0\n")?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let pid = host.daemon()?.pid_of("long");
    let log = host
        .daemon()?
        .info("long")
        .ok()
        .and_then(|info| info.get("stdout_logfile")?.text().map(str::to_owned))
        .ok_or("no log")?;
    wait_for("the line", LIMIT, || {
        fs::read_to_string(&log).is_ok_and(|t| t == "kept\n")
    })?;
    let got = host.run(&["-n", "-c", "conf"])?;
    expect(
        got.code == 2 && got.stderr.contains("Another program is already listening"),
        format!("{got:?}"),
    )?;
    host.expect_well()?;
    expect(
        host.daemon()?.pid_of("long") == pid,
        "the process is another",
    )?;
    expect(
        fs::read_to_string(&log).is_ok_and(|text| text == "kept\n"),
        "the second instance touched the first one's log",
    )?;
    expect(
        host.place.read("pid").trim() == host.daemon()?.pid().to_string(),
        "the second instance touched the pidfile",
    )?;
    Ok(Outcome::Passed)
}

fn wrong_password() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[unix_http_server]\nusername=user\npassword=secret\n[program:long]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    let address = host.daemon()?.address.clone();
    // user:wrong, user:, :secret, no colon, nothing
    for credentials in [
        "dXNlcjp3cm9uZw==",
        "dXNlcjo=",
        "OnNlY3JldA==",
        "dXNlcg==",
        "",
    ] {
        let got = wire::call_with(
            &address,
            "supervisor.stopAllProcesses",
            &[],
            &format!("Authorization: Basic {credentials}\r\n"),
            LIMIT,
        );
        expect(
            matches!(&got, Err(wire::CallError::Status(status)) if !status.contains(" 200 ")),
            format!("{credentials:?} gives {got:?}"),
        )?;
    }
    let right = "Authorization: Basic dXNlcjpzZWNyZXQ=\r\n";
    let info = wire::call_with(
        &address,
        "supervisor.getProcessInfo",
        &[Value::Text("long".to_owned())],
        right,
        LIMIT,
    )
    .map_err(|e| e.to_string())?;
    expect(
        info.get("statename").and_then(Value::text) != Some("STOPPED"),
        "somebody without password stopped it",
    )?;
    expect(
        host.daemon
            .as_mut()
            .is_some_and(super::support::daemon::Daemon::is_alive),
        "dead",
    )?;
    Ok(Outcome::Passed)
}

fn xml_bombs() -> Result<Outcome, String> {
    let mut host = Host::start(LONG)?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let pid = host.daemon()?.pid();
    let address = host.daemon()?.address.clone();
    let before = proc::resident_kib(pid);
    let mut bomb = String::from("<?xml version='1.0'?><!DOCTYPE a [<!ENTITY a0 'aaaaaaaaaa'>");
    for n in 1..12 {
        let previous = format!("&a{};", n - 1).repeat(10);
        bomb.push_str(&format!("<!ENTITY a{n} '{previous}'>"));
    }
    bomb.push_str("]><methodCall><methodName>supervisor.getState</methodName><params><param><value><string>&a11;</string></value></param></params></methodCall>");
    let nested = format!(
        "<methodCall><methodName>supervisor.getState</methodName><params><param>{}</param></params></methodCall>",
        "<value><array><data>".repeat(200_000)
    );
    let external = "<?xml version='1.0'?><!DOCTYPE a [<!ENTITY x SYSTEM 'file:///etc/passwd'>]><methodCall><methodName>supervisor.stopProcess</methodName><params><param><value><string>&x;</string></value></param></params></methodCall>";
    for (name, body) in [
        ("entities", bomb.as_str()),
        ("nesting", &nested),
        ("external", external),
    ] {
        let answer = wire::post(&address, body.as_bytes(), "", LIMIT)
            .map_err(|e| format!("{name}: {e}"))?
            .ok_or_else(|| format!("{name}: closed"))?;
        let text = String::from_utf8_lossy(&answer.body).into_owned();
        expect(
            answer.code() >= 400 || text.contains("<fault>"),
            format!("{name}: {answer:?}"),
        )?;
        expect(!text.contains("root:"), format!("{name}: reads files"))?;
        host.expect_well()?;
    }
    let grown = proc::resident_kib(pid).saturating_sub(before);
    expect(grown < 64 * 1024, format!("grew by {grown} KiB"))?;
    Ok(Outcome::Passed)
}

fn huge_body() -> Result<Outcome, String> {
    let mut host = Host::start(LONG)?;
    let pid = host.daemon()?.pid();
    let address = host.daemon()?.address.clone();
    let before = proc::resident_kib(pid);
    let mut connection = Connection::open(&address).map_err(|e| e.to_string())?;
    connection
        .send(b"POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: 104857600\r\n\r\n")
        .map_err(|e| e.to_string())?;
    let piece = vec![b'x'; 1 << 20];
    let mut sent = 0;
    while sent < 100 && connection.send(&piece).is_ok() {
        sent += 1;
    }
    // The daemon answers 413, or closes before all was sent. It never keeps the body.
    let told = connection.answer().ok().flatten();
    expect(
        told.as_ref().is_some_and(|a| a.code() == 413) || sent < 100,
        format!("sent {sent} MiB, answer {told:?}"),
    )?;
    let grown = proc::resident_kib(pid).saturating_sub(before);
    expect(grown < 48 * 1024, format!("grew by {grown} KiB"))?;
    host.expect_well()?;
    // An invalid length.
    for length in ["-1", "99999999999999999999", "1e9", ""] {
        let mut connection = Connection::open(&address).map_err(|e| e.to_string())?;
        drop(
            connection.send(
                format!("POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n")
                    .as_bytes(),
            ),
        );
        let answer = connection.read_until(b"\r\n\r\n", Duration::from_secs(5));
        let text = String::from_utf8_lossy(&answer).into_owned();
        expect(!text.contains(" 200 "), format!("{length:?}: {text}"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn invalid_utf8() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} hex ff00c328a0a1e28228f0288cbc1b5b0a forever\nstartsecs=0\nstdout_logfile={dir}/a.log\n",
    )?;
    wait_for("the bytes", LIMIT, || {
        fs::read(host.place.join("a.log")).is_ok_and(|bytes| bytes.ends_with(b"\n"))
    })?;
    let daemon = host.daemon()?;
    let name = || Value::Text("a".to_owned());
    for offset in 0..16 {
        daemon
            .call(
                "supervisor.readProcessStdoutLog",
                &[name(), Value::Int(offset), Value::Int(3)],
            )
            .map_err(|e| format!("offset {offset}: {e}"))?;
        daemon
            .call(
                "supervisor.tailProcessStdoutLog",
                &[name(), Value::Int(0), Value::Int(offset)],
            )
            .map_err(|e| format!("tail {offset}: {e}"))?;
    }
    let mut body = b"<methodCall><methodName>supervisor.getProcessInfo</methodName><params><param><value><string>".to_vec();
    body.extend_from_slice(b"\xff\xfe\xc3(</string></value></param></params></methodCall>");
    let answer = wire::post(&daemon.address, &body, "", LIMIT)
        .map_err(|e| e.to_string())?
        .ok_or("closed")?;
    expect(
        answer.code() >= 400 || String::from_utf8_lossy(&answer.body).contains("<fault>"),
        format!("{answer:?}"),
    )?;
    host.expect_ctl(&["tail", "a"], 0, &[])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn ten_thousand_restarts_leak_nothing() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:loop]\ncommand=/bin/true\nstartsecs=0\nautorestart=true\nrestart_floor=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n[supervisord]\nlogfile_maxbytes=0\n",
    )?;
    let pid = host.daemon()?.pid();
    let spawned = |host: &Host| host.place.read("log").matches("spawned: 'loop'").count();
    wait_for("500 restarts", Duration::from_secs(120), || {
        spawned(&host) > 500
    })?;
    let (fds, rss) = (proc::descriptors(pid), proc::resident_kib(pid));
    wait_for("10,000 restarts", Duration::from_secs(300), || {
        spawned(&host) > 10_000
    })
    .map_err(|why| format!("{why}: {} so far", spawned(&host)))?;
    let answer = host.daemon()?.call("supervisor.getState", &[]);
    expect(answer.is_ok(), format!("{answer:?}"))?;
    let (fds_after, rss_after) = (proc::descriptors(pid), proc::resident_kib(pid));
    expect(
        fds_after <= fds + 8 && rss_after <= rss + 4096,
        format!("descriptors {fds} → {fds_after}, resident {rss} → {rss_after} KiB"),
    )?;
    host.expect_ctl(&["stop", "loop"], 0, &[])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn broken_reload() -> Result<Outcome, String> {
    let mut host = Host::start(LONG)?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let pid = host.daemon()?.pid_of("long");
    host.configure("[program:long]\nnumprocs=x\n")?;
    host.daemon()?.signal(Signal::SIGHUP);
    host.wait_file("log", "restart refused")?;
    host.expect_ctl(&["reread"], 1, &["ERROR: CANT_REREAD: "])?;
    host.expect_ctl(&["reload"], 1, &["CANT_REREAD"])?;
    expect(
        host.daemon()?.pid_of("long") == pid,
        "the process was harmed",
    )?;
    fs::remove_file(host.place.join("conf")).map_err(|e| e.to_string())?;
    let lines = host.place.read("log").matches("restart refused").count();
    host.daemon()?.signal(Signal::SIGHUP);
    wait_for("the second refusal", LIMIT, || {
        host.place.read("log").matches("restart refused").count() > lines
    })?;
    expect(
        host.daemon()?.pid_of("long") == pid,
        "the process was harmed",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn rubbish() -> Result<Outcome, String> {
    let mut host = Host::start(LONG)?;
    let address = host.daemon()?.address.clone();
    let long_line = format!("GET /{} HTTP/1.1\r\n\r\n", "x".repeat(300_000));
    let many_headers = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(50_000));
    let table: Vec<Vec<u8>> = vec![
        b"\0\0\0\0\0\0".to_vec(),
        b"\r\n\r\n\r\n".to_vec(),
        b"GET\r\n\r\n".to_vec(),
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03".to_vec(),
        b"GET / HTTP/9.9\r\n\r\n".to_vec(),
        b"POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nfffffffffffffff\r\n".to_vec(),
        b"GET /logtail/../../etc/passwd HTTP/1.0\r\n\r\n".to_vec(),
        b"GET /%00%ff%2e%2e/ HTTP/1.0\r\n\r\n".to_vec(),
        b"GET /logtail HTTP/1.0\r\n\r\n".to_vec(),
        long_line.into_bytes(),
        many_headers.into_bytes(),
        (0..100_000u32)
            .map(|n| u8::try_from(n * 7919 % 251).unwrap_or(0))
            .collect(),
    ];
    for bytes in table {
        let mut connection = Connection::open(&address).map_err(|e| e.to_string())?;
        drop(connection.send(&bytes));
        let answer = connection.read_until(b"root:", Duration::from_millis(300));
        expect(wire::find(&answer, b"root:").is_none(), "reads files")?;
        host.expect_well()?;
    }
    Ok(Outcome::Passed)
}

fn slow_clients() -> Result<Outcome, String> {
    let mut host = Host::start(LONG)?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let pid = host.daemon()?.pid();
    let address = host.daemon()?.address.clone();
    let fds = proc::descriptors(pid);
    let mut held = Vec::new();
    for n in 0..200 {
        let mut connection = Connection::open(&address).map_err(|e| e.to_string())?;
        let start: &[u8] = match n % 4 {
            0 => b"",
            1 => b"POST /RPC2 HTTP/1.1\r\nContent-Le",
            2 => b"POST /RPC2 HTTP/1.1\r\nContent-Length: 1000\r\n\r\n<methodCall>",
            _ => b"GET /mainlogtail HTTP/1.1\r\n\r\n",
        };
        drop(connection.send(start));
        held.push(connection);
    }
    host.expect_ctl(&["status"], 0, &["RUNNING"])?;
    // The answer did not wait until the daemon gave up the slow clients: all of them are still connected.
    let connected = proc::descriptors(pid).saturating_sub(fds);
    expect(
        connected >= 200,
        format!("{connected} of 200 slow clients are still connected"),
    )?;
    drop(held);
    wait_for("the descriptors come back", LIMIT, || {
        proc::descriptors(pid) <= fds + 4
    })?;
    // Without requests the daemon computes nothing.
    let before = proc::ticks(pid);
    std::thread::sleep(Duration::from_secs(2));
    let used = proc::ticks(pid) - before;
    expect(
        used <= 5,
        format!("{used} ticks of processor time while idle"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn program_errors() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:missing]\ncommand=/nonexistent\nstartretries=0\n\
         [program:empty]\ncommand=\nstartretries=0\n\
         [program:quotes]\ncommand=/bin/echo 'x\nstartretries=0\n\
         [program:directory]\ncommand=/usr\nstartretries=0\n\
         [program:nowhere]\ncommand=/bin/true\ndirectory=/nonexistent\nstartretries=0\n\
         [program:nolog]\ncommand=/bin/true\nstdout_logfile=/proc/nope.log\nstartretries=0\n\
         [program:long]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    let daemon = host.daemon()?;
    for name in [
        "missing",
        "empty",
        "quotes",
        "directory",
        "nowhere",
        "nolog",
    ] {
        daemon.wait_state(name, "FATAL")?;
    }
    daemon.wait_state("long", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn unreadable_includes() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[include]\nfiles=directory broken-link loop /proc/1/mem nosuch/*.conf good.conf\n",
    )?;
    fs::create_dir(host.place.join("directory")).map_err(|e| e.to_string())?;
    let link = |target: &str, name: &str| std::os::unix::fs::symlink(target, host.place.join(name));
    link("/nonexistent/file", "broken-link").map_err(|e| e.to_string())?;
    link("loop", "loop").map_err(|e| e.to_string())?;
    let good = host.fill(LONG);
    host.place.write("good.conf", &good)?;
    host.go()?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn log_directory_vanishes() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[supervisord]\nlogfile={dir}/logs/main.log\nlogfile_maxbytes=2KB\n\
         [program:a]\ncommand={test_child} numbers 1 2000 touch {dir}/half wait {dir}/go numbers 2001 2000 touch {dir}/done forever\nstdout_logfile={dir}/logs/a.log\nstdout_logfile_maxbytes=4KB\nstartsecs=0\n",
    )?;
    fs::create_dir(host.place.join("logs")).map_err(|e| e.to_string())?;
    host.go()?;
    wait_for("half", LIMIT, || host.place.join("half").exists())?;
    fs::remove_dir_all(host.place.join("logs")).map_err(|e| e.to_string())?;
    host.place.write("go", "")?;
    wait_for("the program keeps running", LIMIT, || {
        host.place.join("done").exists()
    })?;
    for _ in 0..20 {
        host.ctl(&["restart", "a"])?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn full_disk() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:a]\ncommand={test_child} flood 3000000 touch {dir}/done forever\nstdout_logfile=/dev/full\nstdout_logfile_maxbytes=0\nstartsecs=0\n",
    )?;
    wait_for("the program is not held up", LIMIT, || {
        host.place.join("done").exists()
    })?;
    host.daemon()?.wait_state("a", "RUNNING")?;
    host.wait_file("log", "cannot write")?;
    let told = host.place.read("log").matches("cannot write").count();
    expect(told <= 3, format!("reported {told} times"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn foreign_methods() -> Result<Outcome, String> {
    let mut host = Host::start(LONG)?;
    let daemon = host.daemon()?;
    for method in [
        "supervisor.supervisord.options.execve",
        "supervisor.supervisord.options.warnings.linecache.os.system",
        "supervisor.__class__",
        "supervisor._update",
        "system.namespaces",
        "os.system",
        "twiddler.addProgramToGroup",
        "",
        ".",
        "..",
        "supervisor.getState\n",
    ] {
        let got = daemon.call(method, &[]);
        expect(
            matches!(
                got,
                Err(wire::CallError::Fault(1, _) | wire::CallError::Status(_))
            ),
            format!("{method:?}: {got:?}"),
        )?;
    }
    host.expect_well()?;
    if !is_root() {
        return Ok(Outcome::Passed);
    }
    Ok(Outcome::Passed)
}
