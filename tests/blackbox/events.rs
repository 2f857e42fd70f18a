//! Many listeners and many events: the order is kept, lost events are counted, memory does not grow, and the daemon
//! answers meanwhile. `EVENTS_SECONDS=60` makes the test long. It prints its measurements.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::{expect, proc, wait_for};

const LISTENERS: usize = 200;
const RATE: u64 = 2000;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("events::two_hundred_listeners_keep_up", keep_up),
        Trial::new("events::a_hanging_pool_does_not_affect_others", hang),
    ]
}

fn seconds() -> u64 {
    std::env::var("EVENTS_SECONDS")
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(5)
}

/// The events that the listeners wrote, by pool serial: the daemon's serial and the message.
fn heard(host: &Host, count: usize) -> Result<BTreeMap<u64, (u64, u64)>, String> {
    let mut all = BTreeMap::new();
    for listener in 0..count {
        let text = host.place.read(&format!("{listener}.events"));
        let mut before = None;
        let mut lines = text.lines();
        while let (Some(header), Some(_names), Some(data)) =
            (lines.next(), lines.next(), lines.next())
        {
            let field = |name: &str| {
                header
                    .split(' ')
                    .find_map(|token| token.strip_prefix(name)?.parse::<u64>().ok())
                    .ok_or_else(|| format!("no {name} in {header:?}"))
            };
            let (serial, pool_serial) = (field("serial:")?, field("poolserial:")?);
            expect(
                before < Some(pool_serial),
                format!("listener {listener} got {pool_serial} after {before:?}"),
            )?;
            before = Some(pool_serial);
            let number = data
                .parse()
                .map_err(|_| format!("{data:?} is no message"))?;
            let twice = all.insert(pool_serial, (serial, number));
            expect(
                twice.is_none(),
                format!("event {pool_serial} was delivered twice"),
            )?;
        }
    }
    Ok(all)
}

fn keep_up() -> Result<Outcome, String> {
    let seconds = seconds();
    let total = RATE * seconds;
    let host = Host::start(&format!(
        "[eventlistener:l]\n\
         command={{test_child}} listen {{dir}}/%(process_num)d.events ok\n\
         process_name=l%(process_num)d\n\
         numprocs={LISTENERS}\n\
         events=PROCESS_COMMUNICATION\n\
         buffer_size=1000\n\
         startsecs=0\n\
         stdout_logfile=NONE\n\
         stderr_logfile=NONE\n\
         [program:source]\n\
         command={{test_child}} messages {RATE} {seconds} {{dir}}/go forever\n\
         startsecs=0\n\
         stdout_logfile=NONE\n\
         stdout_capture_maxbytes=1KB\n"
    ))?;
    let daemon = host.daemon.as_ref().ok_or("a daemon")?;
    wait_for("all listeners run", Duration::from_secs(60), || {
        host.place.read("log").matches("entered RUNNING").count() > LISTENERS
    })?;
    let before = proc::resident_kib(daemon.pid());
    host.place.write("go", "")?;
    let begin = Instant::now();
    let mut answers = Vec::new();
    while begin.elapsed() < Duration::from_secs(seconds) {
        let asked = Instant::now();
        daemon
            .call("supervisor.getState", &[])
            .map_err(|error| error.to_string())?;
        answers.push(asked.elapsed());
        std::thread::sleep(Duration::from_millis(20));
    }
    let lost = || host.place.read("log").matches("overflowed").count() as u64;
    let mut all = BTreeMap::new();
    wait_for(
        "every event is heard or counted",
        Duration::from_secs(60),
        || {
            all = heard(&host, LISTENERS).unwrap_or_default();
            all.len() as u64 + lost() >= total
        },
    )
    .map_err(|why| format!("{why}: {} of {total}, {} lost", all.len(), lost()))?;
    let all = heard(&host, LISTENERS)?;
    let lost = lost();
    expect(
        all.len() as u64 + lost == total,
        format!(
            "{} received and {lost} counted as lost of {total}",
            all.len()
        ),
    )?;
    // In the order of the pool, the messages and the daemon's serials ascend.
    let mut last = None;
    for (pool_serial, (serial, number)) in &all {
        expect(
            last < Some((*serial, *number)) && serial == pool_serial,
            format!("event {pool_serial} is {serial} with message {number}, after {last:?}"),
        )?;
        last = Some((*serial, *number));
    }
    let after = proc::resident_kib(daemon.pid());
    answers.sort_unstable();
    let at = |part: usize| answers[(answers.len() - 1) * part / 100];
    println!(
        "{total} events to {LISTENERS} listeners in {seconds} s: {lost} lost, resident {before} → {after} KiB, \
         getState {:?} median, {:?} 99th of {}, {:?} at most",
        at(50),
        at(99),
        answers.len(),
        at(100)
    );
    expect(
        after < before + 6 * 1024,
        format!("resident memory went from {before} to {after} KiB"),
    )?;
    Ok(Outcome::Passed)
}

/// One pool never answers, one writes garbage, one does not read. The fourth gets all events.
fn hang() -> Result<Outcome, String> {
    let pool = |name: &str, steps: &str| {
        format!(
            "[eventlistener:{name}]\ncommand={{test_child}} {steps}\nevents=PROCESS_COMMUNICATION\nbuffer_size=20000\nstartsecs=0\n\
             stdout_logfile=NONE\nstderr_logfile=NONE\n"
        )
    };
    let host = Host::start(&format!(
        "{}{}{}{}\
         [program:source]\n\
         command={{test_child}} messages 1000 3 {{dir}}/go forever\n\
         startsecs=0\n\
         stdout_logfile=NONE\n\
         stdout_capture_maxbytes=1KB\n",
        pool("hangs", "listen {dir}/h.events hang"),
        pool("babbles", "flood 300000000 forever"),
        pool("deaf", "say READY forever"),
        pool("good", "listen {dir}/0.events ok"),
    ))?;
    let daemon = host.daemon.as_ref().ok_or("a daemon")?;
    daemon.wait_state("good", "RUNNING")?;
    daemon.wait_state("deaf", "RUNNING")?;
    daemon.wait_state("source", "RUNNING")?;
    host.place.write("go", "")?;
    wait_for(
        "the good one hears everything",
        Duration::from_secs(60),
        || host.place.read("0.events").matches("eventname:").count() >= 3000,
    )?;
    let all = heard(&host, 1)?;
    let in_order = all.values().map(|(_, number)| *number).eq(0..3000);
    expect(in_order, "messages are missing or out of order")?;
    expect(
        host.place
            .read("log")
            .contains("babbles: has entered the UNKNOWN"),
        "the babbling one is not UNKNOWN",
    )?;
    Ok(Outcome::Passed)
}
