//! Answers to wrong passwords take longer and longer, and write few lines. The right password is answered at once.

use std::net::TcpListener;
use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::host::Host;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Connection};
use crate::support::{LIMIT, expect};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("trust::a4_wrong_passwords_on_a_port_are_delayed", || {
            let socket = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
            let port = socket.local_addr().map_err(|error| error.to_string())?;
            let port = port.port();
            drop(socket);
            let host = Host::new(&format!(
                "[inet_http_server]\nport=127.0.0.1:{port}\n{SECRET}"
            ))?;
            guesses(host, &Address::Port(port), "127.0.0.1")
        }),
        Trial::new(
            "trust::a4_wrong_passwords_on_a_unix_socket_are_delayed",
            || {
                let host = Host::new(&format!("[unix_http_server]\n{SECRET}"))?;
                let address = Address::Unix(host.place.join("s"));
                let uid = nix::unistd::geteuid();
                guesses(host, &address, &format!("uid {uid}"))
            },
        ),
    ]
}

const SECRET: &str = "username=u\npassword=right\n";

/// Guesses for some seconds over several connections at once.
fn guesses(mut host: Host, address: &Address, peer: &str) -> Result<Outcome, String> {
    const CLIENTS: usize = 8;
    const TIME: Duration = Duration::from_secs(4);
    host.go()?;
    // One typing error costs nothing.
    let begin = Instant::now();
    expect(ask(address, "u:wrogn")? == 401, "a wrong password")?;
    expect(ask(address, "u:right")? == 200, "the right one")?;
    println!("a typing error took {:?}", begin.elapsed());
    let (guesses, over) = (AtomicU32::new(0), AtomicBool::new(false));
    std::thread::scope(|scope| {
        for _ in 0..CLIENTS {
            scope.spawn(|| {
                while !over.load(Ordering::Relaxed) {
                    if ask(address, "u:wrong").is_ok() {
                        guesses.fetch_add(1, Ordering::Relaxed);
                    }
                }
            });
        }
        let end = Instant::now() + TIME;
        let mut slowest = Duration::ZERO;
        let mut result = Ok(());
        // The right password works from the same address.
        while Instant::now() < end && result.is_ok() {
            let begin = Instant::now();
            result =
                ask(address, "u:right").and_then(|code| expect(code == 200, format!("{code}")));
            slowest = slowest.max(begin.elapsed());
            std::thread::sleep(Duration::from_millis(500));
        }
        over.store(true, Ordering::Relaxed);
        println!("the right password took {slowest:?} at most");
        result
    })?;
    let guesses = guesses.into_inner();
    println!("{guesses} guesses");
    expect(guesses < 200, format!("{guesses} guesses in {TIME:?}"))?;
    let daemon = host.daemon.as_mut().ok_or("a daemon")?;
    daemon.signal(Signal::SIGTERM);
    daemon.wait_exit(LIMIT)?;
    let log = host.place.read("log");
    let first = format!(" WARN wrong user name or password from {peer}\n");
    let rest = format!(" more wrong user names or passwords from {peer}\n");
    expect(
        log.matches(&first).count() == 1 && log.matches(&rest).count() == 1,
        log.clone(),
    )?;
    expect(!log.contains("wrogn"), "a password is in the log")?;
    Ok(Outcome::Passed)
}

/// The status of a request with this name and password.
fn ask(address: &Address, credentials: &str) -> Result<u16, String> {
    use base64::Engine as _;
    let encoded = base64::engine::general_purpose::STANDARD.encode(credentials);
    let mut connection = Connection::open(address).map_err(|error| error.to_string())?;
    let request = format!("GET /ok.html HTTP/1.0\r\nAuthorization: Basic {encoded}\r\n\r\n");
    connection
        .send(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let answer = connection.answer().map_err(|error| error.to_string())?;
    Ok(answer.ok_or("no answer")?.code())
}
