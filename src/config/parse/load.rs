//! Reads a whole configuration: the order of its parts, and the rules about whole files.

use std::sync::Arc;

use super::super::expand::{ExpandNames, ExpandValue};
use super::super::glob::{glob, listed};
use super::super::hint;
use super::super::ini::IniSection;
use super::super::key::{MAIN_INTERFACE, RPC_FACTORY, SectionKind, TWIDDLER_INTERFACE};
use super::super::lint::{self as rules, Explained, LintInput, Rule};
use super::super::lookup::{Lookup, LookupError};
use super::super::options::DaemonOptions;
use super::super::path::{absolute, dirname, join};
use super::super::plan::KeyPlaces;
use super::super::plugin;
use super::super::problem::{CheckReport, ConfigErrors, SourceSpan, Sources};
use super::super::python::words;
use super::super::source::RemoteText;
use super::super::spec::{Config, DaemonSpec, GroupSpec, ServerSpec};
use super::super::value;
use super::confinement::{warn_of_cgroups, warn_of_rights};
use super::{
    ConfigReader, KeyResult, SectionAt, daemon, env_files, exit_when, group, lint, notification,
    program_default, remote, server,
};
use crate::domain::Line;

/// The namespace of [`TWIDDLER_INTERFACE`].
const TWIDDLER: &str = "twiddler";

