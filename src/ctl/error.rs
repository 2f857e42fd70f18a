//! Errors between client and server, with their messages. This module knows no actions.

use std::{fmt, io};

use nix::errno::Errno;

use super::results::code_name;
use crate::api::FaultCode;
use crate::api::xmlrpc::WireFault;

/// Why an action failed. `Display` is the text after `error: `.
#[derive(Debug)]
pub(super) enum CtlError {
    /// The server answered with a fault for which the action has no message of its own.
    Fault(WireFault),
    /// The server answered with an HTTP status other than 200.
    Http {
        /// The status code.
        status: u16,
        /// The reason phrase.
        reason: String,
    },
    /// Connecting, sending or receiving failed.
    Io(io::Error),
    /// The server's host name cannot be resolved; the resolver's message.
    Resolve(String),
    /// The server closed the connection before the response was complete.
    Closed {
        /// Whether a part of the response had arrived.
        midway: bool,
    },
    /// The server's response cannot be parsed.
    Garbage(String),
    /// A value that Supervisor's client refuses with Python's ValueError; its message.
    Value(String),
    /// A number that does not fit into 32 bits.
    Overflow,
    /// Input ended at a prompt.
    EndOfInput,
    /// Standard input or the terminal could not be read.
    Input(io::Error),
    /// Standard output could not be written. The error cannot be shown.
    Output(io::Error),
}

impl CtlError {
    /// Whether the server answered with this fault.
    pub(super) fn is_fault(&self, code: FaultCode) -> bool {
        self.fault() == Some(i64::from(code.code()))
    }

    /// The errno, if connecting, sending or receiving failed with one.
    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io(error) => error.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }

    /// The code in JSON: the name of the fault or errno, or a word for the kind of the error.
    pub(super) fn code(&self) -> String {
        match (self, self.errno()) {
            (Self::Fault(fault), _) => code_name(fault.code),
            (_, Some(errno)) => format!("{errno:?}"),
            (Self::Http { status, .. }, _) => format!("HTTP_{status}"),
            (Self::Resolve(_), _) => "UNKNOWN_HOST".to_owned(),
            (Self::Closed { .. }, _) => "CONNECTION_CLOSED".to_owned(),
            (Self::Garbage(_), _) => "INVALID_RESPONSE".to_owned(),
            (Self::Value(_) | Self::Overflow, _) => "INVALID_ARGUMENT".to_owned(),
            _ => "IO_ERROR".to_owned(),
        }
    }

    /// The message for a terminal and for JSON, where no script looks for Python's classes.
    pub(super) fn for_people(&self) -> String {
        match (self, self.errno()) {
            (_, Some(errno)) => format!("{} ({errno:?})", errno.desc()),
            (Self::Io(error), None) => error.to_string(),
            (Self::Resolve(text), _) => {
                let text = text
                    .split_once("] ")
                    .map_or(text.as_str(), |(_, text)| text);
                format!("unknown host: {text}")
            }
            (Self::Closed { midway: false }, _) => {
                "the server closed the connection without a response".to_owned()
            }
            (Self::Value(text), _) => text.clone(),
            (Self::Overflow, _) => "a number does not fit into 32 bits".to_owned(),
            (Self::EndOfInput, _) => "the input has ended".to_owned(),
            _ => self.to_string(),
        }
    }

    /// Whether nobody listens at the address.
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self.errno(), Some(Errno::ECONNREFUSED | Errno::ENOENT))
    }

    /// The fault code, if the server answered with a fault.
    pub(super) fn fault(&self) -> Option<i64> {
        match self {
            Self::Fault(fault) => Some(fault.code),
            _ => None,
        }
    }
}

impl From<WireFault> for CtlError {
    fn from(fault: WireFault) -> Self {
        Self::Fault(fault)
    }
}

