//! `/api/v1` with real clients: curl, a validator, schemathesis, a client that is generated from the document, and
//! streams of events.

use std::os::unix::process::CommandExt as _;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value as Json, json};

use crate::host::{Host, free_port};
use crate::programs::installed;
use crate::support::daemon::{Finished, run};
use crate::support::runner::{Outcome, Trial};
use crate::support::wire::{Address, Answer, Connection};
use crate::support::{LIMIT, expect, is_root, proc, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new("rest::calls_are_json", calls),
        Trial::new("rest::errors_are_problem_details", problems),
        Trial::new("rest::foreign_pages_are_refused", foreign_pages),
        Trial::new(
            "rest::permissions_and_audit_are_those_of_xmlrpc",
            permissions,
        ),
        Trial::new("rest::events_are_a_stream_that_goes_on", events),
        Trial::new(
            "rest::a_slow_client_misses_events_and_costs_no_memory",
            slow_client,
        ),
        Trial::new("rest::streams_are_bounded", bounded_streams),
        Trial::new("rest::the_document_is_valid", validator),
        Trial::new("rest::schemathesis_finds_nothing", schemathesis),
        Trial::new(
            "rest::a_generated_client_restarts_a_process",
            generated_client,
        ),
    ]
}

const PROGRAMS: &str = "[program:web]\ncommand={test_child} forever\nstartsecs=0\n\
    [program:job]\ncommand=/bin/sh -c \"echo done; exit 3\"\nautorestart=false\nstartsecs=0\n\
    [program:off]\ncommand=/bin/true\nautostart=false\n\
    [group:g]\nprograms=a,b\n\
    [program:a]\ncommand={test_child} forever\nstartsecs=0\n\
    [program:b]\ncommand={test_child} forever\nstartsecs=0\n";

fn host(more: &str) -> Result<Host, String> {
    let host = Host::start(&format!("{more}{PROGRAMS}"))?;
    let daemon = host.daemon()?;
    for name in ["web", "g:a", "g:b"] {
        daemon.wait_state(name, "RUNNING")?;
    }
    daemon.wait_state("job", "EXITED")?;
    Ok(host)
}

/// Sends a request. The headers end with line breaks.
fn ask(address: &Address, line: &str, headers: &str, body: &str) -> Result<Answer, String> {
    let asked = || {
        let mut connection = Connection::open(address)?;
        let length = match body.is_empty() {
            true => String::new(),
            false => format!("Content-Length: {}\r\n", body.len()),
        };
        let request = format!("{line} HTTP/1.1\r\nHost: localhost\r\n{headers}{length}\r\n{body}");
        connection.send(request.as_bytes())?;
        connection.answer()
    };
    asked()
        .map_err(|error| error.to_string())?
        .ok_or_else(|| "no answer".to_owned())
}

const JSON: &str = "Content-Type: application/json\r\n";

fn parsed(answer: &Answer) -> Result<Json, String> {
    serde_json::from_slice(&answer.body).map_err(|error| format!("{error}: {answer:?}"))
}

fn get(host: &Host, path: &str) -> Result<Json, String> {
    let address = &host.daemon()?.address;
    let answer = ask(address, &format!("GET /api/v1{path}"), "", "")?;
    expect(
        answer.code() == 200 && answer.header("Content-Type") == Some("application/json"),
        format!("{path}: {answer:?}"),
    )?;
    parsed(&answer)
}

fn post(host: &Host, path: &str, body: &str) -> Result<Json, String> {
    let address = &host.daemon()?.address;
    let answer = ask(address, &format!("POST /api/v1{path}"), JSON, body)?;
    expect(answer.code() == 200, format!("{path} {body}: {answer:?}"))?;
    parsed(&answer)
}

/// The names in a list of processes.
fn names(list: &Json) -> Vec<&str> {
    let items = list.as_array().map(Vec::as_slice).unwrap_or_default();
    items
        .iter()
        .filter_map(|one| one["name"].as_str())
        .collect()
}

fn same<T: PartialEq + std::fmt::Debug>(found: T, expected: T, what: &str) -> Result<(), String> {
    let text = format!("{what}: {found:?}, expected {expected:?}");
    expect(found == expected, text)
}

