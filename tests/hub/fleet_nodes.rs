//! The fleet with real supervisords as nodes: ours and the reference. And how it follows the settings and the stream.

use std::net::{SocketAddr, TcpListener};
use std::process::Command;
use std::sync::Arc;

use supervisord::domain::{Channel, Signal};
use supervisord::hub::node::{
    Action, ActionError, HubUser, LogRange, NodeConfig, NodeKind, NodeLogin, NodeState,
};

use crate::fleet_runner::{FleetRunner, config};
use crate::runtime_thread::RuntimeThread;
use crate::simulated::{Behaviour, FirstState, SimulatedFleet, SimulatedProcess, url};
use crate::support::certificates::{certificates, server_config};
use crate::support::daemon::{Daemon, Marked, Side, oracle, program};
use crate::support::runner::{Outcome, Trial};
use crate::support::temp_dir::TempDir;
use crate::support::wire::{Address, Value};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("fleet_nodes::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        test("ours_is_followed_by_its_event_stream", ours),
        test(
            "ours_resumes_after_a_restart_of_the_daemon",
            restarted_daemon,
        ),
        test("a_user_is_named_only_with_the_permission", named_users),
        test("a_stream_goes_on_where_it_ended", resumed_stream),
        Trial::new("fleet_nodes::certificates_are_checked", tls),
        test(
            "other_settings_keep_the_connections_of_the_same_nodes",
            other_settings,
        ),
        Trial::new("fleet_nodes::the_reference_is_polled", || match oracle() {
            Some(_) => reference().map(|()| Outcome::Passed),
            None => Ok(Outcome::Skipped(
                "no reference (SUPERVISOR_ORACLE)".to_owned(),
            )),
        }),
    ]
}

const CONFIG: &str = "\
[unix_http_server]
file={dir}/s
[inet_http_server]
port=127.0.0.1:{port}
username=hub
password=secret
[supervisord]
logfile={dir}/log
pidfile={dir}/pid
childlogdir={dir}
nodaemon=true
[rpcinterface:supervisor]
supervisor.rpcinterface_factory=supervisor.rpcinterface:make_main_rpcinterface
[group:grp]
programs=web,off
[program:web]
command=/bin/sh -c \"echo hello from web; exec sleep 1000\"
startsecs=0
stopasgroup=true
[program:off]
command=/bin/sleep 1000
autostart=false
startsecs=0
[program:job]
command=/bin/sh -c \"exit 3\"
autorestart=false
startsecs=0
[program:none]
command=/no/such/command
autostart=false
";

/// A supervisord with a TCP server. Fields drop in order: the daemon, all marked processes, the files.
pub(crate) struct RealNode {
    daemon: Option<Daemon>,
    marked: Marked,
    side: Side,
    pub(crate) port: u16,
    place: TempDir,
}

impl RealNode {
    pub(crate) fn start(side: Side) -> Result<Self, String> {
        Self::start_with(side, "")
    }

    /// `server`: more keys of the TCP server.
    fn start_with(side: Side, server: &str) -> Result<Self, String> {
        let free = TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr());
        let port = free.map_err(|error| error.to_string())?.port();
        let mut node = Self {
            daemon: None,
            marked: Marked::new(),
            side,
            port,
            place: TempDir::new()?,
        };
        let text = CONFIG.replace("password=secret\n", &format!("password=secret\n{server}"));
        let text = text.replace("{dir}", &node.place.text());
        node.place
            .write("conf", &text.replace("{port}", &port.to_string()))?;
        node.go()?;
        Ok(node)
    }

    fn go(&mut self) -> Result<(), String> {
        let program = program(self.side, "supervisord")?;
        let mut command: Command = self.marked.command(&program, self.place.path());
        command.arg("-n").arg("-c").arg(self.place.join("conf"));
        let address = Address::Unix(self.place.join("s"));
        let mut daemon = Daemon::spawn(command, self.place.path(), address)?;
        if let Some(code) = daemon.wait_ready(LIMIT)? {
            return Err(format!("the daemon exited with {code}"));
        }
        self.daemon = Some(daemon);
        Ok(())
    }

    fn daemon(&self) -> &Daemon {
        self.daemon.as_ref().expect("it runs")
    }

    /// Starts a process, as another client of the node would.
    pub(crate) fn start_process(&self, name: &str) -> Result<(), String> {
        self.call_for("supervisor.startProcess", name)
    }

    /// Stops a process, as another client of the node would.
    pub(crate) fn stop_process(&self, name: &str) -> Result<(), String> {
        self.call_for("supervisor.stopProcess", name)
    }

    fn call_for(&self, method: &str, name: &str) -> Result<(), String> {
        let name = Value::Text(name.to_owned());
        let done = self.daemon().call(method, &[name]);
        done.map(drop).map_err(|error| format!("{error:?}"))
    }

    fn config(&self, name: &str) -> NodeConfig {
        let mut config = config(name, &format!("http://127.0.0.1:{}", self.port));
        config.login = NodeLogin::Password {
            username: "hub".to_owned(),
            password: "secret".to_owned(),
        };
        config
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.place.join("log")).unwrap_or_default()
    }
}

