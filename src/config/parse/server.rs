//! Parses `[inet_http_server]` and `[unix_http_server]`. Each may occur several times, with a suffix.

use std::path::PathBuf;

use super::super::expand::ExpandNames;
use super::super::key::{SectionKind, ServerValues};
use super::super::lookup::LookupError;
use super::super::path::{absolute, expand_user};
use super::super::python::strip;
use super::super::spec::{AllowRule, AllowSubject, Credentials, ServerAddress, ServerSpec};
use super::super::tokens;
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
    let here = reader.only_here();
    reader.fields(at, &here, rows.rest(), &mut values);
    check_logins(reader, at, credentials.as_ref(), values.allow.as_deref());
    let tokens_file = tokens_file(reader, at, values.tokens_file);
    let (host, port) = values.address?;
    Some(ServerSpec {
        address: ServerAddress::Inet { host, port },
        credentials,
        hosts: values.hosts,
        allow: values.allow,
        tokens_file,
        nodename: values.nodename,
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
    reader.fields(at, &nothing, rows.to("chmod"), &mut values);
    reader.fields(at, &here, rows.rest(), &mut values);
    let tokens_file = tokens_file(reader, at, values.tokens_file);
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
        tokens_file,
        nodename: None,
        section,
    })
}

/// Checks that the rules of a TCP server name its user name only. A token has its permissions in its file.
fn check_logins(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    credentials: Option<&Credentials>,
    rules: Option<&[AllowRule]>,
) {
    let known = credentials.map(|known| known.username.as_str());
    let unknown = rules
        .into_iter()
        .flatten()
        .find_map(|rule| match &rule.who {
            AllowSubject::Login(name) if Some(name.as_str()) != known => Some(name),
            _ => None,
        });
    if let Some(name) = unknown {
        let text = format!(
            "allow names {name}, which is not the username of section [{}] (a token has its permissions in tokens_file)",
            at.section
        );
        reader.fail(at, "allow", text);
    }
}

/// The path of the tokens file, which must be readable and valid.
fn tokens_file(
    reader: &mut ConfigReader<'_>,
    at: SectionAt<'_>,
    written: Option<String>,
) -> Option<PathBuf> {
    let lookup = reader.lookup;
    let path = absolute(&expand_user(strip(&written?), lookup), lookup);
    let problem = match lookup.secret_file(&path) {
        Ok(text) => match tokens::parse(&text) {
            Ok(_) => return Some(PathBuf::from(path)),
            Err(error) => format!("{path}:{}: {}", error.line, error.reason),
        },
        Err(LookupError::Missing(_)) => format!(
            "tokens_file {path} does not exist (create it with mode 0600; `supervisord token` prints lines for it)"
        ),
        Err(LookupError::Unreadable(why)) => format!("cannot read tokens_file {path}: {why}"),
    };
    reader.fail(at, "tokens_file", problem);
    None
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
