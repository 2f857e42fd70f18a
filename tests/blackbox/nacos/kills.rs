//! A daemon that is killed at random moments beside publishes.
//!
//! What it proves: whatever the moment, the file of the snapshot is a whole text that was published, its `.meta` file knows it,
//! and the next daemon has every program of the newest text. The moments are spread over the time in which a change is read,
//! applied and stored. Within the few writes of one snapshot they are rare here; the unit test of `source::snapshot` kills
//! a process that does nothing else.
//!
//! `KILLS=full` makes 200 rounds of 12.

use std::time::Duration;

use nix::sys::signal::Signal;

use super::{DATAID, GROUP, Pair, programs};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

pub(super) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "nacos::kills_beside_publishes_leave_whole_snapshots",
        killed_at_random,
    )]
}

const PROGRAMS: usize = 100;

/// A number below `limit`, from the time: the moments must differ, not be fair.
fn below(limit: u64) -> u64 {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let nanos = now.map_or(0, |time| u64::from(time.subsec_nanos()));
    nanos.wrapping_mul(0x9e37_79b9_7f4a_7c15) % limit
}

fn killed_at_random() -> Result<Outcome, String> {
    let is_full = std::env::var("KILLS").is_ok_and(|word| word == "full");
    let rounds = if is_full { 200 } else { 12 };
    let names: Vec<String> = (0..PROGRAMS).map(|number| format!("p{number}")).collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    let text_of = |round: usize| {
        // Texts of other lengths, so that a mixture has the length of neither.
        let comment = format!("; round {round}\n").repeat(1 + round * 37 % 101);
        let turn = format!("[program:p0]\nenvironment=TURN=\"{round}\"\n");
        format!("{comment}{}{turn}{comment}", programs(&names))
    };
    let mut pair = Pair::started(&text_of(0), "")?;
    wait_for("the snapshot", LIMIT, || !pair.snapshot().is_empty())?;
    let mut published = vec![text_of(0)];
    let mut stored_anew = 0;
    for round in 1..=rounds {
        let before = pair.snapshot();
        pair.publish(&text_of(round));
        published.push(text_of(round));
        std::thread::sleep(Duration::from_millis(below(1200)));
        pair.end(Signal::SIGKILL)?;
        let found = pair.snapshot();
        stored_anew += usize::from(found != before);
        expect(
            published.contains(&found),
            format!("round {round}: the snapshot is no text that was published: {found:.200}"),
        )?;
        let name = format!("cache/public@@{GROUP}@@{DATAID}.meta");
        let meta = pair.host.place.read(&name);
        let known: serde_json::Value = serde_json::from_str(&meta)
            .map_err(|error| format!("round {round}: {error}: {meta}"))?;
        let md5 = crate::support::nacos::md5_of(&found);
        let texts = known.as_array().map(Vec::as_slice).unwrap_or_default();
        expect(
            texts.iter().any(|text| text["md5"] == md5.as_str()),
            format!("round {round}: {meta} does not know {md5}"),
        )?;
        // Half of the starts have the snapshot only.
        if round % 2 == 0 {
            pair.stub.stop();
        }
        pair.go()?;
        if round % 2 == 0 {
            pair.stub.restart()?;
        }
        let daemon = pair.host.daemon()?;
        let wanted = format!("TURN={round}");
        wait_for(
            &format!("round {round}: the newest text is in force"),
            LIMIT,
            || {
                let states = pair.states().unwrap_or_default();
                let running = states.lines().filter(|line| line.contains("RUNNING"));
                let environment = format!("/proc/{}/environ", daemon.pid_of("p0"));
                let environment = std::fs::read(environment).unwrap_or_default();
                let mut variables = environment.split(|byte| *byte == 0);
                running.count() == PROGRAMS && variables.any(|it| it == wanted.as_bytes())
            },
        )?;
    }
    eprintln!("{rounds} kills; the snapshot was replaced before {stored_anew} of them");
    Ok(Outcome::Passed)
}