/// Reads the configuration at `path`, which messages name as given. `options`: the command line, which overrides the
/// file.
///
/// # Errors
/// All errors in all files.
pub fn load(
    path: &str,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Result<Config, ConfigErrors> {
    load_with_places(path, options, lookup).map(|(config, _)| config)
}

/// Like [`load`], for `--check`: returns all problems of the configuration with their places.
#[must_use]
pub fn check_config(path: &str, options: &DaemonOptions, lookup: &dyn Lookup) -> CheckReport {
    let options = DaemonOptions {
        check: true,
        ..options.clone()
    };
    match load_with_sources(path, &options, lookup) {
        Ok((config, _, sources)) => CheckReport::new(&[], &config.warnings, sources),
        Err(errors) => CheckReport::from(errors),
    }
}

/// Like [`load`]. Also returns where the keys are.
///
/// # Errors
/// As [`load`].
pub fn load_with_places(
    path: &str,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Result<(Config, KeyPlaces), ConfigErrors> {
    load_with_sources(path, options, lookup).map(|(config, places, _)| (config, places))
}

/// Like [`load_with_places`]. Also returns the text of each file.
fn load_with_sources(
    path: &str,
    options: &DaemonOptions,
    lookup: &dyn Lookup,
) -> Result<(Config, KeyPlaces, Sources), ConfigErrors> {
    let remote = options.remote.as_deref();
    let mut reader = match remote {
        // The text is enough.
        Some(_) if path.is_empty() => ConfigReader::without_file(lookup),
        _ => ConfigReader::open(path, lookup)?,
    };
    include(&mut reader);
    let remote = remote.map(|remote| (remote, add_remote(&mut reader, remote)));
    let has_section = reader.ini.section(SectionKind::Daemon.prefix()).is_some();
    let is_implied = !has_section && !options.needs_section && is_implied(&reader);
    if is_implied {
        let text =
            format!("{path} has neither [supervisord] nor [rpcinterface:x]; both are assumed");
        reader.warn(Rule::ImpliedSection, SourceSpan::default(), text);
    } else if !has_section {
        let (span, hint) = missing_section(&reader, options.needs_section);
        let sentence = ".ini file does not include supervisord section";
        reader.report.add(span, sentence, &hint);
    }
    let server_section = daemon::read_daemon_section(&mut reader);
    let (mut rpc_interfaces, twiddler) = interfaces(&mut reader);
    if is_implied {
        rpc_interfaces.push("supervisor".to_owned());
    }
    program_default::apply_program_default(&mut reader);
    let groups = group::read_groups(&mut reader, &server_section.spec.environment);
    if let Some((remote, file)) = remote {
        remote::check_pinned_users(&mut reader, remote, file, &groups);
    }
    let servers = server::read_servers(&mut reader);
    let notifications =
        notification::read_notifications(&mut reader, &server_section.spec.environment);
    let daemon =
        daemon::resolve_daemon_spec(&mut reader, server_section, &options.overrides, &servers);
    exit_when::check_exit_when(&mut reader, &daemon, &groups);
    warn_of_rights(&mut reader, &daemon, &groups);
    if options.check {
        // A daemon that starts logs these warnings when it has read the files and found the cgroup.
        warn_of_cgroups(&mut reader, &groups);
        env_files::check_env_files(&mut reader, &groups);
    }
    lint::lint(&mut reader, options.strict, options.is_found);
    if options.check {
        report_mistakes(&mut reader, &daemon, &servers, &groups);
    }

    let listed = std::mem::take(&mut reader.listed);
    let places = KeyPlaces {
        ini: std::mem::take(&mut reader.ini),
        files: std::mem::take(&mut reader.files),
        here: reader.here.clone(),
    };
    let (notes, warnings, sources) = reader.finish()?;
    let config = Config {
        daemon,
        servers,
        rpc_interfaces,
        twiddler,
        groups,
        notifications,
        remote: options.remote.clone(),
        notes,
        warnings,
        listed: listed.into_iter().map(|(_, path)| path).collect(),
        is_implied,
    };
    Ok((config, places, sources))
}

/// Reports what `--check` alone finds.
fn report_mistakes(
    reader: &mut ConfigReader<'_>,
    daemon: &DaemonSpec,
    servers: &[ServerSpec],
    groups: &[Arc<GroupSpec>],
) {
    let (ini, files) = (&reader.ini, &reader.files);
    let input = LintInput::new(ini, reader.lookup, files, daemon, servers, groups);
    for (span, explained) in rules::find_mistakes(&input) {
        reader.report.lint(span, explained);
    }
    reader.report.name_keys(&reader.ini);
}

/// Reads the remote text, whose keys replace those of the files. Returns its index.
fn add_remote(reader: &mut ConfigReader<'_>, remote: &RemoteText) -> usize {
    let file = reader.files.len();
    reader.add(&remote.name, remote.text.as_bytes());
    remote::check_remote_sections(reader, remote, file);
    let section = reader.ini.section(SectionKind::Include.prefix());
    // The files of a local `[include]` were read before the text, which replaces their keys.
    if section.is_some_and(|section| section.places.iter().any(|span| span.file == file)) {
        include(reader);
    }
    file
}

/// Whether the file was written for the Go re-implementation, which needs neither `[supervisord]` nor
/// `[rpcinterface:x]`: it has programs, and no misspelling of either section.
// Differs: Supervisor refuses such a file.
fn is_implied(reader: &ConfigReader<'_>) -> bool {
    let sections = reader.ini.sections();
    let is_program = |name: &str| {
        matches!(
            SectionKind::of(name),
            Some(SectionKind::Program | SectionKind::ProgramDefault)
        )
    };
    let is_interface = |name: &str| SectionKind::of(name) == Some(SectionKind::RpcInterface);
    sections.iter().any(|section| is_program(&section.name))
        && !sections.iter().any(|section| is_interface(&section.name))
        && misspelt_section(reader).is_none()
}

/// The section that is probably a misspelling of `[supervisord]`.
fn misspelt_section<'r>(reader: &'r ConfigReader<'_>) -> Option<&'r IniSection> {
    let meant = SectionKind::Daemon.prefix();
    let mut sections = reader.ini.sections().iter();
    sections.find(|section| {
        SectionKind::of(&section.name).is_none() && hint::is_close_to(&section.name, meant)
    })
}

/// Where `[supervisord]` should be, and a hint.
fn missing_section(reader: &ConfigReader<'_>, needs_section: bool) -> (SourceSpan, String) {
    match misspelt_section(reader) {
        Some(section) => (
            section.span,
            format!("did you mean [supervisord] for [{}]?", section.name),
        ),
        None if reader.ini.sections().is_empty() => (
            SourceSpan::default(),
            "the file is empty; the line [supervisord] is enough".to_owned(),
        ),
        None if needs_section => (
            SourceSpan::default(),
            "the file had this section when supervisord started".to_owned(),
        ),
        None => (
            SourceSpan::default(),
            "the line [supervisord] is enough".to_owned(),
        ),
    }
}

/// Reads the files of `[include]`. An `[include]` in one of them has no effect.
fn include(reader: &mut ConfigReader<'_>) {
    const HERE: &str = "%(here)s";
    let name = SectionKind::Include.prefix();
    if reader.ini.section(name).is_none() {
        return;
    }
    // With an `[include]`, `%(here)s` is replaced as text: in each file by that file's directory.
    reader.ini.replace(HERE, &reader.here.clone());
    let at = SectionAt::new(name, SectionKind::Include);
    let Some(files) = reader.raw(at, "files") else {
        let sentence = ".ini file has [include] section, but no files setting".to_owned();
        match misspelt_files(reader) {
            Some((key, span)) => {
                let hint = format!("did you mean files for {key}?");
                reader.report.add(span, &sentence, &hint);
            }
            None => reader.fail(at, "files", sentence),
        }
        return;
    };
    let mut names = reader.only_here();
    names.insert(
        "host_node_name".to_owned(),
        ExpandValue::Text(reader.hostname.clone()),
    );
    let KeyResult::Is(files) = reader.expanded(at, "files", &files, &names, "include.files") else {
        return;
    };
    let span = reader.span_of(at, "files");
    for pattern in words(&files) {
        let pattern = join(&reader.here, pattern);
        let directories = listed(&pattern, reader.lookup).into_iter();
        reader.listed.extend(directories.map(|path| (span, path)));
        let paths = glob(&pattern, reader.lookup);
        if paths.is_empty() {
            let has_comma = pattern.contains(',');
            reader.warn_as(
                Explained::new(
                    Rule::EmptyInclude,
                    format!("files: nothing matches {pattern}"),
                ),
                span,
                Line::IncludeMatchesNothing { pattern },
            );
            if has_comma {
                let text = "[include] files takes patterns separated by blanks, not commas";
                reader.warn(Rule::IncludeComma, span, text.to_owned());
            }
        }
        for path in paths {
            reader.infos.push(Line::IncludedFile { path: path.clone() });
            // Supervisor silently ignores a file that cannot be read.
            match reader.lookup.read(&path) {
                Ok(bytes) => reader.add(&path, &bytes),
                Err(LookupError::Missing(why) | LookupError::Unreadable(why)) => {
                    let reason = if why.is_empty() {
                        "it is not there"
                    } else {
                        &why
                    };
                    let text = format!("skipped {path}: cannot read it: {reason}");
                    reader.warn(Rule::EmptyInclude, span, text);
                }
            }
            let here = absolute(dirname(&path), reader.lookup);
            reader.ini.replace(HERE, &here);
        }
    }
}

/// The key of `[include]` that is probably a misspelling of `files`, and its span.
fn misspelt_files(reader: &ConfigReader<'_>) -> Option<(String, SourceSpan)> {
    let section = reader.ini.section(SectionKind::Include.prefix())?;
    let only = reader.ini.entries(section).find(|entry| {
        let hint = hint::of_key(SectionKind::Include, &entry.key);
        hint.is_some_and(|hint| hint.contains("files"))
    })?;
    Some((only.written.to_string(), only.key_span()))
}

/// Parses the `[rpcinterface:x]` sections. Returns their names, and the whitelist of `[rpcinterface:twiddler]` if that
/// exists.
fn interfaces(reader: &mut ConfigReader<'_>) -> (Vec<String>, Option<Vec<String>>) {
    let nothing = ExpandNames::new();
    let mut twiddler = None;
    let mut found = Vec::new();
    for section in reader.names_of(|name| SectionKind::of(name) == Some(SectionKind::RpcInterface))
    {
        let at = SectionAt::new(&section, SectionKind::RpcInterface);
        let name = &section[SectionKind::RpcInterface.prefix().len()..];
        match reader.text(at, RPC_FACTORY, &nothing) {
            KeyResult::Wrong => {}
            KeyResult::Absent => reader.fail(
                at,
                RPC_FACTORY,
                format!("section [{section}] does not specify a {RPC_FACTORY}"),
            ),
            KeyResult::Is(factory) if factory == MAIN_INTERFACE => found.push(name.to_owned()),
            KeyResult::Is(factory) if factory == TWIDDLER_INTERFACE && name == TWIDDLER => {
                found.push(name.to_owned());
                twiddler = Some(whitelist(reader, at));
            }
            KeyResult::Is(factory) if factory == TWIDDLER_INTERFACE => {
                let text = format!(
                    "[{section}] must be named [rpcinterface:{TWIDDLER}]; its methods are not available"
                );
                reader.warn(Rule::BadName, reader.span_of_section(&section), text);
            }
            // Differs: Supervisor loads it, or exits if it cannot. Here everything else works without it.
            KeyResult::Is(factory) if plugin::is_foreign(&factory) => {
                reader.foreign(at, RPC_FACTORY, plugin::interface_text(&section, &factory));
            }
            KeyResult::Is(factory) => reader.fail_with(
                at,
                RPC_FACTORY,
                format!("{factory} cannot be resolved within [{section}]"),
                &format!("Python plug-ins are not supported; {RPC_FACTORY} takes {MAIN_INTERFACE}"),
            ),
        }
        // Supervisor passes all other keys to the factory, so they are expanded, and wrong ones are errors.
        let others: Vec<(String, String)> = reader
            .ini
            .section(&section)
            .map(|inner| {
                reader
                    .ini
                    .entries(inner)
                    .filter(|entry| *entry.key != *RPC_FACTORY)
                    .map(|entry| (entry.key.to_string(), entry.value.clone()))
                    .collect()
            })
            .unwrap_or_default();
        for (key, text) in others {
            let place = format!("{section}.{key}");
            reader.expanded(at, &key, &text, &nothing, &place);
        }
    }
    (found, twiddler)
}

/// The `whitelist` of `[rpcinterface:twiddler]`.
fn whitelist(reader: &mut ConfigReader<'_>, at: SectionAt<'_>) -> Vec<String> {
    let text = reader.text(at, "whitelist", &ExpandNames::new()).ok();
    value::list(&text.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::super::super::lookup::Fake;
    use super::super::super::spec::{LogTarget, NotifySpec, ServerAddress};
    use super::*;
    use crate::domain::Seconds;

    fn at(text: &str) -> Result<Config, ConfigErrors> {
        let machine = Fake::default().with("/etc/s.conf", text);
        load("/etc/s.conf", &DaemonOptions::default(), &machine)
    }

    fn shown(errors: &ConfigErrors) -> Vec<String> {
        errors.all.iter().map(ToString::to_string).collect()
    }

    #[test]
    fn all_errors_are_reported_in_order_and_the_first_is_supervisors() {
        let machine = Fake::default()
            .with(
                "/etc/s.conf",
                "[supervisord]\nloglevel = loud\nminfds=many\n[include]\nfiles=x.conf\n[program:a]\nstartsecs=1s\n\
                 [group:g]\nprograms=a,b\n",
            )
            .with("/etc/x.conf", "[program:b]\ncommand=%(nosuch)s\nautostart=maybe\nfoo\n");
        let errors = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect_err("bad");
        assert_eq!(
            errors.first,
            "Source contains parsing errors: '/etc/x.conf'\n\t[line  4]: 'foo\\n'"
        );
        assert_eq!(
            shown(&errors),
            [
                "/etc/s.conf:2:12: bad logging level name 'loud'; loglevel takes one of critical, error, warn, info, \
                 debug, trace, blather, or warning, fatal, panic",
                "/etc/s.conf:3:8: invalid literal for int() with base 10: 'many'; minfds takes a whole number",
                "/etc/s.conf:6:1: program section program:a does not specify a command in section 'program:a' (file: \
                 '/etc/s.conf'); command takes a string",
                "/etc/s.conf:7:11: invalid literal for int() with base 10: '1s' in section 'program:a' (file: \
                 '/etc/s.conf'); startsecs takes a whole number of seconds",
                "/etc/x.conf:2:9: Format string '%(nosuch)s' for 'program:b.command' contains names ('nosuch') which \
                 cannot be expanded. Available names: ENV_HOME, group_name, here, host_node_name, numprocs, \
                 process_num, program_name in section 'program:b' (file: '/etc/x.conf'); write %% for a literal %",
                "/etc/x.conf:3:11: not a valid boolean value: 'maybe' in section 'program:b' (file: '/etc/x.conf'); \
                 autostart takes one of yes, true, on, 1, no, false, off, 0",
                "/etc/x.conf:4:1: Source contains parsing errors: '/etc/x.conf': 'foo'; expected `key = value`, a \
                 [section] or a comment that begins with ; or #",
            ]
        );
        assert_eq!(errors.to_string(), errors.first);
        assert_eq!(errors.sources.len(), 2);
    }

    #[test]
    fn a_wrong_number_of_processes_hides_no_other_error() {
        let errors = at("[supervisord]\n[program:a]\nnumprocs=x\n").expect_err("two");
        assert!(
            errors.first.starts_with("invalid literal for int()"),
            "{}",
            errors.first
        );
        assert_eq!(errors.all.len(), 2, "{:?}", errors.all);
    }

    #[test]
    fn one_mistake_of_many_processes_is_reported_once() {
        let errors = at(
            "[supervisord]\n[program:a]\ncommand=c\nnumprocs=50\nprocess_name=%(process_num)d\nstdout_logfile=/no/x\n\
             [group:g]\nprograms=a\n[group:h]\nprograms=a\n",
        )
        .expect_err("bad");
        assert_eq!(errors.all.len(), 1, "{:?}", shown(&errors));
    }

    #[test]
    fn cfg_42_a_file_of_the_go_project_loads() {
        let config = at("[program:a]\ncommand=c\n").expect("valid");
        assert_eq!(config.rpc_interfaces, ["supervisor"]);
        assert_eq!(config.daemon.identifier, "supervisor");
        assert_eq!(
            config.notes.first().map(ToString::to_string).as_deref(),
            Some("/etc/s.conf has neither [supervisord] nor [rpcinterface:x]; both are assumed")
        );
        assert!(config.is_implied);
        let config = at("[program-default]\nautostart=no\n").expect("valid");
        assert!(config.is_implied);
    }

    #[test]
    fn cfg_42_an_emptied_cut_or_misspelt_file_is_refused() {
        for (text, problem) in [
            (
                "",
                "/etc/s.conf: .ini file does not include supervisord section; the file is empty; the line [supervisord] is \
                 enough",
            ),
            (
                "; cut\n",
                "/etc/s.conf: .ini file does not include supervisord section; the file is empty; the line [supervisord] is \
                 enough",
            ),
            (
                "[unix_http_server]\nfile=/s.sock\n",
                "/etc/s.conf: .ini file does not include supervisord section; the line [supervisord] is enough",
            ),
            (
                "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=\
                 supervisor.rpcinterface:make_main_rpcinterface\n[program:a]\ncommand=c\n",
                "/etc/s.conf: .ini file does not include supervisord section; the line [supervisord] is enough",
            ),
            (
                "[supervisor]\nnodaemon=true\n[program:a]\ncommand=c\n",
                "/etc/s.conf:1:1: .ini file does not include supervisord section; did you mean [supervisord] for \
                 [supervisor]?",
            ),
            (
                "[eventlistener:l]\ncommand=c\nevents=TICK\n",
                "/etc/s.conf: .ini file does not include supervisord section; the line [supervisord] is enough",
            ),
        ] {
            let errors = at(text).expect_err(text);
            assert_eq!(
                errors.first,
                ".ini file does not include supervisord section"
            );
            assert_eq!(shown(&errors), [problem], "{text}");
        }
        // A running daemon whose file had the section still needs it.
        let machine = Fake::default().with("/etc/s.conf", "[program:a]\ncommand=c\n");
        let options = DaemonOptions {
            needs_section: true,
            ..DaemonOptions::default()
        };
        let errors = load("/etc/s.conf", &options, &machine).expect_err("cut");
        assert_eq!(
            errors.first,
            ".ini file does not include supervisord section"
        );
    }

    #[test]
    fn equal_priorities_start_in_the_order_of_programs() {
        let order = |more: &str| {
            let text = format!(
                "[supervisord]\n[program:api]\ncommand=c\nnumprocs=2\nprocess_name=api%(process_num)d\n\
                 [program:db]\ncommand=c\n{more}[group:g]\nprograms=db,api\n"
            );
            let config = at(&text).expect("valid");
            let processes = config.groups[0].processes.iter();
            let names: Vec<&str> = processes.map(|process| process.name.as_str()).collect();
            names.join(" ")
        };
        assert_eq!(order(""), "db api0 api1");
        assert_eq!(order("priority=1000\n"), "api0 api1 db");
    }

    #[test]
    fn warnings_have_positions_and_appear_with_errors() {
        let machine = Fake::default()
            .with(
                "/etc/s.conf",
                "[supervisord]\nminfds=many\n[include]\nfiles=no.conf,x.conf\n[program:b c]\ncommand=c\n[program:a]\n\
                 command=c\nstderr_logfile=/tmp/x\nredirect_stderr=true\nnumprocs=2\nprocess_name=%(process_num)d\n",
            );
        let errors = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect_err("bad");
        assert_eq!(
            errors.lines(),
            [
                "/etc/s.conf:2:8: error: invalid literal for int() with base 10: 'many'; minfds takes a whole number",
                "/etc/s.conf:5:1: error: Invalid name: 'b c' because of character: ' '; names cannot contain blanks, colons or slashes",
                "/etc/s.conf:4:7: warning: No file matches via include \"/etc/no.conf,x.conf\"",
                "/etc/s.conf:4:7: warning: [include] files takes patterns separated by blanks, not commas",
                "/etc/s.conf:9:16: warning: For [program:a], redirect_stderr=true but stderr_logfile has also been set to a \
                 filename, the filename has been ignored",
            ]
        );
    }

    #[test]
    fn names_are_checked_after_expansion() {
        let name = |site: &str| {
            let text = "[supervisord]\n[program:a]\ncommand=c\nprocess_name=%(ENV_SITE)s\n";
            let mut machine = Fake::default().with("/etc/s.conf", text);
            machine.env.push(("SITE".to_owned(), site.to_owned()));
            load("/etc/s.conf", &DaemonOptions::default(), &machine)
                .map(|config| config.groups[0].processes[0].name.to_string())
                .map_err(|errors| shown(&errors))
        };
        for site in ["a", "a:b c", " a", ""] {
            assert_eq!(name(site), Ok(site.to_owned()));
        }
        assert_eq!(
            name("a/b"),
            Err(vec![
                "/etc/s.conf:4:14: Invalid name: 'a/b' because of character: '/' in section 'program:a' (file: \
                 '/etc/s.conf'); %(ENV_SITE)s expands to this name; process names cannot contain slashes or control characters"
                    .to_owned()
            ])
        );
    }

    #[test]
    fn an_unknown_key_is_reported_once_as_written() {
        let text = |config: &Config| -> Vec<String> {
            config.notes.iter().map(ToString::to_string).collect()
        };
        let config = at(
            "[program-default]\nenvFiles=a\n[program:a]\ncommand=c\nkillWaitSecs=1\nmyKey=1\ndependent_startup=true\n\
             [program:b]\ncommand=c\nmyKey=1\ndependent_startup_wait_for=a\nstderr_logfile=syslog udp:h:514\n",
        )
        .expect("valid");
        assert_eq!(
            text(&config)[1..],
            [
                "/etc/s.conf:12:16: syslog udp:h:514 is taken as a file name; write syslog @HOST for a syslog server",
                "/etc/s.conf:5:1: killWaitSecs in [program:a] is not supported yet; it has no effect",
                "/etc/s.conf:6:1: unknown key myKey in [program:a] is ignored (and in 1 more places)",
            ]
        );
        let many: String = (0..30).map(|number| format!("key{number}=1\n")).collect();
        let config = at(&format!("[supervisord]\n{many}")).expect("valid");
        assert_eq!((config.notes.len(), config.warnings.len()), (9, 30));
        assert_eq!(
            text(&config)[8],
            "/etc/s.conf: 22 more unknown keys or sections are ignored (supervisord --check lists them)"
        );
    }

    #[test]
    fn repeated_sections_and_included_daemon_keys_give_warnings() {
        let machine = Fake::default()
            .with(
                "/etc/s.conf",
                "[supervisord]\nlogfile=/tmp/a\n[include]\nfiles=i/*.conf\n[program:a]\ncommand=c\n",
            )
            .with("/etc/i/1.conf", "[program:a]\ncommand=d\n")
            .with(
                "/etc/i/2.conf",
                "[program:a]\ncommand=e\n[program:a]\npriority=3\n[supervisord]\nlogfile=/tmp/b\n[include]\nfiles=x\n",
            );
        let config = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
        let warnings: Vec<String> = config.warnings.iter().map(ToString::to_string).collect();
        assert_eq!(
            warnings,
            [
                "/etc/s.conf:5:1: [program:a] is defined in /etc/s.conf:5, /etc/i/1.conf:1, /etc/i/2.conf:1 and /etc/i/2.conf:3; \
                 the last value of each key wins",
                "/etc/i/2.conf:6:1: [supervisord] logfile is overridden by an included file; /etc/s.conf:2 has no effect",
                "/etc/i/2.conf:7:1: [include] in an included file has no effect",
            ]
        );
    }

    #[test]
    fn check_warns_about_limits_without_effect_on_this_host() {
        let machine = Fake::default().with(
            "/etc/s.conf",
            "[supervisord]\n[program:a]\ncommand=c\nio_weight=5\nmemory_max=5MB\nnumprocs=2\nprocess_name=%(process_num)d\n",
        );
        let count = |check| {
            let options = DaemonOptions {
                check,
                ..DaemonOptions::default()
            };
            let config = load("/etc/s.conf", &options, &machine).expect("valid");
            let rights = config.warnings.iter();
            let rights = rights.filter(|it| it.explained.rule == Rule::MissingRight);
            rights.map(ToString::to_string).collect::<Vec<_>>()
        };
        assert_eq!(
            count(true),
            [
                "/etc/s.conf:4:11: io_weight in [program:a] has no effect on this host: the kernel does not support it"
            ]
        );
        assert_eq!(count(false), [""; 0]);
    }

    #[test]
    fn pattern_directories_are_checked_with_and_without_matches() {
        let text = "[supervisord]\n[include]\nfiles=everybodys.d/*.conf\n";
        let machine = Fake::default().with("/etc/s.conf", text);
        let with = |is_found| DaemonOptions {
            is_found,
            ..DaemonOptions::default()
        };
        let config = load("/etc/s.conf", &with(false), &machine).expect("valid");
        let told =
            "users other than root can add files to /etc/everybodys.d: it is writable by everybody";
        assert!(
            config
                .warnings
                .iter()
                .any(|warning| warning.message == told)
        );
        let errors = load("/etc/s.conf", &with(true), &machine).expect_err("refused");
        assert!(errors.first.starts_with(told), "{}", errors.first);
    }

    #[test]
    fn cfg_27_cfg_28_warnings_come_before_info_lines() {
        let machine = Fake::default()
            .with(
                "/etc/s.conf",
                "[supervisord]\nx=1\n[include]\nfiles=*.inc no.*\n",
            )
            .with(
                "/etc/a.inc",
                "[program:a]\ncommand=c\nstdout_logfile=syslog\n",
            );
        let config = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect("valid");
        let notes: Vec<String> = config.notes.iter().map(ToString::to_string).collect();
        assert_eq!(
            notes,
            [
                "No file matches via include \"/etc/no.*\"",
                "For [program:a], stdout_logfile=syslog but this is deprecated and will be removed.  Use \
                 stdout_syslog=true to enable syslog instead.",
                "/etc/s.conf:2:1: unknown key x in [supervisord] is ignored",
                "Included extra file \"/etc/a.inc\" during parsing",
            ]
        );
    }

    #[test]
    fn cfg_05_the_command_line_wins_over_the_file() {
        let machine = Fake::default().with(
            "/etc/s.conf",
            "[supervisord]\nlogfile=/tmp/a\nidentifier=a\n",
        );
        let args = ["-l", "b.log", "-n", "-u", "web"].map(str::to_owned);
        let options = crate::cli::options::parse_options(&args, &machine).expect("valid");
        let daemon = load("/etc/s.conf", &options, &machine)
            .expect("valid")
            .daemon;
        assert_eq!(daemon.logfile.to_str(), Some("/start/b.log"));
        assert!(daemon.nodaemon);
        assert_eq!(daemon.user.map(|user| user.uid), Some(33));
        assert_eq!(daemon.identifier, "a");
    }

    #[test]
    fn cfg_36_cfg_61_server_sections_are_parsed() {
        let config = at(
            "[supervisord]\n[unix_http_server]\nfile=%(here)s/x.sock\nchown=web:web\n[inet_http_server]\nport=*:9001\n",
        )
        .expect("valid");
        assert_eq!(
            config
                .servers
                .iter()
                .map(|server| server.address.clone())
                .collect::<Vec<_>>(),
            [
                ServerAddress::Inet {
                    host: String::new(),
                    port: 9001
                },
                ServerAddress::Unix {
                    path: "/etc/x.sock".into(),
                    mode: 0o700,
                    uid: Some(33),
                    gid: Some(33),
                },
            ]
        );
        assert_eq!(
            config.daemon.server_url.as_deref(),
            Some("unix:///etc/x.sock")
        );
    }

    #[test]
    fn cfg_45_a_minimal_program_has_supervisors_defaults() {
        let config = at("[supervisord]\n[program:a]\ncommand=c\n").expect("valid");
        let process = &config.groups[0].processes[0];
        assert_eq!((process.priority, process.autostart), (999, true));
        assert_eq!(process.stdout.target, LogTarget::Auto);
        assert_eq!(process.restart_floor, Seconds(1));
    }

    #[test]
    fn hosts_accepts_only_host_names() {
        let hosts = |text: &str| {
            at(&format!(
                "[supervisord]\n[inet_http_server]\nport=1\nhosts={text}\n"
            ))
            .map(|config| config.servers[0].hosts.clone())
        };
        assert_eq!(
            hosts("Box.Example, panel.example").ok(),
            Some(vec!["box.example".to_owned(), "panel.example".to_owned()])
        );
        for wrong in ["box:9001", "http://box", "a,,b", "*"] {
            assert!(hosts(wrong).is_err(), "{wrong}");
        }
    }

    #[test]
    fn readiness_keys_are_parsed_and_checked() {
        let notify = |text: &str| {
            at(&format!("[supervisord]\n[program:a]\ncommand=c\n{text}\n"))
                .map(|config| config.groups[0].processes[0].notify)
                .map_err(|errors| errors.first)
        };
        let is = |socket, ready_fd, ready_timeout, watchdog| {
            Ok(NotifySpec {
                socket,
                ready_fd,
                ready_timeout: Seconds(ready_timeout),
                watchdog: Seconds(watchdog),
                check: false,
                log: false,
            })
        };
        for (text, expected) in [
            ("startsecs=7", is(false, None, 0, 0)),
            ("notify=true", is(true, None, 90, 0)),
            ("notify=true\nstartsecs=7", is(true, None, 7, 0)),
            ("notify=true\nstartsecs=0", is(true, None, 90, 0)),
            (
                "notify=true\nstartsecs=7\nready_timeout=0",
                is(true, None, 0, 0),
            ),
            ("ready_fd=3\nready_timeout=5", is(false, Some(3), 5, 0)),
            (
                "ready_fd=1023\nnotify=on\nwatchdogsecs=2",
                is(true, Some(1023), 90, 2),
            ),
            ("notify=false\nwatchdogsecs=0", is(false, None, 0, 0)),
        ] {
            assert_eq!(notify(text), expected, "{text}");
        }
        for (text, sentence) in [
            ("ready_fd=2", "ready_fd 2 is not from 3 to 1023"),
            ("ready_fd=1024", "ready_fd 1024 is not from 3 to 1023"),
            ("ready_fd=-1", "ready_fd -1 is not from 3 to 1023"),
            (
                "ready_timeout=3",
                "ready_timeout needs notify=true, ready_fd, ready_check or ready_log",
            ),
            (
                "ready_log=up\nready_fd=3",
                "ready_fd and ready_log cannot be set together",
            ),
            (
                "ready_log=up\nnotify=true",
                "notify and ready_log cannot be set together",
            ),
            (
                "ready_check=true\nready_log=up",
                "ready_check and ready_log cannot be set together",
            ),
            ("ready_log=", "the pattern is empty"),
            (
                "notify=true\nready_timeout=-1",
                "-1 is below lower bound (0)",
            ),
            ("watchdogsecs=3", "watchdogsecs needs notify=true"),
            (
                "ready_fd=3\nwatchdogsecs=3",
                "watchdogsecs needs notify=true",
            ),
            (
                "notify=true\nwatchdogsecs=-3",
                "-3 is below lower bound (0)",
            ),
        ] {
            let expected = format!("{sentence} in section 'program:a' (file: '/etc/s.conf')");
            assert_eq!(notify(text), Err(expected), "{text}");
        }
    }

    #[test]
    fn restart_floor_must_not_be_negative() {
        let floor = |text: &str| {
            at(&format!(
                "[supervisord]\n[program:a]\ncommand=c\nrestart_floor={text}\n"
            ))
            .map(|config| config.groups[0].processes[0].restart_floor)
            .map_err(|errors| errors.first)
        };
        assert_eq!(floor("0"), Ok(Seconds(0)));
        assert_eq!(
            floor("-1"),
            Err(
                "-1 is below lower bound (0) in section 'program:a' (file: '/etc/s.conf')"
                    .to_owned()
            )
        );
    }

    #[test]
    fn numprocs_has_a_bound() {
        let errors = at(
            "[supervisord]\n[program:a]\ncommand=c\nnumprocs=9999999999\nprocess_name=%(process_num)d\n",
        )
        .expect_err("too many");
        assert_eq!(
            errors.first,
            "numprocs 9999999999 is above upper bound (100000) in section 'program:a' (file: '/etc/s.conf')"
        );
    }

    #[test]
    fn cfg_65_the_twiddler_interface_is_enabled_by_its_factory() {
        let read = |name: &str, more: &str| {
            at(&format!(
                "[supervisord]\n[rpcinterface:{name}]\nsupervisor.rpcinterface_factory={TWIDDLER_INTERFACE}\n{more}"
            ))
            .expect("valid")
        };
        let config = read("twiddler", "");
        assert_eq!(config.rpc_interfaces, ["twiddler"]);
        assert_eq!(config.twiddler.as_deref(), Some(&[][..]));
        assert_eq!(config.notes, []);
        let config = read("twiddler", "whitelist=log, getGroupNames\n");
        assert_eq!(
            config.twiddler,
            Some(vec!["log".to_owned(), "getGroupNames".to_owned()])
        );
        let config = read("other", "");
        assert_eq!((config.twiddler, config.notes.len()), (None, 1));
        assert_eq!(config.rpc_interfaces, [""; 0]);
    }

    #[test]
    fn a_lone_percent_sign_gives_a_warning() {
        let config = at("[supervisord]\n[program:a]\ncommand=date +%s\n").expect("valid");
        assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
        assert!(
            config.groups[0].processes[0]
                .command
                .starts_with("date +{'")
        );
    }

    #[test]
    fn invalid_utf_8_is_reported_with_its_position() {
        let mut machine = Fake::default();
        machine.files.insert(
            "/etc/s.conf".to_owned(),
            b"[supervisord]\nidentifier=\xff\n".to_vec(),
        );
        let errors = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect_err("bad");
        assert_eq!(
            shown(&errors),
            [
                "/etc/s.conf:2:12: 'utf-8' codec can't decode byte 0xff in position 25: invalid start byte; configuration files must be UTF-8"
            ]
        );
    }
}
