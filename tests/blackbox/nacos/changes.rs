//! What a changed item does to running programs.

use super::{DATAID, GROUP, Pair, programs};
use crate::support::nacos::{Families, Fault, NacosSettings};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("nacos::a_change_touches_only_what_changed", change),
        Trial::new("nacos::a_change_reaches_a_server_of_v3_too", polled),
        Trial::new("nacos::a_wrong_text_changes_nothing", wrong),
        Trial::new("nacos::an_empty_or_deleted_item_stops_nothing", emptied),
        Trial::new("nacos::an_outage_stops_nothing", outage),
        Trial::new("nacos::update_and_plan_read_the_newest_text", asked),
        Trial::new(
            "nacos::notify_and_ignore_change_nothing_by_themselves",
            notified,
        ),
        Trial::new("nacos::two_hundred_changes_lose_nothing", many),
        Trial::new("nacos::a_killed_agent_comes_back", agent),
        Trial::new("nacos::an_upgrade_keeps_the_text_and_the_watch", upgraded),
        Trial::new("nacos::reload_takes_a_changed_supervisord_section", reload),
    ]
}

fn change() -> Result<Outcome, String> {
    let pair = Pair::started(&programs(&["one", "two", "three"]), "")?;
    let daemon = pair.host.daemon()?;
    for name in ["one", "two", "three"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    pair.host
        .expect_ctl(&["stop", "three"], 0, &["three: stopped"])?;
    pair.stub.wait_for_listeners(1)?;
    let before = [daemon.pid_of("one"), daemon.pid_of("two")];
    let md5 = pair.publish(&format!(
        "{}[program:two]\nstopwaitsecs=5\n{}",
        programs(&["one", "two", "three"]),
        programs(&["four"])
    ));
    pair.wait_applied(&md5)?;
    daemon.wait_state("four", "RUNNING")?;
    wait_for("another process of two", LIMIT, || {
        ![0, before[1]].contains(&daemon.pid_of("two"))
    })?;
    expect(daemon.pid_of("one") == before[0], "one was restarted")?;
    expect(daemon.state("three") == "STOPPED", "three was started")?;
    let md5 = pair.publish(&programs(&["one"]));
    pair.wait_applied(&md5)?;
    let states = pair.states()?;
    expect(
        states.lines().count() == 1 && states.starts_with("one"),
        states,
    )?;
    expect(daemon.pid_of("one") == before[0], "one was restarted")?;
    wait_for("the snapshot", LIMIT, || {
        pair.snapshot() == programs(&["one"])
    })?;
    Ok(Outcome::Passed)
}

fn polled() -> Result<Outcome, String> {
    let settings = NacosSettings {
        families: Families::V3,
        ..NacosSettings::default()
    };
    let mut pair = Pair::with(settings, &programs(&["one"]), "")?.option("--nacos-poll-interval=1");
    pair.go()?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    pair.host.daemon()?.wait_state("two", "RUNNING")?;
    Ok(Outcome::Passed)
}

fn wrong() -> Result<Outcome, String> {
    let listener = "[eventlistener:ear]\ncommand={test_child} listen {dir}/heard ok\nevents=CONFIG_SOURCE\nstartsecs=0\n";
    let pair = Pair::started(&programs(&["one"]), listener)?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("ear", "RUNNING")?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    let md5 = pair.publish("[program:one]\ncommand=sleep 1000\nstartsecs=soon\n");
    pair.wait_line(&format!("refused: MD5 {md5}"))?;
    pair.wait_line(&format!(
        "nacos:public/{GROUP}/{DATAID}:3:11: invalid literal"
    ))?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    let rejected = pair.metric("supervisord_nacos_config_rejected");
    expect(rejected.as_deref() == Some("1"), format!("{rejected:?}"))?;
    expect(
        pair.snapshot() == programs(&["one"]),
        "the snapshot has a wrong text",
    )?;
    // Listeners hear of it, with the mistake.
    pair.host
        .wait_file("heard", "eventname:CONFIG_SOURCE_REJECTED")?;
    pair.host.wait_file("heard", &format!(" md5:{md5}\n"))?;
    pair.host
        .wait_file("heard", "invalid literal for int() with base 10: 'soon'")?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    Ok(Outcome::Passed)
}

fn emptied() -> Result<Outcome, String> {
    let pair = Pair::started(&programs(&["one"]), "")?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    let pid = daemon.pid_of("one");
    pair.publish("; nothing\n");
    pair.wait_line("would remove all programs (allow_empty=true in [nacos]")?;
    pair.stub.delete("", GROUP, DATAID);
    pair.wait_line("cannot be read: ")?;
    expect(daemon.pid_of("one") == pid, "one was stopped")?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    expect(daemon.pid_of("one") == pid, "one was restarted")?;
    Ok(Outcome::Passed)
}

fn outage() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    let pid = pair.host.daemon()?.pid_of("one");
    pair.stub.wait_for_listeners(1)?;
    for fault in [Fault::Html, Fault::Reset] {
        pair.stub.fail_next(1, fault);
    }
    pair.stub.stop();
    pair.wait_line("cannot be read: ")?;
    let up = pair.metric("supervisord_nacos_up");
    expect(up.as_deref() == Some("0"), format!("{up:?}"))?;
    pair.stub.restart()?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    pair.wait_line("can be read again, from http://127.0.0.1:")?;
    expect(
        pair.host.daemon()?.pid_of("one") == pid,
        "one was restarted",
    )?;
    Ok(Outcome::Passed)
}

