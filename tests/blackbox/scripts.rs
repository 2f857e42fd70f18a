//! Hooks and health checks with real commands, users and servers.

use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::sync::Arc;
use std::sync::atomic::{AtomicU16, Ordering};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("scripts::g44_hooks_run_around_start_and_stop", hooks),
        Trial::new(
            "scripts::g44_a_hook_that_hangs_is_killed_and_delays_only_its_program",
            hanging,
        ),
        Trial::new(
            "scripts::g44_a_required_hook_that_fails_is_a_failed_start",
            required,
        ),
        Trial::new(
            "scripts::g45_an_unhealthy_http_server_is_restarted",
            unhealthy,
        ),
        Trial::new(
            "scripts::on_fatal_runs_a_command_once_as_the_user_of_the_program",
            fatal,
        ),
        Trial::new(
            "scripts::an_upgrade_repeats_the_command_of_on_fatal",
            fatal_across_upgrade,
        ),
        Trial::new("scripts::g46_actions_run_on_the_change_of_health", actions),
        Trial::new(
            "scripts::a_program_is_running_when_its_check_succeeds",
            ready_check,
        ),
        Trial::new("scripts::an_upgrade_repeats_the_hook_of_a_stop", upgraded),
        Trial::new("scripts::g44_commands_run_as_the_user_of_the_program", user),
        Trial::new(
            "scripts::reload_with_names_reloads_programs_in_place",
            reload,
        ),
        Trial::new("scripts::g44_a_hook_that_forks_holds_nobody_up", forking),
        Trial::new("scripts::g45_a_check_that_floods_is_bounded", flooding),
        Trial::new(
            "scripts::g45_g46_each_kind_of_check_leaves_nothing_open",
            kinds,
        ),
        Trial::new(
            "scripts::g46_the_delay_counts_from_the_spawn",
            initial_delay,
        ),
    ]
}

fn hooks() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:cat]\ncommand=sh -c 'echo run >> {dir}/said; exec sleep 1000'\nautostart=false\nstartsecs=0\n\
         pre_start_hook=sh -c 'echo $SUPERVISOR_HOOK $SUPERVISOR_PROCESS_NAME $WORD >> {dir}/said'\n\
         post_start_hook=sh -c 'echo $SUPERVISOR_HOOK $SUPERVISOR_LAST_HOOK >> {dir}/said'\n\
         pre_stop_hook=sh -c 'echo $SUPERVISOR_HOOK; exit 3'\n\
         stop_command=sh -c 'echo $SUPERVISOR_HOOK >> {dir}/said; kill -USR1 $SUPERVISOR_PID'\n\
         post_stop_hook=sh -c 'echo $SUPERVISOR_HOOK $SUPERVISOR_EXIT_REASON >> {dir}/said'\n\
         environment=WORD=\"a b\"\n",
    )?;
    host.expect_ctl(&["start", "cat"], 0, &["cat: started"])?;
    let started = "pre_start_hook cat a b\nrun\npost_start_hook success\n";
    // The program and its hook after the start run side by side.
    wait_for("the start", LIMIT, || {
        host.place.read("said").len() == started.len()
    })?;
    let said = host.place.read("said");
    expect(said.starts_with("pre_start_hook cat a b\n"), &said)?;
    host.expect_ctl(&["stop", "cat"], 0, &["cat: stopped"])?;
    wait_for("the hook after the stop", LIMIT, || {
        host.place
            .read("said")
            .ends_with("stop_command\npost_stop_hook stopped\n")
    })?;
    let log = host.place.read("log");
    expect(
        log.contains("cat: pre_stop_hook failed: exit status 3 (pre_stop_hook)"),
        &log,
    )?;
    expect(
        log.contains("stopped: cat (terminated by SIGUSR1)") && !log.contains("SIGTERM"),
        &log,
    )?;
    Ok(Outcome::Passed)
}

