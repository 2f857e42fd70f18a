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
    support::puppet::run_if_asked();
    let mut trials = bad::trials();
    trials.extend(allow::trials());
    trials.extend(bus::trials());
    trials.extend(churn::trials());
    trials.extend(events::trials());
    trials.extend(real::trials());
    trials.extend(fcgi::trials());
    trials.extend(plugins::trials());
    trials.extend(pidproxy::trials());
    trials.extend(pid_one::trials());
    trials.extend(sources::trials());
    trials.extend(live::trials());
    trials.extend(limits::trials());
    trials.extend(cgroups::trials());
    trials.extend(manager::trials());
    trials.extend(notify::trials());
    trials.extend(upgrade::trials());
    trials.extend(trust::trials());
    trials.extend(verbs::trials());
    trials.extend(zone::trials());
    support::runner::run(trials)
}
