//! What can go wrong between us and the server, and the words for it. Knows no action.

use std::fmt;
use std::io;

use nix::errno::Errno;

use crate::api::xmlrpc::WireFault;

/// Why an action could not go on. `Display` is what follows `error: `.
#[derive(Debug)]
pub(super) enum CtlError {
    /// The server answered a fault that the action has no words for.
    Fault(WireFault),
    /// The server answered another HTTP status than 200.
    Http {
        /// The status code.
        status: u16,
        /// What stood behind it.
        reason: String,
    },
    /// Connecting, sending or receiving failed.
    Io(io::Error),
    /// The server's host name is not known; the resolver's text.
    Resolve(String),
    /// The server closed the connection; whether part of an answer had come.
    Closed {
        /// Part of an answer had come.
        midway: bool,
    },
    /// The server's answer cannot be understood.
    Garbage(String),
    /// A value that Supervisor's client refuses with Python's ValueError; its text.
    Value(String),
    /// A number that does not fit into 32 bits.
    Overflow,
    /// Input ended where an answer was asked for.
    EndOfInput,
    /// Standard input or the terminal could not be read.
    Input(io::Error),
    /// Standard output could not be written: there is nobody left to tell.
    Output(io::Error),
}

impl CtlError {
    /// The error number, if the kernel gave one on the way to the server.
    pub(super) fn errno(&self) -> Option<Errno> {
        match self {
            Self::Io(error) => error.raw_os_error().map(Errno::from_raw),
            _ => None,
        }
    }

    /// Nobody listens there.
    pub(super) fn is_nobody(&self) -> bool {
        matches!(self.errno(), Some(Errno::ECONNREFUSED | Errno::ENOENT))
    }

    /// The wire code, if the server answered a fault.
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

/// Python's class for a system error, which scripts look for in `error: ` lines.
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
    // Differs: Supervisor goes on with `: file: … line: …`, places in its own source.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            // Differs: Supervisor prints Python's class and `<Fault 6: 'SHUTDOWN_STATE'>`, and for an HTTP status a
            // `<ProtocolError for 127.0.0.1/RPC2: …>` whichever the server is.
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
    fn ctl_05_texts() {
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
