//! The daemon's command line, derived from KEYS.

use std::borrow::Cow;

use super::completion::{self, Candidate, Completion, CompletionRequest, WordPosition};
use super::getopt::{OptionSpec, ParsedOption, getopt};
use super::subcommand::{SUBCOMMANDS, Subcommand};
use crate::config::key::{ConfigKey, SectionKind, ValueKind};
use crate::config::lookup::Lookup;
use crate::config::options::DaemonOptions;
use crate::config::value;
use crate::domain::python_repr;

/// An option that is not a key.
struct ExtraOption {
    opt: OptionSpec,
    value: &'static str,
    doc: &'static str,
}

const fn extra(
    short: Option<char>,
    long: Option<&'static str>,
    value: &'static str,
    ours: bool,
    doc: &'static str,
) -> ExtraOption {
    ExtraOption {
        opt: OptionSpec {
            short,
            long,
            argument: !value.is_empty(),
            ours,
        },
        value,
        doc,
    }
}

const HELP: &str = "help";
const VERSION: &str = "version";
const CONFIGURATION: &str = "configuration";
const CHECK: &str = "check";
const JSON: &str = "json";
const ANY_HOST: &str = "any-host";
const STRICT: &str = "strict";
const DAEMON: &str = "daemon";
const ENV_FILE: &str = "env-file";

const EXTRAS: &[ExtraOption] = &[
    extra(
        Some('c'),
        Some(CONFIGURATION),
        "FILE",
        false,
        "the configuration file",
    ),
    extra(
        Some('h'),
        Some(HELP),
        "",
        false,
        "print this help and exit (also -?)",
    ),
    extra(Some('?'), None, "", false, ""),
    extra(
        Some('v'),
        Some(VERSION),
        "",
        false,
        "print the version and exit",
    ),
    extra(
        None,
        Some(CHECK),
        "",
        true,
        "check the configuration, print all errors and warnings, and exit",
    ),
    extra(
        None,
        Some(STRICT),
        "",
        true,
        "treat unknown keys and sections as errors; with --check, exit with 2 also on warnings",
    ),
    extra(
        None,
        Some(JSON),
        "",
        true,
        "print the report of --check as JSON",
    ),
    extra(
        None,
        Some(ANY_HOST),
        "",
        true,
        "with --check, leave out what depends on this host: its files, users and environment",
    ),
    extra(
        None,
        Some(DAEMON),
        "",
        true,
        "run in the background, whatever the configuration says; -d as the last argument means the same",
    ),
    extra(
        None,
        Some(ENV_FILE),
        "FILE",
        true,
        "set variables of the daemon from a file of KEY=VALUE lines; repeatable",
    ),
];

/// The keys that have an option, with their sections.
fn keys() -> impl Iterator<Item = (SectionKind, &'static ConfigKey, OptionSpec)> {
    let rows = |kind: SectionKind| kind.rows().iter().map(move |key| (kind, key));
    let all = rows(SectionKind::Daemon)
        .chain(rows(SectionKind::Nacos))
        .chain(rows(SectionKind::Source));
    all.filter_map(|(kind, key)| {
        let flag = key.flag?;
        Some((
            kind,
            key,
            OptionSpec {
                short: flag.short,
                long: Some(flag.long),
                argument: key.kind != ValueKind::Boolean,
                ours: key.ours,
            },
        ))
    })
}

