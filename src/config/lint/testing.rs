//! Helpers of the tests of rules.

use super::super::check_config;
use super::super::lookup::Fake;
use super::super::options::DaemonOptions;
use super::super::problem::ConfigProblem;

/// What `--check` reports about these sections on this machine. Columns and lines count from the first of them.
pub(super) fn reports(machine: Fake, sections: &str) -> Vec<ConfigProblem> {
    let text = format!("{sections}[supervisord]\nlogfile=/var/log/s.log\npidfile=/var/log/s.pid\n");
    let machine = machine.with("/etc/s.conf", &text);
    check_config("/etc/s.conf", &DaemonOptions::default(), &machine).problems
}

/// The codes of [`reports`].
pub(super) fn codes(machine: Fake, sections: &str) -> Vec<String> {
    let found = reports(machine, sections);
    let codes = found.iter().map(|problem| problem.explained.rule.code());
    codes.map(str::to_owned).collect()
}
