//! The Go project's addresses, and Supervisor's links as scripts use them.

use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::process::Command;

use serde_json::{Value, json};

use crate::host::{Host, free_port};
use crate::programs::installed;
use crate::support::daemon::run;
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Answer, Connection};
use crate::support::{LIMIT, expect, is_root, wait_for};
use crate::web_client::fetch;

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "go_routes::g52_g53_g68_answers_have_the_shapes_of_the_go_project",
            shapes,
        ),
        Trial::new("go_routes::g68_wrong_methods_are_405_with_allow", methods),
        Trial::new("go_routes::g52_g53_lists_of_programs", lists),
        Trial::new("go_routes::g54_logs_are_read_in_parts_and_followed", logs),
        Trial::new("go_routes::g55_only_the_conf_file_is_read", conf_file),
        Trial::new(
            "go_routes::g56_only_the_logs_of_the_program_are_listed",
            log_files,
        ),
        Trial::new("go_routes::g50_g51_the_node_reloads_and_shuts_down", node),
        Trial::new("go_routes::only_our_pages_may_change_something", origins),
        Trial::new("go_routes::the_password_of_the_server_is_needed", password),
        Trial::new(
            "go_routes::u01_curl_uses_links_with_a_password_and_redirects",
            links,
        ),
    ]
}

const PROGRAMS: &str = "\
    [program:A]\ncommand={test_child} forever\nstartsecs=0\nstdout_logfile={dir}/a.log\nstderr_logfile=NONE\n\
    [program:off]\ncommand={test_child} forever\nstartsecs=0\nautostart=false\nstdout_logfile=/dev/stdout\n\
    stdout_logfile_maxbytes=0\n\
    [program:broken]\ncommand=/no/such/program\nautostart=false\nstartretries=0\n\
    [group:g]\nprograms=x,y\n\
    [program:x]\ncommand={test_child} forever\nstartsecs=0\n\
    [program:y]\ncommand={test_child} forever\nstartsecs=0\n";

/// A daemon with a TCP server, which has these keys.
fn serve(keys: &str, programs: &str) -> Result<(Host, Address), String> {
    let port = free_port()?;
    let host = Host::start(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\nnodename=me\n{keys}\n{programs}"
    ))?;
    Ok((host, Address::Port(port)))
}

fn json_of(answer: &Answer) -> Result<Value, String> {
    expect(
        answer.header("content-type") == Some("application/json"),
        format!("{answer:?}"),
    )?;
    serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {answer:?}"))
}

/// Sends a request and compares the status and the JSON text. Members of `expected` must be equal.
fn ask(address: &Address, line: &str, code: u16, expected: &Value) -> Result<Value, String> {
    let (method, path) = line.split_once(' ').unwrap_or(("GET", line));
    let answer = fetch(address, method, path, "", "")?;
    let body = json_of(&answer)?;
    let fits = match (expected, &body) {
        (Value::Object(members), Value::Object(found)) => members
            .iter()
            .all(|(name, value)| found.get(name) == Some(value)),
        _ => *expected == body,
    };
    expect(
        answer.code() == code && fits,
        format!(
            "{line}: expected {code} {expected}, got {} {body}",
            answer.status
        ),
    )?;
    Ok(body)
}

fn text_of(answer: &Answer) -> String {
    String::from_utf8_lossy(&answer.body).into_owned()
}