fn asked() -> Result<Outcome, String> {
    let mut pair = Pair::new(&programs(&["one"]), "")?.option("--nacos-on-change=ignore");
    pair.go()?;
    pair.publish(&programs(&["one", "two"]));
    pair.host.expect_ctl(&["plan"], 2, &["two: add"])?;
    pair.host.expect_ctl(&["reread"], 0, &["two: available"])?;
    pair.host
        .expect_ctl(&["update"], 0, &["two: added process group"])?;
    wait_for("the snapshot", LIMIT, || pair.snapshot().contains("two"))?;
    Ok(Outcome::Passed)
}

fn notified() -> Result<Outcome, String> {
    let mut pair = Pair::new(&programs(&["one"]), "")?.option("--nacos-on-change=notify");
    pair.go()?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_line(&format!(
        "MD5 {md5} (on_change=notify: supervisorctl update applies it)"
    ))?;
    let states = pair.states()?;
    expect(!states.contains("two"), states)?;
    Ok(Outcome::Passed)
}

fn many() -> Result<Outcome, String> {
    let names: Vec<String> = (0..100).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let pair = Pair::started(&programs(&names), "")?;
    let daemon = pair.host.daemon()?;
    for name in &names {
        daemon.wait_state(name, "RUNNING")?;
    }
    let steady = daemon.pid_of("p50");
    let mut md5 = String::new();
    for turn in 0..200 {
        md5 = pair.publish(&format!(
            "{}[program:p0]\nenvironment=TURN=\"{turn}\"\n",
            programs(&names)
        ));
        if turn % 20 == 0 {
            pair.wait_applied(&md5)?;
        }
    }
    pair.wait_applied(&md5)?;
    daemon.wait_state("p0", "RUNNING")?;
    expect(daemon.pid_of("p50") == steady, "p50 was restarted")?;
    let states = pair.states()?;
    expect(
        states
            .lines()
            .filter(|line| line.contains("RUNNING"))
            .count()
            == 100,
        states,
    )?;
    let log = pair.host.place.read("log");
    let applied: Vec<&str> = log
        .lines()
        .filter_map(|line| line.split("applied: MD5 ").nth(1)?.get(..32))
        .collect();
    let distinct: std::collections::BTreeSet<&&str> = applied.iter().collect();
    expect(applied.len() == distinct.len(), "a text was applied twice")?;
    Ok(Outcome::Passed)
}

/// The PID of the agent of this daemon.
pub(crate) fn agent_of(daemon: i32) -> Option<i32> {
    let children = format!("/proc/{daemon}/task");
    let tasks = std::fs::read_dir(children).ok()?.flatten();
    let mut pids = tasks.flat_map(|task| {
        let list = std::fs::read_to_string(task.path().join("children")).unwrap_or_default();
        let pids: Vec<i32> = list
            .split_whitespace()
            .filter_map(|pid| pid.parse().ok())
            .collect();
        pids
    });
    pids.find(|pid| {
        std::fs::read_to_string(format!("/proc/{pid}/cmdline"))
            .is_ok_and(|line| line.starts_with("supervisord-agent"))
    })
}

fn agent() -> Result<Outcome, String> {
    let pair = Pair::started(&programs(&["one"]), "")?;
    let daemon = pair.host.daemon()?;
    daemon.wait_state("one", "RUNNING")?;
    pair.stub.wait_for_listeners(1)?;
    let own = daemon.pid();
    // The listener may be that of the agent of the start, which ends soon.
    wait_for("an agent", LIMIT, || agent_of(own).is_some())?;
    let first = agent_of(own).ok_or("there is no agent")?;
    nix::sys::signal::kill(
        nix::unistd::Pid::from_raw(first),
        nix::sys::signal::Signal::SIGKILL,
    )
    .map_err(|error| error.to_string())?;
    wait_for("another agent", LIMIT, || {
        agent_of(own).is_some_and(|pid| pid != first)
    })?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    Ok(Outcome::Passed)
}

fn upgraded() -> Result<Outcome, String> {
    let mut pair = Pair::started(&programs(&["one"]), "")?;
    pair.host.daemon()?.wait_state("one", "RUNNING")?;
    let pid = pair.host.daemon()?.pid_of("one");
    pair.stub.stop();
    pair.host.expect_ctl(&["upgrade"], 0, &[])?;
    pair.host.expect_ctl(&["plan"], 0, &["nothing to do"])?;
    pair.stub.restart()?;
    let md5 = pair.publish(&programs(&["one", "two"]));
    pair.wait_applied(&md5)?;
    expect(
        pair.host.daemon()?.pid_of("one") == pid,
        "one was restarted",
    )?;
    pair.host.expect_well()?;
    Ok(Outcome::Passed)
}

fn reload() -> Result<Outcome, String> {
    let pair = Pair::started(&programs(&["one"]), "")?;
    let md5 = pair.publish(&format!(
        "{}[supervisord]\nidentifier=other\n",
        programs(&["one"])
    ));
    pair.wait_applied(&md5)?;
    pair.wait_line("take effect after supervisorctl reload")?;
    pair.host
        .expect_ctl(&["reload"], 0, &["Restarted supervisord"])?;
    let daemon = pair.host.daemon()?;
    wait_for("the new identifier", LIMIT, || {
        let answer = daemon.call("supervisor.getIdentification", &[]);
        answer.is_ok_and(|value| format!("{value:?}").contains("other"))
    })?;
    daemon.wait_state("one", "RUNNING")?;
    Ok(Outcome::Passed)
}
