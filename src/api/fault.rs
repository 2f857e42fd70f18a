//! Faults: errors with an XML-RPC code.

use std::fmt;

use serde::{Deserialize, Serialize};

macro_rules! faults {
    ($(#[doc = $doc:literal] $Variant:ident = $code:literal $name:literal $status:literal;)*) => {
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

            /// Returns the HTTP status with which the REST interface answers.
            #[must_use]
            pub const fn status(self) -> u16 {
                match self { $(Self::$Variant => $status,)* }
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
    UnknownMethod = 1 "UNKNOWN_METHOD" 404;
    /// Wrong number or kind of arguments.
    IncorrectParameters = 2 "INCORRECT_PARAMETERS" 400;
    /// Offset and length do not fit together.
    BadArguments = 3 "BAD_ARGUMENTS" 422;
    /// No help for that method.
    SignatureUnsupported = 4 "SIGNATURE_UNSUPPORTED" 404;
    /// The daemon is stopping.
    ShutdownState = 6 "SHUTDOWN_STATE" 503;
    /// No such process or group.
    BadName = 10 "BAD_NAME" 404;
    /// No such signal.
    BadSignal = 11 "BAD_SIGNAL" 422;
    /// A log or a command does not exist.
    NoFile = 20 "NO_FILE" 404;
    /// A command cannot be executed.
    NotExecutable = 21 "NOT_EXECUTABLE" 422;
    /// Another error.
    Failed = 30 "FAILED" 422;
    /// The process exited before it was RUNNING.
    AbnormalTermination = 40 "ABNORMAL_TERMINATION" 422;
    /// The process could not be spawned.
    SpawnError = 50 "SPAWN_ERROR" 422;
    /// The process is already running.
    AlreadyStarted = 60 "ALREADY_STARTED" 409;
    /// The process is not running.
    NotRunning = 70 "NOT_RUNNING" 409;
    /// Only in result structs.
    Success = 80 "SUCCESS" 200;
    /// The group is already active.
    AlreadyAdded = 90 "ALREADY_ADDED" 409;
    /// A process of the group is not stopped.
    StillRunning = 91 "STILL_RUNNING" 409;
    /// The configuration has an error.
    CantReread = 92 "CANT_REREAD" 422;
    /// The text was changed by another writer, or has another version than the caller has seen.
    Conflict = 110 "CONFLICT" 409;
    /// The Nacos server does not answer.
    Unavailable = 111 "UNAVAILABLE" 502;
    /// The Nacos server does not have this function.
    Unsupported = 112 "UNSUPPORTED" 404;
    /// The method is not in the `whitelist` of `[rpcinterface:twiddler]`; the name on the wire is the plug-in's.
    NotInWhitelist = 230 "UNKNOWN" 403;
}

/// An error with an XML-RPC code. `Display` writes the fault string: `NAME` or `NAME: extra`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error, Serialize, Deserialize)]
pub struct Fault {
    /// The kind.
    pub code: FaultCode,
    /// The text after the name.
    pub extra: Option<String>,
}

/// The separator in a CONFLICT between the sentence and the present version of the text, a JSON object for programs.
pub const PRESENT_VERSION: &str = "; now it is ";

/// How the text of a FAILED begins if the caller lacks a permission.
pub const PERMISSION_DENIED: &str = "permission denied: ";

impl Fault {
    /// Returns the HTTP status with which the REST interface answers: that of the code, but 403 if the caller lacks a
    /// permission, for which Supervisor's faults have no code.
    #[must_use]
    pub fn status(&self) -> u16 {
        let extra = self.extra.as_deref().unwrap_or_default();
        match self.code {
            FaultCode::Failed if extra.starts_with(PERMISSION_DENIED) => 403,
            code => code.status(),
        }
    }
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

    #[test]
    fn a_refusal_has_a_status_of_its_own() {
        let denied = FaultCode::Failed.of(format!("{PERMISSION_DENIED}web"));
        assert_eq!(denied.status(), 403);
        assert_eq!(FaultCode::Failed.of("web").status(), 422);
        assert_eq!(FaultCode::BadName.of("permission denied: x").status(), 404);
        for code in FaultCode::ALL {
            assert!((200..600).contains(&code.bare().status()), "{code:?}");
        }
    }
}