fn hanging() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:slow]\ncommand={test_child} forever\nautostart=false\nstartsecs=0\nhook_timeout=1\n\
         pre_start_hook=sh -c 'sleep 1000 & echo $! > {dir}/pid; wait'\n\
         [program:quick]\ncommand={test_child} forever\nautostart=false\nstartsecs=0\n",
    )?;
    host.daemon()?;
    host.expect_ctl(&["start", "quick"], 0, &["quick: started"])?;
    host.expect_ctl(&["start", "slow"], 0, &["slow: started"])?;
    let log = host.place.read("log");
    expect(
        log.contains("slow: pre_start_hook failed: not finished after 1 s"),
        &log,
    )?;
    let pid = host.place.read("pid");
    let path = format!("/proc/{}", pid.trim());
    wait_for("the end of the hook's child", LIMIT, || {
        !std::path::Path::new(&path).exists()
    })?;
    Ok(Outcome::Passed)
}

fn required() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:cat]\ncommand={test_child} forever\nautostart=false\nstartretries=0\n\
         pre_start_hook=sh -c 'echo disk is full; exit 4'\npre_start_hook_required=true\n",
    )?;
    let reason = "pre_start_hook failed: exit status 4 (disk is full)";
    host.expect_ctl(&["start", "cat"], 7, &["cat: ERROR (spawn error)"])?;
    host.daemon()?.wait_state("cat", "FATAL")?;
    let shown = host.ctl(&["status", "cat"])?.stdout;
    expect(shown.contains(reason), &shown)?;
    let log = host.place.read("log");
    expect(log.contains(&format!("spawnerr: {reason}")), &log)?;
    Ok(Outcome::Passed)
}

/// A server that answers each request with a status, which can be changed. Returns its port.
fn server(status: Arc<AtomicU16>) -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = [0; 1024];
            let _ = stream.read(&mut request);
            let status = status.load(Ordering::SeqCst);
            let _ = write!(stream, "HTTP/1.1 {status} X\r\n\r\n");
        }
    });
    Ok(port)
}

fn unhealthy() -> Result<Outcome, String> {
    let status = Arc::new(AtomicU16::new(200));
    let port = server(status.clone())?;
    let host = Host::start(&format!(
        "[program:web]\ncommand={{test_child}} forever\nstartsecs=0\nautorestart=false\n\
         health_http=127.0.0.1:{port}/health\nhealth_interval=1\nhealth_retries=2\n"
    ))?;
    let shows = |text: &str| {
        wait_for(text, LIMIT, || {
            let shown = host.ctl(&["status", "web"]).map(|got| got.stdout);
            shown.is_ok_and(|shown| shown.contains(text))
        })
    };
    shows(", healthy")?;
    let before = host.ctl(&["pid", "web"])?.stdout;
    status.store(503, Ordering::SeqCst);
    host.wait_file("log", "failed its health check: HTTP status 503")?;
    // The next instance is checked too.
    status.store(204, Ordering::SeqCst);
    wait_for("a restart", LIMIT, || {
        host.ctl(&["pid", "web"])
            .is_ok_and(|got| got.code == 0 && got.stdout != before)
    })?;
    shows(", healthy")?;
    let log = host.place.read("log");
    expect(
        log.matches("healthy: web passes its health check").count() >= 2,
        &log,
    )?;
    Ok(Outcome::Passed)
}

fn actions() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\n\
         liveness_check_script=script://test -e {dir}/UP\nliveness_check_initial_delay=0\nliveness_check_period=1\n\
         liveness_check_failure_threshold=1\n\
         liveness_check_success_action=sh -c 'echo $SUPERVISOR_HEALTH >> {dir}/Said'\n\
         liveness_check_failure_action=sh -c 'echo $SUPERVISOR_HEALTH >> {dir}/Said'\n",
    )?;
    host.wait_file("Said", "failed\n")?;
    let pid = host.ctl(&["pid", "web"])?.stdout;
    std::fs::write(host.place.path().join("UP"), "").map_err(|error| error.to_string())?;
    host.wait_file("Said", "failed\nhealthy\n")?;
    std::fs::remove_file(host.place.path().join("UP")).map_err(|error| error.to_string())?;
    host.wait_file("Said", "failed\nhealthy\nfailed\n")?;
    expect(host.ctl(&["pid", "web"])?.stdout == pid, "it was restarted")?;
    Ok(Outcome::Passed)
}

