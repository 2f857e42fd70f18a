//! A fleet of simulated nodes in one process, on addresses of the loopback device: supervisords of three kinds with processes
//! that change, and servers that behave badly. It shares no code with the hub.

mod http;
mod node;
mod processes;
mod rpc;

use std::io::{BufRead as _, Write as _};
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use crate::runtime_thread::RuntimeThread;
pub(crate) use http::SimulatedRequest;
pub(crate) use node::SimulatedNode;
pub(crate) use processes::{FirstState, SimulatedProcess};

/// How a node behaves.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Behaviour {
    /// As our daemon: XML-RPC, the table of processes, the stream of events.
    Ours,
    /// As Supervisor 4.3.0.
    Supervisor,
    /// As the Go project, with its defects that a client meets: no `system.*`, no groups, an extra member, other faults.
    Go,
    /// As Supervisor, its clock off by so many seconds.
    WrongClock(i64),
    /// As Supervisor without `[rpcinterface:supervisor]`.
    NoRpcInterface,
    /// As Supervisor, and its list has names that are no names, and names that occur twice.
    BinaryNames,
    /// As ours, with so many senseless events a second.
    Flood(u32),
    /// Accepts connections and never answers.
    BlackHole,
    /// Does not even accept connections: its queue of them is full.
    FullQueue,
    /// Nobody listens.
    Refusing,
    /// Answers every request with this status and a page.
    Status(u16),
    /// Answers every request with a page and status 200.
    Html,
    /// Sends a line that is no HTTP.
    NotHttp,
    /// Sends an answer without end.
    HugeAnswer,
    /// Sends one byte of its answer at a time.
    SlowDrip,
    /// Sends half an answer of XML-RPC.
    BrokenXml,
    /// Sends valid XML-RPC that is no list of processes.
    OtherValue,
    /// Lists more processes than a node may have.
    TooManyProcesses,
}

/// A fleet that runs until it is dropped.
pub(crate) struct SimulatedFleet {
    pub(crate) nodes: Vec<Arc<SimulatedNode>>,
    runtime: RuntimeThread,
}

impl SimulatedFleet {
    /// Starts a node of each behaviour, each with the same processes.
    pub(crate) fn start(
        behaviours: &[Behaviour],
        processes: &[SimulatedProcess],
    ) -> Result<Self, String> {
        let runtime = RuntimeThread::start()?;
        let mut nodes = Vec::new();
        for (number, behaviour) in behaviours.iter().enumerate() {
            let number = u32::try_from(number).map_err(|error| error.to_string())?;
            // 127.77.0.0 and above, so that nodes have addresses of their own, as hosts have.
            let address = Ipv4Addr::from(u32::from(Ipv4Addr::new(127, 77, 0, 0)) + number);
            let listener = TcpListener::bind((address, 0)).map_err(|error| error.to_string())?;
            let node = Arc::new(SimulatedNode::new(*behaviour, &listener, processes)?);
            runtime.handle.spawn(node.clone().serve(listener));
            nodes.push(node);
        }
        Ok(Self { nodes, runtime })
    }

    /// Changes processes of the nodes at random, so many changes a second in all, until the fleet is dropped.
    pub(crate) fn churn(&self, per_second: u32) {
        let nodes: Vec<_> = self
            .nodes
            .iter()
            .filter(|node| node.has_processes())
            .cloned()
            .collect();
        self.runtime.handle.spawn(async move {
            let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
            let mut random = 0x2545_f491_4f6c_dd1d_u64;
            loop {
                ticks.tick().await;
                random ^= random << 13;
                random ^= random >> 7;
                random ^= random << 17;
                let at = usize::try_from(random >> 1).unwrap_or(0);
                nodes[at % nodes.len()].change_one(random);
            }
        });
    }
}

/// The fleet of the load test as a program of its own: `simulated COUNT PROCESSES CHANGES`. A third of the nodes are black
/// holes of both kinds, a third are ours and a third Supervisor. It prints the address of each, then `ready`. For each line on
/// its standard input it stops changing and prints the states of all processes.
pub(crate) fn run_if_asked() {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).map(String::as_str) != Some("simulated") {
        return;
    }
    let number = |at: usize| -> u32 {
        arguments
            .get(at)
            .and_then(|word| word.parse().ok())
            .expect("a number")
    };
    drop(supervisord::sys::raise_own_files());
    let behaviours: Vec<Behaviour> = (0..number(2))
        .map(|node| match node % 6 {
            0 => Behaviour::BlackHole,
            1 => Behaviour::FullQueue,
            2 | 3 => Behaviour::Ours,
            _ => Behaviour::Supervisor,
        })
        .collect();
    let processes: Vec<SimulatedProcess> = (0..number(3))
        .map(|process| {
            SimulatedProcess::new("web", &format!("program-{process:02}"), FirstState::Running)
        })
        .collect();
    let fleet = SimulatedFleet::start(&behaviours, &processes).expect("started");
    let mut out = std::io::stdout().lock();
    for node in &fleet.nodes {
        writeln!(out, "{:?} {}", node.behaviour(), node.address()).expect("written");
    }
    writeln!(out, "ready").expect("written");
    out.flush().expect("written");
    fleet.churn(number(4));
    for line in std::io::stdin().lock().lines() {
        if line.is_err() {
            break;
        }
        for node in &fleet.nodes {
            node.freeze();
        }
        for (at, node) in fleet
            .nodes
            .iter()
            .enumerate()
            .filter(|(_, node)| node.has_processes())
        {
            let states: Vec<String> = node.states().iter().map(ToString::to_string).collect();
            writeln!(out, "{at} {}", states.join(",")).expect("written");
        }
        writeln!(
            out,
            "changes {}",
            fleet.nodes.iter().map(|node| node.changes()).sum::<u64>()
        )
        .expect("written");
        out.flush().expect("written");
    }
    std::process::exit(0);
}

/// The URL of an address.
pub(crate) fn url(address: SocketAddr) -> String {
    format!("http://{address}")
}
