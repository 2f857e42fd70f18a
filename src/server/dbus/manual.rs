//! Generates the files installed for D-Bus from the tables: the manual page, the bus policy and polkit's policy.

use super::interface::{BUS_METHODS, BUS_NAME, CallBinding, ObjectKind, PROPERTIES, SIGNALS};
use super::limits::{DIALOGS_MAX, MESSAGE_BYTES_MAX, RATE, SENDER_CALLS_MAX, USER_CALLS_MAX};
use super::path::{GROUPS, MANAGER};
use super::polkit::{POLKIT_ACTIONS, action_for, render_policy};
use crate::api::Permission;
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
supervisord(8) can be controlled on D-Bus: on the system bus if it runs as root, else on the session bus of its user. The key
`dbus` of `[supervisord]` selects the bus. Methods have the meaning of the XML-RPC methods with the same name
(supervisord-xmlrpc(7)) and the same arguments; no argument is optional.

In object paths, names keep letters and digits; every other byte is an underscore and two hexadecimal digits: `web_00` becomes
`web_5f00`.";

const RIGHTS: &str = "\
On the system bus, all users can read states. Root and the user of the daemon can do everything, with or without polkit. For all
other users, the daemon asks polkit; by default, polkit requires the password of an administrator, and rules can change that.
If polkit does not answer in time, cannot be reached, or the caller has disconnected, the daemon refuses the call. polkit opens
a dialog only if the message allows it (`--allow-interactive-authorization` of busctl(1)). On a session bus, the user of the
daemon and root can do everything, other users nothing.

Each request to polkit has the detail `verb`. For one process, it also has `group`, `program` (the name as supervisorctl prints
it) and `user` (the user of the process). For a group, it has `group`. For a group or all processes, the daemon first asks for
the whole; if polkit denies that, it asks for each process, and each denied process has a fault in the result. A rule that
permits the group `deploy` to restart one program:";

