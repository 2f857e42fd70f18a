//! Checks a program's keys for health checks against each other.

use super::super::key::ProgramValues;
use super::{ConfigReader, SectionAt};

/// Keys without effect if no check of their kind is set, with the keys of these checks.
const SETTINGS: &[(&str, &[&str])] = &[
    ("liveness_check_initial_delay", LIVENESS),
    ("liveness_check_period", LIVENESS),
    ("liveness_check_timeout", LIVENESS),
    ("liveness_check_success_threshold", LIVENESS),
    ("liveness_check_failure_threshold", LIVENESS),
    ("liveness_check_success_action", LIVENESS),
    ("liveness_check_failure_action", LIVENESS),
    ("health_interval", HEALTH),
    // A line that matches is found at once and counts at once.
    ("health_timeout", HEALTH_SCRIPT),
    ("health_retries", HEALTH_SCRIPT),
    ("health_start_period", HEALTH),
    ("on_unhealthy", HEALTH),
];
const LIVENESS: &[&str] = &["liveness_check_script"];
const HEALTH: &[&str] = &["health_http", "health_tcp", "health_command", "health_log"];
const HEALTH_SCRIPT: &[&str] = &["health_http", "health_tcp", "health_command"];

/// Makes the health check of one process when all its keys are read.
pub(super) fn health(reader: &mut ConfigReader<'_>, at: SectionAt<'_>, values: &mut ProgramValues) {
    let health = std::mem::take(&mut values.health);
    let mut checks = health.checks();
    if let (Some(first), Some(second)) = (checks.next(), checks.next()) {
        reader.fail_with(
            at,
            second,
            format!("{first} and {second} cannot be set together"),
            "a program has one health check",
        );
    }
    drop(checks);
    for (key, checks) in SETTINGS {
        let is_set = |key: &&str| reader.entry(at, key).is_some();
        if is_set(key) && !checks.iter().any(is_set) {
            let sentence = format!("{key} needs {}", checks.join(" or "));
            reader.fail_with(at, key, sentence, "without such a check it has no effect");
        }
    }
    values.spec.health = health.into_spec();
}
