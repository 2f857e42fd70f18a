//! Audit lines of requests, and the check whether names in requests are valid.

use std::borrow::Cow;

use super::{BoundCall, Caller, Fault, FaultCode, LogRef, Request, RequestTarget};
use crate::domain::{FOREIGN_CHARS_MAX, Foreign, Line, Namespec};

/// Maximum length of the name of a process, group or signal in a call, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// A change as an audit line describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AuditEntry {
    /// The action as one word, the same for every server.
    pub verb: &'static str,
    /// The target, with names as the caller wrote them. Each name is one word.
    pub target: String,
}

impl AuditEntry {
    fn new(verb: &'static str, target: String) -> Self {
        Self { verb, target }
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
        let entry = |verb, target| Some(AuditEntry::new(verb, target));
        let whole = |verb| Some(AuditEntry::new(verb, String::new()));
        match self {
            Self::State
            | Self::Pid
            | Self::Identification
            | Self::ProcessInfo(_)
            | Self::AllProcessInfo
            | Self::SomeProcessInfo(_)
            | Self::AllConfigInfo
            | Self::GroupNames
            | Self::ConfigProblems
            | Self::Generation
            | Self::LogFile(_) => None,
            Self::Start { target, .. } => entry("start", target_text(target)),
            Self::Stop { target, .. } => entry("stop", target_text(target)),
            Self::Signal { target, .. } => entry("signal", target_text(target)),
            Self::Reread => whole("reread"),
            Self::AddGroup(name) => entry("add", quoted_name(name)),
            Self::RemoveGroup(name) => entry("remove", quoted_name(name)),
            Self::Shutdown => whole("shutdown"),
            Self::Restart => whole("restart"),
            Self::Upgrade => whole("upgrade"),
            Self::ClearDaemonLog => whole("clear-log"),
            Self::ClearLogs(target) => entry("clear-logs", target_text(target)),
            Self::WriteStdin { name, .. } => entry("write-stdin", quoted_name(name)),
            Self::RemoteEvent { kind, .. } => entry("event", quoted_name(kind)),
            Self::WriteLog { .. } => whole("write-log"),
            Self::AddProgram { group, program, .. } => entry(
                "add-program",
                format!("{}:{}", quoted_name(group), quoted_name(program)),
            ),
            Self::RemoveProcess { group, process } => entry(
                "remove-process",
                format!("{}:{}", quoted_name(group), quoted_name(process)),
            ),
            Self::SetNumprocs { program, numprocs } => entry(
                "set-numprocs",
                format!("{} {numprocs}", quoted_name(program)),
            ),
            Self::RollingRestart { targets, .. } => {
                let mut names = String::new();
                for target in targets {
                    if !names.is_empty() {
                        names.push(' ');
                    }
                    names.push_str(&target_text(target));
                    // No line shows more than this.
                    if names.len() > 4 * FOREIGN_CHARS_MAX {
                        break;
                    }
                }
                entry("rolling-restart", names)
            }
        }
    }

    /// Checks that every name in the request is valid: at most [`NAME_CHARS_MAX`] characters, and no control
    /// characters. Call it before the request is passed on.
    ///
    /// # Errors
    /// BAD_NAME, BAD_SIGNAL. The text is escaped and short.
    pub fn check_names(&self) -> Result<(), Fault> {
        match self {
            Self::State
            | Self::Pid
            | Self::Identification
            | Self::AllProcessInfo
            | Self::AllConfigInfo
            | Self::Reread
            | Self::Shutdown
            | Self::Restart
            | Self::Upgrade
            | Self::Generation
            | Self::LogFile(LogRef::Daemon)
            | Self::ClearDaemonLog
            | Self::RemoteEvent { .. }
            | Self::GroupNames
            | Self::ConfigProblems
            | Self::WriteLog { .. } => Ok(()),
            Self::ProcessInfo(name)
            | Self::LogFile(LogRef::Process(name, _))
            | Self::AddGroup(name)
            | Self::RemoveGroup(name)
            | Self::WriteStdin { name, .. }
            | Self::SetNumprocs { program: name, .. } => check_namespec(name),
            Self::SomeProcessInfo(names) => names.iter().try_for_each(|name| check_namespec(name)),
            Self::Start { target, .. } | Self::Stop { target, .. } | Self::ClearLogs(target) => {
                check_target(target)
            }
            Self::Signal { target, signal } => {
                check_target(target)?;
                if is_name(signal) {
                    Ok(())
                } else {
                    Err(FaultCode::BadSignal.of(Foreign(signal).to_string()))
                }
            }
            Self::AddProgram { group, program, .. } => {
                check_namespec(group).and_then(|()| check_namespec(program))
            }
            Self::RemoveProcess { group, process } => {
                check_namespec(group).and_then(|()| check_namespec(process))
            }
            Self::RollingRestart { targets, .. } => targets.iter().try_for_each(check_target),
        }
    }
}

