//! Parses `[supervisord]` and applies the command line.

use std::path::PathBuf;
use std::sync::Arc;

use super::super::environment;
use super::super::expand::ExpandValue;
use super::super::key::SectionKind;
use super::super::options::Overrides;
use super::super::path::{absolute, expand_user};
use super::super::spec::{
    BusChoice, ConfiguredUser, DaemonSpec, Environment, ReadyWhen, ServerAddress, ServerSpec,
};
use super::super::value;
use super::{ConfigReader, KeyResult, SectionAt};
use crate::domain::{Bytes, DiagnosticsFilter, Level};

/// The values of `[supervisord]` in the file.
pub(super) struct DaemonSection {
    minfds: i64,
    minprocs: i64,
    directory: Option<String>,
    user: Option<String>,
    umask: u32,
    logfile: String,
    logfile_maxbytes: Bytes,
    logfile_backups: i64,
    loglevel: Level,
    pidfile: String,
    identifier: String,
    nodaemon: bool,
    silent: bool,
    childlogdir: String,
    nocleanup: bool,
    strip_ansi: bool,
    ready_when: ReadyWhen,
    dbus: BusChoice,
    diagnostics: DiagnosticsFilter,
    pub(super) environment: Environment,
}

const AT: SectionAt<'static> = SectionAt {
    section: "supervisord",
    kind: SectionKind::Daemon,
    located: false,
    index: None,
};

/// Parses the section in Supervisor's order, and adds its variables to the names for expansion.
pub(super) fn read_daemon_section(reader: &mut ConfigReader<'_>) -> DaemonSection {
    let here = reader.only_here();
    let lookup = reader.lookup;
    let text = |reader: &mut ConfigReader<'_>, key| reader.text(AT, key, &here).ok();
    let path = |reader: &mut ConfigReader<'_>, key| {
        reader
            .value(AT, key, &here, |text| value::existing_dirpath(text, lookup))
            .ok()
            .unwrap_or_default()
    };
    let directory = |text: &str| value::existing_directory(text, lookup);

    let minfds = reader.integer(AT, "minfds", &here);
    let minprocs = reader.integer(AT, "minprocs", &here);
    let working = reader.value(AT, "directory", &here, directory).ok();
    let user = text(reader, "user");
    let umask = reader.value(AT, "umask", &here, value::octal).ok();
    let logfile = path(reader, "logfile");
    let logfile_maxbytes = reader.bytes(AT, "logfile_maxbytes", &here);
    let logfile_backups = reader.integer(AT, "logfile_backups", &here);
    let loglevel = reader.value(AT, "loglevel", &here, value::log_level).ok();
    let pidfile = path(reader, "pidfile");
    let identifier = text(reader, "identifier").unwrap_or_default();
    let nodaemon = reader.boolean(AT, "nodaemon", &here);
    let silent = reader.boolean(AT, "silent", &here);
    let childlogdir = match reader.value(AT, "childlogdir", &here, directory) {
        KeyResult::Is(path) => path,
        KeyResult::Absent | KeyResult::Wrong => lookup.tempdir(),
    };
    let nocleanup = reader.boolean(AT, "nocleanup", &here);
    let strip_ansi = reader.boolean(AT, "strip_ansi", &here);
    let ready_when = reader
        .value(AT, "ready_when", &here, value::ready_when)
        .ok();
    let dbus = reader.value(AT, "dbus", &here, value::bus).ok();
    let diagnostics = reader
        .value(AT, "diagnostics", &here, DiagnosticsFilter::parse)
        .ok();
    let environment = variables(reader);
    for (name, value) in &environment {
        reader
            .env
            .insert(format!("ENV_{name}"), ExpandValue::Text(value.clone()));
    }
    DaemonSection {
        minfds,
        minprocs,
        directory: working,
        user,
        umask: umask.unwrap_or_default(),
        logfile,
        logfile_maxbytes,
        logfile_backups,
        loglevel: loglevel.unwrap_or(Level::Info),
        pidfile,
        identifier,
        nodaemon,
        silent,
        childlogdir,
        nocleanup,
        strip_ansi,
        ready_when: ready_when.unwrap_or(ReadyWhen::Started),
        dbus: dbus.unwrap_or(BusChoice::Auto),
        diagnostics: diagnostics.unwrap_or_default(),
        environment: Arc::from(environment),
    }
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
    section: DaemonSection,
    overrides: &Overrides,
    servers: &[ServerSpec],
) -> DaemonSpec {
    let lookup = reader.lookup;
    // An empty path on the command line counts as not given.
    let path = |given: &Option<String>, read: String| {
        given
            .clone()
            .filter(|path| !path.is_empty())
            .unwrap_or(read)
    };
    let full = |path: &str| PathBuf::from(absolute(&expand_user(path, lookup), lookup));
    let logfile = path(&overrides.logfile, section.logfile);
    // Differs: for Supervisor `journal` is a file name.
    let logfile = if logfile == "syslog" {
        PathBuf::from(logfile)
    } else if value::is_journal(&logfile) {
        PathBuf::from("journal")
    } else {
        full(&logfile)
    };
    let pidfile = full(&path(&overrides.pidfile, section.pidfile));
    let user =
        overrides.user.clone().or(section.user).and_then(|name| {
            match ConfiguredUser::find(&name, lookup) {
                Ok(user) => Some(user),
                Err(sentence) => {
                    reader.fail(AT, "user", sentence);
                    None
                }
            }
        });
    DaemonSpec {
        logfile,
        logfile_maxbytes: overrides
            .logfile_maxbytes
            .unwrap_or(section.logfile_maxbytes),
        logfile_backups: overrides.logfile_backups.unwrap_or(section.logfile_backups),
        loglevel: overrides.loglevel.unwrap_or(section.loglevel),
        pidfile,
        umask: overrides.umask.unwrap_or(section.umask),
        nodaemon: overrides.nodaemon.unwrap_or(section.nodaemon),
        silent: overrides.silent.unwrap_or(section.silent),
        minfds: overrides.minfds.unwrap_or(section.minfds),
        minprocs: overrides.minprocs.unwrap_or(section.minprocs),
        nocleanup: overrides.nocleanup.unwrap_or(section.nocleanup),
        childlogdir: PathBuf::from(overrides.childlogdir.clone().unwrap_or(section.childlogdir)),
        user,
        directory: overrides
            .directory
            .clone()
            .or(section.directory)
            .map(PathBuf::from),
        strip_ansi: overrides.strip_ansi.unwrap_or(section.strip_ansi),
        environment: section.environment,
        identifier: overrides.identifier.clone().unwrap_or(section.identifier),
        server_url: server_url(servers),
        ready_when: section.ready_when,
        dbus: section.dbus,
        diagnostics: section.diagnostics,
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
