//! An upgrade as clients see it: no connection is refused, every request is answered or its connection ends, and the
//! gap is short. The test prints its measurements. `UPGRADE_PROGRAMS` sets the number of programs.

use std::io::ErrorKind;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use super::{expect_same, pids, upgrade};
use crate::host::{Host, free_port};
use crate::support::expect;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{self, Address, CallError, Connection, Value};
use crate::support::{LIMIT, wait_for};

/// The tests of this file.
pub(super) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("upgrade::no_connection_is_refused", crowd),
        Trial::new("upgrade::an_incomplete_request_delays_nothing", half),
        Trial::new("upgrade::a_waiting_client_gets_an_answer", waiting),
        Trial::new("upgrade::followed_logs_end", followed),
        Trial::new("upgrade::supervisorctl_prints_the_result", command_line),
    ]
}

const UPGRADES: usize = 10;

/// Results of requests.
#[derive(Debug, Default)]
struct Tally {
    answered: usize,
    /// A fault that asks the client to try again.
    put_off: usize,
    /// The connection ended before an answer.
    closed: usize,
    /// The same, by a reset.
    reset: usize,
    /// Anything else.
    wrong: Vec<String>,
    /// When each answer came.
    moments: Vec<Instant>,
}

impl Tally {
    fn count(&mut self, result: std::io::Result<Option<wire::Answer>>) {
        match result {
            Ok(Some(answer)) if answer.code() == 200 => {
                match wire::parse(&String::from_utf8_lossy(&answer.body)) {
                    Ok(Value::Struct(_)) => {
                        self.answered += 1;
                        self.moments.push(Instant::now());
                    }
                    Err(CallError::Fault(30, text)) if text.contains("try again in a moment") => {
                        self.put_off += 1;
                    }
                    other => self.wrong.push(format!("{other:?}")),
                }
            }
            Ok(Some(answer)) => self.wrong.push(answer.status),
            Ok(None) => self.closed += 1,
            Err(error)
                if matches!(
                    error.kind(),
                    ErrorKind::ConnectionReset | ErrorKind::BrokenPipe
                ) =>
            {
                self.reset += 1;
            }
            Err(error) => self.wrong.push(format!("{:?} {error}", error.kind())),
        }
    }
}

fn crowd() -> Result<Outcome, String> {
    let programs = std::env::var("UPGRADE_PROGRAMS")
        .ok()
        .and_then(|text| text.parse::<usize>().ok())
        .unwrap_or(5);
    let port = free_port()?;
    let mut host = Host::start(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\n[program:p]\ncommand=/bin/sleep 100000\nprocess_name=p%(process_num)d\n\
         numprocs={programs}\nstartsecs=0\n"
    ))?;
    wait_for("all run", LIMIT, || {
        pids(&host).is_ok_and(|pids| pids.len() == programs && pids.values().all(|&pid| pid != 0))
    })?;
    let before = pids(&host)?;
    let body = wire::body("supervisor.getState", &[]);
    let addresses = [Address::Unix(host.place.join("s")), Address::Port(port)];
    let (over, total) = (AtomicBool::new(false), Mutex::new(Tally::default()));
    let upgraded = std::thread::scope(|scope| {
        for address in addresses.iter().cycle().take(4) {
            let (over, total, body) = (&over, &total, &body);
            scope.spawn(move || {
                let mut tally = Tally::default();
                while !over.load(Ordering::Relaxed) {
                    tally.count(wire::post(address, body.as_bytes(), "", LIMIT));
                }
                let mut total = total.lock().expect("no thread panics");
                total.answered += tally.answered;
                total.put_off += tally.put_off;
                total.closed += tally.closed;
                total.reset += tally.reset;
                total.wrong.extend(tally.wrong);
                total.moments.extend(tally.moments);
            });
        }
        let upgraded = (0..UPGRADES).try_for_each(|_| upgrade(&host));
        over.store(true, Ordering::Relaxed);
        upgraded
    });
    upgraded?;
    let mut total = total.into_inner().map_err(|error| error.to_string())?;
    total.moments.sort();
    let gap = total
        .moments
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .max()
        .unwrap_or_default();
    println!(
        "upgrade: {UPGRADES} under {programs} programs: {} answered, {} put off, {} closed, {} reset, longest gap {gap:?}",
        total.answered, total.put_off, total.closed, total.reset
    );
    expect(total.wrong.is_empty(), format!("{:?}", total.wrong))?;
    // Connections accepted in the last moment, one or two for each thread and upgrade.
    expect(
        total.put_off + total.closed + total.reset <= UPGRADES * 8,
        format!(
            "too many were cut off: {:?}",
            (total.put_off, total.closed, total.reset)
        ),
    )?;
    // `half` tests that a request in flight does not delay the upgrade, and compares it with one without.
    expect_same(&host, &before)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A client that has sent half a request, and one that does not read its answer.