impl BoundCall {
    /// Returns the request to the engine that the call leads to. `None`: the server answers the call itself.
    #[must_use]
    pub fn request(&self) -> Option<Cow<'_, Request>> {
        match self {
            Self::Engine(request) | Self::Wildcard(request, _) => Some(Cow::Borrowed(request)),
            Self::ReadLog { of, .. } | Self::TailLog { of, .. } => {
                Some(Cow::Owned(Request::LogFile(of.clone())))
            }
            Self::ProcessTable(request, _) => Some(Cow::Borrowed(request)),
            Self::Constant(_) => Some(Cow::Owned(Request::State)),
            Self::ListMethods
            | Self::MethodHelp(_)
            | Self::MethodSignature(_)
            | Self::Multicall(_) => None,
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

fn check_target(target: &RequestTarget) -> Result<(), Fault> {
    match target {
        RequestTarget::One(_, text) | RequestTarget::Group(text) => check_namespec(text),
        RequestTarget::All => Ok(()),
    }
}

/// Checks a namespec. Each part of it is a name.
fn check_namespec(text: &str) -> Result<(), Fault> {
    let Namespec { group, process } = Namespec::parse(text);
    if is_name(&group) && process.is_none_or(|process| is_name(&process)) {
        Ok(())
    } else {
        Err(FaultCode::BadName.of(Foreign(text).to_string()))
    }
}

fn is_name(text: &str) -> bool {
    !text.contains(char::is_control) && text.chars().nth(NAME_CHARS_MAX).is_none()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Transport;

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
    fn a1_a_name_is_short_and_has_no_controls() {
        let most = "é".repeat(NAME_CHARS_MAX);
        let long = format!("{most}x");
        for good in [
            "web",
            "",
            "g:*",
            "g:",
            "a b",
            "\u{202e}",
            &most,
            &format!("{most}:{most}"),
        ] {
            assert_eq!(stop(good).check_names(), Ok(()), "{good}");
        }
        for bad in [
            "a\nb",
            "\u{9b}",
            "a:\u{0}",
            "\t",
            &long,
            &format!("g:{long}"),
            &format!("{long}:*"),
        ] {
            let fault = stop(bad).check_names().expect_err(bad);
            assert_eq!(fault.code, FaultCode::BadName);
            let text = fault.to_string();
            assert!(
                text.chars().count() < 220 && !text.contains(char::is_control),
                "{text}"
            );
        }
        let signal = |signal: &str| Request::Signal {
            target: RequestTarget::All,
            signal: signal.to_owned(),
        };
        assert_eq!(signal("NOSUCH").check_names(), Ok(()));
        let fault = signal(&"x".repeat(1 << 20))
            .check_names()
            .expect_err("long");
        assert_eq!(fault.code, FaultCode::BadSignal);
    }

    #[test]
    fn a_thousand_names_make_a_short_entry() {
        let target = |number: u32| {
            let text = format!("program{number}");
            RequestTarget::One(Namespec::parse(&text), text)
        };
        let request = Request::RollingRestart {
            targets: (0..100_000).map(target).collect(),
            at_once: 1,
        };
        let entry = request.audit_entry().expect("a change");
        assert!(entry.target.len() < 2000, "{}", entry.target.len());
        assert!(entry.target.starts_with("program0 program1 program2 "));
    }
}