fn shapes() -> Result<Outcome, String> {
    let (host, address) = serve("", PROGRAMS)?;
    let daemon = host.daemon()?;
    for name in ["A", "g:x", "g:y"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    let good = json!({"success": true});
    let bad = json!({"success": false});
    let list = json_of(&fetch(&address, "GET", "/program/list", "", "")?)?;
    let list = list.as_array().ok_or("no array")?;
    let names: Vec<&str> = list.iter().filter_map(|one| one["name"].as_str()).collect();
    expect(
        names == ["A", "broken", "off", "x", "y"],
        format!("{names:?}"),
    )?;
    let first = &list[0];
    // Upper case; the log is the file; the node is named.
    for (key, value) in [
        ("node", json!("me")),
        ("group", json!("A")),
        ("state", json!(20)),
        ("statename", json!("RUNNING")),
        ("stop", json!(0)),
        ("spawnerr", json!("")),
        ("logfile", json!(format!("{}/a.log", host.place.text()))),
        ("stderr_logfile", json!("")),
    ] {
        expect(first[key] == value, format!("{key}: {first}"))?;
    }
    expect(
        first["pid"].as_i64().is_some_and(|pid| pid > 1),
        format!("{first}"),
    )?;
    expect(
        list[2]["statename"] == "STOPPED" && list[2]["pid"] == 0,
        format!("{}", list[2]),
    )?;
    for path in ["/program/info/A", "/program/info/me/A", "/program/info//A"] {
        let mut same = first.clone();
        for changing in ["now", "description"] {
            same.as_object_mut().ok_or("an object")?.remove(changing);
        }
        ask(&address, path, 200, &same)?;
    }
    ask(
        &address,
        "/program/info/me/g:x",
        200,
        &json!({"name": "x", "group": "g"}),
    )?;
    let unknown = json!({"error": "BAD_NAME no process named nope"});
    ask(&address, "/program/info/me/nope", 500, &unknown)?;
    ask(
        &address,
        "/program/info/you/A",
        500,
        &json!({"error": "no node named you"}),
    )?;
    for prefix in ["", "me/"] {
        let act = |verb: &str, name: &str, expected: &Value| {
            ask(
                &address,
                &format!("POST /program/{verb}/{prefix}{name}"),
                200,
                expected,
            )
        };
        // What is done already is no failure.
        act("start", "A", &good)?;
        act("stop", "off", &good)?;
        act("start", "off", &good)?;
        act("stop", "off", &good)?;
        let before = daemon.state("A");
        let pid = json_of(&fetch(&address, "GET", "/program/info/A", "", "")?)?["pid"].clone();
        act("restart", "A", &good)?;
        let after = json_of(&fetch(&address, "GET", "/program/info/A", "", "")?)?;
        expect(
            before == "RUNNING" && after["statename"] == "RUNNING" && after["pid"] != pid,
            format!("not restarted: {after}"),
        )?;
        // Groups and their processes.
        act("stop", "g:*", &good)?;
        expect(
            daemon.state("g:x") == "STOPPED" && daemon.state("g:y") == "STOPPED",
            "g:*",
        )?;
        act("start", "g:x", &good)?;
        act("restart", "g:*", &good)?;
        expect(
            daemon.state("g:x") == "RUNNING" && daemon.state("g:y") == "RUNNING",
            "g:*",
        )?;
        for (verb, name) in [
            ("start", "nope"),
            ("stop", "nope"),
            ("restart", "nope"),
            ("start", "g:nope"),
        ] {
            let body = act(verb, name, &bad)?;
            expect(
                body["error"] == format!("BAD_NAME: {name}"),
                format!("{verb} {name}: {body}"),
            )?;
        }
        let body = act("start", "broken", &bad)?;
        expect(
            body["error"]
                .as_str()
                .is_some_and(|why| why.contains("NO_FILE")),
            format!("{body}"),
        )?;
    }
    let body = ask(&address, "PUT /program/start/you/A", 200, &bad)?;
    expect(body["error"] == "no node named you", format!("{body}"))?;
    host.wait_file("log", "audit: inet stop g:*: accepted")?;
    Ok(Outcome::Passed)
}

fn methods() -> Result<Outcome, String> {
    let (_host, address) = serve("", PROGRAMS)?;
    for (path, allow) in [
        ("/program/start/A", "POST, PUT"),
        ("/program/stop/me/A", "POST, PUT"),
        ("/program/restart/A", "POST, PUT"),
        ("/program/startPrograms", "POST, PUT"),
        ("/program/stopPrograms", "POST, PUT"),
        ("/supervisor/reload", "POST, PUT"),
        ("/supervisor/me/shutdown", "POST, PUT"),
        ("/program/list", "GET, HEAD"),
        ("/program/info/A", "GET, HEAD"),
        ("/program/log/A/stdout", "GET, HEAD"),
        ("/supervisor/listNodes", "GET, HEAD"),
        ("/supervisor/me/ping", "GET, HEAD"),
        ("/conf/A", "GET, HEAD"),
        ("/log/A/", "GET, HEAD"),
    ] {
        let wrong = match allow {
            "GET, HEAD" => ["POST", "PUT", "DELETE"],
            _ => ["GET", "HEAD", "DELETE"],
        };
        for method in wrong {
            let answer = fetch(&address, method, path, "", "")?;
            expect(
                answer.code() == 405 && answer.header("allow") == Some(allow),
                format!("{method} {path}: {answer:?}"),
            )?;
        }
    }
    for path in [
        "/program/list",
        "/supervisor/listNodes",
        "/program/log/nope/stdout",
    ] {
        let get = fetch(&address, "GET", path, "", "")?;
        let head = fetch(&address, "HEAD", path, "", "")?;
        expect(
            head.code() == get.code()
                && head.body.is_empty()
                && head.header("content-type") == get.header("content-type"),
            format!("{path}: {head:?}"),
        )?;
    }
    // Neither a page of the Go project nor one of ours.
    for path in [
        "/program/start",
        "/program/fly/A",
        "/supervisor/ping",
        "/conf/",
        "/log/",
        "/conf/A/b",
    ] {
        let answer = fetch(&address, "GET", path, "", "")?;
        expect(answer.code() == 404, format!("{path}: {answer:?}"))?;
    }
    Ok(Outcome::Passed)
}

fn lists() -> Result<Outcome, String> {
    let (host, address) = serve("", PROGRAMS)?;
    let daemon = host.daemon()?;
    for name in ["A", "g:x", "g:y"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    let send = |path: &str, body: &str, code: u16, text: &str| {
        let answer = fetch(&address, "POST", path, "", body)?;
        expect(
            answer.code() == code && text_of(&answer) == text,
            format!(
                "{path} {body}: expected {code} {text}, got {} {}",
                answer.status,
                text_of(&answer)
            ),
        )
    };
    let stopped = "Success to stop the programs";
    let started = "Success to start the programs";
    send(
        "/program/stopPrograms",
        r#"["A","g:*","off"]"#,
        200,
        stopped,
    )?;
    for name in ["A", "g:x", "g:y"] {
        expect(daemon.state(name) == "STOPPED", format!("{name} runs"))?;
    }
    let objects = r#"[{"node":"me","program":"A"},{"node":"","program":"g:x"}]"#;
    send("/program/startPrograms", objects, 200, started)?;
    expect(
        daemon.state("A") == "RUNNING" && daemon.state("g:x") == "RUNNING",
        "not started",
    )?;
    send("/program/startPrograms", "[]", 200, started)?;
    // With an unknown name nothing is done.
    for (body, named) in [
        (r#"["off","nope"]"#, "unknown programs: \"nope\""),
        (
            r#"[{"node":"you","program":"off"},"off"]"#,
            "unknown programs: \"off\" on node \"you\"",
        ),
    ] {
        send("/program/startPrograms", body, 400, named)?;
        expect(daemon.state("off") == "STOPPED", "off was started")?;
    }
    for body in ["", "{}", "[1]", "[{\"node\":\"me\"}]", "not json"] {
        send("/program/stopPrograms", body, 400, "not a valid request")?;
    }
    let answer = fetch(
        &address,
        "POST",
        "/program/startPrograms",
        "",
        r#"["broken","off"]"#,
    )?;
    let text = text_of(&answer);
    expect(
        answer.code() == 200 && text.starts_with("Failed to start the programs: NO_FILE"),
        format!("{answer:?} {text}"),
    )?;
    expect(daemon.state("off") == "RUNNING", "off was not started")?;
    Ok(Outcome::Passed)
}

fn logs() -> Result<Outcome, String> {
    let (host, address) = serve(
        "",
        "[program:A]\ncommand=/bin/sh -c \"yes 0123456789abcde | head -n 8192; echo end; echo err >&2; exec {test_child} forever\"\n\
         startsecs=0\nstdout_logfile={dir}/a.log, syslog\nstderr_logfile={dir}/a.err\n\
         [program:quiet]\ncommand={test_child} forever\nstdout_logfile=NONE\n",
    )?;
    host.wait_file("a.log", "end\n")?;
    host.wait_file("a.err", "err\n")?;
    let get = |path: &str| fetch(&address, "GET", path, "", "");
    // By default the last 64 KiB, of a program with several targets too.
    let log = host.place.read("a.log");
    for path in ["/program/log/A/stdout", "/program/log/me/A/stdout"] {
        let answer = get(path)?;
        expect(
            answer.code() == 200 && answer.body.len() == 65536 && log.ends_with(&text_of(&answer)),
            format!("{path}: {} {} bytes", answer.status, answer.body.len()),
        )?;
        expect(
            answer.header("content-type") == Some("text/plain;charset=utf-8")
                && answer.header("x-content-type-options") == Some("nosniff"),
            format!("{:?}", answer.headers),
        )?;
    }
    for (query, text) in [
        ("?offset=0&length=4", "0123"),
        ("?offset=14&length=3", "e\n0"),
        ("?length=4", "end\n"),
        ("?offset=-5", "\nend\n"),
        ("?offset=99999999", ""),
    ] {
        let answer = get(&format!("/program/log/A/stdout{query}"))?;
        expect(
            answer.code() == 200 && text_of(&answer) == text,
            format!("{query}: {answer:?}"),
        )?;
    }
    expect(text_of(&get("/program/log/A/stderr")?) == "err\n", "stderr")?;
    for query in [
        "?length=0",
        "?offset=x",
        "?offset=-1&length=1",
        "?length=99999999999",
    ] {
        let answer = get(&format!("/program/log/A/stdout{query}"))?;
        let expected = match query {
            "?length=99999999999" => 200,
            _ => 400,
        };
        expect(
            answer.code() == expected,
            format!("{query}: {}", answer.status),
        )?;
    }
    for path in [
        "/program/log/nope/stdout",
        "/program/log/you/A/stdout",
        "/program/log/quiet/stdout",
    ] {
        let answer = get(path)?;
        expect(
            answer.code() == 404 && json_of(&answer)?["error"].is_string(),
            format!("{path}: {answer:?}"),
        )?;
    }
    // Followed, as Supervisor's /logtail is, which keeps its address.
    for path in [
        "/program/log/me/A/stdout?follow=1",
        "/logtail/A",
        "/logtail/A/stdout",
    ] {
        let mut connection = Connection::open(&address).map_err(|error| error.to_string())?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n");
        connection
            .send(request.as_bytes())
            .map_err(|error| error.to_string())?;
        let read = connection.read_until(b"end\n", LIMIT);
        expect(
            String::from_utf8_lossy(&read).contains("end\n"),
            format!("{path}: no log"),
        )?;
        let line = format!("more {path}\n");
        append(&host, "a.log", &line)?;
        let read = connection.read_until(line.as_bytes(), LIMIT);
        expect(
            String::from_utf8_lossy(&read).contains(&line),
            format!("{path} does not follow"),
        )?;
    }
    Ok(Outcome::Passed)
}

fn append(host: &Host, name: &str, text: &str) -> Result<(), String> {
    use std::io::Write as _;
    let file = std::fs::OpenOptions::new()
        .append(true)
        .open(host.place.join(name));
    let mut file = file.map_err(|error| error.to_string())?;
    file.write_all(text.as_bytes())
        .map_err(|error| error.to_string())
}

fn conf_file() -> Result<Outcome, String> {
    let programs = "[program:A]\ncommand={test_child} forever\nconf_file=%(here)s/a.conf\n\
         [program:none]\ncommand={test_child} forever\n\
         [program:missing]\ncommand={test_child} forever\nconf_file={dir}/missing.conf\n\
         [program:link]\ncommand={test_child} forever\nconf_file={dir}/theirs/link.conf\n\
         [program:fifo]\ncommand={test_child} forever\nconf_file={dir}/fifo\n";
    let port = free_port()?;
    let address = Address::Port(port);
    let mut host = Host::new(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\nusername=u\npassword=p\ntokens_file={{dir}}/tokens\n{programs}"
    ))?;
    let made = host.run(&["token", "reader", "status", "logs", "control"])?;
    let reader = made.stderr.trim().to_owned();
    host.place.write("tokens", &made.stdout)?;
    let private = std::fs::Permissions::from_mode(0o600);
    std::fs::set_permissions(host.place.join("tokens"), private)
        .map_err(|error| error.to_string())?;
    host.go()?;
    host.place.write("a.conf", "secret=1\n")?;
    let password = "Authorization: Basic dTpw\r\n";
    let get = |path: &str, headers: &str| fetch(&address, "GET", path, headers, "");
    let answer = get("/conf/A", password)?;
    expect(
        answer.code() == 200
            && answer.body == b"secret=1\n"
            && answer.header("x-content-type-options") == Some("nosniff"),
        format!("{answer:?}"),
    )?;
    for name in [
        "none",
        "nope",
        "missing",
        "fifo",
        "..%2f..%2fetc%2fpasswd",
        "a.conf",
    ] {
        if name == "fifo" {
            nix::unistd::mkfifo(&host.place.join("fifo"), nix::sys::stat::Mode::S_IRWXU)
                .map_err(|error| error.to_string())?;
        }
        let answer = get(&format!("/conf/{name}"), password)?;
        expect(answer.code() == 404, format!("{name}: {answer:?}"))?;
    }
    // A link that the user of the program made does not lead root elsewhere.
    if is_root() {
        let theirs = host.place.join("theirs");
        std::fs::create_dir(&theirs).map_err(|error| error.to_string())?;
        symlink("/etc/shadow", theirs.join("link.conf")).map_err(|error| error.to_string())?;
        for path in [theirs.clone(), theirs.join("link.conf")] {
            std::os::unix::fs::lchown(&path, Some(65534), Some(65534))
                .map_err(|error| error.to_string())?;
        }
        let answer = get("/conf/link", password)?;
        expect(
            answer.code() == 404 && !text_of(&answer).contains("root:"),
            format!("{answer:?}"),
        )?;
    }
    // Another file needs no restart.
    let pid = host.daemon()?.pid_of("A");
    let text = host.place.read("conf").replace("/a.conf", "/other.conf");
    host.place.write("conf", &text)?;
    host.place.write("other.conf", "other=1\n")?;
    host.expect_ctl(&["update"], 0, &[])?;
    let answer = get("/conf/A", password)?;
    expect(answer.body == b"other=1\n", format!("{answer:?}"))?;
    expect(host.daemon()?.pid_of("A") == pid, "A was restarted")?;
    // Reading states and logs is not enough.
    let answer = get("/conf/A", &format!("Authorization: Bearer {reader}\r\n"))?;
    expect(
        answer.code() == 403 && !text_of(&answer).contains("secret"),
        format!("{answer:?}"),
    )?;
    Ok(Outcome::Passed)
}

fn log_files() -> Result<Outcome, String> {
    let programs = "[program:A]\ncommand={test_child} forever\nstdout_logfile={dir}/logs/a.log\nstderr_logfile={dir}/logs/a.err\n\
         [program:B]\ncommand={test_child} forever\nstdout_logfile=/dev/stdout\nstdout_logfile_maxbytes=0\nstderr_logfile=NONE\n\
         [program:D]\ncommand={test_child} say dated forever\nstdout_logfile={dir}/dated/{date}/d-{date}.log\nstderr_logfile=NONE\n\
         stdout_logfile_datefmt=%%Y\n";
    let port = free_port()?;
    let address = Address::Port(port);
    let mut host = Host::new(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\n{programs}"
    ))?;
    std::fs::create_dir(host.place.join("logs")).map_err(|error| error.to_string())?;
    std::fs::create_dir_all(host.place.join("dated/1999")).map_err(|error| error.to_string())?;
    for name in ["d-1999.log", "d-1999.log.1.gz", "d-1998.log", "x-1999.log"] {
        host.place.write(&format!("dated/1999/{name}"), "old")?;
    }
    host.go()?;
    for (name, text) in [
        ("a.log.1", "one"),
        ("a.log.2.gz", "\u{1f}"),
        ("a.log.bak", "no"),
        ("b.log", "no"),
        ("supervisord.conf", "no"),
    ] {
        host.place.write(&format!("logs/{name}"), text)?;
    }
    symlink("/etc/passwd", host.place.join("logs/a.log.9")).map_err(|error| error.to_string())?;
    let get = |path: &str| fetch(&address, "GET", path, "", "");
    let list = get("/log/A/")?;
    let text = text_of(&list);
    let names = hrefs(&text);
    expect(
        names == ["a.err", "a.log", "a.log.1", "a.log.2.gz"],
        format!("{names:?} {text}"),
    )?;
    let answer = get("/log/A")?;
    expect(
        answer.code() == 301 && answer.header("location") == Some("A/"),
        format!("{answer:?}"),
    )?;
    let answer = get("/log/A/a.log.1")?;
    expect(
        answer.code() == 200 && answer.body == b"one",
        format!("{answer:?}"),
    )?;
    let answer = get("/log/A/a.log.1?offset=1&length=1")?;
    expect(answer.body == b"n", format!("{answer:?}"))?;
    for path in [
        "/log/A/a.log.bak",
        "/log/A/b.log",
        "/log/A/supervisord.conf",
        "/log/A/a.log.9",
        "/log/A/..",
        "/log/A/%2e%2e%2fconf",
        "/log/A/../../../etc/hostname",
        "/log/nope/",
        "/log/B/null",
        "/log/B/stdout",
    ] {
        let answer = get(path)?;
        expect(answer.code() == 404, format!("{path}: {answer:?}"))?;
    }
    dated_files(&host, &address)?;
    let answer = get("/log/B/")?;
    expect(
        answer.code() == 200 && !text_of(&answer).contains("href"),
        format!("/dev is listed: {answer:?}"),
    )?;
    Ok(Outcome::Passed)
}

/// The addresses in a list of files.
fn hrefs(list: &str) -> Vec<&str> {
    let parts = list.split("href=\"./").skip(1);
    parts.filter_map(|rest| rest.split('"').next()).collect()
}

/// The dates are in the names of a directory and of the file. The log page shows the file that is written now.
fn dated_files(host: &Host, address: &Address) -> Result<(), String> {
    host.daemon()?.wait_state("D", "RUNNING")?;
    let get = |path: &str| fetch(address, "GET", path, "", "");
    let mut live = String::new();
    wait_for("the list has the log of this year", LIMIT, || {
        let list = get("/log/D/").map(|list| text_of(&list));
        let list = list.unwrap_or_default();
        let names = hrefs(&list);
        let is_right = names.len() == 3
            && names[..2] == ["1999/d-1999.log", "1999/d-1999.log.1.gz"]
            && names[2].starts_with("20");
        live = names.last().copied().unwrap_or_default().to_owned();
        is_right
    })
    .map_err(|why| format!("{why}: {:?}", get("/log/D/")))?;
    let old = get("/log/D/1999/d-1999.log")?;
    expect(old.body == b"old", format!("{old:?}"))?;
    wait_for("the log of this year", LIMIT, || {
        get(&format!("/log/D/{live}")).is_ok_and(|answer| answer.body == b"dated\n")
    })?;
    let page = get("/tail.html?processname=D")?;
    expect(text_of(&page).contains("dated"), format!("{page:?}"))?;
    for path in ["/log/D/1999/d-1998.log", "/log/D/1999", "/log/D/../1999/x"] {
        let answer = get(path)?;
        expect(answer.code() == 404, format!("{path}: {answer:?}"))?;
    }
    Ok(())
}

fn node() -> Result<Outcome, String> {
    let (mut host, address) = serve("", PROGRAMS)?;
    host.daemon()?.wait_state("A", "RUNNING")?;
    let nodes = json_of(&fetch(&address, "GET", "/supervisor/listNodes", "", "")?)?;
    let own = &nodes[0];
    expect(
        nodes.as_array().map(Vec::len) == Some(1)
            && own["name"] == "me"
            && own["status"] == "ONLINE"
            && own["mem_total"].as_u64() > own["mem_used"].as_u64()
            && own["mem_used"].as_u64() > Some(0)
            && own["cpu_percent"]
                .as_f64()
                .is_some_and(|share| (0.0..=100.0).contains(&share))
            && own["mem_used_percent"]
                .as_f64()
                .is_some_and(|share| share > 0.0 && share < 100.0),
        format!("{nodes}"),
    )?;
    let (good, bad) = (
        json!({"success": true}),
        json!({"success": false, "error": "no node named x"}),
    );
    ask(&address, "/supervisor/me/ping", 200, &good)?;
    ask(&address, "/supervisor/x/ping", 200, &bad)?;
    ask(&address, "POST /supervisor/x/reload", 200, &bad)?;
    ask(&address, "POST /supervisor/x/shutdown", 200, &bad)?;
    let text = host.place.read("conf");
    let added = format!("{text}[program:new]\ncommand=/bin/sleep 1000\nstartsecs=0\n");
    let changed = added.replace("[program:off]", "[program:renamed]");
    host.place.write("conf", &changed)?;
    ask(&address, "POST /supervisor/reload", 200, &good)?;
    host.daemon()?.wait_state("new", "RUNNING")?;
    expect(
        host.daemon()?.state("renamed") == "STOPPED" && host.daemon()?.state("off").is_empty(),
        "the configuration was not applied",
    )?;
    host.place
        .write("conf", &format!("{changed}[program:bad]\n"))?;
    let body = ask(
        &address,
        "PUT /supervisor/me/reload",
        200,
        &json!({"success": false}),
    )?;
    expect(
        body["error"]
            .as_str()
            .is_some_and(|why| why.contains("CANT_REREAD")),
        format!("{body}"),
    )?;
    host.expect_well()?;
    ask(&address, "POST /supervisor/shutdown", 200, &good)?;
    let daemon = host.daemon.as_mut().ok_or("a daemon")?;
    wait_for("the daemon exits", LIMIT, || !daemon.is_alive())?;
    Ok(Outcome::Passed)
}

fn origins() -> Result<Outcome, String> {
    let (host, address) = serve("", PROGRAMS)?;
    let Address::Port(port) = address else {
        return Err("a port".to_owned());
    };
    host.daemon()?.wait_state("A", "RUNNING")?;
    let stop = |headers: &str| fetch(&address, "POST", "/program/stop/A", headers, "");
    for headers in [
        "Origin: http://evil.example\r\n",
        "Origin: null\r\n",
        "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: no-cors\r\n",
        "Sec-Fetch-Site: none\r\nSec-Fetch-Mode: navigate\r\n",
        "User-Agent: Mozilla/5.0\r\n",
    ] {
        let answer = stop(headers)?;
        expect(answer.code() == 403, format!("{headers}: {answer:?}"))?;
        expect(
            host.daemon()?.state("A") == "RUNNING",
            format!("{headers}: stopped"),
        )?;
    }
    // DNS rebinding: the name is not one of ours.
    let mut connection = Connection::open(&address).map_err(|error| error.to_string())?;
    let request = format!(
        "POST /program/stop/A HTTP/1.0\r\nHost: evil.example:{port}\r\nOrigin: http://evil.example:{port}\r\nContent-Length: 0\r\n\r\n"
    );
    connection
        .send(request.as_bytes())
        .map_err(|error| error.to_string())?;
    let answer = connection
        .answer()
        .map_err(|error| error.to_string())?
        .ok_or("no answer")?;
    expect(answer.code() == 403, format!("{answer:?}"))?;
    expect(
        host.daemon()?.state("A") == "RUNNING",
        "stopped by another page",
    )?;
    let answer = stop("Origin: http://localhost\r\nSec-Fetch-Site: same-origin\r\n")?;
    expect(answer.code() == 200, format!("{answer:?}"))?;
    expect(
        host.daemon()?.state("A") == "STOPPED",
        "not stopped by our page",
    )?;
    Ok(Outcome::Passed)
}

fn password() -> Result<Outcome, String> {
    let (_host, address) = serve("username=u\npassword=p\nallow=u status", PROGRAMS)?;
    let paths = [
        ("GET", "/program/list", 200),
        ("GET", "/program/info/A", 200),
        ("GET", "/supervisor/listNodes", 200),
        ("GET", "/supervisor/me/ping", 200),
        ("GET", "/program/log/A/stdout", 403),
        ("GET", "/log/A/", 403),
        ("GET", "/log/A/a.log", 403),
        ("GET", "/conf/A", 403),
        ("POST", "/program/stop/A", 403),
        ("POST", "/program/stopPrograms", 403),
        ("POST", "/supervisor/reload", 403),
        ("POST", "/supervisor/shutdown", 403),
    ];
    for (method, path, code) in paths {
        let body = if path == "/program/stopPrograms" {
            "[\"A\"]"
        } else {
            ""
        };
        let answer = fetch(&address, method, path, "", body)?;
        expect(answer.code() == 401, format!("{path}: {answer:?}"))?;
        let answer = fetch(
            &address,
            method,
            path,
            "Authorization: Basic dTpw\r\n",
            body,
        )?;
        expect(answer.code() == code, format!("{path}: {answer:?}"))?;
    }
    Ok(Outcome::Passed)
}

/// The commands of the seed.
fn links() -> Result<Outcome, String> {
    let Some(curl) = installed("curl") else {
        return Ok(Outcome::Skipped("curl is not installed".to_owned()));
    };
    let (host, address) = serve(
        "username=user\npassword=123",
        "[program:ping]\ncommand=/bin/sh -c \"echo pong; exec sleep 1000\"\nstartsecs=0\nautostart=false\n",
    )?;
    let Address::Port(port) = address else {
        return Err("a port".to_owned());
    };
    let curl = |args: &[&str]| {
        let mut command = Command::new(&curl);
        command.args(["-s", "-u", "user:123"]).args(args);
        run(command, host.place.path(), None, LIMIT)
    };
    let act = |action: &str, state: &str, message: &str| {
        let url = format!("http://127.0.0.1:{port}/index.html?processname=ping&action={action}");
        let got = curl(&["-L", "-w", "%{http_code} %{num_redirects}", &url])?;
        expect(
            got.stdout.contains(message) && got.stdout.ends_with("200 1"),
            format!("{action}: {got:?}"),
        )?;
        host.daemon()?.wait_state("ping", state)
    };
    act("start", "RUNNING", "Process ping started")?;
    act("restart", "RUNNING", "Process ping restarted")?;
    act("stop", "STOPPED", "Process ping stopped")?;
    // The log does not end, so curl does.
    let url = format!("http://127.0.0.1:{port}/logtail/ping");
    let got = curl(&["-L", "-N", "--max-time", "2", &url])?;
    expect(got.stdout.contains("pong\n"), format!("{got:?}"))?;
    Ok(Outcome::Passed)
}