fn calls() -> Result<Outcome, String> {
    let host = host("")?;
    for (query, expected) in [
        ("", vec!["a", "b", "job", "off", "web"]),
        ("?state=RUNNING", vec!["a", "b", "web"]),
        ("?state=EXITED,STOPPED&name=o*", vec!["off"]),
        ("?group=g&name=g:b", vec!["b"]),
        ("?name=zzz", vec![]),
    ] {
        let list = get(&host, &format!("/processes{query}"))?;
        same(names(&list), expected, query)?;
    }
    let one = get(&host, "/processes/g%3Aa?usage=1")?;
    same(&one["statename"], &json!("RUNNING"), "g:a")?;
    expect(one["usage"]["memory_bytes"].is_u64(), format!("{one}"))?;
    let one = get(&host, "/processes/web?usage=0")?;
    expect(one.get("usage").is_none(), format!("{one}"))?;
    same(
        get(&host, "/process-table?names=g:*&members=pid&members=name")?[1].clone(),
        json!({"name": "b", "pid": get(&host, "/processes/g:b")?["pid"]}),
        "a row with the chosen members",
    )?;
    same(
        get(&host, "/processes/job/stdout?offset=0&length=0")?,
        json!("done\n"),
        "a log",
    )?;
    same(
        get(&host, "/processes/job/stdout/tail?offset=0&length=3")?,
        json!({"text": "ne\n", "offset": 5, "overflow": true}),
        "the end of a log",
    )?;
    let plan = get(&host, "/config/plan")?;
    expect(plan["unchanged"].is_array(), format!("{plan}"))?;
    // A body that is absent, empty, or has parameters.
    same(post(&host, "/processes/web/stop", "")?, json!(true), "stop")?;
    host.daemon()?.wait_state("web", "STOPPED")?;
    same(
        post(&host, "/processes/web/start", "{\"wait\": true}")?,
        json!(true),
        "start",
    )?;
    let done = post(&host, "/processes/web,g:*/restart", "{\"at_once\": 2}")?;
    same(names(&done).len(), 3, "restarted processes")?;
    let results = post(&host, "/groups/g/stop", "{}")?;
    same(&results[0]["status"], &json!(80), "the first result")?;
    let diff = post(&host, "/config/reread", "")?;
    same(
        diff,
        json!({"added": [], "changed": [], "removed": []}),
        "reread",
    )?;
    // HEAD: the same without the body.
    let address = &host.daemon()?.address;
    let mut connection = Connection::open(address).map_err(|error| error.to_string())?;
    let request = b"HEAD /api/v1/daemon/pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    connection
        .send(request)
        .map_err(|error| error.to_string())?;
    let text = connection.read_until(b"never", LIMIT);
    let text = String::from_utf8_lossy(&text).into_owned();
    expect(
        text.starts_with("HTTP/1.1 200") && text.ends_with("\r\n\r\n"),
        text,
    )?;
    Ok(Outcome::Passed)
}

