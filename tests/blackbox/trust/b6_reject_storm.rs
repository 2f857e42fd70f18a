//! A listener that rejects everything costs little (Supervisor#220, #622, superlance#13).

use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, expect, proc, wait_for};

/// Duration of the storm.
const STORM: Duration = Duration::from_secs(6);

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::b6_a_storm_of_rejections_is_slowed_down", storm),
        Trial::new("trust::b6_events_stay_in_order_and_the_pause_ends", order),
    ]
}

fn event(host: &Host, kind: &str) -> Result<(), String> {
    let params = [kind, "x"].map(|text| Value::Text(text.to_owned()));
    host.daemon()?
        .call("supervisor.sendRemoteCommEvent", &params)
        .map_err(|e| e.to_string())?;
    Ok(())
}

fn storm() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[eventlistener:bad]\ncommand={test_child} listen {dir}/bad.events fail\nevents=REMOTE_COMMUNICATION\nstartsecs=0\n\
         [eventlistener:good]\ncommand={test_child} listen {dir}/good.events ok\nevents=REMOTE_COMMUNICATION\nstartsecs=0\n",
    )?;
    let daemon = host.daemon()?;
    daemon.wait_state("bad", "RUNNING")?;
    let (pid, listener) = (daemon.pid(), daemon.pid_of("bad"));
    let before = proc::ticks(pid) + proc::ticks(listener);
    let begun = Instant::now();
    event(&host, "a")?;
    host.wait_file("bad.events", "type:a")?;
    // The pause of this pool does not delay the other pool.
    event(&host, "b")?;
    host.wait_file("good.events", "type:b")?;
    while begun.elapsed() < STORM {
        std::thread::sleep(Duration::from_millis(50));
    }
    let ticks = proc::ticks(pid) + proc::ticks(listener) - before;
    let deliveries = host.place.read("bad.events").matches("type:a").count();
    let log = host.place.read("log");
    let lines = log
        .lines()
        .filter(|line| line.contains("bad") || line.contains("event 0"))
        .count();
    // One at once, then after 50, 100, 200, 400, 800, 1600 and 3200 ms: a longer storm adds few more.
    let most = 10 + usize::try_from(begun.elapsed().as_secs() / 5).unwrap_or(usize::MAX);
    expect(
        (3..=most).contains(&deliveries),
        format!("{deliveries} deliveries in {:?}", begun.elapsed()),
    )?;
    expect(lines < 100, format!("{lines} lines of log"))?;
    expect(ticks < 50, format!("{ticks} ticks of CPU"))?;
    expect(
        !host.place.read("bad.events").contains("type:b"),
        "the second event has overtaken the first",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn order() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[eventlistener:l]\ncommand={test_child} listen {dir}/l.events fail,fail,fail,fail,fail,ok\nevents=REMOTE_COMMUNICATION\nstartsecs=0\n",
    )?;
    host.daemon()?.wait_state("l", "RUNNING")?;
    for kind in ["a", "b", "c"] {
        event(&host, kind)?;
    }
    host.wait_file("l.events", "type:c")?;
    let events = host.place.read("l.events");
    let kinds: String = events
        .lines()
        .filter_map(|line| line.strip_prefix("type:"))
        .collect();
    expect(kinds == "aaaaaabc", format!("the order is {kinds}"))?;
    let rejected = || {
        host.place
            .read("log")
            .matches("l: event was rejected")
            .count()
    };
    wait_for("five rejections", LIMIT, || rejected() == 5)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
