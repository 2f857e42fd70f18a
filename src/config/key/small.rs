//! The keys of sections with few keys, and the values that they fill.

use std::sync::Arc;

use super::super::allow;
use super::super::lookup::Lookup;
use super::super::spec::AllowRule;
use super::super::value::{
    self, SocketOwner, bounded, host_names, inet_address, integer, octal, user_group,
};
use super::row::{ConfigKey, key};
use super::value_kind::ValueKind::{
    Address, Callable, Integer, List, Octal, Path, Patterns, Rolling, Socket, Text, UserGroup,
};
use super::values::{Field, SectionValues, Setter, set, setter_of, text};

/// The keys of `[supervisorctl]` in the order in which they are read.
pub(super) const CLIENT_ORDER: &[&str] = &[
    "serverurl",
    "prompt",
    "username",
    "password",
    "history_file",
];

/// The keys of both kinds of servers in the order in which they are read.
pub(super) const SERVER_ORDER: &[&str] =
    &["file", "username", "password", "port", "chown", "chmod"];

/// The keys of listeners in the order in which they are read.
pub(super) const LISTENER_ORDER: &[&str] = &["priority", "buffer_size", "result_handler", "events"];

/// The keys of the socket of an fcgi program in the order in which they are read.
pub(super) const FCGI_ORDER: &[&str] = &["socket_backlog", "socket_owner", "socket_mode", "socket"];

#[rustfmt::skip] // One row, one line.
pub(super) const CLIENT: &[ConfigKey] = &[
    key("serverurl", Text, Some("http://localhost:9001"), "address of the daemon: http://host:port or unix:///path").flag('s', "serverurl").example("unix:///run/supervisor/supervisor.sock").client(set!(serverurl = text)),
    key("username", Text, None, "user name of the server").flag('u', "username").example("user").client(set!(username = Some(text))),
    key("password", Text, None, "password of the server").flag('p', "password").example("123").secret().client(set!(password = Some(text))),
    key("prompt", Text, Some("supervisor"), "prompt of the shell").client(set!(prompt = text)),
    key("history_file", Text, None, "history file of the shell").flag('r', "history_file").example("~/.sc_history").client(set!(history_file = Some(text))),
];

#[rustfmt::skip] // One row, one line.
pub(super) const UNIX_SERVER: &[ConfigKey] = &[
    key("file", Path, None, "path of the socket").example("/run/supervisor/supervisor.sock").server(set!(file = Some(text))),
    key("chmod", Octal, Some("0700"), "file mode of the socket").example("0770").server(set!(mode = socket_mode)),
    key("chown", UserGroup, None, "owner of the socket: user or user:group").example("nobody:nogroup").server(set!(lookup: owner = socket_owner)),
    key("username", Text, None, "user name that clients must send").example("user").server(set!(username = Some(text))),
    key("password", Text, None, "password that clients must send, in plain text or as {SHA} and 40 hexadecimal digits").example("123").secret().server(set!(password = Some(text))),
    key("allow", Text, None, "access rules, one per line: `USER VERB... [on PROCESS...]` or `@GROUP VERB...`; other users are refused, and chmod defaults to 0666").ours().example("root all").server(set!(lookup: allow = Some(allow_rules))),
    TOKENS_FILE,
];

#[rustfmt::skip] // One row, one line.
pub(super) const INET_SERVER: &[ConfigKey] = &[
    key("port", Address, None, "address to listen on: host:port, or *:port for all interfaces").example("127.0.0.1:9001").server(set!(address = Some(inet_address))),
    key("username", Text, None, "user name that clients must send").example("user").server(set!(username = Some(text))),
    key("password", Text, None, "password that clients must send, in plain text or as {SHA} and 40 hexadecimal digits").example("123").secret().server(set!(password = Some(text))),
    key("hosts", List, None, "additional host names under which browsers may reach a server without password").ours().example("status.example.com").server(set!(hosts = host_names)),
    key("allow", Text, None, "access rules, one per line: `NAME VERB... [on PROCESS...]`, where NAME is the username of this section, or * for everybody").ours().example("* status logs").server(set!(allow = Some(login_rules))),
    TOKENS_FILE,
    key("nodename", Text, None, "name of this host in the addresses that end in /NODE/PROGRAM, such as /program/start/NODE/PROGRAM; not set: the host name").ours().example("web-1").server(set!(nodename = Some(node_name))),
];

