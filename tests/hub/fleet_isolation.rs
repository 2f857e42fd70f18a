//! A node that behaves badly is shown with its reason, and harms no other.

use std::time::Duration;

use supervisord::hub::fleet::{ActionTarget, FleetChange, FleetItem};
use supervisord::hub::node::{
    Action, ActionError, HubUser, NodeConfig, NodeKind, NodeLogin, NodeState,
};

use crate::fleet_runner::{FleetRunner, brief, config};
use crate::simulated::{Behaviour, FirstState, SimulatedFleet, SimulatedProcess, url};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect, wait_for};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    let test = |name: &str, run: fn() -> Result<(), String>| {
        Trial::new(format!("fleet_isolation::{name}"), move || {
            run().map(|()| Outcome::Passed)
        })
    };
    vec![
        test(
            "each_bad_node_shows_its_reason_and_hides_no_other",
            bad_nodes,
        ),
        test("the_last_known_processes_stay_visible", stale_processes),
        test("a_wrong_password_harms_nobody", wrong_passwords),
        test("a_flood_of_events_leaves_others_their_turn", flood),
        test("actions_on_a_hanging_node_hold_up_nobody", hanging_actions),
    ]
}

fn processes() -> Vec<SimulatedProcess> {
    vec![
        SimulatedProcess::new("web", "a", FirstState::Running),
        SimulatedProcess::new("web", "b", FirstState::Stopped),
        SimulatedProcess::new("solo", "solo", FirstState::Running),
    ]
}

fn configs(fleet: &SimulatedFleet) -> Vec<NodeConfig> {
    let nodes = fleet.nodes.iter().enumerate();
    nodes
        .map(|(at, node)| config(&format!("n{at}"), &url(node.address())))
        .collect()
}

/// Bad nodes with the state and a part of the reason that they must show.
const BAD: [(Behaviour, NodeState, &str); 14] = [
    (
        Behaviour::BlackHole,
        NodeState::Unreachable,
        "no answer within 3 s",
    ),
    (
        Behaviour::FullQueue,
        NodeState::Unreachable,
        "cannot connect: no answer within 1 s",
    ),
    (
        Behaviour::Refusing,
        NodeState::Unreachable,
        "Connection refused",
    ),
    (Behaviour::Status(401), NodeState::Unauthorized, "(401)"),
    (Behaviour::Status(403), NodeState::Unauthorized, "(403)"),
    (Behaviour::Status(502), NodeState::Unreachable, "(502)"),
    (
        Behaviour::Status(302),
        NodeState::NotASupervisor,
        "redirects",
    ),
    (
        Behaviour::Status(404),
        NodeState::NotASupervisor,
        "it has no /RPC2",
    ),
    (Behaviour::Html, NodeState::NotASupervisor, "text/html"),
    (Behaviour::NotHttp, NodeState::NotASupervisor, "not HTTP"),
    (
        Behaviour::HugeAnswer,
        NodeState::NotASupervisor,
        "larger than 8388608 bytes",
    ),
    (
        Behaviour::SlowDrip,
        NodeState::Unreachable,
        "no answer within 3 s",
    ),
    (
        Behaviour::BrokenXml,
        NodeState::NotASupervisor,
        "not XML-RPC",
    ),
    (
        Behaviour::NoRpcInterface,
        NodeState::NoRpcInterface,
        "[rpcinterface:supervisor]",
    ),
];
const STRANGE: [(Behaviour, NodeState, &str); 2] = [
    (Behaviour::OtherValue, NodeState::NotASupervisor, "no array"),
    (
        Behaviour::TooManyProcesses,
        NodeState::NotASupervisor,
        "20001 processes",
    ),
];
const GOOD: [Behaviour; 5] = [
    Behaviour::Ours,
    Behaviour::Supervisor,
    Behaviour::Go,
    Behaviour::WrongClock(-86_400),
    Behaviour::BinaryNames,
];

