//! Performs actions and reads logs at a node.

use std::time::Duration;

use tokio::time::{Instant, sleep};

use super::action::{Action, ActionError, HubUser};
use super::client::NodeClient;
use super::failure::CallFailure;
use super::log::{LOG_BYTES_MAX, LogPart, LogRange};
use super::shared::Node;
use super::view::{NodeKind, NodeState};
use crate::api::FaultCode;
use crate::api::xmlrpc::RpcValue;
use crate::domain::Channel;

/// Limit of one action. A program may take minutes to start or to stop.
pub const ACTION_LIMIT: Duration = Duration::from_secs(300);
/// How long an action may take before the node is asked whether it still answers, and the pause between two such questions.
const PROBE_AFTER: Duration = Duration::from_secs(2);
/// Number of unanswered questions after which the action is given up.
const PROBES_MAX: u32 = 2;

impl Node {
    /// Fails if the node is not connected.
    ///
    /// # Errors
    /// `NotConnected`.
    pub(in crate::hub) fn check_connected(&self) -> Result<(), ActionError> {
        let view = self.view();
        match view.state {
            NodeState::Connected => Ok(()),
            state => Err(ActionError::NotConnected {
                state,
                reason: view.reason.clone(),
            }),
        }
    }

    /// Does an action with one process, `group:name`, and waits for its end. A few actions run at a time.
    ///
    /// # Errors
    /// See [`ActionError`].
    pub(in crate::hub) async fn perform(
        &self,
        namespec: &str,
        action: Action,
        user: &HubUser,
    ) -> Result<(), ActionError> {
        self.check_connected()?;
        let call = ActionCall {
            client: &self.client,
            user,
            until: Instant::now() + ACTION_LIMIT,
        };
        let name = self.name_for_call(namespec);
        let name = || RpcValue::text(name.as_str());
        let waits = || vec![name(), RpcValue::Bool(true)];
        let result = match action {
            Action::Start => call.ask("supervisor.startProcess", waits()).await,
            Action::Stop => call.ask("supervisor.stopProcess", waits()).await,
            Action::Restart => {
                let stopped = call.ask("supervisor.stopProcess", waits()).await;
                let is_down = match &stopped {
                    Err(ActionError::Fault { code, .. }) => {
                        *code == i64::from(FaultCode::NotRunning.code())
                    }
                    result => result.is_ok(),
                };
                match is_down {
                    true => call.ask("supervisor.startProcess", waits()).await,
                    false => stopped,
                }
            }
            Action::Signal(signal) => {
                let params = vec![name(), RpcValue::text(signal.number().to_string())];
                call.ask("supervisor.signalProcess", params).await
            }
            Action::ClearLogs => call.ask("supervisor.clearProcessLogs", vec![name()]).await,
        };
        // A node without event stream tells what has changed only when it is asked.
        if self.view().kind != Some(NodeKind::Ours) {
            self.request_refresh();
        }
        result
    }

    /// The name of a process in calls. The Go project knows a program that is in no group by its own name alone.
    fn name_for_call(&self, namespec: &str) -> String {
        match namespec.split_once(':') {
            Some((group, name)) if group == name && self.view().kind == Some(NodeKind::Go) => {
                name.to_owned()
            }
            Some(_) | None => namespec.to_owned(),
        }
    }

    /// Reads a part of the log of a process, `group:name`.
    ///
    /// # Errors
    /// See [`ActionError`]. A process without a log file is a fault NO_FILE.
    pub(in crate::hub) async fn read_log(
        &self,
        namespec: &str,
        channel: Channel,
        range: LogRange,
    ) -> Result<LogPart, ActionError> {
        self.check_connected()?;
        let stream = match channel {
            Channel::Stdout => "Stdout",
            Channel::Stderr => "Stderr",
        };
        let name = RpcValue::text(self.name_for_call(namespec));
        let bytes_of = |bytes: u32| i64::from(bytes.clamp(1, LOG_BYTES_MAX));
        let is_go = self.view().kind == Some(NodeKind::Go);
        let (method, first, second) = match range {
            // Its tail reads forward from the offset.
            LogRange::Last(bytes) if is_go => ("read", -bytes_of(bytes), 0),
            LogRange::Last(bytes) => ("tail", 0, bytes_of(bytes)),
            LogRange::After { offset, bytes } => {
                let offset = i64::try_from(offset).unwrap_or(i64::MAX);
                ("tail", offset, bytes_of(bytes))
            }
        };
        let params = vec![name, RpcValue::Int(first), RpcValue::Int(second)];
        let method = format!("supervisor.{method}Process{stream}Log");
        let limit = self.client.limit();
        let answer = self.client.call(&method, params, None, limit).await;
        let mut part = part_of(answer.map_err(|failure| action_error(failure, limit))?)?;
        if let LogRange::After { offset, .. } = range
            && !is_go
        {
            keep_after(&mut part, offset);
        }
        Ok(part)
    }
}