#[rustfmt::skip] // One row, one line.
const TOKENS_FILE: ConfigKey = key("tokens_file", Path, None, "file with the tokens that clients may send instead of user name and password, one per line: `NAME sha256:DIGEST VERB... [on PROCESS...]`; nobody but its owner may read it").ours().example("/etc/supervisor/tokens").server(set!(tokens_file = Some(text)));

#[rustfmt::skip] // One row, one line.
pub(super) const GROUP: &[ConfigKey] = &[
    key("programs", List, None, "programs of the group").example("web,worker").group(set!(programs = items)),
    key("priority", Integer, Some("999"), "start order: low numbers start first and stop last").group(set!(priority = integer)),
    key("rolling", Rolling, Some("off"), "number of processes that an update restarts at a time, each time waiting until they are ready, and healthy if they have a health check; off = the whole group at once").ours().example("1").group(set!(rolling = value::rolling)),
];

#[rustfmt::skip] // One row, one line.
pub(super) const LISTENER: &[ConfigKey] = &[
    key("events", List, Some(""), "event types that the listener receives").example("PROCESS_STATE,TICK_60").listener(set!(events = event_types)),
    key("buffer_size", Integer, Some("10"), "maximum number of waiting events; when it is full, the oldest event is discarded").listener(set!(buffer_size = integer)),
    key("result_handler", Callable, Some(RESULT_HANDLER), "handler of results; only the default is supported").listener(set!(result_handler = text)),
    key("priority", Integer, Some("-1"), "start order: low numbers start first and stop last").listener(set!(priority = integer)),
];

#[rustfmt::skip] // One row, one line.
pub(super) const FCGI: &[ConfigKey] = &[
    key("socket", Socket, None, "address of the listening socket").example("unix:///run/app.sock").fcgi(set!(socket = text)),
    key("socket_mode", Octal, None, "file mode of a unix socket; not set: 0700").example("0770").fcgi(set!(mode = Some(fcgi_mode))),
    key("socket_owner", UserGroup, None, "owner of a unix socket: user or user:group").example("www-data").fcgi(set!(lookup: owner = Some(fcgi_owner))),
    key("socket_backlog", Integer, None, "length of the listen queue; not set: the maximum of the system").example("128").fcgi(set!(backlog = Some(fcgi_backlog))),
];

pub(super) const INCLUDE: &[ConfigKey] = &[key(
    "files",
    Patterns,
    None,
    "files to read, as patterns relative to this file",
)
.example("relative/directory/*.ini")];

/// The key of `[rpcinterface:x]` that names its factory.
pub const RPC_FACTORY: &str = "supervisor.rpcinterface_factory";
/// The key of `[ctlplugin:x]` that names its factory.
pub const CTL_FACTORY: &str = "supervisor.ctl_factory";
/// The factory of the `supervisor` namespace.
pub const MAIN_INTERFACE: &str = "supervisor.rpcinterface:make_main_rpcinterface";
/// The factory of the `twiddler` namespace, as the plug-in for Supervisor is named.
pub const TWIDDLER_INTERFACE: &str = "supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface";
/// The built-in handler of event listener results.
pub const RESULT_HANDLER: &str = "supervisor.dispatchers:default_handler";

pub(super) const RPC_INTERFACE: &[ConfigKey] = &[key(
    RPC_FACTORY,
    Callable,
    None,
    "factory of this XML-RPC namespace",
)];

pub(super) const CTL_PLUGIN: &[ConfigKey] = &[key(
    CTL_FACTORY,
    Callable,
    None,
    "factory of these supervisorctl actions",
)];

/// The values of `[supervisorctl]`. The addresses and paths are as written.
#[derive(Default)]
pub(in crate::config) struct ClientValues {
    pub(in crate::config) serverurl: String,
    /// `None`: no authentication.
    pub(in crate::config) username: Option<String>,
    /// `None`: no authentication.
    pub(in crate::config) password: Option<String>,
    pub(in crate::config) prompt: String,
    /// `None`: no history.
    pub(in crate::config) history_file: Option<String>,
}

impl SectionValues for ClientValues {
    fn empty() -> Self {
        Self::default()
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Client)
    }
}