fn problems() -> Result<Outcome, String> {
    let host = host("")?;
    let address = &host.daemon()?.address;
    let long = format!("{{\"x\": \"{}\"}}", "x".repeat(1 << 20));
    let deep = format!("{{\"wait\": {}", "[".repeat(100_000));
    for (line, headers, body, status, fault, detail) in [
        ("GET /api/v1/nope", "", "", 404, "", "no such path"),
        ("GET /api/v1", "", "", 404, "", "no such path"),
        ("PUT /api/v1/processes", JSON, "{}", 405, "", "GET, HEAD"),
        ("BREW /api/v1/all/start", "", "", 405, "", "POST"),
        (
            "GET /api/v1/processes/nope",
            "",
            "",
            404,
            "BAD_NAME",
            "nope",
        ),
        (
            "GET /api/v1/processes?x=1",
            "",
            "",
            400,
            "INCORRECT_PARAMETERS",
            "no parameter x",
        ),
        (
            "GET /api/v1/processes?state=up",
            "",
            "",
            400,
            "INCORRECT_PARAMETERS",
            "RUNNING",
        ),
        (
            "GET /api/v1/daemon/log?offset=1",
            "",
            "",
            400,
            "INCORRECT_PARAMETERS",
            "length is missing",
        ),
        (
            "GET /api/v1/daemon/log?offset=-1&length=1",
            "",
            "",
            422,
            "BAD_ARGUMENTS",
            "",
        ),
        (
            "POST /api/v1/processes/web/start",
            "",
            "",
            409,
            "ALREADY_STARTED",
            "web",
        ),
        (
            "POST /api/v1/processes/off/stop",
            "",
            "",
            409,
            "NOT_RUNNING",
            "off",
        ),
        (
            "POST /api/v1/processes/web/start?wait=1",
            "",
            "",
            400,
            "INCORRECT_PARAMETERS",
            "wait",
        ),
        (
            "POST /api/v1/processes/web/start",
            JSON,
            "{\"wait\": 1}",
            400,
            "INCORRECT_PARAMETERS",
            "wait takes true or false",
        ),
        (
            "POST /api/v1/processes/web/start",
            JSON,
            "{\"wait\"",
            400,
            "INCORRECT_PARAMETERS",
            "line 1 column 7",
        ),
        (
            "POST /api/v1/processes/web/start",
            JSON,
            &deep,
            400,
            "INCORRECT_PARAMETERS",
            "recursion limit",
        ),
        (
            "POST /api/v1/processes/web/start",
            JSON,
            &long,
            413,
            "",
            "longer than",
        ),
        (
            "POST /api/v1/processes/web/start",
            "",
            "{}",
            415,
            "",
            "application/json",
        ),
        (
            "POST /api/v1/processes/web/signal",
            JSON,
            "{\"signal\": \"NOPE\"}",
            422,
            "BAD_SIGNAL",
            "NOPE",
        ),
        (
            "POST /api/v1/groups/g/add",
            "",
            "",
            409,
            "ALREADY_ADDED",
            "g",
        ),
        (
            "GET /api/v1/events?types=X",
            "",
            "",
            400,
            "INCORRECT_PARAMETERS",
            "PROCESS_STATE",
        ),
        (
            "GET /api/v1/events",
            "Last-Event-ID: x\r\n",
            "",
            400,
            "INCORRECT_PARAMETERS",
            "Last-Event-ID",
        ),
        (
            "GET /api/v1/twiddler/groups",
            "",
            "",
            404,
            "",
            "no such path",
        ),
    ] {
        let answer = ask(address, line, headers, body)?;
        let found = parsed(&answer)?;
        let name = found["fault"].as_str().unwrap_or_default();
        let text = found["detail"].as_str().unwrap_or_default();
        let is_right = answer.code() == status
            && found["status"] == status
            && answer.header("Content-Type") == Some("application/problem+json")
            && (status != 405 || answer.header("Allow").is_some())
            && found["title"].is_string()
            && name == fault
            && text.contains(detail)
            && match fault {
                "" => found["type"] == "about:blank",
                _ => found["type"] == format!("urn:supervisord:fault:{fault}"),
            };
        let shown: String = body.chars().take(100).collect();
        expect(is_right, format!("{line} {shown}: {answer:?}, {found}"))?;
    }
    Ok(Outcome::Passed)
}

