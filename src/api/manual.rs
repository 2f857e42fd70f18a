//! The manual page supervisord-xmlrpc(7), drawn from METHODS.

use super::{FaultCode, METHODS, Method, Permission};
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
supervisord(8) answers XML-RPC requests on each of its servers (`[unix_http_server]` and `[inet_http_server]` in
supervisord.conf(5)): POST to the path `/RPC2` over HTTP/1.1. Names, parameters, results and faults of `supervisor.*` are those
of Supervisor, so its clients work unchanged. `supervisord.*` has the methods that Supervisor does not have.

Arguments are positional. Arguments in brackets are optional. Strings are UTF-8, integers have 32 bits, `nil` is not supported.
The maximum size of a request is 16 MiB.";

const RIGHTS: &str = "\
Each method needs the permission that its entry names. On a unix socket, the file mode decides who can connect, and the rules
of `allow` restrict what each user may do. On a TCP port, user name and password decide. `configure` needs more than access
to the socket: root, the user of the daemon, or the password of the server. A refused request returns the fault FAILED with
the text “permission denied” and writes an audit line, as each change does.";

const SPACES: &str = "\
The methods `system.*` are always available. `supervisor.*` and `supervisord.*` need the section `[rpcinterface:supervisor]`.
`twiddler.*` needs the section `[rpcinterface:twiddler]`, whose key `whitelist` can restrict the methods. `system.listMethods`
returns the available methods.";

const PYTHON: &str = r#"
import xmlrpc.client
daemon = xmlrpc.client.ServerProxy("http://user:123@127.0.0.1:9001/RPC2")
for process in daemon.supervisor.getAllProcessInfo():
    print(process["group"], process["name"], process["statename"])
daemon.supervisord.rollingRestart(["web:*"], 2)
"#;

const CURL: &str = r#"
curl --unix-socket /run/supervisor/supervisor.sock http://localhost/RPC2 \
    -d '<methodCall><methodName>supervisor.getState</methodName></methodCall>'
"#;

const TITLES: [(&str, &str); 4] = [
    ("supervisor", "Methods of Supervisor"),
    ("supervisord", "Methods that Supervisor does not have"),
    ("twiddler", "Methods of supervisor_twiddler"),
    ("system", "Introspection"),
];

/// The manual page supervisord-xmlrpc(7), in roff.
#[must_use]
pub fn page() -> String {
    let mut page = Page::new("supervisord-xmlrpc", "the table of methods");
    page.section("DESCRIPTION");
    page.prose(DESCRIPTION);
    page.section("PERMISSIONS");
    page.prose(RIGHTS);
    for (permission, word) in Permission::ALL {
        page.entry(&format!("`{word}`"), meaning(permission));
    }
    page.section("METHODS");
    page.prose(SPACES);
    for (space, title) in TITLES {
        page.part(title);
        for method in METHODS.iter().filter(|method| method.namespace() == space) {
            method_entry(&mut page, method);
        }
    }
    page.section("FAULTS");
    page.prose(
        "The text of a fault is its name, often followed by a colon and details. In addition to the faults of its entry, each \
         method can return UNKNOWN_METHOD, INCORRECT_PARAMETERS and SHUTDOWN_STATE.",
    );
    for fault in FaultCode::ALL {
        page.entry(&format!("{} `{}`", fault.code(), fault.name()), fault.doc());
    }
    page.section("EXAMPLES");
    page.prose("In Python:");
    page.example(Example::Text, PYTHON);
    page.prose("In a shell:");
    page.example(Example::Machine, CURL);
    page.see_also(&[("curl", 1)])
}

const fn meaning(permission: Permission) -> &'static str {
    match permission {
        Permission::Status => "Read states and introspection.",
        Permission::ReadLogs => "Read logs.",
        Permission::Control => "Start, stop and restart, clear logs, write to standard input.",
        Permission::Signal => "Send signals.",
        Permission::Update => "Reread the configuration, add and remove configured groups.",
        Permission::Configure => {
            "Add or change programs at run time, beyond the configuration files."
        }
        Permission::Shutdown => "Shut down, restart or re-execute the daemon.",
    }
}

fn method_entry(page: &mut Page, method: &Method) {
    let (name, others) = method
        .names
        .split_first()
        .map_or(("", &[][..]), |(name, others)| (*name, others));
    let params: Vec<String> = method
        .params
        .iter()
        .map(|param| match param.optional {
            false => format!("{} <{}>", param.kind.wire().name(), param.name),
            true => format!("[{} <{}>]", param.kind.wire().name(), param.name),
        })
        .collect();
    page.entry(
        &format!(
            "`{name}`({}) → {}",
            params.join(", "),
            method.returns.name()
        ),
        method.doc,
    );
    for param in method.params {
        let default = match (param.optional, param.kind.default_text()) {
            (true, Some(word)) => format!(" (default {word})"),
            _ => String::new(),
        };
        page.more(&format!("<{}>: {}{default}.", param.name, param.doc));
    }
    let mut facts = vec![format!("Result: {}.", method.result)];
    if !method.faults.is_empty() {
        let names: Vec<&str> = method.faults.iter().map(|fault| fault.name()).collect();
        facts.push(format!("Faults: {}.", names.join(", ")));
    }
    facts.push(format!("Permission: `{}`.", method.permission.word()));
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
        facts.push(format!("Other names: {}.", others.join(", ")));
    }
    page.more(&facts.join(" "));
}
