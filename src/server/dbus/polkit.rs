//! Asks polkit. No answer counts as a refusal. This module does not know what a call does.
//!
//! The polkit subject is always the sender of the message, by its unique bus name. It is never a PID, which another
//! process may have by now, and never the daemon itself, which may do everything.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};

use tokio::time::{Duration, timeout};
use zbus::message::Flags;
use zbus::{Message, Variant};

use super::bus::BusConnection;
use super::interface::BUS_NAME;
use super::sender::BusSender;
use crate::api::Permission;

/// How long polkit may take to answer without a dialog. The bus may have to start it first.
const SILENT_TIMEOUT: Duration = Duration::from_secs(10);
/// How long a user may take to type the password.
const DIALOG_TIMEOUT: Duration = Duration::from_secs(120);

const POLKIT: &str = "org.freedesktop.PolicyKit1";
const AUTHORITY: &str = "/org/freedesktop/PolicyKit1/Authority";
const INTERFACE: &str = "org.freedesktop.PolicyKit1.Authority";
/// A flag of CheckAuthorization.
const ALLOW_USER_INTERACTION: u32 = 1;

/// polkit's answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum PolkitAnswer {
    Yes,
    No,
    /// Only with a dialog, which the caller did not allow.
    Challenge,
}

/// A polkit action, as in `packaging/org.supervisord.Supervisor1.policy`.
pub(super) struct PolkitAction {
    pub(super) id: &'static str,
    pub(super) description: &'static str,
    pub(super) message: &'static str,
}

/// All actions. polkit replaces `$(verb)`.
pub(super) const POLKIT_ACTIONS: &[PolkitAction] = &[
    PolkitAction {
        id: "org.supervisord.Supervisor1.control",
        description: "Start, stop and restart programs, clear their logs, write to their standard input",
        message: "Authentication is required to control programs of supervisord ($(verb))",
    },
    PolkitAction {
        id: "org.supervisord.Supervisor1.signal",
        description: "Send signals to programs",
        message: "Authentication is required to send signals to programs of supervisord",
    },
    PolkitAction {
        id: "org.supervisord.Supervisor1.configure",
        description: "View and reload the configuration, add and remove programs",
        message: "Authentication is required to view or change the programs of supervisord ($(verb))",
    },
    PolkitAction {
        id: "org.supervisord.Supervisor1.read-logs",
        description: "Read the logs of programs and of the daemon",
        message: "Authentication is required to read logs of supervisord",
    },
    PolkitAction {
        id: "org.supervisord.Supervisor1.shutdown",
        description: "Stop or restart the daemon with all its programs",
        message: "Authentication is required to stop or restart supervisord with all its programs",
    },
];

/// The action for a permission. `None`: everybody on the bus has it.
pub(super) const fn action_for(permission: Permission) -> Option<&'static str> {
    match permission {
        Permission::Status => None,
        Permission::ReadLogs => Some("org.supervisord.Supervisor1.read-logs"),
        Permission::Control => Some("org.supervisord.Supervisor1.control"),
        Permission::Signal => Some("org.supervisord.Supervisor1.signal"),
        // No method needs the last one, and D-Bus has no header for it.
        Permission::Update | Permission::Configure | Permission::ForwardUser => {
            Some("org.supervisord.Supervisor1.configure")
        }
        Permission::Shutdown => Some("org.supervisord.Supervisor1.shutdown"),
    }
}

/// The policy file for polkit.
///
/// # Source
/// polkit(8), "DECLARING ACTIONS".
pub(super) fn render_policy() -> String {
    let mut text = "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n\
        <!DOCTYPE policyconfig PUBLIC \"-//freedesktop//DTD polkit Policy Configuration 1.0//EN\" \
        \"http://www.freedesktop.org/software/polkit/policyconfig-1.dtd\">\n\
        <!-- Generated from the table of actions; do not edit. Reading states needs no action.\n     \
        Rules can use the details verb, group, program and user: see org.supervisord.Supervisor1(5). -->\n\
        <policyconfig>\n  <vendor>supervisord</vendor>\n"
        .to_owned();
    for action in POLKIT_ACTIONS {
        text.push_str(&format!(
            "  <action id=\"{}\">\n    <description>{}</description>\n    <message>{}</message>\n    \
             <defaults>\n      <allow_any>auth_admin</allow_any>\n      \
             <allow_inactive>auth_admin</allow_inactive>\n      \
             <allow_active>auth_admin</allow_active>\n    </defaults>\n  </action>\n",
            action.id, action.description, action.message
        ));
    }
    text.push_str("</policyconfig>\n");
    text
}