fn foreign_pages() -> Result<Outcome, String> {
    let port = free_port()?;
    let host = host(&format!("[inet_http_server]\nport=127.0.0.1:{port}\n"))?;
    let address = Address::Port(port);
    let stop = "POST /api/v1/processes/web/stop";
    for (line, headers, body) in [
        (stop, "Origin: https://evil.example\r\n", ""),
        (stop, "Origin: null\r\n", ""),
        (stop, "Sec-Fetch-Site: cross-site\r\n", ""),
        (
            "GET /api/v1/processes",
            "Sec-Fetch-Site: cross-site\r\nSec-Fetch-Mode: navigate\r\n",
            "",
        ),
        ("GET /api/v1/events", "Origin: https://evil.example\r\n", ""),
    ] {
        let answer = ask(&address, line, headers, body)?;
        same(answer.code(), 403, headers)?;
        same(parsed(&answer)?["status"].clone(), json!(403), headers)?;
    }
    // A form, as a page of another server can send it without a question before it.
    let form = "Content-Type: application/x-www-form-urlencoded\r\n";
    same(ask(&address, stop, form, "a=b")?.code(), 415, form)?;
    let empty = format!("{form}Content-Length: 0\r\n");
    same(ask(&address, stop, &empty, "")?.code(), 415, &empty)?;
    // A name that an attacker lets point here.
    let mut connection = Connection::open(&address).map_err(|error| error.to_string())?;
    let request =
        b"GET /api/v1/processes HTTP/1.1\r\nHost: evil.example\r\nUser-Agent: Mozilla/5.0\r\n\r\n";
    connection
        .send(request)
        .map_err(|error| error.to_string())?;
    let answer = connection.answer().ok().flatten().ok_or("no answer")?;
    same(answer.code(), 403, "another host")?;
    same(host.daemon()?.state("web"), "RUNNING".to_owned(), "web")?;
    Ok(Outcome::Passed)
}

/// Runs curl as a user.
fn curl(host: &Host, uid: u32, args: &[&str]) -> Result<Finished, String> {
    let socket = host.place.join("s").display().to_string();
    let curl = installed("curl").ok_or("no curl")?;
    let mut command = Command::new(curl);
    command.args(["-sS", "--unix-socket", &socket]).args(args);
    if is_root() {
        command.uid(uid).gid(uid);
    }
    run(command, host.place.path(), None, LIMIT)
}

fn permissions() -> Result<Outcome, String> {
    if !is_root() || installed("curl").is_none() {
        return Ok(Outcome::Skipped(
            "needs root, to be several users, and curl".to_owned(),
        ));
    }
    let host = host("[unix_http_server]\nallow=nobody status on web\n")?;
    use std::os::unix::fs::PermissionsExt as _;
    std::fs::set_permissions(host.place.path(), std::fs::Permissions::from_mode(0o755))
        .map_err(|error| error.to_string())?;
    let nobody = crate::programs::uid_of("nobody").ok_or("no user nobody")?;
    let at = |path: &str| format!("http://x/api/v1{path}");
    let list = curl(&host, nobody, &[&at("/processes")])?;
    let found: Json = serde_json::from_str(&list.stdout).map_err(|e| format!("{e}: {list:?}"))?;
    same(names(&found), vec!["web"], "what nobody sees")?;
    let hidden = curl(&host, nobody, &[&at("/processes/g:a")])?;
    expect(
        hidden.stdout.contains("\"BAD_NAME\""),
        format!("{hidden:?}"),
    )?;
    // curl sends neither a body nor its length.
    let status = ["-o", "/dev/null", "-w", "%{http_code}", "-X", "POST"];
    for (uid, path, code) in [
        (nobody, "/processes/web/stop", "403"),
        (nobody, "/all/stop", "403"),
        (0, "/processes/web/stop", "200"),
    ] {
        let path = at(path);
        let done = curl(&host, uid, &[&status[..], &[&path]].concat())?;
        same(done.stdout.as_str(), code, &path)?;
    }
    // A user that no rule names is refused before the request is read.
    let daemon = crate::programs::uid_of("daemon").ok_or("no user daemon")?;
    let socket = host.place.join("s");
    std::fs::set_permissions(&socket, std::fs::Permissions::from_mode(0o777))
        .map_err(|error| error.to_string())?;
    let kind = ["-w", " %{http_code} %{content_type}"];
    let done = curl(&host, daemon, &[&kind[..], &[&at("/processes")]].concat())?;
    expect(
        done.stdout.contains("\"status\":403")
            && done.stdout.contains("has no permission (allow=")
            && done.stdout.ends_with(" 403 application/problem+json"),
        format!("{done:?}"),
    )?;
    let log = || host.place.read("log");
    wait_for("the audit lines", LIMIT, || {
        log().contains("stop web: accepted")
    })?;
    for (user, text) in [
        (nobody, "stop web: FAILED: permission denied: "),
        (nobody, "stop all: FAILED: permission denied: "),
        (0, "stop web: accepted"),
    ] {
        let start = format!("audit: unix uid={user} pid=");
        let has = log()
            .lines()
            .any(|line| line.contains(&start) && line.contains(text));
        expect(has, format!("{start} {text}: {}", log()))?;
    }
    Ok(Outcome::Passed)
}

