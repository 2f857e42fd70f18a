//! The steps before the first run: the command line, the configuration file and the configuration.
//!
//! An error in any of them ends the daemon with status 2 and all reasons on standard error.

use std::ffi::OsStr;
use std::path::Path;
use std::process::ExitCode;
use std::sync::Arc;

use super::fatal::{Fatal, USAGE, fail};
use super::first_text::{NoFirstText, add_first_text};
use super::machine::Machine;
use super::print::print;
use super::startup::StartContext;
use super::{check, env_file, healthcheck, init, reload, run_loop, startup, token};
use crate::cli::completion::{Completion, CompletionRequest};
use crate::cli::options;
use crate::cli::subcommand::{Subcommand, SubcommandRequest, SubcommandText};
use crate::config::lint::Severity;
use crate::config::lookup::Lookup as _;
use crate::config::options::DaemonOptions;
use crate::config::{self, CheckReport, ConfigErrors, render, search};
use crate::domain::{COMMIT, Line, VERSION};
use crate::handoff::{self, Handoff, RecoverySource};
use crate::{ctl, diagnostics, engine, fd_holder, import, pidproxy, service, sys};

/// Runs the daemon or another command that `args` (with argv\[0\]) request.
#[must_use]
pub fn run(args: &[String]) -> ExitCode {
    let argv0 = args.first().map_or("supervisord", String::as_str);
    // The binary has other commands under other names.
    match Path::new(argv0).file_name().and_then(OsStr::to_str) {
        Some("echo_supervisord_conf") => return print(&render::sample()),
        // The arguments of its command need not be UTF-8.
        Some("pidproxy") => return pidproxy::run_proxy(&std::env::args_os().collect::<Vec<_>>()),
        Some(fd_holder::NAME | fd_holder::OLD_NAME) => return fd_holder::run(),
        _ => {}
    }
    // Differs: Supervisor has no subcommands. After the first argument these words are positional arguments and are
    // refused.
    let arguments = args.get(1..).unwrap_or_default();
    if let Some((subcommand, arguments)) = Subcommand::of_command_line(arguments) {
        return run_subcommand(subcommand, argv0, &arguments);
    }
    match handoff::read_inherited() {
        Ok(None) => {}
        Ok(Some(handoff)) => return resume(argv0, args, handoff),
        Err(reason) => return fail(argv0, &Fatal::Internal(reason)),
    }
    if let Some(request) = CompletionRequest::from_args(args.get(1..).unwrap_or_default()) {
        return print(&completion(&request).to_string());
    }
    let machine = match Machine::new() {
        Ok(machine) => machine,
        Err(error) => {
            return fail(
                argv0,
                &Fatal::Usage(format!("cannot determine the working directory: {error}")),
            );
        }
    };
    if args.get(1).is_some_and(|word| word == handoff::QUESTION) {
        return handoff::answer_question(args.get(2..).unwrap_or_default(), &machine);
    }
    let options = match options::parse_options(args.get(1..).unwrap_or_default(), &machine) {
        Ok(options) => options,
        Err(sentence) => return fail(argv0, &Fatal::Usage(sentence)),
    };
    if options.help {
        return print(&options::usage(argv0));
    }
    if options.version {
        return print(&format!("{VERSION}\n"));
    }
    match begin(argv0, options, machine) {
        Ok(code) => code,
        Err(fatal) => fail(argv0, &fatal),
    }
}

