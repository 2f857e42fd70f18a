//! The subject of a request: the names in it, whether they are valid, and what it acts on. Derived from the rows of
//! requests.

use std::borrow::Cow;

use super::request::RequestField;
use super::{BoundCall, Fault, FaultCode, LogRef, Request, RequestTarget};
use crate::domain::{Foreign, Namespec};

/// Maximum length of the name of a process, group or signal in a call, in characters.
pub const NAME_CHARS_MAX: usize = 255;

/// What a request acts on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum RequestSubject {
    /// The daemon as a whole.
    Daemon,
    /// One group, possibly not active yet.
    Group(String),
    /// A program: `program` or `group:program`.
    Program(String),
    /// Processes, groups or all processes.
    Targets(Vec<RequestTarget>),
}

impl Request {
    /// Returns what the request acts on: the first field that names something, else the daemon.
    #[must_use]
    pub fn subject(&self) -> RequestSubject {
        self.with_fields(|fields| {
            let subject = fields.iter().find_map(field_subject);
            subject.unwrap_or(RequestSubject::Daemon)
        })
    }

    /// Checks that every name in the request is valid: at most [`NAME_CHARS_MAX`] characters, and no control
    /// characters. Call it before the request is passed on.
    ///
    /// # Errors
    /// BAD_NAME, BAD_SIGNAL. The text is escaped and short.
    pub fn check_names(&self) -> Result<(), Fault> {
        self.with_fields(|fields| fields.iter().try_for_each(check_field))
    }
}

/// Returns the subject that a field names. `None`: it names none.
fn field_subject(field: &RequestField<'_>) -> Option<RequestSubject> {
    let one = |text: &str| RequestTarget::One(Namespec::parse(text), text.to_owned());
    Some(match field {
        RequestField::Process(name) => RequestSubject::Targets(vec![one(name)]),
        RequestField::Log(LogRef::Process(name, _)) => RequestSubject::Targets(vec![one(name)]),
        RequestField::Group(name) => RequestSubject::Group((*name).to_owned()),
        RequestField::Program(name) => RequestSubject::Program((*name).to_owned()),
        RequestField::Target(target) => RequestSubject::Targets(vec![(*target).clone()]),
        RequestField::Targets(targets) => RequestSubject::Targets(targets.to_vec()),
        // `Processes` are names to read about. The answer omits those that the caller may not see.
        RequestField::Processes(_)
        | RequestField::Log(LogRef::Daemon)
        | RequestField::Member(_)
        | RequestField::Signal(_)
        | RequestField::Word(_)
        | RequestField::Number(_)
        | RequestField::Value => return None,
    })
}

/// Checks the names in a field.
fn check_field(field: &RequestField<'_>) -> Result<(), Fault> {
    match field {
        RequestField::Process(name)
        | RequestField::Group(name)
        | RequestField::Member(name)
        | RequestField::Program(name) => check_namespec(name),
        RequestField::Log(LogRef::Process(name, _)) => check_namespec(name),
        RequestField::Processes(names) => names.iter().try_for_each(|name| check_namespec(name)),
        RequestField::Target(target) => check_target(target),
        RequestField::Targets(targets) => targets.iter().try_for_each(check_target),
        RequestField::Signal(signal) if !is_name(signal) => {
            Err(FaultCode::BadSignal.of(Foreign(signal).to_string()))
        }
        RequestField::Signal(_)
        | RequestField::Log(LogRef::Daemon)
        | RequestField::Word(_)
        | RequestField::Number(_)
        | RequestField::Value => Ok(()),
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
            Self::ProcessDetails(name) | Self::ProcessConfig(name) => {
                Some(Cow::Owned(Request::ProcessDetails(name.clone())))
            }
            Self::ProcessTable(request, _) | Self::Usage(request) => Some(Cow::Borrowed(request)),
            Self::Security(names) => Some(Cow::Owned(Request::SomeProcessInfo(names.clone()))),
            Self::Constant(_) => Some(Cow::Owned(Request::State)),
            Self::Configuration(_)
            | Self::ListMethods
            | Self::MethodHelp(_)
            | Self::MethodSignature(_)
            | Self::Multicall(_) => None,
        }
    }

    /// Returns what the call acts on. Calls without a request to the engine are about the daemon.
    #[must_use]
    pub fn subject(&self) -> RequestSubject {
        self.request()
            .map_or(RequestSubject::Daemon, |request| request.subject())
    }
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
    use crate::domain::Channel;

    fn stop(text: &str) -> Request {
        Request::Stop {
            target: RequestTarget::One(Namespec::parse(text), text.to_owned()),
            wait: true,
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
    fn the_subject_is_the_first_name() {
        let one = |text: &str| RequestTarget::One(Namespec::parse(text), text.to_owned());
        let log = |name: &str| LogRef::Process(name.to_owned(), Channel::Stdout);
        for (request, subject) in [
            (Request::Shutdown, RequestSubject::Daemon),
            (Request::LogFile(LogRef::Daemon), RequestSubject::Daemon),
            (
                Request::SomeProcessInfo(vec!["a".to_owned()]),
                RequestSubject::Daemon,
            ),
            (stop("g:p"), RequestSubject::Targets(vec![one("g:p")])),
            (
                Request::LogFile(log("p")),
                RequestSubject::Targets(vec![one("p")]),
            ),
            (
                Request::RemoveGroup("g".to_owned()),
                RequestSubject::Group("g".to_owned()),
            ),
            (
                Request::RemoveProcess {
                    group: "g".to_owned(),
                    process: "p".to_owned(),
                },
                RequestSubject::Group("g".to_owned()),
            ),
            (
                Request::SetNumprocs {
                    program: "g:p".to_owned(),
                    numprocs: 2,
                },
                RequestSubject::Program("g:p".to_owned()),
            ),
        ] {
            assert_eq!(request.subject(), subject, "{request:?}");
        }
    }
}