/// Parses the arguments after the program's name.
///
/// # Errors
/// Supervisor's message, for the two lines of a usage error.
pub fn parse_options(args: &[String], lookup: &dyn Lookup) -> Result<DaemonOptions, String> {
    let table: Vec<OptionSpec> = EXTRAS
        .iter()
        .map(|extra| extra.opt)
        .chain(keys().map(|(.., opt)| opt))
        .collect();
    let (given, rest) = match getopt(args, &table) {
        // Differs: the Go implementation runs in the background with `-d`, which as the last argument is an error in
        // Supervisor. With a directory after it, it is Supervisor's.
        Err(error) if error == "option -d requires argument" && ends_with_go_daemon(args) => {
            let mut args = args.to_vec();
            args.pop();
            args.push(format!("--{DAEMON}"));
            getopt(&args, &table)?
        }
        parsed => parsed?,
    };
    // Differs: a subcommand as the first argument is handled before this. Supervisor has none.
    if !rest.is_empty() {
        let words: Vec<String> = rest.iter().map(|word| python_repr(word)).collect();
        return Err(format!(
            "positional arguments are not supported: [{}]",
            words.join(", ")
        ));
    }
    let mut options = DaemonOptions::default();
    for option in &given {
        match EXTRAS.get(option.index) {
            Some(extra) => {
                apply_special(&mut options, extra.opt.long, option)?;
                if options.help || options.version {
                    // Supervisor exits at once, so later arguments cannot be wrong.
                    return Ok(options);
                }
            }
            None => {
                let key = keys().nth(option.index - EXTRAS.len());
                match key {
                    Some((kind @ (SectionKind::Nacos | SectionKind::Source), key, _)) => {
                        set_source(&mut options, (kind, key.name), option)?
                    }
                    Some((_, key, _)) => set(&mut options, key.name, option, lookup)?,
                    None => {}
                }
            }
        }
    }
    for (long, is_given) in [(JSON, options.json), (ANY_HOST, options.any_host)] {
        if is_given && !options.check {
            return Err(format!("option --{long} requires --{CHECK}"));
        }
    }
    Ok(options)
}

/// Whether the last argument is the `-d` of the Go implementation, and not one of several letters.
fn ends_with_go_daemon(args: &[String]) -> bool {
    args.last().is_some_and(|last| last == "-d")
}

fn apply_special(
    options: &mut DaemonOptions,
    long: Option<&str>,
    given: &ParsedOption,
) -> Result<(), String> {
    match long {
        Some(VERSION) => options.version = true,
        Some(CHECK) => options.check = true,
        Some(STRICT) => options.strict = true,
        Some(JSON) => options.json = true,
        Some(ANY_HOST) => options.any_host = true,
        Some(DAEMON) => set_once(&mut options.overrides.nodaemon, given, |_| Ok(false))?,
        Some(CONFIGURATION) => {
            set_once(&mut options.config_path, given, |text| Ok(text.to_owned()))?
        }
        Some(ENV_FILE) => options.env_files.extend(given.value.clone()),
        // `-h`, `--help`, `-?`.
        _ => options.help = true,
    }
    Ok(())
}

fn set(
    options: &mut DaemonOptions,
    key: &str,
    given: &ParsedOption,
    lookup: &dyn Lookup,
) -> Result<(), String> {
    let text = |text: &str| Ok(text.to_owned());
    let yes = |_: &str| Ok(true);
    let path = |text: &str| value::existing_dirpath(text, lookup);
    let directory = |text: &str| value::existing_directory(text, lookup);
    let over = &mut options.overrides;
    match key {
        "logfile" => set_once(&mut over.logfile, given, |text| {
            value::log_path(text, lookup)
        }),
        "logfile_maxbytes" => set_once(&mut over.logfile_maxbytes, given, value::byte_size),
        "logfile_backups" => set_once(&mut over.logfile_backups, given, value::integer),
        "loglevel" => set_once(&mut over.loglevel, given, value::log_level),
        "pidfile" => set_once(&mut over.pidfile, given, path),
        "umask" => set_once(&mut over.umask, given, value::octal),
        "nodaemon" => set_once(&mut over.nodaemon, given, yes),
        "silent" => set_once(&mut over.silent, given, yes),
        "minfds" => set_once(&mut over.minfds, given, value::integer),
        "minprocs" => set_once(&mut over.minprocs, given, value::integer),
        "nocleanup" => set_once(&mut over.nocleanup, given, yes),
        "childlogdir" => set_once(&mut over.childlogdir, given, directory),
        "user" => set_once(&mut over.user, given, text),
        "directory" => set_once(&mut over.directory, given, directory),
        "strip_ansi" => set_once(&mut over.strip_ansi, given, yes),
        "identifier" => set_once(&mut over.identifier, given, text),
        "profile_options" => set_once(&mut options.profile_options, given, |text| {
            Ok(value::list(text))
        }),
        other => Err(format!("option for {other} is declared but not read")),
    }
}

