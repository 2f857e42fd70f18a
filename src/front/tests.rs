//! The front as clients see it: real sockets, real HTTP, and an engine that is a closure.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::bind::tests::{Scratch, inet_spec, unix_spec};
use super::view::tests::cat;
use super::*;
use crate::api::xmlrpc::{Call, Value, read_response, write_call, write_response};
use crate::api::{
    Caller, Fault, FaultCode, Front as Door, LogOf, ProcessView, Reply, Request, Target,
};
use crate::config::spec::Credentials;
use crate::control::{Asked, ControlHandle};
use crate::domain::{Level, Line, ProcessName, SupervisorState};

/// No test waits longer than this for what must come.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct Seen {
    asked: Vec<(Caller, Request)>,
    deferred: Vec<Asked>,
    lines: Vec<Line>,
    stopping: bool,
}

/// A running front with a unix and a TCP server, before an engine that answers at once but for `startProcess slow`.
struct World {
    front: Option<Front>,
    socket: PathBuf,
    inet: SocketAddr,
    seen: Arc<Mutex<Seen>>,
    scratch: Scratch,
}

struct Setup {
    password: Option<&'static str>,
    interfaces: Vec<String>,
    limits: Limits,
}

impl Default for Setup {
    fn default() -> Self {
        Self {
            password: None,
            interfaces: vec!["supervisor".to_owned()],
            limits: Limits {
                connections_max: 100,
                head_within: Duration::from_secs(60),
            },
        }
    }
}

fn engine(request: &Request, logs: &Path) -> Result<Reply, Fault> {
    match request {
        Request::State => Ok(Reply::State(SupervisorState::Running)),
        Request::Pid => Ok(Reply::Pid(42)),
        Request::Identification => Ok(Reply::Text("esc \u{1b}[1m & <é>".to_owned())),
        Request::ProcessInfo(name) if name == "cat" => Ok(Reply::Processes(vec![cat()])),
        Request::ProcessInfo(name) => Err(FaultCode::BadName.of(name)),
        Request::AllProcessInfo => {
            let named = |number| ProcessView {
                name: ProcessName::parse(&format!("p{number}")).expect("valid"),
                ..cat()
            };
            Ok(Reply::Processes((0..2000).map(named).collect()))
        }
        Request::Stop {
            target: Target::Group(name),
            ..
        } => Err(FaultCode::BadName.of(name)),
        Request::LogFile(LogOf::Daemon) => Ok(Reply::LogFile(Some(logs.join("main").into()))),
        Request::LogFile(LogOf::Process(name, _)) if name == "cat" => {
            Ok(Reply::LogFile(Some(logs.join("cat").into())))
        }
        Request::LogFile(LogOf::Process(name, _)) if name == "nolog" => Ok(Reply::LogFile(None)),
        Request::LogFile(LogOf::Process(name, _)) => Err(FaultCode::BadName.of(name)),
        Request::RemoveGroup(name) if name == "panic" => panic!("as the test wants"),
        _ => Ok(Reply::Done),
    }
}

impl World {
    fn new(name: &str) -> Self {
        Self::with(name, Setup::default())
    }

    fn with(name: &str, setup: Setup) -> Self {
        let scratch = Scratch::new(name);
        let socket = scratch.0.join("s.sock");
        let credentials = setup.password.map(|password| Credentials {
            username: "u".to_owned(),
            password: password.to_owned(),
        });
        let mut specs = [inet_spec("127.0.0.1", 0), unix_spec(&socket)];
        for spec in &mut specs {
            spec.credentials.clone_from(&credentials);
        }
        let servers = BoundServer::bind_all(&specs).expect("bound");
        let inet = servers[0].inet_address().expect("inet");
        let seen = Arc::new(Mutex::new(Seen::default()));
        let (for_engine, for_log) = (seen.clone(), seen.clone());
        let logs = scratch.0.clone();
        let control = ControlHandle::new(move |mut asked: Asked| {
            (std::mem::replace(&mut asked.taken, Box::new(|| {})))();
            let answer = {
                let mut seen = for_engine.lock().expect("whole");
                let question = (asked.caller.clone(), asked.request.clone());
                seen.asked.push(question);
                if let Request::Start { .. } = asked.request {
                    seen.deferred.push(asked);
                    return Ok(());
                }
                if seen.stopping {
                    Err(FaultCode::ShutdownState.bare())
                } else {
                    drop(seen);
                    engine(&asked.request, &logs)
                }
            };
            (asked.answer)(answer);
            Ok(())
        });
        let front = start(Options {
            servers,
            control,
            log: Arc::new(move |line| for_log.lock().expect("whole").lines.push(line)),
            rpc_interfaces: setup.interfaces,
            limits: setup.limits,
        })
        .expect("started");
        Self {
            front: Some(front),
            socket,
            inet,
            seen,
            scratch,
        }
    }

