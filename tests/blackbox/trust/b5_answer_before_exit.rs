//! A daemon that is PID 1 of a container exits after the client that requested it has printed the answer. When PID 1
//! exits, the kernel kills all processes in the namespace.

use crate::namespace::{container, exec};
use crate::support::daemon::{Side, oracle};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, is_root, wait_for};

/// Containers that each client shuts down. All shutdowns must succeed.
const TIMES: usize = 20;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::b5_pid_1_answers_our_client_before_it_exits", || {
            many(Side::Ours, false)
        }),
        Trial::new("trust::b5_pid_1_answers_over_tcp_before_it_exits", || {
            many(Side::Ours, true)
        }),
        Trial::new(
            "trust::b5_pid_1_answers_the_reference_client_over_tcp_before_it_exits",
            || match oracle() {
                None => Ok(Outcome::Skipped("SUPERVISOR_ORACLE is not set".to_owned())),
                Some(_) => many(Side::Reference, true),
            },
        ),
        Trial::new(
            "trust::b5_pid_1_answers_the_reference_client_before_it_exits",
            || match oracle() {
                None => Ok(Outcome::Skipped("SUPERVISOR_ORACLE is not set".to_owned())),
                Some(_) => many(Side::Reference, false),
            },
        ),
        Trial::new(
            "trust::b5_pid_1_finishes_the_answers_of_other_clients",
            answers_of_others,
        ),
    ]
}

fn skipped(why: &str) -> Outcome {
    Outcome::Skipped(why.to_owned())
}

fn many(side: Side, tcp: bool) -> Result<Outcome, String> {
    if !is_root() {
        return Ok(skipped("a PID namespace needs root"));
    }
    for number in 1..=TIMES {
        let port = std::net::TcpListener::bind("127.0.0.1:0")
            .and_then(|listener| listener.local_addr())
            .map_err(|error| error.to_string())?
            .port();
        let server = format!("http://127.0.0.1:{port}");
        let args: &[&str] = match tcp {
            true => &["-s", &server, "shutdown"],
            false => &["shutdown"],
        };
        let config = format!("[inet_http_server]\nport=127.0.0.1:{port}\n");
        let Some((mut host, inside)) = container(&config)? else {
            return Ok(skipped("this machine allows no PID namespaces"));
        };
        let got = exec(&host, inside, side, args)?;
        expect(
            got.code == 0 && got.stdout == "Shut down\n",
            format!("shutdown {number} of {TIMES}: {got:?}"),
        )?;
        let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
        expect(code == 0, format!("PID 1 ended with {code}"))?;
    }
    Ok(Outcome::Passed)
}

/// A client that waits for a start gets its answer when another client shuts the daemon down.
fn answers_of_others() -> Result<Outcome, String> {
    if !is_root() {
        return Ok(skipped("a PID namespace needs root"));
    }
    let config = "[program:slow]\ncommand={test_child} forever\nstartsecs=60\nautostart=false\n";
    let Some((mut host, inside)) = container(config)? else {
        return Ok(skipped("this machine allows no PID namespaces"));
    };
    let got = std::thread::scope(|scope| {
        let waiting = scope.spawn(|| exec(&host, inside, Side::Ours, &["start", "slow"]));
        let asked = wait_for("slow is starting", LIMIT, || {
            host.daemon()
                .is_ok_and(|daemon| daemon.state("slow") == "STARTING")
        })
        .and_then(|()| exec(&host, inside, Side::Ours, &["shutdown"]));
        let waited = waiting
            .join()
            .unwrap_or_else(|_| Err("the client panicked".to_owned()));
        Ok::<_, String>((asked?, waited?))
    })?;
    let (asked, waited) = got;
    expect(
        asked.code == 0 && asked.stdout == "Shut down\n",
        format!("{asked:?}"),
    )?;
    expect(
        waited.code > 0 && waited.code < 128 && !waited.stdout.is_empty(),
        format!("{waited:?}"),
    )?;
    let code = host.daemon.as_mut().ok_or("none")?.wait_exit(LIMIT)?;
    expect(code == 0, format!("PID 1 ended with {code}"))?;
    Ok(Outcome::Passed)
}