/// What is the same for a node of either kind: states, actions with their faults, logs.
fn actions_and_logs(runner: &FleetRunner, node: &RealNode, name: &str) -> Result<(), String> {
    let user = HubUser::new("alice");
    runner.wait_process(name, ("grp", "web"), "RUNNING")?;
    runner.wait_process(name, ("job", "job"), "EXITED")?;
    let view = runner.wait_node(name, "the exit status of job is known", |view| {
        view.process("job", "job")
            .is_some_and(|job| job.exit_status == 3)
    })?;
    let web = view.process("grp", "web").ok_or("grp:web is missing")?;
    expect(
        web.pid == node.daemon().pid_of("grp:web"),
        format!("{web:?}"),
    )?;
    expect(
        !web.stdout_logfile.is_empty() && web.note.is_empty(),
        format!("{web:?}"),
    )?;
    let act = |namespec: &str, action| runner.wait(runner.fleet.act(name, namespec, action, &user));
    let fault = |code: i64, text: &str| {
        Err(ActionError::Fault {
            code,
            text: text.to_owned(),
        })
    };
    for (namespec, action, expected) in [
        ("grp:off", Action::Start, Ok(())),
        (
            "grp:off",
            Action::Start,
            fault(60, "ALREADY_STARTED: grp:off"),
        ),
        ("grp:off", Action::Restart, Ok(())),
        ("grp:off", Action::Stop, Ok(())),
        ("grp:off", Action::Stop, fault(70, "NOT_RUNNING: grp:off")),
        ("grp:off", Action::Restart, Ok(())),
        ("grp:nope", Action::Start, fault(10, "BAD_NAME: grp:nope")),
        ("grp:web", Action::ClearLogs, Ok(())),
    ] {
        let result = act(namespec, action);
        expect(
            result == expected,
            format!("{action} {namespec}: {result:?}"),
        )?;
    }
    match act("none:none", Action::Start) {
        Err(ActionError::Fault { code: 20, text }) if text.starts_with("NO_FILE") => {}
        other => return Err(format!("a program without file: {other:?}")),
    }
    runner.wait_process(name, ("grp", "off"), "RUNNING")?;
    // Another client changes something.
    let off = [Value::Text("grp:off".to_owned())];
    node.daemon()
        .call("supervisor.stopProcess", &off)
        .map_err(|error| format!("{error:?}"))?;
    runner.wait_process(name, ("grp", "off"), "STOPPED")?;
    act("grp:web", Action::Restart).map_err(|error| error.to_string())?;
    wait_for("the log of grp:web has its line", LIMIT, || {
        let range = LogRange::Last(500);
        let part = runner.wait(runner.fleet.log(name, "grp:web", Channel::Stdout, range));
        part.is_ok_and(|part| {
            part.text == "hello from web\n" && part.end == Some(15) && !part.is_cut
        })
    })?;
    let log = |range| runner.wait(runner.fleet.log(name, "grp:web", Channel::Stdout, range));
    let cut = log(LogRange::Last(4)).map_err(|error| error.to_string())?;
    expect(
        (&*cut.text, cut.is_cut) == ("web\n", true),
        format!("{cut:?}"),
    )?;
    let after = LogRange::After {
        offset: 11,
        bytes: 100,
    };
    let after = log(after).map_err(|error| error.to_string())?;
    expect(
        (&*after.text, after.end) == ("web\n", Some(15)),
        format!("{after:?}"),
    )?;
    let unknown = runner.wait(
        runner
            .fleet
            .log(name, "x:y", Channel::Stderr, LogRange::Last(9)),
    );
    expect(
        unknown == fault(10, "BAD_NAME: x:y").map(|()| cut),
        format!("{unknown:?}"),
    )
}

