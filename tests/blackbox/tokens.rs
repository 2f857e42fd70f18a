//! `tokens_file=`, and `allow=` of a TCP server.

use crate::host::{Host, free_port};
use crate::support::daemon::Finished;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::Address;
use crate::support::{LIMIT, expect, wait_for};
use crate::web_client::{call, fetch};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("tokens::each_token_does_what_its_line_says", permissions),
        Trial::new("tokens::a_changed_file_counts_at_once", changes),
        Trial::new("tokens::a_file_that_others_can_read_is_refused", refusals),
        Trial::new("tokens::a_token_on_a_unix_socket", unix),
    ]
}

/// Makes a token with the command: its line, and the token.
fn make(host: &Host, words: &[&str]) -> Result<(String, String), String> {
    let args: Vec<&str> = std::iter::once("token")
        .chain(words.iter().copied())
        .collect();
    let Finished {
        code,
        stdout,
        stderr,
        ..
    } = host.run(&args)?;
    expect(code == 0, format!("token {words:?}: {stdout}{stderr}"))?;
    Ok((stdout, stderr.trim().to_owned()))
}

/// Writes the tokens file with this mode.
fn write(host: &Host, text: &str, mode: u32) -> Result<(), String> {
    use std::os::unix::fs::PermissionsExt as _;
    let path = host.place.join("tokens");
    let set = |mode| {
        let mode = std::fs::Permissions::from_mode(mode);
        std::fs::set_permissions(&path, mode).map_err(|error| error.to_string())
    };
    if path.exists() {
        set(0o600)?;
    }
    host.place.write("tokens", text)?;
    set(mode)
}

/// Starts a daemon with a TCP server that has these keys.
fn serve(host: &mut Host, keys: &str) -> Result<Address, String> {
    let port = free_port()?;
    host.configure(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\n{keys}\n\
         [program:web]\ncommand={{test_child}} forever\nstartsecs=0\n\
         [program:other]\ncommand={{test_child}} forever\nstartsecs=0\n"
    ))?;
    host.go()?;
    for name in ["web", "other"] {
        host.daemon()?.wait_state(name, "RUNNING")?;
    }
    Ok(Address::Port(port))
}

fn bearer(token: &str) -> String {
    format!("Authorization: Bearer {token}\r\n")
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"));
    format!("Authorization: Basic {text}\r\n")
}

fn expect_code(address: &Address, path: &str, headers: &str, code: u16) -> Result<String, String> {
    let answer = fetch(address, "GET", path, headers, "")?;
    let body = String::from_utf8_lossy(&answer.body).into_owned();
    expect(
        answer.code() == code,
        format!(
            "{path} {headers}: expected {code}, got {} {body}",
            answer.status
        ),
    )?;
    Ok(body)
}

