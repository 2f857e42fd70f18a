//! Multivisor, unchanged: its event listener, and its server, which shows and controls the programs.

use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value as Json;

use crate::host::{Host, free_port};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![Trial::new(
        "multivisor::m06_its_listener_connects_and_shows_state_changes",
        shows,
    )]
}

/// The directory of Multivisor's programs, which `tests/run` installs. `None`: they are missing.
fn programs() -> Option<PathBuf> {
    let bin = Path::new(env!("CARGO_MANIFEST_DIR")).join("target/multivisor/bin");
    ["multivisor", "multivisor-rpc"]
        .iter()
        .all(|name| bin.join(name).exists())
        .then_some(bin)
}

/// Sends a request to Multivisor's server. Returns the body of a good answer.
fn ask(port: u16, method: &str, path: &str, form: &str) -> Option<String> {
    let mut stream = TcpStream::connect(("127.0.0.1", port)).ok()?;
    stream
        .set_read_timeout(Some(Duration::from_secs(10)))
        .ok()?;
    write!(
        stream,
        "{method} {path} HTTP/1.0\r\nHost: localhost\r\nContent-Type: application/x-www-form-urlencoded\r\n\
         Content-Length: {}\r\n\r\n{form}",
        form.len()
    )
    .ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    let (head, body) = answer.split_once("\r\n\r\n")?;
    let is_good = head.split(' ').nth(1) == Some("200");
    is_good.then(|| body.to_owned())
}

/// What the server knows of the program. It asks once; afterwards it knows only what events told it.
fn known(port: u16) -> Option<Json> {
    let data: Json = serde_json::from_str(&ask(port, "GET", "/api/data", "")?).ok()?;
    let process = &data["supervisors"]["here"]["processes"]["here:web:web"];
    process.is_object().then(|| process.clone())
}

fn shows() -> Result<Outcome, String> {
    let Some(bin) = programs() else {
        return Ok(Outcome::Skipped("multivisor is not installed".to_owned()));
    };
    let (port, rpc) = (free_port()?, free_port()?);
    let bin = bin.display();
    let mut host = Host::new(&format!(
        "[eventlistener:multivisor-rpc]\ncommand={bin}/multivisor-rpc --bind 127.0.0.1:{rpc}\n\
         events=PROCESS_STATE,SUPERVISOR_STATE_CHANGE\nstderr_logfile={{dir}}/rpc.err\n\
         [program:multivisor]\ncommand={bin}/multivisor -c {{dir}}/multivisor.conf --bind 127.0.0.1:{port}\n\
         redirect_stderr=true\nstdout_logfile={{dir}}/multivisor.log\n\
         [program:web]\ncommand={{test_child}} say hello forever\nstartsecs=0\nstdout_logfile={{dir}}/web.log\n"
    ))?;
    host.place.write(
        "multivisor.conf",
        &format!("[global]\nname=all\n[supervisor:here]\nurl=127.0.0.1:{rpc}\n"),
    )?;
    host.go()?;
    let waits = |what: &str, is_so: &dyn Fn(&Json) -> bool| {
        let shown = |name: &str| format!("{name}:\n{}", host.place.read(name));
        let mut last = None;
        wait_for(what, 2 * LIMIT, || {
            last = known(port);
            last.as_ref().is_some_and(is_so)
        })
        .map_err(|why| {
            let logs = [shown("rpc.err"), shown("multivisor.log"), shown("log")];
            format!("{why}: {last:?}\n{}", logs.concat())
        })
    };
    let pid = |host: &Host| host.daemon().map_or(0, |daemon| daemon.pid_of("web"));
    let runs = |host: &Host, state: &Json| {
        state["statename"] == "RUNNING" && state["pid"] == pid(host) && pid(host) != 0
    };
    waits("it is connected", &|state| runs(&host, state))?;
    wait_for("its listener has a client", LIMIT, || {
        host.place
            .read("rpc.err")
            .contains("client connected to stream")
    })?;
    host.expect_ctl(&["stop", "web"], 0, &["web: stopped"])?;
    waits("STOPPED", &|state| state["statename"] == "STOPPED")?;
    host.expect_ctl(&["start", "web"], 0, &["web: started"])?;
    waits("RUNNING", &|state| runs(&host, state))?;
    // Its buttons act too.
    let before = pid(&host);
    let done = ask(port, "POST", "/api/process/restart", "uid=here:web:web");
    expect(done.as_deref() == Some("OK"), format!("restart: {done:?}"))?;
    wait_for("another process", LIMIT, || {
        ![0, before].contains(&pid(&host))
    })?;
    waits("RUNNING again", &|state| runs(&host, state))?;
    // The listener's client of Supervisor opens one connection for ever, and an upgrade ends that, as the guide says.
    host.expect_ctl(&["upgrade"], 0, &["Upgraded supervisord, now "])?;
    host.expect_ctl(&["restart", "multivisor-rpc"], 0, &["started"])?;
    host.expect_ctl(&["stop", "web"], 0, &["web: stopped"])?;
    waits("STOPPED after an upgrade", &|state| {
        state["statename"] == "STOPPED"
    })?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}
