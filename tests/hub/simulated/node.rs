//! One simulated node: its listening socket, its processes, and what it answers.

use std::collections::HashSet;
use std::net::{SocketAddr, TcpListener, TcpStream as StdStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use nix::sys::socket::{Backlog, listen};
use serde_json::{Value as Json, json};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpStream;
use tokio::sync::watch;
use tokio::time::sleep;

use super::Behaviour;
use super::http::{SimulatedRequest, read_request, whole};
use super::processes::{SimulatedProcess, now, now_ms};
use super::rpc::{self, ReadCall};

const PAGE: &str = "<!DOCTYPE html><html><body>It works!</body></html>";
/// Number of requests that are remembered.
const REQUESTS_MAX: usize = 1000;

/// A node.
#[derive(Debug)]
pub(crate) struct SimulatedNode {
    address: SocketAddr,
    state: Mutex<NodeState>,
    /// The number of the next event.
    next: watch::Sender<usize>,
    /// Connections that fill the queue of the listening socket.
    _fillers: Vec<StdStream>,
}

#[derive(Debug)]
struct NodeState {
    behaviour: Behaviour,
    processes: Vec<SimulatedProcess>,
    /// The events, as JSON with their names.
    events: Vec<(String, Json)>,
    /// When the history began; a restart begins another one.
    began: i64,
    login: Option<String>,
    requests: Vec<SimulatedRequest>,
    /// Processes whose start and stop are never answered.
    hanging: HashSet<String>,
    is_frozen: bool,
    changes: u64,
    /// Number of streams that are open.
    streams: usize,
    /// Ends the streams of earlier numbers.
    generation: u64,
}

impl SimulatedNode {
    pub(super) fn new(
        behaviour: Behaviour,
        listener: &TcpListener,
        processes: &[SimulatedProcess],
    ) -> Result<Self, String> {
        let address = listener.local_addr().map_err(|error| error.to_string())?;
        let mut fillers = Vec::new();
        if behaviour == Behaviour::FullQueue {
            fillers = fill_queue(listener, address)?;
        }
        Ok(Self {
            address,
            state: Mutex::new(NodeState {
                behaviour,
                processes: processes.to_vec(),
                events: Vec::new(),
                began: now_ms(),
                login: None,
                requests: Vec::new(),
                hanging: HashSet::new(),
                is_frozen: false,
                changes: 0,
                streams: 0,
                generation: 0,
            }),
            next: watch::Sender::new(0),
            _fillers: fillers,
        })
    }

    fn lock(&self) -> MutexGuard<'_, NodeState> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(crate) fn behaviour(&self) -> Behaviour {
        self.lock().behaviour
    }

    /// Makes it behave in another way from the next request on, and ends its streams.
    pub(crate) fn behave(&self, behaviour: Behaviour) {
        let mut state = self.lock();
        state.behaviour = behaviour;
        state.generation += 1;
        drop(state);
        self.next.send_modify(|_| {});
    }

    /// Ends its streams. `restarts`: its history begins again, as after a restart of the daemon.
    pub(crate) fn end_streams(&self, restarts: bool) {
        let mut state = self.lock();
        state.generation += 1;
        if restarts {
            state.began += 1;
            state.events.clear();
        }
        drop(state);
        self.next.send_modify(|_| {});
    }

    /// Requires this value of the header Authorization.
    pub(crate) fn require_login(&self, value: &str) {
        self.lock().login = Some(value.to_owned());
    }

    /// Never answers a start or a stop of this process.
    pub(crate) fn hang(&self, namespec: &str) {
        self.lock().hanging.insert(namespec.to_owned());
    }

    /// The requests so far.
    pub(crate) fn requests(&self) -> Vec<SimulatedRequest> {
        self.lock().requests.clone()
    }

    /// Number of requests to this path.
    pub(crate) fn request_count(&self, path: &str) -> usize {
        self.lock()
            .requests
            .iter()
            .filter(|request| request.path == path)
            .count()
    }

    /// Number of streams that are open.
    pub(crate) fn streams(&self) -> usize {
        self.lock().streams
    }

    /// Whether it is a supervisord.
    pub(crate) fn has_processes(&self) -> bool {
        matches!(
            self.behaviour(),
            Behaviour::Ours | Behaviour::Supervisor | Behaviour::Go
        )
    }

    /// Its processes change no more at random.
    pub(crate) fn freeze(&self) {
        self.lock().is_frozen = true;
    }

    /// The codes of the states of its processes.
    pub(crate) fn states(&self) -> Vec<u16> {
        self.lock()
            .processes
            .iter()
            .map(|process| process.state)
            .collect()
    }

    /// Number of changes so far.
    pub(crate) fn changes(&self) -> u64 {
        self.lock().changes
    }

    /// Changes one of its processes, unless it is frozen.
    pub(super) fn change_one(&self, random: u64) {
        let namespec = {
            let state = self.lock();
            let at = usize::try_from(random >> 33).unwrap_or(0) % state.processes.len().max(1);
            match state.processes.get(at) {
                Some(process) if !state.is_frozen => process.namespec(),
                _ => return,
            }
        };
        self.change(&namespec, |process| match process.runs() {
            true => process.stop_now(100, 3),
            false => process.start_now(),
        });
    }

    /// Changes a process and publishes the event. `false`: there is none with this name.
    pub(crate) fn change(
        &self,
        namespec: &str,
        change: impl FnOnce(&mut SimulatedProcess),
    ) -> bool {
        let mut state = self.lock();
        let found = state
            .processes
            .iter_mut()
            .find(|process| process.namespec() == namespec || process.name == namespec);
        let Some(process) = found else {
            return false;
        };
        let from = process.state_name();
        change(process);
        let name = format!("PROCESS_STATE_{}", process.state_name());
        let data = json!({
            "event": name, "from": from, "to": process.state_name(), "group": process.group,
            "process": process.name, "pid": process.pid, "expected": false, "resource_events": [],
            "time_ms": now_ms(), "tries": 0,
        });
        state.events.push((name, data));
        state.changes += 1;
        let next = state.events.len();
        drop(state);
        self.next.send_replace(next);
        true
    }

    pub(super) async fn serve(self: Arc<Self>, listener: TcpListener) {
        match self.behaviour() {
            // The queue stays full.
            Behaviour::FullQueue => return std::future::pending().await,
            Behaviour::Refusing => {
                drop(listener);
                return;
            }
            _ => {}
        }
        drop(listener.set_nonblocking(true));
        let Ok(listener) = tokio::net::TcpListener::from_std(listener) else {
            return;
        };
        loop {
            if let Ok((stream, _)) = listener.accept().await {
                tokio::spawn(self.clone().answer(stream));
            }
        }
    }

    async fn answer(self: Arc<Self>, mut stream: TcpStream) {
        let behaviour = self.behaviour();
        match behaviour {
            Behaviour::BlackHole => return std::future::pending().await,
            Behaviour::NotHttp => {
                drop(
                    stream
                        .write_all(b"220 mail.example.com ESMTP ready\r\n")
                        .await,
                );
                return;
            }
            _ => {}
        }
        let Some(request) = read_request(&mut stream).await else {
            return;
        };
        let is_allowed = {
            let mut state = self.lock();
            if state.requests.len() < REQUESTS_MAX {
                state.requests.push(request.clone());
            }
            state
                .login
                .as_deref()
                .is_none_or(|login| request.header("authorization") == Some(login))
        };
        let text = match behaviour {
            _ if !is_allowed => whole(401, "text/html", PAGE),
            Behaviour::Status(status) => whole(status, "text/html", PAGE),
            Behaviour::Html => whole(200, "text/html; charset=utf-8", PAGE),
            Behaviour::HugeAnswer => return send_without_end(stream).await,
            Behaviour::SlowDrip => return send_slowly(stream).await,
            Behaviour::BrokenXml => {
                let text = rpc::answer(&rpc::text("4.3.0"));
                whole(200, "text/xml", &text[..text.len() / 2])
            }
            _ if request.path == "/RPC2" => match self.rpc(rpc::read_call(&request.body)).await {
                Some(answer) => whole(200, "text/xml", &answer),
                None => whole(400, "text/plain", "rpc: can't find method"),
            },
            Behaviour::Ours | Behaviour::Flood(_) => match request.path.as_str() {
                "/api/v1/process-table" => whole(200, "application/json", &self.table(&request)),
                "/api/v1/events" => return self.stream_events(stream, &request).await,
                _ => whole(404, "application/problem+json", "{}"),
            },
            _ => whole(404, "text/html", PAGE),
        };
        drop(stream.write_all(text.as_bytes()).await);
    }

    /// The answer to a call. `None`: status 400, as the Go project answers unknown methods.
    async fn rpc(&self, call: ReadCall) -> Option<String> {
        let behaviour = self.behaviour();
        let (is_go, is_ours) = (
            behaviour == Behaviour::Go,
            matches!(behaviour, Behaviour::Ours | Behaviour::Flood(_)),
        );
        let namespec = call.params.first().map_or("", String::as_str);
        if behaviour == Behaviour::NoRpcInterface {
            return Some(rpc::fault(1, "UNKNOWN_METHOD"));
        }
        Some(match call.method.as_str() {
            "supervisor.getSupervisorVersion" => rpc::answer(&rpc::text(match (is_go, is_ours) {
                (true, _) => "3.0",
                (false, true) => "5.0.0",
                (false, false) => "4.3.0",
            })),
            "supervisor.getState" => rpc::answer("<value><struct></struct></value>"),
            "supervisor.getAllProcessInfo" => self.all_processes(behaviour),
            "supervisor.startProcess" | "supervisor.stopProcess" => {
                let hangs = self.lock().hanging.contains(namespec);
                if hangs {
                    std::future::pending::<()>().await;
                }
                self.start_or_stop(namespec, call.method == "supervisor.startProcess", is_go)
            }
            "supervisor.signalProcess" | "supervisor.clearProcessLogs" => {
                rpc::answer(&rpc::truth())
            }
            "supervisor.readProcessStdoutLog" => match self.log_of(namespec) {
                Some(log) => rpc::answer(&rpc::text(&log)),
                None => rpc::fault(10, &format!("BAD_NAME: {namespec}")),
            },
            "supervisor.tailProcessStdoutLog" => match self.log_of(namespec) {
                Some(log) => {
                    let end = rpc::int(i64::try_from(log.len()).unwrap_or(0));
                    rpc::answer(&rpc::array(&[rpc::text(&log), end, rpc::truth()]))
                }
                None => rpc::fault(10, &format!("BAD_NAME: {namespec}")),
            },
            _ if is_go => return None,
            _ => rpc::fault(1, "UNKNOWN_METHOD"),
        })
    }

    fn log_of(&self, namespec: &str) -> Option<String> {
        let state = self.lock();
        let mut processes = state.processes.iter();
        let found =
            processes.find(|process| process.namespec() == namespec || process.name == namespec);
        found.map(|process| process.log.clone())
    }

    fn start_or_stop(&self, namespec: &str, starts: bool, is_go: bool) -> String {
        let mut refusal = None;
        let is_known = self.change(namespec, |process| match (starts, process.runs()) {
            (true, false) => process.start_now(),
            (false, true) => process.stop_now(0, 0),
            (true, true) => refusal = Some((60, "ALREADY_STARTED")),
            (false, false) => refusal = Some((70, "NOT_RUNNING")),
        });
        match (is_known, refusal) {
            // It answers that all is well.
            (true, Some(_)) if is_go => rpc::answer(&rpc::truth()),
            (true, Some((code, name))) => rpc::fault(code, &format!("{name}: {namespec}")),
            (true, None) => rpc::answer(&rpc::truth()),
            (false, _) if is_go => rpc::fault(1, &format!("fail to find process {namespec}")),
            (false, _) => rpc::fault(10, &format!("BAD_NAME: {namespec}")),
        }
    }

    fn all_processes(&self, behaviour: Behaviour) -> String {
        let state = self.lock();
        let now = match behaviour {
            Behaviour::WrongClock(offset) => now() + offset,
            _ => now(),
        };
        let is_go = behaviour == Behaviour::Go;
        let structs = |processes: &[SimulatedProcess]| -> Vec<String> {
            processes
                .iter()
                .map(|process| rpc::process(process, now, is_go))
                .collect()
        };
        let mut items = structs(&state.processes);
        match behaviour {
            Behaviour::OtherValue => return rpc::answer(&rpc::int(7)),
            Behaviour::TooManyProcesses => {
                items = vec!["<value><struct></struct></value>".to_owned(); 20_001];
            }
            Behaviour::BinaryNames => {
                let strange = |name: &str| SimulatedProcess {
                    name: name.to_owned(),
                    ..state.processes[0].clone()
                };
                let twice = state.processes[0].clone();
                let others =
                    ["\u{1b}[2Jx", "", "\u{202e}txt", "a\nb", &"x".repeat(300)].map(strange);
                items.extend(structs(&others));
                items.extend(structs(&[twice]));
            }
            _ => {}
        }
        rpc::answer(&rpc::array(&items))
    }

    fn table(&self, request: &SimulatedRequest) -> String {
        let names: HashSet<String> = request
            .query
            .split('&')
            .filter_map(|field| field.strip_prefix("names="))
            .map(|name| name.replace("%3A", ":"))
            .collect();
        let (state, now) = (self.lock(), now());
        let shown = state
            .processes
            .iter()
            .filter(|process| names.is_empty() || names.contains(&process.namespec()));
        let rows: Vec<Json> = shown
            .map(|process| {
                json!({
                    "name": process.name, "group": process.group, "start": process.start,
                    "stop": process.stop, "now": now, "state": process.state, "spawnerr": "",
                    "exitstatus": process.exit_status, "pid": process.shown_pid(),
                    "stdout_logfile": format!("/var/log/supervisor/{}-stdout.log", process.name),
                    "stderr_logfile": "", "description": process.description(now),
                    "restarts": 0, "nextattempt": 0, "health": "none",
                })
            })
            .collect();
        Json::from(rows).to_string()
    }

    async fn stream_events(&self, mut stream: TcpStream, request: &SimulatedRequest) {
        let (began, generation, first) = {
            let mut state = self.lock();
            state.streams += 1;
            (state.began, state.generation, state.events.len())
        };
        let last = request.header("last-event-id").and_then(|id| {
            let (of, number) = id.split_once('-')?;
            Some((of.parse::<i64>().ok()?, number.parse::<usize>().ok()?))
        });
        let (mut at, is_foreign) = match last {
            Some((of, number)) if of == began && number <= first => (number, false),
            Some(_) => (first, true),
            None => (first, false),
        };
        let head =
            "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";
        let mut text = format!("{head}retry: 2000\nid: {began}-{at}\n\n");
        if is_foreign {
            text.push_str(&format!(
                "id: {began}-{at}\nevent: missed\ndata: {{\"count\":null}}\n\n"
            ));
        }
        let mut changes = self.next.subscribe();
        while stream
            .write_all(std::mem::take(&mut text).as_bytes())
            .await
            .is_ok()
        {
            let waits = {
                changes.mark_unchanged();
                let state = self.lock();
                if state.generation != generation {
                    break;
                }
                let most = state.events.len().min(at + 100);
                for (name, data) in &state.events[at..most] {
                    at += 1;
                    text.push_str(&format!(
                        "id: {began}-{at}\nevent: {name}\ndata: {data}\n\n"
                    ));
                }
                text.is_empty()
            };
            if let Behaviour::Flood(per_second) = self.behaviour() {
                // In ten parts.
                for _ in 0..per_second / 10 {
                    text.push_str("event: PROCESS_STATE_RUNNING\ndata: {\"to\":\"RUNNING\",\"group\":\"web\",\"process\":\"a\"}\n\n");
                }
                sleep(Duration::from_millis(100)).await;
            } else if waits {
                tokio::select! {
                    _ = changes.changed() => {}
                    () = sleep(Duration::from_secs(5)) => {
                        text = format!(": heartbeat\nid: {began}-{at}\n\n");
                    }
                }
            }
        }
        self.lock().streams -= 1;
    }
}