fn ours() -> Result<(), String> {
    let node = RealNode::start(Side::Ours)?;
    let socket = format!("unix://{}", node.place.join("s").display());
    let runner = FleetRunner::start(vec![node.config("tcp"), config("unix", &socket)])?;
    for name in ["tcp", "unix"] {
        let view = runner.wait_state(name, NodeState::Connected)?;
        expect(
            view.kind == Some(NodeKind::Ours),
            format!("{:?}", view.kind),
        )?;
        expect(
            &*view.version == supervisord::domain::VERSION,
            view.version.to_string(),
        )?;
    }
    actions_and_logs(&runner, &node, "tcp")?;
    runner.wait_process("unix", ("grp", "off"), "STOPPED")?;
    // The daemon's audit line names the user of the hub, and who has named it.
    let log = node.log();
    expect(
        log.contains("inet login='hub' for='alice' start grp:off: accepted"),
        format!("no audit line with the user: {log}"),
    )
}

fn named_users() -> Result<(), String> {
    for (rules, expected) in [
        (
            "allow=hub status control\n",
            "inet login='hub' start grp:off: accepted",
        ),
        (
            "allow=hub status control forward-user\n",
            "inet login='hub' for=\"o'neil \u{e9}\" start grp:off: accepted",
        ),
    ] {
        let node = RealNode::start_with(Side::Ours, rules)?;
        let runner = FleetRunner::start(vec![node.config("n")])?;
        runner.wait_state("n", NodeState::Connected)?;
        let user = HubUser::new("o'neil \u{e9}");
        let started = runner.wait(runner.fleet.act("n", "grp:off", Action::Start, &user));
        started.map_err(|error| error.to_string())?;
        let log = node.log();
        expect(log.contains(expected), format!("{rules}: {log}"))?;
        // The name changes no permission.
        let root = HubUser::new("root");
        let signal = Action::Signal(Signal::TERM);
        match runner.wait(runner.fleet.act("n", "grp:off", signal, &root)) {
            Err(ActionError::Fault { code: 30, text }) if text.contains("permission denied") => {}
            other => return Err(format!("a signal without the permission: {other:?}")),
        }
    }
    Ok(())
}

fn restarted_daemon() -> Result<(), String> {
    let mut node = RealNode::start(Side::Ours)?;
    let runner = FleetRunner::start(vec![node.config("n")])?;
    runner.wait_process("n", ("grp", "web"), "RUNNING")?;
    let _watched = runner.fleet.watch("n").ok_or("no such node")?;
    let shutdown = node.daemon().call("supervisor.shutdown", &[]);
    shutdown.map_err(|error| format!("{error:?}"))?;
    let mut daemon = node.daemon.take().ok_or("it runs")?;
    daemon.wait_exit(LIMIT)?;
    let view = runner.wait_state("n", NodeState::Unreachable)?;
    expect(
        view.is_stale() && view.processes.len() == 4,
        "the last known processes are gone",
    )?;
    let conf = node.place.join("conf");
    let text = std::fs::read_to_string(&conf).map_err(|error| error.to_string())?;
    let text = text.replace("[program:job]", "[program:new]");
    node.place.write("conf", &text)?;
    node.go()?;
    runner.wait_state("n", NodeState::Connected)?;
    runner.wait_process("n", ("grp", "web"), "RUNNING")?;
    runner.wait_process("n", ("new", "new"), "EXITED")?;
    let view = runner.node("n");
    expect(
        view.process("job", "job").is_none(),
        "a removed process is shown",
    )?;
    // And the new stream works.
    let user = HubUser::new("u");
    let stopped = runner.wait(runner.fleet.act("n", "grp:web", Action::Stop, &user));
    stopped.map_err(|error| error.to_string())?;
    runner.wait_process("n", ("grp", "web"), "STOPPED")
}

