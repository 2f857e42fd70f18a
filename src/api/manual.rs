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

const REST: &str = "\
Each server also answers HTTP requests with JSON below `/api/v1`. The entry of a method names its route; `system.multicall` has
none. A name in braces is a parameter in the path, percent-encoded. GET takes the other parameters from the query, where a
list is a parameter given several times. POST takes them from a JSON object with the content type `application/json`, at most
1 MiB; without parameters the body may be absent. GET changes nothing, and only POST changes something.

The result is the JSON form of the XML-RPC result. Four results have names for what is a position there: `added`, `changed` and
`removed` of reloadConfig; `text`, `offset` and `overflow` of the end of a log; the members of a process table; and the plan
itself instead of its text. A process has the members of getProcessInfo and of getProcessTable.

`GET /api/v1/processes` also takes `state` (one or more states), `group` (a name), `name` (a pattern with `*`, `?` and `[abc]` for
`process` or `group:process`) and `usage` (1: with CPU and memory). `GET /api/v1/processes/{name}` takes `usage`.

`GET /api/v1/openapi.json` returns an OpenAPI 3.1 document of all routes. `GET /api/v1/events` is a stream of server-sent events, one
for each change that event listeners could get (supervisord-events(7)): the event is the type, the data is JSON. `types` (types or
parents, separated by commas) and `name` (a pattern) select events. A client that sends `Last-Event-ID` goes on after that event, within
the last 4096 changes; the event `missed` has the number of changes that were lost, or null if the daemon is another one. TICK,
PROCESS_LOG and PROCESS_COMMUNICATION occur only while an event listener subscribes to them.

An error is a JSON object of problem details (RFC 9457) with `type`, `title`, `status`, `detail`, and for a fault `fault` (its name) and
`code`. Its status is that of the fault, but 403 if a permission is missing. An unknown path is 404, an unknown HTTP method 405 with `Allow`, a body that is not JSON 415, and a
longer body 413. Requests from pages of other servers are refused (403). Permissions and audit lines are those of XML-RPC.";

const REST_CURL: &str = r#"
curl --unix-socket /run/supervisor/supervisor.sock http://localhost/api/v1/daemon/state
"#;

const TITLES: [(&str, &str); 4] = [
    ("supervisor", "Methods of Supervisor"),
    ("supervisord", "Methods that Supervisor does not have"),
    ("twiddler", "Methods of supervisor_twiddler"),
    ("system", "Introspection"),
];

/// Returns the manual page supervisord-xmlrpc(7) in roff.
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
        page.more(&format!("REST: status {}.", fault.status()));
    }
    page.section("REST");
    page.prose(REST);
    page.section("EXAMPLES");
    page.prose("In Python:");
    page.example(Example::Text, PYTHON);
    page.prose("In a shell:");
    page.example(Example::Machine, CURL);
    page.prose("The same without XML:");
    page.example(Example::Machine, REST_CURL);
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
        Permission::ForwardUser => {
            "Name the user for whom a request is made, in the header `X-Supervisor-User`. The name stands in audit lines and changes no permission. No method needs it."
        }
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
            method.returns.wire().name()
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
    if let Some((verb, path)) = method.route.split_once(' ') {
        facts.push(format!("REST: `{verb} /api/v1{path}`."));
    }
    if !others.is_empty() {
        let others: Vec<String> = others.iter().map(|name| format!("`{name}`")).collect();
        facts.push(format!("Other names: {}.", others.join(", ")));
    }
    page.more(&facts.join(" "));
}
