//! Data in transit to and from programs during an upgrade: events, captures, standard input, logs.

use std::fs;
use std::os::unix::fs::MetadataExt as _;

use super::upgrade;
use crate::host::Host;
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Value;
use crate::support::{LIMIT, wait_for};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("upgrade::events_keep_their_order", events),
        Trial::new("upgrade::a_rejected_event_is_delivered_again", rejected),
        Trial::new("upgrade::a_capture_continues_inside_a_token", captures),
        Trial::new("upgrade::queued_standard_input_is_kept", input),
        Trial::new("upgrade::logs_stay_the_same_files", logs),
    ]
}

/// The serials and the data of the events that a listener wrote to its file.
fn heard(host: &Host, name: &str) -> Vec<(u64, u64, String)> {
    let text = host.place.read(name);
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks(3)
        .filter_map(|event| {
            let [header, _, data] = event else {
                return None;
            };
            let field = |name: &str| {
                header
                    .split(' ')
                    .find_map(|token| token.strip_prefix(name)?.parse().ok())
            };
            Some((field("serial:")?, field("poolserial:")?, (*data).to_owned()))
        })
        .collect()
}

/// One event is in flight and fifty wait in the pool. Another pool has nothing to do.
fn events() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[eventlistener:ear]\ncommand={test_child} listen {dir}/ear.events wait:{dir}/go,ok\nevents=PROCESS_COMMUNICATION\n\
         buffer_size=1000\n\
         [eventlistener:idle]\ncommand={test_child} listen {dir}/idle.events ok\nevents=REMOTE_COMMUNICATION\n\
         [program:source]\ncommand={test_child} messages 500 1 {dir}/speak wait {dir}/more messages 500 1 {dir}/more forever\n\
         startsecs=0\nstdout_capture_maxbytes=1KB\nstdout_logfile=NONE\n",
    )?;
    for name in ["ear", "idle", "source"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    host.place.write("speak", "")?;
    wait_for("the first is in flight", LIMIT, || {
        heard(&host, "ear.events").len() == 1
    })?;
    for _ in 0..3 {
        upgrade(&host)?;
    }
    expect(
        heard(&host, "ear.events").len() == 1,
        "another came before the answer",
    )?;
    host.place.write("go", "")?;
    wait_for("all events of the first pool were delivered", LIMIT, || {
        heard(&host, "ear.events").len() >= 500
    })?;
    host.place.write("more", "")?;
    while heard(&host, "ear.events").len() < 1000 {
        upgrade(&host)?;
    }
    let all = heard(&host, "ear.events");
    let first = all[0].clone();
    for (place, (_, pool_serial, data)) in all.iter().enumerate() {
        expect(
            *pool_serial == first.1 + place as u64 && *data == (place % 500).to_string(),
            format!("{pool_serial} {data} at place {place}"),
        )?;
    }
    let rising = all.windows(2).all(|pair| pair[0].0 < pair[1].0);
    expect(rising, "serials do not rise")?;
    let params = [Value::Text("t".to_owned()), Value::Text("d".to_owned())];
    host.daemon()?
        .call("supervisor.sendRemoteCommEvent", &params)
        .map_err(|error| error.to_string())?;
    wait_for("the idle one hears", LIMIT, || {
        host.place
            .read("idle.events")
            .contains("REMOTE_COMMUNICATION")
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// An event that is rejected after the upgrade is sent again, before the events that came after it.
fn rejected() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[eventlistener:ear]\ncommand={test_child} listen {dir}/ear.events wait:{dir}/go,fail,ok\nevents=REMOTE_COMMUNICATION\n",
    )?;
    host.daemon()?.wait_state("ear", "RUNNING")?;
    for data in ["a", "b", "c"] {
        let params = [Value::Text("t".to_owned()), Value::Text(data.to_owned())];
        host.daemon()?
            .call("supervisor.sendRemoteCommEvent", &params)
            .map_err(|error| error.to_string())?;
    }
    wait_for("the first is in flight", LIMIT, || {
        heard(&host, "ear.events").len() == 1
    })?;
    upgrade(&host)?;
    host.place.write("go", "")?;
    wait_for("all events were delivered", LIMIT, || {
        heard(&host, "ear.events").len() == 4
    })?;
    upgrade(&host)?;
    let said: Vec<String> = heard(&host, "ear.events")
        .into_iter()
        .map(|event| event.2)
        .collect();
    expect(said == ["a", "b", "b", "c"], format!("{said:?}"))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn captures() -> Result<Outcome, String> {
    // The scanner holds back a possible beginning of a token, so more than one token's length must follow.
    let dots = ".".repeat(40);
    let config = "[eventlistener:ear]\ncommand={test_child} listen {dir}/ear.events ok\nevents=PROCESS_COMMUNICATION\n\
         [program:cut]\ncommand={test_child} part before<!--XSUPERVI wait {dir}/1 part SOR:BEGIN-->in wait {dir}/2 part side<!--XSUPERVISOR \
         wait {dir}/3 part :END-->after say {dots} forever\nstartsecs=0\nstdout_capture_maxbytes=1KB\nstdout_logfile={dir}/cut\n";
    let mut host = Host::start(&config.replace("{dots}", &dots))?;
    host.daemon()?.wait_state("ear", "RUNNING")?;
    host.daemon()?.wait_state("cut", "RUNNING")?;
    for step in ["1", "2", "3"] {
        // The text may be in the pipe or read already. Both must work.
        upgrade(&host)?;
        host.place.write(step, "")?;
    }
    wait_for("the event", LIMIT, || heard(&host, "ear.events").len() == 1)?;
    expect(
        heard(&host, "ear.events")[0].2 == "inside",
        host.place.read("ear.events"),
    )?;
    wait_for("the log", LIMIT, || {
        host.place.read("cut") == format!("beforeafter{dots}\n")
    })
    .map_err(|why| format!("{why}: {:?}", host.place.read("cut")))?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// More bytes than a pipe holds wait for a program that does not read yet.
fn input() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:echo]\ncommand={test_child} wait {dir}/go echo\nstartsecs=0\nautorestart=false\nstdout_logfile={dir}/echo\n\
         stdout_logfile_maxbytes=0\n",
    )?;
    host.daemon()?.wait_state("echo", "RUNNING")?;
    let text: String = (0..20_000).map(|number| format!("{number:08}\n")).collect();
    let chars = Value::Text(text.clone());
    host.daemon()?
        .call(
            "supervisor.sendProcessStdin",
            &[Value::Text("echo".to_owned()), chars],
        )
        .map_err(|error| error.to_string())?;
    for _ in 0..2 {
        upgrade(&host)?;
    }
    let params = [
        Value::Text("echo".to_owned()),
        Value::Text("last\n".to_owned()),
    ];
    host.daemon()?
        .call("supervisor.sendProcessStdin", &params)
        .map_err(|error| error.to_string())?;
    host.place.write("go", "")?;
    host.wait_file("echo", "last\n")?;
    expect(
        host.place.read("echo") == format!("{text}last\n"),
        "it differs",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// AUTO logs, rotated logs and a redirected stream continue where they were.
fn logs() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:auto]\ncommand={test_child} say one err two wait {dir}/go say three err four forever\nstartsecs=0\n\
         [program:both]\ncommand={test_child} say one err two wait {dir}/go say three err four forever\nstartsecs=0\n\
         redirect_stderr=true\nstdout_logfile={dir}/both\n\
         [program:turns]\ncommand={test_child} wait {dir}/go numbers 0 2000 forever\nstartsecs=0\nstdout_logfile={dir}/turns\n\
         stdout_logfile_maxbytes=5000\nstdout_logfile_backups=50\n",
    )?;
    let autos = || {
        let entries = fs::read_dir(host.place.path())
            .into_iter()
            .flatten()
            .flatten();
        let mut found: Vec<(String, u64)> = entries
            .filter_map(|entry| {
                let name = entry.file_name().into_string().ok()?;
                let inode = entry.metadata().ok()?.ino();
                name.starts_with("auto-").then_some((name, inode))
            })
            .collect();
        found.sort();
        found
    };
    let text = |name: &str| host.place.read(name);
    wait_for("the first words", LIMIT, || {
        let autos = autos();
        autos.len() == 2
            && autos.iter().all(|(name, _)| !text(name).is_empty())
            && text("both") == "one\ntwo\n"
    })?;
    let before = autos();
    upgrade(&host)?;
    host.place.write("go", "")?;
    wait_for("the other words", LIMIT, || {
        autos()
            .iter()
            .all(|(name, _)| text(name).lines().count() == 2)
            && text("both") == "one\ntwo\nthree\nfour\n"
    })
    .map_err(|why| format!("{why}: {:?}", text("both")))?;
    expect(autos() == before, format!("{:?} after {before:?}", autos()))?;
    upgrade(&host)?;
    let turned = || {
        let mut all: String = (1..=50)
            .rev()
            .map(|n| text(&format!("turns.{n}")))
            .collect();
        all.push_str(&text("turns"));
        all
    };
    wait_for("all numbers", LIMIT, || turned().lines().count() == 2000)?;
    let is_whole = turned()
        .lines()
        .enumerate()
        .all(|(n, line)| line.parse() == Ok(n));
    expect(is_whole, "numbers are missing or out of order")?;
    host.expect_ctl(&["tail", "auto"], 0, &["one\nthree\n"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