/// A stream of events.
struct EventStream {
    connection: Connection,
    /// All that was received.
    text: String,
}

impl EventStream {
    /// Opens a stream and waits until it has begun.
    fn open(address: &Address, query: &str, headers: &str) -> Result<Self, String> {
        let mut connection = Connection::open(address).map_err(|error| error.to_string())?;
        let request =
            format!("GET /api/v1/events{query} HTTP/1.1\r\nHost: localhost\r\n{headers}\r\n");
        connection
            .send(request.as_bytes())
            .map_err(|error| error.to_string())?;
        let mut stream = Self {
            connection,
            text: String::new(),
        };
        stream.read_to("retry: 2000\n")?;
        expect(
            stream.text.starts_with("HTTP/1.1 200") && stream.text.contains("text/event-stream"),
            stream.text.clone(),
        )?;
        Ok(stream)
    }

    /// Reads until all that was received contains a text.
    fn read_to(&mut self, wanted: &str) -> Result<(), String> {
        wait_for(wanted, LIMIT, || {
            let read = self.connection.read_until(b"\n\n", LIMIT / 100);
            self.text.push_str(&String::from_utf8_lossy(&read));
            self.text.contains(wanted)
        })
        .map_err(|why| format!("{why}: {:?}", self.text))
    }
}

/// The ids in a part of a stream.
fn ids(text: &str) -> Vec<&str> {
    text.lines()
        .filter_map(|line| line.strip_prefix("id: "))
        .collect()
}

fn events() -> Result<Outcome, String> {
    let host = host("")?;
    let address = &host.daemon()?.address;
    let mut all = EventStream::open(address, "", "")?;
    let query = "?types=PROCESS_STATE_STOPPED&name=g:*";
    let mut some = EventStream::open(address, query, "")?;
    post(&host, "/processes/web/stop", "")?;
    post(&host, "/processes/g:a/stop", "")?;
    post(&host, "/events", "{\"type\": \"t\", \"data\": \"a\\nb\"}")?;
    let last = "\"kind\":\"t\"";
    all.read_to(last)?;
    for part in [
        "event: PROCESS_STATE_STOPPING\n",
        "event: PROCESS_STATE_STOPPED\n",
        "\"process\":\"web\"",
        "\"from\":\"RUNNING\"",
        "\"data\":\"a\\nb\"",
    ] {
        expect(all.text.contains(part), format!("{part}: {}", all.text))?;
    }
    some.read_to("\"process\":\"a\"")?;
    expect(
        !some.text.contains("\"web\"") && !some.text.contains("STOPPING\n"),
        some.text,
    )?;
    // A client that was away gets what it lacks: everything after its last event.
    let all_ids = ids(&all.text);
    let first = all_ids.get(1).ok_or("no event")?;
    let mut again = EventStream::open(address, "", &format!("Last-Event-ID: {first}\r\n"))?;
    again.read_to(last)?;
    let repeated: Vec<&str> = ids(&again.text).into_iter().skip(1).collect();
    same(
        repeated,
        all_ids[2..].to_vec(),
        "the ids after the first event",
    )?;
    expect(!again.text.contains("event: missed"), again.text)?;
    // The id of another daemon: how many events are lost is not known.
    let mut foreign = EventStream::open(address, "", "Last-Event-ID: 1-1\r\n")?;
    foreign.read_to("event: missed\ndata: {\"count\":null}\n\n")?;
    // A silent stream has comments.
    let mut silent = EventStream::open(address, "?types=TICK", "")?;
    silent.read_to(": heartbeat\n")?;
    Ok(Outcome::Passed)
}

