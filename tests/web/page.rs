//! The pages as text, without scripts.

use std::time::Duration;

use crate::scene::{PlainCheck, Scene, plain_trials, text};
use crate::support::daemon::Side;
use crate::support::runner::Trial;
use crate::support::wire::{Address, Connection};
use crate::support::{LIMIT, expect, proc, wait_for};

pub(crate) fn tests() -> Vec<Trial> {
    let table: Vec<(&str, PlainCheck)> = vec![
        ("names_and_logs_are_escaped", names_and_logs_are_escaped),
        (
            "groups_are_started_and_cleared",
            groups_are_started_and_cleared,
        ),
        (
            "a_restart_continues_without_its_client",
            a_restart_continues_without_its_client,
        ),
        ("changes_are_sent", changes_are_sent),
        (
            "a_burst_of_changes_gives_few_messages",
            a_burst_of_changes_gives_few_messages,
        ),
        (
            "a_slow_page_gets_all_rows_after_lost_changes",
            a_slow_page_gets_all_rows_after_lost_changes,
        ),
        (
            "nothing_is_sampled_without_a_client",
            nothing_is_sampled_without_a_client,
        ),
        (
            "restarts_and_last_exits_are_shown",
            restarts_and_last_exits_are_shown,
        ),
    ];
    plain_trials("page", table)
}

fn names_and_logs_are_escaped() -> Result<(), String> {
    let scene = Scene::start(
        Side::Ours,
        "[program:<b>&\"x]\ncommand={test_child} say </pre><script>alert(1)</script> forever\n",
    )?;
    scene.daemon.wait_state("<b>&\"x", "RUNNING")?;
    let page = text(&scene.get("/", &[])?);
    expect(
        page.contains("&lt;b&gt;&amp;&quot;x") && !page.contains("<b>&"),
        page,
    )?;
    let path = "/tail.html?processname=%3Cb%3E%26%22x";
    wait_for("the log exists", LIMIT, || {
        scene
            .get(path, &[])
            .is_ok_and(|answer| text(&answer).contains("&lt;/pre&gt;&lt;script&gt;"))
    })?;
    let page = text(&scene.get(path, &[])?);
    expect(!page.contains("<script>alert"), page)?;
    for path in [
        "/?message=%3Cscript%3E",
        "/?filter=%22%3E%3Cscript%3E",
        "/tail.html?processname=%3Cscript%3E&search=%22%3E%3Cscript%3E&channel=%3Cscript%3E",
    ] {
        let page = text(&scene.get(path, &[])?);
        expect(!page.contains("<script>"), format!("{path}: {page}"))?;
    }
    Ok(())
}

fn groups_are_started_and_cleared() -> Result<(), String> {
    let scene = Scene::start(
        Side::Ours,
        "[program:g]\ncommand={test_child} say hello forever\nprocess_name=p%(process_num)d\nnumprocs=2\nautostart=false\n\
         startsecs=0\n[program:bad]\ncommand={dir}/nosuch\nautostart=false\n[group:mixed]\nprograms=bad\n",
    )?;
    let token = scene.token(&[])?;
    let press = |button: &str| -> Result<String, String> {
        let body = format!("token={token}&do={button}");
        let answer = scene.post("/actions", &[], &body)?;
        expect(answer.code() == 303, &answer.status)?;
        Ok(answer.header("Location").unwrap_or_default().to_owned())
    };
    let said = press("start+g%3A*")?;
    expect(said == "./?message=Group%20g%20started", said)?;
    scene.daemon.wait_state("g:p0", "RUNNING")?;
    scene.daemon.wait_state("g:p1", "RUNNING")?;
    let tail = |name: &str| {
        let answer = scene.get(&format!("/tail.html?processname={name}"), &[]);
        answer.map(|answer| text(&answer)).unwrap_or_default()
    };
    wait_for("both have written", LIMIT, || {
        tail("g:p0").contains("hello") && tail("g:p1").contains("hello")
    })?;
    let said = press("clear+g%3A*")?;
    expect(said == "./?message=Log%20of%20group%20g%20cleared", said)?;
    expect(
        !tail("g:p0").contains("hello") && !tail("g:p1").contains("hello"),
        "not cleared",
    )?;
    let said = press("start+mixed%3A*")?;
    expect(
        said == "./?message=ERROR%3A%20Group%20mixed%20not%20started%3A%20bad%3A%20no%20such%20file",
        said,
    )?;
    let said = press("stop+nosuch%3A*")?;
    expect(said.contains("no%20such%20process"), said)?;
    let said = press("stop+*")?;
    expect(said == "./?message=All%20stopped", said)?;
    scene.daemon.wait_state("g:p0", "STOPPED")
}

