//! Conversations between a program and the daemon continue with the next daemon: events and their results,
//! notifications, messages between capture tokens, lines for the journal.

use crate::outages::{
    LONG, begin, kill, logged, meanwhile, pids, returned, same, start, test_child,
};
use crate::service::{UNIT, ctl};
use crate::support::machine::{Machine, trial};
use crate::support::runner::Trial;
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    type Test = fn(&Machine) -> Result<(), String>;
    let list: &[(&str, Test)] = &[
        ("listeners_continue_with_the_next_daemon", listeners),
        ("programs_can_notify_the_next_daemon", notify),
        ("messages_and_lines_continue_over_a_restart", messages),
    ];
    list.iter()
        .map(|&(name, test)| trial(format!("dialogues::{name}"), test))
        .collect()
}

fn wait_text(
    machine: &Machine,
    script: &str,
    is_it: impl Fn(&str) -> bool,
) -> Result<String, String> {
    let mut text = String::new();
    wait_for(script, LIMIT, || {
        text = machine.sh(script).unwrap_or_default();
        is_it(&text)
    })
    .map_err(|why| format!("{why}: {text:?} {}", machine.story(UNIT)))?;
    Ok(text)
}

/// One listener owes a result when the daemon is killed, the other waits for an event.
fn listeners(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let programs = format!(
        "[eventlistener:busy]\ncommand={test_child} listen /run/t/busy wait:/run/t/go,ok\nevents=PROCESS_STATE_STOPPED\nstartsecs=0\n\
         [eventlistener:ready]\ncommand={test_child} listen /run/t/ready ok\nevents=PROCESS_STATE_EXITED\nstartsecs=0\n\
         [program:a]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
         [program:b]\ncommand=/bin/sleep infinity\nstartsecs=0\n\
         [program:ends]\ncommand={test_child} wait /run/t/end exit 0\nstartsecs=0\nautorestart=false\nstdout_logfile=NONE\n"
    );
    for way in ["kill -9 $old", "systemctl restart supervisord"] {
        start(machine, "", &programs, 5)?;
        ctl(machine, "stop a")?;
        let first = |text: &str| text.contains("processname:a ");
        wait_text(machine, "cat /run/t/busy 2>/dev/null || true", first)?;
        let old = machine.property(UNIT, "MainPID")?;
        let before = pids(machine)?;
        machine.sh(&format!("old={old}; {way}"))?;
        returned(machine, &old)?;
        same(machine, &before)?;
        // The next event waits for the result of the first.
        ctl(machine, "stop b")?;
        machine.sh("touch /run/t/end")?;
        let other = |text: &str| text.contains("processname:ends ");
        wait_text(machine, "cat /run/t/ready 2>/dev/null || true", other)?;
        let text = machine.sh("cat /run/t/busy")?;
        expect(!text.contains("processname:b "), text)?;
        machine.sh("touch /run/t/go")?;
        let second = |text: &str| text.contains("processname:b ");
        let text = wait_text(machine, "cat /run/t/busy", second)?;
        expect(
            text.matches("processname:").count() == 2,
            format!("after {way}: {text}"),
        )?;
        machine.sh("systemctl stop supervisord")?;
    }
    Ok(())
}

/// READY=1 during the outage counts, a program that was ready stays ready, and the next daemon detects a program that
/// sends no more keepalives.
fn notify(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let rest = "notify=true\nautorestart=false\nstdout_logfile=NONE\n";
    let programs = format!(
        "[program:fed]\ncommand={test_child} notify READY=1 beats 100 100000 /run/t/beats\n{rest}watchdogsecs=4\n\
         [program:late]\ncommand={test_child} wait /run/t/ready notify READY=1 forever\n{rest}ready_timeout=600\n\
         [program:mute]\ncommand={test_child} notify READY=1 wait /run/t/mute forever\n{rest}\n"
    );
    begin(machine, LONG, &programs)?;
    let status = "supervisorctl -c /etc/supervisor/supervisord.conf status || true";
    wait_text(machine, status, |text| text.matches("RUNNING").count() == 2)?;
    expect(
        ctl(machine, "status late")?.contains("STARTING"),
        "late is ready too early",
    )?;
    let late = ctl(machine, "pid late")?;
    meanwhile(machine, "touch /run/t/ready")?;
    wait_text(machine, status, |text| text.matches("RUNNING").count() == 3)?;
    let before = pids(machine)?;
    expect(
        before.get("late").map(String::as_str) == Some(late.trim()),
        format!("another than {late}: {before:?}"),
    )?;
    let old = machine.property(UNIT, "MainPID")?;
    machine.sh("systemctl restart supervisord")?;
    returned(machine, &old)?;
    same(machine, &before)?;
    // It sends no more keepalives.
    let old = kill(machine)?;
    let fed = before.get("fed").ok_or("fed does not run")?;
    machine.sh(&format!("kill -STOP {fed}"))?;
    returned(machine, &old)?;
    logged(machine, "sent no keepalive for 4000 ms", 1)?;
    machine.sh("systemctl stop supervisord").map(drop)
}

/// Over a restart, messages in capture mode become events, and lines are in the journal, each once.
fn messages(machine: &Machine) -> Result<(), String> {
    let test_child = test_child()?;
    let programs = format!(
        "[eventlistener:hears]\ncommand={test_child} listen /run/t/heard ok\nevents=PROCESS_COMMUNICATION_STDOUT\nbuffer_size=1000\nstartsecs=0\n\
         [program:says]\ncommand={test_child} messages 100 3 /run/t/go\nstartsecs=0\nautorestart=false\nstdout_capture_maxbytes=1KB\n\
         [program:t-lines]\ncommand={test_child} tell /run/t/stop 3000\nstartsecs=0\nautorestart=false\nstdout_logfile=journal\n"
    );
    start(machine, "", &programs, 3)?;
    machine.sh("touch /run/t/go")?;
    for _ in 0..3 {
        let old = machine.property(UNIT, "MainPID")?;
        machine.sh("systemctl restart supervisord")?;
        returned(machine, &old)?;
    }
    machine.sh("touch /run/t/stop")?;
    let text = wait_text(
        machine,
        "journalctl -q --no-pager -o cat --since=-3min SUPERVISOR_PROCESS=t-lines SUPERVISOR_STREAM=stdout",
        |text| text.ends_with("end\n"),
    )?;
    let count = text.lines().count() - 1;
    for (place, line) in text.lines().take(count).enumerate() {
        expect(
            line == format!("{place:08}"),
            format!("{line:?} in place of {place}"),
        )?;
    }
    println!("{count} lines in the journal, each once");
    logged(machine, "exited: says (exit status 0; expected)", 1)?;
    let heard = wait_text(machine, "grep -c processname:says /run/t/heard", |text| {
        text.trim() == "300"
    })?;
    println!("{} messages were received", heard.trim());
    machine.sh("systemctl stop supervisord").map(drop)
}