fn half() -> Result<Outcome, String> {
    let mut host = Host::start("[program:one]\ncommand={test_child} forever\nstartsecs=0\n")?;
    host.daemon()?.wait_state("one", "RUNNING")?;
    let address = host.daemon()?.address.clone();
    let open = |bytes: &[u8]| {
        let mut client = Connection::open(&address).map_err(|error| error.to_string())?;
        client.send(bytes).map_err(|error| error.to_string())?;
        Ok::<_, String>(client)
    };
    let moment = |line: &str| {
        let log = host.place.read("log");
        let mut lines = log.lines();
        let line = lines.rfind(|at| at.contains(line)).unwrap_or_default();
        // 2026-11-28 05:27:06,481
        let clock = line.get(11..23).unwrap_or_default().replace(',', ":");
        let parts: Vec<u64> = clock
            .split(':')
            .filter_map(|part| part.parse().ok())
            .collect();
        match parts.as_slice() {
            [hours, minutes, seconds, millis] => {
                Ok(((hours * 60 + minutes) * 60 + seconds) * 1000 + millis)
            }
            _ => Err(format!("no time in {line:?}")),
        }
    };
    // Duration of an upgrade in milliseconds, from the daemon's own log.
    let upgraded = || {
        upgrade(&host)?;
        Ok::<_, String>(moment("re-executed: version")?.saturating_sub(moment("re-executing ")?))
    };
    let (mut without, mut with) = (Vec::new(), Vec::new());
    // In turn, so that a busy moment of the machine affects both.
    for _ in 0..3 {
        without.push(upgraded()?);
        let mut clients = [
            open(b"")?,
            open(b"POST /RPC2 HTT")?,
            open(b"POST /RPC2 HTTP/1.1\r\nHost: localhost\r\nContent-Type: text/xml\r\nContent-Length: 1000\r\n\r\n<?xml")?,
        ];
        with.push(upgraded()?);
        for client in &mut clients {
            expect(client.is_closed_within(LIMIT), "a connection is left open")?;
        }
    }
    println!("upgrades took {without:?} ms, with unfinished requests {with:?} ms");
    // An upgrade that waits for such a request takes the whole second that a request gets.
    expect(
        with.iter().min() < without.iter().min().map(|least| least + 900).as_ref(),
        format!("{without:?} ms without, {with:?} ms with unfinished requests"),
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// A client that waits for a slow start gets one line, which says to try again. The start continues.
fn waiting() -> Result<Outcome, String> {
    let mut host = Host::start(
        "[program:slow]\ncommand={test_child} forever\nstartsecs=25\nautostart=false\n\
         [program:mule]\ncommand={test_child} ignore TERM forever\nstartsecs=0\nstopwaitsecs=25\n",
    )?;
    host.daemon()?.wait_state("mule", "RUNNING")?;
    let (started, stopped) = std::thread::scope(|scope| {
        let start = scope.spawn(|| host.ctl(&["start", "slow"]));
        let stop = scope.spawn(|| host.ctl(&["stop", "mule"]));
        let begun = host
            .daemon()
            .and_then(|daemon| daemon.wait_state("slow", "STARTING"))
            .and_then(|()| host.daemon()?.wait_state("mule", "STOPPING"));
        let upgraded = begun.and_then(|()| upgrade(&host));
        let join = |thread: std::thread::ScopedJoinHandle<'_, _>| {
            thread.join().map_err(|_| "a panic".to_owned())?
        };
        upgraded.and_then(|()| Ok::<_, String>((join(start)?, join(stop)?)))
    })?;
    for (name, done) in [("slow", started), ("mule", stopped)] {
        let said = format!("{}{}", done.stdout, done.stderr);
        expect(
            done.code == 1
                && said.lines().count() == 1
                && said.contains("the daemon is being re-executed (try again in a moment)"),
            format!("{name}: {done:?}"),
        )?;
    }
    expect(
        host.daemon()?.state("slow") == "STARTING",
        "not starting any more",
    )?;
    expect(
        host.daemon()?.state("mule") == "STOPPING",
        "not stopping any more",
    )?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

/// `tail -f` and the page's event stream end. A client can open them again at once.
fn followed() -> Result<Outcome, String> {
    let port = free_port()?;
    let mut host = Host::start(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\n[program:one]\ncommand={{test_child}} say hello forever\nstartsecs=0\n\
         stdout_logfile={{dir}}/one\n"
    ))?;
    host.daemon()?.wait_state("one", "RUNNING")?;
    host.wait_file("one", "hello")?;
    let address = Address::Port(port);
    let mut streams = Vec::new();
    for path in ["/logtail/one", "/mainlogtail"] {
        let mut client = Connection::open(&address).map_err(|error| error.to_string())?;
        client
            .send(format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n").as_bytes())
            .map_err(|error| error.to_string())?;
        let head = client.read_until(b"\n", LIMIT);
        expect(!head.is_empty(), format!("{path} sends nothing"))?;
        streams.push((path, client));
    }
    let tail = std::thread::scope(|scope| {
        let tail = scope.spawn(|| host.ctl(&["tail", "-f", "one"]));
        // It has been answered by then.
        let output = || {
            let files = std::fs::read_dir(host.place.path()).into_iter().flatten();
            let names = files.filter_map(|file| file.ok()?.file_name().into_string().ok());
            names
                .filter(|name| name.starts_with(".out"))
                .map(|name| host.place.read(&name))
                .collect::<String>()
        };
        let upgraded = wait_for("tail has printed the log", LIMIT, || {
            output().contains("hello")
        })
        .and_then(|()| upgrade(&host));
        let tail = tail.join().map_err(|_| "a panic".to_owned())?;
        upgraded.and(tail)
    })?;
    expect(
        tail.stdout.contains("hello") && tail.stderr.is_empty() && tail.stdout.lines().count() <= 4,
        format!("{tail:?}"),
    )?;
    for (path, client) in &mut streams {
        expect(
            client.is_closed_within(LIMIT),
            format!("{path} is left open"),
        )?;
    }
    host.expect_ctl(&["tail", "one"], 0, &["hello"])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn command_line() -> Result<Outcome, String> {
    let mut host = Host::start("[program:one]\ncommand={test_child} forever\nstartsecs=0\n")?;
    host.daemon()?.wait_state("one", "RUNNING")?;
    let before = super::generation(&host)?;
    host.expect_ctl(
        &["help", "upgrade"],
        0,
        &["upgrade\t", "Re-execute the daemon"],
    )?;
    host.expect_ctl(
        &["upgrade", "x"],
        2,
        &["Error: upgrade accepts no arguments\nupgrade\t"],
    )?;
    expect(super::generation(&host)? == before, "it was upgraded")?;
    let done = host.ctl(&["upgrade"])?;
    expect(
        done.code == 0 && done.stderr.is_empty() && done.stdout.lines().count() == 1,
        format!("{done:?}"),
    )?;
    host.expect_ctl(&["version"], 0, &[])?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