fn a_restart_continues_without_its_client() -> Result<(), String> {
    let scene = Scene::start(
        Side::Ours,
        "[program:slow]\ncommand={test_child} on TERM sleep,700,exit,0 forever\nstartsecs=0\n",
    )?;
    scene.daemon.wait_state("slow", "RUNNING")?;
    let pid = scene.daemon.pid_of("slow");
    let token = scene.token(&[])?;
    let body = format!("token={token}&do=restart+slow%3Aslow");
    let mut client = Connection::open(&Address::Port(scene.port)).map_err(|e| e.to_string())?;
    let request = format!(
        "POST /actions HTTP/1.1\r\nHost: localhost\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    );
    client.send(request.as_bytes()).map_err(|e| e.to_string())?;
    scene.daemon.wait_state("slow", "STOPPING")?;
    drop(client);
    scene.wait_other_pid("slow", pid)
}

/// An open stream of changes that has sent the whole state once.
fn listener(scene: &Scene) -> Result<Connection, String> {
    listener_at(&Address::Port(scene.port))
}

fn listener_at(address: &Address) -> Result<Connection, String> {
    let mut stream = Connection::open(address).map_err(|e| e.to_string())?;
    stream
        .send(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        .map_err(|e| e.to_string())?;
    heard(&mut stream, "event: all")?;
    Ok(stream)
}

fn heard(stream: &mut Connection, wanted: &str) -> Result<String, String> {
    let got = stream.read_until(wanted.as_bytes(), LIMIT);
    let text = String::from_utf8_lossy(&got).into_owned();
    if text.contains(wanted) {
        Ok(text)
    } else {
        Err(format!("no {wanted} in {text}"))
    }
}

fn changes_are_sent() -> Result<(), String> {
    let config = "[program:a]\ncommand={test_child} forever\nstartsecs=0\n";
    let mut scene = Scene::start(Side::Ours, config)?;
    scene.daemon.wait_state("a", "RUNNING")?;
    let mut stream = listener(&scene)?;
    let answer = scene.get("/?processname=a&action=stop", &[])?;
    expect(answer.code() == 301, answer.status)?;
    heard(&mut stream, "\"s\":\"stopped\"")?;
    // An added group is another table.
    let conf = scene.place.read("conf") + "[program:b]\ncommand=/bin/cat\n";
    scene.place.write("conf", &conf)?;
    scene
        .daemon
        .call("supervisor.reloadConfig", &[])
        .map_err(|e| e.to_string())?;
    let name = crate::support::wire::Value::Text("b".to_owned());
    scene
        .daemon
        .call("supervisor.addProcessGroup", &[name])
        .map_err(|e| e.to_string())?;
    heard(&mut stream, "event: layout")?;
    // The stream ends with the daemon. The daemon does not wait for it.
    scene.daemon.signal(nix::sys::signal::Signal::SIGTERM);
    let code = scene.daemon.wait_exit(LIMIT)?;
    expect(code == 0, format!("exit {code}"))?;
    expect(stream.is_closed_within(LIMIT), "the stream stays open")
}

fn a_burst_of_changes_gives_few_messages() -> Result<(), String> {
    let scene = Scene::start(
        Side::Ours,
        "[program:a]\ncommand=/bin/sleep 100000\nprocess_name=p%(process_num)03d\nnumprocs=200\nstartsecs=0\n",
    )?;
    scene.daemon.wait_state("a:p199", "RUNNING")?;
    let mut stream = listener(&scene)?;
    let begun = std::time::Instant::now();
    for _ in 0..3 {
        for method in [
            "supervisor.stopAllProcesses",
            "supervisor.startAllProcesses",
        ] {
            scene.daemon.call(method, &[]).map_err(|e| e.to_string())?;
        }
    }
    scene
        .daemon
        .call("supervisor.stopAllProcesses", &[])
        .map_err(|e| e.to_string())?;
    // The 2,800 changes of state came one after the other. The last message has the final states.
    let mut text = String::new();
    wait_for("all processes are reported as stopped", LIMIT, || {
        let got = stream.read_until(b"\n\n", Duration::from_secs(1));
        text.push_str(&String::from_utf8_lossy(&got));
        (0..200).all(|n| {
            let row = format!("\"n\":\"a:p{n:03}\",\"s\":\"");
            let last = text.rsplit(&row).next().unwrap_or_default();
            text.contains(&row) && last.starts_with("stopped")
        })
    })?;
    let quarters = begun.elapsed().as_millis() / 250;
    let messages = text.matches("event: ").count();
    expect(
        messages >= 1 && messages as u128 <= quarters + 3,
        format!("{messages} messages in {quarters} quarters of a second"),
    )
}

/// How often the slow page reads a little: often enough to stay connected, for the daemon closes a connection that takes
/// nothing for half a minute.
const SLOW_READ_EVERY: Duration = Duration::from_secs(8);
/// How much it reads then: all that a unix socket holds, because a sender only goes on when most of that is gone.
const SLOW_READ: usize = 256 << 10;
/// More messages than the daemon, the socket and the reading of one message hold for a client that does not read.
const WAIT_AT_MOST: usize = 22;

fn a_slow_page_gets_all_rows_after_lost_changes() -> Result<(), String> {
    // Names so long that a message is more than a socket holds: the page is behind by messages, however slow the machine.
    let name = "名".repeat(240);
    let scene = Scene::start(
        Side::Ours,
        &format!(
            "[program:a]\ncommand=/bin/sleep 100000\nprocess_name=p%(process_num)03d{name}\nnumprocs=300\nstartsecs=0\n\
             stdout_logfile=NONE\nstderr_logfile=NONE\n"
        ),
    )?;
    scene
        .daemon
        .wait_state(&format!("a:p299{name}"), "RUNNING")?;
    let mut slow = listener_at(&Address::Unix(scene.place.join("s")))?;
    let mut fast = listener(&scene)?;
    let mut told = 0;
    let mut early = String::new();
    let mut read_last = std::time::Instant::now();
    wait_for("there is more than a page may be behind", 6 * LIMIT, || {
        for method in [
            "supervisor.stopAllProcesses",
            "supervisor.startAllProcesses",
        ] {
            drop(scene.daemon.call(method, &[]));
            let got = fast.read_until(b"event: rows", Duration::from_secs(1));
            told += String::from_utf8_lossy(&got).matches("event: rows").count();
        }
        if read_last.elapsed() > SLOW_READ_EVERY {
            read_last = std::time::Instant::now();
            let got = slow.read_at_most(SLOW_READ, Duration::from_secs(1));
            early.push_str(&String::from_utf8_lossy(&got));
        }
        let read = early.matches("event: rows").count();
        early.contains("event: lost") || told > read + WAIT_AT_MOST
    })?;
    let text = match early.contains("event: lost") {
        true => early,
        false => early + &heard(&mut slow, "event: lost")?,
    };
    let late = text.matches("event: rows").count();
    expect(late < told, format!("{late} of {told} messages waited"))?;
    if !text
        .split("event: lost")
        .any(|rest| rest.contains("event: all"))
    {
        heard(&mut slow, "event: all")?;
    }
    // The slow page still receives changes afterwards.
    drop(scene.daemon.call("supervisor.stopAllProcesses", &[]));
    heard(&mut slow, "\"s\":\"stopped\"").map(drop)
}

fn nothing_is_sampled_without_a_client() -> Result<(), String> {
    let scene = Scene::start(
        Side::Ours,
        "[program:a]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    scene.daemon.wait_state("a", "RUNNING")?;
    let mut stream = listener(&scene)?;
    heard(&mut stream, "event: rows")?;
    drop(stream);
    let pid = scene.daemon.pid();
    let switches = || -> Vec<(String, String)> {
        let tasks = std::fs::read_dir(format!("/proc/{pid}/task"));
        let tasks = tasks.into_iter().flatten().flatten();
        let mut found: Vec<(String, String)> = tasks
            .filter_map(|task| {
                let text = std::fs::read_to_string(task.path().join("status")).ok()?;
                let line = text
                    .lines()
                    .find(|line| line.starts_with("voluntary_ctxt_switches"))?;
                let name = text.lines().next()?.to_owned();
                // Threads that read files wait for work, and end when no work comes.
                (!name.contains("server-files")).then(|| (name, line.to_owned()))
            })
            .collect();
        found.sort();
        found
    };
    // The last sample may still be in progress. Then there are three seconds without a wake-up.
    let mut before = switches();
    let mut since = std::time::Instant::now();
    wait_for("nothing runs", LIMIT, || {
        let now = switches();
        if now != before {
            before = now;
            since = std::time::Instant::now();
        }
        since.elapsed() > Duration::from_secs(3)
    })?;
    expect(proc::alive(pid), "the daemon has exited")
}

fn restarts_and_last_exits_are_shown() -> Result<(), String> {
    let scene = Scene::start(
        Side::Ours,
        "[program:a]\ncommand={test_child} nth {dir}/n 3,- forever\nstartsecs=0\nrestart_floor=0\n[program:bad]\n\
         command={dir}/nosuch\nstartretries=0\n",
    )?;
    scene.daemon.wait_state("bad", "FATAL")?;
    let mut page = String::new();
    wait_for("the page gets the change", LIMIT, || {
        page = scene
            .get("/", &[])
            .map_or_else(|why| why, |answer| text(&answer));
        page.contains("<td class=\"restarts\" role=\"cell\">1</td>")
            && page.contains("exit status 3")
            && page.contains("can't find command")
    })
    .map_err(|why| format!("{why}: {page}"))
}