/// Removes what was written before an offset. Supervisor's tail always sends the last bytes of the file.
fn keep_after(part: &mut LogPart, offset: u64) {
    // A shorter file than before is another one.
    let fresh = part.end.and_then(|end| end.checked_sub(offset));
    let Some(fresh) = fresh.and_then(|fresh| usize::try_from(fresh).ok()) else {
        return;
    };
    part.is_cut = fresh > part.text.len();
    let mut from = part.text.len().saturating_sub(fresh);
    while !part.text.is_char_boundary(from) {
        from += 1;
    }
    part.text.drain(..from);
}

/// Reads the answer of the methods that read logs: a text, or a text, the offset behind it, and whether more was skipped.
fn part_of(value: RpcValue) -> Result<LogPart, ActionError> {
    let text_of = |value: &RpcValue| match value {
        RpcValue::Text(text) => Some(text.clone()),
        RpcValue::Bytes(bytes) => Some(String::from_utf8_lossy(bytes).into_owned()),
        _ => None,
    };
    let part = match &value {
        RpcValue::Array(items) => match items.as_slice() {
            [text, RpcValue::Int(end), RpcValue::Bool(is_cut)] => {
                text_of(text).map(|text| LogPart {
                    text,
                    end: u64::try_from(*end).ok(),
                    is_cut: *is_cut,
                })
            }
            _ => None,
        },
        value => text_of(value).map(|text| LogPart {
            text,
            end: None,
            is_cut: false,
        }),
    };
    part.ok_or_else(|| ActionError::NoAnswer("its answer is no part of a log".to_owned()))
}

/// The calls of one action.
struct ActionCall<'a> {
    client: &'a NodeClient,
    user: &'a HubUser,
    until: Instant,
}

impl ActionCall<'_> {
    /// Makes a call, and asks the node now and then whether it still answers. Only a node that does not answer anything is
    /// given up before the limit, because a start may take minutes.
    async fn ask(&self, method: &str, params: Vec<RpcValue>) -> Result<(), ActionError> {
        let limit = self.until.saturating_duration_since(Instant::now());
        let call = self
            .client
            .call(method, params, Some(&self.user.name), limit);
        let mut call = std::pin::pin!(call);
        let began = Instant::now();
        let mut unanswered = 0;
        loop {
            let probe = async {
                sleep(PROBE_AFTER).await;
                let limit = self.client.limit();
                let answer = self
                    .client
                    .call("supervisor.getState", Vec::new(), None, limit)
                    .await;
                matches!(answer, Ok(_) | Err(CallFailure::Fault { .. }))
            };
            tokio::select! {
                answer = &mut call => {
                    return match answer {
                        Ok(_) => Ok(()),
                        Err(failure) => Err(action_error(failure, limit)),
                    };
                }
                answers = probe => {
                    unanswered = if answers { 0 } else { unanswered + 1 };
                    if unanswered >= PROBES_MAX {
                        return Err(ActionError::TimedOut(began.elapsed()));
                    }
                }
            }
        }
    }
}

fn action_error(failure: CallFailure, limit: Duration) -> ActionError {
    match failure {
        CallFailure::Fault { code, text } => ActionError::Fault { code, text },
        CallFailure::TimedOut(_) => ActionError::TimedOut(limit),
        CallFailure::NoAnswer(failure) => ActionError::NoAnswer(failure.reason),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_new_of_a_log_is_kept() {
        let part = |text: &str, end| LogPart {
            text: text.to_owned(),
            end,
            is_cut: true,
        };
        for (text, end, offset, expected, is_cut) in [
            ("hello\n", 6, 2, "llo\n", false),
            ("hello\n", 6, 6, "", false),
            ("hello\n", 106, 0, "hello\n", true),
            // In the middle of a character.
            ("aé\n", 4, 2, "\n", false),
            // Another file.
            ("new\n", 4, 100, "new\n", true),
        ] {
            let mut kept = part(text, Some(end));
            keep_after(&mut kept, offset);
            assert_eq!(
                (&*kept.text, kept.is_cut),
                (expected, is_cut),
                "{text:?} after {offset}"
            );
        }
    }

    #[test]
    fn an_answer_that_is_no_log_is_an_error() {
        let text = RpcValue::text("x");
        let log = RpcValue::Array(vec![text.clone(), RpcValue::Int(1), RpcValue::Bool(false)]);
        assert_eq!(part_of(log).expect("a part").end, Some(1));
        assert_eq!(part_of(text.clone()).expect("a part").end, None);
        for wrong in [RpcValue::Int(1), RpcValue::Array(vec![text])] {
            assert!(part_of(wrong).is_err());
        }
    }
}
