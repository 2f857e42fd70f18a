//! The daemon under a real systemd, in a machine that is thrown away afterwards. `SYSTEMD_HOST` names the program that makes
//! such machines (see `support::machine`); without it everything here is skipped.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod adoption;
mod cgroups;
mod dbus;
mod dialogues;
mod journal;
mod outages;
mod service;
mod stops;
mod survival;
mod trust_b3;
mod trust_b4;
mod trust_c6;
mod upgrade;
mod verbs;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::puppet::run_if_asked();
    adoption::spoil_if_asked();
    let mut trials = service::trials();
    trials.extend(journal::trials());
    trials.extend(cgroups::trials());
    trials.extend(dbus::trials());
    trials.extend(upgrade::trials());
    trials.extend(survival::trials());
    trials.extend(adoption::trials());
    trials.extend(outages::trials());
    trials.extend(stops::trials());
    trials.extend(trust_c6::trials());
    trials.extend(dialogues::trials());
    trials.extend(verbs::trials());
    trials.extend(trust_b3::trials());
    trials.extend(trust_b4::trials());
    let code = support::runner::run(trials);
    support::machine::down();
    code
}
