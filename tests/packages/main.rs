//! The packages, built and installed: into machines with a real systemd, beside Debian's package of Supervisor, by dpkg and by
//! rpm, and as images into containers. What is not there to build or install them with is named, and skipped.

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
mod made;
mod order;
mod rpm;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::puppet::run_if_asked();
    let mut trials = order::trials();
    trials.extend(deb::trials());
    trials.extend(rpm::trials());
    trials.extend(container::trials());
    let code = support::runner::run(trials);
    engine::down();
    code
}