const RULE: &str = "
// /etc/polkit-1/rules.d/50-supervisord.rules
polkit.addRule(function(action, subject) {
    if (action.id == \"org.supervisord.Supervisor1.control\" &&
        action.lookup(\"verb\") == \"restart\" &&
        action.lookup(\"program\") == \"web\" &&
        subject.isInGroup(\"deploy\"))
        return polkit.Result.YES;
});
";

const ERRORS: &str = "\
An XML-RPC fault becomes the error `org.supervisord.Supervisor1.Error.<NAME>` with the text of the fault, such as
`org.supervisord.Supervisor1.Error.BAD_NAME`. A refused call returns `org.freedesktop.DBus.Error.AccessDenied`, or
`InteractiveAuthorizationRequired` if a dialog could permit it, or `LimitsExceeded` if the caller has too many pending calls.";

const CALLED: &str = "
busctl tree org.supervisord.Supervisor1
busctl call org.supervisord.Supervisor1 /org/supervisord/Supervisor1 \\
    org.supervisord.Supervisor1.Manager StopProcess sb web true
gdbus call --system -d org.supervisord.Supervisor1 \\
    -o /org/supervisord/Supervisor1/group/web/web \\
    -m org.supervisord.Supervisor1.Process.Restart
";

/// The manual page org.supervisord.Supervisor1(5), in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new(
        "org.supervisord.Supervisor1",
        "the tables of the D-Bus interface",
    );
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    for kind in ObjectKind::ALL {
        let (title, place) = match kind {
            ObjectKind::Manager => ("THE MANAGER", MANAGER.to_owned()),
            ObjectKind::Group => ("GROUPS", format!("{GROUPS}/<group>")),
            ObjectKind::Process => ("PROCESSES", format!("{GROUPS}/<group>/<process>")),
        };
        page.section(title);
        page.prose(&format!("Interface `{}` at `{place}`.", kind.interface()));
        methods(&mut page, kind);
        properties(&mut page, kind);
        signals(&mut page, kind);
        if kind == ObjectKind::Manager {
            page.prose(
                "The object also implements `org.freedesktop.DBus.ObjectManager`, which lists all groups and processes and sends \
                 a signal when one is added or removed.",
            );
        }
    }
    page.section("WHO MAY CALL");
    page.prose(RIGHTS);
    page.example(Example::Text, RULE);
    page.part("Actions");
    for row in POLKIT_ACTIONS {
        page.entry(&format!("`{}`", row.id), &format!("{}.", row.description));
    }
    page.section("ERRORS");
    page.prose(ERRORS);
    page.section("LIMITS");
    page.prose(&format!(
        "Maximum pending calls: {SENDER_CALLS_MAX} per connection and {USER_CALLS_MAX} per user. Maximum rate: {RATE} calls per \
         second and user, unlimited for root. Maximum open dialogs: {DIALOGS_MAX} per user. Maximum size of a message: {} MiB, \
         without file descriptors. NUL and bytes of logs that are not UTF-8 are replaced.",
        MESSAGE_BYTES_MAX >> 20
    ));
    page.section("EXAMPLES");
    page.example(Example::Machine, CALLED);
    page.see_also(&[("busctl", 1), ("polkit", 8)])
}

/// Formats values as `type <name>`, separated by commas.
fn typed(values: impl Iterator<Item = (&'static str, String)>) -> String {
    let values: Vec<String> = values
        .map(|(name, types)| format!("{types} <{name}>"))
        .collect();
    values.join(", ")
}

fn methods(page: &mut Page, kind: ObjectKind) {
    page.part("Methods");
    for call in BUS_METHODS.iter().filter(|call| call.kind == kind) {
        let arguments = call.arguments();
        let given = typed(
            arguments
                .iter()
                .map(|argument| (argument.name, argument.signature.to_string())),
        );
        let answered = typed(
            call.reply
                .values()
                .iter()
                .map(|&(name, types)| (name, types.to_string())),
        );
        let answered = match answered.as_str() {
            "" => String::new(),
            values => format!(" → {values}"),
        };
        let mut text = call.doc().to_owned();
        let permission = call.method().map(|method| method.permission);
        let needed = match call.binding {
            CallBinding::Method("supervisor.getAllConfigInfo") => action_for(Permission::Configure),
            _ => permission.and_then(action_for),
        };
        if let Some(id) = needed {
            let short = id.rsplit('.').next().unwrap_or_default();
            text.push_str(&format!(" Action: `{short}`, verb `{}`.", call.verb));
        }
        if call
            .method()
            .is_some_and(|method| method.namespace() == "twiddler")
        {
            text.push_str(" Needs `[rpcinterface:twiddler]`.");
        }
        page.entry(&format!("`{}`({given}){answered}", call.name), &text);
    }
}

fn properties(page: &mut Page, kind: ObjectKind) {
    page.part("Properties");
    for row in PROPERTIES.iter().filter(|row| row.kind == kind) {
        page.entry(&format!("{} `{}`", row.signature, row.name), row.doc);
    }
}

fn signals(page: &mut Page, kind: ObjectKind) {
    let mut rows = SIGNALS.iter().filter(|row| row.kind == kind).peekable();
    if rows.peek().is_some() {
        page.part("Signals");
    }
    for row in rows {
        let values = row
            .values
            .iter()
            .map(|&(name, types)| (name, types.to_string()));
        page.entry(&format!("`{}`({})", row.name, typed(values)), row.doc);
    }
}

/// The policy of the system bus: who may own the name, and which messages may be sent to it.
///
/// # Source
/// dbus-daemon(1), "CONFIGURATION FILE".
#[must_use]
pub fn bus_policy() -> String {
    let mut text = format!(
        "<?xml version=\"1.0\"?>\n\
         <!DOCTYPE busconfig PUBLIC \"-//freedesktop//DTD D-BUS Bus Configuration 1.0//EN\"\n \
         \"http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd\">\n\
         <!-- Generated from the tables of the D-Bus interface; do not edit.\n     \
         Only root may own the name. All users may send the messages below; the daemon asks polkit for permission.\n     \
         No property can be set. -->\n\
         <busconfig>\n  \
         <policy user=\"root\">\n    <allow own=\"{BUS_NAME}\"/>\n    <allow send_destination=\"{BUS_NAME}\"/>\n  </policy>\n  \
         <policy context=\"default\">\n    <deny send_destination=\"{BUS_NAME}\"/>\n"
    );
    let mut allow = |interface: &str, member: Option<&str>| {
        let member = member.map_or_else(String::new, |member| {
            format!("\n           send_member=\"{member}\"")
        });
        text.push_str(&format!(
            "    <allow send_destination=\"{BUS_NAME}\"\n           send_interface=\"{interface}\"{member}/>\n"
        ));
    };
    for kind in ObjectKind::ALL {
        allow(kind.interface(), None);
    }
    for (interface, member) in [
        ("org.freedesktop.DBus.Peer", None),
        ("org.freedesktop.DBus.Introspectable", None),
        ("org.freedesktop.DBus.ObjectManager", None),
        ("org.freedesktop.DBus.Properties", Some("Get")),
        ("org.freedesktop.DBus.Properties", Some("GetAll")),
    ] {
        allow(interface, member);
    }
    text.push_str("  </policy>\n</busconfig>\n");
    text
}

/// The polkit policy file with the actions.
#[must_use]
pub fn polkit_policy() -> String {
    render_policy()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_bus_policy_reserves_the_name_for_root_and_forbids_set() {
        let policy = bus_policy();
        assert_eq!(policy.matches("<allow own=").count(), 1);
        assert!(!policy.contains("\"Set\""));
        let default = policy.split("context=\"default\"").nth(1).expect("there");
        assert!(!default.contains("own="), "{default}");
        for allow in default.split("<allow").skip(1) {
            assert!(allow.contains("send_interface="), "{allow}");
        }
    }
}
