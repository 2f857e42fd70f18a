//! The numbers that stand for words in the written form of a stage. They never change.

use super::stage::{StageAtExit, TerminationReason};

/// Returns the code of a stage at exit.
pub(super) const fn code_of_stage_at_exit(at_exit: StageAtExit) -> u8 {
    match at_exit {
        StageAtExit::TooQuick => 0,
        StageAtExit::Unpromoted => 1,
        StageAtExit::Unready => 2,
        StageAtExit::Running => 3,
        StageAtExit::Stopping => 4,
        StageAtExit::Unknown => 5,
        StageAtExit::Failed(why) => 6 + code_of_termination(why),
    }
}

/// Returns the stage at exit with this code. `None`: there is none.
pub(super) const fn stage_at_exit_of_code(code: u8) -> Option<StageAtExit> {
    Some(match code {
        0 => StageAtExit::TooQuick,
        1 => StageAtExit::Unpromoted,
        2 => StageAtExit::Unready,
        3 => StageAtExit::Running,
        4 => StageAtExit::Stopping,
        5 => StageAtExit::Unknown,
        _ => match termination_of_code(code - 6) {
            Some(why) => StageAtExit::Failed(why),
            None => return None,
        },
    })
}

pub(super) const fn code_of_termination(why: TerminationReason) -> u8 {
    match why {
        TerminationReason::NotReady => 0,
        TerminationReason::NotifiedFailure => 1,
        TerminationReason::WatchdogTimeout => 2,
        TerminationReason::WatchdogTrigger => 3,
        TerminationReason::Unhealthy => 4,
    }
}

pub(super) const fn termination_of_code(code: u8) -> Option<TerminationReason> {
    Some(match code {
        0 => TerminationReason::NotReady,
        1 => TerminationReason::NotifiedFailure,
        2 => TerminationReason::WatchdogTimeout,
        3 => TerminationReason::WatchdogTrigger,
        4 => TerminationReason::Unhealthy,
        _ => return None,
    })
}
