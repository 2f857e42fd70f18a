//! `/healthz`, `/readyz` and `supervisord healthcheck`.

use serde_json::{Value, json};

use crate::host::{Host, free_port};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, wait_for};
use crate::web_client::fetch;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "health::t10_one_program_that_is_not_running_is_not_ready",
            readiness,
        ),
        Trial::new("health::t10_names_are_for_who_may_read", secrets),
        Trial::new("health::t10_probes_work_while_the_daemon_stops", stopping),
    ]
}

/// The status and the body of a probe.
fn probe(address: &Address, path: &str, headers: &str) -> Result<(u16, Value), String> {
    let answer = fetch(address, "GET", path, headers, "")?;
    expect(
        answer.header("content-type") == Some("application/json"),
        format!("{answer:?}"),
    )?;
    let body = serde_json::from_slice(&answer.body).map_err(|error| error.to_string())?;
    Ok((answer.code(), body))
}

fn readiness() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:web]\ncommand={test_child} forever\nstartsecs=0\n\
         [program:job]\ncommand=/bin/true\nautorestart=false\nstartsecs=0\n\
         [program:sick]\ncommand={test_child} forever\nstartsecs=0\nhealth_command=/usr/bin/test -e {dir}/well\n\
         health_interval=1\nhealth_retries=1\non_unhealthy=none\n\
         [program:off]\ncommand=/bin/false\nautostart=false\n",
    )?;
    let address = host.daemon()?.address.clone();
    let check = |code: i32, part: &str| {
        let got = host.run(&["healthcheck", "-c", "conf"])?;
        expect(
            got.code == code && got.stdout.contains(part),
            format!("expected {code} {part}: {got:?}"),
        )
    };
    host.daemon()?.wait_state("web", "RUNNING")?;
    host.daemon()?.wait_state("job", "EXITED")?;
    let is = |code, body: &Value| {
        probe(&address, "/readyz", "").is_ok_and(|got| got == (code, body.clone()))
    };
    let late = |name: &str, state: &str, health: &str| {
        let name = json!({"group": name, "name": name, "state": state, "health": health});
        json!({"status": "not ready", "processes": 3, "not_ready": 1, "names": [name]})
    };
    wait_for("sick is unhealthy", LIMIT, || {
        is(503, &late("sick", "RUNNING", "unhealthy"))
    })?;
    check(1, "\"sick\"")?;
    host.place.write("well", "")?;
    let ready = json!({"status": "ready", "processes": 3, "not_ready": 0, "names": []});
    wait_for("all are ready", LIMIT, || is(200, &ready))?;
    check(0, "ready")?;
    host.expect_ctl(&["stop", "web"], 0, &["stopped"])?;
    expect(
        is(503, &late("web", "STOPPED", "none")),
        format!("{:?}", probe(&address, "/readyz", "")),
    )?;
    check(1, "\"web\"")?;
    // The daemon itself is well.
    let (code, body) = probe(&address, "/healthz", "")?;
    expect(
        (code, &body) == (200, &json!({"status": "ok", "state": "RUNNING"})),
        format!("{code} {body}"),
    )?;
    for path in ["/healthz", "/readyz"] {
        let get = fetch(&address, "GET", path, "", "")?;
        let answer = fetch(&address, "HEAD", path, "", "")?;
        expect(
            answer.code() == get.code()
                && answer.body.is_empty()
                && answer.header("content-length") == get.header("content-length"),
            format!("{answer:?}"),
        )?;
        let answer = fetch(&address, "POST", path, "", "")?;
        expect(
            answer.code() == 405 && answer.header("allow") == Some("GET, HEAD"),
            format!("{answer:?}"),
        )?;
    }
    let got = host.run(&[
        "healthcheck",
        "-s",
        &format!("unix://{}/none", host.place.text()),
    ])?;
    expect(
        got.code == 1 && got.stderr.contains("/none: "),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn secrets() -> Result<Outcome, String> {
    let port = free_port()?;
    let host = Host::start(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\nusername=u\npassword=p\n\
         [program:secret]\ncommand=/bin/false\nstartsecs=0\nstartretries=0\n",
    ))?;
    host.daemon()?
        .wait_state("secret", "EXITED")
        .or_else(|_| host.daemon()?.wait_state("secret", "FATAL"))?;
    let address = Address::Port(port);
    let (code, body) = probe(&address, "/readyz", "")?;
    expect(
        (code, &body)
            == (
                503,
                &json!({"status": "not ready", "processes": 1, "not_ready": 1}),
            ),
        format!("{code} {body}"),
    )?;
    expect(probe(&address, "/healthz", "")?.0 == 200, "not alive")?;
    let (code, body) = probe(&address, "/readyz", "Authorization: Basic dTpw\r\n")?;
    expect(
        code == 503 && body["names"][0]["name"] == "secret",
        format!("{code} {body}"),
    )?;
    // A wrong password is one, here too.
    for path in ["/healthz", "/readyz"] {
        let answer = fetch(&address, "GET", path, "Authorization: Basic dTpx\r\n", "")?;
        expect(answer.code() == 401, format!("{answer:?}"))?;
    }
    host.wait_file("log", "wrong user name or password from 127.0.0.1")?;
    let url = format!("http://127.0.0.1:{port}");
    let got = host.run(&["healthcheck", "-s", &url])?;
    expect(
        got.code == 1 && got.stdout.contains("\"not_ready\":1"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn stopping() -> Result<Outcome, String> {
    let host = Host::start(
        "[program:slow]\ncommand=/bin/sh -c \"trap '' TERM; while :; do sleep 0.1; done\"\nstopwaitsecs=60\nstartsecs=1\n\
         stopasgroup=true\nkillasgroup=true\n",
    )?;
    let address = host.daemon()?.address.clone();
    host.daemon()?.wait_state("slow", "RUNNING")?;
    host.expect_ctl(&["shutdown"], 0, &["Shut down"])?;
    wait_for("it stops", LIMIT, || {
        probe(&address, "/readyz", "")
            .is_ok_and(|(code, body)| code == 503 && body["status"] == "stopping")
    })?;
    let (code, body) = probe(&address, "/healthz", "")?;
    expect(
        (code, &body) == (200, &json!({"status": "stopping"})),
        format!("{code} {body}"),
    )?;
    Ok(Outcome::Passed)
}