fn permissions() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let (viewer_line, viewer) = make(&host, &["viewer", "status", "logs", "on", "web"])?;
    let (ops_line, ops) = make(&host, &["ops", "control", "on", "web:*"])?;
    let (admin_line, admin) = make(&host, &["admin", "all"])?;
    expect(
        !viewer_line.contains(&viewer) && viewer != ops,
        "the line contains the token",
    )?;
    write(
        &host,
        &format!("# tokens\n{viewer_line}{ops_line}{admin_line}"),
        0o600,
    )?;
    let keys = "username=u\npassword=p\nallow=u status logs\ntokens_file={dir}/tokens";
    let address = serve(&mut host, keys)?;
    // Every path needs one of them.
    for path in [
        "/",
        "/RPC2",
        "/logtail/web",
        "/metrics",
        "/program/list",
        "/api/v1/processes",
        "/api/v1/events",
        "/api/v1/openapi.json",
    ] {
        for headers in [String::new(), bearer("x")] {
            let answer = fetch(&address, "GET", path, &headers, "")?;
            let kind = match path.starts_with("/api/v1") {
                true => "application/problem+json",
                false => "text/html",
            };
            let is_right = answer.code() == 401
                && answer.header("Content-Type") == Some(kind)
                && answer.header("WWW-Authenticate") == Some("Basic realm=\"default\"");
            expect(is_right, format!("{path} {headers}: {answer:?}"))?;
        }
    }
    let body = expect_code(&address, "/api/v1/processes", "", 401)?;
    expect(
        body.contains("\"status\":401") && body.contains("\"title\":\"Unauthorized\""),
        body,
    )?;
    for headers in [bearer(&viewer), basic("viewer", &viewer)] {
        let page = expect_code(&address, "/", &headers, 200)?;
        expect(
            page.contains("web") && !page.contains("other"),
            format!("the page shows others: {page}"),
        )?;
        let metrics = expect_code(&address, "/metrics", &headers, 200)?;
        expect(
            metrics.contains("name=\"web\"") && !metrics.contains("name=\"other\""),
            metrics,
        )?;
    }
    // A token is no password of another name.
    expect_code(&address, "/", &basic("ops", &viewer), 401)?;
    let of_viewer = bearer(&viewer);
    let list = expect_code(&address, "/api/v1/processes", &of_viewer, 200)?;
    expect(list.contains("web") && !list.contains("other"), list)?;
    let document = expect_code(&address, "/api/v1/openapi.json", &of_viewer, 200)?;
    expect(
        document.contains("\"security\":[{\"basic\":[]},{\"bearer\":[]}]"),
        document,
    )?;
    let json = format!("{of_viewer}Content-Type: application/json\r\n");
    let path = "/api/v1/processes/web/stop";
    let refused = fetch(&address, "POST", path, &json, "{}")?;
    let body = String::from_utf8_lossy(&refused.body).into_owned();
    expect(
        refused.code() == 403 && body.contains("token viewer has no permission control"),
        body,
    )?;
    let stop =
        |headers: &str, name: &str| call(&address, headers, "supervisor.stopProcess", &[name]);
    for (headers, name, part) in [
        (
            bearer(&viewer),
            "web",
            "permission denied: token viewer has no permission control (tokens_file)",
        ),
        (bearer(&ops), "other", "BAD_NAME: other"),
        (
            basic("u", "p"),
            "web",
            "permission denied: user u has no permission control (allow= in [inet_http_server])",
        ),
    ] {
        let answer = stop(&headers, name)?;
        expect(answer.contains(part), format!("{part}: {answer}"))?;
    }
    expect(host.daemon()?.state("web") == "RUNNING", "web was stopped")?;
    let answer = stop(&bearer(&ops), "web")?;
    expect(answer.contains("<boolean>1</boolean>"), answer)?;
    let answer = stop(&bearer(&admin), "other")?;
    expect(answer.contains("<boolean>1</boolean>"), answer)?;
    for line in [
        "audit: inet token='viewer' stop web: FAILED: permission denied: token viewer",
        "audit: inet token='ops' stop web: accepted",
        "audit: inet token='admin' stop other: accepted",
        "audit: inet login='u' stop web: FAILED: permission denied: user u",
        "wrong user name or password from 127.0.0.1",
    ] {
        host.wait_file("log", line)?;
    }
    let log = host.place.read("log");
    expect(
        !log.contains("without any HTTP authentication")
            || log.matches("without any HTTP").count() == 1,
        "the TCP server has authentication",
    )?;
    for token in [&viewer, &ops, &admin] {
        expect(!log.contains(token.as_str()), "the log has a token")?;
    }
    Ok(Outcome::Passed)
}