    fn unix(&self) -> UnixStream {
        let stream = UnixStream::connect(&self.socket).expect("connected");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        stream.set_write_timeout(Some(LIMIT)).expect("set");
        stream
    }

    fn tcp(&self) -> TcpStream {
        let stream = TcpStream::connect(self.inet).expect("connected");
        stream.set_read_timeout(Some(LIMIT)).expect("set");
        stream.set_write_timeout(Some(LIMIT)).expect("set");
        stream
    }

    /// Sends a request and reads until the server closes.
    fn get(&self, request: &str) -> String {
        let mut stream = self.unix();
        stream.write_all(request.as_bytes()).expect("written");
        stream.shutdown(Shutdown::Write).expect("ended");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        String::from_utf8(answer).expect("text")
    }

    fn call(&self, method: &str, params: Vec<Value>) -> Result<Value, (i64, String)> {
        let mut stream = self.unix();
        let answer = exchange(&mut stream, &post(&body(method, params)));
        read_response(&answer.1)
            .expect("well-formed")
            .map_err(|fault| (fault.code, fault.text))
    }

    fn lines(&self, level: Level) -> Vec<String> {
        let seen = self.seen.lock().expect("whole");
        let lines = seen.lines.iter().filter(|line| line.level() == level);
        lines.map(ToString::to_string).collect()
    }