/// Runs a subcommand.
fn run_subcommand(subcommand: &Subcommand, argv0: &str, args: &[String]) -> ExitCode {
    let request = match subcommand.parse_args(argv0, args) {
        Ok(request) => request,
        Err(SubcommandText::Help(text)) => {
            return print(&text.render(check::wants_colour(&std::io::stdout())));
        }
        Err(SubcommandText::Mistake(text)) => {
            eprint!("{}", text.render(check::wants_colour(&std::io::stderr())));
            return ExitCode::from(USAGE);
        }
    };
    let machine = match Machine::new() {
        Ok(machine) => machine,
        Err(error) => {
            eprintln!("{argv0}: cannot determine the working directory: {error}");
            return ExitCode::from(USAGE);
        }
    };
    match request {
        SubcommandRequest::Import(args) => import::run_import(argv0, &args, &machine),
        SubcommandRequest::Service(args) => service::run_service(argv0, &args, &machine),
        SubcommandRequest::Init(args) => init::run_init(argv0, &args),
        SubcommandRequest::Ctl(args) => ExitCode::from(ctl::run_subcommand(argv0, args)),
        SubcommandRequest::Healthcheck(args) => {
            healthcheck::run_healthcheck(argv0, &args, &machine)
        }
        SubcommandRequest::Token(args) => token::run_token(argv0, &args),
        // The Go project's two lines.
        SubcommandRequest::Version => print(&format!("Version: {VERSION}\n Commit: {COMMIT}\n")),
    }
}

/// Returns completions for the shell. All programs of the package use this one entry point.
fn completion(request: &CompletionRequest) -> Completion {
    match request.name() {
        "" | "echo_supervisord_conf" => Completion::default(),
        "pidproxy" => pidproxy::complete(request),
        _ if is_for_client(request) => ctl::complete_subcommand(request),
        _ => options::complete(request),
    }
}

/// Whether the word to complete belongs to `ctl`.
fn is_for_client(request: &CompletionRequest) -> bool {
    let selected = Subcommand::of_command_line(&request.before);
    selected.is_some_and(|(subcommand, _)| subcommand.is_client())
}

/// Continues where an earlier image of this process ended.
fn resume(argv0: &str, args: &[String], mut handoff: Handoff) -> ExitCode {
    let machine = Machine::seen_from(handoff.cwd.clone());
    let result = options::parse_options(args.get(1..).unwrap_or_default(), &machine)
        .map_err(Fatal::Usage)
        .and_then(|options| {
            let reserved = startup::reserve()?;
            let options = with_config_path(argv0, options, &machine)?;
            let context = StartContext {
                options: Arc::new(options),
                machine: Arc::new(machine),
                passed: std::mem::take(&mut handoff.passed),
            };
            run_loop::resume(handoff, context, reserved)
        });
    match result {
        Ok(code) => code,
        Err(fatal) => fail(argv0, &fatal),
    }
}

/// Returns the options with the configuration file filled in. It is searched for if none was given.
fn with_config_path(
    argv0: &str,
    mut options: DaemonOptions,
    machine: &Machine,
) -> Result<DaemonOptions, Fatal> {
    // Differs: a configuration of a server or a command needs no file.
    if options.config_path.is_none() && !has_source(&options, machine) {
        let found = search::find_config(argv0, machine);
        let found = found.ok_or_else(|| Fatal::Usage(search::not_found(argv0, machine)))?;
        options.config_path = Some(found);
        options.is_found = true;
    }
    Ok(options)
}

/// Whether the command line or the environment names a source of the configuration.
fn has_source(options: &DaemonOptions, machine: &Machine) -> bool {
    options
        .source
        .iter()
        .any(|(_, key, _)| matches!(*key, "server" | "command"))
        || machine
            .settings_env()
            .iter()
            .any(|(name, _)| name == "NACOS_SERVER")
}