/// Makes the queue of a listening socket full, so that the kernel ignores further connections.
fn fill_queue(listener: &TcpListener, address: SocketAddr) -> Result<Vec<StdStream>, String> {
    listen(
        listener,
        Backlog::new(0).map_err(|error| error.to_string())?,
    )
    .map_err(|error| error.to_string())?;
    let mut fillers = Vec::new();
    // The kernel lets one or two more in than the queue holds.
    while fillers.len() < 8 {
        match StdStream::connect_timeout(&address, Duration::from_millis(50)) {
            Ok(stream) => fillers.push(stream),
            Err(_) => return Ok(fillers),
        }
    }
    Err("the queue of connections does not become full".to_owned())
}

async fn send_without_end(mut stream: TcpStream) {
    let head = "HTTP/1.1 200 OK\r\nContent-Type: text/xml\r\nConnection: close\r\n\r\n<?xml version='1.0'?>";
    let mut text = head.as_bytes().to_vec();
    while stream.write_all(&text).await.is_ok() {
        text = vec![b' '; 64 << 10];
    }
}

async fn send_slowly(mut stream: TcpStream) {
    let text = whole(200, "text/xml", &rpc::answer(&rpc::text("4.3.0")));
    for byte in text.bytes() {
        if stream.write_all(&[byte]).await.is_err() {
            return;
        }
        sleep(Duration::from_millis(200)).await;
    }
}
