//! The results of calls, worded for people.

use crate::api::{Fault, FaultCode, Reply};
use crate::web::action_outcome::{ActionOutcome, ProcessOutcome, display_name};
use crate::web::page_actions::{ActionTarget, PageAction};
use crate::web::texts::{Language, Text};

pub(super) fn outcome(
    action: &PageAction,
    target: &ActionTarget,
    result: &Result<Reply, Fault>,
    language: Language,
) -> ActionOutcome {
    if matches!(target, ActionTarget::Selected(names) if names.is_empty()) {
        return ActionOutcome::nothing_selected(language);
    }
    let results: Vec<ProcessOutcome> = match result {
        Err(fault) => {
            let subject = target.to_subject(language);
            let why = fault_text(fault, language);
            return ActionOutcome {
                message: language.fill(Text::ErrorOf, &[&subject, &why]),
                failed: true,
                results: Vec::new(),
            };
        }
        Ok(Reply::Results(results)) => results
            .iter()
            .map(|result| ProcessOutcome {
                id: format!("{}:{}", result.group, result.process),
                name: display_name(target, result.group.as_str(), result.process.as_str()),
                text: result.fault.as_ref().map_or_else(
                    || language.say(Text::Succeeded).to_owned(),
                    |fault| fault_text(fault, language),
                ),
                failed: result.fault.is_some(),
            })
            .collect(),
        Ok(_) => Vec::new(),
    };
    ActionOutcome::new(action, target, results, language)
}

/// The text with which Supervisor's page reports a fault.
pub(super) fn fault_text(fault: &Fault, language: Language) -> String {
    let text = match fault.code {
        FaultCode::NoFile => Text::FaultNoFile,
        FaultCode::NotExecutable => Text::FaultNotExecutable,
        FaultCode::AlreadyStarted => Text::FaultAlreadyStarted,
        FaultCode::SpawnError => Text::FaultSpawnError,
        FaultCode::AbnormalTermination => Text::FaultAbnormalTermination,
        FaultCode::NotRunning => Text::FaultNotRunning,
        FaultCode::BadName => Text::FaultBadName,
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
        | FaultCode::Conflict
        | FaultCode::Unavailable
        | FaultCode::Unsupported
        | FaultCode::NotInWhitelist => return unexpected(fault, language),
    };
    language.say(text).to_owned()
}

pub(super) fn unexpected(fault: &Fault, language: Language) -> String {
    language.fill(Text::UnexpectedFault, &[&fault.code.code(), fault])
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::TargetResult;
    use crate::api::find_method;
    use crate::domain::{GroupName, ProcessName};
    use crate::server::web::perform_action::methods_of;
    use crate::web::action_outcome::is_failure;
    use crate::web::page_actions::{PAGE_ACTIONS, find_action};

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
            assert_eq!(
                outcome(action, target, result, Language::English).message,
                expected
            );
        }
        let mut results = vec![result("ok", None)];
        for name in ["a", "b", "c", "d", "e", "f", "h"] {
            results.push(result(name, Some(FaultCode::SpawnError.of(name))));
        }
        let done = outcome(
            action("start"),
            &group,
            &Ok(Reply::Results(results)),
            Language::English,
        );
        assert_eq!(
            done.message,
            "1 started, 7 failed: a: spawn error, b: spawn error, c: spawn error, d: spawn error, e: spawn error \
             and 2 more"
        );
        assert!(done.failed && is_failure(&done.message));
        let results = vec![result("a", Some(FaultCode::SpawnError.of("a")))];
        let all_failed = outcome(
            action("start"),
            &group,
            &Ok(Reply::Results(results)),
            Language::English,
        );
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
            Language::English,
        );
        assert_eq!(of_all.message, "1 stopped, 1 failed: g:a: spawn error");
        assert!(!is_failure("All started"));
        assert!(of_all.results[1].failed && !of_all.results[0].failed);
    }

    #[test]
    fn failures_are_recognized_in_both_languages() {
        let results = |faults: [Option<FaultCode>; 2]| {
            let results = faults.map(|fault| TargetResult {
                process: ProcessName::parse("p").expect("valid"),
                group: GroupName::parse("g").expect("valid"),
                fault: fault.map(|code| code.of("p")),
            });
            Ok(Reply::Results(results.into()))
        };
        for language in Language::ALL {
            for action in PAGE_ACTIONS {
                let failed = Some(FaultCode::SpawnError);
                for (faults, is_failed) in [
                    ([None, None], false),
                    ([failed, None], true),
                    ([failed, failed], true),
                ] {
                    let target = ActionTarget::parse("g:*");
                    let done = outcome(action, &target, &results(faults), language);
                    assert_eq!(is_failure(&done.message), is_failed, "{}", done.message);
                }
            }
        }
    }

    #[test]
    fn every_page_action_uses_existing_methods() {
        for action in PAGE_ACTIONS {
            let methods = methods_of(action);
            for name in methods.one.iter().chain(methods.all) {
                assert!(find_method(name).is_some(), "{name}");
            }
        }
    }
}
