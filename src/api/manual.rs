//! The manual page supervisord-xmlrpc(7), drawn from METHODS.

use super::{FaultCode, METHODS, Method, Permission};
use crate::domain::roff::{Example, Page};

const DESCRIPTION: &str = "\
supervisord(8) answers XML-RPC on each of its servers (`[unix_http_server]` and `[inet_http_server]` in
supervisord.conf(5)) at the path `/RPC2`, by POST over HTTP/1.1. Names, arguments, results and faults are those of
Supervisor, whose clients work as they are; what Supervisor has not is in `supervisord.*`.

Arguments go by position. One in brackets may be left out. Text is UTF-8; numbers have 32 bits; `nil` is no value here.
A request has 16 MiB at most.";

const RIGHTS: &str = "\
Each method needs a permission, which stands with it. On a unix socket the file's mode decides who can connect, and with the
key `allow` its rules decide further; on a TCP port, user name and password. `configure` is never had by a socket's mode
alone: it takes root, the daemon's own user, or the server's password. What is refused is the fault FAILED with the text
“permission denied”, and leaves a line in the log, as each change does.";

const SPACES: &str = "\
The methods `system.*` are always there. `supervisor.*` and `supervisord.*` need a section `[rpcinterface:supervisor]`,
`twiddler.*` one `[rpcinterface:twiddler]`, whose key `whitelist` may leave only some of them. `system.listMethods` tells
what there is.";

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
    ("supervisord", "Methods of ours"),
    ("twiddler", "Methods of supervisor_twiddler"),
    ("system", "The interface itself"),
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
            entry(&mut page, method);
        }
    }
    page.section("FAULTS");
    page.prose(
        "A fault's text is its name, and often a colon and what it is about. Besides those that stand with a method, each may \
         answer UNKNOWN_METHOD, INCORRECT_PARAMETERS and SHUTDOWN_STATE.",
    );
    for fault in FaultCode::ALL {
        page.entry(&format!("{} `{}`", fault.code(), fault.name()), fault.doc());
    }
    page.section("EXAMPLES");
    page.prose("With Python:");
    page.example(Example::Text, PYTHON);
    page.prose("From a shell:");
    page.example(Example::Machine, CURL);
    page.see_also(&[("curl", 1)])
}

const fn meaning(permission: Permission) -> &'static str {
    match permission {
        Permission::Status => "See states and what the interface is.",
        Permission::ReadLogs => "Read logs.",
        Permission::Control => "Start, stop and restart, clear logs, write to standard input.",
        Permission::Signal => "Send signals.",
        Permission::Update => "Reread the files, add and remove the groups that stand in them.",
        Permission::Configure => "Add or change programs at run time: what stands in no file.",
        Permission::Shutdown => "Shut the daemon down, restart or replace it.",
    }
}

fn entry(page: &mut Page, method: &Method) {
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
        let default = match (param.optional, param.kind.default_word()) {
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
        facts.push(format!("Also called {}.", others.join(", ")));
    }
    page.more(&facts.join(" "));
}