/// Reads the configuration, recovers the state of a previous daemon and runs the daemon.
fn begin(argv0: &str, options: DaemonOptions, machine: Machine) -> Result<ExitCode, Fatal> {
    sys::check_kernel().map_err(|error| Fatal::Usage(error.to_string()))?;
    if options.config_path.is_none() && !has_source(&options, &machine) && sys::effective_uid() == 0
    {
        eprintln!(
            "{argv0}: UserWarning: Supervisord is running as root and it is searching for its configuration file in \
             default locations (including its current working directory); you probably want to specify a \"-c\" \
             argument specifying an absolute path to a configuration file for improved security."
        );
    }
    env_file::load_env_files(&options.env_files)?;
    if let Some(Err(error)) = diagnostics::from_environment() {
        eprintln!("{argv0}: {error} (the variable is ignored)");
    }
    let mut options = with_config_path(argv0, options, &machine)?;
    let path = options.config_path.clone().unwrap_or_default();
    let mut no_text = None;
    let first_text = add_first_text(&mut options, &machine);
    let (first, mut notes) = match first_text {
        Ok(_) if options.check => {
            let shown = match &options.remote {
                Some(remote) if path.is_empty() => &remote.name,
                _ => &path,
            };
            let report = config::check_config(&path, &options, &machine);
            return Ok(checked(shown, report, &options));
        }
        Err(NoFirstText::Settings(errors)) if options.check => {
            return Ok(checked(&path, errors.into(), &options));
        }
        Ok(notes) => (config::load(&path, &options, &machine), notes),
        Err(NoFirstText::Settings(errors)) => return Err(Fatal::Config(errors)),
        Err(NoFirstText::Text(error)) if options.check => {
            return Err(Fatal::Internal(error.to_string()));
        }
        Err(NoFirstText::Text(error)) => {
            no_text = Some(error.to_string());
            (
                Err(ConfigErrors::of_file(error.to_string(), "")),
                Vec::new(),
            )
        }
    };
    // The daemon has opened no descriptor yet.
    let (mut passed, complaint) = match engine::passed_sockets() {
        Ok(passed) => (passed, None),
        Err(error) => (Vec::new(), Some(error.to_string())),
    };
    // Reserve these before a previous daemon's descriptors arrive, which can be thousands.
    let reserved = startup::reserve()?;
    let source = handoff::find_source(engine::take_stored_holder(&mut passed));
    let recovered = source.as_ref().and_then(RecoverySource::handoff);
    let first = match recovered {
        // The configuration of the running programs had the section. A file without it was truncated since, which is an
        // error as for a running daemon.
        Some(handoff) if first.as_ref().is_ok_and(|first| first.is_implied) => {
            let options = reload::options_of(&options, &handoff.config);
            config::load(&path, &options, &machine)
        }
        _ => first,
    };
    let mut first = match (first, recovered) {
        (Ok(first), _) => first,
        (Err(errors), Some(handoff)) => handoff.config_despite(&errors),
        (Err(errors), None) => {
            return Err(no_text.map_or(Fatal::Config(errors), Fatal::Internal));
        }
    };
    first.notes.append(&mut notes);
    if let Some(error) = complaint {
        first.notes.push(Line::PassedSocketsUnknown { error });
    }
    // Differs: a relative path keeps its meaning, because `Machine` remembers the working directory. Supervisor
    // resolves it against the directory it has changed to when it reloads.
    let context = StartContext {
        options: Arc::new(options),
        machine: Arc::new(machine),
        passed,
    };
    run_loop::run_all(first, context, source, reserved)
}

/// Prints the report of `--check` and returns the exit status.
fn checked(path: &str, mut report: CheckReport, options: &DaemonOptions) -> ExitCode {
    if options.any_host {
        report.retain_any_host();
    }
    let lowest = if options.strict {
        Severity::Warning
    } else {
        Severity::Error
    };
    let fails = Severity::ALL.into_iter().filter(|it| *it <= lowest);
    let is_failed = fails.map(|severity| report.count(severity)).sum::<usize>() > 0;
    if options.json {
        println!("{}", check::json(path, &report));
    } else if is_failed {
        let is_coloured = check::wants_colour(&std::io::stderr());
        eprint!("{}", check::report(path, &report, is_coloured));
    } else {
        let is_coloured = check::wants_colour(&std::io::stdout());
        print!("{}", check::report(path, &report, is_coloured));
    }
    // The process exits, so freeing the memory piece by piece is a waste of time.
    std::mem::forget(report);
    match is_failed {
        true => ExitCode::from(USAGE),
        false => ExitCode::SUCCESS,
    }
}