fn bad_nodes() -> Result<(), String> {
    let bad: Vec<_> = BAD.into_iter().chain(STRANGE).collect();
    let mut behaviours: Vec<Behaviour> = bad.iter().map(|(behaviour, ..)| *behaviour).collect();
    behaviours.extend(GOOD);
    let fleet = SimulatedFleet::start(&behaviours, &processes())?;
    let mut configs = configs(&fleet);
    // This one waits for its black hole longer than this test lasts.
    let patient = NodeConfig {
        name: "patient".to_owned(),
        timeout: Duration::from_secs(3600),
        ..configs[0].clone()
    };
    configs.insert(0, patient);
    let disabled = NodeConfig {
        name: "disabled".to_owned(),
        enabled: false,
        ..configs[1].clone()
    };
    configs.push(disabled);
    let runner = FleetRunner::start(configs)?;
    for (at, behaviour) in behaviours.iter().enumerate().skip(bad.len()) {
        let view = runner.wait_state(&format!("n{at}"), NodeState::Connected)?;
        expect(
            view.reason.is_empty() && !view.is_stale(),
            "a connected node has no reason",
        )?;
        expect(
            view.processes.len() == 3,
            format!("{behaviour:?} has {:?}", brief(&view)),
        )?;
        let a = view.process("web", "a").ok_or("web:a is missing")?;
        let now = view.now(view.last_success.unwrap_or_default());
        let description = a.description(now);
        expect(description.starts_with("pid 4000, uptime 0:0"), description)?;
    }
    expect(
        runner.node("patient").state == NodeState::Connecting,
        "the others waited for a black hole",
    )?;
    for (at, (behaviour, state, part)) in bad.iter().enumerate() {
        let view = runner.wait_node(&format!("n{at}"), "has failed", |view| {
            !matches!(view.state, NodeState::Connecting)
        })?;
        expect(
            view.state == *state && view.reason.contains(part),
            format!("{behaviour:?}: {:?}", brief(&view)),
        )?;
    }
    let disabled = runner.node("disabled");
    expect(
        disabled.state == NodeState::Disabled,
        format!("{:?}", brief(&disabled)),
    )?;
    let name = |at: usize| runner.node(&format!("n{}", bad.len() + at));
    let kinds: Vec<_> = (0..3)
        .map(|at| (name(at).kind, name(at).version.to_string()))
        .collect();
    let expected = [
        (NodeKind::Ours, "5.0.0"),
        (NodeKind::Supervisor, "4.3.0"),
        (NodeKind::Go, "3.0"),
    ];
    let expected = expected.map(|(kind, version)| (Some(kind), version.to_owned()));
    expect(kinds == expected, format!("{kinds:?}"))?;
    let offset = name(3).clock_offset;
    expect(
        (-86_402..-86_398).contains(&offset),
        format!("the clock is off by {offset}"),
    )?;
    expect(
        name(4).hidden == 6,
        format!("{} names are hidden", name(4).hidden),
    )
}

fn stale_processes() -> Result<(), String> {
    let fleet = SimulatedFleet::start(&[Behaviour::Supervisor, Behaviour::Ours], &processes())?;
    let runner = FleetRunner::start(configs(&fleet))?;
    for (at, node) in fleet.nodes.iter().enumerate() {
        let name = format!("n{at}");
        runner.wait_state(&name, NodeState::Connected)?;
        let mut changes = runner.fleet.subscribe();
        let _watched = runner.fleet.watch(&name).ok_or("no such node")?;
        let before = node.behaviour();
        node.behave(Behaviour::Status(401));
        let view = runner.wait_state(&name, NodeState::Unauthorized)?;
        expect(
            view.is_stale() && view.processes.len() == 3,
            format!("{:?}", brief(&view)),
        )?;
        expect(
            view.last_success.is_some_and(|at| at <= view.since),
            "the age is not known",
        )?;
        let refused = runner.wait(runner.fleet.act(
            &name,
            "web:a",
            Action::Stop,
            &HubUser::new("u"),
        ));
        let expected = ActionError::NotConnected {
            state: NodeState::Unauthorized,
            reason: view.reason.clone(),
        };
        expect(refused == Err(expected), format!("{refused:?}"))?;
        // It comes back with another state, without a restart of the hub.
        node.change("web:b", SimulatedProcess::start_now);
        node.behave(before);
        let view = runner.wait_state(&name, NodeState::Connected)?;
        expect(!view.is_stale(), "it is connected")?;
        runner.wait_process(&name, ("web", "b"), "RUNNING")?;
        let mut states = Vec::new();
        while let Some(item) = changes.try_next() {
            if let FleetItem::Change(FleetChange::Node(view)) = item
                && *view.name == *name
            {
                states.push(view.state);
            }
        }
        states.dedup();
        // A stream that has just begun and ends is shown at once.
        states.retain(|state| *state != NodeState::Unreachable);
        let expected = [NodeState::Unauthorized, NodeState::Connected];
        expect(states == expected, format!("{states:?}"))?;
    }
    Ok(())
}

fn wrong_passwords() -> Result<(), String> {
    let behaviours = [
        Behaviour::Supervisor,
        Behaviour::Supervisor,
        Behaviour::Ours,
    ];
    let fleet = SimulatedFleet::start(&behaviours, &processes())?;
    // "u:p" in base64.
    fleet.nodes[0].require_login("Basic dTpw");
    fleet.nodes[1].require_login("Basic dTpw");
    fleet.nodes[2].require_login("Bearer token-1");
    let mut configs = configs(&fleet);
    let password = |password: &str| NodeLogin::Password {
        username: "u".to_owned(),
        password: password.to_owned(),
    };
    configs[0].login = password("p");
    configs[1].login = password("wrong");
    configs[2].login = NodeLogin::Token("token-1".to_owned());
    let runner = FleetRunner::start(configs.clone())?;
    runner.wait_state("n0", NodeState::Connected)?;
    runner.wait_state("n2", NodeState::Connected)?;
    runner.wait_state("n1", NodeState::Unauthorized)?;
    // With the right one it needs no restart, and the others keep their connections.
    configs[1].login = password("p");
    runner.replace(configs);
    runner.wait_state("n1", NodeState::Connected)?;
    let streams = fleet.nodes[2].request_count("/api/v1/events");
    expect(streams == 1, format!("{streams} streams were opened"))
}