fn ready_check() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:db]\ncommand={test_child} forever\nready_check=test -e {dir}/ready\n",
    )?;
    let daemon = host.daemon()?;
    // One check has failed.
    wait_for("a first check", LIMIT, || {
        host.ctl(&["status", "db"])
            .is_ok_and(|got| got.stdout.contains("STARTING"))
    })?;
    std::fs::write(host.place.path().join("ready"), "").map_err(|error| error.to_string())?;
    daemon.wait_state("db", "RUNNING")?;
    host.wait_file("log", "process has reported that it is ready")?;
    Ok(Outcome::Passed)
}

fn upgraded() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:cat]\ncommand={test_child} forever\nstartsecs=0\n\
         pre_stop_hook=sh -c 'echo x >> {dir}/runs; while ! test -e {dir}/go; do sleep 0.05; done'\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("cat", "RUNNING")?;
    let pid = host.ctl(&["pid", "cat"])?.stdout;
    let params = [Value::Text("cat".to_owned()), Value::Bool(false)];
    daemon
        .call("supervisor.stopProcess", &params)
        .map_err(|error| format!("{error:?}"))?;
    host.wait_file("runs", "x\n")?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    host.wait_file("runs", "x\nx\n")?;
    expect(
        std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(),
        "the program was stopped before its hook had ended",
    )?;
    std::fs::write(host.place.path().join("go"), "").map_err(|error| error.to_string())?;
    host.daemon()?.wait_state("cat", "STOPPED")?;
    Ok(Outcome::Passed)
}

fn user() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(Outcome::Skipped("only root can change the user".to_owned()));
    }
    let host = Host::start(
        "[program:cat]\ncommand={test_child} forever\nuser=nobody\nstartsecs=0\n\
         pre_start_hook=sh -c 'id -un; exit 1'\nhealth_command=sh -c 'id -un; exit 1'\nhealth_retries=1\non_unhealthy=none\n",
    )?;
    host.wait_file("log", "cat: pre_start_hook failed: exit status 1 (nobody)")?;
    host.wait_file("log", "failed its health check: exit status 1")?;
    Ok(Outcome::Passed)
}

fn fatal() -> Result<Outcome, String> {
    let user = if is_root() { "user=nobody\n" } else { "" };
    let config = |on_fatal: &str| {
        format!(
            "[program:vital]\ncommand={{test_child}} exit 3\nautostart=false\nstartretries=1\nhook_timeout=2\n{user}\
             environment=WORD=\"a b\"\n{on_fatal}\n\
             [program:other]\ncommand={{test_child}} forever\nstartsecs=0\n"
        )
    };
    let host = Host::start(&config(
        "on_fatal=exec:sh -c 'echo `id -un` $SUPERVISOR_HOOK $SUPERVISOR_PROCESS_NAME $SUPERVISOR_EXIT_CODE $WORD: $SUPERVISOR_LAST_ERROR; exit 5'",
    ))?;
    host.expect_ctl(&["start", "vital"], 7, &["vital: ERROR (spawn error)"])?;
    host.daemon()?.wait_state("vital", "FATAL")?;
    let said = "on_fatal vital 3 a b: Exited too quickly (process log may have details))\n";
    host.wait_file("log", said)?;
    let log = host.place.read("log");
    let failed = match is_root() {
        true => "vital: on_fatal failed: exit status 5 (nobody on_fatal",
        false => "vital: on_fatal failed: exit status 5 (",
    };
    expect(
        log.contains(failed) && log.matches("on_fatal failed").count() == 1,
        &log,
    )?;
    // A change of the key needs no restart. A command that hangs is killed.
    host.configure(&config(
        "on_fatal=exec:sh -c 'echo $$ > /dev/stderr; exec sleep 1000'",
    ))?;
    host.expect_ctl(&["plan"], 2, &["vital: live\n"])?;
    host.expect_ctl(&["update"], 0, &[])?;
    host.expect_ctl(&["start", "vital"], 7, &["vital: ERROR (spawn error)"])?;
    host.wait_file("log", "vital: on_fatal failed: not finished after 2 s")?;
    host.configure(&config("on_fatal=exec:true"))?;
    host.expect_ctl(&["update"], 0, &[])?;
    host.expect_ctl(&["start", "vital"], 7, &["vital: ERROR (spawn error)"])?;
    host.wait_file("log", "vital: on_fatal succeeded")?;
    host.daemon()?.wait_state("other", "RUNNING")?;
    Ok(Outcome::Passed)
}

