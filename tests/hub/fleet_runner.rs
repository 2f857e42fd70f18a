//! A fleet with its runtime on a thread of its own, as in the program, for tests without a runtime.

use std::future::Future;
use std::sync::Arc;

use supervisord::hub::fleet::{Fleet, FleetSettings};
use supervisord::hub::node::{NodeAddress, NodeConfig, NodeState, NodeView};

use crate::runtime_thread::RuntimeThread;
use crate::support::{LIMIT, wait_for};

/// A fleet that runs until it is dropped.
pub(crate) struct FleetRunner {
    pub(crate) fleet: Fleet,
    runtime: RuntimeThread,
}

impl FleetRunner {
    /// A fleet with these nodes.
    pub(crate) fn start(configs: Vec<NodeConfig>) -> Result<Self, String> {
        Self::start_with(FleetSettings::default(), configs)
    }

    pub(crate) fn start_with(
        settings: FleetSettings,
        configs: Vec<NodeConfig>,
    ) -> Result<Self, String> {
        let runtime = RuntimeThread::start()?;
        let runner = Self {
            fleet: Fleet::new(settings),
            runtime,
        };
        runner.replace(configs);
        Ok(runner)
    }

    /// Replaces the nodes.
    pub(crate) fn replace(&self, configs: Vec<NodeConfig>) {
        let _entered = self.runtime.handle.enter();
        self.fleet.replace_nodes(configs);
    }

    /// Waits for the end of a future.
    pub(crate) fn wait<T>(&self, future: impl Future<Output = T>) -> T {
        self.runtime.handle.block_on(future)
    }

    /// A node.
    pub(crate) fn node(&self, name: &str) -> Arc<NodeView> {
        self.fleet.node(name).expect("the node is in the settings")
    }

    /// Waits until a node fulfils a condition.
    pub(crate) fn wait_node(
        &self,
        name: &str,
        what: &str,
        condition: impl Fn(&NodeView) -> bool,
    ) -> Result<Arc<NodeView>, String> {
        wait_for(&format!("{name}: {what}"), LIMIT, || {
            condition(&self.node(name))
        })
        .map_err(|why| format!("{why}: it is {:?}", brief(&self.node(name))))?;
        Ok(self.node(name))
    }

    /// Waits until a node is in a state.
    pub(crate) fn wait_state(&self, name: &str, state: NodeState) -> Result<Arc<NodeView>, String> {
        self.wait_node(name, state.words(), |view| view.state == state)
    }

    /// The name of the state of a process. Empty: there is none.
    pub(crate) fn process_state(&self, node: &str, group: &str, name: &str) -> &'static str {
        let view = self.node(node);
        view.process(group, name)
            .map_or("", |process| process.state.name())
    }

    /// Waits until a process is in a state.
    pub(crate) fn wait_process(
        &self,
        node: &str,
        (group, name): (&str, &str),
        state: &str,
    ) -> Result<(), String> {
        wait_for(
            &format!("{group}:{name} of {node} is {state}"),
            LIMIT,
            || self.process_state(node, group, name) == state,
        )
        .map_err(|why| format!("{why}: it is {}", self.process_state(node, group, name)))
    }
}

/// What a failed test shows of a node.
pub(crate) fn brief(view: &NodeView) -> (NodeState, String, usize) {
    (view.state, view.reason.to_string(), view.processes.len())
}

/// The settings of a node.
pub(crate) fn config(name: &str, url: &str) -> NodeConfig {
    NodeConfig::new(name, NodeAddress::parse(url).expect("a valid address"))
}
