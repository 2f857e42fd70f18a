//! Real programs and bad input against our daemon.
//!
//! `CHURN=full` makes the churn long; `SUPERVISORD`, `SUPERVISORCTL` and `SUPERVISORD_AGENT` name other binaries of ours (release builds).
//! `OLD_SUPERVISORD` names the supervisord of a release from which the upgrade is tested.

#[path = "../support/mod.rs"]
#[allow(
    dead_code,
    unreachable_pub,
    missing_docs,
    reason = "shared by several targets, none of which uses all of it"
)]
mod support;

mod agent;
mod agent_nacos;
mod allow;
mod bad_input;
mod cgroups;
mod churn;
mod cron;
mod ctl_subcommand;
mod ctl_terminal;
mod dependencies;
mod diagnostics;
mod environment;
mod events;
mod fcgi;
mod go_defects;
mod go_routes;
mod guide_configs;
mod health;
mod host;
mod https_checks;
mod inquiries;
mod limits;
mod log_files;
mod log_targets;
mod logs;
mod metrics;
mod multivisor;
mod nacos;
mod nacos_stub;
mod namespace;
mod notifications;
mod notify;
mod output_lines;
mod pid_one;
mod pidproxy;
mod plugins;
mod program_actions;
mod program_texts;
mod programs;
mod real_programs;
mod rest;
mod restarts;
mod reverse_proxy;
mod rolling;
mod run_time_changes;
mod scripts;
mod service_manager;
mod session_bus;
mod source;
mod source_document;
mod subcommands;
mod time_zone;
mod tokens;
mod top;
mod trust;
mod update_plans;
mod upgrade;
mod watching;
mod web_client;

use std::process::ExitCode;

fn main() -> ExitCode {
    support::test_child::run_if_asked();
    let mut tests = bad_input::tests();
    tests.extend(agent::tests());
    tests.extend(agent_nacos::tests());
    tests.extend(allow::tests());
    tests.extend(log_targets::tests());
    tests.extend(go_routes::tests());
    tests.extend(health::tests());
    tests.extend(reverse_proxy::tests());
    tests.extend(tokens::tests());
    tests.extend(log_files::tests());
    tests.extend(session_bus::tests());
    tests.extend(churn::tests());
    tests.extend(cron::tests());
    tests.extend(ctl_subcommand::tests());
    tests.extend(ctl_terminal::tests());
    tests.extend(dependencies::tests());
    tests.extend(events::tests());
    tests.extend(metrics::tests());
    tests.extend(multivisor::tests());
    tests.extend(https_checks::tests());
    tests.extend(inquiries::tests());
    tests.extend(nacos::tests());
    tests.extend(nacos_stub::tests());
    tests.extend(real_programs::tests());
    tests.extend(fcgi::tests());
    tests.extend(plugins::tests());
    tests.extend(pidproxy::tests());
    tests.extend(pid_one::tests());
    tests.extend(go_defects::tests());
    tests.extend(guide_configs::tests());
    tests.extend(program_actions::tests());
    tests.extend(program_texts::tests());
    tests.extend(rest::tests());
    tests.extend(restarts::tests());
    tests.extend(rolling::tests());
    tests.extend(run_time_changes::tests());
    tests.extend(scripts::tests());
    tests.extend(limits::tests());
    tests.extend(logs::tests());
    tests.extend(cgroups::tests());
    tests.extend(service_manager::tests());
    tests.extend(notifications::tests());
    tests.extend(notify::tests());
    tests.extend(output_lines::tests());
    tests.extend(update_plans::tests());
    tests.extend(upgrade::tests());
    tests.extend(watching::tests());
    tests.extend(trust::tests());
    tests.extend(diagnostics::tests());
    tests.extend(environment::tests());
    tests.extend(source::tests());
    tests.extend(source_document::tests());
    tests.extend(subcommands::tests());
    tests.extend(time_zone::tests());
    tests.extend(top::tests());
    support::runner::run(tests)
}