/// The values of `[unix_http_server]` or `[inet_http_server]`.
#[derive(Default)]
pub(in crate::config) struct ServerValues {
    /// The path as written. `None`: not set.
    pub(in crate::config) file: Option<String>,
    /// `None`: not set.
    pub(in crate::config) address: Option<(String, u16)>,
    /// `None`: not set.
    pub(in crate::config) username: Option<String>,
    /// `None`: not set.
    pub(in crate::config) password: Option<String>,
    pub(in crate::config) mode: u32,
    pub(in crate::config) owner: SocketOwner,
    /// `None`: not set, which is not the same as no rule.
    pub(in crate::config) allow: Option<Arc<[AllowRule]>>,
    pub(in crate::config) hosts: Vec<String>,
    /// The path as written. `None`: not set.
    pub(in crate::config) tokens_file: Option<String>,
    /// `None`: not set.
    pub(in crate::config) nodename: Option<String>,
}

impl SectionValues for ServerValues {
    fn empty() -> Self {
        Self::default()
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Server)
    }
}

fn socket_mode(text: &str) -> Result<u32, String> {
    octal(text).map_err(|_| format!("Invalid chmod value {text}"))
}

fn socket_owner(text: &str, lookup: &dyn Lookup) -> Result<SocketOwner, String> {
    user_group(text, lookup).map_err(|_| format!("Invalid sockchown value {text}"))
}

fn allow_rules(text: &str, lookup: &dyn Lookup) -> Result<Arc<[AllowRule]>, String> {
    allow::rules(text, lookup).map(Arc::from)
}

fn login_rules(text: &str) -> Result<Arc<[AllowRule]>, String> {
    allow::login_rules(text).map(Arc::from)
}

/// A name that can be a part of an address.
fn node_name(text: &str) -> Result<String, String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '@');
    match text.is_empty() || !text.chars().all(is_part) {
        true => Err(format!(
            "Invalid nodename '{text}': it may have letters, digits and .-_@ only"
        )),
        false => Ok(text.to_owned()),
    }
}

/// The values of `[group:x]`.
#[derive(Default)]
pub(in crate::config) struct GroupValues {
    pub(in crate::config) programs: Vec<String>,
    pub(in crate::config) priority: i64,
    pub(in crate::config) rolling: u32,
}

impl SectionValues for GroupValues {
    fn empty() -> Self {
        Self::default()
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Group)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a setter needs a parser")]
pub(super) fn items(text: &str) -> Result<Vec<String>, String> {
    Ok(value::list(text))
}

/// The values of `[eventlistener:x]` besides those of a program.
#[derive(Default)]
pub(in crate::config) struct ListenerValues {
    pub(in crate::config) priority: i64,
    pub(in crate::config) buffer_size: i64,
    pub(in crate::config) result_handler: String,
    /// In upper case, each once.
    pub(in crate::config) events: Vec<String>,
}

impl SectionValues for ListenerValues {
    fn empty() -> Self {
        Self::default()
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Listener)
    }
}

#[expect(clippy::unnecessary_wraps, reason = "a setter needs a parser")]
fn event_types(text: &str) -> Result<Vec<String>, String> {
    let mut events: Vec<String> = Vec::new();
    for event in value::list(text) {
        let event = event.to_uppercase();
        if !events.contains(&event) {
            events.push(event);
        }
    }
    Ok(events)
}

/// The values of `[fcgi-program:x]` besides those of a program.
#[derive(Default)]
pub(in crate::config) struct FcgiValues {
    /// The address as written. Empty: not set.
    pub(in crate::config) socket: String,
    /// `None`: not set.
    pub(in crate::config) mode: Option<u32>,
    /// `None`: not set.
    pub(in crate::config) owner: Option<SocketOwner>,
    /// `None`: not set.
    pub(in crate::config) backlog: Option<u32>,
}

impl SectionValues for FcgiValues {
    fn empty() -> Self {
        Self::default()
    }

    fn setter(field: Field) -> Option<Setter<Self>> {
        setter_of!(field, Fcgi)
    }
}

fn fcgi_mode(text: &str) -> Result<u32, String> {
    octal(text).map_err(|_| format!("Invalid socket_mode value {text}"))
}

fn fcgi_owner(text: &str, lookup: &dyn Lookup) -> Result<SocketOwner, String> {
    user_group(text, lookup).map_err(|_| format!("Invalid socket_owner value {text}"))
}

fn fcgi_backlog(text: &str) -> Result<u32, String> {
    let number = integer(text)?;
    let backlog = bounded(number).map(u32::from);
    backlog.map_err(|_| format!("Invalid socket_backlog value {number}"))
}