fn reference() -> Result<(), String> {
    let node = RealNode::start(Side::Reference)?;
    let runner = FleetRunner::start(vec![node.config("n")])?;
    let _watched = runner.fleet.watch("n").ok_or("no such node")?;
    let view = runner.wait_state("n", NodeState::Connected)?;
    expect(
        view.kind == Some(NodeKind::Supervisor) && &*view.version == "4.3.0",
        format!("{:?} {}", view.kind, view.version),
    )?;
    actions_and_logs(&runner, &node, "n")
}

fn processes() -> Vec<SimulatedProcess> {
    vec![
        SimulatedProcess::new("web", "a", FirstState::Running),
        SimulatedProcess::new("web", "b", FirstState::Running),
    ]
}

fn resumed_stream() -> Result<(), String> {
    let fleet = SimulatedFleet::start(&[Behaviour::Ours], &processes())?;
    let node = &fleet.nodes[0];
    let runner = FleetRunner::start(vec![config("n", &url(node.address()))])?;
    runner.wait_state("n", NodeState::Connected)?;
    let tables = || node.request_count("/api/v1/process-table");
    node.change("web:a", |process| process.stop_now(100, 7));
    runner.wait_node("n", "the exit status is known", |view| {
        view.process("web", "a")
            .is_some_and(|process| process.exit_status == 7)
    })?;
    let streams = || node.request_count("/api/v1/events");
    let (before, asked) = (streams(), tables());
    node.end_streams(false);
    wait_for("the stream is opened again", LIMIT, || streams() > before)?;
    let last = node
        .requests()
        .into_iter()
        .rev()
        .find(|request| request.path == "/api/v1/events");
    let id = last.and_then(|request| request.header("last-event-id").map(str::to_owned));
    expect(
        id.is_some_and(|id| id.ends_with("-1")),
        "it does not go on from the first event",
    )?;
    node.change("web:b", |process| process.stop_now(200, 1));
    runner.wait_process("n", ("web", "b"), "FATAL")?;
    let by_name = |request: &crate::simulated::SimulatedRequest| request.query.contains("names=");
    let whole_lists = node
        .requests()
        .into_iter()
        .filter(|request| request.path == "/api/v1/process-table" && !by_name(request))
        .count();
    expect(
        whole_lists == 1,
        format!("{whole_lists} whole lists were asked for, {asked} before"),
    )?;
    // After a restart of the node the history is another one, so the whole list is needed.
    node.end_streams(true);
    wait_for("the whole list is asked for again", LIMIT, || {
        let requests = node.requests();
        let lists = requests
            .iter()
            .filter(|request| request.path == "/api/v1/process-table");
        lists.filter(|request| !by_name(request)).count() == 2
    })
}

