//! A thousand nodes, a third of them black holes, with processes that change all the time: memory, time, and actions.
//!
//! The simulated nodes and the fleet are programs of their own, so that their memory and their time can be told apart.

use std::collections::HashMap;
use std::io::{BufRead, BufReader, Lines, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::{Duration, Instant};

use supervisord::hub::fleet::{ActionTarget, Fleet, FleetChange, FleetItem, FleetSettings};
use supervisord::hub::node::{Action, HubUser, NodeConfig, NodeState, NodeView};

use crate::fleet_runner::config;
use crate::simulated::{Behaviour, SimulatedFleet, url};
use crate::support::runner::{Outcome, Trial};
use crate::support::{LIMIT, expect};

/// The tests of this file.
pub(crate) fn tests() -> Vec<Trial> {
    vec![
        Trial::new(
            "fleet_load::a_thousand_nodes_fit_into_100_mb",
            thousand_nodes,
        ),
        Trial::new(
            "fleet_load::a_group_on_many_nodes_is_restarted",
            restarted_group,
        ),
    ]
}

const NODES: usize = 1000;
const PROCESSES: usize = 20;
const CHANGES_PER_SECOND: usize = 200;
/// How long the fleet follows the changes, without and with somebody who looks at all nodes.
const FOLLOWED: Duration = Duration::from_secs(5);
/// Maximum resident memory in KiB.
const MEMORY_KIB_MAX: u64 = 100_000;

/// A program of this test with its two pipes.
struct Helper {
    child: Child,
    stdin: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Helper {
    fn start(arguments: &[String]) -> Result<Self, String> {
        let me = std::env::current_exe().map_err(|error| error.to_string())?;
        let mut command = Command::new(me);
        command
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| error.to_string())?;
        let stdin = child.stdin.take().ok_or("no pipe")?;
        let stdout = child.stdout.take().ok_or("no pipe")?;
        let lines = BufReader::new(stdout).lines();
        Ok(Self {
            child,
            stdin,
            lines,
        })
    }

    /// The next line.
    fn line(&mut self) -> Result<String, String> {
        let line = self.lines.next().ok_or("a helper has ended")?;
        line.map_err(|error| error.to_string())
    }

    /// The lines up to one that begins with `end`, and that one.
    fn lines_until(&mut self, end: &str) -> Result<(Vec<String>, String), String> {
        let mut lines = Vec::new();
        loop {
            let line = self.line()?;
            if line.starts_with(end) {
                return Ok((lines, line));
            }
            lines.push(line);
        }
    }

    fn say(&mut self, text: &str) -> Result<(), String> {
        writeln!(self.stdin, "{text}").map_err(|error| error.to_string())
    }
}

impl Drop for Helper {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

fn thousand_nodes() -> Result<Outcome, String> {
    let words = |words: [&dyn ToString; 4]| words.map(ToString::to_string);
    let mut nodes = Helper::start(&words([
        &"simulated",
        &NODES,
        &PROCESSES,
        &CHANGES_PER_SECOND,
    ]))?;
    let (addresses, _) = nodes.lines_until("ready")?;
    expect(
        addresses.len() == NODES,
        format!("{} nodes", addresses.len()),
    )?;
    let mut fleet = Helper::start(&["fleet".to_owned()])?;
    for line in &addresses {
        fleet.say(line)?;
    }
    fleet.say("")?;
    // `connected`, then what it costs to follow, without and with somebody who looks.
    for _ in 0..3 {
        eprintln!("{}", fleet.line()?);
    }
    nodes.say("freeze")?;
    let (truth, _changes) = nodes.lines_until("changes")?;
    fleet.say("compare")?;
    for line in &truth {
        fleet.say(line)?;
    }
    fleet.say("")?;
    let result = fleet.line()?;
    let memory = fleet.line()?;
    eprintln!("{result}; {memory} KiB");
    expect(result == "all states are right", result)?;
    let kib: u64 = memory.parse().map_err(|_| memory.clone())?;
    expect(kib < MEMORY_KIB_MAX, format!("the fleet needs {kib} KiB"))?;
    Ok(Outcome::Passed)
}

/// Restarts a process on 500 nodes, 50 of which hang.
fn restarted_group() -> Result<Outcome, String> {
    use crate::fleet_runner::FleetRunner;
    use crate::simulated::{FirstState, SimulatedProcess};
    let behaviours: Vec<Behaviour> = (0..500)
        .map(|at| {
            if at % 2 == 0 {
                Behaviour::Ours
            } else {
                Behaviour::Supervisor
            }
        })
        .collect();
    let processes = [SimulatedProcess::new("web", "a", FirstState::Running)];
    drop(supervisord::sys::raise_own_files());
    let fleet = SimulatedFleet::start(&behaviours, &processes)?;
    let named = fleet.nodes.iter().enumerate();
    let configs = named.map(|(at, node)| config(&format!("n{at}"), &url(node.address())));
    let runner = FleetRunner::start(configs.collect())?;
    for at in 0..behaviours.len() {
        runner.wait_state(&format!("n{at}"), NodeState::Connected)?;
    }
    let hangs = |at: usize| at % 10 == 3;
    for at in (0..behaviours.len()).filter(|at| hangs(*at)) {
        fleet.nodes[at].behave(Behaviour::BlackHole);
    }
    let targets = (0..behaviours.len()).map(|at| ActionTarget {
        node: format!("n{at}").into(),
        namespec: "web:a".to_owned(),
    });
    let targets: Vec<ActionTarget> = targets.collect();
    let count = targets.len();
    let mut results = runner.wait(async {
        runner
            .fleet
            .act_on_all(targets, Action::Restart, HubUser::new("alice"))
    });
    let (mut done, mut failed) = (0, 0);
    while done + failed < count {
        let next = runner.wait(async { tokio::time::timeout(LIMIT, results.next()).await });
        let next = next.map_err(|_| format!("{done} done, {failed} failed, and no more"))?;
        let result = next.ok_or("the results ended early")?;
        let at: usize = result.target.node[1..]
            .parse()
            .map_err(|_| "a strange name")?;
        expect(result.result.is_err() == hangs(at), format!("{result:?}"))?;
        match result.result {
            Ok(()) => done += 1,
            Err(_) => failed += 1,
        }
    }
    expect(
        (done, failed) == (450, 50),
        format!("{done} done, {failed} failed"),
    )?;
    expect(runner.wait(results.next()).is_none(), "a result too many")?;
    Ok(Outcome::Passed)
}

/// The fleet of the load test as a program of its own: `fleet`. It reads lines `BEHAVIOUR ADDRESS` up to an empty one, waits
/// until every node has its state, and reports what following the changes costs. After `compare` it reads the true states and
/// says whether it has the same, and its memory.
pub(crate) fn run_if_asked() {
    if std::env::args().nth(1).as_deref() != Some("fleet") {
        return;
    }
    drop(supervisord::sys::raise_own_files());
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build();
    let result = runtime.expect("a runtime").block_on(follow_fleet());
    if let Err(error) = result {
        println!("{error}");
        println!("0");
    }
    std::process::exit(0);
}

async fn read_lines() -> Vec<String> {
    let read = || -> Vec<String> {
        let lines = std::io::stdin().lines().map_while(Result::ok);
        lines.take_while(|line| !line.is_empty()).collect()
    };
    tokio::task::spawn_blocking(read).await.unwrap_or_default()
}

async fn follow_fleet() -> Result<(), String> {
    let lines = read_lines().await;
    let mut configs: Vec<NodeConfig> = Vec::new();
    let mut has_processes = Vec::new();
    for (at, line) in lines.iter().enumerate() {
        let (behaviour, address) = line.split_once(' ').ok_or("a strange line")?;
        has_processes.push(matches!(behaviour, "Ours" | "Supervisor"));
        configs.push(config(&format!("n{at}"), &format!("http://{address}")));
    }
    let fleet = Fleet::new(FleetSettings::default());
    let mut changes = fleet.subscribe();
    let began = Instant::now();
    fleet.replace_nodes(configs);
    let is_known = |view: &NodeView, is_good: bool| match is_good {
        true => view.state == NodeState::Connected && view.processes.len() == PROCESSES,
        false => view.state == NodeState::Unreachable,
    };
    let known = wait(|| {
        let views = fleet.nodes();
        views
            .iter()
            .zip(&has_processes)
            .all(|(view, is_good)| is_known(view, *is_good))
    });
    known.await.map_err(|()| "not all nodes have their state")?;
    println!(
        "all nodes have their state after {:?}, {} KiB",
        began.elapsed(),
        memory_kib()
    );
    while changes.try_next().is_some() {}
    println!("alone: {}", cost(&mut changes).await);
    let watched: Vec<_> = fleet
        .nodes()
        .iter()
        .map(|view| fleet.watch(&view.name))
        .collect();
    println!("watched: {}", cost(&mut changes).await);
    let truth: HashMap<usize, Vec<u16>> = read_lines()
        .await
        .iter()
        .skip(1)
        .filter_map(|line| {
            let (at, states) = line.split_once(' ')?;
            let states = states.split(',').map(|state| state.parse().ok());
            Some((at.parse().ok()?, states.collect::<Option<_>>()?))
        })
        .collect();
    let states = |at: usize| -> Vec<u16> {
        let view = fleet.node(&format!("n{at}"));
        view.map_or_else(Vec::new, |view| {
            view.processes
                .iter()
                .map(|process| process.state.code())
                .collect()
        })
    };
    let right = wait(|| truth.iter().all(|(at, expected)| states(*at) == *expected)).await;
    match (right, truth.is_empty()) {
        (Ok(()), false) => println!("all states are right"),
        _ => println!("some states are wrong"),
    }
    println!("{}", memory_kib());
    drop(watched);
    Ok(())
}

async fn wait(mut condition: impl FnMut() -> bool) -> Result<(), ()> {
    let end = Instant::now() + 4 * LIMIT;
    while !condition() {
        if Instant::now() >= end {
            return Err(());
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    Ok(())
}

/// Follows changes for a while, and says how many there were and what it cost.
async fn cost(changes: &mut supervisord::hub::fleet::FleetSubscription) -> String {
    let (began, used) = (Instant::now(), cpu_time());
    let (mut count, mut lost) = (0, 0);
    let end = tokio::time::sleep(FOLLOWED);
    tokio::pin!(end);
    loop {
        tokio::select! {
            () = &mut end => break,
            item = changes.next() => match item {
                Some(FleetItem::Change(FleetChange::Process { .. })) => count += 1,
                Some(FleetItem::Change(_)) => {}
                Some(FleetItem::Lost(number)) => lost += number,
                None => break,
            },
        }
    }
    let (elapsed, used) = (began.elapsed(), cpu_time() - used);
    let share = used.as_secs_f64() / elapsed.as_secs_f64() * 100.0;
    format!(
        "{count} changes of processes in {elapsed:?}, {lost} lost, {share:.1} % of a core, {} KiB",
        memory_kib()
    )
}

fn cpu_time() -> Duration {
    let usage = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_SELF);
    usage.map_or(Duration::ZERO, |usage| {
        let time = |value: nix::sys::time::TimeVal| {
            let micros = value.tv_sec() * 1_000_000 + value.tv_usec();
            Duration::from_micros(u64::try_from(micros).unwrap_or(0))
        };
        time(usage.user_time()) + time(usage.system_time())
    })
}

fn memory_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmRSS:"));
    line.and_then(|line| line.trim().strip_suffix(" kB")?.trim().parse().ok())
        .unwrap_or(0)
}