impl BusConnection {
    /// Asks polkit whether the sender may do `action`. With `dialog`, polkit may ask for a password.
    ///
    /// # Errors
    /// The reason why there is no answer. It counts as a refusal.
    ///
    /// # Source
    /// polkit reference manual, `org.freedesktop.PolicyKit1.Authority.CheckAuthorization`.
    pub(super) async fn ask_polkit(
        &self,
        sender: &BusSender,
        action: &str,
        details: &HashMap<&str, String>,
        dialog: bool,
    ) -> Result<PolkitAnswer, String> {
        static NEXT_CANCELLATION: AtomicU64 = AtomicU64::new(0);
        let number = NEXT_CANCELLATION.fetch_add(1, Ordering::Relaxed);
        let cancellation = format!("{BUS_NAME}-{}-{number}", std::process::id());
        let subject = HashMap::from([("name", Variant::from(sender.name.as_str()))]);
        let (flags, within) = if dialog {
            (ALLOW_USER_INTERACTION, DIALOG_TIMEOUT)
        } else {
            (0, SILENT_TIMEOUT)
        };
        let question = (
            ("system-bus-name", subject),
            action,
            details,
            flags,
            cancellation.as_str(),
        );
        let asked = self.connection.call_method(
            Some(POLKIT),
            AUTHORITY,
            Some(INTERFACE),
            "CheckAuthorization",
            &question,
        );
        let Ok(reply) = timeout(within, asked).await else {
            self.cancel(&cancellation).await;
            return Err(format!(
                "polkit did not answer within {} s",
                within.as_secs()
            ));
        };
        let reply = reply.map_err(|error| format!("cannot ask polkit: {error}"))?;
        let body = reply.body();
        let (is_authorized, is_challenge, _): (bool, bool, HashMap<String, String>) = body
            .deserialize()
            .map_err(|error| format!("cannot parse polkit's answer: {error}"))?;
        Ok(match (is_authorized, is_challenge) {
            (true, _) => PolkitAnswer::Yes,
            (false, true) => PolkitAnswer::Challenge,
            (false, false) => PolkitAnswer::No,
        })
    }

    /// Closes the dialog of a cancelled question. Does not wait for the answer, because polkit may hang.
    async fn cancel(&self, cancellation: &str) {
        let message = Message::method_call(AUTHORITY, "CancelCheckAuthorization")
            .destination(POLKIT)
            .interface(INTERFACE)
            .with_flags(Flags::NO_REPLY_EXPECTED | Flags::NO_AUTO_START)
            .build(&(cancellation,));
        if let Ok(message) = message {
            // An error means that the connection, and with it the question, is gone.
            let _ = timeout(SILENT_TIMEOUT, self.connection.send(&message)).await;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_permission_except_status_has_a_polkit_action() {
        for (permission, word) in Permission::ALL {
            match action_for(permission) {
                None => assert_eq!(permission, Permission::Status),
                Some(id) => assert!(POLKIT_ACTIONS.iter().any(|row| row.id == id), "{word}"),
            }
        }
    }

    #[test]
    fn every_polkit_action_needs_an_administrator() {
        let policy = render_policy();
        assert_eq!(policy.matches("<action id=").count(), POLKIT_ACTIONS.len());
        assert_eq!(
            policy.matches(">auth_admin<").count(),
            3 * POLKIT_ACTIONS.len()
        );
        assert!(!policy.contains(">yes<") && !policy.contains("_keep"));
    }
}