fn slow_client() -> Result<Outcome, String> {
    /// How much is sent: twenty times what the history keeps.
    const MESSAGES: usize = 100;
    let host = host("")?;
    let daemon = host.daemon()?;
    let mut slow = EventStream::open(&daemon.address, "", "")?;
    let data = "x".repeat(400 << 10);
    let message = format!("{{\"type\": \"t\", \"data\": \"{data}\"}}");
    // The first ones fill the buffers, which are used again.
    for _ in 0..5 {
        post(&host, "/events", &message)?;
    }
    let before = proc::resident_kib(daemon.pid());
    for _ in 0..MESSAGES {
        post(&host, "/events", &message)?;
    }
    let after = proc::resident_kib(daemon.pid());
    let most = 20 << 10;
    expect(
        after < before + most,
        format!("{before} KiB of memory, then {after}"),
    )?;
    // If the daemon has closed the connection meanwhile, its client comes back.
    let missed = "event: missed\n";
    if slow.read_to(missed).is_err() {
        let id = ids(&slow.text).pop().ok_or("no id")?;
        let header = format!("Last-Event-ID: {id}\r\n");
        EventStream::open(&daemon.address, "", &header)?.read_to(missed)?;
    }
    Ok(Outcome::Passed)
}

/// Opens a stream. Returns the connection and the head of the response.
fn open_stream(address: &Address) -> Result<(Connection, String), String> {
    let mut connection = Connection::open(address).map_err(|error| error.to_string())?;
    connection
        .send(b"GET /api/v1/events HTTP/1.1\r\nHost: x\r\n\r\n")
        .map_err(|error| error.to_string())?;
    let head = connection.read_until(b"\r\n\r\n", LIMIT);
    Ok((connection, String::from_utf8_lossy(&head).into_owned()))
}

fn bounded_streams() -> Result<Outcome, String> {
    let host = host("")?;
    let address = &host.daemon()?.address;
    let is_open = |head: &str| head.starts_with("HTTP/1.1 200");
    let mut open = Vec::new();
    let refusal = loop {
        let (connection, head) = open_stream(address)?;
        if !is_open(&head) {
            break head;
        }
        open.push(connection);
        expect(open.len() <= 256, "more than 256 streams")?;
    };
    expect(
        refusal.starts_with("HTTP/1.1 503") && refusal.contains("Retry-After: 1"),
        refusal,
    )?;
    // Other requests are answered, and a stream that ends makes room.
    get(&host, "/daemon/state")?;
    open.pop();
    wait_for("another stream", LIMIT, || {
        open_stream(address).is_ok_and(|(_, head)| is_open(&head))
    })?;
    Ok(Outcome::Passed)
}

/// A program of the venv with the tools for OpenAPI.
fn tool(name: &str) -> Result<PathBuf, Outcome> {
    let here = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("target/rest-tools");
    let venv = std::env::var_os("REST_TOOLS").map_or(here, PathBuf::from);
    let path = venv.join("bin").join(name);
    match path.exists() {
        true => Ok(path),
        false => Err(Outcome::Skipped(format!(
            "{name} is not installed (tests/run --install)"
        ))),
    }
}

/// Runs a tool to its end.
fn succeeds(host: &Host, mut command: Command) -> Result<String, String> {
    // schemathesis writes a cache into its directory.
    command
        .current_dir(host.place.path())
        .env("PYTHONDONTWRITEBYTECODE", "1");
    let done = run(command, host.place.path(), None, Duration::from_secs(300))?;
    let said = format!("{}{}", done.stdout, done.stderr);
    expect(done.code == 0, said.clone())?;
    Ok(said)
}

/// A daemon at a port, with all namespaces, and its document in a file.
fn documented() -> Result<(Host, String, PathBuf), String> {
    let port = free_port()?;
    let host = host(&format!(
        "[inet_http_server]\nport=127.0.0.1:{port}\nusername=u\npassword=p\n[rpcinterface:twiddler]\n\
         supervisor.rpcinterface_factory=supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface\n"
    ))?;
    let answer = ask(
        &Address::Port(port),
        "GET /api/v1/openapi.json",
        "Authorization: Basic dTpw\r\n",
        "",
    )?;
    same(answer.code(), 200, "the document")?;
    let text = String::from_utf8(answer.body).map_err(|error| error.to_string())?;
    let file = host.place.write("openapi.json", &text)?;
    Ok((host, format!("http://127.0.0.1:{port}"), file))
}

