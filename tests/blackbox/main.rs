//! Real programs and bad input against our daemon.

#[path = "../support/mod.rs"]
#[allow(dead_code, unreachable_pub, missing_docs, reason = "shared by several targets, none of which uses all of it")]
mod support;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::puppet::run_if_asked();
    support::runner::run(Vec::new())
}
