//! Checks a program's keys about restarts against each other.

use super::super::key::ProgramValues;
use super::{ConfigReader, SectionAt};

/// Checks the keys of one section when all of them are read.
pub(super) fn check_restarts(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    values: &ProgramValues,
) {
    let policy = values.spec.restart;
    if policy.delay_max.0 > 0 && policy.delay_max < policy.delay {
        reader.fail_with(
            at,
            "restart_delay_max",
            format!(
                "restart_delay_max {} is below restart_delay ({})",
                policy.delay_max.0, policy.delay.0
            ),
            "without restart_delay_max, each delay is restart_delay",
        );
    }
}
