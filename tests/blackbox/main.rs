//! Real programs and bad input against our daemon.
//!
//! `CHURN=full` makes the churn long; `SUPERVISORD` and `SUPERVISORCTL` name other binaries of ours (release builds).

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod allow;
mod bad;
mod bus;
mod cgroups;
mod churn;
mod events;
mod fcgi;
mod host;
mod limits;
mod live;
mod manager;
mod namespace;
mod notify;
mod pid_one;
mod pidproxy;
mod plugins;
mod programs;
mod real;
mod sources;
mod trust;
mod upgrade;
mod verbs;
mod zone;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    let mut tests = bad::tests();
    tests.extend(allow::tests());
    tests.extend(bus::tests());
    tests.extend(churn::tests());
    tests.extend(events::tests());
    tests.extend(real::tests());
    tests.extend(fcgi::tests());
    tests.extend(plugins::tests());
    tests.extend(pidproxy::tests());
    tests.extend(pid_one::tests());
    tests.extend(sources::tests());
    tests.extend(live::tests());
    tests.extend(limits::tests());
    tests.extend(cgroups::tests());
    tests.extend(manager::tests());
    tests.extend(notify::tests());
    tests.extend(upgrade::tests());
    tests.extend(trust::tests());
    tests.extend(verbs::tests());
    tests.extend(zone::tests());
    support::runner::run(tests)
}