fn flood() -> Result<(), String> {
    let behaviours = [
        Behaviour::Flood(100_000),
        Behaviour::Flood(100_000),
        Behaviour::Ours,
    ];
    let fleet = SimulatedFleet::start(&behaviours, &processes())?;
    let runner = FleetRunner::start(configs(&fleet))?;
    for name in ["n0", "n1", "n2"] {
        runner.wait_state(name, NodeState::Connected)?;
    }
    for number in 0..20 {
        let (state, shown): (fn(&mut SimulatedProcess), &str) = match number % 2 {
            0 => (SimulatedProcess::start_now, "RUNNING"),
            _ => (|process| process.stop_now(200, 1), "FATAL"),
        };
        fleet.nodes[2].change("web:b", state);
        runner.wait_process("n2", ("web", "b"), shown)?;
    }
    Ok(())
}

fn hanging_actions() -> Result<(), String> {
    let behaviours = [
        Behaviour::Ours,
        Behaviour::Supervisor,
        Behaviour::Supervisor,
        Behaviour::Go,
    ];
    let fleet = SimulatedFleet::start(&behaviours, &processes())?;
    let runner = FleetRunner::start(configs(&fleet))?;
    for at in 0..behaviours.len() {
        runner.wait_state(&format!("n{at}"), NodeState::Connected)?;
    }
    // It answers everything but this start, so it is not given up: a start may take minutes.
    fleet.nodes[0].hang("web:b");
    // It answers nothing from now on, and the hub does not know it yet.
    fleet.nodes[1].behave(Behaviour::BlackHole);
    let target = |at: usize, namespec: &str| ActionTarget {
        node: format!("n{at}").into(),
        namespec: namespec.to_owned(),
    };
    let targets = vec![
        target(0, "web:b"),
        target(1, "web:b"),
        target(2, "web:b"),
        target(2, "web:a"),
        target(2, "web:nope"),
        target(3, "solo:solo"),
        target(9, "web:a"),
    ];
    let mut results = runner.wait(async {
        runner
            .fleet
            .act_on_all(targets, Action::Start, HubUser::new("alice"))
    });
    let mut ended = Vec::new();
    while ended.len() < 6 {
        let next = runner.wait(async { tokio::time::timeout(LIMIT, results.next()).await });
        let result = next.map_err(|_| format!("only these have ended: {ended:?}"))?;
        ended.push(result.ok_or("the results ended early")?);
    }
    let result_of = |at: usize, namespec: &str| {
        let wanted = target(at, namespec);
        ended
            .iter()
            .find(|result| result.target == wanted)
            .map(|result| &result.result)
    };
    let fault = |code: i64, text: &str| {
        Err(ActionError::Fault {
            code,
            text: text.to_owned(),
        })
    };
    expect(
        result_of(0, "web:b").is_none(),
        "the start that hangs has ended",
    )?;
    expect(
        matches!(result_of(1, "web:b"), Some(Err(ActionError::TimedOut(_)))),
        format!("{:?}", result_of(1, "web:b")),
    )?;
    for (at, namespec, expected) in [
        (2, "web:b", Ok(())),
        (2, "web:a", fault(60, "ALREADY_STARTED: web:a")),
        (2, "web:nope", fault(10, "BAD_NAME: web:nope")),
        (3, "solo:solo", Ok(())),
        (9, "web:a", Err(ActionError::UnknownNode)),
    ] {
        let result = result_of(at, namespec);
        expect(
            result == Some(&expected),
            format!("{namespec} of n{at}: {result:?}"),
        )?;
    }
    // What an action has changed is asked for at once, although nobody looks at the node.
    runner.wait_process("n2", ("web", "b"), "RUNNING")?;
    // Each call names the user; the Go project gets the name without the group.
    let call = |at: usize, name: &str| {
        let requests = fleet.nodes[at].requests();
        requests.into_iter().any(|request| {
            request.body.contains("startProcess")
                && request.body.contains(&format!(">{name}<"))
                && request.header("x-supervisor-user") == Some("alice")
        })
    };
    expect(
        call(2, "web:b") && call(3, "solo"),
        "a call does not name the user",
    )?;
    // The restart of a process that does not run starts it.
    fleet.nodes[2].change("web:a", |process| process.stop_now(0, 0));
    let user = HubUser::new("alice");
    let restarted = runner.wait(runner.fleet.act("n2", "web:a", Action::Restart, &user));
    expect(restarted.is_ok(), format!("{restarted:?}"))?;
    wait_for("web:a was restarted", LIMIT, || {
        fleet.nodes[2].states()[0] == 20
    })
}
