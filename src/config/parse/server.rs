//! Parses `[inet_http_server]` and `[unix_http_server]`. Each may occur several times, with a suffix.

use std::path::PathBuf;

use super::super::expand::ExpandNames;
use super::super::key::{SectionKind, ServerValues};
use super::super::path::{absolute, expand_user};
use super::super::python::strip;
use super::super::spec::{Credentials, ServerAddress, ServerSpec};
use super::{ConfigReader, RowCursor, SectionAt};

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
    let at = reader.at(&section, SectionKind::InetServer);
    let nothing = ExpandNames::new();
    let mut values: ServerValues = reader.defaults(at.kind);
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, &nothing, rows.to("password"), &mut values);
    let credentials = credentials(reader, at, &mut values);
    reader.fields(at, &nothing, rows.to("port"), &mut values);
    if reader.entry(at, "port").is_none() {
        reader.fail(at, "port", format!("section [{section}] has no port value"));
    }
    reader.fields(at, &nothing, rows.rest(), &mut values);
    let (host, port) = values.address?;
    Some(ServerSpec {
        address: ServerAddress::Inet { host, port },
        credentials,
        hosts: values.hosts,
        allow: None,
        section,
    })
}

fn unix(reader: &mut ConfigReader<'_>, section: String) -> Option<ServerSpec> {
    let at = reader.at(&section, SectionKind::UnixServer);
    let nothing = ExpandNames::new();
    let here = reader.only_here();
    let lookup = reader.lookup;
    let mut values: ServerValues = reader.defaults(at.kind);
    let mut rows = RowCursor::new(at.kind);
    reader.fields(at, &here, rows.to("file"), &mut values);
    if reader.entry(at, "file").is_none() {
        reader.fail(at, "file", format!("section [{section}] has no file value"));
    }
    reader.fields(at, &nothing, rows.to("password"), &mut values);
    let credentials = credentials(reader, at, &mut values);
    reader.fields(at, &nothing, rows.rest(), &mut values);
    // With rules, the file mode need not restrict access: the rules decide by the peer's uid from the kernel.
    let says_mode = reader.entry(at, "chmod").is_some();
    let mode = if says_mode || values.allow.is_none() {
        values.mode
    } else {
        MODE_WITH_RULES
    };
    let (uid, gid) = values.owner;
    let path = absolute(&expand_user(strip(&values.file?), lookup), lookup);
    Some(ServerSpec {
        address: ServerAddress::Unix {
            path: PathBuf::from(path),
            mode,
            uid,
            gid,
        },
        credentials,
        hosts: Vec::new(),
        allow: values.allow,
        section,
    })
}

/// Checks that user name and password are both set, or neither. An empty user name turns authentication off, as in
/// Supervisor.
fn credentials(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    values: &mut ServerValues,
) -> Option<Credentials> {
    let is_written = |key| reader.entry(at, key).is_some();
    let (has_username, has_password) = (is_written("username"), is_written("password"));
    match (values.username.take(), values.password.take()) {
        (Some(username), Some(password)) => {
            (!username.is_empty()).then_some(Credentials { username, password })
        }
        (username, password) => {
            // A wrong value is reported already.
            if username.is_some() && !has_password || password.is_some() && !has_username {
                let given = if has_username { "username" } else { "password" };
                reader.fail(
                    at,
                    given,
                    format!(
                        "Section [{}] contains incomplete authentication: If a username or a password is specified, \
                         both the username and password must be specified",
                        at.section
                    ),
                );
            }
            None
        }
    }
}
