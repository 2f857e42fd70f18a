//! The results of actions, worded for people.

use super::page_actions::{ActionTarget, PageAction};
use crate::api::{Fault, FaultCode, Reply, TargetResult};

/// Maximum number of failed group members that a message names.
const FAILURES_SHOWN_MAX: usize = 5;

/// The result of an action, for people.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct ActionOutcome {
    pub(super) message: String,
    pub(super) failed: bool,
}

pub(super) fn outcome(
    action: &PageAction,
    target: &ActionTarget,
    result: &Result<Reply, Fault>,
) -> ActionOutcome {
    let mut succeeded = 0;
    let failures: Vec<String> = match result {
        Err(fault) => {
            return ActionOutcome {
                message: format!("ERROR: {target}: {}", fault_text(fault)),
                failed: true,
            };
        }
        Ok(Reply::Results(results)) => {
            succeeded = results
                .iter()
                .filter(|result| result.fault.is_none())
                .count();
            results
                .iter()
                .filter_map(|result| {
                    let fault = result.fault.as_ref()?;
                    Some(format!(
                        "{}: {}",
                        display_name(target, result),
                        fault_text(fault)
                    ))
                })
                .collect()
        }
        Ok(_) => Vec::new(),
    };
    if failures.is_empty() {
        let what = if action.name == "clear" {
            "Log of "
        } else {
            ""
        };
        let target = match target {
            ActionTarget::All if action.name == "clear" => "all".to_owned(),
            ActionTarget::One { shown, .. } if action.name == "clear" => shown.clone(),
            ActionTarget::Group(group) if action.name == "clear" => format!("group {group}"),
            other => other.to_string(),
        };
        return ActionOutcome {
            message: format!("{what}{target} {}", action.past),
            failed: false,
        };
    }
    let more = match failures.len().saturating_sub(FAILURES_SHOWN_MAX) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    let shown = failures
        .iter()
        .take(FAILURES_SHOWN_MAX)
        .cloned()
        .collect::<Vec<_>>()
        .join(", ");
    let message = match succeeded {
        0 => format!("ERROR: {target} not {}: {shown}{more}", action.past),
        _ => format!(
            "{succeeded} {}, {} failed: {shown}{more}",
            action.past,
            failures.len()
        ),
    };
    ActionOutcome {
        message,
        failed: true,
    }
}

/// The name of a process in a message about `target`.
fn display_name(target: &ActionTarget, result: &TargetResult) -> String {
    let is_plain = result.group.as_str() == result.process.as_str();
    match target {
        ActionTarget::All if !is_plain => format!("{}:{}", result.group, result.process),
        _ => result.process.to_string(),
    }
}

/// Whether a message from the page's address reports a failure. Only its text can tell.
pub(super) fn is_failure(message: &str) -> bool {
    ["ERROR", "unexpected rpc fault", "No such process"]
        .iter()
        .any(|start| message.starts_with(start))
        || message.contains(" failed: ")
}

/// The text with which Supervisor's page reports a fault.
pub(super) fn fault_text(fault: &Fault) -> String {
    match fault.code {
        FaultCode::NoFile => "no such file".to_owned(),
        FaultCode::NotExecutable => "file not executable".to_owned(),
        FaultCode::AlreadyStarted => "already started".to_owned(),
        FaultCode::SpawnError => "spawn error".to_owned(),
        FaultCode::AbnormalTermination => "abnormal termination".to_owned(),
        FaultCode::NotRunning => "not running".to_owned(),
        FaultCode::BadName => "no such process".to_owned(),
        FaultCode::UnknownMethod
        | FaultCode::IncorrectParameters
        | FaultCode::BadArguments
        | FaultCode::SignatureUnsupported
        | FaultCode::ShutdownState
        | FaultCode::BadSignal
        | FaultCode::Failed
        | FaultCode::Success
        | FaultCode::AlreadyAdded
        | FaultCode::StillRunning
        | FaultCode::CantReread
        | FaultCode::NotInWhitelist => unexpected(fault),
    }
}

pub(super) fn unexpected(fault: &Fault) -> String {
    format!("unexpected rpc fault [{}] {fault}", fault.code.code())
}

#[cfg(test)]
mod tests {
    use super::super::page_actions::{PAGE_ACTIONS, find_action};
    use super::*;
    use crate::api::find_method;
    use crate::domain::{GroupName, ProcessName};

    #[test]
    fn our_actions_have_their_messages() {
        let result = |name: &str, fault| TargetResult {
            process: ProcessName::parse(name).expect("valid"),
            group: GroupName::parse("g").expect("valid"),
            fault,
        };
        let action = |word| find_action(word).expect("a verb");
        let one = ActionTarget::parse("g:a");
        let group = ActionTarget::parse("g:*");
        let good = Ok(Reply::Done);
        let table = [
            (action("start"), &one, &good, "Process g:a started"),
            (action("clear"), &one, &good, "Log of g:a cleared"),
            (action("clear"), &group, &good, "Log of group g cleared"),
            (
                action("clear"),
                &ActionTarget::All,
                &good,
                "Log of all cleared",
            ),
            (
                action("restart"),
                &ActionTarget::All,
                &good,
                "All restarted",
            ),
            (
                action("stop"),
                &ActionTarget::parse("a"),
                &Err(FaultCode::NotRunning.of("a")),
                "ERROR: Process a: not running",
            ),
        ];
        for (action, target, result, expected) in table {
            assert_eq!(outcome(action, target, result).message, expected);
        }
        let mut results = vec![result("ok", None)];
        for name in ["a", "b", "c", "d", "e", "f", "h"] {
            results.push(result(name, Some(FaultCode::SpawnError.of(name))));
        }
        let done = outcome(action("start"), &group, &Ok(Reply::Results(results)));
        assert_eq!(
            done.message,
            "1 started, 7 failed: a: spawn error, b: spawn error, c: spawn error, d: spawn error, e: spawn error \
             and 2 more"
        );
        assert!(done.failed && is_failure(&done.message));
        let results = vec![result("a", Some(FaultCode::SpawnError.of("a")))];
        let all_failed = outcome(action("start"), &group, &Ok(Reply::Results(results)));
        assert_eq!(
            all_failed.message,
            "ERROR: Group g not started: a: spawn error"
        );
        let results = vec![
            result("ok", None),
            result("a", Some(FaultCode::SpawnError.of("a"))),
        ];
        let of_all = outcome(
            action("stop"),
            &ActionTarget::All,
            &Ok(Reply::Results(results)),
        );
        assert_eq!(of_all.message, "1 stopped, 1 failed: g:a: spawn error");
        assert!(!is_failure("All started"));
    }

    #[test]
    fn every_page_action_uses_existing_methods() {
        for action in PAGE_ACTIONS {
            for name in action.one.iter().chain(action.all) {
                assert!(find_method(name).is_some(), "{name}");
            }
        }
    }
}