fn fatal_across_upgrade() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:vital]\ncommand={test_child} exit 3\nautostart=false\nstartretries=0\n\
         on_fatal=exec:sh -c 'echo run >> {dir}/said; while ! test -e {dir}/go; do sleep 0.1; done'\n",
    )?;
    host.expect_ctl(&["start", "vital"], 7, &["vital: ERROR (spawn error)"])?;
    host.wait_file("said", "run\n")?;
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    host.wait_file("said", "run\nrun\n")?;
    host.place.write("go", "")?;
    host.wait_file("log", "vital: on_fatal succeeded")?;
    // The next daemon has nothing to repeat.
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    host.expect_ctl(&["status"], 3, &["FATAL"])?;
    expect(host.place.read("said") == "run\nrun\n", "it ran again")?;
    Ok(Outcome::Passed)
}

fn reload() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\n\
         reload_command=sh -c 'echo $SUPERVISOR_PID > {dir}/reloaded; test -e {dir}/good || echo bad option >&2 && test -e {dir}/good'\n\
         [program:db]\ncommand={test_child} on HUP say,HUP say up forever\nstartsecs=0\nreload_signal=HUP\nstdout_logfile={dir}/said\n\
         [program:plain]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:down]\ncommand={test_child} forever\nautostart=false\nreload_signal=HUP\n",
    )?;
    host.wait_file("said", "up\n")?;
    let pid = host.ctl(&["pid", "web"])?.stdout;
    let failed = "web: reload_command failed: exit status 1 (bad option)";
    host.expect_ctl(&["reload", "web"], 1, &[failed])?;
    expect(
        host.place.read("reloaded") == pid,
        host.place.read("reloaded"),
    )?;
    std::fs::write(host.place.path().join("good"), "").map_err(|error| error.to_string())?;
    host.expect_ctl(
        &["reload", "web", "db"],
        0,
        &["web: reloaded", "db: reloaded"],
    )?;
    host.wait_file("said", "up\nHUP\n")?;
    host.expect_ctl(&["reload", "all"], 0, &["web: reloaded"])?;
    host.wait_file("said", "up\nHUP\nHUP\n")?;
    let none = "plain has neither reload_command nor reload_signal";
    host.expect_ctl(&["reload", "plain"], 1, &[none])?;
    host.expect_ctl(&["reload", "down"], 7, &["down: ERROR (not running)"])?;
    host.expect_ctl(
        &["reload", "nosuch"],
        1,
        &["nosuch: ERROR (no such process)"],
    )?;
    expect(host.ctl(&["pid", "web"])?.stdout == pid, "it was restarted")?;
    Ok(Outcome::Passed)
}