/// Stores the text of a key of `[nacos]` or `[source]`, which is read together with those of other origins.
fn set_source(
    options: &mut DaemonOptions,
    (section, key): (SectionKind, &'static str),
    given: &ParsedOption,
) -> Result<(), String> {
    let is_same = |known: &(SectionKind, &str, String)| (known.0, known.1) == (section, key);
    if options.source.iter().any(is_same) {
        return Err(conflicting(given));
    }
    let text = given.value.clone();
    options
        .source
        .push((section, key, text.unwrap_or_else(|| "true".to_owned())));
    Ok(())
}

/// Converts the argument, then refuses it if the option was given before: the same order as in Supervisor.
fn set_once<T>(
    slot: &mut Option<T>,
    given: &ParsedOption,
    convert: impl FnOnce(&str) -> Result<T, String>,
) -> Result<(), String> {
    let text = given.value.as_deref().unwrap_or_default();
    let value = convert(text).map_err(|error| {
        format!(
            "invalid value for {} {}: {error}",
            given.spelled,
            python_repr(text)
        )
    })?;
    if slot.is_some() {
        return Err(conflicting(given));
    }
    *slot = Some(value);
    Ok(())
}

/// Supervisor's message for an option that was given twice.
fn conflicting(given: &ParsedOption) -> String {
    let spelled = python_repr(&given.spelled);
    format!("conflicting command line option {spelled}")
}

/// The text of `-h`. `argv0`: the program's name as it was started.
#[must_use]
pub fn usage(argv0: &str) -> String {
    let mut text = format!(
        "supervisord -- run a set of applications as daemons.\n\nUsage: {argv0} [options]\n\nOptions:\n"
    );
    for row in rows() {
        let left = option_text(&row.opt, row.value);
        let default = row
            .default
            .map(|default| format!(" (default {default})"))
            .unwrap_or_default();
        text.push_str(&help_row(&left, &format!("{}{default}", row.doc)));
    }
    text.push_str(&format!(
        "\nOr, with a subcommand as the first argument:\n  {argv0} COMMAND [options] ...\n\nCommands:\n"
    ));
    for subcommand in &SUBCOMMANDS {
        text.push_str(&help_row(subcommand.name, &subcommand.doc()));
    }
    text.push_str(&format!(
        "\nFor help on a command, use {argv0} COMMAND -h\n"
    ));
    text
}

/// The left column of an option in a help text: short form, long form, name of the argument.
fn option_text(opt: &OptionSpec, value: &str) -> String {
    let short = opt
        .short
        .map_or_else(|| "   ".to_owned(), |letter| format!("-{letter},"));
    let long = opt.long.unwrap_or_default();
    if value.is_empty() {
        format!("{short} --{long}")
    } else {
        format!("{short} --{long} {value}")
    }
}

/// One row of a help text.
fn help_row(left: &str, doc: &str) -> String {
    format!("  {left:<31} {doc}\n")
}

/// An option in help texts.
#[derive(Debug, Clone)]
pub struct OptionRow {
    /// How it is written.
    pub opt: OptionSpec,
    /// A word for its argument, such as FILE. Empty: no argument.
    pub value: &'static str,
    /// The default of its argument, if it takes one.
    pub default: Option<&'static str>,
    /// What it does.
    pub doc: Cow<'static, str>,
}

/// Every option, in the order of the help text.
pub fn rows() -> impl Iterator<Item = OptionRow> {
    let extras = EXTRAS
        .iter()
        .filter(|extra| !extra.doc.is_empty())
        .map(|extra| OptionRow {
            opt: extra.opt,
            value: extra.value,
            default: None,
            doc: extra.doc.into(),
        });
    extras.chain(keys().map(|(_, key, opt)| {
        let value = match key.kind {
            ValueKind::Boolean => "",
            ValueKind::Path => "FILE",
            ValueKind::Directory => "DIR",
            ValueKind::Integer => "N",
            ValueKind::ByteSize => "SIZE",
            ValueKind::Octal => "OCTAL",
            ValueKind::Level => "LEVEL",
            ValueKind::User => "USER",
            ValueKind::List => "LIST",
            _ => "TEXT",
        };
        OptionRow {
            opt,
            value,
            default: key.default.filter(|_| !value.is_empty()),
            doc: key.doc.into(),
        }
    }))
}

/// Completes the last word of a command line.
#[must_use]
pub fn complete(request: &CompletionRequest) -> Completion {
    let spoken = request.before.split_first();
    if let Some((subcommand, behind)) =
        spoken.and_then(|(word, behind)| Some((Subcommand::find_subcommand(word)?, behind)))
    {
        return subcommand.complete(behind, &request.word);
    }
    let rows: Vec<OptionRow> = rows().collect();
    let table: Vec<OptionSpec> = rows.iter().map(|row| row.opt).collect();
    match completion::word_position(&request.before, &request.word, &table) {
        WordPosition::Option => {
            let options = rows.iter().map(|row| (row.opt, &*row.doc));
            completion::options(options, &request.word)
        }
        WordPosition::Value { index, joined } => {
            completion::values(rows[index].value, &joined, &request.word)
        }
        // Only the first argument can be a subcommand.
        WordPosition::Word(_) if request.before.is_empty() => {
            let subcommands = SUBCOMMANDS
                .iter()
                .map(|subcommand| Candidate::new(subcommand.name, subcommand.doc()));
            Completion::of(subcommands, &request.word)
        }
        WordPosition::Word(_) => Completion::default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::lookup::Fake;
    use crate::config::options::Overrides;
    use crate::domain::{Bytes, Level};

    fn run(line: &str) -> Result<DaemonOptions, String> {
        let args: Vec<String> = line.split_whitespace().map(str::to_owned).collect();
        parse_options(&args, &Fake::default())
    }

    #[test]
    fn dmn_01_every_option_has_a_short_and_a_long_form() {
        let short = run(
            "-c a -n -s -u me -m 027 -d /tmp -l x.log -y 1MB -z 3 -e DEBUG -j x.pid -i id -q /tmp -k -a 9 -t --minprocs 8",
        );
        let long = run(
            "--configuration a --nodaemon --silent --user me --umask 027 --directory /tmp --logfile x.log \
             --logfile_maxbytes 1MB --logfile_backups 3 --loglevel debug --pidfile x.pid --identifier id \
             --childlogdir /tmp --nocleanup --minfds 9 --strip_ansi --minprocs 8",
        );
        assert_eq!(short, long);
        assert_eq!(
            short,
            Ok(DaemonOptions {
                config_path: Some("a".to_owned()),
                overrides: Overrides {
                    logfile: Some("x.log".to_owned()),
                    logfile_maxbytes: Some(Bytes(1_048_576)),
                    logfile_backups: Some(3),
                    loglevel: Some(Level::Debug),
                    pidfile: Some("x.pid".to_owned()),
                    umask: Some(0o27),
                    nodaemon: Some(true),
                    silent: Some(true),
                    minfds: Some(9),
                    minprocs: Some(8),
                    nocleanup: Some(true),
                    childlogdir: Some("/tmp".to_owned()),
                    user: Some("me".to_owned()),
                    directory: Some("/tmp".to_owned()),
                    strip_ansi: Some(true),
                    identifier: Some("id".to_owned()),
                },
                ..DaemonOptions::default()
            })
        );
        // Test every key with an option: a key that is not handled would fail.
        for (_, key, opt) in keys() {
            let value = match key.kind {
                ValueKind::Boolean => "",
                ValueKind::Level => "info",
                ValueKind::Directory => "/tmp",
                _ => "1",
            };
            let line = format!("--{} {value}", opt.long.unwrap_or_default());
            assert!(run(&line).is_ok(), "{line}");
        }
    }

    #[test]
    fn g03_d_as_the_last_argument_runs_in_the_background() {
        for (line, config, directory, nodaemon) in [
            ("-c a -d", Some("a"), None, Some(false)),
            ("-c a -d /tmp", Some("a"), Some("/tmp"), None),
            ("-c -d", Some("-d"), None, None),
            ("--daemon", None, None, Some(false)),
        ] {
            let options = run(line).expect(line);
            assert_eq!(options.config_path.as_deref(), config, "{line}");
            assert_eq!(options.overrides.directory.as_deref(), directory, "{line}");
            assert_eq!(options.overrides.nodaemon, nodaemon, "{line}");
        }
        assert!(run("-n -d").is_err(), "both modes");
        assert!(run("-nd").is_err(), "letters of Supervisor");
    }

    #[test]
    fn dmn_02_dmn_05_option_errors_have_supervisors_messages() {
        for (line, expected) in [
            ("--foo", "option --foo not recognized"),
            ("-u", "option -u requires argument"),
            ("--no", "option --no not a unique prefix"),
            (
                "foo bar",
                "positional arguments are not supported: ['foo', 'bar']",
            ),
            (
                "-e foo",
                "invalid value for -e 'foo': bad logging level name 'foo'",
            ),
            (
                "--logl foo",
                "invalid value for --loglevel 'foo': bad logging level name 'foo'",
            ),
            (
                "-n --nodaemon",
                "conflicting command line option '--nodaemon'",
            ),
            ("-c a -c b", "conflicting command line option '-c'"),
            ("-n --daemon", "conflicting command line option '--daemon'"),
            (
                "-d /no",
                "invalid value for -d '/no': /no is not an existing directory",
            ),
            (
                "-a x",
                "invalid value for -a 'x': invalid literal for int() with base 10: 'x'",
            ),
            (
                "-m 9",
                "invalid value for -m '9': 9 can not be converted to an octal type",
            ),
            (
                "-e foo -v",
                "invalid value for -e 'foo': bad logging level name 'foo'",
            ),
            ("--chec", "option --chec not recognized"),
            ("--json", "option --json requires --check"),
        ] {
            assert_eq!(run(line), Err(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn completion_offers_every_option_with_its_argument() {
        let offered = |line: &str| {
            let mut before: Vec<String> = line.split(' ').map(str::to_owned).collect();
            let word = before.pop().unwrap_or_default();
            complete(&CompletionRequest {
                program: "supervisord".to_owned(),
                before,
                word,
            })
            .to_string()
        };
        for (line, expected) in [
            (
                "--ch",
                "--check\tcheck the configuration, print all errors and warnings, and exit\n--childlogdir\tdirectory of AUTO logs; not set: the directory for temporary files\n",
            ),
            ("-n --conf", "--configuration\tthe configuration file\n"),
            ("-c ", "\tfiles\n"),
            ("--configuration=/e", "\tfiles\n"),
            ("-d ", "\tdirectories\n"),
            ("-nu ", "\tusers\n"),
            ("-e de", "debug\tDEBG\n"),
            ("-a ", ""),
            (
                "imp",
                "import\tprint systemd units as [program:x] sections\n",
            ),
            ("-n imp", ""),
            (
                "service sta",
                "start\tstart the service\nstatus\tprint systemd's status of the service\n",
            ),
            (
                "service --name x sto",
                "stop\tstop the service and its programs\n",
            ),
            ("service stop s", ""),
            (
                "service stop --env",
                "--env-file\tfile with environment variables for the daemon (install)\n",
            ),
            ("service install -c ", "\tfiles\n"),
            ("import a.service ", "\tfiles\n"),
            ("import --name ", ""),
            ("-n ", ""),
        ] {
            assert_eq!(offered(line), expected, "{line:?}");
        }
        let all = offered("-");
        for row in rows() {
            let long = row.opt.long.expect("each has a name");
            assert!(all.contains(&format!("--{long}\t")), "{long}");
        }
    }

    #[test]
    fn dmn_03_help_and_version_take_effect_immediately() {
        for line in ["-v -e foo", "--vers"] {
            assert!(run(line).is_ok_and(|options| options.version), "{line}");
        }
        for line in ["-h", "-?", "--help -e foo"] {
            assert!(run(line).is_ok_and(|options| options.help), "{line}");
        }
        let text = usage("bin/supervisord");
        let mut lines = text.lines();
        assert_eq!(
            lines.next(),
            Some("supervisord -- run a set of applications as daemons.")
        );
        assert_eq!(lines.nth(1), Some("Usage: bin/supervisord [options]"));
        assert!(text.contains("-l, --logfile FILE") && text.contains("--check"));
    }
}
