//! The hub: its fleet against simulated nodes, the reference and our daemon; and the program with real nodes and clients.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

#[path = "../web/axe.rs"]
mod axe;
#[path = "../web/driver.rs"]
#[allow(
    dead_code,
    reason = "shared with the tests of the daemon's page, which use more of it"
)]
mod driver;
mod fleet_isolation;
mod fleet_load;
mod fleet_nodes;
mod fleet_runner;
mod hub_process;
mod page_forms;
mod pages;
mod rest_v2;
mod runtime_thread;
mod security;
mod settings;
mod simulated;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    simulated::run_if_asked();
    fleet_load::run_if_asked();
    let mut tests = fleet_isolation::tests();
    tests.extend(fleet_nodes::tests());
    tests.extend(fleet_load::tests());
    tests.extend(rest_v2::tests());
    tests.extend(security::tests());
    tests.extend(settings::tests());
    tests.extend(page_forms::tests());
    tests.extend(pages::tests());
    support::runner::run(tests)
}
