//! The order in which a configuration is read, and the rules about whole files.

use super::super::expand::{Names, Value};
use super::super::glob::glob;
use super::super::key::{MAIN_INTERFACE, RPC_FACTORY, SectionKind};
use super::super::lint;
use super::super::lookup::Lookup;
use super::super::options::DaemonOptions;
use super::super::path::{absolute, dirname, join};
use super::super::problem::{ConfigErrors, Span};
use super::super::python::words;
use super::super::spec::Config;
use super::{At, Got, Reader, daemon, group, server};
use crate::domain::Line;

/// Factories of XML-RPC namespaces that are known by name although this version does not offer them.
const KNOWN_FACTORIES: &[&str] = &["supervisor_twiddler.rpcinterface:make_twiddler_rpcinterface"];

/// Reads the configuration at `path`, which is used as it is in messages; what `options` set on the command line wins.
///
/// # Errors
/// All that is wrong in all files.
pub fn load(
    path: &str,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Result<Config, ConfigErrors> {
    let mut reader = Reader::open(path, lookup)?;
    include(&mut reader);
    let is_implied = is_implied(&reader);
    if is_implied {
        reader.warn(format!(
            "{path} has neither [supervisord] nor any [rpcinterface:x]; taken as if it had both"
        ));
    } else if reader.ini.section(SectionKind::Daemon.prefix()).is_none() {
        reader.report.add(
            Span::default(),
            ".ini file does not include supervisord section".to_owned(),
            "a line [supervisord] is enough",
        );
    }
    let server_section = daemon::read(&mut reader);
    let mut rpc_interfaces = interfaces(&mut reader);
    if is_implied {
        rpc_interfaces.push("supervisor".to_owned());
    }
    let groups = group::read(&mut reader, &server_section.environment);
    let servers = server::read(&mut reader);
    let daemon = daemon::settle(&mut reader, server_section, &options.overrides, &servers);
    lint::lint(&mut reader, options.strict);

    let Reader {
        report,
        mut warnings,
        ours,
        infos,
        ..
    } = reader;
    report.finish()?;
    warnings.extend(ours);
    warnings.extend(infos);
    Ok(Config {
        daemon,
        servers,
        rpc_interfaces,
        groups,
        notes: warnings,
    })
}

/// The file is of the Go project's making, which needs neither section.
// Differs: Supervisor refuses such a file.
fn is_implied(reader: &Reader<'_>) -> bool {
    !reader.ini.sections().iter().any(|section| {
        matches!(
            SectionKind::of(&section.name),
            Some(SectionKind::Daemon | SectionKind::RpcInterface)
        )
    })
}

/// Takes in the files that `[include]` names. Their own `[include]` comes too late to count.
fn include(reader: &mut Reader<'_>) {
    const HERE: &str = "%(here)s";
    let name = SectionKind::Include.prefix();
    if reader.ini.section(name).is_none() {
        return;
    }
    // From the moment there is an [include], `here` is a matter of text: in each file it is that file's directory.
    reader.ini.replace(HERE, &reader.here.clone());
    let at = At::new(name, SectionKind::Include);
    let Some(files) = reader.raw(at, "files") else {
        reader.fail(
            at,
            "files",
            ".ini file has [include] section, but no files setting".to_owned(),
        );
        return;
    };
    let mut names = reader.only_here();
    names.insert(
        "host_node_name".to_owned(),
        Value::Text(reader.lookup.hostname()),
    );
    let Got::Is(files) = reader.expanded(at, "files", &files, &names, "include.files") else {
        return;
    };
    for pattern in words(&files) {
        let pattern = join(&reader.here, pattern);
        let paths = glob(&pattern, reader.lookup);
        if paths.is_empty() {
            reader.warnings.push(Line::IncludeMatchesNothing {
                pattern: pattern.clone(),
            });
        }
        for path in paths {
            reader.infos.push(Line::IncludedFile { path: path.clone() });
            // A file that cannot be read is passed over in silence, as Supervisor does.
            if let Ok(bytes) = reader.lookup.read(&path) {
                reader.add(&path, &bytes);
            }
            let here = absolute(dirname(&path), reader.lookup);
            reader.ini.replace(HERE, &here);
        }
    }
}

/// The `[rpcinterface:x]` sections.
fn interfaces(reader: &mut Reader<'_>) -> Vec<String> {
    let nothing = Names::new();
    let mut found = Vec::new();
    for section in reader.names_of(|name| SectionKind::of(name) == Some(SectionKind::RpcInterface))
    {
        let at = At::new(&section, SectionKind::RpcInterface);
        let name = &section[SectionKind::RpcInterface.prefix().len()..];
        match reader.text(at, RPC_FACTORY, &nothing) {
            Got::Wrong => {}
            Got::Absent => reader.fail(
                at,
                RPC_FACTORY,
                format!("section [{section}] does not specify a {RPC_FACTORY}"),
            ),
            Got::Is(factory) if factory == MAIN_INTERFACE => found.push(name.to_owned()),
            Got::Is(factory) if KNOWN_FACTORIES.contains(&factory.as_str()) => {
                reader.warn(format!(
                    "[{section}] is not offered by this version; its methods are not there"
                ));
            }
            Got::Is(factory) => reader.fail_with(
                at,
                RPC_FACTORY,
                format!("{factory} cannot be resolved within [{section}]"),
                &format!("plug-ins of Python are not loaded; {RPC_FACTORY} takes {MAIN_INTERFACE}"),
            ),
        }
        // Whatever else stands there is handed to the factory, so it is expanded although nobody needs it here.
        let others: Vec<(String, String)> = reader
            .ini
            .section(&section)
            .map(|inner| {
                reader
                    .ini
                    .entries(inner)
                    .filter(|entry| entry.key != RPC_FACTORY)
                    .map(|entry| (entry.key.clone(), entry.value.clone()))
                    .collect()
            })
            .unwrap_or_default();
        for (key, text) in others {
            let place = format!("{section}.{key}");
            reader.expanded(at, &key, &text, &nothing, &place);
        }
    }
    found
}
