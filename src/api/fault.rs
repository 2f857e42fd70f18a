//! Faults: errors with an XML-RPC code.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($(#[doc = $doc:literal] $Variant:ident = $code:literal $name:literal;)*) => {
        /// The kind of a fault.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum FaultCode { $(#[doc = $doc] $Variant = $code,)* }

        impl FaultCode {
            /// All codes.
            pub const ALL: &[Self] = &[$(Self::$Variant,)*];

            /// Returns the XML-RPC code.
            #[must_use]
            pub const fn code(self) -> i32 { self as i32 }

            /// Returns the name, with which the text of a fault starts.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self { $(Self::$Variant => $name,)* }
            }

            /// Returns the description.
            #[must_use]
            pub const fn doc(self) -> &'static str {
                match self { $(Self::$Variant => $doc,)* }
            }

            /// Returns a fault of this kind without further text.
            #[must_use]
            pub const fn bare(self) -> Fault { Fault { code: self, extra: None } }

            /// Returns a fault of this kind with a text after the name.
            #[must_use]
            pub fn of(self, extra: impl Into<String>) -> Fault { Fault { code: self, extra: Some(extra.into()) } }
        }
    };
}

faults! {
    /// No such method.
    UnknownMethod = 1 "UNKNOWN_METHOD";
    /// Wrong number or kind of arguments.
    IncorrectParameters = 2 "INCORRECT_PARAMETERS";
    /// Offset and length do not fit together.
    BadArguments = 3 "BAD_ARGUMENTS";
    /// No help for that method.
    SignatureUnsupported = 4 "SIGNATURE_UNSUPPORTED";
    /// The daemon is stopping.
    ShutdownState = 6 "SHUTDOWN_STATE";
    /// No such process or group.
    BadName = 10 "BAD_NAME";
    /// No such signal.
    BadSignal = 11 "BAD_SIGNAL";
    /// A log or a command does not exist.
    NoFile = 20 "NO_FILE";
    /// A command cannot be executed.
    NotExecutable = 21 "NOT_EXECUTABLE";
    /// Another error.
    Failed = 30 "FAILED";
    /// The process exited before it was RUNNING.
    AbnormalTermination = 40 "ABNORMAL_TERMINATION";
    /// The process could not be spawned.
    SpawnError = 50 "SPAWN_ERROR";
    /// The process is already running.
    AlreadyStarted = 60 "ALREADY_STARTED";
    /// The process is not running.
    NotRunning = 70 "NOT_RUNNING";
    /// Only in result structs.
    Success = 80 "SUCCESS";
    /// The group is already active.
    AlreadyAdded = 90 "ALREADY_ADDED";
    /// A process of the group is not stopped.
    StillRunning = 91 "STILL_RUNNING";
    /// The configuration has an error.
    CantReread = 92 "CANT_REREAD";
    /// The method is not in the `whitelist` of `[rpcinterface:twiddler]`; the name on the wire is the plug-in's.
    NotInWhitelist = 230 "UNKNOWN";
}

/// An error with an XML-RPC code. `Display` writes the fault string: `NAME` or `NAME: extra`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub struct Fault {
    /// The kind.
    pub code: FaultCode,
    /// The text after the name.
    pub extra: Option<String>,
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.extra {
            None => f.write_str(self.code.name()),
            Some(extra) => write!(f, "{}: {extra}", self.code.name()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rpc_12_fault_strings_are_supervisors() {
        assert_eq!(FaultCode::BadName.of("x:y").to_string(), "BAD_NAME: x:y");
        assert_eq!(FaultCode::NoFile.bare().to_string(), "NO_FILE");
        assert_eq!(FaultCode::CantReread.code(), 92);
    }
}
