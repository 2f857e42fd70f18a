//! The order in which a configuration is read, and the rules about whole files.

use super::super::expand::{Names, Value};
use super::super::glob::glob;
use super::super::key::{MAIN_INTERFACE, RPC_FACTORY, SectionKind, TWIDDLER_INTERFACE};
use super::super::lint;
use super::super::lookup::Lookup;
use super::super::options::DaemonOptions;
use super::super::path::{absolute, dirname, join};
use super::super::plugin;
use super::super::problem::{ConfigErrors, Span};
use super::super::python::words;
use super::super::spec::Config;
use super::super::value;
use super::confinement::warn_of_rights;
use super::{At, Got, Reader, daemon, group, server};
use crate::domain::Line;

/// The name under which the methods of [`TWIDDLER_INTERFACE`] are there.
const TWIDDLER: &str = "twiddler";

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
    let (mut rpc_interfaces, twiddler) = interfaces(&mut reader);
    if is_implied {
        rpc_interfaces.push("supervisor".to_owned());
    }
    let groups = group::read(&mut reader, &server_section.environment);
    let servers = server::read(&mut reader);
    let daemon = daemon::settle(&mut reader, server_section, &options.overrides, &servers);
    warn_of_rights(&mut reader, &daemon, &groups);
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
        twiddler,
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

/// The `[rpcinterface:x]` sections, and what `[rpcinterface:twiddler]` says if it is there.
fn interfaces(reader: &mut Reader<'_>) -> (Vec<String>, Option<Vec<String>>) {
    let nothing = Names::new();
    let mut twiddler = None;
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
            Got::Is(factory) if factory == TWIDDLER_INTERFACE && name == TWIDDLER => {
                found.push(name.to_owned());
                twiddler = Some(whitelist(reader, at));
            }
            Got::Is(factory) if factory == TWIDDLER_INTERFACE => {
                reader.warn(format!(
                    "[{section}] must be named [rpcinterface:{TWIDDLER}]; its methods are not there"
                ));
            }
            // Differs: Supervisor loads it, or ends here when it cannot. All else is of use without it.
            Got::Is(factory) if plugin::is_callable(&factory) => {
                reader.foreign(at, RPC_FACTORY, plugin::interface(&section, &factory));
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
    (found, twiddler)
}

/// The `whitelist` of `[rpcinterface:twiddler]`.
fn whitelist(reader: &mut Reader<'_>, at: At<'_>) -> Vec<String> {
    let text = reader.text(at, "whitelist", &Names::new()).ok();
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
    fn all_errors_are_told_at_once_and_the_first_is_supervisors() {
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
                "/etc/x.conf:4:1: Source contains parsing errors: '/etc/x.conf': 'foo'; expected `key = value`, a \
                 [section] or a comment that begins with ; or #",
                "/etc/s.conf:3:8: invalid literal for int() with base 10: 'many'; minfds takes a whole number",
                "/etc/s.conf:2:12: bad logging level name 'loud'; loglevel takes one of critical, error, warn, info, \
                 debug, trace, blather",
                "/etc/s.conf:7:11: invalid literal for int() with base 10: '1s' in section 'program:a' (file: \
                 '/etc/s.conf'); startsecs takes a whole number",
                "/etc/s.conf:6:1: program section program:a does not specify a command in section 'program:a' (file: \
                 '/etc/s.conf'); command takes a text",
                "/etc/x.conf:3:11: not a valid boolean value: 'maybe' in section 'program:b' (file: '/etc/x.conf'); \
                 autostart takes one of yes, true, on, 1, no, false, off, 0",
                "/etc/x.conf:2:9: Format string '%(nosuch)s' for 'program:b.command' contains names ('nosuch') which \
                 cannot be expanded. Available names: ENV_HOME, group_name, here, host_node_name, numprocs, \
                 process_num, program_name in section 'program:b' (file: '/etc/x.conf'); a literal % is written %%",
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
    fn one_mistake_of_many_processes_is_told_once() {
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
            Some(
                "/etc/s.conf has neither [supervisord] nor any [rpcinterface:x]; taken as if it had both"
            )
        );
        let errors = at(
            "[rpcinterface:supervisor]\nsupervisor.rpcinterface_factory=\
             supervisor.rpcinterface:make_main_rpcinterface\n",
        )
        .expect_err("refused");
        assert_eq!(
            errors.first,
            ".ini file does not include supervisord section"
        );
    }

    #[test]
    fn cfg_27_cfg_28_notes_are_warnings_first() {
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
                "/etc/s.conf:2: unknown key x in [supervisord] is ignored",
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
        let options = super::super::super::options::parse(&args, &machine).expect("valid");
        let daemon = load("/etc/s.conf", &options, &machine)
            .expect("valid")
            .daemon;
        assert_eq!(daemon.logfile.to_str(), Some("/start/b.log"));
        assert!(daemon.nodaemon);
        assert_eq!(daemon.user.map(|user| user.uid), Some(33));
        assert_eq!(daemon.identifier, "a");
    }

    #[test]
    fn cfg_36_cfg_61_servers() {
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
    fn cfg_45_a_program_with_little_said() {
        let config = at("[supervisord]\n[program:a]\ncommand=c\n").expect("valid");
        let process = &config.groups[0].processes[0];
        assert_eq!((process.priority, process.autostart), (999, true));
        assert_eq!(process.stdout.target, LogTarget::Auto);
        assert_eq!(process.restart_floor, Seconds(1));
    }

    #[test]
    fn hosts_are_ours_and_names_only() {
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
    fn what_tells_of_readiness_is_ours_and_checked() {
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
                "ready_timeout needs notify=true or ready_fd",
            ),
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
    fn restart_floor_is_ours_and_not_negative() {
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
    fn cfg_65_the_methods_of_twiddler_are_there_under_its_name() {
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
    fn a_percent_sign_alone_is_warned_of() {
        let config = at("[supervisord]\n[program:a]\ncommand=date +%s\n").expect("valid");
        assert_eq!(config.notes.len(), 1, "{:?}", config.notes);
        assert!(
            config.groups[0].processes[0]
                .command
                .starts_with("date +{'")
        );
    }

    #[test]
    fn what_is_no_utf_8_is_told_with_its_place() {
        let mut machine = Fake::default();
        machine.files.insert(
            "/etc/s.conf".to_owned(),
            b"[supervisord]\nidentifier=\xff\n".to_vec(),
        );
        let errors = load("/etc/s.conf", &DaemonOptions::default(), &machine).expect_err("bad");
        assert_eq!(
            shown(&errors),
            [
                "/etc/s.conf:2:12: 'utf-8' codec can't decode byte 0xff in position 25: invalid start byte; files are UTF-8"
            ]
        );
    }
}