fn validator() -> Result<Outcome, String> {
    let validator = match tool("openapi-spec-validator") {
        Ok(validator) => validator,
        Err(skipped) => return Ok(skipped),
    };
    let (host, _, file) = documented()?;
    let mut command = Command::new(validator);
    command.arg(file);
    succeeds(&host, command)?;
    Ok(Outcome::Passed)
}

fn schemathesis() -> Result<Outcome, String> {
    let schemathesis = match tool("schemathesis") {
        Ok(schemathesis) => schemathesis,
        Err(skipped) => return Ok(skipped),
    };
    let (host, url, file) = documented()?;
    let mut command = Command::new(schemathesis);
    command
        .arg("run")
        .arg(file)
        .args(["--url", &format!("{url}/api/v1"), "--auth", "u:p"])
        .args(["--checks", "all", "--phases", "coverage,fuzzing"])
        .args(["--max-examples", "10", "--generation-deterministic"])
        // A state of the daemon also refuses valid requests, such as an update of a group that has not changed.
        .args(["--exclude-checks", "positive_data_acceptance"])
        // A stream does not end, and a daemon that is restarted or shut down does not answer.
        .args(["--exclude-operation-id", "streamEvents"])
        .args(["--exclude-operation-id", "restart"])
        .args(["--exclude-operation-id", "shutdown"])
        .arg("--no-color");
    let said = succeeds(&host, command)?;
    // All operations but the three above.
    let selected = said.split_once("Selected: ").map_or("", |(_, rest)| rest);
    let numbers = selected.lines().next().and_then(|line| {
        let (tested, all) = line.trim().split_once('/')?;
        Some((tested.parse::<u32>().ok()?, all.parse::<u32>().ok()?))
    });
    expect(
        numbers.is_some_and(|(tested, all)| tested > 50 && tested + 3 == all),
        said,
    )?;
    expect(
        host.daemon()?.call("supervisor.getPID", &[]).is_ok(),
        "no daemon",
    )?;
    Ok(Outcome::Passed)
}

/// Lists the processes, restarts one, and reads a problem.
const CLIENT: &str = r#"
import sys
from supervisord_client import AuthenticatedClient
from supervisord_client.api.processes import get_all_process_info, rolling_restart, start_process
from supervisord_client.models import GetAllProcessInfoStateItem, RollingRestartBody

client = AuthenticatedClient(
    base_url=sys.argv[1] + "/api/v1", token="dTpw", prefix="Basic", raise_on_unexpected_status=True
)

def pids():
    running = [GetAllProcessInfoStateItem("RUNNING")]
    return {one.name: one.pid for one in get_all_process_info.sync(client=client, state=running)}

before = pids()
assert sorted(before) == ["a", "b", "web"], before
done = rolling_restart.sync("web,g:a", client=client, body=RollingRestartBody(at_once=1))
assert [one.status for one in done] == [80, 80], done
after = pids()
assert after["web"] != before["web"] and after["b"] == before["b"], (before, after)
refused = start_process.sync_detailed("web", client=client)
assert refused.status_code == 409 and refused.parsed.fault == "ALREADY_STARTED", refused
"#;

fn generated_client() -> Result<Outcome, String> {
    let (generator, python) = match (tool("openapi-python-client"), tool("python")) {
        (Ok(generator), Ok(python)) => (generator, python),
        (Err(skipped), _) | (_, Err(skipped)) => return Ok(skipped),
    };
    let (host, url, file) = documented()?;
    let package = host.place.join("client");
    let mut command = Command::new(&generator);
    command
        .args(["generate", "--fail-on-warning", "--meta", "none", "--path"])
        .arg(file)
        .arg("--output-path")
        .arg(package.join("supervisord_client"))
        .env("PATH", generator.parent().ok_or("a directory")?);
    std::fs::create_dir(&package).map_err(|error| error.to_string())?;
    succeeds(&host, command)?;
    let script = host.place.write("client.py", CLIENT)?;
    let mut command = Command::new(python);
    command.arg(script).arg(url).env("PYTHONPATH", package);
    succeeds(&host, command)?;
    Ok(Outcome::Passed)
}