    /// Waits until `condition` holds.
    fn until(&self, what: &str, condition: impl Fn(&mut Seen) -> bool) {
        let end = Instant::now() + LIMIT;
        while !condition(&mut self.seen.lock().expect("whole")) {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn body(method: &str, params: Vec<Value>) -> Vec<u8> {
    let method = method.to_owned();
    write_call(&Call { method, params })
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends, and reads one answer with a length: head and body.
fn exchange<S: Read + Write>(stream: &mut S, request: &[u8]) -> (String, Vec<u8>) {
    stream.write_all(request).expect("written");
    receive(stream)
}

fn receive(stream: &mut impl Read) -> (String, Vec<u8>) {
    let mut head = Vec::new();
    let mut byte = [0];
    while !head.ends_with(b"\r\n\r\n") {
        stream.read_exact(&mut byte).expect("a head");
        head.push(byte[0]);
    }
    let head = String::from_utf8(head).expect("text");
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("Content-Length: "))
        .map_or(0, |length| length.parse().expect("a number"));
    let mut body = vec![0; length];
    stream.read_exact(&mut body).expect("a body");
    (head, body)
}

#[test]
fn rpc_08_an_answer_is_a_genuine_one() {
    let world = World::new("answer");
    let mut stream = world.unix();
    let (head, answer) = exchange(&mut stream, &post(&body("supervisor.getState", vec![])));
    let mut lines: Vec<_> = head
        .lines()
        .filter(|line| !line.starts_with("Date: "))
        .collect();
    lines.sort_unstable();
    assert_eq!(
        lines,
        [
            "",
            "Content-Length: 279",
            "Content-Type: text/xml",
            "HTTP/1.1 200 OK",
            "Server: Medusa/1.12"
        ]
    );
    assert_eq!(answer.len(), 279);
    // The same connection serves the next one.
    let (_, answer) = exchange(&mut stream, &post(&body("supervisor.getPID", vec![])));
    assert_eq!(read_response(&answer), Ok(Ok(Value::Int(42))));
    let asked = &world.seen.lock().expect("whole").asked[0].0;
    assert_eq!(asked.front, Door::Unix);
    assert_eq!(asked.uid, Some(nix::unistd::geteuid().as_raw()));
    assert_eq!(asked.pid, i32::try_from(std::process::id()).ok());
}

#[test]
fn log_lines_are_supervisors() {
    let world = World::new("lines");
    world.call("supervisor.getPID", vec![]).expect("answered");
    world.call("nope", vec![]).expect_err("a fault");
    world.get("POST /RPC2 HTTP/1.1\r\nContent-Length: 4\r\n\r\njunk");
    world.get("POST /RPC2 HTTP/1.1\r\nContent-Length: 13\r\n\r\n<methodCall/>");
    assert_eq!(
        world.lines(Level::Critical),
        [
            "Server 'inet_http_server' running without any HTTP authentication checking",
            "Server 'unix_http_server' running without any HTTP authentication checking"
        ]
    );
    assert_eq!(
        world.lines(Level::Info),
        ["RPC interface 'supervisor' initialized"; 2]
    );
    assert_eq!(
        world.lines(Level::Error),
        [
            "XML-RPC request data 'junk' is invalid: unmarshallable",
            "XML-RPC request data '<methodCall/>' is invalid: no method name"
        ]
    );
    let traces = world.lines(Level::Trace);
    for expected in [
        "XML-RPC method called: supervisor.getPID()",
        "XML-RPC method supervisor.getPID() returned successfully",
        "XML-RPC method called: nope()",
        "XML-RPC method nope() returned fault: [1] UNKNOWN_METHOD",
    ] {
        assert!(
            traces.iter().any(|line| line == expected),
            "{expected}: {traces:?}"
        );
    }
    // 391 and 268 are what a genuine Supervisor counts for these answers.
    let access: Vec<_> = traces
        .iter()
        .filter(|line| line.starts_with("localhost:0 - - ["))
        .collect();
    assert!(
        access[1].ends_with("] \"POST /RPC2 HTTP/1.1\" 200 391"),
        "{access:?}"
    );
    assert!(
        access[2].ends_with("] \"POST /RPC2 HTTP/1.1\" 400 268"),
        "{access:?}"
    );
}

#[test]
fn rpc_01_everything_asks_for_the_password() {
    let world = World::with(
        "auth",
        Setup {
            password: Some("p"),
            ..Setup::default()
        },
    );
    for path in [
        "/",
        "/RPC2",
        "/logtail/cat",
        "/mainlogtail",
        "/ok.html",
        "/nope",
    ] {
        for header in [
            "",
            "Authorization: Basic dTpx\r\n",
            "Authorization: Bearer x\r\n",
            "Authorization: Basic dQ==\r\n",
        ] {
            let answer = world.get(&format!("GET {path} HTTP/1.1\r\n{header}\r\n"));
            assert!(
                answer.starts_with("HTTP/1.1 401 Unauthorized\r\n"),
                "{path} {answer}"
            );
            assert!(
                answer.contains("\r\nWww-Authenticate: Basic realm=\"default\"\r\n"),
                "{answer}"
            );
            assert!(answer.contains("\r\nConnection: close\r\n"), "{answer}");
            assert!(
                answer.ends_with("<p>Message: Unauthorized.\r\n</body>\r\n"),
                "{answer}"
            );
        }
    }
    let right = world.get("GET /ok.html HTTP/1.1\r\nAuthorization: Basic dTpw\r\n\r\n");
    assert!(
        right.starts_with("HTTP/1.1 200 OK\r\n") && right.ends_with("\r\n\r\nOK"),
        "{right}"
    );
    let bad = world.get("GET /ok.html HTTP/1.1\r\nAuthorization: Basic !!!\r\n\r\n");
    assert!(bad.starts_with("HTTP/1.1 400 "), "{bad}");
    assert!(world.seen.lock().expect("whole").asked.is_empty());
    assert!(world.lines(Level::Critical).is_empty());
    let body = body("supervisor.getPID", vec![]);
    let head = format!(
        "POST /RPC2 HTTP/1.0\r\nAuthorization: Basic dTpw\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let answer = world.get(&(head + std::str::from_utf8(&body).expect("text")));
    assert!(answer.contains("<int>42</int>"), "{answer}");
    assert_eq!(
        world.seen.lock().expect("whole").asked[0]
            .0
            .login
            .as_deref(),
        Some("u")
    );
}

#[test]
fn rpc_04_refusals() {
    let world = World::new("refusals");
    let table = [
        ("GET /RPC2 HTTP/1.1\r\n\r\n", 400),
        ("GET / HTTP/1.1\r\n\r\n", 404),
        ("GET /nope HTTP/1.1\r\n\r\n", 404),
        ("HEAD /nope HTTP/1.1\r\n\r\n", 404),
        ("GET //RPC2 HTTP/1.1\r\n\r\n", 404),
        ("GET /../../etc/passwd HTTP/1.1\r\n\r\n", 404),
        ("PUT /nope HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /nope HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /RPC2 HTTP/1.1\r\n\r\n", 411),
        ("POST /RPC2 HTTP/1.1\r\nContent-Length: x\r\n\r\n", 400),
        ("POST /RPC2 HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400),
        ("POST /RPC2xyz HTTP/1.1\r\nContent-Length: 1\r\n\r\n<", 400),
        (
            "POST /RPC2 HTTP/1.1\r\nContent-Length: 5\r\n\r\n<a\x1b/>",
            400,
        ),
        (
            "POST /RPC2 HTTP/1.1\r\nOrigin: http://evil.example\r\nContent-Length: 0\r\n\r\n",
            403,
        ),
        (
            "POST /logtail/cat HTTP/1.1\r\nContent-Length: 0\r\n\r\n",
            400,
        ),
        ("GET /logtail HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/nope HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/nolog HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/cat HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/cat/nope HTTP/1.1\r\n\r\n", 404),
        ("GET /logtail/cat/stdout/x HTTP/1.1\r\n\r\n", 404),
        ("GET /mainlogtail HTTP/1.1\r\n\r\n", 404),
        ("GARBAGE\r\n\r\n", 400),
        ("GET /ok.html HTTP/1.1\r\n\r\n", 200),
        ("GET /ok.html?x=1 HTTP/1.0\r\n\r\n", 200),
    ];
    for (request, status) in table {
        let answer = world.get(request);
        let found = answer.split(' ').nth(1).expect("a status line");
        assert_eq!(found, status.to_string(), "{request}: {answer}");
    }
}

#[test]
fn rpc_03_keep_alive() {
    let world = World::new("keep");
    let mut stream = world.tcp();
    let (head, _) = exchange(
        &mut stream,
        b"GET /ok.html HTTP/1.0\r\nConnection: Keep-Alive\r\n\r\n",
    );
    assert!(
        head.starts_with("HTTP/1.0 200") && head.contains("\r\nConnection: Keep-Alive\r\n"),
        "{head}"
    );
    let (head, _) = exchange(&mut stream, b"GET /ok.html HTTP/1.0\r\n\r\n");
    assert!(!head.to_lowercase().contains("keep-alive"), "{head}");
    assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
    let mut stream = world.tcp();
    for _ in 0..3 {
        let (head, _) = exchange(&mut stream, b"GET /ok.html HTTP/1.1\r\n\r\n");
        assert!(!head.contains("Connection:"), "{head}");
    }
    exchange(
        &mut stream,
        b"GET /ok.html HTTP/1.1\r\nConnection: close\r\n\r\n",
    );
    assert_eq!(stream.read(&mut [0]).expect("closed"), 0);
    // An error does not end it.
    let mut stream = world.tcp();
    let (head, _) = exchange(&mut stream, b"GET /nope HTTP/1.1\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 404"), "{head}");
    exchange(&mut stream, b"GET /ok.html HTTP/1.1\r\n\r\n");
}

#[test]
fn requests_in_a_row_are_answered_in_order() {
    let world = World::new("pipeline");
    let mut stream = world.unix();
    let request = |name: &str| post(&body("supervisor.getProcessInfo", vec![Value::text(name)]));
    stream
        .write_all(&[request("a"), request("cat"), request("b")].concat())
        .expect("written");
    let texts: Vec<_> = (0..3)
        .map(|_| String::from_utf8(receive(&mut stream).1).expect("text"))
        .collect();
    assert!(texts[0].contains("BAD_NAME: a") && texts[2].contains("BAD_NAME: b"));
    assert!(texts[1].contains("pid 7, uptime 0:00:01"), "{}", texts[1]);
}

#[test]
fn half_closed_and_chunked_requests_are_answered() {
    let world = World::new("half");
    let call = body("supervisor.getPID", vec![]);
    let head = "POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n";
    let text = std::str::from_utf8(&call).expect("text");
    let answer = world.get(&format!("{head}{:x}\r\n{text}\r\n0\r\n\r\n", call.len()));
    assert!(answer.contains("<int>42</int>"), "{answer}");
}

#[test]
fn huge_bodies_are_refused_and_the_client_hears_of_it() {
    let world = World::new("huge");
    let mut stream = world.tcp();
    let length = 100_u64 << 20;
    let head = format!("POST /RPC2 HTTP/1.1\r\nContent-Length: {length}\r\n\r\n");
    stream.write_all(head.as_bytes()).expect("written");
    let block = vec![b'x'; 1 << 20];
    for _ in 0..100 {
        stream.write_all(&block).expect("written");
    }
    let (head, _) = receive(&mut stream);
    assert!(
        head.starts_with("HTTP/1.1 413 Payload Too Large\r\n"),
        "{head}"
    );
    // Without a length the same limit holds.
    let mut stream = world.tcp();
    stream
        .write_all(b"POST /RPC2 HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n")
        .expect("written");
    for _ in 0..17 {
        stream.write_all(b"100000\r\n").expect("written");
        stream.write_all(&block).expect("written");
        stream.write_all(b"\r\n").expect("written");
    }
    stream.write_all(b"0\r\n\r\n").expect("written");
    assert!(receive(&mut stream).0.starts_with("HTTP/1.1 413 "));
    assert_eq!(world.call("supervisor.getPID", vec![]), Ok(Value::Int(42)));
}

#[test]
fn bombs_do_not_go_off() {
    let world = World::new("bomb");
    let entities: String = (1..30)
        .map(|n| format!("<!ENTITY e{n} \"&e{};&e{};\">", n - 1, n - 1))
        .collect();
    let bomb = format!(
        "<!DOCTYPE x [<!ENTITY e0 \"x\">{entities}]><methodCall><methodName>&e29;</methodName></methodCall>"
    );
    let answer = world.get(std::str::from_utf8(&post(bomb.as_bytes())).expect("text"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
    let deep = "<value><array><data>".repeat(500_000);
    let deep = format!("<methodCall><methodName>a</methodName><params><param>{deep}");
    let answer = world.get(std::str::from_utf8(&post(deep.as_bytes())).expect("text"));
    assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
}

#[test]
fn slow_and_vanished_clients_cost_nothing_to_others() {
    let limits = Limits {
        connections_max: 8,
        head_within: Duration::from_secs(60),
    };
    let world = World::with(
        "slow",
        Setup {
            limits,
            ..Setup::default()
        },
    );
    // More than there is room for, each with half a request. The oldest give way to the newest.
    let mut slow: Vec<_> = (0..20)
        .map(|_| {
            let mut stream = world.tcp();
            let _ = stream.write_all(b"POST /RPC2 HT");
            stream
        })
        .collect();
    for _ in 0..20 {
        assert_eq!(world.call("supervisor.getPID", vec![]), Ok(Value::Int(42)));
    }
    let ended = match slow[0].read(&mut [0]) {
        Ok(count) => count == 0,
        Err(error) => error.kind() == std::io::ErrorKind::ConnectionReset,
    };
    assert!(ended, "the oldest one is closed");
    // Clients that go away in the middle, with and without a reset.
    for _ in 0..50 {
        let mut stream = world.tcp();
        let _ = stream.write_all(&post(&body("supervisor.getAllProcessInfo", vec![])));
        drop(stream);
    }
    assert_eq!(world.call("supervisor.getPID", vec![]), Ok(Value::Int(42)));
}

#[test]
fn a_head_that_does_not_come_is_not_awaited_for_ever() {
    let limits = Limits {
        connections_max: 8,
        head_within: Duration::from_millis(200),
    };
    let world = World::with(
        "head",
        Setup {
            limits,
            ..Setup::default()
        },
    );
    let mut stream = world.tcp();
    stream
        .write_all(b"GET /ok.html HTTP/1.1\r\nX: ")
        .expect("written");
    let mut rest = Vec::new();
    stream.read_to_end(&mut rest).expect("closed");
    assert!(!String::from_utf8_lossy(&rest).contains("200 OK"));
}

#[test]
fn busy_connections_are_not_sent_away() {
    let limits = Limits {
        connections_max: 3,
        head_within: Duration::from_secs(60),
    };
    let world = World::with(
        "busy",
        Setup {
            limits,
            ..Setup::default()
        },
    );
    let start = post(&body("supervisor.startProcess", vec![Value::text("slow")]));
    let mut waiting: Vec<_> = (0..2)
        .map(|_| {
            let mut stream = world.unix();
            stream.write_all(&start).expect("written");
            stream
        })
        .collect();
    world.until("both wait", |seen| seen.deferred.len() == 2);
    for _ in 0..10 {
        assert_eq!(world.call("supervisor.getPID", vec![]), Ok(Value::Int(42)));
    }
    for asked in world.seen.lock().expect("whole").deferred.drain(..) {
        (asked.answer)(Ok(Reply::Done));
    }
    for stream in &mut waiting {
        assert_eq!(read_response(&receive(stream).1), Ok(Ok(Value::Bool(true))));
    }
    // All places are taken by calls that wait, but one of the clients is gone.
    for _ in 0..3 {
        waiting.push(world.unix());
        waiting
            .last_mut()
            .expect("pushed")
            .write_all(&start)
            .expect("written");
    }
    waiting.drain(..2);
    world.until("three wait", |seen| seen.deferred.len() == 3);
    waiting.pop();
    assert_eq!(world.call("supervisor.getPID", vec![]), Ok(Value::Int(42)));
}

#[test]
fn a_panic_ends_one_connection_only() {
    let world = World::new("panic");
    let mut stream = world.unix();
    let request = post(&body(
        "supervisor.removeProcessGroup",
        vec![Value::text("panic")],
    ));
    stream.write_all(&request).expect("written");
    let mut rest = Vec::new();
    let _ = stream.read_to_end(&mut rest);
    assert!(rest.is_empty());
    assert_eq!(world.call("supervisor.getPID", vec![]), Ok(Value::Int(42)));
    world.until("the panic is logged", |seen| {
        seen.lines
            .iter()
            .any(|line| matches!(line, Line::MethodFailed { .. }))
    });
}

#[test]
fn rpc_36_multicall() {
    let world = World::new("multi");
    let call = |name: &str, params: Vec<Value>| {
        Value::Struct(vec![
            ("methodName".to_owned(), Value::text(name)),
            ("params".to_owned(), Value::Array(params)),
        ])
    };
    let calls = vec![
        call("supervisor.getPID", vec![]),
        Value::Struct(vec![(
            "methodName".to_owned(),
            Value::text("supervisor.getPID"),
        )]),
        call("supervisor.foo", vec![]),
        Value::Struct(vec![]),
        call("system.multicall", vec![Value::Array(vec![])]),
        call("supervisor.getPID", vec![Value::Int(1)]),
        Value::Int(5),
        call("supervisor.readLog", vec![Value::Int(-1), Value::Int(1)]),
        call("system.methodHelp", vec![Value::text("x")]),
    ];
    let fault = |code, text: &str| Value::fault(code, text);
    std::fs::write(world.scratch.0.join("main"), "log").expect("written");
    assert_eq!(
        world.call("system.multicall", vec![Value::Array(calls)]),
        Ok(Value::Array(vec![
            Value::Int(42),
            Value::Int(42),
            fault(1, "UNKNOWN_METHOD"),
            fault(2, "INCORRECT_PARAMETERS: No methodName"),
            fault(
                2,
                "INCORRECT_PARAMETERS: Recursive system.multicall forbidden"
            ),
            fault(2, "INCORRECT_PARAMETERS"),
            fault(2, "INCORRECT_PARAMETERS"),
            fault(3, "BAD_ARGUMENTS"),
            fault(4, "SIGNATURE_UNSUPPORTED"),
        ]))
    );
    // One after the other: the second is not asked before the first is answered.
    let mut stream = world.unix();
    let start = call("supervisor.startProcess", vec![Value::text("slow")]);
    let calls = Value::Array(vec![start.clone(), start]);
    stream
        .write_all(&post(&body("system.multicall", vec![calls])))
        .expect("written");
    for _ in 0..2 {
        world.until("one waits", |seen| seen.deferred.len() == 1);
        let asked = world.seen.lock().expect("whole").deferred.remove(0);
        (asked.answer)(Ok(Reply::Done));
    }
    let answer = read_response(&receive(&mut stream).1);
    assert_eq!(
        answer,
        Ok(Ok(Value::Array(vec![Value::Bool(true), Value::Bool(true)])))
    );
}

#[test]
fn rpc_13_while_stopping_all_but_system_faults() {
    let world = World::new("stopping");
    world.seen.lock().expect("whole").stopping = true;
    let fault = Err((6, "SHUTDOWN_STATE".to_owned()));
    for method in [
        "supervisor.getAPIVersion",
        "supervisor.getPID",
        "supervisor.getSupervisorVersion",
    ] {
        assert_eq!(world.call(method, vec![]), fault, "{method}");
    }
    let read = vec![Value::Int(0), Value::Int(0)];
    assert_eq!(world.call("supervisor.readLog", read), fault);
    assert!(world.call("system.listMethods", vec![]).is_ok());
}

#[test]
fn cfg_interface_absent_leaves_system_only() {
    let world = World::with(
        "absent",
        Setup {
            interfaces: vec![],
            ..Setup::default()
        },
    );
    let unknown = Err((1, "UNKNOWN_METHOD".to_owned()));
    assert_eq!(world.call("supervisor.getPID", vec![]), unknown);
    let name = vec![Value::text("supervisor.getPID")];
    assert_eq!(
        world.call("system.methodHelp", name),
        Err((4, "SIGNATURE_UNSUPPORTED".to_owned()))
    );
    assert!(world.call("system.listMethods", vec![]).is_ok());
    assert!(world.lines(Level::Info).is_empty());
}

#[test]
fn rpc_19_a_wildcards_fault_says_it_as_given() {
    let world = World::new("wildcard");
    assert_eq!(
        world.call("supervisor.stopProcess", vec![Value::text("nope:*")]),
        Err((10, "BAD_NAME: nope:*".to_owned()))
    );
}

#[test]
fn rpc_26_logs_are_read_with_bad_bytes_replaced() {
    let world = World::new("logs");
    let read = |method: &str, name: &str| {
        world.call(
            method,
            vec![Value::text(name), Value::Int(0), Value::Int(100)],
        )
    };
    assert_eq!(
        read("supervisor.readProcessStdoutLog", "cat"),
        Err((
            20,
            format!("NO_FILE: {}", world.scratch.0.join("cat").display())
        ))
    );
    assert_eq!(
        read("supervisor.readProcessLog", "nolog"),
        Err((20, "NO_FILE".to_owned()))
    );
    let tail = |text: &str, size| {
        Ok(Value::Array(vec![
            Value::text(text),
            Value::Int(size),
            Value::Bool(false),
        ]))
    };
    assert_eq!(read("supervisor.tailProcessLog", "nolog"), tail("", 0));
    std::fs::write(world.scratch.0.join("cat"), b"a\xff\x1bb\n").expect("written");
    assert_eq!(
        read("supervisor.readProcessStderrLog", "cat"),
        Ok(Value::text("a\u{fffd}\u{fffd}b\n"))
    );
    assert_eq!(
        read("supervisor.tailProcessStderrLog", "cat"),
        tail("a\u{fffd}\u{fffd}b\n", 5)
    );
    assert_eq!(
        read("supervisor.tailProcessLog", "x"),
        Err((10, "BAD_NAME: x".to_owned()))
    );
    // Sparse, so that the test needs no room.
    let file = std::fs::File::create(world.scratch.0.join("cat")).expect("created");
    file.set_len(1 << 40).expect("sparse");
    let fault = world.call(
        "supervisor.readProcessLog",
        vec![Value::text("cat"), Value::Int(0), Value::Int(0)],
    );
    assert!(fault.is_err_and(|(code, text)| code == 30 && text.contains("read it in parts")));
}

/// Reads until `text` has come.
fn until_text(stream: &mut impl Read, text: &str) -> String {
    let mut all = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let seen = String::from_utf8_lossy(&all).into_owned();
        if seen.contains(text) {
            return seen;
        }
        let count = stream.read(&mut buffer).expect("more");
        assert_ne!(count, 0, "ended before {text:?}: {seen}");
        all.extend_from_slice(&buffer[..count]);
    }
}

#[test]
fn rpc_38_growing_logs() {
    let mut world = World::new("growing");
    let path = world.scratch.0.join("cat");
    std::fs::write(&path, format!("{}{}", "x".repeat(2000), "end")).expect("written");
    let mut stream = world.tcp();
    stream
        .write_all(b"GET /logtail/c%61t HTTP/1.1\r\n\r\n")
        .expect("written");
    let head = until_text(&mut stream, "end");
    for line in [
        "HTTP/1.1 200 OK",
        "Content-Type: text/plain;charset=utf-8",
        "X-Accel-Buffering: no",
        "Transfer-Encoding: chunked",
    ] {
        assert!(
            head.to_lowercase().contains(&line.to_lowercase()),
            "{line}: {head}"
        );
    }
    assert!(
        head.contains("Last-Modified: ") && head.contains("\r\n400\r\nxxx"),
        "{head}"
    );
    let append = |text: &str| {
        let file = std::fs::OpenOptions::new().append(true).open(&path);
        file.expect("opened")
            .write_all(text.as_bytes())
            .expect("written");
    };
    append("appended");
    until_text(&mut stream, "8\r\nappended\r\n");
    std::fs::write(&path, "").expect("truncated");
    until_text(&mut stream, "==> File truncated <==\n");
    // HTTP/1.0 has no chunks.
    append("plain");
    let mut old = world.tcp();
    old.write_all(b"GET /logtail/cat/stderr HTTP/1.0\r\n\r\n")
        .expect("written");
    assert!(until_text(&mut old, "plain").ends_with("\r\n\r\nplain"));
    // A client that goes frees its place, however silent the log is.
    let mut gone = world.unix();
    gone.write_all(b"GET /logtail/cat HTTP/1.1\r\n\r\n")
        .expect("written");
    until_text(&mut gone, "plain");
    gone.shutdown(Shutdown::Write).expect("ended");
    let mut rest = Vec::new();
    gone.read_to_end(&mut rest).expect("closed");
    // And the end of the front ends the stream properly.
    world.front.take().expect("there").stop();
    let mut rest = String::new();
    stream.read_to_string(&mut rest).expect("closed");
    assert!(rest.ends_with("0\r\n\r\n"), "{rest:?}");
}

#[test]
fn rpc_38_the_main_log_grows_too() {
    let world = World::new("main");
    std::fs::write(world.scratch.0.join("main"), "first\n").expect("written");
    let mut stream = world.unix();
    stream
        .write_all(b"GET /mainlogtail HTTP/1.1\r\n\r\n")
        .expect("written");
    let head = until_text(&mut stream, "first\n");
    assert!(!head.to_lowercase().contains("x-accel"), "{head}");
}

#[test]
fn stopping_finishes_what_is_in_flight_and_removes_the_socket() {
    let mut world = World::new("stop");
    let mut waiting = world.unix();
    let start = post(&body("supervisor.startProcess", vec![Value::text("slow")]));
    waiting.write_all(&start).expect("written");
    let idle = world.unix();
    world.until("it waits", |seen| seen.deferred.len() == 1);
    let front = world.front.take().expect("there");
    let stopping = std::thread::spawn(move || front.stop());
    let mut idle = idle;
    assert_eq!(idle.read(&mut [0]).expect("closed"), 0);
    let asked = world.seen.lock().expect("whole").deferred.remove(0);
    (asked.answer)(Ok(Reply::Done));
    assert_eq!(
        read_response(&receive(&mut waiting).1),
        Ok(Ok(Value::Bool(true)))
    );
    stopping.join().expect("stopped");
    assert!(!world.socket.exists());
    assert!(TcpStream::connect(world.inet).is_err());
}

#[test]
fn stopping_does_not_wait_for_ever() {
    let mut world = World::new("stop-hung");
    let mut waiting = world.unix();
    let start = post(&body("supervisor.startProcess", vec![Value::text("slow")]));
    waiting.write_all(&start).expect("written");
    world.until("it waits", |seen| seen.deferred.len() == 1);
    let begun = Instant::now();
    world.front.take().expect("there").stop();
    assert!(begun.elapsed() < Duration::from_secs(5));
}

/// Runs a script in the Python of a genuine Supervisor; none if there is none.
fn genuine_python(script: &str, arguments: &[&str]) -> Option<Vec<u8>> {
    let Some(oracle) = std::env::var_os("SUPERVISOR_ORACLE") else {
        eprintln!("skipped: SUPERVISOR_ORACLE names no venv with a genuine Supervisor");
        return None;
    };
    let python = Path::new(&oracle).join("bin/python");
    let output = Command::new(python)
        .arg("-c")
        .arg(script)
        .args(arguments)
        .output();
    let output = output.expect("python runs");
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(output.stdout)
}

#[test]
fn rpc_08_responses_are_pythons_to_the_byte() {
    let script = "import sys, xmlrpc.client as x
v = {'i': -5, 'b': True, 's': 'a<&>\"\\'\\té\\n', 'd': 1.5, 'a': [], 'n': {'x': [1, [False]]}, 'y': x.Binary(bytes(range(200)))}
out = sys.stdout.buffer
for body in (x.dumps((v,), methodresponse=True), x.dumps(x.Fault(10, 'BAD_NAME: <x>'), methodresponse=True), x.dumps((1, 'é<'), 'a.b')):
    out.write(body.encode('utf-8') + b'\\0')";
    let Some(expected) = genuine_python(script, &[]) else {
        return;
    };
    let value = Value::Struct(vec![
        ("i".to_owned(), Value::Int(-5)),
        ("b".to_owned(), Value::Bool(true)),
        ("s".to_owned(), Value::text("a<&>\"'\té\n")),
        ("d".to_owned(), Value::Double(1.5)),
        ("a".to_owned(), Value::Array(vec![])),
        (
            "n".to_owned(),
            Value::Struct(vec![(
                "x".to_owned(),
                Value::Array(vec![Value::Int(1), Value::Array(vec![Value::Bool(false)])]),
            )]),
        ),
        ("y".to_owned(), Value::Bytes((0..200).collect())),
    ]);
    let ours = [
        // Supervisor declares its answers without an encoding, as we do; so does `dumps`.
        write_response(&Ok(value)),
        write_response(&Err(FaultCode::BadName.of("<x>"))),
        body("a.b", vec![Value::Int(1), Value::text("é<")]),
    ];
    let mut joined = Vec::new();
    for message in &ours {
        joined.extend_from_slice(message);
        joined.push(0);
    }
    assert_eq!(
        String::from_utf8_lossy(&joined),
        String::from_utf8_lossy(&expected)
    );
}

#[test]
fn genuine_clients_are_served() {
    let world = World::with(
        "clients",
        Setup {
            password: Some("p"),
            ..Setup::default()
        },
    );
    std::fs::write(world.scratch.0.join("main"), b"x\x1by\xff").expect("written");
    let script = "import sys, xmlrpc.client
from supervisor.xmlrpc import SupervisorTransport
unix, port = sys.argv[1:]
for url, server in (('unix://' + unix, None), ('http://127.0.0.1:' + port, None), (None, 'http://u:p@127.0.0.1:%s/RPC2' % port)):
    if server:
        s = xmlrpc.client.ServerProxy(server)
    else:
        s = xmlrpc.client.ServerProxy('http://127.0.0.1', transport=SupervisorTransport('u', 'p', url))
    assert s.supervisor.getPID() == 42
    assert s.supervisor.getIdentification() == 'esc \\ufffd[1m & <é>'
    assert s.supervisor.getVersion() == '3.0'
    assert s.supervisor.readLog(0, 0) == 'x\\ufffdy\\ufffd'
    assert len(s.supervisor.getAllProcessInfo()) == 2000
    assert len(s.system.listMethods()) == 41
    assert s.supervisor.sendProcessStdin('cat', 'a\\r\\n') is True
    m = xmlrpc.client.MultiCall(s)
    assert s.system.multicall([{'methodName': 'supervisor.getPID'}]) == [42]
    try:
        s.supervisor.getProcessInfo('nope')
        assert False
    except xmlrpc.client.Fault as fault:
        assert (fault.faultCode, fault.faultString) == (10, 'BAD_NAME: nope')
bad = xmlrpc.client.ServerProxy('http://127.0.0.1', transport=SupervisorTransport('u', 'x', 'unix://' + unix))
try:
    bad.supervisor.getPID()
    assert False
except xmlrpc.client.ProtocolError as error:
    assert error.errcode == 401";
    let socket = world.socket.to_string_lossy().into_owned();
    genuine_python(script, &[&socket, &world.inet.port().to_string()]);
}