fn other_settings() -> Result<(), String> {
    let behaviours = [
        Behaviour::Ours,
        Behaviour::Ours,
        Behaviour::Ours,
        Behaviour::Supervisor,
    ];
    let fleet = SimulatedFleet::start(&behaviours, &processes())?;
    let named = |at: usize| config(&format!("n{at}"), &url(fleet.nodes[at].address()));
    let runner = FleetRunner::start((0..4).map(named).collect())?;
    for at in 0..4 {
        runner.wait_state(&format!("n{at}"), NodeState::Connected)?;
    }
    let labelled = NodeConfig {
        environment: "eu".to_owned(),
        tags: vec!["canary".to_owned()],
        ..named(1)
    };
    let disabled = NodeConfig {
        enabled: false,
        ..named(2)
    };
    let twice = config("n0", "http://127.0.0.1:1");
    runner.replace(vec![named(0), labelled, disabled, twice]);
    let names: Vec<_> = runner
        .fleet
        .nodes()
        .iter()
        .map(|view| view.name.to_string())
        .collect();
    expect(names == ["n0", "n1", "n2"], format!("{names:?}"))?;
    let n1 = runner.node("n1");
    expect(
        (&*n1.environment, &*n1.tags, n1.state)
            == ("eu", &["canary".to_owned()][..], NodeState::Connected),
        format!("{n1:?}"),
    )?;
    let n2 = runner.node("n2");
    expect(
        n2.state == NodeState::Disabled && n2.is_stale(),
        "the last known processes are gone",
    )?;
    expect(runner.fleet.watch("n3").is_none(), "n3 is still there")?;
    wait_for("the stream of n2 is closed", LIMIT, || {
        // The node notices when it writes.
        fleet.nodes[2].change("web:a", |_| {});
        fleet.nodes[2].streams() == 0
    })?;
    let streams: Vec<_> = (0..2)
        .map(|at| fleet.nodes[at].request_count("/api/v1/events"))
        .collect();
    expect(
        streams == [1, 1],
        format!("{streams:?} streams were opened"),
    )?;
    fleet.nodes[1].change("web:a", |process| process.stop_now(0, 0));
    runner.wait_process("n1", ("web", "a"), "STOPPED")
}

/// Passes connections with TLS on to `to`. Returns the port.
fn relay_tls(
    runtime: &RuntimeThread,
    config: Arc<rustls::ServerConfig>,
    to: SocketAddr,
) -> Result<u16, String> {
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let port = listener
        .local_addr()
        .map_err(|error| error.to_string())?
        .port();
    listener
        .set_nonblocking(true)
        .map_err(|error| error.to_string())?;
    let acceptor = tokio_rustls::TlsAcceptor::from(config);
    runtime.handle.spawn(async move {
        let listener = tokio::net::TcpListener::from_std(listener).expect("a listening socket");
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut node = tokio::net::TcpStream::connect(to).await?;
                tokio::io::copy_bidirectional(&mut stream, &mut node).await
            });
        }
    });
    Ok(port)
}

fn tls() -> Result<Outcome, String> {
    let (place, other) = (TempDir::new()?, TempDir::new()?);
    if certificates(&place, "One")?.is_none() {
        return Ok(Outcome::Skipped("no openssl".to_owned()));
    }
    certificates(&other, "Two")?;
    let fleet = SimulatedFleet::start(&[Behaviour::Ours, Behaviour::Supervisor], &processes())?;
    let runtime = RuntimeThread::start()?;
    let mut configs = Vec::new();
    for (at, node) in fleet.nodes.iter().enumerate() {
        let port = relay_tls(&runtime, server_config(&place)?, node.address())?;
        let with = |name: &str, tls_ca: Option<&TempDir>, tls_insecure| NodeConfig {
            tls_ca: tls_ca.map(|place| place.join("ca.pem").display().to_string()),
            tls_insecure,
            ..config(&format!("{name}{at}"), &format!("https://localhost:{port}"))
        };
        configs.push(with("right", Some(&place), false));
        configs.push(with("wrong", Some(&other), false));
        configs.push(with("insecure", None, true));
    }
    // It does not speak TLS.
    configs.push(config(
        "plain",
        &format!("https://{}", fleet.nodes[1].address()),
    ));
    let runner = FleetRunner::start(configs)?;
    for at in 0..2 {
        runner.wait_state(&format!("right{at}"), NodeState::Connected)?;
        runner.wait_state(&format!("insecure{at}"), NodeState::Connected)?;
        let wrong = runner.wait_state(&format!("wrong{at}"), NodeState::Unreachable)?;
        expect(
            wrong.reason.contains("unknown authority"),
            wrong.reason.to_string(),
        )?;
    }
    let plain = runner.wait_state("plain", NodeState::Unreachable)?;
    expect(!plain.reason.is_empty(), "no reason")?;
    fleet.nodes[0].change("web:a", |process| process.stop_now(0, 0));
    runner.wait_process("right0", ("web", "a"), "STOPPED")?;
    Ok(Outcome::Passed)
}
