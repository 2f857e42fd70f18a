//! Generates the files installed for D-Bus from the tables: the manual page, the bus policy and polkit's policy.

use super::interface::{BUS_METHODS, BUS_NAME, CallBinding, ObjectKind, PROPERTIES, SIGNALS};
use super::limits::{DIALOGS_MAX, MESSAGE_BYTES_MAX, RATE, SENDER_CALLS_MAX, USER_CALLS_MAX};
use super::path::{GROUPS, MANAGER};
use super::polkit::{POLKIT_ACTIONS, action_for, render_policy};
use crate::api::Permission;
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
Where there is a bus, supervisord(8) can be controlled on it: on the system bus if it runs as root, on its user's session bus
otherwise; the key `dbus` of `[supervisord]` chooses. Methods mean what the methods of XML-RPC with the same name mean
(supervisord-xmlrpc(7)), and take the same arguments, of which none can be left out.

An element of a path that stands for a name has letters and digits as they are and every other byte as an underscore and two
hexadecimal digits: `web_00` is `web_5f00`.";

const RIGHTS: &str = "\
On the system bus everybody may see states; root and the daemon's own user may do everything, whether polkit runs or not.
Everybody else is asked about at polkit, by the name that the bus gave to his connection, and may do nothing unless an
administrator's password or a rule allows it. If polkit does not answer in time, cannot be reached, or the caller has gone
meanwhile, the call is refused. A dialog is opened only if the message allows it (`--allow-interactive-authorization` of
busctl(1)). On a session bus the daemon's user and root may do everything, and nobody else anything.

Each question has the detail `verb`; if it is about one process, `group` and `program`, its name as supervisorctl prints it,
and `user`, whom it runs as; if about a group, `group`. A call about a group or everything is asked about as a whole first;
if that is not allowed, each process is asked about by itself, and those that are not allowed have a fault of their own in
the answer. A rule that lets the group `deploy` restart one program:";

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
A fault of XML-RPC is the error `org.supervisord.Supervisor1.Error.<NAME>` with the fault's text, for instance
`org.supervisord.Supervisor1.Error.BAD_NAME`. What is refused is `org.freedesktop.DBus.Error.AccessDenied`,
`InteractiveAuthorizationRequired` if a dialog might have allowed it, and `LimitsExceeded` if the caller has too much under way.";

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
                "It is also an `org.freedesktop.DBus.ObjectManager`, which knows all groups and processes and tells when one \
                 comes or goes.",
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
        "One connection may have {SENDER_CALLS_MAX} calls under way, one user {USER_CALLS_MAX}, and make {RATE} in a second in the \
         long run, root as many as he likes; {DIALOGS_MAX} dialogs of a user may be open; a message has at most {} MiB and no \
         descriptors. Bytes of logs that are no UTF-8, and NUL, are replaced.",
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
         <!-- Drawn from the tables of the D-Bus interface; do not edit.\n     \
         Only root has the name. Everybody may send what stands here, and the daemon asks polkit about it; nothing of ours\n     \
         can be set as a property. -->\n\
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
    fn the_bus_lets_nobody_but_root_have_the_name_and_nobody_set_anything() {
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
