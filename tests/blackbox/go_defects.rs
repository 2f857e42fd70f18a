//! Defects and differences of the Go implementation that our daemon must not have, for users who bring their files. The
//! number in a name is the chapter of the contract of extensions: a1 the command line, a2 values, a10 states.

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("go_defects::a2_bad_values_refuse_to_load", bad_values),
        Trial::new(
            "go_defects::a2_g34_values_are_read_as_in_supervisor",
            values,
        ),
        Trial::new("go_defects::a10_the_states_are_supervisors", states),
        Trial::new("go_defects::a10_fatal_is_final", fatal),
        Trial::new("go_defects::a10_a_user_keeps_the_environment", user),
        Trial::new("go_defects::a10_a_signal_reaches_one_process", signal),
        Trial::new(
            "go_defects::a10_an_update_applies_the_file_and_no_more",
            update,
        ),
        Trial::new(
            "go_defects::g65_a_bad_file_at_a_reload_stops_nothing",
            bad_file,
        ),
        Trial::new("go_defects::g36_a_listener_receives_each_kind", events),
    ]
}

/// The Go implementation takes the default, or SIGTERM, without a word.
fn bad_values() -> Result<Outcome, String> {
    let host = Host::new("")?;
    for (section, keys, text) in [
        ("program:a", "stdout_logfile_maxbytes=10XB", "10XB"),
        ("program:a", "stderr_logfile_maxbytes=many", "many"),
        ("program:a", "stopsignal=NOPE", "NOPE"),
        ("program:a", "stopsignal=TERM NOPE", "NOPE"),
        (
            "program:a",
            "restart_signal_when_file_changed=HUP NOPE",
            "NOPE",
        ),
        ("program:a", "autostart=maybe", "maybe"),
        ("program:a", "autorestart=maybe", "maybe"),
        ("program:a", "exitcodes=0,x", "0,x"),
        ("program:a", "startsecs=soon", "soon"),
        ("program:a", "restartpause=-1", "-1"),
        (
            "program:a",
            "directory=%(nosuch)s",
            "%(nosuch)s is no known name",
        ),
        (
            "program:a",
            "environment=A=\"%(ENV_NOSUCH)s\"",
            "NOSUCH is not set",
        ),
        (
            "program:a",
            "stopasgroup=true\nkillasgroup=false",
            "killasgroup",
        ),
        ("program:a", "cron=61 * * * *", "61 * * * *"),
        ("program:a", "depends_on=a", "depends on itself"),
        (
            "program:a",
            "liveness_check_period=0",
            "liveness_check_period",
        ),
        (
            "program:a",
            "liveness_check_script=ftp://localhost",
            "ftp://localhost",
        ),
        ("program:a", "user=nosuchuser:daemon", "nosuchuser"),
        ("supervisord", "loglevel=verbose", "verbose"),
        ("supervisord", "logfile_maxbytes=50QB", "50QB"),
        ("program-default", "startretries=few", "few"),
    ] {
        let head = match section {
            "supervisord" => String::new(),
            _ => "[supervisord]\n".to_owned(),
        };
        let command = match section {
            "program:a" => "command=/bin/true\n",
            _ => "",
        };
        let rest = match section {
            "program:a" => "",
            _ => "[program:a]\ncommand=/bin/true\n",
        };
        host.place.write(
            "bad.conf",
            &format!("{head}[{section}]\n{command}{keys}\n{rest}"),
        )?;
        let got = host.run(&["--check", "-c", "bad.conf"])?;
        let said = format!("{}{}", got.stdout, got.stderr);
        let line = head.lines().count() + command.lines().count() + 2;
        let is_placed = (line..line + keys.lines().count())
            .any(|line| said.contains(&format!("bad.conf:{line}:")));
        expect(
            got.code == 2 && said.contains(text) && is_placed,
            format!("{keys}: {got:?}"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn values() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:blanks]\ncommand={test_child} exit 2\nexitcodes=0, 2\nstartsecs=0\nautorestart=unexpected\n\
         [program:plain]\ncommand={test_child} nth {dir}/plain 2,- forever\nstartsecs=0\n\
         [program:yes]\ncommand={test_child} nth {dir}/yes 0,- forever\nautostart=yes\nautorestart=1\nstartsecs=0\n\
         [program:no]\ncommand={test_child} forever\nautostart=off\n\
         [program:quiet]\ncommand={test_child} say quiet forever\nstdout_logfile=NONE\nstderr_logfile=none\nstartsecs=0\n\
         [program:many]\ncommand={test_child} say %(program_name)s,%(group_name)s,%(process_num)02d,50%% forever\n\
         process_name=%(program_name)s_%(process_num)02d\nnumprocs=2\nstartsecs=0\n\
         stdout_logfile={dir}/%(program_name)s_%(process_num)02d_%(group_name)s.out\nstdout_logfile_maxbytes=1kb\n\
         [program:quotes]\ncommand={test_child} say --a=\"b c\" say 'd e' forever\nstartsecs=0\nstdout_logfile={dir}/quotes.out\n\
         [program:words]\ncommand={test_child} env A env B env C forever\nstartsecs=0\nstdout_logfile={dir}/words.out\n\
         environment=A=\"x,y\",B='%(program_name)s 100%%',C=\"%(here)s\"\n",
    )?;
    host.wait_file("log", "exited: blanks (exit status 2; expected)")?;
    host.wait_file("log", "exited: plain (exit status 2; not expected)")?;
    for name in ["plain", "yes", "quiet", "many:many_00", "many:many_01"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    wait_for("autorestart=1", LIMIT, || host.place.read("yes").len() == 2)?;
    expect(host.daemon()?.state("blanks") == "EXITED", "2 is expected")?;
    expect(host.daemon()?.state("no") == "STOPPED", "autostart=off")?;
    host.wait_file("many_00_many.out", "many,many,00,50%\n")?;
    host.wait_file("many_01_many.out", "many,many,01,50%\n")?;
    host.wait_file("quotes.out", "--a=b c\nd e\n")?;
    let words = format!("A=x,y\nB=words 100%\nC={}\n", host.place.text());
    host.wait_file("words.out", &words)?;
    for name in ["NONE", "none"] {
        expect(
            !host.place.join(name).exists(),
            format!("a file named {name}"),
        )?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The cases in which the newest Go implementation stores a wrong state.
fn states() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:running]\ncommand={test_child} forever\nstartsecs=0\nautorestart=true\n\
         [program:starting]\ncommand={test_child} forever\nstartsecs=600\nautorestart=true\n\
         [program:three]\ncommand={test_child} exit 3\nautorestart=false\nstartsecs=0\n\
         [program:zero]\ncommand={test_child} exit 0\nautorestart=unexpected\nstartsecs=0\n\
         [program:killed]\ncommand={test_child} kill KILL\nautorestart=false\nstartsecs=0\n\
         [program:early]\ncommand={test_child} nth {dir}/n 0,- forever\nautorestart=false\nstartsecs=1\n",
    )?;
    let daemon = host.daemon()?;
    let status = |name: &str| -> Result<i64, String> {
        let info = daemon.info(name).map_err(|error| error.to_string())?;
        let status = info.get("exitstatus").and_then(|value| value.int());
        status.ok_or_else(|| format!("no exit status of {name}"))
    };
    daemon.wait_state("running", "RUNNING")?;
    daemon.wait_state("starting", "STARTING")?;
    for name in ["running", "starting"] {
        host.expect_ctl(&["stop", name], 0, &[&format!("{name}: stopped")])?;
        expect(daemon.state(name) == "STOPPED", daemon.state(name))?;
    }
    // And it can be started again.
    host.expect_ctl(&["restart", "running"], 0, &["running: started"])?;
    for (name, code) in [("three", 3), ("zero", 0), ("killed", -1)] {
        daemon.wait_state(name, "EXITED")?;
        expect(status(name)? == code, format!("{name}: {:?}", status(name)))?;
    }
    // An exit within startsecs is a failed start although its code is expected.
    daemon.wait_state("early", "RUNNING")?;
    let log = host.place.read("log");
    for line in [
        "exited: three (exit status 3; not expected)",
        "exited: zero (exit status 0; expected)",
        "exited: killed (terminated by SIGKILL; not expected)",
        "exited: early (exit status 0; not expected)",
    ] {
        expect(log.contains(line), format!("no {line:?} in {log}"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// startretries counts retries, and nothing leaves FATAL by itself. The Go implementation restarts for ever.
fn fatal() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:bad]\ncommand={test_child} nth {dir}/bad 1 forever\nstartretries=2\nautorestart=true\n\
         [program:clock]\ncommand={test_child} nth {dir}/clock 1 forever\nstartretries=4\n",
    )?;
    host.daemon()?.wait_state("bad", "FATAL")?;
    // The other one goes on for several seconds more.
    host.daemon()?.wait_state("clock", "FATAL")?;
    expect(host.daemon()?.state("bad") == "FATAL", host.log_end())?;
    let runs = (host.place.read("bad").len(), host.place.read("clock").len());
    expect(runs == (3, 5), format!("{runs:?} runs"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation forces HOME, USER, LOGNAME and PATH, and keeps the groups of root.
fn user() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("only root can change the user".to_owned()));
    }
    let mut host = Host::start(
        "[program:a]\ncommand=/bin/sleep 1000\nuser=nobody\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n\
         environment=HOME=/own,PATH=/own/bin,USER=me\n\
         [program:b]\ncommand=/bin/sleep 1000\nuser=nobody\nstartsecs=0\nstdout_logfile=NONE\nstderr_logfile=NONE\n",
    )?;
    for (name, home, path) in [
        ("a", "/own".to_owned(), "/own/bin"),
        (
            "b",
            host.place.text(),
            "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
        ),
    ] {
        host.daemon()?.wait_state(name, "RUNNING")?;
        let pid = host.daemon()?.pid_of(name);
        wait_for("its command runs", LIMIT, || {
            proc::environ(pid).contains_key("SUPERVISOR_PROCESS_NAME")
        })?;
        let environ = proc::environ(pid);
        let get = |name: &str| environ.get(name).cloned().unwrap_or_default();
        expect(
            get("HOME") == home && get("PATH") == path,
            format!("{environ:?}"),
        )?;
        for (variable, value) in [
            ("SUPERVISOR_ENABLED", "1"),
            ("SUPERVISOR_PROCESS_NAME", name),
            ("SUPERVISOR_GROUP_NAME", name),
        ] {
            expect(
                get(variable) == value,
                format!("{variable} is {:?}", get(variable)),
            )?;
        }
        expect(
            get("SUPERVISOR_SERVER_URL").starts_with("unix://"),
            format!("{environ:?}"),
        )?;
        let groups = proc::status(pid, "Groups").unwrap_or_default();
        expect(
            groups.split_whitespace().all(|group| group != "0"),
            format!("groups {groups}"),
        )?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation signals the whole process group.
fn signal() -> Result<Outcome, String> {
    let mut host = Host::new(
        "[program:family]\ncommand=/bin/sh {dir}/family.sh\nstartsecs=0\nstopasgroup=true\n",
    )?;
    host.place.write(
        "family.sh",
        &host.fill(
            "(trap 'echo child >> {dir}/said' USR1; trap 'exit 0' TERM; echo up >> {dir}/said; while :; do sleep 0.05; done) &\n\
             trap 'echo parent >> {dir}/said' USR1\nwhile :; do sleep 0.05; done\n",
        ),
    )?;
    host.go()?;
    host.wait_file("said", "up\n")?;
    for _ in 0..3 {
        let before = host.place.read("said");
        host.expect_ctl(&["signal", "USR1", "family"], 0, &["family: signalled"])?;
        wait_for("the parent", LIMIT, || host.place.read("said") != before)?;
    }
    let said = host.place.read("said");
    expect(!said.contains("child"), said)?;
    host.expect_ctl(
        &["signal", "BOGUS", "family"],
        1,
        &["family: ERROR (bad signal name)"],
    )?;
    expect(
        host.daemon()?.state("family") == "RUNNING",
        "a bad signal name ended it",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A program that was stopped by hand stays stopped, a key that is gone has no effect any more, and a removed program is
/// waited for.
fn update() -> Result<Outcome, String> {
    let stopped = "[program:stopped]\ncommand={test_child} forever\nstartsecs=0\n";
    let keyed = "[program:keyed]\ncommand={test_child} env WORD forever\nstartsecs=0\nstdout_logfile={dir}/keyed\n";
    let gone = "[program:gone]\ncommand={test_child} on TERM sleep,500,touch,{dir}/ended,exit,0 forever\nstartsecs=0\n";
    let mut host = Host::start(&format!("{stopped}{keyed}environment=WORD=old\n{gone}"))?;
    host.wait_file("keyed", "WORD=old\n")?;
    host.daemon()?.wait_state("gone", "RUNNING")?;
    host.expect_ctl(&["stop", "stopped"], 0, &["stopped: stopped"])?;
    host.configure(&format!("{stopped}{keyed}"))?;
    host.expect_ctl(
        &["update"],
        0,
        &[
            "keyed: updated process group",
            "gone: removed process group",
        ],
    )?;
    expect(
        host.place.join("ended").exists(),
        "the removed program was not waited for",
    )?;
    host.wait_file("keyed", "WORD=(unset)\n")?;
    expect(host.daemon()?.state("stopped") == "STOPPED", "it came back")?;
    host.expect_ctl(&["update"], 0, &[])?;
    host.daemon()?.signal(Signal::SIGUSR2);
    expect(host.daemon()?.state("stopped") == "STOPPED", "it came back")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation takes a file that it cannot read for an empty one, and stops all programs.
fn bad_file() -> Result<Outcome, String> {
    let program = "[program:long]\ncommand={test_child} forever\nstartsecs=0\n";
    let mut host = Host::start(&format!("{program}[include]\nfiles={{dir}}/more.ini\n"))?;
    host.daemon()?.wait_state("long", "RUNNING")?;
    let pid = host.daemon()?.pid_of("long");
    let conf = host.place.read("conf");
    let refused = |host: &Host, texts: &[&str]| -> Result<(), String> {
        for action in ["reread", "update", "reload"] {
            let got = host.ctl(&[action])?;
            // The client reads the same file. What it cannot read, it says itself.
            let said = format!("{}{}", got.stdout, got.stderr);
            expect(
                got.code != 0 && texts.iter().any(|text| said.contains(text)),
                format!("{action}: {got:?}"),
            )?;
        }
        let now = host.daemon()?.pid_of("long");
        expect(now == pid, format!("{pid} became {now}"))
    };
    // The included file: the client does not read it.
    host.place.write(
        "more.ini",
        "[program:more]\ncommand=/bin/true\nnumprocs=x\n",
    )?;
    refused(&host, &["more.ini:3:"])?;
    host.place.write("more.ini", "[program:more\n")?;
    refused(&host, &["more.ini"])?;
    std::fs::remove_file(host.place.join("more.ini")).map_err(|e| e.to_string())?;
    // The file itself, by a signal.
    for text in ["", "[supervisord\n", "[program:long]\nnumprocs=x\n"] {
        let before = host.place.read("log").matches("restart refused").count();
        host.place.write("conf", text)?;
        host.daemon()?.signal(Signal::SIGHUP);
        wait_for("the refusal", LIMIT, || {
            host.place.read("log").matches("restart refused").count() > before
        })?;
    }
    let log = host.place.read("log");
    let refusal = log
        .lines()
        .rfind(|line| line.contains("restart refused"))
        .unwrap_or_default();
    expect(
        refusal.contains("conf:2:") || log.contains("conf:2:"),
        refusal,
    )?;
    host.place.write("conf", &conf)?;
    host.expect_ctl(&["update"], 0, &[])?;
    expect(host.daemon()?.pid_of("long") == pid, "it was restarted")?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn events() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[eventlistener:ear]\ncommand={test_child} listen {dir}/heard ok\nbuffer_size=1000\n\
         events=PROCESS_STATE,PROCESS_COMMUNICATION,REMOTE_COMMUNICATION,TICK,PROCESS_LOG,PROCESS_GROUP,SUPERVISOR_STATE_CHANGE\n\
         [program:talker]\ncommand={test_child} on USR1 say,<!--XSUPERVISOR:BEGIN-->told<!--XSUPERVISOR:END--> forever\n\
         stdout_capture_maxbytes=1KB\nautostart=false\nstartsecs=0\n\
         [program:writer]\ncommand={test_child} say word forever\nstdout_events_enabled=true\nautostart=false\nstartsecs=0\n",
    )?;
    host.daemon()?.wait_state("ear", "RUNNING")?;
    host.expect_ctl(&["start", "talker", "writer"], 0, &["writer: started"])?;
    host.expect_ctl(&["signal", "USR1", "talker"], 0, &[])?;
    let event = [
        crate::support::wire::Value::Text("kind".to_owned()),
        crate::support::wire::Value::Text("remote".to_owned()),
    ];
    host.daemon()?
        .call("supervisor.sendRemoteCommEvent", &event)
        .map_err(|error| error.to_string())?;
    for (name, payload) in [
        (
            "PROCESS_STATE_RUNNING",
            "processname:talker groupname:talker from_state:STARTING pid:N\n",
        ),
        (
            "PROCESS_COMMUNICATION_STDOUT",
            "processname:talker groupname:talker pid:N\ntold\n",
        ),
        (
            "PROCESS_LOG_STDOUT",
            "processname:writer groupname:writer pid:N channel:stdout\nword\n",
        ),
        ("REMOTE_COMMUNICATION", "type:kind\nremote\n"),
        ("TICK_5", "when:T\n"),
    ] {
        let header = format!("eventname:{name} ");
        host.wait_file("heard", &header)?;
        wait_for(&format!("{name} with {payload:?}"), LIMIT, || {
            host.place.read("heard").contains(payload)
        })
        .map_err(|why| format!("{why}: {}", host.place.read("heard")))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}
