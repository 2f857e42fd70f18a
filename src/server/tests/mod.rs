//! The server as its clients see it: real sockets and real HTTP, with a closure as the engine.

mod http;
mod logs;
mod reference;
mod rpc;

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use super::calls::process_members::tests::cat;
use super::sockets::bind::tests::{ScratchDir, inet_spec, unix_spec};
use super::*;
use crate::api::xmlrpc::{RpcCall, RpcValue, read_response, write_call, write_response};
use crate::api::{
    Caller, Fault, FaultCode, LogRef, ProcessView, Reply, Request, RequestTarget, Transport,
};
use crate::config::spec::Credentials;
use crate::control::{ControlHandle, EventFeed, RequestMessage};
use crate::domain::{Level, Line, ProcessName, SupervisorState};
use crate::heartbeat::Heartbeats;

/// Maximum time that any test waits for something.
const LIMIT: Duration = Duration::from_secs(20);

#[derive(Default)]
struct EngineCalls {
    asked: Vec<(Caller, Request)>,
    deferred: Vec<RequestMessage>,
    lines: Vec<Line>,
    stopping: bool,
}

/// A running server with a unix and a TCP socket. Its engine answers every call at once except `startProcess slow`.
struct TestServer {
    server: Option<ServerHandle>,
    socket: PathBuf,
    inet: SocketAddr,
    seen: Arc<Mutex<EngineCalls>>,
    scratch: ScratchDir,
}

struct TestSetup {
    password: Option<&'static str>,
    interfaces: Vec<String>,
    twiddler: Option<Vec<String>>,
    limits: ServerLimits,
}

impl Default for TestSetup {
    fn default() -> Self {
        Self {
            password: None,
            interfaces: vec!["supervisor".to_owned()],
            twiddler: None,
            limits: ServerLimits {
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
        Request::SomeProcessInfo(names) if names == &["cat"] => Ok(Reply::Processes(vec![cat()])),
        Request::SomeProcessInfo(_) => Ok(Reply::Processes(Vec::new())),
        Request::Stop {
            target: RequestTarget::Group(name),
            ..
        } => Err(FaultCode::BadName.of(name)),
        Request::LogFile(LogRef::Daemon) => Ok(Reply::LogFile(Some(logs.join("main").into()))),
        Request::LogFile(LogRef::Process(name, _)) if name == "cat" => {
            Ok(Reply::LogFile(Some(logs.join("cat").into())))
        }
        Request::LogFile(LogRef::Process(name, _)) if name == "nolog" => Ok(Reply::LogFile(None)),
        Request::LogFile(LogRef::Process(name, _)) => Err(FaultCode::BadName.of(name)),
        Request::RemoveGroup(name) if name == "panic" => panic!("as the test wants"),
        _ => Ok(Reply::Done),
    }
}

impl TestServer {
    fn new(name: &str) -> Self {
        Self::with(name, TestSetup::default())
    }

    fn with(name: &str, setup: TestSetup) -> Self {
        let mut world = Self::before_it_begins(name, setup);
        world.server.as_mut().expect("started").start();
        world
    }

    fn before_it_begins(name: &str, setup: TestSetup) -> Self {
        let scratch = ScratchDir::new(name);
        let socket = scratch.0.join("s.sock");
        let credentials = setup.password.map(|password| Credentials {
            username: "u".to_owned(),
            password: password.to_owned(),
        });
        let mut specs = [inet_spec("127.0.0.1", 0), unix_spec(&socket)];
        for spec in &mut specs {
            spec.credentials.clone_from(&credentials);
        }
        let servers = BoundServer::bind_all(&specs, &[], &[]).expect("bound");
        let inet = servers[0].inet_address().expect("inet");
        let seen = Arc::new(Mutex::new(EngineCalls::default()));
        let (for_engine, for_log, for_audit) = (seen.clone(), seen.clone(), seen.clone());
        let logs = scratch.0.clone();
        let control = ControlHandle::new(
            move |mut asked: RequestMessage| {
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
            },
            move |line| for_audit.lock().expect("whole").lines.push(line),
        );
        let server = spawn_thread(ServerOptions {
            servers,
            control,
            events: EventFeed::new(),
            log: Arc::new(move |line| for_log.lock().expect("whole").lines.push(line)),
            rpc_interfaces: setup.interfaces,
            twiddler: setup.twiddler,
            dbus: crate::config::spec::BusChoice::Off,
            limits: setup.limits,
            socket_check: SocketCheck::default(),
            heartbeats: Heartbeats::of_tests(),
        })
        .expect("started");
        Self {
            server: Some(server),
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

    /// Sends a request and reads until the server closes the connection.
    fn get(&self, request: &str) -> String {
        let mut stream = self.unix();
        stream.write_all(request.as_bytes()).expect("written");
        stream.shutdown(Shutdown::Write).expect("ended");
        let mut answer = Vec::new();
        stream.read_to_end(&mut answer).expect("answered");
        String::from_utf8(answer).expect("text")
    }

    fn call(&self, method: &str, params: Vec<RpcValue>) -> Result<RpcValue, (i64, String)> {
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
    fn until(&self, what: &str, condition: impl Fn(&mut EngineCalls) -> bool) {
        let end = Instant::now() + LIMIT;
        while !condition(&mut self.seen.lock().expect("whole")) {
            assert!(Instant::now() < end, "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }
}

fn body(method: &str, params: Vec<RpcValue>) -> Vec<u8> {
    let method = method.to_owned();
    write_call(&RpcCall { method, params })
}

fn post(body: &[u8]) -> Vec<u8> {
    let head = format!(
        "POST /RPC2 HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    [head.as_bytes(), body].concat()
}

/// Sends a request and reads one response that has a length: head and body.
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
