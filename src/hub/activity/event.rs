//! What the activity log records, each with its name, its level and its text. The texts of what Cesi knows are Cesi's.

use serde::{Deserialize, Serialize};

/// How serious a record is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub(in crate::hub) enum ActivityLevel {
    Info,
    Warning,
    Error,
}

impl ActivityLevel {
    /// Its word in a line of Cesi's log.
    pub(super) const fn word(self) -> &'static str {
        match self {
            Self::Info => "INFO",
            Self::Warning => "WARNING",
            Self::Error => "ERROR",
        }
    }

    /// The priority of the journal.
    ///
    /// # Source
    /// syslog(3).
    pub(super) const fn priority(self) -> u8 {
        match self {
            Self::Info => 6,
            Self::Warning => 4,
            Self::Error => 3,
        }
    }
}

/// Something that a user did, or tried to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::hub) enum ActivityEvent {
    LoggedIn,
    LoginFailed,
    LoggedOut,
    /// An action with a process. `failure`: why it failed.
    Action {
        action: &'static str,
        node: String,
        process: String,
        failure: Option<String>,
    },
    LogRead {
        node: String,
        process: String,
    },
    UserAdded(String),
    UserChanged(String),
    UserDeleted(String),
    PasswordChanged,
    OldPasswordWrong,
    TokenAdded(String),
    TokenDeleted(String),
    LogCleared,
    /// The user may not do this: the method and the path of the request.
    Denied(String),
}

impl ActivityEvent {
    /// Its name in the file.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::LoggedIn => "login",
            Self::LoginFailed => "login_failed",
            Self::LoggedOut => "logout",
            Self::Action { action, .. } => action,
            Self::LogRead { .. } => "read_log",
            Self::UserAdded(_) => "add_user",
            Self::UserChanged(_) => "change_user",
            Self::UserDeleted(_) => "delete_user",
            Self::PasswordChanged => "change_password",
            Self::OldPasswordWrong => "change_password_failed",
            Self::TokenAdded(_) => "add_token",
            Self::TokenDeleted(_) => "delete_token",
            Self::LogCleared => "clear_activity_log",
            Self::Denied(_) => "denied",
        }
    }

    // Differs: Cesi writes the level ERROR for passwords and users that were changed.
    pub(super) const fn level(&self) -> ActivityLevel {
        match self {
            Self::LoginFailed | Self::OldPasswordWrong | Self::Denied(_) => ActivityLevel::Warning,
            Self::Action {
                failure: Some(_), ..
            } => ActivityLevel::Error,
            _ => ActivityLevel::Info,
        }
    }

    /// The node and the process.
    pub(super) fn place(&self) -> (Option<&str>, Option<&str>) {
        match self {
            Self::Action { node, process, .. } | Self::LogRead { node, process } => {
                (Some(node), Some(process))
            }
            _ => (None, None),
        }
    }

    /// What came of it: `ok`, or why it failed.
    pub(super) fn result(&self) -> &str {
        match self {
            Self::Action {
                failure: Some(failure),
                ..
            } => failure,
            Self::LoginFailed => "wrong user name or password",
            Self::OldPasswordWrong => "wrong password",
            Self::Denied(_) => "permission denied",
            _ => "ok",
        }
    }

    /// The text, as Cesi writes it where it has one.
    pub(super) fn text(&self, user: &str) -> String {
        match self {
            Self::LoggedIn => format!("{user} logged in."),
            Self::LoginFailed => format!("{user} could not log in: wrong user name or password."),
            Self::LoggedOut => format!("{user} logged out"),
            Self::Action {
                action,
                node,
                process,
                failure: None,
            } => format!("{user} {} {node} node's {process} process.", past(action)),
            Self::Action {
                action,
                node,
                process,
                failure: Some(_),
            } => format!("{user} unsuccessful {action} event {node} node's {process} process."),
            Self::LogRead { node, process } => {
                format!("{user} read log {node} node's {process} process.")
            }
            Self::UserAdded(name) => format!("'{name}' user added by '{user}' user."),
            Self::UserChanged(name) => format!("'{name}' user changed by '{user}' user."),
            Self::UserDeleted(name) => format!("'{name}' user deleted by '{user}' user."),
            Self::PasswordChanged => format!("{user} user changed the own password."),
            Self::OldPasswordWrong => {
                format!("Old password is wrong to change {user} 's password.")
            }
            Self::TokenAdded(name) => format!("{user} added the token '{name}'."),
            Self::TokenDeleted(name) => format!("{user} deleted the token '{name}'."),
            Self::LogCleared => format!("{user} cleared the activity log."),
            Self::Denied(what) => format!("{user} may not do this: {what}"),
        }
    }
}

/// The past tense of the word of an action.
fn past(action: &str) -> &str {
    match action {
        "start" => "started",
        "stop" => "stopped",
        "restart" => "restarted",
        "signal" => "signalled",
        "clear" => "cleared the logs of",
        other => other,
    }
}
