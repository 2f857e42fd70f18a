//! Parses `[inet_http_server]` and `[unix_http_server]`. Each may occur several times, with a suffix.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::allow;
use super::super::expand::ExpandNames;
use super::super::key::SectionKind;
use super::super::path::{absolute, expand_user};
use super::super::python::strip;
use super::super::spec::{Credentials, ServerAddress, ServerSpec};
use super::super::value;
use super::{ConfigReader, KeyResult, SectionAt};

/// The default file mode of a unix socket.
const MODE: u32 = 0o700;
/// The default file mode with rules in `allow=`.
const MODE_WITH_RULES: u32 = 0o666;

/// Parses all inet servers in file order, then all unix servers.
pub(super) fn read_servers(reader: &mut ConfigReader<'_>) -> Vec<ServerSpec> {
    let mut servers = Vec::new();
    for section in reader.names_of(|name| SectionKind::of(name) == Some(SectionKind::InetServer)) {
        servers.extend(inet(reader, section));
    }
    for section in reader.names_of(|name| SectionKind::of(name) == Some(SectionKind::UnixServer)) {
        servers.extend(unix(reader, section));
    }
    servers
}

fn inet(reader: &mut ConfigReader<'_>, section: String) -> Option<ServerSpec> {
    let at = SectionAt::new(&section, SectionKind::InetServer);
    let nothing = ExpandNames::new();
    let credentials = credentials(reader, at);
    let hosts = reader.value(at, "hosts", &nothing, value::host_names).ok();
    match reader.value(at, "port", &nothing, value::inet_address) {
        KeyResult::Is((host, port)) => Some(ServerSpec {
            address: ServerAddress::Inet { host, port },
            credentials,
            hosts: hosts.unwrap_or_default(),
            allow: None,
            section,
        }),
        KeyResult::Wrong => None,
        KeyResult::Absent => {
            reader.fail(at, "port", format!("section [{section}] has no port value"));
            None
        }
    }
}

fn unix(reader: &mut ConfigReader<'_>, section: String) -> Option<ServerSpec> {
    let at = SectionAt::new(&section, SectionKind::UnixServer);
    let nothing = ExpandNames::new();
    let here = reader.only_here();
    let lookup = reader.lookup;
    let file = reader.text(at, "file", &here);
    if file == KeyResult::Absent {
        reader.fail(at, "file", format!("section [{section}] has no file value"));
    }
    let credentials = credentials(reader, at);
    let owner = reader.value(at, "chown", &nothing, |text| {
        value::user_group(text, lookup).map_err(|_| format!("Invalid sockchown value {text}"))
    });
    let mode = reader.value(at, "chmod", &nothing, |text| {
        value::octal(text).map_err(|_| format!("Invalid chmod value {text}"))
    });
    // New keys come last, so that Supervisor's errors stay the first ones.
    let allow = match reader.value(at, "allow", &nothing, |text| allow::rules(text, lookup)) {
        KeyResult::Is(rules) => Some(Arc::from(rules)),
        KeyResult::Absent | KeyResult::Wrong => None,
    };
    // With rules, the file mode need not restrict access: the rules decide by the peer's uid from the kernel.
    let says_mode = reader.entry(at, "chmod").is_some();
    let mode = match mode.ok() {
        Some(mode) if says_mode || allow.is_none() => mode,
        Some(_) => MODE_WITH_RULES,
        None => MODE,
    };
    let (uid, gid) = owner.ok().unwrap_or_default();
    let path = absolute(&expand_user(strip(&file.ok()?), lookup), lookup);
    Some(ServerSpec {
        address: ServerAddress::Unix {
            path: PathBuf::from(path),
            mode,
            uid,
            gid,
        },
        credentials,
        hosts: Vec::new(),
        allow,
        section,
    })
}

/// Parses user name and password, which must both be set. An empty user name turns authentication off, as in
/// Supervisor.
fn credentials(reader: &mut ConfigReader<'_>, at: SectionAt<'_>) -> Option<Credentials> {
    let nothing = ExpandNames::new();
    let username = reader.text(at, "username", &nothing);
    let password = reader.text(at, "password", &nothing);
    match (username, password) {
        (KeyResult::Is(_), KeyResult::Absent) | (KeyResult::Absent, KeyResult::Is(_)) => {
            let given = if reader.entry(at, "username").is_some() {
                "username"
            } else {
                "password"
            };
            reader.fail(
                at,
                given,
                format!(
                    "Section [{}] contains incomplete authentication: If a username or a password is specified, \
                     both the username and password must be specified",
                    at.section
                ),
            );
            None
        }
        (KeyResult::Is(username), KeyResult::Is(password)) => {
            (!username.is_empty()).then_some(Credentials { username, password })
        }
        _ => None,
    }
}
