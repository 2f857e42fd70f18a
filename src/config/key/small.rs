//! The keys of sections with few keys.

use super::row::{ConfigKey, key};
use super::value_kind::ValueKind::{
    Address, Callable, Integer, List, Octal, Path, Patterns, Socket, Text, UserGroup,
};

#[rustfmt::skip] // One row, one line.
pub(super) const CLIENT: &[ConfigKey] = &[
    key("serverurl", Text, Some("http://localhost:9001"), "address of the daemon: http://host:port or unix:///path").flag('s', "serverurl").example("unix:///run/supervisor/supervisor.sock"),
    key("username", Text, None, "user name of the server").flag('u', "username").example("user"),
    key("password", Text, None, "password of the server").flag('p', "password").example("123"),
    key("prompt", Text, Some("supervisor"), "prompt of the shell"),
    key("history_file", Text, None, "history file of the shell").flag('r', "history_file").example("~/.sc_history"),
];

#[rustfmt::skip] // One row, one line.
pub(super) const UNIX_SERVER: &[ConfigKey] = &[
    key("file", Path, None, "path of the socket").example("/run/supervisor/supervisor.sock"),
    key("chmod", Octal, Some("0700"), "file mode of the socket").example("0770"),
    key("chown", UserGroup, None, "owner of the socket: user or user:group").example("nobody:nogroup"),
    key("username", Text, None, "user name that clients must send").example("user"),
    key("password", Text, None, "password that clients must send, in plain text or as {SHA} and 40 hexadecimal digits").example("123"),
    key("allow", Text, None, "access rules, one per line: `USER VERB... [on PROCESS...]` or `@GROUP VERB...`; other users are refused, and chmod defaults to 0666").ours().example("root all"),
];

#[rustfmt::skip] // One row, one line.
pub(super) const INET_SERVER: &[ConfigKey] = &[
    key("port", Address, None, "address to listen on: host:port, or *:port for all interfaces").example("127.0.0.1:9001"),
    key("username", Text, None, "user name that clients must send").example("user"),
    key("password", Text, None, "password that clients must send, in plain text or as {SHA} and 40 hexadecimal digits").example("123"),
    key("hosts", List, None, "additional host names under which browsers may reach a server without password").ours().example("status.example.com"),
];

#[rustfmt::skip] // One row, one line.
pub(super) const GROUP: &[ConfigKey] = &[
    key("programs", List, None, "programs of the group").example("web,worker"),
    key("priority", Integer, Some("999"), "start order: low numbers start first and stop last"),
];

#[rustfmt::skip] // One row, one line.
pub(super) const LISTENER: &[ConfigKey] = &[
    key("events", List, Some(""), "event types that the listener receives").example("PROCESS_STATE,TICK_60"),
    key("buffer_size", Integer, Some("10"), "maximum number of waiting events; when it is full, the oldest event is discarded"),
    key("result_handler", Callable, Some(RESULT_HANDLER), "handler of results; only the default is supported"),
    key("priority", Integer, Some("-1"), "start order: low numbers start first and stop last"),
];

#[rustfmt::skip] // One row, one line.
pub(super) const FCGI: &[ConfigKey] = &[
    key("socket", Socket, None, "address of the listening socket").example("unix:///run/app.sock"),
    key("socket_mode", Octal, None, "file mode of a unix socket; not set: 0700").example("0770"),
    key("socket_owner", UserGroup, None, "owner of a unix socket: user or user:group").example("www-data"),
    key("socket_backlog", Integer, None, "length of the listen queue; not set: the maximum of the system").example("128"),
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
