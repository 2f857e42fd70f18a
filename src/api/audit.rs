//! Audit lines of requests, derived from the rows of requests.

use serde::{Deserialize, Serialize};

use super::request::RequestField;
use super::{Caller, Fault, FaultCode, LogRef, Request, RequestTarget};
use crate::domain::{FOREIGN_CHARS_MAX, Foreign, Line};

/// A change as an audit line describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The action as one word, the same for every server.
    pub verb: &'static str,
    /// The target, with names as the caller wrote them. Each name is one word.
    pub target: String,
}

/// One audit line as data. The texts are escaped and shortened as in the activity log.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct AuditRecord {
    /// When the request was handled, in seconds since the epoch.
    pub at: i64,
    /// Who sent the request: the transport, and what identifies the caller there.
    pub who: String,
    /// The action as one word.
    pub verb: String,
    /// The target, with names as the caller wrote them. Empty: the daemon.
    pub target: String,
    /// `accepted`, perhaps with details, or why the request was refused.
    pub result: String,
}

impl AuditRecord {
    /// Returns an audit line as data. `None`: the line is no audit line.
    #[must_use]
    pub fn of(line: &Line, at: i64) -> Option<Self> {
        let (Line::Audit {
            who,
            verb,
            target,
            result,
        }
        | Line::AuditRefused {
            who,
            verb,
            target,
            result,
            ..
        }) = line
        else {
            return None;
        };
        Some(Self {
            at,
            who: Foreign(who).to_string(),
            verb: Foreign(verb).to_string(),
            target: Foreign(target).to_string(),
            result: Foreign(result).to_string(),
        })
    }
}

/// Returns the audit line of a change. `fault`: why it was refused. `None`: the change was accepted.
#[must_use]
pub fn audit_line(caller: &Caller, entry: AuditEntry, fault: Option<&Fault>) -> Line {
    let (who, verb) = (caller.identity(), entry.verb.to_owned());
    let Some(fault) = fault else {
        return Line::Audit {
            who,
            verb,
            target: entry.target,
            result: "accepted".to_owned(),
        };
    };
    let result = match &fault.extra {
        // A text that only repeats the name is no reason.
        Some(extra) if fault.code != FaultCode::BadName && *extra != entry.target => {
            fault.to_string()
        }
        Some(_) | None => fault.code.name().to_owned(),
    };
    Line::AuditRefused {
        source: caller.rate_limit_key(),
        who,
        verb,
        target: entry.target,
        result,
    }
}

impl Request {
    /// Returns what the audit line says of this request. `None`: the request changes nothing.
    #[must_use]
    pub fn audit_entry(&self) -> Option<AuditEntry> {
        let verb = self.effect().audit_verb()?;
        let target = self.with_fields(|fields| {
            let mut text = String::new();
            for field in fields {
                push_field(&mut text, field);
            }
            text
        });
        Some(AuditEntry { verb, target })
    }
}

/// Appends what the audit line shows of a field.
fn push_field(text: &mut String, field: &RequestField<'_>) {
    let mut push = |separator: char, part: &str| {
        if !text.is_empty() {
            text.push(separator);
        }
        text.push_str(part);
    };
    match field {
        RequestField::Process(name)
        | RequestField::Group(name)
        | RequestField::Program(name)
        | RequestField::Word(name) => push(' ', &quoted_name(name)),
        RequestField::Member(name) => push(':', &quoted_name(name)),
        RequestField::Number(number) => push(' ', &number.to_string()),
        RequestField::Target(target) => push(' ', &target_text(target)),
        RequestField::Processes(names) => {
            push_bounded(text, names.iter().map(|name| quoted_name(name)))
        }
        RequestField::Targets(targets) => push_bounded(text, targets.iter().map(target_text)),
        RequestField::Log(LogRef::Process(name, _)) => push(' ', &quoted_name(name)),
        RequestField::Log(LogRef::Daemon) | RequestField::Signal(_) | RequestField::Value => {}
    }
}

/// Appends names until the text is longer than any line shows.
fn push_bounded(text: &mut String, names: impl Iterator<Item = String>) {
    for name in names {
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(&name);
        if text.len() > 4 * FOREIGN_CHARS_MAX {
            break;
        }
    }
}

/// Returns a target as it was typed.
fn target_text(target: &RequestTarget) -> String {
    match target {
        RequestTarget::One(_, text) => quoted_name(text),
        RequestTarget::Group(name) => format!("{}:*", quoted_name(name)),
        RequestTarget::All => "all".to_owned(),
    }
}

/// Returns a name as one word. Escaped spaces prevent an invalid name from looking like other parts of the line.
fn quoted_name(name: &str) -> String {
    let shown = name.chars().take(FOREIGN_CHARS_MAX + 1);
    let mut word = String::new();
    for c in shown {
        if c.is_whitespace() {
            word.extend(c.escape_unicode());
        } else {
            word.push(c);
        }
    }
    word
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{RollingLimits, Transport};
    use crate::domain::Namespec;

    fn caller() -> Caller {
        Caller {
            transport: Transport::Unix,
            uid: Some(7),
            pid: Some(8),
            ..Caller::DAEMON
        }
    }

    fn stop(text: &str) -> Request {
        Request::Stop {
            target: RequestTarget::One(Namespec::parse(text), text.to_owned()),
            wait: true,
        }
    }

    #[test]
    fn a1_accepted_and_refused_calls_have_one_form() {
        let line = |request: &Request, fault: Option<Fault>| {
            let entry = request.audit_entry().expect("a change");
            audit_line(&caller(), entry, fault.as_ref()).to_string()
        };
        let begin = "audit: unix uid=7 pid=8";
        let refused = FaultCode::Failed.of("permission denied: web");
        for (request, fault, expected) in [
            (stop("web"), None, "stop web: accepted"),
            (
                stop("web"),
                Some(refused),
                "stop web: FAILED: permission denied: web",
            ),
            (
                stop("x"),
                Some(FaultCode::BadName.of("x")),
                "stop x: BAD_NAME",
            ),
            (
                Request::Shutdown,
                Some(FaultCode::ShutdownState.bare()),
                "shutdown : SHUTDOWN_STATE",
            ),
            (
                stop("web: accepted\naudit:"),
                Some(FaultCode::BadName.of("x")),
                "stop web:\\u{20}accepted\\u{a}audit:: BAD_NAME",
            ),
        ] {
            assert_eq!(line(&request, fault), format!("{begin} {expected}"));
        }
    }

    #[test]
    fn a_thousand_names_make_a_short_entry() {
        let target = |number: u32| {
            let text = format!("program{number}");
            RequestTarget::One(Namespec::parse(&text), text)
        };
        let request = Request::RollingRestart {
            targets: (0..100_000).map(target).collect(),
            limits: RollingLimits {
                at_once: 1,
                max_failures: 0,
                healthy: false,
            },
        };
        let entry = request.audit_entry().expect("a change");
        assert!(entry.target.len() < 2000, "{}", entry.target.len());
        assert!(entry.target.starts_with("program0 program1 program2 "));
    }
}