/// One hook leaves a process in the background that holds its output, one forks as fast as it can until its time is over.
fn forking() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:back]\ncommand={test_child} forever\nautostart=false\nstartsecs=0\n\
         pre_start_hook=sh -c 'sleep 1000 & echo $! > {dir}/back'\n\
         [program:bomb]\ncommand={test_child} forever\nautostart=false\nstartsecs=0\nhook_timeout=1\n\
         pre_start_hook=sh -c 'while :; do sleep 1001 & echo $! >> {dir}/bomb; sleep 0.01; done'\n\
         [program:quick]\ncommand={test_child} forever\nautostart=false\nstartsecs=0\n",
    )?;
    host.expect_ctl(&["start", "back"], 0, &["back: started"])?;
    let back: i32 = host.place.read("back").trim().parse().unwrap_or(0);
    expect(proc::alive(back), "the process in the background")?;
    let daemon = host.daemon()?;
    let params = [Value::Text("bomb".to_owned()), Value::Bool(false)];
    daemon
        .call("supervisor.startProcess", &params)
        .map_err(|error| error.to_string())?;
    host.expect_ctl(&["start", "quick"], 0, &["quick: started"])?;
    host.wait_file("log", "bomb: pre_start_hook failed: not finished after 1 s")?;
    host.daemon()?.wait_state("bomb", "RUNNING")?;
    let children = host.place.read("bomb");
    wait_for("the end of all processes of the hook", LIMIT, || {
        let mut pids = children.lines().filter_map(|pid| pid.parse().ok());
        !pids.any(proc::alive)
    })?;
    expect(
        children.lines().count() > 5,
        format!("it forked {} times", children.lines().count()),
    )?;
    host.expect_ctl(&["stop", "all"], 0, &["bomb: stopped"])?;
    let _ = nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(back),
        nix::sys::signal::Signal::SIGKILL,
    );
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn flooding() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:loud]\ncommand={test_child} forever\nstartsecs=0\nhealth_command=yes flood\nhealth_interval=1\n\
         health_timeout=1\nhealth_retries=2\non_unhealthy=none\n\
         [program:quick]\ncommand={test_child} forever\nautostart=false\nstartsecs=0\n",
    )?;
    let pid = host.ctl(&["pid", "loud"])?.stdout;
    host.wait_file("log", "failed its health check: not finished after 1 s")?;
    let memory = proc::resident_kib(host.daemon()?.pid());
    for _ in 0..5 {
        host.expect_ctl(&["start", "quick"], 0, &["quick: started"])?;
        host.expect_ctl(&["stop", "quick"], 0, &["quick: stopped"])?;
    }
    wait_for("it is shown as unhealthy", LIMIT, || {
        host.ctl(&["status", "loud"])
            .is_ok_and(|got| got.stdout.contains("unhealthy: not finished after 1 s"))
    })?;
    let more = proc::resident_kib(host.daemon()?.pid()).saturating_sub(memory);
    expect(more < 20 << 10, format!("{more} KiB more"))?;
    let size = host.place.read("log").len();
    expect(
        size < 64 << 10,
        format!("{size} bytes in the log: {}", host.log_end()),
    )?;
    expect(
        host.ctl(&["pid", "loud"])?.stdout == pid,
        "on_unhealthy=none",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A check by script, by TCP and by HTTP with a header and data: healthy, failing, and one that does not answer. The Go
/// implementation leaves sockets open, and commands alive.
fn kinds() -> Result<Outcome, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    let (said, requests) = std::sync::mpsc::channel();
    // The server keeps the connections that it does not answer, so only the daemon can close them.
    let _server = std::thread::spawn(move || {
        let mut kept = Vec::new();
        for stream in listener.incoming() {
            let Ok(mut stream) = stream else { return };
            let mut request = Vec::new();
            let mut chunk = [0; 1024];
            while let Ok(count) = stream.read(&mut chunk) {
                request.extend_from_slice(&chunk[..count]);
                if count == 0 || request.ends_with(b"ping") {
                    break;
                }
            }
            let request = String::from_utf8_lossy(&request).into_owned();
            if request.starts_with("POST /hang") {
                kept.push(stream);
            } else if !request.is_empty() {
                let _ = stream.write_all(b"HTTP/1.1 204 X\r\n\r\n");
            }
            let _ = said.send(request);
        }
    });
    let liveness = |name: &str, script: &str| {
        format!(
            "[program:{name}]\ncommand={{test_child}} forever\nstartsecs=0\nliveness_check_script={script}\n\
             liveness_check_initial_delay=0\nliveness_check_period=1\nliveness_check_timeout=1\n\
             liveness_check_failure_threshold=2\nliveness_check_failure_action=/bin/true\n"
        )
    };
    let url = format!("http://127.0.0.1:{port}");
    let mut host = Host::start(
        &[
            liveness("script", "script:///bin/test -e {dir}/Up"),
            liveness("word", "/bin/test -e {dir}/Up"),
            liveness("slow", "sh -c 'sleep 1003 & echo $! >> {dir}/slow; wait'"),
            liveness("tcp", &format!("tcp://127.0.0.1:{port}")),
            liveness("closed", "tcp://127.0.0.1:1"),
            liveness("http", &format!("{url}/ok -H 'X-Word: a b' -d ping")),
            liveness("hang", &format!("{url}/hang --header 'X: y' --data ping")),
        ]
        .concat(),
    )?;
    let shows = |name: &str, text: &str| {
        let mut last = String::new();
        wait_for(&format!("{name} is {text}"), LIMIT, || {
            last = host
                .ctl(&["status", name])
                .map_or_else(|why| why, |got| got.stdout);
            last.contains(text)
        })
        .map_err(|why| format!("{why}: {last}"))
    };
    for name in ["script", "word"] {
        shows(name, "unhealthy: exit status 1")?;
    }
    shows("slow", "unhealthy: not finished after 1 s")?;
    shows("closed", "unhealthy: cannot connect to 127.0.0.1:1")?;
    shows("hang", "unhealthy: not finished after 1 s")?;
    shows("tcp", ", healthy")?;
    shows("http", ", healthy")?;
    host.place.write("Up", "")?;
    for name in ["script", "word"] {
        shows(name, ", healthy")?;
    }
    let request = requests
        .try_iter()
        .find(|request| request.starts_with("POST /ok"))
        .unwrap_or_default();
    expect(
        request.contains("X-Word: a b\r\n") && request.ends_with("\r\n\r\nping"),
        request,
    )?;
    // After many more checks there are no more descriptors, and the commands that took too long are gone.
    let pid = host.daemon()?.pid();
    let before = proc::descriptors(pid);
    let runs = host.place.read("slow").lines().count();
    wait_for("more checks", LIMIT, || {
        host.place.read("slow").lines().count() >= runs + 4
    })?;
    let after = proc::descriptors(pid);
    expect(
        after <= before + 8,
        format!("{before} descriptors, then {after}"),
    )?;
    let slow = host.place.read("slow");
    let first: Vec<i32> = slow
        .lines()
        .take(runs)
        .filter_map(|pid| pid.parse().ok())
        .collect();
    wait_for("the end of the commands", LIMIT, || {
        !first.iter().any(|&pid| proc::alive(pid))
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// The Go implementation counts the delay from its own start.
fn initial_delay() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:web]\ncommand=sh -c 'date +%%s%%N >> {dir}/spawned; exec sleep 1000'\nautostart=false\nstartsecs=0\n\
         liveness_check_script=sh -c 'date +%%s%%N >> {dir}/checked'\nliveness_check_initial_delay=2\n\
         liveness_check_period=60\n[program:clock]\ncommand={test_child} sleep 3000 touch {dir}/over forever\n",
    )?;
    // The daemon and the section are older than the delay.
    wait_for("three seconds", LIMIT, || host.place.join("over").exists())?;
    expect(!host.place.join("checked").exists(), "a check of nobody")?;
    for runs in 1..=2 {
        let action = if runs == 1 { "start" } else { "restart" };
        host.expect_ctl(&[action, "web"], 0, &["web: started"])?;
        wait_for("a check", LIMIT, || {
            host.place.read("checked").lines().count() == runs
        })?;
    }
    let times = |name: &str| -> Vec<u64> {
        let text = host.place.read(name);
        text.lines().filter_map(|line| line.parse().ok()).collect()
    };
    // A process says when it runs its command, shortly after the spawn.
    for (spawned, checked) in times("spawned").iter().zip(times("checked")) {
        let gap = checked.saturating_sub(*spawned);
        expect(gap >= 1_000_000_000, format!("checked after {gap} ns"))?;
    }
    host.expect_well()?;
    Ok(Outcome::Passed)
}