/// Python's exception class for an errno, which scripts look for in `error: ` lines.
fn class_of(errno: Errno) -> &'static str {
    match errno {
        Errno::ENOENT => "FileNotFoundError",
        Errno::ECONNREFUSED => "ConnectionRefusedError",
        Errno::ECONNRESET => "ConnectionResetError",
        Errno::ECONNABORTED => "ConnectionAbortedError",
        Errno::EPIPE => "BrokenPipeError",
        Errno::EACCES | Errno::EPERM => "PermissionError",
        Errno::ETIMEDOUT => "TimeoutError",
        Errno::ENOTDIR => "NotADirectoryError",
        Errno::EISDIR => "IsADirectoryError",
        _ => "OSError",
    }
}

impl fmt::Display for CtlError {
    // Differs: Supervisor appends `: file: … line: …`, positions in its own source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Differs: Supervisor prints Python's class and `<Fault 6: 'SHUTDOWN_STATE'>`, and for an HTTP status
            // `<ProtocolError for 127.0.0.1/RPC2: …>` for any server.
            Self::Fault(fault) if fault.text.is_empty() => write!(f, "fault {}", fault.code),
            Self::Fault(fault) => f.write_str(&fault.text),
            Self::Http { status, reason } => {
                write!(f, "the server answered HTTP status {status} {reason}")
            }
            Self::Io(error) => match error.raw_os_error() {
                Some(code) => {
                    let errno = Errno::from_raw(code);
                    write!(f, "<class '{}'>, [Errno {code}] {}", class_of(errno), errno.desc())
                }
                None => write!(f, "<class 'OSError'>, {error}"),
            },
            Self::Resolve(text) => write!(f, "<class 'socket.gaierror'>, {text}"),
            Self::Closed { midway: false } => f.write_str(
                "<class 'http.client.RemoteDisconnected'>, Remote end closed connection without response",
            ),
            Self::Closed { midway: true } => {
                f.write_str("the server closed the connection before the end of its response")
            }
            Self::Garbage(text) => write!(f, "invalid response from the server: {text}"),
            Self::Value(text) => write!(f, "<class 'ValueError'>, {text}"),
            Self::Overflow => {
                f.write_str("<class 'OverflowError'>, int exceeds XML-RPC limits")
            }
            Self::EndOfInput => f.write_str("<class 'EOFError'>, EOF when reading a line"),
            Self::Input(error) => write!(f, "cannot read the terminal: {error}"),
            Self::Output(error) => write!(f, "cannot write output: {error}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_for_people_have_an_errno_and_no_python() {
        for (failure, code, text) in [
            (
                CtlError::Io(io::Error::from_raw_os_error(111)),
                "ECONNREFUSED",
                "Connection refused (ECONNREFUSED)",
            ),
            (
                CtlError::Resolve("[Errno -2] Name or service not known".to_owned()),
                "UNKNOWN_HOST",
                "unknown host: Name or service not known",
            ),
            (
                CtlError::Http {
                    status: 404,
                    reason: "Not Found".to_owned(),
                },
                "HTTP_404",
                "the server answered HTTP status 404 Not Found",
            ),
            (
                CtlError::Fault(WireFault {
                    code: 10,
                    text: "BAD_NAME: x".to_owned(),
                }),
                "BAD_NAME",
                "BAD_NAME: x",
            ),
            (
                CtlError::Overflow,
                "INVALID_ARGUMENT",
                "a number does not fit into 32 bits",
            ),
        ] {
            assert_eq!(
                (failure.code().as_str(), failure.for_people().as_str()),
                (code, text)
            );
        }
    }

    #[test]
    fn ctl_05_errors_have_supervisors_messages() {
        let table = [
            (
                CtlError::Io(io::Error::from_raw_os_error(111)),
                "<class 'ConnectionRefusedError'>, [Errno 111] Connection refused",
            ),
            (
                CtlError::Io(io::Error::from_raw_os_error(13)),
                "<class 'PermissionError'>, [Errno 13] Permission denied",
            ),
            (
                CtlError::Fault(WireFault {
                    code: 6,
                    text: "SHUTDOWN_STATE".to_owned(),
                }),
                "SHUTDOWN_STATE",
            ),
            (
                CtlError::Http {
                    status: 500,
                    reason: "Oops".to_owned(),
                },
                "the server answered HTTP status 500 Oops",
            ),
        ];
        for (failure, expected) in table {
            assert_eq!(failure.to_string(), expected);
        }
    }
}
