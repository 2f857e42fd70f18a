//! Parses `[supervisord]` and applies the command line.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::environment;
use super::super::expand::ExpandValue;
use super::super::key::{DaemonValues, SectionKind};
use super::super::options::Overrides;
use super::super::path::{absolute, expand_user};
use super::super::spec::{DaemonSpec, ServerAddress, ServerSpec};
use super::super::value;
use super::{ConfigReader, KeyResult, RowCursor, SectionAt};

const AT: SectionAt<'static> = SectionAt {
    section: "supervisord",
    kind: SectionKind::Daemon,
    located: false,
    index: None,
};

/// Reads the section, and adds its variables to the names for expansion.
pub(super) fn read_daemon_section(reader: &mut ConfigReader<'_>) -> DaemonValues {
    let at = reader.at(AT.section, AT.kind);
    let here = reader.only_here();
    let mut values: DaemonValues = reader.defaults(AT.kind);
    reader.fields(at, &here, RowCursor::new(AT.kind).rest(), &mut values);
    let environment = variables(reader);
    for (name, value) in &environment {
        reader
            .env
            .insert(format!("ENV_{name}"), ExpandValue::Text(value.clone()));
    }
    values.spec.environment = Arc::from(environment);
    values
}

/// Parses `environment`, which is expanded twice: first like any key, then also with the host name.
fn variables(reader: &mut ConfigReader<'_>) -> Vec<(String, String)> {
    let mut names = reader.only_here();
    let KeyResult::Is(text) = reader.text(AT, "environment", &names) else {
        return Vec::new();
    };
    names.insert(
        "host_node_name".to_owned(),
        ExpandValue::Text(reader.hostname.clone()),
    );
    let KeyResult::Is(text) = reader.expanded(AT, "environment", &text, &names, "environment")
    else {
        return Vec::new();
    };
    match environment::parse(&text) {
        Ok(pairs) => pairs,
        Err(sentence) => {
            reader.fail(AT, "environment", sentence);
            Vec::new()
        }
    }
}

/// Applies the command line over the file, makes paths absolute, and finally looks up the user.
pub(super) fn resolve_daemon_spec(
    reader: &mut ConfigReader<'_>,
    section: DaemonValues,
    overrides: &Overrides,
    servers: &[ServerSpec],
) -> DaemonSpec {
    let lookup = reader.lookup;
    let DaemonValues {
        spec: file,
        logfile,
        pidfile,
        childlogdir,
        user,
    } = section;
    // An empty path on the command line counts as not given.
    let path = |given: &Option<String>, read: String| {
        given
            .clone()
            .filter(|path| !path.is_empty())
            .unwrap_or(read)
    };
    let full = |path: &str| PathBuf::from(absolute(&expand_user(path, lookup), lookup));
    let logfile = path(&overrides.logfile, logfile);
    // Differs: for Supervisor `journal` is a file name.
    let logfile = if logfile == "syslog" {
        PathBuf::from(logfile)
    } else if value::is_journal(&logfile) {
        PathBuf::from("journal")
    } else {
        full(&logfile)
    };
    let childlogdir = overrides.childlogdir.clone().or(childlogdir);
    let user = overrides.user.clone().or(user).and_then(|name| {
        let found = value::configured_user(&name, lookup);
        found
            .map_err(|sentence| reader.fail(AT, "user", sentence))
            .ok()
    });
    DaemonSpec {
        logfile,
        logfile_maxbytes: overrides.logfile_maxbytes.unwrap_or(file.logfile_maxbytes),
        logfile_backups: overrides.logfile_backups.unwrap_or(file.logfile_backups),
        loglevel: overrides.loglevel.unwrap_or(file.loglevel),
        pidfile: full(&path(&overrides.pidfile, pidfile)),
        umask: overrides.umask.unwrap_or(file.umask),
        nodaemon: overrides.nodaemon.unwrap_or(file.nodaemon),
        silent: overrides.silent.unwrap_or(file.silent),
        minfds: overrides.minfds.unwrap_or(file.minfds),
        minprocs: overrides.minprocs.unwrap_or(file.minprocs),
        nocleanup: overrides.nocleanup.unwrap_or(file.nocleanup),
        childlogdir: PathBuf::from(childlogdir.unwrap_or_else(|| lookup.tempdir())),
        user,
        directory: overrides
            .directory
            .clone()
            .map(PathBuf::from)
            .or(file.directory),
        strip_ansi: overrides.strip_ansi.unwrap_or(file.strip_ansi),
        identifier: overrides.identifier.clone().unwrap_or(file.identifier),
        server_url: server_url(servers),
        ..file
    }
}

/// The URL of the first unix server, or of the last inet server.
fn server_url(servers: &[ServerSpec]) -> Option<String> {
    let unix = servers.iter().find_map(|server| match &server.address {
        ServerAddress::Unix { path, .. } => Some(format!("unix://{}", path.display())),
        ServerAddress::Inet { .. } => None,
    });
    unix.or_else(|| {
        servers
            .iter()
            .rev()
            .find_map(|server| match &server.address {
                ServerAddress::Inet { host, port } => {
                    let host = if host.is_empty() { "localhost" } else { host };
                    Some(format!("http://{host}:{port}"))
                }
                ServerAddress::Unix { .. } => None,
            })
    })
}