fn changes() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let (line, token) = make(&host, &["a", "all"])?;
    let (other_line, other) = make(&host, &["b", "status"])?;
    write(&host, &line, 0o600)?;
    let address = serve(&mut host, "tokens_file=%(here)s/tokens")?;
    let code = |token: &str| {
        let answer = fetch(&address, "GET", "/ok.html", &bearer(token), "");
        answer.map_or(0, |answer| answer.code())
    };
    expect(code(&token) == 200, "the token does not work")?;
    write(&host, &other_line, 0o600)?;
    wait_for("the new token works", LIMIT, || code(&other) == 200)?;
    expect(code(&token) == 401, "the removed token works")?;
    host.wait_file("log", "read 1 tokens from ")?;
    for (text, mode, part) in [
        (
            &line,
            0o644,
            "others can access it, its mode is 0644 (chmod it to 0600)",
        ),
        (&"\nb all\n".to_owned(), 0o600, "line 2: "),
    ] {
        write(&host, text, mode)?;
        wait_for("no token works, and the log says why", LIMIT, || {
            code(&other) == 401 && code(&token) == 401 && host.place.read("log").contains(part)
        })?;
    }
    write(&host, &line, 0o600)?;
    wait_for("the token works again", LIMIT, || code(&token) == 200)?;
    host.expect_well()?;
    Ok(Outcome::Passed)
}

fn refusals() -> Result<Outcome, String> {
    let host = Host::new(
        "[inet_http_server]\nport=127.0.0.1:1\nusername=u\npassword=p\ntokens_file={dir}/tokens\n",
    )?;
    let (line, _) = make(&host, &["a", "all"])?;
    let refused = |part: &str| {
        let got = host.run(&["-n", "-c", "conf"])?;
        let said = format!("{}{}", got.stdout, got.stderr);
        expect(
            got.code == 2 && said.contains(part) && said.contains("conf:"),
            format!("{part}: {} {said}", got.code),
        )
    };
    refused("tokens does not exist (create it with mode 0600; ")?;
    write(&host, &line, 0o640)?;
    refused("others can access it, its mode is 0640 (chmod it to 0600)")?;
    write(&host, "\n\nname all\n", 0o600)?;
    refused("tokens:3: the second word is not sha256:")?;
    for (words, part) in [
        (&["a b", "all"][..], "invalid name"),
        (&["a"], "no verb after a"),
        (&["a", "fly"], "unknown verb fly"),
    ] {
        let args: Vec<&str> = std::iter::once("token")
            .chain(words.iter().copied())
            .collect();
        let got = host.run(&args)?;
        expect(
            got.code == 2 && got.stderr.contains(part) && got.stdout.is_empty(),
            format!("{words:?}: {got:?}"),
        )?;
    }
    // Only the user name of the section has rules.
    host.configure(
        "[inet_http_server]\nport=127.0.0.1:1\nusername=u\npassword=p\nallow=v status\n",
    )?;
    refused("allow names v, which is not the username of section [inet_http_server]")?;
    Ok(Outcome::Passed)
}

fn unix() -> Result<Outcome, String> {
    let mut host = Host::new("")?;
    let (line, token) = make(&host, &["reader", "status"])?;
    write(&host, &line, 0o600)?;
    host.configure(
        "[unix_http_server:second]\nfile={dir}/s2\ntokens_file={dir}/tokens\n\
         [program:web]\ncommand={test_child} forever\nstartsecs=0\n",
    )?;
    host.go()?;
    host.daemon()?.wait_state("web", "RUNNING")?;
    let address = Address::Unix(host.place.join("s2"));
    // Even root needs the token, and gets no more than it grants.
    expect_code(&address, "/", "", 401)?;
    expect_code(&address, "/", &bearer(&token), 200)?;
    let answer = call(
        &address,
        &bearer(&token),
        "supervisor.stopProcess",
        &["web"],
    )?;
    expect(
        answer.contains("token reader has no permission control"),
        answer,
    )?;
    let url = format!("unix://{}/s2", host.place.text());
    let got = host.ctl(&["-s", &url, "-u", "reader", "-p", &token, "status"])?;
    expect(
        got.code == 0 && got.stdout.contains("RUNNING"),
        format!("{got:?}"),
    )?;
    Ok(Outcome::Passed)
}
