//! Builds and installs the packages: in machines with a real systemd, beside Debian's Supervisor package, with dpkg and
//! with rpm, and as container images. Tests whose tools are missing are skipped with that reason.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod container;
mod deb;
mod engine;
mod hub;
mod made;
mod order;
mod rpm;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    let mut tests = order::tests();
    tests.extend(deb::tests());
    tests.extend(rpm::tests());
    tests.extend(hub::tests());
    tests.extend(container::tests());
    let code = support::runner::run(tests);
    engine::down();
    code
}
