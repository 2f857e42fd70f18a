//! The daemon under a real systemd, in a machine that is removed afterwards. `SYSTEMD_HOST` names the program that
//! makes such machines (see `support::machine`). Without it all tests here are skipped.

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
mod source_document;
mod stops;
mod subcommands;
mod survival;
mod trust_b3;
mod trust_b4;
mod trust_c6;
mod upgrade;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    adoption::spoil_if_asked();
    let mut tests = service::tests();
    tests.extend(journal::tests());
    tests.extend(cgroups::tests());
    tests.extend(dbus::tests());
    tests.extend(upgrade::tests());
    tests.extend(survival::tests());
    tests.extend(adoption::tests());
    tests.extend(outages::tests());
    tests.extend(stops::tests());
    tests.extend(source_document::tests());
    tests.extend(trust_c6::tests());
    tests.extend(dialogues::tests());
    tests.extend(subcommands::tests());
    tests.extend(trust_b3::tests());
    tests.extend(trust_b4::tests());
    let code = support::runner::run(tests);
    support::machine::down();
    code
}
